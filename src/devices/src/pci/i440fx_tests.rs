use proteus_model::conformance::check;
use proteus_model::{CoreId, Machine, MachineBuilder, Mapping};

use super::*;

const CORE: CoreId = CoreId(0);

static OTHER_HEADER: Header = Header::new(0x8086, 0x7000, 0, 0x06_0100);

/// A function with nothing but configuration space, and a register at port cf9h.
#[derive(State)]
struct Other {
    function: Function,
    latch: u8,
}

impl Device for Other {
    fn read(&mut self, _: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        Ok(if w.0 == 1 { self.latch.into() } else { self.function.read(at, size) })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match w.0 {
            1 => self.latch = value as u8,
            _ => self.function.write(cx, at, size, value),
        }
        Ok(())
    }
}

static OTHER_TYPE: DeviceType = DeviceType {
    windows: &[WindowDecl::pci_config(), WindowDecl::pio("port", 1, AccessRule::BYTE)],
    ..DeviceType::new("other", "A function", |_| Ok(Box::new(Other { function: Function::new(&OTHER_HEADER), latch: 0 })))
};

/// The bridge, another function as device 1, and a ROM that ends at 1 MiB.
fn machine() -> Arc<Machine> {
    let mut b = MachineBuilder::new("test", 1);
    let bridge = b.device(&I440FX, "bridge", Props::new(&I440FX)).unwrap();
    b.place(bridge, "config", 0).unwrap().place(bridge, "address", 0xcf8).unwrap().place(bridge, "data", 0xcfc).unwrap();
    let other = b.device(&OTHER_TYPE, "other", Props::new(&OTHER_TYPE)).unwrap();
    b.place(other, "config", 1 << 15).unwrap().place(other, "port", 0x1_0000_0cf9).unwrap();
    let rom = Region::new("rom", 0x2_0000).unwrap();
    rom.fill(0, 0x2_0000, 0x99).unwrap();
    b.rom(0xe_0000, &rom);
    b.build().unwrap()
}

fn config(m: &Machine, at: u64, size: Width) -> u64 {
    m.pio_write(CORE, 0xcf8, Width::B4, 0x8000_0000 | at & !3).unwrap();
    m.pio_read(CORE, 0xcfc + (at & 3), size).unwrap()
}

fn set_config(m: &Machine, at: u64, size: Width, value: u64) {
    m.pio_write(CORE, 0xcf8, Width::B4, 0x8000_0000 | at & !3).unwrap();
    m.pio_write(CORE, 0xcfc + (at & 3), size, value).unwrap();
}

#[test]
fn conforms() {
    check(&I440FX).unwrap();
}

#[test]
fn configuration_cycles_reach_functions_and_their_bytes() {
    let m = machine();
    assert_eq!((config(&m, 0, Width::B4), config(&m, 8, Width::B4)), (0x1237_8086, 0x0600_0002));
    assert_eq!((config(&m, 0x800, Width::B4), config(&m, 0x802, Width::B2), config(&m, 0x803, Width::B1)), (0x7000_8086, 0x7000, 0x70));
    set_config(&m, 0x83c, Width::B1, 0x0b);
    assert_eq!(config(&m, 0x83c, Width::B4), 0x0b);
    assert_eq!(m.pio_read(CORE, 0xcf8, Width::B4), Ok(0x8000_083c));
    // Reserved bits of the address are not kept.
    m.pio_write(CORE, 0xcf8, Width::B4, 0xffff_ffff).unwrap();
    assert_eq!(m.pio_read(CORE, 0xcf8, Width::B4), Ok(0x80ff_fffc));
}

#[test]
fn a_cycle_for_nobody_reads_ones_and_is_a_master_abort() {
    let m = machine();
    assert_eq!((config(&m, 0x1000, Width::B2), config(&m, 0x06, Width::B2)), (0xffff, 0x2280));
    set_config(&m, 0x07, Width::B1, 0x20);
    assert_eq!(config(&m, 0x06, Width::B2), 0x0280);
    m.pio_write(CORE, 0xcf8, Width::B4, 0x1000).unwrap();
    assert_eq!((m.pio_read(CORE, 0xcfc, Width::B4), config(&m, 0x06, Width::B2)), (Ok(0xffff_ffff), 0x0280), "not enabled, no cycle");
}

#[test]
fn narrow_accesses_of_the_address_are_somebody_elses() {
    let m = machine();
    m.pio_write(CORE, 0xcf9, Width::B1, 6).unwrap();
    assert_eq!((m.pio_read(CORE, 0xcf9, Width::B1), m.pio_read(CORE, 0xcf8, Width::B4)), (Ok(6), Ok(0)));
    assert_eq!(m.pio_read(CORE, 0xcf8, Width::B1), Err(BusFault::Unmapped));
}

/// Register and bits of each segment, as table 3 of the data sheet has them.
#[test]
fn segments_open_and_close() {
    for n in 0..SEGMENTS {
        let m = machine();
        let (at, shift) = if n == 12 { (0x59, 4) } else { (0x5a + n as u64 / 2, 4 * (n as u64 % 2)) };
        let first = 0xc_0000 + 0x4000 * n as u64;
        let last = if n == 12 { 0xf_ffff } else { first + 0x3fff };
        let closed = if first < 0xe_0000 { Err(BusFault::Unmapped) } else { Ok(0x99) };
        let byte = |at: u64| m.read(CORE, at, Width::B1);
        assert_eq!((byte(first), byte(last)), (closed, closed), "{n}");
        set_config(&m, at, Width::B1, 3 << shift);
        assert!(matches!(m.space().find(last), Some(Mapping::Ram { read_only: false, .. })));
        m.write(CORE, first, Width::B1, 0x12).unwrap();
        m.write(CORE, last, Width::B1, 0x34).unwrap();
        set_config(&m, at, Width::B1, 1 << shift);
        m.write(CORE, first, Width::B1, 0x56).unwrap();
        assert_eq!((byte(first), byte(last)), (Ok(0x12), Ok(0x34)), "{n}: writes go elsewhere");
        assert!(byte(first - 1) != Ok(0x12) && byte(last + 1) != Ok(0x34));
        let saved = m.save();
        m.reset(Reset::Warm);
        assert_eq!((byte(first), byte(last)), (closed, closed), "{n}");
        m.load(&saved).unwrap();
        assert_eq!((byte(first), byte(last)), (Ok(0x12), Ok(0x34)), "{n}");
        set_config(&m, at, Width::B1, 0);
        assert_eq!(byte(first), closed);
        assert_eq!(m.counters().unimplemented, 0);
    }
}

#[test]
fn what_is_not_modelled_is_reported() {
    for (at, value) in [(SMRAM, 0x4a), (PAM, 0x02), (DRAMC, 0x41)] {
        let m = machine();
        set_config(&m, at, Width::B1, value);
        assert!(m.counters().unimplemented > 0, "{at:#x}");
    }
}
