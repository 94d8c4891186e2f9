//! System instructions: calls of the operating system, barriers, coprocessor 0, and the
//! coprocessors that are not there.

use super::{address, check64, from32, gpr, mode, raise, set_gpr, word};
use crate::exceptions::code;
use crate::mips::*;
use crate::state::{self, Mode};
use crate::{cp0, helpers};
use proteus_exec::ops::*;

/// Calls a helper with a constant.
#[inline(always)]
fn call<O: Ops>(o: &mut O, h: Helper, arg: u32) -> Result<O::V, O::Fault> {
    let v = o.imm(arg.into());
    o.call(h, &[v])
}

/// Raises Coprocessor Unusable for coprocessor 0 unless it is usable.
#[inline(always)]
fn check_cp0<O: Ops>(o: &mut O) -> Result<(), O::Fault> {
    if !mode(o).has(Mode::CU0) {
        call(o, helpers::UNUSABLE, 0)?;
    }
    Ok(())
}

/// SYSCALL. The code is the operating system's, which reads it from the instruction.
pub fn syscall<O: Ops>(o: &mut O, _: &Code) -> R<O> {
    raise(o, code::SYS)
}
/// BREAK. As for SYSCALL.
pub fn r#break<O: Ops>(o: &mut O, _: &Code) -> R<O> {
    raise(o, code::BP)
}
/// SDBBP: semihosting with its code, where it is on.
pub fn sdbbp<O: Ops>(o: &mut O, a: &Code) -> R<O> {
    call(o, helpers::SDBBP, a.code)?;
    Ok(Flow::Resync)
}

/// SYNC. Every stype orders all accesses: a stronger barrier than asked for is allowed.
pub fn sync<O: Ops>(o: &mut O, _: &Stype) -> R<O> {
    o.fence(Fence::Full);
    Ok(Flow::Next)
}
/// SYNCI. What was written is seen without it; the address may fault.
pub fn synci<O: Ops>(o: &mut O, a: &Synci) -> R<O> {
    let at = address(o, a.base, a.offset);
    o.call(helpers::SYNCI, &[at])?;
    Ok(Flow::Next)
}

/// Register number of UserLocal for RDHWR, and its bit in HWREna.
const ULR: u32 = 29;

/// RDHWR.
pub fn rdhwr<O: Ops>(o: &mut O, a: &Rdhwr) -> R<O> {
    if a.rd == ULR && !mode(o).has(Mode::CU0) {
        return user_local(o, a.rt);
    }
    let v = call(o, helpers::RDHWR, a.rd)?;
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// RDHWR of UserLocal by a program, which is where its threads find what is theirs: HWREna allows
/// it or not. A model without the register has not the bit.
#[inline(always)]
fn user_local<O: Ops>(o: &mut O, rt: u32) -> R<O> {
    let enabled = o.get(state::cp0(7, 0));
    let enabled = o.bin_imm(Bin::And, W::W64, enabled, 1 << ULR);
    let no = o.cmp_imm(Cmp::Eq, W::W64, enabled, 0);
    let code = o.imm(code::RI.into());
    o.trap_if(no, helpers::RAISE, &[code])?;
    let v = o.get(state::USER_LOCAL);
    set_gpr(o, rt, v);
    Ok(Flow::Next)
}

/// The key of a coprocessor 0 register.
#[inline(always)]
fn key(a: &Cop0) -> u32 {
    8 * a.rd + a.sel
}

/// All 64 bits of a coprocessor 0 register. One that is but a word of the state is read as one.
#[inline(always)]
fn read_cp0<O: Ops>(o: &mut O, a: &Cop0) -> Result<O::V, O::Fault> {
    if cp0::plain_read(key(a)) { Ok(o.get(state::cp0(a.rd, a.sel))) } else { call(o, helpers::CP0_READ, key(a)) }
}
/// MFC0.
pub fn mfc0<O: Ops>(o: &mut O, a: &Cop0) -> R<O> {
    check_cp0(o)?;
    let v = read_cp0(o, a)?;
    // A word of the state has the form of a register already, but for its upper half.
    let v = if cp0::plain_read(key(a)) { from32(o, v) } else { word(o, v) };
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// DMFC0.
pub fn dmfc0<O: Ops>(o: &mut O, a: &Cop0) -> R<O> {
    check_cp0(o)?;
    check64(o)?;
    let v = read_cp0(o, a)?;
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn write_cp0<O: Ops>(o: &mut O, a: &Cop0, double: bool) -> R<O> {
    let v = gpr(o, a.rt);
    if cp0::plain_write(key(a)) {
        o.set(state::cp0(a.rd, a.sel), v);
        return Ok(Flow::Next);
    }
    let k = o.imm(key(a).into());
    let double = o.imm(double.into());
    o.call(helpers::CP0_WRITE, &[k, v, double])?;
    Ok(if cp0::resyncs(key(a)) { Flow::Resync } else { Flow::Next })
}
/// MTC0.
pub fn mtc0<O: Ops>(o: &mut O, a: &Cop0) -> R<O> {
    check_cp0(o)?;
    write_cp0(o, a, false)
}
/// DMTC0.
pub fn dmtc0<O: Ops>(o: &mut O, a: &Cop0) -> R<O> {
    check_cp0(o)?;
    check64(o)?;
    write_cp0(o, a, true)
}

#[inline(always)]
fn shadow<O: Ops>(o: &mut O, r: u32, v: O::V, write: bool) -> Result<O::V, O::Fault> {
    let r = o.imm(r.into());
    let write = o.imm(write.into());
    o.call(helpers::SHADOW, &[r, v, write])
}
/// RDPGPR: rt of the previous shadow set, to rd.
pub fn rdpgpr<O: Ops>(o: &mut O, a: &Gpr) -> R<O> {
    check_cp0(o)?;
    let zero = o.imm(0);
    let v = shadow(o, a.rt, zero, false)?;
    set_gpr(o, a.rd, v);
    Ok(Flow::Next)
}
/// WRPGPR: rt, to rd of the previous shadow set.
pub fn wrpgpr<O: Ops>(o: &mut O, a: &Gpr) -> R<O> {
    check_cp0(o)?;
    let v = gpr(o, a.rt);
    shadow(o, a.rd, v, true)?;
    Ok(Flow::Next)
}

/// DI and EI: Status as it was, to rt.
#[inline(always)]
fn set_ie<O: Ops>(o: &mut O, a: &Rt, on: u32) -> Result<(), O::Fault> {
    check_cp0(o)?;
    let v = call(o, helpers::SET_IE, on)?;
    let v = word(o, v);
    set_gpr(o, a.rt, v);
    Ok(())
}
/// DI: masking needs nobody's attention.
pub fn di<O: Ops>(o: &mut O, a: &Rt) -> R<O> {
    set_ie(o, a, 0)?;
    Ok(Flow::Next)
}
/// EI: an interrupt that waits is taken after this instruction.
pub fn ei<O: Ops>(o: &mut O, a: &Rt) -> R<O> {
    set_ie(o, a, 1)?;
    Ok(Flow::Resync)
}

/// A TLB instruction by its function code.
#[inline(always)]
fn tlb<O: Ops>(o: &mut O, function: u32, flow: Flow<O::V, O::C>) -> R<O> {
    check_cp0(o)?;
    call(o, helpers::TLB, function)?;
    Ok(flow)
}
/// TLBR: EntryHi, and with it the address space, may be another.
pub fn tlbr<O: Ops>(o: &mut O) -> R<O> {
    tlb(o, 1, Flow::Resync)
}
/// TLBWI. What it maps may be the code that runs, but not before a barrier or ERET.
pub fn tlbwi<O: Ops>(o: &mut O) -> R<O> {
    tlb(o, 2, Flow::Next)
}
/// TLBWR. As TLBWI.
pub fn tlbwr<O: Ops>(o: &mut O) -> R<O> {
    tlb(o, 6, Flow::Next)
}
/// TLBP.
pub fn tlbp<O: Ops>(o: &mut O) -> R<O> {
    tlb(o, 8, Flow::Next)
}

/// ERET.
pub fn eret<O: Ops>(o: &mut O) -> R<O> {
    check_cp0(o)?;
    o.call(helpers::ERET, &[])?;
    Ok(Flow::Exit)
}
/// DERET.
pub fn deret<O: Ops>(o: &mut O) -> R<O> {
    check_cp0(o)?;
    o.call(helpers::DERET, &[])?;
    Ok(Flow::Exit)
}
/// WAIT.
pub fn wait<O: Ops>(o: &mut O) -> R<O> {
    check_cp0(o)?;
    o.call(helpers::WAIT, &[])?;
    Ok(Flow::Resync)
}

/// CACHE.
pub fn cache<O: Ops>(o: &mut O, a: &Cache) -> R<O> {
    check_cp0(o)?;
    let at = address(o, a.base, a.offset);
    let op = o.imm(a.op.into());
    o.call(helpers::CACHE, &[op, at])?;
    Ok(Flow::Next)
}

/// An instruction of a coprocessor that is not there.
#[inline(always)]
fn unusable<O: Ops>(o: &mut O, a: &Cop) -> R<O> {
    call(o, helpers::UNUSABLE, a.cop)?;
    Ok(Flow::Exit)
}
/// COP2.
pub fn cop2<O: Ops>(o: &mut O, a: &Cop) -> R<O> {
    unusable(o, a)
}
/// LWC2.
pub fn lwc2<O: Ops>(o: &mut O, a: &Cop) -> R<O> {
    unusable(o, a)
}
/// LDC2.
pub fn ldc2<O: Ops>(o: &mut O, a: &Cop) -> R<O> {
    unusable(o, a)
}
/// SWC2.
pub fn swc2<O: Ops>(o: &mut O, a: &Cop) -> R<O> {
    unusable(o, a)
}
/// SDC2.
pub fn sdc2<O: Ops>(o: &mut O, a: &Cop) -> R<O> {
    unusable(o, a)
}
