//! Debian's kernel to a shell, over the shapes of the machines.

use crate::rig::*;

/// One machine, and what the guest must see of it.
struct Case<'a> {
    words: Vec<&'a str>,
    cores: &'a str,
    kib: u64,
    /// What Linux calls the driver of its interrupt controller, or its timer's interrupt: on Malta it
    /// takes the core's only if that is pending as soon as Count is at Compare.
    interrupts: &'a str,
}

#[test]
fn arm64_boots_to_a_shell_that_answers() {
    let Some(linux) = Linux::find("linux", &ARM64) else { return };
    let run = |cores, gic, memory, icount| {
        let machine = format!("virt,gic-version={gic}");
        let mut words = vec!["-M", &machine, "-cpu", "cortex-a53", "-nographic", "-smp", cores, "-m", memory];
        if icount {
            words.extend(["-icount", "shift=0"]);
        }
        let kib = if memory == "8G" { 8 << 20 } else { 128 << 10 };
        boot(&linux, &Case { words, cores, kib, interrupts: if gic == "2" { "GIC-0" } else { "GICv3" } });
    };
    if !long() {
        // Every value of every dimension at least once.
        [("1", "2", "128M", false), ("2", "3", "8G", true), ("4", "2", "8G", false), ("1", "3", "128M", true)]
            .into_iter()
            .for_each(|(c, g, m, i)| run(c, g, m, i));
        return;
    }
    for cores in ["1", "2", "4"] {
        for gic in ["2", "3"] {
            for memory in ["128M", "8G"] {
                [false, true].into_iter().for_each(|icount| run(cores, gic, memory, icount));
            }
        }
    }
}

/// Words that choose another machine than the architecture's own, its memory, and whether it is
/// among the few that are always tried.
type Shape = (&'static [&'static str], u64, bool);

/// Interpreted runs are in the tests of determinism too.
const MALTA: &[Shape] = &[
    (&["-nographic"], 256, true),
    (&["-m", "128", "-icount", "shift=5,sleep=off"], 128, true),
    (&["-m", "1G", "-icount", "shift=0"], 1024, false),
    (&["-accel", "interpreter"], 256, false),
];

/// The kernels are for release 2 of the architecture: 4Kc, 5Kc and 20Kc do not run them.
pub fn malta(on: &'static Architecture, models: &[&str]) {
    let Some(linux) = Linux::find("linux", on) else { return };
    // Neither 32-bit kernel is built for high memory, so they use what is at address 0.
    let used = |mib: u64| if on.uname == "mips" { mib.min(256) } else { mib };
    let run = |words: Vec<&str>, mib: u64| boot(&linux, &Case { words, cores: "1", kib: used(mib) << 10, interrupts: "MIPS   7  timer" });
    MALTA.iter().filter(|(.., always)| *always || long()).for_each(|(words, mib, _)| run(words.to_vec(), *mib));
    models.iter().filter(|_| long()).for_each(|model| run(vec!["-cpu", model], 256));
}

#[test]
fn mipsel_boots_to_a_shell_that_answers() {
    malta(&MIPSEL, &["24Kc"]);
}

#[test]
fn mips64el_boots_to_a_shell_that_answers() {
    malta(&MIPS64EL, &["5KEf"]);
}

fn boot(linux: &Linux, case: &Case) {
    let console = &mut linux.boot(&case.words, "");
    let answer = shell(console, "echo machine $(uname -m) cores $(nproc); grep MemTotal /proc/meminfo", ANSWER);
    let what = format!("{} {}", linux.on.name, case.words.join(" "));
    assert!(answer.contains(&format!("machine {} cores {}\n", linux.on.uname, case.cores)), "{what}: {answer}");
    // What the kernel keeps for itself is at most a fifth of the smallest machine.
    let total = answer.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    assert!(total.is_some_and(|kib| (case.kib * 7 / 10..case.kib).contains(&kib)), "{what}: {answer}");
    let interrupts = shell(console, "cat /proc/interrupts", ANSWER);
    assert!(interrupts.contains(case.interrupts), "{what}: {interrupts}");
    power_off(console);
}

/// A reset of the board by its own means: the FPGA's register, the PSCI.
pub fn reboots(on: &'static Architecture) {
    let Some(linux) = Linux::find("linux", on) else { return };
    let console = &mut linux.boot(&["-no-reboot"], "");
    send(console, "reboot -f\n");
    ends(console, 0);
    let console = &mut linux.boot(&[], "");
    shell(console, "echo > /tmp/before", ANSWER);
    send(console, "reboot -f\n");
    prompt(console, &format!("{} again", on.name));
    shell(console, "[ ! -e /tmp/before ]", ANSWER);
    power_off(console);
}

#[test]
fn arm64_reboots_or_ends_instead() {
    reboots(&ARM64);
}

#[test]
fn mipsel_reboots_or_ends_instead() {
    reboots(&MIPSEL);
}

#[test]
fn mips64el_reboots_or_ends_instead() {
    reboots(&MIPS64EL);
}
