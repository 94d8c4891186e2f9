//! Saturating operations. They tell whether any lane saturated.

use super::XOp;
use super::lanes::*;

/// `v` cut to the range of `bits` bits.
#[inline(always)]
fn clamp_s(v: i128, bits: u32, q: &mut bool) -> i128 {
    let (min, max) = (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1);
    let r = v.clamp(min, max);
    *q |= r != v;
    r
}
#[inline(always)]
fn clamp_u(v: i128, bits: u32, q: &mut bool) -> i128 {
    let r = v.clamp(0, (1i128 << bits) - 1);
    *q |= r != v;
    r
}

/// `x` shifted left by `n`, right and perhaps rounded where negative; |x| is below 2^64. What
/// is shifted by 64 or more is out of any lane's range, and becomes something that is.
#[inline(always)]
fn shift(x: i128, n: i8, round: bool) -> i128 {
    match n {
        0..64 => x << n,
        64.. => x.signum() << 100,
        _ => {
            let n = (n.unsigned_abs() as u32).min(127);
            let half = if round { 1i128 << (n - 1) } else { 0 };
            (x + half) >> n
        }
    }
}

/// The low 64 bits of the signed product of two lanes.
#[inline(always)]
fn product(x: impl Into<i64>, y: impl Into<i64>) -> i64 {
    let (x, y): (i64, i64) = (x.into(), y.into());
    x.wrapping_mul(y)
}

/// Signed high half of `2bc`, added to or subtracted from a, rounded as asked.
#[inline(always)]
fn mul_high(a: impl Into<i64>, product: i64, bits: u32, round: bool, q: &mut bool) -> i128 {
    let half = if round { 1i128 << (bits - 1) } else { 0 };
    // Only lanes of 64 bits, which no instruction has, could wrap.
    let sum = ((a.into() as i128) << bits).wrapping_add(2 * product as i128 + half);
    clamp_s(sum >> bits, bits, q)
}

/// The operation's meaning; 0 for those of other modules.
pub(super) fn eval(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128, q: &mut bool) -> u128 {
    macro_rules! sat {
        (|$($x:ident = $a:ident),+| $body:expr) => {
            lanes!(esize, |$($x = $a),+| {
                let (r, over): (T, bool) = $body;
                *q |= over;
                r
            })
        };
    }
    match op {
        XOp::SatAddU => sat!(|x = a, y = b| (x.saturating_add(y), x.checked_add(y).is_none())),
        XOp::SatSubU => sat!(|x = a, y = b| (x.saturating_sub(y), x < y)),
        XOp::SatAddS => sat!(|x = a, y = b| {
            let (r, s) = ((x as S).saturating_add(y as S), (x as S).wrapping_add(y as S));
            (r as T, r != s)
        }),
        XOp::SatSubS => sat!(|x = a, y = b| {
            let (r, s) = ((x as S).saturating_sub(y as S), (x as S).wrapping_sub(y as S));
            (r as T, r != s)
        }),
        XOp::SatAddSU => sat!(|x = a, y = b| ((x as S).saturating_add_unsigned(y) as T, (x as S).checked_add_unsigned(y).is_none())),
        XOp::SatAddUS => sat!(|x = a, y = b| (x.saturating_add_signed(y as S), x.checked_add_signed(y as S).is_none())),
        XOp::SatAbs => sat!(|x = a| ((x as S).saturating_abs() as T, x as S == S::MIN)),
        XOp::SatNeg => sat!(|x = a| ((x as S).saturating_neg() as T, x as S == S::MIN)),
        XOp::SatMulHigh => lanes!(esize, |x = a, y = b| mul_high(0i64, product(x as S, y as S), T::BITS, false, q) as T),
        XOp::SatRoundMulHigh => lanes!(esize, |x = a, y = b| mul_high(0i64, product(x as S, y as S), T::BITS, true, q) as T),
        XOp::SatRoundMulAddHigh => {
            lanes!(esize, |x = a, y = b, z = c| mul_high(x as S, product(y as S, z as S), T::BITS, true, q) as T)
        }
        XOp::SatRoundMulSubHigh => {
            lanes!(esize, |x = a, y = b, z = c| mul_high(x as S, product(y as S, z as S).wrapping_neg(), T::BITS, true, q) as T)
        }
        XOp::SatMulWide => widening!(esize, |x = a, y = b| {
            let product = (x as S as SD).wrapping_mul(y as S as SD);
            *q |= product.checked_mul(2).is_none();
            product.saturating_mul(2) as D
        }),
        XOp::SatShiftU => lanes!(esize, |x = a, y = b| clamp_u(shift(x as i128, y as i8, false), T::BITS, q) as T),
        XOp::SatShiftS => lanes!(esize, |x = a, y = b| clamp_s(shift(x as S as i128, y as i8, false), T::BITS, q) as T),
        XOp::SatRoundShiftU => lanes!(esize, |x = a, y = b| clamp_u(shift(x as i128, y as i8, true), T::BITS, q) as T),
        XOp::SatRoundShiftS => lanes!(esize, |x = a, y = b| clamp_s(shift(x as S as i128, y as i8, true), T::BITS, q) as T),
        XOp::SatShlSU => lanes!(esize, |x = a| clamp_u(shift(x as S as i128, imm.min(127) as i8, false), T::BITS, q) as T),
        XOp::SatNarrowU => narrowing!(esize, |x = a| clamp_u(x as i128, T::BITS, q) as T),
        XOp::SatNarrowS => narrowing!(esize, |x = a| clamp_s(x as SW as i128, T::BITS, q) as T),
        XOp::SatNarrowSU => narrowing!(esize, |x = a| clamp_u(x as SW as i128, T::BITS, q) as T),
        _ => 0,
    }
}
