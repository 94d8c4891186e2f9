//! Disk images between the host and the machine's block ports.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use proteus_host::block::{BlockBackend, BlockGraph, BlockSpec, DriveSpec, Interface};
use proteus_machines::{Board, DriveInterface, IdeDrive};
use proteus_model::BlockPort;

use super::chardevs::option_text;
use proteus_monitor::qmp::types::{BlockDeviceInfo, BlockInfo, ImageInfo};

use crate::config::Config;
use crate::error::{Problem, UsageError};

/// A node of the host as a device sees it.
struct Disk {
    node: Arc<dyn BlockBackend>,
    serial: String,
}

impl BlockPort for Disk {
    fn len(&self) -> u64 {
        self.node.len()
    }
    fn read_only(&self) -> bool {
        self.node.read_only()
    }
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.node.read_at(offset, to)
    }
    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        self.node.write_at(offset, from)
    }
    fn flush(&self) -> io::Result<()> {
        self.node.flush()
    }
    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.node.discard(offset, len)
    }
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.node.write_zeroes(offset, len, true)
    }
    fn serial(&self) -> String {
        self.serial.clone()
    }
}

/// A medium, for the monitors. Images without a format are raw.
fn medium(node: &Arc<dyn BlockBackend>, file: &str, format: Option<&str>) -> BlockDeviceInfo {
    let format = format.unwrap_or("raw").to_string();
    let image = ImageInfo { filename: file.into(), format: format.clone(), virtual_size: node.len() };
    BlockDeviceInfo { file: file.into(), node_name: None, ro: node.read_only(), drv: format, encrypted: false, image }
}

struct Entry {
    port: Arc<dyn BlockPort>,
    user: Option<String>,
}

/// The images of a run.
pub struct Storage {
    program: String,
    /// By a drive's id or a node's name.
    named: BTreeMap<String, Entry>,
    /// Drives that the board makes a device for, in their order.
    pub virtio: Vec<Arc<dyn BlockPort>>,
    /// Drives of the board's IDE controller, by index.
    pub ide: Vec<Option<IdeDrive>>,
    /// Flash images, by unit.
    pub pflash: Vec<Option<Arc<dyn BlockPort>>>,
    /// All drives, for the monitors.
    pub list: Vec<BlockInfo>,
    /// The nodes of `-blockdev`, for them too.
    pub nodes: Vec<BlockDeviceInfo>,
}

impl Storage {
    /// Opens every image of the command line.
    pub fn open(config: &Config, board: &Board) -> Result<Storage, UsageError> {
        let program = config.program.clone();
        let fail = |at: &str, e: &dyn std::fmt::Display| Problem::new(e.to_string()).at(&program, at);
        let graph = BlockGraph::default();
        let mut storage = Storage {
            program: program.clone(),
            named: BTreeMap::new(),
            virtio: Vec::new(),
            ide: Vec::new(),
            pflash: Vec::new(),
            list: Vec::new(),
            nodes: Vec::new(),
        };
        for blockdev in &config.blockdevs {
            let mut properties = blockdev.properties.clone();
            if let Some(name) = &blockdev.node_name {
                properties.push("node-name", name.clone());
            }
            let mut spec = BlockSpec::parse(&option_text(&blockdev.driver, &properties)).map_err(|e| fail("-blockdev", &e))?;
            if config.snapshot {
                return Err(fail("-snapshot", &"does not reach nodes of -blockdev; give -drive, or read-only=on"));
            }
            let name = spec.node_name.take();
            let node = graph.add(&spec).map_err(|e| fail("-blockdev", &e))?;
            if let Some(name) = name {
                graph.insert(&name, node.clone()).map_err(|e| fail("-blockdev", &e))?;
                let file = properties.get("filename").or(properties.get("file.filename")).unwrap_or_default();
                storage.nodes.push(BlockDeviceInfo { node_name: Some(name.clone()), ..medium(&node, file, Some(&blockdev.driver)) });
                storage.named.insert(name, Entry { port: Arc::new(Disk { node, serial: String::new() }), user: None });
            }
        }
        let mut virtio = Vec::new();
        for drive in &config.drives {
            let mut properties = drive.properties.clone();
            if config.snapshot && properties.get("snapshot").is_none() {
                properties.push("snapshot", "on");
            }
            let spec = DriveSpec::parse(&option_text("", &properties)).map_err(|e| fail(&drive.option, &e))?;
            let image = match &spec.image {
                Some(image) => Some(graph.add(image).map_err(|e| fail(&drive.option, &e))?),
                None => None,
            };
            let interface = spec.interface.unwrap_or(match board.default_drive {
                DriveInterface::Virtio => Interface::Virtio,
                DriveInterface::Ide => Interface::Ide,
            });
            let ide = interface == Interface::Ide && board.default_drive == DriveInterface::Ide;
            let name = drive.id.clone().unwrap_or_else(|| format!("{}{}", format!("{interface:?}").to_lowercase(), storage.list.len()));
            let medium = image.as_ref().map(|node| medium(node, properties.get("file").unwrap_or_default(), properties.get("format")));
            storage.list.push(BlockInfo { device: name, qdev: None, r#type: "unknown".into(), removable: spec.cdrom, locked: false, inserted: medium });
            let Some(node) = image else {
                if ide && spec.cdrom {
                    storage.add_ide(&spec, IdeDrive { cdrom: true, image: None }).map_err(|e| fail(&drive.option, &e))?;
                    continue;
                }
                return Err(fail(&drive.option, &"a drive without file= is for removable media, and this is none"));
            };
            let port: Arc<dyn BlockPort> = Arc::new(Disk { node, serial: spec.serial.clone().unwrap_or_default() });
            if let Some(id) = &drive.id {
                let user = (interface != Interface::None).then(|| "the board".to_string());
                storage.named.insert(id.clone(), Entry { port: port.clone(), user });
            }
            match interface {
                Interface::None => {}
                Interface::Virtio if !spec.cdrom => virtio.push((spec.index.or(spec.unit), port)),
                Interface::Virtio => return Err(fail(&drive.option, &"media=cdrom: a virtio disk is no CD drive; give media=disk,read-only=on")),
                Interface::Pflash => storage.add_flash(spec.index.or(spec.unit), port).map_err(|e| fail(&drive.option, &e))?,
                Interface::Ide if ide => {
                    storage.add_ide(&spec, IdeDrive { cdrom: spec.cdrom, image: Some(port) }).map_err(|e| fail(&drive.option, &e))?;
                }
                other => {
                    let (name, virtio) = (format!("{other:?}").to_lowercase(), board.virtio);
                    let text =
                        format!("if={name}: {} has no such interface; use if=virtio, or if=none,id=ID with -device virtio-blk-{virtio},drive=ID", board.name);
                    return Err(fail(&drive.option, &text));
                }
            }
        }
        // Those with an index come in its order; the others take what is free, as they stand.
        virtio.sort_by_key(|(index, _)| index.unwrap_or(u32::MAX));
        storage.virtio = virtio.into_iter().map(|(_, port)| port).collect();
        Ok(storage)
    }

    /// `index=`, or `bus=` and `unit=`, of which a bus has two; otherwise the next that is free.
    fn add_ide(&mut self, spec: &DriveSpec, drive: IdeDrive) -> Result<(), String> {
        let n = match (spec.index, spec.bus, spec.unit) {
            (Some(n), ..) => n as usize,
            (None, None, None) => self.ide.iter().position(Option::is_none).unwrap_or(self.ide.len()),
            (None, bus, unit) => (bus.unwrap_or(0) as usize).saturating_mul(2).saturating_add(unit.unwrap_or(0) as usize),
        };
        if n > 3 {
            return Err(format!("index {n}: the IDE controller has drives 0 to 3"));
        }
        if self.ide.len() <= n {
            self.ide.resize(n + 1, None);
        }
        match self.ide[n].replace(drive) {
            None => Ok(()),
            Some(_) => Err(format!("drive {n} is given twice")),
        }
    }

    fn add_flash(&mut self, unit: Option<u32>, port: Arc<dyn BlockPort>) -> Result<(), String> {
        let unit = match unit {
            Some(n) => n as usize,
            None => self.pflash.iter().position(Option::is_none).unwrap_or(self.pflash.len()),
        };
        if unit > 31 {
            return Err(format!("pflash unit {unit}: boards have two at most"));
        }
        if self.pflash.len() <= unit {
            self.pflash.resize(unit + 1, None);
        }
        match self.pflash[unit].replace(port) {
            None => Ok(()),
            Some(_) => Err(format!("pflash unit {unit} is given twice")),
        }
    }

    /// The image that `-device ...,drive=NAME` means. Each serves one device.
    pub fn take(&mut self, at: &str, name: &str, user: &str) -> Result<Arc<dyn BlockPort>, UsageError> {
        let fail = |text: String| Problem(text).at(&self.program, at);
        let Some(entry) = self.named.get_mut(name) else {
            return Err(fail(format!("there is no -drive with id={name}, nor a -blockdev with node-name={name}")));
        };
        match entry.user.replace(user.into()) {
            None => Ok(entry.port.clone()),
            Some(other) => Err(fail(format!("drive '{name}' is in use by {other}; give -drive if=none, or another image"))),
        }
    }
}
