//! The buffer management unit: initialization block, descriptor rings, and the frames that go
//! through them.

use proteus_model::{BusFault, Services, State, Width, check_register_write};

use super::registers::*;
use super::{NETDEV, Pcnet};
use crate::net::{crc32, fcs};

/// Longest frame in either direction, check sequence included: what a byte count of 12 bits tells.
pub(super) const MAX_FRAME: usize = 4095;
/// Shortest frame on the wire, without its check sequence.
const MIN_FRAME: usize = 60;
/// Addresses and type.
const HEADER: usize = 14;
/// Longest frame that is allowed on the wire, check sequence included.
const LONGEST: usize = 1518;
/// Descriptors that transmission reads in one go; more wait for the next alarm.
const MOST: usize = 4096;

const BROADCAST: [u8; 6] = [0xff; 6];

/// One of the two rings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    Receive,
    Transmit,
}

impl Ring {
    /// Numbers of the registers with the lower half of its base and with its length.
    fn registers(self) -> (usize, usize) {
        match self {
            Ring::Receive => (24, 76),
            Ring::Transmit => (30, 78),
        }
    }
}

/// Where a ring is worked on, as a distance from its first descriptor.
#[derive(Debug, Clone, Copy, Default, State)]
pub(super) struct Positions {
    pub(super) receive: u16,
    pub(super) transmit: u16,
}

/// A descriptor as it was read.
#[derive(Clone, Copy)]
struct Descriptor {
    /// Address of the descriptor.
    at: u64,
    /// Address of the buffer.
    buffer: u64,
    /// RMD1 or TMD1 in the layouts of 32 bits.
    status: u32,
}

impl Descriptor {
    fn has(&self, mask: u64) -> bool {
        u64::from(self.status) & mask != 0
    }

    /// Length of the buffer: the count is in two's complement, and 0 is 4096.
    fn len(&self) -> usize {
        0x1000 - (u64::from(self.status) & RMD1_BCNT) as usize
    }
}

/// What became of a turn at the transmit ring.
enum Turn {
    /// The descriptor is not the controller's.
    Idle,
    /// A frame, or the rest of one, went back to the driver; so many descriptors were read at most.
    Done(usize),
}

impl Pcnet {
    /// 32-bit structures in memory?
    fn wide(&self) -> bool {
        matches!(self.style, 1..=3)
    }

    fn long(&self, low: usize) -> u32 {
        u32::from(self.csr[low]) | u32::from(self.csr[low + 1]) << 16
    }

    fn set_long(&mut self, low: usize, value: u32) {
        self.csr[low] = value as u16;
        self.csr[low + 1] = (value >> 16) as u16;
    }

    fn position(&mut self, ring: Ring) -> &mut u16 {
        match ring {
            Ring::Receive => &mut self.at.receive,
            Ring::Transmit => &mut self.at.transmit,
        }
    }

    /// Length of a ring in descriptors; a length of 0 is the longest.
    pub(super) fn ring_len(&self, ring: Ring) -> u32 {
        0x1_0000 - u32::from(self.csr[ring.registers().1])
    }

    /// Address of a descriptor: `ahead` of where the ring is worked on.
    pub(super) fn descriptor_at(&self, ring: Ring, ahead: u32) -> u32 {
        let (size, position) = (if self.wide() { 16 } else { 8 }, if ring == Ring::Receive { self.at.receive } else { self.at.transmit });
        let n = (u32::from(position) + ahead) % self.ring_len(ring);
        (self.long(ring.registers().0) & !(size - 1)).wrapping_add(n * size)
    }

    fn advance(&mut self, ring: Ring, by: u32) {
        let len = self.ring_len(ring);
        let position = self.position(ring);
        *position = ((u32::from(*position) + by) % len) as u16;
    }

    /// Reads the initialization block (datasheet, "Initialization Block").
    pub(super) fn read_initialization(&mut self, cx: &mut dyn Services) -> Result<(), BusFault> {
        let mut block = [0; 28];
        let at = self.long(1);
        let (mode, lengths, mac, filter, rings);
        if self.wide() {
            cx.dma_read(u64::from(at & !3), &mut block)?;
            mode = [block[0], block[1]];
            lengths = [block[2] >> 4, block[3] >> 4].map(|n| n.min(9));
            (mac, filter) = (4, 12);
            rings = [20, 24].map(|n| word(&block, n));
        } else {
            cx.dma_read(u64::from(at & !1), &mut block[..24])?;
            mode = [block[0], block[1]];
            lengths = [block[19] >> 5, block[23] >> 5];
            (mac, filter) = (2, 8);
            // Addresses of 24 bits get their upper byte from the block's own.
            rings = [16, 20].map(|n| word(&block, n) & 0xff_ffff | at & 0xff00_0000);
        }
        let halves = |from: usize, n: usize| u16::from_le_bytes([block[from + 2 * n], block[from + 2 * n + 1]]);
        for n in 0..3 {
            self.csr[12 + n] = halves(mac, n);
        }
        for n in 0..4 {
            self.csr[8 + n] = halves(filter, n);
        }
        let mode = u16::from_le_bytes(mode);
        check_register_write(cx, CSRS, CSR15, mode.into());
        self.write_mode(mode);
        self.csr[6] = u16::from(lengths[0]) << 8 | u16::from(lengths[1]) << 12;
        for ((base, length), (at, exponent)) in [Ring::Receive.registers(), Ring::Transmit.registers()].into_iter().zip(rings.into_iter().zip(lengths)) {
            self.set_long(base, at);
            self.csr[length] = 0u16.wrapping_sub(1 << exponent);
        }
        self.at = Positions::default();
        Ok(())
    }

    /// Reads a descriptor, `ahead` of where its ring is worked on: first its status, and then the
    /// rest, which the driver has written before it gave the descriptor away.
    fn descriptor(&self, cx: &mut dyn Services, ring: Ring, ahead: u32) -> Result<Descriptor, BusFault> {
        let at = u64::from(self.descriptor_at(ring, ahead));
        let mut bytes = [0; 16];
        if self.wide() {
            let status = cx.dma_load(at + 4, Width::B4)? as u32;
            if u64::from(status) & RMD1_OWN != 0 {
                cx.dma_read(at, &mut bytes)?;
            }
            let buffer = word(&bytes, if self.style == 3 { 8 } else { 0 });
            Ok(Descriptor { at, buffer: buffer.into(), status })
        } else {
            let upper = cx.dma_load(at + 2, Width::B2)? as u32;
            if u64::from(upper) << 16 & RMD1_OWN != 0 {
                cx.dma_read(at, &mut bytes[..8])?;
            }
            let buffer = word(&bytes, 0) & 0xffff | (upper & 0xff) << 16 | self.long(1) & 0xff00_0000;
            Ok(Descriptor { at, buffer: buffer.into(), status: (upper & 0xff00) << 16 | word(&bytes, 4) & 0xffff })
        }
    }

    /// Gives a descriptor back: `extra` goes to where its ring has message length or errors (None
    /// leaves that alone), and then `status` takes the place of the upper half of the status.
    fn give_back(&self, cx: &mut dyn Services, d: &Descriptor, status: u64, extra: Option<u32>) -> Result<(), BusFault> {
        let status = status as u32 & 0xffff_0000 | d.status & 0xffff;
        if self.wide() {
            if let Some(extra) = extra {
                cx.dma_store(d.at + if self.style == 3 { 0 } else { 8 }, Width::B4, extra.into())?;
            }
            cx.dma_store(d.at + 4, Width::B4, status.into())
        } else {
            if let Some(extra) = extra {
                // Message length in the lower half, transmit errors in the upper one.
                cx.dma_store(d.at + 6, Width::B2, u64::from(extra >> 16 | extra & 0xffff))?;
            }
            cx.dma_store(d.at + 2, Width::B2, u64::from(status >> 24) << 8 | d.buffer >> 16 & 0xff)
        }
    }

    /// Sends what the driver has put into the transmit ring. True if there may be more of it than
    /// one access should take.
    pub(super) fn transmit(&mut self, cx: &mut dyn Services) -> bool {
        let mut seen = 0;
        while self.has(0, CSR0_TXON) && seen < MOST {
            match self.transmit_frame(cx) {
                Ok(Turn::Done(descriptors)) => seen += descriptors,
                Ok(Turn::Idle) => return false,
                Err(fault) => {
                    self.system_error(cx, fault);
                    return false;
                }
            }
        }
        self.has(0, CSR0_TXON)
    }

    /// Sends the frame that the transmit ring has next.
    fn transmit_frame(&mut self, cx: &mut dyn Services) -> Result<Turn, BusFault> {
        let first = self.descriptor(cx, Ring::Transmit, 0)?;
        if !first.has(TMD1_OWN) {
            return Ok(Turn::Idle);
        }
        if !first.has(TMD1_STP) {
            // The rest of a frame whose beginning failed: it is skipped.
            self.give_back(cx, &first, 0, None)?;
            self.advance(Ring::Transmit, 1);
            return Ok(Turn::Done(1));
        }
        let (mut last, mut count) = (first, 1);
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let complete = loop {
            let start = frame.len();
            frame.resize((start + last.len()).min(MAX_FRAME), 0);
            cx.dma_read(last.buffer, &mut frame[start..])?;
            if last.has(TMD1_ENP) && start + last.len() <= MAX_FRAME {
                break true;
            }
            let next = self.descriptor(cx, Ring::Transmit, count)?;
            if start + last.len() > MAX_FRAME || count >= self.ring_len(Ring::Transmit) || !next.has(TMD1_OWN) {
                break false;
            }
            // What the chip has read it gives back, all but the last.
            self.give_back(cx, &last, u64::from(last.status) & (TMD1_STP | TMD1_ADD_FCS), None)?;
            (last, count) = (next, count + 1);
        };
        // LTINT comes back as MORE: whether it took several attempts.
        let kept = u64::from(last.status) & (TMD1_STP | TMD1_ENP | TMD1_ADD_FCS);
        self.advance(Ring::Transmit, count);
        if complete {
            let adds = !self.has(15, CSR15_DXMTFCS) || first.has(TMD1_ADD_FCS) || last.has(TMD1_ADD_FCS);
            self.send(cx, &mut frame, adds);
            self.give_back(cx, &last, kept, Some(0))?;
            let quiet = self.has(5, CSR5_TOKINTD) || self.has(5, CSR5_LTINTEN) && !last.has(TMD1_LTINT);
            self.set(0, if quiet { 0 } else { CSR0_TINT });
        } else {
            cx.guest_error(format_args!("transmission of {} bytes without an end; dropped", frame.len()));
            self.give_back(cx, &last, kept | TMD1_ERR, Some((TMD2_BUFF | TMD2_UFLO) as u32))?;
            self.set(0, CSR0_TINT);
            if !self.has(3, CSR3_DXSUFLO) {
                self.clear(0, CSR0_TXON);
            }
        }
        // In loopback the receive ring may have had a descriptor for each byte.
        let received = if self.loopback().0 { frame.len() } else { 0 };
        self.frame = frame;
        Ok(Turn::Done(count as usize + received))
    }

    /// Puts a frame on the wire, padded and with its check sequence as the registers say.
    fn send(&mut self, cx: &mut dyn Services, frame: &mut Vec<u8>, adds: bool) {
        self.set(4, CSR4_TXSTRT);
        let pads = self.has(4, CSR4_APAD_XMT) && frame.len() < if adds { MIN_FRAME } else { MIN_FRAME + 4 };
        if pads {
            frame.resize(MIN_FRAME.max(frame.len()), 0);
        }
        if adds || pads {
            frame.extend(fcs(frame));
        }
        if frame.len() > LONGEST {
            self.set(0, CSR0_BABL);
        }
        let Some((body, sum)) = frame.split_last_chunk().filter(|(body, _)| body.len() >= HEADER) else {
            return cx.guest_error(format_args!("a frame of {} bytes; dropped", frame.len()));
        };
        let good = fcs(body) == *sum;
        let (loops, internal) = self.loopback();
        if !internal && self.phy.link() {
            if good {
                // A network may drop frames.
                let _ = cx.send_frame(NETDEV, body);
            } else {
                cx.guest_error(format_args!("a frame whose check sequence is wrong, which no receiver takes"));
            }
        }
        // A receiver takes frames of 64 bytes and more, unless it is told otherwise.
        if loops && self.receives() && (frame.len() >= MIN_FRAME + 4 || self.has(124, CSR124_RPA)) && self.matches(frame) != 0 {
            if self.held.is_empty() && frame.len() <= MAX_FRAME {
                self.held.extend_from_slice(frame);
                self.held_bad = !good;
                self.deliver(cx);
            } else {
                self.miss();
            }
        }
    }

    /// Is what is sent received, and is it kept from the wire?
    fn loopback(&self) -> (bool, bool) {
        let mii = self.bcr_has(32, BCR32_MIIILP) || self.phy.loops();
        (mii || self.has(15, CSR15_LOOP), mii || self.has(15, CSR15_LOOP) && self.has(15, CSR15_INTL))
    }

    /// A frame was lost.
    fn miss(&mut self) {
        self.set(0, CSR0_MISS);
        self.csr[112] = self.csr[112].wrapping_add(1);
        if self.csr[112] == 0 {
            self.set(4, CSR4_MFCO);
        }
    }

    /// Does the receiver run?
    pub(super) fn receives(&self) -> bool {
        self.has(0, CSR0_RXON)
    }

    /// Does the frame pass the filters? Gives the bits of the status that say which, or 0. The bit
    /// of promiscuous mode stands for none of them.
    fn matches(&self, frame: &[u8]) -> u64 {
        let Some(to) = frame.first_chunk::<6>() else { return 0 };
        let promiscuous = if self.has(15, CSR15_PROM) { PROMISCUOUS } else { 0 };
        let own = [12, 13, 14].map(|n| self.csr[n].to_le_bytes());
        let filter = || {
            let bit = crc32(to) >> 26;
            self.csr[8 + (bit / 16) as usize] >> (bit % 16) & 1 != 0
        };
        promiscuous
            | if *to == BROADCAST && !self.has(15, CSR15_DRCVBC) {
                RMD1_BAM
            } else if to[0] & 1 != 0 {
                if filter() { RMD1_LAFM } else { 0 }
            } else if *to == *own.as_flattened() && !self.has(15, CSR15_DRCVPA) {
                RMD1_PAM
            } else {
                0
            }
    }

    /// A frame comes from the network, without its check sequence.
    pub(super) fn receive(&mut self, cx: &mut dyn Services, frame: &[u8]) {
        // Longer ones cannot be told of, and without a receiver they are lost as on any wire.
        let fits = (HEADER..=MAX_FRAME - 4).contains(&frame.len());
        if !fits || !self.receives() || !self.phy.link() || self.loopback().0 || self.matches(frame) == 0 {
            return;
        }
        if !self.held.is_empty() {
            return self.miss();
        }
        self.held.extend_from_slice(frame);
        // On the wire it was as long as the shortest.
        self.held.resize(frame.len().max(MIN_FRAME), 0);
        let sum = fcs(&self.held);
        self.held.extend(sum);
        self.held_bad = false;
        self.deliver(cx);
    }

    /// Gives the held frame to the driver, if there is one and room for it.
    pub(super) fn deliver(&mut self, cx: &mut dyn Services) {
        if self.held.is_empty() || !self.receives() || self.has(5, CSR5_SPND) || !self.pci.bus_master() {
            return;
        }
        let frame = std::mem::take(&mut self.held);
        match self.fill(cx, &frame) {
            Ok(true) => {
                self.set(0, CSR0_RINT);
                // Kept for its allocation.
                self.held = frame;
                self.held.clear();
            }
            Ok(false) => self.held = frame,
            Err(fault) => self.system_error(cx, fault),
        }
    }

    /// Puts a frame into buffers of the receive ring; false if the ring has not room for it yet.
    fn fill(&mut self, cx: &mut dyn Services, frame: &[u8]) -> Result<bool, BusFault> {
        let data = if self.has(4, CSR4_ASTRP_RCV) { strip(frame) } else { frame };
        let (mut buffers, mut room, ring) = (Vec::new(), 0, self.ring_len(Ring::Receive));
        while room < data.len() && (buffers.len() as u32) < ring {
            let d = self.descriptor(cx, Ring::Receive, buffers.len() as u32)?;
            if !d.has(RMD1_OWN) {
                return Ok(false);
            }
            room += d.len();
            buffers.push(d);
        }
        let mut status = self.matches(frame) & (RMD1_BAM | RMD1_LAFM | RMD1_PAM) | RMD1_ENP;
        if self.held_bad {
            status |= RMD1_ERR | RMD1_CRC;
        }
        if room < data.len() {
            cx.guest_error(format_args!("a frame of {} bytes does not fit into a ring of {room}", data.len()));
            status |= RMD1_ERR | RMD1_BUFF | RMD1_OFLO;
        }
        let mut rest = data;
        for d in &buffers {
            let (part, others) = rest.split_at(d.len().min(rest.len()));
            cx.dma_write(d.buffer, part)?;
            rest = others;
        }
        // The first goes back last: then all of the frame is there for a driver that looks at it.
        let mut length = Some((data.len() - rest.len()) as u32);
        for (n, d) in buffers.iter().enumerate().rev() {
            let start = if n == 0 { RMD1_STP } else { 0 };
            self.give_back(cx, d, status | start, length)?;
            (status, length) = (0, None);
        }
        self.advance(Ring::Receive, buffers.len() as u32);
        Ok(true)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

/// A frame without its padding and check sequence, if it is an 802.3 frame with padding.
fn strip(frame: &[u8]) -> &[u8] {
    let length = frame.get(12..HEADER).map_or(usize::MAX, |b| usize::from(b[0]) << 8 | usize::from(b[1]));
    if length < MIN_FRAME - HEADER { frame.get(..HEADER + length).unwrap_or(frame) } else { frame }
}

/// Not a bit of any status: the frame passes in promiscuous mode.
const PROMISCUOUS: u64 = 1 << 32;
