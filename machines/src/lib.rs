//! Boards, one file each: what is at which address, wired to what, and what an operating system
//! or firmware finds there when it starts.
//!
//! A board is given plain inputs ([`BoardConfig`]) and gives back a description of a machine that
//! is ready to run ([`BuiltBoard`]). It opens no file, starts no thread, and does not know which
//! accelerator will run its cores.
#![forbid(unsafe_code)]

mod boot;
mod built;
mod config;
mod direct;
mod error;
mod gpio_key;
mod malta;
mod malta_boot;
#[cfg(test)]
mod malta_tests;
mod microvm;
#[cfg(test)]
mod microvm_tests;
mod pc;
mod pc_firmware;
#[cfg(test)]
mod pc_tests;
#[cfg(test)]
mod tests;
mod tree;
mod virt;
mod wiring;
mod x86;

pub use built::{ArmCores, ArmStart, BuiltBoard, Conduit, Cores, Dtb, HostPort, MipsCores, MipsStart, X86Cores, X86Entry};
pub use config::{
    Backend, BoardConfig, BoardProperty, Boot, Choices, Cpu, DriveInterface, Firmware, IdeDrive, Interrupts, LoaderContents, LoaderItem, PlugIn, Seeds,
};
pub use error::BoardError;
pub use proteus_loader::Architecture;

/// Everything about a kind of board that is not in a machine built of it.
#[derive(Debug)]
pub struct Board {
    /// Name, as `-machine` knows it.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// One line for `-machine help`.
    pub description: &'static str,
    /// The processors that it can be built with.
    pub targets: &'static [Architecture],
    /// Properties of `-machine name,property=value`.
    pub properties: &'static [BoardProperty],
    /// Processor models that fit the board.
    pub cpu_models: &'static [&'static str],
    /// The model without `-cpu`, for each of the targets.
    pub default_cpu: fn(Architecture) -> &'static str,
    /// Most cores.
    pub max_cpus: usize,
    /// Bytes of memory without `-m`.
    pub default_memory: u64,
    /// Most bytes of memory.
    pub max_memory: u64,
    /// Where a `-drive` without `if=` is, `-hda` and `-cdrom`.
    pub default_drive: DriveInterface,
    /// How names of the board's virtio devices end: `device` (virtio-mmio) or `pci`.
    pub virtio: &'static str,
    /// The device of `-nic` without `model=`.
    pub network: &'static str,
    /// The file of the firmware without `-bios`, where the board has none built in: its name.
    pub firmware: Option<&'static str>,
    /// Options of the command line that not every board takes.
    pub takes: &'static [&'static str],
    /// It has ACPI tables.
    pub acpi: bool,
    /// Builds one.
    pub build: fn(BoardConfig) -> Result<BuiltBoard, BoardError>,
}

/// All boards, one a line.
#[rustfmt::skip]
pub static BOARDS: &[&Board] = &[
    &virt::VIRT,
    &malta::MALTA,
    &microvm::MICROVM,
    &pc::PC,
];

/// The board of that name or alias.
pub fn find(name: &str) -> Option<&'static Board> {
    BOARDS.iter().copied().find(|b| b.name == name || b.aliases.contains(&name))
}
