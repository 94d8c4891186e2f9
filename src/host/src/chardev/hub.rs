//! The set of back ends and the one thread that moves their bytes.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::link::{self, Link, Side};
use super::port::{Mode, Port, QUEUE};
use super::socket::Socket;
use super::{Attached, CharError, CharKind, CharSpec, Chardev, Control, Sink, Terminals};

/// How much is moved at a time, so that no back end keeps the thread for long.
const CHUNK: usize = 16 << 10;

/// The escape character of a shared back end: Ctrl-A.
const ESCAPE: u8 = 1;

/// What both sides share.
pub(super) struct Hub {
    waker: OwnedFd,
    stop: AtomicBool,
    escape: AtomicU8,
    /// Back ends that the host thread has yet to take over.
    inbox: Mutex<Vec<Running>>,
    ports: Mutex<BTreeMap<String, Entry>>,
    terminals: Terminals,
    stdio_taken: AtomicBool,
    control: Box<dyn Fn(Control) + Send + Sync>,
}

struct Entry {
    port: Arc<Port>,
    filename: String,
}

/// One back end as `info chardev` and `query-chardev` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharInfo {
    /// Its name.
    pub label: String,
    /// What it is connected to, for instance `pty:/dev/pts/3`.
    pub filename: String,
    /// A front end has it.
    pub used: bool,
}

/// The character back ends of one emulator. Dropping it closes them and restores the terminal.
pub struct Chardevs {
    hub: Arc<Hub>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    pub(super) fn wake(&self) {
        // The counter cannot overflow in practice, and if it did the thread would be awake.
        let _ = rustix::io::write(&self.waker, &1u64.to_ne_bytes());
    }

    pub(super) fn flush(&self, port: &Port, limit: Duration) -> bool {
        self.wake();
        let now = Instant::now();
        port.wait_drained(now.checked_add(limit).unwrap_or(now + Duration::from_secs(86_400)))
    }
}

impl Chardevs {
    /// Starts the host thread. `control` is called on it with the user's commands to the emulator.
    pub fn new(control: impl Fn(Control) + Send + Sync + 'static) -> Result<Self, CharError> {
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| CharError::host("make an event descriptor", e))?;
        let hub = Arc::new(Hub {
            waker,
            stop: AtomicBool::new(false),
            escape: AtomicU8::new(ESCAPE),
            inbox: Mutex::default(),
            ports: Mutex::default(),
            terminals: Terminals::default(),
            stdio_taken: AtomicBool::new(false),
            control: Box::new(control),
        });
        let shared = hub.clone();
        let thread = std::thread::Builder::new()
            .name("chardev".into())
            .spawn(move || Host { hub: shared, all: Vec::new() }.run())
            .map_err(|e| CharError::host("start the thread of the character back ends", e))?;
        Ok(Chardevs { hub, thread: Some(thread) })
    }

    /// The escape character of shared back ends (`-echr`); Ctrl-A unless set.
    pub fn set_escape(&self, character: u8) {
        self.hub.escape.store(character, Ordering::Relaxed);
        for entry in self.hub.ports.lock().values() {
            entry.port.set_escape(character);
        }
    }

    /// Makes a back end to which front ends attach later by its name (`-chardev`).
    ///
    /// Without a name it gets one that no user can give. Returns the name. Waits for the first client
    /// of a socket with `wait=on`.
    pub fn add(&self, spec: &CharSpec) -> Result<String, CharError> {
        self.add_port(spec).map(|port| port.label.clone())
    }

    fn add_port(&self, spec: &CharSpec) -> Result<Arc<Port>, CharError> {
        let label = match &spec.id {
            Some(id) => id.clone(),
            None => {
                let ports = self.hub.ports.lock();
                (0..).map(|i| format!("#{}{i}", spec.kind.name())).find(|l| !ports.contains_key(l)).unwrap_or_default()
            }
        };
        if self.hub.ports.lock().contains_key(&label) {
            return Err(CharError::Exists(label));
        }
        let log = spec.log.as_ref().map(|log| link::create(&log.path, log.append)).transpose()?;
        let (link, filename) = self.open_link(&spec.kind)?;
        let (mode, limit) = match (&link, &spec.kind) {
            (Some(link), _) => (link.mode(), QUEUE),
            (None, CharKind::Ringbuf { size }) => (Mode::Ring, *size),
            (None, _) => (Mode::Discard, QUEUE),
        };
        let opened = mode == Mode::Reader || link.is_none();
        let port = Arc::new(Port::new(label.clone(), spec.kind.name(), mode, opened, limit, log));
        port.set_writer(link.as_ref().and_then(|l| l.writer()).filter(|io| io.never_waits()).cloned());
        if spec.mux {
            port.share(self.hub.escape.load(Ordering::Relaxed));
        }
        self.hub.ports.lock().insert(label, Entry { port: port.clone(), filename });
        // A back end without a link still has a log file and events to deliver.
        let link = link.unwrap_or_else(|| Box::new(NoLink(mode)));
        self.hub.inbox.lock().push(Running { port: port.clone(), link, muted: false });
        self.hub.wake();
        Ok(port)
    }

    fn open_link(&self, kind: &CharKind) -> Result<(Option<Box<dyn Link>>, String), CharError> {
        let name = kind.name();
        Ok(match kind {
            CharKind::Null | CharKind::Ringbuf { .. } => (None, name.into()),
            CharKind::Stdio { signal } => {
                if self.hub.stdio_taken.swap(true, Ordering::Relaxed) {
                    return Err(CharError::Spec(
                        "standard input and output serve one character back end; to share it use -serial mon:stdio \
                         or -chardev stdio,id=ID,mux=on"
                            .into(),
                    ));
                }
                let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
                (Some(link::stdio(input, output, *signal, &self.hub.terminals)?), name.into())
            }
            CharKind::File { path, append, input } => (Some(link::file(path, *append, input.as_deref())?), format!("file:{}", path.display())),
            CharKind::Pty { link } => {
                let (link, slave) = link::Pty::open(link.as_deref())?;
                (Some(link), format!("pty:{slave}"))
            }
            CharKind::Socket(spec) => {
                let (link, address) = Socket::open(spec)?;
                (Some(link), address)
            }
            CharKind::Pipe { path } => (Some(link::Pipe::open(path)?), format!("pipe:{}", path.display())),
            CharKind::Tty { path } => (Some(link::tty(path)?), path.display().to_string()),
        })
    }

    /// Attaches a front end to a back end made before. Only a shared one takes more than one.
    ///
    /// The first front end of a shared back end has the focus.
    pub fn attach(&self, label: &str, sink: Arc<dyn Sink>) -> Result<Chardev, CharError> {
        let port = self.hub.ports.lock().get(label).map(|e| e.port.clone());
        let port = port.ok_or_else(|| CharError::NotFound(label.into()))?;
        self.attach_port(port, sink).map(|a| Chardev(Arc::new(a)))
    }

    fn attach_port(&self, port: Arc<Port>, sink: Arc<dyn Sink>) -> Result<Attached, CharError> {
        let at = port.attach(sink).ok_or_else(|| CharError::InUse(port.label.clone()))?;
        self.hub.wake();
        Ok(Attached { port, at, hub: self.hub.clone(), own: None })
    }

    /// Makes a back end and attaches its front end (`-serial stdio` and its like).
    pub fn open(&self, spec: &CharSpec, sink: Arc<dyn Sink>) -> Result<Chardev, CharError> {
        self.open_attached(spec, sink).map(|a| Chardev(Arc::new(a)))
    }

    pub(super) fn open_attached(&self, spec: &CharSpec, sink: Arc<dyn Sink>) -> Result<Attached, CharError> {
        let port = self.add_port(spec)?;
        self.attach_port(port, sink)
    }

    /// Closes a back end that no front end uses.
    pub fn remove(&self, label: &str) -> Result<(), CharError> {
        let mut ports = self.hub.ports.lock();
        let port = ports.get(label).map(|e| e.port.clone()).ok_or_else(|| CharError::NotFound(label.into()))?;
        if !port.remove() {
            return Err(CharError::InUse(label.into()));
        }
        ports.remove(label);
        self.hub.wake();
        Ok(())
    }

    /// All back ends, by name.
    pub fn list(&self) -> Vec<CharInfo> {
        let ports = self.hub.ports.lock();
        ports.iter().map(|(label, e)| CharInfo { label: label.clone(), filename: e.filename.clone(), used: e.port.used() }).collect()
    }

    /// The terminals in raw mode: for the thread that waits for signals, and for panics.
    pub fn terminals(&self) -> Terminals {
        self.hub.terminals.clone()
    }

    /// Gives the terminal back as it was found.
    pub fn restore_terminal(&self) {
        self.hub.terminals.restore();
    }

    /// Waits until all output of all back ends has reached the host, at most for `limit`; whether it has.
    pub fn flush(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let ports: Vec<Arc<Port>> = self.hub.ports.lock().values().map(|e| e.port.clone()).collect();
        let mut all = true;
        for port in ports {
            // Each one gets its chance, also after one that did not make it.
            all &= self.hub.flush(&port, until.saturating_duration_since(Instant::now()));
        }
        all
    }

    #[cfg(test)]
    pub(super) fn adopt(&self, port: Arc<Port>, link: Box<dyn Link>, filename: &str) {
        let entry = Entry { port: port.clone(), filename: filename.into() };
        self.hub.ports.lock().insert(port.label.clone(), entry);
        self.hub.inbox.lock().push(Running { port, link, muted: false });
        self.hub.wake();
    }
}

impl Drop for Chardevs {
    fn drop(&mut self) {
        self.hub.stop.store(true, Ordering::Release);
        self.hub.wake();
        if let Some(thread) = self.thread.take()
            // The last handle may be dropped by a sink, which runs on that thread.
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
        self.hub.terminals.restore();
    }
}

/// A back end without a descriptor.
struct NoLink(Mode);

impl Link for NoLink {
    fn reader(&self) -> Option<&link::Io> {
        None
    }

    fn writer(&self) -> Option<&link::Io> {
        None
    }

    fn mode(&self) -> Mode {
        self.0
    }

    fn lost(&mut self, _: Side, _: Option<rustix::io::Errno>) -> bool {
        true
    }
}

/// A back end on the host thread.
struct Running {
    port: Arc<Port>,
    link: Box<dyn Link>,
    /// The peer has hung up while nothing was wanted of it; polling it would not wait.
    muted: bool,
}

/// What a polled descriptor is to its back end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Waker,
    Watch(usize),
    Read(usize),
    Write(usize),
}

struct Host {
    hub: Arc<Hub>,
    all: Vec<Running>,
}

impl Host {
    fn run(mut self) {
        let mut buffer = vec![0; CHUNK];
        while !self.hub.stop.load(Ordering::Acquire) {
            for (role, events) in self.wait() {
                match role {
                    Role::Waker => {
                        let _ = rustix::io::read(&self.hub.waker, &mut [0; 8]);
                    }
                    Role::Watch(i) => self.all[i].establish(),
                    Role::Read(i) => self.all[i].read(events, &mut buffer),
                    Role::Write(i) => self.all[i].write(events, &mut buffer),
                }
            }
            // After the waker has been read: whoever wakes from now on is heard in the next round.
            self.take_over();
            let now = Instant::now();
            for running in &mut self.all {
                if running.link.deadline().is_some_and(|d| d <= now) {
                    running.establish();
                }
                running.port.write_log();
                running.port.deliver(&*self.hub.control);
            }
        }
        self.take_over();
        for running in &mut self.all {
            running.finish(&mut buffer);
        }
    }

    fn take_over(&mut self) {
        self.all.append(&mut self.hub.inbox.lock());
        // Dropping a link closes it.
        self.all.retain(|r| !r.port.removed());
    }

    /// Waits until something is to be done.
    fn wait(&self) -> Vec<(Role, PollFlags)> {
        let mut roles = vec![Role::Waker];
        let mut fds: Vec<(Arc<OwnedFd>, PollFlags)> = Vec::new();
        let mut deadline: Option<Instant> = None;
        for (i, r) in self.all.iter().enumerate() {
            deadline = [deadline, r.link.deadline()].into_iter().flatten().min();
            if let Some(watch) = r.link.watch() {
                roles.push(Role::Watch(i));
                fds.push(watch);
            }
            let wants = r.port.wants_input();
            if let Some(io) = r.link.reader().filter(|_| wants) {
                roles.push(Role::Read(i));
                fds.push((io.fd.clone(), PollFlags::IN));
            }
            let has = r.port.has_output();
            // Without output it is polled for a hang-up, unless reading will show that.
            let shown = wants && r.one_descriptor();
            if let Some(io) = r.link.writer().filter(|_| has || !(r.muted || shown)) {
                roles.push(Role::Write(i));
                fds.push((io.fd.clone(), if has { PollFlags::OUT } else { PollFlags::empty() }));
            }
        }
        let mut polled = vec![PollFd::new(&self.hub.waker, PollFlags::IN)];
        polled.extend(fds.iter().map(|(fd, flags)| PollFd::new(&**fd, *flags)));
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        // Rounded up, so that the deadline has passed when the wait is over.
        let left = left.map(|d| Timespec { tv_sec: d.as_secs().min(1 << 30) as i64, tv_nsec: d.subsec_nanos().into() });
        match poll(&mut polled, left.as_ref()) {
            Ok(_) => {
                let fired = roles.into_iter().zip(polled.iter().map(PollFd::revents));
                fired.filter(|(_, events)| !events.is_empty()).collect()
            }
            // Interrupted, or short of memory: the next round asks again.
            Err(_) => Vec::new(),
        }
    }
}

impl Running {
    /// The link may have gained or lost its other side.
    fn mode_changed(&mut self) {
        self.muted = false;
        self.port.set_writer(self.link.writer().filter(|io| io.never_waits()).cloned());
        let mode = self.link.mode();
        self.port.set_mode(mode, mode == Mode::Reader);
    }

    fn one_descriptor(&self) -> bool {
        match (self.link.reader(), self.link.writer()) {
            (Some(reader), Some(writer)) => Arc::ptr_eq(&reader.fd, &writer.fd),
            _ => false,
        }
    }

    fn establish(&mut self) {
        self.link.establish();
        self.mode_changed();
    }

    fn read(&mut self, events: PollFlags, buffer: &mut [u8]) {
        let Some(io) = self.link.reader() else { return };
        if !self.port.wants_input() {
            return;
        }
        match io.read(buffer.get_mut(..4096).unwrap_or_default()) {
            Ok(Some(n)) if n > 0 => self.port.input(&buffer[..n]),
            Ok(None) if self.link.hangup_is_loss() && events.intersects(PollFlags::HUP | PollFlags::ERR) => {
                self.lost(Side::Read, None);
            }
            Ok(None) => {}
            Ok(Some(_)) => self.lost(Side::Read, None),
            Err(e) => self.lost(Side::Read, Some(e)),
        }
    }

    fn write(&mut self, events: PollFlags, buffer: &mut [u8]) {
        let Some(io) = self.link.writer() else { return };
        let gone = events.intersects(PollFlags::HUP | PollFlags::ERR);
        if gone && self.link.hangup_is_loss() {
            if self.one_descriptor() && self.port.wants_input() {
                // What the peer wrote before it went is read first; then reading shows the end.
                return;
            }
            self.lost(Side::Write, None);
            return;
        }
        if !self.port.has_output() {
            self.muted = gone;
            return;
        }
        let n = self.port.take_chunk(buffer);
        match io.write(&buffer[..n]) {
            Ok(written) => self.port.written(written),
            Err(e) => {
                let discard = self.link.lost(Side::Write, Some(e));
                self.port.written(if discard { n } else { 0 });
                self.mode_changed();
            }
        }
    }

    fn lost(&mut self, side: Side, error: Option<rustix::io::Errno>) {
        let had_input = self.link.reader().is_some();
        self.link.lost(side, error);
        self.mode_changed();
        if had_input && self.link.reader().is_none() && self.link.mode() != Mode::Ring {
            self.port.input_ended();
        }
    }

    /// The last chance for output that nobody has waited for.
    fn finish(&mut self, buffer: &mut [u8]) {
        self.port.write_log();
        while self.port.has_output() {
            let Some(io) = self.link.writer() else { break };
            let n = self.port.take_chunk(buffer);
            match io.write(&buffer[..n]) {
                Ok(written) if written > 0 => self.port.written(written),
                _ => break,
            }
        }
        self.port.kill();
    }
}
