//! What GICv2 and GICv3 have in common: the state of 32 interrupts, the shared interrupts as a
//! whole, and the priority logic of a CPU interface.

use proteus_model::State;

/// Interrupt ID for "none".
pub const SPURIOUS: u32 = 1023;
/// Implemented bits of a priority: 32 levels.
pub const PRIORITY_BITS: u8 = 0xf8;
/// Least binary point for group 0; that of group 1 is one more.
const MIN_BPR: [u8; 2] = [2, 3];
/// Running priority while nothing is active.
const IDLE: u8 = 0xff;
/// Log2 of the distance between two priorities.
const PRIORITY_SHIFT: u32 = PRIORITY_BITS.trailing_zeros();

/// The arrays of one bit an interrupt, in the order of their blocks of 0x80 bytes from 0x080 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
}

impl Bits {
    /// The array and the word in it that are at this offset.
    pub fn at(offset: u64) -> Option<(Bits, usize)> {
        use Bits::*;
        let arrays = [Group, SetEnable, ClearEnable, SetPending, ClearPending, SetActive, ClearActive];
        let array = arrays.get((offset.checked_sub(0x80)? / 0x80) as usize)?;
        Some((*array, (offset & 0x7f) as usize / 4))
    }
}

/// The state of 32 interrupts.
#[derive(State, Default, Clone)]
pub struct Bank {
    pub group: u32,
    pub enabled: u32,
    /// Edges seen, and pending bits that software has set.
    pub latch: u32,
    /// Levels of the input lines.
    pub level: u32,
    /// Configured as edge-triggered.
    pub edge: u32,
    pub active: u32,
    pub priority: [u8; 32],
}

impl Bank {
    pub fn pending(&self) -> u32 {
        self.latch | self.level & !self.edge
    }

    /// Those that may be forwarded.
    pub fn ready(&self) -> u32 {
        self.pending() & self.enabled & !self.active
    }

    /// An input line changes.
    pub fn input(&mut self, n: usize, level: bool) {
        let bit = 1 << (n & 31);
        if level && self.level & bit == 0 {
            self.latch |= self.edge & bit;
        }
        self.level = if level { self.level | bit } else { self.level & !bit };
    }

    pub fn read_bits(&self, array: Bits) -> u32 {
        match array {
            Bits::Group => self.group,
            Bits::SetEnable | Bits::ClearEnable => self.enabled,
            Bits::SetPending | Bits::ClearPending => self.pending(),
            Bits::SetActive | Bits::ClearActive => self.active,
        }
    }

    pub fn write_bits(&mut self, array: Bits, value: u32) {
        match array {
            Bits::Group => self.group = value,
            Bits::SetEnable => self.enabled |= value,
            Bits::ClearEnable => self.enabled &= !value,
            Bits::SetPending => self.latch |= value,
            Bits::ClearPending => self.latch &= !value,
            Bits::SetActive => self.active |= value,
            Bits::ClearActive => self.active &= !value,
        }
    }

    /// The configuration of 16 interrupts: the upper of two bits each is set for edges.
    pub fn config(&self, upper_half: bool) -> u32 {
        let edges = if upper_half { self.edge >> 16 } else { self.edge & 0xffff };
        (0..16).filter(|n| edges >> n & 1 != 0).map(|n| 2 << (2 * n)).sum()
    }

    pub fn set_config(&mut self, upper_half: bool, value: u32) {
        let edges: u32 = (0..16).filter(|n| value >> (2 * n + 1) & 1 != 0).map(|n| 1 << n).sum();
        self.edge = if upper_half { self.edge & 0xffff | edges << 16 } else { self.edge & 0xffff_0000 | edges };
    }

    pub fn group_of(&self, n: usize) -> usize {
        (self.group >> (n & 31) & 1) as usize
    }

    /// Those of the enabled groups (bit 0 for group 0, bit 1 for group 1).
    pub fn of_groups(&self, groups: u32) -> u32 {
        (if groups & 1 != 0 { !self.group } else { 0 }) | (if groups & 2 != 0 { self.group } else { 0 })
    }

    /// Takes the better of `best` and the best of `candidates`, the first of which has the
    /// number `base`. Among equals the lowest number wins, so banks are to be asked in order.
    #[inline]
    pub fn best_of(&self, mut candidates: u32, base: u32, best: &mut Option<Pending>) {
        while candidates != 0 {
            let n = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let priority = self.priority[n];
            if best.is_none_or(|b| priority < b.priority) {
                *best = Some(Pending { id: base + n as u32, priority, group: self.group_of(n) });
            }
        }
    }
}

/// A pending interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    pub id: u32,
    pub priority: u8,
    pub group: usize,
}

/// The shared interrupts: bank `n` has IDs from `32 * (n + 1)` on.
#[derive(State, Default)]
pub struct Shared {
    pub banks: Vec<Bank>,
    /// One bit for each bank in which something is ready, so that idle banks are not looked at.
    summary: u32,
}

impl Shared {
    pub fn new(banks: usize) -> Shared {
        Shared { banks: vec![Bank::default(); banks], summary: 0 }
    }

    /// To be called after every change of a bank.
    pub fn refresh(&mut self, n: usize) {
        if let Some(bank) = self.banks.get(n) {
            let bit = 1 << n;
            self.summary = if bank.ready() != 0 { self.summary | bit } else { self.summary & !bit };
        }
    }

    /// Changes a bank.
    pub fn change(&mut self, n: usize, f: impl FnOnce(&mut Bank)) {
        if let Some(bank) = self.banks.get_mut(n) {
            f(bank);
            self.refresh(n);
        }
    }

    /// The banks in which something is ready, in order.
    #[inline]
    pub fn ready(&self) -> impl Iterator<Item = (usize, &Bank)> {
        let mut left = self.summary;
        std::iter::from_fn(move || {
            let n = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            self.banks.get(n).map(|bank| (n, bank))
        })
    }
}

/// Masking and preemption in a CPU interface.
#[derive(State, Clone)]
pub struct Priorities {
    pub pmr: u8,
    #[state(reset = MIN_BPR)]
    pub bpr: [u8; 2],
    /// Active priorities of each group: bit n is the group priority `n << 3`.
    pub apr: [u32; 2],
}

impl Default for Priorities {
    fn default() -> Self {
        Priorities { pmr: 0, bpr: MIN_BPR, apr: [0; 2] }
    }
}

impl Priorities {
    pub fn set_bpr(&mut self, group: usize, value: u64) {
        self.bpr[group] = (value as u8 & 7).max(MIN_BPR[group]);
    }

    /// The highest active group priority.
    pub fn running(&self) -> u8 {
        match self.apr[0] | self.apr[1] {
            0 => IDLE,
            active => (active.trailing_zeros() << PRIORITY_SHIFT) as u8,
        }
    }

    /// Cuts a priority to its group priority. Group 1 has a binary point of its own that counts
    /// from one more, unless `common`.
    fn group_priority(&self, p: &Pending, common: bool) -> u8 {
        let mask = if p.group == 1 && !common { 0xff_u32 << self.bpr[1] } else { 0x1fe << self.bpr[0] };
        p.priority & mask as u8
    }

    /// Is it neither masked nor held back by what is active?
    pub fn sufficient(&self, p: &Pending, common: bool) -> bool {
        p.priority < self.pmr && self.group_priority(p, common) < self.running()
    }

    pub fn activate(&mut self, p: &Pending, common: bool) {
        self.apr[p.group & 1] |= 1 << (self.group_priority(p, common) >> PRIORITY_SHIFT);
    }

    /// Group of the highest active priority.
    pub fn highest_active(&self) -> Option<usize> {
        let [zero, one] = self.apr.map(u32::trailing_zeros);
        (self.apr != [0; 2]).then_some(usize::from(one < zero))
    }

    /// Drops the highest active priority of a group.
    pub fn drop_priority(&mut self, group: usize) {
        let apr = &mut self.apr[group & 1];
        *apr &= apr.wrapping_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_point_decides_what_preempts() {
        // Binary points, group and priority of the active and the new one; does it preempt?
        let cases = [
            ([2, 3], (0, 0x80), (0, 0x78), true),
            ([2, 3], (0, 0x80), (0, 0x80), false),
            ([4, 3], (0, 0x80), (0, 0x60), true),
            ([4, 3], (0, 0x98), (0, 0x80), false),
            ([2, 4], (1, 0x98), (1, 0x90), false),
            ([2, 4], (1, 0x98), (1, 0x88), true),
            ([7, 3], (0, 0xf8), (0, 0), false),
            ([2, 7], (1, 0x80), (1, 0x78), true),
            ([2, 7], (1, 0x78), (1, 0), false),
        ];
        for (bpr, active, new, preempts) in cases {
            let pending = |(group, priority)| Pending { id: 40, priority, group };
            let mut p = Priorities { pmr: 0xff, bpr, ..Priorities::default() };
            assert!(p.sufficient(&pending(active), false));
            p.activate(&pending(active), false);
            assert_eq!(p.sufficient(&pending(new), false), preempts, "{bpr:?} {active:?} {new:?}");
            assert_eq!(p.highest_active(), Some(active.0));
            p.drop_priority(active.0);
            assert_eq!(p.running(), IDLE);
        }
    }

    #[test]
    fn configuration_spreads_to_two_bits_each() {
        let mut b = Bank::default();
        b.set_config(true, 0x8000_000a);
        assert_eq!((b.edge, b.config(true), b.config(false)), (0x8003_0000, 0x8000_000a, 0));
        b.set_config(false, 0xffff_ffff);
        assert_eq!((b.edge, b.config(false)), (0x8003_ffff, 0xaaaa_aaaa));
    }
}
