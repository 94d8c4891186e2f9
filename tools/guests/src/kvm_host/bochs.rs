//! A host that Bochs emulates: GRUB starts the kernel from its disk, and the command's output goes to
//! the second serial line.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Host, Place, Told, bring_as};
use crate::tools::{Result, at, write};
use crate::{grub, guest_file};

const PROGRAM: &str = "bochs";
pub(super) const PROGRAMS: &[(&str, &str)] = &[(PROGRAM, "bochs, with bochsbios, vgabios and bochs-term"), (grub::MKIMAGE, "grub-common")];
/// KVM for Intel's processors.
pub(super) const MODULE: &str = "kvm-intel.ko";
/// Linux refuses the XSAVE of corei7_skylake_x, and this one's not.
const CPU: &str = "corei7_haswell_4770";
/// Bochs waits for its serial line as long as a real one takes.
const SHORT: &str = "quiet";

pub(super) fn told(host: &Host, place: &Place) -> Result<Told> {
    let boot = place.tree.join("boot");
    bring_as(&guest_file("amd64/bzImage")?, &boot.join("bzImage"))?;
    bring_as(&guest_file("amd64/kvm-host.gz")?, &boot.join("initrd.gz"))?;
    let script = grub::starts_linux(&format!("{SHORT} {}", host.words("/dev/sda1", "ttyS1")));
    let disk = place.dir.join("disk");
    let grub::Geometry { cylinders, heads, sectors } = grub::make_disk(&script, &place.file_system()?, &disk)?;
    let [output, settings, commands] = ["output", "bochsrc", "commands"].map(|name| place.dir.join(name));
    write(&output, b"")?;
    // Its debugger waits for a word.
    write(&commands, b"c\n")?;
    let [log, errors] = ["log", "errors"].map(|name| place.dir.join(name));
    let cpu = host.cpu.as_deref().unwrap_or(CPU);
    let text = format!(
        "megs: {}\ncpu: model={cpu}, count={}, ips=100000000\nclock: sync=none\ndisplay_library: term\nspeaker: enabled=0\nsound: driver=dummy\n\
         panic: action=fatal\nlog: \"{}\"\nboot: disk\nata0-master: type=disk, mode=flat, path=\"{}\", cylinders={cylinders}, heads={heads}, spt={sectors}\n\
         com1: enabled=1, mode=file, dev=\"{}\"\ncom2: enabled=1, mode=file, dev=\"{}\"\n",
        host.memory,
        host.cores,
        log.display(),
        disk.display(),
        absolute(place.serial)?.display(),
        output.display()
    );
    write(&settings, text.as_bytes())?;
    let mut command = Command::new(PROGRAM);
    command.arg("-q").arg("-f").arg(settings).arg("-rc").arg(commands).env("TERM", "vt100");
    // Its screen is of no use here.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors).map_err(at("write", &errors))?);
    Ok(Told { command, output: Some(output), errors: Some(errors) })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(at("find", path))
}
