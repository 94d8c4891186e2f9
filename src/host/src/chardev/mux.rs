//! What a user types on a shared terminal: text for the front end in focus, and escape commands.

/// What one byte typed means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// For the front end in focus.
    Byte(u8),
    /// Print the commands.
    Help,
    /// End the emulator.
    Quit,
    /// A break condition on the line.
    Break,
    /// Give the focus to the next front end.
    Next,
    /// Write back disk data of a snapshot.
    Save,
    /// Start or stop printing the time before each line.
    Timestamps,
    /// Part of a command.
    Nothing,
}

/// Recognises the escape character and the command after it.
#[derive(Debug)]
pub(super) struct Escape {
    pub(super) character: u8,
    got: bool,
}

impl Escape {
    pub(super) fn new(character: u8) -> Self {
        Escape { character, got: false }
    }

    pub(super) fn feed(&mut self, byte: u8) -> Typed {
        if !std::mem::take(&mut self.got) {
            if byte != self.character {
                return Typed::Byte(byte);
            }
            self.got = true;
            return Typed::Nothing;
        }
        match byte {
            b if b == self.character => Typed::Byte(b),
            b'h' | b'?' => Typed::Help,
            b'x' => Typed::Quit,
            b'b' => Typed::Break,
            b'c' => Typed::Next,
            b's' => Typed::Save,
            b't' => Typed::Timestamps,
            _ => Typed::Nothing,
        }
    }

    pub(super) fn help(&self) -> String {
        let key = match self.character {
            c @ 1..=26 => format!("C-{}", char::from(c + b'a' - 1)),
            c => format!("{:#04x}", c),
        };
        [
            "",
            &format!("{key} h    print this help"),
            &format!("{key} x    exit emulator"),
            &format!("{key} s    save disk data back to file (not supported yet)"),
            &format!("{key} t    toggle console timestamps"),
            &format!("{key} b    send break (magic sysrq)"),
            &format!("{key} c    switch between console and monitor"),
            &format!("{key} {key}  sends {key}"),
            "",
        ]
        .join("\r\n")
    }
}

/// Puts the time since the console was first used before each line of output.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    pub(super) on: bool,
    inside_line: bool,
}

/// The length of a time stamp of less than 100 hours.
const STAMP: usize = "[00:00:00.000] ".len();

impl Stamps {
    /// How many bytes of output one byte may become.
    pub(super) fn worst_case(&self) -> usize {
        if self.on { STAMP + 1 } else { 1 }
    }

    /// The stamp that goes before this byte, if any.
    pub(super) fn before(&mut self, byte: u8, elapsed: std::time::Duration) -> Option<String> {
        if !self.on {
            return None;
        }
        let begins = !self.inside_line;
        self.inside_line = byte != b'\n';
        let s = elapsed.as_secs() % 360_000;
        begins.then(|| format!("[{:02}:{:02}:{:02}.{:03}] ", s / 3600, s / 60 % 60, s % 60, elapsed.subsec_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn commands_are_told_from_text() {
        use Typed::*;
        let run = |character, text: &[u8]| {
            let mut e = Escape::new(character);
            text.iter().map(|&b| e.feed(b)).filter(|&t| t != Nothing).collect::<Vec<_>>()
        };
        assert_eq!(run(1, b"a\x01xb"), [Byte(b'a'), Quit, Byte(b'b')]);
        assert_eq!(run(1, b"\x01\x01x"), [Byte(1), Byte(b'x')]);
        assert_eq!(run(1, b"\x01h\x01b\x01c\x01s\x01t\x01?"), [Help, Break, Next, Save, Timestamps, Help]);
        assert_eq!(run(1, b"\x01zq"), [Byte(b'q')], "an unknown command is swallowed");
        assert_eq!(run(0x14, b"\x01x\x14x"), [Byte(1), Byte(b'x'), Quit]);
    }

    #[test]
    fn a_stamp_begins_each_line() {
        let mut s = Stamps { on: true, ..Stamps::default() };
        let mut out = String::new();
        for b in b"a\n\nb" {
            out.extend(s.before(*b, Duration::from_millis(3_723_004)));
            out.push(char::from(*b));
        }
        assert_eq!(out, "[01:02:03.004] a\n[01:02:03.004] \n[01:02:03.004] b");
        assert_eq!(s.before(b'\n', Duration::ZERO), None);
        assert!(s.before(b'x', Duration::MAX).is_some_and(|t| t.len() < s.worst_case()));
    }
}
