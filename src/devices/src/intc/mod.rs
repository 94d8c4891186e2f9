//! Interrupt controllers.

pub mod gicv2;
pub mod gicv3;
pub mod i8259;
pub mod ioapic;
mod lines;
