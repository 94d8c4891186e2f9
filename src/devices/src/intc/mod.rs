//! Interrupt controllers.

pub mod gicv2;
mod lines;
