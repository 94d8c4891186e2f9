//! The timer of MIPS coprocessor 0: Compare, and the interrupt when Count is equal to it (MIPS PRA,
//! MD00090, 8.17 and 8.19).
//!
//! Count itself is the core's business, which reads it often: it is the ticks of virtual time since
//! its zero plus an offset, modulo 2^32. The core tells the offset when Count is written. The keys
//! of the windows are 8 * register + select of Count, Compare and Cause. The board wires output
//! `ti` of each core to the core's line 7, which is Cause.IP7 and Cause.TI.

use proteus_model::{
    BusFault, Count, Device, DeviceType, Event, Ns, PinDecl, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset, Services, State, Width,
    Window, WindowDecl,
};

/// Most cores, so that a word has a bit for each.
const MAX_CORES: u64 = 128;
const NS_PER_SECOND: u128 = 1_000_000_000;
/// The clock counts 63 bits; what lies beyond never comes.
const END_OF_TIME: u128 = u64::MAX as u128 >> 1;
/// Values of Count.
const ALL: u64 = 1 << 32;

/// Register 9, select 0: what Count has beyond the ticks of virtual time; while it stands still,
/// Count itself.
const COUNT: u32 = 8 * 9;
/// Register 11, select 0.
const COMPARE: u32 = 8 * 11;
/// Register 13, select 0: bit 0 is Cause.DC, Count stands still.
const CAUSE: u32 = 8 * 13;

#[derive(State, Default, Clone, Copy)]
struct Timer {
    offset: u32,
    compare: u32,
    stopped: bool,
    /// Count has been equal to Compare since Compare was written: Cause.TI.
    reached: bool,
    /// The ticks of virtual time when Count will next be equal to Compare.
    next: Option<u64>,
}

impl Timer {
    /// Finds the next tick, after `now`, at which Count is equal to Compare.
    fn arm(&mut self, now: u64) {
        let left = self.compare.wrapping_sub(self.offset).wrapping_sub(now as u32);
        self.next = (!self.stopped && !self.reached).then_some(now + if left == 0 { ALL } else { left.into() });
    }

    /// What came due before an access has happened, though its alarm may be still to come. Whether it
    /// had.
    fn catch_up(&mut self, now: u64) -> bool {
        let due = self.next.is_some_and(|next| next <= now);
        if due {
            self.reached = true;
            self.next = None;
        }
        due
    }
}

#[derive(State)]
#[state(version = 1)]
struct CountTimer {
    cores: Vec<Timer>,
    /// Cores whose pins and alarms are to be derived anew; empty between entries.
    #[state(skip)]
    touched: u128,
    #[state(skip)]
    frequency: u64,
}

impl CountTimer {
    fn new(props: &Props) -> Result<CountTimer, PropError> {
        let (cores, frequency) = (props.u64("cores"), props.u64("frequency"));
        if !(1..=MAX_CORES).contains(&cores) {
            return Err(props.refuse(format!("cores={cores}: from 1 to {MAX_CORES} cores can have timers")));
        }
        if !(1..=1_000_000_000).contains(&frequency) {
            return Err(props.refuse(format!("frequency={frequency}: must be from 1 Hz to 1 GHz")));
        }
        let mut timer = CountTimer { cores: vec![Timer::default(); cores as usize], touched: 0, frequency };
        timer.cores.iter_mut().for_each(|t| t.arm(0));
        Ok(timer)
    }

    /// Ticks of virtual time.
    fn ticks(&self, now: Ns) -> u64 {
        (u128::from(now) * u128::from(self.frequency) / NS_PER_SECOND) as u64
    }

    /// The first nanosecond of a tick.
    fn time_of(&self, tick: u64) -> Option<Ns> {
        let at = (u128::from(tick) * NS_PER_SECOND).div_ceil(u128::from(self.frequency));
        (at <= END_OF_TIME).then_some(at as Ns)
    }

    /// The timer of the core that makes the access.
    fn find(&self, cx: &dyn Services) -> Result<usize, BusFault> {
        cx.requester().map(|c| usize::from(c.0)).filter(|c| *c < self.cores.len()).ok_or(BusFault::Undefined)
    }
}

impl Device for CountTimer {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        let core = self.find(cx)?;
        let now = self.ticks(cx.now());
        let t = &mut self.cores[core];
        if t.catch_up(now) {
            self.touched |= 1 << core;
        }
        match at as u32 {
            COUNT => Ok(t.offset.into()),
            COMPARE => Ok(t.compare.into()),
            CAUSE => Ok(t.stopped.into()),
            _ => Err(BusFault::Undefined),
        }
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        let core = self.find(cx)?;
        let now = self.ticks(cx.now());
        let t = &mut self.cores[core];
        t.catch_up(now);
        match at as u32 {
            COUNT => t.offset = value as u32,
            COMPARE => {
                t.compare = value as u32;
                t.reached = false;
            }
            CAUSE => t.stopped = value & 1 != 0,
            _ => return Err(BusFault::Undefined),
        }
        t.arm(now);
        self.touched |= 1 << core;
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        let now = self.ticks(cx.now());
        if let Event::Alarm(core) = event
            && let Some(t) = self.cores.get_mut(core)
        {
            t.catch_up(now);
            self.touched |= 1 << core;
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        while self.touched != 0 {
            let core = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            let t = self.cores[core];
            cx.set_pin(core, t.reached);
            cx.alarm(core, t.next.and_then(|next| self.time_of(next)));
        }
    }

    fn reset(&mut self, cx: &mut dyn Services, _: Reset) {
        self.reset_state();
        let now = self.ticks(cx.now());
        self.cores.iter_mut().for_each(|t| t.arm(now));
        self.touched = u128::MAX >> (128 - self.cores.len());
    }
}

fn cores(props: &Props) -> usize {
    props.u64("cores") as usize
}

/// The device type.
pub static MIPS_CP0_TIMER: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "cores", kind: PropertyKind::U64, default: PropertyDefault::U64(1), doc: "Number of cores" },
        PropertyDecl { name: "frequency", kind: PropertyKind::U64, default: PropertyDefault::U64(100_000_000), doc: "Frequency of Count in Hz" },
    ],
    windows: &[WindowDecl::sysreg("count", COUNT, 1), WindowDecl::sysreg("compare", COMPARE, 1), WindowDecl::sysreg("cause", CAUSE, 1)],
    outputs: &[PinDecl::from("ti", cores)],
    alarms: Count::From(cores),
    example: &[("cores", "2")],
    ..DeviceType::new("mips-cp0-timer", "MIPS coprocessor 0 timer", |props| Ok(Box::new(CountTimer::new(props)?)))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    fn bench(frequency: &str) -> Bench {
        Bench::new(&MIPS_CP0_TIMER, &[("cores", "2"), ("frequency", frequency)])
    }

    /// A bench whose other core has no alarm.
    fn alone() -> Bench {
        let b = bench("100000000");
        b.write_at(1, 2, 0, Width::B8, 1).unwrap();
        b
    }

    fn write(b: &Bench, window: &str, value: u64) {
        b.write(window, 0, Width::B8, value).unwrap();
    }

    #[test]
    fn the_output_rises_at_the_nanosecond_of_the_count_and_falls_with_compare() {
        for (frequency, compare, at) in [("100000000", 10, 100), ("1000000000", 7, 7), ("24000000", 5, 209), ("33000000", 33_000_000, 1_000_000_000)] {
            let b = bench(frequency);
            write(&b, "compare", compare);
            b.advance(at - 1);
            assert!(!b.output("ti", 0), "{frequency}");
            b.advance(1);
            assert!(b.output("ti", 0) && !b.output("ti", 1), "{frequency}");
            b.advance(at);
            assert!(b.output("ti", 0), "it stays until Compare is written");
            write(&b, "compare", compare);
            assert!(!b.output("ti", 0));
            assert_eq!(b.read("compare", 0, Width::B8), Ok(compare));
        }
    }

    /// A core that has read a Count beyond Compare asks, and need not wait for the host's timer.
    #[test]
    fn an_access_after_the_count_finds_the_output_up_though_the_alarm_is_late() {
        let b = alone();
        write(&b, "compare", 10);
        let clock = b.machine.clock();
        for (at, up) in [(99, false), (100, true)] {
            clock.set(at);
            assert!(!b.output("ti", 0), "no alarm has run");
            assert_eq!(b.read("compare", 0, Width::B8), Ok(10));
            assert_eq!(b.output("ti", 0), up, "{at}");
        }
        assert_eq!(b.machine.next_alarm(), None);
    }

    #[test]
    fn count_wraps_around_to_a_compare_that_is_behind_it_or_equal() {
        let b = alone();
        b.advance(1000);
        for behind in [0u64, 1, 99] {
            write(&b, "compare", 100 - behind);
            assert_eq!(b.machine.next_alarm(), Some(1000 + 10 * (ALL - behind)));
        }
        // An offset brings Count to 40: sixty ticks are left.
        write(&b, "compare", 100);
        write(&b, "count", u64::from(40u32.wrapping_sub(100)));
        assert_eq!(b.machine.next_alarm(), Some(1600));
    }

    #[test]
    fn a_count_that_stands_still_is_never_equal() {
        let b = alone();
        write(&b, "compare", 50);
        write(&b, "cause", 1);
        assert_eq!(b.machine.next_alarm(), None);
        b.advance(10_000);
        assert!(!b.output("ti", 0));
        // It goes on from 20 at tick 1000.
        write(&b, "cause", 0);
        write(&b, "count", u64::from(20u32.wrapping_sub(1000)));
        assert_eq!(b.machine.next_alarm(), Some(10_300));
    }

    #[test]
    fn each_core_has_its_own() {
        let b = bench("100000000");
        b.write_at(1, 1, 0, Width::B8, 5).unwrap();
        b.advance(50);
        assert!(b.output("ti", 1) && !b.output("ti", 0));
    }
}
