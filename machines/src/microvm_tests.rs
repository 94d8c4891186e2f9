//! What the board `microvm` has been compared with: the documentation of QEMU's board of this name.

use std::sync::Arc;

use parking_lot::Mutex;
use proteus_devices::REGISTRY;
use proteus_model::testing::MemoryImage;
use proteus_model::{CoreId, Machine, Props, SystemRequest, Width};

use crate::*;

const CORE: CoreId = CoreId(0);
const MIB: u64 = 1 << 20;
const IO_APIC: u64 = 0xfec0_0000;

/// A machine with firmware and a disk.
fn build(properties: &[(&str, &str)]) -> BuiltBoard {
    let cpu = Cpu { model: "qemu64".into(), architecture: Architecture::X86_64, compatible: String::new(), pmu: false };
    let mut c = BoardConfig::new(cpu, 2, 64 * MIB);
    c.firmware = Some(Firmware { name: "fw".into(), bytes: vec![0; 64 << 10] });
    c.properties = properties.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let ty = REGISTRY.iter().copied().find(|ty| ty.name == "virtio-blk-device").unwrap();
    c.devices.push(PlugIn {
        ty,
        id: Some("disk".into()),
        bus: None,
        nic: false,
        props: Props::with(ty, &[("drive", "disk")]).unwrap(),
        backends: vec![("drive".into(), Backend::Block(Arc::new(MemoryImage::new(vec![0; 512], false))))],
    });
    (find("microvm").unwrap().build)(c).map_err(|e| e.to_string()).unwrap()
}

/// The messages that the I/O APIC sends when each of its inputs is an edge with its number as vector.
fn messages(m: &Machine) -> Arc<Mutex<Vec<u32>>> {
    let sent = Arc::new(Mutex::new(vec![]));
    let to = sent.clone();
    m.set_message_sink(Box::new(move |_, data| to.lock().push(data & 0xff)));
    for input in 0..24u64 {
        m.write(CORE, IO_APIC, Width::B4, 0x10 + 2 * input).unwrap();
        m.write(CORE, IO_APIC + 0x10, Width::B4, 0x40 + input).unwrap();
    }
    sent
}

#[test]
fn the_power_button_reset_and_soft_off_are_those_of_the_event_device() {
    let board = build(&[]);
    let m = &board.machine;
    let sent = messages(m);
    assert!(board.system_powerdown());
    m.deliver_events();
    assert_eq!(*sent.lock(), [0x40 + 9]);
    assert_eq!(m.read(CORE, 0xfea0_0000, Width::B4), Ok(2));
    for (at, value, request) in [(0xfea0_0202, 0x42, SystemRequest::Reset), (0xfea0_0200, 5 << 2 | 1 << 5, SystemRequest::PowerOff)] {
        m.write(CORE, at, Width::B1, value).unwrap();
        assert_eq!(m.take_request(), Some(request));
    }
    assert!(!build(&[("acpi", "off")]).system_powerdown());
}

/// The disk is in the last slot. It answers a request that it does not know.
#[test]
fn slots_have_interrupts_behind_those_of_the_isa_bus_where_acpi_tells_of_them() {
    for (acpi, irq) in [("on", 23), ("auto", 23), ("off", 12)] {
        let board = build(&[("acpi", acpi)]);
        let m = &board.machine;
        let sent = messages(m);
        let slot = |at: u64| 0xfeb0_0e00 + at;
        assert_eq!((m.read(CORE, slot(0), Width::B4), m.read(CORE, slot(8), Width::B4)), (Ok(0x7472_6976), Ok(2)));
        let (queue, header, status) = (0x1_0000u64, 0x2_0000u64, 0x3_0000u64);
        // Descriptors: a header that is followed by a byte for the status; available: the first.
        let descriptor =
            |at: u64, len: u32, flags: u16, next: u16| [&at.to_le_bytes()[..], &len.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()].concat();
        m.poke(queue, &[descriptor(header, 16, 1, 1), descriptor(status, 1, 2, 0)].concat()).unwrap();
        m.poke(queue + 8 * 16, &[0, 0, 1, 0, 0, 0]).unwrap();
        m.poke(header, &[99; 16]).unwrap();
        // Driver there; queue 0 with 8 descriptors in pages of 4 KiB; driver ready; notify.
        for (at, value) in [(0x70, 3), (0x28, 0x1000), (0x30, 0), (0x38, 8), (0x3c, 0x1000), (0x40, queue >> 12), (0x70, 7), (0x50, 0)] {
            m.write(CORE, slot(at), Width::B4, value).unwrap();
        }
        assert_eq!(*sent.lock(), [0x40 + irq], "acpi={acpi}");
    }
}

/// What firmware finds in the configuration device.
#[test]
fn firmware_gets_the_tables_unless_there_are_none() {
    for (acpi, there) in [("on", true), ("off", false)] {
        let board = build(&[("acpi", acpi)]);
        let m = &board.machine;
        m.pio_write(CORE, 0x510, Width::B2, 0x19).unwrap();
        let directory: Vec<u8> = (0..4 + 64 * 8).map(|_| m.pio_read(CORE, 0x511, Width::B1).unwrap() as u8).collect();
        let names = String::from_utf8_lossy(&directory);
        assert!(names.contains("etc/e820"));
        for name in ["etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader"] {
            assert_eq!(names.contains(name), there, "{name} with acpi={acpi}");
        }
    }
}
