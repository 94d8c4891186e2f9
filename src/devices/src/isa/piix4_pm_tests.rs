use super::*;
use proteus_model::testing::Bench;

const BASE: u64 = 0x5040;
const SMBUS_BASE: u64 = 0x1100;

/// With both windows placed by the guest.
fn bench() -> Bench {
    let b = Bench::new(&PIIX4_PM, &[("spd", "80080709")]);
    for (at, width, value) in
        [(PMBA0, Width::B4, BASE | 1), (PMREGMISC, Width::B1, 1), (SMBBA0, Width::B4, SMBUS_BASE | 1), (SMBHSTCFG, Width::B1, 0x09), (0x04, Width::B2, 1)]
    {
        b.write("config", at, width, value).unwrap();
    }
    b
}

fn config(b: &Bench, at: u64, width: Width) -> u64 {
    b.read("config", at, width).unwrap()
}

fn read(b: &Bench, at: u64, width: Width) -> u64 {
    b.read("pm", at, width).unwrap()
}

fn write(b: &Bench, at: u64, width: Width, value: u64) {
    b.write("pm", at, width, value).unwrap();
}

#[test]
fn configuration_space_is_the_datasheets() {
    let b = Bench::new(&PIIX4_PM, &[]);
    for (at, value) in [(0x00, 0x7113_8086), (0x04, 0x0280_0000), (0x08, 0x0680_0003), (0x0c, 0), (0x10, 0), (0x3c, 0x100), (0x40, 1), (0x90, 1), (0xd0, 0)] {
        assert_eq!(config(&b, at, Width::B4), value, "{at:#x}");
    }
    for (at, value) in [(0x04, 0x0280_0009), (0x3c, 0x1ff), (0x40, 0xffc1), (0x80, 1), (0x90, 0xfff1)] {
        b.write("config", at, Width::B4, 0xffff_ffff).unwrap();
        assert_eq!(config(&b, at, Width::B4), value, "{at:#x}");
    }
}

#[test]
fn windows_are_where_base_and_enable_have_them() {
    let b = bench();
    let bases = |b: &Bench| (b.machine.window_base(b.device, 1), b.machine.window_base(b.device, 2));
    assert_eq!(bases(&b), (Some(BASE), Some(SMBUS_BASE)));
    b.write("config", PMBA0, Width::B2, 0x8000).unwrap();
    b.write("config", 0x04, Width::B2, 0).unwrap();
    assert_eq!(bases(&b), (Some(0x8000), None));
    b.write("config", 0x04, Width::B2, 1).unwrap();
    b.write("config", PMREGMISC, Width::B1, 0).unwrap();
    assert_eq!(bases(&b), (None, Some(SMBUS_BASE)));
    b.write("config", SMBHSTCFG, Width::B1, 0x08).unwrap();
    assert_eq!(bases(&b), (None, None));
    b.write("config", PMBA0, Width::B4, 0).unwrap();
    b.write("config", PMREGMISC, Width::B1, 1).unwrap();
    assert_eq!(bases(&b), (None, None), "address 0 is none");
    assert_eq!(b.machine.counters().guest_errors, 0);
    let b = bench();
    b.write("config", SMBBA0, Width::B2, BASE).unwrap();
    b.write("config", 0x3c, Width::B1, 9).unwrap();
    assert_eq!((bases(&b), b.machine.counters().guest_errors), ((Some(BASE), None), 1), "one over the other, told once");
    b.machine.reset(Reset::Warm);
    assert_eq!(bases(&b), (None, None));
}

#[test]
fn the_timer_counts_and_its_overflow_interrupts() {
    let b = bench();
    let clocks = |n: u64| (u128::from(n) * SECOND).div_ceil(FREQUENCY) as u64;
    b.advance(1_000_000_000);
    assert_eq!(read(&b, PMTMR, Width::B4), 3_579_545);
    write(&b, PMEN, Width::B2, PMEN_TMROF);
    let to = |b: &Bench, at: u64| b.advance(at - b.machine.clock().now());
    to(&b, clocks(1 << 23) - 1);
    assert_eq!((read(&b, PMTMR, Width::B4), read(&b, PMSTS, Width::B2)), (0x7f_ffff, 0));
    to(&b, clocks(1 << 23));
    assert_eq!((read(&b, PMTMR, Width::B4), read(&b, PMSTS, Width::B2), b.output("irq", 0)), (0x80_0000, 1, false));
    write(&b, PMCNTRL, Width::B2, PMCNTRL_SCI_EN);
    assert!(b.output("irq", 0));
    write(&b, PMSTS, Width::B2, PMSTS_TMROF);
    assert!(!b.output("irq", 0));
    to(&b, clocks(1 << 24) - 1);
    assert!(!b.output("irq", 0));
    to(&b, clocks(1 << 24));
    assert!(b.output("irq", 0), "by itself");
    assert_eq!((read(&b, PMTMR, Width::B4), read(&b, PMTMR + 2, Width::B2)), (0, 0));
}

#[test]
fn the_power_button_interrupts_and_soft_off_ends() {
    let b = bench();
    write(&b, PMEN, Width::B4, PMCNTRL_SCI_EN << 16 | PMEN_PWRBTN);
    b.input("power-button", 0, true);
    b.input("power-button", 0, false);
    assert_eq!((read(&b, PMSTS, Width::B4), b.output("irq", 0)), (0x0100_0100, true));
    write(&b, PMSTS, Width::B1, 0xff);
    assert!(b.output("irq", 0), "it is in the other byte");
    write(&b, PMSTS + 1, Width::B1, 0x01);
    assert_eq!((read(&b, PMSTS, Width::B2), b.output("irq", 0)), (0, false));
    // Value of PMCNTRL, and what is asked for.
    for (value, request) in [(0x0001, None), (0x1401, None), (0x3401, None), (0x2001, Some(SystemRequest::PowerOff))] {
        write(&b, PMCNTRL, Width::B2, value);
        assert_eq!(b.machine.take_request(), request, "{value:#x}");
        assert_eq!(read(&b, PMCNTRL, Width::B2), value & !0x2000);
    }
    assert_eq!(b.machine.counters().unimplemented, 1);
    write(&b, PMCNTRL + 1, Width::B1, 0x20);
    assert_eq!(b.machine.take_request(), Some(SystemRequest::PowerOff));
    assert_eq!(read(&b, PMCNTRL, Width::B2), 1, "the other byte stays");
}

/// A transaction: the slave's address and direction, protocol and command. Gives the status, which
/// it clears, and the data.
fn smbus(b: &Bench, address: u64, protocol: u64, command: u64) -> (u64, u64) {
    // Ports of status, control, command, address and data.
    for (at, value) in [(0, 0x1f), (5, 0), (6, 0), (4, address), (3, command), (2, 0x40 | protocol << 2)] {
        b.write("smbus", at, Width::B1, value).unwrap();
    }
    (b.read("smbus", 0, Width::B1).unwrap(), b.read("smbus", 5, Width::B2).unwrap())
}

#[test]
fn the_memory_module_answers_on_the_smbus() {
    const DONE: u64 = 0x02;
    const ERROR: u64 = 0x04;
    let b = bench();
    // Address, protocol, command, status and data.
    let cases = [
        (0xa1, 2, 0, DONE, 0x80),
        (0xa1, 1, 0, DONE, 0x08),
        (0xa1, 2, 3, DONE, 0x09),
        (0xa1, 2, 4, DONE, 0xff),
        (0xa1, 3, 1, DONE, 0x0708),
        (0xa1, 1, 0, DONE, 0x09),
        (0xa0, 1, 1, DONE, 0),
        (0xa1, 1, 0, DONE, 0x08),
        (0xa1, 1, 0, DONE, 0x07),
        (0xa0, 0, 0, DONE, 0),
        (0xa0, 2, 0, ERROR, 0),
        (0xa3, 2, 0, ERROR, 0),
        (0x60, 0, 0, ERROR, 0),
        (0xa1, 5, 0, ERROR, 0),
    ];
    for (address, protocol, command, status, data) in cases {
        assert_eq!(smbus(&b, address, protocol, command), (status, data), "{address:#x} {protocol} {command}");
    }
    assert_eq!(b.machine.counters().unimplemented, 1, "blocks");
    b.write("smbus", 2, Width::B1, 0x4a).unwrap();
    b.write("smbus", 0, Width::B1, 0x1f).unwrap();
    b.write("smbus", 2, Width::B1, 0x4a).unwrap();
    assert_eq!(b.read("smbus", 0, Width::B1), Ok(0), "nothing starts with KILL");
    b.write("smbus", 2, Width::B1, 0x49).unwrap();
    assert!(b.output("irq", 0));
    b.write("smbus", 0, Width::B1, 0x1f).unwrap();
    assert!(!b.output("irq", 0));
    let none = Bench::new(&PIIX4_PM, &[]);
    for (at, value) in [(SMBBA0, SMBUS_BASE), (SMBHSTCFG, 1), (0x04, 1)] {
        none.write("config", at, Width::B2, value).unwrap();
    }
    assert_eq!(smbus(&none, 0xa1, 2, 0), (ERROR, 0));
    for spd in ["8", "0g", &"00".repeat(257)] {
        let props = Props::with(&PIIX4_PM, &[("spd", spd)]).unwrap();
        assert!((PIIX4_PM.new)(&props).is_err(), "{spd}");
    }
}

#[test]
fn what_is_not_modelled_is_reported() {
    let b = bench();
    write(&b, GPEN, Width::B2, 0);
    write(&b, GPOREG, Width::B4, 0x1234_5678);
    write(&b, GPSTS, Width::B2, 0xffff);
    assert_eq!((b.machine.counters().unimplemented, read(&b, GPOREG, Width::B4)), (0, 0x1234_5678));
    write(&b, GPEN, Width::B2, 1);
    write(&b, PCNTRL, Width::B4, 0x100);
    write(&b, PMCNTRL, Width::B1, 2);
    read(&b, PLVL2, Width::B1);
    b.write("config", 0x5c, Width::B1, 1).unwrap();
    b.write("config", SMBHSTCFG, Width::B1, 1).unwrap();
    b.write("smbus", 2, Width::B1, 0x41).unwrap();
    assert_eq!(b.machine.counters().unimplemented, 6);
    write(&b, PMTMR, Width::B4, 0);
    assert_eq!(b.machine.counters().guest_errors, 1);
}

#[test]
fn commands_turn_acpi_on_and_off() {
    let b = bench();
    for (command, control, unknown) in [(ACPI_ENABLE, PMCNTRL_SCI_EN, 0), (ACPI_DISABLE, 0, 0), (0x12, 0, 1)] {
        b.write("apm", APMC, Width::B1, command.into()).unwrap();
        assert_eq!((read(&b, PMCNTRL, Width::B2), b.read("apm", APMC, Width::B1)), (control, Ok(command.into())));
        assert_eq!(b.machine.counters().unimplemented, unknown);
    }
    b.write("apm", APMS, Width::B1, 0xf1).unwrap();
    assert_eq!((read(&b, PMCNTRL, Width::B2), b.read("apm", APMS, Width::B1)), (0, Ok(0xf1)));
}

#[test]
fn firmware_can_be_told_that_system_management_mode_is_set_up() {
    for (taken, byte) in [("off", 0), ("on", 2)] {
        let b = Bench::new(&PIIX4_PM, &[("apmc-taken", taken)]);
        assert_eq!(b.read("config", DEVACTB3, Width::B1), Ok(byte));
        b.machine.reset(Reset::Warm);
        assert_eq!(b.read("config", DEVACTB3, Width::B1), Ok(byte));
    }
}
