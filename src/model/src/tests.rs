//! Tests of the machine as a whole, on the reference device.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::conformance::{check, never_panics, reset_twice, same_log, save_and_load};
use crate::machine::PortSender;
use crate::reference::*;
use crate::testing::{Bench, RAM_BASE};
use crate::*;

fn bench() -> Bench {
    Bench::new(&REFERENCE, &[])
}

#[test]
fn the_reference_device_passes_all_checks() {
    check(&REFERENCE).unwrap();
}

#[test]
fn the_checks_find_faulty_devices() {
    let find = |r: Result<(), conformance::Failure>, what: &str| {
        let e = r.unwrap_err().to_string();
        assert!(e.contains(what), "{e}");
    };
    find(save_and_load(&FORGETS_STATE, 1), "after a load");
    find(never_panics(&PANICS, 1), "panicked in Write");
    find(reset_twice(&RESET_COUNTS, 1), "a second Cold reset");
    find(same_log(&NOT_REPEATABLE, 1), "first and then");
    find(save_and_load(&NEVER_CHANGES, 1), "no access changes the state");
}

#[test]
fn registers_come_from_the_table() {
    assert_eq!((STATUS, STATUS_RESET, CTRL_LEVEL, SCRATCH_COUNT), (4, 1, 0xff00, 4));
    let (ctrl, index) = find_register(REGISTERS, CTRL).unwrap();
    assert_eq!((ctrl.name, index, ctrl.fields.len()), ("CTRL", 0, 4));
    assert_eq!(ctrl.write(0xffff_0000, 0xffff_ffff), 0xffff_ff07);
    assert_eq!(ctrl.mask(RegAccess::Reserved), 0xffff_00f8);
    let (ris, _) = find_register(REGISTERS, RIS).unwrap();
    assert_eq!(ris.write(1, 1), 0);
    assert_eq!(ris.write(1, 2), 1);
    assert_eq!(find_register(REGISTERS, SCRATCH + 8).map(|r| r.1), Some(2));
    assert!(find_register(REGISTERS, SCRATCH + 2).is_none());
    assert_eq!(find_register(REGISTERS, DATA).unwrap().0.doc, "Data: a write sends a byte, a read takes one.");
    assert_eq!((field(0xab00, CTRL_LEVEL), with_field(1, CTRL_LEVEL, 0x1cd)), (0xab, 0xcd01));
}

#[test]
fn wrong_accesses_are_counted_and_unmodelled_ones_apart() {
    let b = bench();
    b.write32("regs", STATUS, 1);
    b.write32("regs", CTRL, CTRL_LOOPIE as u32);
    b.write32("regs", TRIM, 1);
    b.write32("regs", CTRL, 0);
    assert_eq!(b.read("regs", 0x800, Width::B4), Err(BusFault::Unmapped));
    let c = b.machine.counters();
    assert_eq!((c.guest_errors, c.unimplemented), (2, 2));
}

#[test]
fn narrow_and_wide_accesses_reach_whole_registers() {
    let b = bench();
    b.write("regs", SCRATCH, Width::B8, 0x1122_3344_5566_7788).unwrap();
    assert_eq!((b.read32("regs", SCRATCH), b.read32("regs", SCRATCH + 4)), (0x5566_7788, 0x1122_3344));
    assert_eq!(b.read("regs", SCRATCH + 3, Width::B2), Ok(0x4455));
    assert_eq!(b.machine.counters().reads, 4);
    // Over the end of the window: nothing is there.
    assert_eq!(b.read("regs", 0xffe, Width::B4), Err(BusFault::Unmapped));
}

#[test]
fn a_bank_is_chosen_by_the_core_that_asks() {
    let b = bench();
    b.write_at(1, 0, BANKED, Width::B4, 11).unwrap();
    b.write_at(0, 0, BANKED, Width::B4, 10).unwrap();
    assert_eq!((b.read_at(0, 0, BANKED, Width::B4), b.read_at(1, 0, BANKED, Width::B4)), (Ok(10), Ok(11)));
}

#[test]
fn system_registers_are_found_by_key() {
    let m = bench().machine;
    assert!(m.has_sysreg(0x1003) && !m.has_sysreg(0x1004) && !m.has_sysreg(0xfff));
    assert_eq!(m.sysreg_read(CoreId(0), 0x1000), Some(Ok(0x55)));
    assert_eq!(m.sysreg_write(CoreId(0), 0x1000, 7), Some(Ok(())));
    assert_eq!(m.sysreg_read(CoreId(1), 0x1000), Some(Ok(7)));
    assert_eq!(m.sysreg_read(CoreId(0), 0x1001), Some(Err(BusFault::Undefined)));
    assert_eq!(m.sysreg_read(CoreId(0), 0x2000), None);
}

#[test]
fn alarms_raise_the_line_at_their_time_and_dma_reaches_memory() {
    let b = bench();
    let woken = Arc::new(AtomicU32::new(0));
    let w = woken.clone();
    b.machine.set_alarm_waker(move || {
        w.fetch_add(1, Ordering::Relaxed);
    });
    b.write32("regs", CTRL, CTRL_TIE as u32);
    b.write32("regs", DMA, RAM_BASE as u32 + 2);
    b.write32("regs", TIMER, 50);
    assert_eq!((b.machine.next_alarm(), woken.load(Ordering::Relaxed)), (Some(50_000), 1));
    b.advance(49_999);
    assert!(!b.output("irq", 0));
    b.advance(1);
    assert!(b.output("irq", 0));
    assert_eq!(b.machine.next_alarm(), None);
    assert_eq!(b.ram.load(2, 2), Ok(1));
    b.write32("regs", RIS, 1);
    assert!(!b.output("irq", 0));
}

#[test]
fn host_input_waits_until_the_device_is_ready() {
    let b = bench();
    let text: Vec<u8> = (0..40).collect();
    b.bytes("chardev", &text);
    let got: Vec<u8> = (0..40).map(|_| b.read32("regs", DATA) as u8).collect();
    assert_eq!(got, text);
    assert_eq!(b.read32("regs", STATUS) & 2, 0);
    b.write32("regs", DATA, 0x41);
    assert_eq!(b.sent("chardev"), b"A");
}

#[test]
fn a_sender_faster_than_the_guest_is_held_back() {
    let b = bench();
    let woken = Arc::new(AtomicU32::new(0));
    let w = woken.clone();
    b.machine.set_event_waker(move || {
        w.fetch_add(1, Ordering::Relaxed);
    });
    let port: PortSender = b.machine.port(b.device, "chardev").unwrap();
    assert_eq!(port.bytes(&[1; 100_000]), 65536);
    assert_eq!(port.bytes(&[2]), 0);
    assert!(!port.wait_room(std::time::Duration::ZERO));
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    assert_eq!(b.read32("regs", STATUS) & 2, 0, "events wait for the run loop");
    b.machine.deliver_events();
    assert_eq!(b.read32("regs", DATA), 1);
    assert!(port.wait_room(std::time::Duration::ZERO));
    assert_eq!(port.bytes(&[2; 100]), 17);
    drop(b);
    assert_eq!(port.bytes(&[3]), 0);
}

#[test]
fn dma_reaches_other_devices_but_not_the_one_that_does_it() {
    let mut m = MachineBuilder::new("m", 1);
    let a = m.device(&REFERENCE, "a", Props::new(&REFERENCE)).unwrap();
    let f = m.device(&FLASH, "f", Props::new(&FLASH)).unwrap();
    m.place(a, "regs", 0x1000).unwrap();
    m.place(f, "array", 0x4000).unwrap();
    let m = m.build().unwrap();
    let fire = |dma: u64| {
        m.write(CoreId(0), 0x1000 + DMA, Width::B4, dma).unwrap();
        m.write(CoreId(0), 0x1000 + TIMER, Width::B4, 0).unwrap();
        m.run_alarms(m.clock().now());
        m.read(CoreId(0), 0x1000 + RIS, Width::B4).unwrap()
    };
    assert_eq!(fire(0x4000), 1);
    assert_eq!(m.read(CoreId(0), 0x4000, Width::B4), Ok(0x80), "the flash took the write and left read-array mode");
    assert_eq!(fire(0x1000 + SCRATCH), 3);
    m.write(CoreId(0), 0x1000 + RIS, Width::B4, 3).unwrap();
    assert_eq!(fire(0x9000), 3, "nothing answers there");
}

#[test]
fn an_alarm_set_again_and_again_does_not_hang_the_machine() {
    let b = Bench::new(&ALARMS_FOREVER, &[]);
    b.write32("regs", 0, 0);
    b.machine.run_alarms(b.machine.clock().now());
    assert!(b.machine.next_alarm().is_some() && b.machine.counters().alarms >= 1000);
}

#[test]
fn direct_reads_come_from_memory_and_stay_with_a_snapshot() {
    check(&FLASH).unwrap();
    let b = Bench::new(&FLASH, &[]);
    let flash = b.machine.regions().iter().find(|r| r.name() == "flash").unwrap().clone();
    flash.store(0x10, 4, 0xfeed).unwrap();
    let direct = || matches!(b.machine.space().find(0x1_0000_0010), Some(Mapping::Ram { read_only: true, .. }));
    assert!(direct());
    assert_eq!((b.read32("array", 0x10), b.machine.counters().reads), (0xfeed, 0));
    let saved = b.machine.save();
    b.write32("array", 0x10, 0x70);
    assert!(!direct());
    assert_eq!(b.read32("array", 0x10), 0x80);
    b.machine.load(&saved).unwrap();
    assert!(direct());
    b.write32("array", 0, 1);
    b.machine.reset(Reset::Warm);
    assert_eq!((b.read32("array", 0x10), flash.load(0x10, 4)), (0xfeed, Ok(0xfeed)));
}

#[test]
fn memory_that_stands_in_for_writes_too_leaves_the_device_none() {
    let b = Bench::new(&FRAME_BUFFER, &[]);
    let plain = || matches!(b.machine.space().find(0x1_0000_0010), Some(Mapping::Ram { read_only: false, writes_to: None, .. }));
    assert!(plain());
    let saved = b.machine.save();
    b.write32("array", 0x10, 0x1234_5678);
    assert_eq!((b.read32("array", 0x10), b.machine.counters().writes, b.machine.save() == saved), (0x1234_5678, 0, true));
    b.machine.reset(Reset::Warm);
    assert!(plain());
    b.machine.load(&saved).unwrap();
    assert!(plain());
}

#[test]
fn events_survive_a_log() {
    let events = [
        HostEventKind::Bytes { port: 1, bytes: vec![1, 2, 3] },
        HostEventKind::Frame { port: 2, frame: vec![] },
        HostEventKind::Writable { port: 3 },
        HostEventKind::Open { port: 4, open: true },
        HostEventKind::Pin { pin: 5, level: true },
        HostEventKind::WallClock { base: 1 << 60 },
    ];
    for kind in events {
        let event = HostEvent { device: DeviceId(9), kind };
        let mut w = Writer::new();
        event.save(&mut w);
        let bytes = w.finish();
        let mut r = Reader::new("log", &bytes);
        assert_eq!(HostEvent::load(&mut r), Ok(event));
        r.finish().unwrap();
        assert!(HostEvent::load(&mut Reader::new("log", &bytes[..bytes.len() - 1])).is_err());
    }
}

/// Two devices whose `echo` outputs (the inverse of their inputs) drive each other.
fn pair(second_back: bool) -> Result<Arc<Machine>, BuildError> {
    let mut m = MachineBuilder::new("pair", 2);
    let a = m.device(&REFERENCE, "a", Props::new(&REFERENCE))?;
    m.place(a, "regs", 0x1000)?;
    m.wire(a, ("echo", 0), a, ("in", 1))?;
    m.wire_core(a, ("echo", 0), CoreId(1), Line::FIQ)?;
    if second_back {
        m.wire(a, ("echo", 0), a, ("in", 0))?;
    }
    m.build()
}

#[test]
fn a_loop_of_pins_is_cut_off() {
    let m = pair(true).unwrap();
    assert!(m.read(CoreId(0), 0x1004, Width::B4).is_ok());
}

#[test]
fn pins_reach_cores_and_inputs_are_the_or_of_their_wires() {
    let m = pair(false).unwrap();
    let (a, lines) = (m.device("a").unwrap(), m.core_lines(CoreId(1)).unwrap().clone());
    assert!(lines.level(Line::FIQ) && lines.take_kick());
    m.drive_input(a, 0, true);
    assert!(!lines.level(Line::FIQ));
    assert_eq!(m.read(CoreId(0), 0x1004, Width::B4), Ok(9));
    m.reset(Reset::Warm);
    assert!(!lines.level(Line::FIQ), "the outside still holds the pin");
    m.drive_input(a, 0, false);
    assert!(lines.level(Line::FIQ));
    assert_eq!(m.output_level(a, "echo", 0), Some(true));
    assert_eq!(m.output_level(a, "echo", 1), None);
    let saved = m.save();
    m.drive_input(a, 0, true);
    m.load(&saved).unwrap();
    assert!(lines.level(Line::FIQ));
    assert_eq!(m.save(), saved);
}

#[test]
fn the_builder_names_what_is_wrong() {
    let mut m = MachineBuilder::new("m", 1);
    let a = m.device(&REFERENCE, "a", Props::new(&REFERENCE)).unwrap();
    let error = |e: Result<&mut MachineBuilder, BuildError>| e.err().unwrap().to_string();
    assert_eq!(error(m.place(a, "reg", 0)), "device 'a' (reference) has no window 'reg'");
    assert_eq!(error(m.wire(a, ("irq", 1), a, ("in", 0))), "device 'a' (reference) has no output 'irq[1]'");
    assert_eq!(error(m.wire(a, ("irq", 0), a, ("in", 2))), "device 'a' (reference) has no input 'in[2]'");
    assert_eq!(error(m.wire_core(a, ("irq", 0), CoreId(1), Line::IRQ)), "the machine has no core 1");
    assert!(matches!(m.device(&REFERENCE, "a", Props::new(&REFERENCE)), Err(BuildError::DuplicateName(_))));
    let wrong = Props::with(&REFERENCE, &[("initial", "many")]).unwrap_err();
    assert_eq!(wrong.to_string(), "reference: initial=many: not a number");
    let ram = ram::Region::new("ram", 0x2000).unwrap();
    m.place(a, "regs", 0x8000).unwrap();
    m.ram(0x7000, &ram);
    let e = m.build().err().unwrap().to_string();
    assert_eq!(e, "'ram' at 0x7000..=0x8fff overlaps 'a.regs' at 0x8000..=0x8fff");
}

#[test]
fn memory_is_read_across_its_end_byte_by_byte_and_rom_refuses_writes() {
    let (ram, rom) = (ram::Region::new("ram", 0x1000).unwrap(), ram::Region::new("rom", 0x1000).unwrap());
    let mut b = MachineBuilder::new("m", 1);
    b.ram(0, &ram).rom(0x1000, &rom);
    let m = b.build().unwrap();
    let core = CoreId(0);
    m.poke(0xffe, &[1, 2, 3, 4]).unwrap();
    assert_eq!(m.read(core, 0xffe, Width::B4), Ok(0x0403_0201));
    assert_eq!(m.write(core, 0xffe, Width::B4, 0), Err(BusFault::ReadOnly));
    assert_eq!(m.write(core, 0x1001, Width::B2, 0), Err(BusFault::ReadOnly));
    assert_eq!(m.read(core, 0x1fff, Width::B2), Err(BusFault::Unmapped));
    assert_eq!(m.read(core, u64::MAX, Width::B8), Err(BusFault::Unmapped));
    let mut bytes = [0; 4];
    m.peek(0xffc, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 0, 0, 0]);
    assert!(m.peek(0x1ffe, &mut bytes).is_err());
}

#[test]
fn windows_move_and_stay_where_a_snapshot_has_them() {
    let b = bench();
    let before = (b.machine.save(), b.machine.space_generation());
    b.write32("regs", COMMAND, 2);
    assert!(b.machine.space_generation() > before.1 && b.machine.core_lines(CoreId(0)).unwrap().kicked());
    assert_eq!(b.machine.read(CoreId(0), 0x1_0000_0004, Width::B4), Err(BusFault::Unmapped));
    assert_eq!(b.machine.read(CoreId(0), 0x2_0000_0004, Width::B4), Ok(1));
    let moved = b.machine.save();
    b.machine.load(&before.0).unwrap();
    assert!(b.machine.read(CoreId(0), 0x1_0000_0004, Width::B4).is_ok());
    b.machine.load(&moved).unwrap();
    assert!(b.machine.read(CoreId(0), 0x2_0000_0004, Width::B4).is_ok());
}

#[test]
fn a_window_waits_until_its_place_is_free() {
    // System registers there can be only once.
    static MOVES: DeviceType = DeviceType { windows: &[WindowDecl::mmio("regs", 0x1000, AccessRule::WORD)], ..REFERENCE };
    let mut b = MachineBuilder::new("m", 1);
    for (n, name) in ["a", "b"].into_iter().enumerate() {
        let id = b.device(&MOVES, name, Props::new(&MOVES)).unwrap();
        b.place(id, "regs", 0x1000 * (n as u64 + 1)).unwrap();
    }
    let m = b.build().unwrap();
    let place = |name: &str| m.window_base(m.device(name).unwrap(), 0);
    let go = |from: u64, to: u64| m.write(CoreId(0), from + COMMAND, Width::B4, to);
    let generation = m.space_generation();
    assert_eq!(go(0x1000, 0x2ff0), Err(BusFault::Denied), "the other one is there");
    assert_eq!((place("a"), place("b")), (None, Some(0x2000)));
    assert_eq!(m.space_generation(), generation + 1);
    let saved = m.save();
    go(0x2000, 0x2000).unwrap();
    assert_eq!(m.space_generation(), generation + 1, "a move to the same place changes nothing");
    for _ in 0..2 {
        go(0x2000, 0x8000).unwrap();
        assert_eq!((place("a"), place("b")), (Some(0x2ff0), Some(0x8000)));
        assert_eq!(m.read(CoreId(0), 0x2ff4, Width::B4), Ok(1));
        m.load(&saved).unwrap();
        assert_eq!((place("a"), place("b")), (None, Some(0x2000)), "the wait is in the snapshot");
        assert_eq!(m.save(), saved);
    }
    // Two that change their places can be loaded whichever comes first.
    go(0x2000, 0x1000).unwrap();
    go(0x2ff0, 0x2000).unwrap();
    let swapped = m.save();
    go(0x2000, 0x8000).unwrap();
    go(0x1000, 0x2000).unwrap();
    go(0x8000, 0x1000).unwrap();
    m.load(&swapped).unwrap();
    assert_eq!((place("a"), place("b")), (Some(0x2000), Some(0x1000)));
    assert_eq!(go(0x1000, u32::MAX.into()), Ok(()));
}

#[test]
fn a_bridge_reaches_the_other_planes_with_its_requester() {
    let mut b = MachineBuilder::new("m", 2);
    let (from, to) = (b.device(&BRIDGE, "from", Props::new(&BRIDGE)).unwrap(), b.device(&BRIDGE, "to", Props::new(&BRIDGE)).unwrap());
    b.place(from, "forward", 0x1000).unwrap();
    b.place(from, "config", 0).unwrap();
    b.place(to, "config", 1 << 15).unwrap();
    b.place(to, "ports", 0x70).unwrap();
    let m = b.build().unwrap();
    let (config, ports) = (0x1000 + 0x900, 0x1000 + 0x70);
    m.write(CoreId(1), config, Width::B4, 0x33_4455).unwrap();
    assert_eq!(m.read(CoreId(0), config, Width::B4), Ok(0x0133_4455), "core 1 wrote it");
    assert_eq!(m.read(CoreId(0), ports + 1, Width::B2), Ok(0x3344));
    assert_eq!(m.bus_read(CoreId(0), Bus::PciConfig, 1 << 15 | 2, Width::B2), Ok(0x0133));
    assert_eq!(m.bus_read(CoreId(0), Bus::Memory, config, Width::B4), Ok(0x0133_4455));
    m.write(CoreId(0), ports, Width::B1, 0x99).unwrap();
    assert_eq!(m.bus_read(CoreId(0), Bus::Pio, 0x70, Width::B1), Ok(0x99));
    for (at, fault) in [(0x1800, BusFault::Busy), (0x1a00, BusFault::Unmapped), (0x1074, BusFault::Unmapped), (0x1072, BusFault::Unmapped)] {
        assert_eq!(m.read(CoreId(0), at, Width::B4), Err(fault), "{at:#x}");
        assert_eq!(m.write(CoreId(0), at, Width::B4, 0), Err(fault), "{at:#x}");
    }
    assert_eq!(m.windows().iter().filter(|w| w.kind == WindowKind::PciConfig).map(|w| w.base).collect::<Vec<_>>(), [0, 1 << 15]);
}

#[test]
fn the_planes_are_apart_and_memory_is_reached_too() {
    let mut b = MachineBuilder::new("m", 1);
    let (ram, rom) = (ram::Region::new("ram", 0x1000).unwrap(), ram::Region::new("rom", 0x1000).unwrap());
    b.ram(0, &ram).rom(0x1000, &rom);
    let m = b.build().unwrap();
    let core = CoreId(0);
    m.bus_write(core, Bus::Memory, 0xffd, Width::B2, 0x1_2345).unwrap();
    assert_eq!((m.bus_read(core, Bus::Memory, 0xffd, Width::B4), ram.load(0xffe, 1)), (Ok(0x2345), Ok(0x23)));
    assert_eq!(m.bus_write(core, Bus::Memory, 0x1000, Width::B4, 0), Err(BusFault::ReadOnly));
    assert_eq!(m.bus_read(core, Bus::Pio, 0, Width::B1), Err(BusFault::Unmapped));
    assert_eq!(m.bus_read(core, Bus::Memory, 0x1ffe, Width::B4), Err(BusFault::Unmapped));
}

#[test]
fn a_snapshot_of_something_else_is_refused_with_its_place() {
    let b = bench();
    let saved = b.machine.save();
    let error = |from: &str, to: &str| {
        let at = saved.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut changed = saved.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        b.machine.load(&changed).unwrap_err().to_string()
    };
    assert_eq!(error("bench", "other"), "bench: saved state has 'other' where 'bench' belongs");
    assert_eq!(error("dut", "xyz"), "bench: saved state has 'xyz' where 'dut' belongs");
    assert_eq!(error("scratch", "notches"), "bench.dut: saved state has 'notches' where 'scratch' belongs");
    let at = saved.windows(4).position(|w| w == b"mode").unwrap();
    let mut changed = saved.clone();
    changed[at + 4] = 3;
    assert_eq!(b.machine.load(&changed).unwrap_err().to_string(), "bench.dut.mode: saved value 3 is out of range");
    let at = saved.windows(2).position(|w| w == b"rx").unwrap();
    let mut changed = saved.clone();
    changed[at + 2..at + 6].copy_from_slice(&17u32.to_le_bytes());
    assert_eq!(b.machine.load(&changed).unwrap_err().to_string(), "bench.dut.rx: saved value 17 is out of range");
}

#[test]
fn reset_keeps_what_is_kept_and_sets_what_has_a_value() {
    let b = bench();
    b.machine.sysreg_write(CoreId(0), 0x1000, 1);
    b.write32("regs", SCRATCH, 1);
    b.write32("regs", TIMER, 1);
    b.write32("regs", COMMAND, 3);
    b.machine.reset(Reset::Warm);
    let tree = b.machine.inspect();
    let leaf = |path: &str| tree.find(path).unwrap_or_else(|| panic!("no {path}")).value.clone().unwrap();
    assert_eq!(leaf("dut.state.key"), Leaf::U64(0x55));
    assert_eq!(leaf("dut.state.scratch.0"), Leaf::U64(0));
    assert_eq!(leaf("dut.state.nonvolatile"), Leaf::U64(1));
    assert_eq!(leaf("dut.state.started"), Leaf::Bool(true));
    assert_eq!(leaf("dut.state.mode"), Leaf::Str("Idle".into()));
    assert_eq!(leaf("dut.outputs.echo"), Leaf::Bool(true));
    assert_eq!(b.machine.next_alarm(), None);
}

#[test]
fn requests_reach_the_run_loop_in_order() {
    let b = bench();
    b.write32("regs", COMMAND, 1);
    b.machine.request(SystemRequest::Exit(3));
    assert_eq!(b.machine.take_request(), Some(SystemRequest::PowerOff));
    assert_eq!(b.machine.take_request(), Some(SystemRequest::Exit(3)));
    assert_eq!(b.machine.take_request(), None);
}

/// A node that writes itself as text.
struct Text(String);

impl FdtNode for Text {
    fn prop_u32s(&mut self, name: &str, cells: &[u32]) {
        self.0 += &format!("{name}={cells:x?};");
    }
    fn prop_str(&mut self, name: &str, value: &str) {
        self.0 += &format!("{name}={value};");
    }
    fn prop_strs(&mut self, name: &str, values: &[&str]) {
        self.0 += &format!("{name}={values:?};");
    }
    fn prop_bytes(&mut self, name: &str, bytes: &[u8]) {
        self.0 += &format!("{name}={bytes:x?};");
    }
    fn prop_empty(&mut self, name: &str) {
        self.0 += &format!("{name};");
    }
    fn child(&mut self, name: &str, build: &mut dyn FnMut(&mut dyn FdtNode)) {
        self.0 += &format!("{name}{{");
        build(self);
        self.0 += "}";
    }
    fn phandle(&mut self, of: &str) -> u32 {
        of.len() as u32
    }
}

#[test]
fn the_device_tree_node_comes_from_the_placement() {
    let mut m = MachineBuilder::new("m", 1);
    let a = m.device(&REFERENCE, "a", Props::new(&REFERENCE)).unwrap();
    m.place(a, "regs", 0x1_0900_0000).unwrap();
    m.wire(a, ("irq", 0), a, ("in", 1)).unwrap();
    let m = m.build().unwrap();
    let mut text = Text(String::new());
    assert!(m.describe(a, &mut |name, build| text.child(name, build)));
    let want = "reference@109000000{compatible=proteus,reference;reg=[1, 9000000, 0, 1000];interrupts=[2, 1, 4];}";
    assert_eq!(text.0, want);
}

#[test]
fn a_machine_is_shared_by_threads() {
    let b = bench();
    std::thread::scope(|s| {
        for core in 0..2u16 {
            let m = &b.machine;
            s.spawn(move || {
                for n in 0..1000u32 {
                    m.write(CoreId(core), 0x1_0000_0000 + BANKED, Width::B4, n.into()).unwrap();
                    assert_eq!(m.read(CoreId(core), 0x1_0000_0000 + BANKED, Width::B4), Ok(n.into()));
                    m.post(HostEvent { device: b.device, kind: HostEventKind::Pin { pin: usize::from(core), level: n % 2 == 0 } });
                    m.deliver_events();
                }
            });
        }
    });
    assert_eq!(b.machine.counters().events, 2000);
}
