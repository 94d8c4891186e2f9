//! How a run ends: what the user, the host and the guest may ask of the run loop, and the status
//! that the program exits with.
//!
//! | status | when |
//! |---|---|
//! | 0 | the guest powered off; it reset under `-no-reboot`; `quit` in the monitor; Ctrl-A x; SIGTERM, SIGINT or SIGHUP |
//! | 1 | the command line cannot be obeyed; semihosting SYS_EXIT with a reason other than 0x20026; a guest that panicked under `-action panic=exit-failure` |
//! | N | semihosting SYS_EXIT_EXTENDED, or a device made for it, gave N (its low eight bits) |
//! | 70 | an internal error: a bug in Proteus |
//!
//! The terminal is restored however the program ends, panics and signals included.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proteus_exec::runner::{Look, RunEvent, RunState, Runner, View};
use proteus_exec::sched::{Bell, Icount};
use proteus_exec::vcpu::Vcpu;
use proteus_host::chardev::Terminals;
use proteus_model::Machine;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The status after an internal error (EX_SOFTWARE of sysexits.h).
pub const INTERNAL_ERROR: u8 = 70;

/// How long a run may take to stop after a signal before the process ends without it.
const GRACE: Duration = Duration::from_millis(50);

/// What the user or the host asks of the run loop.
pub enum Command {
    /// End the program with status 0.
    Quit,
    /// The same, and at once: a signal asked for it.
    Signal,
    /// Reset the machine.
    Reset,
    /// Press the power button.
    PowerDown,
    /// Stop the processors.
    Stop,
    /// Let them go on.
    Continue,
    /// Do something while they stand still; the sender is told when it is done.
    Look(Look, SyncSender<()>),
}

/// The machine, while its processors stand still and the run loop waits for commands: whoever
/// wants to look at it then does so on a thread of his own.
pub struct Parked {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Its processors.
    pub cpus: Vec<Box<dyn Vcpu>>,
    /// Time follows the count of instructions.
    pub icount: Option<Icount>,
}

/// What the run loop waits for.
#[derive(Default)]
struct Queue {
    commands: VecDeque<Command>,
    /// Here while the run loop waits and nobody looks.
    parked: Option<Parked>,
}

/// Takes commands from any thread to the run loop.
pub struct Control {
    /// What the run loop waits on.
    pub bell: Arc<Bell>,
    queue: Mutex<Queue>,
    some: Condvar,
    state: Mutex<RunState>,
    ending: AtomicBool,
    /// Nothing is obeyed any more.
    over: AtomicBool,
    subscribers: Mutex<Vec<Subscriber>>,
    threads: OnceLock<Vec<u64>>,
}

type Subscriber = Arc<dyn Fn(RunEvent) + Send + Sync>;

impl Control {
    /// No commands yet.
    pub fn new() -> Arc<Control> {
        Arc::new(Control {
            bell: Bell::new(),
            queue: Mutex::default(),
            some: Condvar::new(),
            state: Mutex::new(RunState::Prelaunch),
            ending: AtomicBool::new(false),
            over: AtomicBool::new(false),
            subscribers: Mutex::default(),
            threads: OnceLock::new(),
        })
    }

    /// Gives the run loop a command.
    pub fn send(&self, command: Command) {
        if matches!(command, Command::Quit | Command::Signal) {
            self.ending.store(true, Ordering::SeqCst);
        }
        self.queue.lock().commands.push_back(command);
        self.some.notify_all();
        self.bell.stop();
    }

    /// The oldest command. The bell is rearmed first, so that no later one is missed.
    pub fn take(&self) -> Option<Command> {
        self.bell.rearm();
        let mut queue = self.queue.lock();
        let first = queue.commands.pop_front();
        if !queue.commands.is_empty() {
            self.bell.stop();
        }
        first
    }

    /// Waits for a command, while the processors are stopped. The machine comes back with it.
    pub fn wait(&self, parked: Parked) -> (Command, Parked) {
        let mut queue = self.queue.lock();
        queue.parked = Some(parked);
        loop {
            if let Queue { commands, parked: parked @ Some(_) } = &mut *queue
                && let Some(command) = commands.pop_front()
                && let Some(parked) = parked.take()
            {
                return (command, parked);
            }
            self.some.wait(&mut queue);
        }
    }

    /// Says which host threads execute the processors; once.
    pub fn set_threads(&self, ids: Vec<u64>) {
        let _ = self.threads.set(ids);
    }

    /// Says what the processors do.
    pub fn set_state(&self, state: RunState) {
        *self.state.lock() = state;
    }

    /// Tells the subscribers of what happens.
    pub fn tell(&self, event: RunEvent) {
        let subscribers = self.subscribers.lock().clone();
        subscribers.iter().for_each(|f| f(event));
    }

    /// Nothing is obeyed any more: whoever waits for an answer gets none.
    pub fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.queue.lock().commands.clear();
    }

    /// Whether the end has been asked for: whoever waits for the host gives up.
    pub fn ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }
}

/// Gives the machine back to the run loop.
struct PutBack<'a> {
    control: &'a Control,
    parked: Option<Parked>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        let mut queue = self.control.queue.lock();
        queue.parked = self.parked.take();
        // The run loop waits for a command: without one it need not be woken.
        if !queue.commands.is_empty() {
            self.control.some.notify_all();
        }
    }
}

impl Runner for Control {
    fn look(&self, what: Look) -> bool {
        let (done, wait) = sync_channel(1);
        {
            // Under the lock, so that the end of the run either sees it or is seen.
            let mut queue = self.queue.lock();
            if self.over.load(Ordering::SeqCst) {
                return false;
            }
            // Not before what was asked for earlier.
            if queue.commands.is_empty()
                && let Some(parked) = queue.parked.take()
            {
                drop(queue);
                let mut back = PutBack { control: self, parked: Some(parked) };
                if let Some(p) = &mut back.parked {
                    what(&mut View::new(&p.machine, &mut p.cpus, p.icount, &self.bell));
                }
                return true;
            }
            queue.commands.push_back(Command::Look(what, done));
        }
        self.some.notify_all();
        self.bell.stop();
        wait.recv().is_ok()
    }
    fn pause(&self) {
        self.send(Command::Stop);
    }
    fn resume(&self) {
        self.send(Command::Continue);
    }
    fn reset(&self) {
        self.send(Command::Reset);
    }
    fn power_down(&self) {
        self.send(Command::PowerDown);
    }
    fn quit(&self) {
        self.send(Command::Quit);
    }
    fn threads(&self) -> Vec<u64> {
        self.threads.get().cloned().unwrap_or_default()
    }
    fn state(&self) -> RunState {
        *self.state.lock()
    }
    fn subscribe(&self, f: Box<dyn Fn(RunEvent) + Send + Sync>) {
        self.subscribers.lock().push(f.into());
    }
}

/// The thread that waits for signals. It lives as long as the process.
pub struct SignalWatch {
    over: Arc<AtomicBool>,
}

impl SignalWatch {
    /// Starts it.
    pub fn start(program: &str, control: &Arc<Control>, terminals: Terminals) -> io::Result<SignalWatch> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCONT])?;
        let over = Arc::new(AtomicBool::new(false));
        let (control, program, ended) = (control.clone(), program.to_string(), over.clone());
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if signal == SIGCONT {
                    terminals.reapply();
                    continue;
                }
                terminals.restore();
                crate::error::say(format_args!("{program}: terminating on signal {signal}"));
                control.send(Command::Signal);
                let until = Instant::now() + GRACE;
                while Instant::now() < until && !ended.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(2));
                }
                // Something holds the run loop up: a console that nobody reads, a slow disk.
                if !ended.load(Ordering::SeqCst) {
                    std::process::exit(0);
                }
            }
        })?;
        Ok(SignalWatch { over })
    }

    /// The run is over; the process ends by itself.
    pub fn run_is_over(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_in_order_and_keep_the_bell_ringing() {
        let c = Control::new();
        assert!(c.take().is_none());
        c.send(Command::Reset);
        c.send(Command::Quit);
        assert!(c.bell.stopping() && c.ending());
        assert!(matches!(c.take(), Some(Command::Reset)));
        assert!(c.bell.stopping(), "there is one more");
        assert!(matches!(c.take(), Some(Command::Quit)));
        assert!(!c.bell.stopping());
        c.send(Command::Stop);
        let parked = || Parked { machine: proteus_model::MachineBuilder::new("none", 0).build().expect("a machine"), cpus: Vec::new(), icount: None };
        assert!(matches!(c.wait(parked()).0, Command::Stop));
    }
}
