//! A program of system instructions against the log that a reference has left, in each tier.
//!
//! `../tests/recorded/privileged-*.txt` have lines of words in hexadecimal: `address: words` of the
//! program, then after `log` what it writes down, from physical address 0x20000 on.
//! `../tests/reference/privileged.S` is its source, and says how the files are made.
#![forbid(unsafe_code)]

use proteus_exec::system::System;
use proteus_exec::{Core, Cpu, InstructionClock, Thresholds};
use proteus_mips::{Configuration, Mips, cp0, models, state};
use proteus_mips_glue::compiler;
use proteus_model::ram::Region;
use proteus_model::{CoreId, MachineBuilder};
use proteus_translator::Options;
use std::path::PathBuf;
use std::sync::Arc;

const RAM_BYTES: u64 = 0x80_0000;
const LOG: u64 = 0x2_0000;
/// The program is at its end long before.
const MOST: i64 = 20_000;

struct Recorded {
    words: Vec<(u64, u32)>,
    log: Vec<u64>,
}

fn recorded(name: &str) -> Recorded {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/recorded").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let number = |t: &str| u64::from_str_radix(t, 16).unwrap();
    let (mut words, mut log) = (Vec::new(), None);
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        if line == "log" {
            log = Some(Vec::new());
        } else if let Some(log) = &mut log {
            log.extend(line.split_whitespace().map(number));
        } else {
            let (at, rest) = line.split_once(':').unwrap();
            words.extend(rest.split_whitespace().enumerate().map(|(n, w)| (number(at) + 4 * n as u64, number(w) as u32)));
        }
    }
    Recorded { words, log: log.unwrap() }
}

/// What the program writes down on `model`, run by the interpreter or compiled, a piece of
/// `piece` instructions after the other.
fn run(r: &Recorded, model: &str, big: bool, compiled: bool, piece: i64) -> Vec<u64> {
    let mut b = MachineBuilder::new("test", 1);
    let ram = Region::new("ram", RAM_BYTES).unwrap();
    b.ram(0, &ram);
    let machine = b.build().unwrap();
    let model = models::find(model).unwrap();
    let configuration = Configuration { model, big, count_frequency: 100_000_000, reset_address: 0xffff_ffff_8000_0400 };
    let system = System::new(machine.core_lines(CoreId(0)).cloned());
    system.set_on(CoreId(0), true);
    for &(at, word) in &r.words {
        let bytes = if big { word.to_be_bytes() } else { word.to_le_bytes() };
        ram.write(at, &bytes).unwrap();
    }
    let core = Core::new(CoreId(0), Mips::new(&configuration), machine, system);
    let mut cpu = if compiled {
        let compiler = compiler(Options { at_once: true, ..Options::default() }).unwrap();
        Cpu::new(core, Some(Arc::clone(&compiler).tier()), Thresholds { compile: 1 })
    } else {
        Cpu::new(core, None, Thresholds { compile: u32::MAX })
    };
    cpu.core.powered = true;
    cpu.core.deterministic = Some(InstructionClock { shift: 0, base: 0, from: 0 });
    let start = state::kept(&cpu.core, configuration.reset_address);
    *cpu.core.word_mut(state::PC) = start;
    // As a firmware leaves it: without ERL and BEV.
    *cpu.core.word_mut(cp0::STATUS) = 0;
    cpu.core.resync();
    // A run may end before its budget is used up, but not without an instruction.
    for _ in 0..MOST {
        cpu.run(piece);
        if cpu.core.retired >= MOST as u64 {
            break;
        }
    }
    let bytes = if model.bits64 { 8 } else { 4 };
    (0..r.log.len() as u64)
        .map(|n| {
            let v = ram.load(LOG + n * bytes, bytes as u32).unwrap();
            if big { v.swap_bytes() >> (64 - 8 * bytes) } else { v }
        })
        .collect()
}

#[test]
fn a_program_writes_down_what_the_reference_does() {
    for (file, model) in [("privileged-32.txt", "24Kf"), ("privileged-64.txt", "MIPS64R2-generic")] {
        let r = recorded(file);
        assert_eq!(r.log.last(), Some(&0xe0d), "{file}");
        // The program has no data in it, so it is the same in either byte order; a byte and a
        // halfword that it loads are zero.
        for big in [false, true] {
            for (compiled, piece) in [(false, MOST), (true, MOST), (false, 1), (true, 7)] {
                let log = run(&r, model, big, compiled, piece);
                let at = log.iter().zip(&r.log).position(|(a, b)| a != b);
                if let Some(at) = at {
                    let near = |l: &[u64]| l[at.saturating_sub(9)..(at + 4).min(l.len())].iter().map(|v| format!("{v:x} ")).collect::<String>();
                    panic!("{model} big {big} compiled {compiled} by {piece}: entry {at}\n got {}\nwant {}", near(&log), near(&r.log));
                }
            }
        }
    }
}
