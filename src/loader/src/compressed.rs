//! Compressed kernels: gzip (`Image.gz`) and the EFI zboot wrapper (`vmlinuz.efi`).
//!
//! A gzip stream of a few kilobytes can expand to gigabytes, so every expansion stops at a limit:
//! what cannot fit in the guest's memory is of no use anyway.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::error::{Defect, array, le32, slice};

/// Starts a gzip stream (RFC 1952) with deflate, the one method there is.
pub const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Whether these are the bytes of a gzip stream.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP_MAGIC)
}

/// Expands a gzip stream of at most `limit` bytes. Bytes after it are ignored: build
/// systems pad kernels and append to them.
pub fn gunzip(bytes: &[u8], limit: u64) -> Result<Vec<u8>, Defect> {
    let mut out = Vec::new();
    let mut stream = GzDecoder::new(bytes).take(limit.saturating_add(1));
    let result = stream.read_to_end(&mut out);
    if out.len() as u64 > limit {
        return Err(Defect::TooLarge { limit });
    }
    match result {
        Ok(_) => Ok(out),
        Err(e) => Err(Defect::malformed("gzip", format!("{e} after {:#x} bytes", out.len()))),
    }
}

/// The payload of an EFI zboot image: a PE program that carries a compressed `Image` and where to
/// find it. `None` when the bytes are not one.
///
/// Layout (the kernel's `zboot-header.S`): "MZ", `zimg` at 4, payload offset at 8, payload size at
/// 12, name of the compression at 24.
pub fn zboot_payload(bytes: &[u8], limit: u64) -> Result<Option<Vec<u8>>, Defect> {
    if !bytes.starts_with(b"MZ") || bytes.get(4..8) != Some(b"zimg") {
        return Ok(None);
    }
    let header = Defect::Truncated { what: "EFI zboot header", end: 56, size: bytes.len() as u64 };
    let (Some(offset), Some(size), Some(name)) = (le32(bytes, 8), le32(bytes, 12), array::<32>(bytes, 24)) else {
        return Err(header);
    };
    let payload = slice(bytes, "EFI zboot payload", offset.into(), size.into())?;
    let name = name.split(|&b| b == 0).next().unwrap_or_default();
    if name == b"gzip" {
        return gunzip(payload, limit).map(Some);
    }
    let name = String::from_utf8_lossy(name).replace(char::is_control, "?");
    Err(Defect::Unsupported(format!(
        "EFI zboot kernel compressed with \"{name}\"; only gzip is implemented: \
         build it with CONFIG_KERNEL_GZIP, or use the uncompressed Image"
    )))
}
