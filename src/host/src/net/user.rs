//! [`UserNet`]: the queue between the guest and the network's thread, and that thread.

use super::icmp::{self, Pings};
use super::ipv4::{Datagram, ETHERNET, ICMP, Packet, Reassembly, TCP, UDP};
use super::router::Router;
use super::spec::{Forward, NetUserSpec, Protocol};
use super::tcp::{Tcp, Tuple};
use super::udp::Udp;
use super::{FrameSink, NetBackend, NetError};
use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::AsFd;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of frames from the guest that may wait for the network's thread.
const QUEUE: usize = 8 << 20;
/// The longest frame taken from the guest.
const LONGEST: usize = ETHERNET + 0xffff;
/// How often idle flows are looked for.
const EXPIRY: Duration = Duration::from_secs(1);

/// What the guest's side and the network's thread share.
pub(super) struct Shared {
    frames: Mutex<Queue>,
    /// Taken for as long as one frame takes, and by the thread while it works, never while it
    /// waits or hands frames to the guest.
    pub(super) router: Mutex<Router>,
    /// The thread is, or is about to be, asleep in `poll` and must be woken.
    asleep: AtomicBool,
    /// The guest has buffers again.
    pub(super) guest_ready: AtomicBool,
    stop: AtomicBool,
    waker: UnixStream,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Shared {
    fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // A full pipe wakes as well.
            let _ = (&self.waker).write(&[1]);
        }
    }

    fn has_work(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.guest_ready.load(Ordering::SeqCst) || !self.frames.lock().frames.is_empty()
    }
}

/// A user-mode network: the gateway, the DHCP server and the DNS forwarder behind a guest's
/// network card, with the host's own sockets behind them.
///
/// Dropping it ends its thread and waits for it, so it must not be dropped with a lock held that
/// [`FrameSink::receive`] takes.
pub struct UserNet {
    shared: Arc<Shared>,
    spec: NetUserSpec,
    thread: Option<JoinHandle<()>>,
    forwards: Vec<Forward>,
    notices: Vec<String>,
}

impl UserNet {
    /// Opens the forwarded ports and starts the network's thread.
    pub fn start(spec: NetUserSpec, sink: Arc<dyn FrameSink>) -> Result<UserNet, NetError> {
        let (engine, forwards) = Engine::new(spec, sink)?;
        let (shared, spec) = (Arc::clone(&engine.shared), engine.spec.clone());
        let notices = forwards.iter().filter(|(_, chosen)| *chosen);
        let id = engine.spec.id.as_deref().unwrap_or("user network");
        let notices = notices.map(|(rule, _)| format!("{id}: forwarding {rule}")).collect();
        let thread = std::thread::Builder::new()
            .name("net-user".into())
            .spawn(move || engine.run())
            .map_err(|source| NetError::Host { what: "start a thread", source })?;
        let forwards = forwards.into_iter().map(|(rule, _)| rule).collect();
        Ok(UserNet { shared, spec, thread: Some(thread), forwards, notices })
    }

    /// The forwarded ports, with the port that was chosen where the rule said 0.
    pub fn forwards(&self) -> Vec<Forward> {
        self.forwards.clone()
    }

    /// Lines for the user: one for each forwarded port that was chosen here.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The guest transmits one Ethernet frame; see [`NetBackend::send`].
    pub fn send(&self, frame: &[u8], answer: &mut dyn FnMut(Vec<u8>) -> bool) {
        if !(ETHERNET..=LONGEST).contains(&frame.len()) || Router::concerns(&self.spec, frame) && self.answers(frame, answer) {
            return;
        }
        let copy = frame.to_vec();
        {
            let mut queue = self.shared.frames.lock();
            if queue.bytes + frame.len() > QUEUE {
                return;
            }
            queue.bytes += frame.len();
            queue.frames.push_back(copy);
        }
        self.shared.wake();
    }

    /// Lets the router answer a frame; false if it has no answer.
    fn answers(&self, frame: &[u8], answer: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
        let mut router = self.shared.router.lock();
        router.link.now = Instant::now();
        let waiting = !router.link.out.is_empty();
        let done = router.frame(frame).is_none();
        // What waits already goes first, by way of the thread.
        while !waiting && let Some(frame) = router.link.out.pop_front() {
            if !answer(frame) {
                break;
            }
        }
        let left = !router.link.out.is_empty();
        drop(router);
        if left {
            self.shared.wake();
        }
        done
    }

    /// The guest has receive buffers again; see [`NetBackend::guest_ready`].
    pub fn guest_ready(&self) {
        self.shared.guest_ready.store(true, Ordering::SeqCst);
        self.shared.wake();
    }
}

impl NetBackend for UserNet {
    fn send(&self, frame: &[u8], answer: &mut dyn FnMut(Vec<u8>) -> bool) {
        UserNet::send(self, frame, answer);
    }

    fn guest_ready(&self) {
        UserNet::guest_ready(self);
    }
}

impl Drop for UserNet {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the user network's thread had failed");
        }
    }
}

/// What a guest's packet is addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// The gateway, which stands for the host's loopback address.
    Gateway,
    /// The DNS forwarder.
    Dns,
    /// A host outside.
    World,
    /// An address of the guest's network where nobody is.
    Nowhere,
    /// Broadcast, multicast, loopback: nothing that a router would pass on.
    Ignored,
}

/// Classifies the destination of a guest's packet.
pub(super) fn destination(network: &NetUserSpec, to: Ipv4Addr) -> Destination {
    let [first, ..] = to.octets();
    if to == network.host {
        Destination::Gateway
    } else if to == network.dns {
        Destination::Dns
    } else if matches!(first, 0 | 127 | 224..=255) || to == network.broadcast() || to == network.network {
        Destination::Ignored
    } else if network.contains(to) {
        Destination::Nowhere
    } else {
        Destination::World
    }
}

/// Which socket a poll result belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    Waker,
    TcpListener(usize),
    Tcp(Tuple),
    Udp(SocketAddrV4),
    UdpForward(usize),
    Dns(SocketAddrV4),
    Ping(usize),
}

/// The sockets to wait for.
#[derive(Default)]
pub(super) struct Poll<'a> {
    fds: Vec<PollFd<'a>>,
    tokens: Vec<Token>,
}

impl<'a> Poll<'a> {
    pub(super) fn add<F: AsFd>(&mut self, socket: &'a F, events: PollFlags, token: Token) {
        self.fds.push(PollFd::new(socket, events));
        self.tokens.push(token);
    }
}

/// The network's thread.
pub(super) struct Engine {
    pub(super) shared: Arc<Shared>,
    sink: Arc<dyn FrameSink>,
    woken: UnixStream,
    /// The guest had no buffer for the frame at the head of the queue.
    blocked: bool,
    spec: NetUserSpec,
    tcp: Tcp,
    udp: Udp,
    pings: Pings,
    fragments: Reassembly,
    expired: Instant,
    /// There is something that will expire.
    expiring: bool,
    scratch: Vec<u8>,
}

impl Engine {
    /// Opens the forwarded ports; says of each which it became and whether it was chosen here.
    pub(super) fn new(spec: NetUserSpec, sink: Arc<dyn FrameSink>) -> Result<(Engine, Vec<(Forward, bool)>), NetError> {
        let host = |what| move |source| NetError::Host { what, source };
        let (waker, woken) = UnixStream::pair().map_err(host("make a socket pair"))?;
        for end in [&waker, &woken] {
            end.set_nonblocking(true).map_err(host("make a socket non-blocking"))?;
        }
        let mut seed = [0; 8];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).map_err(|error| host("get random numbers")(error.into()))?;

        let now = Instant::now();
        let mut router = Router::new(&spec, now);
        let mut tcp = Tcp::new(&spec, &mut router.link, u64::from_ne_bytes(seed));
        let mut udp = Udp::new(spec.resolver);
        let mut forwards = Vec::new();
        for rule in &spec.forwards {
            let opened = match rule.protocol {
                Protocol::Tcp => tcp.listen(rule),
                Protocol::Udp => udp.listen(rule),
            };
            let opened = opened.map_err(|source| NetError::Forward { rule: rule.to_string(), address: rule.host, source })?;
            tracing::info!("user network: forwarding {opened}");
            forwards.push((opened, rule.host.port() == 0));
        }
        let engine = Engine {
            shared: Arc::new(Shared {
                frames: Mutex::default(),
                router: Mutex::new(router),
                asleep: AtomicBool::new(false),
                guest_ready: AtomicBool::new(false),
                stop: AtomicBool::new(false),
                waker,
            }),
            sink,
            woken,
            blocked: false,
            tcp,
            udp,
            pings: Pings::default(),
            fragments: Reassembly::default(),
            spec,
            expired: now,
            expiring: false,
            scratch: vec![0; 0x10000],
        };
        Ok((engine, forwards))
    }

    fn run(mut self) {
        let mut ready = Vec::new();
        while !self.shared.stop.load(Ordering::SeqCst) {
            self.step(&mut ready);
            if let Err(error) = self.wait(&mut ready) {
                tracing::error!("the user network stops: poll: {error}");
                return;
            }
        }
    }

    /// Does all that can be done without waiting.
    pub(super) fn step(&mut self, ready: &mut Vec<(Token, PollFlags)>) {
        let frames = {
            let mut queue = self.shared.frames.lock();
            queue.bytes = 0;
            std::mem::take(&mut queue.frames)
        };
        let shared = Arc::clone(&self.shared);
        let mut router = shared.router.lock();
        router.link.now = Instant::now();
        for frame in &frames {
            self.frame(&mut router, frame);
        }
        for (token, events) in ready.drain(..) {
            self.ready(&mut router, token, events);
        }
        self.tcp.advance(&mut router.link, &self.spec);
        self.flush(router);
        self.expire(&mut shared.router.lock());
    }

    /// Hands frames to the guest as long as it takes them.
    fn flush(&mut self, mut router: MutexGuard<'_, Router>) {
        if self.shared.guest_ready.swap(false, Ordering::SeqCst) {
            self.blocked = false;
        }
        while !self.blocked
            && let Some(frame) = router.link.out.pop_front()
        {
            let taken = MutexGuard::unlocked(&mut router, || self.sink.receive(&frame));
            if !taken {
                router.link.out.push_front(frame);
                // It may have become ready between its answer and now.
                self.blocked = !self.shared.guest_ready.swap(false, Ordering::SeqCst);
            }
        }
    }

    fn expire(&mut self, router: &mut Router) {
        let now = router.link.now;
        if now.duration_since(self.expired) >= EXPIRY {
            self.expired = now;
            router.link.ask_again();
            self.expiring = self.udp.expire(now) | self.pings.expire(now) | self.tcp.resume_listening();
        }
    }

    /// Waits until there is something to do, and collects what the host's sockets are ready for.
    pub(super) fn wait(&mut self, ready: &mut Vec<(Token, PollFlags)>) -> io::Result<()> {
        let (room, awaiting, now) = {
            let router = self.shared.router.lock();
            (router.link.has_room(), router.link.is_awaiting(), router.link.now)
        };
        // Without room for frames smoltcp can do nothing; the guest wakes this thread.
        let mut timeout = if room { self.tcp.delay(now) } else { None };
        if self.expiring || awaiting {
            timeout = Some(timeout.unwrap_or(EXPIRY).min(EXPIRY));
        }
        let mut polls = Poll::default();
        polls.add(&self.woken, PollFlags::IN, Token::Waker);
        self.tcp.poll(&mut polls);
        self.udp.poll(&mut polls, room);
        self.pings.poll(&mut polls, room);

        // Only once this is set do senders wake; so what came before must be looked for after.
        self.shared.asleep.store(true, Ordering::SeqCst);
        if self.shared.has_work() {
            timeout = Some(Duration::ZERO);
        }
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        let result = rustix::event::poll(&mut polls.fds, timeout.as_ref());
        self.shared.asleep.store(false, Ordering::SeqCst);
        match result {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for (fd, token) in polls.fds.iter().zip(&polls.tokens) {
            if !fd.revents().is_empty() {
                ready.push((*token, fd.revents()));
            }
        }
        Ok(())
    }

    /// Sees to a socket that is ready.
    fn ready(&mut self, router: &mut Router, token: Token, events: PollFlags) {
        let (link, spec, scratch) = (&mut router.link, &self.spec, &mut self.scratch[..]);
        match token {
            Token::Waker => while matches!((&self.woken).read(scratch), Ok(1..)) {},
            Token::TcpListener(n) => {
                self.expiring = true;
                self.tcp.listener_ready(n);
            }
            Token::Tcp(tuple) => self.tcp.ready(link, spec, &tuple, events),
            Token::Udp(guest) => {
                self.expiring = true;
                self.udp.ready(guest, link, spec, scratch);
            }
            Token::UdpForward(n) => self.udp.forward_ready(n, link, spec, scratch),
            Token::Dns(guest) => self.udp.dns_ready(guest, link, spec, scratch),
            Token::Ping(n) => self.pings.ready(n, link, scratch),
        }
    }

    /// Takes a frame from the guest.
    pub(super) fn frame(&mut self, router: &mut Router, frame: &[u8]) {
        let Some(packet) = router.frame(frame) else { return };
        if !packet.is_fragment() {
            return self.outside(router, &packet);
        }
        if let Some(whole) = self.fragments.add(&packet, router.link.now)
            && let Some(packet) = Packet::parse(&whole)
            && !router.serve(&packet)
        {
            self.outside(router, &packet);
        }
    }

    /// Takes a packet that is not for the router itself.
    fn outside(&mut self, router: &mut Router, packet: &Packet<'_>) {
        let (link, spec) = (&mut router.link, &self.spec);
        match packet.protocol {
            UDP => {
                if let Some(datagram) = Datagram::parse(packet.src, packet.dst, packet.payload) {
                    self.expiring = true;
                    self.udp.receive(link, spec, packet, &datagram);
                }
            }
            TCP => {
                let (udp, now) = (&mut self.udp, link.now);
                self.tcp.receive(link, spec, packet, || udp.resolver(now));
            }
            ICMP => {
                self.expiring = true;
                self.pings.receive(link, spec, packet);
            }
            _ if destination(spec, packet.dst) != Destination::Ignored => {
                icmp::unreachable(link, spec, packet, icmp::PROTOCOL);
            }
            _ => {}
        }
    }
}
