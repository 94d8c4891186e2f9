//! Breakpoint instructions in the guest's memory, for breakpoints that the debug registers have no
//! room for. They are there while cores run, and only then: who reads memory while the machine
//! stands still sees what the guest has there.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use proteus_model::{Machine, Mapping};

/// INT3.
const INT3: u8 = 0xcc;

/// What is under an instruction.
struct Under {
    byte: u8,
    /// Cores that run with it.
    users: usize,
}

/// Whose instruction a core has met.
#[derive(Debug, PartialEq, Eq)]
pub enum Whose {
    /// One that was put here.
    Planted,
    /// The guest's.
    Guest,
    /// One that was put here and is gone: another core has stopped first.
    Gone,
}

/// Those of a machine, by physical address. Its cores share them.
#[derive(Default)]
pub struct Planted(Mutex<BTreeMap<u64, Under>>);

impl Planted {
    /// Puts one into memory, read-only memory too; false where there is none.
    pub fn put(&self, machine: &Machine, phys: u64) -> bool {
        let mut all = self.0.lock();
        if let Some(under) = all.get_mut(&phys) {
            under.users += 1;
            return true;
        }
        let Some(byte) = swap(machine, phys, |_| Some(INT3)) else { return false };
        all.insert(phys, Under { byte, users: 1 });
        true
    }

    /// Whose the instruction is that a core has met, whichever address it has come by.
    pub fn whose(&self, machine: &Machine, phys: u64) -> Whose {
        let all = self.0.lock();
        match swap(machine, phys, |_| None) {
            _ if all.contains_key(&phys) => Whose::Planted,
            Some(INT3) | None => Whose::Guest,
            Some(_) => Whose::Gone,
        }
    }

    /// A core needs it no longer. What the guest has written over it meanwhile stays.
    pub fn take(&self, machine: &Machine, phys: u64) {
        let mut all = self.0.lock();
        let Some(under) = all.get_mut(&phys) else { return };
        under.users -= 1;
        if under.users == 0 {
            let byte = under.byte;
            swap(machine, phys, |there| (there == INT3).then_some(byte));
            all.remove(&phys);
        }
    }
}

/// Gives the byte in memory, and replaces it by what `new` makes of it.
fn swap(machine: &Machine, phys: u64, new: impl Fn(u8) -> Option<u8>) -> Option<u8> {
    let space = machine.space();
    let Mapping::Ram { region, offset, .. } = space.find(phys)? else { return None };
    let mut byte = [0];
    region.read(offset, &mut byte).ok()?;
    if let Some(new) = new(byte[0]) {
        region.write(offset, &[new]).ok()?;
    }
    Some(byte[0])
}
