//! The instruction tests of `targets/arm/tests/*.ins`, run by each tier. How a line is written is
//! in the documentation of tools/ins; `[at]=#5` is a 64-bit number in memory, and these are the
//! names:
//! - `x0` to `x30`, `sp`, `v0` (32 digits), `v0.d[1]`, `nzcv`, `fpcr`, `fpsr`, and any register of
//!   `sysregs::ROWS` in lower case; `sp_el0` to `sp_el3`;
//! - `el`, `spsel`, `daif` (as the register has it), `pan`, `uao`, `dit`, `ssbs`, `ss`, `il`;
//! - `[40010000]=0102` bytes of memory, `[40010000]=#5` a 64-bit number there;
//! - before only: `at` address of the first word, `cpu` model, `has` (`el2`, `el3`, divided by
//!   commas), `conduit` (`hvc` or `smc`), `irq=1`, `fiq=1`;
//! - after only: `pc` (`+N` relative to the first word, or absolute), `halted=1`.
//!
//! The pc must be at the end of the words. `=> exception ec=24 iss=7 far=0` says that an exception
//! was taken to EL1 (or `to=2`) with that syndrome; `elr=+N` is its return address, the first word
//! unless given; more changes may follow. `=> undefined` is `=> exception ec=0 iss=0`.
//!
//! Without settings the core is a Cortex-A53 without EL2 and EL3, in EL1 with SP_EL1, its
//! registers zero, SP 40020000, interrupts masked, FP enabled and the MMU on, with this memory:
//! see [`PAGES`]. What is not code is zero; around the words all code is `b .`, and one of
//! these is run after the words.
#![forbid(unsafe_code)]

use capstone::prelude::*;
use proteus_arm::a64::{self, Feature};
use proteus_arm::sysregs::{self as sr, ROWS};
use proteus_arm::{Arm, Configuration, exceptions, models, psci::Conduit, state};
use proteus_arm_glue::compiler;
use proteus_exec::ops::{Ops, Slot};
use proteus_exec::system::System;
use proteus_exec::{Core, Cpu, InstructionClock, Stop, Target, WORDS};
use proteus_ins::{Line, Processor, Suite, Tier, address, number};
use proteus_model::ram::Region;
use proteus_model::{CoreId, Line as Pin, Machine, MachineBuilder};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// The model of lines that name none.
const DEFAULT_MODEL: &str = "cortex-a53";

/// Where RAM is, and how much; a second, small one is at 0.
const RAM: u64 = 0x4000_0000;
const RAM_BYTES: u64 = 0x6_0000;
const LOW_BYTES: u64 = 0x4000;
/// Code, all of it `b .` but for the words of the line.
const CODE_BYTES: u64 = 0x1_0000;
/// Where the first word of a line is unless it says `at`.
const START: u64 = RAM + 0x1000;
/// Exception vectors of EL1, EL2 and EL3.
const VECTORS: [u64; 3] = [RAM + 0x8000, RAM + 0x8800, RAM + 0x9000];
/// Translation tables of EL1&0: level 1, 2 and 3.
const TABLES: u64 = RAM + 0x5_0000;

/// Attributes of a page descriptor: valid, access flag, inner shareable, and what a test varies.
const PAGE: u64 = 0x703;
const EL0_TOO: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const DEVICE: u64 = 1 << 2;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;

/// The pages of RAM from an offset on, with their descriptors' bits. All map to themselves but
/// for the last row.
const PAGES: &[(u64, u64)] = &[
    // Code: both levels read and execute.
    (0x0_0000, PAGE | EL0_TOO | READ_ONLY),
    // Data: both levels read and write.
    (0x1_0000, PAGE | EL0_TOO | UXN | PXN),
    // EL1 reads and writes.
    (0x4_0000, PAGE | UXN | PXN),
    // EL1 reads.
    (0x4_1000, PAGE | READ_ONLY | UXN | PXN),
    // Both read.
    (0x4_2000, PAGE | READ_ONLY | EL0_TOO | UXN | PXN),
    // Nothing.
    (0x4_3000, 0),
    // No access flag.
    (0x4_4000, PAGE & !0x400),
    // EL1 reads, writes and executes.
    (0x4_5000, PAGE | UXN),
    // EL0 executes and cannot read; EL1 reads and writes.
    (0x4_6000, PAGE | PXN),
    // Device-nGnRnE.
    (0x4_7000, PAGE | EL0_TOO | DEVICE | UXN | PXN),
    // A physical address where nothing is.
    (0x4_8000, PAGE | EL0_TOO | 0x8000_0000),
    // Nothing.
    (0x4_9000, 0),
    // The tables and what is before them.
    (0x5_0000, PAGE | UXN | PXN),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

fn suite() -> Suite {
    Suite::read(&folder(), &[("undefined", "ec=0 iss=0")])
}

/// Bytes of memory, or with `#` a 64-bit number.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix('#') {
        Some(n) => Ok(number(n)?.to_le_bytes().to_vec()),
        None => proteus_ins::bytes(text),
    }
}

/// The word of a system register by its name in lower case.
fn system_slot(name: &str) -> Option<Slot> {
    let i = ROWS.iter().position(|r| r.name.eq_ignore_ascii_case(name))?;
    Some(Slot(state::SYSREGS + i as u16))
}

/// Words that say nothing of the architectural state by themselves: the program counter, lazy
/// flags and stack pointers, which are compared by what they mean, and monitors.
fn is_compared(slot: u16) -> bool {
    let sp = state::SP_EL.0;
    !matches!(Slot(slot), state::PC | state::SP | state::FLAG_OP | state::FLAG_A | state::FLAG_B | state::FP_FAST | state::EVENT)
        && !matches!(Slot(slot), state::EXCL_ADDRESS | state::EXCL_LOW | state::EXCL_HIGH | state::EXCL_SIZE)
        && !(sp..sp + 4).contains(&slot)
}

/// All that a line can speak of.
#[derive(Clone)]
struct State {
    words: [u64; WORDS],
    pc: u64,
    nzcv: u64,
    sp: [u64; 4],
    halted: bool,
    low: Vec<u8>,
    ram: Vec<u8>,
}

impl State {
    fn word(&self, s: Slot) -> u64 {
        self.words[s.0 as usize]
    }
    fn word_mut(&mut self, s: Slot) -> &mut u64 {
        &mut self.words[s.0 as usize]
    }
    /// Which of the stack pointers is in use.
    fn bank(&self) -> usize {
        if self.word(state::SPSEL) & 1 == 0 { 0 } else { self.word(state::EL) as usize & 3 }
    }

    fn of(core: &mut Core<Arm>) -> State {
        let read = |at, n: u64| {
            let mut v = vec![0; n as usize];
            core.machine.peek(at, &mut v).expect("RAM");
            v
        };
        let (low, ram) = (read(0, LOW_BYTES), read(RAM, RAM_BYTES));
        let sp = [0, 1, 2, 3].map(|n| exceptions::read_sp(core, n));
        let mut words = core.regs;
        // The other bits are the emulator's own notes.
        words[state::SS.0 as usize] &= 1;
        State { words, pc: core.pc(), nzcv: core.nzcv(), sp, halted: core.halted, low, ram }
    }

    fn put(&self, core: &mut Core<Arm>) {
        core.regs = self.words;
        *core.word_mut(state::PC) = self.pc;
        core.set_nzcv(self.nzcv);
        for (n, v) in self.sp.into_iter().enumerate() {
            *core.word_mut(state::SP_EL.at(n as u32)) = v;
        }
        *core.word_mut(state::SP) = self.sp[self.bank()];
        core.halted = self.halted;
        core.machine.poke(0, &self.low).expect("RAM");
        core.machine.poke(RAM, &self.ram).expect("RAM");
        proteus_arm::update_fp_fast(core);
        core.resync();
    }

    fn memory(&mut self, at: u64, n: usize) -> Result<&mut [u8], String> {
        let (base, ram) = if at >= RAM { (RAM, &mut self.ram) } else { (0, &mut self.low) };
        let from = (at - base) as usize;
        ram.get_mut(from..from + n).ok_or_else(|| format!("[{at:x}] is not in RAM"))
    }

    /// Sets what `name` means. False where it means nothing of the state.
    fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        if let Some(at) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
            let b = bytes(value)?;
            self.memory(number(at)?, b.len())?.copy_from_slice(&b);
            return Ok(true);
        }
        if let Some(r) = name.strip_prefix('v').and_then(|n| n.parse::<u32>().ok()).filter(|&n| n < 32) {
            let v = u128::from_str_radix(value, 16).map_err(|e| format!("{value}: {e}"))?;
            *self.word_mut(state::v(r)) = v as u64;
            *self.word_mut(state::v(r).at(1)) = (v >> 64) as u64;
            return Ok(true);
        }
        if let Some((r, half)) = name.strip_prefix('v').and_then(|n| n.strip_suffix(']')).and_then(|n| n.split_once(".d[")) {
            let (Ok(r), Ok(half @ 0..=1)) = (r.parse::<u32>(), half.parse()) else { return Ok(false) };
            *self.word_mut(state::v(r).at(half)) = number(value)?;
            return Ok(true);
        }
        if let Some(r) = name.strip_prefix('x').and_then(|n| n.parse::<u32>().ok()).filter(|&n| n < 31) {
            *self.word_mut(state::x(r)) = number(value)?;
            return Ok(true);
        }
        if let Some(n) = name.strip_prefix("sp_el").and_then(|n| n.parse::<usize>().ok()).filter(|&n| n < 4) {
            self.sp[n] = number(value)?;
            return Ok(true);
        }
        let slot = match name {
            "el" => state::EL,
            "spsel" => state::SPSEL,
            "daif" => state::DAIF,
            "pan" => state::PAN,
            "uao" => state::UAO,
            "dit" => state::DIT,
            "ssbs" => state::SSBS,
            "ss" => state::SS,
            "il" => state::IL,
            "fpcr" => state::FPCR,
            "fpsr" => state::FPSR,
            "nzcv" => {
                self.nzcv = number(value)?;
                return Ok(true);
            }
            "sp" => {
                let bank = self.bank();
                self.sp[bank] = number(value)?;
                return Ok(true);
            }
            _ => match system_slot(name) {
                Some(s) => s,
                None => return Ok(false),
            },
        };
        *self.word_mut(slot) = number(value)?;
        Ok(true)
    }

    /// PSTATE as SPSR_ELx has it, by the fields (Arm ARM C5.2.18).
    fn spsr(&self) -> u64 {
        let one = |s, bit: u32| (self.word(s) & 1) << bit;
        let level = self.word(state::EL) & 3;
        let handler = if level == 0 { 0 } else { self.word(state::SPSEL) & 1 };
        self.nzcv << 28
            | one(state::DIT, 24)
            | one(state::UAO, 23)
            | one(state::PAN, 22)
            | one(state::SS, 21)
            | one(state::IL, 20)
            | one(state::SSBS, 12)
            | self.word(state::DAIF) & 0x3c0
            | level << 2
            | handler
    }
}

/// A processor as the line's settings have it.
fn new_cpu(line: &Line, tier: Tier) -> Result<Processor<Arm>, String> {
    let name = line.before("cpu").unwrap_or(DEFAULT_MODEL);
    let model = models::find(name).ok_or_else(|| format!("there is no model {name}"))?;
    let has = line.before("has").unwrap_or("");
    let conduit = match line.before("conduit") {
        None => None,
        Some("hvc") => Some(Conduit::Hvc),
        Some("smc") => Some(Conduit::Smc),
        Some(c) => return Err(format!("there is no conduit {c}")),
    };
    let mut b = MachineBuilder::new("test", 1);
    b.ram(0, &Region::new("low", LOW_BYTES).map_err(|e| e.to_string())?);
    b.ram(RAM, &Region::new("ram", RAM_BYTES).map_err(|e| e.to_string())?);
    let machine: Arc<Machine> = b.build().map_err(|e| e.to_string())?;
    let configuration = Configuration {
        model,
        has_el2: has.split(',').any(|h| h == "el2"),
        has_el3: has.split(',').any(|h| h == "el3"),
        conduit,
        affinities: Arc::new([0]),
        frequency: 62_500_000,
        gic_sysregs: false,
        reset_address: START,
    };
    let system = System::new(machine.core_lines(CoreId(0)).cloned());
    system.set_on(CoreId(0), true);
    let core = Core::new(CoreId(0), Arm::new(&configuration), machine, system);
    Processor::new(core, tier, compiler)
}

/// The processors that lines were run on, by configuration.
type Cpus = HashMap<Vec<String>, Processor<Arm>>;

/// A processor for the line, as after a reset.
fn cpu_for<'a>(cpus: &'a mut Cpus, line: &Line, tier: Tier) -> Result<&'a mut Processor<Arm>, String> {
    let key: Vec<String> = ["cpu", "has", "conduit"].iter().map(|n| line.before(n).unwrap_or("").to_owned()).collect();
    let processor = match cpus.entry(key) {
        Entry::Occupied(e) => e.into_mut(),
        Entry::Vacant(e) => e.insert(new_cpu(line, tier)?),
    };
    let core = &mut *processor.cpu.core;
    core.machine.poke(0, &[0; LOW_BYTES as usize]).expect("RAM");
    core.machine.poke(RAM, &[0; RAM_BYTES as usize]).expect("RAM");
    <Arm as Target>::reset(core);
    core.powered = true;
    core.lines.set(Pin::IRQ, line.before("irq").is_some());
    core.lines.set(Pin::FIQ, line.before("fiq").is_some());
    processor.cpu.forget();
    Ok(processor)
}

/// The state that every line begins from, before its settings.
fn initial(core: &mut Core<Arm>) -> State {
    let mut s = State::of(core);
    for at in (0..CODE_BYTES as usize).step_by(4) {
        s.ram[at..at + 4].copy_from_slice(&0x1400_0000u32.to_le_bytes());
    }
    let mut table = |at: u64, v: u64| {
        let from = (TABLES - RAM + at) as usize;
        s.ram[from..from + 8].copy_from_slice(&v.to_le_bytes());
    };
    // Level 1: the first GiB a block, the second by a table; level 2: one table.
    table(0, 0x701 | EL0_TOO | UXN | PXN);
    table(8, (TABLES + 0x1000) | 3);
    table(0x1000, (TABLES + 0x2000) | 3);
    for i in 0..RAM_BYTES / 4096 {
        let row = PAGES.iter().rev().find(|r| r.0 <= i * 4096).map_or(0, |r| r.1);
        table(0x2000 + 8 * i, if row == 0 { 0 } else { (RAM + i * 4096) + row });
    }
    for (slot, v) in [
        (state::EL, 1),
        (state::SPSEL, 1),
        (state::DAIF, 0x3c0),
        // MMU and caches on; EL0 may do no more than it must.
        (sr::SCTLR_EL1, 0x30d0_1805),
        (sr::CPACR_EL1, 3 << 20),
        // 39-bit addresses, 4 KiB granules, the upper range off, 40-bit physical addresses.
        (sr::TCR_EL1, 2 << 32 | 1 << 23 | 25 << 16 | 25),
        (sr::TTBR0_EL1, TABLES),
        // Index 0 Normal write-back, 1 Device-nGnRnE.
        (sr::MAIR_EL1, 0xff),
        (sr::VBAR_EL1, VECTORS[0]),
        (sr::VBAR_EL2, VECTORS[1]),
        (sr::VBAR_EL3, VECTORS[2]),
    ] {
        *s.word_mut(slot) = v;
    }
    s.sp = [RAM + 0x2_0000; 4];
    s
}

/// Names that are about the machine or the line, not the state.
const CONFIGURATION: &[&str] = &["cpu", "has", "conduit", "irq", "fiq", "at"];
const RESULTS: &[&str] = &["ec", "iss", "far", "elr", "to", "pc", "halted"];

/// What must be after the line ran from `start`.
fn expected(line: &Line, start: &State) -> Result<State, String> {
    let mut want = start.clone();
    let after = |name| line.after(name);
    for (n, v) in &line.after {
        if !RESULTS.contains(&n.as_str()) && !want.set(n, v)? {
            return Err(format!("{n}: nothing has that name"));
        }
    }
    want.halted = after("halted").is_some();
    if line.exception {
        take(line, start, &mut want)?;
    } else if let Some(n) = ["ec", "iss", "far", "elr", "to"].iter().find(|n| after(n).is_some()) {
        return Err(format!("{n} is said of exceptions only"));
    } else {
        want.pc = address(after("pc").unwrap_or(&format!("+{:x}", 4 * line.words.len())), start.pc)?;
    }
    Ok(want)
}

/// The exception that the line expects, as AArch64.TakeException has it; `want` is the state that
/// it is taken in.
fn take(line: &Line, start: &State, want: &mut State) -> Result<(), String> {
    let after = |name| line.after(name);
    let get = |n: &'static str| after(n).map(number).transpose();
    let to = get("to")?.unwrap_or(1) as u8;
    let interrupt = match after("ec") {
        Some("irq") => Some(0x80),
        Some("fiq") => Some(0x100),
        _ => None,
    };
    let offset = match ((want.word(state::EL) as u8) < to, want.word(state::SPSEL) & 1) {
        (true, _) => 0x400,
        (false, 1) => 0x200,
        (false, _) => 0,
    };
    *want.word_mut(sr::spsr(to)) = want.spsr();
    *want.word_mut(sr::elr(to)) = address(after("elr").unwrap_or("+0"), start.pc)?;
    if interrupt.is_none() {
        *want.word_mut(sr::esr(to)) = get("ec")?.ok_or("no ec")? << 26 | 1 << 25 | get("iss")?.ok_or("no iss")?;
    }
    if let Some(far) = get("far")? {
        *want.word_mut(sr::far(to)) = far;
    }
    want.pc = want.word(sr::vbar(to)) + offset + interrupt.unwrap_or(0);
    for (slot, v) in [(state::EL, to as u64), (state::SPSEL, 1), (state::DAIF, 0x3c0), (state::SS, 0), (state::IL, 0), (state::UAO, 0)] {
        *want.word_mut(slot) = v;
    }
    let model = models::find(line.before("cpu").unwrap_or(DEFAULT_MODEL));
    // SCTLR_EL1.SPAN.
    if model.is_some_and(|m| m.features.contains(&Feature::Pan)) && to == 1 && want.word(sr::SCTLR_EL1) >> 23 & 1 == 0 {
        *want.word_mut(state::PAN) = 1;
    }
    Ok(())
}

/// Runs the line; the error says what is wrong.
fn run(cpus: &mut Cpus, line: &Line, tier: Tier) -> Result<(), String> {
    let processor = cpu_for(cpus, line, tier)?;
    let core = &mut *processor.cpu.core;
    let mut start = initial(core);
    for (n, v) in &line.before {
        if !CONFIGURATION.contains(&n.as_str()) && !start.set(n, v)? {
            return Err(format!("{n}: nothing has that name"));
        }
    }
    start.pc = line.before("at").map_or(Ok(START), number)?;
    let code: Vec<u8> = line.words.iter().flat_map(|w| w.to_le_bytes()).collect();
    start.memory(start.pc, code.len())?.copy_from_slice(&code);
    let want = expected(line, &start)?;
    go(&mut processor.cpu, line, &start);
    if tier == Tier::Compiled {
        let now = State::of(&mut processor.cpu.core);
        processor.again(&[(RAM, &start.ram, &now.ram)]);
        go(&mut processor.cpu, line, &start);
    }
    compare(&start, &want, &State::of(&mut processor.cpu.core))
}

/// Runs the line's words from `start`.
fn go(cpu: &mut Cpu<Arm>, line: &Line, start: &State) {
    let core = &mut *cpu.core;
    start.put(core);
    core.deterministic = Some(InstructionClock { shift: 0, base: 0, from: core.retired });
    core.attention = true;
    // One more: the `b .` after the words, or in the vector. A run may end early to have the
    // state looked at.
    let end = core.retired + line.words.len() as u64 + 1;
    for _ in 0..8 {
        let left = end as i64 - cpu.core.retired as i64;
        if left <= 0 || matches!(cpu.run(left), Stop::Halted | Stop::Off) {
            break;
        }
    }
}

/// The name of a word for messages, as the lines have it.
fn word_name(slot: u16) -> String {
    let named = [
        (state::EL, "el"),
        (state::SPSEL, "spsel"),
        (state::DAIF, "daif"),
        (state::PAN, "pan"),
        (state::UAO, "uao"),
        (state::DIT, "dit"),
        (state::SSBS, "ssbs"),
        (state::SS, "ss"),
        (state::IL, "il"),
        (state::FPCR, "fpcr"),
        (state::FPSR, "fpsr"),
    ];
    if let Some((_, n)) = named.iter().find(|(s, _)| s.0 == slot) {
        return (*n).to_owned();
    }
    match slot {
        0..=30 => format!("x{slot}"),
        s if (state::V.0..state::V.0 + 64).contains(&s) => format!("v{}.d[{}]", (s - state::V.0) / 2, s & 1),
        s => match ROWS.get(s.wrapping_sub(state::SYSREGS) as usize) {
            Some(r) => r.name.to_lowercase(),
            None => format!("word {s}"),
        },
    }
}

/// The differences, each as what the state has and what the line wants.
fn compare(start: &State, want: &State, got: &State) -> Result<(), String> {
    let mut out = String::new();
    let mut differ = |name: &str, got: u64, want: u64| {
        if got != want {
            let _ = write!(out, " {name}={got:x} (not {want:x})");
        }
    };
    for s in (0..WORDS as u16).filter(|&s| is_compared(s)) {
        differ(&word_name(s), got.word(Slot(s)), want.word(Slot(s)));
    }
    differ("pc", got.pc, want.pc);
    differ("pc=+", got.pc.wrapping_sub(start.pc), want.pc.wrapping_sub(start.pc));
    differ("nzcv", got.nzcv, want.nzcv);
    differ("halted", got.halted as u64, want.halted as u64);
    for n in 0..4 {
        differ(&format!("sp_el{n}"), got.sp[n], want.sp[n]);
    }
    for (base, got, want) in [(0, &got.low, &want.low), (RAM, &got.ram, &want.ram)] {
        if got != want {
            for (i, (g, w)) in got.iter().zip(want).enumerate().filter(|(_, (g, w))| g != w).take(16) {
                differ(&format!("[{:x}]", base + i as u64), *g as u64, *w as u64);
            }
        }
    }
    if out.is_empty() { Ok(()) } else { Err(format!("got{out}")) }
}

/// Runs every line. Gives the number of lines and of regions that were compiled.
fn run_all(tier: Tier) -> (usize, u64) {
    let suite = suite();
    let regions = suite.run(Cpus::new, |cpus, l| run(cpus, l, tier), |cpus| cpus.values().map(Processor::regions).sum());
    (suite.lines.len(), regions)
}

#[test]
fn interpreter() {
    run_all(Tier::Interpreter);
}

#[test]
fn compiled() {
    let (lines, regions) = run_all(Tier::Compiled);
    // What the interpreter keeps to itself is few: undefined words, steps, breakpoints.
    assert!(regions as usize > lines / 2, "{regions} regions were compiled for {lines} lines");
}

#[test]
fn the_texts_are_those_of_the_words() {
    let cs = Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build().expect("Capstone has Arm64");
    suite().check_texts(|_, word| {
        let listing = cs.disasm_count(&word.to_le_bytes(), 0, 1).ok()?;
        let i = listing.first()?;
        Some(format!("{} {}", i.mnemonic().unwrap_or(""), i.op_str().unwrap_or("")))
    });
}

/// Words that `recorded/*.txt` holds results for: each line is a pattern's name and a word, then
/// what is of no concern here.
fn recorded() -> Vec<u32> {
    let files = std::fs::read_dir(folder().join("recorded")).into_iter().flatten().flatten();
    let text: Vec<String> = files.filter_map(|f| std::fs::read_to_string(f.path()).ok()).collect();
    text.iter().flat_map(|t| t.lines()).filter_map(|l| u32::from_str_radix(l.split(' ').nth(1)?, 16).ok()).collect()
}

#[test]
fn every_pattern_has_a_line_or_a_recorded_result() {
    let suite = suite();
    let words = suite.lines.iter().flat_map(|l| l.words.clone()).chain(recorded());
    let seen: BTreeSet<&str> = words.filter_map(a64::decode).map(|i| a64::NAMES[i as usize]).collect();
    let missing: Vec<&str> = a64::NAMES.into_iter().filter(|n| !seen.contains(n)).collect();
    assert!(missing.is_empty(), "{} patterns that nothing shows: {}", missing.len(), missing.join(" "));
}
