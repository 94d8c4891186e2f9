//! `-monitor`, `-mon`, `-qmp`: character back ends joined to the monitors, and what the monitors
//! are told of the command line.

use std::sync::{Arc, OnceLock, Weak};

use proteus_exec::runner::Runner;
use proteus_host::chardev::{CharEvent, Chardev, Chardevs, Sink};
use proteus_machines::{Architecture, Board};
use proteus_monitor::qmp::types::{BlockDeviceInfo, BlockInfo, ChardevInfo, CommandLineOptionInfo, KvmInfo, MachineInfo, ObjectPropertyInfo, ObjectTypeInfo};
use proteus_monitor::{Host, Inbox, Message, Mode, Monitor, Rom, Subject, Wire};

use super::chardevs::Consoles;
use super::endings::Control;
use super::{catalog, cores, log};
use crate::config::{CharTarget, Config, MonitorMode};
use crate::error::{Problem, UsageError};

/// What the monitors are told of the command line.
pub struct About {
    /// The architecture.
    pub architecture: Architecture,
    /// The character back ends.
    pub chardevs: Weak<Chardevs>,
    /// The drives.
    pub blocks: Vec<BlockInfo>,
    /// The nodes of `-blockdev` and of drives.
    pub nodes: Vec<BlockDeviceInfo>,
    /// The networks, in lines.
    pub networks: String,
    /// What was loaded into memory.
    pub roms: Vec<Rom>,
    /// How the processors are run, in lines.
    pub executor: Box<dyn Fn() -> String + Send + Sync>,
    /// Whether the board has a power button.
    pub power_button: bool,
    /// Whether KVM executes the processors.
    pub kvm: bool,
}

impl Host for About {
    fn chardevs(&self) -> Vec<ChardevInfo> {
        let all = self.chardevs.upgrade().map(|c| c.list()).unwrap_or_default();
        all.into_iter().map(|c| ChardevInfo { label: c.label, filename: c.filename, frontend_open: c.used }).collect()
    }
    fn blocks(&self) -> Vec<BlockInfo> {
        self.blocks.clone()
    }
    fn nodes(&self) -> Vec<BlockDeviceInfo> {
        self.nodes.clone()
    }
    fn object_types(&self) -> Vec<ObjectTypeInfo> {
        catalog::object_types(self.architecture)
    }
    fn device_properties(&self, name: &str) -> Option<Vec<ObjectPropertyInfo>> {
        catalog::device_properties(self.architecture, name)
    }
    fn board_properties(&self, name: &str) -> Option<Vec<ObjectPropertyInfo>> {
        catalog::board_properties(self.architecture, name)
    }
    fn kvm(&self) -> KvmInfo {
        KvmInfo { enabled: self.kvm, present: cores::in_kvm(self.architecture) }
    }
    fn options(&self) -> Vec<CommandLineOptionInfo> {
        catalog::options()
    }
    fn cpu_features(&self, model: &str) -> Option<Vec<(String, bool)>> {
        self.cpu_models().iter().any(|m| m == model).then(|| cores::features(self.architecture, model))
    }
    fn networks(&self) -> String {
        self.networks.clone()
    }
    fn machines(&self) -> Vec<MachineInfo> {
        let info = |b: &&Board| MachineInfo {
            name: b.name.into(),
            alias: b.aliases.first().map(|a| a.to_string()),
            is_default: None,
            cpu_max: b.max_cpus as u64,
            hotpluggable_cpus: false,
            numa_mem_supported: false,
            deprecated: false,
            default_cpu_type: Some((b.default_cpu)(self.architecture).to_string()),
            default_ram_id: None,
            acpi: b.acpi,
        };
        catalog::boards(self.architecture).map(info).collect()
    }
    fn cpu_models(&self) -> Vec<String> {
        let mut models: Vec<String> =
            catalog::boards(self.architecture).flat_map(|b| cores::models(Some(b), Some(self.architecture))).map(str::to_string).collect();
        models.sort();
        models.dedup();
        models
    }
    fn roms(&self) -> Vec<Rom> {
        self.roms.clone()
    }
    fn executor(&self) -> String {
        (self.executor)()
    }
    fn log(&self, items: &str) -> Result<(), String> {
        log::set(items)
    }
    fn power_button(&self) -> bool {
        self.power_button
    }
}

/// A session's end of its back end.
struct Ear(Arc<Inbox>);

impl Sink for Ear {
    fn receive(&self, event: CharEvent) {
        self.0.post(match event {
            CharEvent::Opened => Message::Opened,
            CharEvent::Closed => Message::Closed,
            CharEvent::Input(bytes) => Message::Input(bytes),
            CharEvent::Focus(on) => Message::Focus(on),
            CharEvent::Writable | CharEvent::Break => return,
        });
    }
}

/// The way back.
struct Back(Arc<OnceLock<Chardev>>);

impl Wire for Back {
    fn write(&self, bytes: &[u8]) {
        self.0.wait().write_blocking(bytes);
    }
    fn more(&self, bytes: usize) {
        self.0.wait().set_can_receive(bytes);
    }
}

/// Starts the monitors of `-monitor`, `-mon` and `-qmp`, and those behind serial ports: the back
/// ends in `shared`. They begin once `subject` is set.
pub fn start(
    config: &Config,
    consoles: &Consoles,
    shared: &[String],
    control: &Arc<Control>,
    subject: &Arc<OnceLock<Subject>>,
) -> Result<Vec<Monitor>, UsageError> {
    let mut wanted: Vec<_> = shared.iter().map(|id| (id.clone(), MonitorMode::Readline, false, "-serial")).collect();
    for m in &config.monitors {
        let option = if m.mode == MonitorMode::Control { "-qmp" } else { "-monitor" };
        let id = match &m.target {
            CharTarget::None => continue,
            CharTarget::Ref(id) => id,
            CharTarget::Own { chardev, .. } if chardev.backend == "null" => continue,
            CharTarget::Own { chardev, .. } => {
                consoles.add_own(option, chardev, false)?;
                &chardev.id
            }
        };
        wanted.push((id.clone(), m.mode, m.pretty, option));
    }
    let mut monitors = Vec::new();
    for (id, mode, pretty, option) in wanted {
        let fail = |e: &dyn std::fmt::Display| Problem(e.to_string()).at(&config.program, option);
        let mux = config.chardevs.iter().any(|c| c.id == id && c.properties.clone().take_bool("mux") == Ok(Some(true)));
        let mode = match mode {
            MonitorMode::Control => Mode::Control { pretty },
            MonitorMode::Readline => Mode::Readline { shared: mux || shared.contains(&id) },
        };
        let back: Arc<OnceLock<Chardev>> = Arc::default();
        let runner: &dyn Runner = &**control;
        let monitor = Monitor::start(runner, subject.clone(), mode, Arc::new(Back(back.clone()))).map_err(|e| fail(&e))?;
        let chardev = consoles.all.attach(&id, Arc::new(Ear(monitor.inbox()))).map_err(|e| fail(&e))?;
        if !matches!(mode, Mode::Readline { shared: true }) {
            chardev.forget_unread();
        }
        let _ = back.set(chardev);
        monitors.push(monitor);
    }
    Ok(monitors)
}
