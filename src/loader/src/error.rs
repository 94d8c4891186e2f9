//! What can be wrong with a file.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file that cannot be loaded, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {defect}", Printable(file))]
pub struct LoadError {
    /// The file as the user named it.
    pub file: PathBuf,
    /// What is wrong with it.
    #[source]
    pub defect: Defect,
}

/// What is wrong with a file's contents (or with getting at them).
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// The operating system refused.
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
    /// It ends before something its own headers promise.
    #[error("truncated or corrupt: {what} ends at byte {end:#x}, but there are only {size:#x} bytes")]
    Truncated {
        /// The part that is cut off.
        what: &'static str,
        /// Where that part would end.
        end: u64,
        /// How many bytes there are.
        size: u64,
    },
    /// More bytes (after decompression) than the guest has room for.
    #[error("larger than the guest memory it must fit in ({limit:#x} bytes); give the guest more with -m")]
    TooLarge {
        /// The limit that was passed.
        limit: u64,
    },
    /// Does not fit at the guest addresses where it must go.
    #[error("{what} at {start:#x}..{end:#x} does not fit in guest memory {ram_start:#x}..{ram_end:#x}; give the guest more with -m, or link it elsewhere")]
    DoesNotFit {
        /// The part that does not fit.
        what: &'static str,
        /// First guest address of the part.
        start: u64,
        /// One past its last guest address.
        end: u64,
        /// First guest address of the memory.
        ram_start: u64,
        /// One past its last guest address.
        ram_end: u64,
    },
    /// Breaks the rules of its format.
    #[error("corrupt {format}: {what}")]
    Malformed {
        /// The format it claims to be in.
        format: &'static str,
        /// The rule that is broken.
        what: String,
    },
    /// Well formed, but of a kind that is not implemented.
    #[error("{0}")]
    Unsupported(String),
}

impl Defect {
    /// The error that names the file.
    pub fn in_file(self, file: &Path) -> LoadError {
        LoadError { file: file.to_path_buf(), defect: self }
    }

    pub(crate) fn malformed(format: &'static str, what: impl Into<String>) -> Self {
        Defect::Malformed { format, what: what.into() }
    }
}

/// A file name may hold line breaks and terminal escapes; an error message may not.
struct Printable<'a>(&'a Path);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.to_string_lossy();
        name.chars().try_for_each(|c| write!(f, "{}", if c.is_control() { '?' } else { c }))
    }
}

/// `size` bytes at `at`, or what is missing.
pub(crate) fn slice<'a>(bytes: &'a [u8], what: &'static str, at: u64, size: u64) -> Result<&'a [u8], Defect> {
    let end = at.saturating_add(size);
    let truncated = Defect::Truncated { what, end, size: bytes.len() as u64 };
    let (Ok(from), Ok(to)) = (usize::try_from(at), usize::try_from(end)) else {
        return Err(truncated);
    };
    bytes.get(from..to).ok_or(truncated)
}

/// The `N` bytes at `at`, if they are there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The big-endian word at `at`, if it is there.
pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

/// The little-endian word at `at`, if it is there.
pub(crate) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// The little-endian doubleword at `at`, if it is there.
pub(crate) fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}
