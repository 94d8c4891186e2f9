//! The interpreter: [`Ops`] computed at once on a [`Core`]. It is tier 0, runs the odd
//! instruction, and is what every other tier is tested against.

use crate::core::{Core, Fault};
use crate::ops::*;
use crate::prim::lazy;
use crate::target::{HostFloat, Step, Target};
use crate::{fp, vector};

impl<T: Target> Ops for Core<T> {
    type V = u64;
    type C = bool;
    type X = u128;
    type Fault = Fault;
    type Out = Step;

    #[inline(always)]
    fn finish(&mut self, r: R<Self>) -> Step {
        match r {
            Ok(Flow::Next) | Ok(Flow::Branch(false, _)) => Step::Next,
            Ok(Flow::Jump(t, _)) | Ok(Flow::Branch(true, t)) | Ok(Flow::Indirect(t, _)) => {
                self.run.target_pc = t;
                Step::Jumped
            }
            Ok(Flow::Delayed(d)) => self.delay(d),
            Ok(Flow::Resync) => Step::Resync,
            Ok(Flow::Exit) => Step::Exit,
            Err(Fault) => Step::Fault,
        }
    }

    #[inline(always)]
    fn pc(&self) -> u64 {
        self.run.pc
    }
    #[inline(always)]
    fn next_pc(&self) -> u64 {
        self.run.next_pc
    }
    #[inline(always)]
    fn mode(&self) -> u16 {
        self.run.mode
    }

    #[inline(always)]
    fn imm(&mut self, k: u64) -> u64 {
        k
    }
    #[inline(always)]
    fn get(&mut self, r: Slot) -> u64 {
        self.word(r)
    }
    #[inline(always)]
    fn set(&mut self, r: Slot, v: u64) {
        *self.word_mut(r) = v;
    }
    #[inline(always)]
    fn bin(&mut self, op: Bin, w: W, a: u64, b: u64) -> u64 {
        op.eval(w, a, b)
    }
    #[inline(always)]
    fn un(&mut self, op: Un, w: W, a: u64) -> u64 {
        op.eval(w, a)
    }
    #[inline(always)]
    fn cmp(&mut self, op: Cmp, w: W, a: u64, b: u64) -> bool {
        op.eval(w, a, b)
    }
    #[inline(always)]
    fn select(&mut self, c: bool, t: u64, e: u64) -> u64 {
        if c { t } else { e }
    }
    #[inline(always)]
    fn not(&mut self, c: bool) -> bool {
        !c
    }

    #[inline(always)]
    fn flags(&mut self, op: FlagOp, w: W, a: u64, b: u64) -> u64 {
        let (a, b) = (w.cut(a), w.cut(b));
        *self.word_mut(T::LAYOUT.flag_op) = lazy::code(op, w);
        *self.word_mut(T::LAYOUT.flag_a) = a;
        *self.word_mut(T::LAYOUT.flag_b) = b;
        match op {
            FlagOp::Add => w.cut(a.wrapping_add(b)),
            FlagOp::Sub => w.cut(a.wrapping_sub(b)),
            FlagOp::And => a & b,
        }
    }
    #[inline(always)]
    fn set_nzcv(&mut self, v: u64) {
        *self.word_mut(T::LAYOUT.flag_op) = lazy::NZCV;
        *self.word_mut(T::LAYOUT.flag_a) = v & 15;
        *self.word_mut(T::LAYOUT.flag_b) = 0;
    }
    #[inline(always)]
    fn nzcv(&mut self) -> u64 {
        lazy::nzcv(self.word(T::LAYOUT.flag_op), self.word(T::LAYOUT.flag_a), self.word(T::LAYOUT.flag_b))
    }
    #[inline(always)]
    fn cond(&mut self, code: u8) -> bool {
        lazy::holds(code, self.word(T::LAYOUT.flag_op), self.word(T::LAYOUT.flag_a), self.word(T::LAYOUT.flag_b))
    }

    #[inline(always)]
    fn load(&mut self, address: u64, m: Mem) -> Result<u64, Fault> {
        Core::load(self, address, m).map_err(|e| self.raise(e))
    }
    #[inline(always)]
    fn store(&mut self, address: u64, m: Mem, v: u64) -> Result<(), Fault> {
        Core::store(self, address, m, v).map_err(|e| self.raise(e))
    }
    fn rmw(&mut self, op: Rmw, address: u64, m: Mem, v: u64) -> Result<u64, Fault> {
        Core::rmw(self, op, address, m, v).map_err(|e| self.raise(e))
    }
    fn cas(&mut self, address: u64, m: Mem, expected: u64, new: u64) -> Result<u64, Fault> {
        Core::compare_swap(self, address, m, expected, new).map_err(|e| self.raise(e))
    }
    #[inline]
    fn fence(&mut self, _: Fence) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    #[inline(always)]
    fn call(&mut self, h: Helper, args: &[u64]) -> Result<u64, Fault> {
        let mut a = [0; 4];
        for (to, from) in a.iter_mut().zip(args) {
            *to = *from;
        }
        match T::HELPERS.get(h.index as usize) {
            Some(f) => f(self, a).map_err(|e| self.raise(e)),
            None => Ok(0),
        }
    }
    #[inline(always)]
    fn trap_if(&mut self, c: bool, h: Helper, args: &[u64]) -> Result<(), Fault> {
        if c {
            self.call(h, args)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn fp(&mut self, op: FpOp, fmt: Fmt, imm: u32, a: u64, b: u64, c: u64) -> u64 {
        match self.fp_fast(op, fmt, imm, [a, b, c]) {
            Some(r) => r,
            None => self.fp_exact(op, fmt, imm, a, b, c),
        }
    }

    #[inline(always)]
    fn xget(&mut self, r: Slot) -> u128 {
        self.word(r) as u128 | (self.word(r.at(1)) as u128) << 64
    }
    #[inline(always)]
    fn xset(&mut self, r: Slot, x: u128) {
        *self.word_mut(r) = x as u64;
        *self.word_mut(r.at(1)) = (x >> 64) as u64;
    }
    #[inline(always)]
    fn ximm(&mut self, k: u128) -> u128 {
        k
    }
    #[inline(always)]
    fn xjoin(&mut self, low: u64, high: u64) -> u128 {
        low as u128 | (high as u128) << 64
    }
    #[inline(always)]
    fn xhalf(&mut self, x: u128, half: u8) -> u64 {
        if half == 0 { x as u64 } else { (x >> 64) as u64 }
    }
    #[inline(always)]
    fn x(&mut self, op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
        self.vector(op, esize, imm, a, b, c)
    }
}

impl<T: Target> Core<T> {
    /// Notes where control goes after the next instruction, or passes it over.
    #[inline(always)]
    fn delay(&mut self, d: Delayed<u64, bool>) -> Step {
        // Instructions have one length.
        let after = self.run.next_pc.wrapping_add(self.run.next_pc.wrapping_sub(self.run.pc));
        let to = match d {
            Delayed::Jump(t, _) | Delayed::Branch(true, t) | Delayed::Likely(true, t) | Delayed::Indirect(t, _) => t,
            Delayed::Branch(false, _) => after,
            Delayed::Likely(false, _) => {
                self.run.target_pc = after;
                return Step::Jumped;
            }
        };
        if let Some(slots) = T::LAYOUT.delay {
            *self.word_mut(slots.pending) = 1;
            *self.word_mut(slots.target) = to;
        }
        Step::Next
    }

    /// A scalar floating-point operation by the host's arithmetic; `None` where that is not certain
    /// to be the guest's, or the guest's modes are not the host's.
    #[inline(always)]
    pub fn fp_fast(&mut self, op: FpOp, fmt: Fmt, imm: u32, [a, b, c]: [u64; 3]) -> Option<u64> {
        match T::LAYOUT.fp_fast {
            HostFloat::Sticky(on) => {
                if self.word(on) == 0 {
                    return None;
                }
                fp::fast(op, fmt, imm, a, b, c)
            }
            HostFloat::Exact { status, not, inexact } => {
                if self.word(status) & not != 0 {
                    return None;
                }
                let (r, rounded) = fp::fast_exact(op, fmt, imm, a, b, c)?;
                if rounded {
                    *self.word_mut(status) |= inexact;
                }
                Some(r)
            }
        }
    }

    /// A scalar floating-point operation by the exact software path.
    #[inline(never)]
    pub fn fp_exact(&mut self, op: FpOp, fmt: Fmt, imm: u32, a: u64, b: u64, c: u64) -> u64 {
        let mut env = T::fp_env(self);
        let r = fp::eval(op, fmt, imm, a, b, c, &mut env);
        T::fp_flags(self, &env, false);
        r
    }

    /// A vector operation.
    #[inline]
    pub fn vector(&mut self, op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
        if !op.has_env() {
            return vector::eval_pure(op, esize, imm, a, b, c);
        }
        let mut env = vector::XEnv { fp: T::fp_env(self), saturated: false };
        // What is set already need not be found again: the host's arithmetic may serve.
        if let HostFloat::Sticky(on) = T::LAYOUT.fp_fast
            && self.word(on) != 0
        {
            env.fp.flags = proteus_float::Flags::INEXACT;
        }
        let r = vector::eval(op, esize, imm, a, b, c, &mut env);
        T::fp_flags(self, &env.fp, env.saturated);
        r
    }
}
