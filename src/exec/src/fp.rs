//! Scalar floating-point primitives and their one meaning.

use proteus_float::{Bin, Env, Fmt, Ordering4, Rounding, Un};

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Scalar floating-point operations; `imm` as each says. Operands and results are raw
        /// encodings, results zero-extended.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum FpOp {
            $($(#[$doc])* $name,)*
        }
        impl FpOp {
            /// Every operation, by its number: how compiled code names one to its helper.
            pub const ALL: &'static [FpOp] = &[$(FpOp::$name,)*];
        }
    };
}
operations! {
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a * b.
    Mul,
    /// a / b.
    Div,
    /// The larger; a NaN operand gives a NaN.
    Max,
    /// The smaller; a NaN operand gives a NaN.
    Min,
    /// The larger; one quiet NaN loses to a number.
    MaxNm,
    /// The smaller; one quiet NaN loses to a number.
    MinNm,
    /// -(a * b).
    NMul,
    /// |a - b|.
    AbsDiff,
    /// a * b, but infinity times zero is 2.
    MulX,
    /// 2 - a * b.
    RecipStep,
    /// (3 - a * b) / 2.
    RsqrtStep,
    /// a + b * c, rounded once.
    Fma,
    /// Square root of a.
    Sqrt,
    /// a rounded to an integral value; imm: [`rounding`], [`EXACT`].
    RoundInt,
    /// a rounded to an integral value that fits 32 bits; imm: [`rounding`].
    RoundInt32,
    /// a rounded to an integral value that fits 64 bits; imm: [`rounding`].
    RoundInt64,
    /// Arm's estimate of 1 / a.
    RecipEstimate,
    /// Arm's estimate of 1 / sqrt(a).
    RsqrtEstimate,
    /// Arm's reciprocal exponent of a.
    RecipExponent,
    /// a compared with b, as N, Z, C, V in bits 3 to 0; a signalling NaN raises Invalid.
    Compare,
    /// As Compare, but any NaN raises Invalid.
    CompareSignal,
    /// All ones of the format where a = b, else 0; a signalling NaN raises Invalid.
    CompareEq,
    /// All ones where a >= b, else 0; any NaN raises Invalid.
    CompareGe,
    /// All ones where a > b, else 0; any NaN raises Invalid.
    CompareGt,
    /// a in another format; imm: [`to_format`], [`TO_ODD`].
    Convert,
    /// a times 2^fraction bits as an integer; imm: [`rounding`], [`integer`].
    ToInt,
    /// The integer a divided by 2^fraction bits; imm: [`integer`].
    FromInt,
    /// Binary64 to 32 bits as JavaScript has it; bit 32 is set where that was exact.
    ToIntJs,
    /// a + b * c of binary32, b and c being binary16 (Arm FMLAL).
    FmaLong,
}

/// Of `imm` of RoundInt: raise Inexact where the value changes.
pub const EXACT: u32 = 1 << 3;
/// Of `imm` of Convert: round to odd, whatever the environment has.
pub const TO_ODD: u32 = 1 << 3;

/// A rounding in `imm`; `None` takes the environment's.
pub const fn rounding(r: Option<Rounding>) -> u32 {
    match r {
        Some(Rounding::TiesEven) => 0,
        Some(Rounding::Up) => 1,
        Some(Rounding::Down) => 2,
        Some(Rounding::Zero) => 3,
        Some(Rounding::TiesAway) => 4,
        Some(Rounding::ToOdd) => 5,
        None => 7,
    }
}

/// The format to convert to in `imm`.
pub const fn to_format(fmt: Fmt) -> u32 {
    match fmt {
        Fmt::F16 => 0,
        Fmt::F32 => 1,
        Fmt::F64 => 2,
    }
}

/// An integer of 16, 32 or 64 bits in `imm`, with up to 64 fraction bits.
pub const fn integer(width: u32, signed: bool, fraction: u32) -> u32 {
    (width / 32) << 11 | (fraction & 127) << 4 | (signed as u32) << 13
}

#[inline]
fn mode(imm: u32) -> Option<Rounding> {
    match imm & 7 {
        0 => Some(Rounding::TiesEven),
        1 => Some(Rounding::Up),
        2 => Some(Rounding::Down),
        3 => Some(Rounding::Zero),
        4 => Some(Rounding::TiesAway),
        5 => Some(Rounding::ToOdd),
        _ => None,
    }
}

#[inline]
fn format(imm: u32) -> Fmt {
    match imm & 3 {
        0 => Fmt::F16,
        1 => Fmt::F32,
        _ => Fmt::F64,
    }
}

#[inline]
fn width(imm: u32) -> u32 {
    match imm >> 11 & 3 {
        0 => 16,
        1 => 32,
        _ => 64,
    }
}

/// `v` cut to the format.
#[inline(always)]
const fn cut(fmt: Fmt, v: u64) -> u64 {
    match fmt {
        Fmt::F16 => v as u16 as u64,
        Fmt::F32 => v as u32 as u64,
        Fmt::F64 => v,
    }
}

#[inline]
fn mask(fmt: Fmt, c: bool) -> u64 {
    if c { cut(fmt, u64::MAX) } else { 0 }
}

/// The two-operand operation, where `op` is one.
#[inline(always)]
const fn binary(op: FpOp) -> Option<Bin> {
    Some(match op {
        FpOp::Add => Bin::Add,
        FpOp::Sub => Bin::Sub,
        FpOp::Mul => Bin::Mul,
        FpOp::Div => Bin::Div,
        FpOp::Max => Bin::Max,
        FpOp::Min => Bin::Min,
        FpOp::MaxNm => Bin::MaxNm,
        FpOp::MinNm => Bin::MinNm,
        FpOp::NMul => Bin::NMul,
        FpOp::AbsDiff => Bin::AbsDiff,
        FpOp::MulX => Bin::MulX,
        FpOp::RecipStep => Bin::RecipStep,
        FpOp::RsqrtStep => Bin::RsqrtStep,
        _ => return None,
    })
}

/// The operation's meaning: operands and result are raw bits, results zero-extended.
pub fn eval(op: FpOp, fmt: Fmt, imm: u32, a: u64, b: u64, c: u64, env: &mut Env) -> u64 {
    if let Some(op) = binary(op) {
        return proteus_float::binary(op, fmt, a, b, env);
    }
    let unary = |op, env: &mut Env| proteus_float::unary(op, fmt, a, env);
    match op {
        FpOp::Fma => proteus_float::fma(fmt, a, b, c, env),
        FpOp::Sqrt => unary(Un::Sqrt, env),
        FpOp::RoundInt => unary(Un::RoundInt { mode: mode(imm), exact: imm & EXACT != 0 }, env),
        FpOp::RoundInt32 => unary(Un::RoundInt32 { mode: mode(imm) }, env),
        FpOp::RoundInt64 => unary(Un::RoundInt64 { mode: mode(imm) }, env),
        FpOp::RecipEstimate => unary(Un::RecipEstimate, env),
        FpOp::RsqrtEstimate => unary(Un::RsqrtEstimate, env),
        FpOp::RecipExponent => unary(Un::RecipExponent, env),
        FpOp::Compare => proteus_float::compare(fmt, a, b, false, env).nzcv() as u64,
        FpOp::CompareSignal => proteus_float::compare(fmt, a, b, true, env).nzcv() as u64,
        FpOp::CompareEq => mask(fmt, proteus_float::compare(fmt, a, b, false, env).is_eq()),
        FpOp::CompareGe => mask(fmt, proteus_float::compare(fmt, a, b, true, env).is_ge()),
        FpOp::CompareGt => mask(fmt, proteus_float::compare(fmt, a, b, true, env).is_gt()),
        FpOp::Convert => {
            let r = if imm & TO_ODD != 0 { Rounding::ToOdd } else { env.rounding };
            proteus_float::convert_round(fmt, format(imm), a, r, env)
        }
        FpOp::ToInt => {
            let r = mode(imm).unwrap_or(env.rounding);
            proteus_float::to_int(fmt, a, imm >> 4 & 127, width(imm), imm >> 13 & 1 != 0, r, env)
        }
        FpOp::FromInt => proteus_float::from_int(a, width(imm), imm >> 13 & 1 != 0, imm >> 4 & 127, fmt, env),
        FpOp::ToIntJs => {
            let (v, exact) = proteus_float::to_int_js(a, env);
            v | (exact as u64) << 32
        }
        FpOp::FmaLong => fma_long(a, b, c, env),
        _ => 0,
    }
}

/// The factors are widened first, which is exact; only NaNs want care, since a quiet NaN must not
/// become one before all three operands have been looked at.
fn fma_long(a: u64, b: u64, c: u64, env: &mut Env) -> u64 {
    let wide = |v: u64, env: &Env| {
        let (sign, magnitude) = ((v & 0x8000) << 16, v & 0x7fff);
        if magnitude > 0x7c00 {
            // A NaN as it is, the quiet bit and payload at the top of the fraction.
            return sign | 0x7f80_0000 | (magnitude & 0x3ff) << 13;
        }
        if magnitude < 0x400 && env.flush16 {
            return sign;
        }
        // Never raises anything: every binary16 is a normal binary32 or zero.
        let mut quiet = Env { alt_half: false, ..Env::arm() };
        proteus_float::convert(Fmt::F16, Fmt::F32, v, &mut quiet)
    };
    let (b, c) = (wide(b, env), wide(c, env));
    proteus_float::fma(Fmt::F32, a, b, c, env)
}

/// The result by the host's arithmetic, where it provably raises nothing but Inexact; the caller
/// has seen that the guest's modes are the default ones, and that Inexact is set already where it
/// is not [`fast_exact`].
#[inline(always)]
pub fn fast(op: FpOp, fmt: Fmt, imm: u32, a: u64, b: u64, c: u64) -> Option<u64> {
    match fmt {
        Fmt::F64 => match op {
            FpOp::Add => proteus_float::fast_f64(Bin::Add, a, b),
            FpOp::Sub => proteus_float::fast_f64(Bin::Sub, a, b),
            FpOp::Mul => proteus_float::fast_f64(Bin::Mul, a, b),
            FpOp::Div => proteus_float::fast_f64(Bin::Div, a, b),
            FpOp::NMul => proteus_float::fast_f64(Bin::NMul, a, b),
            FpOp::AbsDiff => proteus_float::fast_f64(Bin::AbsDiff, a, b),
            FpOp::Max | FpOp::MaxNm => proteus_float::fast_f64(Bin::Max, a, b),
            FpOp::Min | FpOp::MinNm => proteus_float::fast_f64(Bin::Min, a, b),
            FpOp::Fma => proteus_float::fast_fma_f64(a, b, c),
            FpOp::Sqrt => proteus_float::fast_sqrt_f64(a),
            FpOp::ToInt => truncate(imm, f64::from_bits(a)),
            FpOp::FromInt if imm >> 4 & 127 == 0 => Some(integer_value(imm, a, |v| (v as f64).to_bits(), |v| (v as f64).to_bits())),
            FpOp::Convert if imm == to_format(Fmt::F32) => {
                // Above the binade of the smallest normal number nothing was tiny before rounding.
                let r = f64::from_bits(a) as f32;
                if r.abs() >= 2.0 * f32::MIN_POSITIVE && r.is_finite() { Some(r.to_bits() as u64) } else { None }
            }
            _ => relation(op, fmt, f64::from_bits(a).partial_cmp(&f64::from_bits(b))?),
        },
        Fmt::F32 => match op {
            FpOp::Add => proteus_float::fast_f32(Bin::Add, a, b),
            FpOp::Sub => proteus_float::fast_f32(Bin::Sub, a, b),
            FpOp::Mul => proteus_float::fast_f32(Bin::Mul, a, b),
            FpOp::Div => proteus_float::fast_f32(Bin::Div, a, b),
            FpOp::NMul => proteus_float::fast_f32(Bin::NMul, a, b),
            FpOp::AbsDiff => proteus_float::fast_f32(Bin::AbsDiff, a, b),
            FpOp::Max | FpOp::MaxNm => proteus_float::fast_f32(Bin::Max, a, b),
            FpOp::Min | FpOp::MinNm => proteus_float::fast_f32(Bin::Min, a, b),
            FpOp::Fma => proteus_float::fast_fma_f32(a, b, c),
            FpOp::Sqrt => proteus_float::fast_sqrt_f32(a),
            FpOp::ToInt => truncate(imm, f32::from_bits(a as u32) as f64),
            FpOp::FromInt if imm >> 4 & 127 == 0 => Some(integer_value(imm, a, |v| (v as f32).to_bits() as u64, |v| (v as f32).to_bits() as u64)),
            FpOp::Convert if imm == to_format(Fmt::F64) => {
                let v = f32::from_bits(a as u32);
                if v.is_nan() { None } else { Some((v as f64).to_bits()) }
            }
            _ => relation(op, fmt, f32::from_bits(a as u32).partial_cmp(&f32::from_bits(b as u32))?),
        },
        Fmt::F16 => None,
    }
}

/// Above it no error of a product, and no remainder, is below the smallest binary64.
pub const NO_TINY_ERROR: f64 = f64::from_bits((1023 - 960) << 52);

/// As [`fast`], with whether the result is inexact, which is all that was raised; the caller has
/// seen that the guest's modes are the default ones.
#[inline(always)]
pub fn fast_exact(op: FpOp, fmt: Fmt, imm: u32, a: u64, b: u64, c: u64) -> Option<(u64, bool)> {
    let r = fast(op, fmt, imm, a, b, c)?;
    let rounded = match fmt {
        Fmt::F64 => rounded64(op, imm, a, b, r),
        Fmt::F32 => rounded32(op, imm, a, b, r),
        Fmt::F16 => None,
    };
    Some((r, rounded?))
}

/// Whether `r`, which [`fast`] gave of binary64 operands, is inexact; `None` where that would take
/// as long as the exact path.
#[inline(always)]
fn rounded64(op: FpOp, imm: u32, a: u64, b: u64, r: u64) -> Option<bool> {
    let [x, y, z] = [a, b, r].map(f64::from_bits);
    Some(match op {
        // What is lost of the smaller operand is missed where the larger is taken off again,
        // which is exact.
        FpOp::Add => (z - x != y) | (z - y != x),
        FpOp::Sub => (x - z != y) | (z + y != x),
        // The fused operation gives what was lost, exactly.
        FpOp::Mul if z.abs() >= NO_TINY_ERROR => x.mul_add(y, -z) != 0.0,
        FpOp::Div if x.abs() >= NO_TINY_ERROR => (-z).mul_add(y, x) != 0.0,
        FpOp::Sqrt if x >= NO_TINY_ERROR => (-z).mul_add(z, x) != 0.0,
        FpOp::ToInt => x.trunc() != x,
        FpOp::Convert => f32::from_bits(r as u32) as f64 != x,
        FpOp::FromInt => integer_value(imm, a, |v| (z as i128 != v as i128) as u64, |v| (z as i128 != v as i128) as u64) != 0,
        _ if compares(op) => false,
        _ => return None,
    })
}

/// As [`rounded64`], of binary32 operands: binary64 holds their products.
#[inline(always)]
fn rounded32(op: FpOp, imm: u32, a: u64, b: u64, r: u64) -> Option<bool> {
    let [x, y, z] = [a, b, r].map(|v| f32::from_bits(v as u32));
    let wide = |v: f32| v as f64;
    Some(match op {
        FpOp::Add => (z - x != y) | (z - y != x),
        FpOp::Sub => (x - z != y) | (z + y != x),
        FpOp::Mul => wide(x) * wide(y) != wide(z),
        FpOp::Div => wide(z) * wide(y) != wide(x),
        FpOp::Sqrt => wide(z) * wide(z) != wide(x),
        FpOp::ToInt => x.trunc() != x,
        FpOp::Convert => false,
        FpOp::FromInt => integer_value(imm, a, |v| (z as i128 != v as i128) as u64, |v| (z as i128 != v as i128) as u64) != 0,
        _ if compares(op) => false,
        _ => return None,
    })
}

/// Operations that give an operand, or tell of the operands' order: nothing is rounded.
#[inline(always)]
const fn compares(op: FpOp) -> bool {
    matches!(op, FpOp::Compare | FpOp::CompareSignal | FpOp::CompareEq | FpOp::CompareGe | FpOp::CompareGt | FpOp::Max | FpOp::Min | FpOp::MaxNm | FpOp::MinNm)
}

/// Towards zero without fraction bits, where it is in range.
#[inline(always)]
fn truncate(imm: u32, v: f64) -> Option<u64> {
    const TO_I32: u32 = rounding(Some(Rounding::Zero)) | integer(32, true, 0);
    const TO_I64: u32 = rounding(Some(Rounding::Zero)) | integer(64, true, 0);
    const TO_U32: u32 = rounding(Some(Rounding::Zero)) | integer(32, false, 0);
    const TO_U64: u32 = rounding(Some(Rounding::Zero)) | integer(64, false, 0);
    match imm {
        TO_I32 if v.abs() < 2147483648.0 => Some(v as i32 as u32 as u64),
        TO_I64 if v.abs() < 9223372036854775808.0 => Some(v as i64 as u64),
        TO_U32 if (0.0..4294967296.0).contains(&v) => Some(v as u32 as u64),
        TO_U64 if (0.0..9223372036854775808.0).contains(&v) => Some(v as i64 as u64),
        _ => None,
    }
}

/// The integer that `imm` says `a` is, to one of two functions; both round once.
#[inline(always)]
fn integer_value(imm: u32, a: u64, signed: impl Fn(i64) -> u64, unsigned: impl Fn(u64) -> u64) -> u64 {
    match (imm >> 13 & 1 != 0, width(imm)) {
        (true, 16) => signed(a as i16 as i64),
        (true, 32) => signed(a as i32 as i64),
        (true, _) => signed(a as i64),
        (false, 16) => unsigned(a as u16 as u64),
        (false, 32) => unsigned(a as u32 as u64),
        (false, _) => unsigned(a),
    }
}

/// A comparison's result; `None` for what is no comparison.
#[inline(always)]
fn relation(op: FpOp, fmt: Fmt, r: std::cmp::Ordering) -> Option<u64> {
    let four = match r {
        std::cmp::Ordering::Less => Ordering4::Less,
        std::cmp::Ordering::Equal => Ordering4::Equal,
        std::cmp::Ordering::Greater => Ordering4::Greater,
    };
    match op {
        FpOp::Compare | FpOp::CompareSignal => Some(four.nzcv() as u64),
        FpOp::CompareEq => Some(mask(fmt, four.is_eq())),
        FpOp::CompareGe => Some(mask(fmt, four.is_ge())),
        FpOp::CompareGt => Some(mask(fmt, four.is_gt())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_operations() {
        assert!(FpOp::ALL.iter().enumerate().all(|(i, &op)| op as usize == i));
    }

    #[test]
    fn the_fast_path_gives_the_exact_result() {
        let interesting = [0, 1, 0x3ff, 0x10_0000, 0x7f7f_ffff, 0x7f80_0000, 0x7fc0_0000, 0x7f80_0001, 0x3f80_0000, 0x3f80_0001, 0x4b00_0000];
        let mut seed = 1u64;
        let mut next = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            seed >> 7 ^ seed << 31
        };
        let mut told = [0; 2];
        for i in 0..60_000u32 {
            let mut pick = |fmt: Fmt| {
                let v = next();
                let special = interesting[v as usize % interesting.len()] | (v >> 40 & 1) << 31;
                match (fmt, v >> 60 & 1) {
                    (Fmt::F64, 0) => special << 32,
                    (Fmt::F32, 0) => special,
                    (f, _) => cut(f, v),
                }
            };
            let fmt = if i & 1 == 0 { Fmt::F64 } else { Fmt::F32 };
            let (a, b, c) = (pick(fmt), pick(fmt), pick(fmt));
            for &op in FpOp::ALL {
                for imm in [0, 1, 2, rounding(Some(Rounding::Zero))]
                    .into_iter()
                    .flat_map(|k| [0, 16, 32, 64].map(|w| k | if w == 0 { 0 } else { integer(w, i & 2 != 0, 0) }))
                {
                    if let Some(r) = fast(op, fmt, imm, a, b, c) {
                        let mut env = Env::arm();
                        let exact = eval(op, fmt, imm, a, b, c, &mut env);
                        assert_eq!(r, exact, "{op:?} {fmt:?} {imm:x} {a:x} {b:x} {c:x}");
                        assert_eq!(env.flags.0 & !proteus_float::Flags::INEXACT.0, 0, "{op:?} {fmt:?} {imm:x} {a:x} {b:x} {c:x}");
                        if let Some((r, rounded)) = fast_exact(op, fmt, imm, a, b, c) {
                            let inexact = env.flags == proteus_float::Flags::INEXACT;
                            told[inexact as usize] += 1;
                            assert_eq!((r, rounded), (exact, inexact), "{op:?} {fmt:?} {imm:x} {a:x} {b:x} {c:x}");
                        }
                    }
                }
            }
        }
        assert!(told.iter().all(|&n| n > 100_000), "{told:?}");
    }
}
