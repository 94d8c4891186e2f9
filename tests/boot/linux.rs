//! Debian's kernel to a shell, over the shapes of the machine.

use crate::rig::*;

struct Case {
    smp: &'static str,
    gic: &'static str,
    memory: &'static str,
    icount: bool,
}

const fn case(smp: &'static str, gic: &'static str, memory: &'static str, icount: bool) -> Case {
    Case { smp, gic, memory, icount }
}

/// Every value of every dimension at least once.
const SHORT: &[Case] = &[case("1", "2", "128M", false), case("2", "3", "8G", true), case("4", "2", "8G", false), case("1", "3", "128M", true)];

#[test]
fn boots_to_a_shell_that_answers() {
    let Some(linux) = Linux::find("linux") else { return };
    if !long() {
        SHORT.iter().for_each(|c| boot(&linux, c));
        return;
    }
    for smp in ["1", "2", "4"] {
        for gic in ["2", "3"] {
            for memory in ["128M", "8G"] {
                [false, true].into_iter().for_each(|icount| boot(&linux, &case(smp, gic, memory, icount)));
            }
        }
    }
}

fn boot(linux: &Linux, case: &Case) {
    let machine = format!("virt,gic-version={}", case.gic);
    let mut words = vec!["-M", &machine, "-cpu", "cortex-a53", "-nographic", "-smp", case.smp, "-m", case.memory];
    if case.icount {
        words.extend(["-icount", "shift=0"]);
    }
    let console = &mut linux.boot(&words, "");
    let answer = shell(console, "echo machine $(uname -m) cores $(nproc); grep MemTotal /proc/meminfo", ANSWER);
    let what = words.join(" ");
    assert!(answer.contains(&format!("machine aarch64 cores {}\n", case.smp)), "{what}: {answer}");
    // What the kernel keeps for itself is at most a fifth of the smallest machine.
    let total = answer.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let given = if case.memory == "8G" { 8 << 20 } else { 128 << 10 };
    assert!(total.is_some_and(|kib| (given * 7 / 10..given).contains(&kib)), "{what}: {answer}");
    let interrupts = shell(console, "cat /proc/interrupts", ANSWER);
    // What Linux calls its driver.
    let name = if case.gic == "2" { "GIC-0" } else { "GICv3" };
    assert!(interrupts.contains(name), "{what}: {interrupts}");
    power_off(console);
}
