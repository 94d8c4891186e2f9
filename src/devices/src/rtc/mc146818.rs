//! Real-time clock and CMOS memory (Motorola MC146818A, 1984) with 128 bytes, as south bridges
//! have it at ports 70h and 71h.
//!
//! It keeps time and memory on a battery: both outlive a reset, and the time is the wall clock
//! until the guest sets another. The hour and the calendar are those of the full date; the year
//! register has its last two digits, and the byte that property `century` names the first two.
//! The square wave pin is not there, nor is daylight saving, and the time base is always the
//! crystal of 32.768 kHz. While an update is in progress registers read as before it.

use proteus_model::{
    AccessRule, BusFault, Count, Device, DeviceType, Event, Ns, PinDecl, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset, Services, State,
    Width, Window, WindowDecl, check_register_write, registers,
};

registers! {
    /// The two ports.
    PORTS: u8;

    /// Number of the byte. The highest bit masks NMI, which no machine here has from it.
    0 INDEX wo { 6:0 INDEX, 7 NMI_DISABLE }
    1 DATA rw
}

registers! {
    /// The bytes that are not plain memory, by number.
    BYTES: u8;

    0x0 SECONDS rw
    0x1 SECONDS_ALARM rw
    0x2 MINUTES rw
    0x3 MINUTES_ALARM rw
    /// With 12 hours the highest bit means afternoon.
    0x4 HOURS rw
    0x5 HOURS_ALARM rw
    /// Sunday is 1.
    0x6 WEEKDAY rw
    0x7 DATE rw
    0x8 MONTH rw
    0x9 YEAR rw
    0xa A rw = 0x26 { 3:0 RS, 6:4 DV, 7 UIP ro }
    0xb B rw = 0x02 { 0 DSE: unmodelled, 1 H24, 2 DM, 3 SQWE: unmodelled, 4 UIE, 5 AIE, 6 PIE, 7 SET }
    /// A read clears it.
    0xc C ro { 4 UF, 5 AF, 6 PF, 7 IRQF }
    0xd D ro = 0x80 { 7 VRT }
}

const LEN: usize = 128;
const SECOND: u64 = 1_000_000_000;
const DAY: i64 = 86_400;
/// UIP comes 244 us before an update, which takes 1984 us.
const UPDATE: u64 = 2_228_000;
/// The update after the divider was released comes half a second later.
const RELEASED: u64 = SECOND / 2;
const IRQ: usize = 0;
const ALARM: usize = 0;

// Bits of B and C, in their common places.
const UPDATED: u8 = C_UF as u8;
const ALARMED: u8 = C_AF as u8;
const PERIODIC: u8 = C_PF as u8;
const SET: u8 = B_SET as u8;

/// A date.
struct Calendar {
    year: i64,
    month: i64,
    date: i64,
}

impl Calendar {
    /// The date so many days after 1970-01-01.
    fn of(days: i64) -> Calendar {
        // Years begin in March, so that the leap day is the last one.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day = days.rem_euclid(146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let date = day - (153 * month + 2) / 5 + 1;
        let january = month >= 10;
        Calendar { year: year + 400 * era + i64::from(january), month: if january { month - 9 } else { month + 3 }, date }
    }

    /// Days from 1970-01-01. A month or date that cannot be runs on into the next.
    fn days(&self) -> i64 {
        let months = self.month - 3;
        let year = self.year + months.div_euclid(12);
        let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
        let day = (153 * months.rem_euclid(12) + 2) / 5 + self.date - 1;
        era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
    }
}

#[derive(State)]
#[state(version = 1)]
struct Mc146818 {
    index: u8,
    /// All bytes. Those of the time count while it stands.
    #[state(keep)]
    bytes: [u8; LEN],
    /// What the seconds are ahead of the wall clock's.
    #[state(keep)]
    ahead: i64,
    /// What the divider is ahead of the wall clock, less than a second.
    #[state(keep)]
    phase: u64,
    /// What the day of the week is ahead of the calendar's, below 7.
    #[state(keep)]
    weekday_ahead: u8,
    /// Flags of C as of `seen`.
    flags: u8,
    /// Time of the divider up to which flags have been looked for.
    seen: u64,
    #[state(skip)]
    century: usize,
    /// What a reset puts into the memory: numbers and values.
    #[state(skip)]
    after_reset: Vec<(usize, u8)>,
}

/// Numbers and values of the bytes of a property.
fn parse_contents(props: &Props, property: &str) -> Result<Vec<(usize, u8)>, PropError> {
    let pair = |text: &str| {
        let (at, value) = text.split_once('=')?;
        let at = usize::from_str_radix(at, 16).ok().filter(|at| (0x0e..LEN).contains(at))?;
        Some((at, u8::from_str_radix(value, 16).ok()?))
    };
    let all = props.str(property).unwrap_or_default();
    let refuse = |text: &str| props.refuse(format!("{property}: '{text}' must be NUMBER=VALUE, hexadecimal, with a number from e to {:x}", LEN - 1));
    all.split(':').filter(|text| !text.is_empty()).map(|text| pair(text).ok_or_else(|| refuse(text))).collect()
}

impl Mc146818 {
    fn new(props: &Props) -> Result<Mc146818, PropError> {
        let century = props.u64("century");
        if !(0x0e..LEN as u64).contains(&century) && century != 0 {
            return Err(props.refuse(format!("century={century:#x}: must be from 0xe to {:#x}, or 0 for none", LEN - 1)));
        }
        let mut bytes = [0; LEN];
        for (at, value) in [(A, A_RESET), (B, B_RESET), (D, D_RESET)] {
            bytes[at as usize] = value as u8;
        }
        for (at, value) in parse_contents(props, "contents")? {
            bytes[at] = value;
        }
        let after_reset = parse_contents(props, "after-reset")?;
        Ok(Mc146818 { after_reset, index: 0, bytes, ahead: 0, phase: 0, weekday_ahead: 0, flags: 0, seen: 0, century: century as usize })
    }

    fn byte(&self, at: u64) -> u8 {
        self.bytes[at as usize & (LEN - 1)]
    }

    fn b(&self, bit: u64) -> bool {
        u64::from(self.byte(B)) & bit != 0
    }

    /// Does the divider run? Its last two settings hold it in reset.
    fn divides(&self) -> bool {
        u64::from(self.byte(A)) & A_DV < 0x60
    }

    /// Does the time advance?
    fn runs(&self) -> bool {
        self.divides() && !self.b(B_SET)
    }

    /// The divider's time: as the wall clock, with its own fraction of a second.
    fn divider(&self, cx: &dyn Services) -> u64 {
        cx.wall_clock().wrapping_add(self.phase)
    }

    /// Seconds since 1970 as the clock has them at a time of the divider.
    fn seconds(&self, divider: u64) -> i64 {
        ((divider / SECOND) as i64).wrapping_add(self.ahead)
    }

    /// A number as registers have it.
    fn encode(&self, n: i64) -> u8 {
        if self.b(B_DM) { n as u8 } else { (n / 10 % 10 * 16 + n % 10) as u8 }
    }

    fn decode(&self, byte: u8) -> i64 {
        if self.b(B_DM) { byte.into() } else { i64::from(byte >> 4) * 10 + i64::from(byte & 15) }
    }

    fn encode_hour(&self, hour: i64) -> u8 {
        if self.b(B_H24) {
            return self.encode(hour);
        }
        let afternoon = if hour >= 12 { 0x80 } else { 0 };
        self.encode((hour + 11) % 12 + 1) | afternoon
    }

    fn decode_hour(&self, byte: u8) -> i64 {
        if self.b(B_H24) {
            return self.decode(byte);
        }
        self.decode(byte & 0x7f) % 12 + if byte & 0x80 != 0 { 12 } else { 0 }
    }

    /// Puts the time into the bytes.
    fn store_time(&mut self, seconds: i64) {
        let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let date = Calendar::of(days);
        let weekday = (days + 4 + i64::from(self.weekday_ahead)).rem_euclid(7) + 1;
        let bytes = [
            (SECONDS, self.encode(second % 60)),
            (MINUTES, self.encode(second / 60 % 60)),
            (HOURS, self.encode_hour(second / 3600)),
            (WEEKDAY, self.encode(weekday)),
            (DATE, self.encode(date.date)),
            (MONTH, self.encode(date.month)),
            (YEAR, self.encode(date.year.rem_euclid(100))),
        ];
        for (at, value) in bytes {
            self.bytes[at as usize] = value;
        }
        if self.century != 0 {
            self.bytes[self.century] = self.encode(date.year.div_euclid(100).rem_euclid(100));
        }
    }

    /// Takes the time from the bytes, at a time of the divider.
    fn take_time(&mut self, divider: u64) {
        let century = if self.century == 0 { 20 } else { self.decode(self.bytes[self.century]) };
        let year = 100 * century + self.decode(self.byte(YEAR));
        let days = Calendar { year, month: self.decode(self.byte(MONTH)), date: self.decode(self.byte(DATE)) }.days();
        let second = 3600 * self.decode_hour(self.byte(HOURS)) + 60 * self.decode(self.byte(MINUTES)) + self.decode(self.byte(SECONDS));
        let seconds = days * DAY + second;
        self.ahead = seconds - (divider / SECOND) as i64;
        let weekday = self.decode(self.byte(WEEKDAY)) - 1;
        self.weekday_ahead = (weekday - 4 - seconds.div_euclid(DAY)).rem_euclid(7) as u8;
    }

    fn is_time(&self, at: usize) -> bool {
        matches!(at as u64, SECONDS | MINUTES | HOURS | WEEKDAY..=YEAR) || at == self.century && at != 0
    }

    /// Periodic interrupts in a second.
    fn rate(&self) -> u64 {
        match u64::from(self.byte(A)) & A_RS {
            0 => 0,
            1 => 256,
            2 => 128,
            n => 32_768 >> (n - 1),
        }
    }

    /// Number of periods that are over at a time of the divider.
    fn periods(&self, divider: u64) -> u64 {
        let rate = self.rate();
        divider / SECOND * rate + divider % SECOND * rate / SECOND
    }

    /// When the period after a time of the divider is over.
    fn next_period(&self, divider: u64) -> Option<u64> {
        let rate = self.rate();
        if rate == 0 {
            return None;
        }
        let part = divider % SECOND * rate / SECOND + 1;
        (divider - divider % SECOND).checked_add((part * SECOND).div_ceil(rate))
    }

    /// Seconds from `seconds` to the next one after it that is the alarm's; none if its bytes are
    /// no time of day.
    fn to_alarm(&self, seconds: i64) -> Option<i64> {
        let meets = |alarm: u64, byte: u8| self.byte(alarm) >= 0xc0 || self.byte(alarm) == byte;
        let mut second = seconds.rem_euclid(DAY) + 1;
        // At most a day's hours, and the minutes and seconds of two hours and minutes.
        for _ in 0..24 + 2 * (60 + 60) {
            let (h, m, s) = (second / 3600 % 24, second / 60 % 60, second % 60);
            if !meets(HOURS_ALARM, self.encode_hour(h)) {
                second = second - second % 3600 + 3600;
            } else if !meets(MINUTES_ALARM, self.encode(m)) {
                second = second - second % 60 + 60;
            } else if !meets(SECONDS_ALARM, self.encode(s)) {
                second += 1;
            } else {
                return Some(second - seconds.rem_euclid(DAY));
            }
        }
        None
    }

    /// Finds out what has happened since it was looked for last.
    fn look(&mut self, cx: &dyn Services) {
        let (seen, now) = (self.seen, self.divider(cx));
        self.seen = now;
        // The wall clock may have been set back.
        if !self.divides() || now <= seen {
            return;
        }
        if self.periods(now) != self.periods(seen) {
            self.flags |= PERIODIC;
        }
        if self.runs() && now / SECOND != seen / SECOND {
            self.flags |= UPDATED;
            let passed = (now / SECOND - seen / SECOND) as i64;
            if self.to_alarm(self.seconds(seen)).is_some_and(|to| to <= passed) {
                self.flags |= ALARMED;
            }
        }
    }

    /// The divider's time when the next interrupt comes that is not there yet.
    fn next_event(&self) -> Option<u64> {
        let waits = |flag: u8| self.byte(B) & flag != 0 && self.flags & flag == 0;
        let now = self.seen;
        let second = |n: i64| (now - now % SECOND).checked_add(n.unsigned_abs() * SECOND);
        let period = if waits(PERIODIC) && self.divides() { self.next_period(now) } else { None };
        let update = if waits(UPDATED) && self.runs() { second(1) } else { None };
        let alarm = if waits(ALARMED) && self.runs() { self.to_alarm(self.seconds(now)).and_then(second) } else { None };
        [period, update, alarm].into_iter().flatten().min()
    }

    fn interrupts(&self) -> bool {
        self.flags & self.byte(B) & (UPDATED | ALARMED | PERIODIC) != 0
    }

    fn read_byte(&mut self, cx: &dyn Services) -> u8 {
        let at = usize::from(self.index);
        if self.is_time(at) && self.runs() {
            self.store_time(self.seconds(self.seen));
        }
        match at as u64 {
            A => {
                let updates = self.runs() && self.divider(cx) % SECOND >= SECOND - UPDATE;
                self.bytes[at] | if updates { A_UIP as u8 } else { 0 }
            }
            C => {
                let irqf = if self.interrupts() { C_IRQF as u8 } else { 0 };
                std::mem::take(&mut self.flags) | irqf
            }
            _ => self.bytes[at & (LEN - 1)],
        }
    }

    fn write_byte(&mut self, cx: &mut dyn Services, value: u8) {
        let at = usize::from(self.index);
        match at as u64 {
            A | B => {
                check_register_write(cx, BYTES, at as u64, value.into());
                self.write_control(cx, at, value);
            }
            C | D => check_register_write(cx, BYTES, at as u64, value.into()),
            _ if self.is_time(at) && self.runs() => {
                self.store_time(self.seconds(self.seen));
                self.bytes[at] = value;
                self.take_time(self.seen);
            }
            _ => self.bytes[at & (LEN - 1)] = value,
        }
    }

    /// Writes A or B, which may stop the time or let it go on.
    fn write_control(&mut self, cx: &mut dyn Services, at: usize, value: u8) {
        let (ran, divided) = (self.runs(), self.divides());
        if ran {
            self.store_time(self.seconds(self.seen));
        }
        let was = self.bytes[at];
        self.bytes[at] = match at as u64 {
            A => value & !(A_UIP as u8),
            // SET takes back the enable of the interrupt by updates.
            _ if value & SET != 0 => value & !(B_UIE as u8),
            _ => value,
        };
        let dv = u64::from(value) & A_DV;
        if at as u64 == A && dv != 0x20 && dv < 0x60 && was != value {
            cx.unimplemented(format_args!("time base {} of the divider", dv >> 4));
        }
        if !divided && self.divides() {
            // The divider begins half a second before the next update.
            let wall = cx.wall_clock() % SECOND;
            self.phase = (RELEASED + SECOND - wall) % SECOND;
            self.seen = self.divider(cx);
        }
        if !ran && self.runs() {
            self.take_time(self.seen);
        }
    }
}

impl Device for Mc146818 {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        self.look(cx);
        // The index cannot be read: the bus floats.
        Ok(if at == DATA { self.read_byte(cx) } else { 0xff }.into())
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        self.look(cx);
        match at {
            DATA => self.write_byte(cx, value as u8),
            _ => self.index = (value & INDEX_INDEX) as u8,
        }
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        if event == Event::Alarm(ALARM) {
            self.look(cx);
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(IRQ, self.interrupts());
        let at: Option<Ns> = self.next_event().map(|at| cx.now().saturating_add(at.saturating_sub(self.divider(cx))));
        cx.alarm(ALARM, at);
    }

    fn reset(&mut self, cx: &mut dyn Services, kind: Reset) {
        self.reset_state();
        if kind == Reset::Warm {
            self.after_reset.iter().for_each(|(at, value)| self.bytes[*at] = *value);
        }
        self.bytes[B as usize] &= !(B_PIE | B_AIE | B_UIE | B_SQWE) as u8;
        self.seen = self.divider(cx);
    }
}

/// The device type.
pub static MC146818RTC: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "century", kind: PropertyKind::U64, default: PropertyDefault::U64(0x32), doc: "Number of the byte with the century; 0 for none" },
        PropertyDecl {
            name: "contents",
            kind: PropertyKind::String,
            default: PropertyDefault::None,
            doc: "What is in the memory at first: NUMBER=VALUE:..., both hexadecimal",
        },
        PropertyDecl {
            name: "after-reset",
            kind: PropertyKind::String,
            default: PropertyDefault::None,
            doc: "What a reset of the machine puts there, in the same form",
        },
    ],
    windows: &[WindowDecl::pio("regs", 2, AccessRule::BYTE)],
    outputs: &[PinDecl::one("irq")],
    alarms: Count::Fixed(1),
    registers: &[PORTS],
    ..DeviceType::new("mc146818rtc", "Real-time clock with CMOS memory (MC146818A)", |props| Ok(Box::new(Mc146818::new(props)?)))
};

#[cfg(test)]
#[path = "mc146818_tests.rs"]
mod tests;
