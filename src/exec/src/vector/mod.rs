//! Vector primitives on 128 bits and their one meaning.
//!
//! Lanes are numbered from the least significant. An operation works on all lanes of 128 bits;
//! forms of 64 bits are made by cutting operands or the result, which the instruction does.

mod crypto;
mod integer;
mod lanes;
mod packed;
mod saturating;
#[cfg(test)]
mod tests;

use crate::fp::{self, FpOp};
use lanes::*;
use proteus_float::{Env, Flags, Fmt};

/// What vector operations read and write besides their operands.
pub struct XEnv {
    /// Floating-point modes and flags.
    pub fp: Env,
    /// Set when a lane saturated.
    pub saturated: bool,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Vector operations on lanes of `1 << esize` bytes (0 to 3); `imm` as each says. "Wide"
        /// lanes have twice the size, and there are half as many: as many as the low half of a
        /// narrow operand has.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum XOp {
            $($(#[$doc])* $name,)*
        }
        impl XOp {
            /// Every operation, by its number: how compiled code names one to its helper.
            pub const ALL: &'static [XOp] = &[$(XOp::$name,)*];
        }
    };
}
operations! {
    /// a AND b.
    And,
    /// a OR b.
    Or,
    /// a EOR b.
    Xor,
    /// a AND NOT b.
    AndNot,
    /// a OR NOT b.
    OrNot,
    /// b where a bit of a is set, else c.
    Select,
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// Low half of a * b.
    Mul,
    /// |a|, wrapping.
    Abs,
    /// -a, wrapping.
    Neg,
    /// All ones where a = b.
    CmpEq,
    /// All ones where a > b, signed.
    CmpGtS,
    /// All ones where a >= b, signed.
    CmpGeS,
    /// All ones where a > b, unsigned.
    CmpGtU,
    /// All ones where a >= b, unsigned.
    CmpGeU,
    /// All ones where a AND b is not zero.
    CmpTest,
    /// The larger, signed.
    MaxS,
    /// The larger, unsigned.
    MaxU,
    /// The smaller, signed.
    MinS,
    /// The smaller, unsigned.
    MinU,
    /// |a - b|, signed operands.
    AbsDiffS,
    /// |a - b|, unsigned operands.
    AbsDiffU,
    /// (a + b) >> 1 without overflow, signed.
    HalfAddS,
    /// (a + b) >> 1 without overflow, unsigned.
    HalfAddU,
    /// (a - b) >> 1 without overflow, signed.
    HalfSubS,
    /// (a - b) >> 1 without overflow, unsigned.
    HalfSubU,
    /// (a + b + 1) >> 1 without overflow, signed.
    RoundHalfAddS,
    /// (a + b + 1) >> 1 without overflow, unsigned.
    RoundHalfAddU,
    /// a << imm; 0 from the lane's width on.
    Shl,
    /// a >> imm, zeros shifted in; 0 from the lane's width on.
    ShrU,
    /// a >> imm, the sign shifted in, however large imm is.
    ShrS,
    /// a >> imm, rounded to nearest with ties up, unsigned; imm is 1 or more.
    RoundShrU,
    /// a >> imm, rounded to nearest with ties up, signed; imm is 1 or more.
    RoundShrS,
    /// b << imm with the bits below from a.
    ShlInsert,
    /// b >> imm, zeros shifted in, with the bits above from a.
    ShrInsert,
    /// a shifted left by the signed low byte of b (right where negative), unsigned.
    ShiftU,
    /// As ShiftU, signed.
    ShiftS,
    /// As ShiftU, right shifts rounded.
    RoundShiftU,
    /// As ShiftS, right shifts rounded.
    RoundShiftS,
    /// Bits set.
    CountOnes,
    /// Leading zeros.
    LeadingZeros,
    /// Leading bits equal to the sign, less one.
    LeadingSigns,
    /// Bits in reverse order in each byte.
    ReverseBits,
    /// Lanes in reverse order in each group of `1 << imm` bytes.
    Reverse,
    /// Wide lanes of the low half of a, zero-extended.
    WidenU,
    /// Wide lanes of the low half of a, sign-extended.
    WidenS,
    /// Wide lanes of a, cut to the low half.
    Narrow,
    /// Wide products of the low halves, unsigned.
    MulWideU,
    /// Wide products of the low halves, signed.
    MulWideS,
    /// Sums of adjacent pairs, wide, unsigned.
    AddPairsU,
    /// Sums of adjacent pairs, wide, signed.
    AddPairsS,
    /// The sum of all lanes in the lowest.
    SumAcross,
    /// The wide sum of all lanes in the lowest wide lane, unsigned.
    SumAcrossWideU,
    /// The wide sum of all lanes in the lowest wide lane, signed.
    SumAcrossWideS,
    /// The largest lane in the lowest, unsigned.
    MaxAcrossU,
    /// The largest lane in the lowest, signed.
    MaxAcrossS,
    /// The smallest lane in the lowest, unsigned.
    MinAcrossU,
    /// The smallest lane in the lowest, signed.
    MinAcrossS,
    /// a + the products of the four bytes of b and c in each lane of 32 bits, unsigned.
    DotU,
    /// As DotU, signed.
    DotS,
    /// Lane imm of a in all lanes.
    Dup,
    /// a with lane imm & 15 replaced by lane imm >> 4 of b.
    Insert,
    /// Even lanes of a, then of b.
    Unzip1,
    /// Odd lanes of a, then of b.
    Unzip2,
    /// Lanes of the low halves, of a and b in turn.
    Zip1,
    /// Lanes of the high halves, of a and b in turn.
    Zip2,
    /// Even lanes of a and b in turn.
    Transpose1,
    /// Odd lanes of a and b in turn.
    Transpose2,
    /// 16 bytes from byte imm (0 to 15) of b:a on.
    Extract,
    /// Byte i of b, less imm, picks a byte of a where below 16; elsewhere the byte of c.
    Lookup,
    /// Polynomial product of bytes, low half.
    MulPoly,
    /// Wide polynomial products of the low halves; lanes of 8 (esize 0) or 64 bits.
    MulPolyWide,
    /// Arm's estimate of 1 / a of unsigned fixed-point words.
    RecipEstimateU32,
    /// Arm's estimate of 1 / sqrt(a) of unsigned fixed-point words.
    RsqrtEstimateU32,

    /// a + b, saturating, signed.
    SatAddS,
    /// a + b, saturating, unsigned.
    SatAddU,
    /// a - b, saturating, signed.
    SatSubS,
    /// a - b, saturating, unsigned.
    SatSubU,
    /// Signed a + unsigned b, saturating, signed.
    SatAddSU,
    /// Unsigned a + signed b, saturating, unsigned.
    SatAddUS,
    /// |a|, saturating.
    SatAbs,
    /// -a, saturating.
    SatNeg,
    /// High half of 2ab, saturating.
    SatMulHigh,
    /// High half of 2ab, rounded, saturating.
    SatRoundMulHigh,
    /// High half of (a << width) + 2bc, rounded, saturating.
    SatRoundMulAddHigh,
    /// High half of (a << width) - 2bc, rounded, saturating.
    SatRoundMulSubHigh,
    /// Wide 2ab of the low halves, saturating, signed.
    SatMulWide,
    /// As ShiftU, saturating.
    SatShiftU,
    /// As ShiftS, saturating.
    SatShiftS,
    /// As RoundShiftU, saturating.
    SatRoundShiftU,
    /// As RoundShiftS, saturating.
    SatRoundShiftS,
    /// Signed a << imm, saturated to unsigned.
    SatShlSU,
    /// Wide lanes of a saturated to narrow ones, unsigned.
    SatNarrowU,
    /// Wide lanes of a saturated to narrow ones, signed.
    SatNarrowS,
    /// Signed wide lanes of a saturated to unsigned narrow ones.
    SatNarrowSU,

    /// A scalar operation on lanes of a, b and c; imm: [`fp_lanes`]. Lanes above are zero.
    Fp,
    /// Wide formats of the low half of a; esize is the narrow one.
    FpWiden,
    /// Narrow formats of a in the low half, as many lanes as imm's low byte says; esize is the
    /// narrow one; with bit 8 of imm rounded to odd.
    FpNarrow,

    /// Round of AES encryption on a with key b (AESE).
    AesEncrypt,
    /// Round of AES decryption on a with key b (AESD).
    AesDecrypt,
    /// AES MixColumns of a.
    AesMix,
    /// AES InvMixColumns of a.
    AesUnmix,
    /// SHA1C: hash a, word b, schedule c.
    Sha1Choose,
    /// SHA1P.
    Sha1Parity,
    /// SHA1M.
    Sha1Majority,
    /// SHA1SU0.
    Sha1Schedule0,
    /// SHA1SU1.
    Sha1Schedule1,
    /// SHA256H: hashes a and b, schedule c.
    Sha256Hash,
    /// SHA256H2.
    Sha256Hash2,
    /// SHA256SU0.
    Sha256Schedule0,
    /// SHA256SU1.
    Sha256Schedule1,
    /// SHA512H.
    Sha512Hash,
    /// SHA512H2.
    Sha512Hash2,
    /// SHA512SU0.
    Sha512Schedule0,
    /// SHA512SU1.
    Sha512Schedule1,
}

impl XOp {
    /// Whether the operation reads or writes [`XEnv`].
    #[inline(always)]
    pub const fn has_env(self) -> bool {
        let n = self as u8;
        n >= XOp::SatAddS as u8 && n <= XOp::FpNarrow as u8
    }
}

/// `imm` of [`XOp::Fp`]: the scalar operation, the number of lanes (1 to 8), and the `imm` of the
/// scalar operation.
pub const fn fp_lanes(op: FpOp, lanes: u32, imm: u32) -> u32 {
    op as u32 | ((lanes.wrapping_sub(1)) & 7) << 8 | imm << 12
}

/// The format of lanes of a size.
#[inline]
const fn format(esize: u8) -> Fmt {
    match esize & 3 {
        0 | 1 => Fmt::F16,
        2 => Fmt::F32,
        _ => Fmt::F64,
    }
}

/// The operation's meaning.
pub fn eval(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128, env: &mut XEnv) -> u128 {
    let esize = esize & 3;
    match op {
        XOp::Fp => fp_op(esize, imm, a, b, c, &mut env.fp),
        XOp::FpWiden => convert(esize, esize + 1, if esize == 1 { 4 } else { 2 }, 0, a, &mut env.fp),
        XOp::FpNarrow => {
            let flags = if imm & 0x100 != 0 { fp::TO_ODD } else { 0 };
            convert(esize + 1, esize, imm & 15, flags, a, &mut env.fp)
        }
        _ if op.has_env() => saturating::eval(op, esize, imm, a, b, c, &mut env.saturated),
        _ => eval_pure(op, esize, imm, a, b, c),
    }
}

#[inline]
fn lane(x: u128, esize: u8, i: u32) -> u64 {
    (x >> (((8u32 << (esize & 3)) * i) & 127)) as u64
}

/// The scalar operation on each lane.
fn fp_op(esize: u8, imm: u32, a: u128, b: u128, c: u128, env: &mut Env) -> u128 {
    let Some(&op) = FpOp::ALL.get((imm & 0xff) as usize) else { return 0 };
    let fmt = format(esize);
    let bits = 8u32 << (esize & 3);
    let lanes = ((imm >> 8 & 7) + 1).min(128 / bits);
    // Modes are the default ones, and what the host's arithmetic may raise is there already.
    let fast = env.flags.contains(Flags::INEXACT) && *env == Env { flags: env.flags, ..Env::arm() };
    let mut out = 0u128;
    for i in 0..lanes {
        let (x, y, z) = (lane(a, esize, i), lane(b, esize, i), lane(c, esize, i));
        let r = match if fast { fp::fast(op, fmt, imm >> 12, x, y, z) } else { None } {
            Some(r) => r,
            None => fp::eval(op, fmt, imm >> 12, x, y, z, env),
        };
        out |= (r as u128) << (bits * i);
    }
    out
}

fn convert(from: u8, to: u8, lanes: u32, flags: u32, a: u128, env: &mut Env) -> u128 {
    let (f, t) = (format(from), format(to));
    let bits = 8u32 << (to & 3);
    let mut out = 0u128;
    for i in 0..lanes.min(4) {
        let r = fp::eval(FpOp::Convert, f, fp::to_format(t) | flags, lane(a, from, i), 0, 0, env);
        out |= (r as u128).checked_shl(bits * i).unwrap_or(0);
    }
    out
}

/// The meaning of an operation that has no environment.
#[inline(always)]
pub fn eval_pure(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
    match op {
        XOp::And => a & b,
        XOp::Or => a | b,
        XOp::Xor => a ^ b,
        XOp::AndNot => a & !b,
        XOp::OrNot => a | !b,
        XOp::Select => a & b | !a & c,
        _ => eval_rest(op, esize, imm, a, b, c),
    }
}

#[inline(never)]
fn eval_rest(op: XOp, esize: u8, imm: u32, a: u128, b: u128, c: u128) -> u128 {
    let esize = esize & 3;
    match op {
        XOp::Add => packed::add(esize, a, b),
        XOp::Sub => packed::sub(esize, a, b),
        XOp::Mul => lanes!(esize, |x = a, y = b| x.wrapping_mul(y)),
        XOp::CmpEq => !packed::differs(esize, a ^ b),
        XOp::CmpTest => packed::differs(esize, a & b),
        XOp::CmpGtU => !packed::at_least(esize, b, a),
        XOp::CmpGeU => packed::at_least(esize, a, b),
        XOp::CmpGtS => !packed::at_least(esize, b ^ packed::signs(esize), a ^ packed::signs(esize)),
        XOp::CmpGeS => packed::at_least(esize, a ^ packed::signs(esize), b ^ packed::signs(esize)),
        XOp::MaxU => packed::max(esize, a, b),
        XOp::MinU => packed::min(esize, a, b),
        XOp::MaxS => packed::max(esize, a ^ packed::signs(esize), b ^ packed::signs(esize)) ^ packed::signs(esize),
        XOp::MinS => packed::min(esize, a ^ packed::signs(esize), b ^ packed::signs(esize)) ^ packed::signs(esize),
        _ if op as u8 >= XOp::AesEncrypt as u8 => crypto::eval(op, a, b, c),
        _ => integer::eval(op, esize, imm, a, b, c),
    }
}
