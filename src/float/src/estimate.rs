//! Arm's reciprocal and reciprocal square root estimates.

use crate::env::{Env, Flags};
use crate::format::{Class, Layout, inf, overflows_to_inf, unpack, zero};
use crate::nan;

/// 1/x: `a` in 256..512 is x in [0.5, 1), the result in 256..512 is [1, 2).
fn recip_table(a: u32) -> u32 {
    let a = a * 2 + 1;
    ((1 << 19) / a).div_ceil(2)
}

/// 1/sqrt(x): `a` in 128..512 is x in [0.25, 1), the result in 256..512 is [1, 2).
fn rsqrt_table(a: u32) -> u32 {
    // In units of 1/1024, at the middle of the interval; the upper half has steps of 1/256.
    let a = if a < 256 { a * 2 + 1 } else { ((a & !1) + 1) * 2 };
    // The largest b with a * b^2 < 2^28.
    let mut b = ((1u32 << 28) / a).isqrt();
    if a * b * b >= 1 << 28 {
        b -= 1;
    }
    b.div_ceil(2)
}

/// Arm URECPE.
pub fn recip_estimate_u32(a: u32) -> u32 {
    if a >> 31 == 0 { u32::MAX } else { recip_table(a >> 23) << 23 }
}

/// Arm URSQRTE.
pub fn rsqrt_estimate_u32(a: u32) -> u32 {
    if a >> 30 == 0 { u32::MAX } else { rsqrt_table(a >> 23) << 23 }
}

/// The low 8 bits of a table entry as the upper bits of a fraction.
fn fraction<L: Layout>(estimate: u32) -> u64 {
    ((estimate as u64 & 0xff) << 56) >> (64 - L::FRAC)
}

pub(crate) fn recip<L: Layout>(a: u64, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    match x.class {
        Class::Quiet | Class::Signalling => return nan::process1::<L>(a, x.class, env),
        Class::Inf => return zero::<L>(x.sign),
        Class::Zero => {
            env.raise(Flags::DIVZERO);
            return inf::<L>(x.sign);
        }
        Class::Finite => {}
    }
    if x.exp < -(L::BIAS + 1) {
        env.raise(Flags::OVERFLOW | Flags::INEXACT);
        return inf::<L>(x.sign) - !overflows_to_inf(env.rounding, x.sign) as u64;
    }
    if L::flush_out(env) && x.exp >= L::BIAS - 1 {
        env.raise(Flags::UNDERFLOW);
        return zero::<L>(x.sign);
    }
    let estimate = fraction::<L>(recip_table((x.sig >> 55) as u32));
    let magnitude = match L::BIAS - 1 - x.exp {
        // Denormal results, truncated.
        0 => (estimate | 1 << L::FRAC) >> 1,
        -1 => (estimate | 1 << L::FRAC) >> 2,
        biased => (biased as u64) << L::FRAC | estimate,
    };
    zero::<L>(x.sign) | magnitude
}

pub(crate) fn rsqrt<L: Layout>(a: u64, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    match x.class {
        Class::Quiet | Class::Signalling => return nan::process1::<L>(a, x.class, env),
        Class::Zero => {
            env.raise(Flags::DIVZERO);
            return inf::<L>(x.sign);
        }
        _ if x.sign => return nan::invalid::<L>(env),
        Class::Inf => return zero::<L>(false),
        Class::Finite => {}
    }
    let biased = x.exp + L::BIAS;
    let scaled = x.sig >> if biased & 1 == 0 { 55 } else { 56 };
    let exp = (3 * L::BIAS - 1 - biased) / 2;
    (exp as u64) << L::FRAC | fraction::<L>(rsqrt_table(scaled as u32))
}

pub(crate) fn recip_exponent<L: Layout>(a: u64, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    if x.is_nan() {
        return nan::process1::<L>(a, x.class, env);
    }
    let biased = a & L::INF;
    let exp = if biased == 0 { (L::EXP_MAX - 1) << L::FRAC } else { !biased & L::INF };
    zero::<L>(x.sign) | exp
}
