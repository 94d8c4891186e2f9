//! Linux kernels while they run, Debian's where Debian has one: the MMU on, interrupts, programs in user space.

use std::path::PathBuf;

use crate::rig::*;
use proteus_guests::guest_file;

pub fn file(test: &str, name: &str) -> Option<PathBuf> {
    guest_file(name).inspect_err(|why| eprintln!("SKIPPED {test}: {why}")).ok()
}

/// A machine with a Linux kernel, up to its shell or, with `-S`, before its first instruction.
pub fn linux(test: &str, target: &str, words: &[&str]) -> Option<Target> {
    if !has(test, "gdb-multiarch") {
        return None;
    }
    let (dir, kernel, append) = match target {
        "aarch64" => ("arm64", "Image", "console=ttyAMA0 nokaslr"),
        other => (other, "vmlinux", "console=ttyS0"),
    };
    let files = [file(test, &format!("{dir}/{kernel}"))?, file(test, &format!("{dir}/initrd.gz"))?];
    let mut target = machine(target, &[&["-display", "none", "-serial", "stdio", "-monitor", "none"], words].concat(), |c| {
        c.arg("-kernel").arg(&files[0]).arg("-initrd").arg(&files[1]).args(["-append", append]);
    });
    if !words.contains(&"-S") {
        target.console.expect("~ # ", BOOT).unwrap_or_else(|e| panic!("{e}"));
    }
    Some(target)
}

/// What is the same on every architecture: `entry` is where a system call enters the kernel, and
/// `write` the condition for the one that writes three bytes, and `buffer` its second argument.
fn in_a_system_call(g: &mut Gdb, target: &mut Target, entry: u64, write: &str, buffer: &str) {
    g.ask(&format!("break *{entry:#x} if {write}"));
    target.console.send("echo hi\n").expect("it reads");
    g.feature("conditional breakpoint in the kernel", &["continue"], &["Breakpoint 1, "]);
    let core = g.ask("thread");
    g.holds("the stop names the core", &core, &["Current thread is "]);
    g.feature("user memory from the kernel", &[&format!("printf \"<%c%c>\\n\", *(char *){buffer}, *((char *){buffer} + 1)")], &["<hi>"]);
    // What the guest then prints has another letter.
    g.ask(&format!("set var *(char *){buffer} = 'H'"));
    g.ask("delete");
    let pc = g.value("$pc");
    g.feature("steps in the kernel", &["stepi", "stepi", "stepi", "x/i $pc"], &["=> "]);
    assert_ne!(pc, g.value("$pc"));
    g.go_on();
    target.console.expect("Hi", LIMIT).unwrap_or_else(|e| panic!("{e}\n{}", g.transcript()));
    eprintln!("feature: write of memory seen by the guest");
    target.console.expect("~ # ", LIMIT).unwrap_or_else(|e| panic!("{e}"));
    let stop = g.interrupt();
    g.holds("Ctrl-C while the kernel idles", &stop, &["SIGINT"]);
}

pub fn end(mut g: Gdb, mut target: Target) {
    g.feature("detach", &["detach"], &["detached"]);
    drop(g);
    target.console.send("echo up $((20 + 3))\n").expect("it reads");
    target.console.expect("up 23", LIMIT).unwrap_or_else(|e| panic!("{e}"));
    target.console.send("poweroff -f\n").expect("it reads");
    let end = target.console.wait_exit(LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(end.code(), Some(0));
}

fn aarch64(cores: &str) {
    let what = format!("Debian on AArch64, {cores} core(s)");
    let words = ["-M", "virt,gic-version=3", "-cpu", "cortex-a53", "-m", "512", "-smp", cores];
    let Some(mut target) = linux(&what, "aarch64", &words) else { return };
    let mut g = Gdb::attach(&what, &target, None);
    let threads = g.feature("info threads", &["info threads"], &["CPU#0"]);
    assert_eq!(threads.matches("CPU#").count().to_string(), cores, "{threads}");
    // At a prompt nothing has to run; in a system call the kernel does.
    let vectors = g.value("$VBAR_EL1");
    assert_eq!(g.value("$SCTLR_EL1 & 1"), 1, "MMU");
    assert!(vectors >> 48 == 0xffff, "{vectors:#x}");
    let entry = vectors + 0x400;
    in_a_system_call(&mut g, &mut target, entry, "$x8 == 64 && $x2 == 3", "$x1");
    // The frame of the exception is written by the kernel's entry.
    g.ask(&format!("break *{entry:#x} if $x8 == 64"));
    target.console.send("echo ho\n").expect("it reads");
    g.feature("at EL1", &["continue", "print $cpsr", "printf \"%d\\n\", ($cpsr >> 2) & 3"], &["EL=1"]);
    assert_eq!(g.value("$ESR_EL1 >> 26"), 0x15, "an SVC");
    g.ask("delete");
    let code = g.ask("x/12i $pc");
    let frame =
        code.split_once("sub\tsp, sp, #").and_then(|(_, n)| n.split_whitespace().next()).and_then(|n| u64::from_str_radix(n.trim_start_matches("0x"), 16).ok());
    let frame = frame.unwrap_or_else(|| panic!("{code}"));
    let saved = g.value("$sp") - frame;
    let core = g.ask("thread");
    g.ask("set debug remote 1");
    g.ask(&format!("awatch *(unsigned long *){saved:#x}"));
    let stop = g.ask("continue");
    g.ask("set debug remote 0");
    g.holds("watchpoint on a kernel stack", &stop, &[&format!("awatch:{saved:x}")]);
    assert_eq!(core, g.ask("thread"));
    g.ask("delete");
    // The same code by its virtual and by its physical address, which no table maps.
    let shown = |text: &str| {
        text.lines().filter_map(|l| l.split_once(':')).flat_map(|(_, w)| w.split_whitespace().map(String::from).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let pc = g.value("$pc");
    let mapped = shown(&g.ask(&format!("x/4wx {pc:#x}")));
    let answer = g.ask(&format!("monitor gva2gpa {pc:#x}"));
    let physical = answer.split_once("gpa: ").and_then(|(_, n)| n.split_whitespace().next()).unwrap_or_else(|| panic!("{answer}")).to_string();
    let look = format!("x/4wx {physical}");
    assert!(g.ask(&look).contains("Cannot access"));
    assert_eq!(g.packet("Qqemu.PhyMemMode:1"), "OK");
    let found = g.ask(&look);
    assert!(mapped.len() == 4 && shown(&found) == mapped, "{mapped:?}: {found}");
    g.holds("physical memory", &found, &[physical.trim_start_matches("0x")]);
    assert_eq!(g.packet("Qqemu.PhyMemMode:0"), "OK");
    end(g, target);
    if cores != "1" {
        return;
    }
    // Once more from the start: a breakpoint by a virtual address that nothing maps yet.
    let Some(target) = linux(&what, "aarch64", &[&words[..], &["-S"]].concat()) else { return };
    let mut g = Gdb::attach(&what, &target, None);
    assert_eq!(g.value("$SCTLR_EL1 & 1"), 0);
    g.feature("breakpoint before the MMU is on", &[&format!("break *{entry:#x}"), "continue"], &["Breakpoint 1, "]);
    assert_eq!((g.value("$pc"), g.value("$SCTLR_EL1 & 1")), (entry, 1));
    g.ask("kill");
}

#[test]
fn boots_debian_on_aarch64_with_one_core() {
    aarch64("1");
}

#[test]
fn boots_debian_on_aarch64_with_four_cores() {
    aarch64("4");
}

fn mips(target: &str) {
    let what = format!("Linux on {target}");
    let wide = target == "mips64el";
    let words: &[&str] = if wide { &["-M", "malta", "-cpu", "MIPS64R2-generic", "-m", "256"] } else { &["-M", "malta", "-cpu", "24Kc", "-m", "256"] };
    let Some(machine) = linux(&what, target, words) else { return };
    // The protocol does not tell GDB the byte order: without a program it takes its own, little-endian.
    let big = target == "mips";
    let kernel = guest_file(&format!("{target}/vmlinux")).ok().filter(|_| big);
    let mut g = Gdb::attach(&what, &machine, kernel.as_deref());
    g.feature("byte order", &["show endian"], &[if big { "big endian" } else { "little endian" }]);
    assert!(!g.greeting.replace("warning: No executable has been specified", "").contains("warning"), "{}", g.greeting);
    let registers = ["status", "badvaddr", "cause", "f31", "ebase", "config1", "compare"];
    if wide {
        // Without a program GDB takes addresses for those of 32 bits.
        let code = g.ask("x/2i $pc");
        g.holds("code at addresses of 32 bits", &code, &["=> 0x8"]);
        assert!(!code.contains("Cannot access"), "{code}");
        g.feature("breakpoint at an address of 32 bits", &["break *$pc", "continue"], &["Breakpoint 1, "]);
        g.ask("set var *(int *)($sp - 64) = 0x1234567");
        g.feature("memory at addresses of 32 bits", &["x/1wx $sp - 64"], &["0x01234567"]);
        g.ask("delete");
        g.feature("all registers in the ABI of 32 bits", &["info all-registers"], &registers);
        g.ask("set mips abi n64");
    }
    let all = g.feature("all registers", &["info all-registers"], &registers);
    g.feature("write of a register of coprocessor 0", &["set $taglo = 0x1230", "print/x $taglo", "set $taglo = 0"], &["0x1230"]);
    assert!(!all.contains("unavailable"), "{all}");
    g.feature("info threads", &["info threads"], &["CPU#0"]);
    // The kernel idles: where it is stopped it comes by again, woken by the timer. Just woken it is
    // elsewhere, and soon back.
    let idles = |g: &mut Gdb| g.ask("x/12i $pc - 32").contains("\twait\n");
    for _ in 0..20 {
        if idles(&mut g) {
            break;
        }
        g.go_on();
        g.interrupt();
    }
    let pc = g.value("$pc");
    g.feature("code of the kernel", &["x/12i $pc - 32"], &["\twait\n"]);
    g.feature("breakpoint in the kernel", &[&format!("break *{pc:#x}"), "continue", "continue"], &["Breakpoint ", ", "]);
    assert_eq!(g.value("$pc"), pc);
    g.ask("delete");
    g.feature("steps in the kernel", &["stepi", "stepi", "x/i $pc"], &["=> "]);
    g.go_on();
    let stop = g.interrupt();
    g.holds("Ctrl-C while the kernel runs", &stop, &["SIGINT"]);
    end(g, machine);
}

/// Debian has no kernel for it: this one is built from sources.
#[test]
fn boots_linux_on_mips() {
    if !long() {
        return eprintln!("SKIPPED Linux on mips: a longer job; PROTEUS_LONG=1 runs it");
    }
    mips("mips");
}

#[test]
fn boots_debian_on_mipsel() {
    mips("mipsel");
}

#[test]
fn boots_debian_on_mips64el() {
    mips("mips64el");
}
