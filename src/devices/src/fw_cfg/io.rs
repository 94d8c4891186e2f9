//! The firmware configuration device of personal computers, at I/O ports 510h to 51bh.
//!
//! Selector (16 bits, little-endian) and data (a byte) share two ports; the address of a DMA access
//! is 32-bit halves, big-endian, at 514h.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State, Width, Window, WindowDecl, registers,
};

use super::Store;

registers! {
    /// Ports 510h and 511h.
    CONTROL: u8;

    /// Number of the item.
    0 SELECTOR wo u16
    /// The next byte of the selected item.
    1 DATA ro
}

registers! {
    /// Ports 514h to 51bh.
    DMA: u32;

    /// Address of a DMA access structure, big-endian; reads "QEMU CFG".
    0 DMA_HIGH rw
    4 DMA_LOW rw
}

const CONTROL_WINDOW: Window = Window(0);

/// A firmware configuration device.
#[derive(State)]
struct FwCfgIo {
    store: Store,
}

impl Device for FwCfgIo {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        Ok(match (w, at) {
            (CONTROL_WINDOW, DATA) => self.store.read(Width::B1),
            (CONTROL_WINDOW, _) => {
                cx.guest_error(format_args!("read of the selector"));
                0
            }
            _ => self.store.read_dma(at, size),
        })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match (w, at, size) {
            (CONTROL_WINDOW, SELECTOR, Width::B2) => self.store.select(value as u16),
            (CONTROL_WINDOW, ..) => cx.guest_error(format_args!("write of {} bytes at port {at} of the selector", size.bytes())),
            _ => self.store.write_dma(cx, at, size, value),
        }
        Ok(())
    }
}

/// The firmware configuration device at I/O ports.
pub static FW_CFG_IO: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "items", kind: PropertyKind::Blobs, default: PropertyDefault::None, doc: "The items, given by the board" },
        PropertyDecl { name: "dma_enabled", kind: PropertyKind::Bool, default: PropertyDefault::Bool(true), doc: "Offer the DMA interface" },
    ],
    windows: &[WindowDecl::pio("control", 2, AccessRule::new(Width::B1, Width::B2)), WindowDecl::pio("dma", 8, AccessRule::ANY)],
    registers: &[CONTROL, DMA],
    ..DeviceType::new("fw-cfg-io", "QEMU firmware configuration (I/O ports)", |props: &Props| Ok(Box::new(FwCfgIo { store: Store::new(props)? })))
};

#[cfg(test)]
mod tests {
    use proteus_model::conformance::check;
    use proteus_model::ram::Region;
    use proteus_model::{CoreId, MachineBuilder};

    use super::super::Items;
    use super::*;

    const CORE: CoreId = CoreId(0);

    #[test]
    fn conforms() {
        check(&FW_CFG_IO).unwrap();
    }

    #[test]
    fn items_are_read_by_bytes_and_by_dma() {
        let mut b = MachineBuilder::new("m", 1);
        let ram = Region::new("ram", 0x1000).unwrap();
        b.ram(0, &ram);
        let (mut props, mut items) = (Props::new(&FW_CFG_IO), Items::new());
        items.file("etc/e820", vec![1, 2, 3]);
        props.set("items", items.value()).unwrap();
        let id = b.device(&FW_CFG_IO, "fw_cfg", props).unwrap();
        b.place(id, "control", 0x510).unwrap().place(id, "dma", 0x514).unwrap();
        let m = b.build().unwrap();
        let bytes = |key: u64, n: usize| -> Vec<u64> {
            m.pio_write(CORE, 0x510, Width::B2, key).unwrap();
            (0..n).map(|_| m.pio_read(CORE, 0x511, Width::B1).unwrap()).collect()
        };
        assert_eq!(bytes(0, 5), [0x51, 0x45, 0x4d, 0x55, 0]);
        assert_eq!((bytes(1, 4), bytes(0x20, 4)), (vec![3, 0, 0, 0], vec![1, 2, 3, 0]));
        assert_eq!(m.pio_read(CORE, 0x514, Width::B4), Ok(u32::from_le_bytes(*b"QEMU").into()));
        ram.write(0x100, &[0, 0x20, 0, 0x0a, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 2, 0]).unwrap();
        m.pio_write(CORE, 0x518, Width::B4, 0x100u32.swap_bytes().into()).unwrap();
        assert_eq!((ram.load(0x100, 4), ram.load(0x200, 4)), (Ok(0), Ok(0x0003_0201)));
        assert_eq!(m.counters().guest_errors, 0);
        let _ = (m.pio_write(CORE, 0x510, Width::B1, 1), m.pio_read(CORE, 0x510, Width::B1));
        assert_eq!(m.counters().guest_errors, 2);
    }
}
