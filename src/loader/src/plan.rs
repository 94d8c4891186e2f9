//! Where the bytes of an image go in guest memory.

use std::ops::Range;

use crate::elf::ElfImage;
use crate::error::Defect;
use crate::image::Image;

/// What the machine knows about its memory when it loads an image.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Guest addresses of the RAM that images without addresses of their own go to.
    pub ram: Range<u64>,
    /// Where, from the start of that RAM, an image without any header goes (0x80000 on AArch64,
    /// 0x10000 on 32-bit Arm).
    pub raw_offset: u64,
    /// From an ELF file's addresses to physical ones, for machines whose kernels are linked at
    /// addresses that no physical memory has (KSEG0 on MIPS). The entry then stays virtual.
    pub translate: Option<fn(u64) -> u64>,
}

/// How the image expects to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// At its entry, with nothing in the registers.
    Bare,
    /// As the architecture's Linux boot protocol says (device tree in x0 or r2, ...).
    Linux,
}

/// A piece of the image and its guest address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest physical address of the first byte.
    pub address: u64,
    /// Which bytes of the (expanded) file go there; always inside it.
    pub data: Range<usize>,
    /// Zero bytes that follow them in memory.
    pub zero: u64,
}

impl Segment {
    /// The guest addresses it occupies. (Its end never wraps: such an image is refused.)
    pub fn range(&self) -> Range<u64> {
        let size = (self.data.len() as u64).saturating_add(self.zero);
        self.address..self.address.saturating_add(size)
    }
}

/// What goes where, and where execution starts. Segments do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadPlan {
    /// The pieces, by ascending address.
    pub segments: Vec<Segment>,
    /// First guest address used and one past the last, with what the kernel asks to have free
    /// behind itself: the initial RAM disk and the device tree go outside.
    pub occupied: Range<u64>,
    /// Address of the first instruction.
    pub entry: u64,
    /// How it expects to be entered.
    pub protocol: Protocol,
}

impl LoadPlan {
    /// Plans for an image of `size` bytes.
    pub fn new(image: &Image, size: usize, placement: &Placement) -> Result<Self, Defect> {
        let ram = &placement.ram;
        match image {
            Image::Elf(elf) => elf_plan(elf, placement),
            Image::LinuxArm64(header) => single("kernel", header.load_offset(), 0..size, header.image_size, ram),
            Image::LinuxArm(_) => single("kernel", placement.raw_offset, 0..size, 0, ram),
            Image::Raw => single("image", placement.raw_offset, 0..size, 0, ram),
            Image::UImage(u) => {
                let offset = match u.load {
                    Some(load) => load.wrapping_sub(ram.start),
                    None => placement.raw_offset,
                };
                let mut plan = single("uImage kernel", offset, u.payload.clone(), 0, ram)?;
                plan.entry = match u.load {
                    Some(_) => u.entry,
                    None => plan.occupied.start.wrapping_add(u.entry),
                };
                Ok(plan)
            }
            Image::LinuxX86(_) => Err(Defect::Unsupported("an x86 bzImage, which this machine's processor cannot run".into())),
            Image::DeviceTree => Err(Defect::Unsupported("a flattened device tree, not a kernel; give it with -dtb".into())),
        }
    }

    /// Refuses a plan with a piece outside all of these guest address ranges.
    pub fn check_within(&self, regions: &[Range<u64>]) -> Result<(), Defect> {
        let outside =
            self.segments.iter().map(Segment::range).find(|piece| !regions.iter().any(|region| region.start <= piece.start && piece.end <= region.end));
        let (Some(piece), Some(first)) = (outside, regions.first()) else {
            return Ok(());
        };
        // Of several regions, the one that the piece begins in says most.
        let region = regions.iter().find(|r| r.contains(&piece.start)).unwrap_or(first);
        Err(does_not_fit("segment", piece, region))
    }
}

fn does_not_fit(what: &'static str, piece: Range<u64>, ram: &Range<u64>) -> Defect {
    Defect::DoesNotFit { what, start: piece.start, end: piece.end, ram_start: ram.start, ram_end: ram.end }
}

/// An image of one piece that goes `offset` bytes into RAM and needs `memory` bytes there.
fn single(what: &'static str, offset: u64, data: Range<usize>, memory: u64, ram: &Range<u64>) -> Result<LoadPlan, Defect> {
    let start = ram.start.wrapping_add(offset);
    let needs = memory.max(data.len() as u64);
    let end = start.saturating_add(needs);
    if start < ram.start || end > ram.end {
        return Err(does_not_fit(what, start..end, ram));
    }
    Ok(LoadPlan { segments: vec![Segment { address: start, data, zero: 0 }], occupied: start..end, entry: start, protocol: Protocol::Linux })
}

fn elf_plan(elf: &ElfImage, placement: &Placement) -> Result<LoadPlan, Defect> {
    let bad = |what: String| Defect::malformed("ELF file", what);
    let mut segments: Vec<Segment> = elf
        .segments
        .iter()
        .map(|s| Segment {
            address: placement.translate.map_or(s.paddr, |translate| translate(s.paddr)),
            data: s.file.clone(),
            zero: s.memsz - s.file.len() as u64,
        })
        .collect();
    segments.sort_by_key(|s| s.address);
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Err(bad("it has no segment to load; is it an object file rather than a program?".into()));
    };
    for s in &segments {
        if s.address.checked_add(s.data.len() as u64 + s.zero).is_none() {
            return Err(bad(format!("segment at {:#x} wraps around the address space", s.address)));
        }
    }
    for pair in segments.windows(2) {
        if pair[0].range().end > pair[1].address {
            let (a, b) = (pair[0].address, pair[1].address);
            return Err(bad(format!("segments at {a:#x} and {b:#x} overlap in physical memory")));
        }
    }
    Ok(LoadPlan {
        occupied: first.address..last.range().end,
        entry: if placement.translate.is_some() { elf.entry } else { elf.physical_entry() },
        protocol: Protocol::Bare,
        segments,
    })
}
