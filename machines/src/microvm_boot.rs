//! Kernels that are entered without firmware: by PVH, or by the 32-bit entry of the Linux boot
//! protocol (Documentation/arch/x86/boot.rst). Either finds the map of memory, its command line and its
//! initial RAM disk in a structure in low memory.

use std::ops::Range;

use proteus_loader::pvh::pvh_entry;
use proteus_loader::{Architecture, Image, Kernel, Placement};

use crate::boot::{self, Load, Memory};
use crate::built::X86Entry;
use crate::error::{BoardError, refuse};

// Low memory, as the protocols leave it to the boot program.
const START_INFO: u64 = 0x6000;
const MODULES: u64 = 0x6100;
const MEMORY_MAP: u64 = 0x6200;
const BOOT_PARAMS: u64 = 0x7000;
const COMMAND_LINE: u64 = 0x2_0000;
const LONGEST_COMMAND_LINE: usize = 0x1_0000;
/// Memory below 1 MiB that is free: what is above was the BIOS's.
const LOW_END: u64 = 0x9_fc00;
const HIGH_START: u64 = 0x10_0000;
const PAGE: u64 = 0x1000;

/// Of a start information structure: what it begins with, and its version with a map of memory.
const START_MAGIC: u32 = 0x336e_c578;
const START_VERSION: u32 = 1;

// The setup header of a bzImage, by offset in the file and in `boot_params`.
const SETUP_SECTORS: usize = 0x1f1;
const HEADER_END: usize = 0x201;
const PROTOCOL: usize = 0x206;
const LOADER: usize = 0x210;
const LOAD_FLAGS: usize = 0x211;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const COMMAND_LINE_AT: usize = 0x228;
const INITRD_MAX: usize = 0x22c;
// Of `boot_params` alone.
const E820_ENTRIES: usize = 0x1e8;
const E820_TABLE: usize = 0x2d0;
/// A boot program without a number of its own.
const LOADER_OTHER: u8 = 0xff;
/// LOAD_FLAGS: the kernel is at 1 MiB.
const LOADED_HIGH: u8 = 1;
/// The oldest protocol with all that is used here.
const OLDEST: u16 = 0x0206;

/// What the user gave.
pub(crate) struct Given {
    pub kernel: Kernel,
    pub initrd: Option<Vec<u8>>,
    pub command_line: String,
}

/// Puts everything in its place; gives the entry too.
pub(crate) fn plan(given: Given, memory: &Memory, map: &[Range<u64>]) -> Result<(Vec<Load>, X86Entry), BoardError> {
    let file = given.kernel.file.display().to_string();
    let mut line = given.command_line.into_bytes();
    if line.len() >= LONGEST_COMMAND_LINE {
        return Err(refuse(format!("-append: {} bytes are too many for a kernel's command line", line.len())));
    }
    line.push(0);
    let mut loads = vec![Load::whole("command line", COMMAND_LINE, line)];
    let initrd = |from: u64, most: u64| place_initrd(given.initrd, from, memory.ram.end.min(most));
    match given.kernel.image.architecture() {
        Some(Architecture::X86_64 | Architecture::X86) => {}
        Some(other) => return Err(refuse(format!("{file}: it is for {other:?}; this machine's processor runs x86 code"))),
        None => return Err(refuse(format!("{file}: it is neither a bzImage nor an ELF file"))),
    }
    if matches!(given.kernel.image, Image::LinuxX86(_)) {
        let bytes = given.kernel.bytes;
        let mut params = boot_params(&bytes, map).ok_or_else(|| refuse(format!("{file}: its setup header is cut off, or older than version 2.06")))?;
        let start = (usize::from(bytes[SETUP_SECTORS]).max(1) + 1) * 512;
        let code = bytes.get(start..).filter(|c| !c.is_empty()).ok_or_else(|| refuse(format!("{file}: the kernel behind its setup code is missing")))?;
        // It unpacks itself behind itself: the RAM disk is as high as it may be.
        let most = u64::from(word(&params, INITRD_MAX)) + 1;
        let end = HIGH_START + code.len() as u64;
        if let Some(disk) = initrd(end, most)? {
            put(&mut params, RAMDISK_IMAGE, disk.address as u32);
            put(&mut params, RAMDISK_SIZE, disk.data().len() as u32);
            loads.push(disk);
        }
        loads.extend([Load::whole("kernel", HIGH_START, code.to_vec()), Load::whole("boot parameters", BOOT_PARAMS, params)]);
        return Ok((loads, entry(HIGH_START, 6, BOOT_PARAMS)));
    }
    let Some(pc) = pvh_entry(&given.kernel.bytes) else {
        return Err(refuse(format!("{file}: an ELF kernel needs a PVH entry (the note XEN_ELFNOTE_PHYS32_ENTRY), which this one has not")));
    };
    let planned = given.kernel.plan(&Placement { ram: memory.ram.clone(), raw_offset: 0, translate: None })?;
    boot::check(&planned, &given.kernel.file, memory)?;
    let disk = initrd(planned.occupied.end, u64::from(u32::MAX))?;
    loads.extend(start_info(disk.as_ref(), map));
    loads.extend(disk);
    loads.extend(Load::pieces("kernel", given.kernel.bytes, &planned));
    Ok((loads, entry(pc, 3, START_INFO)))
}

/// Protected mode at `pc`, with the address of a structure in a register.
fn entry(pc: u64, register: usize, structure: u64) -> X86Entry {
    let mut entry = X86Entry::protected(pc);
    entry.registers[register] = structure;
    entry
}

/// The RAM disk at the end of the memory that a kernel can reach.
fn place_initrd(initrd: Option<Vec<u8>>, from: u64, end: u64) -> Result<Option<Load>, BoardError> {
    let Some(bytes) = initrd else { return Ok(None) };
    let at = end.checked_sub(bytes.len() as u64).map(|at| at & !(PAGE - 1)).filter(|at| *at >= from);
    let at =
        at.ok_or_else(|| refuse(format!("-initrd: {} bytes do not fit in memory between {from:#x} and {end:#x}; give the guest more with -m", bytes.len())))?;
    Ok(Some(Load::whole("initial RAM disk", at, bytes)))
}

/// The memory that a kernel may use.
pub(crate) fn usable(low: u64, high: Option<Range<u64>>) -> Vec<Range<u64>> {
    let above = (low > HIGH_START).then_some(HIGH_START..low);
    std::iter::once(0..low.min(LOW_END)).chain(above).chain(high).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

/// `struct boot_params` with the kernel's own header in it; `None` where it cannot be read.
fn boot_params(kernel: &[u8], map: &[Range<u64>]) -> Option<Vec<u8>> {
    let protocol = u16::from_le_bytes(kernel.get(PROTOCOL..PROTOCOL + 2)?.try_into().ok()?);
    // The header's length is that of the jump over it.
    let end = 0x202 + usize::from(*kernel.get(HEADER_END)?);
    let header = kernel.get(SETUP_SECTORS..end)?;
    if protocol < OLDEST {
        return None;
    }
    let mut params = vec![0; PAGE as usize];
    params.get_mut(SETUP_SECTORS..end)?.copy_from_slice(header);
    params[LOADER] = LOADER_OTHER;
    params[LOAD_FLAGS] |= LOADED_HIGH;
    put(&mut params, COMMAND_LINE_AT, COMMAND_LINE as u32);
    params[E820_ENTRIES] = map.len() as u8;
    for (n, range) in map.iter().enumerate() {
        let at = E820_TABLE + 20 * n;
        params[at..at + 8].copy_from_slice(&range.start.to_le_bytes());
        params[at + 8..at + 16].copy_from_slice(&(range.end - range.start).to_le_bytes());
        // Memory.
        put(&mut params, at + 16, 1);
    }
    Some(params)
}

/// `struct hvm_start_info` and what it refers to.
fn start_info(initrd: Option<&Load>, map: &[Range<u64>]) -> Vec<Load> {
    let mut info = Vec::new();
    let modules = initrd.map_or((0, 0), |_| (1, MODULES));
    [START_MAGIC, START_VERSION, 0, modules.0].iter().for_each(|v: &u32| info.extend(v.to_le_bytes()));
    // The modules, the command line, no ACPI, the map.
    [modules.1, COMMAND_LINE, 0, MEMORY_MAP].iter().for_each(|v: &u64| info.extend(v.to_le_bytes()));
    [map.len() as u32, 0].iter().for_each(|v: &u32| info.extend(v.to_le_bytes()));
    let mut ranges = Vec::new();
    for range in map {
        [range.start, range.end - range.start, 1].iter().for_each(|v: &u64| ranges.extend(v.to_le_bytes()));
    }
    let mut loads = vec![Load::whole("start information", START_INFO, info), Load::whole("map of memory", MEMORY_MAP, ranges)];
    if let Some(disk) = initrd {
        let mut module = Vec::new();
        [disk.address, disk.data().len() as u64, 0, 0].iter().for_each(|v: &u64| module.extend(v.to_le_bytes()));
        loads.push(Load::whole("list of modules", MODULES, module));
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn memory() -> Memory {
        Memory { ram: 0..64 << 20, rom: 0xffff_0000..0x1_0000_0000, others: vec![] }
    }

    /// A bzImage of two setup sectors whose code is "kernel".
    fn bz_image(protocol: u16) -> Kernel {
        let mut bytes = vec![0; 2 * 512];
        bytes[SETUP_SECTORS] = 1;
        bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        bytes[0x200..0x202].copy_from_slice(&[0xeb, 0x66]);
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[PROTOCOL..PROTOCOL + 2].copy_from_slice(&protocol.to_le_bytes());
        put(&mut bytes, INITRD_MAX, 0x37ff_ffff);
        bytes.extend(b"kernel");
        Kernel::from_bytes(Path::new("bzImage"), bytes, 1 << 20).unwrap()
    }

    fn given(kernel: Kernel) -> Given {
        Given { kernel, initrd: Some(vec![7; 5000]), command_line: "console=ttyS0".into() }
    }

    #[test]
    fn a_bz_image_finds_its_parameters() {
        let map = usable(64 << 20, Some(4 << 30..5 << 30));
        let (loads, entry) = plan(given(bz_image(0x20f)), &memory(), &map).unwrap();
        let load = |name: &str| loads.iter().find(|l| l.name == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((entry.pc, entry.registers[6], entry.page_tables), (HIGH_START, BOOT_PARAMS, None));
        assert_eq!((load("kernel").address, load("kernel").data()), (HIGH_START, &b"kernel"[..]));
        assert_eq!(load("command line").data(), b"console=ttyS0\0");
        let params = load("boot parameters").data();
        assert_eq!(&params[0x202..0x206], b"HdrS");
        assert_eq!((params[LOADER], params[E820_ENTRIES], word(params, COMMAND_LINE_AT)), (0xff, 3, COMMAND_LINE as u32));
        let disk = load("initial RAM disk");
        assert_eq!((u64::from(word(params, RAMDISK_IMAGE)), word(params, RAMDISK_SIZE)), (disk.address, 5000));
        assert_eq!(disk.address, (64 << 20) - 0x2000);
        // The last of the map: 1 GiB at 4 GiB.
        assert_eq!((word(params, E820_TABLE + 44), word(params, E820_TABLE + 48), word(params, E820_TABLE + 56)), (1, 1 << 30, 1));
    }

    #[test]
    fn what_cannot_be_entered_is_refused() {
        let refused = |kernel: Kernel, want: &str| {
            let error = plan(given(kernel), &memory(), &usable(64 << 20, None)).err().unwrap().to_string();
            assert!(error.contains(want), "{error}");
        };
        refused(bz_image(0x200), "older than");
        let mut cut = bz_image(0x20f);
        cut.bytes.truncate(1024);
        refused(cut, "missing");
        refused(Kernel::from_bytes(Path::new("x"), b"nothing known".to_vec(), 100).unwrap(), "neither");
        let mut small = given(bz_image(0x20f));
        small.initrd = Some(vec![0; 64 << 20]);
        assert!(plan(small, &memory(), &usable(64 << 20, None)).err().unwrap().to_string().contains("-m"));
    }
}
