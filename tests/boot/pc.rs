//! The board `pc` under KVM: SeaBIOS from Debian's package `seabios`, which boots our own disk.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::*;

const SECTOR: u64 = 512;
/// The sector that `firmware/x86-boot/disk.S` reads, and the one that it writes.
const FAR: u64 = 64;
const WRITTEN: u64 = 65;
/// SeaBIOS, where Debian has it.
const SEABIOS: &str = "/usr/share/seabios/bios-256k.bin";

/// `proteus-system-x86_64` with the board and these words; without KVM or SeaBIOS the test is over.
pub fn pc(test: &str, words: &[&str]) -> Option<Command> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
        eprintln!("SKIPPED {test}: /dev/kvm: {error}");
        return None;
    }
    if !Path::new(SEABIOS).exists() {
        eprintln!("SKIPPED {test}: {SEABIOS} is missing; apt-get install seabios");
        return None;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_proteus-system-x86_64"));
    command.args(["-M", "pc", "-accel", "kvm", "-cpu", "host", "-m", "128", "-nodefaults", "-display", "none", "-monitor", "none"]);
    command.args(words);
    Some(command)
}

/// Our disk, with a status and a text in its far sector.
fn disk(directory: &Path, status: u8, text: &str) -> PathBuf {
    let path = directory.join("disk.img");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware/x86-boot/disk.bin"), &path).expect("the disk's program");
    let file = File::options().write(true).open(&path).expect("a disk");
    file.set_len(1 << 20).expect("a disk of 1 MiB");
    file.write_all_at(&[&[status], text.as_bytes(), &[0]].concat(), FAR * SECTOR).expect("a far sector");
    path
}

#[test]
fn seabios_boots_our_disk_from_ide_and_from_virtio() {
    for (interface, status) in [("ide", 0x15), ("virtio", 0x2a)] {
        let directory = tempfile::tempdir().expect("a directory");
        let image = disk(directory.path(), status, "hello from far away");
        let drive = format!("if={interface},format=raw,file={}", image.display());
        let log = directory.path().join("debug.txt");
        let chardev = format!("file,id=debug,path={}", log.display());
        let words =
            ["-serial", "stdio", "-device", "isa-debug-exit", "-chardev", &chardev, "-device", "isa-debugcon,iobase=0x402,chardev=debug", "-drive", &drive];
        let Some(mut command) = pc("seabios_boots_our_disk_from_ide_and_from_virtio", &words) else { return };
        let console = &mut start(&mut command);
        for text in ["boot sector", "stage 2 from drive 80, sector 64: hello from far away", "written"] {
            expect(console, text, BOOT);
        }
        ends(console, i32::from(status) << 1 | 1);
        let messages = fs::read_to_string(&log).expect("what SeaBIOS printed");
        for text in ["SeaBIOS (version ", "qemu/e820: addr 0x0000000000000000 len 0x0000000008000000 [RAM]", "Booting from 0000:7c00"] {
            assert!(messages.contains(text), "{interface}: '{text}' is not in\n{messages}");
        }
        let mut sector = [0; SECTOR as usize];
        File::open(&image).and_then(|f| f.read_exact_at(&mut sector, WRITTEN * SECTOR)).expect("the sector that was written");
        assert_eq!((sector[0], sector[1]), (!status, !b'h'), "{interface}");
    }
}

/// The disk in the later slot first; with `strict=on`, nothing else is tried.
#[test]
fn seabios_boots_in_the_order_that_is_wanted() {
    const TEST: &str = "seabios_boots_in_the_order_that_is_wanted";
    let [one, other] = [(0x15, "one"), (0x2a, "other")].map(|(status, text)| {
        let directory = tempfile::tempdir().expect("a directory");
        (disk(directory.path(), status, text), directory)
    });
    let drives = [&one, &other].map(|(path, _)| format!("if=none,format=raw,file={}", path.display()));
    let [one, other] = [format!("{},id=one", drives[0]), format!("{},id=other", drives[1])];
    let words = ["-serial", "stdio", "-device", "isa-debug-exit", "-drive", &one, "-drive", &other];
    let Some(mut command) = pc(TEST, &words) else { return };
    command.args(["-device", "virtio-blk-pci,drive=one,bootindex=2", "-device", "virtio-blk-pci,drive=other,bootindex=1"]);
    let console = &mut start(&mut command);
    expect(console, "sector 64: other", BOOT);
    ends(console, 0x2a << 1 | 1);

    let empty = tempfile::NamedTempFile::new().expect("a file");
    empty.as_file().set_len(1 << 20).expect("a disk of 1 MiB");
    let empty = format!("if=none,format=raw,id=empty,file={}", empty.path().display());
    for strict in ["on", "off"] {
        let boot = format!("strict={strict}");
        let words = ["-serial", "none", "-chardev", "stdio,id=debug", "-device", "isa-debugcon,iobase=0x402,chardev=debug", "-boot", &boot];
        let Some(mut command) = pc(TEST, &words) else { return };
        command.args(["-drive", &empty, "-device", "virtio-blk-pci,drive=empty,bootindex=0"]);
        let console = &mut start(&mut command);
        expect(console, "No bootable device.", BOOT);
        assert_eq!(console.transcript().contains("Booting from Floppy"), strict == "off", "{strict}: {}", console.transcript());
    }
}

#[test]
fn seabios_finds_the_machine_and_no_disk() {
    let words = ["-smp", "2", "-serial", "none", "-chardev", "stdio,id=debug", "-device", "isa-debugcon,iobase=0x402,chardev=debug", "-boot", "menu=off"];
    let Some(mut command) = pc("seabios_finds_the_machine_and_no_disk", &words) else { return };
    let console = &mut start(&mut command);
    expect(console, "No bootable device.", BOOT);
    for text in [
        "QEMU fw_cfg DMA interface supported",
        "PIIX3/PIIX4 init: elcr=00 0c",
        "Moving pm_base to 0x600",
        "Found 2 cpu(s) max supported 2 cpu(s)",
        "(via rsdt)",
        "PS2 keyboard initialized",
    ] {
        assert!(console.transcript().contains(text), "'{text}' is not in\n{}", console.transcript());
    }
}

/// SeaBIOS tries the keyboard controller, the reset control register and a triple fault in turn.
#[test]
fn the_first_reset_that_firmware_asks_for_counts() {
    let directory = tempfile::tempdir().expect("a directory");
    let wait = directory.path().join("wait");
    // In milliseconds.
    fs::write(&wait, 100u32.to_le_bytes()).expect("a file");
    let item = format!("name=etc/boot-fail-wait,file={}", wait.display());
    let words = ["-no-reboot", "-serial", "none", "-chardev", "stdio,id=debug", "-device", "isa-debugcon,iobase=0x402,chardev=debug", "-fw_cfg", &item];
    let Some(mut command) = pc("the_first_reset_that_firmware_asks_for_counts", &words) else { return };
    let console = &mut start(&mut command);
    expect(console, "No bootable device.", BOOT);
    ends(console, 0);
}

/// What SeaBIOS prints on the screen, by its own BIOS of the graphics card.
#[test]
fn the_screen_shows_what_seabios_prints() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("debug.txt");
    let chardev = format!("file,id=debug,path={}", log.display());
    // The later of two monitors counts.
    let words = ["-serial", "none", "-monitor", "stdio", "-vga", "std", "-chardev", &chardev, "-device", "isa-debugcon,iobase=0x402,chardev=debug"];
    let Some(mut command) = pc("the_screen_shows_what_seabios_prints", &words) else { return };
    let console = &mut start(&mut command);
    let messages = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("no disk", BOOT, || messages().contains("No bootable device."));
    assert!(messages().contains("Turning on vga text mode console"), "{}", messages());
    let file = directory.path().join("screen.ppm");
    send(console, &format!("screendump {}\n", file.display()));
    send(console, "quit\n");
    ends(console, 0);
    let picture = fs::read(&file).expect("a picture");
    let pixels = picture.strip_prefix(b"P6\n720 400\n255\n").expect("a picture of 80 by 25 characters");
    let lines: Vec<bool> = pixels.chunks(720 * 3 * 16).map(|line| line.chunks(3).any(|p| p == [0xaa; 3])).collect();
    assert!(pixels.len() == 720 * 400 * 3 && lines[0] && !lines[24], "text is at the top: {lines:?}");
}

/// GRUB as a Linux kernel, with a script inside. Tools and modules are those of Debian's grub-pc-bin.
#[test]
fn grub_runs_a_script_over_the_serial_console() {
    const TEST: &str = "grub_runs_a_script_over_the_serial_console";
    const HEAD: &str = "/usr/lib/grub/i386-pc/lnxboot.img";
    if !long() {
        return eprintln!("SKIPPED {TEST}: a longer job; PROTEUS_LONG=1 runs it");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    fs::create_dir(at("grub")).expect("a directory");
    fs::write(at("grub/grub.cfg"), "for i in 1 2 3; do echo \"loop $i\"; done\nif [ \"$grub_platform\" = pc ]; then outb 0x501 0x2a; fi\n").expect("a script");
    fs::write(at("early.cfg"), "serial --unit=0\nterminal_output serial\nterminal_input serial\nnormal (memdisk)/grub/grub.cfg\n").expect("a script");
    let Ok(mut kernel) = fs::read(HEAD) else { return eprintln!("SKIPPED {TEST}: {HEAD} is missing; apt-get install grub-pc-bin") };
    let (archive, core, early) = (at("disk.tar"), at("core.img"), at("early.cfg"));
    let Some(_) = tool(TEST, "tar", &["-C", &at(""), "-cf", &archive, "grub"]) else { return };
    let modules = ["serial", "terminal", "echo", "test", "iorw", "memdisk", "tar", "normal"];
    let words = [&["-O", "i386-pc", "-p", "(memdisk)/grub", "-m", &archive, "-c", &early, "-o", &core][..], &modules].concat();
    let Some(_) = tool(TEST, "grub-mkimage", &words) else { return };
    kernel.extend(fs::read(&core).expect("GRUB"));
    fs::write(at("grub.lkrn"), kernel).expect("a kernel");
    let Some(mut command) = pc(TEST, &["-serial", "stdio", "-device", "isa-debug-exit", "-kernel", &at("grub.lkrn")]) else { return };
    let console = &mut start(&mut command);
    for text in ["loop 1", "loop 2", "loop 3"] {
        // It decompresses itself at the speed of an interpreter, where real mode has that.
        expect(console, text, 3 * BOOT);
    }
    ends(console, 0x55);
}
