//! The tables of a machine with reduced hardware (chapter 4.1): no power management registers, but a
//! generic event device. Its devices are at fixed places.

use acpi_tables::aml::{
    And, Device, EISAName, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, If, Interrupt, Local, Memory32Fixed, Method, Name, Notify,
    OpRegion, OpRegionSpace, Package, Path, ResourceTemplate, Scope, Store,
};
use acpi_tables::{Aml, AmlSink};

use super::files::{Builder, HEADER};
use super::{Apics, Files, IsaDevice, Raw, isa_device};

/// A device for virtio over memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtioSlot {
    /// Its number.
    pub number: u8,
    /// Address of its registers.
    pub address: u32,
    /// Bytes of them.
    pub len: u32,
    /// Its interrupt, a level.
    pub irq: u32,
}

/// The generic event device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventDevice {
    /// Address of the register with the events that there are, of 32 bits; reads clear it.
    pub events: u32,
    /// The event of the power button: a bit.
    pub power_button: u32,
    /// Its interrupt, an edge.
    pub irq: u32,
    /// Address of the sleep control register.
    pub sleep_control: u32,
    /// Address of the sleep status register.
    pub sleep_status: u32,
    /// The type of sleep that is soft off.
    pub soft_off: u8,
    /// Address of the reset register, and what to write.
    pub reset: (u32, u8),
}

/// What the tables are about.
#[derive(Debug, Clone)]
pub struct MicroVm {
    /// The processors and the interrupt controllers.
    pub apics: Apics,
    /// The generic event device.
    pub events: EventDevice,
    /// Devices of the ISA bus.
    pub isa: Vec<IsaDevice>,
    /// Devices for virtio.
    pub virtio: Vec<VirtioSlot>,
}

const FADT_LEN: usize = 276;

impl MicroVm {
    /// Makes the tables.
    pub fn files(&self) -> Files {
        let mut b = Builder::default();
        let dsdt = b.table(b"DSDT", 2, &self.dsdt());
        let fadt = b.fadt(6, &self.fadt(), None, dsdt);
        let madt = b.table(b"APIC", 3, &self.apics.madt(&[]));
        b.root(&[fadt, madt])
    }

    fn fadt(&self) -> Vec<u8> {
        let mut t = [0; FADT_LEN];
        let mut put = |at: usize, bytes: &[u8]| t[at..at + bytes.len()].copy_from_slice(bytes);
        // Devices on the ISA bus, without a keyboard controller and without a graphics card.
        put(109, &(1u16 | 1 << 2).to_le_bytes());
        // WBINVD works, there is a reset register, the hardware is reduced.
        put(112, &(1u32 | 1 << 10 | 1 << 20).to_le_bytes());
        let e = &self.events;
        put(116, &memory_address(e.reset.0));
        put(128, &[e.reset.1]);
        // The minor revision: 5.
        put(131, &[5]);
        put(244, &memory_address(e.sleep_control));
        put(256, &memory_address(e.sleep_status));
        t[HEADER..].to_vec()
    }

    fn dsdt(&self) -> Vec<u8> {
        let mut t = vec![];
        self.apics.processors(&mut t);
        let devices: Vec<Raw> = self.isa.iter().map(isa_device).chain(self.virtio.iter().map(virtio_device)).collect();
        Scope::new("_SB_".into(), devices.iter().map(|d| d as &dyn Aml).collect()).to_aml_bytes(&mut t);
        self.events.aml(&mut t);
        let (soft_off, zero) = (self.events.soft_off, 0u8);
        Name::new("_S5_".into(), &Package::new(vec![&soft_off, &zero, &zero, &zero])).to_aml_bytes(&mut t);
        t
    }
}

impl EventDevice {
    /// The device, and the button that its event tells of.
    fn aml(&self, t: &mut dyn AmlSink) {
        let (hid, uid) = (Name::new("_HID".into(), &"ACPI0013"), Name::new("_UID".into(), &0u8));
        let irq = Interrupt::new(true, true, false, false, self.irq);
        let crs = Name::new("_CRS".into(), &ResourceTemplate::new(vec![&irq]));
        let region = OpRegion::new("EREG".into(), OpRegionSpace::SystemMemory, &self.events, &4u8);
        let entries = vec![FieldEntry::Named(*b"ESEL", 32)];
        let field = Field::new("EREG".into(), FieldAccessType::DWord, FieldLockRule::NoLock, FieldUpdateRule::WriteAsZeroes, entries);
        // The register is read once, for that clears it.
        let (events, pressed, button) = (Local(0), Local(1), self.power_button);
        let esel = Path::new("ESEL");
        let read = Store::new(&events, &esel);
        let select = And::new(&pressed, &events, &button);
        let (target, what) = (Path::new("PWRB"), 0x80u8);
        let notify = Notify::new(&target, &what);
        let told = If::new(&pressed, vec![&notify]);
        let method = Method::new("_EVT".into(), 1, true, vec![&read, &select, &told]);
        let device = Device::new("GED_".into(), vec![&hid, &uid, &crs, &region, &field, &method]);
        let button_hid = Name::new("_HID".into(), &EISAName::new("PNP0C0C"));
        let power_button = Device::new("PWRB".into(), vec![&button_hid]);
        Scope::new("_SB_".into(), vec![&power_button, &device]).to_aml_bytes(t);
    }
}

fn virtio_device(slot: &VirtioSlot) -> Raw {
    let (hid, uid, cca) = (Name::new("_HID".into(), &"LNRO0005"), Name::new("_UID".into(), &slot.number), Name::new("_CCA".into(), &1u8));
    let memory = Memory32Fixed::new(true, slot.address, slot.len);
    let irq = Interrupt::new(true, false, false, false, slot.irq);
    let crs = Name::new("_CRS".into(), &ResourceTemplate::new(vec![&memory, &irq]));
    let mut t = vec![];
    Device::new(Path::new(&format!("VR{:02X}", slot.number)), vec![&hid, &uid, &cca, &crs]).to_aml_bytes(&mut t);
    Raw(t)
}

/// A generic address of a register of one byte in memory.
fn memory_address(address: u32) -> [u8; 12] {
    let mut t = [0; 12];
    t[..4].copy_from_slice(&[0, 8, 0, 1]);
    t[4..8].copy_from_slice(&address.to_le_bytes());
    t
}
