//! Packets of GDB's remote serial protocol as bytes: what goes by gdbstub and what does not.
//!
//! gdbstub takes no packets of others. Those that QEMU's debuggers know (`qqemu.`),
//! `qXfer:threads` and what LLDB asks for are taken out of the stream before it, and answered here.

/// The longest packet that is looked into; a longer one goes by.
const LONGEST: usize = 1 << 17;

/// A piece of what the debugger sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes for gdbstub: a packet, an acknowledgement, an interrupt.
    Through(Vec<u8>),
    /// The body of a packet that is ours.
    Ours(Vec<u8>),
}

/// Cuts what the debugger sends into packets.
#[derive(Default)]
pub struct Incoming {
    packet: Vec<u8>,
}

/// Whether a packet is answered here. Breakpoints are where they have conditions or commands.
fn is_ours(body: &[u8]) -> bool {
    if body.starts_with(b"Z0,") || body.starts_with(b"Z1,") {
        return body.contains(&b';');
    }
    [&b"qqemu."[..], b"Qqemu.", b"qXfer:threads:read:", b"qHostInfo", b"qMemoryRegionInfo:", b"qWatchpointSupportInfo:"]
        .iter()
        .any(|start| body.starts_with(start))
}

impl Incoming {
    /// Takes the next byte; gives a piece where one is complete.
    pub fn take(&mut self, byte: u8) -> Option<Piece> {
        if self.packet.is_empty() && byte != b'$' {
            return Some(Piece::Through(vec![byte]));
        }
        self.packet.push(byte);
        let n = self.packet.len();
        let complete = n >= 4 && self.packet[n - 3] == b'#';
        if !complete && n < LONGEST {
            return None;
        }
        let packet = std::mem::take(&mut self.packet);
        let body = &packet[1..n.saturating_sub(3)];
        if complete && is_ours(body) && packet.ends_with(&checksum(body)) {
            return Some(Piece::Ours(body.to_vec()));
        }
        Some(Piece::Through(packet))
    }
}

fn hex(byte: u8) -> [u8; 2] {
    let digit = |n: u8| b"0123456789abcdef"[usize::from(n & 15)];
    [digit(byte >> 4), digit(byte)]
}

fn checksum(body: &[u8]) -> [u8; 2] {
    hex(body.iter().fold(0u8, |s, b| s.wrapping_add(*b)))
}

/// A packet with this body, in which what stands for something else is escaped.
pub fn escaped_packet(body: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(body.len());
    for &byte in body {
        if matches!(byte, b'#' | b'$' | b'}' | b'*') {
            escaped.extend([b'}', byte ^ 0x20]);
        } else {
            escaped.push(byte);
        }
    }
    packet(&escaped)
}

/// A packet with this body, as it is.
pub fn packet(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 4);
    out.push(b'$');
    out.extend_from_slice(body);
    out.push(b'#');
    out.extend_from_slice(&checksum(body));
    out
}

/// What gdbstub says beside packets, and the body of its packet with something added to it.
pub fn add(answer: &[u8], more: &[u8]) -> Option<Vec<u8>> {
    let start = answer.iter().position(|b| *b == b'$')?;
    let end = answer.iter().rposition(|b| *b == b'#')?;
    let body = [answer.get(start + 1..end)?, more].concat();
    Some([&answer[..start], &packet(&body)].concat())
}

/// A register with its value, as a stop reply has them: the number, and bytes in the guest's order.
pub fn expedited(number: usize, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("{number:02x}:").bytes());
    out.extend(bytes.iter().flat_map(|b| hex(*b)));
    out.push(b';');
}

/// The part of a document that `OFFSET,LENGTH` asks for, as an answer to `qXfer`.
pub fn part(document: &[u8], range: &str) -> Option<Vec<u8>> {
    let (offset, length) = range.split_once(',')?;
    let offset = usize::from_str_radix(offset, 16).ok()?.min(document.len());
    let length = usize::from_str_radix(length, 16).ok()?;
    let rest = &document[offset..];
    let (mark, rest) = if rest.len() > length { (b'm', &rest[..length]) } else { (b'l', rest) };
    Some([&[mark], rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: &[u8]) -> Vec<Piece> {
        let mut incoming = Incoming::default();
        bytes.iter().filter_map(|b| incoming.take(*b)).collect()
    }

    #[test]
    fn our_packets_are_taken_out_and_the_others_go_through_as_they_are() {
        let qqemu = packet(b"qqemu.PhyMemMode");
        let g = packet(b"g");
        let all = [b"+", &qqemu[..], b"\x03", &g[..]].concat();
        let want = [Piece::Through(b"+".to_vec()), Piece::Ours(b"qqemu.PhyMemMode".to_vec()), Piece::Through(b"\x03".to_vec()), Piece::Through(g.clone())];
        assert_eq!(pieces(&all), want);
        // A wrong checksum is gdbstub's to complain of.
        let mut wrong = qqemu.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(pieces(&wrong), [Piece::Through(wrong.clone())]);
    }

    #[test]
    fn a_packet_without_end_is_let_go() {
        let endless = vec![b'$'; LONGEST + 10];
        let got: usize = pieces(&endless).iter().map(|p| if let Piece::Through(b) = p { b.len() } else { 0 }).sum();
        assert!(got >= LONGEST);
    }

    #[test]
    fn what_is_supported_is_told_with_the_rest() {
        let answer = [b"+", &packet(b"PacketSize=1000;vContSupported+")[..]].concat();
        let more = add(&answer, b";qXfer:threads:read+").unwrap();
        assert_eq!(more, [b"+", &packet(b"PacketSize=1000;vContSupported+;qXfer:threads:read+")[..]].concat());
        assert_eq!(add(b"+", b"x"), None);
    }

    #[test]
    fn registers_of_a_stop_have_numbers_of_two_digits_at_least() {
        let mut out = Vec::new();
        expedited(5, &[1, 0xfe], &mut out);
        expedited(0x123, &[0], &mut out);
        assert_eq!(out, b"05:01fe;123:00;");
    }

    #[test]
    fn what_stands_for_something_else_is_escaped() {
        assert_eq!(escaped_packet(b"a#1}"), packet(b"a}\x031}]"));
    }

    #[test]
    fn documents_are_given_in_parts() {
        assert_eq!(part(b"abcdef", "0,4").unwrap(), b"mabcd");
        assert_eq!(part(b"abcdef", "4,4").unwrap(), b"lef");
        assert_eq!(part(b"abcdef", "ffffffff,4").unwrap(), b"l");
        assert_eq!(part(b"abcdef", "x"), None);
    }
}
