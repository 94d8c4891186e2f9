//! The same results from the host's floating point, where that is certain.
//!
//! Each function gives `Some` only where, under round to nearest even and without flushing, the
//! result is that of the exact operation and the operation raises nothing but INEXACT. The caller
//! must know that [`crate::Env`] is in that mode and that INEXACT is already set, or find out from
//! operands and result whether it is to be. The host must be in its default mode, which Rust assumes
//! too.

use crate::Bin;

macro_rules! fast {
    ($fast:ident, $sqrt:ident, $fma:ident, $float:ty, $bits:ty, $name:literal) => {
        /// The operation on two
        #[doc = $name]
        /// values; `None`: use [`crate::binary`].
        #[inline(always)]
        pub fn $fast(op: Bin, a: u64, b: u64) -> Option<u64> {
            let (x, y) = (<$float>::from_bits(a as $bits), <$float>::from_bits(b as $bits));
            let (result, certain) = match op {
                // A sum is never inexact where it is denormal.
                Bin::Add => sum!($float, x + y),
                Bin::Sub => sum!($float, x - y),
                Bin::AbsDiff => sum!($float, (x - y).abs()),
                Bin::Mul | Bin::MulX => product!($float, x * y),
                Bin::NMul => product!($float, -(x * y)),
                Bin::Div => product!($float, x / y),
                // Also false for NaNs; equal operands may be zeros of different signs.
                Bin::Max | Bin::MaxNm if x > y => (x, true),
                Bin::Max | Bin::MaxNm if x < y => (y, true),
                Bin::Min | Bin::MinNm if x < y => (x, true),
                Bin::Min | Bin::MinNm if x > y => (y, true),
                _ => return None,
            };
            if certain { Some(result.to_bits() as u64) } else { None }
        }

        /// The square root of a
        #[doc = $name]
        /// value; `None`: use [`crate::unary`].
        #[inline(always)]
        pub fn $sqrt(a: u64) -> Option<u64> {
            let x = <$float>::from_bits(a as $bits);
            // False for NaNs.
            if x > 0.0 && x < <$float>::INFINITY { Some(x.sqrt().to_bits() as u64) } else { None }
        }

        /// addend + a * b of
        #[doc = $name]
        /// values; `None`: use [`crate::fma`].
        #[inline(always)]
        pub fn $fma(addend: u64, a: u64, b: u64) -> Option<u64> {
            let [c, x, y] = [addend, a, b].map(|v| <$float>::from_bits(v as $bits));
            let (result, certain) = product!($float, x.mul_add(y, c));
            if certain { Some(result.to_bits() as u64) } else { None }
        }
    };
}

macro_rules! sum {
    ($float:ty, $e:expr) => {{
        let r: $float = $e;
        (r, r.is_finite())
    }};
}

macro_rules! product {
    ($float:ty, $e:expr) => {{
        let r: $float = $e;
        // Above the binade of the smallest normal number nothing was tiny before rounding.
        (r, r.abs() >= 2.0 * <$float>::MIN_POSITIVE && r.is_finite())
    }};
}

fast!(fast_f32, fast_sqrt_f32, fast_fma_f32, f32, u32, "binary32");
fast!(fast_f64, fast_sqrt_f64, fast_fma_f64, f64, u64, "binary64");
