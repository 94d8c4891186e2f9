//! Tests of the controller, by a driver that is as small as it gets.

use proteus_model::conformance::{Rng, check};
use proteus_model::testing::{Bench, RAM_BASE, RAM_LEN};
use proteus_model::{HostEventKind, Width};

use super::super::fcs;
use super::*;

/// The address that the driver sets, which is not the one of the EEPROM.
const OWN: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x57];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const MULTI: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];
const ALL: [u8; 6] = [0xff; 6];

/// Where the test's structures are in its memory.
const BLOCK: u64 = 0x100;
const RX_RING: u64 = 0x1000;
const TX_RING: u64 = 0x2000;
const RX_BUFFERS: u64 = 0x1_0000;
const TX_BUFFERS: u64 = 0x4_0000;
/// Both rings have so many descriptors.
const RING: u64 = 8;
/// How long it takes until the rings are looked at, with nothing set and nothing demanded.
const INTERVAL: Ns = 0x1_0000 * CLOCK;

/// What is in the words of a descriptor that the controller may write.
const JUNK: u32 = 0xa5a5;
const WANTED: u32 = (CSR0_INIT | CSR0_STRT | CSR0_IENA) as u32;

struct Driver {
    b: Bench,
    style: u16,
    tx: u64,
    rx: u64,
}

/// A receive descriptor that came back: its status from bit 16 on, message length, contents of
/// the buffer as far as that goes.
type Received = (u64, u64, Vec<u8>);

impl Driver {
    /// A driver that has set the style and nothing else.
    fn new(style: u16) -> Driver {
        let b = Bench::new(&PCNET, &[("netdev", "net0")]);
        b.enable_pci();
        let d = Driver { b, style, tx: 0, rx: 0 };
        d.set_bcr(20, style);
        d
    }

    /// One that has started the controller in this mode, with buffers of these lengths in the
    /// receive ring.
    fn started(style: u16, mode: u16, buffers: &[u64]) -> Driver {
        let mut d = Driver::new(style);
        d.block(mode, [0; 4]);
        for len in buffers {
            d.provide(*len);
        }
        d.set_csr(0, WANTED as u16);
        assert_eq!(d.csr(0) & 0x1ff, (CSR0_IDON | CSR0_INTR | CSR0_IENA | CSR0_STRT | CSR0_INIT | CSR0_TXON | CSR0_RXON) as u16);
        d.set_csr(0, (CSR0_IDON | CSR0_IENA) as u16);
        d
    }

    fn port(&self, at: u64, value: Option<u16>) -> u16 {
        match value {
            Some(value) => {
                self.b.write("io", at, Width::B2, value.into()).unwrap();
                0
            }
            None => self.b.read("io", at, Width::B2).unwrap() as u16,
        }
    }

    fn csr(&self, n: u16) -> u16 {
        self.port(0x12, Some(n));
        self.port(0x10, None)
    }

    fn set_csr(&self, n: u16, value: u16) {
        self.port(0x12, Some(n));
        self.port(0x10, Some(value));
    }

    fn bcr(&self, n: u16) -> u16 {
        self.port(0x12, Some(n));
        self.port(0x16, None)
    }

    fn set_bcr(&self, n: u16, value: u16) {
        self.port(0x12, Some(n));
        self.port(0x16, Some(value));
    }

    fn store(&self, at: u64, bytes: &[u8]) {
        self.b.ram.write(at, bytes).unwrap();
    }

    fn load(&self, at: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.b.ram.read(at, &mut bytes).unwrap();
        bytes
    }

    fn wide(&self) -> bool {
        self.style != 0
    }

    /// Writes the initialization block and tells the controller where it is.
    fn block(&self, mode: u16, filter: [u16; 4]) {
        let filter = filter.map(u16::to_le_bytes);
        let (rx, tx) = ((RAM_BASE + RX_RING) as u32, (RAM_BASE + TX_RING) as u32);
        let mut block = vec![];
        if self.wide() {
            block.extend((u32::from(mode) | 3 << 20 | 3 << 28).to_le_bytes());
            block.extend(OWN);
            block.extend([0; 2]);
            block.extend(filter.as_flattened());
            block.extend(rx.to_le_bytes());
            block.extend(tx.to_le_bytes());
        } else {
            block.extend(mode.to_le_bytes());
            block.extend(OWN);
            block.extend(filter.as_flattened());
            block.extend((rx & 0xff_ffff | 3 << 29).to_le_bytes());
            block.extend((tx & 0xff_ffff | 3 << 29).to_le_bytes());
        }
        self.store(BLOCK, &block);
        let at = (RAM_BASE + BLOCK) as u32;
        self.set_csr(1, at as u16);
        self.set_csr(2, (at >> 16) as u16);
    }

    fn ring_at(&self, ring: u64, n: u64) -> u64 {
        ring + n % RING * if self.wide() { 16 } else { 8 }
    }

    /// Writes a descriptor; `status` is in the upper 16 bits as in the 32-bit layouts.
    fn describe(&self, at: u64, buffer: u64, len: u64, status: u64) {
        let buffer = (RAM_BASE + buffer) as u32;
        let count = 0xf000 | 0x1000u64.wrapping_sub(len) as u32 & 0xfff;
        let status = status as u32 & 0xffff_0000;
        let words = match self.style {
            0 => [buffer & 0xff_ffff | status, count | JUNK << 16, 0, 0],
            3 => [JUNK, status | count, buffer, JUNK],
            _ => [buffer, status | count, JUNK, JUNK],
        };
        let bytes = words.map(u32::to_le_bytes);
        self.store(at, &bytes.as_flattened()[..if self.wide() { 16 } else { 8 }]);
    }

    /// Status and what is beside it: message length or transmit errors.
    fn look(&self, at: u64) -> (u64, u64) {
        let bytes = self.load(at, if self.wide() { 16 } else { 8 });
        let word = |n: usize| u64::from(u32::from_le_bytes(*bytes[n..].first_chunk().unwrap()));
        match self.style {
            0 => (word(0) & 0xff00_0000, word(4) >> 16),
            3 => (word(4) & 0xffff_0000, word(0)),
            _ => (word(4) & 0xffff_0000, word(8)),
        }
    }

    /// Gives the controller a receive buffer.
    fn provide(&mut self, len: u64) {
        let buffer = RX_BUFFERS + self.rx % RING * 0x1000;
        self.store(buffer, &vec![0xee; len as usize]);
        self.describe(self.ring_at(RX_RING, self.rx), buffer, len, RMD1_OWN);
        self.rx += 1;
    }

    /// The receive descriptor number `n`, if it came back.
    fn received(&self, n: u64) -> Option<Received> {
        let at = self.ring_at(RX_RING, n);
        let (status, beside) = self.look(at);
        let buffer = RX_BUFFERS + n % RING * 0x1000;
        (status & RMD1_OWN == 0).then(|| (status, beside, self.load(buffer, 0x1000)))
    }

    /// Puts parts of a frame into the transmit ring, the first descriptor last; gives its number.
    fn queue(&mut self, parts: &[&[u8]], flags: u64) -> u64 {
        let first = self.tx;
        for (n, part) in parts.iter().enumerate().rev() {
            let number = first + n as u64;
            let buffer = TX_BUFFERS + number % RING * 0x1000;
            self.store(buffer, part);
            let start = if n == 0 { TMD1_STP } else { 0 };
            let end = if n + 1 == parts.len() { TMD1_ENP } else { 0 };
            self.describe(self.ring_at(TX_RING, number), buffer, part.len() as u64, TMD1_OWN | start | end | flags);
        }
        self.tx += parts.len() as u64;
        first
    }

    fn demand(&self) {
        self.set_csr(0, (CSR0_TDMD | CSR0_IENA) as u16);
    }

    fn transmitted(&self, n: u64) -> (u64, u64) {
        self.look(self.ring_at(TX_RING, n))
    }

    fn sent(&self) -> Option<Vec<u8>> {
        self.b.sent_frame("netdev")
    }

    fn interrupt(&self) -> bool {
        self.b.output("intx", 0)
    }
}

fn frame(to: [u8; 6], len: usize) -> Vec<u8> {
    let mut rng = Rng::new(len as u64);
    let mut frame = to.to_vec();
    frame.extend((6..len).map(|_| rng.bits() as u8));
    // A type, and no length.
    frame[12..14].copy_from_slice(&[8, 0]);
    frame
}

fn with_fcs(frame: &[u8]) -> Vec<u8> {
    [frame, &fcs(frame)].concat()
}

fn errors(b: &Bench) -> u64 {
    b.machine.counters().guest_errors
}

/// What the network answers by itself is there when the access that has sent the frame ends, and
/// what there is no room for is lost.
#[test]
fn answers_come_with_the_access_that_sends() {
    let mut d = Driver::started(2, 0, &[0x600; 2]);
    let answer = [&OWN[..], &OTHER, &[8, 6], &[7; 50]].concat();
    d.b.answer("netdev", vec![answer.clone(); 5000]);
    d.queue(&[&[1; 60]], 0);
    assert_eq!(d.received(0), None);
    d.demand();
    for n in 0..2 {
        let (_, _, bytes) = d.received(n).expect("an answer");
        assert_eq!(bytes[..answer.len()], answer);
    }
    // As many wait as there may be on their way to a port.
    assert_eq!(d.b.answered("netdev"), 1024);
}

#[test]
fn conforms() {
    check(&PCNET).unwrap();
}

#[test]
fn registers_have_the_datasheets_values_after_a_reset() {
    let d = Driver::new(0);
    for (table, read) in [(CSRS, Driver::csr as fn(&Driver, u16) -> u16), (BCRS, Driver::bcr)] {
        for r in table.iter().filter(|r| r.modelled) {
            let n = (r.offset / 2) as u16;
            // The address; what follows the descriptors at 0; the LED that shows the link; a
            // transceiver that is not there.
            let expected = match r.name {
                "CSR12" => 0x5452,
                "CSR26" | "CSR32" => 8,
                "BCR4" => 0x80c0,
                "BCR34" => 0xffff,
                _ => r.reset as u16,
            };
            assert_eq!(read(&d, n), expected, "{}", r.name);
        }
    }
    assert_eq!((d.csr(13), d.csr(14), d.csr(88), d.csr(89)), (0x1200, 0x5634, 0x5003, 0x0262));
    assert_eq!(d.b.read("config", 0, Width::B8), Ok(0x0280_0007_2000_1022));
    assert_eq!(d.b.read("config", 8, Width::B4), Ok(0x0200_0010));
    assert_eq!(d.b.read("config", 0x3c, Width::B4), Ok(0xff06_0100));
    d.set_bcr(22, 0x1822);
    assert_eq!(d.b.read("config", 0x3c, Width::B4), Ok(0x1822_0100));
}

#[test]
fn the_address_prom_has_the_address_and_a_sum() {
    let b = Bench::new(&PCNET, &[("netdev", "net0"), ("mac", "02:03:04:05:06:07")]);
    b.enable_pci();
    let prom: Vec<u64> = (0..16).map(|at| b.read("memory", at, Width::B1).unwrap()).collect();
    assert_eq!(prom, [2, 3, 4, 5, 6, 7, 0, 0, 0, 0x11, 0, 0, 0xda, 0, 0x57, 0x57]);
    assert_eq!(b.read("io", 4, Width::B4), Ok(0x0706));
    let before = errors(&b);
    b.write("io", 0, Width::B1, 0xaa).unwrap();
    assert_eq!((b.read("io", 0, Width::B1), errors(&b)), (Ok(2), before + 1));
    b.write("io", 0x12, Width::B2, 2).unwrap();
    b.write("io", 0x16, Width::B2, BCR2_APROMWE).unwrap();
    b.write("io", 0, Width::B1, 0xaa).unwrap();
    assert_eq!(b.read("io", 0, Width::B1), Ok(0xaa));
    // Until the EEPROM is read again.
    b.write("io", 0x12, Width::B2, 19).unwrap();
    b.write("io", 0x16, Width::B2, BCR19_PREAD).unwrap();
    assert_eq!((b.read("io", 0, Width::B1), b.read("io", 0x16, Width::B2)), (Ok(2), Ok(0xa000)));
}

#[test]
fn ports_are_of_16_bits_until_32_are_written_to_the_data_port() {
    let d = Driver::new(2);
    let b = &d.b;
    assert_eq!((d.csr(88), d.bcr(18)), (0x5003, 0x9001));
    let before = errors(b);
    assert_eq!((b.read("io", 0x10, Width::B4), errors(b)), (Ok(0xffff_ffff), before + 1));
    b.write32("memory", 0x10, 0);
    b.write32("memory", 0x14, 18);
    assert_eq!((b.read32("memory", 0x14), b.read32("memory", 0x1c)), (18, 0x9081));
    b.write32("io", 0x14, 88);
    assert_eq!(b.read32("io", 0x10), 0x5003);
    b.read("io", 0x12, Width::B2).unwrap();
    assert_eq!(errors(b), before + 2);
    // A reset by software leaves that and the style as they are; a reset of the board does not.
    assert_eq!(b.read32("io", 0x18), 0);
    b.write32("io", 0x14, 20);
    assert_eq!(b.read32("io", 0x1c), 0x302);
    b.machine.reset(proteus_model::Reset::Warm);
    b.enable_pci();
    assert_eq!((d.bcr(18), d.bcr(20)), (0x9001, 0x200));
}

#[test]
fn the_initialization_block_is_read_in_both_forms() {
    for style in 0..=3 {
        let d = Driver::new(style);
        d.block(0x8002, [0x1111, 0x2222, 0x3333, 0x4444]);
        d.set_csr(0, CSR0_INIT as u16);
        assert_eq!(d.csr(0), (CSR0_INIT | CSR0_IDON | CSR0_INTR) as u16, "{style}");
        assert!(!d.interrupt(), "not enabled");
        d.set_csr(0, CSR0_IENA as u16);
        assert!(d.interrupt());
        d.set_csr(0, (CSR0_IENA | CSR0_IDON) as u16);
        assert!(!d.interrupt());
        d.set_csr(0, CSR0_STOP as u16);
        assert_eq!([8, 9, 10, 11, 12, 13, 14, 15].map(|n| d.csr(n)), [0x1111, 0x2222, 0x3333, 0x4444, 0x5452, 0x1200, 0x5734, 0x8002]);
        assert_eq!([24, 25, 30, 31, 76, 78, 6].map(|n| d.csr(n)), [0x1000, 0x4000, 0x2000, 0x4000, 0xfff8, 0xfff8, 0x3300], "{style}");
        // What the mode turns off stays off.
        d.set_csr(0, CSR0_STRT as u16);
        assert_eq!(d.csr(0), (CSR0_STRT | CSR0_RXON) as u16);
    }
}

#[test]
fn rings_of_the_32_bit_block_end_at_512() {
    let d = Driver::new(2);
    d.block(0, [0; 4]);
    d.store(BLOCK, &0xf090_0000u32.to_le_bytes());
    d.set_csr(0, CSR0_INIT as u16);
    assert_eq!((d.csr(76), d.csr(78)), (0xfe00, 0xfe00));
}

#[test]
fn frames_go_out_in_every_style() {
    for style in 0..=3 {
        let mut d = Driver::started(style, 0, &[]);
        for len in [60, 61, 1000, 1514] {
            let whole = frame(OTHER, len);
            let n = d.queue(&[&whole], 0);
            assert!(!d.interrupt());
            d.demand();
            assert_eq!(d.sent(), Some(whole), "{style} {len}");
            assert_eq!(d.transmitted(n), (TMD1_STP | TMD1_ENP, 0));
            assert!(d.interrupt());
            assert_eq!(d.csr(0) & (CSR0_TINT | CSR0_TDMD | CSR0_ERR) as u16, CSR0_TINT as u16);
            d.set_csr(0, (CSR0_TINT | CSR0_IENA) as u16);
            assert!(!d.interrupt());
        }
        // Several frames, of several buffers each, over the end of the ring.
        for _ in 0..5 {
            let (one, two) = (frame(OTHER, 900), frame(MULTI, 100));
            let n = d.queue(&[&one[..1], &one[1..500], &one[500..]], 0);
            d.queue(&[&two[..50], &two[50..]], 0);
            d.demand();
            assert_eq!((d.sent(), d.sent(), d.sent()), (Some(one), Some(two), None), "{style}");
            assert_eq!([0, 1, 2, 3, 4].map(|m| d.transmitted(n + m).0 & (TMD1_OWN | TMD1_ERR)), [0; 5]);
        }
        assert_eq!(errors(&d.b), 0);
    }
}

#[test]
fn short_frames_are_padded_and_check_sequences_added_as_the_driver_says() {
    let short = frame(OTHER, 42);
    let mut padded = short.clone();
    padded.resize(60, 0);
    // Mode, CSR4, flags of the descriptor, what is in the buffer, what goes out.
    let long = frame(OTHER, 100);
    let cases = [
        (0, 0, 0, short.clone(), Some(short.clone())),
        (0, CSR4_APAD_XMT, 0, short.clone(), Some(padded.clone())),
        (CSR15_DXMTFCS, CSR4_APAD_XMT, 0, short.clone(), Some(padded)),
        (CSR15_DXMTFCS, 0, 0, with_fcs(&long), Some(long.clone())),
        (CSR15_DXMTFCS, 0, 0, long.clone(), None),
        (CSR15_DXMTFCS, 0, TMD1_ADD_FCS, long.clone(), Some(long)),
        (0, 0, 0, short[..13].to_vec(), None),
    ];
    for (n, (mode, csr4, flags, given, expected)) in cases.into_iter().enumerate() {
        let mut d = Driver::started(2, mode as u16, &[]);
        d.set_csr(4, csr4 as u16);
        d.queue(&[&given], flags);
        d.demand();
        assert_eq!((d.sent(), errors(&d.b)), (expected.clone(), u64::from(expected.is_none())), "case {n}");
    }
}

#[test]
fn a_frame_that_is_too_long_babbles_but_goes_out() {
    let mut d = Driver::started(2, 0, &[]);
    let long = frame(OTHER, 1515);
    d.queue(&[&long], 0);
    d.demand();
    assert_eq!(d.sent(), Some(long));
    assert_eq!(d.csr(0) & (CSR0_BABL | CSR0_ERR) as u16, (CSR0_BABL | CSR0_ERR) as u16);
}

#[test]
fn transmit_interrupts_come_as_late_as_the_driver_wants() {
    for (csr5, flags, comes) in [(0, 0, true), (CSR5_TOKINTD, 0, false), (CSR5_LTINTEN, 0, false), (CSR5_LTINTEN, TMD1_LTINT, true)] {
        let mut d = Driver::started(3, 0, &[]);
        d.set_csr(5, csr5 as u16);
        let n = d.queue(&[&frame(OTHER, 60)], flags);
        d.demand();
        assert!(d.sent().is_some());
        assert_eq!((d.interrupt(), d.transmitted(n).0), (comes, TMD1_STP | TMD1_ENP), "{csr5:#x} {flags:#x}");
    }
}

#[test]
fn a_frame_without_an_end_is_an_underflow() {
    for style in [0, 2, 3] {
        for stays in [false, true] {
            let mut d = Driver::started(style, 0, &[]);
            if stays {
                d.set_csr(3, CSR3_DXSUFLO as u16);
            }
            let n = d.queue(&[&[1; 100], &[2; 100], &[3; 100]], 0);
            // The driver still owns the last one.
            d.describe(d.ring_at(TX_RING, n + 2), TX_BUFFERS, 100, TMD1_ENP);
            d.demand();
            assert_eq!(d.sent(), None);
            assert_eq!(d.transmitted(n).0, TMD1_STP);
            let errors = (TMD2_BUFF | TMD2_UFLO) >> if style == 0 { 16 } else { 0 };
            assert_eq!(d.transmitted(n + 1), (TMD1_ERR, errors), "{style}");
            assert_eq!(d.csr(0) & (CSR0_TXON | CSR0_TINT) as u16, (CSR0_TINT | if stays { CSR0_TXON } else { 0 }) as u16);
            // The rest, which has no beginning, is skipped, and what follows it sent.
            d.tx = n + 2;
            d.describe(d.ring_at(TX_RING, n + 2), TX_BUFFERS, 100, TMD1_OWN | TMD1_ENP);
            d.tx += 1;
            let next = frame(OTHER, 60);
            d.queue(&[&next], 0);
            d.demand();
            assert_eq!(d.sent(), stays.then_some(next));
        }
    }
}

#[test]
fn frames_that_no_count_can_tell_are_not_sent() {
    for (one, two) in [(4096, 4096), (4000, 96)] {
        let mut d = Driver::started(2, 0, &[]);
        d.queue(&[&vec![1; one], &vec![2; two]], 0);
        d.demand();
        assert_eq!((d.sent(), errors(&d.b)), (None, 1));
    }
    // A whole ring without an end.
    let d = Driver::started(2, 0, &[]);
    (0..RING).for_each(|n| d.describe(d.ring_at(TX_RING, n), TX_BUFFERS, 1, TMD1_OWN | if n == 0 { TMD1_STP } else { 0 }));
    d.demand();
    assert_eq!((d.sent(), errors(&d.b)), (None, 1));
}

#[test]
fn what_is_not_demanded_goes_out_when_the_ring_is_looked_at() {
    let mut d = Driver::started(2, 0, &[]);
    let one = frame(OTHER, 60);
    d.queue(&[&one], 0);
    d.b.advance(INTERVAL - 1);
    assert_eq!(d.sent(), None);
    d.b.advance(INTERVAL);
    assert_eq!(d.sent(), Some(one.clone()));
    // More rarely once the driver demands.
    d.demand();
    d.b.advance(INTERVAL);
    d.queue(&[&one], 0);
    d.b.advance((RARELY - 1) * INTERVAL);
    assert_eq!(d.sent(), None);
    d.b.advance(2 * INTERVAL);
    assert_eq!(d.sent(), Some(one.clone()));
    // Not at all if it is turned off; in an interval that was set if there is one.
    let mut d = Driver::started(2, 0, &[]);
    d.set_csr(4, CSR4_TXDPOLL as u16);
    d.queue(&[&one], 0);
    d.b.advance(100 * INTERVAL);
    assert_eq!((d.sent(), d.b.machine.next_alarm()), (None, None));
    d.set_csr(47, 0u16.wrapping_sub(1000));
    d.set_csr(4, 0);
    d.b.advance(1000 * CLOCK);
    assert_eq!(d.sent(), Some(one));
}

#[test]
fn frames_come_in_in_every_style() {
    for style in 0..=3 {
        let mut d = Driver::started(style, 0, &[1536; 8]);
        for n in 0..20 {
            let given = frame(OWN, 60 + 70 * n as usize);
            d.b.frame("netdev", &given);
            assert!(d.interrupt());
            let (status, len, bytes) = d.received(n).unwrap();
            let expected = with_fcs(&given);
            let physical = if style == 0 { 0 } else { RMD1_PAM };
            assert_eq!((status, len), (RMD1_STP | RMD1_ENP | physical, expected.len() as u64), "{style}");
            assert_eq!(bytes[..expected.len()], expected);
            assert_eq!(bytes[expected.len()..1536], vec![0xee; 1536 - expected.len()]);
            d.set_csr(0, (CSR0_RINT | CSR0_IENA) as u16);
            assert!(!d.interrupt());
            d.provide(1536);
        }
        assert_eq!(errors(&d.b), 0);
    }
}

#[test]
fn a_frame_takes_as_many_buffers_as_it_needs() {
    for style in [0, 2, 3] {
        let d = Driver::started(style, 0, &[100, 4, 300, 4096]);
        let given = frame(OWN, 400);
        d.b.frame("netdev", &given);
        let (mut all, expected) = (vec![], with_fcs(&given));
        let physical = if style == 0 { 0 } else { RMD1_PAM };
        for (n, (len, flags)) in [(100, RMD1_STP), (4, 0), (300, RMD1_ENP | physical)].into_iter().enumerate() {
            let (status, count, bytes) = d.received(n as u64).unwrap();
            assert_eq!(status, flags, "{style} {n}");
            assert_eq!(count, if n == 2 { 404 } else { JUNK.into() });
            all.extend_from_slice(&bytes[..len]);
        }
        assert_eq!((all.len(), &all[..]), (404, &expected[..]));
        assert!(d.received(3).is_none());
    }
}

#[test]
fn short_frames_arrive_as_long_as_the_wire_makes_them_and_padding_is_stripped_on_demand() {
    // Type or length, CSR4, message length.
    for (field, csr4, len) in [(0x800, 0, 64), (0x800, CSR4_ASTRP_RCV, 64), (20, 0, 64), (20, CSR4_ASTRP_RCV, 34), (46, CSR4_ASTRP_RCV, 64)] {
        let d = Driver::started(2, 0, &[1536]);
        d.set_csr(4, csr4 as u16);
        let mut given = frame(OWN, 34);
        given[12..14].copy_from_slice(&u16::to_be_bytes(field));
        d.b.frame("netdev", &given);
        let (_, count, bytes) = d.received(0).unwrap();
        assert_eq!((count, &bytes[..34]), (len, &given[..]), "{field:#x} {csr4:#x}");
    }
}

#[test]
fn frames_wait_while_the_ring_is_full() {
    for style in [0, 3] {
        let mut d = Driver::started(style, 0, &[1536; 8]);
        for n in 0..40 {
            d.b.frame("netdev", &frame(OWN, 60 + n));
        }
        for n in 0..40 {
            let (_, len, _) = d.received(n).unwrap_or_else(|| panic!("frame {n}"));
            assert_eq!(len, 64 + n);
            d.provide(1536);
            // A driver that has nothing else to do gets it a little later, another at once.
            if n % 2 == 0 {
                d.b.advance(INTERVAL);
            } else {
                d.csr(0);
            }
        }
        assert!(d.received(40).is_none());
        assert_eq!(d.csr(0) & CSR0_MISS as u16, 0);
    }
}

#[test]
fn a_frame_that_no_ring_takes_is_cut_off() {
    let d = Driver::started(2, 0, &[10; 8]);
    d.b.frame("netdev", &frame(OWN, 100));
    let (status, len, _) = d.received(7).unwrap();
    assert_eq!((status, len), (RMD1_ENP | RMD1_PAM | RMD1_ERR | RMD1_BUFF | RMD1_OFLO, 80));
    assert_eq!(errors(&d.b), 1);
}

#[test]
fn the_filters_pass_what_they_should() {
    // The bit of the hash that MULTI has.
    let bit = crate::net::crc32(&MULTI) >> 26;
    let mut filter = [0; 4];
    filter[bit as usize / 16] = 1 << (bit % 16);
    let status = |d: &mut Driver, to| {
        let n = d.rx - RING;
        d.b.frame("netdev", &frame(to, 60));
        let found = d.received(n).map(|r| r.0 & !(RMD1_STP | RMD1_ENP));
        if found.is_some() {
            d.provide(1536);
        }
        found
    };
    const NO: Option<u64> = None;
    let (own, all, hash) = (Some(RMD1_PAM), Some(RMD1_BAM), Some(RMD1_LAFM));
    // Mode, filter, what becomes of frames to OWN, OTHER, MULTI and ALL.
    let cases = [
        (0, [0; 4], [own, NO, NO, all]),
        (0, filter, [own, NO, hash, all]),
        (CSR15_PROM, [0; 4], [own, Some(0), Some(0), all]),
        (CSR15_DRCVBC, [0xffff; 4], [own, NO, hash, hash]),
        (CSR15_DRCVBC | CSR15_DRCVPA, filter, [NO, NO, hash, NO]),
        (CSR15_DRX, filter, [NO; 4]),
    ];
    for (mode, filter, expected) in cases {
        let mut d = Driver::new(2);
        d.block(mode as u16, filter);
        (0..RING).for_each(|_| d.provide(1536));
        d.set_csr(0, WANTED as u16);
        assert_eq!([OWN, OTHER, MULTI, ALL].map(|to| status(&mut d, to)), expected, "{mode:#x}");
    }
}

#[test]
fn loopback_returns_what_is_sent() {
    // Mode, BCR32: does the frame go out too, does a frame from outside come in?
    for (mode, mii, out) in [(CSR15_LOOP | CSR15_INTL, 0, false), (CSR15_LOOP, 0, true), (0, BCR32_MIIILP, false)] {
        for style in [0, 2] {
            let mut d = Driver::started(style, mode as u16, &[1536; 3]);
            d.set_bcr(32, mii as u16);
            let given = frame(OWN, 100);
            d.b.frame("netdev", &frame(OWN, 77));
            d.queue(&[&given], 0);
            d.queue(&[&frame(OTHER, 100)], 0);
            d.demand();
            let (_, len, bytes) = d.received(0).unwrap();
            assert_eq!((len, &bytes[..104]), (104, &with_fcs(&given)[..]), "{mode:#x} {mii:#x}");
            assert_eq!((d.sent().is_some(), d.received(1).is_none()), (out, true));
        }
    }
}

#[test]
fn loopback_shows_runts_wrong_sums_and_missed_frames() {
    let mode = (CSR15_LOOP | CSR15_INTL | CSR15_DXMTFCS) as u16;
    let mut d = Driver::started(2, mode, &[1536; 2]);
    let runt = with_fcs(&frame(OWN, 40));
    d.queue(&[&runt], 0);
    d.demand();
    assert!(d.received(0).is_none());
    d.set_csr(124, CSR124_RPA as u16);
    d.queue(&[&runt], 0);
    d.demand();
    assert_eq!(d.received(0).map(|r| (r.0 & RMD1_ERR, r.1)), Some((0, 44)));
    d.queue(&[&frame(OWN, 100)], 0);
    d.demand();
    assert_eq!(d.received(1).map(|r| r.0), Some(RMD1_STP | RMD1_ENP | RMD1_PAM | RMD1_ERR | RMD1_CRC));
    // The next one waits for a buffer; those after it are missed, and counted.
    d.set_csr(4, 0);
    (0..3).for_each(|_| {
        d.queue(&[&with_fcs(&frame(OWN, 100))], 0);
    });
    d.demand();
    assert_eq!((d.csr(0) & CSR0_MISS as u16, d.csr(112)), (CSR0_MISS as u16, 2));
    d.provide(1536);
    d.csr(0);
    assert_eq!(d.received(2).map(|r| r.1), Some(104));
    d.set_csr(5, CSR5_SPND as u16);
    d.set_csr(112, 0xffff);
    d.set_csr(5, 0);
    d.queue(&[&with_fcs(&frame(OWN, 100))], 0);
    d.queue(&[&with_fcs(&frame(OWN, 100))], 0);
    d.demand();
    assert_eq!((d.csr(112), d.csr(4) & CSR4_MFCO as u16), (0, CSR4_MFCO as u16));
}

#[test]
fn stopping_and_suspending_hold_everything() {
    let mut d = Driver::started(2, 0, &[1536; 8]);
    let one = frame(OTHER, 60);
    d.set_csr(5, CSR5_SPND as u16);
    d.queue(&[&one], 0);
    d.demand();
    d.b.frame("netdev", &frame(OWN, 60));
    d.b.advance(100 * INTERVAL);
    assert_eq!((d.sent(), d.received(0).is_none(), d.b.machine.next_alarm()), (None, true, None));
    // A suspended controller lets its filter be changed.
    d.set_csr(8, 0x1234);
    assert_eq!((d.csr(8), d.csr(0) & (CSR0_TXON | CSR0_RXON) as u16), (0x1234, (CSR0_TXON | CSR0_RXON) as u16));
    d.set_csr(5, 0);
    assert_eq!((d.sent(), d.received(0).map(|r| r.1)), (Some(one.clone()), Some(64)));
    let before = errors(&d.b);
    d.set_csr(8, 1);
    assert_eq!((d.csr(8), errors(&d.b)), (0x1234, before + 1));

    d.queue(&[&one], 0);
    d.set_csr(0, (CSR0_STOP | CSR0_STRT | CSR0_TDMD | CSR0_IENA) as u16);
    assert_eq!((d.csr(0), d.interrupt()), (CSR0_STOP as u16, false));
    d.b.frame("netdev", &frame(OWN, 60));
    d.b.advance(100 * INTERVAL);
    assert_eq!((d.sent(), d.received(1).is_none(), d.b.machine.next_alarm()), (None, true, None));
    // It goes on where it was, if it is not initialized again.
    d.set_csr(0, CSR0_STRT as u16);
    assert_eq!(d.sent(), Some(one));
    assert_eq!((d.csr(72), d.csr(74), d.csr(28), d.csr(26)), (0xfff9, 0xfffa, 0x1010, 0x1020));
}

#[test]
fn reading_the_reset_port_stops_it() {
    let mut d = Driver::started(2, 0, &[1536]);
    d.set_csr(3, 0x5f00);
    d.port(0x14, None);
    assert_eq!([0, 3, 4].map(|n| d.csr(n)), [4, 0, 0x115]);
    d.queue(&[&frame(OTHER, 60)], 0);
    d.demand();
    assert_eq!((d.sent(), d.csr(1), d.bcr(20)), (None, BLOCK as u16, 0x302));
}

#[test]
fn nothing_is_transferred_without_bus_mastering() {
    let d = Driver::new(2);
    d.b.write("config", 4, Width::B2, 3).unwrap();
    d.block(0, [0; 4]);
    let mut d = d;
    d.provide(1536);
    d.set_csr(0, WANTED as u16);
    assert_eq!(d.csr(0), WANTED as u16 | (CSR0_TXON | CSR0_RXON | CSR0_TDMD) as u16);
    let one = frame(OTHER, 60);
    d.queue(&[&one], 0);
    d.demand();
    d.b.frame("netdev", &frame(ALL, 60));
    assert_eq!((d.sent(), d.received(0).is_none(), d.interrupt()), (None, true, false));
    d.b.write("config", 4, Width::B2, 7).unwrap();
    assert_eq!((d.sent(), d.received(0).map(|r| r.1), d.interrupt()), (Some(one), Some(64), true));
}

#[test]
fn an_address_where_no_memory_is_stops_it_with_a_system_error() {
    const NOWHERE: u64 = 0x2000_0000;
    let init = |d: &Driver| {
        d.set_csr(2, 0x1000);
        d.set_csr(0, WANTED as u16);
    };
    let transmit_buffer = |d: &Driver| {
        d.describe(d.ring_at(TX_RING, 0), NOWHERE, 60, TMD1_OWN | TMD1_STP | TMD1_ENP);
        d.set_csr(0, WANTED as u16);
    };
    let receive_buffer = |d: &Driver| {
        d.describe(d.ring_at(RX_RING, 0), NOWHERE, 1536, RMD1_OWN);
        d.set_csr(0, WANTED as u16);
        d.b.frame("netdev", &frame(OWN, 60));
    };
    let ring = |d: &Driver| {
        d.store(BLOCK + 24, &0xffff_fff0u32.to_le_bytes());
        d.set_csr(0, WANTED as u16);
    };
    for (n, what) in [&init as &dyn Fn(&Driver), &transmit_buffer, &receive_buffer, &ring].into_iter().enumerate() {
        let d = Driver::new(2);
        d.block(0, [0; 4]);
        d.set_csr(5, CSR5_SINTE as u16);
        what(&d);
        assert_eq!((d.csr(0) & !(CSR0_INTR as u16), d.csr(5), d.interrupt()), (CSR0_STOP as u16, (CSR5_SINTE | CSR5_SINT) as u16, true), "{n}");
        d.set_csr(5, CSR5_SINT as u16);
        assert!(!d.interrupt());
        // It can be started again.
        d.block(0, [0; 4]);
        d.describe(d.ring_at(TX_RING, 0), 0, 0, 0);
        d.set_csr(0, WANTED as u16);
        assert_eq!(d.csr(0) & CSR0_IDON as u16, CSR0_IDON as u16, "{n}");
    }
}

#[test]
fn interrupts_are_masked_one_by_one() {
    let mut d = Driver::started(2, 0, &[1536; 8]);
    for (mask, of) in [(CSR3_TINTM, CSR0_TINT), (CSR3_RINTM, CSR0_RINT)] {
        d.set_csr(3, mask as u16);
        d.queue(&[&frame(OTHER, 60)], 0);
        d.demand();
        d.b.frame("netdev", &frame(OWN, 60));
        assert!(d.interrupt());
        d.set_csr(0, (CSR0_IENA | (CSR0_TINT | CSR0_RINT) & !of) as u16);
        assert!(!d.interrupt());
        assert_eq!(d.csr(0) & (CSR0_INTR | of) as u16, of as u16);
        d.set_csr(3, 0);
        assert!(d.interrupt());
        d.set_csr(0, (CSR0_IENA | of) as u16);
        assert!(!d.interrupt());
    }
    // Those of CSR4: the start of a transmission, and one for software.
    d.set_csr(4, CSR4_TXSTRT as u16);
    assert!(!d.interrupt());
    d.queue(&[&frame(OTHER, 60)], 0);
    d.demand();
    d.set_csr(0, (CSR0_IENA | CSR0_TINT) as u16);
    assert!(d.interrupt());
    d.set_csr(4, CSR4_TXSTRT as u16);
    assert!(!d.interrupt());
    d.set_csr(4, CSR4_UINTCMD as u16);
    assert_eq!((d.interrupt(), d.csr(4)), (true, CSR4_UINT as u16));
    d.b.write("config", 4, Width::B2, 0x407).unwrap();
    assert_eq!((d.interrupt(), d.b.read("config", 6, Width::B1)), (false, Ok(0x88)));
    d.b.write("config", 4, Width::B2, 7).unwrap();
    d.set_csr(4, CSR4_UINT as u16);
    assert_eq!((d.interrupt(), d.csr(4)), (false, 0));
}

#[test]
fn the_transceiver_is_where_drivers_look_for_it() {
    let d = Driver::new(2);
    let read = |register: u16| {
        d.set_bcr(33, phy::ADDRESS << 5 | register);
        d.bcr(34)
    };
    assert_eq!([0, 1, 2, 3, 4, 5, 6].map(read), [0x3100, 0x786d, 0, 0x6b60, 0x1e1, 0x45e1, 5]);
    let found: Vec<u16> = (0..32)
        .filter(|address| {
            d.set_bcr(33, address << 5 | 2);
            d.bcr(34) != 0xffff
        })
        .collect();
    assert_eq!((found, d.csr(7)), (vec![phy::ADDRESS], (CSR7_MCCINT | CSR7_MREINT) as u16));
    assert_eq!((d.bcr(4), d.bcr(5)), (0x80c0, 0x0084));
    let cable = |open| d.b.deliver(HostEventKind::Open { port: 0, open });
    cable(false);
    assert_eq!((read(1), d.bcr(4)), (0x7849, 0x00c0));
    cable(true);
    assert_eq!((read(1), read(1), d.bcr(4)), (0x7869, 0x786d, 0x80c0), "the failure shows once");
    d.set_bcr(33, phy::ADDRESS << 5);
    d.set_bcr(34, 0x2300);
    assert_eq!((read(0), read(5)), (0x2100, 0));
    d.set_bcr(33, phy::ADDRESS << 5);
    d.set_bcr(34, 0x8000);
    assert_eq!(read(0), 0x3100);
}

#[test]
fn a_pulled_cable_carries_nothing() {
    let mut d = Driver::started(2, 0, &[1536]);
    d.b.deliver(HostEventKind::Open { port: 0, open: false });
    d.queue(&[&frame(OTHER, 60)], 0);
    d.demand();
    d.b.frame("netdev", &frame(OWN, 60));
    assert_eq!((d.sent(), d.received(0).is_none()), (None, true));
}

#[test]
fn the_software_timer_runs_down_again_and_again() {
    let d = Driver::new(2);
    d.set_csr(7, CSR7_STINTE as u16);
    d.set_bcr(31, 10);
    d.b.advance(10 * TIMER_UNIT - 1);
    assert_eq!(d.csr(7), CSR7_STINTE as u16);
    d.b.advance(1);
    assert_eq!(d.csr(7), (CSR7_STINTE | CSR7_STINT) as u16);
    // While it stands nothing needs to wake anyone; afterwards it keeps its beat.
    d.set_csr(7, CSR7_STINTE as u16);
    assert_eq!(d.b.machine.next_alarm(), None);
    d.b.advance(25 * TIMER_UNIT);
    d.set_csr(7, (CSR7_STINTE | CSR7_STINT) as u16);
    d.b.advance(5 * TIMER_UNIT - 1);
    assert_eq!(d.csr(7), CSR7_STINTE as u16);
    d.b.advance(1);
    assert_eq!(d.csr(7), (CSR7_STINTE | CSR7_STINT) as u16);
}

#[test]
fn what_is_not_modelled_is_reported() {
    let d = Driver::new(2);
    let before = d.b.machine.counters();
    d.set_csr(3, (CSR3_BSWP | CSR3_LAPPEN) as u16);
    d.set_bcr(19, BCR19_EEN as u16);
    d.block(CSR15_FCOLL as u16, [0; 4]);
    d.set_csr(0, CSR0_INIT as u16);
    d.set_bcr(20, 4);
    let after = d.b.machine.counters();
    assert_eq!((after.unimplemented - before.unimplemented, after.guest_errors - before.guest_errors), (4, 1));
}

#[test]
fn a_frame_that_fills_its_own_rings_does_not_go_on_for_ever() {
    // Each frame is an image of both rings with all descriptors the controller's, and in loopback
    // it is received over them: there is always one more.
    const RINGS: u64 = 256;
    let d = Driver::new(2);
    d.block((CSR15_LOOP | CSR15_INTL | CSR15_PROM) as u16, [0; 4]);
    d.set_csr(0, CSR0_INIT as u16);
    d.set_csr(0, CSR0_STOP as u16);
    d.set_csr(30, (RX_RING + RINGS / 2) as u16);
    for n in 0..2 * RING {
        let (buffer, len, flags) = if n < RING { (RX_RING, RINGS + 4, 0) } else { (TX_BUFFERS, RINGS, TMD1_STP | TMD1_ENP) };
        d.describe(RX_RING + 16 * n, buffer, len, TMD1_OWN | flags);
    }
    d.store(TX_BUFFERS, &d.load(RX_RING, RINGS));
    for _ in 0..3 {
        d.set_csr(0, (CSR0_STRT | CSR0_TDMD) as u16);
        assert_eq!(d.csr(0) & (CSR0_TINT | CSR0_RINT | CSR0_MISS) as u16, (CSR0_TINT | CSR0_RINT) as u16);
        // It goes on when the guest has had a turn.
        let now = d.b.machine.clock().now();
        assert_eq!(d.b.machine.next_alarm(), Some(now + SOON));
        d.b.advance(SOON);
    }
}

#[test]
fn random_rings_and_registers_do_no_harm() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let d = Driver::new(rng.below(4) as u16);
        for _ in 0..8 {
            let mut memory = vec![0; RAM_LEN as usize];
            memory.chunks_mut(8).for_each(|chunk| {
                // Addresses in memory, and descriptors that the controller owns.
                let word = rng.bits() & 0x8f0f_ffff_000f_ffff | RAM_BASE | 0x8000_0000_0000_0000;
                chunk.copy_from_slice(&if rng.below(8) == 0 { rng.bits() } else { word }.to_le_bytes());
            });
            d.store(0, &memory);
            d.set_csr(0, CSR0_STOP as u16);
            d.block(rng.bits() as u16 & !(CSR15_DRX | CSR15_DTX) as u16, [rng.bits() as u16; 4]);
            d.set_csr(0, WANTED as u16);
            for _ in 0..40 {
                match rng.below(6) {
                    0 => d.b.frame("netdev", &frame(OWN, 14 + rng.below(5000) as usize)),
                    1 => d.b.advance(rng.below(INTERVAL * 2)),
                    2 => d.set_csr(rng.below(128) as u16, rng.bits() as u16),
                    3 => d.set_bcr([4, 9, 32, 33, 34, 20, 31, 2][rng.below(8) as usize], rng.bits() as u16),
                    4 => d.set_csr(0, (rng.bits() & !CSR0_STOP) as u16),
                    _ => d.demand(),
                }
            }
        }
    }
}
