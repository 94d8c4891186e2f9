//! Tests of the network device.

use proteus_model::conformance::{Rng, check};
use proteus_model::{HostEventKind, Width};

use super::super::driver::{Driver, Flavour, LEGACY, MODERN, PCI_LEGACY, PCI_MODERN, PLAIN, Types, flavours};
use super::*;

const TYPES: Types = [&VIRTIO_NET_DEVICE, &VIRTIO_NET_PCI];

const OWN: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn driver(flavour: Flavour, features: &[u32]) -> Driver {
    Driver::new(TYPES, &[("netdev", "net0")], flavour, features.iter().fold(0, |f, bit| f | 1 << bit))
}

fn frame(to: [u8; 6], len: usize) -> Vec<u8> {
    let mut rng = Rng::new(len as u64);
    let mut frame = to.to_vec();
    frame.extend((6..len).map(|_| rng.bits() as u8));
    frame
}

fn control(d: &mut Driver, class: u8, command: u8, data: &[u8]) -> u8 {
    d.request(CONTROL, &[&[class, command], data], &[1]).1[0]
}

#[test]
fn conforms() {
    for ty in TYPES {
        check(ty).unwrap();
    }
}

#[test]
fn frames_go_out_without_their_header() {
    for flavour in flavours() {
        for merged in [false, true] {
            let mut d = driver(flavour, if merged { &[F_MRG_RXBUF] } else { &[] });
            let header = vec![0; if merged || flavour.modern { 12 } else { 10 }];
            for len in [14, 60, 1514, 9000] {
                let frame = frame([1; 6], len);
                d.request(TX, &[&header, &frame], &[]);
                assert_eq!(d.bench.sent_frame("netdev"), Some(frame), "{flavour:?} {merged} {len}");
                assert_eq!(d.interrupt(), (true, 1));
            }
            // Header and frame in one buffer.
            d.request(TX, &[&[&header[..], &frame([2; 6], 100)].concat()], &[]);
            assert_eq!(d.bench.sent_frame("netdev"), Some(frame([2; 6], 100)));
        }
    }
}

#[test]
fn bad_transmissions_are_dropped() {
    let mut d = driver(MODERN, &[]);
    let mut offload = vec![0; 12 + 60];
    offload[1] = 1;
    for bad in [vec![0; 5], vec![0; 12], vec![0; 12 + 13], vec![0; 12 + MAX_FRAME + 1], offload] {
        let before = d.bench.machine.counters().guest_errors;
        d.request(TX, &[&bad], &[]);
        assert_eq!(d.bench.machine.counters().guest_errors, before + 1);
    }
    assert_eq!((d.bench.sent_frame("netdev"), d.needs_reset()), (None, false));
}

#[test]
fn frames_come_in_and_wait_for_buffers() {
    for flavour in flavours() {
        let mut d = driver(flavour, &[]);
        let header = if flavour.modern { 12 } else { 10 };
        for n in 0..40 {
            d.bench.frame("netdev", &frame(OWN, 60 + n));
        }
        for n in 0..40 {
            d.add(RX, &[], &[header, 1514]);
            d.notify(RX);
            let (_, len, bytes) = d.used(RX).unwrap();
            assert_eq!((len as usize, &bytes[header..len as usize]), (header + 60 + n, &frame(OWN, 60 + n)[..]), "{flavour:?}");
            let mut expected = vec![0; header];
            if flavour.modern {
                expected[10] = 1;
            }
            assert_eq!(bytes[..header], expected);
        }
        assert_eq!(d.interrupt(), (true, 1));
    }
}

#[test]
fn a_long_frame_takes_several_buffers() {
    for flavour in flavours() {
        let mut d = driver(flavour, &[F_MRG_RXBUF]);
        d.bench.frame("netdev", &frame(OWN, 1000));
        for n in 0..3 {
            d.add(RX, &[], &[300]);
            d.notify(RX);
            assert!(d.used(RX).is_none(), "{n} buffers are not enough");
        }
        d.add(RX, &[], &[300]);
        d.notify(RX);
        let mut all = vec![];
        for want in [300, 300, 300, 112] {
            let (_, len, bytes) = d.used(RX).unwrap();
            assert_eq!(len, want);
            all.extend_from_slice(&bytes[..len as usize]);
        }
        let mut header = [0; 12];
        header[10..].copy_from_slice(&d.order().bytes16(4));
        assert_eq!((&all[..12], &all[12..]), (&header[..], &frame(OWN, 1000)[..]));
        assert!(d.used(RX).is_none());
    }
}

#[test]
fn frames_that_can_never_fit_are_dropped() {
    let mut d = driver(LEGACY, &[]);
    d.bench.frame("netdev", &frame(OWN, 1000));
    d.add(RX, &[], &[500]);
    d.notify(RX);
    assert_eq!(d.used(RX).map(|u| u.1), Some(0));
    // All the buffers of the ring together are too small.
    let mut d = driver(MODERN, &[F_MRG_RXBUF]);
    d.bench.frame("netdev", &frame(OWN, 1000));
    for _ in 0..64 {
        d.add(RX, &[], &[13]);
    }
    d.notify(RX);
    assert_eq!((0..64).map(|_| d.used(RX).unwrap().1).sum::<u32>(), 0);
    assert_eq!(d.bench.machine.counters().guest_errors, 1);
    d.add(RX, &[], &[2000]);
    d.bench.frame("netdev", &frame(OWN, 100));
    assert_eq!(d.used(RX).map(|u| u.1), Some(112));
}

#[test]
fn the_driver_filters() {
    const MULTI: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];
    let passes = |d: &mut Driver| {
        [OWN, OTHER, MULTI, [0xff; 6]].map(|to| {
            d.bench.frame("netdev", &frame(to, 60));
            let came = d.used(RX).is_some();
            if came {
                d.add(RX, &[], &[100]);
            }
            u8::from(came)
        })
    };
    for flavour in [MODERN, PCI_MODERN, PCI_LEGACY, Flavour { big: true, ..PCI_LEGACY }] {
        let mut d = driver(flavour, &[F_CTRL_VQ, F_CTRL_RX, F_CTRL_RX_EXTRA, F_CTRL_MAC_ADDR]);
        d.add(RX, &[], &[100]);
        assert_eq!(passes(&mut d), [1, 1, 1, 1], "promiscuous until told otherwise");
        let order = d.order();
        let table = |unicast: &[[u8; 6]], multicast: &[[u8; 6]]| {
            let list = |l: &[[u8; 6]]| [&order.bytes32(l.len() as u32)[..], &l.concat()].concat();
            [list(unicast), list(multicast)].concat()
        };
        let many = vec![[6; 6]; 100];
        let cases: &[(u8, u8, Vec<u8>, [u8; 4])] = &[
            (CTRL_RX, 0, vec![0], [1, 0, 0, 1]),
            (CTRL_RX, 1, vec![1], [1, 0, 1, 1]),
            (CTRL_RX, 1, vec![0], [1, 0, 0, 1]),
            (CTRL_RX, 2, vec![1], [1, 1, 0, 1]),
            (CTRL_RX, 2, vec![0], [1, 0, 0, 1]),
            (CTRL_RX, 5, vec![1], [1, 0, 0, 0]),
            (CTRL_MAC, CTRL_MAC_TABLE_SET, table(&[], &[MULTI]), [1, 0, 1, 0]),
            (CTRL_MAC, CTRL_MAC_TABLE_SET, table(&[OTHER], &[]), [1, 1, 0, 0]),
            (CTRL_MAC, CTRL_MAC_TABLE_SET, table(&[OTHER], &many), [1, 1, 1, 0]),
            (CTRL_MAC, CTRL_MAC_TABLE_SET, table(&[], &[]), [1, 0, 0, 0]),
            (CTRL_MAC, CTRL_MAC_ADDR_SET, OTHER.to_vec(), [0, 1, 0, 0]),
        ];
        for (class, command, data, want) in cases {
            assert_eq!(control(&mut d, *class, *command, data), CTRL_OK);
            assert_eq!(passes(&mut d), *want, "after {class}.{command}");
        }
        assert_eq!((0..6).map(|at| d.config(at, Width::B1) as u8).collect::<Vec<_>>(), OTHER);
        for (class, command, data) in [(CTRL_RX, 0, vec![]), (CTRL_RX, 6, vec![1]), (CTRL_MAC, 0, vec![0xff; 8]), (CTRL_MAC, 1, vec![1; 5]), (9, 0, vec![])] {
            assert_eq!(control(&mut d, class, command, &data), CTRL_ERR, "{class}.{command}");
        }
        assert!(!d.needs_reset());
    }
}

#[test]
fn the_link_goes_and_comes_back_announced() {
    for flavour in PLAIN {
        let mut d = driver(flavour, &[F_STATUS, F_CTRL_VQ, F_GUEST_ANNOUNCE]);
        d.add(RX, &[], &[100]);
        assert_eq!(d.config(6, Width::B2), 1);
        let generation = || match flavour {
            Flavour { pci: false, modern: true, .. } => d.r(mmio::CONFIG_GENERATION).into(),
            Flavour { modern: true, .. } => d.get(pci::CONFIG_GENERATION, Width::B1),
            // A legacy driver cannot tell.
            _ => 0,
        };
        let before = generation();
        d.bench.deliver(HostEventKind::Open { port: 0, open: false });
        assert_eq!((d.config(6, Width::B2), d.interrupt()), (0, (true, 2)));
        assert_eq!(generation() != before, flavour.modern);
        d.bench.frame("netdev", &frame(OWN, 60));
        d.request(TX, &[&[0; 12][..if flavour.modern { 12 } else { 10 }], &frame(OWN, 60)], &[]);
        assert!(d.used(RX).is_none() && d.bench.sent_frame("netdev").is_none());
        d.bench.deliver(HostEventKind::Open { port: 0, open: true });
        assert_eq!(d.config(6, Width::B2), 3);
        assert_eq!(control(&mut d, CTRL_ANNOUNCE, 0, &[]), CTRL_OK);
        assert_eq!(d.config(6, Width::B2), 1);
    }
}

#[test]
fn without_a_driver_frames_are_lost_and_the_mac_is_a_property() {
    let mut d = Driver::unstarted(TYPES, &[("mac", "02:00:00:00:00:01")], LEGACY);
    for _ in 0..10 {
        d.bench.frame("netdev", &frame([0xff; 6], 60));
    }
    d.start(1 << F_MAC);
    d.add(RX, &[], &[100]);
    d.notify(RX);
    assert!(d.used(RX).is_none());
    assert_eq!((d.config(0, Width::B1), d.config(5, Width::B1)), (2, 1));
    for (name, value) in [("mac", "01:00:00:00:00:01"), ("rx_queue_size", "100"), ("host_mtu", "10")] {
        let props = Props::with(&VIRTIO_NET_DEVICE, &[(name, value)]).unwrap();
        let error = (VIRTIO_NET_DEVICE.new)(&props).err().expect("refused").to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn random_rings_never_panic() {
    let all = 1 << F_MRG_RXBUF | 1 << F_CTRL_VQ;
    for (flavour, features) in [(LEGACY, 0), (Flavour { event_idx: true, ..MODERN }, all), (Flavour { big: true, ..PCI_LEGACY }, all), (PCI_MODERN, all)] {
        let mut d = Driver::new(TYPES, &[], flavour, features);
        let header = |rng: &mut Rng| match rng.below(4) {
            0 => vec![CTRL_MAC, 0, rng.below(4) as u8, 0, 0, 0],
            1 => vec![rng.below(4) as u8, rng.below(6) as u8, 1],
            _ => vec![0; 12],
        };
        let (broken, served) = d.hammer(features, 20_000, &header);
        assert!(broken > 300 && served > 300, "{broken} {served}");
    }
}

#[test]
fn a_legacy_driver_sets_the_address_by_configuration_space() {
    for flavour in PLAIN {
        let d = driver(flavour, &[F_MAC]);
        for (at, byte) in [2, 0, 0, 0, 0, 9].into_iter().enumerate() {
            d.write_config(at as u64, Width::B1, byte);
        }
        assert_eq!(d.config(5, Width::B1), if flavour.modern { OWN[5].into() } else { 9 }, "{flavour:?}");
        assert_eq!(d.bench.machine.counters().guest_errors, if flavour.modern { 6 } else { 0 });
    }
}
