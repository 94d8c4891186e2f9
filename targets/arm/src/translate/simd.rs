//! What the instructions of Advanced SIMD share: operands and results by form.

use crate::state;
use proteus_exec::ops::*;
use proteus_exec::vector::fp_lanes;

/// The form of a SIMD instruction.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// A vector of 64 bits (0) or 128 (1).
    pub q: u32,
    /// 1: a scalar.
    pub s: u32,
    /// log2 of the bytes of an element.
    pub size: u32,
}

impl Form {
    /// The form with elements of twice the size, all 128 bits of them or a scalar.
    pub(super) const fn wide(self) -> Form {
        Form { q: 1, s: self.s, size: self.size + 1 }
    }
    /// Bits of an element.
    pub(super) const fn bits(self) -> u32 {
        8 << self.size
    }
    /// Elements.
    pub(super) const fn lanes(self) -> u32 {
        if self.s != 0 { 1 } else { (8 << self.q) >> self.size }
    }
    /// The scalar of the same size.
    pub(super) const fn scalar(self) -> Form {
        Form { q: 1, s: 1, size: self.size }
    }
    /// The size as primitives take it.
    pub(super) const fn esize(self) -> u8 {
        self.size as u8
    }
}

/// The form in an instruction's arguments.
macro_rules! form {
    ($a:expr) => {
        Form { q: $a.q, s: $a.s, size: $a.size }
    };
}
pub(super) use form;

/// `v` cut to an element.
#[inline(always)]
pub(super) fn zext<O: Ops>(o: &mut O, size: u32, v: O::V) -> O::V {
    match size {
        0 => o.un(Un::Zext8, W::W64, v),
        1 => o.un(Un::Zext16, W::W64, v),
        2 => o.un(Un::Zext32, W::W64, v),
        _ => v,
    }
}

/// A vector from its low half.
#[inline(always)]
pub(super) fn low<O: Ops>(o: &mut O, v: O::V) -> O::X {
    let zero = o.imm(0);
    o.xjoin(v, zero)
}

/// Reads an operand; what the form has no use for is zero.
#[inline(always)]
pub(super) fn read<O: Ops>(o: &mut O, f: Form, r: u32) -> O::X {
    if f.s != 0 {
        let v = o.get(state::v(r));
        let v = zext(o, f.size, v);
        low(o, v)
    } else if f.q != 0 {
        o.xget(state::v(r))
    } else {
        let v = o.get(state::v(r));
        low(o, v)
    }
}

/// Reads the narrow operand of a widening instruction, into the low half: the upper half of the
/// register in the "2" forms, or a scalar.
#[inline(always)]
pub(super) fn read_half<O: Ops>(o: &mut O, f: Form, r: u32) -> O::X {
    if f.s != 0 {
        return read(o, f, r);
    }
    let v = o.get(state::v(r).at(f.q));
    low(o, v)
}

/// Writes the low half of a register and clears the rest.
#[inline(always)]
pub(super) fn write_low<O: Ops>(o: &mut O, rd: u32, v: O::V) {
    let zero = o.imm(0);
    o.set(state::v(rd), v);
    o.set(state::v(rd).at(1), zero);
}

/// Writes a result, cut to the form.
#[inline(always)]
pub(super) fn write<O: Ops>(o: &mut O, f: Form, rd: u32, x: O::X) {
    if f.s != 0 {
        let v = o.xhalf(x, 0);
        let v = zext(o, f.size, v);
        write_low(o, rd, v);
    } else if f.q != 0 {
        o.xset(state::v(rd), x);
    } else {
        let v = o.xhalf(x, 0);
        write_low(o, rd, v);
    }
}

/// Writes the low half of `x` as the result of a narrowing instruction: to the upper half in the
/// "2" forms, which leave the lower one alone.
#[inline(always)]
pub(super) fn write_half<O: Ops>(o: &mut O, f: Form, rd: u32, x: O::X) {
    if f.s != 0 {
        return write(o, f, rd, x);
    }
    let v = o.xhalf(x, 0);
    if f.q != 0 {
        o.set(state::v(rd).at(1), v);
    } else {
        write_low(o, rd, v);
    }
}

/// `v` in all elements of `1 << size` bytes.
pub(super) const fn splat(size: u32, v: u64) -> u128 {
    let bits = 8 << size;
    let lane = v as u128 & (u128::MAX >> (128 - bits));
    u128::MAX / (u128::MAX >> (128 - bits)) * lane
}

/// An operation on one vector.
#[inline(always)]
pub(super) fn x1<O: Ops>(o: &mut O, op: XOp, f: Form, imm: u32, x: O::X) -> O::X {
    o.x(op, f.esize(), imm, x, x, x)
}

/// An operation on two vectors.
#[inline(always)]
pub(super) fn x2<O: Ops>(o: &mut O, op: XOp, f: Form, x: O::X, y: O::X) -> O::X {
    o.x(op, f.esize(), 0, x, y, y)
}

/// A floating-point operation on the elements of a form.
#[inline(always)]
pub(super) fn fp<O: Ops>(o: &mut O, f: Form, op: FpOp, imm: u32, v: (O::X, O::X, O::X)) -> O::X {
    let (x, y, z) = v;
    if f.s == 0 {
        return o.x(XOp::Fp, f.esize(), fp_lanes(op, f.lanes(), imm), x, y, z);
    }
    let fmt = format(f.size);
    let (a, b, c) = (o.xhalf(x, 0), o.xhalf(y, 0), o.xhalf(z, 0));
    let r = o.fp(op, fmt, imm, a, b, c);
    low(o, r)
}

/// The format of `1 << size` bytes.
#[inline(always)]
pub(super) const fn format(size: u32) -> Fmt {
    match size {
        0 | 1 => Fmt::F16,
        2 => Fmt::F32,
        _ => Fmt::F64,
    }
}

/// Register and index of an element operand, from the fields that make them up.
#[inline(always)]
pub(super) const fn element(size: u32, l: u32, m: u32, rm: u32, h: u32) -> (u32, u32) {
    match size {
        0 | 1 => (rm, h << 2 | l << 1 | m),
        2 => (m << 4 | rm, h << 1 | l),
        _ => (m << 4 | rm, h),
    }
}

/// Element `index` of a register in all places.
#[inline(always)]
pub(super) fn dup_element<O: Ops>(o: &mut O, size: u32, r: u32, index: u32) -> O::X {
    let x = o.xget(state::v(r));
    o.x(XOp::Dup, size as u8, index, x, x, x)
}

/// Element `index` of a register, zero-extended.
#[inline(always)]
pub(super) fn get_element<O: Ops>(o: &mut O, size: u32, r: u32, index: u32) -> O::V {
    let at = index << size;
    let half = o.get(state::v(r).at(at >> 3 & 1));
    let shifted = if at & 7 == 0 { half } else { o.bin_imm(Bin::Shr, W::W64, half, 8 * (at & 7) as u64) };
    zext(o, size, shifted)
}

/// Begins an instruction: the trap first, then its form.
macro_rules! begin {
    ($o:expr, $a:expr) => {{
        fp_check($o)?;
        form!($a)
    }};
}
pub(super) use begin;
