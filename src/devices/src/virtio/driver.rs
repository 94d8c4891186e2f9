//! The driver's side, for tests: negotiates, builds rings in guest memory, makes requests.

use std::collections::BTreeMap;

use proteus_model::conformance::{Rng, Step, apply, random_step};
use proteus_model::testing::{Bench, RAM_BASE, RAM_LEN};
use proteus_model::{DeviceType, Width};

use super::mmio::*;
use super::{F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1};

/// Where buffers begin; rings are below.
const BUFFERS: u64 = RAM_BASE + RAM_LEN / 2;
/// Memory for the rings of one queue.
const RING_LEN: u64 = 0x4000;

/// Which interface a test uses, and which ring features.
#[derive(Debug, Clone, Copy)]
pub struct Flavour {
    pub modern: bool,
    pub indirect: bool,
    pub event_idx: bool,
}

/// Every flavour.
pub fn flavours() -> impl Iterator<Item = Flavour> {
    (0..8).map(|n| Flavour { modern: n & 1 != 0, indirect: n & 2 != 0, event_idx: n & 4 != 0 })
}

/// The plain modern interface.
pub const MODERN: Flavour = Flavour { modern: true, indirect: false, event_idx: false };
/// The plain legacy interface.
pub const LEGACY: Flavour = Flavour { modern: false, indirect: false, event_idx: false };

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
    pub fn new(ty: &'static DeviceType, props: &[(&str, &str)], flavour: Flavour, features: u64) -> Driver {
        let mut driver = Driver::unstarted(ty, props, flavour);
        driver.start(features);
        driver
    }

    pub fn unstarted(ty: &'static DeviceType, props: &[(&str, &str)], flavour: Flavour) -> Driver {
        let mut all = vec![("force-legacy", if flavour.modern { "off" } else { "on" })];
        all.extend_from_slice(props);
        Driver { bench: Bench::new(ty, &all), ty, flavour, rings: vec![], next_buffer: BUFFERS }
    }

    pub fn w(&self, at: u64, value: u32) {
        self.bench.write32("mmio", at, value);
    }

    pub fn r(&self, at: u64) -> u32 {
        self.bench.read32("mmio", at)
    }

    pub fn offered(&self) -> u64 {
        let word = |sel| {
            self.w(DEVICE_FEATURES_SEL, sel);
            u64::from(self.r(DEVICE_FEATURES))
        };
        word(0) | word(1) << 32
    }

    pub fn start(&mut self, features: u64) {
        assert_eq!((self.r(MAGIC_VALUE), self.r(VERSION)), (0x7472_6976, 1 + u32::from(self.flavour.modern)));
        self.rings.clear();
        if !self.flavour.modern {
            // As Linux does: once, before the reset, which leaves it alone.
            self.w(GUEST_PAGE_SIZE, 4096);
        }
        self.w(STATUS, 0);
        self.w(STATUS, 1);
        self.w(STATUS, 3);
        let f = self.flavour;
        let ring = u64::from(f.indirect) << F_INDIRECT_DESC | u64::from(f.event_idx) << F_EVENT_IDX | u64::from(f.modern) << F_VERSION_1;
        let wanted = features | ring;
        assert_eq!(wanted & !self.offered(), 0, "all is offered");
        for sel in 0..2 {
            self.w(DRIVER_FEATURES_SEL, sel);
            self.w(DRIVER_FEATURES, (wanted >> (32 * sel)) as u32);
        }
        if f.modern {
            self.w(STATUS, 11);
            assert_eq!(self.r(STATUS), 11, "features are agreed on");
        }
        for q in 0.. {
            self.w(QUEUE_SEL, q);
            let max = self.r(QUEUE_NUM_MAX);
            if max == 0 {
                break;
            }
            self.set_up(q, max.min(64) as u16);
        }
        self.w(STATUS, if f.modern { 15 } else { 7 });
    }

    fn set_up(&mut self, q: u32, num: u16) {
        let base = RAM_BASE + 0x1000 + u64::from(q) * RING_LEN;
        assert!(base + RING_LEN <= BUFFERS);
        self.bench.ram.fill(base - RAM_BASE, RING_LEN, 0).unwrap();
        let (desc, avail) = (base, base + 16 * u64::from(num));
        let used = (avail + 6 + 2 * u64::from(num)).next_multiple_of(4096);
        self.w(QUEUE_NUM, num.into());
        if self.flavour.modern {
            for (at, value) in [(QUEUE_DESC_LOW, desc), (QUEUE_DRIVER_LOW, avail), (QUEUE_DEVICE_LOW, used)] {
                self.w(at, value as u32);
                self.w(at + 4, (value >> 32) as u32);
            }
            self.w(QUEUE_READY, 1);
            assert_eq!(self.r(QUEUE_READY), 1);
        } else {
            self.w(QUEUE_ALIGN, 4096);
            self.w(QUEUE_PFN, (base / 4096) as u32);
            assert_eq!(self.r(QUEUE_PFN), (base / 4096) as u32);
        }
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
        self.bench.ram.load(at - RAM_BASE, 2).unwrap() as u16
    }

    fn store16(&self, at: u64, value: u16) {
        self.bench.ram.store(at - RAM_BASE, 2, value.into()).unwrap();
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
        self.poke(at, &address.to_le_bytes());
        self.poke(at + 8, &len.to_le_bytes());
        self.poke(at + 12, &flags.to_le_bytes());
        self.poke(at + 14, &next.to_le_bytes());
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
        self.w(QUEUE_NOTIFY, q as u32);
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

    /// Takes the next used chain: its head, the length, and what was written to its buffers.
    pub fn used(&mut self, q: usize) -> Option<(u16, u32, Vec<u8>)> {
        let ring = &self.rings[q];
        if self.load16(ring.used + 2) == ring.used_idx {
            return None;
        }
        let element = self.peek(ring.used + 4 + 8 * u64::from(ring.used_idx % ring.num), 8);
        let head = u16::from_le_bytes([element[0], element[1]]);
        let len = u32::from_le_bytes([element[4], element[5], element[6], element[7]]);
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
        self.bench.read("mmio", CONFIG + at, width).unwrap()
    }

    /// Interrupt pin and status, which are then acknowledged.
    pub fn interrupt(&self) -> (bool, u32) {
        let (pin, status) = (self.bench.output("irq", 0), self.r(INTERRUPT_STATUS));
        self.w(INTERRUPT_ACK, status);
        assert!(!self.bench.output("irq", 0), "acknowledged");
        (pin, status)
    }

    /// Has the device given up?
    pub fn needs_reset(&self) -> bool {
        self.r(STATUS) & 0x40 != 0
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
