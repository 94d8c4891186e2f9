//! Arm's own rules, by hand from the pseudocode of the architecture manual.

use super::*;
use crate::*;

const IOC: Flags = Flags::INVALID;
const DZC: Flags = Flags::DIVZERO;
const OFC: Flags = Flags::OVERFLOW;
const UFC: Flags = Flags::UNDERFLOW;
const IXC: Flags = Flags::INEXACT;
const IDC: Flags = Flags::INPUT_DENORMAL;
const NONE: Flags = Flags::NONE;

fn fz(e: &mut Env) {
    e.flush_inputs = true;
    e.flush_outputs = true;
}

fn fz16(e: &mut Env) {
    e.flush16 = true;
}

#[test]
fn fpsr_bits() {
    let all = IOC | DZC | OFC | UFC | IXC | IDC;
    assert_eq!(all.0, 0x9f);
    assert_eq!([IOC.0, DZC.0, OFC.0, UFC.0, IXC.0, IDC.0], [1, 2, 4, 8, 16, 128]);
    assert!(all.contains(UFC | IDC) && !UFC.contains(UFC | IDC) && NONE.is_empty());
}

#[test]
fn flush_to_zero() {
    let (one, min, denormal, minus) = (0x3f80_0000, 0x0080_0000, 0x0000_0001, 0x8000_0000);
    let half = 0x3f00_0000;
    let f = Fmt::F32;
    for (op, a, b, result, flags) in [
        (Bin::Add, denormal, denormal | minus, 0, IDC),
        (Bin::Add, denormal | minus, minus, minus, IDC),
        (Bin::Add, one, denormal, one, IDC),
        (Bin::Mul, min, half, 0, UFC),
        (Bin::Mul, min | minus, half, minus, UFC),
        (Bin::Mul, min, one, min, NONE),
        // Tiny before rounding: flushed though rounding would reach the smallest normal number.
        (Bin::Mul, 0x0080_0001, 0x3f7f_fffe, 0, UFC),
        (Bin::Sub, 0x0080_0001, min, 0, UFC),
        (Bin::Div, one, denormal, 0x7f80_0000, IDC | DZC),
        (Bin::Div, denormal, denormal, 0x7fc0_0000, IDC | IOC),
        (Bin::Max, denormal, minus, 0, IDC),
        (Bin::Add, 0x7fc0_0000, denormal, 0x7fc0_0000, IDC),
        (Bin::RecipStep, denormal, one, 0x4000_0000, IDC),
    ] {
        let got = run(fz, |e| binary(op, f, a, b, e));
        assert_eq!(got, (result, flags), "{op:?} {a:#x} {b:#x}");
    }
    let got = run(fz, |e| compare(f, denormal, minus, false, e));
    assert_eq!(got, (Ordering4::Equal, IDC));
    let got = run(fz, |e| to_int(f, denormal, 0, 32, true, Rounding::Up, e));
    assert_eq!(got, (0, IDC));
    let got = run(fz, |e| unary(Un::RoundInt { mode: Some(Rounding::Up), exact: true }, f, 1, e));
    assert_eq!(got, (0, IDC));
    assert_eq!(run(fz, |e| unary(Un::Sqrt, f, denormal | minus, e)), (minus, IDC));
    assert_eq!(run(fz, |e| fma(f, denormal, min, half, e)), (0, IDC | UFC));
    assert_eq!(run(fz, |e| convert(Fmt::F64, f, 1, e)), (0, IDC));
    let tiny = 0x3800_0000_0000_0000u64 - 1;
    assert_eq!(run(fz, |e| convert(Fmt::F64, f, tiny, e)), (0, UFC));
    // Sign operations do not look at the value.
    assert_eq!(run(fz, |e| unary(Un::Neg, f, denormal, e)), (denormal | minus, NONE));
    // Inputs alone (FPCR.FIZ): results stay.
    let got = run(|e| e.flush_inputs = true, |e| binary(Bin::Mul, f, min, half, e));
    assert_eq!(got, (0x0040_0000, NONE));
}

#[test]
fn flush_half() {
    let f = Fmt::F16;
    let (one, half, min) = (0x3c00, 0x3800, 0x0400);
    // FZ does not reach arithmetic on halves; FZ16 does, without IDC.
    assert_eq!(run(fz, |e| binary(Bin::Add, f, 1, 1, e)), (2, NONE));
    assert_eq!(run(fz16, |e| binary(Bin::Add, f, 1, one, e)), (one, NONE));
    assert_eq!(run(fz16, |e| binary(Bin::Mul, f, min | 0x8000, half, e)), (0x8000, UFC));
    assert_eq!(run(fz16, |e| compare(f, 1, 0, false, e)), (Ordering4::Equal, NONE));
    assert_eq!(run(fz16, |e| from_int(1, 32, true, 20, f, e)), (0, UFC));
    assert_eq!(run(fz16, |e| to_int(f, 1, 24, 32, true, Rounding::Zero, e)), (0, NONE));
    // Nor does it reach the other formats, nor conversions.
    assert_eq!(run(fz16, |e| binary(Bin::Add, Fmt::F32, 1, 1, e)), (2, NONE));
    assert_eq!(run(fz16, |e| convert(f, Fmt::F32, 1, e)), (0x3380_0000, NONE));
    assert_eq!(run(fz16, |e| convert(Fmt::F32, f, 0x3380_0000, e)), (1, NONE));
    let both = |e: &mut Env| {
        fz(e);
        fz16(e);
    };
    assert_eq!(run(both, |e| convert(Fmt::F32, f, 0x3380_0000, e)), (1, NONE));
    assert_eq!(run(both, |e| convert(Fmt::F32, f, 1, e)), (0, IDC));
}

#[test]
fn tininess_before_rounding() {
    // The product rounds to the smallest normal number.
    let (a, b) = (0x0080_0001, 0x3f7f_fffe);
    let before = run(arm, |e| binary(Bin::Mul, Fmt::F32, a, b, e));
    assert_eq!(before, (0x0080_0000, UFC | IXC));
    let after = run(|e| e.tiny_before = false, |e| binary(Bin::Mul, Fmt::F32, a, b, e));
    assert_eq!(after, (0x0080_0000, IXC));
}

#[test]
fn alternative_half() {
    let ahp = |e: &mut Env| e.alt_half = true;
    for (a, result, flags) in [
        (0x3f80_0000, 0x3c00, NONE),
        // 65536 and 131008, the largest.
        (0x4780_0000, 0x7c00, NONE),
        (0x47ff_e000, 0x7fff, NONE),
        (0xc7ff_efff, 0xffff, IXC),
        // Too large saturates with IOC alone.
        (0x47ff_f000, 0x7fff, IOC),
        (0xff7f_ffff, 0xffff, IOC),
        (0xff80_0000, 0xffff, IOC),
        // NaNs become zeros.
        (0x7fc0_0000, 0, IOC),
        (0xffa0_0001, 0x8000, IOC),
        (0x3380_0000, 1, NONE),
        (0x3300_0001, 1, UFC | IXC),
    ] {
        let got = run(ahp, |e| convert(Fmt::F32, Fmt::F16, a, e));
        assert_eq!(got, (result, flags), "{a:#x}");
    }
    for (a, result) in [(0x7c00, 0x4780_0000), (0xffff, 0xc7ff_e000), (0x7e00, 0x47c0_0000)] {
        assert_eq!(run(ahp, |e| convert(Fmt::F16, Fmt::F32, a, e)), (result, NONE));
    }
    // Arithmetic stays IEEE.
    let got = run(ahp, |e| binary(Bin::Add, Fmt::F16, 0x7c00, 0x3c00, e));
    assert_eq!(got, (0x7c00, NONE));
    let got = run(ahp, |e| to_int(Fmt::F16, 0x7c00, 0, 32, true, Rounding::Zero, e));
    assert_eq!(got, (0x7fff_ffff, IOC));
}

#[test]
fn fcvtxn() {
    for (a, result, flags) in [
        (1.0f64.to_bits(), 0x3f80_0000, NONE),
        (1.0f64.to_bits() + 1, 0x3f80_0001, IXC),
        (0.1f64.to_bits(), 0x3dcc_cccd, IXC),
        (1, 1, UFC | IXC),
        (f64::MAX.to_bits(), 0x7f7f_ffff, OFC | IXC),
        (f64::INFINITY.to_bits(), 0x7f80_0000, NONE),
    ] {
        let got = run(arm, |e| convert_round(Fmt::F64, Fmt::F32, a, Rounding::ToOdd, e));
        assert_eq!(got, (result, flags), "{a:#x}");
    }
}

#[test]
fn fmulx() {
    let (inf, minus) = (0x7f80_0000, 0x8000_0000);
    for (a, b, result) in [
        (0, inf, 0x4000_0000),
        (minus, inf, 0xc000_0000),
        (inf | minus, minus, 0x4000_0000),
        (inf, 0x3f80_0000, inf),
        (0, 0x3f80_0000, 0),
        (0x4040_0000, 0x4000_0000, 0x40c0_0000),
    ] {
        let got = run(arm, |e| binary(Bin::MulX, Fmt::F32, a, b, e));
        assert_eq!(got, (result, NONE), "{a:#x} {b:#x}");
    }
    let two = run(arm, |e| binary(Bin::MulX, Fmt::F64, 0, 0x7ff0_0000_0000_0000, e));
    assert_eq!(two, (0x4000_0000_0000_0000, NONE));
    assert_eq!(run(arm, |e| binary(Bin::MulX, Fmt::F16, 0x8000, 0x7c00, e)), (0xc000, NONE));
}

#[test]
fn steps() {
    let (one, inf, minus) = (0x3f80_0000, 0x7f80_0000, 0x8000_0000);
    for (op, a, b, result) in [
        (Bin::RecipStep, one, one, one),
        (Bin::RecipStep, 0x4000_0000, one, 0),
        (Bin::RecipStep, 0, inf, 0x4000_0000),
        (Bin::RecipStep, inf | minus, 0, 0x4000_0000),
        (Bin::RecipStep, inf, one, inf | minus),
        (Bin::RecipStep, 0, 0, 0x4000_0000),
        (Bin::RsqrtStep, one, one, one),
        (Bin::RsqrtStep, 0x4040_0000, one, 0),
        (Bin::RsqrtStep, 0, inf, 0x3fc0_0000),
        (Bin::RsqrtStep, inf | minus, one, inf),
        (Bin::RsqrtStep, 0, one, 0x3fc0_0000),
    ] {
        let got = run(arm, |e| binary(op, Fmt::F32, a, b, e));
        assert_eq!(got, (result, NONE), "{op:?} {a:#x} {b:#x}");
    }
    let down = |e: &mut Env| e.rounding = Rounding::Down;
    let got = run(down, |e| binary(Bin::RecipStep, Fmt::F32, 0x4000_0000, one, e));
    assert_eq!(got, (minus, NONE));
}

/// The estimates are the nearest of 9 bits to the function at the middle of each interval.
#[test]
fn estimate_tables() {
    for i in 256..512u32 {
        let x = (i as f64 + 0.5) / 512.0;
        let expected = ((256.0 / x).round() as u32) << 23;
        assert_eq!(recip_estimate_u32(i << 23 | 0x7f_ffff), expected, "{i}");
    }
    for i in 128..512u32 {
        let x = match i {
            ..256 => (i as f64 + 0.5) / 512.0,
            _ => ((i & !1) as f64 + 1.0) / 512.0,
        };
        let expected = ((256.0 / x.sqrt()).round() as u32) << 23;
        assert_eq!(rsqrt_estimate_u32(i << 23), expected, "{i}");
    }
    assert_eq!(recip_estimate_u32(0x7fff_ffff), u32::MAX);
    assert_eq!(recip_estimate_u32(0x8000_0000), 0xff80_0000);
    assert_eq!(recip_estimate_u32(u32::MAX), 0x8000_0000);
    assert_eq!(rsqrt_estimate_u32(0x3fff_ffff), u32::MAX);
    assert_eq!(rsqrt_estimate_u32(0x4000_0000), 0xff80_0000);
    assert_eq!(rsqrt_estimate_u32(u32::MAX), 0x8000_0000);
}

#[test]
fn frecpe() {
    use Fmt::{F16, F32, F64};
    let minus = 0x8000_0000;
    for (fmt, a, result, flags) in [
        (F32, 0x3f80_0000, 0x3f7f_8000, NONE),
        (F32, 0x4000_0000, 0x3eff_8000, NONE),
        (F32, 0xc040_0000, 0xbeaa_8000, NONE),
        (F32, 0, 0x7f80_0000, DZC),
        (F32, minus, 0xff80_0000, DZC),
        (F32, 0xff80_0000, minus, NONE),
        // Denormal results: 2^126 and 2^127.
        (F32, 0x7e80_0000, 0x007f_c000, NONE),
        (F32, 0x7f00_0000, 0x003f_e000, NONE),
        (F32, 0x7f7f_ffff, 0x0020_0000, NONE),
        // Denormal operands: below 2^-128 the result overflows.
        (F32, 0x0020_0000, 0x7f7f_8000, NONE),
        (F32, 0x001f_ffff, 0x7f80_0000, OFC | IXC),
        (F32, 0x8000_0001, 0xff80_0000, OFC | IXC),
        (F16, 0x3c00, 0x3bfc, NONE),
        (F16, 0x0001, 0x7c00, OFC | IXC),
        (F16, 0x7bff, 0x0100, NONE),
        (F64, 0x3ff0_0000_0000_0000, 0x3fef_f000_0000_0000, NONE),
        (F64, 0x0004_0000_0000_0000, 0x7fef_f000_0000_0000, NONE),
        (F64, 0x0003_ffff_ffff_ffff, 0x7ff0_0000_0000_0000, OFC | IXC),
    ] {
        let got = run(arm, |e| unary(Un::RecipEstimate, fmt, a, e));
        assert_eq!(got, (result, flags), "{fmt:?} {a:#x}");
    }
    for (rounding, a, result) in [
        (Rounding::Zero, 1, 0x7f7f_ffff),
        (Rounding::Up, 1, 0x7f80_0000),
        (Rounding::Up, minus | 1, 0xff7f_ffff),
        (Rounding::Down, 1, 0x7f7f_ffff),
        (Rounding::Down, minus | 1, 0xff80_0000),
    ] {
        let got = run(|e| e.rounding = rounding, |e| unary(Un::RecipEstimate, F32, a, e));
        assert_eq!(got, (result, OFC | IXC), "{rounding:?} {a:#x}");
    }
    for (a, result, flags) in [(0xfe80_0000, minus, UFC), (0x7e7f_ffff, 0x0080_0000, NONE), (1, 0x7f80_0000, IDC | DZC)] {
        let got = run(fz, |e| unary(Un::RecipEstimate, F32, a, e));
        assert_eq!(got, (result, flags), "{a:#x}");
    }
    assert_eq!(run(fz16, |e| unary(Un::RecipEstimate, F16, 0x7400, e)), (0, UFC));
}

#[test]
fn frsqrte() {
    use Fmt::{F16, F32, F64};
    for (fmt, a, result, flags) in [
        (F32, 0x3f80_0000, 0x3f7f_8000, NONE),
        (F32, 0x4080_0000, 0x3eff_8000, NONE),
        (F32, 0x4000_0000, 0x3f34_8000, NONE),
        (F32, 0, 0x7f80_0000, DZC),
        (F32, 0x8000_0000, 0xff80_0000, DZC),
        (F32, 0x7f80_0000, 0, NONE),
        (F32, 0xff80_0000, 0x7fc0_0000, IOC),
        (F32, 0xbf80_0000, 0x7fc0_0000, IOC),
        // 2^-149 and 2^-148.
        (F32, 1, 0x64b4_8000, NONE),
        (F32, 2, 0x647f_8000, NONE),
        (F16, 0x3c00, 0x3bfc, NONE),
        (F16, 0x0001, 0x6bfc, NONE),
        (F64, 0x4010_0000_0000_0000, 0x3fdf_f000_0000_0000, NONE),
    ] {
        let got = run(arm, |e| unary(Un::RsqrtEstimate, fmt, a, e));
        assert_eq!(got, (result, flags), "{fmt:?} {a:#x}");
    }
    assert_eq!(run(fz, |e| unary(Un::RsqrtEstimate, F32, 1, e)), (0x7f80_0000, IDC | DZC));
}

#[test]
fn frecpx() {
    use Fmt::{F16, F32, F64};
    for (fmt, a, result) in [
        (F32, 0x3f80_0000, 0x4000_0000),
        (F32, 0xbfff_ffff, 0xc000_0000),
        (F32, 0, 0x7f00_0000),
        (F32, 0x8000_0001, 0xff00_0000),
        (F32, 0x7f80_0000, 0),
        (F32, 0x0080_0000, 0x7f00_0000),
        (F16, 0x3c00, 0x4000),
        (F16, 0x0000, 0x7800),
        (F64, 0xfff0_0000_0000_0000, 0x8000_0000_0000_0000),
        (F64, 0x0000_0000_0000_0000, 0x7fe0_0000_0000_0000),
    ] {
        let got = run(arm, |e| unary(Un::RecipExponent, fmt, a, e));
        assert_eq!(got, (result, NONE), "{fmt:?} {a:#x}");
    }
    assert_eq!(run(fz, |e| unary(Un::RecipExponent, F32, 1, e)), (0x7f00_0000, IDC));
}

#[test]
fn frint32_and_64() {
    let bits = |x: f64| x.to_bits();
    let z = Some(Rounding::Zero);
    let low32 = bits(-2147483648.0);
    let low64 = bits(-9223372036854775808.0);
    for (op, a, result, flags) in [
        (Un::RoundInt32 { mode: z }, bits(1.5), bits(1.0), IXC),
        (Un::RoundInt32 { mode: None }, bits(1.5), bits(2.0), IXC),
        (Un::RoundInt32 { mode: z }, bits(-0.5), bits(-0.0), IXC),
        (Un::RoundInt32 { mode: z }, bits(2147483647.5), bits(2147483647.0), IXC),
        (Un::RoundInt32 { mode: None }, bits(2147483647.5), low32, IOC),
        (Un::RoundInt32 { mode: z }, bits(-2147483648.5), low32, IXC),
        (Un::RoundInt32 { mode: z }, bits(-2147483649.0), low32, IOC),
        (Un::RoundInt32 { mode: z }, bits(f64::NAN), low32, IOC),
        (Un::RoundInt32 { mode: z }, bits(f64::INFINITY), low32, IOC),
        (Un::RoundInt32 { mode: z }, bits(-0.0), bits(-0.0), NONE),
        (Un::RoundInt64 { mode: z }, bits(9223372036854775808.0), low64, IOC),
        (Un::RoundInt64 { mode: z }, low64, low64, NONE),
        (Un::RoundInt64 { mode: z }, bits(4611686018427387904.0), bits(4611686018427387904.0), NONE),
        (Un::RoundInt64 { mode: z }, bits(1e300), low64, IOC),
    ] {
        assert_eq!(run(arm, |e| unary(op, Fmt::F64, a, e)), (result, flags), "{op:?} {a:#x}");
    }
    let got = run(arm, |e| unary(Un::RoundInt32 { mode: z }, Fmt::F32, 0x4f00_0000, e));
    assert_eq!(got, (0xcf00_0000, IOC));
}

#[test]
fn fjcvtzs_edges() {
    for (a, result, z, flags) in [
        (0.0f64.to_bits(), 0, true, NONE),
        ((-0.0f64).to_bits(), 0, false, NONE),
        (f64::NAN.to_bits(), 0, false, IOC),
        (f64::INFINITY.to_bits(), 0, false, IOC),
        ((-1.0f64).to_bits(), 0xffff_ffff, true, NONE),
        (4294967297.0f64.to_bits(), 1, false, IOC),
        ((-2147483648.0f64).to_bits(), 0x8000_0000, true, NONE),
        (1e300f64.to_bits(), 0, false, IOC),
        (1, 0, false, IXC),
    ] {
        assert_eq!(run(arm, |e| to_int_js(a, e)), ((result, z), flags), "{a:#x}");
    }
    assert_eq!(run(fz, |e| to_int_js(1, e)), ((0, false), IDC));
}

#[test]
fn upper_bits_are_ignored_and_clear() {
    let junk = 0xdead_beef_0000_0000;
    let (one, two) = (0x3f80_0000, 0x4000_0000);
    let mut e = Env::arm();
    assert_eq!(binary(Bin::Add, Fmt::F32, one | junk, one | junk, &mut e), two);
    assert_eq!(binary(Bin::Max, Fmt::F32, one | junk, 0x7fc0_0000 | junk, &mut e), 0x7fc0_0000);
    assert_eq!(unary(Un::Neg, Fmt::F32, one | junk, &mut e), 0xbf80_0000);
    assert_eq!(unary(Un::Abs, Fmt::F16, 0xbc00 | junk, &mut e), 0x3c00);
    assert_eq!(convert(Fmt::F16, Fmt::F32, 0x3c00 | junk, &mut e), one);
    let up = Un::RoundInt { mode: None, exact: true };
    assert_eq!(unary(up, Fmt::F32, 0x4f00_0000 | junk, &mut e), 0x4f00_0000);
    assert_eq!(from_int(junk | 1, 32, true, 0, Fmt::F32, &mut e), one);
    let got = to_int(Fmt::F32, 0xbf80_0000, 0, 16, true, Rounding::Zero, &mut e);
    assert_eq!((got, e.flags), (0xffff, NONE));
}
