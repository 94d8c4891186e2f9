//! A machine with its stub, and a debugger that is typed at.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use proteus_guests::console::Console;
pub use proteus_guests::long;
use proteus_guests::packets::Client;
pub use proteus_guests::packets::text;

/// For anything that a debugger or a machine is asked.
pub const LIMIT: Duration = Duration::from_secs(60);
/// For the boot of a kernel.
pub const BOOT: Duration = Duration::from_secs(180);

/// GDB's prompt: nothing else prints it.
const PROMPT: &str = "@ready@";

/// One of the programs.
pub fn program(target: &str) -> &'static str {
    match target {
        "aarch64" => env!("CARGO_BIN_EXE_proteus-system-aarch64"),
        "mips" => env!("CARGO_BIN_EXE_proteus-system-mips"),
        "mipsel" => env!("CARGO_BIN_EXE_proteus-system-mipsel"),
        "mips64el" => env!("CARGO_BIN_EXE_proteus-system-mips64el"),
        other => panic!("no program for {other}"),
    }
}

/// Whether a tool is there; says that the test is left out where it is not.
pub fn has(test: &str, tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output();
    if let Err(e) = &found {
        eprintln!("SKIPPED {test}: cannot run {tool}: {e}");
    }
    found.is_ok()
}

/// `tests/guest/debug.c` for a target.
pub fn guest(test: &str, target: &str, dir: &Path) -> Option<PathBuf> {
    let (compiler, words) = match target {
        "aarch64" => ("aarch64-linux-gnu-gcc", "-mgeneral-regs-only -mstrict-align -Wl,--defsym=BASE=0x40100000"),
        "mips" => ("mipsel-linux-gnu-gcc", "-EB -mips32r2 -mno-abicalls -G0 -msoft-float -Wl,-EB -Wl,--defsym=BASE=0x80100000"),
        other => panic!("no compiler for {other}"),
    };
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
    let elf = dir.join("debug.elf");
    let common = "-g -O0 -ffreestanding -fno-stack-protector -fno-pic -fno-pie -no-pie -nostdlib -static -Wl,--build-id=none \
                  -Wl,--no-warn-rwx-segments";
    let mut command = Command::new(compiler);
    command.args(common.split_whitespace()).args(words.split_whitespace());
    command.arg("-T").arg(sources.join("debug.ld")).arg("-o").arg(&elf).arg(sources.join("debug.c"));
    match command.output() {
        Err(e) => {
            eprintln!("SKIPPED {test}: cannot run {compiler}: {e}");
            None
        }
        Ok(out) => {
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            Some(elf)
        }
    }
}

/// A machine that waits for debuggers on a socket.
pub struct Target {
    pub console: Console,
    pub socket: PathBuf,
    _dir: tempfile::TempDir,
}

/// Starts a machine with `-gdb`.
pub fn machine(target: &str, words: &[&str], more: impl FnOnce(&mut Command)) -> Target {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("gdb");
    let mut command = Command::new(program(target));
    command.args(words).args(["-gdb", &format!("unix:{},server=on,wait=off", socket.display())]);
    more(&mut command);
    let console = Console::spawn(&mut command).unwrap_or_else(|e| panic!("{e}"));
    let until = Instant::now() + LIMIT;
    while !socket.exists() {
        assert!(Instant::now() < until, "no socket: {}", console.transcript());
        std::thread::yield_now();
    }
    Target { console, socket, _dir: dir }
}

/// A debugger that is typed at.
pub struct Gdb {
    console: Console,
    what: String,
    /// What it printed when it attached.
    pub greeting: String,
}

impl Gdb {
    /// Starts GDB, with the symbols of `elf` where there are some, and attaches it.
    pub fn attach(what: &str, target: &Target, elf: Option<&Path>) -> Gdb {
        let mut command = Command::new("sh");
        command.args(["-c", "exec gdb-multiarch -nx -q \"$@\" 2>&1", "gdb"]);
        for set in ["prompt @ready@\\n", "pagination off", "confirm off", "width 0", "print thread-events off", "debuginfod enabled off", "osabi none"] {
            command.args(["-iex", &format!("set {set}")]);
        }
        if let Some(elf) = elf {
            command.arg(elf);
        }
        let console = Console::spawn(&mut command).unwrap_or_else(|e| panic!("{e}"));
        let mut gdb = Gdb { console, what: what.to_string(), greeting: String::new() };
        gdb.prompt();
        gdb.greeting = gdb.connect(target);
        gdb
    }

    fn prompt(&mut self) -> String {
        let found = self.console.expect(PROMPT, LIMIT).unwrap_or_else(|e| panic!("{}: {e}", self.what));
        found.before
    }

    /// Attaches it once more.
    pub fn connect(&mut self, target: &Target) -> String {
        self.ask(&format!("target remote {}", target.socket.display()))
    }

    /// What it prints when a command is typed.
    pub fn ask(&mut self, command: &str) -> String {
        self.type_in(command);
        self.prompt()
    }

    /// Types a command, and does not wait.
    pub fn type_in(&mut self, command: &str) {
        self.console.send(&format!("{command}\n")).unwrap_or_else(|e| panic!("{e}"));
    }

    /// Lets the machine run, and does not wait until it stops.
    pub fn go_on(&mut self) {
        self.type_in("continue");
        self.console.expect("Continuing.", LIMIT).unwrap_or_else(|e| panic!("{}: {e}", self.what));
    }

    /// Sends Ctrl-C, and gives what it prints then. A debugger that has said "Continuing." may still be
    /// at work before it lets the machine go on; then it ends that work, and is asked once more.
    pub fn interrupt(&mut self) -> String {
        let pid = self.console.pid().to_string();
        for _ in 0..10 {
            assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
            let printed = self.prompt();
            if !printed.lines().any(|line| line.trim() == "Quit") {
                return printed;
            }
            self.go_on();
        }
        panic!("{}: the debugger never lets the machine go on", self.what)
    }

    /// A feature: after the commands, what they printed together has all these words.
    #[track_caller]
    pub fn feature(&mut self, name: &str, commands: &[&str], words: &[&str]) -> String {
        let printed: String = commands.iter().map(|c| self.ask(c)).collect();
        self.holds(name, &printed, words);
        printed
    }

    /// A feature: this has all these words.
    #[track_caller]
    pub fn holds(&self, name: &str, printed: &str, words: &[&str]) {
        for word in words {
            assert!(printed.contains(word), "{}: {name}: no {word:?} in\n{printed}\n----- all -----\n{}", self.what, self.console.transcript());
        }
        eprintln!("feature: {}: {name}", self.what);
    }

    /// The value of an expression.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> u64 {
        let printed = self.ask(&format!("printf \"<%llu>\\n\", (unsigned long long)({expression})"));
        let number = printed.split_once('<').and_then(|(_, rest)| rest.split_once('>')).and_then(|(n, _)| n.parse().ok());
        number.unwrap_or_else(|| panic!("{}: {expression}: {printed}", self.what))
    }

    /// The answer to a packet.
    pub fn packet(&mut self, packet: &str) -> String {
        let printed = self.ask(&format!("maint packet {packet}"));
        printed.split_once("received: \"").and_then(|(_, rest)| rest.rsplit_once('"')).map(|(answer, _)| answer.to_string()).unwrap_or(printed)
    }

    /// All that it printed.
    pub fn transcript(&self) -> String {
        self.console.transcript()
    }
}

/// A client of the protocol that knows packets only.
pub struct Raw(Client);

impl Raw {
    pub fn connect(target: &Target) -> Raw {
        let mut raw = Raw(Client::connect(&target.socket, LIMIT).expect("it accepts"));
        assert_eq!(raw.0.start_no_ack_mode().expect("an answer"), "OK");
        raw
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.bytes(bytes).expect("it reads");
    }

    /// Sends a packet.
    pub fn send(&mut self, body: &str) {
        self.0.send(body).expect("it reads");
    }

    /// The body of the next packet.
    pub fn receive(&mut self) -> String {
        self.0.receive().expect("an answer")
    }

    /// The answer to a packet.
    pub fn ask(&mut self, body: &str) -> String {
        self.0.ask(body).expect("an answer")
    }
}

/// Processor time of a process, in clock ticks.
pub fn processor_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
}
