//! `proteus-system-aarch64`: the command line of `qemu-system-aarch64`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    proteus_cli::main(std::env::args_os(), Some(proteus_cli::target::TargetName::Aarch64))
}
