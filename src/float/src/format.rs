//! Formats, unpacking, and the one rounding that every operation ends in.

use crate::env::{Env, Flags, NanRule, Rounding};

/// An encoding. Conversions use layouts of their own for binary16, because flushing and Arm's
/// alternative half precision differ there.
pub(crate) trait Layout: Copy {
    /// Bits of the fraction field.
    const FRAC: u32;
    /// Bits of the exponent field.
    const EXP_BITS: u32;
    /// The largest exponent encodes numbers, not infinities and NaNs.
    const ALT: bool = false;
    /// A flushed input sets INPUT_DENORMAL.
    const FLUSH_RAISES: bool = true;

    const WIDTH: u32 = Self::FRAC + Self::EXP_BITS + 1;
    const BIAS: i32 = (1 << (Self::EXP_BITS - 1)) - 1;
    const EXP_MAX: u64 = (1 << Self::EXP_BITS) - 1;
    const FRAC_MASK: u64 = (1 << Self::FRAC) - 1;
    const SIGN: u64 = 1 << (Self::WIDTH - 1);
    const MASK: u64 = Self::SIGN | (Self::SIGN - 1);
    const QUIET: u64 = 1 << (Self::FRAC - 1);
    const INF: u64 = Self::EXP_MAX << Self::FRAC;
    /// From a significand with its leading bit at 63 to one in place.
    const SHIFT: u32 = 63 - Self::FRAC;

    fn flush_in(env: &Env) -> bool;
    fn flush_out(env: &Env) -> bool;
}

macro_rules! layout {
    ($name:ident, $frac:expr, $exp:expr, $in:expr, $out:expr $(, $item:item)*) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl Layout for $name {
            const FRAC: u32 = $frac;
            const EXP_BITS: u32 = $exp;
            $($item)*
            #[inline(always)]
            fn flush_in(env: &Env) -> bool {
                let f: fn(&Env) -> bool = $in;
                f(env)
            }
            #[inline(always)]
            fn flush_out(env: &Env) -> bool {
                let f: fn(&Env) -> bool = $out;
                f(env)
            }
        }
    };
}

layout!(Half, 10, 5, |e| e.flush16, |e| e.flush16, const FLUSH_RAISES: bool = false;);
layout!(HalfConvert, 10, 5, |_| false, |_| false);
layout!(HalfAlt, 10, 5, |_| false, |_| false, const ALT: bool = true;);
layout!(Single, 23, 8, |e| e.flush_inputs, |e| e.flush_outputs);
layout!(Double, 52, 11, |e| e.flush_inputs, |e| e.flush_outputs);

/// What an encoding stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Zero,
    Finite,
    Inf,
    Quiet,
    Signalling,
}

/// A value taken apart. Finite: (-1)^sign * sig / 2^63 * 2^exp, with bit 63 of `sig` set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub class: Class,
    pub sign: bool,
    pub exp: i32,
    pub sig: u64,
}

impl Parts {
    #[inline(always)]
    pub fn is_nan(&self) -> bool {
        matches!(self.class, Class::Quiet | Class::Signalling)
    }
    #[inline(always)]
    pub fn is_inf(&self) -> bool {
        self.class == Class::Inf
    }
    #[inline(always)]
    pub fn is_zero(&self) -> bool {
        self.class == Class::Zero
    }
    #[inline(always)]
    pub fn is_finite(&self) -> bool {
        self.class == Class::Finite
    }
}

/// Takes `a` apart, flushing a denormal where the environment says so.
#[inline(always)]
pub(crate) fn unpack<L: Layout>(a: u64, env: &mut Env) -> Parts {
    let sign = a & L::SIGN != 0;
    let biased = (a >> L::FRAC) & L::EXP_MAX;
    let frac = a & L::FRAC_MASK;
    let special = |class| Parts { class, sign, exp: 0, sig: 0 };
    if biased == 0 {
        if frac == 0 {
            return special(Class::Zero);
        }
        if L::flush_in(env) {
            if L::FLUSH_RAISES {
                env.raise(Flags::INPUT_DENORMAL);
            }
            return special(Class::Zero);
        }
        let lz = frac.leading_zeros();
        let exp = 1 - L::BIAS - (lz - L::SHIFT) as i32;
        return Parts { class: Class::Finite, sign, exp, sig: frac << lz };
    }
    if biased == L::EXP_MAX && !L::ALT {
        if frac == 0 {
            return special(Class::Inf);
        }
        let quiet_bit = frac & L::QUIET != 0;
        let quiet = quiet_bit != (env.nan == NanRule::MipsLegacy);
        return special(if quiet { Class::Quiet } else { Class::Signalling });
    }
    let sig = (frac << L::SHIFT) | 1 << 63;
    Parts { class: Class::Finite, sign, exp: biased as i32 - L::BIAS, sig }
}

#[inline(always)]
pub(crate) fn zero<L: Layout>(sign: bool) -> u64 {
    (sign as u64) << (L::WIDTH - 1)
}

#[inline(always)]
pub(crate) fn inf<L: Layout>(sign: bool) -> u64 {
    zero::<L>(sign) | L::INF
}

/// The zero that x - x gives.
#[inline(always)]
pub(crate) fn exact_zero<L: Layout>(env: &Env) -> u64 {
    zero::<L>(env.rounding == Rounding::Down)
}

/// Shifts right; bits lost are gathered in bit 0.
#[inline(always)]
pub(crate) fn shr_jam(x: u64, n: u32) -> u64 {
    if n == 0 {
        x
    } else if n < 64 {
        (x >> n) | (x << (64 - n) != 0) as u64
    } else {
        (x != 0) as u64
    }
}

/// Shifts right; bits lost are gathered in bit 0.
#[inline(always)]
pub(crate) fn shr_jam128(x: u128, n: u32) -> u128 {
    if n == 0 {
        x
    } else if n < 128 {
        (x >> n) | (x << (128 - n) != 0) as u128
    } else {
        (x != 0) as u128
    }
}

/// The upper half; bits of the lower half are gathered in bit 0.
#[inline(always)]
pub(crate) fn high_jam(x: u128) -> u64 {
    (x >> 64) as u64 | (x as u64 != 0) as u64
}

/// Whether a truncated magnitude goes up by one. `guard` is the first bit lost and `sticky` the
/// rest.
#[inline(always)]
pub(crate) fn increments(r: Rounding, sign: bool, odd: bool, guard: bool, sticky: bool) -> bool {
    // The one mode that matters for speed is a predicted branch; the rest may be a jump table.
    if r == Rounding::TiesEven {
        return guard & (sticky | odd);
    }
    match r {
        Rounding::TiesEven => false,
        Rounding::TiesAway => guard,
        Rounding::Up => !sign & (guard | sticky),
        Rounding::Down => sign & (guard | sticky),
        Rounding::Zero => false,
        Rounding::ToOdd => (guard | sticky) & !odd,
    }
}

/// Whether a result too large becomes infinity, not the largest finite number.
#[inline(always)]
pub(crate) fn overflows_to_inf(r: Rounding, sign: bool) -> bool {
    match r {
        Rounding::TiesEven | Rounding::TiesAway => true,
        Rounding::Up => !sign,
        Rounding::Down => sign,
        Rounding::Zero | Rounding::ToOdd => false,
    }
}

/// Rounds `sig` (bit 63 set, bit 0 sticky) by `L::SHIFT`; gives the magnitude and whether inexact.
#[inline(always)]
fn shift_round<L: Layout>(sign: bool, sig: u64, r: Rounding) -> (u64, bool) {
    let kept = sig >> L::SHIFT;
    let guard = sig >> (L::SHIFT - 1) & 1 != 0;
    let sticky = sig << (65 - L::SHIFT) != 0;
    let up = increments(r, sign, kept & 1 != 0, guard, sticky);
    (kept + up as u64, guard | sticky)
}

/// Rounds (-1)^sign * sig / 2^63 * 2^exp, bit 63 of `sig` set and bit 0 sticky, into `L`.
#[inline(always)]
pub(crate) fn round_pack<L: Layout>(sign: bool, exp: i32, sig: u64, r: Rounding, env: &mut Env) -> u64 {
    debug_assert!(sig >> 63 == 1);
    let biased = exp + L::BIAS;
    if biased <= 0 {
        return round_tiny::<L>(sign, biased, sig, r, env);
    }
    let (magnitude, inexact) = shift_round::<L>(sign, sig, r);
    // The leading bit of the magnitude adds the last one to the exponent, a carry another.
    let limit = if L::ALT { L::SIGN } else { L::INF };
    if biased as u64 > L::EXP_MAX {
        return overflow::<L>(sign, r, env);
    }
    let packed = ((biased as u64 - 1) << L::FRAC) + magnitude;
    if packed >= limit {
        return overflow::<L>(sign, r, env);
    }
    if inexact {
        env.raise(Flags::INEXACT);
    }
    zero::<L>(sign) | packed
}

#[cold]
fn overflow<L: Layout>(sign: bool, r: Rounding, env: &mut Env) -> u64 {
    if L::ALT {
        env.raise(Flags::INVALID);
        return zero::<L>(sign) | (L::SIGN - 1);
    }
    env.raise(Flags::OVERFLOW | Flags::INEXACT);
    inf::<L>(sign) - !overflows_to_inf(r, sign) as u64
}

#[cold]
fn round_tiny<L: Layout>(sign: bool, biased: i32, sig: u64, r: Rounding, env: &mut Env) -> u64 {
    // After rounding: tiny unless rounding with an unbounded exponent reaches the smallest normal.
    let tiny = env.tiny_before || biased < 0 || shift_round::<L>(sign, sig, r).0 >> (L::FRAC + 1) == 0;
    if tiny && L::flush_out(env) {
        env.raise(Flags::UNDERFLOW);
        if !env.tiny_before {
            env.raise(Flags::INEXACT);
        }
        return zero::<L>(sign);
    }
    let (magnitude, inexact) = shift_round::<L>(sign, shr_jam(sig, (1 - biased) as u32), r);
    if inexact {
        env.raise(Flags::INEXACT);
        if tiny {
            env.raise(Flags::UNDERFLOW);
        }
    }
    zero::<L>(sign) | magnitude
}
