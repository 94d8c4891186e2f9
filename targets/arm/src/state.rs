//! The Arm core's state: what lies in which register word, and what makes up the translation
//! mode. System registers take the words from [`SYSREGS`] on; `sysregs` says which.

use proteus_exec::ops::Slot;
use proteus_exec::{Core, HostFloat, Layout};

/// General-purpose registers X0 to X30.
pub const X: Slot = Slot(0);
/// The stack pointer in use; those of the other levels and of EL0 are in [`SP_EL`].
pub const SP: Slot = Slot(31);
/// Program counter, current between blocks.
pub const PC: Slot = Slot(32);
/// Lazy condition flags: operation.
pub const FLAG_OP: Slot = Slot(33);
/// Lazy condition flags: first operand.
pub const FLAG_A: Slot = Slot(34);
/// Lazy condition flags: second operand.
pub const FLAG_B: Slot = Slot(35);
/// Non-zero while floating point may take the host's fast path.
pub const FP_FAST: Slot = Slot(36);
/// PSTATE.D, A, I, F in bits 9 to 6, as in SPSR.
pub const DAIF: Slot = Slot(37);
/// PSTATE.EL, 0 to 3.
pub const EL: Slot = Slot(38);
/// PSTATE.SP: 0 uses SP_EL0, 1 the level's own.
pub const SPSEL: Slot = Slot(39);
/// PSTATE.PAN, bit 0.
pub const PAN: Slot = Slot(40);
/// PSTATE.UAO, bit 0.
pub const UAO: Slot = Slot(41);
/// PSTATE.SS, bit 0.
pub const SS: Slot = Slot(42);
/// In [`SS`]: an instruction has been stepped, for the syndrome of the step exception.
pub const STEPPED: u64 = 1 << 1;
/// In [`SS`]: it was a load-exclusive.
pub const STEPPED_EXCLUSIVE: u64 = 1 << 2;
/// PSTATE.IL, bit 0.
pub const IL: Slot = Slot(43);
/// PSTATE.DIT, bit 0.
pub const DIT: Slot = Slot(44);
/// PSTATE.SSBS, bit 0.
pub const SSBS: Slot = Slot(45);
/// Virtual address that the exclusive monitor watches, or [`NO_EXCLUSIVE`].
pub const EXCL_ADDRESS: Slot = Slot(46);
/// Low 64 bits of what the load-exclusive read.
pub const EXCL_LOW: Slot = Slot(47);
/// High 64 bits of what the load-exclusive read.
pub const EXCL_HIGH: Slot = Slot(48);
/// log2 of the bytes watched.
pub const EXCL_SIZE: Slot = Slot(49);
/// The event register of WFE, bit 0.
pub const EVENT: Slot = Slot(50);
/// Floating-point control register.
pub const FPCR: Slot = Slot(51);
/// Floating-point status register.
pub const FPSR: Slot = Slot(52);
/// SP_EL0 to SP_EL3 while they are not in use.
pub const SP_EL: Slot = Slot(56);
/// V0 to V31, two words each.
pub const V: Slot = Slot(64);
/// The first word of the system registers.
pub const SYSREGS: u16 = 128;

/// Value of [`EXCL_ADDRESS`] when nothing is watched.
pub const NO_EXCLUSIVE: u64 = u64::MAX;

/// Where the generic primitives find their state.
pub const LAYOUT: Layout = Layout { pc: PC, flag_op: FLAG_OP, flag_a: FLAG_A, flag_b: FLAG_B, fp_fast: HostFloat::Sticky(FP_FAST), delay: None };

/// The translation mode: exactly the state that changes what an instruction means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode(pub u16);

impl Mode {
    /// Mask of the exception level.
    pub const EL: u16 = 3;
    /// Floating point and SIMD trap (CPACR_EL1, CPTR_EL2, CPTR_EL3).
    pub const FP_TRAPS: u16 = 1 << 2;
    /// SCTLR_ELx.A: unaligned data accesses fault.
    pub const ALIGN: u16 = 1 << 3;
    /// Data is big-endian (SCTLR_ELx.EE, SCTLR_EL1.E0E).
    pub const BIG: u16 = 1 << 4;
    /// SCTLR_ELx.SA or SA0: a misaligned stack pointer faults.
    pub const SP_ALIGN: u16 = 1 << 5;
    /// PSTATE.UAO: unprivileged accesses are made with the level's own privilege.
    pub const UAO: u16 = 1 << 6;
    /// Software step is active: blocks have one instruction.
    pub const STEP: u16 = 1 << 7;
    /// Something may trap that otherwise never does (HCR_EL2, MDCR and the like): every system
    /// register access takes the checked path.
    pub const TRAPS: u16 = 1 << 8;
    /// PSTATE.IL: every instruction is an illegal execution state exception.
    pub const ILLEGAL: u16 = 1 << 9;

    /// The exception level.
    pub const fn el(self) -> u8 {
        (self.0 & Self::EL) as u8
    }
    /// Whether all bits of `flag` are set.
    pub const fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }
}

/// The slot of general-purpose register `r`, 0 to 30.
#[inline(always)]
pub const fn x(r: u32) -> Slot {
    Slot((r & 31) as u16)
}

/// The slot of the low half of vector register `r`.
#[inline(always)]
pub const fn v(r: u32) -> Slot {
    Slot(V.0 + 2 * (r & 31) as u16)
}

/// PSTATE's exception level.
pub fn el(core: &Core<crate::Arm>) -> u8 {
    core.word(EL) as u8 & 3
}
