//! Random programs, run by both tiers to the same state.

use crate::rig::{self, BYTES, CODE, DATA, DATA_BYTES, RAM};
use proteus_arm::a64::{self, Id};
use proteus_arm::{Arm, state};
use proteus_exec::ops::Slot;
use proteus_ins::fuzz::{Programs, Random, Rig, fuzz, wanted};

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
        let word = a64::random(id, r.bits() as u32);
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

    fn branch(&self, r: &mut Random, i: u64, n: u64) -> u32 {
        let id = Self::pick(r, &self.branches);
        let w = a64::random(id, r.bits() as u32);
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

impl Programs<Arm> for Kinds {
    // In one page, which fixed branches never leave.
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

    fn load(&self, rig: &mut Rig<Arm>, program: &[u32]) {
        rig::load(rig, program);
    }

    fn scatter(&self, r: &mut Random, rigs: &mut [Rig<Arm>; 2], length: u64) {
        let mut put = |slot: Slot, v: u64| rigs.iter_mut().for_each(|g| g.set(slot, v));
        for i in 0..20 {
            put(state::x(i), r.number());
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
        put(state::x(29), r.number());
        put(state::x(30), CODE + 4 * r.below(length));
        put(state::SP, (DATA + r.below(DATA_BYTES - 64)) & !15);
        for i in 0..32 {
            put(state::v(i), r.number());
            put(state::v(i).at(1), r.number());
        }
        put(state::FLAG_OP, 0);
        put(state::FLAG_A, r.below(16));
        put(state::FLAG_B, 0);
        let fpcr = if r.one_in(4) { r.bits() & 0x07c8_0000 } else { 0 };
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

    // With the flags that the flags' words stand for.
    fn settled(&self, mut words: Vec<u64>) -> Vec<u64> {
        let at = |s: Slot| s.0 as usize;
        let f = proteus_exec::prim::lazy::nzcv(words[at(state::FLAG_OP)], words[at(state::FLAG_A)], words[at(state::FLAG_B)]);
        words[at(state::FLAG_OP)] = 0;
        words[at(state::FLAG_A)] = f;
        words[at(state::FLAG_B)] = 0;
        words
    }

    fn listing(&self, rig: &Rig<Arm>, length: usize) -> String {
        use std::fmt::Write;
        let at = (CODE - RAM) as usize;
        let memory = rig.memory();
        memory[at..at + 4 * length].chunks(4).enumerate().fold(String::new(), |mut s, (i, c)| {
            let w = u32::from_le_bytes([c[0], c[1], c[2], c[3]]);
            let name = a64::decode(w).map_or("?", |id| a64::NAMES[id as usize]);
            let _ = writeln!(s, "  {:x}: {w:08x} {name}", CODE + 4 * i as u64);
            s
        })
    }
}

#[test]
fn both_tiers_reach_the_same_state() {
    for part in 0..4 {
        let rigs = [rig::Rig::new(None).0, rig::Rig::new(Some(2)).0];
        fuzz("max", 1 + part, wanted() / 4, &Kinds::new(), rigs);
    }
}
