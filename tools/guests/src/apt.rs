//! apt with a state directory of its own, for an architecture other than the host's.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sources::{self, Lists};
use crate::tools::{Error, Result, entries, make_dir, read, run, write};

/// An apt that changes nothing outside its directory.
pub(crate) struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Sets up apt for some lists in `dir`, with the host's Debian sources.
    pub(crate) fn new(dir: &Path, lists: Lists) -> Result<Self> {
        let apt = Self { dir: dir.to_path_buf() };
        for part in ["lists/partial", "cache/archives/partial", "etc/sources.list.d"] {
            make_dir(&dir.join(part))?;
        }
        let codename = host_codename()?;
        let sources = sources::of_host(Path::new("/etc/apt"), &codename)?;
        write(&dir.join("etc/sources.list.d/debian.sources"), sources::to_stanzas(&sources, lists).as_bytes())?;
        write(&dir.join("status"), b"")?;
        // An archive of someone else's may use Debian's suite names: only Debian's packages count.
        let pins = "Package: *\nPin: release o=Debian\nPin-Priority: 900\n\nPackage: *\nPin: release a=*\nPin-Priority: -1\n";
        write(&dir.join("etc/preferences"), pins.as_bytes())?;
        // Read after the host's apt.conf.d, whose hooks would act on the host.
        let last = "#include \"/etc/apt/apt.conf\";\n";
        let hooks = "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n";
        let include = if Path::new("/etc/apt/apt.conf").is_file() { last } else { "" };
        write(&dir.join("etc/last.conf"), format!("{include}{hooks}").as_bytes())?;
        let at = dir.display();
        let architecture = match lists {
            Lists::Packages(name) => format!("APT::Architecture \"{name}\";\nAPT::Architectures {{ \"{name}\"; }};\n"),
            Lists::Sources => String::new(),
        };
        let first = format!(
            "{architecture}APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
             Dir::State \"{at}\";\nDir::State::status \"{at}/status\";\nDir::State::lists \"{at}/lists\";\n\
             Dir::Cache \"{at}/cache\";\nDir::Log \"{at}\";\nDir::Etc::main \"{at}/etc/last.conf\";\n\
             Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts \"{at}/etc/sources.list.d\";\n\
             Dir::Etc::preferences \"{at}/etc/preferences\";\nDir::Etc::preferencesparts \"/dev/null\";\n"
        );
        write(&dir.join("etc/first.conf"), first.as_bytes())?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("etc/first.conf"));
        command
    }

    /// Fetches the lists of packages; apt checks their signatures.
    pub(crate) fn update(&self) -> Result<()> {
        run(self.command("apt-get").args(["-q", "-o", "APT::Update::Error-Mode=any", "update"]), "apt").map(drop)
    }

    /// A field of the record of `package`'s candidate version.
    fn field(&self, package: &str, name: &str) -> Result<String> {
        let record = run(self.command("apt-cache").args(["show", "--no-all-versions", package]), "apt")?;
        let prefix = format!("{name}: ");
        record
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .map(str::to_owned)
            .ok_or_else(|| Error::Other(format!("package {package} has no field {name}: has Debian changed its packaging?")))
    }

    /// The package starting with `prefix` that the metapackage `package` depends on.
    pub(crate) fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let depends = self.field(package, "Depends")?;
        depends
            .split(',')
            .filter_map(|one| one.split_whitespace().next())
            .find(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .ok_or_else(|| Error::Other(format!("{package} depends on no {prefix}*, but on: {depends}")))
    }

    /// Downloads `packages` into `into`, which must be empty; apt checks their digests.
    pub(crate) fn download(&self, packages: &[String], into: &Path) -> Result<Vec<PathBuf>> {
        run(self.command("apt-get").args(["-q", "download"]).args(packages).current_dir(into), "apt")?;
        let debs: Vec<_> = entries(into)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "deb")).collect();
        if debs.len() == packages.len() {
            Ok(debs)
        } else {
            Err(Error::Other(format!("apt-get download gave {} files for: {}", debs.len(), packages.join(" "))))
        }
    }

    /// Downloads the files of the source package `name` into `into`, which must be empty; apt checks
    /// their digests.
    pub(crate) fn download_source(&self, name: &str, into: &Path) -> Result<Vec<PathBuf>> {
        run(self.command("apt-get").args(["-q", "source", "--download-only", "--only-source", name]).current_dir(into), "apt")?;
        entries(into)
    }
}

/// The host's Debian release.
fn host_codename() -> Result<String> {
    let path = Path::new("/etc/os-release");
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(|v| v.trim_matches('"').to_owned());
    match (value("ID").as_deref(), value("VERSION_CODENAME")) {
        (Some("debian"), Some(codename)) => Ok(codename),
        (id, _) => Err(Error::Other(format!(
            "guests are fetched with Debian's apt, and /etc/os-release says ID={}: use a Debian host or container",
            id.unwrap_or("nothing")
        ))),
    }
}
