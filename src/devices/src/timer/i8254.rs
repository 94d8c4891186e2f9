//! Programmable interval timer (Intel 8254, order number 231164) with the port that personal
//! computers have beside it (port 61h: Intel 82371AB, order number 290562, section 4.2.6).
//!
//! All three counters run at 1.193182 MHz of virtual time. Each is brought up to date when it is
//! looked at, by arithmetic and not clock by clock, so counts are exact and nothing runs in
//! between but the alarms of the OUT pins.
//!
//! A pulse of one clock (modes 2, 4 and 5) is shown on the pin at its end, unless the guest looks
//! meanwhile. If the machine is late, or the period is below 20 us, pulses that are over count as
//! one. OUT of counter 1 asked for memory refreshes and is no pin here: the refresh bit of the port
//! toggles every 18 clocks, as computers program counter 1.

use proteus_model::{AccessRule, BusFault, Count, Device, DeviceType, Event, Ns, PinDecl, Reset, Services, State, Width, Window, WindowDecl, registers};

registers! {
    /// Registers of the 8254.
    REGISTERS: u8;

    0 COUNTER0 rw
    1 COUNTER1 rw
    2 COUNTER2 rw
    /// With SC of 3 it is a read-back command, with RW of 0 a counter latch command.
    3 CONTROL wo { 0 BCD, 3:1 M, 5:4 RW, 7:6 SC }
}

registers! {
    /// The port beside it.
    PORT_REGISTERS: u8;

    /// NMI status and control. The enables of NMI sources that no machine here has are stored.
    0 CONTROL_B rw { 0 GATE2, 1 SPEAKER, 2 SERR_NMI, 3 IOCHK_NMI, 4 REFRESH ro, 5 OUT2 ro, 6 IOCHK ro, 7 SERR ro }
}

/// Clocks in a second.
const FREQUENCY: u128 = 1_193_182;
const SECOND: u128 = 1_000_000_000;
/// Clocks between memory refreshes.
const REFRESH_CLOCKS: u64 = 18;
/// Clocks between alarms of a counter that repeats faster than that, so that no guest keeps the
/// machine busy with its timer alone: 50,000 a second.
const SHORTEST: u32 = 24;
const COUNTERS: usize = 3;
const PORT: Window = Window(1);
/// The counter whose gate and output are in the port.
const SPEAKER: usize = 2;
/// Output pins: OUT of counters 0 and 2, and the speaker.
const PINS: [usize; 2] = [0, 2];
const SPEAKER_PIN: usize = 2;

/// Read-back: do not latch the count.
const NO_COUNT: u8 = 1 << 5;
/// Read-back: do not latch the status.
const NO_STATUS: u8 = 1 << 4;
const STATUS_OUT: u8 = 1 << 7;
const STATUS_NULL: u8 = 1 << 6;

/// The clock at a time.
fn clock_at(now: Ns) -> u64 {
    (u128::from(now) * FREQUENCY / SECOND) as u64
}

/// The first nanosecond of a clock.
fn time_of(clock: u64) -> Option<Ns> {
    u64::try_from((u128::from(clock) * SECOND).div_ceil(FREQUENCY)).ok()
}

/// Which byte of a count an access means.
#[derive(State, Default, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Byte {
    #[default]
    Low,
    High,
}

/// One counter. Its count and output are those at `clock`.
#[derive(State, Default)]
struct Counter {
    clock: u64,
    mode: u8,
    bcd: bool,
    /// RW of the control word: 1 low byte, 2 high byte, 3 low byte and then high byte.
    #[state(reset = 3)]
    rw: u8,
    gate: bool,
    /// The count register.
    cr: u16,
    /// Low byte of a count whose high byte is still to come.
    low: u8,
    write: Byte,
    read: Byte,
    /// The counting element. In mode 3 it is the number of clocks left in this half.
    ce: u32,
    /// The initial count that was loaded last.
    period: u32,
    /// Mode 3: this half has a clock more than half the count.
    odd: bool,
    out: bool,
    /// A count was written since the control word.
    written: bool,
    /// A count was loaded since the control word.
    loaded: bool,
    /// The next clock loads the count register.
    loads: bool,
    /// Mode 0: the first byte of two has stopped the counter.
    halted: bool,
    /// The next time that the count is 0 changes OUT.
    armed: bool,
    /// The count register has not been loaded.
    null: bool,
    /// OUT has risen since the pins were set.
    rose: bool,
    latch: Option<u16>,
    status: Option<u8>,
}

impl Counter {
    /// How many counts there are.
    fn modulus(&self) -> u32 {
        if self.bcd { 10_000 } else { 0x1_0000 }
    }

    /// The initial count in clocks.
    fn initial(&self) -> u32 {
        let n = if self.bcd { (0..4).map(|d| u32::from(self.cr >> (4 * d) & 0xf) * 10u32.pow(d)).sum() } else { self.cr.into() };
        if n == 0 { self.modulus() } else { n }
    }

    /// Clocks that OUT is high in mode 3, of those in a period.
    fn high_half(&self) -> u32 {
        self.period.div_ceil(2)
    }

    /// The count as it is read.
    fn count(&self) -> u16 {
        let n = match self.mode {
            // It goes down by two, from an even number in each half.
            3 => 2 * self.ce.saturating_sub(self.odd.into()),
            _ => self.ce,
        };
        if !self.bcd {
            return n as u16;
        }
        (0..4).map(|d| ((n / 10u32.pow(d) % 10) << (4 * d)) as u16).sum()
    }

    fn status_byte(&self) -> u8 {
        let out = if self.out { STATUS_OUT } else { 0 };
        let null = if self.null { STATUS_NULL } else { 0 };
        out | null | self.rw << 4 | self.mode << 1 | u8::from(self.bcd)
    }

    fn counts(&self) -> bool {
        self.loaded && !self.halted && (self.gate || matches!(self.mode, 1 | 5))
    }

    fn set_out(&mut self, out: bool) {
        self.rose |= out && !self.out;
        self.out = out;
    }

    /// Brings the counter to a clock.
    fn advance(&mut self, to: u64) {
        let mut clocks = to.saturating_sub(self.clock);
        self.clock = self.clock.max(to);
        if clocks == 0 {
            return;
        }
        if matches!(self.mode, 4 | 5) {
            // A strobe lasts one clock.
            self.set_out(true);
        }
        if std::mem::take(&mut self.loads) {
            self.load();
            clocks -= 1;
        }
        if clocks > 0 && self.counts() {
            match self.mode {
                2 => self.divide(clocks),
                3 => self.square(clocks),
                _ => self.count_down(clocks),
            }
        }
    }

    /// The clock that loads the count register.
    fn load(&mut self) {
        self.loaded = true;
        self.null = false;
        self.armed = true;
        self.period = self.initial();
        self.ce = self.period;
        match self.mode {
            1 => self.out = false,
            2 => self.set_out(self.ce != 1),
            3 => {
                self.set_out(true);
                self.ce = self.high_half();
                self.odd = self.period % 2 == 1;
            }
            _ => {}
        }
    }

    /// Modes 0, 1, 4 and 5: down to 0 and on from the highest count.
    fn count_down(&mut self, clocks: u64) {
        let (left, modulus) = (u64::from(self.ce), u64::from(self.modulus()));
        let to_zero = if left == 0 { modulus } else { left };
        if clocks >= to_zero {
            if std::mem::take(&mut self.armed) {
                if matches!(self.mode, 4 | 5) {
                    self.out = false;
                }
                if matches!(self.mode, 0 | 1) || clocks > to_zero {
                    self.set_out(true);
                }
            }
            self.ce = ((modulus - (clocks - to_zero) % modulus) % modulus) as u32;
        } else {
            self.ce = (to_zero - clocks) as u32;
        }
    }

    /// Mode 2: from the initial count to 1, and again.
    fn divide(&mut self, clocks: u64) {
        let left = u64::from(self.ce);
        if clocks < left {
            self.ce = (left - clocks) as u32;
        } else {
            self.null = false;
            self.period = self.initial();
            self.ce = self.period - ((clocks - left) % u64::from(self.period)) as u32;
            self.out = false;
            // The forbidden count of 1 is a pulse without end.
            if self.period > 1 {
                self.set_out(true);
            }
        }
        if self.ce == 1 {
            self.out = false;
        }
    }

    /// Mode 3: halves of the initial count.
    fn square(&mut self, clocks: u64) {
        let left = u64::from(self.ce);
        if clocks < left {
            self.ce = (left - clocks) as u32;
            return;
        }
        self.null = false;
        self.period = self.initial();
        let (high, period) = (self.high_half(), u64::from(self.period));
        // Where in a period that begins with the high half the clock is.
        let passed = clocks - left + if self.out { high.into() } else { 0 };
        let place = (passed % period) as u32;
        self.rose |= !self.out || passed >= period && period > 1;
        self.out = place < high;
        self.odd = self.out && period % 2 == 1;
        self.ce = if self.out { high - place } else { self.period - place };
    }

    /// The next clock at which OUT changes; for a pulse of one clock, that at its end.
    fn next_change(&self) -> Option<u64> {
        let strobe = matches!(self.mode, 4 | 5);
        if strobe && !self.out {
            return Some(self.clock + 1);
        }
        if !self.loads {
            let left = u64::from(self.ce);
            let repeats = matches!(self.mode, 2 | 3) && (self.period > 1 || self.initial() > 1);
            let changes = self.counts() && (self.armed && !matches!(self.mode, 2 | 3) || repeats);
            let least = if repeats && self.period < SHORTEST { u64::from(SHORTEST) } else { 0 };
            return changes.then_some(self.clock + (left + u64::from(strobe)).max(least));
        }
        // The count register is loaded first.
        let first = match self.mode {
            1 if self.out => return Some(self.clock + 1),
            0 | 4 if !self.gate || self.halted => return None,
            2 | 3 if !self.gate => return None,
            3 => self.initial().div_ceil(2),
            _ => self.initial(),
        };
        Some(self.clock + 1 + u64::from(first) + u64::from(strobe))
    }

    fn set_gate(&mut self, gate: bool) {
        let rises = gate && !self.gate;
        self.gate = gate;
        if matches!(self.mode, 2 | 3) && !gate && self.loaded {
            self.set_out(true);
        }
        if rises && matches!(self.mode, 1 | 2 | 3 | 5) && self.written {
            self.loads = true;
        }
    }

    fn write_control(&mut self, value: u8) {
        // Modes 6 and 7 are 2 and 3.
        let mode = value >> 1 & 7;
        *self = Counter {
            clock: self.clock,
            gate: self.gate,
            rose: self.rose,
            ce: self.ce,
            period: self.period,
            mode: if mode > 5 { mode & 3 } else { mode },
            bcd: u64::from(value) & CONTROL_BCD != 0,
            rw: value >> 4 & 3,
            null: true,
            out: self.out,
            ..Counter::default()
        };
        self.set_out(self.mode != 0);
    }

    fn write_count(&mut self, cx: &mut dyn Services, value: u8) {
        let count = match (self.rw, self.write) {
            (1, _) => value.into(),
            (2, _) => u16::from(value) << 8,
            (_, Byte::Low) => {
                self.low = value;
                self.write = Byte::High;
                if self.mode == 0 {
                    self.halted = true;
                    self.out = false;
                }
                return;
            }
            (_, Byte::High) => u16::from(value) << 8 | u16::from(self.low),
        };
        self.write = Byte::Low;
        self.cr = count;
        self.written = true;
        self.null = true;
        self.halted = false;
        match self.mode {
            0 => {
                self.out = false;
                self.armed = false;
                self.loads = true;
            }
            4 => self.loads = true,
            2 | 3 if !self.loaded => self.loads = true,
            // The next trigger or the end of the period loads it.
            _ => {}
        }
        if matches!(self.mode, 2 | 3) && self.initial() == 1 {
            cx.guest_error(format_args!("count 1 in mode {}", self.mode));
        }
    }

    fn read_count(&mut self) -> u8 {
        if let Some(status) = self.status.take() {
            return status;
        }
        let [low, high] = self.latch.unwrap_or_else(|| self.count()).to_le_bytes();
        let (value, last) = match (self.rw, self.read) {
            (1, _) => (low, true),
            (2, _) => (high, true),
            (_, Byte::Low) => (low, false),
            (_, Byte::High) => (high, true),
        };
        self.read = if last { Byte::Low } else { Byte::High };
        if last {
            self.latch = None;
        }
        value
    }

    /// What is latched stays until it is read.
    fn latch_count(&mut self) {
        self.latch = Some(self.latch.unwrap_or_else(|| self.count()));
    }

    fn latch_status(&mut self) {
        self.status = Some(self.status.unwrap_or_else(|| self.status_byte()));
    }
}

#[derive(State, Default)]
#[state(version = 1)]
struct I8254 {
    counters: [Counter; COUNTERS],
    /// The bits of the port that are stored.
    port: u8,
}

impl I8254 {
    fn new() -> I8254 {
        let mut pit = I8254::default();
        pit.start(0);
        pit
    }

    /// Neither mode nor count is defined until a control word is written: nothing counts.
    fn start(&mut self, clock: u64) {
        self.reset_state();
        for (n, counter) in self.counters.iter_mut().enumerate() {
            counter.clock = clock;
            counter.gate = n != SPEAKER;
        }
    }

    fn advance(&mut self, cx: &dyn Services) {
        let clock = clock_at(cx.now());
        self.counters.iter_mut().for_each(|c| c.advance(clock));
    }

    fn write_control(&mut self, value: u8) {
        let select = usize::from(value >> 6);
        let Some(counter) = self.counters.get_mut(select) else {
            for (_, counter) in self.counters.iter_mut().enumerate().filter(|(n, _)| value >> (n + 1) & 1 != 0) {
                if value & NO_COUNT == 0 {
                    counter.latch_count();
                }
                if value & NO_STATUS == 0 {
                    counter.latch_status();
                }
            }
            return;
        };
        if value >> 4 & 3 == 0 {
            counter.latch_count();
        } else {
            counter.write_control(value);
        }
    }

    fn read_port(&self, cx: &dyn Services) -> u8 {
        let refresh = !(clock_at(cx.now()) / REFRESH_CLOCKS).is_multiple_of(2);
        let set = |on: bool, bit: u64| if on { bit as u8 } else { 0 };
        self.port | set(refresh, CONTROL_B_REFRESH) | set(self.counters[SPEAKER].out, CONTROL_B_OUT2)
    }
}

impl Device for I8254 {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        self.advance(cx);
        if w == PORT {
            return Ok(self.read_port(cx).into());
        }
        Ok(match self.counters.get_mut(at as usize) {
            Some(counter) => counter.read_count().into(),
            None => {
                cx.guest_error(format_args!("read of write-only CONTROL"));
                0xff
            }
        })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        self.advance(cx);
        let value8 = value as u8;
        if w == PORT {
            self.port = value8 & 0xf;
            self.counters[SPEAKER].set_gate(value & CONTROL_B_GATE2 != 0);
            return Ok(());
        }
        match self.counters.get_mut(at as usize) {
            Some(counter) => counter.write_count(cx, value8),
            None => self.write_control(value8),
        }
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        if let Event::Alarm(_) = event {
            self.advance(cx);
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        for (pin, n) in PINS.into_iter().enumerate() {
            let counter = &mut self.counters[n];
            if std::mem::take(&mut counter.rose) {
                // A pulse that is over still has its edge.
                cx.set_pin(pin, false);
                cx.set_pin(pin, true);
            }
            cx.set_pin(pin, counter.out);
            cx.alarm(pin, counter.next_change().and_then(time_of));
        }
        let sounds = u64::from(self.port) & CONTROL_B_SPEAKER != 0 && self.counters[SPEAKER].out;
        cx.set_pin(SPEAKER_PIN, sounds);
    }

    fn reset(&mut self, cx: &mut dyn Services, _: Reset) {
        self.start(clock_at(cx.now()));
    }
}

/// The device type.
pub static I8254: DeviceType = DeviceType {
    windows: &[WindowDecl::pio("regs", 4, AccessRule::BYTE), WindowDecl::pio("control-b", 1, AccessRule::BYTE)],
    outputs: &[PinDecl::one("out0"), PinDecl::one("out2"), PinDecl::one("speaker")],
    alarms: Count::Fixed(PINS.len()),
    registers: &[REGISTERS, PORT_REGISTERS],
    ..DeviceType::new("i8254", "Programmable interval timer (Intel 8254)", |_| Ok(Box::new(I8254::new())))
};

#[cfg(test)]
#[path = "i8254_tests.rs"]
mod tests;
