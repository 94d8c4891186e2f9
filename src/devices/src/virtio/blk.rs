//! Block device (virtio 1.2 §5.2).
//!
//! Requests are done when the driver notifies them. Left out: zoned devices, secure erase,
//! lifetime metrics and SCSI passthrough (legacy); none is offered.

use std::io;
use std::sync::Arc;

use proteus_model::{BlockPort, DeviceType, PortDecl, PortKind, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State};

use super::mmio::{self, Mmio};
use super::pci::{self, Pci};
use super::queue::{Chain, RingError};
use super::{ByteOrder, Io, VirtioDevice};

const F_SEG_MAX: u32 = 2;
const F_GEOMETRY: u32 = 4;
const F_RO: u32 = 5;
const F_BLK_SIZE: u32 = 6;
const F_FLUSH: u32 = 9;
const F_TOPOLOGY: u32 = 10;
const F_CONFIG_WCE: u32 = 11;
const F_MQ: u32 = 12;
const F_DISCARD: u32 = 13;
const F_WRITE_ZEROES: u32 = 14;

const T_IN: u32 = 0;
const T_OUT: u32 = 1;
const T_FLUSH: u32 = 4;
const T_GET_ID: u32 = 8;
const T_DISCARD: u32 = 11;
const T_WRITE_ZEROES: u32 = 13;

const S_OK: u8 = 0;
const S_IOERR: u8 = 1;
const S_UNSUPP: u8 = 2;

/// Unit of sector numbers, whatever the block size.
const SECTOR: u64 = 512;
/// Length of the identifier that `T_GET_ID` gives.
const ID_BYTES: usize = 20;
/// Bytes moved at once.
const CHUNK: usize = 128 << 10;
/// Most sectors of one discard or zeroing: as many as fit in 31 bits of bytes.
const MAX_RANGE_SECTORS: u32 = (1 << 22) - 1;
/// Most ranges in one discard or zeroing.
const MAX_RANGES: u32 = 32;
/// Offset of the cache mode in the configuration space.
const CONFIG_WCE: u64 = 32;

/// Number of the port to the image.
const DRIVE: usize = 0;

/// A block device.
#[derive(State)]
pub struct Blk {
    /// Is there a write-back cache? If not, writes are durable before they are reported.
    #[state(reset = self.settings.write_cache)]
    write_back: bool,
    #[state(skip)]
    settings: Settings,
    #[state(skip)]
    buffer: Vec<u8>,
}

/// What the properties say.
struct Settings {
    serial: String,
    logical: u64,
    physical: u64,
    min_io: u64,
    opt_io: u64,
    queues: u16,
    queue_size: u16,
    write_cache: bool,
    config_wce: bool,
    discard: bool,
    write_zeroes: bool,
}

/// How a request ended, if not by breaking the ring.
type Outcome = Result<u8, RingError>;

impl Blk {
    /// A block device with these properties.
    pub fn new(props: &Props) -> Result<Blk, PropError> {
        let block_size = |name| match props.u64(name) {
            n if n.is_power_of_two() && (SECTOR..=2 << 20).contains(&n) => Ok(n),
            n => Err(props.refuse(format!("{name}={n}: give a power of two from 512 to 2M"))),
        };
        let logical = block_size("logical_block_size")?;
        let physical = block_size("physical_block_size")?;
        if physical < logical {
            return Err(props.refuse(format!("physical_block_size={physical} is below logical_block_size={logical}: give it at least as much")));
        }
        let io_size = |name, most: u64| match props.u64(name) {
            n if n.is_multiple_of(logical) && n / logical <= most => Ok(n / logical),
            n => Err(props.refuse(format!("{name}={n}: give a multiple of logical_block_size={logical}, at most {most} blocks"))),
        };
        let queues = props.u64("num-queues");
        if !(1..=1024).contains(&queues) {
            return Err(props.refuse(format!("num-queues={queues}: give 1 to 1024")));
        }
        let queue_size = props.u64("queue-size");
        // Two of the descriptors go to the header and the status.
        if !queue_size.is_power_of_two() || !(4..=1024).contains(&queue_size) {
            return Err(props.refuse(format!("queue-size={queue_size}: give a power of two from 4 to 1024")));
        }
        let settings = Settings {
            serial: props.str("serial").unwrap_or_default().into(),
            logical,
            physical,
            min_io: io_size("min_io_size", u16::MAX.into())?,
            opt_io: io_size("opt_io_size", u32::MAX.into())?,
            queues: queues as u16,
            queue_size: queue_size as u16,
            write_cache: props.bool("write-cache"),
            config_wce: props.bool("config-wce"),
            discard: props.bool("discard"),
            write_zeroes: props.bool("write-zeroes"),
        };
        Ok(Blk { write_back: settings.write_cache, settings, buffer: Vec::new() })
    }

    fn request(&mut self, io: &mut Io<'_>, chain: &mut Chain) -> Outcome {
        let mut header = [0; 16];
        chain.readable.read(io.cx, &mut header)?;
        let [a, b, c, d, _, _, _, _, s @ ..] = header;
        let (kind, sector) = (io.order().number32([a, b, c, d]), io.order().number64(s));
        let Some(image) = io.cx.block(DRIVE) else { return Ok(S_IOERR) };
        if image.read_only() && matches!(kind, T_OUT | T_DISCARD | T_WRITE_ZEROES) {
            return Ok(S_IOERR);
        }
        let done = match kind {
            T_IN => self.read(io.cx, &*image, sector, chain)?,
            T_OUT => self.write(io.cx, &*image, sector, chain)?,
            T_FLUSH => image.flush(),
            T_GET_ID => {
                let id = if self.settings.serial.is_empty() { image.serial() } else { self.settings.serial.clone() };
                let mut bytes = [0; ID_BYTES];
                let n = id.len().min(ID_BYTES);
                bytes[..n].copy_from_slice(&id.as_bytes()[..n]);
                let room = (chain.writable.left() - 1).min(ID_BYTES as u64) as usize;
                chain.writable.write(io.cx, &bytes[..room])?;
                Ok(())
            }
            T_DISCARD if io.feature(F_DISCARD) => return self.ranges(io, &*image, chain, false),
            T_WRITE_ZEROES if io.feature(F_WRITE_ZEROES) => return self.ranges(io, &*image, chain, true),
            _ => {
                io.cx.unimplemented(format_args!("block request of type {kind:#x}"));
                return Ok(S_UNSUPP);
            }
        };
        Ok(status(done))
    }

    /// Byte offset of a transfer, if it is one the image has.
    fn place(&self, image: &dyn BlockPort, sector: u64, len: u64) -> Option<u64> {
        let start = sector.checked_mul(SECTOR)?;
        let fits = start.checked_add(len).is_some_and(|end| end <= image.len());
        (fits && start.is_multiple_of(self.settings.logical) && len.is_multiple_of(self.settings.logical)).then_some(start)
    }

    fn read(&mut self, cx: &mut dyn Services, image: &dyn BlockPort, sector: u64, chain: &mut Chain) -> Result<io::Result<()>, RingError> {
        let mut left = chain.writable.left() - 1;
        let Some(mut at) = self.place(image, sector, left) else { return Ok(Err(io::ErrorKind::InvalidInput.into())) };
        self.buffer.resize(CHUNK, 0);
        while left != 0 {
            let piece = &mut self.buffer[..left.min(CHUNK as u64) as usize];
            if let Err(error) = image.read_at(at, piece) {
                return Ok(Err(error));
            }
            chain.writable.write(cx, piece)?;
            at += piece.len() as u64;
            left -= piece.len() as u64;
        }
        Ok(Ok(()))
    }

    fn write(&mut self, cx: &mut dyn Services, image: &dyn BlockPort, sector: u64, chain: &mut Chain) -> Result<io::Result<()>, RingError> {
        let mut left = chain.readable.left();
        let Some(mut at) = self.place(image, sector, left) else { return Ok(Err(io::ErrorKind::InvalidInput.into())) };
        self.buffer.resize(CHUNK, 0);
        while left != 0 {
            let piece = &mut self.buffer[..left.min(CHUNK as u64) as usize];
            chain.readable.read(cx, piece)?;
            if let Err(error) = image.write_at(at, piece) {
                return Ok(Err(error));
            }
            at += piece.len() as u64;
            left -= piece.len() as u64;
        }
        Ok(if self.write_back { Ok(()) } else { image.flush() })
    }

    /// A discard or zeroing: ranges of sector, count and flags.
    fn ranges(&mut self, io: &mut Io<'_>, image: &dyn BlockPort, chain: &mut Chain, zeroes: bool) -> Outcome {
        let bytes = chain.readable.left();
        if bytes == 0 || !bytes.is_multiple_of(16) || bytes / 16 > MAX_RANGES.into() {
            return Ok(S_IOERR);
        }
        for _ in 0..bytes / 16 {
            let mut range = [0; 16];
            chain.readable.read(io.cx, &mut range)?;
            let [s0, s1, s2, s3, s4, s5, s6, s7, c0, c1, c2, c3, flags @ ..] = range;
            let order = io.order();
            let sector = order.number64([s0, s1, s2, s3, s4, s5, s6, s7]);
            let (count, flags) = (order.number32([c0, c1, c2, c3]), order.number32(flags));
            // Bit 0 allows zeroing to unmap, which is up to the image; a discard has no flags.
            if flags & !u32::from(zeroes) != 0 {
                return Ok(S_UNSUPP);
            }
            let len = u64::from(count) * SECTOR;
            let Some(at) = self.place(image, sector, len).filter(|_| count <= MAX_RANGE_SECTORS) else { return Ok(S_IOERR) };
            let done = if zeroes { image.write_zeroes(at, len) } else { image.discard(at, len) };
            if let Err(error) = done {
                return Ok(status(Err(error)));
            }
        }
        Ok(status(if self.write_back { Ok(()) } else { image.flush() }))
    }

    /// Does one request: gives how many bytes were written for the driver.
    fn serve(&mut self, io: &mut Io<'_>, chain: &mut Chain) -> Result<u32, RingError> {
        if chain.readable.total() < 16 || chain.writable.total() == 0 {
            return Err(RingError { what: "block request without header or status", value: chain.readable.total() });
        }
        let total = chain.writable.total();
        let status = self.request(io, chain)?;
        chain.writable.rewind();
        chain.writable.skip(total - 1);
        chain.writable.write(io.cx, &[status])?;
        // After an error the data before the status is not the device's.
        Ok(if status == S_OK || total == 1 { total.min(u32::MAX.into()) as u32 } else { 0 })
    }
}

fn status(done: io::Result<()>) -> u8 {
    match done {
        Ok(()) => S_OK,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => S_UNSUPP,
        Err(error) => {
            tracing::debug!("block request failed: {error}");
            S_IOERR
        }
    }
}

impl VirtioDevice for Blk {
    const TYPE: u16 = 2;
    const CONFIG_LEN: u64 = 60;
    /// Mass storage, SCSI.
    const PCI_CLASS: u32 = 0x01_0000;

    fn vectors(props: &Props) -> u64 {
        props.u64("num-queues").saturating_add(1)
    }

    fn queues(&self) -> Vec<u16> {
        vec![self.settings.queue_size; self.settings.queues.into()]
    }

    fn features(&self, cx: &dyn Services) -> u64 {
        let s = &self.settings;
        let read_only = cx.block(DRIVE).is_some_and(|image| image.read_only());
        [
            (F_SEG_MAX, true),
            (F_GEOMETRY, true),
            (F_RO, read_only),
            (F_BLK_SIZE, true),
            (F_FLUSH, true),
            (F_TOPOLOGY, true),
            (F_CONFIG_WCE, s.config_wce),
            (F_MQ, s.queues > 1),
            (F_DISCARD, s.discard && !read_only),
            (F_WRITE_ZEROES, s.write_zeroes && !read_only),
        ]
        .into_iter()
        .fold(0, |features, (bit, on)| features | u64::from(on) << bit)
    }

    fn config(&self, cx: &dyn Services, order: ByteOrder) -> Vec<u8> {
        let s = &self.settings;
        let sectors = cx.block(DRIVE).map_or(0, |image: Arc<dyn BlockPort>| image.len() / SECTOR);
        let (heads, per_track) = (16u64, 63u64);
        let cylinders = (sectors / (heads * per_track)).clamp(2, 16383) as u16;
        let mut c = Vec::with_capacity(Blk::CONFIG_LEN as usize);
        c.extend(order.bytes64(sectors));
        c.extend(order.bytes32(0));
        c.extend(order.bytes32(u32::from(s.queue_size) - 2));
        c.extend(order.bytes16(cylinders));
        c.extend([heads as u8, per_track as u8]);
        c.extend(order.bytes32(s.logical as u32));
        c.extend([(s.physical / s.logical).trailing_zeros() as u8, 0]);
        c.extend(order.bytes16(s.min_io as u16));
        c.extend(order.bytes32(s.opt_io as u32));
        c.extend([self.write_back.into(), 0]);
        c.extend(order.bytes16(s.queues));
        let alignment = (s.logical / SECTOR) as u32;
        for word in [MAX_RANGE_SECTORS, MAX_RANGES, alignment, MAX_RANGE_SECTORS, MAX_RANGES] {
            c.extend(order.bytes32(word));
        }
        c.extend([1, 0, 0, 0]);
        c
    }

    fn write_config(&mut self, io: &mut Io<'_>, at: u64, bytes: &[u8]) {
        match bytes {
            [mode, ..] if at == CONFIG_WCE && self.settings.config_wce => self.write_back = mode & 1 != 0,
            _ => io.cx.guest_error(format_args!("write to read-only configuration space at {at:#x}")),
        }
    }

    fn negotiated(&mut self, io: &mut Io<'_>) {
        // A driver that knows neither of flushes nor of cache modes expects durable writes
        // (§5.2.6.2).
        if !io.feature(F_CONFIG_WCE) {
            self.write_back = self.settings.write_cache && io.feature(F_FLUSH);
        }
    }

    fn notify(&mut self, io: &mut Io<'_>, queue: usize) {
        let mut served = false;
        while let Some(mut chain) = io.pop(queue) {
            let result = self.serve(io, &mut chain);
            let Some(written) = io.check(queue, result) else { return };
            io.push(queue, chain, written);
            served = true;
        }
        if served {
            io.signal(queue);
        }
    }
}

const fn property(name: &'static str, kind: PropertyKind, default: PropertyDefault, doc: &'static str) -> PropertyDecl {
    PropertyDecl { name, kind, default, doc }
}

/// Properties of a block device, whatever carries it.
const PROPERTIES: &[PropertyDecl] = &[
    property("drive", PropertyKind::Drive, PropertyDefault::Required, "Name of the block image"),
    property("serial", PropertyKind::String, PropertyDefault::None, "Identifier shown to the guest, 20 characters of it"),
    property("logical_block_size", PropertyKind::Size, PropertyDefault::U64(512), "Smallest unit of transfers"),
    property("physical_block_size", PropertyKind::Size, PropertyDefault::U64(512), "Block size to align to"),
    property("min_io_size", PropertyKind::Size, PropertyDefault::U64(0), "Suggested least size of transfers"),
    property("opt_io_size", PropertyKind::Size, PropertyDefault::U64(0), "Suggested best size of transfers"),
    property("num-queues", PropertyKind::U64, PropertyDefault::U64(1), "Number of queues"),
    property("queue-size", PropertyKind::U64, PropertyDefault::U64(256), "Entries of each queue"),
    property("write-cache", PropertyKind::Bool, PropertyDefault::Bool(true), "Begin with a write-back cache"),
    property("config-wce", PropertyKind::Bool, PropertyDefault::Bool(true), "Let the driver change the cache mode"),
    property("discard", PropertyKind::Bool, PropertyDefault::Bool(true), "Offer discard"),
    property("write-zeroes", PropertyKind::Bool, PropertyDefault::Bool(true), "Offer writing of zeroes"),
];
/// Of a disk on a PCI bus. Boards whose firmware takes an order of boot devices obey it.
pub const BOOT_INDEX: PropertyDecl =
    property("bootindex", PropertyKind::U64, PropertyDefault::None, "Place among the devices that firmware boots from, the lowest first");
/// The properties of one on a PCI bus, beside those of the function.
const PCI_PROPERTIES: &[PropertyDecl] = &super::concat::<{ PROPERTIES.len() + 1 }>([PROPERTIES, &[BOOT_INDEX], &[]]);
const PORTS: &[PortDecl] = &[PortDecl { name: "drive", kind: PortKind::Block }];
const EXAMPLE: &[(&str, &str)] = &[("drive", "hd"), ("serial", "conformance"), ("num-queues", "2")];

/// A block device on a PCI bus.
pub static VIRTIO_BLK_PCI: DeviceType = DeviceType {
    properties: properties!(pci::PROPERTIES, PCI_PROPERTIES),
    ports: PORTS,
    example: EXAMPLE,
    ..Pci::<Blk>::device_type("virtio-blk-pci", "Virtio block device (PCI)", |props| Pci::boxed(props, Blk::new(props)?))
};

/// A block device in a virtio-mmio slot.
pub static VIRTIO_BLK_DEVICE: DeviceType = DeviceType {
    properties: properties!(mmio::PROPERTIES, PROPERTIES),
    ports: PORTS,
    example: EXAMPLE,
    ..mmio::device_type("virtio-blk-device", "Virtio block device (virtio-mmio)", |props| Ok(Mmio::boxed(props, Blk::new(props)?)))
};

#[cfg(test)]
#[path = "blk_tests.rs"]
mod tests;
