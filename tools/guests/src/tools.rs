//! What every step needs: errors with the file they are about, and running a program.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// What can go wrong while a guest is fetched or built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read, written or made.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file that must be there is not.
    #[error("{} is missing: {fix}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What to do about it.
        fix: &'static str,
    },
    /// A program that is needed is not installed.
    #[error("{program} is not installed: install the Debian package {package}")]
    NoProgram {
        /// The program.
        program: String,
        /// The package it is in.
        package: &'static str,
    },
    /// A program ended with an error.
    #[error("{command} failed ({status}): {output}")]
    Program {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// Its messages.
        output: String,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Turns an [`io::Error`] into one that names the file.
pub(crate) fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::File { action, path: path.to_path_buf(), source }
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(at("read", path))
}

/// Makes a directory and those above it.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(at("make", path))
}

/// Removes a directory with all in it, if it is there.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Writes a file so that a reader sees the old contents or the new, never a part.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = part_name(path);
    std::fs::write(&part, bytes).map_err(at("write", &part))?;
    rename(&part, path)
}

/// Moves a finished file into its place.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(at("write", to))
}

/// The name under which a file is written before it is whole.
pub(crate) fn part_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// The files and directories in `dir`, sorted by name.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(at("list", dir))? {
        found.push(entry.map_err(at("list", dir))?.path());
    }
    found.sort();
    Ok(found)
}

/// Every file and symbolic link below `dir`, sorted.
pub(crate) fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(dir)? {
        if path.is_dir() && !path.is_symlink() {
            found.extend(files_below(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a program of the Debian package `package` and returns its standard output.
pub(crate) fn run(command: &mut Command, package: &'static str) -> Result<String> {
    // Debian keeps mke2fs and debugfs where an ordinary user's PATH does not look.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("LC_ALL", "C");
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NoProgram { program: command.get_program().to_string_lossy().into_owned(), package },
        _ => Error::Other(format!("cannot run {}: {error}", command.get_program().to_string_lossy())),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let line: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).map(|word| word.to_string_lossy().into_owned()).collect();
    let messages = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    Err(Error::Program { command: line.join(" "), status: output.status.to_string(), output: String::from_utf8_lossy(messages).trim().to_owned() })
}
