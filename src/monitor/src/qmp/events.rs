//! The events.

use super::schema::{Empty, Qapi, Schema};
use super::types::{CauseInfo, PanicAction, PanicInfo, ShutdownCause};
use proteus_exec::runner::{AfterPanic, Cause, RunEvent};
use serde_json::{Value as Json, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// A kind of event.
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// The type of its data.
    pub data: fn(&mut Schema) -> String,
}

/// All kinds.
pub const EVENTS: &[Event] = &[
    Event { name: "GUEST_PANICKED", data: PanicInfo::schema },
    Event { name: "POWERDOWN", data: Empty::schema },
    Event { name: "RESET", data: CauseInfo::schema },
    Event { name: "RESUME", data: Empty::schema },
    Event { name: "SHUTDOWN", data: CauseInfo::schema },
    Event { name: "STOP", data: Empty::schema },
];

fn cause(cause: Cause) -> Json {
    let (guest, reason) = match cause {
        Cause::HostQuit => (false, ShutdownCause::HostQmpQuit),
        Cause::HostReset => (false, ShutdownCause::HostQmpSystemReset),
        Cause::HostSignal => (false, ShutdownCause::HostSignal),
        Cause::HostUser => (false, ShutdownCause::HostUi),
        Cause::GuestShutdown => (true, ShutdownCause::GuestShutdown),
        Cause::GuestReset => (true, ShutdownCause::GuestReset),
        Cause::GuestPanic => (true, ShutdownCause::GuestPanic),
    };
    CauseInfo { guest, reason }.to_json().unwrap_or(Json::Null)
}

fn panic(after: AfterPanic) -> Json {
    let action = match after {
        AfterPanic::GoesOn => PanicAction::Run,
        AfterPanic::Stops => PanicAction::Pause,
        AfterPanic::Ends => PanicAction::Poweroff,
    };
    PanicInfo { action }.to_json().unwrap_or(Json::Null)
}

/// An event as it is sent.
pub fn message(event: RunEvent, at: SystemTime) -> Json {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (name, data) = match event {
        RunEvent::Resume => ("RESUME", None),
        RunEvent::Stop(_) => ("STOP", None),
        RunEvent::PowerDown => ("POWERDOWN", None),
        RunEvent::Panicked(after) => ("GUEST_PANICKED", Some(panic(after))),
        RunEvent::Reset(why) => ("RESET", Some(cause(why))),
        RunEvent::Shutdown(why) => ("SHUTDOWN", Some(cause(why))),
    };
    let mut message = json!({"event": name, "timestamp": {"seconds": since.as_secs(), "microseconds": since.subsec_micros()}});
    if let Some(data) = data {
        message["data"] = data;
    }
    message
}
