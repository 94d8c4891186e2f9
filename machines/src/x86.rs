//! What boards with x86 processors share: the places of the APICs, the interrupt controllers, devices
//! of the ISA bus, and how the cores start.

use std::ops::Range;

use proteus_devices::fw_cfg::{Items, key};
use proteus_loader::acpi::{self, Apics, Files, IsaDevice};
use proteus_model::{CoreId, Line, WindowKind};

use crate::built::{Cores, X86Cores, X86Entry};
use crate::config::{BoardConfig, Interrupts, PlugIn};
use crate::error::{BoardError, refuse};
use crate::wiring::{Controller, IsaPart, Wiring};

/// Models of processors.
pub(crate) const CPU_MODELS: &[&str] = &["host", "max", "qemu64", "qemu32", "kvm64", "Nehalem", "Haswell", "EPYC"];
/// Identifiers of local APICs have eight bits, of which all ones are all of them.
pub(crate) const MAX_CPUS: usize = 255;

pub(crate) const IO_APIC: u64 = 0xfec0_0000;
/// End-of-interrupt register of the I/O APIC.
const END_OF_INTERRUPT: u64 = IO_APIC + 0x40;
const LOCAL_APIC: u64 = 0xfee0_0000;
/// Interrupt messages.
pub(crate) const MESSAGES: Range<u64> = LOCAL_APIC..LOCAL_APIC + 0x10_0000;
/// Where the processor acknowledges interrupts: at no port that software reaches.
const ACKNOWLEDGE: u64 = 0x1_0000_0000;
/// Input of the I/O APIC for the timer's interrupt 0.
const TIMER_INPUT: usize = 2;
/// The firmware configuration device.
pub(crate) const FW_CFG: IsaPart = ("fw_cfg", "fw-cfg-io", &[("control", 0x510), ("dma", 0x514)], &[]);
const PIC: IsaPart = ("pic", "i8259-pair", &[("master", 0x20), ("slave", 0xa0), ("elcr", 0x4d0), ("inta", ACKNOWLEDGE)], &[]);
const PIT: IsaPart = ("pit", "i8254", &[("regs", 0x40), ("control-b", 0x61)], &[("out0", 0)]);
/// Name of the ISA bus, which `-device bus=` may give.
const ISA_BUS: &str = "isa.0";

/// Whether a device of the user is on the ISA bus.
pub(crate) fn is_isa(device: &PlugIn) -> bool {
    device.ty.windows.first().is_some_and(|w| w.kind == WindowKind::Pio)
}

impl Wiring {
    /// The PICs, the I/O APIC and the interval timer, where they are the board's.
    pub fn x86_interrupts(&mut self) -> Result<(), BoardError> {
        if self.interrupts == Interrupts::Outside {
            return Ok(());
        }
        let pic = self.isa(&PIC)?;
        self.b.wire_core(pic, ("intr", 0), CoreId(0), Line::IRQ)?;
        let io_apic = self.device("ioapic", "ioapic", Ok)?;
        self.b.place(io_apic, "regs", IO_APIC)?;
        self.controllers = vec![Controller { id: pic, timer: 0, inputs: 16 }, Controller { id: io_apic, timer: TIMER_INPUT, inputs: 24 }];
        self.isa(&PIT)?;
        Ok(())
    }

    /// A device of the user on the ISA bus, at the port that it names.
    pub fn plug_isa(&mut self, device: PlugIn) -> Result<(), BoardError> {
        if let Some(bus) = device.bus.as_ref().filter(|bus| *bus != ISA_BUS) {
            return Err(refuse(format!("-device {}: the {} board has no bus '{bus}' for it; it has '{ISA_BUS}'", device.ty.name, self.board)));
        }
        let name = self.name(device.id, device.ty.name.into());
        let base = device.props.u64("iobase");
        let id = self.b.device(device.ty, &name, device.props)?;
        self.b.place(id, device.ty.windows.first().map_or("regs", |w| w.name), base)?;
        for (port, backend) in device.backends {
            self.bind(id, &name, &port, backend)?;
        }
        Ok(())
    }
}

/// Devices of the ISA bus that all boards have, for ACPI tables.
pub(crate) fn isa_device(name: &'static str, hid: &'static str, uid: u8, ports: &[(u16, u8)], irq: Option<u8>) -> IsaDevice {
    IsaDevice { name, hid, uid, ports: ports.to_vec(), irq }
}

/// What is in the firmware configuration device of every board.
pub(crate) fn items(config: &BoardConfig, memory: &[(u64, u64)], tables: Option<Files>) -> Items {
    /// An entry of `etc/e820` that is memory.
    const RAM: u32 = 1;
    let mut items = Items::new();
    let cores = (config.cores as u16).to_le_bytes();
    items.item(key::NB_CPUS, cores).item(key::MAX_CPUS, cores);
    // The timer is at input 2 of the I/O APIC.
    items.item(key::IRQ0_OVERRIDE, 1u32.to_le_bytes());
    items.item(key::RAM_SIZE, config.memory.min(1 << 32).to_le_bytes());
    let map: Vec<u8> = memory.iter().flat_map(|(first, len)| [&first.to_le_bytes()[..], &len.to_le_bytes(), &RAM.to_le_bytes()].concat()).collect();
    items.file("etc/e820", map);
    if let Some(t) = tables {
        items.file(acpi::TABLES_FILE, t.tables).file(acpi::RSDP_FILE, t.rsdp).file(acpi::LOADER_FILE, t.loader);
    }
    items
}

/// Where `-device loader` lets the first core start; the others wait for its interrupts.
pub(crate) fn loaded_entry(entries: &[(usize, u64)]) -> Result<Option<X86Entry>, BoardError> {
    match entries {
        [] => Ok(None),
        [.., (0, pc)] => Ok(Some(X86Entry::protected(*pc))),
        [.., (core, _)] => Err(refuse(format!("-device loader,cpu-num={core}: the first core alone starts at once, the others by its interrupts"))),
    }
}

/// What ACPI tables tell of them.
pub(crate) fn apics(count: usize) -> Apics {
    Apics { ids: (0..count as u32).collect(), local: LOCAL_APIC as u32, io: IO_APIC as u32 }
}

/// The cores of a board with [`Wiring::x86_interrupts`].
pub(crate) fn cores(count: usize, entry: Option<X86Entry>, interrupts: Interrupts) -> Cores {
    let apic_ids = (0..count as u32).collect();
    let of_board = |at| (interrupts == Interrupts::Board).then_some(at);
    Cores::X86(X86Cores { apic_ids, entry, acknowledge_port: of_board(ACKNOWLEDGE), end_of_interrupt: of_board(END_OF_INTERRUPT), interrupts })
}
