//! Real-time clocks.

pub mod mc146818;
pub mod pl031;
