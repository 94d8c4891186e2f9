//! Tests of MSI-X, as a function on a bus has it.

use proteus_model::conformance::check;
use proteus_model::testing::{Bench, MESSAGES, RAM_BASE};
use proteus_model::{AccessRule, BusFault, Device, DeviceType, Services, State, Width, Window, WindowDecl};

use super::*;

const VECTORS: u16 = 35;
const WINDOW: WindowDecl = WindowDecl::mmio("msix", msix_window_len(VECTORS as u64), AccessRule::WORD);
/// The capability, and the pending bits in the window.
const CAP: u64 = 0x40;
const CONTROL: u64 = CAP + 2;
const PENDING: u64 = 0x800;
const ENABLE: u64 = 1 << 15;
const MASK: u64 = 1 << 14;

static HEADER: Header = Header { interrupt_pin: 1, ..Header::new(0x1022, 0x2000, 0, 0x02_0000) };

/// A function that asks for the vectors whose numbers are written behind its configuration header,
/// and drives its pin always.
#[derive(State)]
struct Toy {
    function: Function,
}

const ASK: u64 = 0x80;

impl Device for Toy {
    fn read(&mut self, _: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        Ok(if w == Window(0) { self.function.read(at, size) } else { self.function.read_msix(at) })
    }
    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match (w, at) {
            (Window(0), ASK) => self.function.raise(value as u16),
            (Window(0), _) => self.function.write(cx, at, size, value),
            _ => self.function.write_msix(cx, at, value),
        }
        Ok(())
    }
    fn settle(&mut self, cx: &mut dyn Services) {
        self.function.settle(cx);
        self.function.drive_intx(cx, 0, true);
    }
}

static TOY: DeviceType = DeviceType {
    windows: &[CONFIG, WINDOW],
    outputs: &[INTX],
    ..DeviceType::new("toy", "PCI function for tests", |_| {
        let mut function = Function::new(&HEADER);
        function.add_msix(1, Window(1), VECTORS);
        Ok(Box::new(Toy { function }))
    })
};

/// A function whose vectors have addresses and data of their own, and are not masked.
fn bench() -> Bench {
    let b = Bench::new(&TOY, &[]);
    b.enable_pci();
    b.write("config", CONTROL, Width::B2, ENABLE).unwrap();
    for n in 0..u64::from(VECTORS) {
        let (address, data) = message(n);
        b.write("msix", 16 * n, Width::B8, address).unwrap();
        b.write("msix", 16 * n + 8, Width::B8, data.into()).unwrap();
    }
    b
}

fn message(n: u64) -> (u64, u32) {
    (MESSAGES.start + 0x1000 * n, 0x4100 + n as u32)
}

fn ask(b: &Bench, vector: u64) {
    b.write("config", ASK, Width::B2, vector).unwrap();
}

#[test]
fn conforms() {
    check(&TOY).unwrap();
}

#[test]
fn the_capability_tells_of_the_table() {
    let b = Bench::new(&TOY, &[]);
    b.enable_pci();
    assert_eq!(b.read32("config", 0x34) & 0xff, CAP as u32);
    assert_eq!(b.read32("config", CAP), (u32::from(VECTORS) - 1) << 16 | 0x11);
    assert_eq!([4, 8].map(|at| b.read32("config", CAP + at)), [1, PENDING as u32 | 1]);
    // Only the two control bits can be written.
    for at in [0, 4, 8] {
        b.write32("config", CAP + at, u32::MAX);
    }
    assert_eq!(b.read32("config", CAP), (0xc000 | (u32::from(VECTORS) - 1)) << 16 | 0x11);
    assert_eq!([4, 8].map(|at| b.read32("config", CAP + at)), [1, PENDING as u32 | 1]);
    // After a reset all are masked.
    assert!((0..u64::from(VECTORS)).all(|n| b.read32("msix", 16 * n + 12) == 1));
    for (vectors, len) in [(1, 0x1000), (128, 0x1000), (129, 0x2000), (2048, 0x1_0000)] {
        assert_eq!(msix_window_len(vectors), len, "{vectors}");
    }
}

#[test]
fn a_vector_is_its_message() {
    let b = bench();
    for n in [0, 1, 34] {
        ask(&b, n);
        assert_eq!(b.messages(), [message(n)]);
    }
    // What is not there is none.
    ask(&b, VECTORS.into());
    assert_eq!((b.messages(), b.machine.counters().guest_errors), (vec![], 0));
    // Messages are words.
    b.write32("msix", 0, 0xfee0_0007);
    assert_eq!(b.read32("msix", 0), 0xfee0_0004);
    // The upper half counts.
    b.write32("msix", 4, 1);
    ask(&b, 0);
    assert_eq!((b.messages(), b.machine.counters().guest_errors), (vec![], 1));
    // An address of memory is a store there.
    b.write("msix", 0, Width::B8, RAM_BASE + 8).unwrap();
    ask(&b, 0);
    assert_eq!(b.ram.load(8, 4), Ok(0x4100));
}

/// A message waits as a pending bit while anything masks it, and is sent once.
#[test]
fn what_is_masked_is_pending_until_it_is_not() {
    type Set = fn(&Bench, bool);
    let masks: [(&str, Set); 3] = [
        ("vector", |b, on| b.write32("msix", 16 * 33 + 12, on.into())),
        ("function", |b, on| b.write("config", CONTROL, Width::B2, ENABLE | if on { MASK } else { 0 }).unwrap()),
        ("no bus master", |b, on| b.write("config", 4, Width::B2, if on { 3 } else { 7 }).unwrap()),
    ];
    for (name, mask) in masks {
        let b = bench();
        mask(&b, true);
        ask(&b, 33);
        ask(&b, 33);
        assert_eq!(b.messages(), [], "{name}");
        assert_eq!([0, 4].map(|at| b.read32("msix", PENDING + at)), [0, 2], "{name}");
        let saved = b.machine.save();
        mask(&b, false);
        assert_eq!((b.messages(), b.read32("msix", PENDING + 4)), (vec![message(33)], 0), "{name}");
        mask(&b, true);
        mask(&b, false);
        assert_eq!(b.messages(), [], "{name}");
        // A snapshot remembers.
        b.machine.load(&saved).unwrap();
        mask(&b, false);
        assert_eq!(b.messages(), [message(33)], "{name}");
    }
}

#[test]
fn others_are_sent_while_one_is_masked() {
    let b = bench();
    b.write32("msix", 16 * 2 + 12, 1);
    ask(&b, 2);
    ask(&b, 3);
    assert_eq!((b.messages(), b.read32("msix", PENDING)), (vec![message(3)], 4));
    b.write32("msix", PENDING, 0);
    assert_eq!((b.read32("msix", PENDING), b.machine.counters().guest_errors), (4, 1), "pending bits are read-only");
    b.write32("msix", 16 * 2 + 12, 0);
    assert_eq!(b.messages(), [message(2)]);
}

#[test]
fn the_pin_is_silent_while_messages_are_enabled() {
    let b = Bench::new(&TOY, &[]);
    b.enable_pci();
    let seen = || (b.output("intx", 0), b.read32("config", 4) >> 19 & 1);
    assert_eq!(seen(), (true, 1));
    b.write("config", CONTROL, Width::B2, ENABLE).unwrap();
    assert_eq!(seen(), (false, 0));
    // Masked messages are messages too.
    b.write("config", CONTROL, Width::B2, ENABLE | MASK).unwrap();
    assert_eq!(seen(), (false, 0));
    b.write("config", CONTROL, Width::B2, 0).unwrap();
    assert_eq!(seen(), (true, 1));
}
