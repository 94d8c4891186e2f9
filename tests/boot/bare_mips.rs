//! Bare-metal programs of both widths and byte orders of MIPS, whose consoles are known: recorded from
//! QEMU, and compared with it live under `PROTEUS_LONG=1` where it is installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rig::*;

/// Programs of `tests/guest/mips`; the last is where QEMU 7.2 is not what the manuals say.
const PROGRAMS: [&str; 7] = ["integer", "fpu", "exceptions", "memory", "tlb", "timer", NOT_QEMU];
const NOT_QEMU: &str = "manual";

struct Target {
    name: &'static str,
    cpu: &'static str,
    program: &'static str,
    qemu: &'static str,
}

const fn target(name: &'static str, cpu: &'static str, program: &'static str, qemu: &'static str) -> Target {
    Target { name, cpu, program, qemu }
}

const MIPS: Target = target("mips", "24Kf", env!("CARGO_BIN_EXE_proteus-system-mips"), "qemu-system-mips");
const MIPSEL: Target = target("mipsel", "24Kf", env!("CARGO_BIN_EXE_proteus-system-mipsel"), "qemu-system-mipsel");
const MIPS64: Target = target("mips64", "MIPS64R2-generic", env!("CARGO_BIN_EXE_proteus-system-mips64"), "qemu-system-mips64");
const MIPS64EL: Target = target("mips64el", "MIPS64R2-generic", env!("CARGO_BIN_EXE_proteus-system-mips64el"), "qemu-system-mips64el");

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest/mips")
}

/// What each program printed when it was recorded.
fn recorded(target: &Target) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(sources().join(format!("recorded/{}.txt", target.name))).expect("a record");
    let (mut parts, mut part) = (BTreeMap::new(), String::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        part += line;
        part.push('\n');
        if let Some(name) = line.strip_suffix(": done") {
            parts.insert(name.to_owned(), std::mem::take(&mut part));
        }
    }
    assert!(part.is_empty() && parts.len() == PROGRAMS.len(), "{}: the record is cut off", target.name);
    parts
}

/// Builds the programs, or says why the test is left out.
fn build(target: &Target, dir: &Path) -> Option<()> {
    let built = tool(&format!("bare-metal {}", target.name), "sh", &[sources().join("build.sh").to_str()?, target.name, dir.to_str()?])?;
    let said = String::from_utf8_lossy(&built.stderr);
    if said.contains("not found") {
        eprintln!("SKIPPED bare-metal {}: {said}", target.name);
        return None;
    }
    assert!(built.status.success(), "{said}");
    Some(())
}

/// Runs a program to its end; what it printed.
fn run(emulator: &mut Command, target: &Target, program: &Path) -> String {
    emulator.args("-M malta -m 64 -nic none -monitor none -display none -serial stdio -no-reboot -cpu".split(' ')).arg(target.cpu);
    let mut console = start(emulator.arg("-kernel").arg(program).stdin(Stdio::piped()));
    ends(&mut console, 0);
    console.transcript().replace('\r', "")
}

#[track_caller]
fn same(what: &str, found: &str, want: &str) {
    let differs = found.lines().zip(want.lines()).find(|(a, b)| a != b);
    assert!(found == want, "{what}: the first line that differs (found, wanted): {differs:?}; {} lines of {}", found.lines().count(), want.lines().count());
}

fn compare(target: &Target) {
    let dir = tempfile::tempdir().expect("a directory");
    if build(target, dir.path()).is_none() {
        return;
    }
    let recorded = recorded(target);
    let live = long() && Command::new(target.qemu).arg("--version").output().is_ok();
    for name in PROGRAMS {
        let program = dir.path().join(format!("{name}.elf"));
        for accel in ["tcg,compile-after=1", "interpreter"] {
            let text = run(Command::new(target.program).args(["-accel", accel]), target, &program);
            same(&format!("{} {name} {accel}", target.name), &text, &recorded[name]);
        }
        if live && name != NOT_QEMU {
            let text = run(Command::new(target.qemu).args(["-vga", "none"]), target, &program);
            same(&format!("{} {name}", target.qemu), &text, &recorded[name]);
        }
    }
}

#[test]
fn bare_metal_programs_of_mips() {
    compare(&MIPS);
}

#[test]
fn bare_metal_programs_of_mipsel() {
    compare(&MIPSEL);
}

#[test]
fn bare_metal_programs_of_mips64() {
    compare(&MIPS64);
}

#[test]
fn bare_metal_programs_of_mips64el() {
    compare(&MIPS64EL);
}
