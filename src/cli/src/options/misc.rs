//! The process, its identity, and what happens at the ends of the guest's life.

use super::machine::file;
use super::{Draft, HelpRequest, Row, option, row};
use crate::config::*;
use crate::error::{Problem, shorten};
use crate::keyval::{KeyValues, number};

pub(super) const ROWS: &[Row] = &[
    row::<Help>(),
    row::<Version>(),
    row::<NameOption>(),
    row::<Uuid>(),
    row::<Seed>(),
    row::<LoadVm>(),
    row::<IncomingOption>(),
    row::<NoReboot>(),
    row::<NoShutdown>(),
    row::<Action>(),
    row::<Watchdog>(),
    row::<PidFile>(),
    row::<Daemonize>(),
    row::<Msg>(),
    row::<Overcommit>(),
    row::<Sandbox>(),
];

option! {
    /// Print this and exit
    Help: "help" | "h", |draft| { draft.help = Some(HelpRequest::Usage); }
}

option! {
    /// Print the version and exit
    Version: "version", |draft| { draft.help = Some(HelpRequest::Version); }
}

option! {
    /// The guest's name, and that of the process and its threads
    NameOption: "name" => "[guest=]NAME[,process=NAME][,debug-threads=on|off]", |draft, text| {
        let mut given = KeyValues::parse(text, Some("guest"))?;
        let name = &mut draft.config.name;
        name.guest = given.take("guest").or(name.guest.take());
        name.process = given.take("process").or(name.process.take());
        name.debug_threads = given.take_bool("debug-threads")?.unwrap_or(name.debug_threads);
        given.nothing_left(&["guest", "process", "debug-threads"])?;
    }
}

option! {
    /// The machine's UUID
    Uuid: "uuid" => "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX", |draft, text| {
        draft.config.uuid = Some(uuid(text).ok_or("the form is 12345678-1234-1234-1234-123456789abc")?);
    }
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let lengths = text.split('-').map(str::len);
    if !lengths.eq([8, 4, 4, 4, 12]) || !text.is_ascii() {
        return None;
    }
    let digits: Option<Vec<u8>> = text.chars().filter(|&c| c != '-').map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let (pairs, _) = digits.as_deref()?.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

option! {
    /// Seed of the random numbers that the guest gets, so that runs are alike
    Seed: "seed" => "NUMBER", |draft, text| { draft.config.seed = Some(number("seed", text)?); }
}

option! {
    /// Start from this snapshot
    LoadVm: "loadvm" => "NAME", |draft, text| {
        if text.is_empty() {
            return Err("the snapshot's name is empty".into());
        }
        draft.config.loadvm = Some(text.into());
    }
}

option! {
    /// Wait for a migration stream, or (defer) for the monitor to say where it comes from
    IncomingOption: "incoming" => "defer|tcp:HOST:PORT|unix:PATH|fd:N|file:PATH|exec:COMMAND", |draft, text| {
        let kind = text.split_once(':').map(|(kind, rest)| (kind, !rest.is_empty()));
        draft.config.incoming = Some(match kind {
            None if text == "defer" => Incoming::Defer,
            Some(("tcp" | "unix" | "fd" | "file" | "exec" | "vsock", true)) => Incoming::Uri(text.into()),
            _ => return Err("give defer, or where from, as in tcp:0:4444 or unix:PATH".into()),
        });
    }
}

option! {
    /// Exit when the guest resets
    NoReboot: "no-reboot", |draft| { draft.config.actions.reboot = RebootAction::Shutdown; }
}

option! {
    /// Stop, but do not exit, when the guest powers off
    NoShutdown: "no-shutdown", |draft| { draft.config.actions.shutdown = ShutdownAction::Pause; }
}

const WATCHDOG: &[(&str, WatchdogAction)] = &[
    ("reset", WatchdogAction::Reset),
    ("shutdown", WatchdogAction::Shutdown),
    ("poweroff", WatchdogAction::Poweroff),
    ("pause", WatchdogAction::Pause),
    ("debug", WatchdogAction::Debug),
    ("none", WatchdogAction::None),
    ("inject-nmi", WatchdogAction::InjectNmi),
];

option! {
    /// What to do when the guest resets, powers off, panics, or its watchdog expires
    Action: "action" => "[reboot=reset|shutdown][,shutdown=poweroff|pause][,panic=pause|shutdown|exit-failure|none][,watchdog=ACTION]", |draft, text| {
        let mut given = KeyValues::parse(text, None)?;
        let actions = &mut draft.config.actions;
        let reboot = [("reset", RebootAction::Reset), ("shutdown", RebootAction::Shutdown)];
        let shutdown = [("poweroff", ShutdownAction::Poweroff), ("pause", ShutdownAction::Pause)];
        let panic = [
            ("pause", PanicAction::Pause),
            ("shutdown", PanicAction::Shutdown),
            ("exit-failure", PanicAction::ExitFailure),
            ("none", PanicAction::None),
        ];
        actions.reboot = given.take_choice("reboot", &reboot)?.unwrap_or(actions.reboot);
        actions.shutdown = given.take_choice("shutdown", &shutdown)?.unwrap_or(actions.shutdown);
        actions.panic = given.take_choice("panic", &panic)?.unwrap_or(actions.panic);
        actions.watchdog = given.take_choice("watchdog", WATCHDOG)?.unwrap_or(actions.watchdog);
        given.nothing_left(&["reboot", "shutdown", "panic", "watchdog"])?;
    }
}

option! {
    /// The same as '-action watchdog=ACTION'
    Watchdog: "watchdog-action" => "reset|shutdown|poweroff|inject-nmi|pause|debug|none", |draft, text| {
        draft.config.actions.watchdog = crate::keyval::choice("action", text, WATCHDOG)?;
    }
}

option! {
    /// Write the process's number to a file
    PidFile: "pidfile" => "FILE", |draft, text| { draft.config.pidfile = Some(file(text)?.into()); }
}

option! {
    /// Go to the background once the machine is there
    Daemonize: "daemonize", |draft| { draft.config.daemonize = true; }
}

option! {
    /// What stands before each message
    Msg: "msg" => "[timestamp=on|off][,guest-name=on|off]", |draft, text| {
        let mut given = KeyValues::parse(text, None)?;
        let messages = &mut draft.config.messages;
        messages.timestamp = given.take_bool("timestamp")?.unwrap_or(messages.timestamp);
        messages.guest_name = given.take_bool("guest-name")?.unwrap_or(messages.guest_name);
        given.nothing_left(&["timestamp", "guest-name"])?;
    }
}

option! {
    /// Reserve nothing on the host beforehand (the only setting there is)
    Overcommit: "overcommit" => "[mem-lock=off][,cpu-pm=off]", |_draft, text| {
        let mut given = KeyValues::parse(text, None)?;
        for key in ["mem-lock", "cpu-pm"] {
            if given.take_bool(key)? == Some(true) {
                return Err(format!("{key}=on is understood by QEMU, not yet implemented in Proteus").into());
            }
        }
        given.nothing_left(&["mem-lock", "cpu-pm"])?;
    }
}

option! {
    /// Confine the process (not yet: only 'off' is accepted)
    Sandbox: "sandbox" => "off", |_draft, text| {
        let sandboxed = KeyValues::parse(text, Some("enable"))?.take_bool("enable")?;
        if sandboxed != Some(false) {
            let text = shorten(text);
            return Err(Problem(format!("'{text}' is understood by QEMU, not yet implemented in Proteus: \
                                        the process would not be confined; give off")));
        }
    }
}

/// Refuses what contradicts something else on the line.
pub(super) fn settle(draft: &Draft) -> Result<(), Problem> {
    let config = &draft.config;
    if config.loadvm.is_some() && config.incoming.is_some() {
        return Err("-loadvm and -incoming both say where to start from; give one of them".into());
    }
    if config.kernel.is_none() && (config.initrd.is_some() || config.append.as_ref().is_some_and(|a| !a.is_empty())) {
        return Err("-initrd and -append are for a kernel; give it with -kernel".into());
    }
    if config.messages.guest_name && config.name.guest.is_none() {
        return Err("-msg guest-name=on needs a name; give it with -name".into());
    }
    Ok(())
}
