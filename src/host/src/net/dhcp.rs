//! The DHCP server (RFC 2131, RFC 2132): sixteen addresses from `dhcpstart=` on.

use super::ipv4::{address, array};
use super::link::{Link, Mac};
use super::spec::NetUserSpec;
use std::net::Ipv4Addr;

/// The port of the server.
pub(super) const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// Where the options begin: behind the BOOTP fields and the magic.
const OPTIONS: usize = 240;
const LEASES: usize = 16;
const LEASE_SECONDS: u32 = 86400;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;
const INFORM: u8 = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lease {
    Free,
    To(Mac),
    /// A client found somebody else at the address.
    Declined,
}

/// The server's leases.
pub(super) struct Server {
    spec: NetUserSpec,
    leases: Vec<Lease>,
}

/// What a client asks.
struct Query<'a> {
    bytes: &'a [u8],
    kind: u8,
    mac: Mac,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    /// The address the client has.
    current: Ipv4Addr,
}

impl<'a> Query<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Query<'a>> {
        const BOOTREQUEST: u8 = 1;
        // Operation, then hardware type Ethernet with addresses of 6 bytes.
        if bytes.len() < OPTIONS || bytes[..3] != [BOOTREQUEST, 1, 6] || bytes[236..240] != MAGIC {
            return None;
        }
        let mut query = Query { bytes, kind: 0, mac: array(bytes, 28), requested: None, server: None, current: address(bytes, 12) };
        let mut rest = &bytes[OPTIONS..];
        while let [code, tail @ ..] = rest {
            rest = match code {
                0 => tail,
                255 => break,
                _ => {
                    let (&len, tail) = tail.split_first()?;
                    let value = tail.get(..usize::from(len))?;
                    match (code, value.len()) {
                        (50, 4) => query.requested = Some(address(value, 0)),
                        (53, 1) => query.kind = value[0],
                        (54, 4) => query.server = Some(address(value, 0)),
                        _ => {}
                    }
                    &tail[value.len()..]
                }
            };
        }
        (query.mac[0] & 1 == 0).then_some(query)
    }
}

impl Server {
    pub(super) fn new(spec: &NetUserSpec) -> Server {
        let usable = (0..LEASES as u32)
            .map_while(|n| u32::from(spec.dhcp_start).checked_add(n).map(Ipv4Addr::from))
            .take_while(|a| spec.contains(*a) && *a != spec.broadcast())
            .map(|a| if a == spec.host || a == spec.dns { Lease::Declined } else { Lease::Free });
        Server { leases: usable.collect(), spec: spec.clone() }
    }

    /// Whether a datagram is for the DHCP server.
    pub(super) fn serves(spec: &NetUserSpec, dst: Ipv4Addr, port: u16) -> bool {
        port == SERVER_PORT && (dst == Ipv4Addr::BROADCAST || dst == spec.broadcast() || dst == spec.host)
    }

    fn nth(&self, n: usize) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.spec.dhcp_start) + n as u32)
    }

    fn index(&self, address: Ipv4Addr) -> Option<usize> {
        let n = u32::from(address).checked_sub(u32::from(self.spec.dhcp_start))? as usize;
        (n < self.leases.len()).then_some(n)
    }

    /// The address a client has or shall get: its own, else the one it asks for, else a free one.
    fn choose(&self, mac: Mac, wish: Option<Ipv4Addr>) -> Option<usize> {
        let holds = |lease: Lease| self.leases.iter().position(|l| *l == lease);
        holds(Lease::To(mac)).or_else(|| wish.and_then(|a| self.index(a)).filter(|n| self.leases[*n] == Lease::Free)).or_else(|| holds(Lease::Free))
    }

    /// Takes a client's message and answers it.
    pub(super) fn receive(&mut self, link: &mut Link, message: &[u8]) {
        let Some(query) = Query::parse(message) else { return };
        match query.kind {
            DISCOVER => match self.choose(query.mac, query.requested) {
                Some(n) => self.reply(link, &query, OFFER, Some(self.nth(n))),
                None => tracing::warn!("all {LEASES} addresses of the DHCP server are taken"),
            },
            REQUEST => self.request(link, &query),
            INFORM => self.reply(link, &query, ACK, None),
            RELEASE => {
                if let Some(n) = self.index(query.current)
                    && self.leases[n] == Lease::To(query.mac)
                {
                    self.leases[n] = Lease::Free;
                }
            }
            DECLINE => {
                if let Some(n) = query.requested.and_then(|a| self.index(a))
                    && matches!(self.leases[n], Lease::Free | Lease::To(_))
                {
                    self.leases[n] = Lease::Declined;
                }
            }
            _ => {}
        }
    }

    fn request(&mut self, link: &mut Link, query: &Query<'_>) {
        if query.server.is_some_and(|server| server != self.spec.host) {
            return;
        }
        // A client that renews has no `requested` but a current address.
        let wanted = query.requested.unwrap_or(query.current);
        let granted = self.index(wanted).filter(|n| match self.leases[*n] {
            Lease::Free => true,
            Lease::To(mac) => mac == query.mac,
            Lease::Declined => false,
        });
        match granted {
            Some(n) => {
                for lease in &mut self.leases {
                    if *lease == Lease::To(query.mac) {
                        *lease = Lease::Free;
                    }
                }
                self.leases[n] = Lease::To(query.mac);
                self.reply(link, query, ACK, Some(wanted));
            }
            None => self.reply(link, query, NAK, None),
        }
    }

    fn reply(&self, link: &mut Link, query: &Query<'_>, kind: u8, yours: Option<Ipv4Addr>) {
        let spec = &self.spec;
        let mut reply = vec![0; OPTIONS];
        // BOOTREPLY; hardware type and length, transaction, flags and hardware address as asked.
        reply[0] = 2;
        reply[1..3].copy_from_slice(&query.bytes[1..3]);
        reply[4..8].copy_from_slice(&query.bytes[4..8]);
        reply[10..12].copy_from_slice(&query.bytes[10..12]);
        if kind == ACK {
            reply[12..16].copy_from_slice(&query.current.octets());
        }
        if let Some(yours) = yours {
            reply[16..20].copy_from_slice(&yours.octets());
        }
        reply[20..24].copy_from_slice(&spec.host.octets());
        reply[24..44].copy_from_slice(&query.bytes[24..44]);
        if let Some(file) = &spec.bootfile {
            let len = file.len().min(127);
            reply[108..108 + len].copy_from_slice(&file.as_bytes()[..len]);
        }
        reply[236..240].copy_from_slice(&MAGIC);

        let mut option = |code: u8, value: &[u8]| {
            for piece in value.chunks(255) {
                reply.extend_from_slice(&[code, piece.len() as u8]);
                reply.extend_from_slice(piece);
            }
        };
        option(53, &[kind]);
        option(54, &spec.host.octets());
        if kind != NAK {
            if yours.is_some() {
                option(51, &LEASE_SECONDS.to_be_bytes());
            }
            option(1, &spec.netmask().octets());
            if !spec.restrict {
                option(3, &spec.host.octets());
                option(6, &spec.dns.octets());
            }
            if let Some(name) = &spec.hostname {
                option(12, name.as_bytes());
            }
            if let Some(domain) = &spec.domain {
                option(15, domain.as_bytes());
            }
            if let Some(name) = &spec.tftp_server_name {
                option(66, name.as_bytes());
            }
            option(119, &search_list(&spec.search));
        }
        reply.push(255);
        // Some clients refuse a message shorter than BOOTP's.
        reply.resize(reply.len().max(300), 0);

        // A client that has its address already hears it there; any other only by broadcast.
        let at_home = query.current != Ipv4Addr::UNSPECIFIED && kind == ACK;
        let (to, mac) = if at_home && spec.contains(query.current) { (query.current, query.mac) } else { (Ipv4Addr::BROADCAST, [0xff; 6]) };
        link.send_udp((spec.host, SERVER_PORT), (to, CLIENT_PORT), &reply, Some(mac));
    }
}

/// Domain names as RFC 3397 has them, without compression.
fn search_list(names: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names {
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
    }
    bytes
}
