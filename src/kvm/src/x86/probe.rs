//! What the host's KVM does when it is tried: small guests that show what no capability number
//! tells. Software virtualisers pass for KVM, and lack some of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kvm_bindings::*;
use kvm_ioctls::{VcpuFd, VmFd};
use proteus_ram::Region;
use proteus_x86::state::{CR0_PG, CR4_PSE, State, gpr, seg};
use proteus_x86::{Entry, msrs};

use super::{Capability, Host, convert};
use crate::Error;
use crate::kick::Kick;

// The guest's memory.
const SIZE: u64 = 0x20_0000;
const GDT: u64 = 0x1000;
const TABLES: u64 = 0x2000;
const CODE: u64 = 0x8000;
/// Where SYSCALL leads.
const SYSCALL: u64 = 0x9000;
const DATA: u64 = 0xa000;
const STACK: u64 = 0xb000;
/// What each guest writes at its end, and where.
const DONE: u8 = 0x5a;
const PORT: u16 = 0x10;

/// OUT $DONE to PORT, with the value in AL.
const OUT_DONE: [u8; 4] = [0xb0, DONE, 0xe6, PORT as u8];
/// The longest that a guest may take.
const LIMIT: Duration = Duration::from_millis(500);
/// Instructions of the loop that tells how fast ring 0 is, and what is too slow for a processor.
const LOOP: u32 = 20_000;
const SLOW: Duration = Duration::from_millis(10);
/// How often the loop is tried: a host that is busy may be slow for a moment.
const TRIES: usize = 4;

/// Where the guest's code runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// 64-bit, ring 0.
    Kernel,
    /// 64-bit, ring 3, which may use ports.
    User,
    /// 32-bit with paging.
    Paged32,
}

/// How a guest ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// With [`DONE`] in AL; RBX.
    Done(u64),
    /// At a debugger's condition.
    Debug,
    /// Otherwise.
    Other,
}

/// A guest with one core.
struct Guest {
    core: VcpuFd,
    // The kernel must be done with the memory before it goes.
    _vm: VmFd,
    memory: Arc<Region>,
    kick: Arc<Kick>,
}

impl Guest {
    fn new(host: &Host, mode: Mode, code: &[u8]) -> Result<Guest, Error> {
        let vm = host.kvm.create_vm().map_err(Error::refused("KVM_CREATE_VM"))?;
        vm.set_tss_address(super::TSS_ADDRESS).map_err(Error::refused("KVM_SET_TSS_ADDR"))?;
        let memory = Region::new("probe", SIZE).map_err(|e| Error::Unavailable(e.to_string()))?;
        let slot = kvm_userspace_memory_region { memory_size: SIZE, userspace_addr: memory.host_address() as u64, ..Default::default() };
        // SAFETY: the region has this length at this address, and outlives the virtual machine in
        // `Guest`.
        unsafe { vm.set_user_memory_region(slot) }.map_err(Error::refused("KVM_SET_USER_MEMORY_REGION"))?;
        let core = vm.create_vcpu(0).map_err(Error::refused("KVM_CREATE_VCPU"))?;
        let list = host.kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(Error::refused("KVM_GET_SUPPORTED_CPUID"))?;
        let mut entries = list.as_slice().to_vec();
        // A vendor that no processor has shows whose CPUID the guest sees.
        entries.iter_mut().filter(|e| e.function == 0).for_each(|e| e.ebx = VENDOR);
        let list = CpuId::from_entries(&entries).map_err(|_| Error::Lacks("room for CPUID"))?;
        core.set_cpuid2(&list).map_err(Error::refused("KVM_SET_CPUID2"))?;
        use std::os::fd::AsRawFd;
        let kick = Kick::new(core.as_raw_fd()).map_err(|source| Error::Refused { what: "mmap of a core", source })?;
        let guest = Guest { core, _vm: vm, memory, kick };
        guest.fill(code);
        guest.start(mode)?;
        Ok(guest)
    }

    fn fill(&self, code: &[u8]) {
        let put = |at: u64, bytes: &[u8]| self.memory.write(at, bytes).unwrap_or(());
        let word = |at: u64, value: u64| put(at, &value.to_le_bytes());
        // Code and data of ring 0, data and code of ring 3.
        for (n, d) in [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff_u64].iter().enumerate() {
            word(GDT + 8 * n as u64, *d);
        }
        word(TABLES, TABLES + 0x1007);
        word(TABLES + 0x1000, TABLES + 0x2007);
        word(TABLES + 0x2000, 0x87);
        // Those of 32 bits: 4 MiB at once.
        put(TABLES + 0x3000, &0x87u32.to_le_bytes());
        put(CODE, code);
        // MOV EBX,1 tells it from the code behind the instruction.
        put(SYSCALL, &[0xbb, 1, 0, 0, 0]);
        put(SYSCALL + 5, &OUT_DONE);
    }

    fn start(&self, mode: Mode) -> Result<(), Error> {
        let old = self.core.get_sregs().map_err(Error::refused("KVM_GET_SREGS"))?;
        let regs = self.core.get_regs().map_err(Error::refused("KVM_GET_REGS"))?;
        let mut state = convert::state(&regs, &old, &[]);
        let long = mode != Mode::Paged32;
        let entry = Entry { pc: CODE, page_tables: long.then_some(TABLES), code: 0x10, data: 0x18, gdt: Some((GDT, 0x2f)), ..Entry::default() };
        entry.apply(&mut state);
        state.gpr[gpr::RSP] = STACK;
        state.gpr[gpr::RSI] = DATA;
        match mode {
            Mode::Kernel => {}
            Mode::User => user(&mut state),
            Mode::Paged32 => {
                state.cr3 = TABLES + 0x3000;
                state.cr4 |= CR4_PSE;
                state.cr0 |= CR0_PG;
            }
        }
        // SYSCALL is enabled.
        state.efer |= u64::from(long);
        self.core.set_sregs(&convert::sregs(&state, &old)).map_err(Error::refused("KVM_SET_SREGS"))?;
        self.core.set_regs(&convert::regs(&state)).map_err(Error::refused("KVM_SET_REGS"))?;
        let star = [(0xc000_0081, 0x0010_0010_u64 << 32), (0xc000_0082, SYSCALL), (0xc000_0084, 0)];
        debug_assert_eq!(msrs::name(star[1].0), "IA32_LSTAR");
        let entries: Vec<_> = star.iter().map(|(index, data)| kvm_msr_entry { index: *index, data: *data, ..Default::default() }).collect();
        let list = Msrs::from_entries(&entries).map_err(|_| Error::Lacks("room for MSRs"))?;
        self.core.set_msrs(&list).map(drop).map_err(Error::refused("KVM_SET_MSRS"))
    }

    /// Sets a debugger's flags, and a condition in debug register 0 with these bits R/W and LEN.
    fn debug(&self, control: u32, condition: Option<(u64, u64)>) -> Result<(), Error> {
        let mut debug = kvm_guest_debug { control: control | KVM_GUESTDBG_ENABLE, ..Default::default() };
        if let Some((address, bits)) = condition {
            debug.control |= KVM_GUESTDBG_USE_HW_BP;
            debug.arch.debugreg[0] = address;
            debug.arch.debugreg[7] = 1 << 10 | 2 | bits << 16;
        }
        self.core.set_guest_debug(&debug).map_err(Error::refused("KVM_SET_GUEST_DEBUG"))
    }

    /// Runs it to its end.
    fn run(&mut self) -> End {
        let kick = self.kick.clone();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        self.kick.arm();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if wait.recv_timeout(LIMIT).is_err() {
                    kick.ring();
                }
            });
            let ran = self.core.run().map(drop);
            self.kick.disarm();
            let _ = done.send(());
            self.end(ran.is_ok())
        })
    }

    fn end(&mut self, ran: bool) -> End {
        let run = self.core.get_kvm_run();
        match run.exit_reason {
            _ if !ran => End::Other,
            KVM_EXIT_DEBUG => End::Debug,
            KVM_EXIT_IO => match self.core.get_regs() {
                Ok(r) if r.rax as u8 == DONE => End::Done(r.rbx),
                _ => End::Other,
            },
            _ => End::Other,
        }
    }
}

/// EBX of leaf 0, for a guest to find.
const VENDOR: u32 = 0x746f_7250;

/// Ring 3, which may use ports.
fn user(state: &mut State) {
    for (n, s) in state.segments.iter_mut().enumerate() {
        s.selector = if n == seg::CS { 0x2b } else { 0x23 };
        s.attributes |= 3 << 5;
    }
    state.rflags |= 3 << 12;
}

fn code(before: &[u8]) -> Vec<u8> {
    [before, &OUT_DONE].concat()
}

/// Runs a guest of this code; whether it came to its end.
fn ends(host: &Host, mode: Mode, before: &[u8]) -> Result<bool, Error> {
    Ok(matches!(Guest::new(host, mode, &code(before))?.run(), End::Done(_)))
}

/// Whether a debugger's condition stops a guest of this code.
fn stops(host: &Host, mode: Mode, before: &[u8], control: u32, condition: Option<(u64, u64)>) -> Result<bool, Error> {
    let mut guest = Guest::new(host, mode, &code(before))?;
    guest.debug(control, condition)?;
    Ok(guest.run() == End::Debug)
}

/// XOR EAX,EAX; CPUID; and its EBX stays in EBX.
const CPUID: [u8; 4] = [0x31, 0xc0, 0x0f, 0xa2];
const SYSCALL_INSTRUCTION: [u8; 2] = [0x0f, 0x05];
const NOP: u8 = 0x90;
/// MOV [RSI],EAX.
const STORE: [u8; 3] = [0x89, 0x06, NOP];

impl Host {
    /// What this host does when it is tried.
    pub fn capabilities(&self) -> Result<Vec<Capability>, Error> {
        let cpuid = matches!(Guest::new(self, Mode::User, &code(&CPUID))?.run(), End::Done(vendor) if vendor == u64::from(VENDOR));
        let syscall = Guest::new(self, Mode::User, &code(&SYSCALL_INSTRUCTION))?.run() == End::Done(1);
        let rows = [
            (
                "ring 0 at the processor's speed",
                "this is a software virtualiser that emulates ring 0: Linux, OVMF and the like do not boot on it",
                self.fast()?,
            ),
            ("64-bit ring 3", "no user program runs", ends(self, Mode::User, &[NOP])?),
            ("32-bit paging", "kernels of 32 bits do not run", ends(self, Mode::Paged32, &[NOP])?),
            ("the instruction SYSCALL", "user programs cannot call a 64-bit kernel", syscall),
            ("the model's CPUID in ring 3", "user programs see the host's processor whatever -cpu says", cpuid),
            ("INT3 in ring 0", "kernels with breakpoints of their own end in an internal error", self.breakpoint_instruction()?),
            ("single steps", "debuggers cannot step", stops(self, Mode::Kernel, &[NOP, NOP], KVM_GUESTDBG_SINGLESTEP, None)?),
            ("hardware breakpoints", "debuggers' breakpoints have no effect", self.breakpoints()?),
            (
                "hardware breakpoints in ring 3",
                "debuggers' breakpoints have no effect in user programs",
                stops(self, Mode::User, &[NOP, NOP], 0, Some((CODE + 1, 0)))?,
            ),
            ("watchpoints", "debuggers' watchpoints have no effect", self.watchpoints()?),
        ];
        Ok(rows.into_iter().map(|(name, without, there)| Capability { name, without, there }).collect())
    }

    /// Whether a loop in ring 0 takes no longer than a processor would.
    fn fast(&self) -> Result<bool, Error> {
        let [a, b, c, d] = LOOP.to_le_bytes();
        // 1: MOV ECX,LOOP; 2: DEC ECX; JNZ 2b; the end; JMP 1b.
        let mut guest = Guest::new(self, Mode::Kernel, &[&code(&[0xb9, a, b, c, d, 0xff, 0xc9, 0x75, 0xfc])[..], &[0xeb, 0xf1]].concat())?;
        // The first time fills what the host caches of a guest.
        Ok((0..TRIES).any(|_| {
            let before = Instant::now();
            matches!(guest.run(), End::Done(_)) && before.elapsed() < SLOW
        }))
    }

    /// Whether a breakpoint in a debug register stops a guest.
    pub(super) fn breakpoints(&self) -> Result<bool, Error> {
        stops(self, Mode::Kernel, &[NOP, NOP], 0, Some((CODE + 1, 0)))
    }

    /// Whether a watchpoint stops a guest.
    pub(super) fn watchpoints(&self) -> Result<bool, Error> {
        stops(self, Mode::Kernel, &STORE, 0, Some((DATA, 0xd)))
    }

    /// Whether INT3 in ring 0 becomes the debugger's, where one asked for it.
    pub(super) fn breakpoint_instruction(&self) -> Result<bool, Error> {
        let mut guest = Guest::new(self, Mode::Kernel, &code(&[0xcc]))?;
        guest.debug(KVM_GUESTDBG_USE_SW_BP, None)?;
        Ok(guest.run() == End::Debug)
    }
}
