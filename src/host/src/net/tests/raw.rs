//! What the network answers to single frames: ARP, DHCP, ICMP, DNS errors, fragments.

use super::guest::{ADDRESS, Card, DNS, GATEWAY, Guest, MAC};
use crate::net::ipv4::{self, Packet, UDP, be16};
use crate::net::{FrameSink, NetUserSpec, Resolver, UserNet};
use smoltcp::wire::Ipv4Cidr;
use std::net::Ipv4Addr;
use std::sync::Arc;

pub const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
pub const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;

pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x52, 0x55, 10, 0, 2, 2];
    frame.extend_from_slice(&MAC);
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

pub fn ip(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; ipv4::HEADER];
    let header = packet.first_chunk_mut().unwrap();
    ipv4::write_header(header, (src, dst), protocol, payload.len(), 77, fragment);
    packet.extend_from_slice(payload);
    ethernet(0x0800, &packet)
}

pub fn udp_segment(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = src_port.to_be_bytes().to_vec();
    bytes.extend_from_slice(&dst_port.to_be_bytes());
    bytes.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(payload);
    bytes
}

pub fn echo(id: u16, data: &[u8]) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0];
    message.extend_from_slice(&id.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message.extend_from_slice(data);
    let sum = ipv4::checksum(&[&message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// A network whose frames the test makes and takes itself.
pub struct Bench {
    pub card: Arc<Card>,
    pub net: UserNet,
}

impl Bench {
    pub fn new(spec: NetUserSpec) -> Bench {
        let card = Card::new(4096);
        let net = UserNet::start(spec, Arc::clone(&card) as Arc<dyn FrameSink>).unwrap();
        Bench { card, net }
    }

    pub fn with(options: &str) -> Bench {
        Bench::new(NetUserSpec::parse(options).unwrap())
    }

    pub fn send(&self, frame: &[u8]) {
        self.net.send(frame, &mut |answer| self.card.receive(&answer));
    }

    /// The payload of the next IPv4 packet of a protocol.
    pub fn packet(&self, protocol: u8) -> (Ipv4Addr, Ipv4Addr, Vec<u8>) {
        self.card.find(&self.net, |frame| {
            let packet = Packet::parse(frame.get(14..)?)?;
            let found = frame[12..14] == [8, 0] && packet.protocol == protocol;
            found.then(|| (packet.src, packet.dst, packet.payload.to_vec()))
        })
    }

    fn ping_gateway(&self) {
        self.send(&ip(ADDRESS, GATEWAY, 1, 0, &echo(9, b"alive?")));
        loop {
            let (src, dst, message) = self.packet(1);
            if message[0] == 0 {
                assert_eq!((src, dst, &message[8..]), (GATEWAY, ADDRESS, &b"alive?"[..]));
                return;
            }
        }
    }
}

fn arp(target: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend_from_slice(&MAC);
    packet.extend_from_slice(&ADDRESS.octets());
    packet.extend_from_slice(&[0; 6]);
    packet.extend_from_slice(&target.octets());
    ethernet(0x0806, &packet)
}

#[test]
fn arp_knows_the_gateway_and_the_dns_forwarder_only() {
    let bench = Bench::with("");
    for nobody in ["10.0.2.4", "10.0.2.15", "8.8.8.8"] {
        bench.send(&arp(nobody.parse().unwrap()));
    }
    for (address, mac) in [(GATEWAY, [0x52, 0x55, 10, 0, 2, 2]), (DNS, [0x52, 0x55, 10, 0, 2, 3])] {
        bench.send(&arp(address));
        // Frames keep their order, so an answer for nobody would come first.
        let reply = bench.card.find(&bench.net, |frame| Some(frame.to_vec()));
        assert_eq!(reply[..6], MAC);
        assert_eq!(reply[6..12], mac);
        assert_eq!(reply[12..22], [8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
        assert_eq!(reply[22..28], mac);
        assert_eq!(reply[28..32], address.octets());
        assert_eq!(reply[32..38], MAC);
        assert_eq!(reply[38..42], ADDRESS.octets());
    }
}

#[test]
fn smoltcp_gets_its_address_by_dhcp() {
    for (options, address, router, dns) in [
        ("", "10.0.2.15/24", Some("10.0.2.2"), Some("10.0.2.3")),
        ("net=192.168.76.0/24", "192.168.76.15/24", Some("192.168.76.2"), Some("192.168.76.3")),
        ("net=172.20.0.0/16,host=172.20.0.1,dns=172.20.0.9,dhcpstart=172.20.5.5", "172.20.5.5/16", Some("172.20.0.1"), Some("172.20.0.9")),
        ("restrict=on", "10.0.2.15/24", None, None),
    ] {
        let mut guest = Guest::bare(NetUserSpec::parse(options).unwrap());
        let (got_address, got_router, got_dns) = guest.dhcp();
        let (ip, prefix) = address.split_once('/').unwrap();
        let expected = Ipv4Cidr::new(ip.parse().unwrap(), prefix.parse().unwrap());
        assert_eq!(got_address, expected, "{options}");
        assert_eq!(got_router, router.map(|r| r.parse().unwrap()), "{options}");
        assert_eq!(got_dns.first().copied(), dns.map(|d| d.parse().unwrap()), "{options}");
    }
}

/// A DHCP message as a client sends it.
fn dhcp(kind: u8, mac: [u8; 6], current: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[4..8].copy_from_slice(b"abcd");
    message[12..16].copy_from_slice(&current.octets());
    message[28..34].copy_from_slice(&mac);
    message[236..240].copy_from_slice(&[99, 130, 83, 99]);
    message.extend_from_slice(&[53, 1, kind]);
    message.extend_from_slice(options);
    message.push(255);
    let dst = if current == ANY { ALL } else { GATEWAY };
    ip(current, dst, UDP, 0, &udp_segment(68, 67, &message))
}

/// Type, offered address and options of the next DHCP answer.
fn dhcp_answer(bench: &Bench) -> (u8, Ipv4Addr, Vec<u8>) {
    let (src, _, segment) = bench.packet(UDP);
    assert_eq!((src, be16(&segment, 0), be16(&segment, 2)), (GATEWAY, 67, 68));
    let message = &segment[8..];
    assert_eq!((message[0], &message[4..8]), (2, &b"abcd"[..]));
    assert_eq!(message[240..242], [53, 1]);
    assert!(message[108..].starts_with(b"/boot/image\0"));
    (message[242], ipv4::address(message, 16), message[240..].to_vec())
}

fn has(options: &[u8], wanted: &[u8]) -> bool {
    options.windows(wanted.len()).any(|w| w == wanted)
}

#[test]
fn dhcp_tells_names_and_keeps_its_leases_apart() {
    let bench = Bench::with(
        "hostname=box,bootfile=/boot/image,tftp-server-name=srv,\
         domainname=example.org,dnssearch=a.example,dnssearch=b",
    );
    let ask = |kind, mac, current, options: &[u8]| {
        bench.send(&dhcp(kind, mac, current, options));
        dhcp_answer(&bench)
    };
    let mac = |n| [2, 0, 0, 0, 0, n];
    let (kind, address, options) = ask(1, mac(1), ANY, &[]);
    assert_eq!((kind, address), (2, ADDRESS));
    for wanted in [
        &b"\x0c\x03box"[..],
        b"\x0f\x0bexample.org",
        b"\x42\x03srv",
        b"\x77\x0e\x01a\x07example\x00\x01b\x00",
        b"\x33\x04\x00\x01\x51\x80",
        b"\x01\x04\xff\xff\xff\x00",
        b"\x36\x04\x0a\x00\x02\x02",
        b"\x03\x04\x0a\x00\x02\x02",
        b"\x06\x04\x0a\x00\x02\x03",
    ] {
        assert!(has(&options, wanted), "{wanted:?} in {options:?}");
    }
    assert_eq!(ask(3, mac(1), ANY, &[50, 4, 10, 0, 2, 15]).0, 5);
    // Another may not have it, gets the next one, and one of its own choice.
    assert_eq!(ask(3, mac(2), ANY, &[50, 4, 10, 0, 2, 15]).0, 6);
    assert_eq!(ask(1, mac(2), ANY, &[]).1, Ipv4Addr::new(10, 0, 2, 16));
    assert_eq!(ask(1, mac(2), ANY, &[50, 4, 10, 0, 2, 20]).1, Ipv4Addr::new(10, 0, 2, 20));
    assert_eq!(ask(3, mac(3), ANY, &[50, 4, 192, 168, 0, 1]).0, 6);
    // A renewal, and a client that only wants to be informed.
    assert_eq!(ask(3, mac(1), ADDRESS, &[]).0, 5);
    let (kind, address, options) = ask(8, mac(1), ADDRESS, &[]);
    assert_eq!((kind, address), (5, ANY));
    assert!(!has(&options, b"\x33\x04"));
    // What is released can be had again.
    bench.send(&dhcp(7, mac(1), ADDRESS, &[]));
    assert_eq!(ask(3, mac(2), ANY, &[50, 4, 10, 0, 2, 15]).0, 5);
}

/// What the router answers by itself is there when the frame is sent, not some time later.
#[test]
fn the_router_answers_at_once() {
    let net = UserNet::start(NetUserSpec { tftp: Some(env!("CARGO_MANIFEST_DIR").into()), ..NetUserSpec::default() }, Card::new(0)).unwrap();
    let answers = |frame: &[u8]| {
        let mut answers = 0;
        net.send(frame, &mut |_| {
            answers += 1;
            true
        });
        answers
    };
    let tftp = |port| ip(ADDRESS, GATEWAY, UDP, 0, &udp_segment(1234, port, b"\0\x01Cargo.toml\0octet\0"));
    let cases = [
        ("ARP", arp(GATEWAY), 1),
        ("ARP for somebody else", arp(ADDRESS), 0),
        ("DHCP", dhcp(1, MAC, ANY, &[]), 1),
        ("ping", ip(ADDRESS, GATEWAY, 1, 0, &echo(1, b"x")), 1),
        ("part of a ping", ip(ADDRESS, GATEWAY, 1, 0x2000, &echo(1, b"12345678")), 0),
        ("ping of the DNS forwarder", ip(ADDRESS, DNS, 1, 0, &echo(1, b"x")), 1),
        ("TFTP", tftp(69), 1),
        ("a datagram to the host", tftp(70), 0),
    ];
    for (what, frame, want) in cases {
        assert_eq!(answers(&frame), want, "{what}");
    }
    // Cut off anywhere, they do no harm.
    for len in 0..60 {
        answers(&tftp(69)[..len]);
    }
}

#[test]
fn the_gateway_and_the_dns_forwarder_answer_pings() {
    let bench = Bench::with("restrict=on");
    bench.ping_gateway();
    bench.send(&ip(ADDRESS, DNS, 1, 0, &echo(1, b"x")));
    let (src, _, message) = bench.packet(1);
    assert_eq!((src, message[0]), (DNS, 0));
}

/// Needs a network namespace of its own, since elsewhere it would ping a stranger:
/// `unshare -n sh -c 'ip link set lo up; ip addr add 192.0.2.1 dev lo;
/// echo 0 0 > /proc/sys/net/ipv4/ping_group_range; TEST-BINARY --ignored ping'`.
#[test]
#[ignore = "needs a network namespace of its own"]
fn other_hosts_answer_pings() {
    let bench = Bench::with("");
    for id in [11, 12, 11] {
        let request = echo(id, b"far");
        bench.send(&ip(ADDRESS, Ipv4Addr::new(192, 0, 2, 1), 1, 0, &request));
        let (src, dst, message) = bench.packet(1);
        assert_eq!((src, dst), (Ipv4Addr::new(192, 0, 2, 1), ADDRESS));
        assert_eq!((message[0], &message[4..]), (0, &request[4..]));
        assert_eq!(ipv4::checksum(&[&message]), 0);
    }
}

#[test]
fn fragments_are_put_together_and_long_answers_taken_apart() {
    let bench = Bench::with("");
    let data: Vec<u8> = (0..4000u32).map(|n| (n * 7) as u8).collect();
    let message = echo(5, &data);
    // Out of order, with an overlap.
    for (from, to) in [(2960, 4008), (0, 1480), (1472, 2960)] {
        let more = if to < message.len() { 0x2000 } else { 0 };
        let fragment = (from / 8) as u16 | more;
        bench.send(&ip(ADDRESS, GATEWAY, 1, fragment, &message[from..to]));
    }
    let mut whole = vec![0; message.len()];
    let mut missing = message.len();
    while missing > 0 {
        bench.card.find(&bench.net, |frame| {
            let packet = Packet::parse(frame.get(14..)?)?;
            assert!(frame.len() <= 1514);
            let at = usize::from(be16(packet.bytes, 6) & 0x1fff) * 8;
            whole[at..at + packet.payload.len()].copy_from_slice(packet.payload);
            missing -= packet.payload.len();
            Some(())
        });
    }
    assert_eq!(whole[0], 0);
    assert_eq!(whole[4..], message[4..]);
    assert_eq!(ipv4::checksum(&[&whole]), 0);
}

#[test]
fn what_cannot_be_delivered_is_unreachable() {
    let bench = Bench::with("restrict=on");
    let world = Ipv4Addr::new(192, 0, 2, 77);
    for (dst, protocol, payload, code) in [
        (Ipv4Addr::new(10, 0, 2, 99), UDP, udp_segment(5, 6, b"x"), 1),
        (DNS, UDP, udp_segment(5, 6, b"x"), 3),
        (world, UDP, udp_segment(5, 6, b"x"), 13),
        (world, 1, echo(1, b"x"), 13),
        (GATEWAY, 47, vec![0; 8], 2),
    ] {
        let sent = ip(ADDRESS, dst, protocol, 0, &payload);
        bench.send(&sent);
        let (src, to, message) = bench.packet(1);
        assert_eq!((src, to, message[0], message[1]), (GATEWAY, ADDRESS, 3, code), "{dst}");
        assert_eq!(message[8..], sent[14..]);
        assert_eq!(ipv4::checksum(&[&message]), 0);
    }
}

#[test]
fn a_restricted_guest_gets_a_reset_for_a_connection() {
    let bench = Bench::with("restrict=on");
    let mut syn = vec![0x30, 0x39, 0, 80, 0, 0, 1, 0, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0];
    let pseudo = ipv4::pseudo_header(ADDRESS, GATEWAY, 6, 20);
    let sum = ipv4::checksum(&[&pseudo, &syn]);
    syn[16..18].copy_from_slice(&sum.to_be_bytes());
    bench.send(&ip(ADDRESS, GATEWAY, 6, 0, &syn));
    let (_, _, reset) = bench.packet(6);
    assert_eq!(reset[..4], [0, 80, 0x30, 0x39]);
    assert_eq!(reset[8..12], [0, 0, 1, 1]);
    assert_eq!(reset[13], 0x14);
}

/// Header of a query and the question for `a.b`.
const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x01b\x00\x00\x01\x00\x01\
    \x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00";

#[test]
fn dns_without_a_resolver_fails_at_once() {
    // A port on which nobody listens.
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (resolver, restrict, code) in [(Resolver::None, false, 2), (Resolver::Fixed(closed), false, 2), (Resolver::Host, true, 5)] {
        let bench = Bench::new(NetUserSpec { resolver, restrict, ..NetUserSpec::default() });
        bench.send(&ip(ADDRESS, DNS, UDP, 0, &udp_segment(999, 53, QUERY)));
        let (src, _, segment) = bench.packet(UDP);
        assert_eq!((src, be16(&segment, 0), be16(&segment, 2)), (DNS, 53, 999));
        let answer = &segment[8..];
        assert_eq!(answer[..4], [0x12, 0x34, 0x81, 0x80 | code], "{resolver:?}");
        assert_eq!(answer[4..12], [0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer[12..], QUERY[12..21]);
    }
}

#[test]
fn spoofed_and_foreign_sources_are_ignored() {
    let bench = Bench::with("");
    for src in [GATEWAY, DNS, Ipv4Addr::new(1, 2, 3, 4), Ipv4Addr::new(10, 0, 2, 255), ANY] {
        bench.send(&ip(src, GATEWAY, 1, 0, &echo(1, b"spoofed")));
    }
    bench.send(&ip(ADDRESS, GATEWAY, 1, 0, &echo(1, b"honest")));
    assert_eq!(bench.packet(1).2[8..], *b"honest");
}
