//! The flat map of what answers at each address.

use std::sync::Arc;

use crate::device::{Bus, WindowKind};
use crate::ram::Region;
use crate::types::{DeviceId, Window};

/// A device's window as the owner of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceTarget {
    /// The device.
    pub device: DeviceId,
    /// Its window.
    pub window: Window,
}

/// What answers at an address.
#[derive(Debug, Clone, Copy)]
pub enum Mapping<'a> {
    /// Memory, to be accessed directly.
    Ram {
        /// The memory.
        region: &'a Arc<Region>,
        /// Offset in it.
        offset: u64,
        /// Bytes from this address to the end of the mapping, at least 1.
        len_left: u64,
        /// Writes must go through [`Machine::write`](crate::Machine::write): to the device that
        /// stands behind (flash), or to a fault (ROM).
        read_only: bool,
        /// The device that takes the writes.
        writes_to: Option<(DeviceTarget, u64)>,
    },
    /// A device.
    Device {
        /// Which one.
        target: DeviceTarget,
        /// Offset in its window.
        offset: u64,
        /// Bytes from this address to the end of the mapping, at least 1.
        len_left: u64,
    },
}

/// What a placement puts at its addresses.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Ram { region: Arc<Region>, offset: u64, read_only: bool, writes_to: Option<DeviceTarget> },
    Device(DeviceTarget),
}

/// One of the four kinds of address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plane {
    Memory,
    Pio,
    PciConfig,
    Sysreg,
}

impl Plane {
    /// Where windows of this kind are.
    pub fn of(kind: WindowKind) -> Plane {
        match kind {
            WindowKind::Mmio => Plane::Memory,
            WindowKind::Pio => Plane::Pio,
            WindowKind::PciConfig => Plane::PciConfig,
            WindowKind::Sysreg(_) => Plane::Sysreg,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub name: String,
    pub plane: Plane,
    pub base: u64,
    pub len: u64,
    pub priority: i32,
    pub what: What,
}

impl Placement {
    /// Does this stand in the way of the other?
    pub fn excludes(&self, other: &Placement) -> bool {
        let last = |p: &Placement| p.base.saturating_add(p.len - 1);
        self.plane == other.plane && self.priority == other.priority && self.base <= last(other) && other.base <= last(self)
    }
}

/// A piece of the flat map; `base` is the placement's, so offsets count from there.
#[derive(Debug, Clone)]
struct Piece {
    first: u64,
    last: u64,
    base: u64,
    what: What,
}

/// Why a map cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Two placements of equal priority overlap.
    #[error("'{first}' at {first_base:#x}..={first_last:#x} overlaps '{second}' at {second_base:#x}..={second_last:#x}")]
    Overlap {
        /// Name of the one placed first.
        first: String,
        /// Its first address.
        first_base: u64,
        /// Its last address.
        first_last: u64,
        /// Name of the other.
        second: String,
        /// Its first address.
        second_base: u64,
        /// Its last address.
        second_last: u64,
    },
    /// Empty, past the end of the addresses, or longer than the memory behind it.
    #[error("'{name}' at {base:#x} with length {len:#x} does not fit")]
    Size {
        /// Name of the placement.
        name: String,
        /// Its first address.
        base: u64,
        /// Its length.
        len: u64,
    },
}

/// Collects placements and makes the flat map of them.
#[derive(Debug, Clone, Default)]
pub struct SpaceBuilder {
    pub(crate) placements: Vec<Placement>,
}

impl SpaceBuilder {
    /// Nothing placed.
    pub fn new() -> SpaceBuilder {
        SpaceBuilder::default()
    }

    /// Places `len` bytes of a region from `offset` on at `base`.
    pub fn ram(&mut self, base: u64, region: &Arc<Region>, offset: u64, len: u64, read_only: bool, priority: i32) {
        self.placements.push(Placement {
            name: region.name().into(),
            plane: Plane::Memory,
            base,
            len,
            priority,
            what: What::Ram { region: region.clone(), offset, read_only, writes_to: None },
        });
    }

    /// Makes the flat map.
    pub fn build(&self, generation: u64) -> Result<AddressSpace, SpaceError> {
        let flat = |plane| flatten(self.placements.iter().filter(|p| p.plane == plane));
        let memory = flat(Plane::Memory)?;
        let largest = (0..memory.len()).max_by_key(|&i| memory[i].last - memory[i].first).unwrap_or(0);
        Ok(AddressSpace { memory, largest, pio: flat(Plane::Pio)?, pci: flat(Plane::PciConfig)?, sysreg: flat(Plane::Sysreg)?, generation })
    }
}

fn flatten<'a>(placements: impl Iterator<Item = &'a Placement>) -> Result<Vec<Piece>, SpaceError> {
    let mut sorted: Vec<&Placement> = placements.collect();
    for p in &sorted {
        let fits = p.len != 0
            && p.base.checked_add(p.len - 1).is_some()
            && match &p.what {
                What::Ram { region, offset, .. } => offset.checked_add(p.len).is_some_and(|e| e <= region.len()),
                What::Device(_) => true,
            };
        if !fits {
            return Err(SpaceError::Size { name: p.name.clone(), base: p.base, len: p.len });
        }
    }
    sorted.sort_by_key(|p| (std::cmp::Reverse(p.priority), p.base));
    let last = |p: &Placement| p.base + (p.len - 1);
    for pair in sorted.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if a.priority == b.priority && b.base <= last(a) {
            return Err(SpaceError::Overlap {
                first: a.name.clone(),
                first_base: a.base,
                first_last: last(a),
                second: b.name.clone(),
                second_base: b.base,
                second_last: last(b),
            });
        }
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for p in sorted {
        // What higher priorities left of it: the gaps between the pieces it meets.
        let mut gaps = Vec::new();
        let mut from = Some(p.base);
        for piece in pieces.iter().filter(|q| q.last >= p.base && q.first <= last(p)) {
            if let Some(start) = from
                && start < piece.first
            {
                gaps.push((start, piece.first - 1));
            }
            from = piece.last.checked_add(1);
        }
        if let Some(start) = from
            && start <= last(p)
        {
            gaps.push((start, last(p)));
        }
        pieces.extend(gaps.into_iter().map(|(first, last)| Piece { first, last, base: p.base, what: p.what.clone() }));
        pieces.sort_by_key(|q| q.first);
    }
    Ok(pieces)
}

/// What answers where: an immutable map, looked up without locks. When a window moves, the
/// machine replaces the whole map by one with a higher [`AddressSpace::generation`].
#[derive(Debug, Default)]
pub struct AddressSpace {
    memory: Vec<Piece>,
    /// The largest piece of memory, main memory as a rule: looked at first.
    largest: usize,
    pio: Vec<Piece>,
    pci: Vec<Piece>,
    sysreg: Vec<Piece>,
    generation: u64,
}

fn find(pieces: &[Piece], at: u64) -> Option<&Piece> {
    let n = pieces.partition_point(|p| p.first <= at);
    pieces[..n].last().filter(|p| at <= p.last)
}

impl AddressSpace {
    /// What answers at a physical address.
    #[inline]
    pub fn find(&self, phys: u64) -> Option<Mapping<'_>> {
        if let Some(p) = self.memory.get(self.largest)
            && (p.first..=p.last).contains(&phys)
        {
            return Some(mapping(p, phys));
        }
        find(&self.memory, phys).map(|p| mapping(p, phys))
    }

    /// What answers at an I/O port.
    pub fn find_pio(&self, port: u64) -> Option<Mapping<'_>> {
        find(&self.pio, port).map(|p| mapping(p, port))
    }

    /// What answers in a plane.
    pub fn find_on(&self, bus: Bus, at: u64) -> Option<Mapping<'_>> {
        match bus {
            Bus::Memory => self.find(at),
            Bus::Pio => self.find_pio(at),
            Bus::PciConfig => find(&self.pci, at).map(|p| mapping(p, at)),
        }
    }

    /// The device that implements a system register.
    pub fn find_sysreg(&self, key: u32) -> Option<DeviceTarget> {
        match find(&self.sysreg, key.into())?.what {
            What::Device(target) => Some(target),
            What::Ram { .. } => None,
        }
    }

    /// Grows with each change of the map: TLB entries made under another generation are void.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The memory pieces of the map: first address, last address, region and offset in it.
    pub fn ram(&self) -> impl Iterator<Item = (u64, u64, &Arc<Region>, u64)> {
        self.memory.iter().filter_map(|p| match &p.what {
            What::Ram { region, offset, .. } => Some((p.first, p.last, region, offset + (p.first - p.base))),
            What::Device(_) => None,
        })
    }
}

fn mapping(piece: &Piece, at: u64) -> Mapping<'_> {
    let within = at - piece.base;
    // Saturating: a piece may reach to the very end of the addresses.
    let len_left = (piece.last - at).saturating_add(1);
    match &piece.what {
        What::Ram { region, offset, read_only, writes_to } => {
            // Memory that stands in for writes too leaves none to its device.
            let writes_to = writes_to.filter(|_| *read_only).map(|t| (t, within));
            Mapping::Ram { region, offset: offset + within, len_left, read_only: *read_only, writes_to }
        }
        What::Device(target) => Mapping::Device { target: *target, offset: within, len_left },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(space: &mut SpaceBuilder, n: u32, base: u64, len: u64, priority: i32) {
        space.placements.push(Placement {
            name: format!("d{n}"),
            plane: Plane::Memory,
            base,
            len,
            priority,
            what: What::Device(DeviceTarget { device: DeviceId(n), window: Window(0) }),
        });
    }

    fn who(space: &AddressSpace, at: u64) -> Option<(u32, u64, u64)> {
        match space.find(at)? {
            Mapping::Device { target, offset, len_left } => Some((target.device.0, offset, len_left)),
            Mapping::Ram { .. } => panic!("no memory here"),
        }
    }

    #[test]
    fn higher_priorities_cut_holes_and_offsets_count_from_the_base() {
        let mut b = SpaceBuilder::new();
        device(&mut b, 1, 0x1000, 0x3000, 0);
        device(&mut b, 2, 0x2000, 0x100, 1);
        device(&mut b, 3, 0x20f0, 0x20, 2);
        device(&mut b, 4, u64::MAX - 0xf, 0x10, 0);
        device(&mut b, 5, u64::MAX - 0x1f, 0x20, -1);
        let s = b.build(1).unwrap();
        for (at, want) in [
            (0xfff, None),
            (0x1000, Some((1, 0, 0x1000))),
            (0x2000, Some((2, 0, 0xf0))),
            (0x20f0, Some((3, 0, 0x20))),
            (0x210f, Some((3, 0x1f, 1))),
            (0x2110, Some((1, 0x1110, 0x1ef0))),
            (0x4000, None),
            (u64::MAX - 0x10, Some((5, 0xf, 1))),
            (u64::MAX, Some((4, 0xf, 1))),
        ] {
            assert_eq!(who(&s, at), want, "{at:#x}");
        }
    }

    #[test]
    fn overlap_at_equal_priority_names_both() {
        let mut b = SpaceBuilder::new();
        device(&mut b, 1, 0x1000, 0x1001, 0);
        device(&mut b, 2, 0x2000, 0x100, 0);
        let e = b.build(0).unwrap_err().to_string();
        assert!(e.contains("'d1' at 0x1000..=0x2000") && e.contains("'d2' at 0x2000"), "{e}");
    }

    #[test]
    fn memory_must_have_what_is_placed_of_it() {
        let r = Region::new("ram", 0x2000).unwrap();
        let mut b = SpaceBuilder::new();
        b.ram(0x8000, &r, 0x1000, 0x1000, false, 0);
        let s = b.build(0).unwrap();
        assert!(matches!(s.find(0x8010), Some(Mapping::Ram { offset: 0x1010, len_left: 0xff0, .. })));
        b.ram(0x10000, &r, 0x1000, 0x1001, false, 0);
        assert!(matches!(b.build(0), Err(SpaceError::Size { .. })));
    }
}
