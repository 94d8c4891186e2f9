use super::*;
use proteus_model::HostEventKind;
use proteus_model::testing::Bench;

/// 2024-02-28 23:59:58 UTC, a Wednesday.
const EVENING: u64 = 1_709_164_798;

/// The wall clock stands at so many seconds and 0.25 s; nothing has happened yet.
fn bench_at(seconds: u64) -> Bench {
    let b = Bench::new(&MC146818RTC, &[]);
    b.deliver(HostEventKind::WallClock { base: seconds * SECOND + SECOND / 4 });
    read(&b, C);
    b
}

fn bench() -> Bench {
    bench_at(EVENING)
}

fn read(b: &Bench, at: u64) -> u8 {
    b.write("regs", INDEX, Width::B1, at).unwrap();
    b.read("regs", DATA, Width::B1).unwrap() as u8
}

fn write(b: &Bench, at: u64, value: u8) {
    b.write("regs", INDEX, Width::B1, at).unwrap();
    b.write("regs", DATA, Width::B1, value.into()).unwrap();
}

/// Century, year, month, date, weekday, hours, minutes, seconds.
const TIME: [u64; 8] = [0x32, YEAR, MONTH, DATE, WEEKDAY, HOURS, MINUTES, SECONDS];

fn time(b: &Bench) -> [u8; 8] {
    TIME.map(|at| read(b, at))
}

fn irq(b: &Bench) -> bool {
    b.output("irq", 0)
}

#[test]
fn it_shows_the_wall_clock_in_every_form() {
    // Seconds, B, and the time.
    let cases = [
        (EVENING, 0x02, [0x20, 0x24, 0x02, 0x28, 4, 0x23, 0x59, 0x58]),
        (EVENING, 0x06, [20, 24, 2, 28, 4, 23, 59, 58]),
        (EVENING, 0x00, [0x20, 0x24, 0x02, 0x28, 4, 0x91, 0x59, 0x58]),
        (EVENING, 0x04, [20, 24, 2, 28, 4, 0x8b, 59, 58]),
        (EVENING + 2, 0x00, [0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x00, 0x00]),
        (EVENING + 2 + 43_200, 0x00, [0x20, 0x24, 0x02, 0x29, 5, 0x92, 0x00, 0x00]),
        (0, 0x02, [0x19, 0x70, 0x01, 0x01, 5, 0, 0, 0]),
        (4_102_444_799, 0x02, [0x20, 0x99, 0x12, 0x31, 5, 0x23, 0x59, 0x59]),
    ];
    for (seconds, b_register, expected) in cases {
        let b = bench_at(seconds);
        write(&b, B, b_register);
        assert_eq!(time(&b), expected, "{seconds} {b_register:#x}");
    }
    let b = bench();
    b.advance(2 * SECOND - SECOND / 4 - 1);
    assert_eq!(read(&b, SECONDS), 0x59);
    b.advance(1);
    assert_eq!(time(&b), [0x20, 0x24, 0x02, 0x29, 5, 0, 0, 0], "a leap day");
}

#[test]
fn days_and_dates_agree_over_centuries() {
    let (mut year, mut month, mut date) = (1600, 1, 1);
    for days in -135_140..400_000 {
        let d = Calendar::of(days);
        assert_eq!((d.year, d.month, d.date, d.days()), (year, month, date, days));
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
        date += 1;
        if date > length {
            (date, month) = (1, month + 1);
        }
        if month > 12 {
            (month, year) = (1, year + 1);
        }
    }
}

#[test]
fn a_time_that_is_set_goes_on_from_there_and_outlives_a_reset() {
    let b = bench();
    write(&b, B, 0x92);
    assert_eq!(read(&b, B), 0x82, "SET takes back UIE");
    let held = time(&b);
    b.advance(10 * SECOND);
    assert_eq!((time(&b), read(&b, A)), (held, 0x26), "the time stands");
    let set = [0x19, 0x99, 0x12, 0x31, 3, 0x23, 0x59, 0x57];
    TIME.iter().zip(set).for_each(|(at, value)| write(&b, *at, value));
    write(&b, B, 0x02);
    assert_eq!(time(&b), set);
    b.advance(SECOND * 3 / 4);
    assert_eq!(read(&b, SECONDS), 0x58, "the divider went on");
    b.machine.reset(Reset::Warm);
    b.advance(2 * SECOND);
    assert_eq!(time(&b), [0x20, 0x00, 0x01, 0x01, 4, 0, 0, 0]);
    write(&b, HOURS, 0x12);
    assert_eq!(time(&b), [0x20, 0x00, 0x01, 0x01, 4, 0x12, 0, 0], "without SET too");
    write(&b, WEEKDAY, 1);
    b.advance(86_400 * SECOND);
    assert_eq!(time(&b), [0x20, 0x00, 0x01, 0x02, 2, 0x12, 0, 0], "any day may be Sunday");
}

#[test]
fn a_divider_that_was_held_updates_after_half_a_second() {
    for hold in [0x66, 0x76] {
        let b = bench();
        write(&b, A, hold);
        b.advance(5 * SECOND);
        assert_eq!((read(&b, SECONDS), read(&b, C)), (0x58, 0));
        write(&b, SECONDS, 0x10);
        write(&b, A, 0x26);
        b.advance(SECOND / 2 - 1);
        assert_eq!(read(&b, SECONDS), 0x10);
        b.advance(1);
        assert_eq!(read(&b, SECONDS), 0x11);
        b.advance(SECOND);
        assert_eq!(read(&b, SECONDS), 0x12);
    }
}

#[test]
fn uip_tells_of_an_update_before_it_comes() {
    let b = bench();
    b.advance(SECOND * 3 / 4 - UPDATE - 1);
    assert_eq!(read(&b, A), 0x26);
    b.advance(1);
    assert_eq!((read(&b, A), read(&b, SECONDS)), (0xa6, 0x58));
    b.advance(UPDATE - 1);
    assert_eq!((read(&b, A), read(&b, C)), (0xa6, PERIODIC));
    b.advance(1);
    assert_eq!((read(&b, A), read(&b, C), read(&b, SECONDS)), (0x26, UPDATED | PERIODIC, 0x59));
    write(&b, A, 0xaf);
    assert_eq!(read(&b, A), 0x2f, "read-only");
}

#[test]
fn periodic_interrupts_come_at_every_rate() {
    for rs in 0..16 {
        let b = bench();
        write(&b, A, 0x20 | rs);
        b.advance(SECOND * 3 / 4);
        read(&b, C);
        write(&b, B, 0x42);
        let rate = [0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2][usize::from(rs)];
        let mut count = 0;
        let (begin, end) = (b.machine.clock().now(), b.machine.clock().now() + SECOND);
        while let Some(at) = b.machine.next_alarm().filter(|at| *at <= end) {
            b.advance(at - b.machine.clock().now());
            count += 1;
            assert_eq!((irq(&b), at - begin), (true, (count * SECOND).div_ceil(rate)), "{rs}");
            assert_eq!(read(&b, C) & 0xc0, 0xc0);
            assert!(!irq(&b));
        }
        assert_eq!(count, rate, "{rs}");
    }
}

#[test]
fn updates_interrupt_once_until_c_is_read() {
    let b = bench();
    write(&b, B, 0x12);
    b.advance(SECOND * 3 / 4 - 1);
    assert!(!irq(&b));
    b.advance(1);
    assert!(irq(&b));
    assert_eq!(b.machine.next_alarm(), None, "it stands");
    b.advance(3 * SECOND);
    assert_eq!((read(&b, C) & 0x9f, irq(&b), read(&b, C) & 0x9f), (0x90, false, 0));
    b.advance(SECOND);
    assert!(irq(&b));
    b.machine.reset(Reset::Warm);
    assert_eq!((irq(&b), read(&b, B), read(&b, C)), (false, 0x02, 0));
}

#[test]
fn the_alarm_comes_at_every_time_that_it_names() {
    // Hours, minutes and seconds of the alarm, with the clock at 23:59:58.25; B; seconds to it.
    let cases = [
        (0x23, 0x59, 0x59, 0x22, Some(1)),
        (0x23, 0x59, 0x58, 0x22, Some(86_400)),
        (0x00, 0x00, 0x00, 0x22, Some(2)),
        (0xff, 0xc0, 0x30, 0x22, Some(32)),
        (0xff, 0x30, 0x00, 0x22, Some(1802)),
        (0xff, 0x30, 0xff, 0x22, Some(1802)),
        (0x23, 0xff, 0x10, 0x22, Some(82_812)),
        (0xff, 0xff, 0xff, 0x22, Some(1)),
        (0x92, 0x30, 0x05, 0x20, Some(45_007)),
        (0x12, 0x30, 0x05, 0x20, Some(1807)),
        (22, 15, 7, 0x26, Some(80_109)),
        (0x24, 0x00, 0x00, 0x22, None),
        (0x00, 0x00, 0x60, 0x22, None),
    ];
    for (h, m, s, b_register, to) in cases {
        let b = bench();
        [(HOURS_ALARM, h), (MINUTES_ALARM, m), (SECONDS_ALARM, s), (B, b_register)].iter().for_each(|(at, v)| write(&b, *at, *v));
        let expected = to.map(|to| to * SECOND - SECOND / 4);
        assert_eq!(b.machine.next_alarm(), expected, "{h:x}:{m:x}:{s:x}");
        let Some(expected) = expected else { continue };
        b.advance(expected);
        assert!(irq(&b));
        assert_eq!(read(&b, C) & 0xa0, 0xa0, "{h:x}:{m:x}:{s:x}");
    }
    let b = bench();
    [(HOURS_ALARM, 0xff), (MINUTES_ALARM, 0xff), (SECONDS_ALARM, 5)].iter().for_each(|(at, v)| write(&b, *at, *v));
    b.advance(6 * SECOND);
    assert_eq!(read(&b, C) & ALARMED, 0);
    b.advance(2 * SECOND);
    assert_eq!((read(&b, C) & ALARMED, irq(&b)), (ALARMED, false), "the flag does not ask for the enable");
}

#[test]
fn memory_and_identity_are_what_they_should() {
    let b = bench();
    let memory: Vec<u64> = (0x0e..0x80).filter(|at| *at != 0x32).collect();
    memory.iter().for_each(|at| write(&b, *at, *at as u8 ^ 0x5a));
    b.machine.reset(Reset::Warm);
    memory.iter().for_each(|at| assert_eq!(read(&b, *at), *at as u8 ^ 0x5a));
    assert_eq!((read(&b, 0x80 | D), b.read("regs", INDEX, Width::B1)), (0x80, Ok(0xff)));
    let b = Bench::new(&MC146818RTC, &[("century", "0")]);
    write(&b, 0x32, 0x77);
    assert_eq!(read(&b, 0x32), 0x77);
    let props = Props::with(&MC146818RTC, &[("century", "9")]).unwrap();
    assert!((MC146818RTC.new)(&props).is_err());
}

#[test]
fn what_is_not_modelled_is_reported() {
    let b = bench();
    for (at, value) in [(A, 0x06), (B, 0x0b), (C, 0), (D, 0)] {
        write(&b, at, value);
    }
    let c = b.machine.counters();
    assert_eq!((c.unimplemented, c.guest_errors), (3, 2));
}

#[test]
fn memory_has_what_the_board_puts_there() {
    let b = Bench::new(&MC146818RTC, &[("contents", "10=0:5f=3:7f=ff")]);
    for (at, value) in [(0x10, 0), (0x5f, 3), (0x7f, 0xff), (0x60, 0)] {
        b.write("regs", INDEX, Width::B1, at).unwrap();
        assert_eq!(b.read("regs", DATA, Width::B1), Ok(value), "{at:#x}");
    }
    for bad in ["10", "0a=1", "80=1", "10=100", "10=1:x"] {
        let props = Props::with(&MC146818RTC, &[("contents", bad)]).unwrap();
        assert!((MC146818RTC.new)(&props).is_err_and(|e| e.to_string().contains("NUMBER=VALUE")), "{bad}");
    }
}
