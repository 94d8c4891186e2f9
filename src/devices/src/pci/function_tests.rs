//! Tests of the configuration space of a function, as a device on a bus has it.

use proteus_model::conformance::check;
use proteus_model::testing::{Bench, RAM_BASE};
use proteus_model::{AccessRule, Bus, BusFault, CoreId, Device, DeviceType, Reset, Services, State, Width, Window, WindowDecl};

use super::*;

static HEADER: Header = Header {
    subsystem_vendor: 0x1122,
    subsystem: 0x3344,
    interrupt_pin: 2,
    multi_function: true,
    min_grant: 6,
    max_latency: 0xff,
    bars: &[
        Bar { index: 0, window: Window(1), size: 0x20, kind: BarKind::Io },
        Bar { index: 1, window: Window(2), size: 0x1000, kind: BarKind::Memory32 },
        Bar { index: 4, window: Window(3), size: 0x4000, kind: BarKind::Memory64Prefetch },
    ],
    ..Header::new(0x1022, 0x2000, 0x10, 0x02_0000)
};

/// A function whose windows remember what was written last, and which interrupts as long as that
/// is odd.
#[derive(State)]
struct Toy {
    function: Function,
    last: u32,
}

impl Device for Toy {
    fn read(&mut self, _: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        Ok(if w == Window(0) { self.function.read(at, size) } else { u64::from(self.last) + w.0 as u64 * 0x1000_0000 + at })
    }
    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        if w == Window(0) {
            self.function.write(cx, at, size, value);
        } else if (w, at) == (Window(1), SET_STATUS) {
            self.function.set_byte(7, value as u8);
        } else {
            self.last = value as u32;
        }
        Ok(())
    }
    fn settle(&mut self, cx: &mut dyn Services) {
        self.function.settle(cx);
        self.function.drive_intx(cx, 0, self.last & 1 != 0);
    }
}

/// A write here in the I/O window sets the upper byte of the status.
const SET_STATUS: u64 = 0x1c;
const WORD: AccessRule = AccessRule::WORD;

static TOY: DeviceType = DeviceType {
    windows: &[CONFIG, WindowDecl::pio("io", 0x20, WORD), WindowDecl::mmio("memory", 0x1000, WORD), WindowDecl::mmio("wide", 0x4000, WORD)],
    outputs: &[INTX],
    ..DeviceType::new("toy", "PCI function for tests", |_| {
        let mut function = Function::new(&HEADER);
        function.add_capability(9, &[6, 0xaa, 0xbb, 0xcc], &[0, 0x0f]);
        function.add_capability(5, &[1, 2], &[]);
        function.preset(0x80, 0x5a);
        function.set_writable(0x80, 0xf0);
        Ok(Box::new(Toy { function, last: 0 }))
    })
};

fn bench() -> Bench {
    Bench::new(&TOY, &[])
}

/// A device with an enabled function, and the places that it got.
fn enabled() -> (Bench, [Option<u64>; 3]) {
    let b = bench();
    b.enable_pci();
    let at = places(&b);
    (b, at)
}

fn places(b: &Bench) -> [Option<u64>; 3] {
    [1, 2, 3].map(|w| b.machine.window_base(b.device, w))
}

#[test]
fn conforms() {
    check(&TOY).unwrap();
}

#[test]
fn the_header_is_as_declared_and_read_only() {
    let b = bench();
    let rows: &[(u64, u32, u32)] = &[
        // Offset, value after a reset, value after all ones were written.
        (0x00, 0x2000_1022, 0x2000_1022),
        (0x04, 0x0010_0000, 0x0010_0547),
        (0x08, 0x0200_0010, 0x0200_0010),
        (0x0c, 0x0080_0000, 0x0080_ffff),
        (0x10, 0x0000_0001, 0xffff_ffe1),
        (0x14, 0x0000_0000, 0xffff_f000),
        (0x18, 0, 0),
        (0x1c, 0, 0),
        (0x20, 0x0000_000c, 0xffff_c00c),
        (0x24, 0x0000_0000, 0xffff_ffff),
        (0x28, 0, 0),
        (0x2c, 0x3344_1122, 0x3344_1122),
        (0x30, 0, 0),
        (0x34, 0x40, 0x40),
        (0x38, 0, 0),
        (0x3c, 0xff06_0200, 0xff06_02ff),
        (0x40, 0xaa06_4809, 0xaf06_4809),
        (0x44, 0x0000_ccbb, 0x0000_ccbb),
        (0x48, 0x0201_0005, 0x0201_0005),
        (0x80, 0x5a, 0xfa),
        (0x84, 0, 0),
        (0xfc, 0, 0),
        (0x100, 0, 0),
        (0xffc, 0, 0),
    ];
    for (at, reset, _) in rows {
        assert_eq!(b.read32("config", *at), *reset, "{at:#x}");
    }
    for (at, ..) in rows {
        b.write32("config", *at, u32::MAX);
    }
    for (at, _, ones) in rows {
        assert_eq!(b.read32("config", *at), *ones, "{at:#x}");
    }
    assert_eq!(places(&b), [None; 3], "all ones are no addresses");
    assert_eq!(b.machine.counters().guest_errors, 2, "the writes past 256 bytes");
    b.machine.reset(Reset::Warm);
    for (at, reset, _) in rows {
        assert_eq!(b.read32("config", *at), *reset, "{at:#x} after a reset");
    }
}

#[test]
fn narrow_accesses_touch_their_bytes_only() {
    let b = bench();
    b.write32("config", 0x14, 0x1234_5678);
    assert_eq!(b.read32("config", 0x14), 0x1234_5000);
    b.write("config", 0x16, Width::B1, 0xab).unwrap();
    b.write("config", 0x3c, Width::B1, 11).unwrap();
    b.write("config", 0x0c, Width::B2, 0x4008).unwrap();
    for (at, width, want) in
        [(0x14, Width::B4, 0x12ab_5000), (0x15, Width::B1, 0x50), (0x16, Width::B2, 0x12ab), (0x3c, Width::B4, 0xff06_020b), (0x0c, Width::B4, 0x0080_4008)]
    {
        assert_eq!(b.read("config", at, width), Ok(want), "{at:#x}");
    }
    // Wider and unaligned accesses are split.
    assert_eq!(b.read("config", 0, Width::B8), Ok(0x0010_0000_2000_1022));
    assert_eq!(b.read("config", 1, Width::B2), Ok(0x0010));
}

#[test]
fn windows_follow_registers_and_command_bits() {
    let b = bench();
    assert_eq!(places(&b), [None; 3]);
    b.write32("config", 0x10, 0xd000);
    b.write32("config", 0x14, 0x8000_0000);
    b.write32("config", 0x20, 0x0000_4000);
    b.write32("config", 0x24, 0x12);
    assert_eq!(places(&b), [None; 3], "decoding is off");
    let (io, memory, wide) = (Some(0xd000), Some(0x8000_0000), Some(0x12_0000_4000));
    for (command, want) in [(1, [io, None, None]), (2, [None, memory, wide]), (7, [io, memory, wide]), (4, [None; 3]), (3, [io, memory, wide])] {
        b.write("config", 4, Width::B2, command).unwrap();
        assert_eq!(places(&b), want, "command {command}");
    }
    let at = |bus, at| b.machine.bus_read(CoreId(0), bus, at, Width::B4);
    assert_eq!([at(Bus::Pio, 0xd004), at(Bus::Memory, 0x8000_0ff0), at(Bus::Memory, 0x12_0000_4010)], [Ok(0x1000_0004), Ok(0x2000_0ff0), Ok(0x3000_0010)]);
    // A move while decoding is on.
    b.write32("config", 0x14, 0x9000_0fff);
    assert_eq!(places(&b), [io, Some(0x9000_0000), wide]);
    assert_eq!(at(Bus::Memory, 0x8000_0000), Err(BusFault::Unmapped));
    // A snapshot has the places, and a reset takes them away.
    let saved = b.machine.save();
    b.machine.reset(Reset::Cold);
    assert_eq!((places(&b), b.read32("config", 0x14)), ([None; 3], 0));
    b.machine.load(&saved).unwrap();
    assert_eq!(places(&b), [io, Some(0x9000_0000), wide]);
    b.write("config", 4, Width::B2, 0).unwrap();
    assert_eq!(places(&b), [None; 3]);
}

#[test]
fn finding_out_sizes_moves_nothing() {
    let (b, at) = enabled();
    assert!(at.iter().all(Option::is_some), "{at:x?}");
    let generation = b.machine.space_generation();
    for (register, size) in [(0x10, 0xffff_ffe1), (0x14, 0xffff_f000), (0x20, 0xffff_c00c), (0x24, 0xffff_ffff), (0x30, 0)] {
        let old = b.read32("config", register);
        b.write32("config", register, u32::MAX);
        assert_eq!((b.read32("config", register), places(&b)), (size, at), "{register:#x}");
        b.write32("config", register, old);
    }
    // Both halves at once too.
    let old = b.read32("config", 0x20);
    b.write32("config", 0x20, u32::MAX);
    b.write32("config", 0x24, u32::MAX);
    b.write32("config", 0x24, 0);
    b.write32("config", 0x20, old);
    // Nor does anything else that leaves the places alone.
    b.write32("config", 0x3c, 9);
    b.write32("config", 0x04, 0x0107);
    assert_eq!((places(&b), b.machine.space_generation()), (at, generation));
    assert_eq!(b.machine.counters().guest_errors, 0);
}

#[test]
fn a_register_at_0_or_over_something_else_has_no_window() {
    let (b, at) = enabled();
    b.write32("config", 0x14, 0);
    assert_eq!((places(&b)[1], b.machine.counters().guest_errors), (None, 0), "nobody has placed it");
    for (bad, errors) in [(RAM_BASE as u32, 1), (RAM_BASE as u32 + 0x1000, 2), (at[2].unwrap() as u32 + 0x2000, 3)] {
        b.write32("config", 0x14, bad);
        assert_eq!((places(&b)[1], b.machine.counters().guest_errors), (None, errors), "{bad:#x}");
        // It is said once.
        b.write32("config", 0x3c, 1);
        assert_eq!(b.machine.counters().guest_errors, errors);
    }
    // What was in the way moves away.
    b.write32("config", 0x20, 0x7000_0000);
    assert_eq!(places(&b)[1..], [Some(at[2].unwrap() + 0x2000), Some(0x7000_0000)]);
    b.write32("config", 0x10, 0xffff_ffc0);
    assert_eq!(places(&b)[0], Some(0xffff_ffc0));
    // The whole of the addresses but the last place, which is what a size looks like.
    b.write32("config", 0x20, 0xffff_8000);
    b.write32("config", 0x24, 0xffff_fffe);
    assert_eq!(places(&b)[2], Some(0xffff_fffe_ffff_8000));
}

#[test]
fn the_interrupt_pin_obeys_the_command_register() {
    let (b, _) = enabled();
    let status = || b.read("config", 6, Width::B2).unwrap();
    assert_eq!((b.output("intx", 0), status()), (false, 0x10));
    b.write32("memory", 0, 1);
    assert_eq!((b.output("intx", 0), status()), (true, 0x18));
    b.write("config", 4, Width::B2, 0x0407).unwrap();
    assert_eq!((b.output("intx", 0), status()), (false, 0x18), "still pending");
    b.write("config", 4, Width::B2, 0x0007).unwrap();
    assert!(b.output("intx", 0));
    b.write32("memory", 0, 2);
    assert_eq!((b.output("intx", 0), status()), (false, 0x10));
}

#[test]
fn errors_in_the_status_are_cleared_by_ones() {
    let (b, _) = enabled();
    for (clear, left) in [(0x00, 0xff), (0x80, 0x7f), (0xff, 0x06)] {
        b.write32("io", SET_STATUS, 0xff);
        b.write("config", 7, Width::B1, clear).unwrap();
        assert_eq!(b.read("config", 6, Width::B2), Ok(left << 8 | 0x10), "the timing of DEVSEL, bits 9 and 10, is no error");
    }
}
