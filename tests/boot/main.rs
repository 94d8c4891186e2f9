//! Whole machines, driven through the program as a user at a serial console drives it.
//!
//! The guests are those of `tools/fetch-guests`; a test whose guest is missing says `SKIPPED` and
//! why. `PROTEUS_LONG=1` adds the heavier matrices and the guests that take long to
//! build, and `PROTEUS_ACCEL=interpreter` (or another
//! value of `-accel`) runs every test with that;
//! the words of `PROTEUS_WORDS` are added to every command line. What was measured is printed as `figure: ...`
//! (`cargo nextest run --release --test boot --no-capture` shows it).
#![forbid(unsafe_code)]

mod bare_mips;
mod big_endian;
mod chardev;
mod determinism;
mod disk;
mod disk_image;
mod documented;
mod endings;
mod firmware;
mod linux;
mod litmus;
mod network;
mod pc;
mod rig;
mod u_boot;
