//! Advanced SIMD on floating point.

use super::fp_check;
use super::simd::*;
use super::simd_arith::unzip;
use super::simd_shift::{form_of, right};
use crate::a64::*;
use crate::state;
use proteus_exec::fp::{EXACT, integer, rounding};
use proteus_exec::ops::*;
use proteus_float::Rounding;

const NEAREST: u32 = rounding(Some(Rounding::TiesEven));
const UP: u32 = rounding(Some(Rounding::Up));
const DOWN: u32 = rounding(Some(Rounding::Down));
const ZERO: u32 = rounding(Some(Rounding::Zero));
const AWAY: u32 = rounding(Some(Rounding::TiesAway));
const CURRENT: u32 = rounding(None);

/// The sign bits of the elements that the form has.
#[inline(always)]
fn signs<O: Ops>(o: &mut O, f: Form) -> O::X {
    o.ximm(splat(f.size, 1 << (f.bits() - 1)))
}

/// Functions of single or double precision and of half precision that are one.
macro_rules! float {
    ($set:ident: $($doc:literal $name:ident $half:ident = $f:ident($($arg:expr),*);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &$set) -> R<O> {
            $f(o, a, $($arg),*)
        }
        #[doc = concat!($doc, ", half precision.")]
        pub fn $half<O: Ops>(o: &mut O, a: &$set) -> R<O> {
            $f(o, a, $($arg),*)
        }
    )*};
}

#[inline(always)]
fn two<O: Ops>(o: &mut O, a: &V3, op: FpOp) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let m = read(o, f, a.rm);
    let r = fp(o, f, op, 0, (n, m, m));
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
/// A comparison of absolute values.
#[inline(always)]
fn absolute<O: Ops>(o: &mut O, a: &V3, op: FpOp) -> R<O> {
    let f = begin!(o, a);
    let s = signs(o, f);
    let n = read(o, f, a.rn);
    let n = x2(o, XOp::AndNot, f, n, s);
    let m = read(o, f, a.rm);
    let m = x2(o, XOp::AndNot, f, m, s);
    let r = fp(o, f, op, 0, (n, m, m));
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn pairwise<O: Ops>(o: &mut O, a: &V3, op: FpOp) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let m = read(o, f, a.rm);
    let (even, odd) = unzip(o, f, (n, m));
    let r = fp(o, f, op, 0, (even, odd, odd));
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn multiply_add<O: Ops>(o: &mut O, a: &V3, negate: bool) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let m = read(o, f, a.rm);
    fused(o, f, a.rd, (n, m), negate);
    Ok(Flow::Next)
}
#[inline(always)]
fn fused<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), negate: bool) {
    let mut n = v.0;
    if negate {
        let s = signs(o, f);
        n = x2(o, XOp::Xor, f, n, s);
    }
    let acc = read(o, f, rd);
    let r = fp(o, f, FpOp::Fma, 0, (acc, n, v.1));
    write(o, f, rd, r);
}
float! { V3:
    "FADD (vector)" fadd_v fadd_vh = two(FpOp::Add);
    "FSUB (vector)" fsub_v fsub_vh = two(FpOp::Sub);
    "FMUL (vector)" fmul_v fmul_vh = two(FpOp::Mul);
    "FMULX" fmulx_v fmulx_vh = two(FpOp::MulX);
    "FDIV (vector)" fdiv_v fdiv_vh = two(FpOp::Div);
    "FABD" fabd_v fabd_vh = two(FpOp::AbsDiff);
    "FMAX (vector)" fmax_v fmax_vh = two(FpOp::Max);
    "FMIN (vector)" fmin_v fmin_vh = two(FpOp::Min);
    "FMAXNM (vector)" fmaxnm_v fmaxnm_vh = two(FpOp::MaxNm);
    "FMINNM (vector)" fminnm_v fminnm_vh = two(FpOp::MinNm);
    "FRECPS" frecps_v frecps_vh = two(FpOp::RecipStep);
    "FRSQRTS" frsqrts_v frsqrts_vh = two(FpOp::RsqrtStep);
    "FCMEQ (register)" fcmeq_v fcmeq_vh = two(FpOp::CompareEq);
    "FCMGE (register)" fcmge_v fcmge_vh = two(FpOp::CompareGe);
    "FCMGT (register)" fcmgt_v fcmgt_vh = two(FpOp::CompareGt);
    "FACGE" facge_v facge_vh = absolute(FpOp::CompareGe);
    "FACGT" facgt_v facgt_vh = absolute(FpOp::CompareGt);
    "FADDP (vector)" faddp_v faddp_vh = pairwise(FpOp::Add);
    "FMAXP (vector)" fmaxp_v fmaxp_vh = pairwise(FpOp::Max);
    "FMINP (vector)" fminp_v fminp_vh = pairwise(FpOp::Min);
    "FMAXNMP (vector)" fmaxnmp_v fmaxnmp_vh = pairwise(FpOp::MaxNm);
    "FMINNMP (vector)" fminnmp_v fminnmp_vh = pairwise(FpOp::MinNm);
    "FMLA (vector)" fmla_v fmla_vh = multiply_add(false);
    "FMLS (vector)" fmls_v fmls_vh = multiply_add(true);
}

// ---- By element.

#[inline(always)]
fn operands<O: Ops>(o: &mut O, f: Form, a: &Velem) -> (O::X, O::X) {
    let n = read(o, f, a.rn);
    let (r, index) = element(a.size, a.l, a.m, a.rm, a.h);
    let m = dup_element(o, a.size, r, index);
    (n, m)
}
#[inline(always)]
fn two_e<O: Ops>(o: &mut O, a: &Velem, op: FpOp) -> R<O> {
    let f = begin!(o, a);
    let (n, m) = operands(o, f, a);
    let r = fp(o, f, op, 0, (n, m, m));
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn multiply_add_e<O: Ops>(o: &mut O, a: &Velem, negate: bool) -> R<O> {
    let f = begin!(o, a);
    let v = operands(o, f, a);
    fused(o, f, a.rd, v, negate);
    Ok(Flow::Next)
}
float! { Velem:
    "FMUL (by element)" fmul_e fmul_eh = two_e(FpOp::Mul);
    "FMULX (by element)" fmulx_e fmulx_eh = two_e(FpOp::MulX);
    "FMLA (by element)" fmla_e fmla_eh = multiply_add_e(false);
    "FMLS (by element)" fmls_e fmls_eh = multiply_add_e(true);
}

// ---- Two registers.

#[inline(always)]
fn one<O: Ops>(o: &mut O, a: &V2, op: FpOp, imm: u32) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let r = fp(o, f, op, imm, (n, n, n));
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
/// A conversion to or from integers of the element's width.
#[inline(always)]
fn to_int<O: Ops>(o: &mut O, a: &V2, round: u32, signed: bool) -> R<O> {
    one(o, a, FpOp::ToInt, round | integer(8 << a.size, signed, 0))
}
#[inline(always)]
fn from_int<O: Ops>(o: &mut O, a: &V2, signed: bool) -> R<O> {
    one(o, a, FpOp::FromInt, integer(8 << a.size, signed, 0))
}
/// A comparison with zero, which is on the left where `swapped`.
#[inline(always)]
fn with_zero<O: Ops>(o: &mut O, a: &V2, op: FpOp, swapped: bool) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let zero = o.ximm(0);
    let (l, r) = if swapped { (zero, n) } else { (n, zero) };
    let x = fp(o, f, op, 0, (l, r, r));
    write(o, f, a.rd, x);
    Ok(Flow::Next)
}
#[inline(always)]
fn sign_bits<O: Ops>(o: &mut O, a: &V2, op: XOp) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let s = signs(o, f);
    let r = x2(o, op, f, n, s);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
float! { V2:
    "FABS (vector)" fabs_v fabs_vh = sign_bits(XOp::AndNot);
    "FNEG (vector)" fneg_v fneg_vh = sign_bits(XOp::Xor);
    "FSQRT (vector)" fsqrt_v fsqrt_vh = one(FpOp::Sqrt, 0);
    "FRECPE" frecpe_v frecpe_vh = one(FpOp::RecipEstimate, 0);
    "FRSQRTE" frsqrte_v frsqrte_vh = one(FpOp::RsqrtEstimate, 0);
    "FRINTN (vector)" frintn_v frintn_vh = one(FpOp::RoundInt, NEAREST);
    "FRINTP (vector)" frintp_v frintp_vh = one(FpOp::RoundInt, UP);
    "FRINTM (vector)" frintm_v frintm_vh = one(FpOp::RoundInt, DOWN);
    "FRINTZ (vector)" frintz_v frintz_vh = one(FpOp::RoundInt, ZERO);
    "FRINTA (vector)" frinta_v frinta_vh = one(FpOp::RoundInt, AWAY);
    "FRINTX (vector)" frintx_v frintx_vh = one(FpOp::RoundInt, CURRENT | EXACT);
    "FRINTI (vector)" frinti_v frinti_vh = one(FpOp::RoundInt, CURRENT);
    "FCVTNS (vector)" fcvtns_v fcvtns_vh = to_int(NEAREST, true);
    "FCVTNU (vector)" fcvtnu_v fcvtnu_vh = to_int(NEAREST, false);
    "FCVTPS (vector)" fcvtps_v fcvtps_vh = to_int(UP, true);
    "FCVTPU (vector)" fcvtpu_v fcvtpu_vh = to_int(UP, false);
    "FCVTMS (vector)" fcvtms_v fcvtms_vh = to_int(DOWN, true);
    "FCVTMU (vector)" fcvtmu_v fcvtmu_vh = to_int(DOWN, false);
    "FCVTZS (vector, integer)" fcvtzs_v fcvtzs_vh = to_int(ZERO, true);
    "FCVTZU (vector, integer)" fcvtzu_v fcvtzu_vh = to_int(ZERO, false);
    "FCVTAS (vector)" fcvtas_v fcvtas_vh = to_int(AWAY, true);
    "FCVTAU (vector)" fcvtau_v fcvtau_vh = to_int(AWAY, false);
    "SCVTF (vector, integer)" scvtf_v scvtf_vh = from_int(true);
    "UCVTF (vector, integer)" ucvtf_v ucvtf_vh = from_int(false);
    "FCMGT (zero)" fcmgt_z fcmgt_zh = with_zero(FpOp::CompareGt, false);
    "FCMGE (zero)" fcmge_z fcmge_zh = with_zero(FpOp::CompareGe, false);
    "FCMEQ (zero)" fcmeq_z fcmeq_zh = with_zero(FpOp::CompareEq, false);
    "FCMLE (zero)" fcmle_z fcmle_zh = with_zero(FpOp::CompareGe, true);
    "FCMLT (zero)" fcmlt_z fcmlt_zh = with_zero(FpOp::CompareGt, true);
    "FMAXNMV" fmaxnmv fmaxnmv_h = across(FpOp::MaxNm);
    "FMINNMV" fminnmv fminnmv_h = across(FpOp::MinNm);
    "FMAXV" fmaxv fmaxv_h = across(FpOp::Max);
    "FMINV" fminv fminv_h = across(FpOp::Min);
}
/// Adjacent elements first, as the manual's Reduce does it.
#[inline(always)]
fn across<O: Ops>(o: &mut O, a: &V2, op: FpOp) -> R<O> {
    let mut f = begin!(o, a);
    let mut x = read(o, f, a.rn);
    // Halves of a vector that has fewer than two elements are not needed.
    let steps = f.lanes().ilog2();
    for step in 0..steps {
        let even = x2(o, XOp::Unzip1, f, x, x);
        let odd = x2(o, XOp::Unzip2, f, x, x);
        let lanes = f.lanes() >> (step + 1);
        x = o.x(XOp::Fp, f.esize(), proteus_exec::vector::fp_lanes(op, lanes, 0), even, odd, odd);
    }
    f = f.scalar();
    write(o, f, a.rd, x);
    Ok(Flow::Next)
}
macro_rules! round_fit {
    ($($doc:literal $name:ident = $op:ident($imm:expr);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &V2) -> R<O> {
            one(o, a, FpOp::$op, $imm)
        }
    )*};
}
round_fit! {
    "FRINT32Z (vector)" frint32z_v = RoundInt32(ZERO);
    "FRINT32X (vector)" frint32x_v = RoundInt32(CURRENT);
    "FRINT64Z (vector)" frint64z_v = RoundInt64(ZERO);
    "FRINT64X (vector)" frint64x_v = RoundInt64(CURRENT);
}

// ---- Fixed point.

#[inline(always)]
fn fixed<O: Ops>(o: &mut O, a: &Vshift, op: FpOp, round: u32, signed: bool) -> R<O> {
    fp_check(o)?;
    let f = form_of(a);
    let n = read(o, f, a.rn);
    let r = fp(o, f, op, round | integer(f.bits(), signed, right(f, a)), (n, n, n));
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
float! { Vshift:
    "SCVTF (vector, fixed-point)" scvtf_n scvtf_nh = fixed(FpOp::FromInt, 0, true);
    "UCVTF (vector, fixed-point)" ucvtf_n ucvtf_nh = fixed(FpOp::FromInt, 0, false);
    "FCVTZS (vector, fixed-point)" fcvtzs_n fcvtzs_nh = fixed(FpOp::ToInt, ZERO, true);
    "FCVTZU (vector, fixed-point)" fcvtzu_n fcvtzu_nh = fixed(FpOp::ToInt, ZERO, false);
}

// ---- Between formats.

/// FCVTL; its size is 0 for half precision, 1 for single.
pub fn fcvtl_v<O: Ops>(o: &mut O, a: &V2) -> R<O> {
    fp_check(o)?;
    let f = Form { q: a.q, s: 0, size: a.size + 1 };
    let n = read_half(o, f, a.rn);
    let r = x1(o, XOp::FpWiden, f, 0, n);
    write(o, f.wide(), a.rd, r);
    Ok(Flow::Next)
}
/// FCVTN; its size is 0 for half precision, 1 for single.
pub fn fcvtn_v<O: Ops>(o: &mut O, a: &V2) -> R<O> {
    fp_check(o)?;
    let f = Form { q: a.q, s: 0, size: a.size + 1 };
    let n = o.xget(state::v(a.rn));
    let r = x1(o, XOp::FpNarrow, f, f.wide().lanes(), n);
    write_half(o, f, a.rd, r);
    Ok(Flow::Next)
}
/// FCVTXN.
pub fn fcvtxn_v<O: Ops>(o: &mut O, a: &V2) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f.wide(), a.rn);
    let r = x1(o, XOp::FpNarrow, f, f.wide().lanes() | 0x100, n);
    write_half(o, f, a.rd, r);
    Ok(Flow::Next)
}

// ---- Half precision products added to single precision.

/// Half precision elements for words: the lower or the upper ones of the form.
#[inline(always)]
fn halves<O: Ops>(o: &mut O, q: u32, r: u32, upper: bool) -> O::X {
    let v = o.get(state::v(r).at(q & upper as u32));
    let v = if upper && q == 0 { o.bin_imm(Bin::Shr, W::W64, v, 32) } else { v };
    let x = low(o, v);
    o.x(XOp::WidenU, 1, 0, x, x, x)
}
#[inline(always)]
fn add_long<O: Ops>(o: &mut O, q: u32, rd: u32, v: (O::X, O::X), negate: bool) -> R<O> {
    let f = Form { q, s: 0, size: 2 };
    let mut n = v.0;
    if negate {
        let s = o.ximm(splat(2, 0x8000));
        n = x2(o, XOp::Xor, f, n, s);
    }
    let acc = read(o, f, rd);
    let r = fp(o, f, FpOp::FmaLong, 0, (acc, n, v.1));
    write(o, f, rd, r);
    Ok(Flow::Next)
}
macro_rules! long {
    ($($doc:literal $name:ident $element:ident = $upper:literal, $negate:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &V3) -> R<O> {
            fp_check(o)?;
            let n = halves(o, a.q, a.rn, $upper);
            let m = halves(o, a.q, a.rm, $upper);
            add_long(o, a.q, a.rd, (n, m), $negate)
        }
        #[doc = concat!($doc, " (by element)")]
        pub fn $element<O: Ops>(o: &mut O, a: &Velem) -> R<O> {
            fp_check(o)?;
            let n = halves(o, a.q, a.rn, $upper);
            let (r, index) = element(1, a.l, a.m, a.rm, a.h);
            let m = dup_element(o, 1, r, index);
            add_long(o, a.q, a.rd, (n, m), $negate)
        }
    )*};
}
long! {
    "FMLAL" fmlal_v fmlal_e = false, false;
    "FMLSL" fmlsl_v fmlsl_e = false, true;
    "FMLAL2" fmlal2_v fmlal2_e = true, false;
    "FMLSL2" fmlsl2_v fmlsl2_e = true, true;
}

// ---- Complex numbers: real parts in even elements, imaginary ones in odd.

/// The elements of each pair exchanged, with the sign of the even or of the odd ones inverted.
#[inline(always)]
fn turned<O: Ops>(o: &mut O, f: Form, m: O::X, invert_odd: bool) -> O::X {
    let m = x1(o, XOp::Reverse, f, f.size + 1, m);
    let s = signs(o, f);
    let mask = o.ximm(splat_pairs(f.size, invert_odd));
    let s = x2(o, XOp::And, f, s, mask);
    x2(o, XOp::Xor, f, m, s)
}
/// All ones in the even or in the odd elements.
const fn splat_pairs(size: u32, odd: bool) -> u128 {
    let bits = 8u32 << size;
    let lane = u128::MAX >> (128 - bits);
    let pair = if odd { lane << bits } else { lane };
    if size == 3 { pair } else { u128::MAX / (u128::MAX >> (128 - 2 * bits)) * pair }
}
#[inline(always)]
fn complex_multiply<O: Ops>(o: &mut O, f: Form, rot: u32, rd: u32, v: (O::X, O::X)) {
    let (n, m) = v;
    let n = x2(o, if rot & 1 == 0 { XOp::Transpose1 } else { XOp::Transpose2 }, f, n, n);
    let m = match rot {
        0 => m,
        1 => turned(o, f, m, false),
        2 => {
            let s = signs(o, f);
            x2(o, XOp::Xor, f, m, s)
        }
        _ => turned(o, f, m, true),
    };
    let acc = read(o, f, rd);
    let r = fp(o, f, FpOp::Fma, 0, (acc, n, m));
    write(o, f, rd, r);
}
/// FCMLA.
pub fn fcmla_v<O: Ops>(o: &mut O, a: &Vcplx) -> R<O> {
    fp_check(o)?;
    let f = Form { q: a.q, s: 0, size: a.size };
    let n = read(o, f, a.rn);
    let m = read(o, f, a.rm);
    complex_multiply(o, f, a.rot, a.rd, (n, m));
    Ok(Flow::Next)
}
/// FCMLA (by element).
pub fn fcmla_e<O: Ops>(o: &mut O, a: &VcplxE) -> R<O> {
    fp_check(o)?;
    let f = Form { q: a.q, s: 0, size: a.size };
    let n = read(o, f, a.rn);
    let index = if a.size == 1 { a.h << 1 | a.l } else { a.h };
    let m = dup_element(o, a.size + 1, a.m << 4 | a.rm, index);
    complex_multiply(o, f, a.rot, a.rd, (n, m));
    Ok(Flow::Next)
}
/// FCADD.
pub fn fcadd_v<O: Ops>(o: &mut O, a: &Vcplx) -> R<O> {
    fp_check(o)?;
    let f = Form { q: a.q, s: 0, size: a.size };
    let n = read(o, f, a.rn);
    let m = read(o, f, a.rm);
    let m = turned(o, f, m, a.rot != 0);
    let r = fp(o, f, FpOp::Add, 0, (n, m, m));
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
