//! Block back ends: what a disk, a flash or a CD-ROM reads and writes.
//!
//! A [`BlockBackend`] is an array of bytes at the host. Its methods wait for the host, so a device
//! calls them from a thread that may wait.

mod graph;
mod lock;
mod overlay;
mod probe;
mod raw;
mod spec;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use graph::{BlockGraph, open};
pub use spec::{BlockSpec, Cache, Child, DetectZeroes, DriveSpec, ErrorAction, Interface, NodeOptions, Source};

/// The sector that lengths are rounded up to.
pub const SECTOR: u64 = 512;

/// A disk's bytes at the host. Requests may come from several threads at once.
pub trait BlockBackend: Send + Sync {
    /// How many bytes there are: whole sectors.
    fn len(&self) -> u64;

    /// No bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes are refused.
    fn read_only(&self) -> bool;

    /// A write may be lost until the next flush (the guest should be told that there is a cache).
    fn write_cache(&self) -> bool {
        true
    }

    /// Fills the buffer. Beyond the end is an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of the bytes. Beyond the end is an error.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// What was written before is on the disk.
    fn flush(&self) -> io::Result<()>;

    /// The guest does not need these bytes any more; what they read as afterwards is not said.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;

    /// These bytes read as zeroes from now on; with `unmap` their space may be freed.
    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()>;
}

impl std::fmt::Debug for dyn BlockBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlockBackend({} bytes)", self.len())
    }
}

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The description is wrong.
    #[error("{0}")]
    Spec(String),
    /// The description is right for QEMU, but the feature is missing here.
    #[error("{0}")]
    Unsupported(String),
    /// The host refused.
    #[error("cannot {what} '{}': {error}", path.display())]
    Host {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the host said.
        error: io::Error,
    },
    /// Another process uses the image in a way that excludes ours.
    #[error(
        "image '{}' is in use: another process {}; end it, or open the image with read-only=on on both sides",
        path.display(),
        if *shared { "does not share it for writing" } else { "writes it" }
    )]
    Locked {
        /// The image.
        path: PathBuf,
        /// We want to write and the other one does not allow it; else the other one writes.
        shared: bool,
    },
    /// No node has this name.
    #[error("no block node is called '{0}'; make it with -blockdev driver=...,node-name={0}")]
    NotFound(String),
    /// The name is taken.
    #[error("a block node called '{0}' exists already")]
    Exists(String),
}

/// Checks a request against the length: a guest's numbers are not to be trusted.
fn check(len: u64, offset: u64, bytes: u64) -> io::Result<()> {
    match offset.checked_add(bytes) {
        Some(end) if end <= len => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{bytes} bytes at {offset:#x} are beyond the image's {len:#x}"))),
    }
}

fn refuse_write() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "the image is read-only")
}

/// A node with the same interface as the one it holds.
type Node = Arc<dyn BlockBackend>;
