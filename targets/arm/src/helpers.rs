//! The helpers of the Arm target: what instructions do that is too rare or too wide for
//! primitives.

use crate::{Arm, exceptions, maintenance, sysregs};
use proteus_exec::HelperFn;
use proteus_exec::ops::Helper;

macro_rules! helpers {
    (@ $n:expr;) => {};
    (@ $n:expr; $(#[$doc:meta])* $name:ident = $f:path, $exact:literal; $($rest:tt)*) => {
        $(#[$doc])*
        pub const $name: Helper = Helper { index: $n, exact: $exact };
        helpers!(@ $n + 1; $($rest)*);
    };
    ($($(#[$doc:meta])* $name:ident = $f:path, $exact:literal;)*) => {
        /// The functions, by index.
        pub const FUNCTIONS: &[HelperFn<Arm>] = &[$($f),*];
        helpers!(@ 0; $($(#[$doc])* $name = $f, $exact;)*);
    };
}

// Those with `true` may read the clock or the instruction count.
helpers! {
    /// Raises the undefined instruction exception.
    UNDEFINED = exceptions::undefined, false;
    /// Raises the FP and SIMD access trap.
    FP_TRAP = exceptions::fp_trap, false;
    /// Raises the SP alignment exception.
    SP_ALIGNMENT = exceptions::sp_alignment, false;
    /// Raises the illegal execution state exception.
    ILLEGAL = exceptions::illegal, false;
    /// Raises the breakpoint exception.
    BREAKPOINT = exceptions::breakpoint, false;
    /// ERET.
    ERET = exceptions::eret, true;
    /// SVC with its immediate.
    SVC = exceptions::svc, false;
    /// HVC with its immediate.
    HVC = exceptions::hvc, true;
    /// SMC with its immediate.
    SMC = exceptions::smc, true;
    /// BRK with its immediate.
    BRK = exceptions::brk, false;
    /// HLT with its immediate.
    HLT = exceptions::hlt, true;
    /// MRS: key.
    MRS = sysregs::mrs, true;
    /// MSR: key, value.
    MSR = sysregs::msr, true;
    /// MSR (immediate): field, value.
    MSR_IMM = sysregs::msr_imm, true;
    /// SYS: key, value.
    SYS = maintenance::sys, true;
    /// DSB.
    DSB = maintenance::dsb, true;
    /// WFI.
    WFI = maintenance::wfi, true;
    /// WFE.
    WFE = maintenance::wfe, true;
    /// SEV.
    SEV = maintenance::sev, false;
    /// YIELD.
    YIELD = maintenance::r#yield, true;
    /// STXR: address, size and order, value.
    STORE_EXCLUSIVE = maintenance::store_exclusive, true;
    /// LDXP: address, size and order.
    LOAD_EXCLUSIVE_PAIR = maintenance::load_exclusive_pair, true;
    /// STXP: address, size and order, values.
    STORE_EXCLUSIVE_PAIR = maintenance::store_exclusive_pair, true;
    /// CASP: address; size, order and registers.
    CAS_PAIR = maintenance::cas_pair, true;
}

/// Field of [`MSR_IMM`]: SPSel.
pub const FIELD_SPSEL: u64 = 0;
/// Field of [`MSR_IMM`]: PAN.
pub const FIELD_PAN: u64 = 1;
/// Field of [`MSR_IMM`]: UAO.
pub const FIELD_UAO: u64 = 2;
/// Field of [`MSR_IMM`]: DAIFSet.
pub const FIELD_DAIFSET: u64 = 3;
/// Field of [`MSR_IMM`]: DAIFClr.
pub const FIELD_DAIFCLR: u64 = 4;
