//! The instruction tests of `targets/mips/tests/*.ins`, run by each tier. How a line is written is
//! in the documentation of tools/ins. A word is written as its value, whatever the byte order; the
//! text is Capstone's for MIPS64 where the model is one, else for MIPS32. These are the names:
//! - `zero`, `at`, `v0` to `ra`, `hi`, `lo`, `f0` to `f31` (64 bits), `fcsr`, and any register of
//!   coprocessor 0 by its name in `cp0::ROWS` in lower case;
//! - `llbit`, `lladdress`, `llvalue`: what a load-linked left;
//! - `[10100]=0102` bytes of memory by physical address, `[10100]=#12345678` a number of as many
//!   bytes as it has pairs of digits there, in the core's byte order;
//! - before only: `pc` address of the first word, `cpu` model, `big=1` for big-endian,
//!   `irq` lines, a bit for each of IP7 to IP0;
//! - after only: `pc` (`+N` relative to the first word, or absolute), `halted=1`.
//!
//! The pc must be at the end of the words. `=> exception code=4 badvaddr=80010001` says that one was
//! taken, with that code in Cause. `epc=+N` is where it returns to, the first word unless given;
//! `bd=1` says that it was in a delay slot, `ce` is the coprocessor, `vector` the offset of the
//! handler if not 180. With codes 1 to 3 and a `badvaddr` the registers of the TLB tell of that
//! address. More changes may follow. `=> reserved` is `=> exception code=a`.
//!
//! Without settings the core is a little-endian 24Kf (see [`DEFAULT_MODEL`]) in kernel mode with
//! Status.CU0 and CU1, on a 64-bit model KX, SX and UX too; its registers are zero. The words are
//! in kseg0. RAM is at physical 0 and zero; at the place where the line expects the pc to be there
//! is a branch to itself. For what the TLB maps see [`TLB`].
#![forbid(unsafe_code)]

use capstone::prelude::*;
use proteus_exec::ops::Slot;
use proteus_exec::system::System;
use proteus_exec::{Core, Cpu, InstructionClock, Stop, Target, WORDS};
use proteus_ins::{Line, Processor, Suite, Tier, address, number};
use proteus_mips::models::{self, Model};
use proteus_mips::{Configuration, Mips, cp0, mips, state};
use proteus_mips_glue::compiler;
use proteus_model::ram::Region;
use proteus_model::{CoreId, Line as Pin, Machine, MachineBuilder};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// The model of lines that name none.
const DEFAULT_MODEL: &str = "24Kf";

/// How much RAM there is, at physical 0.
const RAM_BYTES: u64 = 0x4_0000;
/// Where the first word of a line is unless it says `pc`, in kseg0.
const START: u32 = 0x8000_1000;
/// `b .`, to be followed by a word that is zero.
const LOOP: u32 = 0x1000_ffff;

/// Of a TLB entry: valid, and writable too.
const VALID: u64 = 2;
const WRITABLE: u64 = 6;

/// The TLB's entries, all global: first address, PageMask, and the physical addresses and bits of
/// the two pages.
const TLB: &[(u64, u64, [u64; 2])] = &[
    // 16 MiB that map to themselves, then 16 MiB that are not valid.
    (0, 0x1ff_e000, [WRITABLE, 0]),
    // A page that is not dirty, and one that is.
    (0x200_0000, 0, [0x2_0000 | VALID, 0x2_1000 | WRITABLE]),
    // Nothing answers; not valid.
    (0x200_2000, 0, [0x7f00_0000 | WRITABLE, 0]),
    // Code, and what follows it is not valid.
    (0x200_4000, 0, [0x3000 | VALID, 0]),
];

/// The physical address that the settings above give `address`.
fn physical(address: u64) -> u64 {
    match address as u32 {
        a @ 0x8000_0000.. => (a & 0x1fff_ffff).into(),
        a @ 0x200_4000..0x200_5000 => (a - 0x200_4000 + 0x3000).into(),
        a => a.into(),
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

fn suite() -> Suite {
    Suite::read(&folder(), &[("reserved", "code=a")])
}

/// What a line's settings make of the core.
#[derive(Clone, Copy)]
struct Kind {
    model: &'static Model,
    big: bool,
}

impl Kind {
    fn of(line: &Line) -> Result<Kind, String> {
        let name = line.before("cpu").unwrap_or(DEFAULT_MODEL);
        let model = models::find(name).ok_or_else(|| format!("there is no model {name}"))?;
        Ok(Kind { model, big: line.before("big").is_some_and(|b| b != "0") })
    }
    fn bytes(self, word: u32) -> [u8; 4] {
        if self.big { word.to_be_bytes() } else { word.to_le_bytes() }
    }
    /// An address of the 32-bit segments.
    fn address(self, low: u32) -> u64 {
        if self.model.bits64 { low as i32 as i64 as u64 } else { low.into() }
    }
    /// Bytes of memory, or with `#` a number.
    fn memory(self, text: &str) -> Result<Vec<u8>, String> {
        let Some(n) = text.strip_prefix('#') else { return proteus_ins::bytes(text) };
        let mut b = proteus_ins::bytes(n)?;
        if !self.big {
            b.reverse();
        }
        Ok(b)
    }
}

/// General-purpose registers in their order.
const REGISTERS: &str = "zero at v0 v1 a0 a1 a2 a3 t0 t1 t2 t3 t4 t5 t6 t7 s0 s1 s2 s3 s4 s5 s6 s7 t8 t9 k0 k1 gp sp fp ra";

/// Words outside of the numbered registers.
const NAMED: &[(&str, Slot)] = &[
    ("hi", state::HI),
    ("lo", state::LO),
    ("fcsr", state::FCSR),
    ("userlocal", state::USER_LOCAL),
    ("llbit", state::LLBIT),
    ("lladdress", state::LL_ADDRESS),
    ("llvalue", state::LL_VALUE),
];

/// The word of `name`.
fn slot(name: &str) -> Option<Slot> {
    if let Some(r) = REGISTERS.split(' ').position(|r| r == name) {
        return Some(state::r(r as u32));
    }
    if let Some(f) = name.strip_prefix('f').and_then(|n| n.parse::<u32>().ok()).filter(|&n| n < 32) {
        return Some(state::f(f));
    }
    let named = NAMED.iter().find(|(n, _)| *n == name).map(|(_, s)| *s);
    named.or_else(|| Some(state::CP0.at(cp0::ROWS.iter().find(|r| r.name.eq_ignore_ascii_case(name))?.key)))
}

/// The name of a word for messages, as the lines have it.
fn word_name(s: u16) -> String {
    let named = NAMED.iter().find(|(_, n)| n.0 == s).map(|(n, _)| (*n).to_owned());
    let general = || REGISTERS.split(' ').nth(s as usize).map(str::to_owned);
    let float = || (state::F.0..state::F.0 + 32).contains(&s).then(|| format!("f{}", s - state::F.0));
    let system = || cp0::ROWS.iter().find(|r| r.key + state::CP0.0 as u32 == s as u32).map(|r| r.name.to_lowercase());
    named.or_else(general).or_else(float).or_else(system).unwrap_or_else(|| format!("word {s}"))
}

/// All that a line can speak of.
#[derive(Clone)]
struct State {
    kind: Kind,
    words: [u64; WORDS],
    pc: u64,
    halted: bool,
    ram: Vec<u8>,
}

impl State {
    fn word(&self, s: Slot) -> u64 {
        self.words[s.0 as usize]
    }
    fn word_mut(&mut self, s: Slot) -> &mut u64 {
        &mut self.words[s.0 as usize]
    }

    fn of(kind: Kind, core: &mut Core<Mips>) -> State {
        let mut ram = vec![0; RAM_BYTES as usize];
        core.machine.peek(0, &mut ram).expect("RAM");
        State { kind, words: core.regs, pc: core.pc(), halted: core.halted, ram }
    }

    fn put(&self, core: &mut Core<Mips>) {
        core.regs = self.words;
        *core.word_mut(state::PC) = self.pc;
        core.halted = self.halted;
        core.machine.poke(0, &self.ram).expect("RAM");
        core.resync();
    }

    fn memory(&mut self, at: u64, n: usize) -> Result<&mut [u8], String> {
        self.ram.get_mut(at as usize..at as usize + n).ok_or_else(|| format!("[{at:x}] is not in RAM"))
    }

    /// Sets what `name` means. False where it means nothing of the state.
    fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        if let Some(at) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
            let b = self.kind.memory(value)?;
            self.memory(number(at)?, b.len())?.copy_from_slice(&b);
            return Ok(true);
        }
        let Some(s) = slot(name) else { return Ok(false) };
        *self.word_mut(s) = number(value)?;
        Ok(true)
    }

    /// A 32-bit register of coprocessor 0 as it is kept.
    fn set_low(&mut self, s: Slot, v: u64) {
        *self.word_mut(s) = self.kind.address(v as u32);
    }
}

/// A processor as the line's settings have it.
fn new_cpu(kind: Kind, tier: Tier) -> Result<Processor<Mips>, String> {
    let mut b = MachineBuilder::new("test", 1);
    b.ram(0, &Region::new("ram", RAM_BYTES).map_err(|e| e.to_string())?);
    let machine: Arc<Machine> = b.build().map_err(|e| e.to_string())?;
    let configuration = Configuration { model: kind.model, big: kind.big, count_frequency: 100_000_000, reset_address: kind.address(START) };
    let system = System::new(machine.core_lines(CoreId(0)).cloned());
    system.set_on(CoreId(0), true);
    Processor::new(Core::new(CoreId(0), Mips::new(&configuration), machine, system), tier, compiler)
}

/// The processors that lines were run on, by configuration.
type Cpus = HashMap<(&'static str, bool), Processor<Mips>>;

/// A processor for the line, as after a reset.
fn cpu_for<'a>(cpus: &'a mut Cpus, line: &Line, kind: Kind, tier: Tier) -> Result<&'a mut Processor<Mips>, String> {
    let processor = match cpus.entry((kind.model.name, kind.big)) {
        Entry::Occupied(e) => e.into_mut(),
        Entry::Vacant(e) => e.insert(new_cpu(kind, tier)?),
    };
    let core = &mut *processor.cpu.core;
    core.machine.poke(0, &[0; RAM_BYTES as usize]).expect("RAM");
    <Mips as Target>::reset(core);
    core.powered = true;
    let irq = line.before("irq").map_or(Ok(0), number)?;
    for n in 2..8 {
        core.lines.set(Pin(n), irq >> n & 1 != 0);
    }
    processor.cpu.forget();
    Ok(processor)
}

/// The state that every line begins from, before its settings.
fn initial(kind: Kind, core: &mut Core<Mips>) -> State {
    let mut s = State::of(kind, core);
    s.set_low(cp0::STATUS, if kind.model.bits64 { 0x3000_00e0 } else { 0x3000_0000 });
    for (i, (at, mask, pages)) in TLB.iter().enumerate() {
        // The global bit is between VPN2 and ASID; a page's number is at bit 6.
        let low = pages.map(|p| (p >> 12) << 6 | p & 7);
        for (n, v) in [at | 1 << 12, *mask, low[0], low[1]].into_iter().enumerate() {
            *s.word_mut(state::TLB.at((4 * i + n) as u32)) = v;
        }
    }
    s
}

/// Names that are about the machine or the line, not the state.
const CONFIGURATION: &[&str] = &["cpu", "big", "irq", "pc"];
const RESULTS: &[&str] = &["code", "epc", "bd", "ce", "badvaddr", "vector", "pc", "halted"];

/// What must be after the line ran from `start`.
fn expected(line: &Line, start: &State) -> Result<State, String> {
    let mut want = start.clone();
    want.halted = line.after("halted").is_some();
    if line.exception {
        take(line, start, &mut want)?;
    } else if let Some(n) = ["code", "epc", "bd", "ce", "badvaddr", "vector"].iter().find(|n| line.after(n).is_some()) {
        return Err(format!("{n} is said of exceptions only"));
    } else {
        want.pc = address(line.after("pc").unwrap_or(&format!("+{:x}", 4 * line.words.len())), start.pc)?;
    }
    for (n, v) in &line.after {
        if !RESULTS.contains(&n.as_str()) && !want.set(n, v)? {
            return Err(format!("{n}: nothing has that name"));
        }
    }
    Ok(want)
}

/// The exception that the line expects (MD00090, 6.2.2).
fn take(line: &Line, start: &State, want: &mut State) -> Result<(), String> {
    let get = |n: &'static str, other: u64| line.after(n).map_or(Ok(other), number);
    let kind = want.kind;
    let (code, bd) = (get("code", 0)?, get("bd", 0)?);
    let status = want.word(cp0::STATUS);
    let mut cause = want.word(cp0::CAUSE) & !(31 << 2 | 3 << 28) | code << 2 | get("ce", 0)? << 28;
    if status & 2 == 0 {
        *want.word_mut(cp0::EPC) = address(line.after("epc").unwrap_or("+0"), start.pc)?;
        cause = cause & !(1 << 31) | bd << 31;
    }
    want.set_low(cp0::CAUSE, cause);
    want.set_low(cp0::STATUS, status | 2);
    let base = if kind.model.release2() { want.word(cp0::EBASE) & !0xfff } else { kind.address(0x8000_0000) };
    want.pc = base + get("vector", 0x180)?;
    let Some(bad) = line.after("badvaddr").map(number).transpose()? else { return Ok(()) };
    *want.word_mut(cp0::BAD_VADDR) = bad;
    if (1..=3).contains(&code) {
        let m = kind.model;
        let vpn = if m.bits64 { 3 << 62 | ((1 << m.seg_bits) - 0x2000) } else { 0xffff_e000 };
        *want.word_mut(cp0::ENTRY_HI) = bad & vpn | want.word(cp0::ENTRY_HI) & 0xff;
        *want.word_mut(cp0::CONTEXT) = want.word(cp0::CONTEXT) & !0x7f_fff0 | (bad >> 13 & 0x7_ffff) << 4;
        if m.bits64 {
            let n = m.seg_bits - 13;
            let bits = (bad >> 13 & ((1 << n) - 1)) << 4 | (bad >> 62) << (n + 4);
            *want.word_mut(cp0::XCONTEXT) = want.word(cp0::XCONTEXT) & u64::MAX << (n + 6) | bits;
        }
    }
    Ok(())
}

/// Runs the line; the error says what is wrong.
fn run(cpus: &mut Cpus, line: &Line, tier: Tier) -> Result<(), String> {
    let kind = Kind::of(line)?;
    let processor = cpu_for(cpus, line, kind, tier)?;
    let mut start = initial(kind, &mut processor.cpu.core);
    for (n, v) in &line.before {
        if !CONFIGURATION.contains(&n.as_str()) && !start.set(n, v)? {
            return Err(format!("{n}: nothing has that name"));
        }
    }
    start.pc = line.before("pc").map_or(Ok(kind.address(START)), number)?;
    let code: Vec<u8> = line.words.iter().flat_map(|w| kind.bytes(*w)).collect();
    let first = physical(start.pc);
    start.memory(first, code.len())?.copy_from_slice(&code);
    let end = physical(expected(line, &start)?.pc);
    if !(first..first + code.len() as u64).contains(&end)
        && let Ok(m) = start.memory(end, 4)
    {
        m.copy_from_slice(&kind.bytes(LOOP));
    }
    let want = expected(line, &start)?;
    go(&mut processor.cpu, line, &start);
    if tier == Tier::Compiled {
        let now = State::of(kind, &mut processor.cpu.core);
        processor.again(&[(0, &start.ram, &now.ram)]);
        go(&mut processor.cpu, line, &start);
    }
    compare(&start, &want, &State::of(kind, &mut processor.cpu.core))
}

/// Runs the line's words from `start`.
fn go(cpu: &mut Cpu<Mips>, line: &Line, start: &State) {
    let core = &mut *cpu.core;
    start.put(core);
    core.deterministic = Some(InstructionClock { shift: 0, base: 0, from: core.retired });
    core.attention = true;
    // Two more: the branch to itself and its delay slot. A run may end early to have the state
    // looked at.
    let end = core.retired + line.words.len() as u64 + 2;
    for _ in 0..8 {
        let left = end as i64 - cpu.core.retired as i64;
        if left <= 0 || matches!(cpu.run(left), Stop::Halted | Stop::Off) {
            break;
        }
    }
    // What did not count, for it faulted or was nullified, may leave the branch without its slot.
    if cpu.core.delay_pending() {
        cpu.run(1);
    }
}

/// Words that say nothing of the architectural state by themselves.
fn is_compared(slot: u16) -> bool {
    !matches!(Slot(slot), state::PC | state::DELAY_TARGET | state::RANDOM | state::COUNT_TIME)
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
    differ("halted", got.halted as u64, want.halted as u64);
    if got.ram != want.ram {
        for (i, (g, w)) in got.ram.iter().zip(&want.ram).enumerate().filter(|(_, (g, w))| g != w).take(16) {
            differ(&format!("[{i:x}]"), *g as u64, *w as u64);
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
    // What the interpreter keeps to itself is few: reserved words, branches without their slots.
    assert!(regions as usize > lines / 2, "{regions} regions were compiled for {lines} lines");
}

#[test]
fn the_texts_are_those_of_the_words() {
    let capstone = |mode| Capstone::new().mips().mode(mode).endian(capstone::Endian::Big).build().expect("Capstone has MIPS");
    let (short, long) = (capstone(arch::mips::ArchMode::Mips32), capstone(arch::mips::ArchMode::Mips64));
    suite().check_texts(|line, word| {
        let cs = if Kind::of(line).is_ok_and(|k| k.model.bits64) { &long } else { &short };
        let listing = cs.disasm_count(&word.to_be_bytes(), 0, 1).ok()?;
        let i = listing.first()?;
        Some(format!("{} {}", i.mnemonic().unwrap_or(""), i.op_str().unwrap_or("")))
    });
}

#[test]
fn every_pattern_has_a_line() {
    let suite = suite();
    let words = suite.lines.iter().flat_map(|l| l.words.clone());
    let seen: BTreeSet<&str> = words.filter_map(mips::decode).map(|i| mips::NAMES[i as usize]).collect();
    let missing: Vec<&str> = mips::NAMES.into_iter().filter(|n| !seen.contains(n)).collect();
    assert!(missing.is_empty(), "{} patterns that nothing shows: {}", missing.len(), missing.join(" "));
}
