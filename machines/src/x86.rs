//! What boards with x86 processors share: the places of the APICs, the interrupt controllers, devices
//! of the ISA bus, and how the cores start.

use std::ops::Range;

use proteus_model::{CoreId, Line, WindowKind};

use crate::built::{Cores, X86Cores, X86Entry};
use crate::config::{Interrupts, PlugIn};
use crate::error::{BoardError, refuse};
use crate::wiring::{IsaPart, Wiring};

/// Models of processors.
pub(crate) const CPU_MODELS: &[&str] = &["host", "max", "qemu64", "qemu32", "kvm64", "Nehalem", "Haswell", "EPYC"];
/// Identifiers of local APICs have eight bits, of which all ones are all of them.
pub(crate) const MAX_CPUS: usize = 255;

pub(crate) const IO_APIC: u64 = 0xfec0_0000;
/// End-of-interrupt register of the I/O APIC.
const END_OF_INTERRUPT: u64 = IO_APIC + 0x40;
pub(crate) const LOCAL_APIC: u64 = 0xfee0_0000;
/// Interrupt messages.
pub(crate) const MESSAGES: Range<u64> = LOCAL_APIC..LOCAL_APIC + 0x10_0000;
/// Where the processor acknowledges interrupts: at no port that software reaches.
const ACKNOWLEDGE: u64 = 0x1_0000_0000;
/// Input of the I/O APIC for the timer's interrupt 0.
const TIMER_INPUT: usize = 2;
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
        self.controllers = vec![(pic, 0), (io_apic, TIMER_INPUT)];
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

/// Where `-device loader` lets the first core start; the others wait for its interrupts.
pub(crate) fn loaded_entry(entries: &[(usize, u64)]) -> Result<Option<X86Entry>, BoardError> {
    match entries {
        [] => Ok(None),
        [.., (0, pc)] => Ok(Some(X86Entry::protected(*pc))),
        [.., (core, _)] => Err(refuse(format!("-device loader,cpu-num={core}: the first core alone starts at once, the others by its interrupts"))),
    }
}

/// The cores of a board with [`Wiring::x86_interrupts`].
pub(crate) fn cores(count: usize, entry: Option<X86Entry>, interrupts: Interrupts) -> Cores {
    let apic_ids = (0..count as u32).collect();
    let of_board = |at| (interrupts == Interrupts::Board).then_some(at);
    Cores::X86(X86Cores { apic_ids, entry, acknowledge_port: of_board(ACKNOWLEDGE), end_of_interrupt: of_board(END_OF_INTERRUPT), interrupts })
}
