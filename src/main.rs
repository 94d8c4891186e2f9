//! `proteus`: finds the target from the machine, or from the name it was called by.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    proteus_cli::main(std::env::args_os(), None)
}
