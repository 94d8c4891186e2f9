//! The MIPS Malta board ("MIPS Malta User's Manual", MD00048), with the core board CoreLV: a
//! GT-64120 between processor, memory and PCI, and a PIIX4 with the ISA devices behind it.
//! Addresses and slots are the manual's; where it leaves them to software they are those of QEMU's
//! board of this name.
//!
//! The byte order is the processor's. In the monitor flash words are in big-endian order whatever
//! the board's is, as its manual has it: on a little-endian board the flash that software sees has
//! the bytes of each word of an image swapped.
//!
//! Left out: USB (function 2 of the PIIX4 is not there), the keyboard and floppy controllers and
//! the parallel port of the ISA bus, the DMA controllers, audio, the interrupts SMI and CoreLO,
//! several cores. What is not there reads as zero, as on QEMU's board, and is reported.

use std::io;
use std::sync::Arc;

use proteus_devices::misc::malta_fpga;
use proteus_loader::Architecture;
use proteus_model::ram::Region;
use proteus_model::{BlockPort, CharPort, CoreId, DeviceId, Line, MachineBuilder};

use crate::Board;
use crate::boot::{self, Memory};
use crate::built::{BuiltBoard, Cores, MipsCores, MipsStart, Mirror};
use crate::config::{Backend, BoardConfig, Chosen, DriveInterface, IdeDrive, Interrupts};
use crate::error::{BoardError, refuse};
use crate::malta_boot::{self, Given, RESET_VECTOR, REVISION, REVISION_AT, SWAPPED, extended, physical, word};
use crate::wiring::{self, Controller, IsaPart, PciBus, PciSlots, SLOTS, Wiring};

const MIB: u64 = 1 << 20;

// The map. The GT-64120 and PCI functions place themselves, as software sets them.
/// So much memory is at 0, for what knows no other addresses.
const LOW: u64 = 256 * MIB;
/// All of it is here.
const RAM: u64 = 0x8000_0000;
/// What is past 512 MiB is where it would be if nothing but memory were at 0.
const HIGH: u64 = 512 * MIB;
/// Two devices of 16 bits side by side would be on the board; to software they are one of 32.
const FLASH: u64 = 0x1e00_0000;
const FLASH_LEN: u64 = 4 * MIB;
const FLASH_SECTOR: u64 = 64 << 10;
const FPGA: u64 = 0x1f00_0000;
const CBUS_UART: u64 = 0x1f00_0900;
/// The flash, once more, with the board's revision in its first page.
const BOOT: u64 = 0x1fc0_0000;
const BOOT_PAGE: u64 = 0x1000;
/// Nothing else is below here.
const EMPTY: u64 = 512 * MIB;

/// Where the bridge acknowledges interrupts: at no port that software reaches.
const ACKNOWLEDGE: u64 = 0x1_0000_0000;
const PIC: IsaPart = ("pic", "i8259-pair", &[("master", 0x20), ("slave", 0xa0), ("elcr", 0x4d0), ("inta", ACKNOWLEDGE)], &[]);
const ISA: &[IsaPart] = &[
    ("pit", "i8254", &[("regs", 0x40), ("control-b", 0x61)], &[("out0", 0)]),
    ("rtc", "mc146818rtc", &[("regs", 0x70)], &[("irq", 8)]),
    ("serial0", "isa-serial", &[("regs", 0x3f8)], &[("irq", 4)]),
    ("serial1", "isa-serial", &[("regs", 0x2f8)], &[("irq", 3)]),
];
/// Clock of the CBUS UART, divided by 16.
const CBUS_BAUD: u64 = 230_400;

// Slots of the PCI bus.
const SOUTH_BRIDGE: usize = 10;
const ETHERNET: usize = 11;
const AUDIO: usize = 12;
/// The first of the four connectors; plugged-in devices begin there.
const CONNECTORS: usize = 18;
/// Name of the bus, which `-device bus=` may give.
const BUS: &str = "pci";
/// The interface that is on the board itself.
const ON_BOARD_ETHERNET: &str = "pcnet";

// Interrupt lines of the processor: the bits of Cause.IP.
const TIMER_LINE: Line = Line(7);
const SOUTH_BRIDGE_LINE: Line = Line(2);
const CBUS_LINE: Line = Line(4);
const CORE_HI_LINE: Line = Line(5);

/// Frequency of CP0 Count: half of the processor's, 320 MHz.
const COUNT_HZ: u64 = 160_000_000;

const fn mips(is_64: bool, big_endian: bool) -> Architecture {
    Architecture::Mips { is_64, big_endian }
}

/// The board.
pub(crate) static MALTA: Board = Board {
    name: "malta",
    aliases: &[],
    description: "MIPS Malta Core LV",
    targets: &[mips(false, true), mips(false, false), mips(true, true), mips(true, false)],
    properties: &[],
    cpu_models: &["4Kc", "24Kc", "24Kf", "5Kc", "5KEf", "20Kc", "MIPS64R2-generic"],
    default_cpu: |target| if matches!(target, Architecture::Mips { is_64: true, .. }) { "MIPS64R2-generic" } else { "24Kf" },
    max_cpus: 1,
    default_memory: 128 * MIB,
    max_memory: 2048 * MIB,
    default_drive: DriveInterface::Ide,
    virtio: "pci",
    network: ON_BOARD_ETHERNET,
    firmware: None,
    takes: &[],
    acpi: false,
    build,
};

/// Which of the south bridge's interrupts A to D (0 to 3) a pin (INTA is 1) of a slot is wired to.
pub(crate) fn route(slot: usize, pin: usize) -> usize {
    match slot {
        SOUTH_BRIDGE => 3,
        ETHERNET => 1,
        AUDIO => 2,
        CONNECTORS..=21 => (slot - CONNECTORS + pin + 3) % 4,
        _ => (slot + pin + 3) % 4,
    }
}

/// Refuses what the board has not; gives the byte order.
fn check(config: &BoardConfig) -> Result<bool, BoardError> {
    Chosen::read(MALTA.name, MALTA.properties, &config.properties)?;
    let Architecture::Mips { big_endian, .. } = config.cpu.architecture else {
        return Err(refuse(format!("-cpu {}: the malta board has a MIPS processor", config.cpu.model)));
    };
    let models = MALTA.cpu_models;
    let wrong = [
        (!models.contains(&config.cpu.model.as_str()), format!("-cpu {}: the malta board takes one of: {}", config.cpu.model, models.join(", "))),
        (config.cores != 1, format!("-smp {}: the malta board has one core", config.cores)),
        (
            config.memory < MIB || !config.memory.is_multiple_of(0x1000) || config.memory > MALTA.max_memory,
            format!("-m: {} bytes; the malta board has from 1 MiB to 2 GiB of memory in pages of 4 KiB", config.memory),
        ),
        (config.dtb.is_some(), "-dtb: kernels of the malta board have their device tree inside".into()),
        (!config.fw_cfg.is_empty(), "-fw_cfg: the malta board has no configuration device".into()),
        (config.kernel.is_none() && config.initrd.is_some(), "-initrd only makes sense with -kernel".into()),
        (config.kernel.is_none() && config.command_line.as_ref().is_some_and(|c| !c.is_empty()), "-append only makes sense with -kernel".into()),
        (config.pflash.len() > 1, "-drive if=pflash: the malta board has one flash memory, unit 0".into()),
        (config.serials.len() > 3, "-serial: the malta board has three serial ports".into()),
        (config.ide.len() > 4, "-drive if=ide: the malta board has four IDE drives, 0 to 3".into()),
        (config.firmware.is_some() && config.kernel.is_some(), "-bios and -kernel: the malta board starts one or the other".into()),
        (
            config.firmware.is_some() && config.pflash.iter().any(Option::is_some),
            "-bios and a pflash image are both the monitor flash; give one of them".into(),
        ),
    ];
    match wrong.into_iter().find(|(is, _)| *is) {
        Some((_, text)) => Err(refuse(text)),
        None => Ok(big_endian),
    }
}

impl Wiring {
    /// The processor's timer, and what is at its own addresses: bridge, FPGA with its UART, and the
    /// rest empty.
    fn core_board(&mut self, memory: u64, serial: Option<Arc<dyn CharPort>>) -> Result<(), BoardError> {
        let timer = self.device("timer", "mips-cp0-timer", |p| p.with_u64("cores", 1)?.with_u64("frequency", COUNT_HZ))?;
        self.b.wire_core(timer, ("ti", 0), CoreId(0), TIMER_LINE)?;
        let order = if self.big_endian { "on" } else { "off" };
        let bridge = self.device("gt64120", "gt64120", |p| p.with_text("big-endian", order)?.with_u64("acknowledge-port", ACKNOWLEDGE))?;
        self.function(bridge, 0, 0)?;
        self.b.wire_core(bridge, ("int", 0), CoreId(0), CORE_HI_LINE)?;
        let fpga = self.device("fpga", "malta-fpga", |p| p.with_text("big-endian", order)?.with_u64("memory", memory))?;
        self.b.place(fpga, "regs", FPGA)?;
        let uart = self.device("serial2", "serial-mm", |p| p.with_u64("stride", 3)?.with_u64("baudbase", CBUS_BAUD)?.with_text("big-endian", order))?;
        self.b.place(uart, "regs", CBUS_UART)?;
        self.b.wire_core(uart, ("irq", 0), CoreId(0), CBUS_LINE)?;
        self.serial(uart, "serial2", serial)?;
        let empty = self.device("empty", "unimplemented-device", |p| p.with_text("name", "empty address")?.with_u64("size", EMPTY))?;
        self.b.place(empty, "regs", 0)?;
        Ok(())
    }

    /// Function 0 of the south bridge and the devices of the ISA bus, 1 and 3. Gives functions 0
    /// and 3.
    fn south_bridge(
        &mut self,
        memory: u64,
        serials: Vec<Option<Arc<dyn CharPort>>>,
        drives: Vec<Option<IdeDrive>>,
    ) -> Result<(DeviceId, DeviceId), BoardError> {
        let bridge = self.device("piix4", "piix4-isa", Ok)?;
        self.function(bridge, SOUTH_BRIDGE, 0)?;
        self.b.place(bridge, "rcr", 0xcf9)?.place(bridge, "port92", 0x92)?;
        for irq in 0..16 {
            self.interrupt(bridge, ("irq", irq), irq)?;
        }
        let mut serials = serials.into_iter();
        for part in ISA {
            let id = self.isa(part)?;
            if part.1 == "isa-serial" {
                self.serial(id, part.0, serials.next().flatten())?;
            }
        }
        self.ide("piix4-ide", SOUTH_BRIDGE, drives)?;
        let spd: String = malta_fpga::presence(memory).iter().map(|b| format!("{b:02x}")).collect();
        let pm = self.device("pm", "piix4-pm", |p| p.with_text("spd", &spd))?;
        self.function(pm, SOUTH_BRIDGE, 3)?;
        self.interrupt(pm, ("irq", 0), 9)?;
        Ok((bridge, pm))
    }

    /// The monitor flash, and its other place.
    fn flash(&mut self, image: Option<Arc<dyn BlockPort>>) -> Result<(), BoardError> {
        let (name, order) = ("mips_malta.bios", if self.big_endian { "on" } else { "off" });
        let id = self.device("flash", "cfi.pflash01", |p| {
            p.with_text("name", name)?
                .with_u64("sector-length", FLASH_SECTOR)?
                .with_u64("num-blocks", FLASH_LEN / FLASH_SECTOR)?
                .with_u64("width", 4)?
                .with_text("big-endian", order)
        })?;
        self.b.place(id, "array", FLASH)?;
        if let Some(image) = image {
            if image.len() != FLASH_LEN {
                let text = format!("-drive if=pflash: the image has {} bytes, the flash {FLASH_LEN} (enlarge it with truncate -s 4M)", image.len());
                return Err(refuse(text));
            }
            let image = if self.big_endian { image } else { Arc::new(Swapped(image)) };
            self.bind(id, "flash", "drive", Backend::Block(image))?;
        }
        let page = Region::new("boot-page", BOOT_PAGE)?;
        self.b.rom(BOOT, &page);
        if let Some(array) = self.b.backing(id, "array") {
            self.b.map(BOOT + BOOT_PAGE, &array, BOOT_PAGE, FLASH_LEN - BOOT_PAGE, true, 0);
        }
        Ok(())
    }
}

/// An image of the monitor flash on a little-endian board: the bytes of each word, up to the
/// monitor's environment, are in the other order.
struct Swapped(Arc<dyn BlockPort>);

impl Swapped {
    /// Reads the whole words around a piece; gives the bytes before it among them, too.
    fn around(&self, offset: u64, len: usize) -> io::Result<(u64, Vec<u8>)> {
        let start = offset & !3;
        let end = offset.saturating_add(len as u64).next_multiple_of(4);
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.0.read_at(start, &mut bytes)?;
        swap(start, &mut bytes);
        Ok((start, bytes))
    }
}

fn swap(start: u64, bytes: &mut [u8]) {
    let words = SWAPPED.saturating_sub(start) / 4;
    bytes.chunks_exact_mut(4).take(words as usize).for_each(<[u8]>::reverse);
}

impl BlockPort for Swapped {
    fn len(&self) -> u64 {
        self.0.len()
    }
    fn read_only(&self) -> bool {
        self.0.read_only()
    }
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let (start, bytes) = self.around(offset, to.len())?;
        let from = (offset - start) as usize;
        to.copy_from_slice(&bytes[from..from + to.len()]);
        Ok(())
    }
    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        let (start, mut bytes) = self.around(offset, from.len())?;
        let at = (offset - start) as usize;
        bytes[at..at + from.len()].copy_from_slice(from);
        swap(start, &mut bytes);
        self.0.write_at(start, &bytes)
    }
    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        // A hint that can be left.
        Ok(())
    }
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.write_at(offset, &vec![0; usize::try_from(len).map_err(io::Error::other)?])
    }
}

/// Main memory and its other places.
fn memory(b: &mut MachineBuilder, size: u64) -> Result<(), BoardError> {
    let ram = Region::new("mips_malta.ram", size)?;
    b.ram(RAM, &ram);
    b.map(0, &ram, 0, size.min(LOW), false, 0);
    if size > HIGH {
        b.map(HIGH, &ram, HIGH, size - HIGH, false, 0);
    }
    Ok(())
}

fn build(mut config: BoardConfig) -> Result<BuiltBoard, BoardError> {
    let big_endian = check(&config)?;
    let size = config.memory;
    let places = Memory {
        ram: 0..size.min(LOW),
        rom: FLASH..FLASH + FLASH_LEN,
        others: std::iter::once(RAM..RAM + size).chain((size > HIGH).then_some(HIGH..size)).collect(),
    };
    let (mut loads, entries) = boot::loader_items(std::mem::take(&mut config.loader), &places, Some(physical))?;
    let pc = match entries.as_slice() {
        [] => RESET_VECTOR,
        [.., (0, pc)] => extended(*pc),
        [.., (core, _)] => return Err(refuse(format!("-device loader,cpu-num={core}: the machine has 1 core, counted from 0"))),
    };
    let flash = config.pflash.pop().flatten();
    let started = config.kernel.is_some() || config.firmware.is_some() || flash.is_some() || !entries.is_empty();
    if !started {
        config.firmware = Some(malta_boot::built_in(big_endian));
    }
    let mut seed_digits = None;
    let mut mirrors = vec![];
    if let Some(kernel) = config.kernel {
        let given = Given { kernel, initrd: config.initrd, command_line: config.command_line, seeds: config.seeds };
        let planned = malta_boot::plan(given, config.cpu.architecture, &places, size, BOOT)?;
        seed_digits = Some(loads.len() + planned.seed);
        loads.extend(planned.loads);
    } else {
        let patch = (REVISION_AT, word(REVISION, big_endian));
        mirrors.push(Mirror { of: FLASH, at: BOOT, len: BOOT_PAGE as usize, patch });
    }
    if let Some(firmware) = config.firmware {
        loads.push(malta_boot::firmware(firmware, FLASH, FLASH_LEN, big_endian)?);
    }
    boot::check_overlap(&loads)?;

    let mut b = MachineBuilder::new(MALTA.name, config.cores);
    b.clock(config.clock).entropy(config.entropy).wall_clock(config.wall_clock);
    memory(&mut b, size)?;
    let mut w = Wiring { b, board: MALTA.name, interrupts: Interrupts::Board, controllers: vec![], big_endian, ports: vec![] };
    let pic = w.isa(&PIC)?;
    w.b.wire_core(pic, ("intr", 0), CoreId(0), SOUTH_BRIDGE_LINE)?;
    w.controllers.push(Controller { id: pic, timer: 0, inputs: 16 });
    let mut serials = config.serials;
    let cbus = if serials.len() > 2 { serials.pop().flatten() } else { None };
    let (bridge, pm) = w.south_bridge(size, serials, config.ide)?;
    w.core_board(size, cbus)?;
    w.flash(flash)?;
    let mut taken = [false; SLOTS];
    taken[0] = true;
    taken[SOUTH_BRIDGE] = true;
    let devices = wiring::slots(w.board, &mut PciSlots { bus: BUS, taken, first: CONNECTORS, on_board: Some((ETHERNET, ON_BOARD_ETHERNET)) }, config.devices)?;
    w.plug(PciBus { bridge, route, boot_order: false }, devices)?;
    let Wiring { b, ports, .. } = w;
    let machine = b.build()?;
    let power_key = machine.input_pin(pm, "power-button", 0).map(|pin| (pm, pin));
    Ok(BuiltBoard {
        machine,
        ports,
        cores: Cores::Mips(MipsCores { big_endian, count_frequency: COUNT_HZ, start: vec![MipsStart { pc }] }),
        dtb: None,
        loads,
        mirrors,
        seed_digits,
        power_key,
    })
}
