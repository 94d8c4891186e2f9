//! The MIPS core's state: what lies in which register word, and what makes up the translation
//! mode.
//!
//! General-purpose registers, HI, LO, the pc and every address are kept sign-extended from 32 bits
//! where a 64-bit model holds a 32-bit value, as the architecture says (MD00087, 2.2), and
//! zero-extended on a 32-bit model, which knows 32 bits only: so its operations need no extension.

use crate::{Mips, fpu};
use proteus_exec::ops::Slot;
use proteus_exec::{Core, DelaySlots, HostFloat, Layout};

/// General-purpose registers; the word of r0 stays 0.
pub const R: Slot = Slot(0);
/// HI.
pub const HI: Slot = Slot(32);
/// LO.
pub const LO: Slot = Slot(33);
/// Program counter, current between blocks.
pub const PC: Slot = Slot(40);
/// Non-zero while the next instruction is in a delay slot.
pub const DELAY: Slot = Slot(41);
/// Where control goes after the delay slot.
pub const DELAY_TARGET: Slot = Slot(42);
/// The condition flags of the generic primitives, which MIPS has not.
const NO_FLAGS: [Slot; 3] = [Slot(43), Slot(44), Slot(45)];
/// LLbit: a load-linked sequence is going on.
pub const LLBIT: Slot = Slot(47);
/// Virtual address of the last load-linked.
pub const LL_ADDRESS: Slot = Slot(48);
/// What it read.
pub const LL_VALUE: Slot = Slot(49);
/// FCSR (FCR31).
pub const FCSR: Slot = Slot(50);
/// UserLocal.
pub const USER_LOCAL: Slot = Slot(51);
/// Count's value when virtual time was [`COUNT_TIME`]; while Cause.DC is set, its value.
pub const COUNT_BASE: Slot = Slot(52);
/// See [`COUNT_BASE`].
pub const COUNT_TIME: Slot = Slot(53);
/// A watch exception that waits for EXL and ERL to be clear: its address, or 0.
pub const WATCH_ADDRESS: Slot = Slot(54);
/// State of the generator of Random.
pub const RANDOM: Slot = Slot(55);
/// Floating-point registers, 64 bits each. With Status.FR clear a double is the low halves of an
/// even and the next odd register.
pub const F: Slot = Slot(64);
/// Coprocessor 0: register `r`, select `s` is at `CP0 + 8 r + s`.
pub const CP0: Slot = Slot(128);
/// TLB entries, four words each: EntryHi with PageMask's place kept apart, PageMask, EntryLo0,
/// EntryLo1. See `tlb`.
pub const TLB: Slot = Slot(384);
/// TLB entries that there is room for.
pub const TLB_ENTRIES: usize = 64;

/// Where the generic primitives find their state.
pub const LAYOUT: Layout = Layout {
    pc: PC,
    flag_op: NO_FLAGS[0],
    flag_a: NO_FLAGS[1],
    flag_b: NO_FLAGS[2],
    // Every operation tells its exact Cause, which Flags gather.
    fp_fast: HostFloat::Exact { status: FCSR, not: fpu::RM | fpu::ENABLES | fpu::FS, inexact: fpu::INEXACT },
    delay: Some(DelaySlots { pending: DELAY, target: DELAY_TARGET }),
};

/// The translation mode: exactly the state that changes what an instruction means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode(pub u16);

impl Mode {
    /// Mask of the privilege in effect: 0 kernel, 1 supervisor, 2 user.
    pub const PRIVILEGE: u16 = 3;
    /// A 64-bit model.
    pub const M64: u16 = 1 << 2;
    /// Data and instructions are big-endian.
    pub const BIG: u16 = 1 << 3;
    /// 64-bit operations are allowed (kernel mode, or Status.PX, SX or UX).
    pub const OP64: u16 = 1 << 4;
    /// Addresses of loads, stores and jumps are made of 32 bits (a 64-bit model in user or
    /// supervisor mode without 64-bit addressing).
    pub const ADDRESS32: u16 = 1 << 5;
    /// Status.FR: 32 floating-point registers of 64 bits.
    pub const FR: u16 = 1 << 6;
    /// Status.CU1: coprocessor 1 is usable.
    pub const CU1: u16 = 1 << 7;
    /// Coprocessor 0 is usable: kernel mode or Status.CU0.
    pub const CU0: u16 = 1 << 8;
    /// Some exception is enabled in FCSR: operations must look whether they trap.
    pub const FP_TRAPS: u16 = 1 << 9;
    /// Status.CU2 or CU3 as Status has them, for the code of the exception.
    pub const CU3: u16 = 1 << 10;
    /// The instruction is in a delay slot.
    pub const SLOT: u16 = proteus_exec::MODE_SLOT;

    /// Whether the bit `flag` is set.
    #[inline(always)]
    pub const fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }
    /// The privilege: 0 kernel, 1 supervisor, 2 user.
    #[inline(always)]
    pub const fn privilege(self) -> u8 {
        (self.0 & Self::PRIVILEGE) as u8
    }
}

/// The slot of general-purpose register `r`.
#[inline(always)]
pub const fn r(r: u32) -> Slot {
    Slot(R.0 + (r & 31) as u16)
}

/// The slot of floating-point register `r`.
#[inline(always)]
pub const fn f(r: u32) -> Slot {
    Slot(F.0 + (r & 31) as u16)
}

/// The slot of register `r`, select `sel` of coprocessor 0.
#[inline(always)]
pub const fn cp0(r: u32, sel: u32) -> Slot {
    Slot(CP0.0 + ((r & 31) * 8 + (sel & 7)) as u16)
}

/// `v` as an address or register of this core: sign-extended from 32 bits as the 64-bit models
/// see it.
#[inline]
pub fn sign_extended(core: &Core<Mips>, v: u64) -> u64 {
    if core.target.model.bits64 { v } else { v as i32 as i64 as u64 }
}

/// The inverse of [`sign_extended`]: a value as the register words keep it.
#[inline]
pub fn kept(core: &Core<Mips>, v: u64) -> u64 {
    if core.target.model.bits64 { v } else { v as u32 as u64 }
}
