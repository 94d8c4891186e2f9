//! Jumps, branches and traps. Every transfer of control here waits for its delay slot.

use super::{gpr, mode, set_gpr, width, wrapped};
use crate::exceptions::code;
use crate::helpers;
use crate::mips::*;
use proteus_exec::ops::*;

/// The return address of a call: that of the instruction after the delay slot.
#[inline(always)]
fn link<O: Ops>(o: &mut O, rd: u32) {
    let after = wrapped(mode(o), o.next_pc().wrapping_add(4));
    let v = o.imm(after);
    set_gpr(o, rd, v);
}

/// Where a branch goes: relative to its delay slot.
#[inline(always)]
fn target<O: Ops>(o: &O, offset: i64) -> u64 {
    wrapped(mode(o), o.next_pc().wrapping_add(offset as u64))
}

/// Where a jump goes: within the 256 MiB of its delay slot.
#[inline(always)]
fn region_target<O: Ops>(o: &O, index: u32) -> u64 {
    wrapped(mode(o), o.next_pc()) & !0x0fff_ffff | u64::from(index)
}

/// J.
pub fn j<O: Ops>(o: &mut O, a: &Jump) -> R<O> {
    Ok(Flow::Delayed(Delayed::Jump(region_target(o, a.index), Transfer::Plain)))
}
/// JAL.
pub fn jal<O: Ops>(o: &mut O, a: &Jump) -> R<O> {
    link(o, 31);
    Ok(Flow::Delayed(Delayed::Jump(region_target(o, a.index), Transfer::Call)))
}
/// JR and JR.HB. An address that is not aligned raises where it is fetched from.
pub fn jr<O: Ops>(o: &mut O, a: &JumpReg) -> R<O> {
    let t = gpr(o, a.rs);
    let kind = if a.rs == 31 { Transfer::Return } else { Transfer::Plain };
    Ok(Flow::Delayed(Delayed::Indirect(t, kind)))
}
/// JALR and JALR.HB.
pub fn jalr<O: Ops>(o: &mut O, a: &JumpLink) -> R<O> {
    let t = gpr(o, a.rs);
    link(o, a.rd);
    // Without a link it is a jump.
    let kind = if a.rd == 0 { Transfer::Plain } else { Transfer::Call };
    Ok(Flow::Delayed(Delayed::Indirect(t, kind)))
}

/// A branch that compares two registers.
#[inline(always)]
fn compare<O: Ops>(o: &mut O, a: &Branch, op: Cmp) -> O::C {
    let w = width(o);
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    o.cmp(op, w, l, r)
}
/// BEQ, and B, which compares a register with itself.
pub fn beq<O: Ops>(o: &mut O, a: &Branch) -> R<O> {
    let t = target(o, a.offset);
    if a.rs == a.rt {
        return Ok(Flow::Delayed(Delayed::Jump(t, Transfer::Plain)));
    }
    let c = compare(o, a, Cmp::Eq);
    Ok(Flow::Delayed(Delayed::Branch(c, t)))
}
/// BNE.
pub fn bne<O: Ops>(o: &mut O, a: &Branch) -> R<O> {
    let c = compare(o, a, Cmp::Ne);
    Ok(Flow::Delayed(Delayed::Branch(c, target(o, a.offset))))
}
/// BEQL.
pub fn beql<O: Ops>(o: &mut O, a: &Branch) -> R<O> {
    let t = target(o, a.offset);
    if a.rs == a.rt {
        return Ok(Flow::Delayed(Delayed::Jump(t, Transfer::Plain)));
    }
    let c = compare(o, a, Cmp::Eq);
    Ok(Flow::Delayed(Delayed::Likely(c, t)))
}
/// BNEL.
pub fn bnel<O: Ops>(o: &mut O, a: &Branch) -> R<O> {
    let c = compare(o, a, Cmp::Ne);
    Ok(Flow::Delayed(Delayed::Likely(c, target(o, a.offset))))
}

/// A comparison of a register with 0.
#[derive(Clone, Copy)]
enum Zero {
    Ltz,
    Gez,
    Lez,
    Gtz,
}

#[inline(always)]
fn compare_zero<O: Ops>(o: &mut O, rs: u32, z: Zero) -> O::C {
    let w = width(o);
    let v = gpr(o, rs);
    let zero = o.imm(0);
    match z {
        Zero::Ltz => o.cmp(Cmp::Slt, w, v, zero),
        Zero::Gez => o.cmp(Cmp::Sle, w, zero, v),
        Zero::Lez => o.cmp(Cmp::Sle, w, v, zero),
        Zero::Gtz => o.cmp(Cmp::Slt, w, zero, v),
    }
}
#[inline(always)]
fn branch<O: Ops>(o: &mut O, a: &BranchZ, z: Zero) -> R<O> {
    let c = compare_zero(o, a.rs, z);
    Ok(Flow::Delayed(Delayed::Branch(c, target(o, a.offset))))
}
#[inline(always)]
fn likely<O: Ops>(o: &mut O, a: &BranchZ, z: Zero) -> R<O> {
    let c = compare_zero(o, a.rs, z);
    Ok(Flow::Delayed(Delayed::Likely(c, target(o, a.offset))))
}

/// BLTZ.
pub fn bltz<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    branch(o, a, Zero::Ltz)
}
/// BGEZ.
pub fn bgez<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    branch(o, a, Zero::Gez)
}
/// BLEZ.
pub fn blez<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    branch(o, a, Zero::Lez)
}
/// BGTZ.
pub fn bgtz<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    branch(o, a, Zero::Gtz)
}
/// BLTZL.
pub fn bltzl<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    likely(o, a, Zero::Ltz)
}
/// BGEZL.
pub fn bgezl<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    likely(o, a, Zero::Gez)
}
/// BLEZL.
pub fn blezl<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    likely(o, a, Zero::Lez)
}
/// BGTZL.
pub fn bgtzl<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    likely(o, a, Zero::Gtz)
}
/// BLTZAL. The return address is written whether the branch is taken or not.
pub fn bltzal<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    let flow = branch(o, a, Zero::Ltz)?;
    link(o, 31);
    Ok(flow)
}
/// BGEZAL, and BAL, which compares r0.
pub fn bgezal<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    if a.rs == 0 {
        link(o, 31);
        return Ok(Flow::Delayed(Delayed::Jump(target(o, a.offset), Transfer::Call)));
    }
    let flow = branch(o, a, Zero::Gez)?;
    link(o, 31);
    Ok(flow)
}
/// BLTZALL.
pub fn bltzall<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    let flow = likely(o, a, Zero::Ltz)?;
    link(o, 31);
    Ok(flow)
}
/// BGEZALL.
pub fn bgezall<O: Ops>(o: &mut O, a: &BranchZ) -> R<O> {
    let flow = likely(o, a, Zero::Gez)?;
    link(o, 31);
    Ok(flow)
}

/// Raises Trap where the comparison, or with `not` its negation, holds.
#[inline(always)]
fn trap<O: Ops>(o: &mut O, op: Cmp, not: bool, l: O::V, r: O::V) -> R<O> {
    let w = width(o);
    let c = o.cmp(op, w, l, r);
    let c = if not { o.not(c) } else { c };
    let code = o.imm(code::TR.into());
    o.trap_if(c, helpers::RAISE, &[code])?;
    Ok(Flow::Next)
}
#[inline(always)]
fn trap_registers<O: Ops>(o: &mut O, a: &Trap, op: Cmp, not: bool) -> R<O> {
    let l = gpr(o, a.rs);
    let r = gpr(o, a.rt);
    trap(o, op, not, l, r)
}
#[inline(always)]
fn trap_immediate<O: Ops>(o: &mut O, a: &TrapImm, op: Cmp, not: bool) -> R<O> {
    let l = gpr(o, a.rs);
    let r = super::constant(o, a.imm);
    trap(o, op, not, l, r)
}

macro_rules! traps {
    ($($name:ident($set:ident) = $f:ident($op:ident, $not:literal), $doc:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &$set) -> R<O> {
            $f(o, a, Cmp::$op, $not)
        }
    )*};
}
traps! {
    tge(Trap) = trap_registers(Slt, true), "TGE.";
    tgeu(Trap) = trap_registers(Ult, true), "TGEU.";
    tlt(Trap) = trap_registers(Slt, false), "TLT.";
    tltu(Trap) = trap_registers(Ult, false), "TLTU.";
    teq(Trap) = trap_registers(Eq, false), "TEQ.";
    tne(Trap) = trap_registers(Ne, false), "TNE.";
    tgei(TrapImm) = trap_immediate(Slt, true), "TGEI.";
    tgeiu(TrapImm) = trap_immediate(Ult, true), "TGEIU.";
    tlti(TrapImm) = trap_immediate(Slt, false), "TLTI.";
    tltiu(TrapImm) = trap_immediate(Ult, false), "TLTIU.";
    teqi(TrapImm) = trap_immediate(Eq, false), "TEQI.";
    tnei(TrapImm) = trap_immediate(Ne, false), "TNEI.";
}
