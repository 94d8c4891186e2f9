//! NaN encoding and propagation.

use crate::env::{Env, Flags, Fmt, NanRule};
use crate::format::{Class, Double, Half, Layout, Single};

pub(crate) fn default_in<L: Layout>(env: &Env) -> u64 {
    match env.nan {
        NanRule::Arm | NanRule::Ieee2008 => L::INF | L::QUIET,
        NanRule::X86 => L::SIGN | L::INF | L::QUIET,
        NanRule::MipsLegacy => L::INF | (L::FRAC_MASK & !L::QUIET),
    }
}

/// The default NaN of `fmt`.
pub fn default_nan(fmt: Fmt, env: &Env) -> u64 {
    match fmt {
        Fmt::F16 => default_in::<Half>(env),
        Fmt::F32 => default_in::<Single>(env),
        Fmt::F64 => default_in::<Double>(env),
    }
}

const fn fields(fmt: Fmt) -> (u64, u64) {
    match fmt {
        Fmt::F16 => (Half::MASK & !Half::SIGN, Half::INF),
        Fmt::F32 => (Single::MASK & !Single::SIGN, Single::INF),
        Fmt::F64 => (Double::MASK & !Double::SIGN, Double::INF),
    }
}

/// Whether `a` is a NaN of either kind.
#[inline]
pub fn is_nan(fmt: Fmt, a: u64) -> bool {
    let (magnitude, inf) = fields(fmt);
    a & magnitude > inf
}

/// Whether `a` is a signalling NaN.
#[inline]
pub fn is_signalling(fmt: Fmt, a: u64, env: &Env) -> bool {
    let (_, inf) = fields(fmt);
    // The quiet bit is the one below the lowest of the exponent.
    let quiet_bit = a & ((inf & inf.wrapping_neg()) >> 1) != 0;
    is_nan(fmt, a) && quiet_bit == (env.nan == NanRule::MipsLegacy)
}

/// INVALID and the default NaN.
#[cold]
pub(crate) fn invalid<L: Layout>(env: &mut Env) -> u64 {
    env.raise(Flags::INVALID);
    default_in::<L>(env)
}

/// The result of an operation whose chosen NaN operand is `a`.
fn quieten<L: Layout>(a: u64, class: Class, env: &Env) -> u64 {
    if env.default_nan || (env.nan == NanRule::MipsLegacy && class == Class::Signalling) {
        return default_in::<L>(env);
    }
    match env.nan {
        NanRule::MipsLegacy => a & L::MASK,
        _ => (a & L::MASK) | L::QUIET,
    }
}

/// The NaN result of operands of which at least one is a NaN, in order of preference.
fn pick<L: Layout>(operands: &[(u64, Class)], env: &mut Env) -> u64 {
    let signalling = operands.iter().find(|o| o.1 == Class::Signalling);
    let quiet = operands.iter().find(|o| o.1 == Class::Quiet);
    if signalling.is_some() {
        env.raise(Flags::INVALID);
    }
    let first = match env.nan {
        NanRule::X86 => operands.iter().find(|o| matches!(o.1, Class::Quiet | Class::Signalling)),
        _ => signalling.or(quiet),
    };
    match first {
        Some(&(a, class)) => quieten::<L>(a, class, env),
        None => default_in::<L>(env),
    }
}

#[cold]
#[inline(never)]
pub(crate) fn process1<L: Layout>(a: u64, x: Class, env: &mut Env) -> u64 {
    pick::<L>(&[(a, x)], env)
}

#[cold]
#[inline(never)]
pub(crate) fn process2<L: Layout>(a: u64, b: u64, x: Class, y: Class, env: &mut Env) -> u64 {
    pick::<L>(&[(a, x), (b, y)], env)
}

/// For addend + a * b, each with its class.
#[cold]
#[inline(never)]
pub(crate) fn process3<L: Layout>(addend: (u64, Class), a: (u64, Class), b: (u64, Class), env: &mut Env) -> u64 {
    let inf_times_zero = matches!((a.1, b.1), (Class::Inf, Class::Zero) | (Class::Zero, Class::Inf));
    let order = match env.nan {
        NanRule::Arm | NanRule::Ieee2008 => [addend, a, b],
        NanRule::MipsLegacy | NanRule::X86 => [a, b, addend],
    };
    if inf_times_zero {
        // The addend is the NaN.
        match env.nan {
            NanRule::Arm if addend.1 == Class::Quiet => return invalid::<L>(env),
            NanRule::Arm | NanRule::X86 => {}
            NanRule::MipsLegacy => return invalid::<L>(env),
            NanRule::Ieee2008 => env.raise(Flags::INVALID),
        }
    }
    pick::<L>(&order, env)
}

/// Carries a NaN from one format to another.
#[cold]
pub(crate) fn convert<F: Layout, T: Layout>(a: u64, class: Class, env: &mut Env) -> u64 {
    let sign = ((a & F::SIGN) >> (F::WIDTH - 1)) << (T::WIDTH - 1);
    if T::ALT {
        env.raise(Flags::INVALID);
        return sign;
    }
    let payload = ((a & F::FRAC_MASK) << (64 - F::FRAC)) >> (64 - T::FRAC);
    if class == Class::Signalling {
        env.raise(Flags::INVALID);
    }
    if payload == 0 && env.nan == NanRule::MipsLegacy {
        // What is left of the payload would be an infinity.
        return default_in::<T>(env);
    }
    quieten::<T>(sign | T::INF | payload, class, env)
}
