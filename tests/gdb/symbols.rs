//! Debian's kernel with the symbols of its linux-image-*-dbg package.

use crate::kernel::{end, file, linux};
use crate::rig::*;

/// From a system call's entry down to `vfs_write`, innermost first; those that the compiler puts into
/// their callers are frames too.
const WRITE: &[&str] = &[
    "vfs_write",
    "ksys_write",
    "__do_sys_write",
    "__se_sys_write",
    "__arm64_sys_write",
    "__invoke_syscall",
    "invoke_syscall",
    "el0_svc_common",
    "do_el0_svc",
    "el0_svc",
    "el0t_64_sync_handler",
    "el0t_64_sync",
];
/// From `vfs_write` on to the terminal of the console.
const CONSOLE: &[&str] = &["n_tty_write", "do_tty_write", "file_tty_write", "tty_write", "call_write_iter", "new_sync_write"];

/// The functions of a backtrace, innermost first.
fn functions(backtrace: &str) -> Vec<&str> {
    let name = |line: &str| line.starts_with('#').then(|| line.split_once(" (").map(|(head, _)| head.len())).flatten();
    backtrace.lines().filter_map(|line| line[..name(line)?].split_whitespace().last()).collect()
}

#[test]
fn boots_debian_and_a_backtrace_reads_through_its_kernel() {
    let test = "a backtrace through Debian's kernel";
    if !long() {
        return eprintln!("SKIPPED {test}: a longer job; PROTEUS_LONG=1 runs it");
    }
    let Some(symbols) = file(test, "arm64/vmlinux-dbg") else { return };
    let words = ["-M", "virt,gic-version=3", "-cpu", "cortex-a53", "-m", "512"];
    let Some(mut target) = linux(test, "aarch64", &words) else { return };
    let mut g = Gdb::attach(test, &target, Some(&symbols));
    g.feature("variable of the kernel", &["printf \"%s\", linux_banner"], &["Linux version 6."]);
    // What the shell writes, by the arguments.
    g.ask("break vfs_write if count == 3");
    target.console.send("echo hi\n").expect("it reads");
    g.feature("stop in a system call", &["continue"], &["Breakpoint 1", "vfs_write (", "read_write.c"]);
    let backtrace = g.feature("backtrace", &["backtrace"], WRITE);
    assert_eq!(functions(&backtrace), WRITE, "{backtrace}");
    g.feature("arguments", &["info args"], &["file = 0xffff", "buf = 0x", "count = 3"]);
    g.feature("user memory by an argument", &["print *buf@count"], &["= \"hi\\n\"\n"]);
    g.feature("structures by an argument", &["printf \"<%s>\\n\", file->f_path.dentry->d_iname"], &["<ttyAMA0>"]);
    g.feature("the program that calls", &["printf \"<%s>\\n\", ((struct task_struct *)$SP_EL0)->comm"], &["<sh>"]);
    g.feature("arguments of a caller", &["frame function ksys_write", "info args"], &["ksys_write", "buf = 0x", "count = 3"]);
    // The registers of user space, saved by the kernel's entry: x0 has the file, x8 the call.
    g.feature("saved registers", &["frame function el0_svc", "printf \"<%d %d %d>\\n\", regs->orig_x0, regs->regs[8], regs->regs[2]"], &["<1 64 3>"]);
    g.ask("delete");
    // Further down the same call.
    g.feature("deeper in the same call", &["break n_tty_write", "continue"], &["Breakpoint 2", "n_tty_write ("]);
    let backtrace = g.ask("backtrace");
    assert_eq!(functions(&backtrace), [CONSOLE, WRITE].concat(), "{backtrace}");
    let inlined = format!("frame {}", CONSOLE.len() - 1);
    g.feature("argument of an inlined caller", &[&inlined, "printf \"<%d>\\n\", len"], &["<3>"]);
    g.ask("delete");
    // The unwinder knows where the call returns to, and what comes back.
    let write = format!("frame {}", CONSOLE.len());
    g.feature("end of a function", &[&write, "finish"], &["Run till exit", "ksys_write (", "Value returned is ", " = 3"]);
    target.console.expect("hi", LIMIT).unwrap_or_else(|e| panic!("{e}\n{}", g.transcript()));
    end(g, target);
}
