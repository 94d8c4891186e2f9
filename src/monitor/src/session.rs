//! Sessions: a thread each, an inbox that cannot grow without bound.

use crate::Subject;
use crate::hmp;
use crate::qmp;
use parking_lot::{Condvar, Mutex};
use proteus_exec::runner::{RunEvent, Runner};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Bytes that a client may send before it is told that there is room again.
pub const CREDIT: usize = 4096;
/// Events of the run that wait for a session at most; the oldest go first.
const EVENTS: usize = 1024;

/// What a session is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A client is there.
    Opened,
    /// It has gone.
    Closed,
    /// Bytes from it; no more than were allowed by [`Wire::more`].
    Input(Vec<u8>),
    /// On a shared terminal: what is typed comes to this session, or no longer does.
    Focus(bool),
    /// What happens to the run, and when.
    Run(RunEvent, SystemTime),
    /// The program ends.
    End,
}

/// The way back to the client.
pub trait Wire: Send + Sync {
    /// Writes bytes; waits for a client that is slow.
    fn write(&self, bytes: &[u8]);
    /// The client may send so many bytes.
    fn more(&self, bytes: usize);
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    /// How many of them are events of the run.
    events: usize,
}

/// What waits for a session.
#[derive(Default)]
pub struct Inbox {
    queue: Mutex<Queue>,
    some: Condvar,
}

impl Inbox {
    /// Adds a message. It never waits; where too many events of the run are there already, the
    /// oldest is dropped.
    pub fn post(&self, message: Message) {
        let mut queue = self.queue.lock();
        let event = matches!(message, Message::Run(..));
        if event && queue.events >= EVENTS {
            let oldest = queue.messages.iter().position(|m| matches!(m, Message::Run(..)));
            oldest.and_then(|n| queue.messages.remove(n));
        } else {
            queue.events += usize::from(event);
        }
        queue.messages.push_back(message);
        self.some.notify_all();
    }

    /// Waits for the next message.
    pub(crate) fn take(&self) -> Message {
        let mut queue = self.queue.lock();
        loop {
            if let Some(message) = queue.messages.pop_front() {
                queue.events -= usize::from(matches!(message, Message::Run(..)));
                return message;
            }
            self.some.wait(&mut queue);
        }
    }

    /// The events that are there, whatever else waits before them.
    pub(crate) fn take_events(&self) -> Vec<(RunEvent, SystemTime)> {
        let mut queue = self.queue.lock();
        let mut events = Vec::new();
        queue.messages.retain(|m| match m {
            Message::Run(event, at) => {
                events.push((*event, *at));
                false
            }
            _ => true,
        });
        queue.events = 0;
        events
    }

    /// The client has gone, though the session has not heard of it: what is written now would
    /// reach the next one.
    pub(crate) fn closed(&self) -> bool {
        self.queue.lock().messages.contains(&Message::Closed)
    }
}

/// What a session speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// QMP.
    Control {
        /// With line breaks.
        pretty: bool,
    },
    /// HMP.
    Readline {
        /// The terminal is shared: nothing is said before the session has the focus.
        shared: bool,
    },
}

/// A session that serves one client after the other.
pub struct Monitor {
    inbox: Arc<Inbox>,
    thread: JoinHandle<()>,
}

impl Monitor {
    /// Starts one. Nothing is answered before `subject` is set.
    ///
    /// # Errors
    /// The host gives no thread.
    pub fn start(runner: &dyn Runner, subject: Arc<OnceLock<Subject>>, mode: Mode, wire: Arc<dyn Wire>) -> std::io::Result<Monitor> {
        let inbox: Arc<Inbox> = Arc::default();
        let ear = inbox.clone();
        if matches!(mode, Mode::Control { .. }) {
            runner.subscribe(Box::new(move |event| ear.post(Message::Run(event, SystemTime::now()))));
        }
        let messages = inbox.clone();
        let run = move || {
            let subject = subject.wait();
            match mode {
                Mode::Control { pretty } => qmp::Session::new(subject, &messages, &*wire, pretty).run(),
                Mode::Readline { shared } => hmp::terminal::Terminal::new(subject, &*wire, shared).run(&messages),
            }
        };
        let thread = std::thread::Builder::new().name("monitor".into()).spawn(run)?;
        Ok(Monitor { inbox, thread })
    }

    /// Where its messages go.
    pub fn inbox(&self) -> Arc<Inbox> {
        self.inbox.clone()
    }

    /// Ends it when it has said what it was told before; a client that does not read is not waited
    /// for after `until`.
    pub fn end(self, until: Instant) {
        self.inbox.post(Message::End);
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_exec::runner::Cause;

    #[test]
    fn events_that_nobody_fetches_do_not_pile_up() {
        let inbox = Inbox::default();
        inbox.post(Message::Input(vec![1]));
        for n in 0..3 * EVENTS {
            let event = if n < 3 * EVENTS - 1 { RunEvent::Resume } else { RunEvent::Shutdown(Cause::GuestShutdown) };
            inbox.post(Message::Run(event, SystemTime::UNIX_EPOCH));
        }
        assert_eq!(inbox.queue.lock().messages.len(), EVENTS + 1);
        assert_eq!(inbox.take(), Message::Input(vec![1]));
        let events = inbox.take_events();
        assert_eq!(events.len(), EVENTS);
        assert_eq!(events.last().unwrap().0, RunEvent::Shutdown(Cause::GuestShutdown));
        assert!(!inbox.closed());
        inbox.post(Message::Closed);
        assert!(inbox.closed());
    }
}
