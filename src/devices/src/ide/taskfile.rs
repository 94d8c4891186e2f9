//! The command block of an ATA device, and the sector addresses in it (ATA/ATAPI-6, T13/1410D,
//! clauses 6.2 and 7).

use proteus_model::State;

/// Device register: addresses are logical block addresses.
pub const DEVICE_LBA: u8 = 0x40;
/// Device register: device 1 is selected.
pub const DEVICE_DEV: u8 = 0x10;
/// Device register: the head, or bits 27:24 of an address.
pub const DEVICE_HEAD: u8 = 0x0f;

/// Sectors that 28 bits can address, and the most that words 60 and 61 of IDENTIFY DEVICE tell.
pub const LBA28_SECTORS: u64 = 0x0fff_ffff;

/// A register of two bytes: a write moves what was there to the place behind it.
#[derive(State, Debug, Default, Clone, Copy)]
pub struct Fifo {
    /// Written last.
    pub now: u8,
    /// Written before that.
    pub before: u8,
}

impl Fifo {
    /// A write by the guest.
    pub fn push(&mut self, value: u8) {
        self.before = self.now;
        self.now = value;
    }

    /// A read by the guest, with the HOB bit of Device Control as given.
    pub fn read(self, hob: bool) -> u8 {
        if hob { self.before } else { self.now }
    }
}

/// Heads and sectors of a track, as the guest counts them. A saved state may hold zeros.
#[derive(State, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Heads, 1 to 16.
    pub heads: u8,
    /// Sectors of a track, 1 to 255.
    pub sectors: u8,
}

impl Geometry {
    /// What disks say by default (clause 6.2.1).
    pub const DEFAULT: Geometry = Geometry { heads: 16, sectors: 63 };

    /// Sectors of a cylinder, never none.
    pub fn per_cylinder(self) -> u64 {
        u64::from(self.heads.max(1)) * u64::from(self.sectors.max(1))
    }

    /// Cylinders of so many sectors, as words 1 and 54 of IDENTIFY DEVICE tell them.
    pub fn cylinders(self, sectors: u64) -> u16 {
        (sectors.min(16_514_064) / self.per_cylinder()).clamp(1, 65_535) as u16
    }
}

/// How a command names its first sector.
#[derive(State, Debug, Default, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// Cylinder, head and sector.
    #[default]
    Chs,
    /// 28 bits.
    Lba28,
    /// 48 bits, the upper ones written first.
    Lba48,
}

/// The registers that take parameters and give results.
#[derive(State, Debug, Default)]
pub struct TaskFile {
    /// Features (write only).
    pub features: Fifo,
    /// Sector Count; Interrupt Reason of packet devices.
    pub count: Fifo,
    /// LBA Low.
    pub low: Fifo,
    /// LBA Mid; Byte Count Low of packet devices.
    pub mid: Fifo,
    /// LBA High; Byte Count High of packet devices.
    pub high: Fifo,
    /// Device.
    pub device: u8,
}

impl TaskFile {
    /// How a command names its sectors; `ext` for those of the 48-bit feature set.
    pub fn form(&self, ext: bool) -> Form {
        match (ext, self.device & DEVICE_LBA != 0) {
            (true, _) => Form::Lba48,
            (false, true) => Form::Lba28,
            (false, false) => Form::Chs,
        }
    }

    /// How many sectors a command asks for.
    pub fn sectors(&self, ext: bool) -> u32 {
        match (ext, self.count.before, self.count.now) {
            (true, 0, 0) => 0x1_0000,
            (true, high, low) => u32::from(high) << 8 | u32::from(low),
            (false, _, 0) => 0x100,
            (false, _, low) => low.into(),
        }
    }

    /// The first sector of a command; `None` if the geometry has no such place.
    pub fn address(&self, form: Form, geometry: Geometry) -> Option<u64> {
        let [low, mid, high] = [self.low, self.mid, self.high].map(|f| u64::from(f.now));
        let head = self.device & DEVICE_HEAD;
        match form {
            Form::Lba28 => Some(u64::from(head) << 24 | high << 16 | mid << 8 | low),
            Form::Lba48 => {
                let [low4, mid5, high6] = [self.low, self.mid, self.high].map(|f| u64::from(f.before));
                Some(high6 << 40 | mid5 << 32 | low4 << 24 | high << 16 | mid << 8 | low)
            }
            Form::Chs if head >= geometry.heads || low == 0 || low > u64::from(geometry.sectors) => None,
            Form::Chs => {
                let track = (high << 8 | mid) * u64::from(geometry.heads) + u64::from(head);
                Some(track * u64::from(geometry.sectors) + low - 1)
            }
        }
    }

    /// Shows a sector to the guest: the last one of a command, or the one that failed.
    pub fn set_address(&mut self, form: Form, geometry: Geometry, lba: u64) {
        let byte = |n: u32| (lba >> (8 * n)) as u8;
        match form {
            Form::Chs => {
                let sectors = u64::from(geometry.sectors.max(1));
                let (track, heads) = (lba / sectors, u64::from(geometry.heads.max(1)));
                self.low.now = (lba % sectors + 1) as u8;
                self.mid.now = (track / heads) as u8;
                self.high.now = ((track / heads) >> 8) as u8;
                self.device = self.device & !DEVICE_HEAD | (track % heads) as u8 & DEVICE_HEAD;
            }
            Form::Lba28 | Form::Lba48 => {
                (self.low.now, self.mid.now, self.high.now) = (byte(0), byte(1), byte(2));
                if form == Form::Lba28 {
                    self.device = self.device & !DEVICE_HEAD | byte(3) & DEVICE_HEAD;
                } else {
                    (self.low.before, self.mid.before, self.high.before) = (byte(3), byte(4), byte(5));
                }
            }
        }
    }

    /// The signature by which the guest tells disks from packet devices (clause 9.12).
    pub fn sign(&mut self, packet: bool) {
        let [mid, high] = if packet { [0x14, 0xeb] } else { [0, 0] };
        for (register, now) in [(&mut self.count, 1), (&mut self.low, 1), (&mut self.mid, mid), (&mut self.high, high)] {
            *register = Fifo { now, before: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(device: u8, low: (u8, u8), mid: (u8, u8), high: (u8, u8)) -> TaskFile {
        let mut file = TaskFile { device, ..TaskFile::default() };
        for (register, (first, second)) in [(&mut file.low, low), (&mut file.mid, mid), (&mut file.high, high)] {
            register.push(first);
            register.push(second);
        }
        file
    }

    #[test]
    fn addresses_are_read_and_shown_alike() {
        let small = Geometry { heads: 4, sectors: 17 };
        let cases = [
            (file(0xa0, (0, 1), (0, 0), (0, 0)), false, Geometry::DEFAULT, Some(0)),
            (file(0xa1, (0, 2), (0, 3), (0, 1)), false, Geometry::DEFAULT, Some((0x103 * 16 + 1) * 63 + 1)),
            (file(0xa3, (0, 17), (0, 9), (0, 0)), false, small, Some((9 * 4 + 3) * 17 + 16)),
            (file(0xa4, (0, 17), (0, 9), (0, 0)), false, small, None),
            (file(0xa0, (0, 18), (0, 9), (0, 0)), false, small, None),
            (file(0xa0, (0, 0), (0, 9), (0, 0)), false, small, None),
            (file(0xe1, (9, 2), (9, 3), (9, 4)), false, small, Some(0x0104_0302)),
            (file(0xe0, (4, 1), (5, 2), (6, 3)), true, small, Some(0x0605_0403_0201)),
        ];
        for (file, ext, geometry, want) in cases {
            let form = file.form(ext);
            assert_eq!(file.address(form, geometry), want, "{file:?}");
            if let Some(lba) = want {
                let mut shown = TaskFile { device: file.device & !DEVICE_HEAD, ..TaskFile::default() };
                shown.set_address(form, geometry, lba);
                assert_eq!((shown.address(form, geometry), shown.device), (want, file.device), "{file:?}");
            }
        }
    }

    #[test]
    fn no_count_means_the_most() {
        for (count, ext, want) in
            [((0, 0), false, 256), ((0, 0), true, 65536), ((1, 0), true, 256), ((1, 0), false, 256), ((7, 3), false, 3), ((7, 3), true, 0x703)]
        {
            let mut file = TaskFile::default();
            file.count.push(count.0);
            file.count.push(count.1);
            assert_eq!(file.sectors(ext), want, "{count:?} {ext}");
        }
    }

    #[test]
    fn no_geometry_makes_it_divide_by_zero() {
        let none = Geometry { heads: 0, sectors: 0 };
        let mut file = TaskFile::default();
        file.set_address(Form::Chs, none, u64::MAX);
        assert_eq!((file.address(Form::Chs, none), none.cylinders(100)), (None, 100));
    }
}
