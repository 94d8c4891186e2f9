//! `proteus-guests`: fetches the guests that the boot tests and the benchmarks use.
#![forbid(unsafe_code)]

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use proteus_guests::{
    Result,
    fetch::Fetcher,
    kvm_host::{Emulator, Host},
    table::guests,
};

/// Fetches kernels and programs from Debian and builds guests of them.
///
/// They are kept in .guests of the workspace, or where PROTEUS_GUESTS says.
#[derive(Parser)]
#[command(name = "proteus-guests")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Fetch and build guests: those named, or all but those that take long (with PROTEUS_LONG=1, all).
    Fetch {
        /// Look for newer packages even if all are there.
        #[arg(long)]
        refresh: bool,
        /// Names as `proteus-guests list` prints them.
        names: Vec<String>,
    },
    /// Print every guest and its files.
    List,
    /// Run a command on a Linux host with a full KVM, which is emulated. Its status is the command's.
    ///
    /// Files that the command's words name are there at the same paths, programs with their libraries.
    /// It is slow: Debian's kernel needs half a minute to its shell there, and with Bochs, minutes.
    KvmHost(KvmHost),
}

#[derive(Args)]
struct KvmHost {
    /// A further file or directory to bring.
    #[arg(long, value_name = "PATH")]
    with: Vec<PathBuf>,
    /// Who emulates it.
    #[arg(long, value_enum, default_value_t)]
    by: Emulator,
    /// The processor, as the emulator names it.
    #[arg(long)]
    cpu: Option<String>,
    /// Its number of cores. With more than one, QEMU's virtualisation now and then stops for good.
    #[arg(long, default_value_t = 1)]
    cores: u32,
    /// Its memory in MiB.
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// Further words of the host's kernel command line.
    #[arg(long, default_value = "")]
    append: String,
    /// Seconds after which it is given up.
    #[arg(long, default_value_t = 1800)]
    limit: u64,
    /// A file for the messages of the host's kernel.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The command.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

impl KvmHost {
    /// Fetches what the host is made of, if it is not there, and runs the command.
    fn run(self) -> Result<i32> {
        Fetcher::new(false, &|_| ()).fetch(&["amd64-kvm-host".into()])?;
        let Self { with, by, cpu, cores, memory, append, limit, log, command } = self;
        Host { by, cpu, cores, memory, append, with, limit: Duration::from_secs(limit), log }.run(&command)
    }
}

fn main() -> ExitCode {
    match Arguments::parse().action {
        Action::KvmHost(host) => match host.run() {
            Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
            Err(error) => {
                eprintln!("proteus-guests: {error}");
                ExitCode::FAILURE
            }
        },
        Action::List => {
            for guest in guests() {
                println!("{:16} {}\n{:16} {}", guest.name, guest.summary, "", guest.outputs.join(" "));
            }
            ExitCode::SUCCESS
        }
        Action::Fetch { refresh, names } => {
            let bar = spinner();
            let say = |step: &str| match &bar {
                Some(bar) => bar.set_message(step.to_owned()),
                None => eprintln!("{step}"),
            };
            let result = Fetcher::new(refresh, &say).fetch(&names);
            if let Some(bar) = &bar {
                bar.finish_and_clear();
            }
            match result {
                Ok(files) => {
                    for file in files {
                        println!("{}", file.display());
                    }
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("proteus-guests: {error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// A spinner where someone looks; plain lines in a log.
fn spinner() -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    Some(bar)
}
