//! Guests that KVM executes: each thing that KVM does for us, by its name.
//!
//! The guest is `firmware/x86/proteus-x86.bin` on the board `microvm`. A test whose host has no KVM, or
//! lacks what it needs (`proteus kvm-ok` says), says `SKIPPED` and why.
#![forbid(unsafe_code)]

mod command_line;
mod debugger;
mod guest;
mod linux;
mod nested;
mod pause;
mod rig;
