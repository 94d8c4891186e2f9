//! The guest's Ethernet segment: who is on it, and the frames on their way to the guest.

use super::ipv4::{self, ETHERNET, HEADER, MTU, array};
use super::spec::NetUserSpec;
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// A hardware address.
pub(super) type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];

/// Frames to the guest above which TCP sends no more: the guest takes no frames, and what TCP
/// has stays in its buffers.
const TCP_ROOM: usize = 512;
/// Frames to the guest above which any other is lost.
const ROOM: usize = 1024;
/// How many guests' addresses are remembered.
const NEIGHBOURS: usize = 64;
/// How many frames wait for the hardware address of their receiver.
const AWAITING: usize = 64;
/// How long they wait.
const AWAITING_TIMEOUT: Duration = Duration::from_secs(75);
/// How often a hardware address is asked for at most.
const ARP_INTERVAL: Duration = Duration::from_millis(500);

/// The segment between the router and the guest.
pub(super) struct Link {
    gateway: Ipv4Addr,
    dns: Ipv4Addr,
    network: NetUserSpec,
    /// Frames on their way to the guest.
    pub(super) out: VecDeque<Vec<u8>>,
    neighbours: Vec<(Ipv4Addr, Mac)>,
    awaiting: VecDeque<(Ipv4Addr, Vec<u8>, Instant)>,
    asked: Vec<(Ipv4Addr, Instant)>,
    next_id: u16,
    pub(super) now: Instant,
}

impl Link {
    pub(super) fn new(network: &NetUserSpec, now: Instant) -> Link {
        Link {
            gateway: network.host,
            dns: network.dns,
            network: network.clone(),
            out: VecDeque::new(),
            neighbours: Vec::new(),
            awaiting: VecDeque::new(),
            asked: Vec::new(),
            next_id: 0,
            now,
        }
    }

    /// The hardware address of one of the router's own addresses: a locally administered one
    /// made of the address, as QEMU's network has it.
    fn own_mac(address: Ipv4Addr) -> Mac {
        let [a, b, c, d] = address.octets();
        [0x52, 0x55, a, b, c, d]
    }

    pub(super) fn is_own(&self, address: Ipv4Addr) -> bool {
        address == self.gateway || address == self.dns
    }

    /// Whether frames that may be lost can still be queued.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < TCP_ROOM
    }

    /// Notes a guest's hardware address and sends what waited for it.
    pub(super) fn learn(&mut self, address: Ipv4Addr, mac: Mac) {
        match self.neighbours.iter_mut().find(|(known, _)| *known == address) {
            Some((_, known)) => *known = mac,
            None => {
                if self.neighbours.len() == NEIGHBOURS {
                    self.neighbours.remove(0);
                }
                self.neighbours.push((address, mac));
            }
        }
        if self.awaiting.is_empty() {
            return;
        }
        for (to, mut frame, since) in std::mem::take(&mut self.awaiting) {
            if to == address {
                frame[..6].copy_from_slice(&mac);
                self.push(frame);
            } else {
                self.awaiting.push_back((to, frame, since));
            }
        }
        self.asked.retain(|(to, _)| *to != address);
    }

    /// Takes an ARP packet from the guest.
    pub(super) fn arp(&mut self, packet: &[u8]) {
        const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
        if packet.len() < 28 || packet[..6] != ETHERNET_IPV4 {
            return;
        }
        let (mac, sender) = (array::<6>(packet, 8), ipv4::address(packet, 14));
        let target = ipv4::address(packet, 24);
        let usable = self.network.contains(sender) && !self.is_own(sender) && mac[0] & 1 == 0;
        if usable {
            self.learn(sender, mac);
        }
        // A probe for a free address has no sender yet and is answered all the same.
        if packet[6..8] == [0, 1] && self.is_own(target) && mac[0] & 1 == 0 {
            self.push_arp(2, target, mac, sender, mac);
        }
    }

    fn push_arp(&mut self, operation: u8, own: Ipv4Addr, mac: Mac, address: Ipv4Addr, to: Mac) {
        let mut frame = Vec::with_capacity(ETHERNET + 28);
        frame.extend_from_slice(&to);
        frame.extend_from_slice(&Self::own_mac(own));
        frame.extend_from_slice(&ARP);
        frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, operation]);
        frame.extend_from_slice(&Self::own_mac(own));
        frame.extend_from_slice(&own.octets());
        frame.extend_from_slice(&mac);
        frame.extend_from_slice(&address.octets());
        self.push(frame);
    }

    fn push(&mut self, frame: Vec<u8>) {
        if self.out.len() < ROOM {
            self.out.push_back(frame);
        }
    }

    /// Sends a frame whose IPv4 packet is in place behind room for the Ethernet header.
    fn push_ipv4(&mut self, mut frame: Vec<u8>, to: Option<Mac>) {
        let address = ipv4::address(&frame, ETHERNET + 16);
        frame[6..12].copy_from_slice(&Self::own_mac(self.gateway));
        frame[12..14].copy_from_slice(&IPV4);
        let known = self.neighbours.iter().find(|(known, _)| *known == address);
        let mac = match (to, known) {
            (Some(mac), _) | (None, Some(&(_, mac))) => mac,
            (None, None) if address == Ipv4Addr::BROADCAST => BROADCAST,
            (None, None) => return self.await_mac(address, frame),
        };
        frame[..6].copy_from_slice(&mac);
        self.push(frame);
    }

    fn await_mac(&mut self, address: Ipv4Addr, frame: Vec<u8>) {
        if self.awaiting.len() == AWAITING {
            self.awaiting.pop_front();
        }
        self.awaiting.push_back((address, frame, self.now));
        self.ask(address);
    }

    /// Asks for a hardware address, but not too often.
    fn ask(&mut self, address: Ipv4Addr) {
        let now = self.now;
        self.asked.retain(|(_, when)| now.duration_since(*when) < ARP_INTERVAL);
        if self.asked.iter().any(|(asked, _)| *asked == address) {
            return;
        }
        self.asked.push((address, now));
        self.push_arp(1, self.gateway, [0; 6], address, BROADCAST);
    }

    /// Whether frames wait for a hardware address.
    pub(super) fn is_awaiting(&self) -> bool {
        !self.awaiting.is_empty()
    }

    /// Asks again for the hardware addresses that frames wait for: a guest that boots may come
    /// up without a word. Asks nothing of a guest that takes no frames.
    pub(super) fn ask_again(&mut self) {
        let now = self.now;
        self.awaiting.retain(|(_, _, since)| now.duration_since(*since) < AWAITING_TIMEOUT);
        let mut addresses: Vec<_> = self.awaiting.iter().map(|(address, ..)| *address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if self.out.is_empty() {
            addresses.into_iter().for_each(|address| self.ask(address));
        }
    }

    /// Sends a payload of any length in one packet or several fragments. `to` overrules what is
    /// known about the receiver.
    pub(super) fn send(&mut self, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, payload: &[u8], to: Option<Mac>) {
        const PIECE: usize = (MTU - HEADER) / 8 * 8;
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let mut at = 0;
        loop {
            let piece = &payload[at..payload.len().min(at + PIECE)];
            let more = at + piece.len() < payload.len();
            let fragment = (at / 8) as u16 | if more { 0x2000 } else { 0 };
            let mut header = [0; HEADER];
            ipv4::write_header(&mut header, (src, dst), protocol, piece.len(), id, fragment);
            let mut frame = Vec::with_capacity(ETHERNET + HEADER + piece.len());
            frame.resize(ETHERNET, 0);
            frame.extend_from_slice(&header);
            frame.extend_from_slice(piece);
            self.push_ipv4(frame, to);
            at += piece.len();
            if !more {
                return;
            }
        }
    }

    /// Sends a UDP datagram to the guest.
    pub(super) fn send_udp(&mut self, (src, src_port): (Ipv4Addr, u16), (dst, dst_port): (Ipv4Addr, u16), payload: &[u8], to: Option<Mac>) {
        let len = 8 + payload.len();
        if len > 0xffff - HEADER {
            return;
        }
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&src_port.to_be_bytes());
        bytes.extend_from_slice(&dst_port.to_be_bytes());
        bytes.extend_from_slice(&(len as u16).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(payload);
        let sum = match ipv4::checksum(&[&ipv4::pseudo_header(src, dst, ipv4::UDP, len), &bytes]) {
            0 => 0xffff,
            sum => sum,
        };
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        self.send(src, dst, ipv4::UDP, &bytes, to);
    }
}

/// smoltcp's view of the link: IPv4 packets that carry TCP, at most one of them to read.
/// Addresses below IPv4 are [`Link`]'s.
pub(super) struct Port<'p> {
    pub(super) link: &'p mut Link,
    pub(super) packet: Option<&'p [u8]>,
}

impl<'p> phy::Device for Port<'p> {
    type RxToken<'a>
        = Received<'p>
    where
        Self: 'a;
    type TxToken<'a>
        = Transmit<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received<'p>, Transmit<'_>)> {
        let packet = self.packet.take()?;
        Some((Received(packet), Transmit(self.link)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Transmit<'_>> {
        if self.link.has_room() { Some(Transmit(self.link)) } else { None }
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities.checksum = ChecksumCapabilities::default();
        // Checked when the frame came in.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities
    }
}

/// A packet for smoltcp.
pub(super) struct Received<'p>(&'p [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a packet from smoltcp.
pub(super) struct Transmit<'a>(&'a mut Link);

impl phy::TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; ETHERNET + len];
        let result = f(&mut frame[ETHERNET..]);
        if len >= HEADER {
            self.0.push_ipv4(frame, None);
        }
        result
    }
}
