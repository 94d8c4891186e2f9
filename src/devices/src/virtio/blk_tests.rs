//! Tests of the block device, and on it of the rings and the virtio-mmio transport.

use proteus_model::conformance::{Rng, check};
use proteus_model::testing::RAM_BASE;
use proteus_model::{MachineBuilder, Width};

use super::super::driver::{Driver, Flavour, LEGACY, MODERN, flavours};
use super::super::mmio::*;
use super::*;

const PROPS: &[(&str, &str)] = &[("drive", "hd"), ("serial", "a-serial-number"), ("num-queues", "2")];

fn driver(flavour: Flavour, features: &[u32]) -> Driver {
    Driver::new(&VIRTIO_BLK_DEVICE, PROPS, flavour, features.iter().fold(0, |f, bit| f | 1 << bit))
}

fn header(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat()
}

fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.bits() as u8).collect()
}

fn status(d: &mut Driver, kind: u32, sector: u64, data: &[u8]) -> u8 {
    let (_, bytes) = d.request(0, &[&header(kind, sector), data], &[1]);
    bytes[0]
}

#[test]
fn conforms() {
    check(&VIRTIO_BLK_DEVICE).unwrap();
    check(&VIRTIO_MMIO).unwrap();
}

#[test]
fn what_is_written_is_read_back_in_every_flavour() {
    for flavour in flavours() {
        let mut d = driver(flavour, &[F_FLUSH]);
        for (n, len) in [512, 4096, 1024, 8192].into_iter().enumerate() {
            let (sector, data) = (n as u64 * 100, pattern(n as u64, len));
            let q = n % 2;
            let (done, bytes) = d.request(q, &[&header(T_OUT, sector), &data[..100], &data[100..]], &[1]);
            assert_eq!((done, bytes), (1, vec![S_OK]), "{flavour:?}");
            assert_eq!(d.interrupt(), (true, 1), "{flavour:?}");
            let at = sector as usize * 512;
            assert_eq!(d.bench.image("drive").contents()[at..at + len], data);
            let (done, bytes) = d.request(q, &[&header(T_IN, sector)], &[7, len - 7, 1]);
            assert_eq!((done as usize, &bytes[..len], bytes[len]), (len + 1, &data[..], S_OK), "{flavour:?}");
        }
        // Status in the same buffer as the data, header in two pieces: framing is free.
        let h = header(T_IN, 100);
        let (_, bytes) = d.request(0, &[&h[..3], &h[3..]], &[513]);
        assert_eq!((&bytes[..512], bytes[512]), (&pattern(1, 4096)[..512], S_OK));
        assert_eq!(status(&mut d, T_FLUSH, 0, &[]), S_OK);
        // Rings wrap.
        for n in 0..300 {
            let (_, bytes) = d.request(0, &[&header(T_IN, n)], &[512, 1]);
            assert_eq!(bytes[512], S_OK);
        }
        assert_eq!(d.bench.machine.counters().guest_errors, 0, "{flavour:?}");
    }
}

#[test]
fn identity_and_configuration() {
    let mut d =
        Driver::new(&VIRTIO_BLK_DEVICE, &[PROPS, &[("physical_block_size", "4k"), ("opt_io_size", "64k"), ("logical_block_size", "1k")]].concat(), MODERN, 0);
    let (len, bytes) = d.request(0, &[&header(T_GET_ID, 0)], &[20, 1]);
    assert_eq!((len, &bytes[..20], bytes[20]), (21, &b"a-serial-number\0\0\0\0\0"[..], S_OK));
    assert_eq!((d.r(DEVICE_ID), d.r(VENDOR_ID)), (2, 0x554d_4551));
    for (at, width, want) in [
        (0, Width::B8, 2048),
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
        assert_eq!(d.config(at, width), want, "configuration at {at}");
    }
    // Transfers are whole logical blocks.
    assert_eq!(d.request(0, &[&header(T_IN, 0)], &[512, 1]).1[512], S_IOERR);
    assert_eq!(d.request(0, &[&header(T_IN, 1)], &[1024, 1]).1[1024], S_IOERR);
    assert_eq!(d.request(0, &[&header(T_IN, 2)], &[1024, 1]).1[1024], S_OK);
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
    let (len, bytes) = d.request(0, &[&header(T_IN, 2047)], &[1024, 1]);
    assert_eq!((len, bytes[1024]), (0, S_IOERR));
    assert!(!d.needs_reset());
}

#[test]
fn discard_and_zeroing_take_ranges() {
    for (kind, flags, want) in [(T_DISCARD, 0, S_OK), (T_DISCARD, 1, S_UNSUPP), (T_WRITE_ZEROES, 1, S_OK), (T_WRITE_ZEROES, 2, S_UNSUPP)] {
        let mut d = driver(MODERN, &[F_DISCARD, F_WRITE_ZEROES]);
        status(&mut d, T_OUT, 0, &[7; 4096]);
        let range = |sector: u64, count: u32, flags: u32| [&sector.to_le_bytes()[..], &count.to_le_bytes(), &flags.to_le_bytes()].concat();
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
    assert_eq!(wce(&driver(MODERN, &[])), 0, "no flush: writes are durable");
    assert_eq!(wce(&driver(LEGACY, &[F_FLUSH])), 1);
    let d = driver(MODERN, &[F_CONFIG_WCE, F_FLUSH]);
    assert_eq!(wce(&d), 1);
    d.bench.write("mmio", CONFIG + CONFIG_WCE, Width::B1, 0).unwrap();
    assert_eq!(wce(&d), 0);
    d.bench.write("mmio", CONFIG, Width::B4, 0).unwrap();
    assert_eq!((d.config(0, Width::B4), d.bench.machine.counters().guest_errors), (2048, 1));
}

#[test]
fn features_that_were_not_offered_are_refused() {
    let d = Driver::unstarted(&VIRTIO_BLK_DEVICE, PROPS, MODERN);
    for (low, high, want) in [(1 << 3, 1, 3), (0, 0, 3), (0, 3, 3), (0, 1, 11)] {
        for (at, value) in [(STATUS, 0), (STATUS, 1), (STATUS, 3), (DRIVER_FEATURES, low), (DRIVER_FEATURES_SEL, 1), (DRIVER_FEATURES, high), (STATUS, 11)] {
            d.w(at, value);
        }
        assert_eq!(d.r(STATUS), want, "{low:#x} {high:#x}");
    }
    assert_eq!(d.offered() >> 32, 1);
    assert_eq!(Driver::unstarted(&VIRTIO_BLK_DEVICE, PROPS, LEGACY).offered() >> 32, 0);
}

#[test]
fn notification_by_index_spares_interrupts() {
    let mut d = driver(Flavour { event_idx: true, ..MODERN }, &[]);
    d.request(0, &[&header(T_IN, 0)], &[512, 1]);
    assert_eq!(d.interrupt(), (true, 1));
    // The next interrupt only when four more are used.
    d.set_used_event(0, 4);
    for n in 1..=4 {
        d.add(0, &[&header(T_IN, 0)], &[512, 1]);
        assert!(d.device_wants_notification(0), "the ring was empty");
        d.notify(0);
        assert_eq!(d.interrupt().0, n == 4, "{n}");
    }
    let mut d = driver(MODERN, &[]);
    d.set_no_interrupt(0, true);
    d.request(0, &[&header(T_IN, 0)], &[512, 1]);
    assert_eq!(d.interrupt(), (false, 0));
}

#[test]
fn queues_wait_for_the_driver_and_survive_a_snapshot() {
    let mut d = driver(MODERN, &[]);
    // Taken down and up again, with a request already there.
    d.start(0);
    d.w(STATUS, 0);
    assert_eq!((d.r(STATUS), d.r(QUEUE_READY)), (0, 0));
    d.start(0);
    d.add(0, &[&header(T_IN, 0)], &[512, 1]);
    let saved = d.bench.machine.save();
    d.notify(0);
    assert!(d.used(0).is_some());
    d.bench.machine.load(&saved).unwrap();
    d.notify(0);
    assert!(d.bench.output("irq", 0));
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
        ("head outside the table", |d| d.make_available(0, 64)),
        ("next outside the table", |d| {
            d.write_desc(d.desc(0, 0), RAM_BASE, 16, 1, 0xffff);
            d.make_available(0, 0);
        }),
        ("index far ahead", |d| d.set_available(0, 65)),
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
            d.write_desc(d.desc(0, 0), 0x1_0000_0000, 16, 1, 1);
            d.write_desc(d.desc(0, 1), RAM_BASE, 1, 2, 0);
            d.make_available(0, 0);
        }),
    ];
    for modern in [false, true] {
        for (what, evil) in cases {
            let mut d = driver(Flavour { modern, indirect: true, event_idx: false }, &[]);
            evil(&mut d);
            d.notify(0);
            assert!(d.needs_reset(), "{what}");
            assert_eq!(d.bench.machine.counters().guest_errors, 1, "{what}");
            assert_eq!(d.interrupt(), (modern, if modern { 2 } else { 0 }), "{what}");
            d.notify(0);
            assert!(d.used(0).is_none(), "{what}: nothing more is done");
            d.start(0);
            assert!(!d.needs_reset());
            d.request(0, &[&header(T_IN, 0)], &[512, 1]);
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
    for flavour in [LEGACY, Flavour { modern: true, indirect: true, event_idx: true }] {
        let mut d = driver(flavour, &[]);
        let request = |rng: &mut Rng| header([0, 1, 4, 8, 11, 13, 77, 0][rng.below(8) as usize], rng.below(2100));
        let (broken, served) = d.hammer(0, 50_000, &request);
        assert!(broken > 1000 && served > 1000, "both ways are taken: {broken} {served}");
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
