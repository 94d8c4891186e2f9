//! The guests, one row each.

use crate::fetch::Build;
use crate::tools::Result;
use crate::{built, linux, u_boot};

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
    /// The source package of this name, with Debian's patches applied.
    Source(&'static str),
    /// The debug symbols of exactly the kernel that another guest was made of, without those of its
    /// modules; known to the recipe as `name`.
    SymbolsOf {
        /// The guest with the kernel, which this one needs.
        guest: &'static str,
        /// The name that the recipe uses.
        name: &'static str,
    },
}

impl Package {
    /// The name by which a recipe knows it.
    pub fn name(self) -> &'static str {
        match self {
            Package::Named(name) | Package::DependencyOf { of: name, .. } | Package::Source(name) | Package::SymbolsOf { name, .. } => name,
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
    /// The architecture whose packages it is made of: its own, or where Debian has it no more, any
    /// that Debian has, for packages that are the same on every architecture.
    pub lists: &'static str,
    /// Whether it takes so long that it is only made when it is asked for by name, or with
    /// `PROTEUS_LONG=1` in the environment.
    pub long: bool,
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

/// The Linux guests of one architecture: kernel, programs, initramfs, disk.
macro_rules! linux {
    ($architecture:literal, $kernel:expr, $image:literal, [$($program:literal),+]) => {
        [
            Guest {
                name: concat!($architecture, "-kernel"),
                summary: concat!("Debian's Linux for ", $architecture),
                architecture: $architecture,
                lists: $architecture,
                long: false,
                packages: &[$kernel],
                needs: &[],
                sources: &[],
                outputs: &[concat!($architecture, "/", $image), concat!($architecture, "/config")],
                recipe: linux::kernel,
            },
            Guest {
                name: concat!($architecture, "-programs"),
                summary: concat!("our own benchmarks and checks for ", $architecture, " Linux"),
                architecture: $architecture,
                lists: $architecture,
                long: false,
                packages: &[],
                needs: &[],
                sources: &["firmware/guest"],
                outputs: &[$(concat!($architecture, "/programs/", $program)),+],
                recipe: linux::programs,
            },
            Guest {
                name: concat!($architecture, "-busybox"),
                summary: "initramfs with busybox; with modules and our programs, and without",
                architecture: $architecture,
                lists: $architecture,
                long: false,
                packages: &[Package::Named("busybox-static")],
                needs: &[concat!($architecture, "-kernel"), concat!($architecture, "-programs")],
                sources: &["firmware/guest"],
                outputs: &[concat!($architecture, "/initrd.gz"), concat!($architecture, "/initrd-min.gz")],
                recipe: linux::busybox,
            },
            Guest {
                name: concat!($architecture, "-rootfs"),
                summary: "ext4 disk with Debian's base files, libc and dash, and busybox",
                architecture: $architecture,
                lists: $architecture,
                long: false,
                packages: &[Package::Named("base-files"), Package::Named("busybox-static"), Package::Named("dash"), Package::Named("libc6")],
                needs: &[concat!($architecture, "-programs")],
                sources: &["firmware/guest"],
                outputs: &[concat!($architecture, "/rootfs.ext4")],
                recipe: linux::rootfs,
            },
        ]
    };
}

/// U-Boot for the Malta board, of one architecture.
macro_rules! malta_u_boot {
    ($architecture:literal) => {
        [Guest {
            name: concat!($architecture, "-u-boot"),
            summary: concat!("U-Boot for a Malta board with a ", $architecture, " core, as firmware file and as flash"),
            architecture: $architecture,
            lists: $architecture,
            long: false,
            packages: &[Package::Named("u-boot-qemu")],
            needs: &[],
            sources: &[],
            outputs: &[concat!($architecture, "/u-boot-swap.bin"), concat!($architecture, "/u-boot-flash.img")],
            recipe: u_boot::malta,
        }]
    };
}

/// Linux for the Malta board, of an architecture that Debian has no packages of: built from sources.
macro_rules! malta_from_sources {
    ($architecture:literal, $core:literal) => {
        [Guest {
            name: concat!($architecture, "-linux"),
            summary: concat!("Linux for a Malta board with a ", $core, " core, and initramfs with busybox, from Debian's sources"),
            architecture: $architecture,
            lists: "mipsel",
            long: true,
            packages: &[Package::DependencyOf { of: "linux-source", prefix: "linux-source-" }, Package::Source("busybox")],
            needs: &[],
            sources: &["firmware/guest"],
            outputs: &[
                concat!($architecture, "/vmlinux"),
                concat!($architecture, "/config"),
                concat!($architecture, "/initrd-min.gz"),
                concat!($architecture, "/initrd.gz"),
            ],
            recipe: built::malta,
        }]
    };
}

const ARM64: [Guest; 4] = linux!(
    "arm64",
    Package::DependencyOf { of: "linux-image-arm64", prefix: "linux-image-" },
    "Image",
    ["bench-chase", "bench-getpid", "bench-int", "bench-matmul", "bench-pipe", "fs-churn", "litmus", "net-xfer"]
);

const MIPSEL: [Guest; 4] = linux!(
    "mipsel",
    Package::DependencyOf { of: "linux-image-4kc-malta", prefix: "linux-image-" },
    "vmlinux",
    ["bench-chase", "bench-getpid", "bench-int", "bench-matmul", "bench-pipe", "fs-churn", "net-xfer"]
);

const MIPS64EL: [Guest; 4] = linux!(
    "mips64el",
    Package::DependencyOf { of: "linux-image-5kc-malta", prefix: "linux-image-" },
    "vmlinux",
    ["bench-chase", "bench-getpid", "bench-int", "bench-matmul", "bench-pipe", "fs-churn", "net-xfer"]
);

const AMD64: [Guest; 4] = linux!(
    "amd64",
    Package::DependencyOf { of: "linux-image-cloud-amd64", prefix: "linux-image-" },
    "bzImage",
    ["bench-chase", "bench-getpid", "bench-int", "bench-matmul", "bench-pipe", "fs-churn", "net-xfer"]
);

/// A host with KVM, for `tools/kvm-host`.
const AMD64_KVM_HOST: [Guest; 1] = [Guest {
    name: "amd64-kvm-host",
    summary: "initramfs and KVM's modules, for a host that is emulated",
    architecture: "amd64",
    lists: "amd64",
    long: false,
    packages: &[Package::Named("busybox-static")],
    needs: &["amd64-kernel"],
    sources: &["firmware/guest/initramfs"],
    outputs: &["amd64/kvm-host.gz", "amd64/kvm-host-busybox", "amd64/kvm-amd.ko", "amd64/kvm-intel.ko"],
    recipe: linux::kvm_host,
}];

/// A disk that GRUB boots from, for PCs with a BIOS.
const AMD64_GRUB: [Guest; 1] = [Guest {
    name: "amd64-grub",
    summary: "disk with GRUB, kernel and initramfs, for PCs with a BIOS",
    architecture: "amd64",
    lists: "amd64",
    long: false,
    packages: &[],
    needs: &["amd64-kernel", "amd64-busybox"],
    sources: &[],
    outputs: &["amd64/grub.img"],
    recipe: linux::grub,
}];

/// What a debugger needs to know of Debian's kernel: 800 MB to download.
const ARM64_SYMBOLS: [Guest; 1] = [Guest {
    name: "arm64-kernel-dbg",
    summary: "debug symbols of Debian's Linux for arm64",
    architecture: "arm64",
    lists: "arm64",
    long: true,
    packages: &[Package::SymbolsOf { guest: "arm64-kernel", name: "linux-image-arm64-dbg" }],
    needs: &["arm64-kernel"],
    sources: &[],
    outputs: &["arm64/vmlinux-dbg"],
    recipe: linux::symbols,
}];

/// The guests by architecture; in each list a guest comes after those it needs.
const LISTS: [&[Guest]; 11] = [
    &ARM64,
    &ARM64_SYMBOLS,
    &AMD64,
    &AMD64_KVM_HOST,
    &AMD64_GRUB,
    &MIPSEL,
    &MIPS64EL,
    &malta_u_boot!("mipsel"),
    &malta_u_boot!("mips64el"),
    &malta_from_sources!("mips", "big-endian 32-bit"),
    &malta_from_sources!("mips64", "big-endian 64-bit"),
];

/// Every guest there is; a guest comes after those it needs.
pub fn guests() -> impl DoubleEndedIterator<Item = &'static Guest> + Clone {
    LISTS.into_iter().flatten()
}
