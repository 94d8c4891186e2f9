//! AES and SHA steps, as the Arm architecture cuts them (DDI 0487, shared pseudocode).

use super::XOp;
use super::lanes::*;

/// Multiplies by x in the field of AES.
const fn xtime(a: u8) -> u8 {
    a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 }
}

const fn sbox() -> [u8; 256] {
    let mut table = [0; 256];
    // p runs through the powers of the generator 3, q through their inverses.
    let (mut p, mut q) = (1u8, 1u8);
    let mut i = 0;
    while i < 255 {
        p = p ^ xtime(p);
        q ^= q << 1;
        q ^= q << 2;
        q ^= q << 4;
        if q & 0x80 != 0 {
            q ^= 0x09;
        }
        table[p as usize] = q ^ q.rotate_left(1) ^ q.rotate_left(2) ^ q.rotate_left(3) ^ q.rotate_left(4) ^ 0x63;
        i += 1;
    }
    table[0] = 0x63;
    table
}
const fn inverse(table: [u8; 256]) -> [u8; 256] {
    let mut out = [0; 256];
    let mut i = 0;
    while i < 256 {
        out[table[i] as usize] = i as u8;
        i += 1;
    }
    out
}
static SBOX: [u8; 256] = sbox();
static INVERSE_SBOX: [u8; 256] = inverse(sbox());

fn aes_encrypt(state: u128) -> u128 {
    let s = u8s(state);
    from_u8s(std::array::from_fn(|i| SBOX[s[(i + 4 * (i % 4)) % 16] as usize]))
}
fn aes_decrypt(state: u128) -> u128 {
    let s = u8s(state);
    from_u8s(std::array::from_fn(|i| INVERSE_SBOX[s[(i + 12 * (i % 4)) % 16] as usize]))
}

/// [`xtime`] of each byte.
fn xtime4(x: u32) -> u32 {
    ((x & 0x7f7f_7f7f) << 1) ^ (((x >> 7) & 0x0101_0101) * 0x1b)
}
fn mix(x: u32) -> u32 {
    let doubled = xtime4(x);
    let tripled = doubled ^ x;
    doubled ^ tripled.rotate_right(8) ^ x.rotate_right(16) ^ x.rotate_right(24)
}
fn unmix(x: u32) -> u32 {
    // The inverse matrix is the forward one times a sparse one: 4 (x + x') on every other byte.
    let quad = xtime4(xtime4(x));
    mix(x ^ quad ^ quad.rotate_right(16))
}

fn choose(x: u32, y: u32, z: u32) -> u32 {
    ((y ^ z) & x) ^ z
}
fn parity(x: u32, y: u32, z: u32) -> u32 {
    x ^ y ^ z
}
fn majority(x: u32, y: u32, z: u32) -> u32 {
    x & y | (x | y) & z
}

fn sha1(x: u128, y: u128, w: u128, f: impl Fn(u32, u32, u32) -> u32) -> u128 {
    let mut x = x;
    let mut y = y as u32;
    for word in u32s(w) {
        let v = u32s(x);
        y = y.wrapping_add(v[0].rotate_left(5)).wrapping_add(f(v[1], v[2], v[3])).wrapping_add(word);
        let turned = from_u32s([v[0], v[1].rotate_left(30), v[2], v[3]]);
        x = turned << 32 | y as u128;
        y = v[3];
    }
    x
}

fn sha256(x: u128, y: u128, w: u128) -> (u128, u128) {
    let (mut x, mut y) = (u32s(x), u32s(y));
    for word in u32s(w) {
        let sigma1 = y[0].rotate_right(6) ^ y[0].rotate_right(11) ^ y[0].rotate_right(25);
        let sigma0 = x[0].rotate_right(2) ^ x[0].rotate_right(13) ^ x[0].rotate_right(22);
        let t = y[3].wrapping_add(sigma1).wrapping_add(choose(y[0], y[1], y[2])).wrapping_add(word);
        let d = x[3].wrapping_add(t);
        let h = t.wrapping_add(sigma0).wrapping_add(majority(x[0], x[1], x[2]));
        x = [h, x[0], x[1], x[2]];
        y = [d, y[0], y[1], y[2]];
    }
    (from_u32s(x), from_u32s(y))
}

fn sha256_schedule1(d: u128, n: u128, m: u128) -> u128 {
    let sigma = |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ x >> 10;
    let (d, m) = (u32s(d), (m, u32s(m)));
    let t = u32s(n >> 32 | m.0 << 96);
    let sum = |i: usize, x: u32| sigma(x).wrapping_add(d[i]).wrapping_add(t[i]);
    let (r0, r1) = (sum(0, m.1[2]), sum(1, m.1[3]));
    from_u32s([r0, r1, sum(2, r0), sum(3, r1)])
}

fn sha512_hash(w: u128, x: u128, y: u128) -> u128 {
    let ([w0, w1], [x0, x1], [y0, y1]) = (u64s(w), u64s(x), u64s(y));
    let sigma = |v: u64| v.rotate_right(14) ^ v.rotate_right(18) ^ v.rotate_right(41);
    let high = ((y1 & x0) ^ (!y1 & x1)).wrapping_add(sigma(y1)).wrapping_add(w1);
    let t = high.wrapping_add(y0);
    let low = ((t & y1) ^ (!t & x0)).wrapping_add(sigma(t)).wrapping_add(w0);
    from_u64s([low, high])
}
fn sha512_hash2(w: u128, x: u128, y: u128) -> u128 {
    let ([w0, w1], [x0, _], [y0, y1]) = (u64s(w), u64s(x), u64s(y));
    let sigma = |v: u64| v.rotate_right(28) ^ v.rotate_right(34) ^ v.rotate_right(39);
    let high = ((x0 & y1) ^ (x0 & y0) ^ (y1 & y0)).wrapping_add(sigma(y0)).wrapping_add(w1);
    let low = ((high & y0) ^ (high & y1) ^ (y1 & y0)).wrapping_add(sigma(high)).wrapping_add(w0);
    from_u64s([low, high])
}

/// The operation's meaning; 0 for those of other modules.
pub(super) fn eval(op: XOp, a: u128, b: u128, c: u128) -> u128 {
    match op {
        XOp::AesEncrypt => aes_encrypt(a ^ b),
        XOp::AesDecrypt => aes_decrypt(a ^ b),
        XOp::AesMix => from_u32s(u32s(a).map(mix)),
        XOp::AesUnmix => from_u32s(u32s(a).map(unmix)),
        XOp::Sha1Choose => sha1(a, b, c, choose),
        XOp::Sha1Parity => sha1(a, b, c, parity),
        XOp::Sha1Majority => sha1(a, b, c, majority),
        XOp::Sha1Schedule0 => a ^ c ^ (a >> 64 | b << 64),
        XOp::Sha1Schedule1 => {
            let t = u32s(a ^ b >> 32);
            let [x, y, z, w] = t.map(|v| v.rotate_left(1));
            from_u32s([x, y, z, w ^ t[0].rotate_left(2)])
        }
        XOp::Sha256Hash => sha256(a, b, c).0,
        XOp::Sha256Hash2 => sha256(a, b, c).1,
        XOp::Sha256Schedule0 => {
            let (d, t) = (u32s(a), u32s(a >> 32 | b << 96));
            from_u32s(std::array::from_fn(|i| d[i].wrapping_add(t[i].rotate_right(7) ^ t[i].rotate_right(18) ^ t[i] >> 3)))
        }
        XOp::Sha256Schedule1 => sha256_schedule1(a, b, c),
        XOp::Sha512Hash => sha512_hash(a, b, c),
        XOp::Sha512Hash2 => sha512_hash2(a, b, c),
        XOp::Sha512Schedule0 => {
            let sigma = |v: u64| v.rotate_right(1) ^ v.rotate_right(8) ^ v >> 7;
            let ([w0, w1], [x0, _]) = (u64s(a), u64s(b));
            from_u64s([w0.wrapping_add(sigma(w1)), w1.wrapping_add(sigma(x0))])
        }
        XOp::Sha512Schedule1 => {
            let sigma = |v: u64| v.rotate_right(19) ^ v.rotate_right(61) ^ v >> 6;
            let (w, x, y) = (u64s(a), u64s(b), u64s(c));
            from_u64s(std::array::from_fn(|i| w[i].wrapping_add(sigma(x[i])).wrapping_add(y[i])))
        }
        _ => 0,
    }
}
