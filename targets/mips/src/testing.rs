//! A core with some memory, for the tests of this crate.

use crate::exceptions::status;
use crate::{Configuration, Mips, cp0, models};
use proteus_exec::Core;
use proteus_exec::system::System;
use proteus_model::ram::Region;
use proteus_model::{CoreId, Line, MachineBuilder};

/// RAM from address 0 on.
pub const RAM: u64 = 0x80_0000;

/// A little-endian core of the model, as after a reset, in kernel mode without ERL and BEV.
pub fn core(model: &str) -> Box<Core<Mips>> {
    core_of(model, MachineBuilder::new("test", 1))
}

/// The core of a machine that has devices besides.
pub fn core_of(model: &str, mut b: MachineBuilder) -> Box<Core<Mips>> {
    b.ram(0, &Region::new("ram", RAM).unwrap());
    let machine = b.build().unwrap();
    let system = System::new(machine.core_lines(CoreId(0)).cloned());
    let configuration = Configuration { model: models::find(model).unwrap(), big: false, count_frequency: 100_000_000, reset_address: 0xffff_ffff_bfc0_0000 };
    let mut core = Core::new(CoreId(0), Mips::new(&configuration), machine, system);
    set(&mut core, 0);
    core
}

/// Writes Status and brings what follows from it up to date.
pub fn set(core: &mut Core<Mips>, v: u64) {
    *core.word_mut(cp0::STATUS) = v;
    core.resync();
}

/// Drives the line of hardware interrupt IP`n`.
pub fn line(core: &Core<Mips>, n: u8, level: bool) {
    core.lines.set(Line(n), level);
}

/// Status for user mode, and what else is wanted.
pub const fn user(more: u64) -> u64 {
    2 << 3 | more
}

/// Status for supervisor mode.
pub const fn supervisor(more: u64) -> u64 {
    1 << 3 | more
}

/// Status.UX, SX and KX.
pub const WIDE: u64 = status::UX | status::SX | status::KX;
