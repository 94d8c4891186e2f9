//! The built-in firmware: it needs nothing, so these tests always run.

use std::process::Command;

use proteus_guests::console::Console;

use crate::rig::*;

/// The program without any argument, and what a person would type first.
#[test]
fn without_arguments_there_is_a_prompt() {
    let mut console = start(&mut Command::new(env!("CARGO_BIN_EXE_proteus")));
    expect(&mut console, "self-test: passed", BOOT);
    expect(&mut console, "boot: no disk", ANSWER);
    let prompt = expect(&mut console, "proteus> ", ANSWER);
    figure("firmware prompt [no arguments]", prompt.at);
    send(&mut console, "poweroff\n");
    ends(&mut console, 0);
}

#[track_caller]
fn self_test(console: &mut Console, what: &str) {
    let end = console.expect_any(&["self-test: passed", "self-test: FAILED"], BOOT).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(end.index, 0, "{what}\n{}", console.transcript());
}

#[test]
fn the_self_test_passes_and_the_prompt_answers() {
    const CASES: &[(&str, &[&str])] = &[
        ("GICv2", &["-M", "virt", "-nographic"]),
        ("GICv2", &["-M", "virt,gic-version=2", "-smp", "4"]),
        ("GICv3", &["-M", "virt,gic-version=3"]),
        ("GICv3", &["-M", "virt,gic-version=3", "-smp", "4"]),
        ("GICv2", &["-M", "virt,virtualization=on", "-cpu", "cortex-a72"]),
        ("GICv2", &["-M", "virt", "-icount", "shift=0", "-smp", "2"]),
        ("GICv2", &["-M", "virt", "-accel", "interpreter"]),
    ];
    for (gic, words) in CASES {
        let what = words.join(" ");
        let mut console = start(&mut proteus(words));
        let console = &mut console;
        let cores = words.iter().position(|w| *w == "-smp").map_or("1", |at| words[at + 1]);
        expect(console, &format!("cores: {cores},"), BOOT);
        expect(console, &format!("interrupts: {gic} "), ANSWER);
        self_test(console, &what);
        figure(&format!("firmware prompt [{what}]"), expect(console, "proteus> ", ANSWER).at);
        // The first word of the device tree is its magic number, most significant byte first.
        for (line, answer) in [
            ("help\n", "turn it off by PSCI"),
            ("peek 0x40000000\n", "0x40000000: 0xedfe0dd0"),
            ("poke 0x41000000 0x1234 2\n", "proteus> "),
            ("peek 0x41000000 2\n", "0x41000000: 0x1234"),
            ("dump 0x40000000 16\n", "40000000: d0 0d fe ed "),
            // The second one is the answer.
            ("echo all there\n", "all there"),
            ("\n", "all there"),
            ("peek 0xfff0000000000\n", "0x"),
            ("reboot\n", "Proteus AArch64 firmware"),
        ] {
            send(console, line);
            expect(console, answer, ANSWER);
        }
        self_test(console, &what);
        expect(console, "proteus> ", ANSWER);
        send(console, "poweroff\n");
        ends(console, 0);
    }
}

/// The same on the Malta board: both widths and byte orders, and without what a processor may lack.
#[test]
fn the_self_test_of_mips_passes_and_the_prompt_answers() {
    const MIPS: &str = env!("CARGO_BIN_EXE_proteus-system-mips");
    const MIPSEL: &str = env!("CARGO_BIN_EXE_proteus-system-mipsel");
    const MIPS64: &str = env!("CARGO_BIN_EXE_proteus-system-mips64");
    const MIPS64EL: &str = env!("CARGO_BIN_EXE_proteus-system-mips64el");
    const CASES: &[(&str, &[&str], &str)] = &[
        (MIPS, &[], "MIPS32 release 2 24K"),
        (MIPSEL, &["-icount", "shift=0"], "MIPS32 release 2 24K"),
        (MIPSEL, &["-m", "1G", "-accel", "interpreter"], "MIPS32 release 2 24K"),
        (MIPSEL, &["-cpu", "24Kc"], "no FPU"),
        (MIPS64, &[], "MIPS64 release 2 generic"),
        (MIPS64, &["-cpu", "5KEf", "-accel", "tcg,compile-after=1"], "MIPS64 release 2 5KE"),
        (MIPS64EL, &[], "little-endian, 64 TLB entries"),
    ];
    for (program, more, processor) in CASES {
        let what = format!("{program} {}", more.join(" "));
        let mut console = start(Command::new(program).args(["-M", "malta", "-nographic"]).args(*more));
        let console = &mut console;
        expect(console, processor, BOOT);
        expect(console, if more.contains(&"1G") { "memory: 1024 MiB" } else { "memory: 128 MiB" }, ANSWER);
        expect(console, "pci 0a.1: 8086:7111 IDE", ANSWER);
        self_test(console, &what);
        figure(&format!("firmware prompt [{what}]"), expect(console, "proteus> ", ANSWER).at);
        for (line, answer) in [
            ("help\n", "turn it off"),
            ("peek 0xbfc00010\n", "0xbfc00010: 0x00000420"),
            ("poke 0x80200000 0x41424344\n", "proteus> "),
            ("dump 0x80200000 4\n", if what.contains("el ") { "44 43 42 41" } else { "41 42 43 44" }),
            ("peek 0x80200001\n", "peek: address error, load at address 0x80200001"),
            // The second one is the answer.
            ("echo all there\n", "all there"),
            ("\n", "all there"),
            ("reboot\n", "Proteus MIPS firmware"),
        ] {
            send(console, line);
            expect(console, answer, ANSWER);
        }
        self_test(console, &what);
        expect(console, "proteus> ", ANSWER);
        send(console, "poweroff\n");
        ends(console, 0);
    }
}
