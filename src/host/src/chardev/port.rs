//! One back end's queues: output on its way to the host, input on its way to the front ends.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::link::Io;
use super::mux::{Escape, Stamps, Typed};
use super::{CharEvent, Control, Sink};

/// How much output waits for a reader that is slow or absent, and how much input for a guest.
pub(super) const QUEUE: usize = 64 << 10;

/// How much input a back end with one front end holds: the rest waits at its source.
const INPUT: usize = 4 << 10;

/// What becomes of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Someone reads: nothing is lost, a full queue pushes back.
    Reader,
    /// Nobody reads: the newest bytes are kept for whoever comes.
    Ring,
    /// Nobody ever will.
    Discard,
}

/// Input and changes of connection, in the order they happened.
#[derive(Debug)]
enum Item {
    Bytes(VecDeque<u8>),
    Event(CharEvent),
}

pub(super) struct Front {
    sink: Arc<dyn Sink>,
    queue: VecDeque<Item>,
    queued: usize,
    credit: usize,
    /// A write was cut short, so the front end wants to hear of space.
    refused: bool,
    tell_space: bool,
}

struct Mux {
    escape: Escape,
    stamps: Stamps,
    since: Option<Instant>,
}

pub(super) struct State {
    out: VecDeque<u8>,
    limit: usize,
    mode: Mode,
    opened: bool,
    /// What nobody reads is not for the next reader.
    forgets: bool,
    /// Output is tried on the thread that writes it.
    direct: bool,
    /// Where it goes then.
    writer: Option<Io>,
    log: Option<Arc<File>>,
    log_out: VecDeque<u8>,
    fronts: Vec<Option<Front>>,
    focus: usize,
    mux: Option<Mux>,
    control: Vec<Control>,
    removed: bool,
    /// The host thread has ended: nothing will drain the queues again.
    dead: bool,
    /// Chunks that the host thread has taken but not yet handed to the host.
    busy: bool,
}

/// A back end as seen from both sides: front ends on any thread, the link on the host thread.
pub(super) struct Port {
    pub(super) label: String,
    pub(super) kind: &'static str,
    state: Mutex<State>,
    drained: Condvar,
}

impl Port {
    pub(super) fn new(label: String, kind: &'static str, mode: Mode, opened: bool, limit: usize, log: Option<File>) -> Self {
        Port {
            label,
            kind,
            state: Mutex::new(State {
                out: VecDeque::new(),
                limit,
                mode,
                opened,
                forgets: false,
                direct: false,
                writer: None,
                log: log.map(Arc::new),
                log_out: VecDeque::new(),
                fronts: Vec::new(),
                focus: 0,
                mux: None,
                control: Vec::new(),
                removed: false,
                dead: false,
                busy: false,
            }),
            drained: Condvar::new(),
        }
    }

    pub(super) fn share(&self, escape: u8) {
        let mux = Mux { escape: Escape::new(escape), stamps: Stamps::default(), since: None };
        self.state.lock().mux = Some(mux);
    }

    pub(super) fn set_escape(&self, character: u8) {
        if let Some(mux) = &mut self.state.lock().mux {
            mux.escape = Escape::new(character);
        }
    }

    /// Adds a front end; `None` when the port has one and is not shared.
    pub(super) fn attach(&self, sink: Arc<dyn Sink>) -> Option<usize> {
        let mut s = self.state.lock();
        if s.removed {
            return None;
        }
        let front = Front { sink, queue: VecDeque::new(), queued: 0, credit: 0, refused: false, tell_space: false };
        let at = match s.fronts.iter().position(Option::is_none) {
            Some(free) => free,
            None if s.mux.is_none() && !s.fronts.is_empty() => return None,
            None => {
                s.fronts.push(None);
                s.fronts.len() - 1
            }
        };
        let alone = s.fronts.iter().all(Option::is_none);
        s.fronts[at] = Some(front);
        if s.opened {
            s.push_event(at, CharEvent::Opened);
        }
        if alone {
            s.focus = at;
        }
        if s.mux.is_some() && s.focus == at {
            s.push_event(at, CharEvent::Focus(true));
        }
        Some(at)
    }

    pub(super) fn detach(&self, at: usize) {
        let mut s = self.state.lock();
        s.fronts[at] = None;
        if s.focus == at {
            s.next_focus();
        }
    }

    pub(super) fn take_focus(&self, at: usize) {
        self.state.lock().set_focus(at);
    }

    /// Ends the port, unless a front end uses it.
    pub(super) fn remove(&self) -> bool {
        let mut s = self.state.lock();
        s.removed = s.fronts.iter().all(Option::is_none);
        s.dead |= s.removed;
        s.removed
    }

    pub(super) fn removed(&self) -> bool {
        self.state.lock().removed
    }

    pub(super) fn forget_unread(&self) {
        self.state.lock().forgets = true;
    }

    pub(super) fn write_directly(&self) {
        self.state.lock().direct = true;
    }

    /// Where output goes now.
    pub(super) fn set_writer(&self, writer: Option<Io>) {
        self.state.lock().writer = writer;
    }

    /// Whether any front end is attached.
    pub(super) fn used(&self) -> bool {
        self.state.lock().fronts.iter().any(Option::is_some)
    }

    /// Takes output from a front end: how much, and whether the host thread must be woken.
    pub(super) fn accept(&self, at: usize, bytes: &[u8]) -> (usize, bool) {
        let mut s = self.state.lock();
        let before = (s.has_output(), s.log_out.is_empty());
        let mut n = 0;
        // What went to the host at once has left room behind it.
        while n < bytes.len() {
            match s.accept(&bytes[n..]) {
                0 => break,
                more => n += more,
            }
        }
        let wake = !before.0 && s.has_output() || before.1 && !s.log_out.is_empty();
        if n < bytes.len()
            && let Some(Some(front)) = s.fronts.get_mut(at)
        {
            front.refused = true;
        }
        (n, wake)
    }

    /// Waits until the queue has room; false when it never will.
    pub(super) fn wait_room(&self) -> bool {
        let mut s = self.state.lock();
        while s.room() == 0 && !s.dead {
            self.drained.wait(&mut s);
        }
        !s.dead
    }

    /// Waits until all output has reached the host; false when it did not before `until`.
    pub(super) fn wait_drained(&self, until: Instant) -> bool {
        let mut s = self.state.lock();
        while (s.pending() || s.busy) && !s.dead {
            if self.drained.wait_until(&mut s, until).timed_out() {
                return !s.pending() && !s.busy;
            }
        }
        !s.pending()
    }

    pub(super) fn set_can_receive(&self, at: usize, n: usize) -> bool {
        let mut s = self.state.lock();
        match s.fronts.get_mut(at) {
            Some(Some(front)) => {
                front.credit = n;
                n > 0 && front.queued > 0
            }
            _ => false,
        }
    }

    /// Takes up to `max` bytes out of the ring.
    pub(super) fn read_ring(&self, max: usize) -> Vec<u8> {
        let mut s = self.state.lock();
        let n = max.min(s.out.len());
        s.out.drain(..n).collect()
    }

    // The host thread's side.

    /// The next output for the link: at most the buffer's length.
    pub(super) fn take_chunk(&self, buffer: &mut [u8]) -> usize {
        let mut s = self.state.lock();
        let n = copy_front(&s.out, buffer);
        s.busy = n > 0;
        n
    }

    /// `n` bytes of the chunk have reached the host.
    pub(super) fn written(&self, n: usize) {
        let mut s = self.state.lock();
        let n = n.min(s.out.len());
        s.out.drain(..n);
        s.busy = false;
        s.space_again();
        self.drained.notify_all();
    }

    pub(super) fn has_output(&self) -> bool {
        self.state.lock().has_output()
    }

    pub(super) fn wants_input(&self) -> bool {
        let s = self.state.lock();
        let limit = if s.mux.is_some() { QUEUE } else { INPUT };
        matches!(s.fronts.get(s.focus), Some(Some(front)) if front.queued < limit)
    }

    /// Bytes came from the host.
    pub(super) fn input(&self, bytes: &[u8]) {
        self.state.lock().input(bytes);
    }

    pub(super) fn set_mode(&self, mode: Mode, opened: bool) {
        let mut s = self.state.lock();
        s.mode = mode;
        if mode == Mode::Discard || s.forgets && mode == Mode::Ring {
            s.out.clear();
        }
        s.space_again();
        if s.opened != opened {
            s.opened = opened;
            for at in 0..s.fronts.len() {
                s.push_event(at, if opened { CharEvent::Opened } else { CharEvent::Closed });
            }
        }
        self.drained.notify_all();
    }

    /// Input is over for good although output goes on.
    pub(super) fn input_ended(&self) {
        let mut s = self.state.lock();
        for at in 0..s.fronts.len() {
            s.push_event(at, CharEvent::Closed);
        }
    }

    /// Writes the copy of the output that the log file gets.
    pub(super) fn write_log(&self) {
        let mut buffer = [0; 8192];
        loop {
            let (file, n) = {
                let s = self.state.lock();
                let Some(file) = s.log.clone() else { return };
                (file, copy_front(&s.log_out, &mut buffer))
            };
            if n == 0 {
                return;
            }
            let result = (&*file).write_all(&buffer[..n]);
            let mut s = self.state.lock();
            s.log_out.drain(..n);
            if let Err(e) = result {
                tracing::warn!("character back end '{}': log file: {e}; logging ends", self.label);
                s.log = None;
                s.log_out.clear();
            }
            s.space_again();
            self.drained.notify_all();
        }
    }

    /// Hands the sinks whatever they may have now; outside the lock, for they may call back.
    pub(super) fn deliver(&self, control: &dyn Fn(Control)) {
        let mut work: Vec<(Arc<dyn Sink>, CharEvent)> = Vec::new();
        let commands = {
            let mut s = self.state.lock();
            for front in s.fronts.iter_mut().flatten() {
                front.collect(&mut work);
            }
            std::mem::take(&mut s.control)
        };
        for (sink, event) in work {
            sink.receive(event);
        }
        commands.into_iter().for_each(control);
    }

    pub(super) fn kill(&self) {
        self.state.lock().dead = true;
        self.drained.notify_all();
    }
}

fn copy_front(from: &VecDeque<u8>, to: &mut [u8]) -> usize {
    let (a, b) = from.as_slices();
    let n = a.len().min(to.len());
    to[..n].copy_from_slice(&a[..n]);
    let m = b.len().min(to.len() - n);
    to[n..n + m].copy_from_slice(&b[..m]);
    n + m
}

impl Front {
    fn collect(&mut self, work: &mut Vec<(Arc<dyn Sink>, CharEvent)>) {
        if std::mem::take(&mut self.tell_space) {
            work.push((self.sink.clone(), CharEvent::Writable));
        }
        while let Some(item) = self.queue.front_mut() {
            match item {
                Item::Bytes(bytes) => {
                    let n = bytes.len().min(self.credit);
                    if n > 0 {
                        self.credit -= n;
                        self.queued -= n;
                        work.push((self.sink.clone(), CharEvent::Input(bytes.drain(..n).collect())));
                    }
                    if !bytes.is_empty() {
                        return;
                    }
                    self.queue.pop_front();
                }
                Item::Event(_) => {
                    if let Some(Item::Event(event)) = self.queue.pop_front() {
                        self.queued -= 1;
                        work.push((self.sink.clone(), event));
                    }
                }
            }
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.queued += 1;
        if let Some(Item::Bytes(bytes)) = self.queue.back_mut() {
            bytes.push_back(byte);
        } else {
            self.queue.push_back(Item::Bytes(VecDeque::from([byte])));
        }
    }
}

impl State {
    fn has_output(&self) -> bool {
        self.mode == Mode::Reader && !self.out.is_empty()
    }

    fn pending(&self) -> bool {
        self.has_output() || !self.log_out.is_empty()
    }

    /// The space left in the fuller one of the queues that push back.
    fn free(&self) -> usize {
        let log = if self.log.is_some() { QUEUE.saturating_sub(self.log_out.len()) } else { usize::MAX };
        match self.mode {
            _ if self.dead => usize::MAX,
            Mode::Reader => log.min(self.limit.saturating_sub(self.out.len())),
            Mode::Ring | Mode::Discard => log,
        }
    }

    /// How many bytes of a write are certainly taken.
    fn room(&self) -> usize {
        self.free() / self.mux.as_ref().map_or(1, |m| m.stamps.worst_case())
    }

    fn accept(&mut self, bytes: &[u8]) -> usize {
        let bytes = &bytes[..bytes.len().min(self.room())];
        if self.log.is_some() {
            self.log_out.extend(bytes);
        }
        if self.mode == Mode::Discard || self.forgets && self.mode == Mode::Ring || self.dead {
            return bytes.len();
        }
        match &mut self.mux {
            Some(mux) if mux.stamps.on => {
                let since = *mux.since.get_or_insert_with(Instant::now);
                for &byte in bytes {
                    if let Some(stamp) = mux.stamps.before(byte, since.elapsed()) {
                        self.out.extend(stamp.as_bytes());
                    }
                    self.out.push_back(byte);
                }
            }
            mux => {
                let sent = if mux.is_none() && self.direct { self.send_now(bytes) } else { 0 };
                self.out.extend(&bytes[sent..]);
            }
        }
        let over = self.out.len().saturating_sub(self.limit);
        self.out.drain(..over);
        bytes.len()
    }

    /// Hands the host what it takes at once, where nothing waits before it. The host thread sees errors.
    fn send_now(&self, bytes: &[u8]) -> usize {
        match &self.writer {
            Some(io) if self.mode == Mode::Reader && self.out.is_empty() => io.write(bytes).unwrap_or(0),
            _ => 0,
        }
    }

    /// A front end that was refused hears of space once it is worth a call.
    fn space_again(&mut self) {
        if self.free() < self.limit.min(QUEUE) / 4 {
            return;
        }
        for front in self.fronts.iter_mut().flatten() {
            front.tell_space |= std::mem::take(&mut front.refused);
        }
    }

    /// Text of our own on a shared terminal; a peer that does not read gets none.
    fn print(&mut self, text: &str) {
        if self.mode == Mode::Reader && self.out.len() + text.len() <= self.limit {
            self.out.extend(text.as_bytes());
        }
    }

    fn input(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let typed = match &mut self.mux {
                Some(mux) => mux.escape.feed(byte),
                None => Typed::Byte(byte),
            };
            match typed {
                Typed::Nothing => {}
                Typed::Byte(byte) => {
                    let focus = self.focus;
                    if let Some(Some(front)) = self.fronts.get_mut(focus) {
                        front.push_byte(byte);
                    }
                }
                Typed::Break => self.push_event(self.focus, CharEvent::Break),
                Typed::Next => self.next_focus(),
                Typed::Quit => {
                    self.print("\r\nproteus: terminated\r\n");
                    self.control.push(Control::Quit);
                }
                Typed::Save => self.print("\r\nproteus: saving disk data needs snapshots, which are not supported yet\r\n"),
                Typed::Help => {
                    let help = self.mux.as_ref().map(|m| m.escape.help()).unwrap_or_default();
                    self.print(&help);
                }
                Typed::Timestamps => {
                    if let Some(mux) = &mut self.mux {
                        mux.stamps.on = !mux.stamps.on;
                        mux.since.get_or_insert_with(Instant::now);
                    }
                }
            }
        }
    }

    fn next_focus(&mut self) {
        let n = self.fronts.len();
        if let Some(next) = (1..=n).map(|i| (self.focus + i) % n).find(|&at| self.fronts[at].is_some()) {
            self.set_focus(next);
        }
    }

    fn set_focus(&mut self, at: usize) {
        if self.mux.is_some() && at != self.focus {
            self.push_event(self.focus, CharEvent::Focus(false));
            self.focus = at;
            self.push_event(at, CharEvent::Focus(true));
        }
    }

    /// Queues a change; a pair that cancels out is dropped, so that a peer cannot fill the queue.
    fn push_event(&mut self, at: usize, event: CharEvent) {
        let Some(Some(front)) = self.fronts.get_mut(at) else { return };
        match (front.queue.back(), &event) {
            (Some(Item::Event(CharEvent::Opened)), CharEvent::Closed) | (Some(Item::Event(CharEvent::Focus(true))), CharEvent::Focus(false)) => {
                front.queue.pop_back();
                front.queued -= 1;
            }
            (Some(Item::Event(CharEvent::Break)), CharEvent::Break) => {}
            _ => {
                front.queue.push_back(Item::Event(event));
                front.queued += 1;
            }
        }
    }
}
