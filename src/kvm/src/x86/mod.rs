//! x86-64 guests on x86-64 hosts.

mod chips;
mod convert;
mod core;
mod debug;
mod interrupts;
mod planted;
mod probe;
mod saved;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, Kvm, VmFd};
use parking_lot::Mutex;
use proteus_exec::Vcpu;
use proteus_exec::system::System;
use proteus_model::Machine;
use proteus_x86::cpuid::{self, Leaf, Topology};
use proteus_x86::features;

use crate::doorbells::Doorbells;
use crate::memory::Slots;
use crate::{Chips, Configuration, Error, core_id};

pub use self::core::Core;
pub use chips::SavedChips;
use debug::Tried;
use interrupts::Messages;
use planted::Planted;
pub use saved::Saved;

/// Version of the interface, the same since Linux 2.6.22.
const API_VERSION: i32 = 12;
/// Where Intel processors of old want three pages and one for virtual-8086 mode and real mode: in
/// the addresses below the firmware, where nothing else is.
const TSS_ADDRESS: usize = 0xfeff_d000;
const IDENTITY_MAP: u64 = 0xfeff_c000;
/// What the kernel has for itself: its I/O APIC, the local APICs, and the two above.
const RESERVED: &[Range<u64>] = &[0xfec0_0000..0xfec0_1000, 0xfee0_0000..0xfee0_1000, IDENTITY_MAP..0xff00_0000];
/// Inputs of the I/O APIC.
const PINS: u64 = 24;

/// Something that the host's KVM may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it is.
    pub name: &'static str,
    /// What is missing without it.
    pub without: &'static str,
    /// Whether the host has it.
    pub there: bool,
}

/// The host's KVM.
pub struct Host {
    kvm: Kvm,
}

/// What is needed, and what it is needed for.
const NEEDED: &[(Cap, &str)] = &[
    (Cap::UserMemory, "memory slots (KVM_CAP_USER_MEMORY)"),
    (Cap::SplitIrqchip, "local APICs beside an I/O APIC of ours (KVM_CAP_SPLIT_IRQCHIP)"),
    (Cap::SignalMsi, "interrupt messages (KVM_CAP_SIGNAL_MSI)"),
    (Cap::ImmediateExit, "immediate_exit (KVM_CAP_IMMEDIATE_EXIT)"),
    (Cap::MpState, "the state of several processors (KVM_CAP_MP_STATE)"),
    (Cap::VcpuEvents, "pending events (KVM_CAP_VCPU_EVENTS)"),
];

/// What [`Chips::Kernel`] needs.
const CHIPS: &[(Cap, &str)] = &[
    (Cap::Irqchip, "the interrupt controllers of a PC (KVM_CAP_IRQCHIP)"),
    (Cap::Pit2, "the interval timer of a PC (KVM_CAP_PIT2)"),
    (Cap::PitState2, "the interval timer's state (KVM_CAP_PIT_STATE2)"),
    (Cap::IrqRouting, "routes of interrupts (KVM_CAP_IRQ_ROUTING)"),
];

impl Host {
    /// Opens KVM, and finds out whether it has what is needed.
    pub fn open() -> Result<Host, Error> {
        let kvm = Kvm::new().map_err(|e| Error::Unavailable(crate::ok::why(std::io::Error::from_raw_os_error(e.errno()))))?;
        if kvm.get_api_version() != API_VERSION {
            return Err(Error::Unavailable(format!("the kernel's KVM has interface version {}, not {API_VERSION}", kvm.get_api_version())));
        }
        match NEEDED.iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
            Some((_, what)) => Err(Error::Lacks(what)),
            None => Ok(Host { kvm }),
        }
    }

    /// Whether it has the interrupt controllers of a PC ([`Chips::Kernel`]).
    pub fn has_chips(&self) -> Result<(), Error> {
        match CHIPS.iter().find(|(cap, _)| !self.kvm.check_extension(*cap)) {
            Some((_, what)) => Err(Error::Lacks(what)),
            None => Ok(()),
        }
    }

    /// What KVM can give of CPUID.
    pub fn supported(&self) -> Result<Vec<Leaf>, Error> {
        let list = self.kvm.get_supported_cpuid(kvm_bindings::KVM_MAX_CPUID_ENTRIES).map_err(Error::refused("KVM_GET_SUPPORTED_CPUID"))?;
        Ok(list.as_slice().iter().map(leaf).collect())
    }
}

fn leaf(e: &kvm_cpuid_entry2) -> Leaf {
    let indexed = e.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX != 0;
    Leaf { function: e.function, index: e.index, indexed, registers: [e.eax, e.ebx, e.ecx, e.edx] }
}

fn entry(l: &Leaf) -> kvm_cpuid_entry2 {
    let flags = if l.indexed { KVM_CPUID_FLAG_SIGNIFCANT_INDEX } else { 0 };
    let [eax, ebx, ecx, edx] = l.registers;
    kvm_cpuid_entry2 { function: l.function, index: l.index, flags, eax, ebx, ecx, edx, ..Default::default() }
}

/// A machine as the kernel has it. The fields go in this order: the kernel must be done with the
/// memory before it goes.
pub struct Vm {
    fd: VmFd,
    messages: Mutex<Messages>,
    /// The state of the interrupt controllers that the kernel has after a reset.
    chips: Option<SavedChips>,
    slots: Mutex<Slots>,
    /// Where the host takes any.
    doorbells: Option<Mutex<Doorbells>>,
    /// Bytes of a core's extended state.
    xsave: usize,
    /// Model-specific registers that are part of a core's state.
    msrs: Vec<u32>,
    debug: debug::Offers,
    /// Breakpoint instructions in memory.
    planted: Planted,
    /// What came of trying what debuggers need, once one needs it.
    tried: OnceLock<Tried>,
}

impl Vm {
    fn new(host: &Host, machine: &Arc<Machine>, chips: Chips) -> Result<Arc<Vm>, Error> {
        let fd = host.kvm.create_vm().map_err(Error::refused("KVM_CREATE_VM"))?;
        fd.set_identity_map_address(IDENTITY_MAP).map_err(Error::refused("KVM_SET_IDENTITY_MAP_ADDR"))?;
        fd.set_tss_address(TSS_ADDRESS).map_err(Error::refused("KVM_SET_TSS_ADDR"))?;
        let chips = match chips {
            Chips::Machine => interrupts::split(&fd, PINS).map_err(Error::refused("KVM_ENABLE_CAP of KVM_CAP_SPLIT_IRQCHIP")).map(|()| None)?,
            Chips::Kernel => Some(chips::create(&fd)?),
        };
        let messages = Mutex::new(Messages::new(&fd, PINS as usize, chips.is_some()));
        let doorbells = fd.check_extension(Cap::Ioeventfd).then(|| Doorbells::new(machine)).transpose();
        let doorbells = doorbells.map_err(|source| Error::Refused { what: "a thread for KVM_IOEVENTFD", source })?.map(Mutex::new);
        let msrs = host.kvm.get_msr_index_list().map_err(Error::refused("KVM_GET_MSR_INDEX_LIST"))?.as_slice().to_vec();
        let xsave = usize::try_from(fd.check_extension_int(Cap::Xsave2)).unwrap_or(0);
        let slots = Mutex::new(Slots::new(fd.check_extension(Cap::ReadonlyMem), RESERVED));
        let debug = debug::Offers::new(&fd);
        let (planted, tried) = (Planted::default(), OnceLock::new());
        Ok(Arc::new(Vm { fd, messages, chips, slots, doorbells, xsave, msrs, debug, planted, tried }))
    }

    /// Tries what debuggers need, which takes some milliseconds, once. A host where that fails has none of it.
    fn tried(&self) -> Tried {
        let try_it = || -> Result<Tried, Error> {
            let host = Host::open()?;
            Ok(Tried { breakpoints: host.breakpoints()?, watchpoints: host.watchpoints()?, instructions: host.breakpoint_instruction()? })
        };
        *self.tried.get_or_init(|| try_it().unwrap_or_default())
    }

    /// Makes the slots those of the machine's address space.
    fn follow(&self, machine: &Machine) -> Result<(), Error> {
        self.slots.lock().follow(&self.fd, &machine.space()).map_err(Error::refused("KVM_SET_USER_MEMORY_REGION"))?;
        if let Some(doorbells) = &self.doorbells {
            doorbells.lock().follow(&self.fd, machine);
        }
        Ok(())
    }

    /// The state of the interrupt controllers and the timer, where the kernel has them.
    pub fn save_chips(&self) -> Result<Option<SavedChips>, Error> {
        self.chips.is_some().then(|| SavedChips::of(&self.fd)).transpose()
    }

    /// Puts it back.
    pub fn restore_chips(&self, saved: &SavedChips) -> Result<(), Error> {
        saved.restore(&self.fd)
    }

    /// A reset of the interrupt controllers and the timer, where the kernel has them.
    fn reset_chips(&self, machine: &Machine) -> Result<(), Error> {
        let Some(chips) = &self.chips else { return Ok(()) };
        chips.restore(&self.fd)?;
        machine.repeat_lines();
        Ok(())
    }

    /// The paravirtual clock that guests read, in nanoseconds: part of the machine's state.
    pub fn clock(&self) -> Result<u64, Error> {
        Ok(self.fd.get_clock().map_err(Error::refused("KVM_GET_CLOCK"))?.clock)
    }

    /// Sets the paravirtual clock.
    pub fn set_clock(&self, clock: u64) -> Result<(), Error> {
        self.fd.set_clock(&kvm_bindings::kvm_clock_data { clock, ..Default::default() }).map_err(Error::refused("KVM_SET_CLOCK"))
    }

    /// Lets the kernel log which pages the guest writes, or no longer.
    pub fn log_writes(&self, on: bool) -> Result<(), Error> {
        self.slots.lock().log(&self.fd, on).map_err(Error::refused("KVM_SET_USER_MEMORY_REGION with KVM_MEM_LOG_DIRTY_PAGES"))
    }

    /// Marks the pages that the guest has written since the last time dirty in its memory.
    pub fn collect_writes(&self) -> Result<(), Error> {
        self.slots.lock().collect(&self.fd).map_err(Error::refused("KVM_GET_DIRTY_LOG"))
    }
}

/// Makes the cores of a machine.
pub fn build(host: &Host, machine: &Arc<Machine>, configuration: Configuration) -> Result<Vec<Box<dyn Vcpu>>, Error> {
    Ok(cores(host, machine, configuration)?.into_iter().map(|c| Box::new(c) as Box<dyn Vcpu>).collect())
}

/// The same, as they are.
pub fn cores(host: &Host, machine: &Arc<Machine>, configuration: Configuration) -> Result<Vec<Core>, Error> {
    let vm = Vm::new(host, machine, configuration.chips)?;
    let supported = host.supported()?;
    let missing = cpuid::missing(configuration.model, &configuration.changes, &supported);
    let names = features::names(&missing);
    if !names.is_empty() {
        (configuration.report)(&format!("warning: -cpu {}: this host's KVM cannot give {}", configuration.model.name, names.join(", ")));
    }
    let count = configuration.apic_ids.len();
    let system = System::new((0..count).filter_map(|n| machine.core_lines(core_id(n)).cloned()));
    let configuration = Arc::new(configuration);
    let mut cores = Vec::with_capacity(count);
    for (n, apic_id) in configuration.apic_ids.iter().enumerate() {
        let topology = Topology { cores: count as u32, apic_id: *apic_id };
        let leaves = cpuid::leaves(configuration.model, &configuration.changes, &supported, topology);
        let entries: Vec<_> = leaves.iter().map(entry).collect();
        let list = CpuId::from_entries(&entries).map_err(|_| Error::Lacks("room for the model's CPUID (KVM_MAX_CPUID_ENTRIES)"))?;
        cores.push(Core::new(core_id(n), vm.clone(), machine, &system, &configuration, &list)?);
    }
    let sink = vm.clone();
    machine.set_message_sink(Box::new(move |address, data| sink.messages.lock().send(&sink.fd, address, data)));
    let lines = vm.clone();
    machine.set_line_sink(Box::new(move |line, level| chips::set_line(&lines.fd, line, level)));
    vm.follow(machine)?;
    Ok(cores)
}
