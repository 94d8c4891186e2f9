//! A Linux host with a full KVM: Debian's kernel in `qemu-system-x86_64`, which translates its
//! instructions and emulates AMD's virtualisation with nested paging. What it runs is as slow as
//! that, but it is all that KVM has, on any machine.
//!
//! The host's disk is made anew for each command, and holds the files that the command names, at the
//! paths that they have here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::rootfs::make_ext4;
use crate::tools::{Error, Result, at, entries, make_dir, read, run, write};
use crate::{cache_dir, guest_file};

const QEMU: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
/// Without MPX, which QEMU's virtualisation would leave in the hands of the guest.
pub const CPU: &str = "max,-mpx";
const INIT: &str = include_str!("../../../firmware/guest/kvm-host/init");
/// What the last line of the serial line begins with, and then the command's status.
const STATUS: &str = "kvm-host: status ";
/// Room on the disk for what the command writes, in MiB.
const SPARE: u64 = 512;
const MIB: u64 = 1 << 20;
/// How much of the kernel's messages is shown if the host ends without a status.
const TAIL: usize = 40;

/// What to run, and on what.
#[derive(Clone, Debug)]
pub struct Host {
    /// The processor that QEMU emulates.
    pub cpu: String,
    /// Whether QEMU executes all its cores in one thread. With one for each, its SVM now and then
    /// stops for good; with one for all, a guest whose cores wait for each other takes very long.
    pub one_thread: bool,
    /// Its number of cores.
    pub cores: u32,
    /// Its memory in MiB.
    pub memory: u32,
    /// Further words of the kernel's command line.
    pub append: String,
    /// Further files and directories to bring.
    pub with: Vec<PathBuf>,
    /// When it is ended if the command has not.
    pub limit: Duration,
    /// Where the kernel's messages are kept.
    pub log: Option<PathBuf>,
}

impl Default for Host {
    fn default() -> Self {
        Self { cpu: CPU.into(), one_thread: false, cores: 2, memory: 2048, append: String::new(), with: vec![], limit: Duration::from_secs(1800), log: None }
    }
}

impl Host {
    /// Runs a command there, in the directory that this process is in; gives its status.
    ///
    /// The files that its words name by a path are brought along; the first word is sought in PATH.
    /// Its input and output are this process's.
    pub fn run(&self, command: &[String]) -> Result<i32> {
        let kernel = guest_file("amd64/bzImage")?;
        let initrd = guest_file("amd64/kvm-host.gz")?;
        let dir = Temporary::new()?;
        let tree = dir.0.join("tree");
        self.fill(&tree, command)?;
        let disk = dir.0.join("disk.ext4");
        make_ext4(&tree, &disk, (size(&tree)? / MIB + SPARE) as u32)?;
        let serial = self.log.clone().unwrap_or_else(|| dir.0.join("serial"));
        let mut qemu = Command::new(QEMU);
        qemu.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-M",
            "pc",
            "-accel",
            if self.one_thread { "tcg,thread=single" } else { "tcg,thread=multi" },
        ]);
        qemu.arg("-cpu").arg(&self.cpu).arg("-smp").arg(self.cores.to_string()).arg("-m").arg(self.memory.to_string());
        qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd).arg("-append");
        qemu.arg(format!("console=ttyS0 ignore_loglevel root=/dev/vda mitigations=off {}", self.append));
        qemu.arg("-drive").arg(format!("if=virtio,format=raw,cache=unsafe,file={}", disk.display()));
        qemu.arg("-serial").arg(format!("file:{}", serial.display()));
        qemu.args(["-chardev", "stdio,id=out,signal=on", "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=out"]);
        let child = qemu.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoProgram { program: QEMU.into(), package: PACKAGE },
            _ => Error::Other(format!("cannot run {QEMU}: {error}")),
        })?;
        let ended = wait(child, self.limit)?;
        let messages = String::from_utf8_lossy(&read(&serial)?).into_owned();
        let status = messages.lines().rev().find_map(|line| line.trim().strip_prefix(STATUS)?.parse().ok());
        match (status, ended) {
            (Some(status), _) => Ok(status),
            (None, Some(end)) => Err(Error::Other(format!("the host ended ({end}) before the command did:\n{}", tail(&messages)))),
            (None, None) => Err(Error::Other(format!("the command had not ended after {} s:\n{}", self.limit.as_secs(), tail(&messages)))),
        }
    }

    /// Puts what the disk is to hold below `tree`.
    fn fill(&self, tree: &Path, command: &[String]) -> Result<()> {
        bring_as(&guest_file("amd64/kvm-host-busybox")?, &tree.join("bin/busybox"))?;
        for dir in ["dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "var/tmp"] {
            make_dir(&tree.join(dir))?;
        }
        let init = tree.join("sbin/init");
        write(&init, INIT.as_bytes())?;
        fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(at("change", &init))?;
        let mut words = command.to_vec();
        if let Some(first) = words.first_mut()
            && let Some(path) = in_path(first)
        {
            *first = path.to_string_lossy().into_owned();
        }
        for path in words.iter().flat_map(|word| paths(word)).filter(|path| path.is_file()) {
            bring(tree, path)?;
        }
        self.with.iter().try_for_each(|path| bring(tree, path))?;
        let here = std::env::current_dir().map_err(at("find", Path::new(".")))?;
        make_dir(&below(tree, &here))?;
        let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let echo = if std::io::IsTerminal::is_terminal(&std::io::stdin()) { "" } else { "stty -echo -opost\n" };
        make_dir(&tree.join("kvm-host"))?;
        write(&tree.join("kvm-host/command"), format!("{echo}cd {}\n{}\n", quote(&here.to_string_lossy()), quoted.join(" ")).as_bytes())
    }
}

/// A directory of this process in the cache, which goes with the value.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self> {
        let dir = std::path::absolute(cache_dir().join(format!("kvm-host.{}", std::process::id()))).map_err(at("find", Path::new("the cache")))?;
        make_dir(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits for the end; at the limit, makes it.
fn wait(mut child: Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let until = Instant::now() + limit;
    loop {
        let ended = child.try_wait().map_err(|error| Error::Other(format!("{QEMU}: {error}")))?;
        if ended.is_some() {
            return Ok(ended);
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        sleep(Duration::from_millis(50));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// A program as a shell finds it.
fn in_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return None;
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// What may be a path: a word, or a part of it as in `if=virtio,file=disk.img`.
fn paths(word: &str) -> impl Iterator<Item = &Path> {
    std::iter::once(word).chain(word.split([',', '='])).filter(|part| part.contains('/')).map(Path::new)
}

/// A word that a shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Where a path of this machine is below `tree`.
fn below(tree: &Path, path: &Path) -> PathBuf {
    tree.join(path.strip_prefix("/").unwrap_or(path))
}

/// Brings a file with the libraries that it needs, or all files of a directory.
fn bring(tree: &Path, path: &Path) -> Result<()> {
    let path = std::path::absolute(path).map_err(at("find", path))?;
    if path.is_dir() {
        make_dir(&below(tree, &path))?;
        return entries(&path)?.iter().filter(|inner| inner.exists()).try_for_each(|inner| bring(tree, inner));
    }
    bring_as(&path, &below(tree, &path))?;
    libraries(&path)?.iter().try_for_each(|library| bring_as(library, &below(tree, library)))
}

/// A link to the file where it can be one, for it may be large.
fn bring_as(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    to.parent().map_or(Ok(()), make_dir)?;
    let real = fs::canonicalize(from).map_err(at("read", from))?;
    fs::hard_link(&real, to).or_else(|_| fs::copy(&real, to).map(drop)).map_err(at("read", from))
}

/// The libraries of a program, and its loader, as ldd tells them.
fn libraries(path: &Path) -> Result<Vec<PathBuf>> {
    let mut start = [0; 4];
    let of_elf = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start)).is_ok() && start == *b"\x7fELF";
    if !of_elf {
        return Ok(vec![]);
    }
    // It fails where there are none.
    let told = Command::new("ldd").arg(path).env("LC_ALL", "C").stderr(Stdio::null()).output().map_err(at("ask ldd about", path))?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    Ok(told.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).filter(|library| library.is_file()).collect())
}

/// Bytes of all files below a directory.
fn size(dir: &Path) -> Result<u64> {
    let out = run(Command::new("du").args(["-s", "-k", "--apparent-size"]).arg(dir), "coreutils")?;
    let kib: u64 = out.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_command_as_they_are() {
        let words = ["plain", "two words", "it's", "$HOME;*", ""];
        let line = format!("printf '%s|' {}", words.map(quote).join(" "));
        assert_eq!(run(Command::new("sh").arg("-c").arg(line), "dash").expect("a shell"), words.map(|w| format!("{w}|")).concat());
    }

    #[test]
    fn paths_are_found_in_options() {
        assert_eq!(paths("if=virtio,file=/a/b").collect::<Vec<_>>(), [Path::new("if=virtio,file=/a/b"), Path::new("/a/b")]);
        assert_eq!(paths("./a").next(), Some(Path::new("./a")));
        assert_eq!(paths("file=a").next(), None);
    }

    #[test]
    fn a_program_comes_with_its_libraries_at_the_paths_that_they_have_here() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let host = Host { with: vec![dir.path().join("given")], ..Host::default() };
        fs::create_dir(dir.path().join("given")).expect("made");
        fs::write(dir.path().join("given/file"), "x").expect("written");
        let tree = dir.path().join("tree");
        let this = std::env::current_exe().expect("this program");
        bring(&tree, &this).expect("brought");
        host.with.iter().for_each(|path| bring(&tree, path).expect("brought"));
        assert!(below(&tree, &this).is_file());
        assert!(below(&tree, &dir.path().join("given/file")).is_file());
        assert!(crate::tools::files_below(&tree).expect("files").iter().any(|file| file.to_string_lossy().contains("/libc.so.")));
    }
}
