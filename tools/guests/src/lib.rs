//! Real guests for the boot tests and the benchmarks.
//!
//! `proteus-guests fetch` takes kernels and programs from Debian through the host's own apt
//! sources, into a cache of its own and as an ordinary user, and builds an initramfs and a disk
//! image of them. The cache is `.guests` in the workspace, or the directory that the environment
//! variable `PROTEUS_GUESTS` names. [`table::guests`] gives one row for each guest.
//!
//! The boot tests and `tools/bench` drive what they start through [`console::Console`], and debug it
//! through [`packets::Client`].
#![forbid(unsafe_code)]

mod apt;
mod built;
pub mod console;
mod cpio;
pub mod fetch;
mod grub;
mod initramfs;
pub mod kvm_host;
mod linux;
mod modules;
pub mod packets;
mod programs;
mod rootfs;
mod sources;
pub mod stream;
pub mod table;
mod tools;
mod u_boot;

use std::path::{Path, PathBuf};

pub use tools::{Error, Result};

/// The root of the workspace that this crate was built in.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Whether the environment asks for a long run, by `PROTEUS_LONG=1`: guests that take long to build,
/// and the heavier matrices of the tests.
pub fn long() -> bool {
    std::env::var_os("PROTEUS_LONG").is_some_and(|value| value != "0" && !value.is_empty())
}

/// The directory that holds the guests: `PROTEUS_GUESTS`, or `.guests` in the workspace.
pub fn cache_dir() -> PathBuf {
    match std::env::var_os("PROTEUS_GUESTS") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => workspace().join(".guests"),
    }
}

/// A file of the cache such as `arm64/Image`, or a message that says how to get it.
pub fn guest_file(name: &str) -> Result<PathBuf> {
    let path = cache_dir().join(name);
    if path.is_file() {
        return Ok(path);
    }
    match table::guests().find(|guest| guest.long && guest.outputs.contains(&name)) {
        Some(guest) => Err(Error::Other(format!("{} is missing: run tools/fetch-guests {}", path.display(), guest.name))),
        None => Err(Error::Missing { path, fix: "run tools/fetch-guests" }),
    }
}
