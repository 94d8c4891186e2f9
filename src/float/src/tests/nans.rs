//! NaN propagation: every pair and triple of a few operands, against the rules written out.

use super::*;
use crate::*;

/// What a rule gives for NaNs among `operands`, in its order of preference, with the quiet bit of
/// IEEE 754-2008.
fn preferred(s: Shape, operands: &[u64]) -> Option<u64> {
    let signalling = operands.iter().find(|&&a| s.is_signalling(a));
    let any = operands.iter().find(|&&a| s.is_nan(a));
    signalling.or(any).map(|a| a | s.quiet())
}

fn samples(s: Shape) -> Vec<u64> {
    let magnitudes = [0, 1, s.one(), s.inf(), s.inf() + 1, s.inf() + 6, s.inf() + s.quiet() - 1, s.inf() + s.quiet(), s.inf() + s.quiet() + 9, s.magnitude()];
    magnitudes.iter().flat_map(|m| [*m, *m | s.sign()]).collect()
}

const ARITHMETIC: [Bin; 5] = [Bin::Add, Bin::Sub, Bin::Mul, Bin::Div, Bin::MulX];

#[test]
fn arm_pairs() {
    for fmt in FORMATS {
        let s = Shape::of(fmt);
        for a in samples(s) {
            for b in samples(s) {
                let Some(nan) = preferred(s, &[a, b]) else { continue };
                let signalling = s.is_signalling(a) || s.is_signalling(b);
                let flags = if signalling { Flags::INVALID } else { Flags::NONE };
                for op in ARITHMETIC.into_iter().chain([Bin::Max, Bin::Min]) {
                    let got = run(arm, |e| binary(op, fmt, a, b, e));
                    assert_eq!(got, (nan, flags), "{op:?} {fmt:?} {a:#x} {b:#x}");
                    let got = run(|e| e.default_nan = true, |e| binary(op, fmt, a, b, e));
                    assert_eq!(got, (s.inf() | s.quiet(), flags));
                }
                // The sign is worked on after, or for the steps before, the NaN is chosen.
                let got = run(arm, |e| binary(Bin::NMul, fmt, a, b, e));
                assert_eq!(got, (nan ^ s.sign(), flags));
                let got = run(arm, |e| binary(Bin::AbsDiff, fmt, a, b, e));
                assert_eq!(got, (nan & !s.sign(), flags));
                let negated = preferred(s, &[a ^ s.sign(), b]);
                for op in [Bin::RecipStep, Bin::RsqrtStep] {
                    let got = run(arm, |e| binary(op, fmt, a, b, e));
                    assert_eq!((Some(got.0), got.1), (negated, flags));
                }
                for all in [false, true] {
                    let got = run(arm, |e| compare(fmt, a, b, all, e));
                    let invalid = if all || signalling { Flags::INVALID } else { Flags::NONE };
                    assert_eq!(got, (Ordering4::Unordered, invalid));
                }
            }
        }
    }
}

#[test]
fn arm_max_number() {
    let s = Shape::of(Fmt::F32);
    let (one, two) = (s.one(), s.one() + s.min_normal());
    let (q, sn) = (0x7fc0_0001, 0x7f80_0001);
    for (op, a, b, result, flags) in [
        (Bin::MaxNm, q, one, one, Flags::NONE),
        (Bin::MinNm, one, q, one, Flags::NONE),
        (Bin::MaxNm, q, s.inf() | s.sign(), s.inf() | s.sign(), Flags::NONE),
        (Bin::MaxNm, q, q + 1, q, Flags::NONE),
        (Bin::MaxNm, q, sn, sn | s.quiet(), Flags::INVALID),
        (Bin::MinNm, sn, one, sn | s.quiet(), Flags::INVALID),
        (Bin::MaxNm, one, two, two, Flags::NONE),
        (Bin::MinNm, one, two, one, Flags::NONE),
        (Bin::Max, 0, s.sign(), 0, Flags::NONE),
        (Bin::Min, 0, s.sign(), s.sign(), Flags::NONE),
        (Bin::MaxNm, s.sign(), 0, 0, Flags::NONE),
        (Bin::MinNm, s.sign(), 0, s.sign(), Flags::NONE),
    ] {
        let got = run(arm, |e| binary(op, Fmt::F32, a, b, e));
        assert_eq!(got, (result, flags), "{op:?} {a:#x} {b:#x}");
    }
}

#[test]
fn arm_fused() {
    for fmt in FORMATS {
        let s = Shape::of(fmt);
        let default = s.inf() | s.quiet();
        for c in samples(s) {
            for a in samples(s) {
                for b in samples(s) {
                    let Some(mut nan) = preferred(s, &[c, a, b]) else { continue };
                    let mut invalid = [a, b, c].iter().any(|&v| s.is_signalling(v));
                    let (x, y) = (a & s.magnitude(), b & s.magnitude());
                    let no_product = x == 0 && y == s.inf() || x == s.inf() && y == 0;
                    if no_product && !s.is_signalling(c) {
                        nan = default;
                        invalid = true;
                    }
                    let flags = if invalid { Flags::INVALID } else { Flags::NONE };
                    let got = run(arm, |e| fma(fmt, c, a, b, e));
                    assert_eq!(got, (nan, flags), "{fmt:?} {c:#x} + {a:#x} * {b:#x}");
                }
            }
        }
    }
}

#[test]
fn arm_single_operands() {
    for fmt in FORMATS {
        let s = Shape::of(fmt);
        for a in samples(s) {
            if !s.is_nan(a) {
                continue;
            }
            let flags = if s.is_signalling(a) { Flags::INVALID } else { Flags::NONE };
            for op in [Un::Sqrt, Un::RoundInt { mode: None, exact: true }, Un::RecipEstimate, Un::RsqrtEstimate, Un::RecipExponent] {
                let got = run(arm, |e| unary(op, fmt, a, e));
                assert_eq!(got, (a | s.quiet(), flags), "{op:?} {fmt:?} {a:#x}");
            }
            // The sign alone, whatever the operand and the mode.
            let got = run(|e| e.default_nan = true, |e| unary(Un::Neg, fmt, a, e));
            assert_eq!(got, (a ^ s.sign(), Flags::NONE));
            let got = run(|e| e.default_nan = true, |e| unary(Un::Abs, fmt, a, e));
            assert_eq!(got, (a & s.magnitude(), Flags::NONE));
            for (width, signed) in [(16, true), (32, true), (64, false)] {
                let got = run(arm, |e| to_int(fmt, a, 0, width, signed, Rounding::Zero, e));
                assert_eq!(got, (0, Flags::INVALID));
            }
        }
    }
}

#[test]
fn format_conversion() {
    use Fmt::{F16, F32, F64};
    let some = Flags::INVALID;
    let none = Flags::NONE;
    for (from, to, a, result, flags) in [
        (F32, F64, 0x7fc1_2345, 0x7ff8_2468_a000_0000, none),
        (F32, F64, 0xff81_2345, 0xfff8_2468_a000_0000, some),
        (F64, F32, 0xfff8_2468_bfff_ffff, 0xffc1_2345, none),
        (F64, F32, 0x7ff0_0000_0000_0001, 0x7fc0_0000, some),
        (F64, F16, 0x7ff8_0400_0000_0000, 0x7e01, none),
        (F16, F32, 0xfc01, 0xffc0_2000, some),
        (F16, F64, 0x7e00, 0x7ff8_0000_0000_0000, none),
    ] {
        let got = run(arm, |e| convert(from, to, a, e));
        assert_eq!(got, (result, flags), "{from:?} {to:?} {a:#x}");
        let got = run(|e| e.default_nan = true, |e| convert(from, to, a, e));
        assert_eq!(got, (default_nan(to, &Env::arm()), flags));
    }
}

#[test]
fn other_architectures() {
    use NanRule::{Ieee2008, MipsLegacy, X86};
    let f = Fmt::F32;
    let one = 0x3f80_0000;
    let inf = 0x7f80_0000;
    let invalid = Flags::INVALID;
    // Invalid operations give the default NaN.
    for (nan, default) in [(MipsLegacy, 0x7fbf_ffff), (Ieee2008, 0x7fc0_0000), (X86, 0xffc0_0000)] {
        let got = run(rule(nan), |e| binary(Bin::Mul, f, 0, inf, e));
        assert_eq!(got, (default, invalid), "{nan:?}");
    }
    assert_eq!(default_nan(Fmt::F64, &Env::with_nan_rule(MipsLegacy)), 0x7ff7_ffff_ffff_ffff);
    for (nan, a, b, result, flags) in [
        // The quiet bit is inverted, and a signalling NaN cannot be quietened.
        (MipsLegacy, 0x7f80_0001, one, 0x7f80_0001, Flags::NONE),
        (MipsLegacy, one, 0x7fc0_0001, 0x7fbf_ffff, invalid),
        (MipsLegacy, 0x7f80_0001, 0x7f80_0002, 0x7f80_0001, Flags::NONE),
        (Ieee2008, 0x7fc0_0001, 0x7f80_0002, 0x7fc0_0002, invalid),
        // The first operand, though the second signals.
        (X86, 0x7fc0_0001, 0x7f80_0002, 0x7fc0_0001, invalid),
        (X86, one, 0xff80_0002, 0xffc0_0002, invalid),
    ] {
        let got = run(rule(nan), |e| binary(Bin::Add, f, a, b, e));
        assert_eq!(got, (result, flags), "{nan:?} {a:#x} {b:#x}");
    }
    for (nan, c, a, b, result, flags) in [
        (MipsLegacy, 0x7f80_0001, 0, inf, 0x7fbf_ffff, invalid),
        (MipsLegacy, 0x7f80_0001, 0x7f80_0002, one, 0x7f80_0002, Flags::NONE),
        (Ieee2008, 0x7fc0_0001, 0, inf, 0x7fc0_0001, invalid),
        (Ieee2008, 0x7fc0_0001, 0x7fc0_0002, one, 0x7fc0_0001, Flags::NONE),
        (X86, 0x7fc0_0001, 0, inf, 0x7fc0_0001, Flags::NONE),
        (X86, 0x7fc0_0001, 0x7fc0_0002, one, 0x7fc0_0002, Flags::NONE),
    ] {
        let got = run(rule(nan), |e| fma(f, c, a, b, e));
        assert_eq!(got, (result, flags), "{nan:?} {c:#x} + {a:#x} * {b:#x}");
    }
    let minus_big = 0xff00_0000;
    for (nan, a, signed, result) in [
        (MipsLegacy, minus_big, true, 0x7fff_ffff),
        (MipsLegacy, 0x7f80_0001, true, 0x7fff_ffff),
        (Ieee2008, minus_big, true, 0x8000_0000),
        (Ieee2008, 0x7fc0_0000, true, 0),
        (X86, inf, true, 0x8000_0000),
        (X86, inf, false, 0xffff_ffff),
    ] {
        let got = run(rule(nan), |e| to_int(f, a, 0, 32, signed, Rounding::Zero, e));
        assert_eq!(got, (result, invalid), "{nan:?} {a:#x}");
    }
    // A payload lost in narrowing must not leave an infinity.
    let got = run(rule(MipsLegacy), |e| convert(Fmt::F64, f, 0x7ff0_0000_0000_0001, e));
    assert_eq!(got, (0x7fbf_ffff, Flags::NONE));
    assert!(is_signalling(f, 0x7fc0_0000, &Env::with_nan_rule(MipsLegacy)));
    assert!(!is_signalling(f, 0x7fc0_0000, &Env::arm()) && is_nan(f, 0x7fc0_0000));
    // MAXSS and MINSS: the second operand where unordered or equal.
    for (a, b, result, flags) in [(0x7fc0_0000, one, one, invalid), (one, 0x7f80_0001, 0x7f80_0001, invalid), (0, 0x8000_0000, 0x8000_0000, Flags::NONE)] {
        let got = run(rule(X86), |e| binary(Bin::Max, f, a, b, e));
        assert_eq!(got, (result, flags), "{a:#x} {b:#x}");
    }
}
