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
