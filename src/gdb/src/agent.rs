//! Conditions of breakpoints: agent expressions (GDB manual, appendix F), a bytecode for a machine
//! with a stack of 64-bit integers.
//!
//! Evaluation is total: it ends after [`MOST_STEPS`] bytecodes, and what cannot be evaluated (memory
//! that is not there, a division by zero, floating point) has no value. Such a condition counts as
//! one that holds, for the debugger then looks at it itself.

use proteus_exec::debug::Inspect;

/// Bytecodes executed at most, so that an expression that loops does not hold up the core.
const MOST_STEPS: u32 = 10_000;
/// Values on the stack at most.
const DEEPEST: usize = 256;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(Vec<u8>);

/// The expressions of a `Z` packet: `X` with the length in bytes, a comma and the bytes in
/// hexadecimal digits, one after the other. `None` where it is something else.
pub fn parse(list: &str) -> Option<Vec<Expression>> {
    let mut rest = list;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (length, more) = rest.strip_prefix('X')?.split_once(',')?;
        let digits = usize::from_str_radix(length, 16).ok()?.checked_mul(2)?;
        let (digits, more) = more.split_at_checked(digits)?;
        let pairs = digits.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
        all.push(Expression(bytes?));
        rest = more;
    }
    Some(all)
}

/// The evaluation of an expression.
struct Machine<'a> {
    code: &'a [u8],
    at: usize,
    stack: Vec<u64>,
    core: &'a mut dyn Inspect,
    big: bool,
}

impl Expression {
    /// The value, with memory in big-endian order if `big`; `None` where there is none.
    pub fn value(&self, core: &mut dyn Inspect, big: bool) -> Option<u64> {
        let mut machine = Machine { code: &self.0, at: 0, stack: Vec::new(), core, big };
        for _ in 0..MOST_STEPS {
            let bytecode = machine.operand(1)? as u8;
            if bytecode == END {
                return machine.pop();
            }
            machine.execute(bytecode)?;
        }
        None
    }

    /// Whether a breakpoint with this condition stops the core.
    pub fn holds(&self, core: &mut dyn Inspect, big: bool) -> bool {
        self.value(core, big) != Some(0)
    }
}

/// `end`: the value is the top of the stack.
const END: u8 = 0x27;

impl Machine<'_> {
    /// The next bytes of the code, most significant first.
    fn operand(&mut self, bytes: usize) -> Option<u64> {
        let end = self.at.checked_add(bytes)?;
        let found = self.code.get(self.at..end)?;
        self.at = end;
        Some(found.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn pop(&mut self) -> Option<u64> {
        self.stack.pop()
    }

    fn push(&mut self, value: u64) -> Option<()> {
        (self.stack.len() < DEEPEST).then(|| self.stack.push(value))
    }

    /// The place of the item that is `depth` below the top.
    fn place(&self, depth: usize) -> Option<usize> {
        self.stack.len().checked_sub(depth + 1)
    }

    fn jump(&mut self, to: u64) -> Option<()> {
        self.at = usize::try_from(to).ok()?;
        Some(())
    }

    /// Memory at the address on the stack.
    fn load(&mut self, bytes: usize) -> Option<()> {
        let (address, mut found) = (self.pop()?, [0; 8]);
        let found = &mut found[..bytes];
        if self.core.memory(address, found) != bytes {
            return None;
        }
        if !self.big {
            found.reverse();
        }
        self.push(found.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn execute(&mut self, bytecode: u8) -> Option<()> {
        match bytecode {
            0x02..=0x0b | 0x0f..=0x11 | 0x13..=0x15 => {
                let (b, a) = (self.pop()?, self.pop()?);
                self.push(binary(bytecode, a, b)?)
            }
            // log_not, bit_not
            0x0e => self.pop().and_then(|a| self.push(u64::from(a == 0))),
            0x12 => self.pop().and_then(|a| self.push(!a)),
            // ext and zero_ext: the number of bits
            0x16 | 0x2a => {
                let (bits, a) = (self.operand(1)?, self.pop()?);
                let unused = 64u32.checked_sub(bits as u32).filter(|_| bits != 0)?;
                let a = a << unused;
                self.push(if bytecode == 0x16 { (a as i64 >> unused) as u64 } else { a >> unused })
            }
            // ref8, ref16, ref32, ref64
            0x17..=0x1a => self.load(1 << (bytecode - 0x17)),
            // if_goto, goto
            0x20 => match (self.operand(2)?, self.pop()?) {
                (_, 0) => Some(()),
                (to, _) => self.jump(to),
            },
            0x21 => self.operand(2).and_then(|to| self.jump(to)),
            // const8, const16, const32, const64
            0x22..=0x25 => self.operand(1 << (bytecode - 0x22)).and_then(|n| self.push(n)),
            // reg
            0x26 => {
                let number = self.operand(2)?;
                let value = self.core.register(usize::try_from(number).ok()?)?;
                self.push(u64::try_from(value).ok()?)
            }
            // dup, pop
            0x28 => self.place(0).and_then(|n| self.push(self.stack[n])),
            0x29 => self.pop().map(|_| ()),
            // swap
            0x2b => self.place(1).map(|n| self.stack.swap(n, n + 1)),
            // pick
            0x32 => {
                let depth = self.operand(1)?;
                self.place(depth as usize).and_then(|n| self.push(self.stack[n]))
            }
            // rot: the top becomes the third
            0x33 => self.place(2).map(|n| self.stack[n..].rotate_right(1)),
            // Floating point, variables of the agent, traces and printf are not for conditions.
            _ => None,
        }
    }
}

fn binary(bytecode: u8, a: u64, b: u64) -> Option<u64> {
    let (signed_a, signed_b) = (a as i64, b as i64);
    let shift = u32::try_from(b).ok().filter(|b| *b < 64);
    Some(match bytecode {
        0x02 => a.wrapping_add(b),
        0x03 => a.wrapping_sub(b),
        0x04 => a.wrapping_mul(b),
        0x05 if b != 0 => signed_a.wrapping_div(signed_b) as u64,
        0x06 => a.checked_div(b)?,
        0x07 if b != 0 => signed_a.wrapping_rem(signed_b) as u64,
        0x08 => a.checked_rem(b)?,
        0x09 => shift.map_or(0, |n| a << n),
        0x0a => (signed_a >> shift.unwrap_or(63)) as u64,
        0x0b => shift.map_or(0, |n| a >> n),
        0x0f => a & b,
        0x10 => a | b,
        0x11 => a ^ b,
        0x13 => u64::from(a == b),
        0x14 => u64::from(signed_a < signed_b),
        0x15 => u64::from(a < b),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Register n has the value 100 + n; memory has its addresses in it, up to 0x1000.
    struct Core;

    impl Inspect for Core {
        fn register(&mut self, number: usize) -> Option<u128> {
            (number < 40).then_some(100 + number as u128)
        }
        fn memory(&mut self, address: u64, to: &mut [u8]) -> usize {
            let n = to.len().min(0x1000u64.saturating_sub(address) as usize);
            to[..n].iter_mut().zip(address..).for_each(|(byte, at)| *byte = at as u8);
            n
        }
    }

    fn value(code: &[u8], big: bool) -> Option<u64> {
        Expression(code.to_vec()).value(&mut Core, big)
    }

    #[test]
    fn bytecodes_do_what_the_manual_says() {
        const MINUS: u64 = u64::MAX;
        // The code before its `end`, and the value.
        let cases: &[(&[u8], Option<u64>)] = &[
            (&[0x22, 5, 0x22, 3, 0x02], Some(8)),
            (&[0x22, 5, 0x22, 7, 0x03], Some(MINUS - 1)),
            (&[0x22, 5, 0x22, 7, 0x04], Some(35)),
            (&[0x22, 0xf9, 0x16, 8, 0x22, 2, 0x05], Some(MINUS - 2)),
            (&[0x22, 0xf9, 0x22, 2, 0x06], Some(0x7c)),
            (&[0x22, 0xf9, 0x16, 8, 0x22, 2, 0x07], Some(MINUS)),
            (&[0x22, 0xf9, 0x22, 2, 0x08], Some(1)),
            (&[0x22, 1, 0x22, 63, 0x09], Some(1 << 63)),
            (&[0x22, 1, 0x22, 64, 0x09], Some(0)),
            (&[0x22, 0xf0, 0x16, 8, 0x22, 2, 0x0a], Some(MINUS - 3)),
            (&[0x22, 0xf0, 0x16, 8, 0x22, 200, 0x0a], Some(MINUS)),
            (&[0x22, 0xf0, 0x16, 8, 0x22, 60, 0x0b], Some(15)),
            (&[0x22, 0, 0x0e], Some(1)),
            (&[0x22, 9, 0x0e], Some(0)),
            (&[0x22, 12, 0x22, 10, 0x0f], Some(8)),
            (&[0x22, 12, 0x22, 10, 0x10], Some(14)),
            (&[0x22, 12, 0x22, 10, 0x11], Some(6)),
            (&[0x22, 0, 0x12], Some(MINUS)),
            (&[0x22, 4, 0x22, 4, 0x13], Some(1)),
            (&[0x22, 0xff, 0x16, 8, 0x22, 4, 0x14], Some(1)),
            (&[0x22, 0xff, 0x16, 8, 0x22, 4, 0x15], Some(0)),
            (&[0x24, 0x12, 0x34, 0x56, 0x78, 0x2a, 12], Some(0x678)),
            (&[0x23, 0x12, 0x34], Some(0x1234)),
            (&[0x25, 0xff, 2, 3, 4, 5, 6, 7, 8, 0x16, 64], Some(0xff02_0304_0506_0708)),
            (&[0x22, 0x10, 0x17], Some(0x10)),
            (&[0x22, 0x10, 0x18], Some(0x1110)),
            (&[0x22, 0x10, 0x19], Some(0x1312_1110)),
            (&[0x22, 0x10, 0x1a], Some(0x1716_1514_1312_1110)),
            (&[0x23, 0x0f, 0xfc, 0x1a], None),
            (&[0x26, 0, 5], Some(105)),
            (&[0x26, 0, 40], None),
            (&[0x22, 1, 0x20, 0, 8, 0x22, 7, 0x27, 0x22, 9], Some(9)),
            (&[0x22, 0, 0x20, 0, 8, 0x22, 7, 0x27, 0x22, 9], Some(7)),
            (&[0x21, 0, 5, 0x22, 7, 0x22, 9], Some(9)),
            (&[0x22, 3, 0x28, 0x04], Some(9)),
            (&[0x22, 3, 0x22, 4, 0x29], Some(3)),
            (&[0x22, 3, 0x22, 4, 0x2b, 0x03], Some(1)),
            (&[0x22, 3, 0x22, 4, 0x22, 5, 0x32, 2], Some(3)),
            // a b c => c a b: b is on the top, below it a.
            (&[0x22, 3, 0x22, 4, 0x22, 5, 0x33], Some(4)),
            (&[0x22, 3, 0x22, 4, 0x22, 5, 0x33, 0x29], Some(3)),
            (&[0x22, 3, 0x22, 4, 0x22, 5, 0x33, 0x29, 0x29], Some(5)),
            (&[0x22, 3, 0x22, 0, 0x05], None),
            (&[0x22, 3, 0x22, 0, 0x08], None),
            (&[0x25, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x22, 0, 0x12, 0x05], Some(1 << 63)),
            (&[0x22, 3, 0x16, 0], None),
            (&[0x22, 3, 0x2a, 65], None),
            (&[], None),
            (&[0x02], None),
            (&[0x33], None),
            (&[0x21, 0, 0], None),
            (&[0x22, 1, 0x28, 0x21, 0, 2], None),
            (&[0x1b], None),
        ];
        for (code, want) in cases {
            assert_eq!(value(&[code, &[END][..]].concat(), false), *want, "{code:02x?}");
        }
        assert_eq!(value(&[0x22, 0x10, 0x19, END], true), Some(0x1011_1213));
        assert!(Expression(vec![0x02]).holds(&mut Core, false), "what has no value is for the debugger to see");
    }

    #[test]
    fn lists_are_taken_apart_and_others_refused() {
        assert_eq!(parse("X3,220127X1,27"), Some(vec![Expression(vec![0x22, 1, 0x27]), Expression(vec![0x27])]));
        for wrong in ["X", "X3,2201", "Y1,27", "X1,2g", "Xffffffffffffffff,27", "X1,27;", "X1,é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn any_bytes_come_to_an_end() {
        let mut random = 0x6db0_5eedu64;
        for _ in 0..200_000 {
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random >> 32) as u8
            };
            let length = next() % 40;
            // Mostly bytecodes that there are, and small operands.
            let code: Vec<u8> = (0..length).map(|_| if next() < 200 { next() % 0x35 } else { next() }).collect();
            let _ = value(&code, next() & 1 != 0);
        }
    }
}
