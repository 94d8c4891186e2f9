//! IPv4 and UDP as bytes: parsing what a guest sent, checksums, reassembly of fragments.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Length of an Ethernet header.
pub(super) const ETHERNET: usize = 14;
/// Length of an IPv4 header without options.
pub(super) const HEADER: usize = 20;
/// Largest IPv4 packet on the guest's link.
pub(super) const MTU: usize = 1500;

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// A 4- or 6-byte piece of a slice; zeros where the slice is too short.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|s| s.try_into().ok()).unwrap_or([0; N])
}

/// A big-endian 16-bit field; zero where the slice is too short.
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

/// An address field.
pub(super) fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from(array::<4>(bytes, at))
}

/// The Internet checksum (RFC 1071) over the concatenation of pieces; each but the last must be
/// of even length.
pub(super) fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for piece in pieces {
        let mut words = piece.chunks_exact(2);
        for word in &mut words {
            sum += u64::from(be16(word, 0));
        }
        if let [last] = words.remainder() {
            sum += u64::from(*last) << 8;
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The pseudo header that UDP's and TCP's checksums cover.
pub(super) fn pseudo_header(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: usize) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&src.octets());
    bytes[4..8].copy_from_slice(&dst.octets());
    bytes[9] = protocol;
    bytes[10..].copy_from_slice(&(len as u16).to_be_bytes());
    bytes
}

/// An IPv4 packet with a good header.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    /// The whole packet, without what padding the frame had behind it.
    pub(super) bytes: &'a [u8],
    pub(super) src: Ipv4Addr,
    pub(super) dst: Ipv4Addr,
    pub(super) protocol: u8,
    pub(super) payload: &'a [u8],
    id: u16,
    /// In bytes.
    fragment_offset: usize,
    more_fragments: bool,
}

impl<'a> Packet<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let first = *bytes.first()?;
        let header_len = usize::from(first & 15) * 4;
        let len = usize::from(be16(bytes, 2));
        if first >> 4 != 4 || header_len < HEADER || len < header_len {
            return None;
        }
        let bytes = bytes.get(..len)?;
        let (header, payload) = bytes.split_at(header_len);
        if checksum(&[header]) != 0 {
            return None;
        }
        let fragment = be16(header, 6);
        Some(Packet {
            bytes,
            src: address(header, 12),
            dst: address(header, 16),
            protocol: header[9],
            payload,
            id: be16(header, 4),
            fragment_offset: usize::from(fragment & 0x1fff) * 8,
            more_fragments: fragment & 0x2000 != 0,
        })
    }

    pub(super) fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

/// Writes an IPv4 header without options.
pub(super) fn write_header(header: &mut [u8; HEADER], (src, dst): (Ipv4Addr, Ipv4Addr), protocol: u8, payload_len: usize, id: u16, fragment: u16) {
    *header = [0; HEADER];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((HEADER + payload_len) as u16).to_be_bytes());
    header[4..6].copy_from_slice(&id.to_be_bytes());
    header[6..8].copy_from_slice(&fragment.to_be_bytes());
    header[8] = 64;
    header[9] = protocol;
    header[12..16].copy_from_slice(&src.octets());
    header[16..20].copy_from_slice(&dst.octets());
    let sum = checksum(&[&header[..]]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// A UDP datagram with a good checksum.
pub(super) struct Datagram<'a> {
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    pub(super) fn parse(src: Ipv4Addr, dst: Ipv4Addr, bytes: &'a [u8]) -> Option<Datagram<'a>> {
        let len = usize::from(be16(bytes, 4));
        if len < 8 {
            return None;
        }
        let bytes = bytes.get(..len)?;
        // A checksum of zero means that the sender made none.
        if be16(bytes, 6) != 0 && checksum(&[&pseudo_header(src, dst, UDP, bytes.len()), bytes]) != 0 {
            return None;
        }
        Some(Datagram { src_port: be16(bytes, 0), dst_port: be16(bytes, 2), payload: &bytes[8..] })
    }
}

/// How many datagrams may be in reassembly at once.
const REASSEMBLIES: usize = 16;
/// How long a datagram waits for its missing fragments (RFC 1122 says 60 to 120 s).
const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(30);
/// How many disjoint pieces one datagram may consist of at a time.
const PIECES: usize = 64;

#[derive(PartialEq, Eq, Clone, Copy)]
struct FragmentKey(Ipv4Addr, Ipv4Addr, u8, u16);

struct Partial {
    key: FragmentKey,
    started: Instant,
    bytes: Vec<u8>,
    /// Received ranges, sorted, neither touching nor overlapping.
    ranges: Vec<(usize, usize)>,
    total: Option<usize>,
}

/// Puts fragmented packets together; memory is bounded.
#[derive(Default)]
pub(super) struct Reassembly {
    partial: Vec<Partial>,
}

impl Reassembly {
    /// Takes a fragment; returns a whole packet, with a fresh header, when it was the last one
    /// missing.
    pub(super) fn add(&mut self, packet: &Packet<'_>, now: Instant) -> Option<Vec<u8>> {
        let start = packet.fragment_offset;
        let end = start + packet.payload.len();
        let uneven = packet.more_fragments && !packet.payload.len().is_multiple_of(8);
        if packet.payload.is_empty() || end > 0xffff - HEADER || uneven {
            return None;
        }
        self.partial.retain(|p| now.duration_since(p.started) < REASSEMBLY_TIMEOUT);
        let key = FragmentKey(packet.src, packet.dst, packet.protocol, packet.id);
        let at = match self.partial.iter().position(|p| p.key == key) {
            Some(at) => at,
            None => {
                if self.partial.len() == REASSEMBLIES {
                    self.partial.remove(0);
                }
                self.partial.push(Partial { key, started: now, bytes: Vec::new(), ranges: Vec::new(), total: None });
                self.partial.len() - 1
            }
        };
        if !self.partial[at].insert(packet, start, end) {
            self.partial.remove(at);
            return None;
        }
        let partial = &self.partial[at];
        let total = partial.total?;
        if partial.ranges != [(0, total)] {
            return None;
        }
        let whole = self.partial.remove(at).bytes;
        let mut bytes = vec![0; HEADER];
        if let Some(header) = bytes.first_chunk_mut() {
            write_header(header, (packet.src, packet.dst), packet.protocol, total, packet.id, 0);
        }
        bytes.extend_from_slice(&whole);
        Some(bytes)
    }
}

impl Partial {
    /// `false` where the fragments contradict each other or are too many.
    fn insert(&mut self, packet: &Packet<'_>, start: usize, end: usize) -> bool {
        if !packet.more_fragments {
            if self.total.is_some_and(|total| total != end) {
                return false;
            }
            self.total = Some(end);
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if self.total.is_some_and(|total| self.bytes.len() > total) {
            return false;
        }
        self.bytes[start..end].copy_from_slice(packet.payload);
        let (mut low, mut high) = (start, end);
        self.ranges.retain(|&(from, to)| {
            let apart = to < low || from > high;
            if !apart {
                low = low.min(from);
                high = high.max(to);
            }
            apart
        });
        let at = self.ranges.partition_point(|&(from, _)| from < low);
        self.ranges.insert(at, (low, high));
        self.ranges.len() <= PIECES
    }
}
