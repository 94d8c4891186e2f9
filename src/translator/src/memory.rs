//! Guest memory: the TLB's fast path inline, the slow path in a cold block.
//!
//! The slow path does not join after the access but before it: it makes the access, leaves what
//! it loaded in a word of the core, and the access is then made there. So each access is written
//! once, and takes two blocks.

use crate::emit::{Emitter, STATE, V, run};
use crate::thunks::{BOUNCE, Kind, number, pack};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Type, Value, types};
use proteus_exec::ops::*;
use proteus_ram::tlb::{ENTRIES, PAGE_MASK, PAGE_SIZE};

/// Flags of guest accesses: of any alignment, and never moved.
const GUEST: MemFlagsData = MemFlagsData::new().with_notrap();
/// Bytes in a TLB entry, as a shift.
const ENTRY_SHIFT: u32 = size_of::<proteus_ram::tlb::Entry>().trailing_zeros();
const _: () = assert!(size_of::<proteus_ram::tlb::Entry>() == 16 && ENTRIES.is_power_of_two());

fn type_of(m: Mem) -> Type {
    [types::I8, types::I16, types::I32, types::I64][m.size as usize & 3]
}

impl Emitter<'_> {
    fn slow(&mut self, kind: Kind, address: Value, m: Mem, v: V, new: V) {
        self.write_flags();
        self.write_budget();
        let desc = self.b.ins().iconst(types::I64, (pack(kind, m) | self.site.bits()) as i64);
        let pc = self.b.ins().iconst(types::I64, self.site.pc as i64);
        // What an access does not need is not given.
        let values = match kind {
            Kind::Load => 0,
            Kind::Store | Kind::Rmw(_) => 1,
            Kind::Cas => 2,
        };
        let mut args = vec![self.core, address, desc, pc];
        for &v in &[v, new][..values] {
            args.push(self.val(v));
        }
        let f = self.thunk(number::MEMORY);
        self.b.ins().call_indirect(self.signatures.memory[values], f, &args);
        self.read_budget();
    }

    fn bounce(&mut self) -> Value {
        let k = self.b.ins().iconst(types::I64, (run!(scratch) + 8 * BOUNCE as i32) as i64);
        self.b.ins().iadd(self.core, k)
    }

    /// The host address at which to make the access.
    fn place(&mut self, kind: Kind, address: V, m: Mem, v: V, new: V) -> Value {
        let a = self.val(address);
        if m.unprivileged {
            self.slow(kind, a, m, v, new);
            return self.bounce();
        }
        let table = if kind == Kind::Load { self.shape.tlb_read } else { self.shape.tlb_write };
        // entry = table + (address / PAGE_SIZE % ENTRIES) * 16
        let shift = PAGE_SIZE.trailing_zeros() - ENTRY_SHIFT;
        let i = self.bin_imm(Bin::Shr, W::W64, V::Val(a), shift as u64);
        let i = self.bin_imm(Bin::And, W::W64, i, ((ENTRIES - 1) << ENTRY_SHIFT) as u64);
        let i = self.val(i);
        let t = self.field(table);
        let entry = self.b.ins().iadd(i, t);
        // An access that lies in one page has that page's tag; low bits that must be clear are
        // compared along with it.
        let align = m.align as u64;
        let check = if align >= m.bytes() {
            self.bin_imm(Bin::And, W::W64, V::Val(a), PAGE_MASK | (align - 1))
        } else {
            let last = self.bin_imm(Bin::Add, W::W64, V::Val(a), m.bytes() - 1);
            let page = self.bin_imm(Bin::And, W::W64, last, PAGE_MASK);
            if align > 1 {
                let low = self.bin_imm(Bin::And, W::W64, V::Val(a), align - 1);
                self.bin(Bin::Or, W::W64, page, low)
            } else {
                page
            }
        };
        let check = self.val(check);
        let addend = self.b.ins().load(types::I64, STATE, entry, 8);
        let host = self.b.ins().iadd(a, addend);
        let tag = self.b.ins().load(types::I64, STATE, entry, 0);
        let hit = self.b.ins().icmp(IntCC::Equal, check, tag);
        let cold = self.cold();
        let on = self.b.create_block();
        let place = self.b.append_block_param(on, types::I64);
        self.b.ins().brif(hit, on, &[host.into()], cold, &[]);
        self.begin(cold);
        self.slow(kind, a, m, v, new);
        let bounce = self.bounce();
        self.b.ins().jump(on, &[bounce.into()]);
        self.begin(on);
        place
    }

    pub(crate) fn emit_load(&mut self, address: V, m: Mem) -> V {
        let host = self.place(Kind::Load, address, m, V::Const(0), V::Const(0));
        if m.big && m.size > 0 {
            let t = type_of(m);
            let raw = self.b.ins().load(t, GUEST, host, 0);
            let v = self.b.ins().bswap(raw);
            return self.extend(m, t, v);
        }
        let sign = m.extend != Extend::Zero;
        if m.size == 2 && m.extend != Extend::Sign64 {
            let v = self.b.ins().load(types::I32, GUEST, host, 0);
            return self.widen(v);
        }
        if m.extend == Extend::Sign32 && m.size < 2 {
            let v = match m.size {
                0 => self.b.ins().sload8(types::I32, GUEST, host, 0),
                _ => self.b.ins().sload16(types::I32, GUEST, host, 0),
            };
            return self.widen(v);
        }
        let ins = self.b.ins();
        V::Val(match (m.size, sign) {
            (0, false) => ins.uload8(types::I64, GUEST, host, 0),
            (0, true) => ins.sload8(types::I64, GUEST, host, 0),
            (1, false) => ins.uload16(types::I64, GUEST, host, 0),
            (1, true) => ins.sload16(types::I64, GUEST, host, 0),
            (2, _) => ins.sload32(GUEST, host, 0),
            // The low half of 64 bits, sign-extended to 32, is the value cut to 64 bits.
            _ => ins.load(types::I64, GUEST, host, 0),
        })
        .cut_if(self, m)
    }

    /// Extends a value of type `t` as the access says.
    fn extend(&mut self, m: Mem, t: Type, v: Value) -> V {
        match m.extend {
            _ if t == types::I64 => V::Val(v).cut_if(self, m),
            Extend::Zero if t == types::I32 => self.widen(v),
            Extend::Zero => V::Val(self.b.ins().uextend(types::I64, v)),
            Extend::Sign64 => V::Val(self.b.ins().sextend(types::I64, v)),
            Extend::Sign32 if t == types::I32 => self.widen(v),
            Extend::Sign32 => {
                let s = self.b.ins().sextend(types::I32, v);
                self.widen(s)
            }
        }
    }

    pub(crate) fn emit_store(&mut self, address: V, m: Mem, v: V) {
        let t = type_of(m);
        let (raw, whole) = if m.big && m.size > 0 {
            let n = self.reduce(t, v);
            let s = self.b.ins().bswap(n);
            let whole = if t == types::I64 { s } else { self.b.ins().uextend(types::I64, s) };
            (s, V::Val(whole))
        } else {
            (self.reduce(t, v), v)
        };
        let host = self.place(Kind::Store, address, m, whole, V::Const(0));
        if m.order != Order::Release {
            self.b.ins().store(GUEST, raw, host, 0);
        } else if m.align as u64 >= m.bytes() {
            // An exchange is a store and a full barrier, so that no later load-acquire passes.
            self.b.ins().atomic_rmw(t, GUEST, AtomicRmwOp::Xchg, host, raw);
        } else {
            self.b.ins().store(GUEST, raw, host, 0);
            self.b.ins().fence();
        }
    }

    /// What an atomic access that compiled code does not make left.
    fn bounced(&mut self, kind: Kind, address: V, m: Mem, v: V, new: V) -> V {
        let a = self.val(address);
        self.slow(kind, a, m, v, new);
        V::Val(self.field(run!(scratch) + 8 * BOUNCE as i32))
    }

    pub(crate) fn emit_rmw(&mut self, op: Rmw, address: V, m: Mem, v: V) -> V {
        let kind = Kind::Rmw(op);
        if m.big || m.unprivileged {
            return self.bounced(kind, address, m, v, V::Const(0));
        }
        let aligned = Mem { align: m.align.max(m.bytes() as u8), ..m };
        let host = self.place(kind, address, aligned, v, V::Const(0));
        let t = type_of(m);
        let mut x = self.reduce(t, v);
        let atomic = match op {
            Rmw::Swap => AtomicRmwOp::Xchg,
            Rmw::Add => AtomicRmwOp::Add,
            Rmw::Clear => AtomicRmwOp::And,
            Rmw::Xor => AtomicRmwOp::Xor,
            Rmw::Set => AtomicRmwOp::Or,
            Rmw::SMax => AtomicRmwOp::Smax,
            Rmw::SMin => AtomicRmwOp::Smin,
            Rmw::UMax => AtomicRmwOp::Umax,
            Rmw::UMin => AtomicRmwOp::Umin,
        };
        if op == Rmw::Clear {
            x = self.b.ins().bnot(x);
        }
        let old = self.b.ins().atomic_rmw(t, GUEST, atomic, host, x);
        self.extend(Mem { extend: Extend::Zero, ..m }, t, old)
    }

    pub(crate) fn emit_cas(&mut self, address: V, m: Mem, expected: V, new: V) -> V {
        if m.big || m.unprivileged {
            return self.bounced(Kind::Cas, address, m, expected, new);
        }
        let aligned = Mem { align: m.align.max(m.bytes() as u8), ..m };
        let host = self.place(Kind::Cas, address, aligned, expected, new);
        let t = type_of(m);
        let (e, n) = (self.reduce(t, expected), self.reduce(t, new));
        let old = self.b.ins().atomic_cas(GUEST, host, e, n);
        self.extend(Mem { extend: Extend::Zero, ..m }, t, old)
    }
}

impl V {
    /// A 64-bit load that asks for sign extension to 32 bits keeps its low half only.
    fn cut_if(self, e: &mut Emitter<'_>, m: Mem) -> V {
        if m.size == 3 && m.extend == Extend::Sign32 { e.cut(W::W32, self) } else { self }
    }
}
