//! Random programs, run by both tiers to the same state: what the fuzzers of every target share.

use proteus_exec::ops::Slot;
use proteus_exec::{Core, Cpu, InstructionClock, Stop, Target, Thresholds, WORDS};
use proteus_translator::{Compiler, Options, Unavailable};
use std::sync::Arc;

/// A small generator of random numbers, the same everywhere (xorshift64*).
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.bits() >> 11) % n
    }
    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    /// A number such as make differences: small, large, one bit, a sign, few bits, and a double or
    /// two floats of ordinary size.
    pub fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => self.below(4),
            1 => u64::MAX - self.below(3),
            2 => 1 << self.below(64),
            3 => self.bits() as i32 as i64 as u64,
            4 => self.bits() as u32 as u64,
            5 => self.bits() & self.bits() & self.bits(),
            6 => 0x3ff0_0000_3f80_0000 | self.bits() & 0x803f_ffff_807f_ffff,
            _ => self.bits(),
        }
    }
}

/// One core and its memory, with instructions for time.
pub struct Rig<T: Target> {
    /// The core.
    pub cpu: Cpu<T>,
    /// What compiles for it.
    pub compiler: Option<Arc<Compiler<T>>>,
    /// Guest physical address of its RAM, and its bytes.
    ram: (u64, u64),
}

impl<T: Target> Rig<T> {
    /// Runs `core`. `compile` is the threshold; none for the interpreter alone. `compiler` is that of
    /// the target's glue.
    pub fn new(mut core: Box<Core<T>>, ram: (u64, u64), compile: Option<u32>, compiler: fn(Options) -> Result<Arc<Compiler<T>>, Unavailable>) -> Rig<T> {
        core.deterministic = Some(InstructionClock { shift: 0, base: 0, from: 0 });
        // As the runs whose time is a count of instructions: programs that write over themselves then see
        // it at the same instruction in both tiers.
        let compiler = compile.map(|_| compiler(Options { at_once: true, exact: true, ..Options::default() }).expect("a compiler"));
        let tier = compiler.as_ref().map(Compiler::tier);
        Rig { cpu: Cpu::new(core, tier, Thresholds { compile: compile.unwrap_or(u32::MAX) }), compiler, ram }
    }

    /// Sets a register word.
    pub fn set(&mut self, slot: Slot, v: u64) {
        *self.cpu.core.word_mut(slot) = v;
    }

    /// Writes RAM by guest physical address.
    pub fn poke(&mut self, at: u64, bytes: &[u8]) {
        self.cpu.core.machine.poke(at, bytes).expect("RAM");
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
        let mut m = vec![0; self.ram.1 as usize];
        self.cpu.core.machine.peek(self.ram.0, &mut m).expect("RAM");
        m
    }
}

/// The programs of a target.
pub trait Programs<T: Target> {
    /// A program of `n` random instructions that comes back to its beginning; with branches, or
    /// without.
    fn program(&self, r: &mut Random, n: u64, branchy: bool) -> Vec<u32>;
    /// Puts a program in place.
    fn load(&self, rig: &mut Rig<T>, program: &[u32]);
    /// The same random state for both, the pc somewhere in a program of `length` instructions.
    fn scatter(&self, r: &mut Random, rigs: &mut [Rig<T>; 2], length: u64);
    /// The register words in a form that is the same for the same architectural state.
    fn settled(&self, words: Vec<u64>) -> Vec<u64>;
    /// The program of `length` words as memory has it now, for people.
    fn listing(&self, rig: &Rig<T>, length: usize) -> String;
}

/// Instructions to execute in all: PROTEUS_FUZZ asks for more, in millions.
pub fn wanted() -> u64 {
    std::env::var("PROTEUS_FUZZ").ok().and_then(|v| v.parse::<u64>().ok()).map_or(200_000, |m| m * 1_000_000)
}

/// Runs programs until `total` instructions have been executed by each rig, the first of which
/// interprets and the second compiles. Panics where they do not reach the same state.
pub fn fuzz<T: Target>(what: &str, seed: u64, total: u64, programs: &impl Programs<T>, mut rigs: [Rig<T>; 2]) {
    let mut r = Random::new(seed);
    let (mut done, mut count) = (0, 0u64);
    while done < total {
        let n = match count % 4 {
            0 => 1 + r.below(3),
            1 => 4 + r.below(12),
            _ => 8 + r.below(100),
        };
        count += 1;
        let program = programs.program(&mut r, n, !count.is_multiple_of(3));
        rigs.iter_mut().for_each(|g| programs.load(g, &program));
        for run in 0..8 {
            if run % 2 == 0 || r.one_in(2) {
                programs.scatter(&mut r, &mut rigs, n);
            }
            let before = rigs[0].words();
            let budget = 1 + r.below(if run < 4 { 8 * n + 8 } else { 400 });
            let stops = [rigs[0].run(budget), rigs[1].run(budget)];
            let [a, b] = [0, 1].map(|i| programs.settled(rigs[i].words()));
            let executed = [0, 1].map(|i| rigs[i].cpu.core.executed());
            let differ: Vec<String> =
                (0..a.len()).filter(|&i| a[i] != b[i]).map(|i| format!("word {i}: {:x} -> interpreted {:x}, compiled {:x}", before[i], a[i], b[i])).collect();
            let [m, c] = [0, 1].map(|i| rigs[i].memory());
            let at = (0..m.len()).find(|&i| m[i] != c[i]);
            assert!(
                differ.is_empty() && at.is_none() && executed[0] == executed[1] && stops[0] == stops[1],
                "{what} seed {seed}, program {count}, run {run} of {budget} from {:x}: stops {stops:?}, executed {executed:?}, first byte of memory {at:x?}\n{}\n{}",
                before[T::LAYOUT.pc.0 as usize],
                differ.join("\n"),
                programs.listing(&rigs[0], program.len())
            );
            done += budget;
        }
    }
    let s = rigs[1].compiler.as_ref().expect("a compiler").statistics();
    println!(
        "{what} seed {seed}: {count} programs, {done} instructions; {s:?}, {:.1} us an instruction",
        s.nanoseconds as f64 / 1000.0 / s.instructions as f64
    );
    assert!(s.regions > count, "hardly anything was compiled");
    assert_eq!(s.refused, 0);
}
