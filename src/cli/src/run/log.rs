//! `-d` and `-D`: what is logged, as plain lines.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::config::{Config, Log, LogItem};
use crate::error::{Problem, UsageError};
use crate::options::debug::LOG_ITEMS;

/// The items that something here logs, and the name it logs them by.
const ITEMS: &[(LogItem, &str)] = &[(LogItem::Int, "int"), (LogItem::Unimp, "unimp"), (LogItem::GuestErrors, "guest_errors")];

/// Refuses what nothing here logs.
pub fn check(log: &Log) -> Result<(), Problem> {
    if !log.ranges.is_empty() {
        return Err("-dfilter is for translation logs, which are not implemented yet".into());
    }
    for item in &log.items {
        if !ITEMS.iter().any(|(i, _)| i == item) {
            let name = LOG_ITEMS.iter().find(|(_, i, _)| i == item).map_or("", |(name, ..)| name);
            let known: Vec<_> = ITEMS.iter().map(|(_, name)| *name).collect();
            return Err(Problem(format!("log item '{name}' is understood by QEMU, not yet implemented in Proteus; there are {}", known.join(", "))));
        }
    }
    Ok(())
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
    // What is not of -d is Proteus's own and goes to standard error as a warning or an error.
    let mut filter = Targets::new().with_default(LevelFilter::WARN);
    for (item, name) in ITEMS {
        let level = if config.log.items.contains(item) { LevelFilter::TRACE } else { LevelFilter::OFF };
        filter = filter.with_target(*name, level);
    }
    let lines = Lines { program: config.program.clone(), file };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    // A second run in one process (tests) keeps the first one's.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

struct Lines {
    program: String,
    file: Option<Mutex<File>>,
}

/// The message, then the other fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = format!("{}{}\n", text.message, text.fields);
        let of_guest = ITEMS.iter().any(|(_, name)| *name == event.metadata().target());
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
        assert_eq!(check(&log(&[LogItem::Unimp, LogItem::Int])), Ok(()));
        assert!(check(&log(&[LogItem::InAsm])).unwrap_err().0.contains("'in_asm'"));
        assert!(check(&Log { ranges: vec![0..=1], ..Log::default() }).is_err());
    }
}
