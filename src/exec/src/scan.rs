//! The scanning executor: runs an instruction's function only to see what kind of thing it does,
//! so that no table of attributes is kept by hand.

use crate::ops::*;

/// What the scan saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Control may go elsewhere: the block ends here.
    pub ends: Ends,
    /// A helper that must know the exact position in the block is called.
    pub exact: bool,
    /// Memory is accessed.
    pub memory: bool,
    /// Any helper is called.
    pub helper: bool,
}

/// How an instruction ends its block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ends {
    /// It does not.
    #[default]
    No,
    /// It goes to a fixed address.
    Jump(u64, Transfer),
    /// It goes to a fixed address or falls through.
    Branch(u64),
    /// It goes to a computed address.
    Indirect(Transfer),
    /// It goes elsewhere after the next instruction. A block ends after that one, so this is how
    /// a single instruction ends, never a block.
    Delayed(Delayed<(), ()>),
    /// The run loop must look at the state.
    State,
}

impl From<Flow<(), ()>> for Ends {
    fn from(flow: Flow<(), ()>) -> Ends {
        match flow {
            Flow::Next => Ends::No,
            Flow::Jump(t, k) => Ends::Jump(t, k),
            Flow::Branch((), t) => Ends::Branch(t),
            Flow::Indirect((), k) => Ends::Indirect(k),
            Flow::Delayed(d) => Ends::Delayed(d),
            Flow::Resync | Flow::Exit => Ends::State,
        }
    }
}

impl Ends {
    /// How a block ends whose last instruction ends so, in the delay slot of `branch` where there
    /// is one.
    pub fn after(self, branch: Option<Delayed<(), ()>>) -> Ends {
        match (self, branch) {
            (Ends::No, Some(Delayed::Jump(t, k))) => Ends::Jump(t, k),
            (Ends::No, Some(Delayed::Branch((), t) | Delayed::Likely((), t))) => Ends::Branch(t),
            (Ends::No, Some(Delayed::Indirect((), k))) => Ends::Indirect(k),
            (ends, _) => ends,
        }
    }
}

/// The executor. Its values are nothing.
pub struct Scan {
    pc: u64,
    length: u8,
    mode: u16,
    seen: Seen,
}

impl Scan {
    /// A scan of the instruction of `length` bytes at `pc` in translation mode `mode`.
    pub fn new(pc: u64, length: u8, mode: u16) -> Scan {
        Scan { pc, length, mode, seen: Seen::default() }
    }
}

impl Ops for Scan {
    type V = ();
    type C = ();
    type X = ();
    type Fault = std::convert::Infallible;
    type Out = Seen;

    fn finish(&mut self, r: R<Self>) -> Seen {
        let Ok(flow) = r;
        self.seen.ends = flow.into();
        self.seen
    }

    fn pc(&self) -> u64 {
        self.pc
    }
    fn next_pc(&self) -> u64 {
        self.pc.wrapping_add(self.length as u64)
    }
    fn mode(&self) -> u16 {
        self.mode
    }
    fn imm(&mut self, _: u64) {}
    fn get(&mut self, _: Slot) {}
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
        self.seen.memory = true;
        Ok(())
    }
    fn store(&mut self, (): (), _: Mem, (): ()) -> Result<(), Self::Fault> {
        self.seen.memory = true;
        Ok(())
    }
    fn rmw(&mut self, _: Rmw, (): (), _: Mem, (): ()) -> Result<(), Self::Fault> {
        self.seen.memory = true;
        Ok(())
    }
    fn cas(&mut self, (): (), _: Mem, (): (), (): ()) -> Result<(), Self::Fault> {
        self.seen.memory = true;
        Ok(())
    }
    fn fence(&mut self, _: Fence) {}
    fn call(&mut self, h: Helper, _: &[()]) -> Result<(), Self::Fault> {
        self.seen.helper = true;
        self.seen.exact |= h.exact;
        Ok(())
    }
    fn trap_if(&mut self, (): (), h: Helper, _: &[()]) -> Result<(), Self::Fault> {
        self.seen.helper = true;
        self.seen.exact |= h.exact;
        Ok(())
    }
    fn fp(&mut self, _: FpOp, _: Fmt, _: u32, (): (), (): (), (): ()) {}
    fn xget(&mut self, _: Slot) {}
    fn xset(&mut self, _: Slot, (): ()) {}
    fn ximm(&mut self, _: u128) {}
    fn xjoin(&mut self, (): (), (): ()) {}
    fn xhalf(&mut self, (): (), _: u8) {}
    fn x(&mut self, _: XOp, _: u8, _: u32, (): (), (): (), (): ()) {}
}
