//! Against `rustc_apfloat`, in every rounding it has.
//!
//! Where it overflows to the largest finite number it does not say so: that oracle is the result of
//! operands scaled down by 16. It has no rounding to odd: that oracle is truncation with the last bit set where inexact. Its
//! tininess is neither of the two of IEEE 754, so UNDERFLOW has oracles of its own: before
//! rounding, the truncated result is below the smallest normal number; after rounding, the result
//! of operands scaled by 16 is below 16 times that. NaN operands are the matter of `nans`.

use super::*;
use crate::{Bin, Ordering4, Un, binary, compare, convert, fma, unary};
use rustc_apfloat::ieee::{Double, Half, Single};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};

fn round(r: Rounding) -> Round {
    match r {
        Rounding::TiesEven => Round::NearestTiesToEven,
        Rounding::Up => Round::TowardPositive,
        Rounding::Down => Round::TowardNegative,
        Rounding::Zero | Rounding::ToOdd => Round::TowardZero,
        Rounding::TiesAway => Round::NearestTiesToAway,
    }
}

fn flags(status: Status) -> Flags {
    let mut flags = Flags::NONE;
    for (theirs, ours) in
        [(Status::INVALID_OP, Flags::INVALID), (Status::DIV_BY_ZERO, Flags::DIVZERO), (Status::OVERFLOW, Flags::OVERFLOW), (Status::INEXACT, Flags::INEXACT)]
    {
        if status.contains(theirs) {
            flags |= ours;
        }
    }
    flags
}

/// What `operation` gives in `fmt`: the bits and the flags with tininess before rounding. Its
/// second argument asks for a result scaled by that power of two.
fn expect<T: Float>(fmt: Fmt, r: Rounding, operation: impl Fn(Round, i32) -> StatusAnd<T>) -> (u64, Flags) {
    let s = Shape::of(fmt);
    let result = operation(round(r), 0);
    let mut bits = result.value.to_bits() as u64;
    let mut flags = flags(result.status);
    if s.is_nan(bits) {
        // No operand is a NaN: the default NaN.
        return (s.inf() | s.quiet(), flags);
    }
    if flags.contains(Flags::INEXACT) {
        let truncated = operation(Round::TowardZero, 0).value.to_bits() as u64;
        if truncated & s.magnitude() < s.min_normal() {
            flags |= Flags::UNDERFLOW;
        }
        if bits & s.magnitude() == s.inf() - 1 {
            let scaled = operation(round(r), -4).value.to_bits() as u64;
            if scaled & s.magnitude() > s.inf() - 1 - 4 * s.min_normal() {
                flags |= Flags::OVERFLOW;
            }
        }
        if r == Rounding::ToOdd {
            bits |= 1;
        }
    }
    (bits, flags)
}

/// Scales a value; one where that would lose bits is left, as it is no more than sticky in the
/// sum that asks.
fn scale<T: Float>(x: T, by: i32) -> T {
    let scaled = x.scalbn(by);
    if scaled.scalbn(-by) == x { scaled } else { x }
}

fn is_large<T: Float>(x: T) -> bool {
    x.is_infinite() || x.is_finite_non_zero() && x.ilogb() >= 0
}

/// Scales one of two factors.
fn scale_product<T: Float>(x: T, y: T, by: i32) -> (T, T) {
    if is_large(x) { (x.scalbn(by), y) } else { (x, y.scalbn(by)) }
}

fn arithmetic<T: Float>(fmt: Fmt, seed: u64, count: u32) {
    let s = Shape::of(fmt);
    let mut random = Random(seed);
    for i in 0..count {
        let a = random.operand(fmt);
        let b = random.operand_near(fmt, a);
        if s.is_nan(a) || s.is_nan(b) {
            continue;
        }
        let (x, y) = (T::from_bits(a as u128), T::from_bits(b as u128));
        let r = ROUNDINGS[i as usize % 6];
        // A sum near the product, often of the other sign.
        let c = match random.below(3) {
            0 => random.operand(fmt),
            _ => {
                let p = x.mul_r(y, Round::TowardZero).value.to_bits() as u64;
                random.operand_near(fmt, p)
            }
        };
        for (op, (bits, flags)) in [
            (Bin::Add, expect(fmt, r, |r, n| scale(x, n).add_r(scale(y, n), r))),
            (Bin::Sub, expect(fmt, r, |r, n| scale(x, n).sub_r(scale(y, n), r))),
            (
                Bin::Mul,
                expect(fmt, r, |r, n| {
                    let (x, y) = scale_product(x, y, n);
                    x.mul_r(y, r)
                }),
            ),
            (
                Bin::Div,
                expect(fmt, r, |r, n| match is_large(x) {
                    true => x.scalbn(n).div_r(y, r),
                    false => x.div_r(y.scalbn(-n), r),
                }),
            ),
        ] {
            let mut e = env(r);
            let got = binary(op, fmt, a, b, &mut e);
            assert_eq!((got, e.flags), (bits, flags), "{op:?} {fmt:?} {r:?} {a:#x} {b:#x}");
        }
        if s.is_nan(c) {
            continue;
        }
        let z = T::from_bits(c as u128);
        let expected = expect(fmt, r, |r, n| {
            let (x, y) = scale_product(x, y, n);
            x.mul_add_r(y, scale(z, n), r)
        });
        let mut e = env(r);
        let got = fma(fmt, c, a, b, &mut e);
        assert_eq!((got, e.flags), expected, "{c:#x} + {a:#x} * {b:#x} {fmt:?} {r:?}");
    }
}

#[test]
fn arithmetic_f16() {
    arithmetic::<Half>(Fmt::F16, 1, 1_500_000);
}

#[test]
fn arithmetic_f32() {
    arithmetic::<Single>(Fmt::F32, 2, 1_500_000);
}

#[test]
fn arithmetic_f64() {
    arithmetic::<Double>(Fmt::F64, 3, 1_500_000);
}

/// UNDERFLOW with tininess after rounding, for products and quotients.
fn tiny_after<T: Float>(fmt: Fmt) {
    let s = Shape::of(fmt);
    let mut random = Random(4);
    let limit = T::from_bits((s.min_normal() + (4 << s.frac)) as u128);
    let mut differ = 0;
    for i in 0..600_000 {
        let r = ROUNDINGS[i % 5];
        let op = random.of(&[Bin::Mul, Bin::Div]);
        let a = random.operand(fmt) & !(s.sign() >> 1);
        let b = match op {
            // Quotients and products near the smallest normal number.
            Bin::Mul if i % 2 == 0 => {
                let x = T::from_bits(a as u128);
                let min = T::from_bits(s.min_normal() as u128);
                min.div_r(x, Round::NearestTiesToEven).value.to_bits() as u64 + random.below(2)
            }
            _ => random.operand(fmt),
        };
        if s.is_nan(a) || s.is_nan(b) {
            continue;
        }
        let x = T::from_bits(a as u128);
        let y = T::from_bits(b as u128);
        let run = |x: T| match op {
            Bin::Mul => x.mul_r(y, round(r)),
            _ => x.div_r(y, round(r)),
        };
        let result = run(x);
        let scaled = run(x.scalbn(4)).value;
        let tiny = scaled.cmp_abs_normal_or_zero(limit);
        let expected = result.status.contains(Status::INEXACT) && tiny;
        let mut e = Env { tiny_before: false, ..env(r) };
        let got = binary(op, fmt, a, b, &mut e);
        let mut before = env(r);
        assert_eq!(binary(op, fmt, a, b, &mut before), got);
        assert_eq!(e.flags.contains(Flags::UNDERFLOW), expected, "{op:?} {fmt:?} {r:?} {a:#x} {b:#x}");
        differ += (before.flags != e.flags) as u32;
        let mut flush = Env { tiny_before: false, flush_outputs: true, flush16: true, ..env(r) };
        if a & s.magnitude() >= s.min_normal() && b & s.magnitude() >= s.min_normal() {
            let flushed = binary(op, fmt, a, b, &mut flush);
            if tiny && got & s.magnitude() != s.inf() && result.value.is_non_zero() | expected {
                assert_eq!(flushed, got & s.sign());
                assert_eq!(flush.flags, Flags::UNDERFLOW | Flags::INEXACT);
            } else {
                assert_eq!((flushed, flush.flags), (got, e.flags));
            }
        }
    }
    assert!(differ > 100, "{fmt:?}: the two kinds of tininess were told apart {differ} times");
}

trait BelowAbs: Float {
    fn cmp_abs_normal_or_zero(self, limit: Self) -> bool {
        self.abs().partial_cmp(&limit) == Some(std::cmp::Ordering::Less)
    }
}
impl<T: Float> BelowAbs for T {}

#[test]
fn tininess_after_rounding() {
    tiny_after::<Half>(Fmt::F16);
    tiny_after::<Single>(Fmt::F32);
    tiny_after::<Double>(Fmt::F64);
}

fn conversions<F: Float + FloatConvert<T>, T: Float>(from: Fmt, to: Fmt) {
    let s = Shape::of(from);
    let mut random = Random(5);
    for i in 0..400_000 {
        let a = match (random.below(3), from, to) {
            // Near what the narrower format holds.
            (0, Fmt::F64, _) => {
                let near = random.operand(Fmt::F32) as u32;
                (f32::from_bits(near) as f64).to_bits() ^ random.below(4) << random.below(40)
            }
            _ => random.operand(from),
        };
        if s.is_nan(a) {
            continue;
        }
        let r = ROUNDINGS[i % 6];
        let x = F::from_bits(a as u128);
        let expected = expect(to, r, |r, n| x.scalbn(n).convert_r(r, &mut false));
        let mut e = env(r);
        let got = convert(from, to, a, &mut e);
        assert_eq!((got, e.flags), expected, "{from:?} {to:?} {r:?} {a:#x}");
    }
}

#[test]
fn format_conversions() {
    conversions::<Half, Single>(Fmt::F16, Fmt::F32);
    conversions::<Half, Double>(Fmt::F16, Fmt::F64);
    conversions::<Single, Half>(Fmt::F32, Fmt::F16);
    conversions::<Single, Double>(Fmt::F32, Fmt::F64);
    conversions::<Double, Half>(Fmt::F64, Fmt::F16);
    conversions::<Double, Single>(Fmt::F64, Fmt::F32);
}

fn integral_and_order<T: Float>(fmt: Fmt) {
    let s = Shape::of(fmt);
    let mut random = Random(6);
    for i in 0..400_000 {
        let a = random.operand(fmt);
        let b = random.operand_near(fmt, a);
        if s.is_nan(a) || s.is_nan(b) {
            continue;
        }
        let (x, y) = (T::from_bits(a as u128), T::from_bits(b as u128));
        // Rounding to odd is not a mode of this operation.
        let r = ROUNDINGS[i % 5];
        let integral = x.round_to_integral(round(r)).value.to_bits() as u64;
        let inexact = if integral == a { Flags::NONE } else { Flags::INEXACT };
        for (exact, flags) in [(true, inexact), (false, Flags::NONE)] {
            let mut e = env(ROUNDINGS[(i + 1) % 5]);
            let got = unary(Un::RoundInt { mode: Some(r), exact }, fmt, a, &mut e);
            assert_eq!((got, e.flags), (integral, flags), "{fmt:?} {r:?} {a:#x}");
        }
        let order = match x.partial_cmp(&y) {
            Some(std::cmp::Ordering::Less) => Ordering4::Less,
            Some(std::cmp::Ordering::Equal) => Ordering4::Equal,
            Some(std::cmp::Ordering::Greater) => Ordering4::Greater,
            None => Ordering4::Unordered,
        };
        let mut e = env(r);
        assert_eq!(compare(fmt, a, b, i % 2 == 0, &mut e), order, "{fmt:?} {a:#x} {b:#x}");
        assert_eq!(binary(Bin::Max, fmt, a, b, &mut e), x.maximum(y).to_bits() as u64);
        assert_eq!(binary(Bin::Min, fmt, a, b, &mut e), x.minimum(y).to_bits() as u64);
        assert_eq!(binary(Bin::MaxNm, fmt, a, b, &mut e), x.maximum(y).to_bits() as u64);
        assert_eq!(binary(Bin::MinNm, fmt, a, b, &mut e), x.minimum(y).to_bits() as u64);
        assert_eq!(e.flags, Flags::NONE);
    }
}

#[test]
fn integral_values_and_order() {
    integral_and_order::<Half>(Fmt::F16);
    integral_and_order::<Single>(Fmt::F32);
    integral_and_order::<Double>(Fmt::F64);
}
