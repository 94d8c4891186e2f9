//! Disks: what the guest writes is on the host's file, and only there where it may be.

use std::path::{Path, PathBuf};

use proteus_guests::stream::Stream;
use sha2::{Digest, Sha256};

use crate::rig::*;

/// A copy of the root file system in `dir`.
fn copy_of_root(test: &str, on: &Architecture, dir: &Path) -> Option<PathBuf> {
    let path = dir.join("root.ext4");
    std::fs::copy(on.guest(test, "rootfs.ext4")?, &path).expect("a copy of the root file system");
    Some(path)
}

fn digest(path: &Path) -> Vec<u8> {
    Sha256::digest(std::fs::read(path).expect("the image is read")).to_vec()
}

/// The words of a drive and its virtio device.
fn drive(on: &Architecture, id: &str, path: &Path, more: &str) -> [String; 4] {
    let file = format!("file={},if=none,format=raw,id={id}{more}", path.display());
    ["-drive".into(), file, "-device".into(), format!("virtio-blk-{},drive={id}", on.virtio)]
}

#[test]
fn a_root_file_system_on_virtio_is_written_and_clean_afterwards() {
    a_root_file_system_is_written_and_clean_afterwards(&ARM64, "vda", |root| [&["-smp".into(), "2".into()][..], &drive(&ARM64, "hd", root, "")].concat());
    a_root_file_system_is_written_and_clean_afterwards(&MIPS64EL, "vda", |root| drive(&MIPS64EL, "hd", root, "").into());
}

#[test]
fn a_root_file_system_on_ide_is_written_and_clean_afterwards() {
    a_root_file_system_is_written_and_clean_afterwards(&MIPSEL, "sda", |root| vec!["-hda".into(), root.display().to_string()]);
    let drive = |root: &Path| vec!["-drive".into(), format!("if=ide,index=2,format=raw,file={}", root.display())];
    a_root_file_system_is_written_and_clean_afterwards(&MIPS64EL, "sda", drive);
}

fn a_root_file_system_is_written_and_clean_afterwards(on: &'static Architecture, name: &str, words: impl Fn(&Path) -> Vec<String>) {
    let test = "disk";
    let Some(linux) = Linux::find(test, on) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let Some(root) = copy_of_root(test, on, dir.path()) else { return };
    let words = words(&root);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let console = &mut linux.boot(&words, &format!("root=/dev/{name}"));
    shell(console, "grep -q '^/dev/[a-z]* / ext4 rw' /proc/mounts", ANSWER);
    let churn = shell(console, "fs-churn /root 1000", BOOT);
    assert!(churn.contains("proteus-result name=fs-churn") && churn.contains("status=ok"), "{churn}");
    eprintln!("figure: {}", churn.trim());
    shell(console, "mkdir /root/many; for i in $(seq 1 1000); do echo $i > /root/many/f$i; done; seq 1 100000 > /root/numbers; sync", BOOT);
    // The shell's parent remounts the disk read-only and powers off.
    send(console, "exit\n");
    ends(console, 0);

    let image = root.to_str().expect("a name in UTF-8");
    let Some(check) = tool(test, "e2fsck", &["-fn", image]) else { return };
    let report = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(0), "{report}");
    let debugfs = |request: &str| tool(test, "debugfs", &["-R", request, image]).map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let Some(numbers) = debugfs("cat /root/numbers") else { return };
    let wanted: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(numbers == wanted, "{} bytes of {}", numbers.len(), wanted.len());
    let files = debugfs("ls -p /root/many").unwrap_or_default();
    assert_eq!(files.lines().filter(|line| line.contains("/f")).count(), 1000, "{files}");
    assert_eq!(debugfs("cat /root/many/f777").as_deref(), Some("777\n"));
}

/// A file system for CDs, read whole in the guest.
#[test]
fn a_cd_is_mounted_and_read() {
    let test = "cdrom";
    let Some(linux) = Linux::find(test, &MIPSEL) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (tree, iso) = (dir.path().join("tree"), dir.path().join("cd.iso"));
    std::fs::create_dir_all(tree.join("below")).expect("a directory");
    std::fs::write(tree.join("below/hello.txt"), "from the CD\n").expect("a file");
    let large: Vec<u8> = Stream::default().take(5_000_003).collect();
    std::fs::write(tree.join("large"), &large).expect("a file");
    let [from, to] = [&tree, &iso].map(|path| path.to_str().expect("a name in UTF-8"));
    let Some(made) = tool(test, "genisoimage", &["-quiet", "-R", "-V", "PROTEUS", "-o", to, from]) else { return };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let before = digest(&iso);
    let console = &mut linux.boot(&["-cdrom", to], "");
    shell(console, "mount -t iso9660 -o ro /dev/sr0 /mnt", ANSWER);
    assert_eq!(shell(console, "cat /mnt/below/hello.txt", ANSWER), "from the CD\n");
    let sum = shell(console, "sha256sum </mnt/large", BOOT);
    let wanted: String = Sha256::digest(&large).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sum.split_whitespace().next(), Some(&*wanted), "{sum}");
    shell(console, "! dd if=/dev/zero of=/dev/sr0 bs=2048 count=1 conv=fsync; umount /mnt", ANSWER);
    power_off(console);
    assert_eq!(digest(&iso), before);
}

/// Finds each disk by its size in sectors, for the order of the disks is the kernel's.
const DISK_OF: &str = "disk_of() { for d in /sys/block/vd*; do read -r n <$d/size; [ $n = $1 ] && echo ${d##*/}; done; }";

#[test]
fn what_may_not_be_written_is_not_on_arm64() {
    what_may_not_be_written_is_not(&ARM64);
}

#[test]
fn what_may_not_be_written_is_not_on_mipsel() {
    what_may_not_be_written_is_not(&MIPSEL);
}

fn what_may_not_be_written_is_not(on: &'static Architecture) {
    let Some(linux) = Linux::find("disk", on) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let make = |name: &str, kib: usize| {
        let path = dir.path().join(name);
        std::fs::write(&path, vec![0x5A; kib << 10]).expect("a disk");
        path
    };
    let (locked, temporary, plain) = (make("locked", 1024), make("temporary", 2048), make("plain", 3072));
    let before = [digest(&locked), digest(&temporary)];
    let words = [drive(on, "a", &locked, ",readonly=on"), drive(on, "b", &temporary, ",snapshot=on"), drive(on, "c", &plain, "")].concat();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let console = &mut linux.boot(&words, "");
    shell(console, DISK_OF, ANSWER);
    let (locked_name, rest) = ("$(disk_of 2048)", ["$(disk_of 4096)", "$(disk_of 6144)"]);
    assert_eq!(shell(console, &format!("cat /sys/block/{locked_name}/ro"), ANSWER).trim(), "1");
    shell(console, &format!("! dd if=/dev/zero of=/dev/{locked_name} bs=4096 count=1 conv=fsync"), ANSWER);
    for name in rest {
        shell(console, &format!("dd if=/dev/zero of=/dev/{name} bs=4096 count=8 conv=fsync"), ANSWER);
        // From the device, not from the guest's cache.
        shell(console, &format!("echo 3 >/proc/sys/vm/drop_caches; [ $(dd if=/dev/{name} bs=4096 count=8 | tr -d '\\0' | wc -c) = 0 ]"), ANSWER);
    }
    power_off(console);
    assert_eq!([digest(&locked), digest(&temporary)], before);
    let plain = std::fs::read(&plain).expect("the disk");
    assert!(plain[..8 * 4096].iter().all(|b| *b == 0) && plain[8 * 4096..].iter().all(|b| *b == 0x5A));
}

#[test]
fn with_snapshot_no_file_changes() {
    let (test, on) = ("disk", &ARM64);
    let Some(linux) = Linux::find(test, on) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let Some(root) = copy_of_root(test, on, dir.path()) else { return };
    let before = digest(&root);
    let words = drive(on, "hd", &root, "");
    let words: Vec<&str> = ["-snapshot"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let console = &mut linux.boot(&words, "root=/dev/vda");
    shell(console, "echo here >/root/new; sync; echo 3 >/proc/sys/vm/drop_caches; grep here /root/new", ANSWER);
    send(console, "exit\n");
    ends(console, 0);
    assert_eq!(digest(&root), before);
}
