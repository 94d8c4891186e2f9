//! System instructions: hints, barriers, PSTATE, system registers.

use super::{mode, set_x, undefined, x};
use crate::a64::*;
use crate::helpers;
use crate::state::{self, Mode};
use crate::sysregs;
use proteus_exec::ops::*;

/// NOP.
pub fn nop<O: Ops>(_: &mut O) -> R<O> {
    Ok(Flow::Next)
}
/// Hints that have no meaning here.
pub fn hint<O: Ops>(_: &mut O, _: &Hint) -> R<O> {
    Ok(Flow::Next)
}
/// YIELD: lets the run loop give the turn to another core.
pub fn r#yield<O: Ops>(o: &mut O) -> R<O> {
    o.call(helpers::YIELD, &[])?;
    Ok(Flow::Next)
}
/// WFE.
pub fn wfe<O: Ops>(o: &mut O) -> R<O> {
    o.call(helpers::WFE, &[])?;
    Ok(Flow::Resync)
}
/// WFI.
pub fn wfi<O: Ops>(o: &mut O) -> R<O> {
    o.call(helpers::WFI, &[])?;
    Ok(Flow::Resync)
}
/// SEV.
pub fn sev<O: Ops>(o: &mut O) -> R<O> {
    o.call(helpers::SEV, &[])?;
    Ok(Flow::Next)
}
/// SEVL.
pub fn sevl<O: Ops>(o: &mut O) -> R<O> {
    let one = o.imm(1);
    o.set(state::EVENT, one);
    Ok(Flow::Next)
}

/// What a barrier with this CRm orders.
#[inline(always)]
fn kind(crm: u32) -> Fence {
    match crm & 3 {
        1 => Fence::Load,
        2 => Fence::Store,
        _ => Fence::Full,
    }
}
/// DMB.
pub fn dmb<O: Ops>(o: &mut O, a: &Barrier) -> R<O> {
    o.fence(kind(a.crm));
    Ok(Flow::Next)
}
/// DSB: besides, broadcast TLB maintenance is complete after it.
pub fn dsb<O: Ops>(o: &mut O, a: &Barrier) -> R<O> {
    o.fence(kind(a.crm));
    o.call(helpers::DSB, &[])?;
    Ok(Flow::Next)
}
/// ISB: changes of state are synchronised; here they are at once, so only code that was written
/// matters, which the next block sees.
pub fn isb<O: Ops>(_: &mut O) -> R<O> {
    Ok(Flow::Resync)
}
/// SB.
pub fn sb<O: Ops>(_: &mut O) -> R<O> {
    Ok(Flow::Next)
}

/// MSR (immediate) by a helper, which checks access.
#[inline(always)]
fn msr_imm<O: Ops>(o: &mut O, field: u64, imm: u32) -> R<O> {
    let f = o.imm(field);
    let v = o.imm(imm as u64);
    o.call(helpers::MSR_IMM, &[f, v])?;
    Ok(Flow::Resync)
}
/// MSR SPSel.
pub fn msr_spsel<O: Ops>(o: &mut O, a: &MsrImm) -> R<O> {
    msr_imm(o, helpers::FIELD_SPSEL, a.imm)
}
/// MSR PAN.
pub fn msr_pan<O: Ops>(o: &mut O, a: &MsrImm) -> R<O> {
    msr_imm(o, helpers::FIELD_PAN, a.imm)
}
/// MSR UAO.
pub fn msr_uao<O: Ops>(o: &mut O, a: &MsrImm) -> R<O> {
    msr_imm(o, helpers::FIELD_UAO, a.imm)
}
/// MSR DIT.
pub fn msr_dit<O: Ops>(o: &mut O, a: &MsrImm) -> R<O> {
    let v = o.imm(a.imm as u64 & 1);
    o.set(state::DIT, v);
    Ok(Flow::Next)
}
/// MSR SSBS.
pub fn msr_ssbs<O: Ops>(o: &mut O, a: &MsrImm) -> R<O> {
    let v = o.imm(a.imm as u64 & 1);
    o.set(state::SSBS, v);
    Ok(Flow::Next)
}
/// MSR DAIFSet: masking needs nobody's attention.
pub fn msr_daifset<O: Ops>(o: &mut O, a: &MsrImm) -> R<O> {
    if mode(o).el() == 0 {
        return msr_imm(o, helpers::FIELD_DAIFSET, a.imm);
    }
    let old = o.get(state::DAIF);
    let v = o.bin_imm(Bin::Or, W::W64, old, (a.imm as u64) << 6);
    o.set(state::DAIF, v);
    Ok(Flow::Next)
}
/// MSR DAIFClr: an interrupt that waits is taken after this instruction.
pub fn msr_daifclr<O: Ops>(o: &mut O, a: &MsrImm) -> R<O> {
    msr_imm(o, helpers::FIELD_DAIFCLR, a.imm)
}

/// CFINV.
pub fn cfinv<O: Ops>(o: &mut O) -> R<O> {
    let f = o.nzcv();
    let f = o.bin_imm(Bin::Xor, W::W64, f, 2);
    o.set_nzcv(f);
    Ok(Flow::Next)
}
/// XAFLAG.
pub fn xaflag<O: Ops>(o: &mut O) -> R<O> {
    let f = o.nzcv();
    let c = o.bin_imm(Bin::Shr, W::W64, f, 1);
    let c = o.bin_imm(Bin::And, W::W64, c, 1);
    let z = o.bin_imm(Bin::Shr, W::W64, f, 2);
    let z = o.bin_imm(Bin::And, W::W64, z, 1);
    let not_c = o.bin_imm(Bin::Xor, W::W64, c, 1);
    let not_z = o.bin_imm(Bin::Xor, W::W64, z, 1);
    let n = o.bin(Bin::And, W::W64, not_c, not_z);
    let new_z = o.bin(Bin::And, W::W64, z, c);
    let new_c = o.bin(Bin::Or, W::W64, c, z);
    let v = o.bin(Bin::And, W::W64, not_c, z);
    pack(o, n, new_z, new_c, v);
    Ok(Flow::Next)
}
/// AXFLAG.
pub fn axflag<O: Ops>(o: &mut O) -> R<O> {
    let f = o.nzcv();
    let v = o.bin_imm(Bin::And, W::W64, f, 1);
    let c = o.bin_imm(Bin::Shr, W::W64, f, 1);
    let c = o.bin_imm(Bin::And, W::W64, c, 1);
    let z = o.bin_imm(Bin::Shr, W::W64, f, 2);
    let z = o.bin_imm(Bin::And, W::W64, z, 1);
    let new_z = o.bin(Bin::Or, W::W64, z, v);
    let not_v = o.bin_imm(Bin::Xor, W::W64, v, 1);
    let new_c = o.bin(Bin::And, W::W64, c, not_v);
    let zero = o.imm(0);
    pack(o, zero, new_z, new_c, zero);
    Ok(Flow::Next)
}
/// Sets the flags from four bits.
fn pack<O: Ops>(o: &mut O, n: O::V, z: O::V, c: O::V, v: O::V) {
    let n = o.bin_imm(Bin::Shl, W::W64, n, 3);
    let z = o.bin_imm(Bin::Shl, W::W64, z, 2);
    let c = o.bin_imm(Bin::Shl, W::W64, c, 1);
    let nz = o.bin(Bin::Or, W::W64, n, z);
    let cv = o.bin(Bin::Or, W::W64, c, v);
    let f = o.bin(Bin::Or, W::W64, nz, cv);
    o.set_nzcv(f);
}

/// The 16-bit key of a system register or instruction: op0 op1 CRn CRm op2.
#[inline(always)]
pub fn key(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

/// A key with Rt above it, for the syndrome of a trap.
#[inline(always)]
fn key_and_rt<O: Ops>(o: &mut O, k: u32, rt: u32) -> O::V {
    o.imm((k | rt << 16) as u64)
}

/// SYS: cache, TLB and address translation maintenance.
pub fn sys<O: Ops>(o: &mut O, a: &Sys) -> R<O> {
    let k = key(1, a.op1, a.crn, a.crm, a.op2);
    if !sysregs::is_instruction(k) {
        return undefined(o);
    }
    let kv = key_and_rt(o, k, a.rt);
    let v = x(o, a.rt);
    o.call(helpers::SYS, &[kv, v])?;
    Ok(if sysregs::instruction_resyncs(k) { Flow::Resync } else { Flow::Next })
}
/// SYSL: none is implemented.
pub fn sysl<O: Ops>(o: &mut O, _: &Sys) -> R<O> {
    undefined(o)
}

/// MRS. A register that is but a word of the state is read as one.
pub fn mrs<O: Ops>(o: &mut O, a: &Sysreg) -> R<O> {
    let k = key(a.op0, a.op1, a.crn, a.crm, a.op2);
    let m = mode(o);
    if k == sysregs::NZCV {
        let f = o.nzcv();
        let v = o.bin_imm(Bin::Shl, W::W64, f, 28);
        set_x(o, a.rt, v);
        return Ok(Flow::Next);
    }
    if !m.has(Mode::TRAPS)
        && let Some(slot) = sysregs::plain_read(k, m)
    {
        let v = o.get(slot);
        set_x(o, a.rt, v);
        return Ok(Flow::Next);
    }
    let kv = key_and_rt(o, k, a.rt);
    let v = o.call(helpers::MRS, &[kv])?;
    set_x(o, a.rt, v);
    Ok(Flow::Next)
}

/// MSR (register).
pub fn msr<O: Ops>(o: &mut O, a: &Sysreg) -> R<O> {
    let k = key(a.op0, a.op1, a.crn, a.crm, a.op2);
    let m = mode(o);
    if k == sysregs::NZCV {
        let v = x(o, a.rt);
        let f = o.bin_imm(Bin::Shr, W::W64, v, 28);
        let f = o.bin_imm(Bin::And, W::W64, f, 15);
        o.set_nzcv(f);
        return Ok(Flow::Next);
    }
    if !m.has(Mode::TRAPS)
        && let Some(slot) = sysregs::plain_write(k, m)
    {
        let v = x(o, a.rt);
        o.set(slot, v);
        return Ok(Flow::Next);
    }
    let kv = key_and_rt(o, k, a.rt);
    let v = x(o, a.rt);
    o.call(helpers::MSR, &[kv, v])?;
    Ok(if sysregs::write_resyncs(k) { Flow::Resync } else { Flow::Next })
}
