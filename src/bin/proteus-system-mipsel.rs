//! `proteus-system-mipsel`: the command line of `qemu-system-mipsel`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    proteus_cli::main(std::env::args_os(), Some(proteus_cli::target::TargetName::Mipsel))
}
