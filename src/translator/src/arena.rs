//! Code memory: one file in memory mapped twice, writable here and executable there, so that no
//! page is ever both. A first-fit allocator with coalescing frees single pieces.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Arc;

/// Pieces begin at multiples of this: a cache line, and more than any constant pool asks for.
const ALIGN: usize = 64;

/// The arena.
pub struct Arena {
    write: NonNull<u8>,
    execute: NonNull<u8>,
    size: usize,
    free: Mutex<Free>,
}

/// What is not in use: offset to bytes, never two neighbours.
struct Free {
    pieces: BTreeMap<usize, usize>,
    used: usize,
}

// SAFETY: the two mappings live as long as the arena; the free list is behind a lock, and each
// piece of the mapping is written only by whoever took it from the list.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Free {
    fn take(&mut self, size: usize) -> Option<usize> {
        let (&at, &bytes) = self.pieces.iter().find(|&(_, &n)| n >= size)?;
        self.pieces.remove(&at);
        if bytes > size {
            self.pieces.insert(at + size, bytes - size);
        }
        self.used += size;
        Some(at)
    }

    fn give(&mut self, mut at: usize, mut size: usize) {
        self.used -= size;
        if let Some((&before, &n)) = self.pieces.range(..at).next_back()
            && before + n == at
        {
            self.pieces.remove(&before);
            at = before;
            size += n;
        }
        if let Some(n) = self.pieces.remove(&(at + size)) {
            size += n;
        }
        self.pieces.insert(at, size);
    }
}

impl Arena {
    /// An arena of at most `size` bytes; host memory is taken only as code is written.
    pub fn new(size: usize) -> std::io::Result<Arc<Arena>> {
        use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let file = memfd_create("proteus-code", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, size as u64)?;
        let map = |prot| {
            // SAFETY: a new shared mapping at an address of the kernel's choice.
            unsafe { mmap(std::ptr::null_mut(), size, prot, MapFlags::SHARED, &file, 0) }
        };
        let write = map(ProtFlags::READ | ProtFlags::WRITE)?;
        let execute = match map(ProtFlags::READ | ProtFlags::EXEC) {
            Ok(p) => p,
            Err(e) => {
                // SAFETY: mapped just above, and nobody knows of it.
                let _ = unsafe { rustix::mm::munmap(write, size) };
                return Err(e.into());
            }
        };
        let (Some(write), Some(execute)) = (NonNull::new(write.cast()), NonNull::new(execute.cast())) else {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        };
        let free = Free { pieces: BTreeMap::from([(0, size)]), used: 0 };
        Ok(Arc::new(Arena { write, execute, size, free: Mutex::new(free) }))
    }

    /// Bytes that are in use.
    pub fn used(&self) -> usize {
        self.free.lock().used
    }

    /// Bytes there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Puts `code` in place; `None` where there is no room.
    pub fn add(self: &Arc<Self>, code: &[u8]) -> Option<Code> {
        let size = code.len().max(1).next_multiple_of(ALIGN);
        let at = self.free.lock().take(size)?;
        // SAFETY: `at..at + size` lies inside the mapping and belongs to this call alone.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), self.write.as_ptr().add(at), code.len()) };
        Some(Code { at, size, arena: self.clone() })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: both were mapped with this size; every piece holds an `Arc` of the arena, so no
        // code is left that could run.
        unsafe {
            let _ = rustix::mm::munmap(self.write.as_ptr().cast(), self.size);
            let _ = rustix::mm::munmap(self.execute.as_ptr().cast(), self.size);
        }
    }
}

/// One piece of code; its memory is free again when it is dropped.
pub struct Code {
    at: usize,
    size: usize,
    arena: Arc<Arena>,
}

impl Code {
    /// Address of its first instruction.
    pub fn address(&self) -> u64 {
        self.arena.execute.as_ptr() as u64 + self.at as u64
    }

    /// Bytes of it.
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        self.arena.free.lock().give(self.at, self.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_given_back_and_join() {
        let arena = Arena::new(1 << 16).expect("memory");
        let a = arena.add(&[0xc3; 100]).expect("room");
        let b = arena.add(&[0xc3; 10]).expect("room");
        let c = arena.add(&[0xc3; 64]).expect("room");
        assert_eq!(arena.used(), 128 + 64 + 64);
        assert!(arena.add(&vec![0; 1 << 16]).is_none());
        let at = a.address();
        drop(b);
        drop(a);
        let d = arena.add(&[0xc3; 190]).expect("room");
        assert_eq!(d.address(), at);
        drop(c);
        drop(d);
        assert_eq!(arena.free.lock().pieces.len(), 1);
        assert!(arena.add(&vec![0; 1 << 16]).is_some());
    }

    #[test]
    fn code_runs() {
        let arena = Arena::new(1 << 16).expect("memory");
        // mov eax, 42; ret
        let code = arena.add(&[0xb8, 42, 0, 0, 0, 0xc3]).expect("room");
        if cfg!(target_arch = "x86_64") {
            // SAFETY: those are the bytes of a function without arguments.
            let f: extern "C" fn() -> u32 = unsafe { std::mem::transmute(code.address()) };
            assert_eq!(f(), 42);
        }
    }
}
