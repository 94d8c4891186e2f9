//! What a debugger sets on a core, by KVM_SET_GUEST_DEBUG.

use kvm_bindings::{
    KVM_GUESTDBG_BLOCKIRQ, KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, KVM_GUESTDBG_USE_SW_BP, kvm_debug_exit_arch, kvm_guest_debug,
};
use kvm_ioctls::{Cap, VmFd};
use proteus_exec::debug::{Hit, Watchpoint};

/// What the host's KVM can do for a debugger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Flags of KVM_SET_GUEST_DEBUG.
    flags: u32,
}

/// Debug registers with addresses.
const SLOTS: usize = 4;
/// DR6: the four conditions.
const DR6_CONDITIONS: u64 = 0xf;
/// DR7: always set.
const DR7_FIXED: u64 = 1 << 10;

impl Offers {
    /// Asks.
    pub fn new(vm: &VmFd) -> Offers {
        const KVM_CAP_SET_GUEST_DEBUG2: libc::c_ulong = 195;
        let flags = match vm.check_extension_raw(KVM_CAP_SET_GUEST_DEBUG2) {
            ..=0 if vm.check_extension(Cap::SetGuestDebug) => KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP,
            flags => flags.max(0) as u32,
        };
        Offers { flags }
    }

    /// Interrupts can be held off while an instruction is stepped.
    pub fn block_interrupts(self) -> bool {
        self.flags & KVM_GUESTDBG_BLOCKIRQ != 0
    }
}

/// What the host's KVM does for debuggers when it is tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// Breakpoints in debug registers stop a guest.
    pub breakpoints: bool,
    /// Watchpoints do.
    pub watchpoints: bool,
    /// INT3 does.
    pub instructions: bool,
}

/// What is set on a core.
#[derive(Default)]
pub struct Debug {
    /// Linear addresses. The first ones are in debug registers, as far as watchpoints leave any.
    pub breakpoints: Vec<u64>,
    /// Ranges of linear addresses.
    pub watchpoints: Vec<Watchpoint>,
    /// What the host does for it, if anything is set.
    pub tried: Tried,
    /// Why it stopped.
    pub hit: Option<Hit>,
    /// What the kernel was told last.
    told: Option<kvm_guest_debug>,
}

/// A condition of a debug register.
struct Condition {
    address: u64,
    /// The bits R/W and LEN of DR7 (SDM vol. 3, 18.2.4).
    bits: u64,
}

impl Debug {
    /// With these set.
    pub fn new(breakpoints: &[u64], watchpoints: &[Watchpoint], tried: Tried) -> Debug {
        Debug { breakpoints: breakpoints.to_vec(), watchpoints: watchpoints.to_vec(), tried, ..Debug::default() }
    }

    /// Can all that is set have an effect on this host?
    pub fn possible(&self) -> bool {
        let watched = self.watched().len();
        watched <= SLOTS && (watched == 0 || self.tried.watchpoints) && (self.in_memory().is_empty() || self.tried.instructions)
    }

    /// What the debug registers hold: the watchpoints, then breakpoints.
    fn conditions(&self) -> Vec<Condition> {
        let mut out = self.watched();
        let in_registers = self.breakpoints.len() - self.in_memory().len();
        out.extend(self.breakpoints[..in_registers].iter().map(|a| Condition { address: *a, bits: 0 }));
        out.truncate(SLOTS);
        out
    }

    /// The conditions of the watchpoints. A range that is not of a size and at an address that
    /// debug registers can have is several.
    fn watched(&self) -> Vec<Condition> {
        let mut out = Vec::new();
        for w in &self.watchpoints {
            // There is none for reads alone.
            let kind = if w.read { 3 } else { 1 };
            let (mut at, mut left) = (w.address, w.length.max(1));
            while left > 0 {
                let size = [8u64, 4, 2, 1].into_iter().find(|s| at.is_multiple_of(*s) && *s <= left).unwrap_or(1);
                let length = [0, 0, 1, 0, 3, 0, 0, 0, 2][size as usize];
                out.push(Condition { address: at, bits: kind | length << 2 });
                at = at.wrapping_add(size);
                left -= size;
            }
        }
        out
    }

    /// The breakpoints that the registers have no room for, or that have no effect in them.
    pub fn in_memory(&self) -> &[u64] {
        let left = if self.tried.breakpoints { SLOTS.saturating_sub(self.watched().len()) } else { 0 };
        self.breakpoints.get(left..).unwrap_or_default()
    }

    /// What the kernel is to be told before the core runs; `None` where it knows. `step` executes
    /// one instruction, with interrupts or without.
    pub fn control(&mut self, step: Option<bool>, offers: Offers) -> Option<kvm_guest_debug> {
        let mut debug = kvm_guest_debug::default();
        let conditions = self.conditions();
        if !conditions.is_empty() {
            debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
            debug.arch.debugreg[7] = DR7_FIXED;
        }
        if !self.in_memory().is_empty() {
            debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
        }
        for (n, c) in conditions.iter().enumerate() {
            debug.arch.debugreg[n] = c.address;
            debug.arch.debugreg[7] |= 2 << (2 * n) | c.bits << (16 + 4 * n);
        }
        if let Some(interrupts) = step {
            debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
            if !interrupts && offers.block_interrupts() {
                debug.control |= KVM_GUESTDBG_BLOCKIRQ;
            }
        }
        if self.told == Some(debug) || self.told.is_none() && debug == kvm_guest_debug::default() {
            return None;
        }
        self.told = Some(debug);
        Some(debug)
    }

    /// What an exit for the debugger was for, as far as it was a condition.
    pub fn condition(&self, exit: &kvm_debug_exit_arch) -> Option<Hit> {
        let met = (exit.dr6 & DR6_CONDITIONS).trailing_zeros() as usize;
        let condition = self.conditions().into_iter().nth(met)?;
        if condition.bits == 0 {
            return Some(Hit::Breakpoint);
        }
        let watchpoint = *self.watchpoints.iter().find(|w| (w.address..w.address.saturating_add(w.length.max(1))).contains(&condition.address))?;
        // Which kind of access it was is not told, where both are watched.
        Some(Hit::Watchpoint { watchpoint, address: condition.address, write: watchpoint.write && !watchpoint.read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Tried = Tried { breakpoints: true, watchpoints: true, instructions: true };

    fn watch(address: u64, length: u64, read: bool) -> Watchpoint {
        Watchpoint { address, length, read, write: true }
    }

    #[test]
    fn ranges_become_what_debug_registers_can_watch() {
        let mut d = Debug::new(&[0x1000], &[watch(0x2004, 12, false)], ALL);
        let control = d.control(None, Offers { flags: u32::MAX }).unwrap();
        assert_eq!(&control.arch.debugreg[..3], &[0x2004, 0x2008, 0x1000]);
        // 4 bytes written; 8 bytes written; execution.
        assert_eq!(control.arch.debugreg[7], 0x009d_042a);
        assert!(d.possible());
        assert!(d.control(None, Offers { flags: u32::MAX }).is_none());
        let exit = kvm_debug_exit_arch { dr6: 2, ..Default::default() };
        assert!(matches!(d.condition(&exit), Some(Hit::Watchpoint { address: 0x2008, write: true, .. })));
        d.watchpoints = vec![watch(0x2001, 15, true), watch(0x3000, 1, true)];
        assert!(!d.possible());
    }

    #[test]
    fn breakpoints_without_a_register_are_instructions() {
        let mut d = Debug::new(&[1, 2, 3, 4, 5, 6], &[], ALL);
        assert_eq!(d.in_memory(), [5, 6]);
        d.watchpoints = vec![watch(0x2004, 12, false)];
        assert_eq!(d.in_memory(), [3, 4, 5, 6]);
        let control = d.control(None, Offers { flags: u32::MAX }).unwrap();
        assert_eq!(control.arch.debugreg[..4], [0x2004, 0x2008, 1, 2]);
        assert_ne!(control.control & KVM_GUESTDBG_USE_SW_BP, 0);
        d.breakpoints.truncate(2);
        assert!(d.in_memory().is_empty());
        assert_eq!(d.control(None, Offers { flags: u32::MAX }).unwrap().control & KVM_GUESTDBG_USE_SW_BP, 0);
    }

    #[test]
    fn a_host_is_asked_for_what_it_can_do_only() {
        let (some, many) = ([1, 2], [1, 2, 3, 4, 5]);
        let tried = |breakpoints, watchpoints, instructions| Tried { breakpoints, watchpoints, instructions };
        let cases = [
            (tried(true, true, false), [true, false, true]),
            (tried(true, false, true), [true, true, false]),
            (tried(false, true, true), [true, true, true]),
            (tried(false, true, false), [false, false, true]),
        ];
        for (tried, want) in cases {
            let watch = [watch(8, 8, false)];
            let possible = [(&some[..], &[][..]), (&many, &[]), (&[], &watch)].map(|(b, w)| Debug::new(b, w, tried).possible());
            assert_eq!(possible, want, "{tried:?}");
        }
        assert_eq!(Debug::new(&some, &[], tried(false, true, true)).in_memory(), some);
    }
}
