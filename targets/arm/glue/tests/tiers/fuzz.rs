//! Random programs, run by both tiers to the same state.

use crate::rig::{BYTES, CODE, DATA, DATA_BYTES, RAM, Rig};
use proteus_arm::a64::{self, Id};
use proteus_arm::state;
use proteus_exec::ops::Slot;

/// A small generator of random numbers, the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The kinds of instruction that programs are made of.
struct Kinds {
    integer: Vec<Id>,
    memory: Vec<Id>,
    float: Vec<Id>,
    branches: Vec<Id>,
}

impl Kinds {
    fn new() -> Kinds {
        let name = |id: Id| a64::NAMES[id as usize];
        let at = |n: &str| a64::NAMES.iter().position(|x| *x == n).expect("a name of the tables");
        let range = |from: &str, to: &str| a64::ALL[at(from)..=at(to)].to_vec();
        let mut integer = range("ADR", "EXTR");
        integer.extend(range("CFINV", "AXFLAG"));
        integer.extend(range("AND_r", "UMULH"));
        let mut float = range("FMOV_s", "XAR");
        float.retain(|&i| name(i) != "HINT");
        let mut memory = range("STXR", "LDR_v_r");
        memory.extend(range("ST1_v", "LD4_rep"));
        Kinds { integer, memory, float, branches: range("B", "RET") }
    }

    fn pick(r: &mut Random, from: &[Id]) -> Id {
        from[r.below(from.len() as u64) as usize]
    }

    /// A word of `id` that writes no register which holds an address, and is based on one.
    fn tame(r: &mut Random, id: Id, memory: bool) -> u32 {
        let word = a64::random(id, r.next() as u32);
        let keep = |w: u32| a64::decode(w) == Some(id);
        let mut w = word;
        if (20..31).contains(&(w & 31)) {
            let v = w & !31 | (r.below(19) as u32);
            if keep(v) {
                w = v;
            }
        }
        if memory && !r.one_in(16) {
            let base = if r.one_in(8) { 31 } else { 20 + r.below(8) as u32 };
            let v = w & !(31 << 5) | base << 5;
            if keep(v) {
                w = v;
            }
        }
        w
    }

    /// A program of `n` instructions in one page, which never leaves it by a fixed branch.
    fn program(&self, r: &mut Random, n: u64, branchy: bool) -> Vec<u32> {
        let mut words = Vec::new();
        for i in 0..n {
            let kind = r.below(100);
            let word = match kind {
                0..50 => {
                    let id = Self::pick(r, &self.integer);
                    Self::tame(r, id, false)
                }
                50..72 => {
                    let id = Self::pick(r, &self.memory);
                    Self::tame(r, id, true)
                }
                72..84 => {
                    let id = Self::pick(r, &self.float);
                    Self::tame(r, id, false)
                }
                84..88 => {
                    // mrs xt of NZCV, FPCR, FPSR, CNTVCT_EL0, TPIDR_EL0, CurrentEL; msr of some.
                    let all = [
                        0xd53b_4200,
                        0xd53b_4400,
                        0xd53b_4420,
                        0xd53b_e040,
                        0xd53b_d040,
                        0xd538_4240,
                        0xd51b_4200,
                        0xd51b_4420,
                        0xd51b_d040,
                        0xd503_3bbf,
                        0xd503_3f9f,
                        0xd503_3fdf,
                        0xd503_201f,
                        0xd400_0001,
                    ];
                    let w = all[r.below(all.len() as u64) as usize];
                    if w & 0xfff0_0000 == 0xd530_0000 || w & 0xfff0_0000 == 0xd510_0000 { w | r.below(19) as u32 } else { w }
                }
                _ if branchy => self.branch(r, i, n),
                _ => {
                    let id = Self::pick(r, &self.integer);
                    Self::tame(r, id, false)
                }
            };
            words.push(word);
        }
        // b to the beginning
        words.push(0x1400_0000 | (-(n as i32) as u32 & 0x3ff_ffff));
        words
    }

    fn branch(&self, r: &mut Random, i: u64, n: u64) -> u32 {
        let id = Self::pick(r, &self.branches);
        let w = a64::random(id, r.next() as u32);
        let to = r.below(n + 1) as i64 - i as i64;
        let field = |w: u32, bits: u32, at: u32| w & !(((1 << bits) - 1) << at) | ((to as u32) & ((1 << bits) - 1)) << at;
        match id {
            Id::B | Id::BL => field(w, 26, 0),
            Id::B_cond | Id::CBZ | Id::CBNZ => field(w, 19, 5),
            Id::TBZ | Id::TBNZ => field(w, 14, 5),
            // x28 holds an address in the program.
            _ => w & !(31 << 5) | 28 << 5,
        }
    }
}

fn number(r: &mut Random) -> u64 {
    match r.below(8) {
        0 => r.below(4),
        1 => u64::MAX - r.below(3),
        2 => 1 << r.below(64),
        3 => r.next() as i32 as i64 as u64,
        4 => r.next() as u32 as u64,
        5 => r.next() & r.next() & r.next(),
        // A double or two floats of ordinary size.
        6 => 0x3ff0_0000_3f80_0000 | r.next() & 0x803f_ffff_807f_ffff,
        _ => r.next(),
    }
}

/// The same random state for both.
fn scatter(r: &mut Random, rigs: &mut [Rig; 2], length: u64) {
    let mut put = |slot: Slot, v: u64| rigs.iter_mut().for_each(|g| g.set(slot, v));
    for i in 0..20 {
        put(state::x(i), number(r));
    }
    for i in 20..28 {
        let mut at = DATA + r.below(DATA_BYTES - 64);
        match r.below(16) {
            0 => at = at & !0xfff | (0xff0 + r.below(16)),
            1 => at = RAM + BYTES - r.below(32),
            2 => at = CODE + r.below(4 * length),
            3 => {}
            _ => at &= !15,
        }
        put(state::x(i), at);
    }
    put(state::x(28), CODE + 4 * r.below(length));
    put(state::x(29), number(r));
    put(state::x(30), CODE + 4 * r.below(length));
    put(state::SP, (DATA + r.below(DATA_BYTES - 64)) & !15);
    for i in 0..32 {
        put(state::v(i), number(r));
        put(state::v(i).at(1), number(r));
    }
    put(state::FLAG_OP, 0);
    put(state::FLAG_A, r.below(16));
    put(state::FLAG_B, 0);
    let fpcr = if r.one_in(4) { r.next() & 0x07c8_0000 } else { 0 };
    put(state::FPCR, fpcr);
    put(state::FPSR, if r.one_in(4) { 0 } else { 1 << 4 });
    put(state::PC, CODE + 4 * r.below(length));
    put(state::EL, 1);
    for g in rigs.iter_mut() {
        proteus_arm::update_fp_fast(&mut g.cpu.core);
        g.cpu.core.halted = false;
        g.cpu.core.resync();
    }
}

/// The flags' words, as the flags they stand for.
fn settled(mut words: Vec<u64>) -> Vec<u64> {
    let at = |s: Slot| s.0 as usize;
    let f = proteus_exec::prim::lazy::nzcv(words[at(state::FLAG_OP)], words[at(state::FLAG_A)], words[at(state::FLAG_B)]);
    words[at(state::FLAG_OP)] = 0;
    words[at(state::FLAG_A)] = f;
    words[at(state::FLAG_B)] = 0;
    words
}

fn listing(words: &[u32]) -> String {
    use std::fmt::Write;
    let mut s = String::new();
    for (i, w) in words.iter().enumerate() {
        let name = a64::decode(*w).map_or("?", |id| a64::NAMES[id as usize]);
        let _ = writeln!(s, "  {:x}: {w:08x} {name}", CODE + 4 * i as u64);
    }
    s
}

/// Runs programs until `total` instructions have been executed by each tier.
fn fuzz(seed: u64, total: u64) {
    let kinds = Kinds::new();
    let mut r = Random::new(seed);
    let mut rigs = [Rig::new(None), Rig::new(Some(2))];
    let mut done = 0;
    let mut programs = 0u64;
    while done < total {
        let n = match programs % 4 {
            0 => 1 + r.below(3),
            1 => 4 + r.below(12),
            _ => 8 + r.below(100),
        };
        programs += 1;
        let program = kinds.program(&mut r, n, !programs.is_multiple_of(3));
        for g in &mut rigs {
            g.program(&program);
        }
        for run in 0..8 {
            if run % 2 == 0 || r.one_in(2) {
                scatter(&mut r, &mut rigs, n);
            }
            let before = rigs[0].words();
            let budget = 1 + r.below(if run < 4 { 8 * n + 8 } else { 400 });
            let stops = [rigs[0].run(budget), rigs[1].run(budget)];
            let [a, b] = [0, 1].map(|i| settled(rigs[i].words()));
            let executed = [0, 1].map(|i| rigs[i].cpu.core.executed());
            let differ: Vec<String> =
                (0..a.len()).filter(|&i| a[i] != b[i]).map(|i| format!("word {i}: {:x} -> interpreted {:x}, compiled {:x}", before[i], a[i], b[i])).collect();
            let [m, c] = [0, 1].map(|i| rigs[i].memory());
            let at = (0..m.len()).find(|&i| m[i] != c[i]);
            if !differ.is_empty() || at.is_some() || executed[0] != executed[1] || stops[0] != stops[1] {
                let words: Vec<u32> = m[0x1000..0x1000 + 4 * program.len()].chunks(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
                panic!(
                    "seed {seed}, program {programs}, run {run} of {budget} from {:x}: stops {stops:?}, executed {executed:?}, first byte of memory {at:x?}\n{}\n{}",
                    before[state::PC.0 as usize],
                    differ.join("\n"),
                    listing(&words)
                );
            }
            done += budget;
        }
    }
    let s = rigs[1].compiler.as_ref().expect("a compiler").statistics();
    println!("seed {seed}: {programs} programs, {done} instructions; {s:?}, {:.1} us an instruction", s.nanoseconds as f64 / 1000.0 / s.instructions as f64);
    assert!(s.regions > programs, "hardly anything was compiled");
    assert_eq!(s.refused, 0);
}

/// How many instructions in all: PROTEUS_FUZZ asks for more, in millions.
fn wanted() -> u64 {
    std::env::var("PROTEUS_FUZZ").ok().and_then(|v| v.parse::<u64>().ok()).map_or(200_000, |m| m * 1_000_000)
}

#[test]
fn both_tiers_reach_the_same_state() {
    for part in 0..4 {
        fuzz(1 + part, wanted() / 4);
    }
}
