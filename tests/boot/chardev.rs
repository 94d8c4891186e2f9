//! Serial ports elsewhere than on the terminal: nothing is lost, and nothing waits for nobody.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::rig::*;

/// The firmware's own code is there to dump; 256 KiB give a megabyte of text.
const DUMPED: u64 = 256 << 10;

/// More than every buffer on the way holds is printed before the reader reads anything.
#[test]
fn a_slow_reader_of_a_socket_gets_every_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let (socket, log) = (dir.path().join("serial"), dir.path().join("log"));
    let chardev = format!("socket,id=s,path={},server=on,wait=on,logfile={}", socket.display(), log.display());
    let words = ["-M", "virt", "-display", "none", "-chardev", &chardev, "-serial", "chardev:s"];
    let mut child = proteus(&words).stdin(Stdio::null()).spawn().expect("the program starts");
    wait_until("the socket is there", BOOT, || socket.exists());
    let mut reader = UnixStream::connect(&socket).expect("connected");
    reader.set_read_timeout(Some(BOOT)).expect("a limit");
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&text).contains("proteus> ") {
        let count = reader.read(&mut buffer).expect("output");
        assert!(count > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&buffer[..count]);
    }
    reader.write_all(format!("dump 0x40000000 {DUMPED}\n").as_bytes()).expect("typed");
    // Not a wait for something: the pause is what is tried.
    std::thread::sleep(Duration::from_millis(700));
    let held = std::fs::metadata(&log).expect("the log").len();
    reader.write_all(b"poweroff\n").expect("typed");
    let mut slow = [0; 1021];
    loop {
        match reader.read(&mut slow).expect("output") {
            0 => break,
            count => text.extend_from_slice(&slow[..count]),
        }
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let shown = String::from_utf8_lossy(&text);
    let rows = shown.lines().filter_map(|line| u64::from_str_radix(line.split_once(": ")?.0, 16).ok().filter(|_| line.len() > 60));
    let missing = rows.zip((0x4000_0000..).step_by(16)).find(|(row, want)| row != want);
    assert_eq!(missing, None, "{} bytes came", text.len());
    let last = format!("\n{:x}: ", 0x4000_0000 + DUMPED - 16);
    assert!(shown.contains(&last), "the last row is missing; {} bytes came", text.len());
    assert!(std::fs::read(&log).expect("the log") == text, "the log differs from what the socket gave");
    assert!(held < text.len() as u64, "the reader was not slow: {held} bytes were out before it read");
}

/// Nobody opens the terminal; the log has the whole boot.
#[test]
fn a_pty_without_reader_does_not_stall_the_boot() {
    let Some(linux) = Linux::find("chardev", &ARM64) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let chardev = format!("pty,id=p,logfile={}", log.display());
    let started = Instant::now();
    let words = ["-display", "none", "-chardev", &chardev, "-serial", "chardev:p"];
    let console = &mut start(&mut linux.command(&words, "ignore_loglevel proteus.run=dmesg"));
    let end = console.wait_exit(BOOT).unwrap_or_else(|error| panic!("{error}\n{}", std::fs::read_to_string(&log).unwrap_or_default()));
    assert_eq!(end.code(), Some(0), "{}", console.transcript());
    figure("boot to power-off on a pty that nobody reads", started.elapsed());
    let text = String::from_utf8_lossy(&std::fs::read(&log).expect("the log")).into_owned();
    for line in ["Linux version ", "Run /init as init process", "proteus: status 0", "reboot: Power down"] {
        assert!(text.contains(line), "no {line:?} in the log:\n{text}");
    }
    // The kernel's first lines once as they came and once from its ring.
    assert!(text.matches("Linux version ").count() >= 2, "{text}");
}

/// A file gets what a terminal would.
#[test]
fn a_file_has_the_whole_console() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, monitor) = (dir.path().join("serial"), ["-monitor", "stdio"]);
    let serial = format!("file:{}", file.display());
    let words = [&["-M", "virt", "-display", "none", "-serial", &serial][..], &monitor].concat();
    let console = &mut start(&mut proteus(&words));
    expect(console, "(qemu) ", BOOT);
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_until("the prompt in the file", BOOT, || read().ends_with("proteus> "));
    send(console, "quit\n");
    ends(console, 0);
    assert!(read().contains("self-test: passed"), "{}", read());
}
