//! A machine with the controller, images that count and fail as told, and a small driver.

mod cd;
mod disk;
mod fuzz;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proteus_model::ram::Region;
use proteus_model::{BlockPort, Bus, CoreId, DeviceId, Machine, MachineBuilder, Props, Width};

use super::bus_master::{BMICOM, BMIDTP, BMISTA};
use super::channel::*;
use super::drive::{BSY, DRDY, DRQ, DSC, ERR};
use super::piix4::PIIX4_IDE;

pub const RAM: u64 = 0x4000_0000;
pub const RAM_LEN: u64 = 40 << 20;
/// Where the tests put descriptors; buffers are above.
pub const TABLE: u64 = RAM + 0x1000;
pub const BUFFERS: u64 = RAM + 0x10_0000;
const CONFIG: u64 = 1 << 15;
const BUS_MASTER: u64 = 0xc000;
const CORE: CoreId = CoreId(0);

/// Status of a device that has nothing to do.
pub const READY: u8 = DRDY | DSC;
/// Status of a device that has failed.
pub const FAILED: u8 = READY | ERR;
/// Status of a device that has or wants data.
pub const WANTS: u8 = READY | DRQ;

/// An image of any length whose sectors tell their number, until they are written to.
#[derive(Default)]
pub struct Image {
    len: u64,
    read_only: bool,
    /// Bytes that cannot be accessed.
    bad: Mutex<Range<u64>>,
    written: Mutex<BTreeMap<u64, Vec<u8>>>,
    pub flushes: AtomicUsize,
    pub no_flush: bool,
}

impl Image {
    pub fn new(sectors: u64) -> Image {
        Image { len: sectors * 512, bad: Mutex::new(0..0), ..Image::default() }
    }

    pub fn read_only(self) -> Image {
        Image { read_only: true, ..self }
    }

    /// What such an image has in sectors of 512 bytes that were not written: their number at both
    /// ends, and bytes that differ from their neighbours.
    pub fn pattern(first: u64, sectors: u64) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..512u32).map(|n| ((n * 7) ^ (n >> 5)) as u8).collect::<Vec<_>>().repeat(sectors as usize);
        for (sector, n) in bytes.chunks_exact_mut(512).zip(first..) {
            sector[..8].copy_from_slice(&n.to_le_bytes());
            sector[504..].copy_from_slice(&n.to_le_bytes());
        }
        bytes
    }

    pub fn contents(&self, first: u64, sectors: u64) -> Vec<u8> {
        let mut bytes = Image::pattern(first, sectors);
        for (n, sector) in self.written.lock().unwrap().range(first..first + sectors) {
            let at = (n - first) as usize * 512;
            bytes[at..at + 512].copy_from_slice(sector);
        }
        bytes
    }

    pub fn spoil(&self, sectors: Range<u64>) {
        *self.bad.lock().unwrap() = sectors.start * 512..sectors.end * 512;
    }

    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        let (bad, end) = (self.bad.lock().unwrap().clone(), offset + len as u64);
        // What is not there, only a damaged state makes the device ask for.
        let there = end <= self.len && offset.is_multiple_of(512) && len.is_multiple_of(512);
        if !there || offset < bad.end && end > bad.start { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }
}

impl BlockPort for Image {
    fn len(&self) -> u64 {
        self.len
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.check(offset, to.len())?;
        to.copy_from_slice(&self.contents(offset / 512, to.len() as u64 / 512));
        Ok(())
    }
    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        assert!(!self.read_only, "the device asks first");
        self.check(offset, from.len())?;
        let sectors = from.chunks(512).zip(offset / 512..).map(|(bytes, n)| (n, bytes.to_vec()));
        self.written.lock().unwrap().extend(sectors);
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        if self.no_flush { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }
    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        unreachable!("no command does")
    }
    fn write_zeroes(&self, _: u64, _: u64) -> io::Result<()> {
        unreachable!("no command does")
    }
    fn serial(&self) -> String {
        "the image's".into()
    }
}

/// A machine with the controller, and the driver's view of its first channel unless said
/// otherwise.
pub struct Pc {
    pub machine: Arc<Machine>,
    pub ram: Arc<Region>,
    pub device: DeviceId,
    pub images: Vec<Option<Arc<Image>>>,
    /// 0 or 1.
    pub channel: u64,
}

/// A command's registers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Command {
    pub opcode: u8,
    pub features: u8,
    pub count: u16,
    pub lba: u64,
    pub device: u8,
}

pub fn command(opcode: u8) -> Command {
    Command { opcode, device: 0xe0, ..Command::default() }
}

impl Command {
    pub fn at(self, lba: u64, count: u16) -> Command {
        Command { lba, count, ..self }
    }
    pub fn features(self, features: u8) -> Command {
        Command { features, ..self }
    }
    pub fn device(self, device: u8) -> Command {
        Command { device, ..self }
    }
}

impl Pc {
    /// A machine with these images, its ports and bus master turned on.
    pub fn new(images: [Option<Image>; 4], props: &[(&str, &str)]) -> Pc {
        let mut b = MachineBuilder::new("pc", 1);
        let ram = Region::new("ram", RAM_LEN).unwrap();
        b.ram(RAM, &ram);
        let device = b.device(&PIIX4_IDE, "ide", Props::with(&PIIX4_IDE, props).unwrap()).unwrap();
        for (window, at) in [("config", CONFIG), ("primary", 0x1f0), ("primary-control", 0x3f6), ("secondary", 0x170), ("secondary-control", 0x376)] {
            b.place(device, window, at).unwrap();
        }
        // Rising edges of the interrupt lines are counted by a device that latches them.
        let latch = b.device(&crate::gpio::pl061::PL061, "latch", Props::new(&crate::gpio::pl061::PL061)).unwrap();
        b.place(latch, "regs", 0x1000_0000).unwrap();
        for n in 0..2 {
            b.wire(device, ("irq", n), latch, ("in", n)).unwrap();
        }
        let images: Vec<_> = images.into_iter().map(|image| image.map(Arc::new)).collect();
        for (n, image) in images.iter().enumerate() {
            if let Some(image) = image {
                b.bind_block(device, &format!("drive{n}"), image.clone()).unwrap();
            }
        }
        let pc = Pc { machine: b.build().unwrap(), ram, device, images, channel: 0 };
        pc.enable();
        pc
    }

    /// One disk.
    pub fn disk(sectors: u64) -> Pc {
        Pc::new([Some(Image::new(sectors)), None, None, None], &[])
    }

    /// One CD drive with so many sectors of 2048 bytes, or none; ready.
    pub fn cd(sectors: Option<u64>) -> Pc {
        let pc = Pc::new([sectors.map(|n| Image::new(n * 4)), None, None, None], &[("drive0-media", "cdrom")]);
        pc.packet(&[0; 12], 0xfffe).unwrap_err();
        pc
    }

    pub fn enable(&self) {
        self.config(0x20, Width::B4, BUS_MASTER);
        self.config(0x04, Width::B2, 5);
        self.config(0x40, Width::B4, 0x8000_8000);
        // The latch: rising edges.
        self.machine.write(CORE, 0x1000_040c, Width::B4, 3).unwrap();
    }

    pub fn image(&self, n: usize) -> &Image {
        self.images[n].as_ref().unwrap()
    }

    pub fn config(&self, at: u64, width: Width, value: u64) {
        self.machine.bus_write(CORE, Bus::PciConfig, CONFIG + at, width, value).unwrap();
    }

    pub fn read_config(&self, at: u64, width: Width) -> u64 {
        self.machine.bus_read(CORE, Bus::PciConfig, CONFIG + at, width).unwrap()
    }

    fn port(&self, at: u64) -> u64 {
        [0x1f0, 0x170][self.channel as usize] + at
    }

    pub fn r(&self, at: u64) -> u8 {
        self.machine.pio_read(CORE, self.port(at), Width::B1).unwrap() as u8
    }

    pub fn w(&self, at: u64, value: u8) {
        self.machine.pio_write(CORE, self.port(at), Width::B1, value.into()).unwrap();
    }

    pub fn alternate(&self) -> u8 {
        self.machine.pio_read(CORE, self.port(0x206), Width::B1).unwrap() as u8
    }

    pub fn control(&self, value: u8) {
        self.machine.pio_write(CORE, self.port(0x206), Width::B1, value.into()).unwrap();
    }

    pub fn data(&self) -> u16 {
        self.machine.pio_read(CORE, self.port(0), Width::B2).unwrap() as u16
    }

    /// Level of the channel's interrupt line.
    pub fn irq(&self) -> bool {
        self.machine.output_level(self.device, "irq", self.channel as usize).unwrap()
    }

    /// Has the line risen since this was asked last?
    pub fn risen(&self) -> bool {
        let bit = 1 << self.channel;
        let latched = self.machine.read(CORE, 0x1000_0414, Width::B4).unwrap() & bit != 0;
        self.machine.write(CORE, 0x1000_041c, Width::B4, bit).unwrap();
        latched
    }

    /// Writes a command's registers, the upper bytes first, and the command.
    pub fn start(&self, c: Command) {
        self.w(DEVICE, c.device);
        self.w(FEATURES, c.features);
        let low = [c.count as u8, c.lba as u8, (c.lba >> 8) as u8, (c.lba >> 16) as u8];
        let high = [(c.count >> 8) as u8, (c.lba >> 24) as u8, (c.lba >> 32) as u8, (c.lba >> 40) as u8];
        for bytes in [high, low] {
            for (at, byte) in (SECTOR_COUNT..).zip(bytes) {
                self.w(at, byte);
            }
        }
        self.w(COMMAND, c.opcode);
    }

    /// A command without data: status, which acknowledges the interrupt, and error.
    pub fn run(&self, c: Command) -> (u8, u8) {
        self.start(c);
        assert!(self.irq(), "{c:x?} ends with an interrupt");
        (self.r(STATUS), self.r(ERROR))
    }

    /// Takes blocks of so many bytes while there are any, the last of `total` bytes being shorter:
    /// the data, and how often the interrupt line rose.
    pub fn take(&self, block: usize, total: usize) -> (Vec<u8>, usize) {
        let (mut bytes, mut interrupts) = (vec![], 0);
        while self.alternate() & DRQ != 0 {
            interrupts += usize::from(self.risen());
            self.r(STATUS);
            for n in 0..block.min(total - bytes.len()) / 2 {
                assert_eq!(self.alternate(), WANTS, "in the middle of a block, word {n}");
                bytes.extend(self.data().to_le_bytes());
            }
        }
        (bytes, interrupts + usize::from(self.risen()))
    }

    /// Brings data by blocks of so many bytes; gives how often the interrupt line rose.
    pub fn bring(&self, bytes: &[u8], block: usize) -> usize {
        let mut interrupts = 0;
        for piece in bytes.chunks(block) {
            interrupts += usize::from(self.risen());
            assert_eq!(self.r(STATUS), WANTS);
            for word in piece.chunks(2) {
                let word = u16::from_le_bytes([word[0], word[1]]);
                self.machine.pio_write(CORE, self.port(0), Width::B2, word.into()).unwrap();
            }
        }
        interrupts + usize::from(self.risen())
    }

    pub fn bm_read(&self, at: u64) -> u32 {
        let width = if at == BMIDTP { Width::B4 } else { Width::B1 };
        self.machine.pio_read(CORE, BUS_MASTER + 8 * self.channel + at, width).unwrap() as u32
    }

    pub fn bm_write(&self, at: u64, value: u64) {
        let width = if at == BMIDTP { Width::B4 } else { Width::B1 };
        self.machine.pio_write(CORE, BUS_MASTER + 8 * self.channel + at, width, value).unwrap();
    }

    /// Writes descriptors: address and bytes. The last one is marked.
    pub fn table(&self, pieces: &[(u64, u32)]) {
        let last = pieces.len() - 1;
        for (n, (at, bytes)) in pieces.iter().enumerate() {
            let entry = [*at as u32, bytes & 0xffff | u32::from(n == last) << 31];
            self.poke(TABLE + 8 * n as u64, &entry.map(u32::to_le_bytes).concat());
        }
        self.bm_write(BMIDTP, TABLE);
    }

    /// Starts the bus master, to memory or from it.
    pub fn go(&self, to_memory: bool) {
        self.bm_write(BMISTA, 6);
        self.bm_write(BMICOM, if to_memory { 8 } else { 0 });
        self.bm_write(BMICOM, if to_memory { 9 } else { 1 });
    }

    /// Stops the bus master: its status before.
    pub fn halt(&self) -> u32 {
        let status = self.bm_read(BMISTA);
        self.bm_write(BMICOM, 0);
        status & 7
    }

    /// Lets time pass until the device is not busy. Gives how many alarms that took.
    pub fn wait(&self) -> usize {
        let mut alarms = 0;
        while self.alternate() & BSY != 0 {
            let Some(at) = self.machine.next_alarm() else { return alarms };
            self.machine.clock().set(at);
            self.machine.run_alarms(at);
            alarms += 1;
        }
        alarms
    }

    pub fn poke(&self, at: u64, bytes: &[u8]) {
        self.ram.write(at - RAM, bytes).unwrap();
    }

    pub fn peek(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.ram.read(at - RAM, &mut bytes).unwrap();
        bytes
    }

    pub fn unimplemented(&self) -> u64 {
        self.machine.counters().unimplemented
    }

    pub fn errors(&self) -> u64 {
        self.machine.counters().guest_errors
    }

    /// A soft reset.
    pub fn reset(&self) {
        self.control(4);
        assert_eq!(self.alternate(), BSY);
        self.control(0);
    }

    /// Identification data as words.
    pub fn identify(&self, opcode: u8, device: u8) -> Vec<u16> {
        self.start(command(opcode).device(device));
        let (bytes, interrupts) = self.take(512, 512);
        assert_eq!((bytes.len(), interrupts, self.alternate()), (512, 1, READY));
        assert_eq!(bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)), 0, "checksum");
        bytes.chunks(2).map(|w| u16::from_le_bytes([w[0], w[1]])).collect()
    }

    /// A packet whose data is taken by the data register, with this limit; or its sense data.
    pub fn packet(&self, packet: &[u8], limit: u16) -> Result<Vec<u8>, [u8; 3]> {
        self.send_packet(packet, limit, 0);
        let mut bytes = vec![];
        while self.alternate() & DRQ != 0 {
            assert!(self.risen() && self.r(SECTOR_COUNT) == 2, "data is announced");
            self.r(STATUS);
            let piece = usize::from(u16::from_le_bytes([self.r(LBA_MID), self.r(LBA_HIGH)]));
            assert!(piece != 0 && piece <= usize::from(limit));
            let start = bytes.len();
            while bytes.len() < start + piece {
                bytes.extend(self.data().to_le_bytes());
            }
            bytes.truncate(start + piece);
        }
        self.packet_end()?;
        Ok(bytes)
    }

    pub fn send_packet(&self, packet: &[u8], limit: u16, features: u8) {
        self.r(STATUS);
        self.risen();
        self.start(command(0xa0).at(u64::from(limit) << 8, 0).device(0).features(features));
        assert_eq!((self.alternate(), self.r(SECTOR_COUNT), self.irq()), (WANTS, 1, false));
        let mut bytes = packet.to_vec();
        bytes.resize(12, 0);
        for word in bytes.chunks(2) {
            let word = u16::from_le_bytes([word[0], word[1]]);
            self.machine.pio_write(CORE, self.port(0), Width::B2, word.into()).unwrap();
        }
    }

    /// The end of a packet; asks for sense data if it failed.
    pub fn packet_end(&self) -> Result<(), [u8; 3]> {
        assert!(self.irq() && self.r(SECTOR_COUNT) == 3, "the end is announced");
        let (status, error) = (self.r(STATUS), self.r(ERROR));
        if status == READY {
            return Ok(());
        }
        assert_eq!(status, FAILED);
        let sense = self.packet(&[3, 0, 0, 0, 18], 0xfffe).unwrap();
        assert_eq!((sense[0], sense[7], error >> 4), (0x70, 10, sense[2]));
        Err([sense[2], sense[12], sense[13]])
    }
}
