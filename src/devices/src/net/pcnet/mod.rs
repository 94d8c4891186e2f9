//! AMD PCnet-FAST III (Am79C973, publication 21510), a PCI Ethernet controller.
//!
//! Frames leave when the driver demands it or when the controller looks at the ring by itself, and
//! the wire takes no time: nothing collides, and no FIFO runs over or empty. What comes while the
//! ring has no room waits in the controller and outside of it, so that frames are missed in
//! loopback only.
//!
//! Left out, and reported when used: look-ahead packets, big-endian data, Magic Packet and OnNow,
//! the pins of the EEPROM, memory and ROM beside the chip, transceivers on the MII, error bits in
//! descriptors for parity errors, and the addresses of current buffers. The PCI status does not
//! show aborted transfers, which CSR5 does. As on other emulated boards the function has revision
//! 0x10 and no power management.
//!
//! A controller that has to look whether there is something to send would wake the host all the
//! time. Once the driver has shown that it demands transmission it is looked for more rarely.

mod phy;
mod registers;
mod rings;
#[cfg(test)]
mod tests;

use proteus_model::{
    AccessRule, BusFault, Count, Device, DeviceType, Event, Ns, PortDecl, PortKind, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props,
    RegisterInfo, Reset, Services, State, Width, Window, WindowDecl, check_register_read, check_register_write, find_register,
};

use crate::pci::{Bar, BarKind, CONFIG, Function, Header, INTX};
use phy::Phy;
use registers::*;
use rings::{MAX_FRAME, Positions, Ring};

static HEADER: Header = Header {
    interrupt_pin: 1,
    min_grant: 6,
    max_latency: 0xff,
    bars: &[Bar { index: 0, window: Window(1), size: PORTS, kind: BarKind::Io }, Bar { index: 1, window: Window(2), size: PORTS, kind: BarKind::Memory32 }],
    ..Header::new(0x1022, 0x2000, 0x10, 0x02_0000)
};

/// Length of the windows.
const PORTS: u64 = 0x20;
/// Places in them: the data of a CSR, the number of a register, reset, the data of a BCR. There
/// are two ways to reach them, of 16 and of 32 bits.
const DATA: u64 = 0x10;
const WORDS: [u64; 4] = [DATA, 0x12, 0x14, 0x16];
const LONGS: [u64; 4] = [DATA, 0x14, 0x18, 0x1c];

const CONFIGURATION: Window = Window(0);
const NETDEV: usize = 0;
const INTERRUPT: usize = 0;
/// Alarms: looking at the rings, and the software timer.
const LOOK: usize = 0;
const TIMER: usize = 1;

/// Nanoseconds of a clock of the bus, 33 MHz.
const CLOCK: Ns = 30;
/// The software timer's unit: 256 clocks of 20 MHz.
const TIMER_UNIT: Ns = 12_800;
/// How soon what was too much for one access goes on.
const SOON: Ns = 1_000;
/// How much more rarely the transmit ring is looked at for a driver that demands transmission.
const RARELY: Ns = 32;

/// CSRs that are written in a stopped or suspended controller only.
const QUIET: [std::ops::RangeInclusive<usize>; 5] = [1..=2, 8..=46, 58..=78, 84..=92, 112..=114];
/// CSRs that a reset by software leaves alone.
const STAYS: [usize; 18] = [1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 30, 31, 47, 49, 76, 78];

/// The controller.
#[derive(State)]
#[state(version = 1)]
struct Pcnet {
    pci: Function,
    phy: Phy,
    /// The address PROM: what the EEPROM had when it was read.
    #[state(reset = prom(self.mac))]
    aprom: [u8; 16],
    /// Number of the register that the data ports reach.
    rap: u8,
    /// Are the ports 32 bits wide?
    dwio: bool,
    #[state(reset = csrs(self.mac))]
    csr: [u16; 128],
    #[state(reset = values(BCRS))]
    bcr: [u16; 64],
    /// The layout of structures in memory.
    style: u8,
    /// An initialization was asked for and could not be made yet.
    initialize: bool,
    at: Positions,
    /// A frame, with its check sequence, that found no buffer; empty if there is none.
    #[state(max = MAX_FRAME)]
    held: Vec<u8>,
    /// Its check sequence is wrong.
    held_bad: bool,
    /// When the rings are looked at next.
    look: Option<Ns>,
    /// The driver has demanded transmission since it started the controller.
    demands: bool,
    /// When the software timer was started.
    timer: Option<Ns>,
    /// When it next has run down.
    timer_at: Option<Ns>,
    #[state(skip)]
    mac: [u8; 6],
    #[state(skip)]
    frame: Vec<u8>,
}

/// Contents of the address PROM: the address, what AMD's drivers look for, and a sum.
fn prom(mac: [u8; 6]) -> [u8; 16] {
    let mut prom = [0; 16];
    prom[..6].copy_from_slice(&mac);
    prom[9] = 0x11;
    prom[14..].copy_from_slice(b"WW");
    let sum: u16 = prom.iter().map(|byte| u16::from(*byte)).sum();
    prom[12..14].copy_from_slice(&sum.to_le_bytes());
    prom
}

/// Values of a table's registers after a reset.
fn values<const N: usize>(table: &[RegisterInfo]) -> [u16; N] {
    std::array::from_fn(|n| table.iter().find(|r| r.index_of(2 * n as u64).is_some()).map_or(0, |r| r.reset as u16))
}

/// Values of the CSRs after a reset, with the address that the EEPROM has.
fn csrs(mac: [u8; 6]) -> [u16; 128] {
    let mut csr = values(CSRS);
    for (half, bytes) in csr[12..15].iter_mut().zip(mac.as_chunks().0) {
        *half = u16::from_le_bytes(*bytes);
    }
    csr
}

impl Pcnet {
    fn new(props: &Props) -> Result<Pcnet, PropError> {
        let mac = props.mac("mac").unwrap_or_default();
        if mac[0] & 1 != 0 {
            return Err(props.refuse("mac: this is a multicast address, give one with an even first byte"));
        }
        let mut pci = Function::new(&HEADER);
        // Fast back-to-back transfers, DEVSEL at medium speed.
        pci.preset(0x06, 0x80);
        pci.preset(0x07, 0x02);
        let mut pcnet = Pcnet {
            pci,
            phy: Phy::new(),
            aprom: prom(mac),
            rap: 0,
            dwio: false,
            csr: csrs(mac),
            bcr: values(BCRS),
            style: 0,
            initialize: false,
            at: Positions::default(),
            held: Vec::new(),
            held_bad: false,
            look: None,
            demands: false,
            timer: None,
            timer_at: None,
            mac,
            frame: Vec::new(),
        };
        pcnet.reset_state();
        Ok(pcnet)
    }

    fn has(&self, csr: usize, mask: u64) -> bool {
        u64::from(self.csr[csr]) & mask != 0
    }

    fn set(&mut self, csr: usize, mask: u64) {
        self.csr[csr] |= mask as u16;
    }

    fn clear(&mut self, csr: usize, mask: u64) {
        self.csr[csr] &= !(mask as u16);
    }

    fn bcr_has(&self, bcr: usize, mask: u64) -> bool {
        u64::from(self.bcr[bcr]) & mask != 0
    }

    /// Is an interrupt pending? First those that the interrupt enable of CSR0 lets through, then
    /// those that do not ask it.
    fn interrupts(&self) -> (bool, bool) {
        let both = |csr: usize, pairs: &[(u64, u64)]| pairs.iter().any(|(flag, enable)| self.has(csr, *flag) && self.has(csr, *enable));
        let masked = |csr: usize, pairs: &[(u64, u64)]| pairs.iter().any(|(flag, mask)| self.has(csr, *flag) && !self.has(csr, *mask));
        // Masks are where their flags are, one register further.
        let usual = self.csr[0] & !self.csr[3] & (CSR0_IDON | CSR0_TINT | CSR0_RINT | CSR0_MERR | CSR0_MISS | CSR0_BABL) as u16 != 0
            || masked(4, &[(CSR4_JAB, CSR4_JABM), (CSR4_TXSTRT, CSR4_TXSTRTM), (CSR4_RCVCCO, CSR4_RCVCCOM), (CSR4_MFCO, CSR4_MFCOM)])
            || self.has(4, CSR4_UINT)
            || both(5, &[(CSR5_EXDINT, CSR5_EXDINTE)])
            || both(7, &[(CSR7_STINT, CSR7_STINTE), (CSR7_MREINT, CSR7_MREINTE), (CSR7_MCCINT, CSR7_MCCINTE), (CSR7_MCCIINT, CSR7_MCCIINTE)]);
        (usual, both(5, &[(CSR5_SINT, CSR5_SINTE), (CSR5_MPINT, CSR5_MPINTE)]))
    }

    /// Stops everything at once, as the STOP bit does.
    fn stop(&mut self) {
        self.csr[0] = CSR0_STOP as u16;
        self.clear(4, CSR4_UINT | CSR4_UINTCMD | CSR4_TXSTRT | CSR4_RCVCCO | CSR4_MFCO);
        self.clear(5, CSR5_SPND);
        self.clear(7, CSR7_RDMD);
        (self.initialize, self.demands, self.held_bad) = (false, false, false);
        self.held.clear();
    }

    /// A reset by software: nothing of what the bus or the network is set up with.
    fn software_reset(&mut self) {
        self.stop();
        let old = std::mem::replace(&mut self.csr, values(CSRS));
        for n in STAYS {
            self.csr[n] = old[n];
        }
        (self.timer, self.timer_at) = (None, None);
    }

    /// A transfer failed: the controller stops, and says why.
    fn system_error(&mut self, cx: &mut dyn Services, fault: BusFault) {
        cx.guest_error(format_args!("access to a structure or buffer in memory: {fault}; the controller stops"));
        self.stop();
        self.set(5, CSR5_SINT);
    }

    /// Does what is to be done now; `demanded` says that the transmit ring is to be looked at.
    fn work(&mut self, cx: &mut dyn Services, demanded: bool) {
        let mut more = false;
        if self.pci.bus_master() && !self.has(0, CSR0_STOP) {
            if std::mem::take(&mut self.initialize) {
                match self.read_initialization(cx) {
                    Ok(()) => self.set(0, CSR0_IDON),
                    Err(fault) => self.system_error(cx, fault),
                }
            }
            if self.has(0, CSR0_STRT) && !self.has(5, CSR5_SPND) {
                self.deliver(cx);
                self.clear(7, CSR7_RDMD);
                if demanded || self.has(0, CSR0_TDMD) {
                    self.clear(0, CSR0_TDMD);
                    more = self.transmit(cx);
                }
            }
        }
        self.plan(cx.now(), more);
    }

    /// Says when the rings are looked at next, unless it is said already.
    fn plan(&mut self, now: Ns, more: bool) {
        let runs = self.pci.bus_master() && self.has(0, CSR0_STRT) && !self.has(5, CSR5_SPND);
        let sends = runs && self.has(0, CSR0_TXON) && !self.has(4, CSR4_TXDPOLL);
        let receives = runs && !self.held.is_empty() && !self.has(7, CSR7_RXDPOLL);
        let interval = |register: usize| (0x1_0000 - Ns::from(self.csr[register])) * CLOCK;
        let rarely = if self.demands { RARELY } else { 1 };
        let wanted = [(runs && more, SOON), (receives, interval(49)), (sends, rarely * interval(47))];
        let next = wanted.iter().filter(|(wanted, _)| *wanted).map(|(_, after)| now + after).min();
        self.look = match (self.look, next) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (_, next) => next,
        };
    }

    fn read_csr(&mut self, cx: &mut dyn Services, n: usize) -> u16 {
        check_register_read(cx, CSRS, 2 * n as u64);
        let half = |value: u32, upper: bool| if upper { (value >> 16) as u16 } else { value as u16 };
        match n {
            0 => {
                let error = if self.has(0, CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR) { CSR0_ERR } else { 0 };
                let (usual, system) = self.interrupts();
                self.csr[0] | error as u16 | if usual || system { CSR0_INTR as u16 } else { 0 }
            }
            16 | 17 => self.csr[n - 15],
            26..=29 => half(self.descriptor_at(Ring::Receive, u32::from(n < 28)), n % 2 == 1),
            32..=35 => half(self.descriptor_at(Ring::Transmit, u32::from(n < 34)), n % 2 == 1),
            58 => self.read_bcr(cx, 20),
            // The counters run up to 0, where the rings begin again.
            72 => self.csr[76].wrapping_add(self.at.receive),
            74 => self.csr[78].wrapping_add(self.at.transmit),
            _ => self.csr.get(n).copied().unwrap_or(0),
        }
    }

    fn write_csr(&mut self, cx: &mut dyn Services, n: usize, value: u16) {
        let at = 2 * n as u64;
        check_register_write(cx, CSRS, at, value.into());
        if QUIET.iter().any(|range| range.contains(&n)) && !self.has(0, CSR0_STOP) && !self.has(5, CSR5_SPND) {
            return cx.guest_error(format_args!("CSR{n} written as {value:#x} while the controller runs"));
        }
        match n {
            0 => self.write_control(cx, value),
            15 => self.write_mode(value),
            16 | 17 => self.csr[n - 15] = value,
            58 => self.write_style(cx, value),
            72 => self.at.receive = (u32::from(value.wrapping_sub(self.csr[76])) % self.ring_len(Ring::Receive)) as u16,
            74 => self.at.transmit = (u32::from(value.wrapping_sub(self.csr[78])) % self.ring_len(Ring::Transmit)) as u16,
            _ => {
                if let (Some((register, _)), Some(place)) = (find_register(CSRS, at), self.csr.get_mut(n)) {
                    *place = register.write((*place).into(), value.into()) as u16;
                }
            }
        }
        match n {
            4 if self.has(4, CSR4_UINTCMD) => {
                self.clear(4, CSR4_UINTCMD);
                self.set(4, CSR4_UINT);
            }
            7 => self.start_timer(cx.now()),
            // A shorter ring may end before where it is worked on.
            76 => self.at.receive = (u32::from(self.at.receive) % self.ring_len(Ring::Receive)) as u16,
            78 => self.at.transmit = (u32::from(self.at.transmit) % self.ring_len(Ring::Transmit)) as u16,
            _ => {}
        }
    }

    /// A write of CSR0: flags are cleared, then commands obeyed, of which STOP goes before all.
    fn write_control(&mut self, cx: &mut dyn Services, value: u16) {
        let asks = |mask: u64| u64::from(value) & mask != 0;
        let cleared = CSR0_IDON | CSR0_TINT | CSR0_RINT | CSR0_MERR | CSR0_MISS | CSR0_CERR | CSR0_BABL;
        self.clear(0, u64::from(value) & cleared | CSR0_IENA);
        self.set(0, u64::from(value) & CSR0_IENA);
        if asks(CSR0_STOP) {
            return self.stop();
        }
        if asks(CSR0_INIT) && !self.has(0, CSR0_INIT) {
            self.clear(0, CSR0_STOP);
            self.set(0, CSR0_INIT);
            self.initialize = true;
            // The mode that starting goes by comes with the block.
            self.work(cx, false);
            if self.has(0, CSR0_STOP) {
                return;
            }
        }
        if asks(CSR0_STRT) && !self.has(0, CSR0_STRT) {
            self.clear(0, CSR0_STOP);
            self.set(0, CSR0_STRT);
            self.set_running();
            // It looks at once whether there is something to send.
            self.set(0, CSR0_TDMD);
        }
        if asks(CSR0_TDMD) && self.has(0, CSR0_TXON) {
            self.set(0, CSR0_TDMD);
            self.demands = true;
        }
    }

    /// Turns transmitter and receiver on or off, as the mode has them.
    fn set_running(&mut self) {
        for (disable, on) in [(CSR15_DTX, CSR0_TXON), (CSR15_DRX, CSR0_RXON)] {
            if self.has(15, disable) { self.clear(0, on) } else { self.set(0, on) }
        }
    }

    /// A new mode, by its register or the initialization block.
    fn write_mode(&mut self, value: u16) {
        self.csr[15] = value;
        if self.has(0, CSR0_STRT) {
            self.set_running();
        }
    }

    fn write_style(&mut self, cx: &mut dyn Services, value: u16) {
        match value as u8 {
            style @ 0..=3 => self.style = style,
            style => cx.guest_error(format_args!("software style {style}, which is reserved")),
        }
    }

    fn read_bcr(&mut self, cx: &mut dyn Services, n: usize) -> u16 {
        check_register_read(cx, BCRS, 2 * n as u64);
        let value = self.bcr.get(n).copied().unwrap_or(0);
        let when = |on: bool, mask: u64| if on { mask as u16 } else { 0 };
        match n {
            // The link has 100 Mbit/s and full duplex; signals of activity are over at once.
            4..=7 => value | when(self.phy.link() && u64::from(value) & (BCR4_LNKSE | BCR4_FDLSE | BCR4_E100) != 0, BCR4_LEDOUT),
            18 => value | when(self.dwio, BCR18_DWIO),
            20 => u16::from(self.style) | when(self.style != 0, BCR20_SSIZE32) | when(self.style != 1, BCR20_CSRPCNET),
            34 => self.read_mii(cx),
            _ => value,
        }
    }

    fn write_bcr(&mut self, cx: &mut dyn Services, n: usize, value: u16) {
        let at = 2 * n as u64;
        check_register_write(cx, BCRS, at, value.into());
        if let (Some((register, _)), Some(place)) = (find_register(BCRS, at), self.bcr.get_mut(n)) {
            *place = register.write((*place).into(), value.into()) as u16;
        }
        match n {
            19 if self.bcr_has(19, BCR19_PREAD) => {
                // The EEPROM is read once more; of what it has, the address alone is ours.
                self.aprom = prom(self.mac);
                self.bcr[19] &= !(BCR19_PREAD as u16);
            }
            20 if self.has(0, CSR0_STOP) || self.has(5, CSR5_SPND) => self.write_style(cx, value),
            20 => cx.guest_error(format_args!("software style written while the controller runs")),
            22 => {
                let [grant, latency] = value.to_le_bytes();
                self.pci.set_byte(0x3e, grant);
                self.pci.set_byte(0x3f, latency);
            }
            31 => {
                self.timer = Some(cx.now());
                self.timer_at = None;
                self.start_timer(cx.now());
            }
            34 => self.write_mii(cx, value),
            _ => {}
        }
    }

    /// Lets the software timer run down to its next end. It goes on by itself, and while its
    /// interrupt stands nobody sees that.
    fn start_timer(&mut self, now: Ns) {
        let Some(start) = self.timer else { return };
        let period = Ns::from(self.bcr[31].max(1)) * TIMER_UNIT;
        if self.has(7, CSR7_STINT) {
            self.timer_at = None;
        } else if self.timer_at.is_none() {
            self.timer_at = Some(start + (now.saturating_sub(start) / period + 1) * period);
        }
    }

    /// Address and register of the MII access; an error if no transceiver is there.
    fn mii(&mut self) -> Option<u16> {
        self.set(7, CSR7_MCCINT);
        let address = u64::from(self.bcr[33]);
        if (address & BCR33_PHYAD) >> 5 == phy::ADDRESS.into() {
            return Some((address & BCR33_REGAD) as u16);
        }
        self.set(7, CSR7_MREINT);
        None
    }

    fn read_mii(&mut self, cx: &mut dyn Services) -> u16 {
        self.mii().map_or(0xffff, |register| self.phy.read(cx, register))
    }

    fn write_mii(&mut self, cx: &mut dyn Services, value: u16) {
        if let Some(register) = self.mii() {
            self.phy.write(cx, register, value);
        }
    }

    fn read_port(&mut self, cx: &mut dyn Services, at: u64, size: Width) -> u64 {
        if let Some(bytes) = self.aprom.get(at as usize..at as usize + size.bytes() as usize) {
            return bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        let (places, width) = if self.dwio { (LONGS, Width::B4) } else { (WORDS, Width::B2) };
        let n = usize::from(self.rap);
        match places.iter().position(|place| *place == at).filter(|_| size == width) {
            Some(0) => self.read_csr(cx, n).into(),
            Some(1) => self.rap.into(),
            Some(2) => {
                self.software_reset();
                0
            }
            Some(_) => self.read_bcr(cx, n).into(),
            None => {
                cx.guest_error(format_args!("read of {} bytes at {at:#x} while ports have {}", size.bytes(), width.bytes()));
                size.mask()
            }
        }
    }

    fn write_port(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        if let Some(bytes) = self.aprom.get_mut(at as usize..at as usize + size.bytes() as usize) {
            if u64::from(self.bcr[2]) & BCR2_APROMWE != 0 {
                bytes.copy_from_slice(&value.to_le_bytes()[..size.bytes() as usize]);
            } else {
                cx.guest_error(format_args!("write to the address PROM, which is not enabled"));
            }
            return;
        }
        // This is how software asks for ports of 32 bits; the write counts.
        self.dwio |= (at, size) == (DATA, Width::B4);
        let (places, width) = if self.dwio { (LONGS, Width::B4) } else { (WORDS, Width::B2) };
        let n = usize::from(self.rap);
        match places.iter().position(|place| *place == at).filter(|_| size == width) {
            Some(0) => self.write_csr(cx, n, value as u16),
            Some(1) => self.rap = value as u8 & 0x7f,
            // Older chips wanted a write after the read that resets.
            Some(2) => {}
            Some(_) => self.write_bcr(cx, n, value as u16),
            None => cx.guest_error(format_args!("write of {} bytes at {at:#x} while ports have {}", size.bytes(), width.bytes())),
        }
    }
}

impl Device for Pcnet {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        if w == CONFIGURATION {
            return Ok(self.pci.read(at, size));
        }
        let value = self.read_port(cx, at, size);
        self.work(cx, false);
        Ok(value)
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        if w == CONFIGURATION {
            self.pci.write(cx, at, size, value);
        } else {
            self.write_port(cx, at, size, value);
        }
        self.work(cx, false);
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        match event {
            Event::Frame(NETDEV, frame) => {
                self.receive(cx, frame);
                self.plan(cx.now(), false);
            }
            Event::HostOpen(NETDEV, open) => self.phy.set_link(open),
            Event::Alarm(LOOK) => {
                self.look = None;
                let sends = !self.has(4, CSR4_TXDPOLL);
                self.work(cx, sends);
            }
            Event::Alarm(TIMER) => {
                self.timer_at = None;
                self.set(7, CSR7_STINT);
            }
            _ => {}
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        self.pci.settle(cx);
        let (usual, system) = self.interrupts();
        self.pci.drive_intx(cx, INTERRUPT, usual && self.has(0, CSR0_IENA) || system);
        cx.alarm(LOOK, self.look);
        cx.alarm(TIMER, self.timer_at);
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }

    fn ready(&self, _: usize) -> usize {
        // Without a receiver frames are lost; while it is busy or suspended they wait outside.
        if self.receives() && (!self.held.is_empty() || self.has(5, CSR5_SPND)) { 0 } else { 1 }
    }
}

/// The device type.
pub static PCNET: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "netdev", kind: PropertyKind::Netdev, default: PropertyDefault::None, doc: "Name of the network back end" },
        PropertyDecl { name: "mac", kind: PropertyKind::Mac, default: PropertyDefault::Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]), doc: "Ethernet address" },
    ],
    windows: &[
        CONFIG,
        WindowDecl::pio("io", PORTS, AccessRule::new(Width::B1, Width::B4)),
        WindowDecl::mmio("memory", PORTS, AccessRule::new(Width::B1, Width::B4)),
    ],
    outputs: &[INTX],
    ports: &[PortDecl { name: "netdev", kind: PortKind::Frame }],
    alarms: Count::Fixed(2),
    user_creatable: true,
    example: &[("netdev", "net0")],
    ..DeviceType::new("pcnet", "AMD PCnet-FAST III Ethernet controller (PCI)", |props| Ok(Box::new(Pcnet::new(props)?)))
};
