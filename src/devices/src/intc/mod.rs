//! Interrupt controllers.

pub mod gicv2;
pub mod gicv3;
mod lines;
