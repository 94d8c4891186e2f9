//! Memory that a device gives for direct reads while it is in one of its modes, as flash does.

use crate::rig::{CODE, Rig, machine_and};
use proteus_arm::state;
use proteus_model::ram::Region;
use proteus_model::{AccessRule, BusFault, Clock, Device, DeviceType, Direct, Props, Reset, Services, State, Width, Window, WindowDecl};
use std::sync::Arc;

const FLASH: u64 = 0x5000_0000;
const CONTENTS: u64 = 0x1234_5678;
const STATUS: u64 = 0x0080_0080;

/// Shows its memory, or its status after a write of anything but 0.
#[derive(State)]
struct Flash {
    #[state(skip)]
    array: Arc<Region>,
    command: u32,
}

impl Device for Flash {
    fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        Ok(STATUS)
    }
    fn write(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width, value: u64) -> Result<(), BusFault> {
        self.command = value as u32;
        Ok(())
    }
    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_direct(Window(0), if self.command == 0 { Direct::Reads } else { Direct::Off });
    }
    fn backing(&self, _: Window) -> Option<Arc<Region>> {
        Some(self.array.clone())
    }
}

static TYPE: DeviceType = DeviceType {
    windows: &[WindowDecl::mmio("array", 0x2000, AccessRule::new(Width::B1, Width::B4))],
    ..DeviceType::new("flash", "Flash", |props| {
        let array = Region::new("flash", 0x2000).map_err(|e| props.refuse(e.to_string()))?;
        array.store(8, 4, CONTENTS).map_err(|e| props.refuse(format!("{e:?}")))?;
        Ok(Box::new(Flash { array, command: 0 }))
    })
};

/// A command reaches the device though its reads are direct, and the very next load, in the same
/// block, sees what it has done; so does the load after the way back.
#[test]
fn commands_to_memory_read_directly_take_effect_at_once() {
    for compile in [None, Some(2)] {
        let machine = machine_and(1, Clock::virtual_time(), |b| {
            let flash = b.device(&TYPE, "flash", Props::new(&TYPE)).expect("a device");
            b.place(flash, "array", FLASH).expect("a place");
        });
        machine.reset(Reset::Cold);
        let mut rig = Rig::on(&machine, compile);
        // ldr w2, [x1]; str w3, [x1]; ldr w4, [x1]; str wzr, [x1]; ldr w5, [x1]; b .-20
        rig.program(&[0xb940_0022, 0xb900_0023, 0xb940_0024, 0xb900_003f, 0xb940_0025, 0x17ff_fffb]);
        rig.set(state::x(1), FLASH + 8);
        rig.set(state::x(3), 0x70);
        for round in 1..=20 {
            for r in [2, 4, 5] {
                rig.set(state::x(r), 0);
            }
            rig.run(6);
            assert_eq!([2, 4, 5].map(|r| rig.x(r)), [CONTENTS, STATUS, CONTENTS], "{compile:?}, round {round}");
            assert_eq!(rig.cpu.core.pc(), CODE);
            let counters = machine.counters();
            assert_eq!((counters.reads, counters.writes), (round, 2 * round), "memory answers while it may");
        }
    }
}
