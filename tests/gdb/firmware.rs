//! The built-in firmware of AArch64: read-only flash, the MMU off, cores that are not on yet.

use crate::rig::*;

const WORDS: &[&str] = &["-cpu", "cortex-a53", "-display", "none", "-serial", "stdio", "-monitor", "none"];

/// Breakpoints in flash, in every way, before anything has run.
#[test]
fn breakpoints_in_flash_at_reset() {
    for cores in ["1", "4"] {
        let what = format!("firmware at reset, {cores} core(s)");
        if !has(&what, "gdb-multiarch") {
            return;
        }
        let words = [&["-M", "virt,gic-version=3", "-smp", cores, "-S"], WORDS].concat();
        let mut target = machine("aarch64", &words, |_| ());
        let mut g = Gdb::attach(&what, &target, None);
        assert!(!g.greeting.replace("warning: No executable has been specified", "").contains("warning"), "{}", g.greeting);
        assert_eq!((g.value("$pc"), g.value("$SCTLR_EL1 & 1"), g.value("$cpsr >> 2 & 3")), (0, 0, 1));
        eprintln!("feature: {what}: MMU off, EL1, pc 0");
        let threads = g.feature("info threads", &["info threads"], &["CPU#0"]);
        assert_eq!(threads.matches("CPU#").count().to_string(), cores, "{threads}");
        // What is read-only for the guest is not for the debugger, whose addresses are virtual as a rule.
        g.feature("write of read-only memory", &["set var *(int *)0x4000100 = 0x12345678", "x/1wx 0x4000100"], &["0x12345678"]);
        g.feature("step in flash", &["stepi", "stepi"], &["0x"]);
        // The instruction after the next ones, wherever they lead.
        let next = |g: &mut Gdb, n: u32| {
            let script = format!("stepi {n}");
            g.ask(&script);
            g.value("$pc")
        };
        let hard = next(&mut g, 20);
        let soft = next(&mut g, 20);
        g.ask("monitor system_reset");
        g.ask("detach");
        drop(g);
        target.console.expect("proteus> ", BOOT).unwrap_or_else(|e| panic!("{e}"));
        let mut g = Gdb::attach(&what, &target, None);
        g.feature("hardware breakpoint in flash", &[&format!("hbreak *{hard:#x}"), "monitor system_reset", "continue"], &["Breakpoint 1, "]);
        assert_eq!(g.value("$pc"), hard);
        g.ask("delete");
        // No memory is changed for it.
        g.feature("breakpoint in flash", &[&format!("break *{soft:#x}"), "continue"], &["Breakpoint 2, "]);
        assert_eq!(g.value("$pc"), soft);
        g.ask("delete");
        g.ask("monitor system_reset");
        g.ask("detach");
        drop(g);
        let mut raw = Raw::connect(&target);
        assert!(raw.ask("qSupported:swbreak+;hwbreak+").contains("swbreak+"));
        let hex: String = "system_reset".bytes().map(|b| format!("{b:02x}")).collect();
        assert_eq!(raw.ask(&format!("Z0,{soft:x},4")), "OK");
        raw.ask(&format!("qRcmd,{hex}"));
        let stop = raw.ask("vCont;c");
        assert!(stop.contains("swbreak:"), "{stop}");
        eprintln!("feature: {what}: software breakpoint in flash");
        raw.ask("D");
        drop(raw);
        target.console.expect("proteus> ", BOOT).unwrap_or_else(|e| panic!("{e}"));
        target.console.send("help\n").expect("it reads");
        target.console.expect("poweroff", LIMIT).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// At the prompt the cores wait for an interrupt.
#[test]
fn a_dropped_connection_leaves_the_firmware_running() {
    let words = [&["-M", "virt,gic-version=3", "-smp", "4"], WORDS].concat();
    let mut target = machine("aarch64", &words, |_| ());
    target.console.expect("proteus> ", BOOT).unwrap_or_else(|e| panic!("{e}"));
    for n in 0..3 {
        let mut raw = Raw::connect(&target);
        let stop = raw.ask("?");
        assert!(stop.starts_with('T') && stop.contains("thread:"), "{stop}");
        if n > 0 {
            raw.send("vCont;c");
            raw.bytes(b"\x03");
            let stop = raw.receive();
            assert!(stop.starts_with("T02") && stop.contains("thread:"), "{stop}");
        }
        if n > 1 {
            raw.send("vCont;c");
        }
        drop(raw);
        target.console.send("help\n").expect("it reads");
        target.console.expect("proteus> ", LIMIT).unwrap_or_else(|e| panic!("{e}"));
    }
    eprintln!("feature: a dropped connection leaves the guest running");
    target.console.send("poweroff\n").expect("it reads");
    let end = target.console.wait_exit(LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(end.code(), Some(0));
}
