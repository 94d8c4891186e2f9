//! A core with a megabyte of memory, and a handler that skips what faults.

use proteus_exec::ops::Slot;
use proteus_exec::system::System;
use proteus_exec::{Core, Cpu, InstructionClock, Stop, Thresholds, WORDS};
use proteus_mips::{Configuration, Mips, cp0, models};
use proteus_mips_glue::compiler;
use proteus_model::ram::Region;
use proteus_model::{CoreId, MachineBuilder};
use proteus_translator::{Compiler, Options};
use std::sync::Arc;

/// Where unmapped memory begins, and how much there is.
pub const KSEG0: u64 = 0x8000_0000;
pub const BYTES: u64 = 1 << 20;
/// Exception vectors, where no stray store reaches them: a core that cannot fetch its vectors takes
/// exceptions for ever.
const VECTORS: u64 = 0x0800_0000;
/// Code and data, as 32-bit addresses.
pub const CODE: u64 = KSEG0 + 0x1000;
pub const DATA: u64 = KSEG0 + 0x1_0000;
pub const DATA_BYTES: u64 = 0x1_0000;

/// One core and its memory.
pub struct Rig {
    pub cpu: Cpu<Mips>,
    pub compiler: Option<Arc<Compiler<Mips>>>,
    big: bool,
}

impl Rig {
    /// With instructions for time. `compile` is the threshold; none for the interpreter alone.
    pub fn new(model: &str, big: bool, compile: Option<u32>) -> Rig {
        let mut b = MachineBuilder::new("test", 1);
        b.ram(0, &Region::new("ram", BYTES).expect("memory"));
        b.rom(VECTORS, &Region::new("vectors", 0x1000).expect("memory"));
        let machine = b.build().expect("a machine");
        let configuration =
            Configuration { model: models::find(model).expect("a model"), big, count_frequency: 100_000_000, reset_address: 0xffff_ffff_8000_1000 };
        // Of 32 bits or 64: mfc0 k0, EPC; addiu k0, k0, 4; mtc0 k0, EPC; eret.
        let handler: [u32; 4] = match configuration.model.bits64 {
            false => [0x401a_7000, 0x275a_0004, 0x409a_7000, 0x4200_0018],
            true => [0x403a_7000, 0x675a_0004, 0x40ba_7000, 0x4200_0018],
        };
        for vector in [0, 0x80, 0x100, 0x180, 0x200] {
            for (i, w) in handler.iter().enumerate() {
                let bytes = if big { w.to_be_bytes() } else { w.to_le_bytes() };
                machine.poke(VECTORS + vector + 4 * i as u64, &bytes).expect("memory");
            }
        }
        let system = System::new(machine.core_lines(CoreId(0)).cloned());
        system.set_on(CoreId(0), true);
        let mut core = Core::new(CoreId(0), Mips::new(&configuration), machine, system);
        core.powered = true;
        let ebase = KSEG0 + VECTORS;
        *core.word_mut(proteus_mips::state::cp0(15, 1)) = if configuration.model.bits64 { ebase as u32 as i32 as i64 as u64 } else { ebase };
        core.deterministic = Some(InstructionClock { shift: 0, base: 0, from: 0 });
        *core.word_mut(cp0::STATUS) = 0;
        core.resync();
        let compiler = compile.map(|_| compiler(Options { at_once: true, ..Options::default() }).expect("a compiler"));
        let tier = compiler.as_ref().map(Compiler::tier);
        Rig { cpu: Cpu::new(core, tier, Thresholds { compile: compile.unwrap_or(u32::MAX) }), compiler, big }
    }

    /// A 64-bit model.
    pub fn wide(&self) -> bool {
        self.cpu.core.target.model.bits64
    }

    /// Status.FR exists.
    pub fn has_fr(&self) -> bool {
        self.cpu.core.target.model.fpu64()
    }

    pub fn program(&mut self, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| if self.big { w.to_be_bytes() } else { w.to_le_bytes() }).collect();
        self.cpu.core.machine.poke(CODE - KSEG0, &bytes).expect("RAM");
        self.cpu.forget();
    }

    /// The program as memory has it now.
    pub fn code(&self, n: usize) -> Vec<u32> {
        let at = (CODE - KSEG0) as usize;
        let word = |c: &[u8]| c.try_into().map_or(0, |c| if self.big { u32::from_be_bytes(c) } else { u32::from_le_bytes(c) });
        self.memory()[at..at + 4 * n].chunks(4).map(word).collect()
    }

    pub fn set(&mut self, slot: Slot, v: u64) {
        *self.cpu.core.word_mut(slot) = v;
    }

    /// Runs exactly `n` instructions, or until the core waits.
    pub fn run(&mut self, n: u64) -> Stop {
        let end = self.cpu.core.executed() + n;
        loop {
            let left = end - self.cpu.core.executed();
            let stop = self.cpu.run(left as i64);
            if stop != Stop::Budget || self.cpu.core.executed() >= end {
                return stop;
            }
        }
    }

    /// The register words.
    pub fn words(&self) -> Vec<u64> {
        (0..WORDS as u16).map(|i| self.cpu.core.word(Slot(i))).collect()
    }

    /// All memory.
    pub fn memory(&self) -> Vec<u8> {
        let mut m = vec![0; BYTES as usize];
        self.cpu.core.machine.peek(0, &mut m).expect("RAM");
        m
    }
}
