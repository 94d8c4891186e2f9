//! A host that Bochs emulates: GRUB starts the kernel from its disk, and the command's output goes to
//! the second serial line.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Host, MIB, Place, Told, bring_as};
use crate::guest_file;
use crate::tools::{Error, Result, at, read, run, write};

const PROGRAM: &str = "bochs";
const MKIMAGE: &str = "grub-mkimage";
pub(super) const PROGRAMS: &[(&str, &str)] = &[(PROGRAM, "bochs, with bochsbios, vgabios and bochs-term"), (MKIMAGE, "grub-common")];
/// KVM for Intel's processors.
pub(super) const MODULE: &str = "kvm-intel.ko";
/// The newest whose XSAVE Linux accepts.
const CPU: &str = "corei7_haswell_4770";
/// Bochs waits for its serial line as long as a real one takes.
const SHORT: &str = "quiet";
/// GRUB's sector at the start of a disk, without the table of partitions, and where GRUB goes on.
const BOOT: &str = "/usr/lib/grub/i386-pc/boot.img";
const BOOT_CODE: usize = 440;
const GRUB: &str = "grub-pc-bin";
/// A disk's geometry, and where its partition begins, in sectors.
const SECTOR: u64 = 512;
const HEADS: u64 = 16;
const SECTORS: u64 = 63;
const PARTITION: u64 = MIB / SECTOR;

pub(super) fn told(host: &Host, place: &Place) -> Result<Told> {
    let boot = place.tree.join("boot");
    bring_as(&guest_file("amd64/bzImage")?, &boot.join("bzImage"))?;
    bring_as(&guest_file("amd64/kvm-host.gz")?, &boot.join("initrd.gz"))?;
    let (disk, cylinders) = disk(place, &format!("{SHORT} {}", host.words("/dev/sda1", "ttyS1")))?;
    let [output, settings, commands] = ["output", "bochsrc", "commands"].map(|name| place.dir.join(name));
    write(&output, b"")?;
    // Its debugger waits for a word.
    write(&commands, b"c\n")?;
    let cpu = host.cpu.as_deref().unwrap_or(CPU);
    let text = format!(
        "megs: {}\ncpu: model={cpu}, count={}, ips=100000000\nclock: sync=none\ndisplay_library: term\nspeaker: enabled=0\nsound: driver=dummy\n\
         panic: action=fatal\nlog: \"{}\"\nboot: disk\nata0-master: type=disk, mode=flat, path=\"{}\", cylinders={cylinders}, heads={HEADS}, spt={SECTORS}\n\
         com1: enabled=1, mode=file, dev=\"{}\"\ncom2: enabled=1, mode=file, dev=\"{}\"\n",
        host.memory,
        host.cores,
        place.dir.join("log").display(),
        disk.display(),
        absolute(place.serial)?.display(),
        output.display()
    );
    write(&settings, text.as_bytes())?;
    let mut command = Command::new(PROGRAM);
    command.arg("-q").arg("-f").arg(settings).arg("-rc").arg(commands).env("TERM", "vt100");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Told { command, output: Some(output) })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(at("find", path))
}

/// The disk, and the number of its cylinders: GRUB, and a partition with the file system.
fn disk(place: &Place, words: &str) -> Result<(PathBuf, u64)> {
    let [script, core, disk] = ["grub.cfg", "core.img", "disk"].map(|name| place.dir.join(name));
    write(&script, format!("linux (hd0,msdos1)/boot/bzImage {words}\ninitrd (hd0,msdos1)/boot/initrd.gz\nboot\n").as_bytes())?;
    let modules = ["biosdisk", "part_msdos", "ext2", "linux"];
    run(Command::new(MKIMAGE).args(["-O", "i386-pc", "-p", "/boot/grub", "-c"]).arg(&script).arg("-o").arg(&core).args(modules), GRUB)?;
    let (boot, core) = (read(Path::new(BOOT))?, read(&core)?);
    if boot.len() < BOOT_CODE || core.len() as u64 > MIB - SECTOR {
        return Err(Error::Other(format!("{BOOT} or GRUB's image is not of the size that a disk has room for: has Debian changed its packaging?")));
    }
    let system = place.file_system()?;
    let sectors = fs::metadata(&system).map_err(at("read", &system))?.len() / SECTOR;
    let cylinders = (PARTITION + sectors).div_ceil(HEADS * SECTORS);
    let mut first = boot[..BOOT_CODE].to_vec();
    first.resize(SECTOR as usize, 0);
    // Its type is Linux's; its first and last sector by cylinder and head say that they cannot.
    first[446..462].copy_from_slice(&[0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    first[454..458].copy_from_slice(&(PARTITION as u32).to_le_bytes());
    first[458..462].copy_from_slice(&(sectors as u32).to_le_bytes());
    first[510..].copy_from_slice(&[0x55, 0xaa]);
    let fill = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&disk)?;
        file.set_len(cylinders * HEADS * SECTORS * SECTOR)?;
        file.write_all(&first)?;
        file.write_all(&core)?;
        file.seek(SeekFrom::Start(PARTITION * SECTOR))?;
        std::io::copy(&mut fs::File::open(&system)?, &mut file).map(drop)
    };
    fill().map_err(at("write", &disk))?;
    Ok((disk, cylinders))
}
