//! The router's own services: what it answers by itself, without asking anybody outside, namely
//! address resolution, DHCP, echoes of its own addresses, and TFTP.
//!
//! [`UserNet::send`](super::UserNet::send) lets it answer at once, so that a guest has the answer
//! when the register that it has sent with is written. Drivers of firmware, which poll, were
//! written where nothing comes at odd moments, and a deterministic run has these answers at the
//! same instruction each time.

use super::dhcp;
use super::icmp;
use super::ipv4::{Datagram, ETHERNET, HEADER, ICMP, Packet, UDP, array, be16};
use super::link::Link;
use super::spec::NetUserSpec;
use super::tftp::{self, Tftp};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
/// Where a packet's protocol and receiver are in a frame.
const PROTOCOL: usize = ETHERNET + 9;
const RECEIVER: usize = ETHERNET + 16;

/// The router, with its end of the guest's cable.
pub(super) struct Router {
    pub(super) link: Link,
    dhcp: dhcp::Server,
    tftp: Tftp,
    spec: NetUserSpec,
}

impl Router {
    pub(super) fn new(spec: &NetUserSpec, now: Instant) -> Router {
        Router { link: Link::new(spec, now), dhcp: dhcp::Server::new(spec), tftp: Tftp::default(), spec: spec.clone() }
    }

    /// Does a frame look like one that the router answers by itself?
    pub(super) fn concerns(spec: &NetUserSpec, frame: &[u8]) -> bool {
        match be16(frame, 12) {
            ARP => true,
            IPV4 if frame.len() >= ETHERNET + HEADER => {
                let port = || {
                    let at = ETHERNET + 4 * usize::from(frame[ETHERNET] & 15) + 2;
                    frame.get(at..at + 2).map_or(0, |port| be16(port, 0))
                };
                match frame[PROTOCOL] {
                    ICMP => [spec.host, spec.dns].contains(&Ipv4Addr::from(array::<4>(frame, RECEIVER))),
                    UDP => matches!(port(), dhcp::SERVER_PORT | tftp::PORT),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// Takes a frame from the guest. Gives back a packet that is not for the router, or only a
    /// part of one.
    pub(super) fn frame<'a>(&mut self, frame: &'a [u8]) -> Option<Packet<'a>> {
        let (header, payload) = frame.split_at_checked(ETHERNET)?;
        match be16(header, 12) {
            ARP => {
                self.link.arp(payload);
                None
            }
            IPV4 => {
                let mac = array::<6>(header, 6);
                let packet = Packet::parse(payload).filter(|packet| mac[0] & 1 == 0 && self.may_speak(packet, mac))?;
                if !packet.is_fragment() && self.serve(&packet) { None } else { Some(packet) }
            }
            _ => None,
        }
    }

    /// May a packet be sent from its address? A guest without one may speak to the DHCP server.
    fn may_speak(&mut self, packet: &Packet<'_>, mac: [u8; 6]) -> bool {
        let src = packet.src;
        if src == Ipv4Addr::UNSPECIFIED {
            return true;
        }
        let usable = self.spec.contains(src) && !self.link.is_own(src) && src != self.spec.network && src != self.spec.broadcast();
        if usable {
            self.link.learn(src, mac);
        }
        usable
    }

    /// Takes a whole packet; false if it is for somebody else.
    pub(super) fn serve(&mut self, packet: &Packet<'_>) -> bool {
        let homeless = packet.src == Ipv4Addr::UNSPECIFIED;
        match packet.protocol {
            UDP => {
                let Some(datagram) = Datagram::parse(packet.src, packet.dst, packet.payload) else { return true };
                if dhcp::Server::serves(&self.spec, packet.dst, datagram.dst_port) {
                    self.dhcp.receive(&mut self.link, datagram.payload);
                    return true;
                }
                if !homeless && packet.dst == self.spec.host && datagram.dst_port == tftp::PORT && self.spec.tftp.is_some() {
                    let guest = SocketAddrV4::new(packet.src, datagram.src_port);
                    self.tftp.receive(&mut self.link, &self.spec, guest, datagram.payload);
                    return true;
                }
                homeless
            }
            ICMP if !homeless && self.link.is_own(packet.dst) => {
                icmp::echo(&mut self.link, packet);
                true
            }
            _ => homeless,
        }
    }
}
