//! Advanced SIMD: loads and stores of structures.
//!
//! Whole registers go through memory in words of eight bytes, lowest byte first whatever the
//! byte order is; elements are then turned round where it is big-endian, and put in their places.

use super::memory::base;
use super::simd::*;
use super::simd_permute::set_element;
use super::{fp_check, mode, set_x_or_sp, x};
use crate::a64::*;
use crate::state::{self, Mode};
use proteus_exec::ops::*;

/// The access of an element.
#[inline(always)]
fn element_access<O: Ops>(o: &O, size: u32) -> Mem {
    let m = mode(o);
    Mem { align: if m.has(Mode::ALIGN) { 1 << size } else { 0 }, big: m.has(Mode::BIG), ..Mem::plain(size as u8) }
}
/// The access of a word of eight bytes that holds elements.
#[inline(always)]
fn word_access<O: Ops>(o: &O, size: u32) -> Mem {
    Mem { size: 3, big: false, ..element_access(o, size) }
}

#[inline(always)]
fn offset<O: Ops>(o: &mut O, b: O::V, k: u64) -> O::V {
    if k == 0 { b } else { o.add_imm(W::W64, b, k) }
}

/// Writes the base back after `bytes` were transferred.
#[inline(always)]
fn write_back<O: Ops>(o: &mut O, rn: u32, post: (u32, u32), b: O::V, bytes: u64) {
    let (post, rm) = post;
    if post == 0 {
        return;
    }
    let moved = if rm == 31 {
        o.add_imm(W::W64, b, bytes)
    } else {
        let step = x(o, rm);
        o.add(W::W64, b, step)
    };
    set_x_or_sp(o, rn, moved);
}

/// Turns the bytes of elements round where data is big-endian.
#[inline(always)]
fn ordered<O: Ops>(o: &mut O, size: u32, v: O::X) -> O::X {
    if size == 0 || !mode(o).has(Mode::BIG) { v } else { o.x(XOp::Reverse, 0, size, v, v, v) }
}

/// Loads `words` words of eight bytes, two to a vector.
#[inline(always)]
fn load_words<O: Ops>(o: &mut O, b: O::V, size: u32, words: u32) -> Result<[O::X; 4], O::Fault> {
    let m = word_access(o, size);
    let zero = o.imm(0);
    let empty = o.ximm(0);
    let mut out = [empty; 4];
    for (i, to) in out.iter_mut().enumerate() {
        let k = 2 * i as u32;
        if k >= words {
            break;
        }
        let at = offset(o, b, 8 * k as u64);
        let l = o.load(at, m)?;
        let h = if k + 1 < words {
            let at = offset(o, b, 8 * k as u64 + 8);
            o.load(at, m)?
        } else {
            zero
        };
        let v = o.xjoin(l, h);
        *to = ordered(o, size, v);
    }
    Ok(out)
}
#[inline(always)]
fn store_words<O: Ops>(o: &mut O, b: O::V, size: u32, words: u32, v: [O::X; 4]) -> Result<(), O::Fault> {
    let m = word_access(o, size);
    for k in 0..words {
        let from = ordered(o, size, v[k as usize / 2]);
        let half = o.xhalf(from, (k & 1) as u8);
        let at = offset(o, b, 8 * k as u64);
        o.store(at, m, half)?;
    }
    Ok(())
}

/// Registers that LD1 and ST1 transfer, by opcode.
#[inline(always)]
fn registers(opcode: u32) -> u32 {
    match opcode {
        7 => 1,
        10 => 2,
        6 => 3,
        _ => 4,
    }
}

/// Registers as 64 or 128 bits: the vectors in memory hold two of the former.
#[inline(always)]
fn pack<O: Ops>(o: &mut O, q: u32, rt: u32, count: u32) -> [O::X; 4] {
    let empty = o.ximm(0);
    let mut out = [empty; 4];
    for k in 0..count {
        let r = state::v((rt + k) % 32);
        out[k as usize] = if q != 0 {
            o.xget(r)
        } else {
            let v = o.get(r);
            low(o, v)
        };
    }
    out
}

/// LD1 (multiple structures).
pub fn ld1_v<O: Ops>(o: &mut O, a: &LdstMulti) -> R<O> {
    fp_check(o)?;
    let count = registers(a.opcode);
    let words = count << a.q;
    let b = base(o, a.rn)?;
    let v = load_words(o, b, a.size, words)?;
    write_back(o, a.rn, (a.post, a.rm), b, 8 * words as u64);
    for k in 0..count {
        let r = (a.rt + k) % 32;
        if a.q != 0 {
            o.xset(state::v(r), v[k as usize]);
        } else {
            let half = o.xhalf(v[k as usize / 2], (k & 1) as u8);
            write_low(o, r, half);
        }
    }
    Ok(Flow::Next)
}
/// ST1 (multiple structures).
pub fn st1_v<O: Ops>(o: &mut O, a: &LdstMulti) -> R<O> {
    fp_check(o)?;
    let count = registers(a.opcode);
    let words = count << a.q;
    let b = base(o, a.rn)?;
    let mut v = pack(o, a.q, a.rt, count);
    if a.q == 0 {
        let halves = v.map(|x| o.xhalf(x, 0));
        v[0] = o.xjoin(halves[0], halves[1]);
        v[1] = o.xjoin(halves[2], halves[3]);
    }
    store_words(o, b, a.size, words, v)?;
    write_back(o, a.rn, (a.post, a.rm), b, 8 * words as u64);
    Ok(Flow::Next)
}

/// Writes `count` registers of a structure load.
#[inline(always)]
fn unpack<O: Ops>(o: &mut O, a: &LdstMulti, v: &[O::X]) {
    let f = Form { q: a.q, s: 0, size: a.size };
    for (k, x) in v.iter().enumerate() {
        write(o, f, (a.rt + k as u32) % 32, *x);
    }
}

/// LD2 (multiple structures).
pub fn ld2_v<O: Ops>(o: &mut O, a: &LdstMulti) -> R<O> {
    let f = Form { q: a.q, s: 0, size: a.size };
    fp_check(o)?;
    let b = base(o, a.rn)?;
    let v = load_words(o, b, a.size, 2 << a.q)?;
    write_back(o, a.rn, (a.post, a.rm), b, 16 << a.q);
    let second = v[a.q as usize];
    let out = [x2(o, XOp::Unzip1, f, v[0], second), x2(o, XOp::Unzip2, f, v[0], second)];
    unpack(o, a, &out);
    Ok(Flow::Next)
}
/// ST2 (multiple structures).
pub fn st2_v<O: Ops>(o: &mut O, a: &LdstMulti) -> R<O> {
    let f = Form { q: a.q, s: 0, size: a.size };
    fp_check(o)?;
    let b = base(o, a.rn)?;
    let r = pack(o, a.q, a.rt, 2);
    let zero = o.ximm(0);
    let v = [x2(o, XOp::Zip1, f, r[0], r[1]), x2(o, XOp::Zip2, f, r[0], r[1]), zero, zero];
    store_words(o, b, a.size, 2 << a.q, v)?;
    write_back(o, a.rn, (a.post, a.rm), b, 16 << a.q);
    Ok(Flow::Next)
}

/// LD4 (multiple structures).
pub fn ld4_v<O: Ops>(o: &mut O, a: &LdstMulti) -> R<O> {
    let f = Form { q: a.q, s: 0, size: a.size };
    fp_check(o)?;
    let b = base(o, a.rn)?;
    let v = load_words(o, b, a.size, 4 << a.q)?;
    write_back(o, a.rn, (a.post, a.rm), b, 32 << a.q);
    let (even, odd) = (x2(o, XOp::Unzip1, f, v[0], v[1]), x2(o, XOp::Unzip2, f, v[0], v[1]));
    let (even2, odd2) = if a.q != 0 { (x2(o, XOp::Unzip1, f, v[2], v[3]), x2(o, XOp::Unzip2, f, v[2], v[3])) } else { (even, odd) };
    let out = [x2(o, XOp::Unzip1, f, even, even2), x2(o, XOp::Unzip1, f, odd, odd2), x2(o, XOp::Unzip2, f, even, even2), x2(o, XOp::Unzip2, f, odd, odd2)];
    unpack(o, a, &out);
    Ok(Flow::Next)
}
/// ST4 (multiple structures).
pub fn st4_v<O: Ops>(o: &mut O, a: &LdstMulti) -> R<O> {
    let f = Form { q: a.q, s: 0, size: a.size };
    fp_check(o)?;
    let b = base(o, a.rn)?;
    let r = pack(o, a.q, a.rt, 4);
    let (even, even2) = (x2(o, XOp::Zip1, f, r[0], r[2]), x2(o, XOp::Zip2, f, r[0], r[2]));
    let (odd, odd2) = (x2(o, XOp::Zip1, f, r[1], r[3]), x2(o, XOp::Zip2, f, r[1], r[3]));
    let v = [x2(o, XOp::Zip1, f, even, odd), x2(o, XOp::Zip2, f, even, odd), x2(o, XOp::Zip1, f, even2, odd2), x2(o, XOp::Zip2, f, even2, odd2)];
    store_words(o, b, a.size, 4 << a.q, v)?;
    write_back(o, a.rn, (a.post, a.rm), b, 32 << a.q);
    Ok(Flow::Next)
}

/// For each byte of register `k` of three, which byte of the structures in memory it is.
const fn triple_load(size: u32, k: u32) -> u128 {
    let mut out = 0;
    let mut i = 0;
    while i < 16 {
        let (lane, byte) = (i >> size, i & ((1 << size) - 1));
        out |= ((((3 * lane + k) << size) + byte) as u128) << (8 * i);
        i += 1;
    }
    out
}
/// For each byte of vector `k` in memory, which byte of the three registers it is, registers
/// being `1 << log` bytes long.
const fn triple_store(size: u32, k: u32, log: u32) -> u128 {
    let mut out = 0;
    let mut i = 0;
    while i < 16 {
        let at = 16 * k + i;
        let (element, byte) = (at >> size, at & ((1 << size) - 1));
        let (register, lane) = (element % 3, element / 3);
        let from = (register << log) + (lane << size) + byte;
        out |= ((from & 0xff) as u128) << (8 * i);
        i += 1;
    }
    out
}
/// Bytes of three vectors by their places.
#[inline(always)]
fn gather<O: Ops>(o: &mut O, v: [O::X; 3], places: u128) -> O::X {
    let index = o.ximm(places);
    let mut r = o.ximm(0);
    for (k, t) in v.into_iter().enumerate() {
        r = o.x(XOp::Lookup, 0, 16 * k as u32, t, index, r);
    }
    r
}
/// LD3 (multiple structures).
pub fn ld3_v<O: Ops>(o: &mut O, a: &LdstMulti) -> R<O> {
    fp_check(o)?;
    let b = base(o, a.rn)?;
    let v = load_words(o, b, a.size, 3 << a.q)?;
    write_back(o, a.rn, (a.post, a.rm), b, 24 << a.q);
    let v = [v[0], v[1], v[2]];
    let out = [0, 1, 2].map(|k| gather(o, v, triple_load(a.size, k)));
    unpack(o, a, &out);
    Ok(Flow::Next)
}
/// ST3 (multiple structures).
pub fn st3_v<O: Ops>(o: &mut O, a: &LdstMulti) -> R<O> {
    fp_check(o)?;
    let b = base(o, a.rn)?;
    let r = pack(o, a.q, a.rt, 3);
    let r = if a.q != 0 {
        [r[0], r[1], r[2]]
    } else {
        let halves = r.map(|x| o.xhalf(x, 0));
        let (first, second) = (o.xjoin(halves[0], halves[1]), low(o, halves[2]));
        [first, second, second]
    };
    let v = [0, 1, 2].map(|k| gather(o, r, triple_store(a.size, k, 3 + a.q)));
    let zero = o.ximm(0);
    store_words(o, b, a.size, 3 << a.q, [v[0], v[1], v[2], zero])?;
    write_back(o, a.rn, (a.post, a.rm), b, 24 << a.q);
    Ok(Flow::Next)
}

// ---- Single structures.

/// log2 of the element's bytes and its index.
#[inline(always)]
fn lane(a: &LdstLane) -> (u32, u32) {
    let place = a.q << 3 | a.s << 2 | a.size;
    match a.scale {
        0 => (0, place),
        1 => (1, place >> 1),
        _ if a.size & 1 == 0 => (2, place >> 2),
        _ => (3, a.q),
    }
}
#[inline(always)]
fn load_lane<O: Ops>(o: &mut O, a: &LdstLane, count: u32) -> R<O> {
    fp_check(o)?;
    let (size, index) = lane(a);
    let m = element_access(o, size);
    let b = base(o, a.rn)?;
    let zero = o.imm(0);
    let mut v = [zero; 4];
    for k in 0..count {
        let at = offset(o, b, (k as u64) << size);
        v[k as usize] = o.load(at, m)?;
    }
    write_back(o, a.rn, (a.post, a.rm), b, (count as u64) << size);
    for k in 0..count {
        set_element(o, size, (a.rt + k) % 32, index, v[k as usize]);
    }
    Ok(Flow::Next)
}
#[inline(always)]
fn store_lane<O: Ops>(o: &mut O, a: &LdstLane, count: u32) -> R<O> {
    fp_check(o)?;
    let (size, index) = lane(a);
    let m = element_access(o, size);
    let b = base(o, a.rn)?;
    for k in 0..count {
        let v = get_element(o, size, (a.rt + k) % 32, index);
        let at = offset(o, b, (k as u64) << size);
        o.store(at, m, v)?;
    }
    write_back(o, a.rn, (a.post, a.rm), b, (count as u64) << size);
    Ok(Flow::Next)
}
#[inline(always)]
fn load_replicate<O: Ops>(o: &mut O, a: &LdRep, count: u32) -> R<O> {
    fp_check(o)?;
    let f = Form { q: a.q, s: 0, size: a.size };
    let m = element_access(o, a.size);
    let b = base(o, a.rn)?;
    let zero = o.imm(0);
    let mut v = [zero; 4];
    for k in 0..count {
        let at = offset(o, b, (k as u64) << a.size);
        v[k as usize] = o.load(at, m)?;
    }
    write_back(o, a.rn, (a.post, a.rm), b, (count as u64) << a.size);
    for k in 0..count {
        let x = low(o, v[k as usize]);
        let x = x1(o, XOp::Dup, f, 0, x);
        write(o, f, (a.rt + k) % 32, x);
    }
    Ok(Flow::Next)
}
macro_rules! single {
    ($set:ident: $($doc:literal $name:ident = $f:ident($count:literal);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &$set) -> R<O> {
            $f(o, a, $count)
        }
    )*};
}
single! { LdstLane:
    "LD1 (single structure)" ld1_lane = load_lane(1);
    "LD2 (single structure)" ld2_lane = load_lane(2);
    "LD3 (single structure)" ld3_lane = load_lane(3);
    "LD4 (single structure)" ld4_lane = load_lane(4);
    "ST1 (single structure)" st1_lane = store_lane(1);
    "ST2 (single structure)" st2_lane = store_lane(2);
    "ST3 (single structure)" st3_lane = store_lane(3);
    "ST4 (single structure)" st4_lane = store_lane(4);
}
single! { LdRep:
    "LD1R" ld1_rep = load_replicate(1);
    "LD2R" ld2_rep = load_replicate(2);
    "LD3R" ld3_rep = load_replicate(3);
    "LD4R" ld4_rep = load_replicate(4);
}
