//! Scalar floating point: host arithmetic where that is certain to give the guest's result, the
//! exact path in a cold block otherwise. The conditions are those of `proteus_exec::fp::fast`.

use crate::emit::{Emitter, V, offset};
use crate::thunks::{number, pack_fp};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value, types};
use proteus_exec::HostFloat;
use proteus_exec::ops::*;

impl Emitter<'_> {
    fn fp_thunk(&mut self, op: FpOp, fmt: Fmt, imm: u32, operands: [V; 3]) -> Value {
        let desc = self.b.ins().iconst(types::I64, pack_fp(op, fmt, imm) as i64);
        let [a, b, c] = operands.map(|v| self.val(v));
        let f = self.thunk(number::FP);
        let call = self.b.ins().call_indirect(self.signatures.fp, f, &[self.core, desc, a, b, c]);
        self.b.inst_results(call)[0]
    }

    /// The low bits of `v` as a number of the format.
    fn number(&mut self, fmt: Fmt, v: V) -> Value {
        let (int, float) = if fmt == Fmt::F32 { (types::I32, types::F32) } else { (types::I64, types::F64) };
        let i = self.reduce(int, v);
        self.b.ins().bitcast(float, MemFlagsData::new(), i)
    }

    /// The result by the host and whether it is certain; `None` for operations that the host does
    /// not do.
    fn by_host(&mut self, op: FpOp, fmt: Fmt, operands: [V; 3]) -> Option<(Value, Value)> {
        if fmt == Fmt::F16 {
            return None;
        }
        let fma = op == FpOp::Fma && self.features.fma;
        if !fma && !matches!(op, FpOp::Add | FpOp::Sub | FpOp::Mul | FpOp::Div | FpOp::Sqrt | FpOp::NMul | FpOp::AbsDiff) {
            return None;
        }
        let a = self.number(fmt, operands[0]);
        let int = if fmt == Fmt::F32 { types::I32 } else { types::I64 };
        if op == FpOp::Sqrt {
            let r = self.b.ins().sqrt(a);
            // A positive number: its encoding less one is below that of infinity less one.
            let bits = self.reduce(int, operands[0]);
            let one = self.b.ins().iconst(int, 1);
            let bits = self.b.ins().isub(bits, one);
            let top = if fmt == Fmt::F32 { 0x7f80_0000u64 } else { 0x7ff0_0000_0000_0000 };
            let top = self.b.ins().iconst(int, top as i64 - 1);
            let sure = self.b.ins().icmp(IntCC::UnsignedLessThan, bits, top);
            return Some((r, sure));
        }
        let b = self.number(fmt, operands[1]);
        let ins = self.b.ins();
        let r = match op {
            FpOp::Add => ins.fadd(a, b),
            FpOp::Sub | FpOp::AbsDiff => ins.fsub(a, b),
            FpOp::Mul | FpOp::NMul => ins.fmul(a, b),
            FpOp::Div => ins.fdiv(a, b),
            _ => {
                let c = self.number(fmt, operands[2]);
                self.b.ins().fma(b, c, a)
            }
        };
        let magnitude = self.b.ins().fabs(r);
        let sum = matches!(op, FpOp::Add | FpOp::Sub | FpOp::AbsDiff);
        let sure = if sum {
            let top = if fmt == Fmt::F32 { self.b.ins().f32const(f32::INFINITY) } else { self.b.ins().f64const(f64::INFINITY) };
            self.b.ins().fcmp(FloatCC::LessThan, magnitude, top)
        } else {
            // At least twice the smallest normal number, and finite: one unsigned comparison of
            // the encoding.
            let (first, last) = if fmt == Fmt::F32 { (0x0100_0000u64, 0x7f80_0000u64) } else { (0x0020_0000_0000_0000, 0x7ff0_0000_0000_0000) };
            let bits = self.b.ins().bitcast(int, MemFlagsData::new(), magnitude);
            let first_value = self.b.ins().iconst(int, first as i64);
            let over = self.b.ins().isub(bits, first_value);
            let range = self.b.ins().iconst(int, (last - first) as i64);
            self.b.ins().icmp(IntCC::UnsignedLessThan, over, range)
        };
        let r = match op {
            FpOp::AbsDiff => magnitude,
            FpOp::NMul => self.b.ins().fneg(r),
            _ => r,
        };
        Some((r, sure))
    }

    /// Goes on with the host's result where it is `sure` and `modes`, a word that is not zero where
    /// the guest's modes are the host's.
    pub(crate) fn if_fast(&mut self, sure: Value, modes: Slot, (on, result): (Block, Value), cold: Block) {
        self.go_where(sure, cold);
        let fast = self.field(offset(modes));
        self.b.ins().brif(fast, on, &[result.into()], cold, &[]);
    }

    /// Goes on where `c` holds, else to `other`.
    fn go_where(&mut self, c: Value, other: Block) {
        let on = self.b.create_block();
        self.b.ins().brif(c, on, &[], other, &[]);
        self.b.seal_block(on);
        self.b.switch_to_block(on);
    }

    /// Of an operation whose result `r` the host has where `sure`: whether the guest can be told
    /// what it wants to know too. The conditions are those of `proteus_exec::fp::fast_exact`.
    fn known(&mut self, op: FpOp, fmt: Fmt, operands: [V; 3], (r, sure): (Value, Value)) -> Option<Value> {
        if let HostFloat::Sticky(_) = self.shape.layout.fp_fast {
            return Some(sure);
        }
        let whole = match (op, fmt) {
            (FpOp::Add | FpOp::Sub, _) | (FpOp::Mul | FpOp::Div | FpOp::Sqrt, Fmt::F32) => return Some(sure),
            (FpOp::Mul, _) if self.features.fma => r,
            (FpOp::Div | FpOp::Sqrt, _) if self.features.fma => self.number(fmt, operands[0]),
            _ => return None,
        };
        let magnitude = self.b.ins().fabs(whole);
        let least = self.b.ins().f64const(proteus_exec::fp::NO_TINY_ERROR);
        let known = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, magnitude, least);
        Some(self.b.ins().band(sure, known))
    }

    /// Whether the host's result `r` is inexact, as `proteus_exec::fp::fast_exact` finds out.
    fn rounded(&mut self, op: FpOp, fmt: Fmt, operands: [V; 3], r: Value) -> Value {
        let (a, b) = (self.number(fmt, operands[0]), self.number(fmt, operands[1]));
        let (left, right) = match (op, fmt) {
            (FpOp::Add | FpOp::Sub, _) => {
                let (lost, left) =
                    if op == FpOp::Add { (self.b.ins().fsub(r, a), self.b.ins().fsub(r, b)) } else { (self.b.ins().fsub(a, r), self.b.ins().fadd(r, b)) };
                let one = self.b.ins().fcmp(FloatCC::NotEqual, lost, b);
                let other = self.b.ins().fcmp(FloatCC::NotEqual, left, a);
                return self.b.ins().bor(one, other);
            }
            (_, Fmt::F32) => {
                let [a, b, r] = [a, b, r].map(|v| self.b.ins().fpromote(types::F64, v));
                match op {
                    FpOp::Mul => (self.b.ins().fmul(a, b), r),
                    FpOp::Div => (self.b.ins().fmul(r, b), a),
                    _ => (self.b.ins().fmul(r, r), a),
                }
            }
            _ => {
                let minus = self.b.ins().fneg(r);
                let lost = match op {
                    FpOp::Mul => self.b.ins().fma(a, b, minus),
                    FpOp::Div => self.b.ins().fma(minus, b, a),
                    _ => self.b.ins().fma(minus, r, a),
                };
                (lost, self.b.ins().f64const(0.0))
            }
        };
        self.b.ins().fcmp(FloatCC::NotEqual, left, right)
    }

    /// Goes on where the word `status` has none of the bits `not`, and sets its bits `inexact` where
    /// the host's result `r` is.
    fn tell(&mut self, (op, fmt, operands): (FpOp, Fmt, [V; 3]), r: Value, (status, not, inexact): (Slot, u64, u64), cold: Block) {
        let word = self.field(offset(status));
        let not = self.b.ins().iconst(types::I64, not as i64);
        let odd = self.b.ins().band(word, not);
        let zero = self.b.ins().iconst(types::I64, 0);
        let modes = self.b.ins().icmp(IntCC::Equal, odd, zero);
        self.go_where(modes, cold);
        let rounded = self.rounded(op, fmt, operands, r);
        let inexact = self.b.ins().iconst(types::I64, inexact as i64);
        let told = self.b.ins().bor(word, inexact);
        let word = self.b.ins().select(rounded, told, word);
        self.set_field(offset(status), V::Val(word));
    }

    pub(crate) fn emit_fp(&mut self, op: FpOp, fmt: Fmt, imm: u32, operands: [V; 3]) -> V {
        let Some((r, sure)) = self.by_host(op, fmt, operands).and_then(|(r, sure)| Some((r, self.known(op, fmt, operands, (r, sure))?))) else {
            let r = self.fp_thunk(op, fmt, imm, operands);
            self.forget_status();
            return V::Val(r);
        };
        let int = if fmt == Fmt::F32 { types::I32 } else { types::I64 };
        let bits = self.b.ins().bitcast(int, MemFlagsData::new(), r);
        let cold = self.cold();
        let on = self.b.create_block();
        let result = self.b.append_block_param(on, int);
        match self.shape.layout.fp_fast {
            HostFloat::Sticky(modes) => self.if_fast(sure, modes, (on, bits), cold),
            HostFloat::Exact { status, not, inexact } => {
                self.go_where(sure, cold);
                self.tell((op, fmt, operands), r, (status, not, inexact), cold);
                self.b.ins().jump(on, &[bits.into()]);
            }
        }
        self.begin(cold);
        let slow = self.fp_thunk(op, fmt, imm, operands);
        let slow = if int == types::I32 { self.b.ins().ireduce(types::I32, slow) } else { slow };
        self.b.ins().jump(on, &[slow.into()]);
        self.begin(on);
        self.forget_status();
        if int == types::I32 { self.widen(result) } else { V::Val(result) }
    }
}
