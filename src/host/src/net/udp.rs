//! UDP: one socket of the host for each port of the guest, the forwarded ports, and DNS.

use super::icmp;
use super::ipv4::{Datagram, Packet};
use super::link::Link;
use super::spec::{Forward, NetUserSpec, Resolver};
use super::user::{Destination, Poll, Token, destination};
use rustix::event::PollFlags;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

/// How many ports of the guest can be in use at once.
const FLOWS: usize = 256;
const TIMEOUT: Duration = Duration::from_secs(240);
/// How many ports of the guest can wait for DNS answers at once.
const QUERIES: usize = 128;
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How many datagrams one socket may deliver before the others have their turn.
const BURST: usize = 64;
/// How many peers of a forwarded port are remembered, for `restrict=on`.
const PEERS: usize = 64;
/// The DNS port.
pub(super) const DNS_PORT: u16 = 53;
/// How long the contents of `/etc/resolv.conf` are believed.
const RESOLV_CONF_AGE: Duration = Duration::from_secs(2);

struct Flow {
    socket: UdpSocket,
    last: Instant,
}

/// A `hostfwd=udp:`.
struct Forwarded {
    socket: UdpSocket,
    guest: SocketAddrV4,
    /// Who has sent to it, oldest first.
    peers: Vec<SocketAddrV4>,
}

struct Query {
    socket: UdpSocket,
    last: Instant,
    /// The latest query, for the answer that says it failed.
    message: Vec<u8>,
}

/// All that the guest does over UDP except DHCP.
pub(super) struct Udp {
    flows: HashMap<SocketAddrV4, Flow>,
    forwarded: Vec<Forwarded>,
    queries: HashMap<SocketAddrV4, Query>,
    resolver: HostResolver,
}

impl Udp {
    pub(super) fn new(resolver: Resolver) -> Udp {
        Udp { flows: HashMap::new(), forwarded: Vec::new(), queries: HashMap::new(), resolver: HostResolver { resolver, known: None } }
    }

    /// Opens a forwarded port and says which it became.
    pub(super) fn listen(&mut self, rule: &Forward) -> io::Result<Forward> {
        let socket = UdpSocket::bind(rule.host)?;
        socket.set_nonblocking(true)?;
        let host = SocketAddrV4::new(*rule.host.ip(), socket.local_addr()?.port());
        self.forwarded.push(Forwarded { socket, guest: rule.guest, peers: Vec::new() });
        Ok(Forward { host, ..*rule })
    }

    /// Where DNS queries go now.
    pub(super) fn resolver(&mut self, now: Instant) -> Option<SocketAddr> {
        self.resolver.address(now)
    }

    /// Takes a datagram from the guest that is not for the DHCP server.
    pub(super) fn receive(&mut self, link: &mut Link, network: &NetUserSpec, packet: &Packet<'_>, datagram: &Datagram<'_>) {
        let guest = SocketAddrV4::new(packet.src, datagram.src_port);
        let to = match destination(network, packet.dst) {
            Destination::Dns if datagram.dst_port == DNS_PORT => {
                return self.query(link, network, guest, datagram.payload);
            }
            Destination::Dns => return icmp::unreachable(link, network, packet, icmp::PORT),
            Destination::Gateway => Ipv4Addr::LOCALHOST,
            Destination::World => packet.dst,
            Destination::Nowhere => return icmp::unreachable(link, network, packet, icmp::HOST),
            Destination::Ignored => return,
        };
        let to = SocketAddrV4::new(to, datagram.dst_port);
        if to.port() == 0 {
            return;
        }
        let sent = if let Some(forwarded) = self.forwarded.iter().find(|f| f.guest == guest)
            && (!network.restrict || forwarded.peers.contains(&to))
        {
            forwarded.socket.send_to(datagram.payload, to)
        } else if network.restrict {
            return icmp::unreachable(link, network, packet, icmp::PROHIBITED);
        } else {
            self.flow(guest, link.now).and_then(|socket| socket.send_to(datagram.payload, to))
        };
        if let Err(error) = sent
            && error.kind() != ErrorKind::WouldBlock
        {
            tracing::debug!("UDP from {guest} to {to}: {error}");
            icmp::unreachable(link, network, packet, icmp::code_for(&error));
        }
    }

    fn flow(&mut self, guest: SocketAddrV4, now: Instant) -> io::Result<&UdpSocket> {
        if self.flows.len() >= FLOWS
            && !self.flows.contains_key(&guest)
            && let Some(oldest) = self.flows.iter().min_by_key(|(_, f)| f.last).map(|(k, _)| *k)
        {
            self.flows.remove(&oldest);
        }
        let flow = match self.flows.entry(guest) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                socket.set_nonblocking(true)?;
                entry.insert(Flow { socket, last: now })
            }
        };
        flow.last = now;
        Ok(&flow.socket)
    }

    /// Passes a DNS query on.
    fn query(&mut self, link: &mut Link, net: &NetUserSpec, guest: SocketAddrV4, message: &[u8]) {
        const REFUSED: u8 = 5;
        if net.restrict {
            return answer_failed(link, net, guest, message, REFUSED);
        }
        let sent = match self.resolver.address(link.now) {
            Some(resolver) => self.query_socket(guest, resolver, message, link.now),
            None => Err(ErrorKind::NotFound.into()),
        };
        if let Err(error) = sent
            && error.kind() != ErrorKind::WouldBlock
        {
            tracing::debug!("DNS query from {guest}: {error}");
            answer_failed(link, net, guest, message, SERVFAIL);
        }
    }

    fn query_socket(&mut self, guest: SocketAddrV4, resolver: SocketAddr, message: &[u8], now: Instant) -> io::Result<()> {
        if self.queries.len() >= QUERIES
            && !self.queries.contains_key(&guest)
            && let Some(oldest) = self.queries.iter().min_by_key(|(_, q)| q.last).map(|(k, _)| *k)
        {
            self.queries.remove(&oldest);
        }
        if self.queries.get(&guest).is_some_and(|q| q.socket.peer_addr().ok() != Some(resolver)) {
            self.queries.remove(&guest);
        }
        let query = match self.queries.entry(guest) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let any: IpAddr = match resolver {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
                };
                let socket = UdpSocket::bind((any, 0))?;
                socket.set_nonblocking(true)?;
                socket.connect(resolver)?;
                entry.insert(Query { socket, last: now, message: Vec::new() })
            }
        };
        query.last = now;
        query.message.clear();
        query.message.extend_from_slice(&message[..message.len().min(512)]);
        match query.socket.send(message) {
            // The refusal of an earlier query on this socket: it is taken off by reporting it.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => query.socket.send(message).map(drop),
            sent => sent.map(drop),
        }
    }

    pub(super) fn poll<'a>(&'a self, polls: &mut Poll<'a>, room: bool) {
        if !room {
            return;
        }
        for (guest, flow) in &self.flows {
            polls.add(&flow.socket, PollFlags::IN, Token::Udp(*guest));
        }
        for (n, forwarded) in self.forwarded.iter().enumerate() {
            polls.add(&forwarded.socket, PollFlags::IN, Token::UdpForward(n));
        }
        for (guest, query) in &self.queries {
            polls.add(&query.socket, PollFlags::IN, Token::Dns(*guest));
        }
    }

    /// Takes datagrams from the socket of one of the guest's ports.
    pub(super) fn ready(&mut self, guest: SocketAddrV4, link: &mut Link, net: &NetUserSpec, scratch: &mut [u8]) {
        let Some(flow) = self.flows.get_mut(&guest) else { return };
        flow.last = link.now;
        for _ in 0..BURST {
            if !link.has_room() {
                return;
            }
            let Ok((len, SocketAddr::V4(from))) = flow.socket.recv_from(scratch) else { return };
            let from = (seen_by_guest(net, *from.ip()), from.port());
            link.send_udp(from, (*guest.ip(), guest.port()), &scratch[..len], None);
        }
    }

    /// Takes datagrams from a forwarded port.
    pub(super) fn forward_ready(&mut self, n: usize, link: &mut Link, net: &NetUserSpec, scratch: &mut [u8]) {
        let Some(forwarded) = self.forwarded.get_mut(n) else { return };
        for _ in 0..BURST {
            if !link.has_room() {
                return;
            }
            let Ok((len, SocketAddr::V4(peer))) = forwarded.socket.recv_from(scratch) else {
                return;
            };
            if net.restrict && !forwarded.peers.contains(&peer) {
                if forwarded.peers.len() == PEERS {
                    forwarded.peers.remove(0);
                }
                forwarded.peers.push(peer);
            }
            let from = (seen_by_guest(net, *peer.ip()), peer.port());
            let guest = (*forwarded.guest.ip(), forwarded.guest.port());
            link.send_udp(from, guest, &scratch[..len], None);
        }
    }

    /// Takes the resolver's answers.
    pub(super) fn dns_ready(&mut self, guest: SocketAddrV4, link: &mut Link, net: &NetUserSpec, scratch: &mut [u8]) {
        let Some(query) = self.queries.get_mut(&guest) else { return };
        for _ in 0..BURST {
            if !link.has_room() {
                return;
            }
            match query.socket.recv(scratch) {
                Ok(len) => {
                    let to = (*guest.ip(), guest.port());
                    link.send_udp((net.dns, DNS_PORT), to, &scratch[..len], None);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::debug!("DNS query from {guest}: {error}");
                    return answer_failed(link, net, guest, &query.message, SERVFAIL);
                }
            }
        }
    }

    /// Forgets what was not used for long; says whether anything is left that will be forgotten.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        self.flows.retain(|_, flow| now.duration_since(flow.last) < TIMEOUT);
        self.queries.retain(|_, query| now.duration_since(query.last) < QUERY_TIMEOUT);
        !self.flows.is_empty() || !self.queries.is_empty()
    }
}

/// The address under which the guest sees a peer: the host itself is the gateway.
pub(super) fn seen_by_guest(net: &NetUserSpec, peer: Ipv4Addr) -> Ipv4Addr {
    if peer.is_loopback() || peer.is_unspecified() || net.contains(peer) { net.host } else { peer }
}

const SERVFAIL: u8 = 2;

/// Answers a DNS query with an error code and the question.
fn answer_failed(link: &mut Link, net: &NetUserSpec, guest: SocketAddrV4, query: &[u8], code: u8) {
    const RESPONSE: u8 = 0x80;
    if query.len() < 12 || query[2] & RESPONSE != 0 {
        return;
    }
    let mut answer = query[..12].to_vec();
    answer[2] |= RESPONSE;
    // Recursion is available; the rest of this byte is the code.
    answer[3] = 0x80 | code;
    // No answers, authorities or additional records; the question only if it can be found.
    answer[6..12].fill(0);
    match question_end(query) {
        Some(end) => {
            answer[4..6].copy_from_slice(&[0, 1]);
            answer.extend_from_slice(&query[12..end]);
        }
        None => answer[4..6].fill(0),
    }
    link.send_udp((net.dns, DNS_PORT), (*guest.ip(), guest.port()), &answer, None);
}

/// Where the first question of a query ends.
fn question_end(query: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        match *query.get(at)? {
            0 => break,
            len if len < 64 => at += 1 + usize::from(len),
            _ => return None,
        }
    }
    // Its type and class.
    let end = at + 5;
    (end <= query.len()).then_some(end)
}

/// Finds the host's resolver.
struct HostResolver {
    resolver: Resolver,
    known: Option<(Instant, Option<SocketAddr>)>,
}

impl HostResolver {
    fn address(&mut self, now: Instant) -> Option<SocketAddr> {
        match self.resolver {
            Resolver::Fixed(address) => Some(address),
            Resolver::None => None,
            Resolver::Host => match self.known {
                Some((when, address)) if now.duration_since(when) < RESOLV_CONF_AGE => address,
                _ => {
                    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
                    let address = first_nameserver(&text);
                    self.known = Some((now, address));
                    address
                }
            },
        }
    }
}

/// The first `nameserver` of a resolv.conf.
pub(super) fn first_nameserver(text: &str) -> Option<SocketAddr> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            return None;
        }
        let word = words.next()?;
        // A link-local address may carry the number of its interface.
        let (address, scope) = word.split_once('%').unwrap_or((word, ""));
        Some(match address.parse().ok()? {
            IpAddr::V4(v4) => SocketAddrV4::new(v4, DNS_PORT).into(),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, DNS_PORT, 0, scope.parse().unwrap_or(0)).into(),
        })
    })
}
