//! Character back ends: where a serial port, a virtio console or a monitor reads and writes.
//!
//! [`Chardevs`] owns the back ends and the one host thread that moves their bytes. A front end
//! attaches to a back end with a [`Sink`] and gets a [`Chardev`], its handle. Writing never waits:
//! a slow reader pushes back through the number of bytes accepted, an absent reader costs the
//! oldest output. Input waits at the host until the front end has room.

mod hub;
mod link;
mod mux;
mod port;
mod socket;
mod spec;
mod terminal;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use hub::{CharInfo, Chardevs};
pub use spec::{CharKind, CharSpec, LogSpec, SerialSpec, SocketAddress, SocketSpec, parse_keyval};
pub use terminal::Terminals;

use port::Port;

/// What a back end tells its front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CharEvent {
    /// Bytes for the guest: never more than the last [`Chardev::set_can_receive`] allowed.
    Input(Vec<u8>),
    /// There is room again after a write was cut short.
    Writable,
    /// A reader is there: the terminal, the file, a client of the socket, the other side of the pty.
    Opened,
    /// The reader has gone, or input has ended for good.
    Closed,
    /// A break condition on the line.
    Break,
    /// On a shared back end: what the user types comes to this front end (or no longer does).
    Focus(bool),
}

/// A command of the user to the emulator, given on a shared back end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// End the emulator.
    Quit,
}

/// Receives what comes from a back end; the machine turns it into events of its queue.
///
/// Called on the host thread: it must return soon, for all back ends share that thread.
pub trait Sink: Send + Sync {
    /// Takes one event. Events of one front end come in the order in which they happened.
    fn receive(&self, event: CharEvent);
}

/// Why a back end cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CharError {
    /// The description is wrong.
    #[error("{0}")]
    Spec(String),
    /// The description is right for QEMU, but the feature is missing here.
    #[error("{0}")]
    Unsupported(String),
    /// The host refused.
    #[error("cannot {what}: {error}")]
    Host {
        /// What was tried.
        what: String,
        /// What the host said.
        error: io::Error,
    },
    /// No back end has this name.
    #[error("no character back end is called '{0}'; make it with -chardev KIND,id={0}")]
    NotFound(String),
    /// The name is taken.
    #[error("a character back end called '{0}' exists already")]
    Exists(String),
    /// Another front end has it.
    #[error("character back end '{0}' is already in use; add mux=on to share it")]
    InUse(String),
}

impl From<crate::keyval::Wrong> for CharError {
    fn from(wrong: crate::keyval::Wrong) -> Self {
        match wrong {
            crate::keyval::Wrong::Bad(message) => CharError::Spec(message),
            crate::keyval::Wrong::Unsupported(message) => CharError::Unsupported(message),
        }
    }
}

impl CharError {
    fn host(what: impl Into<String>, error: impl Into<io::Error>) -> Self {
        CharError::Host { what: what.into(), error: error.into() }
    }
}

/// A front end's handle on its back end; clones are the same front end.
#[derive(Clone)]
pub struct Chardev(Arc<Attached>);

struct Attached {
    port: Arc<Port>,
    at: usize,
    hub: Arc<hub::Hub>,
    /// Keeps the host thread of a back end that was opened by itself.
    own: Option<Chardevs>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.port.detach(self.at);
    }
}

impl std::fmt::Debug for Chardev {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chardev({} {})", self.0.port.kind, self.0.port.label)
    }
}

impl Chardev {
    /// Opens a back end that no other front end will use, with a host thread of its own.
    pub fn open(spec: &CharSpec, sink: Arc<dyn Sink>) -> Result<Self, CharError> {
        let all = Chardevs::new(|_| {})?;
        let mut attached = all.open_attached(spec, sink)?;
        attached.own = Some(all);
        Ok(Chardev(Arc::new(attached)))
    }

    /// The name of the back end.
    pub fn label(&self) -> &str {
        &self.0.port.label
    }

    /// Writes without waiting; returns how many bytes were taken.
    ///
    /// When that is fewer than given, [`CharEvent::Writable`] follows once there is room.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let (n, wake) = self.0.port.accept(self.0.at, bytes);
        if wake {
            self.0.hub.wake();
        }
        n
    }

    /// Writes all of it, waiting for a slow reader: for runs in which host time must not show.
    pub fn write_blocking(&self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let n = self.write(rest);
            rest = &rest[n..];
            if n == 0 && !self.0.port.wait_room() {
                return;
            }
        }
    }

    /// Says how many bytes the front end can take now; replaces what was said before.
    ///
    /// [`CharEvent::Input`] uses it up, so a front end says it again when it has taken an input event
    /// and whenever it gains room; it counts input on its way to it as room already used. Until the
    /// first call no input comes.
    pub fn set_can_receive(&self, n: usize) {
        if self.0.port.set_can_receive(self.0.at, n) {
            self.0.hub.wake();
        }
    }

    /// Says that output is for the client that is there, as in a conversation: what it does not
    /// read, or what is written while nobody is there, is not kept for the next one.
    pub fn forget_unread(&self) {
        self.0.port.forget_unread();
    }

    /// Says that each write is a message that somebody waits for: it is tried on the thread that
    /// writes, and goes by the host thread only where it does not fit. Not for shared back ends.
    pub fn write_directly(&self) {
        self.0.port.write_directly();
    }

    /// Waits until all output has reached the host, at most for `limit`; whether it has.
    pub fn flush(&self, limit: Duration) -> bool {
        self.0.hub.flush(&self.0.port, limit)
    }

    /// On a shared back end: what the user types comes here from now on.
    pub fn take_focus(&self) {
        self.0.port.take_focus(self.0.at);
        self.0.hub.wake();
    }

    /// Takes up to `max` of the oldest bytes that a `ringbuf` back end holds.
    pub fn read_ring(&self, max: usize) -> Vec<u8> {
        if self.0.port.kind == "ringbuf" { self.0.port.read_ring(max) } else { Vec::new() }
    }
}
