//! Builds Linux and busybox from Debian's sources, for architectures that Debian has no packages of.
//!
//! The kernel has what the board has and no modules, so it takes minutes. Built twice from the same
//! sources by the same compiler it is the same file.

use std::path::Path;
use std::process::Command;

use crate::fetch::Build;
use crate::initramfs;
use crate::linux::starting_with;
use crate::programs::{self, CrossCompiler};
use crate::tools::{Error, Result, make_dir, read, remove_dir, run, write};

/// The Debian packages that Kbuild needs, in the kernel and in busybox.
const KBUILD: &str = "make, gcc, flex, bison and bc";

/// What is particular to one architecture.
struct Port {
    /// Debian's name of it, of the time when Debian had it.
    architecture: &'static str,
    /// What the names of its compiler's programs begin with.
    prefix: &'static str,
    /// Who compiles our own programs.
    compiler: CrossCompiler,
    /// What the kernel's configuration has besides `firmware/guest/malta/linux.config`.
    options: &'static [&'static str],
}

const PORTS: &[Port] = &[
    Port {
        architecture: "mips",
        prefix: "mips-linux-gnu-",
        compiler: CrossCompiler {
            program: "mips-linux-gnu-gcc",
            packages: "gcc-mips-linux-gnu (and libc6-dev-mips-cross)",
            flags: &["-march=mips32r2"],
            leaves_out: &["litmus"],
        },
        options: &["CONFIG_CPU_MIPS32_R2=y", "CONFIG_32BIT=y"],
    },
    Port {
        architecture: "mips64",
        prefix: "mips64-linux-gnuabi64-",
        compiler: CrossCompiler {
            program: "mips64-linux-gnuabi64-gcc",
            packages: "gcc-mips64-linux-gnuabi64 (and libc6-dev-mips64-cross)",
            flags: &["-march=mips64r2"],
            leaves_out: &["litmus"],
        },
        options: &["CONFIG_CPU_MIPS64_R2=y", "CONFIG_64BIT=y"],
    },
];

/// Kernel and initramfs for a big-endian Malta board.
pub(crate) fn malta(build: &Build) -> Result<()> {
    let name = build.architecture();
    let port = PORTS.iter().find(|port| port.architecture == name).ok_or_else(|| Error::Other(format!("tools/guests/src/built.rs has no row for {name}")))?;
    let work = std::path::absolute(build.output("build.part")).map_err(|error| Error::Other(format!("no place to build in: {error}")))?;
    remove_dir(&work)?;
    make_dir(&work)?;
    initramfs(port, build, &work)?;
    kernel(port, build, &work)?;
    remove_dir(&work)
}

/// `make` in `source`, with the results in `out`.
fn make(port: &Port, source: &Path, out: &Path, words: &[&str]) -> Result<()> {
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    run(
        Command::new("make")
            .args(["-s", &format!("-j{jobs}"), &format!("CROSS_COMPILE={}", port.prefix)])
            .arg(format!("O={}", out.display()))
            .args(words)
            .current_dir(source)
            // The date of the sources' release is of no use in them, and that of the build would
            // make every build another.
            .envs([("KBUILD_BUILD_TIMESTAMP", "1970-01-01"), ("KBUILD_BUILD_USER", "proteus"), ("KBUILD_BUILD_HOST", "proteus")])
            .envs([("SOURCE_DATE_EPOCH", "0"), ("KCONFIG_NOTIMESTAMP", "1")]),
        KBUILD,
    )
    .map(drop)
}

/// The kernel, and the configuration that it was built with.
fn kernel(port: &Port, build: &Build, work: &Path) -> Result<()> {
    let archive = starting_with(&build.package("linux-source").join("usr/src"), "linux-source-")?;
    let source = work.join("linux");
    make_dir(&source)?;
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&source).arg("--strip-components=1"), "tar and xz-utils")?;
    let out = work.join("linux-out");
    make_dir(&out)?;
    let wanted = String::from_utf8_lossy(&read(&build.source("firmware/guest/malta/linux.config"))?).into_owned() + &port.options.join("\n") + "\n";
    let list = out.join("wanted");
    write(&list, wanted.as_bytes())?;
    make(port, &source, &out, &["ARCH=mips", &format!("KCONFIG_ALLCONFIG={}", list.display()), "allnoconfig"])?;
    let config = read(&out.join(".config"))?;
    let dropped = dropped(&wanted, &String::from_utf8_lossy(&config));
    if !dropped.is_empty() {
        return Err(Error::Other(format!("Linux does not take these options (have their names changed?): {}", dropped.join(", "))));
    }
    make(port, &source, &out, &["ARCH=mips", "vmlinux"])?;
    let strip = format!("{}strip", port.prefix);
    run(Command::new(strip).args(["-s", "-o"]).arg(out.join("stripped")).arg(out.join("vmlinux")), port.compiler.packages)?;
    write(&build.output("vmlinux"), &read(&out.join("stripped"))?)?;
    write(&build.output("config"), &config)
}

/// The initramfs, with our own programs and without. Busybox has the options of Debian's
/// `busybox-static`.
fn initramfs(port: &Port, build: &Build, work: &Path) -> Result<()> {
    let source = build.package("busybox");
    let out = work.join("busybox");
    make_dir(&out)?;
    // The first word on an option counts, and what this release has besides is as it proposes.
    write(&out.join(".config"), &read(&source.join("debian/config/pkg/static"))?)?;
    make(port, &source, &out, &["silentoldconfig"])?;
    make(port, &source, &out, &["busybox"])?;
    let mut tree = initramfs::minimal(&out.join("busybox"), &build.source("firmware/guest/initramfs"))?;
    initramfs::store(&tree, &build.output("initrd-min.gz"))?;
    let programs = build.output("programs");
    programs::compile(&port.compiler, &build.source("firmware/guest"), &programs)?;
    initramfs::add_programs(&mut tree, &programs)?;
    initramfs::store(&tree, &build.output("initrd.gz"))
}

/// The options that are wanted and that a configuration has not, for Kconfig leaves out without a
/// word what lacks something it depends on.
fn dropped<'a>(wanted: &'a str, config: &str) -> Vec<&'a str> {
    wanted.lines().filter(|line| line.starts_with("CONFIG_") && !config.lines().any(|other| other == *line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::guests;

    #[test]
    fn every_architecture_of_a_row_has_its_port() {
        let rows = guests().filter(|guest| guest.name.ends_with("-linux")).map(|guest| guest.architecture);
        assert!(rows.eq(PORTS.iter().map(|port| port.architecture)));
    }

    #[test]
    fn what_kconfig_leaves_out_is_found() {
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"text\"\n";
        assert_eq!(dropped("# text\nCONFIG_A=y\nCONFIG_B=y\nCONFIG_C=\"text\"\nCONFIG_D=4\n", config), ["CONFIG_B=y", "CONFIG_D=4"]);
    }
}
