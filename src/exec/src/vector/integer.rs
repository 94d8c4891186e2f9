//! Integer operations without an environment, and permutations.

use super::lanes::*;
use super::XOp;

macro_rules! mask {
    ($c:expr) => {
        if $c { T::MAX } else { 0 }
    };
}

/// The operation's meaning; 0 for those of other modules.
pub(super) fn eval(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
    match op {
        XOp::Abs => lanes!(esize, |x = a| (x as S).unsigned_abs()),
        XOp::Neg => lanes!(esize, |x = a| x.wrapping_neg()),
        XOp::CmpGtS => lanes!(esize, |x = a, y = b| mask!(x as S > y as S)),
        XOp::CmpGeS => lanes!(esize, |x = a, y = b| mask!(x as S >= y as S)),
        XOp::CmpGtU => lanes!(esize, |x = a, y = b| mask!(x > y)),
        XOp::CmpGeU => lanes!(esize, |x = a, y = b| mask!(x >= y)),
        XOp::CmpTest => lanes!(esize, |x = a, y = b| mask!(x & y != 0)),
        XOp::MaxS => lanes!(esize, |x = a, y = b| (x as S).max(y as S) as T),
        XOp::MaxU => lanes!(esize, |x = a, y = b| x.max(y)),
        XOp::MinS => lanes!(esize, |x = a, y = b| (x as S).min(y as S) as T),
        XOp::MinU => lanes!(esize, |x = a, y = b| x.min(y)),
        XOp::AbsDiffS => lanes!(esize, |x = a, y = b| (x as S).abs_diff(y as S)),
        XOp::AbsDiffU => lanes!(esize, |x = a, y = b| x.abs_diff(y)),
        // Carries are taken apart from sums, so that no wider type is needed.
        XOp::HalfAddS => lanes!(esize, |x = a, y = b| ((x & y) as S).wrapping_add((x ^ y) as S >> 1) as T),
        XOp::HalfAddU => lanes!(esize, |x = a, y = b| (x & y).wrapping_add((x ^ y) >> 1)),
        XOp::HalfSubS => lanes!(esize, |x = a, y = b| ((x ^ y) as S >> 1).wrapping_sub((!x & y) as S) as T),
        XOp::HalfSubU => lanes!(esize, |x = a, y = b| ((x ^ y) >> 1).wrapping_sub(!x & y)),
        XOp::RoundHalfAddS => lanes!(esize, |x = a, y = b| ((x | y) as S).wrapping_sub((x ^ y) as S >> 1) as T),
        XOp::RoundHalfAddU => lanes!(esize, |x = a, y = b| (x | y).wrapping_sub((x ^ y) >> 1)),
        XOp::Shl => lanes!(esize, |x = a| x.checked_shl(imm).unwrap_or(0)),
        XOp::ShrU => lanes!(esize, |x = a| x.checked_shr(imm).unwrap_or(0)),
        XOp::ShrS => lanes!(esize, |x = a| (x as S >> imm.min(T::BITS - 1)) as T),
        // The bit below the last one kept is what rounding adds.
        XOp::RoundShrU => {
            let k = imm.saturating_sub(1);
            lanes!(esize, |x = a| x.checked_shr(imm).unwrap_or(0).wrapping_add(x.checked_shr(k).unwrap_or(0) & 1))
        }
        XOp::RoundShrS => {
            let k = imm.saturating_sub(1);
            lanes!(esize, |x = a| {
                let x = x as S;
                (x >> imm.min(T::BITS - 1)).wrapping_add(x >> k.min(T::BITS - 1) & 1) as T
            })
        }
        XOp::ShlInsert => lanes!(esize, |x = a, y = b| {
            let m = T::MAX.checked_shl(imm).unwrap_or(0);
            x & !m | y.checked_shl(imm).unwrap_or(0)
        }),
        XOp::ShrInsert => lanes!(esize, |x = a, y = b| {
            let m = T::MAX.checked_shr(imm).unwrap_or(0);
            x & !m | y.checked_shr(imm).unwrap_or(0)
        }),
        XOp::ShiftU => lanes!(esize, |x = a, y = b| {
            let n = y as i8;
            if n >= 0 { x.checked_shl(n as u32).unwrap_or(0) } else { x.checked_shr(n.unsigned_abs() as u32).unwrap_or(0) }
        }),
        XOp::ShiftS => lanes!(esize, |x = a, y = b| {
            let n = y as i8;
            if n >= 0 { x.checked_shl(n as u32).unwrap_or(0) } else { (x as S >> (n.unsigned_abs() as u32).min(T::BITS - 1)) as T }
        }),
        XOp::RoundShiftU => lanes!(esize, |x = a, y = b| {
            let n = y as i8;
            if n >= 0 {
                x.checked_shl(n as u32).unwrap_or(0)
            } else {
                let n = n.unsigned_abs() as u32;
                x.checked_shr(n).unwrap_or(0).wrapping_add(x.checked_shr(n - 1).unwrap_or(0) & 1)
            }
        }),
        XOp::RoundShiftS => lanes!(esize, |x = a, y = b| {
            let n = y as i8;
            if n >= 0 {
                x.checked_shl(n as u32).unwrap_or(0)
            } else {
                let (n, x) = (n.unsigned_abs() as u32, x as S);
                (x >> n.min(T::BITS - 1)).wrapping_add(x >> (n - 1).min(T::BITS - 1) & 1) as T
            }
        }),
        XOp::CountOnes => lanes!(esize, |x = a| x.count_ones() as T),
        XOp::LeadingZeros => lanes!(esize, |x = a| x.leading_zeros() as T),
        XOp::LeadingSigns => lanes!(esize, |x = a| ((x ^ (x as S >> 1) as T).leading_zeros() as T).wrapping_sub(1)),
        XOp::ReverseBits => lanes!(0u8, |x = a| x.reverse_bits()),
        _ => across(op, esize, imm, a, b, c),
    }
}

/// Operations that change the number or the size of lanes.
fn across(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
    match op {
        XOp::WidenU => widening!(esize, |x = a| x as D),
        XOp::WidenS => widening!(esize, |x = a| x as S as D),
        XOp::Narrow => narrowing!(esize, |x = a| x as T),
        XOp::MulWideU => widening!(esize, |x = a, y = b| (x as D).wrapping_mul(y as D)),
        XOp::MulWideS => widening!(esize, |x = a, y = b| (x as S as SD).wrapping_mul(y as S as SD) as D),
        XOp::AddPairsU => pairs!(esize, |x, y = a| x as D + y as D),
        XOp::AddPairsS => pairs!(esize, |x, y = a| (x as S as SD + y as S as SD) as D),
        XOp::SumAcross => fold(esize, a, |x, y| x.wrapping_add(y)) & mask(esize),
        XOp::SumAcrossWideU => fold(esize, a, |x, y| x.wrapping_add(y)) & mask(esize + 1),
        XOp::SumAcrossWideS => fold_signed(esize, a, |x, y| x.wrapping_add(y)) as u128 & mask(esize + 1),
        XOp::MaxAcrossU => fold(esize, a, |x, y| x.max(y)),
        XOp::MinAcrossU => fold(esize, a, |x, y| x.min(y)),
        XOp::MaxAcrossS => fold_signed(esize, a, |x, y| x.max(y)) as u128 & mask(esize),
        XOp::MinAcrossS => fold_signed(esize, a, |x, y| x.min(y)) as u128 & mask(esize),
        XOp::DotU => {
            let (p, q) = (u8s(b), u8s(c));
            let acc = u32s(a);
            from_u32s(std::array::from_fn(|i| (0..4).fold(acc[i], |s, k| s.wrapping_add(p[4 * i + k] as u32 * q[4 * i + k] as u32))))
        }
        XOp::DotS => {
            let (p, q) = (u8s(b), u8s(c));
            let acc = u32s(a);
            from_u32s(std::array::from_fn(|i| (0..4).fold(acc[i], |s, k| s.wrapping_add((p[4 * i + k] as i8 as i32 * q[4 * i + k] as i8 as i32) as u32))))
        }
        XOp::MulPoly => mul_poly(a, b),
        XOp::MulPolyWide if esize == 0 => mul_poly_wide(a, b),
        XOp::MulPolyWide => carryless(a as u64, b as u64),
        XOp::RecipEstimateU32 => from_u32s(u32s(a).map(proteus_float::recip_estimate_u32)),
        XOp::RsqrtEstimateU32 => from_u32s(u32s(a).map(proteus_float::rsqrt_estimate_u32)),
        _ => permute(op, esize, imm, a, b, c),
    }
}

fn mask(esize: u8) -> u128 {
    u128::MAX >> (128 - (8u32 << (esize & 3)))
}

#[inline(always)]
fn fold(esize: u8, a: u128, f: impl Fn(u128, u128) -> u128) -> u128 {
    match esize & 3 {
        0 => u8s(a).into_iter().map(u128::from).reduce(f),
        1 => u16s(a).into_iter().map(u128::from).reduce(f),
        2 => u32s(a).into_iter().map(u128::from).reduce(f),
        _ => u64s(a).into_iter().map(u128::from).reduce(f),
    }
    .unwrap_or(0)
}

#[inline(always)]
fn fold_signed(esize: u8, a: u128, f: impl Fn(i128, i128) -> i128) -> i128 {
    match esize & 3 {
        0 => u8s(a).into_iter().map(|x| x as i8 as i128).reduce(f),
        1 => u16s(a).into_iter().map(|x| x as i16 as i128).reduce(f),
        2 => u32s(a).into_iter().map(|x| x as i32 as i128).reduce(f),
        _ => u64s(a).into_iter().map(|x| x as i64 as i128).reduce(f),
    }
    .unwrap_or(0)
}

/// The low byte of each lane of `1 << esize` bytes in the value.
const ONES: [u128; 2] = [0x0101_0101_0101_0101_0101_0101_0101_0101, 0x0001_0001_0001_0001_0001_0001_0001_0001];

fn mul_poly(a: u128, b: u128) -> u128 {
    let mut out = 0;
    for i in 0..8 {
        let chosen = ((b >> i) & ONES[0]) * 0xff;
        out ^= (a & (ONES[0] * (0xff >> i))) << i & chosen;
    }
    out
}

fn mul_poly_wide(a: u128, b: u128) -> u128 {
    let wide = |v: u128| -> u128 { widening!(0u8, |x = v| x as D) };
    let (a, b) = (wide(a), wide(b));
    let mut out = 0;
    for i in 0..8 {
        let chosen = ((b >> i) & ONES[1]) * 0xffff;
        out ^= (a << i) & chosen;
    }
    out
}

fn carryless(a: u64, b: u64) -> u128 {
    let mut out = 0;
    for i in 0..64 {
        let chosen = ((b >> i & 1) as u128).wrapping_neg();
        out ^= ((a as u128) << i) & chosen;
    }
    out
}

macro_rules! shuffle {
    ($esize:expr, $a:expr, $b:expr, |$x:ident, $y:ident, $n:ident, $i:ident| $body:expr) => {
        match $esize & 3 {
            0 => shuffle!(@ u8s, from_u8s, 16, $a, $b, |$x, $y, $n, $i| $body),
            1 => shuffle!(@ u16s, from_u16s, 8, $a, $b, |$x, $y, $n, $i| $body),
            2 => shuffle!(@ u32s, from_u32s, 4, $a, $b, |$x, $y, $n, $i| $body),
            _ => shuffle!(@ u64s, from_u64s, 2, $a, $b, |$x, $y, $n, $i| $body),
        }
    };
    (@ $split:ident, $join:ident, $lanes:literal, $a:expr, $b:expr, |$x:ident, $y:ident, $n:ident, $i:ident| $body:expr) => {{
        let ($x, $y) = ($split($a), $split($b));
        #[allow(unused_variables)]
        let $n: usize = $lanes;
        $join(std::array::from_fn(|$i| $body))
    }};
}

fn permute(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
    match op {
        XOp::Dup => {
            let k = imm as usize;
            shuffle!(esize, a, b, |x, _y, n, _i| x[k % n])
        }
        XOp::Insert => {
            let (to, from) = ((imm & 15) as usize, (imm >> 4 & 15) as usize);
            shuffle!(esize, a, b, |x, y, n, i| if i == to { y[from % n] } else { x[i] })
        }
        XOp::Unzip1 => shuffle!(esize, a, b, |x, y, n, i| if i < n / 2 { x[2 * i] } else { y[2 * i - n] }),
        XOp::Unzip2 => shuffle!(esize, a, b, |x, y, n, i| if i < n / 2 { x[2 * i + 1] } else { y[2 * i + 1 - n] }),
        XOp::Zip1 => shuffle!(esize, a, b, |x, y, n, i| if i & 1 == 0 { x[i / 2] } else { y[i / 2] }),
        XOp::Zip2 => shuffle!(esize, a, b, |x, y, n, i| if i & 1 == 0 { x[(n + i) / 2] } else { y[(n + i) / 2] }),
        XOp::Transpose1 => shuffle!(esize, a, b, |x, y, n, i| if i & 1 == 0 { x[i] } else { y[i - 1] }),
        XOp::Transpose2 => shuffle!(esize, a, b, |x, y, n, i| if i & 1 == 0 { x[i + 1] } else { y[i] }),
        XOp::Extract => match imm & 15 {
            0 => a,
            k => a >> (8 * k) | b << (128 - 8 * k),
        },
        XOp::Lookup => {
            let (table, index, other) = (u8s(a), u8s(b), u8s(c));
            from_u8s(std::array::from_fn(|i| {
                let k = (index[i] as u32).wrapping_sub(imm);
                if k < 16 { table[k as usize] } else { other[i] }
            }))
        }
        XOp::Reverse => {
            let groups = match imm {
                0 => a,
                1 => lanes!(1u8, |x = a| x.swap_bytes()),
                2 => lanes!(2u8, |x = a| x.swap_bytes()),
                3 => lanes!(3u8, |x = a| x.swap_bytes()),
                _ => a.swap_bytes(),
            };
            // All bytes were reversed; those within a lane go back.
            match esize & 3 {
                0 => groups,
                1 => lanes!(1u8, |x = groups| x.swap_bytes()),
                2 => lanes!(2u8, |x = groups| x.swap_bytes()),
                _ => lanes!(3u8, |x = groups| x.swap_bytes()),
            }
        }
        _ => 0,
    }
}
