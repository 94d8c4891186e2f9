//! `-accel`, `-cpu` and `kvm-ok`.

use std::process::{Command, Output};

use crate::rig::*;

fn run(program: &str, words: &[&str]) -> (Output, String) {
    // What should have been refused may run for ever.
    let out = Command::new("timeout").arg("20").arg(program).args(words).stdin(std::process::Stdio::null()).output().expect("it runs");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    (out, text)
}

/// Each way to ask for KVM, with and without a fall-back.
#[test]
fn accelerators_by_name_and_in_lists() {
    if !has("accelerators", &[]) {
        return;
    }
    let bios = file("firmware/x86/proteus-x86.bin");
    let ways: &[&[&str]] = &[
        &["-M", "microvm"],
        &["-M", "microvm", "-enable-kvm"],
        &["-M", "microvm", "-accel", "kvm"],
        &["-M", "microvm", "-accel", "kvm,kernel-irqchip=split"],
        &["-M", "microvm,kernel-irqchip=split"],
        &["-M", "microvm,kernel-irqchip=on"],
        &["-M", "pc", "-accel", "kvm,kernel-irqchip=on"],
        &["-M", "microvm,accel=kvm:tcg"],
        &["-M", "microvm,accel=tcg:kvm"],
        &["-M", "microvm", "-accel", "hvf", "-accel", "kvm", "-accel", "tcg"],
    ];
    for words in ways {
        let mut command = Command::new(PROGRAM);
        command.args(*words).args(["-display", "none", "-serial", "stdio", "-device", "isa-debug-exit", "-bios"]).arg(&bios);
        let mut console = proteus_guests::console::Console::spawn(&mut command).expect("it runs");
        expect(&mut console, PROMPT);
        ends(console, 1);
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    if !has("refusals", &[]) {
        return;
    }
    let bios = file("firmware/x86/proteus-x86.bin");
    let bios = bios.to_str().expect("a path");
    for (words, want) in [
        (&["-M", "microvm", "-accel", "tcg"][..], "x86-64 guests need KVM"),
        (&["-M", "microvm,kernel-irqchip=off"], "kernel-irqchip=off is not implemented; give split or on"),
        (&["-M", "microvm", "-accel", "kvm,kernel-irqchip=some"], "kernel-irqchip is on, off or split, not 'some'"),
        (&["-M", "microvm", "-accel", "kvm,dirty-ring-size=4096"], "'dirty-ring-size' is not implemented"),
        (&["-M", "microvm", "-icount", "shift=0"], "nobody counts them"),
        (&["-M", "microvm", "-cpu", "pentium"], "there is no model 'pentium'"),
        (&["-M", "microvm", "-cpu", "host,+warp"], "no processor feature 'warp'"),
        (&["-M", "microvm", "-kernel", bios], "one or the other"),
        (&["-M", "microvm,pcie=on"], "'on' is not implemented"),
        (&["-M", "microvm,acpi=perhaps"], "must be one of: auto, on, off"),
        (&["-M", "microvm", "-device", "virtio-rng-pci"], "virtio-rng-device"),
        (&["-M", "microvm", "-device", "isa-debug-exit,iosize=9"], "from 1 to 8 ports"),
    ] {
        let (out, err) = run(PROGRAM, &[words, &["-display", "none", "-serial", "none", "-bios", bios]].concat());
        assert_eq!(out.status.code(), Some(1), "{words:?}: {err}");
        assert!(err.contains(want) && err.lines().count() <= 2, "{words:?}: {err}");
    }
    let (out, err) = run(PROGRAM, &["-M", "microvm"]);
    assert_eq!((out.status.code(), err.contains("needs something to start")), (Some(1), true), "{err}");
}

/// Models and features reach the guest as far as the host can give them; what it cannot is said.
#[test]
fn models_and_features() {
    if !has("models", &[]) {
        return;
    }
    for model in ["host", "max", "qemu64", "kvm64", "Nehalem", "Haswell", "EPYC", "host,-sse2", "max,migratable=on"] {
        let console = start(&["-cpu", model]);
        ends(console, 2);
    }
    let (out, _) = run(PROGRAM, &["-cpu", "help"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(["host", "qemu64", "EPYC"].iter().all(|m| text.contains(m)) && !text.contains("cortex"), "{text}");
}

#[test]
fn kvm_ok_says_why() {
    let (text, usable) = kvm_ok();
    if usable {
        assert!(text.starts_with("KVM can be used\n") && text.lines().count() > 5, "{text}");
    } else {
        assert!(text.starts_with("KVM cannot be used: ") && text.lines().count() == 1, "{text}");
    }
}
