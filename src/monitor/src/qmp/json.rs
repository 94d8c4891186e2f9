//! JSON as QMP has it on the wire: values one after the other with nothing between them needed,
//! strings in single quotes too, and a reader that finds its way back after garbage.

use serde::Serialize;
use serde_json::Value as Json;
use std::io::{self, Write};

/// The longest message.
pub const LONGEST: usize = 1 << 20;

/// Cuts what a client sends into values.
#[derive(Default)]
pub struct Splitter {
    text: Vec<u8>,
    /// Open braces and brackets.
    depth: usize,
    /// The quote of the string that is open.
    quote: Option<u8>,
    /// A backslash came before.
    escape: bool,
    /// What was too long goes up to the end of its line.
    skip: bool,
}

/// A value, or what is wrong with it.
pub type Piece = Result<Json, String>;

impl Splitter {
    /// Takes the next byte; gives a value where one is complete, or an error.
    pub fn feed(&mut self, byte: u8) -> Option<Piece> {
        if self.skip {
            self.skip = byte != b'\n';
            return None;
        }
        if self.text.len() >= LONGEST {
            let line = byte == b'\n';
            *self = Splitter { skip: !line, ..Splitter::default() };
            return Some(Err(format!("JSON parse error, a message has {LONGEST} bytes at most")));
        }
        match self.quote {
            Some(quote) => {
                self.in_string(byte, quote);
                None
            }
            None => self.outside(byte),
        }
    }

    fn in_string(&mut self, byte: u8, quote: u8) {
        if std::mem::take(&mut self.escape) {
            // JSON has no escaped single quote.
            if byte == b'\'' {
                self.text.pop();
            }
            self.text.push(byte);
        } else if byte == quote {
            self.text.push(b'"');
            self.quote = None;
        } else {
            match byte {
                b'\\' => self.escape = true,
                b'"' => self.text.push(b'\\'),
                _ => {}
            }
            self.text.push(byte);
        }
    }

    fn outside(&mut self, byte: u8) -> Option<Piece> {
        match byte {
            b'{' | b'[' => {
                let word = if self.depth == 0 { self.word() } else { None };
                self.text.push(byte);
                self.depth += 1;
                word
            }
            b'}' | b']' if self.depth == 0 => {
                self.text.clear();
                Some(Err(format!("JSON parse error, stray '{}'", char::from(byte))))
            }
            b'}' | b']' => {
                self.text.push(byte);
                self.depth -= 1;
                if self.depth == 0 { Some(self.value()) } else { None }
            }
            b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => self.word(),
            b'"' | b'\'' => {
                self.quote = Some(byte);
                self.text.push(b'"');
                None
            }
            0..b' ' | 127.. if !matches!(byte, b'\t' | b'\r' | b'\n') => {
                *self = Splitter::default();
                Some(Err(format!("JSON parse error, stray byte {byte:#04x}")))
            }
            _ => {
                self.text.push(byte);
                None
            }
        }
    }

    /// What stands outside of braces and brackets.
    fn word(&mut self) -> Option<Piece> {
        if self.text.is_empty() { None } else { Some(self.value()) }
    }

    fn value(&mut self) -> Piece {
        let text = std::mem::take(&mut self.text);
        serde_json::from_slice(&text).map_err(|e| {
            let word = text.iter().all(u8::is_ascii_alphanumeric) && text.len() <= 64;
            match std::str::from_utf8(&text) {
                Ok(keyword) if word => format!("JSON parse error, invalid keyword '{keyword}'"),
                _ => format!("JSON parse error, {e}"),
            }
        })
    }
}

/// QEMU's spaces: `{"return": {}, "id": 1}`.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

/// A value as a line, or as lines where it is to be pretty.
pub fn line(value: &Json, pretty: bool) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = match pretty {
        true => {
            let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, format))
        }
        false => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Spaced)),
    };
    out.extend(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pieces(text: &[u8]) -> Vec<Piece> {
        let mut splitter = Splitter::default();
        text.iter().filter_map(|b| splitter.feed(*b)).collect()
    }

    #[test]
    fn values_are_cut_whatever_stands_between_them() {
        let a = || Ok(json!({"a": 1}));
        let wrong = |text: &str| Err(format!("JSON parse error, {text}"));
        let cases: &[(&[u8], Vec<Piece>)] = &[
            (b"{\"a\":1}{\"a\":1}", vec![a(), a()]),
            (b"\r\n{\"a\"\n:\t1}\n [1] ", vec![a(), Ok(json!([1]))]),
            (b"{'a':1}", vec![a()]),
            (br#"{'it\'s':'"x"\\'}"#, vec![Ok(json!({"it's": "\"x\"\\"}))]),
            (br#"{"}":"\"{"}"#, vec![Ok(json!({"}": "\"{"}))]),
            (b"hello\n", vec![wrong("invalid keyword 'hello'")]),
            (b"12 true\n", vec![Ok(json!(12)), Ok(json!(true))]),
            (b"x{\"a\":1}", vec![wrong("invalid keyword 'x'"), a()]),
            (b"}{\"a\":1}", vec![wrong("stray '}'"), a()]),
            (b"{{{\xff{\"a\":1}", vec![wrong("stray byte 0xff"), a()]),
            (b"\x01{\"a\":1}", vec![wrong("stray byte 0x01"), a()]),
        ];
        for (text, want) in cases {
            assert_eq!(pieces(text), *want, "{}", String::from_utf8_lossy(text));
        }
        assert!(pieces(b"{]{\"a\":1}")[0].is_err());
    }

    #[test]
    fn a_message_without_end_is_dropped() {
        for start in ["{\"a\":\"", "a", "[", "\""] {
            let mut splitter = Splitter::default();
            let mut errors = start.bytes().filter_map(|b| splitter.feed(b)).count();
            for _ in 0..5 * LONGEST {
                errors += usize::from(splitter.feed(b'a').is_some_and(|p| p.is_err()));
                assert!(splitter.text.len() <= LONGEST);
            }
            assert_eq!(errors, 1, "{start}");
            let rest: Vec<_> = b"\n{\"a\":1}".iter().filter_map(|b| splitter.feed(*b)).collect();
            assert_eq!(rest, [Ok(json!({"a": 1}))]);
        }
    }

    #[test]
    fn lines_look_like_qemus() {
        let value = json!({"return": {"a": [1, 2]}});
        assert_eq!(line(&value, false), b"{\"return\": {\"a\": [1, 2]}}\r\n");
        assert_eq!(line(&json!({"return": {}}), true), b"{\n    \"return\": {}\n}\r\n");
    }
}
