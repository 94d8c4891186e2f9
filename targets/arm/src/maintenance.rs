//! System instructions: cache, TLB and address translation maintenance (op0 = 1).

use crate::exceptions::{self, Exception, abort};
use crate::state::{self, el};
use crate::sysregs as sr;
use crate::{Arm, mmu};
use proteus_exec::ops::Mem;
use proteus_exec::{Access, Core};

fn parts(k: u32) -> (u32, u32, u32, u32) {
    (k >> 11 & 7, k >> 7 & 15, k >> 3 & 15, k & 7)
}

/// What an instruction does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// IC IALLU, IALLUIS: stores to code are noticed when they happen, so nothing is left to do.
    InstructionAll,
    /// IC IVAU: the same, but the address is translated.
    InstructionLine,
    /// DC operations by address that only check it.
    DataLine,
    /// DC operations by set and way.
    SetWay,
    /// DC ZVA.
    Zero,
    /// AT S1Exy: the level it is for, and whether for a write.
    At(u8, bool),
    /// TLBI; broadcast or not.
    Tlbi(bool),
}

/// Cases of the encoding index in the Arm ARM (C5.2 to C5.5); `None` where none is allocated.
fn kind(k: u32) -> Option<Kind> {
    Some(match parts(k) {
        (0, 7, 1, 0) | (0, 7, 5, 0) => Kind::InstructionAll,
        (3, 7, 5, 1) => Kind::InstructionLine,
        (0, 7, 6, 1) | (3, 7, 10..=14, 1) => Kind::DataLine,
        (0, 7, 6 | 10 | 14, 2) => Kind::SetWay,
        (3, 7, 4, 1) => Kind::Zero,
        (0, 7, 8, op2 @ 0..=1) => Kind::At(1, op2 == 1),
        (0, 7, 8, op2 @ 2..=3) => Kind::At(0, op2 == 3),
        (4, 7, 8, op2 @ 0..=1) => Kind::At(2, op2 == 1),
        (6, 7, 8, op2 @ 0..=1) => Kind::At(3, op2 == 1),
        (0, 8, crm @ (3 | 7), 0..=3 | 5 | 7) => Kind::Tlbi(crm == 3),
        (4, 8, crm @ (3 | 7), 0 | 1 | 4 | 5 | 6) => Kind::Tlbi(crm == 3),
        (4, 8, 0 | 4, 1 | 5) => Kind::Tlbi(true),
        (6, 8, crm @ (3 | 7), 0 | 1 | 5) => Kind::Tlbi(crm == 3),
        _ => return None,
    })
}

/// Whether `k` is an allocated system instruction.
pub fn is_instruction(k: u32) -> bool {
    kind(k).is_some()
}

/// Whether what follows must be looked up anew.
pub fn instruction_resyncs(k: u32) -> bool {
    matches!(kind(k), Some(Kind::Tlbi(_) | Kind::InstructionLine | Kind::InstructionAll))
}

/// Lowest level that may execute it.
fn level(k: u32) -> u8 {
    match k >> 11 & 7 {
        3 => 0,
        4 => 2,
        6 => 3,
        _ => 1,
    }
}

/// Bytes that DC ZVA writes: 64 on every model here.
const ZVA: u64 = 64;

/// SYS, as a helper: the key, with Rt above it, and the value.
pub fn sys(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    maintain(core, a[0] as u32 & 0xffff, a[1]).map_err(|e| sr::named(e, a[0], false))
}

fn maintain(core: &mut Core<Arm>, k: u32, v: u64) -> Result<u64, Exception> {
    let now = el(core);
    if now < level(k) {
        return Err(Exception::UNDEFINED);
    }
    if level(k) == 2 && !core.target.has_el2 || level(k) == 3 && !core.target.has_el3 {
        return Err(Exception::UNDEFINED);
    }
    let Some(what) = kind(k) else { return Err(Exception::UNDEFINED) };
    if now == 0 {
        // SCTLR_EL1.UCI and DZE.
        let bit = if what == Kind::Zero { 14 } else { 26 };
        if core.word(sr::SCTLR_EL1) >> bit & 1 == 0 {
            return Err(sr::el0_trap(k, false));
        }
    }
    match what {
        Kind::InstructionAll | Kind::SetWay => {}
        Kind::InstructionLine => instruction_line(core, v)?,
        Kind::DataLine => check_line(core, v, parts(k) == (0, 7, 6, 1))?,
        Kind::Zero => zero(core, v & !(ZVA - 1))?,
        Kind::At(level, write) => mmu::address_translate(core, v, level, write),
        Kind::Tlbi(broadcast) => tlbi(core, k, v, broadcast),
    }
    Ok(0)
}

/// The address must translate; DC IVAC needs write permission. The fault is one of cache
/// maintenance: CM and WnR are set.
fn check_line(core: &mut Core<Arm>, address: u64, write: bool) -> Result<(), Exception> {
    let access = if write { Access::Write } else { Access::Read };
    let level = el(core);
    match mmu::translate_for(core, address, access, level, false) {
        Ok(_) => Ok(()),
        Err(fsc) => Err(abort(Access::Write, address, fsc | 1 << 8)),
    }
}

/// IC IVAU: the lines at the address are decoded anew by every core.
fn instruction_line(core: &mut Core<Arm>, address: u64) -> Result<(), Exception> {
    check_line(core, address, false)
}

/// DC ZVA: by eight-byte stores, so that faults, devices and code pages are treated as any store.
fn zero(core: &mut Core<Arm>, address: u64) -> Result<(), Exception> {
    for i in 0..ZVA / 8 {
        core.store(address + 8 * i, Mem::plain(3), 0)?;
    }
    Ok(())
}

fn tlbi(core: &mut Core<Arm>, k: u32, v: u64, broadcast: bool) {
    let (op1, _, _, op2) = parts(k);
    let f = mmu::flush_of(op1, op2, v);
    core.flush_tlb(f);
    if broadcast {
        core.system.flush(core.id, f);
        core.target.tlbi_sent = true;
    }
}

/// DSB: broadcast TLB maintenance that this core asked for is complete before it goes on.
pub fn dsb(core: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    if core.target.tlbi_sent {
        core.target.tlbi_sent = false;
        core.wait_settled = true;
        core.stop_soon();
    }
    Ok(0)
}

// ---- Exclusives of two registers, and CASP.

fn order(big: bool, size: u64, first: u64, second: u64) -> u128 {
    // The pair in memory order, as one little-endian number.
    let bytes = 8 << size;
    let _ = bytes;
    let (first, second) = if big { (swap(size, first), swap(size, second)) } else { (first, second) };
    if size == 2 { (first & 0xffff_ffff | second << 32) as u128 } else { first as u128 | (second as u128) << 64 }
}

fn swap(size: u64, v: u64) -> u64 {
    if size == 2 { (v as u32).swap_bytes() as u64 } else { v.swap_bytes() }
}

fn pair_mem(size: u64) -> Mem {
    Mem { align: 2 << size, ..Mem::plain(3) }
}

/// LDXP: gives the low 64 bits of the pair in memory order (both words of a 32-bit pair), each
/// register's bytes in its own order; the monitor keeps the memory image.
pub fn load_exclusive_pair(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    let (address, size, big) = (a[0], a[1] & 0xff, a[1] >> 8 != 0);
    let low = core.load(address, pair_mem(size))?;
    let (low, high) = if size == 3 {
        // Both halves must be of one moment: read until the first is still the same.
        let mut low = low;
        loop {
            let high = core.load(address + 8, Mem::plain(3))?;
            let again = core.load(address, Mem::plain(3))?;
            if again == low {
                break (low, high);
            }
            low = again;
        }
    } else {
        (low, 0)
    };
    *core.word_mut(state::EXCL_ADDRESS) = address;
    *core.word_mut(state::EXCL_SIZE) = size + 1;
    if size == 2 {
        *core.word_mut(state::EXCL_LOW) = low;
        *core.word_mut(state::EXCL_HIGH) = 0;
        return Ok(if big { low.swap_bytes() } else { low });
    }
    let (low, high) = if big { (low.swap_bytes(), high.swap_bytes()) } else { (low, high) };
    *core.word_mut(state::EXCL_LOW) = low;
    *core.word_mut(state::EXCL_HIGH) = high;
    Ok(low)
}

/// STXR: 0 where the value was stored, 1 where the monitor has lost the address.
pub fn store_exclusive(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    let (address, size, big, value) = (a[0], a[1] & 0xff, a[1] >> 8 != 0, a[2]);
    let m = Mem { align: 1 << size, big, ..Mem::plain(size as u8) };
    if !address.is_multiple_of(m.bytes()) {
        return Err(exceptions::bus_error(address, Access::Write, proteus_exec::BusError::Alignment));
    }
    let held = core.word(state::EXCL_ADDRESS) == address && core.word(state::EXCL_SIZE) == size;
    let expected = core.word(state::EXCL_LOW);
    *core.word_mut(state::EXCL_ADDRESS) = state::NO_EXCLUSIVE;
    if !held {
        return Ok(1);
    }
    Ok((core.compare_swap(address, m, expected, value)? != expected) as u64)
}

/// STXP: as [`store_exclusive`], of two registers.
pub fn store_exclusive_pair(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    let (address, size, big) = (a[0], a[1] & 0xff, a[1] >> 8 != 0);
    if !address.is_multiple_of(2 << size) {
        return Err(exceptions::bus_error(address, Access::Write, proteus_exec::BusError::Alignment));
    }
    let held = core.word(state::EXCL_ADDRESS) == address && core.word(state::EXCL_SIZE) == size + 1;
    let (low, high) = (core.word(state::EXCL_LOW), core.word(state::EXCL_HIGH));
    *core.word_mut(state::EXCL_ADDRESS) = state::NO_EXCLUSIVE;
    if !held {
        return Ok(1);
    }
    let new = order(big, size, a[2], a[3]);
    if size == 2 {
        let m = Mem::plain(3);
        return Ok((core.compare_swap(address, m, low, new as u64)? != low) as u64);
    }
    let expected = order(big, size, low, high);
    Ok((core.compare_swap16(address, expected, new)? != expected) as u64)
}

/// CASP: compares and swaps the pair of Rs, Rs+1 with Rt, Rt+1.
pub fn cas_pair(core: &mut Core<Arm>, a: [u64; 4]) -> Result<u64, Exception> {
    let (address, size, big) = (a[0], a[1] & 0xff, a[1] >> 8 & 1 != 0);
    let (rs, rt) = ((a[1] >> 16 & 31) as u32, (a[1] >> 24 & 31) as u32);
    if !address.is_multiple_of(2 << size) {
        return Err(exceptions::bus_error(address, Access::Write, proteus_exec::BusError::Alignment));
    }
    let get = |core: &Core<Arm>, r: u32| if r == 31 { 0 } else { core.word(state::x(r)) };
    let expected = order(big, size, get(core, rs), get(core, rs + 1));
    let new = order(big, size, get(core, rt), get(core, rt + 1));
    let old =
        if size == 2 { core.compare_swap(address, Mem::plain(3), expected as u64, new as u64)? as u128 } else { core.compare_swap16(address, expected, new)? };
    let (first, second) = if size == 2 { (old as u64 & 0xffff_ffff, (old >> 32) as u64) } else { (old as u64, (old >> 64) as u64) };
    let (first, second) = if big { (swap(size, first), swap(size, second)) } else { (first, second) };
    for (r, v) in [(rs, first), (rs + 1, second)] {
        if r != 31 {
            *core.word_mut(state::x(r)) = v;
        }
    }
    Ok(0)
}

// ---- Waiting.

/// WFI. SCTLR_EL1.nTWI lets EL0 wait.
pub fn wfi(core: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    if el(core) == 0 && core.word(sr::SCTLR_EL1) >> 16 & 1 == 0 {
        return Err(Exception::sync(exceptions::ec::WFX, 1 << 24 | 0xe << 20));
    }
    core.halted = true;
    Ok(0)
}

/// WFE: the event register, where it is set, is cleared; otherwise the turn is given up. Other
/// cores' events and interrupts end the wait, and waking early is always allowed.
pub fn wfe(core: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    if el(core) == 0 && core.word(sr::SCTLR_EL1) >> 18 & 1 == 0 {
        return Err(Exception::sync(exceptions::ec::WFX, 1 << 24 | 0xe << 20 | 1));
    }
    if core.word(state::EVENT) != 0 {
        *core.word_mut(state::EVENT) = 0;
    } else {
        core.yielded = true;
        core.attention = true;
        core.stop_soon();
    }
    Ok(0)
}

/// SEV: cores that wait for an event look again by themselves.
pub fn sev(core: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    *core.word_mut(state::EVENT) = 1;
    Ok(0)
}

/// YIELD: another core may have the turn.
pub fn r#yield(core: &mut Core<Arm>, _: [u64; 4]) -> Result<u64, Exception> {
    core.yielded = true;
    core.stop_soon();
    Ok(0)
}
