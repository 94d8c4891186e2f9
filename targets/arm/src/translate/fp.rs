//! Scalar floating point.

use super::simd::{format, low, write_low, zext};
use super::{fp_check, set_x, x};
use crate::a64::*;
use crate::state;
use proteus_exec::fp::{EXACT, integer, rounding, to_format};
use proteus_exec::ops::*;
use proteus_float::Rounding;

/// log2 of the bytes of a format.
#[inline(always)]
const fn size(ftype: u32) -> u32 {
    match ftype {
        0 => 2,
        1 => 3,
        _ => 1,
    }
}

#[inline(always)]
const fn fmt(ftype: u32) -> Fmt {
    format(size(ftype))
}

/// The sign bit of a format.
#[inline(always)]
const fn sign(ftype: u32) -> u64 {
    1 << ((8 << size(ftype)) - 1)
}

/// Reads the low half of a register; primitives look at the format's bits only.
#[inline(always)]
fn d<O: Ops>(o: &mut O, r: u32) -> O::V {
    o.get(state::v(r))
}

#[inline(always)]
fn one<O: Ops>(o: &mut O, a: &F2, op: FpOp, imm: u32) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let r = o.fp(op, fmt(a.ftype), imm, v, v, v);
    write_low(o, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn two<O: Ops>(o: &mut O, a: &F3, op: FpOp) -> R<O> {
    fp_check(o)?;
    let l = d(o, a.rn);
    let r = d(o, a.rm);
    let v = o.fp(op, fmt(a.ftype), 0, l, r, r);
    write_low(o, a.rd, v);
    Ok(Flow::Next)
}
/// Addend and first factor negated as asked.
#[inline(always)]
fn multiply_add<O: Ops>(o: &mut O, a: &F4, negate_addend: bool, negate_product: bool) -> R<O> {
    fp_check(o)?;
    let mut addend = d(o, a.ra);
    let mut n = d(o, a.rn);
    let m = d(o, a.rm);
    if negate_addend {
        addend = o.bin_imm(Bin::Xor, W::W64, addend, sign(a.ftype));
    }
    if negate_product {
        n = o.bin_imm(Bin::Xor, W::W64, n, sign(a.ftype));
    }
    let r = o.fp(FpOp::Fma, fmt(a.ftype), 0, addend, n, m);
    write_low(o, a.rd, r);
    Ok(Flow::Next)
}
/// Moves, with an operation on the bits.
#[inline(always)]
fn bits<O: Ops>(o: &mut O, a: &F2, op: Option<Bin>) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let v = zext(o, size(a.ftype), v);
    let v = match op {
        Some(op) => o.bin_imm(op, W::W64, v, sign(a.ftype)),
        None => v,
    };
    write_low(o, a.rd, v);
    Ok(Flow::Next)
}

/// Functions of single or double precision and of half precision that are one.
macro_rules! scalar {
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
const NEAREST: u32 = rounding(Some(Rounding::TiesEven));
const UP: u32 = rounding(Some(Rounding::Up));
const DOWN: u32 = rounding(Some(Rounding::Down));
const ZERO: u32 = rounding(Some(Rounding::Zero));
const AWAY: u32 = rounding(Some(Rounding::TiesAway));
const CURRENT: u32 = rounding(None);

scalar! { F2:
    "FMOV (register)" fmov_s fmov_h = bits(None);
    "FABS" fabs_s fabs_h = bits(Some(Bin::AndNot));
    "FNEG" fneg_s fneg_h = bits(Some(Bin::Xor));
    "FSQRT" fsqrt_s fsqrt_h = one(FpOp::Sqrt, 0);
    "FRINTN" frintn_s frintn_h = one(FpOp::RoundInt, NEAREST);
    "FRINTP" frintp_s frintp_h = one(FpOp::RoundInt, UP);
    "FRINTM" frintm_s frintm_h = one(FpOp::RoundInt, DOWN);
    "FRINTZ" frintz_s frintz_h = one(FpOp::RoundInt, ZERO);
    "FRINTA" frinta_s frinta_h = one(FpOp::RoundInt, AWAY);
    "FRINTX" frintx_s frintx_h = one(FpOp::RoundInt, CURRENT | EXACT);
    "FRINTI" frinti_s frinti_h = one(FpOp::RoundInt, CURRENT);
}
scalar! { F3:
    "FMUL" fmul_s fmul_h = two(FpOp::Mul);
    "FDIV" fdiv_s fdiv_h = two(FpOp::Div);
    "FADD" fadd_s fadd_h = two(FpOp::Add);
    "FSUB" fsub_s fsub_h = two(FpOp::Sub);
    "FMAX" fmax_s fmax_h = two(FpOp::Max);
    "FMIN" fmin_s fmin_h = two(FpOp::Min);
    "FMAXNM" fmaxnm_s fmaxnm_h = two(FpOp::MaxNm);
    "FMINNM" fminnm_s fminnm_h = two(FpOp::MinNm);
    "FNMUL" fnmul_s fnmul_h = two(FpOp::NMul);
}
scalar! { F4:
    "FMADD" fmadd_s fmadd_h = multiply_add(false, false);
    "FMSUB" fmsub_s fmsub_h = multiply_add(false, true);
    "FNMADD" fnmadd_s fnmadd_h = multiply_add(true, true);
    "FNMSUB" fnmsub_s fnmsub_h = multiply_add(true, false);
}
macro_rules! round_fit {
    ($($doc:literal $name:ident = $op:ident($imm:expr);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &F2) -> R<O> {
            one(o, a, FpOp::$op, $imm)
        }
    )*};
}
round_fit! {
    "FRINT32Z" frint32z_s = RoundInt32(ZERO);
    "FRINT32X" frint32x_s = RoundInt32(CURRENT);
    "FRINT64Z" frint64z_s = RoundInt64(ZERO);
    "FRINT64X" frint64x_s = RoundInt64(CURRENT);
}

/// FCVT.
pub fn fcvt<O: Ops>(o: &mut O, a: &Fcvt) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let r = o.fp(FpOp::Convert, fmt(a.ftype), to_format(fmt(a.opc)), v, v, v);
    write_low(o, a.rd, r);
    Ok(Flow::Next)
}

// ---- Comparisons.

#[inline(always)]
fn compare<O: Ops>(o: &mut O, a: &Fcmp, op: FpOp) -> R<O> {
    fp_check(o)?;
    let l = d(o, a.rn);
    let r = d(o, a.rm);
    let flags = o.fp(op, fmt(a.ftype), 0, l, r, r);
    o.set_nzcv(flags);
    Ok(Flow::Next)
}
#[inline(always)]
fn compare_zero<O: Ops>(o: &mut O, a: &FcmpZ, op: FpOp) -> R<O> {
    fp_check(o)?;
    let l = d(o, a.rn);
    let zero = o.imm(0);
    let flags = o.fp(op, fmt(a.ftype), 0, l, zero, zero);
    o.set_nzcv(flags);
    Ok(Flow::Next)
}
/// Where the condition does not hold zeros are compared, which raises nothing.
#[inline(always)]
fn compare_if<O: Ops>(o: &mut O, a: &Fccmp, op: FpOp) -> R<O> {
    fp_check(o)?;
    let c = o.cond(a.cond as u8);
    let zero = o.imm(0);
    let l = d(o, a.rn);
    let l = o.select(c, l, zero);
    let r = d(o, a.rm);
    let r = o.select(c, r, zero);
    let flags = o.fp(op, fmt(a.ftype), 0, l, r, r);
    let other = o.imm(a.nzcv as u64);
    let flags = o.select(c, flags, other);
    o.set_nzcv(flags);
    Ok(Flow::Next)
}
scalar! { Fcmp:
    "FCMP" fcmp_s fcmp_h = compare(FpOp::Compare);
    "FCMPE" fcmpe_s fcmpe_h = compare(FpOp::CompareSignal);
}
scalar! { FcmpZ:
    "FCMP (zero)" fcmp_z fcmp_zh = compare_zero(FpOp::Compare);
    "FCMPE (zero)" fcmpe_z fcmpe_zh = compare_zero(FpOp::CompareSignal);
}
scalar! { Fccmp:
    "FCCMP" fccmp_s fccmp_h = compare_if(FpOp::Compare);
    "FCCMPE" fccmpe_s fccmpe_h = compare_if(FpOp::CompareSignal);
}

#[inline(always)]
fn choose<O: Ops>(o: &mut O, a: &Fcsel) -> R<O> {
    fp_check(o)?;
    let c = o.cond(a.cond as u8);
    let l = d(o, a.rn);
    let r = d(o, a.rm);
    let v = o.select(c, l, r);
    let v = zext(o, size(a.ftype), v);
    write_low(o, a.rd, v);
    Ok(Flow::Next)
}
scalar! { Fcsel:
    "FCSEL" fcsel_s fcsel_h = choose();
}

/// `VFPExpandImm` of the manual.
pub(super) const fn expand_imm(size: u32, imm: u32) -> u64 {
    let (exponent_bits, fraction_bits) = match size {
        0 | 1 => (5, 10),
        2 => (8, 23),
        _ => (11, 52),
    };
    let sign = (imm as u64 >> 7 & 1) << (exponent_bits + fraction_bits);
    let b = imm as u64 >> 6 & 1;
    // NOT(b), then b repeated, then two bits of the immediate.
    let repeated = if b != 0 { (1u64 << (exponent_bits - 3)) - 1 } else { 0 };
    let exponent = (b ^ 1) << (exponent_bits - 1) | repeated << 2 | (imm as u64 >> 4 & 3);
    sign | exponent << fraction_bits | (imm as u64 & 15) << (fraction_bits - 4)
}

#[inline(always)]
fn move_imm<O: Ops>(o: &mut O, a: &FmovImm) -> R<O> {
    fp_check(o)?;
    let v = o.imm(expand_imm(size(a.ftype), a.imm));
    write_low(o, a.rd, v);
    Ok(Flow::Next)
}
scalar! { FmovImm:
    "FMOV (immediate)" fmov_imm fmov_immh = move_imm();
}

// ---- To and from general registers.

#[inline(always)]
fn to_int<O: Ops>(o: &mut O, a: &Fint, round: u32, signed: bool) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let r = o.fp(FpOp::ToInt, fmt(a.ftype), round | integer(32 << a.sf, signed, 0), v, v, v);
    set_x(o, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn from_int<O: Ops>(o: &mut O, a: &Fint, signed: bool) -> R<O> {
    fp_check(o)?;
    let v = x(o, a.rn);
    let r = o.fp(FpOp::FromInt, fmt(a.ftype), integer(32 << a.sf, signed, 0), v, v, v);
    write_low(o, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn to_fixed<O: Ops>(o: &mut O, a: &Ffix, signed: bool) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let r = o.fp(FpOp::ToInt, fmt(a.ftype), ZERO | integer(32 << a.sf, signed, 64 - a.scale), v, v, v);
    set_x(o, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn from_fixed<O: Ops>(o: &mut O, a: &Ffix, signed: bool) -> R<O> {
    fp_check(o)?;
    let v = x(o, a.rn);
    let r = o.fp(FpOp::FromInt, fmt(a.ftype), integer(32 << a.sf, signed, 64 - a.scale), v, v, v);
    write_low(o, a.rd, r);
    Ok(Flow::Next)
}
scalar! { Fint:
    "SCVTF" scvtf_i scvtf_ih = from_int(true);
    "UCVTF" ucvtf_i ucvtf_ih = from_int(false);
    "FCVTNS" fcvtns_i fcvtns_ih = to_int(NEAREST, true);
    "FCVTNU" fcvtnu_i fcvtnu_ih = to_int(NEAREST, false);
    "FCVTAS" fcvtas_i fcvtas_ih = to_int(AWAY, true);
    "FCVTAU" fcvtau_i fcvtau_ih = to_int(AWAY, false);
    "FCVTPS" fcvtps_i fcvtps_ih = to_int(UP, true);
    "FCVTPU" fcvtpu_i fcvtpu_ih = to_int(UP, false);
    "FCVTMS" fcvtms_i fcvtms_ih = to_int(DOWN, true);
    "FCVTMU" fcvtmu_i fcvtmu_ih = to_int(DOWN, false);
    "FCVTZS" fcvtzs_i fcvtzs_ih = to_int(ZERO, true);
    "FCVTZU" fcvtzu_i fcvtzu_ih = to_int(ZERO, false);
}
scalar! { Ffix:
    "SCVTF (fixed-point)" scvtf_f scvtf_fh = from_fixed(true);
    "UCVTF (fixed-point)" ucvtf_f ucvtf_fh = from_fixed(false);
    "FCVTZS (fixed-point)" fcvtzs_f fcvtzs_fh = to_fixed(true);
    "FCVTZU (fixed-point)" fcvtzu_f fcvtzu_fh = to_fixed(false);
}

/// FJCVTZS.
pub fn fjcvtzs<O: Ops>(o: &mut O, a: &X2) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let r = o.fp(FpOp::ToIntJs, Fmt::F64, 0, v, v, v);
    let z = o.bin_imm(Bin::Shr, W::W64, r, 32);
    let z = o.bin_imm(Bin::Shl, W::W64, z, 2);
    let r = o.un(Un::Zext32, W::W64, r);
    set_x(o, a.rd, r);
    o.set_nzcv(z);
    Ok(Flow::Next)
}

/// FMOV (general) from S to W or D to X.
pub fn fmov_to_w<O: Ops>(o: &mut O, a: &FmovW) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let v = zext(o, 2 + a.sf, v);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// FMOV (general) from W to S or X to D.
pub fn fmov_from_w<O: Ops>(o: &mut O, a: &FmovW) -> R<O> {
    fp_check(o)?;
    let v = x(o, a.rn);
    let v = zext(o, 2 + a.sf, v);
    write_low(o, a.rd, v);
    Ok(Flow::Next)
}
/// FMOV (general) from H.
pub fn fmov_to_wh<O: Ops>(o: &mut O, a: &FmovW) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let v = zext(o, 1, v);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// FMOV (general) to H.
pub fn fmov_from_wh<O: Ops>(o: &mut O, a: &FmovW) -> R<O> {
    fp_check(o)?;
    let v = x(o, a.rn);
    let v = zext(o, 1, v);
    write_low(o, a.rd, v);
    Ok(Flow::Next)
}
/// FMOV Xd, Vn.D[1].
pub fn fmov_to_top<O: Ops>(o: &mut O, a: &X2) -> R<O> {
    fp_check(o)?;
    let v = o.get(state::v(a.rn).at(1));
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// FMOV Vd.D[1], Xn.
pub fn fmov_from_top<O: Ops>(o: &mut O, a: &X2) -> R<O> {
    fp_check(o)?;
    let v = x(o, a.rn);
    o.set(state::v(a.rd).at(1), v);
    Ok(Flow::Next)
}

// ---- Scalar pairs: the two lowest elements of a vector.

#[inline(always)]
fn pair<O: Ops>(o: &mut O, a: &V2, op: FpOp) -> R<O> {
    fp_check(o)?;
    let first = d(o, a.rn);
    let second = match a.size {
        3 => o.get(state::v(a.rn).at(1)),
        s => o.bin_imm(Bin::Shr, W::W64, first, 8 << s),
    };
    let r = o.fp(op, format(a.size), 0, first, second, second);
    write_low(o, a.rd, r);
    Ok(Flow::Next)
}
scalar! { V2:
    "FMAXNMP (scalar)" fmaxnmp_s fmaxnmp_h = pair(FpOp::MaxNm);
    "FMINNMP (scalar)" fminnmp_s fminnmp_h = pair(FpOp::MinNm);
    "FADDP (scalar)" faddp_s faddp_h = pair(FpOp::Add);
    "FMAXP (scalar)" fmaxp_s fmaxp_h = pair(FpOp::Max);
    "FMINP (scalar)" fminp_s fminp_h = pair(FpOp::Min);
}
/// ADDP (scalar).
pub fn addp_s<O: Ops>(o: &mut O, a: &V2) -> R<O> {
    fp_check(o)?;
    let l = d(o, a.rn);
    let r = o.get(state::v(a.rn).at(1));
    let v = o.add(W::W64, l, r);
    write_low(o, a.rd, v);
    Ok(Flow::Next)
}

/// FRECPX.
pub fn frecpx_v<O: Ops>(o: &mut O, a: &V2) -> R<O> {
    fp_check(o)?;
    let v = d(o, a.rn);
    let r = o.fp(FpOp::RecipExponent, format(a.size), 0, v, v, v);
    let r = low(o, r);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
/// FRECPX, half precision.
pub fn frecpx_vh<O: Ops>(o: &mut O, a: &V2) -> R<O> {
    frecpx_v(o, a)
}
