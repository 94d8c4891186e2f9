//! What the README promises of the programs, tried: with the built-in firmware, so that nothing
//! need be fetched.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a program, types `input`, and gives the exit status and all that it printed.
fn run(program: &str, args: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (out.status.code(), text)
}

const PROTEUS: &str = env!("CARGO_BIN_EXE_proteus");
const AARCH64: &str = env!("CARGO_BIN_EXE_proteus-system-aarch64");
const ARM: &str = env!("CARGO_BIN_EXE_proteus-system-arm");

#[test]
fn without_arguments_the_firmware_starts_and_powers_off() {
    let (status, text) = run(PROTEUS, &[], "poweroff\r");
    assert!(status == Some(0) && text.contains("self-test: passed") && text.contains("proteus>"), "{status:?}: {text}");
}

#[test]
fn every_program_runs_the_board() {
    for (program, args) in [(PROTEUS, &["run", "-M", "virt"][..]), (AARCH64, &["-M", "virt"]), (ARM, &["-M", "virt"])] {
        let (status, text) = run(program, args, "poweroff\r");
        assert!(status == Some(0) && text.contains("self-test: passed"), "{program}: {status:?}: {text}");
    }
}

#[test]
fn ctrl_a_x_leaves() {
    let (status, text) = run(AARCH64, &["-M", "virt", "-nographic"], "\u{1}x");
    assert_eq!(status, Some(0), "{text}");
}

#[test]
fn runs_with_icount_print_the_same() {
    let once = || run(AARCH64, &["-M", "virt", "-icount", "shift=0,sleep=off", "-seed", "1", "-smp", "2"], "poweroff\r");
    let ended = |text: &str| text.split("proteus>").next().unwrap_or_default().to_string();
    let (first, second) = (once(), once());
    assert!(first.1.contains("self-test: passed"), "{}", first.1);
    assert_eq!(ended(&first.1), ended(&second.1));
}

#[test]
fn disks_of_the_command_line_reach_the_guest() {
    let image = tempfile();
    let drive = format!("if=virtio,format=raw,file={image}");
    for (global, transport) in [("true", " (legacy)"), ("false", "")] {
        let global = format!("virtio-mmio.force-legacy={global}");
        let (status, text) = run(AARCH64, &["-M", "virt", "-drive", &drive, "-global", &global, "-nic", "user"], "poweroff\r");
        let line = format!("disk: virtio-blk at 0xa003c00, 64 KiB{transport}");
        assert!(status == Some(0) && text.lines().any(|l| l.trim_end() == line), "{line}\n{status:?}: {text}");
    }
    std::fs::remove_file(image).unwrap();
}

/// An empty image of 64 KiB.
fn tempfile() -> String {
    let path = std::env::temp_dir().join(format!("proteus-readme-{}.img", std::process::id()));
    std::fs::write(&path, [0; 65536]).unwrap();
    path.to_str().unwrap().to_string()
}
