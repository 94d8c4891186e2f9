//! A stand-in for a part that is not modelled: its window reads as zero, ignores writes, and
//! every access is reported by the part's name.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State, Width, Window, WindowDecl,
    WindowKind, WindowSize,
};

#[derive(State)]
#[state(version = 1)]
struct Unimplemented {
    #[state(skip)]
    name: String,
}

impl Unimplemented {
    fn new(props: &Props) -> Result<Unimplemented, PropError> {
        if props.u64("size") == 0 {
            return Err(props.refuse("size=0: the window must have a size"));
        }
        Ok(Unimplemented { name: props.str("name").unwrap_or_default().into() })
    }
}

impl Device for Unimplemented {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        cx.unimplemented(format_args!("{}: read of {} bytes at offset {at:#x}", self.name, size.bytes()));
        Ok(0)
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        cx.unimplemented(format_args!("{}: write of {value:#x} ({} bytes) at offset {at:#x}", self.name, size.bytes()));
        Ok(())
    }
}

/// The device type.
pub static UNIMPLEMENTED_DEVICE: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "name", kind: PropertyKind::String, default: PropertyDefault::Required, doc: "Name of the part, for reports" },
        PropertyDecl { name: "size", kind: PropertyKind::Size, default: PropertyDefault::Required, doc: "Size of the window" },
    ],
    windows: &[WindowDecl {
        name: "regs",
        size: WindowSize::From(|props| props.u64("size")),
        kind: WindowKind::Mmio,
        access: AccessRule::ANY,
        // Parts that are modelled may lie in it.
        priority: -1000,
    }],
    example: &[("name", "example"), ("size", "4k")],
    ..DeviceType::new("unimplemented-device", "Stand-in for a part that is not modelled", |props| Ok(Box::new(Unimplemented::new(props)?)))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    #[test]
    fn it_reads_as_zero_and_reports() {
        let b = Bench::new(&UNIMPLEMENTED_DEVICE, &[("name", "smmu"), ("size", "0x20")]);
        for width in Width::ALL {
            b.write("regs", 0x18, width, 0x55).unwrap();
            assert_eq!(b.read("regs", 0x18, width), Ok(0));
        }
        assert_eq!(b.machine.counters().unimplemented, 8);
        assert!(b.read("regs", 0x20, Width::B1).is_err());
    }

    #[test]
    fn it_needs_a_size() {
        let props = Props::with(&UNIMPLEMENTED_DEVICE, &[("name", "x"), ("size", "0")]).unwrap();
        assert!((UNIMPLEMENTED_DEVICE.new)(&props).is_err());
    }
}
