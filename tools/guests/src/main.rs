//! `proteus-guests`: fetches the guests that the boot tests and the benchmarks use.
#![forbid(unsafe_code)]

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use proteus_guests::{fetch::Fetcher, table::guests};

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
}

fn main() -> ExitCode {
    match Arguments::parse().action {
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
