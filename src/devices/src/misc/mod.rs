//! What belongs to no other kind.

pub mod acpi_ged;
pub mod isa_debug_exit;
pub mod malta_fpga;
pub mod pvpanic;
pub mod unimplemented;
