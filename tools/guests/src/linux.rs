//! Builds the Linux guests; what differs between architectures is a row of [`PORTS`].

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::cpio::Archive;
use crate::fetch::Build;
use crate::grub;
use crate::initramfs;
use crate::modules::Modules;
use crate::programs::{self, CrossCompiler};
use crate::rootfs::{self, make_ext4};
use crate::tools::{Error, Result, at, entries, make_dir, part_name, read, remove_dir, rename, write};

/// What is particular to Linux on one architecture.
struct Port {
    /// Debian's name of it.
    architecture: &'static str,
    /// The metapackage of its kernel.
    kernel: &'static str,
    /// The name of the kernel among the outputs.
    image: &'static str,
    /// Where a kernel has which bytes if it is what the board's loader takes, and what that is.
    magic: (usize, &'static [u8], &'static str),
    /// Kernel modules of its boards; those of [`MODULES`] are loaded after them.
    modules: &'static [&'static str],
    /// Who compiles our own programs.
    compiler: CrossCompiler,
}

const PORTS: &[Port] = &[
    Port {
        architecture: "arm64",
        kernel: "linux-image-arm64",
        image: "Image",
        // Linux's Documentation/arm64/booting: the magic number of the Image header.
        magic: (56, b"ARM\x64", "an arm64 Image"),
        modules: &["virtio_mmio"],
        compiler: CrossCompiler {
            program: "aarch64-linux-gnu-gcc",
            packages: "gcc-aarch64-linux-gnu (and libc6-dev-arm64-cross)",
            // Calls of helpers would hide which atomic instructions the litmus programs use.
            flags: &["-march=armv8-a", "-mno-outline-atomics"],
            leaves_out: &[],
        },
    },
    Port {
        architecture: "mipsel",
        kernel: "linux-image-4kc-malta",
        image: "vmlinux",
        magic: (0, b"\x7fELF\x01\x01", "a 32-bit little-endian ELF file"),
        modules: MALTA,
        compiler: CrossCompiler {
            program: "mipsel-linux-gnu-gcc",
            packages: "gcc-mipsel-linux-gnu (and libc6-dev-mipsel-cross)",
            flags: &["-march=mips32r2"],
            leaves_out: &["litmus"],
        },
    },
    Port {
        architecture: "mips64el",
        kernel: "linux-image-5kc-malta",
        image: "vmlinux",
        magic: (0, b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file"),
        modules: MALTA,
        compiler: CrossCompiler {
            program: "mips64el-linux-gnuabi64-gcc",
            packages: "gcc-mips64el-linux-gnuabi64 (and libc6-dev-mips64el-cross)",
            flags: &["-march=mips64r2"],
            leaves_out: &["litmus"],
        },
    },
    Port {
        architecture: "amd64",
        kernel: "linux-image-cloud-amd64",
        image: "bzImage",
        // Linux's Documentation/arch/x86/boot: the magic number of the setup header.
        magic: (0x202, b"HdrS", "a bzImage"),
        // Those of microvm, and of pc.
        modules: &["?virtio_mmio", "?ata_piix", "?sd_mod", "?sr_mod", "?isofs"],
        compiler: CrossCompiler {
            program: "x86_64-linux-gnu-gcc",
            packages: "gcc (on a host of x86-64; elsewhere gcc-x86-64-linux-gnu and libc6-dev-amd64-cross)",
            flags: &["-march=x86-64"],
            leaves_out: &["litmus"],
        },
    },
];

/// The Malta board: its Ethernet controller, the PIIX4's IDE, disks and CD-ROMs on it.
const MALTA: &[&str] = &["pcnet32", "ata_piix", "?sd_mod", "sr_mod", "isofs"];

/// Kernel modules of every initramfs: the virtio devices, the file systems of the disk tests.
/// crc32c is asked for by name at run time, which is why ext4 does not list it.
/// Those with a question mark are built in on some architectures.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio-rng",
    "virtio_console",
    "?af_packet",
    "?crc32c_generic",
    "?ext4",
    "?nls_ascii",
    "?nls_cp437",
    "?nls_iso8859-1",
    "?vfat",
];

/// Kernel modules of the host of `tools/kvm-host`: disks and consoles, and KVM but for its part for one
/// vendor's processors.
const KVM_HOST: &[&str] = &["virtio_pci", "virtio_blk", "virtio_console", "ata_piix", "sd_mod", "?crc32c_generic", "?ext4", "kvm"];
/// That part.
const KVM_OF_VENDORS: [&str; 2] = ["kvm-amd", "kvm-intel"];

fn port(build: &Build) -> Result<&'static Port> {
    let name = build.architecture();
    PORTS.iter().find(|port| port.architecture == name).ok_or_else(|| Error::Other(format!("tools/guests/src/linux.rs has no row for {name}")))
}

/// The file below `dir` whose name starts with `prefix`.
pub(crate) fn starting_with(dir: &Path, prefix: &str) -> Result<PathBuf> {
    entries(dir)?
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .ok_or_else(|| Error::Missing { path: dir.join(prefix), fix: "has Debian changed its packaging?" })
}

/// The kernel, decompressed, and its configuration.
pub(crate) fn kernel(build: &Build) -> Result<()> {
    let port = port(build)?;
    let boot = build.package(port.kernel).join("boot");
    let path = starting_with(&boot, "vmlinuz-")?;
    let mut image = read(&path)?;
    if image.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        GzDecoder::new(&image[..]).read_to_end(&mut plain).map_err(at("decompress", &path))?;
        image = plain;
    }
    let (offset, magic, what) = port.magic;
    if image.get(offset..offset + magic.len()) != Some(magic) {
        return Err(Error::Other(format!("{} is not {what}: has Debian changed its format?", path.display())));
    }
    write(&build.output(port.image), &image)?;
    write(&build.output("config"), &read(&starting_with(&boot, "config-")?)?)
}

/// The kernel with its debug symbols, as an ELF file.
pub(crate) fn symbols(build: &Build) -> Result<()> {
    let boot = build.package(&format!("{}-dbg", port(build)?.kernel)).join("usr/lib/debug/boot");
    let path = starting_with(&boot, "vmlinux-")?;
    // A link: the file has some 300 MB.
    let output = build.output("vmlinux-dbg");
    let part = part_name(&output);
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(at("remove", &part)(error)),
        _ => std::fs::hard_link(&path, &part).map_err(at("make", &part))?,
    }
    rename(&part, &output)
}

/// Our own programs, as far as they are for this architecture.
pub(crate) fn programs(build: &Build) -> Result<()> {
    programs::compile(&port(build)?.compiler, &build.source("firmware/guest"), &build.output("programs"))
}

fn busybox_of(build: &Build) -> PathBuf {
    let busybox = build.package("busybox-static").join("bin/busybox");
    if busybox.exists() { busybox } else { build.package("busybox-static").join("usr/bin/busybox") }
}

/// The initramfs of the host of `tools/kvm-host`, and busybox for its disk.
pub(crate) fn kvm_host(build: &Build) -> Result<()> {
    let busybox = busybox_of(build);
    let mut tree: Archive = initramfs::minimal(&busybox, &build.source("firmware/guest/initramfs"))?;
    let modules = Modules::below(&build.package(port(build)?.kernel))?;
    initramfs::add_modules(&mut tree, modules.in_load_order(KVM_HOST)?);
    initramfs::store(&tree, &build.output("kvm-host.gz"))?;
    for name in KVM_OF_VENDORS {
        write(&build.output(&format!("{name}.ko")), &modules.named(name)?)?;
    }
    let output = build.output("kvm-host-busybox");
    std::fs::copy(&busybox, &output).map(drop).map_err(at("write", &output))
}

/// The disk that GRUB boots from.
pub(crate) fn grub(build: &Build) -> Result<()> {
    const MIB: u32 = 48;
    let disk = build.output("grub.img");
    let (tree, system) = (disk.with_extension("tree"), disk.with_extension("ext4"));
    remove_dir(&tree)?;
    make_dir(&tree.join("boot"))?;
    for name in ["bzImage", "initrd.gz"] {
        let to = tree.join("boot").join(name);
        std::fs::copy(build.output(name), &to).map_err(at("write", &to))?;
    }
    make_ext4(&tree, &system, MIB)?;
    let script = format!("serial\nterminal_output serial\necho GRUB starts Linux\n{}", grub::starts_linux("console=ttyS0"));
    grub::make_disk(&script, &system, &disk)?;
    remove_dir(&tree)?;
    std::fs::remove_file(&system).map_err(at("remove", &system))
}

/// The two initramfs images.
pub(crate) fn busybox(build: &Build) -> Result<()> {
    let port = port(build)?;
    let mut tree: Archive = initramfs::minimal(&busybox_of(build), &build.source("firmware/guest/initramfs"))?;
    initramfs::store(&tree, &build.output("initrd-min.gz"))?;
    let modules = Modules::below(&build.package(port.kernel))?;
    initramfs::add_modules(&mut tree, modules.in_load_order(&[port.modules, MODULES].concat())?);
    initramfs::add_programs(&mut tree, &build.output("programs"))?;
    initramfs::store(&tree, &build.output("initrd.gz"))
}

/// The disk.
pub(crate) fn rootfs(build: &Build) -> Result<()> {
    let tree = build.output("rootfs");
    let packages = ["base-files", "libc6", "dash", "busybox-static"].map(|name| build.package(name));
    let packages: Vec<&Path> = packages.iter().map(|path| path.as_path()).collect();
    rootfs::assemble(&tree, &packages, &build.source("firmware/guest/rootfs-init"), &build.output("programs"))?;
    let made = rootfs::make_ext4(&tree, &build.output("rootfs.ext4"), 128);
    remove_dir(&tree)?;
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::guests;

    #[test]
    fn every_architecture_of_a_linux_guest_has_its_port() {
        for guest in guests().filter(|guest| guest.name.ends_with("-kernel")) {
            let port = PORTS.iter().find(|port| port.architecture == guest.architecture).expect("a port");
            assert_eq!(guest.packages.iter().map(|package| package.name()).collect::<Vec<_>>(), [port.kernel]);
            assert_eq!(guest.outputs[0], format!("{}/{}", port.architecture, port.image));
        }
    }

    #[test]
    fn the_programs_of_a_row_are_those_that_are_compiled_for_it() {
        let sources = entries(&crate::workspace().join("firmware/guest")).expect("the sources");
        for port in PORTS {
            let row = guests().find(|guest| guest.name == format!("{}-programs", port.architecture)).expect("a row");
            let compiled: Vec<_> = sources
                .iter()
                .filter(|path| path.extension().is_some_and(|e| e == "c"))
                .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
                .filter(|name| !port.compiler.leaves_out.contains(&name.as_str()))
                .map(|name| format!("{}/programs/{name}", port.architecture))
                .collect();
            assert_eq!(row.outputs, compiled);
        }
    }
}
