//! What the guest's control register decides and its status register gathers.

use core::ops::{BitOr, BitOrAssign};

/// A floating-point format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fmt {
    /// binary16
    F16,
    /// binary32
    F32,
    /// binary64
    F64,
}

/// A rounding-direction attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// To nearest, ties to even.
    #[default]
    TiesEven,
    /// Towards plus infinity.
    Up,
    /// Towards minus infinity.
    Down,
    /// Towards zero.
    Zero,
    /// To nearest, ties away from zero.
    TiesAway,
    /// Towards zero, with the last bit set where inexact (von Neumann rounding).
    ToOdd,
}

/// How NaNs are encoded and propagated, and what a conversion to integer gives out of range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NanRule {
    /// Arm: signalling operands first, then quiet ones, in operand order, the addend of a fused
    /// multiply-add first; infinity times zero plus a quiet NaN is the default NaN with INVALID;
    /// the default NaN is positive. To integer: saturates, NaN gives 0.
    #[default]
    Arm,
    /// MIPS before IEEE 754-2008: the quiet bit is inverted, a signalling operand gives the default
    /// NaN (7fbfffff). To integer: everything out of range gives the largest positive integer.
    MipsLegacy,
    /// MIPS with NAN2008 and the like: as Arm, but infinity times zero plus a NaN is that NaN.
    Ieee2008,
    /// x86 SSE: the first NaN operand whatever its kind; the default NaN is negative. To integer:
    /// the integer indefinite (80000000, or all ones for an unsigned result).
    X86,
}

/// A set of exceptions, at the bits of Arm's FPSR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u32);

impl Flags {
    /// No exception.
    pub const NONE: Flags = Flags(0);
    /// Invalid operation (IOC).
    pub const INVALID: Flags = Flags(1 << 0);
    /// Division by zero (DZC).
    pub const DIVZERO: Flags = Flags(1 << 1);
    /// Overflow (OFC).
    pub const OVERFLOW: Flags = Flags(1 << 2);
    /// Underflow (UFC): tiny and inexact, or flushed to zero.
    pub const UNDERFLOW: Flags = Flags(1 << 3);
    /// Inexact (IXC).
    pub const INEXACT: Flags = Flags(1 << 4);
    /// A denormal input was flushed to zero (IDC).
    pub const INPUT_DENORMAL: Flags = Flags(1 << 7);

    /// Whether every exception of `other` is in the set.
    #[inline]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Flags {
    type Output = Flags;
    #[inline]
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

/// The floating-point environment of an operation. Its default is [`Env::arm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Env {
    /// The rounding of every operation that names none.
    pub rounding: Rounding,
    /// Denormal binary32 and binary64 inputs are zeros of their sign, and set INPUT_DENORMAL.
    pub flush_inputs: bool,
    /// Tiny binary32 and binary64 results are zeros of their sign, and set UNDERFLOW; also INEXACT
    /// where tininess is detected after rounding (x86 FTZ), not where before (Arm FZ).
    pub flush_outputs: bool,
    /// Both for binary16 (Arm FZ16), save that a flushed input sets nothing, and that conversions
    /// between formats do not flush.
    pub flush16: bool,
    /// Every NaN result is the default NaN.
    pub default_nan: bool,
    /// Conversions take binary16 as Arm's alternative half precision: no infinities or NaNs.
    pub alt_half: bool,
    /// Tininess is detected before rounding (Arm), not after (x86, MIPS).
    pub tiny_before: bool,
    /// NaN encoding and propagation, and integers out of range.
    pub nan: NanRule,
    /// Exceptions gathered so far; operations only add to them.
    pub flags: Flags,
}

impl Env {
    /// Arm with FPCR = 0.
    pub const fn arm() -> Env {
        Env {
            rounding: Rounding::TiesEven,
            flush_inputs: false,
            flush_outputs: false,
            flush16: false,
            default_nan: false,
            alt_half: false,
            tiny_before: true,
            nan: NanRule::Arm,
            flags: Flags::NONE,
        }
    }

    /// The default modes of `nan`'s architecture.
    pub const fn with_nan_rule(nan: NanRule) -> Env {
        let mut env = Env::arm();
        env.tiny_before = matches!(nan, NanRule::Arm);
        env.nan = nan;
        env
    }

    #[inline(always)]
    pub(crate) fn raise(&mut self, flags: Flags) {
        self.flags.0 |= flags.0;
    }
}

impl Default for Env {
    fn default() -> Env {
        Env::arm()
    }
}
