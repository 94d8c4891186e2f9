//! Data processing, immediate and register.

use super::{set_x, set_x_or_sp, x, x_or_sp};
use crate::a64::*;
use proteus_exec::ops::*;

/// `imm` or `imm << 12`, by `sh`.
#[inline(always)]
fn imm12(a: &AddSub) -> u64 {
    (a.imm as u64) << (12 * a.sh)
}

/// ADR, and ADRP by its table row.
pub fn adr<O: Ops>(o: &mut O, a: &Adr) -> R<O> {
    let v = o.imm(o.pc().wrapping_add(a.imm as u64));
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}

/// ADRP.
pub fn adrp<O: Ops>(o: &mut O, a: &Adr) -> R<O> {
    let v = o.imm((o.pc() & !0xfff).wrapping_add(a.imm as u64));
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}

/// ADD (immediate).
pub fn add_i<O: Ops>(o: &mut O, a: &AddSub) -> R<O> {
    let l = x_or_sp(o, a.rn);
    let s = o.bin_imm(Bin::Add, W::sf(a.sf), l, imm12(a));
    set_x_or_sp(o, a.rd, s);
    Ok(Flow::Next)
}

/// SUB (immediate).
pub fn sub_i<O: Ops>(o: &mut O, a: &AddSub) -> R<O> {
    let l = x_or_sp(o, a.rn);
    let s = o.bin_imm(Bin::Sub, W::sf(a.sf), l, imm12(a));
    set_x_or_sp(o, a.rd, s);
    Ok(Flow::Next)
}

/// ADDS (immediate).
pub fn adds_i<O: Ops>(o: &mut O, a: &AddSub) -> R<O> {
    let l = x_or_sp(o, a.rn);
    let r = o.imm(imm12(a));
    let s = o.flags(FlagOp::Add, W::sf(a.sf), l, r);
    set_x(o, a.rd, s);
    Ok(Flow::Next)
}

/// SUBS (immediate).
pub fn subs_i<O: Ops>(o: &mut O, a: &AddSub) -> R<O> {
    let l = x_or_sp(o, a.rn);
    let r = o.imm(imm12(a));
    let s = o.flags(FlagOp::Sub, W::sf(a.sf), l, r);
    set_x(o, a.rd, s);
    Ok(Flow::Next)
}

/// `DecodeBitMasks` of the manual, the wmask: the immediate of the logical instructions.
pub fn bit_mask(n: u32, imms: u32, immr: u32) -> u64 {
    let combined = n << 6 | (!imms & 0x3f);
    let len = 31 - combined.max(2).leading_zeros();
    let size = 1u32 << len;
    let levels = size - 1;
    let (s, r) = (imms & levels, immr & levels);
    let ones = if s >= 63 { u64::MAX } else { (1u64 << (s + 1)) - 1 };
    let mask = if size == 64 { u64::MAX } else { (1u64 << size) - 1 };
    let element = if r == 0 { ones } else { (ones >> r | ones << (size - r)) & mask };
    let mut out = element;
    let mut width = size;
    while width < 64 {
        out |= out << width;
        width *= 2;
    }
    out
}

#[inline(always)]
fn logic_imm<O: Ops>(o: &mut O, a: &LogicImm, op: Bin) -> R<O> {
    let l = x(o, a.rn);
    let v = o.bin_imm(op, W::sf(a.sf), l, bit_mask(a.n, a.imms, a.immr));
    set_x_or_sp(o, a.rd, v);
    Ok(Flow::Next)
}

/// AND (immediate).
pub fn and_i<O: Ops>(o: &mut O, a: &LogicImm) -> R<O> {
    logic_imm(o, a, Bin::And)
}
/// ORR (immediate).
pub fn orr_i<O: Ops>(o: &mut O, a: &LogicImm) -> R<O> {
    logic_imm(o, a, Bin::Or)
}
/// EOR (immediate).
pub fn eor_i<O: Ops>(o: &mut O, a: &LogicImm) -> R<O> {
    logic_imm(o, a, Bin::Xor)
}
/// ANDS (immediate).
pub fn ands_i<O: Ops>(o: &mut O, a: &LogicImm) -> R<O> {
    let l = x(o, a.rn);
    let r = o.imm(bit_mask(a.n, a.imms, a.immr));
    let v = o.flags(FlagOp::And, W::sf(a.sf), l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}

/// MOVZ.
pub fn movz<O: Ops>(o: &mut O, a: &MoveWide) -> R<O> {
    let v = o.imm((a.imm as u64) << (16 * a.hw));
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// MOVN.
pub fn movn<O: Ops>(o: &mut O, a: &MoveWide) -> R<O> {
    let v = o.imm(W::sf(a.sf).cut(!((a.imm as u64) << (16 * a.hw))));
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// MOVK.
pub fn movk<O: Ops>(o: &mut O, a: &MoveWide) -> R<O> {
    let w = W::sf(a.sf);
    let old = x(o, a.rd);
    let kept = o.bin_imm(Bin::And, w, old, !(0xffff << (16 * a.hw)));
    let v = o.bin_imm(Bin::Or, w, kept, (a.imm as u64) << (16 * a.hw));
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}

/// The bits `hi` to `lo` of `v`, at bit 0.
#[inline(always)]
fn ones(n: u32) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

/// UBFM: LSR, LSL (immediate), UBFX, UBFIZ, UXTB, UXTH.
pub fn ubfm<O: Ops>(o: &mut O, a: &Bitfield) -> R<O> {
    let w = W::sf(a.sf);
    let v = x(o, a.rn);
    let (r, s) = (a.immr, a.imms);
    let out = if s >= r {
        let moved = if r == 0 { v } else { o.bin_imm(Bin::Shr, w, v, r as u64) };
        if s == w.bits() - 1 && r != 0 { moved } else { o.bin_imm(Bin::And, w, moved, ones(s - r + 1)) }
    } else {
        let left = w.bits() - r;
        if s + 1 + left == w.bits() {
            o.bin_imm(Bin::Shl, w, v, left as u64)
        } else {
            let cut = o.bin_imm(Bin::And, w, v, ones(s + 1));
            o.bin_imm(Bin::Shl, w, cut, left as u64)
        }
    };
    set_x(o, a.rd, out);
    Ok(Flow::Next)
}

/// SBFM: ASR (immediate), SBFX, SBFIZ, SXTB, SXTH, SXTW.
pub fn sbfm<O: Ops>(o: &mut O, a: &Bitfield) -> R<O> {
    let w = W::sf(a.sf);
    let v = x(o, a.rn);
    let (r, s) = (a.immr, a.imms);
    let out = match (r, s) {
        (0, 7) => o.un(Un::Sext8, w, v),
        (0, 15) => o.un(Un::Sext16, w, v),
        (0, 31) => o.un(Un::Sext32, w, v),
        _ => {
            // The field goes to the top, then down to where it belongs.
            let up = w.bits() - 1 - s;
            let top = if up == 0 { v } else { o.bin_imm(Bin::Shl, w, v, up as u64) };
            let down = if s >= r { up + r } else { up - (w.bits() - r) };
            o.bin_imm(Bin::Sar, w, top, down as u64)
        }
    };
    set_x(o, a.rd, out);
    Ok(Flow::Next)
}

/// BFM: BFI, BFXIL.
pub fn bfm<O: Ops>(o: &mut O, a: &Bitfield) -> R<O> {
    let w = W::sf(a.sf);
    let v = x(o, a.rn);
    let old = x(o, a.rd);
    let (r, s) = (a.immr, a.imms);
    let (field, mask) = if s >= r {
        let moved = o.bin_imm(Bin::Shr, w, v, r as u64);
        (moved, ones(s - r + 1))
    } else {
        let left = w.bits() - r;
        let moved = o.bin_imm(Bin::Shl, w, v, left as u64);
        (moved, ones(s + 1) << left)
    };
    let new = o.bin_imm(Bin::And, w, field, mask);
    let kept = o.bin_imm(Bin::And, w, old, !mask);
    let out = o.bin(Bin::Or, w, kept, new);
    set_x(o, a.rd, out);
    Ok(Flow::Next)
}

/// EXTR, and ROR (immediate).
pub fn extr<O: Ops>(o: &mut O, a: &Extract) -> R<O> {
    let w = W::sf(a.sf);
    let low = x(o, a.rm);
    let out = if a.rn == a.rm {
        o.bin_imm(Bin::Ror, w, low, a.imms as u64)
    } else if a.imms == 0 {
        o.bin_imm(Bin::Or, w, low, 0)
    } else {
        let high = x(o, a.rn);
        let l = o.bin_imm(Bin::Shr, w, low, a.imms as u64);
        let h = o.bin_imm(Bin::Shl, w, high, (w.bits() - a.imms) as u64);
        o.bin(Bin::Or, w, l, h)
    };
    set_x(o, a.rd, out);
    Ok(Flow::Next)
}

/// The second operand of the shifted-register forms.
#[inline(always)]
fn shifted<O: Ops>(o: &mut O, a: &Shifted) -> O::V {
    let v = x(o, a.rm);
    if a.imm == 0 {
        return v;
    }
    let op = match a.shift {
        0 => Bin::Shl,
        1 => Bin::Shr,
        2 => Bin::Sar,
        _ => Bin::Ror,
    };
    o.bin_imm(op, W::sf(a.sf), v, a.imm as u64)
}

#[inline(always)]
fn bin_shifted<O: Ops>(o: &mut O, a: &Shifted, op: Bin) -> R<O> {
    let l = x(o, a.rn);
    let r = shifted(o, a);
    let v = o.bin(op, W::sf(a.sf), l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn flags_shifted<O: Ops>(o: &mut O, a: &Shifted, op: FlagOp) -> R<O> {
    let l = x(o, a.rn);
    let r = shifted(o, a);
    let v = o.flags(op, W::sf(a.sf), l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}

/// AND (shifted register).
pub fn and_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    bin_shifted(o, a, Bin::And)
}
/// BIC (shifted register).
pub fn bic_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    bin_shifted(o, a, Bin::AndNot)
}
/// ORR (shifted register).
pub fn orr_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    bin_shifted(o, a, Bin::Or)
}
/// EOR (shifted register).
pub fn eor_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    bin_shifted(o, a, Bin::Xor)
}
#[inline(always)]
fn bin_shifted_not<O: Ops>(o: &mut O, a: &Shifted, op: Bin) -> R<O> {
    let w = W::sf(a.sf);
    let l = x(o, a.rn);
    let r = shifted(o, a);
    let r = o.un(Un::Not, w, r);
    let v = o.bin(op, w, l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// ORN (shifted register).
pub fn orn_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    bin_shifted_not(o, a, Bin::Or)
}
/// EON (shifted register).
pub fn eon_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    bin_shifted_not(o, a, Bin::Xor)
}
/// ANDS (shifted register).
pub fn ands_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    flags_shifted(o, a, FlagOp::And)
}
/// BICS (shifted register).
pub fn bics_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    let w = W::sf(a.sf);
    let l = x(o, a.rn);
    let r = shifted(o, a);
    let r = o.un(Un::Not, w, r);
    let v = o.flags(FlagOp::And, w, l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// ADD (shifted register).
pub fn add_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    bin_shifted(o, a, Bin::Add)
}
/// SUB (shifted register).
pub fn sub_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    bin_shifted(o, a, Bin::Sub)
}
/// ADDS (shifted register).
pub fn adds_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    flags_shifted(o, a, FlagOp::Add)
}
/// SUBS (shifted register).
pub fn subs_r<O: Ops>(o: &mut O, a: &Shifted) -> R<O> {
    flags_shifted(o, a, FlagOp::Sub)
}

/// `ExtendReg`: register `rm` extended by `option`, then shifted left.
#[inline(always)]
pub(super) fn extended<O: Ops>(o: &mut O, rm: u32, option: u32, shift: u32) -> O::V {
    let v = x(o, rm);
    let v = match option {
        0 => o.un(Un::Zext8, W::W64, v),
        1 => o.un(Un::Zext16, W::W64, v),
        2 => o.un(Un::Zext32, W::W64, v),
        4 => o.un(Un::Sext8, W::W64, v),
        5 => o.un(Un::Sext16, W::W64, v),
        6 => o.un(Un::Sext32, W::W64, v),
        _ => v,
    };
    if shift == 0 { v } else { o.bin_imm(Bin::Shl, W::W64, v, shift as u64) }
}

/// ADD (extended register).
pub fn add_ext<O: Ops>(o: &mut O, a: &Extended) -> R<O> {
    let l = x_or_sp(o, a.rn);
    let r = extended(o, a.rm, a.option, a.imm);
    let v = o.bin(Bin::Add, W::sf(a.sf), l, r);
    set_x_or_sp(o, a.rd, v);
    Ok(Flow::Next)
}
/// SUB (extended register).
pub fn sub_ext<O: Ops>(o: &mut O, a: &Extended) -> R<O> {
    let l = x_or_sp(o, a.rn);
    let r = extended(o, a.rm, a.option, a.imm);
    let v = o.bin(Bin::Sub, W::sf(a.sf), l, r);
    set_x_or_sp(o, a.rd, v);
    Ok(Flow::Next)
}
/// ADDS (extended register).
pub fn adds_ext<O: Ops>(o: &mut O, a: &Extended) -> R<O> {
    let l = x_or_sp(o, a.rn);
    let r = extended(o, a.rm, a.option, a.imm);
    let v = o.flags(FlagOp::Add, W::sf(a.sf), l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// SUBS (extended register).
pub fn subs_ext<O: Ops>(o: &mut O, a: &Extended) -> R<O> {
    let l = x_or_sp(o, a.rn);
    let r = extended(o, a.rm, a.option, a.imm);
    let v = o.flags(FlagOp::Sub, W::sf(a.sf), l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}

/// `AddWithCarry`: the sum, and N, Z, C and V in bits 3 to 0 where `flags` asks for them.
#[inline(always)]
fn add_with_carry<O: Ops>(o: &mut O, a: &Rrr, subtract: bool, flags: bool) -> R<O> {
    let w = W::sf(a.sf);
    let l = x(o, a.rn);
    let r = x(o, a.rm);
    let l = o.bin_imm(Bin::Or, w, l, 0);
    let r = if subtract { o.un(Un::Not, w, r) } else { o.bin_imm(Bin::Or, w, r, 0) };
    let c = o.cond(2);
    let carry = o.bit(c);
    let part = o.bin(Bin::Add, w, l, r);
    let sum = o.bin(Bin::Add, w, part, carry);
    if flags {
        // Carry out of either addition; the second one carries only from all ones plus one.
        let c1 = o.cmp(Cmp::Ult, w, part, l);
        let c2 = o.cmp(Cmp::Ult, w, sum, part);
        let c1 = o.bit(c1);
        let c2 = o.bit(c2);
        let c = o.bin(Bin::Or, W::W64, c1, c2);
        let same = o.bin(Bin::Xor, w, l, r);
        let same = o.un(Un::Not, w, same);
        let turned = o.bin(Bin::Xor, w, l, sum);
        let v = o.bin(Bin::And, w, same, turned);
        let v = o.bin_imm(Bin::Shr, w, v, w.bits() as u64 - 1);
        let n = o.bin_imm(Bin::Shr, w, sum, w.bits() as u64 - 1);
        let z = o.cmp_imm(Cmp::Eq, w, sum, 0);
        let z = o.bit(z);
        let n = o.bin_imm(Bin::Shl, W::W64, n, 3);
        let z = o.bin_imm(Bin::Shl, W::W64, z, 2);
        let c = o.bin_imm(Bin::Shl, W::W64, c, 1);
        let nz = o.bin(Bin::Or, W::W64, n, z);
        let cv = o.bin(Bin::Or, W::W64, c, v);
        let all = o.bin(Bin::Or, W::W64, nz, cv);
        o.set_nzcv(all);
    }
    set_x(o, a.rd, sum);
    Ok(Flow::Next)
}

/// ADC.
pub fn adc<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    add_with_carry(o, a, false, false)
}
/// ADCS.
pub fn adcs<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    add_with_carry(o, a, false, true)
}
/// SBC.
pub fn sbc<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    add_with_carry(o, a, true, false)
}
/// SBCS.
pub fn sbcs<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    add_with_carry(o, a, true, true)
}

/// RMIF: rotates and puts the low bits that `mask` names into the flags.
pub fn rmif<O: Ops>(o: &mut O, a: &Rmif) -> R<O> {
    let v = x(o, a.rn);
    let v = o.bin_imm(Bin::Ror, W::W64, v, a.imm as u64);
    let new = o.bin_imm(Bin::And, W::W64, v, a.mask as u64);
    let old = o.nzcv();
    let kept = o.bin_imm(Bin::And, W::W64, old, !a.mask as u64 & 15);
    let f = o.bin(Bin::Or, W::W64, kept, new);
    o.set_nzcv(f);
    Ok(Flow::Next)
}

/// SETF8 and SETF16: N, Z and V from a value of `bits` bits; C is kept.
#[inline(always)]
fn setf<O: Ops>(o: &mut O, rn: u32, bits: u64) -> R<O> {
    let v = x(o, rn);
    let low = o.bin_imm(Bin::And, W::W64, v, (1 << bits) - 1);
    let z = o.cmp_imm(Cmp::Eq, W::W64, low, 0);
    let z = o.bit(z);
    let n = o.bin_imm(Bin::Shr, W::W64, v, bits - 1);
    let n = o.bin_imm(Bin::And, W::W64, n, 1);
    let over = o.bin_imm(Bin::Shr, W::W64, v, bits);
    let over = o.bin(Bin::Xor, W::W64, over, n);
    let over = o.bin_imm(Bin::And, W::W64, over, 1);
    let old = o.nzcv();
    let c = o.bin_imm(Bin::And, W::W64, old, 2);
    let n = o.bin_imm(Bin::Shl, W::W64, n, 3);
    let z = o.bin_imm(Bin::Shl, W::W64, z, 2);
    let nz = o.bin(Bin::Or, W::W64, n, z);
    let cv = o.bin(Bin::Or, W::W64, c, over);
    let f = o.bin(Bin::Or, W::W64, nz, cv);
    o.set_nzcv(f);
    Ok(Flow::Next)
}
/// SETF8.
pub fn setf8<O: Ops>(o: &mut O, a: &Reg) -> R<O> {
    setf(o, a.rn, 8)
}
/// SETF16.
pub fn setf16<O: Ops>(o: &mut O, a: &Reg) -> R<O> {
    setf(o, a.rn, 16)
}

/// CCMP and CCMN: the flags of the comparison where the condition holds, else those given. The
/// flags stay a comparison in either case: one that gives the flags wanted is chosen.
#[inline(always)]
fn ccmp<O: Ops>(o: &mut O, sf: u32, cond: u32, nzcv: u32, l: O::V, r: O::V, op: FlagOp) -> R<O> {
    let w = W::sf(sf);
    let c = o.cond(cond as u8);
    o.flags(op, w, l, r);
    let compared = o.nzcv();
    let given = o.imm(nzcv as u64);
    let f = o.select(c, compared, given);
    o.set_nzcv(f);
    Ok(Flow::Next)
}
/// CCMP (register).
pub fn ccmp_r<O: Ops>(o: &mut O, a: &CcmpReg) -> R<O> {
    let l = x(o, a.rn);
    let r = x(o, a.rm);
    ccmp(o, a.sf, a.cond, a.nzcv, l, r, FlagOp::Sub)
}
/// CCMN (register).
pub fn ccmn_r<O: Ops>(o: &mut O, a: &CcmpReg) -> R<O> {
    let l = x(o, a.rn);
    let r = x(o, a.rm);
    ccmp(o, a.sf, a.cond, a.nzcv, l, r, FlagOp::Add)
}
/// CCMP (immediate).
pub fn ccmp_i<O: Ops>(o: &mut O, a: &CcmpImm) -> R<O> {
    let l = x(o, a.rn);
    let r = o.imm(a.imm as u64);
    ccmp(o, a.sf, a.cond, a.nzcv, l, r, FlagOp::Sub)
}
/// CCMN (immediate).
pub fn ccmn_i<O: Ops>(o: &mut O, a: &CcmpImm) -> R<O> {
    let l = x(o, a.rn);
    let r = o.imm(a.imm as u64);
    ccmp(o, a.sf, a.cond, a.nzcv, l, r, FlagOp::Add)
}

#[inline(always)]
fn select<O: Ops>(o: &mut O, a: &Csel, other: impl FnOnce(&mut O, W, O::V) -> O::V) -> R<O> {
    let w = W::sf(a.sf);
    let t = x(o, a.rn);
    let e = x(o, a.rm);
    let e = other(o, w, e);
    let c = o.cond(a.cond as u8);
    let v = o.select(c, t, e);
    let v = o.bin_imm(Bin::Or, w, v, 0);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// CSEL.
pub fn csel<O: Ops>(o: &mut O, a: &Csel) -> R<O> {
    select(o, a, |_, _, v| v)
}
/// CSINC.
pub fn csinc<O: Ops>(o: &mut O, a: &Csel) -> R<O> {
    select(o, a, |o, w, v| o.bin_imm(Bin::Add, w, v, 1))
}
/// CSINV.
pub fn csinv<O: Ops>(o: &mut O, a: &Csel) -> R<O> {
    select(o, a, |o, w, v| o.un(Un::Not, w, v))
}
/// CSNEG.
pub fn csneg<O: Ops>(o: &mut O, a: &Csel) -> R<O> {
    select(o, a, |o, w, v| o.un(Un::Neg, w, v))
}

#[inline(always)]
fn unary<O: Ops>(o: &mut O, a: &Rr, op: Un) -> R<O> {
    let v = x(o, a.rn);
    let v = o.un(op, W::sf(a.sf), v);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// RBIT.
pub fn rbit<O: Ops>(o: &mut O, a: &Rr) -> R<O> {
    unary(o, a, Un::Rbit)
}
/// REV16.
pub fn rev16<O: Ops>(o: &mut O, a: &Rr) -> R<O> {
    unary(o, a, Un::Bswap16)
}
/// REV32, and REV of a W register.
pub fn rev32<O: Ops>(o: &mut O, a: &Rr) -> R<O> {
    unary(o, a, if a.sf == 0 { Un::Bswap } else { Un::Bswap32 })
}
/// REV of an X register.
pub fn rev64<O: Ops>(o: &mut O, a: &Rr) -> R<O> {
    unary(o, a, Un::Bswap)
}
/// CLZ.
pub fn clz<O: Ops>(o: &mut O, a: &Rr) -> R<O> {
    unary(o, a, Un::Clz)
}
/// CLS.
pub fn cls<O: Ops>(o: &mut O, a: &Rr) -> R<O> {
    unary(o, a, Un::Cls)
}

#[inline(always)]
fn binary<O: Ops>(o: &mut O, a: &Rrr, op: Bin) -> R<O> {
    let l = x(o, a.rn);
    let r = x(o, a.rm);
    let v = o.bin(op, W::sf(a.sf), l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// UDIV.
pub fn udiv<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::UDiv)
}
/// SDIV.
pub fn sdiv<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::SDiv)
}
/// LSLV.
pub fn lslv<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Shl)
}
/// LSRV.
pub fn lsrv<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Shr)
}
/// ASRV.
pub fn asrv<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Sar)
}
/// RORV.
pub fn rorv<O: Ops>(o: &mut O, a: &Rrr) -> R<O> {
    binary(o, a, Bin::Ror)
}

/// CRC32B, CRC32H, CRC32W, CRC32X.
pub fn crc32<O: Ops>(o: &mut O, a: &Crc) -> R<O> {
    let op = [Bin::Crc32B, Bin::Crc32H, Bin::Crc32W, Bin::Crc32X][a.size as usize & 3];
    crc(o, a, op)
}
/// CRC32CB, CRC32CH, CRC32CW, CRC32CX.
pub fn crc32c<O: Ops>(o: &mut O, a: &Crc) -> R<O> {
    let op = [Bin::Crc32CB, Bin::Crc32CH, Bin::Crc32CW, Bin::Crc32CX][a.size as usize & 3];
    crc(o, a, op)
}
#[inline(always)]
fn crc<O: Ops>(o: &mut O, a: &Crc, op: Bin) -> R<O> {
    let acc = x(o, a.rn);
    let data = x(o, a.rm);
    let v = o.bin(op, W::W64, acc, data);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn mul_add<O: Ops>(o: &mut O, a: &MulAdd, op: Bin) -> R<O> {
    let w = W::sf(a.sf);
    let l = x(o, a.rn);
    let r = x(o, a.rm);
    let p = o.bin(Bin::Mul, w, l, r);
    let v = if a.ra == 31 && op == Bin::Add {
        p
    } else {
        let acc = x(o, a.ra);
        o.bin(op, w, acc, p)
    };
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// MADD.
pub fn madd<O: Ops>(o: &mut O, a: &MulAdd) -> R<O> {
    mul_add(o, a, Bin::Add)
}
/// MSUB.
pub fn msub<O: Ops>(o: &mut O, a: &MulAdd) -> R<O> {
    mul_add(o, a, Bin::Sub)
}

#[inline(always)]
fn mul_long<O: Ops>(o: &mut O, a: &MulLong, widen: Un, op: Bin) -> R<O> {
    let l = x(o, a.rn);
    let l = o.un(widen, W::W64, l);
    let r = x(o, a.rm);
    let r = o.un(widen, W::W64, r);
    let p = o.bin(Bin::Mul, W::W64, l, r);
    let acc = x(o, a.ra);
    let v = o.bin(op, W::W64, acc, p);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// SMADDL.
pub fn smaddl<O: Ops>(o: &mut O, a: &MulLong) -> R<O> {
    mul_long(o, a, Un::Sext32, Bin::Add)
}
/// SMSUBL.
pub fn smsubl<O: Ops>(o: &mut O, a: &MulLong) -> R<O> {
    mul_long(o, a, Un::Sext32, Bin::Sub)
}
/// UMADDL.
pub fn umaddl<O: Ops>(o: &mut O, a: &MulLong) -> R<O> {
    mul_long(o, a, Un::Zext32, Bin::Add)
}
/// UMSUBL.
pub fn umsubl<O: Ops>(o: &mut O, a: &MulLong) -> R<O> {
    mul_long(o, a, Un::Zext32, Bin::Sub)
}

#[inline(always)]
fn mul_high<O: Ops>(o: &mut O, a: &MulHigh, op: Bin) -> R<O> {
    let l = x(o, a.rn);
    let r = x(o, a.rm);
    let v = o.bin(op, W::W64, l, r);
    set_x(o, a.rd, v);
    Ok(Flow::Next)
}
/// SMULH.
pub fn smulh<O: Ops>(o: &mut O, a: &MulHigh) -> R<O> {
    mul_high(o, a, Bin::SMulH)
}
/// UMULH.
pub fn umulh<O: Ops>(o: &mut O, a: &MulHigh) -> R<O> {
    mul_high(o, a, Bin::UMulH)
}
