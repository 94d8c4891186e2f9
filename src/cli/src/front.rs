//! The `proteus` program: subcommands in front of QEMU's command line.
//!
//! clap serves this part only; what follows `run`, and everything when no subcommand is given, is
//! QEMU's grammar and goes to [`crate::options::parse`].

use std::ffi::OsString;

use clap::Parser;

use crate::error::{Problem, UsageError};

/// A full-system machine emulator with the command line of qemu-system-*
#[derive(Debug, Parser)]
#[command(name = "proteus", disable_version_flag = true, disable_help_subcommand = true)]
struct Front {
    #[command(subcommand)]
    command: Command,
}

/// What `proteus` is to do.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// Run a machine: the options of qemu-system-*, see 'proteus run --help'
    #[command(disable_help_flag = true)]
    Run {
        /// Options of qemu-system-*.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Say whether KVM can be used here, and why not
    KvmOk,
    /// Print the version
    Version,
}

/// What the arguments after the program's name ask for. `Err` holds text to print and the exit
/// status: 0 for `--help`, 1 for a mistake. No arguments ask for the board `virt` and its firmware.
pub fn parse(program: &str, args: Vec<OsString>) -> Result<Command, (String, u8)> {
    let subcommands = ["run", "kvm-ok", "version"];
    let word = args.first().and_then(|a| a.to_str()).unwrap_or_default();
    match word {
        "--version" | "-version" => return Ok(Command::Version),
        // To look around: a machine that needs nothing, with the firmware that is built in.
        _ if args.is_empty() => return Ok(Command::Run { args: vec!["-machine".into(), "virt".into()] }),
        // The subcommand may be left out, as people who come from qemu-system-* will do.
        _ if subcommands.contains(&word) => {}
        "--help" | "-help" | "-h" => {}
        _ if word.starts_with('-') => return Ok(Command::Run { args }),
        _ => {
            let error: UsageError = Problem::new("unknown subcommand; it is run, kvm-ok or version, or an option").at(program, word);
            return Err((format!("{error}\n"), 1));
        }
    }
    let line = std::iter::once(OsString::from(program)).chain(args);
    match Front::try_parse_from(line) {
        Ok(front) => Ok(front.command),
        Err(e) => Err((e.render().to_string(), u8::from(e.use_stderr()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands() {
        let line = |text: &str| parse("proteus", text.split_whitespace().map(OsString::from).collect());
        let run = |text: &str| Command::Run { args: text.split_whitespace().map(Into::into).collect() };
        assert_eq!(line("run -M virt --help -cpu max"), Ok(run("-M virt --help -cpu max")));
        assert_eq!(line("run"), Ok(run("")));
        assert_eq!(line(""), Ok(run("-machine virt")));
        assert_eq!(line("run -- -S x"), Ok(run("-S x")));
        assert_eq!(line("-M virt"), Ok(run("-M virt")));
        assert_eq!(line("kvm-ok"), Ok(Command::KvmOk));
        assert_eq!(line("--version"), Ok(Command::Version));
        assert_eq!(line("--help").unwrap_err().1, 0);
        assert_eq!(line("kvm-ok x").unwrap_err().1, 1);
        let (text, status) = line("disk.img").unwrap_err();
        assert_eq!((text.lines().count(), status), (1, 1));
    }
}
