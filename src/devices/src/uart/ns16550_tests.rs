use super::*;
use proteus_model::testing::Bench;

/// Enabled FIFOs with a trigger of 8, 8 bits, no parity, one stop bit, a divisor of 1, RTS and DTR.
fn bench() -> Bench {
    let b = Bench::new(&ISA_SERIAL, &[]);
    for (at, value) in [(LCR, 0x83), (DLL, 1), (DLM, 0), (LCR, 3), (FCR, 0x81), (MCR, 0x0b)] {
        write(&b, at, value);
    }
    b
}

fn write(b: &Bench, at: u64, value: u8) {
    b.write("regs", at, Width::B1, value.into()).unwrap();
}

fn read(b: &Bench, at: u64) -> u8 {
    b.read("regs", at, Width::B1).unwrap() as u8
}

fn irq(b: &Bench) -> bool {
    b.output("irq", 0)
}

#[test]
fn reset_values_are_the_datasheets() {
    let b = Bench::new(&ISA_SERIAL, &[]);
    for r in REGISTERS.iter().filter(|r| r.name != "MSR" && r.access != proteus_model::RegAccess::WriteOnly) {
        assert_eq!(u64::from(read(&b, r.offset)), r.reset, "{}", r.name);
    }
    assert_eq!(read(&b, MSR), 0xb0, "all modem inputs are there but the ring");
}

/// What an operating system's driver tries to find out which UART it has.
#[test]
fn a_driver_finds_a_16550a() {
    let b = Bench::new(&ISA_SERIAL, &[]);
    // Interrupt enable has four bits, and nothing in its place with 0xbf in LCR.
    for (written, found) in [(0, 0), (0xff, 0x0f), (0x40, 0), (0, 0)] {
        write(&b, IER, written);
        assert_eq!(read(&b, IER), found);
    }
    write(&b, MCR, 0x1a);
    assert_eq!(read(&b, MSR) & 0xf0, 0x90);
    write(&b, MCR, 0);
    assert_eq!(read(&b, IIR) >> 6, 0, "no FIFOs");
    write(&b, FCR, 0xe1);
    assert_eq!(read(&b, IIR), 0xc1);
    write(&b, LCR, 0xbf);
    assert_ne!(read(&b, IIR), 0, "no enhanced features register");
    write(&b, LCR, 0xe0);
    write(&b, FCR, 0x21);
    assert_eq!(read(&b, IIR) >> 5, 6, "no FIFOs of 64 bytes");
    write(&b, LCR, 0);
    write(&b, SCR, 0x5a);
    assert_eq!((read(&b, SCR), read(&b, MCR)), (0x5a, 0));
    write(&b, FCR, 0);
    assert_eq!(read(&b, IIR), 0x01);
}

#[test]
fn the_divisor_is_behind_dlab() {
    let b = bench();
    write(&b, IER, 5);
    write(&b, LCR, 0x83);
    write(&b, DLL, 0x34);
    write(&b, DLM, 0x12);
    assert_eq!((read(&b, DLL), read(&b, DLM)), (0x34, 0x12));
    write(&b, LCR, 3);
    assert_eq!((read(&b, IER), b.sent("chardev")), (5, vec![]));
}

#[test]
fn bytes_go_out_at_once_even_if_never_set_up() {
    let b = Bench::new(&ISA_SERIAL, &[]);
    for byte in *b"hello" {
        assert_eq!(read(&b, LSR), 0x60);
        write(&b, THR, byte);
    }
    assert_eq!(b.sent("chardev"), b"hello");
}

#[test]
fn a_slow_host_fills_the_transmitter_and_loses_nothing() {
    for (fcr, depth) in [(0x81, 16), (0, 1)] {
        let b = bench();
        write(&b, FCR, fcr);
        write(&b, IER, 2);
        read(&b, IIR);
        b.set_room("chardev", Some(3));
        (0..3 + depth).for_each(|n| write(&b, THR, n));
        assert_eq!((read(&b, LSR), irq(&b)), (0, false));
        b.set_room("chardev", Some(usize::from(depth) - 1));
        assert_eq!((read(&b, LSR), irq(&b)), (0, false));
        b.set_room("chardev", None);
        assert_eq!((read(&b, LSR), irq(&b)), (0x60, true));
        assert_eq!(b.sent("chardev"), (0..3 + depth).collect::<Vec<u8>>());
        assert_eq!(b.machine.counters().guest_errors, 0);
    }
}

#[test]
fn the_transmitter_interrupt_is_cleared_by_its_cause_or_by_data() {
    let b = bench();
    write(&b, IER, 2);
    assert!(irq(&b), "enabling it with an empty transmitter");
    assert_eq!([read(&b, IIR), read(&b, IIR)], [0xc2, 0xc1]);
    assert!(!irq(&b));
    write(&b, IER, 2);
    assert!(!irq(&b), "it was enabled already");
    write(&b, IER, 0);
    write(&b, IER, 2);
    assert!(irq(&b));
    read(&b, IIR);
    write(&b, THR, b'x');
    assert!(irq(&b), "empty again");
    b.set_room("chardev", Some(0));
    write(&b, THR, b'y');
    assert!(!irq(&b));
    write(&b, IER, 0);
    write(&b, IER, 2);
    assert!(!irq(&b), "enabling it with a byte in the transmitter");
    b.set_room("chardev", None);
    assert!(irq(&b));
    // A cause of higher priority is told first, and that does not clear this one.
    write(&b, IER, 3);
    b.bytes("chardev", &[b'z'; 8]);
    assert_eq!(read(&b, IIR), 0xc4);
    (0..8).for_each(|_| assert_eq!(read(&b, RBR), b'z'));
    assert_eq!([read(&b, IIR), read(&b, IIR)], [0xc2, 0xc1]);
}

#[test]
fn the_data_interrupt_follows_the_trigger_level() {
    for (select, level) in [(0x01, 1), (0x41, 4), (0x81, 8), (0xc1, 14), (0x00, 1)] {
        let b = bench();
        write(&b, FCR, select);
        write(&b, IER, 1);
        b.bytes("chardev", &vec![b'x'; level - 1]);
        assert!(!irq(&b), "{select:#x}");
        b.bytes("chardev", b"y");
        assert!(irq(&b), "{select:#x}");
        assert_eq!(read(&b, IIR) & 0x0f, 4);
        assert_eq!((read(&b, LSR), read(&b, RBR)), (0x61, if level == 1 { b'y' } else { b'x' }));
        assert!(!irq(&b), "{select:#x}");
    }
}

#[test]
fn a_few_bytes_raise_the_timeout_after_four_characters() {
    // LCR and the bits of a character, doubled.
    for (lcr, half_bits) in [(0x03, 20), (0x07, 22), (0x0f, 24), (0x00, 14), (0x04, 15)] {
        let b = bench();
        write(&b, LCR, lcr);
        write(&b, IER, 1);
        b.bytes("chardev", b"ab");
        let timeout = (4 * half_bits * 1_000_000_000u64).div_ceil(2 * 115_200);
        b.advance(timeout - 1);
        assert!(!irq(&b), "{lcr:#x}");
        b.advance(1);
        assert!(irq(&b), "{lcr:#x}");
        assert_eq!(read(&b, IIR), 0xcc);
        assert_eq!(read(&b, RBR), b'a');
        assert!(!irq(&b), "a read begins it anew");
        b.advance(timeout);
        assert!(irq(&b));
        assert_eq!(read(&b, RBR), b'b');
        assert_eq!((irq(&b), b.machine.next_alarm()), (false, None));
    }
    let b = bench();
    write(&b, FCR, 0);
    b.bytes("chardev", b"a");
    assert_eq!(b.machine.next_alarm(), None, "there is none without FIFOs");
}

#[test]
fn input_waits_outside_while_there_is_no_room() {
    let text: Vec<u8> = (0..100).collect();
    for fcr in [0, 0x81] {
        let b = bench();
        write(&b, FCR, fcr);
        b.bytes("chardev", &text);
        let mut got = vec![];
        while read(&b, LSR) & 1 != 0 {
            got.push(read(&b, RBR));
        }
        assert_eq!(got, text);
    }
}

#[test]
fn input_waits_outside_while_rts_is_low() {
    let b = Bench::new(&ISA_SERIAL, &[]);
    b.bytes("chardev", b"a");
    assert_eq!((read(&b, LSR), read(&b, RBR)), (0x61, b'a'), "a program that does not know of MCR");
    write(&b, MCR, 0x01);
    b.bytes("chardev", b"bc");
    assert_eq!(read(&b, LSR), 0x60);
    write(&b, FCR, 0x07);
    write(&b, MCR, 0x03);
    assert_eq!([read(&b, RBR), read(&b, RBR), read(&b, LSR)], [b'b', b'c', 0x60]);
}

#[test]
fn loopback_returns_bytes_and_modem_lines_and_overruns() {
    let b = bench();
    write(&b, IER, 4);
    write(&b, MCR, 0x12);
    read(&b, MSR);
    (0..16).for_each(|n| write(&b, THR, n));
    assert_eq!((read(&b, LSR), irq(&b)), (0x61, false));
    write(&b, THR, 16);
    assert!(irq(&b));
    assert_eq!((read(&b, IIR), b.sent("chardev")), (0xc6, vec![]));
    assert_eq!([read(&b, LSR), read(&b, LSR)], [0x63, 0x61]);
    assert!(!irq(&b));
    (0..16).for_each(|n| assert_eq!(read(&b, RBR), n));
    // Five bits a character, without FIFOs: the later byte stays.
    write(&b, FCR, 0);
    write(&b, LCR, 0);
    write(&b, THR, 0xff);
    write(&b, THR, 0xfe);
    assert_eq!((read(&b, LSR), read(&b, RBR)), (0x63, 0x1e));
    // MCR, and MSR after it.
    read(&b, MSR);
    for (mcr, msr) in [(0x12, 0x10), (0x10, 0x01), (0x11, 0x22), (0x14, 0x42), (0x10, 0x04), (0x18, 0x88), (0x00, 0xb3), (0x00, 0xb0)] {
        write(&b, MCR, mcr);
        assert_eq!(read(&b, MSR), msr, "MCR {mcr:#x}");
    }
    write(&b, IER, 8);
    write(&b, MCR, 0x10);
    assert_eq!((irq(&b), read(&b, IIR)), (true, 0x00));
    read(&b, MSR);
    assert!(!irq(&b));
}

#[test]
fn fifo_control_empties_what_it_says() {
    // FCR, and what is left: received, and unsent.
    for (fcr, left) in [(0x81, (true, true)), (0x83, (false, true)), (0x85, (true, false)), (0x80, (false, false)), (0x87, (false, false))] {
        let b = bench();
        b.set_room("chardev", Some(0));
        b.bytes("chardev", b"in");
        write(&b, THR, b'o');
        write(&b, FCR, fcr);
        assert_eq!((read(&b, LSR) & 1 != 0, read(&b, LSR) & 0x20 == 0), left, "{fcr:#x}");
        b.set_room("chardev", None);
        assert_eq!(b.sent("chardev").len(), usize::from(left.1));
    }
}

#[test]
fn what_was_written_goes_out_before_a_reset() {
    let b = bench();
    b.set_room("chardev", Some(0));
    write(&b, THR, b'x');
    b.set_room("chardev", None);
    write(&b, THR, b'y');
    b.machine.reset(Reset::Warm);
    assert_eq!(b.sent("chardev"), b"xy");
    assert_eq!((read(&b, MCR), read(&b, LSR)), (0, 0x60));
}

#[test]
fn registers_in_memory_answer_at_any_width() {
    for stride in 0..4 {
        let b = Bench::new(&SERIAL_MM, &[("stride", &stride.to_string()), ("baudbase", "230400")]);
        for width in Width::ALL.into_iter().filter(|w| w.bytes() <= 1 << stride) {
            b.write("regs", SCR << stride, width, 0xffff_ff00 & width.mask() | 0x42).unwrap();
            for at in (0..1 << stride).step_by(width.bytes() as usize) {
                assert_eq!(b.read("regs", (SCR << stride) + at, width), Ok(0x42), "{stride} {width:?} {at}");
            }
        }
        assert!(b.read("regs", 8 << stride, Width::B1).is_err());
    }
    let b = Bench::new(&SERIAL_MM, &[("stride", "3"), ("big-endian", "on")]);
    for width in Width::ALL {
        b.write("regs", SCR << 3, width, 0x42 << (width.bits() - 8) | if width == Width::B1 { 0 } else { 1 }).unwrap();
        assert_eq!(b.read("regs", SCR << 3, width), Ok(0x42 << (width.bits() - 8)), "{width:?}");
    }
    for (name, value) in [("stride", "13"), ("baudbase", "0")] {
        let props = Props::with(&SERIAL_MM, &[(name, value)]).unwrap();
        assert!((SERIAL_MM.new)(&props).is_err(), "{name}={value}");
    }
}

#[test]
fn what_is_not_modelled_is_reported() {
    let b = bench();
    let before = b.machine.counters();
    write(&b, FCR, 0x89);
    write(&b, LCR, 0x43);
    write(&b, LSR, 0);
    write(&b, MSR, 0);
    let after = b.machine.counters();
    assert_eq!((after.unimplemented - before.unimplemented, after.guest_errors - before.guest_errors), (2, 2));
}
