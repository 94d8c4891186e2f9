//! Timers.

pub mod arm_generic;
pub mod mips_count;
