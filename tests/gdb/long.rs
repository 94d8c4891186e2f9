//! What many stops must not change: the course of a deterministic run, the writes of other cores, and
//! the speed.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use crate::rig::*;
use proteus_guests::guest_file;

const BARE: &[&str] = &["-M", "virt,gic-version=3", "-cpu", "cortex-a53", "-display", "none", "-serial", "none", "-monitor", "none", "-S"];

/// Steps at least, with interrupts on: at 256 ns an instruction there are 15,625 from one tick of Debian's
/// kernel (250 Hz) to the next.
const STEPS: usize = 16_384;
/// Steps between two comparisons with the run that does not step.
const APART: usize = 64;
/// Bytes of x0 to x30, sp and pc in the `g` packet, as hexadecimal digits.
const PC: usize = 32 * 16;

fn deterministic(files: &[PathBuf; 2]) -> Vec<String> {
    let path = |n: usize| files[n].display().to_string();
    let words = "-M virt,gic-version=3 -cpu cortex-a53 -m 512 -icount shift=8,sleep=off -seed 1 -no-reboot -display none -serial stdio -monitor none";
    let append = "console=ttyAMA0 nokaslr ignore_loglevel rdinit=/absent root=/dev/absent panic=-1";
    let kernel = ["-kernel", &path(0), "-initrd", &path(1), "-append", append].map(str::to_string);
    words.split_whitespace().map(str::to_string).chain(kernel).collect()
}

fn pc(registers: &str) -> u64 {
    u64::from_str_radix(&registers[PC..PC + 16], 16).expect("digits").swap_bytes()
}

/// Lets it run to a breakpoint; gives the registers there.
fn run_to(raw: &mut Raw, address: u64) -> String {
    assert_eq!(raw.ask(&format!("Z0,{address:x},4")), "OK");
    let stop = raw.ask("vCont;c");
    assert!(stop.starts_with("T05"), "{stop}");
    assert_eq!(raw.ask(&format!("z0,{address:x},4")), "OK");
    raw.ask("g")
}

/// Stops at the interrupt vector of EL1 in Debian's kernel, once interrupts are on.
fn start(words: &[&str], vectors: u64) -> (Target, Raw, String) {
    let target = machine("aarch64", &[words, &["-S"]].concat(), |_| ());
    let mut raw = Raw::connect(&target);
    assert_eq!(raw.ask("Qqemu.sstep=1"), "OK");
    let mut registers = String::new();
    for _ in 0..5 {
        registers = run_to(&mut raw, vectors + 0x280);
        raw.ask("vCont;s:1");
    }
    assert_eq!(pc(&registers), vectors + 0x280);
    registers = raw.ask("g");
    (target, raw, registers)
}

/// A deterministic run is the same whether it is stepped, stopped at breakpoints or left alone.
#[test]
fn boots_single_steps_are_the_run_itself() {
    let test = "single steps";
    let files = ["arm64/Image", "arm64/initrd-min.gz"].map(guest_file);
    let [Ok(image), Ok(initrd)] = files else { return eprintln!("SKIPPED {test}: no guest: run tools/fetch-guests") };
    if !has(test, "gdb-multiarch") {
        return;
    }
    let words = deterministic(&[image, initrd]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (alone, vectors) = alone(&words);
    // Every step, with the registers after it.
    let (mut target, mut raw, first) = start(&words, vectors);
    let started = Instant::now();
    let mut trace = vec![first];
    // A step takes the interrupt and executes the first instruction there.
    let is_interrupt = |r: &String| [0x284, 0x484].contains(&pc(r).wrapping_sub(vectors));
    let mut interrupts = 0;
    // On until some interrupts were taken: the kernel may have masked them for long.
    while trace.len() <= STEPS || interrupts < 2 {
        assert!(trace.len() < 16 * STEPS, "{interrupts} interrupts in so many steps");
        let stop = raw.ask("vCont;s:1");
        assert!(stop.starts_with("T05"), "{stop}");
        trace.push(raw.ask("g"));
        interrupts += usize::from(trace.last().is_some_and(is_interrupt));
    }
    let steps = trace.len() - 1;
    let took = started.elapsed();
    eprintln!("figure: {steps} single steps with registers: {:.2} s, {:.0} steps a second", took.as_secs_f64(), steps as f64 / took.as_secs_f64());
    let different: HashSet<&String> = trace.iter().collect();
    eprintln!("figure: {interrupts} interrupts on the way, {} different states", different.len());
    // It goes on to the end as if nothing had been.
    raw.send("D");
    ends_as(&mut target, &alone);
    is_the_log(&words, vectors, &trace);
    // The same without steps, by breakpoints at some of the places.
    let (mut target, mut raw, first) = start(&words, vectors);
    assert_eq!(first, trace[0]);
    let (mut at, mut compared) = (0, 0);
    while at + 1 < trace.len() {
        // The next place that is far enough and was not met on the way there.
        let met: HashSet<u64> = trace[at..(at + APART).min(trace.len())].iter().map(|r| pc(r)).collect();
        let Some(next) = (at + APART..trace.len()).find(|n| !met.contains(&pc(&trace[*n])) && !trace[at + 1..*n].iter().any(|r| pc(r) == pc(&trace[*n])))
        else {
            break;
        };
        let registers = run_to(&mut raw, pc(&trace[next]));
        assert_eq!(registers, trace[next], "after {next} instructions");
        (at, compared) = (next, compared + 1);
    }
    eprintln!("figure: {compared} states compared, the last after {at} instructions");
    assert!(compared > 20 && at > steps / 2, "{compared} {at}");
    // Conditions that do not hold cost the guest no time.
    for vector in [0x280, 0x480] {
        assert_eq!(raw.ask(&format!("Z0,{:x},4;X3,220027", vectors + vector)), "OK");
    }
    let end = raw.ask("vCont;c");
    assert!(end.starts_with('W'), "{end}");
    ends_as(&mut target, &alone);
}

/// The states that a run logs by itself before each block, with no debugger's stop on the way, are
/// those of the steps.
fn is_the_log(words: &[&str], vectors: u64, trace: &[String]) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log").display().to_string();
    let (_target, mut raw, first) = start(&[words, &["-D", &log]].concat(), vectors);
    assert_eq!(first, trace[0]);
    let command: String = b"log cpu".iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(raw.ask(&format!("qRcmd,{command}")), "OK");
    // The last place that was not met before; not at the end, where the last interrupt is.
    let mut met = HashSet::new();
    let (last, _) = trace[..trace.len() - 64].iter().enumerate().filter(|(_, r)| met.insert(pc(r))).last().expect("a place");
    assert_eq!(run_to(&mut raw, pc(&trace[last])), trace[last], "after {last} instructions");
    let text = std::fs::read_to_string(&log).expect("a log");
    let value = |state: &str, name: &str| {
        let (_, after) = state.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("{name}: {state}"));
        u64::from_str_radix(&after[..16], 16).expect("digits")
    };
    let names: Vec<String> = (0..31).map(|n| format!("X{n:02}")).chain(["SP".into(), "PC".into()]).collect();
    let states = text
        .split("CPU#0\n")
        .skip(1)
        .map(|state| -> String { names.iter().map(|name| value(state, name).to_le_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>()).collect() });
    let (mut at, mut compared) = (0, 0);
    for state in states {
        let same = |r: &String, digits: usize| r[..digits] == state[..digits];
        // A step takes the interrupt with the first instruction there: x0 to x30 are as they were.
        let place = pc(&state);
        let next = if [0x280, 0x480].contains(&place.wrapping_sub(vectors)) {
            (at..last).find(|n| same(&trace[*n], 31 * 16) && pc(&trace[n + 1]) == place + 4)
        } else {
            (at..=last).find(|n| same(&trace[*n], PC + 16))
        };
        // A block has at most 64 instructions.
        let near = next.filter(|n| n - at <= 64);
        at = near.unwrap_or_else(|| panic!("the state {compared} of the log, at {place:#x}, is not that after some step from {at} on"));
        compared += 1;
    }
    eprintln!("figure: {compared} states of the log are those of the steps, up to the step {last}");
    assert!(last > STEPS / 2 && compared > last / 64, "{compared} {last}");
}

/// Waits for the end; the console has shown what that of the run without a debugger has.
fn ends_as(target: &mut Target, alone: &str) {
    let end = target.console.wait_exit(BOOT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(end.code(), Some(0));
    let transcript = target.console.transcript();
    let [output, alone] = [&transcript, alone].map(|t| t.split("\n----- standard error").next().unwrap_or_default());
    let differs = alone.lines().zip(output.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(alone.lines().count(), output.lines().count());
}

/// The run without a debugger: what it prints, and where the kernel's vectors are, which one that comes
/// after its last words is told.
fn alone(words: &[&str]) -> (String, u64) {
    let mut target = machine("aarch64", &[words, &["-no-shutdown"]].concat(), |_| ());
    target.console.expect("Memory Limit: none", BOOT).unwrap_or_else(|e| panic!("{e}"));
    let mut g = Gdb::attach("vectors", &target, None);
    let until = Instant::now() + LIMIT;
    while !g.ask("monitor info status").contains("shutdown") {
        assert!(Instant::now() < until, "it does not end\n{}", g.transcript());
        g.ask("detach");
        g.connect(&target);
    }
    let vectors = g.value("$VBAR_EL1");
    g.ask("kill");
    let end = target.console.wait_exit(BOOT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(end.code(), Some(0));
    (target.console.transcript(), vectors)
}

/// None of the writes is lost, and each is told by its core.
#[test]
fn a_watchpoint_reports_every_write_of_two_cores() {
    let test = "writes of two cores";
    let dir = tempfile::tempdir().expect("a directory");
    let Some(elf) = guest(test, "aarch64", dir.path()).filter(|_| has(test, "gdb-multiarch")) else { return };
    let target = machine("aarch64", &[BARE, &["-smp", "2"]].concat(), |c| _ = c.arg("-kernel").arg(&elf));
    let mut g = Gdb::attach(test, &target, Some(&elf));
    // Both are in their loops when the race begins.
    g.feature("the second core", &["break tick if core == 1", "continue"], &["tick (core=1)"]);
    g.ask("delete");
    g.ask("set var racing = 1");
    g.ask("watch shared");
    let mut seen = [0, 0];
    let mut order = Vec::new();
    for _ in 0..50 {
        let stop = g.ask("continue");
        let value = stop.rsplit_once("New value = ").and_then(|(_, v)| v.split_whitespace().next()).and_then(|v| v.parse::<usize>().ok());
        let value = value.unwrap_or_else(|| panic!("{stop}\n{}", g.transcript()));
        let (core, n) = (value >> 16, value & 0xffff);
        assert_eq!(n, seen[core] + 1, "core {core}\n{}", g.transcript());
        seen[core] = n;
        let thread = g.ask("thread");
        assert!(thread.contains(&format!("is {} (", core + 1)), "{stop}{thread}");
        order.push(core);
    }
    assert_eq!(seen, [25, 25]);
    let changes = order.windows(2).filter(|w| w[0] != w[1]).count();
    eprintln!("feature: {test}: 50 writes of two cores, {changes} changes from one to the other");
    g.ask("delete");
    assert_eq!(g.value("written[0] + written[1]"), 50);
}

/// Breakpoints and watchpoints that come and go while it runs cost nothing afterwards.
#[test]
fn breakpoints_that_came_and_went_leave_no_trace() {
    let test = "breakpoints that came and went";
    let dir = tempfile::tempdir().expect("a directory");
    let Some(elf) = guest(test, "aarch64", dir.path()).filter(|_| has(test, "gdb-multiarch")) else { return };
    let target = machine("aarch64", BARE, |c| _ = c.arg("-kernel").arg(&elf));
    let pid = target.console.pid();
    let mut g = Gdb::attach(test, &target, Some(&elf));
    let [counter, hot, cold, watched] = ["&counter", "&tick", "&race", "&written"].map(|what| g.value(what));
    g.ask("detach");
    drop(g);
    let mut raw = Raw::connect(&target);
    let read = |raw: &mut Raw| u64::from_str_radix(&raw.ask(&format!("m{counter:x},8")), 16).expect("digits").swap_bytes();
    // Rounds of the guest's loop in a tick of processor time; the best of some tries of half a second.
    let speed = |raw: &mut Raw| {
        (0..5)
            .map(|_| {
                let (before, from) = (read(raw), processor_time(pid));
                raw.send("vCont;c");
                while processor_time(pid) < from + 50 {
                    std::thread::yield_now();
                }
                raw.bytes(b"\x03");
                assert!(raw.receive().starts_with("T02"));
                (read(raw) - before) / (processor_time(pid) - from).max(1)
            })
            .max()
            .unwrap_or(0)
    };
    let before = speed(&mut raw);
    let memory = target.console.peak_memory().unwrap_or(0);
    let times = if long() { 10_000 } else { 1_000 };
    let started = Instant::now();
    for n in 0..times {
        raw.send("vCont;c");
        raw.bytes(b"\x03");
        assert!(raw.receive().starts_with("T02"));
        let address = if n % 2 == 0 { hot } else { cold };
        assert_eq!(raw.ask(&format!("Z0,{address:x},4")), "OK");
        assert_eq!(raw.ask(&format!("Z4,{watched:x},8")), "OK");
        raw.send("vCont;c");
        if n % 2 != 0 {
            raw.bytes(b"\x03");
        }
        let stop = raw.receive();
        assert!(stop.starts_with(if n % 2 == 0 { "T05" } else { "T02" }), "{stop}");
        assert_eq!(raw.ask(&format!("z0,{address:x},4")), "OK");
        assert_eq!(raw.ask(&format!("z4,{watched:x},8")), "OK");
    }
    let took = started.elapsed();
    let after = speed(&mut raw);
    let grown = target.console.peak_memory().unwrap_or(0).saturating_sub(memory);
    eprintln!("figure: {times} times set and removed: {:.2} s; rounds a tick before {before}, after {after}; {} KiB more", took.as_secs_f64(), grown >> 10);
    assert!(after * 4 > before * 3, "before {before}, after {after}");
    assert!(grown < 64 << 20, "{grown} bytes more");
}
