//! Builds the initramfs of the Linux guests.

use std::io::Write as _;
use std::path::Path;

use flate2::{Compression, GzBuilder};

use crate::cpio::Archive;
use crate::modules::Module;
use crate::tools::{Error, Result, at, entries, read, write};

/// The empty directories of the tree.
const DIRECTORIES: &[&str] = &["dev", "etc", "mnt", "newroot", "proc", "root", "run", "scripts", "sys", "tmp"];

/// The tree with busybox alone.
pub(crate) fn minimal(busybox: &Path, sources: &Path) -> Result<Archive> {
    let mut tree = Archive::default();
    for dir in DIRECTORIES {
        tree.directory(dir);
    }
    // The kernel opens the console before /init can mount devtmpfs.
    tree.character("dev/console", 5, 1);
    tree.character("dev/null", 1, 3);
    tree.link("sbin", "bin");
    tree.link("usr/bin", "../bin");
    tree.link("usr/sbin", "../bin");
    let program = read(busybox)?;
    for applet in applets(&program)? {
        tree.link(&format!("bin/{applet}"), "busybox");
    }
    tree.file("bin/busybox", true, program);
    tree.file("init", true, read(&sources.join("init"))?);
    tree.file("etc/udhcpc/default.script", true, read(&sources.join("udhcpc.script"))?);
    tree.file("etc/passwd", false, b"root:x:0:0:root:/root:/bin/sh\n".to_vec());
    tree.file("etc/group", false, b"root:x:0:\n".to_vec());
    tree.file("etc/hosts", false, b"127.0.0.1 localhost proteus\n".to_vec());
    for script in entries(&sources.join("scripts"))? {
        tree.file(&format!("scripts/{}", file_name(&script)), false, read(&script)?);
    }
    Ok(tree)
}

/// Adds modules and the list that `/init` loads them by.
pub(crate) fn add_modules(tree: &mut Archive, modules: Vec<Module>) {
    let order: String = modules.iter().map(|module| format!("{}.ko\n", module.name)).collect();
    for module in modules {
        tree.file(&format!("lib/modules/{}.ko", module.name), false, module.contents);
    }
    tree.file("lib/modules/order", false, order.into_bytes());
}

/// Adds our own programs.
pub(crate) fn add_programs(tree: &mut Archive, dir: &Path) -> Result<()> {
    for program in entries(dir)? {
        tree.file(&format!("bin/{}", file_name(&program)), true, read(&program)?);
    }
    Ok(())
}

/// Compresses the tree into `path`; the same tree gives the same file.
pub(crate) fn store(tree: &Archive, path: &Path) -> Result<()> {
    let mut out = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    out.write_all(&tree.to_bytes()).and_then(|()| out.finish()).map_err(at("compress", path)).and_then(|b| write(path, &b))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The names that busybox answers to, from its table of names (it cannot be run on the host).
///
/// The table is a run of strings, each ended by a zero byte, in order of name; the first two are
/// `[` and `[[`, and an empty string ends it.
pub(crate) fn applets(busybox: &[u8]) -> Result<Vec<String>> {
    const START: &[u8] = b"\0[\0[[\0";
    let table = busybox.windows(START.len()).position(|window| window == START).map(|at| &busybox[at + 1..]);
    let names: Vec<String> = table
        .unwrap_or_default()
        .split(|&byte| byte == 0)
        .take_while(|name| !name.is_empty() && name.is_ascii())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    for needed in ["sh", "mount", "switch_root", "poweroff", "cttyhack", "insmod", "udhcpc"] {
        if !names.iter().any(|name| name == needed) {
            return Err(Error::Other(format!("busybox has no applet {needed}: has Debian changed its configuration?")));
        }
    }
    Ok(names.into_iter().filter(|name| name != "busybox" && !name.contains('/')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applets_are_read_from_the_table() {
        let table = b"\x7fELF..\0x\0[\0[[\0ash\0cttyhack\0insmod\0mount\0poweroff\0sh\0switch_root\0udhcpc\0\0other\0";
        let names = applets(table).expect("a table");
        assert_eq!(names.first().map(String::as_str), Some("["));
        assert_eq!(names.last().map(String::as_str), Some("udhcpc"));
        assert!(applets(b"no table").is_err());
    }

    #[test]
    fn the_same_tree_gives_the_same_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut tree = Archive::default();
        tree.file("a", false, vec![1; 5000]);
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        store(&tree, &one).expect("stored");
        store(&tree, &two).expect("stored");
        assert_eq!(read(&one).expect("one"), read(&two).expect("two"));
    }
}
