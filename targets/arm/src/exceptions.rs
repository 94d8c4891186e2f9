//! Taking exceptions and returning from them (Arm ARM DDI 0487, D1.10 to D1.13).

use crate::state::{self, el};
use crate::sysregs as sr;
use crate::{Arm, psci};
use proteus_exec::ops::{Ops, Slot};
use proteus_exec::{Access, BusError, Core};
use proteus_model::Line;

/// Exception classes, as in ESR_ELx.EC.
pub mod ec {
    #![allow(missing_docs)]
    pub const UNKNOWN: u8 = 0x00;
    pub const WFX: u8 = 0x01;
    pub const FP: u8 = 0x07;
    pub const ILLEGAL: u8 = 0x0e;
    pub const SVC: u8 = 0x15;
    pub const HVC: u8 = 0x16;
    pub const SMC: u8 = 0x17;
    pub const SYSREG: u8 = 0x18;
    pub const INSTRUCTION_ABORT: u8 = 0x20;
    pub const PC_ALIGNMENT: u8 = 0x22;
    pub const DATA_ABORT: u8 = 0x24;
    pub const SP_ALIGNMENT: u8 = 0x26;
    pub const BREAKPOINT: u8 = 0x30;
    pub const STEP: u8 = 0x32;
    pub const BRK: u8 = 0x3c;
}

/// What can be raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exception {
    /// Synchronous. `class` is that of a lower level; [`take`] makes it the one of the same level
    /// where the architecture has two.
    Sync {
        /// ESR.EC.
        class: u8,
        /// ESR.ISS.
        iss: u32,
        /// FAR, where the class has one.
        far: Option<u64>,
        /// The return address is that of the next instruction.
        next: bool,
    },
    /// A physical IRQ.
    Irq,
    /// A physical FIQ.
    Fiq,
    /// A firmware call was answered by the emulator itself: execution goes on after it.
    Answered,
}

impl Exception {
    /// A synchronous exception that returns to the instruction itself.
    pub const fn sync(class: u8, iss: u32) -> Exception {
        Exception::Sync { class, iss, far: None, next: false }
    }
    /// The undefined instruction exception.
    pub const UNDEFINED: Exception = Exception::sync(ec::UNKNOWN, 0);
}

/// Instruction length bit of the syndrome: all A64 instructions are 32 bits.
const IL: u64 = 1 << 25;

/// The abort for an access that translation or permission refused; `fsc` is the fault status.
pub fn abort(access: Access, address: u64, fsc: u32) -> Exception {
    let (class, iss) = match access {
        Access::Fetch => (ec::INSTRUCTION_ABORT, fsc),
        Access::Read => (ec::DATA_ABORT, fsc),
        Access::Write => (ec::DATA_ABORT, fsc | 1 << 6),
    };
    Exception::Sync { class, iss, far: Some(address), next: false }
}

/// The abort for a physical access that failed.
pub fn bus_error(address: u64, access: Access, error: BusError) -> Exception {
    match (access, error) {
        (Access::Fetch, BusError::Alignment) => Exception::Sync { class: ec::PC_ALIGNMENT, iss: 0, far: Some(address), next: false },
        (_, BusError::Alignment) => abort(access, address, 0b10_0001),
        (_, BusError::External) => abort(access, address, 0b01_0000),
    }
}

/// PSTATE in the format of SPSR_ELx.
pub fn pstate(core: &mut Core<Arm>) -> u64 {
    let nzcv = core.nzcv() << 28;
    let bit = |slot: Slot, at: u32| (core.word(slot) & 1) << at;
    let el = core.word(state::EL) & 3;
    nzcv | core.word(state::DAIF) & 0x3c0
        | bit(state::SS, 21)
        | bit(state::IL, 20)
        | bit(state::PAN, 22)
        | bit(state::UAO, 23)
        | bit(state::DIT, 24)
        | bit(state::SSBS, 12)
        | el << 2
        | if el == 0 { 0 } else { core.word(state::SPSEL) & 1 }
}

/// Puts the stack pointer in use back into its bank.
fn bank_sp(core: &mut Core<Arm>) {
    let bank = sp_bank(core);
    *core.word_mut(bank) = core.word(state::SP);
}

fn unbank_sp(core: &mut Core<Arm>) {
    let bank = sp_bank(core);
    *core.word_mut(state::SP) = core.word(bank);
}

fn sp_bank(core: &Core<Arm>) -> Slot {
    let n = if core.word(state::SPSEL) & 1 == 0 { 0 } else { core.word(state::EL) & 3 };
    state::SP_EL.at(n as u32)
}

/// Changes level and stack pointer selection, with the banked stack pointers.
pub fn set_el(core: &mut Core<Arm>, el: u64, spsel: u64) {
    bank_sp(core);
    *core.word_mut(state::EL) = el & 3;
    *core.word_mut(state::SPSEL) = spsel & 1;
    unbank_sp(core);
}

/// Reads SP_ELn, in use or not.
pub fn read_sp(core: &Core<Arm>, n: u32) -> u64 {
    let slot = state::SP_EL.at(n);
    if sp_bank(core) == slot { core.word(state::SP) } else { core.word(slot) }
}

/// Writes SP_ELn, in use or not.
pub fn write_sp(core: &mut Core<Arm>, n: u32, v: u64) {
    let slot = state::SP_EL.at(n);
    if sp_bank(core) == slot {
        *core.word_mut(state::SP) = v;
    } else {
        *core.word_mut(slot) = v;
    }
}

/// The level that `exception` goes to from the present one.
fn target_level(core: &Core<Arm>, exception: &Exception) -> u8 {
    let from = el(core);
    let hcr = if core.target.has_el2 { core.word(sr::HCR_EL2) } else { 0 };
    let scr = if core.target.has_el3 { core.word(sr::SCR_EL3) } else { 0 };
    let tge = hcr >> 27 & 1 != 0 && from <= 1;
    if let Exception::Sync { class: ec::FP, .. } = exception {
        return crate::fp_trap_level(core).unwrap_or(1).max(from);
    }
    let routed = match exception {
        Exception::Irq => (scr >> 1 & 1 != 0, hcr >> 4 & 1 != 0 || tge),
        Exception::Fiq => (scr >> 2 & 1 != 0, hcr >> 3 & 1 != 0 || tge),
        Exception::Sync { class: ec::SMC, .. } => (true, false),
        Exception::Sync { class: ec::HVC, .. } => (false, true),
        _ => (false, tge && from == 0),
    };
    let to = match routed {
        (true, _) if core.target.has_el3 => 3,
        (_, true) if core.target.has_el2 && from <= 2 => 2,
        _ => 1,
    };
    to.max(from)
}

/// Takes `exception`, raised at `pc`.
pub fn take(core: &mut Core<Arm>, exception: Exception, pc: u64) {
    if exception == Exception::Answered {
        *core.word_mut(state::PC) = pc.wrapping_add(4);
        return;
    }
    let from = el(core);
    let to = target_level(core, &exception);
    let spsr = pstate(core);
    let mut offset = if to > from {
        0x400
    } else if core.word(state::SPSEL) & 1 == 0 {
        0
    } else {
        0x200
    };
    let mut elr = pc;
    match exception {
        Exception::Sync { class, iss, far, next } => {
            // Aborts, breakpoints and steps from the same level have the next class number.
            let same = to == from && matches!(class, ec::INSTRUCTION_ABORT | ec::DATA_ABORT | ec::BREAKPOINT | ec::STEP);
            let class = if same { class + 1 } else { class };
            let esr = (class as u64) << 26 | IL | iss as u64;
            *core.word_mut(sr::esr(to)) = esr;
            if let Some(far) = far {
                *core.word_mut(sr::far(to)) = far;
            }
            if next {
                elr = pc.wrapping_add(4);
            }
        }
        Exception::Irq => offset += 0x80,
        Exception::Fiq => offset += 0x100,
        Exception::Answered => {}
    }
    tracing::trace!(target: "int", core = core.id.0, ?exception, pc = format_args!("{pc:#x}"), from, to, "exception");
    *core.word_mut(sr::spsr(to)) = spsr;
    *core.word_mut(sr::elr(to)) = elr;
    set_el(core, to as u64, 1);
    *core.word_mut(state::DAIF) = 0x3c0;
    *core.word_mut(state::SS) = 0;
    *core.word_mut(state::IL) = 0;
    *core.word_mut(state::UAO) = 0;
    if core.target.has(crate::a64::Feature::Pan) && to == 1 && core.word(sr::SCTLR_EL1) >> 23 & 1 == 0 {
        *core.word_mut(state::PAN) = 1;
    }
    let vbar = core.word(sr::vbar(to)) & !0x7ff;
    *core.word_mut(state::PC) = vbar.wrapping_add(offset);
}

/// Whether a PSTATE in `spsr` can be returned to from level `from`.
fn legal_return(core: &Core<Arm>, spsr: u64, from: u8) -> bool {
    let to = (spsr >> 2 & 3) as u8;
    let m1 = spsr >> 1 & 1 != 0;
    let aarch32 = spsr >> 4 & 1 != 0;
    let exists = match to {
        2 => core.target.has_el2,
        3 => core.target.has_el3,
        _ => true,
    };
    let tge_to_el1 = core.target.has_el2 && core.word(sr::HCR_EL2) >> 27 & 1 != 0 && to == 1;
    !aarch32 && !m1 && to <= from && exists && !(to == 0 && spsr & 1 != 0) && !tge_to_el1
}

/// ERET.
pub fn eret(core: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    let from = el(core);
    if from == 0 {
        return Err(Exception::UNDEFINED);
    }
    let spsr = core.word(sr::spsr(from));
    let stepping = sr::step_enabled(core);
    let target = core.word(sr::elr(from));
    *core.word_mut(state::EXCL_ADDRESS) = state::NO_EXCLUSIVE;
    *core.word_mut(state::EVENT) = 1;
    let ok = legal_return(core, spsr, from);
    write_pstate(core, spsr);
    if ok {
        set_el(core, spsr >> 2 & 3, spsr & 1);
    } else {
        *core.word_mut(state::IL) = 1;
    }
    // SPSR.SS begins a step only where debug exceptions were not enabled before (D2.12.4).
    *core.word_mut(state::SS) = match (stepping, sr::step_enabled(core)) {
        (true, _) => state::STEPPED,
        (false, true) => spsr >> 21 & 1,
        (false, false) => 0,
    };
    *core.word_mut(state::PC) = target;
    core.attention = true;
    Ok(0)
}

/// Writes the fields of PSTATE other than the level and the stack pointer selection.
fn write_pstate(core: &mut Core<Arm>, spsr: u64) {
    core.set_nzcv(spsr >> 28);
    *core.word_mut(state::DAIF) = spsr & 0x3c0;
    *core.word_mut(state::IL) = spsr >> 20 & 1;
    let has = |f| core.target.has(f);
    use crate::a64::Feature;
    let (pan, uao, dit, ssbs) = (has(Feature::Pan), has(Feature::Uao), has(Feature::Dit), has(Feature::Ssbs));
    *core.word_mut(state::PAN) = if pan { spsr >> 22 & 1 } else { 0 };
    *core.word_mut(state::UAO) = if uao { spsr >> 23 & 1 } else { 0 };
    *core.word_mut(state::DIT) = if dit { spsr >> 24 & 1 } else { 0 };
    *core.word_mut(state::SSBS) = if ssbs { spsr >> 12 & 1 } else { 0 };
}

/// The interrupt or debug exception to take now.
pub fn interrupt(core: &mut Core<Arm>) -> Option<Exception> {
    core.attention = false;
    let ss = core.word(state::SS);
    if sr::step_enabled(core) && ss & 1 == 0 {
        // ISV: an instruction was stepped; EX: it was a load-exclusive.
        let isv = ss & state::STEPPED != 0;
        let ex = isv && ss & state::STEPPED_EXCLUSIVE != 0;
        return Some(Exception::sync(ec::STEP, 0b10_0010 | (isv as u32) << 24 | (ex as u32) << 6));
    }
    let pins = core.lines.pins();
    if pins == 0 {
        return None;
    }
    let masked = |core: &Core<Arm>, e: Exception, bit: u64| {
        // An interrupt for a higher level is never masked by this one.
        core.word(state::DAIF) & bit != 0 && target_level(core, &e) <= el(core)
    };
    if pins & Line::FIQ.bit() != 0 && !masked(core, Exception::Fiq, 1 << 6) {
        return Some(Exception::Fiq);
    }
    if pins & Line::IRQ.bit() != 0 && !masked(core, Exception::Irq, 1 << 7) {
        return Some(Exception::Irq);
    }
    None
}

/// Whether a wait for interrupt ends: any physical interrupt, masked or not.
pub fn wakes(core: &Core<Arm>) -> bool {
    core.lines.pins() & (Line::IRQ.bit() | Line::FIQ.bit() | Line::SERROR.bit()) != 0
}

// ---- The exception-generating instructions, as helpers.

/// UNDEFINED.
pub fn undefined(_: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    Err(Exception::UNDEFINED)
}
/// Access to FP and SIMD registers that CPACR_EL1 or CPTR_ELx traps.
pub fn fp_trap(_: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    // CV set, COND always.
    Err(Exception::sync(ec::FP, 1 << 24 | 0xe << 20))
}
/// A stack pointer that is not a multiple of 16.
pub fn sp_alignment(_: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    Err(Exception::sync(ec::SP_ALIGNMENT, 0))
}
/// SVC.
pub fn svc(_: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    Err(Exception::Sync { class: ec::SVC, iss: a[0] as u32 & 0xffff, far: None, next: true })
}
/// HVC: a firmware call where the machine has firmware behind it.
pub fn hvc(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    if el(core) == 0 {
        return Err(Exception::UNDEFINED);
    }
    if core.target.conduit == Some(psci::Conduit::Hvc) {
        return psci::call(core).map(|()| 0).and(Err(Exception::Answered));
    }
    // SCR_EL3.HCE, or HCR_EL2.HCD where there is no EL3.
    let disabled = if core.target.has_el3 { core.word(sr::SCR_EL3) >> 8 & 1 == 0 } else { core.word(sr::HCR_EL2) >> 29 & 1 != 0 };
    if !core.target.has_el2 || disabled {
        return Err(Exception::UNDEFINED);
    }
    Err(Exception::Sync { class: ec::HVC, iss: a[0] as u32 & 0xffff, far: None, next: true })
}
/// SMC: a firmware call where the machine has firmware behind it.
pub fn smc(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    if el(core) == 0 {
        return Err(Exception::UNDEFINED);
    }
    if core.target.conduit == Some(psci::Conduit::Smc) {
        return psci::call(core).map(|()| 0).and(Err(Exception::Answered));
    }
    // SCR_EL3.SMD.
    if !core.target.has_el3 || core.word(sr::SCR_EL3) >> 7 & 1 != 0 {
        return Err(Exception::UNDEFINED);
    }
    Err(Exception::Sync { class: ec::SMC, iss: a[0] as u32 & 0xffff, far: None, next: true })
}
/// BRK.
pub fn brk(_: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    Err(Exception::sync(ec::BRK, a[0] as u32 & 0xffff))
}
/// HLT: semihosting.
pub fn hlt(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    if a[0] == 0xf000 && core.semihosting.is_some() {
        return crate::semihosting::call(core).map(|()| 0);
    }
    Err(Exception::UNDEFINED)
}
/// A hardware breakpoint matched.
pub fn breakpoint(_: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    Err(Exception::sync(ec::BREAKPOINT, 0b10_0010))
}
/// PSTATE.IL is set.
pub fn illegal(_: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    Err(Exception::sync(ec::ILLEGAL, 0))
}
