//! Timers.

pub mod arm_generic;
