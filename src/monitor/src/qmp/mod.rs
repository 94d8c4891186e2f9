//! QMP, the monitor for programs (QEMU Machine Protocol Specification).

mod catalog;
mod commands;
mod events;
mod json;
#[macro_use]
pub mod schema;
#[cfg(test)]
mod tests;
pub mod types;

use crate::Subject;
use crate::session::{CREDIT, Inbox, Message, Wire};
pub use commands::{COMMANDS, Command};
pub(crate) use commands::{needs_reset, status};
use json::Splitter;
use proteus_exec::runner::RunEvent;
use schema::Qapi;
use serde_json::{Value as Json, json};
use std::time::SystemTime;
use types::{Capabilities, QmpCapability};

/// A JSON object.
pub type Object = serde_json::Map<String, Json>;

/// An answer that tells of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// QEMU's class of it.
    pub class: &'static str,
    /// What went wrong.
    pub text: String,
}

impl Error {
    /// An error of no class of its own.
    pub fn generic(text: impl Into<String>) -> Error {
        Error { class: "GenericError", text: text.into() }
    }
    /// There is no such command, or not now.
    pub fn not_found(text: impl Into<String>) -> Error {
        Error { class: "CommandNotFound", text: text.into() }
    }
    /// There is no such device.
    pub fn no_device(name: &str) -> Error {
        Error { class: "DeviceNotFound", text: format!("Device '{name}' not found") }
    }
}

/// A command that a client sent.
struct Request {
    name: String,
    arguments: Json,
}

/// Reads a message; the id is given even where something is wrong with the rest.
fn request(message: Json) -> (Option<Json>, Result<Request, Error>) {
    let Json::Object(mut map) = message else { return (None, Err(Error::generic("QMP input must be a JSON object"))) };
    let id = map.remove("id");
    let read = |mut map: Object| {
        let name = match (map.remove("execute"), map.contains_key("exec-oob")) {
            (Some(Json::String(name)), _) => name,
            (Some(_), _) => return Err(Error::generic("QMP input member 'execute' must be a string")),
            (None, true) => return Err(Error::generic("QMP input member 'exec-oob' is unexpected")),
            (None, false) => match map.keys().find(|k| *k != "arguments") {
                Some(other) => return Err(Error::generic(format!("QMP input member '{other}' is unexpected"))),
                None => return Err(Error::generic("QMP input lacks member 'execute'")),
            },
        };
        let arguments = map.remove("arguments").unwrap_or_else(|| Json::Object(Object::new()));
        if !arguments.is_object() {
            return Err(Error::generic("QMP input member 'arguments' must be an object"));
        }
        match map.keys().next() {
            Some(other) => Err(Error::generic(format!("QMP input member '{other}' is unexpected"))),
            None => Ok(Request { name, arguments }),
        }
    };
    (id, read(map))
}

/// A session.
pub(crate) struct Session<'a> {
    subject: &'a Subject,
    inbox: &'a Inbox,
    wire: &'a dyn Wire,
    pretty: bool,
    /// A client is there.
    open: bool,
    /// It has said `qmp_capabilities`.
    negotiated: bool,
    input: Splitter,
}

impl<'a> Session<'a> {
    pub fn new(subject: &'a Subject, inbox: &'a Inbox, wire: &'a dyn Wire, pretty: bool) -> Session<'a> {
        Session { subject, inbox, wire, pretty, open: false, negotiated: false, input: Splitter::default() }
    }

    /// Serves clients until the program ends.
    pub fn run(mut self) {
        self.wire.more(CREDIT);
        loop {
            match self.inbox.take() {
                Message::Opened => {
                    (self.open, self.negotiated, self.input) = (true, false, Splitter::default());
                    let version = commands::version().to_json();
                    self.send(&json!({"QMP": {"version": version, "capabilities": []}}));
                }
                Message::Closed => (self.open, self.negotiated) = (false, false),
                Message::Input(bytes) => {
                    for byte in bytes {
                        if let Some(piece) = self.input.feed(byte) {
                            self.message(piece);
                        }
                    }
                    self.wire.more(CREDIT);
                }
                Message::Run(event, at) => self.event(event, at),
                Message::Focus(_) => {}
                Message::End => return,
            }
        }
    }

    fn event(&self, event: RunEvent, at: SystemTime) {
        if self.open && self.negotiated {
            self.send(&events::message(event, at));
        }
    }

    fn send(&self, message: &Json) {
        if !self.inbox.closed() {
            self.wire.write(&json::line(message, self.pretty));
        }
    }

    /// Answers a message.
    fn message(&mut self, piece: json::Piece) {
        let (id, request) = match piece {
            Ok(message) => request(message),
            Err(text) => (None, Err(Error::generic(text))),
        };
        let mut answer = match request.and_then(|r| self.execute(r)) {
            Ok(value) => json!({"return": value}),
            Err(e) => json!({"error": {"class": e.class, "desc": e.text}}),
        };
        if let Some(id) = id {
            answer["id"] = id;
        }
        // What the command did comes before its answer.
        for (event, at) in self.inbox.take_events() {
            self.event(event, at);
        }
        self.send(&answer);
    }

    fn execute(&mut self, request: Request) -> Result<Json, Error> {
        if !self.negotiated {
            if request.name != "qmp_capabilities" {
                return Err(Error::not_found("Expecting capabilities negotiation with 'qmp_capabilities'"));
            }
            let asked = Capabilities::from_json(request.arguments, "arguments")?.enable.unwrap_or_default();
            if asked.contains(&QmpCapability::Oob) {
                return Err(Error::generic("Capability 'oob' not available"));
            }
            self.negotiated = true;
            return Ok(Json::Object(Object::new()));
        }
        match COMMANDS.iter().find(|c| c.name == request.name) {
            Some(command) => (command.run)(self.subject, request.arguments),
            None => Err(Error::not_found(format!("The command {} has not been found", request.name))),
        }
    }
}
