//! The command set of disks (ATA/ATAPI-6, T13/1410D, clause 8).
//!
//! There are the general feature set with CHS, 28-bit and 48-bit addresses, read and write
//! multiple, DMA, power management, and the write cache. Left out, and aborted as the standard
//! has it for commands that a device has not: SMART, the security, host protected area (but for
//! READ NATIVE MAX ADDRESS), queued, overlapped, streaming, removable media, advanced power and
//! acoustic management feature sets, the device configuration overlay, microcode, and the
//! commands that later standards have dropped. IDENTIFY DEVICE offers none of them. Transfers and
//! spinning up take no time. A range of sectors that reaches beyond the end is refused as a
//! whole, before anything moves.

use proteus_model::{Ns, Services, State};

use super::drive::{ABRT, BSY, BUFFER, DRDY, DSC, Drive, IDNF, Job, Phase, SECTOR, UNC, WP};
use super::identify;
use super::taskfile::{DEVICE_HEAD, Fifo, Form, Geometry, LBA28_SECTORS};

/// The most sectors of one block of READ and WRITE MULTIPLE.
pub const MULTIPLE_MAX: u8 = 16;
/// Bytes that are verified in one entry.
const VERIFY_BYTES: usize = 1 << 20;

pub const NOP: u8 = 0x00;
pub const DEVICE_RESET: u8 = 0x08;
const READ_NATIVE_MAX_EXT: u8 = 0x27;
pub const DIAGNOSTIC: u8 = 0x90;
const INITIALIZE_PARAMETERS: u8 = 0x91;
pub const PACKET: u8 = 0xa0;
pub const IDENTIFY_PACKET: u8 = 0xa1;
const SET_MULTIPLE: u8 = 0xc6;
pub const STANDBY_IMMEDIATE: u8 = 0xe0;
const STANDBY: u8 = 0xe2;
const IDLE: u8 = 0xe3;
pub const CHECK_POWER: u8 = 0xe5;
pub const SLEEP: u8 = 0xe6;
const FLUSH_CACHE: u8 = 0xe7;
const FLUSH_CACHE_EXT: u8 = 0xea;
pub const IDENTIFY: u8 = 0xec;
pub const SET_FEATURES: u8 = 0xef;
const READ_NATIVE_MAX: u8 = 0xf8;

/// SET FEATURES: set the transfer mode.
pub const FEATURE_MODE: u8 = 0x03;

/// How a command moves its sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    /// One at a time through the data register.
    Pio,
    /// As many at a time as SET MULTIPLE MODE said.
    Multiple,
    /// By the bus master.
    Dma,
    /// Not at all.
    Nothing,
}

/// A command that names sectors.
struct Access {
    opcode: u8,
    ext: bool,
    write: bool,
    via: Via,
}

const fn access(opcode: u8, ext: bool, write: bool, via: Via) -> Access {
    Access { opcode, ext, write, via }
}

/// Those commands. The second of two numbers is the old one without retries.
const ACCESSES: &[Access] = &[
    // READ SECTOR(S)
    access(0x20, false, false, Via::Pio),
    access(0x21, false, false, Via::Pio),
    access(0x24, true, false, Via::Pio),
    // READ MULTIPLE
    access(0xc4, false, false, Via::Multiple),
    access(0x29, true, false, Via::Multiple),
    // READ DMA
    access(0xc8, false, false, Via::Dma),
    access(0xc9, false, false, Via::Dma),
    access(0x25, true, false, Via::Dma),
    // READ VERIFY SECTOR(S)
    access(0x40, false, false, Via::Nothing),
    access(0x41, false, false, Via::Nothing),
    access(0x42, true, false, Via::Nothing),
    // WRITE SECTOR(S)
    access(0x30, false, true, Via::Pio),
    access(0x31, false, true, Via::Pio),
    access(0x34, true, true, Via::Pio),
    // WRITE MULTIPLE
    access(0xc5, false, true, Via::Multiple),
    access(0x39, true, true, Via::Multiple),
    // WRITE DMA
    access(0xca, false, true, Via::Dma),
    access(0xcb, false, true, Via::Dma),
    access(0x35, true, true, Via::Dma),
];

/// Power mode of a disk (clause 6.10).
#[derive(State, Debug, Default, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Power {
    /// It answers at once.
    #[default]
    Active,
    /// It answers at once too.
    Idle,
    /// It would have to spin up.
    Standby,
    /// Only a reset wakes it.
    Sleep,
}

/// A disk's own state.
#[derive(State, Debug)]
pub struct Disk {
    /// What INITIALIZE DEVICE PARAMETERS set.
    pub geometry: Geometry,
    /// Sectors of a block of READ and WRITE MULTIPLE; 0 while those are off.
    pub multiple: u8,
    /// May writes stay in the host's cache?
    pub write_cache: bool,
    /// Is reading ahead on? It is up to the host, but IDENTIFY DEVICE tells.
    pub look_ahead: bool,
    /// Does a software reset undo settings?
    revert: bool,
    power: Power,
    /// Standby timer, as STANDBY and IDLE have it; 0 for none.
    timer: u8,
    /// When the timer began.
    since: Ns,
}

impl Disk {
    /// Settings after power-on.
    pub fn new(write_cache: bool) -> Disk {
        Disk { geometry: Geometry::DEFAULT, multiple: 0, write_cache, look_ahead: true, revert: false, power: Power::Active, timer: 0, since: 0 }
    }

    /// A software reset, which ends sleep.
    pub fn software_reset(&mut self, write_cache: bool) {
        if self.revert {
            *self = Disk::new(write_cache);
        } else if self.power == Power::Sleep {
            self.power = Power::Standby;
        }
    }

    /// The power mode now, the standby timer considered.
    fn power(&self, now: Ns) -> Power {
        let period = standby_ns(self.timer).filter(|ns| now.saturating_sub(self.since) >= *ns);
        match self.power {
            Power::Active | Power::Idle if period.is_some() => Power::Standby,
            power => power,
        }
    }

    fn set_power(&mut self, power: Power, now: Ns) {
        (self.power, self.since) = (power, now);
    }
}

/// The period of the standby timer (table 6 of clause 6.10); `None` if it is off.
fn standby_ns(timer: u8) -> Option<Ns> {
    let seconds = match timer {
        0 | 254 => return None,
        n @ 1..=240 => u64::from(n) * 5,
        n @ 241..=251 => u64::from(n - 240) * 30 * 60,
        252 => 21 * 60,
        253 => 8 * 3600,
        255 => 21 * 60 + 15,
    };
    Some(seconds * 1_000_000_000)
}

impl Drive {
    /// Executes a disk's command.
    pub fn disk_command(&mut self, cx: &mut dyn Services, command: u8) {
        let Some(power) = self.wake(cx, command) else { return };
        if let Some(access) = ACCESSES.iter().find(|a| a.opcode == command) {
            return self.access(cx, access);
        }
        match command {
            // A disk has these to abort them.
            NOP | DEVICE_RESET | PACKET | IDENTIFY_PACKET => self.fail(ABRT),
            // RECALIBRATE.
            0x10..=0x1f => self.done(),
            // SEEK.
            0x70..=0x7f => match self.range(cx, false, 1) {
                Some(_) => self.done(),
                None => self.fail(IDNF),
            },
            INITIALIZE_PARAMETERS => self.initialize_parameters(),
            IDENTIFY => {
                self.buffer = identify::disk(self, cx);
                self.announce(Phase::In, self.buffer.len(), true);
            }
            SET_MULTIPLE => match self.task.count.now {
                n if n <= MULTIPLE_MAX && (n == 0 || n.is_power_of_two()) => {
                    self.disk.multiple = n;
                    self.done();
                }
                _ => {
                    self.disk.multiple = 0;
                    self.fail(ABRT);
                }
            },
            SET_FEATURES => self.set_disk_features(cx),
            FLUSH_CACHE | FLUSH_CACHE_EXT => match self.flush(cx) {
                true => self.done(),
                false => self.fail(ABRT),
            },
            READ_NATIVE_MAX => self.native_max(cx, false),
            READ_NATIVE_MAX_EXT => self.native_max(cx, true),
            STANDBY_IMMEDIATE..=IDLE | CHECK_POWER | SLEEP | 0x94..=0x99 => self.power_command(cx, command, power),
            _ => {
                cx.unimplemented(format_args!("ATA command {command:#04x}"));
                self.fail(ABRT);
            }
        }
    }

    /// Any command but those about power makes a device active. Gives the power mode before, or
    /// none if the device sleeps.
    pub fn wake(&mut self, cx: &mut dyn Services, command: u8) -> Option<Power> {
        let now = cx.now();
        if self.disk.power == Power::Sleep {
            cx.guest_error(format_args!("command {command:#04x} to a device that sleeps until a reset"));
            return None;
        }
        let before = self.disk.power(now);
        if !matches!(command, STANDBY_IMMEDIATE..=SLEEP | 0x94..=0x99) {
            self.disk.set_power(Power::Active, now);
        }
        Some(before)
    }

    /// A command about power (clause 6.10), in the numbers of the first standard (from 0x94 on)
    /// or the later ones.
    pub fn power_command(&mut self, cx: &mut dyn Services, command: u8, before: Power) {
        let now = cx.now();
        let mode = match command {
            CHECK_POWER | 0x98 => {
                self.task.count.now = match before {
                    Power::Active => 0xff,
                    Power::Idle => 0x80,
                    Power::Standby | Power::Sleep => 0x00,
                };
                return self.done();
            }
            SLEEP | 0x99 => Power::Sleep,
            _ if command & 1 == 0 => Power::Standby,
            _ => Power::Idle,
        };
        // A disk that spins down has nothing left in its cache.
        if mode != Power::Idle && !self.flush(cx) {
            return self.fail(ABRT);
        }
        if matches!(command, STANDBY | IDLE | 0x96 | 0x97) {
            self.disk.timer = self.task.count.now;
        }
        self.disk.set_power(mode, now);
        self.done();
    }

    /// Makes all writes so far durable. False if the image fails.
    fn flush(&self, cx: &dyn Services) -> bool {
        let flushed = cx.block(self.settings.port).map(|image| image.flush());
        match flushed {
            Some(Err(error)) => {
                tracing::debug!("flush: {error}");
                false
            }
            _ => true,
        }
    }

    /// The first of `count` sectors that a command names, if the disk has them all. If not, the
    /// address registers show the first one that is missing.
    fn range(&mut self, cx: &dyn Services, ext: bool, count: u32) -> Option<u64> {
        let (form, total) = (self.task.form(ext), self.sectors(cx));
        let lba = self.task.address(form, self.disk.geometry)?;
        if lba < total && total - lba >= count.into() {
            return Some(lba);
        }
        self.task.set_address(form, self.disk.geometry, lba.max(total));
        None
    }

    fn access(&mut self, cx: &mut dyn Services, access: &Access) {
        let writable = cx.block(self.settings.port).is_some_and(|image| self.writable(&*image));
        if access.write && !writable {
            return self.fail(WP | ABRT);
        }
        let block = match access.via {
            Via::Pio => 1,
            Via::Multiple if self.disk.multiple == 0 => return self.fail(ABRT),
            Via::Multiple => self.disk.multiple.into(),
            Via::Dma | Via::Nothing => (BUFFER / SECTOR) as u32,
        };
        let count = self.task.sectors(access.ext);
        let Some(lba) = self.range(cx, access.ext, count) else { return self.fail(IDNF) };
        self.job = Job { lba, left: count, block, form: self.task.form(access.ext) };
        match (access.via, access.write) {
            (Via::Nothing, _) => {
                self.phase = Phase::Verify;
                self.status = DRDY | DSC | BSY;
            }
            (via, false) => self.fetch_block(cx, via == Via::Dma),
            (Via::Dma, true) => {
                self.make_room();
                self.announce_dma(Phase::DmaOut);
            }
            (_, true) => {
                self.make_room();
                // The first block is asked for without an interrupt.
                self.announce(Phase::Out, self.buffer.len(), false);
            }
        }
    }

    /// Reads the next block and announces it.
    fn fetch_block(&mut self, cx: &mut dyn Services, dma: bool) {
        if !self.fetch(cx) {
            return self.fail_at(UNC);
        }
        if dma {
            self.announce_dma(Phase::DmaIn);
        } else {
            self.announce(Phase::In, self.buffer.len(), true);
        }
    }

    /// The next sector fails.
    fn fail_at(&mut self, error: u8) {
        self.task.set_address(self.job.form, self.disk.geometry, self.job.lba);
        self.fail(error);
    }

    /// All sectors are through: the address registers show the last one.
    fn all_through(&mut self) {
        self.task.set_address(self.job.form, self.disk.geometry, self.job.lba.saturating_sub(1));
        self.task.count = Fifo::default();
    }

    /// The guest has taken a block.
    pub fn disk_data_taken(&mut self, cx: &mut dyn Services) {
        let dma = self.phase == Phase::DmaIn;
        if self.job.left != 0 {
            return self.fetch_block(cx, dma);
        }
        // Identification data has no address.
        if self.job.block != 0 {
            self.all_through();
        }
        let irq = self.irq;
        self.done();
        // The end of data that the guest has read itself is no news to it.
        self.irq = dma || irq;
    }

    /// The guest has brought a block.
    pub fn disk_data_brought(&mut self, cx: &mut dyn Services) {
        if !self.store(cx) {
            return self.fail_at(ABRT);
        }
        let dma = self.phase == Phase::DmaOut;
        if self.job.left != 0 {
            self.make_room();
            return if dma { self.announce_dma(Phase::DmaOut) } else { self.announce(Phase::Out, self.buffer.len(), true) };
        }
        if !self.disk.write_cache && !self.flush(cx) {
            return self.fail_at(ABRT);
        }
        self.all_through();
        self.done();
    }

    /// Goes on with a verification for one entry. True if there is more to do.
    pub fn verify(&mut self, cx: &mut dyn Services) -> bool {
        let mut bytes = 0;
        while self.phase == Phase::Verify && bytes < VERIFY_BYTES {
            if self.job.left == 0 {
                self.all_through();
                self.done();
            } else if !self.fetch(cx) {
                self.fail_at(UNC);
            }
            bytes += self.buffer.len();
        }
        self.buffer.clear();
        self.phase == Phase::Verify
    }

    fn initialize_parameters(&mut self) {
        if self.task.count.now == 0 {
            return self.fail(ABRT);
        }
        self.disk.geometry = Geometry { heads: (self.task.device & DEVICE_HEAD) + 1, sectors: self.task.count.now };
        self.done();
    }

    fn native_max(&mut self, cx: &mut dyn Services, ext: bool) {
        let last = self.sectors(cx).saturating_sub(1);
        let form = self.task.form(ext);
        let last = if form == Form::Lba48 { last } else { last.min(LBA28_SECTORS) };
        self.task.set_address(form, self.disk.geometry, last);
        self.done();
    }

    fn set_disk_features(&mut self, cx: &mut dyn Services) {
        match self.task.features.now {
            0x02 => self.disk.write_cache = true,
            0x82 => {
                if !self.flush(cx) {
                    return self.fail(ABRT);
                }
                self.disk.write_cache = false;
            }
            FEATURE_MODE => return self.set_mode(),
            0x55 => self.disk.look_ahead = false,
            0xaa => self.disk.look_ahead = true,
            0x66 => self.disk.revert = false,
            0xcc => self.disk.revert = true,
            other => {
                cx.unimplemented(format_args!("SET FEATURES {other:#04x}"));
                return self.fail(ABRT);
            }
        }
        self.done();
    }

    /// SET FEATURES 0x03: the transfer mode is stored and shown; every mode is as fast.
    pub fn set_mode(&mut self) {
        let mode = self.task.count.now;
        match mode {
            // PIO default, without IORDY too; PIO 0 to 4; multiword DMA 0 to 2; Ultra DMA 0 to 5.
            0x00 | 0x01 | 0x08..=0x0c => {}
            0x20..=0x22 | 0x40..=0x45 => self.mode = mode,
            _ => return self.fail(ABRT),
        }
        self.done();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_stands_twice() {
        let mut opcodes: Vec<u8> = ACCESSES.iter().map(|a| a.opcode).collect();
        opcodes.sort_unstable();
        opcodes.dedup();
        assert_eq!(opcodes.len(), ACCESSES.len());
    }

    #[test]
    fn a_disk_falls_to_standby_when_its_timer_says() {
        let mut disk = Disk::new(true);
        for (timer, seconds) in [(1, 5), (240, 1200), (241, 1800), (251, 19_800), (252, 1260), (253, 28_800), (255, 1275)] {
            disk.timer = timer;
            disk.set_power(Power::Idle, 7);
            let at = 7 + seconds * 1_000_000_000;
            assert_eq!((disk.power(at - 1), disk.power(at)), (Power::Idle, Power::Standby), "timer {timer}");
        }
        disk.timer = 0;
        assert_eq!(disk.power(u64::MAX), Power::Idle);
    }
}
