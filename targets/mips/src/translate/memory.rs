//! Loads and stores of general-purpose registers.

use super::arith::kept;
use super::{access, address, check64, gpr, mode, set_gpr};
use crate::helpers;
use crate::mips::*;
use crate::state::{LL_ADDRESS, LL_VALUE, LLBIT, Mode};
use proteus_exec::ops::*;

/// An access whose value is sign-extended to the form that registers keep.
#[inline(always)]
fn signed<O: Ops>(o: &O, size: u8) -> Mem {
    let extend = if mode(o).has(Mode::M64) { Extend::Sign64 } else { Extend::Sign32 };
    Mem { extend, ..access(o, size) }
}

#[inline(always)]
fn load<O: Ops>(o: &mut O, a: &Ldst, m: Mem) -> R<O> {
    let at = address(o, a.base, a.offset);
    let v = o.load(at, m)?;
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
#[inline(always)]
fn store<O: Ops>(o: &mut O, a: &Ldst, size: u8) -> R<O> {
    let m = access(o, size);
    let at = address(o, a.base, a.offset);
    let v = gpr(o, a.rt);
    o.store(at, m, v)?;
    Ok(Flow::Next)
}

/// LB.
pub fn lb<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    let m = signed(o, 0);
    load(o, a, m)
}
/// LBU.
pub fn lbu<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    let m = access(o, 0);
    load(o, a, m)
}
/// LH.
pub fn lh<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    let m = signed(o, 1);
    load(o, a, m)
}
/// LHU.
pub fn lhu<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    let m = access(o, 1);
    load(o, a, m)
}
/// LW.
pub fn lw<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    let m = signed(o, 2);
    load(o, a, m)
}
/// LWU.
pub fn lwu<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    let m = access(o, 2);
    load(o, a, m)
}
/// LD.
pub fn ld<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    let m = access(o, 3);
    load(o, a, m)
}
/// SB.
pub fn sb<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    store(o, a, 0)
}
/// SH.
pub fn sh<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    store(o, a, 1)
}
/// SW.
pub fn sw<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    store(o, a, 2)
}
/// SD.
pub fn sd<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    store(o, a, 3)
}

/// Which part of the register an unaligned load or store is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The most significant bytes, from memory in front of the address (little-endian) or behind
    /// it (big-endian).
    Left,
    /// The least significant bytes.
    Right,
}

/// LWL, LWR, LDL and LDR load all of the aligned word that has the byte addressed, and take from
/// it the bytes that are theirs. So the address of a fault is that of the word, where the manual
/// has the byte's; both are of the same page.
#[inline(always)]
fn load_part<O: Ops>(o: &mut O, a: &Ldst, w: W, part: Part) -> R<O> {
    let (size, last) = if w == W::W64 { (3, 7) } else { (2, 3) };
    let m = access(o, size);
    let at = address(o, a.base, a.offset);
    let aligned = o.bin_imm(Bin::AndNot, W::W64, at, last);
    let v = o.load(aligned, m)?;
    // Bytes of the aligned word that are not the instruction's, as a number of bits.
    let distance = if m.big == (part == Part::Left) { at } else { o.bin_imm(Bin::Xor, W::W64, at, last) };
    let n = o.bin_imm(Bin::And, W::W64, distance, last);
    let n = o.bin_imm(Bin::Shl, W::W64, n, 3);
    let shift = if part == Part::Left { Bin::Shl } else { Bin::Shr };
    let v = o.bin(shift, w, v, n);
    let ones = o.imm(u64::MAX);
    let mask = o.bin(shift, w, ones, n);
    let old = gpr(o, a.rt);
    let rest = o.bin(Bin::AndNot, w, old, mask);
    let v = o.bin(Bin::Or, w, rest, v);
    // LWR that loads less than the word may leave the upper half as it is, or extend bit 31,
    // which is the same for a register that was extended.
    let v = kept(o, w, v);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// SWL, SWR, SDL and SDR store bytes one by one, by a helper.
#[inline(always)]
fn store_part<O: Ops>(o: &mut O, a: &Ldst, size: u8, part: Part) -> R<O> {
    let big = mode(o).has(Mode::BIG);
    let at = address(o, a.base, a.offset);
    let v = gpr(o, a.rt);
    let kind = helpers::part(size, part == Part::Left, big);
    let kind = o.imm(kind);
    o.call(helpers::STORE_PART, &[at, v, kind])?;
    Ok(Flow::Next)
}

/// LWL.
pub fn lwl<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    load_part(o, a, W::W32, Part::Left)
}
/// LWR.
pub fn lwr<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    load_part(o, a, W::W32, Part::Right)
}
/// LDL.
pub fn ldl<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    load_part(o, a, W::W64, Part::Left)
}
/// LDR.
pub fn ldr<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    load_part(o, a, W::W64, Part::Right)
}
/// SWL.
pub fn swl<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    store_part(o, a, 2, Part::Left)
}
/// SWR.
pub fn swr<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    store_part(o, a, 2, Part::Right)
}
/// SDL.
pub fn sdl<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    store_part(o, a, 3, Part::Left)
}
/// SDR.
pub fn sdr<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    store_part(o, a, 3, Part::Right)
}

/// LL and LLD: the value and its address are kept, for the store to compare.
#[inline(always)]
fn load_linked<O: Ops>(o: &mut O, a: &Ldst, m: Mem) -> R<O> {
    let at = address(o, a.base, a.offset);
    let v = o.load(at, m)?;
    let one = o.imm(1);
    o.set(LLBIT, one);
    o.set(LL_ADDRESS, at);
    o.set(LL_VALUE, v);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// LL.
pub fn ll<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    let m = signed(o, 2);
    load_linked(o, a, m)
}
/// LLD.
pub fn lld<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    let m = access(o, 3);
    load_linked(o, a, m)
}

/// SC and SCD: rt becomes 1 where it stored, else 0.
#[inline(always)]
fn store_conditional<O: Ops>(o: &mut O, a: &Ldst, size: u64) -> R<O> {
    let at = address(o, a.base, a.offset);
    let v = gpr(o, a.rt);
    let size = o.imm(size);
    let done = o.call(helpers::STORE_CONDITIONAL, &[at, v, size])?;
    set_gpr(o, a.rt, done);
    Ok(Flow::Next)
}
/// SC.
pub fn sc<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    store_conditional(o, a, 2)
}
/// SCD.
pub fn scd<O: Ops>(o: &mut O, a: &Ldst) -> R<O> {
    check64(o)?;
    store_conditional(o, a, 3)
}

/// PREF, whatever its hint: nothing here could be prefetched.
pub fn pref<O: Ops>(_: &mut O) -> R<O> {
    Ok(Flow::Next)
}
