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

/// The entries that translate anything, in lines.
pub fn describe(core: &Core<Mips>) -> String {
    let mut out = String::new();
    for i in 0..core.target.model.tlb_entries {
        let e = entry(core, i);
        if !e.valid() {
            continue;
        }
        let asid = if e.hi & GLOBAL != 0 { "global".to_string() } else { format!("asid {:02x}", e.hi & ASID) };
        out.push_str(&format!("{i:2}: {:016x} {asid}, pages of {:#x}:", address_of(core, &e), e.size()));
        for lo in e.lo {
            // EntryLo.PFN begins at bit 6, and stands for 4 KiB pages.
            let phys = (lo >> 6 << 12) & !(e.size() - 1);
            match lo & VALID != 0 {
                true => out.push_str(&format!(" {phys:010x} {} C{}", if lo & DIRTY != 0 { "rw" } else { "r-" }, lo >> 3 & 7)),
                false => out.push_str(" -"),
            }
        }
        out.push('\n');
    }
    if out.is_empty() { "no entry is valid\n".into() } else { out }
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
const HIDDEN: usize = 1024;
/// Chains of hidden entries; a power of two.
const CHAINS: usize = 512;
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
    (n ^ n >> 9) as usize % CHAINS
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{RAM, WIDE, core, set, user};
    use proteus_exec::ops::Mem;

    /// Writes the TLB as the guest does; `index` for TLBWI.
    fn write(c: &mut Core<Mips>, index: Option<usize>, hi: u64, mask: u64, lo: [u64; 2]) {
        for (key, v) in [((10, 0), hi), ((5, 0), mask), ((2, 0), lo[0]), ((3, 0), lo[1]), ((0, 0), index.unwrap_or(0) as u64)] {
            cp0::write(c, cp0::key(key.0, key.1), v, true).unwrap();
        }
        operation(c, if index.is_some() { 2 } else { 6 }).unwrap();
    }

    /// EntryLo of the page at physical address `phys`.
    fn lo(phys: u64, bits: u64) -> u64 {
        phys >> 12 << 6 | 3 << 3 | bits
    }

    const V: u64 = VALID;
    const D: u64 = DIRTY;
    const G: u64 = 1;

    fn asid(c: &mut Core<Mips>, asid: u64) {
        let hi = c.word(cp0::ENTRY_HI) & !ASID | asid;
        cp0::write(c, cp0::key(10, 0), hi, true).unwrap();
        c.resync();
    }

    #[test]
    fn entries_match_by_page_size_address_space_and_global_bit() {
        for model in ["24Kc", "MIPS64R2-generic"] {
            let mut c = core(model);
            write(&mut c, Some(0), 0x4000 | 7, 0, [lo(0x10_0000, V | D), lo(0x20_0000, V)]);
            write(&mut c, Some(1), 0x10_0000 | 7, 0x1e000, [lo(0x3_0000, V), lo(0x1_0000, 0)]);
            write(&mut c, Some(2), 0x40_0000 | 9, 0, [lo(0x3000, V | D | G), lo(0x5000, V | G)]);
            // G counts only where both halves have it.
            write(&mut c, Some(3), 0x60_0000 | 9, 0, [lo(0x3000, V | G), lo(0x5000, V)]);
            let page = |phys, write, size| Found::Page(phys, write, size);
            let rows = [
                (7, 0x4123, page(0x10_0123, true, 0x1000)),
                (7, 0x5fff, page(0x20_0fff, false, 0x1000)),
                (8, 0x4123, Found::Nothing),
                (7, 0x3fff, Found::Nothing),
                (7, 0x6000, Found::Nothing),
                (7, 0x10_0000, page(0x3_0000, false, 0x1_0000)),
                (7, 0x10_ffff, page(0x3_ffff, false, 0x1_0000)),
                (7, 0x11_0000, Found::Invalid),
                (7, 0x12_0000, Found::Nothing),
                (1, 0x40_0004, page(0x3004, true, 0x1000)),
                (9, 0x60_0000, page(0x3000, false, 0x1000)),
                (1, 0x60_0000, Found::Nothing),
            ];
            for (space, address, expected) in rows {
                asid(&mut c, space);
                assert_eq!(look_up(&mut c, address, false), expected, "{model} {address:#x} in {space}");
            }
            // TLBR gives what was written, as the entry has it.
            *c.word_mut(cp0::INDEX) = 1;
            operation(&mut c, 1).unwrap();
            let read = [cp0::ENTRY_HI, cp0::PAGE_MASK, cp0::ENTRY_LO0, cp0::ENTRY_LO1].map(|s| c.word(s));
            assert_eq!(read, [0x10_0000 | 7, 0x1e000, lo(0x3_0000, V), lo(0x1_0000, 0)], "{model}");
            *c.word_mut(cp0::INDEX) = 3;
            operation(&mut c, 1).unwrap();
            assert_eq!(c.word(cp0::ENTRY_LO0) & G, 0);
        }
    }

    #[test]
    fn probes_tell_the_index_or_that_there_is_none() {
        let mut c = core("5Kc");
        for address in [0x12_3456_8000u64, 0x4000_0000_0000_2000, 0xc000_03ff_7fff_e000, 0xffff_ffff_c000_0000] {
            write(&mut c, Some(5), address | 3, 0, [lo(0, V | D); 2]);
            cp0::write(&mut c, cp0::key(10, 0), address | 3, true).unwrap();
            operation(&mut c, 8).unwrap();
            assert_eq!(c.word(cp0::INDEX), 5, "{address:#x}");
            cp0::write(&mut c, cp0::key(10, 0), address | 4, true).unwrap();
            operation(&mut c, 8).unwrap();
            assert_eq!(c.word(cp0::INDEX), 0xffff_ffff_8000_0000);
            let e = entry(&c, 5);
            assert_eq!(address_of(&c, &e), address, "where it is flushed");
        }
    }

    #[test]
    fn an_exception_leaves_the_page_in_the_registers() {
        let mut c = core("5Kc");
        *c.word_mut(cp0::CONTEXT) = 0xffff_ffff_ff80_0000;
        *c.word_mut(cp0::ENTRY_HI) = 0x55;
        faulted(&mut c, 0x4000_0312_3456_7abc);
        assert_eq!(c.word(cp0::BAD_VADDR), 0x4000_0312_3456_7abc);
        assert_eq!(c.word(cp0::CONTEXT), 0xffff_ffff_ff80_0000 | (0x3456_7abc >> 13) << 4);
        // R is at bit 33 for 42 bits of address.
        assert_eq!(c.word(cp0::XCONTEXT), 1 << 33 | (0x312_3456_7abc >> 13) << 4);
        assert_eq!(c.word(cp0::ENTRY_HI), 0x4000_0312_3456_6055);
    }

    #[test]
    fn random_stays_above_wired_and_does_not_choose_twice() {
        let mut c = core("24Kc");
        let mut seen = 0u64;
        cp0::write(&mut c, cp0::key(6, 0), 5, false).unwrap();
        let mut last = 99;
        for _ in 0..2000 {
            let i = random(&mut c);
            assert!((5..16).contains(&i) && i != last);
            (last, seen) = (i, seen | 1 << i);
        }
        assert_eq!(seen, 0xffe0, "every one of them");
        cp0::write(&mut c, cp0::key(6, 0), 15, false).unwrap();
        assert_eq!((random(&mut c), random(&mut c)), (15, 15));
    }

    /// Loads the pages `pages` (of two) one after the other with TLBWR.
    fn fill(c: &mut Core<Mips>, pages: std::ops::Range<u64>) {
        for n in pages {
            write(c, None, n << 13 | 1, 0, [lo((n % 64) << 13, V | D), lo(((n % 64) << 13) + 0x1000, V)]);
        }
    }

    fn translated(c: &mut Core<Mips>, n: u64) -> bool {
        look_up(c, n << 13, false) != Found::Nothing
    }

    #[test]
    fn what_tlbwr_replaced_translates_until_the_guest_can_know_better() {
        // How the guest can know, and whether everything goes by it.
        type Act = fn(&mut Core<Mips>);
        let acts: [(&str, Act, bool); 7] = [
            ("nothing", |_| (), false),
            ("TLBWR of another page", |c| fill(c, 300..301), false),
            ("TLBWI in one entry", |c| write(c, Some(3), 0x8000_0000, 0, [0; 2]), false),
            ("TLBWI in every entry", |c| (0..16).for_each(|i| write(c, Some(i), 0x8000_0000 + ((i as u64) << 13), 0, [0; 2])), true),
            (
                "TLBR of every entry",
                |c| {
                    for i in 0..16 {
                        *c.word_mut(cp0::INDEX) = i;
                        operation(c, 1).unwrap();
                    }
                },
                true,
            ),
            ("Wired", |c| cp0::write(c, cp0::key(6, 0), 0, false).map(|_| ()).unwrap(), true),
            (
                "TLBWI in every entry, with Wired",
                |c| {
                    cp0::write(c, cp0::key(6, 0), 4, false).unwrap();
                    fill(c, 400..430);
                    (4..16).for_each(|i| write(c, Some(i), 0x8000_0000 + ((i as u64) << 13), 0, [0; 2]));
                },
                true,
            ),
        ];
        for (name, act, all) in acts {
            let mut c = core("24Kc");
            fill(&mut c, 1..100);
            asid(&mut c, 1);
            assert!((1..100).all(|n| translated(&mut c, n)), "{name}");
            let hidden: Vec<u64> = (1..100).filter(|&n| matching(&c, n << 13).is_none()).collect();
            assert_eq!(hidden.len(), 99 - 16);
            act(&mut c);
            asid(&mut c, 1);
            for n in hidden {
                assert_eq!(translated(&mut c, n), !all, "{name}: {n}");
            }
        }
    }

    #[test]
    fn a_probe_or_a_forbidden_store_drops_one_hidden_entry() {
        let mut c = core("24Kc");
        fill(&mut c, 1..100);
        asid(&mut c, 1);
        let hidden: Vec<u64> = (1..100).filter(|&n| matching(&c, n << 13).is_none()).collect();
        let [first, second, third] = hidden[..3] else { panic!() };
        cp0::write(&mut c, cp0::key(10, 0), first << 13 | 1, false).unwrap();
        operation(&mut c, 8).unwrap();
        assert_eq!(c.word(cp0::INDEX), 0x8000_0000);
        assert_eq!(look_up(&mut c, (second << 13) + 0x1000, true), Found::Nothing, "its odd page is clean");
        // Another address space sees nothing of it, and drops nothing.
        asid(&mut c, 2);
        assert!(!translated(&mut c, third));
        asid(&mut c, 1);
        assert_eq!([first, second, third].map(|n| translated(&mut c, n)), [false, false, true]);
    }

    #[test]
    fn with_few_to_choose_from_nothing_is_hidden() {
        let mut c = core("24Kc");
        cp0::write(&mut c, cp0::key(6, 0), 15, false).unwrap();
        fill(&mut c, 1..3);
        asid(&mut c, 1);
        assert!(!translated(&mut c, 1) && translated(&mut c, 2));
    }

    #[test]
    fn an_entry_for_a_hidden_page_takes_its_place() {
        for index in [None, Some(3)] {
            let mut c = core("24Kc");
            fill(&mut c, 1..100);
            asid(&mut c, 1);
            let n = (1..100).find(|&n| matching(&c, n << 13).is_none()).unwrap();
            write(&mut c, index, n << 13 | 1, 0, [lo(0x7000, V); 2]);
            assert_eq!(look_up(&mut c, n << 13, false), Found::Page(0x7000, false, 0x1000));
            let i = matching(&c, n << 13).unwrap();
            write(&mut c, Some(i), 0x8000_0000, 0, [0; 2]);
            asid(&mut c, 1);
            assert!(!translated(&mut c, n), "what was hidden is gone");
        }
    }

    /// A guest that keeps page tables and tells the TLB of its changes in every way there is: a
    /// load or store never meets what the tables do not say.
    #[test]
    fn a_guest_that_keeps_the_rules_never_meets_a_stale_translation() {
        for (model, pages, seed) in [("24Kc", 40, 1), ("24Kc", 2000, 2), ("5Kc", 900, 3), ("MIPS64R2-generic", 200, 4)] {
            let mut guest = Guest::new(model, pages, seed);
            for _ in 0..60_000 {
                guest.step();
            }
            assert!(guest.refills > 100 && guest.hits > 10_000, "{model}: {} {}", guest.refills, guest.hits);
        }
    }

    /// A page table entry: physical page, writable.
    type Pte = Option<(u64, bool)>;

    struct Guest {
        core: Box<Core<Mips>>,
        random: u64,
        /// By address space and page; those of space 0 at odd pairs are global.
        tables: [Vec<Pte>; 3],
        space: usize,
        refills: u32,
        hits: u32,
    }

    impl Guest {
        fn new(model: &str, pages: usize, seed: u64) -> Guest {
            let mut core = core(model);
            // Every physical page holds its own number.
            for page in 0..RAM >> 12 {
                let at = kept(&core, 0xffff_ffff_8000_0000 + (page << 12));
                core.store(at, Mem::plain(2), page).unwrap();
            }
            set(&mut core, user(WIDE));
            Guest { core, random: seed << 40 | 0x1357_9bdf, tables: [vec![None; pages], vec![None; pages], vec![None; pages]], space: 1, refills: 0, hits: 0 }
        }

        fn random(&mut self, below: usize) -> usize {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            (self.random >> 20) as usize % below
        }

        fn lo(&self, page: usize) -> u64 {
            self.tables[self.space].get(page).copied().flatten().map_or(0, |(phys, w)| lo(phys << 12, V | if w { D } else { 0 }))
        }

        fn select(&mut self, space: usize) {
            self.space = space;
            asid(&mut self.core, space as u64 + 1);
        }

        /// TLBP for the pair of `page`: its index.
        fn probe(&mut self, page: usize) -> Option<usize> {
            let hi = (page as u64) << 12 & !PAIR | (self.space as u64 + 1);
            cp0::write(&mut self.core, cp0::key(10, 0), hi, true).unwrap();
            operation(&mut self.core, 8).unwrap();
            let i = self.core.word(cp0::INDEX);
            (i >> 31 == 0).then_some(i as usize)
        }

        fn load_entry(&mut self, page: usize, index: Option<usize>) {
            let even = page & !1;
            let (a, b) = (self.lo(even), self.lo(even + 1));
            write(&mut self.core, index, ((even as u64) << 12) | (self.space as u64 + 1), 0, [a, b]);
        }

        fn overwrite(&mut self, i: usize) {
            let hi = kept(&self.core, 0xffff_ffff_8000_0000 + ((i as u64) << 13));
            write(&mut self.core, Some(i), hi, 0, [0; 2]);
        }

        fn flush_all(&mut self) {
            for i in 0..self.core.target.model.tlb_entries {
                self.overwrite(i);
            }
        }

        /// Changes a page's mapping, and tells the TLB.
        fn change(&mut self) {
            let space = self.random(3);
            self.select(space);
            let page = self.random(self.tables[0].len());
            let old = self.tables[space][page];
            let new = match self.random(4) {
                0 => None,
                1 => old.map(|o| (o.0, false)),
                _ => Some((self.random((RAM >> 12) as usize) as u64, self.random(2) == 0)),
            };
            self.tables[space][page] = new;
            match self.random(20) {
                0 => self.flush_all(),
                1 => {
                    // By reading all of it.
                    for i in 0..self.core.target.model.tlb_entries {
                        *self.core.word_mut(cp0::INDEX) = i as u64;
                        operation(&mut self.core, 1).unwrap();
                        if self.core.word(cp0::ENTRY_HI) == (page as u64) << 12 & !PAIR | (space as u64 + 1) {
                            self.overwrite(i);
                        }
                    }
                }
                n => {
                    let found = self.probe(page);
                    match found {
                        Some(i) if n & 1 == 0 => self.load_entry(page, Some(i)),
                        Some(i) => self.overwrite(i),
                        None => {}
                    }
                }
            }
            self.select(space);
        }

        /// A load or store, with the handlers' part.
        fn access(&mut self) {
            let page = self.random(self.tables[0].len());
            let store = self.random(3) == 0;
            let at = (page as u64) << 12;
            for _ in 0..4 {
                let pte = self.tables[self.space][page];
                let result = match (store, pte) {
                    // A store writes what is there.
                    (true, Some((phys, _))) => self.core.store(at, Mem::plain(2), phys).map(|()| phys),
                    (true, None) => self.core.store(at, Mem::plain(2), 0).map(|()| u64::MAX),
                    (false, _) => self.core.load(at, Mem::plain(2)),
                };
                match result {
                    Ok(got) => {
                        let (phys, writable) = pte.expect("an access to a page that is not there");
                        assert_eq!(got, phys);
                        assert!(writable || !store, "a store to a page that is only read");
                        self.hits += 1;
                        return;
                    }
                    Err(Exception::Tlb { refill: true, .. }) => {
                        self.refills += 1;
                        self.load_entry(page, None);
                    }
                    Err(Exception::Tlb { code: code::MOD, .. }) => {
                        assert!(store && pte.is_some_and(|p| !p.1));
                        self.tables[self.space][page] = pte.map(|p| (p.0, true));
                        let i = self.probe(page).expect("what is not to be modified is there");
                        self.load_entry(page, Some(i));
                    }
                    Err(Exception::Tlb { .. }) => {
                        assert_eq!(pte, None);
                        let phys = self.random((RAM >> 12) as usize) as u64;
                        self.tables[self.space][page] = Some((phys, false));
                        let i = self.probe(page).expect("what is invalid is there");
                        self.load_entry(page, Some(i));
                    }
                    Err(e) => panic!("{e:?}"),
                }
                let space = self.space;
                self.select(space);
            }
            panic!("it never gets through");
        }

        fn step(&mut self) {
            match self.random(60) {
                0 => self.change(),
                1 => {
                    let space = self.random(3);
                    self.select(space);
                }
                _ => self.access(),
            }
        }
    }
}
