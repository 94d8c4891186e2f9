//! Semihosting: MIPS's Unified Hosting Interface (UHI, MD01069).

use crate::Mips;
use crate::exceptions::{Exception, code};
use proteus_exec::Core;

/// SDBBP: there is no EJTAG (Config1.EP is clear), so it is reserved but for semihosting.
pub fn sdbbp(_: &mut Core<Mips>, _: u32) -> Result<u64, Exception> {
    Err(Exception::Plain(code::RI))
}
