//! The timers of the Arm Generic Timer (Arm Architecture Reference Manual, DDI 0487, chapter D12).
//!
//! Each core has an EL1 physical, an EL1 virtual, an EL2 physical and a secure (EL3) physical
//! timer, reached by system registers. The counters themselves, CNTFRQ_EL0 and all access rights
//! are the core's business. Left out: CNTVOFF_EL2 (the virtual count equals the physical one) and
//! the memory-mapped timer frames.

use proteus_model::{
    BusFault, Count, Device, DeviceType, Event, FdtHook, FdtNode, Ns, PinDecl, Placed, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset,
    Services, State, Width, Window, WindowDecl,
};

use crate::sysreg::key;

/// Most cores, so that a word has a bit for each.
const MAX_CORES: u64 = 128;
const NS_PER_SECOND: u128 = 1_000_000_000;
/// The clock counts 63 bits; what lies beyond never comes.
const END_OF_TIME: u128 = u64::MAX as u128 >> 1;

/// The timers of one core, in order of windows and pins.
const TIMERS: usize = 4;

// Offsets in each window.
const TVAL: u64 = 0;
const CTL: u64 = 1;
const CVAL: u64 = 2;

const ENABLE: u8 = 1;
const IMASK: u8 = 2;
const ISTATUS: u64 = 4;

/// First key of each timer's registers: CNTP, CNTV, CNTHP, CNTPS.
const KEYS: [u32; TIMERS] = [key(3, 3, 14, 2, 0), key(3, 3, 14, 3, 0), key(3, 4, 14, 2, 0), key(3, 7, 14, 2, 0)];

#[derive(State, Default, Clone, Copy)]
struct Comparator {
    cval: u64,
    /// ENABLE and IMASK.
    ctl: u8,
}

impl Comparator {
    /// Is the condition met? Counter and comparator are unsigned.
    fn met(&self, count: u64) -> bool {
        self.ctl & ENABLE != 0 && count >= self.cval
    }

    fn output(&self, count: u64) -> bool {
        self.met(count) && self.ctl & IMASK == 0
    }
}

#[derive(State)]
#[state(version = 1)]
struct GenericTimer {
    cores: Vec<[Comparator; TIMERS]>,
    /// Cores whose pins and alarms are to be derived anew; empty between entries.
    #[state(skip)]
    touched: u128,
    #[state(skip)]
    frequency: u64,
}

impl GenericTimer {
    fn new(props: &Props) -> Result<GenericTimer, PropError> {
        let (cores, frequency) = (props.u64("cores"), props.u64("frequency"));
        if !(1..=MAX_CORES).contains(&cores) {
            return Err(props.refuse(format!("cores={cores}: from 1 to {MAX_CORES} cores can have timers")));
        }
        if !(1..=1_000_000_000).contains(&frequency) {
            return Err(props.refuse(format!("frequency={frequency}: must be from 1 Hz to 1 GHz")));
        }
        Ok(GenericTimer { cores: vec![Default::default(); cores as usize], touched: 0, frequency })
    }

    /// The system counter.
    fn count(&self, now: Ns) -> u64 {
        // The usual frequency costs no wide division.
        if self.frequency == 62_500_000 {
            return now / 16;
        }
        (u128::from(now) * u128::from(self.frequency) / NS_PER_SECOND) as u64
    }

    /// The first nanosecond at which the counter shows `count`.
    fn time_of(&self, count: u64) -> Option<Ns> {
        let at = (u128::from(count) * NS_PER_SECOND).div_ceil(u128::from(self.frequency));
        (at <= END_OF_TIME).then_some(at as Ns)
    }

    /// The core, its timer and the register that an access means.
    fn find(&self, cx: &dyn Services, w: Window, at: u64) -> Result<(usize, u64), BusFault> {
        let core = cx.requester().map(|c| usize::from(c.0)).filter(|c| *c < self.cores.len());
        let first = KEYS.get(w.0).copied().ok_or(BusFault::Undefined)?;
        Ok((core.ok_or(BusFault::Undefined)?, at.wrapping_sub(first.into())))
    }
}

impl Device for GenericTimer {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        let (core, register) = self.find(cx, w, at)?;
        let (timer, count) = (&self.cores[core][w.0], self.count(cx.now()));
        match register {
            TVAL => Ok(timer.cval.wrapping_sub(count) & 0xffff_ffff),
            CTL => Ok(u64::from(timer.ctl) | if timer.met(count) { ISTATUS } else { 0 }),
            CVAL => Ok(timer.cval),
            _ => Err(BusFault::Undefined),
        }
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        let (core, register) = self.find(cx, w, at)?;
        let count = self.count(cx.now());
        let timer = &mut self.cores[core][w.0];
        match register {
            TVAL => timer.cval = count.wrapping_add_signed((value as i32).into()),
            CTL => timer.ctl = value as u8 & (ENABLE | IMASK),
            CVAL => timer.cval = value,
            _ => return Err(BusFault::Undefined),
        }
        self.touched |= 1 << core;
        Ok(())
    }

    fn event(&mut self, _: &mut dyn Services, event: Event<'_>) {
        if let Event::Alarm(slot) = event {
            self.touched |= 1 << (slot / TIMERS);
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        let now = cx.now();
        let count = self.count(now);
        while self.touched != 0 {
            let core = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            for (n, timer) in self.cores[core].iter().enumerate() {
                cx.set_pin(n * self.cores.len() + core, timer.output(count));
                let ahead = timer.ctl & (ENABLE | IMASK) == ENABLE && count < timer.cval;
                cx.alarm(core * TIMERS + n, if ahead { self.time_of(timer.cval) } else { None });
            }
        }
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
        self.touched = u128::MAX >> (128 - self.cores.len());
    }
}

fn cores(props: &Props) -> usize {
    props.u64("cores") as usize
}

/// Order of the device-tree binding: pin and name.
const BINDING: [(&str, &str); TIMERS] = [("phys-secure", "sec-phys"), ("phys-ns", "phys"), ("virt", "virt"), ("hyp", "hyp-phys")];

fn fdt(placed: &Placed<'_>, node: &mut dyn FdtNode) {
    node.prop_strs("compatible", &["arm,armv8-timer", "arm,armv7-timer"]);
    // One specifier stands for all cores: these are private interrupts.
    let wired = |pin: &str| placed.interrupts.iter().find(|i| i.0 == pin && i.1 == 0);
    let found: Vec<_> = BINDING.iter().filter_map(|(pin, name)| wired(pin).map(|i| (*name, &i.3))).collect();
    let cells: Vec<u32> = found.iter().flat_map(|(_, cells)| cells.iter().copied()).collect();
    node.prop_u32s("interrupts", &cells);
    if found.len() != BINDING.len() {
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        node.prop_strs("interrupt-names", &names);
    }
    node.prop_empty("always-on");
}

/// The device type.
pub static ARM_GENERIC_TIMER: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "cores", kind: PropertyKind::U64, default: PropertyDefault::U64(1), doc: "Number of cores" },
        PropertyDecl { name: "frequency", kind: PropertyKind::U64, default: PropertyDefault::U64(62_500_000), doc: "Frequency of the counter in Hz" },
    ],
    windows: &[
        WindowDecl::sysreg("cntp", KEYS[0], 3),
        WindowDecl::sysreg("cntv", KEYS[1], 3),
        WindowDecl::sysreg("cnthp", KEYS[2], 3),
        WindowDecl::sysreg("cntps", KEYS[3], 3),
    ],
    outputs: &[PinDecl::from("phys-ns", cores), PinDecl::from("virt", cores), PinDecl::from("hyp", cores), PinDecl::from("phys-secure", cores)],
    alarms: Count::From(|props| cores(props) * TIMERS),
    example: &[("cores", "2")],
    fdt: Some(FdtHook { node: "timer", build: fdt }),
    ..DeviceType::new("arm-generic-timer", "Arm Generic Timer", |props| Ok(Box::new(GenericTimer::new(props)?)))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    fn bench(frequency: &str) -> Bench {
        Bench::new(&ARM_GENERIC_TIMER, &[("cores", "2"), ("frequency", frequency)])
    }

    #[test]
    fn the_output_rises_at_the_nanosecond_of_the_count() {
        for (frequency, cval, at) in [("62500000", 10, 160), ("1000000000", 7, 7), ("24000000", 5, 209), ("19200000", 1_920_000, 100_000_000)] {
            let b = bench(frequency);
            b.write("cntv", CVAL, Width::B8, cval).unwrap();
            b.write("cntv", CTL, Width::B8, 1).unwrap();
            b.advance(at - 1);
            assert!(!b.output("virt", 0), "{frequency}");
            assert_eq!(b.read("cntv", CTL, Width::B8), Ok(1));
            b.advance(1);
            assert!(b.output("virt", 0) && !b.output("virt", 1) && !b.output("phys-ns", 0), "{frequency}");
            assert_eq!(b.read("cntv", CTL, Width::B8), Ok(5));
            // Setting it ahead lowers the line.
            b.write("cntv", TVAL, Width::B8, 1000).unwrap();
            assert!(!b.output("virt", 0));
        }
    }

    #[test]
    fn timer_values_are_signed_and_count_down_below_zero() {
        let b = bench("62500000");
        b.advance(16_000);
        b.write("cntp", TVAL, Width::B8, 0xffff_ffff).unwrap();
        assert_eq!(b.read("cntp", CVAL, Width::B8), Ok(999));
        b.write("cntp", TVAL, Width::B8, 10).unwrap();
        b.advance(16 * 12);
        assert_eq!(b.read("cntp", TVAL, Width::B8), Ok(0xffff_fffe));
        assert_eq!(b.read("cntp", CTL, Width::B8), Ok(0), "no status while disabled");
    }

    #[test]
    fn masked_disabled_and_far_timers_have_no_alarm() {
        let b = bench("62500000");
        for (cval, ctl, alarm) in [(1000, 1, Some(16_000)), (1000, 3, None), (1000, 0, None), (u64::MAX, 1, None), (0, 1, None)] {
            b.write("cnthp", CVAL, Width::B8, cval).unwrap();
            b.write("cnthp", CTL, Width::B8, ctl).unwrap();
            assert_eq!(b.machine.next_alarm(), alarm, "{cval} {ctl}");
        }
        assert!(b.output("hyp", 0), "a comparator of zero is reached at once");
        b.write("cnthp", CTL, Width::B8, 3).unwrap();
        assert!(!b.output("hyp", 0));
        assert_eq!(b.read("cnthp", CTL, Width::B8), Ok(7), "the mask does not hide the status");
    }

    #[test]
    fn each_core_has_its_own() {
        let b = bench("62500000");
        b.write_at(1, 3, CVAL, Width::B8, 5).unwrap();
        b.write_at(1, 3, CTL, Width::B8, 1).unwrap();
        b.advance(80);
        assert!(b.output("phys-secure", 1) && !b.output("phys-secure", 0));
        assert_eq!(b.read_at(0, 3, CVAL, Width::B8), Ok(0));
    }

    #[test]
    fn bad_properties_are_refused() {
        for props in [[("cores", "0"), ("frequency", "1")], [("cores", "129"), ("frequency", "1")], [("cores", "1"), ("frequency", "0")]] {
            let props = Props::with(&ARM_GENERIC_TIMER, &props).unwrap();
            assert!((ARM_GENERIC_TIMER.new)(&props).is_err());
        }
    }
}
