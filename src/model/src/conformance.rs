//! Checks that every device must pass, run over every registered device type.
//!
//! The devices are exercised by random accesses, pins, host input and time. A failure names the
//! seed, so that it repeats.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::device::{DeviceType, PortKind, WindowKind};
use crate::machine::HostEventKind;
use crate::register::RegisterInfo;
use crate::testing::{Bench, RAM_BASE, RAM_LEN};
use crate::types::{BusFault, Reset, Width};

/// Steps of one random run.
const STEPS: usize = 600;
/// Steps within which random accesses must have changed a device's state.
const CHANGE_STEPS: usize = 20_000;

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Type of the device.
    pub device: &'static str,
    /// Seed of the random run.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (seed {}): {}", self.device, self.seed, self.what)
    }
}

impl std::error::Error for Failure {}

/// Runs all checks on a device type, with the properties of [`DeviceType::example`].
pub fn check(ty: &'static DeviceType) -> Result<(), Failure> {
    for seed in 0..4 {
        never_panics(ty, seed)?;
        save_and_load(ty, seed)?;
        reset_twice(ty, seed)?;
        same_log(ty, seed)?;
    }
    declarations(ty)
}

/// A small generator of random numbers (xorshift64*), the same everywhere.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.bits() >> 16) % n
    }
}

/// One thing that is done to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A read.
    Read {
        /// By this core.
        core: u16,
        /// In this window.
        window: usize,
        /// At this offset.
        at: u64,
        /// So wide.
        width: Width,
    },
    /// A write.
    Write {
        /// By this core.
        core: u16,
        /// In this window.
        window: usize,
        /// At this offset.
        at: u64,
        /// So wide.
        width: Width,
        /// Of this value.
        value: u64,
    },
    /// Something from outside.
    Host(HostEventKind),
    /// Time passes.
    Advance(u64),
    /// Firmware gives a PCI function its places, without which little of it can be reached.
    EnablePci,
}

/// A random step for this device.
pub fn random_step(bench: &Bench, ty: &'static DeviceType, rng: &mut Rng) -> Step {
    let access = |rng: &mut Rng| {
        let window = rng.below(ty.windows.len() as u64) as usize;
        let at = offset(bench, ty, window, rng);
        (rng.below(2) as u16, window, at, Width::ALL[[2, 2, 2, 0, 1, 3][rng.below(6) as usize]])
    };
    let pci = ty.windows.iter().any(|w| w.kind == WindowKind::PciConfig);
    if pci && rng.below(16) == 0 {
        return Step::EnablePci;
    }
    match rng.below(20) {
        0..8 if !ty.windows.is_empty() => {
            let (core, window, at, width) = access(rng);
            Step::Read { core, window, at, width }
        }
        8..16 if !ty.windows.is_empty() => {
            let (core, window, at, width) = access(rng);
            Step::Write { core, window, at, width, value: value(rng) }
        }
        16 => Step::Advance(1 << rng.below(34)),
        17 => {
            let props = bench.machine.devices().find(|d| d.0 == bench.device);
            let pins = props.map_or(0, |d| DeviceType::pin_count(ty.inputs, d.3));
            // One pin too many: that must be harmless too.
            let (pin, level) = (rng.below(pins as u64 + 1) as usize, rng.below(2) == 0);
            Step::Host(HostEventKind::Pin { pin, level })
        }
        _ => {
            let port = rng.below(ty.ports.len() as u64 + 1) as usize;
            let bytes: Vec<u8> = (0..rng.below(64)).map(|_| rng.bits() as u8).collect();
            Step::Host(match ty.ports.get(port).map(|p| p.kind) {
                Some(PortKind::Frame) => HostEventKind::Frame { port, frame: bytes },
                _ => match rng.below(4) {
                    0 => HostEventKind::Writable { port },
                    1 => HostEventKind::Open { port, open: rng.below(2) == 0 },
                    _ => HostEventKind::Bytes { port, bytes },
                },
            })
        }
    }
}

fn offset(bench: &Bench, ty: &'static DeviceType, window: usize, rng: &mut Rng) -> u64 {
    let size = bench.window_size(window).max(1);
    let table: &[RegisterInfo] = ty.registers.get(window).copied().unwrap_or(&[]);
    match rng.below(8) {
        0..4 if !table.is_empty() => {
            let r = &table[rng.below(table.len() as u64) as usize];
            r.offset + r.stride * rng.below(r.count)
        }
        0..5 => rng.below(size.min(0x100)) & !3,
        5..7 => rng.below(size) & !3,
        _ => rng.below(size),
    }
}

fn value(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << rng.below(64),
        3 => rng.below(16),
        // Addresses of memory, near its end too, for what does DMA.
        4 => RAM_BASE + rng.below(RAM_LEN),
        5 => RAM_BASE + RAM_LEN - rng.below(64),
        _ => rng.bits(),
    }
}

/// What a step gave: the value read, or the fault.
pub type Outcome = Result<u64, BusFault>;

/// Does one step.
pub fn apply(bench: &Bench, step: &Step) -> Outcome {
    match step {
        Step::Read { core, window, at, width } => bench.read_at(*core, *window, *at, *width),
        Step::Write { core, window, at, width, value } => bench.write_at(*core, *window, *at, *width, *value).map(|()| 0),
        Step::Host(kind) => {
            bench.deliver(kind.clone());
            Ok(0)
        }
        Step::Advance(ns) => {
            bench.advance(*ns);
            Ok(0)
        }
        Step::EnablePci => {
            bench.enable_pci();
            Ok(0)
        }
    }
}

struct Run {
    ty: &'static DeviceType,
    seed: u64,
    rng: Rng,
    bench: Bench,
}

impl Run {
    fn new(ty: &'static DeviceType, seed: u64) -> Run {
        Run { ty, seed, rng: Rng::new(seed), bench: Bench::new(ty, ty.example) }
    }

    fn fail(&self, what: impl Into<String>) -> Failure {
        Failure { device: self.ty.name, seed: self.seed, what: what.into() }
    }

    fn step(&mut self) -> Result<(Step, Outcome), Failure> {
        let step = random_step(&self.bench, self.ty, &mut self.rng);
        match catch_unwind(AssertUnwindSafe(|| apply(&self.bench, &step))) {
            Ok(outcome) => Ok((step, outcome)),
            Err(_) => Err(self.fail(format!("panicked in {step:x?}"))),
        }
    }

    fn steps(&mut self, n: usize) -> Result<Vec<(Step, Outcome)>, Failure> {
        (0..n).map(|_| self.step()).collect()
    }

    fn device_state(&self) -> Vec<u8> {
        self.bench.machine.save_device(self.bench.device)
    }
}

/// Random windows, widths and values never panic, nor do they hang.
pub fn never_panics(ty: &'static DeviceType, seed: u64) -> Result<(), Failure> {
    Run::new(ty, seed ^ 0xf0f0).steps(4 * STEPS).map(|_| ())
}

/// Random accesses, save, change (the state must differ), load: equal. The loaded machine then
/// behaves as the saved one, so that nothing is left out of the state.
pub fn save_and_load(ty: &'static DeviceType, seed: u64) -> Result<(), Failure> {
    let mut run = Run::new(ty, seed);
    run.steps(STEPS)?;
    let (saved, state) = (run.bench.machine.save(), run.device_state());
    let twin = Bench::new(ty, ty.example);
    twin.copy_memory(&run.bench);
    twin.machine.load(&saved).map_err(|e| run.fail(format!("a fresh machine refuses the snapshot: {e}")))?;
    if twin.machine.save() != saved {
        return Err(run.fail("a snapshot loaded into a fresh machine saves differently"));
    }
    let sent_before = run.bench.traffic().len();
    let sent_by_twin = twin.traffic().len();
    for (step, outcome) in run.steps(STEPS)? {
        let other = apply(&twin, &step);
        if other != outcome {
            return Err(run.fail(format!("after a load {step:x?} gives {other:x?} where the saved machine gave {outcome:x?}")));
        }
    }
    if run.bench.machine.save() != twin.machine.save() {
        return Err(run.fail("a loaded machine went another way than the saved one"));
    }
    if run.bench.memory() != twin.memory() {
        return Err(run.fail("a loaded machine wrote other memory than the saved one"));
    }
    // Images are equal by now, or the lengths alone would not do.
    if run.bench.traffic().len() - sent_before != twin.traffic().len() - sent_by_twin {
        return Err(run.fail("a loaded machine sent something else than the saved one"));
    }
    // A struct without fields is its version and the number 0: no state to change.
    if state.len() > 8 {
        let mut left = CHANGE_STEPS;
        while run.device_state() == state {
            left = left.checked_sub(1).ok_or_else(|| run.fail("no access changes the state"))?;
            let _ = run.step()?;
        }
    }
    run.bench.machine.load(&saved).map_err(|e| run.fail(format!("the machine refuses its own snapshot: {e}")))?;
    if run.bench.machine.save() != saved {
        return Err(run.fail("a snapshot loaded back saves differently"));
    }
    for cut in [0, saved.len() / 2, saved.len() - 1] {
        if twin.machine.load(&saved[..cut]).is_ok() {
            return Err(run.fail(format!("a snapshot cut to {cut} bytes was loaded")));
        }
    }
    // Loading a damaged snapshot may fail or give another state, but never panics.
    for _ in 0..50 {
        let mut damaged = saved.clone();
        let at = run.rng.below(damaged.len() as u64) as usize;
        damaged[at] ^= 1 << run.rng.below(8);
        let loaded = catch_unwind(AssertUnwindSafe(|| twin.machine.load(&damaged)));
        let _ = loaded.map_err(|_| run.fail(format!("panicked on a snapshot damaged at byte {at}")))?;
    }
    let longer = [saved.as_slice(), &[0]].concat();
    if twin.machine.load(&longer).is_ok() {
        return Err(run.fail("a snapshot with a byte too many was loaded"));
    }
    Ok(())
}

/// Resetting twice equals resetting once.
pub fn reset_twice(ty: &'static DeviceType, seed: u64) -> Result<(), Failure> {
    for kind in [Reset::Cold, Reset::Warm] {
        let mut run = Run::new(ty, seed);
        for _ in 0..STEPS {
            let step = random_step(&run.bench, ty, &mut run.rng);
            // Host input that waits outlives a reset and may fill the device again after each.
            if !matches!(step, Step::Host(HostEventKind::Bytes { .. } | HostEventKind::Frame { .. })) {
                let _ = apply(&run.bench, &step);
            }
        }
        run.bench.machine.reset(kind);
        let once = (run.device_state(), run.bench.machine.inspect());
        run.bench.machine.reset(kind);
        if (run.device_state(), run.bench.machine.inspect()) != once {
            return Err(run.fail(format!("a second {kind:?} reset changes the state")));
        }
    }
    Ok(())
}

/// The same log of events gives byte-equal snapshots and the same output.
pub fn same_log(ty: &'static DeviceType, seed: u64) -> Result<(), Failure> {
    let mut run = Run::new(ty, seed);
    let log = run.steps(STEPS)?;
    let twin = Bench::new(ty, ty.example);
    for (n, (step, outcome)) in log.iter().enumerate() {
        let other = apply(&twin, step);
        if other != *outcome {
            return Err(run.fail(format!("step {n}, {step:x?}, gave {outcome:x?} first and then {other:x?}")));
        }
    }
    if run.bench.machine.save() != twin.machine.save() {
        return Err(run.fail("two runs of one log give different snapshots"));
    }
    if run.bench.traffic() != twin.traffic() || run.bench.memory() != twin.memory() {
        return Err(run.fail("two runs of one log give different output or memory"));
    }
    Ok(())
}

/// The declarations are consistent: register tables fit their windows, names are unique.
pub fn declarations(ty: &'static DeviceType) -> Result<(), Failure> {
    let run = Run::new(ty, 0);
    for (n, table) in ty.registers.iter().enumerate() {
        let size = ty.windows.get(n).map(|_| run.bench.window_size(n));
        for r in *table {
            let end = r.offset + r.stride * (r.count - 1) + u64::from(r.width.bytes());
            if size.is_none_or(|size| end > size) {
                return Err(run.fail(format!("register {} ends at {end:#x}, outside its window", r.name)));
            }
        }
    }
    let unique = |kind: &str, names: Vec<&'static str>| {
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() == names.len() { Ok(()) } else { Err(run.fail(format!("two {kind} of one name"))) }
    };
    unique("windows", ty.windows.iter().map(|w| w.name).collect())?;
    unique("outputs", ty.outputs.iter().map(|p| p.name).collect())?;
    unique("inputs", ty.inputs.iter().map(|p| p.name).collect())?;
    unique("ports", ty.ports.iter().map(|p| p.name).collect())?;
    unique("properties", ty.properties.iter().map(|p| p.name).collect())
}
