//! What a debugger asks of a core: breakpoints, watchpoints and single steps.
//!
//! None of it costs anything where it is not used. A breakpoint ends the block before it, and
//! the block that begins at it stops the core; a page with a watchpoint is not entered in the TLB,
//! so that its accesses take the slow path, which looks. Both are by virtual address, in whatever
//! address space, and whether the MMU is on or not.

use crate::core::Core;
use crate::ops::Mem;
use crate::target::{Access, Step, Target};
use proteus_ram::tlb::{PAGE_MASK, PAGE_SIZE};

/// A watched range of virtual addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watchpoint {
    /// The first byte.
    pub address: u64,
    /// Bytes, at least 1.
    pub length: u64,
    /// Reads stop the core.
    pub read: bool,
    /// Writes stop the core.
    pub write: bool,
}

impl Watchpoint {
    /// Whether any of `bytes` at `address` are watched.
    fn overlaps(&self, address: u64, bytes: u64) -> bool {
        let (last, watched_last) = (address.saturating_add(bytes - 1), self.address.saturating_add(self.length.max(1) - 1));
        address <= watched_last && self.address <= last
    }
}

/// Why a debugger stopped the core. The pc is that of the instruction, which has not been executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hit {
    /// It has a breakpoint.
    Breakpoint,
    /// It would access watched memory.
    Watchpoint {
        /// The watchpoint.
        watchpoint: Watchpoint,
        /// Address of the access.
        address: u64,
        /// It is a write.
        write: bool,
    },
}

/// What a debugger has set on a core.
#[derive(Debug, Default)]
pub struct Debug {
    /// Virtual addresses, ascending.
    breakpoints: Vec<u64>,
    watchpoints: Vec<Watchpoint>,
    /// What stopped the core.
    pub hit: Option<Hit>,
    /// The budget is to be used to its last instruction.
    pub stepping: bool,
    /// Interrupts are not taken.
    pub interrupts_masked: bool,
}

impl Debug {
    /// Is there a breakpoint at `pc`?
    #[inline]
    pub fn breaks_at(&self, pc: u64) -> bool {
        !self.breakpoints.is_empty() && self.breakpoints.binary_search(&pc).is_ok()
    }

    /// The breakpoints, ascending.
    pub(crate) fn breakpoints(&self) -> &[u64] {
        &self.breakpoints
    }

    /// Is anything in the page of `address` watched?
    #[inline]
    pub(crate) fn watches_page(&self, address: u64) -> bool {
        self.watchpoints.iter().any(|w| w.overlaps(address & PAGE_MASK, PAGE_SIZE))
    }

    /// Sets the breakpoints; gives those that are new and those that are gone.
    pub(crate) fn set_breakpoints(&mut self, addresses: &[u64]) -> Vec<u64> {
        let mut new = addresses.to_vec();
        new.sort_unstable();
        new.dedup();
        let changed = |a: &[u64], b: &[u64]| a.iter().copied().filter(|p| b.binary_search(p).is_err()).collect::<Vec<_>>();
        let mut all = changed(&new, &self.breakpoints);
        all.extend(changed(&self.breakpoints, &new));
        self.breakpoints = new;
        all
    }

    /// Sets the watchpoints; whether that changed anything.
    pub(crate) fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]) -> bool {
        let changed = self.watchpoints != watchpoints;
        self.watchpoints = watchpoints.to_vec();
        changed
    }
}

/// The instruction of a block at a breakpoint.
pub(crate) fn break_here<T: Target>(core: &mut Core<T>, _: u32) -> Step {
    core.debug.hit = Some(Hit::Breakpoint);
    Step::Fault
}

impl<T: Target> Core<T> {
    /// Whether an access stops the core; notes it where it does.
    pub(crate) fn watched(&mut self, address: u64, m: Mem, access: Access) -> bool {
        let bytes = m.bytes().max(m.align.into());
        let write = access == Access::Write;
        let found = self.debug.watchpoints.iter().find(|w| (if write { w.write } else { w.read }) && w.overlaps(address, bytes)).copied();
        let Some(watchpoint) = found else { return false };
        self.debug.hit = Some(Hit::Watchpoint { watchpoint, address, write });
        true
    }

    /// After a hit: the pc is that of the instruction, or of the branch before it where that is
    /// to be done again.
    pub(crate) fn stop_at_hit(&mut self) {
        self.pending = None;
        let mut pc = self.run.pc;
        if self.run.slot != 0 && matches!(self.debug.hit, Some(Hit::Watchpoint { .. })) {
            // Instructions have one length where there are delay slots.
            pc = pc.wrapping_sub(self.run.next_pc.wrapping_sub(pc));
            self.end_delay();
        }
        *self.word_mut(T::LAYOUT.pc) = pc;
        self.resync();
    }
}
