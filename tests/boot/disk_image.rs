//! Disks that the built-in firmware boots from: FAT made with mtools, bare or in a GPT partition.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::rig::tool;

const SECTOR: u64 = 512;
/// Where the partition begins: the first mebibyte is for the table.
const FIRST: u64 = 2048;

/// How the file system lies on the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// From the first sector.
    Fat,
    /// In the only partition of a GPT.
    GptFat,
}

/// Makes a disk of `size` bytes with these files; `None` if mtools are missing.
pub fn make(test: &str, path: &Path, layout: Layout, size: u64, files: &[(&Path, &str)]) -> Option<()> {
    let disk = File::create(path).and_then(|f| f.set_len(size).map(|()| f)).expect("a disk image");
    let name = path.to_str().expect("a name in UTF-8");
    let sectors = size / SECTOR;
    let image = match layout {
        Layout::Fat => name.to_owned(),
        Layout::GptFat => {
            write_gpt(&disk, sectors);
            format!("{name}@@{}", FIRST * SECTOR)
        }
    };
    let held = match layout {
        Layout::Fat => sectors,
        Layout::GptFat => sectors - FIRST - 64,
    };
    let mut runs = vec![("mformat", vec!["-i".to_owned(), image.clone(), "-F".into(), "-T".into(), held.to_string(), "::".into()])];
    for (from, to) in files {
        runs.push(("mcopy", vec!["-i".into(), image.clone(), from.display().to_string(), format!("::{to}")]));
    }
    for (program, words) in runs {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = tool(test, program, &words)?;
        assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Some(())
}

/// The table of UEFI 2.10, 5.3, with one partition of the type "basic data".
fn write_gpt(disk: &File, sectors: u64) {
    const BASIC_DATA: [u8; 16] = [0xA2, 0xA0, 0xD0, 0xEB, 0xE5, 0xB9, 0x33, 0x44, 0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7];
    let last_usable = sectors - 34;
    let mut entries = vec![0u8; 128 * 128];
    entries[..16].copy_from_slice(&BASIC_DATA);
    entries[16..32].copy_from_slice(&[7; 16]);
    entries[32..40].copy_from_slice(&FIRST.to_le_bytes());
    entries[40..48].copy_from_slice(&last_usable.to_le_bytes());
    let header = |at: u64, other: u64, table: u64| {
        let mut sector = vec![0u8; SECTOR as usize];
        sector[..8].copy_from_slice(b"EFI PART");
        sector[8..12].copy_from_slice(&0x1_0000u32.to_le_bytes());
        sector[12..16].copy_from_slice(&92u32.to_le_bytes());
        for (n, value) in [(24, at), (32, other), (40, 34), (48, last_usable), (72, table)] {
            sector[n..n + 8].copy_from_slice(&value.to_le_bytes());
        }
        sector[56..72].copy_from_slice(&[9; 16]);
        sector[80..84].copy_from_slice(&128u32.to_le_bytes());
        sector[84..88].copy_from_slice(&128u32.to_le_bytes());
        sector[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let check = crc32(&sector[..92]);
        sector[16..20].copy_from_slice(&check.to_le_bytes());
        sector
    };
    let mut protective = vec![0u8; SECTOR as usize];
    protective[450] = 0xEE;
    protective[454] = 1;
    protective[458..462].copy_from_slice(&(sectors as u32 - 1).to_le_bytes());
    protective[510..].copy_from_slice(&[0x55, 0xAA]);
    let parts = [
        (0, protective),
        (1, header(1, sectors - 1, 2)),
        (2, entries.clone()),
        (sectors - 33, entries.clone()),
        (sectors - 1, header(sectors - 1, 1, sectors - 33)),
    ];
    for (sector, bytes) in parts {
        disk.write_all_at(&bytes, sector * SECTOR).expect("the partition table is written");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 });
    !bytes.iter().fold(!0, fold)
}

#[test]
fn crc32_is_that_of_the_specification() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}
