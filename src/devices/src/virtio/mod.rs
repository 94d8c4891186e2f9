//! Virtio devices (OASIS "Virtual I/O Device (VIRTIO) Version 1.2"): what all transports share.
//!
//! A [`VirtioDevice`] knows its requests, features and configuration space. A transport
//! ([`mmio`], [`pci`]) knows registers and the interrupt. Between them is [`Common`], the state
//! that the specification gives every device whatever carries it.

/// The properties of a device type: its transport's, those of every virtio device, and its own.
macro_rules! properties {
    ($transport:expr, $own:expr) => {
        &$crate::virtio::concat::<{ $transport.len() + $crate::virtio::PROPERTIES.len() + $own.len() }>([$transport, $crate::virtio::PROPERTIES, $own])
    };
}

pub mod blk;
pub mod console;
#[cfg(test)]
pub(crate) mod driver;
pub mod mmio;
pub mod net;
mod order;
pub mod pci;
pub mod queue;
pub mod rng;

use std::fmt;

use proteus_model::{Count, Event, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State, Width};

pub use order::ByteOrder;
use queue::{Chain, Queue, RingError};

/// Device status: the driver runs.
pub const STATUS_DRIVER_OK: u8 = 4;
/// Device status: features are negotiated.
pub const STATUS_FEATURES_OK: u8 = 8;
/// Device status: the device gave up.
pub const STATUS_NEEDS_RESET: u8 = 0x40;
/// Device status: the driver gave up.
pub const STATUS_FAILED: u8 = 0x80;

/// Feature: any framing of requests (legacy only; always so since 1.0).
pub const F_ANY_LAYOUT: u32 = 27;
/// Feature: indirect descriptors.
pub const F_INDIRECT_DESC: u32 = 28;
/// Feature: `used_event` and `avail_event`.
pub const F_EVENT_IDX: u32 = 29;
/// Feature: not a legacy device or driver.
pub const F_VERSION_1: u32 = 32;

/// Interrupt status: a chain was used.
pub const ISR_QUEUE: u8 = 1;
/// Interrupt status: the configuration changed.
pub const ISR_CONFIG: u8 = 2;

/// A virtio device without its transport.
pub trait VirtioDevice: State + Send {
    /// Device type (§5).
    const TYPE: u16;
    /// Length of the configuration space in bytes.
    const CONFIG_LEN: u64;
    /// Class code of its PCI function: base class, sub-class, programming interface.
    const PCI_CLASS: u32;

    /// MSI-X vectors that its PCI function has unless the user wants others.
    fn vectors(props: &Props) -> u64;

    /// Most entries of each queue.
    fn queues(&self) -> Vec<u16>;

    /// Features of this type of device (bits 0 to 23).
    fn features(&self, cx: &dyn Services) -> u64;

    /// The configuration space, with its numbers in this order: [`VirtioDevice::CONFIG_LEN`] bytes.
    fn config(&self, cx: &dyn Services, order: ByteOrder) -> Vec<u8>;

    /// The driver wrote to the configuration space.
    fn write_config(&mut self, io: &mut Io<'_>, at: u64, bytes: &[u8]) {
        let _ = bytes;
        io.cx.guest_error(format_args!("write to read-only configuration space at {at:#x}"));
    }

    /// The driver says that there is something in a queue, or a queue has become active.
    fn notify(&mut self, io: &mut Io<'_>, queue: usize);

    /// The driver has agreed on the features.
    fn negotiated(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// Something happened outside.
    fn event(&mut self, io: &mut Io<'_>, event: Event<'_>) {
        let _ = (io, event);
    }

    /// How much host input the device can take now.
    fn ready(&self, common: &Common, port: usize) -> usize {
        let _ = (common, port);
        usize::MAX
    }

    /// Derives alarms from state, after every entry.
    fn settle(&self, cx: &mut dyn Services) {
        let _ = cx;
    }
}

/// What is done in one entry of a device, in chains and [`UNIT`]s, before others have their turn: a
/// driver may fill its queues faster than they are emptied, or name one chain many times.
const WORK: u64 = 1024;
/// Bytes that take as long as a chain.
const UNIT: u64 = 64 << 10;
/// Alarms of a device type: the device's own, and that of its transport, which goes on with the work.
pub(crate) const ALARMS: Count = Count::Fixed(2);
pub(crate) const RESUME_ALARM: usize = 1;

/// State that every virtio device has, whatever carries it.
#[derive(Debug, Default, State)]
pub struct Common {
    /// Interfaces that the device shows.
    #[state(skip)]
    pub interfaces: Interfaces,
    /// Order of the numbers of the legacy interface: the guest's.
    #[state(skip)]
    pub legacy_order: ByteOrder,
    /// Does the driver use the legacy interface? Of a device with both, the one written to last.
    #[state(reset = self.interfaces == Interfaces::Legacy)]
    pub legacy: bool,
    /// Is the device kept from accessing memory (a PCI function that is no bus master)?
    pub isolated: bool,
    /// Ring features that may be offered.
    #[state(skip)]
    pub ring_features: u64,
    /// Device status.
    pub status: u8,
    /// Features that the driver has accepted.
    pub driver_features: u64,
    /// Interrupt status.
    pub isr: u8,
    /// Counts changes of the configuration space.
    pub generation: u32,
    /// The device gave up and waits for a reset.
    pub broken: bool,
    /// The queues.
    pub queues: Vec<Queue>,
    /// The last entry has stopped before the queues were empty.
    pub resume: bool,
    /// Property `ioeventfd`.
    #[state(skip)]
    pub doorbells: bool,
    /// Interrupts of the present entry, for transports with one for each queue; the transport
    /// empties it after every entry.
    #[state(skip)]
    pub raised: Vec<Raised>,
}

/// The interfaces of a device: before and since version 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interfaces {
    /// The legacy one.
    Legacy,
    /// The present one.
    #[default]
    Modern,
    /// Both, as a transitional device has them.
    Both,
}

/// Most queues of a device whose notifications are doorbells.
const DOORBELLS: usize = 64;

/// Property of every transport. QEMU's default is on. Our devices have done most requests sooner than
/// another thread wakes up, so here a processor works on them unless the user knows better.
pub const IOEVENTFD: PropertyDecl = PropertyDecl {
    name: "ioeventfd",
    kind: PropertyKind::Bool,
    default: PropertyDefault::Bool(false),
    doc: "Let another thread work on requests, where who executes the processors can tell it, so that no processor waits for the device",
};

/// What an interrupt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// Chains of this queue were used.
    Queue(usize),
    /// The configuration changed.
    Config,
}

/// Properties of every virtio device.
pub const PROPERTIES: &[PropertyDecl] = &[
    PropertyDecl { name: "indirect_desc", kind: PropertyKind::Bool, default: PropertyDefault::Bool(true), doc: "Offer indirect descriptors" },
    PropertyDecl { name: "event_idx", kind: PropertyKind::Bool, default: PropertyDefault::Bool(true), doc: "Offer notification by index (used_event)" },
];

/// Lists of properties as one; `N` is their length together.
const fn concat<const N: usize>(parts: [&[PropertyDecl]; 3]) -> [PropertyDecl; N] {
    let mut all = [PROPERTIES[0]; N];
    let (mut part, mut next) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            all[next] = parts[part][i];
            (next, i) = (next + 1, i + 1);
        }
        part += 1;
    }
    assert!(next == N);
    all
}

impl Common {
    fn new<D: VirtioDevice>(device: &D, props: &Props, interfaces: Interfaces, legacy_order: ByteOrder) -> Common {
        let bit = |name, bit: u32| u64::from(props.bool(name)) << bit;
        Common {
            interfaces,
            legacy_order,
            legacy: interfaces == Interfaces::Legacy,
            ring_features: bit("indirect_desc", F_INDIRECT_DESC) | bit("event_idx", F_EVENT_IDX),
            doorbells: props.bool("ioeventfd"),
            queues: device.queues().into_iter().map(Queue::new).collect(),
            ..Common::default()
        }
    }

    /// The queues whose notifications are doorbells.
    fn doorbells(&self) -> std::ops::Range<usize> {
        if self.doorbells { 0..self.queues.len().min(DOORBELLS) } else { 0..0 }
    }

    fn raise(&mut self, what: Raised) {
        self.isr |= if what == Raised::Config { ISR_CONFIG } else { ISR_QUEUE };
        self.raised.push(what);
    }

    /// Has the driver accepted this feature?
    pub fn feature(&self, bit: u32) -> bool {
        self.driver_features >> bit & 1 != 0
    }

    /// Does the driver use the interface of 1.0 and later?
    pub fn modern(&self) -> bool {
        self.feature(F_VERSION_1)
    }

    /// Order of the numbers in rings and requests.
    pub fn order(&self) -> ByteOrder {
        if self.legacy { self.legacy_order } else { ByteOrder::Little }
    }

    /// May the device use its queues? Legacy drivers are known to use theirs before they say so.
    pub fn active(&self) -> bool {
        !self.broken && !self.isolated && (self.legacy || self.status & STATUS_DRIVER_OK != 0)
    }
}

/// A device and its common state: what a transport carries.
#[derive(State)]
pub struct Core<D: VirtioDevice> {
    /// State that every virtio device has.
    pub common: Common,
    /// The device.
    pub device: D,
}

impl<D: VirtioDevice> Core<D> {
    /// For a device with these properties.
    pub fn new(device: D, props: &Props, interfaces: Interfaces, legacy_order: ByteOrder) -> Core<D> {
        Core { common: Common::new(&device, props, interfaces, legacy_order), device }
    }

    /// The device, and what it works with.
    pub fn io<'a>(&'a mut self, cx: &'a mut dyn Services) -> (&'a mut D, Io<'a>) {
        (&mut self.device, Io { cx, common: &mut self.common, left: WORK })
    }

    /// All features offered to a driver that uses the legacy interface or the present one.
    pub fn offered(&self, cx: &dyn Services, legacy: bool) -> u64 {
        let version = if legacy { F_ANY_LAYOUT } else { F_VERSION_1 };
        self.device.features(cx) | self.common.ring_features | 1 << version
    }

    /// A read of the configuration space, past whose end are zeros, as a little-endian number.
    pub fn read_config(&self, cx: &dyn Services, order: ByteOrder, at: u64, size: Width) -> u64 {
        let config = self.device.config(cx, order);
        let byte = |i: u32| usize::try_from(at + u64::from(i)).ok().and_then(|at| config.get(at)).copied().unwrap_or(0);
        (0..size.bytes()).rev().fold(0, |value, i| value << 8 | u64::from(byte(i)))
    }

    /// A write to the configuration space.
    pub fn write_config(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        let (device, mut io) = self.io(cx);
        device.write_config(&mut io, at, &value.to_le_bytes()[..size.bytes() as usize]);
    }

    /// The driver sets up queue `n`, if there is one.
    pub fn set_up(&mut self, cx: &mut dyn Services, n: usize, step: QueueSetup) {
        let order = self.common.order();
        let Some(queue) = self.common.queues.get_mut(n).filter(|q| q.max != 0) else {
            return cx.guest_error(format_args!("setup of queue {n}, which is not there"));
        };
        if queue.ready && !matches!(step, QueueSetup::Ready(_) | QueueSetup::Legacy { .. }) {
            return cx.guest_error(format_args!("setup of queue {n} while it is in use"));
        }
        let low = |old: u64, value: u32| old & !0xffff_ffff | u64::from(value);
        let high = |old: u64, value: u32| old & 0xffff_ffff | u64::from(value) << 32;
        match step {
            QueueSetup::Size(size) if queue.fits(size.into()) => queue.num = size as u16,
            QueueSetup::Size(size) => cx.guest_error(format_args!("queue {n} of {size} entries, more than {} or no power of two", queue.max)),
            QueueSetup::DescLow(value) => queue.desc = low(queue.desc, value),
            QueueSetup::DescHigh(value) => queue.desc = high(queue.desc, value),
            QueueSetup::DriverLow(value) => queue.avail = low(queue.avail, value),
            QueueSetup::DriverHigh(value) => queue.avail = high(queue.avail, value),
            QueueSetup::DeviceLow(value) => queue.used = low(queue.used, value),
            QueueSetup::DeviceHigh(value) => queue.used = high(queue.used, value),
            QueueSetup::Ready(false) => queue.ready = false,
            QueueSetup::Ready(true) if !queue.ready => queue.start(order),
            QueueSetup::Ready(true) => {}
            QueueSetup::Legacy { base, align } => {
                queue.set_legacy(base, align);
                queue.start(order);
            }
        }
    }

    /// Looks into all queues, when the device has become able to use them.
    pub fn notify_all(&mut self, cx: &mut dyn Services) {
        let queues = self.common.queues.len();
        let (device, mut io) = self.io(cx);
        (0..queues).for_each(|queue| device.notify(&mut io, queue));
    }

    /// Goes on where the last entry has stopped.
    pub fn resume(&mut self, cx: &mut dyn Services) {
        self.common.resume = false;
        self.notify_all(cx);
    }

    /// The driver notifies of a queue.
    pub fn notify(&mut self, cx: &mut dyn Services, queue: usize) {
        if queue < self.common.queues.len() {
            let (device, mut io) = self.io(cx);
            device.notify(&mut io, queue);
        } else {
            cx.guest_error(format_args!("notification of queue {queue}, which is not there"));
        }
    }

    /// The driver accepts features: 32 of them, in word `word`.
    pub fn accept_features(&mut self, cx: &mut dyn Services, word: u32, features: u32) {
        if self.common.status & (STATUS_FEATURES_OK | STATUS_DRIVER_OK) != 0 {
            cx.guest_error(format_args!("features written after they were agreed on"));
            return;
        }
        // A legacy driver cannot be told that it accepts too much: only what was offered counts.
        let all = if self.common.legacy { self.offered(cx, true) } else { u64::MAX };
        let accepted = &mut self.common.driver_features;
        match word {
            0 => *accepted = *accepted & !0xffff_ffff | u64::from(features) & all,
            1 if !self.common.legacy => *accepted = *accepted & 0xffff_ffff | u64::from(features) << 32,
            // Drivers write zeros to the words that they do not know.
            _ if features == 0 => {}
            _ => cx.guest_error(format_args!("features of word {word} accepted, where none are offered")),
        }
    }

    /// The driver writes a device status that is not 0 (which is a reset).
    pub fn write_status(&mut self, cx: &mut dyn Services, value: u8) {
        let before = self.common.status;
        let mut status = value | before & STATUS_NEEDS_RESET;
        let set = status & !before;
        // A legacy driver does not say when it has agreed.
        let mut agreed = set & if self.common.legacy { STATUS_DRIVER_OK } else { STATUS_FEATURES_OK } != 0;
        if agreed && !self.common.legacy {
            let accepted = self.common.driver_features;
            let refused = accepted & !self.offered(cx, false);
            if refused != 0 || !self.common.modern() {
                cx.guest_error(format_args!("driver accepts features {accepted:#x}, of which {refused:#x} are not offered"));
                // The missing bit tells the driver (§3.1.1).
                status &= !STATUS_FEATURES_OK;
                agreed = false;
            }
        }
        self.common.status = status;
        if agreed {
            let (device, mut io) = self.io(cx);
            device.negotiated(&mut io);
        }
        if set & STATUS_DRIVER_OK != 0 {
            self.notify_all(cx);
        }
    }
}

/// One step of a driver that sets up a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueSetup {
    /// Number of entries.
    Size(u32),
    /// Lower half of the address of the descriptor table.
    DescLow(u32),
    /// Its upper half.
    DescHigh(u32),
    /// Lower half of the address of the driver's area, the available ring.
    DriverLow(u32),
    /// Its upper half.
    DriverHigh(u32),
    /// Lower half of the address of the device's area, the used ring.
    DeviceLow(u32),
    /// Its upper half.
    DeviceHigh(u32),
    /// The queue may be used, or may not.
    Ready(bool),
    /// All at once by the legacy layout: address, and alignment of the used ring.
    Legacy {
        /// Address of the queue.
        base: u64,
        /// A power of two.
        align: u64,
    },
}

/// What a device's request handling works with: the world, and its own common state.
pub struct Io<'a> {
    /// The world.
    pub cx: &'a mut dyn Services,
    /// State that every virtio device has.
    pub common: &'a mut Common,
    /// What may still be done in this entry: a unit for each chain, and for each [`UNIT`] in it.
    left: u64,
}

impl Io<'_> {
    /// Has the driver accepted this feature?
    pub fn feature(&self, bit: u32) -> bool {
        self.common.feature(bit)
    }

    /// Order of the numbers in requests.
    pub fn order(&self) -> ByteOrder {
        self.common.order()
    }

    /// Gives up until the driver resets the device (§2.1.2).
    pub fn fail(&mut self, why: fmt::Arguments<'_>) {
        if self.common.broken {
            return;
        }
        self.cx.guest_error(format_args!("{why}; the device needs a reset"));
        self.common.broken = true;
        self.common.status |= STATUS_NEEDS_RESET;
        if self.common.modern() && self.common.status & STATUS_DRIVER_OK != 0 {
            self.common.raise(Raised::Config);
        }
    }

    /// What a ring operation gave; an error makes the device give up.
    pub fn check<T>(&mut self, queue: usize, result: Result<T, RingError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(format_args!("queue {queue}: {error}"));
                None
            }
        }
    }

    /// Takes the next chain of a queue, if there is one.
    pub fn pop(&mut self, queue: usize) -> Option<Chain> {
        if !self.common.active() {
            return None;
        }
        if self.left == 0 {
            self.common.resume = true;
            return None;
        }
        let (indirect, event_idx) = (self.feature(F_INDIRECT_DESC), self.feature(F_EVENT_IDX));
        let result = self.common.queues.get_mut(queue)?.pop(self.cx, indirect, event_idx);
        let chain = self.check(queue, result).flatten()?;
        self.left = self.left.saturating_sub(1 + (chain.readable.total() + chain.writable.total()) / UNIT);
        Some(chain)
    }

    /// Puts back the chain taken last.
    pub fn unpop(&mut self, queue: usize, chain: Chain) {
        if let Some(q) = self.common.queues.get_mut(queue) {
            q.unpop(chain);
        }
    }

    /// Gives a chain back. The driver is told by [`Io::signal`], once for several.
    pub fn push(&mut self, queue: usize, chain: Chain, written: u32) {
        self.push_all(queue, [(chain, written)]);
    }

    /// Gives several chains back, which become visible at once.
    pub fn push_all(&mut self, queue: usize, chains: impl IntoIterator<Item = (Chain, u32)>) {
        let Some(q) = self.common.queues.get_mut(queue).filter(|_| !self.common.broken) else { return };
        let result = q.push(self.cx, chains);
        self.check(queue, result);
    }

    /// Interrupts the driver if it wants to know of what was given back.
    pub fn signal(&mut self, queue: usize) {
        let event_idx = self.feature(F_EVENT_IDX);
        let Some(q) = self.common.queues.get_mut(queue).filter(|_| !self.common.broken) else { return };
        let result = q.wants_interrupt(self.cx, event_idx);
        if self.check(queue, result) == Some(true) {
            self.common.raise(Raised::Queue(queue));
        }
    }

    /// Tells the driver that the configuration space has changed.
    pub fn config_changed(&mut self) {
        self.common.generation = self.common.generation.wrapping_add(1);
        if self.common.status & STATUS_DRIVER_OK != 0 {
            self.common.raise(Raised::Config);
        }
    }
}
