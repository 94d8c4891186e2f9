//! Whatever a guest sends, the network neither fails nor grows without bound.

use super::guest::{ADDRESS, Card, DNS, GATEWAY};
use super::raw::{echo, ethernet, ip, udp_segment};
use crate::net::ipv4::{self, Packet, array};
use crate::net::user::Engine;
use crate::net::{FrameSink, NetUserSpec, Resolver};
use proptest::prelude::*;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

/// Destinations that lead to nobody outside this process.
fn destinations() -> impl Strategy<Value = Ipv4Addr> {
    prop::sample::select(vec![
        GATEWAY,
        DNS,
        ADDRESS,
        Ipv4Addr::new(10, 0, 2, 0),
        Ipv4Addr::new(10, 0, 2, 99),
        Ipv4Addr::new(10, 0, 2, 255),
        Ipv4Addr::BROADCAST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(224, 0, 0, 251),
        Ipv4Addr::new(250, 1, 2, 3),
    ])
}

fn sources() -> impl Strategy<Value = Ipv4Addr> {
    prop::sample::select(vec![ADDRESS, ADDRESS, ADDRESS, Ipv4Addr::UNSPECIFIED, GATEWAY])
}

fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..longest)
}

/// A TCP segment with a good checksum. Its port leads to nothing on the host.
fn tcp() -> impl Strategy<Value = Vec<u8>> {
    (sources(), destinations(), 1..4u16, any::<u8>(), any::<u32>(), 0..16u8, bytes(80)).prop_map(|(src, dst, port, flags, ack, offset, tail)| {
        let mut segment = port.to_be_bytes().to_vec();
        segment.extend_from_slice(&[0, 1]);
        segment.extend_from_slice(&ack.wrapping_mul(3).to_be_bytes());
        segment.extend_from_slice(&ack.to_be_bytes());
        segment.extend_from_slice(&[offset << 4, flags & 0x3f, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend_from_slice(&tail);
        let pseudo = ipv4::pseudo_header(src, dst, ipv4::TCP, segment.len());
        let sum = ipv4::checksum(&[&pseudo, &segment]);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        ip(src, dst, ipv4::TCP, 0, &segment)
    })
}

fn dhcp() -> impl Strategy<Value = Vec<u8>> {
    (sources(), 0..10u8, bytes(60)).prop_map(|(src, kind, tail)| {
        let mut message = vec![0; 240];
        message[..3].copy_from_slice(&[1, 1, 6]);
        message[33] = kind;
        message[236..240].copy_from_slice(&[99, 130, 83, 99]);
        message.extend_from_slice(&[53, 1, kind]);
        message.extend_from_slice(&tail);
        ip(src, Ipv4Addr::BROADCAST, ipv4::UDP, 0, &udp_segment(68, 67, &message))
    })
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let fragment = (destinations(), 0..64u16, any::<bool>(), bytes(64)).prop_map(|(dst, at, more, data)| {
        let flags = if more { 0x2000 } else { 0 };
        ip(ADDRESS, dst, ipv4::UDP, at | flags, &data)
    });
    let any_payload = (sources(), destinations(), any::<u8>(), bytes(120)).prop_map(|(src, dst, protocol, data)| ip(src, dst, protocol, 0, &data));
    let dns = (53..55u16, bytes(100)).prop_map(|(port, data)| ip(ADDRESS, DNS, ipv4::UDP, 0, &udp_segment(9, port, &data)));
    let tftp = (0..8u8, bytes(60)).prop_map(|(kind, data)| {
        let message = [&[0, kind][..], &data].concat();
        ip(ADDRESS, GATEWAY, ipv4::UDP, 0, &udp_segment(9, 69, &message))
    });
    let ping = (destinations(), bytes(100)).prop_map(|(dst, data)| ip(ADDRESS, dst, ipv4::ICMP, 0, &echo(3, &data)));
    let arp = bytes(40).prop_map(|mut data| {
        data.splice(..0, [0, 1, 8, 0, 6, 4, 0, 1]);
        ethernet(0x0806, &data)
    });
    let whole = prop_oneof![tcp(), dhcp(), fragment, any_payload, dns, tftp, ping, arp];
    // Damaged behind the Ethernet header, or cut short, or nothing but noise.
    let damaged = (whole.clone(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
    let damaged = damaged.prop_map(|(mut frame, at, value, cut)| {
        let at = at.index(frame.len());
        if cut {
            frame.truncate(at);
        } else if let Some(byte) = frame.get_mut(at) {
            *byte ^= value;
        }
        frame
    });
    prop_oneof![4 => whole, 2 => damaged, 1 => bytes(200)]
}

fn take(engine: &mut Engine, frame: &[u8]) {
    let shared = Arc::clone(&engine.shared);
    engine.frame(&mut shared.router.lock(), frame);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn no_frames_break_the_network(
        frames in prop::collection::vec(frames(), 1..60),
        restrict in any::<bool>(),
        capacity in 0..3usize,
    ) {
        let card = Card::new([0, 5, 10_000][capacity]);
        let spec = NetUserSpec {
            restrict,
            resolver: Resolver::None,
            tftp: Some(env!("CARGO_MANIFEST_DIR").into()),
            ..NetUserSpec::default()
        };
        let sink = Arc::clone(&card) as Arc<dyn FrameSink>;
        let (mut engine, _) = Engine::new(spec, sink).unwrap();
        for frame in &frames {
            take(&mut engine, frame);
            engine.step(&mut Vec::new());
            prop_assert!(engine.shared.router.lock().link.out.len() <= 1024);
        }
        // It still does its work.
        card.set_capacity(10_000);
        engine.shared.guest_ready.store(true, std::sync::atomic::Ordering::SeqCst);
        engine.step(&mut Vec::new());
        let before = card.len();
        take(&mut engine, &ip(ADDRESS, GATEWAY, 1, 0, &echo(1, b"alive?")));
        engine.step(&mut Vec::new());
        prop_assert!(card.len() > before);
    }
}

/// A segment of the connection from port 7 to the gateway: where it begins, counted from what
/// is right, and the same for what it acknowledges.
#[derive(Debug, Clone)]
struct Segment {
    at: i32,
    ack: i32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
    data: Vec<u8>,
}

fn segments() -> impl Strategy<Value = Segment> {
    let near = || prop_oneof![4 => Just(0), 3 => -3000..3000i32, 1 => any::<i32>()];
    let flags = prop_oneof![4 => Just(0x10), 2 => Just(0x18), 1 => Just(0x11), 3 => any::<u8>()];
    let options = prop_oneof![Just(0), 0..11usize];
    let options = options.prop_flat_map(|n| prop::collection::vec(any::<u8>(), n * 4));
    (near(), near(), flags, any::<u16>(), options, bytes(1400)).prop_map(|(at, ack, flags, window, options, data)| Segment {
        at,
        ack,
        flags,
        window,
        options,
        data,
    })
}

fn segment(port: u16, seq: u32, ack: u32, s: &Segment) -> Vec<u8> {
    let mut bytes = vec![0, 7];
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.extend_from_slice(&seq.wrapping_add_signed(s.at).to_be_bytes());
    bytes.extend_from_slice(&ack.wrapping_add_signed(s.ack).to_be_bytes());
    bytes.extend_from_slice(&[(5 + s.options.len() as u8 / 4) << 4, s.flags & 0x3f]);
    bytes.extend_from_slice(&s.window.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 0]);
    bytes.extend_from_slice(&s.options);
    bytes.extend_from_slice(&s.data);
    let pseudo = ipv4::pseudo_header(ADDRESS, GATEWAY, ipv4::TCP, bytes.len());
    let sum = ipv4::checksum(&[&pseudo, &bytes]);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(ADDRESS, GATEWAY, ipv4::TCP, 0, &bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn no_segments_break_a_connection_s_network(
        segments in prop::collection::vec(segments(), 1..40),
        server_sends in bytes(100_000),
        server_stays in any::<bool>(),
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let card = Card::new(100_000);
        let sink = Arc::clone(&card) as Arc<dyn FrameSink>;
        let (mut engine, _) = Engine::new(NetUserSpec::default(), sink).unwrap();
        let mut ready = Vec::new();
        let syn = Segment {
            at: 0, ack: 0, flags: 2, window: 0xffff, options: vec![], data: vec![],
        };
        take(&mut engine, &segment(port, 99, 0, &syn));
        let mut server = None;
        // What the network's segments, taken together, acknowledge and have sent.
        let mut synack = None;
        while synack.is_none() {
            engine.shared.guest_ready.store(true, std::sync::atomic::Ordering::SeqCst);
            engine.wait(&mut ready).unwrap();
            engine.step(&mut ready);
            while let Some(frame) = card.take_frame() {
                let packet = Packet::parse(&frame[14..]).unwrap();
                prop_assert_eq!(packet.payload[13], 0x12);
                synack = Some(u32::from_be_bytes(array(packet.payload, 4)));
            }
        }
        let ack = synack.unwrap_or_default().wrapping_add(1);
        let mut seq = 100u32;
        for (n, s) in segments.iter().enumerate() {
            take(&mut engine, &segment(port, seq, ack, s));
            if s.at == 0 && s.flags & 0x16 == 0x10 {
                seq = seq.wrapping_add(s.data.len() as u32);
            }
            if n == segments.len() / 2 {
                use std::io::Write;
                let mut stream = listener.accept().unwrap().0;
                stream.set_nonblocking(true).unwrap();
                let _ = stream.write(&server_sends);
                server = server_stays.then_some(stream);
            }
            engine.shared.guest_ready.store(true, std::sync::atomic::Ordering::SeqCst);
            engine.wait(&mut ready).unwrap();
            engine.step(&mut ready);
            prop_assert!(engine.shared.router.lock().link.out.len() <= 1024);
        }
        drop(server);
        engine.step(&mut ready);
        let before = card.len();
        take(&mut engine, &ip(ADDRESS, GATEWAY, 1, 0, &echo(1, b"alive?")));
        engine.step(&mut ready);
        prop_assert!(card.len() > before);
    }
}
