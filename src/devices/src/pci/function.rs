//! Configuration space of a PCI function ("PCI Local Bus Specification", revision 3.0, chapter 6).
//!
//! Left out: built-in self test (0: not capable), MSI (functions with messages have MSI-X), power
//! management, and the extended configuration space of PCI Express, which reads 0. No error is ever detected on this bus, so the status bits that report them stay
//! 0, and the command bits that enable the reports are storage.

use std::mem;

use proteus_model::{PinDecl, Services, State, Width, Window, WindowDecl};

use super::msix::{self, Msix};

/// The window that a function's type has first.
pub const CONFIG: WindowDecl = WindowDecl::pci_config();
/// The output pin that the type of a function with an interrupt has. Which of INTA to INTD it is
/// on the bus, [`Header::interrupt_pin`] tells the guest and the board.
pub const INTX: PinDecl = PinDecl::one("intx");

/// Bytes of configuration space.
const LEN: usize = 256;
/// Most base address registers.
const BARS: usize = 6;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const CACHE_LINE_SIZE: usize = 0x0c;
const LATENCY_TIMER: usize = 0x0d;
const BAR_0: usize = 0x10;
const ROM: usize = 0x30;
const CAPABILITIES: usize = 0x34;
const INTERRUPT_LINE: usize = 0x3c;
/// Where what is specific to the device begins.
const SPECIFIC: usize = 0x40;

const COMMAND_IO: u16 = 1 << 0;
const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_MASTER: u16 = 1 << 2;
const COMMAND_PARITY: u16 = 1 << 6;
const COMMAND_SERR: u16 = 1 << 8;
const COMMAND_INTX_DISABLE: u16 = 1 << 10;

const STATUS_INTERRUPT: u8 = 1 << 3;
const STATUS_CAPABILITIES: u8 = 1 << 4;
/// In the register of the expansion ROM: it is decoded.
const ROM_ENABLE: u8 = 1;
/// The smallest expansion ROM's size.
const SMALLEST_ROM: u64 = 2048;

/// Errors, in the upper byte of the status: writing a 1 clears one.
const STATUS_ERRORS: u8 = 0xf9;

/// What never changes of a function.
#[derive(Debug)]
pub struct Header {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Class code, 24 bits: base class, sub-class, programming interface.
    pub class: u32,
    /// Vendor of the card, or 0.
    pub subsystem_vendor: u16,
    /// The card, or 0.
    pub subsystem: u16,
    /// Interrupt pin: 0 for none, 1 for INTA to 4 for INTD.
    pub interrupt_pin: u8,
    /// Has the device more functions than this one?
    pub multi_function: bool,
    /// How long a burst it needs, in quarters of a microsecond.
    pub min_grant: u8,
    /// How often it needs the bus, in quarters of a microsecond.
    pub max_latency: u8,
    /// Base address registers, at most six of them.
    pub bars: &'static [Bar],
}

impl Header {
    /// A function with nothing but its identity: no card, no interrupt, no base address registers.
    pub const fn new(vendor: u16, device: u16, revision: u8, class: u32) -> Header {
        Header {
            vendor,
            device,
            revision,
            class,
            subsystem_vendor: 0,
            subsystem: 0,
            interrupt_pin: 0,
            multi_function: false,
            min_grant: 0,
            max_latency: 0,
            bars: &[],
        }
    }
}

/// A base address register.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// Its number, 0 to 5. One of 64 bits has the next number too.
    pub index: usize,
    /// The window that it places, which has the same size.
    pub window: Window,
    /// Bytes that it decodes: a power of two, at least 4 of I/O and 16 of memory.
    pub size: u64,
    /// What it decodes.
    pub kind: BarKind,
}

/// What a base address register decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory32,
    /// Memory below 4 GiB that may be read ahead.
    Memory32Prefetch,
    /// Memory anywhere that may be read ahead.
    Memory64Prefetch,
}

impl BarKind {
    /// The bits below the address.
    const fn flags(self) -> u64 {
        match self {
            BarKind::Io => 0b01,
            BarKind::Memory32 => 0b0000,
            BarKind::Memory32Prefetch => 0b1000,
            BarKind::Memory64Prefetch => 0b1100,
        }
    }

    const fn bytes(self) -> usize {
        if matches!(self, BarKind::Memory64Prefetch) { 8 } else { 4 }
    }

    const fn smallest(self) -> u64 {
        if matches!(self, BarKind::Io) { 4 } else { 16 }
    }
}

/// Where the model has been told to put a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, State)]
struct Decoded {
    /// False until it has been told anything since the last reset.
    known: bool,
    at: Option<u64>,
}

/// Configuration space of one function, as part of a device's state.
///
/// The device passes accesses of its configuration window to [`Function::read`] and
/// [`Function::write`], and calls [`Function::settle`] when it settles.
#[derive(State)]
pub struct Function {
    /// Base address registers.
    #[state(skip)]
    bars: Vec<Bar>,
    #[state(reset = self.initial)]
    space: [u8; LEN],
    msix: Msix,
    decoded: [Decoded; BARS],
    rom_decoded: Decoded,
    /// The expansion ROM: its window and size.
    #[state(skip)]
    rom: Option<(Window, u64)>,
    /// Contents after a reset.
    #[state(skip)]
    initial: [u8; LEN],
    /// Bits that the guest may write.
    #[state(skip)]
    writable: [u8; LEN],
    /// Where the next capability goes, and where the last one's link to it is.
    #[state(skip)]
    next_capability: (usize, usize),
}

impl Function {
    /// A function as after a reset. Its windows are nowhere.
    ///
    /// Panics if `header` is wrong, which no guest and no user can bring about: more than six
    /// registers, overlapping ones, or a size that is none.
    pub fn new(header: &'static Header) -> Function {
        let mut f = Function {
            bars: Vec::new(),
            space: [0; LEN],
            msix: Msix::default(),
            decoded: [Decoded::default(); BARS],
            rom_decoded: Decoded::default(),
            rom: None,
            initial: [0; LEN],
            writable: [0; LEN],
            next_capability: (SPECIFIC, CAPABILITIES),
        };
        let [i, s, b, _] = header.class.to_le_bytes();
        for (at, word) in [(0x00, header.vendor), (0x02, header.device), (0x2c, header.subsystem_vendor), (0x2e, header.subsystem)] {
            f.initial[at..at + 2].copy_from_slice(&word.to_le_bytes());
        }
        f.initial[0x08..0x0c].copy_from_slice(&[header.revision, i, s, b]);
        f.initial[0x0e] = u8::from(header.multi_function) << 7;
        f.initial[0x3d..0x40].copy_from_slice(&[header.interrupt_pin, header.min_grant, header.max_latency]);
        f.writable[CACHE_LINE_SIZE] = 0xff;
        f.writable[LATENCY_TIMER] = 0xff;
        f.writable[INTERRUPT_LINE] = 0xff;
        let mut command = COMMAND_MASTER | COMMAND_PARITY | COMMAND_SERR;
        if header.interrupt_pin != 0 {
            command |= COMMAND_INTX_DISABLE;
        }
        f.allow_command(command);
        f.space = f.initial;
        header.bars.iter().for_each(|bar| f.add_bar(*bar));
        f
    }

    /// The guest may write these bits of the command register.
    fn allow_command(&mut self, bits: u16) {
        for (writable, bits) in self.writable[COMMAND..COMMAND + 2].iter_mut().zip(bits.to_le_bytes()) {
            *writable |= bits;
        }
    }

    /// For the device's constructor: one more base address register than those of the header.
    pub fn add_bar(&mut self, bar: Bar) {
        assert!(bar.size.is_power_of_two() && bar.size >= bar.kind.smallest(), "size of BAR {}", bar.index);
        self.allow_command(if bar.kind == BarKind::Io { COMMAND_IO } else { COMMAND_MEMORY });
        let bytes = bar.kind.bytes();
        assert!(bar.index + bytes / 4 <= BARS, "there are six base address registers");
        let place = BAR_0 + 4 * bar.index..BAR_0 + 4 * bar.index + bytes;
        assert!(self.writable[place.clone()].iter().all(|b| *b == 0), "BAR {} is there twice", bar.index);
        self.initial[place.clone()].copy_from_slice(&bar.kind.flags().to_le_bytes()[..bytes]);
        self.space[place.clone()].copy_from_slice(&self.initial[place.clone()]);
        self.writable[place].copy_from_slice(&(!(bar.size - 1)).to_le_bytes()[..bytes]);
        self.bars.push(bar);
    }

    /// A read of the configuration space, at an offset in it. Past its 256 bytes are zeros.
    pub fn read(&self, at: u64, size: Width) -> u64 {
        let byte = |i: u32| self.byte(usize::try_from(at + u64::from(i)).unwrap_or(LEN));
        (0..size.bytes()).rev().fold(0, |value, i| value << 8 | u64::from(byte(i)))
    }

    /// A write to the configuration space, at an offset in it. Bits that are read-only stay as
    /// they are, which is what guests rely on to find out about the others.
    pub fn write(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        for (i, byte) in value.to_le_bytes().into_iter().enumerate().take(size.bytes() as usize) {
            let at = usize::try_from(at).unwrap_or(LEN).saturating_add(i);
            let Some(place) = self.space.get_mut(at) else {
                return cx.guest_error(format_args!("write of {value:#x} to configuration space at {at:#x}: it has 256 bytes"));
            };
            let (mask, clear) = (self.writable[at], if at == STATUS + 1 { STATUS_ERRORS } else { 0 });
            *place = (*place & !mask | byte & mask) & !(byte & clear);
        }
    }

    /// Moves the windows to where the command and base address registers have them, and sends the
    /// messages that are asked for and not masked. To be called by the device's `settle`; costs little
    /// when nothing has changed.
    ///
    /// A register at address 0 decodes nothing, for that is where it is before anyone has placed
    /// it. One that would be over something else is reported as the guest's error, and its window
    /// comes when the place is free. While the guest finds out about its size, with all ones in a
    /// register or in one half of it, the window stays where it is.
    pub fn settle(&mut self, cx: &mut dyn Services) {
        if self.msix_enabled() && self.bus_master() && self.byte(self.msix.capability + 3) & msix::MASK == 0 {
            self.msix.send(cx);
        }
        self.settle_rom(cx);
        for n in 0..self.bars.len() {
            let bar = self.bars[n];
            let old = self.decoded[n];
            let at = if self.enables(&bar) {
                let address = self.address(&bar);
                let ones = |bits: u64| (address | (bar.size - 1)) & bits == bits;
                if old.known && (ones(0xffff_ffff) || bar.kind.bytes() == 8 && ones(!0xffff_ffff)) {
                    continue;
                }
                Some(address).filter(|a| *a != 0)
            } else {
                None
            };
            if mem::replace(&mut self.decoded[n], Decoded { known: true, at }) != (Decoded { known: true, at }) && cx.move_window(bar.window, at).is_err() {
                let at = at.unwrap_or_default();
                cx.guest_error(format_args!("BAR {} at {at:#x} of {:#x} bytes lies over something else", bar.index, bar.size));
            }
        }
    }

    /// Moves the expansion ROM's window (section 6.2.5.2).
    fn settle_rom(&mut self, cx: &mut dyn Services) {
        let Some((window, size)) = self.rom else { return };
        let register = self.read(ROM as u64, Width::B4);
        let at = Some(register & !(size - 1)).filter(|at| self.memory_enabled() && register & u64::from(ROM_ENABLE) != 0 && *at != 0);
        let now = Decoded { known: true, at };
        if mem::replace(&mut self.rom_decoded, now) != now && cx.move_window(window, at).is_err() {
            cx.guest_error(format_args!("the expansion ROM at {:#x} lies over something else", at.unwrap_or_default()));
        }
    }

    fn enables(&self, bar: &Bar) -> bool {
        if bar.kind == BarKind::Io { self.io_enabled() } else { self.memory_enabled() }
    }

    /// The address in a base address register.
    fn address(&self, bar: &Bar) -> u64 {
        let size = if bar.kind.bytes() == 8 { Width::B8 } else { Width::B4 };
        self.read((BAR_0 + 4 * bar.index) as u64, size) & !(bar.size - 1)
    }

    /// Where register number `index` has its window, if it is enabled and anywhere.
    pub fn bar(&self, index: usize) -> Option<u64> {
        let n = self.bars.iter().position(|b| b.index == index)?;
        self.decoded.get(n)?.at
    }

    fn command(&self) -> u16 {
        u16::from_le_bytes([self.space[COMMAND], self.space[COMMAND + 1]])
    }

    /// May the function access memory by itself?
    pub fn bus_master(&self) -> bool {
        self.command() & COMMAND_MASTER != 0
    }

    /// Does the function answer to I/O ports?
    pub fn io_enabled(&self) -> bool {
        self.command() & COMMAND_IO != 0
    }

    /// Does the function answer to memory addresses?
    pub fn memory_enabled(&self) -> bool {
        self.command() & COMMAND_MEMORY != 0
    }

    /// Is the function kept from driving its interrupt pin?
    pub fn intx_disabled(&self) -> bool {
        self.command() & COMMAND_INTX_DISABLE != 0
    }

    /// Sets the status bit that tells whether the function has an interrupt pending.
    pub fn set_interrupt_status(&mut self, on: bool) {
        let status = &mut self.space[STATUS];
        *status = *status & !STATUS_INTERRUPT | if on { STATUS_INTERRUPT } else { 0 };
    }

    /// For the device's `settle`: shows in the status whether an interrupt is pending, and drives
    /// output pin `pin` unless the command register forbids it. While MSI-X is enabled there is none.
    pub fn drive_intx(&mut self, cx: &mut dyn Services, pin: usize, pending: bool) {
        let pending = pending && !self.msix_enabled();
        self.set_interrupt_status(pending);
        cx.set_pin(pin, pending && !self.intx_disabled());
    }

    /// A byte of the configuration space; 0 past its end.
    pub fn byte(&self, at: usize) -> u8 {
        self.space.get(at).copied().unwrap_or(0)
    }

    /// Sets a byte of the configuration space, whatever the guest may write. It lasts until the
    /// next reset; [`Function::preset`] says what is there after one. Past the end there is
    /// nothing to set.
    pub fn set_byte(&mut self, at: usize, value: u8) {
        if let Some(byte) = self.space.get_mut(at) {
            *byte = value;
        }
    }

    /// For the device's constructor: a byte of the configuration space has this value after each
    /// reset. Any byte but those of base address registers may be given one, such as the status
    /// for the timing of DEVSEL.
    ///
    /// Panics past the end, and so do the other functions for constructors.
    pub fn preset(&mut self, at: usize, value: u8) {
        self.initial[at] = value;
        self.space[at] = value;
    }

    /// For the device's constructor: the guest may write these bits of a byte, and no others. They
    /// are plain storage. Command bits that are not writable keep what [`Function::preset`] says.
    pub fn set_writable(&mut self, at: usize, mask: u8) {
        self.writable[at] = mask;
    }

    /// For the device's constructor: the function has an expansion ROM, in a memory window of this
    /// size, a power of two.
    pub fn set_rom(&mut self, window: Window, size: u64) {
        assert!(size.is_power_of_two() && size >= SMALLEST_ROM, "size of the expansion ROM");
        self.rom = Some((window, size));
        let mask = (!(size - 1) as u32).to_le_bytes();
        self.writable[ROM..ROM + 4].copy_from_slice(&mask);
        self.writable[ROM] |= ROM_ENABLE;
        self.allow_command(COMMAND_MEMORY);
    }

    /// For the device's constructor: adds a capability (section 6.7) with this identifier and what
    /// follows its link, of which the guest may write the bits of `writable` (shorter than `body`
    /// if the rest is read-only). Capabilities begin at 0x40, in the order of their addition. Gives
    /// the offset of the capability.
    pub fn add_capability(&mut self, id: u8, body: &[u8], writable: &[u8]) -> usize {
        let (at, link) = self.next_capability;
        assert!(at + 2 + body.len() <= LEN && writable.len() <= body.len(), "capability {id:#x} has no room");
        self.preset(link, at as u8);
        self.preset(STATUS, self.initial[STATUS] | STATUS_CAPABILITIES);
        self.preset(at, id);
        for (i, byte) in body.iter().enumerate() {
            self.preset(at + 2 + i, *byte);
            self.set_writable(at + 2 + i, writable.get(i).copied().unwrap_or(0));
        }
        self.next_capability = ((at + 2 + body.len()).next_multiple_of(4), at + 1);
        at
    }

    /// For the device's constructor: the function has MSI-X with so many vectors, 1 to 2048. Table and
    /// pending bits are in this window, which base address register `bar` places and whose length
    /// [`msix_window_len`](super::msix_window_len) gives.
    pub fn add_msix(&mut self, bar: usize, window: Window, vectors: u16) {
        assert!((1..=msix::MAX_VECTORS).contains(&vectors.into()), "{vectors} vectors");
        self.add_bar(Bar { index: bar, window, size: msix::window_len(vectors.into()), kind: BarKind::Memory32 });
        let capability = self.add_capability(msix::CAPABILITY, &Msix::capability(vectors, bar), &[0, msix::ENABLE | msix::MASK]);
        self.msix = Msix::new(vectors, capability);
    }

    /// Vectors of MSI-X; 0 where there is none.
    pub fn msix_vectors(&self) -> u16 {
        self.msix.vectors()
    }

    /// Does the guest want messages instead of the interrupt pin?
    pub fn msix_enabled(&self) -> bool {
        self.msix.vectors() != 0 && self.byte(self.msix.capability + 3) & msix::ENABLE != 0
    }

    /// Asks for the message of a vector, which [`Function::settle`] sends. For a function whose guest
    /// has enabled MSI-X; vectors that are not there are none.
    pub fn raise(&mut self, vector: u16) {
        self.msix.raise(vector);
    }

    /// Takes back the messages that were asked for and are masked.
    pub fn forget_messages(&mut self) {
        self.msix.forget();
    }

    /// A read of 32 bits of the window with table and pending bits.
    pub fn read_msix(&self, at: u64) -> u64 {
        self.msix.read(at).into()
    }

    /// A write of 32 bits to the window with table and pending bits.
    pub fn write_msix(&mut self, cx: &mut dyn Services, at: u64, value: u64) {
        self.msix.write(cx, at, value);
    }
}
