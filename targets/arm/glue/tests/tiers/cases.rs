//! Cases made by hand: what random programs seldom meet.

use crate::rig::{BYTES, CODE, DATA, RAM, Rig, cores, cpus, machine};
use proteus_arm::{Arm, state, sysregs as sr};
use proteus_arm_glue::compiler;
use proteus_exec::{Compiled, Core, Cpu, Left, Requested, Source, Stop, Thresholds, Tier};
use proteus_translator::Options;
use std::sync::{Arc, Mutex};

/// `b .`
const HERE: u32 = 0x1400_0000;

fn poke(cpu: &Cpu<Arm>, at: u64, words: &[u32]) {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    cpu.core.machine.poke(at, &bytes).expect("RAM");
}

/// Runs each core on a thread of its own until all are at their `end`.
fn together(mut cores: Vec<Cpu<Arm>>, ends: &[u64]) -> Vec<Cpu<Arm>> {
    std::thread::scope(|s| {
        let threads: Vec<_> = cores
            .iter_mut()
            .zip(ends)
            .map(|(cpu, &end)| {
                s.spawn(move || {
                    let (id, system) = (cpu.core.id, cpu.core.system.clone());
                    system.set_idle(id, false);
                    // A core that never comes to its end would run some minutes.
                    for _ in 0..1_000_000 {
                        cpu.run(10_000);
                        if cpu.core.pc() == end {
                            break;
                        }
                    }
                    system.set_idle(id, true);
                    assert_eq!(cpu.core.pc(), end);
                })
            })
            .collect();
        for t in threads {
            t.join().expect("the thread of a core");
        }
    });
    cores
}

/// A loop that waits for another core's store must see it: no load of guest memory may be moved
/// out of the loop.
#[test]
fn a_spin_loop_sees_the_other_core() {
    let compiler = compiler(Options { at_once: true, ..Options::default() }).expect("a compiler");
    let mut cores = cpus(&machine(2), Some((&compiler, 2)));
    // ldr x0, [x1]; cbz x0, .-4; add x2, x0, #1; b .
    poke(&cores[0], CODE, &[0xf940_0020, 0xb4ff_ffe0, 0x9100_0402, HERE]);
    // subs x3, x3, #1; b.ne .-4; str x4, [x1]; b .
    let other = CODE + 0x1000;
    poke(&cores[0], other, &[0xf100_0463, 0x54ff_ffe1, 0xf900_0024, HERE]);
    for cpu in &mut cores {
        *cpu.core.word_mut(state::x(1)) = DATA;
        *cpu.core.word_mut(state::x(3)) = 3_000_000;
        *cpu.core.word_mut(state::x(4)) = 41;
    }
    *cores[1].core.word_mut(state::PC) = other;
    let cores = together(cores, &[CODE + 12, other + 12]);
    assert_eq!(cores[0].core.word(state::x(2)), 42);
    assert!(compiler.statistics().regions >= 2);
}

/// Atomic additions of two cores are all counted, by LDADD and by a loop of exclusives.
#[test]
fn atomics_of_two_cores_lose_nothing() {
    // ldadd x2, x5, [x1]; subs x3, x3, #1; b.ne .-8; b .
    let ldadd = vec![0xf822_0025, 0xf100_0463, 0x54ff_ffc1, HERE];
    // ldxr x5, [x1]; add x5, x5, x2; stxr w6, x5, [x1]; cbnz w6, .-12; subs x3, x3, #1; b.ne .-20; b .
    let exclusive = vec![0xc85f_7c25, 0x8b02_00a5, 0xc806_7c25, 0x35ff_ffa6, 0xf100_0463, 0x54ff_ff61, HERE];
    // ldr x5, [x1]; add x6, x5, x2; mov x7, x5; cas x7, x6, [x1]; cmp x7, x5; b.ne .-20; subs x3, x3, #1; b.ne .-28; b .
    let cas = vec![0xf940_0025, 0x8b02_00a6, 0xaa05_03e7, 0xc8a7_7c26, 0xeb05_00ff, 0x54ff_ff61, 0xf100_0463, 0x54ff_ff21, HERE];
    for program in [ldadd, exclusive, cas] {
        let compiler = compiler(Options { at_once: true, ..Options::default() }).expect("a compiler");
        let mut cores = cpus(&machine(2), Some((&compiler, 2)));
        poke(&cores[0], CODE, &program);
        for cpu in &mut cores {
            for (r, v) in [(1, DATA), (2, 1), (3, 200_000)] {
                *cpu.core.word_mut(state::x(r)) = v;
            }
        }
        let end = CODE + 4 * (program.len() as u64 - 1);
        let cores = together(cores, &[end, end]);
        let mut sum = [0; 8];
        cores[0].core.machine.peek(DATA, &mut sum).expect("RAM");
        assert_eq!(u64::from_le_bytes(sum), 400_000);
    }
}

/// What was compiled for one core serves another that comes by later.
#[test]
fn a_second_core_uses_the_first_ones_code() {
    let compiler = compiler(Options { at_once: true, ..Options::default() }).expect("a compiler");
    let mut cores = cpus(&machine(2), Some((&compiler, 2)));
    // subs x3, x3, #1; b.ne .-4; b .
    poke(&cores[0], CODE, &[0xf100_0463, 0x54ff_ffe1, HERE]);
    for cpu in &mut cores {
        *cpu.core.word_mut(state::x(3)) = 1000;
    }
    let second = cores.split_off(1);
    // Code goes with the last core that has it.
    let _first = together(cores, &[CODE + 8]);
    assert_eq!(compiler.statistics().shared, 0);
    together(second, &[CODE + 8]);
    assert!(compiler.statistics().shared > 0);
}

/// A loop that rewrites an instruction of its own, in another block, each time round.
#[test]
fn code_that_rewrites_itself() {
    // 0: ldr w4, [x1]; eor w4, w4, w5; str w4, [x1]; b +4; 10: (add x2, x2, #1 or #2); subs x0, x0, #1; b.ne 0; b .
    let program = [0xb940_0024, 0x4a05_0084, 0xb900_0024, 0x1400_0001, 0x9100_0442, 0xf100_0400, 0x54ff_ff41, HERE];
    for compile in [None, Some(1), Some(2), Some(8)] {
        let mut rig = Rig::new(compile);
        rig.program(&program);
        rig.set(state::x(0), 300);
        rig.set(state::x(1), CODE + 0x10);
        // add x2, x2, #1 and #2 differ in these bits.
        rig.set(state::x(5), 0xc00);
        rig.run(300 * 7);
        assert_eq!((rig.x(0), rig.x(2)), (0, 450), "{compile:?}");
    }
}

/// Code written by another core is not run any more once this one has been told.
#[test]
fn code_that_another_core_rewrites() {
    let compiler = compiler(Options { at_once: true, ..Options::default() }).expect("a compiler");
    let mut cores = cpus(&machine(2), Some((&compiler, 2)));
    // b . until it is a nop, in a loop that counts
    poke(&cores[0], CODE, &[0x9100_0442, 0x17ff_ffff, HERE]);
    let other = CODE + 0x1000;
    // subs x3, x3, #1; b.ne .-4; str w4, [x1]; b .
    poke(&cores[0], other, &[0xf100_0463, 0x54ff_ffe1, 0xb900_0024, HERE]);
    for cpu in &mut cores {
        *cpu.core.word_mut(state::x(1)) = CODE + 4;
        *cpu.core.word_mut(state::x(3)) = 1_000_000;
        *cpu.core.word_mut(state::x(4)) = 0xd503_201f;
    }
    *cores[1].core.word_mut(state::PC) = other;
    together(cores, &[CODE + 8, other + 12]);
}

/// A breakpoint stops before its instruction, again and again while it is there; a stop that nobody
/// was told of is not one for ever.
#[test]
fn breakpoints_stop_while_they_are_there() {
    // add x2, x2, #1; subs x0, x0, #1; b.ne 0; b .
    let program = [0x9100_0442, 0xf100_0400, 0x54ff_ffc1, HERE];
    for compile in [None, Some(1), Some(2)] {
        let mut rig = Rig::new(compile);
        rig.program(&program);
        rig.set(state::x(0), 100);
        rig.run(30);
        rig.cpu.set_breakpoints(&[CODE + 4]);
        for _ in 0..2 {
            assert_eq!((rig.run(1000), rig.cpu.core.pc(), rig.x(2)), (Stop::Debug, CODE + 4, 11), "{compile:?}");
        }
        rig.cpu.set_breakpoints(&[]);
        assert_eq!((rig.run(89 * 3 + 2), rig.x(0), rig.x(2)), (Stop::Budget, 0, 100), "{compile:?}");
    }
}

/// Code that was asked for before a breakpoint came into it is not run.
#[test]
fn code_under_way_does_not_run_over_a_breakpoint() {
    let compiler = compiler(Options::default()).expect("a compiler");
    let mut cpu = cpus(&machine(1), Some((&compiler, 2))).remove(0);
    // 0: add x2, x2, #1; b +4; 8: subs x0, x0, #1; b.ne 0; b .
    poke(&cpu, CODE, &[0x9100_0442, 0x1400_0001, 0xf100_0400, 0x54ff_ffa1, HERE]);
    *cpu.core.word_mut(state::x(0)) = 1_000_000;
    // The second block is asked for, and the first with it.
    cpu.run(4 * 8);
    cpu.set_breakpoints(&[CODE + 8]);
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while compiler.statistics().regions == 0 {
        assert!(std::time::Instant::now() < patience, "nothing was compiled");
        std::thread::yield_now();
    }
    // Finished code is asked for now and then.
    for _ in 0..1000 {
        *cpu.core.word_mut(state::PC) = CODE;
        assert_eq!((cpu.run(1000), cpu.core.pc()), (Stop::Debug, CODE + 8));
    }
}

/// Stopping after any number of instructions gives what the interpreter gives.
#[test]
fn budgets_are_exact() {
    // ldr x3, [x1]; add x2, x2, x3; tbz x2, #0, +8; eor x4, x4, x2; str x4, [x1, #8]; mrs x6,
    // cntvct_el0; bl +12; subs x0, x0, #1; b.ne; add x7, x7, x6; ret. (the last two are a function)
    let program =
        [0xf940_0023, 0x8b03_0042, 0x3600_0042, 0xca02_0084, 0xf900_0424, 0xd53b_e046, 0x9400_0003, 0xf100_0400, 0x54ff_ff01, 0x8b06_00e7, 0xd65f_03c0];
    let mut rigs = [Rig::new(None), Rig::new(Some(2))];
    for (i, n) in (0..400).chain([10_000, 77_777]).enumerate() {
        for g in &mut rigs {
            if i == 0 {
                g.program(&program);
                g.set(state::x(1), DATA);
            }
            g.set(state::PC, CODE);
            g.set(state::x(0), 20);
            g.poke(DATA, &(i as u64 * 7 + 1).to_le_bytes());
            g.run(n);
        }
        assert_eq!(rigs[0].cpu.core.executed(), rigs[1].cpu.core.executed());
        assert_eq!(rigs[0].words(), rigs[1].words(), "after {n}");
        assert_eq!(rigs[0].memory(), rigs[1].memory(), "after {n}");
    }
}

/// A store that faults leaves the state of its instruction's start, and its exact address.
#[test]
fn faults_are_precise() {
    for compile in [None, Some(2)] {
        let mut rig = Rig::new(compile);
        // add x2, x2, #1; str x2, [x1], #8; adds x4, x4, x2; b .-12
        rig.program(&[0x9100_0442, 0xf800_8422, 0xab02_0084, 0x17ff_fffd]);
        rig.set(state::x(1), RAM + BYTES - 8 * 1000);
        rig.set(sr::VBAR_EL1, DATA);
        rig.poke(DATA + 0x200, &HERE.to_le_bytes());
        rig.cpu.core.resync();
        assert_eq!(rig.run(6000), Stop::Budget);
        assert_eq!(rig.cpu.core.pc(), DATA + 0x200, "{compile:?}");
        assert_eq!((rig.x(1), rig.x(2), rig.x(4)), (RAM + BYTES, 1001, 500_500), "{compile:?}");
        assert_eq!(rig.cpu.core.word(sr::ELR_EL1), CODE + 4);
        assert_eq!(rig.cpu.core.word(sr::FAR_EL1), RAM + BYTES);
    }
}

/// Code that the background thread finishes is put in place while the core runs on.
#[test]
fn the_background_thread_serves_a_running_core() {
    let compiler = compiler(Options::default()).expect("a compiler");
    let mut cpu = cpus(&machine(1), Some((&compiler, 16))).remove(0);
    poke(&cpu, CODE, &[0x9100_0442, 0xf100_0400, 0x54ff_ffc1, HERE]);
    *cpu.core.word_mut(state::x(0)) = 20_000_000;
    // All but the first part runs compiled, or this takes minutes.
    while cpu.core.pc() != CODE + 12 {
        cpu.run(100_000);
    }
    assert_eq!(cpu.core.word(state::x(2)), 20_000_000);
    let s = compiler.statistics();
    assert!(s.regions > 0 && s.refused == 0, "{s:?}");
}

/// A full arena only means that nothing more is compiled.
#[test]
fn a_full_arena_stops_compiling() {
    let compiler = compiler(Options { code: 4096, at_once: true, ..Options::default() }).expect("a compiler");
    let mut cpu = cpus(&machine(1), Some((&compiler, 1))).remove(0);
    // 40 blocks of add x2, x2, #1; b +4
    let mut program: Vec<u32> = (0..40).flat_map(|_| [0x9100_0442, 0x1400_0001]).collect();
    program.extend([0xf100_0400, 0x54ff_ffe1 - (80 << 5), HERE]);
    program[81] = 0x5400_0001 | (((-81i32) as u32) & 0x7_ffff) << 5;
    poke(&cpu, CODE, &program);
    *cpu.core.word_mut(state::x(0)) = 100;
    while cpu.core.pc() != CODE + 82 * 4 {
        cpu.run(1000);
    }
    assert_eq!(cpu.core.word(state::x(2)), 4000);
    assert!(compiler.statistics().refused > 0);
}

/// A run that may not begin all that compiled code checks its budget for at once goes on in small
/// steps, and counts what was executed.
#[test]
fn small_budgets_do_not_stand_still() {
    let compiler = compiler(Options { at_once: true, ..Options::default() }).expect("a compiler");
    let mut cpu = cpus(&machine(1), Some((&compiler, 1))).remove(0);
    // 40 blocks of cbnz x9, end; add x2, x2, #1, one after the other; subs x0, x0, #1; b.ne; b .
    let mut program: Vec<u32> = (0..40).flat_map(|n| [0xb500_0009 | (82 - 2 * n) << 5, 0x9100_0442]).collect();
    program.extend([0xf100_0400, 0x5400_0001 | ((-81i32) as u32 & 0x7_ffff) << 5, HERE]);
    poke(&cpu, CODE, &program);
    *cpu.core.word_mut(state::x(0)) = 100;
    let mut runs = 0;
    while cpu.core.pc() != CODE + 82 * 4 {
        cpu.run(10);
        runs += 1;
        assert!(runs < 100_000, "at {:#x}", cpu.core.pc());
    }
    assert_eq!(cpu.core.word(state::x(2)), 4000);
    // The last run may have gone round at the end.
    assert!((8200..8210).contains(&cpu.core.executed()), "{}", cpu.core.executed());
    assert!(compiler.statistics().regions > 0);
}

/// A tier that notes what it is asked for, and never has it.
#[derive(Clone, Default)]
struct Busy {
    asked: Arc<Mutex<Vec<Source>>>,
    gives_up: Arc<Mutex<Vec<Arc<Source>>>>,
}

impl Tier<Arm> for Busy {
    fn exit_stub(&self) -> u64 {
        0
    }
    fn request(&mut self, source: Source, _: u32) -> Requested {
        self.asked.lock().expect("no panic").push(source);
        Requested::Coming
    }
    fn finished(&mut self) -> Vec<Result<Compiled, Arc<Source>>> {
        self.gives_up.lock().expect("no panic").drain(..).map(Err).collect()
    }
    fn enter(&mut self, _: &mut Core<Arm>, _: u64) -> Left {
        Left::Unlinked
    }
}

/// While a region is on its way, a block in its middle is not asked for by itself; once it is known
/// that nothing comes, it is.
#[test]
fn what_is_on_its_way_is_not_asked_for_again() {
    let busy = Busy::default();
    let core = cores(&machine(1)).remove(0);
    let mut cpu = Cpu::new(core, Some(Box::new(busy.clone())), Thresholds { compile: 4 });
    // subs x3, x3, #1; b.eq end; add x2, x2, #1; b 0; end: b .
    poke(&cpu, CODE, &[0xf100_0463, 0x5400_0060, 0x9100_0442, 0x17ff_fffd, HERE]);
    *cpu.core.word_mut(state::x(3)) = 1_000_000;
    let entries = || busy.asked.lock().expect("no panic").iter().map(|s| s.entry.pc).collect::<Vec<_>>();
    cpu.run(4000);
    let first = busy.asked.lock().expect("no panic").first().cloned().expect("the loop is hot");
    assert_eq!(first.blocks.iter().map(|b| b.pc).collect::<Vec<_>>(), [CODE, CODE + 8]);
    assert!(entries().iter().all(|&pc| pc == CODE), "{:x?}", entries());
    busy.gives_up.lock().expect("no panic").push(Arc::new(first));
    cpu.run(4000);
    assert!(entries().contains(&(CODE + 8)), "{:x?}", entries());
}
