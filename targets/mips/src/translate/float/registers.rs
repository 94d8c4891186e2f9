//! Moves between the register files, control registers, loads and stores.

use super::*;
use crate::translate::{access, address, check64, width, word, wrap};

// ---- Moves.

/// MFC1.
pub fn mfc1<O: Ops>(o: &mut O, a: &FpMove) -> R<O> {
    usable(o)?;
    let v = o.get(state::f(a.fs));
    let v = word(o, v);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// MTC1.
pub fn mtc1<O: Ops>(o: &mut O, a: &FpMove) -> R<O> {
    usable(o)?;
    let v = gpr(o, a.rt);
    write_word(o, a.fs, v);
    Ok(Flow::Next)
}
/// MFHC1: with registers of 32 bits the odd one of the pair.
pub fn mfhc1<O: Ops>(o: &mut O, a: &FpMove) -> R<O> {
    usable(o)?;
    let v = if mode(o).has(Mode::FR) {
        let v = o.get(state::f(a.fs));
        o.bin_imm(Bin::Shr, W::W64, v, 32)
    } else {
        o.get(state::f(a.fs | 1))
    };
    let v = word(o, v);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// MTHC1: with registers of 32 bits the odd one of the pair.
pub fn mthc1<O: Ops>(o: &mut O, a: &FpMove) -> R<O> {
    usable(o)?;
    let v = gpr(o, a.rt);
    if !mode(o).has(Mode::FR) {
        write_word(o, a.fs | 1, v);
        return Ok(Flow::Next);
    }
    let low = o.get(state::f(a.fs));
    let low = o.un(Un::Zext32, W::W64, low);
    let high = o.bin_imm(Bin::Shl, W::W64, v, 32);
    let v = o.bin(Bin::Or, W::W64, high, low);
    o.set(state::f(a.fs), v);
    Ok(Flow::Next)
}
/// DMFC1.
pub fn dmfc1<O: Ops>(o: &mut O, a: &FpMove) -> R<O> {
    usable(o)?;
    check64(o)?;
    let v = read(o, Fmt::F64, a.fs);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// DMTC1.
pub fn dmtc1<O: Ops>(o: &mut O, a: &FpMove) -> R<O> {
    usable(o)?;
    check64(o)?;
    let v = gpr(o, a.rt);
    write(o, Fmt::F64, a.fs, v);
    Ok(Flow::Next)
}
/// CFC1.
pub fn cfc1<O: Ops>(o: &mut O, a: &FpMove) -> R<O> {
    usable(o)?;
    let v = if a.fs == 31 {
        o.get(state::FCSR)
    } else {
        let register = o.imm(a.fs.into());
        o.call(helpers::FP_CONTROL_READ, &[register])?
    };
    let v = word(o, v);
    set_gpr(o, a.rt, v);
    Ok(Flow::Next)
}
/// CTC1: whether exceptions are enabled is part of the mode.
pub fn ctc1<O: Ops>(o: &mut O, a: &FpMove) -> R<O> {
    usable(o)?;
    let register = o.imm(a.fs.into());
    let v = gpr(o, a.rt);
    o.call(helpers::FP_CONTROL_WRITE, &[register, v])?;
    Ok(Flow::Resync)
}

// ---- Loads and stores.

/// The sum of two general-purpose registers as an address.
#[inline(always)]
fn indexed<O: Ops>(o: &mut O, base: u32, index: u32) -> O::V {
    let w = width(o);
    let b = gpr(o, base);
    let i = gpr(o, index);
    let at = o.add(w, b, i);
    wrap(o, at)
}

/// Loads `fmt` to register `r`.
#[inline(always)]
fn load<O: Ops>(o: &mut O, fmt: Fmt, at: O::V, r: u32) -> R<O> {
    let m = access(o, if fmt == Fmt::F32 { 2 } else { 3 });
    let v = o.load(at, m)?;
    write(o, fmt, r, v);
    Ok(Flow::Next)
}
/// Stores `fmt` from register `r`.
#[inline(always)]
fn store<O: Ops>(o: &mut O, fmt: Fmt, at: O::V, r: u32) -> R<O> {
    let m = access(o, if fmt == Fmt::F32 { 2 } else { 3 });
    let v = read(o, fmt, r);
    o.store(at, m, v)?;
    Ok(Flow::Next)
}

/// LWC1.
pub fn lwc1<O: Ops>(o: &mut O, a: &FpMemory) -> R<O> {
    usable(o)?;
    let at = address(o, a.base, a.imm);
    load(o, Fmt::F32, at, a.ft)
}
/// LDC1.
pub fn ldc1<O: Ops>(o: &mut O, a: &FpMemory) -> R<O> {
    usable(o)?;
    let at = address(o, a.base, a.imm);
    load(o, Fmt::F64, at, a.ft)
}
/// SWC1.
pub fn swc1<O: Ops>(o: &mut O, a: &FpMemory) -> R<O> {
    usable(o)?;
    let at = address(o, a.base, a.imm);
    store(o, Fmt::F32, at, a.ft)
}
/// SDC1.
pub fn sdc1<O: Ops>(o: &mut O, a: &FpMemory) -> R<O> {
    usable(o)?;
    let at = address(o, a.base, a.imm);
    store(o, Fmt::F64, at, a.ft)
}
/// LWXC1.
pub fn lwxc1<O: Ops>(o: &mut O, a: &FpLoadX) -> R<O> {
    usable(o)?;
    let at = indexed(o, a.base, a.index);
    load(o, Fmt::F32, at, a.fd)
}
/// LDXC1.
pub fn ldxc1<O: Ops>(o: &mut O, a: &FpLoadX) -> R<O> {
    usable_for(o, Fmt::F64, &[a.fd])?;
    let at = indexed(o, a.base, a.index);
    load(o, Fmt::F64, at, a.fd)
}
/// SWXC1.
pub fn swxc1<O: Ops>(o: &mut O, a: &FpStoreX) -> R<O> {
    usable(o)?;
    let at = indexed(o, a.base, a.index);
    store(o, Fmt::F32, at, a.fs)
}
/// SDXC1.
pub fn sdxc1<O: Ops>(o: &mut O, a: &FpStoreX) -> R<O> {
    usable_for(o, Fmt::F64, &[a.fs])?;
    let at = indexed(o, a.base, a.index);
    store(o, Fmt::F64, at, a.fs)
}
/// LUXC1: the address's low bits are ignored.
pub fn luxc1<O: Ops>(o: &mut O, a: &FpLoadX) -> R<O> {
    usable64(o)?;
    let at = indexed(o, a.base, a.index);
    let at = o.bin_imm(Bin::AndNot, W::W64, at, 7);
    load(o, Fmt::F64, at, a.fd)
}
/// SUXC1: the address's low bits are ignored.
pub fn suxc1<O: Ops>(o: &mut O, a: &FpStoreX) -> R<O> {
    usable64(o)?;
    let at = indexed(o, a.base, a.index);
    let at = o.bin_imm(Bin::AndNot, W::W64, at, 7);
    store(o, Fmt::F64, at, a.fs)
}
/// PREFX: there is no cache to prefetch into, and it never faults.
pub fn prefx<O: Ops>(o: &mut O, _: &FpPrefix) -> R<O> {
    usable(o)?;
    Ok(Flow::Next)
}
