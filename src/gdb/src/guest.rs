//! The machine as gdbstub sees it: every core a thread of one process.

use crate::agent::{self, Expression};
use crate::{filter, xml};
use gdbstub::arch::{self, Arch};
use gdbstub::common::{Signal, Tid};
use gdbstub::outputln;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::*;
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::breakpoints::*;
use gdbstub::target::ext::memory_map::{MemoryMap, MemoryMapOps};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::target_description_xml_override::{TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use proteus_exec::debug::{Condition, Inspect, Watchpoint};
use proteus_exec::registers::Description;
use proteus_exec::runner::{Runner, View};
use proteus_exec::vcpu::Vcpu;
use proteus_model::{CoreId, Mapping};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Breakpoints and watchpoints of a session at most.
const MOST: usize = 1 << 16;

/// The conditions of a breakpoint, of which one must hold; without any it always stops.
type Conditions = Vec<Expression>;

/// What is set on cores.
#[derive(Default)]
struct Points {
    breakpoints: Vec<u64>,
    conditions: Vec<(u64, Condition)>,
    watchpoints: Vec<Watchpoint>,
}

impl Points {
    /// An address of 32 bits is given for either of two.
    fn complete(&mut self, first: Option<&dyn Vcpu>) {
        let other = |address| first?.sign_extended(address);
        self.breakpoints.extend(self.breakpoints.clone().into_iter().filter_map(other));
        self.conditions.extend(self.conditions.clone().into_iter().filter_map(|(at, c)| Some((other(at)?, c))));
        self.watchpoints.extend(self.watchpoints.clone().into_iter().filter_map(|w| Some(Watchpoint { address: other(w.address)?, ..w })));
    }
}

/// Places of the two kinds of a breakpoint.
const SOFTWARE: usize = 0;
const HARDWARE: usize = 1;

/// Answers a line of the monitor.
pub type Hmp = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Any guest architecture: gdbstub asks the description for what it would know by its type.
#[derive(Debug)]
pub enum Any {}

/// Registers of the `g` packet: their bytes, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bytes(pub Vec<Option<u8>>);

impl arch::Registers for Bytes {
    type ProgramCounter = u64;
    fn pc(&self) -> u64 {
        0
    }
    fn gdb_serialize(&self, write_byte: impl FnMut(Option<u8>)) {
        self.0.iter().copied().for_each(write_byte);
    }
    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 = bytes.iter().map(|b| Some(*b)).collect();
        Ok(())
    }
}

/// A register by number.
#[derive(Clone, Copy, Debug)]
pub struct Number(usize);

impl arch::RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        Some((Number(id), None))
    }
    fn to_raw_id(&self) -> Option<usize> {
        Some(self.0)
    }
}

impl Arch for Any {
    type Usize = u64;
    type Registers = Bytes;
    type BreakpointKind = usize;
    type RegId = Number;
}

/// What a resumed core does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Runs.
    Continue,
    /// Executes one instruction.
    Step,
    /// Executes instructions while the pc is in `[start, end)`.
    Range(u64, u64),
}

/// What a resume asks for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// By core.
    pub actions: BTreeMap<usize, Action>,
    /// Cores without an action stand still.
    pub locked: bool,
}

impl Plan {
    /// The core that steps, and how.
    pub fn stepping(&self) -> Option<(usize, Action)> {
        // Where the others stand still, a core runs by steps without end.
        let alone = || self.actions.keys().next().filter(|_| self.locked).map(|n| (*n, Action::Range(0, u64::MAX)));
        self.actions.iter().find(|(_, a)| **a != Action::Continue).map(|(n, a)| (*n, *a)).or_else(alone)
    }
}

/// The run is over.
#[derive(Debug, thiserror::Error)]
#[error("the run is over")]
pub struct Over;

/// The machine.
pub struct Guest {
    runner: Arc<dyn Runner>,
    hmp: Hmp,
    /// The registers of the first core; all have the same.
    pub description: Arc<Description>,
    /// How many cores there are.
    pub cores: usize,
    /// Addresses are guest physical ones.
    pub physical: bool,
    /// Interrupts are taken during single steps.
    pub step_interrupts: bool,
    /// The cores evaluate conditions of breakpoints.
    pub conditions: bool,
    /// The software and the hardware breakpoint of an address: to a machine there is no difference,
    /// but a debugger wants to hear of the one that it set.
    breakpoints: BTreeMap<u64, [Option<Conditions>; 2]>,
    watchpoints: Vec<Watchpoint>,
    /// What the next resume does.
    pub plan: Plan,
    /// The resume that is under way.
    pub resumed: bool,
}

impl Guest {
    /// The machine of a run; `None` where the run is over.
    pub fn new(runner: Arc<dyn Runner>, hmp: Hmp) -> Option<Guest> {
        let (description, cores, conditions) = look(&*runner, |v| {
            let cores = v.cpus.len();
            let first = v.cpus.first_mut()?;
            Some((first.description(), cores, first.set_conditions(Vec::new())))
        })??;
        Some(Guest {
            runner,
            hmp,
            description: Arc::new(description),
            cores,
            physical: false,
            step_interrupts: false,
            conditions,
            breakpoints: BTreeMap::new(),
            watchpoints: Vec::new(),
            plan: Plan::default(),
            resumed: false,
        })
    }

    /// Does something while the cores stand still.
    pub fn look<R: Send + 'static>(&self, f: impl FnOnce(&mut View<'_>) -> R + Send + 'static) -> Result<R, Over> {
        look(&*self.runner, f).ok_or(Over)
    }

    fn on<R: Send + 'static>(&self, tid: Tid, f: impl FnOnce(&mut dyn Vcpu) -> R + Send + 'static) -> TargetResult<R, Self> {
        let n = tid.get() - 1;
        let found = self.look(move |v| v.cpus.get_mut(n).map(|cpu| f(&mut **cpu))).map_err(TargetError::Fatal)?;
        found.ok_or(TargetError::NonFatal)
    }

    /// Gives the cores the breakpoints and watchpoints, or takes them away.
    pub fn arm(&self, on: bool) -> Result<(), Over> {
        let mut points = if on { self.points() } else { Points::default() };
        self.look(move |v| {
            points.complete(v.cpus.first().map(|first| &**first));
            for cpu in v.cpus.iter_mut() {
                cpu.set_breakpoints(&points.breakpoints);
                cpu.set_conditions(points.conditions.clone());
                cpu.set_watchpoints(&points.watchpoints);
            }
        })
    }

    /// Can the cores have all breakpoints and watchpoints that there are now?
    fn admitted(&self) -> Result<bool, TargetError<Over>> {
        let mut points = self.points();
        let look = self.look(move |v| {
            points.complete(v.cpus.first().map(|first| &**first));
            v.cpus.iter().all(|cpu| cpu.admits(&points.breakpoints, &points.watchpoints))
        });
        look.map_err(TargetError::Fatal)
    }

    fn points(&self) -> Points {
        Points { breakpoints: self.breakpoints.keys().copied().collect(), conditions: self.conditions_by_address(), watchpoints: self.watchpoints.clone() }
    }

    /// Stops the cores, and waits until they stand still.
    pub fn interrupt(&mut self) -> Result<(), Over> {
        self.resumed = false;
        self.runner.pause();
        self.look(|_| ())
    }

    /// Is the breakpoint where the core stands a hardware one only?
    pub fn is_hardware(&self, core: CoreId) -> Result<bool, Over> {
        let pc = self.look(move |v| v.cpus.iter().find(|cpu| cpu.id() == core).map(|cpu| cpu.pc()))?;
        let there = |pc: u64| self.breakpoints.get(&pc).or_else(|| self.breakpoints.get(&(pc & 0xffff_ffff)));
        Ok(pc.and_then(there).is_some_and(|kinds| kinds[SOFTWARE].is_none()))
    }

    /// The conditions of the breakpoints that do not always stop.
    fn conditions_by_address(&self) -> Vec<(u64, Condition)> {
        let big = self.description.big;
        let sometimes = |kinds: &[Option<Conditions>; 2]| kinds.iter().flatten().all(|c| !c.is_empty());
        let found = self.breakpoints.iter().filter(|(_, kinds)| sometimes(kinds));
        found
            .map(|(address, kinds)| {
                let all: Conditions = kinds.iter().flatten().flatten().cloned().collect();
                let condition: Condition = Arc::new(move |core: &mut dyn Inspect| all.iter().any(|c| c.holds(core, big)));
                (*address, condition)
            })
            .collect()
    }

    /// The registers of the first feature as a stop reply has them: who walks the stack of a stopped
    /// core needs no packet for them.
    pub fn expedited(&self, tid: Tid) -> Result<Vec<u8>, Over> {
        let (n, description) = (tid.get() - 1, self.description.clone());
        self.look(move |v| {
            let mut out = Vec::new();
            let Some(cpu) = v.cpus.get_mut(n) else { return out };
            for (n, r) in description.features.iter().take(1).flat_map(|f| &f.registers).enumerate() {
                if let Some(value) = cpu.read_register(n) {
                    filter::expedited(n, &description.bytes(value, r.bits), &mut out);
                }
            }
            out
        })
    }

    /// Sets a breakpoint; one that is there already gets these conditions. False where the cores
    /// cannot have it.
    fn add_breakpoint(&mut self, address: u64, kind: usize, conditions: Conditions) -> TargetResult<bool, Self> {
        if self.breakpoints.len() >= MOST {
            return Ok(false);
        }
        let before = self.breakpoints.entry(address).or_default()[kind].replace(conditions);
        if self.admitted()? {
            return Ok(true);
        }
        match before {
            Some(before) => self.breakpoints.entry(address).or_default()[kind] = Some(before),
            None => drop(self.remove_breakpoint(address, kind)),
        }
        Ok(false)
    }

    fn remove_breakpoint(&mut self, address: u64, kind: usize) -> bool {
        let Some(kinds) = self.breakpoints.get_mut(&address) else { return false };
        let was = kinds[kind].take().is_some();
        if kinds.iter().all(Option::is_none) {
            self.breakpoints.remove(&address);
        }
        was
    }

    /// Sets a breakpoint with conditions: `KIND,ADDRESS,LENGTH;EXPRESSIONS`. Commands are refused.
    fn add_conditional(&mut self, packet: &str) -> Option<()> {
        let (place, list) = packet.split_once(';')?;
        let mut fields = place.split(',');
        let kind = if fields.next()? == "0" { SOFTWARE } else { HARDWARE };
        let address = u64::from_str_radix(fields.next()?, 16).ok()?;
        let conditions = agent::parse(list).filter(|_| self.conditions)?;
        self.add_breakpoint(address, kind, conditions).ok()?.then_some(())
    }

    /// The answer to LLDB's `qHostInfo`.
    fn host_info(&self) -> Vec<u8> {
        let d = &self.description;
        let triple: String = d.triple.bytes().map(|b| format!("{b:02x}")).collect();
        let (endian, when) = (if d.big { "big" } else { "little" }, if d.watch_before { "before" } else { "after" });
        format!("triple:{triple};endian:{endian};ptrsize:{};watchpoint_exceptions_received:{when};", d.pointer).into_bytes()
    }

    /// The answer to LLDB's `qMemoryRegionInfo`: what is at an address, and after it in the same way,
    /// by virtual address. A longer region is told of in parts.
    fn region(&self, address: u64) -> Option<Vec<u8>> {
        const PAGE: u64 = 4096;
        const PAGES: u64 = 1024;
        let last = u64::MAX >> (64 - 8 * self.description.pointer);
        if address > last {
            return None;
        }
        let (start, limit) = (address & !(PAGE - 1), PAGES.min((last - address) / PAGE + 1));
        let (length, mapped) = self
            .look(move |v| {
                let machine = v.machine.clone();
                let cpu = v.cpus.first_mut()?;
                let space = machine.space();
                let mut kind = |n: u64| match cpu.translate(start.wrapping_add(n * PAGE)).and_then(|phys| space.find(phys)) {
                    Some(Mapping::Ram { read_only, .. }) => Some(read_only),
                    _ => None,
                };
                let first = kind(0);
                Some(((1..limit).find(|n| kind(*n) != first).unwrap_or(limit) * PAGE, first))
            })
            .ok()??;
        let permissions = mapped.map_or("", |read_only| if read_only { "permissions:rx;" } else { "permissions:rwx;" });
        Some(format!("start:{start:x};size:{length:x};{permissions}").into_bytes())
    }

    /// Answers a packet that gdbstub does not know.
    pub fn extension(&mut self, body: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(body);
        let on = |flag: bool| if flag { b"1".to_vec() } else { b"0".to_vec() };
        if let Some(range) = text.strip_prefix("qXfer:threads:read::") {
            return filter::part(xml::threads(self.cores).as_bytes(), range).unwrap_or_else(|| b"E01".to_vec());
        }
        if let Some(address) = text.strip_prefix("qMemoryRegionInfo:") {
            return u64::from_str_radix(address, 16).ok().and_then(|at| self.region(at)).unwrap_or_else(|| b"E01".to_vec());
        }
        if let Some(packet) = text.strip_prefix('Z') {
            return self.add_conditional(packet).map_or_else(|| b"E22".to_vec(), |()| b"OK".to_vec());
        }
        // The bits are QEMU's: 1 step, 2 without interrupts, 4 without timers.
        match &*text {
            "qqemu.sstepbits" => b"ENABLE=1,NOIRQ=2,NOTIMER=4".to_vec(),
            "qqemu.sstep" => {
                if self.step_interrupts {
                    b"0x1".to_vec()
                } else {
                    b"0x7".to_vec()
                }
            }
            "qqemu.Supported" => b"sstepbits;sstep;PhyMemMode".to_vec(),
            "qqemu.PhyMemMode" => on(self.physical),
            "qHostInfo" => self.host_info(),
            "qWatchpointSupportInfo:" => format!("num:{MOST};").into_bytes(),
            "Qqemu.PhyMemMode:0" | "Qqemu.PhyMemMode:1" => {
                self.physical = text.ends_with('1');
                b"OK".to_vec()
            }
            _ => match text.strip_prefix("Qqemu.sstep=").map(|n| u32::from_str_radix(n.trim_start_matches("0x"), 16)) {
                Some(Ok(bits)) if bits & !7 == 0 && bits & 1 != 0 => {
                    self.step_interrupts = bits & 2 == 0;
                    b"OK".to_vec()
                }
                Some(_) => b"E22".to_vec(),
                None => Vec::new(),
            },
        }
    }
}

fn look<R: Send + 'static>(runner: &dyn Runner, f: impl FnOnce(&mut View<'_>) -> R + Send + 'static) -> Option<R> {
    let (send, receive) = sync_channel(1);
    let done = runner.look(Box::new(move |v| {
        // The one who waits for it is this function.
        let _ = send.send(f(v));
    }));
    if done { receive.recv().ok() } else { None }
}

/// Reads guest physical memory; gives the bytes read.
fn read_physical(v: &View<'_>, address: u64, to: &mut [u8]) -> usize {
    match v.machine.space().find(address) {
        Some(Mapping::Ram { region, offset, len_left, .. }) => {
            let n = to.len().min(usize::try_from(len_left).unwrap_or(usize::MAX));
            if region.read(offset, &mut to[..n]).is_ok() { n } else { 0 }
        }
        _ => 0,
    }
}

impl Target for Guest {
    type Arch = Any;
    type Error = Over;

    fn base_ops(&mut self) -> BaseOps<'_, Any, Over> {
        BaseOps::MultiThread(self)
    }
    // Breakpoints are the stub's: no guest memory is changed for them.
    fn guard_rail_implicit_sw_breakpoints(&self) -> bool {
        true
    }
    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }
    fn support_target_description_xml_override(&mut self) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }
    fn support_memory_map(&mut self) -> Option<MemoryMapOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Guest {
    fn read_registers(&mut self, regs: &mut Bytes, tid: Tid) -> TargetResult<(), Self> {
        let description = self.description.clone();
        regs.0 = self.on(tid, move |cpu| {
            let mut out = Vec::new();
            for (n, r) in description.registers().take(description.general).enumerate() {
                match cpu.read_register(n) {
                    Some(v) => out.extend(description.bytes(v, r.bits).into_iter().map(Some)),
                    None => out.extend(std::iter::repeat_n(None, r.bits as usize / 8)),
                }
            }
            out
        })?;
        Ok(())
    }

    fn write_registers(&mut self, regs: &Bytes, tid: Tid) -> TargetResult<(), Self> {
        let (description, bytes) = (self.description.clone(), regs.0.iter().map(|b| b.unwrap_or(0)).collect::<Vec<u8>>());
        self.on(tid, move |cpu| {
            let mut at = 0;
            for (n, r) in description.registers().take(description.general).enumerate() {
                let Some(piece) = bytes.get(at..at + r.bits as usize / 8) else { break };
                at += piece.len();
                let value = description.value(piece);
                // What has not changed need not be writable.
                if cpu.read_register(n) != Some(value) {
                    cpu.write_register(n, value);
                }
            }
        })
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        let (n, len, physical) = (tid.get() - 1, data.len(), self.physical);
        let bytes = self
            .look(move |v| {
                let mut bytes = vec![0; len];
                let done = match physical {
                    true => read_physical(v, start, &mut bytes),
                    false => v.cpus.get_mut(n).map_or(0, |cpu| match cpu.read_memory(start, &mut bytes) {
                        0 => cpu.sign_extended(start).map_or(0, |start| cpu.read_memory(start, &mut bytes)),
                        done => done,
                    }),
                };
                bytes.truncate(done);
                bytes
            })
            .map_err(TargetError::Fatal)?;
        if bytes.is_empty() && len != 0 {
            return Err(TargetError::NonFatal);
        }
        data[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_addrs(&mut self, start: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        let (n, bytes, physical) = (tid.get() - 1, data.to_vec(), self.physical);
        let done = self
            .look(move |v| {
                let Some(cpu) = v.cpus.get_mut(n) else { return false };
                let written = match physical {
                    true => cpu.write_physical(start, &bytes),
                    false => match (cpu.write_memory(start, &bytes), cpu.sign_extended(start)) {
                        (0, Some(start)) => cpu.write_memory(start, &bytes),
                        (written, _) => written,
                    },
                };
                written == bytes.len()
            })
            .map_err(TargetError::Fatal)?;
        if done { Ok(()) } else { Err(TargetError::NonFatal) }
    }

    fn list_active_threads(&mut self, register: &mut dyn FnMut(Tid)) -> Result<(), Over> {
        (1..=self.cores).filter_map(Tid::new).for_each(register);
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }
    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl ThreadExtraInfo for Guest {
    fn thread_extra_info(&self, tid: Tid, buf: &mut [u8]) -> Result<usize, Over> {
        let n = tid.get() - 1;
        let runnable = self.look(move |v| v.cpus.get(n).map(|cpu| cpu.runnable()))?;
        let text = format!("CPU#{n} [{}]", if runnable == Some(false) { "halted " } else { "running" });
        let len = text.len().min(buf.len());
        buf[..len].copy_from_slice(&text.as_bytes()[..len]);
        Ok(len)
    }
}

impl SingleRegisterAccess<Tid> for Guest {
    fn read_register(&mut self, tid: Tid, Number(n): Number, buf: &mut [u8]) -> TargetResult<usize, Self> {
        let Some(bits) = self.description.register(n).map(|r| r.bits) else { return Err(TargetError::NonFatal) };
        let value = self.on(tid, move |cpu| cpu.read_register(n))?.ok_or(TargetError::NonFatal)?;
        let bytes = self.description.bytes(value, bits);
        let to = buf.get_mut(..bytes.len()).ok_or(TargetError::NonFatal)?;
        to.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_register(&mut self, tid: Tid, Number(n): Number, val: &[u8]) -> TargetResult<(), Self> {
        let value = self.description.value(val);
        match self.on(tid, move |cpu| cpu.write_register(n, value))? {
            true => Ok(()),
            false => Err(TargetError::NonFatal),
        }
    }
}

impl MultiThreadResume for Guest {
    fn resume(&mut self) -> Result<(), Over> {
        self.arm(true)?;
        self.resumed = true;
        if self.plan.stepping().is_none() {
            self.runner.resume();
        }
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Over> {
        self.plan = Plan::default();
        Ok(())
    }

    fn set_resume_action_continue(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Over> {
        self.plan.actions.insert(tid.get() - 1, Action::Continue);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
    fn support_range_step(&mut self) -> Option<MultiThreadRangeSteppingOps<'_, Self>> {
        Some(self)
    }
    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Guest {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Over> {
        self.plan.actions.insert(tid.get() - 1, Action::Step);
        Ok(())
    }
}

impl MultiThreadRangeStepping for Guest {
    fn set_resume_action_range_step(&mut self, tid: Tid, start: u64, end: u64) -> Result<(), Over> {
        self.plan.actions.insert(tid.get() - 1, Action::Range(start, end));
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Guest {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Over> {
        self.plan.locked = true;
        Ok(())
    }
}

impl Breakpoints for Guest {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }
    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Guest {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.add_breakpoint(address, SOFTWARE, Vec::new())
    }
    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove_breakpoint(address, SOFTWARE))
    }
}

impl HwBreakpoint for Guest {
    fn add_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.add_breakpoint(address, HARDWARE, Vec::new())
    }
    fn remove_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove_breakpoint(address, HARDWARE))
    }
}

fn watchpoint(address: u64, length: u64, kind: WatchKind) -> Watchpoint {
    Watchpoint { address, length, read: kind != WatchKind::Write, write: kind != WatchKind::Read }
}

impl HwWatchpoint for Guest {
    fn add_hw_watchpoint(&mut self, address: u64, length: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        let new = watchpoint(address, length, kind);
        if length == 0 || self.watchpoints.len() >= MOST {
            return Ok(false);
        }
        if self.watchpoints.contains(&new) {
            return Ok(true);
        }
        self.watchpoints.push(new);
        let admitted = self.admitted()?;
        if !admitted {
            self.watchpoints.pop();
        }
        Ok(admitted)
    }

    fn remove_hw_watchpoint(&mut self, address: u64, length: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        let old = watchpoint(address, length, kind);
        let before = self.watchpoints.len();
        self.watchpoints.retain(|w| *w != old);
        Ok(self.watchpoints.len() < before)
    }
}

impl MonitorCmd for Guest {
    fn handle_monitor_cmd(&mut self, command: &[u8], mut out: ConsoleOutput<'_>) -> Result<(), Over> {
        let answer = (self.hmp)(&String::from_utf8_lossy(command));
        for line in answer.lines() {
            outputln!(out, "{line}");
        }
        Ok(())
    }
}

fn copy_part(document: &str, offset: u64, length: usize, buf: &mut [u8]) -> usize {
    let bytes = document.as_bytes();
    let rest = usize::try_from(offset).ok().and_then(|o| bytes.get(o..)).unwrap_or_default();
    let n = rest.len().min(length).min(buf.len());
    buf[..n].copy_from_slice(&rest[..n]);
    n
}

impl TargetDescriptionXmlOverride for Guest {
    fn target_description_xml(&self, annex: &[u8], offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        let annex = String::from_utf8_lossy(annex);
        let document = xml::target(&self.description, &annex).ok_or(TargetError::NonFatal)?;
        Ok(copy_part(&document, offset, length, buf))
    }
}

impl MemoryMap for Guest {
    fn memory_map_xml(&self, offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        Ok(copy_part(xml::MEMORY_MAP, offset, length, buf))
    }
}
