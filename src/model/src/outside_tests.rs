//! Tests of what those do who execute a machine's cores: doorbells and lines that end outside.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::*;

const BASE: u64 = 0x1_0000;
const PORTS: u64 = 0x60;
const CORE: CoreId = CoreId(0);

/// Remembers its writes: window, offset, value and who made them. Its pin is the lowest bit of the last
/// value; a write to the last register moves the window.
#[derive(Debug, Default, State)]
struct Toy {
    #[state(max = 8)]
    writes: Vec<(u64, u64)>,
    by_core: u64,
    last: u64,
}

const MOVE: u64 = 0xff8;

impl Device for Toy {
    fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        Ok(self.writes.len() as u64)
    }
    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        if at == MOVE {
            return cx.move_window(Window(0), (value != 0).then_some(value));
        }
        self.by_core += u64::from(cx.requester().is_some());
        self.writes.push((w.0 as u64 * 0x1000 + at, value));
        self.last = value;
        Ok(())
    }
    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(0, self.last & 1 != 0);
    }
    fn doorbells(&self) -> Vec<Doorbell> {
        let bell = |w, at, value, exact| Doorbell { window: Window(w), at, width: Width::B4, value, exact };
        vec![bell(0, 0x10, 5, false), bell(1, 4, 9, true)]
    }
}

static TOY: DeviceType = DeviceType {
    windows: &[WindowDecl::mmio("regs", 0x1000, AccessRule::ANY), WindowDecl::pio("ports", 8, AccessRule::ANY)],
    outputs: &[PinDecl::one("irq")],
    ..DeviceType::new("toy", "Bells", |_| Ok(Box::<Toy>::default()))
};

/// Two of them, whose pins are wires of line 3.
fn machine() -> Arc<Machine> {
    let mut b = MachineBuilder::new("test", 1);
    for (n, name) in ["a", "b"].into_iter().enumerate() {
        let id = b.device(&TOY, name, Props::new(&TOY)).unwrap();
        b.place(id, "regs", BASE + 0x1000 * n as u64).unwrap().place(id, "ports", PORTS + 8 * n as u64).unwrap();
        b.wire_outside(id, ("irq", 0), 3).unwrap();
    }
    b.build().unwrap()
}

#[test]
fn doorbells_are_where_their_windows_are() {
    let m = machine();
    let seen = || m.doorbells().into_iter().filter(|b| b.device == DeviceId(0)).map(|b| (b.number, b.bus, b.at)).collect::<Vec<_>>();
    assert_eq!(seen(), [(0, Bus::Memory, BASE + 0x10), (1, Bus::Pio, PORTS + 4)]);
    m.write(CORE, BASE + MOVE, Width::B8, 0x5_0000).unwrap();
    assert_eq!(seen(), [(0, Bus::Memory, 0x5_0010), (1, Bus::Pio, PORTS + 4)]);
    m.write(CORE, 0x5_0000 + MOVE, Width::B8, 0).unwrap();
    assert_eq!(seen(), [(1, Bus::Pio, PORTS + 4)]);
}

#[test]
fn a_doorbell_is_a_write_that_no_core_makes() {
    let m = machine();
    let writes = || m.inspect();
    let before = writes();
    m.ring(DeviceId(0), 1);
    m.ring(DeviceId(0), 0);
    assert_ne!(writes(), before);
    let twin = machine();
    twin.load(&m.save()).unwrap();
    assert_eq!(twin.read(CORE, BASE, Width::B4), Ok(2));
    // What is not there is nothing.
    m.ring(DeviceId(0), 2);
    m.ring(DeviceId(7), 0);
    assert_eq!((m.read(CORE, BASE, Width::B4), m.counters().writes), (Ok(2), 2));
    let event = HostEvent { device: DeviceId(1), kind: HostEventKind::Doorbell { number: 1 } };
    let mut log = crate::state::Writer::new();
    event.save(&mut log);
    let log = log.finish();
    assert_eq!(HostEvent::load(&mut crate::state::Reader::new("log", &log)).unwrap(), event);
}

#[test]
fn what_was_rung_is_saved_and_does_not_outlive_a_reset() {
    let m = machine();
    let rung = Arc::new(Mutex::new(1));
    let left = rung.clone();
    m.set_doorbell_collector(move |m| (0..std::mem::take(&mut *left.lock())).for_each(|_| m.ring(DeviceId(0), 0)));
    let saved = m.save();
    assert_eq!(m.read(CORE, BASE, Width::B4), Ok(1));
    *rung.lock() = 2;
    m.reset(Reset::Warm);
    assert_eq!((m.read(CORE, BASE, Width::B4), *rung.lock()), (Ok(0), 0));
    *rung.lock() = 3;
    m.load(&saved).unwrap();
    assert_eq!((m.read(CORE, BASE, Width::B4), *rung.lock()), (Ok(1), 0));
}

#[test]
fn a_line_outside_is_high_while_any_wire_is() {
    let m = machine();
    let told = Arc::new(Mutex::new(vec![]));
    let take = || std::mem::take(&mut *told.lock());
    let set = |device: u64, level: u64| m.write(CORE, BASE + 0x1000 * device, Width::B4, level).unwrap();
    set(1, 1);
    let to = told.clone();
    m.set_line_sink(Box::new(move |line, level| to.lock().push((line, level))));
    assert_eq!(take(), [(3, true)], "what is high already");
    set(0, 1);
    set(1, 0);
    assert_eq!(take(), []);
    let saved = m.save();
    set(0, 0);
    assert_eq!(take(), [(3, false)]);
    m.load(&saved).unwrap();
    assert_eq!(take(), [(3, true)], "a snapshot has it high");
    m.repeat_lines();
    assert_eq!(take(), [(3, true)]);
    m.reset(Reset::Warm);
    assert_eq!(take(), [(3, false)]);
    m.repeat_lines();
    assert_eq!(take(), []);
}
