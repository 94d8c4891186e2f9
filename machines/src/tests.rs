//! What every board must do, and what the virt board has been compared with.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use proteus_loader::Kernel;
use proteus_loader::fdt::{self, Node};
use proteus_model::testing::MemoryImage;
use proteus_model::{BusFault, CharPort, CoreId, Line, Machine, Mapping, Props, Width, WindowKind};

use crate::*;

fn cpu() -> Cpu {
    Cpu { model: "cortex-a53".into(), architecture: Architecture::Aarch64, compatible: "arm,cortex-a53".into(), pmu: true }
}

fn config(properties: &[(&str, &str)], cores: usize) -> BoardConfig {
    let mut config = BoardConfig::new(cpu(), cores, 256 << 20);
    config.properties = properties.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    config
}

/// What the virt board has.
fn arm(board: &BuiltBoard) -> &ArmCores {
    match &board.cores {
        Cores::Arm(cores) => cores,
        other => panic!("{other:?}"),
    }
}

fn dtb(board: &BuiltBoard) -> &Dtb {
    board.dtb.as_ref().unwrap()
}

fn build(config: BoardConfig) -> BuiltBoard {
    (find("virt").unwrap().build)(config).unwrap()
}

fn refusal(config: BoardConfig) -> String {
    (find("virt").unwrap().build)(config).unwrap_err().to_string()
}

/// A board as it is asked for.
struct Variant {
    board: &'static Board,
    target: Architecture,
    properties: &'static [(&'static str, &'static str)],
    cores: usize,
}

impl Variant {
    fn build(&self) -> BuiltBoard {
        (self.board.build)(self.config()).unwrap()
    }

    /// With something to start.
    fn config(&self) -> BoardConfig {
        let mut config = config(self.properties, self.cores);
        config.cpu = Cpu { model: (self.board.default_cpu)(self.target).into(), architecture: self.target, ..cpu() };
        config.firmware = Some(Firmware { name: "fw".into(), bytes: vec![0; 4096] });
        config
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:?} {:?} with {} cores", self.board.name, self.target, self.properties, self.cores)
    }
}

/// Every board in its main forms.
fn variants() -> Vec<Variant> {
    let mut all = vec![];
    for board in BOARDS {
        for (target, cores) in board.targets.iter().flat_map(|t| [1, 2, 8].map(|n| (*t, n))).filter(|(_, n)| *n <= board.max_cpus) {
            all.push(Variant { board, target, properties: &[], cores });
        }
    }
    let virt = find("virt").unwrap();
    for cores in [1, 2, 8] {
        for properties in [&[("virtualization", "on")], &[("secure", "on")], &[("gic-version", "3")]] {
            all.push(Variant { board: virt, target: Architecture::Aarch64, properties, cores });
        }
    }
    all.push(Variant {
        board: virt,
        target: Architecture::Aarch64,
        properties: &[("gic-version", "max"), ("secure", "on"), ("virtualization", "on")],
        cores: 16,
    });
    all
}

#[test]
fn the_registry_is_consistent() {
    let mut names: Vec<&str> = BOARDS.iter().flat_map(|b| b.aliases.iter().copied().chain([b.name])).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "two boards of one name");
    for board in BOARDS {
        assert!(board.default_memory <= board.max_memory && board.max_cpus > 0 && !board.targets.is_empty());
        for target in board.targets {
            assert!(board.cpu_models.contains(&(board.default_cpu)(*target)));
            // What a property is by default can be said.
            let mut config = Variant { board, target: *target, properties: &[], cores: 1 }.config();
            config.properties = board.properties.iter().map(|p| (p.name.into(), p.default.into())).collect();
            (board.build)(config).unwrap();
        }
    }
}

fn read(machine: &Machine, at: u64) -> Result<u64, BusFault> {
    machine.read(CoreId(0), at, Width::B4)
}

fn memory(machine: &Machine, at: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| machine.read(CoreId(0), at + i, Width::B1).unwrap() as u8).collect()
}

/// All `reg` entries of devices and memory in a tree, with the node that has them.
fn regs(node: &Node, all: &mut Vec<(String, u64, u64)>) {
    if node.base_name() != "cpus" {
        let cells = node.get_cells("reg").unwrap_or_default();
        let pairs = cells.chunks_exact(4).map(|c| (u64::from(c[0]) << 32 | u64::from(c[1]), u64::from(c[2]) << 32 | u64::from(c[3])));
        all.extend(pairs.map(|(base, len)| (node.name.clone(), base, len)));
        node.children.iter().for_each(|n| regs(n, all));
    }
}

#[test]
fn the_tree_tells_of_all_that_is_placed_and_of_nothing_else() {
    for variant in variants() {
        let board = variant.build();
        let Some(dtb) = &board.dtb else { continue };
        let tree = fdt::parse(&dtb.bytes).unwrap();
        let mut told = vec![];
        regs(&tree.root, &mut told);
        let placed: Vec<_> = board.machine.windows().into_iter().filter(|w| w.kind == WindowKind::Mmio).collect();
        for (name, base, len) in &told {
            let found = placed.iter().any(|w| w.base == *base && w.size <= *len);
            assert!(found, "{variant}: {name} at {base:#x} is in the tree and not in the map");
        }
        for w in &placed {
            let found = told.iter().any(|(_, base, len)| w.base >= *base && w.base + w.size <= base + len);
            assert!(found, "{variant}: {} at {:#x} is in the map and not in the tree", w.name, w.base);
        }
        told.sort_by_key(|t| t.1);
        for pair in told.windows(2) {
            assert!(pair[0].1 + pair[0].2 <= pair[1].1, "{pair:x?} overlap");
        }
    }
}

#[test]
fn dtc_has_no_complaint() {
    for variant in variants() {
        let board = variant.build();
        let Some(dtb) = &board.dtb else { continue };
        let dtc = Command::new("dtc").args(["-I", "dtb", "-O", "dtb", "-o", "/dev/null"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut dtc) = dtc else {
            eprintln!("skipped: dtc is not installed");
            return;
        };
        dtc.stdin.take().unwrap().write_all(&dtb.bytes).unwrap();
        let output = dtc.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // Names that QEMU's tree has too, and that the world has got used to.
        let known = ["simple_bus_reg", "unique_unit_address"];
        let complaints: Vec<&str> = said.lines().filter(|l| !known.iter().any(|k| l.contains(k))).collect();
        assert!(output.status.success() && complaints.is_empty(), "{variant}: {said}");
    }
}

#[test]
fn state_survives_saving_and_loading() {
    for variant in variants() {
        let board = variant.build();
        let pressed = board.system_powerdown();
        board.machine.deliver_events();
        let saved = board.machine.save();
        let twin = variant.build();
        assert_eq!(twin.machine.save() != saved, pressed, "{variant}");
        twin.machine.load(&saved).unwrap();
        assert_eq!(twin.machine.save(), saved);
    }
}

/// Properties of a node that say what it means, phandles replaced by the name of what they lead to.
fn meaning(tree: &fdt::Tree, path: &str) -> BTreeMap<String, Vec<u8>> {
    let node = tree.node(path).unwrap_or_else(|| panic!("no {path}"));
    let mut all: BTreeMap<_, _> = node.properties.iter().cloned().collect();
    all.remove("phandle");
    for name in ["interrupt-parent", "clocks", "cpu", "gpios"] {
        if let Some(value) = all.get_mut(name) {
            let lead = |c: &[u8]| tree.find(|n| n.phandle() == Some(u32::from_be_bytes(c.try_into().unwrap())));
            *value = match name {
                "gpios" => [lead(&value[..4]).unwrap().as_bytes(), &value[4..]].concat(),
                _ => value.chunks_exact(4).flat_map(|c| lead(c).unwrap().into_bytes()).collect(),
            };
        }
    }
    all
}

/// Every node that both trees have says the same in both. Skipped without QEMU.
#[test]
fn the_tree_says_what_qemus_says() {
    let dir = tempfile::tempdir().unwrap();
    for Variant { board, properties, cores, .. } in variants() {
        if board.name != "virt" || cores > 8 {
            continue;
        }
        let dump = dir.path().join(format!("{}-{cores}.dtb", properties.first().map_or("", |p| p.0)));
        let mut machine = format!("virt,dumpdtb={}", dump.display());
        properties.iter().for_each(|p| machine += &format!(",{}={}", p.0, p.1));
        let cores_text = cores.to_string();
        let run = Command::new("qemu-system-aarch64")
            .args(["-M", &machine, "-cpu", "cortex-a53", "-m", "256", "-smp", &cores_text, "-nic", "none", "-display", "none"])
            .output();
        if run.is_err() || !dump.exists() {
            eprintln!("skipped: qemu-system-aarch64 is not installed");
            return;
        }
        let theirs = fdt::parse(&std::fs::read(&dump).unwrap()).unwrap();
        let ours = fdt::parse(&dtb(&build(config(properties, cores))).bytes).unwrap();
        let mut paths = vec![];
        walk(&ours.root, "", &mut paths);
        for path in paths {
            // Cores: QEMU numbers the units, we name them by their affinity, as the binding has it.
            let path = if path.is_empty() { "/" } else { &path };
            let (mut a, mut b) = (meaning(&ours, path), meaning(&theirs, path));
            for random in ["kaslr-seed", "rng-seed"] {
                assert_eq!(a.remove(random).map(|v| v.len()), b.remove(random).map(|v| v.len()), "{path} {random}");
            }
            if path.starts_with("/intc") && !a.contains_key("interrupts") && b.remove("interrupts").is_some() {
                // Without the virtual interface neither its registers nor its interrupt are told of.
                a.remove("reg");
                b.remove("reg");
            }
            if properties.contains(&("secure", "on")) && cores > 1 && path.starts_with("/cpus/cpu@") {
                // Firmware of the secure world brings its own PSCI, and QEMU was given none.
                assert!(a.insert("enable-method".into(), b"psci\0".to_vec()).is_none());
            }
            assert_eq!(a, b, "{properties:?} {cores} {path}");
        }
    }
}

fn walk(node: &Node, path: &str, all: &mut Vec<String>) {
    all.push(path.into());
    for child in &node.children {
        walk(child, &format!("{path}/{}", child.name), all);
    }
}

/// An `Image` header with nothing behind it.
fn linux(size: usize, text_offset: u64, image_size: u64) -> Kernel {
    let mut bytes = vec![0x5a; size];
    bytes[8..16].copy_from_slice(&text_offset.to_le_bytes());
    bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
    bytes[24..32].copy_from_slice(&10u64.to_le_bytes());
    bytes[56..60].copy_from_slice(b"ARM\x64");
    Kernel::from_bytes(Path::new("Image"), bytes, 1 << 30).unwrap()
}

#[test]
fn a_kernel_is_entered_by_the_boot_protocol() {
    let mut c = config(&[], 2);
    c.kernel = Some(linux(0x10_0000, 0, 0x90_0000));
    c.initrd = Some(b"initial RAM disk".repeat(1000));
    c.command_line = Some("console=ttyAMA0 quiet".into());
    c.seeds = Seeds { kaslr: 7, rng: [9; 32] };
    let mut board = build(c);
    let initrd = 0x4000_0000 + (128 << 20);
    assert_eq!(dtb(&board).address, initrd + (2 << 20));
    assert_eq!(arm(&board).start[0], ArmStart { on: true, el: 1, pc: 0x4020_0000, x0: dtb(&board).address });
    assert!(!arm(&board).start[1].on);
    assert_eq!((arm(&board).psci, arm(&board).has_el2, arm(&board).has_el3), (Some(Conduit::Hvc), false, false));
    let space = board.machine.space();
    assert_eq!(read(&board.machine, 0x4020_0040), Ok(0));
    board.load().unwrap();
    assert_eq!(read(&board.machine, 0x4020_0040), Ok(0x5a5a_5a5a));
    assert_eq!(memory(&board.machine, initrd, 11), b"initial RAM");
    assert_eq!(memory(&board.machine, dtb(&board).address, dtb(&board).bytes.len()), dtb(&board).bytes);
    let tree = fdt::parse(&dtb(&board).bytes).unwrap();
    let chosen = tree.node("/chosen").unwrap();
    assert_eq!(chosen.get_str("bootargs"), Some("console=ttyAMA0 quiet"));
    assert_eq!((chosen.get_u64("linux,initrd-start"), chosen.get_u64("linux,initrd-end")), (Some(initrd), Some(initrd + 16_000)));
    assert_eq!((chosen.get_u64("kaslr-seed"), chosen.get("rng-seed").unwrap()), (Some(7), [9; 32].as_slice()));
    // A reset puts back what the guest has overwritten, with other seeds.
    let Some(Mapping::Ram { region, offset, .. }) = space.find(0x4020_0000) else { panic!("no memory") };
    region.fill(offset, 0x1000, 0).unwrap();
    board.reseed(Seeds { kaslr: 8, rng: [1; 32] }).unwrap();
    board.load().unwrap();
    assert_eq!(read(&board.machine, 0x4020_0040), Ok(0x5a5a_5a5a));
    let tree = fdt::parse(&memory(&board.machine, dtb(&board).address, dtb(&board).bytes.len())).unwrap();
    assert_eq!(tree.node("/chosen").unwrap().get_u64("kaslr-seed"), Some(8));
}

#[test]
fn levels_and_psci_follow_from_the_worlds_there_are() {
    type Case = (&'static [(&'static str, &'static str)], bool, u8, Option<Conduit>);
    let cases: &[Case] = &[
        (&[], true, 1, Some(Conduit::Hvc)),
        (&[], false, 1, Some(Conduit::Hvc)),
        (&[("virtualization", "on")], true, 2, Some(Conduit::Smc)),
        (&[("virtualization", "on")], false, 2, Some(Conduit::Smc)),
        (&[("secure", "on")], true, 1, Some(Conduit::Hvc)),
        (&[("secure", "on")], false, 3, None),
        (&[("secure", "on"), ("virtualization", "on")], true, 2, Some(Conduit::Smc)),
        (&[("secure", "on"), ("virtualization", "on")], false, 3, None),
    ];
    for (properties, kernel, el, psci) in cases {
        let mut c = config(properties, 2);
        c.kernel = kernel.then(|| linux(0x1000, 0x8_0000, 0x1_0000));
        let board = build(c);
        assert_eq!((arm(&board).start[0].el, arm(&board).psci), (*el, *psci), "{properties:?} {kernel}");
        assert_eq!(arm(&board).start[1].on, psci.is_none());
        let node = fdt::parse(&dtb(&board).bytes).unwrap();
        assert_eq!(node.node("/psci").is_some(), psci.is_some());
    }
}

#[test]
fn firmware_starts_at_zero_with_the_tree_at_the_start_of_memory() {
    let mut c = config(&[], 1);
    c.firmware = Some(Firmware { name: "fw.bin".into(), bytes: vec![0x11; 0x2000] });
    let board = build(c);
    board.load().unwrap();
    assert_eq!((arm(&board).start[0].pc, arm(&board).start[0].x0, dtb(&board).address), (0, 0, 0x4000_0000));
    assert_eq!((read(&board.machine, 0), read(&board.machine, 0x2000)), (Ok(0x1111_1111), Ok(0)));
    assert_eq!(read(&board.machine, 0x4000_0000), Ok(u64::from(fdt::MAGIC.swap_bytes())));
    let built_in = build(config(&[], 1));
    built_in.load().unwrap();
    assert_ne!(read(&built_in.machine, 0), Ok(0));
}

#[test]
fn programs_of_the_loader_device_replace_the_built_in_firmware() {
    let mut c = config(&[], 2);
    let item = |address, contents, core| LoaderItem { name: "x".into(), address: Some(address), contents, core };
    c.loader = vec![item(0x4800_0000, LoaderContents::Bytes(vec![0x22; 8]), Some(0)), item(0x4900_0000, LoaderContents::Nothing, Some(1))];
    let board = build(c);
    board.load().unwrap();
    assert_eq!((arm(&board).start[0].pc, arm(&board).start[1].pc, read(&board.machine, 0)), (0x4800_0000, 0x4900_0000, Ok(0)));
    assert_eq!(read(&board.machine, 0x4800_0004), Ok(0x2222_2222));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let property = |name, value| refusal(config(&[(name, value)], 1));
    let with = |f: fn(&mut BoardConfig)| {
        let mut c = config(&[], 1);
        f(&mut c);
        refusal(c)
    };
    let cases: &[(String, &str)] = &[
        (property("gic-version", "host"), "'host' is not implemented"),
        (property("gic-version", "7"), "must be one of: 2, 3, max"),
        (property("its", "on"), "its=on: 'on' is not implemented"),
        (property("acpi", "on"), "'on' is not implemented"),
        (property("iommu", "smmuv3"), "not implemented"),
        (property("secure", "perhaps"), "must be on or off"),
        (property("colour", "red"), "no such property"),
        (refusal(config(&[], 9)), "gic-version=3"),
        (refusal(config(&[("gic-version", "3")], 17)), "from 1 to 16"),
        (with(|c| c.memory = 256 << 30), "255 GiB"),
        (with(|c| c.cpu.model = "cortex-m3".into()), "cortex-a53"),
        (with(|c| c.initrd = Some(vec![0])), "-kernel"),
        (with(|c| c.command_line = Some("x".into())), "-kernel"),
        (with(|c| c.dtb = Some(vec![0; 100])), "-dtb: corrupt device tree"),
        (with(|c| c.firmware = Some(Firmware { name: "big".into(), bytes: vec![0; (64 << 20) + 1] })), "more than the flash holds"),
        (with(|c| c.kernel = Some(linux(0x1000, 0, 1 << 30))), "more with -m"),
        (
            with(|c| {
                c.kernel = Some(linux(0x1000, 0, 0));
                c.initrd = Some(vec![0; 129 << 20]);
            }),
            "-initrd: 135266304 bytes at 0x48000000 do not fit",
        ),
        (
            with(|c| c.loader = vec![LoaderItem { name: "x".into(), address: Some(0x4000_0100), contents: LoaderContents::Bytes(vec![1]), core: None }]),
            "device tree",
        ),
        (
            with(|c| c.loader = vec![LoaderItem { name: "x".into(), address: Some(0x900_0000), contents: LoaderContents::Bytes(vec![1]), core: None }]),
            "outside the machine's memory",
        ),
    ];
    for (error, part) in cases {
        assert!(error.contains(part), "{error:?} says nothing of {part:?}");
    }
    assert!(
        refusal({
            let mut c = config(&[("highmem", "off")], 1);
            c.memory = 4 << 30;
            c
        })
        .contains("highmem=off")
    );
}

#[test]
fn memory_may_be_large_and_costs_only_what_is_used() {
    let mut c = config(&[], 1);
    c.memory = 255 << 30;
    let board = build(c);
    board.load().unwrap();
    assert_eq!(read(&board.machine, 0x4000_0000 + (255 << 30) - 4), Ok(0));
    assert!(read(&board.machine, 0x4000_0000 + (255 << 30)).is_err());
}

struct Console(Mutex<Vec<u8>>);

impl CharPort for Console {
    fn send(&self, bytes: &[u8]) -> usize {
        self.0.lock().extend_from_slice(bytes);
        bytes.len()
    }
}

#[test]
fn the_console_is_wired_to_the_host_and_to_the_interrupt_controller() {
    let console = Arc::new(Console(Mutex::default()));
    let mut c = config(&[], 1);
    c.serials = vec![Some(console.clone())];
    let board = build(c);
    let m = &board.machine;
    assert_eq!(board.ports.iter().map(|p| (p.name.as_str(), p.port.as_str())).collect::<Vec<_>>(), [("uart0", "chardev")]);
    let uart = |at: u64, value| m.write(CoreId(0), 0x0900_0000 + at, Width::B4, value).unwrap();
    uart(0x30, 0x301);
    uart(0x38, 0x10);
    uart(0x00, u64::from(b'!'));
    assert_eq!(*console.0.lock(), b"!");
    // INTID 33, enabled in the distributor and the CPU interface.
    let gic = |at: u64, value| m.write(CoreId(0), 0x0800_0000 + at, Width::B4, value).unwrap();
    gic(0x000, 1);
    gic(0x104, 1 << 1);
    gic(0x820, 0x0101_0101);
    gic(0x1_0004, 0xff);
    gic(0x1_0000, 1);
    assert!(!m.core_lines(CoreId(0)).unwrap().level(Line::IRQ));
    m.port(board.ports[0].device, "chardev").unwrap().bytes(b"x");
    m.deliver_events();
    assert!(m.core_lines(CoreId(0)).unwrap().level(Line::IRQ));
    assert_eq!(read(m, 0x0801_000c), Ok(33));
}

/// A statically linked executable of one segment.
fn elf(machine: u16, paddr: u64, entry: u64, code: &[u8], memsz: u64) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend([2u16.to_le_bytes(), machine.to_le_bytes()].concat());
    bytes.extend(1u32.to_le_bytes());
    [entry, 64, 0].iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    bytes.extend(0u32.to_le_bytes());
    [64u16, 56, 1, 64, 0, 0].iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    [1u32, 5].iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    [120, paddr, paddr, code.len() as u64, memsz, 0x1000].iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    bytes.extend(code);
    bytes
}

#[test]
fn programs_with_addresses_of_their_own_are_entered_at_the_highest_level() {
    // At the start of memory the tree goes behind, else it is there.
    for (paddr, dtb) in [(0x4000_0000, 0x4800_0000), (0x4008_0000, 0x4000_0000), (0x4000_1000, 0x4020_0000)] {
        let mut c = config(&[("virtualization", "on")], 1);
        c.kernel = Some(Kernel::from_bytes(Path::new("x.elf"), elf(183, paddr, paddr + 4, &[0x33; 16], 0x3000), 1 << 30).unwrap());
        let board = build(c);
        assert_eq!(arm(&board).start[0], ArmStart { on: true, el: 2, pc: paddr + 4, x0: dtb }, "{paddr:#x}");
        board.machine.write(CoreId(0), paddr + 0x2ff8, Width::B4, 1).unwrap();
        board.load().unwrap();
        assert_eq!((read(&board.machine, paddr), read(&board.machine, paddr + 0x2ff8)), (Ok(0x3333_3333), Ok(0)));
        assert_eq!(read(&board.machine, dtb), Ok(u64::from(fdt::MAGIC.swap_bytes())));
    }
    let with = |machine, paddr| {
        let mut c = config(&[], 1);
        c.kernel = Some(Kernel::from_bytes(Path::new("x.elf"), elf(machine, paddr, paddr, &[0; 8], 8), 1 << 30).unwrap());
        refusal(c)
    };
    assert!(with(62, 0x4000_0000).contains("x.elf: it is for X86_64"));
    assert!(with(183, 0x1_0000_0000).contains("x.elf: segment at 0x100000000"));
    // The loader device reads such programs too.
    let mut c = config(&[], 1);
    let program = Kernel::from_bytes(Path::new("x.elf"), elf(183, 0x4100_0000, 0x4100_0008, &[1; 16], 16), 1 << 30).unwrap();
    c.loader = vec![LoaderItem { name: "x.elf".into(), address: None, contents: LoaderContents::Image(program), core: Some(0) }];
    assert_eq!(arm(&build(c)).start[0].pc, 0x4100_0008);
}

#[test]
fn a_users_tree_gets_what_only_the_machine_knows() {
    let mut tree = fdt::Tree::new();
    tree.root.set_u32("#address-cells", 2).set_u32("#size-cells", 2);
    tree.ensure_node("/memory@0").set_str("device_type", "memory").set_cells64("reg", &[0, 1]);
    tree.ensure_node("/psci").set_str("method", "smc");
    tree.ensure_node("/chosen").set_u64("kaslr-seed", 5);
    let mut c = config(&[], 1);
    c.dtb = Some(tree.to_bytes().unwrap());
    c.kernel = Some(linux(0x1000, 0, 0x1000));
    c.command_line = Some("quiet".into());
    let mut board = build(c);
    board.reseed(Seeds::default()).unwrap();
    let tree = fdt::parse(&dtb(&board).bytes).unwrap();
    assert!(tree.node("/memory@0").is_none());
    assert_eq!(tree.node("/memory@40000000").unwrap().get_cells("reg"), Some(vec![0, 0x4000_0000, 0, 256 << 20]));
    assert_eq!(tree.node("/psci").unwrap().get_str("method"), Some("hvc"));
    let chosen = tree.node("/chosen").unwrap();
    assert_eq!((chosen.get_u64("kaslr-seed"), chosen.get_str("bootargs")), (Some(5), Some("quiet")));
}

fn disk(id: &str, bus: Option<&str>, sectors: usize) -> PlugIn {
    let ty = proteus_devices::REGISTRY.iter().copied().find(|ty| ty.name == "virtio-blk-device").unwrap();
    PlugIn {
        ty,
        id: Some(id.into()),
        bus: bus.map(str::to_string),
        nic: false,
        props: Props::with(ty, &[("drive", id)]).unwrap(),
        backends: vec![("drive".into(), Backend::Block(Arc::new(MemoryImage::new(vec![0; sectors * 512], false))))],
    }
}

#[test]
fn the_first_device_is_in_the_last_virtio_slot() {
    let mut c = config(&[], 1);
    // The second has the name of one of the board's own parts.
    c.devices = vec![disk("first", None, 11), disk("uart0", None, 22), disk("third", Some("virtio-mmio-bus.0"), 33)];
    let board = build(c);
    let slot = |n: u64, at: u64| read(&board.machine, 0x0a00_0000 + n * 0x200 + at).unwrap();
    for (n, sectors) in [(31, 11), (30, 22), (0, 33)] {
        assert_eq!((slot(n, 0), slot(n, 8), slot(n, 0x100)), (0x7472_6976, 2, sectors), "slot {n}");
    }
    assert_eq!((slot(1, 0), slot(1, 8)), (0x7472_6976, 0));
    assert_eq!(board.ports.len(), 3);
    let tree = fdt::parse(&dtb(&board).bytes).unwrap();
    let slots: Vec<&str> = tree.root.children.iter().filter(|n| n.is_compatible("virtio,mmio")).map(|n| n.name.as_str()).collect();
    assert_eq!((slots.len(), slots[0], slots[31]), (32, "virtio_mmio@a000000", "virtio_mmio@a003e00"));
    let refused = |devices| {
        let mut c = config(&[], 1);
        c.devices = devices;
        refusal(c)
    };
    assert!(refused(vec![disk("a", None, 1), disk("b", Some("virtio-mmio-bus.31"), 1)]).contains("has a device already"));
    assert!(refused(vec![disk("a", Some("pcie.0"), 1)]).contains("no bus 'pcie.0'"));
    assert!(refused((0..33).map(|n| disk(&n.to_string(), None, 1)).collect()).contains("all 32 virtio slots"));
}

#[test]
fn the_power_button_presses_the_key_of_the_gpio_controller() {
    let board = build(config(&[], 1));
    let m = &board.machine;
    let key = || m.read(CoreId(0), 0x0903_0000 + (8 << 2), Width::B4).unwrap();
    assert_eq!(key(), 0);
    assert!(board.system_powerdown());
    m.deliver_events();
    assert_eq!(key(), 8);
    let up = m.next_alarm().unwrap();
    m.clock().set(up);
    m.run_alarms(up);
    assert_eq!((up, key()), (100_000_000, 0));
}

/// An item or file of the configuration device, through its registers.
fn item(m: &Machine, number: u64, len: usize) -> Vec<u8> {
    m.write(CoreId(0), 0x0902_0008, Width::B2, u64::from((number as u16).swap_bytes())).unwrap();
    (0..len).map(|_| m.read(CoreId(0), 0x0902_0000, Width::B1).unwrap() as u8).collect()
}

#[test]
fn firmware_gets_a_kernel_through_the_configuration_device() {
    let mut c = config(&[], 4);
    c.firmware = Some(Firmware { name: "fw.bin".into(), bytes: vec![0x11; 0x2000] });
    c.kernel = Some(linux(0x1000, 0, 0x1000));
    c.initrd = Some(b"disk".to_vec());
    c.command_line = Some("quiet".into());
    c.fw_cfg = vec![("opt/x".into(), b"yz".to_vec())];
    let board = build(c);
    let m = &board.machine;
    assert_eq!((arm(&board).start[0].pc, arm(&board).start[0].x0, dtb(&board).address), (0, 0, 0x4000_0000));
    assert_eq!((item(m, 0, 4), item(m, 5, 2)), (b"QEMU".to_vec(), vec![4, 0]));
    assert_eq!((item(m, 8, 4), item(m, 0x11, 0x3c)[0x38..].to_vec()), (vec![0, 0x10, 0, 0], b"ARM\x64".to_vec()));
    assert_eq!((item(m, 0xb, 4), item(m, 0x12, 4)), (vec![4, 0, 0, 0], b"disk".to_vec()));
    assert_eq!((item(m, 0x14, 4), item(m, 0x15, 6)), (vec![6, 0, 0, 0], b"quiet\0".to_vec()));
    assert_eq!(item(m, 0x19, 20), [&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0x20, 0, 0], b"opt/x\0\0\0".as_slice()].concat());
}

#[test]
fn flash_images_fill_the_banks() {
    let image = |len: usize| -> Option<Arc<dyn proteus_model::BlockPort>> { Some(Arc::new(MemoryImage::new(vec![0x77; len], false))) };
    let mut c = config(&[], 1);
    c.pflash = vec![image(64 << 20), image(64 << 20)];
    let board = build(c);
    board.load().unwrap();
    let m = &board.machine;
    assert_eq!((read(m, 0), read(m, 0x7ff_fffc), arm(&board).start[0].pc), (Ok(0x7777_7777), Ok(0x7777_7777), 0));
    // The query answers in the lanes of both devices.
    m.write(CoreId(0), 0x55 * 4, Width::B4, 0x98_0098).unwrap();
    assert_eq!(read(m, 0x10 * 4), Ok(0x51_0051));
    let with = |pflash| {
        let mut c = config(&[], 1);
        c.pflash = pflash;
        c.firmware = Some(Firmware { name: "fw".into(), bytes: vec![0; 4] });
        refusal(c)
    };
    assert!(with(vec![None, image(1 << 20)]).contains("unit=1: the image has 1048576 bytes"));
    assert!(with(vec![image(64 << 20)]).contains("give one of them"));
    assert!(with(vec![None, None, image(1)]).contains("unit=2"));
}
