//! The parts of a south bridge together, as boards have them: timer, clock, serial port and PCI
//! interrupts through the pair of interrupt controllers to a core's line.

use std::sync::Arc;

use proteus_devices::REGISTRY;
use proteus_model::{CoreId, DeviceId, DeviceType, Line, Machine, MachineBuilder, Props, Width};

/// Where the acknowledge cycle is: beyond all ports that a guest reaches.
const INTA: u64 = 0x1_0000;

fn ty(name: &str) -> &'static DeviceType {
    REGISTRY.iter().find(|ty| ty.name == name).unwrap()
}

struct Board {
    m: Arc<Machine>,
    bridge: DeviceId,
}

impl Board {
    fn new() -> Board {
        let mut b = MachineBuilder::new("board", 1);
        let mut add = |name: &str, windows: &[(&str, u64)]| {
            let id = b.device(ty(name), name, Props::new(ty(name))).unwrap();
            for (window, at) in windows {
                b.place(id, window, *at).unwrap();
            }
            id
        };
        let pic = add("i8259-pair", &[("master", 0x20), ("slave", 0xa0), ("elcr", 0x4d0), ("inta", INTA)]);
        let pit = add("i8254", &[("regs", 0x40), ("control-b", 0x61)]);
        let rtc = add("mc146818rtc", &[("regs", 0x70)]);
        let uart = add("isa-serial", &[("regs", 0x3f8)]);
        let bridge = add("piix4-isa", &[("config", 0x5000), ("rcr", 0xcf9), ("port92", 0x92)]);
        for (from, pin, irq) in [(pit, "out0", 0), (uart, "irq", 4), (rtc, "irq", 8)] {
            b.wire(from, (pin, 0), pic, ("irq", irq)).unwrap();
        }
        for irq in 0..16 {
            b.wire(bridge, ("irq", irq), pic, ("irq", irq)).unwrap();
        }
        b.wire_core(pic, ("intr", 0), CoreId(0), Line::IRQ).unwrap();
        let board = Board { m: b.build().unwrap(), bridge };
        for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0xa0, 0x11), (0xa1, 0x28), (0xa1, 2), (0xa1, 1)] {
            board.out(port, value);
        }
        board
    }

    fn out(&self, port: u64, value: u64) {
        self.m.pio_write(CoreId(0), port, Width::B1, value).unwrap();
    }

    fn get(&self, port: u64) -> u64 {
        self.m.pio_read(CoreId(0), port, Width::B1).unwrap()
    }

    /// The vector of an interrupt, which is acknowledged and ended.
    fn take(&self) -> Option<u64> {
        self.m.core_lines(CoreId(0)).unwrap().level(Line::IRQ).then(|| {
            let vector = self.get(INTA);
            if vector >= 0x28 {
                self.out(0xa0, 0x20);
            }
            self.out(0x20, 0x20);
            vector
        })
    }

    /// Lets time pass to each alarm, or in these steps, and gives the vectors taken after each.
    fn vectors(&self, ns: u64, step: Option<u64>) -> Vec<u64> {
        let clock = self.m.clock();
        let end = clock.now() + ns;
        let mut taken = vec![];
        while clock.now() < end {
            let next = step.map(|step| clock.now() + step).or(self.m.next_alarm()).unwrap_or(end);
            clock.set(next.min(end));
            self.m.run_alarms(clock.now());
            taken.extend(std::iter::from_fn(|| self.take()));
        }
        taken
    }
}

#[test]
fn the_timer_interrupts_at_its_rate_even_if_late() {
    // Control word, count, length of the steps if time passes in steps, interrupts in a second.
    let cases = [
        (0x34, 11_932, None, 99),
        (0x36, 11_932, None, 99),
        (0x34, 11_932, Some(3_333_333), 99),
        (0x36, 11_932, Some(3_333_333), 99),
        (0x34, 1193, Some(10_000_000), 100),
        (0x36, 1193, Some(10_000_000), 100),
        (0x30, 50_000, None, 1),
        (0x38, 50_000, Some(1_000_000), 1),
    ];
    for (control, count, step, expected) in cases {
        let b = Board::new();
        b.out(0x43, control);
        b.out(0x40, count & 0xff);
        b.out(0x40, count >> 8);
        // A control word may raise OUT itself.
        b.take();
        assert_eq!(b.vectors(1_000_000_000, step), vec![0x20; expected], "{control:#x} {count} {step:?}");
    }
}

#[test]
fn clock_serial_port_and_pci_reach_their_inputs() {
    let b = Board::new();
    b.out(0x70, 0x0b);
    b.out(0x71, 0x12);
    let mut seconds = 0;
    for _ in 0..3 {
        seconds += b.vectors(1_000_000_000, None).iter().filter(|v| **v == 0x28).count();
        b.out(0x70, 0x0c);
        assert_eq!(b.get(0x71) & 0x90, 0x90);
    }
    assert_eq!(seconds, 3);
    b.out(0x3f9, 2);
    assert_eq!(b.take(), Some(0x24));
    assert_eq!((b.get(0x3fa), b.take()), (0x02, None));
    b.m.bus_write(CoreId(0), proteus_model::Bus::PciConfig, 0x5060, Width::B1, 11).unwrap();
    b.out(0x4d1, 0x08);
    let pin = b.m.input_pin(b.bridge, "pirq", 0).unwrap();
    b.m.drive_input(b.bridge, pin, true);
    assert_eq!((b.take(), b.take()), (Some(0x2b), Some(0x2b)), "a level");
    b.m.drive_input(b.bridge, pin, false);
    assert_eq!(b.take(), None);
}
