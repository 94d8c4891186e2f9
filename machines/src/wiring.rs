//! A machine while a board adds parts to it, and what boards share: parts of the ISA bus, IDE drives,
//! and devices of the user on the PCI bus.

use std::sync::Arc;

use proteus_devices::REGISTRY;
use proteus_devices::pci::parse_address;
use proteus_devices::virtio::blk::BOOT_INDEX;
use proteus_model::{CharPort, DeviceId, DeviceType, MachineBuilder, PropError, Props, WindowKind};

use crate::built::HostPort;
use crate::config::{Backend, IdeDrive, Interrupts, PlugIn};
use crate::error::{BoardError, refuse};

/// An ISA device: name, type, windows and their ports, outputs and their interrupts.
pub(crate) type IsaPart = (&'static str, &'static str, &'static [(&'static str, u64)], &'static [(&'static str, usize)]);

const IDE_PORTS: [(&str, u64); 4] = [("primary", 0x1f0), ("primary-control", 0x3f6), ("secondary", 0x170), ("secondary-control", 0x376)];

/// A machine while parts are added to it.
pub(crate) struct Wiring {
    pub b: MachineBuilder,
    /// Name of the board, for messages.
    pub board: &'static str,
    /// Interrupt controllers of the ISA bus.
    pub controllers: Vec<Controller>,
    /// Whether these are the board's.
    pub interrupts: Interrupts,
    /// Byte order of the processor.
    pub big_endian: bool,
    pub ports: Vec<HostPort>,
}

/// An interrupt controller of the ISA bus.
#[derive(Clone, Copy)]
pub(crate) struct Controller {
    pub id: DeviceId,
    /// Its input for the timer's interrupt 0.
    pub timer: usize,
    /// How many inputs it has: one for each interrupt from 0 on.
    pub inputs: usize,
}

/// The slots of a board's PCI bus, for the devices of the user.
pub(crate) struct PciSlots {
    /// The name of the bus, which `-device bus=` may give.
    pub bus: &'static str,
    /// Slots in use.
    pub taken: [bool; SLOTS],
    /// The first slot that a device without `addr=` may get.
    pub first: usize,
    /// The slot of a network interface of the board itself, and its type.
    pub on_board: Option<(usize, &'static str)>,
}

/// The PCI bus of a board.
pub(crate) struct PciBus {
    /// Has the inputs "pirq".
    pub bridge: DeviceId,
    /// Which of them a pin (INTA is 1) of a slot is wired to.
    pub route: fn(usize, usize) -> usize,
    /// Firmware boots from the devices in the order of `bootindex=`.
    pub boot_order: bool,
}

/// Slots of a PCI bus.
pub(crate) const SLOTS: usize = 32;

impl Wiring {
    /// A type of the registry.
    pub fn find_type(&self, name: &str) -> Result<&'static DeviceType, BoardError> {
        let found = REGISTRY.iter().copied().find(|ty| ty.name == name);
        found.ok_or_else(|| refuse(format!("the {} board needs a '{name}', which is not implemented", self.board)))
    }

    pub fn device(&mut self, name: &str, ty: &str, set: impl FnOnce(Props) -> Result<Props, PropError>) -> Result<DeviceId, BoardError> {
        let ty = self.find_type(ty)?;
        Ok(self.b.device(ty, name, set(Props::new(ty))?)?)
    }

    pub fn bind(&mut self, id: DeviceId, name: &str, port: &str, backend: Backend) -> Result<(), BoardError> {
        match backend {
            Backend::Char(to) => self.b.bind_char(id, port, to)?,
            Backend::Frame(to) => self.b.bind_frame(id, port, to)?,
            Backend::Block(to) => self.b.bind_block(id, port, to)?,
        };
        self.ports.push(HostPort { name: name.into(), device: id, port: port.into() });
        Ok(())
    }

    pub fn serial(&mut self, id: DeviceId, name: &str, to: Option<Arc<dyn CharPort>>) -> Result<(), BoardError> {
        to.map_or(Ok(()), |to| self.bind(id, name, "chardev", Backend::Char(to)))
    }

    /// Gives a PCI function its number.
    pub fn function(&mut self, id: DeviceId, slot: usize, function: usize) -> Result<(), BoardError> {
        self.b.place(id, "config", ((slot << 15) | (function << 12)) as u64)?;
        Ok(())
    }

    /// Wires an output to an interrupt of all controllers that have it.
    pub fn interrupt(&mut self, id: DeviceId, output: (&str, usize), irq: usize) -> Result<(), BoardError> {
        if self.interrupts == Interrupts::Outside {
            self.b.wire_outside(id, output, irq)?;
        }
        for c in self.controllers.iter().filter(|c| irq < c.inputs) {
            self.b.wire(id, output, c.id, ("irq", if irq == 0 { c.timer } else { irq }))?;
        }
        Ok(())
    }

    pub fn isa(&mut self, part: &IsaPart) -> Result<DeviceId, BoardError> {
        self.isa_with(part, Ok)
    }

    /// An ISA device with these properties.
    pub fn isa_with(&mut self, part: &IsaPart, set: impl FnOnce(Props) -> Result<Props, PropError>) -> Result<DeviceId, BoardError> {
        let (name, ty, windows, irqs) = part;
        let id = self.device(name, ty, set)?;
        for (window, port) in *windows {
            self.b.place(id, window, *port)?;
        }
        for (output, irq) in *irqs {
            self.interrupt(id, (output, 0), *irq)?;
        }
        Ok(id)
    }

    /// The IDE controller, function 1 of the south bridge.
    pub fn ide(&mut self, ty: &str, slot: usize, drives: Vec<Option<IdeDrive>>) -> Result<(), BoardError> {
        let drives: Vec<(usize, IdeDrive)> = drives.into_iter().enumerate().filter_map(|(n, d)| Some((n, d?))).collect();
        let id = self.device("ide", ty, |mut props| {
            for (n, drive) in &drives {
                let name = format!("drive{n}");
                if drive.cdrom {
                    props = props.with_text(&format!("{name}-media"), "cdrom")?;
                }
                if drive.image.is_some() {
                    props = props.with_text(&name, &name)?;
                }
            }
            Ok(props)
        })?;
        self.function(id, slot, 1)?;
        for (window, port) in IDE_PORTS {
            self.b.place(id, window, port)?;
        }
        for channel in 0..2 {
            self.interrupt(id, ("irq", channel), 14 + channel)?;
        }
        for (n, drive) in drives {
            match drive.image {
                Some(image) => self.bind(id, "ide", &format!("drive{n}"), Backend::Block(image))?,
                None if drive.cdrom => {}
                None => return Err(refuse(format!("-drive if=ide,index={n}: a disk needs an image"))),
            }
        }
        Ok(())
    }

    /// Devices of the user on the PCI bus, by slot.
    pub fn plug(&mut self, bus: PciBus, devices: Vec<(usize, PlugIn)>) -> Result<(), BoardError> {
        for (slot, device) in devices {
            if !bus.boot_order && device.props.get(BOOT_INDEX.name).is_some() {
                return Err(refuse(format!("-device {}: the firmware of {} takes no bootindex=", device.ty.name, self.board)));
            }
            let name = self.name(device.id, format!("pci.{slot:02x}"));
            let mut props = device.props;
            if device.ty.properties.iter().any(|p| p.name == "guest-big-endian") {
                props.set_text("guest-big-endian", if self.big_endian { "on" } else { "off" })?;
            }
            self.board_messages(device.ty, &mut props)?;
            let id = self.b.device(device.ty, &name, props)?;
            self.function(id, slot, 0)?;
            // Functions of one device have their interrupt at INTA.
            if device.ty.outputs.iter().any(|pin| pin.name == "intx") {
                self.b.wire(id, ("intx", 0), bus.bridge, ("pirq", (bus.route)(slot, 1)))?;
            }
            for (port, backend) in device.backends {
                self.bind(id, &name, &port, backend)?;
            }
        }
        Ok(())
    }

    /// On a board that takes no interrupt messages a function has no MSI-X.
    fn board_messages(&self, ty: &DeviceType, props: &mut Props) -> Result<(), BoardError> {
        let Some(decl) = ty.properties.iter().find(|p| p.name == "vectors").filter(|_| !self.b.takes_messages()) else { return Ok(()) };
        let wanted = props.u64(decl.name);
        if wanted != 0 && props.get(decl.name) != Props::new(ty).get(decl.name) {
            return Err(refuse(format!("-device {}: vectors={wanted}: the {} board takes no interrupt messages; leave it out", ty.name, self.board)));
        }
        Ok(props.set_text(decl.name, "0")?)
    }

    /// A name for a device of the user, who knows nothing of those that the board's own parts have.
    pub fn name(&self, id: Option<String>, otherwise: String) -> String {
        match id {
            Some(id) if self.b.find(&id).is_some() => format!("peripheral/{id}"),
            Some(id) => id,
            None => otherwise,
        }
    }
}

/// Devices of the user by their slots of the PCI bus.
pub(crate) fn slots(board: &str, slots: &mut PciSlots, devices: Vec<PlugIn>) -> Result<Vec<(usize, PlugIn)>, BoardError> {
    // Those with an address first, so that the others find what is free.
    let mut wanted = vec![None; devices.len()];
    for (slot, device) in wanted.iter_mut().zip(&devices) {
        let on_board = slots.on_board.filter(|(n, ty)| device.nic && device.ty.name == *ty && !slots.taken[*n]);
        *slot = wanted_slot(board, slots.bus, device)?.or(on_board.map(|(n, _)| n));
        if let Some(n) = *slot
            && std::mem::replace(&mut slots.taken[n], true)
        {
            return Err(refuse(format!("-device {}: slot {n:#x} of the PCI bus has a device already", device.ty.name)));
        }
    }
    let place = |(slot, device): (Option<usize>, PlugIn)| {
        let free = || (slots.first..SLOTS).find(|n| !slots.taken[*n]);
        let slot = slot.or_else(free).ok_or_else(|| refuse(format!("-device {}: all slots of the PCI bus are in use", device.ty.name)))?;
        slots.taken[slot] = true;
        Ok((slot, device))
    };
    wanted.into_iter().zip(devices).map(place).collect()
}

/// The slot that the user wants for a device.
fn wanted_slot(board: &str, bus: &str, device: &PlugIn) -> Result<Option<usize>, BoardError> {
    let error = |what: String| refuse(format!("-device {}: {what}", device.ty.name));
    if device.ty.windows.first().is_none_or(|w| w.kind != WindowKind::PciConfig) {
        return Err(error(format!("the {board} board has a PCI bus only; virtio devices for it are called virtio-...-pci")));
    }
    if let Some(other) = device.bus.as_ref().filter(|other| *other != bus) {
        return Err(error(format!("the {board} board has no bus '{other}'; it has '{bus}'")));
    }
    match parse_address(&device.props)? {
        None => Ok(None),
        Some((slot, 0)) => Ok(Some(slot.into())),
        Some((slot, function)) => Err(error(format!("addr={slot:02x}.{function}: a device of one function has function 0"))),
    }
}
