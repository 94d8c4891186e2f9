//! Against exact integer arithmetic.

use super::*;
use crate::*;

/// The significand and the exponent of its last bit; `a` is finite.
fn split(s: Shape, a: u64) -> (bool, u64, i32) {
    let biased = (a & s.inf()) >> s.frac;
    let frac = a & (s.min_normal() - 1);
    let bias = (1 << (s.exp - 1)) - 1;
    let sig = if biased == 0 { frac } else { frac | s.min_normal() };
    (a & s.sign() != 0, sig, biased.max(1) as i32 - bias - s.frac as i32)
}

/// Compares r^2 with a, both finite and positive: r^2 - a as a sign.
fn square_against(s: Shape, r: (u128, i32), a: u64) -> std::cmp::Ordering {
    let (_, n, e) = split(s, a);
    let square = r.0 * r.0;
    let shift = e - 2 * r.1;
    let room = (n as u128).leading_zeros() as i32;
    assert!((0..room).contains(&shift), "the square is in units below those of the operand");
    square.cmp(&((n as u128) << shift))
}

/// The truncated root r has r^2 <= a < (r + ulp)^2; each rounding follows from that and from
/// where a lies against (r + ulp / 2)^2.
#[test]
fn square_roots() {
    use std::cmp::Ordering::*;
    for fmt in FORMATS {
        let s = Shape::of(fmt);
        let mut random = Random(21);
        for i in 0..400_000u64 {
            let a = match fmt {
                Fmt::F16 => i % s.inf(),
                _ => random.operand(fmt) & s.magnitude(),
            };
            if a == 0 || a >= s.inf() {
                continue;
            }
            let root = |r| {
                let mut e = env(r);
                (unary(Un::Sqrt, fmt, a, &mut e), e.flags)
            };
            let (down, flags) = root(Rounding::Zero);
            let (_, sig, unit) = split(s, down);
            let sig = sig as u128;
            let low = square_against(s, (sig, unit), a);
            assert_ne!(low, Greater, "{fmt:?} {a:#x}");
            assert_eq!(square_against(s, (sig + 1, unit), a), Greater, "{fmt:?} {a:#x}");
            let middle = square_against(s, (2 * sig + 1, unit - 1), a);
            assert_ne!(middle, Equal);
            let exact = low == Equal;
            let expected = if exact { Flags::NONE } else { Flags::INEXACT };
            assert_eq!(flags, expected);
            let nearest = if middle == Less { down + 1 } else { down };
            let up = down + !exact as u64;
            assert_eq!(root(Rounding::TiesEven), (nearest, expected), "{fmt:?} {a:#x}");
            assert_eq!(root(Rounding::TiesAway), (nearest, expected));
            assert_eq!(root(Rounding::Up), (up, expected));
            assert_eq!(root(Rounding::Down), (down, expected));
            assert_eq!(root(Rounding::ToOdd), (down | !exact as u64, expected));
        }
    }
}

/// Rounds n / 2^shift; gives the integer and whether inexact.
fn round_shift(negative: bool, n: u128, shift: u32, r: Rounding) -> (u128, bool) {
    let (whole, rest, half) = match shift {
        0 => (n, 0, 1),
        1..=126 => (n >> shift, n & ((1 << shift) - 1), 1 << (shift - 1)),
        // All below a half.
        _ => (0, (n != 0) as u128, 2),
    };
    let up = match r {
        Rounding::TiesEven => rest > half || rest == half && whole % 2 == 1 && shift != 0,
        Rounding::TiesAway => rest >= half && shift != 0,
        Rounding::Up => rest != 0 && !negative,
        Rounding::Down => rest != 0 && negative,
        Rounding::Zero => false,
        Rounding::ToOdd => rest != 0 && whole % 2 == 0,
    };
    (whole + up as u128, rest != 0)
}

#[test]
fn to_integers() {
    for fmt in FORMATS {
        let s = Shape::of(fmt);
        let mut random = Random(22);
        for i in 0..1_000_000 {
            let mut a = random.operand(fmt);
            if i % 2 == 0 && fmt != Fmt::F16 {
                // Within the range of the integers.
                let exponent = (s.one() >> s.frac) - 2 + random.below(67);
                a = a & (s.sign() | (s.min_normal() - 1)) | exponent << s.frac;
            }
            if a & s.magnitude() >= s.inf() {
                continue;
            }
            let r = ROUNDINGS[i % 6];
            let frac_bits = if i % 3 == 0 { random.below(65) as u32 } else { 0 };
            let width = random.of(&[16, 32, 64]);
            let signed = random.below(2) == 0;
            let (negative, sig, unit) = split(s, a);
            let unit = unit + frac_bits as i32;
            let (min, max): (i128, i128) = match signed {
                true => (-(1 << (width - 1)), (1 << (width - 1)) - 1),
                false => (0, (1 << width) - 1),
            };
            let (value, inexact) = if sig == 0 {
                (0, false)
            } else if unit > 66 {
                (i128::MAX >> 1, false)
            } else if unit >= 0 {
                ((sig as i128) << unit, false)
            } else {
                let (n, inexact) = round_shift(negative, sig as u128, unit.unsigned_abs(), r);
                (n as i128, inexact)
            };
            let value = if negative { -value } else { value };
            let fits = (min..=max).contains(&value);
            let flags = match (fits, inexact) {
                (false, _) => Flags::INVALID,
                (true, true) => Flags::INEXACT,
                (true, false) => Flags::NONE,
            };
            let expected = value.clamp(min, max) as u64 & u64::MAX >> (64 - width);
            let mut e = Env::arm();
            let got = to_int(fmt, a, frac_bits, width, signed, r, &mut e);
            let what = format!("{fmt:?} {a:#x} * 2^{frac_bits} to {width} {signed} {r:?}");
            assert_eq!((got, e.flags), (expected, flags), "{what}");
        }
    }
}

#[test]
fn from_integers() {
    for fmt in FORMATS {
        let s = Shape::of(fmt);
        let mut random = Random(23);
        for i in 0..600_000 {
            let r = ROUNDINGS[i % 6];
            let frac_bits = if i % 3 == 0 { random.below(65) as u32 } else { 0 };
            let width = random.of(&[16, 32, 64]);
            let signed = random.below(2) == 0;
            let value = match random.below(3) {
                0 => random.next() >> random.below(64),
                1 => (1u64 << random.below(64)).wrapping_add(random.below(5)).wrapping_sub(2),
                _ => (random.next() >> random.below(64)).wrapping_neg(),
            };
            let n = value & u64::MAX >> (64 - width);
            let negative = signed && n >> (width - 1) == 1;
            let n = if negative { (1u128 << width) - n as u128 } else { n as u128 };
            let mut e = env(r);
            let got = from_int(value, width, signed, frac_bits, fmt, &mut e);
            // The unit of the result: of n's leading bits, or of the denormals.
            let bias = (1i32 << (s.exp - 1)) - 1;
            let top = 127 - n.max(1).leading_zeros() as i32;
            let unit = (top - frac_bits as i32 - s.frac as i32).max(1 - bias - s.frac as i32);
            let shift = unit + frac_bits as i32;
            let (mut sig, inexact) = if shift <= 0 { (n << -shift, false) } else { round_shift(negative, n, shift as u32, r) };
            let mut biased = unit + s.frac as i32 + bias;
            if sig >> (s.frac + 1) != 0 {
                sig >>= 1;
                biased += 1;
            }
            let tiny = n != 0 && top - (frac_bits as i32) < 1 - bias;
            let what = format!("{value:#x} {width} {signed} / 2^{frac_bits} {fmt:?} {r:?}");
            if biased >= (1 << s.exp) - 1 {
                assert_eq!(e.flags, Flags::OVERFLOW | Flags::INEXACT, "{what}");
                let inf = match r {
                    Rounding::TiesEven | Rounding::TiesAway => true,
                    Rounding::Up => !negative,
                    Rounding::Down => negative,
                    _ => false,
                };
                assert_eq!(got & s.magnitude(), s.inf() - !inf as u64, "{what}");
                assert_eq!(got & s.sign() != 0, negative, "{what}");
                continue;
            }
            let leading = sig as u64 >> s.frac;
            let field = if leading == 0 { 0 } else { biased as u64 };
            let bits = field << s.frac | sig as u64 & (s.min_normal() - 1);
            let sign = if negative { s.sign() } else { 0 };
            let mut flags = Flags::NONE;
            if inexact {
                flags |= Flags::INEXACT;
                if tiny {
                    flags |= Flags::UNDERFLOW;
                }
            }
            assert_eq!((got, e.flags), (sign | bits, flags), "{what}");
        }
    }
}

/// FJCVTZS against arithmetic modulo 2^32.
#[test]
fn javascript_integers() {
    let s = Shape::of(Fmt::F64);
    let mut random = Random(24);
    for _ in 0..500_000 {
        let exponent = 1023 - 4 + random.below(110);
        let a = random.next() & (s.sign() | (s.min_normal() - 1)) | exponent << 52;
        let (negative, sig, unit) = split(s, a);
        let (magnitude, inexact) =
            if unit >= 0 { ((sig as u128) << unit, false) } else { round_shift(negative, sig as u128, unit.unsigned_abs(), Rounding::Zero) };
        let low = magnitude as u32;
        let low = if negative { low.wrapping_neg() } else { low };
        let fits = magnitude < (1 << 31) || negative && magnitude == 1 << 31;
        let flags = match (fits, inexact) {
            (false, _) => Flags::INVALID,
            (true, true) => Flags::INEXACT,
            _ => Flags::NONE,
        };
        let got = run(arm, |e| to_int_js(a, e));
        assert_eq!(got, ((low as u64, fits && !inexact), flags), "{a:#x}");
    }
}

/// FRECPS and FRSQRTS are one rounding of an exact value: for the first that of a fused
/// multiply-add; for the second that of twice it, where halving is exact.
#[test]
fn newton_steps() {
    for fmt in FORMATS {
        let s = Shape::of(fmt);
        let two = s.one() + s.min_normal();
        let three = two + s.quiet();
        let mut random = Random(25);
        for i in 0..300_000 {
            let a = random.operand(fmt);
            let b = random.operand_near(fmt, a);
            if a & s.magnitude() >= s.inf() || b & s.magnitude() >= s.inf() {
                continue;
            }
            let r = ROUNDINGS[i % 6];
            let mut e = env(r);
            let expected = fma(fmt, two, a ^ s.sign(), b, &mut e);
            let mut g = env(r);
            let got = binary(Bin::RecipStep, fmt, a, b, &mut g);
            assert_eq!((got, g.flags), (expected, e.flags), "{fmt:?} {r:?} {a:#x} {b:#x}");
            let mut e = env(r);
            let twice = fma(fmt, three, a ^ s.sign(), b, &mut e);
            let mut g = env(r);
            let got = binary(Bin::RsqrtStep, fmt, a, b, &mut g);
            // Twice the result may overflow where the result does not.
            if !e.flags.contains(Flags::OVERFLOW) && twice & s.magnitude() >= 2 * s.min_normal() {
                let expected = (twice - s.min_normal(), e.flags);
                assert_eq!((got, g.flags), expected, "{fmt:?} {r:?} {a:#x} {b:#x}");
            }
        }
    }
}
