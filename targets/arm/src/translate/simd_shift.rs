//! Advanced SIMD: shifts by immediates.

use super::fp_check;
use super::simd::*;
use crate::a64::*;
use proteus_exec::ops::*;

/// The form, from the highest bit set in immh.
#[inline(always)]
pub(super) fn form_of(a: &Vshift) -> Form {
    Form { q: a.q, s: a.s, size: 31 - (a.imm >> 3 | 1).leading_zeros() }
}
/// The count of a right shift.
#[inline(always)]
pub(super) fn right(f: Form, a: &Vshift) -> u32 {
    2 * f.bits() - a.imm
}
/// The count of a left shift.
#[inline(always)]
fn left(f: Form, a: &Vshift) -> u32 {
    a.imm - f.bits()
}

#[inline(always)]
fn shift_right<O: Ops>(o: &mut O, a: &Vshift, op: XOp, accumulate: bool) -> R<O> {
    fp_check(o)?;
    let f = form_of(a);
    let n = read(o, f, a.rn);
    let mut r = x1(o, op, f, right(f, a), n);
    if accumulate {
        let acc = read(o, f, a.rd);
        r = x2(o, XOp::Add, f, acc, r);
    }
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn shift_left<O: Ops>(o: &mut O, a: &Vshift, op: XOp) -> R<O> {
    fp_check(o)?;
    let f = form_of(a);
    let n = read(o, f, a.rn);
    let r = x1(o, op, f, left(f, a), n);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
/// A saturating left shift: that by a register, with a constant.
#[inline(always)]
fn saturating<O: Ops>(o: &mut O, a: &Vshift, op: XOp) -> R<O> {
    fp_check(o)?;
    let f = form_of(a);
    let n = read(o, f, a.rn);
    let count = o.ximm(splat(f.size, left(f, a) as u64));
    let r = x2(o, op, f, n, count);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn insert<O: Ops>(o: &mut O, a: &Vshift, op: XOp, is_left: bool) -> R<O> {
    fp_check(o)?;
    let f = form_of(a);
    let n = read(o, f, a.rn);
    let d = read(o, f, a.rd);
    let count = if is_left { left(f, a) } else { right(f, a) };
    let r = o.x(op, f.esize(), count, d, n, n);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn narrow<O: Ops>(o: &mut O, a: &Vshift, shift: XOp, cut: XOp) -> R<O> {
    fp_check(o)?;
    let f = form_of(a);
    let n = read(o, f.wide(), a.rn);
    let n = x1(o, shift, f.wide(), right(f, a), n);
    let r = x1(o, cut, f, 0, n);
    write_half(o, f, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn widen<O: Ops>(o: &mut O, a: &Vshift, op: XOp) -> R<O> {
    fp_check(o)?;
    let f = form_of(a);
    let n = read_half(o, f, a.rn);
    let n = x1(o, op, f, 0, n);
    let count = left(f, a);
    let r = if count == 0 { n } else { x1(o, XOp::Shl, f.wide(), count, n) };
    write(o, f.wide(), a.rd, r);
    Ok(Flow::Next)
}

macro_rules! shifts {
    ($($doc:literal $name:ident = $f:ident($($arg:expr),*);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &Vshift) -> R<O> {
            $f(o, a, $($arg),*)
        }
    )*};
}
shifts! {
    "SSHR" sshr_n = shift_right(XOp::ShrS, false);
    "USHR" ushr_n = shift_right(XOp::ShrU, false);
    "SSRA" ssra_n = shift_right(XOp::ShrS, true);
    "USRA" usra_n = shift_right(XOp::ShrU, true);
    "SRSHR" srshr_n = shift_right(XOp::RoundShrS, false);
    "URSHR" urshr_n = shift_right(XOp::RoundShrU, false);
    "SRSRA" srsra_n = shift_right(XOp::RoundShrS, true);
    "URSRA" ursra_n = shift_right(XOp::RoundShrU, true);
    "SRI" sri_n = insert(XOp::ShrInsert, false);
    "SLI" sli_n = insert(XOp::ShlInsert, true);
    "SHL" shl_n = shift_left(XOp::Shl);
    "SQSHLU" sqshlu_n = shift_left(XOp::SatShlSU);
    "SQSHL (immediate)" sqshl_n = saturating(XOp::SatShiftS);
    "UQSHL (immediate)" uqshl_n = saturating(XOp::SatShiftU);
    "SHRN" shrn_n = narrow(XOp::ShrU, XOp::Narrow);
    "RSHRN" rshrn_n = narrow(XOp::RoundShrU, XOp::Narrow);
    "SQSHRN" sqshrn_n = narrow(XOp::ShrS, XOp::SatNarrowS);
    "UQSHRN" uqshrn_n = narrow(XOp::ShrU, XOp::SatNarrowU);
    "SQRSHRN" sqrshrn_n = narrow(XOp::RoundShrS, XOp::SatNarrowS);
    "UQRSHRN" uqrshrn_n = narrow(XOp::RoundShrU, XOp::SatNarrowU);
    "SQSHRUN" sqshrun_n = narrow(XOp::ShrS, XOp::SatNarrowSU);
    "SQRSHRUN" sqrshrun_n = narrow(XOp::RoundShrS, XOp::SatNarrowSU);
    "SSHLL" sshll_n = widen(XOp::WidenS);
    "USHLL" ushll_n = widen(XOp::WidenU);
}
