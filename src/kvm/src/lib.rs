//! Cores that Linux's KVM executes (Documentation/virt/kvm/api.rst).
//!
//! [`Host::open`] finds out what the host offers; what it lacks is refused by name, or said once and
//! done without. A core is a [`proteus_exec::Vcpu`] like those of the translator, so schedulers,
//! debuggers and monitors do not see the difference. This crate is one of those that may use
//! `unsafe`: it gives the kernel host addresses of guest memory, and reads what the kernel puts into
//! the page it shares with each core.
//!
//! KVM executes guests of the host's own architecture. There is a back end for x86-64; on other
//! hosts the crate is there and refuses.

#[cfg(target_arch = "x86_64")]
mod doorbells;
mod error;
#[cfg(target_arch = "x86_64")]
mod kick;
#[cfg(target_arch = "x86_64")]
mod memory;
pub mod ok;

#[cfg(target_arch = "x86_64")]
#[path = "x86/mod.rs"]
mod backend;
#[cfg(not(target_arch = "x86_64"))]
#[path = "absent.rs"]
mod backend;

pub use backend::{Capability, Host, build};
#[cfg(target_arch = "x86_64")]
pub use backend::{Core, Saved, SavedChips, Vm, cores};
pub use error::Error;

use std::sync::Arc;

use proteus_x86::cpuid::Changes;
use proteus_x86::{Entry, Model};

/// What a machine of x86 cores is to be.
pub struct Configuration {
    /// The model of all cores.
    pub model: &'static Model,
    /// Features that the user switched on and off.
    pub changes: Changes,
    /// Identifier of each core's local APIC.
    pub apic_ids: Vec<u32>,
    /// Where the first core starts; `None`: at its reset vector. The others wait for a start-up
    /// interrupt.
    pub entry: Option<Entry>,
    /// The I/O port of the model whose read acknowledges an interrupt of the interrupt controller
    /// at line IRQ, and gives its vector.
    pub acknowledge_port: Option<u64>,
    /// Where the I/O APIC takes the vector of an interrupt that has ended.
    pub end_of_interrupt: Option<u64>,
    /// Who has the interrupt controllers beside the local APICs.
    pub chips: Chips,
    /// Takes a line for people.
    pub report: Report,
}

/// Who has the interrupt controllers of a PC beside the local APICs, and the interval timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Chips {
    /// The machine; the kernel has the local APICs only.
    #[default]
    Machine,
    /// The kernel: the PICs, the I/O APIC and the timer. The machine's lines that end outside are the
    /// interrupts of the ISA bus, and go on to the I/O APIC's inputs as PCs have it.
    Kernel,
}

/// Takes a line for people.
pub type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// A core by its number.
#[cfg(target_arch = "x86_64")]
fn core_id(n: usize) -> proteus_model::CoreId {
    proteus_model::CoreId(n as u16)
}
