//! The tables of a personal computer.
//!
//! PCI interrupts are said to be at the inputs to which firmware routes them, which must not change
//! afterwards.

use acpi_tables::Aml;
use acpi_tables::aml::{AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Name, Package, PackageBuilder, ResourceTemplate, Scope};

use super::files::{Builder, HEADER};
use super::{Apics, Files, IsaDevice, Raw, io_address, isa_device};

/// What the tables are about.
#[derive(Debug, Clone)]
pub struct Pc {
    /// The processors and the interrupt controllers.
    pub apics: Apics,
    /// First of the power management ports (those of the PIIX4).
    pub pm_base: u16,
    /// Port of SMI commands, and its values that turn ACPI on and off.
    pub smi_command: (u16, u8, u8),
    /// Interrupt of the power management function.
    pub sci: u8,
    /// The reset control register, and what to write.
    pub reset: (u16, u8),
    /// Number of the clock's byte with the century.
    pub century: u8,
    /// Memory addresses of PCI: first and last.
    pub pci_memory: (u32, u32),
    /// Device number of the bridge to the ISA bus.
    pub isa_slot: u8,
    /// Interrupt of INTA to INTD (0 to 3) of a device number.
    pub pci_irq: fn(u8, u8) -> u8,
    /// Interrupts that PCI may have, which are levels.
    pub level_irqs: &'static [u8],
    /// Devices of the ISA bus.
    pub isa: Vec<IsaDevice>,
}

const FADT_LEN: usize = 244;
/// PCI devices of a bus.
const SLOTS: u8 = 32;

impl Pc {
    /// Makes the tables.
    pub fn files(&self) -> Files {
        let mut b = Builder::default();
        let facs = b.facs();
        let dsdt = b.table(b"DSDT", 2, &self.dsdt());
        let fadt = b.fadt(3, &self.fadt(), Some(facs), dsdt);
        let levels: Vec<u8> = self.level_irqs.iter().copied().chain([self.sci]).collect();
        let madt = b.table(b"APIC", 3, &self.apics.madt(&levels));
        b.root(&[fadt, madt])
    }

    fn fadt(&self) -> Vec<u8> {
        let mut t = [0; FADT_LEN];
        let mut put = |at: usize, bytes: &[u8]| t[at..at + bytes.len()].copy_from_slice(bytes);
        let (smi, enable, disable) = self.smi_command;
        put(46, &u16::from(self.sci).to_le_bytes());
        put(48, &u32::from(smi).to_le_bytes());
        put(52, &[enable, disable]);
        // Address in the old format and in the new one, length, and place of the length.
        let blocks: [(usize, usize, u16, u8, usize); 4] = [(56, 148, 0, 4, 88), (64, 172, 4, 2, 89), (76, 208, 8, 4, 91), (80, 220, 0xc, 4, 92)];
        for (old, new, offset, len, len_at) in blocks {
            put(old, &u32::from(self.pm_base + offset).to_le_bytes());
            put(new, &io_address(self.pm_base + offset, len));
            put(len_at, &[len]);
        }
        // No C2, no C3.
        put(96, &[0xff, 0x0f, 0xff, 0x0f]);
        put(108, &[self.century]);
        // Devices on the ISA bus, and a keyboard controller among them.
        put(109, &3u16.to_le_bytes());
        // WBINVD works, C1 is on all processors, no sleep button, there is a reset register.
        put(112, &(1u32 | 1 << 2 | 1 << 5 | 1 << 10).to_le_bytes());
        put(116, &io_address(self.reset.0, 1));
        put(128, &[self.reset.1]);
        t[HEADER..].to_vec()
    }

    fn dsdt(&self) -> Vec<u8> {
        let mut t = vec![];
        self.apics.processors(&mut t);
        self.pci_root(&mut t);
        // Soft off: type 0 of both control registers.
        let zero = 0u8;
        Name::new("_S5_".into(), &Package::new(vec![&zero, &zero, &zero, &zero])).to_aml_bytes(&mut t);
        t
    }

    fn pci_root(&self, t: &mut dyn acpi_tables::AmlSink) {
        let (hid, uid) = (Name::new("_HID".into(), &EISAName::new("PNP0A03")), Name::new("_UID".into(), &0u8));
        let memory = |first, last| AddressSpace::new_memory(AddressSpaceCacheable::NotCacheable, true, first, last, None::<u32>);
        let buses = AddressSpace::new_bus_number(0u16, 0xff);
        let ports = [AddressSpace::new_io(0u16, 0xcf7, None), AddressSpace::new_io(0xd00u16, 0xffff, None)];
        let config = IO::new(0xcf8, 0xcf8, 1, 8);
        let (vga, window) = (memory(0xa_0000, 0xb_ffff), memory(self.pci_memory.0, self.pci_memory.1));
        let resources = ResourceTemplate::new(vec![&buses, &config, &ports[0], &ports[1], &vga, &window]);
        let crs = Name::new("_CRS".into(), &resources);
        let mut routes = PackageBuilder::new();
        for (slot, pin) in (0..SLOTS).flat_map(|slot| (0..4u8).map(move |pin| (slot, pin))) {
            let (address, irq) = (u32::from(slot) << 16 | 0xffff, (self.pci_irq)(slot, pin));
            routes.add_element(&Package::new(vec![&address, &pin, &0u8, &irq]));
        }
        let prt = Name::new("_PRT".into(), &routes);
        let devices: Vec<Raw> = self.isa.iter().map(isa_device).collect();
        let isa_adr = Name::new("_ADR".into(), &(u32::from(self.isa_slot) << 16));
        let mut children: Vec<&dyn Aml> = vec![&isa_adr];
        children.extend(devices.iter().map(|d| d as &dyn Aml));
        let isa = Device::new("ISA_".into(), children);
        let root = Device::new("PCI0".into(), vec![&hid, &uid, &crs, &prt, &isa]);
        Scope::new("_SB_".into(), vec![&root]).to_aml_bytes(t);
    }
}
