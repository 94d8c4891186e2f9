//! Makes whole-register accesses of accesses of any width and alignment.

use crate::device::{AccessRule, Narrow};
use crate::types::{BusFault, Width};

/// One whole-register access: where, how wide, and which bits of the guest's value it carries.
struct Part {
    at: u64,
    width: Width,
    /// Bytes of the register that the guest's access covers.
    bytes: u32,
    /// First covered byte in the register.
    lane: u32,
    /// First covered byte in the guest's value.
    from: u32,
}

impl Part {
    fn mask(&self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes)
    }
}

/// The parts of an access, lowest address first; at most eight.
fn parts(rule: AccessRule, at: u64, size: Width) -> impl Iterator<Item = Part> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let left = size.bytes() - from;
        if left == 0 {
            return None;
        }
        let at = at.wrapping_add(from.into());
        let aligned = |w: Width| at.is_multiple_of(w.bytes().into()) && w.bytes() <= left && w <= rule.max;
        let fit = Width::ALL.into_iter().rev().find(|w| aligned(*w)).unwrap_or(Width::B1);
        let part = if fit >= rule.min {
            Part { at, width: fit, bytes: fit.bytes(), lane: 0, from }
        } else {
            let whole = u64::from(rule.min.bytes());
            let lane = (at % whole) as u32;
            let bytes = left.min(rule.min.bytes() - lane);
            Part { at: at - u64::from(lane), width: rule.min, bytes, lane, from }
        };
        from += part.bytes;
        Some(part)
    })
}

/// Is the access refused by the rule as a whole?
fn refused(rule: AccessRule, at: u64, size: Width) -> Result<(), BusFault> {
    if !rule.unaligned && !at.is_multiple_of(size.bytes().into()) {
        return Err(BusFault::Unaligned);
    }
    if rule.narrow == Narrow::Fault && parts(rule, at, size).any(|p| p.bytes < p.width.bytes()) {
        return Err(BusFault::BadWidth);
    }
    Ok(())
}

/// Reads by whole registers.
pub(crate) fn read(rule: AccessRule, at: u64, size: Width, mut register: impl FnMut(u64, Width) -> Result<u64, BusFault>) -> Result<u64, BusFault> {
    refused(rule, at, size)?;
    let mut value = 0;
    for part in parts(rule, at, size) {
        let whole = register(part.at, part.width)? & part.width.mask();
        value |= ((whole >> (8 * part.lane)) & part.mask()) << (8 * part.from);
    }
    Ok(value)
}

/// One access to a register: its old value is wanted (`None`) or a new one is given.
pub(crate) type Register<'a> = dyn FnMut(u64, Width, Option<u64>) -> Result<u64, BusFault> + 'a;

/// Writes by whole registers.
pub(crate) fn write(rule: AccessRule, at: u64, size: Width, value: u64, register: &mut Register<'_>) -> Result<(), BusFault> {
    refused(rule, at, size)?;
    for part in parts(rule, at, size) {
        let mut whole = ((value >> (8 * part.from)) & part.mask()) << (8 * part.lane);
        if part.bytes < part.width.bytes() && rule.narrow == Narrow::Merge {
            whole |= register(part.at, part.width, None)? & !(part.mask() << (8 * part.lane));
        }
        register(part.at, part.width, Some(whole & part.width.mask()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(rule: AccessRule, at: u64, size: Width, value: u64) -> Vec<(u64, u32, Option<u64>)> {
        let mut seen = vec![];
        let _ = write(rule, at, size, value, &mut |at, w, v| {
            seen.push((at, w.bytes(), v));
            Ok(0x1122_3344_5566_7788)
        });
        seen
    }

    #[test]
    fn writes_become_whole_register_accesses() {
        let word = AccessRule::WORD;
        let merge = AccessRule { narrow: Narrow::Merge, ..word };
        let byte = AccessRule::BYTE;
        assert_eq!(trace(word, 8, Width::B4, 0xaabb_ccdd), [(8, 4, Some(0xaabb_ccdd))]);
        assert_eq!(trace(word, 8, Width::B8, 0x1_0000_0002), [(8, 4, Some(2)), (12, 4, Some(1))]);
        assert_eq!(trace(word, 9, Width::B1, 0xee), [(8, 4, Some(0xee00))]);
        assert_eq!(trace(merge, 9, Width::B1, 0xee), [(8, 4, None), (8, 4, Some(0x5566_ee88))]);
        assert_eq!(trace(word, 7, Width::B2, 0xbbaa), [(4, 4, Some(0xaa00_0000)), (8, 4, Some(0xbb))]);
        assert_eq!(trace(byte, 0, Width::B2, 0xbbaa), [(0, 1, Some(0xaa)), (1, 1, Some(0xbb))]);
        assert_eq!(trace(AccessRule::ANY, 4, Width::B8, 1 << 32), [(4, 4, Some(0)), (8, 4, Some(1))]);
        assert_eq!(trace(AccessRule { narrow: Narrow::Fault, ..word }, 0, Width::B2, 1), []);
        assert_eq!(trace(AccessRule { unaligned: false, ..word }, 2, Width::B4, 1), []);
    }

    #[test]
    fn reads_gather_the_same_bytes_whatever_the_rule() {
        let memory: [u8; 32] = std::array::from_fn(|i| i as u8 * 7 + 1);
        for rule in [AccessRule::BYTE, AccessRule::WORD, AccessRule::ANY, AccessRule::new(Width::B2, Width::B8)] {
            for size in Width::ALL {
                for at in 0..16u64 {
                    let load = |at: u64, w: Width| {
                        assert!(at.is_multiple_of(w.bytes().into()) && w >= rule.min && w <= rule.max);
                        Ok((0..w.bytes() as usize).rev().fold(0, |v, i| v << 8 | u64::from(memory[at as usize + i])))
                    };
                    let want = (0..size.bytes() as usize).rev().fold(0, |v, i| v << 8 | u64::from(memory[at as usize + i]));
                    assert_eq!(read(rule, at, size, load), Ok(want), "{rule:?} {size:?} at {at}");
                }
            }
        }
    }
}
