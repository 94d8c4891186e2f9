//! The joint TLB (MIPS PRA, MD00090 and MD00091, 4.9) and its instructions.
//!
//! An entry is four words of the state: EntryHi with its global bit, PageMask, EntryLo0 and
//! EntryLo1 without theirs.
//!
//! **Hidden entries.** A guest whose working set is larger than the TLB spends much of its time in
//! refill handlers, and each TLBWR would drop two pages of the software TLB. Which entry TLBWR
//! replaces is not foreseeable for the guest, so an entry that it replaced is kept aside, in
//! [`Hidden`], and goes on translating until the guest could know that it is gone: it probes for
//! the page (TLBP), loads an entry for it, has read or overwritten all entries that TLBWR may
//! choose, or writes Wired. An access that such an entry does not allow drops it, and is a refill.
//! What is hidden depends on the guest's instructions alone, so runs repeat exactly.

use crate::cp0;
use crate::exceptions::{Exception, code};
use crate::state::{self, TLB_ENTRIES, kept};
use crate::{Mips, mmu};
use proteus_exec::Core;
use proteus_exec::ops::Slot;
use proteus_exec::system::Flush;

/// The global bit in an entry's first word, between ASID and VPN2.
const GLOBAL: u64 = 1 << 12;
/// EntryLo.V.
const VALID: u64 = 1 << 1;
/// EntryLo.D.
const DIRTY: u64 = 1 << 2;
/// EntryHi.ASID.
pub const ASID: u64 = 0xff;
/// Offsets in the pair of pages of an entry with the smallest pages.
const PAIR: u64 = 0x1fff;

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Entry {
    /// VPN2 and ASID as in EntryHi, and [`GLOBAL`].
    hi: u64,
    /// PageMask.
    mask: u64,
    /// EntryLo0 and EntryLo1, their G bits clear.
    lo: [u64; 2],
}

impl Entry {
    /// Offsets within the pair of pages.
    const fn offsets(&self) -> u64 {
        self.mask | PAIR
    }
    /// Bytes in a page.
    const fn size(&self) -> u64 {
        self.offsets() / 2 + 1
    }
    /// Whether it is for `address`, of the bits in `vpn`, in address space `asid`.
    const fn matches(&self, address: u64, vpn: u64, asid: u64) -> bool {
        (self.hi ^ address) & vpn & !self.offsets() == 0 && (self.hi & GLOBAL != 0 || self.hi & ASID == asid)
    }
    /// Whether some address is translated by both.
    const fn overlaps(&self, other: &Entry, vpn: u64) -> bool {
        let space = (self.hi | other.hi) & GLOBAL != 0 || (self.hi ^ other.hi) & ASID == 0;
        (self.hi ^ other.hi) & vpn & !(self.mask | other.mask) & !PAIR == 0 && space
    }
    /// Whether it translates anything.
    const fn valid(&self) -> bool {
        (self.lo[0] | self.lo[1]) & VALID != 0
    }
}

/// The word of entry `i`.
fn slot(i: usize) -> Slot {
    state::TLB.at(4 * (i % TLB_ENTRIES) as u32)
}

fn entry(core: &Core<Mips>, i: usize) -> Entry {
    let s = slot(i);
    Entry { hi: core.word(s), mask: core.word(s.at(1)), lo: [core.word(s.at(2)), core.word(s.at(3))] }
}

fn set_entry(core: &mut Core<Mips>, i: usize, e: &Entry) {
    let s = slot(i);
    for (n, v) in [e.hi, e.mask, e.lo[0], e.lo[1]].into_iter().enumerate() {
        *core.word_mut(s.at(n as u32)) = v;
    }
}

/// Bits of an address that VPN2 and the region are compared in, with the smallest pages.
pub fn vpn_bits(core: &Core<Mips>) -> u64 {
    let m = core.target.model;
    if m.bits64 { 3 << 62 | ((1 << m.seg_bits) - 1) & !PAIR } else { 0xffff_ffff & !PAIR }
}

/// What the TLB says of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// No entry matches.
    Nothing,
    /// The entry that matches is not valid.
    Invalid,
    /// The physical address, whether stores are allowed, and the bytes in its page.
    Page(u64, bool, u64),
}

fn page(e: &Entry, address: u64) -> Found {
    let size = e.size();
    let lo = e.lo[usize::from(address & size != 0)];
    if lo & VALID == 0 {
        return Found::Invalid;
    }
    Found::Page(lo >> 6 << 12 & !(size - 1) | address & (size - 1), lo & DIRTY != 0, size)
}

/// The index of the entry that matches `address` in the present address space.
fn matching(core: &Core<Mips>, address: u64) -> Option<usize> {
    let (vpn, asid) = (vpn_bits(core), core.word(cp0::ENTRY_HI) & ASID);
    let first = state::TLB.0 as usize;
    let words = core.regs.get(first..first + 4 * core.target.model.tlb_entries)?;
    words.chunks_exact(4).position(|w| Entry { hi: w[0], mask: w[1], lo: [0; 2] }.matches(address, vpn, asid))
}

/// Looks an address up for an access, a store where `write`.
pub fn look_up(core: &mut Core<Mips>, address: u64, write: bool) -> Found {
    if let Some(i) = matching(core, address) {
        return page(&entry(core, i), address);
    }
    let (vpn, asid) = (vpn_bits(core), core.word(cp0::ENTRY_HI) & ASID);
    let Some(at) = core.target.hidden.find(address, vpn, asid) else { return Found::Nothing };
    match page(&core.target.hidden.entries[at].entry, address) {
        found @ Found::Page(_, dirty, _) if dirty || !write => found,
        _ => {
            drop_hidden(core, at);
            Found::Nothing
        }
    }
}

/// Notes the address of a TLB exception in BadVAddr, Context, XContext and EntryHi.
pub fn faulted(core: &mut Core<Mips>, address: u64) {
    let address = kept(core, address);
    let vpn = vpn_bits(core);
    *core.word_mut(cp0::BAD_VADDR) = address;
    // Context.BadVPN2 is bits 31 to 13 of the address, at bit 4.
    let bad = (address >> 13 & 0x7_ffff) << 4;
    *core.word_mut(cp0::CONTEXT) = core.word(cp0::CONTEXT) & !0x7f_fff0 | bad;
    let m = core.target.model;
    if m.bits64 {
        // XContext: R above BadVPN2, which is at bit 4.
        let n = m.seg_bits - 13;
        let bad = (address >> 13 & ((1 << n) - 1)) << 4 | (address >> 62) << (n + 4);
        let base = u64::MAX << (n + 6);
        *core.word_mut(cp0::XCONTEXT) = core.word(cp0::XCONTEXT) & base | bad;
    }
    *core.word_mut(cp0::ENTRY_HI) = address & vpn | core.word(cp0::ENTRY_HI) & ASID;
}

/// Empties the TLB: every entry for pages of kseg0, which is never looked up here.
pub fn reset(core: &mut Core<Mips>) {
    let vpn = vpn_bits(core);
    for i in 0..TLB_ENTRIES {
        let hi = kept(core, 0xffff_ffff_8000_0000 + ((i as u64) << 13)) & vpn;
        set_entry(core, i, &Entry { hi, ..Entry::default() });
    }
    core.target.hidden = Hidden::default();
    *core.word_mut(state::RANDOM) = 0x9e37_79b9_7f4a_7c15;
}

/// Entries that TLBWR never chooses.
fn wired(core: &Core<Mips>) -> usize {
    (core.word(cp0::WIRED) as usize).min(core.target.model.tlb_entries - 1)
}

/// An index that TLBWR may choose, not the last one again where there is a choice. The generator
/// is xorshift (Marsaglia), so that a run repeats.
pub fn random(core: &mut Core<Mips>) -> usize {
    let first = wired(core) as u64;
    let choices = core.target.model.tlb_entries as u64 - first;
    // The low byte is the last choice.
    let last = core.word(state::RANDOM) & 0xff;
    let mut x = core.word(state::RANDOM) | 1 << 63;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    let mut i = first + (x >> 32) % choices;
    if i == last {
        i = first + (i - first + 1) % choices;
    }
    *core.word_mut(state::RANDOM) = x & !0xff | i;
    i as usize
}

/// Wired was written: Random begins at the top, and what was hidden is known to be gone.
pub fn wired_written(core: &mut Core<Mips>) {
    drop_all_hidden(core);
}

/// The first address of `e`. VPN2 has not the bits above the segment's: in the 32-bit segments
/// at the top they are ones, elsewhere zeros.
fn address_of(core: &Core<Mips>, e: &Entry) -> u64 {
    let m = core.target.model;
    let address = e.hi & vpn_bits(core) & !e.offsets();
    let limit = 1u64 << m.seg_bits;
    if m.bits64 && address >> 62 == 3 && address & (limit - 1) >= limit - (1 << 31) { address | !(limit - 1) } else { address }
}

/// Drops the pages of `e` from the software TLB.
fn flush(core: &mut Core<Mips>, e: &Entry) {
    let (key, mask) = if e.hi & GLOBAL != 0 { (0, 0) } else { ((e.hi & ASID) << mmu::key::ASID_SHIFT, mmu::key::ASID) };
    let base = address_of(core, e);
    for (n, lo) in e.lo.into_iter().enumerate() {
        if lo & VALID != 0 {
            // One page of the software TLB takes a larger guest page with it.
            core.flush_tlb(Flush { key, mask, address: Some(base + n as u64 * e.size()), pages: 1 });
        }
    }
}

// ---- Instructions.

/// TLBR, TLBWI, TLBWR, TLBP, by function code; others do not get here.
pub fn operation(core: &mut Core<Mips>, function: u32) -> Result<u64, Exception> {
    let index = core.word(cp0::INDEX) as usize & (TLB_ENTRIES - 1);
    let exists = index < core.target.model.tlb_entries;
    match function {
        1 if exists => read(core, index),
        2 if exists => write_indexed(core, index),
        // UNDEFINED; here nothing happens.
        1 | 2 => tracing::debug!(target: "guest_error", index, "TLB entry that does not exist"),
        6 => write_random(core),
        8 => probe(core),
        _ => return Err(Exception::Plain(code::RI)),
    }
    Ok(0)
}

/// TLBR.
fn read(core: &mut Core<Mips>, i: usize) {
    let e = entry(core, i);
    let g = u64::from(e.hi & GLOBAL != 0);
    let hi = e.hi & (vpn_bits(core) & !e.mask | ASID);
    // VPN2 is kept as the register has it: with the region, without sign extension between.
    *core.word_mut(cp0::ENTRY_HI) = hi;
    *core.word_mut(cp0::PAGE_MASK) = e.mask;
    *core.word_mut(cp0::ENTRY_LO0) = e.lo[0] | g;
    *core.word_mut(cp0::ENTRY_LO1) = e.lo[1] | g;
    core.target.hidden.known |= 1 << i;
    forget_if_known(core);
}

/// The entry that EntryHi, PageMask and EntryLo0 and 1 describe.
fn described(core: &Core<Mips>) -> Entry {
    let mask = core.word(cp0::PAGE_MASK);
    let lo = [core.word(cp0::ENTRY_LO0), core.word(cp0::ENTRY_LO1)];
    let hi = core.word(cp0::ENTRY_HI);
    let g = if lo[0] & lo[1] & 1 != 0 { GLOBAL } else { 0 };
    Entry { hi: hi & vpn_bits(core) & !mask | hi & ASID | g, mask, lo: lo.map(|l| l & !1) }
}

/// TLBWI.
fn write_indexed(core: &mut Core<Mips>, i: usize) {
    let (old, new) = (entry(core, i), described(core));
    if old == new && new.valid() {
        return;
    }
    // An update of a page's own entry says nothing of where others are.
    if !(new.valid() && old.hi == new.hi && old.mask == new.mask) {
        core.target.hidden.known |= 1 << i;
    }
    drop_overlapping(core, &new);
    set_entry(core, i, &new);
    // Where the physical page is the same and rights only grow, what is cached stays right.
    let kept = |n: usize| {
        let (o, n) = (old.lo[n], new.lo[n]);
        o & VALID == 0 || o >> 6 == n >> 6 && o & (VALID | DIRTY) & !n == 0
    };
    if !(old.hi == new.hi && old.mask == new.mask && kept(0) && kept(1)) {
        flush(core, &old);
    }
    forget_if_known(core);
}

/// TLBWR.
fn write_random(core: &mut Core<Mips>) {
    let i = random(core);
    let (old, new) = (entry(core, i), described(core));
    drop_overlapping(core, &new);
    set_entry(core, i, &new);
    core.target.hidden.known &= !(1 << i);
    let choices = core.target.model.tlb_entries - wired(core);
    if !old.valid() || old.overlaps(&new, vpn_bits(core)) || choices < LEAST_CHOICES || old.mask != 0 {
        flush(core, &old);
    } else if let Some(dropped) = core.target.hidden.insert(old) {
        flush(core, &dropped);
    }
}

/// TLBP.
fn probe(core: &mut Core<Mips>) {
    let hi = core.word(cp0::ENTRY_HI);
    let found = matching(core, hi);
    *core.word_mut(cp0::INDEX) = match found {
        Some(i) => i as u64,
        None => {
            let (vpn, asid) = (vpn_bits(core), hi & ASID);
            while let Some(at) = core.target.hidden.find(hi, vpn, asid) {
                drop_hidden(core, at);
            }
            kept(core, 0xffff_ffff_8000_0000)
        }
    };
}

// ---- Hidden entries.

/// Entries that are hidden at most.
const HIDDEN: usize = 512;
/// Chains of hidden entries; a power of two.
const CHAINS: usize = 256;
/// Fewer entries than this for TLBWR to choose from make its choice foreseeable.
const LEAST_CHOICES: usize = 8;
/// No hidden entry.
const NONE: u16 = u16::MAX;

/// A hidden entry and its successor in the chain.
#[derive(Clone, Copy)]
struct Link {
    entry: Entry,
    next: u16,
    used: bool,
}

/// The entries that TLBWR replaced; all have the smallest pages. See the head of this file.
pub struct Hidden {
    entries: Box<[Link; HIDDEN]>,
    chains: [u16; CHAINS],
    /// The next place, and with it the oldest entry.
    at: usize,
    count: usize,
    /// Entries of the TLB whose present contents the guest knows to be nothing hidden, a bit each.
    known: u64,
}

impl Default for Hidden {
    fn default() -> Self {
        let nothing = Link { entry: Entry::default(), next: NONE, used: false };
        Hidden { entries: Box::new([nothing; HIDDEN]), chains: [NONE; CHAINS], at: 0, count: 0, known: 0 }
    }
}

/// The chain of the pair of pages at `address`.
const fn chain(address: u64) -> usize {
    let n = address >> 13;
    (n ^ n >> 8) as usize % CHAINS
}

impl Hidden {
    /// Where the entry for `address` is.
    fn find(&self, address: u64, vpn: u64, asid: u64) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let mut at = self.chains[chain(address & vpn)];
        while let Some(l) = self.entries.get(at as usize) {
            if l.entry.matches(address, vpn, asid) {
                return Some(at as usize);
            }
            at = l.next;
        }
        None
    }

    /// Takes the entry at `at` out.
    fn remove(&mut self, at: usize) -> Option<Entry> {
        let l = *self.entries.get(at).filter(|l| l.used)?;
        let head = chain(l.entry.hi & !PAIR);
        if self.chains[head] as usize == at {
            self.chains[head] = l.next;
        } else {
            let mut before = self.chains[head] as usize;
            while let Some(b) = self.entries.get_mut(before) {
                if b.next as usize == at {
                    b.next = l.next;
                    break;
                }
                before = b.next as usize;
            }
        }
        self.entries[at].used = false;
        self.count -= 1;
        Some(l.entry)
    }

    /// Puts an entry in the place of the oldest one, which it gives.
    fn insert(&mut self, entry: Entry) -> Option<Entry> {
        let at = self.at;
        self.at = (at + 1) % HIDDEN;
        let old = self.remove(at);
        let head = chain(entry.hi & !PAIR);
        self.entries[at] = Link { entry, next: self.chains[head], used: true };
        self.chains[head] = at as u16;
        self.count += 1;
        old
    }
}

/// Drops one hidden entry and what was cached of it.
fn drop_hidden(core: &mut Core<Mips>, at: usize) {
    if let Some(e) = core.target.hidden.remove(at) {
        flush(core, &e);
    }
}

/// Drops the hidden entries that translate an address which `new` does too.
fn drop_overlapping(core: &mut Core<Mips>, new: &Entry) {
    if core.target.hidden.count == 0 {
        return;
    }
    let vpn = vpn_bits(core);
    if new.mask != 0 {
        for at in 0..HIDDEN {
            let l = &core.target.hidden.entries[at];
            if l.used && l.entry.overlaps(new, vpn) {
                drop_hidden(core, at);
            }
        }
        return;
    }
    let mut at = core.target.hidden.chains[chain(new.hi & !PAIR)];
    while let Some(l) = core.target.hidden.entries.get(at as usize) {
        let (next, same) = (l.next, l.entry.overlaps(new, vpn));
        if same {
            drop_hidden(core, at as usize);
        }
        at = next;
    }
}

/// Drops all hidden entries.
fn drop_all_hidden(core: &mut Core<Mips>) {
    core.target.hidden.known = 0;
    // A few are dropped by page; for many it is cheaper to begin anew.
    const FEW: usize = 48;
    let hidden = &mut core.target.hidden;
    if hidden.count > FEW {
        *hidden = Hidden::default();
        core.flush_tlb(Flush { key: 0, mask: 0, address: None, pages: 0 });
        return;
    }
    for at in 0..HIDDEN {
        if core.target.hidden.count == 0 {
            return;
        }
        drop_hidden(core, at);
    }
}

/// Drops all hidden entries once the guest knows of every entry that TLBWR may choose.
fn forget_if_known(core: &mut Core<Mips>) {
    let n = core.target.model.tlb_entries;
    let all = u64::MAX >> (64 - n) & !((1 << wired(core)) - 1);
    if core.target.hidden.known & all == all {
        drop_all_hidden(core);
    }
}
