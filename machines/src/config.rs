//! What a board is built from: plain data, back ends and a clock.

use std::fmt;
use std::sync::Arc;

use proteus_loader::{Architecture, Kernel};
use proteus_model::{BlockPort, CharPort, Clock, DeviceType, EntropySource, FramePort, Props};

use crate::error::BoardError;

/// Values that a property of a board can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choices {
    /// `on` or `off`.
    OnOff,
    /// One of these words.
    Words(&'static [&'static str]),
    /// `on` or `off`, of which only this one is there yet.
    Only(bool),
    /// One of the first words; the others are known, but not there yet.
    Partly(&'static [&'static str], &'static [&'static str]),
}

/// A property of a board.
#[derive(Debug, Clone, Copy)]
pub struct BoardProperty {
    /// Name.
    pub name: &'static str,
    /// What it can be.
    pub choices: Choices,
    /// What it is when not given.
    pub default: &'static str,
    /// One line for help.
    pub doc: &'static str,
}

impl BoardProperty {
    /// The value in its canonical spelling, or why it cannot be that.
    fn check(&self, value: &str) -> Result<&'static str, String> {
        let on_off = || match value {
            "on" | "true" | "yes" | "y" => Ok("on"),
            "off" | "false" | "no" | "n" => Ok("off"),
            _ => Err("must be on or off".to_string()),
        };
        let word = |words: &[&'static str]| words.iter().copied().find(|w| *w == value);
        match self.choices {
            Choices::OnOff => on_off(),
            Choices::Only(only) => match on_off()? {
                v if (v == "on") == only => Ok(v),
                v => Err(format!("'{v}' is not implemented ({})", self.doc)),
            },
            Choices::Words(words) => word(words).ok_or_else(|| format!("must be one of: {}", words.join(", "))),
            Choices::Partly(words, missing) => match word(words) {
                Some(w) => Ok(w),
                None if word(missing).is_some() => Err(format!("'{value}' is not implemented; it can be: {}", words.join(", "))),
                None => Err(format!("must be one of: {}", words.join(", "))),
            },
        }
    }
}

/// Values of a board's properties: those given, and the defaults of the others.
pub(crate) struct Chosen(Vec<(&'static str, &'static str)>);

impl Chosen {
    pub fn read(board: &'static str, table: &'static [BoardProperty], given: &[(String, String)]) -> Result<Chosen, BoardError> {
        let mut values: Vec<_> = table.iter().map(|p| (p.name, p.default)).collect();
        for (name, value) in given {
            let error = |property: String, message| BoardError::Property { board, property, message };
            let Some(n) = table.iter().position(|p| p.name == name) else {
                return Err(error(name.clone(), format!("there is no such property; see -machine {board},help")));
            };
            values[n].1 = table[n].check(value).map_err(|message| error(format!("{name}={value}"), message))?;
        }
        Ok(Chosen(values))
    }

    pub fn get(&self, name: &str) -> &'static str {
        self.0.iter().find(|v| v.0 == name).map_or("", |v| v.1)
    }

    pub fn on(&self, name: &str) -> bool {
        self.get(name) == "on"
    }
}

/// What a board must know of the processor model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu {
    /// Name of the model, as `-cpu` has it.
    pub model: String,
    /// What it is, with its byte order.
    pub architecture: Architecture,
    /// `compatible` of its device-tree node ("arm,cortex-a53").
    pub compatible: String,
    /// Has it a performance monitor?
    pub pmu: bool,
}

/// A firmware image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// The file it came from, for messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Seeds that the device tree gives to the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seeds {
    /// `kaslr-seed`.
    pub kaslr: u64,
    /// `rng-seed`.
    pub rng: [u8; 32],
}

/// What a `-device loader` puts into memory.
#[derive(Debug, Clone)]
pub enum LoaderContents {
    /// Nothing: it only says where a core starts.
    Nothing,
    /// Bytes at its address (`data=`, or a file with `force-raw=on`).
    Bytes(Vec<u8>),
    /// A file, which may have addresses of its own (ELF, uImage) or goes to the address given.
    Image(Kernel),
}

/// A `-device loader`.
#[derive(Debug, Clone)]
pub struct LoaderItem {
    /// What to call it in messages.
    pub name: String,
    /// `addr=`.
    pub address: Option<u64>,
    /// What it loads.
    pub contents: LoaderContents,
    /// `cpu-num=`: the core that starts there.
    pub core: Option<usize>,
}

/// The host's side of a port of a device.
#[derive(Clone)]
pub enum Backend {
    /// A stream of bytes.
    Char(Arc<dyn CharPort>),
    /// A network.
    Frame(Arc<dyn FramePort>),
    /// A block image.
    Block(Arc<dyn BlockPort>),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Char(_) => "Char",
            Backend::Frame(_) => "Frame",
            Backend::Block(_) => "Block",
        })
    }
}

/// Where a drive is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriveInterface {
    /// To a virtio block device of its own.
    Virtio,
    /// To the board's IDE controller.
    Ide,
}

/// A drive of the board's IDE controller.
#[derive(Clone)]
pub struct IdeDrive {
    /// Is it a CD drive? Otherwise it is a disk.
    pub cdrom: bool,
    /// The disk, or what is in the drive. A disk has one.
    pub image: Option<Arc<dyn BlockPort>>,
}

/// A `-device` that is plugged into the board.
#[derive(Debug, Clone)]
pub struct PlugIn {
    /// Its type.
    pub ty: &'static DeviceType,
    /// `id=`.
    pub id: Option<String>,
    /// `bus=`.
    pub bus: Option<String>,
    /// It comes from `-nic` or `-net nic`, and goes where the board has its own interface.
    pub nic: bool,
    /// Its other properties.
    pub props: Props,
    /// Its back ends, by name of the port.
    pub backends: Vec<(String, Backend)>,
}

/// What firmware boots from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Boot {
    /// `order=`: letters of drives.
    pub order: Option<String>,
    /// `once=`: the same until the machine is reset.
    pub once: Option<String>,
    /// `menu=`: firmware offers a choice.
    pub menu: bool,
    /// `strict=`: from devices with `bootindex=` only, if there are any.
    pub strict: bool,
}

/// Whose the interrupt controllers and the interval timer of a PC are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interrupts {
    /// The board's: devices of the machine.
    #[default]
    Board,
    /// Of those who execute the cores. The machine's lines that end outside are the interrupts of the
    /// ISA bus, by number.
    Outside,
}

/// Everything a board is built from.
pub struct BoardConfig {
    /// `-machine`: the properties that are the board's, as given.
    pub properties: Vec<(String, String)>,
    /// The processor model.
    pub cpu: Cpu,
    /// Number of cores, at least 1.
    pub cores: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// Whose the interrupt controllers are, where there is a choice.
    pub interrupts: Interrupts,
    /// `-kernel`.
    pub kernel: Option<Kernel>,
    /// `-initrd`.
    pub initrd: Option<Vec<u8>>,
    /// `-append`.
    pub command_line: Option<String>,
    /// `-dtb`.
    pub dtb: Option<Vec<u8>>,
    /// `-bios`.
    pub firmware: Option<Firmware>,
    /// There is the board's graphics card.
    pub graphics: bool,
    /// The BIOS of the graphics card.
    pub graphics_rom: Option<Firmware>,
    /// `-boot`.
    pub boot: Boot,
    /// `-fw_cfg`: names and contents, in order.
    pub fw_cfg: Vec<(String, Vec<u8>)>,
    /// `-uuid`.
    pub uuid: Option<[u8; 16]>,
    /// `-device loader` in order.
    pub loader: Vec<LoaderItem>,
    /// Other `-device`s in order.
    pub devices: Vec<PlugIn>,
    /// `-serial` in order; `None` is `-serial none`.
    pub serials: Vec<Option<Arc<dyn CharPort>>>,
    /// `-drive if=pflash`, by unit.
    pub pflash: Vec<Option<Arc<dyn BlockPort>>>,
    /// `-drive if=ide`, by index: two of each channel.
    pub ide: Vec<Option<IdeDrive>>,
    /// The machine's clock.
    pub clock: Arc<Clock>,
    /// Where devices get entropy.
    pub entropy: EntropySource,
    /// Seeds for the device tree.
    pub seeds: Seeds,
    /// Wall-clock time at the machine's start, in nanoseconds since 1970.
    pub wall_clock: u64,
}

impl BoardConfig {
    /// A configuration with so much of everything, and nothing loaded or plugged in; a virtual
    /// clock, seeded entropy, and a wall clock that begins in 1970.
    pub fn new(cpu: Cpu, cores: usize, memory: u64) -> BoardConfig {
        BoardConfig {
            properties: Vec::new(),
            cpu,
            cores,
            memory,
            interrupts: Interrupts::Board,
            kernel: None,
            initrd: None,
            command_line: None,
            dtb: None,
            firmware: None,
            graphics: false,
            graphics_rom: None,
            boot: Boot::default(),
            fw_cfg: Vec::new(),
            uuid: None,
            loader: Vec::new(),
            devices: Vec::new(),
            serials: Vec::new(),
            pflash: Vec::new(),
            ide: Vec::new(),
            clock: Arc::new(Clock::virtual_time()),
            entropy: EntropySource::Seeded(0),
            seeds: Seeds::default(),
            wall_clock: 0,
        }
    }
}
