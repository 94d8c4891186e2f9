//! What each A64 instruction means, once, against [`Ops`]. One function a pattern of the decode
//! tables, named as the pattern in lower case.

mod branch;
mod crypto;
mod data;
mod fp;
mod memory;
mod simd;
mod simd_arith;
mod simd_float;
mod simd_load;
mod simd_permute;
mod simd_shift;
mod system;

pub use branch::*;
pub use crypto::*;
pub use data::*;
pub use fp::*;
pub use memory::*;
pub use simd_arith::*;
pub use simd_float::*;
pub use simd_load::*;
pub use simd_permute::*;
pub use simd_shift::*;
pub use system::*;

pub use system::key as system_key;

use crate::helpers;
use crate::state::{self, Mode};
use proteus_exec::ops::*;

/// The mode that the instruction is translated in.
#[inline(always)]
pub(crate) fn mode<O: Ops>(o: &O) -> Mode {
    Mode(o.mode())
}

/// Reads Xn or Wn, where 31 is the zero register.
#[inline(always)]
pub(crate) fn x<O: Ops>(o: &mut O, r: u32) -> O::V {
    if r == 31 { o.imm(0) } else { o.get(state::x(r)) }
}

/// Reads Xn, where 31 is the stack pointer.
#[inline(always)]
pub(crate) fn x_or_sp<O: Ops>(o: &mut O, r: u32) -> O::V {
    o.get(state::x(r))
}

/// Writes Xn; writes to the zero register are dropped. Narrow results are zero-extended already.
#[inline(always)]
pub(crate) fn set_x<O: Ops>(o: &mut O, r: u32, v: O::V) {
    if r != 31 {
        o.set(state::x(r), v);
    }
}

/// Writes Xn, where 31 is the stack pointer.
#[inline(always)]
pub(crate) fn set_x_or_sp<O: Ops>(o: &mut O, r: u32, v: O::V) {
    o.set(state::x(r), v);
}

/// Raises the undefined instruction exception.
#[inline(always)]
pub(crate) fn undefined<O: Ops>(o: &mut O) -> R<O> {
    o.call(helpers::UNDEFINED, &[])?;
    Ok(Flow::Exit)
}

/// Raises the trap of floating point and SIMD where it is on. To be called before anything else
/// of an instruction that uses those registers.
#[inline(always)]
pub(crate) fn fp_check<O: Ops>(o: &mut O) -> Result<(), O::Fault> {
    if mode(o).has(Mode::FP_TRAPS) {
        o.call(helpers::FP_TRAP, &[])?;
    }
    Ok(())
}
