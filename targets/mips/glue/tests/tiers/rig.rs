//! A core with a megabyte of memory, and a handler that skips what faults.

use proteus_exec::Core;
use proteus_exec::system::System;
use proteus_ins::fuzz::Rig;
use proteus_mips::{Configuration, Mips, cp0, models};
use proteus_mips_glue::compiler;
use proteus_model::ram::Region;
use proteus_model::{CoreId, MachineBuilder};

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

/// A core, compiling after so many interpretations where `compile` says so.
pub fn rig(model: &str, big: bool, compile: Option<u32>) -> Rig<Mips> {
    let mut b = MachineBuilder::new("test", 1);
    b.ram(0, &Region::new("ram", BYTES).expect("memory"));
    b.rom(VECTORS, &Region::new("vectors", 0x1000).expect("memory"));
    let machine = b.build().expect("a machine");
    let configuration = Configuration { model: models::find(model).expect("a model"), big, count_frequency: 100_000_000, reset_address: 0xffff_ffff_8000_1000 };
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
    *core.word_mut(cp0::STATUS) = 0;
    core.resync();
    Rig::new(core, (0, BYTES), compile, compiler)
}

/// Puts a program in place.
pub fn load(rig: &mut Rig<Mips>, words: &[u32]) {
    let big = rig.cpu.core.target.big;
    let bytes: Vec<u8> = words.iter().flat_map(|w| if big { w.to_be_bytes() } else { w.to_le_bytes() }).collect();
    rig.poke(CODE - KSEG0, &bytes);
    rig.cpu.forget();
}

/// The program as memory has it now.
pub fn code(rig: &Rig<Mips>, n: usize) -> Vec<u32> {
    let at = (CODE - KSEG0) as usize;
    let word = |c: &[u8]| c.try_into().map_or(0, |c| if rig.cpu.core.target.big { u32::from_be_bytes(c) } else { u32::from_le_bytes(c) });
    rig.memory()[at..at + 4 * n].chunks(4).map(word).collect()
}
