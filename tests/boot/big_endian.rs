//! Linux on a big-endian Malta board: that what carries data between the guest and the world (IDE,
//! PCnet, virtio) has its bytes in their order. Its kernel is built from sources, for long runs.

use std::path::Path;

use proteus_guests::stream::Stream;
use sha2::{Digest, Sha256};

use crate::linux::{malta, reboots};
use crate::network::cards;
use crate::rig::*;

#[test]
fn mips_boots_to_a_shell_that_answers() {
    if long() {
        malta(&MIPS, &["24Kc"]);
    }
}

#[test]
fn mips64_boots_to_a_shell_that_answers() {
    if long() {
        malta(&MIPS64, &["5KEf"]);
    }
}

#[test]
fn mips_reboots_or_ends_instead() {
    if long() {
        reboots(&MIPS);
    }
}

#[test]
fn the_cards_of_mips() {
    if long() {
        cards(&MIPS, &[(&["-nic", "user"], "pcnet32"), (&["-nic", "user,model=virtio"], "virtio_net")]);
    }
}

#[test]
fn the_cards_of_mips64() {
    if long() {
        cards(&MIPS64, &[(&["-nic", "user"], "pcnet32"), (&["-nic", "user,model=virtio"], "virtio_net")]);
    }
}

#[test]
fn disks_of_mips_have_their_bytes_in_order() {
    disks(&MIPS);
}

#[test]
fn disks_of_mips64_have_their_bytes_in_order() {
    disks(&MIPS64);
}

/// Files that the guest writes and the host reads, and one the other way round, with each kind of disk.
fn disks(on: &'static Architecture) {
    let test = "big_endian";
    if !long() {
        return;
    }
    let Some(linux) = Linux::find(test, on) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).expect("a directory");
    let contents: Vec<u8> = Stream::default().take(3_000_001).collect();
    std::fs::write(tree.join("from-host"), &contents).expect("a file");
    let sum: String = Sha256::digest(&contents).iter().map(|byte| format!("{byte:02x}")).collect();
    for (kind, name) in [("if=ide", "sda"), ("if=virtio", "vda")] {
        let image = dir.path().join(name);
        let words = ["-q", "-t", "ext4", "-d", text(&tree), text(&image), "32M"];
        let Some(made) = tool(test, "mke2fs", &words) else { return };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let drive = format!("{kind},format=raw,file={}", image.display());
        let console = &mut linux.boot(&["-drive", &drive], "");
        shell(console, &format!("mount -t ext4 /dev/{name} /mnt"), ANSWER);
        let found = shell(console, "sha256sum </mnt/from-host", ANSWER);
        assert_eq!(found.split_whitespace().next(), Some(&*sum), "{}: {kind}", on.name);
        let churn = shell(console, "fs-churn /mnt 100", BOOT);
        assert!(churn.contains("status=ok"), "{churn}");
        shell(console, "seq 1 50000 >/mnt/numbers; umount /mnt", BOOT);
        power_off(console);

        let Some(check) = tool(test, "e2fsck", &["-fn", text(&image)]) else { return };
        assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stdout));
        let Some(numbers) = tool(test, "debugfs", &["-R", "cat /numbers", text(&image)]) else { return };
        let wanted: String = (1..=50_000).map(|n| format!("{n}\n")).collect();
        assert!(numbers.stdout == wanted.as_bytes(), "{}: {kind}: {} bytes of {}", on.name, numbers.stdout.len(), wanted.len());
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}
