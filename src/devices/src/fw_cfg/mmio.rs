//! The memory-mapped firmware configuration device of Arm, RISC-V and LoongArch boards.
//!
//! Data at 0 (any width, bytes in order), selector at 8 and DMA address at 16 (both big-endian).

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, FdtHook, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State, Width, Window, WindowDecl,
    registers,
};

use super::Store;

registers! {
    /// Registers of the memory-mapped interface.
    pub REGISTERS: u32;

    /// The next bytes of the selected item, 1, 2, 4 or 8 of them.
    0x00 DATA rw u64
    /// Number of the item, big-endian.
    0x08 SELECTOR wo u16
    /// Address of a DMA access structure, big-endian; reads "QEMU CFG".
    0x10 DMA_HIGH rw
    0x14 DMA_LOW rw
}

/// A firmware configuration device.
#[derive(State)]
struct FwCfgMmio {
    store: Store,
}

impl Device for FwCfgMmio {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        Ok(match at {
            DATA..SELECTOR => self.store.read(size),
            DMA_HIGH.. => self.store.read_dma(at - DMA_HIGH, size),
            _ => {
                cx.guest_error(format_args!("read of the selector"));
                0
            }
        })
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match (at, size) {
            (SELECTOR, Width::B2) => self.store.select((value as u16).swap_bytes()),
            (DMA_HIGH.., _) => self.store.write_dma(cx, at - DMA_HIGH, size, value),
            _ => cx.guest_error(format_args!("write of {} bytes at {at:#x}", size.bytes())),
        }
        Ok(())
    }
}

const fn property(name: &'static str, kind: PropertyKind, default: PropertyDefault, doc: &'static str) -> PropertyDecl {
    PropertyDecl { name, kind, default, doc }
}

/// The memory-mapped firmware configuration device.
pub static FW_CFG_MMIO: DeviceType = DeviceType {
    properties: &[
        property("items", PropertyKind::Blobs, PropertyDefault::None, "The items, given by the board"),
        property("dma_enabled", PropertyKind::Bool, PropertyDefault::Bool(true), "Offer the DMA interface"),
    ],
    windows: &[WindowDecl::mmio("regs", 0x18, AccessRule::ANY)],
    registers: &[REGISTERS],
    fdt: Some(FdtHook {
        node: "fw-cfg",
        build: |placed, node| {
            node.prop_str("compatible", "qemu,fw-cfg-mmio");
            placed.reg(node);
            node.prop_empty("dma-coherent");
        },
    }),
    ..DeviceType::new("fw-cfg-mmio", "QEMU firmware configuration (memory-mapped)", |props: &Props| Ok(Box::new(FwCfgMmio { store: Store::new(props)? })))
};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proteus_model::conformance::check;
    use proteus_model::ram::Region;
    use proteus_model::{CoreId, Machine, MachineBuilder, PropError};

    use super::super::{Items, key};
    use super::*;

    const BASE: u64 = 0x902_0000;
    const RAM: u64 = 0x4000_0000;

    struct Rig {
        machine: Arc<Machine>,
        ram: Arc<Region>,
    }

    fn rig(items: Items) -> Rig {
        let ram = Region::new("ram", 0x1_0000).unwrap();
        let mut b = MachineBuilder::new("m", 1);
        b.ram(RAM, &ram);
        let mut props = Props::new(&FW_CFG_MMIO);
        props.set("items", items.value()).unwrap();
        let id = b.device(&FW_CFG_MMIO, "fw_cfg", props).unwrap();
        b.place(id, "regs", BASE).unwrap();
        Rig { machine: b.build().unwrap(), ram }
    }

    impl Rig {
        fn r(&self, at: u64, width: Width) -> u64 {
            self.machine.read(CoreId(0), BASE + at, width).unwrap()
        }
        fn w(&self, at: u64, width: Width, value: u64) {
            self.machine.write(CoreId(0), BASE + at, width, value).unwrap();
        }
        fn bytes(&self, key: u16, n: usize) -> Vec<u8> {
            self.w(SELECTOR, Width::B2, key.swap_bytes().into());
            (0..n).map(|_| self.r(DATA, Width::B1) as u8).collect()
        }
        /// Runs a DMA access in two halves; gives the control word left behind.
        fn dma(&self, control: u32, len: u32, to: u64) -> u32 {
            let access = [&control.to_be_bytes()[..], &len.to_be_bytes(), &to.to_be_bytes()].concat();
            self.ram.write(0x100, &access).unwrap();
            let address = (RAM + 0x100).swap_bytes();
            self.w(DMA_HIGH, Width::B4, address & 0xffff_ffff);
            self.w(DMA_LOW, Width::B4, address >> 32);
            u32::from_be(self.ram.load(0x100, 4).unwrap() as u32)
        }
        fn ram(&self, at: u64, n: usize) -> Vec<u8> {
            let mut bytes = vec![0; n];
            self.ram.read(at, &mut bytes).unwrap();
            bytes
        }
    }

    fn items() -> Items {
        let mut items = Items::new();
        items.file("opt/b", "second").file("etc/a", vec![1, 2, 3]).file("opt/b", "beta").item(key::NB_CPUS, 4u16.to_le_bytes());
        items
    }

    #[test]
    fn conforms() {
        check(&FW_CFG_MMIO).unwrap();
    }

    #[test]
    fn items_and_files_are_found() {
        let r = rig(items());
        assert_eq!(r.bytes(0, 6), b"QEMU\0\0");
        assert_eq!(r.bytes(1, 4), [3, 0, 0, 0]);
        assert_eq!(r.bytes(key::NB_CPUS, 2), [4, 0]);
        assert_eq!(r.bytes(0x777, 2), [0, 0]);
        let directory = r.bytes(0x19, 4 + 2 * 64);
        assert_eq!(directory[..4], [0, 0, 0, 2]);
        assert_eq!((&directory[4..12], &directory[12..18]), (&[0, 0, 0, 3, 0, 0x20, 0, 0][..], &b"etc/a\0"[..]));
        assert_eq!((&directory[68..76], &directory[76..82]), (&[0, 0, 0, 4, 0, 0x21, 0, 0][..], &b"opt/b\0"[..]));
        assert_eq!(r.bytes(0x21, 4), b"beta");
        // Wide reads keep the order of the bytes; the old bit for writing changes nothing.
        r.w(SELECTOR, Width::B2, 0x4021u16.swap_bytes().into());
        assert_eq!(r.r(DATA, Width::B8).to_le_bytes(), *b"beta\0\0\0\0");
    }

    #[test]
    fn dma_reads_and_skips() {
        let r = rig(items());
        assert_eq!(r.r(DMA_HIGH, Width::B8).to_le_bytes(), *b"QEMU CFG");
        assert_eq!((r.r(DMA_HIGH, Width::B4) as u32).to_le_bytes(), *b"QEMU");
        r.ram.fill(0x200, 0x20, 0xee).unwrap();
        assert_eq!(r.dma(0x21 << 16 | 8 | 2, 6, RAM + 0x200), 0);
        assert_eq!(r.ram(0x200, 7), b"beta\0\0\xee");
        assert_eq!(r.dma(0x21 << 16 | 8 | 4, 2, 0), 0);
        assert_eq!(r.dma(2, 2, RAM + 0x200), 0);
        assert_eq!(r.ram(0x200, 2), b"ta");
        for (control, to) in [(0x21 << 16 | 8 | 16, RAM), (0x21 << 16 | 8 | 2, 0x10), (0x21 << 16 | 8 | 2, u64::MAX - 1)] {
            assert_eq!(r.dma(control, 4, to), 1, "{control:#x}");
        }
        let address = (RAM + 0x100).swap_bytes();
        r.ram.write(0x100, &[0, 0x21, 0, 8 | 2, 0, 0, 0, 4, 0, 0, 0, 0, 0x40, 0, 2, 0]).unwrap();
        r.w(DMA_HIGH, Width::B8, address);
        assert_eq!(r.ram(0x200, 4), b"beta");
    }

    #[test]
    fn bad_items_are_refused() {
        let refused = |items: Items| -> Option<PropError> {
            let mut props = Props::new(&FW_CFG_MMIO);
            props.set("items", items.value()).unwrap();
            (FW_CFG_MMIO.new)(&props).err()
        };
        for (name, want) in [("", "1 to 55"), ("#x", "none that"), ("#0x0", "none that"), ("#0x20", "none that"), (&"n".repeat(56), "1 to 55")] {
            let mut items = Items::new();
            items.file(name, vec![]);
            assert!(refused(items).is_some_and(|e| e.to_string().contains(want)), "{name}");
        }
        let text = Props::new(&FW_CFG_MMIO).set_text("items", "a").unwrap_err().to_string();
        assert!(text.contains("the board sets it"), "{text}");
    }
}
