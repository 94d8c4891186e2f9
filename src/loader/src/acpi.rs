//! ACPI tables of a personal computer ("Advanced Configuration and Power Interface Specification",
//! revision 6.5), made of what its board has, and the commands by which its firmware puts them into
//! memory (QEMU, docs/specs/fw_cfg and the table loader of SeaBIOS and EDK2).
//!
//! PCI interrupts are said to be at the inputs to which firmware routes them, which must not change
//! afterwards.

use acpi_tables::aml::{AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Name, Package, PackageBuilder, Path, ResourceTemplate, Scope};
use acpi_tables::{Aml, AmlSink};

/// Names of the files in the firmware configuration device.
pub const TABLES_FILE: &str = "etc/acpi/tables";
/// See [`TABLES_FILE`].
pub const RSDP_FILE: &str = "etc/acpi/rsdp";
/// See [`TABLES_FILE`].
pub const LOADER_FILE: &str = "etc/table-loader";

/// An ISA device with a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsaDevice {
    /// Its name, of four characters.
    pub name: &'static str,
    /// What it is: an EISA identifier ("PNP0501"), or any other ("QEMU0001").
    pub hid: &'static str,
    /// Its number among those of its kind.
    pub uid: u8,
    /// I/O ports: first, and how many.
    pub ports: Vec<(u16, u8)>,
    /// Its interrupt.
    pub irq: Option<u8>,
}

/// What the tables are about.
#[derive(Debug, Clone)]
pub struct Pc {
    /// Identifiers of the local APICs, the first core's first.
    pub apic_ids: Vec<u32>,
    /// Address of the local APICs.
    pub local_apic: u32,
    /// Address of the I/O APIC, which has the interrupts from 0 on.
    pub io_apic: u32,
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

/// The contents of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// All tables but the RSDP, one after another.
    pub tables: Vec<u8>,
    /// The root pointer.
    pub rsdp: Vec<u8>,
    /// What firmware has to do with them.
    pub loader: Vec<u8>,
}

const HEADER: usize = 36;
const OEM: &[u8; 6] = b"PROTEU";
const OEM_TABLE: &[u8; 8] = b"PROTEUSP";
const CREATOR: &[u8; 4] = b"PROT";
const FACS_LEN: u32 = 64;
const FADT_LEN: usize = 244;
/// PCI devices of a bus.
const SLOTS: u8 = 32;

/// A flag of interrupt source overrides: active high, level.
const HIGH_LEVEL: u16 = 0xd;

impl Pc {
    /// Makes the tables.
    pub fn files(&self) -> Files {
        let mut b = Builder::default();
        b.command_allocate(TABLES_FILE, 64, Zone::High);
        b.command_allocate(RSDP_FILE, 16, Zone::Fseg);
        let facs = b.tables.len();
        b.tables.extend(facs_table());
        let dsdt = b.table(b"DSDT", 2, &self.dsdt());
        b.checksum(dsdt);
        let fadt = b.table(b"FACP", 3, &self.fadt());
        b.pointer(fadt + 36, facs);
        b.pointer(fadt + 40, dsdt);
        b.pointer64(fadt + 140, dsdt);
        b.checksum(fadt);
        let madt = b.table(b"APIC", 3, &self.madt());
        b.checksum(madt);
        let rsdt = b.table(b"RSDT", 1, &[0; 8]);
        b.pointer(rsdt + HEADER, fadt);
        b.pointer(rsdt + HEADER + 4, madt);
        b.checksum(rsdt);
        b.root(rsdt)
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

    fn madt(&self) -> Vec<u8> {
        let mut t = vec![];
        t.extend(self.local_apic.to_le_bytes());
        // There are PICs too.
        t.extend(1u32.to_le_bytes());
        for (n, id) in self.apic_ids.iter().enumerate() {
            match u8::try_from(*id) {
                Ok(id) if id != 0xff => t.extend([0, 8, n as u8, id, 1, 0, 0, 0]),
                _ => {
                    t.extend([9, 16, 0, 0]);
                    [*id, 1, n as u32].iter().for_each(|word| t.extend(word.to_le_bytes()));
                }
            }
        }
        t.extend([1, 12, 0, 0]);
        t.extend(self.io_apic.to_le_bytes());
        t.extend([0; 4]);
        let mut override_source = |irq: u8, input: u32, flags: u16| {
            t.extend([2, 10, 0, irq]);
            t.extend(input.to_le_bytes());
            t.extend(flags.to_le_bytes());
        };
        // The timer is at input 2.
        override_source(0, 2, 0);
        for irq in (0..16).filter(|irq| *irq == self.sci || self.level_irqs.contains(irq)) {
            override_source(irq, irq.into(), HIGH_LEVEL);
        }
        // NMI is at LINT1 of all processors.
        t.extend([4, 6, 0xff, 0, 0, 1]);
        t
    }

    fn dsdt(&self) -> Vec<u8> {
        let mut t = vec![];
        let cores: Vec<(String, u32)> = self.apic_ids.iter().enumerate().map(|(n, _)| (format!("C{n:03X}"), n as u32)).collect();
        for (name, uid) in &cores {
            let (hid, uid) = (Name::new("_HID".into(), &"ACPI0007"), Name::new("_UID".into(), uid));
            Scope::new("_SB_".into(), vec![&Device::new(Path::new(name), vec![&hid, &uid])]).to_aml_bytes(&mut t);
        }
        self.pci_root(&mut t);
        // Soft off: type 0 of both control registers.
        let zero = 0u8;
        Name::new("_S5_".into(), &Package::new(vec![&zero, &zero, &zero, &zero])).to_aml_bytes(&mut t);
        t
    }

    fn pci_root(&self, t: &mut dyn AmlSink) {
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

/// AML that is made already.
struct Raw(Vec<u8>);

impl Aml for Raw {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

fn isa_device(d: &IsaDevice) -> Raw {
    let eisa = d.hid.len() == 7 && d.hid.starts_with("PNP");
    let hid = if eisa { Name::new("_HID".into(), &EISAName::new(d.hid)) } else { Name::new("_HID".into(), &d.hid) };
    let (uid, sta) = (Name::new("_UID".into(), &d.uid), Name::new("_STA".into(), &0x0fu8));
    let ports: Vec<IO> = d.ports.iter().map(|(first, len)| IO::new(*first, *first, 1, *len)).collect();
    let irq = d.irq.map(|irq| Interrupt::new(true, true, false, false, irq.into()));
    let mut resources: Vec<&dyn Aml> = ports.iter().map(|p| p as &dyn Aml).collect();
    resources.extend(irq.iter().map(|i| i as &dyn Aml));
    let crs = Name::new("_CRS".into(), &ResourceTemplate::new(resources));
    let mut t = vec![];
    Device::new(Path::new(d.name), vec![&hid, &uid, &sta, &crs]).to_aml_bytes(&mut t);
    Raw(t)
}

/// A generic address of an I/O port.
fn io_address(port: u16, len: u8) -> [u8; 12] {
    let mut t = [0; 12];
    t[..4].copy_from_slice(&[1, 8 * len, 0, if len == 4 { 3 } else { len }]);
    t[4..6].copy_from_slice(&port.to_le_bytes());
    t
}

fn facs_table() -> [u8; FACS_LEN as usize] {
    let mut t = [0; FACS_LEN as usize];
    t[..4].copy_from_slice(b"FACS");
    t[4..8].copy_from_slice(&FACS_LEN.to_le_bytes());
    t[32] = 1;
    t
}

/// Where firmware puts a file: anywhere in memory, or below 1 MiB where the root pointer is sought.
#[derive(Clone, Copy)]
enum Zone {
    High = 1,
    Fseg = 2,
}

/// Collects tables and commands.
#[derive(Default)]
struct Builder {
    tables: Vec<u8>,
    loader: Vec<u8>,
}

const COMMAND_LEN: usize = 128;
const FILE_LEN: usize = 56;
const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;

impl Builder {
    fn command(&mut self, command: u32, files: &[&str], rest: &[u8]) {
        let start = self.loader.len();
        self.loader.extend(command.to_le_bytes());
        for (n, file) in files.iter().enumerate() {
            self.loader.extend(file.as_bytes());
            self.loader.resize(start + 4 + (n + 1) * FILE_LEN, 0);
        }
        self.loader.extend(rest);
        self.loader.resize(start + COMMAND_LEN, 0);
    }

    fn command_allocate(&mut self, file: &str, align: u32, zone: Zone) {
        let [a, b, c, d] = align.to_le_bytes();
        self.command(ALLOCATE, &[file], &[a, b, c, d, zone as u8]);
    }

    fn command_pointer(&mut self, file: &str, at: usize, len: u8) {
        let [a, b, c, d] = (at as u32).to_le_bytes();
        self.command(ADD_POINTER, &[file, TABLES_FILE], &[a, b, c, d, len]);
    }

    fn command_checksum(&mut self, file: &str, at: usize, start: usize, len: usize) {
        let words = [at as u32, start as u32, len as u32];
        self.command(ADD_CHECKSUM, &[file], &words.map(u32::to_le_bytes).concat());
    }

    /// Adds a table with its header; gives where it is.
    fn table(&mut self, signature: &[u8; 4], revision: u8, body: &[u8]) -> usize {
        let at = self.tables.len().next_multiple_of(16);
        self.tables.resize(at, 0);
        self.tables.extend(signature);
        self.tables.extend(((HEADER + body.len()) as u32).to_le_bytes());
        self.tables.extend([revision, 0]);
        self.tables.extend(OEM);
        self.tables.extend(OEM_TABLE);
        self.tables.extend(1u32.to_le_bytes());
        self.tables.extend(CREATOR);
        self.tables.extend(1u32.to_le_bytes());
        self.tables.extend(body);
        at
    }

    /// A pointer from one table to another: its distance from the start of the file, to which
    /// firmware adds where that is.
    fn pointer(&mut self, at: usize, to: usize) {
        self.tables[at..at + 4].copy_from_slice(&(to as u32).to_le_bytes());
        self.command_pointer(TABLES_FILE, at, 4);
    }

    fn pointer64(&mut self, at: usize, to: usize) {
        self.tables[at..at + 8].copy_from_slice(&(to as u64).to_le_bytes());
        self.command_pointer(TABLES_FILE, at, 8);
    }

    /// Has firmware sum up the last table.
    fn checksum(&mut self, table: usize) {
        let len = self.tables.len() - table;
        self.command_checksum(TABLES_FILE, table + 9, table, len);
    }

    fn root(mut self, rsdt: usize) -> Files {
        let mut rsdp = b"RSD PTR ".to_vec();
        rsdp.push(0);
        rsdp.extend(OEM);
        rsdp.push(0);
        rsdp.extend((rsdt as u32).to_le_bytes());
        self.command_pointer(RSDP_FILE, 16, 4);
        self.command_checksum(RSDP_FILE, 8, 0, rsdp.len());
        Files { tables: self.tables, rsdp, loader: self.loader }
    }
}

#[cfg(test)]
#[path = "acpi_tests.rs"]
mod tests;
