//! x86 under KVM: what a machine costs to start, what it holds in memory, and how fast ring 3 runs
//! beside the same loop as a program of the host. The guest is our own, `firmware/x86`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use proteus_guests::console::{Console, ConsoleError};

use crate::machine::Error;
use crate::report::Spread;

/// Rounds of the loop.
const ROUNDS: u64 = 1_000_000_000;
/// The limits that the figures are held against: seconds to the first instruction, the part of the
/// host's speed, and MiB of memory beside the guest's own.
const START: f64 = 0.030;
const SPEED: f64 = 0.9;
const MEMORY: f64 = 15.0;

/// The loop of `firmware/x86/user.c`: keep them equal.
fn rounds(n: u64) -> u64 {
    let (mut x, mut sum) = (88_172_645_463_325_252u64, 0u64);
    for _ in 0..n {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum = sum.wrapping_add(x);
    }
    sum
}

/// Measures and reports; `false` where the guest computed something else, or a figure is over its
/// limit.
pub fn run(program: Option<&Path>, runs: u32, limit: Duration) -> Result<bool, Error> {
    let program = program.map_or_else(|| PathBuf::from("target/release/proteus-system-x86_64"), Path::to_path_buf);
    let (mut start, mut guest, mut host, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut same = true;
    for _ in 0..runs {
        let before = Instant::now();
        let sum = rounds(std::hint::black_box(ROUNDS));
        host.push(before.elapsed().as_secs_f64());
        let one = measure(&program, limit).map_err(|source| Error::Console { emulator: program.display().to_string(), source })?;
        same &= one.sum == format!("{sum:#x}");
        start.push(one.start);
        guest.push(one.seconds);
        memory.push(one.memory);
    }
    // What a start costs is short: more of them say more.
    for _ in 0..10 * runs {
        start.push(first_instruction(&program, limit).map_err(|source| Error::Console { emulator: program.display().to_string(), source })?.1);
    }
    let (start, memory) = (Spread::of(&start), Spread::of(&memory));
    let speed = Spread::of(&host).median / Spread::of(&guest).median;
    println!(
        "start to the first instruction   {:8.1} ms   (from {:.1} to {:.1}; limit {:.0})",
        start.median * 1e3,
        start.min * 1e3,
        start.max * 1e3,
        START * 1e3
    );
    println!("ring 3 beside the host           {speed:8.2}      (limit {SPEED})");
    println!("memory beside the guest's        {:8.1} MiB  (limit {MEMORY})", memory.median);
    if !same {
        eprintln!("proteus-bench: the guest's loop came to another result than the host's");
    }
    Ok(same && start.median < START && speed >= SPEED && memory.median < MEMORY)
}

struct Sample {
    start: f64,
    seconds: f64,
    sum: String,
    memory: f64,
}

/// Starts a machine; gives it with the seconds until the guest's first letter.
fn first_instruction(program: &Path, limit: Duration) -> Result<(Console, f64), ConsoleError> {
    let mut command = Command::new(program);
    command.args(["-M", "microvm", "-accel", "kvm", "-m", "128", "-display", "none", "-serial", "stdio", "-device", "isa-debug-exit"]);
    command.args(["-bios", concat!(env!("CARGO_MANIFEST_DIR"), "/../../firmware/x86/proteus-x86.bin")]);
    let mut console = Console::spawn(&mut command)?;
    let at = console.expect("r", limit)?.at.as_secs_f64();
    Ok((console, at))
}

fn measure(program: &Path, limit: Duration) -> Result<Sample, ConsoleError> {
    let (mut console, start) = first_instruction(program, limit)?;
    console.expect("x86> ", limit)?;
    let memory = beside_the_guest(console.pid());
    console.send(&format!("loop {ROUNDS}\n"))?;
    console.expect("\r\n", limit)?;
    let before = Instant::now();
    console.expect("loop ", limit)?;
    let seconds = before.elapsed().as_secs_f64();
    let sum = console.expect(" ticks", limit)?.before;
    console.send("exit 1\n")?;
    console.wait_exit(limit)?;
    Ok(Sample { start, seconds, sum, memory })
}

/// MiB of a process's memory that are none of its guest's.
fn beside_the_guest(pid: u32) -> f64 {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
    let (mut total, mut guest) = (0u64, false);
    for line in maps.lines() {
        match line.split_once(':') {
            Some(("Rss", value)) if !guest => total += value.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0),
            Some(_) if line.starts_with(|c: char| c.is_ascii_uppercase()) => {}
            // The head of a mapping.
            _ => guest = line.contains("/memfd:"),
        }
    }
    total as f64 / 1024.0
}
