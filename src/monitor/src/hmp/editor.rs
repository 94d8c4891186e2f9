//! The line that is typed: editing, history, completion.

/// The longest line.
const LONGEST: usize = 4095;
/// Lines that are remembered.
const HISTORY: usize = 64;

/// What a key press leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Input {
    /// Bytes are characters and control characters.
    Plain,
    /// ESC came.
    Escape,
    /// ESC [ came, and a number so far.
    Sequence(u32),
    /// ESC O came.
    Keypad,
}

/// A line being typed, with the ones before it.
pub struct Editor {
    prompt: String,
    /// ASCII only.
    line: Vec<u8>,
    cursor: usize,
    history: Vec<String>,
    /// The place in the history that is shown; its length for the line itself.
    shown: usize,
    /// The line, while one of the history is shown.
    kept: Vec<u8>,
    input: Input,
    /// The last byte ended a line with a carriage return; a line feed belongs to it.
    carriage: bool,
}

impl Editor {
    /// An empty line after `prompt`.
    pub fn new(prompt: &str) -> Editor {
        Editor { prompt: prompt.into(), line: Vec::new(), cursor: 0, history: Vec::new(), shown: 0, kept: Vec::new(), input: Input::Plain, carriage: false }
    }

    /// The lines before, the oldest first.
    pub fn history(&self) -> &[String] {
        &self.history
    }

    /// Forgets the line, and in which key it is.
    pub fn clear(&mut self) {
        self.line.clear();
        (self.cursor, self.shown) = (0, self.history.len());
        self.input = Input::Plain;
    }

    /// Takes a byte; gives a finished line. `echo` is what to show; `complete` gives for the start
    /// of a line the words that may stand at its end.
    pub fn feed(&mut self, byte: u8, complete: &dyn Fn(&str) -> Vec<String>, echo: &mut String) -> Option<String> {
        let carriage = std::mem::take(&mut self.carriage);
        match (self.input, byte) {
            (Input::Plain, b'\n') if carriage => {}
            (Input::Plain, b'\r' | b'\n') => {
                self.carriage = byte == b'\r';
                return Some(self.finish(echo));
            }
            (Input::Plain, b'\t') => self.complete(complete, echo),
            (Input::Plain, _) => self.key(byte, echo),
            (Input::Escape, b'[') => self.input = Input::Sequence(0),
            (Input::Escape, b'O') => self.input = Input::Keypad,
            (Input::Sequence(n), b'0'..=b'9') => self.input = Input::Sequence((n * 10 + u32::from(byte - b'0')).min(999)),
            (Input::Sequence(_), b';') => self.input = Input::Sequence(0),
            (Input::Sequence(n), _) => {
                self.input = Input::Plain;
                self.named_key(n, byte, echo);
            }
            (Input::Keypad, _) => {
                self.input = Input::Plain;
                self.named_key(0, byte, echo);
            }
            (Input::Escape, _) => self.input = Input::Plain,
        }
        None
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }

    fn finish(&mut self, echo: &mut String) -> String {
        echo.push_str("\r\n");
        let line = self.text();
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            self.history.push(line.clone());
            if self.history.len() > HISTORY {
                self.history.remove(0);
            }
        }
        self.clear();
        line
    }

    /// Shows the line anew.
    fn redraw(&self, echo: &mut String) {
        echo.push_str(&format!("\r{}{}\x1b[K", self.prompt, self.text()));
        let back = self.line.len() - self.cursor;
        if back > 0 {
            echo.push_str(&format!("\x1b[{back}D"));
        }
    }

    fn key(&mut self, byte: u8, echo: &mut String) {
        let before = (self.line.len(), self.cursor);
        match byte {
            b' '..=126 => return self.insert(&[byte], echo),
            27 => self.input = Input::Escape,
            // Ctrl-A, Ctrl-B, Ctrl-E, Ctrl-F.
            1 => self.cursor = 0,
            2 => self.cursor = self.cursor.saturating_sub(1),
            5 => self.cursor = self.line.len(),
            6 => self.cursor = (self.cursor + 1).min(self.line.len()),
            // Ctrl-D.
            4 if self.cursor < self.line.len() => _ = self.line.remove(self.cursor),
            8 | 127 if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            // Ctrl-K, Ctrl-U, Ctrl-C.
            11 => self.line.truncate(self.cursor),
            21 => {
                self.line.drain(..self.cursor);
                self.cursor = 0;
            }
            3 => {
                self.line.clear();
                self.cursor = 0;
            }
            // Ctrl-W.
            23 => {
                let head = &self.line[..self.cursor];
                let end = head.iter().rposition(|b| *b != b' ').map_or(0, |n| n + 1);
                let start = head[..end].iter().rposition(|b| *b == b' ').map_or(0, |n| n + 1);
                self.line.drain(start..self.cursor);
                self.cursor = start;
            }
            // Ctrl-L, Ctrl-N, Ctrl-P.
            12 => return self.redraw(echo),
            14 => return self.walk(1, echo),
            16 => return self.walk(-1, echo),
            _ => {}
        }
        if before != (self.line.len(), self.cursor) {
            self.redraw(echo);
        }
    }

    /// A key that sends ESC and more.
    fn named_key(&mut self, number: u32, byte: u8, echo: &mut String) {
        match (byte, number) {
            (b'A', _) => self.walk(-1, echo),
            (b'B', _) => self.walk(1, echo),
            (b'C', _) => self.key(6, echo),
            (b'D', _) => self.key(2, echo),
            (b'H', _) | (b'~', 1 | 7) => self.key(1, echo),
            (b'F', _) | (b'~', 4 | 8) => self.key(5, echo),
            (b'~', 3) => self.key(4, echo),
            _ => {}
        }
    }

    fn insert(&mut self, bytes: &[u8], echo: &mut String) {
        if self.line.len() + bytes.len() > LONGEST {
            return;
        }
        let end = self.cursor == self.line.len();
        self.line.splice(self.cursor..self.cursor, bytes.iter().copied());
        self.cursor += bytes.len();
        match end {
            true => echo.push_str(&String::from_utf8_lossy(bytes)),
            false => self.redraw(echo),
        }
    }

    /// Shows the line before or after in the history.
    fn walk(&mut self, by: isize, echo: &mut String) {
        let Some(to) = self.shown.checked_add_signed(by).filter(|n| *n <= self.history.len()) else { return };
        if self.shown == self.history.len() {
            self.kept = std::mem::take(&mut self.line);
        }
        self.line = self.history.get(to).map_or_else(|| std::mem::take(&mut self.kept), |l| l.clone().into_bytes());
        (self.shown, self.cursor) = (to, self.line.len());
        self.redraw(echo);
    }

    fn complete(&mut self, complete: &dyn Fn(&str) -> Vec<String>, echo: &mut String) {
        let head = String::from_utf8_lossy(&self.line[..self.cursor]).into_owned();
        let words = complete(&head);
        let Some(first) = words.first() else { return };
        let start = head.rfind([' ', ',']).map_or(0, |n| n + 1);
        let typed = head.len() - start;
        let mut common = first.len();
        for word in &words {
            common = first.bytes().zip(word.bytes()).take(common).take_while(|(a, b)| a == b).count();
        }
        if let Some(more) = first.as_bytes().get(typed..common).filter(|m| !m.is_empty()) {
            self.insert(more, echo);
        } else if words.len() > 1 {
            echo.push_str(&format!("\r\n{}\r\n", words.join(" ")));
            return self.redraw(echo);
        }
        if words.len() == 1 {
            self.insert(b" ", echo);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(head: &str) -> Vec<String> {
        let last = head.rsplit(' ').next().unwrap_or_default();
        ["info", "inject", "quit"].iter().filter(|w| w.starts_with(last)).map(|w| w.to_string()).collect()
    }

    fn typed(keys: &[u8]) -> (Vec<String>, String, Editor) {
        let (mut editor, mut echo) = (Editor::new("> "), String::new());
        let lines = keys.iter().filter_map(|b| editor.feed(*b, &words, &mut echo)).collect();
        (lines, echo, editor)
    }

    #[test]
    fn keys_edit_the_line() {
        let cases: &[(&str, &[&str])] = &[
            ("abc\r", &["abc"]),
            ("abc\r\nd\n", &["abc", "d"]),
            ("abc\x7f\x08d\r", &["ad"]),
            ("bc\x01a\x05d\r", &["abcd"]),
            ("abc\x02\x02\x0b\r", &["a"]),
            ("abc\x02\x15\r", &["c"]),
            ("one two  \x17x\r", &["one x"]),
            ("ac\x1b[Db\x1b[C\x1b[Hx\x1b[Fy\r", &["xabcy"]),
            ("abc\x1b[1~\x1b[3~\x1bOCx\r", &["bxc"]),
            ("a\rb\r\x10\x10\r", &["a", "b", "a"]),
            ("a\rb\x1b[A\x1b[Bc\r", &["a", "bc"]),
            ("a\r\x1b[Ax\r\x1b[A\r", &["a", "ax", "ax"]),
            ("abc\x03d\r", &["d"]),
            ("\x1b[999999999999Zx\x1bqy\r", &["xy"]),
            ("q\t\r", &["quit "]),
            ("in\t\tf\t\r", &["info "]),
            ("z\t\r", &["z"]),
        ];
        for (keys, want) in cases {
            assert_eq!(typed(keys.as_bytes()).0, *want, "{keys:?}");
        }
        let (_, echo, _) = typed(b"in\t");
        assert_eq!(echo, "in\r\ninfo inject\r\n\r> in\x1b[K");
    }

    #[test]
    fn neither_lines_nor_history_grow_without_bound() {
        let (_, _, editor) = typed(&vec![b'x'; 1 << 20]);
        assert_eq!(editor.line.len(), LONGEST);
        let keys: Vec<u8> = (0..1000).flat_map(|n| format!("{n}\r").into_bytes()).collect();
        let (_, _, editor) = typed(&keys);
        assert_eq!(editor.history().len(), HISTORY);
        assert_eq!(editor.history().last().unwrap(), "999");
    }
}
