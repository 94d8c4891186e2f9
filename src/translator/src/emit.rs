//! The emitter: [`Ops`] that writes Cranelift IR.
//!
//! A guest register is read from the state once in a chain of blocks and kept as an SSA value;
//! inside loops the most used ones are Cranelift variables, so that they stay in host registers
//! around the loop. Every write also goes to the state at once, so whoever leaves compiled code
//! finds it current. The condition flags are kept as what they are about and written to the state
//! only where something may look.

use crate::thunks::{Site, number};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{AbiParam, Block, InstBuilder, MemFlagsData, SigRef, Signature, Type, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};
use proteus_exec::Layout;
use proteus_exec::ops::*;
use proteus_exec::prim::lazy;

/// A value of the emitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum V {
    /// Known now.
    Const(u64),
    /// A 64-bit SSA value.
    Val(Value),
}

/// A condition of the emitter.
#[derive(Clone, Copy, Debug)]
pub enum C {
    /// Known now.
    Const(bool),
    /// A comparison of two values of one type.
    Cmp(IntCC, Value, Value),
    /// An 8-bit value, 0 or 1.
    Bool(Value),
}

/// A vector of the emitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum X {
    /// Known now.
    Const(u128),
    /// Its halves.
    Halves(V, V),
    /// An `I8X16` SSA value.
    Val(Value),
}

/// The condition flags, where what they are about is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    /// `None`: operand a holds N, Z, C and V.
    pub op: Option<FlagOp>,
    pub w: W,
    pub a: V,
    pub b: V,
    pub result: V,
}

/// What the emitter knows at a point of a block; handed on to a block with one predecessor.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub words: Vec<(Slot, V)>,
    pub vectors: Vec<(Slot, X)>,
    pub flags: Option<Flags>,
    /// The flags' words in the state are not current.
    pub dirty: bool,
}

/// Where things are, from the core's address on.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub layout: Layout,
    pub tlb_read: i32,
    pub tlb_write: i32,
    /// Words that floating point and vector operations change besides their results.
    pub status: &'static [Slot],
}

/// Offset in the core of a field of `run`.
macro_rules! run {
    ($field:ident) => {
        (crate::thunks::RUN + std::mem::offset_of!(proteus_exec::Run, $field)) as i32
    };
}
pub(crate) use run;

/// Signatures of what compiled code calls.
pub(crate) struct Signatures {
    pub region: SigRef,
    /// Memory's slow path, by the number of values it is given.
    pub memory: [SigRef; 3],
    pub helper: SigRef,
    pub fp: SigRef,
    pub vector: SigRef,
    pub three: SigRef,
}

/// The emitter of one region.
pub struct Emitter<'a> {
    pub(crate) b: FunctionBuilder<'a>,
    pub(crate) core: Value,
    pub(crate) shape: Shape,
    pub(crate) signatures: Signatures,
    pub(crate) known: Known,
    /// Words kept in variables.
    pub(crate) variables: Vec<(Slot, Variable)>,
    /// The budget, which `run.budget` has only where something may look.
    pub(crate) budget: Variable,
    /// By 64-bit value: the 32-bit value that it is the zero extension of.
    pub(crate) narrow: Vec<Option<Value>>,
    /// By 64-bit value: the value and the constant that it is the sum of.
    pub(crate) sums: Vec<Option<(Value, u64)>>,
    pub(crate) site: Site,
    pub(crate) mode: u16,
    pub(crate) flow: Option<Flow<V, C>>,
    pub(crate) features: Features,
}

/// What the host has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    /// Fused multiply-add.
    pub fma: bool,
}

/// Flags of accesses to the core.
pub(crate) const STATE: MemFlagsData = MemFlagsData::trusted();

/// Flags of accesses to vectors in the core, which lie at multiples of eight bytes only.
pub(crate) const VECTOR: MemFlagsData = MemFlagsData::new().with_notrap();

pub(crate) fn offset(slot: Slot) -> i32 {
    slot.0 as i32 * 8
}

impl Signatures {
    pub(crate) fn new(b: &mut FunctionBuilder<'_>) -> Signatures {
        let mut make = |conv, args: &[Type], result: Option<Type>| {
            let mut s = Signature::new(conv);
            s.params.extend(args.iter().map(|&t| AbiParam::new(t)));
            s.returns.extend(result.map(AbiParam::new));
            b.import_signature(s)
        };
        const L: Type = types::I64;
        Signatures {
            region: make(CallConv::Tail, &[L], Some(L)),
            memory: [4, 5, 6].map(|n| make(CallConv::PreserveAll, &[L; 6][..n], None)),
            helper: make(CallConv::SystemV, &[L; 6], Some(L)),
            fp: make(CallConv::SystemV, &[L; 5], Some(L)),
            vector: make(CallConv::SystemV, &[L; 2], None),
            three: make(CallConv::SystemV, &[L; 3], Some(L)),
        }
    }
}

impl<'a> Emitter<'a> {
    /// `v` as a 64-bit SSA value.
    pub(crate) fn val(&mut self, v: V) -> Value {
        match v {
            V::Const(k) => self.b.ins().iconst(types::I64, k as i64),
            V::Val(v) => v,
        }
    }

    /// The low 32 bits of `v`.
    pub(crate) fn low(&mut self, v: V) -> Value {
        match v {
            V::Const(k) => self.b.ins().iconst(types::I32, k as u32 as i64),
            V::Val(v) => match self.narrow_of(v) {
                Some(n) => n,
                None => self.b.ins().ireduce(types::I32, v),
            },
        }
    }

    pub(crate) fn narrow_of(&self, v: Value) -> Option<Value> {
        self.narrow.get(v.as_u32() as usize).copied().flatten()
    }

    /// The zero extension of a 32-bit value.
    pub(crate) fn widen(&mut self, v: Value) -> V {
        let wide = self.b.ins().uextend(types::I64, v);
        let i = wide.as_u32() as usize;
        if self.narrow.len() <= i {
            self.narrow.resize(i + 64, None);
        }
        self.narrow[i] = Some(v);
        V::Val(wide)
    }

    /// `v` in the type of the width.
    pub(crate) fn operand(&mut self, w: W, v: V) -> Value {
        match w {
            W::W32 => self.low(v),
            W::W64 => self.val(v),
        }
    }

    /// A result of the type of the width as a value.
    pub(crate) fn result(&mut self, w: W, v: Value) -> V {
        match w {
            W::W32 => self.widen(v),
            W::W64 => V::Val(v),
        }
    }

    /// `v` zero-extended from the width.
    pub(crate) fn cut(&mut self, w: W, v: V) -> V {
        match (w, v) {
            (_, V::Const(k)) => V::Const(w.cut(k)),
            (W::W64, _) => v,
            (W::W32, V::Val(x)) => {
                if self.narrow_of(x).is_some() {
                    return v;
                }
                let n = self.b.ins().ireduce(types::I32, x);
                self.widen(n)
            }
        }
    }

    /// A condition as an 8-bit value.
    pub(crate) fn truth(&mut self, c: C) -> Value {
        match c {
            C::Const(k) => self.b.ins().iconst(types::I8, k as i64),
            C::Cmp(cc, a, b) => self.b.ins().icmp(cc, a, b),
            C::Bool(v) => v,
        }
    }

    fn both(&mut self, a: C, b: C) -> C {
        match (a, b) {
            (C::Const(false), _) | (_, C::Const(false)) => C::Const(false),
            (C::Const(true), c) | (c, C::Const(true)) => c,
            _ => {
                let (a, b) = (self.truth(a), self.truth(b));
                C::Bool(self.b.ins().band(a, b))
            }
        }
    }

    /// Loads a 64-bit field of the core.
    pub(crate) fn field(&mut self, offset: i32) -> Value {
        self.b.ins().load(types::I64, STATE, self.core, offset)
    }

    /// Stores a 64-bit field of the core.
    pub(crate) fn set_field(&mut self, offset: i32, v: V) {
        let v = self.val(v);
        self.b.ins().store(STATE, v, self.core, offset);
    }

    /// Address of an entry of the thunk table.
    pub(crate) fn thunk(&mut self, number: usize) -> Value {
        let table = self.field(run!(thunks));
        self.b.ins().load(types::I64, STATE, table, number as i32 * 8)
    }

    /// Begins a block that is entered from the blocks emitted so far only.
    pub(crate) fn begin(&mut self, block: Block) {
        self.b.seal_block(block);
        self.b.switch_to_block(block);
    }

    /// A block that is seldom entered.
    pub(crate) fn cold(&mut self) -> Block {
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        block
    }

    /// Writes the flags' words of the state, where they are not current. In a cold block the
    /// caller leaves `known.dirty` as it is, since the hot path has not written them.
    pub(crate) fn write_flags(&mut self) {
        if !self.known.dirty {
            return;
        }
        if let Some(f) = self.known.flags {
            let layout = self.shape.layout;
            let code = f.op.map_or(lazy::NZCV, |op| lazy::code(op, f.w));
            let (a, b) = (self.cut(f.w, f.a), self.cut(f.w, f.b));
            self.set_field(offset(layout.flag_op), V::Const(code));
            self.set_field(offset(layout.flag_a), a);
            self.set_field(offset(layout.flag_b), b);
        }
    }

    /// As [`Emitter::write_flags`], for every path from here.
    pub(crate) fn settle_flags(&mut self) {
        self.write_flags();
        self.known.dirty = false;
    }

    /// Writes the budget where it can be seen.
    pub(crate) fn write_budget(&mut self) {
        let v = self.b.use_var(self.budget);
        self.b.ins().store(STATE, v, self.core, run!(budget));
    }

    /// Reads the budget, which a call may have taken away.
    pub(crate) fn read_budget(&mut self) {
        let v = self.field(run!(budget));
        self.b.def_var(self.budget, v);
    }

    /// Forgets the words that something else may have written, and reads the variables anew.
    pub(crate) fn forget(&mut self) {
        self.known = Known::default();
        self.read_budget();
        for (slot, variable) in self.variables.clone() {
            let v = self.field(offset(slot));
            self.b.def_var(variable, v);
        }
    }

    /// Forgets the words that floating point writes as a side effect.
    pub(crate) fn forget_status(&mut self) {
        for &slot in self.shape.status {
            self.known.words.retain(|e| e.0 != slot);
            if let Some(&(_, variable)) = self.variables.iter().find(|e| e.0 == slot) {
                let v = self.field(offset(slot));
                self.b.def_var(variable, v);
            }
        }
    }

    /// The flags' words as the state has them.
    fn flag_words(&mut self) -> [Value; 3] {
        let l = self.shape.layout;
        [l.flag_op, l.flag_a, l.flag_b].map(|s| self.field(offset(s)))
    }

    /// Integer comparison; operands have the type of the width.
    fn compare(&mut self, cc: IntCC, w: W, a: V, b: V) -> C {
        let (a, b) = (self.operand(w, a), self.operand(w, b));
        C::Cmp(cc, a, b)
    }

    /// Whether the sign of the overflow word is set: the V flag in the sign bit.
    fn overflow(&mut self, f: &Flags) -> V {
        let x = self.bin(Bin::Xor, f.w, f.a, f.b);
        let y = self.bin(Bin::Xor, f.w, f.a, f.result);
        match f.op {
            Some(FlagOp::Add) => self.bin(Bin::AndNot, f.w, y, x),
            _ => self.bin(Bin::And, f.w, y, x),
        }
    }

    /// The condition with an even code; odd codes are its negation.
    fn condition(&mut self, f: &Flags, code: u8) -> C {
        let (w, r, zero) = (f.w, f.result, V::Const(0));
        match (f.op, code) {
            (None, _) => self.condition_of_nzcv(f.a, code),
            (Some(FlagOp::Sub), 0) => self.compare(IntCC::Equal, w, f.a, f.b),
            (Some(FlagOp::Sub), 2) => self.compare(IntCC::UnsignedGreaterThanOrEqual, w, f.a, f.b),
            (Some(FlagOp::Sub), 8) => self.compare(IntCC::UnsignedGreaterThan, w, f.a, f.b),
            (Some(FlagOp::Sub), 10) => self.compare(IntCC::SignedGreaterThanOrEqual, w, f.a, f.b),
            (Some(FlagOp::Sub), 12) => self.compare(IntCC::SignedGreaterThan, w, f.a, f.b),
            (_, 0) => self.compare(IntCC::Equal, w, r, zero),
            (_, 4) => self.compare(IntCC::SignedLessThan, w, r, zero),
            (Some(FlagOp::And), 2 | 6 | 8) => C::Const(false),
            (Some(FlagOp::And), 10) => self.compare(IntCC::SignedGreaterThanOrEqual, w, r, zero),
            (Some(FlagOp::And), 12) => self.compare(IntCC::SignedGreaterThan, w, r, zero),
            (Some(FlagOp::Add), 2) => self.compare(IntCC::UnsignedLessThan, w, r, f.a),
            (_, 6) => {
                let v = self.overflow(f);
                self.compare(IntCC::SignedLessThan, w, v, zero)
            }
            (_, 8) => {
                let c = self.condition(f, 2);
                let nz = self.compare(IntCC::NotEqual, w, r, zero);
                self.both(c, nz)
            }
            (_, 10) => {
                let v = self.overflow(f);
                let s = self.bin(Bin::Xor, w, v, r);
                self.compare(IntCC::SignedGreaterThanOrEqual, w, s, zero)
            }
            (_, 12) => {
                let ge = self.condition(f, 10);
                let nz = self.compare(IntCC::NotEqual, w, r, zero);
                self.both(ge, nz)
            }
            _ => C::Const(true),
        }
    }

    fn condition_of_nzcv(&mut self, v: V, code: u8) -> C {
        let mut bits = |mask: u64, equal: u64| {
            let m = self.bin_imm(Bin::And, W::W64, v, mask);
            self.cmp_imm(Cmp::Eq, W::W64, m, equal)
        };
        match code {
            0 => bits(4, 4),
            2 => bits(2, 2),
            4 => bits(8, 8),
            6 => bits(1, 1),
            8 => bits(6, 2),
            10 | 12 => {
                let n = self.bin_imm(Bin::Shr, W::W64, v, 3);
                let x = self.bin(Bin::Xor, W::W64, n, v);
                let x = self.bin_imm(Bin::And, W::W64, x, 1);
                let ge = self.cmp_imm(Cmp::Eq, W::W64, x, 0);
                if code == 10 {
                    return ge;
                }
                let z = self.bin_imm(Bin::And, W::W64, v, 4);
                let nz = self.cmp_imm(Cmp::Eq, W::W64, z, 0);
                self.both(ge, nz)
            }
            _ => C::Const(true),
        }
    }

    /// What the flags are about; where that is not known, N, Z, C and V as computed from the
    /// state, which is then what they are about.
    fn flags_known(&mut self) -> Flags {
        if let Some(f) = self.known.flags {
            return f;
        }
        let words = self.flag_words();
        let f = self.thunk(number::NZCV);
        let call = self.b.ins().call_indirect(self.signatures.three, f, &words);
        let v = V::Val(self.b.inst_results(call)[0]);
        let f = Flags { op: None, w: W::W64, a: v, b: V::Const(0), result: v };
        // The state's words say the same, if in another form.
        self.known.flags = Some(f);
        self.known.dirty = false;
        f
    }

    fn write_word(&mut self, r: Slot, v: V) {
        match self.known.words.iter_mut().find(|e| e.0 == r) {
            Some(e) => e.1 = v,
            None => self.known.words.push((r, v)),
        }
        if let Some(&(_, variable)) = self.variables.iter().find(|e| e.0 == r) {
            let value = self.val(v);
            self.b.def_var(variable, value);
        }
    }

    /// Calls a thunk of the target's helpers.
    fn call_helper(&mut self, h: Helper, args: &[V]) -> Value {
        let mut a = [V::Const(0); 4];
        for (to, &from) in a.iter_mut().zip(args) {
            *to = from;
        }
        if args.len() > 3 {
            self.set_field(run!(scratch) + 8 * crate::thunks::FOURTH as i32, a[3]);
        }
        let desc = self.b.ins().iconst(types::I64, (h.index as u64 | self.site.bits()) as i64);
        let pc = self.b.ins().iconst(types::I64, self.site.pc as i64);
        let [a, b, c] = [a[0], a[1], a[2]].map(|v| self.val(v));
        let f = self.thunk(number::HELPER);
        let call = self.b.ins().call_indirect(self.signatures.helper, f, &[self.core, desc, pc, a, b, c]);
        self.b.inst_results(call)[0]
    }

    fn divide(&mut self, signed: bool, w: W, a: V, b: V) -> Value {
        let t = if w == W::W32 { types::I32 } else { types::I64 };
        let constant = matches!(b, V::Const(k) if w.cut(k) != 0 && w.cut(k) != w.cut(u64::MAX));
        let (a, b) = (self.operand(w, a), self.operand(w, b));
        if constant {
            return if signed { self.b.ins().sdiv(a, b) } else { self.b.ins().udiv(a, b) };
        }
        let zero = self.b.ins().iconst(t, 0);
        let one = self.b.ins().iconst(t, 1);
        let none = self.b.ins().icmp(IntCC::Equal, b, zero);
        if !signed {
            let d = self.b.ins().select(none, one, b);
            let q = self.b.ins().udiv(a, d);
            return self.b.ins().select(none, zero, q);
        }
        // A divisor of -1 negates, and one of 0 gives 0: neither reaches the host's division.
        let all = self.b.ins().iconst(t, if w == W::W32 { u32::MAX as i64 } else { -1 });
        let minus = self.b.ins().icmp(IntCC::Equal, b, all);
        let d = self.b.ins().select(none, one, b);
        let d = self.b.ins().select(minus, one, d);
        let q = self.b.ins().sdiv(a, d);
        let n = self.b.ins().ineg(a);
        let q = self.b.ins().select(minus, n, q);
        self.b.ins().select(none, zero, q)
    }

    /// `x + k`, counted from what `x` is a sum of.
    fn sum(&mut self, x: Value, k: u64) -> V {
        let (base, k) = match self.sums.get(x.as_u32() as usize).copied().flatten() {
            Some((base, j)) => (base, j.wrapping_add(k)),
            None => (x, k),
        };
        if k == 0 {
            return V::Val(base);
        }
        let k_value = self.b.ins().iconst(types::I64, k as i64);
        let v = self.b.ins().iadd(base, k_value);
        let i = v.as_u32() as usize;
        if self.sums.len() <= i {
            self.sums.resize(i + 64, None);
        }
        self.sums[i] = Some((base, k));
        V::Val(v)
    }

    /// Results that need no instruction.
    fn trivial(&mut self, op: Bin, w: W, a: V, b: V) -> Option<V> {
        match (op, a, b) {
            (_, V::Const(x), V::Const(y)) => Some(V::Const(op.eval(w, x, y))),
            (Bin::Add | Bin::Or | Bin::Xor, V::Const(0), v) => Some(self.cut(w, v)),
            (Bin::Add | Bin::Sub | Bin::Or | Bin::Xor | Bin::Shl | Bin::Shr | Bin::Sar | Bin::Ror, v, V::Const(k)) if w.cut(k) == 0 => Some(self.cut(w, v)),
            (Bin::And, v, V::Const(k)) if w.cut(k) == w.cut(u64::MAX) => Some(self.cut(w, v)),
            (Bin::And, v, V::Const(0xffff_ffff)) => Some(self.cut(W::W32, v)),
            (Bin::And, v, V::Const(0xff)) => Some(self.un(Un::Zext8, w, v)),
            (Bin::And, v, V::Const(0xffff)) => Some(self.un(Un::Zext16, w, v)),
            (Bin::And, _, V::Const(0)) | (Bin::And, V::Const(0), _) | (Bin::Mul, _, V::Const(0)) | (Bin::Mul, V::Const(0), _) => Some(V::Const(0)),
            (Bin::Xor | Bin::Sub, V::Val(x), V::Val(y)) if x == y => Some(V::Const(0)),
            (Bin::And | Bin::Or, V::Val(x), V::Val(y)) if x == y => Some(self.cut(w, a)),
            _ => None,
        }
    }

    /// The low bits of `v` as a value of type `t`.
    pub(crate) fn reduce(&mut self, t: Type, v: V) -> Value {
        match v {
            V::Const(k) => self.b.ins().iconst(t, (k & (u64::MAX >> (64 - t.bits()))) as i64),
            V::Val(x) if t == types::I64 => x,
            V::Val(_) if t == types::I32 => self.low(v),
            V::Val(x) => self.b.ins().ireduce(t, x),
        }
    }
}

impl Ops for Emitter<'_> {
    type V = V;
    type C = C;
    type X = X;
    type Fault = std::convert::Infallible;
    type Out = ();

    fn finish(&mut self, r: R<Self>) {
        let Ok(flow) = r;
        self.flow = Some(flow);
    }
    fn pc(&self) -> u64 {
        self.site.pc
    }
    fn next_pc(&self) -> u64 {
        self.site.pc.wrapping_add(self.site.length as u64)
    }
    fn mode(&self) -> u16 {
        self.mode
    }

    fn imm(&mut self, k: u64) -> V {
        V::Const(k)
    }

    fn get(&mut self, r: Slot) -> V {
        if let Some(e) = self.known.words.iter().find(|e| e.0 == r) {
            return e.1;
        }
        let held = self.known.vectors.iter().find(|e| e.0 == r || e.0.at(1) == r).copied();
        let v = match held {
            Some((slot, x)) => self.xhalf(x, (slot != r) as u8),
            None => match self.variables.iter().find(|e| e.0 == r) {
                Some(&(_, variable)) => V::Val(self.b.use_var(variable)),
                None => V::Val(self.field(offset(r))),
            },
        };
        self.known.words.push((r, v));
        v
    }

    fn set(&mut self, r: Slot, v: V) {
        self.set_field(offset(r), v);
        self.known.vectors.retain(|e| e.0 != r && e.0.at(1) != r);
        self.write_word(r, v);
    }

    fn bin(&mut self, op: Bin, w: W, a: V, b: V) -> V {
        if let Some(v) = self.trivial(op, w, a, b) {
            return v;
        }
        let r = match op {
            Bin::UDiv => self.divide(false, w, a, b),
            Bin::SDiv => self.divide(true, w, a, b),
            Bin::UMulH | Bin::SMulH if w == W::W32 => {
                let (a, b) = (self.low(a), self.low(b));
                let wide = |e: &mut Self, v| if op == Bin::SMulH { e.b.ins().sextend(types::I64, v) } else { e.b.ins().uextend(types::I64, v) };
                let (a, b) = (wide(self, a), wide(self, b));
                let p = V::Val(self.b.ins().imul(a, b));
                let h = self.bin_imm(Bin::Shr, W::W64, p, 32);
                self.low(h)
            }
            Bin::Crc32B | Bin::Crc32H | Bin::Crc32W | Bin::Crc32X | Bin::Crc32CB | Bin::Crc32CH | Bin::Crc32CW | Bin::Crc32CX => {
                let n = self.b.ins().iconst(types::I64, crate::thunks::bin_number(op).unwrap_or(0) as i64);
                let (a, b) = (self.cut(w, a), self.cut(w, b));
                let (a, b) = (self.val(a), self.val(b));
                let f = self.thunk(number::BIN);
                let call = self.b.ins().call_indirect(self.signatures.three, f, &[n, a, b]);
                return V::Val(self.b.inst_results(call)[0]);
            }
            Bin::Add | Bin::Sub if w == W::W64 && matches!((a, b), (V::Val(_), V::Const(_))) => {
                let (V::Val(x), V::Const(k)) = (a, b) else { return a };
                return self.sum(x, if op == Bin::Sub { k.wrapping_neg() } else { k });
            }
            _ => {
                let (a, b) = (self.operand(w, a), self.operand(w, b));
                let ins = self.b.ins();
                match op {
                    Bin::Add => ins.iadd(a, b),
                    Bin::Sub => ins.isub(a, b),
                    Bin::And => ins.band(a, b),
                    Bin::Or => ins.bor(a, b),
                    Bin::Xor => ins.bxor(a, b),
                    Bin::AndNot => ins.band_not(a, b),
                    Bin::Shl => ins.ishl(a, b),
                    Bin::Shr => ins.ushr(a, b),
                    Bin::Sar => ins.sshr(a, b),
                    Bin::Ror => ins.rotr(a, b),
                    Bin::UMulH => ins.umulhi(a, b),
                    Bin::SMulH => ins.smulhi(a, b),
                    _ => ins.imul(a, b),
                }
            }
        };
        self.result(w, r)
    }

    fn un(&mut self, op: Un, w: W, a: V) -> V {
        if let V::Const(k) = a {
            return V::Const(op.eval(w, k));
        }
        let from = match op {
            Un::Sext8 | Un::Zext8 => Some(types::I8),
            Un::Sext16 | Un::Zext16 => Some(types::I16),
            Un::Sext32 | Un::Zext32 => Some(types::I32),
            _ => None,
        };
        if let Some(t) = from {
            let signed = matches!(op, Un::Sext8 | Un::Sext16 | Un::Sext32);
            if t == types::I32 && (w == W::W32 || !signed) {
                return self.cut(W::W32, a);
            }
            let n = self.reduce(t, a);
            let to = if w == W::W32 { types::I32 } else { types::I64 };
            let r = if signed { self.b.ins().sextend(to, n) } else { self.b.ins().uextend(to, n) };
            return self.result(w, r);
        }
        if op == Un::Bswap16 || op == Un::Bswap32 && w == W::W64 {
            if op == Un::Bswap32 {
                let s = self.un(Un::Bswap, W::W64, a);
                return self.bin_imm(Bin::Ror, W::W64, s, 32);
            }
            let mask = 0x00ff_00ff_00ff_00ff;
            let low = self.bin_imm(Bin::And, w, a, mask);
            let low = self.bin_imm(Bin::Shl, w, low, 8);
            let high = self.bin_imm(Bin::Shr, w, a, 8);
            let high = self.bin_imm(Bin::And, w, high, mask);
            return self.bin(Bin::Or, w, low, high);
        }
        let x = self.operand(w, a);
        let r = match op {
            Un::Not => self.b.ins().bnot(x),
            Un::Neg => self.b.ins().ineg(x),
            Un::Clz => self.b.ins().clz(x),
            Un::Rbit => self.b.ins().bitrev(x),
            Un::Cls => {
                let n = self.b.ins().iconst(if w == W::W32 { types::I32 } else { types::I64 }, w.bits() as i64 - 1);
                let s = self.b.ins().sshr(x, n);
                let y = self.b.ins().bxor(x, s);
                let z = self.b.ins().clz(y);
                let one = self.b.ins().iconst(if w == W::W32 { types::I32 } else { types::I64 }, 1);
                self.b.ins().isub(z, one)
            }
            // Bswap32 of 32 bits is one as well: its upper half rotated in is cut off.
            _ => self.b.ins().bswap(x),
        };
        self.result(w, r)
    }

    fn cmp(&mut self, op: Cmp, w: W, a: V, b: V) -> C {
        if let (V::Const(x), V::Const(y)) = (a, b) {
            return C::Const(op.eval(w, x, y));
        }
        let cc = match op {
            Cmp::Eq => IntCC::Equal,
            Cmp::Ne => IntCC::NotEqual,
            Cmp::Ult => IntCC::UnsignedLessThan,
            Cmp::Ule => IntCC::UnsignedLessThanOrEqual,
            Cmp::Slt => IntCC::SignedLessThan,
            Cmp::Sle => IntCC::SignedLessThanOrEqual,
        };
        self.compare(cc, w, a, b)
    }

    fn select(&mut self, c: C, t: V, e: V) -> V {
        match (c, t, e) {
            (C::Const(k), _, _) => {
                return if k { t } else { e };
            }
            _ if t == e => return t,
            (_, V::Const(1), V::Const(0)) => {
                let b = self.truth(c);
                let n = self.b.ins().uextend(types::I32, b);
                return self.widen(n);
            }
            _ => {}
        }
        let (t, e) = (self.val(t), self.val(e));
        let c = self.truth(c);
        V::Val(self.b.ins().select(c, t, e))
    }

    fn not(&mut self, c: C) -> C {
        match c {
            C::Const(k) => C::Const(!k),
            C::Cmp(cc, a, b) => C::Cmp(cc.complement(), a, b),
            C::Bool(v) => {
                let zero = self.b.ins().iconst(types::I8, 0);
                C::Cmp(IntCC::Equal, v, zero)
            }
        }
    }

    fn flags(&mut self, op: FlagOp, w: W, a: V, b: V) -> V {
        let bin = match op {
            FlagOp::Add => Bin::Add,
            FlagOp::Sub => Bin::Sub,
            FlagOp::And => Bin::And,
        };
        let result = self.bin(bin, w, a, b);
        self.known.flags = Some(Flags { op: Some(op), w, a, b, result });
        self.known.dirty = true;
        result
    }

    fn set_nzcv(&mut self, v: V) {
        let v = self.bin_imm(Bin::And, W::W64, v, 15);
        self.known.flags = Some(Flags { op: None, w: W::W64, a: v, b: V::Const(0), result: v });
        self.known.dirty = true;
    }

    fn nzcv(&mut self) -> V {
        let f = self.flags_known();
        if f.op.is_none() {
            return f.a;
        }
        let mut v = V::Const(0);
        for (code, shift) in [(4, 3), (0, 2), (2, 1), (6, 0)] {
            let c = self.condition(&f, code);
            let bit = self.bit(c);
            let bit = self.bin_imm(Bin::Shl, W::W64, bit, shift);
            v = self.bin(Bin::Or, W::W64, v, bit);
        }
        v
    }

    fn cond(&mut self, code: u8) -> C {
        if code >= 14 {
            return C::Const(true);
        }
        let f = self.flags_known();
        let c = self.condition(&f, code & !1);
        if code & 1 != 0 { self.not(c) } else { c }
    }

    fn load(&mut self, address: V, m: Mem) -> Result<V, Self::Fault> {
        Ok(self.emit_load(address, m))
    }
    fn store(&mut self, address: V, m: Mem, v: V) -> Result<(), Self::Fault> {
        self.emit_store(address, m, v);
        Ok(())
    }
    fn rmw(&mut self, op: Rmw, address: V, m: Mem, v: V) -> Result<V, Self::Fault> {
        Ok(self.emit_rmw(op, address, m, v))
    }
    fn cas(&mut self, address: V, m: Mem, expected: V, new: V) -> Result<V, Self::Fault> {
        Ok(self.emit_cas(address, m, expected, new))
    }
    fn fence(&mut self, f: Fence) {
        // An x86-64 host never reorders loads, nor stores, among themselves.
        if f == Fence::Full {
            self.b.ins().fence();
        }
    }

    fn call(&mut self, h: Helper, args: &[V]) -> Result<V, Self::Fault> {
        self.settle_flags();
        self.write_budget();
        let r = self.call_helper(h, args);
        self.forget();
        Ok(V::Val(r))
    }

    fn trap_if(&mut self, c: C, h: Helper, args: &[V]) -> Result<(), Self::Fault> {
        if let C::Const(false) = c {
            return Ok(());
        }
        let trap = self.cold();
        let on = self.b.create_block();
        let c = self.truth(c);
        self.b.ins().brif(c, trap, &[], on, &[]);
        self.begin(trap);
        self.write_flags();
        self.write_budget();
        self.call_helper(h, args);
        // The helper faults, so this is never reached.
        let fault = self.b.ins().iconst(types::I64, proteus_exec::Left::Fault as i64);
        self.b.ins().return_(&[fault]);
        self.begin(on);
        Ok(())
    }

    fn fp(&mut self, op: FpOp, fmt: Fmt, imm: u32, a: V, b: V, c: V) -> V {
        self.emit_fp(op, fmt, imm, [a, b, c])
    }

    fn xget(&mut self, r: Slot) -> X {
        if let Some(e) = self.known.vectors.iter().find(|e| e.0 == r) {
            return e.1;
        }
        let word = |k: &Known, s: Slot| k.words.iter().find(|e| e.0 == s).map(|e| e.1);
        let x = match (word(&self.known, r), word(&self.known, r.at(1))) {
            (Some(l), Some(h)) => X::Halves(l, h),
            _ => X::Val(self.b.ins().load(types::I8X16, VECTOR, self.core, offset(r))),
        };
        self.known.vectors.push((r, x));
        x
    }

    fn xset(&mut self, r: Slot, x: X) {
        if let X::Val(v) = x {
            self.b.ins().store(VECTOR, v, self.core, offset(r));
            self.known.words.retain(|e| e.0 != r && e.0 != r.at(1));
        } else {
            let (l, h) = (self.xhalf(x, 0), self.xhalf(x, 1));
            self.set(r, l);
            self.set(r.at(1), h);
        }
        self.known.vectors.retain(|e| e.0 != r && e.0.at(1) != r && e.0 != r.at(1));
        self.known.vectors.push((r, x));
    }

    fn ximm(&mut self, k: u128) -> X {
        X::Const(k)
    }

    fn xjoin(&mut self, low: V, high: V) -> X {
        match (low, high) {
            (V::Const(l), V::Const(h)) => X::Const(l as u128 | (h as u128) << 64),
            _ => X::Halves(low, high),
        }
    }

    fn xhalf(&mut self, x: X, half: u8) -> V {
        match x {
            X::Const(k) => V::Const((k >> (64 * (half & 1))) as u64),
            X::Halves(l, h) => {
                if half == 0 {
                    l
                } else {
                    h
                }
            }
            X::Val(v) => {
                let lanes = self.lanes(types::I64X2, v);
                V::Val(self.b.ins().extractlane(lanes, half & 1))
            }
        }
    }

    fn x(&mut self, op: XOp, esize: u8, imm: u32, a: X, b: X, c: X) -> X {
        self.emit_vector(op, esize, imm, [a, b, c])
    }
}
