//! What the guest sees of the machine.

use crate::rig::*;

/// Runs lines of the guest's tests: the line, and how many results it has.
#[track_caller]
fn tests(test: &str, cores: &str, lines: &[(&str, usize)]) {
    if !has(test, &[]) {
        return;
    }
    let mut console = start(&["-smp", cores]);
    for (line, count) in lines {
        passes(&mut console, line, *count);
    }
    ends(console, 3);
}

/// From the reset vector through each mode, and an end with the status asked for.
#[test]
fn real_mode_protected_mode_and_ring_0() {
    if !has("real mode", &[]) {
        return;
    }
    let console = start(&[]);
    let printed = console.transcript();
    let at = |text: &str| printed.find(text).unwrap_or_else(|| panic!("no {text}: {printed}"));
    assert!(at("real mode") < at("protected mode") && at("protected mode") < at("64-bit mode"));
    ends(console, 0x15);
}

#[test]
fn ports_registers_in_memory_and_read_only_memory() {
    tests("ports", "1", &[("ports", 1), ("mmio", 1), ("rom", 1)]);
}

#[test]
fn exceptions_in_ring_0() {
    tests("exceptions", "1", &[("exceptions", 1)]);
}

#[test]
fn ring_3_with_page_faults_and_exceptions() {
    tests("ring 3", "1", &[("ring3", 1), ("faults", 5), ("breakpoint", 1)]);
}

#[test]
fn breakpoint_instruction_in_ring_0() {
    if has("INT3 in ring 0", &["INT3 in ring 0"]) {
        tests("INT3 in ring 0", "1", &[("int3", 1)]);
    }
}

#[test]
fn interval_timer_in_halt_and_in_a_spin() {
    tests("PIT", "1", &[("pit 0", 1), ("pit 1", 1), ("pit 0", 1)]);
}

/// Messages of the I/O APIC's inputs, which are edges, and one that is a level, with its ends.
#[test]
fn io_apic_messages_in_halt_and_in_a_spin() {
    tests("IOAPIC", "2", &[("ioapic 0", 1), ("ioapic 1", 1), ("level", 1), ("level", 1), ("ioapic 1", 1)]);
}

#[test]
fn local_apic_timer_in_halt_and_in_a_spin() {
    tests("LAPIC timer", "1", &[("lapic 0", 1), ("lapic 1", 1)]);
}

/// Messages of a PCI function: its DMA stores reach the core, in HLT and in a spin.
#[test]
fn messages_of_a_pci_function_in_halt_and_in_a_spin() {
    if !has("MSI-X", &[]) {
        return;
    }
    let mut console = start_on("pc", &["-smp", "2", "-device", "virtio-rng-pci"]);
    for line in ["msi 1", "msi 0", "msi 1"] {
        passes(&mut console, line, 2);
    }
    // Without vectors there is no MSI-X to be found.
    ends(console, 3);
    let mut console = start_on("pc", &["-device", "virtio-rng-pci,vectors=0"]);
    let answer = ask(&mut console, "msi 0");
    assert!(answer.contains("message of a PCI function in a spin: FAILED"), "{answer}");
    ends(console, 3);
}

/// The same where the kernel has all interrupt controllers and the timer.
#[test]
fn interrupt_controllers_of_the_kernel() {
    if !has("kernel-irqchip=on", &[]) {
        return;
    }
    let mut console = start(&["-accel", "kvm,kernel-irqchip=on", "-smp", "2"]);
    for line in ["pit 0", "pit 1", "ioapic 0", "ioapic 1", "level", "lapic 1", "level", "pit 1"] {
        passes(&mut console, line, 1);
    }
    passes(&mut console, "smp", 2);
    // A reset is theirs too.
    send(&mut console, "crash");
    expect(&mut console, "real mode");
    expect(&mut console, PROMPT);
    for line in ["pit 1", "ioapic 1", "level"] {
        passes(&mut console, line, 1);
    }
    ends(console, 3);
    let mut console = start_on("pc", &["-accel", "kvm,kernel-irqchip=on", "-device", "virtio-rng-pci"]);
    for (line, count) in [("msi 0", 2), ("msi 1", 2), ("level", 1)] {
        passes(&mut console, line, count);
    }
    ends(console, 3);
}

/// Notifications of a device that the kernel takes, and those that stop the core.
#[test]
fn notifications_are_answered_either_way() {
    if !has("notifications", &[]) {
        return;
    }
    for ioeventfd in ["on", "off"] {
        let mut console = start_on("pc", &["-device", &format!("virtio-rng-pci,ioeventfd={ioeventfd}")]);
        let answer = ask(&mut console, "kick 500");
        assert!(answer.contains("notifications: ok"), "{answer}");
        eprintln!("figure: ioeventfd={ioeventfd}, 500 notifications: {}", answer.lines().find(|l| l.contains("ticks")).unwrap_or_default());
        ends(console, 3);
    }
}

#[test]
fn second_core_by_init_and_sipi() {
    tests("two cores", "2", &[("smp", 2), ("pit 1", 1), ("ring3", 1)]);
}

/// A triple fault resets the machine, second core and all; `-no-reboot` makes it the end.
#[test]
fn a_triple_fault_is_a_reset() {
    if !has("triple fault", &[]) {
        return;
    }
    let mut console = start(&["-smp", "2"]);
    for _ in 0..3 {
        passes(&mut console, "smp", 2);
        passes(&mut console, "lapic 1", 1);
        send(&mut console, "crash");
        expect(&mut console, "real mode");
        expect(&mut console, PROMPT);
    }
    ends(console, 0);
    let mut console = start(&["-no-reboot"]);
    send(&mut console, "crash");
    assert_eq!(console.wait_exit(LIMIT).expect("an end").code(), Some(0));
}

/// What KVM cannot do is told with the instruction, and leaves the machine to be looked at.
#[test]
fn an_internal_error_pauses_and_shows_the_instruction() {
    if !has("internal error", &[]) {
        return;
    }
    let mut console = start(&[]);
    send(&mut console, "int3");
    let until = std::time::Instant::now() + LIMIT;
    while !console.transcript().contains("instruction bytes: cc") {
        if console.expect(": ok\r\n", std::time::Duration::from_millis(5)).is_ok() {
            eprintln!("SKIPPED internal error: this host's KVM can execute all that the guest does");
            return;
        }
        assert!(std::time::Instant::now() < until, "{}", console.transcript());
    }
    assert!(console.transcript().contains("internal error"), "{}", console.transcript());
}
