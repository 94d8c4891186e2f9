//! What a device is, what it may do, and how its type is described.

use std::fmt;
use std::sync::Arc;

use crate::fdt::{FdtHook, InterruptCells};
use crate::outside::Doorbell;
use crate::port::BlockPort;
use crate::property::{PropError, PropertyDecl, Props};
use crate::ram::Region;
use crate::register::RegisterInfo;
use crate::state::State;
use crate::types::{BusFault, CoreId, Ns, Reset, Width, Window};

/// A device model. Only its own state is inside; everything else comes through [`Services`].
///
/// There is no `Sync` bound: a device is only ever entered under its machine's device lock.
pub trait Device: State + Send {
    /// A read of a whole register. `at` is the offset in window `w`; for a system-register window
    /// it is the register's key. The result is cut to `size` by the bus.
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault>;

    /// A write of a whole register; bits of `value` above `size` are zero.
    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault>;

    /// Something happened outside: an alarm, an input pin, bytes from the host.
    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        let _ = (cx, event);
    }

    /// Derives output pins and alarms from state. Called by the bus after every entry, so it must
    /// be cheap and must not change what it depends on.
    fn settle(&mut self, cx: &mut dyn Services) {
        let _ = cx;
    }

    /// Back to the state after construction. All pins are low and all alarms off when this is
    /// called; pins set here take effect afterwards, and [`Device::settle`] follows.
    fn reset(&mut self, cx: &mut dyn Services, kind: Reset) {
        let _ = (cx, kind);
        self.reset_state();
    }

    /// How much host input the device can take now: bytes for a character port, frames for a
    /// frame port. What it cannot take waits in the machine and is offered after its next entry.
    fn ready(&self, port: usize) -> usize {
        let _ = port;
        usize::MAX
    }

    /// Writes to the device's windows that need no answer, always the same ones. Who executes the cores
    /// may take them; the device then gets them as writes that no core makes, after others that came
    /// later. Saving and resetting the machine leave none on its way.
    fn doorbells(&self) -> Vec<Doorbell> {
        Vec::new()
    }

    /// What a display shows of the device at present; none if it shows nothing, or is no display.
    fn picture(&self) -> Option<Picture> {
        None
    }

    /// Memory that may stand in for window `w`: for reads (flash in its read-array mode), or
    /// altogether (a frame buffer); see [`Services::set_direct`]. Its contents are saved with guest memory.
    fn backing(&self, w: Window) -> Option<Arc<Region>> {
        let _ = w;
        None
    }
}

/// A picture of a display: three bytes a pixel (red, green, blue), line by line from the top.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture {
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// The pixels.
    pub rgb: Vec<u8>,
}

/// What can happen to a device besides register accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// An input pin changed to `level`. Pins are counted over all of
    /// [`DeviceType::inputs`] in order.
    Pin {
        /// Number of the input pin.
        pin: usize,
        /// Its new level.
        level: bool,
    },
    /// The alarm in this slot went off, and is no longer set.
    Alarm(usize),
    /// Bytes from the host, at most as many as [`Device::ready`] said, never none.
    HostInput(usize, &'a [u8]),
    /// A port that had accepted fewer bytes than offered can take more.
    HostWritable(usize),
    /// The other end of the character port was opened (true) or closed.
    HostOpen(usize, bool),
    /// A frame from the network.
    Frame(usize, &'a [u8]),
    /// Last phase of a reset: all devices and lines are reset, activity may begin.
    ResetExit,
}

/// A request to the run loop about the whole machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemRequest {
    /// The guest turned the machine off.
    PowerOff,
    /// The guest asks for a reset.
    Reset,
    /// The guest says that it has crashed.
    Panic,
    /// The guest sleeps until something wakes it.
    Suspend,
    /// A core cannot go on, for a reason that is none of the guest's.
    InternalError,
    /// End the emulator with this exit code (test finishers, semihosting).
    Exit(u32),
}

/// All that a device may do to the world.
pub trait Services {
    /// Virtual time in nanoseconds.
    fn now(&self) -> Ns;

    /// The core that makes the access being served; `None` for DMA and the host.
    fn requester(&self) -> Option<CoreId>;

    /// Drives one of the device's own output pins, counted over all of [`DeviceType::outputs`].
    /// The change reaches the other end when the present entry is over.
    fn set_pin(&mut self, pin: usize, level: bool);

    /// Level of one of the device's own input pins (the OR of all that drive it).
    fn input(&self, pin: usize) -> bool;

    /// Sets the alarm in `slot` to an absolute virtual time, or turns it off. Setting the same
    /// value again is cheap, so `settle` may always do it.
    fn alarm(&mut self, slot: usize, at: Option<Ns>);

    /// Reads guest physical memory or another device.
    fn dma_read(&mut self, phys: u64, to: &mut [u8]) -> Result<(), BusFault>;

    /// Writes guest physical memory or another device (a message-signalled interrupt is a write
    /// of 4 bytes).
    fn dma_write(&mut self, phys: u64, from: &[u8]) -> Result<(), BusFault>;

    /// One aligned, single-copy atomic read, ordered before the accesses that follow it.
    fn dma_load(&mut self, phys: u64, width: Width) -> Result<u64, BusFault>;

    /// One aligned, single-copy atomic write, ordered after the accesses before it.
    fn dma_store(&mut self, phys: u64, width: Width, value: u64) -> Result<(), BusFault>;

    /// Sends bytes to a character port; gives how many it accepted. An unbound port accepts all.
    /// If it is fewer than offered, [`Event::HostWritable`] follows when there is room.
    fn send(&mut self, port: usize, bytes: &[u8]) -> usize;

    /// Sends a frame to a frame port; false if it was dropped.
    fn send_frame(&mut self, port: usize, frame: &[u8]) -> bool;

    /// The block image bound to a port, if any.
    fn block(&self, port: usize) -> Option<Arc<dyn BlockPort>>;

    /// Is a back end bound to this port?
    fn is_bound(&self, port: usize) -> bool;

    /// Fills `to` with entropy, from the host or (deterministic runs) from the machine's seed.
    fn entropy(&mut self, to: &mut [u8]);

    /// Asks the run loop for something about the whole machine.
    fn system(&mut self, request: SystemRequest);

    /// Wall-clock time in nanoseconds since 1970, as the host or `-rtc` gave it, advancing with
    /// virtual time.
    fn wall_clock(&self) -> u64;

    /// Reads what answers at `at` in a plane of addresses, as the core would whose access is being
    /// served: a bridge forwards cycles with it. Values are little-endian: the byte at `at` is the
    /// lowest. [`BusFault::Unmapped`] if nothing answers, [`BusFault::Busy`] if it is a device that
    /// is being entered already, this one for instance.
    fn bus_read(&mut self, bus: Bus, at: u64, width: Width) -> Result<u64, BusFault>;

    /// Writes to what answers at `at` in a plane of addresses, as [`Services::bus_read`] reads.
    fn bus_write(&mut self, bus: Bus, at: u64, width: Width, value: u64) -> Result<(), BusFault>;

    /// Moves one of the device's own windows (a PCI base address register), or unmaps it.
    /// A place that is taken at the same priority is refused: the window is then nowhere, and
    /// comes to its place as soon as what took it has moved away.
    fn move_window(&mut self, w: Window, at: Option<u64>) -> Result<(), BusFault>;

    /// Says which accesses of one of the device's windows go to [`Device::backing`] directly.
    fn set_direct(&mut self, w: Window, direct: Direct);

    /// Reports that the guest did something the datasheet forbids. Counted and rate-limited.
    fn guest_error(&mut self, what: fmt::Arguments<'_>);

    /// Reports that the guest used something that is not modelled. Counted and rate-limited.
    fn unimplemented(&mut self, what: fmt::Arguments<'_>);
}

/// A number that is fixed, or follows from the device's properties.
#[derive(Debug, Clone, Copy)]
pub enum Count {
    /// Always so many.
    Fixed(usize),
    /// As many as the properties say (interrupt lines, cores).
    From(fn(&Props) -> usize),
}

impl Count {
    /// The number for these properties.
    pub fn get(self, props: &Props) -> usize {
        match self {
            Count::Fixed(n) => n,
            Count::From(f) => f(props),
        }
    }
}

/// Size of a window, fixed or following from the device's properties.
#[derive(Debug, Clone, Copy)]
pub enum WindowSize {
    /// Always so long.
    Fixed(u64),
    /// As the properties say (one redistributor a core, size of a flash).
    From(fn(&Props) -> u64),
}

impl WindowSize {
    /// The size for these properties.
    pub fn get(self, props: &Props) -> u64 {
        match self {
            WindowSize::Fixed(n) => n,
            WindowSize::From(f) => f(props),
        }
    }
}

/// What kind of address a window answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// Physical memory addresses.
    Mmio,
    /// I/O ports (x86, and PCI I/O space elsewhere).
    Pio,
    /// PCI configuration space. The board places the window of a function, 4096 bytes long, at
    /// `bus << 20 | device << 15 | function << 12`, as the enhanced configuration mechanism has it
    /// (PCI Express Base Specification, 7.2.2).
    PciConfig,
    /// System-register keys, from this first one on; they are not placed by the board.
    Sysreg(u32),
}

/// Which accesses of a window go to the memory that stands in for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, proteus_derive::State)]
#[repr(u8)]
pub enum Direct {
    /// None: the device takes them all.
    #[default]
    Off,
    /// Reads; the device takes writes.
    Reads,
    /// All of them.
    All,
}

/// A plane of addresses that a device can access by [`Services::bus_read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// Physical memory addresses: [`WindowKind::Mmio`], and memory.
    Memory,
    /// I/O ports: [`WindowKind::Pio`].
    Pio,
    /// PCI configuration space: [`WindowKind::PciConfig`].
    PciConfig,
}

/// What to do with an access narrower than the narrowest implemented width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrow {
    /// Reads take their byte lanes of the whole register; writes write the whole register with
    /// zeros in the other lanes, as on a bus without byte strobes.
    Lanes,
    /// As `Lanes`, but writes read the register first and keep the other lanes. Only for
    /// registers whose read has no side effect.
    Merge,
    /// [`BusFault::BadWidth`].
    Fault,
}

/// Which widths a window implements; the bus makes whole-register accesses of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRule {
    /// Narrowest implemented width.
    pub min: Width,
    /// Widest implemented width; wider accesses are split, lowest address first.
    pub max: Width,
    /// What to do with narrower accesses.
    pub narrow: Narrow,
    /// Are accesses that are not naturally aligned split (true) or refused?
    pub unaligned: bool,
}

impl AccessRule {
    /// 32-bit registers only; narrower accesses take their lanes, wider ones are split.
    pub const WORD: AccessRule = AccessRule { min: Width::B4, max: Width::B4, narrow: Narrow::Lanes, unaligned: true };
    /// Byte registers only; wider accesses are split.
    pub const BYTE: AccessRule = AccessRule { min: Width::B1, max: Width::B1, narrow: Narrow::Lanes, unaligned: true };
    /// The device implements every width itself; unaligned accesses are split.
    pub const ANY: AccessRule = AccessRule { min: Width::B1, max: Width::B8, narrow: Narrow::Lanes, unaligned: true };

    /// The rule for widths from `min` to `max`, narrower accesses taking their lanes.
    pub const fn new(min: Width, max: Width) -> AccessRule {
        AccessRule { min, max, narrow: Narrow::Lanes, unaligned: true }
    }
}

/// A range of addresses a device answers to.
#[derive(Debug, Clone, Copy)]
pub struct WindowDecl {
    /// Name, as boards place it by ("regs", "dist").
    pub name: &'static str,
    /// Length in bytes, or number of keys.
    pub size: WindowSize,
    /// Kind of address.
    pub kind: WindowKind,
    /// Implemented widths.
    pub access: AccessRule,
    /// Where several windows overlap the highest priority answers; equal ones must not overlap.
    pub priority: i32,
}

impl WindowDecl {
    /// A memory-mapped window of fixed size.
    pub const fn mmio(name: &'static str, size: u64, access: AccessRule) -> WindowDecl {
        WindowDecl { name, size: WindowSize::Fixed(size), kind: WindowKind::Mmio, access, priority: 0 }
    }

    /// An I/O port window of fixed size.
    pub const fn pio(name: &'static str, size: u64, access: AccessRule) -> WindowDecl {
        WindowDecl { name, size: WindowSize::Fixed(size), kind: WindowKind::Pio, access, priority: 0 }
    }

    /// The configuration space of a PCI function, named "config"; see [`WindowKind::PciConfig`].
    pub const fn pci_config() -> WindowDecl {
        WindowDecl { name: "config", size: WindowSize::Fixed(0x1000), kind: WindowKind::PciConfig, access: AccessRule::new(Width::B1, Width::B4), priority: 0 }
    }

    /// `count` system-register keys from `first` on.
    pub const fn sysreg(name: &'static str, first: u32, count: u64) -> WindowDecl {
        WindowDecl { name, size: WindowSize::Fixed(count), kind: WindowKind::Sysreg(first), access: AccessRule::ANY, priority: 0 }
    }
}

/// One or several equal pins. Pins of a direction are numbered over all declarations in order.
#[derive(Debug, Clone, Copy)]
pub struct PinDecl {
    /// Name, as boards wire it by.
    pub name: &'static str,
    /// How many pins have this name.
    pub count: Count,
}

impl PinDecl {
    /// A single pin.
    pub const fn one(name: &'static str) -> PinDecl {
        PinDecl { name, count: Count::Fixed(1) }
    }

    /// A fixed number of pins.
    pub const fn many(name: &'static str, count: usize) -> PinDecl {
        PinDecl { name, count: Count::Fixed(count) }
    }

    /// As many pins as the properties say.
    pub const fn from(name: &'static str, count: fn(&Props) -> usize) -> PinDecl {
        PinDecl { name, count: Count::From(count) }
    }
}

/// Kind of a port to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortKind {
    /// A stream of bytes in both directions.
    Char,
    /// Ethernet frames in both directions.
    Frame,
    /// A block image.
    Block,
}

/// A port to the host. Its number is its place in [`DeviceType::ports`], and the property of the
/// same name, if the type has one, says which back end the user chose.
#[derive(Debug, Clone, Copy)]
pub struct PortDecl {
    /// Name ("chardev", "netdev", "drive").
    pub name: &'static str,
    /// Kind.
    pub kind: PortKind,
}

/// Everything about a kind of device that is not behaviour: one constant beside the model.
///
/// Written with `..DeviceType::new(...)` for the parts that are empty.
#[derive(Debug, Clone, Copy)]
pub struct DeviceType {
    /// Name, as `-device` knows it.
    pub name: &'static str,
    /// One line for `-device help`.
    pub description: &'static str,
    /// Options.
    pub properties: &'static [PropertyDecl],
    /// Address windows.
    pub windows: &'static [WindowDecl],
    /// Output pins.
    pub outputs: &'static [PinDecl],
    /// Input pins.
    pub inputs: &'static [PinDecl],
    /// Ports to the host.
    pub ports: &'static [PortDecl],
    /// Number of alarm slots.
    pub alarms: Count,
    /// Register tables, one a window (empty where there is none), for documentation.
    pub registers: &'static [&'static [RegisterInfo]],
    /// Can the user add it with `-device`?
    pub user_creatable: bool,
    /// Properties, as text, with which the conformance tests make one.
    pub example: &'static [(&'static str, &'static str)],
    /// Its device-tree node.
    pub fdt: Option<FdtHook>,
    /// For interrupt controllers: the interrupt specifier of an input pin.
    pub interrupt_cells: Option<InterruptCells>,
    /// Constructor.
    pub new: fn(&Props) -> Result<Box<dyn Device>, PropError>,
}

impl DeviceType {
    /// A type with nothing but a name, a description and a constructor.
    pub const fn new(name: &'static str, description: &'static str, new: fn(&Props) -> Result<Box<dyn Device>, PropError>) -> DeviceType {
        DeviceType {
            name,
            description,
            properties: &[],
            windows: &[],
            outputs: &[],
            inputs: &[],
            ports: &[],
            alarms: Count::Fixed(0),
            registers: &[],
            user_creatable: false,
            example: &[],
            fdt: None,
            interrupt_cells: None,
            new,
        }
    }

    /// Number of a port by name.
    pub fn port(&self, name: &str) -> Option<usize> {
        self.ports.iter().position(|p| p.name == name)
    }

    /// Number of pin `name[index]` among `pins` (the inputs or the outputs).
    pub(crate) fn pin(pins: &[PinDecl], props: &Props, name: &str, index: usize) -> Option<usize> {
        let mut first = 0;
        for decl in pins {
            let count = decl.count.get(props);
            if decl.name == name {
                return (index < count).then_some(first + index);
            }
            first += count;
        }
        None
    }

    /// Number of all pins in `pins`.
    pub(crate) fn pin_count(pins: &[PinDecl], props: &Props) -> usize {
        pins.iter().map(|d| d.count.get(props)).sum()
    }
}
