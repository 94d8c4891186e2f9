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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proteus_exec::sched::Bell;
use proteus_host::chardev::Terminals;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The status after an internal error (EX_SOFTWARE of sysexits.h).
pub const INTERNAL_ERROR: u8 = 70;

/// How long a run may take to stop after a signal before the process ends without it.
const GRACE: Duration = Duration::from_millis(50);

/// What the user or the host asks of the run loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// Takes commands from any thread to the run loop.
pub struct Control {
    /// What the run loop waits on.
    pub bell: Arc<Bell>,
    queue: Mutex<VecDeque<Command>>,
    some: Condvar,
    running: AtomicBool,
    ending: AtomicBool,
}

impl Control {
    /// No commands yet.
    pub fn new() -> Arc<Control> {
        Arc::new(Control { bell: Bell::new(), queue: Mutex::default(), some: Condvar::new(), running: AtomicBool::new(false), ending: AtomicBool::new(false) })
    }

    /// Gives the run loop a command.
    pub fn send(&self, command: Command) {
        if matches!(command, Command::Quit | Command::Signal) {
            self.ending.store(true, Ordering::SeqCst);
        }
        self.queue.lock().push_back(command);
        self.some.notify_all();
        self.bell.stop();
    }

    /// The oldest command. The bell is rearmed first, so that no later one is missed.
    pub fn take(&self) -> Option<Command> {
        self.bell.rearm();
        let mut queue = self.queue.lock();
        let first = queue.pop_front();
        if !queue.is_empty() {
            self.bell.stop();
        }
        first
    }

    /// Waits for a command, while the processors are stopped.
    pub fn wait(&self) -> Command {
        let mut queue = self.queue.lock();
        loop {
            match queue.pop_front() {
                Some(command) => return command,
                None => self.some.wait(&mut queue),
            }
        }
    }

    /// Says whether the processors run.
    pub fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::SeqCst);
    }

    /// Whether the processors run.
    pub fn running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// Whether the end has been asked for: whoever waits for the host gives up.
    pub fn ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
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
        assert_eq!(c.take(), None);
        c.send(Command::Reset);
        c.send(Command::Quit);
        assert!(c.bell.stopping() && c.ending());
        assert_eq!(c.take(), Some(Command::Reset));
        assert!(c.bell.stopping(), "there is one more");
        assert_eq!(c.take(), Some(Command::Quit));
        assert!(!c.bell.stopping());
        c.send(Command::Stop);
        assert_eq!(c.wait(), Command::Stop);
    }
}
