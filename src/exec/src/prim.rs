//! The integer primitives and their one meaning, `eval`, which the interpreter runs and emitters
//! fold constants with. Every primitive is total.

/// Width of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum W {
    /// The low 32 bits.
    W32,
    /// All 64 bits.
    W64,
}

impl W {
    /// Bits in the width.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        match self {
            W::W32 => 32,
            W::W64 => 64,
        }
    }
    /// `v` cut to the width.
    #[inline(always)]
    pub const fn cut(self, v: u64) -> u64 {
        match self {
            W::W32 => v as u32 as u64,
            W::W64 => v,
        }
    }
    /// W64 where `sf` is set, else W32.
    #[inline(always)]
    pub const fn sf(sf: u32) -> W {
        if sf == 0 { W::W32 } else { W::W64 }
    }
}

/// Two-operand operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bin {
    /// a + b, wrapping.
    Add,
    /// a - b, wrapping.
    Sub,
    /// a AND b.
    And,
    /// a OR b.
    Or,
    /// a EOR b.
    Xor,
    /// a AND NOT b.
    AndNot,
    /// a << b, the count taken modulo the width.
    Shl,
    /// a >> b, zeros shifted in, the count taken modulo the width.
    Shr,
    /// a >> b, the sign shifted in, the count taken modulo the width.
    Sar,
    /// a rotated right by b modulo the width.
    Ror,
    /// Low half of a * b.
    Mul,
    /// High half of the unsigned product.
    UMulH,
    /// High half of the signed product.
    SMulH,
    /// Unsigned quotient; 0 where b is 0.
    UDiv,
    /// Signed quotient, rounded towards zero; 0 where b is 0, the dividend where it overflows.
    SDiv,
    /// CRC-32 (polynomial 0x04c11db7) of accumulator a and the low 8 bits of b.
    Crc32B,
    /// As Crc32B of 16 bits.
    Crc32H,
    /// As Crc32B of 32 bits.
    Crc32W,
    /// As Crc32B of 64 bits.
    Crc32X,
    /// CRC-32C (polynomial 0x1edc6f41) of accumulator a and the low 8 bits of b.
    Crc32CB,
    /// As Crc32CB of 16 bits.
    Crc32CH,
    /// As Crc32CB of 32 bits.
    Crc32CW,
    /// As Crc32CB of 64 bits.
    Crc32CX,
}

const fn crc_table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut c = i as u32;
        let mut k = 0;
        while k < 8 {
            c = if c & 1 != 0 { (c >> 1) ^ polynomial } else { c >> 1 };
            k += 1;
        }
        table[i] = c;
        i += 1;
    }
    table
}
static CRC32: [u32; 256] = crc_table(0xedb8_8320);
static CRC32C: [u32; 256] = crc_table(0x82f6_3b78);

fn crc(table: &[u32; 256], acc: u64, data: u64, bytes: u32) -> u64 {
    let mut c = acc as u32;
    for i in 0..bytes {
        c = (c >> 8) ^ table[((c ^ (data >> (8 * i)) as u32) & 0xff) as usize];
    }
    c as u64
}

impl Bin {
    /// The operation's meaning.
    #[inline(always)]
    pub fn eval(self, w: W, a: u64, b: u64) -> u64 {
        let (a, b) = (w.cut(a), w.cut(b));
        let n = (b % w.bits() as u64) as u32;
        let r = match self {
            Bin::Add => a.wrapping_add(b),
            Bin::Sub => a.wrapping_sub(b),
            Bin::And => a & b,
            Bin::Or => a | b,
            Bin::Xor => a ^ b,
            Bin::AndNot => a & !b,
            Bin::Shl => a << n,
            Bin::Shr => a >> n,
            Bin::Sar => match w {
                W::W32 => ((a as i32) >> n) as u32 as u64,
                W::W64 => ((a as i64) >> n) as u64,
            },
            Bin::Ror => match w {
                W::W32 => (a as u32).rotate_right(n) as u64,
                W::W64 => a.rotate_right(n),
            },
            Bin::Mul => a.wrapping_mul(b),
            Bin::UMulH => match w {
                W::W32 => (a * b) >> 32,
                W::W64 => ((a as u128 * b as u128) >> 64) as u64,
            },
            Bin::SMulH => match w {
                W::W32 => ((a as i32 as i64 * b as i32 as i64) >> 32) as u64,
                W::W64 => ((a as i64 as i128 * b as i64 as i128) >> 64) as u64,
            },
            Bin::UDiv => a.checked_div(b).unwrap_or(0),
            Bin::SDiv => match w {
                W::W32 if b == 0 => 0,
                W::W32 => (a as i32).wrapping_div(b as i32) as u32 as u64,
                W::W64 if b == 0 => 0,
                W::W64 => (a as i64).wrapping_div(b as i64) as u64,
            },
            Bin::Crc32B => crc(&CRC32, a, b, 1),
            Bin::Crc32H => crc(&CRC32, a, b, 2),
            Bin::Crc32W => crc(&CRC32, a, b, 4),
            Bin::Crc32X => crc(&CRC32, a, b, 8),
            Bin::Crc32CB => crc(&CRC32C, a, b, 1),
            Bin::Crc32CH => crc(&CRC32C, a, b, 2),
            Bin::Crc32CW => crc(&CRC32C, a, b, 4),
            Bin::Crc32CX => crc(&CRC32C, a, b, 8),
        };
        w.cut(r)
    }
}

/// One-operand operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Un {
    /// Bitwise NOT.
    Not,
    /// Two's complement negation.
    Neg,
    /// Leading zeros.
    Clz,
    /// Leading bits equal to the sign, less one.
    Cls,
    /// Bits in reverse order.
    Rbit,
    /// Bytes in reverse order.
    Bswap,
    /// Bytes in reverse order within each 16 bits.
    Bswap16,
    /// Bytes in reverse order within each 32 bits.
    Bswap32,
    /// Sign extension of the low 8 bits.
    Sext8,
    /// Sign extension of the low 16 bits.
    Sext16,
    /// Sign extension of the low 32 bits.
    Sext32,
    /// Zero extension of the low 8 bits.
    Zext8,
    /// Zero extension of the low 16 bits.
    Zext16,
    /// Zero extension of the low 32 bits.
    Zext32,
}

impl Un {
    /// The operation's meaning.
    #[inline(always)]
    pub fn eval(self, w: W, a: u64) -> u64 {
        let a = w.cut(a);
        let r = match (self, w) {
            (Un::Not, _) => !a,
            (Un::Neg, _) => a.wrapping_neg(),
            (Un::Clz, W::W32) => (a as u32).leading_zeros() as u64,
            (Un::Clz, W::W64) => a.leading_zeros() as u64,
            (Un::Cls, W::W32) => {
                let v = a as u32;
                ((v ^ ((v as i32) >> 1) as u32).leading_zeros() - 1).min(31) as u64
            }
            (Un::Cls, W::W64) => ((a ^ ((a as i64) >> 1) as u64).leading_zeros() - 1).min(63) as u64,
            (Un::Rbit, W::W32) => (a as u32).reverse_bits() as u64,
            (Un::Rbit, W::W64) => a.reverse_bits(),
            (Un::Bswap, W::W32) => (a as u32).swap_bytes() as u64,
            (Un::Bswap, W::W64) => a.swap_bytes(),
            (Un::Bswap16, _) => (a & 0x00ff_00ff_00ff_00ff) << 8 | (a >> 8) & 0x00ff_00ff_00ff_00ff,
            (Un::Bswap32, _) => a.swap_bytes().rotate_left(32),
            (Un::Sext8, _) => a as i8 as i64 as u64,
            (Un::Sext16, _) => a as i16 as i64 as u64,
            (Un::Sext32, _) => a as i32 as i64 as u64,
            (Un::Zext8, _) => a as u8 as u64,
            (Un::Zext16, _) => a as u16 as u64,
            (Un::Zext32, _) => a as u32 as u64,
        };
        w.cut(r)
    }
}

/// Comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cmp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Unsigned less.
    Ult,
    /// Unsigned less or equal.
    Ule,
    /// Signed less.
    Slt,
    /// Signed less or equal.
    Sle,
}

impl Cmp {
    /// The comparison's meaning.
    #[inline(always)]
    pub fn eval(self, w: W, a: u64, b: u64) -> bool {
        let (a, b) = (w.cut(a), w.cut(b));
        let (sa, sb) = match w {
            W::W32 => (a as i32 as i64, b as i32 as i64),
            W::W64 => (a as i64, b as i64),
        };
        match self {
            Cmp::Eq => a == b,
            Cmp::Ne => a != b,
            Cmp::Ult => a < b,
            Cmp::Ule => a <= b,
            Cmp::Slt => sa < sb,
            Cmp::Sle => sa <= sb,
        }
    }
}

/// What the condition flags are about. The state keeps the operation and its operands (operands
/// cut to the width); N, Z, C and V are computed only where they are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlagOp {
    /// a + b: C is the carry out, V signed overflow.
    Add,
    /// a - b: C is *no borrow*, V signed overflow.
    Sub,
    /// a AND b: C and V are clear.
    And,
}

/// Values of the flag-operation word of the state.
pub mod lazy {
    use super::{FlagOp, W};
    /// Operand a holds N, Z, C and V in bits 3 to 0.
    pub const NZCV: u64 = 0;
    /// The word for an operation of a width.
    pub const fn code(op: FlagOp, w: W) -> u64 {
        let n = match op {
            FlagOp::Add => 1,
            FlagOp::Sub => 2,
            FlagOp::And => 3,
        };
        match w {
            W::W32 => n,
            W::W64 => n + 4,
        }
    }

    #[inline(always)]
    fn width(code: u64) -> W {
        if code >= 4 { W::W64 } else { W::W32 }
    }

    /// N, Z, C and V in bits 3 to 0.
    #[inline]
    pub fn nzcv(code: u64, a: u64, b: u64) -> u64 {
        let w = width(code);
        let (r, c, v) = match code & 3 {
            0 => return a & 15,
            1 => {
                let r = w.cut(a.wrapping_add(b));
                (r, r < a, (!(a ^ b) & (a ^ r)) >> (w.bits() - 1) & 1 != 0)
            }
            2 => {
                let r = w.cut(a.wrapping_sub(b));
                (r, a >= b, ((a ^ b) & (a ^ r)) >> (w.bits() - 1) & 1 != 0)
            }
            _ => (a & b, false, false),
        };
        (r >> (w.bits() - 1)) << 3 | ((r == 0) as u64) << 2 | (c as u64) << 1 | v as u64
    }

    /// The Arm condition `cond` of the flags.
    #[inline(always)]
    pub fn holds(cond: u8, code: u64, a: u64, b: u64) -> bool {
        if code & 3 == 2 {
            // A comparison, by far the most common: no flag needs computing.
            let (sa, sb) = if code >= 4 { (a as i64, b as i64) } else { (a as i32 as i64, b as i32 as i64) };
            match cond {
                0 => return a == b,
                1 => return a != b,
                2 => return a >= b,
                3 => return a < b,
                8 => return a > b,
                9 => return a <= b,
                10 => return sa >= sb,
                11 => return sa < sb,
                12 => return sa > sb,
                13 => return sa <= sb,
                _ => {}
            }
        }
        from_nzcv(cond, nzcv(code, a, b))
    }

    /// The Arm condition `cond` of N, Z, C and V in bits 3 to 0 of `f`.
    #[inline]
    pub fn from_nzcv(cond: u8, f: u64) -> bool {
        let (n, z, c, v) = (f & 8 != 0, f & 4 != 0, f & 2 != 0, f & 1 != 0);
        let r = match cond >> 1 {
            0 => z,
            1 => c,
            2 => n,
            3 => v,
            4 => c && !z,
            5 => n == v,
            6 => n == v && !z,
            _ => return true,
        };
        r ^ (cond & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_total() {
        assert_eq!(Bin::SDiv.eval(W::W32, 0x8000_0000, 0xffff_ffff), 0x8000_0000);
        assert_eq!(Bin::SDiv.eval(W::W64, 5, 0), 0);
        assert_eq!(Bin::Shl.eval(W::W32, 1, 33), 2);
        assert_eq!(Bin::Sar.eval(W::W32, 0xdead_beef_8000_0000, 31), 0xffff_ffff);
        assert_eq!(Un::Cls.eval(W::W32, 0), 31);
        assert_eq!(Un::Cls.eval(W::W64, u64::MAX), 63);
        assert_eq!(Bin::Crc32B.eval(W::W32, 0xffff_ffff, b'a' as u64) ^ 0xffff_ffff, 0xe8b7_be43);
    }

    /// The short cuts of `holds` agree with the flags themselves.
    #[test]
    fn conditions_agree_with_the_flags() {
        let edge = [0u64, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 63, (1 << 63) - 1, u64::MAX];
        for op in [FlagOp::Add, FlagOp::Sub, FlagOp::And] {
            for w in [W::W32, W::W64] {
                for a in edge {
                    for b in edge {
                        let (a, b, code) = (w.cut(a), w.cut(b), lazy::code(op, w));
                        for cond in 0..16 {
                            assert_eq!(lazy::holds(cond, code, a, b), lazy::from_nzcv(cond, lazy::nzcv(code, a, b)), "{op:?} {w:?} {a:x} {b:x} {cond}");
                        }
                    }
                }
            }
        }
    }
}
