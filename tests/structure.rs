//! The shape of the tree: who may use whom, where `unsafe` may be, what no file may hold. The
//! reasons are in `docs/architecture.md`; each failure names its rule's in a line.
//!
//! What Cargo knows is asked of `cargo metadata`, the rest is read from the sources.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Crates of the workspace that a crate may use, and why no others.
const USES: &[(&str, &[&str], &str)] = &[
    ("proteus-ram", &[], "guest memory is the bottom: what is unsafe must be small enough to be read whole"),
    ("proteus-float", &[], "arithmetic is arithmetic: it is tested without any guest"),
    ("proteus-derive", &[], "macros run at build time"),
    ("decodetree", &[], "it runs at build time"),
    ("proteus-model", &["proteus-ram", "proteus-derive"], "a machine runs under any executor, so it knows none; nor does it know a device"),
    ("proteus-devices", &["proteus-model", "proteus-derive"], "what a device does to the world goes through Services, so that it can be recorded and tested"),
    ("proteus-host", &[], "back ends know no guest: what they bring enters by the machine's one door, which the command line opens"),
    ("proteus-loader", &["proteus-model"], "a file becomes a plan of bytes and addresses; who obeys it is not the file's business"),
    ("proteus-exec", &["proteus-model", "proteus-ram", "proteus-float"], "one run loop serves every architecture and every compiling tier"),
    ("proteus-translator", &["proteus-exec", "proteus-ram"], "it compiles what is written against Ops, whatever the architecture"),
    ("proteus-machines", &["proteus-model", "proteus-devices", "proteus-loader"], "a board does not ask who runs its cores, nor where its bytes come from"),
    ("proteus-arm", &["proteus-exec", "proteus-model", "proteus-float", "decodetree"], "an instruction's meaning is written once, for every executor"),
    ("proteus-arm-glue", &["proteus-arm", "proteus-exec", "proteus-translator"], "it joins one target and the translator, and does nothing else"),
    ("proteus-mips", &["proteus-exec", "proteus-model", "proteus-float", "decodetree"], "an instruction's meaning is written once, for every executor"),
    ("proteus-mips-glue", &["proteus-mips", "proteus-exec", "proteus-translator"], "it joins one target and the translator, and does nothing else"),
    ("proteus-x86", &["proteus-exec"], "what a processor is does not depend on who executes it"),
    ("proteus-kvm", &["proteus-exec", "proteus-model", "proteus-ram", "proteus-x86"], "it executes cores, and knows no board and no option"),
    ("proteus-gdb", &["proteus-exec", "proteus-model"], "a debugger sees cores and memory, whoever executes them and whatever carries its bytes"),
    (
        "proteus-monitor",
        &["proteus-exec", "proteus-model"],
        "a monitor sees the machine through the run loop, whoever executes it and whatever carries its bytes",
    ),
    ("proteus-ins", &["proteus-exec", "proteus-translator"], "it runs any target's instruction tests, so it knows none"),
    (
        "proteus-cli",
        &[
            "proteus-arm",
            "proteus-arm-glue",
            "proteus-devices",
            "proteus-exec",
            "proteus-gdb",
            "proteus-host",
            "proteus-kvm",
            "proteus-loader",
            "proteus-machines",
            "proteus-mips",
            "proteus-mips-glue",
            "proteus-model",
            "proteus-monitor",
            "proteus-ram",
            "proteus-translator",
            "proteus-x86",
        ],
        "everything meets here; what is not needed here yet is not in the list",
    ),
    ("proteus", &["proteus-cli"], "the binaries are thin"),
    ("proteus-guests", &[], "tools know the emulator by its command line only"),
    ("proteus-bench", &["proteus-guests"], "it measures what users run: the program and its command line"),
];

/// Crates from outside that only some crates may use (by the beginning of the name), and why.
const OUTSIDE: &[(&str, &[&str], &str)] = &[
    ("cranelift", &["proteus-translator"], "an edit elsewhere must not rebuild the code generator's users, nor a change of generator touch a target"),
    ("kvm-", &["proteus-kvm"], "an accelerator is one crate"),
    ("vmm-sys-util", &["proteus-kvm"], "its files are what KVM's calls take"),
    ("clap", &["proteus-cli", "proteus-guests", "proteus-bench"], "nothing below the command line reads options"),
    ("rustix", &["proteus-ram", "proteus-translator", "proteus-host", "proteus-cli"], "the host is reached by back ends, guest memory and the code arena only"),
];

/// Where `unsafe` may be.
const UNSAFE: &[&str] = &["src/ram/", "src/translator/", "src/kvm/"];

/// The tree, where Cargo says that it is now: it may have been moved since the test was built.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The text files of the tree, by path from its root with `/`.
fn texts() -> BTreeMap<String, String> {
    fn walk(root: &Path, dir: &Path, out: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let own = entry.file_name();
            let built = name == "target" || [".git", ".guests", "build"].iter().any(|n| own == *n);
            if built || entry.file_type().unwrap().is_symlink() {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                walk(root, &path, out);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                out.insert(name, text);
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(&root(), &root(), &mut out);
    assert!(out.len() > 100, "the tree is not where it is looked for: {}", root().display());
    out
}

/// The Rust sources below the given directories.
fn sources(below: &[&str]) -> Vec<(String, String)> {
    texts().into_iter().filter(|(name, _)| name.ends_with(".rs") && below.iter().any(|dir| name.starts_with(dir))).collect()
}

/// The lines that are code, with their numbers: no comments, and nothing of a file's own tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("#[cfg(test)]\nmod tests {").map_or(usize::MAX, |at| text[..at].lines().count());
    text.lines().enumerate().take(tests).map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether a file is only compiled for tests.
fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs")
}

#[track_caller]
fn none(rule: &str, reason: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}, because {reason}:\n  {}", offenders.join("\n  "));
}

fn metadata() -> Vec<Value> {
    let out = Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root()).output().unwrap();
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    json["packages"].as_array().unwrap().clone()
}

/// The crates that a package uses when it is built, not those of its tests.
fn uses(package: &Value) -> impl Iterator<Item = &str> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|d| d["kind"] != "dev").map(|d| d["name"].as_str().unwrap())
}

#[test]
fn crates_use_only_what_is_below_them() {
    let packages = metadata();
    let own: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let mut wrong = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let Some((_, allowed, reason)) = USES.iter().find(|(n, ..)| *n == name) else {
            wrong.push(format!("{name} has no row in USES of tests/structure.rs: say there what it may use, and why no more"));
            continue;
        };
        for used in uses(package).filter(|used| own.contains(used) && !allowed.contains(used)) {
            wrong.push(format!("{name} uses {used}; it may use {allowed:?}: {reason}"));
        }
    }
    none("crates use downward only", "what is below must be built, tested and understood without what is above", wrong);
}

#[test]
fn crates_from_outside_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for package in metadata() {
        let name = package["name"].as_str().unwrap();
        for used in uses(&package) {
            for (_, allowed, reason) in OUTSIDE.iter().filter(|(start, ..)| used.starts_with(start)) {
                if !allowed.contains(&name) {
                    wrong.push(format!("{name} uses {used}; only {allowed:?} may: {reason}"));
                }
            }
        }
    }
    none("a crate from outside has its users", "what it touches must stay replaceable", wrong);
}

#[test]
fn every_dependency_comes_from_the_public_registry() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let wrong = sources.filter(|s| *s != "\"registry+https://github.com/rust-lang/crates.io-index\"").map(str::to_string).collect();
    none("dependencies are those of crates.io", "the tree must build anywhere", wrong);
}

#[test]
fn only_the_command_line_names_accelerators() {
    const NAMES: &[&str] = &["kvm", "tcg", "cranelift", "translator", "accelerator"];
    let below =
        ["src/model/", "src/exec/", "src/devices/", "src/host/", "src/loader/", "src/ram/", "src/float/", "machines/", "targets/arm/src/", "targets/mips/src/"];
    let mut wrong = Vec::new();
    for (name, text) in sources(&below).iter().filter(|(name, _)| !is_test(name)) {
        for (n, line) in code(text) {
            let words = line.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
            if words.into_iter().any(|word| NAMES.contains(&word.as_str())) {
                wrong.push(format!("{name}:{n}: {}", line.trim()));
            }
        }
    }
    none("nothing below the command line names an accelerator", "a machine must not depend on who runs it", wrong);
}

#[test]
fn devices_and_boards_reach_the_host_through_the_model_only() {
    const HOST: &[&str] = &["std::fs", "std::net", "std::thread", "std::process", "std::env", "Instant", "SystemTime", "std::io::stdin"];
    let mut wrong = Vec::new();
    for (name, text) in sources(&["src/devices/src/", "machines/src/"]).iter().filter(|(name, _)| !is_test(name)) {
        for (n, line) in code(text) {
            if HOST.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{name}:{n}: {}", line.trim()));
            }
        }
    }
    none("devices and boards use no files, threads or host time", "what passes another door than the machine's cannot be recorded or replayed", wrong);
}

/// What the devices of a bus share: others may use what its `mod.rs` exports, but no file in it.
const SHARED: &[&str] = &["pci"];

#[test]
fn a_device_does_not_know_another_ones_file() {
    let families: BTreeSet<String> =
        sources(&["src/devices/src/"]).iter().filter_map(|(name, _)| Some(name.strip_prefix("src/devices/src/")?.split_once('/')?.0.to_string())).collect();
    let mut wrong = Vec::new();
    for (name, text) in sources(&["src/devices/src/"]).iter().filter(|(name, _)| !is_test(name)) {
        let Some((own, _)) = name.strip_prefix("src/devices/src/").and_then(|n| n.split_once('/')) else { continue };
        for (n, line) in code(text) {
            let uses = |f: &String| {
                let used = line.split(&format!("crate::{f}::")).nth(1);
                used.is_some_and(|what| !SHARED.contains(&f.as_str()) || what.starts_with(|c: char| c.is_ascii_lowercase()))
            };
            if families.iter().any(|f| f != own && uses(f)) {
                wrong.push(format!("{name}:{n}: {}", line.trim()));
            }
        }
    }
    none("a device uses none of another family", "devices meet on a board, by windows, pins and memory", wrong);
}

#[test]
fn the_guests_architecture_is_a_value() {
    let mut wrong = Vec::new();
    for (name, text) in sources(&["src/model/", "src/exec/", "src/devices/", "src/loader/", "machines/", "targets/"]) {
        for (n, line) in code(&text) {
            let target = line.contains("target_arch") || line.contains("target_pointer_width") || line.contains("target_endian");
            let feature = line.contains("cfg") && ["aarch64", "arm", "mips", "x86", "riscv"].iter().any(|a| line.contains(&format!("feature = \"{a}")));
            if target || feature {
                wrong.push(format!("{name}:{n}: {}", line.trim()));
            }
        }
    }
    none("no cfg chooses an architecture", "one binary holds every target, and hosts differ in src/ram and src/translator only", wrong);
}

#[test]
fn unsafe_stays_on_its_islands() {
    let mut wrong = Vec::new();
    for package in metadata() {
        for target in package["targets"].as_array().unwrap() {
            let kind = target["kind"][0].as_str().unwrap();
            let path = Path::new(target["src_path"].as_str().unwrap());
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
            if !matches!(kind, "lib" | "bin" | "proc-macro") || UNSAFE.iter().any(|dir| name.starts_with(dir)) {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            if !text.lines().any(|line| line == "#![forbid(unsafe_code)]") {
                wrong.push(format!("{name}: lacks #![forbid(unsafe_code)]"));
            }
        }
    }
    // What the attribute does not reach: integration tests and build scripts.
    for (name, text) in sources(&["src/", "targets/", "machines/", "tools/", "tests/"]) {
        if UNSAFE.iter().any(|dir| name.starts_with(dir)) {
            continue;
        }
        for (n, line) in text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            if ["{", "fn ", "impl ", "extern "].iter().any(|after| line.contains(&["unsafe ", after].concat())) {
                wrong.push(format!("{name}:{}: {}", n + 1, line.trim()));
            }
        }
    }
    none("unsafe code is in src/ram, src/translator and src/kvm only", "who looks for a memory error must know where to look", wrong);
}

#[test]
fn files_are_short_or_say_why_not() {
    let mut wrong = Vec::new();
    for (name, text) in texts() {
        let ours = ["src/", "targets/", "machines/"].iter().any(|dir| name.starts_with(dir));
        if !ours || !(name.ends_with(".rs") || name.ends_with(".decode")) {
            continue;
        }
        let lines = text.lines().count();
        let head = text.lines().take(20).any(|line| line.to_ascii_lowercase().contains("long because"));
        if lines > 1000 && !head {
            wrong.push(format!("{name}: {lines} lines"));
        }
    }
    none("a file has at most 1000 lines, or 'long because ...' in its first twenty", "a file is what one reads at a time", wrong);
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    // Put together here, so that this file does not name them.
    let places: Vec<String> = ["work", "root", "home", "Users", "tmp/bash"].iter().map(|dir| format!("/{dir}/")).collect();
    let mut wrong = Vec::new();
    // Paths in the boot tests are the guest's.
    for (name, text) in texts().into_iter().filter(|(name, _)| !name.starts_with("tests/boot/")) {
        for (n, line) in text.lines().enumerate() {
            // A place in a URL or below another directory is none of a machine's.
            let named = places.iter().any(|p| line.match_indices(p.as_str()).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '}')));
            if named {
                wrong.push(format!("{name}:{}: {}", n + 1, line.trim()));
            }
        }
    }
    none("no file names a directory of somebody's machine", "nobody else has it", wrong);
}

#[test]
fn the_firmware_is_the_manifests() {
    let text = std::fs::read_to_string(root().join("firmware/MANIFEST.toml")).unwrap();
    let values = |key: &str| -> Vec<String> {
        let start = format!("{key} = \"");
        text.lines().filter_map(|l| Some(l.strip_prefix(&start)?.split_once('"')?.0.to_string())).collect()
    };
    let (names, digests) = (values("name"), values("sha256"));
    assert!(!names.is_empty() && names.len() == digests.len(), "firmware/MANIFEST.toml: each blob has a name and a sha256");
    let mut wrong = Vec::new();
    for (name, digest) in names.iter().zip(&digests) {
        match std::fs::read(root().join("firmware").join(name)) {
            Ok(bytes) => {
                let found: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
                if found != *digest {
                    wrong.push(format!("firmware/{name} has sha256 {found}, the manifest says {digest}"));
                }
            }
            Err(e) => wrong.push(format!("firmware/{name}: {e}")),
        }
    }
    for dir in std::fs::read_dir(root().join("firmware")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for file in std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "bin")) {
            let name = file.strip_prefix(root().join("firmware")).unwrap().to_str().unwrap().to_string();
            if !names.contains(&name) {
                wrong.push(format!("firmware/{name} is not in the manifest"));
            }
        }
    }
    none("blobs and manifest agree", "a blob must be known by its sources and compiler", wrong);
}

/// Names in backquotes in the Markdown files of the project.
fn quoted() -> Vec<(String, String)> {
    let pages = texts().into_iter().filter(|(name, _)| name.ends_with(".md"));
    let spans = |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).filter(|s| !s.contains('\n')).map(str::to_string).collect() };
    pages.flat_map(|(page, text)| spans(&text).into_iter().map(move |s| (page.clone(), s))).collect()
}

#[test]
fn the_documentation_names_what_is_there() {
    let files = texts();
    let rust: Vec<&String> = files.iter().filter(|(name, _)| name.ends_with(".rs")).map(|(_, text)| text).collect();
    let mut wrong = Vec::new();
    for (page, text) in files.iter().filter(|(name, _)| *name == "README.md" || name.starts_with("docs/")) {
        // "(test `name`)": there is such a test.
        for rest in text.split("test `").skip(1) {
            let test = rest.split('`').next().unwrap_or_default();
            if !rust.iter().any(|source| source.contains(&format!("fn {test}("))) {
                wrong.push(format!("{page}: there is no test {test}"));
            }
        }
    }
    for (page, span) in quoted().iter().filter(|(page, _)| page == "README.md" || page.starts_with("docs/")) {
        let path = span.split_whitespace().next().unwrap_or_default().trim_start_matches("./");
        let ours = ["src/", "targets/", "machines/", "tools/", "firmware/", "tests/", "docs/"].iter().any(|dir| path.starts_with(dir));
        if ours && !path.contains(['*', '<', '{']) && !root().join(path).exists() {
            wrong.push(format!("{page}: there is no {path}"));
        }
    }
    let readme = &files["README.md"];
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if !link.contains("://") && !root().join(link).exists() {
            wrong.push(format!("README.md: there is no {link}"));
        }
    }
    // The map of the tree has every crate's directory, and the table of exit codes is that of the code.
    for dir in files.keys().filter_map(|name| name.strip_suffix("/Cargo.toml")) {
        let shown = readme.contains(&format!("`{dir}/`"))
            || dir.split_once('/').is_some_and(|(_, rest)| readme.contains(&format!("`{}/`", rest.rsplit('/').next().unwrap_or(rest))));
        if !shown {
            wrong.push(format!("README.md: {dir}/ is not in the map of the tree"));
        }
    }
    for row in files["src/cli/src/run/endings.rs"].lines().filter_map(|line| line.strip_prefix("//! | ")).filter(|row| !row.starts_with("status")) {
        if !readme.contains(row) {
            wrong.push(format!("README.md: the table of exit codes lacks | {row}"));
        }
    }
    none("documentation names tests and files that exist, and all that it must", "a page that is wrong is worse than none", wrong);
}

#[test]
fn the_page_on_the_command_line_has_every_option() {
    let page = std::fs::read_to_string(root().join("docs/command-line.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `-")?.split('`').next()).collect();
    let documented: BTreeSet<String> = rows.iter().map(|row| row.split_whitespace().next().unwrap_or_default().to_string()).collect();
    let there: BTreeSet<String> = proteus_cli::options::GROUPS.iter().flat_map(|(_, rows)| rows.iter()).map(|row| row.names[0].to_string()).collect();
    let missing: Vec<_> = there.difference(&documented).map(|name| format!("no row for -{name}")).collect();
    let extra: Vec<_> = documented.difference(&there).map(|name| format!("-{name} is no option")).collect();
    none("docs/command-line.md has a row for each option, and no other", "the option table is the truth", [missing, extra].concat());
}
