//! `-gdb`: a character back end joined to the GDB stub.

use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use proteus_gdb::{Message, Stub};
use proteus_host::chardev::{CharEvent, Chardev, Sink};
use proteus_monitor::Subject;
use proteus_monitor::hmp::Hmp;

use super::chardevs::Consoles;
use super::endings::Control;
use crate::config::{CharTarget, Config};
use crate::error::{Problem, UsageError};

/// Bytes that a debugger may send ahead.
const CREDIT: usize = 1 << 16;

/// The stub's end of its back end.
struct Inbox {
    messages: Mutex<Sender<Message>>,
    chardev: Arc<OnceLock<Chardev>>,
}

impl Sink for Inbox {
    fn receive(&self, event: CharEvent) {
        let message = match event {
            CharEvent::Opened => Message::Opened,
            CharEvent::Closed => Message::Closed,
            CharEvent::Input(bytes) => Message::Input(bytes),
            CharEvent::Writable | CharEvent::Break | CharEvent::Focus(_) => return,
        };
        // The thread ends with the program only.
        let _ = self.messages.lock().send(message);
        if let Some(chardev) = self.chardev.get() {
            chardev.set_can_receive(CREDIT);
        }
    }
}

/// Starts the stub of the command line, if it asks for one.
pub fn start(config: &Config, consoles: &Consoles, control: &Arc<Control>, subject: &Arc<OnceLock<Subject>>) -> Result<Option<Stub>, UsageError> {
    let fail = |e: &dyn std::fmt::Display| Problem(e.to_string()).at(&config.program, "-gdb");
    let id = match &config.gdb {
        None | Some(CharTarget::None) => return Ok(None),
        Some(CharTarget::Ref(id)) => id.clone(),
        Some(CharTarget::Own { chardev, .. }) => {
            consoles.add_own("-gdb", chardev, false)?;
            chardev.id.clone()
        }
    };
    let back: Arc<OnceLock<Chardev>> = Arc::default();
    let output = {
        let back = back.clone();
        Arc::new(move |bytes: &[u8]| back.wait().write_blocking(bytes))
    };
    let hmp = {
        let subject = subject.clone();
        let hmp = Mutex::new(Hmp::default());
        Arc::new(move |line: &str| subject.get().map_or_else(String::new, |s| hmp.lock().answer(s, line)))
    };
    let stub = Stub::start(control.clone(), hmp, output).map_err(|e| fail(&e))?;
    let sink = Inbox { messages: Mutex::new(stub.messages()), chardev: back.clone() };
    let chardev = consoles.all.attach(&id, Arc::new(sink)).map_err(|e| fail(&e))?;
    chardev.set_can_receive(CREDIT);
    chardev.write_directly();
    let _ = back.set(chardev);
    Ok(Some(stub))
}
