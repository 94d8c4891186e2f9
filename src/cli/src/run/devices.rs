//! `-device`: from the registry of device types, with back ends bound by their properties.

use proteus_devices::REGISTRY;
use proteus_loader::Kernel;
use proteus_machines::{Backend, Board, LoaderContents, LoaderItem, PlugIn};
use proteus_model::{DeviceType, PortKind, Props, Value};

use super::chardevs::{Binding, Consoles};
use super::network::{NetLink, Networks};
use super::storage::Storage;
use crate::config::{Config, DeviceConfig, Global};
use crate::error::{Problem, UsageError, shorten};
use crate::keyval::KeyValues;

/// The most that a `-device loader` reads.
const LARGEST_FILE: u64 = 1 << 32;

/// What has ports for consoles and agents.
const SERIAL: &str = "virtio-serial-device";
/// Its ports, which the command line adds as devices of their own.
pub const SERIAL_PORTS: &[(&str, &str)] = &[("virtconsole", "Console port of a virtio-serial device"), ("virtserialport", "Port of a virtio-serial device")];

/// The properties of `loader` and their types.
pub const LOADER: &[(&str, &str)] =
    &[("addr", "uint64"), ("cpu-num", "uint32"), ("data-be", "bool"), ("data-len", "uint8"), ("data", "uint64"), ("file", "str"), ("force-raw", "bool")];

/// What is at the host's end of a plugged-in device's port, to be connected when the machine is
/// built.
pub enum Peer {
    /// A character back end.
    Char(Binding),
    /// A network.
    Net(std::sync::Arc<NetLink>),
}

/// What `-device` and its abbreviations come to.
#[derive(Default)]
pub struct Plugged {
    /// Devices for the board.
    pub devices: Vec<PlugIn>,
    /// What `-device loader` loads.
    pub loader: Vec<LoaderItem>,
    /// By the device's name and its port's.
    pub peers: Vec<(String, String, Peer)>,
}

/// The back ends that devices may refer to.
pub struct Backends<'a> {
    /// Images.
    pub storage: &'a mut Storage,
    /// Networks.
    pub networks: &'a mut Networks,
    /// Character back ends.
    pub consoles: &'a Consoles,
}

/// All device types that a user can add.
pub fn creatable() -> impl Iterator<Item = &'static DeviceType> {
    REGISTRY.iter().copied().filter(|t| t.user_creatable)
}

/// The type of that name, or why there is none.
pub fn find(name: &str) -> Result<&'static DeviceType, Problem> {
    if let Some(ty) = REGISTRY.iter().copied().find(|t| t.name == name) {
        return match ty.user_creatable {
            true => Ok(ty),
            false => Err(format!("{name} is a part of boards; it cannot be added with -device").into()),
        };
    }
    let mut near: Vec<_> = creatable()
        .map(|t| t.name)
        .chain(["loader", "virtconsole", "virtserialport"])
        .map(|n| (strsim::damerau_levenshtein(n, name), n))
        .filter(|(d, _)| *d <= 4)
        .collect();
    near.sort();
    let hint = match near.as_slice() {
        [] => "see -device help".to_string(),
        near => format!("is it {}?", near.iter().take(3).map(|(_, n)| *n).collect::<Vec<_>>().join(" or ")),
    };
    Err(format!("there is no device '{}'; {hint}", shorten(name)).into())
}

/// Makes all devices of the command line.
pub fn plug(config: &Config, board: &Board, backends: &mut Backends<'_>) -> Result<Plugged, UsageError> {
    check_globals(config)?;
    let mut out = Plugged::default();
    for nic in std::mem::take(&mut backends.networks.nics) {
        let virtio = format!("virtio-net-{}", board.virtio);
        let model = match nic.model.as_deref() {
            None => board.network,
            Some("virtio") => &virtio,
            Some(model) => model,
        };
        let mut given = DeviceConfig { driver: model.into(), id: nic.id, properties: KeyValues::default() };
        nic.mac.into_iter().for_each(|mac| given.properties.push("mac", mac));
        let ty = find(model).map_err(|p| p.at(&config.program, "-nic"))?;
        let Some(port) = ty.ports.iter().find(|p| p.kind == PortKind::Frame) else {
            return Err(Problem(format!("'{}' is no network interface", shorten(model))).at(&config.program, "-nic"));
        };
        let name = out.add(config, ty, &given, "-nic", backends)?;
        out.bind(&name, port.name, Backend::Frame(nic.link.clone()), Some(Peer::Net(nic.link)));
    }
    for device in &config.devices {
        let at = format!("-device {}", shorten(&device.driver));
        if device.driver == "loader" {
            out.loader.push(loader(device).map_err(|p| p.at(&config.program, &at))?);
            continue;
        }
        if SERIAL_PORTS.iter().any(|(name, _)| *name == device.driver) {
            out.add_serial_port(device, backends, &at).map_err(|p| p.at(&config.program, &at))?;
            continue;
        }
        let ty = find(&device.driver).map_err(|p| p.at(&config.program, "-device"))?;
        out.add(config, ty, &without_rng(config, device).map_err(|p| p.at(&config.program, &at))?, &at, backends)?;
    }
    let name = format!("virtio-blk-{}", board.virtio);
    for disk in std::mem::take(&mut backends.storage.virtio) {
        let ty = find(&name).map_err(|p| p.at(&config.program, "-drive if=virtio"))?;
        let given = DeviceConfig { driver: name.clone(), id: None, properties: KeyValues::default() };
        let Some(port) = ty.ports.iter().find(|p| p.kind == PortKind::Block) else { continue };
        let name = out.add(config, ty, &given, "-drive if=virtio", backends)?;
        // The property that refers to an image must be given, and here nobody gave one.
        if let Some(device) = out.devices.last_mut() {
            device.props.set_text(port.name, &name).map_err(|e| Problem(e.to_string()).at(&config.program, "-drive if=virtio"))?;
        }
        out.bind(&name, port.name, Backend::Block(disk), None);
    }
    Ok(out)
}

impl Plugged {
    /// Makes a device, with the back ends that its properties name. Gives its name.
    fn add(&mut self, config: &Config, ty: &'static DeviceType, given: &DeviceConfig, at: &str, backends: &mut Backends<'_>) -> Result<String, UsageError> {
        let fail = |e: &dyn std::fmt::Display| Problem(e.to_string()).at(&config.program, at);
        let mut properties = given.properties.clone();
        let bus = properties.take("bus");
        let mut props = Props::new(ty);
        let transport = |g: &Global| is_transport(g) && ty.properties.iter().any(|p| p.name == g.property);
        for g in config.globals.iter().filter(|g| g.driver == ty.name || transport(g)) {
            props.set_text(&g.property, &g.value).map_err(|e| fail(&e))?;
        }
        for (key, value) in &properties.0 {
            props.set_text(key, value).map_err(|e| fail(&e))?;
        }
        if ty.properties.iter().any(|p| p.name == "mac") && props.mac("mac").is_none() {
            let n = self.devices.iter().filter(|d| d.props.mac("mac").is_some()).count();
            props.set_text("mac", &format!("52:54:00:12:34:{:02x}", 0x56 + n % 0xa0)).map_err(|e| fail(&e))?;
        }
        // Each has a name, by which its ports are found again when the machine is built.
        let name = given.id.clone().unwrap_or_else(|| format!("peripheral-anon.{}", self.devices.len()));
        let user = format!("device '{}'", given.id.as_deref().unwrap_or(ty.name));
        self.devices.push(PlugIn { ty, id: Some(name.clone()), bus, nic: at == "-nic", props: props.clone(), backends: Vec::new() });
        for port in ty.ports {
            let Some(id) = props.str(port.name) else { continue };
            let (backend, peer) = match port.kind {
                PortKind::Block => (Backend::Block(backends.storage.take(at, id, &user)?), None),
                PortKind::Frame => {
                    let link = backends.networks.take(at, id, &user)?;
                    (Backend::Frame(link.clone()), Some(Peer::Net(link)))
                }
                PortKind::Char => {
                    let binding = backends.consoles.by_name(at, id)?;
                    let Some(port) = binding.port() else { continue };
                    (Backend::Char(port), Some(Peer::Char(binding)))
                }
            };
            self.bind(&name, port.name, backend, peer);
        }
        Ok(name)
    }

    /// `-device virtconsole` and `virtserialport`: a port of a virtio-serial device before it.
    fn add_serial_port(&mut self, given: &DeviceConfig, backends: &Backends<'_>, at: &str) -> Result<(), Problem> {
        let mut p = given.properties.clone();
        let (bus, chardev, name, number) = (p.take("bus"), p.take("chardev"), p.take("name"), p.take_number("nr")?);
        p.nothing_left(&["bus", "chardev", "id", "name", "nr"])?;
        let console = given.driver == "virtconsole";
        let is_serial = |d: &PlugIn| d.ty.name.starts_with("virtio-serial-");
        let on_bus = |d: &&mut PlugIn| match &bus {
            None => is_serial(d),
            Some(bus) => is_serial(d) && d.id.as_deref().is_some_and(|id| bus.strip_suffix(".0") == Some(id)),
        };
        let Some(parent) = self.devices.iter_mut().find(on_bus) else {
            return Err(match bus {
                Some(bus) => format!("there is no bus '{}'; give -device {SERIAL},id=ID before it, and bus=ID.0", shorten(&bus)),
                None => format!("needs a {SERIAL}; give -device {SERIAL} before it"),
            }
            .into());
        };
        let ports = parent.ty.ports.len() as u64;
        let taken = |n: u64| {
            ["", "-name", "-console"].iter().any(|part| matches!(parent.props.get(&format!("port{n}{part}")), Some(Value::Str(_) | Value::Bool(true))))
        };
        let n = match number {
            Some(n) if n >= ports => return Err(format!("nr={n}: the device has ports 0 to {}", ports.saturating_sub(1)).into()),
            // Old drivers know port 0 only, as a console.
            Some(0) if !console => return Err("nr=0: port 0 is for a virtconsole; give 1 or more".into()),
            Some(n) if taken(n) => return Err(format!("nr={n}: that port is in use").into()),
            Some(n) => n,
            None => (u64::from(!console)..ports).find(|n| !taken(*n)).ok_or_else(|| Problem(format!("all {ports} ports of the device are in use")))?,
        };
        let mut set = |part: &str, value: &str| parent.props.set_text(&format!("port{n}{part}"), value).map_err(|e| Problem(e.to_string()));
        // A port without a back end and without a name would not exist.
        let name = name.or_else(|| (chardev.is_none() && !console).then(|| given.id.clone().unwrap_or_else(|| format!("port{n}"))));
        name.iter().try_for_each(|name| set("-name", name))?;
        if console {
            set("-console", "on")?;
        }
        let Some(id) = chardev else { return Ok(()) };
        set("", &id)?;
        let device = parent.id.clone().unwrap_or_default();
        let binding = backends.consoles.by_name(at, &id).map_err(|e| Problem(e.message))?;
        if let Some(port) = binding.port() {
            self.bind(&device, &format!("port{n}"), Backend::Char(port), Some(Peer::Char(binding)));
        }
        Ok(())
    }

    fn bind(&mut self, name: &str, port: &str, backend: Backend, peer: Option<Peer>) {
        if let Some(device) = self.devices.iter_mut().find(|d| d.id.as_deref() == Some(name)) {
            device.backends.push((port.into(), backend));
        }
        if let Some(peer) = peer {
            self.peers.push((name.into(), port.into(), peer));
        }
    }
}

/// Checks `-object`: only sources of entropy, which the host's is in any case.
pub fn check_objects(config: &Config) -> Result<(), UsageError> {
    for object in &config.objects {
        let at = format!("-object {}", shorten(&object.kind));
        let fail = |text: String| Problem(text).at(&config.program, &at);
        let mut p = object.properties.clone();
        match object.kind.as_str() {
            "rng-random" => match p.take("filename").as_deref() {
                None | Some("/dev/urandom" | "/dev/random") => {}
                Some(_) => return Err(fail("filename= can be /dev/urandom only; the host's entropy is taken by a system call".into())),
            },
            "rng-builtin" => {}
            _ => return Err(fail("understood by QEMU, not yet implemented in Proteus".into())),
        }
        p.nothing_left(&["filename"]).map_err(|p| p.at(&config.program, &at))?;
    }
    Ok(())
}

/// The device without `rng=`, which names a source that is the host's entropy.
fn without_rng(config: &Config, device: &DeviceConfig) -> Result<DeviceConfig, Problem> {
    let mut device = device.clone();
    if device.driver.starts_with("virtio-rng")
        && let Some(id) = device.properties.take("rng")
        && !config.objects.iter().any(|o| o.id == id)
    {
        return Err(format!("there is no -object rng-random with id={}", shorten(&id)).into());
    }
    Ok(device)
}

/// Whether it is a property that to QEMU is one of the transport, and here of each device that uses
/// it.
fn is_transport(g: &Global) -> bool {
    matches!((g.driver.as_str(), g.property.as_str()), ("virtio-mmio", "force-legacy") | ("virtio-pci", "disable-legacy" | "disable-modern"))
}

/// Refuses a `-global` that nothing could obey.
fn check_globals(config: &Config) -> Result<(), UsageError> {
    for g in &config.globals {
        let at = format!("-global {}.{}", shorten(&g.driver), shorten(&g.property));
        let fail = |text: String| Problem(text).at(&config.program, &at);
        let Some(ty) = REGISTRY.iter().find(|t| t.name == g.driver) else {
            return Err(fail("there is no such device; see -device help".into()));
        };
        Props::new(ty).set_text(&g.property, &g.value).map_err(|e| fail(e.to_string()))?;
    }
    Ok(())
}

/// `-device loader`.
fn loader(device: &DeviceConfig) -> Result<LoaderItem, Problem> {
    let mut p = device.properties.clone();
    let (file, address, core) = (p.take("file"), p.take_number("addr")?, p.take_number("cpu-num")?);
    let (data, length) = (p.take_number("data")?, p.take_number("data-len")?);
    let big = p.take_bool("data-be")?.unwrap_or(false);
    let raw = p.take_bool("force-raw")?.unwrap_or(false);
    p.nothing_left(&["file", "addr", "cpu-num", "data", "data-len", "data-be", "force-raw"])?;
    let read = |path: &str| proteus_loader::read_file(path.as_ref(), LARGEST_FILE).map_err(|e| Problem(e.to_string()));
    let contents = match (&file, data) {
        (Some(_), Some(_)) => return Err("file= and data= exclude each other; give one of them".into()),
        (Some(file), None) if raw => LoaderContents::Bytes(read(file)?),
        (Some(file), None) => {
            let bytes = read(file)?;
            LoaderContents::Image(Kernel::from_bytes(file.as_ref(), bytes, LARGEST_FILE).map_err(|e| Problem(e.to_string()))?)
        }
        (None, Some(data)) => {
            let n = match length {
                Some(n @ 1..=8) => n as usize,
                _ => return Err("data= needs data-len= from 1 to 8".into()),
            };
            let little = data.to_le_bytes();
            LoaderContents::Bytes(if big { little[..n].iter().rev().copied().collect() } else { little[..n].to_vec() })
        }
        (None, None) => LoaderContents::Nothing,
    };
    if data.is_none() && (length.is_some() || big) {
        return Err("data-len= and data-be= are for data=".into());
    }
    if file.is_none() && raw {
        return Err("force-raw= is for file=".into());
    }
    let core = core.map(|n| usize::try_from(n).map_err(|_| Problem::new("cpu-num is too large"))).transpose()?;
    Ok(LoaderItem { name: file.unwrap_or_else(|| "data".into()), address, contents, core })
}
