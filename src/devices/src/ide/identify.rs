//! The 256 words by which devices identify themselves (ATA/ATAPI-6, T13/1410D, clauses 8.15 and
//! 8.16).

use proteus_model::Services;

use super::ata::MULTIPLE_MAX;
use super::drive::Drive;
use super::taskfile::{Geometry, LBA28_SECTORS};

/// Transfer modes that are offered: multiword DMA 0 to 2 and Ultra DMA 0 to 5.
const MULTIWORD: u16 = 0x07;
const ULTRA: u16 = 0x3f;
/// Nanoseconds of a cycle in the fastest PIO and multiword DMA modes.
const CYCLE_NS: u16 = 120;

struct Words([u16; 256]);

impl Words {
    fn set(&mut self, first: usize, values: &[u16]) {
        for (to, value) in self.0.iter_mut().skip(first).zip(values) {
            *to = *value;
        }
    }

    /// Text, the first of two characters in the upper byte, filled up with blanks.
    fn text(&mut self, first: usize, words: usize, text: &str) {
        let mut bytes = text.bytes().map(|b| if (0x20..0x7f).contains(&b) { b } else { b'?' }).chain(std::iter::repeat(b' '));
        for to in self.0.iter_mut().skip(first).take(words) {
            let pair = [bytes.next().unwrap_or(b' '), bytes.next().unwrap_or(b' ')];
            *to = u16::from_be_bytes(pair);
        }
    }

    /// What both kinds of devices say: names, transfer modes, standards, the last reset.
    fn common(&mut self, drive: &Drive, serial: &str) {
        self.text(10, 10, serial);
        self.text(23, 4, &drive.settings.version);
        self.text(27, 20, &drive.settings.model);
        // DMA, LBA, IORDY which can be disabled.
        self.set(49, &[0x0f00, 0x4000]);
        let selected = |base: u8| if drive.mode & 0xf8 == base { 0x100 << (drive.mode & 7) } else { 0 };
        // PIO 3 and 4, and the cycle times of it and of DMA.
        self.set(63, &[MULTIWORD | selected(0x20), 0x0003, CYCLE_NS, CYCLE_NS, CYCLE_NS, CYCLE_NS]);
        // ATA-3 to ATA/ATAPI-6, no minor version.
        self.set(80, &[0x0078, 0]);
        self.set(88, &[ULTRA | selected(0x40)]);
        // The cable has 80 conductors; the device's number comes from a jumper; it has passed its
        // diagnostics.
        self.set(93, &[if drive.settings.second { 0x6b00 } else { 0x600b }]);
    }

    /// The bytes as the data register gives them, with the integrity word.
    fn finish(mut self) -> Vec<u8> {
        self.0[255] = 0x00a5;
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|w| w.to_le_bytes()).collect();
        let sum = bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        if let Some(last) = bytes.last_mut() {
            *last = sum.wrapping_neg();
        }
        bytes
    }
}

/// IDENTIFY DEVICE.
pub fn disk(drive: &Drive, cx: &dyn Services) -> Vec<u8> {
    let (disk, total) = (&drive.disk, drive.sectors(cx));
    let (fixed, current) = (Geometry::DEFAULT, disk.geometry);
    let cylinders = current.cylinders(total);
    let capacity = u64::from(cylinders) * current.per_cylinder();
    let lba28 = total.min(LBA28_SECTORS);
    let words = |n: u64| [n as u16, (n >> 16) as u16, (n >> 32) as u16, (n >> 48) as u16];
    let mut w = Words([0; 256]);
    w.common(drive, &drive.serial(cx));
    // No packet device, not removable.
    w.set(0, &[0x0040, fixed.cylinders(total)]);
    // It needs no command to spin up.
    w.set(2, &[0xc837, fixed.heads.into()]);
    w.set(6, &[fixed.sectors.into()]);
    w.set(47, &[0x8000 | u16::from(MULTIPLE_MAX)]);
    // The standby timer has the values of the standard.
    w.0[49] |= 0x2000;
    // PIO mode 2, which old drivers look for; words 54 to 58, 64 to 70 and 88 are valid.
    w.set(51, &[0x0200, 0, 0x0007]);
    w.set(54, &[cylinders, current.heads.into(), current.sectors.into()]);
    w.set(57, &words(capacity)[..2]);
    w.set(59, &[if disk.multiple == 0 { 0 } else { 0x100 | u16::from(disk.multiple) }]);
    w.set(60, &words(lba28)[..2]);
    // NOP, look-ahead, write cache, power management; FLUSH CACHE (EXT) and 48-bit addresses.
    let on = 0x4008 | if disk.look_ahead { 0x40 } else { 0 } | if disk.write_cache { 0x20 } else { 0 };
    w.set(82, &[0x4068, 0x7400, 0x4000, on, 0x3400, 0x4000]);
    w.set(100, &words(total));
    w.finish()
}

/// IDENTIFY PACKET DEVICE.
pub fn packet(drive: &Drive, cx: &dyn Services) -> Vec<u8> {
    let mut w = Words([0; 256]);
    w.common(drive, &drive.serial(cx));
    // A CD drive: removable, asks for its packet of 12 bytes within 50 microseconds.
    w.set(0, &[0x85c0]);
    // Words 64 to 70 and 88 are valid.
    w.set(51, &[0x0200, 0, 0x0006]);
    // NOP, DEVICE RESET, packets, power management.
    w.set(82, &[0x4218, 0x4000, 0x4000, 0x4218, 0, 0x4000]);
    w.finish()
}
