//! Power management: function 3 of the south bridge PIIX4 (Intel 82371AB, order number 290562,
//! chapter 7), with its SMBus host controller.
//!
//! It has the power management timer, the power button, soft off, and the interrupt of the three
//! (SCI, which is IRQ 9). No machine here has system management mode: what firmware's handler would
//! do when software turns ACPI on or off through APMC, the model does.
//!
//! Left out, and reported when they are turned on: suspend, the clocks' and
//! devices' power, monitors of device activity, general purpose events, and SMI.

use proteus_model::{
    AccessRule, BusFault, Count, Device, DeviceType, Event, Ns, PinDecl, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, RegAccess,
    RegisterInfo, Reset, Services, State, SystemRequest, Width, Window, WindowDecl, check_register_write, field, registers,
};

use super::smbus::{self, SmBus};
use crate::pci::{CONFIG, Function, Header};

registers! {
    /// Configuration space after its header.
    CONFIG_BYTES: u8;

    /// Port of the power management registers.
    0x40 PMBA0 rw = 0x01 { 0 IO ro, 7:6 BASE }
    0x41 PMBA1 rw
    /// Counts and monitors of device activity, and what devices decode.
    0x44 ACTIVITY[23] rw: unmodelled
    /// Upper byte of DEVACTB: writes of APMC make SMI.
    0x5b DEVACTB3 rw { 1 APMC_EN }
    0x5c ACTIVITY2[36] rw: unmodelled
    0x80 PMREGMISC rw { 0 PMIOSE }
    /// Port of the SMBus registers.
    0x90 SMBBA0 rw = 0x01 { 0 IO ro, 7:4 BASE }
    0x91 SMBBA1 rw
    /// INTERRUPT of 0 is SMI, and of 4 IRQ 9.
    0xd2 SMBHSTCFG rw { 0 ENABLE, 3:1 INTERRUPT }
    0xd3 SMBSLVC rw: unmodelled
    0xd4 SMBSHDW[2] rw: unmodelled
    0xd6 SMBREV ro
}

registers! {
    /// Power management registers.
    REGISTERS: u16;

    0x00 PMSTS w1c { 0 TMROF, 4 BM, 5 GBL, 8 PWRBTN, 10 RTC, 11 PWRBTNOR, 15 RSM }
    0x02 PMEN rw { 0 TMROF, 5 GBL, 8 PWRBTN, 10 RTC }
    0x04 PMCNTRL rw { 0 SCI_EN, 1 BRLD_EN_BM: unmodelled, 2 GBL_RLS wo: unmodelled, 12:10 SUS_TYP, 13 SUS_EN wo }
    /// 24 bits at 3.579545 MHz.
    0x08 PMTMR ro u32
    0x0c GPSTS w1c
    0x0e GPEN rw: unmodelled
    0x10 PCNTRL rw u32: unmodelled
    0x14 PLVL2 ro u8: unmodelled
    0x15 PLVL3 ro u8: unmodelled
    0x18 GLBSTS w1c
    0x1c DEVSTS w1c u32
    0x20 GLBEN rw: unmodelled
    0x28 GLBCTL rw u32: unmodelled
    0x2c DEVCTL rw u32: unmodelled
    0x30 GPIREG[3] ro u8: unmodelled
    /// Levels of general purpose outputs, which are wired to nothing.
    0x34 GPOREG rw u32 = 0x7fffbfff
}

registers! {
    /// Advanced power management ports (section 5.5). APMC takes commands for firmware; the values
    /// that turn ACPI on and off are those of QEMU's machines.
    APM: u8;

    0 APMC rw
    1 APMS rw
}

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const PM_LEN: usize = 64;
/// Clocks of the timer in a second.
const FREQUENCY: u128 = 3_579_545;
const SECOND: u128 = 1_000_000_000;
/// The timer's highest bit changes after so many clocks.
const HALF: u32 = 23;
const TIMER_MASK: u64 = 0xff_ffff;
/// SUS_TYP of soft off.
const SOFT_OFF: u64 = 0;
/// [`SMBHSTCFG_INTERRUPT`] of IRQ 9.
const SMBUS_IRQ9: u64 = 4;
/// Causes of SCI that exist here.
const CAUSES: u64 = PMSTS_TMROF | PMSTS_PWRBTN | PMSTS_GBL | PMSTS_RTC;

const CONFIG_WINDOW: Window = Window(0);
const PM_WINDOW: Window = Window(1);
const SMBUS_WINDOW: Window = Window(2);
const APM_WINDOW: Window = Window(3);
/// Values of APMC.
pub const ACPI_ENABLE: u8 = 0xf1;
/// See [`ACPI_ENABLE`].
pub const ACPI_DISABLE: u8 = 0xf0;
const IRQ: usize = 0;
const BUTTON: usize = 0;
const OVERFLOW: usize = 0;

static HEADER: Header = Header { interrupt_pin: 1, ..Header::new(0x8086, 0x7113, 3, 0x06_8000) };

#[derive(State)]
#[state(version = 1)]
struct Piix4Pm {
    function: Function,
    /// The power management registers.
    #[state(reset = initial())]
    pm: [u8; PM_LEN],
    smbus: SmBus,
    apm: [u8; 2],
    /// How many halves of the timer's range were over when it was looked at last.
    halves: u64,
    /// Where the last two windows were put, once they were. Only then they move.
    #[state(keep)]
    placed: [Option<Option<u64>>; 2],
}

/// The power management registers after a reset.
fn initial() -> [u8; PM_LEN] {
    let mut pm = [0; PM_LEN];
    pm[GPOREG as usize..GPOREG as usize + 4].copy_from_slice(&(GPOREG_RESET as u32).to_le_bytes());
    pm
}

fn clock_at(now: Ns) -> u64 {
    (u128::from(now) * FREQUENCY / SECOND) as u64
}

impl Piix4Pm {
    fn new(props: &Props) -> Result<Piix4Pm, PropError> {
        let spd = match props.str("spd") {
            None => None,
            Some(digits) => Some(smbus::parse_eeprom(digits).ok_or_else(|| props.refuse("spd: must be at most 256 bytes in hexadecimal digits"))?),
        };
        let mut function = Function::new(&HEADER);
        // The ports of the SMBus are all that the command register enables.
        for (at, value, writable) in [(COMMAND, 0, 0x09), (COMMAND + 1, 0, 0), (STATUS, 0x80, 0), (STATUS + 1, 0x02, 0)] {
            function.preset(at, value);
            function.set_writable(at, writable);
        }
        for r in CONFIG_BYTES {
            for at in (r.offset..).take(r.count as usize) {
                function.preset(at as usize, r.reset as u8);
                function.set_writable(at as usize, r.mask(RegAccess::ReadWrite) as u8);
            }
        }
        if props.bool("apmc-taken") {
            function.preset(DEVACTB3 as usize, DEVACTB3_APMC_EN as u8);
        }
        Ok(Piix4Pm { function, pm: initial(), smbus: SmBus::new(spd), apm: [0; 2], halves: 0, placed: [None; 2] })
    }

    /// A register, or a part of the space of registers.
    fn get(&self, at: u64, bytes: u32) -> u64 {
        let byte = |i: u32| self.pm.get(at as usize + i as usize).copied().unwrap_or(0);
        (0..bytes).rev().fold(0, |value, i| value << 8 | u64::from(byte(i)))
    }

    fn set(&mut self, r: &RegisterInfo, at: u64, value: u64) {
        let bytes = r.width.bytes() as usize;
        if let Some(place) = self.pm.get_mut(at as usize..at as usize + bytes) {
            place.copy_from_slice(&value.to_le_bytes()[..bytes]);
        }
    }

    /// Where a base register and an enable have a window.
    fn base(&self, at: u64, mask: u16, enabled: bool) -> Option<u64> {
        let base = u16::from_le_bytes([self.function.byte(at as usize), self.function.byte(at as usize + 1)]) & mask;
        Some(base.into()).filter(|base| enabled && *base != 0)
    }

    /// Brings the overflow of the timer up to date.
    fn look(&mut self, cx: &dyn Services) {
        let halves = clock_at(cx.now()) >> HALF;
        if std::mem::replace(&mut self.halves, halves) != halves {
            self.pm[PMSTS as usize] |= PMSTS_TMROF as u8;
        }
    }

    fn sci(&self) -> bool {
        self.get(PMCNTRL, 2) & PMCNTRL_SCI_EN != 0 && self.get(PMSTS, 2) & self.get(PMEN, 2) & CAUSES != 0
    }

    fn smbus_interrupt(&self) -> u64 {
        field(self.function.byte(SMBHSTCFG as usize).into(), SMBHSTCFG_INTERRUPT)
    }

    fn write_config(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        for (byte, at) in value.to_le_bytes().into_iter().zip(at..).take(size.bytes() as usize) {
            if (0x40..0x100).contains(&at) && byte != self.function.byte(at as usize) {
                check_register_write(cx, CONFIG_BYTES, at, byte.into());
            }
        }
        self.function.write(cx, at, size, value);
    }

    /// Reads power management registers, of which an access may cover parts.
    fn read_pm(&mut self, cx: &mut dyn Services, at: u64, size: Width) -> u64 {
        let timer = clock_at(cx.now()) & TIMER_MASK;
        self.pm[PMTMR as usize..PMTMR as usize + 4].copy_from_slice(&(timer as u32).to_le_bytes());
        for r in REGISTERS.iter().filter(|r| !r.modelled && r.access == RegAccess::ReadOnly && r.index_of(at).is_some()) {
            cx.unimplemented(format_args!("read of {}", r.name));
        }
        self.get(at, size.bytes())
    }

    fn write_pm(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        let end = at + u64::from(size.bytes());
        for r in REGISTERS {
            for n in 0..r.count {
                let (first, bytes) = (r.offset + n * r.stride, r.width.bytes());
                if first >= end || first + u64::from(bytes) <= at {
                    continue;
                }
                // The part that is written, in its place in the register.
                let shift = |value: u64| if at >= first { value << (8 * (at - first)) } else { value >> (8 * (first - at)) };
                let lanes = shift(size.mask()) & r.width.mask();
                let old = self.get(first, bytes);
                let written = shift(value) & lanes | old & !lanes & !r.mask(RegAccess::Write1ToClear);
                if r.modelled || written != old {
                    check_register_write(cx, REGISTERS, first, written);
                }
                self.set(r, first, r.read(r.write(old, written)));
                if first == PMCNTRL && written & PMCNTRL_SUS_EN != 0 {
                    self.suspend(cx, field(written, PMCNTRL_SUS_TYP));
                }
            }
        }
    }

    fn suspend(&self, cx: &mut dyn Services, kind: u64) {
        match kind {
            SOFT_OFF => cx.system(SystemRequest::PowerOff),
            _ => cx.unimplemented(format_args!("suspend of type {kind}")),
        }
    }

    fn write_apm(&mut self, cx: &mut dyn Services, at: u64, value: u8) {
        self.apm[(at & 1) as usize] = value;
        let control = &mut self.pm[PMCNTRL as usize];
        match (at, value) {
            (APMC, ACPI_ENABLE) => *control |= PMCNTRL_SCI_EN as u8,
            (APMC, ACPI_DISABLE) => *control &= !(PMCNTRL_SCI_EN as u8),
            (APMC, value) => cx.unimplemented(format_args!("SMI with command {value:#x}")),
            _ => {}
        }
    }

    /// Moves a window if its place has changed.
    fn place(&mut self, cx: &mut dyn Services, n: usize, window: Window, at: Option<u64>) {
        if self.placed[n] == Some(at) {
            return;
        }
        self.placed[n] = Some(at);
        if cx.move_window(window, at).is_err() {
            cx.guest_error(format_args!("ports at {:#x} lie over something else", at.unwrap_or(0)));
        }
    }
}

impl Device for Piix4Pm {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        self.look(cx);
        Ok(match w {
            CONFIG_WINDOW => self.function.read(at, size),
            PM_WINDOW => self.read_pm(cx, at, size),
            APM_WINDOW => self.apm[(at & 1) as usize].into(),
            _ => self.smbus.read(cx, at).into(),
        })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        self.look(cx);
        match w {
            CONFIG_WINDOW => self.write_config(cx, at, size, value),
            PM_WINDOW => self.write_pm(cx, at, size, value),
            APM_WINDOW => self.write_apm(cx, at, value as u8),
            _ => {
                self.smbus.write(cx, at, value as u8);
                if self.smbus.interrupts() && self.smbus_interrupt() != SMBUS_IRQ9 {
                    cx.unimplemented(format_args!("interrupt {} of the SMBus", self.smbus_interrupt()));
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        self.look(cx);
        if event == (Event::Pin { pin: BUTTON, level: true }) {
            self.pm[PMSTS as usize + 1] |= (PMSTS_PWRBTN >> 8) as u8;
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        let on = |byte: u8, bit: u64| u64::from(byte) & bit != 0;
        let pm = self.base(PMBA0, 0xffc0, on(self.function.byte(PMREGMISC as usize), PMREGMISC_PMIOSE));
        let enabled = self.function.io_enabled() && on(self.function.byte(SMBHSTCFG as usize), SMBHSTCFG_ENABLE);
        let smbus = self.base(SMBBA0, 0xfff0, enabled);
        self.place(cx, 0, PM_WINDOW, pm);
        self.place(cx, 1, SMBUS_WINDOW, smbus);
        cx.set_pin(IRQ, self.sci() || self.smbus.interrupts() && self.smbus_interrupt() == SMBUS_IRQ9);
        let waits = self.get(PMEN, 2) & !self.get(PMSTS, 2) & PMSTS_TMROF != 0;
        let overflow = (u128::from(self.halves + 1) << HALF) * SECOND;
        cx.alarm(OVERFLOW, u64::try_from(overflow.div_ceil(FREQUENCY)).ok().filter(|_| waits));
    }

    fn reset(&mut self, cx: &mut dyn Services, _: Reset) {
        self.reset_state();
        self.halves = clock_at(cx.now()) >> HALF;
    }
}

/// The device type. Pin "irq" is SCI and the interrupt of the SMBus, both IRQ 9.
pub static PIIX4_PM: DeviceType = DeviceType {
    properties: &[
        PropertyDecl {
            name: "spd",
            kind: PropertyKind::String,
            default: PropertyDefault::None,
            doc: "Contents of the memory module's EEPROM at SMBus address 0x50, in hexadecimal digits",
        },
        PropertyDecl {
            name: "apmc-taken",
            kind: PropertyKind::Bool,
            default: PropertyDefault::Bool(false),
            doc: "APMC_EN is set from the start: firmware takes system management mode for set up, and leaves it",
        },
    ],
    windows: &[
        CONFIG,
        WindowDecl::pio("pm", PM_LEN as u64, AccessRule::new(Width::B1, Width::B4)),
        WindowDecl::pio("smbus", smbus::LEN, AccessRule::BYTE),
        WindowDecl::pio("apm", 2, AccessRule::BYTE),
    ],
    outputs: &[PinDecl::one("irq")],
    inputs: &[PinDecl::one("power-button")],
    alarms: Count::Fixed(1),
    registers: &[CONFIG_BYTES, REGISTERS, smbus::REGISTERS, APM],
    example: &[("spd", "80080709")],
    ..DeviceType::new("piix4-pm", "Power management and SMBus of the south bridge PIIX4 (Intel 82371AB)", |props| Ok(Box::new(Piix4Pm::new(props)?)))
};

#[cfg(test)]
#[path = "piix4_pm_tests.rs"]
mod tests;
