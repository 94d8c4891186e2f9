//! Tests of the virtio-pci transport, on the block device where any would do.

use proteus_model::conformance::check;
use proteus_model::testing::Bench;

use super::super::blk::{VIRTIO_BLK_DEVICE, VIRTIO_BLK_PCI};
use super::super::console::VIRTIO_SERIAL_PCI;
use super::super::driver::{Driver, PCI_LEGACY, PCI_MODERN, Types};
use super::super::net::VIRTIO_NET_PCI;
use super::super::rng::VIRTIO_RNG_PCI;
use super::super::{F_ANY_LAYOUT, F_VERSION_1};
use super::*;

const TYPES: Types = [&VIRTIO_BLK_DEVICE, &VIRTIO_BLK_PCI];
const DRIVE: (&str, &str) = ("drive", "hd");

fn bench(ty: &'static DeviceType, props: &[(&str, &str)]) -> Bench {
    let drive = if std::ptr::eq(ty, &VIRTIO_BLK_PCI) { &[DRIVE][..] } else { &[] };
    let b = Bench::new(ty, &[drive, props].concat());
    b.enable_pci();
    b
}

#[test]
fn every_choice_of_interfaces_conforms() {
    static LEGACY_ONLY: DeviceType = DeviceType { example: &[DRIVE, ("disable-modern", "on"), ("guest-big-endian", "on")], ..VIRTIO_BLK_PCI };
    static MODERN_ONLY: DeviceType = DeviceType { example: &[DRIVE, ("disable-legacy", "on")], ..VIRTIO_BLK_PCI };
    for ty in [&LEGACY_ONLY, &MODERN_ONLY] {
        check(ty).unwrap();
    }
}

#[test]
fn functions_show_the_numbers_of_their_interfaces() {
    let both: &[(&str, &str)] = &[];
    let (modern, legacy): (&[_], &[_]) = (&[("disable-legacy", "on")], &[("disable-modern", "on"), ("disable-legacy", "off")]);
    let rows: &[(_, &[_], u32, u32, u32, u32)] = &[
        // Type, properties, identity, class and revision, card, bytes of I/O ports.
        (&VIRTIO_NET_PCI as &'static DeviceType, both, 0x1000_1af4, 0x0200_0000, 0x0001_1af4, 64),
        (&VIRTIO_BLK_PCI, both, 0x1001_1af4, 0x0100_0000, 0x0002_1af4, 128),
        (&VIRTIO_SERIAL_PCI, both, 0x1003_1af4, 0x0780_0000, 0x0003_1af4, 64),
        (&VIRTIO_RNG_PCI, both, 0x1005_1af4, 0x00ff_0000, 0x0004_1af4, 32),
        (&VIRTIO_NET_PCI, modern, 0x1041_1af4, 0x0200_0001, 0x1100_1af4, 0),
        (&VIRTIO_BLK_PCI, modern, 0x1042_1af4, 0x0100_0001, 0x1100_1af4, 0),
        (&VIRTIO_BLK_PCI, legacy, 0x1001_1af4, 0x0100_0000, 0x0002_1af4, 128),
    ];
    for (ty, props, identity, class, card, ports) in rows {
        let b = bench(ty, props);
        let has_modern = *props != legacy;
        assert_eq!([0, 8, 0x2c].map(|at| b.read32("config", at)), [*identity, *class, *card], "{} {props:?}", ty.name);
        assert_eq!(b.read32("config", 0x3c) >> 8 & 0xff, 1, "INTA");
        assert_eq!(virtio_capabilities(&b).is_empty(), !has_modern, "capabilities");
        b.write32("config", 4, 0);
        let size = |at: u64, flags: u32| {
            b.write32("config", at, u32::MAX);
            (b.read32("config", at) & !flags).wrapping_neg()
        };
        assert_eq!((size(0x10, 3), size(0x20, 15)), (*ports, if has_modern { 0x4000 } else { 0 }));
        assert_eq!(b.read32("config", 0x20) & 15, if has_modern { 12 } else { 0 });
        assert_eq!(b.machine.counters().guest_errors, 0);
    }
}

/// Walks the list of capabilities: offset, kind, BAR, offset in it, length.
fn virtio_capabilities(b: &Bench) -> Vec<(u64, u64, u64, u64, u64)> {
    let read = |at: u64, width| b.read("config", at, width).unwrap();
    let (mut all, mut at) = (vec![], read(0x34, Width::B1));
    // MSI-X comes last.
    while at != 0 && read(at, Width::B1) != 0x11 {
        assert_eq!(read(at, Width::B1), 9);
        all.push((at, read(at + 3, Width::B1), read(at + 4, Width::B1), read(at + 8, Width::B4), read(at + 12, Width::B4)));
        at = read(at + 1, Width::B1);
    }
    all
}

#[test]
fn capabilities_tell_where_registers_are() {
    let b = bench(&VIRTIO_BLK_PCI, &[]);
    let all = virtio_capabilities(&b);
    let seen: Vec<_> = all.iter().map(|c| (c.1, c.2, c.3, c.4)).collect();
    assert_eq!(seen, [(1, 4, 0, 0x1000), (3, 4, 0x1000, 0x1000), (4, 4, 0x2000, 0x1000), (2, 4, 0x3000, 0x1000), (5, 0, 0, 0)]);
    let notify = all[3].0;
    assert_eq!((b.read("config", notify + 2, Width::B1), b.read32("config", notify + 16)), (Ok(20), NOTIFY_MULTIPLIER));
}

#[test]
fn registers_are_reached_through_configuration_space() {
    let b = bench(&VIRTIO_BLK_PCI, &[]);
    // Without decoding, as firmware that has no addresses to give.
    b.write32("config", 4, 0);
    let access = virtio_capabilities(&b)[4].0;
    let choose = |bar: u64, at: u32, len: u32| {
        b.write("config", access + 4, Width::B1, bar).unwrap();
        b.write32("config", access + 8, at);
        b.write32("config", access + 12, len);
    };
    let data = access + 16;
    choose(4, NUM_QUEUES as u32, 2);
    assert_eq!(b.read("config", data, Width::B2), Ok(1));
    choose(4, DEVICE_STATUS as u32, 1);
    b.write("config", data, Width::B1, 1).unwrap();
    assert_eq!(b.read("config", data, Width::B1), Ok(1));
    choose(4, DEVICE_CONFIG as u32, 4);
    assert_eq!(b.read32("config", data), 2048);
    choose(0, LEGACY_STATUS as u32, 1);
    assert_eq!(b.read("config", data, Width::B1), Ok(1));
    assert_eq!(b.machine.counters().guest_errors, 0);
    for (n, (bar, at, len)) in
        [(1, 0, 4), (4, 0x4000, 4), (4, DEVICE_CONFIG as u32 + 2, 4), (4, 0, 3), (4, 0, 8), (4, 0, 0), (0, 128, 1), (4, u32::MAX, 1)].into_iter().enumerate()
    {
        choose(bar, at, len);
        let _ = b.read("config", data, Width::B4);
        assert_eq!(b.machine.counters().guest_errors, n as u64 + 1, "{bar} {at:#x} {len}");
    }
}

#[test]
fn one_device_serves_a_driver_of_either_interface_after_the_other() {
    let mut d = Driver::new(TYPES, &[DRIVE, ("guest-big-endian", "on")], PCI_LEGACY, 0);
    for n in 0..4 {
        d.flavour = if n % 2 == 0 { PCI_MODERN } else { crate::virtio::driver::Flavour { big: true, ..PCI_LEGACY } };
        d.start(0);
        let order = d.order();
        let (_, bytes) = d.request(0, &[&order.bytes32(0), &[0; 4], &order.bytes64(7)], &[512, 1]);
        assert_eq!((bytes[512], d.interrupt()), (0, (true, 1)));
        let version = if d.flavour.modern { F_VERSION_1 } else { F_ANY_LAYOUT };
        assert_eq!(d.offered() >> version & 1, 1);
    }
    assert_eq!(d.bench.machine.counters().guest_errors, 0);
}

#[test]
fn queues_are_used_only_as_a_bus_master() {
    for flavour in [PCI_LEGACY, PCI_MODERN] {
        let mut d = Driver::new(TYPES, &[DRIVE], flavour, 0);
        d.bench.write32("config", 4, 3);
        d.add(0, &[&[0; 16]], &[512, 1]);
        d.notify(0);
        assert!(d.used(0).is_none() && !d.irq());
        assert_eq!(d.bench.machine.counters().guest_errors, 1, "the driver is told why");
        // A snapshot remembers.
        let saved = d.bench.machine.save();
        d.bench.machine.load(&saved).unwrap();
        assert!(d.used(0).is_none());
        d.bench.write32("config", 4, 7);
        assert!(d.used(0).is_some() && d.irq(), "{flavour:?}: what waited is done");
        // A reset by the driver is none of the bus.
        d.bench.write32("config", 4, 3);
        d.start(0);
        d.add(0, &[&[0; 16]], &[512, 1]);
        d.notify(0);
        assert!(d.used(0).is_none(), "{flavour:?}");
    }
}

#[test]
fn the_interrupt_status_is_cleared_by_reading_it() {
    for flavour in [PCI_LEGACY, PCI_MODERN] {
        let mut d = Driver::new(TYPES, &[DRIVE], flavour, 0);
        d.request(0, &[&[0; 16]], &[512, 1]);
        let isr = if flavour.modern { ISR } else { LEGACY_ISR };
        let pending = || d.bench.read32("config", 4) >> 19 & 1;
        assert_eq!((d.irq(), pending(), d.get(isr, Width::B1)), (true, 1, 1));
        assert_eq!((d.irq(), pending(), d.get(isr, Width::B1)), (false, 0, 0));
    }
}

#[test]
fn wrong_accesses_are_reported_and_change_nothing() {
    let d = Driver::unstarted(TYPES, &[DRIVE], PCI_MODERN);
    let errors = || d.bench.machine.counters().guest_errors;
    for (n, (at, width, value)) in [
        (QUEUE_SELECT, Width::B1, 1),
        (DEVICE_STATUS, Width::B2, 1),
        (NUM_QUEUES, Width::B2, 9),
        (QUEUE_SIZE, Width::B2, 3),
        (QUEUE_SIZE, Width::B2, 512),
        (QUEUE_ENABLE, Width::B2, 0),
        (CONFIG_MSIX_VECTOR, Width::B2, 2),
        (ISR, Width::B1, 1),
        (0x800, Width::B4, 1),
        (NOTIFY + 4, Width::B2, 1),
    ]
    .into_iter()
    .enumerate()
    {
        d.put(at, width, value);
        assert_eq!(errors(), n as u64 + 1, "{at:#x}");
    }
    assert_eq!([QUEUE_SELECT, NUM_QUEUES, QUEUE_SIZE, QUEUE_ENABLE, CONFIG_MSIX_VECTOR].map(|at| d.get(at, Width::B2)), [0, 1, 256, 0, 0xffff]);
    d.put(QUEUE_SELECT, Width::B2, 1);
    assert_eq!(d.get(QUEUE_SIZE, Width::B2), 0, "there is one queue");
    d.put(QUEUE_ENABLE, Width::B2, 1);
    assert_eq!(errors(), 11);
    d.put(QUEUE_RESET, Width::B2, 1);
    assert_eq!(d.bench.machine.counters().unimplemented, 1);
    let d = Driver::unstarted(TYPES, &[DRIVE], PCI_LEGACY);
    for (n, (at, width)) in [(LEGACY_QUEUE_SIZE, Width::B2), (LEGACY_DEVICE_FEATURES, Width::B4), (LEGACY_STATUS, Width::B2)].into_iter().enumerate() {
        d.put(at, width, 8);
        assert_eq!(d.bench.machine.counters().guest_errors, n as u64 + 1, "{at:#x}");
    }
}

#[test]
fn properties_that_cannot_be_are_refused_by_name() {
    for (given, want) in [
        (&[("vectors", "2049")][..], "vectors=2049: give at most 2048"),
        (&[("disable-legacy", "maybe")], "disable-legacy=maybe: give on, off or auto"),
        (&[("disable-legacy", "on"), ("disable-modern", "on")], "leave no interface"),
        (&[("addr", "5.9")], "addr=5.9"),
    ] {
        let props = Props::with(&VIRTIO_RNG_PCI, given).unwrap();
        let error = (VIRTIO_RNG_PCI.new)(&props).err().expect("refused").to_string();
        assert!(error.contains(want), "{error}");
    }
    for good in [&[("addr", "1f.7")][..], &[("disable-legacy", "auto"), ("vectors", "0")], &[("vectors", "2048")]] {
        assert!((VIRTIO_RNG_PCI.new)(&Props::with(&VIRTIO_RNG_PCI, good).unwrap()).is_ok());
    }
}

/// Notifications are doorbells, each of its queue, if the user wants that.
#[test]
fn a_doorbell_is_a_notification() {
    use proteus_model::HostEventKind::Doorbell;
    for flavour in crate::virtio::driver::PLAIN {
        let mut d = Driver::new(TYPES, &[DRIVE, ("num-queues", "2"), ("ioeventfd", "on")], flavour, 0);
        let bells = d.bench.machine.doorbells();
        assert_eq!(bells.len(), if flavour.pci { 4 } else { 2 }, "{flavour:?}");
        for bell in bells {
            // Of a transitional function each queue has two.
            let queue = if flavour.pci { bell.number / 2 } else { bell.number };
            d.add(queue, &[&[0; 16]], &[512, 1]);
            d.add(1 - queue, &[&[0; 16]], &[512, 1]);
            d.bench.deliver(Doorbell { number: bell.number });
            assert!(d.used(queue).is_some() && d.used(1 - queue).is_none(), "{flavour:?} {bell:?}");
            d.notify(1 - queue);
            assert!(d.used(1 - queue).is_some());
        }
        assert_eq!(d.bench.machine.counters().guest_errors, 0);
        let d = Driver::unstarted(TYPES, &[DRIVE], flavour);
        assert_eq!(d.bench.machine.doorbells(), []);
    }
    let d = Driver::unstarted(TYPES, &[DRIVE, ("num-queues", "1024"), ("disable-legacy", "on"), ("ioeventfd", "on")], PCI_MODERN);
    assert_eq!(d.bench.machine.doorbells().len(), 64, "each takes a file of the host's");
}

const CONTROL: u64 = 2;
const MSIX_ENABLE: u64 = 1 << 15;

/// Offset of the capability MSI-X.
fn msix(b: &Bench) -> Option<u64> {
    let read = |at: u64| b.read("config", at, Width::B1).unwrap();
    let mut at = read(0x34);
    while at != 0 && read(at) != 0x11 {
        at = read(at + 1);
    }
    (at != 0).then_some(at)
}

#[test]
fn each_type_has_its_vectors() {
    for (ty, props, want) in [
        (&VIRTIO_NET_PCI as &'static DeviceType, &[][..], 4),
        (&VIRTIO_BLK_PCI, &[], 2),
        (&VIRTIO_BLK_PCI, &[("num-queues", "7")], 8),
        (&VIRTIO_BLK_PCI, &[("num-queues", "1024")], 1025),
        (&VIRTIO_SERIAL_PCI, &[], 2),
        (&VIRTIO_RNG_PCI, &[], 2),
        (&VIRTIO_RNG_PCI, &[("vectors", "5")], 5),
        (&VIRTIO_RNG_PCI, &[("vectors", "5"), ("disable-modern", "on")], 5),
        (&VIRTIO_RNG_PCI, &[("vectors", "2048")], 2048),
        (&VIRTIO_RNG_PCI, &[("vectors", "0")], 0),
    ] {
        let b = bench(ty, props);
        let seen = msix(&b).map_or(0, |at| b.read("config", at + CONTROL, Width::B2).unwrap() + 1);
        assert_eq!(seen, want, "{} {props:?}", ty.name);
        let size = if want == 0 { 0 } else { crate::pci::msix_window_len(want) as u32 };
        b.write32("config", 4, 0);
        b.write32("config", 0x14, u32::MAX);
        assert_eq!(b.read32("config", 0x14).wrapping_neg(), size, "{} {props:?}", ty.name);
    }
}

/// A driver with messages: vector `n` sends `0x40 + n`.
fn with_messages(flavour: crate::virtio::driver::Flavour) -> (Driver, u64) {
    let d = Driver::unstarted(TYPES, &[DRIVE, ("vectors", "3"), ("num-queues", "2")], flavour);
    let control = msix(&d.bench).unwrap() + CONTROL;
    d.bench.write("config", control, Width::B2, MSIX_ENABLE).unwrap();
    for n in 0..3 {
        d.bench.write("msix", 16 * n, Width::B8, 0xfee0_0000).unwrap();
        d.bench.write("msix", 16 * n + 8, Width::B8, 0x40 + n).unwrap();
    }
    (d, control)
}

#[test]
fn queues_and_configuration_interrupt_by_their_vectors() {
    for flavour in [PCI_LEGACY, PCI_MODERN] {
        let (mut d, control) = with_messages(flavour);
        d.start(0);
        let (config, queue, select) = if flavour.modern {
            (CONFIG_MSIX_VECTOR, QUEUE_MSIX_VECTOR, QUEUE_SELECT)
        } else {
            (LEGACY_CONFIG_VECTOR, LEGACY_QUEUE_VECTOR, LEGACY_QUEUE_SELECT)
        };
        let vectors = |d: &Driver| {
            [0, 1].map(|q| {
                d.put(select, Width::B2, q);
                d.get(queue, Width::B2)
            })
        };
        assert_eq!((vectors(&d), d.get(config, Width::B2)), ([0xffff; 2], 0xffff));
        for (q, vector) in [(0, 2), (1, 0)] {
            d.put(select, Width::B2, q);
            d.put(queue, Width::B2, vector);
        }
        d.put(config, Width::B2, 1);
        assert_eq!((vectors(&d), d.get(config, Width::B2)), ([2, 0], 1));
        let saved = d.bench.machine.save();
        let message = |n: u32| vec![(0xfee0_0000, 0x40 + n)];
        for (q, vector) in [(0, 2), (1, 0), (0, 2)] {
            d.request(q, &[&[0; 16]], &[512, 1]);
            assert_eq!((d.bench.messages(), d.irq()), (message(vector), false), "{flavour:?}");
        }
        // A ring that cannot be is told of by the vector of the configuration, to those that know that.
        d.make_available(1, 0xfff);
        d.notify(1);
        assert_eq!(d.bench.messages(), if flavour.modern { message(1) } else { vec![] }, "{flavour:?}");
        // None asked for, none sent; refused ones are none.
        d.bench.machine.load(&saved).unwrap();
        d.put(select, Width::B2, 0);
        for vector in [0xffff, 3] {
            d.put(queue, Width::B2, 2);
            d.put(queue, Width::B2, vector);
            d.put(config, Width::B2, vector);
            assert_eq!((vectors(&d)[0], d.get(config, Width::B2)), (0xffff, 0xffff));
            d.put(select, Width::B2, 0);
        }
        // The driver's reset takes vectors back, and leaves MSI-X as it is.
        d.start(0);
        assert_eq!((vectors(&d), d.get(config, Width::B2)), ([0xffff; 2], 0xffff));
        d.request(0, &[&[0; 16]], &[512, 1]);
        assert_eq!((d.bench.messages(), d.irq()), (vec![], false));
        d.bench.write("config", control, Width::B2, 0).unwrap();
        assert!(d.irq(), "{flavour:?}: the pin's turn");
    }
}

#[test]
fn the_legacy_configuration_is_behind_the_vectors_while_they_are_there() {
    let (d, control) = with_messages(PCI_LEGACY);
    let sectors = |at| d.get(at, Width::B4);
    assert_eq!((sectors(LEGACY_CONFIG_MSIX), d.get(LEGACY_QUEUE_VECTOR, Width::B2)), (2048, 0xffff));
    d.bench.write("config", control, Width::B2, 0).unwrap();
    assert_eq!(sectors(LEGACY_CONFIG), 2048);
}
