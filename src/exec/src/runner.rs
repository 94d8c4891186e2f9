//! The run loop as those see it who look at the machine from outside: debuggers and monitors.

use crate::debug::Hit;
use crate::sched::{self, Bell, Icount, Outcome};
use crate::vcpu::Vcpu;
use proteus_model::{CoreId, Machine};
use std::sync::Arc;

/// The machine while all its cores stand still between two instructions.
pub struct View<'a> {
    /// The machine.
    pub machine: &'a Arc<Machine>,
    /// Its cores.
    pub cpus: &'a mut [Box<dyn Vcpu>],
    /// Time follows the count of instructions.
    pub icount: Option<Icount>,
    pub(crate) bell: &'a Bell,
}

impl<'a> View<'a> {
    /// For the run loop, which has the cores.
    pub fn new(machine: &'a Arc<Machine>, cpus: &'a mut [Box<dyn Vcpu>], icount: Option<Icount>, bell: &'a Bell) -> View<'a> {
        View { machine, cpus, icount, bell }
    }

    /// Executes one instruction of one core: see [`sched::step`].
    pub fn step(&mut self, step: sched::Step) -> Option<Outcome> {
        sched::step(self.machine, self.cpus, self.bell, self.icount, step)
    }
}

/// Something to do while the cores stand still.
pub type Look = Box<dyn FnOnce(&mut View<'_>) + Send>;

/// Why the machine stopped running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// Somebody asked for it.
    Asked,
    /// A core met a breakpoint or watchpoint.
    Debug(CoreId, Option<Hit>),
    /// The guest powered off or reset, and the user wants the machine kept (`-no-shutdown`).
    Shutdown,
    /// The guest says that it has crashed.
    Panic,
    /// A core cannot go on, for a reason that is none of the guest's.
    InternalError,
}

/// Why the machine ends or is reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// `quit` of a monitor.
    HostQuit,
    /// `system_reset` of a monitor.
    HostReset,
    /// A signal to the process.
    HostSignal,
    /// The terminal's or window's own way to end.
    HostUser,
    /// The guest powered off.
    GuestShutdown,
    /// The guest asked for a reset.
    GuestReset,
    /// The guest crashed.
    GuestPanic,
}

/// What becomes of a machine whose guest has crashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterPanic {
    /// It goes on.
    GoesOn,
    /// It stops: [`Pause::Panic`].
    Stops,
    /// It ends.
    Ends,
}

/// What happens to the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunEvent {
    /// The cores begin to run.
    Resume,
    /// They have stopped.
    Stop(Pause),
    /// The machine has been reset.
    Reset(Cause),
    /// The power button was pressed.
    PowerDown,
    /// The guest says that it has crashed.
    Panicked(AfterPanic),
    /// The machine is about to end, or would without `-no-shutdown`.
    Shutdown(Cause),
}

/// The state of the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// The cores have not run yet (`-S`).
    Prelaunch,
    /// They run.
    Running,
    /// They stand still.
    Paused(Pause),
}

/// The run loop. All of it may be called from any thread but the run loop's own.
pub trait Runner: Send + Sync {
    /// Does something while the cores stand still, and waits for it; cores that ran go on
    /// afterwards. False where the run is over, and nothing was done.
    fn look(&self, what: Look) -> bool;
    /// Stops the cores; [`RunEvent::Stop`] follows where they ran.
    fn pause(&self);
    /// Lets the cores run.
    fn resume(&self);
    /// Resets the machine.
    fn reset(&self);
    /// Presses the power button.
    fn power_down(&self);
    /// Ends the run.
    fn quit(&self);
    /// The host's ids of the threads that execute the cores, by core.
    fn threads(&self) -> Vec<u64>;
    /// The state of the run.
    fn state(&self) -> RunState;
    /// Calls `f` with what happens from now on, on the run loop's thread: it must not wait.
    fn subscribe(&self, f: Box<dyn Fn(RunEvent) + Send + Sync>);
}
