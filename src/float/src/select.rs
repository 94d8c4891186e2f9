//! Comparison, maximum and minimum.

use crate::env::{Env, Flags, Fmt, NanRule};
use crate::format::{Class, Double, Half, Layout, Parts, Single, inf, round_pack, unpack, zero};
use crate::nan;

/// The relation of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering4 {
    /// a < b
    Less,
    /// a = b
    Equal,
    /// a > b
    Greater,
    /// One is a NaN.
    Unordered,
}

impl Ordering4 {
    /// a = b
    #[inline]
    pub fn is_eq(self) -> bool {
        self == Ordering4::Equal
    }
    /// a < b
    #[inline]
    pub fn is_lt(self) -> bool {
        self == Ordering4::Less
    }
    /// a <= b
    #[inline]
    pub fn is_le(self) -> bool {
        matches!(self, Ordering4::Less | Ordering4::Equal)
    }
    /// a > b
    #[inline]
    pub fn is_gt(self) -> bool {
        self == Ordering4::Greater
    }
    /// a >= b
    #[inline]
    pub fn is_ge(self) -> bool {
        matches!(self, Ordering4::Greater | Ordering4::Equal)
    }
    /// One is a NaN.
    #[inline]
    pub fn is_unordered(self) -> bool {
        self == Ordering4::Unordered
    }
    /// The condition flags of Arm's FCMP, as N, Z, C, V from bit 3 to bit 0.
    #[inline]
    pub fn nzcv(self) -> u32 {
        match self {
            Ordering4::Less => 0b1000,
            Ordering4::Equal => 0b0110,
            Ordering4::Greater => 0b0010,
            Ordering4::Unordered => 0b0011,
        }
    }
}

/// Compares `a` with `b`. INVALID for a signalling NaN, and with `signal_all_nan` for a quiet one.
#[inline]
pub fn compare(fmt: Fmt, a: u64, b: u64, signal_all_nan: bool, env: &mut Env) -> Ordering4 {
    match fmt {
        Fmt::F16 => compare_in::<Half>(a, b, signal_all_nan, env),
        Fmt::F32 => compare_in::<Single>(a, b, signal_all_nan, env),
        Fmt::F64 => compare_in::<Double>(a, b, signal_all_nan, env),
    }
}

#[inline]
fn compare_in<L: Layout>(a: u64, b: u64, signal_all_nan: bool, env: &mut Env) -> Ordering4 {
    let x = unpack::<L>(a, env);
    let y = unpack::<L>(b, env);
    if x.is_nan() || y.is_nan() {
        let signalling = x.class == Class::Signalling || y.class == Class::Signalling;
        if signal_all_nan || signalling {
            env.raise(Flags::INVALID);
        }
        return Ordering4::Unordered;
    }
    match order::<L>(a, &x).cmp(&order::<L>(b, &y)) {
        core::cmp::Ordering::Less => Ordering4::Less,
        core::cmp::Ordering::Equal => Ordering4::Equal,
        core::cmp::Ordering::Greater => Ordering4::Greater,
    }
}

/// A key that orders values that are no NaN; both zeros, and what is flushed to them, are 0.
#[inline(always)]
fn order<L: Layout>(a: u64, x: &Parts) -> i64 {
    let magnitude = if x.is_zero() { 0 } else { (a & (L::SIGN - 1)) as i64 };
    if x.sign { -magnitude } else { magnitude }
}

/// The operand `a`, flushed as a result is.
#[inline(always)]
fn pack<L: Layout>(a: u64, x: &Parts, env: &mut Env) -> u64 {
    match x.class {
        Class::Zero => zero::<L>(x.sign),
        Class::Finite if x.exp < 1 - L::BIAS => round_pack::<L>(x.sign, x.exp, x.sig, env.rounding, env),
        _ => a & L::MASK,
    }
}

pub(crate) fn max_min<L: Layout>(a: u64, b: u64, max: bool, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    let y = unpack::<L>(b, env);
    if env.nan == NanRule::X86 {
        return max_min_x86::<L>((a, x), (b, y), max, env);
    }
    if x.is_nan() || y.is_nan() {
        return nan::process2::<L>(a, b, x.class, y.class, env);
    }
    let (p, q) = (order::<L>(a, &x), order::<L>(b, &y));
    let first = if max { p > q } else { p < q };
    let (raw, mut chosen) = if first { (a, x) } else { (b, y) };
    if x.is_zero() && y.is_zero() {
        chosen.sign = if max { x.sign && y.sign } else { x.sign || y.sign };
    }
    pack::<L>(raw, &chosen, env)
}

/// MAXSS and MINSS: the second operand unless the first is strictly beyond it.
fn max_min_x86<L: Layout>(a: (u64, Parts), b: (u64, Parts), max: bool, env: &mut Env) -> u64 {
    let first = if a.1.is_nan() || b.1.is_nan() {
        env.raise(Flags::INVALID);
        false
    } else {
        let (p, q) = (order::<L>(a.0, &a.1), order::<L>(b.0, &b.1));
        if max { p > q } else { p < q }
    };
    match if first { a } else { b } {
        (_, x) if x.is_zero() => zero::<L>(x.sign),
        (raw, _) => raw & L::MASK,
    }
}

pub(crate) fn max_min_number<L: Layout>(a: u64, b: u64, max: bool, env: &mut Env) -> u64 {
    // Only the classes are wanted here: flags of flushed inputs come from the operation itself.
    let mut scratch = *env;
    let x = unpack::<L>(a, &mut scratch).class;
    let y = unpack::<L>(b, &mut scratch).class;
    let (a, b) = match (x == Class::Quiet, y == Class::Quiet) {
        (true, false) => (inf::<L>(max), b),
        (false, true) => (a, inf::<L>(max)),
        _ => (a, b),
    };
    max_min::<L>(a, b, max, env)
}
