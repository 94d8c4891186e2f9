//! What the core itself has of the generic timer: the counters and who may read them. The timers
//! are a device (`arm-generic-timer`), reached by its system registers.

use crate::Arm;
use crate::exceptions::Exception;
use crate::state::el;
use crate::sysregs::{self as sr, key};
use proteus_exec::Core;

/// The count at virtual time `ns` with `frequency` ticks a second.
pub fn count(ns: u64, frequency: u64) -> u64 {
    (ns as u128 * frequency as u128 / 1_000_000_000) as u64
}

fn ticks(core: &mut Core<Arm>) -> u64 {
    let f = core.target.frequency;
    let ns = core.now();
    if f == 62_500_000 { ns / 16 } else { count(ns, f) }
}

/// EL0 may read when CNTKCTL_EL1 has `bit` set.
fn allowed(core: &Core<Arm>, bits: u64, k: u16) -> Result<(), Exception> {
    if el(core) == 0 && core.word(sr::CNTKCTL_EL1) & bits == 0 {
        return Err(sr::el0_trap(k as u32, true));
    }
    Ok(())
}

/// CNTFRQ_EL0.
pub fn cntfrq(core: &mut Core<Arm>) -> Result<u64, Exception> {
    allowed(core, 3, key(3, 3, 14, 0, 0))?;
    Ok(core.word(sr::CNTFRQ_EL0))
}

/// CNTPCT_EL0.
pub fn cntpct(core: &mut Core<Arm>) -> Result<u64, Exception> {
    allowed(core, 1, key(3, 3, 14, 0, 1))?;
    Ok(ticks(core))
}

/// CNTVCT_EL0.
pub fn cntvct(core: &mut Core<Arm>) -> Result<u64, Exception> {
    allowed(core, 2, key(3, 3, 14, 0, 2))?;
    let offset = core.word(sr::CNTVOFF_EL2);
    Ok(ticks(core).wrapping_sub(offset))
}

/// Whether the present level may reach the timer register `k`.
pub fn check(core: &Core<Arm>, k: u32, read: bool) -> Result<(), Exception> {
    let crm = k >> 3 & 15;
    let physical_or_virtual = k >> 7 & 0x7f == (3 << 4 | 14) && (crm == 2 || crm == 3);
    if el(core) == 0 {
        // EL0PTEN and EL0VTEN.
        let bit = if crm == 2 { 1 << 9 } else { 1 << 8 };
        if !physical_or_virtual || core.word(sr::CNTKCTL_EL1) & bit == 0 {
            return Err(sr::el0_trap(k, read));
        }
    }
    Ok(())
}
