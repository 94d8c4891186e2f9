//! A port that ends the emulator, for guest programs that are tests: there is no such hardware. It
//! is QEMU's `isa-debug-exit`, whose statuses are all odd, so that none of them is success.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, PropertyDecl, PropertyDefault, PropertyKind, Services, State, SystemRequest, Width, Window, WindowDecl,
    WindowKind, WindowSize, check_register_read, registers,
};

/// Most ports that it may have.
const MAX_PORTS: u64 = 8;

registers! {
    /// The port.
    REGISTERS: u8;

    /// The status to end with, without its lowest bit.
    0 STATUS wo
}

#[derive(State, Default)]
#[state(version = 1)]
struct IsaDebugExit {}

impl Device for IsaDebugExit {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        check_register_read(cx, REGISTERS, at);
        Ok(0)
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, _: u64, _: Width, value: u64) -> Result<(), BusFault> {
        cx.system(SystemRequest::Exit((value as u32) << 1 | 1));
        Ok(())
    }
}

/// The device type.
pub static ISA_DEBUG_EXIT: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "iobase", kind: PropertyKind::U64, default: PropertyDefault::U64(0x501), doc: "The first of its I/O ports" },
        PropertyDecl { name: "iosize", kind: PropertyKind::U64, default: PropertyDefault::U64(2), doc: "How many it has" },
    ],
    windows: &[WindowDecl {
        name: "regs",
        size: WindowSize::From(|props| props.u64("iosize").clamp(1, MAX_PORTS)),
        kind: WindowKind::Pio,
        access: AccessRule::ANY,
        priority: 0,
    }],
    registers: &[REGISTERS],
    user_creatable: true,
    ..DeviceType::new("isa-debug-exit", "Ends the emulator with the status that the guest writes", |props| {
        if !(1..=MAX_PORTS).contains(&props.u64("iosize")) {
            return Err(props.refuse(format!("iosize={}: it has from 1 to {MAX_PORTS} ports", props.u64("iosize"))));
        }
        if props.u64("iobase") > 0xffff - props.u64("iosize") {
            return Err(props.refuse(format!("iobase={:#x}: there are ports up to 0xffff", props.u64("iobase"))));
        }
        Ok(Box::new(IsaDebugExit::default()))
    })
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::Props;
    use proteus_model::testing::Bench;

    #[test]
    fn a_write_ends_the_run_with_an_odd_status() {
        let b = Bench::new(&ISA_DEBUG_EXIT, &[]);
        for (width, value, status) in [(Width::B1, 0, 1), (Width::B1, 0x2a, 0x55), (Width::B2, 0x180, 0x301)] {
            b.write("regs", 0, width, value).unwrap();
            assert_eq!(b.machine.take_request(), Some(SystemRequest::Exit(status)));
        }
        assert_eq!(b.read("regs", 0, Width::B1), Ok(0));
        assert_eq!(b.machine.take_request(), None);
    }

    #[test]
    fn ports_that_there_are_not_are_refused() {
        for (name, value) in [("iosize", "0"), ("iosize", "9"), ("iobase", "0xffff")] {
            let props = Props::with(&ISA_DEBUG_EXIT, &[(name, value)]).unwrap();
            assert!((ISA_DEBUG_EXIT.new)(&props).is_err(), "{name}={value}");
        }
    }
}
