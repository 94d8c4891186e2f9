//! Power State Coordination Interface 1.1 (Arm DEN 0022), as the machine's firmware answers it.

use crate::exceptions::Exception;
use crate::{Arm, state};
use proteus_exec::Core;
use proteus_exec::system::Start;
use proteus_model::SystemRequest;

/// The instruction that calls firmware.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduit {
    /// HVC.
    Hvc,
    /// SMC.
    Smc,
}

const SUCCESS: i64 = 0;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;

/// Bits of MPIDR_EL1 that are affinity.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// Answers the call in X0 to X3; the result goes to X0.
pub fn call(core: &mut Core<Arm>) -> Result<(), Exception> {
    let arg = |core: &Core<Arm>, n| core.word(state::x(n));
    let function = arg(core, 0) as u32;
    let (a1, a2, a3) = (arg(core, 1), arg(core, 2), arg(core, 3));
    // The 32-bit forms use the low halves of their arguments.
    let cut = |v: u64| if function >> 30 & 1 == 0 { v & 0xffff_ffff } else { v };
    let result = match function & !(1 << 30) {
        0x8400_0000 => 0x1_0001,
        0x8400_0001 => {
            core.halted = true;
            SUCCESS
        }
        0x8400_0002 if function >> 30 & 1 == 0 => {
            core.powered = false;
            core.system.set_on(core.id, false);
            core.attention = true;
            SUCCESS
        }
        0x8400_0003 => cpu_on(core, cut(a1), cut(a2), cut(a3)),
        0x8400_0004 => match find(core, cut(a1)) {
            Some(i) => (core.system.is_on(i) != Some(true)) as i64,
            None => INVALID_PARAMETERS,
        },
        // Trusted OS: none, migration is not needed.
        0x8400_0006 if function >> 30 & 1 == 0 => 2,
        0x8400_0008 if function >> 30 & 1 == 0 => ask(core, SystemRequest::PowerOff),
        0x8400_0009 if function >> 30 & 1 == 0 => ask(core, SystemRequest::Reset),
        0x8400_0012 => ask(core, SystemRequest::Reset),
        0x8400_000a if function >> 30 & 1 == 0 => features(a1 as u32),
        _ => NOT_SUPPORTED,
    };
    *core.word_mut(state::x(0)) = if function >> 30 & 1 == 0 { result as u32 as u64 } else { result as u64 };
    // 32-bit error codes are still read as 64-bit ones by 64-bit callers.
    if result < 0 {
        *core.word_mut(state::x(0)) = result as u64;
    }
    Ok(())
}

fn features(function: u32) -> i64 {
    match function {
        0x8400_0000 | 0x8400_0001 | 0xc400_0001 | 0x8400_0002 | 0x8400_0003 | 0xc400_0003 | 0x8400_0004 | 0xc400_0004 | 0x8400_0006 | 0x8400_0008
        | 0x8400_0009 | 0x8400_000a | 0x8400_0012 | 0xc400_0012 => SUCCESS,
        _ => NOT_SUPPORTED,
    }
}

fn ask(core: &mut Core<Arm>, request: SystemRequest) -> i64 {
    core.sync_time();
    core.machine.request(request);
    // Nothing more runs on this core.
    core.halted = true;
    core.attention = true;
    core.lines.kick();
    SUCCESS
}

fn find(core: &Core<Arm>, mpidr: u64) -> Option<u64> {
    core.target.affinities.iter().position(|&a| a == mpidr & AFFINITY).map(|i| i as u64)
}

fn cpu_on(core: &mut Core<Arm>, mpidr: u64, entry: u64, argument: u64) -> i64 {
    let Some(i) = find(core, mpidr) else { return INVALID_PARAMETERS };
    match core.system.start(i, Start { entry, argument }) {
        Ok(()) => SUCCESS,
        Err(true) => ALREADY_ON,
        Err(false) => INVALID_PARAMETERS,
    }
}
