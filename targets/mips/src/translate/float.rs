//! Coprocessor 1: arithmetic, comparisons, conversions and conditional moves of single and double
//! precision. Registers, loads and stores are in [`registers`], paired single is in [`pairs`].
//!
//! An arithmetic instruction clears Cause, computes with primitives that each add to Cause what
//! they raise (`fpu::flags`), looks whether that traps, and only then writes its result. So
//! instructions of several operations (MADD, RSQRT, pairs) have the union of what they raise, as
//! the manual says of pairs.
//!
//! NEG and ABS are arithmetic, as before IEEE 754-2008: multiplication by 1 or -1.

mod pairs;
mod registers;

pub use pairs::*;
pub use registers::*;

use super::{gpr, mode, set_gpr, wrapped};
use crate::exceptions::code;
use crate::fpu::{CAUSE, condition};
use crate::helpers;
use crate::mips::*;
use crate::state::{self, Mode};
use proteus_exec::fp::{integer, rounding, to_format};
use proteus_exec::ops::*;
use proteus_float::Rounding;

const NEAREST: u32 = rounding(Some(Rounding::TiesEven));
const UP: u32 = rounding(Some(Rounding::Up));
const DOWN: u32 = rounding(Some(Rounding::Down));
const ZERO: u32 = rounding(Some(Rounding::Zero));
const CURRENT: u32 = rounding(None);

/// The format of the argument `d`.
#[inline(always)]
const fn format(d: u32) -> Fmt {
    if d == 0 { Fmt::F32 } else { Fmt::F64 }
}

/// The encoding of 1 in a format.
#[inline(always)]
const fn one(fmt: Fmt) -> u64 {
    match fmt {
        Fmt::F32 => 0x3f80_0000,
        _ => 0x3ff0_0000_0000_0000,
    }
}

/// The sign bit of a format.
#[inline(always)]
const fn sign(fmt: Fmt) -> u64 {
    match fmt {
        Fmt::F32 => 1 << 31,
        _ => 1 << 63,
    }
}

// ---- What instructions ask for.

/// Raises Coprocessor Unusable unless coprocessor 1 is usable.
#[inline(always)]
fn usable<O: Ops>(o: &mut O) -> Result<(), O::Fault> {
    if !mode(o).has(Mode::CU1) {
        let unit = o.imm(1);
        o.call(helpers::UNUSABLE, &[unit])?;
    }
    Ok(())
}

/// Raises Reserved Instruction.
#[inline(always)]
fn reserved<O: Ops>(o: &mut O) -> Result<(), O::Fault> {
    let code = o.imm(code::RI.into());
    o.call(helpers::RAISE, &[code])?;
    Ok(())
}

/// The unit is usable and its registers have 64 bits (Status.FR).
#[inline(always)]
fn usable64<O: Ops>(o: &mut O) -> Result<(), O::Fault> {
    usable(o)?;
    if !mode(o).has(Mode::FR) { reserved(o) } else { Ok(()) }
}

/// The unit is usable, and where it has registers of 32 bits a double is in an even one: with an
/// odd number the instruction is UNPREDICTABLE, and does not exist here.
#[inline(always)]
fn usable_for<O: Ops>(o: &mut O, fmt: Fmt, registers: &[u32]) -> Result<(), O::Fault> {
    usable(o)?;
    if fmt == Fmt::F64 && !mode(o).has(Mode::FR) && registers.iter().any(|r| r & 1 != 0) { reserved(o) } else { Ok(()) }
}

// ---- Values in registers.

/// Reads a register; of a single the bits above it are whatever they are, and no primitive looks
/// at them.
#[inline(always)]
fn read<O: Ops>(o: &mut O, fmt: Fmt, r: u32) -> O::V {
    if fmt == Fmt::F32 || mode(o).has(Mode::FR) {
        return o.get(state::f(r));
    }
    let low = o.get(state::f(r & !1));
    let low = o.un(Un::Zext32, W::W64, low);
    let high = o.get(state::f(r | 1));
    let high = o.bin_imm(Bin::Shl, W::W64, high, 32);
    o.bin(Bin::Or, W::W64, high, low)
}

/// Writes the low half of a register. The upper half, which the manual leaves open, stays.
#[inline(always)]
fn write_word<O: Ops>(o: &mut O, r: u32, v: O::V) {
    let old = o.get(state::f(r));
    let old = o.bin_imm(Bin::AndNot, W::W64, old, u32::MAX.into());
    let v = o.un(Un::Zext32, W::W64, v);
    let v = o.bin(Bin::Or, W::W64, old, v);
    o.set(state::f(r), v);
}

/// Writes a register.
#[inline(always)]
fn write<O: Ops>(o: &mut O, fmt: Fmt, r: u32, v: O::V) {
    if fmt == Fmt::F32 {
        write_word(o, r, v);
    } else if mode(o).has(Mode::FR) {
        o.set(state::f(r), v);
    } else {
        write_word(o, r & !1, v);
        let high = o.bin_imm(Bin::Shr, W::W64, v, 32);
        write_word(o, r | 1, high);
    }
}

/// Whether condition code `cc` is as `tf` says.
#[inline(always)]
fn holds<O: Ops>(o: &mut O, cc: u32, tf: u32) -> O::C {
    let fcsr = o.get(state::FCSR);
    let bit = o.bin_imm(Bin::And, W::W64, fcsr, condition(cc));
    o.cmp_imm(if tf != 0 { Cmp::Ne } else { Cmp::Eq }, W::W64, bit, 0)
}

// ---- Arithmetic.

/// Begins an arithmetic instruction: nothing raised yet.
#[inline(always)]
fn begin<O: Ops>(o: &mut O) {
    let fcsr = o.get(state::FCSR);
    let fcsr = o.bin_imm(Bin::AndNot, W::W64, fcsr, CAUSE);
    o.set(state::FCSR, fcsr);
}

/// Raises Floating Point where what was raised is enabled.
#[inline(always)]
fn check<O: Ops>(o: &mut O) -> Result<(), O::Fault> {
    if mode(o).has(Mode::FP_TRAPS) {
        o.call(helpers::FP_TRAP, &[])?;
    }
    Ok(())
}

/// Computes with one operand.
#[inline(always)]
fn compute1<O: Ops>(o: &mut O, op: FpOp, fmt: Fmt, imm: u32, a: O::V) -> O::V {
    o.fp(op, fmt, imm, a, a, a)
}

/// Computes with two operands.
#[inline(always)]
fn compute2<O: Ops>(o: &mut O, op: FpOp, fmt: Fmt, a: O::V, b: O::V) -> O::V {
    o.fp(op, fmt, 0, a, b, b)
}

/// The arithmetic negation.
#[inline(always)]
fn negated<O: Ops>(o: &mut O, fmt: Fmt, v: O::V) -> O::V {
    let minus = o.imm(one(fmt) | sign(fmt));
    compute2(o, FpOp::Mul, fmt, v, minus)
}

/// The arithmetic absolute value.
#[inline(always)]
fn absolute<O: Ops>(o: &mut O, fmt: Fmt, v: O::V) -> O::V {
    let s = o.bin_imm(Bin::And, W::W64, v, sign(fmt));
    let factor = o.bin_imm(Bin::Or, W::W64, s, one(fmt));
    compute2(o, FpOp::Mul, fmt, v, factor)
}

/// What an instruction of two operands computes.
#[inline(always)]
fn two<O: Ops>(o: &mut O, a: &Fp3, op: FpOp) -> R<O> {
    let fmt = format(a.d);
    usable_for(o, fmt, &[a.ft, a.fs, a.fd])?;
    let l = read(o, fmt, a.fs);
    let r = read(o, fmt, a.ft);
    begin(o);
    let v = compute2(o, op, fmt, l, r);
    check(o)?;
    write(o, fmt, a.fd, v);
    Ok(Flow::Next)
}
/// ADD.S and ADD.D.
pub fn add_fmt<O: Ops>(o: &mut O, a: &Fp3) -> R<O> {
    two(o, a, FpOp::Add)
}
/// SUB.S and SUB.D.
pub fn sub_fmt<O: Ops>(o: &mut O, a: &Fp3) -> R<O> {
    two(o, a, FpOp::Sub)
}
/// MUL.S and MUL.D.
pub fn mul_fmt<O: Ops>(o: &mut O, a: &Fp3) -> R<O> {
    two(o, a, FpOp::Mul)
}
/// DIV.S and DIV.D.
pub fn div_fmt<O: Ops>(o: &mut O, a: &Fp3) -> R<O> {
    two(o, a, FpOp::Div)
}

/// An instruction of one operand, whose value `f` computes.
#[inline(always)]
fn unary<O: Ops>(o: &mut O, a: &Fp2, f: impl FnOnce(&mut O, Fmt, O::V) -> O::V) -> R<O> {
    let fmt = format(a.d);
    usable_for(o, fmt, &[a.fs, a.fd])?;
    let v = read(o, fmt, a.fs);
    begin(o);
    let v = f(o, fmt, v);
    check(o)?;
    write(o, fmt, a.fd, v);
    Ok(Flow::Next)
}
/// SQRT.S and SQRT.D.
pub fn sqrt_fmt<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
    unary(o, a, |o, fmt, v| compute1(o, FpOp::Sqrt, fmt, 0, v))
}
/// ABS.S and ABS.D.
pub fn abs_fmt<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
    unary(o, a, absolute)
}
/// NEG.S and NEG.D.
pub fn neg_fmt<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
    unary(o, a, negated)
}
/// RECIP.S and RECIP.D: the division, which is within what the manual asks for.
pub fn recip_fmt<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
    unary(o, a, |o, fmt, v| {
        let k = o.imm(one(fmt));
        compute2(o, FpOp::Div, fmt, k, v)
    })
}
/// RSQRT.S and RSQRT.D: the root and the division, each rounded.
pub fn rsqrt_fmt<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
    unary(o, a, |o, fmt, v| {
        let root = compute1(o, FpOp::Sqrt, fmt, 0, v);
        let k = o.imm(one(fmt));
        compute2(o, FpOp::Div, fmt, k, root)
    })
}

/// fs * ft + fr, the product rounded before the addition (releases 1 and 2); `op` adds or
/// subtracts, and the result is negated as asked, a NaN too.
#[inline(always)]
fn multiply_add<O: Ops>(o: &mut O, op: FpOp, negate: bool, fmt: Fmt, [fs, ft, fr]: [O::V; 3]) -> O::V {
    let product = compute2(o, FpOp::Mul, fmt, fs, ft);
    let sum = compute2(o, op, fmt, product, fr);
    if negate { o.bin_imm(Bin::Xor, W::W64, sum, sign(fmt)) } else { sum }
}
#[inline(always)]
fn madd<O: Ops>(o: &mut O, a: &FpMadd, op: FpOp, negate: bool) -> R<O> {
    let fmt = format(a.d);
    usable_for(o, fmt, &[a.fs, a.ft, a.fr, a.fd])?;
    let fs = read(o, fmt, a.fs);
    let ft = read(o, fmt, a.ft);
    let fr = read(o, fmt, a.fr);
    begin(o);
    let v = multiply_add(o, op, negate, fmt, [fs, ft, fr]);
    check(o)?;
    write(o, fmt, a.fd, v);
    Ok(Flow::Next)
}
/// MADD.S and MADD.D.
pub fn madd_fmt<O: Ops>(o: &mut O, a: &FpMadd) -> R<O> {
    madd(o, a, FpOp::Add, false)
}
/// MSUB.S and MSUB.D.
pub fn msub_fmt<O: Ops>(o: &mut O, a: &FpMadd) -> R<O> {
    madd(o, a, FpOp::Sub, false)
}
/// NMADD.S and NMADD.D.
pub fn nmadd_fmt<O: Ops>(o: &mut O, a: &FpMadd) -> R<O> {
    madd(o, a, FpOp::Add, true)
}
/// NMSUB.S and NMSUB.D.
pub fn nmsub_fmt<O: Ops>(o: &mut O, a: &FpMadd) -> R<O> {
    madd(o, a, FpOp::Sub, true)
}

// ---- Conversions.

#[inline(always)]
fn to_word<O: Ops>(o: &mut O, a: &Fp2, round: u32) -> R<O> {
    let fmt = format(a.d);
    usable_for(o, fmt, &[a.fs])?;
    let v = read(o, fmt, a.fs);
    begin(o);
    let v = compute1(o, FpOp::ToInt, fmt, round | integer(32, true, 0), v);
    check(o)?;
    write_word(o, a.fd, v);
    Ok(Flow::Next)
}
#[inline(always)]
fn to_long<O: Ops>(o: &mut O, a: &Fp2, round: u32) -> R<O> {
    usable64(o)?;
    let fmt = format(a.d);
    let v = read(o, fmt, a.fs);
    begin(o);
    let v = compute1(o, FpOp::ToInt, fmt, round | integer(64, true, 0), v);
    check(o)?;
    o.set(state::f(a.fd), v);
    Ok(Flow::Next)
}
macro_rules! to_integer {
    ($($doc:literal $name:ident = $f:ident($round:expr);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
            $f(o, a, $round)
        }
    )*};
}
to_integer! {
    "ROUND.L.S and ROUND.L.D." round_l = to_long(NEAREST);
    "TRUNC.L.S and TRUNC.L.D." trunc_l = to_long(ZERO);
    "CEIL.L.S and CEIL.L.D." ceil_l = to_long(UP);
    "FLOOR.L.S and FLOOR.L.D." floor_l = to_long(DOWN);
    "CVT.L.S and CVT.L.D." cvt_l = to_long(CURRENT);
    "ROUND.W.S and ROUND.W.D." round_w = to_word(NEAREST);
    "TRUNC.W.S and TRUNC.W.D." trunc_w = to_word(ZERO);
    "CEIL.W.S and CEIL.W.D." ceil_w = to_word(UP);
    "FLOOR.W.S and FLOOR.W.D." floor_w = to_word(DOWN);
    "CVT.W.S and CVT.W.D." cvt_w = to_word(CURRENT);
}

/// CVT.S.W and CVT.D.W.
pub fn cvt_fmt_w<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
    let fmt = format(a.d);
    usable_for(o, fmt, &[a.fd])?;
    let v = o.get(state::f(a.fs));
    begin(o);
    let v = compute1(o, FpOp::FromInt, fmt, integer(32, true, 0), v);
    check(o)?;
    write(o, fmt, a.fd, v);
    Ok(Flow::Next)
}
/// CVT.S.L and CVT.D.L.
pub fn cvt_fmt_l<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
    usable64(o)?;
    let fmt = format(a.d);
    let v = o.get(state::f(a.fs));
    begin(o);
    let v = compute1(o, FpOp::FromInt, fmt, integer(64, true, 0), v);
    check(o)?;
    write(o, fmt, a.fd, v);
    Ok(Flow::Next)
}
/// CVT.S.D.
pub fn cvt_s_d<O: Ops>(o: &mut O, a: &FpPair2) -> R<O> {
    usable_for(o, Fmt::F64, &[a.fs])?;
    let v = read(o, Fmt::F64, a.fs);
    begin(o);
    let v = compute1(o, FpOp::Convert, Fmt::F64, to_format(Fmt::F32), v);
    check(o)?;
    write(o, Fmt::F32, a.fd, v);
    Ok(Flow::Next)
}
/// CVT.D.S.
pub fn cvt_d_s<O: Ops>(o: &mut O, a: &FpPair2) -> R<O> {
    usable_for(o, Fmt::F64, &[a.fd])?;
    let v = read(o, Fmt::F32, a.fs);
    begin(o);
    let v = compute1(o, FpOp::Convert, Fmt::F32, to_format(Fmt::F64), v);
    check(o)?;
    write(o, Fmt::F64, a.fd, v);
    Ok(Flow::Next)
}

// ---- Comparisons, and what looks at them.

/// Whether `cond` holds between two values: its bits are unordered, equal and less, and that any
/// NaN is invalid.
#[inline(always)]
fn compared<O: Ops>(o: &mut O, cond: u32, fmt: Fmt, l: O::V, r: O::V) -> O::C {
    let op = if cond & 8 != 0 { FpOp::CompareSignal } else { FpOp::Compare };
    let nzcv = compute2(o, op, fmt, l, r);
    // Less is N, equal is Z, unordered is V.
    let mask = u64::from((cond & 4) << 1 | (cond & 2) << 1 | (cond & 1));
    let any = o.bin_imm(Bin::And, W::W64, nzcv, mask);
    o.cmp_imm(Cmp::Ne, W::W64, any, 0)
}

/// FCSR with condition code `cc` as `c` says.
#[inline(always)]
fn with_condition<O: Ops>(o: &mut O, fcsr: O::V, cc: u32, c: O::C) -> O::V {
    let set = o.bin_imm(Bin::Or, W::W64, fcsr, condition(cc));
    let clear = o.bin_imm(Bin::AndNot, W::W64, fcsr, condition(cc));
    o.select(c, set, clear)
}

/// C.cond.S and C.cond.D.
pub fn c_cond<O: Ops>(o: &mut O, a: &FpCompare) -> R<O> {
    let fmt = format(a.d);
    usable_for(o, fmt, &[a.fs, a.ft])?;
    let l = read(o, fmt, a.fs);
    let r = read(o, fmt, a.ft);
    begin(o);
    let c = compared(o, a.cond, fmt, l, r);
    check(o)?;
    let fcsr = o.get(state::FCSR);
    let fcsr = with_condition(o, fcsr, a.cc, c);
    o.set(state::FCSR, fcsr);
    Ok(Flow::Next)
}

/// Where a branch goes: relative to its delay slot.
#[inline(always)]
fn target<O: Ops>(o: &O, a: &FpBranch) -> u64 {
    wrapped(mode(o), o.next_pc().wrapping_add(a.imm as u64))
}
/// BC1F and BC1T.
pub fn bc1<O: Ops>(o: &mut O, a: &FpBranch) -> R<O> {
    usable(o)?;
    let c = holds(o, a.cc, a.tf);
    Ok(Flow::Delayed(Delayed::Branch(c, target(o, a))))
}
/// BC1FL and BC1TL.
pub fn bc1l<O: Ops>(o: &mut O, a: &FpBranch) -> R<O> {
    usable(o)?;
    let c = holds(o, a.cc, a.tf);
    Ok(Flow::Delayed(Delayed::Likely(c, target(o, a))))
}

/// MOVF and MOVT of general-purpose registers.
pub fn movci<O: Ops>(o: &mut O, a: &Movcf) -> R<O> {
    usable(o)?;
    let c = holds(o, a.cc, a.tf);
    let new = gpr(o, a.rs);
    let old = gpr(o, a.rd);
    let v = o.select(c, new, old);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}

/// Moves fs to fd where `c` holds. With registers of 32 bits an odd number, which is UNPREDICTABLE,
/// is that of the pair.
#[inline(always)]
fn move_if<O: Ops>(o: &mut O, fmt: Fmt, c: O::C, fs: u32, fd: u32) -> R<O> {
    let new = read(o, fmt, fs);
    let old = read(o, fmt, fd);
    let v = o.select(c, new, old);
    write(o, fmt, fd, v);
    Ok(Flow::Next)
}
/// MOV.S and MOV.D.
pub fn mov_fmt<O: Ops>(o: &mut O, a: &Fp2) -> R<O> {
    let fmt = format(a.d);
    usable_for(o, fmt, &[a.fs, a.fd])?;
    let v = read(o, fmt, a.fs);
    write(o, fmt, a.fd, v);
    Ok(Flow::Next)
}
/// MOVF and MOVT of single and double.
pub fn movcf_fmt<O: Ops>(o: &mut O, a: &FpMovcf) -> R<O> {
    usable(o)?;
    let c = holds(o, a.cc, a.tf);
    move_if(o, format(a.d), c, a.fs, a.fd)
}
/// Whether a general-purpose register is zero, or is not.
#[inline(always)]
fn is_zero<O: Ops>(o: &mut O, rt: u32, zero: bool) -> O::C {
    let v = gpr(o, rt);
    o.cmp_imm(if zero { Cmp::Eq } else { Cmp::Ne }, W::W64, v, 0)
}
#[inline(always)]
fn move_by_register<O: Ops>(o: &mut O, a: &FpMovrt, zero: bool) -> R<O> {
    usable(o)?;
    let c = is_zero(o, a.rt, zero);
    move_if(o, format(a.d), c, a.fs, a.fd)
}
/// MOVZ.S and MOVZ.D.
pub fn movz_fmt<O: Ops>(o: &mut O, a: &FpMovrt) -> R<O> {
    move_by_register(o, a, true)
}
/// MOVN.S and MOVN.D.
pub fn movn_fmt<O: Ops>(o: &mut O, a: &FpMovrt) -> R<O> {
    move_by_register(o, a, false)
}
