use std::path::Path;

use super::*;

const MEMORY: &[(u64, u64)] = &[(0, 64 << 20), (4 << 30, 16 << 20)];

fn given<'a>(cmdline: &'a str, initrd: &'a [u8]) -> Given<'a> {
    Given { cmdline, initrd, memory: MEMORY, acpi: None }
}

fn kernel(bytes: Vec<u8>) -> Kernel {
    Kernel::from_bytes(Path::new("kernel"), bytes, 1 << 30).unwrap()
}

fn word(d: &Direct, at: u64, bytes: u64) -> u64 {
    let piece = d.pieces.iter().find(|p| (p.address..p.address + p.bytes.len() as u64).contains(&at)).unwrap_or_else(|| panic!("nothing at {at:#x}"));
    (0..bytes).fold(0, |n, i| n | u64::from(piece.bytes[(at - piece.address + i) as usize]) << (8 * i))
}

fn bz_image() -> Vec<u8> {
    let mut bytes = vec![0x90; 1024 + 1000];
    bytes[0x1f1..0x268].fill(0);
    for (at, value) in [
        (0x1f1, &[1][..]),
        (0x1fe, &[0x55, 0xaa, 0xeb, 0x66]),
        (0x202, b"HdrS"),
        (0x206, &[0x0f, 2]),
        (0x211, &[1]),
        (0x22c, &[0xff, 0xff, 0xff, 0x7f]),
        (0x236, &[1]),
    ] {
        bytes[at..at + value.len()].copy_from_slice(value);
    }
    bytes[0x260..0x264].copy_from_slice(&0x20_0000u32.to_le_bytes());
    bytes
}

/// A 32-bit ELF file with one segment of 16 bytes at 1 MiB, and if wanted a note with the PVH entry.
fn elf(note: bool) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 1, 1, 1];
    bytes.resize(16, 0);
    let half = |b: &mut Vec<u8>, n: u16| b.extend(n.to_le_bytes());
    let word = |b: &mut Vec<u8>, n: u32| b.extend(n.to_le_bytes());
    half(&mut bytes, 2);
    half(&mut bytes, 3);
    [1, 0x10_0004, 52, 0, 0].iter().for_each(|n| word(&mut bytes, *n));
    [52, 32, 1 + u16::from(note), 40, 0, 0].iter().for_each(|n| half(&mut bytes, *n));
    // PT_LOAD: offset, virtual, physical, in the file, in memory, flags, alignment.
    [1, 0x100, 0x10_0000, 0x10_0000, 16, 0x2000, 5, 4].iter().for_each(|n| word(&mut bytes, *n));
    if note {
        [4, 0x200, 0, 0, 20, 20, 4, 4].iter().for_each(|n| word(&mut bytes, *n));
    }
    bytes.resize(0x200, 0xf4);
    [4, 4, 18].iter().for_each(|n| word(&mut bytes, *n));
    bytes.extend(b"Xen\0");
    word(&mut bytes, 0x10_0008);
    bytes
}

#[test]
fn linux_finds_its_parameters_by_the_64_bit_entry() {
    let d = direct(&kernel(bz_image()), &given("quiet", &[7; 5000])).unwrap().unwrap();
    assert_eq!(d.start, Start { pc: 0x10_0200, page_tables: Some(0x9000), gdt: (0x500, 31), rax: 0, rbx: 0, rsi: 0x7000 });
    assert_eq!((d.plan.segments[0].address, d.plan.segments[0].data.clone(), d.plan.segments[0].zero), (0x10_0000, 1024..2024, 0x20_0000 - 1000));
    assert_eq!((word(&d, 0x7000 + 0x202, 4), word(&d, 0x7000 + 0x210, 1), word(&d, 0x7000 + 0x228, 4)), (0x5372_6448, 0xff, 0x2_0000));
    let initrd = (64 << 20) - 8192;
    assert_eq!((word(&d, 0x7000 + 0x218, 4), word(&d, 0x7000 + 0x21c, 4), word(&d, initrd, 1), word(&d, 0x2_0000, 5)), (initrd, 5000, 7, 0x74_6569_7571));
    // Memory: below 640 KiB, from 1 MiB, and above 4 GiB.
    let entry = |n: u64| [0, 8].map(|at| word(&d, 0x7000 + 0x2d0 + 20 * n + at, 8));
    assert_eq!((word(&d, 0x71e8, 1), entry(0), entry(1), entry(2)), (3, [0, 0x9_fc00], [MIB, 63 * MIB], [4 << 30, 16 * MIB]));
    // The page tables map each address to itself; code is 64-bit.
    let table = |at: u64, n: u64| word(&d, (at & !0xfff) + 8 * n, 8);
    let page = table(table(table(0x9000, 0), 3), 511);
    assert_eq!((page & !0xfff, page & 0x83), (0xffe0_0000, 0x83));
    assert_eq!(word(&d, 0x500 + u64::from(CODE), 8) >> 53 & 3, 1);
}

#[test]
fn an_elf_file_with_a_note_is_entered_by_pvh() {
    let d = direct(&kernel(elf(true)), &given("a b", &[1, 2, 3])).unwrap().unwrap();
    assert_eq!(d.start, Start { pc: 0x10_0008, gdt: (0x500, 31), rbx: 0x6000, ..Start::default() });
    assert_eq!((d.plan.entry, d.plan.segments[0].address, d.plan.segments[0].zero), (0x10_0008, 0x10_0000, 0x2000 - 16));
    assert_eq!([0, 4, 12].map(|at| word(&d, 0x6000 + at, 4)), [0x336e_c578, 1, 1]);
    let module = word(&d, 0x6010, 8);
    assert_eq!((word(&d, module, 8), word(&d, module + 8, 8), word(&d, word(&d, module, 8), 3)), ((64 << 20) - 4096, 3, 0x03_0201));
    assert_eq!((word(&d, 0x6018, 8), word(&d, 0x2_0000, 4)), (0x2_0000, 0x62_2061));
    let map = word(&d, 0x6028, 8);
    assert_eq!((word(&d, 0x6030, 4), word(&d, map + 24, 8), word(&d, map + 32, 8), word(&d, map + 40, 4)), (3, MIB, 63 * MIB, 1));
    assert_eq!(direct(&kernel(elf(false)), &given("", &[])).unwrap(), None);
}

#[test]
fn a_multiboot_kernel_finds_its_information() {
    let header = |flags: u32, more: &[u32]| {
        let magic = 0x1bad_b002u32;
        let words = [&[magic, flags, 0u32.wrapping_sub(magic).wrapping_sub(flags)], more].concat();
        let mut bytes = vec![0; 64];
        bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        bytes.resize(256, 0x90);
        bytes
    };
    let addresses = [0x10_0040, 0x10_0000, 0, 0x10_1000, 0x10_0080];
    let d = direct(&kernel(header(0x1_0003, &addresses)), &given("x", &[9])).unwrap().unwrap();
    assert_eq!(d.start, Start { pc: 0x10_0080, gdt: (0x500, 31), rax: 0x2bad_b002, rbx: 0x6000, ..Start::default() });
    assert_eq!((d.plan.segments[0].address, d.plan.segments[0].data.clone(), d.plan.segments[0].zero), (0x10_0000, 0..256, 0xf00));
    assert_eq!([0, 8, 16, 20].map(|at| word(&d, 0x6000 + at, 4)), [0x4d, 63 * 1024, 0x2_0000, 1]);
    let (module, map) = (word(&d, 0x6018, 4), word(&d, 0x6030, 4));
    assert_eq!((word(&d, word(&d, module, 4), 1), word(&d, module + 4, 4) - word(&d, module, 4)), (9, 1));
    assert_eq!((word(&d, 0x602c, 4), word(&d, map, 4), word(&d, map + 24 + 4, 8), word(&d, map + 24 + 12, 8)), (72, 20, MIB, 63 * MIB));
    // Within an ELF file, whose addresses count.
    let mut in_elf = elf(false);
    in_elf[0x100..0x10c].copy_from_slice(&header(0, &[])[64..76]);
    assert_eq!(direct(&kernel(in_elf), &given("", &[])).unwrap().unwrap().start.pc, 0x10_0004);
    for (want, bytes) in [
        ("features 0x4", header(4, &[])),
        ("neither an ELF", header(0, &[])),
        ("before the file", header(0x1_0000, &[0x10_0000, 0, 0, 0, 0])),
        ("Multiboot image", header(0x1_0000, &[0x10_0040, 0x10_0000, 0x20_0000, 0, 0])),
    ] {
        let text = direct(&kernel(bytes), &given("", &[])).unwrap_err().to_string();
        assert!(text.contains(want), "{want}: {text}");
    }
}

#[test]
fn each_protocol_leads_to_the_acpi_tables() {
    let files = acpi::tests::microvm(255).files();
    let with = Given { acpi: Some(&files), ..given("", &[]) };
    for (bytes, pointer) in [(bz_image(), 0x7070), (elf(true), 0x6020)] {
        assert_eq!(word(&direct(&kernel(bytes.clone()), &given("", &[])).unwrap().unwrap(), pointer, 8), 0);
        let d = direct(&kernel(bytes), &with).unwrap().unwrap();
        let at = word(&d, pointer, 8);
        assert_eq!(word(&d, at, 8).to_le_bytes(), *b"RSD PTR ");
        let tables = d.pieces.iter().find(|p| p.name == "ACPI tables").unwrap();
        // Where kernels look that are not told, and below the end of it.
        assert!(at.is_multiple_of(16) && tables.address >= 0xe_0000 && tables.address + tables.bytes.len() as u64 <= 0xf_fff0);
        // The jump to firmware's reset: LIDT's operand is in the segment F000h, and has the limit 0.
        let operand = word(&d, 0xf_fff4, 2);
        assert_eq!((word(&d, 0xf_fff0, 4), word(&d, 0xf_0000 + operand, 2)), (0x1e01_0f2e, 0));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let long = "x".repeat(0x1_0000);
    let small = Given { cmdline: "", initrd: &[], memory: &[(0, 2 << 20)], acpi: None };
    let mut old = bz_image();
    old[0x236] = 0;
    for (want, result) in [
        ("-append has", direct(&kernel(bz_image()), &given(&long, &[]))),
        ("64-bit entry", direct(&kernel(old), &given("", &[]))),
        ("kernel at", direct(&kernel(bz_image()), &small)),
        ("initial RAM disk", direct(&kernel(bz_image()), &given("", &vec![0; 62 << 20]))),
    ] {
        assert!(result.unwrap_err().to_string().contains(want), "{want}");
    }
}
