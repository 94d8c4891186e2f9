//! Graphics cards.

mod picture;
pub mod vga;
