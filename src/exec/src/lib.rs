//! Executing guests: the [`Ops`] trait that instructions are written against, the interpreter,
//! blocks, and the run loop of a translated core.
//!
//! This crate has no `unsafe`: what needs it (host addresses of guest memory) is in
//! `proteus-ram`, and compiled code is entered by `proteus-translator` behind [`Tier`].
#![forbid(unsafe_code)]

pub mod block;
pub mod core;
pub mod cpu;
pub mod debug;
mod eval;
pub mod fp;
pub mod jump;
mod log;
pub mod ops;
pub mod prim;
pub mod region;
pub mod registers;
pub mod runner;
pub mod scan;
pub mod sched;
pub mod semihosting;
pub mod system;
pub mod target;
pub mod vcpu;
pub mod vector;

pub use crate::core::{Core, Fault, InstructionClock, Run};
pub use crate::cpu::{Cpu, Stop, Thresholds};
pub use crate::ops::Ops;
pub use crate::region::{Compiled, Left, Requested, Source, Tier};
pub use crate::target::{Access, BusError, Decoded, DelaySlots, HelperFn, HostFloat, Interpret, Layout, MODE_SLOT, Step, Target, Translation, WORDS};
pub use crate::vcpu::{Start, Vcpu};
