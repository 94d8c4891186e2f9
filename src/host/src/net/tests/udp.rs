//! UDP through the network, and DNS.

use super::guest::{DNS, GATEWAY, Guest};
use crate::net::udp::first_nameserver;
use crate::net::{NetUserSpec, Resolver};
use std::net::{SocketAddrV4, UdpSocket};
use std::thread;
use std::time::Duration;

fn server() -> (UdpSocket, SocketAddrV4) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, SocketAddrV4::new(GATEWAY, port))
}

#[test]
fn datagrams_go_both_ways_from_one_port() {
    let (first, to_first) = server();
    let (second, to_second) = server();
    let mut guest = Guest::with("");
    let handle = guest.udp(5000);
    let mut buffer = [0; 2000];
    let mut sources = Vec::new();
    for (socket, to, data) in [(&first, to_first, &b"one"[..]), (&second, to_second, b"two")] {
        guest.send_to(handle, data, to);
        guest.poll();
        let (len, from) = guest.until(|_| {
            socket.set_nonblocking(true).unwrap();
            socket.recv_from(&mut buffer).ok()
        });
        assert_eq!(&buffer[..len], data);
        socket.send_to(&[&buffer[..len], b"!"].concat(), from).unwrap();
        let (reply, source) = guest.receive_from(handle);
        assert_eq!((reply, source), ([data, b"!"].concat(), to));
        sources.push(from);
    }
    // The guest's port is one port outside, whoever it speaks to; so a third party may answer.
    assert_eq!(sources[0], sources[1]);
    let (third, to_third) = server();
    third.send_to(b"from elsewhere", sources[0]).unwrap();
    assert_eq!(guest.receive_from(handle), (b"from elsewhere".to_vec(), to_third));
}

#[test]
fn a_forwarded_udp_port_reaches_the_guest() {
    for restrict in ["", "restrict=on,"] {
        let mut guest = Guest::with(&format!("{restrict}hostfwd=udp:127.0.0.1:0-:7000"));
        let handle = guest.udp(7000);
        let host = guest.net().forwards()[0].host;
        assert_ne!(host.port(), 0);
        let (client, as_seen) = server();
        client.send_to(b"hello", host).unwrap();
        let (data, from) = guest.receive_from(handle);
        assert_eq!((&data[..], from), (&b"hello"[..], as_seen));
        guest.send_to(handle, b"answer", from);
        let mut buffer = [0; 100];
        client.set_nonblocking(true).unwrap();
        let (len, from) = guest.until(|_| client.recv_from(&mut buffer).ok());
        // The answer comes from the forwarded port.
        assert_eq!((&buffer[..len], from), (&b"answer"[..], host.into()));
    }
}

#[test]
fn a_restricted_guest_cannot_use_a_forwarded_port_to_reach_others() {
    let (other, to_other) = server();
    let (client, as_seen) = server();
    let mut guest = Guest::with("restrict=on,hostfwd=udp:127.0.0.1:0-:7001");
    let handle = guest.udp(7001);
    client.send_to(b"hello", guest.net().forwards()[0].host).unwrap();
    assert_eq!(guest.receive_from(handle).1, as_seen);
    guest.send_to(handle, b"out", to_other);
    guest.send_to(handle, b"back", as_seen);
    let mut buffer = [0; 100];
    client.set_nonblocking(true).unwrap();
    // Datagrams keep their order: when this one has arrived the other would have, too.
    guest.until(|_| client.recv_from(&mut buffer).ok());
    other.set_nonblocking(true).unwrap();
    assert!(other.recv_from(&mut buffer).is_err());
}

#[test]
fn dns_queries_reach_the_resolver() {
    let (resolver, _) = server();
    let address = resolver.local_addr().unwrap();
    let resolve = thread::spawn(move || {
        let mut buffer = [0; 2000];
        for _ in 0..3 {
            let (len, from) = resolver.recv_from(&mut buffer).unwrap();
            let answer = [&buffer[..len], &[b'.'; 1800][..]].concat();
            resolver.send_to(&answer, from).unwrap();
        }
    });
    let spec = NetUserSpec { resolver: Resolver::Fixed(address), ..NetUserSpec::default() };
    let mut guest = Guest::new(spec);
    // The answer is longer than a frame, so this smoltcp, which reassembles nothing, would not
    // see it: taken from the card instead.
    for n in 0..3u8 {
        let query = [n; 40];
        let segment = super::raw::udp_segment(3000 + u16::from(n), 53, &query);
        guest.net().send(&super::raw::ip(super::guest::ADDRESS, DNS, 17, 0, &segment), &mut |_| false);
        let card = std::sync::Arc::clone(&guest.device.card);
        let first = card.find(guest.net(), |f| (f[12..14] == [8, 0]).then(|| f.to_vec()));
        assert_eq!(first.len(), 1514);
        assert_eq!(first[26..30], DNS.octets());
        assert_eq!(first[34..38], [0, 53, 0x0b, 0xb8 + n]);
        assert_eq!(first[42..82], query);
        let second = card.find(guest.net(), |f| (f[12..14] == [8, 0]).then(|| f.to_vec()));
        assert_eq!(second.len() - 34, 8 + 40 + 1800 - 1480);
    }
    guest.poll();
    resolve.join().unwrap();
}

#[test]
fn the_hosts_resolver_is_the_first_in_resolv_conf() {
    for (text, expected) in [
        ("nameserver 10.1.1.1\nnameserver 10.1.1.2\n", Some("10.1.1.1:53")),
        ("# nameserver 1.1.1.1\nsearch a b\n  nameserver\t127.0.0.53 \n", Some("127.0.0.53:53")),
        ("nameserver nonsense\nnameserver fd00::1\n", Some("[fd00::1]:53")),
        ("nameserver fe80::1%3\n", Some("[fe80::1%3]:53")),
        ("options edns0\n", None),
        ("", None),
    ] {
        assert_eq!(first_nameserver(text), expected.map(|e| e.parse().unwrap()), "{text}");
    }
}
