//! Vector operations: what has a host instruction inline, the rest by number through a thunk.

use crate::emit::{Emitter, V, VECTOR, X, run};
use crate::thunks::{number, pack_vector};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use proteus_exec::HostFloat;
use proteus_exec::ops::*;

/// Lanes of `1 << esize` bytes.
const LANES: [Type; 4] = [types::I8X16, types::I16X8, types::I32X4, types::I64X2];

impl Emitter<'_> {
    /// `v` with lanes of type `t`.
    pub(crate) fn lanes(&mut self, t: Type, v: Value) -> Value {
        if self.b.func.dfg.value_type(v) == t {
            return v;
        }
        self.b.ins().bitcast(t, MemFlagsData::new().with_endianness(Endianness::Little), v)
    }

    /// `x` as an `I8X16` value.
    pub(crate) fn vector(&mut self, x: X) -> Value {
        match x {
            X::Val(v) => v,
            X::Const(k) => {
                let c = self.b.func.dfg.constants.insert(k.to_le_bytes().to_vec().into());
                self.b.ins().vconst(types::I8X16, c)
            }
            X::Halves(l, h) => {
                let l = self.val(l);
                let v = self.b.ins().scalar_to_vector(types::I64X2, l);
                let v = match h {
                    V::Const(0) => v,
                    _ => {
                        let h = self.val(h);
                        self.b.ins().insertlane(v, h, 1)
                    }
                };
                self.lanes(types::I8X16, v)
            }
        }
    }

    /// Moves of bytes: the operation itself, run on the numbers of the bytes, says which goes
    /// where. Bytes that it clears are taken from a zero.
    fn permute(&mut self, op: XOp, esize: u8, imm: u32, a: X, b: X) -> Value {
        const FIRST: u128 = 0x8f8e_8d8c_8b8a_8988_8786_8584_8382_8180;
        const SECOND: u128 = 0x9f9e_9d9c_9b9a_9998_9796_9594_9392_9190;
        let picks = proteus_exec::vector::eval_pure(op, esize, imm, FIRST, SECOND, 0).to_le_bytes();
        let clears = picks.iter().any(|p| p & 0x80 == 0);
        let b = if clears { X::Const(0) } else { b };
        let mask: Vec<u8> = picks.iter().map(|p| if p & 0x80 == 0 { 16 } else { p & 31 }).collect();
        let [a, b] = [a, b].map(|x| self.vector(x));
        let mask = self.b.func.dfg.immediates.push(mask.into());
        self.b.ins().shuffle(a, b, mask)
    }

    /// The operation on lanes of type `t` where the host has it.
    fn inline_vector(&mut self, op: XOp, esize: u8, imm: u32, operands: [X; 3]) -> Option<Value> {
        let t = LANES[esize as usize & 3];
        let bits = 8u32 << (esize & 3);
        let wide = esize == 3;
        match op {
            XOp::Dup
            | XOp::Insert
            | XOp::Unzip1
            | XOp::Unzip2
            | XOp::Zip1
            | XOp::Zip2
            | XOp::Transpose1
            | XOp::Transpose2
            | XOp::Extract
            | XOp::Reverse
            | XOp::Narrow => {
                return Some(self.permute(op, esize, imm, operands[0], operands[1]));
            }
            XOp::Shl | XOp::ShrU if imm >= bits => return Some(self.vector(X::Const(0))),
            XOp::Mul if esize == 0 => return None,
            XOp::CmpGtU | XOp::CmpGeU | XOp::MaxS | XOp::MaxU | XOp::MinS | XOp::MinU | XOp::AbsDiffS | XOp::AbsDiffU | XOp::WidenU | XOp::WidenS if wide => {
                return None;
            }
            XOp::CountOnes if esize != 0 => return None,
            XOp::RoundHalfAddU if esize > 1 => return None,
            XOp::And
            | XOp::Or
            | XOp::Xor
            | XOp::AndNot
            | XOp::OrNot
            | XOp::Select
            | XOp::Add
            | XOp::Sub
            | XOp::Mul
            | XOp::Abs
            | XOp::Neg
            | XOp::CmpEq
            | XOp::CmpGtS
            | XOp::CmpGeS => {}
            XOp::CmpGtU
            | XOp::CmpGeU
            | XOp::CmpTest
            | XOp::MaxS
            | XOp::MaxU
            | XOp::MinS
            | XOp::MinU
            | XOp::AbsDiffS
            | XOp::AbsDiffU
            | XOp::RoundHalfAddU
            | XOp::Shl => {}
            XOp::ShrU | XOp::ShrS | XOp::CountOnes | XOp::WidenU | XOp::WidenS | XOp::Lookup => {}
            _ => return None,
        }
        let [a, b] = [operands[0], operands[1]].map(|x| self.vector(x));
        if op == XOp::Lookup {
            return Some(self.lookup(a, b, imm, operands[2]));
        }
        let (a, b) = (self.lanes(t, a), self.lanes(t, b));
        let shift = self.b.ins().iconst(types::I32, imm.min(bits - 1) as i64);
        let ins = self.b.ins();
        Some(match op {
            XOp::And => ins.band(a, b),
            XOp::Or => ins.bor(a, b),
            XOp::Xor => ins.bxor(a, b),
            XOp::AndNot => ins.band_not(a, b),
            XOp::OrNot => {
                let n = ins.bnot(b);
                self.b.ins().bor(a, n)
            }
            XOp::Select => {
                let c = self.vector(operands[2]);
                let c = self.lanes(t, c);
                self.b.ins().bitselect(a, b, c)
            }
            XOp::Add => ins.iadd(a, b),
            XOp::Sub => ins.isub(a, b),
            XOp::Mul => ins.imul(a, b),
            XOp::Abs => ins.iabs(a),
            XOp::Neg => ins.ineg(a),
            XOp::CmpEq => ins.icmp(IntCC::Equal, a, b),
            XOp::CmpGtS => ins.icmp(IntCC::SignedGreaterThan, a, b),
            XOp::CmpGeS => ins.icmp(IntCC::SignedGreaterThanOrEqual, a, b),
            XOp::CmpGtU => ins.icmp(IntCC::UnsignedGreaterThan, a, b),
            XOp::CmpGeU => ins.icmp(IntCC::UnsignedGreaterThanOrEqual, a, b),
            XOp::CmpTest => {
                let both = ins.band(a, b);
                let zero = self.vector(X::Const(0));
                let zero = self.lanes(t, zero);
                self.b.ins().icmp(IntCC::NotEqual, both, zero)
            }
            XOp::MaxS => ins.smax(a, b),
            XOp::MaxU => ins.umax(a, b),
            XOp::MinS => ins.smin(a, b),
            XOp::MinU => ins.umin(a, b),
            XOp::AbsDiffS | XOp::AbsDiffU => {
                let signed = op == XOp::AbsDiffS;
                let high = if signed { ins.smax(a, b) } else { ins.umax(a, b) };
                let low = if signed { self.b.ins().smin(a, b) } else { self.b.ins().umin(a, b) };
                self.b.ins().isub(high, low)
            }
            XOp::RoundHalfAddU => ins.avg_round(a, b),
            XOp::Shl => ins.ishl(a, shift),
            XOp::ShrU => ins.ushr(a, shift),
            XOp::ShrS => ins.sshr(a, shift),
            XOp::CountOnes => ins.popcnt(a),
            XOp::WidenU => ins.uwiden_low(a),
            _ => ins.swiden_low(a),
        })
    }

    /// Table look-up in 16 bytes from number `first` on.
    fn lookup(&mut self, table: Value, index: Value, first: u32, other: X) -> Value {
        let all = |byte: u32| X::Const(u128::from_ne_bytes([byte as u8; 16]));
        let index = if first == 0 {
            index
        } else {
            let first = self.vector(all(first));
            self.b.ins().isub(index, first)
        };
        // Indices of 16 and more give zero.
        let found = self.b.ins().swizzle(table, index);
        if other == X::Const(0) {
            return found;
        }
        let sixteen = self.vector(all(16));
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, index, sixteen);
        let other = self.vector(other);
        self.b.ins().bitselect(inside, found, other)
    }

    /// A floating-point operation on lanes by the host and whether all its lanes are certain.
    fn lanes_by_host(&mut self, esize: u8, imm: u32, operands: [X; 3]) -> Option<(Value, Value)> {
        let op = *FpOp::ALL.get((imm & 0xff) as usize)?;
        let lanes = (imm >> 8 & 7) + 1;
        let (t, top, least) = match esize {
            2 => (types::F32X4, 0x7f80_0000u64, 0x0100_0000u64),
            3 => (types::F64X2, 0x7ff0_0000_0000_0000, 0x0020_0000_0000_0000),
            _ => return None,
        };
        let fma = op == FpOp::Fma && self.features.fma;
        if !fma && !matches!(op, FpOp::Add | FpOp::Sub | FpOp::Mul | FpOp::Div | FpOp::NMul | FpOp::AbsDiff) {
            return None;
        }
        let bits = 8u32 << esize;
        let every = |v: u64| X::Const((0..128 / bits).fold(0, |k, i| k | (v as u128) << (i * bits)));
        let number = |e: &mut Self, x: X| {
            let v = e.vector(x);
            e.lanes(t, v)
        };
        let (a, b) = (number(self, operands[0]), number(self, operands[1]));
        let r = match op {
            FpOp::Add => self.b.ins().fadd(a, b),
            FpOp::Sub | FpOp::AbsDiff => self.b.ins().fsub(a, b),
            FpOp::Mul | FpOp::NMul => self.b.ins().fmul(a, b),
            FpOp::Div => self.b.ins().fdiv(a, b),
            _ => {
                let c = number(self, operands[2]);
                self.b.ins().fma(b, c, a)
            }
        };
        let size = self.b.ins().fabs(r);
        let top = number(self, every(top));
        let mut sure = self.b.ins().fcmp(FloatCC::LessThan, size, top);
        if !matches!(op, FpOp::Add | FpOp::Sub | FpOp::AbsDiff) {
            let least = number(self, every(least));
            let enough = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, size, least);
            sure = self.b.ins().band(sure, enough);
        }
        let r = match op {
            FpOp::AbsDiff => size,
            FpOp::NMul => self.b.ins().fneg(r),
            _ => r,
        };
        let mut r = self.lanes(types::I8X16, r);
        let mut sure = self.lanes(types::I8X16, sure);
        let used = lanes * bits;
        if used < 128 {
            // Lanes above are zero, and not asked about.
            let mask = u128::MAX >> (128 - used);
            let (low, high) = (self.vector(X::Const(mask)), self.vector(X::Const(!mask)));
            r = self.b.ins().band(r, low);
            sure = self.b.ins().bor(sure, high);
        }
        Some((r, self.b.ins().vall_true(sure)))
    }

    fn vector_thunk(&mut self, op: XOp, esize: u8, imm: u32, operands: [X; 3]) -> Value {
        for (i, x) in operands.into_iter().enumerate() {
            let at = run!(scratch) + 16 * i as i32;
            if let X::Val(v) = x {
                self.b.ins().store(VECTOR, v, self.core, at);
            } else {
                let (l, h) = (self.xhalf(x, 0), self.xhalf(x, 1));
                self.set_field(at, l);
                self.set_field(at + 8, h);
            }
        }
        let desc = self.b.ins().iconst(types::I64, pack_vector(op, esize, imm) as i64);
        let f = self.thunk(number::VECTOR);
        self.b.ins().call_indirect(self.signatures.vector, f, &[self.core, desc]);
        self.b.ins().load(types::I8X16, VECTOR, self.core, run!(scratch))
    }

    pub(crate) fn emit_vector(&mut self, op: XOp, esize: u8, imm: u32, operands: [X; 3]) -> X {
        if let [X::Const(a), X::Const(b), X::Const(c)] = operands
            && !op.has_env()
        {
            return X::Const(proteus_exec::vector::eval_pure(op, esize, imm, a, b, c));
        }
        if let Some(v) = self.inline_vector(op, esize, imm, operands) {
            return X::Val(self.lanes(types::I8X16, v));
        }
        if op == XOp::Fp
            && let HostFloat::Sticky(modes) = self.shape.layout.fp_fast
            && let Some((r, sure)) = self.lanes_by_host(esize, imm, operands)
        {
            let (cold, on) = (self.cold(), self.b.create_block());
            let result = self.b.append_block_param(on, types::I8X16);
            self.if_fast(sure, modes, (on, r), cold);
            self.begin(cold);
            let slow = self.vector_thunk(op, esize, imm, operands);
            self.b.ins().jump(on, &[slow.into()]);
            self.begin(on);
            self.forget_status();
            return X::Val(result);
        }
        let v = self.vector_thunk(op, esize, imm, operands);
        if op.has_env() {
            self.forget_status();
        }
        X::Val(v)
    }
}
