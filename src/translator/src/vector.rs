//! Vector operations: what has a host instruction inline, the rest by number through a thunk.

use crate::emit::{Emitter, V, VECTOR, X, run};
use crate::thunks::{number, pack_vector};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
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

    fn inline_vector(&mut self, op: XOp, esize: u8, imm: u32, operands: [X; 3]) -> Option<Value> {
        let t = LANES[esize as usize & 3];
        let _ = (t, imm);
        match op {
            XOp::And => {
                let [a, b] = [operands[0], operands[1]].map(|x| self.vector(x));
                Some(self.b.ins().band(a, b))
            }
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }

    pub(crate) fn emit_vector(&mut self, op: XOp, esize: u8, imm: u32, operands: [X; 3]) -> X {
        if let Some(v) = self.inline_vector(op, esize, imm, operands) {
            let v = self.lanes(types::I8X16, v);
            return X::Val(v);
        }
        for (i, x) in operands.into_iter().enumerate() {
            let at = run!(scratch) + 16 * i as i32;
            match x {
                X::Val(v) => {
                    self.b.ins().store(VECTOR, v, self.core, at);
                }
                // An operand that the operation does not use.
                X::Const(0) => {}
                _ => {
                    let (l, h) = (self.xhalf(x, 0), self.xhalf(x, 1));
                    self.set_field(at, l);
                    self.set_field(at + 8, h);
                }
            }
        }
        for (i, x) in operands.into_iter().enumerate() {
            if x == X::Const(0) {
                let at = run!(scratch) + 16 * i as i32;
                self.set_field(at, V::Const(0));
                self.set_field(at + 8, V::Const(0));
            }
        }
        let desc = self.b.ins().iconst(types::I64, pack_vector(op, esize, imm) as i64);
        let f = self.thunk(number::VECTOR);
        self.b.ins().call_indirect(self.signatures.vector, f, &[self.core, desc]);
        if op.has_env() {
            self.forget_status();
        }
        let v = self.b.ins().load(types::I8X16, VECTOR, self.core, run!(scratch));
        X::Val(v)
    }
}
