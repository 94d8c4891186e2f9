//! Reading a kernel or firmware file, expanding it, and planning where it goes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::compressed::{gunzip, is_gzip, zboot_payload};
use crate::error::{Defect, LoadError};
use crate::image::{Image, identify};
use crate::plan::{LoadPlan, Placement};

/// A kernel file in memory, expanded and identified.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The file it came from, for messages.
    pub file: PathBuf,
    /// Its bytes after expansion: what the ranges of a [`LoadPlan`] refer to.
    pub bytes: Vec<u8>,
    /// What they are.
    pub image: Image,
}

/// Reads a file of at most `limit` bytes: kernel, initial RAM disk, firmware or device tree.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let read = || {
        let mut bytes = Vec::new();
        // `take` rather than the file's size, which pipes and devices do not have.
        File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(Defect::TooLarge { limit });
        }
        Ok(bytes)
    };
    read().map_err(|d: Defect| d.in_file(path))
}

/// Reads a kernel, expanding gzip, EFI zboot and compressed uImage payloads. Neither the file nor
/// what it expands to may be larger than `limit`, which should be the guest's RAM.
pub fn load_kernel_file(path: &Path, limit: u64) -> Result<Kernel, LoadError> {
    let bytes = read_file(path, limit)?;
    Kernel::from_bytes(path, bytes, limit)
}

impl Kernel {
    /// The same for bytes that are in memory already; `file` is for messages.
    pub fn from_bytes(file: &Path, bytes: Vec<u8>, limit: u64) -> Result<Self, LoadError> {
        let (bytes, image) = expand(bytes, limit).map_err(|d| d.in_file(file))?;
        Ok(Kernel { file: file.to_path_buf(), bytes, image })
    }

    /// Where the kernel's bytes go. See [`LoadPlan`].
    pub fn plan(&self, placement: &Placement) -> Result<LoadPlan, LoadError> {
        LoadPlan::new(&self.image, self.bytes.len(), placement).map_err(|d| d.in_file(&self.file))
    }
}

fn expand(mut bytes: Vec<u8>, limit: u64) -> Result<(Vec<u8>, Image), Defect> {
    if let Some(payload) = zboot_payload(&bytes, limit)? {
        bytes = payload;
    } else if is_gzip(&bytes) {
        bytes = gunzip(&bytes, limit)?;
    }
    let mut image = identify(&bytes)?;
    if let Image::UImage(u) = &mut image
        && u.gzip
    {
        bytes = gunzip(bytes.get(u.payload.clone()).unwrap_or_default(), limit)?;
        u.payload = 0..bytes.len();
        u.gzip = false;
    }
    Ok((bytes, image))
}
