//! The tests of this program on a host with a full KVM, which QEMU emulates (`tools/kvm-host`): for
//! long runs, for all is slow there.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use proteus_guests::guest_file;
use proteus_guests::kvm_host::Host;

use crate::rig::*;

const HOST_LIMIT: Duration = Duration::from_secs(3600);
const GUESTS: &[&str] = &["amd64/bzImage", "amd64/initrd.gz", "amd64/rootfs.ext4"];

/// The files that tests need, beside the test program; `None` says that this is no long run, or what
/// is missing.
fn files(test: &str) -> Option<Vec<PathBuf>> {
    if !proteus_guests::long() {
        eprintln!("SKIPPED {test}: it takes minutes; PROTEUS_LONG=1 in the environment asks for it");
        return None;
    }
    let qemu = Command::new("qemu-system-x86_64").arg("--version").stdout(Stdio::null()).status();
    if qemu.is_err() {
        eprintln!("SKIPPED {test}: qemu-system-x86_64 is missing; apt-get install qemu-system-x86");
        return None;
    }
    let programs = [PROGRAM, env!("CARGO_BIN_EXE_proteus"), "/usr/share/seabios"].map(PathBuf::from);
    let mut files: Vec<PathBuf> = programs.into_iter().chain([file("firmware/x86")]).collect();
    for name in GUESTS.iter().chain(&["amd64/kvm-host.gz"]) {
        files.push(guest_file(name).inspect_err(|why| eprintln!("SKIPPED {test}: {why}")).ok()?);
    }
    Some(files)
}

/// Runs a test program there, with these arguments.
#[track_caller]
fn passes_there(program: PathBuf, arguments: &[&str], with: Vec<PathBuf>, one_thread: bool) {
    let host = Host { with, one_thread, limit: HOST_LIMIT, ..Host::default() };
    let words = [program.to_string_lossy().into_owned()].into_iter().chain(arguments.iter().map(|word| word.to_string()));
    let status = host.run(&words.chain(["--test-threads=1".into()]).collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(status, 0, "tests fail where KVM is whole, see above");
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("this program")
}

#[test]
fn boots_debian_on_an_emulated_host() {
    let Some(with) = files("Debian's kernel by an emulated KVM") else { return };
    passes_there(this_program(), &["--nocapture", "boots_debian_where_kvm_is_whole"], with, false);
}

#[test]
fn all_tests_pass_on_an_emulated_host() {
    let Some(with) = files("the tests by an emulated KVM") else { return };
    passes_there(this_program(), &["--skip", "boots_"], with, true);
}

/// The tests of `proteus-kvm`, whose program is beside this one.
#[test]
fn cores_by_themselves_on_an_emulated_host() {
    let Some(with) = files("the tests of cores by an emulated KVM") else { return };
    let this = this_program();
    let beside = std::fs::read_dir(this.parent().expect("a directory")).expect("it can be read").flatten();
    let is_it = |path: &PathBuf| path.extension().is_none() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("proteus_kvm-"));
    let programs = beside.map(|entry| entry.path()).filter(is_it);
    let newest = programs.max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok());
    match newest {
        Some(program) => passes_there(program, &[], with, false),
        None => eprintln!("SKIPPED the tests of cores by an emulated KVM: their program has not been built"),
    }
}
