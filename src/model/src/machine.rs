//! The machine: devices behind one lock, and everything between them, the cores and the host.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::address_space::{AddressSpace, Mapping, Plane, What};
use crate::builder::{Backend, BuildError, DeviceInfo, MachineBuilder, Sink};
use crate::bus::{Locked, World};
use crate::clock::Clock;
use crate::core_lines::CoreLines;
use crate::device::{Bus, DeviceType, Event, Picture, SystemRequest, WindowKind};
use crate::fdt::{NodeBuilder, Placed};
use crate::port::{EntropySource, HostEntropy};
use crate::property::Props;
use crate::ram::Region;
use crate::state::{Inspector, Leaf, Node, Reader, StateError, Writer};
use crate::types::{BusFault, CoreId, DeviceId, Ns, Reset, Width};

/// Bytes that may wait for a character port before its sender is held back.
const CHAR_ROOM: usize = 64 << 10;
/// Frames that may wait for a frame port before more are dropped.
pub(crate) const FRAME_ROOM: usize = 1024;
/// Alarms run in one go before the guest gets a turn: a device that keeps setting alarms in the
/// past must not hang the machine.
const ALARM_BURST: usize = 10_000;

/// Something from outside, on its way to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEvent {
    /// The device it is for.
    pub device: DeviceId,
    /// What it is.
    pub kind: HostEventKind,
}

/// Kinds of [`HostEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEventKind {
    /// Bytes for a character port.
    Bytes {
        /// Number of the port.
        port: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A frame for a frame port.
    Frame {
        /// Number of the port.
        port: usize,
        /// The frame.
        frame: Vec<u8>,
    },
    /// A port can take bytes again.
    Writable {
        /// Number of the port.
        port: usize,
    },
    /// The other end of a port was opened or closed.
    Open {
        /// Number of the port.
        port: usize,
        /// Opened?
        open: bool,
    },
    /// An input pin driven from outside (a power button), ORed with its wires.
    Pin {
        /// Number of the input pin.
        pin: usize,
        /// Its level.
        level: bool,
    },
    /// The wall clock's time at virtual time zero changed; the device is ignored.
    WallClock {
        /// Nanoseconds since 1970.
        base: u64,
    },
}

impl HostEvent {
    /// Writes the event, for a log or a wire.
    pub fn save(&self, w: &mut Writer) {
        w.u32(self.device.0);
        let numbers = |w: &mut Writer, kind, port: usize, flag: bool| {
            w.u32(kind);
            w.u32(port as u32);
            w.u32(flag.into());
        };
        match &self.kind {
            HostEventKind::Bytes { port, bytes } => {
                numbers(w, 0, *port, false);
                w.u32(bytes.len() as u32);
                w.bytes(bytes);
            }
            HostEventKind::Frame { port, frame } => {
                numbers(w, 1, *port, false);
                w.u32(frame.len() as u32);
                w.bytes(frame);
            }
            HostEventKind::Writable { port } => numbers(w, 2, *port, false),
            HostEventKind::Open { port, open } => numbers(w, 3, *port, *open),
            HostEventKind::Pin { pin, level } => numbers(w, 4, *pin, *level),
            HostEventKind::WallClock { base } => {
                numbers(w, 5, 0, false);
                w.u64(*base);
            }
        }
    }

    /// Reads back what [`HostEvent::save`] wrote.
    pub fn load(r: &mut Reader<'_>) -> Result<HostEvent, StateError> {
        let device = DeviceId(r.u32()?);
        let (kind, port, flag) = (r.u32()?, r.u32()? as usize, r.u32()? != 0);
        let mut bytes = || -> Result<Vec<u8>, StateError> {
            let n = r.u32()? as usize;
            Ok(r.bytes(n)?.to_vec())
        };
        let kind = match kind {
            0 => HostEventKind::Bytes { port, bytes: bytes()? },
            1 => HostEventKind::Frame { port, frame: bytes()? },
            2 => HostEventKind::Writable { port },
            3 => HostEventKind::Open { port, open: flag },
            4 => HostEventKind::Pin { pin: port, level: flag },
            5 => HostEventKind::WallClock { base: r.u64()? },
            other => return Err(r.value(other.into())),
        };
        Ok(HostEvent { device, kind })
    }
}

/// Counters of what has happened in a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Device register reads.
    pub reads: u64,
    /// Device register writes.
    pub writes: u64,
    /// Alarms that went off.
    pub alarms: u64,
    /// Events delivered through the door.
    pub events: u64,
    /// Things the guest did that it must not.
    pub guest_errors: u64,
    /// Things the guest did that are not modelled.
    pub unimplemented: u64,
}

#[derive(Default)]
pub(crate) struct AtomicCounters {
    pub reads: AtomicU64,
    pub writes: AtomicU64,
    pub alarms: AtomicU64,
    pub events: AtomicU64,
    pub guest_errors: AtomicU64,
    pub unimplemented: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

/// How much is on its way to a port, for holding back its sender.
#[derive(Default)]
pub(crate) struct Flow {
    pending: Mutex<usize>,
    room: Condvar,
}

impl Flow {
    /// Takes room for as many as there are places for, of so many at most; gives how many.
    pub fn take(&self, places: usize, n: usize) -> usize {
        let mut pending = self.pending.lock();
        let n = n.min(places.saturating_sub(*pending));
        *pending += n;
        n
    }

    pub fn done(&self, n: usize) {
        let mut pending = self.pending.lock();
        *pending = pending.saturating_sub(n);
        self.room.notify_all();
    }
}

/// Takes an interrupt message: address and data.
pub type MessageSink = Box<dyn Fn(u64, u32) + Send + Sync>;

type Waker = RwLock<Option<Box<dyn Fn() + Send + Sync>>>;

fn wake(waker: &Waker) {
    if let Some(f) = waker.read().as_deref() {
        f();
    }
}

/// Where a window is placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedWindow {
    /// "device.window", or the name of a memory region.
    pub name: String,
    /// The device, or `None` for memory.
    pub device: Option<DeviceId>,
    /// Kind of address.
    pub kind: WindowKind,
    /// First address.
    pub base: u64,
    /// Length.
    pub size: u64,
    /// Priority.
    pub priority: i32,
}

/// A machine: devices, memory, wires, clock, and the door to the outside. Shared by all threads.
///
/// Devices are entered under one lock, which is taken by device accesses, alarms and events and
/// by nothing else; memory and the address map are read without it.
pub struct Machine {
    name: String,
    pub(crate) infos: Vec<DeviceInfo>,
    pub(crate) cores: Vec<Arc<CoreLines>>,
    pub(crate) clock: Arc<Clock>,
    regions: Vec<Arc<Region>>,
    pub(crate) space: ArcSwap<AddressSpace>,
    world: Mutex<World>,
    pub(crate) next_alarm: AtomicU64,
    queue: Mutex<VecDeque<HostEvent>>,
    requests: Mutex<VecDeque<SystemRequest>>,
    alarm_waker: Waker,
    event_waker: Waker,
    messages: Option<Range<u64>>,
    message_sink: RwLock<Option<MessageSink>>,
    pub(crate) wall_base: AtomicU64,
    pub(crate) host_entropy: Option<HostEntropy>,
    pub(crate) counters: AtomicCounters,
    /// By device and port.
    pub(crate) flows: Vec<Vec<Arc<Flow>>>,
}

impl Machine {
    pub(crate) fn build(builder: MachineBuilder) -> Result<Arc<Machine>, BuildError> {
        let space = builder.space.build(1)?;
        let (seed, host_entropy) = match builder.entropy {
            EntropySource::Seeded(seed) => (seed, None),
            EntropySource::Host(f) => (0, Some(f)),
        };
        let flows = builder.infos.iter().map(|i| i.backends.iter().map(|_| Arc::new(Flow::default())).collect()).collect();
        let world = World::new(builder.devices, &builder.infos, builder.cores.len(), builder.space, seed);
        let machine = Arc::new(Machine {
            name: builder.name,
            infos: builder.infos,
            cores: builder.cores,
            clock: builder.clock,
            regions: builder.regions,
            space: ArcSwap::from_pointee(space),
            world: Mutex::new(world),
            next_alarm: AtomicU64::new(u64::MAX),
            queue: Mutex::default(),
            requests: Mutex::default(),
            alarm_waker: RwLock::default(),
            event_waker: RwLock::default(),
            messages: builder.messages,
            message_sink: RwLock::default(),
            wall_base: AtomicU64::new(builder.wall_base),
            host_entropy,
            counters: AtomicCounters::default(),
            flows,
        });
        machine.reset(Reset::Cold);
        Ok(machine)
    }

    /// Name of the board.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Number of cores.
    pub fn core_count(&self) -> usize {
        self.cores.len()
    }

    /// A core's lines.
    pub fn core_lines(&self, core: CoreId) -> Option<&Arc<CoreLines>> {
        self.cores.get(usize::from(core.0))
    }

    /// Kicks all cores.
    pub fn kick_all(&self) {
        self.cores.iter().for_each(|c| c.kick());
    }

    /// The present address map.
    pub fn space(&self) -> Arc<AddressSpace> {
        self.space.load_full()
    }

    /// Generation of the present address map; cores are kicked when it grows.
    #[inline]
    pub fn space_generation(&self) -> u64 {
        self.space.load().generation()
    }

    /// All memory: what a snapshot saves besides [`Machine::save`].
    pub fn regions(&self) -> &[Arc<Region>] {
        &self.regions
    }

    /// Does something under the device lock, and what follows from it.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Locked<'_>) -> R) -> R {
        let mut world = self.world.lock();
        let mut bus = Locked { machine: self, world: &mut world };
        let result = f(&mut bus);
        bus.finish();
        result
    }

    /// A core reads physical memory or a device.
    pub fn read(&self, core: CoreId, phys: u64, width: Width) -> Result<u64, BusFault> {
        let space = self.space.load();
        let bytes = u64::from(width.bytes());
        match space.find(phys).ok_or(BusFault::Unmapped)? {
            Mapping::Ram { region, offset, len_left, .. } if len_left >= bytes && offset.is_multiple_of(bytes) => {
                region.load(offset, width.bytes()).map_err(|_| BusFault::Unmapped)
            }
            Mapping::Device { target, offset, len_left } if len_left >= bytes => self.with(|b| b.device_read(target, offset, width, Some(core))),
            _ if bytes == 1 => Err(BusFault::Unmapped),
            _ => {
                // Unaligned memory, or over the end of a mapping: byte by byte.
                let mut value = 0;
                for i in 0..bytes {
                    value |= self.read(core, phys.wrapping_add(i), Width::B1)? << (8 * i);
                }
                Ok(value)
            }
        }
    }

    /// A core writes physical memory or a device.
    pub fn write(&self, core: CoreId, phys: u64, width: Width, value: u64) -> Result<(), BusFault> {
        let space = self.space.load();
        let bytes = u64::from(width.bytes());
        let value = value & width.mask();
        match space.find(phys).ok_or(BusFault::Unmapped)? {
            Mapping::Ram { writes_to: Some((target, offset)), len_left, .. } if len_left >= bytes => {
                self.with(|b| b.device_write(target, offset, width, value, Some(core)))
            }
            Mapping::Ram { read_only: true, writes_to: None, .. } => Err(BusFault::ReadOnly),
            Mapping::Ram { region, offset, len_left, .. } if len_left >= bytes && offset.is_multiple_of(bytes) => {
                region.store(offset, width.bytes(), value).map_err(|_| BusFault::Unmapped)
            }
            Mapping::Device { target, offset, len_left } if len_left >= bytes => self.with(|b| b.device_write(target, offset, width, value, Some(core))),
            _ if bytes == 1 => Err(BusFault::Unmapped),
            _ => {
                for i in 0..bytes {
                    self.write(core, phys.wrapping_add(i), Width::B1, value >> (8 * i) & 0xff)?;
                }
                Ok(())
            }
        }
    }

    /// A core reads an I/O port.
    pub fn pio_read(&self, core: CoreId, port: u64, width: Width) -> Result<u64, BusFault> {
        self.bus_read(core, Bus::Pio, port, width)
    }

    /// A core writes an I/O port.
    pub fn pio_write(&self, core: CoreId, port: u64, width: Width, value: u64) -> Result<(), BusFault> {
        self.bus_write(core, Bus::Pio, port, width, value)
    }

    /// A core reads from a plane of addresses; values are little-endian.
    pub fn bus_read(&self, core: CoreId, bus: Bus, at: u64, width: Width) -> Result<u64, BusFault> {
        self.with(|b| b.bus_read(bus, at, width, Some(core)))
    }

    /// A core writes to a plane of addresses, as [`Machine::bus_read`] reads.
    pub fn bus_write(&self, core: CoreId, bus: Bus, at: u64, width: Width, value: u64) -> Result<(), BusFault> {
        self.with(|b| b.bus_write(bus, at, width, value, Some(core)))
    }

    /// Does a device implement this system register?
    pub fn has_sysreg(&self, key: u32) -> bool {
        self.space.load().find_sysreg(key).is_some()
    }

    /// A core reads a system register that a device implements; `None` if none does.
    pub fn sysreg_read(&self, core: CoreId, key: u32) -> Option<Result<u64, BusFault>> {
        let target = self.space.load().find_sysreg(key)?;
        Some(self.with(|b| b.register_read(target, key.into(), Width::B8, Some(core))))
    }

    /// A core writes a system register that a device implements; `None` if none does.
    pub fn sysreg_write(&self, core: CoreId, key: u32, value: u64) -> Option<Result<(), BusFault>> {
        let target = self.space.load().find_sysreg(key)?;
        Some(self.with(|b| b.register_write(target, key.into(), Width::B8, value, Some(core))))
    }

    /// Reads memory for the host (debugger, loader): memory only, devices are not disturbed.
    pub fn peek(&self, phys: u64, to: &mut [u8]) -> Result<(), BusFault> {
        let space = self.space.load();
        let mut done = 0;
        while done < to.len() {
            let at = phys.checked_add(done as u64).ok_or(BusFault::Unmapped)?;
            let Some(Mapping::Ram { region, offset, len_left, .. }) = space.find(at) else {
                return Err(BusFault::Unmapped);
            };
            let n = (to.len() - done).min(usize::try_from(len_left).unwrap_or(usize::MAX));
            region.read(offset, &mut to[done..done + n]).map_err(|_| BusFault::Unmapped)?;
            done += n;
        }
        Ok(())
    }

    /// Writes memory for the host, ROM too: memory only, devices are not disturbed.
    pub fn poke(&self, phys: u64, from: &[u8]) -> Result<(), BusFault> {
        let space = self.space.load();
        let mut done = 0;
        while done < from.len() {
            let at = phys.checked_add(done as u64).ok_or(BusFault::Unmapped)?;
            let Some(Mapping::Ram { region, offset, len_left, .. }) = space.find(at) else {
                return Err(BusFault::Unmapped);
            };
            let n = (from.len() - done).min(usize::try_from(len_left).unwrap_or(usize::MAX));
            region.write(offset, &from[done..done + n]).map_err(|_| BusFault::Unmapped)?;
            done += n;
        }
        Ok(())
    }

    /// Virtual time of the earliest alarm. Takes no lock.
    #[inline]
    pub fn next_alarm(&self) -> Option<Ns> {
        Some(self.next_alarm.load(Ordering::Acquire)).filter(|at| *at != u64::MAX)
    }

    /// Runs all alarms due at `now`, earliest first.
    pub fn run_alarms(&self, now: Ns) {
        if self.next_alarm().is_none_or(|at| at > now) {
            return;
        }
        let all = self.with(|bus| {
            for _ in 0..ALARM_BURST {
                let Some((device, slot)) = bus.take_alarm(now) else { return true };
                count(&self.counters.alarms);
                bus.event(device, Event::Alarm(slot));
                bus.finish();
            }
            false
        });
        if !all {
            tracing::warn!(target: "guest_errors", "{ALARM_BURST} alarms in a row were due at once; the guest goes on first");
        }
    }

    /// Sets the function called when an alarm earlier than all others was set. It is called with
    /// the device lock held, so it must not call back into the machine.
    pub fn set_alarm_waker(&self, f: impl Fn() + Send + Sync + 'static) {
        *self.alarm_waker.write() = Some(Box::new(f));
    }

    pub(crate) fn alarm_set_earlier(&self) {
        wake(&self.alarm_waker);
    }

    /// Sets the function called when an event or a system request is in its queue. It must not
    /// call back into the machine.
    pub fn set_event_waker(&self, f: impl Fn() + Send + Sync + 'static) {
        *self.event_waker.write() = Some(Box::new(f));
    }

    /// Sets what takes interrupt messages: 32-bit DMA stores to the addresses that the board declared
    /// for them ([`MachineBuilder::messages`]). It is called with the device lock held, so it must not
    /// call back into the machine.
    pub fn set_message_sink(&self, sink: MessageSink) {
        *self.message_sink.write() = Some(sink);
    }

    /// Sends an interrupt message, where `phys` is an address for them; `None` where it is none.
    pub(crate) fn message(&self, phys: u64, bytes: &[u8]) -> Option<Result<(), BusFault>> {
        if !self.messages.as_ref().is_some_and(|m| m.contains(&phys)) {
            return None;
        }
        let (Ok(data), true) = (<[u8; 4]>::try_from(bytes), phys.is_multiple_of(4)) else { return Some(Err(BusFault::BadWidth)) };
        Some(match self.message_sink.read().as_deref() {
            Some(send) => {
                send(phys, u32::from_le_bytes(data));
                Ok(())
            }
            None => Err(BusFault::Unmapped),
        })
    }

    /// Puts an event from outside into the queue; any thread may. Nothing else enters.
    pub fn post(&self, event: HostEvent) {
        self.queue.lock().push_back(event);
        wake(&self.event_waker);
    }

    /// Takes all queued events, for a run loop that records them or delivers them at a chosen
    /// instruction.
    pub fn take_events(&self) -> VecDeque<HostEvent> {
        std::mem::take(&mut *self.queue.lock())
    }

    /// Delivers one event. One that names no device, port or pin of the machine is dropped.
    pub fn deliver(&self, event: HostEvent) {
        count(&self.counters.events);
        self.with(|b| b.host_event(event));
    }

    /// Delivers all queued events.
    pub fn deliver_events(&self) {
        self.take_events().into_iter().for_each(|e| self.deliver(e));
    }

    /// The host's way into a device's port.
    pub fn port(self: &Arc<Self>, device: DeviceId, port: &str) -> Option<PortSender> {
        let info = self.infos.get(device.0 as usize)?;
        let port = info.ty.port(port)?;
        let flow = self.flows[device.0 as usize][port].clone();
        Some(PortSender { machine: Arc::downgrade(self), device, port, flow })
    }

    /// Asks the run loop for something, as a device or core does.
    pub fn request(&self, request: SystemRequest) {
        self.requests.lock().push_back(request);
        wake(&self.event_waker);
    }

    /// Has the run loop a request to deal with?
    pub fn has_request(&self) -> bool {
        !self.requests.lock().is_empty()
    }

    /// Takes the oldest request to the run loop.
    pub fn take_request(&self) -> Option<SystemRequest> {
        self.requests.lock().pop_front()
    }

    /// Drives an input pin of a device from a core or the board, ORed with its wires.
    pub fn drive_input(&self, device: DeviceId, pin: usize, level: bool) {
        self.with(|b| b.host_event(HostEvent { device, kind: HostEventKind::Pin { pin, level } }));
    }

    /// Number of input pin `name[index]` of a device.
    pub fn input_pin(&self, device: DeviceId, name: &str, index: usize) -> Option<usize> {
        let info = self.infos.get(device.0 as usize)?;
        DeviceType::pin(info.ty.inputs, &info.props, name, index)
    }

    /// Level of an output pin of a device.
    pub fn output_level(&self, device: DeviceId, name: &str, index: usize) -> Option<bool> {
        let info = self.infos.get(device.0 as usize)?;
        let pin = DeviceType::pin(info.ty.outputs, &info.props, name, index)?;
        self.with(|b| b.output(device, pin))
    }

    /// Resets all devices in three phases: their own state, the lines, and the start of activity.
    /// Memory and cores are the run loop's to reset.
    pub fn reset(&self, kind: Reset) {
        self.with(|b| b.reset(kind));
    }

    /// Saves the state of all devices, wires, alarms and the clock. Cores must be stopped.
    pub fn save(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.str(&self.name);
        w.u64(self.clock.now());
        w.u64(self.wall_base.load(Ordering::Relaxed));
        self.with(|b| b.save(&mut w));
        w.finish()
    }

    /// Loads what `save` gave, into a machine built alike. After an error the devices are reset.
    pub fn load(&self, bytes: &[u8]) -> Result<(), StateError> {
        let mut r = Reader::new(&self.name, bytes);
        self.with(|bus| {
            let result = self.load_from(bus, &mut r);
            if result.is_err() {
                bus.reset(Reset::Cold);
            }
            result
        })
    }

    fn load_from(&self, bus: &mut Locked<'_>, r: &mut Reader<'_>) -> Result<(), StateError> {
        let name = r.str()?;
        if name != self.name {
            return Err(StateError::Field { at: r.at(), found: name.into(), expected: self.name.clone() });
        }
        let (now, wall) = (r.u64()?, r.u64()?);
        self.clock.set(now);
        self.wall_base.store(wall, Ordering::Relaxed);
        bus.load(r)?;
        r.finish()
    }

    /// The saved state of one device alone, for tests and reports.
    pub fn save_device(&self, device: DeviceId) -> Vec<u8> {
        let mut w = Writer::new();
        self.with(|b| b.save_device(device, &mut w));
        w.finish()
    }

    /// What the display of a device shows at present, or of the first that shows anything.
    pub fn picture(&self, device: Option<DeviceId>) -> Option<Picture> {
        let all = (0..self.infos.len() as u32).map(DeviceId);
        self.with(|b| all.filter(|id| device.is_none_or(|d| d == *id)).find_map(|id| b.picture(id)))
    }

    /// The whole machine as a tree of names and values.
    pub fn inspect(&self) -> Node {
        Inspector::tree(&self.name, |i| {
            i.child("time", |i| i.leaf(Leaf::U64(self.clock.now())));
            for (n, core) in self.cores.iter().enumerate() {
                i.child(&format!("core{n}"), |i| i.child("pins", |i| i.leaf(Leaf::U64(core.pins().into()))));
            }
            self.with(|b| b.inspect(i));
        })
    }

    /// Counters of what has happened so far.
    pub fn counters(&self) -> Counters {
        let c = &self.counters;
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counters {
            reads: get(&c.reads),
            writes: get(&c.writes),
            alarms: get(&c.alarms),
            events: get(&c.events),
            guest_errors: get(&c.guest_errors),
            unimplemented: get(&c.unimplemented),
        }
    }

    /// A device by name.
    pub fn device(&self, name: &str) -> Option<DeviceId> {
        self.infos.iter().position(|i| i.name == name).map(|n| DeviceId(n as u32))
    }

    /// All devices: number, name, type, properties.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &str, &'static DeviceType, &Props)> {
        self.infos.iter().enumerate().map(|(n, i)| (DeviceId(n as u32), i.name.as_str(), i.ty, &i.props))
    }

    /// Everything placed at an address at present, for `info mtree` and device trees.
    pub fn windows(&self) -> Vec<PlacedWindow> {
        let placements = self.with(|b| b.placements().to_vec());
        placements
            .iter()
            .map(|p| PlacedWindow {
                name: p.name.clone(),
                device: match &p.what {
                    What::Device(t) | What::Ram { writes_to: Some(t), .. } => Some(t.device),
                    What::Ram { .. } => None,
                },
                kind: match p.plane {
                    Plane::Memory => WindowKind::Mmio,
                    Plane::Pio => WindowKind::Pio,
                    Plane::PciConfig => WindowKind::PciConfig,
                    Plane::Sysreg => WindowKind::Sysreg(p.base as u32),
                },
                base: p.base,
                size: p.len,
                priority: p.priority,
            })
            .collect()
    }

    /// Where a device's window is at present, if it is anywhere.
    pub fn window_base(&self, device: DeviceId, window: usize) -> Option<u64> {
        self.with(|b| b.placed_at(device, window))
    }

    /// Where a device is placed and how it is wired, for its device-tree node; calls `f` with the
    /// node's name (unit address included) and what builds it. False if the type has no node.
    pub fn describe(&self, device: DeviceId, f: &mut dyn FnMut(&str, &mut NodeBuilder<'_>)) -> bool {
        let Some(info) = self.infos.get(device.0 as usize) else { return false };
        let Some(hook) = info.ty.fdt else { return false };
        let placed: Vec<(usize, u64, u64)> = self
            .with(|b| b.placements().to_vec())
            .iter()
            .filter(|p| p.plane == Plane::Memory)
            .filter_map(|p| match &p.what {
                What::Device(t) | What::Ram { writes_to: Some(t), .. } if t.device == device => Some((t.window.0, p.base, p.len)),
                _ => None,
            })
            .collect();
        let mut windows = Vec::new();
        for (n, decl) in info.ty.windows.iter().enumerate() {
            windows.extend(placed.iter().filter(|p| p.0 == n).map(|p| (decl.name, p.1, p.2)));
        }
        let mut interrupts = Vec::new();
        let mut first = 0;
        for decl in info.ty.outputs {
            for index in 0..decl.count.get(&info.props) {
                for sink in &info.sinks[first + index] {
                    if let Sink::Input(to, pin) = sink
                        && let Some((controller, cells)) = self.interrupt_cells(*to, *pin)
                    {
                        interrupts.push((decl.name, index, controller, cells));
                    }
                }
            }
            first += decl.count.get(&info.props);
        }
        let placed = Placed { name: &info.name, props: &info.props, windows: &windows, interrupts: &interrupts };
        let name = match windows.first() {
            Some((_, base, _)) => format!("{}@{base:x}", hook.node),
            None => hook.node.to_string(),
        };
        f(&name, &mut |node| (hook.build)(&placed, node));
        true
    }

    fn interrupt_cells(&self, device: DeviceId, pin: usize) -> Option<(String, Vec<u32>)> {
        let info = self.infos.get(device.0 as usize)?;
        let cells = info.ty.interrupt_cells?;
        let mut first = 0;
        for decl in info.ty.inputs {
            let count = decl.count.get(&info.props);
            if pin < first + count {
                return cells(&info.props, decl.name, pin - first).map(|c| (info.name.clone(), c));
            }
            first += count;
        }
        None
    }

    pub(crate) fn backend(&self, device: usize, port: usize) -> Option<&Backend> {
        self.infos.get(device)?.backends.get(port)?.as_ref()
    }
}

/// The host's way into a device's port: posts events, and holds back a sender that is faster than
/// the guest. It does not keep the machine alive.
#[derive(Clone)]
pub struct PortSender {
    machine: Weak<Machine>,
    device: DeviceId,
    port: usize,
    flow: Arc<Flow>,
}

impl PortSender {
    fn post(&self, kind: HostEventKind) -> bool {
        let Some(machine) = self.machine.upgrade() else { return false };
        machine.post(HostEvent { device: self.device, kind });
        true
    }

    /// Offers bytes; gives how many were taken. None are when the machine is gone.
    pub fn bytes(&self, bytes: &[u8]) -> usize {
        let n = self.flow.take(CHAR_ROOM, bytes.len());
        let port = self.port;
        if n == 0 || !self.post(HostEventKind::Bytes { port, bytes: bytes[..n].to_vec() }) {
            return 0;
        }
        n
    }

    /// Waits until bytes can be taken, at most so long; true if they can.
    pub fn wait_room(&self, timeout: std::time::Duration) -> bool {
        let mut pending = self.flow.pending.lock();
        if *pending >= CHAR_ROOM {
            self.flow.room.wait_for(&mut pending, timeout);
        }
        *pending < CHAR_ROOM
    }

    /// Offers a frame; false if it was dropped.
    pub fn frame(&self, frame: &[u8]) -> bool {
        self.flow.take(FRAME_ROOM, 1) == 1 && self.post(HostEventKind::Frame { port: self.port, frame: frame.to_vec() })
    }

    /// Tells the device that the port can take bytes again.
    pub fn writable(&self) {
        self.post(HostEventKind::Writable { port: self.port });
    }

    /// Tells the device that the other end was opened or closed.
    pub fn open(&self, open: bool) {
        self.post(HostEventKind::Open { port: self.port, open });
    }
}
