//! Vector primitives on 128 bits and their one meaning.

use proteus_float::Env;

/// What vector operations read and write besides their operands.
pub struct XEnv {
    /// Floating-point modes and flags.
    pub fp: Env,
    /// Set when a lane saturated.
    pub saturated: bool,
}

/// Vector operations on lanes of `1 << esize` bytes; `imm` as each says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum XOp {
    /// a AND b.
    And,
}

impl XOp {
    /// Every operation, by its number: how compiled code names one to its helper.
    pub const ALL: &'static [XOp] = &[XOp::And];
    /// Whether the operation reads or writes [`XEnv`].
    pub fn has_env(self) -> bool {
        false
    }
}

/// The operation's meaning.
pub fn eval(op: XOp, _esize: u8, _imm: u32, a: u128, b: u128, _c: u128, _env: &mut XEnv) -> u128 {
    match op {
        XOp::And => a & b,
    }
}

/// The meaning of an operation that has no environment.
pub fn eval_pure(op: XOp, _esize: u8, _imm: u32, a: u128, b: u128, _c: u128) -> u128 {
    match op {
        XOp::And => a & b,
    }
}
