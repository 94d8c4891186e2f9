//! ACPI tables ("Advanced Configuration and Power Interface Specification", revision 6.5), made of
//! what a board has: for boards whose firmware puts them into memory, with the commands for it, and
//! for boards without firmware, as they are in memory.

mod files;
pub mod microvm;
pub mod pc;
#[cfg(test)]
pub(crate) mod tests;

use acpi_tables::aml::{Device, EISAName, IO, Interrupt, Name, Path, ResourceTemplate, Scope};
use acpi_tables::{Aml, AmlSink};

pub use files::{Files, LOADER_FILE, RSDP_FILE, TABLES_FILE};

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

/// The processors and the interrupt controllers.
#[derive(Debug, Clone)]
pub struct Apics {
    /// Identifiers of the local APICs, the first core's first.
    pub ids: Vec<u32>,
    /// Address of the local APICs.
    pub local: u32,
    /// Address of the I/O APIC, which has the interrupts from 0 on.
    pub io: u32,
}

/// A flag of interrupt source overrides: active high, level.
const HIGH_LEVEL: u16 = 0xd;

impl Apics {
    /// The multiple APIC description table without its header. `levels` are the interrupts of the ISA
    /// bus that are levels.
    fn madt(&self, levels: &[u8]) -> Vec<u8> {
        let mut t = vec![];
        t.extend(self.local.to_le_bytes());
        // There are PICs too.
        t.extend(1u32.to_le_bytes());
        for (n, id) in self.ids.iter().enumerate() {
            match u8::try_from(*id) {
                Ok(id) if id != 0xff => t.extend([0, 8, n as u8, id, 1, 0, 0, 0]),
                _ => {
                    t.extend([9, 16, 0, 0]);
                    [*id, 1, n as u32].iter().for_each(|word| t.extend(word.to_le_bytes()));
                }
            }
        }
        t.extend([1, 12, 0, 0]);
        t.extend(self.io.to_le_bytes());
        t.extend([0; 4]);
        let mut override_source = |irq: u8, input: u32, flags: u16| {
            t.extend([2, 10, 0, irq]);
            t.extend(input.to_le_bytes());
            t.extend(flags.to_le_bytes());
        };
        // The timer is at input 2.
        override_source(0, 2, 0);
        for irq in (0..16).filter(|irq| levels.contains(irq)) {
            override_source(irq, irq.into(), HIGH_LEVEL);
        }
        // NMI is at LINT1 of all processors.
        t.extend([4, 6, 0xff, 0, 0, 1]);
        t
    }

    /// The processors, for the differentiated system description table.
    fn processors(&self, t: &mut dyn AmlSink) {
        for n in 0..self.ids.len() as u32 {
            let (hid, uid) = (Name::new("_HID".into(), &"ACPI0007"), Name::new("_UID".into(), &n));
            Scope::new("_SB_".into(), vec![&Device::new(Path::new(&format!("C{n:03X}")), vec![&hid, &uid])]).to_aml_bytes(t);
        }
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
