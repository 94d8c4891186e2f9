//! Loads and stores, exclusives and atomics.

use super::data::extended;
use super::{fp_check, mode, set_x, set_x_or_sp, x};
use crate::a64::*;
use crate::helpers;
use crate::state::{self, Mode};
use proteus_exec::ops::*;

/// An access of `1 << size` bytes as the mode has it.
#[inline(always)]
fn access<O: Ops>(o: &O, size: u32) -> Mem {
    let m = mode(o);
    Mem { align: if m.has(Mode::ALIGN) { 1 << size } else { 0 }, big: m.has(Mode::BIG), ..Mem::plain(size as u8) }
}

/// An access that must be aligned, whatever the mode: exclusive, atomic, ordered.
#[inline(always)]
fn aligned<O: Ops>(o: &O, size: u32) -> Mem {
    Mem { align: 1 << size, ..access(o, size) }
}

/// A sign-extending load; `w` extends to 32 bits only.
#[inline(always)]
fn signed(m: Mem, w: u32) -> Mem {
    Mem { extend: if w != 0 { Extend::Sign32 } else { Extend::Sign64 }, ..m }
}

/// The base address: Xn or SP. A misaligned SP faults where the mode asks for it.
#[inline(always)]
pub(super) fn base<O: Ops>(o: &mut O, rn: u32) -> Result<O::V, O::Fault> {
    let b = o.get(state::x(rn));
    if rn == 31 && mode(o).has(Mode::SP_ALIGN) {
        let low = o.bin_imm(Bin::And, W::W64, b, 15);
        let bad = o.cmp_imm(Cmp::Ne, W::W64, low, 0);
        o.trap_if(bad, helpers::SP_ALIGNMENT, &[])?;
    }
    Ok(b)
}

#[inline(always)]
fn offset<O: Ops>(o: &mut O, b: O::V, k: u64) -> O::V {
    if k == 0 { b } else { o.add_imm(W::W64, b, k) }
}

#[inline(always)]
fn load<O: Ops>(o: &mut O, m: Mem, rn: u32, imm: u64, rt: u32) -> R<O> {
    let b = base(o, rn)?;
    let a = offset(o, b, imm);
    let v = o.load(a, m)?;
    set_x(o, rt, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn store<O: Ops>(o: &mut O, m: Mem, rn: u32, imm: u64, rt: u32) -> R<O> {
    let b = base(o, rn)?;
    let a = offset(o, b, imm);
    let v = x(o, rt);
    o.store(a, m, v)?;
    Ok(Flow::Next)
}

/// Pre- or post-indexed: where the access is, and the base afterwards.
#[inline(always)]
fn indexed<O: Ops>(o: &mut O, rn: u32, imm: u64, pre: bool) -> Result<(O::V, O::V), O::Fault> {
    let b = base(o, rn)?;
    let moved = offset(o, b, imm);
    Ok((if pre { moved } else { b }, moved))
}

#[inline(always)]
fn load_indexed<O: Ops>(o: &mut O, m: Mem, a: (u32, i64, u32), pre: bool) -> R<O> {
    let (rn, imm, rt) = a;
    let (at, moved) = indexed(o, rn, imm as u64, pre)?;
    let v = o.load(at, m)?;
    set_x_or_sp(o, rn, moved);
    set_x(o, rt, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn store_indexed<O: Ops>(o: &mut O, m: Mem, a: (u32, i64, u32), pre: bool) -> R<O> {
    let (rn, imm, rt) = a;
    let (at, moved) = indexed(o, rn, imm as u64, pre)?;
    let v = x(o, rt);
    o.store(at, m, v)?;
    set_x_or_sp(o, rn, moved);
    Ok(Flow::Next)
}

/// Base plus extended, perhaps scaled index.
#[inline(always)]
fn register_offset<O: Ops>(o: &mut O, rn: u32, rm: u32, option: u32, shift: u32) -> Result<O::V, O::Fault> {
    let b = base(o, rn)?;
    let i = extended(o, rm, option, shift);
    Ok(o.add(W::W64, b, i))
}

/// LDR (immediate, unsigned offset), LDRB, LDRH.
pub fn ldr<O: Ops>(o: &mut O, a: &LdstUimm) -> R<O> {
    let m = access(o, a.size);
    load(o, m, a.rn, (a.imm as u64) << a.size, a.rt)
}
/// STR (immediate, unsigned offset), STRB, STRH.
pub fn str<O: Ops>(o: &mut O, a: &LdstUimm) -> R<O> {
    let m = access(o, a.size);
    store(o, m, a.rn, (a.imm as u64) << a.size, a.rt)
}
/// LDRSB, LDRSH, LDRSW (immediate, unsigned offset).
pub fn ldrs<O: Ops>(o: &mut O, a: &LdsxUimm) -> R<O> {
    let m = signed(access(o, a.size), a.w);
    load(o, m, a.rn, (a.imm as u64) << a.size, a.rt)
}
/// LDUR.
pub fn ldur<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    let m = access(o, a.size);
    load(o, m, a.rn, a.imm as u64, a.rt)
}
/// STUR.
pub fn stur<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    let m = access(o, a.size);
    store(o, m, a.rn, a.imm as u64, a.rt)
}
/// LDURSB, LDURSH, LDURSW.
pub fn ldurs<O: Ops>(o: &mut O, a: &LdsxImm) -> R<O> {
    let m = signed(access(o, a.size), a.w);
    load(o, m, a.rn, a.imm as u64, a.rt)
}

/// An access checked as EL0 makes it, from EL1 and without UAO.
#[inline(always)]
fn unprivileged<O: Ops>(o: &O, size: u32) -> Mem {
    let m = mode(o);
    Mem { unprivileged: m.el() == 1 && !m.has(Mode::UAO), ..access(o, size) }
}
/// LDTR.
pub fn ldtr<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    let m = unprivileged(o, a.size);
    load(o, m, a.rn, a.imm as u64, a.rt)
}
/// STTR.
pub fn sttr<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    let m = unprivileged(o, a.size);
    store(o, m, a.rn, a.imm as u64, a.rt)
}
/// LDTRSB, LDTRSH, LDTRSW.
pub fn ldtrs<O: Ops>(o: &mut O, a: &LdsxImm) -> R<O> {
    let m = signed(unprivileged(o, a.size), a.w);
    load(o, m, a.rn, a.imm as u64, a.rt)
}

/// LDR (immediate, post-indexed).
pub fn ldr_post<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    let m = access(o, a.size);
    load_indexed(o, m, (a.rn, a.imm, a.rt), false)
}
/// LDR (immediate, pre-indexed).
pub fn ldr_pre<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    let m = access(o, a.size);
    load_indexed(o, m, (a.rn, a.imm, a.rt), true)
}
/// STR (immediate, post-indexed).
pub fn str_post<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    let m = access(o, a.size);
    store_indexed(o, m, (a.rn, a.imm, a.rt), false)
}
/// STR (immediate, pre-indexed).
pub fn str_pre<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    let m = access(o, a.size);
    store_indexed(o, m, (a.rn, a.imm, a.rt), true)
}
/// LDRSB, LDRSH, LDRSW (post-indexed).
pub fn ldrs_post<O: Ops>(o: &mut O, a: &LdsxImm) -> R<O> {
    let m = signed(access(o, a.size), a.w);
    load_indexed(o, m, (a.rn, a.imm, a.rt), false)
}
/// LDRSB, LDRSH, LDRSW (pre-indexed).
pub fn ldrs_pre<O: Ops>(o: &mut O, a: &LdsxImm) -> R<O> {
    let m = signed(access(o, a.size), a.w);
    load_indexed(o, m, (a.rn, a.imm, a.rt), true)
}

/// LDR (register).
pub fn ldr_r<O: Ops>(o: &mut O, a: &LdstReg) -> R<O> {
    let m = access(o, a.size);
    let at = register_offset(o, a.rn, a.rm, a.option, a.s * a.size)?;
    let v = o.load(at, m)?;
    set_x(o, a.rt, v);
    Ok(Flow::Next)
}
/// STR (register).
pub fn str_r<O: Ops>(o: &mut O, a: &LdstReg) -> R<O> {
    let m = access(o, a.size);
    let at = register_offset(o, a.rn, a.rm, a.option, a.s * a.size)?;
    let v = x(o, a.rt);
    o.store(at, m, v)?;
    Ok(Flow::Next)
}
/// LDRSB, LDRSH, LDRSW (register).
pub fn ldrs_r<O: Ops>(o: &mut O, a: &LdsxReg) -> R<O> {
    let m = signed(access(o, a.size), a.w);
    let at = register_offset(o, a.rn, a.rm, a.option, a.s * a.size)?;
    let v = o.load(at, m)?;
    set_x(o, a.rt, v);
    Ok(Flow::Next)
}

/// LDR (literal).
pub fn ldr_lit<O: Ops>(o: &mut O, a: &Literal) -> R<O> {
    let m = access(o, a.size);
    let at = o.imm(o.pc().wrapping_add(a.imm as u64));
    let v = o.load(at, m)?;
    set_x(o, a.rt, v);
    Ok(Flow::Next)
}
/// LDRSW (literal).
pub fn ldrsw_lit<O: Ops>(o: &mut O, a: &Literal) -> R<O> {
    let m = signed(access(o, 2), 0);
    let at = o.imm(o.pc().wrapping_add(a.imm as u64));
    let v = o.load(at, m)?;
    set_x(o, a.rt, v);
    Ok(Flow::Next)
}

/// Prefetches do nothing: nothing here could be prefetched.
macro_rules! nothing {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        pub fn $name<O: Ops>(_: &mut O) -> R<O> {
            Ok(Flow::Next)
        }
    )*};
}
nothing! {
    /// PRFM (immediate).
    prfm,
    /// PRFUM.
    prfum,
    /// PRFM (register).
    prfm_r,
    /// PRFM (literal).
    prfm_lit
}

/// How a pair's base moves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    Offset,
    Pre,
    Post,
}

/// Addresses of a pair's two elements, and the base afterwards.
type PairAddress<V> = (V, V, V);

#[inline(always)]
fn pair_address<O: Ops>(o: &mut O, rn: u32, imm: u64, bytes: u64, index: Index) -> Result<PairAddress<O::V>, O::Fault> {
    let b = base(o, rn)?;
    let moved = offset(o, b, imm);
    let first = if index == Index::Post { b } else { moved };
    let second = offset(o, first, bytes);
    Ok((first, second, moved))
}

#[inline(always)]
fn load_pair<O: Ops>(o: &mut O, a: &Pair, sign: bool, index: Index) -> R<O> {
    let m = access(o, a.size);
    let m = if sign { signed(m, 0) } else { m };
    let (p, q, moved) = pair_address(o, a.rn, (a.imm << a.size) as u64, m.bytes(), index)?;
    let v = o.load(p, m)?;
    let u = o.load(q, m)?;
    if index != Index::Offset {
        set_x_or_sp(o, a.rn, moved);
    }
    set_x(o, a.rt, v);
    set_x(o, a.rt2, u);
    Ok(Flow::Next)
}

#[inline(always)]
fn store_pair<O: Ops>(o: &mut O, a: &Pair, index: Index) -> R<O> {
    let m = access(o, a.size);
    let (p, q, moved) = pair_address(o, a.rn, (a.imm << a.size) as u64, m.bytes(), index)?;
    let v = x(o, a.rt);
    let u = x(o, a.rt2);
    o.store(p, m, v)?;
    o.store(q, m, u)?;
    if index != Index::Offset {
        set_x_or_sp(o, a.rn, moved);
    }
    Ok(Flow::Next)
}

macro_rules! pairs {
    ($($(#[$doc:meta])* $name:ident = $f:ident($($arg:expr),*);)*) => {$(
        $(#[$doc])*
        pub fn $name<O: Ops>(o: &mut O, a: &Pair) -> R<O> {
            $f(o, a, $($arg),*)
        }
    )*};
}
pairs! {
    /// LDP.
    ldp = load_pair(false, Index::Offset);
    /// LDP (pre-indexed).
    ldp_pre = load_pair(false, Index::Pre);
    /// LDP (post-indexed).
    ldp_post = load_pair(false, Index::Post);
    /// LDNP.
    ldnp = load_pair(false, Index::Offset);
    /// LDPSW.
    ldpsw = load_pair(true, Index::Offset);
    /// LDPSW (pre-indexed).
    ldpsw_pre = load_pair(true, Index::Pre);
    /// LDPSW (post-indexed).
    ldpsw_post = load_pair(true, Index::Post);
    /// STP.
    stp = store_pair(Index::Offset);
    /// STP (pre-indexed).
    stp_pre = store_pair(Index::Pre);
    /// STP (post-indexed).
    stp_post = store_pair(Index::Post);
    /// STNP.
    stnp = store_pair(Index::Offset);
}

// ---- FP and SIMD registers. A Q register is two accesses of eight bytes.

/// Loads `1 << size` bytes as the two words of a vector register.
#[inline(always)]
fn load_vector<O: Ops>(o: &mut O, at: O::V, size: u32) -> Result<(O::V, O::V), O::Fault> {
    if size < 4 {
        let m = access(o, size);
        let low = o.load(at, m)?;
        return Ok((low, o.imm(0)));
    }
    let m = quad(o);
    let low = o.load(at, m)?;
    let next = o.add_imm(W::W64, at, 8);
    // Only the first half's alignment is checked: the second is then aligned to eight bytes.
    let high = o.load(next, Mem { align: m.align.min(8), ..m })?;
    Ok(if m.big { (high, low) } else { (low, high) })
}

#[inline(always)]
fn quad<O: Ops>(o: &O) -> Mem {
    let m = access(o, 3);
    Mem { align: if m.align != 0 { 16 } else { 0 }, ..m }
}

#[inline(always)]
fn set_vector<O: Ops>(o: &mut O, rt: u32, v: (O::V, O::V)) {
    o.set(state::v(rt), v.0);
    o.set(state::v(rt).at(1), v.1);
}

#[inline(always)]
fn store_vector<O: Ops>(o: &mut O, at: O::V, size: u32, rt: u32) -> Result<(), O::Fault> {
    let low = o.get(state::v(rt));
    if size < 4 {
        let m = access(o, size);
        return o.store(at, m, low);
    }
    let high = o.get(state::v(rt).at(1));
    let m = quad(o);
    // As for the load, the first half's alignment is all.
    let second = Mem { align: m.align.min(8), ..m };
    let (first_value, second_value) = if m.big { (high, low) } else { (low, high) };
    o.store(at, m, first_value)?;
    let next = o.add_imm(W::W64, at, 8);
    o.store(next, second, second_value)
}

/// LDR (immediate, SIMD&FP, unsigned offset).
pub fn ldr_v<O: Ops>(o: &mut O, a: &LdstUimm) -> R<O> {
    fp_check(o)?;
    let b = base(o, a.rn)?;
    let at = offset(o, b, (a.imm as u64) << a.size);
    let v = load_vector(o, at, a.size)?;
    set_vector(o, a.rt, v);
    Ok(Flow::Next)
}
/// STR (immediate, SIMD&FP, unsigned offset).
pub fn str_v<O: Ops>(o: &mut O, a: &LdstUimm) -> R<O> {
    fp_check(o)?;
    let b = base(o, a.rn)?;
    let at = offset(o, b, (a.imm as u64) << a.size);
    store_vector(o, at, a.size, a.rt)?;
    Ok(Flow::Next)
}

#[inline(always)]
fn load_v_indexed<O: Ops>(o: &mut O, a: &LdstImm, index: Index) -> R<O> {
    fp_check(o)?;
    let (at, moved) = indexed(o, a.rn, a.imm as u64, index != Index::Post)?;
    let v = load_vector(o, at, a.size)?;
    if index != Index::Offset {
        set_x_or_sp(o, a.rn, moved);
    }
    set_vector(o, a.rt, v);
    Ok(Flow::Next)
}
#[inline(always)]
fn store_v_indexed<O: Ops>(o: &mut O, a: &LdstImm, index: Index) -> R<O> {
    fp_check(o)?;
    let (at, moved) = indexed(o, a.rn, a.imm as u64, index != Index::Post)?;
    store_vector(o, at, a.size, a.rt)?;
    if index != Index::Offset {
        set_x_or_sp(o, a.rn, moved);
    }
    Ok(Flow::Next)
}
/// LDUR (SIMD&FP).
pub fn ldur_v<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    load_v_indexed(o, a, Index::Offset)
}
/// STUR (SIMD&FP).
pub fn stur_v<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    store_v_indexed(o, a, Index::Offset)
}
/// LDR (SIMD&FP, post-indexed).
pub fn ldr_v_post<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    load_v_indexed(o, a, Index::Post)
}
/// LDR (SIMD&FP, pre-indexed).
pub fn ldr_v_pre<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    load_v_indexed(o, a, Index::Pre)
}
/// STR (SIMD&FP, post-indexed).
pub fn str_v_post<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    store_v_indexed(o, a, Index::Post)
}
/// STR (SIMD&FP, pre-indexed).
pub fn str_v_pre<O: Ops>(o: &mut O, a: &LdstImm) -> R<O> {
    store_v_indexed(o, a, Index::Pre)
}
/// LDR (register, SIMD&FP).
pub fn ldr_v_r<O: Ops>(o: &mut O, a: &LdstReg) -> R<O> {
    fp_check(o)?;
    let at = register_offset(o, a.rn, a.rm, a.option, a.s * a.size)?;
    let v = load_vector(o, at, a.size)?;
    set_vector(o, a.rt, v);
    Ok(Flow::Next)
}
/// STR (register, SIMD&FP).
pub fn str_v_r<O: Ops>(o: &mut O, a: &LdstReg) -> R<O> {
    fp_check(o)?;
    let at = register_offset(o, a.rn, a.rm, a.option, a.s * a.size)?;
    store_vector(o, at, a.size, a.rt)?;
    Ok(Flow::Next)
}
/// LDR (literal, SIMD&FP).
pub fn ldr_lit_v<O: Ops>(o: &mut O, a: &LiteralV) -> R<O> {
    fp_check(o)?;
    let at = o.imm(o.pc().wrapping_add(a.imm as u64));
    let v = load_vector(o, at, a.opc + 2)?;
    set_vector(o, a.rt, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn load_pair_v<O: Ops>(o: &mut O, a: &PairV, index: Index) -> R<O> {
    fp_check(o)?;
    let size = a.opc + 2;
    let (p, q, moved) = pair_address(o, a.rn, (a.imm << size) as u64, 1 << size, index)?;
    let v = load_vector(o, p, size)?;
    let u = load_vector(o, q, size)?;
    if index != Index::Offset {
        set_x_or_sp(o, a.rn, moved);
    }
    set_vector(o, a.rt, v);
    set_vector(o, a.rt2, u);
    Ok(Flow::Next)
}
#[inline(always)]
fn store_pair_v<O: Ops>(o: &mut O, a: &PairV, index: Index) -> R<O> {
    fp_check(o)?;
    let size = a.opc + 2;
    let (p, q, moved) = pair_address(o, a.rn, (a.imm << size) as u64, 1 << size, index)?;
    store_vector(o, p, size, a.rt)?;
    store_vector(o, q, size, a.rt2)?;
    if index != Index::Offset {
        set_x_or_sp(o, a.rn, moved);
    }
    Ok(Flow::Next)
}
/// LDP (SIMD&FP).
pub fn ldp_v<O: Ops>(o: &mut O, a: &PairV) -> R<O> {
    load_pair_v(o, a, Index::Offset)
}
/// LDP (SIMD&FP, pre-indexed).
pub fn ldp_v_pre<O: Ops>(o: &mut O, a: &PairV) -> R<O> {
    load_pair_v(o, a, Index::Pre)
}
/// LDP (SIMD&FP, post-indexed).
pub fn ldp_v_post<O: Ops>(o: &mut O, a: &PairV) -> R<O> {
    load_pair_v(o, a, Index::Post)
}
/// LDNP (SIMD&FP).
pub fn ldnp_v<O: Ops>(o: &mut O, a: &PairV) -> R<O> {
    load_pair_v(o, a, Index::Offset)
}
/// STP (SIMD&FP).
pub fn stp_v<O: Ops>(o: &mut O, a: &PairV) -> R<O> {
    store_pair_v(o, a, Index::Offset)
}
/// STP (SIMD&FP, pre-indexed).
pub fn stp_v_pre<O: Ops>(o: &mut O, a: &PairV) -> R<O> {
    store_pair_v(o, a, Index::Pre)
}
/// STP (SIMD&FP, post-indexed).
pub fn stp_v_post<O: Ops>(o: &mut O, a: &PairV) -> R<O> {
    store_pair_v(o, a, Index::Post)
}
/// STNP (SIMD&FP).
pub fn stnp_v<O: Ops>(o: &mut O, a: &PairV) -> R<O> {
    store_pair_v(o, a, Index::Offset)
}

// ---- Exclusive and ordered.

/// LDXR, LDAXR: the monitor watches the address and remembers the value.
pub fn ldxr<O: Ops>(o: &mut O, a: &LoadExcl) -> R<O> {
    let m = Mem { order: acquire(a.ordered), ..aligned(o, a.size) };
    let at = base(o, a.rn)?;
    let v = o.load(at, m)?;
    let size = o.imm(a.size as u64);
    o.set(state::EXCL_ADDRESS, at);
    o.set(state::EXCL_LOW, v);
    o.set(state::EXCL_SIZE, size);
    set_x(o, a.rt, v);
    Ok(Flow::Next)
}

#[inline(always)]
fn acquire(ordered: u32) -> Order {
    if ordered != 0 { Order::Acquire } else { Order::Plain }
}

/// Argument word of the exclusive helpers: log2 of the bytes of one register, and big-endian.
#[inline(always)]
fn excl_size<O: Ops>(o: &mut O, size: u32) -> O::V {
    let big = mode(o).has(Mode::BIG) as u64;
    o.imm(size as u64 | big << 8)
}

/// STXR, STLXR: stores where memory still holds what the load-exclusive read.
pub fn stxr<O: Ops>(o: &mut O, a: &StoreExcl) -> R<O> {
    let at = base(o, a.rn)?;
    let v = x(o, a.rt);
    let size = excl_size(o, a.size);
    let status = o.call(helpers::STORE_EXCLUSIVE, &[at, size, v])?;
    set_x(o, a.rs, status);
    Ok(Flow::Next)
}

/// LDXP, LDAXP.
pub fn ldxp<O: Ops>(o: &mut O, a: &LoadExclPair) -> R<O> {
    let at = base(o, a.rn)?;
    let size = excl_size(o, a.size);
    let low = o.call(helpers::LOAD_EXCLUSIVE_PAIR, &[at, size])?;
    if a.size == 2 {
        let first = o.un(Un::Zext32, W::W64, low);
        let second = o.bin_imm(Bin::Shr, W::W64, low, 32);
        let (first, second) = if mode(o).has(Mode::BIG) { (second, first) } else { (first, second) };
        set_x(o, a.rt, first);
        set_x(o, a.rt2, second);
    } else {
        let high = o.get(state::EXCL_HIGH);
        set_x(o, a.rt, low);
        set_x(o, a.rt2, high);
    }
    Ok(Flow::Next)
}

/// STXP, STLXP.
pub fn stxp<O: Ops>(o: &mut O, a: &StoreExclPair) -> R<O> {
    let at = base(o, a.rn)?;
    let v = x(o, a.rt);
    let u = x(o, a.rt2);
    let size = excl_size(o, a.size);
    let status = o.call(helpers::STORE_EXCLUSIVE_PAIR, &[at, size, v, u])?;
    set_x(o, a.rs, status);
    Ok(Flow::Next)
}

/// CLREX.
pub fn clrex<O: Ops>(o: &mut O) -> R<O> {
    let none = o.imm(state::NO_EXCLUSIVE);
    o.set(state::EXCL_ADDRESS, none);
    Ok(Flow::Next)
}

#[inline(always)]
fn load_ordered<O: Ops>(o: &mut O, m: Mem, rn: u32, imm: i64, rt: u32) -> R<O> {
    let m = Mem { order: Order::Acquire, ..m };
    load(o, m, rn, imm as u64, rt)
}
#[inline(always)]
fn store_ordered<O: Ops>(o: &mut O, m: Mem, rn: u32, imm: i64, rt: u32) -> R<O> {
    let m = Mem { order: Order::Release, ..m };
    store(o, m, rn, imm as u64, rt)
}
/// LDAR.
pub fn ldar<O: Ops>(o: &mut O, a: &Ordered) -> R<O> {
    let m = aligned(o, a.size);
    load_ordered(o, m, a.rn, 0, a.rt)
}
/// STLR.
pub fn stlr<O: Ops>(o: &mut O, a: &Ordered) -> R<O> {
    let m = aligned(o, a.size);
    store_ordered(o, m, a.rn, 0, a.rt)
}
/// LDLAR.
pub fn ldlar<O: Ops>(o: &mut O, a: &Ordered) -> R<O> {
    ldar(o, a)
}
/// STLLR.
pub fn stllr<O: Ops>(o: &mut O, a: &Ordered) -> R<O> {
    stlr(o, a)
}
/// LDAPR.
pub fn ldapr<O: Ops>(o: &mut O, a: &Ordered) -> R<O> {
    ldar(o, a)
}
/// LDAPUR.
pub fn ldapur<O: Ops>(o: &mut O, a: &OrderedImm) -> R<O> {
    let m = aligned(o, a.size);
    load_ordered(o, m, a.rn, a.imm, a.rt)
}
/// LDAPURSB, LDAPURSH, LDAPURSW.
pub fn ldapurs<O: Ops>(o: &mut O, a: &OrderedSx) -> R<O> {
    let m = signed(aligned(o, a.size), a.w);
    load_ordered(o, m, a.rn, a.imm, a.rt)
}
/// STLUR.
pub fn stlur<O: Ops>(o: &mut O, a: &OrderedImm) -> R<O> {
    let m = aligned(o, a.size);
    store_ordered(o, m, a.rn, a.imm, a.rt)
}

// ---- LSE atomics. They are sequentially consistent whatever order they ask for.

#[inline(always)]
fn rmw<O: Ops>(o: &mut O, a: &Atomic, op: Rmw) -> R<O> {
    let m = aligned(o, a.size);
    let at = base(o, a.rn)?;
    let v = x(o, a.rs);
    let old = o.rmw(op, at, m, v)?;
    set_x(o, a.rt, old);
    Ok(Flow::Next)
}
macro_rules! atomics {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name<O: Ops>(o: &mut O, a: &Atomic) -> R<O> {
            rmw(o, a, Rmw::$op)
        }
    )*};
}
atomics! {
    /// LDADD.
    ldadd = Add;
    /// LDCLR.
    ldclr = Clear;
    /// LDEOR.
    ldeor = Xor;
    /// LDSET.
    ldset = Set;
    /// LDSMAX.
    ldsmax = SMax;
    /// LDSMIN.
    ldsmin = SMin;
    /// LDUMAX.
    ldumax = UMax;
    /// LDUMIN.
    ldumin = UMin;
    /// SWP.
    swp = Swap;
}

/// CAS.
pub fn cas<O: Ops>(o: &mut O, a: &Atomic) -> R<O> {
    let m = aligned(o, a.size);
    let at = base(o, a.rn)?;
    let expected = x(o, a.rs);
    let new = x(o, a.rt);
    let old = o.cas(at, m, expected, new)?;
    set_x(o, a.rs, old);
    Ok(Flow::Next)
}

/// CASP.
pub fn casp<O: Ops>(o: &mut O, a: &Atomic) -> R<O> {
    let at = base(o, a.rn)?;
    let big = mode(o).has(Mode::BIG) as u64;
    let k = o.imm(a.size as u64 | big << 8 | (a.rs as u64) << 16 | (a.rt as u64) << 24);
    o.call(helpers::CAS_PAIR, &[at, k])?;
    Ok(Flow::Next)
}
