//! The command line of `qemu-system-*`, and what it builds.
//!
//! [`options::parse`] reads a command line into a [`config::Config`]: plain, validated data,
//! nothing opened, nothing built.
#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod front;
pub mod help;
pub mod keyval;
pub mod options;
pub mod target;
