//! A guest for the tests: smoltcp's own stack behind a network card that is a queue.

use crate::net::{FrameSink, NetUserSpec, UserNet};
use parking_lot::{Condvar, Mutex};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::{dhcpv4, tcp, udp};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Cidr};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// The guest's receive queue.
pub struct Card {
    frames: Mutex<VecDeque<Vec<u8>>>,
    arrived: Condvar,
    capacity: AtomicUsize,
    refused: AtomicBool,
    /// Every so many frames one is lost; 0 for none.
    loss: AtomicUsize,
    count: AtomicUsize,
}

impl Card {
    pub fn new(capacity: usize) -> Arc<Card> {
        Arc::new(Card {
            frames: Mutex::default(),
            arrived: Condvar::new(),
            capacity: AtomicUsize::new(capacity),
            refused: AtomicBool::new(false),
            loss: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
        })
    }

    pub fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::SeqCst);
    }

    /// Loses one frame in so many, in both directions.
    pub fn set_loss(&self, one_in: usize) {
        self.loss.store(one_in, Ordering::SeqCst);
    }

    fn loses(&self) -> bool {
        let loss = self.loss.load(Ordering::SeqCst);
        loss != 0 && self.count.fetch_add(1, Ordering::SeqCst) % loss == loss - 1
    }

    pub fn len(&self) -> usize {
        self.frames.lock().len()
    }

    fn wait(&self, at_most: Duration) {
        let mut frames = self.frames.lock();
        if frames.is_empty() {
            self.arrived.wait_for(&mut frames, at_most);
        }
    }

    /// Takes a frame where no network waits for room.
    pub fn take_frame(&self) -> Option<Vec<u8>> {
        self.frames.lock().pop_front()
    }

    /// Waits for a frame, but not for long.
    pub fn wait_a_little(&self) {
        self.wait(Duration::from_millis(5));
    }

    /// Takes a frame, and tells the network when it waits for room.
    pub fn take(&self, net: &UserNet) -> Option<Vec<u8>> {
        let frame = self.frames.lock().pop_front();
        if self.refused.swap(false, Ordering::SeqCst) {
            net.guest_ready();
        }
        frame
    }

    /// The first frame that `wanted` makes something of; others are dropped.
    pub fn find<T>(&self, net: &UserNet, mut wanted: impl FnMut(&[u8]) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            match self.take(net) {
                Some(frame) => {
                    if let Some(found) = wanted(&frame) {
                        return found;
                    }
                }
                None => self.wait(Duration::from_millis(100)),
            }
            assert!(start.elapsed() < PATIENCE, "the frame did not come");
        }
    }
}

impl FrameSink for Card {
    fn receive(&self, frame: &[u8]) -> bool {
        let mut frames = self.frames.lock();
        if frames.len() >= self.capacity.load(Ordering::SeqCst) {
            self.refused.store(true, Ordering::SeqCst);
            return false;
        }
        if !self.loses() {
            frames.push_back(frame.to_vec());
        }
        self.arrived.notify_one();
        true
    }
}

pub struct Device {
    pub card: Arc<Card>,
    pub net: Arc<UserNet>,
}

impl phy::Device for Device {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Transmit<'_>)> {
        let frame = self.card.take(&self.net)?;
        Some((Received(frame), Transmit(self)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Transmit<'_>> {
        Some(Transmit(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

pub struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub struct Transmit<'a>(&'a Device);

impl phy::TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        if !self.0.card.loses() {
            self.0.net.send(&frame, &mut |answer| self.0.card.receive(&answer));
        }
        result
    }
}

pub struct Guest {
    pub device: Device,
    pub iface: Interface,
    pub sockets: SocketSet<'static>,
    start: Instant,
    next_port: u16,
}

pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

impl Guest {
    /// A guest that has no address yet.
    pub fn bare(spec: NetUserSpec) -> Guest {
        let card = Card::new(256);
        let net = UserNet::start(spec, Arc::clone(&card) as Arc<dyn FrameSink>).unwrap();
        let mut device = Device { card, net: Arc::new(net) };
        let mut config = Config::new(EthernetAddress(MAC).into());
        config.random_seed = 1;
        let iface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
        let sockets = SocketSet::new(Vec::new());
        Guest { device, iface, sockets, start: Instant::now(), next_port: 40000 }
    }

    /// A guest with the address that DHCP would give it.
    pub fn new(spec: NetUserSpec) -> Guest {
        let mut guest = Guest::bare(spec);
        guest.configure(Ipv4Cidr::new(ADDRESS, 24), Some(GATEWAY));
        guest
    }

    /// The same on a default network.
    pub fn with(options: &str) -> Guest {
        Guest::new(NetUserSpec::parse(options).unwrap())
    }

    pub fn configure(&mut self, address: Ipv4Cidr, router: Option<Ipv4Addr>) {
        self.iface.update_ip_addrs(|addresses| {
            addresses.clear();
            addresses.push(IpCidr::Ipv4(address)).unwrap();
        });
        if let Some(router) = router {
            self.iface.routes_mut().add_default_ipv4_route(router).unwrap();
        }
    }

    pub fn net(&self) -> &UserNet {
        &self.device.net
    }

    /// Runs the guest's stack once.
    pub fn poll(&mut self) {
        let now = self.start.elapsed().as_micros() as i64;
        let now = smoltcp::time::Instant::from_micros(now);
        self.iface.poll(now, &mut self.device, &mut self.sockets);
    }

    /// Runs the guest until `done` yields something.
    pub fn until<T>(&mut self, mut done: impl FnMut(&mut Guest) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            self.poll();
            if let Some(result) = done(self) {
                self.poll();
                return result;
            }
            assert!(start.elapsed() < PATIENCE, "the guest waited in vain");
            let now = self.start.elapsed().as_micros() as i64;
            let now = smoltcp::time::Instant::from_micros(now);
            let delay = self.iface.poll_delay(now, &self.sockets);
            let delay = delay.map_or(PATIENCE, |d| Duration::from_micros(d.total_micros()));
            if delay > Duration::ZERO {
                self.device.card.wait(delay.min(Duration::from_millis(20)));
            }
        }
    }

    /// Gets an address by DHCP.
    pub fn dhcp(&mut self) -> (Ipv4Cidr, Option<Ipv4Addr>, Vec<Ipv4Addr>) {
        let handle = self.sockets.add(dhcpv4::Socket::new());
        let result = self.until(|guest| match guest.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            Some(dhcpv4::Event::Configured(c)) => Some((c.address, c.router, c.dns_servers.iter().copied().collect())),
            _ => None,
        });
        self.sockets.remove(handle);
        self.configure(result.0, result.1);
        result
    }

    pub fn tcp(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 256 << 10]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        self.sockets.add(socket)
    }

    /// Begins a connection.
    pub fn connect(&mut self, to: SocketAddrV4) -> SocketHandle {
        let handle = self.tcp();
        self.next_port += 1;
        let remote = IpEndpoint::new(IpAddress::Ipv4(*to.ip()), to.port());
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.connect(self.iface.context(), remote, self.next_port).unwrap();
        handle
    }

    pub fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Waits until a connection stands.
    pub fn established(&mut self, handle: SocketHandle) {
        self.until(|guest| guest.socket(handle).may_send().then_some(()));
    }

    /// Sends everything while taking whatever comes; then closes if told so, and reads to the
    /// end if told so.
    pub fn exchange(&mut self, handle: SocketHandle, data: &[u8], close: bool, read: bool) -> Vec<u8> {
        let mut received = Vec::new();
        let mut sent = 0;
        let mut closed = false;
        self.until(|guest| {
            let socket = guest.sockets.get_mut::<tcp::Socket<'_>>(handle);
            while sent < data.len() && socket.can_send() {
                sent += socket.send_slice(&data[sent..]).unwrap();
            }
            if sent == data.len() && close && !closed {
                socket.close();
                // As in the network itself: or a lost FIN might never be sent again.
                socket.set_keep_alive(Some(smoltcp::time::Duration::from_secs(1)));
                closed = true;
            }
            while socket.can_recv() {
                socket.recv(|bytes| (bytes.len(), received.extend_from_slice(bytes))).unwrap();
            }
            let all_sent = sent == data.len() && socket.send_queue() == 0;
            let at_end = !socket.may_recv() && socket.state() != tcp::State::SynSent && socket.state() != tcp::State::SynReceived;
            (all_sent && (!read || at_end)).then_some(())
        });
        received
    }

    pub fn udp(&mut self, port: u16) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 65536]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).unwrap();
        self.sockets.add(socket)
    }

    pub fn send_to(&mut self, handle: SocketHandle, data: &[u8], to: SocketAddrV4) {
        let to = IpEndpoint::new(IpAddress::Ipv4(*to.ip()), to.port());
        self.sockets.get_mut::<udp::Socket<'_>>(handle).send_slice(data, to).unwrap();
        self.poll();
    }

    pub fn receive_from(&mut self, handle: SocketHandle) -> (Vec<u8>, SocketAddrV4) {
        self.until(|guest| {
            let (data, from) = guest.sockets.get_mut::<udp::Socket<'_>>(handle).recv().ok()?;
            let IpAddress::Ipv4(address) = from.endpoint.addr;
            Some((data.to_vec(), SocketAddrV4::new(address, from.endpoint.port)))
        })
    }
}
