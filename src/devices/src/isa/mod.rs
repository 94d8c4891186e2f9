//! South bridges: what joins the parts of a personal computer to a PCI bus.

pub mod debugcon;
pub mod i8042;
pub mod piix4;
pub mod piix4_pm;
mod smbus;
