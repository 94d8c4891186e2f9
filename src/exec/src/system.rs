//! What the cores of one machine tell each other: TLB maintenance that is broadcast, code that
//! was written, cores that are started and stopped.

use parking_lot::Mutex;
use proteus_model::{CoreId, CoreLines};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// TLB entries to drop: of contexts whose key masked with `mask` equals `key`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flush {
    /// See above.
    pub key: u64,
    /// See above.
    pub mask: u64,
    /// One page, or everything.
    pub address: Option<u64>,
    /// Pages of 4 KiB from `address` on.
    pub pages: u64,
}

/// What a core finds in its inbox.
#[derive(Clone, Copy, Debug)]
pub enum Message {
    /// TLB maintenance broadcast by another core.
    Flush(Flush),
    /// Another core wrote `bytes` at `phys`, where code is.
    Code(u64, u64),
    /// The page of guest physical memory at this address now has code: stores to it take the
    /// slow path.
    Protect(u64),
}

/// A request to start a core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// Entry point.
    pub entry: u64,
    /// The argument in its first register.
    pub argument: u64,
}

struct Peer {
    lines: Arc<CoreLines>,
    inbox: Mutex<Vec<Message>>,
    /// The inbox has something in it.
    mail: AtomicBool,
    /// The core is not executing; it reads its inbox before it does again.
    idle: AtomicBool,
    /// The core is on, or has been asked to start.
    on: AtomicBool,
    start: Mutex<Option<Start>>,
}

/// The cores of one machine.
pub struct System {
    peers: Vec<Peer>,
}

impl System {
    /// The cores with these lines; all are off and idle.
    pub fn new(lines: impl IntoIterator<Item = Arc<CoreLines>>) -> Arc<System> {
        let peers = lines
            .into_iter()
            .map(|lines| Peer {
                lines,
                inbox: Mutex::new(Vec::new()),
                mail: AtomicBool::new(false),
                idle: AtomicBool::new(true),
                on: AtomicBool::new(false),
                start: Mutex::new(None),
            })
            .collect();
        Arc::new(System { peers })
    }

    /// Number of cores.
    pub fn cores(&self) -> usize {
        self.peers.len()
    }

    fn tell(&self, from: CoreId, message: Message) {
        for (i, p) in self.peers.iter().enumerate() {
            if i != from.0 as usize && p.on.load(SeqCst) {
                p.inbox.lock().push(message);
                p.mail.store(true, SeqCst);
                p.lines.kick();
            }
        }
    }

    /// Tells every other core to drop TLB entries. [`System::settled`] says when all have.
    pub fn flush(&self, from: CoreId, f: Flush) {
        self.tell(from, Message::Flush(f));
    }

    /// Tells every other core that code was written.
    pub fn code_written(&self, from: CoreId, phys: u64, bytes: u64) {
        self.tell(from, Message::Code(phys, bytes));
    }

    /// Tells every other core that the page at `phys` now has code.
    pub fn protect(&self, from: CoreId, phys: u64) {
        self.tell(from, Message::Protect(phys));
    }

    /// Whether every other core has read its inbox, or will before it executes again.
    pub fn settled(&self, from: CoreId) -> bool {
        self.peers.iter().enumerate().all(|(i, p)| i == from.0 as usize || !p.mail.load(SeqCst) || p.idle.load(SeqCst))
    }

    /// Whether something is in the inbox of core `id`.
    #[inline]
    pub fn has_mail(&self, id: CoreId) -> bool {
        self.peers.get(id.0 as usize).is_some_and(|p| p.mail.load(SeqCst))
    }

    /// Takes what is in the inbox of core `id`.
    pub fn mail(&self, id: CoreId) -> Vec<Message> {
        let Some(p) = self.peers.get(id.0 as usize) else { return Vec::new() };
        if !p.mail.load(SeqCst) {
            return Vec::new();
        }
        let mut inbox = p.inbox.lock();
        std::mem::take(&mut *inbox)
    }

    /// Says that what [`System::mail`] gave has been done; false where more has come.
    pub fn mail_done(&self, id: CoreId) -> bool {
        let Some(p) = self.peers.get(id.0 as usize) else { return true };
        let inbox = p.inbox.lock();
        let done = inbox.is_empty();
        if done {
            p.mail.store(false, SeqCst);
        }
        done
    }

    /// Says whether core `id` is executing. A core that begins must read its inbox afterwards.
    pub fn set_idle(&self, id: CoreId, idle: bool) {
        if let Some(p) = self.peers.get(id.0 as usize) {
            p.idle.store(idle, SeqCst);
        }
    }

    /// Asks that core `id` start. `Err(true)` where it is on already, `Err(false)` where there is
    /// no such core.
    pub fn start(&self, id: u64, start: Start) -> Result<(), bool> {
        let p = usize::try_from(id).ok().and_then(|i| self.peers.get(i)).ok_or(false)?;
        if p.on.swap(true, SeqCst) {
            return Err(true);
        }
        *p.start.lock() = Some(start);
        p.lines.kick();
        Ok(())
    }

    /// Takes the request to start core `id`.
    pub fn take_start(&self, id: CoreId) -> Option<Start> {
        self.peers.get(id.0 as usize)?.start.lock().take()
    }

    /// Whether a request to start core `id` waits.
    pub fn start_pending(&self, id: CoreId) -> bool {
        self.peers.get(id.0 as usize).is_some_and(|p| p.start.lock().is_some())
    }

    /// Says that core `id` is on or off.
    pub fn set_on(&self, id: CoreId, on: bool) {
        if let Some(p) = self.peers.get(id.0 as usize) {
            p.on.store(on, SeqCst);
        }
    }

    /// Whether core `id` is on or about to start; `None` where there is no such core.
    pub fn is_on(&self, id: u64) -> Option<bool> {
        Some(self.peers.get(usize::try_from(id).ok()?)?.on.load(SeqCst))
    }
}
