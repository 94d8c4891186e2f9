//! Floating point against results recorded from a reference, in each tier.
//!
//! A line of `../tests/recorded/fpu.txt` is a pattern's name, an instruction word, Status.FR, the
//! seed of the state before it (see [`State::random`]) and what the reference changed, or the
//! exception that it raised. The ignored test `record` writes the file: it runs
//! `../tests/reference/fpu.c` (HARNESS32 and HARNESS64: its path compiled as its head says) under
//! `qemu-mipsel -cpu 24Kf` and `qemu-mips64el -cpu MIPS64R2-generic` on many more words than it
//! records, and compares all of them.
#![forbid(unsafe_code)]

use proteus_exec::system::System;
use proteus_exec::{Core, Cpu, InstructionClock, Stop, Target, Thresholds};
use proteus_mips::mips::{self, ALL, COUNT, Id, NAMES, decode};
use proteus_mips::{Configuration, Mips, models, state};
use proteus_mips_glue::compiler;
use proteus_model::ram::Region;
use proteus_model::{CoreId, MachineBuilder};
use proteus_translator::{Compiler, Options};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

const RAM: u64 = 0x4000_0000;
const RAM_BYTES: u64 = 0x2_0000;
const DATA: u64 = RAM + 0x1_0000;
const DATA_BYTES: usize = 256;
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recorded/fpu.txt");

/// Base and index of the words that access memory.
const BASE: u32 = 20;
const INDEX: u32 = 21;
/// Values to write to the views of FCSR.
const VIEW: u32 = 22;

const CAUSE_AND_FLAGS: u64 = 0x1f07c;
const ENABLES: u64 = 0xf80;
const FS: u64 = 1 << 24;
const UNDERFLOW_INEXACT: u64 = 0x300c;
const INEXACT: u64 = 0x1004;
const FLAGS: u64 = 0x7c;

/// What is tested here: what the table of coprocessor 1 has, but for branches.
fn of_group(id: Id) -> bool {
    let (mask, value) = mips::PATTERNS[id as usize];
    let branch = value >> 21 == 0x11 << 5 | 8;
    matches!(value >> 26, 0x11 | 0x13 | 0x31 | 0x35 | 0x39 | 0x3d) && !branch || mask & 0x3f == 0x3f && value >> 26 == 0 && value & 0x3f == 1
}

/// A word of the pattern that is neither UNPREDICTABLE nor accesses memory elsewhere.
fn word(id: Id, r: &mut Random) -> u32 {
    let field = |word: u32, at: u32, bits: u32, v: u32| word & !(((1 << bits) - 1) << at) | v << at;
    let word = mips::random(id, r.next() as u32);
    match NAMES[id as usize] {
        "LWC1" | "LDC1" | "SWC1" | "SDC1" => field(field(word, 21, 5, BASE), 0, 16, 8 * r.below(16) as u32),
        "LWXC1" | "LDXC1" | "LUXC1" | "SWXC1" | "SDXC1" | "SUXC1" => field(field(word, 21, 5, BASE), 16, 5, INDEX),
        // Condition codes in pairs begin at an even one.
        "C_cond_PS" => word & !(1 << 8),
        "MOVCF_PS" => word & !(1 << 18),
        // The control registers. Reserved bits of the views are written with zeros.
        "CFC1" => field(word, 11, 5, [25, 26, 28, 31][r.below(4) as usize]),
        "CTC1" => match r.below(4) {
            0 => field(word, 11, 5, 31),
            k => field(field(word, 11, 5, [25, 26, 28][k as usize - 1]), 16, 5, VIEW + k as u32 - 1),
        },
        _ => word,
    }
}

/// SplitMix64.
struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
    /// An interesting encoding of a format with exponent and fraction fields of these widths.
    /// Quiet NaNs are the default one only: the reference gives no other.
    fn float(&mut self, exponent: u32, fraction: u32) -> u64 {
        let bias = (1u64 << (exponent - 1)) - 1;
        let sign = self.below(2) << (exponent + fraction);
        let random = self.next() & ((1 << fraction) - 1);
        let top = 1u64 << (fraction - 1);
        let (e, f) = match self.below(18) {
            0 => (0, 0),
            1 => (0, 1 + random / 2),
            2 => (0, random >> self.below(fraction as u64)),
            3 => (1, 0),
            4 => (1 + self.below(3), random),
            5 => (2 * bias + 1, 0),
            6 => return (2 * bias + 1) << fraction | (top - 1),
            7 => (2 * bias + 1, top | random),
            8 => (2 * bias - self.below(3), random),
            9 => (bias, 0),
            10 => (bias + self.below(4), random & (top | top >> 1)),
            11 => (bias.saturating_sub(self.below(4)), top),
            // Around the integers that conversions saturate at.
            12 => (bias + [31, 63][self.below(2) as usize] - self.below(2), random),
            13 => (self.next() % (2 * bias + 1), random),
            // Around half the exponent: products at the ends of the range.
            14 => (bias / 2 + self.below(3), random),
            // Doubles at the ends of the range of singles.
            15 if exponent == 11 => ([896, 897, 1150, 873][self.below(4) as usize], random | ((1 << 25) - 1) << 27),
            _ => (bias - 4 + self.below(8), random),
        };
        sign | e << fraction | f
    }
    /// An integer near one where something happens.
    fn integer(&mut self, bits: u32) -> u64 {
        let mask = u64::MAX >> (64 - bits);
        mask & match self.below(8) {
            0 => self.below(3),
            1 => 0u64.wrapping_sub(self.below(3)),
            2 => (1 << (bits - 1)) + self.below(2),
            3 => (1 << (bits - 1)) - 1 - self.below(2),
            _ => self.next() >> self.below(bits as u64),
        }
    }
    /// A register of one kind.
    fn register(&mut self, kind: u64) -> u64 {
        match kind {
            0..=2 => self.float(8, 23) | self.float(8, 23) << 32,
            3..=5 => self.float(11, 52),
            6 => self.integer(32) | self.integer(32) << 32,
            _ => self.integer(64),
        }
    }
}

/// What an instruction ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Done,
    /// The exception with this code.
    Raised(u64),
}

#[derive(Clone, PartialEq)]
struct State {
    end: End,
    f: [u64; 32],
    r: [u64; 32],
    fcsr: u64,
    data: Vec<u8>,
}

impl State {
    /// The state that a seed stands for.
    fn random(seed: u64, fr: bool) -> State {
        let mut r = Random(seed);
        let kind = r.below(8);
        let mut f: [u64; 32] = std::array::from_fn(|_| {
            let kind = if r.below(8) == 0 { r.below(8) } else { kind };
            r.register(kind)
        });
        if !fr && (3..6).contains(&kind) {
            // Doubles lie in the low halves of pairs; what is above them is of no concern.
            for i in (0..32).step_by(2) {
                f[i + 1] = f[i] >> 32 | f[i + 1] << 32;
            }
        }
        let sign = |v: u64| if fr { v as i32 as i64 as u64 } else { v as u32 as u64 };
        let mut regs = std::array::from_fn(|_| if r.below(4) == 0 { 0 } else { sign(r.integer(32)) });
        regs[0] = 0;
        regs[BASE as usize] = DATA;
        regs[INDEX as usize] = 8 * r.below(16);
        for (i, mask) in [0xff, CAUSE_AND_FLAGS, ENABLES | 7].into_iter().enumerate() {
            regs[VIEW as usize + i] = r.next() & mask;
        }
        let mut fcsr = r.below(4) | r.next() & 0xfe80_0000;
        match r.below(8) {
            0..=2 => {}
            // Something is enabled; Cause has nothing of it.
            3 | 4 => fcsr |= r.next() & ENABLES,
            5 => fcsr |= FS,
            _ => fcsr |= r.next() & CAUSE_AND_FLAGS,
        }
        if fcsr & FS != 0 {
            // See `reference_errs`.
            fcsr &= !ENABLES;
        }
        let data = (0..DATA_BYTES).map(|_| r.next() as u8).collect();
        State { end: End::Done, f, r: regs, fcsr, data }
    }

    /// What `after` has otherwise, as text.
    fn changes(&self, after: &State) -> String {
        let mut t = String::new();
        match after.end {
            End::Done => {}
            End::Raised(code) => t = format!(" exception={code}"),
        }
        for (i, (_, b)) in self.f.iter().zip(&after.f).enumerate().filter(|(_, (a, b))| a != b) {
            let _ = write!(t, " f{i}={b:016x}");
        }
        for (i, (_, b)) in self.r.iter().zip(&after.r).enumerate().filter(|(_, (a, b))| a != b) {
            let _ = write!(t, " r{i}={b:x}");
        }
        if self.fcsr != after.fcsr {
            let _ = write!(t, " fcsr={:x}", after.fcsr);
        }
        for at in (0..DATA_BYTES).step_by(8).filter(|&at| self.data[at..at + 8] != after.data[at..at + 8]) {
            let word = after.data[at..at + 8].iter().rev().fold(0u64, |w, b| w << 8 | *b as u64);
            let _ = write!(t, " [{at:x}]={word:x}");
        }
        t
    }
}

/// A core in a machine of nothing but memory, of the model that the reference is.
struct Subject {
    cpu: Cpu<Mips>,
    compiler: Option<Arc<Compiler<Mips>>>,
    fr: bool,
}

impl Subject {
    fn new(fr: bool, compiled: bool) -> Subject {
        let mut b = MachineBuilder::new("test", 1);
        b.ram(0, &Region::new("low", 0x1000).expect("memory"));
        b.ram(RAM, &Region::new("ram", RAM_BYTES).expect("memory"));
        let machine = b.build().expect("a machine of memory");
        let system = System::new(machine.core_lines(CoreId(0)).cloned());
        system.set_on(CoreId(0), true);
        let model = models::find(if fr { "MIPS64R2-generic" } else { "24Kf" }).expect("the model");
        let c = Configuration { model, big: false, count_frequency: 100_000_000, reset_address: 0xffff_ffff_bfc0_0000 };
        let mut core = Core::new(CoreId(0), Mips::new(&c), machine, system);
        core.powered = true;
        let compiler = compiled.then(|| compiler(Options { at_once: true, ..Options::default() }).expect("a compiler"));
        let compile = if compiled { 1 } else { u32::MAX };
        Subject { cpu: Cpu::new(core, compiler.as_ref().map(|c| c.tier()), Thresholds { compile }), compiler, fr }
    }

    /// Runs one instruction.
    fn run(&mut self, word: u32, before: &State) -> State {
        self.load(word);
        let first = self.go(before);
        if self.compiler.is_none() {
            return first;
        }
        self.cpu.core.tlb.flush(|_| true);
        self.cpu.core.jumps.clear();
        self.go(before)
    }

    /// Puts one instruction in its place.
    fn load(&mut self, word: u32) {
        <Mips as Target>::reset(&mut self.cpu.core);
        self.cpu.forget();
        let spin = [0x1000_ffffu32, 0].map(u32::to_le_bytes).concat();
        self.cpu.core.machine.poke(RAM, &[word.to_le_bytes().to_vec(), spin.clone()].concat()).expect("RAM");
        self.cpu.core.machine.poke(0x180, &spin).expect("RAM");
    }

    /// Runs the instruction from a state.
    fn go(&mut self, before: &State) -> State {
        let core = &mut *self.cpu.core;
        for i in 0..32 {
            *core.word_mut(state::f(i)) = before.f[i as usize];
            *core.word_mut(state::r(i)) = before.r[i as usize];
        }
        *core.word_mut(state::FCSR) = before.fcsr;
        *core.word_mut(state::PC) = RAM;
        *core.word_mut(state::DELAY) = 0;
        // CU1, FR, ERL: addresses of the user's segment are physical ones.
        *core.word_mut(state::cp0(12, 0)) = 1 << 29 | (self.fr as u64) << 26 | 4;
        core.machine.poke(DATA, &before.data).expect("RAM");
        core.resync();
        core.deterministic = Some(InstructionClock { shift: 0, base: 0, from: core.retired });
        core.attention = true;
        // The word, and the branch with its slot after it: compiled code is entered for whole blocks.
        let end = core.retired + 3;
        for _ in 0..8 {
            let left = end as i64 - self.cpu.core.retired as i64;
            if left <= 0 || matches!(self.cpu.run(left), Stop::Halted | Stop::Off) {
                break;
            }
        }
        let core = &mut *self.cpu.core;
        let end = match core.pc() & 0xfff {
            at @ 0..0x100 => {
                assert!(at <= 8, "at {at:x}");
                End::Done
            }
            _ => End::Raised(core.word(state::cp0(13, 0)) >> 2 & 31),
        };
        let mut data = vec![0; DATA_BYTES];
        core.machine.peek(DATA, &mut data).expect("RAM");
        let array = |slot: fn(u32) -> proteus_exec::ops::Slot| std::array::from_fn(|i| core.word(slot(i as u32)));
        State { end, f: array(state::f), r: array(state::r), fcsr: core.word(state::FCSR), data }
    }
}

fn results_are_those_of_the_reference(compiled: bool) {
    let text = std::fs::read_to_string(RECORDED).expect("the recorded results");
    let mut subjects = [Subject::new(false, compiled), Subject::new(true, compiled)];
    let mut met = [false; COUNT];
    let mut faults = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let mut fields = line.splitn(5, ' ');
        let mut next = || fields.next().unwrap_or_default();
        let (name, word, fr, seed, expected) = (next(), next(), next() == "1", next(), next());
        let word = u32::from_str_radix(word, 16).expect("a word");
        let before = State::random(u64::from_str_radix(seed, 16).expect("a seed"), fr);
        let id = decode(word).expect("a word of the tables");
        met[id as usize] = true;
        let found = before.changes(&subjects[fr as usize].run(word, &before));
        if NAMES[id as usize] != name || found.trim() != expected {
            faults.push(format!("{line}\n    here {}{found}", NAMES[id as usize]));
        }
    }
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults[..faults.len().min(20)].join("\n"));
    let missing: Vec<&str> = ALL.into_iter().filter(|&id| of_group(id) && !met[id as usize]).map(|id| NAMES[id as usize]).collect();
    assert!(missing.is_empty(), "no results are recorded for {missing:?}");
    let regions: u64 = subjects.iter().filter_map(|s| s.compiler.as_ref()).map(|c| c.statistics().regions + c.statistics().shared).sum();
    assert!(!compiled || regions as usize > text.lines().count() / 2, "{regions} regions were compiled");
}

#[test]
fn interpreted_results_are_those_of_the_reference() {
    results_are_those_of_the_reference(false);
}

#[test]
fn compiled_results_are_those_of_the_reference() {
    results_are_those_of_the_reference(true);
}

/// The interpreter is what the recorded results are held against mostly; compiled code has a path of
/// its own for each of many conditions.
#[test]
fn both_tiers_agree() {
    let mut r = Random(11);
    for fr in [false, true] {
        let (mut interpreted, mut compiled) = (Subject::new(fr, false), Subject::new(fr, true));
        for id in ALL.into_iter().filter(|&id| of_group(id)) {
            let word = word(id, &mut r);
            interpreted.load(word);
            compiled.load(word);
            for i in 0..400 {
                let seed = r.next();
                let mut before = State::random(seed, fr);
                if i % 4 != 0 {
                    // The modes that the host's arithmetic has.
                    before.fcsr &= !(3 | ENABLES | FS);
                }
                if i == 1 {
                    compiled.cpu.core.tlb.flush(|_| true);
                    compiled.cpu.core.jumps.clear();
                }
                let (a, b) = (interpreted.go(&before), compiled.go(&before));
                assert!(a == b, "{} {word:08x} FR={} {seed:x}\n{}\n{}", NAMES[id as usize], fr as u32, before.changes(&a), before.changes(&b));
            }
        }
    }
}

/// Runs the reference on words and seeds.
fn reference(fr: bool, cases: &[(u32, u64)]) -> Vec<State> {
    let (name, runner, model) = if fr { ("HARNESS64", "qemu-mips64el", "MIPS64R2-generic") } else { ("HARNESS32", "qemu-mipsel", "24Kf") };
    let harness = std::env::var(name).unwrap_or_else(|_| panic!("{name}: the path of reference/fpu.c, compiled"));
    let mut child = Command::new(runner).args(["-cpu", model]).arg(harness).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the reference runs");
    let mut to = child.stdin.take().expect("piped");
    let todo = cases.to_vec();
    let writer = std::thread::spawn(move || {
        for (word, seed) in todo {
            let s = State::random(seed, fr);
            let mut b = Vec::new();
            b.extend(1u32.to_le_bytes());
            b.extend(word.to_le_bytes());
            b.extend([0; 28]);
            b.extend((s.fcsr as u32).to_le_bytes());
            s.r.iter().chain(&s.f).for_each(|v| b.extend(v.to_le_bytes()));
            b.extend(&s.data);
            to.write_all(&b).expect("the reference reads");
        }
    });
    let mut from = child.stdout.take().expect("piped");
    let results = cases
        .iter()
        .map(|&(word, _)| {
            let mut b = vec![0; 16 + 8 * 64 + DATA_BYTES];
            from.read_exact(&mut b).expect("the reference writes");
            let number = |at: usize| u64::from_le_bytes(b[at..at + 8].try_into().unwrap_or_default());
            let end = match number(0) as u32 {
                0 => End::Done,
                4 => End::Raised(10),
                8 => End::Raised(15),
                signal => panic!("{word:08x}: signal {signal}"),
            };
            State {
                end,
                r: std::array::from_fn(|i| number(16 + 8 * i)),
                f: std::array::from_fn(|i| number(16 + 256 + 8 * i)),
                fcsr: number(0) >> 32,
                data: b[16 + 512..].to_vec(),
            }
        })
        .collect();
    writer.join().expect("all was written");
    let _ = child.wait();
    results
}

/// A register with quiet NaNs made the default one, as a double or as two singles.
fn without_payload(v: u64, double: bool) -> u64 {
    let (inf, top, default) = if double { (0x7ff << 52, 1 << 51, u64::MAX >> 1 & !(1 << 51)) } else { (0xff << 23, 1 << 22, 0x7fbf_ffff) };
    let one = |v: u64| if v & inf == inf && v & top == 0 && v & (top - 1) != 0 { default } else { v };
    if double { one(v) } else { one(v & 0xffff_ffff) | one(v >> 32) << 32 }
}

/// Whether two states differ in the payloads and signs of quiet NaNs only.
fn same_but_payloads(a: &State, b: &State) -> bool {
    let pair = |f: &[u64]| f[0] & 0xffff_ffff | f[1] << 32;
    let pairs = a.f.chunks(2).zip(b.f.chunks(2)).all(|(a, b)| {
        let each = |double| a.iter().zip(b).all(|(&a, &b)| without_payload(a, double) == without_payload(b, double));
        let above = |f: &[u64]| (f[0] >> 32, f[1] >> 32);
        each(true) || each(false) || above(a) == above(b) && without_payload(pair(a), true) == without_payload(pair(b), true)
    });
    pairs && State { f: b.f, ..a.clone() } == *b
}

/// Where QEMU 7.2, the reference that was used, is not what the architecture says: ABS and NEG are
/// arithmetic (MD00087); quiet NaNs keep their payload, as far as it fits; and a result that FS makes
/// zero is tiny after rounding, an underflow, and inexact. Only what agrees is recorded.
fn reference_errs(name: &str, before: &State, ours: &State, theirs: &State) -> bool {
    let arithmetic = name.starts_with("ABS") || name.starts_with("NEG");
    let without = |s: &State| State { fcsr: s.fcsr & !UNDERFLOW_INEXACT, ..s.clone() };
    let fs = before.fcsr & FS != 0;
    let flushed = fs && same_but_payloads(&without(ours), &without(theirs));
    // The reference decides before rounding, and raises nothing.
    let rounded_up = fs && ours.fcsr & UNDERFLOW_INEXACT == INEXACT && theirs.fcsr & CAUSE_AND_FLAGS == before.fcsr & FLAGS;
    arithmetic || flushed || rounded_up || same_but_payloads(ours, theirs)
}

#[test]
#[ignore = "needs the reference: see the top of this file"]
fn record() {
    let each: u64 = std::env::var("EACH").ok().and_then(|e| e.parse().ok()).unwrap_or(100);
    const KEPT: usize = 6;
    let mut r = Random(0x5eed);
    let mut out = String::from("# Pattern, word, FR, seed of the state before, changes. Written by the test `record` of glue/tests/fpu.rs.\n");
    let mut report = String::new();
    let mut all = 0;
    for fr in [false, true] {
        let mut subject = Subject::new(fr, false);
        let mut compiled = Subject::new(fr, true);
        let mut cases = Vec::new();
        for id in ALL.into_iter().filter(|&id| of_group(id)) {
            for _ in 0..each {
                let word = word(id, &mut r);
                if decode(word) == Some(id) {
                    cases.push((word, r.below(1 << 32)));
                }
            }
        }
        all += cases.len();
        let mut kept = [0; COUNT];
        let mut faults = [0; COUNT];
        for chunk in cases.chunks(1000) {
            for (i, (&(word, seed), theirs)) in chunk.iter().zip(reference(fr, chunk)).enumerate() {
                let id = decode(word).expect("a word of the tables") as usize;
                let before = State::random(seed, fr);
                let ours = subject.run(word, &before);
                if i % 16 == 0 {
                    let other = compiled.run(word, &before);
                    assert!(ours == other, "{} {word:08x} FR={} {seed:x} compiled{}", NAMES[id], fr as u32, before.changes(&other));
                }
                if ours == theirs {
                    if kept[id] < KEPT {
                        kept[id] += 1;
                        let _ = writeln!(out, "{} {word:08x} {} {seed:x}{}", NAMES[id], fr as u32, before.changes(&ours));
                    }
                } else if !reference_errs(NAMES[id], &before, &ours, &theirs) {
                    faults[id] += 1;
                    if faults[id] <= 2 {
                        let _ = writeln!(
                            report,
                            "{} {word:08x} FR={} {seed:x} fcsr={:x}\n  ours {}\n  reference{}",
                            NAMES[id],
                            fr as u32,
                            before.fcsr,
                            before.changes(&ours),
                            before.changes(&theirs)
                        );
                    }
                }
            }
        }
        for i in (0..COUNT).filter(|&i| faults[i] != 0) {
            let _ = writeln!(report, "{} {}", NAMES[i], faults[i]);
        }
    }
    std::fs::write(RECORDED, out).expect("the file is written");
    assert!(report.is_empty(), "of {all} words:\n{report}");
}
