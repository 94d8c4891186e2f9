//! Building and running what a command line asks for.

pub mod build;
mod catalog;
pub mod chardevs;
pub mod cores;
pub mod devices;
pub mod endings;
pub mod gdb;
pub mod helps;
pub mod log;
pub mod monitor;
pub mod network;
pub mod semihost;
pub mod storage;
mod tier;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proteus_exec::runner::{AfterPanic, Cause, Pause, RunEvent, RunState, View};
use proteus_exec::sched::{self, Outcome};
use proteus_model::{Reset, SystemRequest};

use crate::config::{Config, PanicAction, RebootAction, ShutdownAction};
use crate::error::{Problem, UsageError};
use crate::target::TargetName;
use build::Emulator;
use endings::{Command, INTERNAL_ERROR, Parked, SignalWatch};

/// How long output may take to reach the host at the end of a run.
const FLUSH: Duration = Duration::from_secs(5);
/// The same after a signal.
const FLUSH_AFTER_SIGNAL: Duration = Duration::from_millis(30);
/// How long the debugger's stub and the monitors may take to say that the run is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// The same after a signal.
const FAREWELL_AFTER_SIGNAL: Duration = Duration::from_millis(15);

/// Builds the machine of a command line and runs it to its end. Gives the exit status.
pub fn run(config: &Config, target: Option<TargetName>) -> Result<u8, UsageError> {
    log::start(config)?;
    if let Some(name) = &config.name.process {
        name_process(name).map_err(|p| p.at(&config.program, "-name process"))?;
    }
    let mut emulator = build::build(config, target)?;
    if let Some(path) = &config.dumpdtb {
        let Some(dtb) = &emulator.built.dtb else {
            return Err(Problem::new("this board gives the guest no device tree").at(&config.program, "-machine dumpdtb"));
        };
        std::fs::write(path, &dtb.bytes).map_err(|e| Problem(format!("cannot write '{}': {e}", path.display())).at(&config.program, "-machine dumpdtb"))?;
        crate::print(&format!("dtb dumped to {}. Exiting.\n", path.display()));
        return Ok(0);
    }
    let _pidfile = config.pidfile.as_deref().map(PidFile::write).transpose().map_err(|p| p.at(&config.program, "-pidfile"))?;
    let terminals = emulator.chardevs.terminals();
    terminals.restore_on_panic();
    let signals = SignalWatch::start(&config.program, &emulator.control, terminals)
        .map_err(|e| Problem(format!("cannot wait for signals: {e}")).at(&config.program, "start"))?;
    // What the first client is told: the processors start whether it has asked by then or not.
    emulator.control.set_state(if config.start_paused { RunState::Prelaunch } else { RunState::Running });
    if let Some(open) = emulator.open_monitors.take() {
        open();
    }
    let mut run = Run { config, emulator, paused: config.start_paused.then_some(RunState::Prelaunch), signalled: false };
    let status = run.until_end();
    run.emulator.control.close();
    let farewell = if run.signalled { FAREWELL_AFTER_SIGNAL } else { FAREWELL };
    if let Some(stub) = run.emulator.debugger.take() {
        stub.end(farewell);
    }
    let until = Instant::now() + farewell;
    run.emulator.monitors.drain(..).for_each(|m| m.end(until));
    let Emulator { built, cpus, chardevs, .. } = run.emulator;
    chardevs.flush(if run.signalled { FLUSH_AFTER_SIGNAL } else { FLUSH });
    chardevs.restore_terminal();
    // Sockets and links have names in the host's file system, which go with them.
    drop(chardevs);
    signals.run_is_over();
    // The process is about to end: taking the machine apart would wait for a compilation under
    // way, and for the host to take back memory piece by piece.
    std::mem::forget((built, cpus));
    Ok(status)
}

fn name_process(name: &str) -> Result<(), Problem> {
    let name = std::ffi::CString::new(name).map_err(|_| Problem::new("the name has a NUL in it"))?;
    rustix::thread::set_name(&name).map_err(|e| Problem(e.to_string()))
}

/// The file of `-pidfile`, which goes when the process does.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<PidFile, Problem> {
        let write = || writeln!(File::create(path)?, "{}", std::process::id());
        write().map_err(|e| Problem(format!("cannot write '{}': {e}", path.display())))?;
        Ok(PidFile(path.to_path_buf()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It may have been removed by whoever read it.
        let _ = std::fs::remove_file(&self.0);
    }
}

struct Run<'a> {
    config: &'a Config,
    emulator: Emulator,
    /// The state to be in while the processors stand still.
    paused: Option<RunState>,
    signalled: bool,
}

impl Run<'_> {
    /// Gives the status.
    fn until_end(&mut self) -> u8 {
        sched::connect(&self.emulator.built.machine, &self.emulator.control.bell);
        loop {
            let status = if let Some(state) = self.paused {
                self.emulator.control.set_state(state);
                let command = self.wait();
                self.obey(command)
            } else {
                match self.go() {
                    Outcome::Request(request) => self.request(request),
                    Outcome::Debug(core) => {
                        let hit = self.emulator.cpus.iter_mut().find(|cpu| cpu.id() == core).and_then(|cpu| cpu.take_hit());
                        self.pause(Pause::Debug(core, hit));
                        None
                    }
                    Outcome::Stopped => self.emulator.control.take().and_then(|command| self.obey(command)),
                    Outcome::Broken => {
                        crate::error::say(format_args!("{}: internal error: a processor's thread has died; please report this", self.config.program));
                        Some(INTERNAL_ERROR)
                    }
                }
            };
            if let Some(status) = status {
                return status;
            }
        }
    }

    /// Waits for a command while the processors stand still.
    fn wait(&mut self) -> Command {
        let e = &mut self.emulator;
        let parked = Parked { machine: e.built.machine.clone(), cpus: std::mem::take(&mut e.cpus), icount: e.plan.icount };
        let (command, parked) = e.control.wait(parked);
        e.cpus = parked.cpus;
        command
    }

    /// Runs the processors until something asks for attention.
    fn go(&mut self) -> Outcome {
        let e = &mut self.emulator;
        let (machine, bell) = (&e.built.machine, &e.control.bell);
        e.control.set_state(RunState::Running);
        match e.plan.icount {
            Some(icount) => sched::run_turns(machine, &mut e.cpus, bell, icount),
            None => {
                let (cpus, outcome) = e.workers.run(machine, std::mem::take(&mut e.cpus), bell);
                e.cpus = cpus;
                outcome
            }
        }
    }

    /// The processors stand still from now on.
    fn pause(&mut self, why: Pause) {
        if self.paused.is_none() {
            let state = RunState::Paused(why);
            self.paused = Some(state);
            self.emulator.control.set_state(state);
            self.emulator.control.tell(RunEvent::Stop(why));
        }
    }

    /// What the guest asks for. Gives the status where the run is over.
    fn request(&mut self, request: SystemRequest) -> Option<u8> {
        let actions = self.config.actions;
        match request {
            SystemRequest::Exit(code) => {
                self.emulator.control.tell(RunEvent::Shutdown(Cause::GuestShutdown));
                Some(code as u8)
            }
            SystemRequest::PowerOff => self.power_off(Cause::GuestShutdown),
            SystemRequest::Reset if actions.reboot == RebootAction::Shutdown => self.power_off(Cause::GuestReset),
            SystemRequest::Reset => self.reset(Cause::GuestReset),
            // The cores sleep until an interrupt, as after WFI.
            SystemRequest::Suspend => None,
            SystemRequest::InternalError => {
                self.pause(Pause::InternalError);
                None
            }
            SystemRequest::Panic => self.panicked(actions.panic),
        }
    }

    /// The guest says that it has crashed. Gives the status where the run is over.
    fn panicked(&mut self, action: PanicAction) -> Option<u8> {
        let after = match action {
            PanicAction::None => AfterPanic::GoesOn,
            PanicAction::Pause => AfterPanic::Stops,
            PanicAction::Shutdown | PanicAction::ExitFailure => AfterPanic::Ends,
        };
        self.emulator.control.tell(RunEvent::Panicked(after));
        match action {
            PanicAction::None => None,
            PanicAction::Shutdown => self.power_off(Cause::GuestPanic),
            PanicAction::ExitFailure => {
                self.emulator.control.tell(RunEvent::Shutdown(Cause::GuestPanic));
                Some(1)
            }
            PanicAction::Pause => {
                self.pause(Pause::Panic);
                None
            }
        }
    }

    fn power_off(&mut self, cause: Cause) -> Option<u8> {
        self.emulator.control.tell(RunEvent::Shutdown(cause));
        match self.config.actions.shutdown {
            ShutdownAction::Poweroff => Some(0),
            ShutdownAction::Pause => {
                self.pause(Pause::Shutdown);
                None
            }
        }
    }

    fn obey(&mut self, command: Command) -> Option<u8> {
        match command {
            Command::Quit => {
                self.emulator.control.tell(RunEvent::Shutdown(Cause::HostQuit));
                return Some(0);
            }
            Command::Signal => {
                self.signalled = true;
                self.emulator.control.tell(RunEvent::Shutdown(Cause::HostSignal));
                return Some(0);
            }
            Command::Reset => return self.reset(Cause::HostReset),
            Command::PowerDown => {
                if self.emulator.built.system_powerdown() {
                    self.emulator.control.tell(RunEvent::PowerDown);
                }
            }
            Command::Stop => self.pause(Pause::Asked),
            Command::Continue => {
                if self.paused.take().is_some() {
                    self.emulator.control.tell(RunEvent::Resume);
                }
            }
            Command::Look(what, done) => {
                let e = &mut self.emulator;
                what(&mut View::new(&e.built.machine, &mut e.cpus, e.plan.icount, &e.control.bell));
                // Whoever asked may have given up.
                let _ = done.send(());
            }
        }
        None
    }

    /// Resets devices, memory and cores: everything starts as it did at first.
    fn reset(&mut self, cause: Cause) -> Option<u8> {
        let e = &mut self.emulator;
        let broken = |e: &dyn std::fmt::Display, program: &str| {
            crate::error::say(format_args!("{program}: the machine cannot be reset: {e}"));
            Some(INTERNAL_ERROR)
        };
        e.built.machine.reset(Reset::Warm);
        if let Err(error) = e.built.reseed(build::seeds(self.config.seed, e.plan.icount.is_some())) {
            return broken(&error, &self.config.program);
        }
        if let Err(error) = e.built.load() {
            return broken(&error, &self.config.program);
        }
        e.cpus.iter_mut().for_each(|cpu| cpu.reset());
        e.control.tell(RunEvent::Reset(cause));
        // What had stopped for good can run again.
        if let Some(RunState::Paused(Pause::Shutdown | Pause::Panic | Pause::InternalError)) = self.paused {
            self.paused = Some(RunState::Paused(Pause::Asked));
        }
        None
    }
}
