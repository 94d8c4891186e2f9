//! `proteus-system-x86_64`: the command line of `qemu-system-x86_64`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    proteus_cli::main(std::env::args_os(), Some(proteus_cli::target::TargetName::X86_64))
}
