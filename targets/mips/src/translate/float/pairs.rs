//! Paired single: two singles in a 64-bit register. With registers of 32 bits they do not exist.

use super::*;

/// The upper half of a value.
#[inline(always)]
fn upper<O: Ops>(o: &mut O, v: O::V) -> O::V {
    o.bin_imm(Bin::Shr, W::W64, v, 32)
}

/// A pair of the low halves of two values.
#[inline(always)]
fn join<O: Ops>(o: &mut O, high: O::V, low: O::V) -> O::V {
    let high = o.bin_imm(Bin::Shl, W::W64, high, 32);
    let low = o.un(Un::Zext32, W::W64, low);
    o.bin(Bin::Or, W::W64, high, low)
}

/// An instruction that computes each half of `fd` from those halves of other registers. What both
/// raise is raised together.
#[inline(always)]
fn each<O: Ops, const N: usize>(o: &mut O, from: [u32; N], fd: u32, f: impl Fn(&mut O, [O::V; N]) -> O::V) -> R<O> {
    usable64(o)?;
    let low = from.map(|r| o.get(state::f(r)));
    let high = low.map(|v| upper(o, v));
    begin(o);
    let low = f(o, low);
    let high = f(o, high);
    check(o)?;
    let v = join(o, high, low);
    o.set(state::f(fd), v);
    Ok(Flow::Next)
}

#[inline(always)]
fn two_ps<O: Ops>(o: &mut O, a: &FpPair3, op: FpOp) -> R<O> {
    each(o, [a.fs, a.ft], a.fd, |o, [l, r]| compute2(o, op, Fmt::F32, l, r))
}
/// ADD.PS.
pub fn add_ps<O: Ops>(o: &mut O, a: &FpPair3) -> R<O> {
    two_ps(o, a, FpOp::Add)
}
/// SUB.PS.
pub fn sub_ps<O: Ops>(o: &mut O, a: &FpPair3) -> R<O> {
    two_ps(o, a, FpOp::Sub)
}
/// MUL.PS.
pub fn mul_ps<O: Ops>(o: &mut O, a: &FpPair3) -> R<O> {
    two_ps(o, a, FpOp::Mul)
}
/// ABS.PS.
pub fn abs_ps<O: Ops>(o: &mut O, a: &FpPair2) -> R<O> {
    each(o, [a.fs], a.fd, |o, [v]| absolute(o, Fmt::F32, v))
}
/// NEG.PS.
pub fn neg_ps<O: Ops>(o: &mut O, a: &FpPair2) -> R<O> {
    each(o, [a.fs], a.fd, |o, [v]| negated(o, Fmt::F32, v))
}

#[inline(always)]
fn madd_pairs<O: Ops>(o: &mut O, a: &FpMaddPair, op: FpOp, negate: bool) -> R<O> {
    each(o, [a.fs, a.ft, a.fr], a.fd, |o, v| multiply_add(o, op, negate, Fmt::F32, v))
}
/// MADD.PS.
pub fn madd_ps<O: Ops>(o: &mut O, a: &FpMaddPair) -> R<O> {
    madd_pairs(o, a, FpOp::Add, false)
}
/// MSUB.PS.
pub fn msub_ps<O: Ops>(o: &mut O, a: &FpMaddPair) -> R<O> {
    madd_pairs(o, a, FpOp::Sub, false)
}
/// NMADD.PS.
pub fn nmadd_ps<O: Ops>(o: &mut O, a: &FpMaddPair) -> R<O> {
    madd_pairs(o, a, FpOp::Add, true)
}
/// NMSUB.PS.
pub fn nmsub_ps<O: Ops>(o: &mut O, a: &FpMaddPair) -> R<O> {
    madd_pairs(o, a, FpOp::Sub, true)
}

/// C.cond.PS: the lower halves decide `cc`, the upper ones the next, of which an odd one is
/// UNPREDICTABLE.
pub fn c_cond_ps<O: Ops>(o: &mut O, a: &FpComparePair) -> R<O> {
    usable64(o)?;
    let l = o.get(state::f(a.fs));
    let r = o.get(state::f(a.ft));
    let (lh, rh) = (upper(o, l), upper(o, r));
    begin(o);
    let low = compared(o, a.cond, Fmt::F32, l, r);
    let high = compared(o, a.cond, Fmt::F32, lh, rh);
    check(o)?;
    let fcsr = o.get(state::FCSR);
    let fcsr = with_condition(o, fcsr, a.cc, low);
    let fcsr = with_condition(o, fcsr, a.cc + 1, high);
    o.set(state::FCSR, fcsr);
    Ok(Flow::Next)
}

// ---- Moves, which raise nothing.

/// MOV.PS.
pub fn mov_ps<O: Ops>(o: &mut O, a: &FpPair2) -> R<O> {
    usable64(o)?;
    let v = o.get(state::f(a.fs));
    o.set(state::f(a.fd), v);
    Ok(Flow::Next)
}
/// MOVF.PS and MOVT.PS: a condition code for each half.
pub fn movcf_ps<O: Ops>(o: &mut O, a: &FpMovcfPair) -> R<O> {
    usable64(o)?;
    let low = holds(o, a.cc, a.tf);
    let high = holds(o, a.cc + 1, a.tf);
    let new = o.get(state::f(a.fs));
    let old = o.get(state::f(a.fd));
    let (new_high, old_high) = (upper(o, new), upper(o, old));
    let l = o.select(low, new, old);
    let h = o.select(high, new_high, old_high);
    let v = join(o, h, l);
    o.set(state::f(a.fd), v);
    Ok(Flow::Next)
}
#[inline(always)]
fn move_pair<O: Ops>(o: &mut O, a: &FpMovrtPair, zero: bool) -> R<O> {
    usable64(o)?;
    let c = is_zero(o, a.rt, zero);
    move_if(o, Fmt::F64, c, a.fs, a.fd)
}
/// MOVZ.PS.
pub fn movz_ps<O: Ops>(o: &mut O, a: &FpMovrtPair) -> R<O> {
    move_pair(o, a, true)
}
/// MOVN.PS.
pub fn movn_ps<O: Ops>(o: &mut O, a: &FpMovrtPair) -> R<O> {
    move_pair(o, a, false)
}
/// Half `fs_high` of fs above half `ft_high` of ft.
#[inline(always)]
fn merge<O: Ops>(o: &mut O, a: &FpPair3, fs_high: bool, ft_high: bool) -> R<O> {
    usable64(o)?;
    let mut high = o.get(state::f(a.fs));
    if fs_high {
        high = upper(o, high);
    }
    let mut low = o.get(state::f(a.ft));
    if ft_high {
        low = upper(o, low);
    }
    let v = join(o, high, low);
    o.set(state::f(a.fd), v);
    Ok(Flow::Next)
}
/// CVT.PS.S, which is a move.
pub fn cvt_ps_s<O: Ops>(o: &mut O, a: &FpPair3) -> R<O> {
    merge(o, a, false, false)
}
/// PLL.PS.
pub fn pll_ps<O: Ops>(o: &mut O, a: &FpPair3) -> R<O> {
    merge(o, a, false, false)
}
/// PLU.PS.
pub fn plu_ps<O: Ops>(o: &mut O, a: &FpPair3) -> R<O> {
    merge(o, a, false, true)
}
/// PUL.PS.
pub fn pul_ps<O: Ops>(o: &mut O, a: &FpPair3) -> R<O> {
    merge(o, a, true, false)
}
/// PUU.PS.
pub fn puu_ps<O: Ops>(o: &mut O, a: &FpPair3) -> R<O> {
    merge(o, a, true, true)
}
/// CVT.S.PL: a move, but as of an arithmetic instruction Cause tells of nothing afterwards.
pub fn cvt_s_pl<O: Ops>(o: &mut O, a: &FpPair2) -> R<O> {
    usable64(o)?;
    let v = o.get(state::f(a.fs));
    begin(o);
    write_word(o, a.fd, v);
    Ok(Flow::Next)
}
/// CVT.S.PU: as CVT.S.PL.
pub fn cvt_s_pu<O: Ops>(o: &mut O, a: &FpPair2) -> R<O> {
    usable64(o)?;
    let v = o.get(state::f(a.fs));
    let v = upper(o, v);
    begin(o);
    write_word(o, a.fd, v);
    Ok(Flow::Next)
}
/// ALNV.PS: four bytes of one pair and four of the next, by an address. One that is no multiple
/// of four is UNPREDICTABLE: fd stays.
pub fn alnv_ps<O: Ops>(o: &mut O, a: &Alnv) -> R<O> {
    usable64(o)?;
    let rs = gpr(o, a.rs);
    let rest = o.bin_imm(Bin::And, W::W64, rs, 7);
    let fs = o.get(state::f(a.fs));
    let ft = o.get(state::f(a.ft));
    let old = o.get(state::f(a.fd));
    let across = if mode(o).has(Mode::BIG) {
        let low = upper(o, ft);
        join(o, fs, low)
    } else {
        let low = upper(o, fs);
        join(o, ft, low)
    };
    let whole = o.cmp_imm(Cmp::Eq, W::W64, rest, 0);
    let v = o.select(whole, fs, old);
    let half = o.cmp_imm(Cmp::Eq, W::W64, rest, 4);
    let v = o.select(half, across, v);
    o.set(state::f(a.fd), v);
    Ok(Flow::Next)
}
