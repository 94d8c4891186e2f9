//! ICMP: the router's own echo, echo to other hosts through unprivileged ping sockets, and the
//! errors that tell a guest why nothing comes back.

use super::ipv4::{self, ICMP, Packet, be16};
use super::link::Link;
use super::spec::NetUserSpec;
use super::user::{Destination, Poll, Token, destination};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO: u8 = 8;

/// Codes of "destination unreachable".
pub(super) const NET: u8 = 0;
pub(super) const HOST: u8 = 1;
pub(super) const PROTOCOL: u8 = 2;
pub(super) const PORT: u8 = 3;
pub(super) const PROHIBITED: u8 = 13;

/// How many pings to other hosts may be under way.
const PINGS: usize = 32;
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of the offending packet an error quotes.
const QUOTE: usize = 548;

/// Tells the guest that a packet of its could not be delivered.
pub(super) fn unreachable(link: &mut Link, network: &NetUserSpec, packet: &Packet<'_>, code: u8) {
    let quote = &packet.bytes[..packet.bytes.len().min(QUOTE)];
    let mut message = vec![UNREACHABLE, code, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(quote);
    send(link, network.host, packet.src, message);
}

/// The code for an error of a host's socket.
pub(super) fn code_for(error: &std::io::Error) -> u8 {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => PORT,
        std::io::ErrorKind::NetworkUnreachable | std::io::ErrorKind::NetworkDown => NET,
        std::io::ErrorKind::PermissionDenied => PROHIBITED,
        _ => HOST,
    }
}

fn send(link: &mut Link, src: Ipv4Addr, dst: Ipv4Addr, mut message: Vec<u8>) {
    message[2..4].fill(0);
    let sum = ipv4::checksum(&[&message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    link.send(src, dst, ICMP, &message, None);
}

/// Is it a sound echo request?
fn is_echo(packet: &Packet<'_>) -> bool {
    let message = packet.payload;
    message.len() >= 8 && message[..2] == [ECHO, 0] && ipv4::checksum(&[message]) == 0
}

/// Answers an ICMP message to one of the router's own addresses.
pub(super) fn echo(link: &mut Link, packet: &Packet<'_>) {
    if is_echo(packet) {
        let mut reply = packet.payload.to_vec();
        reply[0] = ECHO_REPLY;
        send(link, packet.dst, packet.src, reply);
    }
}

/// Echo requests of one guest process to one host.
struct Ping {
    socket: OwnedFd,
    guest: Ipv4Addr,
    peer: Ipv4Addr,
    id: u16,
    last: Instant,
}

/// The echo requests that wait for answers from other hosts.
#[derive(Default)]
pub(super) struct Pings {
    flows: Vec<Ping>,
}

impl Pings {
    /// Takes an ICMP message from the guest to somebody outside.
    pub(super) fn receive(&mut self, link: &mut Link, network: &NetUserSpec, packet: &Packet<'_>) {
        if !is_echo(packet) {
            return;
        }
        match destination(network, packet.dst) {
            Destination::World => {}
            Destination::Nowhere => return unreachable(link, network, packet, HOST),
            _ => return,
        }
        if network.restrict {
            return unreachable(link, network, packet, PROHIBITED);
        }
        if let Err(error) = self.forward(packet, be16(packet.payload, 4), link.now) {
            let error = std::io::Error::from(error);
            tracing::debug!("ping to {}: {error}", packet.dst);
            unreachable(link, network, packet, code_for(&error));
        }
    }

    fn forward(&mut self, packet: &Packet<'_>, id: u16, now: Instant) -> rustix::io::Result<()> {
        let known = |p: &Ping| p.guest == packet.src && p.peer == packet.dst && p.id == id;
        let at = match self.flows.iter().position(known) {
            Some(at) => at,
            None => {
                let socket = rustix::net::socket_with(
                    AddressFamily::INET,
                    SocketType::DGRAM,
                    SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
                    Some(rustix::net::ipproto::ICMP),
                )?;
                rustix::net::connect(&socket, &SocketAddrV4::new(packet.dst, 0))?;
                if self.flows.len() == PINGS {
                    self.flows.remove(0);
                }
                self.flows.push(Ping { socket, guest: packet.src, peer: packet.dst, id, last: now });
                self.flows.len() - 1
            }
        };
        let flow = &mut self.flows[at];
        flow.last = now;
        match rustix::net::send(&flow.socket, packet.payload, SendFlags::empty()) {
            Ok(_) | Err(rustix::io::Errno::WOULDBLOCK) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn poll<'a>(&'a self, polls: &mut Poll<'a>, room: bool) {
        for (n, flow) in self.flows.iter().enumerate().filter(|_| room) {
            polls.add(&flow.socket, PollFlags::IN, Token::Ping(n));
        }
    }

    /// Takes the answers that arrived at one ping socket.
    pub(super) fn ready(&mut self, n: usize, link: &mut Link, scratch: &mut [u8]) {
        let Some(flow) = self.flows.get_mut(n) else { return };
        while link.has_room() {
            let Ok((len, _)) = rustix::net::recv(&flow.socket, &mut *scratch, RecvFlags::empty()) else {
                return;
            };
            if len < 8 || scratch[0] != ECHO_REPLY {
                continue;
            }
            flow.last = link.now;
            let mut reply = scratch[..len].to_vec();
            // The host has put its own identifier there.
            reply[4..6].copy_from_slice(&flow.id.to_be_bytes());
            send(link, flow.peer, flow.guest, reply);
        }
    }

    /// Forgets what was not used for long; says whether anything is left.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        self.flows.retain(|flow| now.duration_since(flow.last) < PING_TIMEOUT);
        !self.flows.is_empty()
    }
}
