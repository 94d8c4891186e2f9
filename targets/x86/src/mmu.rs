//! Paging (SDM vol. 3, chapter 4), for those who look at memory by virtual addresses: without side
//! effects, and without checks of rights.

use crate::state::{CR0_PG, CR4_LA57, CR4_PAE, CR4_PSE, EFER_LMA, State};

const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
/// Bits of an entry that are an address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// One level of tables: the lowest bit of the address that indexes it, and whether an entry can map
/// a large page there.
struct Level {
    shift: u32,
    large: bool,
}

const fn level(shift: u32, large: bool) -> Level {
    Level { shift, large }
}

const LONG: [Level; 5] = [level(48, false), level(39, false), level(30, true), level(21, true), level(12, false)];

/// The guest physical address of a linear one. `read` gives so many bytes (4 or 8) of physical
/// memory as a number.
pub fn translate(state: &State, linear: u64, mut read: impl FnMut(u64, usize) -> Option<u64>) -> Option<u64> {
    if state.cr0 & CR0_PG == 0 {
        return Some(linear & 0xffff_ffff);
    }
    if state.cr4 & CR4_PAE == 0 {
        return two_levels(state, linear, read);
    }
    let (levels, mut table) = if state.efer & EFER_LMA != 0 {
        let five = state.cr4 & CR4_LA57 != 0;
        if !canonical(linear, if five { 57 } else { 48 }) {
            return None;
        }
        (if five { &LONG[..] } else { &LONG[1..] }, state.cr3 & ADDRESS)
    } else {
        let entry = read((state.cr3 & 0xffff_ffe0) + (linear >> 30 & 3) * 8, 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        (&LONG[3..], entry & ADDRESS)
    };
    for level in levels {
        let entry = read(table + (linear >> level.shift & 0x1ff) * 8, 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        if level.shift == 12 || level.large && entry & LARGE != 0 {
            let offset = (1 << level.shift) - 1;
            return Some(entry & ADDRESS & !offset | linear & offset);
        }
        table = entry & ADDRESS;
    }
    None
}

fn two_levels(state: &State, linear: u64, mut read: impl FnMut(u64, usize) -> Option<u64>) -> Option<u64> {
    let directory = read((state.cr3 & 0xffff_f000) + (linear >> 22 & 0x3ff) * 4, 4)?;
    if directory & PRESENT == 0 {
        return None;
    }
    if directory & LARGE != 0 && state.cr4 & CR4_PSE != 0 {
        // Bits 13 to 20 are bits 32 to 39 of the address.
        return Some(directory & 0xffc0_0000 | (directory >> 13 & 0xff) << 32 | linear & 0x3f_ffff);
    }
    let entry = read((directory & 0xffff_f000) + (linear >> 12 & 0x3ff) * 4, 4)?;
    (entry & PRESENT != 0).then_some(entry & 0xffff_f000 | linear & 0xfff)
}

fn canonical(linear: u64, bits: u32) -> bool {
    let shift = 64 - bits;
    ((linear << shift) as i64 >> shift) as u64 == linear
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn state(cr4: u64, efer: u64) -> State {
        State { cr0: CR0_PG | 1, cr3: 0x1000, cr4, efer, ..State::default() }
    }

    #[test]
    fn addresses_are_translated_as_the_mode_has_it() {
        let long = BTreeMap::from([
            (0x1000, 0x2003),
            (0x1ff8, 0x2003),
            (0x2000, 0x3003),
            (0x2008, 0x4000_0083),
            (0x2ff8, 0x3003),
            (0x3000, 0x4003),
            (0x3008, 0x8060_0083),
            (0x4018, 0x8000_0000_0009_9003),
        ]);
        // The directory of 32-bit paging; its first table; those of PAE.
        let short = BTreeMap::from([(0x1000, 0x5003), (0x1004, 0x00c0_2083), (0x5008, 0x7_7003)]);
        let pae = BTreeMap::from([(0x1008, 0x6001), (0x6008, 0x1_2340_0083)]);
        let five = BTreeMap::from([(0x1ff8, 0x1003), (0x1000, 0x2003), (0x2000, 0x3003), (0x3000, 0x4003), (0x4018, 0x9_9003)]);
        for (memory, cr4, efer, linear, want) in [
            (&long, CR4_PAE, EFER_LMA, 0x3abc, Some(0x9_9abc)),
            (&long, CR4_PAE, EFER_LMA, 0x20_1234, Some(0x8060_1234)),
            (&long, CR4_PAE, EFER_LMA, 0x4123_4567, Some(0x4123_4567)),
            (&long, CR4_PAE, EFER_LMA, 0xffff_ffff_c000_3abc, Some(0x9_9abc)),
            (&long, CR4_PAE, EFER_LMA, 0xffff_8000_0000_0000, None),
            (&long, CR4_PAE, EFER_LMA, 0x8000_0000_0000, None),
            (&long, CR4_PAE, EFER_LMA, 0x4000, None),
            (&short, 0, 0, 0x2044, Some(0x7_7044)),
            (&short, CR4_PSE, 0, 0x0041_2345, Some(0x1_00c1_2345)),
            (&short, 0, 0, 0x80_0000, None),
            (&pae, CR4_PAE, 0, 0x4020_0077, Some(0x1_2340_0077)),
            (&pae, CR4_PAE, 0, 0x77, None),
            (&five, CR4_PAE | CR4_LA57, EFER_LMA, 0xffff_0000_0000_3001, Some(0x9_9001)),
            (&five, CR4_PAE, EFER_LMA, 0xffff_0000_0000_3001, None),
        ] {
            let read = |at: u64, n: usize| Some(memory.get(&at).copied().unwrap_or(0) & (u64::MAX >> (64 - 8 * n)));
            assert_eq!(translate(&state(cr4, efer), linear, read), want, "{linear:#x}");
        }
        let off = State::default();
        assert_eq!(translate(&off, 0xffff_fff0, |_, _| None), Some(0xffff_fff0));
    }
}
