//! What is wrong with a command line.

use std::fmt;

/// What is wrong with one option's value: what was found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl Problem {
    /// A problem in these words.
    pub fn new(text: impl Into<String>) -> Self {
        Problem(text.into())
    }

    /// The error as the user sees it. `at` is the option with its value.
    pub(crate) fn at(self, program: &str, at: &str) -> UsageError {
        UsageError { program: clean(program), message: format!("{}: {}", clean(at), clean(&self.0)) }
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Problem(text)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Problem(text.into())
    }
}

/// A command line that cannot be obeyed. Shown on one line; the program exits with 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// The name the program was called by.
    pub program: String,
    /// The option, what is wrong with it and what to do.
    pub message: String,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.program, self.message)
    }
}

impl std::error::Error for UsageError {}

/// User text fit for a message of one line: no line breaks or terminal escapes, not too long.
pub(crate) fn clean(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut out: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push_str("...");
    }
    out
}

/// A value for a message: shortened, because command lines of kernels are long.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.into(),
    }
}

/// Prints a line to standard error. That it is closed is nobody's error: `eprintln` would panic.
pub(crate) fn say(line: impl fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
