use super::*;
use proteus_model::testing::Bench;

/// The pair with the operations that an operating system has on it.
struct Guest(Bench);

impl Guest {
    /// Initialized with vectors 0x20 and 0x28, ICW1 and ICW4 as given for both chips.
    fn with(first: u8, last: u8) -> Guest {
        let g = Guest(Bench::new(&I8259_PAIR, &[]));
        g.initialize("master", first, 0x20, 1 << CASCADE, last);
        g.initialize("slave", first, 0x28, CASCADE, last);
        g
    }

    fn new() -> Guest {
        Guest::with(0x11, icw4::UPM)
    }

    fn initialize(&self, chip: &str, first: u8, base: u8, cascade: u8, last: u8) {
        self.command(chip, first);
        for value in [base, cascade, last] {
            self.mask(chip, value);
        }
    }

    fn command(&self, chip: &str, value: u8) {
        self.0.write(chip, COMMAND, Width::B1, value.into()).unwrap();
    }

    fn mask(&self, chip: &str, value: u8) {
        self.0.write(chip, MASK, Width::B1, value.into()).unwrap();
    }

    fn read(&self, window: &str, at: u64) -> u8 {
        self.0.read(window, at, Width::B1).unwrap() as u8
    }

    fn irr(&self, chip: &str) -> u8 {
        self.command(chip, 0x0a);
        self.read(chip, STATUS)
    }

    fn isr(&self, chip: &str) -> u8 {
        self.command(chip, 0x0b);
        self.read(chip, STATUS)
    }

    fn raise(&self, irq: usize) {
        self.0.input("irq", irq, true);
    }

    fn lower(&self, irq: usize) {
        self.0.input("irq", irq, false);
    }

    fn pulse(&self, irq: usize) {
        self.lower(irq);
        self.raise(irq);
    }

    fn intr(&self) -> bool {
        self.0.output("intr", 0)
    }

    /// The vector, if there is an interrupt.
    fn take(&self) -> Option<u8> {
        self.intr().then(|| self.read("inta", INTA))
    }

    fn eoi(&self, chip: &str) {
        self.command(chip, 0x20);
    }
}

#[test]
fn a_request_is_acknowledged_and_ended_on_either_chip() {
    for irq in (0..16).filter(|n| *n != CASCADE as usize) {
        let g = Guest::new();
        let (chip, bit) = (["master", "slave"][irq / 8], 1 << (irq % 8));
        g.raise(irq);
        assert_eq!((g.irr(chip), g.isr(chip), g.intr()), (bit, 0, true), "{irq}");
        assert_eq!(g.take(), Some(0x20 + irq as u8));
        assert_eq!((g.irr(chip), g.isr(chip), g.intr()), (0, bit, false), "an edge counts once");
        assert_eq!(g.isr("master"), if irq < 8 { bit } else { 1 << CASCADE });
        g.eoi(chip);
        assert_eq!((g.isr(chip), g.intr()), (0, false));
        g.eoi("master");
        assert_eq!(g.isr("master"), 0);
        g.pulse(irq);
        assert_eq!(g.take(), Some(0x20 + irq as u8));
    }
}

#[test]
fn nothing_is_requested_before_the_last_initialization_word() {
    let g = Guest(Bench::new(&I8259_PAIR, &[]));
    g.mask("master", 0);
    g.raise(1);
    g.raise(0);
    assert!(!g.intr(), "as powered on");
    // ICW1, the words after it, and the vector of input 0 in the end.
    let cases: &[(u8, &[u8])] = &[(0x11, &[0x40, 4, 1]), (0x13, &[0x40, 1]), (0x10, &[0x40, 4]), (0x12, &[0x40])];
    for (first, words) in cases {
        g.command("master", *first);
        for word in *words {
            assert!(!g.intr(), "{first:#x}");
            g.mask("master", *word);
        }
        assert!(!g.intr(), "edges of before are forgotten");
        g.pulse(0);
        assert_eq!(g.take(), Some(0x40), "{first:#x}");
        g.mask("master", 0x5a);
        assert_eq!(g.read("master", MASK), 0x5a, "{first:#x}");
    }
}

#[test]
fn initialization_clears_what_the_datasheet_says() {
    let g = Guest::new();
    g.mask("master", 0xf0);
    g.raise(0);
    g.take();
    g.raise(1);
    g.command("master", 0xc3);
    g.command("master", 0x6b);
    g.initialize("master", 0x11, 0x20, 4, 1);
    assert_eq!((g.read("master", MASK), g.read("master", STATUS), g.isr("master")), (0, 0, 0));
    assert!(!g.intr());
    g.pulse(7);
    g.pulse(3);
    assert_eq!(g.take(), Some(0x23), "input 7 has the lowest priority again");
}

#[test]
fn higher_priorities_interrupt_and_lower_ones_wait() {
    let g = Guest::new();
    g.raise(4);
    assert_eq!(g.take(), Some(0x24));
    g.raise(6);
    g.raise(4);
    assert!(!g.intr());
    g.raise(1);
    assert_eq!(g.take(), Some(0x21));
    g.eoi("master");
    assert_eq!((g.isr("master"), g.intr()), (0x10, false));
    g.eoi("master");
    assert_eq!(g.take(), Some(0x26));
    g.raise(14);
    assert_eq!(g.take(), Some(0x2e), "the second chip is before inputs 3 to 7");
    g.pulse(15);
    assert!(!g.intr());
    g.raise(9);
    assert!(!g.intr(), "without SFNM the first chip holds it back");
    g.command("slave", 0x66);
    g.command("master", 0x62);
    assert_eq!(g.take(), Some(0x29));
}

#[test]
fn rotation_gives_the_last_one_the_lowest_priority() {
    // A command after input 3 was acknowledged, and the order in which inputs 2 to 5 come then.
    // Input 2 is the second chip's, so 1 stands for it.
    let cases: [(u8, [u8; 4]); 5] = [(0x20, [0, 1, 3, 5]), (0xa0, [5, 0, 1, 3]), (0xe3, [5, 0, 1, 3]), (0x63, [0, 1, 3, 5]), (0xe0, [1, 3, 5, 0])];
    for (command, order) in cases {
        let g = Guest::new();
        g.raise(3);
        g.take();
        g.command("master", command);
        g.command("master", 0x63);
        [0, 1, 3, 5].iter().for_each(|irq| g.pulse(*irq));
        let taken = order.map(|_| {
            let vector = g.take().unwrap();
            g.command("master", 0x60 | vector & 7);
            vector - 0x20
        });
        assert_eq!(taken, order, "{command:#x}");
    }
    let g = Guest::new();
    g.command("master", 0xc4);
    g.raise(4);
    g.raise(5);
    assert_eq!(g.take(), Some(0x25), "priority set by OCW2");
}

#[test]
fn automatic_ends_leave_nothing_in_service_and_may_rotate() {
    let g = Guest::with(0x11, icw4::UPM | icw4::AEOI);
    g.raise(3);
    g.raise(9);
    g.raise(11);
    assert_eq!([g.take(), g.take(), g.take(), g.take()], [Some(0x29), Some(0x2b), Some(0x23), None]);
    assert_eq!((g.isr("master"), g.isr("slave")), (0, 0));
    g.command("master", 0x80);
    for irq in [3, 4, 3] {
        g.pulse(3);
        g.pulse(4);
        assert_eq!(g.take(), Some(0x20 + irq));
    }
    g.command("master", 0);
    g.pulse(4);
    g.take();
    g.pulse(5);
    g.pulse(3);
    assert_eq!(g.take(), Some(0x24 + 1), "input 3 stays the lowest");
}

#[test]
fn special_mask_mode_lets_lower_priorities_through() {
    let g = Guest::new();
    g.raise(3);
    g.take();
    g.mask("master", 1 << 3);
    g.raise(6);
    assert!(!g.intr());
    g.command("master", 0x68);
    assert_eq!(g.take(), Some(0x26));
    g.eoi("master");
    assert_eq!(g.isr("master"), 1 << 3, "an end without a name spares what is masked");
    g.eoi("master");
    assert_eq!(g.isr("master"), 1 << 3);
    g.pulse(6);
    assert!(g.intr());
    g.command("master", 0x28);
    assert!(g.intr(), "SMM counts with ESMM only");
    g.command("master", 0x48);
    assert!(!g.intr());
    g.eoi("master");
    assert!(g.intr());
}

#[test]
fn special_fully_nested_mode_lets_a_slave_interrupt_itself() {
    let g = Guest(Bench::new(&I8259_PAIR, &[]));
    g.initialize("master", 0x11, 0x20, 4, icw4::UPM | icw4::SFNM);
    g.initialize("slave", 0x11, 0x28, 2, icw4::UPM);
    g.raise(12);
    assert_eq!(g.take(), Some(0x2c));
    g.raise(3);
    g.raise(13);
    assert!(!g.intr(), "lower ones on either chip");
    g.raise(8);
    assert_eq!(g.take(), Some(0x28));
    g.eoi("slave");
    assert_eq!(g.isr("slave"), 1 << 4);
    g.eoi("slave");
    assert_eq!(g.take(), Some(0x2d));
    g.eoi("slave");
    g.eoi("master");
    assert_eq!(g.take(), Some(0x23));
}

#[test]
fn a_poll_acknowledges_without_the_processor() {
    for port in [STATUS, MASK] {
        let g = Guest::new();
        g.mask("master", 0x40);
        g.command("master", 0x0c);
        assert_eq!(g.read("master", port), 0);
        assert_eq!(g.read("master", MASK), 0x40, "one read only");
        g.raise(5);
        g.raise(13);
        g.command("master", 0x0c);
        assert_eq!(g.read("master", port), 0x82);
        assert_eq!((g.isr("master"), g.isr("slave"), g.intr()), (4, 0, false));
        g.command("slave", 0x0c);
        assert_eq!(g.read("slave", port), 0x85);
        assert_eq!(g.isr("slave"), 1 << 5);
        g.eoi("master");
        assert_eq!(g.take(), Some(0x25), "the second chip's line has fallen");
    }
}

#[test]
fn what_does_not_wait_for_the_acknowledge_is_input_7() {
    let g = Guest::new();
    g.raise(4);
    assert!(g.intr());
    g.lower(4);
    assert_eq!((g.intr(), g.irr("master")), (false, 0));
    assert_eq!((g.read("inta", INTA), g.isr("master")), (0x27, 0));
    g.raise(12);
    g.lower(12);
    assert_eq!((g.read("inta", INTA), g.isr("master"), g.isr("slave")), (0x27, 0, 0));
    g.raise(7);
    assert_eq!((g.take(), g.isr("master")), (Some(0x27), 0x80), "a real one is in service");
}

#[test]
fn levels_request_for_as_long_as_they_stand() {
    // ICW1, ELCR of both chips, an input, and is it a level?
    let cases = [(0x11, [0x20, 0], 5, true), (0x11, [0x20, 0], 6, false), (0x11, [0, 0x08], 11, true), (0x19, [0, 0], 1, true), (0x19, [0, 0], 15, true)];
    for (first, elcr, irq, level) in cases {
        let g = Guest::with(first, icw4::UPM | icw4::AEOI);
        for (at, value) in elcr.into_iter().enumerate() {
            g.0.write("elcr", at as u64, Width::B1, value).unwrap();
        }
        g.raise(irq);
        let vector = Some(0x20 + irq as u8);
        assert_eq!([g.take(), g.take()], [vector, vector.filter(|_| level)], "{irq}");
        g.lower(irq);
        assert!(!g.intr());
    }
    let g = Guest::new();
    g.raise(5);
    g.take();
    g.eoi("master");
    assert!(!g.intr());
    g.0.write("elcr", ELCR1, Width::B2, 0xffff).unwrap();
    assert!(g.intr(), "an input that is high when it becomes a level");
    assert_eq!(g.0.read("elcr", ELCR1, Width::B2), Ok(0xdef8));
    assert_eq!(g.0.machine.counters().guest_errors, 2);
}

#[test]
fn a_mask_holds_back_but_keeps_the_request() {
    let g = Guest::new();
    g.mask("slave", 0x10);
    g.raise(12);
    assert_eq!((g.intr(), g.irr("slave")), (false, 0x10));
    g.mask("slave", 0);
    assert!(g.intr());
    g.mask("master", 4);
    assert!(!g.intr());
    g.mask("master", 0);
    assert_eq!(g.take(), Some(0x2c));
}

#[test]
fn a_second_chip_that_does_not_know_its_input_gives_no_vector() {
    let g = Guest::new();
    g.initialize("slave", 0x11, 0x28, 3, icw4::UPM);
    g.raise(9);
    assert_eq!((g.take(), g.0.machine.counters().guest_errors), (Some(0xff), 1));
    let g = Guest::new();
    g.initialize("master", 0x11, 0x20, 0, icw4::UPM);
    g.raise(9);
    assert_eq!(g.take(), Some(0x22), "nor does the first one ask a chip it does not know of");
}

#[test]
fn nothing_is_wired_to_the_input_of_the_cascade() {
    let g = Guest::new();
    g.raise(CASCADE.into());
    assert!(!g.intr());
    g.raise(9);
    g.command("master", 0x0c);
    assert_eq!(g.read("master", STATUS), 0x82);
    g.eoi("master");
    g.lower(CASCADE.into());
    assert!(!g.intr(), "the second chip's line has not moved");
}

#[test]
fn what_is_not_modelled_is_reported() {
    let g = Guest::with(0x11, 0);
    g.0.write("inta", INTA, Width::B1, 0).unwrap();
    g.command("master", 0x41);
    let c = g.0.machine.counters();
    assert_eq!((c.unimplemented, c.guest_errors), (2, 2));
}
