//! Kernels that are entered without firmware: small ones of our own that say what they were given,
//! and Debian's, where the host's KVM can run one.

use std::path::PathBuf;
use std::process::Command;

use proteus_guests::console::Console;
use proteus_guests::guest_file;

use crate::rig::*;

/// Prints the string at ESI on the serial line, and leaves through isa-debug-exit with 5.
const PRINT: &[u8] = &[0xba, 0xf8, 3, 0, 0, 0xac, 0x84, 0xc0, 0x74, 3, 0xee, 0xeb, 0xf8, 0xb0, 5, 0xba, 1, 5, 0, 0, 0xee, 0xf4];

/// Where the code of an ELF file is in it, and in memory.
const CODE: u32 = 0x100;
const AT: u32 = 0x10_0000;

/// An ELF kernel with a PVH entry: MOV ESI,[EBX+24] takes the address of its command line from the start
/// information.
fn pvh() -> Vec<u8> {
    let code = [&[0x8b, 0x73, 24], PRINT].concat();
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0];
    let words = |f: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|w| f.extend(w.to_le_bytes()));
    words(&mut file, &[1, AT, 52, 0, 0]);
    [52u16, 32, 2, 0, 0, 0].iter().for_each(|w| file.extend(w.to_le_bytes()));
    words(&mut file, &[1, CODE, AT, AT, code.len() as u32, code.len() as u32, 5, 4]);
    words(&mut file, &[4, 116, 0, 0, 20, 20, 4, 4]);
    words(&mut file, &[4, 4, 18]);
    file.extend(b"Xen\0");
    words(&mut file, &[AT]);
    file.resize(CODE as usize, 0);
    file.extend(code);
    file
}

/// A bzImage: MOV ESI,[RSI+0x228] takes the address of its command line from the boot parameters.
fn bz_image() -> Vec<u8> {
    let mut file = vec![0; 1024];
    file[0x1f1] = 1;
    file[0x1fe..0x202].copy_from_slice(&[0x55, 0xaa, 0xeb, 0x66]);
    file[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
    // There is a 64-bit entry, 0x200 bytes into the kernel.
    file[0x236] = 1;
    file[0x22c..0x230].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    file.resize(1024 + 0x200, 0);
    file.extend([0x8b, 0xb6, 0x28, 2, 0, 0]);
    file.extend(PRINT);
    file
}

#[test]
fn kernels_are_entered_by_their_protocols() {
    if !has("kernels without firmware", &[]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (name, bytes, machine) in [("pvh", pvh(), "microvm,acpi=off"), ("bzImage", bz_image(), "microvm,acpi=off"), ("bzImage", bz_image(), "microvm")] {
        let kernel = dir.path().join(name);
        std::fs::write(&kernel, bytes).expect("it writes");
        let mut command = Command::new(PROGRAM);
        command.args(["-M", machine, "-accel", "kvm", "-m", "64", "-display", "none", "-serial", "stdio", "-device", "isa-debug-exit"]);
        command.args(["-device", "virtio-rng-device", "-append", "first second"]).arg("-kernel").arg(&kernel);
        let mut console = Console::spawn(&mut command).unwrap_or_else(|e| panic!("{e}"));
        expect(&mut console, "first second");
        assert_eq!(console.wait_exit(LIMIT).expect("an end").code(), Some(11), "{name}");
        // The only virtio device is in the last slot. With ACPI tables nobody has to be told.
        let told = console.transcript().contains("first second virtio_mmio.device=512@0xfeb00e00:12");
        assert_eq!(told, machine != "microvm", "{name} on {machine}: {}", console.transcript());
    }
}

fn guest(test: &str, name: &str) -> Option<PathBuf> {
    guest_file(&format!("amd64/{name}")).inspect_err(|why| eprintln!("SKIPPED {test}: {why}")).ok()
}

#[test]
fn boots_debian_on_microvm() {
    boots_debian("microvm", "kvm");
}

#[test]
fn boots_debian_on_pc() {
    boots_debian("pc", "kvm");
}

/// With all of the kernel's interrupt controllers, and its doorbells for virtio.
#[test]
fn boots_debian_on_pc_with_chips_of_the_kernel() {
    boots_debian("pc", "kvm,kernel-irqchip=on");
}

/// Debian's cloud kernel to a shell, with two cores, a disk and a network, where the host's KVM can
/// run one.
fn boots_debian(machine: &str, accel: &str) {
    let test = format!("Debian's kernel on {machine} by {accel}");
    if !has(&test, &["ring 0 at the processor's speed", "the instruction SYSCALL"]) {
        return;
    }
    let (Some(kernel), Some(initrd), Some(disk)) = (guest(&test, "bzImage"), guest(&test, "initrd.gz"), guest(&test, "rootfs.ext4")) else { return };
    let mut command = Command::new(PROGRAM);
    command.args(["-M", machine, "-accel", accel]);
    if accel.contains("kernel-irqchip=on") {
        command.args(["-global", "virtio-blk-pci.ioeventfd=on"]);
    }
    command.args(["-cpu", "host", "-smp", "2", "-m", "512", "-display", "none", "-serial", "stdio", "-nic", "user"]);
    command.arg("-drive").arg(format!("if=virtio,format=raw,snapshot=on,file={}", disk.display()));
    command.arg("-kernel").arg(&kernel).arg("-initrd").arg(&initrd).args(["-append", "console=ttyS0"]);
    let mut console = Console::spawn(&mut command).unwrap_or_else(|e| panic!("{e}"));
    shell(&mut console);
    for (line, want) in [
        ("nproc", "2"),
        ("mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && ls /mnt/etc/debian_version", "debian_version"),
        ("udhcpc -i eth0 -n -q && ping -c 1 10.0.2.2", "1 packets received"),
    ] {
        let answer = console.shell(line, LIMIT).unwrap_or_else(|e| panic!("{e}"));
        assert!(answer.output.contains(want), "{line}: {}", answer.output);
    }
    // Virtio's queues interrupt by messages; a slot without PCI has its own interrupt.
    let answer = console.shell("cat /proc/interrupts", LIMIT).unwrap_or_else(|e| panic!("{e}"));
    let of_disk = answer.output.lines().find(|l| if machine == "pc" { l.contains("-req.0") } else { l.contains("virtio") });
    let messages = of_disk.is_some_and(|l| l.contains("PCI-MSI"));
    assert_eq!(messages, machine == "pc", "{}", answer.output);
    console.send("reboot -f\n").unwrap_or_else(|e| panic!("{e}"));
    shell(&mut console);
    console.send("poweroff -f\n").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(console.wait_exit(LIMIT).expect("an end").code(), Some(0));
}

/// By SeaBIOS, and GRUB from Debian's packages, whose disk has the kernel.
#[test]
fn boots_debian_from_disks() {
    let test = "Debian's kernel from disks";
    if !has(test, &["ring 0 at the processor's speed", "the instruction SYSCALL"]) {
        return;
    }
    let Some(disk) = guest(test, "grub.img") else { return };
    for (interface, partition) in [("ide", "sda1"), ("virtio", "vda1")] {
        let mut command = Command::new(PROGRAM);
        command.args(["-M", "pc", "-accel", "kvm", "-cpu", "host", "-smp", "2", "-m", "512", "-display", "none", "-serial", "stdio"]);
        command.arg("-drive").arg(format!("if={interface},format=raw,snapshot=on,file={}", disk.display()));
        let mut console = Console::spawn(&mut command).unwrap_or_else(|e| panic!("{e}"));
        expect(&mut console, "GRUB starts Linux");
        shell(&mut console);
        for (line, want) in [("nproc", "2"), ("cat /proc/partitions", partition)] {
            let answer = console.shell(line, LIMIT).unwrap_or_else(|e| panic!("{e}"));
            assert!(answer.output.contains(want), "{interface}: {line}: {}", answer.output);
        }
        console.send("poweroff -f\n").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(console.wait_exit(LIMIT).expect("an end").code(), Some(0));
    }
}

/// Waits for the guest's shell.
#[track_caller]
fn shell(console: &mut Console) {
    let found = console.expect_any(&["~ # ", "Kernel panic", "internal error"], LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(found.index, 0, "{}", console.transcript());
}
