//! The guests, one row each.

use std::path::Path;

use crate::cpio::Archive;
use crate::fetch::Build;
use crate::initramfs;
use crate::modules::Modules;
use crate::programs::{self, CrossCompiler};
use crate::rootfs;
use crate::tools::{Error, Result, at, entries, read, remove_dir, write};

/// A package to fetch.
#[derive(Clone, Copy, Debug)]
pub enum Package {
    /// By its name.
    Named(&'static str),
    /// What the metapackage `of` depends on under a name that starts with `prefix`; it is known to
    /// the recipe by the name of the metapackage.
    DependencyOf {
        /// The metapackage.
        of: &'static str,
        /// How the name starts.
        prefix: &'static str,
    },
}

impl Package {
    /// The name by which a recipe knows it.
    pub fn name(self) -> &'static str {
        match self {
            Package::Named(name) | Package::DependencyOf { of: name, .. } => name,
        }
    }
}

/// One guest: what to fetch and what to make of it.
#[derive(Debug)]
pub struct Guest {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub summary: &'static str,
    /// Debian's name of its architecture.
    pub architecture: &'static str,
    /// The Debian packages it is made of.
    pub packages: &'static [Package],
    /// The guests that must be there before.
    pub needs: &'static [&'static str],
    /// Files and directories of the workspace that it is built from.
    pub sources: &'static [&'static str],
    /// The files it gives, below the cache.
    pub outputs: &'static [&'static str],
    /// Builds them.
    pub(crate) recipe: fn(&Build) -> Result<()>,
}

/// Every guest there is; a guest comes after those it needs.
pub const GUESTS: &[Guest] = &[
    Guest {
        name: "arm64-kernel",
        summary: "Debian's Linux for arm64, as an Image",
        architecture: "arm64",
        packages: &[Package::DependencyOf { of: "linux-image-arm64", prefix: "linux-image-" }],
        needs: &[],
        sources: &[],
        outputs: &["arm64/Image", "arm64/config"],
        recipe: arm64_kernel,
    },
    Guest {
        name: "arm64-programs",
        summary: "our own benchmarks and checks for arm64 Linux",
        architecture: "arm64",
        packages: &[],
        needs: &[],
        sources: &["firmware/guest"],
        outputs: &[
            "arm64/programs/bench-chase",
            "arm64/programs/bench-getpid",
            "arm64/programs/bench-int",
            "arm64/programs/bench-matmul",
            "arm64/programs/bench-pipe",
            "arm64/programs/fs-churn",
            "arm64/programs/litmus",
            "arm64/programs/net-xfer",
        ],
        recipe: arm64_programs,
    },
    Guest {
        name: "arm64-busybox",
        summary: "initramfs with busybox; with modules and our programs, and without",
        architecture: "arm64",
        packages: &[Package::Named("busybox-static")],
        needs: &["arm64-kernel", "arm64-programs"],
        sources: &["firmware/guest"],
        outputs: &["arm64/initrd.gz", "arm64/initrd-min.gz"],
        recipe: arm64_busybox,
    },
    Guest {
        name: "arm64-rootfs",
        summary: "ext4 disk with Debian's base files, libc and dash, and busybox",
        architecture: "arm64",
        packages: &[Package::Named("base-files"), Package::Named("busybox-static"), Package::Named("dash"), Package::Named("libc6")],
        needs: &["arm64-programs"],
        sources: &["firmware/guest"],
        outputs: &["arm64/rootfs.ext4"],
        recipe: arm64_rootfs,
    },
];

/// Kernel modules of the initramfs: the virtio devices, the file systems of the disk tests.
/// crc32c is asked for by name at run time, which is why ext4 does not list it.
const MODULES: &[&str] = &[
    "virtio_mmio",
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio-rng",
    "virtio_console",
    "?af_packet",
    "?crc32c_generic",
    "ext4",
    "?nls_ascii",
    "?nls_cp437",
    "?nls_iso8859-1",
    "?vfat",
];

const AARCH64: CrossCompiler = CrossCompiler {
    program: "aarch64-linux-gnu-gcc",
    packages: "gcc-aarch64-linux-gnu (and libc6-dev-arm64-cross)",
    // Calls of helpers would hide which atomic instructions the litmus programs use.
    flags: &["-march=armv8-a", "-mno-outline-atomics"],
};

/// The file below `dir` whose name starts with `prefix`.
fn starting_with(dir: &Path, prefix: &str) -> Result<std::path::PathBuf> {
    entries(dir)?
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .ok_or_else(|| Error::Missing { path: dir.join(prefix), fix: "has Debian changed its packaging?" })
}

fn arm64_kernel(build: &Build) -> Result<()> {
    let boot = build.package("linux-image-arm64").join("boot");
    let path = starting_with(&boot, "vmlinuz-")?;
    let mut image = read(&path)?;
    if image.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&image[..]), &mut plain).map_err(at("decompress", &path))?;
        image = plain;
    }
    // Linux's Documentation/arm64/booting: the magic number of the Image header.
    if image.get(56..60) != Some(b"ARM\x64") {
        return Err(Error::Other(format!("{} is no arm64 Image: has Debian changed its format?", path.display())));
    }
    write(&build.output("Image"), &image)?;
    write(&build.output("config"), &read(&starting_with(&boot, "config-")?)?)
}

fn arm64_programs(build: &Build) -> Result<()> {
    programs::compile(&AARCH64, &build.source("firmware/guest"), &build.output("programs"))
}

fn arm64_busybox(build: &Build) -> Result<()> {
    let busybox = build.package("busybox-static").join("bin/busybox");
    let busybox = if busybox.exists() { busybox } else { build.package("busybox-static").join("usr/bin/busybox") };
    let mut tree: Archive = initramfs::minimal(&busybox, &build.source("firmware/guest/initramfs"))?;
    initramfs::store(&tree, &build.output("initrd-min.gz"))?;
    let modules = Modules::below(&build.package("linux-image-arm64"))?;
    initramfs::add_modules(&mut tree, modules.in_load_order(MODULES)?);
    initramfs::add_programs(&mut tree, &build.output("programs"))?;
    initramfs::store(&tree, &build.output("initrd.gz"))
}

fn arm64_rootfs(build: &Build) -> Result<()> {
    let tree = build.output("rootfs");
    let packages = ["base-files", "libc6", "dash", "busybox-static"].map(|name| build.package(name));
    let packages: Vec<&Path> = packages.iter().map(|path| path.as_path()).collect();
    rootfs::assemble(&tree, &packages, &build.source("firmware/guest/rootfs-init"), &build.output("programs"))?;
    let made = rootfs::make_ext4(&tree, &build.output("rootfs.ext4"), 128);
    remove_dir(&tree)?;
    made
}
