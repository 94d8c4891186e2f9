//! Bytes as they are: a file, a block device, a part of another node, or nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;

use super::spec::{DetectZeroes, NodeOptions};
use super::{BlockBackend, BlockError, Node, SECTOR, check, lock, probe, refuse_write};

/// How much is copied at a time where the host cannot take a request as it is.
const BOUNCE: usize = 1 << 20;

/// A file or a block device.
pub(super) struct Image {
    file: File,
    path: PathBuf,
    len: u64,
    read_only: bool,
    options: NodeOptions,
    /// `O_DIRECT`: offsets and lengths are multiples of this.
    direct: Option<Direct>,
    /// Its format was guessed, so it must not turn into another one.
    guard: AtomicBool,
    punch_works: AtomicBool,
}

struct Direct {
    align: u64,
    /// Writes of parts of a block must not overlap; the buffer is oversized so that it can be aligned.
    buffer: Mutex<Vec<u8>>,
    /// Keeps whole-block requests apart from the read and write back of a partial one.
    partial: RwLock<()>,
}

impl Image {
    pub(super) fn open(path: &Path, device: Option<bool>, locking: bool, options: NodeOptions) -> Result<Self, BlockError> {
        let fail = |error| BlockError::Host { what: "open the image", path: path.into(), error };
        let mut flags = OFlags::CLOEXEC | OFlags::NONBLOCK;
        flags.set(OFlags::DIRECT, options.cache.direct);
        flags.set(OFlags::DSYNC, !options.cache.writeback && !options.cache.no_flush);
        let open = |write| OpenOptions::new().read(true).write(write).custom_flags(flags.bits() as i32).open(path);
        let mut read_only = options.read_only;
        let mut file = match open(!read_only) {
            Err(e) if options.auto_read_only && !read_only && matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                read_only = true;
                open(false)
            }
            Err(e) if options.cache.direct && e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                return Err(BlockError::Spec(format!("{}: its file system has no direct access; use cache=writeback", path.display())));
            }
            other => other,
        }
        .map_err(fail)?;
        let kind = file.metadata().map_err(fail)?.file_type();
        let wrong = |what| Err(BlockError::Spec(format!("{}: {what}", path.display())));
        match device {
            _ if !kind.is_file() && !kind.is_block_device() => return wrong("neither a file nor a block device"),
            Some(true) if !kind.is_block_device() => return wrong("not a block device; use driver=file"),
            Some(false) if kind.is_block_device() => return wrong("a block device; use driver=host_device"),
            _ => {}
        }
        if locking {
            lock::lock(&file, path, !read_only)?;
        }
        let bytes = file.seek(SeekFrom::End(0)).map_err(fail)?;
        let mut image = Image {
            file,
            path: path.into(),
            len: bytes.next_multiple_of(SECTOR),
            read_only,
            options,
            direct: None,
            guard: AtomicBool::new(false),
            punch_works: AtomicBool::new(true),
        };
        if options.cache.direct {
            image.direct = Some(Direct::find(&image.file, bytes).map_err(fail)?);
        }
        Ok(image)
    }

    /// Finds the format; only raw images are let through, and remembers that it was a guess.
    pub(super) fn guess_format(&self) -> Result<(), BlockError> {
        let mut head = vec![0; SECTOR.min(self.len) as usize];
        let fail = |error| BlockError::Host { what: "read the image", path: self.path.clone(), error };
        self.read(0, &mut head).map_err(fail)?;
        if let Some(format) = probe::format(&head) {
            return Err(BlockError::Unsupported(format!(
                "{0}: an image in {format} format, which is not supported by Proteus yet; convert it with \
                 qemu-img convert -O raw (or give format=raw to use its bytes as they are)",
                self.path.display()
            )));
        }
        if !self.read_only {
            tracing::warn!(
                "{}: no format is given and it looks raw; give format=raw, else the guest may not write a first \
                 sector that looks like another format",
                self.path.display()
            );
        }
        self.guard.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A guest that could make its disk look like another format would, at the next start, have
    /// whatever file it names in there opened for it.
    fn guard_format(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset >= SECTOR || !self.guard.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut head = [0; SECTOR as usize];
        self.read(0, &mut head)?;
        let at = offset as usize;
        let n = bytes.len().min(head.len() - at);
        head[at..at + n].copy_from_slice(&bytes[..n]);
        match probe::format(&head) {
            None => Ok(()),
            Some(format) => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{}: this write would make the image look like {format}; give format=raw to allow it", self.path.display()),
            )),
        }
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.direct {
            Some(direct) => direct.read(&self.file, offset, buffer),
            None => read_padded(&self.file, offset, buffer),
        }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match &self.direct {
            Some(direct) => direct.write(&self.file, offset, bytes),
            None => self.file.write_all_at(bytes, offset),
        }
    }

    /// Frees the space of a range, which then reads as zeroes; false where the host cannot.
    fn punch(&self, offset: u64, len: u64) -> io::Result<bool> {
        if len == 0 {
            return Ok(true);
        }
        if !self.punch_works.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV) => {
                self.punch_works.store(false, Ordering::Relaxed);
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// Reads; what lies beyond the end of the file (the rest of its last sector, or more if it has been
/// truncated since) is zeroes.
fn read_padded(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => {
                buffer.fill(0);
                return Ok(());
            }
            Ok(n) => {
                offset += n as u64;
                buffer = &mut buffer[n..];
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

impl Direct {
    /// Finds the alignment that the host asks for.
    fn find(file: &File, bytes: u64) -> io::Result<Self> {
        for align in [512, 4096] {
            let direct = Direct { align, buffer: Mutex::new(vec![0; BOUNCE + 4096]), partial: RwLock::new(()) };
            match direct.with_buffer(|buffer| file.read_at(&mut buffer[..align as usize], 0)) {
                Ok(_) if !bytes.is_multiple_of(align) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        format!("direct access needs a length that is a multiple of {align}; use cache=writeback"),
                    ));
                }
                Ok(_) => return Ok(direct),
                Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::other("direct access is not possible; use cache=writeback"))
    }

    fn with_buffer<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut buffer = self.buffer.lock();
        let skip = buffer.as_ptr().align_offset(4096).min(4096);
        work(&mut buffer[skip..skip + BOUNCE])
    }

    /// The pieces of a request: (start of the first block, offset into it, length of the piece).
    fn pieces(&self, offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> + use<> {
        let (align, mut at, mut left) = (self.align, offset, len);
        std::iter::from_fn(move || {
            let skip = (at % align) as usize;
            let n = left.min(BOUNCE - skip);
            let piece = (at - skip as u64, skip, n);
            at += n as u64;
            left -= n;
            (n > 0).then_some(piece)
        })
    }

    fn read(&self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let _whole = self.partial.read();
        let mut done = 0;
        for (start, skip, n) in self.pieces(offset, buffer.len()) {
            let to = &mut buffer[done..done + n];
            self.with_buffer(|bounce| {
                let bounce = &mut bounce[..(skip + n).next_multiple_of(self.align as usize)];
                read_padded(file, start, bounce)?;
                to.copy_from_slice(&bounce[skip..skip + n]);
                io::Result::Ok(())
            })?;
            done += n;
        }
        Ok(())
    }

    fn write(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let _alone = self.partial.write();
        let align = self.align as usize;
        let mut done = 0;
        for (start, skip, n) in self.pieces(offset, bytes.len()) {
            let from = &bytes[done..done + n];
            self.with_buffer(|bounce| {
                let end = (skip + n).next_multiple_of(align);
                if skip != 0 {
                    read_padded(file, start, &mut bounce[..align])?;
                }
                if end != skip + n && (skip == 0 || end > align) {
                    read_padded(file, start + (end - align) as u64, &mut bounce[end - align..end])?;
                }
                bounce[skip..skip + n].copy_from_slice(from);
                file.write_all_at(&bounce[..end], start)
            })?;
            done += n;
        }
        Ok(())
    }
}

/// Calls `write` with zeroes until the range is covered.
pub(super) fn write_zeroes_in_pieces(mut offset: u64, mut len: u64, mut write: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    const ZEROES: &[u8] = &[0; 64 << 10];
    while len > 0 {
        let n = len.min(ZEROES.len() as u64);
        write(offset, &ZEROES[..n as usize])?;
        offset += n;
        len -= n;
    }
    Ok(())
}

impl BlockBackend for Image {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn write_cache(&self) -> bool {
        self.options.cache.writeback
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        check(self.len, offset, buffer.len() as u64)?;
        self.read(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.read_only {
            return Err(refuse_write());
        }
        check(self.len, offset, bytes.len() as u64)?;
        self.guard_format(offset, bytes)?;
        match self.options.detect_zeroes {
            DetectZeroes::Off => self.write(offset, bytes),
            _ if bytes.iter().any(|&b| b != 0) => self.write(offset, bytes),
            how => self.write_zeroes(offset, bytes.len() as u64, how == DetectZeroes::Unmap),
        }
    }

    fn flush(&self) -> io::Result<()> {
        if self.read_only || self.options.cache.no_flush { Ok(()) } else { self.file.sync_data() }
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        if self.read_only {
            return Err(refuse_write());
        }
        check(self.len, offset, len)?;
        if self.options.discard {
            self.punch(offset, len)?;
        }
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        if self.read_only {
            return Err(refuse_write());
        }
        check(self.len, offset, len)?;
        if len == 0 || unmap && self.options.discard && self.punch(offset, len)? {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::ZERO_RANGE, offset, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV) => write_zeroes_in_pieces(offset, len, |at, zeroes| self.write(at, zeroes)),
            Err(e) => Err(e.into()),
        }
    }
}

/// A part of another node.
pub(super) struct Part {
    pub(super) node: Node,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) read_only: bool,
}

impl Part {
    fn writable(&self) -> io::Result<()> {
        if self.read_only() { Err(refuse_write()) } else { Ok(()) }
    }
}

impl BlockBackend for Part {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_only(&self) -> bool {
        self.read_only || self.node.read_only()
    }

    fn write_cache(&self) -> bool {
        self.node.write_cache()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        check(self.len, offset, buffer.len() as u64)?;
        self.node.read_at(self.offset + offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        check(self.len, offset, bytes.len() as u64)?;
        self.node.write_at(self.offset + offset, bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.node.flush()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.writable()?;
        check(self.len, offset, len)?;
        self.node.discard(self.offset + offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        self.writable()?;
        check(self.len, offset, len)?;
        self.node.write_zeroes(self.offset + offset, len, unmap)
    }
}

/// Reads give zeroes, writes vanish.
pub(super) struct Null {
    pub(super) len: u64,
    pub(super) read_only: bool,
}

impl Null {
    fn change(&self, offset: u64, len: u64) -> io::Result<()> {
        if self.read_only { Err(refuse_write()) } else { check(self.len, offset, len) }
    }
}

impl BlockBackend for Null {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        check(self.len, offset, buffer.len() as u64)?;
        buffer.fill(0);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(offset, bytes.len() as u64)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64, _: bool) -> io::Result<()> {
        self.change(offset, len)
    }
}
