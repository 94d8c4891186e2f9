//! x86 processors of 64 bits: their state, the models as CPUID sees them, model-specific registers,
//! what a debugger sees, and how a core starts (Intel 64 and IA-32 Architectures Software
//! Developer's Manual, "SDM", and AMD64 Architecture Programmer's Manual, "APM").
//!
//! Who executes the cores is not said here: an accelerator fills a [`State`] and takes one.
#![forbid(unsafe_code)]

pub mod cpuid;
pub mod features;
pub mod mmu;
pub mod models;
pub mod msrs;
pub mod registers;
pub mod start;
pub mod state;

pub use cpuid::{Leaf, Topology};
pub use models::Model;
pub use start::Entry;
pub use state::State;
