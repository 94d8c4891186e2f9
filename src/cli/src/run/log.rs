//! `-d`, `-D` and `-dfilter`: what is logged, as plain lines. The monitor's `log` changes the items
//! of a run that is under way.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

use parking_lot::Mutex;
use proteus_monitor::disassembly;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use crate::config::{Config, Log, LogItem};
use crate::error::{Problem, UsageError};
use crate::options::debug::LOG_ITEMS;

/// The items that something here logs, and the name it logs them by.
const ITEMS: &[(LogItem, &str)] = &[
    (LogItem::OutAsm, "out_asm"),
    (LogItem::InAsm, "in_asm"),
    (LogItem::Op, "op"),
    (LogItem::Int, "int"),
    (LogItem::Exec, "exec"),
    (LogItem::Cpu, "cpu"),
    (LogItem::Mmu, "mmu"),
    (LogItem::Unimp, "unimp"),
    (LogItem::GuestErrors, "guest_errors"),
    // With exec or cpu blocks are executed one by one, so that none is left out: what this asks for.
    (LogItem::NoChain, "nochain"),
];

/// The items that `-dfilter` limits to addresses.
const LIMITED: &[&str] = &["out_asm", "in_asm", "op", "exec", "cpu"];

/// Changes the filter of the process's log.
static RELOAD: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Refuses what nothing here logs.
pub fn check(log: &Log) -> Result<(), Problem> {
    for item in &log.items {
        if !ITEMS.iter().any(|(i, _)| i == item) {
            let name = LOG_ITEMS.iter().find(|(_, i, _)| i == item).map_or("", |(name, ..)| name);
            let known: Vec<_> = ITEMS.iter().map(|(_, name)| *name).collect();
            return Err(Problem(format!("log item '{name}' is understood by QEMU, not yet implemented in Proteus; there are {}", known.join(", "))));
        }
    }
    Ok(())
}

/// What is not of -d is Proteus's own and goes to standard error as a warning or an error.
fn filter(items: &[LogItem]) -> Targets {
    let level = |item| if items.contains(item) { LevelFilter::TRACE } else { LevelFilter::OFF };
    Targets::new().with_default(LevelFilter::WARN).with_targets(ITEMS.iter().map(|(item, name)| (*name, level(item))))
}

/// Starts logging; once in a process.
pub fn start(config: &Config) -> Result<(), UsageError> {
    check(&config.log).map_err(|p| p.at(&config.program, "-d"))?;
    let file = match &config.log.file {
        None => None,
        Some(path) => {
            let fail = |e| Problem(format!("cannot create '{}': {e}", path.display())).at(&config.program, "-D");
            Some(Mutex::new(File::create(path).map_err(fail)?))
        }
    };
    let (filter, handle) = reload::Layer::new(filter(&config.log.items));
    let lines = Lines { program: config.program.clone(), file, ranges: config.log.ranges.clone() };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    // A second run in one process (tests) keeps the first one's.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = RELOAD.set(handle);
    }
    Ok(())
}

/// Logs these items (a list with commas, or `none`) from now on.
pub fn set(text: &str) -> Result<(), String> {
    let mut log = Log::default();
    for name in text.split(',').filter(|name| *name != "none") {
        let item = LOG_ITEMS.iter().find(|(n, ..)| *n == name);
        log.items.push(item.ok_or_else(|| format!("unknown log item '{}'", crate::error::shorten(&crate::error::clean(name))))?.1);
    }
    check(&log).map_err(|p| p.0)?;
    let reload = RELOAD.get().ok_or("this run's log cannot be changed")?;
    reload.reload(filter(&log.items)).map_err(|e| e.to_string())
}

struct Lines {
    program: String,
    file: Option<Mutex<File>>,
    ranges: Vec<RangeInclusive<u64>>,
}

/// The message, then the other fields; of a block its address and bytes, and of compiled code where it is.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
    pc: u64,
    address: u64,
    architecture: String,
    big: bool,
    bytes: Vec<u8>,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "pc" => self.pc = value,
            "address" => self.address = value,
            _ => self.record_debug(field, &value),
        }
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "big" => self.big = value,
            _ => self.record_debug(field, &value),
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "architecture" => self.architecture = value.into(),
            _ => self.record_debug(field, &value),
        }
    }
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        match field.name() {
            "bytes" => self.bytes = value.into(),
            _ => self.record_debug(field, &value),
        }
    }
}

/// The instructions of an event, at `address`.
fn instructions(text: &Text, address: u64) -> String {
    let found = disassembly::instructions(&text.architecture, text.big, &text.bytes, address, text.bytes.len());
    found.map_or_else(|| format!("0x{address:08x}:  {:02x?}\n", text.bytes), |i| disassembly::lines(&i))
}

/// A decoded block: `-d in_asm`.
fn block(text: &Text) -> String {
    format!("----------------\nIN: \n{}\n", instructions(text, text.pc))
}

/// Compiled code: `-d out_asm`.
fn compiled(text: &Text) -> String {
    format!("OUT: [size={}] of the region at 0x{:08x}\n{}\n", text.bytes.len(), text.pc, instructions(text, text.address))
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let target = event.metadata().target();
        if LIMITED.contains(&target) && !self.ranges.is_empty() && !self.ranges.iter().any(|r| r.contains(&text.pc)) {
            return;
        }
        let line = match target {
            "in_asm" => block(&text),
            "out_asm" => compiled(&text),
            _ => format!("{}{}\n", text.message, text.fields),
        };
        let of_guest = ITEMS.iter().any(|(_, name)| *name == target);
        // There is nobody to tell that a log cannot be written.
        let _ = match (&self.file, of_guest) {
            (Some(file), true) => file.lock().write_all(line.as_bytes()),
            (None, true) => std::io::stderr().write_all(line.as_bytes()),
            (_, false) => {
                let kind = if *event.metadata().level() == Level::ERROR { "error" } else { "warning" };
                std::io::stderr().write_all(format!("{}: {kind}: {line}", self.program).as_bytes())
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_nothing_logs_are_refused_by_name() {
        let log = |items: &[LogItem]| Log { items: items.to_vec(), ..Log::default() };
        assert_eq!(check(&log(&[LogItem::Unimp, LogItem::Int, LogItem::InAsm])), Ok(()));
        assert!(check(&log(&[LogItem::OpOpt])).unwrap_err().0.contains("'op_opt'"));
        assert_eq!(set("foo"), Err("unknown log item 'foo'".into()));
        assert!(set("int,plugin").unwrap_err().contains("'plugin'"));
    }

    #[test]
    fn only_the_items_of_the_list_are_let_through() {
        let f = filter(&[LogItem::Int]);
        assert!(f.would_enable("int", &Level::TRACE) && f.would_enable("proteus_exec", &Level::WARN));
        assert!(!f.would_enable("exec", &Level::TRACE) && !f.would_enable("proteus_exec", &Level::INFO));
    }

    #[test]
    fn a_block_is_logged_in_words() {
        let text = Text { pc: 0x4000_0000, architecture: "aarch64".into(), bytes: vec![0x1f, 0x20, 0x03, 0xd5], ..Text::default() };
        assert_eq!(block(&text), "----------------\nIN: \n0x40000000:  d503201f  nop\n\n");
        let text = Text { pc: 0x4000_0000, address: 0x7000, architecture: "i386:x86-64".into(), bytes: vec![0x31, 0xc0, 0xc3], ..Text::default() };
        let code = compiled(&text);
        assert!(code.starts_with("OUT: [size=3] of the region at 0x40000000\n0x00007000:  ") && code.contains("xor") && code.contains("ret"), "{code}");
    }
}
