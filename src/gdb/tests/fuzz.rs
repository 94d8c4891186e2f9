//! Packets of any kind against a stub: it never panics, never hangs, and serves the next debugger.
//!
//! 100,000 packets; ten million with `PROTEUS_LONG=1`.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proteus_exec::core::InstructionClock;
use proteus_exec::cpu::Stop;
use proteus_exec::debug::{Hit, Watchpoint};
use proteus_exec::registers::{Description, Feature, Register};
use proteus_exec::runner::{Pause, RunEvent, RunState, Runner, View};
use proteus_exec::sched::Bell;
use proteus_exec::system::System;
use proteus_exec::vcpu::{Facts, Vcpu};
use proteus_gdb::{Message, Stub};
use proteus_model::{CoreId, CoreLines, Machine, MachineBuilder};

/// Bytes of memory, from address 0.
const MEMORY: usize = 1 << 16;

/// A core that counts, and stops at its breakpoints.
struct Counter {
    id: CoreId,
    lines: Arc<CoreLines>,
    system: Arc<System>,
    registers: [u128; 40],
    memory: Vec<u8>,
    retired: u64,
    breakpoints: Vec<u64>,
    watchpoints: Vec<Watchpoint>,
    hit: Option<Hit>,
}

const PC: usize = 32;

impl Vcpu for Counter {
    fn id(&self) -> CoreId {
        self.id
    }
    fn lines(&self) -> &Arc<CoreLines> {
        &self.lines
    }
    fn system(&self) -> &Arc<System> {
        &self.system
    }
    fn run(&mut self, budget: i64) -> Stop {
        for _ in 0..budget.min(8) {
            if self.breakpoints.contains(&self.pc()) {
                self.hit = Some(Hit::Breakpoint);
                return Stop::Debug;
            }
            if let Some(w) = self.watchpoints.first().filter(|w| w.address == self.retired % 64) {
                self.hit = Some(Hit::Watchpoint { watchpoint: *w, address: w.address, write: w.write });
                self.retired += 1;
                return Stop::Debug;
            }
            self.registers[PC] = (self.registers[PC] + 4) % MEMORY as u128;
            self.retired += 1;
        }
        Stop::Budget
    }
    fn set_clock(&mut self, _: Option<InstructionClock>) {}
    fn retired(&self) -> u64 {
        self.retired
    }
    fn runnable(&self) -> bool {
        true
    }
    fn would_run(&self) -> bool {
        true
    }
    fn take_yielded(&mut self) -> bool {
        false
    }
    fn pc(&self) -> u64 {
        self.registers[PC] as u64
    }
    fn step(&mut self, _: bool) -> Stop {
        self.run(1)
    }
    fn set_breakpoints(&mut self, addresses: &[u64]) {
        self.breakpoints = addresses.to_vec();
    }
    fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]) {
        self.watchpoints = watchpoints.to_vec();
    }
    fn take_hit(&mut self) -> Option<Hit> {
        self.hit.take()
    }
    fn description(&self) -> Description {
        let mut registers: Vec<_> = (0..PC).map(|n| Register::new(format!("x{n}"), 64, "int")).collect();
        registers.push(Register::new("pc", 64, "code_ptr"));
        registers.extend((PC + 1..40).map(|n| Register::new(format!("v{n}"), if n % 2 == 0 { 128 } else { 32 }, "int")));
        Description {
            architecture: "aarch64",
            triple: "aarch64-unknown-unknown",
            big: false,
            pointer: 8,
            features: vec![Feature { name: "org.gnu.gdb.aarch64.core", types: "", registers }],
            pc: PC,
            sp: 31,
            general: 36,
            watch_before: true,
        }
    }
    fn read_register(&mut self, number: usize) -> Option<u128> {
        self.registers.get(number).copied().filter(|_| number != 3)
    }
    fn write_register(&mut self, number: usize, value: u128) -> bool {
        self.registers.get_mut(number).map(|r| *r = value).is_some()
    }
    fn translate(&mut self, address: u64) -> Option<u64> {
        (address < MEMORY as u64).then_some(address)
    }
    fn read_memory(&mut self, address: u64, to: &mut [u8]) -> usize {
        let from = usize::try_from(address).ok().and_then(|at| self.memory.get(at..)).unwrap_or_default();
        let n = from.len().min(to.len());
        to[..n].copy_from_slice(&from[..n]);
        n
    }
    fn write_memory(&mut self, address: u64, from: &[u8]) -> usize {
        let to = usize::try_from(address).ok().and_then(|at| self.memory.get_mut(at..)).unwrap_or_default();
        let n = from.len().min(to.len());
        to[..n].copy_from_slice(&from[..n]);
        n
    }
    fn write_physical(&mut self, phys: u64, from: &[u8]) -> usize {
        self.write_memory(phys, from)
    }
    fn facts(&mut self, _: Facts) -> Option<String> {
        None
    }
    fn reset(&mut self) {}
}

type Subscriber = Box<dyn Fn(RunEvent) + Send + Sync>;

/// A run loop without a thread of its own.
struct Loop {
    machine: Arc<Machine>,
    cpus: Mutex<Vec<Box<dyn Vcpu>>>,
    bell: Arc<Bell>,
    running: AtomicBool,
    quits: AtomicUsize,
    subscriber: Mutex<Option<Subscriber>>,
}

impl Loop {
    fn tell(&self, event: RunEvent) {
        if let Some(f) = &*self.subscriber.lock().unwrap() {
            f(event);
        }
    }
}

impl Runner for Loop {
    fn look(&self, what: proteus_exec::runner::Look) -> bool {
        what(&mut View::new(&self.machine, &mut self.cpus.lock().unwrap(), None, &self.bell));
        true
    }
    fn pause(&self) {
        if self.running.swap(false, SeqCst) {
            self.tell(RunEvent::Stop(Pause::Asked));
        }
    }
    fn resume(&self) {
        if !self.running.swap(true, SeqCst) {
            self.tell(RunEvent::Resume);
        }
        let mut cpus = self.cpus.lock().unwrap();
        let hit = cpus.iter_mut().find_map(|c| (c.run(8) == Stop::Debug).then(|| (c.id(), c.take_hit())));
        if let Some((core, hit)) = hit {
            self.running.store(false, SeqCst);
            self.tell(RunEvent::Stop(Pause::Debug(core, hit)));
        }
    }
    fn reset(&self) {}
    fn power_down(&self) {}
    fn quit(&self) {
        self.quits.fetch_add(1, SeqCst);
    }
    fn threads(&self) -> Vec<u64> {
        Vec::new()
    }
    fn state(&self) -> RunState {
        if self.running.load(SeqCst) { RunState::Running } else { RunState::Paused(Pause::Asked) }
    }
    fn subscribe(&self, f: Subscriber) {
        *self.subscriber.lock().unwrap() = Some(f);
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n.max(1)
    }
    /// A number of a kind that has broken programs before.
    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX >> (self.below(64)),
            2 => 1 << self.below(64),
            3 => self.next() & 0xffff,
            4 => self.next() & 0x3f,
            _ => self.next(),
        }
    }
}

/// What debuggers send; `@` is a number, `~` hexadecimal digits, `^` bytes.
const SEEDS: &[&str] = &[
    "qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;xmlRegisters=i386",
    "vMustReplyEmpty",
    "QStartNoAckMode",
    "Hgp@.@",
    "Hcp1.-1",
    "Hg-1",
    "Hc0",
    "qXfer:features:read:target.xml:@,@",
    "qXfer:features:read:feature0.xml:0,fff",
    "qXfer:memory-map:read::@,@",
    "qXfer:threads:read::@,@",
    "?",
    "qfThreadInfo",
    "qsThreadInfo",
    "qThreadExtraInfo,p1.@",
    "qAttached:1",
    "qC",
    "g",
    "G~",
    "p@",
    "P@=~",
    "m@,@",
    "m0,40",
    "M@,@:~",
    "X@,@:^",
    "x@,@",
    "vCont?",
    "vCont;c",
    "vCont;s:p1.1",
    "vCont;s:p1.2;c:p1.-1",
    "vCont;r@,@:p1.1;c",
    "vCont;r0,10000:1",
    "vCont;t",
    "vCont;C05;S05:p1.1",
    "c@",
    "s@",
    "C05",
    "S05",
    "Z0,@,4",
    "z0,@,4",
    "Z1,@,4",
    "z1,@,4",
    "Z2,@,@",
    "z2,@,@",
    "Z3,@,@",
    "z3,@,@",
    "Z4,@,@",
    "z4,@,@",
    "Z0,10,4",
    "z0,10,4",
    "Z0,@,4;X3,220127",
    "Z0,10,4;X3,220027X1,27",
    "Z1,20,4;X@,~",
    "Z0,@,4;cmds:0,X1,27",
    "Z9,@,@",
    "Tp1.@",
    "T@",
    "qRcmd,~",
    "D;1",
    "D",
    "k",
    "vKill;1",
    "vAttach;1",
    "vRun;",
    "R00",
    "!",
    "qHostInfo",
    "qMemoryRegionInfo:@",
    "qWatchpointSupportInfo:",
    "qqemu.sstep",
    "Qqemu.sstep=@",
    "qqemu.PhyMemMode",
    "Qqemu.PhyMemMode:1",
    "Qqemu.PhyMemMode:0",
    "Qqemu.PhyMemMode:@",
    "qqemu.Supported",
    "bs",
    "bc",
    "QThreadEvents:1",
    "qTStatus",
    "qOffsets",
    "qSymbol::",
    "QPassSignals:@",
    "vFile:open:~,@,@",
    "jThreadsInfo",
    "QThreadSuffixSupported",
    "QListThreadsInStopReply",
    "vFlashErase:@,@",
    "vFlashDone",
];

/// One packet, or something like one.
fn packet(r: &mut Random) -> Vec<u8> {
    let mut body = Vec::new();
    for byte in SEEDS[r.below(SEEDS.len())].bytes() {
        match byte {
            b'@' => body.extend(format!("{:x}", r.number()).into_bytes()),
            b'~' => (0..r.below(80)).for_each(|_| body.extend(format!("{:02x}", r.below(256)).into_bytes())),
            b'^' => (0..r.below(80)).for_each(|_| body.push(r.below(256) as u8)),
            byte => body.push(byte),
        }
    }
    for _ in 0..[0, 0, 0, 1, 1, 2, 5][r.below(7)] {
        let at = r.below(body.len() + 1);
        match r.below(5) {
            0 => body.truncate(at),
            1 => body.insert(at, r.below(256) as u8),
            2 => drop((at < body.len()).then(|| body.remove(at))),
            3 => body.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << r.below(8)),
            _ => body.extend_from_within(at..),
        }
    }
    if r.below(50) == 0 {
        return body;
    }
    let sum = body.iter().fold(0u8, |s, b| s.wrapping_add(*b)).wrapping_add(u8::from(r.below(40) == 0));
    let mut out = if r.below(30) == 0 { vec![[0x03, b'+', b'-', b'$', 0][r.below(5)]] } else { Vec::new() };
    out.push(b'$');
    out.extend(body);
    out.extend(format!("#{sum:02x}").into_bytes());
    // Without this a session would hardly ever be stopped again.
    if r.below(6) == 0 {
        out.push(0x03);
    }
    out
}

/// Waits until the stub has answered what only a stub that serves answers.
fn answers(messages: &Sender<Message>, output: &Receiver<Vec<u8>>, seed: u64) {
    for message in [Message::Closed, Message::Opened, Message::Input(b"$qqemu.sstepbits#38".to_vec())] {
        messages.send(message).expect("the stub's thread lives");
    }
    let until = Instant::now() + Duration::from_secs(60);
    let mut last = Vec::new();
    loop {
        let more = output.recv_timeout(until.saturating_duration_since(Instant::now()));
        let Ok(more) = more else { panic!("no answer after the packets of {seed:#x}: {:?}", String::from_utf8_lossy(&last)) };
        last = more;
        if last.windows(8).any(|w| w == b"NOTIMER=") {
            return;
        }
    }
}

#[test]
fn no_packet_ends_the_stub_or_the_guest() {
    let long = std::env::var_os("PROTEUS_LONG").is_some_and(|value| value != "0" && !value.is_empty());
    let (packets, batch) = (if long { 10_000_000 } else { 100_000 }, 500);
    let machine = MachineBuilder::new("fuzz", 2).build().expect("a machine");
    let lines: Vec<_> = (0..2).filter_map(|n| machine.core_lines(CoreId(n)).cloned()).collect();
    let system = System::new(lines.clone());
    let cpus = lines.into_iter().zip(0..).map(|(lines, n)| {
        let (registers, memory) = ([0; 40], vec![0; MEMORY]);
        let core = Counter {
            id: CoreId(n),
            lines,
            system: system.clone(),
            registers,
            memory,
            retired: 0,
            breakpoints: Vec::new(),
            watchpoints: Vec::new(),
            hit: None,
        };
        Box::new(core) as Box<dyn Vcpu>
    });
    let runner = Arc::new(Loop {
        machine: machine.clone(),
        cpus: Mutex::new(cpus.collect()),
        bell: Bell::new(),
        running: AtomicBool::new(true),
        quits: AtomicUsize::new(0),
        subscriber: Mutex::new(None),
    });
    let (send, output) = channel();
    let send = Mutex::new(send);
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let out = Arc::new(move |bytes: &[u8]| {
        count.fetch_add(1, SeqCst);
        // The test has ended.
        let _ = send.lock().unwrap().send(bytes.to_vec());
    });
    let stub = Stub::start(runner.clone(), Arc::new(|line: &str| format!("{line}\n#$}}*")), out).expect("a thread");
    let messages = stub.messages();
    let started = Instant::now();
    let mut r = Random(0x6db0_5eed);
    for _ in 0..packets / batch {
        let seed = r.0;
        // Some debuggers begin by switching acknowledgements off, and some packets come cut in two.
        if r.below(2) == 0 {
            messages.send(Message::Input(b"$QStartNoAckMode#b0+".to_vec())).expect("it lives");
        }
        let mut bytes = Vec::new();
        for _ in 0..batch {
            bytes.extend(packet(&mut r));
            // Packets come alone, several at a time, and cut in two.
            match r.below(20) {
                0 => {
                    let rest = bytes.split_off(r.below(bytes.len()));
                    messages.send(Message::Input(std::mem::replace(&mut bytes, rest))).expect("it lives");
                }
                1..8 => {}
                _ => messages.send(Message::Input(std::mem::take(&mut bytes))).expect("it lives"),
            }
            if r.below(100) == 0 {
                messages.send(Message::Closed).expect("it lives");
            }
        }
        answers(&messages, &output, seed);
    }
    let took = started.elapsed();
    eprintln!(
        "figure: {packets} packets in {:.2} s, {} writes of answers, {} wishes to end",
        took.as_secs_f64(),
        answered.load(SeqCst),
        runner.quits.load(SeqCst)
    );
    assert!(answered.load(SeqCst) > packets / 4, "most are answered");
    // The last debugger goes, and the machine runs.
    messages.send(Message::Input(b"$D#44".to_vec())).expect("it lives");
    stub.end(Duration::from_secs(10));
    assert!(runner.running.load(SeqCst), "the guest runs");
}
