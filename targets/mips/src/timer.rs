//! What the core itself has of Count and Compare: the count. Compare, and the interrupt when they
//! are equal, is a device (`mips-cp0-timer`), reached by the keys of the registers.
//!
//! Count is `ticks + COUNT_BASE` where ticks are those of virtual time since its zero; while
//! Cause.DC is set it is COUNT_BASE. The device is told of COUNT_BASE.

use crate::exceptions::cause;
use crate::state::{self, kept};
use crate::{Mips, cp0};
use proteus_exec::Core;

/// Key of the device's register for the difference of Count and the ticks of virtual time.
pub const DEVICE_COUNT: u32 = cp0::key(9, 0);
/// Key of the device's Compare.
pub const DEVICE_COMPARE: u32 = cp0::key(11, 0);
/// Key of the device's copy of Cause.DC.
pub const DEVICE_STOP: u32 = cp0::key(13, 0);

/// The core's line from the device: Cause.IP7.
const TIMER_PIN: u32 = 1 << 7;

/// Ticks of virtual time `ns` with `frequency` ticks a second.
pub fn ticks(ns: u64, frequency: u64) -> u64 {
    // The usual frequency costs no wide division.
    if frequency == 100_000_000 {
        return ns / 10;
    }
    (ns as u128 * frequency as u128 / 1_000_000_000) as u64
}

fn now(core: &mut Core<Mips>) -> u32 {
    let frequency = core.target.count_frequency;
    ticks(core.now(), frequency) as u32
}

fn stopped(core: &Core<Mips>) -> bool {
    core.word(cp0::CAUSE) & cause::DC != 0
}

/// Count, as the register reads.
pub fn count(core: &mut Core<Mips>) -> u64 {
    let base = core.word(state::COUNT_BASE) as u32;
    let v = if stopped(core) { base } else { base.wrapping_add(now(core)) };
    // A guest that sees Count at Compare finds the interrupt pending, as Linux does when it tries
    // the timer, and must not wait for the device's alarm, which the host gives when it can.
    let beyond = v.wrapping_sub(core.word(cp0::COMPARE) as u32) as i32;
    if beyond >= 0 && core.lines.pins() & TIMER_PIN == 0 && !stopped(core) {
        overdue(core);
    }
    kept(core, v as i32 as i64 as u64)
}

/// Lets the device find out that Count has been equal to Compare, if it has: Compare may also have
/// been written behind Count, which the device knows.
#[cold]
fn overdue(core: &mut Core<Mips>) {
    let _ = core.machine.sysreg_read(core.id, DEVICE_COMPARE);
    if core.lines.pins() != 0 {
        core.attention = true;
    }
}

/// A write of Count.
pub fn set_count(core: &mut Core<Mips>, v: u32) {
    let base = if stopped(core) { v } else { v.wrapping_sub(now(core)) };
    *core.word_mut(state::COUNT_BASE) = base.into();
    tell(core, DEVICE_COUNT, base);
}

/// A write of Compare: it takes the interrupt away.
pub fn set_compare(core: &mut Core<Mips>, v: u32) {
    tell(core, DEVICE_COMPARE, v);
}

/// A change of Cause.DC, which goes before the change of the word.
pub fn set_stopped(core: &mut Core<Mips>, stop: bool) {
    if stop == stopped(core) {
        return;
    }
    let v = count(core) as u32;
    let base = if stop { v } else { v.wrapping_sub(now(core)) };
    *core.word_mut(state::COUNT_BASE) = base.into();
    tell(core, DEVICE_STOP, stop.into());
    tell(core, DEVICE_COUNT, base);
}

/// Writes a register of the device.
fn tell(core: &mut Core<Mips>, key: u32, v: u32) {
    core.sync_time();
    if core.machine.sysreg_write(core.id, key, v.into()).is_none() {
        tracing::debug!(target: "unimp", "Count and Compare without a timer in the machine");
    }
    // An interrupt may have become pending or gone, or an alarm been set.
    if core.lines.pins() != 0 {
        core.attention = true;
    } else {
        core.limit_to_alarm();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::{BusFault, CoreId, Device, DeviceType, Line, MachineBuilder, PinDecl, Props, Services, State, Width, Window, WindowDecl};

    /// A timer whose alarm never comes: its output is up once Compare has been read.
    #[derive(State)]
    #[state(version = 1)]
    struct Late {
        asked: bool,
    }

    impl Device for Late {
        fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
            self.asked = true;
            Ok(0)
        }

        fn write(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width, _: u64) -> Result<(), BusFault> {
            self.asked = false;
            Ok(())
        }

        fn settle(&mut self, cx: &mut dyn Services) {
            cx.set_pin(0, self.asked);
        }
    }

    static LATE: DeviceType = DeviceType {
        windows: &[WindowDecl::sysreg("compare", DEVICE_COMPARE, 1)],
        outputs: &[PinDecl::one("ti")],
        ..DeviceType::new("late", "Timer without an alarm", |_| Ok(Box::new(Late { asked: false })))
    };

    #[test]
    fn who_sees_count_at_compare_sees_the_interrupt_too() {
        let mut b = MachineBuilder::new("test", 1);
        let late = b.device(&LATE, "late", Props::new(&LATE)).unwrap();
        b.wire_core(late, ("ti", 0), CoreId(0), Line(7)).unwrap();
        let mut core = crate::testing::core_of("24Kc", b);
        cp0::write(&mut core, cp0::key(11, 0), 100, false).unwrap();
        for (ticks, pending) in [(99, false), (100, true), (200, true)] {
            core.machine.clock().clone().set(10 * ticks);
            core.attention = false;
            assert_eq!(cp0::read(&mut core, cp0::key(9, 0)), Ok(ticks));
            assert_eq!(core.lines.pins() & TIMER_PIN != 0, pending, "{ticks}");
            assert_eq!(core.attention, ticks == 100, "only then is it news");
        }
    }
}
