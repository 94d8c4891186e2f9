//! A small monitor for people: one line, one command, from a table.

use std::fmt::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use proteus_exec::runner::{RunState, Runner};
use proteus_host::chardev::{CharEvent, Chardev, Chardevs, Sink};
use proteus_model::{Machine, WindowKind};

use super::endings::{Command, Control};
use crate::help::QEMU_VERSION;

/// Bytes that may be typed ahead.
const CREDIT: usize = 256;
/// The longest line.
const LONGEST: usize = 1024;

/// What the monitor can look at and act on.
pub struct Subject {
    /// The machine, which the monitor does not keep alive.
    pub machine: Weak<Machine>,
    /// The run loop.
    pub control: Arc<Control>,
    /// The back ends.
    pub chardevs: Weak<Chardevs>,
    /// The guest's name.
    pub name: Option<String>,
    /// How the processors are run, for `info jit`.
    pub executor: Box<dyn Fn() -> String + Send + Sync>,
    /// Whether the board has a power button.
    pub power_button: bool,
}

type Run = fn(&Subject, &mut String);

/// One command.
struct Row {
    names: &'static [&'static str],
    doc: &'static str,
    run: Run,
}

const fn row(names: &'static [&'static str], doc: &'static str, run: Run) -> Row {
    Row { names, doc, run }
}

const COMMANDS: &[Row] = &[
    row(&["help", "?"], "show the commands", help),
    row(&["quit", "q"], "end the emulator", |s, _| s.control.send(Command::Quit)),
    row(&["stop", "s"], "stop the processors", |s, _| s.control.send(Command::Stop)),
    row(&["cont", "c"], "let the processors go on", |s, _| s.control.send(Command::Continue)),
    row(&["system_reset"], "reset the machine", |s, _| s.control.send(Command::Reset)),
    row(&["system_powerdown"], "press the power button", |s, out| match s.power_button {
        true => s.control.send(Command::PowerDown),
        false => out.push_str("this machine has no power button\n"),
    }),
    row(&["info version"], "show the version", |_, out| {
        let _ = writeln!(out, "{QEMU_VERSION} (Proteus {})", env!("CARGO_PKG_VERSION"));
    }),
    row(&["info status"], "show whether the processors run", |s, out| {
        let _ = writeln!(
            out,
            "VM status: {}",
            match s.control.state() {
                RunState::Running => "running",
                RunState::Prelaunch => "paused (prelaunch)",
                RunState::Paused(_) => "paused",
            }
        );
    }),
    row(&["info name"], "show the guest's name", |s, out| {
        s.name.iter().for_each(|n| {
            let _ = writeln!(out, "{n}");
        })
    }),
    row(&["info chardev"], "show the character back ends", |s, out| {
        for info in s.chardevs.upgrade().map(|c| c.list()).unwrap_or_default() {
            let _ = writeln!(out, "{}: filename={}", info.label, info.filename);
        }
    }),
    row(&["info mtree"], "show what is at which address", mtree),
    row(&["info qtree"], "show the devices", qtree),
    row(&["info jit"], "show how the processors are run", |s, out| out.push_str(&(s.executor)())),
];

fn help(_: &Subject, out: &mut String) {
    for c in COMMANDS {
        let _ = writeln!(out, "{} -- {}", c.names.join("|"), c.doc);
    }
}

fn mtree(s: &Subject, out: &mut String) {
    let Some(machine) = s.machine.upgrade() else { return };
    let mut windows = machine.windows();
    windows.retain(|w| w.kind == WindowKind::Mmio);
    windows.sort_by_key(|w| (w.base, -w.priority));
    out.push_str("address-space: memory\n");
    for w in windows {
        let what = if w.device.is_some() { "i/o" } else { "ram" };
        let _ = writeln!(out, "  {:016x}-{:016x} (prio {}, {what}): {}", w.base, w.base.saturating_add(w.size.saturating_sub(1)), w.priority, w.name);
    }
}

fn qtree(s: &Subject, out: &mut String) {
    let Some(machine) = s.machine.upgrade() else { return };
    out.push_str("bus: main-system-bus\n  type System\n");
    for (_, name, ty, props) in machine.devices() {
        let _ = writeln!(out, "  dev: {}, id \"{name}\"", ty.name);
        for p in ty.properties {
            if let Some(value) = props.get(p.name) {
                let _ = writeln!(out, "    {} = {value:?}", p.name);
            }
        }
    }
}

/// What a line asks for, in text.
pub fn answer(subject: &Subject, line: &str) -> String {
    let mut out = String::new();
    let words: Vec<_> = line.split_whitespace().collect();
    let line = words.join(" ");
    if line.is_empty() {
        return out;
    }
    match COMMANDS.iter().find(|c| c.names.contains(&line.as_str())) {
        Some(command) => (command.run)(subject, &mut out),
        None if line == "info" => {
            for c in COMMANDS.iter().filter(|c| c.names[0].starts_with("info ")) {
                let _ = writeln!(out, "{} -- {}", c.names[0], c.doc);
            }
        }
        None => {
            let _ = writeln!(out, "unknown command: '{}'; see help", crate::error::shorten(&crate::error::clean(&line)));
        }
    }
    out
}

/// The line being typed, and what the terminal shows of it.
#[derive(Default)]
struct Editor {
    line: String,
}

impl Editor {
    /// Takes a byte; gives a finished line. `echo` is what to show.
    fn feed(&mut self, byte: u8, echo: &mut String) -> Option<String> {
        match byte {
            b'\r' | b'\n' => {
                echo.push_str("\r\n");
                return Some(std::mem::take(&mut self.line));
            }
            8 | 127 if self.line.pop().is_some() => echo.push_str("\x08 \x08"),
            8 | 127 => {}
            // Ctrl-U, Ctrl-C.
            21 | 3 => {
                echo.push_str(&"\x08 \x08".repeat(self.line.len()));
                self.line.clear();
            }
            b' '..=126 if self.line.len() < LONGEST => {
                self.line.push(char::from(byte));
                echo.push(char::from(byte));
            }
            _ => {}
        }
        None
    }
}

/// A monitor's end of its back end. What it is sent goes to a thread of its own, for commands may
/// have to wait for the machine.
struct Inbox {
    events: Mutex<Sender<CharEvent>>,
}

impl Sink for Inbox {
    fn receive(&self, event: CharEvent) {
        // The thread ends with the program only.
        let _ = self.events.lock().send(event);
    }
}

/// Starts a monitor on a back end. It begins once `subject` is set. A `shared`
/// one says nothing until it has the focus.
pub fn start(chardevs: &Chardevs, id: &str, shared: bool, subject: Arc<OnceLock<Subject>>) -> Result<(), String> {
    let (sender, events) = channel();
    let chardev = chardevs.attach(id, Arc::new(Inbox { events: Mutex::new(sender) })).map_err(|e| e.to_string())?;
    chardev.set_can_receive(CREDIT);
    let run = move || serve(&chardev, &events, &subject, shared);
    std::thread::Builder::new().name("monitor".into()).spawn(run).map(|_| ()).map_err(|e| format!("cannot start a thread: {e}"))
}

fn serve(chardev: &Chardev, events: &Receiver<CharEvent>, subject: &OnceLock<Subject>, shared: bool) {
    let mut editor = Editor::default();
    // What is typed until the machine is there waits.
    let subject = subject.wait();
    let say = |text: &str| chardev.write_blocking(text.replace("\r\n", "\n").replace('\n', "\r\n").as_bytes());
    let banner = format!("QEMU {QEMU_VERSION} monitor - type 'help' for more information\n(qemu) ");
    while let Ok(event) = events.recv() {
        match event {
            CharEvent::Focus(true) => say(&banner),
            CharEvent::Opened if !shared => say(&banner),
            CharEvent::Input(bytes) => {
                for byte in bytes {
                    let mut echo = String::new();
                    let line = editor.feed(byte, &mut echo);
                    say(&echo);
                    let Some(line) = line else { continue };
                    say(&answer(subject, &line));
                    say("(qemu) ");
                }
                chardev.set_can_receive(CREDIT);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            machine: Weak::new(),
            control: Control::new(),
            chardevs: Weak::new(),
            name: Some("guest".into()),
            executor: Box::new(|| "interpreter\n".into()),
            power_button: false,
        }
    }

    #[test]
    fn lines_are_edited_and_answered() {
        let mut editor = Editor::default();
        let mut echo = String::new();
        let lines: Vec<_> = b"infx\x7fo  status\rx\x15quit\n".iter().filter_map(|&b| editor.feed(b, &mut echo)).collect();
        assert_eq!(lines, ["info  status", "quit"]);
        let s = subject();
        assert_eq!(answer(&s, &lines[0]), "VM status: paused\n");
        assert_eq!(answer(&s, "quit"), "");
        assert!(matches!(s.control.take(), Some(Command::Quit)));
        assert!(answer(&s, "info version").starts_with("10.0.2 (Proteus "));
        assert!(answer(&s, "help").contains("system_reset -- "));
        assert!(answer(&s, "system_powerdown").contains("no power button"));
        assert_eq!(answer(&s, "savevm x\x1b"), "unknown command: 'savevm x?'; see help\n");
        assert_eq!(answer(&s, "  "), "");
    }
}
