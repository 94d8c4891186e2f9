//! The tests of this program on hosts with a full KVM, which are emulated (`tools/kvm-host`): AMD's by
//! QEMU, Intel's by Bochs. For long runs, for all is slow there.

use std::path::PathBuf;
use std::time::Duration;

use proteus_guests::guest_file;
use proteus_guests::kvm_host::{Emulator, Host};

use crate::rig::*;

const HOST_LIMIT: Duration = Duration::from_secs(1800);
const GUESTS: &[&str] = &["amd64/bzImage", "amd64/initrd.gz", "amd64/rootfs.ext4", "amd64/grub.img"];
const HOSTS: &[&str] = &["amd64/kvm-host.gz", "amd64/kvm-host-busybox", "amd64/kvm-amd.ko", "amd64/kvm-intel.ko"];

/// The files that tests need, beside the test program; `None` says that this is no long run, or what
/// is missing.
fn files(test: &str, by: Emulator) -> Option<Vec<PathBuf>> {
    if !proteus_guests::long() {
        eprintln!("SKIPPED {test}: it takes minutes; PROTEUS_LONG=1 in the environment asks for it");
        return None;
    }
    by.installed().inspect_err(|why| eprintln!("SKIPPED {test}: {why}")).ok()?;
    let programs = [PROGRAM, env!("CARGO_BIN_EXE_proteus"), "/usr/share/seabios"].map(PathBuf::from);
    let mut files: Vec<PathBuf> = programs.into_iter().chain([file("firmware/x86")]).collect();
    for name in HOSTS {
        guest_file(name).inspect_err(|why| eprintln!("SKIPPED {test}: {why}")).ok()?;
    }
    for name in GUESTS {
        files.push(guest_file(name).inspect_err(|why| eprintln!("SKIPPED {test}: {why}")).ok()?);
    }
    Some(files)
}

/// Runs a test program there, with these arguments.
#[track_caller]
fn passes_there(by: Emulator, program: PathBuf, arguments: &[&str], with: Vec<PathBuf>) {
    let host = Host { by, with, limit: HOST_LIMIT, ..Host::default() };
    let words = [program.to_string_lossy().into_owned()].into_iter().chain(arguments.iter().map(|word| word.to_string()));
    let status = host.run(&words.chain(["--test-threads=1".into()]).collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(status, 0, "tests fail where KVM is whole, see above");
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("this program")
}

#[test]
fn boots_debian_on_an_emulated_amd_host() {
    let Some(with) = files("Debian's kernel by an emulated KVM", Emulator::Qemu) else { return };
    passes_there(Emulator::Qemu, this_program(), &["--nocapture", "linux::boots_debian"], with);
}

#[test]
fn boots_debian_on_an_emulated_intel_host() {
    let Some(with) = files("Debian's kernel by an emulated KVM", Emulator::Bochs) else { return };
    // Not from disks: with firmware it had not ended after six minutes.
    passes_there(Emulator::Bochs, this_program(), &["--nocapture", "linux::boots_debian_on_"], with);
}

/// All but Debian's kernel, which takes long there, and those of `skip`.
fn all_tests_pass(by: Emulator, skip: &[&str]) {
    let Some(with) = files("the tests by an emulated KVM", by) else { return };
    let skip = ["linux::boots_debian", "nested::"].iter().chain(skip).flat_map(|name| ["--skip", name]);
    passes_there(by, this_program(), &skip.collect::<Vec<_>>(), with);
}

#[test]
fn all_tests_pass_on_an_emulated_amd_host() {
    all_tests_pass(Emulator::Qemu, &[]);
}

#[test]
fn all_tests_pass_on_an_emulated_intel_host() {
    // A guest of it spins and takes no interrupts. Bochs 2.7 as the host then takes none either.
    all_tests_pass(Emulator::Bochs, &["a_pause_takes_no_tenth_of_a_second"]);
}

/// The tests of `proteus-kvm`, whose program is beside this one.
fn cores_by_themselves(by: Emulator) {
    let Some(with) = files("the tests of cores by an emulated KVM", by) else { return };
    let this = this_program();
    let beside = std::fs::read_dir(this.parent().expect("a directory")).expect("it can be read").flatten();
    let is_it = |path: &PathBuf| path.extension().is_none() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("proteus_kvm-"));
    let programs = beside.map(|entry| entry.path()).filter(is_it);
    let newest = programs.max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok());
    match newest {
        Some(program) => passes_there(by, program, &[], with),
        None => eprintln!("SKIPPED the tests of cores by an emulated KVM: their program has not been built"),
    }
}

#[test]
fn cores_by_themselves_on_an_emulated_amd_host() {
    cores_by_themselves(Emulator::Qemu);
}

#[test]
fn cores_by_themselves_on_an_emulated_intel_host() {
    cores_by_themselves(Emulator::Bochs);
}
