//! TCP through the network, in both directions.

use super::guest::{ADDRESS, GATEWAY, Guest};
use crate::net::{NetUserSpec, Resolver};
use smoltcp::socket::tcp::{Socket, State};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that differ from place to place.
fn pattern(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}

fn listen() -> (TcpListener, SocketAddrV4) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, SocketAddrV4::new(GATEWAY, port))
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Reads to the end in pieces of changing sizes.
fn read_unevenly(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 70000];
    let mut size = 1;
    loop {
        size = (size * 7 + 13) % buffer.len() + 1;
        match stream.read(&mut buffer[..size]).unwrap() {
            0 => return all,
            len => all.extend_from_slice(&buffer[..len]),
        }
    }
}

const MANY: usize = 10 << 20;

#[test]
fn ten_mebibytes_to_the_host() {
    let (listener, to) = listen();
    let server = thread::spawn(move || read_unevenly(&mut patient(listener.accept().unwrap().0)));
    let mut guest = Guest::with("");
    let data = pattern(MANY, 3);
    let handle = guest.connect(to);
    guest.established(handle);
    let start = Instant::now();
    guest.exchange(handle, &data, true, true);
    assert!(server.join().unwrap() == data);
    let taken = start.elapsed();
    eprintln!("10 MiB to the host: {taken:?}");
    assert!(taken < Duration::from_secs(5));
}

#[test]
fn ten_mebibytes_to_the_guest() {
    let (listener, to) = listen();
    let data = pattern(MANY, 5);
    let sent = data.clone();
    let server = thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        let mut size = 1;
        let mut rest = &sent[..];
        while !rest.is_empty() {
            size = (size * 11 + 17) % 70000 + 1;
            let (piece, tail) = rest.split_at(size.min(rest.len()));
            stream.write_all(piece).unwrap();
            rest = tail;
        }
    });
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    let start = Instant::now();
    let received = guest.exchange(handle, &[], true, true);
    let taken = start.elapsed();
    server.join().unwrap();
    assert!(received == data);
    eprintln!("10 MiB to the guest: {taken:?}");
    assert!(taken < Duration::from_secs(5));
}

#[test]
fn both_ways_at_once() {
    let (listener, to) = listen();
    let server = thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        let mut reader = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            stream.write_all(&pattern(MANY / 2, 9)).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let received = read_unevenly(&mut reader);
        writer.join().unwrap();
        received
    });
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    let data = pattern(MANY / 2, 7);
    let received = guest.exchange(handle, &data, true, true);
    assert!(received == pattern(MANY / 2, 9));
    assert!(server.join().unwrap() == data);
}

#[test]
fn a_refused_connection_is_reset() {
    let (listener, to) = listen();
    drop(listener);
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    let start = Instant::now();
    guest.until(|g| (g.socket(handle).state() == State::Closed).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_guest_closes_first_and_still_receives() {
    let (listener, to) = listen();
    let server = thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        let question = read_unevenly(&mut stream);
        // Only now, when the guest has closed its side, does the answer go out.
        stream.write_all(&question.repeat(1000)).unwrap();
        question
    });
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    let received = guest.exchange(handle, b"question", true, true);
    assert_eq!(server.join().unwrap(), b"question");
    assert_eq!(received, b"question".repeat(1000));
}

#[test]
fn the_host_closes_first_and_still_receives() {
    let (listener, to) = listen();
    let server = thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        stream.write_all(b"greeting").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_unevenly(&mut stream)
    });
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    let received = guest.exchange(handle, &[], false, true);
    assert_eq!(received, b"greeting");
    let data = pattern(300_000, 4);
    guest.exchange(handle, &data, true, false);
    assert!(server.join().unwrap() == data);
}

#[test]
fn a_reset_by_the_host_reaches_the_guest() {
    let (listener, to) = listen();
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    let stream = listener.accept().unwrap().0;
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    guest.until(|g| (g.socket(handle).state() == State::Closed).then_some(()));
}

#[test]
fn a_reset_by_the_guest_reaches_the_host() {
    let (listener, to) = listen();
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    let mut stream = patient(listener.accept().unwrap().0);
    guest.socket(handle).abort();
    guest.poll();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_slow_guest_loses_nothing() {
    let (listener, to) = listen();
    let data = pattern(4 << 20, 21);
    let sent = data.clone();
    let (progress, written) = mpsc::channel();
    let server = thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        for piece in sent.chunks(1 << 16) {
            stream.write_all(piece).unwrap();
            progress.send(piece.len()).unwrap();
        }
    });
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    // The guest's card takes nothing at first, then few frames at a time.
    guest.device.card.set_capacity(0);
    let mut before = 0;
    while let Ok(len) = written.recv_timeout(Duration::from_millis(300)) {
        before += len;
    }
    assert!(guest.device.card.len() <= 256);
    guest.device.card.set_capacity(3);
    guest.net().guest_ready();
    let received = guest.exchange(handle, &[], true, true);
    server.join().unwrap();
    assert!(received == data);
    // Between them the host's kernel and the network held part of it only.
    assert!(before < data.len() + (8 << 20));
}

#[test]
fn a_guest_that_does_not_read_stops_the_host() {
    let (listener, to) = listen();
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    let mut stream = listener.accept().unwrap().0;
    stream.set_nonblocking(true).unwrap();
    // Far more than the kernel's buffers, the network's and the guest's together.
    let data = pattern(64 << 20, 33);
    let mut written = 0;
    let mut quiet = 0;
    while quiet < 50 {
        guest.poll();
        match stream.write(&data[written..]) {
            Ok(len) => {
                written += len;
                quiet = 0;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                guest.device.card.wait_a_little();
                quiet += 1;
            }
        }
        assert!(written < data.len(), "nobody stopped the host");
    }
    stream.set_nonblocking(false).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let received = guest.exchange(handle, &[], true, true);
    assert!(received == data[..written]);
}

#[test]
fn a_host_that_does_not_read_stops_the_guest() {
    let (listener, to) = listen();
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    let mut stream = patient(listener.accept().unwrap().0);
    let data = pattern(64 << 20, 35);
    let mut sent = 0;
    let mut quiet = 0;
    while quiet < 50 {
        guest.poll();
        match guest.socket(handle).send_slice(&data[sent..]).unwrap() {
            0 => {
                guest.device.card.wait_a_little();
                quiet += 1;
            }
            len => {
                sent += len;
                quiet = 0;
            }
        }
        assert!(sent < data.len(), "nobody stopped the guest");
    }
    let server = thread::spawn(move || read_unevenly(&mut stream));
    guest.exchange(handle, &[], true, false);
    assert!(server.join().unwrap() == data[..sent]);
}

#[test]
fn two_hundred_connections_at_once() {
    let (listener, to) = listen();
    let server = thread::spawn(move || {
        let echoes: Vec<_> = (0..200)
            .map(|_| {
                let mut stream = patient(listener.accept().unwrap().0);
                thread::Builder::new()
                    .stack_size(256 << 10)
                    .spawn(move || {
                        let mut reader = stream.try_clone().unwrap();
                        std::io::copy(&mut reader, &mut stream).unwrap();
                    })
                    .unwrap()
            })
            .collect();
        echoes.into_iter().for_each(|e| e.join().unwrap());
    });
    let mut guest = Guest::with("");
    let data: Vec<_> = (0..200).map(|n| pattern(20_000 + n, n as u32 * 2 + 1)).collect();
    let handles: Vec<_> = (0..200).map(|_| guest.connect(to)).collect();
    let mut sent = vec![0; 200];
    let mut received = vec![Vec::new(); 200];
    guest.until(|guest| {
        for (n, handle) in handles.iter().enumerate() {
            let socket = guest.sockets.get_mut::<Socket<'_>>(*handle);
            if sent[n] < data[n].len() && socket.can_send() {
                sent[n] += socket.send_slice(&data[n][sent[n]..]).unwrap();
                if sent[n] == data[n].len() {
                    socket.close();
                }
            }
            while socket.can_recv() {
                let got = &mut received[n];
                socket.recv(|bytes| (bytes.len(), got.extend_from_slice(bytes))).unwrap();
            }
        }
        received.iter().zip(&data).all(|(r, d)| r.len() == d.len()).then_some(())
    });
    assert!(received == data);
    guest.until(|guest| {
        let open = |h| guest.sockets.get::<Socket<'_>>(h).may_recv();
        (!handles.iter().any(|h| open(*h))).then_some(())
    });
    server.join().unwrap();
}

#[test]
fn a_forwarded_port_reaches_the_guest() {
    let mut guest = Guest::with("id=net0,hostfwd=tcp:127.0.0.1:0-:80");
    let forward = guest.net().forwards()[0];
    assert_ne!(forward.host.port(), 0);
    assert_eq!(forward.guest, SocketAddrV4::new(ADDRESS, 80));
    let notice = format!("net0: forwarding tcp:{}-10.0.2.15:80", forward.host);
    assert_eq!(guest.net().notices(), [notice]);
    let handle = guest.tcp();
    guest.socket(handle).listen(80).unwrap();
    let data = pattern(1 << 20, 17);
    let expected = data.clone();
    let client = thread::spawn(move || {
        let mut stream = patient(TcpStream::connect(forward.host).unwrap());
        stream.write_all(&data).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_unevenly(&mut stream)
    });
    guest.established(handle);
    let peer = guest.socket(handle).remote_endpoint().unwrap();
    assert_eq!(peer.addr, GATEWAY.into());
    let received = guest.exchange(handle, b"from the guest", true, true);
    assert!(received == expected);
    assert_eq!(client.join().unwrap(), b"from the guest");
}

#[test]
fn a_forwarded_port_that_the_guest_refuses_is_reset() {
    let mut guest = Guest::with("restrict=on,hostfwd=tcp:127.0.0.1:0-:81");
    let host = guest.net().forwards()[0].host;
    let client = thread::spawn(move || {
        let mut stream = patient(TcpStream::connect(host).unwrap());
        stream.read(&mut [0]).unwrap_err().kind()
    });
    guest.until(|_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap(), ErrorKind::ConnectionReset);
}

#[test]
fn a_port_in_use_is_an_error_that_says_so() {
    let (listener, to) = listen();
    let rule = format!("hostfwd=tcp:127.0.0.1:{}-:80", to.port());
    let spec = NetUserSpec::parse(&rule).unwrap();
    let card = super::guest::Card::new(1);
    let error = crate::net::UserNet::start(spec, card).err().unwrap().to_string();
    assert!(error.contains(&format!("cannot listen on 127.0.0.1:{}", to.port())), "{error}");
    drop(listener);
}

#[test]
fn a_restricted_guest_reaches_no_server() {
    let (listener, to) = listen();
    listener.set_nonblocking(true).unwrap();
    let mut guest = Guest::with("restrict=on");
    let handle = guest.connect(to);
    guest.until(|g| (g.socket(handle).state() == State::Closed).then_some(()));
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn dns_over_tcp_reaches_the_resolver() {
    let (listener, _) = listen();
    let resolver = Resolver::Fixed(listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        let query = read_unevenly(&mut stream);
        stream.write_all(b"answer").unwrap();
        query
    });
    let mut guest = Guest::new(NetUserSpec { resolver, ..NetUserSpec::default() });
    let handle = guest.connect(SocketAddrV4::new(super::guest::DNS, 53));
    guest.established(handle);
    assert_eq!(guest.exchange(handle, b"query", true, true), b"answer");
    assert_eq!(server.join().unwrap(), b"query");
}

#[test]
fn more_connections_than_fit_one_after_another() {
    let (listener, to) = listen();
    let server = thread::spawn(move || {
        for _ in 0..600 {
            // The host closes first, so that its side of the guest's connections lingers.
            drop(listener.accept().unwrap());
        }
    });
    let mut guest = Guest::with("");
    for _ in 0..600 {
        let handle = guest.connect(to);
        guest.established(handle);
        guest.exchange(handle, &[], true, true);
        guest.sockets.remove(handle);
    }
    server.join().unwrap();
}

#[test]
fn a_connection_waits_for_a_guest_that_is_still_booting() {
    let mut guest = Guest::bare(NetUserSpec::parse("hostfwd=tcp:127.0.0.1:0-:22").unwrap());
    let mut client = patient(TcpStream::connect(guest.net().forwards()[0].host).unwrap());
    client.write_all(b"early").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // Somebody asks who has the address, and the guest has it not yet.
    let card = std::sync::Arc::clone(&guest.device.card);
    card.find(guest.net(), |frame| (frame[12..14] == [8, 6]).then_some(()));
    guest.dhcp();
    let handle = guest.tcp();
    guest.socket(handle).listen(22).unwrap();
    guest.established(handle);
    assert_eq!(guest.exchange(handle, b"late", true, true), b"early");
    assert_eq!(read_unevenly(&mut client), b"late");
}

#[test]
fn lost_frames_are_sent_again() {
    let (listener, to) = listen();
    let server = thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        stream.write_all(&pattern(200_000, 51)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_unevenly(&mut stream)
    });
    let mut guest = Guest::with("");
    let handle = guest.connect(to);
    guest.established(handle);
    guest.device.card.set_loss(53);
    let data = pattern(200_000, 53);
    let received = guest.exchange(handle, &data, true, true);
    assert!(received == pattern(200_000, 51));
    // The guest's FIN may have been lost.
    guest.until(|_| server.is_finished().then_some(()));
    assert!(server.join().unwrap() == data);
}
