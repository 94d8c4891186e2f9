//! The command line of `qemu-system-*`, and what it builds.
//!
//! [`options::parse`] reads a command line into a [`config::Config`]: plain, validated data,
//! nothing opened, nothing built. [`run::run`] opens, builds and runs it. [`main`] is all of a
//! binary.
#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod front;
pub mod help;
pub mod keyval;
pub mod options;
pub mod run;
pub mod target;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use options::Request;
use target::{TargetName, program_name, target_from_argv0};

/// A binary: the arguments with the program's name in front. `built_for` is the target where the
/// name tells none.
pub fn main(args: impl IntoIterator<Item = OsString>, built_for: Option<TargetName>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let status = std::panic::catch_unwind(AssertUnwindSafe(|| status(args, built_for)));
    // The panic's message has been printed.
    ExitCode::from(status.unwrap_or(run::endings::INTERNAL_ERROR))
}

fn status(args: Vec<OsString>, built_for: Option<TargetName>) -> u8 {
    let mut args = args.into_iter();
    let argv0 = args.next().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
    let program = program_name(&argv0);
    let target = target_from_argv0(&argv0).or(built_for);
    if target.is_some() {
        return system(program, args, target);
    }
    match front::parse(program, args.collect()) {
        Ok(front::Command::Run { args }) => system(program, args, None),
        Ok(front::Command::Version) => {
            print(&help::version());
            0
        }
        Ok(front::Command::KvmOk) => {
            let (text, usable) = kvm_ok();
            print(&text);
            u8::from(!usable)
        }
        Err((text, 0)) => {
            print(&text);
            0
        }
        Err((text, status)) => {
            error::say(text.trim_end());
            status
        }
    }
}

/// Whether KVM can be used here, in words, and what it lacks.
fn kvm_ok() -> (String, bool) {
    let no = |e: proteus_kvm::Error| (format!("KVM cannot be used: {e}\n"), false);
    let capabilities = match proteus_kvm::Host::open().and_then(|host| host.capabilities()) {
        Ok(capabilities) => capabilities,
        Err(e) => return no(e),
    };
    let mut text = String::from("KVM can be used\n");
    for c in &capabilities {
        match c.there {
            true => text.push_str(&format!("  has   {}\n", c.name)),
            false => text.push_str(&format!("  lacks {}: {}\n", c.name, c.without)),
        }
    }
    (text, true)
}

/// `qemu-system-*`.
fn system(program: &str, args: impl IntoIterator<Item = OsString>, target: Option<TargetName>) -> u8 {
    let result = match options::parse(program, args) {
        Err(e) => Err(e),
        Ok(Request::Help { help, machine }) => match run::helps::text(program, &help, machine.as_deref(), target) {
            Ok(text) => {
                print(&text);
                Ok(0)
            }
            Err(message) => Err(error::UsageError { program: program.into(), message }),
        },
        Ok(Request::Run(config)) => run::run(&config, target),
    };
    result.unwrap_or_else(|e| {
        crate::error::say(format_args!("{e}"));
        1
    })
}

/// Prints to standard output; a reader that has gone (`| head`) is no error.
pub(crate) fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
