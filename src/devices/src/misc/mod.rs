//! What belongs to no other kind.

pub mod malta_fpga;
pub mod pvpanic;
pub mod unimplemented;
