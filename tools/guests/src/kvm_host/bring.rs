//! Files of this machine for the host's disk, at the paths that they have here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tools::{Result, at, entries, make_dir};

/// A program as a shell finds it.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return None;
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// What may be a path: a word, or a part of it as in `if=virtio,file=disk.img`.
pub(super) fn paths(word: &str) -> impl Iterator<Item = &Path> {
    std::iter::once(word).chain(word.split([',', '='])).filter(|part| part.contains('/')).map(Path::new)
}

/// Where a path of this machine is below `tree`.
pub(super) fn below(tree: &Path, path: &Path) -> PathBuf {
    tree.join(path.strip_prefix("/").unwrap_or(path))
}

/// Brings a file with the libraries that it needs, or all files of a directory.
pub(super) fn bring(tree: &Path, path: &Path) -> Result<()> {
    let path = std::path::absolute(path).map_err(at("find", path))?;
    if path.is_dir() {
        make_dir(&below(tree, &path))?;
        return entries(&path)?.iter().filter(|inner| inner.exists()).try_for_each(|inner| bring(tree, inner));
    }
    bring_as(&path, &below(tree, &path))?;
    libraries(&path)?.iter().try_for_each(|library| bring_as(library, &below(tree, library)))
}

/// A link to the file where it can be one, for it may be large.
pub(super) fn bring_as(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    to.parent().map_or(Ok(()), make_dir)?;
    let real = fs::canonicalize(from).map_err(at("read", from))?;
    fs::hard_link(&real, to).or_else(|_| fs::copy(&real, to).map(drop)).map_err(at("read", from))
}

/// The libraries of a program, and its loader, as ldd tells them.
fn libraries(path: &Path) -> Result<Vec<PathBuf>> {
    let mut start = [0; 4];
    let of_elf = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start)).is_ok() && start == *b"\x7fELF";
    if !of_elf {
        return Ok(vec![]);
    }
    // It fails where there are none.
    let told = Command::new("ldd").arg(path).env("LC_ALL", "C").stderr(Stdio::null()).output().map_err(at("ask ldd about", path))?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    Ok(told.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).filter(|library| library.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_options() {
        assert_eq!(paths("if=virtio,file=/a/b").collect::<Vec<_>>(), [Path::new("if=virtio,file=/a/b"), Path::new("/a/b")]);
        assert_eq!(paths("./a").next(), Some(Path::new("./a")));
        assert_eq!(paths("file=a").next(), None);
    }

    #[test]
    fn a_program_comes_with_its_libraries_at_the_paths_that_they_have_here() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("given")).expect("made");
        fs::write(dir.path().join("given/file"), "x").expect("written");
        let tree = dir.path().join("tree");
        let this = std::env::current_exe().expect("this program");
        bring(&tree, &this).expect("brought");
        bring(&tree, &dir.path().join("given")).expect("brought");
        assert!(below(&tree, &this).is_file());
        assert!(below(&tree, &dir.path().join("given/file")).is_file());
        assert!(crate::tools::files_below(&tree).expect("files").iter().any(|file| file.to_string_lossy().contains("/libc.so.")));
    }
}
