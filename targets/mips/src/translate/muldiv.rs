//! Multiplication and division, and the registers HI and LO.

use super::arith::{allowed, kept};
use super::{check64, gpr, mode, set_gpr, word};
use crate::mips::*;
use crate::state::{HI, LO, Mode};
use proteus_exec::ops::*;

/// MFHI.
pub fn mfhi<O: Ops>(o: &mut O, a: &MoveFrom) -> R<O> {
    let v = o.get(HI);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// MFLO.
pub fn mflo<O: Ops>(o: &mut O, a: &MoveFrom) -> R<O> {
    let v = o.get(LO);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// MTHI.
pub fn mthi<O: Ops>(o: &mut O, a: &MoveTo) -> R<O> {
    let v = gpr(o, a.rs);
    o.set(HI, v);
    Ok(Flow::Next)
}
/// MTLO.
pub fn mtlo<O: Ops>(o: &mut O, a: &MoveTo) -> R<O> {
    let v = gpr(o, a.rs);
    o.set(LO, v);
    Ok(Flow::Next)
}

/// The 64-bit product of the operands' low words.
#[inline(always)]
fn product<O: Ops>(o: &mut O, a: &Muldiv, signed: bool) -> O::V {
    let extend = if signed { Un::Sext32 } else { Un::Zext32 };
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    let l = o.un(extend, W::W64, l);
    let r = o.un(extend, W::W64, r);
    o.bin(Bin::Mul, W::W64, l, r)
}

/// Puts the halves of `v` into HI and LO.
#[inline(always)]
fn set_halves<O: Ops>(o: &mut O, v: O::V) {
    let down = if mode(o).has(Mode::M64) { Bin::Sar } else { Bin::Shr };
    let low = word(o, v);
    let high = o.bin_imm(down, W::W64, v, 32);
    o.set(LO, low);
    o.set(HI, high);
}

/// MULT.
pub fn mult<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    let p = product(o, a, true);
    set_halves(o, p);
    Ok(Flow::Next)
}
/// MULTU.
pub fn multu<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    let p = product(o, a, false);
    set_halves(o, p);
    Ok(Flow::Next)
}

/// HI and LO, together 64 bits, plus or minus the product.
#[inline(always)]
fn accumulate<O: Ops>(o: &mut O, a: &Muldiv, op: Bin, signed: bool) -> R<O> {
    let p = product(o, a, signed);
    let high = o.get(HI);
    let low = o.get(LO);
    let high = o.bin_imm(Bin::Shl, W::W64, high, 32);
    let low = o.un(Un::Zext32, W::W64, low);
    let old = o.bin(Bin::Or, W::W64, high, low);
    let new = o.bin(op, W::W64, old, p);
    set_halves(o, new);
    Ok(Flow::Next)
}
/// MADD.
pub fn madd<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    accumulate(o, a, Bin::Add, true)
}
/// MADDU.
pub fn maddu<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    accumulate(o, a, Bin::Add, false)
}
/// MSUB.
pub fn msub<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    accumulate(o, a, Bin::Sub, true)
}
/// MSUBU.
pub fn msubu<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    accumulate(o, a, Bin::Sub, false)
}

#[inline(always)]
fn multiply64<O: Ops>(o: &mut O, a: &Muldiv, high: Bin) -> R<O> {
    check64(o)?;
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    let low = o.bin(Bin::Mul, W::W64, l, r);
    let high = o.bin(high, W::W64, l, r);
    o.set(LO, low);
    o.set(HI, high);
    Ok(Flow::Next)
}
/// DMULT.
pub fn dmult<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    multiply64(o, a, Bin::SMulH)
}
/// DMULTU.
pub fn dmultu<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    multiply64(o, a, Bin::UMulH)
}

/// Quotient in LO, remainder in HI. By zero both are UNPREDICTABLE; here it is a division by one.
#[inline(always)]
fn divide<O: Ops>(o: &mut O, a: &Muldiv, op: Bin, w: W) -> R<O> {
    allowed(o, w)?;
    let n = gpr(o, a.rs);
    let d = gpr(o, a.rt);
    let zero = o.cmp_imm(Cmp::Eq, w, d, 0);
    let one = o.imm(1);
    let d = o.select(zero, one, d);
    let q = o.bin(op, w, n, d);
    let whole = o.bin(Bin::Mul, w, q, d);
    let r = o.bin(Bin::Sub, w, n, whole);
    let q = kept(o, w, q);
    let r = kept(o, w, r);
    o.set(LO, q);
    o.set(HI, r);
    Ok(Flow::Next)
}
/// DIV.
pub fn div<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    divide(o, a, Bin::SDiv, W::W32)
}
/// DIVU.
pub fn divu<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    divide(o, a, Bin::UDiv, W::W32)
}
/// DDIV.
pub fn ddiv<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    divide(o, a, Bin::SDiv, W::W64)
}
/// DDIVU.
pub fn ddivu<O: Ops>(o: &mut O, a: &Muldiv) -> R<O> {
    divide(o, a, Bin::UDiv, W::W64)
}
