//! A core as the schedulers and everything above them see it, whatever its architecture and
//! whoever executes it.

use crate::core::{Core, InstructionClock};
use crate::cpu::{Cpu, Stop};
use crate::debug::{Condition, Hit, Inspect, Watchpoint, by_page};
use crate::registers::Description;
use crate::system::System;
use crate::target::Target;
use proteus_model::{CoreId, CoreLines, Mapping};
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
    /// Whether [`Vcpu::run`] obeys its budget. One that does not runs until it is kicked.
    fn bounded(&self) -> bool {
        true
    }
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
    /// Executes one instruction, as [`Cpu::step`]; interrupts are taken before it only where
    /// `interrupts` says so.
    fn step(&mut self, interrupts: bool) -> Stop;
    /// Sets the breakpoints: virtual addresses, in whatever address space.
    fn set_breakpoints(&mut self, addresses: &[u64]);
    /// Sets the conditions of breakpoints, by address: each stops the core where its condition holds,
    /// and one without always does. False where the core does not evaluate conditions.
    fn set_conditions(&mut self, _conditions: Vec<(u64, Condition)>) -> bool {
        false
    }
    /// Sets the watchpoints.
    fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]);
    /// Whether it can have these breakpoints and watchpoints all at once.
    fn admits(&self, _breakpoints: &[u64], _watchpoints: &[Watchpoint]) -> bool {
        true
    }
    /// What a debugger's breakpoint or watchpoint stopped it for, once.
    fn take_hit(&mut self) -> Option<Hit>;
    /// Its registers.
    fn description(&self) -> Description;
    /// The value of a register by its number in [`Vcpu::description`]; `None` where there is none,
    /// or it cannot be read now.
    fn read_register(&mut self, number: usize) -> Option<u128>;
    /// Sets a register; false where there is none, or it cannot be set.
    fn write_register(&mut self, number: usize, value: u128) -> bool;
    /// The guest physical address of a virtual one as the core translates it now, without side
    /// effects.
    fn translate(&mut self, address: u64) -> Option<u64>;
    /// The virtual address that a debugger with addresses of 32 bits means by `address`, where that is
    /// another one.
    fn sign_extended(&self, _address: u64) -> Option<u64> {
        None
    }
    /// Reads guest memory by virtual address, as far as there is any; gives the bytes read.
    fn read_memory(&mut self, address: u64, to: &mut [u8]) -> usize;
    /// Writes guest memory by virtual address, read-only memory too; gives the bytes written.
    fn write_memory(&mut self, address: u64, from: &[u8]) -> usize;
    /// Writes guest physical memory, read-only memory too; gives the bytes written.
    fn write_physical(&mut self, phys: u64, from: &[u8]) -> usize;
    /// What the architecture has to tell people of its state; `None` where it has nothing of the
    /// kind.
    fn facts(&mut self, what: Facts) -> Option<String>;
    /// Back to the state in which the machine starts it. Memory has been loaded.
    fn reset(&mut self);
}

/// What a core tells people of itself, in lines of text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Facts {
    /// Its mode, in a line, to stand under its registers.
    Mode,
    /// The entries of its TLB, where software can see them.
    Tlb,
    /// What is mapped at which virtual addresses.
    Mappings,
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
    fn step(&mut self, interrupts: bool) -> Stop {
        self.core.debug.interrupts_masked = !interrupts;
        let stop = Cpu::step(self);
        self.core.debug.interrupts_masked = false;
        stop
    }
    fn set_breakpoints(&mut self, addresses: &[u64]) {
        Cpu::set_breakpoints(self, addresses);
    }
    fn set_conditions(&mut self, conditions: Vec<(u64, Condition)>) -> bool {
        self.core.debug.set_conditions(conditions);
        true
    }
    fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]) {
        Cpu::set_watchpoints(self, watchpoints);
    }
    fn take_hit(&mut self) -> Option<Hit> {
        self.core.debug.hit.take()
    }
    fn description(&self) -> Description {
        T::description(&self.core)
    }
    fn read_register(&mut self, number: usize) -> Option<u128> {
        T::read_register(&mut self.core, number)
    }
    fn write_register(&mut self, number: usize, value: u128) -> bool {
        let written = T::write_register(&mut self.core, number, value);
        // A new pc is not that of the delay slot that was to come.
        if self.core.delay_pending() && T::description(&self.core).pc == number {
            self.core.end_delay();
        }
        self.core.resync();
        written
    }
    fn translate(&mut self, address: u64) -> Option<u64> {
        T::debug_translate(&mut self.core, address)
    }
    fn sign_extended(&self, address: u64) -> Option<u64> {
        T::sign_extended(&self.core, address)
    }
    fn read_memory(&mut self, address: u64, to: &mut [u8]) -> usize {
        self.core.memory(address, to)
    }
    fn write_memory(&mut self, address: u64, from: &[u8]) -> usize {
        by_page(address, from.len(), |at, range| {
            let phys = T::debug_translate(&mut self.core, at)?;
            let n = range.len();
            (self.write_physical(phys, &from[range]) == n).then_some(())
        })
    }
    fn write_physical(&mut self, phys: u64, from: &[u8]) -> usize {
        let core = &mut *self.core;
        by_page(phys, from.len(), |at, range| {
            let bytes = range.len() as u64;
            match core.space.find(at)? {
                Mapping::Ram { region, offset, len_left, .. } if len_left >= bytes => region.write(offset, &from[range]).ok()?,
                _ => return None,
            }
            core.stale.push((at, bytes));
            core.system.code_written(core.id, at, bytes);
            Some(())
        })
    }
    fn facts(&mut self, what: Facts) -> Option<String> {
        T::facts(&mut self.core, what)
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
