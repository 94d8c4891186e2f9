//! A machine made for fast starts: no firmware's work, no PCI. Addresses and interrupts are those that
//! QEMU documents for its board of this name (docs/system/i386/microvm.rst). A kernel finds its
//! processors and virtio slots in ACPI tables, or with `acpi=off` its virtio slots on its command line,
//! and then they have other interrupts.
//!
//! Memory begins at 0; what is past 3 GiB is above 4 GiB. Between are the generic event device, the slots
//! for virtio devices, the I/O APIC and, at the end, the firmware, whose last 128 KiB are below 1 MiB
//! too.
//!
//! Left out: the second I/O APIC and the further virtio slots that come with it, and PCI Express.

use proteus_devices::misc::acpi_ged;
use proteus_loader::acpi::microvm::{EventDevice, MicroVm, VirtioSlot};
use proteus_loader::x86_direct::Given;
use proteus_loader::{Architecture, acpi};
use proteus_model::ram::Region;
use proteus_model::{DeviceId, MachineBuilder, Props};

use crate::Board;
use crate::boot::{self, Load, Memory};
use crate::built::{BuiltBoard, X86Entry};
use crate::config::{BoardConfig, BoardProperty, Choices, Chosen, DriveInterface, PlugIn};
use crate::direct;
use crate::error::{BoardError, refuse};
use crate::wiring::{IsaPart, Wiring};
use crate::x86::{self, FW_CFG, MESSAGES, is_isa, isa_device};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

// The map. What is above 3 GiB is all that is not memory.
const LOW: u64 = 3 * GIB;
const HIGH: u64 = 4 * GIB;
const VIRTIO: u64 = 0xfeb0_0000;
const VIRTIO_STEP: u64 = 0x200;
const VIRTIO_SLOTS: usize = 8;
/// The interrupt of the first slot, with and without ACPI; the others follow.
const VIRTIO_IRQ: usize = 16;
const VIRTIO_IRQ_LEGACY: usize = 5;
/// The generic event device: its events, and behind them its other registers.
const EVENTS: u64 = 0xfea0_0000;
const EVENT_REGISTERS: u64 = EVENTS + 0x200;
const EVENT_IRQ: usize = 9;
/// The largest firmware, and how much of it is below 1 MiB.
const LARGEST_FIRMWARE: u64 = 16 * MIB;
const SHADOW: u64 = 128 << 10;
const PAGE: u64 = 0x1000;

const RTC: IsaPart = ("rtc", "mc146818rtc", &[("regs", 0x70)], &[("irq", 8)]);
const SERIAL: IsaPart = ("serial0", "isa-serial", &[("regs", 0x3f8)], &[("irq", 4)]);

const fn property(name: &'static str, choices: Choices, default: &'static str, doc: &'static str) -> BoardProperty {
    BoardProperty { name, choices, default, doc }
}

/// The board.
pub(crate) static MICROVM: Board = Board {
    name: "microvm",
    aliases: &[],
    description: "microvm (i386)",
    targets: &[Architecture::X86_64],
    properties: &[
        property("rtc", Choices::Only(true), "on", "The real-time clock"),
        property("pit", Choices::Only(true), "on", "The interval timer"),
        property("pic", Choices::Only(true), "on", "The interrupt controllers of the ISA bus"),
        property("isa-serial", Choices::OnOff, "on", "The serial port"),
        property("acpi", Choices::Words(&["auto", "on", "off"]), "auto", "ACPI tables"),
        property("ioapic2", Choices::Partly(&["auto", "off"], &["on"]), "auto", "The second I/O APIC"),
        property("pcie", Choices::Partly(&["auto", "off"], &["on"]), "auto", "PCI Express"),
        property("usb", Choices::Only(false), "off", "USB host controller"),
        property("auto-kernel-cmdline", Choices::OnOff, "on", "Without ACPI the virtio slots are added to the kernel's command line"),
    ],
    cpu_models: x86::CPU_MODELS,
    default_cpu: |_| "qemu64",
    max_cpus: x86::MAX_CPUS,
    default_memory: 128 * MIB,
    max_memory: 255 * GIB,
    default_drive: DriveInterface::Virtio,
    virtio: "device",
    network: "virtio-net-device",
    firmware: None,
    takes: &[],
    acpi: true,
    build,
};

/// Refuses what the board has not.
fn check(config: &BoardConfig) -> Result<Chosen, BoardError> {
    let chosen = Chosen::read(MICROVM.name, MICROVM.properties, &config.properties)?;
    let models = MICROVM.cpu_models;
    let wrong = [
        (!models.contains(&config.cpu.model.as_str()), format!("-cpu {}: the microvm board takes one of: {}", config.cpu.model, models.join(", "))),
        (config.cores == 0 || config.cores > MICROVM.max_cpus, format!("-smp {}: the microvm board has from 1 to {} cores", config.cores, MICROVM.max_cpus)),
        (
            config.memory < MIB || !config.memory.is_multiple_of(PAGE) || config.memory > MICROVM.max_memory,
            format!("-m: {} bytes; the microvm board has from 1 MiB to 255 GiB of memory in pages of 4 KiB", config.memory),
        ),
        (config.dtb.is_some(), "-dtb: kernels of the microvm board take no device tree".into()),
        (config.kernel.is_none() && config.initrd.is_some(), "-initrd only makes sense with -kernel".into()),
        (config.kernel.is_none() && config.command_line.as_ref().is_some_and(|c| !c.is_empty()), "-append only makes sense with -kernel".into()),
        (!config.pflash.is_empty(), "-drive if=pflash: the microvm board has no flash memory; give -bios".into()),
        (!config.ide.is_empty(), "-drive if=ide: the microvm board has no IDE; give if=virtio".into()),
        (config.serials.len() > 1, "-serial: the microvm board has one serial port".into()),
        (config.firmware.is_some() && config.kernel.is_some(), "-bios and -kernel: the microvm board starts one or the other yet".into()),
        (
            config.firmware.is_none() && config.kernel.is_none() && config.loader.is_empty(),
            "the microvm board needs something to start: -kernel, or firmware by -bios".into(),
        ),
    ];
    match wrong.into_iter().find(|(is, _)| *is) {
        Some((_, text)) => Err(refuse(text)),
        None => Ok(chosen),
    }
}

impl Wiring {
    /// The generic event device; gives its input for the power button.
    fn microvm_events(&mut self) -> Result<DeviceId, BoardError> {
        let id = self.device("ged", "acpi-ged", Ok)?;
        self.b.place(id, "events", EVENTS)?.place(id, "regs", EVENT_REGISTERS)?;
        self.interrupt(id, ("irq", 0), EVENT_IRQ)?;
        Ok(id)
    }

    /// Devices of the user: those of the ISA bus at their ports, the others in the virtio slots.
    fn microvm_plug(&mut self, devices: Vec<PlugIn>, first_irq: usize) -> Result<(), BoardError> {
        let (isa, virtio): (Vec<_>, Vec<_>) = devices.into_iter().partition(is_isa);
        isa.into_iter().try_for_each(|device| self.plug_isa(device))?;
        let places = slots(virtio.iter())?;
        let mut slots: Vec<Option<PlugIn>> = (0..VIRTIO_SLOTS).map(|_| None).collect();
        for (n, device) in places.into_iter().zip(virtio) {
            slots[n] = Some(device);
        }
        for (n, slot) in slots.into_iter().enumerate() {
            let mut name = format!("virtio-mmio.{n}");
            let (ty, props, backends) = match slot {
                None => {
                    let ty = self.find_type("virtio-mmio")?;
                    (ty, Props::new(ty), Vec::new())
                }
                Some(device) => {
                    name = self.name(device.id, name);
                    (device.ty, device.props, device.backends)
                }
            };
            let id = self.b.device(ty, &name, props)?;
            self.b.place(id, ty.windows.first().map_or("regs", |w| w.name), VIRTIO + n as u64 * VIRTIO_STEP)?;
            self.interrupt(id, (ty.outputs.first().map_or("irq", |o| o.name), 0), first_irq + n)?;
            for (port, backend) in backends {
                self.bind(id, &name, &port, backend)?;
            }
        }
        Ok(())
    }
}

/// Main memory, and the firmware with its other place.
fn memory(b: &mut MachineBuilder, size: u64, firmware: u64) -> Result<(), BoardError> {
    let ram = Region::new("microvm.ram", size)?;
    let shadow = firmware.min(SHADOW);
    b.map(0, &ram, 0, size.min(LOW), false, 0);
    if size > LOW {
        b.map(HIGH, &ram, LOW, size - LOW, false, 0);
    }
    if firmware > 0 {
        let rom = Region::new("pc.bios", firmware)?;
        b.map(HIGH - firmware, &rom, 0, firmware, true, 0);
        b.map(MIB - shadow, &rom, firmware - shadow, shadow, true, 1);
    }
    Ok(())
}

/// What tells a kernel of the virtio slots that have a device: size, address and interrupt
/// (Documentation/admin-guide/kernel-parameters.txt, `virtio_mmio.device`).
fn virtio_words(devices: &[PlugIn]) -> Result<String, BoardError> {
    let taken = slots(devices.iter().filter(|d| !is_isa(d)))?;
    let words = taken.into_iter().map(|n| format!(" virtio_mmio.device={VIRTIO_STEP}@{:#x}:{}", VIRTIO + n as u64 * VIRTIO_STEP, VIRTIO_IRQ_LEGACY + n));
    Ok(words.collect())
}

/// The ACPI tables.
fn tables(config: &BoardConfig, serial: bool) -> Result<acpi::Files, BoardError> {
    let events = EventDevice {
        events: EVENTS as u32,
        power_button: acpi_ged::POWER_BUTTON,
        irq: EVENT_IRQ as u32,
        sleep_control: EVENT_REGISTERS as u32,
        sleep_status: EVENT_REGISTERS as u32 + 1,
        soft_off: acpi_ged::SOFT_OFF,
        reset: (EVENT_REGISTERS as u32 + 2, acpi_ged::RESET_VALUE),
    };
    let mut isa = vec![isa_device("RTC_", "PNP0B00", 0, &[(0x70, 2)], Some(8)), isa_device("FWCF", "QEMU0002", 0, &[(0x510, 12)], None)];
    if serial {
        isa.push(isa_device("COM1", "PNP0501", 1, &[(0x3f8, 8)], Some(4)));
    }
    let virtio = slots(config.devices.iter().filter(|d| !is_isa(d)))?.into_iter().map(|n| VirtioSlot {
        number: n as u8,
        address: (VIRTIO + n as u64 * VIRTIO_STEP) as u32,
        len: VIRTIO_STEP as u32,
        irq: (VIRTIO_IRQ + n) as u32,
    });
    Ok(MicroVm { apics: x86::apics(config.cores), events, isa, virtio: virtio.collect() }.files())
}

/// The slots of virtio devices, in their order.
fn slots<'a>(devices: impl Iterator<Item = &'a PlugIn>) -> Result<Vec<usize>, BoardError> {
    let mut taken = [false; VIRTIO_SLOTS];
    let mut out = Vec::new();
    for device in devices {
        let n = boot::choose_slot(&taken, device, MICROVM.name)?;
        taken[n] = true;
        out.push(n);
    }
    Ok(out)
}

fn build(mut config: BoardConfig) -> Result<BuiltBoard, BoardError> {
    let chosen = check(&config)?;
    let size = config.memory;
    let firmware = config.firmware.as_ref().map_or(0, |f| f.bytes.len() as u64);
    if firmware > LARGEST_FIRMWARE || !firmware.is_multiple_of(PAGE) {
        return Err(refuse(format!("-bios: the firmware has {firmware} bytes; it must be pages of 4 KiB, and at most 16 MiB")));
    }
    let places = Memory { ram: 0..size.min(LOW), rom: HIGH - firmware..HIGH, others: (size > LOW).then_some(HIGH..HIGH + (size - LOW)).into_iter().collect() };
    let (mut loads, entries) = boot::loader_items(std::mem::take(&mut config.loader), &places, None)?;
    let mut entry = x86::loaded_entry(&entries)?;
    if let Some(f) = config.firmware.take() {
        loads.push(Load::whole(f.name, HIGH - firmware, f.bytes));
    }
    let map: Vec<(u64, u64)> = std::iter::once((0, size.min(LOW))).chain((size > LOW).then_some((HIGH, size - LOW))).collect();
    let mut cmdline = config.command_line.clone().unwrap_or_default();
    let acpi = (chosen.get("acpi") != "off").then(|| tables(&config, chosen.on("isa-serial"))).transpose()?;
    if acpi.is_none() && chosen.on("auto-kernel-cmdline") {
        cmdline.push_str(&virtio_words(&config.devices)?);
    }
    let mut items = x86::items(&config, &map, acpi.clone());
    for (name, contents) in std::mem::take(&mut config.fw_cfg) {
        items.file(&name, contents);
    }
    let given = Given { cmdline: &cmdline, initrd: config.initrd.as_deref().unwrap_or_default(), memory: &map, acpi: acpi.as_ref() };
    let mut kernel = config.kernel.take();
    if let Some(kernel) = &mut kernel
        && let Some((mut pieces, start)) = direct::plan(kernel, &given, &places)?
    {
        entry = Some(start);
        loads.append(&mut pieces);
    } else if let Some(kernel) = kernel {
        if !given.initrd.is_empty() || config.command_line.is_some() {
            return Err(refuse("-initrd and -append: the kernel has no entry that takes them: a bzImage, PVH or Multiboot has"));
        }
        let plan = kernel.plan(&proteus_loader::Placement { ram: places.ram.clone(), raw_offset: MIB, translate: None })?;
        boot::check(&plan, &kernel.file, &places)?;
        entry = Some(X86Entry::protected(plan.entry));
        loads.extend(Load::pieces("kernel", kernel.bytes, &plan));
    }
    boot::check_overlap(&loads)?;

    let mut b = MachineBuilder::new(MICROVM.name, config.cores);
    b.clock(config.clock).entropy(config.entropy).wall_clock(config.wall_clock).messages(MESSAGES);
    memory(&mut b, size, firmware)?;
    let mut w = Wiring { b, board: MICROVM.name, interrupts: config.interrupts, controllers: vec![], big_endian: false, ports: vec![] };
    w.x86_interrupts()?;
    w.isa(&RTC)?;
    if chosen.on("isa-serial") {
        let id = w.isa(&SERIAL)?;
        w.serial(id, SERIAL.0, config.serials.pop().flatten())?;
    }
    w.isa_with(&FW_CFG, |mut p| {
        p.set("items", items.value())?;
        Ok(p)
    })?;
    let events = acpi.is_some().then(|| w.microvm_events()).transpose()?;
    w.microvm_plug(config.devices, if acpi.is_some() { VIRTIO_IRQ } else { VIRTIO_IRQ_LEGACY })?;
    let Wiring { b, ports, .. } = w;
    let machine = b.build()?;
    let power_key = events.and_then(|id| machine.input_pin(id, "power-button", 0).map(|pin| (id, pin)));
    let cores = x86::cores(config.cores, entry, config.interrupts);
    Ok(BuiltBoard { machine, ports, cores, dtb: None, loads, mirrors: vec![], seed_digits: None, power_key })
}
