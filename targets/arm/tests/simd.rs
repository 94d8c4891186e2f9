//! FP and Advanced SIMD against results recorded from a reference.
//!
//! A line of `recorded/simd.txt` is a pattern's name, an instruction word, the seed of the state
//! before it (see [`State::random`]) and what the reference changed. The ignored test `record`
//! writes the file: it runs `reference/harness.c` (its path in HARNESS, under RUNNER, otherwise
//! `qemu-aarch64 -cpu max,sve=off,sme=off`) on many more words than it records, and compares all of them.
#![forbid(unsafe_code)]

use proteus_arm::a64::{self, ALL, COUNT, NAMES, PATTERNS, Table, decode};
use proteus_arm::{Arm, Configuration, models, state, sysregs};
use proteus_exec::system::System;
use proteus_exec::{Core, Step};
use proteus_model::ram::Region;
use proteus_model::{CoreId, MachineBuilder};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

const RAM: u64 = 0x4000_0000;
const START: u64 = RAM + 0x1000;
const DATA: u64 = RAM + 0x1_0000;
const DATA_BYTES: usize = 0x1000;
/// Where instructions that access memory do, by way of X20.
const PLACE: usize = 0x800;
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/simd.txt");

/// The groups of the tables in question: FP and Advanced SIMD data processing, and the loads
/// and stores of structures.
fn of_group(id: a64::Id) -> bool {
    let value = PATTERNS[id as usize].1;
    is_structure(value) || matches!(value >> 25 & 15, 7 | 15)
}
fn is_structure(word: u32) -> bool {
    word & 0xbe00_0000 == 0x0c00_0000
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
    fn float(&mut self, exponent: u32, fraction: u32) -> u64 {
        let bias = (1u64 << (exponent - 1)) - 1;
        let sign = self.below(2) << (exponent + fraction);
        let random = self.next() & ((1 << fraction) - 1);
        let top = 1u64 << (fraction - 1);
        let (e, f) = match self.below(16) {
            0 => (0, 0),
            1 => (0, 1 + random / 2),
            2 => (0, random >> self.below(fraction as u64)),
            3 => (1, 0),
            4 => (1 + self.below(3), random),
            5 => (2 * bias + 1, 0),
            6 => (2 * bias + 1, top | random),
            7 => (2 * bias + 1, 1 + random % top / 2),
            8 => (2 * bias - self.below(3), random),
            9 => (bias, 0),
            10 => (bias + self.below(4), random & (top | top >> 1)),
            11 => (bias.saturating_sub(self.below(4)), top),
            // Around the integers that conversions saturate at.
            12 => (bias + [7, 15, 31, 63][self.below(4) as usize].min(bias) - self.below(2), random),
            13 => (self.next() % (2 * bias + 1), random),
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
            4 => self.below(2 * bits as u64),
            5 => 0u64.wrapping_sub(self.below(2 * bits as u64)),
            _ => self.next(),
        }
    }
    /// A vector of lanes of one kind.
    fn vector(&mut self, kind: u64) -> u128 {
        let mut lanes = |bits: u32, f: &mut dyn FnMut(&mut Random) -> u64| (0..128 / bits).fold(0, |v, i| v | (f(self) as u128) << (bits * i));
        match kind {
            0 => lanes(16, &mut |r| r.float(5, 10)),
            1 => lanes(32, &mut |r| r.float(8, 23)),
            2 => lanes(64, &mut |r| r.float(11, 52)),
            3 => lanes(8, &mut |r| r.integer(8)),
            4 => lanes(16, &mut |r| r.integer(16)),
            5 => lanes(32, &mut |r| r.integer(32)),
            6 => lanes(64, &mut |r| r.integer(64)),
            _ => lanes(64, &mut |r| r.next()),
        }
    }
}

#[derive(Clone, PartialEq)]
struct State {
    v: [u128; 32],
    x: [u64; 31],
    nzcv: u64,
    fpcr: u64,
    fpsr: u64,
    data: Vec<u8>,
}

impl State {
    /// The state that a seed stands for.
    fn random(seed: u64) -> State {
        let mut r = Random(seed);
        let kind = r.below(8);
        let v = std::array::from_fn(|_| {
            let kind = if r.below(8) == 0 { r.below(8) } else { kind };
            r.vector(kind)
        });
        let mut x: [u64; 31] = std::array::from_fn(|_| if r.below(2) == 0 { r.integer(64) } else { r.integer(32) });
        x[20] = DATA + PLACE as u64;
        let nzcv = r.below(16);
        // Rounding, flushing, default NaN, the alternative half format.
        let fpcr = if r.below(2) == 0 {
            0
        } else {
            let flags = [0, 1 << 24, 1 << 25, 1 << 19, 1 << 24 | 1 << 19, 1 << 26, 7 << 24 | 1 << 19, 0];
            flags[r.below(8) as usize] | r.below(4) << 22
        };
        let mut data = vec![0; DATA_BYTES];
        for b in &mut data[PLACE - 64..PLACE + 128] {
            *b = r.next() as u8;
        }
        State { v, x, nzcv, fpcr, fpsr: 0, data }
    }

    /// What `after` has otherwise, as text.
    fn changes(&self, after: &State) -> String {
        let mut t = String::new();
        for (i, (a, b)) in self.v.iter().zip(&after.v).enumerate().filter(|(_, (a, b))| a != b) {
            let _ = (a, write!(t, " v{i}={b:032x}"));
        }
        for (i, (a, b)) in self.x.iter().zip(&after.x).enumerate().filter(|(_, (a, b))| a != b) {
            let _ = (a, write!(t, " x{i}={b:x}"));
        }
        for (name, a, b) in [("nzcv", self.nzcv, after.nzcv), ("fpcr", self.fpcr, after.fpcr), ("fpsr", self.fpsr, after.fpsr)] {
            if a != b {
                let _ = write!(t, " {name}={b:x}");
            }
        }
        for at in (0..DATA_BYTES).step_by(8).filter(|&at| self.data[at..at + 8] != after.data[at..at + 8]) {
            let word = after.data[at..at + 8].iter().rev().fold(0u64, |w, b| w << 8 | *b as u64);
            let _ = write!(t, " [{at:x}]={word:x}");
        }
        t
    }
}

/// A core in a machine of nothing but memory.
struct Subject {
    core: Box<Core<Arm>>,
    ram: Arc<Region>,
}

impl Subject {
    fn new() -> Subject {
        let ram = Region::new("ram", 0x2_0000).expect("memory");
        let mut b = MachineBuilder::new("test", 1);
        b.ram(RAM, &ram);
        let machine = b.build().expect("a machine of memory");
        let system = System::new(machine.core_lines(CoreId(0)).cloned());
        let model = models::find("max").expect("the model");
        let c = Configuration {
            model,
            has_el2: false,
            has_el3: false,
            conduit: None,
            affinities: Arc::from([0]),
            frequency: 62_500_000,
            gic_sysregs: false,
            reset_address: START,
        };
        let mut core = Core::new(CoreId(0), Arm::new(&c), machine, system);
        *core.word_mut(sysregs::CPACR_EL1) = 3 << 20;
        core.resync();
        Subject { core, ram }
    }

    /// Runs one instruction; `fast` lets it find the inexact flag set, so that it may take the
    /// host's arithmetic.
    fn run(&mut self, word: u32, before: &State, fast: bool) -> State {
        let (step, after) = self.step(word, before, fast);
        let id = decode(word).expect("a word of the tables");
        assert_eq!(step, Step::Next, "{word:08x} {}: {:?}", NAMES[id as usize], self.core.pending);
        after
    }

    fn step(&mut self, word: u32, before: &State, fast: bool) -> (Step, State) {
        let core = &mut *self.core;
        for (i, v) in before.v.iter().enumerate() {
            *core.word_mut(state::v(i as u32)) = *v as u64;
            *core.word_mut(state::v(i as u32).at(1)) = (*v >> 64) as u64;
        }
        for (i, x) in before.x.iter().enumerate() {
            *core.word_mut(state::x(i as u32)) = *x;
        }
        *core.word_mut(state::FLAG_OP) = proteus_exec::prim::lazy::NZCV;
        *core.word_mut(state::FLAG_A) = before.nzcv;
        *core.word_mut(state::FPCR) = before.fpcr;
        *core.word_mut(state::FPSR) = before.fpsr | (fast as u64) << 4;
        proteus_arm::update_fp_fast(core);
        self.ram.write(DATA - RAM, &before.data).expect("data in memory");
        core.run.pc = START;
        core.run.next_pc = START + 4;
        let id = decode(word).expect("a word of the tables");
        let step = Table::<Core<Arm>>::FUNCTIONS[id as usize](core, word);
        let mut after = before.clone();
        for (i, v) in after.v.iter_mut().enumerate() {
            *v = core.word(state::v(i as u32)) as u128 | (core.word(state::v(i as u32).at(1)) as u128) << 64;
        }
        for (i, x) in after.x.iter_mut().enumerate() {
            *x = core.word(state::x(i as u32));
        }
        after.nzcv = proteus_exec::ops::Ops::nzcv(core);
        after.fpcr = core.word(state::FPCR);
        after.fpsr = core.word(state::FPSR);
        self.ram.read(DATA - RAM, &mut after.data).expect("data in memory");
        (step, after)
    }
}

#[test]
fn results_are_those_of_the_reference() {
    let text = std::fs::read_to_string(RECORDED).expect("the recorded results");
    let mut subject = Subject::new();
    let mut met = [false; COUNT];
    let mut faults = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let mut fields = line.splitn(4, ' ');
        let mut next = || fields.next().unwrap_or_default();
        let (name, word, seed, expected) = (next(), next(), next(), next());
        let word = u32::from_str_radix(word, 16).expect("a word");
        let before = State::random(u64::from_str_radix(seed, 16).expect("a seed"));
        let id = decode(word).expect("a word of the tables");
        met[id as usize] = true;
        let after = subject.run(word, &before, false);
        let found = before.changes(&after);
        if NAMES[id as usize] != name || found.trim() != expected {
            faults.push(format!("{line}\n    here {}{found}", NAMES[id as usize]));
        }
        // The host's arithmetic gives the same, and raises nothing but what is raised already.
        let fast = subject.run(word, &before, true);
        if fast != (State { fpsr: after.fpsr | 1 << 4, ..after }) {
            faults.push(format!("{line}\n    with the host's arithmetic{}", before.changes(&fast)));
        }
    }
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults[..faults.len().min(20)].join("\n"));
    let missing: Vec<&str> = ALL.into_iter().filter(|&id| of_group(id) && !met[id as usize]).map(|id| NAMES[id as usize]).collect();
    assert!(missing.is_empty(), "no results are recorded for {missing:?}");
}

/// Some words of every pattern of the group, those of structures with X20 as their base.
fn words(each: u32) -> Vec<u32> {
    let mut r = Random(7);
    let all = ALL.into_iter().filter(|&id| of_group(id)).flat_map(|id| (0..each).map(move |_| id));
    let word = |id| {
        let word = a64::random(id, r.next() as u32);
        if is_structure(word) { word & !(31 << 5) | 20 << 5 } else { word }
    };
    all.map(word).filter(|&w| decode(w).is_some()).collect()
}

#[test]
fn every_instruction_traps_where_registers_are_disabled() {
    let mut subject = Subject::new();
    *subject.core.word_mut(sysregs::CPACR_EL1) = 0;
    subject.core.resync();
    for word in words(4) {
        let before = State::random(word as u64);
        let (step, after) = subject.step(word, &before, false);
        assert!(step == Step::Fault && after == before, "{word:08x} {:?}", decode(word).map(|id| NAMES[id as usize]));
    }
}

#[test]
fn a_fault_leaves_the_registers() {
    let mut subject = Subject::new();
    let mut faults = 0;
    for word in words(200).into_iter().filter(|&w| is_structure(w)) {
        // The last bytes of memory hold the first elements only.
        for base in [RAM - 64, RAM + 0x2_0000 - 8, RAM + 0x2_0000 - 16, RAM + 0x2_0000 - 32] {
            let mut before = State::random(word as u64);
            before.x[20] = base;
            let (step, after) = subject.step(word, &before, false);
            if step == Step::Fault {
                faults += 1;
                assert!(after.v == before.v && after.x == before.x, "{word:08x} {:?}", decode(word).map(|id| NAMES[id as usize]));
            }
        }
    }
    assert!(faults > 5000, "{faults}");
}

#[test]
fn big_endian_structures_have_their_elements_reversed() {
    let mut subject = Subject::new();
    let little_mode = subject.core.run.mode;
    for word in words(200).into_iter().filter(|&w| is_structure(w)) {
        // Of one element, or replicated: by opcode, size and S.
        let size = word >> 10 & 3;
        let bytes = 1usize
            << match (word >> 24 & 1, word >> 14 & 3) {
                (0, _) | (1, 3) => size,
                (_, 2) => 2 + (size & 1),
                (_, scale) => scale,
            };
        let turned = |data: &[u8]| {
            let mut data = data.to_vec();
            data[PLACE..PLACE + 64].chunks_mut(bytes).for_each(|c| c.reverse());
            data
        };
        let before = State::random(word as u64);
        subject.core.run.mode = little_mode;
        let little = subject.run(word, &before, false);
        subject.core.run.mode = little_mode | state::Mode::BIG;
        let big = subject.run(word, &State { data: turned(&before.data), ..before.clone() }, false);
        assert!(State { data: turned(&big.data), ..big } == little, "{word:08x} {:?}", decode(word).map(|id| NAMES[id as usize]));
    }
}

/// Runs the reference on words and seeds; `None` where it refuses one.
fn reference(cases: &[(u32, u64)]) -> Vec<Option<State>> {
    let runner = std::env::var("RUNNER").unwrap_or_else(|_| "qemu-aarch64 -cpu max,sve=off,sme=off".to_owned());
    let harness = std::env::var("HARNESS").expect("HARNESS: the path of reference/harness.c, compiled");
    let mut words = runner.split_whitespace();
    let mut child = Command::new(words.next().expect("a program"))
        .args(words)
        .arg(harness)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the reference runs");
    let mut to = child.stdin.take().expect("piped");
    let todo = cases.to_vec();
    let writer = std::thread::spawn(move || {
        for (word, seed) in todo {
            let s = State::random(seed);
            let mut b = Vec::new();
            b.extend(1u32.to_le_bytes());
            b.extend(word.to_le_bytes());
            (0..8).for_each(|_| b.extend(0xd420_0000u32.to_le_bytes()));
            b.extend((s.fpcr as u32).to_le_bytes());
            b.extend((s.fpsr as u32).to_le_bytes());
            let numbers = [START, s.nzcv].into_iter().chain(s.x).chain([RAM + 0x2_0000]);
            numbers.for_each(|n| b.extend(n.to_le_bytes()));
            s.v.iter().for_each(|v| b.extend(v.to_le_bytes()));
            b.extend(&s.data);
            to.write_all(&b).expect("the reference reads");
        }
    });
    let mut from = child.stdout.take().expect("piped");
    let results = cases
        .iter()
        .map(|_| {
            let mut b = vec![0; 16 + 8 * (2 + 31 + 1 + 64) + DATA_BYTES];
            from.read_exact(&mut b).expect("the reference writes");
            let half = |at: usize| u32::from_le_bytes(b[at..at + 4].try_into().unwrap_or_default());
            let word = |at: usize| u64::from_le_bytes(b[at..at + 8].try_into().unwrap_or_default());
            let at = 16 + 16;
            (half(0) == 0).then(|| State {
                x: std::array::from_fn(|i| word(at + 8 * i)),
                v: std::array::from_fn(|i| word(at + 256 + 16 * i) as u128 | (word(at + 264 + 16 * i) as u128) << 64),
                nzcv: word(24),
                fpcr: half(4) as u64,
                fpsr: half(8) as u64,
                data: b[at + 256 + 512..].to_vec(),
            })
        })
        .collect();
    writer.join().expect("all was written");
    let _ = child.wait();
    results
}

/// Where QEMU 7.2, the reference that was used, is not what the architecture says: the Z flag of
/// FJCVTZS of a denormal that is flushed (DDI 0487, FPToFixedJS: not exact), and the upper half of
/// the word of a scalar FCVTZS of half precision with fraction bits (zero, not the sign).
fn reference_errs(name: &str, before: &State, ours: &State, theirs: &State) -> bool {
    match name {
        "FJCVTZS" => before.fpcr & 1 << 24 != 0 && ours.fpsr & 1 << 7 != 0 && State { nzcv: 4, ..ours.clone() } == *theirs,
        "FCVTZS_nh" => (0..32).any(|r| {
            let mut fixed = theirs.clone();
            fixed.v[r] &= 0xffff;
            theirs.v[r] >> 16 == 0xffff && fixed == *ours
        }),
        _ => false,
    }
}

#[test]
#[ignore = "needs the reference: see the top of this file"]
fn record() {
    let each: u64 = std::env::var("EACH").ok().and_then(|e| e.parse().ok()).unwrap_or(40);
    const KEPT: usize = 7;
    let mut r = Random(0x5eed);
    let mut cases = Vec::new();
    for id in ALL.into_iter().filter(|&id| of_group(id)) {
        for _ in 0..each {
            let mut word = a64::random(id, r.next() as u32);
            if is_structure(word) {
                word = word & !(31 << 5) | 20 << 5;
            }
            if decode(word) == Some(id) {
                cases.push((word, r.below(1 << 32)));
            }
        }
    }
    let mut subject = Subject::new();
    let mut out = String::from("# Pattern, word, seed of the state before, changes. Written by the test `record` of simd.rs.\n");
    let mut kept = [0; COUNT];
    let mut faults = [0; COUNT];
    let mut report = String::new();
    for chunk in cases.chunks(1000) {
        for (&(word, seed), theirs) in chunk.iter().zip(reference(chunk)) {
            let id = decode(word).expect("a word of the tables") as usize;
            let before = State::random(seed);
            let ours = subject.run(word, &before, false);
            if theirs.as_ref().is_some_and(|t| reference_errs(NAMES[id], &before, &ours, t)) {
                continue;
            }
            if theirs.as_ref() != Some(&ours) {
                faults[id] += 1;
                if faults[id] <= 2 {
                    let theirs = theirs.as_ref().map_or(" refuses it".to_owned(), |t| before.changes(t));
                    let _ = writeln!(report, "{} {word:08x} {seed:x} fpcr={:x}\n  ours {}\n  reference{theirs}", NAMES[id], before.fpcr, before.changes(&ours));
                }
            } else if kept[id] < KEPT {
                kept[id] += 1;
                let _ = writeln!(out, "{} {word:08x} {seed:x}{}", NAMES[id], before.changes(&ours));
            }
        }
    }
    std::fs::write(RECORDED, out).expect("the file is written");
    let bad: Vec<String> = (0..COUNT).filter(|&i| faults[i] != 0).map(|i| format!("{} {}", NAMES[i], faults[i])).collect();
    assert!(bad.is_empty(), "{report}\n{} patterns differ, of {} words: {}", bad.len(), cases.len(), bad.join(", "));
}
