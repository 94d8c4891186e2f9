//! `proteus-system-mips64`: the command line of `qemu-system-mips64`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    proteus_cli::main(std::env::args_os(), Some(proteus_cli::target::TargetName::Mips64))
}
