use std::sync::Arc;

use proteus_model::conformance::check;
use proteus_model::testing::Bench;
use proteus_model::{CoreId, Machine, MachineBuilder};

use super::*;

const CORE: CoreId = CoreId(0);
const ISD_AT_RESET: u64 = 0x1400_0000;
/// The function on the bus beside the bridge.
const OTHER: u32 = 0x8000_0000 | 0xa << 11;

static OTHER_HEADER: Header = Header::new(0x8086, 0x7110, 0x01, 0x06_0100);

/// A function with nothing but configuration space, and a port: each read of it counts.
#[derive(State)]
struct Other {
    function: Function,
    count: u8,
}

impl Device for Other {
    fn read(&mut self, _: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        self.count += u8::from(w.0 == 1);
        Ok(if w.0 == 1 { u64::from(self.count) | at << 4 } else { self.function.read(at, size) })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match w.0 {
            1 => self.count = value as u8,
            _ => self.function.write(cx, at, size, value),
        }
        Ok(())
    }
}

static OTHER_TYPE: DeviceType = DeviceType {
    windows: &[WindowDecl::pci_config(), WindowDecl::pio("port", 2, AccessRule::BYTE)],
    ..DeviceType::new("other", "A function", |_| Ok(Box::new(Other { function: Function::new(&OTHER_HEADER), count: 0 })))
};

/// A bridge with another function as device 10, whose port is at 0x70; it acknowledges interrupts too.
fn machine(big_endian: &str) -> Arc<Machine> {
    let mut b = MachineBuilder::new("test", 1);
    let props = Props::with(&GT64120, &[("big-endian", big_endian), ("acknowledge-port", "0x70")]).unwrap();
    let bridge = b.device(&GT64120, "bridge", props).unwrap();
    b.place(bridge, "config", 0).unwrap();
    let other = b.device(&OTHER_TYPE, "other", Props::new(&OTHER_TYPE)).unwrap();
    b.place(other, "config", 0xa << 15).unwrap().place(other, "port", 0x70).unwrap();
    b.build().unwrap()
}

fn read(m: &Machine, at: u64) -> u32 {
    m.read(CORE, ISD_AT_RESET + at, Width::B4).unwrap() as u32
}

fn write(m: &Machine, at: u64, value: u32) {
    m.write(CORE, ISD_AT_RESET + at, Width::B4, value.into()).unwrap();
}

fn config(m: &Machine, address: u32) -> u32 {
    write(m, PCI0_CFGADDR, address);
    read(m, PCI0_CFGDATA)
}

#[test]
fn conforms() {
    check(&GT64120).unwrap();
}

/// As another emulator of the chip answers, and its data sheet has it.
#[test]
fn registers_have_their_reset_values() {
    let (little, big) = (machine("off"), machine("on"));
    for (at, value) in [
        (SCS10HD, 0x7),
        (CS20LD, 0xe0),
        (PCI0IOLD, 0x80),
        (PCI0IOHD, 0xf),
        (PCI0M0LD, 0x90),
        (PCI0M0HD, 0x1f),
        (ISD, 0xa0),
        (PCI0M1LD, 0x790),
        (PCI0IOREMAP, 0x80),
        (BOOTHD, 0xff),
        (DEV_BANK + 12, 0x386f_ffff),
        (ADERR, 0xffff_ffff),
        (PCI0_BS_CS20, 0x01ff_f000),
        (PCI0_BARE, 0xf),
    ] {
        assert_eq!((read(&little, at), read(&big, at)), (value, value), "{at:#x}");
    }
    assert_eq!((read(&little, CPU), read(&big, CPU)), (0x1000, 0));
    assert_eq!((read(&little, PCI0_CMD), read(&big, PCI0_CMD)), (0x1_0001, 0));
    // The other lanes of a narrow access.
    assert_eq!(little.read(CORE, ISD_AT_RESET + PCI0_BS_CS20 + 2, Width::B2), Ok(0x01ff));
    little.write(CORE, ISD_AT_RESET + PCI0_TOR, Width::B1, 0x11).unwrap();
    assert_eq!(read(&little, PCI0_TOR), 0x0711);
}

#[test]
fn configuration_cycles_are_swapped_as_the_command_register_says_except_the_bridges_own() {
    for (big_endian, swapped) in [("off", false), ("on", true)] {
        let m = machine(big_endian);
        let order = |value: u32| if swapped { value.swap_bytes() } else { value };
        assert_eq!((config(&m, 0x8000_0000), config(&m, 0x8000_0008)), (0x4620_11ab, 0x0600_0010), "{big_endian}");
        assert_eq!((config(&m, OTHER), config(&m, OTHER | 8)), (order(0x7110_8086), order(0x0601_0001)), "{big_endian}");
        // Single bytes: the vendor's low byte, and the interrupt line.
        write(&m, PCI0_CFGADDR, OTHER);
        let lane = if swapped { 3 } else { 0 };
        assert_eq!(m.read(CORE, ISD_AT_RESET + PCI0_CFGDATA + lane, Width::B1), Ok(0x86), "{big_endian}");
        let half = if swapped { (2, 0x8680) } else { (0, 0x8086) };
        assert_eq!(m.read(CORE, ISD_AT_RESET + PCI0_CFGDATA + half.0, Width::B2), Ok(half.1), "{big_endian}");
        write(&m, PCI0_CFGADDR, OTHER | 0x3c);
        m.write(CORE, ISD_AT_RESET + PCI0_CFGDATA + lane, Width::B1, 0x0b).unwrap();
        assert_eq!(config(&m, OTHER | 0x3c), order(0x0b), "{big_endian}");
        // The other order.
        write(&m, PCI0_CMD, if swapped { 0x1_0001 } else { 0 });
        assert_eq!(config(&m, OTHER), order(0x7110_8086).swap_bytes(), "{big_endian}");
        assert_eq!(config(&m, 0x8000_0000), 0x4620_11ab, "{big_endian}");
    }
}

#[test]
fn a_cycle_that_nobody_answers_is_a_master_abort() {
    let m = machine("off");
    write(&m, INTRMASK, INTRCAUSE_MASABORT0 as u32);
    // Not enabled: no cycle at all.
    assert_eq!((config(&m, OTHER & !0x8000_0000), read(&m, INTRCAUSE)), (u32::MAX, 0));
    assert_eq!(config(&m, 0x8000_f000), u32::MAX);
    let abort = (INTRCAUSE_MASABORT0 | INTRCAUSE_INTSUM | INTRCAUSE_CPUINTSUM) as u32;
    assert_eq!(read(&m, INTRCAUSE), abort);
    assert_eq!(config(&m, 0x8000_0004) >> 16, 0x2280, "received master abort");
    write(&m, PCI0_CFGADDR, 0x8000_0004);
    write(&m, PCI0_CFGDATA, 0x2000_0000);
    assert_eq!(config(&m, 0x8000_0004) >> 16, 0x0280);
    // Zeros clear, also in one byte lane.
    m.write(CORE, ISD_AT_RESET + INTRCAUSE, Width::B1, 0).unwrap();
    assert_eq!(read(&m, INTRCAUSE), abort);
    write(&m, INTRCAUSE, !(INTRCAUSE_MASABORT0 as u32));
    assert_eq!(read(&m, INTRCAUSE), 0);
    // Reads and writes of I/O.
    for access in [|m: &Machine| m.read(CORE, 0x1000_0080, Width::B2), |m: &Machine| m.write(CORE, 0x1000_0080, Width::B2, 1).map(|()| 0xffff)] {
        assert_eq!(access(&m), Ok(0xffff));
        assert_eq!(read(&m, INTRCAUSE), abort);
        write(&m, INTRCAUSE, 0);
    }
}

#[test]
fn the_interrupt_follows_cause_and_mask() {
    let b = Bench::new(&GT64120, &[]);
    b.write32("regs", PCI0_CFGADDR, OTHER);
    assert_eq!((b.read32("regs", PCI0_CFGDATA), b.output("int", 0)), (u32::MAX, false));
    b.write32("regs", INTRMASK, INTRCAUSE_MASABORT0 as u32);
    assert!(b.output("int", 0));
    b.write32("regs", INTRCAUSE, 0);
    assert!(!b.output("int", 0));
}

#[test]
fn io_is_forwarded_to_ports_counted_from_the_start_of_its_window() {
    let m = machine("off");
    assert_eq!(m.read(CORE, 0x1000_0070, Width::B1), Ok(1));
    m.write(CORE, 0x1000_0071, Width::B1, 7).unwrap();
    assert_eq!(m.read(CORE, 0x1000_0070, Width::B2), Ok(0x1908));
    // The acknowledge cycle is a read of the port that the board names.
    assert_eq!(read(&m, PCI0_IACK), 10);
    assert_eq!(machine("on").read(CORE, ISD_AT_RESET + PCI0_IACK, Width::B4), Ok(1));
    // As the firmware of the board sets it.
    write(&m, PCI0IOLD, 0xc0);
    assert_eq!(m.read(CORE, 0x1000_0070, Width::B1), Err(BusFault::Unmapped));
    assert_eq!(m.read(CORE, 0x1800_0070, Width::B1), Err(BusFault::Unmapped), "the last address is before the first");
    write(&m, PCI0IOHD, 0x40);
    assert_eq!(m.read(CORE, 0x1800_0070, Width::B1), Ok(11));
    assert_eq!(read(&m, PCI0IOREMAP), 0xc0, "follows");
}

#[test]
fn the_registers_move_and_come_back_at_a_reset() {
    let m = machine("off");
    write(&m, ISD, 0xdf);
    assert_eq!(m.read(CORE, ISD_AT_RESET, Width::B4), Err(BusFault::Unmapped));
    assert_eq!(m.read(CORE, 0x1be0_0000 + ISD, Width::B4), Ok(0xdf));
    let saved = m.save();
    m.reset(Reset::Warm);
    assert_eq!(read(&m, ISD), 0xa0);
    m.load(&saved).unwrap();
    assert_eq!(m.read(CORE, 0x1be0_0000 + ISD, Width::B4), Ok(0xdf));
    m.write(CORE, 0x1be0_0000 + ISD, Width::B4, 0xa0).unwrap();
    assert_eq!(read(&m, ISD), 0xa0);
}

#[test]
fn base_address_registers_tell_their_sizes() {
    let m = machine("off");
    for (n, (contents, mask)) in BARS.into_iter().enumerate() {
        let bar = 0x8000_0010 + 4 * n as u32;
        assert_eq!(config(&m, bar), contents);
        write(&m, PCI0_CFGDATA, u32::MAX);
        assert_eq!(config(&m, bar) & !0xf, mask);
        write(&m, PCI0_CFGDATA, contents);
        assert_eq!(config(&m, bar), contents);
    }
    assert_eq!(m.counters().unimplemented, 0);
    config(&m, 0x8000_0010);
    write(&m, PCI0_CFGDATA, 0x1000_0000);
    assert_eq!(m.counters().unimplemented, 1);
}

#[test]
fn what_is_kept_without_effect_says_so() {
    let m = machine("off");
    for (at, value, reports) in [
        (SCS10HD, 0x3, 1),
        (SCS10HD, SCS10HD_RESET as u32, 0),
        (PCI0_BARE, 0, 1),
        (TC, 5, 1),
        (PCI0M0LD, 0x80, 0),
        (PCI0M0REMAP, 0x90, 1),
        (PCI0IOREMAP, 0, 0),
        (PCI0IOREMAP, 0x90, 1),
        (PCI0_CMD, 0x1_0001, 0),
        (PCI0_CMD, 0x1_0000, 1),
        (PCI0_CMD, 0x1_0401, 1),
    ] {
        let before = m.counters().unimplemented;
        write(&m, at, value);
        assert_eq!(m.counters().unimplemented - before, reports, "{at:#x} {value:#x}");
    }
}
