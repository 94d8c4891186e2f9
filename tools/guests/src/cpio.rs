//! Writes the `newc` format of cpio, which Linux unpacks as its initramfs.
//!
//! The same contents give the same bytes: entries are sorted by name, owned by root, and without
//! times.

use std::collections::BTreeMap;

/// What an entry is.
#[derive(Clone, Debug)]
enum Kind {
    Directory,
    File { executable: bool, contents: Vec<u8> },
    Link(String),
    Character { major: u32, minor: u32 },
}

/// An archive in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Kind>,
}

impl Archive {
    /// Adds a directory, and those above it.
    pub(crate) fn directory(&mut self, path: &str) {
        self.parents(path);
        self.entries.insert(path.to_owned(), Kind::Directory);
    }

    /// Adds a file, and the directories above it.
    pub(crate) fn file(&mut self, path: &str, executable: bool, contents: Vec<u8>) {
        self.parents(path);
        self.entries.insert(path.to_owned(), Kind::File { executable, contents });
    }

    /// Adds a symbolic link, unless the name is taken.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entries.entry(path.to_owned()).or_insert_with(|| Kind::Link(target.to_owned()));
    }

    /// Adds a character device.
    pub(crate) fn character(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.entries.insert(path.to_owned(), Kind::Character { major, minor });
    }

    fn parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            self.entries.entry(path[..at].to_owned()).or_insert(Kind::Directory);
        }
    }

    /// The archive's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (inode, (path, kind)) in (1..).zip(&self.entries) {
            let (mode, contents, device) = match kind {
                Kind::Directory => (0o40_755, &[][..], (0, 0)),
                Kind::File { executable: true, contents } => (0o100_755, &contents[..], (0, 0)),
                Kind::File { executable: false, contents } => (0o100_644, &contents[..], (0, 0)),
                Kind::Link(target) => (0o120_777, target.as_bytes(), (0, 0)),
                Kind::Character { major, minor } => (0o20_600, &[][..], (*major, *minor)),
            };
            entry(&mut out, inode, path, mode, contents, device);
        }
        entry(&mut out, 0, "TRAILER!!!", 0, &[], (0, 0));
        out
    }
}

/// Appends one entry: a header of thirteen hexadecimal fields, the name, the contents.
fn entry(out: &mut Vec<u8>, inode: u32, path: &str, mode: u32, contents: &[u8], device: (u32, u32)) {
    let links = if mode & 0o170_000 == 0o40_000 { 2 } else { 1 };
    let size = contents.len() as u32;
    let name_size = path.len() as u32 + 1;
    out.extend_from_slice(b"070701");
    for field in [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0] {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(contents);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_and_padding_are_as_the_format_wants() {
        let mut archive = Archive::default();
        archive.file("bin/hello", true, b"hi\n".to_vec());
        let bytes = archive.to_bytes();
        // "bin", then "bin/hello".
        assert_eq!(&bytes[..110], format!("070701{:08X}{:08X}{z}{z}{:08X}{z}{z}{z}{z}{z}{z}{:08X}{z}", 1, 0o40_755, 2, 4, z = "00000000").as_bytes());
        assert_eq!(&bytes[110..116], b"bin\0\0\0".as_slice().get(..6).unwrap_or_default());
        let second = &bytes[116..];
        assert_eq!(&second[14..22], b"000081ED");
        assert_eq!(&second[54..62], b"00000003");
        assert_eq!(&second[110..124], b"bin/hello\0hi\n\0");
        assert!(bytes.len().is_multiple_of(4));
        assert!(bytes.windows(10).any(|w| w == b"TRAILER!!!"));
    }

    #[test]
    fn order_of_adding_does_not_matter() {
        let mut one = Archive::default();
        one.character("dev/console", 5, 1);
        one.link("sbin", "bin");
        let mut two = Archive::default();
        two.link("sbin", "bin");
        two.directory("dev");
        two.character("dev/console", 5, 1);
        assert_eq!(one.to_bytes(), two.to_bytes());
    }
}
