//! Semihosting as a bare-metal program meets it, next to QEMU where that is installed.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use proteus_guests::console::Console;

/// For a run, which takes some milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

/// What the guest program (`tests/guest/semihosting.c`) writes to standard output.
const WANT: &str = "\
console is a terminal 0
is an error 1
is none 0
features, not read 0
features 3
SHFB
close 0
command line 0
its length is right 1
open 1
write 0
length 10
seek 0
read, not read 0
4567
read at the end, not read 6
read past the end, not read 8
is a terminal 0
close 0
close twice -1
append 0
close 0
length 12
close 0
rename 0
open what was renamed -1
errno 2
remove 0
remove again -1
clock answers 1
clock goes forward 1
time is after 2025 1
elapsed 0
elapsed is some 1
tick frequency 1000000000
heap info 0
heap is above this 1
a name nowhere -1
";

/// Builds the guest, or says why the test is left out.
fn guest(test: &str, dir: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest/semihosting.c");
    let program = dir.join("semihosting.elf");
    let words = "-O1 -ffreestanding -fno-stack-protector -mgeneral-regs-only -mstrict-align -nostdlib -static -Wl,--build-id=none -Wl,-Ttext=0x40100000 \
                 -Wl,--no-warn-rwx-segments -o";
    match Command::new("aarch64-linux-gnu-gcc").args(words.split_whitespace()).args([&program, &source]).output() {
        Err(e) => {
            eprintln!("SKIPPED {test}: cannot run aarch64-linux-gnu-gcc: {e}");
            None
        }
        Ok(out) => {
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            Some(program)
        }
    }
}

/// Runs a guest to its end: its status, and what it wrote.
fn run(emulator: &str, kernel: &Path, file: &Path, how: &str, more: &[&str]) -> (Option<i32>, String) {
    let config = format!("enable=on,target=native{},arg=name,arg={},arg={how}", more.first().unwrap_or(&""), file.display());
    let mut command = Command::new(emulator);
    command.args("-M virt -cpu cortex-a53 -m 256 -display none -serial none -monitor none -net none".split(' '));
    command.args(more.iter().skip(1)).args(["-semihosting-config", &config]).arg("-kernel").arg(kernel);
    let mut console = Console::spawn(&mut command).unwrap_or_else(|e| panic!("{e}"));
    let end = console.wait_exit(LIMIT).unwrap_or_else(|e| panic!("{e}"));
    (end.code(), console.transcript())
}

const PROTEUS: &str = env!("CARGO_BIN_EXE_proteus-system-aarch64");

#[test]
fn a_program_gets_what_it_asks_the_host_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(kernel) = guest("semihosting", dir.path()) else { return };
    let file = dir.path().join("file");
    // Characters and strings go to standard error.
    let want = format!("{WANT}\n----- standard error -----\nhello w\n");
    for (how, status) in [("ok", 0), ("fault", 1), ("7", 7), ("256", 0), ("130", 130)] {
        let (code, text) = run(PROTEUS, &kernel, &file, how, &[]);
        assert_eq!((code, text.as_str()), (Some(status), want.as_str()), "{how}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 1, "the guest removed its files");
    let (code, text) = run(PROTEUS, &kernel, &file, "unknown", &[]);
    assert!(code == Some(0) && text.contains("unknown operation -1\n"), "{code:?} {text}");
    // Not existing, and no directory: nothing can be opened.
    let (code, text) = run(PROTEUS, &kernel, Path::new("/nonexistent/x"), "ok", &[]);
    assert!(code == Some(0) && text.contains("open 0\n"), "{code:?} {text}");
}

/// With a back end of its own all of the console is there.
#[test]
fn a_console_can_be_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(kernel) = guest("semihosting", dir.path()) else { return };
    let log = dir.path().join("log");
    let chardev = format!("file,id=c,path={}", log.display());
    for icount in [&[][..], &["-icount", "shift=0"]] {
        let more = [&[",chardev=c", "-chardev", &chardev][..], icount].concat();
        let (code, text) = run(PROTEUS, &kernel, &dir.path().join("file"), "7", &more);
        assert_eq!((code, text.as_str()), (Some(7), ""));
        let want = format!("hello w\n{}", WANT.replace("console is a terminal 0", "console is a terminal 1"));
        assert_eq!(std::fs::read_to_string(&log).expect("the log"), want);
    }
}

/// Without `-semihosting` the instruction is undefined: nothing is opened for the guest.
#[test]
fn nothing_is_answered_unless_it_is_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(kernel) = guest("semihosting", dir.path()) else { return };
    let mut child = Command::new(PROTEUS)
        .args("-M virt -cpu cortex-a53 -m 256 -display none -serial none -monitor stdio -net none -kernel".split(' '))
        .arg(kernel)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // The end comes from the monitor, not from the guest.
    drop(std::io::Write::write_all(child.stdin.as_mut().expect("a pipe"), b"info status\nquit\n"));
    let end = child.wait_with_output().expect("it ends");
    assert_eq!((end.status.code(), String::from_utf8_lossy(&end.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn qemu_answers_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(kernel) = guest("semihosting against QEMU", dir.path()) else { return };
    const QEMU: &str = "qemu-system-aarch64";
    if let Err(e) = Command::new(QEMU).arg("--version").output() {
        return eprintln!("SKIPPED semihosting against QEMU: cannot run {QEMU}: {e}");
    }
    for how in ["ok", "fault", "7"] {
        let (code, theirs) = run(QEMU, &kernel, &dir.path().join("theirs"), how, &[]);
        let (ours, text) = run(PROTEUS, &kernel, &dir.path().join("ours"), how, &[]);
        assert_eq!(ours, code, "{how}");
        // QEMU 10.0 writes to the beginning of a file that is opened to append.
        assert_eq!(text, theirs.replacen("append 0\nclose 0\nlength 10\n", "append 0\nclose 0\nlength 12\n", 1), "{how}");
    }
}
