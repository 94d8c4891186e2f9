//! What the board `pc` has been compared with: the documentation of QEMU's board of this name, and
//! what SeaBIOS looks for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use proteus_devices::REGISTRY;
use proteus_loader::Kernel;
use proteus_model::testing::MemoryImage;
use proteus_model::{CoreId, Line, Machine, Mapping, Props, Reset, SystemRequest, Width};

use crate::*;

const CORE: CoreId = CoreId(0);
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn config(memory: u64, cores: usize) -> BoardConfig {
    let cpu = Cpu { model: "qemu64".into(), architecture: Architecture::X86_64, compatible: String::new(), pmu: false };
    let mut c = BoardConfig::new(cpu, cores, memory);
    c.firmware = Some(Firmware { name: "fw".into(), bytes: (0..256 << 10).map(|n| (n >> 8) as u8).collect() });
    c
}

fn try_build(config: BoardConfig) -> Result<BuiltBoard, String> {
    (find("pc").unwrap().build)(config).map_err(|e| e.to_string())
}

fn build(config: BoardConfig) -> BuiltBoard {
    let board = try_build(config).unwrap();
    board.load().unwrap();
    board
}

fn outp(m: &Machine, port: u64, width: Width, value: u64) {
    m.pio_write(CORE, port, width, value).unwrap();
}

fn inp(m: &Machine, port: u64, width: Width) -> u64 {
    m.pio_read(CORE, port, width).unwrap()
}

fn cmos(m: &Machine, at: u64) -> u64 {
    outp(m, 0x70, Width::B1, at);
    inp(m, 0x71, Width::B1)
}

/// Configuration space of a function, by mechanism #1.
fn pci(m: &Machine, slot: u64, function: u64, at: u64) -> u64 {
    outp(m, 0xcf8, Width::B4, 0x8000_0000 | slot << 11 | function << 8 | at);
    inp(m, 0xcfc, Width::B4)
}

fn set_pci(m: &Machine, slot: u64, function: u64, at: u64, width: Width, value: u64) {
    outp(m, 0xcf8, Width::B4, 0x8000_0000 | slot << 11 | function << 8 | at & !3);
    outp(m, 0xcfc + (at & 3), width, value);
}

/// An item of the configuration device, byte by byte as a guest reads it.
fn item(m: &Machine, key: u64, len: usize) -> Vec<u8> {
    outp(m, 0x510, Width::B2, key);
    (0..len).map(|_| inp(m, 0x511, Width::B1) as u8).collect()
}

/// The files of the configuration device, by the directory as its specification has it.
fn files(m: &Machine) -> BTreeMap<String, Vec<u8>> {
    let be = |b: &[u8]| b.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    let count = be(&item(m, 0x19, 4));
    let directory = item(m, 0x19, 4 + 64 * count);
    directory[4..]
        .chunks(64)
        .map(|entry| {
            let name = String::from_utf8(entry[8..].iter().copied().take_while(|b| *b != 0).collect()).unwrap();
            (name, item(m, be(&entry[4..6]) as u64, be(&entry[..4])))
        })
        .collect()
}

fn e820(m: &Machine) -> Vec<(u64, u64, u32)> {
    let entry = |e: &[u8]| {
        let word = |at: usize| u64::from_le_bytes(e[at..at + 8].try_into().unwrap());
        (word(0), word(8), u32::from_le_bytes(e[16..20].try_into().unwrap()))
    };
    files(m)["etc/e820"].chunks(20).map(entry).collect()
}

#[test]
fn memory_is_where_firmware_is_told() {
    for (size, want) in [
        (128 * MIB, vec![(0, 128 * MIB, 1)]),
        (0xe000_0000, vec![(0, 0xe000_0000, 1)]),
        (0xe000_1000, vec![(0, 3 * GIB, 1), (4 * GIB, 0x2000_1000, 1)]),
        (5 * GIB, vec![(0, 3 * GIB, 1), (4 * GIB, 2 * GIB, 1)]),
    ] {
        let m = build(config(size, 1)).machine;
        assert_eq!(e820(&m), want, "{size:#x}");
        let low = want[0].1;
        let high = want.get(1).map_or(0, |h| h.1);
        let kib = |at: u64| cmos(&m, at) | cmos(&m, at + 1) << 8;
        assert_eq!((kib(0x15), kib(0x17), kib(0x30)), (640, (low / 1024 - 1024).min(0xffff), (low / 1024 - 1024).min(0xffff)));
        assert_eq!((kib(0x34) * 65536, (kib(0x5b) | cmos(&m, 0x5d) << 16) * 65536), ((low - 16 * MIB).min(0xffff << 16), high & !0xffff));
        for at in [0, 0x9_ffff, MIB, low - 1].into_iter().chain((high > 0).then_some(4 * GIB + high - 1)) {
            assert!(matches!(m.space().find(at), Some(Mapping::Ram { read_only: false, .. })), "{at:#x}");
        }
        for at in [0xa_0000, 0xc_0000, low, 4 * GIB + high] {
            assert!(m.space().find(at).is_none(), "{at:#x}");
        }
    }
}

#[test]
fn the_firmwares_end_is_below_1_mib_and_4_gib() {
    let m = build(config(64 * MIB, 1)).machine;
    for (at, byte) in [(0xfffc_0000u64, 0), (0xffff_fff0, 0xff), (0xf_fff0, 0xff), (0xe_0000, 0), (0xe_0100, 1)] {
        assert_eq!(m.read(CORE, at, Width::B1), Ok(byte), "{at:#x}");
    }
    assert!(m.write(CORE, 0xf_0000, Width::B1, 0).is_err());
    // Shadow RAM lies over it.
    set_pci(&m, 0, 0, 0x59, Width::B1, 0x30);
    m.write(CORE, 0xf_fff0, Width::B1, 0x12).unwrap();
    assert_eq!((m.read(CORE, 0xf_fff0, Width::B1), m.read(CORE, 0xffff_fff0, Width::B1)), (Ok(0x12), Ok(0xff)));
}

#[test]
fn functions_are_in_their_slots() {
    let mut c = config(64 * MIB, 1);
    c.graphics = true;
    let ty = REGISTRY.iter().find(|t| t.name == "virtio-rng-pci").unwrap();
    for (id, addr) in [("first", None), ("second", Some("7"))] {
        let props = addr.map_or_else(|| Props::new(ty), |a| Props::with(ty, &[("addr", a)]).unwrap());
        c.devices.push(PlugIn { ty, id: Some(id.into()), bus: None, nic: false, props, backends: vec![] });
    }
    let m = build(c).machine;
    for (slot, function, id) in [(0, 0, 0x1237_8086), (1, 0, 0x7000_8086), (1, 1, 0x7010_8086), (1, 3, 0x7113_8086), (2, 0, 0x1111_1234)] {
        assert_eq!(pci(&m, slot, function, 0), id, "{slot}.{function}");
    }
    assert_eq!((pci(&m, 3, 0, 0) & 0xffff, pci(&m, 7, 0, 0) & 0xffff, pci(&m, 4, 0, 0)), (0x1af4, 0x1af4, 0xffff_ffff));
    let word = |at: u64| pci(&m, 3, 0, at & !3) >> (8 * (at & 3));
    let capabilities = std::iter::successors(Some(word(0x34) & 0xff), |at| Some(word(at + 1) & 0xff)).take_while(|at| *at != 0);
    assert_eq!(capabilities.map(|at| word(at) & 0xff).collect::<Vec<_>>(), [9, 9, 9, 9, 9, 0x11], "virtio's, and MSI-X");
    // Firmware takes system management mode for set up.
    assert_eq!(pci(&m, 1, 3, 0x58) >> 24, 2);
}

/// As QEMU's board and SeaBIOS have it: slot 1 INTA is the first interrupt, slot 3 INTA the third.
#[test]
fn pci_interrupts_reach_both_controllers() {
    assert_eq!([(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (1, 4)].map(|(slot, pin)| pc::route(slot, pin)), [0, 1, 2, 3, 0, 3]);
    let m = build(config(64 * MIB, 1)).machine;
    let sent = Arc::new(Mutex::new(vec![]));
    let to = sent.clone();
    m.set_message_sink(Box::new(move |address, data| to.lock().push((address, data))));
    let redirect = |input: u64, value: u64| {
        m.write(CORE, 0xfec0_0000, Width::B4, 0x10 + 2 * input).unwrap();
        m.write(CORE, 0xfec0_0010, Width::B4, value).unwrap();
    };
    for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0xa0, 0x11), (0xa1, 0x28), (0xa1, 2), (0xa1, 1), (0x4d1, 0x0c)] {
        outp(&m, port, Width::B1, value);
    }
    redirect(11, 0x8041);
    set_pci(&m, 1, 0, 0x62, Width::B1, 11);
    let bridge = m.device("piix3").unwrap();
    let pin = m.input_pin(bridge, "pirq", 2).unwrap();
    m.drive_input(bridge, pin, true);
    assert_eq!(sent.lock().pop(), Some((0xfee0_0000, 0xc041)));
    assert!(m.core_lines(CORE).unwrap().level(Line::IRQ));
    assert_eq!(m.pio_read(CORE, 0x1_0000_0000, Width::B1), Ok(0x2b), "the acknowledge");
    m.drive_input(bridge, pin, false);
    // The timer is at input 2.
    redirect(2, 0x30);
    for (port, value) in [(0x43, 0x34), (0x40, 0), (0x40, 1)] {
        outp(&m, port, Width::B1, value);
    }
    m.clock().set(m.clock().now() + 1_000_000);
    m.run_alarms(m.clock().now());
    assert!(sent.lock().contains(&(0xfee0_0000, 0x30)));
}

/// Where the interrupt controllers are not the board's, its interrupts are lines that end outside.
#[test]
fn interrupts_go_outside_where_the_controllers_are() {
    let sent = Arc::new(Mutex::new(vec![]));
    for (name, chips) in [("pc", ["pic", "ioapic", "pit"]), ("microvm", ["pic", "ioapic", "pit"])] {
        let mut c = config(64 * MIB, 1);
        c.interrupts = Interrupts::Outside;
        let board = (find(name).unwrap().build)(c).map_err(|e| e.to_string()).unwrap();
        let m = board.machine;
        for chip in chips {
            assert!(m.device(chip).is_none(), "{name}: {chip}");
        }
        let Cores::X86(cores) = board.cores else { panic!("{name}") };
        assert_eq!((cores.acknowledge_port, cores.end_of_interrupt, cores.interrupts), (None, None, Interrupts::Outside));
        let to = sent.clone();
        m.set_line_sink(Box::new(move |line, level| to.lock().push((line, level))));
        // The clock's periodic interrupt.
        for (at, value) in [(0xa, 0x26), (0xb, 0x42)] {
            outp(&m, 0x70, Width::B1, at);
            outp(&m, 0x71, Width::B1, value);
        }
        m.clock().set(m.clock().now() + 1_000_000_000);
        m.run_alarms(m.clock().now());
        assert_eq!(std::mem::take(&mut *sent.lock()).first(), Some(&(8, true)), "{name}");
        if name == "pc" {
            set_pci(&m, 1, 0, 0x62, Width::B1, 11);
            let bridge = m.device("piix3").unwrap();
            let pin = m.input_pin(bridge, "pirq", 2).unwrap();
            m.drive_input(bridge, pin, true);
            m.drive_input(bridge, pin, false);
            assert_eq!(std::mem::take(&mut *sent.lock()), [(11, true), (11, false)]);
        }
    }
}

#[test]
fn the_guest_resets_and_turns_off() {
    let m = build(config(64 * MIB, 1)).machine;
    for (port, value) in [(0xcf9, 6), (0x64, 0xfe)] {
        outp(&m, port, Width::B1, value);
        assert_eq!(m.take_request(), Some(SystemRequest::Reset), "{port:#x}");
    }
    outp(&m, 0x505, Width::B1, 1);
    assert_eq!(m.take_request(), Some(SystemRequest::Panic));
    // As SeaBIOS places the power management ports.
    set_pci(&m, 1, 3, 0x40, Width::B4, 0x601);
    set_pci(&m, 1, 3, 0x80, Width::B1, 1);
    outp(&m, 0xb2, Width::B1, 0xf1);
    assert_eq!(inp(&m, 0x604, Width::B2), 1, "ACPI is on");
    outp(&m, 0x604, Width::B2, 0x2001);
    assert_eq!(m.take_request(), Some(SystemRequest::PowerOff));
}

#[test]
fn firmware_is_told_what_it_asks_for() {
    let mut c = config(64 * MIB, 3);
    c.boot.order = Some("dc".into());
    c.boot.menu = true;
    c.fw_cfg.push(("opt/test".into(), b"mine".to_vec()));
    c.ide = vec![None, Some(IdeDrive { cdrom: false, image: Some(Arc::new(MemoryImage::new(vec![0; 512], false))) })];
    let m = build(c).machine;
    assert_eq!((item(&m, 5, 2), item(&m, 0xf, 2), item(&m, 0xe, 2)), (vec![3, 0], vec![3, 0], vec![1, 0]));
    assert_eq!(item(&m, 0x8002, 4), [1, 0, 0, 0]);
    assert_eq!((cmos(&m, 0x3d), cmos(&m, 0x38), cmos(&m, 0x5f), cmos(&m, 0x10), cmos(&m, 0x39)), (0x23, 1, 2, 0, 0));
    let files = files(&m);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["etc/acpi/rsdp", "etc/acpi/tables", "etc/e820", "etc/pvpanic-port", "etc/table-loader", "opt/test"]);
    assert_eq!((files["opt/test"].as_slice(), files["etc/pvpanic-port"].as_slice()), (&b"mine"[..], &[5, 5][..]));
    let m = build(config(64 * MIB, 1)).machine;
    assert_eq!((cmos(&m, 0x3d), cmos(&m, 0x38)), (0x12, 0x31), "disk, floppy drive, CD drive");
}

/// The controllers wait for edges, of which each byte of an answer is to make one.
#[test]
fn each_byte_of_the_keyboard_interrupts() {
    let m = build(config(64 * MIB, 1)).machine;
    for (port, value) in [(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xfd), (0x64, 0x60), (0x60, 0x41), (0x60, 0xf2)] {
        outp(&m, port, Width::B1, value);
    }
    for byte in [0xfa, 0xab, 0x41] {
        // A poll takes the interrupt as a processor does, which ends with an EOI.
        outp(&m, 0x20, Width::B1, 0x0c);
        assert_eq!(inp(&m, 0x20, Width::B1), 0x81, "before {byte:x}");
        assert_eq!(inp(&m, 0x60, Width::B1), byte);
        outp(&m, 0x20, Width::B1, 0x20);
    }
    outp(&m, 0x20, Width::B1, 0x0c);
    assert_eq!(inp(&m, 0x20, Width::B1) & 0x80, 0);
}

#[test]
fn resets_by_port_92_and_by_the_reset_control_register() {
    for (port, values) in [(0x92, &[1][..]), (0xcf9, &[4]), (0xcf9, &[2, 6])] {
        let m = build(config(64 * MIB, 1)).machine;
        values.iter().for_each(|value| outp(&m, port, Width::B1, *value));
        assert_eq!(m.take_request(), Some(SystemRequest::Reset), "{port:x} {values:x?}");
    }
}

#[test]
fn the_order_of_boot_devices_is_that_of_their_indices() {
    let disks = |indices: &[Option<&str>], change: fn(&mut BoardConfig)| {
        let mut c = config(64 * MIB, 1);
        change(&mut c);
        let ty = REGISTRY.iter().find(|t| t.name == "virtio-blk-pci").unwrap();
        for (n, index) in indices.iter().enumerate() {
            let id = format!("disk{n}");
            let mut given = vec![("drive", id.as_str())];
            given.extend(index.map(|index| ("bootindex", index)));
            let backend = Backend::Block(Arc::new(MemoryImage::new(vec![0; 512], false)));
            c.devices.push(PlugIn {
                ty,
                id: Some(id.clone()),
                bus: None,
                nic: false,
                props: Props::with(ty, &given).unwrap(),
                backends: vec![("drive".into(), backend)],
            });
        }
        try_build(c).map(|board| files(&board.machine).remove("bootorder").map(|order| String::from_utf8(order).unwrap()))
    };
    // Without a graphics card, the first is in slot 2.
    let (second, fourth) = ("/pci@i0cf8/scsi@3/disk@0,0", "/pci@i0cf8/scsi@5/disk@0,0");
    let indices = [None, Some("10"), None, Some("9")];
    assert_eq!(disks(&indices, |_| ()), Ok(Some(format!("{fourth}\n{second}\0"))));
    assert_eq!(disks(&indices, |c| c.boot.strict = true), Ok(Some(format!("{fourth}\n{second}\nHALT\0"))));
    assert_eq!(disks(&[None], |c| c.boot.strict = true), Ok(None));
    let text = disks(&[Some("1"), Some("1")], |_| ()).unwrap_err();
    assert!(text.contains("bootindex=1 already"), "{text}");
}

#[test]
fn once_is_until_the_machine_is_reset() {
    let mut c = config(64 * MIB, 1);
    c.boot.once = Some("d".into());
    c.boot.order = Some("nc".into());
    let m = build(c).machine;
    assert_eq!((cmos(&m, 0x3d), cmos(&m, 0x38)), (0x03, 1));
    m.reset(Reset::Warm);
    assert_eq!((cmos(&m, 0x3d), cmos(&m, 0x38)), (0x24, 1));
    let m = build(config(64 * MIB, 1)).machine;
    outp(&m, 0x70, Width::B1, 0x3d);
    outp(&m, 0x71, Width::B1, 0x7f);
    m.reset(Reset::Warm);
    assert_eq!(cmos(&m, 0x3d), 0x7f, "the guest's own");
}

#[test]
fn a_kernel_is_given_to_the_option_rom() {
    let mut bytes = vec![0x90; 3000];
    bytes[0x1f1..0x268].fill(0);
    for (at, value) in [
        (0x1f1, &[1][..]),
        (0x1fe, &[0x55, 0xaa]),
        (0x202, b"HdrS"),
        (0x206, &[0x0c, 2]),
        (0x211, &[1]),
        (0x22c, &[0xff, 0xff, 0xff, 0x37]),
        (0x238, &[0xff, 0, 0, 0]),
    ] {
        bytes[at..at + value.len()].copy_from_slice(value);
    }
    let mut c = config(64 * MIB, 1);
    c.kernel = Some(Kernel::from_bytes(Path::new("bzImage"), bytes, MIB).unwrap());
    c.initrd = Some(vec![7; 5000]);
    c.command_line = Some("quiet".into());
    let m = build(c).machine;
    let word = |key: u64| u32::from_le_bytes(item(&m, key, 4).try_into().unwrap());
    assert_eq!(([0x16, 0x13, 7].map(word), [0x17, 0x14, 8, 0xb].map(word)), ([0x1_0000, 0x2_0000, 0x10_0000], [1024, 6, 1976, 5000]));
    // Below what firmware may keep at the end of memory.
    assert_eq!(word(0xa), (64 * MIB - 256 * 1024 - 5000) as u32 & !0xfff);
    assert_eq!((item(&m, 0x15, 6), item(&m, 0x12, 2), item(&m, 0x11, 2)), (b"quiet\0".to_vec(), vec![7, 7], vec![0x90, 0x90]));
    assert_eq!(item(&m, 0x18, 1024)[0x228..0x22c], [0, 0, 2, 0]);
    let files = files(&m);
    assert_eq!(files["bootorder"], b"/rom@genroms/linuxboot.bin\0");
    let rom = &files["genroms/linuxboot.bin"];
    assert_eq!((rom[..3].to_vec(), rom.iter().fold(0u8, |sum, b| sum.wrapping_add(*b))), (vec![0x55, 0xaa, (rom.len() / 512) as u8], 0));
}

#[test]
fn what_the_board_has_not_is_refused() {
    type Change = fn(&mut BoardConfig);
    let cases: &[(&str, Change)] = &[
        ("-cpu cortex-a53", |c| c.cpu.model = "cortex-a53".into()),
        ("-smp 256", |c| c.cores = 256),
        ("2 MiB to 255 GiB", |c| c.memory = MIB),
        ("-dtb", |c| c.dtb = Some(vec![])),
        ("-initrd only", |c| c.initrd = Some(vec![])),
        ("-append only", |c| c.command_line = Some("x".into())),
        ("if=pflash", |c| c.pflash = vec![None]),
        ("four IDE drives", |c| c.ide = vec![None; 5]),
        ("4 serial ports", |c| c.serials = vec![None; 5]),
        ("needs firmware", |c| c.firmware = None),
        ("pages of 4 KiB", |c| c.firmware = Some(Firmware { name: "fw".into(), bytes: vec![0; 100] })),
        ("'x' is no boot device", |c| c.boot.order = Some("cx".into())),
        ("at most 3 devices", |c| c.boot.order = Some("acdn".into())),
        ("-boot once=e: 'e' is no boot device", |c| c.boot.once = Some("e".into())),
        ("no such property", |c| c.properties = vec![("foo".into(), "on".into())]),
    ];
    for (want, change) in cases {
        let mut c = config(64 * MIB, 1);
        change(&mut c);
        let text = try_build(c).unwrap_err();
        assert!(text.contains(want), "{want}: {text}");
    }
}
