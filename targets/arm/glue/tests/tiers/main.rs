//! The interpreter and compiled code, side by side.

mod cases;
mod flash;
mod fuzz;
mod rig;
mod speed;
