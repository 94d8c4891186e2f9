//! A core as the schedulers and everything above them see it, whatever its architecture and
//! whoever executes it.

use crate::core::{Core, InstructionClock};
use crate::cpu::{Cpu, Stop};
use crate::system::System;
use crate::target::Target;
use proteus_model::{CoreId, CoreLines};
use std::sync::Arc;

/// Puts a core that has been reset where the machine starts it.
pub type Start<T> = Box<dyn Fn(&mut Core<T>) + Send>;

/// A core.
pub trait Vcpu: Send {
    /// Which core of the machine this is.
    fn id(&self) -> CoreId;
    /// Its interrupt lines and kick flag.
    fn lines(&self) -> &Arc<CoreLines>;
    /// The mailbox of the machine's cores.
    fn system(&self) -> &Arc<System>;
    /// Runs at most `budget` instructions; see [`Cpu::run`].
    fn run(&mut self, budget: i64) -> Stop;
    /// How virtual time follows from the instructions that it executes, where it does.
    fn set_clock(&mut self, clock: Option<InstructionClock>);
    /// Instructions executed up to the end of the last run.
    fn retired(&self) -> u64;
    /// It is on and does not wait for an interrupt.
    fn runnable(&self) -> bool;
    /// It is on, and if it waits for an interrupt there is one.
    fn would_run(&self) -> bool;
    /// Whether it gave up its turn since it was asked last.
    fn take_yielded(&mut self) -> bool;
    /// Address of the next instruction.
    fn pc(&self) -> u64;
    /// Back to the state in which the machine starts it. Memory has been loaded.
    fn reset(&mut self);
}

impl<T: Target> Vcpu for Cpu<T> {
    fn id(&self) -> CoreId {
        self.core.id
    }
    fn lines(&self) -> &Arc<CoreLines> {
        &self.core.lines
    }
    fn system(&self) -> &Arc<System> {
        &self.core.system
    }
    fn run(&mut self, budget: i64) -> Stop {
        Cpu::run(self, budget)
    }
    fn set_clock(&mut self, clock: Option<InstructionClock>) {
        self.core.deterministic = clock;
    }
    fn retired(&self) -> u64 {
        self.core.retired
    }
    fn runnable(&self) -> bool {
        self.core.powered && !self.core.halted
    }
    fn would_run(&self) -> bool {
        self.core.powered && (!self.core.halted || T::wakes(&self.core))
    }
    fn take_yielded(&mut self) -> bool {
        std::mem::take(&mut self.core.yielded)
    }
    fn pc(&self) -> u64 {
        self.core.pc()
    }
    fn reset(&mut self) {
        self.read_mail();
        let core = &mut *self.core;
        let _ = core.system.take_start(core.id);
        core.pending = None;
        core.yielded = false;
        core.wait_settled = false;
        T::reset(core);
        if let Some(start) = &self.start {
            start(core);
        }
        core.resync();
        core.system.set_on(core.id, core.powered);
        self.forget();
    }
}
