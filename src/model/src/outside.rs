//! What of a machine's work those may do who execute its cores: take writes that need no answer, and
//! interrupt lines that end at controllers of theirs.
//!
//! The machine knows nothing of how they do it. A doorbell that was rung comes back as an event.

use parking_lot::RwLock;

use crate::address_space::Mapping;
use crate::bus::Locked;
use crate::device::{Bus, WindowKind};
use crate::machine::{HostEvent, HostEventKind, Machine};
use crate::types::{DeviceId, Width, Window};

/// A write that needs no answer, so that whoever makes it need not wait until the device has worked
/// on it: the device may get it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doorbell {
    /// The window.
    pub window: Window,
    /// Offset in the window.
    pub at: u64,
    /// The write's width.
    pub width: Width,
    /// The write's value.
    pub value: u64,
    /// Does this write ring alone? If not, all writes do that begin there.
    pub exact: bool,
}

/// Where a doorbell is at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedDoorbell {
    /// The device.
    pub device: DeviceId,
    /// Its number among the device's.
    pub number: usize,
    /// What it is.
    pub bell: Doorbell,
    /// The plane of addresses that it is in: memory or I/O ports.
    pub bus: Bus,
    /// Its address there.
    pub at: u64,
}

/// Takes the level of an interrupt line that ends outside: its number, and whether it is high.
pub type LineSink = Box<dyn Fn(usize, bool) + Send + Sync>;

/// Lets devices have what rang.
type Collector = Box<dyn Fn(&Machine) + Send + Sync>;

/// Those outside.
#[derive(Default)]
pub(crate) struct Outside {
    lines: RwLock<Option<LineSink>>,
    collector: RwLock<Option<Collector>>,
}

impl Machine {
    /// The doorbells that software reaches at present. The address map has changed where its generation
    /// has; asking takes the device lock.
    pub fn doorbells(&self) -> Vec<PlacedDoorbell> {
        let space = self.space();
        let mut all = Vec::new();
        for (n, info) in self.infos.iter().enumerate() {
            let device = DeviceId(n as u32);
            for (number, bell) in info.doorbells.iter().enumerate() {
                let bus = match info.ty.windows.get(bell.window.0).map(|w| w.kind) {
                    Some(WindowKind::Mmio) => Bus::Memory,
                    Some(WindowKind::Pio) => Bus::Pio,
                    _ => continue,
                };
                let Some(at) = self.window_base(device, bell.window.0).and_then(|base| base.checked_add(bell.at)) else { continue };
                // Something else may lie over it.
                let reached = match space.find_on(bus, at) {
                    Some(Mapping::Device { target, offset, .. }) => (target.device, target.window, offset) == (device, bell.window, bell.at),
                    _ => false,
                };
                if reached {
                    all.push(PlacedDoorbell { device, number, bell: *bell, bus, at });
                }
            }
        }
        all
    }

    /// A doorbell was rung: the device gets its write, by the machine's door.
    pub fn ring(&self, device: DeviceId, number: usize) {
        self.deliver(HostEvent { device, kind: HostEventKind::Doorbell { number } });
    }

    /// Sets what calls [`Machine::ring`] for all that has been rung before the call, and comes back when
    /// the devices have got it. It is called when the cores have stopped, and before the machine is saved
    /// or reset, without the device lock.
    pub fn set_doorbell_collector(&self, f: impl Fn(&Machine) + Send + Sync + 'static) {
        *self.outside.collector.write() = Some(Box::new(f));
    }

    /// Lets devices have what was rung: it is part of no saved state. To be called when the cores have
    /// stopped, so that no device changes while they stand still.
    pub fn answer_doorbells(&self) {
        if let Some(collect) = self.outside.collector.read().as_deref() {
            collect(self);
        }
    }

    /// Sets what takes the levels of the lines that end outside
    /// ([`MachineBuilder::wire_outside`](crate::MachineBuilder::wire_outside)), and tells it which are
    /// high. It is called with the device lock held, so it must not call back into the machine.
    pub fn set_line_sink(&self, sink: LineSink) {
        *self.outside.lines.write() = Some(sink);
        self.repeat_lines();
    }

    /// Tells once more which of the lines that end outside are high, to those who have forgotten.
    pub fn repeat_lines(&self) {
        self.with(|b| b.lines().for_each(|line| self.line(line, true)));
    }

    /// The level of a line that ends outside has changed.
    pub(crate) fn line(&self, line: usize, level: bool) {
        if let Some(sink) = self.outside.lines.read().as_deref() {
            sink(line, level);
        }
    }
}

impl Locked<'_> {
    /// Sets the counts of wires that hold the lines outside, and the lines after them.
    pub fn drive_lines(&mut self, counts: Vec<u32>) {
        for (line, (old, new)) in self.world.line_drivers.iter().zip(&counts).enumerate() {
            if (*old != 0) != (*new != 0) {
                self.machine.line(line, *new != 0);
            }
        }
        self.world.line_drivers = counts;
    }

    /// The lines that end outside and are high.
    pub fn lines(&self) -> impl Iterator<Item = usize> {
        self.world.line_drivers.iter().enumerate().filter(|(_, wires)| **wires != 0).map(|(line, _)| line)
    }
}
