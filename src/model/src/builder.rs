//! Puts a machine together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::address_space::{DeviceTarget, Placement, Plane, SpaceBuilder, SpaceError, What};
use crate::clock::Clock;
use crate::core_lines::{CoreLines, Line};
use crate::device::{Device, DeviceType, PortKind, WindowKind};
use crate::machine::Machine;
use crate::outside::Doorbell;
use crate::port::{BlockPort, CharPort, EntropySource, FramePort};
use crate::property::{PropError, Props};
use crate::ram::Region;
use crate::types::{CoreId, DeviceId, Window};

/// Why a machine could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A device refused its properties.
    #[error("device '{device}': {error}")]
    Property {
        /// Name of the device.
        device: String,
        /// Why.
        error: PropError,
    },
    /// The address map cannot be.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A name that the device's type does not have.
    #[error("device '{device}' ({ty}) has no {kind} '{name}'")]
    NoSuch {
        /// Name of the device.
        device: String,
        /// Its type.
        ty: &'static str,
        /// "window", "output", "input" or "port".
        kind: &'static str,
        /// Name asked for.
        name: String,
    },
    /// Two devices of one name.
    #[error("there are two devices named '{0}'")]
    DuplicateName(String),
    /// A core that the machine does not have.
    #[error("the machine has no core {0}")]
    NoSuchCore(u16),
}

/// Where an output pin's wire ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// At a line of a core.
    Core(CoreId, Line),
    /// At an input pin (its number) of a device.
    Input(DeviceId, usize),
    /// At an interrupt controller that is no part of the machine; the number of the line.
    Outside(usize),
}

/// The back end of a port.
pub(crate) enum Backend {
    Char(Arc<dyn CharPort>),
    Frame(Arc<dyn FramePort>),
    Block(Arc<dyn BlockPort>),
}

/// What is fixed about a device once the machine is built.
pub(crate) struct DeviceInfo {
    pub name: String,
    pub ty: &'static DeviceType,
    pub props: Props,
    pub sinks: Vec<Vec<Sink>>,
    pub inputs: usize,
    pub alarms: usize,
    pub backends: Vec<Option<Backend>>,
    /// Memory that may stand in for reads, by window.
    pub backing: Vec<Option<Arc<Region>>>,
    pub doorbells: Vec<Doorbell>,
}

/// Puts a machine together: memory, devices at addresses, wires, back ends.
pub struct MachineBuilder {
    pub(crate) name: String,
    pub(crate) cores: Vec<Arc<CoreLines>>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) entropy: EntropySource,
    pub(crate) wall_base: u64,
    pub(crate) messages: Option<Range<u64>>,
    pub(crate) space: SpaceBuilder,
    pub(crate) regions: Vec<Arc<Region>>,
    pub(crate) infos: Vec<DeviceInfo>,
    pub(crate) devices: Vec<Box<dyn Device>>,
    by_name: BTreeMap<String, DeviceId>,
}

impl MachineBuilder {
    /// A machine with so many cores, a virtual clock, seeded entropy and a wall clock that begins
    /// in 1970.
    pub fn new(name: &str, cores: usize) -> MachineBuilder {
        MachineBuilder {
            name: name.into(),
            cores: (0..cores).map(|_| Arc::new(CoreLines::new())).collect(),
            clock: Arc::new(Clock::virtual_time()),
            entropy: EntropySource::Seeded(0),
            wall_base: 0,
            messages: None,
            space: SpaceBuilder::new(),
            regions: Vec::new(),
            infos: Vec::new(),
            devices: Vec::new(),
            by_name: BTreeMap::new(),
        }
    }

    /// Replaces the clock.
    pub fn clock(&mut self, clock: Arc<Clock>) -> &mut Self {
        self.clock = clock;
        self
    }

    /// Replaces the source of entropy.
    pub fn entropy(&mut self, source: EntropySource) -> &mut Self {
        self.entropy = source;
        self
    }

    /// Sets wall-clock time at virtual time zero, in nanoseconds since 1970.
    pub fn wall_clock(&mut self, unix_ns: u64) -> &mut Self {
        self.wall_base = unix_ns;
        self
    }

    /// DMA stores of 32 bits to these addresses are interrupt messages; see
    /// [`Machine::set_message_sink`].
    pub fn messages(&mut self, addresses: Range<u64>) -> &mut Self {
        self.messages = Some(addresses);
        self
    }

    /// Whether the machine takes interrupt messages.
    pub fn takes_messages(&self) -> bool {
        self.messages.is_some()
    }

    /// A core's lines, which exist before the machine is built.
    pub fn core_lines(&self, core: CoreId) -> Option<Arc<CoreLines>> {
        self.cores.get(usize::from(core.0)).cloned()
    }

    /// Places a whole region at an address.
    pub fn ram(&mut self, base: u64, region: &Arc<Region>) -> &mut Self {
        self.map(base, region, 0, region.len(), false, 0)
    }

    /// Places a whole region at an address, read-only to the guest.
    pub fn rom(&mut self, base: u64, region: &Arc<Region>) -> &mut Self {
        self.map(base, region, 0, region.len(), true, 0)
    }

    /// Places a part of a region (an alias, a bank).
    pub fn map(&mut self, base: u64, region: &Arc<Region>, offset: u64, len: u64, read_only: bool, priority: i32) -> &mut Self {
        if !self.regions.iter().any(|r| Arc::ptr_eq(r, region)) {
            self.regions.push(region.clone());
        }
        self.space.ram(base, region, offset, len, read_only, priority);
        self
    }

    /// Makes a device. Its system-register windows are placed at once, others by
    /// [`MachineBuilder::place`].
    pub fn device(&mut self, ty: &'static DeviceType, name: &str, props: Props) -> Result<DeviceId, BuildError> {
        let refused = |error| BuildError::Property { device: name.into(), error };
        props.check().map_err(refused)?;
        let device = (ty.new)(&props).map_err(refused)?;
        let id = DeviceId(self.devices.len() as u32);
        if self.by_name.insert(name.into(), id).is_some() {
            return Err(BuildError::DuplicateName(name.into()));
        }
        for (n, window) in ty.windows.iter().enumerate() {
            if let WindowKind::Sysreg(first) = window.kind {
                self.space.placements.push(Placement {
                    name: format!("{name}.{}", window.name),
                    plane: Plane::Sysreg,
                    base: first.into(),
                    len: window.size.get(&props),
                    priority: window.priority,
                    what: What::Device(DeviceTarget { device: id, window: Window(n) }),
                });
            }
        }
        let backing: Vec<_> = (0..ty.windows.len()).map(|n| device.backing(Window(n))).collect();
        self.regions.extend(backing.iter().flatten().cloned());
        self.infos.push(DeviceInfo {
            name: name.into(),
            ty,
            sinks: vec![Vec::new(); DeviceType::pin_count(ty.outputs, &props)],
            inputs: DeviceType::pin_count(ty.inputs, &props),
            alarms: ty.alarms.get(&props),
            backing,
            doorbells: device.doorbells(),
            backends: ty.ports.iter().map(|_| None).collect(),
            props,
        });
        self.devices.push(device);
        Ok(id)
    }

    /// Memory that may stand in for reads of a device's window ([`Device::backing`]), to be placed
    /// elsewhere too.
    pub fn backing(&self, id: DeviceId, window: &str) -> Option<Arc<Region>> {
        let info = self.info(id);
        let n = info.ty.windows.iter().position(|w| w.name == window)?;
        info.backing.get(n).cloned().flatten()
    }

    /// A device by name.
    pub fn find(&self, name: &str) -> Option<DeviceId> {
        self.by_name.get(name).copied()
    }

    fn info(&self, id: DeviceId) -> &DeviceInfo {
        &self.infos[id.0 as usize]
    }

    fn no_such(&self, id: DeviceId, kind: &'static str, name: &str) -> BuildError {
        let info = self.info(id);
        BuildError::NoSuch { device: info.name.clone(), ty: info.ty.name, kind, name: name.into() }
    }

    /// Places a device's window at an address.
    pub fn place(&mut self, id: DeviceId, window: &str, base: u64) -> Result<&mut Self, BuildError> {
        let info = self.info(id);
        let Some(n) = info.ty.windows.iter().position(|w| w.name == window) else {
            return Err(self.no_such(id, "window", window));
        };
        let decl = &info.ty.windows[n];
        let placement = Placement {
            name: format!("{}.{window}", info.name),
            plane: match Plane::of(decl.kind) {
                Plane::Sysreg => return Err(self.no_such(id, "window to be placed", window)),
                plane => plane,
            },
            base,
            len: decl.size.get(&info.props),
            priority: decl.priority,
            what: What::Device(DeviceTarget { device: id, window: Window(n) }),
        };
        self.space.placements.push(placement);
        Ok(self)
    }

    fn output(&self, id: DeviceId, name: &str, index: usize) -> Result<usize, BuildError> {
        let info = self.info(id);
        DeviceType::pin(info.ty.outputs, &info.props, name, index).ok_or_else(|| self.no_such(id, "output", &format!("{name}[{index}]")))
    }

    /// Wires output `name[index]` of a device to input `to_name[to_index]` of another. An output
    /// may have several wires; an input is the OR of its wires.
    pub fn wire(&mut self, id: DeviceId, (name, index): (&str, usize), to: DeviceId, (to_name, to_index): (&str, usize)) -> Result<&mut Self, BuildError> {
        let output = self.output(id, name, index)?;
        let info = self.info(to);
        let input =
            DeviceType::pin(info.ty.inputs, &info.props, to_name, to_index).ok_or_else(|| self.no_such(to, "input", &format!("{to_name}[{to_index}]")))?;
        self.infos[id.0 as usize].sinks[output].push(Sink::Input(to, input));
        Ok(self)
    }

    /// Wires output `name[index]` of a device to a line of a core.
    pub fn wire_core(&mut self, id: DeviceId, (name, index): (&str, usize), core: CoreId, line: Line) -> Result<&mut Self, BuildError> {
        let output = self.output(id, name, index)?;
        if usize::from(core.0) >= self.cores.len() {
            return Err(BuildError::NoSuchCore(core.0));
        }
        self.infos[id.0 as usize].sinks[output].push(Sink::Core(core, line));
        Ok(self)
    }

    /// Wires output `name[index]` of a device to a line of an interrupt controller that is no part of
    /// the machine ([`Machine::set_line_sink`]): it is high while any of its wires is.
    pub fn wire_outside(&mut self, id: DeviceId, (name, index): (&str, usize), line: usize) -> Result<&mut Self, BuildError> {
        let output = self.output(id, name, index)?;
        self.infos[id.0 as usize].sinks[output].push(Sink::Outside(line));
        Ok(self)
    }

    fn bind(&mut self, id: DeviceId, port: &str, kind: PortKind, backend: Backend) -> Result<&mut Self, BuildError> {
        let ports = self.info(id).ty.ports;
        let Some(n) = ports.iter().position(|p| p.name == port && p.kind == kind) else {
            let kind = match kind {
                PortKind::Char => "character port",
                PortKind::Frame => "network port",
                PortKind::Block => "block port",
            };
            return Err(self.no_such(id, kind, port));
        };
        self.infos[id.0 as usize].backends[n] = Some(backend);
        Ok(self)
    }

    /// Binds a character back end to a device's port.
    pub fn bind_char(&mut self, id: DeviceId, port: &str, to: Arc<dyn CharPort>) -> Result<&mut Self, BuildError> {
        self.bind(id, port, PortKind::Char, Backend::Char(to))
    }

    /// Binds a network back end to a device's port.
    pub fn bind_frame(&mut self, id: DeviceId, port: &str, to: Arc<dyn FramePort>) -> Result<&mut Self, BuildError> {
        self.bind(id, port, PortKind::Frame, Backend::Frame(to))
    }

    /// Binds a block image to a device's port.
    pub fn bind_block(&mut self, id: DeviceId, port: &str, to: Arc<dyn BlockPort>) -> Result<&mut Self, BuildError> {
        self.bind(id, port, PortKind::Block, Backend::Block(to))
    }

    /// Builds the machine and resets it.
    pub fn build(self) -> Result<Arc<Machine>, BuildError> {
        Machine::build(self)
    }
}
