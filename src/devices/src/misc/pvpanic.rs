//! A port by which an operating system says that it has crashed (QEMU, docs/specs/pvpanic): a
//! paravirtual device. Reads tell which events it takes.
//!
//! Left out: the event of an orderly shutdown, which is not offered.

use proteus_model::{AccessRule, BusFault, Device, DeviceType, Services, State, SystemRequest, Width, Window, WindowDecl, check_register_write, registers};

registers! {
    /// The port.
    REGISTERS: u8;

    /// Reads give the events that there are. CRASHLOADED says that a crash is dealt with by the
    /// guest itself.
    0 EVENT rw { 0 PANICKED, 1 CRASHLOADED }
}

#[derive(State, Default)]
#[state(version = 1)]
struct Pvpanic {}

impl Device for Pvpanic {
    fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        Ok(EVENT_PANICKED | EVENT_CRASHLOADED)
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        check_register_write(cx, REGISTERS, at, value);
        if value & EVENT_PANICKED != 0 {
            cx.system(SystemRequest::Panic);
        }
        Ok(())
    }
}

/// The device type.
pub static PVPANIC: DeviceType = DeviceType {
    windows: &[WindowDecl::pio("regs", 1, AccessRule::BYTE)],
    registers: &[REGISTERS],
    ..DeviceType::new("pvpanic", "Tells that the guest has crashed", |_| Ok(Box::new(Pvpanic::default())))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    #[test]
    fn a_crash_is_told_unless_the_guest_deals_with_it() {
        for (value, request) in [(1, Some(SystemRequest::Panic)), (2, None), (3, Some(SystemRequest::Panic)), (0, None)] {
            let b = Bench::new(&PVPANIC, &[]);
            b.write("regs", 0, Width::B1, value).unwrap();
            assert_eq!((b.read("regs", 0, Width::B1), b.machine.take_request()), (Ok(3), request));
        }
    }
}
