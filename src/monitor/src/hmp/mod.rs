//! HMP, the monitor for people: one line, one command, from a table. A line goes in and text comes
//! out, so a debugger, QMP and terminals use the same.

mod commands;
mod editor;
mod expression;
mod info;
mod memory;
pub(crate) mod terminal;
#[cfg(test)]
mod tests;

use crate::Subject;
pub use commands::COMMANDS;
pub use info::INFO;
use std::fmt::Write;

/// What the user of a monitor has chosen.
#[derive(Clone, Debug)]
pub struct Hmp {
    /// The core that commands are about.
    pub core: usize,
    /// Lines typed before, the oldest first.
    pub history: Vec<String>,
    /// The format of the last `x`, `xp` or `print`.
    format: char,
    /// Bytes of an item of the last `x` or `xp`.
    size: usize,
}

impl Default for Hmp {
    fn default() -> Hmp {
        Hmp { core: 0, history: Vec::new(), format: 'x', size: 4 }
    }
}

/// What a command works with.
pub struct Context<'a> {
    subject: &'a Subject,
    hmp: &'a mut Hmp,
    /// What is answered.
    out: String,
}

/// What is left of a line.
pub struct Arguments<'a>(&'a str);

type Outcome = Result<(), String>;

/// How arguments are completed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Complete {
    /// Not at all.
    Nothing,
    /// With the names of commands.
    Commands,
    /// With the names of what `info` tells.
    Info,
    /// With the items of logs.
    Log,
}

/// A command.
pub struct Row {
    /// Its names; the first is the one to write.
    pub names: &'static [&'static str],
    /// Its arguments, for the help.
    pub arguments: &'static str,
    /// What it does.
    pub doc: &'static str,
    complete: Complete,
    run: fn(&mut Context<'_>, &mut Arguments<'_>) -> Outcome,
}

impl Row {
    const fn new(names: &'static [&'static str], arguments: &'static str, doc: &'static str, run: fn(&mut Context<'_>, &mut Arguments<'_>) -> Outcome) -> Row {
        Row { names, arguments, doc, complete: Complete::Nothing, run }
    }

    const fn complete(self, complete: Complete) -> Row {
        Row { complete, ..self }
    }

    fn usage(&self) -> String {
        let names = self.names.join("|");
        let space = if self.arguments.is_empty() || self.arguments.starts_with("[/") || self.arguments.starts_with('/') { "" } else { " " };
        format!("{names}{space}{} -- {}\n", self.arguments, self.doc)
    }
}

fn find(table: &'static [Row], name: &str) -> Option<&'static Row> {
    table.iter().find(|row| row.names.contains(&name))
}

impl<'a> Arguments<'a> {
    /// The format behind a slash, where there is one: `/8xw`.
    fn format(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start().strip_prefix('/')?;
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (format, rest) = rest.split_at(end);
        self.0 = rest;
        Some(format)
    }

    /// The next word; in quotes it may have spaces.
    fn word(&mut self) -> Option<String> {
        let rest = self.0.trim_start();
        if let Some((word, rest)) = rest.strip_prefix('"').and_then(|r| r.split_once('"')) {
            self.0 = rest;
            return Some(word.into());
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then(|| word.into())
    }

    /// The value of an expression.
    fn value(&mut self, cx: &Context<'_>) -> Result<u64, String> {
        let register = |name: &str| cx.register(name);
        let (value, rest) = expression::read(self.0, &register)?;
        self.0 = rest;
        Ok(value)
    }

    fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl Context<'_> {
    /// A register of the core by the name that debuggers know.
    fn register(&self, name: &str) -> Option<u64> {
        let name = name.to_lowercase();
        let value = self.subject.on_core(self.hmp.core, move |cpu| {
            let description = cpu.description();
            let number = match name.as_str() {
                "pc" => Some(description.pc),
                "sp" => Some(description.sp),
                _ => description.registers().position(|r| r.name.eq_ignore_ascii_case(&name)),
            };
            cpu.read_register(number?)
        });
        value?.map(|v| v as u64)
    }

    fn line(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.out, "{text}");
    }
}

/// A name as it may stand in a message.
fn shown(name: &str) -> String {
    let clean: String = name.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect();
    if name.chars().count() > 60 { format!("{clean}...") } else { clean }
}

impl Hmp {
    /// What a line asks for, in lines of text.
    pub fn answer(&mut self, subject: &Subject, line: &str) -> String {
        let line = line.trim();
        if line.is_empty() {
            return String::new();
        }
        let split = |text: &str| text.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(text.len());
        let (mut name, mut rest) = line.split_at(split(line));
        let mut title = name.to_string();
        let mut row = find(COMMANDS, name);
        if name == "info" && !rest.trim().is_empty() {
            (name, rest) = rest.trim_start().split_at(split(rest.trim_start()));
            title = format!("info {name}");
            row = find(INFO, name);
        }
        let Some(row) = row else { return format!("unknown command: '{}'\n", shown(&title)) };
        let mut arguments = Arguments(rest);
        let mut cx = Context { subject, hmp: self, out: String::new() };
        let result = check(row, &mut arguments, &mut cx);
        if let Err(text) = result {
            cx.line(text);
        }
        cx.out
    }
}

fn check(row: &Row, arguments: &mut Arguments<'_>, cx: &mut Context<'_>) -> Outcome {
    let hint = |text: String| format!("{text}\nTry \"help {}\" for more information", row.names[0]);
    if row.arguments.is_empty() && !arguments.is_empty() {
        return Err(hint(format!("{}: extraneous characters at the end of line", row.names.join("|"))));
    }
    (row.run)(cx, arguments).map_err(|text| text.strip_prefix(USAGE).map_or_else(|| text.clone(), |t| hint(t.into())))?;
    match arguments.is_empty() {
        true => Ok(()),
        false => Err(hint(format!("{}: extraneous characters at the end of line", row.names.join("|")))),
    }
}

/// Before a message that is to point to the help.
const USAGE: &str = "\0";

/// An error in how a command was given.
fn usage(text: impl std::fmt::Display) -> String {
    format!("{USAGE}{text}")
}

/// The words that may stand at the end of the start of a line.
pub fn complete(_: &Subject, head: &str) -> Vec<String> {
    let (before, word) = head.rsplit_once(' ').unwrap_or(("", head));
    let start = before.split_whitespace().collect::<Vec<_>>();
    let names = |table: &'static [Row], word: &str| -> Vec<String> {
        table.iter().flat_map(|r| r.names).filter(|n| n.starts_with(word)).map(|n| n.to_string()).collect()
    };
    let kind = match start.as_slice() {
        [] => Complete::Commands,
        ["info"] | ["help", "info"] => Complete::Info,
        [command] => find(COMMANDS, command).map_or(Complete::Nothing, |r| r.complete),
        _ => Complete::Nothing,
    };
    match kind {
        Complete::Nothing => Vec::new(),
        Complete::Commands => names(COMMANDS, word),
        Complete::Info => names(INFO, word),
        Complete::Log => {
            let last = word.rsplit(',').next().unwrap_or_default();
            commands::LOG_ITEMS.iter().filter(|n| n.starts_with(last)).map(|n| n.to_string()).collect()
        }
    }
}
