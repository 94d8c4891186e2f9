//! Tests: against `rustc_apfloat`, against the host, against exact integers, and by hand.

mod apfloat;
mod arm;
mod exact;
mod host;
mod nans;

use crate::{Env, Flags, Fmt, NanRule, Rounding};

const FORMATS: [Fmt; 3] = [Fmt::F16, Fmt::F32, Fmt::F64];
const ROUNDINGS: [Rounding; 6] = [Rounding::TiesEven, Rounding::Up, Rounding::Down, Rounding::Zero, Rounding::TiesAway, Rounding::ToOdd];

/// The fields of a format.
#[derive(Clone, Copy)]
struct Shape {
    frac: u32,
    exp: u32,
}

impl Shape {
    fn of(fmt: Fmt) -> Shape {
        match fmt {
            Fmt::F16 => Shape { frac: 10, exp: 5 },
            Fmt::F32 => Shape { frac: 23, exp: 8 },
            Fmt::F64 => Shape { frac: 52, exp: 11 },
        }
    }
    fn sign(self) -> u64 {
        1 << (self.frac + self.exp)
    }
    fn magnitude(self) -> u64 {
        self.sign() - 1
    }
    fn inf(self) -> u64 {
        ((1 << self.exp) - 1) << self.frac
    }
    fn min_normal(self) -> u64 {
        1 << self.frac
    }
    fn quiet(self) -> u64 {
        1 << (self.frac - 1)
    }
    fn one(self) -> u64 {
        ((1 << (self.exp - 1)) - 1) << self.frac
    }
    fn is_nan(self, a: u64) -> bool {
        a & self.magnitude() > self.inf()
    }
    fn is_signalling(self, a: u64) -> bool {
        self.is_nan(a) && a & self.quiet() == 0
    }
}

/// A small deterministic generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// An operand, more often than not near an edge.
    fn operand(&mut self, fmt: Fmt) -> u64 {
        let s = Shape::of(fmt);
        let edges = [
            0,
            1,
            2,
            s.min_normal() - 1,
            s.min_normal(),
            s.min_normal() + 1,
            2 * s.min_normal(),
            s.one() - 1,
            s.one(),
            s.one() + 1,
            s.one() + s.quiet(),
            s.one() + s.min_normal(),
            s.inf() - 1,
            s.inf(),
            s.inf() + 1,
            s.inf() + s.quiet(),
            s.inf() + s.quiet() + 5,
        ];
        let sign = if self.below(2) == 0 { s.sign() } else { 0 };
        let bits = self.next();
        let exponent = match self.below(4) {
            0 => self.below(4),
            1 => (1 << (s.exp - 1)) - 4 + self.below(8),
            2 => (1 << s.exp) - 1 - self.below(4),
            _ => self.below(1 << s.exp),
        } << s.frac;
        let fraction = match self.below(5) {
            0 => bits,
            // Sparse, dense, and runs.
            1 => bits & self.next() & self.next() & self.next(),
            2 => bits | self.next() | self.next() | self.next(),
            3 => (1u64 << self.below(s.frac as u64)).wrapping_neg(),
            _ => 1 << self.below(s.frac as u64),
        };
        sign | match self.below(8) {
            0 => self.of(&edges),
            1 => bits & s.magnitude(),
            2 => (self.of(&edges) + bits % 16).wrapping_sub(8) & s.magnitude(),
            _ => exponent | fraction & (s.min_normal() - 1),
        }
    }

    /// An operand, sometimes one close to `a` or to its negation.
    fn operand_near(&mut self, fmt: Fmt, a: u64) -> u64 {
        let s = Shape::of(fmt);
        match self.below(6) {
            0 => {
                let magnitude = (a & s.magnitude()).wrapping_add(self.below(5)).wrapping_sub(2);
                (a ^ self.of(&[0, s.sign()])) & s.sign() | magnitude & s.magnitude()
            }
            1 => (a ^ s.sign()) ^ (1 << self.below(s.frac as u64)),
            _ => self.operand(fmt),
        }
    }
}

fn env(rounding: Rounding) -> Env {
    Env { rounding, ..Env::arm() }
}

/// Runs `f` in the default environment with `change` applied; gives the result and the flags.
fn run<T>(change: impl FnOnce(&mut Env), f: impl FnOnce(&mut Env) -> T) -> (T, Flags) {
    let mut env = Env::arm();
    change(&mut env);
    let result = f(&mut env);
    (result, env.flags)
}

fn arm(_: &mut Env) {}

fn rule(nan: NanRule) -> impl FnOnce(&mut Env) {
    move |env| *env = Env::with_nan_rule(nan)
}
