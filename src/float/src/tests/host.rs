//! Against the host's arithmetic in round to nearest, and the fast path against the exact one.

use super::*;
use crate::*;

/// Every operand pair: where the fast path answers, bits and flags (beyond INEXACT) are those of
/// the exact path; and it answers often enough to be of use.
macro_rules! fast_path {
    ($name:ident, $fmt:expr, $fast:ident, $sqrt:ident, $fma:ident) => {
        #[test]
        fn $name() {
            let mut random = Random(11);
            let mut answers = 0;
            let ops = [
                Bin::Add,
                Bin::Sub,
                Bin::Mul,
                Bin::Div,
                Bin::Max,
                Bin::Min,
                Bin::MaxNm,
                Bin::MinNm,
                Bin::NMul,
                Bin::AbsDiff,
                Bin::MulX,
                Bin::RecipStep,
                Bin::RsqrtStep,
            ];
            for i in 0..2_000_000 {
                let a = random.operand($fmt);
                let b = random.operand_near($fmt, a);
                let c = random.operand_near($fmt, b);
                let op = ops[i % ops.len()];
                let exact = |r: u64, e: &Env| (r, e.flags | Flags::INEXACT);
                if let Some(fast) = $fast(op, a, b) {
                    let mut e = Env::arm();
                    let r = binary(op, $fmt, a, b, &mut e);
                    assert_eq!((fast, Flags::INEXACT), exact(r, &e), "{op:?} {a:#x} {b:#x}");
                    answers += 1;
                }
                if let Some(fast) = $sqrt(a) {
                    let mut e = Env::arm();
                    let r = unary(Un::Sqrt, $fmt, a, &mut e);
                    assert_eq!((fast, Flags::INEXACT), exact(r, &e), "sqrt {a:#x}");
                }
                if let Some(fast) = $fma(c, a, b) {
                    let mut e = Env::arm();
                    let r = fma($fmt, c, a, b, &mut e);
                    let got = (fast, Flags::INEXACT);
                    assert_eq!(got, exact(r, &e), "{c:#x} + {a:#x} * {b:#x}");
                }
            }
            assert!(answers > 600_000, "the fast path answered {answers} times");
        }
    };
}

fast_path!(fast_f32_is_exact, Fmt::F32, fast_f32, fast_sqrt_f32, fast_fma_f32);
fast_path!(fast_f64_is_exact, Fmt::F64, fast_f64, fast_sqrt_f64, fast_fma_f64);

#[test]
fn fast_path_refuses_what_raises() {
    let one = 1.0f64.to_bits();
    let min = f64::MIN_POSITIVE.to_bits();
    for (op, a, b) in [
        (Bin::Mul, min, one),
        (Bin::Div, one, 0),
        (Bin::Div, 0, 0),
        (Bin::Mul, f64::MAX.to_bits(), 2.0f64.to_bits()),
        (Bin::Add, f64::NAN.to_bits(), one),
        (Bin::Max, f64::NAN.to_bits(), one),
        (Bin::Max, 0, 0),
        (Bin::Sub, f64::INFINITY.to_bits(), f64::INFINITY.to_bits()),
    ] {
        assert_eq!(fast_f64(op, a, b), None, "{op:?} {a:#x} {b:#x}");
    }
    assert_eq!(fast_sqrt_f64((-1.0f64).to_bits()), None);
    assert_eq!(fast_fma_f64(f64::NAN.to_bits(), one, one), None);
    assert_eq!(fast_f64(Bin::Add, one, one), Some(2.0f64.to_bits()));
    assert_eq!(fast_f64(Bin::Sub, one, one), Some(0));
}

/// Results of the exact path against the host, all classes but NaNs.
#[test]
fn host_arithmetic() {
    let mut random = Random(12);
    for _ in 0..1_000_000 {
        let a = random.operand(Fmt::F64);
        let b = random.operand_near(Fmt::F64, a);
        let (x, y) = (f64::from_bits(a), f64::from_bits(b));
        let (p, q) = (a as u32 as u64, b as u32 as u64);
        let (u, v) = (f32::from_bits(p as u32), f32::from_bits(q as u32));
        for (op, wide, narrow) in [
            (Bin::Add, x + y, u + v),
            (Bin::Sub, x - y, u - v),
            (Bin::Mul, x * y, u * v),
            (Bin::Div, x / y, u / v),
            (Bin::NMul, -(x * y), -(u * v)),
            (Bin::AbsDiff, (x - y).abs(), (u - v).abs()),
        ] {
            let mut e = Env::arm();
            let got = binary(op, Fmt::F64, a, b, &mut e);
            if wide.is_nan() {
                assert!(f64::from_bits(got).is_nan());
            } else {
                assert_eq!(got, wide.to_bits(), "{op:?} {a:#x} {b:#x}");
            }
            let got = binary(op, Fmt::F32, p, q, &mut e);
            if narrow.is_nan() {
                assert!(f32::from_bits(got as u32).is_nan());
            } else {
                assert_eq!(got, narrow.to_bits() as u64, "{op:?} {p:#x} {q:#x}");
            }
        }
        let mut e = Env::arm();
        if !x.is_nan() {
            let narrow = convert(Fmt::F64, Fmt::F32, a, &mut e);
            assert_eq!(narrow, (x as f32).to_bits() as u64);
            assert_eq!(to_int(Fmt::F64, a, 0, 64, true, Rounding::Zero, &mut e), x as i64 as u64);
            assert_eq!(to_int(Fmt::F64, a, 0, 32, false, Rounding::Zero, &mut e), x as u32 as u64);
        }
        assert_eq!(from_int(b, 64, true, 0, Fmt::F64, &mut e), (b as i64 as f64).to_bits());
        assert_eq!(from_int(b, 64, false, 0, Fmt::F32, &mut e), (b as f32).to_bits() as u64);
    }
}
