//! Taking exceptions and returning from them, interrupts, and what waits for them (MIPS PRA,
//! MD00090 and MD00091, chapter 6).

use crate::state::{self, Mode, kept};
use crate::{Mips, cp0, fpu, mips, tlb};
use proteus_exec::ops::Mem;
use proteus_exec::{Access, BusError, Core, Step};

/// Exception codes, as in Cause.ExcCode.
pub mod code {
    #![allow(missing_docs)]
    pub const INT: u8 = 0;
    pub const MOD: u8 = 1;
    pub const TLBL: u8 = 2;
    pub const TLBS: u8 = 3;
    pub const ADEL: u8 = 4;
    pub const ADES: u8 = 5;
    pub const IBE: u8 = 6;
    pub const DBE: u8 = 7;
    pub const SYS: u8 = 8;
    pub const BP: u8 = 9;
    pub const RI: u8 = 10;
    pub const CPU: u8 = 11;
    pub const OV: u8 = 12;
    pub const TR: u8 = 13;
    pub const FPE: u8 = 15;
    pub const WATCH: u8 = 23;
}

/// Bits of Status.
pub mod status {
    #![allow(missing_docs)]
    pub const IE: u64 = 1 << 0;
    pub const EXL: u64 = 1 << 1;
    pub const ERL: u64 = 1 << 2;
    pub const KSU: u64 = 3 << 3;
    pub const UX: u64 = 1 << 5;
    pub const SX: u64 = 1 << 6;
    pub const KX: u64 = 1 << 7;
    pub const IM: u64 = 0xff << 8;
    pub const NMI: u64 = 1 << 19;
    pub const SR: u64 = 1 << 20;
    pub const TS: u64 = 1 << 21;
    pub const BEV: u64 = 1 << 22;
    pub const PX: u64 = 1 << 23;
    pub const RE: u64 = 1 << 25;
    pub const FR: u64 = 1 << 26;
    pub const RP: u64 = 1 << 27;
    pub const CU0: u64 = 1 << 28;
    pub const CU1: u64 = 1 << 29;
}

/// Bits of Cause.
pub mod cause {
    #![allow(missing_docs)]
    pub const CODE: u64 = 31 << 2;
    /// The software interrupts IP1 and IP0.
    pub const SOFTWARE: u64 = 3 << 8;
    pub const WP: u64 = 1 << 22;
    pub const IV: u64 = 1 << 23;
    pub const DC: u64 = 1 << 27;
    pub const CE: u64 = 3 << 28;
    pub const TI: u64 = 1 << 30;
    pub const BD: u64 = 1 << 31;
}

/// What can be raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exception {
    /// One without an address, by its code.
    Plain(u8),
    /// Coprocessor Unusable, of this coprocessor.
    Unusable(u8),
    /// An address error: code and address.
    Address(u8, u64),
    /// Of the TLB: code and address. `refill` where no entry matched; `wide` where 64-bit
    /// addressing is on for the segment.
    Tlb {
        /// Cause.ExcCode.
        code: u8,
        /// BadVAddr.
        address: u64,
        /// No entry matched.
        refill: bool,
        /// The XTLB refill vector is meant.
        wide: bool,
    },
    /// A data or instruction access, or a deferred one, that the watch registers match.
    Watch,
    /// The interrupt that is pending and not masked.
    Interrupt,
}

/// The exception of `code` that has no address.
pub fn plain(_: &mut Core<Mips>, code: u8) -> Exception {
    Exception::Plain(code)
}

/// Coprocessor Unusable of coprocessor `unit`.
pub fn unusable(_: &mut Core<Mips>, unit: u8) -> Exception {
    Exception::Unusable(unit & 3)
}

/// What an instruction word raises that is not allocated: Coprocessor Unusable for those of a
/// coprocessor that is not usable, else Reserved Instruction.
pub fn reserved(core: &mut Core<Mips>, word: u32) -> Exception {
    let mode = Mode(mode(core));
    // COP1X is coprocessor 1's, but in release 1 of MIPS32, where it is coprocessor 3's.
    let unit = match word >> 26 {
        0x10 => 0,
        0x11 | 0x31 | 0x35 | 0x39 | 0x3d => 1,
        0x12 | 0x32 | 0x36 | 0x3a | 0x3e => 2,
        0x13 if core.target.model.release2() || core.target.model.bits64 => 1,
        0x13 => 3,
        _ => return Exception::Plain(code::RI),
    };
    let usable = match unit {
        0 => mode.has(Mode::CU0),
        1 => mode.has(Mode::CU1),
        _ => false,
    };
    if usable { Exception::Plain(code::RI) } else { Exception::Unusable(unit) }
}

/// The exception for a physical access that failed, or an address that is not aligned.
pub fn bus_error(_: &mut Core<Mips>, address: u64, access: Access, error: BusError) -> Exception {
    match (error, access) {
        (BusError::Alignment, _) => Exception::Address(address_code(access), address),
        (BusError::External, Access::Fetch) => Exception::Plain(code::IBE),
        (BusError::External, _) => Exception::Plain(code::DBE),
    }
}

/// The code of an address error.
pub fn address_code(access: Access) -> u8 {
    if access == Access::Write { code::ADES } else { code::ADEL }
}

/// The privilege in effect: 0 kernel, 1 supervisor, 2 user.
#[inline]
pub fn privilege(core: &Core<Mips>) -> u16 {
    let s = core.word(cp0::STATUS);
    if s & (status::EXL | status::ERL) != 0 {
        return 0;
    }
    match s >> 3 & 3 {
        0 => 0,
        1 => 1,
        // 3 is reserved: the least rights.
        _ => 2,
    }
}

/// The translation mode.
pub fn mode(core: &Core<Mips>) -> u16 {
    let s = core.word(cp0::STATUS);
    let p = privilege(core);
    let set = |on: bool, flag: u16| if on { flag } else { 0 };
    let mut mode = p
        | set(core.target.big, Mode::BIG)
        | set(core.word(state::DELAY) != 0, Mode::SLOT)
        | set(s & status::FR != 0, Mode::FR)
        | set(s & status::CU1 != 0, Mode::CU1)
        | set(p == 0 || s & status::CU0 != 0, Mode::CU0)
        | set(fpu::traps(core), Mode::FP_TRAPS);
    if core.target.model.bits64 {
        let wide = match p {
            0 => true,
            1 => s & status::SX != 0,
            _ => s & status::UX != 0,
        };
        mode |= Mode::M64 | set(p != 2 || s & (status::PX | status::UX) != 0, Mode::OP64) | set(!wide, Mode::ADDRESS32);
    }
    mode
}

/// `v` with the bits of `mask` replaced by those of `bits`, in the form that a 32-bit register is
/// kept in.
fn replaced(core: &Core<Mips>, v: u64, mask: u64, bits: u64) -> u64 {
    kept(core, (v & !mask | bits & mask) as i32 as i64 as u64)
}

/// Changes bits of a 32-bit register.
fn change(core: &mut Core<Mips>, slot: proteus_exec::ops::Slot, mask: u64, bits: u64) {
    let v = replaced(core, core.word(slot), mask, bits);
    *core.word_mut(slot) = v;
}

/// An address in the 32-bit segments of the kernel, as this model sees it.
fn kernel(core: &Core<Mips>, low: u32) -> u64 {
    kept(core, low as i32 as i64 as u64)
}

/// Cause.IP: the lines of the hardware interrupts and the two of software, in bits 15 to 8.
pub fn pending(core: &Core<Mips>) -> u64 {
    (core.lines.pins() as u64 & 0xfc) << 8 | core.word(cp0::CAUSE) & cause::SOFTWARE
}

/// Whether Status lets interrupts in.
fn enabled(core: &Core<Mips>) -> bool {
    core.word(cp0::STATUS) & (status::IE | status::EXL | status::ERL) == status::IE
}

/// The offset of the interrupt vector, where Cause.IV is set (release 1: always 0x200).
fn interrupt_offset(core: &Core<Mips>) -> u64 {
    let spacing = core.word(cp0::INT_CTL) >> 5 & 31;
    if core.target.model.config3 & crate::models::CONFIG3_VINT == 0 || core.word(cp0::STATUS) & status::BEV != 0 || spacing == 0 {
        return 0x200;
    }
    // The highest pending one that is not masked, with no priority encoder of an external
    // controller.
    let open = (pending(core) & core.word(cp0::STATUS) & status::IM) >> 8;
    0x200 + (7 - (open as u8).leading_zeros().min(7)) as u64 * (spacing * 32)
}

/// Takes `exception`, raised at `pc`.
pub fn take(core: &mut Core<Mips>, exception: Exception, pc: u64) {
    let slot = core.run.slot != 0;
    *core.word_mut(state::DELAY) = 0;
    let s = core.word(cp0::STATUS);
    let nested = s & status::EXL != 0;
    let (code, mut offset, unit) = match exception {
        Exception::Plain(c) => (c, 0x180, 0),
        Exception::Unusable(unit) => (code::CPU, 0x180, unit as u64),
        Exception::Address(c, address) => {
            *core.word_mut(cp0::BAD_VADDR) = kept(core, address);
            (c, 0x180, 0)
        }
        Exception::Tlb { code, address, refill, wide } => {
            tlb::faulted(core, address);
            let offset = match (refill && !nested, wide) {
                (false, _) => 0x180,
                (true, false) => 0,
                (true, true) => 0x80,
            };
            (code, offset, 0)
        }
        Exception::Watch => {
            change(core, cp0::CAUSE, cause::WP, 0);
            (code::WATCH, 0x180, 0)
        }
        Exception::Interrupt => {
            let offset = if core.word(cp0::CAUSE) & cause::IV != 0 { interrupt_offset(core) } else { 0x180 };
            (code::INT, offset, 0)
        }
    };
    if nested {
        // EPC and BD stay those of the first exception.
        offset = 0x180;
    } else {
        *core.word_mut(cp0::EPC) = kept(core, if slot { pc.wrapping_sub(4) } else { pc });
        change(core, cp0::CAUSE, cause::BD, if slot { cause::BD } else { 0 });
    }
    change(core, cp0::CAUSE, cause::CODE | cause::CE, (code as u64) << 2 | unit << 28);
    change(core, cp0::STATUS, status::EXL, status::EXL);
    let base = if s & status::BEV != 0 {
        kernel(core, 0xbfc0_0200)
    } else if core.target.model.release2() {
        core.word(cp0::EBASE) & !0xfff
    } else {
        kernel(core, 0x8000_0000)
    };
    *core.word_mut(state::PC) = base.wrapping_add(offset);
    tracing::trace!(target: "int", core = core.id.0, ?exception, pc = format_args!("{pc:#x}"), slot, to = format_args!("{:#x}", base.wrapping_add(offset)), "exception");
}

/// The interrupt to take now, or a watch exception that had to wait.
pub fn interrupt(core: &mut Core<Mips>) -> Option<Exception> {
    core.attention = false;
    let s = core.word(cp0::STATUS);
    if core.word(cp0::CAUSE) & cause::WP != 0 && s & (status::EXL | status::ERL) == 0 {
        return Some(Exception::Watch);
    }
    (enabled(core) && pending(core) & s & status::IM != 0).then_some(Exception::Interrupt)
}

/// After a change of Status or Cause: what may be taken now is taken before the next instruction,
/// for those that make such a change end their block.
pub fn look(core: &mut Core<Mips>) {
    let s = core.word(cp0::STATUS);
    let watch = core.word(cp0::CAUSE) & cause::WP != 0 && s & (status::EXL | status::ERL) == 0;
    if watch || enabled(core) && pending(core) & s & status::IM != 0 {
        core.attention = true;
    }
}

/// Whether a WAIT ends: any interrupt that Status.IM lets through, whatever Status.IE is.
pub fn wakes(core: &Core<Mips>) -> bool {
    pending(core) & core.word(cp0::STATUS) & status::IM != 0
}

// ---- The instructions, as helpers.

/// ERET.
pub fn eret(core: &mut Core<Mips>) -> Result<u64, Exception> {
    let (back, bit) = if core.word(cp0::STATUS) & status::ERL != 0 { (cp0::ERROR_EPC, status::ERL) } else { (cp0::EPC, status::EXL) };
    *core.word_mut(state::PC) = core.word(back);
    change(core, cp0::STATUS, bit, 0);
    *core.word_mut(state::LLBIT) = 0;
    look(core);
    Ok(0)
}

/// DERET: there is no EJTAG (Config1.EP is clear), so it is reserved.
pub fn deret(_: &mut Core<Mips>) -> Result<u64, Exception> {
    Err(Exception::Plain(code::RI))
}

/// WAIT.
pub fn wait(core: &mut Core<Mips>) -> Result<u64, Exception> {
    core.halted = true;
    Ok(0)
}

/// SC and SCD: stores where the load-linked sequence has not been broken and memory still holds
/// what it read.
pub fn store_conditional(core: &mut Core<Mips>, address: u64, value: u64, size: u8) -> Result<u64, Exception> {
    let m = Mem { align: 1 << (size & 3), big: core.target.big, ..Mem::plain(size & 3) };
    if !address.is_multiple_of(m.bytes()) {
        return Err(Exception::Address(code::ADES, address));
    }
    let held = core.word(state::LLBIT) != 0 && core.word(state::LL_ADDRESS) == address;
    *core.word_mut(state::LLBIT) = 0;
    if !held {
        return Ok(0);
    }
    let cut = |v: u64| v & u64::MAX >> (64 - 8 * m.bytes());
    let expected = cut(core.word(state::LL_VALUE));
    Ok((core.compare_swap(address, m, expected, cut(value))? == expected) as u64)
}

// ---- Watch registers (one pair).

/// Bits of WatchLo and WatchHi: what kind of access.
const WATCH_FETCH: u64 = 1 << 2;
const WATCH_READ: u64 = 1 << 1;
const WATCH_WRITE: u64 = 1;

/// Whether the watch registers are on for data.
#[inline]
pub fn watches_data(core: &Core<Mips>) -> bool {
    core.word(cp0::WATCH_LO) & (WATCH_READ | WATCH_WRITE) != 0
}

/// Bits of an address that the watch registers do not compare: a doubleword, and WatchHi.Mask.
fn watch_ignored(core: &Core<Mips>) -> u64 {
    core.word(cp0::WATCH_HI) & 0xff8 | 7
}

/// Whether the watched addresses lie in the page of `address`.
pub fn watched_page(core: &Core<Mips>, address: u64) -> bool {
    (core.word(cp0::WATCH_LO) ^ address) & !0xfff == 0
}

/// The watch exception for an access to `address`, where the registers match it. With EXL or ERL
/// set it is put off by Cause.WP.
pub fn watch(core: &mut Core<Mips>, address: u64, access: Access) -> Option<Exception> {
    let kind = match access {
        Access::Fetch => WATCH_FETCH,
        Access::Read => WATCH_READ,
        Access::Write => WATCH_WRITE,
    };
    let (low, high) = (core.word(cp0::WATCH_LO), core.word(cp0::WATCH_HI));
    let space = high >> 30 & 1 != 0 || high >> 16 & 0xff == core.word(cp0::ENTRY_HI) & 0xff;
    if low & kind == 0 || (low ^ address) & !watch_ignored(core) != 0 || !space {
        return None;
    }
    if core.target.model.release2() {
        change(core, cp0::WATCH_HI, kind, kind);
    }
    if core.word(cp0::STATUS) & (status::EXL | status::ERL) != 0 {
        change(core, cp0::CAUSE, cause::WP, cause::WP);
        return None;
    }
    Some(Exception::Watch)
}

/// Whether the instruction at `pc` is to be run by [`watched_instruction`].
#[inline]
pub fn watches_instruction(core: &Core<Mips>, pc: u64) -> bool {
    let low = core.word(cp0::WATCH_LO);
    low & WATCH_FETCH != 0 && (low ^ pc) & !watch_ignored(core) == 0
}

/// Runs an instruction at a watched address: raises the exception, or does what its word says.
pub fn watched_instruction(core: &mut Core<Mips>, word: u32) -> Step {
    let pc = core.run.pc;
    if let Some(e) = watch(core, pc, Access::Fetch) {
        core.raise(e);
        return Step::Fault;
    }
    match mips::decode(word).filter(|&id| core.target.has(mips::FEATURES[id as usize])) {
        Some(id) => mips::Table::<Core<Mips>>::FUNCTIONS[id as usize](core, word),
        None => {
            let e = reserved(core, word);
            core.raise(e);
            Step::Fault
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{WIDE, core, line, set, supervisor, user};
    use status::{BEV, ERL, EXL, IE};

    const REFILL: Exception = Exception::Tlb { code: code::TLBL, address: 0x1234_5678, refill: true, wide: false };
    const XTLB: Exception = Exception::Tlb { code: code::TLBS, address: 0x1234_5678, refill: true, wide: true };
    const INVALID: Exception = Exception::Tlb { code: code::TLBS, address: 0x1234_5678, refill: false, wide: true };
    const FAULT: Exception = Exception::Address(code::ADES, 0x1235);

    /// Where an exception goes: model, Status, Cause, exception, the vector.
    #[test]
    fn vectors() {
        let wide = |v: u32| v as i32 as i64 as u64;
        let rows: &[(&str, u64, u64, Exception, u64)] = &[
            ("4Kc", 0, 0, REFILL, 0x8000_0000),
            ("4Kc", 0, 0, INVALID, 0x8000_0180),
            ("4Kc", EXL, 0, REFILL, 0x8000_0180),
            ("4Kc", BEV, 0, REFILL, 0xbfc0_0200),
            ("4Kc", BEV, 0, FAULT, 0xbfc0_0380),
            ("4Kc", BEV, cause::IV, Exception::Interrupt, 0xbfc0_0400),
            ("4Kc", 0, cause::IV, Exception::Interrupt, 0x8000_0200),
            ("4Kc", 0, 0, Exception::Interrupt, 0x8000_0180),
            ("24Kc", 0, 0, Exception::Plain(code::SYS), 0x9000_0180),
            ("24Kc", 0, cause::IV, Exception::Interrupt, 0x9000_0200),
            ("24Kc", BEV, 0, Exception::Unusable(1), 0xbfc0_0380),
            ("5Kc", 0, 0, REFILL, wide(0x8000_0000)),
            ("5Kc", 0, 0, XTLB, wide(0x8000_0080)),
            ("5Kc", EXL, 0, XTLB, wide(0x8000_0180)),
            ("5Kc", BEV, 0, XTLB, wide(0xbfc0_0280)),
            ("MIPS64R2-generic", 0, 0, XTLB, wide(0x9000_0080)),
        ];
        for &(model, s, c, e, vector) in rows {
            let mut core = core(model);
            cp0::write(&mut core, cp0::key(15, 1), 0x9000_0000, false).unwrap();
            *core.word_mut(cp0::CAUSE) = c;
            set(&mut core, s);
            take(&mut core, e, 0x4000);
            assert_eq!(core.pc(), vector, "{model} {s:#x} {e:?}");
            assert_eq!(core.word(cp0::STATUS), s | EXL);
        }
    }

    /// What an exception leaves in EPC, Cause and BadVAddr, by whether EXL was set and whether the
    /// instruction was in a delay slot.
    #[test]
    fn what_an_exception_leaves() {
        for (nested, slot, epc, bd) in [(0, 0, 0x4000, 0), (0, 1, 0x3ffc, cause::BD), (EXL, 1, 0x7777, 0)] {
            let mut core = core("24Kc");
            set(&mut core, nested);
            core.run.slot = slot;
            *core.word_mut(cp0::EPC) = 0x7777;
            *core.word_mut(state::DELAY) = slot;
            *core.word_mut(cp0::CAUSE) = cause::CODE | cause::IV;
            take(&mut core, Exception::Unusable(2), 0x4000);
            assert_eq!(core.word(cp0::EPC), epc);
            assert_eq!(core.word(cp0::CAUSE), bd | 2 << 28 | cause::IV | (code::CPU as u64) << 2);
            assert_eq!(core.word(state::DELAY), 0);
            take(&mut core, FAULT, 0x8000);
            assert_eq!((core.word(cp0::EPC), core.word(cp0::BAD_VADDR)), (epc, 0x1235));
            assert_eq!(core.word(cp0::CAUSE) & (cause::CODE | cause::CE), (code::ADES as u64) << 2);
        }
    }

    #[test]
    fn modes() {
        let rows: &[(&str, u64, u16)] = &[
            ("24Kf", 0, Mode::CU0),
            ("24Kf", user(0), 2),
            ("24Kf", user(status::CU0 | status::CU1 | status::FR), 2 | Mode::CU0 | Mode::CU1 | Mode::FR),
            ("24Kf", supervisor(0), 1),
            ("24Kf", user(EXL), Mode::CU0),
            ("24Kf", user(ERL), Mode::CU0),
            ("24Kf", user(WIDE), 2),
            ("5Kc", 0, Mode::CU0 | Mode::M64 | Mode::OP64),
            ("5Kc", user(0), 2 | Mode::M64 | Mode::ADDRESS32),
            ("5Kc", user(status::PX), 2 | Mode::M64 | Mode::OP64 | Mode::ADDRESS32),
            ("5Kc", user(status::UX), 2 | Mode::M64 | Mode::OP64),
            ("5Kc", supervisor(status::SX), 1 | Mode::M64 | Mode::OP64),
        ];
        for &(model, s, expected) in rows {
            let mut core = core(model);
            set(&mut core, s);
            assert_eq!(mode(&core), expected, "{model} {s:#x}");
        }
        let mut core = core("24Kf");
        *core.word_mut(state::FCSR) = 1 << 7;
        *core.word_mut(state::DELAY) = 1;
        assert_eq!(mode(&core), Mode::CU0 | Mode::FP_TRAPS | Mode::SLOT);
    }

    #[test]
    fn interrupts_wait_for_mask_and_enable() {
        let mut core = core("24Kc");
        for (lines, software, s, taken, wake) in [
            (1 << 4, 0, IE | 1 << 12, true, true),
            (1 << 4, 0, 1 << 12, false, true),
            (1 << 4, 0, IE | EXL | 1 << 12, false, true),
            (1 << 4, 0, IE | ERL | 1 << 12, false, true),
            (1 << 4, 0, IE | 1 << 11, false, false),
            (0, 1, IE | 1 << 8, true, true),
            (0, 2, IE | 1 << 8, false, false),
            // Lines 0 and 1 are not interrupts: those two are software's.
            (3, 0, IE | 3 << 8, false, false),
        ] {
            (0..8).for_each(|n| line(&core, n, lines >> n & 1 != 0));
            cp0::write(&mut core, cp0::key(13, 0), software << 8, false).unwrap();
            core.attention = false;
            cp0::write(&mut core, cp0::key(12, 0), s, false).unwrap();
            assert_eq!(core.attention, taken, "{lines:#x} {software} {s:#x}");
            assert_eq!(interrupt(&mut core), taken.then_some(Exception::Interrupt), "{lines:#x} {software} {s:#x}");
            assert_eq!(wakes(&core), wake);
            let cause = cp0::read(&mut core, cp0::key(13, 0)).unwrap();
            assert_eq!(cause >> 8 & 0xff, (lines & 0xfc) | software);
        }
        line(&core, 7, true);
        assert_eq!(cp0::read(&mut core, cp0::key(13, 0)).unwrap() & cause::TI, cause::TI);
    }

    #[test]
    fn vectored_interrupts_go_by_the_highest_that_is_open() {
        let mut core = core("24Kc");
        (2..8).for_each(|n| line(&core, n, true));
        for (spacing, mask, offset) in [(1u64, 0xff, 0x200 + 7 * 32), (2, 0x3f, 0x200 + 5 * 64), (16, 1 << 2, 0x200 + 2 * 512), (0, 0xff, 0x200)] {
            cp0::write(&mut core, cp0::key(12, 1), spacing << 5, false).unwrap();
            set(&mut core, IE | mask << 8);
            *core.word_mut(cp0::CAUSE) = cause::IV;
            take(&mut core, Exception::Interrupt, 0);
            assert_eq!(core.pc(), 0x8000_0000 + offset);
        }
    }

    #[test]
    fn returning_clears_erl_first_and_breaks_the_link() {
        let mut core = core("4Kc");
        *core.word_mut(cp0::EPC) = 0x100;
        *core.word_mut(cp0::ERROR_EPC) = 0x200;
        set(&mut core, ERL | EXL | IE);
        for (pc, s) in [(0x200, EXL | IE), (0x100, IE)] {
            *core.word_mut(state::LLBIT) = 1;
            eret(&mut core).unwrap();
            assert_eq!((core.pc(), core.word(cp0::STATUS), core.word(state::LLBIT)), (pc, s, 0));
        }
    }

    #[test]
    fn unallocated_words_of_a_coprocessor_ask_for_it_first() {
        let mut core = core("24Kf");
        let rows = [
            (0x4400_003f, 0, Exception::Unusable(1)),
            (0x4400_003f, status::CU1, Exception::Plain(code::RI)),
            (0x4c00_003f, 0, Exception::Unusable(1)),
            (0x4800_0000, 0, Exception::Unusable(2)),
            (0x4200_003f, 0, Exception::Plain(code::RI)),
            (0x4200_003f, user(0), Exception::Unusable(0)),
            (0x7c00_003f, 0, Exception::Plain(code::RI)),
        ];
        for (word, s, expected) in rows {
            set(&mut core, s);
            assert_eq!(reserved(&mut core, word), expected, "{word:#x} {s:#x}");
        }
    }

    #[test]
    fn a_conditional_store_needs_the_link_and_the_value() {
        let mut core = core("5Kc");
        let at = 0xffff_ffff_8000_1000;
        for (linked, address, read, stored) in [(1, at, 0xffff_ffff_8000_0007, 1), (0, at, 0xffff_ffff_8000_0007, 0), (1, at + 8, 7, 0), (1, at, 8, 0)] {
            core.store(at, Mem::plain(2), 0x8000_0007).unwrap();
            *core.word_mut(state::LLBIT) = linked;
            *core.word_mut(state::LL_ADDRESS) = address;
            *core.word_mut(state::LL_VALUE) = read;
            assert_eq!(store_conditional(&mut core, at, 0xffff_ffff_ffff_ffff, 2), Ok(stored));
            let expected = if stored == 1 { 0xffff_ffff } else { 0x8000_0007 };
            assert_eq!(core.load(at, Mem::plain(2)), Ok(expected));
            assert_eq!(core.word(state::LLBIT), 0);
        }
        assert_eq!(store_conditional(&mut core, at + 4, 0, 3), Err(Exception::Address(code::ADES, at + 4)));
    }

    #[test]
    fn watched_data_raises_at_once_or_when_exl_is_clear() {
        let mut core = core("24Kc");
        let at = 0x8000_1230;
        core.load(at, Mem::plain(2)).unwrap();
        cp0::write(&mut core, cp0::key(19, 0), 1 << 30, false).unwrap();
        cp0::write(&mut core, cp0::key(18, 0), at | WATCH_WRITE, false).unwrap();
        assert!(core.forget_blocks, "the page is to leave the software TLB");
        core.tlb.flush(|_| true);
        core.load(at, Mem::plain(2)).unwrap();
        core.store(at + 8, Mem::plain(2), 1).unwrap();
        assert_eq!(core.store(at + 4, Mem::plain(2), 1), Err(Exception::Watch));
        assert_eq!(core.word(cp0::WATCH_HI) & 7, WATCH_WRITE, "what matched");
        set(&mut core, EXL);
        core.store(at, Mem::plain(2), 2).unwrap();
        assert_eq!(core.load(at, Mem::plain(2)), Ok(2));
        assert_eq!(interrupt(&mut core), None);
        set(&mut core, 0);
        assert_eq!(interrupt(&mut core), Some(Exception::Watch));
        take(&mut core, Exception::Watch, 0x5000);
        assert_eq!(core.word(cp0::CAUSE) & (cause::CODE | cause::WP), (code::WATCH as u64) << 2);
        // Another address space.
        cp0::write(&mut core, cp0::key(19, 0), 5 << 16, false).unwrap();
        set(&mut core, 0);
        core.store(at, Mem::plain(2), 1).unwrap();
    }
}
