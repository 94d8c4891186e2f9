//! The system registers, each a row: name, encoding, rights, where it lies, what reads and writes
//! do besides. The rows serve MRS and MSR, reset, and every listing of registers.

use crate::a64::Feature;
use crate::exceptions::{self, Exception};
use crate::state::{self, Mode, el};
use crate::{Arm, Conditions, timer};
use proteus_exec::Core;
use proteus_exec::ops::Slot;

/// Reads with effects or conditions.
pub type Get = fn(&mut Core<Arm>) -> Result<u64, Exception>;
/// Writes with effects or conditions.
pub type Set = fn(&mut Core<Arm>, u64) -> Result<(), Exception>;

/// One register.
#[derive(Clone, Copy)]
pub struct Row {
    /// Name as in the manual.
    pub name: &'static str,
    /// op0 op1 CRn CRm op2 in 16 bits.
    pub key: u16,
    /// Lowest level that may read it; 4 for none.
    pub read: u8,
    /// Lowest level that may write it; 4 for none.
    pub write: u8,
    /// Where its value lies, when not in the row's own word.
    at: Option<Slot>,
    /// Bits that a write changes.
    pub mask: u64,
    /// What a read does, when it is more than reading the word.
    get: Option<Get>,
    /// What a write does, when it is more than writing the word.
    set: Option<Set>,
    /// A write may change what translation depends on.
    resync: bool,
    /// What must hold for the register to exist.
    pub when: Conditions,
}

/// The 16-bit key of an encoding.
pub const fn key(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> u16 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

const fn row(name: &'static str, e: (u16, u16, u16, u16, u16)) -> Row {
    Row { name, key: key(e.0, e.1, e.2, e.3, e.4), read: 1, write: 1, at: None, mask: u64::MAX, get: None, set: None, resync: false, when: Conditions::ALWAYS }
}

impl Row {
    const fn el(mut self, read: u8, write: u8) -> Row {
        self.read = read;
        self.write = write;
        self
    }
    const fn ro(mut self) -> Row {
        self.write = 4;
        self
    }
    const fn at(mut self, slot: Slot) -> Row {
        self.at = Some(slot);
        self
    }
    const fn mask(mut self, mask: u64) -> Row {
        self.mask = mask;
        self
    }
    const fn get(mut self, f: Get) -> Row {
        self.get = Some(f);
        self
    }
    const fn set(mut self, f: Set) -> Row {
        self.set = Some(f);
        self
    }
    const fn resync(mut self) -> Row {
        self.resync = true;
        self
    }
    const fn when(mut self, c: Conditions) -> Row {
        self.when = c;
        self
    }
    /// Reads as zero, writes are dropped.
    const fn raz(self) -> Row {
        self.mask(0)
    }
}

/// Key of NZCV, which the semantics handle themselves.
pub const NZCV: u32 = key(3, 3, 4, 2, 0) as u32;

const EL2: Conditions = Conditions::EL2;
const EL3: Conditions = Conditions::EL3;

/// Every register but those of devices (GIC, generic timer) and the ID space, which follows from
/// the model.
pub static ROWS: &[Row] = &[
    // ---- Identification beyond op0=3, op1=0, CRn=0.
    row("MPIDR_EL1", (3, 0, 0, 0, 5)).ro(),
    row("CTR_EL0", (3, 3, 0, 0, 1)).el(0, 4).get(ctr_el0),
    row("DCZID_EL0", (3, 3, 0, 0, 7)).el(0, 4),
    row("CLIDR_EL1", (3, 1, 0, 0, 1)).ro(),
    row("CCSIDR_EL1", (3, 1, 0, 0, 0)).ro().get(ccsidr),
    row("AIDR_EL1", (3, 1, 0, 0, 7)).ro(),
    row("CSSELR_EL1", (3, 2, 0, 0, 0)).mask(0xf),
    row("VPIDR_EL2", (3, 4, 0, 0, 0)).el(2, 2).when(EL2),
    row("VMPIDR_EL2", (3, 4, 0, 0, 5)).el(2, 2).when(EL2),
    // ---- PSTATE.
    row("CurrentEL", (3, 0, 4, 2, 2)).ro().get(|c| Ok(c.word(state::EL) << 2)),
    row("SPSel", (3, 0, 4, 2, 0)).at(state::SPSEL).set(|c, v| {
        exceptions::set_el(c, c.word(state::EL), v & 1);
        Ok(())
    }),
    row("DAIF", (3, 3, 4, 2, 1)).el(0, 0).get(daif_read).set(daif_write),
    row("PAN", (3, 0, 4, 2, 3))
        .get(|c| Ok((c.word(state::PAN) & 1) << 22))
        .set(|c, v| {
            *c.word_mut(state::PAN) = v >> 22 & 1;
            Ok(())
        })
        .resync()
        .when(Conditions::feature(Feature::Pan)),
    row("UAO", (3, 0, 4, 2, 4))
        .get(|c| Ok((c.word(state::UAO) & 1) << 23))
        .set(|c, v| {
            *c.word_mut(state::UAO) = v >> 23 & 1;
            Ok(())
        })
        .resync()
        .when(Conditions::feature(Feature::Uao)),
    row("DIT", (3, 3, 4, 2, 5))
        .el(0, 0)
        .get(|c| Ok((c.word(state::DIT) & 1) << 24))
        .set(|c, v| {
            *c.word_mut(state::DIT) = v >> 24 & 1;
            Ok(())
        })
        .when(Conditions::feature(Feature::Dit)),
    row("SSBS", (3, 3, 4, 2, 6))
        .el(0, 0)
        .get(|c| Ok((c.word(state::SSBS) & 1) << 12))
        .set(|c, v| {
            *c.word_mut(state::SSBS) = v >> 12 & 1;
            Ok(())
        })
        .when(Conditions::feature(Feature::Ssbs)),
    row("FPCR", (3, 3, 4, 4, 0)).el(0, 0).at(state::FPCR).get(fpcr_read).set(fpcr_write),
    row("FPSR", (3, 3, 4, 4, 1)).el(0, 0).at(state::FPSR).get(fpsr_read).set(fpsr_write),
    row("SPSR_EL1", (3, 0, 4, 0, 0)),
    row("ELR_EL1", (3, 0, 4, 0, 1)),
    row("SP_EL0", (3, 0, 4, 1, 0)).get(sp_el0_read).set(sp_el0_write),
    row("SPSR_EL2", (3, 4, 4, 0, 0)).el(2, 2).when(EL2),
    row("ELR_EL2", (3, 4, 4, 0, 1)).el(2, 2).when(EL2),
    row("SP_EL1", (3, 4, 4, 1, 0))
        .el(2, 2)
        .get(|c| Ok(exceptions::read_sp(c, 1)))
        .set(|c, v| {
            exceptions::write_sp(c, 1, v);
            Ok(())
        })
        .when(Conditions::EL2_OR_3),
    row("SPSR_irq", (3, 4, 4, 3, 0)).el(2, 2).when(EL2),
    row("SPSR_abt", (3, 4, 4, 3, 1)).el(2, 2).when(EL2),
    row("SPSR_und", (3, 4, 4, 3, 2)).el(2, 2).when(EL2),
    row("SPSR_fiq", (3, 4, 4, 3, 3)).el(2, 2).when(EL2),
    row("SPSR_EL3", (3, 6, 4, 0, 0)).el(3, 3).when(EL3),
    row("ELR_EL3", (3, 6, 4, 0, 1)).el(3, 3).when(EL3),
    row("SP_EL2", (3, 6, 4, 1, 0))
        .el(3, 3)
        .get(|c| Ok(exceptions::read_sp(c, 2)))
        .set(|c, v| {
            exceptions::write_sp(c, 2, v);
            Ok(())
        })
        .when(EL3),
    // ---- Control.
    row("SCTLR_EL1", (3, 0, 1, 0, 0)).resync(),
    row("ACTLR_EL1", (3, 0, 1, 0, 1)).raz(),
    row("CPACR_EL1", (3, 0, 1, 0, 2)).mask(3 << 20).resync(),
    row("SCTLR_EL2", (3, 4, 1, 0, 0)).el(2, 2).resync().when(EL2),
    row("ACTLR_EL2", (3, 4, 1, 0, 1)).el(2, 2).raz().when(EL2),
    row("HCR_EL2", (3, 4, 1, 1, 0)).el(2, 2).resync().set(hcr_write).when(EL2),
    row("MDCR_EL2", (3, 4, 1, 1, 1)).el(2, 2).resync().when(EL2),
    row("CPTR_EL2", (3, 4, 1, 1, 2)).el(2, 2).resync().when(EL2),
    row("HSTR_EL2", (3, 4, 1, 1, 3)).el(2, 2).when(EL2),
    row("HACR_EL2", (3, 4, 1, 1, 7)).el(2, 2).raz().when(EL2),
    row("SCTLR_EL3", (3, 6, 1, 0, 0)).el(3, 3).resync().when(EL3),
    row("ACTLR_EL3", (3, 6, 1, 0, 1)).el(3, 3).raz().when(EL3),
    row("SCR_EL3", (3, 6, 1, 1, 0)).el(3, 3).resync().when(EL3),
    row("SDER32_EL3", (3, 6, 1, 1, 1)).el(3, 3).when(EL3),
    row("CPTR_EL3", (3, 6, 1, 1, 2)).el(3, 3).resync().when(EL3),
    row("MDCR_EL3", (3, 6, 1, 3, 1)).el(3, 3).resync().when(EL3),
    // ---- Translation.
    row("TTBR0_EL1", (3, 0, 2, 0, 0)).resync(),
    row("TTBR1_EL1", (3, 0, 2, 0, 1)).resync(),
    row("TCR_EL1", (3, 0, 2, 0, 2)).set(tcr_write).resync(),
    row("MAIR_EL1", (3, 0, 10, 2, 0)),
    row("AMAIR_EL1", (3, 0, 10, 3, 0)).raz(),
    row("TTBR0_EL2", (3, 4, 2, 0, 0)).el(2, 2).resync().when(EL2),
    row("TCR_EL2", (3, 4, 2, 0, 2)).el(2, 2).set(tcr_write_el2).resync().when(EL2),
    row("VTTBR_EL2", (3, 4, 2, 1, 0)).el(2, 2).when(EL2),
    row("VTCR_EL2", (3, 4, 2, 1, 2)).el(2, 2).when(EL2),
    row("DACR32_EL2", (3, 4, 3, 0, 0)).el(2, 2).when(EL2),
    row("IFSR32_EL2", (3, 4, 5, 0, 1)).el(2, 2).when(EL2),
    row("FPEXC32_EL2", (3, 4, 5, 3, 0)).el(2, 2).when(EL2),
    row("MAIR_EL2", (3, 4, 10, 2, 0)).el(2, 2).when(EL2),
    row("AMAIR_EL2", (3, 4, 10, 3, 0)).el(2, 2).raz().when(EL2),
    row("TTBR0_EL3", (3, 6, 2, 0, 0)).el(3, 3).resync().when(EL3),
    row("TCR_EL3", (3, 6, 2, 0, 2)).el(3, 3).set(tcr_write_el3).resync().when(EL3),
    row("MAIR_EL3", (3, 6, 10, 2, 0)).el(3, 3).when(EL3),
    row("AMAIR_EL3", (3, 6, 10, 3, 0)).el(3, 3).raz().when(EL3),
    row("PAR_EL1", (3, 0, 7, 4, 0)),
    // ---- Faults.
    row("AFSR0_EL1", (3, 0, 5, 1, 0)).raz(),
    row("AFSR1_EL1", (3, 0, 5, 1, 1)).raz(),
    row("ESR_EL1", (3, 0, 5, 2, 0)),
    row("FAR_EL1", (3, 0, 6, 0, 0)),
    row("AFSR0_EL2", (3, 4, 5, 1, 0)).el(2, 2).raz().when(EL2),
    row("AFSR1_EL2", (3, 4, 5, 1, 1)).el(2, 2).raz().when(EL2),
    row("ESR_EL2", (3, 4, 5, 2, 0)).el(2, 2).when(EL2),
    row("FAR_EL2", (3, 4, 6, 0, 0)).el(2, 2).when(EL2),
    row("HPFAR_EL2", (3, 4, 6, 0, 4)).el(2, 2).when(EL2),
    row("AFSR0_EL3", (3, 6, 5, 1, 0)).el(3, 3).raz().when(EL3),
    row("AFSR1_EL3", (3, 6, 5, 1, 1)).el(3, 3).raz().when(EL3),
    row("ESR_EL3", (3, 6, 5, 2, 0)).el(3, 3).when(EL3),
    row("FAR_EL3", (3, 6, 6, 0, 0)).el(3, 3).when(EL3),
    // ---- Vectors, reset, interrupts.
    row("VBAR_EL1", (3, 0, 12, 0, 0)),
    row("RVBAR_EL1", (3, 0, 12, 0, 1)).ro(),
    row("ISR_EL1", (3, 0, 12, 1, 0)).ro().get(isr),
    row("VBAR_EL2", (3, 4, 12, 0, 0)).el(2, 2).when(EL2),
    row("RVBAR_EL2", (3, 4, 12, 0, 1)).el(2, 4).when(EL2),
    row("VBAR_EL3", (3, 6, 12, 0, 0)).el(3, 3).when(EL3),
    row("RVBAR_EL3", (3, 6, 12, 0, 1)).el(3, 4).when(EL3),
    // ---- Threads and contexts.
    row("CONTEXTIDR_EL1", (3, 0, 13, 0, 1)),
    row("TPIDR_EL1", (3, 0, 13, 0, 4)),
    row("TPIDR_EL0", (3, 3, 13, 0, 2)).el(0, 0),
    row("TPIDRRO_EL0", (3, 3, 13, 0, 3)).el(0, 1),
    row("TPIDR_EL2", (3, 4, 13, 0, 2)).el(2, 2).when(EL2),
    row("TPIDR_EL3", (3, 6, 13, 0, 2)).el(3, 3).when(EL3),
    // ---- Generic timer: what is not the timer device's.
    row("CNTFRQ_EL0", (3, 3, 14, 0, 0)).el(0, 1).get(timer::cntfrq),
    row("CNTPCT_EL0", (3, 3, 14, 0, 1)).el(0, 4).get(timer::cntpct),
    row("CNTVCT_EL0", (3, 3, 14, 0, 2)).el(0, 4).get(timer::cntvct),
    row("CNTKCTL_EL1", (3, 0, 14, 1, 0)),
    row("CNTVOFF_EL2", (3, 4, 14, 0, 3)).el(2, 2).when(EL2),
    row("CNTHCTL_EL2", (3, 4, 14, 1, 0)).el(2, 2).when(EL2),
    // ---- Debug.
    row("MDSCR_EL1", (2, 0, 0, 2, 2)).mask(0x0004_f001 | 1 << 15 | 1 << 13).set(mdscr_write).resync(),
    row("OSDTRRX_EL1", (2, 0, 0, 0, 2)),
    row("OSDTRTX_EL1", (2, 0, 0, 3, 2)),
    row("OSECCR_EL1", (2, 0, 0, 6, 2)),
    row("MDCCINT_EL1", (2, 0, 0, 2, 0)),
    row("MDCCSR_EL0", (2, 3, 0, 1, 0)).el(0, 4).raz(),
    row("DBGDTR_EL0", (2, 3, 0, 4, 0)).el(0, 0).raz(),
    row("DBGDTRRX_EL0", (2, 3, 0, 5, 0)).el(0, 0).raz(),
    row("DBGVCR32_EL2", (2, 4, 0, 7, 0)).el(2, 2).when(EL2),
    row("MDRAR_EL1", (2, 0, 1, 0, 0)).ro().raz(),
    row("OSLAR_EL1", (2, 0, 1, 0, 4)).el(4, 1).set(|c, v| {
        *c.word_mut(OSLSR_EL1) = 8 | (v & 1) << 1;
        Ok(())
    }),
    row("OSLSR_EL1", (2, 0, 1, 1, 4)).ro(),
    row("OSDLR_EL1", (2, 0, 1, 3, 4)).mask(1),
    row("DBGPRCR_EL1", (2, 0, 1, 4, 4)).mask(1),
    row("DBGCLAIMSET_EL1", (2, 0, 7, 8, 6)).get(|_| Ok(0xff)).set(|c, v| {
        *c.word_mut(DBGCLAIMCLR_EL1) |= v & 0xff;
        Ok(())
    }),
    row("DBGCLAIMCLR_EL1", (2, 0, 7, 9, 6)).set(|c, v| {
        *c.word_mut(DBGCLAIMCLR_EL1) &= !v;
        Ok(())
    }),
    row("DBGAUTHSTATUS_EL1", (2, 0, 7, 14, 6)).ro().raz(),
    row("DBGBVR0_EL1", (2, 0, 0, 0, 4)).set(|c, v| breakpoint_write(c, DBGBVR0_EL1, v)),
    row("DBGBVR1_EL1", (2, 0, 0, 1, 4)).set(|c, v| breakpoint_write(c, DBGBVR1_EL1, v)),
    row("DBGBVR2_EL1", (2, 0, 0, 2, 4)).set(|c, v| breakpoint_write(c, DBGBVR2_EL1, v)),
    row("DBGBVR3_EL1", (2, 0, 0, 3, 4)).set(|c, v| breakpoint_write(c, DBGBVR3_EL1, v)),
    row("DBGBVR4_EL1", (2, 0, 0, 4, 4)).set(|c, v| breakpoint_write(c, DBGBVR4_EL1, v)),
    row("DBGBVR5_EL1", (2, 0, 0, 5, 4)).set(|c, v| breakpoint_write(c, DBGBVR5_EL1, v)),
    row("DBGBCR0_EL1", (2, 0, 0, 0, 5)).set(|c, v| breakpoint_write(c, DBGBCR0_EL1, v)),
    row("DBGBCR1_EL1", (2, 0, 0, 1, 5)).set(|c, v| breakpoint_write(c, DBGBCR1_EL1, v)),
    row("DBGBCR2_EL1", (2, 0, 0, 2, 5)).set(|c, v| breakpoint_write(c, DBGBCR2_EL1, v)),
    row("DBGBCR3_EL1", (2, 0, 0, 3, 5)).set(|c, v| breakpoint_write(c, DBGBCR3_EL1, v)),
    row("DBGBCR4_EL1", (2, 0, 0, 4, 5)).set(|c, v| breakpoint_write(c, DBGBCR4_EL1, v)),
    row("DBGBCR5_EL1", (2, 0, 0, 5, 5)).set(|c, v| breakpoint_write(c, DBGBCR5_EL1, v)),
    row("DBGWVR0_EL1", (2, 0, 0, 0, 6)),
    row("DBGWVR1_EL1", (2, 0, 0, 1, 6)),
    row("DBGWVR2_EL1", (2, 0, 0, 2, 6)),
    row("DBGWVR3_EL1", (2, 0, 0, 3, 6)),
    row("DBGWCR0_EL1", (2, 0, 0, 0, 7)).set(watchpoint_write),
    row("DBGWCR1_EL1", (2, 0, 0, 1, 7)).set(watchpoint_write),
    row("DBGWCR2_EL1", (2, 0, 0, 2, 7)).set(watchpoint_write),
    row("DBGWCR3_EL1", (2, 0, 0, 3, 7)).set(watchpoint_write),
    // ---- Performance monitors: the cycle counter, no event counters.
    row("PMCR_EL0", (3, 3, 9, 12, 0)).el(0, 0).get(pmcr_read).set(pmcr_write),
    row("PMCNTENSET_EL0", (3, 3, 9, 12, 1)).el(0, 0).get(|c| pm_access(c).map(|()| c.word(PMCNTENSET_EL0))).set(|c, v| {
        pm_access(c)?;
        pm_settle(c);
        *c.word_mut(PMCNTENSET_EL0) |= v & PM_CYCLE;
        Ok(())
    }),
    row("PMCNTENCLR_EL0", (3, 3, 9, 12, 2)).el(0, 0).get(|c| pm_access(c).map(|()| c.word(PMCNTENSET_EL0))).set(|c, v| {
        pm_access(c)?;
        pm_settle(c);
        *c.word_mut(PMCNTENSET_EL0) &= !(v & PM_CYCLE);
        Ok(())
    }),
    row("PMOVSCLR_EL0", (3, 3, 9, 12, 3)).el(0, 0).get(|c| pm_access(c).map(|()| c.word(PMOVSSET_EL0))).set(|c, v| {
        pm_access(c)?;
        *c.word_mut(PMOVSSET_EL0) &= !v;
        Ok(())
    }),
    row("PMOVSSET_EL0", (3, 3, 9, 14, 3)).el(0, 0).get(|c| pm_access(c).map(|()| c.word(PMOVSSET_EL0))).set(|c, v| {
        pm_access(c)?;
        *c.word_mut(PMOVSSET_EL0) |= v & PM_CYCLE;
        Ok(())
    }),
    row("PMSWINC_EL0", (3, 3, 9, 12, 4)).el(4, 0).set(|c, _| pm_access(c)),
    row("PMSELR_EL0", (3, 3, 9, 12, 5)).el(0, 0).get(|c| pm_access(c).map(|()| c.word(PMSELR_EL0))).set(|c, v| {
        pm_access(c)?;
        *c.word_mut(PMSELR_EL0) = v & 31;
        Ok(())
    }),
    row("PMCEID0_EL0", (3, 3, 9, 12, 6)).el(0, 4).get(|c| pm_access(c).map(|()| 1 << 17)),
    row("PMCEID1_EL0", (3, 3, 9, 12, 7)).el(0, 4).get(|c| pm_access(c).map(|()| 0)),
    row("PMCCNTR_EL0", (3, 3, 9, 13, 0)).el(0, 0).get(pmccntr_read).set(pmccntr_write),
    row("PMXEVTYPER_EL0", (3, 3, 9, 13, 1)).el(0, 0).get(pmxevtyper_read).set(pmxevtyper_write),
    row("PMXEVCNTR_EL0", (3, 3, 9, 13, 2)).el(0, 0).get(|c| pm_access(c).map(|()| 0)).set(|c, _| pm_access(c)),
    row("PMUSERENR_EL0", (3, 3, 9, 14, 0)).el(0, 1).mask(15),
    row("PMINTENSET_EL1", (3, 0, 9, 14, 1)).set(|c, v| {
        *c.word_mut(PMINTENSET_EL1) |= v & PM_CYCLE;
        Ok(())
    }),
    row("PMINTENCLR_EL1", (3, 0, 9, 14, 2)).get(|c| Ok(c.word(PMINTENSET_EL1))).set(|c, v| {
        *c.word_mut(PMINTENSET_EL1) &= !v;
        Ok(())
    }),
    row("PMCCFILTR_EL0", (3, 3, 14, 15, 7)).el(0, 0).mask(0xfc00_0000).get(|c| pm_access(c).map(|()| c.word(PMCCFILTR_EL0))),
    // ---- Implementation defined, Cortex-A53 (DDI 0500, 4.2).
    row("L2CTLR_EL1", (3, 1, 11, 0, 2)).when(Conditions::CORTEX),
    row("L2ECTLR_EL1", (3, 1, 11, 0, 3)).when(Conditions::CORTEX),
    row("L2ACTLR_EL1", (3, 1, 15, 0, 0)).when(Conditions::CORTEX),
    row("CPUACTLR_EL1", (3, 1, 15, 2, 0)).when(Conditions::CORTEX),
    row("CPUECTLR_EL1", (3, 1, 15, 2, 1)).when(Conditions::CORTEX),
    row("CPUMERRSR_EL1", (3, 1, 15, 2, 2)).when(Conditions::CORTEX),
    row("L2MERRSR_EL1", (3, 1, 15, 2, 3)).when(Conditions::CORTEX),
    row("CBAR_EL1", (3, 1, 15, 3, 0)).ro().when(Conditions::CORTEX),
];

/// First word of the ID space (op0=3, op1=0, CRn=0, CRm and op2 in the low six bits).
const ID_SLOT: u16 = state::SYSREGS + 256;

const NONE: u8 = 0xff;

const fn index() -> [u8; 0x10000] {
    let mut table = [NONE; 0x10000];
    let mut i = 0;
    while i < ROWS.len() {
        assert!(table[ROWS[i].key as usize] == NONE, "two rows have one encoding");
        table[ROWS[i].key as usize] = i as u8;
        i += 1;
    }
    table
}
static INDEX: [u8; 0x10000] = index();

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// The word of the register called `name`, found when compiling.
const fn slot_of(name: &str) -> Slot {
    let mut i = 0;
    while i < ROWS.len() {
        if same(ROWS[i].name, name) {
            return match ROWS[i].at {
                Some(s) => s,
                None => Slot(state::SYSREGS + i as u16),
            };
        }
        i += 1;
    }
    panic!("no such register");
}

macro_rules! slots {
    ($($name:ident)*) => {$(
        #[doc = concat!("The word of ", stringify!($name), ".")]
        pub const $name: Slot = slot_of(stringify!($name));
    )*};
}
slots! {
    SCTLR_EL1 SCTLR_EL2 SCTLR_EL3 HCR_EL2 SCR_EL3 CPACR_EL1 CPTR_EL2 CPTR_EL3 MDCR_EL2
    TTBR0_EL1 TTBR1_EL1 TCR_EL1 TTBR0_EL2 TCR_EL2 TTBR0_EL3 TCR_EL3 MAIR_EL1 MAIR_EL2 MAIR_EL3 PAR_EL1
    ESR_EL1 ESR_EL2 ESR_EL3 FAR_EL1 FAR_EL2 FAR_EL3 ELR_EL1 ELR_EL2 ELR_EL3 SPSR_EL1 SPSR_EL2 SPSR_EL3
    VBAR_EL1 VBAR_EL2 VBAR_EL3 RVBAR_EL1 RVBAR_EL2 RVBAR_EL3 MPIDR_EL1 CTR_EL0 DCZID_EL0 CLIDR_EL1 CSSELR_EL1
    CNTFRQ_EL0 CNTKCTL_EL1 CNTVOFF_EL2 CNTHCTL_EL2 MDSCR_EL1 OSLSR_EL1 DBGCLAIMCLR_EL1 VPIDR_EL2 VMPIDR_EL2
    DBGBVR0_EL1 DBGBVR1_EL1 DBGBVR2_EL1 DBGBVR3_EL1 DBGBVR4_EL1 DBGBVR5_EL1
    DBGBCR0_EL1 DBGBCR1_EL1 DBGBCR2_EL1 DBGBCR3_EL1 DBGBCR4_EL1 DBGBCR5_EL1
    PMCR_EL0 PMCNTENSET_EL0 PMOVSSET_EL0 PMSELR_EL0 PMCCNTR_EL0 PMUSERENR_EL0 PMINTENSET_EL1 PMCCFILTR_EL0
    L2CTLR_EL1 CBAR_EL1
}

macro_rules! by_level {
    ($($f:ident $one:ident $two:ident $three:ident;)*) => {$(
        #[doc = concat!("The word of ", stringify!($one), " or its like of level `el`.")]
        pub const fn $f(el: u8) -> Slot {
            match el {
                3 => $three,
                2 => $two,
                _ => $one,
            }
        }
    )*};
}
by_level! {
    sctlr SCTLR_EL1 SCTLR_EL2 SCTLR_EL3;
    esr ESR_EL1 ESR_EL2 ESR_EL3;
    far FAR_EL1 FAR_EL2 FAR_EL3;
    elr ELR_EL1 ELR_EL2 ELR_EL3;
    spsr SPSR_EL1 SPSR_EL2 SPSR_EL3;
    vbar VBAR_EL1 VBAR_EL2 VBAR_EL3;
    mair MAIR_EL1 MAIR_EL2 MAIR_EL3;
    tcr TCR_EL1 TCR_EL2 TCR_EL3;
    ttbr0 TTBR0_EL1 TTBR0_EL2 TTBR0_EL3;
}

/// The row of encoding `key`.
pub fn find(key: u32) -> Option<&'static Row> {
    ROWS.get(INDEX[key as usize & 0xffff] as usize)
}

fn slot(i: usize) -> Slot {
    ROWS[i].at.unwrap_or(Slot(state::SYSREGS + i as u16))
}

/// The word of the ID register with key `k`, where it is in the ID space.
pub const fn id_slot(k: u32) -> Option<Slot> {
    if k & !0x3f == key(3, 0, 0, 0, 0) as u32 && k & 0x38 != 0 || k == key(3, 0, 0, 0, 0) as u32 || k == key(3, 0, 0, 0, 6) as u32 {
        Some(Slot(ID_SLOT + (k & 0x3f) as u16))
    } else {
        None
    }
}

/// The word to read where reading a register is no more than that, in this mode.
#[inline]
pub fn plain_read(k: u32, mode: Mode) -> Option<Slot> {
    let i = INDEX[k as usize & 0xffff] as usize;
    match ROWS.get(i) {
        Some(r) if r.get.is_none() && mode.el() >= r.read && r.when.is_always() => Some(slot(i)),
        Some(_) => None,
        None if mode.el() >= 1 => id_slot(k),
        None => None,
    }
}

/// The word to write where writing a register is no more than that, in this mode.
#[inline]
pub fn plain_write(k: u32, mode: Mode) -> Option<Slot> {
    let i = INDEX[k as usize & 0xffff] as usize;
    let r = ROWS.get(i)?;
    (r.set.is_none() && r.mask == u64::MAX && !r.resync && mode.el() >= r.write && r.when.is_always()).then(|| slot(i))
}

/// Whether a write of the register may change what translation depends on.
pub fn write_resyncs(k: u32) -> bool {
    find(k).is_some_and(|r| r.resync)
}

/// The trap syndrome of a system register access: ISS of class 0x18.
fn trap(k: u32, rt: u32, read: bool) -> Exception {
    let (op0, op1, crn, crm, op2) = (k >> 14 & 3, k >> 11 & 7, k >> 7 & 15, k >> 3 & 15, k & 7);
    Exception::sync(exceptions::ec::SYSREG, op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | read as u32)
}

/// The trap that an EL0 access raises where EL1 has not allowed it. What the register is, and
/// Rt, is put in by [`named`] where the instruction is known.
pub fn el0_trap(k: u32, read: bool) -> Exception {
    trap(k, 31, read)
}

fn unknown(core: &Core<Arm>, k: u32, what: &str) -> Exception {
    tracing::debug!(target: "unimp", core = core.id.0, op0 = k >> 14 & 3, op1 = k >> 11 & 7, crn = k >> 7 & 15, crm = k >> 3 & 15, op2 = k & 7, "{what} of an unknown system register");
    Exception::UNDEFINED
}

/// Gives a trap of a system register or instruction access the syndrome of the instruction whose
/// key, with Rt above it, is `k_rt`.
pub fn named(e: Exception, k_rt: u64, read: bool) -> Exception {
    match e {
        Exception::Sync { class: exceptions::ec::SYSREG, .. } => trap(k_rt as u32 & 0xffff, (k_rt >> 16) as u32 & 31, read),
        e => e,
    }
}

/// MRS, as a helper: the key, with Rt above it.
pub fn mrs(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    read(core, a[0] as u32 & 0xffff).map_err(|e| named(e, a[0], true))
}

/// The value of a row for a debugger, whatever the level; `None` where reading it traps now.
pub fn debug_read(core: &mut Core<Arm>, row: &Row) -> Option<u64> {
    match row.get {
        Some(f) => f(core).ok(),
        None => Some(core.word(slot(INDEX[row.key as usize] as usize))),
    }
}

/// Sets a row for a debugger, whatever the level; false where it cannot be written.
pub fn debug_write(core: &mut Core<Arm>, row: &Row, value: u64) -> bool {
    if row.write > 3 {
        return false;
    }
    let slot = slot(INDEX[row.key as usize] as usize);
    match row.set {
        Some(f) => f(core, value).is_ok(),
        None => {
            *core.word_mut(slot) = core.word(slot) & !row.mask | value & row.mask;
            true
        }
    }
}

fn read(core: &mut Core<Arm>, k: u32) -> Result<u64, Exception> {
    let level = el(core);
    match ROWS.get(INDEX[k as usize & 0xffff] as usize) {
        Some(r) if level >= r.read && r.when.hold(core) => match r.get {
            Some(f) => f(core),
            None => Ok(core.word(slot(INDEX[k as usize & 0xffff] as usize))),
        },
        Some(_) => Err(Exception::UNDEFINED),
        None => match id_slot(k) {
            Some(s) if level >= 1 => Ok(core.word(s)),
            Some(_) => Err(Exception::UNDEFINED),
            None => device_read(core, k),
        },
    }
}

/// MSR (register), as a helper: the key, with Rt above it, and the value.
pub fn msr(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    write(core, a[0] as u32 & 0xffff, a[1]).map_err(|e| named(e, a[0], false))
}

fn write(core: &mut Core<Arm>, k: u32, v: u64) -> Result<u64, Exception> {
    let level = el(core);
    let i = INDEX[k as usize & 0xffff] as usize;
    match ROWS.get(i) {
        Some(r) if level >= r.write && r.when.hold(core) => {
            match r.set {
                Some(f) => f(core, v)?,
                None => {
                    let s = slot(i);
                    let old = core.word(s);
                    *core.word_mut(s) = old & !r.mask | v & r.mask;
                }
            }
            Ok(0)
        }
        Some(_) => Err(Exception::UNDEFINED),
        None => device_write(core, k, v),
    }
}

/// Lowest level that reaches a device's registers, by op1; the timers have conditions of their
/// own.
fn device_level(k: u32) -> u8 {
    match k >> 11 & 7 {
        3 => 0,
        4 | 5 => 2,
        6 => 3,
        7 => 3,
        _ => 1,
    }
}

fn device_access(core: &mut Core<Arm>, k: u32, read: bool) -> Result<(), Exception> {
    let level = el(core);
    if level < device_level(k) {
        return Err(Exception::UNDEFINED);
    }
    timer::check(core, k, read)
}

fn device_read(core: &mut Core<Arm>, k: u32) -> Result<u64, Exception> {
    if !core.machine.has_sysreg(k) {
        return Err(unknown(core, k, "read"));
    }
    device_access(core, k, true)?;
    core.sync_time();
    match core.machine.sysreg_read(core.id, k) {
        Some(Ok(v)) => Ok(v),
        _ => Err(Exception::UNDEFINED),
    }
}

fn device_write(core: &mut Core<Arm>, k: u32, v: u64) -> Result<u64, Exception> {
    if !core.machine.has_sysreg(k) {
        return Err(unknown(core, k, "write"));
    }
    device_access(core, k, false)?;
    core.sync_time();
    match core.machine.sysreg_write(core.id, k, v) {
        Some(Ok(())) => {
            // An interrupt may have become pending, or less masked.
            if core.lines.pins() != 0 {
                core.attention = true;
                core.stop_soon();
            } else {
                core.limit_to_alarm();
            }
            Ok(0)
        }
        _ => Err(Exception::UNDEFINED),
    }
}

// ---- What reads and writes do.

fn ctr_el0(core: &mut Core<Arm>) -> Result<u64, Exception> {
    // SCTLR_EL1.UCT.
    if el(core) == 0 && core.word(SCTLR_EL1) >> 15 & 1 == 0 {
        return Err(el0_trap(key(3, 3, 0, 0, 1) as u32, true));
    }
    Ok(core.word(CTR_EL0))
}

fn ccsidr(core: &mut Core<Arm>) -> Result<u64, Exception> {
    let n = core.word(CSSELR_EL1) as usize & 15;
    Ok(core.target.id.ccsidr.get(n).copied().unwrap_or(0))
}

/// SCTLR_EL1.UMA lets EL0 change the interrupt masks.
fn daif_check(core: &Core<Arm>, read: bool) -> Result<(), Exception> {
    if el(core) == 0 && core.word(SCTLR_EL1) >> 9 & 1 == 0 {
        return Err(el0_trap(key(3, 3, 4, 2, 1) as u32, read));
    }
    Ok(())
}

fn daif_read(core: &mut Core<Arm>) -> Result<u64, Exception> {
    daif_check(core, true)?;
    Ok(core.word(state::DAIF))
}

fn daif_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    daif_check(core, false)?;
    *core.word_mut(state::DAIF) = v & 0x3c0;
    unmasked(core);
    Ok(())
}

/// After interrupts were unmasked: one that waits is taken before the next block.
fn unmasked(core: &mut Core<Arm>) {
    if core.lines.pins() != 0 || core.word(MDSCR_EL1) & 1 != 0 {
        core.attention = true;
        core.stop_soon();
    }
}

/// MSR (immediate), as a helper: the field and the value of CRm.
pub fn msr_imm(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    use crate::helpers::*;
    let (field, v) = (a[0], a[1]);
    let level = el(core);
    match field {
        FIELD_DAIFSET | FIELD_DAIFCLR => {
            // The encoding of the instruction: op0 is 0, CRm the immediate, Rt all ones.
            let op2 = if field == FIELD_DAIFSET { 6 } else { 7 };
            daif_check(core, false).map_err(|e| named(e, key(0, 3, 4, v as u16 & 15, op2) as u64 | 31 << 16, false))?;
            let bits = (v & 15) << 6;
            let old = core.word(state::DAIF);
            *core.word_mut(state::DAIF) = if field == FIELD_DAIFSET { old | bits } else { old & !bits };
            unmasked(core);
        }
        _ if level == 0 => return Err(Exception::UNDEFINED),
        FIELD_SPSEL => exceptions::set_el(core, level as u64, v & 1),
        FIELD_PAN => *core.word_mut(state::PAN) = v & 1,
        FIELD_UAO => *core.word_mut(state::UAO) = v & 1,
        _ => return Err(Exception::UNDEFINED),
    }
    Ok(0)
}

/// FPCR and FPSR trap as floating point does.
fn fp_enabled(core: &Core<Arm>) -> Result<(), Exception> {
    if crate::fp_traps(core) { Err(Exception::sync(exceptions::ec::FP, 1 << 24 | 0xe << 20)) } else { Ok(()) }
}

fn fpcr_read(core: &mut Core<Arm>) -> Result<u64, Exception> {
    fp_enabled(core)?;
    Ok(core.word(state::FPCR))
}
fn fpcr_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    fp_enabled(core)?;
    let fz16 = if core.target.has(Feature::Fp16) { 1 << 19 } else { 0 };
    *core.word_mut(state::FPCR) = v & (0x07c0_0000 | fz16);
    crate::update_fp_fast(core);
    Ok(())
}
fn fpsr_read(core: &mut Core<Arm>) -> Result<u64, Exception> {
    fp_enabled(core)?;
    Ok(core.word(state::FPSR))
}
fn fpsr_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    fp_enabled(core)?;
    *core.word_mut(state::FPSR) = v & 0x0800_009f;
    crate::update_fp_fast(core);
    Ok(())
}

/// SP_EL0 is not to be named where it is the stack pointer in use.
fn sp_el0_read(core: &mut Core<Arm>) -> Result<u64, Exception> {
    if core.word(state::SPSEL) & 1 == 0 {
        return Err(Exception::UNDEFINED);
    }
    Ok(core.word(state::SP_EL))
}
fn sp_el0_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    if core.word(state::SPSEL) & 1 == 0 {
        return Err(Exception::UNDEFINED);
    }
    *core.word_mut(state::SP_EL) = v;
    Ok(())
}

fn hcr_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    if v & 1 != 0 {
        tracing::warn!(target: "unimp", "HCR_EL2.VM: stage 2 translation is not modelled; it is treated as off");
    }
    *core.word_mut(HCR_EL2) = v;
    Ok(())
}

/// TCR may change how every address is translated; what is cached goes.
fn tcr_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    change_tcr(core, TCR_EL1, v);
    Ok(())
}
fn tcr_write_el2(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    change_tcr(core, TCR_EL2, v);
    Ok(())
}
fn tcr_write_el3(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    change_tcr(core, TCR_EL3, v);
    Ok(())
}
fn change_tcr(core: &mut Core<Arm>, slot: Slot, v: u64) {
    if core.word(slot) != v {
        *core.word_mut(slot) = v;
        core.tlb.flush(|_| true);
    }
}

fn isr(core: &mut Core<Arm>) -> Result<u64, Exception> {
    use proteus_model::Line;
    let pins = core.lines.pins();
    Ok(((pins & Line::IRQ.bit() != 0) as u64) << 7 | ((pins & Line::FIQ.bit() != 0) as u64) << 6)
}

fn mdscr_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    let mask = 0x0004_f001 | 1 << 15 | 1 << 13;
    if (core.word(MDSCR_EL1) ^ v) & (1 << 15) != 0 {
        core.forget_blocks = true;
    }
    *core.word_mut(MDSCR_EL1) = v & mask;
    core.attention = true;
    Ok(())
}

fn breakpoint_write(core: &mut Core<Arm>, slot: Slot, v: u64) -> Result<(), Exception> {
    *core.word_mut(slot) = v;
    if core.word(MDSCR_EL1) >> 15 & 1 != 0 {
        core.forget_blocks = true;
        core.attention = true;
        core.stop_soon();
    }
    Ok(())
}

fn watchpoint_write(_: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    if v & 1 != 0 {
        tracing::warn!(target: "unimp", "DBGWCR<n>_EL1.E: self-hosted watchpoints are not modelled");
    }
    Ok(())
}

/// Whether software step is on for the present level (D2.12): MDSCR_EL1.SS, and debug exceptions
/// are enabled.
pub fn step_enabled(core: &Core<Arm>) -> bool {
    core.word(MDSCR_EL1) & 1 != 0 && debug_enabled(core)
}

/// Whether debug exceptions can be taken from the present level.
fn debug_enabled(core: &Core<Arm>) -> bool {
    if core.word(OSLSR_EL1) >> 1 & 1 != 0 {
        return false;
    }
    match el(core) {
        0 => true,
        1 => core.word(MDSCR_EL1) >> 13 & 1 != 0 && core.word(state::DAIF) >> 9 & 1 == 0,
        _ => false,
    }
}

/// Whether an enabled hardware breakpoint matches the instruction at `pc`.
pub fn breakpoint_at(core: &Core<Arm>, pc: u64) -> bool {
    const VALUES: [Slot; 6] = [DBGBVR0_EL1, DBGBVR1_EL1, DBGBVR2_EL1, DBGBVR3_EL1, DBGBVR4_EL1, DBGBVR5_EL1];
    const CONTROLS: [Slot; 6] = [DBGBCR0_EL1, DBGBCR1_EL1, DBGBCR2_EL1, DBGBCR3_EL1, DBGBCR4_EL1, DBGBCR5_EL1];
    if core.word(MDSCR_EL1) >> 15 & 1 == 0 || !debug_enabled(core) {
        return false;
    }
    VALUES.iter().zip(CONTROLS).any(|(&v, c)| {
        let c = core.word(c);
        // Enabled, an unlinked address match, for this level (PMC).
        let level = match el(core) {
            0 => c >> 2 & 1 != 0,
            _ => c >> 1 & 1 != 0,
        };
        c & 1 != 0 && c >> 20 & 15 == 0 && level && core.word(v) & !3 == pc
    })
}

// ---- Performance monitors.

/// The cycle counter's bit.
const PM_CYCLE: u64 = 1 << 31;

/// PMUSERENR_EL0.EN, or CR for reads of the cycle counter, lets EL0 in.
fn pm_access(core: &Core<Arm>) -> Result<(), Exception> {
    if el(core) == 0 && core.word(PMUSERENR_EL0) & 1 == 0 {
        return Err(el0_trap(key(3, 3, 9, 12, 0) as u32, true));
    }
    Ok(())
}

/// Cycles since the counter was last written: an instruction takes one.
fn pm_now(core: &Core<Arm>) -> u64 {
    core.executed()
}

fn pm_counting(core: &Core<Arm>) -> bool {
    core.word(PMCR_EL0) & 1 != 0 && core.word(PMCNTENSET_EL0) & PM_CYCLE != 0
}

/// Makes the counter's word hold its value, before what it depends on changes. While it counts,
/// the word holds the value less the count of executed instructions.
fn pm_settle(core: &mut Core<Arm>) {
    let v = pm_value(core);
    core.target.pm_base = pm_now(core);
    *core.word_mut(PMCCNTR_EL0) = v;
}

fn pm_value(core: &Core<Arm>) -> u64 {
    let held = core.word(PMCCNTR_EL0);
    if pm_counting(core) { held.wrapping_add(pm_now(core).wrapping_sub(core.target.pm_base)) } else { held }
}

fn pmcr_read(core: &mut Core<Arm>) -> Result<u64, Exception> {
    pm_access(core)?;
    // Implementer Arm, no event counters.
    Ok(0x41 << 24 | core.target.id.midr >> 4 << 16 & 0xff_0000 | core.word(PMCR_EL0) & 0x79)
}
fn pmcr_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    pm_access(core)?;
    pm_settle(core);
    *core.word_mut(PMCR_EL0) = v & 0x79;
    if v & 4 != 0 {
        *core.word_mut(PMCCNTR_EL0) = 0;
    }
    Ok(())
}
fn pmccntr_read(core: &mut Core<Arm>) -> Result<u64, Exception> {
    if el(core) == 0 && core.word(PMUSERENR_EL0) & 5 == 0 {
        return Err(el0_trap(key(3, 3, 9, 13, 0) as u32, true));
    }
    Ok(pm_value(core))
}
fn pmccntr_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    pm_access(core)?;
    core.target.pm_base = pm_now(core);
    *core.word_mut(PMCCNTR_EL0) = v;
    Ok(())
}
fn pmxevtyper_read(core: &mut Core<Arm>) -> Result<u64, Exception> {
    pm_access(core)?;
    Ok(if core.word(PMSELR_EL0) == 31 { core.word(PMCCFILTR_EL0) } else { 0 })
}
fn pmxevtyper_write(core: &mut Core<Arm>, v: u64) -> Result<(), Exception> {
    pm_access(core)?;
    if core.word(PMSELR_EL0) == 31 {
        *core.word_mut(PMCCFILTR_EL0) = v & 0xfc00_0000;
    }
    Ok(())
}

// ---- System instructions (op0 = 1): see `maintenance`.
pub use crate::maintenance::{instruction_resyncs, is_instruction};
