//! Semihosting calls of AArch64 state: HLT #0xF000, the operation in W0, its parameter in X1, the
//! result in X0 (Arm Semihosting 2.0).

use crate::exceptions::Exception;
use crate::{Arm, state};
use proteus_exec::Core;
use proteus_exec::ops::Mem;
use proteus_exec::semihosting::GuestMemory;

struct Memory<'a>(&'a mut Core<Arm>);

impl GuestMemory for Memory<'_> {
    fn read(&mut self, address: u64, to: &mut [u8]) -> bool {
        to.iter_mut().enumerate().all(|(i, b)| match self.0.load(address.wrapping_add(i as u64), Mem::plain(0)) {
            Ok(v) => {
                *b = v as u8;
                true
            }
            Err(_) => false,
        })
    }
    fn write(&mut self, address: u64, from: &[u8]) -> bool {
        from.iter().enumerate().all(|(i, &b)| self.0.store(address.wrapping_add(i as u64), Mem::plain(0), b as u64).is_ok())
    }
}

/// Answers the call that the registers describe.
pub fn call(core: &mut Core<Arm>) -> Result<(), Exception> {
    let Some(host) = core.semihosting.clone() else { return Err(Exception::UNDEFINED) };
    core.sync_time();
    let (op, parameter) = (core.word(state::x(0)) as u32, core.word(state::x(1)));
    let result = host.call(&mut Memory(core), 8, op, parameter);
    *core.word_mut(state::x(0)) = result;
    core.attention = true;
    Ok(())
}
