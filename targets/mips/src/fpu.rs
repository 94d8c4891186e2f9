//! The control registers of coprocessor 1 (MIPS64 volume I, MD00083, 5.6): FCSR, which the state
//! keeps whole, its views FCCR, FEXR and FENR, and FIR, which is the model's.
//!
//! Left out: the implementation's own bits (FCSR 21 and 22, and FO and FN of the 24K), NAN2008 and
//! ABS2008, which later revisions have, and the exception Unimplemented Operation, which no
//! operation here needs: with FS clear subnormal numbers are computed. With FS set results that
//! are tiny become zeros, which raises Underflow and Inexact; subnormal operands are taken as they
//! are.

use crate::Mips;
use crate::exceptions::{self, Exception};
use crate::state;
use proteus_exec::Core;
use proteus_float::{Env, Flags, NanRule, Rounding};

/// FCSR.RM, the rounding mode.
pub const RM: u64 = 3;
/// FCSR.Flags: inexact, underflow, overflow, division by zero, invalid from bit 2 on.
pub const FLAGS: u64 = 0x1f << 2;
/// FCSR.Enables, in the order of the flags.
pub const ENABLES: u64 = 0x1f << 7;
/// FCSR.Cause: what the last operation raised, in the order of the flags, and [`UNIMPLEMENTED`].
pub const CAUSE: u64 = 0x3f << 12;
/// FCSR.Cause.E: Unimplemented Operation, which is always enabled.
pub const UNIMPLEMENTED: u64 = 1 << 17;
/// FCSR.FS: tiny results become zeros.
pub const FS: u64 = 1 << 24;
/// FCSR.FCC: condition code 0, and 1 to 7.
const CONDITIONS: u64 = 1 << 23 | 0xfe << 24;
/// Inexact, in Cause and in Flags.
pub const INEXACT: u64 = 1 << 12 | 1 << 2;
/// The bits of FCSR that exist.
const WRITABLE: u64 = RM | FLAGS | ENABLES | CAUSE | FS | CONDITIONS;

const FLAGS_AT: u32 = 2;
const ENABLES_AT: u32 = 7;
const CAUSE_AT: u32 = 12;

/// The bit of FCSR of condition code `cc`, modulo 8.
#[inline(always)]
pub const fn condition(cc: u32) -> u64 {
    match cc & 7 {
        0 => 1 << 23,
        cc => 1 << (24 + cc),
    }
}

/// The environment of operations as FCSR has it.
#[inline]
pub fn env(core: &Core<Mips>) -> Env {
    let fcsr = core.word(state::FCSR);
    let rounding = match fcsr & RM {
        0 => Rounding::TiesEven,
        1 => Rounding::Zero,
        2 => Rounding::Up,
        _ => Rounding::Down,
    };
    Env { rounding, flush_outputs: fcsr & FS != 0, ..Env::with_nan_rule(NanRule::MipsLegacy) }
}

/// Exceptions in the order of Cause, Enables and Flags.
#[inline]
const fn ordered(f: Flags) -> u64 {
    const fn bit(f: Flags, flag: Flags, to: u32) -> u64 {
        (f.contains(flag) as u64) << to
    }
    bit(f, Flags::INEXACT, 0) | bit(f, Flags::UNDERFLOW, 1) | bit(f, Flags::OVERFLOW, 2) | bit(f, Flags::DIVZERO, 3) | bit(f, Flags::INVALID, 4)
}

/// Adds what an operation raised to Cause; and to Flags, unless something is enabled: then
/// [`trap`] does it at the end of the instruction, where it does not raise.
#[inline]
pub fn flags(core: &mut Core<Mips>, env: &Env) {
    let raised = ordered(env.flags);
    let fcsr = core.word_mut(state::FCSR);
    *fcsr |= raised << CAUSE_AT;
    if *fcsr & ENABLES == 0 {
        *fcsr |= raised << FLAGS_AT;
    }
}

/// Whether some exception is enabled: `Mode::FP_TRAPS`.
#[inline]
pub fn traps(core: &Core<Mips>) -> bool {
    core.word(state::FCSR) & ENABLES != 0
}

/// Whether Cause has what is enabled.
const fn pending(fcsr: u64) -> bool {
    fcsr & UNIMPLEMENTED != 0 || (fcsr & CAUSE) >> CAUSE_AT & (fcsr & ENABLES) >> ENABLES_AT != 0
}

/// Raises Floating Point where Cause has what is enabled; otherwise what it has goes to Flags.
pub fn trap(core: &mut Core<Mips>) -> Result<u64, Exception> {
    let fcsr = core.word_mut(state::FCSR);
    if pending(*fcsr) {
        return Err(floating_point(core));
    }
    *fcsr |= (*fcsr & CAUSE) >> (CAUSE_AT - FLAGS_AT) & FLAGS;
    Ok(0)
}

/// Raises Floating Point for an operation that is not implemented.
pub fn unimplemented(core: &mut Core<Mips>) -> Result<u64, Exception> {
    let fcsr = core.word_mut(state::FCSR);
    *fcsr = *fcsr & !CAUSE | UNIMPLEMENTED;
    Err(floating_point(core))
}

fn floating_point(core: &mut Core<Mips>) -> Exception {
    exceptions::plain(core, exceptions::code::FPE)
}

/// What CFC1 reads of control register `register`, in 32 bits.
pub fn control_read(core: &mut Core<Mips>, register: u32) -> Result<u64, Exception> {
    let fcsr = core.word(state::FCSR);
    Ok(match register {
        0 => core.target.model.fir.into(),
        // FCCR.
        25 => fcsr >> 24 & 0xfe | fcsr >> 23 & 1,
        // FEXR.
        26 => fcsr & (CAUSE | FLAGS),
        // FENR.
        28 => fcsr & (ENABLES | RM) | (fcsr & FS) >> 22,
        31 => fcsr,
        _ => {
            absent(core, register);
            0
        }
    })
}

/// CTC1: control register `register` becomes `value`, of which what then is raised and enabled
/// raises at once.
pub fn control_write(core: &mut Core<Mips>, register: u32, value: u64) -> Result<u64, Exception> {
    let fcsr = core.word(state::FCSR);
    let with = |mask: u64, new: u64| fcsr & !mask | new & mask;
    let new = match register {
        25 => with(CONDITIONS, (value & 0xfe) << 24 | (value & 1) << 23),
        26 => with(CAUSE | FLAGS, value),
        28 => with(ENABLES | RM | FS, value & !FS | (value & 4) << 22),
        31 => value & WRITABLE,
        _ => {
            absent(core, register);
            return Ok(0);
        }
    };
    *core.word_mut(state::FCSR) = new;
    if pending(new) { Err(floating_point(core)) } else { Ok(0) }
}

/// A control register that is none, or cannot be written.
fn absent(core: &Core<Mips>, register: u32) {
    tracing::debug!(target: "unimp", pc = format_args!("{:#x}", core.run.pc), register, "floating-point control register");
}
