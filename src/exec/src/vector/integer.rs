//! Integer operations without an environment, and permutations.

use super::XOp;
use super::lanes::*;
use super::packed;

/// The operation's meaning; 0 for those of other modules.
pub(super) fn eval(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
    match op {
        XOp::Abs => lanes!(esize, |x = a| (x as S).unsigned_abs()),
        XOp::Neg => lanes!(esize, |x = a| x.wrapping_neg()),
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
        XOp::WidenU => packed::spread(esize, a as u64),
        XOp::WidenS => widening!(esize, |x = a| x as S as D),
        XOp::Narrow => packed::gather(esize, a) as u128,
        XOp::MulWideU => widening!(esize, |x = a, y = b| (x as D).wrapping_mul(y as D)),
        XOp::MulWideS => widening!(esize, |x = a, y = b| (x as S as SD).wrapping_mul(y as S as SD) as D),
        XOp::AddPairsU => pairs!(esize, |x, y = a| x as D + y as D),
        XOp::AddPairsS => pairs!(esize, |x, y = a| (x as S as SD + y as S as SD) as D),
        XOp::SumAcross => packed::fold(esize, a, |x, y| packed::add(esize, x, y)),
        XOp::SumAcrossWideU => sum(packed::spread(esize, a as u64), packed::spread(esize, (a >> 64) as u64), esize + 1),
        XOp::SumAcrossWideS => {
            let (l, h): (u128, u128) = (widening!(esize, |x = a| x as S as D), {
                let a = a >> 64;
                widening!(esize, |x = a| x as S as D)
            });
            sum(l, h, esize + 1)
        }
        XOp::MaxAcrossU => packed::fold(esize, a, |x, y| packed::max(esize, x, y)),
        XOp::MinAcrossU => packed::fold(esize, a, |x, y| packed::min(esize, x, y)),
        XOp::MaxAcrossS => {
            let s = packed::signs(esize);
            packed::fold(esize, a ^ s, |x, y| packed::max(esize, x, y)) ^ s & packed::lowest(esize)
        }
        XOp::MinAcrossS => {
            let s = packed::signs(esize);
            packed::fold(esize, a ^ s, |x, y| packed::min(esize, x, y)) ^ s & packed::lowest(esize)
        }
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

/// The sum of all lanes of both in the lowest.
fn sum(a: u128, b: u128, esize: u8) -> u128 {
    packed::fold(esize, packed::add(esize, a, b), |x, y| packed::add(esize, x, y))
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

fn permute(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
    let bits = 8u32 << (esize & 3);
    let both = |l: u64, h: u64| l as u128 | (h as u128) << 64;
    match op {
        XOp::Dup => packed::splat(esize, (a >> ((imm & 15) * bits % 128)) as u64),
        XOp::Insert => {
            let (to, from) = ((imm & 15) * bits % 128, (imm >> 4 & 15) * bits % 128);
            let lane = packed::lowest(esize);
            a & !(lane << to) | (b >> from & lane) << to
        }
        XOp::Unzip1 => both(packed::gather(esize, a), packed::gather(esize, b)),
        XOp::Unzip2 => both(packed::gather(esize, a >> bits), packed::gather(esize, b >> bits)),
        XOp::Zip1 => packed::spread(esize, a as u64) | packed::spread(esize, b as u64) << bits,
        XOp::Zip2 => packed::spread(esize, (a >> 64) as u64) | packed::spread(esize, (b >> 64) as u64) << bits,
        XOp::Transpose1 => a & packed::even(esize) | (b & packed::even(esize)) << bits,
        XOp::Transpose2 => a >> bits & packed::even(esize) | b & !packed::even(esize),
        XOp::Extract => match imm & 15 {
            0 => a,
            k => a >> (8 * k) | b << (128 - 8 * k),
        },
        XOp::Lookup => {
            let (table, index, other) = (u8s(a), u8s(b), u8s(c));
            from_u8s(std::array::from_fn(|i| {
                let k = (index[i] as u32).wrapping_sub(imm);
                let found = table[(k & 15) as usize];
                if k < 16 { found } else { other[i] }
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
