//! The options of `qemu-system-*`: one option is one type, with its names, the grammar of its
//! value, its documentation and its effect in one place.
//!
//! The table and the parser are our own. QEMU's grammar is not one that clap can be told: single
//! and double dash alike, values that begin with a dash, repetition that accumulates for some
//! options and replaces for others, one positional argument. (clap serves the subcommands of
//! `proteus`, see [`crate::front`].)
//!
//! An option that QEMU understands and Proteus does not has a row too ([`not_yet`]), so that it is
//! refused by name. Nothing is accepted and ignored.

pub mod chardev;
pub mod debug;
mod finish;
pub mod machine;
pub mod misc;
pub mod net;
pub mod not_yet;
pub mod storage;
#[cfg(test)]
mod tests;
pub mod time;
mod topology;

use std::ffi::OsString;

use crate::config::Config;
use crate::error::{Problem, UsageError, shorten};
use crate::keyval::KeyValues;

/// One option of the command line.
pub trait CommandOption {
    /// Its names without dash; the first is the one in messages and help.
    const NAMES: &'static [&'static str];
    /// The grammar of its value, when it takes one.
    const VALUE: Option<&'static str>;
    /// What it does, for `--help`.
    const DOC: &'static [&'static str];
    /// Does it.
    fn apply(draft: &mut Draft, value: &str) -> Result<(), Problem>;
}

/// A row of the option table.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its names without dash.
    pub names: &'static [&'static str],
    /// The grammar of its value, when it takes one.
    pub value: Option<&'static str>,
    /// What it does.
    pub doc: &'static [&'static str],
    apply: fn(&mut Draft, &str) -> Result<(), Problem>,
}

const fn row<O: CommandOption>() -> Row {
    Row { names: O::NAMES, value: O::VALUE, doc: O::DOC, apply: O::apply }
}

/// An option's type: `/// doc`, `Type: "name" | "alias" => "VALUE", |draft, value| effect`.
macro_rules! option {
    ($(#[doc = $doc:literal])+ $type:ident: $($name:literal)|+ => $value:literal,
     |$draft:ident, $text:ident| $body:block) => {
        option!(@ [$($doc)+] $type [$($name)+] (Some($value)) $draft $text $body);
    };
    ($(#[doc = $doc:literal])+ $type:ident: $($name:literal)|+, |$draft:ident| $body:block) => {
        option!(@ [$($doc)+] $type [$($name)+] (None) $draft _text $body);
    };
    (@ [$($doc:literal)+] $type:ident [$($name:literal)+] ($value:expr) $draft:ident $text:ident $body:block) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct $type;
        impl $crate::options::CommandOption for $type {
            const NAMES: &'static [&'static str] = &[$($name),+];
            const VALUE: Option<&'static str> = $value;
            const DOC: &'static [&'static str] = &[$($doc),+];
            fn apply(
                $draft: &mut $crate::options::Draft,
                $text: &str,
            ) -> Result<(), $crate::error::Problem> {
                $body
                Ok(())
            }
        }
    };
}
use option;

/// What has been read so far: the configuration, and what only the whole line can settle.
#[derive(Debug, Default)]
pub struct Draft {
    config: Config,
    smp: KeyValues,
    smp_text: String,
    memory: KeyValues,
    boot: KeyValues,
    machine_accel: Option<String>,
    icount: KeyValues,
    semihosting: KeyValues,
    semihosting_given: bool,
    positional: Option<String>,
    no_default_monitor: bool,
    help: Option<HelpRequest>,
}

impl Draft {
    /// Help is printed when the line is otherwise in order; the first request holds.
    fn wants(&mut self, help: HelpRequest) {
        self.help.get_or_insert(help);
    }
}

/// A request for information instead of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelpRequest {
    /// `--help`: print [`crate::help::usage`].
    Usage,
    /// `--version`: print [`crate::help::version`].
    Version,
    /// `-machine help`.
    Machines,
    /// `-machine NAME,help`.
    MachineProperties(String),
    /// `-cpu help`.
    Cpus,
    /// `-accel help`.
    Accelerators,
    /// `-device help`.
    Devices,
    /// `-device DRIVER,help`.
    DeviceProperties(String),
    /// `-object help`.
    Objects,
    /// `-object TYPE,help`.
    ObjectProperties(String),
    /// `-chardev help`.
    Chardevs,
    /// `-netdev help`, `-nic help`.
    Netdevs,
    /// `-nic model=help`.
    NicModels,
    /// `-drive format=help`.
    BlockFormats,
    /// `-display help`.
    Displays,
    /// `-d help`: print [`debug::LOG_ITEMS`].
    LogItems,
    /// `-L help`.
    DataDirs,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Build and run a machine.
    Run(Box<Config>),
    /// Print something and exit with 0.
    Help {
        /// What.
        help: HelpRequest,
        /// The `-machine` of the line, on which some lists depend.
        machine: Option<String>,
    },
}

/// The groups of the table, with the headings they have in `--help`.
pub const GROUPS: &[(&str, &[Row])] = &[
    ("Machine", machine::ROWS),
    ("Block devices", storage::ROWS),
    ("Network", net::ROWS),
    ("Character devices, consoles and monitors", chardev::ROWS),
    ("Debugging", debug::ROWS),
    ("Time", time::ROWS),
    ("Process and life cycle", misc::ROWS),
];

fn find(name: &str) -> Option<&'static Row> {
    let mut rows = GROUPS.iter().flat_map(|(_, rows)| rows.iter());
    rows.find(|row| row.names.contains(&name))
}

/// Reads a command line: the arguments after the program's name, which is for messages.
pub fn parse(program: &str, args: impl IntoIterator<Item = OsString>) -> Result<Request, UsageError> {
    let mut draft = Draft::default();
    draft.config.program = program.into();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let arg = text(program, arg)?;
        let Some(name) = arg.strip_prefix('-') else {
            positional(&mut draft, &arg).map_err(|p| p.at(program, &shorten(&arg)))?;
            continue;
        };
        let name = name.strip_prefix('-').unwrap_or(name);
        let option = format!("-{}", shorten(name));
        let Some(row) = find(name) else {
            return Err(unknown(program, name, &option));
        };
        let value = match (row.value, args.next_if_needed(row.value.is_some())) {
            (None, _) => String::new(),
            (Some(_), Some(value)) => text(program, value)?,
            (Some(grammar), None) => {
                return Err(Problem(format!("needs a value: {grammar}")).at(program, &option));
            }
        };
        let at = if row.value.is_some() { format!("{option} {}", shorten(&value)) } else { option };
        (row.apply)(&mut draft, &value).map_err(|p| p.at(program, &at))?;
        // These two need nothing from the rest of the line, so nothing in it can be wrong.
        if matches!(draft.help, Some(HelpRequest::Usage | HelpRequest::Version)) {
            break;
        }
    }
    match draft.help.take() {
        Some(help) => Ok(Request::Help { help, machine: draft.config.machine }),
        None => finish::finish(draft).map(|config| Request::Run(Box::new(config))),
    }
}

/// An option's value is the next argument whatever it looks like, and is only taken when needed.
trait NextIfNeeded: Iterator {
    fn next_if_needed(&mut self, needed: bool) -> Option<Self::Item> {
        if needed { self.next() } else { None }
    }
}

impl<I: Iterator> NextIfNeeded for I {}

fn text(program: &str, arg: OsString) -> Result<String, UsageError> {
    arg.into_string().map_err(|arg| Problem::new("the argument is not valid UTF-8").at(program, &arg.to_string_lossy()))
}

fn positional(draft: &mut Draft, image: &str) -> Result<(), Problem> {
    machine::file(image)?;
    if let Some(first) = draft.positional.replace(image.into()) {
        let first = shorten(&first);
        return Err(format!(
            "one disk image can be given without an option, and '{first}' is it; \
                            give others with -drive"
        )
        .into());
    }
    storage::add_image(draft, "disk image", &[("index", "0"), ("media", "disk")], image);
    Ok(())
}

fn unknown(program: &str, name: &str, option: &str) -> UsageError {
    if not_yet::NAMES.contains(&name) {
        let message = "understood by QEMU, not yet implemented in Proteus";
        return Problem::new(message).at(program, option);
    }
    let program_name = crate::error::clean(program);
    UsageError { program: program_name, message: crate::error::clean(&format!("unknown option {option}; see --help")) }
}

/// The value of a key that must be there.
fn required(properties: &mut KeyValues, key: &str, example: &str) -> Result<String, Problem> {
    match properties.take(key) {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(format!("needs {key}=..., as in '{example}'").into()),
    }
}

/// Takes an optional id out and checks it.
fn take_id(properties: &mut KeyValues) -> Result<Option<String>, Problem> {
    let id = properties.take("id");
    id.as_deref().map(crate::keyval::identifier).transpose()?;
    Ok(id)
}
