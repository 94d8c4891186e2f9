//! Lanes of a 128-bit integer worked on together, carries kept from crossing between them.

/// Bits of a lane.
#[inline(always)]
const fn bits(esize: u8) -> u32 {
    8 << (esize & 3)
}

/// The lowest lane's bits.
#[inline(always)]
pub(super) const fn lowest(esize: u8) -> u128 {
    u64::MAX as u128 >> (64 - bits(esize))
}

/// The value in every lane.
#[inline(always)]
pub(super) const fn splat(esize: u8, v: u64) -> u128 {
    const ONES: [u64; 4] = [0x0101_0101_0101_0101, 0x0001_0001_0001_0001, 0x0000_0001_0000_0001, 1];
    let half = ((v & lowest(esize) as u64) as u128 * ONES[(esize & 3) as usize] as u128) as u64 as u128;
    half | half << 64
}

const fn table_of_signs() -> [u128; 4] {
    [splat(0, 1 << 7), splat(1, 1 << 15), splat(2, 1 << 31), splat(3, 1 << 63)]
}
/// The sign bit of every lane.
#[inline(always)]
pub(super) fn signs(esize: u8) -> u128 {
    static SIGNS: [u128; 4] = table_of_signs();
    SIGNS[(esize & 3) as usize]
}

const fn table_of_even() -> [u128; 4] {
    [splat(1, 0xff), splat(2, 0xffff), splat(3, 0xffff_ffff), u64::MAX as u128]
}
/// The lanes of even number.
#[inline(always)]
pub(super) fn even(esize: u8) -> u128 {
    static EVEN: [u128; 4] = table_of_even();
    EVEN[(esize & 3) as usize]
}

#[inline(always)]
pub(super) fn add(esize: u8, a: u128, b: u128) -> u128 {
    let s = signs(esize);
    ((a & !s) + (b & !s)) ^ ((a ^ b) & s)
}

#[inline(always)]
pub(super) fn sub(esize: u8, a: u128, b: u128) -> u128 {
    let s = signs(esize);
    ((a | s) - (b & !s)) ^ ((a ^ !b) & s)
}

/// All ones in the lanes whose sign bit is set in `v`, which has no other bits.
#[inline(always)]
fn fill(esize: u8, v: u128) -> u128 {
    (v - (v >> (bits(esize) - 1))) | v
}

/// All ones where the lane of `v` is not zero.
#[inline(always)]
pub(super) fn differs(esize: u8, v: u128) -> u128 {
    let s = signs(esize);
    fill(esize, (((v & !s) + !s) | v) & s)
}

/// All ones where a >= b, unsigned.
#[inline(always)]
pub(super) fn at_least(esize: u8, a: u128, b: u128) -> u128 {
    let s = signs(esize);
    let low = (a | s) - (b & !s);
    fill(esize, ((a & !b) | (!(a ^ b) & low)) & s)
}

#[inline(always)]
pub(super) fn max(esize: u8, a: u128, b: u128) -> u128 {
    let m = at_least(esize, a, b);
    a & m | b & !m
}

#[inline(always)]
pub(super) fn min(esize: u8, a: u128, b: u128) -> u128 {
    let m = at_least(esize, a, b);
    b & m | a & !m
}

/// All lanes folded into one by an operation on lanes; the rest is zero.
#[inline(always)]
pub(super) fn fold(esize: u8, a: u128, f: impl Fn(u128, u128) -> u128) -> u128 {
    let mut v = a;
    let mut n = 64;
    while n >= bits(esize) {
        v = f(v, v >> n);
        n /= 2;
    }
    v & lowest(esize)
}

/// The lanes of 64 bits at twice their distance.
#[inline(always)]
pub(super) fn spread(esize: u8, v: u64) -> u128 {
    let mut v = v as u128;
    for size in (esize & 3..3).rev() {
        v = (v | v << bits(size)) & even(size);
    }
    v
}

/// The even lanes side by side.
#[inline(always)]
pub(super) fn gather(esize: u8, v: u128) -> u64 {
    let mut v = v & even(esize);
    for size in esize & 3..3 {
        v = (v | v >> bits(size)) & even(size + 1);
    }
    v as u64
}
