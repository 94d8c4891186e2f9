use super::*;
use proteus_model::conformance::Rng;
use proteus_model::testing::Bench;

/// A timer, and the clock that it stands at.
struct Guest {
    b: Bench,
    clock: u64,
}

impl Guest {
    fn new() -> Guest {
        Guest { b: Bench::new(&I8254, &[]), clock: 0 }
    }

    fn to(&mut self, clock: u64) {
        self.clock = clock;
        self.b.advance(time_of(clock).unwrap() - self.b.machine.clock().now());
    }

    fn write(&self, at: u64, value: u8) {
        self.b.write("regs", at, Width::B1, value.into()).unwrap();
    }

    fn read(&self, at: u64) -> u8 {
        self.b.read("regs", at, Width::B1).unwrap() as u8
    }

    fn port(&self) -> u8 {
        self.b.read("control-b", 0, Width::B1).unwrap() as u8
    }

    fn gate(&self, on: bool) {
        self.b.write("control-b", 0, Width::B1, on.into()).unwrap();
    }

    fn status(&self, counter: u64) -> u8 {
        self.write(CONTROL, 0xe0 | 2 << counter);
        self.read(counter)
    }

    /// The count of counter 2, by a read-back of both bytes.
    fn count(&self) -> u16 {
        self.write(CONTROL, 0xd8);
        u16::from_le_bytes([self.read(COUNTER2), self.read(COUNTER2)])
    }
}

/// Waveforms of counter 2 as the datasheet draws them: "N!" writes a count, "G" and "g" raise and
/// lower the gate, "count/OUT" is what is there after the next clock.
#[test]
fn waveforms_are_the_datasheets() {
    let cases = [
        (0, "4! 4/0 3/0 2/0 1/0 0/1 ffff/1 fffe/1"),
        (0, "3! 3/0 2/0 g 2/0 2/0 G 1/0 0/1 ffff/1"),
        (0, "3! 3/0 2/0 1/0 2! 2/0 1/0 0/1 ffff/1 1! 1/0 0/1"),
        (0, "g 3! 3/0 3/0 G 2/0 1/0 0/1"),
        (1, "3! g G 3/0 2/0 1/0 0/1 ffff/1 g fffe/1 fffd/1"),
        (1, "3! g G 3/0 2/0 g 1/0 G 3/0 2/0 1/0 0/1"),
        (1, "2! g G 2/0 1/0 4! 0/1 ffff/1 fffe/1 g G 4/0 3/0"),
        (2, "3! 3/1 2/1 1/0 3/1 2/1 1/0 3/1"),
        (2, "3! 3/1 2/1 g 2/1 2/1 G 3/1 2/1 1/0 g 1/1 G 3/1"),
        (2, "4! 4/1 3/1 5! 2/1 1/0 5/1 4/1 3/1 2/1 1/0 5/1"),
        (6, "2! 2/1 1/0 2/1"),
        (3, "4! 4/1 2/1 4/0 2/0 4/1 2/1 4/0"),
        (3, "5! 4/1 2/1 0/1 4/0 2/0 4/1 2/1 0/1 4/0"),
        (3, "4! 4/1 2/1 4/0 g 4/1 4/1 G 4/1 2/1 4/0 2/0 4/1"),
        (7, "4! 4/1 6! 2/1 6/0 4/0 2/0 6/1 4/1 2/1 6/0"),
        (4, "3! 3/1 2/1 1/1 0/0 ffff/1 fffe/1"),
        (4, "g 3! 3/1 3/1 G 2/1 g 2/1 G 1/1 0/0 g 0/1 G ffff/1"),
        (4, "3! 3/1 2/1 1/1 2! 2/1 1/1 0/0 ffff/1"),
        (5, "3! g G 3/1 2/1 1/1 0/0 ffff/1 g G 3/1 2/1"),
        (5, "3! g G 3/1 2/1 g G 3/1 2/1 1/1 0/0 ffff/1"),
        (5, "3! g G 3/1 2/1 5! 1/1 0/0 ffff/1 g G 5/1"),
    ];
    for (mode, wave) in cases {
        let mut g = Guest::new();
        g.gate(true);
        g.write(CONTROL, 0xb0 | mode << 1);
        assert_eq!(g.port() >> 5 & 1 != 0, mode != 0, "OUT after the control word, mode {mode}");
        for (n, token) in wave.split(' ').enumerate() {
            if let Some(count) = token.strip_suffix('!') {
                g.write(COUNTER2, u8::from_str_radix(count, 16).unwrap());
                g.write(COUNTER2, 0);
            } else if token == "G" || token == "g" {
                g.gate(token == "G");
            } else {
                g.to(g.clock + 1);
                assert_eq!(format!("{:x}/{}", g.count(), g.port() >> 5 & 1), token, "mode {mode}: {wave}, token {n}");
                assert_eq!(g.b.output("out2", 0), g.port() >> 5 & 1 != 0);
            }
        }
    }
}

/// The datasheet's counter, clock by clock.
#[derive(Default)]
struct Reference {
    mode: u8,
    bcd: bool,
    gate: bool,
    count: u32,
    ce: i64,
    odd_clock: bool,
    out: bool,
    written: bool,
    loaded: bool,
    trigger: bool,
    load: bool,
    armed: bool,
}

impl Reference {
    fn control(&mut self, mode: u8, bcd: bool) {
        *self = Reference { mode, bcd, gate: self.gate, out: mode != 0, ..Reference::default() };
    }

    fn write(&mut self, count: u32) {
        self.count = if count == 0 { self.modulus() as u32 } else { count };
        self.written = true;
        if self.mode == 0 {
            self.out = false;
            self.armed = false;
        }
        self.load |= matches!(self.mode, 0 | 4) || matches!(self.mode, 2 | 3) && !self.loaded;
    }

    fn gate(&mut self, on: bool) {
        self.trigger |= on && !self.gate && self.written;
        self.gate = on;
        if !on && matches!(self.mode, 2 | 3) {
            self.out = true;
        }
    }

    fn modulus(&self) -> i64 {
        if self.bcd { 10_000 } else { 0x1_0000 }
    }

    fn reload(&mut self) {
        self.ce = i64::from(self.count);
        if self.mode == 3 {
            self.odd_clock = self.out && self.ce % 2 == 1;
            self.ce -= self.ce % 2;
        }
    }

    fn clock(&mut self) {
        let trigger = std::mem::take(&mut self.trigger) && matches!(self.mode, 1 | 2 | 3 | 5);
        if self.mode > 3 {
            self.out = true;
        }
        if std::mem::take(&mut self.load) || trigger {
            self.out = self.out && self.mode != 1;
            (self.loaded, self.armed) = (true, true);
            return self.reload();
        }
        if !self.loaded || !self.gate && !matches!(self.mode, 1 | 5) {
            return;
        }
        match self.mode {
            2 if self.ce == 1 => {
                self.out = true;
                self.reload();
            }
            2 => {
                self.ce -= 1;
                self.out = self.ce != 1;
            }
            3 if self.ce > 2 || self.ce == 2 && self.odd_clock => self.ce -= 2,
            3 => {
                self.out = !self.out;
                self.reload();
            }
            _ => {
                self.ce = (self.ce - 1).rem_euclid(self.modulus());
                if self.ce == 0 && std::mem::take(&mut self.armed) {
                    self.out = self.mode < 2;
                }
            }
        }
    }

    fn read(&self) -> u16 {
        let n = self.ce % self.modulus();
        if self.bcd { u16::from_str_radix(&n.to_string(), 16).unwrap() } else { n as u16 }
    }
}

#[test]
fn every_mode_counts_as_clock_by_clock() {
    for mode in 0..6 {
        for seed in 0..30 {
            let (mut rng, mut g, mut r) = (Rng::new(seed * 6 + u64::from(mode)), Guest::new(), Reference::default());
            let bcd = seed % 3 == 0;
            g.gate(true);
            r.gate(true);
            g.write(CONTROL, 0xb0 | mode << 1 | u8::from(bcd));
            r.control(mode, bcd);
            for _ in 0..80 {
                match rng.below(6) {
                    0 => {
                        let count = [2 + rng.below(6), 2 + rng.below(300), 0, 9990 + rng.below(9)][rng.below(4) as usize] as u32;
                        let written = if bcd { u16::from_str_radix(&count.to_string(), 16).unwrap() } else { count as u16 };
                        written.to_le_bytes().iter().for_each(|byte| g.write(COUNTER2, *byte));
                        r.write(count);
                    }
                    1 => {
                        let on = rng.below(3) != 0;
                        g.gate(on);
                        r.gate(on);
                    }
                    n => {
                        let clocks = if n == 2 { rng.below(20_000) } else { 1 + rng.below(8) };
                        g.to(g.clock + clocks);
                        (0..clocks).for_each(|_| r.clock());
                    }
                }
                if r.loaded {
                    assert_eq!((g.count(), g.port() >> 5 & 1 != 0), (r.read(), r.out), "mode {mode} seed {seed} clock {}", g.clock);
                }
            }
        }
    }
}

#[test]
fn latches_and_read_backs_hold_until_read() {
    let mut g = Guest::new();
    g.write(CONTROL, 0x34);
    [0x00, 0x10].iter().for_each(|byte| g.write(COUNTER0, *byte));
    assert_eq!(g.status(0), 0xf4, "OUT high, null count, both bytes, mode 2");
    g.to(1);
    assert_eq!(g.status(0), 0xb4);
    g.to(0x12);
    g.write(CONTROL, 0x00);
    g.to(0x30);
    g.write(CONTROL, 0x00);
    assert_eq!([g.read(0), g.read(0)], [0xef, 0x0f], "the first latch");
    assert_eq!([g.read(0), g.read(0)], [0xd1, 0x0f], "the count itself");
    g.write(CONTROL, 0xc2);
    g.to(0x40);
    assert_eq!([g.read(0), g.read(0), g.read(0)], [0xb4, 0xd1, 0x0f], "status, then count");
    [0x00, 0x20].iter().for_each(|byte| g.write(COUNTER0, *byte));
    assert_eq!(g.status(0), 0xf4, "not loaded before the period ends");
    g.to(0x1001);
    assert_eq!(g.status(0), 0xb4);
    g.write(CONTROL, 0x00);
    g.write(CONTROL, 0x14);
    g.write(COUNTER0, 9);
    g.to(0x1003);
    assert_eq!([g.read(0), g.read(0)], [8, 8], "low bytes only; the latch is gone");
    g.write(CONTROL, 0x20);
    g.write(COUNTER0, 9);
    g.to(0x1004);
    assert_eq!((g.read(0), g.status(0)), (9, 0x20), "high bytes only, mode 0");
    assert_eq!(g.read(CONTROL), 0xff);
}

#[test]
fn bytes_of_reads_and_writes_may_be_interleaved() {
    let mut g = Guest::new();
    g.write(CONTROL, 0x34);
    [0x34, 0x12].iter().for_each(|byte| g.write(COUNTER0, *byte));
    g.to(1);
    assert_eq!(g.read(0), 0x34);
    g.write(0, 0x78);
    assert_eq!(g.read(0), 0x12);
    g.write(0, 0x56);
    g.to(1 + 0x1234);
    assert_eq!([g.read(0), g.read(0)], [0x78, 0x56]);
}

#[test]
fn the_first_byte_of_a_count_stops_mode_0() {
    let mut g = Guest::new();
    g.write(CONTROL, 0x30);
    [9, 0].iter().for_each(|byte| g.write(COUNTER0, *byte));
    g.to(20);
    assert_eq!(g.status(0), 0xb0);
    g.write(COUNTER0, 5);
    assert_eq!(g.status(0), 0x30);
    g.to(1000);
    assert_eq!([g.read(0), g.read(0)], [0xf6, 0xff], "ten clocks after 0");
    assert_eq!(g.status(0), 0x30);
    g.write(COUNTER0, 0);
    g.to(1005);
    assert_eq!(g.status(0), 0x30);
    g.to(1006);
    assert_eq!(g.status(0), 0xb0);
}

#[test]
fn pins_change_by_themselves_at_their_clock() {
    // Control word, count, and the clocks at which OUT is then low and high, as the pin shows it.
    let cases: [(u8, u8, u64, u64); 3] = [(0x10, 100, 100, 101), (0x16, 100, 51, 101), (0x16, 101, 52, 102)];
    for (control, count, low, high) in cases {
        let mut g = Guest::new();
        g.write(CONTROL, control);
        g.write(COUNTER0, count);
        for clock in [low, high] {
            let before = time_of(clock).unwrap() - 1 - g.b.machine.clock().now();
            g.b.advance(before);
            let was = g.b.output("out0", 0);
            g.to(clock);
            let is = g.b.output("out0", 0);
            assert_eq!(is, clock == high, "{control:#x} {count} {clock}");
            assert_eq!(was, clock == low && control != 0x10, "{control:#x} {count} {clock}");
        }
    }
    for control in [0x14, 0x16] {
        let g = Guest::new();
        g.write(CONTROL, control);
        g.write(COUNTER0, 2);
        let mut alarms = 0;
        while let Some(at) = g.b.machine.next_alarm().filter(|at| *at < 1_000_000) {
            g.b.machine.clock().set(at);
            g.b.machine.run_alarms(at);
            alarms += 1;
        }
        assert!((40..=51).contains(&alarms), "{control:#x}: {alarms} alarms in a millisecond");
    }
    let mut g = Guest::new();
    for (control, count) in [(0x14, 1), (0x16, 1)] {
        g.write(CONTROL, control);
        g.write(COUNTER0, count);
        g.to(g.clock + 10);
        assert_eq!((g.b.machine.next_alarm(), g.b.machine.counters().guest_errors > 0), (None, true), "{control:#x}: a forbidden count");
    }
}

#[test]
fn the_port_has_gate_speaker_and_refresh() {
    let mut g = Guest::new();
    g.write(CONTROL, 0xb6);
    [100, 0].iter().for_each(|byte| g.write(COUNTER2, *byte));
    g.to(500);
    assert_eq!(g.port() & 0x20, 0x20, "the gate is low");
    g.b.write("control-b", 0, Width::B1, 0xff).unwrap();
    assert_eq!(g.port() & 0xef, 0x2f);
    assert!(g.b.output("speaker", 0));
    g.to(500 + 1 + 50);
    assert_eq!((g.port() & 0xef, g.b.output("speaker", 0), g.b.output("out2", 0)), (0x0f, false, false));
    g.b.write("control-b", 0, Width::B1, 1).unwrap();
    g.to(500 + 1 + 100);
    assert_eq!((g.port() & 0xef, g.b.output("speaker", 0), g.b.output("out2", 0)), (0x21, false, true));
    let toggles: Vec<u8> = (0..4)
        .map(|n| {
            g.to(720 + 18 * n);
            g.port() >> 4 & 1
        })
        .collect();
    assert_eq!(toggles, [0, 1, 0, 1]);
}
