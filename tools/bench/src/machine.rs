//! One run of one emulator: boot, programs, power-off.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use proteus_guests::console::{Console, ConsoleError};

use crate::cases::Case;
use crate::debugger::{self, Socket};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for what there is not.
    #[error("{0}")]
    Usage(String),
    /// A guest is missing.
    #[error(transparent)]
    Guest(#[from] proteus_guests::Error),
    /// The emulator or the guest did not do what was expected.
    #[error("{emulator}: {source}")]
    Console {
        /// Which of the two.
        emulator: String,
        /// What happened.
        source: ConsoleError,
    },
    /// A report could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A report could not be put in form.
    #[error("cannot make the report: {0}")]
    Json(#[from] serde_json::Error),
}

/// Writes a report.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| Error::Write { path: path.to_path_buf(), source })
}

/// One of the two programs that are held against each other.
#[derive(Debug)]
pub struct Emulator {
    /// Its name in the report.
    pub label: &'static str,
    /// Its program.
    pub program: PathBuf,
    /// Words added to its command line.
    pub words: Vec<String>,
}

impl Emulator {
    /// The first line of its `--version`.
    pub fn version(&self) -> Result<String, Error> {
        let output = Command::new(&self.program).arg("--version").output();
        let text = output.map_err(|error| Error::Usage(format!("cannot run {}: {error}; name the program with --{}", self.program.display(), self.label)))?;
        Ok(String::from_utf8_lossy(&text.stdout).lines().next().unwrap_or("unknown version").to_owned())
    }
}

/// A guest: which programs run it, its kernel, and the machine.
#[derive(Debug)]
struct Row {
    /// Its name on the command line, and the directory of its files in the cache.
    name: &'static str,
    /// What the programs' names end with.
    target: &'static str,
    kernel: &'static str,
    machine: &'static [&'static str],
    append: &'static str,
}

/// Every guest. No network card: QEMU's default ones need a ROM file that may not be installed, and
/// so does the graphics card of Malta.
const GUESTS: &[Row] = &[
    Row {
        name: "arm64",
        target: "aarch64",
        kernel: "Image",
        machine: &["-M", "virt", "-cpu", "cortex-a53", "-m", "512", "-nographic", "-nic", "none"],
        append: "console=ttyAMA0",
    },
    Row {
        name: "mipsel",
        target: "mipsel",
        kernel: "vmlinux",
        machine: &["-M", "malta", "-cpu", "24Kf", "-m", "256", "-nographic", "-vga", "none", "-nic", "none"],
        append: "console=ttyS0",
    },
    Row {
        name: "mips64el",
        target: "mips64el",
        kernel: "vmlinux",
        machine: &["-M", "malta", "-cpu", "MIPS64R2-generic", "-m", "256", "-nographic", "-vga", "none", "-nic", "none"],
        append: "console=ttyS0",
    },
];

/// A guest and the machine it is run on.
#[derive(Debug)]
pub struct GuestImage {
    target: &'static str,
    kernel: PathBuf,
    initrd: PathBuf,
    machine: &'static [&'static str],
    append: &'static str,
}

impl GuestImage {
    /// The guest of this name, from the cache.
    pub fn find(name: &str) -> Result<Self, Error> {
        let Some(row) = GUESTS.iter().find(|row| row.name == name) else {
            let known: Vec<_> = GUESTS.iter().map(|row| row.name).collect();
            return Err(Error::Usage(format!("there is no guest {name}: the guests are {}", known.join(", "))));
        };
        let file = |file: &str| proteus_guests::guest_file(&format!("{name}/{file}"));
        Ok(Self { target: row.target, kernel: file(row.kernel)?, initrd: file("initrd.gz")?, machine: row.machine, append: row.append })
    }

    /// A program's name for the guest's architecture: `before`, such as `qemu-system-`, and what it is called there.
    pub fn program(&self, before: &str) -> PathBuf {
        format!("{before}{}", self.target).into()
    }

    /// Reads the files once, so that the first boot finds them in the host's memory as the others do.
    pub fn warm(&self) -> Result<(), Error> {
        for path in [&self.kernel, &self.initrd] {
            std::fs::read(path).map_err(|error| Error::Usage(format!("cannot read {}: {error}", path.display())))?;
        }
        Ok(())
    }

    /// The words of an emulator's command line.
    pub fn command_line(&self, emulator: &Emulator, append: &str) -> Vec<String> {
        let mut words: Vec<String> = self.machine.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["-kernel".to_owned(), self.kernel.display().to_string(), "-initrd".to_owned(), self.initrd.display().to_string()]);
        words.extend(["-append".to_owned(), format!("{} {append}", self.append).trim().to_owned()]);
        words.extend(emulator.words.iter().cloned());
        words
    }
}

/// What one run gave for one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The case.
    pub case: &'static str,
    /// The guest's own result, or for the boot the seconds to the prompt.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Seconds of the host's clock.
    pub wall: f64,
    /// The most memory the emulator had held by then, in bytes.
    pub memory: u64,
    /// The check over what was computed.
    pub check: String,
}

/// What one boot gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// One for each case.
    pub samples: Vec<Sample>,
    /// Whether the kernel keeps its pages from its programs (KPTI): it makes every system call
    /// dearer, so it must be the same on both sides.
    pub isolation: bool,
}

/// The line that every program of `firmware/guest` ends with.
#[derive(Debug, PartialEq)]
struct ResultLine {
    value: f64,
    unit: String,
    check: String,
}

fn parse_result(output: &str) -> Option<ResultLine> {
    let line = output.lines().find_map(|line| line.strip_prefix("proteus-result "))?;
    let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    if field("status") != Some("ok") {
        return None;
    }
    Some(ResultLine { value: field("value")?.parse().ok()?, unit: field("unit")?.to_owned(), check: field("check")?.to_owned() })
}

/// Boots the guest, runs the cases, powers it off.
pub fn measure(emulator: &Emulator, image: &GuestImage, append: &str, cases: &[&'static Case], limit: Duration) -> Result<Run, Error> {
    let failed = |source: ConsoleError| Error::Console { emulator: emulator.program.display().to_string(), source };
    let mut command = Command::new(&emulator.program);
    let socket = Socket::new();
    if debugger::wanted(cases) {
        command.args(socket.words());
    }
    let mut console = Console::spawn(command.args(image.command_line(emulator, append))).map_err(failed)?;
    let prompt = console.expect_any(&["~ # ", "Kernel panic"], limit).map_err(failed)?;
    if prompt.index != 0 {
        let source = ConsoleError { what: "the kernel panicked".into(), transcript: console.transcript() };
        return Err(failed(source));
    }
    let memory = |console: &Console| console.peak_memory().unwrap_or(0);
    let mut samples = Vec::new();
    for case in cases {
        if debugger::is_one(case) {
            samples.push(debugger::measure(case, &mut console, &socket, limit).map_err(failed)?);
            continue;
        }
        let Some(command) = case.command else {
            let seconds = prompt.at.as_secs_f64();
            samples.push(Sample { case: case.name, value: seconds, unit: "s".into(), wall: seconds, memory: memory(&console), check: String::new() });
            continue;
        };
        let start = Instant::now();
        let answer = console.shell(command, limit).map_err(failed)?;
        let wall = start.elapsed().as_secs_f64();
        let result = parse_result(&answer.output).filter(|_| answer.status == 0);
        let Some(result) = result else {
            let what = format!("{command} ended with status {} and printed no good result", answer.status);
            return Err(failed(ConsoleError { what, transcript: console.transcript() }));
        };
        samples.push(Sample { case: case.name, value: result.value, unit: result.unit, wall, memory: memory(&console), check: result.check });
    }
    let isolation = console.shell("dmesg | grep -q 'detected: Kernel page table isolation'", limit).map_err(failed)?.status == 0;
    console.send("poweroff -f\n").map_err(failed)?;
    console.wait_exit(limit).map_err(failed)?;
    Ok(Run { samples, isolation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_read_among_others_and_a_failed_one_refused() {
        let line = "litmus MP: ok\nproteus-result name=x value=1234.5 unit=calls/s seconds=0.5 check=0x00ff status=ok\n";
        let read = parse_result(line).expect("a result");
        assert_eq!(read, ResultLine { value: 1234.5, unit: "calls/s".into(), check: "0x00ff".into() });
        assert_eq!(parse_result(&line.replace("status=ok", "status=failed")), None);
        assert_eq!(parse_result("nothing"), None);
    }

    #[test]
    fn both_get_the_same_command_line_and_their_own_words_after_it() {
        let image = GuestImage { target: "t", kernel: "K".into(), initrd: "I".into(), machine: &["-M", "virt"], append: "console=x" };
        let emulator = |word: &str| Emulator { label: "a", program: "p".into(), words: vec![word.into()] };
        assert_eq!(image.command_line(&emulator("-a"), ""), ["-M", "virt", "-kernel", "K", "-initrd", "I", "-append", "console=x", "-a"]);
        assert_eq!(image.command_line(&emulator("-b"), "quiet")[7..], ["console=x quiet".to_owned(), "-b".to_owned()]);
        assert_eq!(image.program("qemu-system-"), PathBuf::from("qemu-system-t"));
    }
}
