//! The generic event device and the sleep registers of a machine with reduced hardware ("Advanced
//! Configuration and Power Interface Specification", revision 6.5, sections 4.8.3.7 and 5.6.9). The
//! events' register and the values are those of QEMU's board `microvm`, where software finds them in
//! the ACPI tables.
//!
//! Left out: events of hot plugging, and types of sleep but soft off, which are reported.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Event, PinDecl, Services, State, SystemRequest, Width, Window, WindowDecl, check_register_read,
    check_register_write, field, registers,
};

registers! {
    /// What has happened.
    EVENTS: u32;

    /// Reads clear it.
    0 SELECTOR ro { 1 POWER_BUTTON }
}

registers! {
    /// The registers of the fixed description table.
    REGISTERS: u8;

    0 SLEEP_CONTROL wo { 4:2 SLP_TYP, 5 SLP_EN }
    1 SLEEP_STATUS w1c { 7 WAK_STS: unmodelled }
    2 RESET wo
}

/// The event of the power button.
pub const POWER_BUTTON: u32 = SELECTOR_POWER_BUTTON as u32;
/// SLP_TYP of soft off.
pub const SOFT_OFF: u8 = 5;
/// What RESET takes.
pub const RESET_VALUE: u8 = 0x42;

const EVENTS_WINDOW: Window = Window(0);
const IRQ: usize = 0;
const BUTTON: usize = 0;

#[derive(State, Default)]
#[state(version = 1)]
struct AcpiGed {
    events: u32,
}

impl Device for AcpiGed {
    fn read(&mut self, cx: &mut dyn Services, window: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        if window == EVENTS_WINDOW {
            return Ok(std::mem::take(&mut self.events).into());
        }
        check_register_read(cx, REGISTERS, at);
        Ok(0)
    }

    fn write(&mut self, cx: &mut dyn Services, window: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        if window == EVENTS_WINDOW {
            check_register_write(cx, EVENTS, at, value);
            return Ok(());
        }
        check_register_write(cx, REGISTERS, at, value);
        match at {
            SLEEP_CONTROL if value & SLEEP_CONTROL_SLP_EN != 0 => match field(value, SLEEP_CONTROL_SLP_TYP) {
                kind if kind == u64::from(SOFT_OFF) => cx.system(SystemRequest::PowerOff),
                kind => cx.unimplemented(format_args!("sleep of type {kind}")),
            },
            RESET if value == u64::from(RESET_VALUE) => cx.system(SystemRequest::Reset),
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, _: &mut dyn Services, event: Event<'_>) {
        if event == (Event::Pin { pin: BUTTON, level: true }) {
            self.events |= POWER_BUTTON;
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(IRQ, self.events != 0);
    }
}

/// The device type.
pub static ACPI_GED: DeviceType = DeviceType {
    windows: &[WindowDecl::mmio("events", 4, AccessRule::WORD), WindowDecl::mmio("regs", 3, AccessRule::BYTE)],
    outputs: &[PinDecl::one("irq")],
    inputs: &[PinDecl::one("power-button")],
    registers: &[EVENTS, REGISTERS],
    ..DeviceType::new("acpi-ged", "Generic event device of ACPI", |_| Ok(Box::new(AcpiGed::default())))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    #[test]
    fn the_power_button_is_an_event_that_is_read_once() {
        let b = Bench::new(&ACPI_GED, &[]);
        assert!(!b.output("irq", 0));
        b.input("power-button", 0, true);
        b.input("power-button", 0, false);
        assert!(b.output("irq", 0));
        assert_eq!(b.read32("events", 0), 2);
        assert!(!b.output("irq", 0));
        assert_eq!(b.read32("events", 0), 0);
    }

    #[test]
    fn soft_off_and_reset_are_asked_for() {
        let cases = [
            (SLEEP_CONTROL, 0x34, Some(SystemRequest::PowerOff)),
            (SLEEP_CONTROL, 0x14, None),
            (SLEEP_CONTROL, 0x24, None),
            (RESET, 0x42, Some(SystemRequest::Reset)),
            (RESET, 0x41, None),
            (SLEEP_STATUS, 0x80, None),
        ];
        for (at, value, request) in cases {
            let b = Bench::new(&ACPI_GED, &[]);
            b.write("regs", at, Width::B1, value).unwrap();
            assert_eq!((b.read("regs", at, Width::B1), b.machine.take_request()), (Ok(0), request), "{at}: {value:#x}");
        }
    }
}
