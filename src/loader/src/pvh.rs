//! The note by which an ELF kernel says where its PVH entry is: 32-bit protected mode without
//! paging, EBX at a start information structure (Xen's docs/misc/pvh.pandoc and
//! xen/include/public/arch-x86/hvm/start_info.h).

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};

/// Owner and type of the note.
const OWNER: &[u8] = b"Xen";
const PHYS32_ENTRY: u32 = 18;

/// The guest physical address of the PVH entry of an ELF file, where it has one.
pub fn pvh_entry(bytes: &[u8]) -> Option<u64> {
    match bytes.get(4) {
        Some(1) => find::<FileHeader32<Endianness>>(bytes),
        Some(2) => find::<FileHeader64<Endianness>>(bytes),
        _ => None,
    }
}

fn find<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Option<u64> {
    let header = H::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    for ph in header.program_headers(endian, bytes).ok()?.iter().filter(|ph| ph.p_type(endian) == PT_NOTE) {
        let Some(mut notes) = ph.notes(endian, bytes).ok().flatten() else { continue };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == OWNER && note.n_type(endian).0 == PHYS32_ENTRY {
                // Four bytes or eight, by who made the kernel.
                let mut value = [0; 8];
                let n = note.desc().len().min(8);
                value[..n].copy_from_slice(&note.desc()[..n]);
                return Some(u64::from_le_bytes(value)).filter(|at| *at <= u64::from(u32::MAX));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of 32 bits with one program header, a note.
    fn with_note(owner: &[u8; 4], kind: u32, entry: u32) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let half = |f: &mut Vec<u8>, v: u16| f.extend(v.to_le_bytes());
        let word = |f: &mut Vec<u8>, v: u32| f.extend(v.to_le_bytes());
        half(&mut file, 2);
        half(&mut file, 3);
        for v in [1, 0, 52, 0, 0] {
            word(&mut file, v);
        }
        for v in [52, 32, 1, 0, 0, 0] {
            half(&mut file, v);
        }
        for v in [4, 84, 0, 0, 20, 20, 4, 4] {
            word(&mut file, v);
        }
        for v in [4, 4, kind] {
            word(&mut file, v);
        }
        file.extend(owner);
        word(&mut file, entry);
        file
    }

    #[test]
    fn the_entry_is_the_notes() {
        assert_eq!(pvh_entry(&with_note(b"Xen\0", 18, 0x10_0040)), Some(0x10_0040));
        assert_eq!(pvh_entry(&with_note(b"Xen\0", 17, 0x10_0040)), None);
        assert_eq!(pvh_entry(&with_note(b"GNU\0", 18, 0x10_0040)), None);
        let whole = with_note(b"Xen\0", 18, 1);
        assert!((0..whole.len()).all(|n| pvh_entry(&whole[..n]).is_none()));
    }
}
