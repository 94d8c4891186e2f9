//! A core with a megabyte of memory, its tables on, and a handler that skips what faults.

use proteus_arm::{Arm, Configuration, models, state, sysregs as sr};
use proteus_arm_glue::compiler;
use proteus_exec::system::System;
use proteus_exec::{Core, Cpu, Thresholds};
use proteus_ins::fuzz;
use proteus_model::ram::Region;
use proteus_model::{Clock, CoreId, Machine, MachineBuilder};
use proteus_translator::Compiler;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Where memory begins, and how much there is.
pub const RAM: u64 = 0x4000_0000;
pub const BYTES: u64 = 1 << 20;
/// Translation tables and exception vectors, where no stray store reaches them: a core that
/// cannot fetch its vectors takes exceptions for ever.
const TABLES: u64 = 0x8000_0000;
const VECTORS: u64 = TABLES + 0x4000;
/// Code, data.
pub const CODE: u64 = RAM + 0x1000;
pub const DATA: u64 = RAM + 0x1_0000;
pub const DATA_BYTES: u64 = 0x1_0000;

pub fn machine(cores: usize) -> Arc<Machine> {
    machine_with(cores, Clock::virtual_time())
}

/// As [`machine`], with a clock.
pub fn machine_with(cores: usize, clock: Clock) -> Arc<Machine> {
    machine_and(cores, clock, |_| ())
}

/// As [`machine_with`], with what `more` adds.
pub fn machine_and(cores: usize, clock: Clock, more: impl FnOnce(&mut MachineBuilder)) -> Arc<Machine> {
    let mut b = MachineBuilder::new("test", cores);
    more(&mut b);
    b.clock(Arc::new(clock));
    b.ram(RAM, &Region::new("ram", BYTES).expect("memory"));
    b.ram(TABLES, &Region::new("fixed", 0x1_0000).expect("memory"));
    let machine = b.build().expect("a machine");
    // One block of a gigabyte: accessed, inner shareable, Normal.
    machine.poke(TABLES + 8, &(RAM | 0x701u64).to_le_bytes()).expect("RAM");
    // Another, read-only.
    machine.poke(TABLES + 16, &(TABLES | 0x781u64).to_le_bytes()).expect("RAM");
    // mrs x30, elr_el1; add x30, x30, 4; msr elr_el1, x30; eret
    let handler: [u32; 4] = [0xd538_403e, 0x9100_13de, 0xd518_403e, 0xd69f_03e0];
    for entry in 0..16 {
        for (i, w) in handler.iter().enumerate() {
            machine.poke(VECTORS + entry * 0x80 + 4 * i as u64, &w.to_le_bytes()).expect("RAM");
        }
    }
    machine
}

/// The cores of `machine`, compiling where a compiler is given.
pub fn cpus(machine: &Arc<Machine>, compile: Option<(&Arc<Compiler<Arm>>, u32)>) -> Vec<Cpu<Arm>> {
    let thresholds = Thresholds { compile: compile.map_or(u32::MAX, |c| c.1) };
    cores(machine).into_iter().map(|core| Cpu::new(core, compile.map(|(c, _)| c.tier()), thresholds)).collect()
}

/// The cores of `machine`, at EL1.
pub fn cores(machine: &Arc<Machine>) -> Vec<Box<Core<Arm>>> {
    let n = machine.core_count();
    let configuration = Configuration {
        model: models::find("max").expect("a model"),
        has_el2: false,
        has_el3: false,
        conduit: None,
        affinities: (0..n as u64).collect(),
        frequency: 62_500_000,
        gic_sysregs: false,
        reset_address: CODE,
    };
    let system = System::new((0..n).map(|i| machine.core_lines(CoreId(i as u16)).cloned().expect("lines")));
    (0..n)
        .map(|i| {
            let id = CoreId(i as u16);
            system.set_on(id, true);
            let mut core = Core::new(id, Arm::new(&configuration), machine.clone(), system.clone());
            core.powered = true;
            for (slot, v) in [
                (state::EL, 1),
                (state::SPSEL, 1),
                (state::DAIF, 0x3c0),
                (sr::SCTLR_EL1, 0x30d0_1805),
                (sr::CPACR_EL1, 3 << 20),
                (sr::TCR_EL1, 2 << 32 | 1 << 23 | 25 << 16 | 25),
                (sr::TTBR0_EL1, TABLES),
                (sr::MAIR_EL1, 0xff),
                (sr::VBAR_EL1, VECTORS),
                (state::PC, CODE),
                (state::SP, DATA + 0x800),
            ] {
                *core.word_mut(slot) = v;
            }
            core.resync();
            core
        })
        .collect()
}

/// One core and its memory.
pub struct Rig(pub fuzz::Rig<Arm>);

impl Deref for Rig {
    type Target = fuzz::Rig<Arm>;
    fn deref(&self) -> &fuzz::Rig<Arm> {
        &self.0
    }
}

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut fuzz::Rig<Arm> {
        &mut self.0
    }
}

impl Rig {
    /// With instructions for time. `compile` is the threshold; none for the interpreter alone.
    pub fn new(compile: Option<u32>) -> Rig {
        Rig::on(&machine(1), compile)
    }

    /// As [`Rig::new`], on a machine of one core.
    pub fn on(machine: &Arc<Machine>, compile: Option<u32>) -> Rig {
        Rig(fuzz::Rig::new(cores(machine).remove(0), (RAM, BYTES), compile, compiler))
    }

    pub fn program(&mut self, words: &[u32]) {
        load(&mut self.0, words);
    }

    pub fn x(&self, r: u32) -> u64 {
        self.cpu.core.word(state::x(r))
    }
}

/// Puts a program in place.
pub fn load(rig: &mut fuzz::Rig<Arm>, words: &[u32]) {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    rig.poke(CODE, &bytes);
    rig.cpu.forget();
}
