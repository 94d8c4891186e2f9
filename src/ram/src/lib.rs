//! Guest memory and the software TLB that points into it.
//!
//! This crate is an unsafe island: everything outside it sees guest memory through [`Region`]'s
//! safe, bounds-checked accessors. Guest cores, DMA and host threads race on this memory as they
//! do on a real machine, so every access made here is atomic.

mod region;
#[cfg(test)]
mod tests;
pub mod tlb;

pub use region::{OutOfRange, PAGE_SHIFT, PAGE_SIZE, Region, RegionError};
