//! The translator: hot regions of guest code compiled by Cranelift on a background thread.
//!
//! A [`Frontend`] brings a target's instructions, a [`Compiler`] serves the cores of one machine,
//! and [`Compiler::tier`] gives each core its tier above the interpreter. `README.md` beside this
//! crate has the conventions of compiled code.

mod arena;
mod compiler;
mod emit;
mod float;
mod memory;
mod region;
mod scout;
mod thunks;
mod vector;

pub use compiler::{Compiler, CraneliftTier, Options, Statistics, Unavailable};
pub use emit::{C, Emitter, V, X};
pub use region::{Frontend, Refused};
pub use scout::Scout;
