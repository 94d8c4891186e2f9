//! A host whose processor has no back end here yet.

use std::sync::Arc;

use proteus_exec::Vcpu;
use proteus_model::Machine;

use crate::{Configuration, Error};

/// Nothing that could be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it is.
    pub name: &'static str,
    /// What is missing without it.
    pub without: &'static str,
    /// Whether the host has it.
    pub there: bool,
}

/// A host that cannot.
pub struct Host(std::convert::Infallible);

fn refused() -> Error {
    Error::Unavailable(format!("KVM on {} hosts is not implemented in Proteus yet", std::env::consts::ARCH))
}

impl Host {
    /// Refuses.
    pub fn open() -> Result<Host, Error> {
        Err(refused())
    }

    /// Whether it has the interrupt controllers of a PC.
    pub fn has_chips(&self) -> Result<(), Error> {
        match self.0 {}
    }

    /// What KVM can give of CPUID.
    pub fn supported(&self) -> Result<Vec<proteus_x86::cpuid::Leaf>, Error> {
        match self.0 {}
    }

    /// What the host offers.
    pub fn capabilities(&self) -> Result<Vec<Capability>, Error> {
        match self.0 {}
    }
}

/// Refuses.
pub fn build(host: &Host, _: &Arc<Machine>, _: Configuration) -> Result<Vec<Box<dyn Vcpu>>, Error> {
    match host.0 {}
}
