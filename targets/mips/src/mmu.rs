//! Virtual memory: the segments, and what translates an address (MIPS PRA, MD00090 and MD00091,
//! chapter 4). Caches are not modelled, so the cacheability attributes of xkphys, of kseg0
//! (Config.K0) and of TLB entries make no difference.

use crate::exceptions::{self, Exception, code, status};
use crate::tlb::{self, Found};
use crate::{Mips, cp0};
use proteus_exec::{Access, Core, Translation};

/// Bits of a TLB context key.
pub mod key {
    /// Where the ASID is.
    pub const ASID_SHIFT: u32 = 16;
    /// The ASID.
    pub const ASID: u64 = super::tlb::ASID << ASID_SHIFT;
    /// Status.ERL, which makes kuseg unmapped.
    pub const ERL: u64 = 1 << 2;
}

/// The translation context: privilege and address space, and whatever else of Status decides what
/// the segments are.
pub fn context(core: &Core<Mips>) -> u64 {
    let s = core.word(cp0::STATUS);
    // KX, SX and UX are bits 7 to 5, ERL is bit 2.
    exceptions::privilege(core) as u64 | s & (status::ERL | status::UX | status::SX | status::KX) | (core.word(cp0::ENTRY_HI) & tlb::ASID) << key::ASID_SHIFT
}

/// What an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Segment {
    /// Not mapped: the physical address.
    Fixed(u64),
    /// Translated by the TLB; `true` where 64-bit addressing is on for the segment.
    Mapped(bool),
    /// An address error.
    Error,
}

/// The segment of `address` on a 32-bit model, or in the 32-bit segments of a 64-bit one.
fn segment32(core: &Core<Mips>, address: u32) -> Segment {
    let p = exceptions::privilege(core);
    let s = core.word(cp0::STATUS);
    let on = |bit| core.target.model.bits64 && s & bit != 0;
    match (address >> 29, p) {
        // kuseg, useg.
        (0..=3, _) if s & status::ERL != 0 => Segment::Fixed(address.into()),
        (0..=3, _) => Segment::Mapped(on(status::UX)),
        // kseg0, kseg1.
        (4 | 5, 0) => Segment::Fixed((address & 0x1fff_ffff).into()),
        // ksseg, sseg.
        (6, 0 | 1) => Segment::Mapped(on(status::SX)),
        // kseg3.
        (7, 0) => Segment::Mapped(on(status::KX)),
        _ => Segment::Error,
    }
}

fn segment(core: &Core<Mips>, address: u64) -> Segment {
    let m = core.target.model;
    if !m.bits64 || address as i32 as i64 as u64 == address {
        return segment32(core, address as u32);
    }
    let p = exceptions::privilege(core);
    let s = core.word(cp0::STATUS);
    let low = address << 2 >> 2;
    let limit = 1u64 << m.seg_bits;
    match address >> 62 {
        // xuseg.
        0 if s & status::UX != 0 && low < limit => {
            if s & status::ERL != 0 {
                Segment::Fixed(low & ((1 << m.pa_bits) - 1))
            } else {
                Segment::Mapped(true)
            }
        }
        // xsseg.
        1 if p <= 1 && s & status::SX != 0 && low < limit => Segment::Mapped(true),
        // xkphys: eight times the physical address space, by cacheability.
        2 if p == 0 && s & status::KX != 0 && address << 5 >> 5 < 1 << m.pa_bits => Segment::Fixed(address & ((1 << m.pa_bits) - 1)),
        // xkseg, up to where the 32-bit segments begin.
        3 if p == 0 && s & status::KX != 0 && low < limit - (1 << 31) => Segment::Mapped(true),
        _ => Segment::Error,
    }
}

/// Bytes that an unmapped address is said to come with: nothing ever drops it from the software
/// TLB by its address, so it need not be remembered as part of something large.
const UNMAPPED: u64 = 4096;

/// Translates an access of the present privilege.
pub fn translate(core: &mut Core<Mips>, address: u64, access: Access) -> Result<Translation, Exception> {
    let mut watched = false;
    if access != Access::Fetch && exceptions::watches_data(core) && exceptions::watched_page(core, address) {
        // The page stays out of the software TLB, so that every access to it comes here.
        watched = true;
        if let Some(e) = exceptions::watch(core, address, access) {
            return Err(e);
        }
    }
    let (phys, write, size) = match segment(core, address) {
        Segment::Fixed(phys) => (phys, true, UNMAPPED),
        Segment::Mapped(wide) => mapped(core, address, access, wide)?,
        Segment::Error => return Err(Exception::Address(exceptions::address_code(access), address)),
    };
    Ok(Translation { phys, read: true, write, size, device: watched })
}

/// Translates by the TLB.
fn mapped(core: &mut Core<Mips>, address: u64, access: Access, wide: bool) -> Result<(u64, bool, u64), Exception> {
    let store = access == Access::Write;
    let code = if store { code::TLBS } else { code::TLBL };
    match tlb::look_up(core, address, store) {
        Found::Nothing => Err(Exception::Tlb { code, address, refill: true, wide }),
        Found::Invalid => Err(Exception::Tlb { code, address, refill: false, wide }),
        Found::Page(_, false, _) if store => Err(Exception::Tlb { code: code::MOD, address, refill: false, wide }),
        Found::Page(phys, write, size) => Ok((phys, write, size)),
    }
}

/// The address of a cache instruction's line: translated as a load, so that it faults as one.
pub fn check(core: &mut Core<Mips>, address: u64) -> Result<(), Exception> {
    translate(core, address, Access::Read).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{WIDE, core, set, supervisor, user};
    use Segment::{Error, Fixed, Mapped};

    /// Address, then what it is in kernel, supervisor and user mode.
    type Row = (u64, Segment, Segment, Segment);

    fn check_rows(model: &str, more: u64, rows: &[Row]) {
        let mut c = core(model);
        for &(address, kernel, over, usual) in rows {
            for (s, expected) in [(0, kernel), (supervisor(0), over), (user(0), usual), (supervisor(status::EXL), kernel)] {
                set(&mut c, s | more);
                assert_eq!(segment(&c, address), expected, "{model} {address:#x} with Status {:#x}", s | more);
            }
        }
    }

    #[test]
    fn the_segments_of_32_bits() {
        let mapped = Mapped(false);
        let rows: &[Row] = &[
            (0, mapped, mapped, mapped),
            (0x7fff_ffff, mapped, mapped, mapped),
            (0x8000_0000, Fixed(0), Error, Error),
            (0x9fff_ffff, Fixed(0x1fff_ffff), Error, Error),
            (0xbfc0_0000, Fixed(0x1fc0_0000), Error, Error),
            (0xc000_0000, mapped, mapped, Error),
            (0xdfff_ffff, mapped, mapped, Error),
            (0xe000_0000, mapped, Error, Error),
            (0xffff_ffff, mapped, Error, Error),
        ];
        check_rows("24Kf", 0, rows);
        // The bits that turn on 64-bit addressing mean nothing here.
        check_rows("24Kf", WIDE, rows);
    }

    #[test]
    fn the_segments_of_64_bits() {
        let (wide, narrow) = (Mapped(true), Mapped(false));
        // 5Kc: 42 bits of virtual address in a segment, 36 of physical ones.
        check_rows(
            "5Kc",
            WIDE,
            &[
                (0, wide, wide, wide),
                (0x8000_0000, wide, wide, wide),
                (0x3ff_ffff_ffff, wide, wide, wide),
                (0x400_0000_0000, Error, Error, Error),
                (0x4000_0000_0000_0000, wide, wide, Error),
                (0x4000_03ff_ffff_ffff, wide, wide, Error),
                (0x4000_0400_0000_0000, Error, Error, Error),
                (0x9000_0000_1234_5678, Fixed(0x1234_5678), Error, Error),
                (0xb800_000f_ffff_ffff, Fixed(0xf_ffff_ffff), Error, Error),
                (0x9000_0010_0000_0000, Error, Error, Error),
                (0xc000_0000_0000_0000, wide, Error, Error),
                (0xc000_03ff_7fff_ffff, wide, Error, Error),
                (0xc000_03ff_8000_0000, Error, Error, Error),
                (0xffff_ffff_8000_0000, Fixed(0), Error, Error),
                (0xffff_ffff_a000_1000, Fixed(0x1000), Error, Error),
                (0xffff_ffff_c000_0000, wide, wide, Error),
                (0xffff_ffff_e000_0000, wide, Error, Error),
            ],
        );
        check_rows(
            "5Kc",
            0,
            &[
                (0x7fff_ffff, narrow, narrow, narrow),
                (0x8000_0000, Error, Error, Error),
                (0x4000_0000_0000_0000, Error, Error, Error),
                (0x9000_0000_0000_0000, Error, Error, Error),
                (0xc000_0000_0000_0000, Error, Error, Error),
                (0xffff_ffff_9000_0000, Fixed(0x1000_0000), Error, Error),
                (0xffff_ffff_c000_0000, narrow, narrow, Error),
            ],
        );
    }

    #[test]
    fn kuseg_is_not_mapped_while_erl_is_set() {
        for (model, address) in [("24Kc", 0x1234_5678), ("5Kc", 0x1234_5678), ("5Kc", 0x1_0000_0000)] {
            let mut c = core(model);
            set(&mut c, status::ERL | WIDE);
            assert_eq!(segment(&c, address), Fixed(address), "{model}");
            let with = context(&c);
            set(&mut c, WIDE);
            assert_ne!(context(&c), with, "what is cached must not outlive ERL");
        }
    }
}
