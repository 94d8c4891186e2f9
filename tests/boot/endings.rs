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

/// Firmware at its prompt: what a machine does that has nothing to do.
struct Idle {
    on: &'static Architecture,
    words: Vec<String>,
    prompt: &'static str,
    /// The line that makes it say `typed here`, the line that ends the run, if it has one.
    echo: &'static str,
    power_off: Option<&'static str>,
}

impl Idle {
    /// The built-in firmware, and U-Boot if it is there.
    fn all() -> Vec<Self> {
        let ours =
            Self { on: &ARM64, words: ["-M", "virt"].map(str::to_owned).into(), prompt: "proteus> ", echo: "echo typed here\r", power_off: Some("poweroff\r") };
        let u_boot = |on: &'static Architecture| {
            let file = on.guest("endings", "u-boot-swap.bin")?.display().to_string();
            let words = ["-M", "malta", "-m", "256", "-bios", &file].map(str::to_owned).into();
            Some(Self { on, words, prompt: "maltael # ", echo: "echo typed here\r", power_off: None })
        };
        [Some(ours), u_boot(&MIPSEL), u_boot(&MIPS64EL)].into_iter().flatten().collect()
    }

    /// The program with these words added.
    fn command(&self, more: &[&str]) -> Command {
        self.on.proteus(&self.words.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    }
}

#[test]
fn ctrl_a_leads_to_the_monitor_and_out() {
    for idle in Idle::all() {
        for words in [&["-nographic"][..], &["-display", "none", "-serial", "mon:stdio"]] {
            let console = &mut start(&mut idle.command(words));
            expect(console, idle.prompt, BOOT);
            send(console, "\x01c");
            expect(console, "(qemu) ", ANSWER);
            send(console, "info status\n");
            expect(console, "running", ANSWER);
            send(console, "\x01c");
            send(console, idle.echo);
            expect(console, "\ntyped here", ANSWER);
            let asked = Instant::now();
            send(console, "\x01x");
            ends(console, 0);
            figure(&format!("end after Ctrl-A x [{}]", idle.on.name), asked.elapsed());
        }
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
    let console = &mut start(&mut proteus(&["-M", "virt", "-smp", "4"]));
    expect(console, "proteus> ", BOOT);
    by_signal(console, "INT", "four cores");
    for idle in Idle::all() {
        for (name, words) in [("TERM", &[][..]), ("HUP", &["-icount", "shift=0"])] {
            let console = &mut start(&mut idle.command(words));
            expect(console, idle.prompt, BOOT);
            by_signal(console, name, &format!("{} {}", idle.on.name, words.join(" ")));
        }
    }
}

/// In the midst of a boot, when the translator is busy too.
#[test]
fn a_signal_ends_a_busy_machine() {
    const CASES: &[(&Architecture, &str, &[&str])] = &[
        (&ARM64, "TERM", &["-smp", "2"]),
        (&ARM64, "INT", &["-smp", "2", "-icount", "shift=0,sleep=off"]),
        (&ARM64, "TERM", &["-accel", "interpreter"]),
        (&MIPSEL, "TERM", &[]),
        (&MIPSEL, "INT", &["-icount", "shift=0,sleep=off"]),
        (&MIPS64EL, "TERM", &["-accel", "interpreter"]),
    ];
    for (on, name, words) in CASES {
        let Some(linux) = Linux::find("endings", on) else { continue };
        let console = &mut start(&mut linux.command(words, ""));
        expect(console, "Linux version", BOOT);
        by_signal(console, name, &format!("{} {}", on.name, words.join(" ")));
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
    for idle in Idle::all() {
        let ends = [Some(("\x01x", "")), Some(("", "TERM")), Some(("", "INT")), idle.power_off.map(|line| (line, ""))];
        for (end, how) in ends.into_iter().flatten() {
            let (mut ours, theirs) = terminal();
            let before = modes(&tcgetattr(&theirs).expect("modes"));
            let side = || Stdio::from(theirs.try_clone().expect("another handle"));
            let mut child = idle.command(&["-nographic"]).stdin(side()).stdout(side()).stderr(Stdio::null()).spawn().expect("the program starts");
            read_until(&mut ours, idle.prompt);
            let during = tcgetattr(&theirs).expect("modes");
            assert!(!during.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO), "{:?}", during.local_modes);
            // A line feed from the guest moves down and no more, or it is sent with a carriage return.
            ours.write_all(idle.echo.as_bytes()).expect("typed");
            read_until(&mut ours, "\ntyped here");
            match how {
                "" => ours.write_all(end.as_bytes()).expect("typed"),
                name => signal(child.id(), name),
            }
            let status = child.wait().expect("it ends");
            assert_eq!(status.code(), Some(0), "{}: {end:?}{how}", idle.on.name);
            assert_eq!(modes(&tcgetattr(&theirs).expect("modes")), before, "{}: after {end:?}{how}", idle.on.name);
        }
    }
}
