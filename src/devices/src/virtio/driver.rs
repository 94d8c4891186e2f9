//! The driver's side, for tests: negotiates, builds rings in guest memory, makes requests, over
//! every transport and interface.

use std::collections::BTreeMap;

use proteus_model::conformance::{Rng, Step, apply, random_step};
use proteus_model::testing::{Bench, RAM_BASE, RAM_LEN};
use proteus_model::{DeviceType, Width};

use super::mmio::*;
use super::{ByteOrder, F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1, pci};

/// Where buffers begin; rings are below.
const BUFFERS: u64 = RAM_BASE + RAM_LEN / 2;
/// Memory for the rings of one queue.
const RING_LEN: u64 = 0x4000;

/// The types of a device: in a virtio-mmio slot and on a PCI bus.
pub type Types = [&'static DeviceType; 2];

/// Which transport and interface a test uses, and which ring features.
#[derive(Debug, Clone, Copy)]
pub struct Flavour {
    pub pci: bool,
    /// The guest is big-endian (PCI only).
    pub big: bool,
    pub modern: bool,
    pub indirect: bool,
    pub event_idx: bool,
}

/// Every flavour.
pub fn flavours() -> impl Iterator<Item = Flavour> {
    let all = (0..32).map(|n| Flavour { modern: n & 1 != 0, indirect: n & 2 != 0, event_idx: n & 4 != 0, pci: n & 8 != 0, big: n & 16 != 0 });
    all.filter(|f| f.pci || !f.big)
}

/// The plain modern interface.
pub const MODERN: Flavour = Flavour { pci: false, big: false, modern: true, indirect: false, event_idx: false };
/// The plain legacy interface.
pub const LEGACY: Flavour = Flavour { modern: false, ..MODERN };
/// The plain modern interface on a PCI bus.
pub const PCI_MODERN: Flavour = Flavour { pci: true, ..MODERN };
/// The plain legacy interface on a PCI bus.
pub const PCI_LEGACY: Flavour = Flavour { pci: true, ..LEGACY };
/// The plain flavours of both transports.
pub const PLAIN: [Flavour; 4] = [LEGACY, MODERN, PCI_LEGACY, PCI_MODERN];

#[derive(Debug, Default)]
struct Ring {
    num: u16,
    desc: u64,
    avail: u64,
    used: u64,
    avail_idx: u16,
    used_idx: u16,
    free: Vec<u16>,
    /// Chains on their way, by head.
    pending: BTreeMap<u16, Pending>,
}

/// Writable buffers and descriptors of a chain.
type Pending = (Vec<(u64, usize)>, Vec<u16>);

pub struct Driver {
    pub bench: Bench,
    ty: &'static DeviceType,
    pub flavour: Flavour,
    rings: Vec<Ring>,
    next_buffer: u64,
}

impl Driver {
    /// Finds the device, accepts these of its features and sets up all its queues.
    pub fn new(types: Types, props: &[(&str, &str)], flavour: Flavour, features: u64) -> Driver {
        let mut driver = Driver::unstarted(types, props, flavour);
        driver.start(features);
        driver
    }

    pub fn unstarted(types: Types, props: &[(&str, &str)], flavour: Flavour) -> Driver {
        let on = |on: bool| if on { "on" } else { "off" };
        let ty = types[usize::from(flavour.pci)];
        let mut all = vec![if flavour.pci { ("guest-big-endian", on(flavour.big)) } else { ("force-legacy", on(!flavour.modern)) }];
        all.extend_from_slice(props);
        let bench = Bench::new(ty, &all);
        bench.enable_pci();
        Driver { bench, ty, flavour, rings: vec![], next_buffer: BUFFERS }
    }

    /// Order of numbers in rings and requests.
    pub fn order(&self) -> ByteOrder {
        if self.flavour.big && !self.flavour.modern { ByteOrder::Big } else { ByteOrder::Little }
    }

    /// Writes a register of a PCI function: in ports for the legacy interface, else in memory.
    pub fn put(&self, at: u64, width: Width, value: u64) {
        let window = if self.flavour.modern { "modern" } else { "legacy" };
        self.bench.write(window, at, width, value).unwrap();
    }

    /// Reads a register of a PCI function.
    pub fn get(&self, at: u64, width: Width) -> u64 {
        let window = if self.flavour.modern { "modern" } else { "legacy" };
        self.bench.read(window, at, width).unwrap()
    }

    /// Does one thing by transport and interface: in a slot, by PCI's legacy registers or by its
    /// present ones.
    fn by<T>(&self, mmio: impl FnOnce() -> T, legacy: impl FnOnce() -> T, modern: impl FnOnce() -> T) -> T {
        match self.flavour {
            Flavour { pci: false, .. } => mmio(),
            Flavour { modern: false, .. } => legacy(),
            _ => modern(),
        }
    }

    pub fn status(&self) -> u32 {
        self.by(|| self.r(STATUS), || self.get(pci::LEGACY_STATUS, Width::B1) as u32, || self.get(pci::DEVICE_STATUS, Width::B1) as u32)
    }

    pub fn set_status(&self, status: u32) {
        self.by(
            || self.w(STATUS, status),
            || self.put(pci::LEGACY_STATUS, Width::B1, status.into()),
            || self.put(pci::DEVICE_STATUS, Width::B1, status.into()),
        );
    }

    /// Address of registers of the device in memory.
    pub fn registers(&self) -> u64 {
        let window = if self.flavour.pci { "modern" } else { "mmio" };
        let n = self.ty.windows.iter().position(|w| w.name == window).unwrap();
        self.bench.machine.window_base(self.bench.device, n).unwrap()
    }

    pub fn w(&self, at: u64, value: u32) {
        self.bench.write32("mmio", at, value);
    }

    pub fn r(&self, at: u64) -> u32 {
        self.bench.read32("mmio", at)
    }

    pub fn offered(&self) -> u64 {
        let word = |sel: u32| {
            self.by(
                || {
                    self.w(DEVICE_FEATURES_SEL, sel);
                    self.r(DEVICE_FEATURES).into()
                },
                || if sel == 0 { self.get(pci::LEGACY_DEVICE_FEATURES, Width::B4) } else { 0 },
                || {
                    self.put(pci::DEVICE_FEATURE_SELECT, Width::B4, sel.into());
                    self.get(pci::DEVICE_FEATURE, Width::B4)
                },
            )
        };
        word(0) | word(1) << 32
    }

    pub fn accept(&self, features: u64) {
        for sel in 0..2u32 {
            let word = features >> (32 * sel) & 0xffff_ffff;
            self.by(
                || {
                    self.w(DRIVER_FEATURES_SEL, sel);
                    self.w(DRIVER_FEATURES, word as u32);
                },
                || {
                    if sel == 0 {
                        self.put(pci::LEGACY_DRIVER_FEATURES, Width::B4, word);
                    }
                },
                || {
                    self.put(pci::DRIVER_FEATURE_SELECT, Width::B4, sel.into());
                    self.put(pci::DRIVER_FEATURE, Width::B4, word);
                },
            );
        }
    }

    pub fn start(&mut self, features: u64) {
        self.rings.clear();
        if !self.flavour.pci {
            assert_eq!((self.r(MAGIC_VALUE), self.r(VERSION)), (0x7472_6976, 1 + u32::from(self.flavour.modern)));
            if !self.flavour.modern {
                // As Linux does: once, before the reset, which leaves it alone.
                self.w(GUEST_PAGE_SIZE, 4096);
            }
        }
        [0, 1, 3].into_iter().for_each(|status| self.set_status(status));
        let f = self.flavour;
        let ring = u64::from(f.indirect) << F_INDIRECT_DESC | u64::from(f.event_idx) << F_EVENT_IDX | u64::from(f.modern) << F_VERSION_1;
        let wanted = features | ring;
        assert_eq!(wanted & !self.offered(), 0, "all is offered");
        self.accept(wanted);
        if f.modern {
            self.set_status(11);
            assert_eq!(self.status(), 11, "features are agreed on");
        }
        for q in 0..u16::MAX {
            let max = self.by(
                || {
                    self.w(QUEUE_SEL, q.into());
                    u64::from(self.r(QUEUE_NUM_MAX))
                },
                || {
                    self.put(pci::LEGACY_QUEUE_SELECT, Width::B2, q.into());
                    self.get(pci::LEGACY_QUEUE_SIZE, Width::B2)
                },
                || {
                    self.put(pci::QUEUE_SELECT, Width::B2, q.into());
                    self.get(pci::QUEUE_SIZE, Width::B2)
                },
            );
            if max == 0 {
                break;
            }
            // A legacy driver on a PCI bus has no choice.
            self.set_up(q.into(), if f.pci && !f.modern { max } else { max.min(64) } as u16);
        }
        self.set_status(if f.modern { 15 } else { 7 });
    }

    fn set_up(&mut self, q: u32, num: u16) {
        let base = RAM_BASE + 0x1000 + u64::from(q) * RING_LEN;
        assert!(base + RING_LEN <= BUFFERS);
        self.bench.ram.fill(base - RAM_BASE, RING_LEN, 0).unwrap();
        let (desc, avail) = (base, base + 16 * u64::from(num));
        let used = (avail + 6 + 2 * u64::from(num)).next_multiple_of(4096);
        let rings = [desc, avail, used];
        self.by(
            || {
                self.w(QUEUE_NUM, num.into());
                if !self.flavour.modern {
                    self.w(QUEUE_ALIGN, 4096);
                    self.w(QUEUE_PFN, (base / 4096) as u32);
                    assert_eq!(self.r(QUEUE_PFN), (base / 4096) as u32);
                    return;
                }
                for (at, value) in [QUEUE_DESC_LOW, QUEUE_DRIVER_LOW, QUEUE_DEVICE_LOW].into_iter().zip(rings) {
                    self.w(at, value as u32);
                    self.w(at + 4, (value >> 32) as u32);
                }
                self.w(QUEUE_READY, 1);
                assert_eq!(self.r(QUEUE_READY), 1);
            },
            || {
                self.put(pci::LEGACY_QUEUE_PFN, Width::B4, base / 4096);
                assert_eq!(self.get(pci::LEGACY_QUEUE_PFN, Width::B4), base / 4096);
            },
            || {
                self.put(pci::QUEUE_SIZE, Width::B2, num.into());
                for (at, value) in [pci::QUEUE_DESC_LOW, pci::QUEUE_DRIVER_LOW, pci::QUEUE_DEVICE_LOW].into_iter().zip(rings) {
                    // In two accesses of 32 bits, which the bus makes of one.
                    self.put(at, Width::B8, value);
                    assert_eq!(self.get(at, Width::B8), value);
                }
                self.put(pci::QUEUE_ENABLE, Width::B2, 1);
                assert_eq!(self.get(pci::QUEUE_ENABLE, Width::B2), 1);
            },
        );
        self.rings.push(Ring { num, desc, avail, used, free: (0..num).rev().collect(), ..Ring::default() });
    }

    pub fn poke(&self, at: u64, bytes: &[u8]) {
        self.bench.ram.write(at - RAM_BASE, bytes).unwrap();
    }

    pub fn peek(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.bench.ram.read(at - RAM_BASE, &mut bytes).unwrap();
        bytes
    }

    fn load16(&self, at: u64) -> u16 {
        self.order().number16((self.bench.ram.load(at - RAM_BASE, 2).unwrap() as u16).to_le_bytes())
    }

    fn store16(&self, at: u64, value: u16) {
        self.bench.ram.store(at - RAM_BASE, 2, u16::from_le_bytes(self.order().bytes16(value)).into()).unwrap();
    }

    /// Entries of a queue.
    pub fn entries(&self, q: usize) -> u16 {
        self.rings[q].num
    }

    fn buffer(&mut self, len: usize) -> u64 {
        let len = len.next_multiple_of(16).max(16) as u64;
        if self.next_buffer + len > RAM_BASE + RAM_LEN {
            self.next_buffer = BUFFERS;
        }
        self.next_buffer += len;
        self.next_buffer - len
    }

    pub fn write_desc(&self, at: u64, address: u64, len: u32, flags: u16, next: u16) {
        let order = self.order();
        self.poke(at, &order.bytes64(address));
        self.poke(at + 8, &order.bytes32(len));
        self.poke(at + 12, &order.bytes16(flags));
        self.poke(at + 14, &order.bytes16(next));
    }

    /// Address of a descriptor in a queue's table.
    pub fn desc(&self, q: usize, index: u16) -> u64 {
        self.rings[q].desc + 16 * u64::from(index)
    }

    /// Makes a chain of these buffers available, without telling the device.
    pub fn add(&mut self, q: usize, out: &[&[u8]], writable: &[usize]) -> u16 {
        let mut parts = vec![];
        for bytes in out {
            let at = self.buffer(bytes.len());
            self.poke(at, bytes);
            parts.push((at, bytes.len(), 0));
        }
        let mut buffers = vec![];
        for len in writable {
            let at = self.buffer(*len);
            self.poke(at, &vec![0xee; *len]);
            parts.push((at, *len, 2));
            buffers.push((at, *len));
        }
        let indirect = self.flavour.indirect && parts.len() > 1;
        let table = if indirect { self.buffer(16 * parts.len()) } else { 0 };
        let needed = if indirect { 1 } else { parts.len() };
        let ring = &mut self.rings[q];
        let slots: Vec<u16> = (0..needed).map(|_| ring.free.pop().unwrap()).collect();
        let head = slots[0];
        for (i, (address, len, flags)) in parts.iter().copied().enumerate() {
            let more = u16::from(i + 1 < parts.len());
            let (at, next) = if indirect { (table + 16 * i as u64, i as u16 + 1) } else { (self.desc(q, slots[i]), *slots.get(i + 1).unwrap_or(&0)) };
            self.write_desc(at, address, len as u32, flags | more, next);
        }
        if indirect {
            self.write_desc(self.desc(q, head), table, 16 * parts.len() as u32, 4, 0);
        }
        self.rings[q].pending.insert(head, (buffers, slots));
        self.make_available(q, head);
        head
    }

    /// Puts a head into the available ring.
    pub fn make_available(&mut self, q: usize, head: u16) {
        let ring = &mut self.rings[q];
        let (avail, num, idx) = (ring.avail, ring.num, ring.avail_idx);
        ring.avail_idx = idx.wrapping_add(1);
        self.store16(avail + 4 + 2 * u64::from(idx % num), head);
        self.store16(avail + 2, idx.wrapping_add(1));
    }

    /// Sets the available index, as a hostile driver may.
    pub fn set_available(&self, q: usize, idx: u16) {
        self.store16(self.rings[q].avail + 2, idx);
    }

    pub fn notify(&self, q: usize) {
        let offset = pci::NOTIFY + q as u64 * u64::from(pci::NOTIFY_MULTIPLIER);
        self.by(|| self.w(QUEUE_NOTIFY, q as u32), || self.put(pci::LEGACY_QUEUE_NOTIFY, Width::B2, q as u64), || self.put(offset, Width::B2, q as u64));
    }

    /// Would a driver that negotiated EVENT_IDX notify for the chain added last?
    pub fn device_wants_notification(&self, q: usize) -> bool {
        let ring = &self.rings[q];
        self.load16(ring.used + 4 + 8 * u64::from(ring.num)) == ring.avail_idx.wrapping_sub(1)
    }

    /// Asks for an interrupt when the used index passes this one (EVENT_IDX).
    pub fn set_used_event(&self, q: usize, idx: u16) {
        let ring = &self.rings[q];
        self.store16(ring.avail + 4 + 2 * u64::from(ring.num), idx);
    }

    /// Turns interrupts off (without EVENT_IDX).
    pub fn set_no_interrupt(&self, q: usize, off: bool) {
        self.store16(self.rings[q].avail, off.into());
    }

    /// How many chains the device has given back.
    pub fn given_back(&self, q: usize) -> u16 {
        self.load16(self.rings[q].used + 2)
    }

    /// Takes the next used chain: its head, the length, and what was written to its buffers.
    pub fn used(&mut self, q: usize) -> Option<(u16, u32, Vec<u8>)> {
        let ring = &self.rings[q];
        if self.load16(ring.used + 2) == ring.used_idx {
            return None;
        }
        let element = self.peek(ring.used + 4 + 8 * u64::from(ring.used_idx % ring.num), 8);
        let head = self.order().number32(element[..4].try_into().unwrap()) as u16;
        let len = self.order().number32(element[4..].try_into().unwrap());
        let ring = &mut self.rings[q];
        ring.used_idx = ring.used_idx.wrapping_add(1);
        let (used_idx, event_idx) = (ring.used_idx, self.flavour.event_idx);
        if event_idx {
            // As drivers do: tell about the next one.
            self.set_used_event(q, used_idx);
        }
        let ring = &mut self.rings[q];
        let (buffers, slots) = ring.pending.remove(&head).expect("a chain that was made available");
        ring.free.extend(slots);
        let bytes = buffers.iter().flat_map(|(at, len)| self.peek(*at, *len)).collect();
        Some((head, len, bytes))
    }

    /// Makes one request and gives the length and the bytes written.
    pub fn request(&mut self, q: usize, out: &[&[u8]], writable: &[usize]) -> (u32, Vec<u8>) {
        let head = self.add(q, out, writable);
        self.notify(q);
        let (used, len, bytes) = self.used(q).expect("the request is done");
        assert_eq!(used, head);
        (len, bytes)
    }

    /// Reads configuration space.
    pub fn config(&self, at: u64, width: Width) -> u64 {
        self.by(
            || self.bench.read("mmio", CONFIG + at, width).unwrap(),
            || self.get(pci::LEGACY_CONFIG + at, width),
            || self.get(pci::DEVICE_CONFIG + at, width),
        )
    }

    /// Writes configuration space.
    pub fn write_config(&self, at: u64, width: Width, value: u64) {
        self.by(
            || self.bench.write("mmio", CONFIG + at, width, value).unwrap(),
            || self.put(pci::LEGACY_CONFIG + at, width, value),
            || self.put(pci::DEVICE_CONFIG + at, width, value),
        );
    }

    /// Interrupt pin and status, which are then acknowledged.
    pub fn interrupt(&self) -> (bool, u32) {
        let pin = self.irq();
        let status = self.by(
            || {
                let status = self.r(INTERRUPT_STATUS);
                self.w(INTERRUPT_ACK, status);
                status
            },
            || self.get(pci::LEGACY_ISR, Width::B1) as u32,
            || self.get(pci::ISR, Width::B1) as u32,
        );
        assert!(!self.irq(), "acknowledged");
        (pin, status)
    }

    /// Interrupt pin.
    pub fn irq(&self) -> bool {
        self.bench.output(if self.flavour.pci { "intx" } else { "irq" }, 0)
    }

    /// Has the device given up?
    pub fn needs_reset(&self) -> bool {
        self.status() & 0x40 != 0
    }

    /// Random rings over random memory, with host input between: whatever the device does, it does
    /// not panic or hang. Resets the device when it gives up; gives how often that was, and how
    /// often it interrupted for used chains.
    pub fn hammer(&mut self, features: u64, rounds: usize, request: &dyn Fn(&mut Rng) -> Vec<u8>) -> (u32, u32) {
        let mut rng = Rng::new(0x5eed);
        let (mut broken, mut served) = (0, 0);
        for _ in 0..rounds {
            if self.needs_reset() {
                broken += 1;
                self.start(features);
            }
            let q = rng.below(self.rings.len() as u64) as usize;
            let entries = 1 + rng.below(4) as u16;
            let split = rng.below(u64::from(entries) + 1) as u16;
            for index in 0..entries {
                let address = match rng.below(32) {
                    0 => rng.bits(),
                    1 => RAM_BASE + RAM_LEN - rng.below(64),
                    _ => BUFFERS + rng.below(RAM_LEN / 4),
                };
                let len = match rng.below(16) {
                    0 => rng.bits() as u32,
                    1 => 0,
                    _ => [16, 512, 1, 8, 1024][rng.below(5) as usize],
                };
                let flags = match rng.below(32) {
                    0 => rng.bits() as u16,
                    _ => u16::from(index + 1 < entries) | u16::from(index >= split) << 1,
                };
                let next = if rng.below(32) == 0 { rng.bits() as u16 } else { index + 1 };
                self.write_desc(self.desc(q, index), address, len, flags, next);
                if index == 0 && (RAM_BASE..RAM_BASE + RAM_LEN - 256).contains(&address) {
                    self.poke(address, &request(&mut rng));
                }
            }
            match rng.below(64) {
                0 => self.set_available(q, rng.bits() as u16),
                1 => self.make_available(q, rng.bits() as u16),
                _ => self.make_available(q, 0),
            }
            if rng.below(4) == 0 {
                let step = random_step(&self.bench, self.ty, &mut rng);
                if matches!(step, Step::Host(_) | Step::Advance(_)) {
                    let _ = apply(&self.bench, &step);
                }
            }
            self.notify(q);
            served += self.interrupt().1 & 1;
        }
        (broken, served)
    }
}
