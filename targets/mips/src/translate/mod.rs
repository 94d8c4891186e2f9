//! What each instruction means, once, against [`Ops`]. One function a pattern of the decode
//! tables, named as the pattern in lower case.

mod arith;
mod branch;
mod float;
mod memory;
mod muldiv;
mod system;

pub use arith::*;
pub use branch::*;
pub use float::*;
pub use memory::*;
pub use muldiv::*;
pub use system::*;

use crate::helpers;
use crate::state::{self, Mode};
use proteus_exec::ops::*;

/// The mode that the instruction is translated in.
#[inline(always)]
pub(crate) fn mode<O: Ops>(o: &O) -> Mode {
    Mode(o.mode())
}

/// Width of registers and addresses of the model.
#[inline(always)]
pub(crate) fn width<O: Ops>(o: &O) -> W {
    if mode(o).has(Mode::M64) { W::W64 } else { W::W32 }
}

/// Reads a general-purpose register.
#[inline(always)]
pub(crate) fn gpr<O: Ops>(o: &mut O, r: u32) -> O::V {
    if r == 0 { o.imm(0) } else { o.get(state::r(r)) }
}

/// Writes a general-purpose register with a value in the model's form; writes to r0 are dropped.
#[inline(always)]
pub(crate) fn set_gpr<O: Ops>(o: &mut O, r: u32, v: O::V) {
    if r != 0 {
        o.set(state::r(r), v);
    }
}

/// The low 32 bits of `v` in the form that registers keep: sign-extended on a 64-bit model, and
/// zero-extended on a 32-bit one.
#[inline(always)]
pub(crate) fn word<O: Ops>(o: &mut O, v: O::V) -> O::V {
    let un = if mode(o).has(Mode::M64) { Un::Sext32 } else { Un::Zext32 };
    o.un(un, W::W64, v)
}

/// `v`, the result of a 32-bit operation and so zero-extended, in the form that registers keep.
#[inline(always)]
pub(crate) fn from32<O: Ops>(o: &mut O, v: O::V) -> O::V {
    if mode(o).has(Mode::M64) { o.un(Un::Sext32, W::W64, v) } else { v }
}

/// A signed constant in the form that registers keep.
#[inline(always)]
pub(crate) fn constant<O: Ops>(o: &mut O, k: i64) -> O::V {
    let k = width(o).cut(k as u64);
    o.imm(k)
}

/// A constant address as the mode has it: addresses wrap at 32 bits where they are made of 32.
#[inline(always)]
pub(crate) fn wrapped(mode: Mode, address: u64) -> u64 {
    if !mode.has(Mode::M64) {
        W::W32.cut(address)
    } else if mode.has(Mode::ADDRESS32) {
        address as i32 as i64 as u64
    } else {
        address
    }
}

/// `v`, a sum of addresses in the model's width, wrapped as [`wrapped`] has it.
#[inline(always)]
pub(crate) fn wrap<O: Ops>(o: &mut O, v: O::V) -> O::V {
    if mode(o).has(Mode::ADDRESS32) { o.un(Un::Sext32, W::W64, v) } else { v }
}

/// The effective address of a load or store: base and offset.
#[inline(always)]
pub(crate) fn address<O: Ops>(o: &mut O, base: u32, offset: i64) -> O::V {
    let w = width(o);
    let b = gpr(o, base);
    let a = if offset == 0 { b } else { o.add_imm(w, b, offset as u64) };
    wrap(o, a)
}

/// An access of `1 << size` bytes, which must be aligned; loads are zero-extended.
#[inline(always)]
pub(crate) fn access<O: Ops>(o: &O, size: u8) -> Mem {
    Mem { align: 1 << size, big: mode(o).has(Mode::BIG), ..Mem::plain(size) }
}

/// Raises the exception of `code` (Cause.ExcCode), which has no address.
#[inline(always)]
pub(crate) fn raise<O: Ops>(o: &mut O, code: u8) -> R<O> {
    let code = o.imm(code.into());
    o.call(helpers::RAISE, &[code])?;
    Ok(Flow::Exit)
}

/// Raises Reserved Instruction unless 64-bit operations are allowed.
#[inline(always)]
pub(crate) fn check64<O: Ops>(o: &mut O) -> Result<(), O::Fault> {
    if !mode(o).has(Mode::OP64) {
        let code = o.imm(crate::exceptions::code::RI.into());
        o.call(helpers::RAISE, &[code])?;
    }
    Ok(())
}
