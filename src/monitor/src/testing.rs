//! A machine of two simple cores with a run loop that does at once what it is told, for the tests.

use crate::qmp::types::{BlockDeviceInfo, BlockInfo, ChardevInfo, CommandLineOptionInfo, KvmInfo, MachineInfo, ObjectPropertyInfo, ObjectTypeInfo};
use crate::session::Wire;
use crate::{Host, Rom, Subject};
use parking_lot::Mutex;
use proteus_exec::debug::{Hit, Watchpoint};
use proteus_exec::registers::{Description, Feature, Register};
use proteus_exec::runner::{Cause, Look, Pause, RunEvent, RunState, Runner, View};
use proteus_exec::sched::Bell;
use proteus_exec::system::System;
use proteus_exec::vcpu::Facts;
use proteus_exec::{InstructionClock, Stop, Vcpu};
use proteus_model::ram::Region;
use proteus_model::{CoreId, CoreLines, Machine, MachineBuilder};
use std::sync::Arc;

/// Where memory is: 64 KiB, seen by the cores at the same address and at [`VIRTUAL`] above it.
pub const RAM: u64 = 0x1000;
/// What the cores add to a physical address.
pub const VIRTUAL: u64 = 0x8000_0000;

struct Simple {
    id: CoreId,
    machine: Arc<Machine>,
    lines: Arc<CoreLines>,
    system: Arc<System>,
}

impl Vcpu for Simple {
    fn id(&self) -> CoreId {
        self.id
    }
    fn lines(&self) -> &Arc<CoreLines> {
        &self.lines
    }
    fn system(&self) -> &Arc<System> {
        &self.system
    }
    fn run(&mut self, _: i64) -> Stop {
        Stop::Off
    }
    fn set_clock(&mut self, _: Option<InstructionClock>) {}
    fn retired(&self) -> u64 {
        0
    }
    fn runnable(&self) -> bool {
        false
    }
    fn would_run(&self) -> bool {
        false
    }
    fn take_yielded(&mut self) -> bool {
        false
    }
    fn pc(&self) -> u64 {
        0x1004
    }
    fn step(&mut self, _: bool) -> Stop {
        Stop::Off
    }
    fn set_breakpoints(&mut self, _: &[u64]) {}
    fn set_watchpoints(&mut self, _: &[Watchpoint]) {}
    fn take_hit(&mut self) -> Option<Hit> {
        None
    }
    fn description(&self) -> Description {
        let registers = ["x0", "x1", "sp", "pc"].map(|n| Register::new(n, 64, "int")).to_vec();
        let features = vec![Feature { name: "core", types: "", registers }];
        Description { architecture: "aarch64", triple: "", big: false, pointer: 8, features, pc: 3, sp: 2, general: 4, watch_before: true }
    }
    fn read_register(&mut self, number: usize) -> Option<u128> {
        [u128::from(self.id.0), 0x1234, 0x2000, 0x1004].get(number).copied()
    }
    fn write_register(&mut self, _: usize, _: u128) -> bool {
        false
    }
    fn translate(&mut self, address: u64) -> Option<u64> {
        address.checked_sub(VIRTUAL).filter(|a| *a < 1 << 20)
    }
    fn read_memory(&mut self, address: u64, to: &mut [u8]) -> usize {
        let Some(phys) = self.translate(address) else { return 0 };
        let n = to.len().min((RAM + 0x1_0000).saturating_sub(phys) as usize);
        if self.machine.peek(phys, &mut to[..n]).is_ok() { n } else { 0 }
    }
    fn write_memory(&mut self, _: u64, _: &[u8]) -> usize {
        0
    }
    fn write_physical(&mut self, _: u64, _: &[u8]) -> usize {
        0
    }
    fn facts(&mut self, what: Facts) -> Option<String> {
        (what == Facts::Mode).then(|| "MODE=1\n".into())
    }
    fn reset(&mut self) {}
}

type Subscriber = Box<dyn Fn(RunEvent) + Send + Sync>;

/// A run loop that obeys at once.
pub struct Loop {
    machine: Arc<Machine>,
    cpus: Mutex<Vec<Box<dyn Vcpu>>>,
    state: Mutex<RunState>,
    subscribers: Mutex<Vec<Subscriber>>,
    /// What it was told.
    pub told: Mutex<Vec<&'static str>>,
}

impl Loop {
    /// Something has happened.
    pub fn tell(&self, event: RunEvent) {
        self.subscribers.lock().iter().for_each(|f| f(event));
    }
    /// Puts it in a state.
    pub fn set(&self, state: RunState) {
        *self.state.lock() = state;
    }
}

impl Runner for Loop {
    fn look(&self, what: Look) -> bool {
        what(&mut View::new(&self.machine, &mut self.cpus.lock(), None, &Bell::new()));
        true
    }
    fn pause(&self) {
        self.told.lock().push("pause");
        if self.state() == RunState::Running {
            self.set(RunState::Paused(Pause::Asked));
            self.tell(RunEvent::Stop(Pause::Asked));
        }
    }
    fn resume(&self) {
        self.told.lock().push("resume");
        if self.state() != RunState::Running {
            self.set(RunState::Running);
            self.tell(RunEvent::Resume);
        }
    }
    fn reset(&self) {
        self.told.lock().push("reset");
        self.tell(RunEvent::Reset(Cause::HostReset));
    }
    fn power_down(&self) {
        self.told.lock().push("power down");
        self.tell(RunEvent::PowerDown);
    }
    fn quit(&self) {
        self.told.lock().push("quit");
        self.tell(RunEvent::Shutdown(Cause::HostQuit));
    }
    fn threads(&self) -> Vec<u64> {
        vec![101, 102]
    }
    fn state(&self) -> RunState {
        *self.state.lock()
    }
    fn subscribe(&self, f: Subscriber) {
        self.subscribers.lock().push(f);
    }
}

struct Facade;

impl Host for Facade {
    fn chardevs(&self) -> Vec<ChardevInfo> {
        vec![ChardevInfo { label: "con".into(), filename: "pty:/dev/pts/7".into(), frontend_open: true }]
    }
    fn blocks(&self) -> Vec<BlockInfo> {
        Vec::new()
    }
    fn nodes(&self) -> Vec<BlockDeviceInfo> {
        Vec::new()
    }
    fn object_types(&self) -> Vec<ObjectTypeInfo> {
        vec![ObjectTypeInfo { name: "pl011".into(), r#abstract: None, parent: Some("device".into()) }]
    }
    fn device_properties(&self, name: &str) -> Option<Vec<ObjectPropertyInfo>> {
        (name == "pl011").then(Vec::new)
    }
    fn board_properties(&self, name: &str) -> Option<Vec<ObjectPropertyInfo>> {
        (name == "virt").then(Vec::new)
    }
    fn cpu_features(&self, model: &str) -> Option<Vec<(String, bool)>> {
        (model == "cortex-a53").then(|| vec![("pmu".into(), true)])
    }
    fn kvm(&self) -> KvmInfo {
        KvmInfo { enabled: false, present: true }
    }
    fn options(&self) -> Vec<CommandLineOptionInfo> {
        vec![CommandLineOptionInfo { option: "smp".into(), parameters: Vec::new() }]
    }
    fn networks(&self) -> String {
        "net0: type=user\n".into()
    }
    fn machines(&self) -> Vec<MachineInfo> {
        Vec::new()
    }
    fn cpu_models(&self) -> Vec<String> {
        vec!["cortex-a53".into()]
    }
    fn roms(&self) -> Vec<Rom> {
        vec![Rom { name: "kernel".into(), address: 0x1000, size: 0x20 }]
    }
    fn executor(&self) -> String {
        "interpreter\n".into()
    }
    fn log(&self, items: &str) -> Result<(), String> {
        if items == "int" { Ok(()) } else { Err(format!("unknown log item '{items}'")) }
    }
    fn power_button(&self) -> bool {
        true
    }
}

/// A machine, paused before its start, and its run loop. Memory has `nop`s, text at 0x1100, and
/// bytes that count at 0x1200.
pub fn subject() -> (Subject, Arc<Loop>) {
    let mut b = MachineBuilder::new("test", 2);
    b.ram(RAM, &Region::new("ram", 0x1_0000).unwrap());
    let machine = b.build().unwrap();
    machine.poke(0x1000, &[0x1f, 0x20, 0x03, 0xd5, 0x1f, 0x20, 0x03, 0xd5]).unwrap();
    machine.poke(0x1100, b"it's\0so\n\0").unwrap();
    machine.poke(0x1200, &(0..=255).collect::<Vec<u8>>()).unwrap();
    let ids = [CoreId(0), CoreId(1)];
    let system = System::new(ids.iter().filter_map(|id| machine.core_lines(*id).cloned()));
    let cpus = ids
        .into_iter()
        .map(|id| {
            let lines = machine.core_lines(id).unwrap().clone();
            Box::new(Simple { id, machine: machine.clone(), lines, system: system.clone() }) as Box<dyn Vcpu>
        })
        .collect();
    let run = Arc::new(Loop {
        machine: machine.clone(),
        cpus: Mutex::new(cpus),
        state: Mutex::new(RunState::Prelaunch),
        subscribers: Mutex::default(),
        told: Mutex::default(),
    });
    let subject = Subject {
        runner: run.clone(),
        machine: Arc::downgrade(&machine),
        host: Box::new(Facade),
        target: "aarch64",
        name: Some("guest".into()),
        uuid: [0xab; 16],
        memory: 0x1_0000,
        peripherals: Vec::new(),
    };
    (subject, run)
}

/// A client that keeps what it reads.
#[derive(Default)]
pub struct Kept(pub Mutex<Vec<u8>>);

impl Wire for Kept {
    fn write(&self, bytes: &[u8]) {
        self.0.lock().extend_from_slice(bytes);
    }
    fn more(&self, _: usize) {}
}

impl Kept {
    /// What has come since the last call.
    pub fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock())).unwrap()
    }
}

/// Random numbers that are the same each time (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// One below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// How often a random test goes round: `PROTEUS_LONG=1` has the larger number.
pub fn rounds(quick: usize, long: usize) -> usize {
    let asked = std::env::var_os("PROTEUS_LONG").is_some_and(|value| value != "0" && !value.is_empty());
    if asked { long } else { quick }
}
