//! How runs end: resets, signals, keys, and the terminal afterwards.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OutputModes, Termios, tcgetattr};

use crate::rig::*;

/// The aim is 100 ms; the host may be busy.
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn a_reset_ends_the_run_where_it_may_not_reboot() {
    for option in [&["-no-reboot"][..], &["-action", "reboot=shutdown"]] {
        let console = &mut start(&mut proteus(&[&["-M", "virt"], option].concat()));
        expect(console, "proteus> ", BOOT);
        send(console, "reboot\n");
        ends(console, 0);
        assert_eq!(console.transcript().matches("Proteus AArch64 firmware").count(), 1, "{}", console.transcript());
    }
}

#[test]
fn ctrl_a_x_ends_the_run() {
    for words in [&["-M", "virt", "-nographic"][..], &["-M", "virt", "-display", "none", "-serial", "mon:stdio"]] {
        let console = &mut start(&mut proteus(words));
        expect(console, "proteus> ", BOOT);
        let asked = Instant::now();
        send(console, "\x01x");
        ends(console, 0);
        figure("end after Ctrl-A x", asked.elapsed());
    }
}

/// Asks a run to end by a signal, while its processors are busy.
fn by_signal(console: &mut proteus_guests::console::Console, name: &str, what: &str) {
    let asked = Instant::now();
    signal(console.pid(), name);
    ends(console, 0);
    let took = asked.elapsed();
    figure(&format!("end after SIG{name} [{what}]"), took);
    assert!(took < AT_ONCE, "{what}: {took:?} after SIG{name}");
}

#[test]
fn a_signal_ends_an_idle_machine() {
    for (name, words) in [("TERM", &["-M", "virt"][..]), ("INT", &["-M", "virt", "-smp", "4"]), ("HUP", &["-M", "virt", "-icount", "shift=0"])] {
        let console = &mut start(&mut proteus(words));
        expect(console, "proteus> ", BOOT);
        by_signal(console, name, &words.join(" "));
    }
}

/// In the midst of a boot, when the translator is busy too.
#[test]
fn a_signal_ends_a_busy_machine() {
    let Some(linux) = Linux::find("endings") else { return };
    for (name, words) in [("TERM", &["-smp", "2"][..]), ("INT", &["-smp", "2", "-icount", "shift=0,sleep=off"]), ("TERM", &["-accel", "interpreter"])] {
        let console = &mut start(&mut linux.command(words, ""));
        expect(console, "Linux version", BOOT);
        by_signal(console, name, &words.join(" "));
    }
}

/// A terminal of our own: its two sides.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("its other side");
    let name = ptsname(&ours, Vec::new()).expect("its name").into_string().expect("a name in UTF-8");
    let theirs = File::options().read(true).write(true).open(name).expect("its other side");
    (File::from(ours), theirs)
}

fn modes(termios: &Termios) -> (LocalModes, OutputModes, u32) {
    (termios.local_modes, termios.output_modes, termios.input_modes.bits())
}

/// Reads a terminal until `pattern`.
fn read_until(terminal: &mut File, pattern: &str) -> String {
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while !seen.contains(pattern) {
        match terminal.read(&mut buffer) {
            Ok(count @ 1..) => seen.push_str(&String::from_utf8_lossy(&buffer[..count])),
            end => panic!("no {pattern:?} ({end:?}):\n{seen}"),
        }
    }
    seen
}

#[test]
fn the_terminal_is_as_it_was() {
    for (end, how) in [("\x01x", ""), ("", "TERM"), ("", "INT"), ("poweroff\r", "")] {
        let (mut ours, theirs) = terminal();
        let before = modes(&tcgetattr(&theirs).expect("modes"));
        let side = || Stdio::from(theirs.try_clone().expect("another handle"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_proteus-system-aarch64"))
            .args(["-M", "virt", "-nographic"])
            .stdin(side())
            .stdout(side())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        read_until(&mut ours, "proteus> ");
        let during = tcgetattr(&theirs).expect("modes");
        assert!(!during.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO), "{:?}", during.local_modes);
        // A line feed from the guest moves down and no more, or it is sent with a carriage return.
        ours.write_all(b"echo typed here\r").expect("typed");
        read_until(&mut ours, "\ntyped here");
        match how {
            "" => ours.write_all(end.as_bytes()).expect("typed"),
            name => signal(child.id(), name),
        }
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{end:?}{how}");
        assert_eq!(modes(&tcgetattr(&theirs).expect("modes")), before, "after {end:?}{how}");
    }
}
