//! Image formats by their first bytes.

/// The format that these first bytes of an image show, or `None` for a raw image.
pub(super) fn format(head: &[u8]) -> Option<&'static str> {
    // The version tells the two formats of one magic apart.
    let qcow = |version: u8| if version == 1 { "qcow" } else { "qcow2" };
    let magics: [(usize, &[u8], &'static str); 10] = [
        (0, b"QED\0", "qed"),
        (0, b"KDMV", "vmdk"),
        (0, b"COWD", "vmdk"),
        (0, b"# Disk DescriptorFile", "vmdk"),
        (0, b"conectix", "vpc"),
        (0, b"vhdxfile", "vhdx"),
        (0x40, &0xbeda_107f_u32.to_le_bytes(), "vdi"),
        (0, b"LUKS\xba\xbe", "luks"),
        (0, b"WithoutFreeSpace", "parallels"),
        (0, b"WithouFreSpacExt", "parallels"),
    ];
    if head.starts_with(b"QFI\xfb") {
        return Some(qcow(head.get(7).copied().unwrap_or_default()));
    }
    magics.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic))).map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn magics() {
        assert_eq!(format(b"QFI\xfb\0\0\0\x03"), Some("qcow2"));
        assert_eq!(format(b"QFI\xfb\0\0\0\x01"), Some("qcow"));
        assert_eq!(format(b"vhdxfile"), Some("vhdx"));
        let mut vdi = [0; 512];
        vdi[0x40..0x44].copy_from_slice(&[0x7f, 0x10, 0xda, 0xbe]);
        assert_eq!(format(&vdi), Some("vdi"));
        for raw in [&b""[..], b"QFI", &[0; 512], b"\x7fELF"] {
            assert_eq!(format(raw), None);
        }
    }
}
