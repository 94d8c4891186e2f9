//! NOR flash with the Intel command set and the Common Flash Interface (Intel 28FxxxJ3, order
//! 308551; JEDEC JESD68.01; Intel application note 646).
//!
//! A bank may have several devices side by side, each of which gets its lanes of a command and
//! answers in its lanes (two of 16 bits each on Arm's `virt`). Left out: block locks (all blocks
//! are unlocked; asking for a lock is reported), protection registers, and the time that
//! programming takes: status is ready at once, so there is nothing to suspend.

use std::io;
use std::sync::Arc;

use proteus_model::ram::Region;
use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Direct, FdtHook, PortDecl, PortKind, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset,
    Services, State, Width, Window, WindowDecl, WindowKind, WindowSize,
};

const ARRAY: Window = Window(0);
/// Number of the port to the image.
const DRIVE: usize = 0;

const STATUS_READY: u8 = 0x80;
const STATUS_ERASE_ERROR: u8 = 0x20;
const STATUS_PROGRAM_ERROR: u8 = 0x10;
const STATUS_PROTECTED: u8 = 0x02;

const READ_ARRAY: u8 = 0xff;
const READ_ID: u8 = 0x90;
const READ_QUERY: u8 = 0x98;
const READ_STATUS: u8 = 0x70;
const CLEAR_STATUS: u8 = 0x50;
const PROGRAM: u8 = 0x40;
const PROGRAM_ALT: u8 = 0x10;
const BUFFERED: u8 = 0xe8;
const ERASE: u8 = 0x20;
const LOCK_SETUP: u8 = 0x60;
const LOCK: u8 = 0x01;
const CONFIRM: u8 = 0xd0;
const SUSPEND: u8 = 0xb0;
/// The reset command of the other command set, which probes send.
const AMD_RESET: u8 = 0xf0;

/// Bytes of the write buffer of one device, as a power of two.
const BUFFER_LOG2: u8 = 11;
/// Bytes moved at once between image and memory.
const CHUNK: usize = 64 << 10;

/// What reads give.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, State)]
#[repr(u8)]
enum Mode {
    /// The contents.
    #[default]
    Array,
    Status,
    Id,
    Query,
}

/// What the next write is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, State)]
#[repr(u8)]
enum Cycle {
    /// A command.
    #[default]
    Command,
    /// Data to be programmed.
    Program,
    /// Confirmation of an erasure.
    Erase,
    /// What to do with a lock.
    Lock,
    /// Number of words for the buffer.
    Count,
    /// Words for the buffer.
    Data,
    /// Confirmation of the buffer.
    Confirm,
}

/// What the properties say.
struct Settings {
    sector: u64,
    size: u64,
    /// Bytes of the bank's and of one device's data lines.
    bank: u64,
    device: u64,
    /// Distance of consecutive identifiers and query bytes, as a power of two.
    shift: u32,
    ids: [u8; 4],
    /// Commands and answers are in the order of the bytes that a big-endian processor has them in.
    big_endian: bool,
}

/// A flash bank.
#[derive(State)]
struct Cfi {
    mode: Mode,
    cycle: Cycle,
    #[state(reset = STATUS_READY)]
    status: u8,
    /// Words that the buffer still waits for.
    left: u32,
    /// Where the buffer goes, once its first word is there.
    target: Option<u64>,
    /// All ones where nothing is to be programmed.
    #[state(reset = vec![0xff; self.buffer.len()])]
    buffer: Vec<u8>,
    #[state(skip)]
    array: Arc<Region>,
    #[state(skip)]
    query: Vec<u8>,
    #[state(skip)]
    settings: Settings,
    /// Has the image been read?
    #[state(skip)]
    loaded: bool,
}

impl Cfi {
    fn new(props: &Props) -> Result<Cfi, PropError> {
        let one_of = |name, allowed: &[u64]| match props.u64(name) {
            n if allowed.contains(&n) => Ok(n),
            n => Err(props.refuse(format!("{name}={n}: give one of {allowed:?}"))),
        };
        let bank = one_of("width", &[1, 2, 4])?;
        let device = match one_of("device-width", &[0, 1, 2, 4])? {
            0 => bank,
            n => n,
        };
        let max_device = match one_of("max-device-width", &[0, 1, 2, 4])? {
            0 => device,
            n => n,
        };
        if device > bank || max_device < device {
            return Err(
                props.refuse(format!("width={bank}, device-width={device}, max-device-width={max_device}: a device fits neither bank nor its own lines"))
            );
        }
        let (sector, blocks) = (props.u64("sector-length"), props.u64("num-blocks"));
        let buffer = (bank / device) << BUFFER_LOG2;
        if !sector.is_power_of_two() || !(buffer..=1 << 26).contains(&sector) {
            return Err(props.refuse(format!("sector-length={sector}: give a power of two from {buffer} to 64M")));
        }
        if !(1..=0x1_0000).contains(&blocks) || sector * blocks > 1 << 32 {
            return Err(props.refuse(format!("num-blocks={blocks}: give 1 to 65536, at most 4 GiB in all")));
        }
        let mut ids = [0; 4];
        for (id, name) in ids.iter_mut().zip(["id0", "id1", "id2", "id3"]) {
            *id = u8::try_from(props.u64(name)).map_err(|_| props.refuse(format!("{name}: give 0 to 255")))?;
        }
        let name = props.str("name").unwrap_or_default();
        if name.is_empty() {
            return Err(props.refuse("name: give a name for the memory"));
        }
        let size = sector * blocks;
        let array = Region::new(name, size).map_err(|e| props.refuse(e.to_string()))?;
        let shift = bank.trailing_zeros() + max_device.trailing_zeros() - device.trailing_zeros();
        Ok(Cfi {
            mode: Mode::Array,
            cycle: Cycle::Command,
            status: STATUS_READY,
            left: 0,
            target: None,
            buffer: vec![0xff; buffer as usize],
            array,
            query: query(size / (bank / device), blocks, sector / (bank / device)),
            settings: Settings { sector, size, bank, device, shift, ids, big_endian: props.bool("big-endian") },
            loaded: false,
        })
    }

    /// Takes the contents of the image. Zeros are there already, and stay without cost.
    fn load_image(&mut self, cx: &mut dyn Services) {
        let Some(image) = cx.block(DRIVE) else { return };
        let len = image.len().min(self.settings.size);
        let (mut chunk, mut at) = (vec![0; CHUNK], 0);
        while at < len {
            let piece = &mut chunk[..(len - at).min(CHUNK as u64) as usize];
            if let Err(error) = image.read_at(at, piece) {
                tracing::error!("flash image cannot be read at {at:#x}: {error}");
                return;
            }
            if piece.iter().any(|b| *b != 0) {
                // In range by construction.
                let _ = self.array.write(at, piece);
            }
            at += piece.len() as u64;
        }
    }

    /// Changes contents, in memory and in the image.
    fn store(&mut self, cx: &mut dyn Services, at: u64, bytes: &[u8], error: u8) {
        if let Some(image) = cx.block(DRIVE) {
            let kept = bytes.len().min(image.len().saturating_sub(at) as usize);
            let result = if image.read_only() { Err(io::ErrorKind::PermissionDenied.into()) } else { image.write_at(at, &bytes[..kept]) };
            if let Err(e) = result {
                let protected = if image.read_only() { STATUS_PROTECTED } else { 0 };
                self.status |= error | protected;
                tracing::debug!("flash image cannot be written at {at:#x}: {e}");
                return;
            }
        }
        if self.array.write(at, bytes).is_err() {
            self.status |= error;
        }
    }

    /// Programming only clears bits.
    fn program(&mut self, cx: &mut dyn Services, at: u64, bytes: &[u8]) {
        let mut new = vec![0; bytes.len()];
        if self.array.read(at, &mut new).is_err() {
            self.status |= STATUS_PROGRAM_ERROR;
            return;
        }
        new.iter_mut().zip(bytes).for_each(|(n, b)| *n &= b);
        self.store(cx, at, &new, STATUS_PROGRAM_ERROR);
    }

    fn command(&mut self, cx: &mut dyn Services, command: u8) {
        (self.mode, self.cycle) = match command {
            READ_ARRAY | AMD_RESET => (Mode::Array, Cycle::Command),
            READ_ID => (Mode::Id, Cycle::Command),
            READ_QUERY => (Mode::Query, Cycle::Command),
            READ_STATUS | SUSPEND | CONFIRM => (Mode::Status, Cycle::Command),
            CLEAR_STATUS => {
                self.status = STATUS_READY;
                (Mode::Array, Cycle::Command)
            }
            PROGRAM | PROGRAM_ALT => (Mode::Status, Cycle::Program),
            ERASE => (Mode::Status, Cycle::Erase),
            LOCK_SETUP => (Mode::Status, Cycle::Lock),
            BUFFERED => {
                self.buffer.fill(0xff);
                self.target = None;
                (Mode::Status, Cycle::Count)
            }
            _ => {
                cx.unimplemented(format_args!("flash command {command:#x}"));
                (Mode::Array, Cycle::Command)
            }
        };
    }

    /// One word for the buffer.
    fn fill(&mut self, cx: &mut dyn Services, at: u64, bytes: &[u8]) {
        let size = self.buffer.len() as u64;
        let target = *self.target.get_or_insert(at & !(size - 1));
        match at.checked_sub(target).and_then(|from| self.buffer.get_mut(from as usize..from as usize + bytes.len())) {
            Some(place) => place.copy_from_slice(bytes),
            None => {
                cx.guest_error(format_args!("buffered write at {at:#x} leaves the buffer at {target:#x}"));
                self.status |= STATUS_PROGRAM_ERROR;
            }
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.cycle = Cycle::Confirm,
        }
    }

    fn bad_sequence(&mut self, cx: &mut dyn Services, command: u8) {
        cx.guest_error(format_args!("command {command:#x} in the middle of another"));
        self.status |= STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR;
        self.cycle = Cycle::Command;
    }

    /// A value with its bytes as they are on the data lines. Contents are bytes in any case: it is
    /// only commands and answers that are in an order.
    fn order(&self, value: u64, size: Width) -> u64 {
        if self.settings.big_endian { value.swap_bytes() >> (64 - size.bits()) } else { value }
    }

    /// The same answer of all devices of the bank.
    fn answer(&self, at: u64, of_each: u8, size: Width) -> u64 {
        // The lowest lane is that of the last byte where the processor is big-endian.
        let (at, end) = (at & (self.settings.bank - 1), u64::from(size.bytes()));
        let at = if self.settings.big_endian { self.settings.bank.saturating_sub(at + end) } else { at };
        let all = (0..self.settings.bank).step_by(self.settings.device as usize).fold(0, |all, lane| all | u64::from(of_each) << (8 * lane));
        self.order(all >> (8 * at) & size.mask(), size)
    }
}

/// The query bytes of one device, from 0.
fn query(size: u64, blocks: u64, sector: u64) -> Vec<u8> {
    let mut q = vec![0; 0x40];
    let mut set = |at: usize, bytes: &[u8]| q[at..at + bytes.len()].copy_from_slice(bytes);
    set(0x10, b"QRY");
    // Intel's extended command set, and where its table is.
    set(0x13, &[1, 0, 0x31, 0]);
    // Supply 4.5 to 5.5 V; typical and greatest times of programming and erasing.
    set(0x1b, &[0x45, 0x55, 0, 0, 7, 7, 10, 0, 4, 4, 4, 0]);
    set(0x27, &[size.ilog2() as u8 + u8::from(!size.is_power_of_two()), 2, 0, BUFFER_LOG2, 0, 1]);
    set(0x2d, &((blocks - 1) as u16).to_le_bytes());
    set(0x2f, &((sector >> 8) as u16).to_le_bytes());
    // No suspension, no locks, one protection register that is not there.
    set(0x31, b"PRI10");
    set(0x3f, &[1]);
    q
}

impl Device for Cfi {
    fn read(&mut self, _: &mut dyn Services, _: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        let index = (at >> self.settings.shift) as usize;
        Ok(match self.mode {
            Mode::Array => {
                let mut bytes = [0; 8];
                self.array.read(at, &mut bytes[..size.bytes() as usize]).map_err(|_| BusFault::Unmapped)?;
                u64::from_le_bytes(bytes)
            }
            Mode::Status => self.answer(at, self.status, size),
            Mode::Id => self.answer(at, if index & 0xff < 2 { self.settings.ids[index & 1] } else { 0 }, size),
            Mode::Query => self.answer(at, self.query.get(index & 0xff).copied().unwrap_or(0), size),
        })
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        let ordered = self.order(value, size);
        let command = ordered as u8;
        let bytes = &value.to_le_bytes()[..size.bytes() as usize];
        match self.cycle {
            Cycle::Command => self.command(cx, command),
            Cycle::Program => {
                self.program(cx, at, bytes);
                self.cycle = Cycle::Command;
            }
            Cycle::Erase if command == CONFIRM => {
                let erased = vec![0xff; self.settings.sector as usize];
                self.store(cx, at & !(self.settings.sector - 1), &erased, STATUS_ERASE_ERROR);
                self.cycle = Cycle::Command;
            }
            Cycle::Lock => {
                if command == LOCK {
                    cx.unimplemented(format_args!("lock of the block at {at:#x}"));
                }
                self.cycle = Cycle::Command;
            }
            Cycle::Count => {
                // Each device has its own count in its lanes, and they are equal. It counts words as
                // wide as it is written itself: who took a bank of 32 bits for one of 16 goes on so.
                let count = ordered & u64::MAX >> (64 - 8 * self.settings.device);
                if count * self.settings.bank.min(size.bytes().into()) >= self.buffer.len() as u64 {
                    cx.guest_error(format_args!("buffered write of {} words, more than the buffer holds", count + 1));
                    self.status |= STATUS_PROGRAM_ERROR;
                    self.cycle = Cycle::Command;
                } else {
                    (self.left, self.cycle) = (count as u32, Cycle::Data);
                }
            }
            Cycle::Data => self.fill(cx, at, bytes),
            Cycle::Confirm if command == CONFIRM => {
                if self.status & STATUS_PROGRAM_ERROR == 0
                    && let Some(target) = self.target
                {
                    let buffer = std::mem::take(&mut self.buffer);
                    self.program(cx, target, &buffer);
                    self.buffer = buffer;
                }
                self.cycle = Cycle::Command;
            }
            Cycle::Erase | Cycle::Confirm => self.bad_sequence(cx, command),
        }
        Ok(())
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_direct(ARRAY, if self.mode == Mode::Array { Direct::Reads } else { Direct::Off });
    }

    fn reset(&mut self, cx: &mut dyn Services, kind: Reset) {
        self.reset_state();
        if !self.loaded && kind == Reset::Cold {
            self.load_image(cx);
            self.loaded = true;
        }
    }

    fn backing(&self, _: Window) -> Option<Arc<Region>> {
        Some(self.array.clone())
    }
}

const fn property(name: &'static str, kind: PropertyKind, default: PropertyDefault, doc: &'static str) -> PropertyDecl {
    PropertyDecl { name, kind, default, doc }
}

/// A bank of NOR flash with the Intel command set.
pub static CFI_PFLASH01: DeviceType = DeviceType {
    properties: &[
        property("drive", PropertyKind::Drive, PropertyDefault::None, "Name of the block image with the contents"),
        property("sector-length", PropertyKind::Size, PropertyDefault::Required, "Bytes of an erase block of the bank"),
        property("num-blocks", PropertyKind::U64, PropertyDefault::Required, "Number of erase blocks"),
        property("width", PropertyKind::U64, PropertyDefault::U64(4), "Bytes of the bank's data lines"),
        property("device-width", PropertyKind::U64, PropertyDefault::U64(0), "Bytes of a device's data lines, 0 for one device"),
        property("max-device-width", PropertyKind::U64, PropertyDefault::U64(0), "Bytes a device's data lines could have, 0 for as many as it has"),
        property("id0", PropertyKind::U64, PropertyDefault::U64(0), "Manufacturer"),
        property("id1", PropertyKind::U64, PropertyDefault::U64(0), "Device"),
        property("id2", PropertyKind::U64, PropertyDefault::U64(0), "Not read by this command set"),
        property("id3", PropertyKind::U64, PropertyDefault::U64(0), "Not read by this command set"),
        property("name", PropertyKind::String, PropertyDefault::Str("pflash"), "Name of the memory"),
        property("big-endian", PropertyKind::Bool, PropertyDefault::Bool(false), "Commands and answers are those of a big-endian processor"),
    ],
    windows: &[WindowDecl {
        name: "array",
        size: WindowSize::From(|props| props.u64("sector-length").saturating_mul(props.u64("num-blocks"))),
        kind: WindowKind::Mmio,
        access: AccessRule::new(Width::B1, Width::B4),
        priority: 0,
    }],
    ports: &[PortDecl { name: "drive", kind: PortKind::Block }],
    example: &[("sector-length", "4k"), ("num-blocks", "16"), ("device-width", "2"), ("id0", "0x89"), ("id1", "0x18")],
    fdt: Some(FdtHook {
        node: "flash",
        build: |placed, node| {
            node.prop_str("compatible", "cfi-flash");
            placed.reg(node);
            node.prop_u32("bank-width", placed.props.u64("width") as u32);
        },
    }),
    ..DeviceType::new("cfi.pflash01", "NOR flash, Intel command set", |props| Ok(Box::new(Cfi::new(props)?)))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::conformance::check;
    use proteus_model::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&CFI_PFLASH01, CFI_PFLASH01.example)
    }

    fn w(b: &Bench, at: u64, command: u8) {
        b.write32("array", at, u32::from(command) * 0x0001_0001);
    }

    fn r(b: &Bench, at: u64) -> u32 {
        b.read32("array", at)
    }

    fn erase(b: &Bench, at: u64) {
        w(b, at, ERASE);
        w(b, at, CONFIRM);
        assert_eq!(r(b, at), 0x0080_0080);
        w(b, 0, READ_ARRAY);
    }

    #[test]
    fn conforms() {
        check(&CFI_PFLASH01).unwrap();
    }

    #[test]
    fn erases_and_programs_words() {
        let b = bench();
        erase(&b, 0x1004);
        assert_eq!([0xffc, 0x1000, 0x1ffc, 0x2000].map(|at| r(&b, at)), [0, u32::MAX, u32::MAX, 0]);
        for (command, value, want) in [(PROGRAM, 0x1234_ffff, 0x1234_ffff), (PROGRAM_ALT, 0xff00_5678, 0x1200_5678)] {
            w(&b, 0x1008, command);
            b.write32("array", 0x1008, value);
            assert_eq!(r(&b, 0x1008), 0x0080_0080);
            w(&b, 0, READ_ARRAY);
            assert_eq!(r(&b, 0x1008), want, "bits are only cleared");
        }
        assert_eq!(b.image("drive").contents()[0x1008..0x100c], 0x1200_5678u32.to_le_bytes());
        // A half word reaches one device.
        b.write("array", 0x100c, Width::B2, PROGRAM.into()).unwrap();
        b.write("array", 0x100c, Width::B2, 0xabcd).unwrap();
        w(&b, 0, READ_ARRAY);
        assert_eq!(r(&b, 0x100c), 0xffff_abcd);
    }

    #[test]
    fn programs_by_buffer() {
        let b = bench();
        erase(&b, 0x2000);
        w(&b, 0x2010, BUFFERED);
        assert_eq!(r(&b, 0x2010), 0x0080_0080);
        w(&b, 0x2010, 3);
        for n in 0..4 {
            b.write32("array", 0x2010 + 4 * n, 0x1111_1111 * (n as u32 + 1));
        }
        w(&b, 0x2010, CONFIRM);
        assert_eq!(r(&b, 0), 0x0080_0080);
        w(&b, 0, READ_ARRAY);
        assert_eq!([0x200c, 0x2010, 0x201c, 0x2020].map(|at| r(&b, at)), [u32::MAX, 0x1111_1111, 0x4444_4444, u32::MAX]);
        // A whole buffer is 4 KiB of the bank; one word more is too much.
        b.write32("array", 0x2000, BUFFERED.into());
        b.write32("array", 0x2000, 0x0400_0400);
        assert_eq!(r(&b, 0), 0x0090_0090);
        w(&b, 0, CLEAR_STATUS);
        // Words outside the buffer, and another command instead of the confirmation.
        for (second, last) in [(0x3000, CONFIRM), (0x2004, ERASE)] {
            w(&b, 0x2000, BUFFERED);
            w(&b, 0x2000, 1);
            b.write32("array", 0x2000, 0);
            b.write32("array", second, 0);
            w(&b, 0x2000, last);
            assert_ne!(r(&b, 0) & 0x0010_0010, 0);
            w(&b, 0, CLEAR_STATUS);
            assert_eq!(r(&b, 0x2000), u32::MAX, "nothing was programmed");
        }
    }

    /// U-Boot meets Malta's one device of 32 bits as one of 16, for that answers its first probe, and
    /// fills the buffer with half words.
    #[test]
    fn a_buffer_is_filled_with_narrow_words() {
        let b = Bench::new(&CFI_PFLASH01, &[("sector-length", "4k"), ("num-blocks", "16")]);
        let half = |at: u64, value: u64| b.write("array", at, Width::B2, value).unwrap();
        [ERASE, CONFIRM, BUFFERED].into_iter().for_each(|command| half(0x2000, command.into()));
        half(0x2000, 1023);
        (0..1024).for_each(|n| half(0x2000 + 2 * n, n));
        half(0x2000, CONFIRM.into());
        assert_eq!(b.read("array", 0x2000, Width::B2), Ok(0x80));
        half(0x2000, READ_ARRAY.into());
        assert_eq!((0..1025).find(|n| b.read("array", 0x2000 + 2 * n, Width::B2) != Ok(*n)), Some(1024));
        // One more does not fit.
        half(0x2000, BUFFERED.into());
        half(0x2000, 1024);
        assert_eq!(b.read("array", 0x2000, Width::B2), Ok(0x90));
    }

    #[test]
    fn says_what_it_is() {
        let b = bench();
        w(&b, 0, READ_ID);
        assert_eq!([0, 4, 8].map(|at| r(&b, at)), [0x0089_0089, 0x0018_0018, 0]);
        w(&b, 0x55 << 2, READ_QUERY);
        let query: Vec<u8> = (0x10..0x31).map(|n| r(&b, n * 4) as u8).collect();
        assert_eq!(query[..5], [b'Q', b'R', b'Y', 1, 0]);
        assert_eq!((query[0x17], query[0x1a], query[0x1c]), (15, 11, 1), "each device has 32 KiB, one region of blocks");
        assert_eq!(query[0x1d..0x21], [15, 0, 8, 0], "16 blocks of 2 KiB");
        assert_eq!(r(&b, 0x40), 0x0051_0051);
        assert_eq!(b.read("array", 0x41, Width::B1), Ok(0));
        w(&b, 0, AMD_RESET);
        assert_eq!(r(&b, 0), 0);
    }

    /// How U-Boot looks for the bank: for each width of port and chip, and with addresses as they
    /// are or doubled, it resets in both ways, asks for the query, and compares three answers. Two
    /// 16-bit devices are first met as one, on every other half word.
    #[test]
    fn a_probe_of_all_widths_finds_the_query_and_leaves_the_array() {
        let b = bench();
        let of_chips = |byte: u8, chip: u32, port: u32| (0..port).step_by(chip as usize).fold(0, |all, lane| all | u64::from(byte) << (8 * lane));
        let mut found = Vec::new();
        for port in [Width::B1, Width::B2, Width::B4, Width::B8] {
            let bytes = port.bytes();
            for (chip, doubled) in [1, 2, 4, 8].into_iter().filter(|c| *c <= bytes).flat_map(|c| [(c, 0), (c, 1)]) {
                let place = |offset: u64| (offset * u64::from(bytes)) << doubled;
                let command = |offset, command| b.write("array", place(offset), port, of_chips(command, chip, bytes)).unwrap();
                for query_at in [0x55, 0x555] {
                    command(0, READ_ARRAY);
                    command(0, AMD_RESET);
                    assert_eq!(b.read("array", place(0x10), port), Ok(0), "reset");
                    command(query_at, READ_QUERY);
                    if (0x10..).zip(*b"QRY").all(|(at, c)| b.read("array", place(at), port) == Ok(of_chips(c, chip, bytes))) {
                        found.push((bytes, chip, doubled, query_at));
                    }
                }
            }
        }
        assert_eq!(found, [(2, 2, 1, 0x55), (2, 2, 1, 0x555), (4, 2, 0, 0x55), (4, 2, 0, 0x555)]);
        w(&b, 0, READ_ARRAY);
        // As it goes on with what it found first: is the block locked? Then the array again.
        b.write("array", 0, Width::B2, READ_ID.into()).unwrap();
        assert_eq!([0, 4, 8].map(|at| b.read("array", at, Width::B2)), [Ok(0x89), Ok(0x18), Ok(0)]);
        b.write("array", 0, Width::B2, READ_ARRAY.into()).unwrap();
        assert_eq!(r(&b, 0), 0);
    }

    #[test]
    fn contents_outlive_a_reset_and_reads_are_direct() {
        let b = bench();
        erase(&b, 0);
        w(&b, 0, READ_STATUS);
        b.machine.reset(Reset::Warm);
        b.machine.reset(Reset::Cold);
        let before = b.machine.counters().reads;
        assert_eq!(r(&b, 0), u32::MAX);
        assert_eq!(b.machine.counters().reads, before, "memory answers");
        let region = b.machine.regions().iter().find(|r| r.name() == "pflash").unwrap();
        assert_eq!(region.load(0, 4), Ok(0xffff_ffff));
    }

    #[test]
    fn commands_and_answers_are_in_the_processors_order_and_contents_are_bytes() {
        let b = Bench::new(&CFI_PFLASH01, &[("sector-length", "4k"), ("num-blocks", "16"), ("id0", "0x89"), ("big-endian", "on")]);
        let big = |at: u64| r(&b, at).swap_bytes();
        b.write32("array", 0, 0x98u32.swap_bytes());
        assert_eq!([0x10, 0x11, 0x12].map(|n| big(4 * n)), [0x51, 0x52, 0x59]);
        assert_eq!([0, 3].map(|lane| b.read("array", 0x40 + lane, Width::B1)), [Ok(0), Ok(0x51)]);
        assert_eq!([0, 2].map(|lane| b.read("array", 0x40 + lane, Width::B2)), [Ok(0), Ok(0x5100)]);
        b.write32("array", 0, 0xff00_0000);
        b.write32("array", 0x1000, 0x2000_0000);
        b.write32("array", 0x1000, 0xd000_0000);
        b.write32("array", 0x1000, 0x4000_0000);
        b.write32("array", 0x1000, u32::from_le_bytes(*b"text"));
        assert_eq!(big(0), 0x80);
        b.write32("array", 0, 0xff00_0000);
        assert_eq!([0, 1, 2, 3].map(|n| b.read("array", 0x1000 + n, Width::B1).unwrap() as u8), *b"text");
        // Words for the buffer: two of them.
        b.write32("array", 0x1010, 0xe800_0000);
        b.write32("array", 0x1010, 0x0100_0000);
        b.write32("array", 0x1010, 1);
        b.write32("array", 0x1014, 2);
        b.write32("array", 0x1010, 0xd000_0000);
        b.write32("array", 0, 0xff00_0000);
        assert_eq!([0x1010, 0x1014, 0x1018].map(|at| r(&b, at)), [1, 2, u32::MAX]);
    }

    #[test]
    fn bad_properties_are_refused() {
        for (name, value) in [("width", "3"), ("device-width", "8"), ("sector-length", "5000"), ("num-blocks", "0"), ("id0", "256"), ("name", "")] {
            let props = Props::with(&CFI_PFLASH01, CFI_PFLASH01.example).and_then(|p| p.with_text(name, value)).unwrap();
            let error = (CFI_PFLASH01.new)(&props).err().expect(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
