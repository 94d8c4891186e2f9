//! The GDB remote serial protocol over any core: one process, a thread a core.
//!
//! A session is a thread of its own. It gets bytes and what happens to the run as [`Message`]s,
//! and does what it does to the machine through [`Runner`]: so it knows neither the host's sockets
//! nor who executes the cores. The protocol is that of the GDB manual, appendix E; what
//! gdbstub lacks and QEMU's users know is in [`filter`].
#![forbid(unsafe_code)]

mod agent;
mod filter;
mod guest;
mod xml;

use crate::filter::{Incoming, Piece};
pub use crate::guest::Hmp;
use crate::guest::{Action, Any, Guest, Over};
use gdbstub::arch::Arch;
use gdbstub::common::{Signal, Tid};
use gdbstub::conn::Connection;
use gdbstub::stub::state_machine::GdbStubStateMachine as Machine;
use gdbstub::stub::{DisconnectReason, GdbStub, MultiThreadStopReason};
use gdbstub::target::ext::breakpoints::WatchKind;
use proteus_exec::debug::Hit;
use proteus_exec::runner::{Pause, RunEvent, RunState, Runner, View};
use proteus_exec::sched::{Outcome, Step};
use proteus_model::CoreId;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes in a packet at most, as the debugger is told.
const PACKET: usize = 1 << 16;
/// Steps of a range made before the debugger is listened to.
const STEPS: usize = 1000;

/// What is answered here and not by gdbstub, as `qSupported` has it.
const SUPPORTED: &[u8] = b";qXfer:threads:read+";
/// The same of cores that evaluate conditions of breakpoints.
const CONDITIONS: &[u8] = b";ConditionalBreakpoints+";

/// What a session is told.
#[derive(Debug)]
pub enum Message {
    /// A debugger has connected.
    Opened,
    /// It has gone.
    Closed,
    /// Bytes from it.
    Input(Vec<u8>),
    /// What happens to the run.
    Run(RunEvent),
    /// The program ends.
    End,
}

/// Sends bytes to the debugger. It must not wait for long.
pub type Output = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// A stub that waits for debuggers, one after the other.
pub struct Stub {
    messages: Sender<Message>,
    thread: JoinHandle<()>,
}

impl Stub {
    /// Starts one. `hmp` answers lines of the monitor.
    pub fn start(runner: Arc<dyn Runner>, hmp: Hmp, output: Output) -> std::io::Result<Stub> {
        let (messages, inbox) = channel();
        let sender = messages.clone();
        runner.subscribe(Box::new(move |event| {
            // Without a thread nobody wants to know.
            let _ = sender.send(Message::Run(event));
        }));
        let thread = std::thread::Builder::new().name("gdb".into()).spawn(move || serve(&runner, &hmp, &output, &inbox))?;
        Ok(Stub { messages, thread })
    }

    /// Where its messages go.
    pub fn messages(&self) -> Sender<Message> {
        self.messages.clone()
    }

    /// Ends it when it has done what it was told before; a debugger that does not read is not
    /// waited for beyond `limit`.
    pub fn end(self, limit: Duration) {
        let _ = self.messages.send(Message::End);
        let until = Instant::now() + limit;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The way back to the debugger.
struct Wire {
    output: Output,
    buffer: Vec<u8>,
    /// What the answer under way is to have at its end.
    more: Vec<u8>,
}

impl Connection for Wire {
    type Error = Infallible;
    fn write(&mut self, byte: u8) -> Result<(), Infallible> {
        self.buffer.push(byte);
        Ok(())
    }
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Infallible> {
        if !self.more.is_empty()
            && let Some(answer) = filter::add(&self.buffer, &self.more)
        {
            self.buffer = answer;
            self.more.clear();
        }
        (self.output)(&self.buffer);
        self.buffer.clear();
        Ok(())
    }
}

type Stopped = MultiThreadStopReason<<Any as Arch>::Usize>;

/// Waits for debuggers until the program ends.
fn serve(runner: &Arc<dyn Runner>, hmp: &Hmp, output: &Output, inbox: &Receiver<Message>) {
    while let Ok(message) = inbox.recv() {
        let first = match message {
            Message::Opened => Vec::new(),
            // What acknowledges the last word of a debugger that has gone begins nothing.
            Message::Input(bytes) if bytes.iter().any(|b| matches!(b, b'$' | 3)) => bytes,
            Message::End => return,
            Message::Input(_) | Message::Closed | Message::Run(_) => continue,
        };
        // What was asked of the run before has been done then, and the state is that.
        runner.look(Box::new(|_| ()));
        let running = runner.state() == RunState::Running;
        runner.pause();
        let Some(mut guest) = Guest::new(runner.clone(), hmp.clone()) else { return };
        let wire = Wire { output: output.clone(), buffer: Vec::new(), more: Vec::new() };
        // gdbstub looks for another '#' behind a packet, so that it must be near.
        let mut buffer = vec![b'#'; PACKET];
        let Ok(stub) = GdbStub::<Guest, Wire>::builder(wire).with_packet_buffer(&mut buffer).build() else { return };
        let Ok(machine) = stub.run_state_machine(&mut guest) else { return };
        let mut session = Session { guest, output: output.clone(), incoming: Incoming::default(), acknowledge: true, stopped: tid(CoreId(0)) };
        let end = session.run(machine, first, inbox);
        // Nothing of the debugger stays behind.
        let _ = session.guest.arm(false);
        match end {
            End::Killed => runner.quit(),
            End::Detached => runner.resume(),
            End::Gone if running => runner.resume(),
            End::Gone => {}
            End::Over => return,
        }
    }
}

/// How a session ended.
enum End {
    /// The debugger let go of the machine.
    Detached,
    /// It asked for the machine's end.
    Killed,
    /// It went without a word, or talked nonsense.
    Gone,
    /// The run is over.
    Over,
}

impl From<Over> for End {
    fn from(Over: Over) -> End {
        End::Over
    }
}

/// What a session has to look at next.
enum Next {
    Message(Message),
    /// Single steps are done, or a core stopped on the way.
    Stopped(Stopped),
}

/// What became of single steps.
enum Stepped {
    Done,
    /// There are more to make.
    More,
    Hit(CoreId, Option<Hit>),
}

struct Session {
    guest: Guest,
    output: Output,
    incoming: Incoming,
    /// Packets are acknowledged.
    acknowledge: bool,
    /// The thread of the last stop.
    stopped: Tid,
}

/// The thread of a core.
fn tid(core: CoreId) -> Tid {
    Tid::MIN.saturating_add(core.0.into())
}

type State<'a> = Machine<'a, Guest, Wire>;

/// Does something with the wire.
fn wire(machine: &mut State<'_>, f: impl FnOnce(&mut Wire)) {
    match machine {
        Machine::Idle(m) => f(m.borrow_conn()),
        Machine::Running(m) => f(m.borrow_conn()),
        Machine::CtrlCInterrupt(m) => f(m.borrow_conn()),
        Machine::Disconnected(m) => f(m.borrow_conn()),
    }
}

/// Makes single steps, not so many that nobody else gets a turn.
fn steps(v: &mut View<'_>, step: Step, action: Action) -> Stepped {
    for _ in 0..STEPS {
        match v.step(step) {
            Some(Outcome::Debug(core)) => {
                let hit = v.cpus.iter_mut().find(|cpu| cpu.id() == core).and_then(|cpu| cpu.take_hit());
                return Stepped::Hit(core, hit);
            }
            // The run loop answers it when it runs again.
            Some(Outcome::Request(request)) => {
                v.machine.request(request);
                return Stepped::Done;
            }
            Some(Outcome::Stopped | Outcome::Broken) => return Stepped::More,
            None => {}
        }
        match action {
            Action::Range(start, end) if v.cpus.get(step.core).is_some_and(|cpu| (start..end).contains(&cpu.pc())) => {}
            _ => return Stepped::Done,
        }
    }
    Stepped::More
}

impl Session {
    /// Serves one debugger.
    fn run(&mut self, mut machine: State<'_>, first: Vec<u8>, inbox: &Receiver<Message>) -> End {
        let mut input = first;
        loop {
            for byte in std::mem::take(&mut input) {
                machine = match self.byte(machine, byte) {
                    Ok(machine) => machine,
                    Err(end) => return end,
                };
            }
            let reason = match self.next(inbox) {
                Err(end) => return end,
                Ok(Next::Stopped(reason)) => reason,
                Ok(Next::Message(Message::Input(bytes))) => {
                    input = bytes;
                    continue;
                }
                Ok(Next::Message(Message::Opened)) => continue,
                Ok(Next::Message(Message::Closed)) => return End::Gone,
                Ok(Next::Message(Message::End)) => Stopped::Exited(0),
                Ok(Next::Message(Message::Run(event))) => match self.reason(event) {
                    Ok(Some(reason)) => reason,
                    Ok(None) => continue,
                    Err(Over) => return End::Over,
                },
            };
            machine = match self.report(machine, reason) {
                Ok(machine) => machine,
                Err(end) => return end,
            };
            if matches!(reason, Stopped::Exited(_)) {
                return End::Over;
            }
        }
    }

    /// Takes a byte from the debugger.
    fn byte<'a>(&mut self, mut machine: State<'a>, byte: u8) -> Result<State<'a>, End> {
        match self.incoming.take(byte) {
            None => Ok(machine),
            Some(Piece::Ours(body)) => {
                let answer = filter::escaped_packet(&self.guest.extension(&body));
                let ack: &[u8] = if self.acknowledge { b"+" } else { b"" };
                wire(&mut machine, |w| (w.output)(&[ack, &answer].concat()));
                Ok(machine)
            }
            Some(Piece::Through(bytes)) => {
                self.acknowledge &= !bytes.starts_with(b"$QStartNoAckMode#");
                if bytes.starts_with(b"$qSupported") {
                    let more = [SUPPORTED, if self.guest.conditions { CONDITIONS } else { &[] }].concat();
                    wire(&mut machine, |w| w.more = more);
                }
                let kill = bytes.starts_with(b"$vKill");
                let end = bytes.into_iter().try_fold(machine, |machine, byte| self.pump(machine, byte));
                if kill && matches!(end, Err(End::Killed)) {
                    (self.output)(&filter::packet(b"OK"));
                }
                end
            }
        }
    }

    fn pump<'a>(&mut self, machine: State<'a>, byte: u8) -> Result<State<'a>, End> {
        let next = match machine {
            Machine::Idle(m) => m.incoming_data(&mut self.guest, byte),
            Machine::Running(m) => m.incoming_data(&mut self.guest, byte),
            other => Ok(other),
        };
        let machine = match next {
            Ok(machine) => machine,
            Err(e) => {
                tracing::warn!("gdb: {e}");
                return Err(End::Gone);
            }
        };
        match machine {
            Machine::CtrlCInterrupt(m) => {
                self.guest.interrupt()?;
                let reason = Stopped::SignalWithThread { tid: self.stopped, signal: Signal::SIGINT };
                m.interrupt_handled(&mut self.guest, Some(reason)).map_err(|_| End::Gone)
            }
            Machine::Disconnected(m) => Err(match m.get_reason() {
                DisconnectReason::Disconnect => End::Detached,
                DisconnectReason::Kill => End::Killed,
                _ => End::Over,
            }),
            machine => Ok(machine),
        }
    }

    /// Tells the debugger that the machine has stopped, if it waits for that.
    fn report<'a>(&mut self, machine: State<'a>, reason: Stopped) -> Result<State<'a>, End> {
        self.guest.resumed = false;
        let Machine::Running(mut m) = machine else { return Ok(machine) };
        if !matches!(reason, Stopped::Exited(_)) {
            m.borrow_conn().more = self.guest.expedited(self.stopped)?;
        }
        m.report_stop(&mut self.guest, reason).map_err(|e| {
            tracing::warn!("gdb: {e}");
            End::Gone
        })
    }

    /// What comes next. Single steps that were asked for are made while nothing comes.
    fn next(&mut self, inbox: &Receiver<Message>) -> Result<Next, End> {
        while self.guest.resumed
            && let Some((core, action)) = self.guest.plan.stepping()
        {
            let others = !self.guest.plan.locked && self.guest.plan.actions.len() > 1;
            let step = Step { core, interrupts: self.guest.step_interrupts, others };
            match self.guest.look(move |v| steps(v, step, action))? {
                Stepped::Done => return Ok(Next::Stopped(self.trap(CoreId(core as u16)))),
                Stepped::Hit(core, hit) => return Ok(Next::Stopped(self.hit(core, hit)?)),
                Stepped::More => {}
            }
            if let Ok(message) = inbox.try_recv() {
                return Ok(Next::Message(message));
            }
        }
        inbox.recv().map(Next::Message).map_err(|_| End::Over)
    }

    /// What the debugger is to be told of an event of the run.
    fn reason(&mut self, event: RunEvent) -> Result<Option<Stopped>, Over> {
        Ok(match event {
            RunEvent::Stop(Pause::Debug(core, hit)) => Some(self.hit(core, hit)?),
            RunEvent::Stop(_) => Some(Stopped::SignalWithThread { tid: self.stopped, signal: Signal::SIGINT }),
            RunEvent::Resume | RunEvent::Reset(_) | RunEvent::PowerDown | RunEvent::Panicked(_) | RunEvent::Shutdown(_) => None,
        })
    }

    /// A core stopped by itself.
    fn trap(&mut self, core: CoreId) -> Stopped {
        self.stopped = tid(core);
        Stopped::SignalWithThread { tid: self.stopped, signal: Signal::SIGTRAP }
    }

    /// A core met a breakpoint or watchpoint.
    fn hit(&mut self, core: CoreId, hit: Option<Hit>) -> Result<Stopped, Over> {
        let tid = tid(core);
        self.stopped = tid;
        Ok(match hit {
            Some(Hit::Watchpoint { watchpoint, address, .. }) => Stopped::Watch {
                tid,
                kind: match (watchpoint.read, watchpoint.write) {
                    (true, true) => WatchKind::ReadWrite,
                    (true, false) => WatchKind::Read,
                    _ => WatchKind::Write,
                },
                addr: address.max(watchpoint.address),
            },
            Some(Hit::Breakpoint) if self.guest.is_hardware(core)? => Stopped::HwBreak(tid),
            Some(Hit::Breakpoint) => Stopped::SwBreak(tid),
            None => self.trap(core),
        })
    }
}
