//! A machine under KVM with our guest in it, and what the host can do.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use proteus_guests::console::Console;

/// For anything that the guest is asked: ring 0 is emulated on some hosts, and some hosts are emulated
/// themselves.
pub const LIMIT: Duration = Duration::from_secs(300);
/// The guest's prompt.
pub const PROMPT: &str = "x86> ";

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_proteus-system-x86_64");

/// A file of the tree.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What `proteus kvm-ok` says.
pub fn kvm_ok() -> (String, bool) {
    let out = Command::new(env!("CARGO_BIN_EXE_proteus")).arg("kvm-ok").output().expect("it runs");
    (String::from_utf8_lossy(&out.stdout).into_owned(), out.status.success())
}

/// Whether the host has KVM and all these capabilities; says what a test lacks.
pub fn has(test: &str, capabilities: &[&str]) -> bool {
    let (text, usable) = kvm_ok();
    if !usable {
        eprintln!("SKIPPED {test}: {}", text.trim());
        return false;
    }
    for wanted in capabilities {
        assert!(
            text.lines().any(|l| l.trim_start_matches([' ']).split_once(' ').is_some_and(|(_, rest)| rest.trim_start().starts_with(wanted))),
            "{wanted}: {text}"
        );
        if lacks(wanted) {
            eprintln!("SKIPPED {test}: this host's KVM lacks {wanted}");
            return false;
        }
    }
    true
}

/// Does this host's KVM lack one of the capabilities that `proteus kvm-ok` names?
pub fn lacks(capability: &str) -> bool {
    kvm_ok().0.lines().any(|l| l.trim_start().starts_with(&format!("lacks {capability}:")))
}

/// The program with our guest.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["-M", "microvm", "-accel", "kvm", "-m", "32", "-display", "none", "-serial", "stdio", "-device", "isa-debug-exit"]);
    command.arg("-bios").arg(file("firmware/x86/proteus-x86.bin")).args(words);
    command
}

/// Starts it, and waits for the prompt.
pub fn start(words: &[&str]) -> Console {
    let mut console = Console::spawn(&mut command(words)).unwrap_or_else(|e| panic!("{e}"));
    expect(&mut console, PROMPT);
    console
}

/// Waits for a text; gives what was printed before it.
#[track_caller]
pub fn expect(console: &mut Console, pattern: &str) -> String {
    console.expect(pattern, LIMIT).unwrap_or_else(|e| panic!("{e}")).before
}

/// Types a line.
#[track_caller]
pub fn send(console: &mut Console, line: &str) {
    console.send(&format!("{line}\n")).unwrap_or_else(|e| panic!("{e}"));
}

/// Types a line, and gives what the guest answers.
#[track_caller]
pub fn ask(console: &mut Console, line: &str) -> String {
    send(console, line);
    expect(console, PROMPT)
}

/// The tests of a line of the guest's have all passed, and there are so many.
#[track_caller]
pub fn passes(console: &mut Console, line: &str, count: usize) {
    let answer = ask(console, line);
    assert_eq!(answer.matches(": ok\r\n").count(), count, "{line}: {answer}");
    assert!(!answer.contains("FAILED"), "{line}: {answer}");
}

/// Lets the guest end with a status; the program's is twice that and one.
#[track_caller]
pub fn ends(mut console: Console, status: i32) {
    send(&mut console, &format!("exit {status}"));
    let end = console.wait_exit(LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(end.code(), Some(2 * status + 1), "{}", console.transcript());
}
