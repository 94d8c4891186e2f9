//! Addition, multiplication, division, square root, fused multiply-add.

use crate::env::Env;
use crate::format::{Class, Layout, Parts, exact_zero, high_jam, inf, round_pack, shr_jam, shr_jam128, unpack, zero};
use crate::nan;

/// a + b, or a - b.
#[inline]
pub(crate) fn add<L: Layout>(a: u64, b: u64, subtract: bool, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    let mut y = unpack::<L>(b, env);
    if x.is_finite() && y.is_finite() {
        y.sign ^= subtract;
        return add_finite::<L>(x, y, env);
    }
    if x.is_nan() || y.is_nan() {
        return nan::process2::<L>(a, b, x.class, y.class, env);
    }
    y.sign ^= subtract;
    match (x.class, y.class) {
        (Class::Inf, Class::Inf) if x.sign != y.sign => nan::invalid::<L>(env),
        (Class::Inf, _) => inf::<L>(x.sign),
        (_, Class::Inf) => inf::<L>(y.sign),
        (Class::Zero, Class::Zero) if x.sign == y.sign => zero::<L>(x.sign),
        (Class::Zero, Class::Zero) => exact_zero::<L>(env),
        (Class::Zero, _) => round_pack::<L>(y.sign, y.exp, y.sig, env.rounding, env),
        _ => round_pack::<L>(x.sign, x.exp, x.sig, env.rounding, env),
    }
}

#[inline(always)]
fn add_finite<L: Layout>(x: Parts, y: Parts, env: &mut Env) -> u64 {
    let (big, small) = if (x.exp, x.sig) >= (y.exp, y.sig) { (x, y) } else { (y, x) };
    let aligned = shr_jam(small.sig, (big.exp - small.exp) as u32);
    let r = env.rounding;
    if x.sign == y.sign {
        let (sum, carry) = big.sig.overflowing_add(aligned);
        if carry {
            let sig = 1 << 63 | sum >> 1 | sum & 1;
            return round_pack::<L>(big.sign, big.exp + 1, sig, r, env);
        }
        return round_pack::<L>(big.sign, big.exp, sum, r, env);
    }
    let difference = big.sig - aligned;
    if difference == 0 {
        return exact_zero::<L>(env);
    }
    let lz = difference.leading_zeros();
    round_pack::<L>(big.sign, big.exp - lz as i32, difference << lz, r, env)
}

/// The exact product of two finite values, with bit 127 set.
#[inline(always)]
fn product(x: &Parts, y: &Parts) -> (i32, u128) {
    let p = x.sig as u128 * y.sig as u128;
    let top = (p >> 127) as u32;
    (x.exp + y.exp + top as i32, p << (1 - top))
}

/// a * b; `extended` makes infinity times zero 2 (Arm FMULX).
#[inline]
pub(crate) fn mul<L: Layout>(a: u64, b: u64, extended: bool, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    let y = unpack::<L>(b, env);
    let sign = x.sign ^ y.sign;
    if x.is_finite() && y.is_finite() {
        let (exp, sig) = product(&x, &y);
        return round_pack::<L>(sign, exp, high_jam(sig), env.rounding, env);
    }
    if x.is_nan() || y.is_nan() {
        return nan::process2::<L>(a, b, x.class, y.class, env);
    }
    match (x.class, y.class) {
        (Class::Inf, Class::Zero) | (Class::Zero, Class::Inf) => {
            if extended {
                zero::<L>(sign) | (L::BIAS as u64 + 1) << L::FRAC
            } else {
                nan::invalid::<L>(env)
            }
        }
        (Class::Inf, _) | (_, Class::Inf) => inf::<L>(sign),
        _ => zero::<L>(sign),
    }
}

/// a / b
#[inline]
pub(crate) fn div<L: Layout>(a: u64, b: u64, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    let y = unpack::<L>(b, env);
    let sign = x.sign ^ y.sign;
    if x.is_finite() && y.is_finite() {
        let below = x.sig < y.sig;
        let exp = x.exp - y.exp - below as i32;
        let sig = if L::FRAC < 31 {
            // Both significands are in their upper 32 bits: one 64-bit division is enough.
            let n = x.sig >> !below as u32;
            let d = y.sig >> 32;
            let (quotient, rest) = (n / d, n % d);
            quotient << 32 | (rest != 0) as u64
        } else {
            let n = (x.sig as u128) << (63 + below as u32);
            let d = y.sig as u128;
            let (quotient, rest) = (n / d, n % d);
            quotient as u64 | (rest != 0) as u64
        };
        return round_pack::<L>(sign, exp, sig, env.rounding, env);
    }
    if x.is_nan() || y.is_nan() {
        return nan::process2::<L>(a, b, x.class, y.class, env);
    }
    match (x.class, y.class) {
        (Class::Inf, Class::Inf) | (Class::Zero, Class::Zero) => nan::invalid::<L>(env),
        (Class::Inf, _) => inf::<L>(sign),
        (_, Class::Zero) => {
            env.raise(crate::Flags::DIVZERO);
            inf::<L>(sign)
        }
        _ => zero::<L>(sign),
    }
}

/// The square root.
#[inline]
pub(crate) fn sqrt<L: Layout>(a: u64, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    if x.is_nan() {
        return nan::process1::<L>(a, x.class, env);
    }
    if x.is_zero() {
        return zero::<L>(x.sign);
    }
    if x.sign {
        return nan::invalid::<L>(env);
    }
    if x.is_inf() {
        return inf::<L>(false);
    }
    // The host's root of the significand is nearest to the root of 53 bits; the sign of what is
    // left of the radicand tells on which side the root lies, which is all that rounding needs.
    // The operand's conversion and the scaling are exact, the result below 2^53.
    let odd = (x.exp & 1) as u32;
    let significand = (x.sig >> 11) << odd;
    let nearest = ((significand as i64 as f64).sqrt() * (1u64 << 26) as f64) as i64 as u64;
    let rest = ((significand as u128) << 52).cmp(&(nearest as u128 * nearest as u128));
    let root = (nearest << 11).wrapping_add_signed(rest as i64);
    round_pack::<L>(false, x.exp >> 1, root, env.rounding, env)
}

/// addend + x * y for finite or zero operands before rounding; `None` where exactly zero.
#[inline(always)]
fn fused(addend: &Parts, x: &Parts, y: &Parts) -> Option<(bool, i32, u64)> {
    if x.is_zero() || y.is_zero() {
        return addend.is_finite().then_some((addend.sign, addend.exp, addend.sig));
    }
    let sign = x.sign ^ y.sign;
    let (exp, sig) = product(x, y);
    if addend.is_zero() {
        return Some((sign, exp, high_jam(sig)));
    }
    let p = (exp, sig, sign);
    let c = (addend.exp, (addend.sig as u128) << 64, addend.sign);
    let (big, small) = if (p.0, p.1) >= (c.0, c.1) { (p, c) } else { (c, p) };
    let aligned = shr_jam128(small.1, (big.0 - small.0) as u32);
    if big.2 == small.2 {
        let (sum, carry) = big.1.overflowing_add(aligned);
        return Some(if carry { (big.2, big.0 + 1, 1 << 63 | high_jam(sum >> 1 | sum & 1)) } else { (big.2, big.0, high_jam(sum)) });
    }
    let difference = big.1 - aligned;
    if difference == 0 {
        return None;
    }
    let lz = difference.leading_zeros();
    Some((big.2, big.0 - lz as i32, high_jam(difference << lz)))
}

/// addend + a * b, rounded once.
#[inline]
pub(crate) fn fma<L: Layout>(addend: u64, a: u64, b: u64, env: &mut Env) -> u64 {
    let c = unpack::<L>(addend, env);
    let x = unpack::<L>(a, env);
    let y = unpack::<L>(b, env);
    if c.is_nan() || x.is_nan() || y.is_nan() {
        return nan::process3::<L>((addend, c.class), (a, x.class), (b, y.class), env);
    }
    let sign = x.sign ^ y.sign;
    if x.is_inf() || y.is_inf() {
        if x.is_zero() || y.is_zero() || (c.is_inf() && c.sign != sign) {
            return nan::invalid::<L>(env);
        }
        return inf::<L>(sign);
    }
    if c.is_inf() {
        return inf::<L>(c.sign);
    }
    match fused(&c, &x, &y) {
        Some((sign, exp, sig)) => round_pack::<L>(sign, exp, sig, env.rounding, env),
        None if c.is_zero() && c.sign == sign => zero::<L>(sign),
        None => exact_zero::<L>(env),
    }
}

/// The Newton-Raphson steps: 2 - a * b, or (3 - a * b) / 2, rounded once.
pub(crate) fn step<L: Layout>(a: u64, b: u64, root: bool, env: &mut Env) -> u64 {
    // The first operand is negated before NaNs are looked at, so that a NaN's sign inverts.
    let a = a ^ L::SIGN;
    let x = unpack::<L>(a, env);
    let y = unpack::<L>(b, env);
    if x.is_nan() || y.is_nan() {
        return nan::process2::<L>(a, b, x.class, y.class, env);
    }
    if x.is_inf() || y.is_inf() {
        if x.is_zero() || y.is_zero() {
            let one = (L::BIAS as u64) << L::FRAC;
            return if root { one | L::QUIET } else { one + (1 << L::FRAC) };
        }
        return inf::<L>(x.sign ^ y.sign);
    }
    let sig = if root { 3 << 62 } else { 1 << 63 };
    let constant = Parts { class: Class::Finite, sign: false, exp: 1, sig };
    match fused(&constant, &x, &y) {
        Some((sign, exp, sig)) => round_pack::<L>(sign, exp - root as i32, sig, env.rounding, env),
        None => exact_zero::<L>(env),
    }
}
