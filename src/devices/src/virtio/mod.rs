//! Virtio devices (OASIS "Virtual I/O Device (VIRTIO) Version 1.2"): what all transports share.
//!
//! A [`VirtioDevice`] knows its requests, features and configuration space. A transport
//! ([`mmio`]) knows registers and the interrupt. Between them is [`Common`], the state that the
//! specification gives every device whatever carries it.

pub mod blk;
pub mod console;
#[cfg(test)]
pub(crate) mod driver;
pub mod mmio;
pub mod net;
pub mod queue;
pub mod rng;

use std::fmt;

use proteus_model::{Event, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State};

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
    fn device_id(&self) -> u32;

    /// Most entries of each queue.
    fn queues(&self) -> Vec<u16>;

    /// Features of this type of device (bits 0 to 23).
    fn features(&self, cx: &dyn Services) -> u64;

    /// The configuration space.
    fn config(&self, cx: &dyn Services, common: &Common) -> Vec<u8>;

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

/// State that every virtio device has, whatever carries it.
#[derive(Debug, Default, State)]
pub struct Common {
    /// Does the device show the legacy interface?
    #[state(skip)]
    pub legacy: bool,
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
    /// Interrupts of the present entry, for transports with one for each queue; the transport
    /// empties it after every entry.
    #[state(skip)]
    pub raised: Vec<Raised>,
}

/// What an interrupt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// Chains of this queue were used.
    Queue(usize),
    /// The configuration changed.
    Config,
}

/// Property `indirect_desc`, of every virtio device.
pub const INDIRECT_DESC: PropertyDecl =
    PropertyDecl { name: "indirect_desc", kind: PropertyKind::Bool, default: PropertyDefault::Bool(true), doc: "Offer indirect descriptors" };
/// Property `event_idx`, of every virtio device.
pub const EVENT_IDX: PropertyDecl =
    PropertyDecl { name: "event_idx", kind: PropertyKind::Bool, default: PropertyDefault::Bool(true), doc: "Offer notification by index (used_event)" };

impl Common {
    fn new(device: &dyn VirtioDevice, props: &Props, legacy: bool) -> Common {
        let bit = |name, bit: u32| u64::from(props.bool(name)) << bit;
        let version = if legacy { F_ANY_LAYOUT } else { F_VERSION_1 };
        Common {
            legacy,
            ring_features: 1 << version | bit("indirect_desc", F_INDIRECT_DESC) | bit("event_idx", F_EVENT_IDX),
            queues: device.queues().into_iter().map(Queue::new).collect(),
            ..Common::default()
        }
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

    /// May the device use its queues? Legacy drivers are known to use theirs before they say so.
    pub fn active(&self) -> bool {
        !self.broken && (self.legacy || self.status & STATUS_DRIVER_OK != 0)
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
    pub fn new(device: D, props: &Props, legacy: bool) -> Core<D> {
        Core { common: Common::new(&device, props, legacy), device }
    }

    /// The device, and what it works with.
    pub fn io<'a>(&'a mut self, cx: &'a mut dyn Services) -> (&'a mut D, Io<'a>) {
        (&mut self.device, Io { cx, common: &mut self.common })
    }

    /// All features offered.
    pub fn offered(&self, cx: &dyn Services) -> u64 {
        self.device.features(cx) | self.common.ring_features
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
        let all = if self.common.legacy { self.offered(cx) } else { u64::MAX };
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
            let refused = accepted & !self.offered(cx);
            if refused != 0 || !self.common.modern() {
                cx.guest_error(format_args!("driver accepts features {accepted:#x}, of which {refused:#x} are not offered"));
                // The missing bit tells the driver (§3.1.1).
                status &= !STATUS_FEATURES_OK;
                agreed = false;
            }
        }
        self.common.status = status;
        let queues = self.common.queues.len();
        let (device, mut io) = self.io(cx);
        if agreed {
            device.negotiated(&mut io);
        }
        if set & STATUS_DRIVER_OK != 0 {
            (0..queues).for_each(|queue| device.notify(&mut io, queue));
        }
    }
}

/// What a device's request handling works with: the world, and its own common state.
pub struct Io<'a> {
    /// The world.
    pub cx: &'a mut dyn Services,
    /// State that every virtio device has.
    pub common: &'a mut Common,
}

impl Io<'_> {
    /// Has the driver accepted this feature?
    pub fn feature(&self, bit: u32) -> bool {
        self.common.feature(bit)
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
        let (indirect, event_idx) = (self.feature(F_INDIRECT_DESC), self.feature(F_EVENT_IDX));
        let result = self.common.queues.get_mut(queue)?.pop(self.cx, indirect, event_idx);
        self.check(queue, result).flatten()
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
