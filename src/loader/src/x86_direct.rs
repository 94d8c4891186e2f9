//! Kernels for x86 that are entered without firmware: Linux by the 64-bit boot protocol
//! (Documentation/arch/x86/boot.rst), ELF files with an entry for PVH (Xen, docs/misc/pvh.pandoc and
//! public/arch-x86/hvm/start_info.h), and Multiboot ("Multiboot Specification", 0.6.96).
//!
//! What they are given is plain data; the board puts it into memory and starts a core as told.

use crate::acpi;
use crate::error::{Defect, LoadError, le32, slice};
use crate::image::Image;
use crate::kernel::Kernel;
use crate::plan::{LoadPlan, Protocol, Segment};
use crate::x86::unpacked_at;

/// Bytes for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What they are.
    pub name: &'static str,
    /// Where they go.
    pub address: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// How the first core starts: flat segments, interrupts off, registers that are not named 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// The first instruction.
    pub pc: u64,
    /// In 64-bit mode with these page tables; `None`: in 32-bit protected mode without paging.
    pub page_tables: Option<u64>,
    /// The descriptor table with the selectors, and its limit.
    pub gdt: (u64, u16),
    /// EAX.
    pub rax: u64,
    /// EBX.
    pub rbx: u64,
    /// RSI.
    pub rsi: u64,
}

/// A kernel that is entered directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// What goes into memory, in order of addresses.
    pub pieces: Vec<Piece>,
    /// Where the kernel itself goes.
    pub plan: LoadPlan,
    /// How it starts.
    pub start: Start,
}

/// What a kernel is started with.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Its command line.
    pub cmdline: &'a str,
    /// The initial RAM disk; empty for none.
    pub initrd: &'a [u8],
    /// Where memory is: first and length, the lowest first.
    pub memory: &'a [(u64, u64)],
    /// ACPI tables.
    pub acpi: Option<&'a acpi::Files>,
}

/// Selector in CS, and in the other segment registers.
pub const CODE: u16 = 0x10;
/// See [`CODE`].
pub const DATA: u16 = 0x18;

// The map of low memory. What is at 640 KiB and above is no memory on a PC.
const GDT: u64 = 0x500;
const INFO: u64 = 0x6000;
const BOOT_PARAMS: u64 = 0x7000;
/// Page tables for 4 GiB: one of the highest level, one of the next, four with pages of 2 MiB.
const TABLES: u64 = 0x9000;
const CMDLINE: u64 = 0x2_0000;
/// Where real mode begins, and where a kernel that wants a reset from firmware jumps to: Linux does with
/// reduced hardware of ACPI.
const RESET_VECTOR: u64 = 0xf_fff0;
/// LIDT CS:[0xfff8], a table of no length; INT3, which with it ends in a shutdown, and that in a reset.
const RESET: [u8; 16] = [0x2e, 0x0f, 0x01, 0x1e, 0xf8, 0xff, 0xcc, 0xf4, 0, 0, 0, 0, 0, 0, 0, 0];
const CMDLINE_MAX: usize = 0x1_0000;
const CONVENTIONAL_END: u64 = 0x9_fc00;
/// Where root pointer and ACPI tables go: kernels that are not told look for it here.
const ACPI: u64 = 0xe_0000;
const MIB: u64 = 1 << 20;
const PAGE: u64 = 0x1000;
const GIB_TABLES: u64 = 4;
/// Memory, in the maps of all three protocols.
const RAM: u32 = 1;

/// Prepares a kernel; `None` if it has none of these entries.
pub fn direct(kernel: &Kernel, given: &Given<'_>) -> Result<Option<Direct>, LoadError> {
    let fail = |d: Defect| d.in_file(&kernel.file);
    if given.cmdline.len() >= CMDLINE_MAX {
        return Err(fail(Defect::Unsupported(format!("-append has {} bytes, of which there is room for {}", given.cmdline.len(), CMDLINE_MAX - 1))));
    }
    match &kernel.image {
        Image::LinuxX86(_) => linux(kernel, given).map(Some).map_err(fail),
        Image::Elf(elf) if !elf.big_endian && matches!(elf.machine, 3 | 62) => {
            if let Some(entry) = pvh_entry(&kernel.bytes).map_err(fail)? {
                return pvh(elf_segments(kernel), entry, given).map(Some).map_err(fail);
            }
            multiboot(kernel, given).map_err(fail)
        }
        _ => multiboot(kernel, given).map_err(fail),
    }
}

/// The memory map without what a PC has from 640 KiB to 1 MiB.
fn usable(memory: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut out = vec![];
    for (first, len) in memory.iter().copied() {
        match first.checked_add(len) {
            Some(end) if first == 0 && end > MIB => out.extend([(0, CONVENTIONAL_END), (MIB, end - MIB)]),
            _ => out.push((first, len)),
        }
    }
    out
}

/// The end of memory below 4 GiB.
fn low_end(memory: &[(u64, u64)]) -> u64 {
    memory.first().map_or(0, |(first, len)| first.saturating_add(*len))
}

/// Where the initial RAM disk goes: at the end of memory, behind the kernel.
fn place_initrd(given: &Given<'_>, kernel_end: u64, most: u64) -> Result<u64, Defect> {
    let ram_end = low_end(given.memory);
    if kernel_end > ram_end {
        return Err(Defect::DoesNotFit { what: "kernel", start: MIB, end: kernel_end, ram_start: MIB, ram_end });
    }
    let len = given.initrd.len() as u64;
    let start = ram_end.min(most).saturating_sub(len) & !(PAGE - 1);
    if len > 0 && start < kernel_end {
        return Err(Defect::DoesNotFit { what: "initial RAM disk", start, end: start.saturating_add(len), ram_start: kernel_end, ram_end });
    }
    Ok(start)
}

/// Command line, initial RAM disk, ACPI tables, and what firmware would have at the reset vector.
fn common(given: &Given<'_>, initrd: u64) -> Vec<Piece> {
    let mut pieces = vec![Piece { name: "command line", address: CMDLINE, bytes: [given.cmdline.as_bytes(), &[0]].concat() }];
    if !given.initrd.is_empty() {
        pieces.push(Piece { name: "initial RAM disk", address: initrd, bytes: given.initrd.to_vec() });
    }
    pieces.extend(given.acpi.map(|tables| Piece { name: "ACPI tables", address: ACPI, bytes: tables.placed(ACPI as u32) }));
    pieces.push(Piece { name: "reset vector", address: RESET_VECTOR, bytes: RESET.to_vec() });
    pieces
}

/// The address of the root pointer; 0 without one.
fn root_pointer(given: &Given<'_>) -> [u8; 8] {
    given.acpi.map_or(0, |_| ACPI).to_le_bytes()
}

/// Flat segments: code of 64 or 32 bits, and data.
fn gdt(long: bool) -> Piece {
    let code: u64 = if long { 0x00af_9b00_0000_ffff } else { 0x00cf_9b00_0000_ffff };
    let entries = [0, 0, code, 0x00cf_9300_0000_ffff];
    Piece { name: "descriptor table", address: GDT, bytes: entries.iter().flat_map(|e: &u64| e.to_le_bytes()).collect() }
}

const GDT_LIMIT: u16 = 4 * 8 - 1;

fn page_tables() -> Piece {
    const PRESENT_WRITABLE: u64 = 3;
    const LARGE: u64 = 1 << 7;
    let mut words = vec![0u64; 512];
    words[0] = (TABLES + PAGE) | PRESENT_WRITABLE;
    let mut next = vec![0u64; 512];
    for (n, entry) in (0..GIB_TABLES).zip(&mut next) {
        *entry = (TABLES + (2 + n) * PAGE) | PRESENT_WRITABLE;
    }
    words.extend(next);
    words.extend((0..GIB_TABLES * 512).map(|n| n << 21 | PRESENT_WRITABLE | LARGE));
    Piece { name: "page tables", address: TABLES, bytes: words.iter().flat_map(|w| w.to_le_bytes()).collect() }
}

/// Linux by its 64-bit entry.
fn linux(kernel: &Kernel, given: &Given<'_>) -> Result<Direct, Defect> {
    const XLF_KERNEL_64: u8 = 1;
    const HEADER: usize = 0x1f1;
    const E820: usize = 0x2d0;
    const ENTRY_64: u64 = 0x200;
    let bytes = &kernel.bytes;
    let Image::LinuxX86(x86) = &kernel.image else { return Err(Defect::malformed("bzImage", "no header")) };
    if x86.protocol < 0x20c || bytes.get(0x236).is_none_or(|f| f & XLF_KERNEL_64 == 0) {
        return Err(Defect::Unsupported(format!("boot protocol {:#x} without a 64-bit entry; 2.12 with one is needed", x86.protocol)));
    }
    let sectors = if x86.setup_sectors == 0 { 4 } else { usize::from(x86.setup_sectors) };
    let setup = (sectors + 1) * 512;
    let image = slice(bytes, "set-up code", setup as u64, bytes.len().saturating_sub(setup).max(1) as u64)?;
    let needs = u64::from(le32(bytes, 0x260).unwrap_or(0)).max(image.len() as u64);
    let most = u64::from(le32(bytes, 0x22c).unwrap_or(0)) + 1;
    let end = unpacked_at(bytes, x86.protocol, MIB).saturating_add(needs);
    let initrd = place_initrd(given, end, most)?;
    let mut params = vec![0; PAGE as usize];
    // The header ends where the jump at its start leads to.
    let end = (0x202 + usize::from(bytes.get(0x201).copied().unwrap_or(0))).clamp(HEADER, E820);
    params[HEADER..end].copy_from_slice(slice(bytes, "set-up header", HEADER as u64, (end - HEADER) as u64)?);
    let mut put = |at: usize, value: &[u8]| params[at..at + value.len()].copy_from_slice(value);
    put(0x70, &root_pointer(given));
    put(0x210, &[0xff]);
    if !given.initrd.is_empty() {
        put(0x218, &(initrd as u32).to_le_bytes());
        put(0x21c, &(given.initrd.len() as u32).to_le_bytes());
    }
    put(0x228, &(CMDLINE as u32).to_le_bytes());
    let map = usable(given.memory);
    put(0x1e8, &[map.len().min(128) as u8]);
    for (n, (first, len)) in map.iter().take(128).enumerate() {
        put(E820 + 20 * n, &[&first.to_le_bytes()[..], &len.to_le_bytes(), &RAM.to_le_bytes()].concat());
    }
    let mut pieces = vec![gdt(true), Piece { name: "boot parameters", address: BOOT_PARAMS, bytes: params }, page_tables()];
    pieces.extend(common(given, initrd));
    let start = Start { pc: MIB + ENTRY_64, page_tables: Some(TABLES), gdt: (GDT, GDT_LIMIT), rsi: BOOT_PARAMS, ..Start::default() };
    let segments = vec![Segment { address: MIB, data: setup..bytes.len(), zero: needs - image.len() as u64 }];
    Ok(Direct { pieces, plan: plan(segments, start.pc), start })
}

fn elf_segments(kernel: &Kernel) -> Vec<Segment> {
    let Image::Elf(elf) = &kernel.image else { return vec![] };
    elf.segments.iter().map(|s| Segment { address: s.paddr, data: s.file.clone(), zero: s.memsz - s.file.len() as u64 }).collect()
}

fn segments_end(segments: &[Segment]) -> u64 {
    segments.iter().map(|s| s.range().end).max().unwrap_or(MIB)
}

fn plan(segments: Vec<Segment>, entry: u64) -> LoadPlan {
    let first = segments.iter().map(|s| s.address).min().unwrap_or(0);
    LoadPlan { occupied: first..segments_end(&segments), segments, entry, protocol: Protocol::Bare }
}

/// The entry for PVH, in an ELF note of Xen's.
fn pvh_entry(bytes: &[u8]) -> Result<Option<u64>, Defect> {
    const PHYS32_ENTRY: u32 = 18;
    use object::read::elf::{ElfFile32, ElfFile64, FileHeader, ProgramHeader};
    fn find<H: FileHeader<Endian = object::Endianness>>(header: &H, bytes: &[u8]) -> object::read::Result<Option<u64>> {
        let endian = header.endian()?;
        for ph in header.program_headers(endian, bytes)? {
            let Some(mut notes) = ph.notes(endian, bytes)? else { continue };
            while let Some(note) = notes.next()? {
                if note.name() == b"Xen" && note.n_type(endian).0 == PHYS32_ENTRY {
                    let mut entry = [0; 8];
                    let n = note.desc().len().min(8);
                    entry[..n].copy_from_slice(&note.desc()[..n]);
                    return Ok(Some(u64::from_le_bytes(entry)));
                }
            }
        }
        Ok(None)
    }
    let found = match bytes.get(4) {
        Some(1) => ElfFile32::<object::Endianness>::parse(bytes).and_then(|f| find(f.elf_header(), bytes)),
        _ => ElfFile64::<object::Endianness>::parse(bytes).and_then(|f| find(f.elf_header(), bytes)),
    };
    found.map_err(|e| Defect::malformed("ELF file", e.to_string()))
}

fn pvh(segments: Vec<Segment>, entry: u64, given: &Given<'_>) -> Result<Direct, Defect> {
    const MAGIC: u32 = 0x336e_c578;
    const MODULE: u64 = INFO + 0x100;
    const MAP: u64 = INFO + 0x200;
    let initrd = place_initrd(given, segments_end(&segments), u64::from(u32::MAX))?;
    let map = usable(given.memory);
    let modules = u32::from(!given.initrd.is_empty());
    let mut info = vec![0; 0x200];
    let mut put = |at: usize, value: &[u8]| info[at..at + value.len()].copy_from_slice(value);
    for (n, word) in [MAGIC, 1, 0, modules].into_iter().enumerate() {
        put(4 * n, &word.to_le_bytes());
    }
    put(16, &(if modules == 0 { 0 } else { MODULE }).to_le_bytes());
    put(24, &CMDLINE.to_le_bytes());
    put(32, &root_pointer(given));
    put(40, &MAP.to_le_bytes());
    put(48, &(map.len() as u32).to_le_bytes());
    put(0x100, &initrd.to_le_bytes());
    put(0x108, &(given.initrd.len() as u64).to_le_bytes());
    for (first, len) in &map {
        info.extend([first.to_le_bytes(), len.to_le_bytes()].concat());
        info.extend(u64::from(RAM).to_le_bytes());
    }
    let mut pieces = vec![gdt(false), Piece { name: "start information", address: INFO, bytes: info }];
    pieces.extend(common(given, initrd));
    let start = Start { pc: entry, gdt: (GDT, GDT_LIMIT), rbx: INFO, ..Start::default() };
    Ok(Direct { pieces, plan: plan(segments, entry), start })
}

/// A Multiboot kernel: its header is within the first 8 KiB.
fn multiboot(kernel: &Kernel, given: &Given<'_>) -> Result<Option<Direct>, Defect> {
    const HEADER_MAGIC: u32 = 0x1bad_b002;
    const LOADER_MAGIC: u64 = 0x2bad_b002;
    const ADDRESSES: u32 = 1 << 16;
    /// Wanted features that must be understood: aligned modules, and information about memory.
    const UNDERSTOOD: u32 = 3;
    let bytes = &kernel.bytes;
    let word = |at: usize| le32(bytes, at).unwrap_or(0);
    let is_header = |at: &usize| word(*at) == HEADER_MAGIC && HEADER_MAGIC.wrapping_add(word(at + 4)).wrapping_add(word(at + 8)) == 0;
    let Some(at) = (0..8192.min(bytes.len())).step_by(4).find(is_header) else { return Ok(None) };
    let flags = word(at + 4);
    if flags & 0xffff & !UNDERSTOOD != 0 {
        return Err(Defect::Unsupported(format!("its Multiboot header wants features {:#x}, of which {UNDERSTOOD:#x} are there", flags & 0xffff)));
    }
    let (segments, pc) = match &kernel.image {
        Image::Elf(elf) => (elf_segments(kernel), elf.physical_entry()),
        _ if flags & ADDRESSES == 0 => return Err(Defect::malformed("Multiboot header", "neither an ELF file nor addresses")),
        _ => {
            let (header, load, load_end, bss_end) = (word(at + 12), word(at + 16), word(at + 20), word(at + 24));
            let offset = (header.checked_sub(load)).and_then(|n| at.checked_sub(n as usize));
            let offset = offset.ok_or_else(|| Defect::malformed("Multiboot header", format!("load address {load:#x} is before the file's start")))?;
            let end = if load_end == 0 { bytes.len() } else { offset.saturating_add(load_end.saturating_sub(load) as usize) };
            slice(bytes, "Multiboot image", offset as u64, end.saturating_sub(offset) as u64)?;
            let len = end.saturating_sub(offset) as u64;
            let zero = u64::from(bss_end).saturating_sub(u64::from(load).saturating_add(len));
            (vec![Segment { address: load.into(), data: offset..end.max(offset), zero }], word(at + 28).into())
        }
    };
    let initrd = place_initrd(given, segments_end(&segments), u64::from(u32::MAX))?;
    let mut pieces = vec![gdt(false), Piece { name: "Multiboot information", address: INFO, bytes: multiboot_info(given, initrd) }];
    pieces.extend(common(given, initrd));
    let start = Start { pc, gdt: (GDT, GDT_LIMIT), rax: LOADER_MAGIC, rbx: INFO, ..Start::default() };
    Ok(Some(Direct { pieces, plan: plan(segments, pc), start }))
}

fn multiboot_info(given: &Given<'_>, initrd: u64) -> Vec<u8> {
    const MEMORY: u32 = 1;
    const COMMAND_LINE: u32 = 1 << 2;
    const MODULES: u32 = 1 << 3;
    const MAP: u32 = 1 << 6;
    const MODULE_AT: usize = 0x100;
    const MAP_AT: usize = 0x200;
    let map = usable(given.memory);
    let mut info = vec![0; MAP_AT];
    let mut put = |at: usize, value: u32| info[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let modules = if given.initrd.is_empty() { 0 } else { MODULES };
    put(0, MEMORY | COMMAND_LINE | MAP | modules);
    put(4, (CONVENTIONAL_END / 1024) as u32);
    put(8, (low_end(given.memory).saturating_sub(MIB) / 1024) as u32);
    put(16, CMDLINE as u32);
    put(20, u32::from(modules != 0));
    put(24, INFO as u32 + MODULE_AT as u32);
    put(44, 24 * map.len() as u32);
    put(48, INFO as u32 + MAP_AT as u32);
    put(MODULE_AT, initrd as u32);
    put(MODULE_AT + 4, (initrd as u32).saturating_add(given.initrd.len() as u32));
    for (first, len) in map {
        info.extend(20u32.to_le_bytes());
        info.extend([first.to_le_bytes(), len.to_le_bytes()].concat());
        info.extend(RAM.to_le_bytes());
    }
    info
}

#[cfg(test)]
#[path = "x86_direct_tests.rs"]
mod tests;
