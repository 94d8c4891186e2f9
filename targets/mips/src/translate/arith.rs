//! Arithmetic, logic, shifts, conditional moves and bit fields.

use super::{check64, constant, from32, gpr, raise, set_gpr, width};
use crate::exceptions::code;
use crate::helpers;
use crate::mips::*;
use proteus_exec::ops::*;

/// A result of width `w` in the form that registers keep.
#[inline(always)]
pub(super) fn kept<O: Ops>(o: &mut O, w: W, v: O::V) -> O::V {
    if w == W::W32 { from32(o, v) } else { v }
}

/// Raises Reserved Instruction where an operation of width `w` is not allowed.
#[inline(always)]
pub(super) fn allowed<O: Ops>(o: &mut O, w: W) -> Result<(), O::Fault> {
    if w == W::W64 { check64(o) } else { Ok(()) }
}

/// Raises Integer Overflow where `v`, of width `w`, is negative.
#[inline(always)]
fn overflow_if_negative<O: Ops>(o: &mut O, w: W, v: O::V) -> Result<(), O::Fault> {
    let c = o.cmp_imm(Cmp::Slt, w, v, 0);
    let code = o.imm(code::OV.into());
    o.trap_if(c, helpers::RAISE, &[code])
}

/// The sum of width `w`; signed overflow raises.
#[inline(always)]
fn add_checked<O: Ops>(o: &mut O, w: W, a: O::V, b: O::V) -> Result<O::V, O::Fault> {
    let sum = o.add(w, a, b);
    // The sign is neither operand's.
    let x = o.bin(Bin::Xor, w, a, sum);
    let y = o.bin(Bin::Xor, w, b, sum);
    let v = o.bin(Bin::And, w, x, y);
    overflow_if_negative(o, w, v)?;
    Ok(sum)
}

/// The difference of width `w`; signed overflow raises.
#[inline(always)]
fn sub_checked<O: Ops>(o: &mut O, w: W, a: O::V, b: O::V) -> Result<O::V, O::Fault> {
    let difference = o.bin(Bin::Sub, w, a, b);
    // The operands' signs differ, and the result's is not the first one's.
    let x = o.bin(Bin::Xor, w, a, b);
    let y = o.bin(Bin::Xor, w, a, difference);
    let v = o.bin(Bin::And, w, x, y);
    overflow_if_negative(o, w, v)?;
    Ok(difference)
}

#[inline(always)]
fn add_trapping<O: Ops>(o: &mut O, a: &Rrr, w: W, subtract: bool) -> R<O> {
    allowed(o, w)?;
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    let v = if subtract { sub_checked(o, w, l, r)? } else { add_checked(o, w, l, r)? };
    let v = kept(o, w, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// ADD.
pub fn add<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    add_trapping(o, a, W::W32, false)
}
/// SUB.
pub fn sub<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    add_trapping(o, a, W::W32, true)
}
/// DADD.
pub fn dadd<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    add_trapping(o, a, W::W64, false)
}
/// DSUB.
pub fn dsub<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    add_trapping(o, a, W::W64, true)
}

#[inline(always)]
fn addi_trapping<O: Ops>(o: &mut O, a: &Rri, w: W) -> R<O> {
    allowed(o, w)?;
    let l = gpr(o, a.rs);
    let r = o.imm(a.imm as u64);
    let v = add_checked(o, w, l, r)?;
    let v = kept(o, w, v);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// ADDI.
pub fn addi<O: Ops>(o: &mut O, a: &Rri) -> R<O> {
    addi_trapping(o, a, W::W32)
}
/// DADDI.
pub fn daddi<O: Ops>(o: &mut O, a: &Rri) -> R<O> {
    addi_trapping(o, a, W::W64)
}

#[inline(always)]
fn addi_wrapping<O: Ops>(o: &mut O, a: &Rri, w: W) -> R<O> {
    allowed(o, w)?;
    // LI.
    let v = if a.rs == 0 {
        constant(o, a.imm)
    } else {
        let l = gpr(o, a.rs);
        let v = o.add_imm(w, l, a.imm as u64);
        kept(o, w, v)
    };
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// ADDIU.
pub fn addiu<O: Ops>(o: &mut O, a: &Rri) -> R<O> {
    addi_wrapping(o, a, W::W32)
}
/// DADDIU.
pub fn daddiu<O: Ops>(o: &mut O, a: &Rri) -> R<O> {
    addi_wrapping(o, a, W::W64)
}

/// Register and register, without traps.
#[inline(always)]
fn binary<O: Ops>(o: &mut O, a: &Rrr, op: Bin, w: W) -> R<O> {
    allowed(o, w)?;
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    let v = o.bin(op, w, l, r);
    let v = kept(o, w, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// ADDU.
pub fn addu<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Add, W::W32)
}
/// SUBU.
pub fn subu<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Sub, W::W32)
}
/// DADDU.
pub fn daddu<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Add, W::W64)
}
/// DSUBU.
pub fn dsubu<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Sub, W::W64)
}
/// MUL. HI and LO, which become UNPREDICTABLE, stay.
pub fn mul<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Mul, W::W32)
}

/// AND, OR, XOR: of all bits, in whichever form the registers are.
#[inline(always)]
fn logic<O: Ops>(o: &mut O, a: &Rrr, op: Bin) -> R<O> {
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    let v = o.bin(op, W::W64, l, r);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// AND.
pub fn and<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    logic(o, a, Bin::And)
}
/// OR.
pub fn or<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    // MOVE.
    let from = match (a.rs, a.rt) {
        (r, 0) | (0, r) => r,
        _ => return logic(o, a, Bin::Or),
    };
    let v = gpr(o, from);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// XOR.
pub fn xor<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    logic(o, a, Bin::Xor)
}
/// NOR.
pub fn nor<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    let v = o.bin(Bin::Or, W::W64, l, r);
    let w = width(o);
    let v = o.un(Un::Not, w, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn logic_immediate<O: Ops>(o: &mut O, a: &Rru, op: Bin) -> R<O> {
    let l = gpr(o, a.rs);
    let v = o.bin_imm(op, W::W64, l, a.imm.into());
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// ANDI.
pub fn andi<O: Ops>(o: &mut O, a: &Rru) -> R<O> {
    logic_immediate(o, a, Bin::And)
}
/// ORI.
pub fn ori<O: Ops>(o: &mut O, a: &Rru) -> R<O> {
    logic_immediate(o, a, Bin::Or)
}
/// XORI.
pub fn xori<O: Ops>(o: &mut O, a: &Rru) -> R<O> {
    logic_immediate(o, a, Bin::Xor)
}
/// LUI.
pub fn lui<O: Ops>(o: &mut O, a: &Lui) -> R<O> {
    let v = constant(o, ((a.imm << 16) as i32).into());
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn set_if<O: Ops>(o: &mut O, rd: u32, op: Cmp, l: O::V, r: O::V) -> R<O> {
    let w = width(o);
    let c = o.cmp(op, w, l, r);
    let v = o.bit(c);
    set_gpr(o, rd, v);
    Ok(Flow::Next)
}
/// SLT.
pub fn slt<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    set_if(o, a.rd, Cmp::Slt, l, r)
}
/// SLTU.
pub fn sltu<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    set_if(o, a.rd, Cmp::Ult, l, r)
}
/// SLTI.
pub fn slti<O: Ops>(o: &mut O, a: &Rri) -> R<O> {
    let l = gpr(o, a.rs);
    let r = constant(o, a.imm);
    set_if(o, a.rt, Cmp::Slt, l, r)
}
/// SLTIU. The immediate is sign-extended, then compared unsigned.
pub fn sltiu<O: Ops>(o: &mut O, a: &Rri) -> R<O> {
    let l = gpr(o, a.rs);
    let r = constant(o, a.imm);
    set_if(o, a.rt, Cmp::Ult, l, r)
}

/// A shift by a constant.
#[inline(always)]
fn shift<O: Ops>(o: &mut O, a: &Shift, op: Bin, w: W) -> R<O> {
    allowed(o, w)?;
    let v = gpr(o, a.rt);
    let v = o.bin_imm(op, w, v, a.sa.into());
    let v = kept(o, w, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// A shift by a register, of which the low 5 or 6 bits count.
#[inline(always)]
fn shift_by<O: Ops>(o: &mut O, a: &Rrr, op: Bin, w: W) -> R<O> {
    allowed(o, w)?;
    let v = gpr(o, a.rt);
    let n = gpr(o, a.rs);
    let v = o.bin(op, w, v, n);
    let v = kept(o, w, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}

macro_rules! shifts {
    ($($name:ident($set:ident) = $f:ident($op:ident, $w:ident), $doc:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &$set) -> R<O> {
            $f(o, a, Bin::$op, W::$w)
        }
    )*};
}
shifts! {
    sll(Shift) = shift(Shl, W32), "SLL, and with rd = 0 NOP, SSNOP, EHB and PAUSE.";
    srl(Shift) = shift(Shr, W32), "SRL.";
    sra(Shift) = shift(Sar, W32), "SRA.";
    rotr(Shift) = shift(Ror, W32), "ROTR.";
    sllv(Rrr) = shift_by(Shl, W32), "SLLV.";
    srlv(Rrr) = shift_by(Shr, W32), "SRLV.";
    srav(Rrr) = shift_by(Sar, W32), "SRAV.";
    rotrv(Rrr) = shift_by(Ror, W32), "ROTRV.";
    dsll(Shift) = shift(Shl, W64), "DSLL.";
    dsrl(Shift) = shift(Shr, W64), "DSRL.";
    dsra(Shift) = shift(Sar, W64), "DSRA.";
    drotr(Shift) = shift(Ror, W64), "DROTR.";
    dsll32(Shift) = shift(Shl, W64), "DSLL32.";
    dsrl32(Shift) = shift(Shr, W64), "DSRL32.";
    dsra32(Shift) = shift(Sar, W64), "DSRA32.";
    drotr32(Shift) = shift(Ror, W64), "DROTR32.";
    dsllv(Rrr) = shift_by(Shl, W64), "DSLLV.";
    dsrlv(Rrr) = shift_by(Shr, W64), "DSRLV.";
    dsrav(Rrr) = shift_by(Sar, W64), "DSRAV.";
    drotrv(Rrr) = shift_by(Ror, W64), "DROTRV.";
}

/// MOVZ, MOVN: rd becomes rs where rt compares with 0 as `op` has it.
#[inline(always)]
fn move_if<O: Ops>(o: &mut O, a: &Rrr, op: Cmp) -> R<O> {
    let w = width(o);
    let t = gpr(o, a.rt);
    let c = o.cmp_imm(op, w, t, 0);
    let new = gpr(o, a.rs);
    let old = gpr(o, a.rd);
    let v = o.select(c, new, old);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// MOVZ.
pub fn movz<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    move_if(o, a, Cmp::Eq)
}
/// MOVN.
pub fn movn<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    move_if(o, a, Cmp::Ne)
}

/// Leading zeros, or ones.
#[inline(always)]
fn count_leading<O: Ops>(o: &mut O, a: &Count, w: W, ones: bool) -> R<O> {
    allowed(o, w)?;
    let v = gpr(o, a.rs);
    let v = if ones { o.un(Un::Not, w, v) } else { v };
    let v = o.un(Un::Clz, w, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// CLZ.
pub fn clz<O: Ops>(o: &mut O, a: &Count) -> R<O> {
    count_leading(o, a, W::W32, false)
}
/// CLO.
pub fn clo<O: Ops>(o: &mut O, a: &Count) -> R<O> {
    count_leading(o, a, W::W32, true)
}
/// DCLZ.
pub fn dclz<O: Ops>(o: &mut O, a: &Count) -> R<O> {
    count_leading(o, a, W::W64, false)
}
/// DCLO.
pub fn dclo<O: Ops>(o: &mut O, a: &Count) -> R<O> {
    count_leading(o, a, W::W64, true)
}

/// `n` ones, at the bottom.
#[inline(always)]
fn ones(n: u32) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

/// EXT and its kind. A field that does not fit the register is UNPREDICTABLE; here the
/// instruction is reserved.
#[inline(always)]
fn extract<O: Ops>(o: &mut O, a: &Field, w: W) -> R<O> {
    allowed(o, w)?;
    if a.msb + a.lsb >= w.bits() {
        return raise(o, code::RI);
    }
    let v = gpr(o, a.rs);
    let v = if a.lsb == 0 { v } else { o.bin_imm(Bin::Shr, w, v, a.lsb.into()) };
    // What was shifted in needs no mask.
    let v = if a.lsb != 0 && a.msb + a.lsb == w.bits() - 1 { v } else { o.bin_imm(Bin::And, w, v, ones(a.msb + 1)) };
    let v = kept(o, w, v);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// EXT.
pub fn ext<O: Ops>(o: &mut O, a: &Field) -> R<O> {
    extract(o, a, W::W32)
}
/// DEXT.
pub fn dext<O: Ops>(o: &mut O, a: &Field) -> R<O> {
    extract(o, a, W::W64)
}
/// DEXTM.
pub fn dextm<O: Ops>(o: &mut O, a: &Field) -> R<O> {
    extract(o, a, W::W64)
}
/// DEXTU.
pub fn dextu<O: Ops>(o: &mut O, a: &Field) -> R<O> {
    extract(o, a, W::W64)
}

/// INS and its kind. A field that ends before it begins is UNPREDICTABLE; here the instruction is
/// reserved.
#[inline(always)]
fn insert<O: Ops>(o: &mut O, a: &Field, w: W) -> R<O> {
    allowed(o, w)?;
    if a.lsb > a.msb {
        return raise(o, code::RI);
    }
    let mask = ones(a.msb - a.lsb + 1);
    let v = gpr(o, a.rs);
    let v = o.bin_imm(Bin::And, w, v, mask);
    let v = o.bin_imm(Bin::Shl, w, v, a.lsb.into());
    let old = gpr(o, a.rt);
    let old = o.bin_imm(Bin::And, w, old, !(mask << a.lsb));
    let v = o.bin(Bin::Or, w, old, v);
    let v = kept(o, w, v);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// INS.
pub fn ins<O: Ops>(o: &mut O, a: &Field) -> R<O> {
    insert(o, a, W::W32)
}
/// DINS.
pub fn dins<O: Ops>(o: &mut O, a: &Field) -> R<O> {
    insert(o, a, W::W64)
}
/// DINSM.
pub fn dinsm<O: Ops>(o: &mut O, a: &Field) -> R<O> {
    insert(o, a, W::W64)
}
/// DINSU.
pub fn dinsu<O: Ops>(o: &mut O, a: &Field) -> R<O> {
    insert(o, a, W::W64)
}

/// SEB.
pub fn seb<O: Ops>(o: &mut O, a: &Unary) -> R<O> {
    let w = width(o);
    let v = gpr(o, a.rt);
    let v = o.un(Un::Sext8, w, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// SEH.
pub fn seh<O: Ops>(o: &mut O, a: &Unary) -> R<O> {
    let w = width(o);
    let v = gpr(o, a.rt);
    let v = o.un(Un::Sext16, w, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// WSBH: the bytes of each halfword change places.
pub fn wsbh<O: Ops>(o: &mut O, a: &Unary) -> R<O> {
    let v = gpr(o, a.rt);
    let v = o.un(Un::Bswap16, W::W32, v);
    let v = from32(o, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// DSBH: the bytes of each halfword change places.
pub fn dsbh<O: Ops>(o: &mut O, a: &Unary) -> R<O> {
    check64(o)?;
    let v = gpr(o, a.rt);
    let v = o.un(Un::Bswap16, W::W64, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// DSHD: the halfwords in reverse order.
pub fn dshd<O: Ops>(o: &mut O, a: &Unary) -> R<O> {
    check64(o)?;
    let v = gpr(o, a.rt);
    let v = o.un(Un::Bswap, W::W64, v);
    let v = o.un(Un::Bswap16, W::W64, v);
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
