//! The two ways to run a machine's cores.
//!
//! [`Workers`]: a thread a core; time follows the host clock. [`run_turns`]: the cores take
//! turns on the calling thread, virtual time is made of executed instructions and jumps to the
//! next alarm when every core idles; two runs are the same to the last bit.

use crate::core::InstructionClock;
use crate::cpu::Stop;
use crate::vcpu::Vcpu;
use parking_lot::{Condvar, Mutex};
use proteus_model::{CoreId, CoreLines, Machine, SystemRequest};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Instructions that a core runs between two looks at its kick flag, in threads: bounds how long
/// an interrupt waits to some tens of microseconds.
const SLICE: i64 = 4096;
/// Instructions of a turn while several cores are runnable.
const TURN: i64 = 20_000;
/// Instructions of a turn of the only runnable core.
const LONG_TURN: i64 = 1_000_000;

/// No core: of the cores that a debugger stopped.
const NOBODY: u32 = u32::MAX;

/// A bell that the machine and the host ring: something is to be looked at.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<bool>,
    wake: Condvar,
    stop: AtomicBool,
}

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> Arc<Bell> {
        Arc::new(Bell::default())
    }

    /// Rings: the loop that waits looks.
    pub fn ring(&self) {
        *self.rung.lock() = true;
        self.wake.notify_all();
    }

    /// Asks the run loop to end with [`Outcome::Stopped`].
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
        self.ring();
    }

    /// Whether a stop was asked for.
    pub fn stopping(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// Takes back a request to stop, before a new run.
    pub fn rearm(&self) {
        self.stop.store(false, SeqCst);
    }

    /// Waits until rung, or until `deadline`.
    fn wait(&self, deadline: Option<Instant>) {
        let mut rung = self.rung.lock();
        while !*rung {
            match deadline {
                None => self.wake.wait(&mut rung),
                Some(at) => {
                    if self.wake.wait_until(&mut rung, at).timed_out() {
                        break;
                    }
                }
            }
        }
        *rung = false;
    }

    fn take(&self) -> bool {
        std::mem::take(&mut *self.rung.lock())
    }
}

/// Why a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The guest asked for something.
    Request(SystemRequest),
    /// [`Bell::stop`] was called.
    Stopped,
    /// A debugger's breakpoint or watchpoint stopped a core; all the others are stopped too.
    Debug(CoreId),
    /// A core's thread died: a bug in the emulator, which has been reported.
    Broken,
}

/// Rings `bell` for the machine's alarms, events and requests.
pub fn connect(machine: &Machine, bell: &Arc<Bell>) {
    let b = bell.clone();
    machine.set_alarm_waker(move || b.ring());
    let b = bell.clone();
    machine.set_event_waker(move || b.ring());
}

/// What all cores of one run look at.
struct Flags {
    quit: AtomicBool,
    hit: AtomicU32,
    bell: Arc<Bell>,
}

/// A core for its thread to run, and the way back.
struct Job {
    cpu: Box<dyn Vcpu>,
    flags: Arc<Flags>,
    back: Sender<Box<dyn Vcpu>>,
}

/// The thread of a core.
struct Worker {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
    id: u64,
}

/// Threads for the cores of a machine, one for each. They last from one run to the next, so that
/// who pins them to processors of the host or counts their time may go by their ids.
pub struct Workers(Vec<Worker>);

impl Workers {
    /// Starts the threads of so many cores; `id` gives the host's id of the thread that calls it.
    pub fn start(cores: usize, id: fn() -> u64) -> io::Result<Workers> {
        (0..cores).map(|n| Worker::start(n, id)).collect::<io::Result<_>>().map(Workers)
    }

    /// The host's ids of the threads, by core.
    pub fn ids(&self) -> Vec<u64> {
        self.0.iter().map(|w| w.id).collect()
    }

    /// Runs each core on its thread until the guest or the host ends it. The cores come back,
    /// stopped between two instructions.
    pub fn run(&self, machine: &Arc<Machine>, cpus: Vec<Box<dyn Vcpu>>, bell: &Arc<Bell>) -> (Vec<Box<dyn Vcpu>>, Outcome) {
        let flags = Arc::new(Flags { quit: AtomicBool::new(false), hit: AtomicU32::new(NOBODY), bell: bell.clone() });
        let lines: Vec<_> = cpus.iter().map(|c| c.lines().clone()).collect();
        machine.clock().resume();
        let (back, finished) = channel();
        // A thread that has died, or is missing, is seen by the count of the cores that come back.
        for (worker, cpu) in self.0.iter().zip(cpus) {
            let _ = worker.jobs.send(Job { cpu, flags: flags.clone(), back: back.clone() });
        }
        drop(back);
        let outcome = watch(machine, &flags, &self.0);
        flags.quit.store(true, SeqCst);
        for l in &lines {
            l.kick();
        }
        let mut cpus: Vec<_> = finished.into_iter().collect();
        cpus.sort_by_key(|cpu| cpu.id().0);
        // Devices stand still too from here on.
        machine.answer_doorbells();
        machine.clock().pause();
        let outcome = if cpus.len() == lines.len() { outcome } else { Outcome::Broken };
        (cpus, outcome)
    }
}

impl Worker {
    fn start(core: usize, id: fn() -> u64) -> io::Result<Worker> {
        let (jobs, inbox) = sync_channel::<Job>(1);
        let (tell, told) = sync_channel(1);
        let run = move || {
            // Who starts the thread waits for it.
            let _ = tell.send(id());
            while let Ok(Job { cpu, flags, back }) = inbox.recv() {
                let guard = RingOnPanic(&flags.bell);
                let cpu = core_thread(cpu, &flags);
                std::mem::forget(guard);
                // The run may have been given up.
                let _ = back.send(cpu);
            }
        };
        let thread = std::thread::Builder::new().name(format!("core {core}")).spawn(run)?;
        Ok(Worker { jobs, thread, id: told.recv().map_err(io::Error::other)? })
    }
}

struct RingOnPanic<'a>(&'a Bell);

impl Drop for RingOnPanic<'_> {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// The watching thread's loop: alarms, events and requests.
fn watch(machine: &Machine, flags: &Flags, workers: &[Worker]) -> Outcome {
    let (bell, hit) = (&flags.bell, &flags.hit);
    loop {
        machine.run_alarms(machine.clock().now());
        machine.deliver_events();
        if let Some(r) = machine.take_request() {
            return Outcome::Request(r);
        }
        match hit.load(SeqCst) {
            NOBODY => {}
            core => return Outcome::Debug(CoreId(core as u16)),
        }
        if bell.stopping() {
            return Outcome::Stopped;
        }
        if workers.iter().any(|w| w.thread.is_finished()) {
            return Outcome::Broken;
        }
        let deadline = machine.next_alarm().and_then(|at| machine.clock().instant(at));
        bell.wait(deadline);
    }
}

fn core_thread(mut cpu: Box<dyn Vcpu>, flags: &Flags) -> Box<dyn Vcpu> {
    let Flags { quit, hit, bell } = flags;
    let (system, lines, id) = (cpu.system().clone(), cpu.lines().clone(), cpu.id());
    cpu.set_clock(None);
    system.set_idle(id, false);
    // Once whatever happens: a core whose breakpoint is met again and again must not keep the others
    // from going on.
    loop {
        lines.take_kick();
        // Nobody would kick it again.
        if !cpu.bounded() && quit.load(SeqCst) {
            break;
        }
        let stop = cpu.run(SLICE);
        match stop {
            Stop::Budget | Stop::Kicked => {
                if cpu.take_yielded() {
                    std::thread::yield_now();
                }
            }
            Stop::Debug => {
                // Where several cores hit at once the first is told of; the others hit again.
                let _ = hit.compare_exchange(NOBODY, id.0.into(), SeqCst, SeqCst);
                bell.ring();
                break;
            }
            Stop::Halted | Stop::Off => {
                system.set_idle(id, true);
                if !quit.load(SeqCst) {
                    lines.wait(None);
                }
                system.set_idle(id, false);
            }
        }
        if quit.load(SeqCst) {
            break;
        }
    }
    system.set_idle(id, true);
    cpu
}

/// How instructions become virtual time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icount {
    /// An instruction takes `1 << shift` nanoseconds.
    pub shift: u32,
    /// While every core idles, wait in host time instead of jumping to the next alarm.
    pub sleep: bool,
}

/// Runs the cores in turns on this thread until the guest or the host ends it.
pub fn run_turns(machine: &Arc<Machine>, cpus: &mut [Box<dyn Vcpu>], bell: &Bell, icount: Icount) -> Outcome {
    let clock = machine.clock().clone();
    let mut now = clock.now();
    let cores = cpus.len();
    loop {
        if bell.take() {
            machine.deliver_events();
        }
        if bell.stopping() {
            return Outcome::Stopped;
        }
        let mut ran = false;
        let alone = cpus.iter().filter(|c| c.runnable()).count() <= 1 || cores == 1;
        for cpu in cpus.iter_mut() {
            machine.run_alarms(now);
            cpu.lines().take_kick();
            let turn = if alone { LONG_TURN } else { TURN };
            let budget = match machine.next_alarm() {
                Some(at) => instructions_until(now, at, icount.shift).min(turn),
                None => turn,
            };
            let before = cpu.retired();
            cpu.set_clock(Some(InstructionClock { shift: icount.shift, base: now, from: before }));
            cpu.take_yielded();
            let stop = cpu.run(budget);
            let executed = cpu.retired() - before;
            ran |= executed != 0;
            tracing::trace!(target: "turns", core = cpu.id().0, now, executed, pc = format_args!("{:#x}", cpu.pc()), "turn");
            now += executed << icount.shift;
            clock.set(now);
            if let Some(r) = machine.take_request() {
                return Outcome::Request(r);
            }
            if stop == Stop::Debug {
                return Outcome::Debug(cpu.id());
            }
        }
        if ran || cpus.iter().any(|c| c.would_run() || c.system().start_pending(c.id())) {
            continue;
        }
        match machine.next_alarm() {
            Some(at) => {
                if icount.sleep {
                    bell_wait(bell, Duration::from_nanos(at.saturating_sub(now)));
                }
                now = now.max(at);
                clock.set(now);
            }
            // Nothing will ever happen but by the host.
            None => bell_wait(bell, Duration::MAX),
        }
    }
}

/// How long a single step may wait for an interrupt before whoever asked for it is listened to.
const PATIENCE: Duration = Duration::from_millis(10);

/// How long the other cores run before a step of one, where they do not count instructions.
const MOMENT: Duration = Duration::from_micros(100);

/// Kicks a core when so much time has passed.
fn kick_after(lines: Arc<CoreLines>, time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        lines.kick();
    });
}

/// A debugger's single step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The core's place among the cores.
    pub core: usize,
    /// Interrupts are taken.
    pub interrupts: bool,
    /// The other cores run for a moment before it; otherwise they stand still.
    pub others: bool,
}

/// Executes one instruction of one core. Time goes on as in a run: by the instruction with
/// `icount`, and otherwise by the host's clock. A core that waits for an interrupt gets the time
/// until one comes, but no more than [`PATIENCE`] of the host's: `Some(Outcome::Stopped)` says that it
/// still waits. `None` where the step is done.
pub fn step(machine: &Arc<Machine>, cpus: &mut [Box<dyn Vcpu>], bell: &Bell, icount: Option<Icount>, step: Step) -> Option<Outcome> {
    let clock = machine.clock().clone();
    if icount.is_none() {
        clock.resume();
    }
    let patience = Instant::now() + PATIENCE;
    let outcome = loop {
        if step.others
            && let Some(core) = run_others(machine, cpus, step.core, icount)
        {
            break Some(Outcome::Debug(core));
        }
        let Some(cpu) = cpus.get_mut(step.core) else { break None };
        let now = clock.now();
        machine.run_alarms(now);
        if icount.is_none() || bell.take() {
            machine.deliver_events();
        }
        cpu.lines().take_kick();
        let before = cpu.retired();
        cpu.set_clock(icount.map(|i| InstructionClock { shift: i.shift, base: now, from: before }));
        let stop = cpu.step(step.interrupts);
        let executed = cpu.retired() - before;
        if let Some(icount) = icount {
            clock.set(now + (executed << icount.shift));
        }
        match (machine.take_request(), stop) {
            (Some(r), _) => break Some(Outcome::Request(r)),
            (None, Stop::Debug) => break Some(Outcome::Debug(cpu.id())),
            (None, _) if executed != 0 || stop == Stop::Off => break None,
            _ if bell.stopping() => break Some(Outcome::Stopped),
            (None, Stop::Halted) => match (machine.next_alarm(), icount) {
                (Some(at), Some(icount)) if !icount.sleep => clock.set(now.max(at)),
                _ if Instant::now() >= patience => break Some(Outcome::Stopped),
                (Some(at), Some(_)) => {
                    let wait = Duration::from_nanos(at.saturating_sub(now));
                    let patient = wait <= PATIENCE;
                    bell_wait(bell, wait.min(PATIENCE));
                    clock.set(if patient { now.max(at) } else { now + PATIENCE.as_nanos() as u64 });
                }
                (Some(at), None) => bell.wait(clock.instant(at).map(|at| at.min(patience))),
                (None, _) => bell_wait(bell, PATIENCE),
            },
            // Kicked before it began: once more.
            (None, Stop::Budget | Stop::Kicked | Stop::Off) => {}
        }
    };
    if icount.is_none() {
        clock.pause();
    }
    outcome
}

/// A moment for every core but one, on this thread. Gives the core that a debugger stopped.
fn run_others(machine: &Machine, cpus: &mut [Box<dyn Vcpu>], but: usize, icount: Option<Icount>) -> Option<CoreId> {
    let clock = machine.clock();
    for (_, cpu) in cpus.iter_mut().enumerate().filter(|(n, _)| *n != but) {
        let now = clock.now();
        machine.run_alarms(now);
        cpu.lines().take_kick();
        let before = cpu.retired();
        cpu.set_clock(icount.map(|i| InstructionClock { shift: i.shift, base: now, from: before }));
        if !cpu.bounded() {
            kick_after(cpu.lines().clone(), MOMENT);
        }
        let stop = cpu.run(SLICE);
        if let Some(icount) = icount {
            clock.set(now + ((cpu.retired() - before) << icount.shift));
        }
        if stop == Stop::Debug {
            return Some(cpu.id());
        }
    }
    None
}

/// Waits for the bell and leaves it rung, so that the loop delivers what it rang for.
fn bell_wait(bell: &Bell, limit: Duration) {
    bell.wait(Instant::now().checked_add(limit));
    *bell.rung.lock() = true;
}

/// Instructions until virtual time reaches `at`; at least one.
fn instructions_until(now: u64, at: u64, shift: u32) -> i64 {
    let ns = at.saturating_sub(now);
    let n = ns.div_ceil(1 << shift);
    i64::try_from(n).unwrap_or(i64::MAX).max(1)
}
