//! `proteus-bench`: measures Proteus beside QEMU, in turns, on the same guest and command line.
#![forbid(unsafe_code)]

mod cases;
mod chart;
mod debugger;
mod machine;
mod report;
mod x86;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use cases::CASES;
use machine::{Emulator, GuestImage};
use report::Report;

/// Measures Proteus beside QEMU: both boot the same kernel and initramfs with the same command
/// line, turn by turn, and run the same programs.
///
/// Guests come from `tools/fetch-guests`.
#[derive(Parser)]
#[command(name = "proteus-bench")]
struct Arguments {
    /// Cases to run; none means all but those with a debugger, `gdb` all of these. `--list` prints them.
    cases: Vec<String>,
    /// The guest: arm64, mipsel or mips64el; or x86, which is our own under KVM, with figures of
    /// its own: start, speed of ring 3, memory.
    #[arg(long, default_value = "arm64")]
    guest: String,
    /// How often each emulator runs each case.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The program to measure against; without it the installed qemu-system-TARGET of the guest.
    #[arg(long)]
    qemu: Option<PathBuf>,
    /// The program to measure; without it target/release/proteus-system-TARGET of the guest.
    #[arg(long)]
    proteus: Option<PathBuf>,
    /// Words added to both command lines, such as "-smp 2"; split at spaces.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    add: String,
    /// Words added to Proteus's command line only.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    add_proteus: String,
    /// Words added to QEMU's command line only.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    add_qemu: String,
    /// Words added to the kernel's command line.
    #[arg(long, default_value = "")]
    append: String,
    /// Seconds that a boot or a program may take.
    #[arg(long, default_value_t = 300)]
    limit: u64,
    /// Write all numbers here.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write a bar chart of the ratios here.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print the cases and what they measure.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for case in CASES.iter().chain(debugger::CASES) {
            println!("{:14} {}", case.name, case.summary);
        }
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("proteus-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and reports; `false` if the two did not compute the same.
fn run(arguments: &Arguments) -> Result<bool, machine::Error> {
    if arguments.guest == "x86" {
        return x86::run(arguments.proteus.as_deref(), arguments.runs, std::time::Duration::from_secs(arguments.limit));
    }
    let cases = cases::chosen(&arguments.cases)?;
    let image = GuestImage::find(&arguments.guest)?;
    let words = |extra: &str| -> Vec<String> { arguments.add.split_whitespace().chain(extra.split_whitespace()).map(str::to_owned).collect() };
    let program = |given: &Option<PathBuf>, before: &str| given.clone().unwrap_or_else(|| image.program(before));
    let emulators = [
        Emulator { label: "proteus", program: program(&arguments.proteus, "target/release/proteus-system-"), words: words(&arguments.add_proteus) },
        Emulator { label: "qemu", program: program(&arguments.qemu, "qemu-system-"), words: words(&arguments.add_qemu) },
    ];
    let versions = [emulators[0].version()?, emulators[1].version()?];
    let limit = std::time::Duration::from_secs(arguments.limit);
    let mut report = Report::new(&arguments.guest, versions, image.command_line(&emulators[1], &arguments.append));
    image.warm()?;
    let bar = progress(u64::from(arguments.runs) * 2);
    for run in 0..arguments.runs {
        for (side, emulator) in emulators.iter().enumerate() {
            bar.set_message(format!("{} run {}", emulator.label, run + 1));
            let measured = machine::measure(emulator, &image, &arguments.append, &cases, limit)?;
            report.add(side, measured);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    print!("{}", report.table());
    if let Some(path) = &arguments.json {
        machine::write(path, &report.to_json()?)?;
    }
    if let Some(path) = &arguments.svg {
        machine::write(path, &chart::svg(&report))?;
    }
    let differences = report.differences();
    for difference in &differences {
        eprintln!("proteus-bench: {difference}");
    }
    Ok(differences.is_empty())
}

fn progress(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
}
