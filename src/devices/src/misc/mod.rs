//! What belongs to no other kind.

pub mod unimplemented;
