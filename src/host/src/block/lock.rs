//! Image locks: the same bytes of the file that QEMU and its tools lock, so that they see each other.
//!
//! Byte 100+i is locked by whoever uses permission i, byte 200+i by whoever does not let others use
//! it. All locks are shared ones; a conflict shows by asking whether an exclusive one could be had.
//! They belong to the open file description, so closing another descriptor does not drop them.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::BlockError;

const USED: i64 = 100;
const NOT_SHARED: i64 = 200;

/// The permissions' numbers.
const CONSISTENT_READ: i64 = 0;
const WRITE: i64 = 1;
const RESIZE: i64 = 3;

fn byte(kind: i32, at: i64) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: at, l_len: 1, l_pid: 0 }
}

/// Marks the image as ours, or says that others use it. File systems without locks are let pass.
pub(super) fn lock(file: &File, path: &Path, write: bool) -> Result<(), BlockError> {
    let (used, checked): (&[i64], &[i64]) = if write { (&[CONSISTENT_READ, WRITE], &[WRITE]) } else { (&[0], &[]) };
    let mine = used.iter().map(|p| USED + p).chain([WRITE, RESIZE].map(|p| NOT_SHARED + p));
    for at in mine {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&byte(libc::F_RDLCK, at))) {
            Ok(_) => {}
            // Someone holds an exclusive lock, which QEMU never does.
            Err(Errno::EAGAIN | Errno::EACCES) => {
                return Err(BlockError::Locked { path: path.into(), shared: true });
            }
            Err(e) => {
                tracing::debug!("{}: no image locks: {e}", path.display());
                return Ok(());
            }
        }
    }
    let conflict = |at| {
        let mut probe = byte(libc::F_WRLCK, at);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut probe)).is_ok() && probe.l_type != libc::F_UNLCK as i16
    };
    if checked.iter().any(|p| conflict(NOT_SHARED + p)) || conflict(NOT_SHARED + CONSISTENT_READ) {
        return Err(BlockError::Locked { path: path.into(), shared: true });
    }
    if [WRITE, RESIZE].iter().any(|p| conflict(USED + p)) {
        return Err(BlockError::Locked { path: path.into(), shared: false });
    }
    Ok(())
}
