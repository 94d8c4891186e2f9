//! Consoles: character devices, serial ports, monitors, and what the terminal shows.
//!
//! # What is on the terminal
//!
//! With `-nographic` the first serial port and the monitor share standard input and output through
//! the multiplexer (`-serial mon:stdio`: Ctrl-A c changes over, Ctrl-A x ends the program), unless
//! they have been given otherwise. QEMU without `-nographic` puts them in a window. Proteus has no
//! window, so without `-nographic` the same holds, with three exceptions that keep scripts written
//! for QEMU working: with `-display none` or `-daemonize` a serial port that was not given is not
//! connected; where something else uses standard input already, the default goes without it; and a
//! monitor that was not given is only there where the serial port is on the terminal too.

use super::machine::file;
use super::{Draft, HelpRequest, Row, option, required, row};
use crate::config::*;
use crate::error::{Problem, shorten};
use crate::keyval::{HelpWanted, KeyValues, identifier, number};

pub(super) const ROWS: &[Row] = &[
    row::<ChardevOption>(),
    row::<Serial>(),
    row::<Parallel>(),
    row::<MonitorOption>(),
    row::<Mon>(),
    row::<Qmp>(),
    row::<QmpPretty>(),
    row::<NoGraphic>(),
    row::<DisplayOption>(),
    row::<Vga>(),
    row::<Audio>(),
    row::<Echr>(),
];

/// The back ends of QEMU 10. Which of them there are is the host layer's to say.
const BACKENDS: &[&str] = &[
    "null",
    "socket",
    "udp",
    "msmouse",
    "vc",
    "ringbuf",
    "memory",
    "file",
    "pipe",
    "pty",
    "stdio",
    "braille",
    "serial",
    "tty",
    "parallel",
    "parport",
    "spicevmc",
    "spiceport",
    "testdev",
    "wctablet",
    "console",
    "qemu-vdagent",
    "dbus",
    "hub",
    "mux",
];

option! {
    /// A character device that others refer to by id ('-chardev help' lists back ends)
    ChardevOption: "chardev" => "BACKEND,id=ID[,KEY=VALUE]...", |draft, text| {
        let mut given = KeyValues::parse(text, Some("backend"))?;
        if given.help_wanted("backend") != HelpWanted::No {
            draft.wants(HelpRequest::Chardevs);
            return Ok(());
        }
        let backend = required(&mut given, "backend", "-chardev stdio,id=con")?;
        if !BACKENDS.contains(&backend.as_str()) {
            return Err(format!("unknown back end '{}'; see -chardev help", shorten(&backend)).into());
        }
        let id = required(&mut given, "id", "-chardev stdio,id=con")?;
        identifier(&id)?;
        check(&backend, &given)?;
        draft.config.chardevs.push(Chardev { backend, id, properties: given });
    }
}

/// Refuses a back end without what it cannot do without.
fn check(backend: &str, given: &KeyValues) -> Result<(), Problem> {
    for key in ["server", "wait", "mux", "signal", "telnet", "websocket", "nodelay", "delay", "append", "logappend"] {
        given.clone().take_bool(key)?;
    }
    match backend {
        "file" | "pipe" if given.get("path").is_none_or(str::is_empty) => Err(format!("{backend} needs path=FILE").into()),
        "serial" | "tty" | "parallel" | "parport" if given.get("path").is_none() => Err(format!("{backend} needs path=DEVICE").into()),
        "socket" => {
            let (path, port) = (given.get("path").is_some(), given.get("port").is_some());
            let fd = given.get("fd").is_some();
            if [path, port, fd].iter().filter(|&&there| there).count() != 1 {
                return Err("socket needs one of path=FILE, port=PORT (with host=HOST) and fd=N".into());
            }
            let server = given.clone().take_bool("server")?.unwrap_or(false);
            if given.get("wait").is_some() && !server {
                return Err("'wait' is for sockets with server=on".into());
            }
            Ok(())
        }
        "udp" if given.get("port").is_none() => Err("udp needs port=PORT".into()),
        _ => Ok(()),
    }
}

/// Reads what `-serial` and its like take: `stdio`, `mon:stdio`, `tcp:HOST:PORT,server=on`,
/// `unix:PATH`, `file:PATH`, `chardev:ID`, `none`. `id` names a back end made for it.
pub(super) fn target(text: &str, id: String) -> Result<CharTarget, Problem> {
    if text == "none" {
        return Ok(CharTarget::None);
    }
    if let Some(reference) = text.strip_prefix("chardev:") {
        identifier(reference)?;
        return Ok(CharTarget::Ref(reference.into()));
    }
    let (text, with_monitor) = match text.strip_prefix("mon:") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (backend, properties) = short_form(text)?;
    check(backend, &properties)?;
    let chardev = Chardev { backend: backend.into(), id, properties };
    Ok(CharTarget::Own { chardev, with_monitor })
}

fn short_form(text: &str) -> Result<(&'static str, KeyValues), Problem> {
    let mut properties = KeyValues::default();
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let backend = match kind {
        "null" | "stdio" | "msmouse" | "wctablet" | "braille" | "testdev" if !text.contains(':') => {
            let kinds = ["null", "stdio", "msmouse", "wctablet", "braille", "testdev"];
            kinds.into_iter().find(|k| *k == kind).unwrap_or("null")
        }
        "pty" => {
            if !rest.is_empty() {
                properties.push("path", rest);
            }
            "pty"
        }
        "vc" => {
            let size = rest.split_once('x');
            if let Some((width, height)) = size {
                let name = |n: &str, pixel, cell| if n.ends_with('C') { cell } else { pixel };
                for (n, key) in [(width, name(width, "width", "cols")), (height, name(height, "height", "rows"))] {
                    let n = n.strip_suffix('C').unwrap_or(n);
                    number(key, n)?;
                    properties.push(key, n);
                }
            } else if !rest.is_empty() {
                return Err("the size of 'vc' is WIDTHxHEIGHT, as in vc:80Cx24C".into());
            }
            "vc"
        }
        "file" | "pipe" => {
            properties.push("path", file(rest)?);
            if kind == "file" { "file" } else { "pipe" }
        }
        "unix" => {
            let given = KeyValues::parse(rest, Some("path"))?;
            properties = given;
            "socket"
        }
        "tcp" | "telnet" | "tn3270" | "websocket" => {
            properties = address(rest)?;
            match kind {
                "tcp" => {}
                kind => properties.push(kind, "on"),
            }
            "socket"
        }
        "udp" => {
            let (remote, local) = rest.split_once('@').unwrap_or((rest, ""));
            properties = address(remote)?;
            if !local.is_empty() {
                let local = address(local)?;
                for (key, name) in [("host", "localaddr"), ("port", "localport")] {
                    local.get(key).iter().for_each(|value| properties.push(name, *value));
                }
            }
            "udp"
        }
        _ if text.starts_with("/dev/parport") => {
            properties.push("path", text);
            "parallel"
        }
        _ if text.starts_with('/') => {
            properties.push("path", text);
            "serial"
        }
        _ => {
            let known = "stdio, null, pty, tcp:, unix:, file:, pipe:, udp:, chardev:ID or none";
            return Err(format!("'{}' is not a character device; give {known}", shorten(text)).into());
        }
    };
    Ok((backend, properties))
}

/// `[HOST]:PORT[,KEY=VALUE]...`, an IPv6 host in brackets.
fn address(text: &str) -> Result<KeyValues, Problem> {
    let (address, keys) = text.split_once(',').unwrap_or((text, ""));
    let (host, port) = address.rsplit_once(':').unwrap_or(("", ""));
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if port.is_empty() || (inner.is_none() && host.contains([':', '[', ']'])) {
        return Err(format!("'{}' is not HOST:PORT, as in tcp:localhost:1234", shorten(address)).into());
    }
    let mut properties = KeyValues::parse(keys, None)?;
    properties.push("host", inner.unwrap_or(host));
    properties.push("port", port);
    Ok(properties)
}

option! {
    /// Where the next serial port connects to; given again, the one after it
    Serial: "serial" => "stdio|mon:stdio|null|none|pty|file:PATH|pipe:PATH|tcp:HOST:PORT|unix:PATH|chardev:ID", |draft, text| {
        let serials = &mut draft.config.serials;
        serials.push(target(text, format!("serial{}", serials.len()))?);
    }
}

option! {
    /// Where the next parallel port connects to
    Parallel: "parallel" => "none|null|file:PATH|chardev:ID|...", |draft, text| {
        let parallels = &mut draft.config.parallels;
        parallels.push(target(text, format!("parallel{}", parallels.len()))?);
    }
}

fn add_monitor(draft: &mut Draft, text: &str, mode: MonitorMode, pretty: bool) -> Result<(), Problem> {
    draft.no_default_monitor = true;
    let monitors = &mut draft.config.monitors;
    let target = target(text, format!("compat_monitor{}", monitors.len()))?;
    if matches!(target, CharTarget::Own { with_monitor: true, .. }) {
        return Err("'mon:' is for serial ports; a monitor is one already".into());
    }
    if target != CharTarget::None {
        monitors.push(Monitor { target, mode, pretty });
    }
    Ok(())
}

option! {
    /// Where the monitor for people connects to
    MonitorOption: "monitor" => "stdio|none|tcp:HOST:PORT|unix:PATH|chardev:ID|...", |draft, text| {
        add_monitor(draft, text, MonitorMode::Readline, false)?;
    }
}

option! {
    /// A monitor on a character device
    Mon: "mon" => "[chardev=]ID[,mode=readline|control][,pretty=on|off]", |draft, text| {
        let mut given = KeyValues::parse(text, Some("chardev"))?;
        let id = required(&mut given, "chardev", "-mon chardev=con,mode=control")?;
        identifier(&id)?;
        let modes = [("readline", MonitorMode::Readline), ("control", MonitorMode::Control)];
        let mode = given.take_choice("mode", &modes)?.unwrap_or(MonitorMode::Readline);
        let pretty = given.take_bool("pretty")?.unwrap_or(false);
        given.take("id");
        given.nothing_left(&["chardev", "mode", "pretty", "id"])?;
        if pretty && mode == MonitorMode::Readline {
            return Err("'pretty' is for mode=control".into());
        }
        draft.no_default_monitor = true;
        draft.config.monitors.push(Monitor { target: CharTarget::Ref(id), mode, pretty });
    }
}

option! {
    /// Where the monitor for programs (QMP) connects to
    Qmp: "qmp" => "stdio|tcp:HOST:PORT,server=on,wait=off|unix:PATH,server=on,wait=off|chardev:ID|...", |draft, text| {
        add_monitor(draft, text, MonitorMode::Control, false)?;
    }
}

option! {
    /// The same as -qmp, with line breaks in the JSON
    QmpPretty: "qmp-pretty" => "stdio|tcp:HOST:PORT|unix:PATH|chardev:ID|...", |draft, text| {
        add_monitor(draft, text, MonitorMode::Control, true)?;
    }
}

option! {
    /// Serial port and monitor on the terminal, no display
    NoGraphic: "nographic", |draft| { draft.config.nographic = true; }
}

option! {
    /// The display: none
    DisplayOption: "display" => "none", |draft, text| {
        let mut given = KeyValues::parse(text, Some("type"))?;
        if given.help_wanted("type") != HelpWanted::No {
            draft.wants(HelpRequest::Displays);
            return Ok(());
        }
        let kind = required(&mut given, "type", "-display none")?;
        if kind == "none" {
            given.nothing_left(&["none"])?;
        }
        draft.config.display = Some(Display { kind, properties: given });
    }
}

option! {
    /// The board's graphics card: none
    Vga: "vga" => "none", |draft, text| {
        draft.config.vga = Some(text.to_string());
    }
}

option! {
    /// Sound: none
    Audio: "audio" => "none", |_draft, text| {
        if text != "none" {
            return Err("understood by QEMU, not yet implemented in Proteus; give none".into());
        }
    }
}

option! {
    /// The character that starts a command to the console multiplexer, by number (1 is Ctrl-A)
    Echr: "echr" => "NUMBER", |draft, text| {
        let code = number("character", text)?;
        draft.config.escape = u8::try_from(code).map_err(|_| Problem::new("the character is a number from 0 to 255"))?;
    }
}

/// Puts what has not been given on the terminal, and checks references and the terminal's use.
pub(super) fn settle(draft: &mut Draft) -> Result<(), Problem> {
    let config = &mut draft.config;
    let no_serial = config.serials.is_empty() && !config.nodefaults;
    let no_monitor = !draft.no_default_monitor && !config.nodefaults;
    if config.nographic && config.daemonize && (no_serial || no_monitor) {
        return Err("-nographic uses the terminal, which -daemonize gives up; give -serial and -monitor too".into());
    }
    let without_terminal = config.daemonize || (!config.nographic && config.display.is_some());
    let own = |backend: &str, id: &str, with_monitor| CharTarget::Own {
        chardev: Chardev { backend: backend.into(), id: id.into(), properties: KeyValues::default() },
        with_monitor,
    };
    let free = terminal_users(config) == 0;
    if no_serial {
        let backend = if without_terminal || !free { "null" } else { "stdio" };
        config.serials.push(own(backend, "serial0", no_monitor && backend == "stdio"));
    } else if no_monitor && config.nographic && free {
        let target = own("stdio", "compat_monitor0", false);
        config.monitors.push(Monitor { target, mode: MonitorMode::Readline, pretty: false });
    }
    if terminal_users(config) > 1 {
        return Err("the terminal (stdio) can be used once; give -serial mon:stdio, or one -chardev \
                    stdio,mux=on,id=ID that the others refer to"
            .into());
    }
    let semihosting = config.semihosting.iter().filter_map(|s| s.chardev.as_deref());
    let references = targets(config).filter_map(|target| match target {
        CharTarget::Ref(id) => Some(id.as_str()),
        _ => None,
    });
    for id in references.chain(semihosting) {
        if !config.chardevs.iter().any(|c| c.id == id) {
            return Err(format!("there is no -chardev with id={}", shorten(id)).into());
        }
    }
    Ok(())
}

fn targets(config: &Config) -> impl Iterator<Item = &CharTarget> {
    let monitors = config.monitors.iter().map(|m| &m.target);
    config.serials.iter().chain(&config.parallels).chain(monitors).chain(&config.gdb)
}

fn terminal_users(config: &Config) -> usize {
    let own = targets(config).filter_map(|target| match target {
        CharTarget::Own { chardev, .. } => Some(chardev),
        _ => None,
    });
    own.chain(&config.chardevs).filter(|c| c.backend == "stdio").count()
}
