//! What the Malta board has been compared with: the manual, and QEMU's board of this name.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use proteus_devices::REGISTRY;
use proteus_loader::Kernel;
use proteus_model::testing::MemoryImage;
use proteus_model::{BlockPort, Bus, BusFault, CharPort, CoreId, Line, Machine, Props, Reset, Width};

use crate::*;

const CORE: CoreId = CoreId(0);
const ORDERS: [bool; 2] = [false, true];

fn config(is_64: bool, big_endian: bool) -> BoardConfig {
    let model = if is_64 { "MIPS64R2-generic" } else { "24Kf" };
    let cpu = Cpu { model: model.into(), architecture: Architecture::Mips { is_64, big_endian }, compatible: "mti,cpu".into(), pmu: false };
    BoardConfig::new(cpu, 1, 128 << 20)
}

/// With some firmware.
fn plain(big_endian: bool) -> BoardConfig {
    let mut c = config(false, big_endian);
    c.firmware = Some(Firmware { name: "fw".into(), bytes: (0..=255u8).cycle().take(0x2000).collect() });
    c
}

fn try_build(config: BoardConfig) -> Result<BuiltBoard, String> {
    (find("malta").unwrap().build)(config).map_err(|e| e.to_string())
}

fn build(config: BoardConfig) -> BuiltBoard {
    let board = try_build(config).unwrap();
    board.load().unwrap();
    board
}

fn read(m: &Machine, at: u64) -> u32 {
    m.read(CORE, at, Width::B4).unwrap() as u32
}

fn bytes(m: &Machine, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    m.peek(at, &mut bytes).unwrap();
    bytes
}

fn start(board: &BuiltBoard) -> u64 {
    match &board.cores {
        Cores::Mips(cores) => cores.start[0].pc,
        other => panic!("{other:?}"),
    }
}

/// A word that a program on the board reads or writes, from the bus and back.
fn order(big_endian: bool, value: u32) -> u32 {
    if big_endian { value.swap_bytes() } else { value }
}

/// An ELF file with one segment of code and as many zeros behind it.
fn elf(is_64: bool, big_endian: bool, machine: u16, address: u64, entry: u64, code: &[u8]) -> Kernel {
    let mut b = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(is_64), 1 + u8::from(big_endian), 1];
    b.resize(16, 0);
    let put = |b: &mut Vec<u8>, value: u64, len: usize| match big_endian {
        true => b.extend(&value.to_be_bytes()[8 - len..]),
        false => b.extend(&value.to_le_bytes()[..len]),
    };
    let word = if is_64 { 8 } else { 4 };
    let (header, segment) = if is_64 { (64, 56) } else { (52, 32) };
    for (value, len) in
        [(2, 2), (machine.into(), 2), (1, 4), (entry, word), (header, word), (0, word), (0, 4), (header, 2), (segment, 2), (1, 2), (0, 2), (0, 2), (0, 2)]
    {
        put(&mut b, value, len);
    }
    let (offset, size) = (header + segment, code.len() as u64);
    put(&mut b, 1, 4);
    if is_64 {
        put(&mut b, 7, 4);
    }
    for value in [offset, address, address, size, 2 * size] {
        put(&mut b, value, word);
    }
    if !is_64 {
        put(&mut b, 7, 4);
    }
    put(&mut b, 0x1000, word);
    b.extend(code);
    Kernel::from_bytes(Path::new("vmlinux"), b, 1 << 30).unwrap()
}

#[test]
fn memory_has_the_places_that_qemus_has() {
    for (size, low, high) in
        [(64u64 << 20, 64u64 << 20, None), (300 << 20, 256 << 20, None), (1 << 30, 256 << 20, Some(0x4000_0000u64)), (2 << 30, 256 << 20, Some(0x8000_0000))]
    {
        let mut c = plain(false);
        c.memory = size;
        let board = build(c);
        let m = &board.machine;
        m.write(CORE, 0x8000_0000 + size - 4, Width::B4, 7).unwrap();
        m.write(CORE, low - 4, Width::B4, 8).unwrap();
        assert_eq!(read(m, 0x8000_0000 + low - 4), 8, "{size:#x}");
        assert!(m.read(CORE, 0x8000_0000 + size, Width::B4).is_err());
        match high {
            Some(end) => assert_eq!(read(m, end - 4), 7, "{size:#x}"),
            None => assert_eq!(m.read(CORE, 0x2000_0000, Width::B4), Err(BusFault::Unmapped)),
        }
    }
}

#[test]
fn firmware_is_in_the_flash_and_at_the_reset_vector_with_the_revision() {
    for big in ORDERS {
        let board = build(plain(big));
        let m = &board.machine;
        assert_eq!(start(&board), 0xffff_ffff_bfc0_0000);
        // The word 0 1 2 3 in big-endian order.
        assert_eq!(order(big, read(m, 0x1e00_0000)), 0x0001_0203);
        assert_eq!(order(big, read(m, 0x1fc0_0000)), 0x0001_0203);
        assert_eq!(order(big, read(m, 0x1e00_0010)), 0x1011_1213);
        assert_eq!(order(big, read(m, 0x1fc0_0010)), 0x420);
        assert_eq!(order(big, read(m, 0x1fc0_0ffc)), 0xfcfd_feff);
        assert_eq!(order(big, read(m, 0x1fc0_1004)), 0x0405_0607);
        assert_eq!(m.write(CORE, 0x1fc0_1004, Width::B4, 0), Err(BusFault::ReadOnly));
        // What is programmed into the flash is seen in its other place, in the first page after a reset.
        for at in [0x1e00_0000, 0x1e00_1000] {
            m.write(CORE, at, Width::B4, order(big, 0x40).into()).unwrap();
            m.write(CORE, at, Width::B4, 0).unwrap();
            m.write(CORE, at, Width::B4, order(big, 0xff).into()).unwrap();
        }
        assert_eq!((order(big, read(m, 0x1fc0_0000)), read(m, 0x1fc0_1000)), (0x0001_0203, 0));
    }
}

#[test]
fn a_flash_image_is_kept_in_the_order_of_the_file() {
    for big in ORDERS {
        let mut contents = vec![0xff; 4 << 20];
        contents[..8].copy_from_slice(&[0, 1, 2, 3, 4, 5, 6, 7]);
        contents[0x3e_0000..0x3e_0008].copy_from_slice(&[0, 1, 2, 3, 4, 5, 6, 7]);
        let image = Arc::new(MemoryImage::new(contents, false));
        let mut c = config(false, big);
        c.pflash = vec![Some(image.clone())];
        let board = build(c);
        let m = &board.machine;
        assert_eq!((order(big, read(m, 0x1e00_0000)), order(big, read(m, 0x1fc0_0004))), (0x0001_0203, 0x0405_0607));
        // The environment of the monitor is bytes.
        assert_eq!(read(m, 0x1e3e_0000), 0x0302_0100);
        let program = |at: u64, width: Width, value: u64| {
            m.write(CORE, at, Width::B4, order(big, 0x40).into()).unwrap();
            m.write(CORE, at, width, value).unwrap();
            m.write(CORE, at & !3, Width::B4, order(big, 0xff).into()).unwrap();
        };
        program(0x1e00_1000, Width::B4, order(big, 0x1234_5678).into());
        program(0x1e3f_0000, Width::B4, 0x4433_2211);
        assert_eq!(image.contents()[0x1000..0x1004], [0x12, 0x34, 0x56, 0x78]);
        assert_eq!(image.contents()[0x3f_0000..0x3f_0004], [0x11, 0x22, 0x33, 0x44]);
        assert_eq!(board.ports.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["flash"]);
    }
}

/// Strings and pointers of an argument or environment table.
fn table(m: &Machine, at: u64, big: bool, most: usize) -> Vec<String> {
    let pointers = (0..most as u64).map(|n| order(big, read(m, at + 4 * n))).take_while(|p| *p != 0);
    let text = |p: u32| {
        let all = bytes(m, u64::from(p) & 0x1fff_ffff, 0x1100);
        String::from_utf8(all.into_iter().take_while(|b| *b != 0).collect()).unwrap()
    };
    pointers.map(text).collect()
}

#[test]
fn kernels_are_entered_by_the_monitors_protocol() {
    for (is_64, big) in [(false, false), (false, true), (true, false), (true, true)] {
        let base: u64 = if is_64 { 0xffff_ffff_8010_0000 } else { 0x8010_0000 };
        let mut c = config(is_64, big);
        c.kernel = Some(elf(is_64, big, 8, base, base + 0x40, &[0x5a; 0x1000]));
        c.initrd = Some(vec![0x77; 100_000]);
        c.command_line = Some("console=ttyS0 hello".into());
        c.seeds = Seeds { kaslr: 0, rng: [0xa5; 32] };
        let mut board = build(c);
        let m = board.machine.clone();
        assert_eq!(start(&board), 0xffff_ffff_bfc0_0000);
        assert_eq!((read(&m, 0x10_0ffc), read(&m, 0x10_1ffc), read(&m, 0x7fd_0000)), (0x5a5a_5a5a, 0, 0x7777_7777));
        // What the boot program puts into registers: as QEMU's leaves them.
        let parameters: Vec<u32> = (0..6).map(|n| order(big, read(&m, 0x1fc0_0f00 + 4 * n))).collect();
        assert_eq!(parameters, [0x8010_0040, 2, 0x8000_2000, 0x8000_2008, 0x0800_0000, 0x8000_1fc0]);
        let expected = ["vmlinux", "rd_start=0xffffffff87fd0000 rd_size=100000 console=ttyS0 hello"];
        let variables = ["memsize", "134217728", "ememsize", "134217728", "modetty0", "38400n8r", "rngseed"];
        let (a5, b6) = ("a5".repeat(32), "b6".repeat(32));
        let all: Vec<&str> = expected.into_iter().chain(variables).collect();
        assert_eq!(table(&m, 0x2000, big, 16), [all.as_slice(), &[a5.as_str()]].concat(), "{is_64} {big}");
        // The monitor's calls, and the revision.
        assert_eq!(order(big, read(&m, 0x1fc0_0010)), 0x420);
        for at in [0x504, 0x520, 0x52c, 0x534, 0x538, 0x550, 0x554] {
            let call = order(big, read(&m, 0x1fc0_0000 + at));
            assert!((0x9fc0_0580..0x9fc0_0f00).contains(&call), "{at:#x}: {call:#x}");
        }
        // A reset draws another seed, and puts back what the guest has overwritten.
        m.write(CORE, 0x2000, Width::B4, 0).unwrap();
        m.reset(Reset::Warm);
        board.reseed(Seeds { kaslr: 0, rng: [0xb6; 32] }).unwrap();
        board.load().unwrap();
        assert_eq!(table(&m, 0x2000, big, 16), [all.as_slice(), &[b6.as_str()]].concat(), "{is_64} {big}");
    }
}

#[test]
fn long_command_lines_are_whole_and_large_memory_is_told_of() {
    let mut c = config(false, false);
    c.memory = 1 << 30;
    c.kernel = Some(elf(false, false, 8, 0x8010_0000, 0x8010_0000, &[1; 16]));
    c.command_line = Some("x".repeat(4000));
    let m = build(c).machine;
    let all = table(&m, 0x2000, false, 16);
    assert_eq!((all[1].len(), all[3].as_str(), all[5].as_str()), (4000, "268435456", "1073741824"));
}

#[test]
fn kernels_may_lie_in_any_segment_that_is_not_mapped() {
    for (is_64, base) in [(false, 0xa010_0000), (false, 0x10_0000), (true, 0x9800_0000_0010_0000), (true, 0xffff_ffff_a010_0000)] {
        let mut c = config(is_64, true);
        let entry = if is_64 { 0xffff_ffff_8010_0000 } else { base };
        c.kernel = Some(elf(is_64, true, 8, base, entry, &[0x5a; 16]));
        assert_eq!(read(&build(c).machine, 0x10_0000), 0x5a5a_5a5a, "{base:#x}");
    }
}

#[test]
fn the_initial_ram_disk_is_behind_a_kernel_that_fills_memory() {
    let mut c = config(false, false);
    c.kernel = Some(elf(false, false, 8, 0x8000_4000, 0x8000_4000, &vec![1; 60 << 20]));
    c.initrd = Some(vec![0x77; 0x7e_8000]);
    let m = build(c).machine;
    assert_eq!((read(&m, 0x780_0000), read(&m, 0x781_0000)), (0, 0x7777_7777));
}

#[test]
fn a_program_of_the_loader_device_is_started_too() {
    let item = |address, contents, core| LoaderItem { name: "x".into(), address, contents, core };
    let mut c = config(false, false);
    c.loader = vec![
        item(None, LoaderContents::Image(elf(false, false, 8, 0x8020_0000, 0x8020_0008, &[3; 16])), Some(0)),
        item(Some(0x9000_0000), LoaderContents::Nothing, None),
    ];
    let board = build(c);
    assert_eq!((start(&board), read(&board.machine, 0x20_0004)), (0xffff_ffff_8020_0008, 0x0303_0303));
}

#[test]
fn without_anything_the_built_in_firmware_is_in_the_flash() {
    for big_endian in [false, true] {
        let mut c = config(false, big_endian);
        c.firmware = None;
        let board = build(c);
        assert!(board.loads.iter().any(|l| l.name == "built-in firmware"), "{big_endian}");
        assert_eq!(start(&board), 0xffff_ffff_bfc0_0000);
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    type Change = fn(&mut BoardConfig);
    let cases: &[(Change, &str)] = &[
        (|c| c.cpu.model = "cortex-a53".into(), "takes one of: 4Kc"),
        (|c| c.cpu.architecture = Architecture::Aarch64, "a MIPS processor"),
        (|c| c.cores = 2, "one core"),
        (|c| c.memory = 4 << 30, "2 GiB"),
        (|c| c.properties = vec![("gic-version".into(), "3".into())], "no such property"),
        (|c| c.dtb = Some(vec![0]), "-dtb"),
        (|c| c.fw_cfg = vec![("opt/x".into(), vec![])], "-fw_cfg"),
        (|c| c.initrd = Some(vec![0]), "-kernel"),
        (|c| c.command_line = Some("x".into()), "-kernel"),
        (|c| c.firmware = Some(Firmware { name: "big".into(), bytes: vec![0; (4 << 20) + 1] }), "more than the flash holds"),
        (|c| c.pflash = vec![Some(Arc::new(MemoryImage::new(vec![0; 4 << 20], false)))], "give one of them"),
        (|c| c.pflash = vec![None, None], "one flash memory"),
        (|c| c.serials = vec![None, None, None, None], "three serial ports"),
        (|c| c.ide = vec![Some(IdeDrive { cdrom: false, image: None })], "a disk needs an image"),
        (|c| c.ide = vec![None; 5], "four IDE drives"),
        (|c| c.kernel = Some(elf(false, false, 8, 0x8010_0000, 0x8010_0000, &[1])), "-bios and -kernel"),
        (|c| c.loader = vec![LoaderItem { name: "x".into(), address: Some(0), contents: LoaderContents::Nothing, core: Some(1) }], "cpu-num=1"),
    ];
    for (change, part) in cases {
        let mut c = plain(false);
        change(&mut c);
        let error = try_build(c).unwrap_err();
        assert!(error.contains(part), "{error:?} says nothing of {part:?}");
    }
    let kernel = |is_64, big, machine, base: u64, entry: u64| {
        let mut c = config(false, false);
        c.kernel = Some(elf(is_64, big, machine, base, entry, &[1; 0x1000]));
        try_build(c).unwrap_err()
    };
    for (error, part) in [
        (kernel(false, true, 8, 0x8010_0000, 0x8010_0000), "it is big-endian, and this machine is little-endian"),
        (kernel(true, false, 8, 0x8010_0000, 0x8010_0000), "64 bits"),
        (kernel(false, false, 40, 0x8010_0000, 0x8010_0000), "it is for Arm"),
        (kernel(false, false, 8, 0x8800_0000, 0x8800_0000), "does not fit in guest memory"),
        (kernel(false, false, 8, 0x8000_2000, 0x8000_2000), "overwrite each other"),
    ] {
        assert!(error.contains(part), "{error:?} says nothing of {part:?}");
    }
    let mut c = config(true, false);
    c.kernel = Some(elf(true, false, 8, 0x9800_0000_0010_0000, 0x9800_0000_0010_0000, &[1; 16]));
    assert!(try_build(c).unwrap_err().contains("link it to KSEG0"));
    let mut c = config(false, false);
    c.kernel = Some(Kernel::from_bytes(Path::new("raw"), vec![1; 64], 1 << 20).unwrap());
    assert!(try_build(c).unwrap_err().contains("no ELF file"));
    let mut c = config(false, false);
    c.pflash = vec![Some(Arc::new(MemoryImage::new(vec![0; 512], false)))];
    assert!(try_build(c).unwrap_err().contains("truncate -s 4M"));
}

/// The south bridge's ports, through the GT-64120 as it is after a reset.
const IO: u64 = 0x1000_0000;

fn out(m: &Machine, port: u64, value: u8) {
    m.write(CORE, IO + port, Width::B1, value.into()).unwrap();
}

/// A configuration cycle of the bridge.
fn config_read(m: &Machine, big: bool, device: u32, function: u32, register: u32) -> u32 {
    let address = 0x8000_0000 | device << 11 | function << 8 | register;
    m.write(CORE, 0x1400_0cf8, Width::B4, address.into()).unwrap();
    // The bridge's own registers are little-endian, others in the processor's order.
    let value = read(m, 0x1400_0cfc);
    if device == 0 { value } else { order(big, value) }
}

#[test]
fn the_functions_of_the_pci_bus_are_qemus_except_usb() {
    for big in ORDERS {
        let m = build(plain(big)).machine;
        for (device, function, id) in
            [(0, 0, 0x4620_11ab), (10, 0, 0x7110_8086), (10, 1, 0x7111_8086), (10, 2, 0xffff_ffff), (10, 3, 0x7113_8086), (11, 0, 0xffff_ffff)]
        {
            assert_eq!(config_read(&m, big, device, function, 0), id, "{device}.{function}");
        }
        assert_eq!(config_read(&m, big, 10, 0, 0xc), 0x0080_0000, "several functions");
    }
}

struct Console(Mutex<Vec<u8>>);

impl CharPort for Console {
    fn send(&self, bytes: &[u8]) -> usize {
        self.0.lock().extend_from_slice(bytes);
        bytes.len()
    }
}

#[test]
fn serial_ports_are_wired_to_the_host_and_to_their_interrupts() {
    let consoles: Vec<Arc<Console>> = (0..3).map(|_| Arc::new(Console(Mutex::default()))).collect();
    let mut c = plain(false);
    c.serials = consoles.iter().map(|c| Some(c.clone() as Arc<dyn CharPort>)).collect();
    let board = build(c);
    let m = &board.machine;
    let mut names: Vec<&str> = board.ports.iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["serial0", "serial1", "serial2"]);
    // Both interrupt controllers, with vectors from 0x20, all interrupts on.
    for (port, words) in [(0x20, [0x11, 0x20, 4, 1]), (0xa0, [0x11, 0x28, 2, 1])] {
        out(m, port, words[0]);
        words[1..].iter().for_each(|w| out(m, port + 1, *w));
        out(m, port + 1, 0);
    }
    let level = |line| m.core_lines(CORE).unwrap().level(Line(line));
    let port = |name: &str| board.ports.iter().find(|p| p.name == name).unwrap().device;
    for (n, (name, base, stride, irq)) in
        [("serial0", IO + 0x3f8, 1, Some(4)), ("serial1", IO + 0x2f8, 1, Some(3)), ("serial2", 0x1f00_0900, 8, None)].into_iter().enumerate()
    {
        m.write(CORE, base + 3 * stride, Width::B1, 3).unwrap();
        m.write(CORE, base, Width::B1, u64::from(b'0') + n as u64).unwrap();
        assert_eq!(*consoles[n].0.lock(), [b'0' + n as u8], "{name}");
        // Received data interrupts; OUT2 lets it through, and RTS asks for it.
        m.write(CORE, base + 4 * stride, Width::B1, 0xa).unwrap();
        m.write(CORE, base + stride, Width::B1, 1).unwrap();
        assert!(!level(2) && !level(4), "{name}");
        m.port(port(name), "chardev").unwrap().bytes(b"x");
        m.deliver_events();
        assert_eq!((level(2), level(4)), (irq.is_some(), irq.is_none()), "{name}");
        if let Some(irq) = irq {
            // The bridge acknowledges the interrupt.
            assert_eq!(read(m, 0x1400_0c34), 0x20 + irq, "{name}");
            out(m, 0x20, 0x20);
        }
        assert_eq!(m.read(CORE, base, Width::B1), Ok(b'x'.into()));
        assert!(!level(2) && !level(4), "{name}");
    }
}

fn device(ty: &str, properties: &[(&str, &str)]) -> PlugIn {
    let ty = REGISTRY.iter().copied().find(|t| t.name == ty).unwrap();
    PlugIn { ty, id: None, bus: None, nic: false, props: Props::with(ty, properties).unwrap(), backends: vec![] }
}

#[test]
fn plugged_in_devices_have_the_slots_that_qemu_gives_them() {
    let mut c = plain(false);
    let rng = |addr: Option<&str>| device("virtio-rng-pci", addr.map(|a| ("addr", a)).as_slice());
    c.devices = vec![rng(None), rng(Some("12")), rng(Some("0xc.0")), PlugIn { bus: Some("pci".into()), id: Some("rtc".into()), ..rng(None) }];
    let m = build(c).machine;
    let there: Vec<u32> = (0..32).filter(|n| config_read(&m, false, *n, 0, 0) & 0xffff == 0x1af4).collect();
    assert_eq!(there, [0xc, 0x12, 0x13, 0x14]);
    // The bridge delivers no messages: virtio's five capabilities are there, MSI-X is not.
    let word = |at: u32| config_read(&m, false, 0xc, 0, at & !3) >> (8 * (at & 3));
    let capabilities = std::iter::successors(Some(word(0x34) & 0xff), |at| Some(word(at + 1) & 0xff)).take_while(|at| *at != 0);
    assert_eq!(capabilities.map(|at| word(at) & 0xff).collect::<Vec<_>>(), [9; 5]);
    let refused = |devices| {
        let mut c = plain(false);
        c.devices = devices;
        try_build(c).unwrap_err()
    };
    for (devices, part) in [
        (vec![rng(Some("12")), rng(Some("12"))], "slot 0x12 of the PCI bus has a device already"),
        (vec![rng(Some("a"))], "slot 0xa"),
        (vec![rng(Some("13.1"))], "function 0"),
        (vec![PlugIn { bus: Some("pcie.0".into()), ..rng(None) }], "no bus 'pcie.0'"),
        (vec![device("virtio-rng-device", &[])], "PCI bus only"),
        ((0..15).map(|_| rng(None)).collect(), "all slots"),
        (vec![device("virtio-blk-pci", &[("drive", "hd"), ("bootindex", "0")])], "the firmware of malta takes no bootindex="),
        (vec![device("virtio-rng-pci", &[("vectors", "3")])], "vectors=3: the malta board takes no interrupt messages"),
    ] {
        let error = refused(devices);
        assert!(error.contains(part), "{error:?} says nothing of {part:?}");
    }
}

#[test]
fn pci_interrupts_go_where_the_manual_has_them() {
    use crate::malta::route;
    // Slots and what INTA to INTD are of the south bridge's, by table "PCI interrupts".
    for (slot, routes) in [(18, [0, 1, 2, 3]), (19, [1, 2, 3, 0]), (20, [2, 3, 0, 1]), (21, [3, 0, 1, 2])] {
        assert_eq!([1, 2, 3, 4].map(|pin| route(slot, pin)), routes, "{slot}");
    }
    assert_eq!((route(10, 4), route(11, 1), route(12, 1)), (3, 1, 2));
}

#[test]
fn ide_drives_are_at_their_channels() {
    let disk = |n: u8| -> Arc<dyn BlockPort> { Arc::new(MemoryImage::new(vec![n; 512 * 64], false)) };
    let mut c = plain(false);
    c.ide = vec![Some(IdeDrive { cdrom: false, image: Some(disk(1)) }), None, Some(IdeDrive { cdrom: true, image: None })];
    let board = build(c);
    let m = &board.machine;
    assert_eq!(board.ports.iter().map(|p| p.port.as_str()).collect::<Vec<_>>(), ["drive0"]);
    // Ports answer: command register of function 1, and IDETIM of both channels.
    let write = |at: u64, width, value| m.bus_write(CORE, Bus::PciConfig, (10 << 15 | 1 << 12) + at, width, value).unwrap();
    write(4, Width::B2, 5);
    write(0x40, Width::B4, 0x8000_8000);
    // IDENTIFY of the disk, and its interrupt at the second controller.
    out(m, 0x1f6, 0xa0);
    out(m, 0x1f7, 0xec);
    assert_eq!(m.read(CORE, IO + 0x1f7, Width::B1).unwrap() & 0x89, 0x08, "data request");
    // The signature of a CD drive.
    out(m, 0x176, 0xa0);
    assert_eq!((m.read(CORE, IO + 0x174, Width::B1), m.read(CORE, IO + 0x175, Width::B1)), (Ok(0x14), Ok(0xeb)));
}

#[test]
fn the_power_button_is_the_south_bridges() {
    let board = build(plain(false));
    let before = board.machine.save();
    assert!(board.system_powerdown());
    board.machine.deliver_events();
    assert_ne!(board.machine.save(), before);
}

#[test]
fn a_reset_puts_the_windows_back() {
    let board = build(plain(false));
    let m = &board.machine;
    m.write(CORE, 0x1400_0068, Width::B4, 0xdf).unwrap();
    assert_eq!(read(m, 0x1be0_0068), 0xdf);
    m.reset(Reset::Warm);
    assert_eq!((read(m, 0x1400_0068), read(m, 0x1be0_0068)), (0xa0, 0));
    // Nothing is there: zero, and a report.
    assert_ne!(m.counters().unimplemented, 0);
}
