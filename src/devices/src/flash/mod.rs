//! Flash memories.

pub mod cfi;
