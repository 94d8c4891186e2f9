//! Brings guests into the cache: download, check, unpack, build; nothing is done twice.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::apt::Apt;
use crate::sources::Lists;
use crate::table::{Guest, Package, guests};
use crate::tools::{Error, Result, at, files_below, make_dir, part_name, read, remove_dir, rename, run, sha256, write};
use crate::{cache_dir, long, workspace};

/// What a recipe may see.
pub(crate) struct Build {
    cache: PathBuf,
    workspace: PathBuf,
    architecture: &'static str,
}

impl Build {
    /// Debian's name of the architecture of what is built.
    pub(crate) fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// The unpacked files of a package.
    pub(crate) fn package(&self, name: &str) -> PathBuf {
        self.cache.join("unpacked").join(self.architecture).join(name)
    }

    /// A file that the recipe gives, or that a guest it needs gave.
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.cache.join(self.architecture).join(name)
    }

    /// A file of the workspace.
    pub(crate) fn source(&self, name: &str) -> PathBuf {
        self.workspace.join(name)
    }
}

/// A digest of one file of a Debian package as it was fetched: a source package has several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Deb {
    /// The name of the package that recipes use.
    name: String,
    sha256: String,
    file: String,
}

/// Fetches and builds guests.
pub struct Fetcher<'a> {
    cache: PathBuf,
    refresh: bool,
    say: &'a dyn Fn(&str),
    apts: BTreeMap<Lists, Apt>,
}

impl<'a> Fetcher<'a> {
    /// A fetcher into the cache; `refresh` looks for newer packages even if all are there; `say`
    /// is told each step.
    pub fn new(refresh: bool, say: &'a dyn Fn(&str)) -> Self {
        Self { cache: cache_dir(), refresh, say, apts: BTreeMap::new() }
    }

    /// Brings the guests of these names, and all they need; no names means every guest
    /// that is not for a long run, or in a long run every guest.
    ///
    /// Returns the files they gave.
    pub fn fetch(&mut self, names: &[String]) -> Result<Vec<PathBuf>> {
        let wanted = with_needs(names, long())?;
        make_dir(&self.cache)?;
        let lock_path = self.cache.join("lock");
        let lock = File::create(&lock_path).map_err(at("make", &lock_path))?;
        lock.lock().map_err(at("lock", &lock_path))?;
        let mut outputs = Vec::new();
        for guest in wanted {
            self.one(guest)?;
            outputs.extend(guest.outputs.iter().map(|name| self.cache.join(name)));
        }
        Ok(outputs)
    }

    fn one(&mut self, guest: &'static Guest) -> Result<()> {
        let debs = self.packages(guest)?;
        let build = Build { cache: self.cache.clone(), workspace: workspace(), architecture: guest.architecture };
        make_dir(&self.cache.join(guest.architecture))?;
        let inputs = self.inputs(guest, &debs, &build)?;
        let stamp = self.cache.join(guest.architecture).join(format!("{}.stamp", guest.name));
        let built = std::fs::read_to_string(&stamp).is_ok_and(|old| old == inputs);
        if built && guest.outputs.iter().all(|name| self.cache.join(name).is_file()) {
            (self.say)(&format!("{}: up to date", guest.name));
            return Ok(());
        }
        for package in guest.packages {
            let files: Vec<_> = debs.iter().filter(|deb| deb.name == package.name()).collect();
            self.unpack(*package, &files, &build.package(package.name()), guest.architecture)?;
        }
        (self.say)(&format!("{}: building", guest.name));
        (guest.recipe)(&build)?;
        for name in guest.outputs {
            let path = self.cache.join(name);
            if !path.is_file() {
                return Err(Error::Missing { path, fix: "its recipe did not make it; see tools/guests/src/table.rs" });
            }
        }
        write(&stamp, inputs.as_bytes())
    }

    /// A digest of all that the outputs depend on: this program, the packages, the sources, and
    /// the guests it needs.
    fn inputs(&self, guest: &Guest, debs: &[Deb], build: &Build) -> Result<String> {
        let program = std::env::current_exe().map_err(at("find", Path::new("this program")))?;
        let mut all = sha256(&read(&program)?);
        for deb in debs {
            all.push_str(&deb.sha256);
        }
        for source in guest.sources {
            for file in files_below(&build.source(source))? {
                all.push_str(&file.to_string_lossy());
                all.push_str(&sha256(&read(&file)?));
            }
        }
        for need in guest.needs {
            let stamp = self.cache.join(guest.architecture).join(format!("{need}.stamp"));
            all.push_str(&String::from_utf8_lossy(&read(&stamp)?));
        }
        Ok(sha256(all.as_bytes()))
    }

    /// The packages of a guest, from the cache if they are there and whole.
    fn packages(&mut self, guest: &'static Guest) -> Result<Vec<Deb>> {
        if guest.packages.is_empty() {
            return Ok(Vec::new());
        }
        let store = self.cache.join("debs").join(guest.architecture);
        let listing = store.join(format!("{}.sha256", guest.name));
        if !self.refresh
            && let Ok(text) = std::fs::read_to_string(&listing)
            && let Some(debs) = whole(&store, guest, &text)
            && of_the_kernel(&store, guest, &debs)?
        {
            return Ok(debs);
        }
        make_dir(&store)?;
        let fresh = part_name(&store.join(guest.name));
        remove_dir(&fresh)?;
        make_dir(&fresh)?;
        let say = self.say;
        let mut debs = Vec::new();
        for package in guest.packages {
            let apt = self.apt(match package {
                Package::Source(_) => Lists::Sources,
                Package::Named(_) | Package::DependencyOf { .. } | Package::SymbolsOf { .. } => Lists::Packages(guest.lists),
            })?;
            let real = match package {
                Package::Named(name) | Package::Source(name) => (*name).to_owned(),
                Package::DependencyOf { of, prefix } => apt.dependency(of, prefix)?,
                Package::SymbolsOf { guest, .. } => symbols_of(&store, guest)?,
            };
            say(&format!("{}: downloading {real}", guest.name));
            let into = fresh.join(package.name());
            make_dir(&into)?;
            let files = match package {
                Package::Source(name) => apt.download_source(name, &into)?,
                Package::Named(_) | Package::DependencyOf { .. } | Package::SymbolsOf { .. } => apt.download(&[real], &into)?,
            };
            for path in files {
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                debs.push(Deb { name: package.name().to_owned(), sha256: sha256(&read(&path)?), file: file.clone() });
                rename(&path, &store.join(file))?;
            }
        }
        remove_dir(&fresh)?;
        write(&listing, to_listing(&debs).as_bytes())?;
        Ok(debs)
    }

    /// apt for some lists, which are brought up to date once.
    fn apt(&mut self, lists: Lists) -> Result<&Apt> {
        if !self.apts.contains_key(&lists) {
            let name = match lists {
                Lists::Packages(architecture) => architecture,
                Lists::Sources => "source",
            };
            (self.say)(&format!("{name}: reading Debian's package lists"));
            let dir = std::path::absolute(self.cache.join("apt").join(name)).map_err(at("find", Path::new("the cache")))?;
            let apt = Apt::new(&dir, lists)?;
            apt.update()?;
            self.apts.insert(lists, apt);
        }
        Ok(&self.apts[&lists])
    }

    /// Unpacks the files of one package: its `.deb` or what is wanted of that, or what its `.dsc` names.
    fn unpack(&self, package: Package, files: &[&Deb], into: &Path, architecture: &str) -> Result<()> {
        let mark = part_name(&into.with_added_extension("unpacked"));
        let digests: String = files.iter().map(|file| file.sha256.as_str()).collect();
        if into.is_dir() && std::fs::read_to_string(&mark).is_ok_and(|old| old == digests) {
            return Ok(());
        }
        let is = |file: &Deb, extension: &str| Path::new(&file.file).extension().is_some_and(|e| e == extension);
        let Some(main) = files.iter().find(|file| is(file, "deb") || is(file, "dsc")) else {
            return Err(Error::Other(format!("{} has neither a .deb nor a .dsc", into.display())));
        };
        (self.say)(&format!("{architecture}: unpacking {}", main.file));
        let fresh = part_name(into);
        remove_dir(&fresh)?;
        let file = self.cache.join("debs").join(architecture).join(&main.file);
        if let Package::SymbolsOf { .. } = package {
            make_dir(&fresh)?;
            unpack_some(&file, "./usr/lib/debug/boot/vmlinux-*", &fresh)?;
        } else if is(main, "deb") {
            make_dir(&fresh)?;
            run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&fresh), "dpkg")?;
        } else {
            make_dir(into.parent().unwrap_or(into))?;
            // apt has checked the signature already, and dpkg-source lacks Debian's keys.
            run(Command::new("dpkg-source").arg("--no-check").arg("-x").arg(&file).arg(&fresh), "dpkg-dev")?;
        }
        remove_dir(into)?;
        rename(&fresh, into)?;
        write(&mark, digests.as_bytes())
    }
}

/// Unpacks the files of a `.deb` that match a pattern of tar's.
fn unpack_some(deb: &Path, pattern: &str, into: &Path) -> Result<()> {
    let mut source = Command::new("dpkg-deb");
    source.arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped());
    let mut source = source.spawn().map_err(at("unpack", deb))?;
    let pipe = source.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unpacked = run(Command::new("tar").arg("-x").arg("-C").arg(into).args(["--wildcards", pattern]).stdin(pipe), "tar");
    let status = source.wait().map_err(at("unpack", deb))?;
    unpacked?;
    if status.success() { Ok(()) } else { Err(Error::Other(format!("dpkg-deb cannot read {} ({status})", deb.display()))) }
}

/// The debug package of the kernel that `guest` was made of, as apt's `name=version`.
fn symbols_of(store: &Path, guest: &str) -> Result<String> {
    let listing = store.join(format!("{guest}.sha256"));
    let debs = from_listing(&String::from_utf8_lossy(&read(&listing)?));
    let name_and_version = |file: &str| {
        let (name, rest) = file.split_once('_')?;
        let (version, _) = rest.split_once('_')?;
        Some(format!("{name}-dbg={}", version.replace("%3a", ":")))
    };
    let found = debs.first().and_then(|deb| name_and_version(&deb.file));
    found.ok_or_else(|| Error::Other(format!("{} names no kernel: run tools/fetch-guests --refresh {guest}", listing.display())))
}

/// Whether symbols among these packages are those of the kernel that is there now.
fn of_the_kernel(store: &Path, guest: &Guest, debs: &[Deb]) -> Result<bool> {
    for package in guest.packages {
        if let Package::SymbolsOf { guest, name } = package {
            let start = symbols_of(store, guest)?.replace(':', "%3a").replace('=', "_") + "_";
            if !debs.iter().any(|deb| deb.name == *name && deb.file.starts_with(&start)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The rows of these names and of all they need, in the order of the table; without names every
/// row, and those for a long run only if this is one.
fn with_needs(names: &[String], long: bool) -> Result<Vec<&'static Guest>> {
    let mut wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &wanted {
        if !guests().any(|guest| guest.name == *name) {
            let known: Vec<_> = guests().map(|guest| guest.name).collect();
            return Err(Error::Other(format!("there is no guest {name}: the guests are {}", known.join(", "))));
        }
    }
    if wanted.is_empty() {
        wanted = guests().filter(|guest| long || !guest.long).map(|guest| guest.name).collect();
    }
    for guest in guests().rev() {
        if wanted.contains(&guest.name) {
            wanted.extend(guest.needs);
        }
    }
    Ok(guests().filter(|guest| wanted.contains(&guest.name)).collect())
}

/// A listing that `sha256sum -c` reads, with the recipe's name of each package in a comment above.
fn to_listing(debs: &[Deb]) -> String {
    debs.iter().map(|deb| format!("# {}\n{}  {}\n", deb.name, deb.sha256, deb.file)).collect()
}

fn from_listing(text: &str) -> Vec<Deb> {
    let lines: Vec<_> = text.lines().collect();
    lines
        .chunks_exact(2)
        .filter_map(|pair| {
            let (digest, file) = pair[1].split_once("  ")?;
            let name = pair[0].strip_prefix("# ")?;
            Some(Deb { name: name.to_owned(), sha256: digest.to_owned(), file: file.to_owned() })
        })
        .collect()
}

/// The packages of a listing, if it has all that the guest needs and every file is as it was.
fn whole(store: &Path, guest: &Guest, listing: &str) -> Option<Vec<Deb>> {
    let debs = from_listing(listing);
    let mut names: Vec<_> = debs.iter().map(|deb| deb.name.as_str()).collect();
    names.dedup();
    let complete = names.into_iter().eq(guest.packages.iter().map(|package| package.name()));
    let same = |deb: &Deb| read(&store.join(&deb.file)).is_ok_and(|bytes| sha256(&bytes) == deb.sha256);
    (complete && debs.iter().all(same)).then_some(debs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_needs_only_rows_above_it() {
        for (index, guest) in guests().enumerate() {
            for need in guest.needs {
                let (at, needed) = guests().enumerate().find(|(_, other)| other.name == *need).expect("a row");
                assert!(at < index, "{} needs {need}", guest.name);
                assert_eq!(needed.architecture, guest.architecture);
            }
        }
    }

    #[test]
    fn needs_are_added_in_order_and_unknown_names_refused() {
        let names = |list: &[&str]| -> Vec<String> { list.iter().map(|name| (*name).to_owned()).collect() };
        let rows: Vec<_> = with_needs(&names(&["arm64-busybox"]), false).expect("known").iter().map(|guest| guest.name).collect();
        assert_eq!(rows, ["arm64-kernel", "arm64-programs", "arm64-busybox"]);
        assert_eq!(with_needs(&[], true).expect("all").len(), guests().count());
        let short: Vec<_> = with_needs(&[], false).expect("the short ones").iter().map(|guest| guest.name).collect();
        assert!(short.contains(&"mipsel-kernel") && !short.contains(&"mips-linux"), "{short:?}");
        assert_eq!(with_needs(&names(&["mips-linux"]), false).expect("known").len(), 1);
        let error = with_needs(&names(&["vax"]), false).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("no guest vax") && error.contains("arm64-kernel"), "{error}");
    }

    #[test]
    fn a_listing_counts_only_while_its_files_are_whole() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let guest = guests().find(|guest| guest.name == "arm64-busybox").expect("a row");
        let deb = Deb { name: "busybox-static".into(), sha256: sha256(b"deb"), file: "b_1%3a1_arm64.deb".into() };
        let listing = to_listing(std::slice::from_ref(&deb));
        assert_eq!(whole(dir.path(), guest, &listing), None);
        std::fs::write(dir.path().join(&deb.file), b"deb").expect("written");
        assert_eq!(whole(dir.path(), guest, &listing), Some(vec![deb.clone()]));
        std::fs::write(dir.path().join(&deb.file), b"dev").expect("written");
        assert_eq!(whole(dir.path(), guest, &listing), None);
        assert_eq!(whole(dir.path(), guest, ""), None);
    }

    #[test]
    fn symbols_are_those_of_the_kernel_that_is_there() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let guest = guests().find(|guest| guest.name == "arm64-kernel-dbg").expect("a row");
        let deb = |name: &str, file: &str| Deb { name: name.into(), sha256: sha256(b""), file: file.into() };
        let kernel = |file: &str| std::fs::write(dir.path().join("arm64-kernel.sha256"), to_listing(&[deb("linux-image-arm64", file)])).expect("written");
        assert!(symbols_of(dir.path(), "arm64-kernel").is_err());
        kernel("linux-image-6.1.0-9-arm64_6.1.20-1_arm64.deb");
        assert_eq!(symbols_of(dir.path(), "arm64-kernel").ok().as_deref(), Some("linux-image-6.1.0-9-arm64-dbg=6.1.20-1"));
        let debs = [deb("linux-image-arm64-dbg", "linux-image-6.1.0-9-arm64-dbg_6.1.20-1_arm64.deb")];
        assert!(of_the_kernel(dir.path(), guest, &debs).expect("a kernel"));
        kernel("linux-image-6.1.0-9-arm64_6.1.20-2_arm64.deb");
        assert!(!of_the_kernel(dir.path(), guest, &debs).expect("a kernel"));
        kernel("nothing.deb");
        assert!(of_the_kernel(dir.path(), guest, &debs).is_err());
    }

    #[test]
    fn a_source_package_is_whole_with_all_its_files() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let guest = guests().find(|guest| guest.name == "mips-linux").expect("a row");
        let file = |name: &str, file: &str| {
            std::fs::write(dir.path().join(file), file).expect("written");
            Deb { name: name.into(), sha256: sha256(file.as_bytes()), file: file.into() }
        };
        let debs = vec![file("linux-source", "l.deb"), file("busybox", "b.dsc"), file("busybox", "b.tar.xz")];
        assert_eq!(whole(dir.path(), guest, &to_listing(&debs)), Some(debs.clone()));
        assert_eq!(whole(dir.path(), guest, &to_listing(&debs[..1])), None);
        std::fs::write(dir.path().join("b.tar.xz"), b"other").expect("written");
        assert_eq!(whole(dir.path(), guest, &to_listing(&debs)), None);
    }
}
