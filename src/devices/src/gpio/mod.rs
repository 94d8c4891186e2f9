//! General-purpose input and output.

pub mod pl061;
