//! The helpers that instructions call: what is too rare or too wide for primitives.

use crate::exceptions::Exception;
use crate::{Mips, cp0, exceptions, fpu, semihosting, tlb};
use proteus_exec::ops::{Helper, Mem};
use proteus_exec::{Core, HelperFn};

const fn helper(index: u16) -> Helper {
    Helper { index, exact: true }
}

/// Raises the exception of code `a` (Cause.ExcCode) that has no address: Sys, Bp, RI, Ov, Tr, FPE.
pub const RAISE: Helper = helper(0);
/// Raises Coprocessor Unusable for coprocessor `a`.
pub const UNUSABLE: Helper = helper(1);
/// Reads the 64-bit value of CP0 register key `a` (8 * register + select).
pub const CP0_READ: Helper = helper(2);
/// Writes `b` to CP0 register key `a`; `c` is 1 for DMTC0.
pub const CP0_WRITE: Helper = helper(3);
/// TLBR, TLBWI, TLBWR, TLBP: `a` is the function code (1, 2, 6, 8).
pub const TLB: Helper = helper(4);
/// ERET: writes the pc.
pub const ERET: Helper = helper(5);
/// DERET: writes the pc.
pub const DERET: Helper = helper(6);
/// WAIT.
pub const WAIT: Helper = helper(7);
/// CACHE operation `a` on virtual address `b`.
pub const CACHE: Helper = helper(8);
/// RDHWR of register `a`.
pub const RDHWR: Helper = helper(9);
/// DI (`a` = 0) and EI (`a` = 1): gives Status as it was.
pub const SET_IE: Helper = helper(10);
/// SC and SCD: address `a`, value `b`, log2 of the bytes `c`; gives 1 where it stored.
pub const STORE_CONDITIONAL: Helper = helper(11);
/// CFC1: control register `a`.
pub const FP_CONTROL_READ: Helper = helper(12);
/// CTC1: control register `a` becomes `b`; raises where an enabled Cause bit was written.
pub const FP_CONTROL_WRITE: Helper = helper(13);
/// Raises Floating Point for what Cause has, where that is enabled (or unimplemented).
pub const FP_TRAP: Helper = helper(14);
/// SYNCI of virtual address `a`.
pub const SYNCI: Helper = helper(15);
/// SDBBP with code `a`: semihosting where it is on, else the debug exception or RI.
pub const SDBBP: Helper = helper(16);
/// Reads (`c` = 0) or writes (`c` = 1) `b` to the previous shadow set's register `a`.
pub const SHADOW: Helper = helper(17);
/// Raises Floating Point, Unimplemented Operation.
pub const FP_UNIMPLEMENTED: Helper = helper(18);

/// SWL, SWR, SDL, SDR: address, value, and which bytes ([`part`]).
pub const STORE_PART: Helper = helper(19);

/// The third argument of [`STORE_PART`]: log2 of the register's bytes, its most or least
/// significant ones, byte order.
pub const fn part(size: u8, left: bool, big: bool) -> u64 {
    size as u64 | (left as u64) << 2 | (big as u64) << 3
}

/// Stores the bytes one by one, the one addressed first, so that no other byte is touched and the
/// address of a fault is the instruction's. All are of one aligned word, so only the first can
/// fault.
fn store_part(core: &mut Core<Mips>, at: u64, value: u64, part: u64) -> Result<u64, Exception> {
    let (bytes, left, big) = (1 << (part & 3), part & 4 != 0, part & 8 != 0);
    let in_word = at % bytes;
    // The most significant byte is at the lowest address where the order is big-endian.
    let up = left == big;
    let count = if up { bytes - in_word } else { in_word + 1 };
    for i in 0..count {
        let to = if up { at + i } else { at - i };
        let byte = if left { bytes - 1 - i } else { i };
        core.store(to, Mem::plain(0), value >> (8 * byte))?;
    }
    Ok(0)
}

/// The helpers by index.
pub static FUNCTIONS: &[HelperFn<Mips>] = &[
    |c, [a, ..]| Err(exceptions::plain(c, a as u8)),
    |c, [a, ..]| Err(exceptions::unusable(c, a as u8)),
    |c, [a, ..]| cp0::read(c, a as u32),
    |c, [a, b, d, _]| cp0::write(c, a as u32, b, d != 0),
    |c, [a, ..]| tlb::operation(c, a as u32),
    |c, _| exceptions::eret(c),
    |c, _| exceptions::deret(c),
    |c, _| exceptions::wait(c),
    |c, [a, b, ..]| cp0::cache(c, a as u32, b),
    |c, [a, ..]| cp0::rdhwr(c, a as u32),
    |c, [a, ..]| cp0::set_ie(c, a != 0),
    |c, [a, b, d, _]| exceptions::store_conditional(c, a, b, d as u8),
    |c, [a, ..]| fpu::control_read(c, a as u32),
    |c, [a, b, ..]| fpu::control_write(c, a as u32, b),
    |c, _| fpu::trap(c),
    |c, [a, ..]| cp0::synci(c, a),
    |c, [a, ..]| semihosting::sdbbp(c, a as u32),
    |c, [a, b, d, _]| cp0::shadow(c, a as u32, b, d != 0),
    |c, _| fpu::unimplemented(c),
    |c, [a, b, d, _]| store_part(c, a, b, d),
];
