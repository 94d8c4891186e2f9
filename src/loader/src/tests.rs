use std::io::Write;
use std::ops::Range;
use std::path::Path;

use flate2::{Compression, Crc, write::GzEncoder};
use proptest::prelude::*;

use super::*;

const RAM: Range<u64> = 0x4000_0000..0x4800_0000;
const LIMIT: u64 = 0x800_0000;

fn placement() -> Placement {
    Placement { ram: RAM, raw_offset: 0x8_0000, translate: None }
}

fn plan(bytes: &[u8]) -> Result<LoadPlan, String> {
    let kernel = Kernel::from_bytes(Path::new("k"), bytes.to_vec(), LIMIT);
    kernel.and_then(|k| k.plan(&placement())).map_err(|e| e.to_string())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn linux_image(text_offset: u64, image_size: u64) -> Vec<u8> {
    let mut bytes = vec![0; 0x1000];
    bytes[8..16].copy_from_slice(&text_offset.to_le_bytes());
    bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
    bytes[24] = 0b1010;
    bytes[56..60].copy_from_slice(b"ARM\x64");
    bytes
}

struct Load {
    paddr: u64,
    vaddr: u64,
    offset: u64,
    filesz: u64,
    memsz: u64,
}

/// An ELF file of 0x1000 bytes with these segments.
fn elf(is_64: bool, big_endian: bool, entry: u64, loads: &[Load]) -> Vec<u8> {
    let mut out = Vec::new();
    let put = |out: &mut Vec<u8>, value: u64, size: usize| {
        if big_endian {
            out.extend(&value.to_be_bytes()[8 - size..]);
        } else {
            out.extend(&value.to_le_bytes()[..size]);
        }
    };
    let word = if is_64 { 8 } else { 4 };
    out.extend([0x7f, b'E', b'L', b'F', 1 + is_64 as u8, 1 + big_endian as u8, 1]);
    out.resize(16, 0);
    let (ehsize, phsize) = if is_64 { (64, 56) } else { (52, 32) };
    let machine = if is_64 { 183 } else { 8 };
    for (value, size) in [(2, 2), (machine, 2), (1, 4), (entry, word), (ehsize, word), (0, word)] {
        put(&mut out, value, size);
    }
    for (value, size) in [(0, 4), (ehsize, 2), (phsize, 2), (loads.len() as u64, 2), (0, 2), (0, 2), (0, 2)] {
        put(&mut out, value, size);
    }
    for l in loads {
        put(&mut out, 1, 4);
        if is_64 {
            put(&mut out, 5, 4);
        }
        for value in [l.offset, l.vaddr, l.paddr, l.filesz, l.memsz] {
            put(&mut out, value, word);
        }
        if !is_64 {
            put(&mut out, 5, 4);
        }
        put(&mut out, 0x1000, word);
    }
    out.resize(0x1000, 0xee);
    out
}

fn u_image(kind: u8, compression: u8, load: u32, entry: u32, payload: &[u8]) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    let mut bytes = vec![0; 64];
    let words = [(0, 0x2705_1956), (12, payload.len() as u32), (16, load), (20, entry), (24, crc(payload))];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&u32::to_be_bytes(word));
    }
    bytes[28..32].copy_from_slice(&[5, 22, kind, compression]);
    let sum = crc(&bytes);
    bytes[4..8].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn zboot(compression: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[4..8].copy_from_slice(b"zimg");
    bytes[8..12].copy_from_slice(&64u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[24..24 + compression.len()].copy_from_slice(compression);
    bytes.extend(payload);
    bytes
}

#[test]
fn linux_images_go_where_the_boot_protocol_says() {
    for (text_offset, image_size, entry, end) in
        [(0x8_0000, 0, 0x4008_0000, 0x4008_1000), (0, 0x200_0000, 0x4020_0000, 0x4220_0000), (0x8_0000, 0x10_0000, 0x4008_0000, 0x4018_0000)]
    {
        let plain = linux_image(text_offset, image_size);
        let wrapped = [plain.clone(), gzip(&plain), zboot(b"gzip", &gzip(&plain))];
        for bytes in wrapped {
            let plan = plan(&bytes).unwrap();
            assert_eq!(plan.entry, entry);
            assert_eq!(plan.occupied, entry..end);
            assert_eq!(plan.protocol, Protocol::Linux);
            assert_eq!(plan.segments, [Segment { address: entry, data: 0..0x1000, zero: 0 }]);
        }
    }
    let Image::LinuxArm64(header) = identify(&linux_image(0, 1)).unwrap() else { panic!() };
    assert_eq!((header.flags, header.big_endian), (0b1010, false));
}

#[test]
fn gzip_with_padding_behind_it_is_expanded() {
    for padding in [vec![0; 512], vec![0, 0x10, 0, 0], gzip(b"x")] {
        let mut bytes = gzip(&linux_image(0, 1));
        bytes.extend(padding);
        assert_eq!(plan(&bytes).unwrap().occupied, 0x4020_0000..0x4020_1000);
    }
}

#[test]
fn elf_segments_go_to_their_physical_addresses() {
    for (is_64, big_endian) in [(true, false), (true, true), (false, false), (false, true)] {
        let loads = [
            Load { paddr: 0x4010_0000, vaddr: 0x8010_0000, offset: 0x200, filesz: 0x80, memsz: 0x100 },
            Load { paddr: 0x4000_0000, vaddr: 0x8000_0000, offset: 0x100, filesz: 0x40, memsz: 0x40 },
            Load { paddr: 0x4020_0000, vaddr: 0x8020_0000, offset: 0, filesz: 0, memsz: 0x1000 },
            Load { paddr: 0x4000_0000, vaddr: 0x8000_0000, offset: 0x100, filesz: 0, memsz: 0 },
        ];
        let bytes = elf(is_64, big_endian, 0x8010_0010, &loads);
        let plan = plan(&bytes).unwrap();
        let segment = |address, data, zero| Segment { address, data, zero };
        assert_eq!(plan.segments, [segment(0x4000_0000, 0x100..0x140, 0), segment(0x4010_0000, 0x200..0x280, 0x80), segment(0x4020_0000, 0..0, 0x1000),]);
        assert_eq!(plan.entry, 0x4010_0010, "a virtual entry moves with its segment");
        assert_eq!(plan.occupied, 0x4000_0000..0x4020_1000);
        assert_eq!(plan.protocol, Protocol::Bare);
        assert!(plan.check_within(std::slice::from_ref(&RAM)).is_ok());
        assert!(plan.check_within(&[0..0x1000, 0x4000_0000..0x4020_0800]).is_err());
        let kseg0 = Placement { translate: Some(|a| a & 0x1fff_ffff), ..placement() };
        let kernel = Kernel::from_bytes(Path::new("k"), bytes, LIMIT).unwrap();
        let plan = kernel.plan(&kseg0).unwrap();
        assert_eq!((plan.entry, plan.segments[0].address), (0x8010_0010, 0));
    }
}

#[test]
fn u_images() {
    let payload = [7; 100];
    let plain = plan(&u_image(2, 0, 0x4010_0000, 0x4010_0040, &payload)).unwrap();
    assert_eq!((plain.entry, plain.segments[0].data.clone()), (0x4010_0040, 64..164));
    let packed = plan(&u_image(2, 1, 0x4010_0000, 0x4010_0040, &gzip(&payload))).unwrap();
    assert_eq!((packed.entry, packed.segments[0].data.clone()), (0x4010_0040, 0..100));
    let anywhere = plan(&u_image(14, 0, 0, 8, &payload)).unwrap();
    assert_eq!(anywhere.entry, 0x4008_0008);
}

#[test]
fn architecture_is_known_from_the_file() {
    let of = |bytes: &[u8]| identify(bytes).unwrap().architecture();
    let mips = |is_64, big_endian| Some(Architecture::Mips { is_64, big_endian });
    assert_eq!(of(&linux_image(0, 0)), Some(Architecture::Aarch64));
    assert_eq!(of(&elf(true, false, 0, &[])), Some(Architecture::Aarch64));
    assert_eq!(of(&elf(false, true, 0, &[])), mips(false, true));
    assert_eq!(of(&u_image(2, 0, 0, 0, &[])), Some(Architecture::Aarch64));
    let mut zimage = vec![0; 0x40];
    zimage[0x24..0x28].copy_from_slice(&0x016f_2818u32.to_le_bytes());
    assert_eq!(of(&zimage), Some(Architecture::Arm));
    let mut bzimage = vec![0; 0x400];
    bzimage[0x1fe..0x206].copy_from_slice(b"\x55\xaa\xeb\x66HdrS");
    assert_eq!(of(&bzimage), Some(Architecture::X86_64));
    assert_eq!(of(b"hello"), None);
}

#[test]
fn hostile_files_are_refused_in_one_line_that_names_them() {
    let load = |paddr, offset, filesz, memsz| Load { paddr, vaddr: paddr, offset, filesz, memsz };
    let one = |l| elf(true, false, 0, &[l]);
    let mut bad_crc = u_image(2, 0, 0x4000_0000, 0x4000_0000, &[1, 2, 3]);
    bad_crc[66] = 9;
    let mut cut_gzip = gzip(&linux_image(0, 0));
    cut_gzip.truncate(20);
    let mut beyond = zboot(b"gzip", &[]);
    beyond[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (one(load(0x4000_0000, 0x100, u64::MAX, u64::MAX)), "segment ends at byte"),
        (one(load(0x4000_0000, u64::MAX, 0x10, 0x10)), "segment ends at byte"),
        (one(load(0x4000_0000, 0x100, 0x20, 0x10)), "0x20 bytes in the file, 0x10 in memory"),
        (one(load(u64::MAX - 3, 0, 0, 0x10)), "wraps around"),
        (elf(true, false, 0, &[]), "no segment to load"),
        (elf(true, false, 0, &[load(0x1000, 0, 0x20, 0x20), load(0x1010, 0, 1, 1)]), "segments at 0x1000 and 0x1010 overlap"),
        (b"\x7fELF".to_vec(), "ELF header"),
        (b"\x7fELF\x02\x01\x01".to_vec(), "corrupt ELF file"),
        (b"\x7fELF\x07".to_vec(), "class 7"),
        (linux_image(0, u64::MAX), "does not fit in guest memory"),
        (linux_image(u64::MAX, 1), "does not fit in guest memory"),
        (linux_image(0, LIMIT), "give the guest more with -m"),
        (gzip(&vec![0; LIMIT as usize + 1]), "larger than the guest memory"),
        (zboot(b"gzip", &gzip(&vec![0; LIMIT as usize + 1])), "larger than the guest memory"),
        (u_image(2, 1, 0, 0, &gzip(&vec![0; LIMIT as usize + 1])), "larger than the guest memory"),
        (cut_gzip, "corrupt gzip"),
        (zboot(b"zstd22\nx", &[1]), "compressed with \"zstd22?x\""),
        (beyond, "EFI zboot payload ends at byte"),
        (bad_crc, "payload checksum"),
        (u_image(3, 0, 0, 0, &[]), "type 3 is not a kernel"),
        (u_image(2, 0, 0x1000, 0, &[1]), "uImage kernel at 0x1000..0x1001 does not fit"),
        (0x2705_1956u32.to_be_bytes().to_vec(), "uImage header"),
        (fdt::Tree::new().to_bytes().unwrap(), "-dtb"),
    ];
    for (bytes, says) in cases {
        let error = plan(&bytes).map(|_| ()).expect_err(says);
        assert!(error.starts_with("k: ") && error.contains(says), "{says}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn files_are_read_up_to_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kernel\nx");
    std::fs::write(&path, gzip(&linux_image(0, 0))).unwrap();
    let kernel = load_kernel_file(&path, 0x1000).unwrap();
    assert_eq!(kernel.bytes.len(), 0x1000);
    for (path, limit, says) in [
        (path.as_path(), 0xfff, "kernel?x: larger than"),
        (Path::new("/dev/zero"), 0x1000, "/dev/zero: larger than"),
        (dir.path(), 0x1000, "cannot read: Is a directory"),
        (&dir.path().join("none"), 0x1000, "cannot read: No such file"),
    ] {
        let error = load_kernel_file(path, limit).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

fn samples() -> Vec<Vec<u8>> {
    let load = |paddr| Load { paddr, vaddr: paddr, offset: 0x100, filesz: 0x40, memsz: 0x80 };
    vec![
        elf(true, false, 0, &[load(0x4000_0000), load(0x4100_0000)]),
        elf(false, true, 0, &[load(0x4000_0000)]),
        linux_image(0, 0x1_0000),
        gzip(&linux_image(0, 0)),
        zboot(b"gzip", &gzip(&linux_image(0, 0))),
        u_image(2, 1, 0x4000_0000, 0x4000_0000, &gzip(&[1; 100])),
        vec![],
    ]
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut samples = samples();
        let mut bytes = samples.swap_remove(which.index(7));
        let size = bytes.len();
        for (at, value) in changes {
            // Headers are short; damage to payloads is of no interest.
            if size > 0 {
                bytes[at.index(size.min(256))] = value;
            }
        }
        bytes.truncate(keep.index(size * 4 + 1).min(size));
        match Kernel::from_bytes(Path::new("k"), bytes, LIMIT).and_then(|k| {
            k.plan(&placement()).map(|plan| (k.bytes.len(), plan))
        }) {
            Ok((size, plan)) => for s in &plan.segments {
                prop_assert!(s.data.end <= size);
                prop_assert!(s.range().end <= plan.occupied.end);
            },
            Err(e) => prop_assert_eq!(e.to_string().lines().count(), 1),
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = plan(&bytes);
        let _ = fdt::parse(&bytes);
    }
}
