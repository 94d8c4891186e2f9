use std::sync::Arc;

use proteus_model::conformance::check;
use proteus_model::ram::Region;
use proteus_model::{CoreId, DeviceId, Machine, MachineBuilder, Props};

use super::*;

const CORE: CoreId = CoreId(0);
const BASE: u64 = 0xfec0_0000;
/// Number of the first entry's low half.
const TABLE: u8 = 0x10;

/// The controller, and memory where local APICs take messages.
struct Rig {
    machine: Arc<Machine>,
    device: DeviceId,
    messages: Arc<Region>,
}

impl Rig {
    fn new() -> Rig {
        let mut b = MachineBuilder::new("test", 1);
        let messages = Region::new("messages", 1 << 20).unwrap();
        b.ram(MESSAGES, &messages);
        let device = b.device(&IOAPIC, "ioapic", Props::new(&IOAPIC)).unwrap();
        b.place(device, "regs", BASE).unwrap();
        Rig { machine: b.build().unwrap(), device, messages }
    }

    fn get(&self, n: u8) -> u64 {
        self.machine.write(CORE, BASE + IOREGSEL, Width::B4, n.into()).unwrap();
        self.machine.read(CORE, BASE + IOWIN, Width::B4).unwrap()
    }

    fn set(&self, n: u8, value: u64) {
        self.machine.write(CORE, BASE + IOREGSEL, Width::B4, n.into()).unwrap();
        self.machine.write(CORE, BASE + IOWIN, Width::B4, value).unwrap();
    }

    /// Sets an entry as operating systems do: the high half first.
    fn entry(&self, pin: u8, value: u64) {
        self.set(TABLE + 2 * pin + 1, value >> 32);
        self.set(TABLE + 2 * pin, value & 0xffff_ffff);
    }

    fn low(&self, pin: u8) -> u64 {
        self.get(TABLE + 2 * pin)
    }

    fn eoi(&self, vector: u64) {
        self.machine.write(CORE, BASE + EOIR, Width::B4, vector).unwrap();
    }

    fn line(&self, pin: usize, level: bool) {
        let pin = self.machine.input_pin(self.device, "irq", pin).unwrap();
        self.machine.drive_input(self.device, pin, level);
    }

    /// Takes the message at an offset from the first destination.
    fn message(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.messages.read(at, &mut bytes).unwrap();
        self.messages.write(at, &[0; 4]).unwrap();
        u32::from_le_bytes(bytes)
    }
}

#[test]
fn conforms() {
    check(&IOAPIC).unwrap();
}

#[test]
fn registers_are_the_datasheets() {
    let r = Rig::new();
    assert_eq!((r.get(0), r.get(1), r.get(2), r.get(0x10), r.get(0x3f)), (0, 0x0017_0020, 0, 0x10000, 0));
    r.set(0, 0xffff_ffff);
    assert_eq!((r.get(0), r.get(2)), (0x0f00_0000, 0x0f00_0000));
    // Delivery status, remote IRR and what is reserved stay 0.
    r.entry(23, u64::MAX);
    assert_eq!((r.low(23), r.get(0x3f)), (0x1_afff, 0xff00_0000));
    assert_eq!(r.machine.counters().guest_errors, 0);
    for bad in [1, 3, 0x40] {
        r.set(bad, 0);
    }
    assert_eq!((r.get(0x40), r.machine.counters().guest_errors), (0, 4));
    r.machine.reset(Reset::Warm);
    assert_eq!((r.get(0), r.low(23)), (0, 0x10000));
}

/// Entry, offset and data of its message: address and data formats of the manual's figures 11-14
/// and 11-15.
#[test]
fn an_edge_is_a_message() {
    for (entry, at, data) in [
        (0x0000_0000_0000_0031, 0, 0x31),
        (0x0300_0000_0000_0031, 0x3000, 0x31),
        (0xff00_0000_0000_0041, 0xf_f000, 0x41),
        (0x0100_0000_0000_0931, 0x1004, 0x131),
        (0x0100_0000_0000_0400, 0x1000, 0x400),
        (0x0000_0000_0000_0700, 0, 0x700),
        // Active low, and an NMI that is said to be a level.
        (0x0000_0000_0000_2031, 0, 0x31),
        (0x0000_0000_0000_8400, 0, 0x400),
    ] {
        let r = Rig::new();
        r.entry(4, entry);
        assert_eq!(r.message(at), 0);
        r.line(4, true);
        assert_eq!(r.message(at), data, "{entry:#x}");
        r.line(4, true);
        assert_eq!(r.message(at), 0, "no edge");
        r.line(4, false);
        r.line(4, true);
        assert_eq!(r.message(at), data, "the next edge");
        assert_eq!(r.low(4) & REDTBL_REMOTE_IRR, 0);
    }
}

#[test]
fn an_edge_at_a_masked_input_is_lost_and_a_level_waits() {
    let r = Rig::new();
    r.entry(5, 0x10031);
    r.line(5, true);
    r.entry(5, 0x31);
    assert_eq!(r.message(0), 0);
    r.entry(6, 0x18032);
    r.line(6, true);
    assert_eq!(r.message(0), 0);
    r.entry(6, 0x8032);
    assert_eq!((r.message(0), r.low(6)), (0xc032, 0xc032));
}

#[test]
fn a_level_comes_again_after_its_end_as_long_as_it_is_asserted() {
    let r = Rig::new();
    r.entry(10, 0x8052);
    r.line(10, true);
    assert_eq!((r.message(0), r.low(10)), (0xc052, 0xc052));
    r.line(10, false);
    r.line(10, true);
    assert_eq!(r.message(0), 0, "it was not ended");
    r.eoi(0x53);
    assert_eq!(r.message(0), 0, "another one was ended");
    r.eoi(0x52);
    assert_eq!(r.message(0), 0xc052);
    r.line(10, false);
    r.eoi(0x52);
    assert_eq!((r.message(0), r.low(10)), (0, 0x8052));
    r.line(10, true);
    assert_eq!(r.message(0), 0xc052);
}

#[test]
fn one_end_is_for_all_inputs_with_its_vector() {
    let r = Rig::new();
    for pin in [16, 17] {
        r.entry(pin, 0x8060 | u64::from(pin) << 56);
        r.line(pin.into(), true);
    }
    assert_eq!((r.message(0x10000), r.message(0x11000)), (0xc060, 0xc060));
    r.eoi(0x60);
    assert_eq!((r.message(0x10000), r.message(0x11000)), (0xc060, 0xc060));
}

#[test]
fn an_entry_that_becomes_an_edge_forgets_what_was_not_ended() {
    let r = Rig::new();
    r.entry(9, 0x8052);
    r.line(9, true);
    assert_eq!(r.message(0), 0xc052);
    r.set(TABLE + 18, 0x10052);
    assert_eq!(r.low(9), 0x10052);
    r.set(TABLE + 18, 0x8052);
    assert_eq!((r.message(0), r.low(9)), (0xc052, 0xc052));
}

#[test]
fn a_message_that_nobody_takes_is_reported() {
    let mut b = MachineBuilder::new("test", 1);
    let device = b.device(&IOAPIC, "ioapic", Props::new(&IOAPIC)).unwrap();
    b.place(device, "regs", BASE).unwrap();
    let machine = b.build().unwrap();
    machine.write(CORE, BASE + IOREGSEL, Width::B4, TABLE.into()).unwrap();
    machine.write(CORE, BASE + IOWIN, Width::B4, 0x31).unwrap();
    machine.drive_input(device, 0, true);
    assert_eq!(machine.counters().guest_errors, 1);
}
