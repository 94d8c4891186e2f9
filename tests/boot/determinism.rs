//! With `-icount` two runs print the same bytes, whatever was compiled when.

use std::process::Stdio;
use std::time::Instant;

use crate::rig::*;

/// One run to the guest's own end; everything that it printed.
fn run(linux: &Linux, machine: &[&str], accel: Option<&str>) -> Vec<u8> {
    let mut words: Vec<&str> = [&["-nographic"], machine].concat();
    if let Some(accel) = accel {
        words.extend(["-accel", accel]);
    }
    let started = Instant::now();
    // fs-churn prints the time that it took: the guest's clock is compared with it, to a microsecond.
    let mut command = linux.command(&words, "ignore_loglevel proteus.run=fs-churn,/tmp,50");
    let out = command.stdin(Stdio::null()).output().expect("the program runs");
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.contains("name=fs-churn") && text.contains("proteus: status 0"), "{text}");
    figure(&format!("{} with -icount [{}]", linux.on.name, accel.unwrap_or("default")), started.elapsed());
    out.stdout
}

/// Whether the interpretations before compilation can be chosen.
fn takes_thresholds() -> bool {
    let mut console = start(&mut proteus(&["-M", "virt", "-accel", "tcg,compile-after=64"]));
    let prompt = console.expect("proteus> ", BOOT);
    let refused = console.transcript().contains("compile-after");
    assert!(prompt.is_ok() != refused, "{}", console.transcript());
    !refused
}

#[track_caller]
fn same(what: &str, first: &[u8], second: &[u8]) {
    if first == second {
        return;
    }
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    let (a, b) = (lines(first), lines(second));
    let at = a.iter().zip(&b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
    panic!("{what}: line {} differs:\n  {:?}\n  {:?}", at + 1, a.get(at), b.get(at));
}

/// Runs of the same command must print the same, and so must runs with other executors.
fn the_console_is_the_same_every_time(on: &'static Architecture, machine: &[&str]) {
    let Some(linux) = Linux::find("determinism", on) else { return };
    let run = |accel: Option<&str>| run(&linux, machine, accel);
    let first = run(None);
    same("the same command", &first, &run(None));
    same("interpreted", &first, &run(Some("interpreter")));
    if !takes_thresholds() {
        eprintln!("SKIPPED thresholds: -accel tcg has no property compile-after");
        return;
    }
    same("compiled late", &first, &run(Some("tcg,compile-after=5000")));
    if !long() {
        return;
    }
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64) | 1;
    let mut state = seed;
    for _ in 0..10 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // From 1 to 65,536, small ones as often as large ones.
        let threshold = 1u64 << (state % 17) | state >> 40 & ((1 << (state % 17)) - 1);
        same(&format!("compile-after={threshold} (seed {seed})"), &first, &run(Some(&format!("tcg,compile-after={threshold}"))));
    }
}

#[test]
fn with_icount_the_console_of_arm64_is_the_same_every_time() {
    the_console_is_the_same_every_time(&ARM64, &["-icount", "shift=0", "-smp", "2"]);
}

/// Malta's Linux watches the clock for two seconds of its own, which with shift=0 are two thousand
/// million instructions.
fn malta_icount() -> [&'static str; 2] {
    ["-icount", if long() { "shift=0" } else { "shift=5" }]
}

#[test]
fn with_icount_the_console_of_mipsel_is_the_same_every_time() {
    the_console_is_the_same_every_time(&MIPSEL, &malta_icount());
}

#[test]
fn with_icount_the_console_of_mips64el_is_the_same_every_time() {
    the_console_is_the_same_every_time(&MIPS64EL, &malta_icount());
}
