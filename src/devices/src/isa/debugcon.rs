//! A port whose bytes go to a character back end, on which firmware prints what it does: there is
//! no such hardware. It is QEMU's (and Bochs') debug console; a read gives e9h, so that a guest
//! finds out that it is there.

use std::collections::VecDeque;

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Event, PortDecl, PortKind, PropertyDecl, PropertyDefault, PropertyKind, Services, State, Width, Window,
    WindowDecl, registers,
};

registers! {
    /// The port.
    REGISTERS: u8;

    0 DATA rw
}

const PRESENT: u64 = 0xe9;
const PORT: usize = 0;
/// Bytes that wait for the back end at most; the guest cannot be made to wait.
const ROOM: usize = 65_536;

#[derive(State, Default)]
#[state(version = 1)]
struct Debugcon {
    /// What the back end has no room for yet.
    #[state(max = ROOM)]
    waiting: VecDeque<u8>,
    /// How many bytes the guest has written.
    written: u64,
    #[state(skip)]
    readback: u64,
}

impl Debugcon {
    fn flush(&mut self, cx: &mut dyn Services) {
        while !self.waiting.is_empty() {
            let (first, _) = self.waiting.as_slices();
            let (offered, taken) = (first.len(), cx.send(PORT, first));
            self.waiting.drain(..taken);
            if taken < offered {
                break;
            }
        }
    }
}

impl Device for Debugcon {
    fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        Ok(self.readback)
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, _: u64, _: Width, value: u64) -> Result<(), BusFault> {
        self.written = self.written.wrapping_add(1);
        if self.waiting.len() == ROOM {
            cx.guest_error(format_args!("{ROOM} bytes wait for the back end: byte {} is lost", self.written));
        } else {
            self.waiting.push_back(value as u8);
        }
        self.flush(cx);
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        if event == Event::HostWritable(PORT) {
            self.flush(cx);
        }
    }
}

/// The device type; the board places it at port `iobase`.
pub static ISA_DEBUGCON: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "iobase", kind: PropertyKind::U64, default: PropertyDefault::U64(0xe9), doc: "Its I/O port" },
        PropertyDecl { name: "readback", kind: PropertyKind::U64, default: PropertyDefault::U64(PRESENT), doc: "What a read gives" },
        PropertyDecl { name: "chardev", kind: PropertyKind::Chardev, default: PropertyDefault::None, doc: "Where the bytes go" },
    ],
    windows: &[WindowDecl::pio("regs", 1, AccessRule::BYTE)],
    ports: &[PortDecl { name: "chardev", kind: PortKind::Char }],
    registers: &[REGISTERS],
    user_creatable: true,
    ..DeviceType::new("isa-debugcon", "Port on which firmware prints", |props| {
        if props.u64("iobase") > 0xffff {
            return Err(props.refuse(format!("iobase={:#x}: there are ports up to 0xffff", props.u64("iobase"))));
        }
        if props.u64("readback") > 0xff {
            return Err(props.refuse(format!("readback={:#x}: give a byte", props.u64("readback"))));
        }
        Ok(Box::new(Debugcon { readback: props.u64("readback"), ..Debugcon::default() }))
    })
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::Props;
    use proteus_model::conformance::check;
    use proteus_model::testing::Bench;

    #[test]
    fn conforms() {
        check(&ISA_DEBUGCON).unwrap();
    }

    #[test]
    fn bytes_reach_the_back_end_also_when_it_has_no_room_for_a_while() {
        let b = Bench::new(&ISA_DEBUGCON, &[]);
        let put = |text: &str| text.bytes().for_each(|byte| b.write("regs", 0, Width::B1, byte.into()).unwrap());
        put("Sea");
        b.set_room("chardev", Some(2));
        put("BIOS");
        assert_eq!((b.sent("chardev"), b.read("regs", 0, Width::B1)), (b"SeaBI".to_vec(), Ok(0xe9)));
        b.set_room("chardev", None);
        assert_eq!(b.sent("chardev"), b"OS");
        b.set_room("chardev", Some(0));
        put(&"x".repeat(ROOM + 1));
        assert_eq!(b.machine.counters().guest_errors, 1);
        b.set_room("chardev", None);
        assert_eq!(b.sent("chardev").len(), ROOM);
    }

    #[test]
    fn properties_are_checked() {
        for (name, value, want) in [("iobase", "0x10000", "up to 0xffff"), ("readback", "256", "a byte")] {
            let props = Props::with(&ISA_DEBUGCON, &[(name, value)]).unwrap();
            assert!((ISA_DEBUGCON.new)(&props).is_err_and(|e| e.to_string().contains(want)));
        }
    }
}
