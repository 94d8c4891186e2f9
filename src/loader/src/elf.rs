//! ELF executables, 32 and 64 bit, both byte orders, as far as a loader needs them.

use std::ops::Range;

use object::elf::{FileHeader32, FileHeader64, PF_X, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endian, Endianness};

use crate::error::Defect;

/// The loadable view of an ELF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfImage {
    /// 64-bit file (ELFCLASS64).
    pub is_64: bool,
    /// Big-endian data (ELFDATA2MSB).
    pub big_endian: bool,
    /// `e_machine`: 183 AArch64, 40 Arm, 8 MIPS, 62 x86-64, 3 i386, 243 RISC-V.
    pub machine: u16,
    /// `e_entry`: a virtual address.
    pub entry: u64,
    /// The `PT_LOAD` segments that occupy memory, in file order.
    pub segments: Vec<ElfSegment>,
}

/// One `PT_LOAD` segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfSegment {
    /// Physical address, where it is loaded.
    pub paddr: u64,
    /// Virtual address, where it was linked.
    pub vaddr: u64,
    /// The bytes of the file it is loaded from; always inside the file.
    pub file: Range<usize>,
    /// Bytes in memory; what the file does not give is zero.
    pub memsz: u64,
    /// Holds instructions (`PF_X`).
    pub executable: bool,
}

impl ElfImage {
    /// Reads the header and the program headers.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Defect> {
        match bytes.get(4) {
            Some(1) => read::<FileHeader32<Endianness>>(bytes),
            Some(2) => read::<FileHeader64<Endianness>>(bytes),
            Some(class) => Err(Defect::malformed("ELF file", format!("class {class}"))),
            None => Err(Defect::Truncated { what: "ELF header", end: 52, size: bytes.len() as u64 }),
        }
    }

    /// The entry as a physical address: `e_entry` is virtual, and where the segment that holds it
    /// is loaded elsewhere than it is linked, it moves along.
    pub fn physical_entry(&self) -> u64 {
        let holds = |s: &&ElfSegment| s.executable && s.vaddr != s.paddr && self.entry.checked_sub(s.vaddr).is_some_and(|at| at < s.file.len() as u64);
        match self.segments.iter().find(holds) {
            Some(s) => (self.entry - s.vaddr).wrapping_add(s.paddr),
            None => self.entry,
        }
    }
}

fn read<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<ElfImage, Defect> {
    let bad = |e: object::read::Error| Defect::malformed("ELF file", e.to_string());
    let header = H::parse(bytes).map_err(bad)?;
    let endian = header.endian().map_err(bad)?;
    let mut segments = Vec::new();
    for ph in header.program_headers(endian, bytes).map_err(bad)? {
        let memsz: u64 = ph.p_memsz(endian).into();
        if ph.p_type(endian) != PT_LOAD || memsz == 0 {
            continue;
        }
        segments.push(segment(ph, endian, bytes.len() as u64)?);
    }
    Ok(ElfImage {
        is_64: header.is_class_64(),
        big_endian: endian.is_big_endian(),
        machine: header.e_machine(endian).0,
        entry: header.e_entry(endian).into(),
        segments,
    })
}

fn segment<P: ProgramHeader<Endian = Endianness>>(ph: &P, endian: Endianness, size: u64) -> Result<ElfSegment, Defect> {
    let (offset, filesz): (u64, u64) = (ph.p_offset(endian).into(), ph.p_filesz(endian).into());
    let (paddr, memsz): (u64, u64) = (ph.p_paddr(endian).into(), ph.p_memsz(endian).into());
    let end = offset.saturating_add(filesz);
    if filesz > 0 && end > size {
        return Err(Defect::Truncated { what: "ELF segment", end, size });
    }
    if filesz > memsz {
        let what = format!("segment at {paddr:#x} has {filesz:#x} bytes in the file, {memsz:#x} in memory");
        return Err(Defect::malformed("ELF file", what));
    }
    if paddr.checked_add(memsz - 1).is_none() {
        let what = format!("segment at {paddr:#x} of {memsz:#x} bytes wraps around the address space");
        return Err(Defect::malformed("ELF file", what));
    }
    // An empty range may start anywhere, so it is pinned to the start of the file.
    let file = if filesz == 0 { 0..0 } else { offset as usize..end as usize };
    Ok(ElfSegment { paddr, vaddr: ph.p_vaddr(endian).into(), file, memsz, executable: ph.p_flags(endian).contains(PF_X) })
}
