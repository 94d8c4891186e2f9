//! Figures: printed, not asserted.

use crate::rig::{CODE, DATA, Rig, cpus, machine_with};
use proteus_arm::state;
use proteus_arm_glue::compiler;
use proteus_model::Clock;
use proteus_translator::Options;

/// Nanoseconds that this thread has run, other load aside.
fn processor_time() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

/// Nanoseconds an iteration of the loop `words`, whose last word branches to its first; `n` are
/// its instructions.
fn measure(name: &str, words: &[u32], prepare: impl Fn(&mut Rig)) {
    let mut figures = Vec::new();
    for compile in [None, Some(16)] {
        let mut rig = Rig::new(compile);
        rig.cpu.core.deterministic = None;
        rig.program(words);
        prepare(&mut rig);
        let n = words.len() as u64;
        rig.run(n * 10_000);
        let rounds = if compile.is_some() { 5_000_000 } else { 300_000 };
        let mut best = f64::MAX;
        for _ in 0..8 {
            let begin = processor_time();
            rig.run(n * rounds);
            best = best.min((processor_time() - begin) / rounds as f64);
        }
        figures.push(best);
    }
    println!("{name}: {:.2} ns an iteration of {} instructions compiled, {:.1} interpreted; now at {:x}", figures[1], words.len(), figures[0], CODE);
}

#[test]
fn hot_loops() {
    // ldr x3, [x1]; add x2, x2, x3; eor x4, x4, x2; str x4, [x1, #8]; subs x0, x0, #1; b.ne
    let classic = [0xf940_0023, 0x8b03_0042, 0xca02_0084, 0xf900_0424, 0xf100_0400, 0x54ff_ff61];
    measure("ldr add eor str subs b.ne", &classic, |r| {
        r.set(state::x(0), u64::MAX);
        r.set(state::x(1), DATA);
    });
    // add x2, x2, x3; eor x4, x4, x2; subs x0, x0, #1; b.ne
    measure("add eor subs b.ne", &[0x8b03_0042, 0xca02_0084, 0xf100_0400, 0x54ff_ffa1], |r| r.set(state::x(0), u64::MAX));
    // ldp x2, x3, [x1]; stp x2, x3, [x1, #16]; sub x0, x0, #1; cbnz x0
    measure("ldp stp sub cbnz", &[0xa940_0c22, 0xa901_0c22, 0xd100_0400, 0xb5ff_ffa0], |r| {
        r.set(state::x(0), u64::MAX);
        r.set(state::x(1), DATA);
    });
    // fmul d0, d1, d2; fadd d3, d3, d0; subs x0, x0, #1; b.ne
    measure("fmul fadd subs b.ne", &[0x1e62_0820, 0x1e60_2863, 0xf100_0400, 0x54ff_ffa1], |r| {
        r.set(state::x(0), u64::MAX);
        for i in [1, 2] {
            r.set(state::v(i), 0x3ff8_0000_0000_0000);
        }
        r.set(state::FPSR, 16);
        proteus_arm::update_fp_fast(&mut r.cpu.core);
    });
    // add v0.4s, v0.4s, v1.4s; eor v2.16b, v2.16b, v0.16b; subs x0, x0, #1; b.ne
    measure("add.4s eor.16b subs b.ne", &[0x4ea1_8400, 0x6e20_1c42, 0xf100_0400, 0x54ff_ffa1], |r| r.set(state::x(0), u64::MAX));
    // bl +8; b.(here: subs, b.ne): a call and return in another page is the kernel's daily bread.
    // bl f; subs x0, x0, #1; b.ne -8; b .; f: add x2, x2, #1; ret
    let calls = [0x9400_0004, 0xf100_0400, 0x54ff_ffc1, 0x1400_0000, 0x9100_0442, 0xd65f_03c0];
    measure("bl add ret subs b.ne (of 5)", &calls, |r| r.set(state::x(0), u64::MAX));
}

/// Runs the flat binary that PROTEUS_KERNELS names, linked at the data's address, which leaves
/// its figures (ticks of the counter) at 0x400e0000 and then loops at `b .`.
#[test]
fn kernels() {
    let Ok(path) = std::env::var("PROTEUS_KERNELS") else { return };
    let image = std::fs::read(path).expect("the binary");
    let threshold = std::env::var("PROTEUS_THRESHOLD").ok().and_then(|t| t.parse().ok()).unwrap_or(1000);
    let compiler = compiler(Options::default()).expect("a compiler");
    let machine = machine_with(1, Clock::host());
    machine.clock().resume();
    let mut cpu = cpus(&machine, Some((&compiler, threshold))).remove(0);
    machine.poke(DATA, &image).expect("RAM");
    *cpu.core.word_mut(state::PC) = DATA;
    let (begin, mut seconds) = (std::time::Instant::now(), 0);
    let ended = |pc: u64| {
        let mut word = [0; 4];
        machine.peek(pc, &mut word).is_ok() && word == 0x1400_0000u32.to_le_bytes()
    };
    while !ended(cpu.core.pc()) {
        cpu.run(1_000_000);
        if begin.elapsed().as_secs() / 5 > seconds {
            seconds += 1;
            println!("{seconds}: {:x} {}", cpu.core.pc(), cpu.core.executed());
        }
    }
    let mut figures = [0; 64];
    machine.peek(0x400e_0000, &mut figures).expect("RAM");
    for (name, f) in ["crc", "sort", "sieve", "fib", "matrix", "collatz", "sum"].iter().zip(figures.chunks(8)) {
        println!("{name}: {}", u64::from_le_bytes(f.try_into().expect("8 bytes")));
    }
    let s = compiler.statistics();
    println!(
        "{s:?}: {:.1} us an instruction, {:.0} bytes; {} instructions executed in {:?}",
        s.nanoseconds as f64 / 1e3 / s.instructions as f64,
        s.bytes as f64 / s.instructions as f64,
        cpu.core.executed(),
        begin.elapsed()
    );
}

/// Time to compile, over the blocks of the binary that PROTEUS_KERNELS names.
#[test]
fn compile_times() {
    let Ok(path) = std::env::var("PROTEUS_KERNELS") else { return };
    let image = std::fs::read(path).expect("the binary");
    for _ in 0..12 {
        let compiler = compiler(Options { at_once: true, ..Options::default() }).expect("a compiler");
        let machine = machine_with(1, Clock::virtual_time());
        let mut cpu = cpus(&machine, Some((&compiler, 32))).remove(0);
        machine.poke(DATA, &image).expect("RAM");
        *cpu.core.word_mut(state::PC) = DATA;
        for _ in 0..40 {
            cpu.run(1_000_000);
        }
        let s = compiler.statistics();
        println!(
            "{} regions, {} instructions, {:.1} us an instruction, {:.0} bytes",
            s.regions,
            s.instructions,
            s.nanoseconds as f64 / 1e3 / s.instructions as f64,
            s.bytes as f64 / s.instructions as f64
        );
    }
}
