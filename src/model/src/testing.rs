//! A machine around one device, for the device's own tests and the conformance checks.
//!
//! Test support: misuse panics.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::builder::MachineBuilder;
use crate::device::{Bus, DeviceType, PortKind, WindowKind};
use crate::machine::{HostEvent, HostEventKind, Machine};
use crate::port::{BlockPort, CharPort, FramePort};
use crate::property::Props;
use crate::ram::Region;
use crate::types::{BusFault, CoreId, DeviceId, Ns, Width};

/// Where a bench's memory begins.
pub const RAM_BASE: u64 = 0x4000_0000;
/// Length of a bench's memory.
pub const RAM_LEN: u64 = 1 << 20;
/// Where the first memory window of a bench's device is; the others follow.
const WINDOW_BASE: u64 = 0x1_0000_0000;
/// Where the configuration space of a bench's device is: device 1 of bus 0.
const CONFIG_BASE: u64 = 1 << 15;
/// Where [`Bench::enable_pci`] puts memory.
const PCI_MEMORY: u64 = 0x8000_0000;
/// Where [`Bench::enable_pci`] puts I/O ports.
const PCI_IO: u64 = 0xc000;
/// Length of a bench's block images.
const IMAGE_LEN: usize = 1 << 20;

/// What a device has sent to a port, and how much of it the port still takes.
#[derive(Default)]
struct Sent {
    bytes: Vec<u8>,
    frames: VecDeque<Vec<u8>>,
    room: Option<usize>,
    /// What the other end answers the next frame with, at once.
    answers: Vec<Vec<u8>>,
    /// How many answers there was room for.
    answered: usize,
}

struct Capture(Mutex<Sent>);

impl CharPort for Capture {
    fn send(&self, bytes: &[u8]) -> usize {
        let mut sent = self.0.lock();
        let n = sent.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        sent.room = sent.room.map(|room| room - n);
        sent.bytes.extend_from_slice(&bytes[..n]);
        n
    }
}

impl FramePort for Capture {
    fn send_frame(&self, frame: &[u8], answer: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
        let mut sent = self.0.lock();
        sent.frames.push_back(frame.to_vec());
        sent.answered += std::mem::take(&mut sent.answers).into_iter().filter(|frame| answer(frame.clone())).count();
        true
    }
}

/// A block image in memory.
pub struct MemoryImage {
    bytes: Mutex<Vec<u8>>,
    read_only: bool,
}

impl MemoryImage {
    /// An image with these contents.
    pub fn new(bytes: Vec<u8>, read_only: bool) -> MemoryImage {
        MemoryImage { bytes: Mutex::new(bytes), read_only }
    }

    /// A copy of the contents.
    pub fn contents(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }

    fn range(&self, offset: u64, len: u64, write: bool) -> io::Result<std::ops::Range<usize>> {
        if write && self.read_only {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(offset as usize..end as usize),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl BlockPort for MemoryImage {
    fn len(&self) -> u64 {
        self.bytes.lock().len() as u64
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let range = self.range(offset, to.len() as u64, false)?;
        to.copy_from_slice(&self.bytes.lock()[range]);
        Ok(())
    }
    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        let range = self.range(offset, from.len() as u64, true)?;
        self.bytes.lock()[range].copy_from_slice(from);
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.write_zeroes(offset, len)
    }
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let range = self.range(offset, len, true)?;
        self.bytes.lock()[range].fill(0);
        Ok(())
    }
}

/// A machine with one device, some memory, two cores, a virtual clock, and back ends that keep
/// what they are given.
pub struct Bench {
    /// The machine.
    pub machine: Arc<Machine>,
    /// The device.
    pub device: DeviceId,
    /// The memory at [`RAM_BASE`].
    pub ram: Arc<Region>,
    ty: &'static DeviceType,
    sizes: Vec<u64>,
    captures: Vec<Arc<Capture>>,
    images: Vec<Option<Arc<MemoryImage>>>,
}

impl Bench {
    /// A bench for a device with these properties (text, as `-device` has them).
    pub fn new(ty: &'static DeviceType, props: &[(&str, &str)]) -> Bench {
        let props = Props::with(ty, props).unwrap_or_else(|e| panic!("{e}"));
        let mut b = MachineBuilder::new("bench", 2);
        let ram = Region::new("ram", RAM_LEN).unwrap_or_else(|e| panic!("{e}"));
        b.ram(RAM_BASE, &ram);
        let device = b.device(ty, "dut", props.clone()).unwrap_or_else(|e| panic!("{e}"));
        let (mut memory, mut pio, mut config) = (WINDOW_BASE, 0x100, CONFIG_BASE);
        let mut sizes = vec![];
        for window in ty.windows {
            let size = window.size.get(&props);
            let next = match window.kind {
                WindowKind::Sysreg(first) => &mut u64::from(first),
                WindowKind::Mmio => &mut memory,
                WindowKind::Pio => &mut pio,
                WindowKind::PciConfig => &mut config,
            };
            sizes.push(size);
            if !matches!(window.kind, WindowKind::Sysreg(_)) {
                b.place(device, window.name, *next).unwrap_or_else(|e| panic!("{e}"));
            }
            *next += size.next_multiple_of(0x1000);
        }
        let (mut captures, mut images) = (vec![], vec![]);
        for port in ty.ports {
            let capture = Arc::new(Capture(Mutex::default()));
            let image = Arc::new(MemoryImage::new(vec![0; IMAGE_LEN], false));
            let bound = match port.kind {
                PortKind::Char => b.bind_char(device, port.name, capture.clone()),
                PortKind::Frame => b.bind_frame(device, port.name, capture.clone()),
                PortKind::Block => b.bind_block(device, port.name, image.clone()),
            };
            bound.unwrap_or_else(|e| panic!("{e}"));
            captures.push(capture);
            images.push((port.kind == PortKind::Block).then_some(image));
        }
        let machine = b.build().unwrap_or_else(|e| panic!("{e}"));
        Bench { machine, device, ram, ty, sizes, captures, images }
    }

    fn window(&self, name: &str) -> usize {
        let found = self.ty.windows.iter().position(|w| w.name == name);
        found.unwrap_or_else(|| panic!("{} has no window '{name}'", self.ty.name))
    }

    /// Length of a window.
    pub fn window_size(&self, window: usize) -> u64 {
        self.sizes[window]
    }

    fn port(&self, name: &str) -> usize {
        self.ty.port(name).unwrap_or_else(|| panic!("{} has no port '{name}'", self.ty.name))
    }

    /// Address of an offset in a window, or key; `None` while the window is nowhere.
    fn address(&self, window: usize, at: u64) -> Option<u64> {
        let base = match self.ty.windows[window].kind {
            WindowKind::Sysreg(first) => Some(first.into()),
            _ => self.machine.window_base(self.device, window),
        };
        base.map(|base| base.wrapping_add(at))
    }

    /// A read by `core` at an offset in a window, wherever that is at present (a key's distance
    /// from the first, for system registers).
    pub fn read_at(&self, core: u16, window: usize, at: u64, width: Width) -> Result<u64, BusFault> {
        let (core, at) = (CoreId(core), self.address(window, at).ok_or(BusFault::Unmapped)?);
        match self.ty.windows[window].kind {
            WindowKind::Mmio => self.machine.read(core, at, width),
            WindowKind::Pio => self.machine.pio_read(core, at, width),
            WindowKind::PciConfig => self.machine.bus_read(core, Bus::PciConfig, at, width),
            WindowKind::Sysreg(_) => self.machine.sysreg_read(core, at as u32).unwrap_or(Err(BusFault::Unmapped)),
        }
    }

    /// A write by `core`, as [`Bench::read_at`].
    pub fn write_at(&self, core: u16, window: usize, at: u64, width: Width, value: u64) -> Result<(), BusFault> {
        let (core, at) = (CoreId(core), self.address(window, at).ok_or(BusFault::Unmapped)?);
        match self.ty.windows[window].kind {
            WindowKind::Mmio => self.machine.write(core, at, width, value),
            WindowKind::Pio => self.machine.pio_write(core, at, width, value),
            WindowKind::PciConfig => self.machine.bus_write(core, Bus::PciConfig, at, width, value),
            WindowKind::Sysreg(_) => self.machine.sysreg_write(core, at as u32, value).unwrap_or(Err(BusFault::Unmapped)),
        }
    }

    /// Does what firmware does with a PCI function: finds out how long its base address registers'
    /// windows are, gives each a place, and turns on memory, I/O and bus mastering. Does nothing
    /// with a device that is none.
    pub fn enable_pci(&self) {
        let Some(config) = self.ty.windows.iter().position(|w| w.kind == WindowKind::PciConfig) else { return };
        let read = |at: u64| self.read_at(0, config, at, Width::B4).unwrap_or(0) as u32;
        let write = |at: u64, value: u32| {
            let _ = self.write_at(0, config, at, Width::B4, value.into());
        };
        write(4, 0);
        let (mut memory, mut io) = (PCI_MEMORY, PCI_IO);
        let mut at = 0x10;
        while at < 0x28 {
            write(at, u32::MAX);
            let found = read(at);
            let ports = found & 1 != 0;
            // Of the addresses of ports a function may implement 16 bits only.
            let mask = if ports { found & !3 | 0xffff_0000 } else { found & !15 };
            let size = u64::from(mask.wrapping_neg());
            let next = if ports { &mut io } else { &mut memory };
            let base = if size == 0 { 0 } else { next.next_multiple_of(size) };
            write(at, base as u32);
            *next = base.max(*next) + size;
            // A register of 64 bits has the next one for its high half.
            if !ports && found & 6 == 4 {
                at += 4;
                write(at, (base >> 32) as u32);
            }
            at += 4;
        }
        write(4, 7);
    }

    /// A read by core 0.
    pub fn read(&self, window: &str, at: u64, width: Width) -> Result<u64, BusFault> {
        self.read_at(0, self.window(window), at, width)
    }

    /// A write by core 0.
    pub fn write(&self, window: &str, at: u64, width: Width, value: u64) -> Result<(), BusFault> {
        self.write_at(0, self.window(window), at, width, value)
    }

    /// A 32-bit read by core 0 that must succeed.
    pub fn read32(&self, window: &str, at: u64) -> u32 {
        self.read(window, at, Width::B4).unwrap_or_else(|e| panic!("read of {window}+{at:#x}: {e}")) as u32
    }

    /// A 32-bit write by core 0 that must succeed.
    pub fn write32(&self, window: &str, at: u64, value: u32) {
        self.write(window, at, Width::B4, value.into()).unwrap_or_else(|e| panic!("write of {window}+{at:#x}: {e}"));
    }

    /// Level of an output pin.
    pub fn output(&self, name: &str, index: usize) -> bool {
        let level = self.machine.output_level(self.device, name, index);
        level.unwrap_or_else(|| panic!("{} has no output {name}[{index}]", self.ty.name))
    }

    /// Drives an input pin.
    pub fn input(&self, name: &str, index: usize, level: bool) {
        let pin = self.machine.input_pin(self.device, name, index);
        let pin = pin.unwrap_or_else(|| panic!("{} has no input {name}[{index}]", self.ty.name));
        self.machine.drive_input(self.device, pin, level);
    }

    /// Lets virtual time pass, running each alarm at its time.
    pub fn advance(&self, ns: Ns) {
        let clock = self.machine.clock();
        let end = clock.now().saturating_add(ns) & (u64::MAX >> 1);
        while let Some(at) = self.machine.next_alarm().filter(|at| *at <= end) {
            let before = clock.now();
            clock.set(at.max(before));
            self.machine.run_alarms(clock.now());
            // An alarm in the past is set again and again: time must still go on.
            if self.machine.next_alarm() == Some(at) {
                break;
            }
        }
        clock.set(end);
    }

    /// Takes the bytes sent to a character port so far.
    pub fn sent(&self, port: &str) -> Vec<u8> {
        std::mem::take(&mut self.captures[self.port(port)].0.lock().bytes)
    }

    /// Takes the oldest frame sent to a frame port.
    pub fn sent_frame(&self, port: &str) -> Option<Vec<u8>> {
        self.captures[self.port(port)].0.lock().frames.pop_front()
    }

    /// Lets the other end of a frame port answer the next frame with these, at once.
    pub fn answer(&self, port: &str, frames: Vec<Vec<u8>>) {
        self.captures[self.port(port)].0.lock().answers = frames;
    }

    /// How many answers there was room for so far.
    pub fn answered(&self, port: &str) -> usize {
        self.captures[self.port(port)].0.lock().answered
    }

    /// Limits how many more bytes a character port accepts; `None` lifts the limit and tells the
    /// device.
    pub fn set_room(&self, port: &str, room: Option<usize>) {
        let port = self.port(port);
        self.captures[port].0.lock().room = room;
        if room != Some(0) {
            self.deliver(HostEventKind::Writable { port });
        }
    }

    /// Gives bytes to a character port.
    pub fn bytes(&self, port: &str, bytes: &[u8]) {
        self.deliver(HostEventKind::Bytes { port: self.port(port), bytes: bytes.to_vec() });
    }

    /// Gives a frame to a frame port.
    pub fn frame(&self, port: &str, frame: &[u8]) {
        self.deliver(HostEventKind::Frame { port: self.port(port), frame: frame.to_vec() });
    }

    /// The image behind a block port.
    pub fn image(&self, port: &str) -> &Arc<MemoryImage> {
        self.images[self.port(port)].as_ref().unwrap_or_else(|| panic!("'{port}' is no block port"))
    }

    /// Delivers an event to the device.
    pub fn deliver(&self, kind: HostEventKind) {
        self.machine.deliver(HostEvent { device: self.device, kind });
    }

    /// All that the device has sent and written to images, for comparisons; nothing is taken.
    pub fn traffic(&self) -> Vec<u8> {
        let mut all = vec![];
        for (capture, image) in self.captures.iter().zip(&self.images) {
            let sent = capture.0.lock();
            all.extend_from_slice(&sent.bytes);
            sent.frames.iter().for_each(|f| all.extend_from_slice(f));
            if let Some(image) = image {
                all.extend_from_slice(&image.contents());
            }
        }
        all
    }

    /// Contents of all memory, the device's own included.
    pub fn memory(&self) -> Vec<Vec<u8>> {
        let copy = |r: &Arc<Region>| {
            let mut bytes = vec![0; r.len() as usize];
            r.read(0, &mut bytes).unwrap_or_else(|e| panic!("{e}"));
            bytes
        };
        self.machine.regions().iter().map(copy).collect()
    }

    /// Makes memory and images equal to another bench's.
    pub fn copy_memory(&self, other: &Bench) {
        for (region, bytes) in self.machine.regions().iter().zip(other.memory()) {
            region.write(0, &bytes).unwrap_or_else(|e| panic!("{e}"));
        }
        for (mine, theirs) in self.images.iter().flatten().zip(other.images.iter().flatten()) {
            *mine.bytes.lock() = theirs.contents();
        }
    }
}
