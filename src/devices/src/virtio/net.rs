//! Network device (virtio 1.2 §5.1).
//!
//! Left out, and not offered: checksum and segmentation offloads in both directions, several
//! queue pairs, VLAN filtering, receive-side scaling. Frames therefore pass as they are.

use proteus_model::{DeviceType, Event, PortDecl, PortKind, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State};

use super::mmio::{self, Mmio};
use super::pci::{self, Pci};
use super::queue::{Chain, RingError};
use super::{ByteOrder, Common, Io, VirtioDevice};

const F_MTU: u32 = 3;
const F_MAC: u32 = 5;
const F_MRG_RXBUF: u32 = 15;
const F_STATUS: u32 = 16;
const F_CTRL_VQ: u32 = 17;
const F_CTRL_RX: u32 = 18;
const F_CTRL_RX_EXTRA: u32 = 20;
const F_GUEST_ANNOUNCE: u32 = 21;
const F_CTRL_MAC_ADDR: u32 = 23;

const STATUS_LINK_UP: u16 = 1;
const STATUS_ANNOUNCE: u16 = 2;

const RX: usize = 0;
const TX: usize = 1;
const CONTROL: usize = 2;
const CONTROL_SIZE: u16 = 64;

/// Number of the port to the network.
const NETDEV: usize = 0;

/// Classes and commands of the control queue.
const CTRL_RX: u8 = 0;
const CTRL_MAC: u8 = 1;
const CTRL_MAC_TABLE_SET: u8 = 0;
const CTRL_MAC_ADDR_SET: u8 = 1;
const CTRL_ANNOUNCE: u8 = 3;
const CTRL_OK: u8 = 0;
const CTRL_ERR: u8 = 1;

/// Longest frame in either direction: what the offloads that nobody offers would need.
const MAX_FRAME: usize = 65_535 + 14;
/// Shortest frame: addresses and type.
const MIN_FRAME: usize = 14;
/// Addresses of each kind that the filter keeps; with more, all frames of that kind pass.
const MAX_FILTER: usize = 64;

/// Which frames the driver wants, beyond those to its own address.
#[derive(Debug, Default, State)]
struct Filter {
    /// By command of class `CTRL_RX`: promiscuous, all multicast, all unicast, no multicast, no
    /// unicast, no broadcast. Promiscuous until the driver says otherwise, as drivers without a
    /// control queue expect.
    #[state(reset = [true, false, false, false, false, false])]
    modes: [bool; 6],
    /// One more than [`MAX_FILTER`] stand for all.
    #[state(max = MAX_FILTER + 1)]
    unicast: Vec<[u8; 6]>,
    #[state(max = MAX_FILTER + 1)]
    multicast: Vec<[u8; 6]>,
}

impl Filter {
    fn passes(&self, own: &[u8; 6], to: &[u8; 6]) -> bool {
        let [promiscuous, all_multi, all_uni, no_multi, no_uni, no_broad] = self.modes;
        let listed = |list: &[[u8; 6]]| list.len() > MAX_FILTER || list.contains(to);
        if promiscuous {
            true
        } else if *to == [0xff; 6] {
            !no_broad
        } else if to[0] & 1 != 0 {
            !no_multi && (all_multi || listed(&self.multicast))
        } else {
            !no_uni && (all_uni || to == own || listed(&self.unicast))
        }
    }
}

/// A network device.
#[derive(State)]
pub struct Net {
    #[state(reset = self.initial_mac)]
    mac: [u8; 6],
    filter: Filter,
    /// A frame that found no buffer; empty if there is none.
    #[state(max = MAX_FRAME)]
    held: Vec<u8>,
    announce: bool,
    /// The cable, which no reset pulls.
    #[state(keep)]
    link_down: bool,
    #[state(skip)]
    initial_mac: [u8; 6],
    #[state(skip)]
    mtu: u16,
    #[state(skip)]
    mergeable: bool,
    #[state(skip)]
    status: bool,
    #[state(skip)]
    control: bool,
    #[state(skip)]
    queue_sizes: [u16; 2],
    #[state(skip)]
    frame: Vec<u8>,
}

impl Net {
    /// A network device with these properties.
    pub fn new(props: &Props) -> Result<Net, PropError> {
        let size = |name| match props.u64(name) {
            n if n.is_power_of_two() && (64..=1024).contains(&n) => Ok(n as u16),
            n => Err(props.refuse(format!("{name}={n}: give a power of two from 64 to 1024"))),
        };
        let mac = props.mac("mac").unwrap_or_default();
        if mac[0] & 1 != 0 {
            return Err(props.refuse("mac: this is a multicast address, give one with an even first byte"));
        }
        let mtu = props.u64("host_mtu");
        if mtu != 0 && !(68..=65535).contains(&mtu) {
            return Err(props.refuse(format!("host_mtu={mtu}: give 68 to 65535, or 0 for none")));
        }
        let mut net = Net {
            mac,
            filter: Filter::default(),
            held: Vec::new(),
            announce: false,
            link_down: false,
            initial_mac: mac,
            mtu: mtu as u16,
            mergeable: props.bool("mrg_rxbuf"),
            status: props.bool("status"),
            control: props.bool("ctrl_vq"),
            queue_sizes: [size("rx_queue_size")?, size("tx_queue_size")?],
            frame: Vec::new(),
        };
        net.filter.reset_state();
        Ok(net)
    }

    /// Length of the header before each frame; its last field came with mergeable buffers.
    fn header_len(common: &Common) -> usize {
        if common.modern() || common.feature(F_MRG_RXBUF) { 12 } else { 10 }
    }

    /// Gives the held frame to the driver, if there is one and room for it.
    fn deliver(&mut self, io: &mut Io<'_>) {
        if self.held.is_empty() {
            return;
        }
        let header = Net::header_len(io.common);
        let needed = (header + self.held.len()) as u64;
        let most = if io.feature(F_MRG_RXBUF) { io.common.queues[RX].num } else { 1 };
        let (mut chains, mut room) = (Vec::<Chain>::new(), 0);
        while room < needed && chains.len() < usize::from(most) {
            let Some(chain) = io.pop(RX) else {
                // Not enough buffers yet: all of them go back, and the frame stays.
                chains.into_iter().rev().for_each(|chain| io.unpop(RX, chain));
                return;
            };
            room += chain.writable.total();
            chains.push(chain);
        }
        let frame = std::mem::take(&mut self.held);
        if room < needed {
            io.cx.guest_error(format_args!("a frame of {} bytes does not fit into {room} bytes of buffers; dropped", frame.len()));
            io.push_all(RX, chains.into_iter().map(|chain| (chain, 0)));
        } else {
            let result = fill(io, &frame, header, &mut chains);
            if let Some(lengths) = io.check(RX, result) {
                io.push_all(RX, chains.into_iter().zip(lengths));
            }
        }
        io.signal(RX);
        // Kept for its allocation.
        self.held = frame;
        self.held.clear();
    }

    fn transmit(&mut self, io: &mut Io<'_>) {
        let header_len = Net::header_len(io.common);
        let mut served = false;
        while let Some(mut chain) = io.pop(TX) {
            let mut header = [0; 12];
            let result = chain.readable.read(io.cx, &mut header[..header_len]);
            let Some(got) = io.check(TX, result) else { return };
            let len = chain.readable.left();
            if got < header_len || len < MIN_FRAME as u64 || len > MAX_FRAME as u64 {
                io.cx.guest_error(format_args!("transmission of {len} bytes; dropped"));
            } else if header[0] & 1 != 0 || header[1] != 0 {
                io.cx.guest_error(format_args!("transmission with offloads that were not offered; dropped"));
            } else {
                self.frame.resize(len as usize, 0);
                let result = chain.readable.read(io.cx, &mut self.frame);
                if io.check(TX, result).is_none() {
                    return;
                }
                if !self.link_down {
                    // A network may drop frames.
                    let _ = io.cx.send_frame(NETDEV, &self.frame);
                }
            }
            io.push(TX, chain, 0);
            served = true;
        }
        if served {
            io.signal(TX);
        }
    }

    fn control(&mut self, io: &mut Io<'_>) {
        let mut served = false;
        while let Some(mut chain) = io.pop(CONTROL) {
            let result = self.command(io, &mut chain);
            let Some(ack) = io.check(CONTROL, result) else { return };
            let result = chain.writable.write(io.cx, &[ack]);
            let Some(written) = io.check(CONTROL, result) else { return };
            io.push(CONTROL, chain, written as u32);
            served = true;
        }
        if served {
            io.signal(CONTROL);
        }
    }

    fn command(&mut self, io: &mut Io<'_>, chain: &mut Chain) -> Result<u8, RingError> {
        let mut head = [0; 2];
        if chain.readable.read(io.cx, &mut head)? != 2 || chain.writable.total() == 0 {
            return Err(RingError { what: "control command without command or acknowledgement", value: chain.readable.total() });
        }
        let [class, command] = head;
        let done = match (class, command) {
            (CTRL_RX, 0..6) => {
                let mut on = [0];
                let got = chain.readable.read(io.cx, &mut on)?;
                let allowed = command < 2 || io.feature(F_CTRL_RX_EXTRA);
                if got == 1 && allowed {
                    self.filter.modes[usize::from(command)] = on[0] != 0;
                }
                got == 1 && allowed
            }
            (CTRL_MAC, CTRL_MAC_ADDR_SET) if io.feature(F_CTRL_MAC_ADDR) => {
                let mut mac = [0; 6];
                let whole = chain.readable.read(io.cx, &mut mac)? == 6;
                if whole {
                    self.mac = mac;
                }
                whole
            }
            (CTRL_MAC, CTRL_MAC_TABLE_SET) => {
                let unicast = addresses(io, chain)?;
                let multicast = addresses(io, chain)?;
                if let (Some(unicast), Some(multicast)) = (unicast, multicast) {
                    (self.filter.unicast, self.filter.multicast) = (unicast, multicast);
                    true
                } else {
                    false
                }
            }
            (CTRL_ANNOUNCE, 0) => std::mem::take(&mut self.announce),
            _ => {
                io.cx.unimplemented(format_args!("network control command {class}.{command}"));
                false
            }
        };
        Ok(if done { CTRL_OK } else { CTRL_ERR })
    }
}

/// Puts header and frame into chains that have room for them; gives how much went into each.
fn fill(io: &mut Io<'_>, frame: &[u8], header_len: usize, chains: &mut [Chain]) -> Result<Vec<u32>, RingError> {
    let mut header = [0; 12];
    header[10..].copy_from_slice(&io.order().bytes16(chains.len() as u16));
    let (mut header, mut rest) = (&header[..header_len], frame);
    let mut lengths = Vec::with_capacity(chains.len());
    for chain in chains {
        let mut written = chain.writable.write(io.cx, header)?;
        header = &header[written..];
        if header.is_empty() {
            let n = chain.writable.write(io.cx, rest)?;
            rest = &rest[n..];
            written += n;
        }
        lengths.push(written as u32);
    }
    Ok(lengths)
}

/// Reads a counted list of addresses, of which one more than fit are kept.
fn addresses(io: &mut Io<'_>, chain: &mut Chain) -> Result<Option<Vec<[u8; 6]>>, RingError> {
    let mut count = [0; 4];
    chain.readable.read(io.cx, &mut count)?;
    let count = u64::from(io.order().number32(count));
    if count * 6 > chain.readable.left() {
        return Ok(None);
    }
    let mut list = Vec::new();
    for _ in 0..count.min(MAX_FILTER as u64 + 1) {
        let mut mac = [0; 6];
        chain.readable.read(io.cx, &mut mac)?;
        list.push(mac);
    }
    chain.readable.skip(6 * (count - list.len() as u64));
    Ok(Some(list))
}

impl VirtioDevice for Net {
    const TYPE: u16 = 1;
    const CONFIG_LEN: u64 = 12;
    /// Network, Ethernet.
    const PCI_CLASS: u32 = 0x02_0000;

    /// For three queues, which it need not have, and the configuration, as in QEMU since 7.0.
    fn vectors(_: &Props) -> u64 {
        4
    }

    fn queues(&self) -> Vec<u16> {
        let [rx, tx] = self.queue_sizes;
        if self.control { vec![rx, tx, CONTROL_SIZE] } else { vec![rx, tx] }
    }

    fn features(&self, _: &dyn Services) -> u64 {
        let control = self.control;
        [
            (F_MTU, self.mtu != 0),
            (F_MAC, true),
            (F_MRG_RXBUF, self.mergeable),
            (F_STATUS, self.status),
            (F_CTRL_VQ, control),
            (F_CTRL_RX, control),
            (F_CTRL_RX_EXTRA, control),
            (F_GUEST_ANNOUNCE, control && self.status),
            (F_CTRL_MAC_ADDR, control),
        ]
        .into_iter()
        .fold(0, |features, (bit, on)| features | u64::from(on) << bit)
    }

    fn config(&self, _: &dyn Services, order: ByteOrder) -> Vec<u8> {
        let status = if self.link_down { 0 } else { STATUS_LINK_UP } | if self.announce { STATUS_ANNOUNCE } else { 0 };
        let mut c = self.mac.to_vec();
        for field in [status, 1, self.mtu] {
            c.extend(order.bytes16(field));
        }
        c
    }

    fn write_config(&mut self, io: &mut Io<'_>, at: u64, bytes: &[u8]) {
        // The legacy way to set the address (§5.1.4.2).
        let range = at as usize..at as usize + bytes.len();
        match self.mac.get_mut(range) {
            Some(place) if !io.common.modern() => place.copy_from_slice(bytes),
            _ => io.cx.guest_error(format_args!("write to read-only configuration space at {at:#x}")),
        }
    }

    fn notify(&mut self, io: &mut Io<'_>, queue: usize) {
        match queue {
            RX => self.deliver(io),
            TX => self.transmit(io),
            _ => self.control(io),
        }
    }

    fn event(&mut self, io: &mut Io<'_>, event: Event<'_>) {
        match event {
            Event::Frame(NETDEV, frame) => {
                let Some(to) = frame.first_chunk().filter(|_| (MIN_FRAME..=MAX_FRAME).contains(&frame.len())) else { return };
                // Without a driver, and past the filter, frames are lost as on any wire.
                if self.link_down || !io.common.active() || !io.common.queues[RX].ready || !self.filter.passes(&self.mac, to) {
                    return;
                }
                self.held.clear();
                self.held.extend_from_slice(frame);
                self.deliver(io);
            }
            Event::HostOpen(NETDEV, open) if open == self.link_down => {
                self.link_down = !open;
                if open && io.feature(F_GUEST_ANNOUNCE) {
                    self.announce = true;
                }
                if io.feature(F_STATUS) {
                    io.config_changed();
                }
            }
            _ => {}
        }
    }

    fn ready(&self, _: &Common, _: usize) -> usize {
        usize::from(self.held.is_empty())
    }
}

const fn property(name: &'static str, kind: PropertyKind, default: PropertyDefault, doc: &'static str) -> PropertyDecl {
    PropertyDecl { name, kind, default, doc }
}

/// Properties of a network device, whatever carries it.
const PROPERTIES: &[PropertyDecl] = &[
    property("netdev", PropertyKind::Netdev, PropertyDefault::None, "Name of the network back end"),
    property("mac", PropertyKind::Mac, PropertyDefault::Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]), "Ethernet address"),
    property("mrg_rxbuf", PropertyKind::Bool, PropertyDefault::Bool(true), "Offer frames over several buffers"),
    property("status", PropertyKind::Bool, PropertyDefault::Bool(true), "Offer the state of the link"),
    property("ctrl_vq", PropertyKind::Bool, PropertyDefault::Bool(true), "Offer the control queue"),
    property("host_mtu", PropertyKind::U64, PropertyDefault::U64(0), "Longest packet to tell the driver, 0 for none"),
    property("rx_queue_size", PropertyKind::U64, PropertyDefault::U64(256), "Entries of the receive queue"),
    property("tx_queue_size", PropertyKind::U64, PropertyDefault::U64(256), "Entries of the transmit queue"),
];
const PORTS: &[PortDecl] = &[PortDecl { name: "netdev", kind: PortKind::Frame }];
const EXAMPLE: &[(&str, &str)] = &[("netdev", "net0")];

/// A network device on a PCI bus.
pub static VIRTIO_NET_PCI: DeviceType = DeviceType {
    properties: properties!(pci::PROPERTIES, PROPERTIES),
    ports: PORTS,
    example: EXAMPLE,
    ..Pci::<Net>::device_type("virtio-net-pci", "Virtio network device (PCI)", |props| Pci::boxed(props, Net::new(props)?))
};

/// A network device in a virtio-mmio slot.
pub static VIRTIO_NET_DEVICE: DeviceType = DeviceType {
    properties: properties!(mmio::PROPERTIES, PROPERTIES),
    ports: PORTS,
    example: EXAMPLE,
    ..mmio::device_type("virtio-net-device", "Virtio network device (virtio-mmio)", |props| Ok(Mmio::boxed(props, Net::new(props)?)))
};

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
