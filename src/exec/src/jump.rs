//! The jump cache: virtual pc and context to block and compiled code, the one look-up between
//! blocks for the interpreter and for compiled code alike.
//!
//! Entries of one guest page lie in one run of [`PER_PAGE`] entries, one for each instruction, so
//! that blocks of a page never drive each other out, and an invalidation by page clears just those.
//! Every entry names the context (mode and TLB slot) that it holds for; a context's identifier is
//! never given out twice, so a switch of address space clears nothing.

/// Pages' runs in the cache; a power of two.
pub const RUNS: usize = 32;
/// Entries in a run; a power of two.
pub const PER_PAGE: usize = 1024;
/// Entries in the cache.
pub const ENTRIES: usize = RUNS * PER_PAGE;

/// Bits of an address within an instruction.
pub const INSTRUCTION: u32 = 2;
/// Where the bits of an address begin that are folded onto the index.
pub const FOLD: u32 = INSTRUCTION + ENTRIES.trailing_zeros() - 2;
const _: () = assert!(RUNS.is_power_of_two() && PER_PAGE << INSTRUCTION == 4096 && FOLD > 12);

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

/// Address bits that name a page when it is forgotten; the top byte may be a tag that the guest
/// ignores.
const PAGE_COMPARE: u64 = 0x00ff_ffff_ffff_f000;

/// The cache of one core.
pub struct JumpCache {
    entries: Box<[Entry; ENTRIES]>,
    /// Which pages have entries in each run, by a hash: most pages that are forgotten hold data
    /// and have none, so no entry need be looked at.
    pages: Box<[Pages; RUNS]>,
}

/// Pages with entries in a run: a bit for each that it may be.
type Pages = [u64; 64];

/// The word and bit of the page of `pc` in [`Pages`]. The lowest bits of its number decide the run.
const fn page_bit(pc: u64) -> (usize, u64) {
    let page = (pc & PAGE_COMPARE) >> (12 + RUNS.trailing_zeros());
    let hash = page ^ page >> 12;
    ((hash >> 6) as usize % 64, 1 << (hash % 64))
}

impl Default for JumpCache {
    fn default() -> Self {
        Self::new()
    }
}

impl JumpCache {
    /// An empty cache.
    pub fn new() -> JumpCache {
        JumpCache { entries: Box::new([NOTHING; ENTRIES]), pages: Box::new([[0; 64]; RUNS]) }
    }

    /// Address of the first entry.
    pub fn address(&self) -> u64 {
        self.entries.as_ptr() as u64
    }

    /// Index of the entry for `pc`: its page's run, then the instruction within the page. Further
    /// bits of the page's number decide the run, and the order within it, so that pages that share a
    /// run seldom want the same entries.
    #[inline(always)]
    pub const fn index(pc: u64) -> usize {
        (pc >> INSTRUCTION ^ pc >> FOLD) as usize % ENTRIES
    }

    /// The entry for `pc` in `context`, when it is there.
    #[inline(always)]
    pub fn find(&self, pc: u64, context: u64) -> Option<&Entry> {
        let e = &self.entries[Self::index(pc)];
        (e.pc == pc && e.context == context).then_some(e)
    }

    /// Enters a block.
    pub fn insert(&mut self, entry: Entry) {
        let i = Self::index(entry.pc);
        self.entries[i] = entry;
        let (word, bit) = page_bit(entry.pc);
        self.pages[i / PER_PAGE][word] |= bit;
    }

    /// Forgets what is known of the page at virtual `address`.
    pub fn forget_page(&mut self, address: u64) {
        let run = Self::index(address & !0xfff) / PER_PAGE;
        let (word, bit) = page_bit(address);
        if self.pages[run][word] & bit == 0 {
            return;
        }
        let pages = &mut self.pages[run];
        *pages = [0; 64];
        for e in &mut self.entries[run * PER_PAGE..(run + 1) * PER_PAGE] {
            if (e.pc ^ address) & PAGE_COMPARE == 0 {
                *e = NOTHING;
            } else if e.context != NO_CONTEXT {
                let (word, bit) = page_bit(e.pc);
                pages[word] |= bit;
            }
        }
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
        *self.pages = [[0; 64]; RUNS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_forgotten_alone_and_whole() {
        let mut cache = JumpCache::new();
        // Pages of one run: of one bit, of others, and with a tag in the top byte.
        let pages = [0x1000, 0x1000 | 1 << 30 | 1 << 36, 0x1000 | 1 << 24 | 1 << 18, 0x42_1000 | 0x4000_0000, 0xffff_ffff_8000_1000];
        let pcs: Vec<u64> = pages.iter().flat_map(|p| (0..6).map(move |n| p + n * 0x44)).collect();
        for &gone in &pages {
            cache.clear();
            for &pc in &pcs {
                cache.insert(Entry { pc, context: 7, code: 0, block: 1 });
            }
            let kept: Vec<u64> = pcs.iter().copied().filter(|&pc| cache.find(pc, 7).is_some()).collect();
            for _ in 0..2 {
                cache.forget_page(gone | 0xab << 56 | 0x123);
            }
            let now: Vec<u64> = pcs.iter().copied().filter(|&pc| cache.find(pc, 7).is_some()).collect();
            assert_eq!(now, kept.into_iter().filter(|pc| pc & !0xfff != gone).collect::<Vec<_>>(), "{gone:#x}");
            for &page in &pages {
                cache.forget_page(page);
            }
            assert!(pcs.iter().all(|&pc| cache.find(pc, 7).is_none()));
        }
    }
}
