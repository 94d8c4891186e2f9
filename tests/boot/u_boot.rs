//! Debian's U-Boot on the Malta board, as a file of `-bios` and in the monitor flash.

use crate::rig::*;

/// The prompt of either build.
const U_BOOT: &str = "maltael # ";

fn prompts(on: &'static Architecture) {
    let test = "u_boot";
    let (Some(file), Some(flash)) = (on.guest(test, "u-boot-swap.bin"), on.guest(test, "u-boot-flash.img")) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join("flash.img");
    std::fs::copy(flash, &copy).expect("a copy of the flash");
    let flash = format!("if=pflash,format=raw,file={}", copy.display());
    for start_from in [["-bios", file.to_str().expect("a name in UTF-8")], ["-drive", &flash]] {
        let words = [&["-M", "malta", "-m", "256", "-nographic", "-nic", "user"][..], &start_from].concat();
        let what = format!("{} {}", on.name, start_from[0]);
        let console = &mut start(&mut on.proteus(&words));
        expect(console, "DRAM:  256 MiB", BOOT);
        figure(&format!("prompt of U-Boot [{what}]"), expect(console, U_BOOT, BOOT).at);
        send(console, "version\n");
        let version = expect(console, U_BOOT, ANSWER).before;
        assert!(version.contains("U-Boot 20") && version.contains("gcc"), "{what}: {version}");
        // Without a file to load, for the network has no server for it.
        send(console, "setenv autoload no; dhcp\n");
        let lease = expect(console, U_BOOT, ANSWER).before;
        assert!(lease.contains("DHCP client bound to address 10.0.2.15"), "{what}: {lease}");
        send(console, "ping 10.0.2.2\n");
        let ping = expect(console, U_BOOT, ANSWER).before;
        assert!(ping.contains("host 10.0.2.2 is alive"), "{what}: {ping}");
        send(console, "\x01x");
        ends(console, 0);
    }
}

#[test]
fn u_boot_of_mipsel_prompts() {
    prompts(&MIPSEL);
}

#[test]
fn u_boot_of_mips64el_prompts() {
    prompts(&MIPS64EL);
}

/// What U-Boot writes into the flash is in the image, and is read back after a reset and by the next run.
#[test]
fn the_environment_is_kept_in_the_flash() {
    let Some(flash) = MIPSEL.guest("u_boot", "u-boot-flash.img") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join("flash.img");
    std::fs::copy(flash, &copy).expect("a copy of the flash");
    let flash = format!("if=pflash,format=raw,file={}", copy.display());
    let words = ["-M", "malta", "-m", "256", "-nographic", "-nic", "none", "-drive", &flash];
    let read_back = |console: &mut proteus_guests::console::Console| {
        expect(console, U_BOOT, BOOT);
        send(console, "printenv kept\n");
        expect(console, "kept=by the flash", ANSWER);
        expect(console, U_BOOT, ANSWER);
    };
    let console = &mut start(&mut MIPSEL.proteus(&words));
    expect(console, U_BOOT, BOOT);
    send(console, "setenv kept by the flash; saveenv\n");
    let saved = expect(console, U_BOOT, BOOT).before;
    assert!(saved.contains("Erased 1 sectors") || saved.contains("OK"), "{saved}");
    send(console, "reset\n");
    read_back(console);
    send(console, "\x01x");
    ends(console, 0);
    read_back(&mut start(&mut MIPSEL.proteus(&words)));
}
