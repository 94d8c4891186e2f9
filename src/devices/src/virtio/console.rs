//! Console device with several ports (virtio 1.2 §5.3), which QEMU calls virtio-serial.
//!
//! A port is a property group of the device here: `port0=<chardev>`, `port0-name=...`,
//! `port0-console=on`; the command line makes them of `-device virtconsole` and
//! `-device virtserialport`. A port without any of them does not exist. Left out: the size of the
//! console (feature not offered) and ports that come and go.
//!
//! Nothing is lost in either direction: what the guest has not read waits at the host, and output
//! that the host cannot take stays in the guest's buffer.

use std::collections::VecDeque;

use proteus_model::{DeviceType, Event, PortDecl, PortKind, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State};

use super::mmio::{self, Mmio};
use super::pci::{self, Pci};
use super::{ByteOrder, Common, Io, VirtioDevice};

const F_MULTIPORT: u32 = 1;
const F_EMERG_WRITE: u32 = 2;
/// Offset of the emergency output in the configuration space.
const CONFIG_EMERG_WR: u64 = 8;

/// Control messages (§5.3.6.2).
const DEVICE_READY: u16 = 0;
const PORT_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const CONSOLE_PORT: u16 = 4;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

const CONTROL_RX: usize = 2;
const CONTROL_TX: usize = 3;
const CONTROL_SIZE: u16 = 32;
const PORT_SIZE: u16 = 128;

/// Most ports of one device.
pub const MAX_PORTS: usize = 8;
/// Bytes of host input held for the guest in each port.
const RX_ROOM: usize = 4096;
/// Control messages that may wait for a driver that provides no buffers.
const MAX_MESSAGES: usize = 256;
/// Longest name of a port.
const MAX_NAME: usize = 255;
/// Output moved at once.
const CHUNK: usize = 4096;

/// What the properties say of a port.
#[derive(Debug, Default)]
struct Settings {
    exists: bool,
    console: bool,
    name: String,
}

#[derive(Debug, Default, State)]
struct Port {
    #[state(skip)]
    settings: Settings,
    guest_open: bool,
    /// Is someone at the other end? No reset changes that.
    #[state(keep)]
    host_open: bool,
    #[state(max = RX_ROOM)]
    rx: VecDeque<u8>,
    /// Bytes of the first waiting chain that the host has taken.
    tx_done: u64,
}

/// A console device.
#[derive(State)]
pub struct Console {
    ports: Vec<Port>,
    /// Messages for the driver: port, event, value.
    #[state(max = MAX_MESSAGES)]
    messages: VecDeque<(u32, (u16, u16))>,
}

/// A port's receive queue; its transmit queue follows.
const fn rx_queue(port: usize) -> usize {
    if port == 0 { 0 } else { 2 * port + 2 }
}

/// The port that a queue belongs to, if it is no control queue.
const fn port_of(queue: usize) -> Option<usize> {
    match queue / 2 {
        0 => Some(0),
        1 => None,
        n => Some(n - 1),
    }
}

impl Console {
    /// A console device with these properties.
    pub fn new(props: &Props) -> Result<Console, PropError> {
        let max_ports = props.u64("max_ports");
        if !(1..=MAX_PORTS as u64).contains(&max_ports) {
            return Err(props.refuse(format!("max_ports={max_ports}: give 1 to {MAX_PORTS}")));
        }
        let mut ports = Vec::new();
        for n in 0..MAX_PORTS {
            let (chardev, name) = (props.str(&format!("port{n}")), props.str(&format!("port{n}-name")));
            let console = props.bool(&format!("port{n}-console"));
            let exists = chardev.is_some() || name.is_some() || console;
            if exists && n as u64 >= max_ports {
                return Err(props.refuse(format!("port{n} is there, but max_ports={max_ports}: give more")));
            }
            let name = name.unwrap_or_default();
            if name.len() > MAX_NAME {
                return Err(props.refuse(format!("port{n}-name has {} characters: give at most {MAX_NAME}", name.len())));
            }
            if (n as u64) < max_ports {
                let settings = Settings { exists, console, name: name.into() };
                ports.push(Port { settings, host_open: console, ..Port::default() });
            }
        }
        Ok(Console { ports, messages: VecDeque::new() })
    }

    /// Can host input reach the guest through this port?
    fn receives(&self, common: &Common, n: usize) -> bool {
        let open = self
            .ports
            .get(n)
            .is_some_and(|port| port.settings.exists && if common.feature(F_MULTIPORT) { port.guest_open || port.settings.console } else { n == 0 });
        open && common.active() && common.queues[rx_queue(n)].ready
    }

    /// Gives the guest what was received.
    fn deliver(&mut self, io: &mut Io<'_>, n: usize) {
        if !self.receives(io.common, n) {
            return;
        }
        let (queue, rx) = (rx_queue(n), &mut self.ports[n].rx);
        let mut served = false;
        while !rx.is_empty()
            && let Some(mut chain) = io.pop(queue)
        {
            let mut written = 0;
            // Once for each half of the ring buffer.
            for _ in 0..2 {
                let result = chain.writable.write(io.cx, rx.as_slices().0);
                let Some(n) = io.check(queue, result) else { return };
                rx.drain(..n);
                written += n;
            }
            io.push(queue, chain, written as u32);
            served = true;
        }
        if served {
            io.signal(queue);
        }
    }

    /// Sends what the guest has made available, as far as the host takes it.
    fn transmit(&mut self, io: &mut Io<'_>, n: usize) {
        let Some(port) = self.ports.get_mut(n) else { return };
        let queue = rx_queue(n) + 1;
        let mut served = false;
        'chains: while let Some(mut chain) = io.pop(queue) {
            chain.readable.skip(port.tx_done);
            let mut bytes = [0; CHUNK];
            while chain.readable.left() != 0 {
                let result = chain.readable.read(io.cx, &mut bytes);
                let Some(got) = io.check(queue, result) else { return };
                let sent = if port.settings.exists { io.cx.send(n, &bytes[..got]) } else { got };
                port.tx_done += sent as u64;
                if sent < got {
                    // The rest stays with the guest until the host has room.
                    io.unpop(queue, chain);
                    break 'chains;
                }
            }
            port.tx_done = 0;
            io.push(queue, chain, 0);
            served = true;
        }
        if served {
            io.signal(queue);
        }
    }

    fn tell(&mut self, io: &mut Io<'_>, port: usize, event: u16, value: u16) {
        if self.messages.len() == MAX_MESSAGES {
            io.cx.guest_error(format_args!("driver reads no control messages; message {event} of port {port} is lost"));
            return;
        }
        self.messages.push_back((port as u32, (event, value)));
    }

    /// Gives the driver the messages that wait for it.
    fn deliver_messages(&mut self, io: &mut Io<'_>) {
        let mut served = false;
        while let Some((port, (event, value))) = self.messages.front().copied()
            && let Some(mut chain) = io.pop(CONTROL_RX)
        {
            self.messages.pop_front();
            let order = io.order();
            let mut message = [&order.bytes32(port)[..], &order.bytes16(event), &order.bytes16(value)].concat();
            if event == PORT_NAME
                && let Some(port) = self.ports.get(port as usize)
            {
                message.extend_from_slice(port.settings.name.as_bytes());
            }
            let result = chain.writable.write(io.cx, &message);
            let Some(written) = io.check(CONTROL_RX, result) else { return };
            if written < message.len() {
                io.cx.guest_error(format_args!("buffer of {written} bytes for a control message of {}", message.len()));
            }
            io.push(CONTROL_RX, chain, written as u32);
            served = true;
        }
        if served {
            io.signal(CONTROL_RX);
        }
    }

    /// Takes messages of the driver.
    fn take_messages(&mut self, io: &mut Io<'_>) {
        let mut served = false;
        while let Some(mut chain) = io.pop(CONTROL_TX) {
            let mut message = [0; 8];
            let result = chain.readable.read(io.cx, &mut message);
            let Some(got) = io.check(CONTROL_TX, result) else { return };
            let [p0, p1, p2, p3, e0, e1, v0, v1] = message;
            if got == 8 {
                let order = io.order();
                self.message(io, order.number32([p0, p1, p2, p3]), order.number16([e0, e1]), order.number16([v0, v1]));
            } else {
                io.cx.guest_error(format_args!("control message of {got} bytes"));
            }
            io.push(CONTROL_TX, chain, 0);
            served = true;
        }
        if served {
            io.signal(CONTROL_TX);
        }
        self.deliver_messages(io);
    }

    fn message(&mut self, io: &mut Io<'_>, id: u32, event: u16, value: u16) {
        if event == DEVICE_READY {
            for n in 0..self.ports.len() {
                if value != 0 && self.ports[n].settings.exists {
                    self.tell(io, n, PORT_ADD, 1);
                }
            }
            return;
        }
        let n = id as usize;
        let Some(port) = self.ports.get_mut(n).filter(|p| p.settings.exists) else {
            io.cx.guest_error(format_args!("control message {event} for port {id}, which is not there"));
            return;
        };
        match event {
            PORT_READY if value != 0 => {
                let (console, named, open) = (port.settings.console, !port.settings.name.is_empty(), port.host_open);
                for (event, wanted) in [(CONSOLE_PORT, console), (PORT_NAME, named), (PORT_OPEN, open)] {
                    if wanted {
                        self.tell(io, n, event, 1);
                    }
                }
            }
            PORT_READY => io.cx.guest_error(format_args!("driver could not add port {id}")),
            PORT_OPEN => {
                port.guest_open = value != 0;
                self.deliver(io, n);
            }
            _ => io.cx.guest_error(format_args!("control message {event} is none that a driver sends")),
        }
    }
}

impl VirtioDevice for Console {
    const TYPE: u16 = 3;
    const CONFIG_LEN: u64 = 12;
    /// Communication, other.
    const PCI_CLASS: u32 = 0x07_8000;

    /// For the configuration, and for all queues together: as in QEMU.
    fn vectors(_: &Props) -> u64 {
        2
    }

    fn queues(&self) -> Vec<u16> {
        let size = |queue| if port_of(queue).is_some() { PORT_SIZE } else { CONTROL_SIZE };
        (0..2 * (self.ports.len() + 1)).map(size).collect()
    }

    fn features(&self, _: &dyn Services) -> u64 {
        u64::from(self.ports.len() > 1) << F_MULTIPORT | 1 << F_EMERG_WRITE
    }

    fn config(&self, _: &dyn Services, order: ByteOrder) -> Vec<u8> {
        [0, self.ports.len() as u32, 0].into_iter().flat_map(|word| order.bytes32(word)).collect()
    }

    fn write_config(&mut self, io: &mut Io<'_>, at: u64, bytes: &[u8]) {
        // The character is the lowest byte of a number of 32 bits, which may be written in parts.
        let low = if io.order() == ByteOrder::Big { CONFIG_EMERG_WR + 3 } else { CONFIG_EMERG_WR };
        match low.checked_sub(at).and_then(|i| bytes.get(i as usize)) {
            Some(byte) => {
                if let Some(n) = self.ports.iter().position(|p| p.settings.console) {
                    // An emergency waits for nobody.
                    let _ = io.cx.send(n, &[*byte]);
                }
            }
            None if (CONFIG_EMERG_WR..CONFIG_EMERG_WR + 4).contains(&at) => {}
            None => io.cx.guest_error(format_args!("write to read-only configuration space at {at:#x}")),
        }
    }

    fn notify(&mut self, io: &mut Io<'_>, queue: usize) {
        match (port_of(queue), queue) {
            (None, CONTROL_RX) => self.deliver_messages(io),
            (None, _) => self.take_messages(io),
            (Some(port), _) if queue.is_multiple_of(2) => self.deliver(io, port),
            (Some(port), _) => self.transmit(io, port),
        }
    }

    fn event(&mut self, io: &mut Io<'_>, event: Event<'_>) {
        match event {
            Event::HostInput(n, bytes) => {
                if let Some(port) = self.ports.get_mut(n).filter(|p| p.settings.exists) {
                    port.rx.extend(bytes);
                    self.deliver(io, n);
                }
            }
            Event::HostWritable(n) => self.transmit(io, n),
            Event::HostOpen(n, open) => {
                // A console is open whoever listens.
                let Some(port) = self.ports.get_mut(n).filter(|p| p.settings.exists && !p.settings.console && p.host_open != open) else { return };
                port.host_open = open;
                if io.feature(F_MULTIPORT) && io.common.active() {
                    self.tell(io, n, PORT_OPEN, open.into());
                    self.deliver_messages(io);
                }
            }
            _ => {}
        }
    }

    fn ready(&self, common: &Common, n: usize) -> usize {
        match self.ports.get(n).filter(|p| p.settings.exists) {
            Some(port) if self.receives(common, n) => RX_ROOM.saturating_sub(port.rx.len()),
            Some(_) => 0,
            // Nobody will ever read it.
            None => usize::MAX,
        }
    }
}

const fn property(name: &'static str, kind: PropertyKind, default: PropertyDefault, doc: &'static str) -> PropertyDecl {
    PropertyDecl { name, kind, default, doc }
}

macro_rules! ports {
    ($($chardev:literal $name:literal $console:literal)*) => {
            /// Properties of a console device, whatever carries it.
            const PROPERTIES: &[PropertyDecl] = &[
                property("max_ports", PropertyKind::U64, PropertyDefault::U64(MAX_PORTS as u64), "Number of ports that there may be"),
                $(
                    property($chardev, PropertyKind::Chardev, PropertyDefault::None, "Name of the port's character back end"),
                    property($name, PropertyKind::String, PropertyDefault::None, "Name of the port, as the guest sees it"),
                    property($console, PropertyKind::Bool, PropertyDefault::Bool(false), "Is the port a console?"),
                )*
            ];
            const PORTS: &[PortDecl] = &[$(PortDecl { name: $chardev, kind: PortKind::Char }),*];
    };
}

ports! {
    "port0" "port0-name" "port0-console"
    "port1" "port1-name" "port1-console"
    "port2" "port2-name" "port2-console"
    "port3" "port3-name" "port3-console"
    "port4" "port4-name" "port4-console"
    "port5" "port5-name" "port5-console"
    "port6" "port6-name" "port6-console"
    "port7" "port7-name" "port7-console"
}

const EXAMPLE: &[(&str, &str)] = &[("port0", "con"), ("port0-console", "on"), ("port1", "agent"), ("port1-name", "org.example.agent")];

/// A console device on a PCI bus.
pub static VIRTIO_SERIAL_PCI: DeviceType = DeviceType {
    properties: properties!(pci::PROPERTIES, PROPERTIES),
    ports: PORTS,
    example: EXAMPLE,
    ..Pci::<Console>::device_type("virtio-serial-pci", "Virtio console with serial ports (PCI)", |props| Pci::boxed(props, Console::new(props)?))
};

/// A console device in a virtio-mmio slot.
pub static VIRTIO_SERIAL_DEVICE: DeviceType = DeviceType {
    properties: properties!(mmio::PROPERTIES, PROPERTIES),
    ports: PORTS,
    example: EXAMPLE,
    ..mmio::device_type("virtio-serial-device", "Virtio console with serial ports (virtio-mmio)", |props| Ok(Mmio::boxed(props, Console::new(props)?)))
};

#[cfg(test)]
mod tests {
    use super::super::driver::{Driver, Flavour, LEGACY, MODERN, PCI_LEGACY, PCI_MODERN, PLAIN, Types, flavours};
    use super::*;
    use proteus_model::{HostEventKind, Width};

    const TYPES: Types = [&VIRTIO_SERIAL_DEVICE, &VIRTIO_SERIAL_PCI];

    const PROPS: &[(&str, &str)] = &[("port0", "con"), ("port0-console", "on"), ("port1", "agent"), ("port1-name", "agent.0"), ("max_ports", "2")];
    const PORT1_RX: usize = 4;
    const PORT1_TX: usize = 5;

    fn send(d: &mut Driver, id: u32, event: u16, value: u16) {
        let order = d.order();
        let message = [&order.bytes32(id)[..], &order.bytes16(event), &order.bytes16(value)].concat();
        d.request(CONTROL_TX, &[&message], &[]);
    }

    /// Messages that have come: port, event, value, name.
    fn messages(d: &mut Driver) -> Vec<(u32, u16, u16, String)> {
        let (mut all, order) = (vec![], d.order());
        while let Some((_, len, b)) = d.used(CONTROL_RX) {
            let name = String::from_utf8(b[8..len as usize].to_vec()).unwrap();
            all.push((order.number32(b[..4].try_into().unwrap()), order.number16([b[4], b[5]]), order.number16([b[6], b[7]]), name));
        }
        all
    }

    fn multiport(flavour: Flavour) -> Driver {
        let mut d = Driver::new(TYPES, PROPS, flavour, 1 << F_MULTIPORT);
        for _ in 0..16 {
            d.add(CONTROL_RX, &[], &[32]);
        }
        d.notify(CONTROL_RX);
        d
    }

    #[test]
    fn conforms() {
        for ty in TYPES {
            proteus_model::conformance::check(ty).unwrap();
        }
    }

    #[test]
    fn a_driver_without_ports_has_a_console() {
        for flavour in flavours() {
            let mut d = Driver::new(TYPES, PROPS, flavour, 0);
            d.request(1, &[b"hello, ", b"world"], &[]);
            assert_eq!(d.bench.sent("port0"), b"hello, world");
            d.bench.bytes("port0", b"abcdef");
            assert!(d.used(0).is_none());
            d.add(0, &[], &[4]);
            d.notify(0);
            let (_, len, bytes) = d.used(0).unwrap();
            assert_eq!((len, &bytes[..]), (4, &b"abcd"[..]));
            d.add(0, &[], &[4]);
            d.notify(0);
            let (_, len, bytes) = d.used(0).unwrap();
            assert_eq!((len, &bytes[..2]), (2, &b"ef"[..]));
        }
    }

    #[test]
    fn ports_announce_themselves() {
        for flavour in flavours() {
            let mut d = multiport(flavour);
            send(&mut d, 0, DEVICE_READY, 1);
            assert_eq!(messages(&mut d), [(0, PORT_ADD, 1, String::new()), (1, PORT_ADD, 1, String::new())]);
            send(&mut d, 0, PORT_READY, 1);
            assert_eq!(messages(&mut d), [(0, CONSOLE_PORT, 1, String::new()), (0, PORT_OPEN, 1, String::new())]);
            send(&mut d, 1, PORT_READY, 1);
            assert_eq!(messages(&mut d), [(1, PORT_NAME, 1, "agent.0".into())]);
            for open in [true, false] {
                d.bench.deliver(HostEventKind::Open { port: 1, open });
                assert_eq!(messages(&mut d), [(1, PORT_OPEN, open.into(), String::new())]);
            }
            let errors = d.bench.machine.counters().guest_errors;
            for (id, event) in [(7, PORT_READY), (0, 99)] {
                send(&mut d, id, event, 1);
            }
            assert_eq!(d.bench.machine.counters().guest_errors, errors + 2);
            assert_eq!((d.order().number32((d.config(4, Width::B4) as u32).to_le_bytes()), d.needs_reset()), (2, false));
        }
    }

    #[test]
    fn input_waits_for_the_guest_to_open_the_port() {
        let mut d = multiport(LEGACY);
        d.bench.bytes("port1", &[7; 10_000]);
        d.add(PORT1_RX, &[], &[20_000]);
        d.notify(PORT1_RX);
        assert!(d.used(PORT1_RX).is_none());
        send(&mut d, 1, PORT_OPEN, 1);
        let mut got = 0;
        while let Some((_, len, _)) = d.used(PORT1_RX) {
            got += len;
            d.add(PORT1_RX, &[], &[2000]);
            d.notify(PORT1_RX);
        }
        assert_eq!(got, 10_000);
    }

    #[test]
    fn output_waits_for_the_host() {
        for flavour in flavours() {
            let mut d = multiport(flavour);
            let text: Vec<u8> = (0..9000u32).map(|n| n as u8).collect();
            d.bench.set_room("port1", Some(5000));
            d.add(PORT1_TX, &[&text[..6000], &text[6000..]], &[]);
            d.add(PORT1_TX, &[b"end"], &[]);
            d.notify(PORT1_TX);
            assert!(d.used(PORT1_TX).is_none());
            // In a snapshot nothing is sent twice and nothing is left out.
            let saved = d.bench.machine.save();
            d.bench.machine.load(&saved).unwrap();
            d.bench.set_room("port1", Some(1));
            d.bench.set_room("port1", None);
            assert_eq!(d.bench.sent("port1"), [&text[..], b"end"].concat(), "{flavour:?}");
            assert!(d.used(PORT1_TX).is_some() && d.used(PORT1_TX).is_some());
        }
    }

    #[test]
    fn emergency_output_needs_no_driver() {
        for flavour in PLAIN {
            let d = Driver::unstarted(TYPES, PROPS, flavour);
            d.write_config(CONFIG_EMERG_WR, Width::B4, b'!'.into());
            d.write_config(CONFIG_EMERG_WR, Width::B1, b'?'.into());
            assert_eq!(d.bench.sent("port0"), b"!?", "{flavour:?}");
        }
        let d = Driver::unstarted(TYPES, PROPS, Flavour { big: true, ..PCI_LEGACY });
        // A big-endian number, byte by byte as Linux writes it.
        for (i, byte) in [0, 0, 0, b'!'].into_iter().enumerate() {
            d.write_config(CONFIG_EMERG_WR + i as u64, Width::B1, byte.into());
        }
        assert_eq!((d.bench.sent("port0"), d.bench.machine.counters().guest_errors), (b"!".to_vec(), 0));
    }

    #[test]
    fn random_rings_never_panic() {
        for flavour in [MODERN, PCI_MODERN] {
            let mut d = multiport(Flavour { indirect: true, ..flavour });
            let message = |rng: &mut proteus_model::conformance::Rng| {
                let pick = [0, 1, 3, 6, 9][rng.below(5) as usize];
                vec![rng.below(3) as u8, 0, 0, 0, pick, 0, 1, 0]
            };
            let (broken, served) = d.hammer(1 << F_MULTIPORT, 20_000, &message);
            assert!(broken > 300 && served > 300, "{broken} {served}");
        }
    }

    #[test]
    fn a_driver_that_reads_no_messages_loses_them() {
        let mut d = Driver::new(TYPES, PROPS, MODERN, 1 << F_MULTIPORT);
        for _ in 0..200 {
            send(&mut d, 0, DEVICE_READY, 1);
        }
        assert!(d.bench.machine.counters().guest_errors > 0 && !d.needs_reset());
    }
}
