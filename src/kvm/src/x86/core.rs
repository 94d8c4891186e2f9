//! A core that KVM executes.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kvm_bindings::*;
use kvm_ioctls::VcpuFd;
use proteus_exec::core::InstructionClock;
use proteus_exec::cpu::Stop;
use proteus_exec::debug::{Hit, Watchpoint, by_page};
use proteus_exec::registers::Description;
use proteus_exec::system::System;
use proteus_exec::vcpu::{Facts, Vcpu};
use proteus_model::{CoreId, CoreLines, Line, Machine, Mapping, SystemRequest, Width};
use proteus_x86::{State, mmu, registers};

use super::debug::Debug;
use super::planted::Whose;
use super::saved::{Extended, Saved};
use super::{Vm, convert, interrupts};
use crate::kick::Kick;
use crate::{Configuration, Error};

/// How often a core is looked at that waits for a start-up interrupt where the kernel does not let
/// it wait.
const START_UP: Duration = Duration::from_millis(1);

/// Vector of the exception that INT3 raises, #BP.
const BREAKPOINT: u32 = 3;

/// A core.
pub struct Core {
    id: CoreId,
    fd: VcpuFd,
    vm: Arc<Vm>,
    machine: Arc<Machine>,
    lines: Arc<CoreLines>,
    system: Arc<System>,
    configuration: Arc<Configuration>,
    kick: Arc<Kick>,
    /// What a reset gives.
    pristine: Saved,
    /// Its state, once somebody has asked for it.
    state: Option<State>,
    /// The kernel has not got `state` yet.
    changed: bool,
    /// The kernel waits for the answer to an exit, which the next KVM_RUN takes in.
    owing: bool,
    /// It cannot go on before a reset.
    stuck: bool,
    debug: Debug,
    /// Breakpoint instructions in memory while it runs: physical addresses.
    planted: Vec<u64>,
    /// Instructions stepped.
    steps: u64,
}

/// How a call of KVM_RUN ended.
enum Ran {
    /// With an exit.
    Exit,
    /// A kick came before or meanwhile.
    Kicked,
    /// The core waits for its start-up interrupt.
    NotStarted,
}

impl Core {
    pub(super) fn new(
        id: CoreId,
        vm: Arc<Vm>,
        machine: &Arc<Machine>,
        system: &Arc<System>,
        configuration: &Arc<Configuration>,
        cpuid: &CpuId,
    ) -> Result<Core, Error> {
        let apic_id = configuration.apic_ids.get(usize::from(id.0)).copied().unwrap_or(0);
        let fd = vm.fd.create_vcpu(apic_id.into()).map_err(Error::refused("KVM_CREATE_VCPU"))?;
        fd.set_cpuid2(cpuid).map_err(Error::refused("KVM_SET_CPUID2"))?;
        let kick = Kick::new(fd.as_raw_fd()).map_err(|source| Error::Refused { what: "mmap of a core", source })?;
        let lines = machine.core_lines(id).cloned().ok_or(Error::Lacks("a core that the board has"))?;
        let ring = kick.clone();
        lines.set_waker(move || ring.ring());
        let pristine = Saved::of(&fd, &vm)?;
        Ok(Core {
            id,
            fd,
            vm,
            machine: machine.clone(),
            lines,
            system: system.clone(),
            configuration: configuration.clone(),
            kick,
            pristine,
            state: None,
            changed: false,
            owing: false,
            stuck: false,
            debug: Debug::default(),
            planted: Vec::new(),
            steps: 0,
        })
    }

    /// All of its state. It stands still.
    pub fn save(&mut self) -> Result<Saved, Error> {
        self.flush()?;
        Saved::of(&self.fd, &self.vm)
    }

    /// Puts it into a state that was saved. It stands still.
    pub fn restore(&mut self, saved: &Saved) -> Result<(), Error> {
        (self.state, self.changed, self.stuck) = (None, false, false);
        saved.restore(&self.fd, &self.configuration.report)
    }

    /// The machine as the kernel has it.
    pub fn vm(&self) -> &Arc<Vm> {
        &self.vm
    }

    fn load(&mut self) -> Result<&mut State, Error> {
        if self.state.is_none() {
            let regs = self.fd.get_regs().map_err(Error::refused("KVM_GET_REGS"))?;
            let sregs = self.fd.get_sregs().map_err(Error::refused("KVM_GET_SREGS"))?;
            let extended = Extended::of(&self.fd, self.vm.xsave)?;
            self.state = Some(convert::state(&regs, &sregs, &extended.bytes()));
        }
        self.state.as_mut().ok_or(Error::Lacks("a state"))
    }

    /// Its state; all zero where the kernel refuses to tell it, which has been logged.
    fn state(&mut self) -> State {
        match self.load() {
            Ok(state) => state.clone(),
            Err(e) => {
                tracing::error!("core {}: {e}", self.id.0);
                State::default()
            }
        }
    }

    /// Gives the kernel what was changed.
    fn flush(&mut self) -> Result<(), Error> {
        let Some(state) = self.state.take().filter(|_| std::mem::take(&mut self.changed)) else { return Ok(()) };
        let old = self.fd.get_sregs().map_err(Error::refused("KVM_GET_SREGS"))?;
        let sregs = convert::sregs(&state, &old);
        if sregs != old {
            self.fd.set_sregs(&sregs).map_err(Error::refused("KVM_SET_SREGS"))?;
        }
        // Not KVM_SET_FPU: the kernel then need not take note that the registers are in use, and
        // may load them as after a reset.
        let mut extended = Extended::of(&self.fd, self.vm.xsave)?;
        let mut bytes = extended.bytes();
        if convert::fpu(&bytes) != state.fpu {
            convert::set_fpu(&mut bytes, &state.fpu);
            extended.set_bytes(&bytes);
            extended.restore(&self.fd)?;
        }
        self.fd.set_regs(&convert::regs(&state)).map_err(Error::refused("KVM_SET_REGS"))
    }

    /// One KVM_RUN.
    fn enter(&mut self) -> Result<Ran, Error> {
        self.kick.arm();
        if self.lines.kicked() {
            self.kick.disarm();
            return Ok(Ran::Kicked);
        }
        let result = self.fd.run().map(drop);
        self.kick.disarm();
        self.owing = false;
        match result.map_err(|e| e.errno()) {
            Ok(()) => Ok(Ran::Exit),
            Err(libc::EINTR) => Ok(Ran::Kicked),
            Err(libc::EAGAIN) => Ok(Ran::NotStarted),
            Err(e) => Err(Error::Refused { what: "KVM_RUN", source: std::io::Error::from_raw_os_error(e) }),
        }
    }

    /// Lets the kernel take in the answer that it waits for, so that the state is that between two
    /// instructions.
    fn finish(&mut self) -> Result<(), Error> {
        while self.owing {
            self.kick.only_finish();
            let result = self.fd.run().map(drop);
            self.owing = false;
            match result.map_err(|e| e.errno()) {
                // An access in several pieces.
                Ok(()) => drop(self.exit()?),
                Err(libc::EINTR | libc::EAGAIN) => {}
                Err(e) => return Err(Error::Refused { what: "KVM_RUN", source: std::io::Error::from_raw_os_error(e) }),
            }
        }
        Ok(())
    }

    /// Runs until something stops it; `step` executes one instruction, with interrupts or without.
    fn go(&mut self, step: Option<bool>) -> Result<Stop, Error> {
        if self.stuck {
            return Ok(Stop::Off);
        }
        self.plant(step.is_some());
        let stop = self.flush().and_then(|()| self.go_on(step));
        for phys in self.planted.drain(..) {
            self.vm.planted.take(&self.machine, phys);
        }
        stop
    }

    /// Finds out what the host does for a debugger, where one has set anything.
    fn try_debugging(&mut self) {
        if !(self.debug.breakpoints.is_empty() && self.debug.watchpoints.is_empty()) {
            self.debug.tried = self.vm.tried();
        }
    }

    /// Puts breakpoint instructions where breakpoints have no register. A step takes the instruction
    /// where it stands, whatever breakpoint is there.
    fn plant(&mut self, steps: bool) {
        if self.debug.in_memory().is_empty() {
            return;
        }
        let pc = self.pc();
        for linear in self.debug.in_memory().to_vec() {
            if !(steps && linear == pc)
                && let Some(phys) = self.translate(linear)
                && self.vm.planted.put(&self.machine, phys)
            {
                self.planted.push(phys);
            }
        }
    }

    fn go_on(&mut self, step: Option<bool>) -> Result<Stop, Error> {
        if let Some(control) = self.debug.control(step, self.vm.debug) {
            self.fd.set_guest_debug(&control).map_err(Error::refused("KVM_SET_GUEST_DEBUG"))?;
        }
        let stop = loop {
            self.vm.follow(&self.machine)?;
            if step != Some(false) {
                self.offer_interrupt();
            }
            // A guest that has asked for a reset or its end does not go on: what firmware tries next
            // is worse. Whoever takes the request kicks the cores.
            if step.is_none() && self.machine.has_request() {
                self.lines.wait(Some(Instant::now() + START_UP));
                if !self.lines.kicked() {
                    continue;
                }
            }
            match self.enter()? {
                Ran::Kicked => break Stop::Kicked,
                Ran::NotStarted => {
                    // A kick is left pending, and seen next.
                    self.lines.wait(Some(Instant::now() + START_UP));
                }
                Ran::Exit => {
                    if let Some(stop) = self.exit()? {
                        break stop;
                    }
                }
            }
        };
        self.finish()?;
        Ok(stop)
    }

    /// Gives the core the interrupt of the controller at line IRQ, or asks to be told when it can
    /// take it.
    fn offer_interrupt(&mut self) {
        let wanted = self.lines.level(Line::IRQ);
        let run = self.fd.get_kvm_run();
        run.request_interrupt_window = 0;
        if !wanted {
            return;
        }
        if run.ready_for_interrupt_injection == 0 || run.if_flag == 0 {
            run.request_interrupt_window = 1;
            return;
        }
        let Some(port) = self.configuration.acknowledge_port else { return };
        match self.machine.pio_read(self.id, port, Width::B1) {
            Ok(vector) => {
                if let Err(e) = interrupts::inject(&self.fd, vector as u32) {
                    tracing::error!("core {}: KVM_INTERRUPT: {e}; an interrupt is lost", self.id.0);
                }
            }
            Err(e) => tracing::error!("core {}: no interrupt acknowledge at port {port:#x}: {e}", self.id.0),
        }
    }

    /// Does what an exit asks for. Gives why the core stops, where it does.
    fn exit(&mut self) -> Result<Option<Stop>, Error> {
        let run = self.fd.get_kvm_run();
        let reason = run.exit_reason;
        // SAFETY: the exit reason says which of the fields the kernel has filled in, and all of
        // them are plain numbers.
        let (eoi, debug, event) = unsafe { (run.__bindgen_anon_1.eoi, run.__bindgen_anon_1.debug, run.__bindgen_anon_1.system_event.type_) };
        match reason {
            KVM_EXIT_IO => self.port_access(),
            KVM_EXIT_MMIO => self.memory_access(),
            KVM_EXIT_IRQ_WINDOW_OPEN | KVM_EXIT_INTR | KVM_EXIT_HLT => {}
            KVM_EXIT_IOAPIC_EOI => {
                if let Some(at) = self.configuration.end_of_interrupt {
                    let _ = self.machine.write(self.id, at, Width::B4, eoi.vector.into());
                }
            }
            KVM_EXIT_DEBUG => return self.debug_exit(&debug.arch),
            KVM_EXIT_SHUTDOWN => return Ok(Some(self.give_up(SystemRequest::Reset))),
            KVM_EXIT_SYSTEM_EVENT => {
                let request = match event {
                    KVM_SYSTEM_EVENT_SHUTDOWN => SystemRequest::PowerOff,
                    KVM_SYSTEM_EVENT_CRASH => SystemRequest::Panic,
                    _ => SystemRequest::Reset,
                };
                return Ok(Some(self.give_up(request)));
            }
            _ => {
                self.explain(reason);
                return Ok(Some(self.give_up(SystemRequest::InternalError)));
            }
        }
        Ok(None)
    }

    /// The core does not run again before a reset.
    fn give_up(&mut self, request: SystemRequest) -> Stop {
        self.stuck = true;
        self.machine.request(request);
        Stop::Off
    }

    /// IN, OUT and their string forms.
    fn port_access(&mut self) {
        self.owing = true;
        let (id, machine) = (self.id, &self.machine);
        let run = self.fd.get_kvm_run();
        // SAFETY: the exit reason is KVM_EXIT_IO.
        let io = unsafe { run.__bindgen_anon_1.io };
        let bytes = usize::from(io.size) * io.count as usize;
        // SAFETY: the kernel puts the data at this offset of its mapping, which is as long as it
        // said, and waits for us; `run` borrows the mapping for as long as the slice lives.
        let data = unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(run).cast::<u8>().add(io.data_offset as usize), bytes) };
        let Some(width) = Width::from_bytes(io.size.into()) else { return };
        for item in data.chunks_exact_mut(io.size.into()) {
            if u32::from(io.direction) == KVM_EXIT_IO_OUT {
                let mut value = [0; 8];
                value[..item.len()].copy_from_slice(item);
                let _ = machine.pio_write(id, io.port.into(), width, u64::from_le_bytes(value));
            } else {
                // Nothing drives the bus where nothing answers.
                let value = machine.pio_read(id, io.port.into(), width).unwrap_or(u64::MAX);
                item.copy_from_slice(&value.to_le_bytes()[..item.len()]);
            }
        }
    }

    /// An access to memory that has no slot, or to read-only memory.
    fn memory_access(&mut self) {
        self.owing = true;
        let (id, machine) = (self.id, &self.machine);
        let run = self.fd.get_kvm_run();
        // SAFETY: the exit reason is KVM_EXIT_MMIO.
        let mmio = unsafe { &mut run.__bindgen_anon_1.mmio };
        let len = (mmio.len as usize).min(mmio.data.len());
        // One access where there is a width of it, bytes elsewhere.
        let step = if Width::from_bytes(len as u64).is_some() { len } else { 1 };
        let Some(width) = Width::from_bytes(step as u64) else { return };
        for (n, item) in mmio.data[..len].chunks_exact_mut(step).enumerate() {
            let at = mmio.phys_addr.wrapping_add((n * step) as u64);
            if mmio.is_write != 0 {
                let mut value = [0; 8];
                value[..step].copy_from_slice(item);
                let _ = machine.write(id, at, width, u64::from_le_bytes(value));
            } else {
                let value = machine.read(id, at, width).unwrap_or(u64::MAX);
                item.copy_from_slice(&value.to_le_bytes()[..step]);
            }
        }
    }

    /// A debugger's condition, or the end of a step.
    fn debug_exit(&mut self, exit: &kvm_debug_exit_arch) -> Result<Option<Stop>, Error> {
        if exit.exception == BREAKPOINT {
            return self.breakpoint_exit(exit.pc);
        }
        self.debug.hit = self.debug.condition(exit);
        Ok(Some(if self.debug.hit.is_some() { Stop::Debug } else { Stop::Budget }))
    }

    /// A breakpoint instruction. The guest's own goes back to it.
    fn breakpoint_exit(&mut self, pc: u64) -> Result<Option<Stop>, Error> {
        let whose = self.translate(pc).map_or(Whose::Guest, |phys| self.vm.planted.whose(&self.machine, phys));
        if whose == Whose::Planted {
            self.debug.hit = Some(Hit::Breakpoint);
            return Ok(Some(Stop::Debug));
        }
        // It runs on: what has been looked at is soon out of date.
        self.state = None;
        if whose == Whose::Guest {
            let mut events = self.fd.get_vcpu_events().map_err(Error::refused("KVM_GET_VCPU_EVENTS"))?;
            (events.exception.injected, events.exception.nr, events.exception.has_error_code) = (1, BREAKPOINT as u8, 0);
            self.fd.set_vcpu_events(&events).map_err(Error::refused("KVM_SET_VCPU_EVENTS"))?;
        }
        Ok(None)
    }

    /// Tells people why the kernel cannot go on, with the instruction and the registers.
    fn explain(&mut self, reason: u32) {
        let run = self.fd.get_kvm_run();
        let mut text = match reason {
            KVM_EXIT_INTERNAL_ERROR => {
                // SAFETY: the exit reason says that the field is filled in.
                let error = unsafe { run.__bindgen_anon_1.internal };
                let what = match error.suberror {
                    KVM_INTERNAL_ERROR_EMULATION => "the host's KVM cannot emulate this instruction",
                    KVM_INTERNAL_ERROR_SIMUL_EX => "exceptions met that cannot be delivered together",
                    KVM_INTERNAL_ERROR_DELIVERY_EV => "an exception could not be delivered",
                    _ => "the kernel met something unexpected",
                };
                format!("KVM internal error {}: {what}", error.suberror)
            }
            KVM_EXIT_FAIL_ENTRY => {
                // SAFETY: as above.
                let error = unsafe { run.__bindgen_anon_1.fail_entry };
                format!("KVM cannot enter the guest: hardware reason {:#x}", error.hardware_entry_failure_reason)
            }
            other => format!("KVM gave an exit that is not known: {other}"),
        };
        let state = self.state();
        let mut bytes = [0; 16];
        let n = self.read_memory(state.pc(), &mut bytes);
        let code: Vec<String> = bytes[..n].iter().map(|b| format!("{b:02x}")).collect();
        text.push_str(&format!("; core {} at {:#x} in {}\ninstruction bytes: {}\n", self.id.0, state.pc(), state.mode(), code.join(" ")));
        text.push_str(&proteus_exec::registers::dump(&registers::description(), |n| registers::read(&state, n)));
        (self.configuration.report)(text.trim_end());
    }

    /// For the calls that cannot fail: a refusal of the kernel's stops the core.
    fn report(&mut self, result: Result<Stop, Error>) -> Stop {
        result.unwrap_or_else(|e| {
            (self.configuration.report)(&format!("core {}: {e}", self.id.0));
            self.give_up(SystemRequest::InternalError)
        })
    }
}

impl Vcpu for Core {
    fn id(&self) -> CoreId {
        self.id
    }
    fn lines(&self) -> &Arc<CoreLines> {
        &self.lines
    }
    fn system(&self) -> &Arc<System> {
        &self.system
    }
    fn bounded(&self) -> bool {
        false
    }
    fn run(&mut self, _: i64) -> Stop {
        let result = self.go(None);
        self.report(result)
    }
    fn set_clock(&mut self, _: Option<InstructionClock>) {}
    fn retired(&self) -> u64 {
        self.steps
    }
    fn runnable(&self) -> bool {
        !self.stuck
    }
    fn would_run(&self) -> bool {
        !self.stuck
    }
    fn take_yielded(&mut self) -> bool {
        false
    }
    fn pc(&self) -> u64 {
        self.state.as_ref().map_or_else(|| self.fd.get_regs().map_or(0, |r| r.rip), |s| s.rip)
    }
    fn step(&mut self, interrupts: bool) -> Stop {
        let result = self.go(Some(interrupts));
        let stop = self.report(result);
        if matches!(stop, Stop::Budget | Stop::Debug) {
            self.steps += 1;
        }
        stop
    }
    fn set_breakpoints(&mut self, addresses: &[u64]) {
        self.debug.breakpoints = addresses.to_vec();
        self.try_debugging();
    }
    fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]) {
        self.debug.watchpoints = watchpoints.to_vec();
        self.try_debugging();
    }
    fn admits(&self, breakpoints: &[u64], watchpoints: &[Watchpoint]) -> bool {
        breakpoints.is_empty() && watchpoints.is_empty() || Debug::new(breakpoints, watchpoints, self.vm.tried()).possible()
    }
    fn take_hit(&mut self) -> Option<Hit> {
        self.debug.hit.take()
    }
    fn description(&self) -> Description {
        registers::description()
    }
    fn read_register(&mut self, number: usize) -> Option<u128> {
        registers::read(self.load().ok()?, number)
    }
    fn write_register(&mut self, number: usize, value: u128) -> bool {
        let Ok(state) = self.load() else { return false };
        let written = registers::write(state, number, value);
        self.changed |= written;
        written
    }
    fn translate(&mut self, address: u64) -> Option<u64> {
        let machine = self.machine.clone();
        let state = self.load().ok()?;
        mmu::translate(state, address, |at, bytes| {
            let mut word = [0; 8];
            machine.peek(at, &mut word[..bytes]).ok()?;
            Some(u64::from_le_bytes(word))
        })
    }
    fn read_memory(&mut self, address: u64, to: &mut [u8]) -> usize {
        by_page(address, to.len(), |at, range| {
            let phys = self.translate(at)?;
            self.machine.peek(phys, &mut to[range]).ok()
        })
    }
    fn write_memory(&mut self, address: u64, from: &[u8]) -> usize {
        by_page(address, from.len(), |at, range| {
            let phys = self.translate(at)?;
            let n = range.len();
            (self.write_physical(phys, &from[range]) == n).then_some(())
        })
    }
    fn write_physical(&mut self, phys: u64, from: &[u8]) -> usize {
        let space = self.machine.space();
        by_page(phys, from.len(), |at, range| match space.find(at)? {
            Mapping::Ram { region, offset, len_left, .. } if len_left >= range.len() as u64 => region.write(offset, &from[range]).ok(),
            _ => None,
        })
    }
    fn facts(&mut self, what: Facts) -> Option<String> {
        (what == Facts::Mode).then(|| format!("{}\n", self.state().mode()))
    }
    fn reset(&mut self) {
        (self.state, self.changed, self.stuck, self.owing) = (None, false, false, false);
        let chips = if self.id.0 == 0 { self.vm.reset_chips(&self.machine) } else { Ok(()) };
        let result = chips.and_then(|()| self.pristine.restore(&self.fd, &self.configuration.report)).and_then(|()| self.start());
        if let Err(e) = result {
            (self.configuration.report)(&format!("core {}: {e}", self.id.0));
            self.stuck = true;
        }
        self.system.set_on(self.id, true);
    }
}

impl Core {
    /// After a reset: where the machine starts it.
    fn start(&mut self) -> Result<(), Error> {
        let configuration = self.configuration.clone();
        if let Some(entry) = configuration.entry.as_ref().filter(|_| self.id.0 == 0) {
            entry.apply(self.load()?);
            self.changed = true;
            self.flush()?;
        }
        Ok(())
    }
}
