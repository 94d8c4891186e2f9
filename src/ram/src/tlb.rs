//! The software TLB: what compiled code and the interpreter ask before every guest access.
//!
//! It lives beside guest memory because its entries are host pointers into [`Region`]s: this
//! module turns a checked lookup into a host access, so that nobody above needs `unsafe`.
//!
//! The TLB has up to [`SLOTS`] *slots*, one for each translation context (privilege, address space
//! identifier) met lately. Switching the context swaps two pointers and flushes nothing. A slot
//! holds three direct-mapped tables: read and write map a guest virtual page to a host address,
//! fetch maps it to a guest physical page. A tag never has bits below the page size set when it is
//! valid, so an entry whose page must take the slow path (device, code, watchpoint) simply has no
//! tag that could match.

use crate::Region;
use std::sync::Arc;

/// Bytes in a page of the software TLB; guest pages of other sizes are entered in pieces.
pub const PAGE_SIZE: u64 = 4096;
/// Mask of the bits of an address that name its page.
pub const PAGE_MASK: u64 = !(PAGE_SIZE - 1);
/// Entries in each table; a power of two.
pub const ENTRIES: usize = 1024;
/// Translation contexts that are kept at once.
pub const SLOTS: usize = 16;

const INVALID: u64 = u64::MAX;
/// Address bits compared when a page is invalidated; the top byte may be a tag the guest ignores.
const VA_COMPARE: u64 = 0x00ff_ffff_ffff_f000;

/// One translation. `tag` is the guest virtual page, or has low bits set when invalid; `addend`
/// is added to the guest address, wrapping, to give the host address (for fetch: the guest
/// physical address).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Entry {
    /// Guest virtual page, or a value that no page equals.
    pub tag: u64,
    /// Wrapping distance from the guest virtual address.
    pub addend: u64,
}

const NOTHING: Entry = Entry { tag: INVALID, addend: 0 };

/// A direct-mapped table of translations, indexed by the low bits of the page number.
#[repr(C, align(64))]
pub struct Table {
    entries: [Entry; ENTRIES],
}

impl Table {
    fn new() -> Box<Table> {
        Box::new(Table { entries: [NOTHING; ENTRIES] })
    }

    #[inline(always)]
    fn entry(&self, address: u64) -> &Entry {
        &self.entries[(address / PAGE_SIZE) as usize % ENTRIES]
    }

    #[inline(always)]
    fn entry_mut(&mut self, address: u64) -> &mut Entry {
        &mut self.entries[(address / PAGE_SIZE) as usize % ENTRIES]
    }

    fn forget(&mut self, page: u64) {
        let e = self.entry_mut(page);
        if (e.tag ^ page) & VA_COMPARE == 0 {
            *e = NOTHING;
        }
    }
}

/// A translation of the second level, which is behind all slots' tables and knows more pages.
#[derive(Clone, Copy)]
struct Far {
    tag: u64,
    offset: u64,
    /// The slot's [`Slot::far`] when it was entered.
    id: u32,
    region: u16,
    read: bool,
    write: bool,
}

const FAR_NOTHING: Far = Far { tag: INVALID, offset: 0, id: 0, region: 0, read: false, write: false };
/// Sets of the second level; a power of two.
const FAR_SETS: usize = 4096;
/// Entries in a set. All contexts' entries of a page are in one set.
const FAR_WAYS: usize = 4;

/// First entry of the set of `page`.
fn far_set(page: u64) -> usize {
    let n = (page & VA_COMPARE) >> 12;
    ((n ^ n >> 12) as usize % FAR_SETS) * FAR_WAYS
}

struct Slot {
    key: u64,
    id: u32,
    /// Identifies this slot's entries in the second level; changes when they are all stale.
    far: u32,
    used: u64,
    touched: bool,
    read: Box<Table>,
    write: Box<Table>,
    fetch: Box<Table>,
    /// Which [`LARGE`] stretches of addresses hold pieces of large guest pages, by a hash of
    /// their number: an invalidation that falls into one drops the whole stretch.
    large: [u64; LARGE_WORDS],
    /// Pieces of guest pages larger than a stretch are there: any invalidation drops the slot.
    huge: bool,
}

/// log2 of the stretch of addresses that large guest pages are remembered by.
const LARGE: u32 = 21;
/// Words of the hashed set of stretches.
const LARGE_WORDS: usize = 32;

/// Place of the stretch of `address` in the hashed set.
fn stretch(address: u64) -> (usize, u64) {
    let n = (address & VA_COMPARE) >> LARGE;
    let h = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53;
    (h as usize / 64 % LARGE_WORDS, 1 << (h % 64))
}

impl Slot {
    fn clear(&mut self) {
        if self.touched {
            for t in [&mut self.read, &mut self.write, &mut self.fetch] {
                t.entries.fill(NOTHING);
            }
            self.touched = false;
        }
        self.large = [0; LARGE_WORDS];
        self.huge = false;
    }

    /// Drops what lies in the stretch of `address`.
    fn forget_stretch(&mut self, address: u64) {
        for t in [&mut self.read, &mut self.write, &mut self.fetch] {
            for e in t.entries.iter_mut() {
                if (e.tag ^ address) & VA_COMPARE >> LARGE << LARGE == 0 {
                    *e = NOTHING;
                }
            }
        }
    }
}

/// Widths that the TLB's fast path reads and writes. Sealed: the implementations are sound only
/// for plain integers.
pub trait Word: Copy + private::Sealed {
    /// Bytes in the word.
    const BYTES: u64;
    #[doc(hidden)]
    unsafe fn read(host: u64) -> Self;
    #[doc(hidden)]
    unsafe fn write(host: u64, value: Self);
}

mod private {
    pub trait Sealed {}
}

macro_rules! word {
    ($($t:ty, $atomic:ident, $asm_read:literal, $asm_write:literal, $class:ident);*) => {$(
        impl private::Sealed for $t {}
        impl Word for $t {
            const BYTES: u64 = size_of::<$t>() as u64;
            #[inline(always)]
            unsafe fn read(host: u64) -> Self {
                #[cfg(target_arch = "x86_64")]
                {
                    let value: $t;
                    // SAFETY: the caller gives an address inside a live mapping; a host load of
                    // any alignment is one instruction, and racing guest cores are outside the
                    // Rust memory model here as they are on the real machine.
                    unsafe { core::arch::asm!($asm_read, v = out($class) value, p = in(reg) host, options(nostack, preserves_flags, readonly)) };
                    value
                }
                #[cfg(not(target_arch = "x86_64"))]
                {
                    let p = host as *mut $t;
                    if p.is_aligned() {
                        // SAFETY: live mapping, aligned.
                        unsafe { std::sync::atomic::$atomic::from_ptr(p) }.load(std::sync::atomic::Ordering::Relaxed)
                    } else {
                        // SAFETY: live mapping.
                        unsafe { p.read_unaligned() }
                    }
                }
            }
            #[inline(always)]
            unsafe fn write(host: u64, value: Self) {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as for `read`; the page is writable, which the write table vouches for.
                unsafe { core::arch::asm!($asm_write, v = in($class) value, p = in(reg) host, options(nostack, preserves_flags)) };
                #[cfg(not(target_arch = "x86_64"))]
                {
                    let p = host as *mut $t;
                    if p.is_aligned() {
                        // SAFETY: live mapping, aligned.
                        unsafe { std::sync::atomic::$atomic::from_ptr(p) }.store(value, std::sync::atomic::Ordering::Relaxed)
                    } else {
                        // SAFETY: live mapping.
                        unsafe { p.write_unaligned(value) }
                    }
                }
            }
        }
    )*};
}
word! {
    u8, AtomicU8, "mov {v}, byte ptr [{p}]", "mov byte ptr [{p}], {v}", reg_byte;
    u16, AtomicU16, "mov {v:x}, word ptr [{p}]", "mov word ptr [{p}], {v:x}", reg;
    u32, AtomicU32, "mov {v:e}, dword ptr [{p}]", "mov dword ptr [{p}], {v:e}", reg;
    u64, AtomicU64, "mov {v}, qword ptr [{p}]", "mov qword ptr [{p}], {v}", reg
}

/// Read-modify-write operations on guest memory, done as one host atomic operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rmw {
    /// The operand replaces the old value.
    Swap,
    /// Wrapping addition.
    Add,
    /// Bits set in the operand are cleared.
    Clear,
    /// Exclusive or.
    Xor,
    /// Bits set in the operand are set.
    Set,
    /// Signed maximum.
    SMax,
    /// Signed minimum.
    SMin,
    /// Unsigned maximum.
    UMax,
    /// Unsigned minimum.
    UMin,
}

/// A host address of guest memory on which atomic operations are done; it keeps its region alive.
#[derive(Clone)]
pub struct HostPlace {
    address: u64,
    left: u64,
    _region: Arc<Region>,
}

/// Runs `$body` with `$a`, the host atomic of `$bytes` bytes at `$host`, and `U` and `I`, the
/// integers of its width.
macro_rules! by_size {
    (@ $atomic:ident, $u:ty, $i:ty, $host:expr, $a:ident => $body:expr) => {{
        type U = $u;
        #[allow(dead_code)]
        type I = $i;
        // SAFETY: the callers check that the bytes lie inside a live mapping and are aligned.
        let $a = unsafe { std::sync::atomic::$atomic::from_ptr($host as *mut U) };
        let r: U = $body;
        u64::from(r)
    }};
    ($bytes:expr, $host:expr, $a:ident => $body:expr) => {
        match $bytes {
            1 => by_size!(@ AtomicU8, u8, i8, $host, $a => $body),
            2 => by_size!(@ AtomicU16, u16, i16, $host, $a => $body),
            4 => by_size!(@ AtomicU32, u32, i32, $host, $a => $body),
            _ => by_size!(@ AtomicU64, u64, i64, $host, $a => $body),
        }
    };
}

impl HostPlace {
    /// The host place of `offset` in `region`; `None` past its end.
    pub fn new(region: &Arc<Region>, offset: u64) -> Option<HostPlace> {
        let left = region.len().checked_sub(offset)?;
        Some(HostPlace { address: region.host_ptr(offset) as u64, left, _region: region.clone() })
    }

    /// Loads 1, 2, 4 or 8 bytes, aligned or not; `None` past the region's end.
    pub fn load(&self, bytes: u64) -> Option<u64> {
        if self.left < bytes {
            return None;
        }
        // SAFETY: the bytes lie inside the live mapping.
        Some(unsafe {
            match bytes {
                1 => u8::read(self.address).into(),
                2 => u16::read(self.address).into(),
                4 => u32::read(self.address).into(),
                _ => u64::read(self.address),
            }
        })
    }

    /// Stores 1, 2, 4 or 8 bytes, aligned or not; `None` past the region's end. The caller sees
    /// to the dirty and code bitmaps.
    pub fn store(&self, bytes: u64, value: u64) -> Option<()> {
        if self.left < bytes {
            return None;
        }
        // SAFETY: the bytes lie inside the live mapping, which is writable.
        unsafe {
            match bytes {
                1 => u8::write(self.address, value as u8),
                2 => u16::write(self.address, value as u16),
                4 => u32::write(self.address, value as u32),
                _ => u64::write(self.address, value),
            }
        }
        Some(())
    }

    fn fits(&self, bytes: u64) -> bool {
        self.left >= bytes && self.address.is_multiple_of(bytes)
    }

    /// Atomic read-modify-write of 1, 2, 4 or 8 bytes, sequentially consistent; gives the old
    /// value, or `None` where the place is not aligned to `bytes`.
    pub fn rmw(&self, op: Rmw, bytes: u64, operand: u64) -> Option<u64> {
        use std::sync::atomic::Ordering::SeqCst;
        if !self.fits(bytes) {
            return None;
        }
        macro_rules! op {
            ($m:ident, $v:expr) => { by_size!(bytes, self.address, a => a.$m($v as U, SeqCst)) };
        }
        macro_rules! signed {
            ($pick:ident) => { by_size!(bytes, self.address, a => match a.fetch_update(SeqCst, SeqCst, |old| Some((old as I).$pick(operand as I) as U)) { Ok(o) | Err(o) => o }) };
        }
        Some(match op {
            Rmw::Swap => op!(swap, operand),
            Rmw::Add => op!(fetch_add, operand),
            Rmw::Clear => op!(fetch_and, !operand),
            Rmw::Xor => op!(fetch_xor, operand),
            Rmw::Set => op!(fetch_or, operand),
            Rmw::UMax => op!(fetch_max, operand),
            Rmw::UMin => op!(fetch_min, operand),
            Rmw::SMax => signed!(max),
            Rmw::SMin => signed!(min),
        })
    }

    /// Atomic compare-and-swap of 1, 2, 4 or 8 bytes; gives the old value (equal to `expected`
    /// exactly when `new` was stored), or `None` where not aligned.
    pub fn compare_swap(&self, bytes: u64, expected: u64, new: u64) -> Option<u64> {
        use std::sync::atomic::Ordering::SeqCst;
        if !self.fits(bytes) {
            return None;
        }
        Some(by_size!(bytes, self.address, a => match a.compare_exchange(expected as U, new as U, SeqCst, SeqCst) { Ok(o) | Err(o) => o }))
    }

    /// Atomic compare-and-swap of 16 bytes; as [`HostPlace::compare_swap`].
    pub fn compare_swap16(&self, expected: u128, new: u128) -> Option<u128> {
        if !self.fits(16) {
            return None;
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("cmpxchg16b") {
            // SAFETY: the feature was detected; the place is aligned, live and writable.
            return Some(unsafe { compare_swap16(self.address as *mut u128, expected, new) });
        }
        // A host without a 16-byte compare-and-swap: exact as long as one core runs at a time.
        // SAFETY: the place is live and 16 bytes long.
        let old = unsafe { (self.address as *const u128).read_volatile() };
        if old == expected {
            // SAFETY: as above; writable guest memory.
            unsafe { (self.address as *mut u128).write_volatile(new) };
        }
        Some(old)
    }
}

/// `lock cmpxchg16b`: gives the old value.
///
/// # Safety
/// The host has the instruction; `place` is aligned to 16 bytes, mapped and writable.
#[cfg(target_arch = "x86_64")]
unsafe fn compare_swap16(place: *mut u128, expected: u128, new: u128) -> u128 {
    let (low, high): (u64, u64);
    // SAFETY: the caller vouches for the place. RBX is not to be named as an operand, so the low
    // half of the new value goes there by exchange and the register is put back. The other
    // operands have registers by name: a general `reg` may be RBX itself.
    unsafe {
        core::arch::asm!(
            "xchg rsi, rbx",
            "lock cmpxchg16b [rdi]",
            "mov rbx, rsi",
            inout("rsi") new as u64 => _,
            in("rdi") place,
            inout("rax") expected as u64 => low,
            inout("rdx") (expected >> 64) as u64 => high,
            in("rcx") (new >> 64) as u64,
            options(nostack),
        );
    }
    low as u128 | (high as u128) << 64
}

/// The software TLB of one core.
#[repr(C)]
pub struct Tlb {
    read: *const Table,
    write: *const Table,
    fetch: *const Table,
    current: usize,
    slots: Vec<Slot>,
    far: Vec<Far>,
    regions: Vec<Arc<Region>>,
    clock: u64,
    next_id: u32,
}

// SAFETY: the raw pointers point into boxes that `slots` owns and into regions that `regions`
// keeps alive; nothing is shared with another thread.
unsafe impl Send for Tlb {}

impl Default for Tlb {
    fn default() -> Self {
        Self::new()
    }
}

impl Tlb {
    /// Offset of the pointer to the current read [`Table`], for compiled code.
    pub const READ_OFFSET: usize = std::mem::offset_of!(Tlb, read);
    /// Offset of the pointer to the current write [`Table`], for compiled code.
    pub const WRITE_OFFSET: usize = std::mem::offset_of!(Tlb, write);

    /// An empty TLB with one slot for context key 0.
    pub fn new() -> Tlb {
        let mut t = Tlb {
            read: std::ptr::null(),
            write: std::ptr::null(),
            fetch: std::ptr::null(),
            current: 0,
            slots: Vec::new(),
            far: vec![FAR_NOTHING; FAR_SETS * FAR_WAYS],
            regions: Vec::new(),
            clock: 0,
            next_id: 1,
        };
        t.select(0);
        t
    }

    /// Makes the slot of context `key` current, taking the least recently used one when all are
    /// in use. Returns an identifier that names this context's contents: it changes when the slot
    /// is given to another context or flushed whole, so whoever remembers it beside a virtual
    /// address never meets a stale translation.
    #[inline]
    pub fn select(&mut self, key: u64) -> u32 {
        match self.slots.get(self.current) {
            Some(s) if s.key == key => s.id,
            _ => self.change(key),
        }
    }

    /// Makes another slot current.
    fn change(&mut self, key: u64) -> u32 {
        self.clock += 1;
        let found = self.slots.iter().position(|s| s.key == key);
        let i = match found {
            Some(i) => i,
            None if self.slots.len() < SLOTS => {
                self.slots.push(Slot {
                    key,
                    id: self.next_id,
                    far: self.next_id,
                    used: 0,
                    touched: false,
                    read: Table::new(),
                    write: Table::new(),
                    fetch: Table::new(),
                    large: [0; LARGE_WORDS],
                    huge: false,
                });
                self.next_id += 1;
                self.slots.len() - 1
            }
            None => {
                let i = (0..self.slots.len()).min_by_key(|&i| self.slots[i].used).unwrap_or(0);
                let s = &mut self.slots[i];
                s.clear();
                s.key = key;
                s.id = self.next_id;
                s.far = self.next_id;
                self.next_id += 1;
                i
            }
        };
        let s = &mut self.slots[i];
        s.used = self.clock;
        self.current = i;
        self.read = &*s.read;
        self.write = &*s.write;
        self.fetch = &*s.fetch;
        s.id
    }

    /// Identifier of the current context; see [`Tlb::select`].
    pub fn context_id(&self) -> u32 {
        self.slots[self.current].id
    }

    /// Reads guest memory at virtual `address`, or `None` when the slow path must.
    #[inline(always)]
    pub fn load<W: Word>(&self, address: u64) -> Option<W> {
        // SAFETY: `read` points into a box owned by `slots`.
        let e = unsafe { &*self.read }.entry(address);
        if e.tag == address.wrapping_add(W::BYTES - 1) & PAGE_MASK {
            // SAFETY: the tag matched, so the whole access lies in a page that `fill` was given
            // as a live host page.
            Some(unsafe { W::read(address.wrapping_add(e.addend)) })
        } else {
            None
        }
    }

    /// Writes guest memory at virtual `address`; false when the slow path must.
    #[inline(always)]
    pub fn store<W: Word>(&self, address: u64, value: W) -> bool {
        // SAFETY: as in `load`.
        let e = unsafe { &*self.write }.entry(address);
        if e.tag == address.wrapping_add(W::BYTES - 1) & PAGE_MASK {
            // SAFETY: as in `load`; only writable pages are entered in the write table.
            unsafe { W::write(address.wrapping_add(e.addend), value) };
            true
        } else {
            false
        }
    }

    /// The host place of an aligned atomic access, where the write table knows the page.
    #[inline]
    pub fn place(&self, address: u64, bytes: u64) -> Option<u64> {
        // SAFETY: as in `load`.
        let e = unsafe { &*self.write }.entry(address);
        (e.tag == address & PAGE_MASK && address.is_multiple_of(bytes)).then(|| address.wrapping_add(e.addend))
    }

    /// Atomic read-modify-write on the fast path; `None` when the slow path must.
    #[inline]
    pub fn rmw(&self, op: Rmw, address: u64, bytes: u64, operand: u64) -> Option<u64> {
        let host = self.place(address, bytes)?;
        let region = self.regions.first()?;
        HostPlace { address: host, left: bytes, _region: region.clone() }.rmw(op, bytes, operand)
    }

    /// Atomic compare-and-swap on the fast path; `None` when the slow path must.
    #[inline]
    pub fn compare_swap(&self, address: u64, bytes: u64, expected: u64, new: u64) -> Option<u64> {
        let host = self.place(address, bytes)?;
        use std::sync::atomic::Ordering::SeqCst;
        Some(by_size!(bytes, host, a => match a.compare_exchange(expected as U, new as U, SeqCst, SeqCst) { Ok(o) | Err(o) => o }))
    }

    /// The guest physical address of the instruction at virtual `pc`, when known.
    #[inline(always)]
    pub fn fetch(&self, pc: u64) -> Option<u64> {
        // SAFETY: as in `load`.
        let e = unsafe { &*self.fetch }.entry(pc);
        (e.tag == pc & PAGE_MASK).then(|| pc.wrapping_add(e.addend))
    }

    fn keep(&mut self, region: &Arc<Region>) -> usize {
        match self.regions.iter().position(|r| Arc::ptr_eq(r, region)) {
            Some(i) => i,
            None => {
                self.regions.push(region.clone());
                self.regions.len() - 1
            }
        }
    }

    /// Enters a translation in the second level, over one of the same page or in the place of
    /// another.
    fn keep_far(&mut self, new: Far) {
        let set = far_set(new.tag);
        let ways = &mut self.far[set..set + FAR_WAYS];
        if let Some(old) = ways.iter_mut().find(|f| f.tag == new.tag && f.id == new.id) {
            let write = new.write || old.write && old.offset == new.offset && old.region == new.region;
            *old = Far { write, ..new };
            return;
        }
        ways.rotate_right(1);
        ways[0] = new;
    }

    /// Fills the tables of the current slot from the second level, for a read or a write at
    /// `address`; false where it does not know the page.
    pub fn refill(&mut self, address: u64, write: bool) -> bool {
        let page = address & PAGE_MASK;
        let set = far_set(page);
        let s = &mut self.slots[self.current];
        let Some(f) = self.far[set..set + FAR_WAYS].iter().find(|f| f.tag == page && f.id == s.far && if write { f.write } else { f.read }) else {
            return false;
        };
        let Some(region) = self.regions.get(f.region as usize) else { return false };
        if write && region.is_code(f.offset / PAGE_SIZE) {
            return false;
        }
        let addend = (region.host_ptr(f.offset) as u64).wrapping_sub(page);
        s.touched = true;
        if f.read {
            *s.read.entry_mut(page) = Entry { tag: page, addend };
        }
        if write {
            *s.write.entry_mut(page) = Entry { tag: page, addend };
        }
        true
    }

    fn note_large(slot: &mut Slot, page: u64, size: u64) {
        if size > 1 << LARGE {
            slot.huge = true;
        } else if size > PAGE_SIZE {
            let (word, bit) = stretch(page);
            slot.large[word] |= bit;
        }
    }

    /// Enters the data translation of `page` (a guest virtual page) to `offset` in `region`.
    /// `write` says whether stores may take the fast path too; `size` is the size of the guest
    /// page that it came from.
    pub fn fill_data(&mut self, page: u64, region: &Arc<Region>, offset: u64, readable: bool, writable: bool, size: u64) {
        let page = page & PAGE_MASK;
        let offset = offset & PAGE_MASK;
        if offset.checked_add(PAGE_SIZE).is_none_or(|end| end > region.len()) {
            return;
        }
        let index = self.keep(region);
        let addend = (region.host_ptr(offset) as u64).wrapping_sub(page);
        let s = &mut self.slots[self.current];
        s.touched = true;
        Self::note_large(s, page, size);
        if readable {
            *s.read.entry_mut(page) = Entry { tag: page, addend };
        }
        if writable {
            *s.write.entry_mut(page) = Entry { tag: page, addend };
        }
        let id = s.far;
        if let Ok(region) = u16::try_from(index) {
            self.keep_far(Far { tag: page, offset, id, region, read: readable, write: writable });
        }
    }

    /// Enters the fetch translation of `page` to guest physical page `phys`.
    pub fn fill_fetch(&mut self, page: u64, phys: u64, size: u64) {
        let page = page & PAGE_MASK;
        let s = &mut self.slots[self.current];
        s.touched = true;
        Self::note_large(s, page, size);
        *s.fetch.entry_mut(page) = Entry { tag: page, addend: (phys & PAGE_MASK).wrapping_sub(page) };
    }

    /// Drops every translation of the contexts whose key satisfies `which`.
    pub fn flush(&mut self, mut which: impl FnMut(u64) -> bool) {
        for i in 0..self.slots.len() {
            if which(self.slots[i].key) {
                let s = &mut self.slots[i];
                s.clear();
                s.id = self.next_id;
                s.far = self.next_id;
                self.next_id += 1;
            }
        }
    }

    /// Drops the translations of the page at virtual `address` in the contexts whose key
    /// satisfies `which`. Returns true when more than that page went, because a large guest page
    /// covers the address.
    pub fn flush_page(&mut self, address: u64, mut which: impl FnMut(u64) -> bool) -> bool {
        let mut more = false;
        let (word, bit) = stretch(address);
        let set = far_set(address);
        for f in &mut self.far[set..set + FAR_WAYS] {
            if (f.tag ^ address) & VA_COMPARE == 0 {
                *f = FAR_NOTHING;
            }
        }
        for s in &mut self.slots {
            if !s.touched || !which(s.key) {
                continue;
            }
            if s.huge {
                s.clear();
                s.id = self.next_id;
                s.far = self.next_id;
                self.next_id += 1;
                more = true;
            } else if s.large[word] & bit != 0 {
                s.forget_stretch(address);
                s.far = self.next_id;
                self.next_id += 1;
                more = true;
            } else {
                for t in [&mut s.read, &mut s.write, &mut s.fetch] {
                    t.forget(address & PAGE_MASK);
                }
            }
        }
        more
    }

    /// Withholds the fast path for stores to the page at `offset` of `region`, in all contexts:
    /// from now on they take the slow path, which sees that the page has code.
    pub fn protect(&mut self, region: &Arc<Region>, offset: u64) {
        let host = region.host_ptr(offset & PAGE_MASK) as u64;
        for s in self.slots.iter_mut().filter(|s| s.touched) {
            for e in s.write.entries.iter_mut() {
                if e.tag != INVALID && e.tag.wrapping_add(e.addend) == host {
                    *e = NOTHING;
                }
            }
        }
    }
}
