//! Scalar floating point: host arithmetic where that is certain to give the guest's result, the
//! exact path in a cold block otherwise. The conditions are those of `proteus_exec::fp::fast`.

use crate::emit::{Emitter, V, offset};
use crate::thunks::{number, pack_fp};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value, types};
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

    /// Goes on with the host's result where it is `sure` and the guest's modes are the host's.
    pub(crate) fn if_fast(&mut self, sure: Value, (on, result): (Block, Value), cold: Block) {
        let modes = self.b.create_block();
        self.b.ins().brif(sure, modes, &[], cold, &[]);
        self.b.seal_block(modes);
        self.b.switch_to_block(modes);
        let fast = self.field(offset(self.shape.layout.fp_fast));
        self.b.ins().brif(fast, on, &[result.into()], cold, &[]);
    }

    pub(crate) fn emit_fp(&mut self, op: FpOp, fmt: Fmt, imm: u32, operands: [V; 3]) -> V {
        let Some((r, sure)) = self.by_host(op, fmt, operands) else {
            let r = self.fp_thunk(op, fmt, imm, operands);
            self.forget_status();
            return V::Val(r);
        };
        let int = if fmt == Fmt::F32 { types::I32 } else { types::I64 };
        let bits = self.b.ins().bitcast(int, MemFlagsData::new(), r);
        let cold = self.cold();
        let on = self.b.create_block();
        let result = self.b.append_block_param(on, int);
        self.if_fast(sure, (on, bits), cold);
        self.begin(cold);
        let slow = self.fp_thunk(op, fmt, imm, operands);
        let slow = if int == types::I32 { self.b.ins().ireduce(types::I32, slow) } else { slow };
        self.b.ins().jump(on, &[slow.into()]);
        self.begin(on);
        self.forget_status();
        if int == types::I32 { self.widen(result) } else { V::Val(result) }
    }
}
