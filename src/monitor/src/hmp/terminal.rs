//! HMP on a terminal.

use super::Hmp;
use super::editor::Editor;
use crate::session::{CREDIT, Inbox, Message, Wire};
use crate::{Subject, VERSION};

const PROMPT: &str = "(qemu) ";

/// A session.
pub struct Terminal<'a> {
    subject: &'a Subject,
    wire: &'a dyn Wire,
    shared: bool,
    hmp: Hmp,
    editor: Editor,
}

impl<'a> Terminal<'a> {
    /// One that has not begun; a `shared` one says nothing before it has the focus.
    pub fn new(subject: &'a Subject, wire: &'a dyn Wire, shared: bool) -> Terminal<'a> {
        Terminal { subject, wire, shared, hmp: Hmp::default(), editor: Editor::new(PROMPT) }
    }

    fn say(&self, text: &str) {
        self.wire.write(text.replace("\r\n", "\n").replace('\n', "\r\n").as_bytes());
    }

    fn greet(&mut self) {
        let (major, minor, micro) = VERSION;
        self.editor.clear();
        self.say(&format!("QEMU {major}.{minor}.{micro} monitor - type 'help' for more information\n{PROMPT}"));
    }

    /// Serves people until the program ends.
    pub fn run(mut self, inbox: &Inbox) {
        self.wire.more(CREDIT);
        loop {
            match inbox.take() {
                Message::Focus(true) => self.greet(),
                Message::Opened if !self.shared => self.greet(),
                Message::Input(bytes) => {
                    self.type_in(&bytes);
                    self.wire.more(CREDIT);
                }
                Message::Opened | Message::Closed | Message::Focus(false) | Message::Run(..) => {}
                Message::End => return,
            }
        }
    }

    fn type_in(&mut self, bytes: &[u8]) {
        let mut echo = String::new();
        for byte in bytes {
            let subject = self.subject;
            let line = self.editor.feed(*byte, &|head| super::complete(subject, head), &mut echo);
            let Some(line) = line else { continue };
            self.say(&std::mem::take(&mut echo));
            self.hmp.history = self.editor.history().to_vec();
            let answer = self.hmp.answer(self.subject, &line);
            self.say(&answer);
            self.say(PROMPT);
        }
        // Escapes are not lines: as they are.
        self.wire.write(echo.as_bytes());
    }
}
