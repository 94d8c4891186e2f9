//! Advanced SIMD: copies, permutations, tables, immediates.

use super::fp::expand_imm;
use super::simd::*;
use super::{fp_check, set_x, x};
use crate::a64::*;
use crate::state;
use proteus_exec::ops::*;

/// log2 of the element's bytes and its index, from imm5.
#[inline(always)]
fn place(imm: u32) -> (u32, u32) {
    let size = imm.trailing_zeros().min(3);
    (size, imm >> (size + 1))
}

/// DUP (element).
pub fn dup_v<O: Ops>(o: &mut O, a: &Vcopy) -> R<O> {
    fp_check(o)?;
    let (size, index) = place(a.imm);
    let r = dup_element(o, size, a.rn, index);
    write(o, Form { q: a.q, s: 0, size }, a.rd, r);
    Ok(Flow::Next)
}
/// DUP (element), scalar.
pub fn dup_s<O: Ops>(o: &mut O, a: &Vcopy) -> R<O> {
    fp_check(o)?;
    let (size, index) = place(a.imm);
    let v = get_element(o, size, a.rn, index);
    write_low(o, a.rd, v);
    Ok(Flow::Next)
}
/// DUP (general).
pub fn dup_w<O: Ops>(o: &mut O, a: &Vcopy) -> R<O> {
    fp_check(o)?;
    let (size, _) = place(a.imm);
    let f = Form { q: a.q, s: 0, size };
    let v = x(o, a.rn);
    let v = low(o, v);
    let r = x1(o, XOp::Dup, f, 0, v);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
/// SMOV.
pub fn smov_w<O: Ops>(o: &mut O, a: &Vcopy) -> R<O> {
    fp_check(o)?;
    let (size, index) = place(a.imm);
    let v = get_element(o, size, a.rn, index);
    let extend = match size {
        0 => Un::Sext8,
        1 => Un::Sext16,
        _ => Un::Sext32,
    };
    let v = o.un(extend, W::sf(a.q), v);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// UMOV.
pub fn umov_w<O: Ops>(o: &mut O, a: &Vcopy) -> R<O> {
    fp_check(o)?;
    let (size, index) = place(a.imm);
    let v = get_element(o, size, a.rn, index);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// INS (general).
pub fn ins_w<O: Ops>(o: &mut O, a: &Vcopy) -> R<O> {
    fp_check(o)?;
    let (size, index) = place(a.imm);
    let v = x(o, a.rn);
    set_element(o, size, a.rd, index, v);
    Ok(Flow::Next)
}
/// Replaces an element of a register by the low bits of `v`.
#[inline(always)]
pub(super) fn set_element<O: Ops>(o: &mut O, size: u32, rd: u32, index: u32, v: O::V) {
    if size == 3 {
        o.set(state::v(rd).at(index & 1), v);
        return;
    }
    let d = o.xget(state::v(rd));
    let v = low(o, v);
    let r = o.x(XOp::Insert, size as u8, index, d, v, v);
    o.xset(state::v(rd), r);
}
/// INS (element).
pub fn ins_v<O: Ops>(o: &mut O, a: &Vinsert) -> R<O> {
    fp_check(o)?;
    let (size, index) = place(a.imm);
    let d = o.xget(state::v(a.rd));
    let n = o.xget(state::v(a.rn));
    let r = o.x(XOp::Insert, size as u8, index | (a.src >> size) << 4, d, n, n);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}

/// Bytes looked up in `len + 1` registers; those out of range are from `other`.
#[inline(always)]
fn table<O: Ops>(o: &mut O, a: &Vtable, other: O::X) {
    let f = Form { q: a.q, s: 0, size: 0 };
    let index = read(o, f, a.rm);
    let mut r = other;
    for k in 0..=a.len {
        let t = o.xget(state::v((a.rn + k) % 32));
        r = o.x(XOp::Lookup, 0, 16 * k, t, index, r);
    }
    write(o, f, a.rd, r);
}
/// TBL.
pub fn tbl<O: Ops>(o: &mut O, a: &Vtable) -> R<O> {
    fp_check(o)?;
    let zero = o.ximm(0);
    table(o, a, zero);
    Ok(Flow::Next)
}
/// TBX.
pub fn tbx<O: Ops>(o: &mut O, a: &Vtable) -> R<O> {
    fp_check(o)?;
    let d = o.xget(state::v(a.rd));
    table(o, a, d);
    Ok(Flow::Next)
}

/// A permutation whose 64-bit form is the low half of the 128-bit one.
#[inline(always)]
fn low_half<O: Ops>(o: &mut O, a: &V3, op: XOp) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let m = read(o, f, a.rm);
    let r = x2(o, op, f, n, m);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
/// One whose 64-bit form works on both operands put together.
#[inline(always)]
fn together<O: Ops>(o: &mut O, a: &V3, op: XOp) -> R<O> {
    let f = begin!(o, a);
    let (n, m) = if a.q != 0 {
        (o.xget(state::v(a.rn)), o.xget(state::v(a.rm)))
    } else {
        let (l, h) = (o.get(state::v(a.rn)), o.get(state::v(a.rm)));
        let both = o.xjoin(l, h);
        (both, both)
    };
    let r = x2(o, op, f, n, m);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
macro_rules! permutations {
    ($($doc:literal $name:ident = $f:ident($op:ident);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &V3) -> R<O> {
            $f(o, a, XOp::$op)
        }
    )*};
}
permutations! {
    "UZP1" uzp1 = together(Unzip1);
    "UZP2" uzp2 = together(Unzip2);
    "TRN1" trn1 = low_half(Transpose1);
    "TRN2" trn2 = low_half(Transpose2);
    "ZIP1" zip1 = low_half(Zip1);
}
/// ZIP2; of 64 bits, the upper half of ZIP1 of 128.
pub fn zip2<O: Ops>(o: &mut O, a: &V3) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let m = read(o, f, a.rm);
    if a.q != 0 {
        let r = x2(o, XOp::Zip2, f, n, m);
        o.xset(state::v(a.rd), r);
    } else {
        let r = x2(o, XOp::Zip1, f, n, m);
        let r = o.xhalf(r, 1);
        write_low(o, a.rd, r);
    }
    Ok(Flow::Next)
}
/// EXT.
pub fn ext<O: Ops>(o: &mut O, a: &Vext) -> R<O> {
    fp_check(o)?;
    let (n, m) = if a.q != 0 {
        (o.xget(state::v(a.rn)), o.xget(state::v(a.rm)))
    } else {
        let (l, h) = (o.get(state::v(a.rn)), o.get(state::v(a.rm)));
        let both = o.xjoin(l, h);
        (both, both)
    };
    let r = o.x(XOp::Extract, 0, a.imm, n, m, m);
    write(o, Form { q: a.q, s: 0, size: 0 }, a.rd, r);
    Ok(Flow::Next)
}

/// `AdvSIMDExpandImm` of the manual.
pub(super) const fn modified_imm(op: u32, cmode: u32, imm: u32) -> u128 {
    let v = imm as u64;
    match cmode {
        0..8 => splat(2, v << (8 * (cmode >> 1))),
        8..12 => splat(1, v << (8 * (cmode >> 1 & 1))),
        12 => splat(2, v << 8 | 0xff),
        13 => splat(2, v << 16 | 0xffff),
        14 if op == 0 => splat(0, v),
        14 => {
            let mut bytes = 0;
            let mut i = 0;
            while i < 8 {
                if v >> i & 1 != 0 {
                    bytes |= 0xff << (8 * i);
                }
                i += 1;
            }
            splat(3, bytes)
        }
        _ if op == 0 => splat(2, expand_imm(2, imm)),
        _ => splat(3, expand_imm(3, imm)),
    }
}
#[inline(always)]
fn set_imm<O: Ops>(o: &mut O, a: &VmodImm, k: u128) -> R<O> {
    fp_check(o)?;
    let k = if a.q != 0 { k } else { k as u64 as u128 };
    let v = o.ximm(k);
    o.xset(state::v(a.rd), v);
    Ok(Flow::Next)
}
#[inline(always)]
fn with_imm<O: Ops>(o: &mut O, a: &VmodImm, op: XOp) -> R<O> {
    fp_check(o)?;
    let f = Form { q: a.q, s: 0, size: 0 };
    let d = read(o, f, a.rd);
    // The bits are those of cmode with op clear: op tells ORR from BIC.
    let k = o.ximm(modified_imm(0, a.cmode & 14, a.imm));
    let r = x2(o, op, f, d, k);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
/// MOVI.
pub fn movi_v<O: Ops>(o: &mut O, a: &VmodImm) -> R<O> {
    set_imm(o, a, modified_imm(a.op, a.cmode, a.imm))
}
/// MVNI.
pub fn mvni_v<O: Ops>(o: &mut O, a: &VmodImm) -> R<O> {
    set_imm(o, a, !modified_imm(0, a.cmode, a.imm))
}
/// FMOV (vector, immediate).
pub fn fmov_v<O: Ops>(o: &mut O, a: &VmodImm) -> R<O> {
    set_imm(o, a, modified_imm(a.op, 15, a.imm))
}
/// FMOV (vector, immediate), half precision.
pub fn fmov_vh<O: Ops>(o: &mut O, a: &VmodImm) -> R<O> {
    set_imm(o, a, splat(1, expand_imm(1, a.imm)))
}
/// ORR (vector, immediate).
pub fn orr_imm<O: Ops>(o: &mut O, a: &VmodImm) -> R<O> {
    with_imm(o, a, XOp::Or)
}
/// BIC (vector, immediate).
pub fn bic_imm<O: Ops>(o: &mut O, a: &VmodImm) -> R<O> {
    with_imm(o, a, XOp::AndNot)
}
