//! A piece of guest memory: memfd-backed, lazily committed, shared between threads.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, RwLock};

use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Granule of the dirty and code bitmaps, in bytes.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;
/// Largest region, in bytes (255 GiB, the RAM limit of the `virt` board).
const MAX_LEN: u64 = 255 << 30;

/// Why guest memory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The length is zero or above 255 GiB.
    #[error("memory '{name}': size {len:#x} is not between 1 byte and 255 GiB")]
    Length {
        /// Name of the region asked for.
        name: String,
        /// Its length in bytes.
        len: u64,
    },
    /// The host refused a system call.
    #[error("memory '{name}' of {len:#x} bytes: {what} failed: {source}")]
    Host {
        /// Name of the region asked for.
        name: String,
        /// Its length in bytes.
        len: u64,
        /// System call that failed.
        what: &'static str,
        /// The host's error.
        source: std::io::Error,
    },
}

/// An access outside a region, or one that is not naturally aligned where it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("access at {offset:#x} of {len} bytes is outside guest memory or unaligned")]
pub struct OutOfRange {
    /// Offset of the first byte of the access.
    pub offset: u64,
    /// Length of the access in bytes.
    pub len: u64,
}

/// Called with the page number (offset >> 12) of a code page that was written.
type CodeWriteFn = Arc<dyn Fn(u64) + Send + Sync>;

/// A contiguous piece of guest memory. Usually held in an [`Arc`] by the address space, the
/// cores' TLBs and the back ends at once.
///
/// Its pages are committed by the host when first touched, so a large region costs address space
/// and bitmaps (1/16384 of its length) only.
pub struct Region {
    name: String,
    len: u64,
    mapped: usize,
    base: NonNull<u8>,
    file: OwnedFd,
    dirty: Box<[AtomicU64]>,
    code: Box<[AtomicU64]>,
    has_code: AtomicBool,
    on_code_write: RwLock<Vec<CodeWriteFn>>,
}

// SAFETY: `base` is a mapping owned by this value until drop; all access to the bytes behind it
// in this module is through atomics, and raw pointers are handed out inside this crate only.
unsafe impl Send for Region {}
// SAFETY: as for Send; shared access is atomic.
unsafe impl Sync for Region {}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("name", &self.name).field("len", &self.len).finish_non_exhaustive()
    }
}

fn bitmap(pages: u64) -> Box<[AtomicU64]> {
    (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()
}

impl Region {
    /// Makes a zero-filled region of `len` bytes.
    pub fn new(name: &str, len: u64) -> Result<Arc<Self>, RegionError> {
        if len == 0 || len > MAX_LEN {
            return Err(RegionError::Length { name: name.into(), len });
        }
        let host = |what: &'static str| {
            let name = name.to_string();
            move |e: rustix::io::Errno| RegionError::Host { name, len, what, source: e.into() }
        };
        let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).map_err(host("memfd_create"))?;
        let mapped_len = len.next_multiple_of(PAGE_SIZE);
        rustix::fs::ftruncate(&file, mapped_len).map_err(host("ftruncate"))?;
        let mapped = usize::try_from(mapped_len).map_err(|_| RegionError::Length { name: name.into(), len })?;
        // SAFETY: a null hint lets the kernel choose an unused range, so no existing mapping is
        // replaced; the file is at least `mapped` bytes long and never shrunk, so no access to
        // the range can fault with SIGBUS for being past its end.
        let base =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), mapped, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::NORESERVE, &file, 0) }
                .map_err(host("mmap"))?;
        let Some(base) = NonNull::new(base.cast::<u8>()) else {
            return Err(host("mmap")(rustix::io::Errno::NOMEM));
        };
        // A hint only: hosts without huge pages for shared memory refuse it.
        // SAFETY: the range is the mapping just made, and the advice changes no contents.
        let _ = unsafe { rustix::mm::madvise(base.as_ptr().cast(), mapped, Advice::LinuxHugepage) };
        let pages = mapped_len >> PAGE_SHIFT;
        Ok(Arc::new(Self {
            name: name.into(),
            len,
            mapped,
            base,
            file,
            dirty: bitmap(pages),
            code: bitmap(pages),
            has_code: AtomicBool::new(false),
            on_code_write: RwLock::new(Vec::new()),
        }))
    }

    /// Name given at creation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a region is never empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Number of 4 KiB pages, a partial last one included.
    pub fn pages(&self) -> u64 {
        self.len.div_ceil(PAGE_SIZE)
    }

    /// Host address of the first byte, for memory slots of a hypervisor. Only the unsafe islands
    /// can do anything with it.
    pub fn host_address(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// The memfd behind the region, to share it with another process.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Host pointer to byte `offset`, which must be at most `len`.
    #[allow(dead_code, reason = "for the TLB")]
    pub(crate) fn host_ptr(&self, offset: u64) -> *mut u8 {
        assert!(offset <= self.len, "offset outside the region");
        self.base.as_ptr().wrapping_add(offset as usize)
    }

    fn check(&self, offset: u64, len: u64) -> Result<usize, OutOfRange> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(offset as usize),
            _ => Err(OutOfRange { offset, len }),
        }
    }

    fn check_aligned(&self, offset: u64, len: u64) -> Result<usize, OutOfRange> {
        if offset & (len - 1) != 0 {
            return Err(OutOfRange { offset, len });
        }
        self.check(offset, len)
    }

    fn a8(&self, at: usize) -> &AtomicU8 {
        debug_assert!((at as u64) < self.len);
        // SAFETY: callers have checked `at` against the length; the mapping lives as long as
        // `self`, and all concurrent access to it is atomic.
        unsafe { AtomicU8::from_ptr(self.base.as_ptr().add(at)) }
    }

    fn a16(&self, at: usize) -> &AtomicU16 {
        debug_assert!(at as u64 + 2 <= self.len && at.is_multiple_of(2));
        // SAFETY: as a8; callers have checked the alignment, and the base is page-aligned.
        unsafe { AtomicU16::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    fn a32(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at as u64 + 4 <= self.len && at.is_multiple_of(4));
        // SAFETY: as a16.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    fn a64(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at as u64 + 8 <= self.len && at.is_multiple_of(8));
        // SAFETY: as a16.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    /// Reads bytes. Each aligned 8-byte word is read at once; the whole is not one atomic access.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), OutOfRange> {
        let mut at = self.check(offset, to.len() as u64)?;
        let head = (at.wrapping_neg() & 7).min(to.len());
        let (head, rest) = to.split_at_mut(head);
        for byte in head {
            *byte = self.a8(at).load(Ordering::Relaxed);
            at += 1;
        }
        let (words, tail) = rest.as_chunks_mut::<8>();
        for word in words {
            *word = self.a64(at).load(Ordering::Relaxed).to_ne_bytes();
            at += 8;
        }
        for byte in tail {
            *byte = self.a8(at).load(Ordering::Relaxed);
            at += 1;
        }
        Ok(())
    }

    /// Writes bytes, marks their pages dirty and reports those that hold translated code.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), OutOfRange> {
        let mut at = self.check(offset, from.len() as u64)?;
        let head = (at.wrapping_neg() & 7).min(from.len());
        let (head, rest) = from.split_at(head);
        for byte in head {
            self.a8(at).store(*byte, Ordering::Relaxed);
            at += 1;
        }
        let (words, tail) = rest.as_chunks::<8>();
        for word in words {
            self.a64(at).store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            at += 8;
        }
        for byte in tail {
            self.a8(at).store(*byte, Ordering::Relaxed);
            at += 1;
        }
        self.written(offset, from.len() as u64);
        Ok(())
    }

    /// Sets `len` bytes from `offset` to `value`.
    pub fn fill(&self, offset: u64, len: u64, value: u8) -> Result<(), OutOfRange> {
        self.check(offset, len)?;
        let chunk = [value; 4096];
        let mut done = 0;
        while done < len {
            let n = (len - done).min(chunk.len() as u64);
            self.write(offset + done, &chunk[..n as usize])?;
            done += n;
        }
        Ok(())
    }

    /// Loads 1, 2, 4 or 8 bytes as one access; the offset must be naturally aligned.
    #[inline]
    pub fn load(&self, offset: u64, bytes: u32) -> Result<u64, OutOfRange> {
        let order = Ordering::Relaxed;
        Ok(match bytes {
            1 => self.a8(self.check_aligned(offset, 1)?).load(order).into(),
            2 => u16::from_le(self.a16(self.check_aligned(offset, 2)?).load(order)).into(),
            4 => u32::from_le(self.a32(self.check_aligned(offset, 4)?).load(order)).into(),
            8 => u64::from_le(self.a64(self.check_aligned(offset, 8)?).load(order)),
            _ => return Err(OutOfRange { offset, len: bytes.into() }),
        })
    }

    /// Stores 1, 2, 4 or 8 bytes as one access, with what [`Region::write`] does besides; the
    /// offset must be naturally aligned.
    #[inline]
    pub fn store(&self, offset: u64, bytes: u32, value: u64) -> Result<(), OutOfRange> {
        let order = Ordering::Relaxed;
        match bytes {
            1 => self.a8(self.check_aligned(offset, 1)?).store(value as u8, order),
            2 => self.a16(self.check_aligned(offset, 2)?).store((value as u16).to_le(), order),
            4 => self.a32(self.check_aligned(offset, 4)?).store((value as u32).to_le(), order),
            8 => self.a64(self.check_aligned(offset, 8)?).store(value.to_le(), order),
            _ => return Err(OutOfRange { offset, len: bytes.into() }),
        }
        self.written(offset, bytes.into());
        Ok(())
    }

    /// Sequentially consistent compare and exchange of 1, 2, 4 or 8 aligned bytes. Gives the
    /// value found; the exchange took place if that equals `expected` (cut to the width).
    pub fn compare_exchange(&self, offset: u64, bytes: u32, expected: u64, new: u64) -> Result<u64, OutOfRange> {
        let order = Ordering::SeqCst;
        macro_rules! exchange {
            ($cell:ident, $int:ty) => {{
                let cell = self.$cell(self.check_aligned(offset, bytes.into())?);
                match cell.compare_exchange((expected as $int).to_le(), (new as $int).to_le(), order, order) {
                    Ok(v) => (true, u64::from(<$int>::from_le(v))),
                    Err(v) => (false, u64::from(<$int>::from_le(v))),
                }
            }};
        }
        let (exchanged, found) = match bytes {
            1 => exchange!(a8, u8),
            2 => exchange!(a16, u16),
            4 => exchange!(a32, u32),
            8 => exchange!(a64, u64),
            _ => return Err(OutOfRange { offset, len: bytes.into() }),
        };
        if exchanged {
            self.written(offset, bytes.into());
        }
        Ok(found)
    }

    /// Makes the whole region zero and gives its pages back to the host.
    pub fn zero(&self) {
        // The length is in range by construction.
        let _ = self.discard(0, self.len);
    }

    /// Zeroes a range, giving whole pages of it back to the host.
    pub fn discard(&self, offset: u64, len: u64) -> Result<(), OutOfRange> {
        self.check(offset, len)?;
        let end = offset + len;
        let first = offset.next_multiple_of(PAGE_SIZE);
        // The tail of a partial last page belongs to nobody else, so it may go with it.
        let last = if end == self.len { self.mapped as u64 } else { end & !(PAGE_SIZE - 1) };
        let punched = first < last && rustix::fs::fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, first, last - first).is_ok();
        if punched {
            self.fill(offset, first - offset, 0)?;
            if last < end {
                self.fill(last, end - last, 0)?;
            }
            self.written(offset, len);
            Ok(())
        } else {
            self.fill(offset, len, 0)
        }
    }

    /// Bookkeeping of a write that has been done: dirty pages, and pages with translated code.
    #[inline]
    fn written(&self, offset: u64, len: u64) {
        self.mark_dirty(offset, len);
        // A translator sets the code bit, then reads the bytes; we wrote the bytes and now read
        // the bit. With both sides fenced one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.has_code.load(Ordering::Relaxed) && len != 0 {
            self.notify_code_write(offset, len);
        }
    }

    #[cold]
    fn notify_code_write(&self, offset: u64, len: u64) {
        let last = (offset + len - 1) >> PAGE_SHIFT;
        let mut page = offset >> PAGE_SHIFT;
        while page <= last {
            let word = self.code[(page / 64) as usize].load(Ordering::Relaxed) >> (page % 64);
            if word == 0 {
                page = (page / 64 + 1) * 64;
                continue;
            }
            page += u64::from(word.trailing_zeros());
            if page <= last {
                self.code_written(page);
                page += 1;
            }
        }
    }

    /// Calls the functions registered with [`Region::on_code_write`] for one page, as a store
    /// made by other means than this type's must.
    #[cold]
    pub fn code_written(&self, page: u64) {
        // The list is copied so that a function may itself write to the region.
        let fns = self.on_code_write.read().unwrap_or_else(|e| e.into_inner()).clone();
        for f in fns {
            f(page);
        }
    }

    /// Registers a function to be called after a write to a page whose code bit is set. It drops
    /// the translated code of that page and clears the bit.
    pub fn on_code_write(&self, f: impl Fn(u64) + Send + Sync + 'static) {
        self.on_code_write.write().unwrap_or_else(|e| e.into_inner()).push(Arc::new(f));
    }

    /// Marks the pages of a range dirty.
    #[inline]
    pub fn mark_dirty(&self, offset: u64, len: u64) {
        if len == 0 || self.check(offset, len).is_err() {
            return;
        }
        let (first, last) = (offset >> PAGE_SHIFT, (offset + len - 1) >> PAGE_SHIFT);
        for page in first..=last {
            let (word, bit) = (&self.dirty[(page / 64) as usize], 1 << (page % 64));
            // Reading first keeps the line shared when the page is dirty already.
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    /// Was the page written since its dirty bit was last taken?
    #[inline]
    pub fn is_dirty(&self, page: u64) -> bool {
        test(&self.dirty, page)
    }

    /// Clears a page's dirty bit and tells whether it was set.
    pub fn take_dirty(&self, page: u64) -> bool {
        let bit = 1 << (page % 64);
        self.dirty.get((page / 64) as usize).is_some_and(|w| w.fetch_and(!bit, Ordering::SeqCst) & bit != 0)
    }

    /// Does the page hold translated code?
    #[inline]
    pub fn is_code(&self, page: u64) -> bool {
        test(&self.code, page)
    }

    /// Sets the page's code bit, to be done before its bytes are read for translation. True if it
    /// was clear: TLB entries that allow writes to the page must then be dropped.
    pub fn set_code(&self, page: u64) -> bool {
        let bit = 1 << (page % 64);
        self.has_code.store(true, Ordering::SeqCst);
        let new = self.code.get((page / 64) as usize).is_some_and(|w| w.fetch_or(bit, Ordering::SeqCst) & bit == 0);
        fence(Ordering::SeqCst);
        new
    }

    /// Clears the page's code bit: no translated code is left in it.
    pub fn clear_code(&self, page: u64) {
        if let Some(word) = self.code.get((page / 64) as usize) {
            word.fetch_and(!(1 << (page % 64)), Ordering::SeqCst);
        }
    }
}

#[inline]
fn test(map: &[AtomicU64], page: u64) -> bool {
    map.get((page / 64) as usize).is_some_and(|w| w.load(Ordering::Relaxed) >> (page % 64) & 1 != 0)
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` with this base and length, and no reference into
        // it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}
