//! Whatever a guest sends, the network neither fails nor grows without bound.

use super::guest::{ADDRESS, Card, DNS, GATEWAY};
use super::raw::{echo, ethernet, ip, udp_segment};
use crate::net::ipv4;
use crate::net::user::Engine;
use crate::net::{FrameSink, NetUserSpec, Resolver};
use proptest::prelude::*;
use std::net::Ipv4Addr;
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
    (sources(), destinations(), 1..4u16, any::<u8>(), any::<u32>(), 0..16u8, bytes(80)).prop_map(
        |(src, dst, port, flags, ack, offset, tail)| {
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
        },
    )
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
    let fragment = (destinations(), 0..64u16, any::<bool>(), bytes(64)).prop_map(
        |(dst, at, more, data)| {
            let flags = if more { 0x2000 } else { 0 };
            ip(ADDRESS, dst, ipv4::UDP, at | flags, &data)
        },
    );
    let any_payload = (sources(), destinations(), any::<u8>(), bytes(120))
        .prop_map(|(src, dst, protocol, data)| ip(src, dst, protocol, 0, &data));
    let dns = (53..55u16, bytes(100))
        .prop_map(|(port, data)| ip(ADDRESS, DNS, ipv4::UDP, 0, &udp_segment(9, port, &data)));
    let ping = (destinations(), bytes(100))
        .prop_map(|(dst, data)| ip(ADDRESS, dst, ipv4::ICMP, 0, &echo(3, &data)));
    let arp = bytes(40).prop_map(|mut data| {
        data.splice(..0, [0, 1, 8, 0, 6, 4, 0, 1]);
        ethernet(0x0806, &data)
    });
    let whole = prop_oneof![tcp(), dhcp(), fragment, any_payload, dns, ping, arp];
    // Damaged behind the Ethernet header, or cut short, or nothing but noise.
    let damaged = (whole.clone_boxed(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
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

/// Strategies are consumed where they are used; two uses need two of them.
trait CloneBoxed: Strategy {
    fn clone_boxed(&self) -> BoxedStrategy<Self::Value>
    where
        Self: Clone + 'static,
    {
        self.clone().boxed()
    }
}

impl<S: Strategy> CloneBoxed for S {}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn no_frames_break_the_network(
        frames in prop::collection::vec(frames(), 1..60),
        restrict in any::<bool>(),
        capacity in 0..3usize,
    ) {
        let card = Card::new([0, 5, 10_000][capacity]);
        let spec = NetUserSpec { restrict, resolver: Resolver::None, ..NetUserSpec::default() };
        let sink = Arc::clone(&card) as Arc<dyn FrameSink>;
        let (mut engine, _) = Engine::new(spec, sink).unwrap();
        for frame in &frames {
            engine.frame(frame);
            engine.step(&mut Vec::new());
            prop_assert!(engine.link.out.len() <= 1024);
        }
        // It still does its work.
        card.set_capacity(10_000);
        engine.shared.guest_ready.store(true, std::sync::atomic::Ordering::SeqCst);
        engine.step(&mut Vec::new());
        let before = card.len();
        engine.frame(&ip(ADDRESS, GATEWAY, 1, 0, &echo(1, b"alive?")));
        engine.step(&mut Vec::new());
        prop_assert!(card.len() > before);
    }
}
