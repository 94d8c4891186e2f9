//! The `virt` board: no real hardware, but a memory map that firmware and operating systems rely
//! on. Addresses and interrupts are those that QEMU documents for its board of this name
//! (docs/system/arm/virt) and has kept since its version 2.0.
//!
//! Below 128 MiB is flash, from 128 MiB to 1 GiB are devices, and memory begins at 1 GiB and goes
//! on without a hole, past 4 GiB if it must. Every part is in the tables below; the device tree is
//! made from where the parts have been placed. Left out: PCI Express, MSI frames and the ITS, the
//! SMMU, ACPI tables, and the separate address space of the secure world: what is secure there
//! (`secure=on`) can be reached by everyone.

use std::sync::Arc;

use proteus_devices::REGISTRY;
use proteus_devices::fw_cfg::{Items, key};
use proteus_loader::Architecture;
use proteus_loader::fdt::{self, Chosen as ChosenNode, Node, Tree};
use proteus_model::ram::Region;
use proteus_model::{BlockPort, CharPort, Clock, CoreId, DeviceId, DeviceType, EntropySource, Line, Machine, MachineBuilder, PropError, Props};

use crate::Board;
use crate::boot::{Boot, Given, Memory, choose_slot};
use crate::built::{self, ArmCores, ArmStart, BuiltBoard, Conduit, Cores, Dtb, HostPort};
use crate::config::{Backend, BoardConfig, BoardProperty, Choices, Chosen, DriveInterface, PlugIn};
use crate::error::{BoardError, refuse};
use crate::gpio_key::GPIO_KEY;
use crate::tree::TreeMaker;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The firmware that runs when the user gives none.
const FIRMWARE: &[u8] = include_bytes!("../../firmware/aarch64/proteus-aarch64.bin");

/// A part with registers in one window.
struct Part {
    name: &'static str,
    ty: &'static str,
    base: u64,
    /// Number of its shared peripheral interrupt (INTID - 32).
    spi: Option<usize>,
}

const fn part(name: &'static str, ty: &'static str, base: u64, spi: Option<usize>) -> Part {
    Part { name, ty, base, spi }
}

// The map. Address, interrupt.
/// Two banks of flash: two 16-bit devices side by side each, in blocks of 256 KiB. What `-bios`
/// gives is in the first.
const FLASH: [(&str, u64); 2] = [("virt.flash0", 0x0000_0000), ("virt.flash1", 0x0400_0000)];
const FLASH_LEN: u64 = 64 * MIB;
const FLASH_BLOCK: u64 = 256 << 10;
/// Parts of the interrupt controllers: window, address, and the room that is theirs.
const GIC_V2: [(&str, u64, u64); 2] = [("dist", 0x0800_0000, 0x1_0000), ("cpu", 0x0801_0000, 0x1_0000)];
const GIC_V3: [(&str, u64, u64); 2] = [("dist", 0x0800_0000, 0x1_0000), ("redist", 0x080a_0000, 0xf6_0000)];
const UART: Part = part("uart0", "pl011", 0x0900_0000, Some(1));
const RTC: Part = part("rtc", "pl031", 0x0901_0000, Some(2));
const FW_CFG: Part = part("fw-cfg", "fw-cfg-mmio", 0x0902_0000, None);
const GPIO: Part = part("gpio", "pl061", 0x0903_0000, Some(7));
/// With `secure=on`.
const SECURE_UART: Part = part("uart1", "pl011", 0x0904_0000, Some(8));
const SECURE_RAM: (u64, u64) = (0x0e00_0000, 16 * MIB);
const VIRTIO: u64 = 0x0a00_0000;
const VIRTIO_STEP: u64 = 0x200;
const VIRTIO_SPI: usize = 16;
const VIRTIO_SLOTS: usize = 32;
const RAM: u64 = 0x4000_0000;

/// Interrupts that the board has: the private ones and 256 shared ones.
const INTERRUPTS: u64 = 288;
// Private peripheral interrupts, as the device tree counts them (INTID - 16).
const PPI_PMU: u32 = 7;
const PPI_MAINTENANCE: u32 = 9;
/// The timers' outputs and their private interrupts (INTID).
const TIMER_INTID: [(&str, usize); 4] = [("phys-secure", 29), ("phys-ns", 30), ("virt", 27), ("hyp", 26)];
const TIMER_HZ: u64 = 62_500_000;
const CLOCK_HZ: u32 = 24_000_000;

/// GPIO line of the power button, and the key it stands for (KEY_POWER).
const POWER_LINE: usize = 3;
const KEY_POWER: u32 = 116;

// Flags of interrupt specifiers.
const EDGE: u32 = 1;
const LEVEL: u32 = 4;

const fn property(name: &'static str, choices: Choices, default: &'static str, doc: &'static str) -> BoardProperty {
    BoardProperty { name, choices, default, doc }
}

/// The board.
pub(crate) static VIRT: Board = Board {
    name: "virt",
    aliases: &["virt-7.2"],
    description: "ARM Virtual Machine",
    targets: &[Architecture::Aarch64, Architecture::Arm],
    properties: &[
        property("gic-version", Choices::Partly(&["2", "3", "max"], &["4", "host"]), "2", "Version of the interrupt controller; max is 3"),
        property("highmem", Choices::OnOff, "on", "Allow memory beyond 4 GiB"),
        property("secure", Choices::OnOff, "off", "Cores with EL3, and the parts of the secure world"),
        property("virtualization", Choices::OnOff, "off", "Cores with EL2"),
        property("dtb-randomness", Choices::OnOff, "on", "Seeds of randomness in the device tree"),
        property("dtb-kaslr-seed", Choices::OnOff, "on", "The same, under its old name"),
        property("its", Choices::Only(false), "off", "Interrupt translation service of GICv3"),
        property("acpi", Choices::Partly(&["auto", "off"], &["on"]), "auto", "ACPI tables"),
        property("iommu", Choices::Partly(&["none"], &["smmuv3"]), "none", "I/O memory management unit"),
        property("ras", Choices::Only(false), "off", "Errors of memory reported to the guest"),
        property("mte", Choices::Only(false), "off", "Memory tagging"),
        property("usb", Choices::Only(false), "off", "USB host controller"),
    ],
    cpu_models: &["cortex-a53", "cortex-a57", "cortex-a72", "max"],
    default_cpu: |_| "cortex-a53",
    max_cpus: 16,
    default_memory: 128 * MIB,
    max_memory: 255 * GIB,
    default_drive: DriveInterface::Virtio,
    virtio: "device",
    network: "virtio-net-device",
    firmware: None,
    takes: &[],
    acpi: false,
    build,
};

/// The properties, read and found to go together.
struct Options {
    gic: u8,
    secure: bool,
    virtualization: bool,
    seeds: bool,
}

impl Options {
    fn read(config: &BoardConfig) -> Result<Options, BoardError> {
        let chosen = Chosen::read(VIRT.name, VIRT.properties, &config.properties)?;
        let gic = if chosen.get("gic-version") == "2" { 2 } else { 3 };
        if !VIRT.cpu_models.contains(&config.cpu.model.as_str()) {
            return Err(refuse(format!("-cpu {}: the virt board takes one of: {}", config.cpu.model, VIRT.cpu_models.join(", "))));
        }
        let most = if gic == 2 { 8 } else { VIRT.max_cpus };
        if config.cores == 0 || config.cores > most {
            let hint = if gic == 2 && config.cores <= VIRT.max_cpus { "; -machine virt,gic-version=3 takes more" } else { "" };
            return Err(refuse(format!("-smp {}: the virt board with GICv{gic} has from 1 to {most} cores{hint}", config.cores)));
        }
        let end = RAM.saturating_add(config.memory);
        if config.memory == 0 || !config.memory.is_multiple_of(0x1000) || config.memory > VIRT.max_memory {
            return Err(refuse(format!("-m: {} bytes; the virt board has up to 255 GiB of memory in pages of 4 KiB", config.memory)));
        }
        if !chosen.on("highmem") && end > 4 * GIB {
            return Err(refuse("-machine virt,highmem=off: memory begins at 1 GiB and so can have at most 3 GiB; give less with -m"));
        }
        Ok(Options {
            gic,
            secure: chosen.on("secure"),
            virtualization: chosen.on("virtualization"),
            seeds: chosen.on("dtb-randomness") && chosen.on("dtb-kaslr-seed"),
        })
    }

    /// Affinity fields of a core's MPIDR: clusters are as large as a software-generated
    /// interrupt's target list.
    fn affinity(&self, core: usize) -> u64 {
        let cluster = if self.gic == 2 { 8 } else { 16 };
        (((core / cluster) << 8) | (core % cluster)) as u64
    }

    fn gic_windows(&self) -> [(&'static str, u64, u64); 2] {
        if self.gic == 2 { GIC_V2 } else { GIC_V3 }
    }

    /// Flags of a private interrupt's specifier: GICv2's binding has a mask of cores in it.
    fn ppi_flags(&self, cores: usize) -> u32 {
        if self.gic == 2 { LEVEL | ((1 << cores) - 1) << 8 } else { LEVEL }
    }
}

/// A type of the registry.
fn find_type(name: &str) -> Result<&'static DeviceType, BoardError> {
    let found = REGISTRY.iter().copied().find(|ty| ty.name == name);
    found.ok_or_else(|| refuse(format!("the virt board needs a '{name}', which is not implemented")))
}

/// The machine while parts are added to it.
struct Wiring {
    b: MachineBuilder,
    gic: DeviceId,
    ports: Vec<HostPort>,
}

impl Wiring {
    /// Adds a part.
    fn part(&mut self, part: &Part) -> Result<DeviceId, BoardError> {
        self.part_with(part, |_| Ok(()))
    }

    /// Adds a part with other properties than the usual ones.
    fn part_with(&mut self, part: &Part, set: impl FnOnce(&mut Props) -> Result<(), PropError>) -> Result<DeviceId, BoardError> {
        let ty = find_type(part.ty)?;
        let mut props = Props::new(ty);
        set(&mut props)?;
        let id = self.b.device(ty, part.name, props)?;
        self.connect(id, ty, part.base, part.spi)?;
        Ok(id)
    }

    /// Places the first window of a device, and wires its first output to a shared interrupt.
    fn connect(&mut self, id: DeviceId, ty: &'static DeviceType, base: u64, spi: Option<usize>) -> Result<(), BoardError> {
        let window = ty.windows.first().map_or("regs", |w| w.name);
        self.b.place(id, window, base)?;
        if let Some(spi) = spi {
            let output = ty.outputs.first().map_or("irq", |o| o.name);
            self.b.wire(id, (output, 0), self.gic, ("spi", spi))?;
        }
        Ok(())
    }

    fn bind(&mut self, id: DeviceId, name: &str, port: &str, backend: Backend) -> Result<(), BoardError> {
        match backend {
            Backend::Char(to) => self.b.bind_char(id, port, to)?,
            Backend::Frame(to) => self.b.bind_frame(id, port, to)?,
            Backend::Block(to) => self.b.bind_block(id, port, to)?,
        };
        self.ports.push(HostPort { name: name.into(), device: id, port: port.into() });
        Ok(())
    }

    fn uart(&mut self, part: &Part, serial: Option<Arc<dyn CharPort>>) -> Result<(), BoardError> {
        let id = self.part(part)?;
        match serial {
            Some(to) => self.bind(id, part.name, "chardev", Backend::Char(to)),
            None => Ok(()),
        }
    }

    fn flash(&mut self, images: Vec<Option<Arc<dyn BlockPort>>>) -> Result<(), BoardError> {
        if images.len() > FLASH.len() {
            return Err(refuse(format!("-drive if=pflash,unit={}: the virt board has two banks of flash, units 0 and 1", images.len() - 1)));
        }
        let ty = find_type("cfi.pflash01")?;
        let mut images = images.into_iter();
        for (unit, (name, base)) in FLASH.into_iter().enumerate() {
            let mut props = Props::new(ty).with_text("name", name)?;
            for (property, value) in
                [("sector-length", FLASH_BLOCK), ("num-blocks", FLASH_LEN / FLASH_BLOCK), ("width", 4), ("device-width", 2), ("id0", 0x89), ("id1", 0x18)]
            {
                props = props.with_u64(property, value)?;
            }
            let id = self.b.device(ty, name, props)?;
            self.connect(id, ty, base, None)?;
            if let Some(image) = images.next().flatten() {
                if image.len() != FLASH_LEN {
                    return Err(refuse(format!(
                        "-drive if=pflash,unit={unit}: the image has {} bytes; a bank of the virt board has {FLASH_LEN} (enlarge it with truncate -s 64M)",
                        image.len()
                    )));
                }
                self.bind(id, name, "drive", Backend::Block(image))?;
            }
        }
        Ok(())
    }

    /// The virtio slots.
    fn virtio(&mut self, devices: Vec<PlugIn>) -> Result<(), BoardError> {
        let mut slots: Vec<Option<PlugIn>> = (0..VIRTIO_SLOTS).map(|_| None).collect();
        for device in devices {
            let taken: Vec<bool> = slots.iter().map(Option::is_some).collect();
            let n = choose_slot(&taken, &device, VIRT.name)?;
            slots[n] = Some(device);
        }
        for (n, slot) in slots.into_iter().enumerate() {
            let (base, spi) = (VIRTIO + n as u64 * VIRTIO_STEP, Some(VIRTIO_SPI + n));
            let mut name = format!("virtio-mmio.{n}");
            let Some(device) = slot else {
                let ty = find_type("virtio-mmio")?;
                let id = self.b.device(ty, &name, Props::new(ty))?;
                self.connect(id, ty, base, spi)?;
                continue;
            };
            if let Some(id) = device.id {
                // The user knows nothing of the names that the board's own parts have.
                name = if self.b.find(&id).is_some() { format!("peripheral/{id}") } else { id };
            }
            let id = self.b.device(device.ty, &name, device.props)?;
            self.connect(id, device.ty, base, spi)?;
            for (port, backend) in device.backends {
                self.bind(id, &name, &port, backend)?;
            }
        }
        Ok(())
    }
}

fn gic(b: &mut MachineBuilder, o: &Options, cores: usize) -> Result<DeviceId, BoardError> {
    let ty = find_type(if o.gic == 2 { "arm-gic-v2" } else { "arm-gic-v3" })?;
    let props = Props::new(ty).with_u64("cores", cores as u64)?.with_u64("num-irq", INTERRUPTS)?;
    let gic = b.device(ty, "gic", props)?;
    for (window, base, _) in o.gic_windows() {
        b.place(gic, window, base)?;
    }
    for core in 0..cores {
        for (pin, line) in [("irq", Line::IRQ), ("fiq", Line::FIQ)] {
            b.wire_core(gic, (pin, core), CoreId(core as u16), line)?;
        }
    }
    let timer = find_type("arm-generic-timer")?;
    let props = Props::new(timer).with_u64("cores", cores as u64)?.with_u64("frequency", TIMER_HZ)?;
    let timer = b.device(timer, "timer", props)?;
    for core in 0..cores {
        for (pin, intid) in TIMER_INTID {
            b.wire(timer, (pin, core), gic, ("ppi", core * 32 + intid))?;
        }
    }
    Ok(gic)
}

/// The power button, at a line of the GPIO controller.
fn power_key(w: &mut Wiring, gpio: DeviceId) -> Result<DeviceId, BoardError> {
    let key = w.b.device(&GPIO_KEY, "power-key", Props::new(&GPIO_KEY))?;
    w.b.wire(key, ("key", 0), gpio, ("in", POWER_LINE))?;
    Ok(key)
}

/// What the machine itself is made from.
struct Inputs {
    clock: Arc<Clock>,
    entropy: EntropySource,
    wall_clock: u64,
    serials: Vec<Option<Arc<dyn CharPort>>>,
    devices: Vec<PlugIn>,
    pflash: Vec<Option<Arc<dyn BlockPort>>>,
    items: Items,
}

struct Assembled {
    machine: Arc<Machine>,
    ports: Vec<HostPort>,
    /// The power key.
    key: DeviceId,
}

/// Puts memory and parts together.
fn assemble(o: &Options, cores: usize, memory: u64, inputs: Inputs) -> Result<Assembled, BoardError> {
    let mut b = MachineBuilder::new(VIRT.name, cores);
    b.clock(inputs.clock).entropy(inputs.entropy).wall_clock(inputs.wall_clock);
    b.ram(RAM, &Region::new("mach-virt.ram", memory)?);
    let gic = gic(&mut b, o, cores)?;
    let mut w = Wiring { b, gic, ports: Vec::new() };
    let mut serials = inputs.serials.into_iter();
    w.flash(inputs.pflash)?;
    w.uart(&UART, serials.next().flatten())?;
    w.part(&RTC)?;
    w.part_with(&FW_CFG, |props| props.set("items", inputs.items.value()))?;
    let gpio = w.part(&GPIO)?;
    let key = power_key(&mut w, gpio)?;
    if o.secure {
        w.b.ram(SECURE_RAM.0, &Region::new("virt.secure-ram", SECURE_RAM.1)?);
        w.uart(&SECURE_UART, serials.next().flatten())?;
    }
    if serials.flatten().next().is_some() {
        return Err(refuse(match o.secure {
            false => "-serial: the virt board has one serial port (a second one with secure=on)",
            true => "-serial: the virt board has two serial ports",
        }));
    }
    w.virtio(inputs.devices)?;
    let Wiring { b, ports, .. } = w;
    Ok(Assembled { machine: b.build()?, ports, key })
}

/// What the firmware configuration device has to say.
fn items(cores: usize, uuid: [u8; 16], given: Vec<(String, Vec<u8>)>) -> Result<Items, BoardError> {
    let mut items = Items::new();
    items.item(key::UUID, uuid);
    items.item(key::NB_CPUS, (cores as u16).to_le_bytes());
    for (name, contents) in given {
        if name.starts_with('#') {
            return Err(refuse(format!("-fw_cfg name={name}: names of files do not begin with '#'")));
        }
        items.file(&name, contents);
    }
    Ok(items)
}

fn build(config: BoardConfig) -> Result<BuiltBoard, BoardError> {
    let o = Options::read(&config)?;
    let cores = config.cores;
    let memory = Memory {
        ram: RAM..RAM + config.memory,
        rom: FLASH[0].1..FLASH[0].1 + FLASH_LEN,
        others: o.secure.then_some(SECURE_RAM.0..SECURE_RAM.0 + SECURE_RAM.1).into_iter().collect(),
    };
    let given = Given {
        kernel: config.kernel,
        initrd: config.initrd,
        command_line: config.command_line,
        firmware: config.firmware,
        loader: config.loader,
        items: items(cores, config.uuid.unwrap_or_default(), config.fw_cfg)?,
        flash: config.pflash.first().is_some_and(Option::is_some),
    };
    let mut boot = Boot::plan(given, &memory, FIRMWARE)?;
    let inputs = Inputs {
        clock: config.clock,
        entropy: config.entropy,
        wall_clock: config.wall_clock,
        serials: config.serials,
        devices: config.devices,
        pflash: config.pflash,
        items: std::mem::take(&mut boot.items),
    };
    let Assembled { machine, ports, key } = assemble(&o, cores, config.memory, inputs)?;
    let psci = conduit(&o, boot.linux);
    let mut tree = match &config.dtb {
        Some(bytes) => users_tree(bytes, &memory, psci)?,
        None => Described { o: &o, cpu: &config.cpu, memory: config.memory, cores, psci }.tree(&machine),
    };
    tree.set_chosen(&ChosenNode { bootargs: boot.bootargs.take(), initrd: boot.initrd.clone(), ..ChosenNode::default() })?;
    // A user's tree keeps the seeds that it has or has not.
    let seeded = o.seeds && config.dtb.is_none();
    if seeded {
        built::seed(&mut tree, config.seeds)?;
    }
    let dtb = built::flatten(&tree)?;
    let dtb_address = boot.place_tree(dtb.len() as u64)?;
    boot.check_tree(dtb_address..dtb_address + dtb.len() as u64)?;

    let start = starts(&o, &boot, cores, psci, dtb_address)?;
    let power_key = machine.input_pin(key, "button", 0).map(|pin| (key, pin));
    Ok(BuiltBoard {
        machine,
        ports,
        cores: Cores::Arm(ArmCores {
            affinities: (0..cores).map(|n| o.affinity(n)).collect(),
            start,
            psci,
            gic_version: o.gic,
            has_el2: o.virtualization,
            has_el3: o.secure,
            timer_frequency: TIMER_HZ,
        }),
        dtb: Some(Dtb { address: dtb_address, bytes: dtb, tree, seeded }),
        loads: boot.loads,
        mirrors: vec![],
        seed_digits: None,
        power_key,
    })
}

/// Exception level in which the cores start: a Linux kernel wants EL2 or Non-secure EL1, all else
/// the highest there is.
fn start_el(o: &Options, linux: bool) -> u8 {
    match (linux, o.secure, o.virtualization) {
        (false, true, _) => 3,
        (_, _, true) => 2,
        _ => 1,
    }
}

/// How PSCI is called. Where the guest itself runs at the level that would answer, it is its own.
fn conduit(o: &Options, linux: bool) -> Option<Conduit> {
    let (conduit, level) = if o.virtualization { (Conduit::Smc, 3) } else { (Conduit::Hvc, 2) };
    (start_el(o, linux) < level).then_some(conduit)
}

fn starts(o: &Options, boot: &Boot, cores: usize, psci: Option<Conduit>, dtb: u64) -> Result<Vec<ArmStart>, BoardError> {
    let el = start_el(o, boot.linux);
    let one = |n: usize| ArmStart { on: n == 0 || psci.is_none(), el, pc: boot.entry, x0: if boot.kernel && n == 0 { dtb } else { 0 } };
    let mut start: Vec<ArmStart> = (0..cores).map(one).collect();
    for (core, pc) in &boot.entries {
        let Some(start) = start.get_mut(*core) else {
            return Err(refuse(format!("-device loader,cpu-num={core}: the machine has {cores} core(s), counted from 0")));
        };
        *start = ArmStart { pc: *pc, x0: 0, ..*start };
    }
    Ok(start)
}

/// The user's device tree, with the memory and the PSCI that there really are.
fn users_tree(bytes: &[u8], memory: &Memory, psci: Option<Conduit>) -> Result<Tree, BoardError> {
    let mut tree = fdt::parse(bytes)?;
    tree.set_memory(std::slice::from_ref(&memory.ram))?;
    if let Some(conduit) = psci {
        tree.root.children.retain(|n| n.name != "psci");
        psci_node(tree.root.add_child(Node::new("psci")), conduit);
    }
    Ok(tree)
}

fn psci_node(node: &mut Node, conduit: Conduit) {
    let method = match conduit {
        Conduit::Hvc => "hvc",
        Conduit::Smc => "smc",
    };
    node.set_strs("compatible", &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"])
        .set_str("method", method)
        .set_u32("cpu_suspend", 0xc400_0001)
        .set_u32("cpu_off", 0x8400_0002)
        .set_u32("cpu_on", 0xc400_0003)
        .set_u32("migrate", 0xc400_0005);
}

/// What the device tree is made from, besides the machine.
struct Described<'a> {
    o: &'a Options,
    cpu: &'a crate::Cpu,
    memory: u64,
    cores: usize,
    psci: Option<Conduit>,
}

impl Described<'_> {
    fn tree(&self, machine: &Machine) -> Tree {
        let mut t = TreeMaker::new(machine);
        let gic = t.phandle("gic");
        t.tree.root.set_u32("interrupt-parent", gic).set_str("model", "linux,dummy-virt");
        t.tree.root.set_u32("#size-cells", 2).set_u32("#address-cells", 2).set_str("compatible", "linux,dummy-virt");
        if let Some(conduit) = self.psci {
            psci_node(t.node("psci"), conduit);
        }
        let reg = [RAM, self.memory];
        t.node(&format!("memory@{RAM:x}")).set_str("device_type", "memory").set_cells64("reg", &reg);
        self.cpus(&mut t);
        t.node("apb-pclk")
            .set_str("compatible", "fixed-clock")
            .set_u32("#clock-cells", 0)
            .set_u32("clock-frequency", CLOCK_HZ)
            .set_str("clock-output-names", "clk24mhz");
        t.named("apb-pclk", "/apb-pclk");
        if self.cpu.pmu {
            let cells = [1, PPI_PMU, self.o.ppi_flags(self.cores)];
            t.node("pmu").set_str("compatible", "arm,armv8-pmuv3").set_cells("interrupts", &cells);
        }
        for (id, name, ty, _) in machine.devices() {
            if name == FLASH[1].0 && !self.o.secure {
                // Both banks are in the node of the first.
                continue;
            }
            let Some(node) = t.device(id) else { continue };
            match ty.name {
                "arm-gic-v2" | "arm-gic-v3" => self.gic(node, ty),
                _ if name == FLASH[0].0 && self.o.secure => {
                    node.name = format!("secflash@{:x}", FLASH[0].1);
                    secure_only(node);
                }
                _ if name == FLASH[0].0 => {
                    node.set_cells64("reg", &[FLASH[0].1, FLASH_LEN, FLASH[1].1, FLASH_LEN]);
                }
                _ if name == SECURE_UART.name => secure_only(node),
                // The binding's examples and all boards of this kind say edge.
                _ if node.is_compatible("virtio,mmio") => set_flags(node, EDGE),
                _ => {}
            }
        }
        if self.o.secure {
            let (base, len) = SECURE_RAM;
            // Not called memory@: operating systems of the normal world must not take it.
            let node = t.node(&format!("secram@{base:x}"));
            node.set_str("device_type", "memory").set_cells64("reg", &[base, len]);
            secure_only(node);
            if let Some(path) = t.path(SECURE_UART.name).map(str::to_string) {
                t.node("secure-chosen").set_str("stdout-path", &path);
            }
        }
        let gpio = t.phandle(GPIO.name);
        let keys = t.node("gpio-keys");
        keys.set_str("compatible", "gpio-keys");
        keys.add_child(Node::new("poweroff"))
            .set_str("label", "GPIO Key Poweroff")
            .set_u32("linux,code", KEY_POWER)
            .set_cells("gpios", &[gpio, POWER_LINE as u32, 0]);
        let console = t.path(UART.name).map(str::to_string);
        let chosen = t.node("chosen");
        if let Some(console) = console {
            chosen.set_str("stdout-path", &console);
        }
        t.finish()
    }

    fn cpus(&self, t: &mut TreeMaker<'_>) {
        let phandles: Vec<u32> = (0..self.cores).map(|n| t.phandle(&format!("cpu{n}"))).collect();
        let cpus = t.node("cpus");
        cpus.set_u32("#address-cells", 1).set_u32("#size-cells", 0);
        for (n, phandle) in phandles.iter().enumerate() {
            let affinity = self.o.affinity(n) as u32;
            let cpu = cpus.add_child(Node::new(format!("cpu@{affinity:x}")));
            cpu.set_str("device_type", "cpu").set_str("compatible", &self.cpu.compatible).set_u32("reg", affinity);
            if self.psci.is_some() && self.cores > 1 {
                cpu.set_str("enable-method", "psci");
            }
            cpu.set_phandle(*phandle);
        }
        let cluster = cpus.ensure_child("cpu-map").ensure_child("socket0").ensure_child("cluster0");
        for (n, phandle) in phandles.iter().enumerate() {
            cluster.ensure_child(&format!("core{n}")).set_u32("cpu", *phandle);
        }
    }

    fn gic(&self, node: &mut Node, ty: &DeviceType) {
        // The room and not only what is in it: some kernels look at the size to know the layout.
        let reg: Vec<u64> = self.o.gic_windows().iter().flat_map(|w| [w.1, w.2]).collect();
        node.set_cells64("reg", &reg);
        if self.o.gic == 3 {
            node.set_u32("#redistributor-regions", 1);
        }
        // A hypervisor that finds this interrupt takes it that there is a virtual interface.
        if self.o.virtualization && ty.outputs.iter().any(|o| o.name == "maintenance") {
            node.set_cells("interrupts", &[1, PPI_MAINTENANCE, LEVEL]);
        }
    }
}

/// Only the secure world may use the node.
fn secure_only(node: &mut Node) {
    node.set_str("status", "disabled").set_str("secure-status", "okay");
}

/// Replaces the flags in the interrupt specifiers of a node.
fn set_flags(node: &mut Node, flags: u32) {
    if let Some(mut cells) = node.get_cells("interrupts") {
        cells.chunks_exact_mut(3).for_each(|c| c[2] = flags);
        node.set_cells("interrupts", &cells);
    }
}
