//! A command line as users publish it: no kernel, no `-nographic`, a disk image in the directory.

use std::process::Command;

use crate::disk_image::{Layout, make};
use crate::rig::*;

const WORDS: &str = "-machine virt -cpu cortex-a53 -m 1024 -drive file=imagem.img,if=none,format=raw,id=hd \
    -device virtio-blk-device,drive=hd -netdev user,id=mynet0 -device virtio-net-device,netdev=mynet0";

#[test]
fn the_firmware_boots_linux_from_a_disk_image() {
    let test = "documented";
    let Some(linux) = Linux::find(test, &ARM64) else { return };
    for (layout, what) in [(Layout::Fat, "FAT"), (Layout::GptFat, "GPT and FAT")] {
        let dir = tempfile::tempdir().expect("a directory");
        let cmdline = dir.path().join("cmdline");
        std::fs::write(&cmdline, "console=ttyAMA0 proteus.mark=disk\n").expect("a file");
        let [image, initrd] = linux.files();
        let files = [(image, "Image"), (initrd, "initrd"), (&*cmdline, "cmdline")];
        if make(test, &dir.path().join("imagem.img"), layout, 80 << 20, &files).is_none() {
            return;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_proteus-system-arm"));
        let console = &mut start(command.args(WORDS.split_whitespace()).current_dir(dir.path()));
        expect(console, "memory: 1 GiB ", BOOT);
        let greeting = expect(console, "boot: ", BOOT).before;
        assert!(greeting.contains("disk: virtio-blk") && greeting.contains("80 MiB"), "{what}: {greeting}");
        assert!(greeting.contains("network: virtio-net"), "{what}: the firmware does not name the network card: {greeting}");
        prompt(console, &format!("from the firmware, {what}"));
        let shown = shell(console, "cat /proc/cmdline; ls /sys/class/net; ls /sys/block", ANSWER);
        assert!(shown.contains("proteus.mark=disk") && shown.contains("eth0") && shown.contains("vda"), "{what}: {shown}");
        power_off(console);
    }
}
