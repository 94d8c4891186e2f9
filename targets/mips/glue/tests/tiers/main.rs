//! Random programs, run by both tiers to the same state, on either width and in either byte order.
#![forbid(unsafe_code)]

mod rig;

use proteus_exec::ops::Slot;
use proteus_ins::fuzz::{Programs, Random, Rig, fuzz, wanted};
use proteus_mips::mips::{self, Id};
use proteus_mips::{Mips, cp0, state};
use rig::{BYTES, CODE, DATA, DATA_BYTES, KSEG0};

/// Instructions that leave the state in which a program goes on: they have tests of their own.
const LEFT_OUT: &[&str] = &["MTC0", "DMTC0", "ERET", "DERET", "WAIT", "TLBWI", "TLBWR", "TLBR", "SDBBP", "DI", "EI", "CACHE"];

/// Registers that hold addresses of data, and one with an address in the program.
const BASES: std::ops::Range<u32> = 16..24;
const CODE_REGISTER: u32 = 28;

/// The kinds of instruction that programs are made of.
struct Kinds {
    plain: Vec<Id>,
    memory: Vec<Id>,
    branches: Vec<Id>,
}

/// What an instruction does, by its scan.
fn kind(id: Id) -> (bool, bool) {
    use proteus_exec::scan::{Ends, Scan};
    let mode = state::Mode::M64 | state::Mode::OP64 | state::Mode::CU1 | state::Mode::CU0 | state::Mode::FR;
    let seen = mips::Table::<Scan>::FUNCTIONS[id as usize](&mut Scan::new(0x1000, 4, mode), mips::random(id, 1));
    (matches!(seen.ends, Ends::Delayed(_)), seen.memory)
}

impl Kinds {
    fn new(has: impl Fn(Id) -> bool) -> Kinds {
        let mut kinds = Kinds { plain: Vec::new(), memory: Vec::new(), branches: Vec::new() };
        for &id in mips::ALL.iter().filter(|id| has(**id) && !LEFT_OUT.contains(&mips::NAMES[**id as usize])) {
            match kind(id) {
                (true, _) => kinds.branches.push(id),
                (false, true) => kinds.memory.push(id),
                (false, false) => kinds.plain.push(id),
            }
        }
        assert!(kinds.branches.len() > 10 && kinds.memory.len() > 10 && kinds.plain.len() > 50);
        kinds
    }

    /// A word of `id` that writes no register which holds an address, and is based on one.
    fn tame(r: &mut Random, id: Id, memory: bool) -> u32 {
        let mut w = mips::random(id, r.bits() as u32);
        let field = |w: &mut u32, at: u32, value: u32| {
            let v = *w & !(31 << at) | value << at;
            if mips::decode(v) == Some(id) {
                *w = v;
            }
        };
        for at in [11, 16] {
            let n = w >> at & 31;
            if BASES.contains(&n) || n == CODE_REGISTER {
                field(&mut w, at, r.below(16) as u32);
            }
        }
        if memory && !r.one_in(16) {
            field(&mut w, 21, BASES.start + r.below(8) as u32);
            // Indexed ones add two registers.
            if r.one_in(2) {
                field(&mut w, 16, r.below(2) as u32);
            }
        }
        w
    }

    fn branch(r: &mut Random, id: Id, i: u64, n: u64) -> u32 {
        let w = mips::random(id, r.bits() as u32);
        let to = r.below(n + 1);
        match mips::NAMES[id as usize] {
            "J" | "JAL" => w & !0x3ff_ffff | ((CODE >> 2) as u32 + to as u32) & 0x3ff_ffff,
            name if name.starts_with("JR") || name.starts_with("JALR") => {
                // The link register is not the one that is jumped to.
                w & !(31 << 21 | 31 << 11) | CODE_REGISTER << 21 | (w >> 11 & 15) << 11
            }
            _ => w & !0xffff | (to as i64 - i as i64 - 1) as u32 & 0xffff,
        }
    }
}

impl Programs<Mips> for Kinds {
    // In one page, which fixed branches never leave.
    fn program(&self, r: &mut Random, n: u64, branchy: bool) -> Vec<u32> {
        let pick = |r: &mut Random, from: &[Id]| from[r.below(from.len() as u64) as usize];
        let mut words = Vec::new();
        for i in 0..n {
            words.push(match r.below(100) {
                0..66 => {
                    let id = pick(r, &self.plain);
                    Self::tame(r, id, false)
                }
                66..88 => {
                    let id = pick(r, &self.memory);
                    Self::tame(r, id, true)
                }
                _ if branchy => {
                    let id = pick(r, &self.branches);
                    Self::branch(r, id, i, n)
                }
                _ => {
                    let id = pick(r, &self.plain);
                    Self::tame(r, id, false)
                }
            });
        }
        // beq $0, $0, to the beginning; the first slot is whatever comes first.
        words.extend([0x1000_0000 | (-(n as i32) - 1) as u32 & 0xffff, 0]);
        words
    }

    fn load(&self, rig: &mut Rig<Mips>, program: &[u32]) {
        rig::load(rig, program);
    }

    fn scatter(&self, r: &mut Random, rigs: &mut [Rig<Mips>; 2], length: u64) {
        let model = rigs[0].cpu.core.target.model;
        let wide = model.bits64;
        let address = |v: u64| if wide { v as u32 as i32 as i64 as u64 } else { v as u32 as u64 };
        let cut = |v: u64| if wide { v } else { v as u32 as u64 };
        let mut put = |slot: Slot, v: u64| rigs.iter_mut().for_each(|g| g.set(slot, v));
        for n in 1..32 {
            put(state::r(n), cut(r.number()));
        }
        // What indexed accesses add.
        put(state::r(1), r.below(64));
        for n in BASES {
            let mut at = DATA + r.below(DATA_BYTES - 64);
            match r.below(16) {
                0 => at = at & !0xfff | (0xff0 + r.below(16)),
                1 => at = KSEG0 + BYTES - r.below(32),
                2 => at = CODE + r.below(4 * length),
                3 => {}
                // Through the TLB, where there is nothing.
                4 => at = r.below(1 << 20),
                _ => at &= !15,
            }
            put(state::r(n), address(at));
        }
        put(state::r(CODE_REGISTER), address(CODE + 4 * r.below(length)));
        put(state::HI, cut(r.number()));
        put(state::LO, cut(r.number()));
        for n in 0..32 {
            let low = r.number();
            put(state::f(n), low);
        }
        let fcsr = match r.below(4) {
            0 => r.bits() & 0xff83_ffff & !0x0003_f000,
            1 => r.bits() & 3,
            _ => 0,
        };
        put(state::FCSR, fcsr);
        put(state::PC, address(CODE + 4 * r.below(length)));
        put(state::DELAY, 0);
        put(state::DELAY_TARGET, 0);
        // CU1, CU0, perhaps FR; kernel mode without EXL, ERL and BEV.
        let fr = (r.below(2) << 26) * u64::from(model.fpu64());
        rigs.iter_mut().for_each(|g| {
            g.set(cp0::STATUS, 3 << 28 | fr);
            g.cpu.core.halted = false;
            g.cpu.core.resync();
        });
    }

    // Without the target of a delay slot that is over.
    fn settled(&self, mut words: Vec<u64>) -> Vec<u64> {
        if words[state::DELAY.0 as usize] == 0 {
            words[state::DELAY_TARGET.0 as usize] = 0;
        }
        words
    }

    fn listing(&self, rig: &Rig<Mips>, length: usize) -> String {
        use std::fmt::Write;
        rig::code(rig, length).iter().enumerate().fold(String::new(), |mut s, (i, w)| {
            let name = mips::decode(*w).map_or("?", |id| mips::NAMES[id as usize]);
            let _ = writeln!(s, "  {:x}: {w:08x} {name}", CODE + 4 * i as u64);
            s
        })
    }
}

fn model(model: &str, big: bool, seed: u64, total: u64) {
    let rigs = [rig::rig(model, big, None), rig::rig(model, big, Some(2))];
    let kinds = Kinds::new(|id| rigs[0].cpu.core.target.has(mips::FEATURES[id as usize]));
    fuzz(&format!("{model} big {big}"), seed, total, &kinds, rigs);
}

#[test]
fn both_tiers_reach_the_same_state_on_32_bits() {
    for (seed, big) in [(1, false), (2, true)] {
        model("24Kf", big, seed, wanted() / 2);
    }
}

#[test]
fn both_tiers_reach_the_same_state_on_64_bits() {
    for (seed, big) in [(3, false), (4, true)] {
        model("MIPS64R2-generic", big, seed, wanted() / 2);
    }
}
