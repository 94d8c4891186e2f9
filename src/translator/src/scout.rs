//! The scouting executor: what a block does to the state, before code is written for it.

use proteus_exec::ops::*;
use proteus_exec::scan::Ends;

/// What was seen of one block.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Words read, with how often.
    pub reads: Vec<(Slot, u32)>,
    /// First words of vectors read or written.
    pub vectors: Vec<Slot>,
    /// How the last instruction ends it.
    pub ends: Ends,
    /// Address after the last instruction.
    pub next: u64,
}

/// The executor. Its values are nothing.
pub struct Scout {
    pc: u64,
    next: u64,
    mode: u16,
    pub(crate) seen: Seen,
}

impl Scout {
    pub(crate) fn new(mode: u16) -> Scout {
        Scout { pc: 0, next: 0, mode, seen: Seen::default() }
    }
    pub(crate) fn at(&mut self, pc: u64, length: u8) {
        self.pc = pc;
        self.next = pc.wrapping_add(length as u64);
        self.seen.next = self.next;
    }
    fn vector(&mut self, r: Slot) {
        if !self.seen.vectors.contains(&r) {
            self.seen.vectors.push(r);
        }
    }
}

impl Ops for Scout {
    type V = ();
    type C = ();
    type X = ();
    type Fault = std::convert::Infallible;
    type Out = ();

    fn finish(&mut self, r: R<Self>) {
        let Ok(flow) = r;
        // What follows a delayed branch is its slot.
        let branch = match self.seen.ends {
            Ends::Delayed(branch) => Some(branch),
            _ => None,
        };
        self.seen.ends = Ends::from(flow).after(branch);
    }
    fn pc(&self) -> u64 {
        self.pc
    }
    fn next_pc(&self) -> u64 {
        self.next
    }
    fn mode(&self) -> u16 {
        self.mode
    }
    fn imm(&mut self, _: u64) {}
    fn get(&mut self, r: Slot) {
        match self.seen.reads.iter_mut().find(|e| e.0 == r) {
            Some(e) => e.1 += 1,
            None => self.seen.reads.push((r, 1)),
        }
    }
    fn set(&mut self, _: Slot, (): ()) {}
    fn bin(&mut self, _: Bin, _: W, (): (), (): ()) {}
    fn un(&mut self, _: Un, _: W, (): ()) {}
    fn cmp(&mut self, _: Cmp, _: W, (): (), (): ()) {}
    fn select(&mut self, (): (), (): (), (): ()) {}
    fn not(&mut self, (): ()) {}
    fn flags(&mut self, _: FlagOp, _: W, (): (), (): ()) {}
    fn set_nzcv(&mut self, (): ()) {}
    fn nzcv(&mut self) {}
    fn cond(&mut self, _: u8) {}
    fn load(&mut self, (): (), _: Mem) -> Result<(), Self::Fault> {
        Ok(())
    }
    fn store(&mut self, (): (), _: Mem, (): ()) -> Result<(), Self::Fault> {
        Ok(())
    }
    fn rmw(&mut self, _: Rmw, (): (), _: Mem, (): ()) -> Result<(), Self::Fault> {
        Ok(())
    }
    fn cas(&mut self, (): (), _: Mem, (): (), (): ()) -> Result<(), Self::Fault> {
        Ok(())
    }
    fn fence(&mut self, _: Fence) {}
    fn call(&mut self, _: Helper, _: &[()]) -> Result<(), Self::Fault> {
        Ok(())
    }
    fn trap_if(&mut self, (): (), _: Helper, _: &[()]) -> Result<(), Self::Fault> {
        Ok(())
    }
    fn fp(&mut self, _: FpOp, _: Fmt, _: u32, (): (), (): (), (): ()) {}
    fn xget(&mut self, r: Slot) {
        self.vector(r);
    }
    fn xset(&mut self, r: Slot, (): ()) {
        self.vector(r);
    }
    fn ximm(&mut self, _: u128) {}
    fn xjoin(&mut self, (): (), (): ()) {}
    fn xhalf(&mut self, (): (), _: u8) {}
    fn x(&mut self, _: XOp, _: u8, _: u32, (): (), (): (), (): ()) {}
}
