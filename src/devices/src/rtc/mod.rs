//! Real-time clocks.

pub mod pl031;
