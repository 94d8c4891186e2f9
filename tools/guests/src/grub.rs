//! Disks from which the BIOS of a PC starts GRUB.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use crate::tools::{Error, Result, at, read, run, write};

/// What makes GRUB's image.
pub(crate) const MKIMAGE: &str = "grub-mkimage";
const PACKAGE: &str = "grub-common, and grub-pc-bin";
/// Those of its modules that a script may use.
const MODULES: &[&str] = &["biosdisk", "part_msdos", "ext2", "linux", "serial", "terminal", "echo"];
/// GRUB's sector at the start of a disk, and how much of it is before the table of partitions.
const BOOT: &str = "/usr/lib/grub/i386-pc/boot.img";
const BOOT_CODE: usize = 440;
/// Sectors, and the first of the partition. GRUB is between.
const SECTOR: u64 = 512;
const PARTITION: u64 = 2048;

/// A disk by cylinders, heads, and sectors of a track.
pub(crate) struct Geometry {
    pub(crate) cylinders: u64,
    pub(crate) heads: u64,
    pub(crate) sectors: u64,
}

/// A script that starts `/boot/bzImage` of the partition with `/boot/initrd.gz`, and these words.
pub(crate) fn starts_linux(words: &str) -> String {
    format!("linux (hd0,msdos1)/boot/bzImage {words}\ninitrd (hd0,msdos1)/boot/initrd.gz\nboot\n")
}

/// Makes a disk with GRUB, which runs the script, and one partition with this ext4 file system.
pub(crate) fn make_disk(script: &str, system: &Path, disk: &Path) -> Result<Geometry> {
    let [early, core] = ["cfg", "core"].map(|extension| disk.with_extension(extension));
    write(&early, script.as_bytes())?;
    run(Command::new(MKIMAGE).args(["-O", "i386-pc", "-p", "/boot/grub", "-c"]).arg(&early).arg("-o").arg(&core).args(MODULES), PACKAGE)?;
    let (boot, image) = (read(Path::new(BOOT))?, read(&core)?);
    [early, core].iter().try_for_each(|path| fs::remove_file(path).map_err(at("remove", path)))?;
    if boot.len() < BOOT_CODE || image.len() as u64 > (PARTITION - 1) * SECTOR {
        return Err(Error::Other(format!("{BOOT} or GRUB's image is not of the size that a disk has room for: has Debian changed its packaging?")));
    }
    let length = fs::metadata(system).map_err(at("read", system))?.len() / SECTOR;
    let (heads, sectors) = (16, 63);
    let cylinders = (PARTITION + length).div_ceil(heads * sectors);
    let mut first = boot[..BOOT_CODE].to_vec();
    first.resize(SECTOR as usize, 0);
    // Its type is Linux's; its first and last sector by cylinder and head say that they cannot.
    first[446..454].copy_from_slice(&[0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff]);
    first[454..458].copy_from_slice(&(PARTITION as u32).to_le_bytes());
    first[458..462].copy_from_slice(&(length as u32).to_le_bytes());
    first[510..].copy_from_slice(&[0x55, 0xaa]);
    let fill = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(disk)?;
        file.set_len(cylinders * heads * sectors * SECTOR)?;
        file.write_all(&first)?;
        file.write_all(&image)?;
        file.seek(SeekFrom::Start(PARTITION * SECTOR))?;
        std::io::copy(&mut fs::File::open(system)?, &mut file).map(drop)
    };
    fill().map_err(at("write", disk))?;
    Ok(Geometry { cylinders, heads, sectors })
}
