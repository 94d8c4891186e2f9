//! Exact IEEE 754 arithmetic with the rounding, NaN and flag rules of the guest.
//!
//! Values are raw encodings in the low bits of a `u64`; bits above the format are ignored on the
//! way in and zero on the way out. Everything that a guest's control register decides is in
//! [`Env`], and everything that its status register gathers is in [`Env::flags`].
//!
//! The default [`Env`] is Arm with FPCR = 0. `fast_*` functions do the same on host floats where
//! the result is certain to be the same.
#![forbid(unsafe_code)]

mod arith;
mod convert;
mod env;
mod estimate;
mod fast;
mod format;
mod nan;
mod select;
#[cfg(test)]
mod tests;

pub use convert::{convert, convert_round, from_int, to_int, to_int_js};
pub use env::{Env, Flags, Fmt, NanRule, Rounding};
pub use estimate::{recip_estimate_u32, rsqrt_estimate_u32};
pub use fast::{fast_f32, fast_f64, fast_fma_f32, fast_fma_f64, fast_sqrt_f32, fast_sqrt_f64};
pub use nan::{default_nan, is_nan, is_signalling};
pub use select::{Ordering4, compare};

use format::{Double, Half, Layout, Single};

/// An operation on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bin {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
    /// a / b
    Div,
    /// The larger; a NaN operand gives a NaN (under [`NanRule::X86`], `b`).
    Max,
    /// The smaller; a NaN operand gives a NaN (under [`NanRule::X86`], `b`).
    Min,
    /// maxNum of IEEE 754-2008: one quiet NaN loses to a number.
    MaxNm,
    /// minNum of IEEE 754-2008: one quiet NaN loses to a number.
    MinNm,
    /// -(a * b); the sign of a NaN result is inverted too (Arm FNMUL).
    NMul,
    /// |a - b|; the sign of a NaN result is cleared too (Arm FABD).
    AbsDiff,
    /// a * b, but infinity times zero is 2 with the sign of the product (Arm FMULX).
    MulX,
    /// 2 - a * b, rounded once (Arm FRECPS).
    RecipStep,
    /// (3 - a * b) / 2, rounded once (Arm FRSQRTS).
    RsqrtStep,
}

/// An operation on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Un {
    /// Clears the sign bit, of a NaN too; raises nothing.
    Abs,
    /// Inverts the sign bit, of a NaN too; raises nothing.
    Neg,
    /// Square root.
    Sqrt,
    /// Rounds to an integral value.
    RoundInt {
        /// The rounding; `None` takes the environment's.
        mode: Option<Rounding>,
        /// Raise INEXACT where the value changes.
        exact: bool,
    },
    /// Reciprocal estimate to 8 bits (Arm FRECPE).
    RecipEstimate,
    /// Reciprocal square root estimate to 8 bits (Arm FRSQRTE).
    RsqrtEstimate,
    /// Reciprocal exponent (Arm FRECPX).
    RecipExponent,
    /// Rounds to an integral value that fits `i32`, or gives -2^31 with INVALID (Arm FRINT32Z/X).
    RoundInt32 {
        /// The rounding; `None` takes the environment's.
        mode: Option<Rounding>,
    },
    /// Rounds to an integral value that fits `i64`, or gives -2^63 with INVALID (Arm FRINT64Z/X).
    RoundInt64 {
        /// The rounding; `None` takes the environment's.
        mode: Option<Rounding>,
    },
}

/// Applies `op` to `a` and `b`.
#[inline]
pub fn binary(op: Bin, fmt: Fmt, a: u64, b: u64, env: &mut Env) -> u64 {
    match fmt {
        Fmt::F16 => binary_in::<Half>(op, a, b, env),
        Fmt::F32 => binary_in::<Single>(op, a, b, env),
        Fmt::F64 => binary_in::<Double>(op, a, b, env),
    }
}

#[inline]
fn binary_in<L: Layout>(op: Bin, a: u64, b: u64, env: &mut Env) -> u64 {
    match op {
        Bin::Add => arith::add::<L>(a, b, false, env),
        Bin::Sub => arith::add::<L>(a, b, true, env),
        Bin::Mul => arith::mul::<L>(a, b, false, env),
        Bin::Div => arith::div::<L>(a, b, env),
        Bin::Max => select::max_min::<L>(a, b, true, env),
        Bin::Min => select::max_min::<L>(a, b, false, env),
        Bin::MaxNm => select::max_min_number::<L>(a, b, true, env),
        Bin::MinNm => select::max_min_number::<L>(a, b, false, env),
        Bin::NMul => arith::mul::<L>(a, b, false, env) ^ L::SIGN,
        Bin::AbsDiff => arith::add::<L>(a, b, true, env) & !L::SIGN,
        Bin::MulX => arith::mul::<L>(a, b, true, env),
        Bin::RecipStep => arith::step::<L>(a, b, false, env),
        Bin::RsqrtStep => arith::step::<L>(a, b, true, env),
    }
}

/// Applies `op` to `a`.
#[inline]
pub fn unary(op: Un, fmt: Fmt, a: u64, env: &mut Env) -> u64 {
    match fmt {
        Fmt::F16 => unary_in::<Half>(op, a, env),
        Fmt::F32 => unary_in::<Single>(op, a, env),
        Fmt::F64 => unary_in::<Double>(op, a, env),
    }
}

#[inline]
fn unary_in<L: Layout>(op: Un, a: u64, env: &mut Env) -> u64 {
    match op {
        Un::Abs => a & (L::MASK & !L::SIGN),
        Un::Neg => (a & L::MASK) ^ L::SIGN,
        Un::Sqrt => arith::sqrt::<L>(a, env),
        Un::RoundInt { mode, exact } => convert::round_int::<L>(a, mode.unwrap_or(env.rounding), exact, env),
        Un::RecipEstimate => estimate::recip::<L>(a, env),
        Un::RsqrtEstimate => estimate::rsqrt::<L>(a, env),
        Un::RecipExponent => estimate::recip_exponent::<L>(a, env),
        Un::RoundInt32 { mode } => convert::round_int_n::<L>(a, mode.unwrap_or(env.rounding), 32, env),
        Un::RoundInt64 { mode } => convert::round_int_n::<L>(a, mode.unwrap_or(env.rounding), 64, env),
    }
}

/// addend + a * b, rounded once.
#[inline]
pub fn fma(fmt: Fmt, addend: u64, a: u64, b: u64, env: &mut Env) -> u64 {
    match fmt {
        Fmt::F16 => arith::fma::<Half>(addend, a, b, env),
        Fmt::F32 => arith::fma::<Single>(addend, a, b, env),
        Fmt::F64 => arith::fma::<Double>(addend, a, b, env),
    }
}
