//! Every feature in turn, on a program of ours: `tests/guest/debug.c`.

use std::time::Instant;

use crate::rig::*;

/// Where the list is run.
struct Case {
    what: &'static str,
    target: &'static str,
    words: &'static [&'static str],
    cores: u64,
    /// The register of a first argument, and that which holds the address of return.
    argument: &'static str,
    triple: &'static str,
    endian: &'static str,
}

const QUIET: &[&str] = &["-display", "none", "-serial", "none", "-monitor", "none", "-net", "none", "-S"];

const AARCH64: Case = Case {
    what: "AArch64, 1 core",
    target: "aarch64",
    words: &["-M", "virt,gic-version=3", "-cpu", "cortex-a53"],
    cores: 1,
    argument: "$x0",
    triple: "aarch64-unknown-unknown",
    endian: "little",
};

const AARCH64_4: Case = Case { what: "AArch64, 4 cores", words: &["-M", "virt,gic-version=3", "-cpu", "cortex-a53", "-smp", "4"], cores: 4, ..AARCH64 };

const MIPS: Case = Case {
    what: "MIPS, big-endian",
    target: "mips",
    words: &["-M", "malta", "-cpu", "24Kc"],
    cores: 1,
    argument: "$a0",
    triple: "mips-unknown-unknown",
    endian: "big",
};

#[test]
fn every_feature_on_aarch64_with_one_core() {
    every_feature(&AARCH64);
}

#[test]
fn every_feature_on_aarch64_with_four_cores() {
    every_feature(&AARCH64_4);
}

#[test]
fn every_feature_on_big_endian_mips() {
    every_feature(&MIPS);
}

fn every_feature(case: &Case) {
    let dir = tempfile::tempdir().expect("a directory");
    if !has(case.what, "gdb-multiarch") {
        return;
    }
    let Some(elf) = guest(case.what, case.target, dir.path()) else { return };
    let words = [case.words, QUIET].concat();
    let mut target = machine(case.target, &words, |c| _ = c.arg("-kernel").arg(&elf));
    let mut g = Gdb::attach(case.what, &target, Some(&elf));
    assert!(!g.greeting.contains("warning") && !g.greeting.contains("rror"), "{}", g.greeting);
    eprintln!("feature: {}: target.xml without warnings", case.what);
    documents(&mut g, case);
    backtrace(&mut g);
    registers_and_memory(&mut g, case);
    breakpoints(&mut g);
    stepping(&mut g);
    watchpoints(&mut g);
    threads(&mut g, case);
    interrupts(&mut g);
    qemu_packets(&mut g);
    attach_again(g, case, &target, &elf);
    dropped_connection(&target);
    let mut g = Gdb::attach(case.what, &target, Some(&elf));
    g.ask("kill");
    g.holds("kill", &g.transcript(), &["[Inferior 1 (process 1) killed]"]);
    let end = target.console.wait_exit(LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(end.code(), Some(0), "{}", target.console.transcript());
}

fn documents(g: &mut Gdb, case: &Case) {
    g.feature("no acknowledgements", &["show remote noack-packet"], &["currently enabled"]);
    g.feature("memory map", &["info mem"], &["provided by the target", "00000000 0xffffffffffffffff rw"]);
    let threads = g.packet("qXfer:threads:read::0,fff");
    assert_eq!(threads.matches("<thread ").count() as u64, case.cores, "{threads}");
    g.holds("qXfer:threads", &threads, &["core=\"0\"", "name=\"CPU"]);
    let host = g.packet("qHostInfo");
    let triple = host.split(';').find_map(|p| p.strip_prefix("triple:")).map(text);
    assert_eq!(triple.as_deref(), Some(case.triple), "{host}");
    g.holds("qHostInfo", &host, &[&format!("endian:{};", case.endian), "ptrsize:"]);
    let threads = g.feature("info threads", &["info threads"], &["CPU#0", "* 1 "]);
    assert_eq!(threads.matches("CPU#").count() as u64, case.cores, "{threads}");
}

fn registers_and_memory(g: &mut Gdb, case: &Case) {
    let all = g.feature("all registers", &["info all-registers"], &["pc", "sp"]).replace("errorepc", "");
    assert!(!all.contains("unavailable") && !all.contains("rror") && all.lines().count() > 40, "{all}");
    let argument = case.argument;
    g.feature("hardware breakpoint", &["hbreak *see", "continue"], &["Hardware assisted breakpoint", "see ("]);
    g.ask("delete");
    g.feature("write of a register", &[&format!("set var {argument} = 0x1234"), "finish", "print/x seen"], &["0x1234"]);
    g.feature("write of memory", &["set var given = 4321", "break see", "continue", "continue", "print copied"], &["= 4321"]);
    g.ask("delete");
    g.feature("read of memory", &["print/x constant", "x/2i $pc"], &["0x600d", "=> "]);
    // A long write goes by X, in binary.
    g.feature("binary write", &["set var written = {0x23, 0x24, 0x7d, 0x2a}", "print/x written"], &["{0x23, 0x24, 0x7d, 0x2a}"]);
    g.ask("set var written = {0, 0, 0, 0}");
    g.feature("memory that is not there", &["x/1wx 0x7ffff000"], &["Cannot access memory"]);
}

fn breakpoints(g: &mut Gdb) {
    g.feature("software breakpoint again", &["break tick if core == 0", "continue", "continue"], &["Breakpoint", "tick (core=0)"]);
    let before = g.value("counter");
    g.feature("a breakpoint is stepped over", &["stepi", "continue"], &["tick (core=0)"]);
    assert_eq!(g.value("counter"), before + 1);
    g.ask("delete");
    let at = g.value("counter") + 50;
    g.feature("conditional breakpoint", &[&format!("break see if counter == {at}"), "continue", "print counter"], &["see (", &format!("= {at}\n")]);
    g.ask("delete");
    let at = g.value("counter") + 100_000;
    g.ask("set debug remote 1");
    let started = Instant::now();
    g.feature("condition that the stub evaluates", &[&format!("break *see if counter >= {at}"), "continue"], &[";X", "see ("]);
    let took = started.elapsed();
    g.ask("set debug remote 0");
    assert_eq!(g.value("counter"), at, "every hit was looked at");
    // Were GDB to look at each, it would take a minute.
    assert!(took < LIMIT / 4, "{took:?}");
    eprintln!("figure: 100000 hits with a false condition: {:.2} s", took.as_secs_f64());
    g.feature("another condition at the same place", &[&format!("condition $bpnum counter == {}", at + 70), "continue", "print counter - given"], &["see ("]);
    assert_eq!(g.value("counter"), at + 70);
    g.feature("no condition any more", &["condition $bpnum", "continue"], &["see ("]);
    assert_eq!(g.value("counter"), at + 71);
    g.ask("delete");
    g.feature("temporary breakpoint", &["tbreak tick", "continue", "info breakpoints"], &["Temporary breakpoint", "No breakpoints"]);
    g.ask("delete");
}

/// In the innermost of nested calls, which the program makes once, at its start.
fn backtrace(g: &mut Gdb) {
    g.feature("software breakpoint", &["break innermost", "continue"], &["Breakpoint 1, innermost (depth=5, "]);
    g.ask("next");
    let printed = g.feature("backtrace", &["next", "bt"], &["innermost (depth=5, ", "middle (depth=4) at ", "outer (seed=4) at ", "program (core=0) at "]);
    assert_eq!(printed.matches("\n#").count(), 5, "{printed}");
    g.feature("locals", &["info locals"], &["sum = 9", "product = 20"]);
    g.feature("locals of a caller", &["up", "info locals", "down"], &["p = {x = 4, y = 5}", "before = 40"]);
    g.feature("finish", &["finish"], &["Value returned is $", " = 65"]);
    g.ask("delete");
}

fn stepping(g: &mut Gdb) {
    g.ask("tbreak tick if core == 0");
    g.ask("continue");
    let pc = g.value("$pc");
    g.ask("stepi");
    assert_ne!(g.value("$pc"), pc);
    eprintln!("feature: stepi");
    g.ask("set debug remote 1");
    let printed = g.ask("next");
    g.ask("set debug remote 0");
    g.holds("range step", &printed, &["vCont;r"]);
    g.feature("finish out", &["finish"], &["program (core=0)"]);
    g.feature("step into", &["step", "step"], &["see ("]);
    g.feature("next over calls", &["finish", "next", "next", "next", "next", "next", "next", "frame"], &["program (core=0)"]);
    g.ask("delete");
}

fn watchpoints(g: &mut Gdb) {
    g.ask("break tick if core == 0");
    g.ask("continue");
    g.ask("delete");
    let address = g.value("&copied");
    for (kind, command, variable, packet, stop) in
        [("write", "watch", "copied", "Z2,", "watch:"), ("read", "rwatch", "given", "Z3,", "rwatch:"), ("access", "awatch", "sleeping", "Z4,", "awatch:")]
    {
        if command == "watch" {
            g.ask("set var given = given + 1");
        }
        let at = g.value(&format!("&{variable}"));
        g.ask("set debug remote 1");
        let printed = g.ask(&format!("{command} {variable}")) + &g.ask("continue");
        g.ask("set debug remote 0");
        g.holds(&format!("{kind} watchpoint"), &printed, &["ardware ", "atchpoint", variable, packet]);
        g.holds(&format!("{kind} watchpoint's address"), &printed, &[&format!("{stop}{at:x}")]);
        g.ask("delete");
    }
    assert_eq!(address, g.value("&copied"));
    g.feature("what was written", &["print copied == given"], &["= 1"]);
}

fn threads(g: &mut Gdb, case: &Case) {
    for core in 0..case.cores {
        g.feature(
            &format!("stop by core {core}"),
            &[&format!("break tick if core == {core}"), "continue", "thread"],
            &[&format!("tick (core={core})"), &format!("is {} (", core + 1)],
        );
        g.ask("delete");
    }
    if case.cores == 1 {
        return;
    }
    g.feature("thread N", &["thread 2", "thread 3"], &["Switching to thread 2", "core=1", "Switching to thread 3", "core=2"]);
    let registers = |g: &mut Gdb| (1..=4).map(|n| (g.ask(&format!("thread {n}")), g.value("$pc")).1).collect::<Vec<_>>();
    let before = registers(g);
    g.feature("step of one core", &["thread 3", "set scheduler-locking on", "stepi"], &[]);
    g.feature("the stop names it", &["thread"], &["is 3 ("]);
    let after = registers(g);
    for n in [0, 1, 3] {
        assert_eq!(before[n], after[n], "core {n} stood still");
    }
    assert_ne!(before[2], after[2]);
    // A breakpoint of another core is not met while it stands still.
    let rounds = |g: &mut Gdb, n: u64| g.value(&format!("rounds[{n}]"));
    let others = [rounds(g, 0), rounds(g, 1), rounds(g, 3)];
    g.feature("scheduler locking", &["thread 3", "break tick", "continue", "continue", "thread"], &["is 3 ("]);
    assert_eq!(others, [rounds(g, 0), rounds(g, 1), rounds(g, 3)]);
    g.ask("delete");
    g.ask("set scheduler-locking off");
}

fn interrupts(g: &mut Gdb) {
    let before = g.value("counter");
    g.go_on();
    let stop = g.interrupt();
    g.holds("Ctrl-C while it runs", &stop, &["SIGINT"]);
    assert!(g.value("counter") >= before);
    g.ask("set var sleeping = 1");
    g.go_on();
    // Every core is soon waiting for an interrupt that never comes.
    let stop = g.interrupt();
    g.holds("Ctrl-C in WFI", &stop, &["SIGINT"]);
    for _ in 0..2 {
        g.go_on();
        let stop = g.interrupt();
        g.holds("Ctrl-C in WFI again", &stop, &["SIGINT"]);
    }
    // Nothing else would end the wait.
    g.ask("monitor system_reset");
}

fn qemu_packets(g: &mut Gdb) {
    g.feature("monitor", &["monitor info status"], &["VM status: paused"]);
    for (packet, answer) in [
        ("qqemu.PhyMemMode", "0"),
        ("Qqemu.PhyMemMode:1", "OK"),
        ("qqemu.PhyMemMode", "1"),
        ("Qqemu.PhyMemMode:0", "OK"),
        ("qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4"),
        ("qqemu.sstep", "0x7"),
        ("Qqemu.sstep=1", "OK"),
        ("qqemu.sstep", "0x1"),
        ("Qqemu.sstep=0x7", "OK"),
        ("qqemu.sstep", "0x7"),
    ] {
        assert_eq!(g.packet(packet), answer, "{packet}");
        eprintln!("feature: {packet}");
    }
}

/// Detaches, and attaches the same debugger and then another one.
fn attach_again(mut g: Gdb, case: &Case, target: &Target, elf: &std::path::Path) {
    let before = g.value("counter");
    g.feature("detach", &["detach"], &["detached"]);
    g.connect(target);
    let between = g.value("counter");
    g.feature("attach again", &["info threads"], &["CPU#0"]);
    g.ask("detach");
    drop(g);
    let mut g = Gdb::attach(case.what, target, Some(elf));
    assert!(g.value("counter") > before, "{} {between}", g.value("counter"));
    g.feature("two sessions one after the other", &["break see", "continue"], &["see ("]);
}

/// A debugger that goes without a word leaves the machine as it was: here it runs.
fn dropped_connection(target: &Target) {
    let mut raw = Raw::connect(target);
    assert!(raw.ask("?").starts_with('T'));
    raw.send("c");
    drop(raw);
    let mut raw = Raw::connect(target);
    assert_eq!(raw.ask("D;1"), "OK");
    // A debugger may acknowledge the last answer that it gets, which is no reason to stop again.
    raw.bytes(b"+");
    drop(raw);
    let (pid, until) = (target.console.pid(), Instant::now() + LIMIT);
    let before = processor_time(pid);
    while processor_time(pid) < before + 20 {
        assert!(Instant::now() < until, "it does not run");
        std::thread::yield_now();
    }
    eprintln!("feature: a dropped connection");
}
