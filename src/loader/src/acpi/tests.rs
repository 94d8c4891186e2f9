use std::collections::BTreeMap;
use std::process::Command;

use super::files::RSDP_LEN;
use super::microvm::{EventDevice, MicroVm, VirtioSlot};
use super::pc::Pc;
use super::*;

fn apics(cores: u32) -> Apics {
    Apics { ids: (0..cores).collect(), local: 0xfee0_0000, io: 0xfec0_0000 }
}

/// The tables of a board `microvm`.
pub(crate) fn microvm(cores: u32) -> MicroVm {
    MicroVm {
        apics: apics(cores),
        events: EventDevice {
            events: 0xfea0_0000,
            power_button: 2,
            irq: 9,
            sleep_control: 0xfea0_0200,
            sleep_status: 0xfea0_0201,
            soft_off: 5,
            reset: (0xfea0_0202, 0x42),
        },
        isa: vec![IsaDevice { name: "COM1", hid: "PNP0501", uid: 1, ports: vec![(0x3f8, 8)], irq: Some(4) }],
        virtio: vec![VirtioSlot { number: 7, address: 0xfeb0_0e00, len: 0x200, irq: 23 }],
    }
}

fn pc(cores: u32) -> Pc {
    Pc {
        apics: apics(cores),
        pm_base: 0x600,
        smi_command: (0xb2, 0xf1, 0xf0),
        sci: 9,
        reset: (0xcf9, 6),
        century: 0x32,
        pci_memory: (0x8000_0000, 0xfebf_ffff),
        isa_slot: 1,
        pci_irq: |slot, pin| [10, 10, 11, 11][usize::from((slot + pin + 3) % 4)],
        level_irqs: &[5, 10, 11],
        isa: vec![
            IsaDevice { name: "COM1", hid: "PNP0501", uid: 1, ports: vec![(0x3f8, 8)], irq: Some(4) },
            IsaDevice { name: "FWCF", hid: "QEMU0002", uid: 0, ports: vec![(0x510, 12)], irq: None },
        ],
    }
}

/// What firmware does with the commands, in memory of its own: gives the memory, and where the root
/// pointer is. Nothing here knows how the commands are made.
fn firmware(files: &Files) -> (BTreeMap<String, u32>, Vec<u8>) {
    let mut memory = vec![0u8; 0x10_0000];
    let mut places = BTreeMap::new();
    let mut next = 0x1000u32;
    let word = |c: &[u8], at: usize| u32::from_le_bytes(c[at..at + 4].try_into().unwrap());
    let name = |c: &[u8]| String::from_utf8(c.iter().copied().take_while(|b| *b != 0).collect()).unwrap();
    assert_eq!(files.loader.len() % 128, 0);
    for c in files.loader.chunks(128) {
        let first = name(&c[4..60]);
        match word(c, 0) {
            1 => {
                let (align, bytes) = (word(c, 60), if first == TABLES_FILE { &files.tables } else { &files.rsdp });
                assert!(align.is_power_of_two() && matches!(c[64], 1 | 2));
                next = next.next_multiple_of(align);
                memory[next as usize..next as usize + bytes.len()].copy_from_slice(bytes);
                assert_eq!(places.insert(first, next), None);
                next += bytes.len() as u32;
            }
            2 => {
                let (source, at, size) = (name(&c[60..116]), word(c, 116), usize::from(c[120]));
                let at = (places[&first] + at) as usize;
                let mut pointer = [0; 8];
                pointer[..size].copy_from_slice(&memory[at..at + size]);
                let pointer = u64::from_le_bytes(pointer) + u64::from(places[&source]);
                memory[at..at + size].copy_from_slice(&pointer.to_le_bytes()[..size]);
            }
            3 => {
                let base = places[&first] as usize;
                let (result, start, len) = (base + word(c, 60) as usize, base + word(c, 64) as usize, word(c, 68) as usize);
                assert_eq!(memory[result], 0, "summed up twice");
                let sum = memory[start..start + len].iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
                memory[result] = sum.wrapping_neg();
            }
            other => panic!("command {other}"),
        }
    }
    (places, memory)
}

/// All tables by signature, as firmware puts them into memory.
fn tables(files: &Files) -> BTreeMap<String, Vec<u8>> {
    let (places, memory) = firmware(files);
    found(&memory, places[RSDP_FILE] as usize)
}

/// All tables by signature, found from the root pointer on, each with its sum checked.
fn found(memory: &[u8], rsdp: usize) -> BTreeMap<String, Vec<u8>> {
    let word = |at: usize| u32::from_le_bytes(memory[at..at + 4].try_into().unwrap()) as usize;
    let table = |at: usize| memory[at..at + word(at + 4)].to_vec();
    let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    assert_eq!((&memory[rsdp..rsdp + 8], sum(&memory[rsdp..rsdp + 20])), (&b"RSD PTR "[..], 0));
    let rsdt = table(word(rsdp + 16));
    let mut all = BTreeMap::new();
    let mut add = |bytes: Vec<u8>| {
        let name = String::from_utf8(bytes[..4].to_vec()).unwrap();
        assert!(name == "FACS" || sum(&bytes) == 0, "{name}");
        all.insert(name, bytes);
    };
    for entry in rsdt[36..].chunks(4) {
        let at = u32::from_le_bytes(entry.try_into().unwrap()) as usize;
        let bytes = table(at);
        if bytes.starts_with(b"FACP") {
            assert_eq!(word(at + 40), word(at + 140), "both pointers to the DSDT");
            assert_eq!(word(at + 36) % 64, 0);
            [word(at + 36), word(at + 40)].iter().filter(|at| **at != 0).for_each(|at| add(table(*at)));
        }
        add(bytes);
    }
    add(rsdt);
    all
}

#[test]
fn firmware_finds_all_tables_and_their_sums() {
    for cores in [1, 4, 255] {
        let all = tables(&pc(cores).files());
        assert_eq!(all.keys().map(String::as_str).collect::<Vec<_>>(), ["APIC", "DSDT", "FACP", "FACS", "RSDT"]);
        let all = tables(&microvm(cores).files());
        assert_eq!(all.keys().map(String::as_str).collect::<Vec<_>>(), ["APIC", "DSDT", "FACP", "RSDT"]);
    }
}

/// Where no firmware does it, the tables are in memory as firmware would have put them there.
#[test]
fn tables_are_placed_as_firmware_places_them() {
    for files in [pc(3).files(), microvm(3).files()] {
        const AT: usize = 0xe_0000;
        let mut memory = vec![0; AT];
        memory.extend(files.placed(AT as u32));
        let (by_firmware, here) = (tables(&files), found(&memory, AT));
        assert_eq!(by_firmware.keys().collect::<Vec<_>>(), here.keys().collect::<Vec<_>>());
        assert_eq!((by_firmware["DSDT"].clone(), by_firmware["APIC"].clone()), (here["DSDT"].clone(), here["APIC"].clone()));
        assert_eq!(memory.len(), AT + RSDP_LEN.next_multiple_of(64) + files.tables.len());
    }
}

#[test]
fn reduced_hardware_has_its_registers_in_memory() {
    let fadt = &tables(&microvm(1).files())["FACP"];
    let number = |at: usize, len: usize| fadt[at..at + len].iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    assert_eq!((number(8, 1), number(131, 1), number(112, 4)), (6, 5, 0x10_0401));
    let address = |at: usize| (number(at, 1), number(at + 1, 1), number(at + 4, 8));
    assert_eq!((address(116), number(128, 1)), ((0, 8, 0xfea0_0202), 0x42));
    assert_eq!((address(244), address(256)), ((0, 8, 0xfea0_0200), (0, 8, 0xfea0_0201)));
    assert_eq!((46..112).filter(|at| ![109, 110].contains(at)).map(|at| number(at, 1)).sum::<u64>(), 0, "there are no others");
}

#[test]
fn the_multiple_apic_table_has_processors_and_overrides() {
    let madt = &tables(&pc(3).files())["APIC"];
    assert_eq!(madt[36..44], [0, 0, 0xe0, 0xfe, 1, 0, 0, 0]);
    let (mut entries, mut rest) = (vec![], &madt[44..]);
    while let [kind, len, ..] = rest {
        let (entry, after) = rest.split_at(usize::from(*len));
        entries.push((*kind, entry[2..].to_vec()));
        rest = after;
    }
    let of = |kind: u8| entries.iter().filter(|e| e.0 == kind).map(|e| e.1.as_slice()).collect::<Vec<_>>();
    assert_eq!(of(0), [[0, 0, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [2, 2, 1, 0, 0, 0]]);
    assert_eq!(of(1), [[0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]]);
    let overrides = [[0, 0, 2, 0, 0, 0, 0, 0], [0, 5, 5, 0, 0, 0, 13, 0], [0, 9, 9, 0, 0, 0, 13, 0], [0, 10, 10, 0, 0, 0, 13, 0], [0, 11, 11, 0, 0, 0, 13, 0]];
    assert_eq!((of(2), of(4)), (overrides.iter().map(|o| &o[..]).collect(), vec![&[0xff, 0, 0, 1][..]]));
    let many = &tables(&pc(255).files())["APIC"];
    assert_eq!(many.len(), madt.len() + (255 - 3) * 8);
}

/// Intel's compiler reads each table, and compiles what it has read of the DSDT again to the same
/// bytes.
#[test]
fn iasl_reads_the_tables() {
    if Command::new("iasl").arg("-v").output().is_err() {
        eprintln!("SKIPPED iasl_reads_the_tables: iasl is missing; apt-get install acpica-tools");
        return;
    }
    let boards = [
        (tables(&pc(2).files()), &["Device (PCI0)", "_PRT", "Device (COM1)", "\"QEMU0002\"", "_S5", "C001"][..]),
        (tables(&microvm(2).files()), &["Device (VR07)", "\"LNRO0005\"", "0xFEB00E00", "0x00000017", "Notify (PWRB, 0x80)", "\"ACPI0013\"", "_S5", "C001"]),
    ];
    for (tables, texts) in boards {
        let source = disassembled(tables);
        for text in texts {
            assert!(source.contains(text), "{text} is not in\n{source}");
        }
    }
}

/// The source of the DSDT, and all tables are fine.
fn disassembled(tables: BTreeMap<String, Vec<u8>>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let out = Command::new("iasl").args(words).current_dir(directory.path()).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success() && !text.contains("Error  ") && !text.contains("Warning  "), "iasl {words:?}\n{text}");
    };
    for (name, bytes) in tables {
        std::fs::write(directory.path().join(format!("{name}.aml")), &bytes).unwrap();
        run(&["-d", &format!("{name}.aml")]);
        run(&["-p", "again", &format!("{name}.dsl")]);
        let again = std::fs::read(directory.path().join("again.aml")).unwrap();
        // The compiler puts its own name and the sum into the header, and fills in the root's entries.
        if name == "DSDT" {
            assert_eq!(again[36..], bytes[36..]);
        }
    }
    std::fs::read_to_string(directory.path().join("DSDT.dsl")).unwrap()
}
