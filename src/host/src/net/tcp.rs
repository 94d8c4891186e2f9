//! TCP: every connection of the guest ends here and goes on as a connection of the host.
//!
//! smoltcp speaks TCP with the guest. A flow is one of its sockets and one of the host's, with
//! nothing between them but smoltcp's two buffers: when one side is slow its buffer fills, the
//! window closes, and the other side waits. Memory is bounded by [`FLOWS`] and [`BUFFER`].

use super::icmp;
use super::ipv4::{self, Packet, TCP, be16};
use super::link::{Link, Port};
use super::spec::{Forward, NetUserSpec};
use super::udp::{DNS_PORT, seen_by_guest};
use super::user::{Destination, Poll, Token, destination};
use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint, IpListenEndpoint, Ipv4Cidr};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How many connections there can be at once.
const FLOWS: usize = 512;
/// Bytes that wait for one side of a connection, and the window offered to the guest.
const BUFFER: usize = 128 << 10;
/// How long the guest has to answer a connection from outside.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a FIN may stay unanswered before it is sent again at the latest.
const FIN_REMINDER: Duration = Duration::from_secs(2);
/// How long a connection must have been idle before it may make room for another.
const IDLE: Duration = Duration::from_secs(120);
/// How many connections one forwarded port may bring before the others have their turn.
const BURST: usize = 32;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// What distinguishes a connection from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tuple {
    guest: SocketAddrV4,
    /// The other end, as the guest sees it.
    peer: SocketAddrV4,
}

enum Stage {
    /// The host's connection is being made; the guest's SYN waits for it.
    Connecting { syn: Vec<u8> },
    /// smoltcp has the guest's side.
    Open { handle: SocketHandle },
}

struct Flow {
    host: TcpStream,
    stage: Stage,
    established: bool,
    /// What the last poll or call said; a call that would block takes it back.
    readable: bool,
    writable: bool,
    /// The host's side has sent all it will send.
    host_finished: bool,
    /// The guest has sent all it will send, and all of it is written.
    guest_finished: bool,
    last: Instant,
}

struct Listener {
    socket: TcpListener,
    guest: SocketAddrV4,
    ready: bool,
    /// The host could not accept, as for want of descriptors: not asked again for a while.
    paused: bool,
}

/// All TCP connections between the guest and the world.
pub(super) struct Tcp {
    interface: Interface,
    sockets: SocketSet<'static>,
    flows: HashMap<Tuple, Flow>,
    listeners: Vec<Listener>,
    epoch: Instant,
    next_port: u16,
}

impl Tcp {
    pub(super) fn new(network: &NetUserSpec, link: &mut Link, seed: u64) -> Tcp {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let epoch = link.now;
        let mut port = Port { link, packet: None };
        let zero = smoltcp::time::Instant::ZERO;
        let mut interface = Interface::new(config, &mut port, zero);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::Ipv4(Ipv4Cidr::new(network.host, network.prefix));
            if addresses.push(own).is_err() {
                tracing::error!("smoltcp takes no address");
            }
        });
        interface.set_any_ip(true);
        // With any address taken for its own, smoltcp wants a route for it to be complete.
        if interface.routes_mut().add_default_ipv4_route(network.host).is_err() {
            tracing::error!("smoltcp takes no route");
        }
        Tcp { interface, sockets: SocketSet::new(Vec::new()), flows: HashMap::new(), listeners: Vec::new(), epoch, next_port: 49152 }
    }

    fn time(&self, now: Instant) -> smoltcp::time::Instant {
        let micros = now.duration_since(self.epoch).as_micros();
        smoltcp::time::Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Opens a forwarded port and says which it became.
    pub(super) fn listen(&mut self, rule: &Forward) -> io::Result<Forward> {
        let socket = TcpListener::bind(rule.host)?;
        socket.set_nonblocking(true)?;
        let host = SocketAddrV4::new(*rule.host.ip(), socket.local_addr()?.port());
        self.listeners.push(Listener { socket, guest: rule.guest, ready: false, paused: false });
        Ok(Forward { host, ..*rule })
    }

    /// Takes a segment from the guest.
    pub(super) fn receive(&mut self, link: &mut Link, network: &NetUserSpec, packet: &Packet<'_>, resolver: impl FnOnce() -> Option<SocketAddr>) {
        let segment = packet.payload;
        if segment.len() < 20 {
            return;
        }
        let dst = destination(network, packet.dst);
        if matches!(dst, Destination::Ignored) {
            return;
        }
        if segment[13] & (FIN | SYN | RST | ACK) == SYN {
            let tuple = Tuple { guest: SocketAddrV4::new(packet.src, be16(segment, 0)), peer: SocketAddrV4::new(packet.dst, be16(segment, 2)) };
            match self.flows.get(&tuple).map(|flow| &flow.stage) {
                // The guest repeats itself because the host takes its time.
                Some(Stage::Connecting { .. }) => return,
                Some(Stage::Open { handle }) => {
                    let state = self.sockets.get::<Socket<'_>>(*handle).state();
                    if matches!(state, State::TimeWait | State::Closed) {
                        self.discard(&tuple);
                        return self.connect(link, network, packet, (tuple, dst), resolver);
                    }
                }
                None => return self.connect(link, network, packet, (tuple, dst), resolver),
            }
        }
        self.hand_over(link, packet.bytes);
    }

    fn hand_over(&mut self, link: &mut Link, packet: &[u8]) {
        let now = self.time(link.now);
        let mut port = Port { link, packet: Some(packet) };
        self.interface.poll_ingress_single(now, &mut port, &mut self.sockets);
    }

    /// Begins the host's connection for a guest's SYN.
    fn connect(
        &mut self,
        link: &mut Link,
        network: &NetUserSpec,
        packet: &Packet<'_>,
        (tuple, dst): (Tuple, Destination),
        resolver: impl FnOnce() -> Option<SocketAddr>,
    ) {
        let segment = packet.payload;
        let pseudo = ipv4::pseudo_header(packet.src, packet.dst, TCP, segment.len());
        if ipv4::checksum(&[&pseudo, segment]) != 0 {
            return;
        }
        let port = tuple.peer.port();
        let to = match dst {
            Destination::Gateway => Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()),
            Destination::Dns if port == DNS_PORT => resolver(),
            Destination::World => Some(tuple.peer.into()),
            Destination::Nowhere => return icmp::unreachable(link, network, packet, icmp::HOST),
            Destination::Dns | Destination::Ignored => None,
        };
        let Some(to) = to.filter(|_| !network.restrict && port != 0 && tuple.guest.port() != 0) else {
            return refuse(link, packet);
        };
        if !self.make_room(link.now) {
            // The guest will ask again.
            return;
        }
        match start_connect(to) {
            Ok((host, connected)) => {
                let syn = packet.bytes.to_vec();
                self.flows.insert(tuple, Flow::new(host, Stage::Connecting { syn }, link.now));
                if connected {
                    self.connected(link, &tuple);
                }
            }
            Err(error) => connect_failed(link, network, packet, to, &error),
        }
    }

    /// The host's connection stands: the guest's SYN may be answered.
    fn connected(&mut self, link: &mut Link, tuple: &Tuple) {
        let Some(flow) = self.flows.get_mut(tuple) else { return };
        let Stage::Connecting { syn } = &mut flow.stage else { return };
        let syn = std::mem::take(syn);
        let mut socket = new_socket();
        let own = IpListenEndpoint { addr: Some(IpAddress::Ipv4(*tuple.peer.ip())), port: tuple.peer.port() };
        let listening = socket.listen(own).is_ok();
        let handle = self.sockets.add(socket);
        flow.stage = Stage::Open { handle };
        self.hand_over(link, &syn);
        let state = self.sockets.get::<Socket<'_>>(handle).state();
        if !listening || state != State::SynReceived {
            self.discard(tuple);
        }
    }

    /// The host's connection came about or failed.
    fn connect_ready(&mut self, link: &mut Link, network: &NetUserSpec, tuple: &Tuple) {
        let Some(Flow { host, stage: Stage::Connecting { syn }, .. }) = self.flows.get(tuple) else {
            return;
        };
        let error = match sockopt::socket_error(host) {
            Ok(Ok(())) => return self.connected(link, tuple),
            Ok(Err(error)) | Err(error) => io::Error::from(error),
        };
        if let Some(packet) = Packet::parse(syn) {
            connect_failed(link, network, &packet, tuple.peer.into(), &error);
        }
        self.flows.remove(tuple);
    }

    pub(super) fn poll<'a>(&'a self, polls: &mut Poll<'a>) {
        if self.flows.len() < FLOWS {
            for (n, listener) in self.listeners.iter().enumerate().filter(|(_, l)| !l.paused) {
                polls.add(&listener.socket, PollFlags::IN, Token::TcpListener(n));
            }
        }
        for (tuple, flow) in &self.flows {
            let mut events = PollFlags::empty();
            match flow.stage {
                Stage::Connecting { .. } => events |= PollFlags::OUT,
                Stage::Open { handle } => {
                    let socket = self.sockets.get::<Socket<'_>>(handle);
                    events.set(PollFlags::IN, !flow.readable && !flow.host_finished && socket.can_send());
                    events.set(PollFlags::OUT, !flow.writable && socket.can_recv());
                    // Nothing to read any more, and nothing to write yet: only its end matters.
                    let only_end = flow.host_finished && !flow.guest_finished;
                    if events.is_empty() && !only_end {
                        continue;
                    }
                }
            }
            polls.add(&flow.host, events, Token::Tcp(*tuple));
        }
    }

    /// Notes what the host says about a connection.
    pub(super) fn ready(&mut self, link: &mut Link, network: &NetUserSpec, tuple: &Tuple, events: PollFlags) {
        let Some(flow) = self.flows.get_mut(tuple) else { return };
        match flow.stage {
            Stage::Connecting { .. } => self.connect_ready(link, network, tuple),
            Stage::Open { handle } => {
                let ended = events.intersects(PollFlags::ERR | PollFlags::HUP);
                if ended && flow.host_finished {
                    self.sockets.get_mut::<Socket<'_>>(handle).abort();
                }
                flow.readable |= ended || events.contains(PollFlags::IN);
                flow.writable |= ended || events.contains(PollFlags::OUT);
            }
        }
    }

    pub(super) fn listener_ready(&mut self, n: usize) {
        if let Some(listener) = self.listeners.get_mut(n) {
            listener.ready = true;
        }
    }

    /// Lets paused listeners try again; says whether there were any.
    pub(super) fn resume_listening(&mut self) -> bool {
        self.listeners.iter_mut().fold(false, |any, l| std::mem::take(&mut l.paused) | any)
    }

    /// Takes connections that wait at forwarded ports.
    fn accept(&mut self, link: &Link, network: &NetUserSpec) {
        for n in 0..self.listeners.len() {
            for _ in 0..BURST {
                if !self.listeners[n].ready || !self.make_room(link.now) {
                    break;
                }
                let (host, from) = match self.listeners[n].socket.accept() {
                    Ok((host, SocketAddr::V4(from))) => (host, from),
                    Ok(_) => continue,
                    Err(error) => {
                        if error.kind() != ErrorKind::WouldBlock {
                            tracing::warn!("connection to a forwarded port: {error}");
                            self.listeners[n].paused = true;
                        }
                        break;
                    }
                };
                let guest = self.listeners[n].guest;
                self.begin_incoming(host, from, guest, link, network);
            }
            // Poll says so again where there is more.
            self.listeners[n].ready = false;
        }
    }

    fn begin_incoming(&mut self, host: TcpStream, from: SocketAddrV4, guest: SocketAddrV4, link: &Link, network: &NetUserSpec) {
        let source = seen_by_guest(network, *from.ip());
        let mut tuple = Tuple { guest, peer: SocketAddrV4::new(source, from.port()) };
        while self.flows.contains_key(&tuple) {
            tuple.peer.set_port(self.next_port);
            self.next_port = self.next_port.checked_add(1).unwrap_or(49152);
        }
        let made = host.set_nonblocking(true).and_then(|()| host.set_nodelay(true));
        let mut socket = new_socket();
        socket.set_timeout(Some(HANDSHAKE_TIMEOUT.into()));
        let remote = IpEndpoint::new(IpAddress::Ipv4(*guest.ip()), guest.port());
        let local = IpEndpoint::new(IpAddress::Ipv4(source), tuple.peer.port());
        if let Err(error) = made {
            tracing::warn!("connection from {from}: {error}");
        } else if let Err(error) = socket.connect(self.interface.context(), remote, local) {
            tracing::warn!("connection from {from} to {guest}: {error}");
        } else {
            let handle = self.sockets.add(socket);
            self.flows.insert(tuple, Flow::new(host, Stage::Open { handle }, link.now));
        }
    }

    /// Moves bytes in both directions, lets smoltcp send, and forgets what has ended.
    pub(super) fn advance(&mut self, link: &mut Link, network: &NetUserSpec) {
        self.accept(link, network);
        for flow in self.flows.values_mut() {
            if let Stage::Open { handle } = flow.stage {
                flow.pump(self.sockets.get_mut(handle), link.now);
            }
        }
        let now = self.time(link.now);
        let mut port = Port { link, packet: None };
        while self.interface.poll_egress(now, &mut port, &mut self.sockets) != PollResult::None {}
        let sockets = &mut self.sockets;
        self.flows.retain(|_, flow| {
            let Stage::Open { handle } = flow.stage else { return true };
            let socket = sockets.get::<Socket<'_>>(handle);
            let ended = match socket.state() {
                // While there is a remote endpoint, a RST is still to be sent.
                State::Closed => socket.remote_endpoint().is_none(),
                // Reset by the guest before it was established.
                State::Listen => true,
                _ => false,
            };
            if ended {
                flow.hang_up();
                sockets.remove(handle);
            }
            !ended
        });
    }

    /// When smoltcp wants to run again.
    pub(super) fn delay(&mut self, now: Instant) -> Option<Duration> {
        let now = self.time(now);
        let delay = self.interface.poll_delay(now, &self.sockets)?;
        // At least a little, so that no mistake can make this thread spin.
        Some(Duration::from_micros(delay.total_micros()).max(Duration::from_millis(1)))
    }

    fn discard(&mut self, tuple: &Tuple) {
        if let Some(flow) = self.flows.remove(tuple) {
            flow.hang_up();
            if let Stage::Open { handle } = flow.stage {
                self.sockets.remove(handle);
            }
        }
    }

    /// Sees to it that one more flow fits: by forgetting one that has ended, or has been idle
    /// for long. `false` if there is none.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.flows.len() < FLOWS {
            return true;
        }
        let ended = |flow: &Flow| match flow.stage {
            Stage::Open { handle } => self.sockets.get::<Socket<'_>>(handle).state() == State::TimeWait,
            Stage::Connecting { .. } => false,
        };
        let candidate = self.flows.iter().map(|(tuple, flow)| (!ended(flow), flow.last, *tuple)).min_by_key(|(open, last, _)| (*open, *last));
        match candidate {
            Some((open, last, tuple)) if !open || now.duration_since(last) >= IDLE => {
                self.discard(&tuple);
                true
            }
            _ => false,
        }
    }
}

impl Flow {
    fn new(host: TcpStream, stage: Stage, now: Instant) -> Flow {
        Flow { host, stage, established: false, readable: false, writable: true, host_finished: false, guest_finished: false, last: now }
    }

    fn pump(&mut self, socket: &mut Socket<'_>, now: Instant) {
        if !self.established && socket.may_send() {
            self.established = true;
            // A guest may be stopped for any time; its connections wait.
            socket.set_timeout(None);
        }
        if let Err(error) = self.move_to_host(socket, now).and_then(|()| self.move_to_guest(socket, now)) {
            tracing::debug!("connection broken by the host's side: {error}");
            socket.abort();
        }
        // smoltcp (0.14) forgets a FIN that was lost when duplicate acknowledgments ask for it
        // again and no data are left; its keep-alive timer makes it send the FIN after all.
        let closing = matches!(socket.state(), State::FinWait1 | State::Closing | State::LastAck);
        socket.set_keep_alive(closing.then_some(FIN_REMINDER.into()));
    }

    fn move_to_host(&mut self, socket: &mut Socket<'_>, now: Instant) -> io::Result<()> {
        while self.writable && socket.can_recv() {
            let mut host = &self.host;
            let written = socket.recv(|bytes| match host.write(bytes) {
                Ok(len) => (len, Ok(len == bytes.len())),
                Err(error) => (0, Err(error)),
            });
            match written {
                Ok(Ok(all)) => {
                    self.last = now;
                    self.writable = all;
                }
                Ok(Err(error)) => match error.kind() {
                    ErrorKind::WouldBlock => self.writable = false,
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
                Err(_) => break,
            }
        }
        let guest_closed = matches!(socket.state(), State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        if !self.guest_finished && guest_closed && !socket.can_recv() {
            self.guest_finished = true;
            // Where the host's side is gone already there is nothing left to say.
            let _ = self.host.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    fn move_to_guest(&mut self, socket: &mut Socket<'_>, now: Instant) -> io::Result<()> {
        while self.readable && !self.host_finished && socket.can_send() {
            let mut host = &self.host;
            let read = socket.send(|room| match host.read(room) {
                Ok(len) => (len, Ok((len, room.len()))),
                Err(error) => (0, Err(error)),
            });
            match read {
                Ok(Ok((0, _))) => {
                    self.host_finished = true;
                    socket.close();
                }
                Ok(Ok((len, room))) => {
                    self.last = now;
                    self.readable = len == room;
                }
                Ok(Err(error)) => match error.kind() {
                    ErrorKind::WouldBlock => self.readable = false,
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Before the host's socket is closed: unless both directions ended in order, the other end
    /// shall see a reset as well.
    fn hang_up(&self) {
        if !(self.host_finished && self.guest_finished) {
            let _ = sockopt::set_socket_linger(&self.host, Some(Duration::ZERO));
        }
    }
}

fn new_socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    socket
}

/// Begins a connection; says whether it stands already.
fn start_connect(to: SocketAddr) -> io::Result<(TcpStream, bool)> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    let connected = match rustix::net::connect(&socket, &to) {
        Ok(()) => true,
        Err(rustix::io::Errno::INPROGRESS) => false,
        Err(error) => return Err(error.into()),
    };
    Ok((TcpStream::from(socket), connected))
}

fn connect_failed(link: &mut Link, network: &NetUserSpec, syn: &Packet<'_>, to: SocketAddr, error: &io::Error) {
    tracing::debug!("connection to {to}: {error}");
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => refuse(link, syn),
        _ => icmp::unreachable(link, network, syn, icmp::code_for(error)),
    }
}

/// Answers a SYN with a reset.
fn refuse(link: &mut Link, syn: &Packet<'_>) {
    let segment = syn.payload;
    let header_len = usize::from(segment[12] >> 4) * 4;
    let data = segment.len().saturating_sub(header_len) as u32;
    let sequence = u32::from_be_bytes(ipv4::array(segment, 4));
    let mut reset = [0; 20];
    reset[..2].copy_from_slice(&segment[2..4]);
    reset[2..4].copy_from_slice(&segment[..2]);
    reset[8..12].copy_from_slice(&sequence.wrapping_add(data + 1).to_be_bytes());
    reset[12] = 5 << 4;
    reset[13] = RST | ACK;
    let pseudo = ipv4::pseudo_header(syn.dst, syn.src, TCP, reset.len());
    let sum = ipv4::checksum(&[&pseudo, &reset]);
    reset[16..18].copy_from_slice(&sum.to_be_bytes());
    link.send(syn.dst, syn.src, TCP, &reset, None);
}
