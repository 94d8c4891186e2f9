//! IDE controller of the Intel 82371AB (PIIX4), function 1 (datasheet, order 290562, chapter 4), and
//! of the 82371SB (PIIX3, order 290550), which has no Ultra DMA.
//!
//! Two channels at the ports that all PCs have, a bus master each, and interrupts 14 and 15. A
//! channel's ports answer while its IDETIM has bit 15 set and the function's command register
//! enables I/O. Timing registers are kept and change nothing: data moves as fast as it is asked
//! for. Left out: swapping drives while the machine runs.

use proteus_model::{
    AccessRule, BusFault, Count, Device, DeviceType, Event, Ns, PinDecl, PortDecl, PortKind, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props,
    Reset, Services, State, Width, Window, WindowDecl, registers,
};

use super::bus_master::{BUS_MASTER, BusMaster, STRIDE, Stop};
use super::channel::{COMMAND, COMMAND_BLOCK, CONTROL_BLOCK, Channel};
use super::drive::{Drive, Phase, Settings};
use crate::pci::{Bar, BarKind, Function, Header};

registers! {
    /// What configuration space has beyond the header, and the header's command register.
    CONFIG: u8;

    0x04 PCICMD rw u16
    0x20 BMIBA rw u32
    /// Timing, and whether the channel's ports answer.
    0x40 IDETIM[2] rw u16 {
        15 IDE,
        14 SITRE,
        13:12 ISP,
        9:8 RTC,
        7:0 DRIVES,
    }
    /// Timing of devices 1.
    0x44 SIDETIM rw
    /// Ultra DMA is on for a device.
    0x48 UDMACTL rw { 3:0 ENABLES }
    0x4a UDMATIM rw u16 { 13:12 SECONDARY1, 9:8 SECONDARY0, 5:4 PRIMARY1, 1:0 PRIMARY0 }
}

/// Bits of the registers beyond the header.
const WRITABLE: &[(u64, u8)] =
    &[(IDETIM, 0xff), (IDETIM + 1, 0xf3), (IDETIM + 2, 0xff), (IDETIM + 3, 0xf3), (SIDETIM, 0xff), (UDMACTL, 0x0f), (UDMATIM, 0x33), (UDMATIM + 1, 0x33)];

const CONFIG_WINDOW: Window = Window(0);
const BUS_MASTER_WINDOW: Window = Window(5);

/// Devices of both channels.
const UNITS: usize = 4;
/// Time between two entries of a long transfer, in nanoseconds: enough for others to have their
/// turn.
const PAUSE: Ns = 1000;

/// Mass storage, IDE, with a bus master, at the ports of old. It has no interrupt pin: its
/// interrupts are 14 and 15.
static HEADER: Header = header(0x7111, 1);
static PIIX3_HEADER: Header = header(0x7010, 0);

const fn header(device: u16, revision: u8) -> Header {
    const BARS: &[Bar] = &[Bar { index: 4, window: BUS_MASTER_WINDOW, size: 16, kind: BarKind::Io }];
    Header { bars: BARS, ..Header::new(0x8086, device, revision, 0x01_01_80) }
}

/// Names of a unit's properties.
struct Names {
    drive: &'static str,
    media: &'static str,
    serial: &'static str,
    model: &'static str,
    version: &'static str,
    read_only: &'static str,
    write_cache: &'static str,
}

macro_rules! names {
    ($($n:literal),*) => {
        [$(Names {
            drive: concat!("drive", $n),
            media: concat!("drive", $n, "-media"),
            serial: concat!("drive", $n, "-serial"),
            model: concat!("drive", $n, "-model"),
            version: concat!("drive", $n, "-version"),
            read_only: concat!("drive", $n, "-read-only"),
            write_cache: concat!("drive", $n, "-write-cache"),
        }),*]
    };
}

/// Units in order: primary 0 and 1, secondary 0 and 1.
const NAMES: [Names; UNITS] = names!("0", "1", "2", "3");

const fn property(name: &'static str, kind: PropertyKind, default: PropertyDefault, doc: &'static str) -> PropertyDecl {
    PropertyDecl { name, kind, default, doc }
}

/// Properties of each unit.
const PER_UNIT: usize = 7;

/// Properties of all units.
const PROPERTIES: [PropertyDecl; PER_UNIT * UNITS] = {
    let mut all = [property("", PropertyKind::Bool, PropertyDefault::None, ""); PER_UNIT * UNITS];
    let mut unit = 0;
    while unit < UNITS {
        let (n, at) = (&NAMES[unit], unit * PER_UNIT);
        all[at] = property(n.drive, PropertyKind::Drive, PropertyDefault::None, "Name of the block image");
        all[at + 1] = property(n.media, PropertyKind::String, PropertyDefault::Str("disk"), "disk, or cdrom, which is there without an image too");
        all[at + 2] = property(n.serial, PropertyKind::String, PropertyDefault::None, "Serial number, 20 characters of it; else the image's");
        all[at + 3] = property(n.model, PropertyKind::String, PropertyDefault::None, "Model, 40 characters of it");
        all[at + 4] = property(n.version, PropertyKind::String, PropertyDefault::Str("1.0"), "Firmware revision, 8 characters of it");
        all[at + 5] = property(n.read_only, PropertyKind::Bool, PropertyDefault::Bool(false), "Refuse writes, whatever the image says");
        all[at + 6] = property(n.write_cache, PropertyKind::Bool, PropertyDefault::Bool(true), "Begin with the write cache on");
        unit += 1;
    }
    all
};

/// The controller.
#[derive(State)]
struct Piix4Ide {
    function: Function,
    channels: [Channel; 2],
    masters: [BusMaster; 2],
    /// When a long transfer goes on.
    resume: [Option<Ns>; 2],
}

impl Piix4Ide {
    fn new(header: &'static Header, props: &Props) -> Result<Piix4Ide, PropError> {
        let drive = |unit: usize| -> Result<Drive, PropError> {
            let names = &NAMES[unit];
            let cdrom = match props.str(names.media) {
                Some("disk") => false,
                Some("cdrom") => true,
                other => return Err(props.refuse(format!("{}={}: give disk or cdrom", names.media, other.unwrap_or_default()))),
            };
            let text = |name| props.str(name).unwrap_or_default().to_string();
            Ok(Drive::new(Settings {
                port: unit,
                second: unit % 2 == 1,
                cdrom,
                serial: text(names.serial),
                model: props.str(names.model).unwrap_or(if cdrom { "PROTEUS CD-ROM" } else { "PROTEUS HARD DISK" }).into(),
                version: text(names.version),
                read_only: props.bool(names.read_only),
                write_cache: props.bool(names.write_cache),
            }))
        };
        let channels = [Channel::new([drive(0)?, drive(1)?]), Channel::new([drive(2)?, drive(3)?])];
        let mut function = Function::new(header);
        // Status: takes addresses at medium speed, and transfers back to back.
        function.preset(0x06, 0x80);
        function.preset(0x07, 0x02);
        let ultra = header.device == HEADER.device;
        for (at, mask) in WRITABLE.iter().filter(|(at, _)| *at < UDMACTL || ultra) {
            function.set_writable(*at as usize, *mask);
        }
        Ok(Piix4Ide { function, channels, masters: Default::default(), resume: [None; 2] })
    }

    /// Does a channel answer at its ports?
    fn decodes(&self, channel: usize) -> bool {
        self.function.io_enabled() && self.function.byte(IDETIM as usize + 2 * channel + 1) & 0x80 != 0
    }

    /// The channel of a window of ports, and whether it is the control block's.
    fn ports(&self, w: Window) -> Result<(usize, bool), BusFault> {
        let (channel, control) = match w.0 {
            1 => (0, false),
            2 => (0, true),
            3 => (1, false),
            4 => (1, true),
            _ => return Err(BusFault::Unmapped),
        };
        if self.decodes(channel) { Ok((channel, control)) } else { Err(BusFault::Unmapped) }
    }

    /// Goes on with what waits for the bus master or takes several entries. To be called after
    /// whatever may have begun it.
    fn pump(&mut self, cx: &mut dyn Services) {
        for ((channel, master), resume) in self.channels.iter_mut().zip(&mut self.masters).zip(&mut self.resume) {
            let drive = channel.selected();
            let more = match drive.phase {
                Phase::Verify => drive.verify(cx),
                Phase::DmaIn | Phase::DmaOut if self.function.bus_master() => master.run(cx, drive) == Stop::Pause,
                _ => false,
            };
            *resume = more.then(|| cx.now().saturating_add(PAUSE));
        }
        self.watch(cx);
    }

    /// Notes what has become of the interrupt lines. To be called after whatever may have changed
    /// them.
    fn watch(&mut self, cx: &dyn Services) {
        for (channel, master) in self.channels.iter_mut().zip(&mut self.masters) {
            let asserted = channel.asserted(cx);
            if asserted && !channel.line {
                master.interrupt();
            }
            channel.line = asserted;
        }
    }

    /// A read of a channel's ports.
    fn read_ports(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        let (n, control) = self.ports(w)?;
        let channel = &mut self.channels[n];
        let mut value = 0;
        if control {
            return Ok(channel.alternate_status(cx).into());
        }
        if at == 0 {
            if size == Width::B1 {
                cx.guest_error(format_args!("data register read as a byte: the other one is lost"));
            }
            for word in 0..size.bytes().div_ceil(2) {
                value |= u64::from(channel.read_data(cx)) << (16 * word);
            }
        } else {
            for byte in 0..size.bytes() {
                value |= u64::from(channel.read(cx, at + u64::from(byte))) << (8 * byte);
            }
        }
        Ok(value)
    }

    /// A write to a channel's ports.
    fn write_ports(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        let (n, control) = self.ports(w)?;
        let channel = &mut self.channels[n];
        if control {
            channel.device_control(value as u8);
        } else if at == 0 {
            if size == Width::B1 {
                cx.guest_error(format_args!("data register written as a byte: the other one is zero"));
            }
            for word in 0..size.bytes().div_ceil(2) {
                channel.write_data(cx, (value >> (16 * word)) as u16);
            }
        } else {
            for byte in 0..size.bytes() {
                channel.write(cx, at + u64::from(byte), (value >> (8 * byte)) as u8);
            }
        }
        // A command ends the interrupt before it causes another: interrupt controllers that wait
        // for edges must see both.
        if channel.line && !control && at + u64::from(size.bytes()) > COMMAND {
            channel.line = false;
            cx.set_pin(n, false);
        }
        Ok(())
    }
}

impl Device for Piix4Ide {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        let value = match w {
            CONFIG_WINDOW => return Ok(self.function.read(at, size)),
            BUS_MASTER_WINDOW => (0..u64::from(size.bytes())).fold(0, |value, n| {
                let at = at + n;
                let byte = self.masters.get((at / STRIDE) as usize).map_or(0, |master| master.read(at % STRIDE));
                value | u64::from(byte) << (8 * n)
            }),
            _ => self.read_ports(cx, w, at, size)?,
        };
        self.watch(cx);
        Ok(value)
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match w {
            CONFIG_WINDOW => self.function.write(cx, at, size, value),
            BUS_MASTER_WINDOW => {
                // The table's address and the status come before the start.
                for n in (0..u64::from(size.bytes())).rev() {
                    let at = at + n;
                    if let Some(master) = self.masters.get_mut((at / STRIDE) as usize) {
                        master.write(cx, at % STRIDE, (value >> (8 * n)) as u8);
                    }
                }
            }
            _ => self.write_ports(cx, w, at, size, value)?,
        }
        self.pump(cx);
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        if matches!(event, Event::Alarm(_)) {
            self.pump(cx);
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        self.function.settle(cx);
        for (n, (channel, resume)) in self.channels.iter().zip(self.resume).enumerate() {
            cx.set_pin(n, channel.line);
            cx.alarm(n, resume);
        }
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
        self.channels.iter_mut().for_each(Channel::power_on);
    }
}

/// The device type.
pub static PIIX4_IDE: DeviceType = DeviceType {
    properties: &PROPERTIES,
    windows: &[
        WindowDecl::pci_config(),
        WindowDecl::pio("primary", 8, PORTS),
        WindowDecl::pio("primary-control", 1, AccessRule::BYTE),
        WindowDecl::pio("secondary", 8, PORTS),
        WindowDecl::pio("secondary-control", 1, AccessRule::BYTE),
        WindowDecl::pio("bus-master", 16, PORTS),
    ],
    outputs: &[PinDecl::many("irq", 2)],
    ports: &[
        PortDecl { name: NAMES[0].drive, kind: PortKind::Block },
        PortDecl { name: NAMES[1].drive, kind: PortKind::Block },
        PortDecl { name: NAMES[2].drive, kind: PortKind::Block },
        PortDecl { name: NAMES[3].drive, kind: PortKind::Block },
    ],
    alarms: Count::Fixed(2),
    registers: &[CONFIG, COMMAND_BLOCK, CONTROL_BLOCK, COMMAND_BLOCK, CONTROL_BLOCK, BUS_MASTER],
    example: &[("drive0", "hd"), ("drive2", "cd"), ("drive2-media", "cdrom"), ("drive3", "ro"), ("drive3-read-only", "on")],
    ..DeviceType::new("piix4-ide", "IDE controller of the Intel PIIX4", |props| Ok(Box::new(Piix4Ide::new(&HEADER, props)?)))
};

/// The device type of the PIIX3, with the same windows, ports and pins.
pub static PIIX3_IDE: DeviceType = DeviceType {
    properties: PIIX4_IDE.properties,
    windows: PIIX4_IDE.windows,
    outputs: PIIX4_IDE.outputs,
    ports: PIIX4_IDE.ports,
    alarms: Count::Fixed(2),
    registers: PIIX4_IDE.registers,
    example: PIIX4_IDE.example,
    ..DeviceType::new("piix3-ide", "IDE controller of the Intel PIIX3", |props| Ok(Box::new(Piix4Ide::new(&PIIX3_HEADER, props)?)))
};

/// Bytes, and words of 16 and 32 bits.
const PORTS: AccessRule = AccessRule::new(Width::B1, Width::B4);
