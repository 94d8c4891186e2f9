//! Coprocessor 0's registers (MIPS PRA, MD00090 and MD00091, chapter 8), each a row: name, number
//! and select, what of it a write changes, its value at reset, what reads and writes do besides.
//!
//! A register's value is in the state's word [`state::cp0`] in the form of general-purpose
//! registers, so that a row without effects is read as that word. Left out, as Config1 and Config3
//! say: EJTAG (Debug, DEPC, DESAVE), performance counters, shadow register sets, MIPS MT, ECC and
//! parity.

use crate::exceptions::{self, Exception, cause, code, status};
use crate::models::{CONFIG1_WR, CONFIG3_VINT, Model};
use crate::state::{self, kept};
use crate::{Mips, mmu, timer, tlb};
use proteus_exec::Core;
use proteus_exec::ops::Slot;

/// Reads with effects.
type Get = fn(&mut Core<Mips>) -> u64;
/// Writes with effects; the value is as the general-purpose register had it.
type Set = fn(&mut Core<Mips>, u64);

/// One register.
#[derive(Clone, Copy)]
pub struct Row {
    /// Name as in the manual.
    pub name: &'static str,
    /// 8 * register + select.
    pub key: u32,
    /// All 64 bits of it are there on a 64-bit model.
    pub wide: bool,
    /// Bits that a write changes.
    mask: fn(&Model) -> u64,
    /// Its value at reset.
    reset: fn(&Mips) -> u64,
    get: Option<Get>,
    set: Option<Set>,
    /// A write changes the whole word and nothing else.
    whole: bool,
    /// A write may change what translation depends on, or let an interrupt in.
    resync: bool,
}

/// The key of register `r`, select `sel`.
pub const fn key(r: u32, sel: u32) -> u32 {
    8 * r + sel
}

const fn row(name: &'static str, r: u32, sel: u32) -> Row {
    Row { name, key: key(r, sel), wide: false, mask: |_| 0, reset: |_| 0, get: None, set: None, whole: false, resync: false }
}

impl Row {
    const fn wide(mut self) -> Row {
        self.wide = true;
        self
    }
    const fn whole(mut self) -> Row {
        self.whole = true;
        self.wide().mask(|_| u64::MAX)
    }
    const fn mask(mut self, mask: fn(&Model) -> u64) -> Row {
        self.mask = mask;
        self
    }
    const fn reset(mut self, reset: fn(&Mips) -> u64) -> Row {
        self.reset = reset;
        self
    }
    const fn get(mut self, f: Get) -> Row {
        self.get = Some(f);
        self
    }
    const fn set(mut self, f: Set) -> Row {
        self.set = Some(f);
        self
    }
    const fn resync(mut self) -> Row {
        self.resync = true;
        self
    }
}

/// `mask` on a model of release 2, nothing before.
const fn if_release2(m: &Model, mask: u64) -> u64 {
    if m.release2() { mask } else { 0 }
}

/// PFN, C, D, V and G.
const fn entry_lo(m: &Model) -> u64 {
    (1 << (m.pa_bits - 12 + 6)) - 1
}

/// Bits that number a TLB entry.
const fn index(m: &Model) -> u64 {
    m.tlb_entries.next_power_of_two() as u64 - 1
}

/// `mask` where there are watch registers.
const fn if_watch(m: &Model, mask: u64) -> u64 {
    if m.config1 & CONFIG1_WR != 0 { mask } else { 0 }
}

/// Every register.
pub static ROWS: &[Row] = &[
    row("Index", 0, 0).mask(index),
    row("Random", 1, 0).get(|c| tlb::random(c) as u64),
    row("EntryLo0", 2, 0).wide().mask(entry_lo),
    row("EntryLo1", 3, 0).wide().mask(entry_lo),
    row("Context", 4, 0).wide().mask(|_| !0x7f_ffff),
    row("UserLocal", 4, 2).wide().get(|c| c.word(state::USER_LOCAL)).set(user_local_write),
    row("PageMask", 5, 0).set(page_mask_write),
    // Neither pages of 1 KiB (Config3.SP) nor large physical addresses (Config3.LPA).
    row("PageGrain", 5, 1),
    row("Wired", 6, 0).set(wired_write),
    row("HWREna", 7, 0).mask(|m| if_release2(m, 0xf | (m.user_local() as u64) << 29)),
    row("BadVAddr", 8, 0).wide(),
    row("Count", 9, 0).get(timer::count).set(|c, v| timer::set_count(c, v as u32)).resync(),
    row("EntryHi", 10, 0).wide().set(entry_hi_write).resync(),
    row("Compare", 11, 0).mask(|_| u64::MAX).set(compare_write).resync(),
    row("Status", 12, 0).reset(|_| status::BEV | status::ERL).set(status_write).resync(),
    row("IntCtl", 12, 1)
        .mask(|m| if m.config3 & CONFIG3_VINT != 0 { 0x1f << 5 } else { 0 })
        // IPTI: the timer is IP7.
        .reset(|t| if_release2(t.model, 7 << 29)),
    // There is one set of registers, so HSS is 0 and the others have no other value to take.
    row("SRSCtl", 12, 2),
    row("SRSMap", 12, 3),
    row("Cause", 13, 0).get(cause_read).set(cause_write).resync(),
    row("EPC", 14, 0).whole(),
    row("PRId", 15, 0).reset(|t| t.model.prid.into()),
    row("EBase", 15, 1).mask(|m| if_release2(m, 0x3fff_f000)).reset(|t| if_release2(t.model, 1 << 31)),
    row("Config", 16, 0).mask(|_| 7).reset(|t| t.model.config0 as u64 | (t.big as u64) << 15),
    row("Config1", 16, 1).reset(|t| t.model.config1.into()),
    row("Config2", 16, 2).reset(|t| t.model.config2.into()),
    row("Config3", 16, 3).reset(|t| t.model.config3.into()),
    // The physical address is not kept.
    row("LLAddr", 17, 0),
    row("WatchLo", 18, 0).wide().mask(|m| if_watch(m, u64::MAX)).set(watch_lo_write).resync(),
    row("WatchHi", 19, 0).set(watch_hi_write).resync(),
    row("XContext", 20, 0).wide().mask(|m| if m.bits64 { u64::MAX << (m.seg_bits - 7) } else { 0 }),
    row("ErrCtl", 26, 0),
    row("CacheErr", 27, 0),
    row("TagLo", 28, 0).mask(|_| u64::MAX),
    row("DataLo", 28, 1).mask(|_| u64::MAX),
    row("TagLo2", 28, 2).mask(|_| u64::MAX),
    row("DataLo2", 28, 3).mask(|_| u64::MAX),
    row("TagHi", 29, 0).mask(|_| u64::MAX),
    row("DataHi", 29, 1).mask(|_| u64::MAX),
    row("TagHi2", 29, 2).mask(|_| u64::MAX),
    row("DataHi2", 29, 3).mask(|_| u64::MAX),
    row("ErrorEPC", 30, 0).whole(),
];

macro_rules! words {
    ($($name:ident $r:literal $sel:literal;)*) => {$(
        #[doc = concat!("The word of register ", $r, ", select ", $sel, ".")]
        pub const $name: Slot = state::cp0($r, $sel);
    )*};
}
words! {
    INDEX 0 0; ENTRY_LO0 2 0; ENTRY_LO1 3 0; CONTEXT 4 0; PAGE_MASK 5 0; WIRED 6 0; HWR_ENA 7 0;
    BAD_VADDR 8 0; ENTRY_HI 10 0; COMPARE 11 0; STATUS 12 0; INT_CTL 12 1; CAUSE 13 0; EPC 14 0;
    EBASE 15 1; CONFIG 16 0; WATCH_LO 18 0; WATCH_HI 19 0; XCONTEXT 20 0; ERROR_EPC 30 0;
}

const NONE: u8 = 0xff;

const fn rows_by_key() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut i = 0;
    while i < ROWS.len() {
        assert!(table[ROWS[i].key as usize] == NONE, "two rows have one key");
        table[ROWS[i].key as usize] = i as u8;
        i += 1;
    }
    table
}
static BY_KEY: [u8; 256] = rows_by_key();

/// The row of `key`.
pub fn find(key: u32) -> Option<&'static Row> {
    ROWS.get(BY_KEY[key as usize & 255] as usize)
}

/// Whether reading register `key` is no more than reading the word [`state::cp0`].
#[inline]
pub fn plain_read(key: u32) -> bool {
    find(key).is_some_and(|r| r.get.is_none())
}

/// Whether writing register `key` is no more than writing the word.
#[inline]
pub fn plain_write(key: u32) -> bool {
    find(key).is_some_and(|r| r.whole)
}

/// Whether a write of register `key` may change what translation depends on.
#[inline]
pub fn resyncs(key: u32) -> bool {
    find(key).is_some_and(|r| r.resync)
}

fn slot(key: u32) -> Slot {
    state::cp0(key >> 3, key & 7)
}

/// A 32-bit value in the form that registers keep.
fn word(core: &Core<Mips>, v: u64) -> u64 {
    kept(core, v as i32 as i64 as u64)
}

/// A read or write of what is not there. Such a register reads as 0.
fn absent(core: &Core<Mips>, key: u32, what: &str) {
    tracing::debug!(target: "unimp", core = core.id.0, pc = format_args!("{:#x}", core.run.pc), register = key >> 3, select = key & 7, "{what} of an absent register of coprocessor 0");
}

/// MFC0 and DMFC0, as a helper.
pub fn read(core: &mut Core<Mips>, key: u32) -> Result<u64, Exception> {
    let key = key & 255;
    Ok(match find(key) {
        Some(Row { get: Some(f), .. }) => f(core),
        Some(_) => core.word(slot(key)),
        None => {
            absent(core, key, "read");
            0
        }
    })
}

/// MTC0 and DMTC0, as a helper. Both write all of a 64-bit register.
pub fn write(core: &mut Core<Mips>, key: u32, v: u64, _dword: bool) -> Result<u64, Exception> {
    let key = key & 255;
    match find(key) {
        Some(Row { set: Some(f), .. }) => f(core, v),
        Some(r) => put(core, r, v),
        None => absent(core, key, "write"),
    }
    Ok(0)
}

/// Writes what the row's mask says.
fn put(core: &mut Core<Mips>, r: &Row, v: u64) {
    let mask = (r.mask)(core.target.model);
    let s = slot(r.key);
    let v = core.word(s) & !mask | v & mask;
    *core.word_mut(s) = if r.wide { kept(core, v) } else { word(core, v) };
}

/// Puts the core into its reset state.
pub fn reset(core: &mut Core<Mips>) {
    core.regs.fill(0);
    for r in ROWS {
        let v = (r.reset)(&core.target);
        *core.word_mut(slot(r.key)) = word(core, v);
    }
    if core.target.model.release2() {
        *core.word_mut(EBASE) |= core.id.0 as u64 & 0x3ff;
    }
    tlb::reset(core);
    *core.word_mut(state::PC) = kept(core, core.target.reset_address);
    core.halted = false;
    core.attention = false;
}

// ---- What reads and writes do.

fn user_local_write(core: &mut Core<Mips>, v: u64) {
    if core.target.model.user_local() {
        *core.word_mut(state::USER_LOCAL) = kept(core, v);
    } else {
        absent(core, key(4, 2), "write");
    }
}

/// PageMask takes pairs of ones from the bottom only: the sizes 4 KiB to 16 MiB, in release 2 to
/// 256 MiB. Others are cut to the next smaller one.
fn page_mask_write(core: &mut Core<Mips>, v: u64) {
    let pairs = if core.target.model.release2() { 8 } else { 6 };
    let ones = (v >> 13).trailing_ones() / 2;
    *core.word_mut(PAGE_MASK) = ((1 << (2 * ones.min(pairs))) - 1) << 13;
}

fn wired_write(core: &mut Core<Mips>, v: u64) {
    *core.word_mut(WIRED) = v & index(core.target.model);
    tlb::wired_written(core);
}

fn entry_hi_write(core: &mut Core<Mips>, v: u64) {
    *core.word_mut(ENTRY_HI) = v & (tlb::vpn_bits(core) | tlb::ASID);
}

fn compare_write(core: &mut Core<Mips>, v: u64) {
    *core.word_mut(COMPARE) = word(core, v);
    timer::set_compare(core, v as u32);
}

fn status_write(core: &mut Core<Mips>, v: u64) {
    // What only clears: TS, SR, NMI.
    const CLEARED: u64 = status::TS | status::SR | status::NMI;
    let old = core.word(STATUS);
    if v & (status::RP | status::RE) & !old != 0 {
        tracing::debug!(target: "unimp", pc = format_args!("{:#x}", core.run.pc), "Status.RP or RE: reduced power and reversed byte order are not there");
    }
    let mask = core.target.model.status as u64;
    let v = if v & CLEARED & !old != 0 { v & (old | !CLEARED) } else { v };
    *core.word_mut(STATUS) = word(core, old & !mask | v & mask);
    exceptions::look(core);
}

fn cause_read(core: &mut Core<Mips>) -> u64 {
    let pending = exceptions::pending(core);
    let ti = if core.target.model.release2() && pending >> 15 & 1 != 0 { cause::TI } else { 0 };
    word(core, core.word(CAUSE) & !(0xff << 8) | pending | ti)
}

fn cause_write(core: &mut Core<Mips>, v: u64) {
    if core.target.model.release2() {
        timer::set_stopped(core, v & cause::DC != 0);
    }
    let mask = cause::SOFTWARE | cause::IV | if_release2(core.target.model, cause::DC);
    let old = core.word(CAUSE);
    // WP is cleared only.
    let wp = old & v & cause::WP;
    *core.word_mut(CAUSE) = word(core, old & !(mask | cause::WP) | v & mask | wp);
    exceptions::look(core);
}

fn watch_lo_write(core: &mut Core<Mips>, v: u64) {
    let mask = if_watch(core.target.model, u64::MAX);
    *core.word_mut(WATCH_LO) = kept(core, v & mask);
    watch_changed(core);
}

/// G, ASID, Mask; in release 2 the bits that tell what matched are cleared by ones.
fn watch_hi_write(core: &mut Core<Mips>, v: u64) {
    let mask = if_watch(core.target.model, 0x40ff_0ff8);
    let matched = core.word(WATCH_HI) & 7 & !v;
    *core.word_mut(WATCH_HI) = v & mask | matched;
    watch_changed(core);
}

/// The watched page leaves the software TLB, the watched instruction its block.
fn watch_changed(core: &mut Core<Mips>) {
    core.forget_blocks = true;
    core.attention = true;
}

// ---- Instructions.

/// DI and EI: gives Status as it was.
pub fn set_ie(core: &mut Core<Mips>, on: bool) -> Result<u64, Exception> {
    let old = core.word(STATUS);
    *core.word_mut(STATUS) = if on { old | status::IE } else { old & !status::IE };
    exceptions::look(core);
    Ok(old)
}

/// RDHWR.
pub fn rdhwr(core: &mut Core<Mips>, n: u32) -> Result<u64, Exception> {
    let allowed = state::Mode(core.run.mode).has(state::Mode::CU0) || core.word(HWR_ENA) >> (n & 31) & 1 != 0;
    let v = match n {
        0 => core.word(EBASE) & 0x3ff,
        // SYNCI_Step.
        1 => core.target.model.line(),
        // CC.
        2 if allowed => timer::count(core),
        // CCRes: Count changes every second cycle, as on the parts.
        3 => 2,
        29 if core.target.model.user_local() => core.word(state::USER_LOCAL),
        _ => return Err(Exception::Plain(code::RI)),
    };
    if allowed { Ok(v) } else { Err(Exception::Plain(code::RI)) }
}

/// RDPGPR and WRPGPR. There is one set of registers, which is its own previous one.
pub fn shadow(core: &mut Core<Mips>, r: u32, v: u64, write: bool) -> Result<u64, Exception> {
    if write && r & 31 != 0 {
        *core.word_mut(state::r(r)) = v;
    }
    Ok(core.word(state::r(r)))
}

/// SYNCI. Stores to code are noticed when they happen, so only the address is checked.
pub fn synci(core: &mut Core<Mips>, address: u64) -> Result<u64, Exception> {
    mmu::check(core, address).map(|()| 0)
}

/// CACHE. Memory is coherent and there are no lines to lose, so nothing is done to data; TagLo and
/// its like are not changed by a load of a tag. Operations on an address fault as loads do.
pub fn cache(core: &mut Core<Mips>, op: u32, address: u64) -> Result<u64, Exception> {
    // Index operations are 0 to 3 in the upper bits.
    if op >> 2 & 7 >= 4 {
        mmu::check(core, address)?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{core, set};
    use crate::timer;

    /// What is read after all ones and after zeros were written: the masks, as the manuals of the
    /// parts have them.
    #[test]
    fn what_software_changes() {
        const M32: &str = "4Kc 24Kc 24Kf";
        const M64: &str = "5Kc 20Kc MIPS64R2-generic";
        let ones32 = 0xffff_ffff;
        let rows: &[(&str, (u32, u32), u64, u64)] = &[
            (M32, (0, 0), 0xf, 0),
            ("5Kc", (0, 0), 0x1f, 0),
            ("20Kc", (0, 0), 0x3f, 0),
            (M32, (2, 0), 0x3ff_ffff, 0),
            (M64, (3, 0), 0x3fff_ffff, 0),
            (M32, (4, 0), 0xff80_0000, 0),
            (M64, (4, 0), 0xffff_ffff_ff80_0000, 0),
            ("4Kc 5Kc", (4, 2), 0, 0),
            ("24Kc", (4, 2), ones32, 0),
            ("4Kc 5Kc 20Kc", (5, 0), 0x1ff_e000, 0),
            ("24Kc MIPS64R2-generic", (5, 0), 0x1fff_e000, 0),
            ("24Kc MIPS64R2-generic", (5, 1), 0, 0),
            (M32, (6, 0), 0xf, 0),
            ("4Kc", (7, 0), 0, 0),
            ("24Kc", (7, 0), 0x2000_000f, 0),
            ("5KEf", (7, 0), 0xf, 0),
            (M32, (10, 0), 0xffff_e0ff, 0),
            ("5Kc MIPS64R2-generic", (10, 0), 0xc000_03ff_ffff_e0ff, 0),
            ("20Kc", (10, 0), 0xc000_00ff_ffff_e0ff, 0),
            ("4Kc", (12, 1), 0, 0),
            ("24Kc", (12, 1), 0xe000_03e0, 0xe000_0000),
            ("MIPS64R2-generic", (12, 1), 0xffff_ffff_e000_03e0, 0xffff_ffff_e000_0000),
            ("24Kc", (12, 2), 0, 0),
            ("4Kc", (13, 0), 0x80_0300, 0),
            ("24Kc", (13, 0), 0x880_0300, 0),
            (M32, (14, 0), ones32, 0),
            (M64, (14, 0), u64::MAX, 0),
            ("4Kc", (15, 1), 0, 0),
            ("24Kc", (15, 1), 0xbfff_f000, 0x8000_0000),
            ("MIPS64R2-generic", (15, 1), 0xffff_ffff_bfff_f000, 0xffff_ffff_8000_0000),
            ("4Kc", (16, 0), 0x8000_0087, 0x8000_0080),
            ("24Kc", (16, 0), 0x8000_0487, 0x8000_0480),
            ("5Kc", (16, 0), 0xffff_ffff_8000_4087, 0xffff_ffff_8000_4080),
            ("24Kc", (16, 1), 0x9e19_0c88, 0x9e19_0c88),
            (M32, (18, 0), ones32, 0),
            ("4Kc", (19, 0), 0x40ff_0ff8, 0),
            ("5Kc", (20, 0), 0xffff_fff8_0000_0000, 0),
            ("20Kc", (20, 0), 0xffff_fffe_0000_0000, 0),
            (M32, (28, 0), ones32, 0),
            // There is no EJTAG, and there are no counters.
            (M32, (23, 0), 0, 0),
            (M32, (25, 0), 0, 0),
            (M32, (31, 0), 0, 0),
        ];
        for &(models, (r, s), ones, zeros) in rows {
            for model in models.split(' ') {
                let mut core = core(model);
                for (v, expected) in [(u64::MAX, ones), (0, zeros)] {
                    let v = kept(&core, v);
                    write(&mut core, key(r, s), v, true).unwrap();
                    assert_eq!(read(&mut core, key(r, s)), Ok(expected), "{model} {r},{s} after {v:#x}");
                    if plain_read(key(r, s)) {
                        assert_eq!(core.word(slot(key(r, s))), expected, "{model} {r},{s}: the word");
                    }
                }
            }
        }
    }

    #[test]
    fn status_bits() {
        for (model, mask) in
            [("4Kc", 0x1040_ff17), ("24Kc", 0x1040_ff1f), ("24Kf", 0x3440_ff1f), ("5Kc", 0x10c0_ffff), ("5KEf", 0x34c0_ffff), ("20Kc", 0x34c0_ffff)]
        {
            let mut core = core(model);
            write(&mut core, key(12, 0), 0xffff_ffff, false).unwrap();
            assert_eq!(core.word(STATUS), mask, "{model}: TS, SR and NMI are only cleared");
            *core.word_mut(STATUS) = status::SR | status::NMI;
            write(&mut core, key(12, 0), status::SR, false).unwrap();
            assert_eq!(core.word(STATUS), status::SR);
        }
    }

    #[test]
    fn at_reset() {
        let mut core = core("24Kf");
        *core.word_mut(EPC) = 5;
        reset(&mut core);
        let words = [(STATUS, 0x40_0004), (CONFIG, 0x8000_0482), (EBASE, 0x8000_0000), (EPC, 0), (state::PC, 0xbfc0_0000), (WATCH_LO, 0)];
        for (slot, v) in words {
            assert_eq!(core.word(slot), v, "{slot:?}");
        }
        assert_eq!(read(&mut core, key(15, 0)), Ok(0x1_9300));
        core.target.big = true;
        reset(&mut core);
        assert_eq!(core.word(CONFIG), 0x8000_8482, "BE");
    }

    #[test]
    fn hardware_registers_need_leave_but_in_the_kernel() {
        let mut core = core("24Kc");
        write(&mut core, key(4, 2), 0x1234, false).unwrap();
        for (n, v) in [(0, 0), (1, 16), (3, 2), (29, 0x1234)] {
            set(&mut core, 0);
            assert_eq!(rdhwr(&mut core, n), Ok(v));
            set(&mut core, 2 << 3);
            assert_eq!(rdhwr(&mut core, n), Err(Exception::Plain(code::RI)), "{n}");
            write(&mut core, key(7, 0), 1 << n, false).unwrap();
            assert_eq!(rdhwr(&mut core, n), Ok(v), "{n}");
            write(&mut core, key(7, 0), 0, false).unwrap();
        }
        set(&mut core, 0);
        assert_eq!(rdhwr(&mut core, 4), Err(Exception::Plain(code::RI)));
    }

    #[test]
    fn count_follows_virtual_time_and_stands_still_at_dc() {
        let mut core = core("MIPS64R2-generic");
        let ticks = |core: &mut Core<Mips>, n: u64| {
            let clock = core.machine.clock().clone();
            clock.set(clock.now() + 10 * n);
        };
        ticks(&mut core, 100);
        assert_eq!(read(&mut core, key(9, 0)), Ok(100));
        write(&mut core, key(9, 0), 0xffff_ffff_8000_0000, false).unwrap();
        ticks(&mut core, 5);
        assert_eq!(read(&mut core, key(9, 0)), Ok(0xffff_ffff_8000_0005));
        write(&mut core, key(13, 0), cause::DC, false).unwrap();
        ticks(&mut core, 50);
        assert_eq!(timer::count(&mut core), 0xffff_ffff_8000_0005);
        write(&mut core, key(9, 0), 7, false).unwrap();
        write(&mut core, key(13, 0), 0, false).unwrap();
        ticks(&mut core, 3);
        assert_eq!(timer::count(&mut core), 10);
    }

    #[test]
    fn operations_on_an_address_fault_as_loads() {
        let mut core = core("24Kc");
        // Hit Invalidate of the instruction cache, Index Store Tag.
        let fault = Exception::Tlb { code: code::TLBL, address: 0x4000, refill: true, wide: false };
        assert_eq!(cache(&mut core, 0b10000, 0x4000), Err(fault));
        assert_eq!(cache(&mut core, 0b01000, 0x4000), Ok(0));
        assert_eq!(cache(&mut core, 0b10101, 0x8000_0000), Ok(0));
        assert_eq!(synci(&mut core, 0x4000), Err(fault));
    }
}
