//! Stage 1 translation (Arm ARM DDI 0487, D5): all granules, both address ranges, the regimes of
//! EL1&0, EL2 and EL3. Stage 2 is not modelled: HCR_EL2.VM reads as written but is warned of.

use crate::exceptions::{Exception, abort};
use crate::state::{self, el};
use crate::sysregs as sr;
use crate::{Arm, sysregs};
use proteus_exec::system::Flush;
use proteus_exec::{Access, Core, Translation};

/// Bits of a TLB context key.
pub mod key {
    /// Level that the access is checked for: 0 to 3.
    pub const EL: u64 = 3;
    /// PSTATE.PAN.
    pub const PAN: u64 = 1 << 2;
    /// The MMU is off.
    pub const OFF: u64 = 1 << 3;
    /// Regime, at bit 4: 1 for EL1&0, 2, 3.
    pub const REGIME: u64 = 3 << 4;
    /// ASID, at bit 16.
    pub const ASID: u64 = 0xffff << 16;
    /// The key of regime `r`.
    pub const fn regime(r: u8) -> u64 {
        (r as u64) << 4
    }
}

/// The regime of level `el`: 1, 2 or 3.
fn regime(el: u8) -> u8 {
    el.max(1)
}

fn asid(core: &Core<Arm>) -> u64 {
    let tcr = core.word(sr::TCR_EL1);
    let ttbr = if tcr >> 22 & 1 != 0 { core.word(sr::TTBR1_EL1) } else { core.word(sr::TTBR0_EL1) };
    let bits = if tcr >> 36 & 1 != 0 { 0xffff } else { 0xff };
    ttbr >> 48 & bits
}

fn context_for(core: &Core<Arm>, level: u8) -> u64 {
    let r = regime(level);
    let off = core.word(sr::sctlr(r)) & 1 == 0;
    let pan = if level == 1 { core.word(state::PAN) & 1 } else { 0 };
    let asid = if r == 1 && !off { asid(core) } else { 0 };
    level as u64 | pan << 2 | if off { key::OFF } else { 0 } | key::regime(r) | asid << 16
}

/// The translation context of the present level.
pub fn context(core: &Core<Arm>) -> u64 {
    context_for(core, el(core))
}

/// The context of unprivileged accesses from EL1: that of EL0.
pub fn unprivileged_context(core: &Core<Arm>) -> u64 {
    if el(core) == 1 { context_for(core, 0) } else { context(core) }
}

/// Physical address bits of ID_AA64MMFR0_EL1.PARange.
fn pa_bits(range: u64) -> u32 {
    match range {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        5 => 48,
        _ => 52,
    }
}

/// One range's parameters from TCR_ELx.
struct Range {
    base: u64,
    /// Unused top bits.
    tsz: u32,
    /// log2 of the granule.
    granule: u32,
    /// The top byte is ignored.
    tbi: bool,
    /// Walks fault (TCR_EL1.EPD).
    disabled: bool,
    upper: bool,
}

/// The range that `address` belongs to.
fn range(core: &Core<Arm>, r: u8, address: u64) -> Range {
    let granule0 = |g| match g {
        1 => 16,
        2 => 14,
        _ => 12,
    };
    if r == 1 {
        let tcr = core.word(sr::TCR_EL1);
        if address >> 55 & 1 == 0 {
            Range {
                base: core.word(sr::TTBR0_EL1),
                tsz: (tcr & 0x3f) as u32,
                granule: granule0(tcr >> 14 & 3),
                tbi: tcr >> 37 & 1 != 0,
                disabled: tcr >> 7 & 1 != 0,
                upper: false,
            }
        } else {
            let granule = match tcr >> 30 & 3 {
                1 => 14,
                3 => 16,
                _ => 12,
            };
            Range {
                base: core.word(sr::TTBR1_EL1),
                tsz: (tcr >> 16 & 0x3f) as u32,
                granule,
                tbi: tcr >> 38 & 1 != 0,
                disabled: tcr >> 23 & 1 != 0,
                upper: true,
            }
        }
    } else {
        let tcr = core.word(sr::tcr(r));
        Range {
            base: core.word(sr::ttbr0(r)),
            tsz: (tcr & 0x3f) as u32,
            granule: granule0(tcr >> 14 & 3),
            tbi: tcr >> 20 & 1 != 0,
            disabled: false,
            upper: false,
        }
    }
}

/// What a walk finds.
struct Leaf {
    phys: u64,
    /// Upper and lower attributes of the descriptor.
    attributes: u64,
    /// Permission limits gathered from table descriptors: APTable, XNTable, PXNTable.
    ap_table: u64,
    xn_table: bool,
    pxn_table: bool,
    size: u64,
    level: u32,
}

/// Fault status codes; the level is added.
const ADDRESS_SIZE: u32 = 0b00_0000;
const TRANSLATION: u32 = 0b00_0100;
const ACCESS_FLAG: u32 = 0b00_1000;
const PERMISSION: u32 = 0b00_1100;
const WALK_EXTERNAL: u32 = 0b01_0100;

fn walk(core: &Core<Arm>, r: u8, address: u64) -> Result<Leaf, u32> {
    let p = range(core, r, address);
    let tsz = p.tsz.clamp(16, 39);
    let va_bits = 64 - tsz;
    let top_ok = if p.tbi {
        let body = address << 8 >> 8 >> va_bits;
        body == if p.upper { (1u64 << (56 - va_bits)) - 1 } else { 0 }
    } else {
        let body = address >> va_bits;
        body == if p.upper { u64::MAX >> va_bits } else { 0 }
    };
    if !top_ok || p.disabled {
        return Err(TRANSLATION);
    }
    let stride = p.granule - 3;
    let levels = (va_bits - p.granule).div_ceil(stride);
    let mut level = 4 - levels;
    let pa_limit = 1u64 << pa_bits(core.target.id.mmfr0 & 15).min(48);
    let ips = if r == 1 { core.word(sr::TCR_EL1) >> 32 & 7 } else { core.word(sr::tcr(r)) >> 16 & 7 };
    let out_limit = pa_limit.min(1u64 << pa_bits(ips).min(48));
    let first_bits = va_bits - p.granule - stride * (levels - 1);
    let mut table = p.base & 0x0000_ffff_ffff_fffe & !((8u64 << first_bits) - 1);
    if table >= out_limit {
        return Err(ADDRESS_SIZE);
    }
    let big = core.word(sr::sctlr(r)) >> 25 & 1 != 0;
    let mut found = Leaf { phys: 0, attributes: 0, ap_table: 0, xn_table: false, pxn_table: false, size: 0, level };
    let mut bits = first_bits;
    loop {
        let shift = p.granule + stride * (3 - level);
        let index = address >> shift & ((1 << bits) - 1);
        let Some(d) = core.read_phys(table + index * 8, 8) else { return Err(WALK_EXTERNAL + level) };
        let d = if big { d.swap_bytes() } else { d };
        if d & 1 == 0 || (d & 2 == 0 && (level == 3 || !block_allowed(p.granule, level))) {
            return Err(TRANSLATION + level);
        }
        let leaf = level == 3 || d & 2 == 0;
        let out = d & 0x0000_ffff_ffff_f000 & !((1u64 << if leaf { shift } else { p.granule }) - 1);
        if out >= out_limit {
            return Err(ADDRESS_SIZE + level);
        }
        if leaf {
            found.phys = out | address & ((1 << shift) - 1);
            found.attributes = d;
            found.size = 1 << shift;
            found.level = level;
            return Ok(found);
        }
        found.ap_table |= d >> 61 & 3;
        found.xn_table |= d >> 60 & 1 != 0;
        found.pxn_table |= d >> 59 & 1 != 0;
        table = out;
        level += 1;
        bits = stride;
    }
}

/// Whether a block descriptor is allowed at `level`.
fn block_allowed(granule: u32, level: u32) -> bool {
    match granule {
        12 => level == 1 || level == 2,
        _ => level == 2,
    }
}

/// Permissions of a leaf for an access at `level_el`: read, write, execute.
fn permissions(core: &Core<Arm>, r: u8, level_el: u8, leaf: &Leaf, pan: bool) -> (bool, bool, bool) {
    let a = leaf.attributes;
    let ap = a >> 6 & 3;
    let wxn = core.word(sr::sctlr(r)) >> 19 & 1 != 0;
    let read_only = ap & 2 != 0 || leaf.ap_table & 2 != 0;
    let xn = a >> 54 & 1 != 0 || leaf.xn_table;
    if r != 1 {
        let w = !read_only;
        return (true, w, !xn && !(wxn && w));
    }
    let user = ap & 1 != 0 && leaf.ap_table & 1 == 0;
    if level_el == 0 {
        let w = user && !read_only;
        return (user, w, !xn && !(wxn && w));
    }
    let pxn = a >> 53 & 1 != 0 || leaf.pxn_table;
    let w = !read_only;
    // What EL0 can write EL1 never executes.
    let x = !pxn && !(user && w) && !(wxn && w);
    let pan = pan && core.word(state::PAN) & 1 != 0 && user;
    (!pan, w && !pan, x)
}

/// Whether the memory attribute of a leaf is Device.
fn is_device(core: &Core<Arm>, r: u8, attributes: u64) -> bool {
    let index = attributes >> 2 & 7;
    core.word(sysregs::mair(r)) >> (8 * index) & 0xf0 == 0
}

/// Translates for level `level_el`; the error is a fault status. `pan` is whether PSTATE.PAN counts
/// where it is set: it does not for address translation and cache maintenance instructions.
pub fn translate_for(core: &Core<Arm>, address: u64, access: Access, level_el: u8, pan: bool) -> Result<Translation, u32> {
    let r = regime(level_el);
    if core.word(sr::sctlr(r)) & 1 == 0 {
        let limit = 1u64 << pa_bits(core.target.id.mmfr0 & 15).min(48);
        let address = if address >> 56 != 0 && range(core, r, address).tbi { address & (u64::MAX >> 8) } else { address };
        if address >= limit {
            return Err(ADDRESS_SIZE);
        }
        // Data is Device-nGnRnE memory then; the mode's alignment check stands for its rule.
        return Ok(Translation { phys: address, read: true, write: true, size: 4096, device: false });
    }
    let leaf = walk(core, r, address)?;
    if leaf.attributes >> 10 & 1 == 0 {
        return Err(ACCESS_FLAG + leaf.level);
    }
    let (read, write, execute) = permissions(core, r, level_el, &leaf, pan);
    let allowed = match access {
        Access::Read => read,
        Access::Write => write,
        Access::Fetch => execute,
    };
    if !allowed {
        return Err(PERMISSION + leaf.level);
    }
    Ok(Translation { phys: leaf.phys, read, write, size: leaf.size, device: is_device(core, r, leaf.attributes) })
}

/// Translates an access of the present level.
pub fn translate(core: &mut Core<Arm>, address: u64, access: Access, unprivileged: bool) -> Result<Translation, Exception> {
    // The context that is selected says for whom: the slow path of an unprivileged access has
    // selected that of EL0.
    let level = if unprivileged || core.unprivileged_now { 0 } else { el(core) };
    translate_for(core, address, access, level, true).map_err(|fsc| abort(access, address, fsc))
}

/// AT S1Exy: the translation goes to PAR_EL1.
pub fn address_translate(core: &mut Core<Arm>, address: u64, level_el: u8, write: bool) {
    let access = if write { Access::Write } else { Access::Read };
    let par = match translate_for(core, address, access, level_el, false) {
        Ok(t) => {
            let r = regime(level_el);
            let off = core.word(sr::sctlr(r)) & 1 == 0;
            let descriptor = if off { 0 } else { walk(core, r, address).map_or(0, |l| l.attributes) };
            let attr = if off { 0 } else { core.word(sr::mair(r)) >> (8 * (descriptor >> 2 & 7)) & 0xff };
            // Device and Normal non-cacheable memory is Outer Shareable whatever the descriptor says.
            let shareability = if attr & 0xf0 == 0 || attr == 0x44 { 2 } else { descriptor >> 8 & 3 };
            attr << 56 | 1 << 11 | shareability << 7 | t.phys & 0x000f_ffff_ffff_f000
        }
        Err(fsc) => 1 << 11 | (fsc as u64) << 1 | 1,
    };
    *core.word_mut(sr::PAR_EL1) = par;
}

/// TLB maintenance: what to drop, for the operation's CRm, op1 and op2. Dropping more than asked
/// for is allowed; entries are dropped for every ASID where an address is given, so that global
/// ones go too.
pub fn flush_of(op1: u32, op2: u32, value: u64) -> Flush {
    let r = match op1 {
        4 => 2,
        6 => 3,
        _ => 1,
    };
    // ALLE1 and VMALLS12E1 have op1 4 but are about EL1&0.
    let r = if op1 == 4 && (op2 == 4 || op2 == 6) { 1 } else { r };
    let base = Flush { key: key::regime(r), mask: key::REGIME, address: None, pages: 1 };
    match (op1, op2) {
        // VAE1, VAAE1, VALE1, VAALE1, and VAE2, VALE2, VAE3, VALE3.
        (0, 1 | 3 | 5 | 7) | (4 | 6, 1 | 5) => {
            let page = value << 12;
            let address = ((page << 8) as i64 >> 8) as u64;
            Flush { address: Some(address), ..base }
        }
        // ASIDE1.
        (0, 2) => Flush { key: base.key | (value >> 48 & 0xffff) << 16, mask: base.mask | key::ASID, ..base },
        _ => base,
    }
}
