//! Names of AArch64 system registers, for windows of kind `Sysreg`.

/// The 16-bit key of a system register.
pub const fn key(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}
