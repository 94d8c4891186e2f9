//! One device on a cable: its registers, and how data moves between image and guest.
//!
//! The image is read and written while a command or an access to the data register is served, a
//! buffer at a time, so a device is seen busy only during DMA and verification, which may need
//! several entries. Both command sets use the same buffer: what the guest (or the bus master)
//! takes from it or puts into it ends in [`Drive::moved`], which goes on with the command.

use proteus_model::{BlockPort, Services, State};

use super::ata::Disk;
use super::atapi::Cd;
use super::taskfile::{DEVICE_DEV, Form, TaskFile};

// The status register.
/// Busy: the registers are the device's.
pub const BSY: u8 = 0x80;
/// Device ready.
pub const DRDY: u8 = 0x40;
/// Seek complete, which later standards leave free and old drivers expect.
pub const DSC: u8 = 0x10;
/// Data request.
pub const DRQ: u8 = 0x08;
/// Error; CHECK of packet devices.
pub const ERR: u8 = 0x01;

// The error register.
/// The interface failed during a transfer.
pub const ICRC: u8 = 0x80;
/// Uncorrectable data.
pub const UNC: u8 = 0x40;
/// The medium is write-protected: the same bit, for writes.
pub const WP: u8 = 0x40;
/// No such sector.
pub const IDNF: u8 = 0x10;
/// Command aborted.
pub const ABRT: u8 = 0x04;

/// Bytes of a disk's sector.
pub const SECTOR: usize = 512;
/// Bytes of a compact disc's sector.
pub const CD_SECTOR: usize = 2048;
/// The most that waits between image and guest, in bytes; whole sectors of both kinds.
pub const BUFFER: usize = 128 << 10;

/// What the data register, or the bus master, is for.
#[derive(State, Debug, Default, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing moves.
    #[default]
    Idle,
    /// The guest reads data.
    In,
    /// The guest writes data.
    Out,
    /// The guest writes a packet.
    Packet,
    /// The bus master fetches data.
    DmaIn,
    /// The bus master brings data.
    DmaOut,
    /// Sectors are read and nobody gets them.
    Verify,
}

/// The sectors of a command that are still to come.
#[derive(State, Debug, Default, Clone, Copy)]
pub struct Job {
    /// The next sector to read or write.
    pub lba: u64,
    /// How many there are from it on.
    pub left: u32,
    /// How many move at once.
    pub block: u32,
    /// How the guest named them.
    pub form: Form,
}

/// What the properties say of a device.
#[derive(Debug)]
pub struct Settings {
    /// Number of the port to its image.
    pub port: usize,
    /// Is it device 1 of its cable?
    pub second: bool,
    /// Is it a CD drive? Those are there without an image too.
    pub cdrom: bool,
    /// Serial number; empty if the image's is to be shown.
    pub serial: String,
    /// Model.
    pub model: String,
    /// Firmware revision.
    pub version: String,
    /// Refuse writes, whatever the image says.
    pub read_only: bool,
    /// Begin with the write cache on.
    pub write_cache: bool,
}

/// A device.
#[derive(State)]
pub struct Drive {
    /// Its copy of the command block.
    pub task: TaskFile,
    /// Status.
    pub status: u8,
    /// Error.
    pub error: u8,
    /// It asks for an interrupt.
    pub irq: bool,
    /// What moves.
    pub phase: Phase,
    /// Data on its way.
    #[state(max = BUFFER)]
    pub buffer: Vec<u8>,
    /// Next byte of the buffer.
    pub at: u32,
    /// Where the data block that is announced ends.
    pub end: u32,
    /// What follows when the buffer is used up.
    pub job: Job,
    /// Transfer mode, as SET FEATURES has it; 0 if none was set.
    pub mode: u8,
    /// A disk's own state.
    #[state(reset = Disk::new(self.settings.write_cache))]
    pub disk: Disk,
    /// A CD drive's own state.
    pub cd: Cd,
    /// What it is.
    #[state(skip)]
    pub settings: Settings,
}

impl Drive {
    /// A device that has just been turned on.
    pub fn new(settings: Settings) -> Drive {
        let mut drive = Drive {
            task: TaskFile::default(),
            status: 0,
            error: 0,
            irq: false,
            phase: Phase::Idle,
            buffer: Vec::new(),
            at: 0,
            end: 0,
            job: Job::default(),
            mode: 0,
            disk: Disk::new(settings.write_cache),
            cd: Cd::default(),
            settings,
        };
        drive.power_on();
        drive
    }

    /// Is the device there? A disk is its image; a CD drive may be empty.
    pub fn present(&self, cx: &dyn Services) -> bool {
        self.settings.cdrom || cx.block(self.settings.port).is_some()
    }

    /// Are its registers its own?
    pub fn busy(&self) -> bool {
        self.status & BSY != 0
    }

    /// Back to the state after power-on.
    pub fn power_on(&mut self) {
        self.reset_state();
        if self.settings.cdrom {
            self.cd_reset();
        }
        self.sign(true);
    }

    /// A software reset, from the write that sets SRST to the one that clears it.
    pub fn begin_reset(&mut self) {
        self.stop();
        self.irq = false;
        self.status = BSY;
    }

    /// What a device shows after a reset and after its diagnostics: that it has passed, and what
    /// it is (clause 9.12). `select` makes device 0 the selected one.
    pub fn sign(&mut self, select: bool) {
        self.stop();
        self.task.sign(self.settings.cdrom);
        self.task.device = if select { 0 } else { self.task.device & DEVICE_DEV };
        // Diagnostic code: passed, for both devices.
        self.error = 1;
        // A packet device is not ready before its first command.
        self.status = if self.settings.cdrom { 0 } else { DRDY | DSC };
    }

    /// The end of SRST.
    pub fn end_reset(&mut self) {
        self.sign(true);
        self.disk.software_reset(self.settings.write_cache);
        if self.settings.cdrom {
            self.cd_reset();
        }
    }

    /// Gives up whatever moves.
    pub fn stop(&mut self) {
        self.phase = Phase::Idle;
        self.buffer.clear();
        (self.at, self.end) = (0, 0);
        self.job = Job::default();
    }

    /// Executes a command. What was going on is given up.
    pub fn command(&mut self, cx: &mut dyn Services, command: u8) {
        self.stop();
        self.irq = false;
        self.error = 0;
        if self.settings.cdrom {
            self.packet_device_command(cx, command);
        } else {
            self.disk_command(cx, command);
        }
    }

    /// The command is over.
    pub fn done(&mut self) {
        self.stop();
        self.status = DRDY | DSC;
        self.error = 0;
        self.irq = true;
    }

    /// The command has failed.
    pub fn fail(&mut self, error: u8) {
        self.stop();
        self.status = DRDY | DSC | ERR;
        self.error = error;
        self.irq = true;
    }

    /// Can it be written to?
    pub fn writable(&self, image: &dyn BlockPort) -> bool {
        !self.settings.read_only && !image.read_only()
    }

    /// Bytes of one sector.
    pub fn sector(&self) -> usize {
        if self.settings.cdrom { CD_SECTOR } else { SECTOR }
    }

    /// Sectors of the image; what is left over at its end is not reached.
    pub fn sectors(&self, cx: &dyn Services) -> u64 {
        cx.block(self.settings.port).map_or(0, |image| image.len() / self.sector() as u64)
    }

    /// Serial number: the properties' or the image's, or else one by its place.
    pub fn serial(&self, cx: &dyn Services) -> String {
        if !self.settings.serial.is_empty() {
            return self.settings.serial.clone();
        }
        let image = cx.block(self.settings.port).map(|image| image.serial());
        image.filter(|serial| !serial.is_empty()).unwrap_or_else(|| format!("PT{:05}", self.settings.port + 1))
    }

    /// Announces the first `end` bytes of the buffer, or room for them, at the data register.
    pub fn announce(&mut self, phase: Phase, end: usize, interrupt: bool) {
        (self.phase, self.end) = (phase, end as u32);
        self.status = DRDY | DSC | DRQ;
        self.irq |= interrupt;
    }

    /// Leaves the buffer to the bus master.
    pub fn announce_dma(&mut self, phase: Phase) {
        (self.phase, self.end) = (phase, self.buffer.len() as u32);
        self.status = DRDY | DSC | BSY;
    }

    /// Reads the next sectors into the buffer. False if the image fails.
    pub fn fetch(&mut self, cx: &dyn Services) -> bool {
        let (n, bytes) = self.portion();
        self.buffer.resize(bytes, 0);
        self.at = 0;
        let offset = self.job.lba.checked_mul(self.sector() as u64);
        let Some((image, offset)) = cx.block(self.settings.port).zip(offset) else { return false };
        if let Err(error) = image.read_at(offset, &mut self.buffer) {
            tracing::debug!("sectors from {}: {error}", self.job.lba);
            return false;
        }
        self.pass(n);
        true
    }

    /// Makes room in the buffer for the next sectors.
    pub fn make_room(&mut self) {
        let (_, bytes) = self.portion();
        // Only what the guest has overwritten goes to the image: it need not be cleared.
        self.buffer.resize(bytes, 0);
        self.at = 0;
    }

    /// Writes the buffer to the image. False if the image fails.
    pub fn store(&mut self, cx: &dyn Services) -> bool {
        let sector = self.sector();
        let offset = self.job.lba.checked_mul(sector as u64);
        let Some((image, offset)) = cx.block(self.settings.port).zip(offset) else { return false };
        if let Err(error) = image.write_at(offset, &self.buffer) {
            tracing::debug!("sectors from {}: {error}", self.job.lba);
            return false;
        }
        self.pass((self.buffer.len() / sector) as u32);
        true
    }

    /// How many sectors come next, and their bytes.
    fn portion(&self) -> (u32, usize) {
        let most = (BUFFER / self.sector()) as u32;
        let n = self.job.left.min(self.job.block).clamp(1, most);
        (n, n as usize * self.sector())
    }

    fn pass(&mut self, sectors: u32) {
        self.job.lba = self.job.lba.saturating_add(sectors.into());
        self.job.left = self.job.left.saturating_sub(sectors);
    }

    /// The guest reads 16 bits at the data register.
    pub fn read_data(&mut self, cx: &mut dyn Services) -> u16 {
        if self.phase != Phase::In {
            cx.guest_error(format_args!("read of the data register while there is no data"));
            return 0;
        }
        let at = self.at as usize;
        let byte = |n| self.buffer.get(n).copied().unwrap_or(0);
        let word = u16::from_le_bytes([byte(at), byte(at + 1)]);
        self.moved(cx, 2);
        word
    }

    /// The guest writes 16 bits to the data register.
    pub fn write_data(&mut self, cx: &mut dyn Services, word: u16) {
        if !matches!(self.phase, Phase::Out | Phase::Packet) {
            cx.guest_error(format_args!("write of {word:#06x} to the data register while no data is wanted"));
            return;
        }
        let at = self.at as usize;
        for (to, byte) in self.buffer.iter_mut().skip(at).zip(word.to_le_bytes()) {
            *to = byte;
        }
        self.moved(cx, 2);
    }

    /// Does it wait for the bus master? In which direction, if so: true to memory.
    pub fn dma(&self) -> Option<bool> {
        match self.phase {
            Phase::DmaIn => Some(true),
            Phase::DmaOut => Some(false),
            _ => None,
        }
    }

    /// The part of the buffer that is to move next; never empty while the bus master is awaited.
    pub fn window(&mut self) -> &mut [u8] {
        let (at, end) = (self.at as usize, self.end as usize);
        self.buffer.get_mut(at..end).unwrap_or_default()
    }

    /// So many bytes have moved: at the end of a block the command goes on.
    pub fn moved(&mut self, cx: &mut dyn Services, bytes: usize) {
        self.at = self.at.saturating_add(bytes as u32);
        if self.at < self.end {
            return;
        }
        match (self.phase, self.settings.cdrom) {
            (Phase::In | Phase::DmaIn, true) => self.packet_data_taken(cx),
            (Phase::In | Phase::DmaIn, false) => self.disk_data_taken(cx),
            (Phase::Packet, true) => self.packet_complete(cx),
            (Phase::Out | Phase::DmaOut, false) => self.disk_data_brought(cx),
            // What no command of the kind begins, but a saved state may claim.
            _ => self.fail(ABRT),
        }
    }

    /// The bus master cannot do what the command needs.
    pub fn dma_refused(&mut self) {
        match self.settings.cdrom {
            true => self.packet_dma_refused(),
            false => self.fail(ICRC | ABRT),
        }
    }
}
