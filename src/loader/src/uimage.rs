//! Legacy U-Boot images (`uImage`): a 64-byte big-endian header in front of the payload.

use std::ops::Range;

use flate2::Crc;

use crate::error::{Defect, be32, slice};
use crate::image::Architecture;

pub(crate) const MAGIC: u32 = 0x2705_1956;
const HEADER_SIZE: usize = 64;
const TYPE_KERNEL: u8 = 2;
const TYPE_KERNEL_NOLOAD: u8 = 14;

/// A legacy U-Boot image that holds a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UImage {
    /// The processor it is for, when it is one we know.
    pub architecture: Option<Architecture>,
    /// Guest address of the payload; `None` for kernels that run wherever they are put.
    pub load: Option<u64>,
    /// Guest address of the first instruction, or its offset when `load` is `None`.
    pub entry: u64,
    /// The payload's bytes.
    pub payload: Range<usize>,
    /// The payload is a gzip stream.
    pub gzip: bool,
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

impl UImage {
    /// Reads and checks the header, and the checksums of header and payload.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Defect> {
        let header = slice(bytes, "uImage header", 0, HEADER_SIZE as u64)?;
        let word = |at| be32(header, at).unwrap_or_default();
        let mut summed = header.to_vec();
        summed[4..8].fill(0);
        if crc(&summed) != word(4) {
            return Err(Defect::malformed("uImage", "header checksum is wrong"));
        }
        let size = word(12);
        let payload = slice(bytes, "uImage payload", HEADER_SIZE as u64, size.into())?;
        if crc(payload) != word(24) {
            return Err(Defect::malformed("uImage", "payload checksum is wrong"));
        }
        let (arch, kind, compression) = (header[29], header[30], header[31]);
        let load = match kind {
            TYPE_KERNEL => Some(word(16).into()),
            TYPE_KERNEL_NOLOAD => None,
            _ => {
                let what = format!("uImage of type {kind} is not a kernel (type 2 or 14)");
                return Err(Defect::Unsupported(what));
            }
        };
        let gzip = match compression {
            0 => false,
            1 => true,
            other => {
                let what = format!("uImage with compression {other}: only none and gzip are implemented");
                return Err(Defect::Unsupported(what));
            }
        };
        Ok(UImage {
            architecture: match arch {
                2 => Some(Architecture::Arm),
                3 => Some(Architecture::X86),
                5 => Some(Architecture::Mips { is_64: false, big_endian: true }),
                6 => Some(Architecture::Mips { is_64: true, big_endian: true }),
                22 => Some(Architecture::Aarch64),
                24 => Some(Architecture::X86_64),
                _ => None,
            },
            load,
            entry: word(20).into(),
            payload: HEADER_SIZE..HEADER_SIZE + payload.len(),
            gzip,
        })
    }
}
