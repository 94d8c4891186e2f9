//! A personal computer: the chip set i440FX (host bridge 82441FX, datasheet 290549) with the south
//! bridge PIIX3 (82371SB, 290550), and the power management function of the PIIX4 in it. It is QEMU's
//! board `pc`, whose addresses and slots it has, as its firmware, SeaBIOS, expects them.
//!
//! Memory begins at 0. What is past 3.5 GiB, or 3 GiB if there is more than that, is above 4 GiB. PCI
//! functions are where the firmware puts them: between memory and the I/O APIC. The firmware's ROM
//! ends at 4 GiB, and its last 128 KiB are below 1 MiB too.
//!
//! The interrupts of the ISA bus, and of PCI through the south bridge, go to the PICs and to the I/O
//! APIC; local APICs belong to the processors. Processors have no system management mode here.
//!
//! Left out: the floppy controller, the parallel port, the DMA controllers, USB, HPET, hot plugging.

use std::sync::Arc;

use proteus_loader::{Architecture, acpi};
use proteus_model::ram::Region;
use proteus_model::{CharPort, DeviceId, MachineBuilder, Value};

use crate::Board;
use crate::boot::{self, Load, Memory};
use crate::built::BuiltBoard;
use crate::config::{BoardConfig, Chosen, DriveInterface, Firmware, PlugIn};
use crate::error::{BoardError, refuse};
use crate::pc_firmware;
use crate::wiring::{self, IsaPart, PciBus, PciSlots, SLOTS, Wiring};
use crate::x86::{self, FW_CFG, IO_APIC, MESSAGES, isa_device as device};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const PAGE: u64 = 0x1000;

// The map. Below 1 MiB are 640 KiB of memory, the graphics card, and the host bridge's shadow RAM.
const CONVENTIONAL: u64 = 640 << 10;
/// All memory is below 4 GiB if it ends here at most; if it does not, the part below ends at LOW.
const ALL_LOW: u64 = 0xe000_0000;
const LOW: u64 = 3 * GIB;
const HIGH: u64 = 4 * GIB;
/// How much of the firmware is below 1 MiB, and the largest.
const SHADOW: u64 = 128 << 10;
const LARGEST_FIRMWARE: u64 = 16 * MIB;

/// What stands for port cf8h in narrow accesses: at no port that software reaches.
const NARROW_PORTS: u64 = 0x2_0000_0000;
const RTC: IsaPart = ("rtc", "mc146818rtc", &[("regs", 0x70)], &[("irq", 8)]);
const ISA: &[IsaPart] = &[
    ("i8042", "i8042", &[("data", 0x60), ("command", 0x64)], &[("keyboard", 1), ("mouse", 12)]),
    ("pvpanic", "pvpanic", &[("regs", pc_firmware::PVPANIC)], &[]),
];
const SERIALS: [IsaPart; 4] = [
    ("serial0", "isa-serial", &[("regs", 0x3f8)], &[("irq", 4)]),
    ("serial1", "isa-serial", &[("regs", 0x2f8)], &[("irq", 3)]),
    ("serial2", "isa-serial", &[("regs", 0x3e8)], &[("irq", 4)]),
    ("serial3", "isa-serial", &[("regs", 0x2e8)], &[("irq", 3)]),
];
/// Interrupt of the power management function.
const SCI: usize = 9;
/// Where firmware puts the power management registers.
const PM_BASE: u16 = 0x600;
const APM: u64 = 0xb2;
const RESET_CONTROL: u64 = 0xcf9;

// Slots of the PCI bus.
const SOUTH_BRIDGE: usize = 1;
const GRAPHICS: usize = 2;
/// Name of the PCI bus, which `-device bus=` may give.
const BUS: &str = "pci.0";
/// The interrupts to which SeaBIOS routes PCI interrupts A to D.
const PCI_IRQS: [u8; 4] = [10, 10, 11, 11];

/// The board.
pub(crate) static PC: Board = Board {
    name: "pc",
    aliases: &["pc-i440fx", "pc-i440fx-10.0"],
    description: "Standard PC (i440FX + PIIX, 1996)",
    targets: &[Architecture::X86_64],
    properties: &[],
    cpu_models: x86::CPU_MODELS,
    default_cpu: |_| "qemu64",
    max_cpus: x86::MAX_CPUS,
    default_memory: 128 * MIB,
    max_memory: 255 * GIB,
    default_drive: DriveInterface::Ide,
    virtio: "pci",
    network: "virtio-net-pci",
    firmware: Some("bios-256k.bin"),
    takes: &["-boot", "-vga"],
    acpi: true,
    build,
};

/// Which of the south bridge's interrupts A to D (0 to 3) a pin (INTA is 1) of a slot is wired to.
pub(crate) fn route(slot: usize, pin: usize) -> usize {
    (slot + pin + 2) % 4
}

/// Refuses what the board has not.
fn check(config: &BoardConfig) -> Result<(), BoardError> {
    Chosen::read(PC.name, PC.properties, &config.properties)?;
    let models = PC.cpu_models;
    let wrong = [
        (!models.contains(&config.cpu.model.as_str()), format!("-cpu {}: the pc board takes one of: {}", config.cpu.model, models.join(", "))),
        (config.cores == 0 || config.cores > PC.max_cpus, format!("-smp {}: the pc board has from 1 to {} cores", config.cores, PC.max_cpus)),
        (
            config.memory < 2 * MIB || !config.memory.is_multiple_of(PAGE) || config.memory > PC.max_memory,
            format!("-m: {} bytes; the pc board has from 2 MiB to 255 GiB of memory in pages of 4 KiB", config.memory),
        ),
        (config.dtb.is_some(), "-dtb: kernels of the pc board take no device tree".into()),
        (config.kernel.is_none() && config.initrd.is_some(), "-initrd only makes sense with -kernel".into()),
        (config.kernel.is_none() && config.command_line.as_ref().is_some_and(|c| !c.is_empty()), "-append only makes sense with -kernel".into()),
        (!config.pflash.is_empty(), "-drive if=pflash: the pc board has no flash memory yet; give -bios".into()),
        (config.serials.len() > SERIALS.len(), format!("-serial: the pc board has {} serial ports", SERIALS.len())),
        (config.ide.len() > 4, "-drive if=ide: the pc board has four IDE drives, 0 to 3".into()),
        (config.firmware.is_none(), "the pc board needs firmware: SeaBIOS, by -bios".into()),
    ];
    match wrong.into_iter().find(|(is, _)| *is) {
        Some((_, text)) => Err(refuse(text)),
        None => Ok(()),
    }
}

/// Bytes of memory below 4 GiB.
fn low(size: u64) -> u64 {
    if size <= ALL_LOW { size } else { LOW }
}

/// Where memory is, first and length, as firmware is told.
pub(crate) fn memory_map(size: u64) -> Vec<(u64, u64)> {
    let low = low(size);
    std::iter::once((0, low)).chain((size > low).then_some((HIGH, size - low))).collect()
}

/// Main memory but that of the host bridge, and the firmware with its other place.
fn memory(b: &mut MachineBuilder, size: u64, firmware: u64) -> Result<(), BoardError> {
    let ram = Region::new("pc.ram", size)?;
    let (low, shadow) = (low(size), firmware.min(SHADOW));
    b.map(0, &ram, 0, CONVENTIONAL, false, 0);
    b.map(MIB, &ram, MIB, low - MIB, false, 0);
    if size > low {
        b.map(HIGH, &ram, low, size - low, false, 0);
    }
    let rom = Region::new("pc.bios", firmware)?;
    b.map(HIGH - firmware, &rom, 0, firmware, true, 0);
    b.map(MIB - shadow, &rom, firmware - shadow, shadow, true, 0);
    Ok(())
}

impl Wiring {
    /// The bridges, and the devices of the ISA bus. Gives functions 0 and 3 of the south bridge.
    fn pc_bridges(&mut self, config: &mut BoardConfig) -> Result<(DeviceId, DeviceId), BoardError> {
        let host = self.device("i440fx", "i440FX", |p| p.with_u64("narrow-ports", NARROW_PORTS))?;
        self.function(host, 0, 0)?;
        self.b.place(host, "address", 0xcf8)?.place(host, "data", 0xcfc)?;
        let bridge = self.device("piix3", "PIIX3", Ok)?;
        self.function(bridge, SOUTH_BRIDGE, 0)?;
        self.b.place(bridge, "rcr", NARROW_PORTS + (RESET_CONTROL - 0xcf8))?.place(bridge, "port92", 0x92)?;
        for irq in 0..16 {
            self.interrupt(bridge, ("irq", irq), irq)?;
        }
        for part in ISA {
            self.isa(part)?;
        }
        let cmos = pc_firmware::cmos(config, low(config.memory));
        let after_reset = pc_firmware::cmos_after_reset(config).unwrap_or_default();
        self.isa_with(&RTC, |p| p.with_text("contents", &cmos)?.with_text("after-reset", &after_reset))?;
        for (part, to) in SERIALS.iter().zip(std::mem::take(&mut config.serials)) {
            let Some(to): Option<Arc<dyn CharPort>> = to else { continue };
            let id = self.isa(part)?;
            self.serial(id, part.0, Some(to))?;
        }
        self.ide("piix3-ide", SOUTH_BRIDGE, std::mem::take(&mut config.ide))?;
        let pm = self.device("pm", "piix4-pm", |p| p.with_text("apmc-taken", "on"))?;
        self.function(pm, SOUTH_BRIDGE, 3)?;
        self.b.place(pm, "apm", APM)?;
        self.interrupt(pm, ("irq", 0), SCI)?;
        Ok((bridge, pm))
    }

    /// The graphics card.
    fn pc_graphics(&mut self, rom: Option<Firmware>) -> Result<(), BoardError> {
        let vga = self.device("vga", "VGA", |mut p| {
            if let Some(rom) = rom {
                p.set("rom", Value::Blobs(vec![(rom.name, rom.bytes)].into()))?;
            }
            Ok(p)
        })?;
        self.function(vga, GRAPHICS, 0)?;
        for (window, port) in [("ports", 0x3c0), ("mono", 0x3b4), ("color", 0x3d4), ("dispi", 0x1ce)] {
            self.b.place(vga, window, port)?;
        }
        self.b.place(vga, "legacy", CONVENTIONAL)?;
        Ok(())
    }
}

/// What the ACPI tables tell.
fn description(config: &BoardConfig) -> acpi::Files {
    let mut isa = vec![
        device("RTC_", "PNP0B00", 0, &[(0x70, 2)], Some(8)),
        device("KBD_", "PNP0303", 0, &[(0x60, 1), (0x64, 1)], Some(1)),
        device("MOU_", "PNP0F13", 0, &[], Some(12)),
        device("FWCF", "QEMU0002", 0, &[(0x510, 12)], None),
        device("PEVT", "QEMU0001", 0, &[(pc_firmware::PVPANIC as u16, 1)], None),
    ];
    for (n, (part, to)) in SERIALS.iter().zip(&config.serials).enumerate() {
        if let (Some(_), Some((_, port)), Some((_, irq))) = (to, part.2.first(), part.3.first()) {
            isa.push(device(["COM1", "COM2", "COM3", "COM4"][n], "PNP0501", n as u8 + 1, &[(*port as u16, 8)], Some(*irq as u8)));
        }
    }
    let top = low(config.memory);
    // As SeaBIOS begins its allocation.
    let window = if top <= 2 * GIB { 2 * GIB } else { LOW.max(top) };
    let pc = acpi::pc::Pc {
        apics: x86::apics(config.cores),
        pm_base: PM_BASE,
        smi_command: (APM as u16, proteus_devices::isa::piix4_pm::ACPI_ENABLE, proteus_devices::isa::piix4_pm::ACPI_DISABLE),
        sci: SCI as u8,
        reset: (RESET_CONTROL as u16, 6),
        century: 0x32,
        pci_memory: (window as u32, IO_APIC as u32 - 1),
        isa_slot: SOUTH_BRIDGE as u8,
        pci_irq: |slot, pin| PCI_IRQS[route(slot.into(), usize::from(pin) + 1)],
        level_irqs: &[5, 10, 11],
        isa,
    };
    pc.files()
}

fn build(mut config: BoardConfig) -> Result<BuiltBoard, BoardError> {
    check(&config)?;
    let size = config.memory;
    let Some(firmware) = config.firmware.take() else { return Err(refuse("the pc board needs firmware")) };
    let rom = firmware.bytes.len() as u64;
    if rom == 0 || rom > LARGEST_FIRMWARE || !rom.is_multiple_of(PAGE) {
        return Err(refuse(format!("-bios {}: the firmware has {rom} bytes; it must be pages of 4 KiB, and at most 16 MiB", firmware.name)));
    }
    let places =
        Memory { ram: 0..low(size), rom: HIGH - rom..HIGH, others: (size > low(size)).then_some(HIGH..HIGH + (size - low(size))).into_iter().collect() };
    let (mut loads, entries) = boot::loader_items(std::mem::take(&mut config.loader), &places, None)?;
    let entry = x86::loaded_entry(&entries)?;
    loads.push(Load::whole(firmware.name, HIGH - rom, firmware.bytes));
    boot::check_overlap(&loads)?;
    let (isa, pci): (Vec<PlugIn>, _) = std::mem::take(&mut config.devices).into_iter().partition(x86::is_isa);
    let mut taken = [false; SLOTS];
    taken[..=SOUTH_BRIDGE].fill(true);
    taken[GRAPHICS] = config.graphics;
    let pci = wiring::slots(PC.name, &mut PciSlots { bus: BUS, taken, first: GRAPHICS, on_board: None }, pci)?;
    let items = pc_firmware::items(&mut config, low(size), description, &pci)?;

    let mut b = MachineBuilder::new(PC.name, config.cores);
    let clock = config.clock.clone();
    b.clock(clock).wall_clock(config.wall_clock).messages(MESSAGES);
    b.entropy(std::mem::replace(&mut config.entropy, proteus_model::EntropySource::Seeded(0)));
    memory(&mut b, size, rom)?;
    let mut w = Wiring { b, board: PC.name, interrupts: config.interrupts, controllers: vec![], big_endian: false, ports: vec![] };
    w.x86_interrupts()?;
    let (bridge, pm) = w.pc_bridges(&mut config)?;
    w.isa_with(&FW_CFG, |mut p| {
        p.set("items", items.value())?;
        Ok(p)
    })?;
    for device in isa {
        w.plug_isa(device)?;
    }
    if config.graphics {
        w.pc_graphics(config.graphics_rom)?;
    }
    w.plug(PciBus { bridge, route, boot_order: true }, pci)?;
    let Wiring { b, ports, .. } = w;
    let machine = b.build()?;
    let power_key = machine.input_pin(pm, "power-button", 0).map(|pin| (pm, pin));
    Ok(BuiltBoard {
        machine,
        ports,
        cores: x86::cores(config.cores, entry, config.interrupts),
        dtb: None,
        loads,
        mirrors: vec![],
        seed_digits: None,
        power_key,
    })
}
