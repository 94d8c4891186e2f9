//! LLDB on AArch64.

use crate::rig::*;
use std::process::Command;

const SCRIPT: &[&str] = &[
    "register read pc sp x0 cpsr",
    "register read --all",
    "breakpoint set --name innermost",
    "continue",
    "thread backtrace",
    "frame variable",
    "thread step-over",
    "thread step-inst",
    "memory read --size 8 --format x --count 2 `&constant`",
    "register write x9 0x1234567",
    "register read x9",
    "memory write --size 8 `&given` 0x2a",
    "breakpoint delete --force",
    "watchpoint set variable counter",
    "continue",
    "thread list",
    "frame variable core",
    "watchpoint delete --force",
    "breakpoint set --name see",
    "continue",
    "continue",
    "expression --format d -- copied",
    "process detach",
];

#[test]
fn lldb_reads_steps_and_stops() {
    let test = "LLDB, AArch64";
    let dir = tempfile::tempdir().expect("a directory");
    let Some(elf) = guest(test, "aarch64", dir.path()).filter(|_| has(test, "lldb")) else { return };
    let words = ["-M", "virt,gic-version=3", "-cpu", "cortex-a53", "-display", "none", "-serial", "none", "-monitor", "none", "-S"];
    let target = machine("aarch64", &words, |c| _ = c.arg("-kernel").arg(&elf));
    let mut command = Command::new("timeout");
    command.args(["100", "lldb", "--no-lldbinit", "--batch"]).arg(&elf);
    command.args(["-o", &format!("process connect --plugin gdb-remote unix-connect://{}", target.socket.display())]);
    SCRIPT.iter().for_each(|line| _ = command.args(["-o", line]));
    let out = command.output().expect("lldb runs");
    let printed = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    let features: &[(&str, &[&str])] = &[
        ("attach", &["Process 1 stopped"]),
        ("registers", &["pc = 0x0000000040100000", "fpcr = 0x00000000", "VBAR_EL1 = "]),
        ("breakpoint", &["stop reason = breakpoint 1"]),
        ("backtrace", &["`innermost(depth=5, ", "`middle(depth=4) at ", "`outer(seed=4) at ", "`program(core=0) at "]),
        ("locals", &["(x = 4, y = 5)"]),
        ("step over", &["stop reason = step over"]),
        ("single step", &["stop reason = instruction step into"]),
        ("memory", &["0x000000000000600d"]),
        ("write of a register", &["x9 = 0x0000000001234567"]),
        ("watchpoint", &["stop reason = watchpoint 1", "new value: 1"]),
        ("threads", &["tid = 0x0001"]),
        ("write of memory", &["= 42"]),
        ("detach", &["detached"]),
    ];
    for (name, words) in features {
        for word in *words {
            assert!(printed.contains(word), "{name}: no {word:?} in\n{printed}");
        }
        eprintln!("feature: {test}: {name}");
    }
}
