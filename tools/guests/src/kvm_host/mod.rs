//! A Linux host with a full KVM, which an emulator makes: Debian's kernel on a machine whose
//! virtualisation is emulated too. What it runs is as slow as that, but it is all that KVM has, on
//! any machine.
//!
//! The host's disk is made anew for each command, and holds the files that the command names, at the
//! paths that they have here.

mod bochs;
mod bring;
mod qemu;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::tools::{Error, Result, at, make_dir, read, run, write};
use crate::{cache_dir, guest_file};
use bring::{below, bring, bring_as, in_path, paths};

const INIT: &str = include_str!("../../../../firmware/guest/kvm-host/init");
/// What the last line of the serial line begins with, and then the command's status.
const STATUS: &str = "kvm-host: status ";
/// Room on the disk for what the command writes, in MiB.
const SPARE: u64 = 512;
const MIB: u64 = 1 << 20;
/// How much of the kernel's messages is shown if the host ends without a status.
const TAIL: usize = 40;

/// Who emulates the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Emulator {
    /// `qemu-system-x86_64`, which translates instructions, with AMD's virtualisation. It does not give
    /// INT3 and debug registers to hypervisors.
    #[default]
    Qemu,
    /// Bochs, which interprets instructions, with Intel's virtualisation: about a tenth as fast. The
    /// command has no input.
    Bochs,
}

/// What an emulator is told.
struct Told {
    /// The command line that starts it.
    command: Command,
    /// The file to which it writes what the command prints, if not to this process's output.
    output: Option<PathBuf>,
    /// The file to which it writes what it has to say itself, if not to this process's errors.
    errors: Option<PathBuf>,
}

/// Where the parts of a host are.
struct Place<'a> {
    /// A directory for what the emulator needs.
    dir: &'a Path,
    /// What the disk is to hold.
    tree: &'a Path,
    /// The file for what the serial line says: the kernel's messages, and the status.
    serial: &'a Path,
}

impl Place<'_> {
    /// Makes the disk's file system; gives its path.
    fn file_system(&self) -> Result<PathBuf> {
        let image = self.dir.join("disk.ext4");
        crate::rootfs::make_ext4(self.tree, &image, (size(self.tree)? / MIB + SPARE) as u32)?;
        Ok(image)
    }
}

impl Emulator {
    /// The programs that it needs, itself first, and Debian's packages with them.
    fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Emulator::Qemu => qemu::PROGRAMS,
            Emulator::Bochs => bochs::PROGRAMS,
        }
    }

    /// Whether its programs are installed; the error names one that is not.
    pub fn installed(self) -> Result<()> {
        match self.programs().iter().find(|(program, _)| in_path(program).is_none()) {
            Some((program, package)) => Err(Error::NoProgram { program: (*program).into(), package }),
            None => Ok(()),
        }
    }

    /// The module with KVM for its processors.
    fn module(self) -> &'static str {
        match self {
            Emulator::Qemu => qemu::MODULE,
            Emulator::Bochs => bochs::MODULE,
        }
    }
}

/// What to run, and on what.
#[derive(Clone, Debug)]
pub struct Host {
    /// Who emulates it.
    pub by: Emulator,
    /// The processor, as the emulator names it; without one, the one that is known to work.
    pub cpu: Option<String>,
    /// Its number of cores. With more than one, QEMU's SVM now and then stops for good.
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
        let limit = Duration::from_secs(1800);
        Self { by: Emulator::Qemu, cpu: None, cores: 1, memory: 2048, append: String::new(), with: vec![], limit, log: None }
    }
}

impl Host {
    /// Runs a command there, in the directory that this process is in; gives its status.
    ///
    /// The files that its words name by a path are brought along; the first word is sought in PATH.
    /// Its output is this process's, and, where the emulator has a way, its input.
    pub fn run(&self, command: &[String]) -> Result<i32> {
        self.by.installed()?;
        let dir = Temporary::new()?;
        let tree = dir.0.join("tree");
        self.fill(&tree, command)?;
        let serial = self.log.clone().unwrap_or_else(|| dir.0.join("serial"));
        write(&serial, b"")?;
        let place = Place { dir: &dir.0, tree: &tree, serial: &serial };
        let mut told = match self.by {
            Emulator::Qemu => qemu::told(self, &place)?,
            Emulator::Bochs => bochs::told(self, &place)?,
        };
        let child = told.command.spawn().map_err(|error| Error::Other(format!("cannot start the emulator: {error}")))?;
        let mut output = told.output.as_deref().map(|path| File::open(path).map_err(at("read", path))).transpose()?;
        let ended = wait(child, self.limit, output.as_mut())?;
        let messages = String::from_utf8_lossy(&read(&serial)?).into_owned();
        let said = told.errors.filter(|_| messages.is_empty()).and_then(|path| fs::read_to_string(path).ok());
        let status = messages.lines().rev().find_map(|line| line.trim().strip_prefix(STATUS)?.parse().ok());
        let last = tail(said.as_deref().unwrap_or(&messages));
        match (status, ended) {
            (Some(status), _) => Ok(status),
            (None, Some(end)) => Err(Error::Other(format!("the host ended ({end}) before the command did:\n{last}"))),
            (None, None) => Err(Error::Other(format!("the command had not ended after {} s:\n{last}", self.limit.as_secs()))),
        }
    }

    /// The words of the kernel's command line; the root file system is on `root`, the command's output
    /// goes to `console`.
    fn words(&self, root: &str, console: &str) -> String {
        format!("console=ttyS0 mitigations=off root={root} kvm-host.console={console} {}", self.append)
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
        bring_as(&guest_file(&format!("amd64/{}", self.by.module()))?, &tree.join("kvm-host/kvm.ko"))?;
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
        let interactive = self.by == Emulator::Qemu && io::stdin().is_terminal();
        let echo = if interactive { "" } else { "stty -echo -opost <&1\n" };
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

/// Waits for the end; at the limit, makes it. Meanwhile, what appears in the file is printed.
fn wait(mut child: Child, limit: Duration, mut output: Option<&mut File>) -> Result<Option<ExitStatus>> {
    let until = Instant::now() + limit;
    loop {
        let ended = child.try_wait().map_err(|error| Error::Other(format!("cannot wait for the emulator: {error}")))?;
        if let Some(output) = &mut output {
            // That nobody reads it is nobody's error.
            let _ = io::copy(*output, &mut io::stdout()).and_then(|_| io::stdout().flush());
        }
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

/// A word that a shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
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
}
