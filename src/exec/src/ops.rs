//! The trait `Ops`: what an instruction may do, whoever runs it.
//!
//! A target writes the meaning of each instruction once, as a function generic over [`Ops`]. The
//! interpreter ([`crate::Core`]) computes at once on integers; the translator's emitter writes
//! Cranelift IR; [`crate::scan::Scan`] only looks at what the instruction does. A template tier is
//! a further implementation, never a second meaning.
//!
//! Rules that hold for every function written against it:
//! - nested calls on `&mut O` do not compile: bind operands with `let`;
//! - every access that can fault comes before the first [`Ops::set`] of the instruction, so that a
//!   fault leaves the state as it was at the instruction's start;
//! - Rust control flow depends on the decoded arguments and [`Ops::mode`] only, never on a value.

pub use crate::fp::FpOp;
pub use crate::prim::{Bin, Cmp, FlagOp, Un, W};
pub use crate::vector::XOp;
pub use proteus_float::Fmt;
pub use proteus_ram::tlb::Rmw;

/// A 64-bit word of a core's state, by its index. Registers wider than a word (vectors) take
/// consecutive words, the low half first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot `n` words further on.
    #[inline(always)]
    pub const fn at(self, n: u32) -> Slot {
        Slot(self.0 + n as u16)
    }
}

/// Ordering that a memory access asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// None beyond the guest's own model.
    #[default]
    Plain,
    /// Load-acquire: no later access passes it. Sequentially consistent with releases.
    Acquire,
    /// Store-release: it passes no earlier access. Sequentially consistent with acquires.
    Release,
}

/// What a load does with a value narrower than 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Extend {
    /// Zero-extended to 64 bits.
    #[default]
    Zero,
    /// Sign-extended to 32 bits, upper half zero.
    Sign32,
    /// Sign-extended to 64 bits.
    Sign64,
}

/// How a memory access is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mem {
    /// log2 of the size in bytes: 0 to 3.
    pub size: u8,
    /// What a load does with a narrow value.
    pub extend: Extend,
    /// Memory ordering.
    pub order: Order,
    /// Checked as an access by the unprivileged level (LDTR and the like).
    pub unprivileged: bool,
    /// Faults unless the address is a multiple of `align` bytes; 0 or 1 for none.
    pub align: u8,
    /// Data is in big-endian order.
    pub big: bool,
}

impl Mem {
    /// A plain little-endian access of `1 << size` bytes.
    pub const fn plain(size: u8) -> Mem {
        Mem { size, extend: Extend::Zero, order: Order::Plain, unprivileged: false, align: 0, big: false }
    }
    /// Bytes accessed.
    pub const fn bytes(self) -> u64 {
        1 << self.size
    }
}

/// Barriers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fence {
    /// Orders loads before what follows.
    Load,
    /// Orders stores among themselves.
    Store,
    /// Orders everything.
    Full,
}

/// What kind of control transfer a jump is, for return prediction and profiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transfer {
    /// A plain jump.
    Plain,
    /// A call: the instruction after it is where it will return to.
    Call,
    /// A return.
    Return,
}

/// A transfer of control that takes effect after the next instruction, which is in its delay
/// slot. An architecture that has them has instructions of one length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delayed<V, C> {
    /// To a fixed address.
    Jump(u64, Transfer),
    /// To the address where the condition holds, else on to what follows the slot.
    Branch(C, u64),
    /// As `Branch`, but where the condition does not hold the slot is not executed.
    Likely(C, u64),
    /// To a computed address.
    Indirect(V, Transfer),
}

/// Where control goes after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow<V, C> {
    /// On to the next instruction.
    Next,
    /// To a fixed address.
    Jump(u64, Transfer),
    /// To the address where the condition holds, else on to the next instruction.
    Branch(C, u64),
    /// To a computed address.
    Indirect(V, Transfer),
    /// Elsewhere after the next instruction. To be given only where
    /// [`Layout::delay`](crate::Layout::delay) says where that is kept.
    Delayed(Delayed<V, C>),
    /// The instruction changed what translation depends on: on to the next instruction, but only
    /// after the run loop has looked at the state again. The pc slot has been left alone.
    Resync,
    /// A helper has written the pc slot itself (exception return): look at the state again.
    Exit,
}

/// The result of an instruction's function.
pub type R<O> = Result<Flow<<O as Ops>::V, <O as Ops>::C>, <O as Ops>::Fault>;

/// What a helper's caller must know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Helper {
    /// Index into [`crate::Target::HELPERS`].
    pub index: u16,
    /// The helper may read the clock or the instruction count, or touch a device: the exact
    /// position within the block is made known to it. Costs a few instructions.
    pub exact: bool,
}

/// What an instruction may do. Values are 64 bits wide; an operation of width `w` reads the low
/// `w` bits of its operands, whatever is above them, and gives a result zero-extended to 64.
pub trait Ops: Sized {
    /// A 64-bit value.
    type V: Copy;
    /// A condition; kept apart so that compare-and-branch fuses through the host's flags.
    type C: Copy;
    /// A 128-bit vector value.
    type X: Copy;
    /// Evidence of a fault: the interpreter's carries it, an emitter's never exists.
    type Fault;
    /// What the dispatch table's functions give.
    type Out;

    /// Turns the result of an instruction's function into what the dispatcher wants.
    fn finish(&mut self, r: R<Self>) -> Self::Out;

    /// Address of this instruction.
    fn pc(&self) -> u64;
    /// Address of the next instruction.
    fn next_pc(&self) -> u64;
    /// The translation mode of the block: the state that changes what instructions mean.
    fn mode(&self) -> u16;

    /// A constant.
    fn imm(&mut self, k: u64) -> Self::V;
    /// Reads a register.
    fn get(&mut self, r: Slot) -> Self::V;
    /// Writes a register.
    fn set(&mut self, r: Slot, v: Self::V);

    /// A two-operand operation.
    fn bin(&mut self, op: Bin, w: W, a: Self::V, b: Self::V) -> Self::V;
    /// A one-operand operation.
    fn un(&mut self, op: Un, w: W, a: Self::V) -> Self::V;
    /// Compares the low `w` bits.
    fn cmp(&mut self, op: Cmp, w: W, a: Self::V, b: Self::V) -> Self::C;
    /// One or the other.
    fn select(&mut self, c: Self::C, t: Self::V, e: Self::V) -> Self::V;
    /// The negation of a condition.
    fn not(&mut self, c: Self::C) -> Self::C;

    /// Computes `op` and records it as what the condition flags are about; see [`FlagOp`].
    fn flags(&mut self, op: FlagOp, w: W, a: Self::V, b: Self::V) -> Self::V;
    /// Sets the condition flags to the N, Z, C and V bits in bits 3 to 0 of `v`.
    fn set_nzcv(&mut self, v: Self::V);
    /// The condition flags N, Z, C and V in bits 3 to 0.
    fn nzcv(&mut self) -> Self::V;
    /// The Arm condition `code` (0 EQ to 13 LE; 14 and 15 always hold) of the flags.
    fn cond(&mut self, code: u8) -> Self::C;

    /// Loads from memory.
    fn load(&mut self, address: Self::V, m: Mem) -> Result<Self::V, Self::Fault>;
    /// Stores to memory.
    fn store(&mut self, address: Self::V, m: Mem, v: Self::V) -> Result<(), Self::Fault>;
    /// Atomic read-modify-write; gives the old value, zero-extended.
    fn rmw(&mut self, op: Rmw, address: Self::V, m: Mem, v: Self::V) -> Result<Self::V, Self::Fault>;
    /// Atomic compare-and-swap; gives the old value, zero-extended.
    fn cas(&mut self, address: Self::V, m: Mem, expected: Self::V, new: Self::V) -> Result<Self::V, Self::Fault>;
    /// A barrier.
    fn fence(&mut self, f: Fence);

    /// Calls a helper of the target with at most four arguments.
    fn call(&mut self, h: Helper, args: &[Self::V]) -> Result<Self::V, Self::Fault>;
    /// Calls helper `h`, which must fault, when `c` holds.
    fn trap_if(&mut self, c: Self::C, h: Helper, args: &[Self::V]) -> Result<(), Self::Fault>;

    /// A scalar floating-point operation on the low bits of its operands, with the guest's modes
    /// and sticky flags. `imm` is what `op` says; operands that it does not use are ignored.
    fn fp(&mut self, op: FpOp, fmt: Fmt, imm: u32, a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// Reads a vector register (two words).
    fn xget(&mut self, r: Slot) -> Self::X;
    /// Writes a vector register (two words).
    fn xset(&mut self, r: Slot, x: Self::X);
    /// A constant vector.
    fn ximm(&mut self, k: u128) -> Self::X;
    /// A vector from its two halves.
    fn xjoin(&mut self, low: Self::V, high: Self::V) -> Self::X;
    /// Half 0 or 1 of a vector.
    fn xhalf(&mut self, x: Self::X, half: u8) -> Self::V;
    /// A vector operation on lanes of `1 << esize` bytes; `imm` is a shift count, lane number or
    /// what else `op` says. Operands that `op` does not use are ignored.
    fn x(&mut self, op: XOp, esize: u8, imm: u32, a: Self::X, b: Self::X, c: Self::X) -> Self::X;

    // What follows is made of the above.

    /// Adds.
    #[inline(always)]
    fn add(&mut self, w: W, a: Self::V, b: Self::V) -> Self::V {
        self.bin(Bin::Add, w, a, b)
    }
    /// Adds a constant.
    #[inline(always)]
    fn add_imm(&mut self, w: W, a: Self::V, k: u64) -> Self::V {
        let k = self.imm(k);
        self.bin(Bin::Add, w, a, k)
    }
    /// An operation with a constant on the right.
    #[inline(always)]
    fn bin_imm(&mut self, op: Bin, w: W, a: Self::V, k: u64) -> Self::V {
        let k = self.imm(k);
        self.bin(op, w, a, k)
    }
    /// Compares with a constant.
    #[inline(always)]
    fn cmp_imm(&mut self, op: Cmp, w: W, a: Self::V, k: u64) -> Self::C {
        let k = self.imm(k);
        self.cmp(op, w, a, k)
    }
    /// 1 where the condition holds, else 0.
    #[inline(always)]
    fn bit(&mut self, c: Self::C) -> Self::V {
        let one = self.imm(1);
        let zero = self.imm(0);
        self.select(c, one, zero)
    }
}
