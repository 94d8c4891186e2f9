//! Tests of the block device, and on it of the rings and the virtio-mmio transport.

use proteus_model::conformance::{Rng, check};
use proteus_model::testing::RAM_BASE;
use proteus_model::{MachineBuilder, Width};

use super::super::driver::{Driver, Flavour, LEGACY, MODERN, PCI_LEGACY, PCI_MODERN, PLAIN, Types, flavours};
use super::super::mmio::*;
use super::*;

const TYPES: Types = [&VIRTIO_BLK_DEVICE, &VIRTIO_BLK_PCI];

const PROPS: &[(&str, &str)] = &[("drive", "hd"), ("serial", "a-serial-number"), ("num-queues", "2")];

fn driver(flavour: Flavour, features: &[u32]) -> Driver {
    Driver::new(TYPES, PROPS, flavour, features.iter().fold(0, |f, bit| f | 1 << bit))
}

fn header(order: ByteOrder, kind: u32, sector: u64) -> Vec<u8> {
    [&order.bytes32(kind)[..], &[0; 4], &order.bytes64(sector)].concat()
}

fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.bits() as u8).collect()
}

fn status(d: &mut Driver, kind: u32, sector: u64, data: &[u8]) -> u8 {
    let (_, bytes) = d.request(0, &[&header(d.order(), kind, sector), data], &[1]);
    bytes[0]
}

#[test]
fn conforms() {
    for ty in [TYPES[0], TYPES[1], &VIRTIO_MMIO] {
        check(ty).unwrap();
    }
}

#[test]
fn what_is_written_is_read_back_in_every_flavour() {
    for flavour in flavours() {
        let mut d = driver(flavour, &[F_FLUSH]);
        for (n, len) in [512, 4096, 1024, 8192].into_iter().enumerate() {
            let (sector, data) = (n as u64 * 100, pattern(n as u64, len));
            let q = n % 2;
            let (done, bytes) = d.request(q, &[&header(d.order(), T_OUT, sector), &data[..100], &data[100..]], &[1]);
            assert_eq!((done, bytes), (1, vec![S_OK]), "{flavour:?}");
            assert_eq!(d.interrupt(), (true, 1), "{flavour:?}");
            let at = sector as usize * 512;
            assert_eq!(d.bench.image("drive").contents()[at..at + len], data);
            let (done, bytes) = d.request(q, &[&header(d.order(), T_IN, sector)], &[7, len - 7, 1]);
            assert_eq!((done as usize, &bytes[..len], bytes[len]), (len + 1, &data[..], S_OK), "{flavour:?}");
        }
        // Status in the same buffer as the data, header in two pieces: framing is free.
        let h = header(d.order(), T_IN, 100);
        let (_, bytes) = d.request(0, &[&h[..3], &h[3..]], &[513]);
        assert_eq!((&bytes[..512], bytes[512]), (&pattern(1, 4096)[..512], S_OK));
        assert_eq!(status(&mut d, T_FLUSH, 0, &[]), S_OK);
        // Rings wrap.
        for n in 0..300 {
            let (_, bytes) = d.request(0, &[&header(d.order(), T_IN, n)], &[512, 1]);
            assert_eq!(bytes[512], S_OK);
        }
        assert_eq!(d.bench.machine.counters().guest_errors, 0, "{flavour:?}");
    }
}

#[test]
fn identity_and_configuration() {
    for flavour in [MODERN, PCI_MODERN, PCI_LEGACY, Flavour { big: true, ..PCI_LEGACY }] {
        let props = [PROPS, &[("physical_block_size", "4k"), ("opt_io_size", "64k"), ("logical_block_size", "1k")]].concat();
        let mut d = Driver::new(TYPES, &props, flavour, 0);
        let (len, bytes) = d.request(0, &[&header(d.order(), T_GET_ID, 0)], &[20, 1]);
        assert_eq!((len, &bytes[..20], bytes[20]), (21, &b"a-serial-number\0\0\0\0\0"[..], S_OK));
        for (at, width, want) in [
            (0, Width::B4, 2048),
            (4, Width::B4, 0),
            (12, Width::B4, 254),
            (20, Width::B4, 1024),
            (24, Width::B1, 2),
            (28, Width::B4, 64),
            (32, Width::B1, 0),
            (34, Width::B2, 2),
            (44, Width::B4, 2),
            (56, Width::B1, 1),
            (60, Width::B4, 0),
        ] {
            let (at, want) = match (d.order(), width) {
                (ByteOrder::Little, _) | (_, Width::B1) => (at, want),
                // The first number has 64 bits.
                (ByteOrder::Big, Width::B4) => (if at < 8 { 4 - at } else { at }, u64::from((want as u32).swap_bytes())),
                (ByteOrder::Big, _) => (at, u64::from((want as u16).swap_bytes())),
            };
            assert_eq!(d.config(at, width), want, "{flavour:?}: configuration at {at}");
        }
        // Transfers are whole logical blocks.
        for (sector, len, want) in [(0, 512, S_IOERR), (1, 1024, S_IOERR), (2, 1024, S_OK)] {
            assert_eq!(d.request(0, &[&header(d.order(), T_IN, sector)], &[len, 1]).1[len], want);
        }
    }
    let d = Driver::unstarted(TYPES, PROPS, MODERN);
    assert_eq!((d.r(DEVICE_ID), d.r(VENDOR_ID)), (2, 0x554d_4551));
}

#[test]
fn failures_are_reported_and_the_device_goes_on() {
    let mut d = driver(MODERN, &[F_DISCARD]);
    let cases: &[(u32, u64, usize, u8)] = &[
        (T_OUT, 2048, 512, S_IOERR),
        (T_OUT, 2047, 1024, S_IOERR),
        (T_OUT, u64::MAX, 512, S_IOERR),
        (T_OUT, u64::MAX / 512, 512, S_IOERR),
        (T_OUT, 0, 511, S_IOERR),
        (T_OUT, 2047, 512, S_OK),
        (99, 0, 0, S_UNSUPP),
        (T_WRITE_ZEROES, 0, 16, S_UNSUPP),
    ];
    for (kind, sector, len, want) in cases {
        assert_eq!(status(&mut d, *kind, *sector, &vec![1; *len]), *want, "type {kind} sector {sector} length {len}");
    }
    let (len, bytes) = d.request(0, &[&header(d.order(), T_IN, 2047)], &[1024, 1]);
    assert_eq!((len, bytes[1024]), (0, S_IOERR));
    assert!(!d.needs_reset());
}

#[test]
fn discard_and_zeroing_take_ranges() {
    let big = Flavour { big: true, ..PCI_LEGACY };
    for (kind, flags, want, flavour) in [
        (T_DISCARD, 0, S_OK, MODERN),
        (T_DISCARD, 1, S_UNSUPP, PCI_MODERN),
        (T_WRITE_ZEROES, 1, S_OK, PCI_MODERN),
        (T_WRITE_ZEROES, 2, S_UNSUPP, MODERN),
        (T_DISCARD, 0, S_OK, big),
        (T_WRITE_ZEROES, 1, S_OK, big),
        (T_WRITE_ZEROES, 2, S_UNSUPP, big),
    ] {
        let mut d = driver(flavour, &[F_DISCARD, F_WRITE_ZEROES]);
        let order = d.order();
        status(&mut d, T_OUT, 0, &[7; 4096]);
        let range = |sector: u64, count: u32, flags: u32| [&order.bytes64(sector)[..], &order.bytes32(count), &order.bytes32(flags)].concat();
        let ranges = [range(1, 2, flags), range(5, 1, flags)].concat();
        assert_eq!(status(&mut d, kind, 0, &ranges), want, "type {kind} flags {flags}");
        let seen: Vec<u8> = (0..8).map(|s| d.bench.image("drive").contents()[s * 512 + 9]).collect();
        assert_eq!(seen, if want == S_OK { [7, 0, 0, 7, 7, 0, 7, 7] } else { [7; 8] });
        for bad in [range(2047, 2, 0), range(u64::MAX, 1, 0), range(0, u32::MAX, 0), range(0, 1, 0)[..15].to_vec(), vec![]] {
            assert_eq!(status(&mut d, kind, 0, &bad), S_IOERR, "{bad:?}");
        }
    }
}

#[test]
fn read_only_images_refuse_writes() {
    struct Sealed;
    impl BlockPort for Sealed {
        fn len(&self) -> u64 {
            1 << 20
        }
        fn read_only(&self) -> bool {
            true
        }
        fn read_at(&self, _: u64, to: &mut [u8]) -> io::Result<()> {
            to.fill(5);
            Ok(())
        }
        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            unreachable!("the device asks first")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
        fn discard(&self, _: u64, _: u64) -> io::Result<()> {
            unreachable!("the device asks first")
        }
        fn write_zeroes(&self, _: u64, _: u64) -> io::Result<()> {
            unreachable!("the device asks first")
        }
    }
    let mut b = MachineBuilder::new("m", 1);
    let props = Props::with(&VIRTIO_BLK_DEVICE, &[("drive", "hd")]).unwrap();
    let id = b.device(&VIRTIO_BLK_DEVICE, "hd", props).unwrap();
    b.place(id, "mmio", 0x1000).unwrap();
    b.bind_block(id, "drive", Arc::new(Sealed)).unwrap();
    let m = b.build().unwrap();
    let features = m.read(proteus_model::CoreId(0), 0x1000 + DEVICE_FEATURES, Width::B4).unwrap();
    let bit = |n: u32| features >> n & 1;
    assert_eq!((bit(F_RO), bit(F_DISCARD), bit(F_WRITE_ZEROES), bit(F_FLUSH)), (1, 0, 0, 1));
}

#[test]
fn cache_mode_follows_the_driver() {
    let wce = |d: &Driver| d.config(CONFIG_WCE, Width::B1);
    for flavour in PLAIN {
        assert_eq!(wce(&driver(flavour, &[])), 0, "no flush: writes are durable");
        assert_eq!(wce(&driver(flavour, &[F_FLUSH])), 1);
        let d = driver(flavour, &[F_CONFIG_WCE, F_FLUSH]);
        assert_eq!(wce(&d), 1);
        d.write_config(CONFIG_WCE, Width::B1, 0);
        assert_eq!(wce(&d), 0);
        d.write_config(0, Width::B4, 0);
        assert_eq!((d.config(0, Width::B4), d.bench.machine.counters().guest_errors), (2048, 1));
    }
}

#[test]
fn features_that_were_not_offered_are_refused() {
    for flavour in [MODERN, PCI_MODERN] {
        let d = Driver::unstarted(TYPES, PROPS, flavour);
        for (features, want) in [(1 << 3 | 1 << 32, 3), (0, 3), (3 << 32, 3), (1 << 27 | 1 << 32, 3), (1 << 32, 11)] {
            [0, 1, 3].into_iter().for_each(|status| d.set_status(status));
            d.accept(features);
            d.set_status(11);
            assert_eq!(d.status(), want, "{flavour:?}: {features:#x}");
        }
        assert_eq!(d.offered() >> 32, 1);
    }
    for flavour in [LEGACY, PCI_LEGACY] {
        let d = Driver::unstarted(TYPES, PROPS, flavour);
        assert_eq!((d.offered() >> 27 & 1, d.offered() >> 32), (1, 0));
    }
}

#[test]
fn notification_by_index_spares_interrupts() {
    for flavour in PLAIN {
        let mut d = driver(Flavour { event_idx: true, ..flavour }, &[]);
        d.request(0, &[&header(d.order(), T_IN, 0)], &[512, 1]);
        assert_eq!(d.interrupt(), (true, 1));
        // The next interrupt only when four more are used.
        d.set_used_event(0, 4);
        for n in 1..=4 {
            d.add(0, &[&header(d.order(), T_IN, 0)], &[512, 1]);
            assert!(d.device_wants_notification(0), "the ring was empty");
            d.notify(0);
            assert_eq!(d.interrupt().0, n == 4, "{n}");
        }
        let mut d = driver(flavour, &[]);
        d.set_no_interrupt(0, true);
        d.request(0, &[&header(d.order(), T_IN, 0)], &[512, 1]);
        assert_eq!(d.interrupt(), (false, 0));
    }
}

#[test]
fn queues_wait_for_the_driver_and_survive_a_snapshot() {
    for flavour in PLAIN {
        let mut d = driver(flavour, &[]);
        // Taken down and up again, with a request already there.
        d.start(0);
        d.set_status(0);
        assert_eq!(d.status(), 0);
        if !flavour.pci && flavour.modern {
            assert_eq!(d.r(QUEUE_READY), 0);
        }
        d.start(0);
        d.add(0, &[&header(d.order(), T_IN, 0)], &[512, 1]);
        let saved = d.bench.machine.save();
        d.notify(0);
        assert!(d.used(0).is_some());
        d.bench.machine.load(&saved).unwrap();
        d.notify(0);
        assert!(d.irq());
    }
}

#[test]
fn hostile_rings_end_in_needs_reset() {
    type Evil = fn(&mut Driver);
    let cases: &[(&str, Evil)] = &[
        ("chain that loops", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE, 16, 1, 1);
            d.write_desc(d.desc(0, 1), RAM_BASE, 16, 1, 0);
            d.make_available(0, 0);
        }),
        ("head outside the table", |d| d.make_available(0, d.entries(0))),
        ("next outside the table", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE, 16, 1, 0xffff);
            d.make_available(0, 0);
        }),
        ("index far ahead", |d| d.set_available(0, d.entries(0) + 1)),
        ("lengths that add up to more than 4 GiB", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE, u32::MAX, 1, 1);
            d.write_desc(d.desc(0, 1), RAM_BASE, u32::MAX, 2, 0);
            d.make_available(0, 0);
        }),
        ("header outside memory", |d| {
            d.write_desc(d.desc(0, 0), 0, 16, 1, 1);
            d.write_desc(d.desc(0, 1), RAM_BASE, 1, 2, 0);
            d.make_available(0, 0);
        }),
        ("buffer over the end of the addresses", |d| {
            d.write_desc(d.desc(0, 0), u64::MAX - 3, 16, 1, 1);
            d.write_desc(d.desc(0, 1), RAM_BASE, 1, 2, 0);
            d.make_available(0, 0);
        }),
        ("no header", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE, 1, 2, 0);
            d.make_available(0, 0);
        }),
        ("no status", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE, 16, 0, 0);
            d.make_available(0, 0);
        }),
        ("readable after writable", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE, 16, 3, 1);
            d.write_desc(d.desc(0, 1), RAM_BASE, 16, 0, 0);
            d.make_available(0, 0);
        }),
        ("indirect inside indirect", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE + 0x80000, 32, 4, 0);
            d.write_desc(RAM_BASE + 0x80000, RAM_BASE + 0x80000, 32, 4, 0);
            d.make_available(0, 0);
        }),
        ("indirect table of a broken length", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE + 0x80000, 31, 4, 0);
            d.make_available(0, 0);
        }),
        ("vast indirect table that loops", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE + 0x80000, 0xffff_fff0, 4, 0);
            d.write_desc(RAM_BASE + 0x80000, RAM_BASE, 16, 1, 0);
            d.make_available(0, 0);
        }),
        ("its own registers as a buffer", |d| {
            d.write_desc(d.desc(0, 0), d.registers(), 16, 1, 1);
            d.write_desc(d.desc(0, 1), RAM_BASE, 1, 2, 0);
            d.make_available(0, 0);
        }),
    ];
    for flavour in PLAIN {
        for (what, evil) in cases {
            let mut d = driver(Flavour { indirect: true, ..flavour }, &[]);
            evil(&mut d);
            d.notify(0);
            assert!(d.needs_reset(), "{what}");
            assert_eq!(d.bench.machine.counters().guest_errors, 1, "{what}");
            assert_eq!(d.interrupt(), (flavour.modern, if flavour.modern { 2 } else { 0 }), "{what}");
            d.notify(0);
            assert!(d.used(0).is_none(), "{what}: nothing more is done");
            d.start(0);
            assert!(!d.needs_reset());
            d.request(0, &[&header(d.order(), T_IN, 0)], &[512, 1]);
        }
    }
}

#[test]
fn indirect_needs_its_feature() {
    let mut d = driver(MODERN, &[]);
    d.write_desc(d.desc(0, 0), RAM_BASE + 0x80000, 32, 4, 0);
    d.make_available(0, 0);
    d.notify(0);
    assert!(d.needs_reset());
}

#[test]
fn random_rings_never_panic() {
    let full = |flavour| Flavour { indirect: true, event_idx: true, ..flavour };
    for flavour in [LEGACY, full(MODERN), Flavour { big: true, ..PCI_LEGACY }, full(PCI_MODERN)] {
        let mut d = driver(flavour, &[]);
        let order = d.order();
        let request = |rng: &mut Rng| header(order, [0, 1, 4, 8, 11, 13, 77, 0][rng.below(8) as usize], rng.below(2100));
        let (broken, served) = d.hammer(0, 25_000, &request);
        assert!(broken > 500 && served > 500, "both ways are taken: {broken} {served}");
    }
}

#[test]
fn properties_are_checked() {
    for (name, value, want) in [
        ("logical_block_size", "500", "power of two"),
        ("physical_block_size", "256", "power of two"),
        ("num-queues", "0", "1 to 1024"),
        ("queue-size", "100", "power of two"),
        ("min_io_size", "100", "multiple of"),
    ] {
        let props = Props::with(&VIRTIO_BLK_DEVICE, &[("drive", "hd"), (name, value)]).unwrap();
        let error = (VIRTIO_BLK_DEVICE.new)(&props).err().expect("refused").to_string();
        assert!(error.contains(name) && error.contains(want), "{error}");
    }
    assert!(Props::new(&VIRTIO_BLK_DEVICE).check().is_err(), "a drive is required");
}
