//! The monitors: QMP for programs and HMP for people.
//!
//! A session is a thread of its own. It gets bytes and what happens to the run as [`Message`]s
//! of its [`Inbox`], answers through a [`Wire`], and does what it does to the machine through
//! [`Runner`]: so it knows neither the host's sockets nor who executes the cores. Whatever its
//! client does (stall, send garbage, go), it holds up this thread only, and what waits in the
//! inbox is bounded.
#![forbid(unsafe_code)]

pub mod disassembly;
pub mod hmp;
mod look;
pub mod qmp;
mod session;
#[cfg(test)]
mod testing;
mod tree;

pub use session::{Inbox, Message, Mode, Monitor, Wire};

use proteus_exec::runner::Runner;
use proteus_model::Machine;
use std::sync::{Arc, Weak};

/// The version of QEMU whose monitors these are: major, minor, micro.
pub const VERSION: (u32, u32, u32) = (10, 0, 2);

/// Something that was loaded into the guest's memory at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rom {
    /// What it is.
    pub name: String,
    /// Guest physical address.
    pub address: u64,
    /// Bytes that it takes.
    pub size: u64,
}

/// What only the command line knows.
pub trait Host: Send + Sync {
    /// The character back ends.
    fn chardevs(&self) -> Vec<qmp::types::ChardevInfo>;
    /// The drives.
    fn blocks(&self) -> Vec<qmp::types::BlockInfo>;
    /// The nodes that have a name, and what they are made of.
    fn nodes(&self) -> Vec<qmp::types::BlockDeviceInfo>;
    /// The types of devices, accelerators and objects.
    fn object_types(&self) -> Vec<qmp::types::ObjectTypeInfo>;
    /// The properties of a device, by the name of its type.
    fn device_properties(&self, name: &str) -> Option<Vec<qmp::types::ObjectPropertyInfo>>;
    /// The properties of a board, by its name.
    fn board_properties(&self, name: &str) -> Option<Vec<qmp::types::ObjectPropertyInfo>>;
    /// The features of a processor model and whether it has them.
    fn cpu_features(&self, model: &str) -> Option<Vec<(String, bool)>>;
    /// Whether the program knows KVM for its guests, and whether that executes this one.
    fn kvm(&self) -> qmp::types::KvmInfo;
    /// The options of the command line.
    fn options(&self) -> Vec<qmp::types::CommandLineOptionInfo>;
    /// The networks, in lines of text.
    fn networks(&self) -> String;
    /// The boards that the program has.
    fn machines(&self) -> Vec<qmp::types::MachineInfo>;
    /// The processor models that the program has.
    fn cpu_models(&self) -> Vec<String>;
    /// What was loaded into memory at the start.
    fn roms(&self) -> Vec<Rom>;
    /// How the processors are run, in lines of text.
    fn executor(&self) -> String;
    /// Logs these items (a list with commas, or `none`) from now on.
    ///
    /// # Errors
    /// An item that is not known, by name.
    fn log(&self, items: &str) -> Result<(), String>;
    /// Whether the board has a power button.
    fn power_button(&self) -> bool;
}

/// What the monitors of a run are about.
pub struct Subject {
    /// The run loop.
    pub runner: Arc<dyn Runner>,
    /// The machine, which a monitor does not keep alive.
    pub machine: Weak<Machine>,
    /// What only the command line knows.
    pub host: Box<dyn Host>,
    /// QEMU's name of the architecture ("aarch64").
    pub target: &'static str,
    /// The guest's name.
    pub name: Option<String>,
    /// The guest's UUID.
    pub uuid: [u8; 16],
    /// Bytes of RAM.
    pub memory: u64,
    /// Devices that the user gave an id.
    pub peripherals: Vec<String>,
}

impl Subject {
    /// The package, as it stands behind the version.
    pub fn package() -> String {
        format!("Proteus {}", env!("CARGO_PKG_VERSION"))
    }
}
