//! The jump cache: virtual pc and context to block and compiled code, the one look-up between
//! blocks for the interpreter and for compiled code alike.
//!
//! Entries of one guest page lie in one run of [`PER_PAGE`] entries, so that an invalidation by
//! page clears just those. Every entry names the context (mode and TLB slot) that it holds for;
//! a context's identifier is never given out twice, so a switch of address space clears nothing.

/// Pages' runs in the cache; a power of two.
pub const RUNS: usize = 64;
/// Entries in a run; a power of two.
pub const PER_PAGE: usize = 128;
/// Entries in the cache.
pub const ENTRIES: usize = RUNS * PER_PAGE;

/// One entry.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Virtual address of the block's first instruction.
    pub pc: u64,
    /// [`crate::core::Run::context`] that it holds for.
    pub context: u64,
    /// Address of compiled code, or of the code that returns to the run loop.
    pub code: u64,
    /// Index of the block.
    pub block: u64,
}

/// Context that no core ever has.
pub const NO_CONTEXT: u64 = u64::MAX;

const NOTHING: Entry = Entry { pc: 0, context: NO_CONTEXT, code: 0, block: 0 };

/// The cache of one core.
pub struct JumpCache {
    entries: Box<[Entry; ENTRIES]>,
}

impl Default for JumpCache {
    fn default() -> Self {
        Self::new()
    }
}

impl JumpCache {
    /// An empty cache.
    pub fn new() -> JumpCache {
        JumpCache { entries: Box::new([NOTHING; ENTRIES]) }
    }

    /// Address of the first entry.
    pub fn address(&self) -> u64 {
        self.entries.as_ptr() as u64
    }

    /// Index of the entry for `pc`: its page's run, then the instruction within the page, folded
    /// so that both dense and sparse code spread.
    #[inline(always)]
    pub const fn index(pc: u64) -> usize {
        let page = pc >> 12;
        let run = (page ^ (page >> 6)) as usize % RUNS;
        let word = (pc >> 2) ^ (pc >> 8);
        run * PER_PAGE + word as usize % PER_PAGE
    }

    /// The entry for `pc` in `context`, when it is there.
    #[inline(always)]
    pub fn find(&self, pc: u64, context: u64) -> Option<&Entry> {
        let e = &self.entries[Self::index(pc)];
        (e.pc == pc && e.context == context).then_some(e)
    }

    /// Enters a block.
    pub fn insert(&mut self, entry: Entry) {
        self.entries[Self::index(entry.pc)] = entry;
    }

    /// Forgets what is known of the page at virtual `address`.
    pub fn forget_page(&mut self, address: u64) {
        let first = Self::index(address & !0xfff) / PER_PAGE * PER_PAGE;
        self.entries[first..first + PER_PAGE].fill(NOTHING);
    }

    /// Forgets every entry of block `block`.
    pub fn forget_block(&mut self, pc: u64, block: u64) {
        let e = &mut self.entries[Self::index(pc)];
        if e.block == block {
            *e = NOTHING;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.fill(NOTHING);
    }
}
