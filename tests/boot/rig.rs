//! What every boot test needs: the program, the guests, and a console with generous limits.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use proteus_guests::console::{Console, Found};
use proteus_guests::guest_file;
pub use proteus_guests::long;

/// For a boot. A boot takes 5 to 15 s; the host may be busy with other tests.
pub const BOOT: Duration = Duration::from_secs(120);
/// For an answer of a machine that is up.
pub const ANSWER: Duration = Duration::from_secs(60);
/// The prompt of the guest's shell.
pub const PROMPT: &str = "~ # ";
/// Where Linux gives up: no use in waiting longer.
pub const PANIC: &str = "Kernel panic";

/// An architecture: its program, its guests, and the machine that they are run on.
pub struct Architecture {
    /// Debian's name, and the directory of its guests.
    pub name: &'static str,
    /// What its kernel calls it.
    pub uname: &'static str,
    program: &'static str,
    kernel: &'static str,
    /// Options and their values, unless a test gives others.
    machine: &'static [(&'static str, &'static str)],
    console: &'static str,
    /// What its board's virtio devices are called: `virtio-blk-` and this.
    pub virtio: &'static str,
}

/// Arm's `virt`.
pub static ARM64: Architecture = Architecture {
    name: "arm64",
    uname: "aarch64",
    program: env!("CARGO_BIN_EXE_proteus-system-aarch64"),
    kernel: "Image",
    machine: &[("-M", "virt"), ("-cpu", "cortex-a53"), ("-m", "512")],
    console: "ttyAMA0",
    virtio: "device",
};

/// Malta with a 32-bit core.
pub static MIPSEL: Architecture = Architecture {
    name: "mipsel",
    uname: "mips",
    program: env!("CARGO_BIN_EXE_proteus-system-mipsel"),
    kernel: "vmlinux",
    machine: &[("-M", "malta"), ("-cpu", "24Kf"), ("-m", "256")],
    console: "ttyS0",
    virtio: "pci",
};

/// Malta with a 64-bit core.
pub static MIPS64EL: Architecture = Architecture {
    name: "mips64el",
    uname: "mips64",
    program: env!("CARGO_BIN_EXE_proteus-system-mips64el"),
    machine: &[("-M", "malta"), ("-cpu", "MIPS64R2-generic"), ("-m", "256")],
    ..MIPSEL
};

/// Malta with a big-endian 32-bit core. Its guest is built from sources: for long runs.
pub static MIPS: Architecture = Architecture { name: "mips", program: env!("CARGO_BIN_EXE_proteus-system-mips"), ..MIPSEL };

/// Malta with a big-endian 64-bit core; for long runs too.
pub static MIPS64: Architecture = Architecture { name: "mips64", program: env!("CARGO_BIN_EXE_proteus-system-mips64"), ..MIPS64EL };

impl Architecture {
    /// Its program with these words.
    pub fn proteus(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(words);
        if let Ok(more) = std::env::var("PROTEUS_WORDS") {
            command.args(more.split_whitespace());
        }
        if let Some(accel) = std::env::var_os("PROTEUS_ACCEL").filter(|_| !words.contains(&"-accel")) {
            command.arg("-accel").arg(accel);
        }
        command
    }

    /// A file of its guests; without it the test is over.
    pub fn guest(&self, test: &str, name: &str) -> Option<PathBuf> {
        guest_file(&format!("{}/{name}", self.name)).inspect_err(|why| eprintln!("SKIPPED {test}: {why}")).ok()
    }
}

/// `proteus-system-aarch64` with these words.
pub fn proteus(words: &[&str]) -> Command {
    ARM64.proteus(words)
}

/// Debian's kernel and our initramfs; `append` is added to the kernel's command line.
pub struct Linux {
    /// What it runs on.
    pub on: &'static Architecture,
    image: PathBuf,
    initrd: PathBuf,
}

impl Linux {
    /// The guest, or a message that it is missing.
    pub fn find(test: &str, on: &'static Architecture) -> Option<Self> {
        Some(Self { on, image: on.guest(test, on.kernel)?, initrd: on.guest(test, "initrd.gz")? })
    }

    /// The files, in this order: kernel, RAM disk.
    pub fn files(&self) -> [&Path; 2] {
        [&self.image, &self.initrd]
    }

    /// The command that boots it on the architecture's machine, unless `words` say otherwise.
    pub fn command(&self, words: &[&str], append: &str) -> Command {
        let mut command = self.on.proteus(words);
        for (option, value) in self.on.machine {
            if !words.contains(option) {
                command.args([option, value]);
            }
        }
        command.arg("-kernel").arg(&self.image).arg("-initrd").arg(&self.initrd);
        command.args(["-append", &format!("console={} {append}", self.on.console)]);
        command
    }

    /// Starts it and waits for the shell.
    pub fn boot(&self, words: &[&str], append: &str) -> Console {
        let mut console = start(&mut self.command(words, append));
        prompt(&mut console, &format!("{} {}", self.on.name, words.join(" ")));
        console
    }
}

/// Starts a command with its console piped.
pub fn start(command: &mut Command) -> Console {
    Console::spawn(command).unwrap_or_else(|error| panic!("{error}"))
}

/// Waits for `pattern`.
#[track_caller]
pub fn expect(console: &mut Console, pattern: &str, limit: Duration) -> Found {
    console.expect(pattern, limit).unwrap_or_else(|error| panic!("{error}"))
}

/// Waits for the prompt of a shell, and prints how long it took.
#[track_caller]
pub fn prompt(console: &mut Console, what: &str) {
    let found = console.expect_any(&[PROMPT, PANIC], BOOT).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(found.index, 0, "{what}: the kernel panics\n{}", console.transcript());
    figure(&format!("boot [{what}]"), found.at);
}

/// Types.
#[track_caller]
pub fn send(console: &mut Console, text: &str) {
    console.send(text).unwrap_or_else(|error| panic!("{error}"));
}

/// Runs a command in the guest's shell, which must succeed, and gives what it printed.
#[track_caller]
pub fn shell(console: &mut Console, command: &str, limit: Duration) -> String {
    let answer = console.shell(command, limit).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.status, 0, "{command}\n{}", console.transcript());
    answer.output
}

/// Waits for the program's end with this status.
#[track_caller]
pub fn ends(console: &mut Console, status: i32) {
    let end = console.wait_exit(ANSWER).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(end.code(), Some(status), "{end}\n{}", console.transcript());
}

/// Powers the guest off from its shell; the program must end with 0.
#[track_caller]
pub fn power_off(console: &mut Console) {
    send(console, "poweroff -f\n");
    ends(console, 0);
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}");
}

/// Prints what was measured.
pub fn figure(what: &str, took: Duration) {
    eprintln!("figure: {what}: {:.2} s", took.as_secs_f64());
}

/// Runs a host's tool that may be missing: `None` (and a message) then. Debian keeps some where an
/// ordinary user's PATH does not look.
pub fn tool(test: &str, program: &str, words: &[&str]) -> Option<std::process::Output> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    match Command::new(program).args(words).env("PATH", path).env("LC_ALL", "C").output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED {test}: cannot run {program}: {error}");
            None
        }
    }
}

/// Polls until `done`, for what gives no sign of itself (a file that grows).
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
