//! Branches and exception generation.

use super::x;
use crate::a64::*;
use crate::helpers;
use crate::state;
use proteus_exec::ops::*;

#[inline(always)]
fn target<O: Ops>(o: &O, imm: i64) -> u64 {
    o.pc().wrapping_add(imm as u64)
}

#[inline(always)]
fn link<O: Ops>(o: &mut O) {
    let after = o.imm(o.next_pc());
    o.set(state::x(30), after);
}

/// B.
pub fn b<O: Ops>(o: &mut O, a: &Branch) -> R<O> {
    Ok(Flow::Jump(target(o, a.imm), Transfer::Plain))
}
/// BL.
pub fn bl<O: Ops>(o: &mut O, a: &Branch) -> R<O> {
    link(o);
    Ok(Flow::Jump(target(o, a.imm), Transfer::Call))
}
/// B.cond.
pub fn b_cond<O: Ops>(o: &mut O, a: &CondBranch) -> R<O> {
    let t = target(o, a.imm);
    if a.cond >= 14 {
        return Ok(Flow::Jump(t, Transfer::Plain));
    }
    let c = o.cond(a.cond as u8);
    Ok(Flow::Branch(c, t))
}
/// CBZ.
pub fn cbz<O: Ops>(o: &mut O, a: &Cb) -> R<O> {
    let v = x(o, a.rt);
    let c = o.cmp_imm(Cmp::Eq, W::sf(a.sf), v, 0);
    Ok(Flow::Branch(c, target(o, a.imm)))
}
/// CBNZ.
pub fn cbnz<O: Ops>(o: &mut O, a: &Cb) -> R<O> {
    let v = x(o, a.rt);
    let c = o.cmp_imm(Cmp::Ne, W::sf(a.sf), v, 0);
    Ok(Flow::Branch(c, target(o, a.imm)))
}
/// TBZ.
pub fn tbz<O: Ops>(o: &mut O, a: &Tb) -> R<O> {
    let v = x(o, a.rt);
    let v = o.bin_imm(Bin::And, W::W64, v, 1 << (a.bit & 63));
    let c = o.cmp_imm(Cmp::Eq, W::W64, v, 0);
    Ok(Flow::Branch(c, target(o, a.imm)))
}
/// TBNZ.
pub fn tbnz<O: Ops>(o: &mut O, a: &Tb) -> R<O> {
    let v = x(o, a.rt);
    let v = o.bin_imm(Bin::And, W::W64, v, 1 << (a.bit & 63));
    let c = o.cmp_imm(Cmp::Ne, W::W64, v, 0);
    Ok(Flow::Branch(c, target(o, a.imm)))
}
/// BR.
pub fn br<O: Ops>(o: &mut O, a: &Reg) -> R<O> {
    let t = x(o, a.rn);
    Ok(Flow::Indirect(t, Transfer::Plain))
}
/// BLR.
pub fn blr<O: Ops>(o: &mut O, a: &Reg) -> R<O> {
    let t = x(o, a.rn);
    link(o);
    Ok(Flow::Indirect(t, Transfer::Call))
}
/// RET.
pub fn ret<O: Ops>(o: &mut O, a: &Reg) -> R<O> {
    let t = x(o, a.rn);
    Ok(Flow::Indirect(t, Transfer::Return))
}

#[inline(always)]
fn helper<O: Ops>(o: &mut O, h: Helper, arg: u64) -> R<O> {
    let v = o.imm(arg);
    o.call(h, &[v])?;
    Ok(Flow::Exit)
}
/// ERET.
pub fn eret<O: Ops>(o: &mut O) -> R<O> {
    helper(o, helpers::ERET, 0)
}
/// DRPS: undefined outside debug state, which is not modelled.
pub fn drps<O: Ops>(o: &mut O) -> R<O> {
    super::undefined(o)
}
/// SVC.
pub fn svc<O: Ops>(o: &mut O, a: &Exception) -> R<O> {
    helper(o, helpers::SVC, a.imm as u64)
}
/// HVC.
pub fn hvc<O: Ops>(o: &mut O, a: &Exception) -> R<O> {
    helper(o, helpers::HVC, a.imm as u64)
}
/// SMC.
pub fn smc<O: Ops>(o: &mut O, a: &Exception) -> R<O> {
    helper(o, helpers::SMC, a.imm as u64)
}
/// BRK.
pub fn brk<O: Ops>(o: &mut O, a: &Exception) -> R<O> {
    helper(o, helpers::BRK, a.imm as u64)
}
/// HLT: semihosting with its immediate, undefined otherwise (halting debug is not modelled).
pub fn hlt<O: Ops>(o: &mut O, a: &Exception) -> R<O> {
    let v = o.imm(a.imm as u64);
    o.call(helpers::HLT, &[v])?;
    Ok(Flow::Resync)
}
/// DCPS1: undefined outside debug state.
pub fn dcps1<O: Ops>(o: &mut O, _: &Exception) -> R<O> {
    super::undefined(o)
}
/// DCPS2: undefined outside debug state.
pub fn dcps2<O: Ops>(o: &mut O, _: &Exception) -> R<O> {
    super::undefined(o)
}
/// DCPS3: undefined outside debug state.
pub fn dcps3<O: Ops>(o: &mut O, _: &Exception) -> R<O> {
    super::undefined(o)
}
