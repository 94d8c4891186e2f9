//! What happens under the device lock: entries into devices, and what follows from them.

mod services;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use services::Cx;

use crate::address_space::{DeviceTarget, Mapping, Placement, Plane, SpaceBuilder, What};
use crate::builder::{DeviceInfo, Sink};
use crate::device::{Bus, Device, Direct, Event, Picture, WindowKind};
use crate::machine::{HostEvent, HostEventKind, Machine, count};
use crate::split;
use crate::state::{Inspector, Leaf, Reader, State, StateError, Writer};
use crate::types::{BusFault, CoreId, DeviceId, Ns, Reset, Width, Window};

/// Pin changes that one entry may cause, before devices that keep toggling each other are cut off.
const PIN_BURST: usize = 10_000;
/// Most that may be loaded as waiting for one port.
const MAX_BACKLOG: usize = 1 << 20;

/// Host input that a device could not take yet.
#[derive(Default)]
struct Backlog {
    bytes: VecDeque<u8>,
    frames: VecDeque<Vec<u8>>,
}

impl Backlog {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.frames.is_empty()
    }
}

/// A device and what the bus keeps about it.
struct Slot {
    /// `None` while the device is being entered.
    device: Option<Box<dyn Device>>,
    outputs: Vec<bool>,
    /// How many of the wires to each input are high, [`Slot::external`] included.
    drivers: Vec<u32>,
    /// Inputs driven by the host or a core.
    external: Vec<bool>,
    alarms: Vec<Option<Ns>>,
    backlog: Vec<Backlog>,
    guest_errors: u64,
    unimplemented: u64,
}

/// All that the device lock guards.
pub(crate) struct World {
    slots: Vec<Slot>,
    /// For each core, how many wires hold each line high.
    core_drivers: Vec<[u32; 32]>,
    /// How many wires hold each line high that ends outside.
    pub line_drivers: Vec<u32>,
    alarms: BTreeSet<(Ns, u32, u32)>,
    /// Input changes on their way: device, pin, level.
    pending: VecDeque<(usize, usize, bool)>,
    /// Devices with something in a backlog.
    backlogged: BTreeSet<usize>,
    space: SpaceBuilder,
    /// Windows that are nowhere because their place is taken, by device and number, and the place.
    waiting: BTreeMap<(u32, usize), u64>,
    /// Windows whose reads go to their backing memory.
    direct: BTreeMap<(u32, usize), Direct>,
    entropy: u64,
    /// Pins of devices that are being reset reach nobody.
    resetting: bool,
}

impl World {
    pub fn new(devices: Vec<Box<dyn Device>>, infos: &[DeviceInfo], cores: usize, space: SpaceBuilder, seed: u64) -> World {
        let slots = devices
            .into_iter()
            .zip(infos)
            .map(|(device, info)| Slot {
                device: Some(device),
                outputs: vec![false; info.sinks.len()],
                drivers: vec![0; info.inputs],
                external: vec![false; info.inputs],
                alarms: vec![None; info.alarms],
                backlog: info.backends.iter().map(|_| Backlog::default()).collect(),
                guest_errors: 0,
                unimplemented: 0,
            })
            .collect();
        let sinks = infos.iter().flat_map(|i| i.sinks.iter().flatten());
        let lines = sinks.map(|s| if let Sink::Outside(n) = s { n + 1 } else { 0 }).max().unwrap_or(0);
        World {
            slots,
            core_drivers: vec![[0; 32]; cores],
            line_drivers: vec![0; lines],
            alarms: BTreeSet::new(),
            pending: VecDeque::new(),
            backlogged: BTreeSet::new(),
            space,
            waiting: BTreeMap::new(),
            direct: BTreeMap::new(),
            entropy: seed,
            resetting: false,
        }
    }
}

/// The machine with its device lock held.
pub(crate) struct Locked<'a> {
    pub machine: &'a Machine,
    pub world: &'a mut World,
}

impl Locked<'_> {
    /// Enters a device, settles it, and gives what `f` gave.
    fn enter<R>(&mut self, id: usize, requester: Option<CoreId>, f: impl FnOnce(&mut dyn Device, &mut Cx<'_>) -> R) -> Result<R, BusFault> {
        let slot = self.world.slots.get_mut(id).ok_or(BusFault::Unmapped)?;
        let mut device = slot.device.take().ok_or(BusFault::Busy)?;
        let resetting = self.world.resetting;
        let mut cx = Cx { machine: self.machine, world: self.world, me: id, requester };
        let result = f(device.as_mut(), &mut cx);
        if !resetting {
            device.settle(&mut cx);
        }
        self.world.slots[id].device = Some(device);
        Ok(result)
    }

    /// Delivers what an entry has caused: pin changes until there are none, then host input that
    /// was waiting. To be called when no device is being entered.
    pub fn finish(&mut self) {
        loop {
            self.propagate();
            if !self.offer_backlog() {
                break;
            }
        }
    }

    fn propagate(&mut self) {
        for _ in 0..PIN_BURST {
            let Some((device, pin, level)) = self.world.pending.pop_front() else { return };
            // Nobody is being entered, and the pin exists.
            let _ = self.enter(device, None, |d, cx| d.event(cx, Event::Pin { pin, level }));
        }
        let Some((device, pin, _)) = self.world.pending.front().copied() else { return };
        self.world.pending.clear();
        tracing::error!("devices toggle each other's pins without end (last: input {pin} of '{}'); cut off", self.machine.infos[device].name);
    }

    /// Offers waiting host input to devices that are ready for it. True if any was taken.
    fn offer_backlog(&mut self) -> bool {
        let mut progress = false;
        let waiting: Vec<usize> = self.world.backlogged.iter().copied().collect();
        for id in waiting {
            for port in 0..self.world.slots[id].backlog.len() {
                progress |= self.offer_port(id, port);
            }
            if self.world.slots[id].backlog.iter().all(Backlog::is_empty) {
                self.world.backlogged.remove(&id);
            }
        }
        progress
    }

    fn offer_port(&mut self, id: usize, port: usize) -> bool {
        let slot = &mut self.world.slots[id];
        let ready = slot.device.as_ref().map_or(0, |d| d.ready(port));
        let backlog = &mut slot.backlog[port];
        if ready == 0 {
            return false;
        }
        if let Some(frame) = backlog.frames.pop_front() {
            self.machine.flows[id][port].done(1);
            let _ = self.enter(id, None, |d, cx| d.event(cx, Event::Frame(port, &frame)));
            return true;
        }
        let n = backlog.bytes.len().min(ready);
        if n == 0 {
            return false;
        }
        let bytes: Vec<u8> = backlog.bytes.drain(..n).collect();
        self.machine.flows[id][port].done(n);
        let _ = self.enter(id, None, |d, cx| d.event(cx, Event::HostInput(port, &bytes)));
        true
    }

    /// Reads a device's window by whole registers.
    pub fn device_read(&mut self, target: DeviceTarget, at: u64, width: Width, requester: Option<CoreId>) -> Result<u64, BusFault> {
        let rule = self.machine.infos[target.device.0 as usize].ty.windows[target.window.0].access;
        split::read(rule, at, width, |at, width| self.register_read(target, at, width, requester))
    }

    /// Writes a device's window by whole registers.
    pub fn device_write(&mut self, target: DeviceTarget, at: u64, width: Width, value: u64, requester: Option<CoreId>) -> Result<(), BusFault> {
        let rule = self.machine.infos[target.device.0 as usize].ty.windows[target.window.0].access;
        split::write(rule, at, width, value, &mut |at, width, value| match value {
            None => self.register_read(target, at, width, requester),
            Some(value) => self.register_write(target, at, width, value, requester).map(|()| 0),
        })
    }

    /// Reads one register of a device.
    pub fn register_read(&mut self, target: DeviceTarget, at: u64, width: Width, requester: Option<CoreId>) -> Result<u64, BusFault> {
        count(&self.machine.counters.reads);
        self.enter(target.device.0 as usize, requester, |d, cx| d.read(cx, target.window, at, width))?.map(|value| value & width.mask())
    }

    /// Writes one register of a device.
    pub fn register_write(&mut self, target: DeviceTarget, at: u64, width: Width, value: u64, requester: Option<CoreId>) -> Result<(), BusFault> {
        count(&self.machine.counters.writes);
        self.enter(target.device.0 as usize, requester, |d, cx| d.write(cx, target.window, at, width, value))?
    }

    /// Reads what answers in a plane of addresses; what no one window or memory has whole, byte by
    /// byte.
    pub fn bus_read(&mut self, bus: Bus, at: u64, width: Width, requester: Option<CoreId>) -> Result<u64, BusFault> {
        let space = self.machine.space.load();
        let bytes = u64::from(width.bytes());
        match space.find_on(bus, at).ok_or(BusFault::Unmapped)? {
            Mapping::Ram { region, offset, len_left, .. } if len_left >= bytes && offset.is_multiple_of(bytes) => {
                region.load(offset, width.bytes()).map_err(|_| BusFault::Unmapped)
            }
            Mapping::Device { target, offset, len_left } if len_left >= bytes => self.device_read(target, offset, width, requester),
            _ if bytes == 1 => Err(BusFault::Unmapped),
            _ => {
                let mut value = 0;
                for i in 0..bytes {
                    value |= self.bus_read(bus, at.wrapping_add(i), Width::B1, requester)? << (8 * i);
                }
                Ok(value)
            }
        }
    }

    /// Writes to what answers in a plane of addresses, as [`Locked::bus_read`] reads.
    pub fn bus_write(&mut self, bus: Bus, at: u64, width: Width, value: u64, requester: Option<CoreId>) -> Result<(), BusFault> {
        let space = self.machine.space.load();
        let bytes = u64::from(width.bytes());
        let value = value & width.mask();
        match space.find_on(bus, at).ok_or(BusFault::Unmapped)? {
            Mapping::Ram { writes_to: Some((target, offset)), len_left, .. } | Mapping::Device { target, offset, len_left } if len_left >= bytes => {
                self.device_write(target, offset, width, value, requester)
            }
            Mapping::Ram { read_only: true, writes_to: None, .. } => Err(BusFault::ReadOnly),
            Mapping::Ram { region, offset, len_left, writes_to: None, .. } if len_left >= bytes && offset.is_multiple_of(bytes) => {
                region.store(offset, width.bytes(), value).map_err(|_| BusFault::Unmapped)
            }
            _ if bytes == 1 => Err(BusFault::Unmapped),
            _ => {
                for i in 0..bytes {
                    self.bus_write(bus, at.wrapping_add(i), Width::B1, value >> (8 * i) & 0xff, requester)?;
                }
                Ok(())
            }
        }
    }

    /// Gives a device an event.
    pub fn event(&mut self, device: DeviceId, event: Event<'_>) {
        let _ = self.enter(device.0 as usize, None, |d, cx| d.event(cx, event));
    }

    /// Takes the earliest alarm if it is due.
    pub fn take_alarm(&mut self, now: Ns) -> Option<(DeviceId, usize)> {
        let &(at, device, slot) = self.world.alarms.first().filter(|a| a.0 <= now)?;
        self.world.alarms.remove(&(at, device, slot));
        self.world.slots[device as usize].alarms[slot as usize] = None;
        self.publish_alarm();
        Some((DeviceId(device), slot as usize))
    }

    fn publish_alarm(&self) {
        let at = self.world.alarms.first().map_or(u64::MAX, |a| a.0);
        let before = self.machine.next_alarm.swap(at, Ordering::AcqRel);
        if at < before {
            self.machine.alarm_set_earlier();
        }
    }

    /// Lets an event from outside in.
    pub fn host_event(&mut self, event: HostEvent) {
        let id = event.device.0 as usize;
        if let HostEventKind::WallClock { base } = event.kind {
            self.machine.wall_base.store(base, Ordering::Relaxed);
            return;
        }
        let Some(slot) = self.world.slots.get_mut(id) else { return };
        match event.kind {
            HostEventKind::Bytes { port, bytes } => {
                if let Some(backlog) = slot.backlog.get_mut(port) {
                    backlog.bytes.extend(bytes);
                    self.world.backlogged.insert(id);
                }
            }
            HostEventKind::Frame { port, frame } => {
                if let Some(backlog) = slot.backlog.get_mut(port) {
                    backlog.frames.push_back(frame);
                    self.world.backlogged.insert(id);
                }
            }
            HostEventKind::Writable { port } if port < slot.backlog.len() => {
                self.event(event.device, Event::HostWritable(port));
            }
            HostEventKind::Open { port, open } if port < slot.backlog.len() => {
                self.event(event.device, Event::HostOpen(port, open));
            }
            HostEventKind::Pin { pin, level } => {
                if let Some(external) = slot.external.get_mut(pin)
                    && *external != level
                {
                    *external = level;
                    self.world.drive(self.machine, Sink::Input(event.device, pin), level);
                }
            }
            HostEventKind::Doorbell { number } => {
                if let Some(bell) = self.machine.infos[id].doorbells.get(number) {
                    // Nobody waits for an answer.
                    let _ = self.device_write(target(id, bell.window.0), bell.at, bell.width, bell.value, None);
                }
            }
            HostEventKind::Writable { .. } | HostEventKind::Open { .. } | HostEventKind::WallClock { .. } => {}
        }
    }

    /// Level of an output pin.
    pub fn output(&self, device: DeviceId, pin: usize) -> Option<bool> {
        self.world.slots.get(device.0 as usize)?.outputs.get(pin).copied()
    }

    /// What is placed at addresses.
    pub fn placements(&self) -> &[Placement] {
        &self.world.space.placements
    }

    /// Resets all devices in three phases.
    pub fn reset(&mut self, kind: Reset) {
        // Nothing is on its way any more, and all lines and alarms are off, but those that the
        // outside holds.
        self.world.pending.clear();
        self.world.alarms.clear();
        for slot in &mut self.world.slots {
            slot.outputs.fill(false);
            slot.alarms.fill(None);
            slot.drivers.fill(0);
        }
        self.publish_alarm();
        self.drive_cores([[0; 32]].into_iter().cycle());
        self.drive_lines(vec![0; self.world.line_drivers.len()]);
        self.world.resetting = true;
        let devices = self.world.slots.len();
        for id in 0..devices {
            let _ = self.enter(id, None, |d, cx| d.reset(cx, kind));
        }
        self.world.resetting = false;
        for id in 0..devices {
            for pin in 0..self.world.slots[id].external.len() {
                if self.world.slots[id].external[pin] {
                    self.world.drive(self.machine, Sink::Input(DeviceId(id as u32), pin), true);
                }
            }
        }
        for id in 0..devices {
            let _ = self.enter(id, None, |_, _| ());
        }
        self.finish();
        for id in 0..devices {
            self.event(DeviceId(id as u32), Event::ResetExit);
        }
        self.finish();
    }

    /// Sets the counts of wires that hold the cores' lines, and the lines after them.
    fn drive_cores(&mut self, counts: impl Iterator<Item = [u32; 32]>) {
        for ((old, new), lines) in self.world.core_drivers.iter_mut().zip(counts).zip(&self.machine.cores) {
            for line in 0..32 {
                if (old[line] != 0) != (new[line] != 0) {
                    lines.set(crate::Line(line as u8), new[line] != 0);
                }
            }
            *old = new;
        }
    }

    /// Saves devices, pins, alarms and what waits at ports.
    pub fn save(&self, w: &mut Writer) {
        w.u64(self.world.entropy);
        w.u32(self.world.slots.len() as u32);
        for (id, (slot, info)) in self.world.slots.iter().zip(&self.machine.infos).enumerate() {
            w.str(&info.name);
            w.str(info.ty.name);
            w.section(|w| self.save_device(DeviceId(id as u32), w));
            w.section(|w| {
                slot.outputs.save(w);
                slot.external.save(w);
                slot.alarms.save(w);
                for backlog in &slot.backlog {
                    w.u32(backlog.bytes.len() as u32);
                    backlog.bytes.iter().for_each(|b| b.save(w));
                    w.u32(backlog.frames.len() as u32);
                    for frame in &backlog.frames {
                        frame.save(w);
                    }
                }
                // Windows move at run time, and direct reads come and go.
                for (n, decl) in info.ty.windows.iter().enumerate() {
                    if !matches!(decl.kind, WindowKind::Sysreg(_)) {
                        self.world.placed_at(id, n).save(w);
                        self.world.waiting.get(&(id as u32, n)).copied().save(w);
                        self.world.direct_of(id, n).save(w);
                    }
                }
            });
        }
    }

    /// Where a window is, if it is anywhere.
    pub fn placed_at(&self, device: DeviceId, window: usize) -> Option<u64> {
        self.world.placed_at(device.0 as usize, window)
    }

    /// Saves one device's own state.
    pub fn save_device(&self, id: DeviceId, w: &mut Writer) {
        if let Some(device) = self.world.slots.get(id.0 as usize).and_then(|s| s.device.as_ref()) {
            device.save(w);
        }
    }

    /// What a display shows of a device.
    pub fn picture(&self, id: DeviceId) -> Option<Picture> {
        self.world.slots.get(id.0 as usize)?.device.as_ref()?.picture()
    }

    /// Loads what [`Locked::save`] wrote.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        self.reset(Reset::Load);
        self.world.entropy = r.u64()?;
        let n = r.u32()?;
        if n as usize != self.world.slots.len() {
            return Err(r.value(n.into()));
        }
        let (mut moved, mut waiting) = (Vec::new(), BTreeMap::new());
        for (id, info) in self.machine.infos.iter().enumerate() {
            for expected in [info.name.as_str(), info.ty.name] {
                let found = r.str()?;
                if found != expected {
                    return Err(StateError::Field { at: r.at(), found: found.into(), expected: expected.into() });
                }
            }
            let slot = &mut self.world.slots[id];
            let Some(device) = &mut slot.device else { return Err(r.value(id as u64)) };
            r.section(&info.name, |r| device.load(r))?;
            r.section(&info.name, |r| {
                slot.outputs.load(r)?;
                slot.external.load(r)?;
                slot.alarms.load(r)?;
                for (backlog, flow) in slot.backlog.iter_mut().zip(&self.machine.flows[id]) {
                    // What waited is gone: its sender need not wait for it.
                    flow.done(backlog.bytes.len() + backlog.frames.len());
                    let n = r.length(MAX_BACKLOG)?;
                    backlog.bytes = r.bytes(n)?.iter().copied().collect();
                    backlog.frames.clear();
                    for _ in 0..r.length(MAX_BACKLOG)? {
                        let n = r.length(MAX_BACKLOG)?;
                        backlog.frames.push_back(r.bytes(n)?.to_vec());
                    }
                }
                for (n, decl) in info.ty.windows.iter().enumerate() {
                    if !matches!(decl.kind, WindowKind::Sysreg(_)) {
                        let (mut at, mut waits, mut direct) = (None, None, Direct::Off);
                        at.load(r)?;
                        waits.load(r)?;
                        direct.load(r)?;
                        moved.push((id, n, at, direct));
                        if let Some(base) = waits {
                            waiting.insert((id as u32, n), base);
                        }
                    }
                }
                Ok(())
            })?;
            if !slot.backlog.iter().all(Backlog::is_empty) {
                self.world.backlogged.insert(id);
            }
        }
        self.place_loaded(&moved, waiting).map_err(|base| r.value(base))?;
        for (id, n, _, direct) in moved {
            let backing = self.machine.infos[id].backing[n].clone();
            self.world.set_direct(self.machine, id, n, direct, backing);
        }
        self.restore_wires();
        Ok(())
    }

    /// Puts windows where a snapshot has them. All leave their places before one comes to another's.
    /// A place that cannot be is the error, and then nothing is moved.
    fn place_loaded(&mut self, windows: &[(usize, usize, Option<u64>, Direct)], waiting: BTreeMap<(u32, usize), u64>) -> Result<(), u64> {
        let before = self.world.space.placements.clone();
        let moved: Vec<_> = windows.iter().filter(|(id, n, at, _)| self.world.placed_at(*id, *n) != *at).collect();
        for (id, n, ..) in &moved {
            self.world.take_away(*id, *n);
        }
        for (id, n, at, _) in &moved {
            if let Some(base) = *at
                && !self.world.put(self.machine, *id, *n, base)
            {
                self.world.space.placements = before;
                return Err(base);
            }
        }
        self.world.waiting = waiting;
        if !moved.is_empty() {
            self.world.publish_space(self.machine);
        }
        Ok(())
    }

    /// Recomputes what follows from loaded pins and alarms, without telling the devices: their
    /// own state already knows.
    fn restore_wires(&mut self) {
        let mut cores = vec![[0; 32]; self.world.core_drivers.len()];
        let mut lines = vec![0; self.world.line_drivers.len()];
        for slot in &mut self.world.slots {
            for (driver, external) in slot.drivers.iter_mut().zip(&slot.external) {
                *driver = u32::from(*external);
            }
        }
        self.world.alarms.clear();
        self.world.pending.clear();
        for (id, info) in self.machine.infos.iter().enumerate() {
            for (pin, sinks) in info.sinks.iter().enumerate() {
                if !self.world.slots[id].outputs[pin] {
                    continue;
                }
                for sink in sinks {
                    match *sink {
                        Sink::Core(core, line) => cores[usize::from(core.0)][usize::from(line.0 & 31)] += 1,
                        Sink::Input(to, pin) => self.world.slots[to.0 as usize].drivers[pin] += 1,
                        Sink::Outside(line) => lines[line] += 1,
                    }
                }
            }
            for (n, at) in self.world.slots[id].alarms.iter().enumerate() {
                if let Some(at) = at {
                    self.world.alarms.insert((*at, id as u32, n as u32));
                }
            }
        }
        self.drive_cores(cores.into_iter());
        self.drive_lines(lines);
        self.publish_alarm();
    }

    /// Shows all devices.
    pub fn inspect(&self, i: &mut Inspector) {
        for (slot, info) in self.world.slots.iter().zip(&self.machine.infos) {
            i.child(&info.name, |i| {
                i.child("type", |i| i.leaf(Leaf::Str(info.ty.name.into())));
                if let Some(device) = &slot.device {
                    i.child("state", |i| device.inspect(i));
                }
                pins(i, "outputs", info.ty.outputs, info, &mut |n| slot.outputs.get(n).copied());
                pins(i, "inputs", info.ty.inputs, info, &mut |n| slot.drivers.get(n).map(|n| *n != 0));
                i.child("alarms", |i| {
                    for (n, at) in slot.alarms.iter().enumerate() {
                        i.child(&n.to_string(), |i| at.inspect(i));
                    }
                });
                i.child("guest_errors", |i| i.leaf(Leaf::U64(slot.guest_errors)));
                i.child("unimplemented", |i| i.leaf(Leaf::U64(slot.unimplemented)));
            });
        }
    }
}

fn target(id: usize, window: usize) -> DeviceTarget {
    DeviceTarget { device: DeviceId(id as u32), window: Window(window) }
}

fn pins(i: &mut Inspector, name: &str, decls: &[crate::PinDecl], info: &DeviceInfo, level: &mut dyn FnMut(usize) -> Option<bool>) {
    i.child(name, |i| {
        let mut first = 0;
        for decl in decls {
            let n = decl.count.get(&info.props);
            // Of many pins only the high ones are worth showing.
            for index in 0..n {
                let high = level(first + index).unwrap_or(false);
                if high || n == 1 {
                    let name = if n == 1 { decl.name.into() } else { format!("{}[{index}]", decl.name) };
                    i.child(&name, |i| i.leaf(Leaf::Bool(high)));
                }
            }
            first += n;
        }
    });
}

impl Placement {
    fn belongs_to(&self, target: DeviceTarget) -> bool {
        match &self.what {
            What::Device(t) | What::Ram { writes_to: Some(t), .. } => *t == target,
            What::Ram { writes_to: None, .. } => false,
        }
    }
}

impl World {
    /// One more or one less wire drives a sink high.
    fn drive(&mut self, machine: &Machine, sink: Sink, level: bool) {
        let counter = match sink {
            Sink::Core(core, line) => &mut self.core_drivers[usize::from(core.0)][usize::from(line.0 & 31)],
            Sink::Input(device, pin) => &mut self.slots[device.0 as usize].drivers[pin],
            Sink::Outside(line) => &mut self.line_drivers[line],
        };
        let before = *counter != 0;
        *counter = if level { *counter + 1 } else { counter.saturating_sub(1) };
        if before == (*counter != 0) {
            return;
        }
        match sink {
            Sink::Core(core, line) => machine.cores[usize::from(core.0)].set(line, level),
            Sink::Input(device, pin) => self.pending.push_back((device.0 as usize, pin, level)),
            Sink::Outside(line) => machine.line(line, level),
        }
    }

    /// Publishes the changed address map and gets the cores' attention.
    fn publish_space(&self, machine: &Machine) {
        let generation = machine.space.load().generation() + 1;
        match self.space.build(generation) {
            Ok(space) => {
                machine.space.store(Arc::new(space));
                machine.kick_all();
            }
            // Nothing is placed without having been looked at: what is left is memory that is too
            // short for the window it stands in for.
            Err(error) => tracing::error!("address map: {error}; it stays as it was"),
        }
    }

    /// Where a window is, if it is anywhere.
    fn placed_at(&self, id: usize, window: usize) -> Option<u64> {
        self.space.placements.iter().find(|p| p.belongs_to(target(id, window))).map(|p| p.base)
    }

    /// Takes a window from its place. The map is still to be published.
    fn take_away(&mut self, id: usize, window: usize) {
        self.space.placements.retain(|p| !p.belongs_to(target(id, window)));
    }

    /// Places a window if it fits there and nothing is in the way. The map is still to be published.
    fn put(&mut self, machine: &Machine, id: usize, window: usize, base: u64) -> bool {
        let info = &machine.infos[id];
        let (decl, len) = (&info.ty.windows[window], info.ty.windows[window].size.get(&info.props));
        let region = info.backing[window].clone();
        let direct = self.direct_of(id, window);
        let new = Placement {
            name: format!("{}.{}", info.name, decl.name),
            plane: Plane::of(decl.kind),
            base,
            len,
            priority: decl.priority,
            what: stands_for(target(id, window), region, direct),
        };
        let fits = len != 0 && base.checked_add(len - 1).is_some();
        let free = fits && !self.space.placements.iter().any(|p| p.excludes(&new));
        if free {
            self.space.placements.push(new);
        }
        free
    }

    fn move_window(&mut self, machine: &Machine, id: usize, window: usize, at: Option<u64>) -> Result<(), BusFault> {
        let key = (id as u32, window);
        let placed = self.placed_at(id, window);
        match self.waiting.get(&key) {
            Some(base) if Some(*base) == at => return Err(BusFault::Denied),
            None if placed == at => return Ok(()),
            _ => {}
        }
        self.waiting.remove(&key);
        self.take_away(id, window);
        let refused = at.filter(|base| !self.put(machine, id, window, *base));
        if placed.is_some() {
            // Somebody may have waited for the place.
            for ((id, window), base) in std::mem::take(&mut self.waiting) {
                if !self.put(machine, id as usize, window, base) {
                    self.waiting.insert((id, window), base);
                }
            }
        }
        if placed.is_some() || (at.is_some() && refused.is_none()) {
            self.publish_space(machine);
        }
        refused.map_or(Ok(()), |base| {
            self.waiting.insert(key, base);
            Err(BusFault::Denied)
        })
    }

    fn direct_of(&self, id: usize, window: usize) -> Direct {
        self.direct.get(&(id as u32, window)).copied().unwrap_or_default()
    }

    fn set_direct(&mut self, machine: &Machine, id: usize, window: usize, direct: Direct, backing: Option<Arc<crate::ram::Region>>) {
        let target = target(id, window);
        if backing.is_none() || self.direct_of(id, window) == direct {
            return;
        }
        self.direct.insert((id as u32, window), direct);
        let what = stands_for(target, backing, direct);
        for p in self.space.placements.iter_mut().filter(|p| p.belongs_to(target)) {
            p.what = what.clone();
        }
        self.publish_space(machine);
    }
}

/// What a window puts at its addresses: the device, or memory that stands in for it.
fn stands_for(target: DeviceTarget, region: Option<Arc<crate::ram::Region>>, direct: Direct) -> What {
    match (region, direct) {
        (Some(region), Direct::Reads) => What::Ram { region, offset: 0, read_only: true, writes_to: Some(target) },
        (Some(region), Direct::All) => What::Ram { region, offset: 0, read_only: false, writes_to: Some(target) },
        _ => What::Device(target),
    }
}
