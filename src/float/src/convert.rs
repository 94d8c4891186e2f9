//! Conversions between formats and to and from integers, and rounding to integral values.

use crate::env::{Env, Flags, Fmt, NanRule, Rounding};
use crate::format::{Class, Double, Half, HalfAlt, HalfConvert, Layout, Single, increments, inf, round_pack, unpack, zero};
use crate::nan;

/// Converts `a` from one format to another, with the environment's rounding.
#[inline]
pub fn convert(from: Fmt, to: Fmt, a: u64, env: &mut Env) -> u64 {
    convert_round(from, to, a, env.rounding, env)
}

/// Converts `a` from one format to another. Arm FCVTXN is binary64 to binary32 with
/// [`Rounding::ToOdd`].
#[inline]
pub fn convert_round(from: Fmt, to: Fmt, a: u64, r: Rounding, env: &mut Env) -> u64 {
    match from {
        Fmt::F16 if env.alt_half => convert_from::<HalfAlt>(to, a, r, env),
        Fmt::F16 => convert_from::<HalfConvert>(to, a, r, env),
        Fmt::F32 => convert_from::<Single>(to, a, r, env),
        Fmt::F64 => convert_from::<Double>(to, a, r, env),
    }
}

#[inline]
fn convert_from<F: Layout>(to: Fmt, a: u64, r: Rounding, env: &mut Env) -> u64 {
    match to {
        Fmt::F16 if env.alt_half => convert_in::<F, HalfAlt>(a, r, env),
        Fmt::F16 => convert_in::<F, HalfConvert>(a, r, env),
        Fmt::F32 => convert_in::<F, Single>(a, r, env),
        Fmt::F64 => convert_in::<F, Double>(a, r, env),
    }
}

#[inline]
fn convert_in<F: Layout, T: Layout>(a: u64, r: Rounding, env: &mut Env) -> u64 {
    let x = unpack::<F>(a, env);
    match x.class {
        Class::Finite => round_pack::<T>(x.sign, x.exp, x.sig, r, env),
        Class::Zero => zero::<T>(x.sign),
        Class::Inf if T::ALT => {
            env.raise(Flags::INVALID);
            zero::<T>(x.sign) | (T::SIGN - 1)
        }
        Class::Inf => inf::<T>(x.sign),
        Class::Quiet | Class::Signalling => nan::convert::<F, T>(a, x.class, env),
    }
}

/// Rounds the magnitude sig / 2^63 * 2^exp to an integer, where `exp` is at most 64; gives it and
/// whether inexact.
fn round_magnitude(sign: bool, exp: i32, sig: u64, r: Rounding) -> (u128, bool) {
    if exp >= 63 {
        return ((sig as u128) << (exp - 63), false);
    }
    let (whole, frac) = match exp {
        0.. => (sig >> (63 - exp), sig << (exp + 1)),
        -1 => (0, sig),
        // Below a half: only that it is not zero matters.
        _ => (0, 1),
    };
    let (guard, sticky) = (frac >> 63 != 0, frac << 1 != 0);
    let up = increments(r, sign, whole & 1 != 0, guard, sticky);
    ((whole + up as u64) as u128, guard | sticky)
}

pub(crate) fn round_int<L: Layout>(a: u64, r: Rounding, exact: bool, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    match x.class {
        Class::Quiet | Class::Signalling => nan::process1::<L>(a, x.class, env),
        Class::Inf => inf::<L>(x.sign),
        Class::Zero => zero::<L>(x.sign),
        Class::Finite => {
            if x.exp >= L::FRAC as i32 {
                return a & L::MASK;
            }
            let (magnitude, inexact) = round_magnitude(x.sign, x.exp, x.sig, r);
            if exact && inexact {
                env.raise(Flags::INEXACT);
            }
            pack_integer::<L>(x.sign, magnitude as u64, env)
        }
    }
}

/// An integer that the format holds exactly.
fn pack_integer<L: Layout>(sign: bool, magnitude: u64, env: &mut Env) -> u64 {
    if magnitude == 0 {
        return zero::<L>(sign);
    }
    let lz = magnitude.leading_zeros();
    round_pack::<L>(sign, 63 - lz as i32, magnitude << lz, Rounding::Zero, env)
}

pub(crate) fn round_int_n<L: Layout>(a: u64, r: Rounding, width: u32, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    let top = 1u128 << (width - 1);
    match x.class {
        Class::Zero => return zero::<L>(x.sign),
        Class::Finite if x.exp <= 64 => {
            let (magnitude, inexact) = round_magnitude(x.sign, x.exp, x.sig, r);
            if magnitude < top + x.sign as u128 {
                if inexact {
                    env.raise(Flags::INEXACT);
                }
                return pack_integer::<L>(x.sign, magnitude as u64, env);
            }
        }
        _ => {}
    }
    env.raise(Flags::INVALID);
    round_pack::<L>(true, width as i32 - 1, 1 << 63, Rounding::Zero, env)
}

#[inline]
fn mask(width: u32) -> u64 {
    u64::MAX >> (64 - width.clamp(1, 64))
}

/// Converts `a` times 2^frac_bits to an integer of `width` (16, 32 or 64) bits. Out of range is
/// INVALID with the result of [`Env::nan`]'s rule; the bits above `width` are zero.
#[inline]
pub fn to_int(fmt: Fmt, a: u64, frac_bits: u32, width: u32, signed: bool, rounding: Rounding, env: &mut Env) -> u64 {
    let to = Integer { width, signed };
    match fmt {
        Fmt::F16 => to_int_in::<Half>(a, frac_bits, to, rounding, env),
        Fmt::F32 => to_int_in::<Single>(a, frac_bits, to, rounding, env),
        Fmt::F64 => to_int_in::<Double>(a, frac_bits, to, rounding, env),
    }
}

#[derive(Clone, Copy)]
struct Integer {
    width: u32,
    signed: bool,
}

impl Integer {
    fn max(self) -> u64 {
        mask(self.width) >> self.signed as u32
    }
    /// The magnitude of the smallest value.
    fn min_magnitude(self) -> u64 {
        if self.signed { 1 << (self.width.clamp(1, 64) - 1) } else { 0 }
    }
    /// The result for a value that does not fit; a NaN has no sign.
    fn out_of_range(self, sign: Option<bool>, rule: NanRule) -> u64 {
        match rule {
            NanRule::Arm | NanRule::Ieee2008 => match sign {
                None => 0,
                Some(true) => self.min_magnitude(),
                Some(false) => self.max(),
            },
            NanRule::MipsLegacy => self.max(),
            NanRule::X86 if self.signed => self.min_magnitude(),
            NanRule::X86 => mask(self.width),
        }
    }
}

fn to_int_in<L: Layout>(a: u64, frac_bits: u32, to: Integer, r: Rounding, env: &mut Env) -> u64 {
    let x = unpack::<L>(a, env);
    let sign = match x.class {
        Class::Zero => return 0,
        Class::Quiet | Class::Signalling => None,
        Class::Inf => Some(x.sign),
        Class::Finite => {
            let exp = x.exp + frac_bits as i32;
            if exp <= 64 {
                let (magnitude, inexact) = round_magnitude(x.sign, exp, x.sig, r);
                let limit = if x.sign { to.min_magnitude() } else { to.max() };
                if magnitude <= limit as u128 {
                    if inexact {
                        env.raise(Flags::INEXACT);
                    }
                    let magnitude = magnitude as u64;
                    let value = if x.sign { magnitude.wrapping_neg() } else { magnitude };
                    return value & mask(to.width);
                }
            }
            Some(x.sign)
        }
    };
    env.raise(Flags::INVALID);
    to.out_of_range(sign, env.nan)
}

/// Converts binary64 to `i32` as JavaScript does, modulo 2^32 (Arm FJCVTZS). The second value is
/// the Z flag: the conversion was exact, in range, and not of minus zero.
pub fn to_int_js(a: u64, env: &mut Env) -> (u64, bool) {
    let x = unpack::<Double>(a, env);
    match x.class {
        // A denormal flushed to zero is not exact.
        Class::Zero => (0, a == 0),
        Class::Inf | Class::Quiet | Class::Signalling => {
            env.raise(Flags::INVALID);
            (0, false)
        }
        Class::Finite => {
            let (magnitude, inexact) = if x.exp <= 64 {
                round_magnitude(x.sign, x.exp, x.sig, Rounding::Zero)
            } else if x.exp < 63 + 32 {
                // The low 64 bits, and something above them.
                ((x.sig as u128) << (x.exp - 63), false)
            } else {
                (1 << 64, false)
            };
            let low = magnitude as u32;
            let result = if x.sign { low.wrapping_neg() } else { low };
            if magnitude > 0x7fff_ffff + x.sign as u128 {
                env.raise(Flags::INVALID);
                return (result as u64, false);
            }
            if inexact {
                env.raise(Flags::INEXACT);
            }
            (result as u64, !inexact)
        }
    }
}

/// Converts an integer of `width` bits, divided by 2^frac_bits, to `fmt`.
#[inline]
pub fn from_int(value: u64, width: u32, signed: bool, frac_bits: u32, fmt: Fmt, env: &mut Env) -> u64 {
    let value = value & mask(width);
    let sign = signed && value >> (width.clamp(1, 64) - 1) != 0;
    let magnitude = if sign { value.wrapping_neg() & mask(width) } else { value };
    if magnitude == 0 {
        return 0;
    }
    let lz = magnitude.leading_zeros();
    let (exp, sig) = (63 - lz as i32 - frac_bits as i32, magnitude << lz);
    match fmt {
        Fmt::F16 => round_pack::<Half>(sign, exp, sig, env.rounding, env),
        Fmt::F32 => round_pack::<Single>(sign, exp, sig, env.rounding, env),
        Fmt::F64 => round_pack::<Double>(sign, exp, sig, env.rounding, env),
    }
}
