//! Advanced SIMD on integers: three registers, two registers, by element, across lanes.

use super::fp_check;
use super::simd::*;
use crate::a64::*;
use crate::state;
use proteus_exec::ops::*;

// ---- Three registers of one size. The kernels take operands, so that the forms with an element
// of a vector are the same.

/// An operation on both operands.
#[inline(always)]
fn plain<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), op: XOp) {
    let r = x2(o, op, f, v.0, v.1);
    write(o, f, rd, r);
}
/// An operation on both operands, then one of the destination and its result.
#[inline(always)]
fn accumulate<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), op: XOp, then: XOp) {
    let r = x2(o, op, f, v.0, v.1);
    let acc = read(o, f, rd);
    let r = x2(o, then, f, acc, r);
    write(o, f, rd, r);
}
/// An operation on the destination and both operands.
#[inline(always)]
fn ternary<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), op: XOp) {
    let acc = read(o, f, rd);
    let r = o.x(op, f.esize(), 0, acc, v.0, v.1);
    write(o, f, rd, r);
}
/// An operation on the even and the odd elements of both operands put together.
#[inline(always)]
fn pairwise<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), op: XOp) {
    let (even, odd) = unzip(o, f, v);
    let r = x2(o, op, f, even, odd);
    write(o, f, rd, r);
}
/// Even and odd elements of both operands put together.
#[inline(always)]
pub(super) fn unzip<O: Ops>(o: &mut O, f: Form, v: (O::X, O::X)) -> (O::X, O::X) {
    let (l, r) = if f.q != 0 {
        v
    } else {
        let (a, b) = (o.xhalf(v.0, 0), o.xhalf(v.1, 0));
        let both = o.xjoin(a, b);
        (both, both)
    };
    (x2(o, XOp::Unzip1, f, l, r), x2(o, XOp::Unzip2, f, l, r))
}
/// A bitwise selection; which operand is the mask is the instruction's.
#[inline(always)]
fn select<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), order: u32) {
    let acc = read(o, f, rd);
    let (mask, one, other) = match order {
        0 => (acc, v.0, v.1),
        1 => (v.1, v.0, acc),
        _ => (v.1, acc, v.0),
    };
    let r = o.x(XOp::Select, 0, 0, mask, one, other);
    write(o, f, rd, r);
}

macro_rules! three {
    ($($doc:literal $name:ident = $kernel:ident($($arg:expr),*);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &V3) -> R<O> {
            let f = begin!(o, a);
            let n = read(o, f, a.rn);
            let m = read(o, f, a.rm);
            $kernel(o, f, a.rd, (n, m), $($arg),*);
            Ok(Flow::Next)
        }
    )*};
}
three! {
    "AND (vector)" and_v = plain(XOp::And);
    "BIC (vector, register)" bic_v = plain(XOp::AndNot);
    "ORR (vector, register)" orr_v = plain(XOp::Or);
    "ORN (vector)" orn_v = plain(XOp::OrNot);
    "EOR (vector)" eor_v = plain(XOp::Xor);
    "BSL" bsl_v = select(0);
    "BIT" bit_v = select(1);
    "BIF" bif_v = select(2);
    "ADD (vector)" add_v = plain(XOp::Add);
    "SUB (vector)" sub_v = plain(XOp::Sub);
    "MUL (vector)" mul_v = plain(XOp::Mul);
    "PMUL" pmul_v = plain(XOp::MulPoly);
    "MLA (vector)" mla_v = accumulate(XOp::Mul, XOp::Add);
    "MLS (vector)" mls_v = accumulate(XOp::Mul, XOp::Sub);
    "SABD" sabd_v = plain(XOp::AbsDiffS);
    "UABD" uabd_v = plain(XOp::AbsDiffU);
    "SABA" saba_v = accumulate(XOp::AbsDiffS, XOp::Add);
    "UABA" uaba_v = accumulate(XOp::AbsDiffU, XOp::Add);
    "SHADD" shadd_v = plain(XOp::HalfAddS);
    "UHADD" uhadd_v = plain(XOp::HalfAddU);
    "SRHADD" srhadd_v = plain(XOp::RoundHalfAddS);
    "URHADD" urhadd_v = plain(XOp::RoundHalfAddU);
    "SHSUB" shsub_v = plain(XOp::HalfSubS);
    "UHSUB" uhsub_v = plain(XOp::HalfSubU);
    "SQADD" sqadd_v = plain(XOp::SatAddS);
    "UQADD" uqadd_v = plain(XOp::SatAddU);
    "SQSUB" sqsub_v = plain(XOp::SatSubS);
    "UQSUB" uqsub_v = plain(XOp::SatSubU);
    "CMGT (register)" cmgt_v = plain(XOp::CmpGtS);
    "CMHI" cmhi_v = plain(XOp::CmpGtU);
    "CMGE (register)" cmge_v = plain(XOp::CmpGeS);
    "CMHS" cmhs_v = plain(XOp::CmpGeU);
    "CMEQ (register)" cmeq_v = plain(XOp::CmpEq);
    "CMTST" cmtst_v = plain(XOp::CmpTest);
    "SSHL" sshl_v = plain(XOp::ShiftS);
    "USHL" ushl_v = plain(XOp::ShiftU);
    "SRSHL" srshl_v = plain(XOp::RoundShiftS);
    "URSHL" urshl_v = plain(XOp::RoundShiftU);
    "SQSHL (register)" sqshl_v = plain(XOp::SatShiftS);
    "UQSHL (register)" uqshl_v = plain(XOp::SatShiftU);
    "SQRSHL" sqrshl_v = plain(XOp::SatRoundShiftS);
    "UQRSHL" uqrshl_v = plain(XOp::SatRoundShiftU);
    "SMAX" smax_v = plain(XOp::MaxS);
    "UMAX" umax_v = plain(XOp::MaxU);
    "SMIN" smin_v = plain(XOp::MinS);
    "UMIN" umin_v = plain(XOp::MinU);
    "SMAXP" smaxp_v = pairwise(XOp::MaxS);
    "UMAXP" umaxp_v = pairwise(XOp::MaxU);
    "SMINP" sminp_v = pairwise(XOp::MinS);
    "UMINP" uminp_v = pairwise(XOp::MinU);
    "ADDP (vector)" addp_v = pairwise(XOp::Add);
    "SQDMULH (vector)" sqdmulh_v = plain(XOp::SatMulHigh);
    "SQRDMULH (vector)" sqrdmulh_v = plain(XOp::SatRoundMulHigh);
    "SQRDMLAH (vector)" sqrdmlah_v = ternary(XOp::SatRoundMulAddHigh);
    "SQRDMLSH (vector)" sqrdmlsh_v = ternary(XOp::SatRoundMulSubHigh);
    "SDOT (vector)" sdot_v = ternary(XOp::DotS);
    "UDOT (vector)" udot_v = ternary(XOp::DotU);
}

macro_rules! by_element {
    ($($doc:literal $name:ident = $read:ident $kernel:ident($($arg:expr),*);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &Velem) -> R<O> {
            let f = begin!(o, a);
            let n = $read(o, f, a.rn);
            let (r, index) = element(a.size, a.l, a.m, a.rm, a.h);
            let m = dup_element(o, a.size, r, index);
            $kernel(o, f, a.rd, (n, m), $($arg),*);
            Ok(Flow::Next)
        }
    )*};
}
by_element! {
    "MUL (by element)" mul_e = read plain(XOp::Mul);
    "MLA (by element)" mla_e = read accumulate(XOp::Mul, XOp::Add);
    "MLS (by element)" mls_e = read accumulate(XOp::Mul, XOp::Sub);
    "SQDMULH (by element)" sqdmulh_e = read plain(XOp::SatMulHigh);
    "SQRDMULH (by element)" sqrdmulh_e = read plain(XOp::SatRoundMulHigh);
    "SQRDMLAH (by element)" sqrdmlah_e = read ternary(XOp::SatRoundMulAddHigh);
    "SQRDMLSH (by element)" sqrdmlsh_e = read ternary(XOp::SatRoundMulSubHigh);
    "SDOT (by element)" sdot_e = read ternary(XOp::DotS);
    "UDOT (by element)" udot_e = read ternary(XOp::DotU);
    "SMULL (by element)" smull_e = read_half product(XOp::MulWideS);
    "UMULL (by element)" umull_e = read_half product(XOp::MulWideU);
    "SMLAL (by element)" smlal_e = read_half product_accumulate(XOp::MulWideS, XOp::Add);
    "UMLAL (by element)" umlal_e = read_half product_accumulate(XOp::MulWideU, XOp::Add);
    "SMLSL (by element)" smlsl_e = read_half product_accumulate(XOp::MulWideS, XOp::Sub);
    "UMLSL (by element)" umlsl_e = read_half product_accumulate(XOp::MulWideU, XOp::Sub);
    "SQDMULL (by element)" sqdmull_e = read_half product(XOp::SatMulWide);
    "SQDMLAL (by element)" sqdmlal_e = read_half product_accumulate(XOp::SatMulWide, XOp::SatAddS);
    "SQDMLSL (by element)" sqdmlsl_e = read_half product_accumulate(XOp::SatMulWide, XOp::SatSubS);
}

// ---- Three registers of different sizes.

/// A widening multiplication.
#[inline(always)]
fn product<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), op: XOp) {
    let r = x2(o, op, f, v.0, v.1);
    write(o, f.wide(), rd, r);
}
/// A widening multiplication, then an operation with the destination.
#[inline(always)]
fn product_accumulate<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), op: XOp, then: XOp) {
    let r = x2(o, op, f, v.0, v.1);
    let acc = read(o, f.wide(), rd);
    let r = x2(o, then, f.wide(), acc, r);
    write(o, f.wide(), rd, r);
}
/// An operation on both operands widened.
#[inline(always)]
fn long<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), widen: XOp, op: XOp) {
    let l = x1(o, widen, f, 0, v.0);
    let r = x1(o, widen, f, 0, v.1);
    let x = x2(o, op, f.wide(), l, r);
    write(o, f.wide(), rd, x);
}
/// The absolute difference of both operands widened, added to the destination.
#[inline(always)]
fn difference_accumulate<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X), widen: XOp, op: XOp) {
    let l = x1(o, widen, f, 0, v.0);
    let r = x1(o, widen, f, 0, v.1);
    let x = x2(o, op, f.wide(), l, r);
    let acc = read(o, f.wide(), rd);
    let x = x2(o, XOp::Add, f.wide(), acc, x);
    write(o, f.wide(), rd, x);
}

macro_rules! widening {
    ($($doc:literal $name:ident = $kernel:ident($($arg:expr),*);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &V3) -> R<O> {
            let f = begin!(o, a);
            let n = read_half(o, f, a.rn);
            let m = read_half(o, f, a.rm);
            $kernel(o, f, a.rd, (n, m), $($arg),*);
            Ok(Flow::Next)
        }
    )*};
}
widening! {
    "SADDL" saddl_v = long(XOp::WidenS, XOp::Add);
    "UADDL" uaddl_v = long(XOp::WidenU, XOp::Add);
    "SSUBL" ssubl_v = long(XOp::WidenS, XOp::Sub);
    "USUBL" usubl_v = long(XOp::WidenU, XOp::Sub);
    "SABDL" sabdl_v = long(XOp::WidenS, XOp::AbsDiffS);
    "UABDL" uabdl_v = long(XOp::WidenU, XOp::AbsDiffU);
    "SABAL" sabal_v = difference_accumulate(XOp::WidenS, XOp::AbsDiffS);
    "UABAL" uabal_v = difference_accumulate(XOp::WidenU, XOp::AbsDiffU);
    "SMULL (vector)" smull_v = product(XOp::MulWideS);
    "UMULL (vector)" umull_v = product(XOp::MulWideU);
    "SMLAL (vector)" smlal_v = product_accumulate(XOp::MulWideS, XOp::Add);
    "UMLAL (vector)" umlal_v = product_accumulate(XOp::MulWideU, XOp::Add);
    "SMLSL (vector)" smlsl_v = product_accumulate(XOp::MulWideS, XOp::Sub);
    "UMLSL (vector)" umlsl_v = product_accumulate(XOp::MulWideU, XOp::Sub);
    "SQDMULL (vector)" sqdmull_v = product(XOp::SatMulWide);
    "SQDMLAL (vector)" sqdmlal_v = product_accumulate(XOp::SatMulWide, XOp::SatAddS);
    "SQDMLSL (vector)" sqdmlsl_v = product_accumulate(XOp::SatMulWide, XOp::SatSubS);
    "PMULL" pmull_v = poly();
    "PMULL (64 bits)" pmull_vd = poly();
}
#[inline(always)]
fn poly<O: Ops>(o: &mut O, f: Form, rd: u32, v: (O::X, O::X)) {
    let r = x2(o, XOp::MulPolyWide, f, v.0, v.1);
    o.xset(state::v(rd), r);
}

#[inline(always)]
fn wide<O: Ops>(o: &mut O, a: &V3, widen: XOp, op: XOp) -> R<O> {
    let f = begin!(o, a);
    let n = o.xget(state::v(a.rn));
    let m = read_half(o, f, a.rm);
    let m = x1(o, widen, f, 0, m);
    plain(o, f.wide(), a.rd, (n, m), op);
    Ok(Flow::Next)
}
/// The high half of a sum or difference.
#[inline(always)]
fn high_half<O: Ops>(o: &mut O, a: &V3, op: XOp, round: bool) -> R<O> {
    let f = begin!(o, a);
    let n = o.xget(state::v(a.rn));
    let m = o.xget(state::v(a.rm));
    let mut x = x2(o, op, f.wide(), n, m);
    if round {
        let half = o.ximm(splat(a.size + 1, 1 << (f.bits() - 1)));
        x = x2(o, XOp::Add, f.wide(), x, half);
    }
    let x = x1(o, XOp::ShrU, f.wide(), f.bits(), x);
    let x = x1(o, XOp::Narrow, f, 0, x);
    write_half(o, f, a.rd, x);
    Ok(Flow::Next)
}
macro_rules! of_set {
    ($set:ident: $($doc:literal $name:ident = $f:ident($($arg:expr),*);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &$set) -> R<O> {
            $f(o, a, $($arg),*)
        }
    )*};
}
of_set! { V3:
    "SADDW" saddw_v = wide(XOp::WidenS, XOp::Add);
    "UADDW" uaddw_v = wide(XOp::WidenU, XOp::Add);
    "SSUBW" ssubw_v = wide(XOp::WidenS, XOp::Sub);
    "USUBW" usubw_v = wide(XOp::WidenU, XOp::Sub);
    "ADDHN" addhn_v = high_half(XOp::Add, false);
    "RADDHN" raddhn_v = high_half(XOp::Add, true);
    "SUBHN" subhn_v = high_half(XOp::Sub, false);
    "RSUBHN" rsubhn_v = high_half(XOp::Sub, true);
}

// ---- Two registers.

#[inline(always)]
fn unary<O: Ops>(o: &mut O, a: &V2, op: XOp, imm: u32) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let r = x1(o, op, f, imm, n);
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
/// A comparison with zero, which is on the left where `swapped`.
#[inline(always)]
fn with_zero<O: Ops>(o: &mut O, a: &V2, op: XOp, swapped: bool) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let zero = o.ximm(0);
    let (l, r) = if swapped { (zero, n) } else { (n, zero) };
    plain(o, f, a.rd, (l, r), op);
    Ok(Flow::Next)
}
/// An operation of the destination and the operand.
#[inline(always)]
fn onto<O: Ops>(o: &mut O, a: &V2, op: XOp) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let acc = read(o, f, a.rd);
    plain(o, f, a.rd, (acc, n), op);
    Ok(Flow::Next)
}
#[inline(always)]
fn pairs<O: Ops>(o: &mut O, a: &V2, op: XOp, accumulate: bool) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let mut r = x1(o, op, f, 0, n);
    if accumulate {
        let acc = read(o, f, a.rd);
        r = x2(o, XOp::Add, f.wide(), acc, r);
    }
    write(o, f, a.rd, r);
    Ok(Flow::Next)
}
#[inline(always)]
fn narrow<O: Ops>(o: &mut O, a: &V2, op: XOp) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f.wide(), a.rn);
    let r = x1(o, op, f, 0, n);
    write_half(o, f, a.rd, r);
    Ok(Flow::Next)
}
of_set! { V2:
    "REV64" rev64_v = unary(XOp::Reverse, 3);
    "REV32 (vector)" rev32_v = unary(XOp::Reverse, 2);
    "REV16 (vector)" rev16_v = unary(XOp::Reverse, 1);
    "CLS (vector)" cls_v = unary(XOp::LeadingSigns, 0);
    "CLZ (vector)" clz_v = unary(XOp::LeadingZeros, 0);
    "CNT" cnt_v = unary(XOp::CountOnes, 0);
    "RBIT (vector)" rbit_v = unary(XOp::ReverseBits, 0);
    "ABS" abs_v = unary(XOp::Abs, 0);
    "NEG (vector)" neg_v = unary(XOp::Neg, 0);
    "SQABS" sqabs_v = unary(XOp::SatAbs, 0);
    "SQNEG" sqneg_v = unary(XOp::SatNeg, 0);
    "URECPE" urecpe_v = unary(XOp::RecipEstimateU32, 0);
    "URSQRTE" ursqrte_v = unary(XOp::RsqrtEstimateU32, 0);
    "CMGT (zero)" cmgt_z = with_zero(XOp::CmpGtS, false);
    "CMGE (zero)" cmge_z = with_zero(XOp::CmpGeS, false);
    "CMEQ (zero)" cmeq_z = with_zero(XOp::CmpEq, false);
    "CMLE (zero)" cmle_z = with_zero(XOp::CmpGeS, true);
    "CMLT (zero)" cmlt_z = with_zero(XOp::CmpGtS, true);
    "SUQADD" suqadd_v = onto(XOp::SatAddSU);
    "USQADD" usqadd_v = onto(XOp::SatAddUS);
    "SADDLP" saddlp_v = pairs(XOp::AddPairsS, false);
    "UADDLP" uaddlp_v = pairs(XOp::AddPairsU, false);
    "SADALP" sadalp_v = pairs(XOp::AddPairsS, true);
    "UADALP" uadalp_v = pairs(XOp::AddPairsU, true);
    "XTN" xtn_v = narrow(XOp::Narrow);
    "SQXTN" sqxtn_v = narrow(XOp::SatNarrowS);
    "UQXTN" uqxtn_v = narrow(XOp::SatNarrowU);
    "SQXTUN" sqxtun_v = narrow(XOp::SatNarrowSU);
    "ADDV" addv = across(XOp::SumAcross, false);
    "SADDLV" saddlv = across(XOp::SumAcrossWideS, true);
    "UADDLV" uaddlv = across(XOp::SumAcrossWideU, true);
    "SMAXV" smaxv = extreme(XOp::MaxAcrossS);
    "UMAXV" umaxv = extreme(XOp::MaxAcrossU);
    "SMINV" sminv = extreme(XOp::MinAcrossS);
    "UMINV" uminv = extreme(XOp::MinAcrossU);
}
/// NOT.
pub fn not_v<O: Ops>(o: &mut O, a: &V2) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let ones = o.ximm(u128::MAX);
    plain(o, f, a.rd, (n, ones), XOp::Xor);
    Ok(Flow::Next)
}
/// SHLL.
pub fn shll_v<O: Ops>(o: &mut O, a: &V2) -> R<O> {
    let f = begin!(o, a);
    let n = read_half(o, f, a.rn);
    let n = x1(o, XOp::WidenU, f, 0, n);
    let r = x1(o, XOp::Shl, f.wide(), f.bits(), n);
    write(o, f.wide(), a.rd, r);
    Ok(Flow::Next)
}

// ---- Across lanes.

#[inline(always)]
fn across<O: Ops>(o: &mut O, a: &V2, op: XOp, wide: bool) -> R<O> {
    let f = begin!(o, a);
    let n = read(o, f, a.rn);
    let r = x1(o, op, f, 0, n);
    let scalar = f.scalar();
    write(o, if wide { scalar.wide() } else { scalar }, a.rd, r);
    Ok(Flow::Next)
}
/// The largest or smallest; a vector of 64 bits is taken twice.
#[inline(always)]
fn extreme<O: Ops>(o: &mut O, a: &V2, op: XOp) -> R<O> {
    let f = begin!(o, a);
    let n = if a.q != 0 {
        o.xget(state::v(a.rn))
    } else {
        let v = o.get(state::v(a.rn));
        o.xjoin(v, v)
    };
    let r = x1(o, op, f, 0, n);
    write(o, f.scalar(), a.rd, r);
    Ok(Flow::Next)
}
