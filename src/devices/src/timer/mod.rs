//! Timers.

pub mod arm_generic;
pub mod i8254;
pub mod mips_count;
