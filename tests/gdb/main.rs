//! GDB and LLDB against the built programs: each feature by its name.
//!
//! The debuggers are Debian's `gdb-multiarch` and `lldb`; a test whose debugger, compiler or guest is
//! missing says `SKIPPED` and why.
#![forbid(unsafe_code)]

mod features;
mod firmware;
mod kernel;
mod lldb;
mod long;
mod rig;
mod symbols;
