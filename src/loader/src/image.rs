//! What kind of file this is: decided by its contents, never by its name.

use crate::elf::ElfImage;
use crate::error::{Defect, array, be32, le32, le64};
use crate::uimage::{self, UImage};

/// What the contents of a kernel or firmware file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Linux `Image` for AArch64 (Documentation/arch/arm64/booting.rst), also U-Boot with that header.
    LinuxArm64(LinuxArm64),
    /// Linux `zImage` for 32-bit Arm.
    LinuxArm(LinuxArm),
    /// Linux `bzImage` for x86.
    LinuxX86(LinuxX86),
    /// ELF executable.
    Elf(ElfImage),
    /// Legacy U-Boot image.
    UImage(UImage),
    /// A flattened device tree: not a kernel, but an easy mistake to make.
    DeviceTree,
    /// No header we know: bytes to be put in memory as they are.
    Raw,
}

/// The header of an AArch64 `Image`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinuxArm64 {
    /// Offset from a 2 MiB boundary.
    pub text_offset: u64,
    /// Bytes of memory the kernel needs from its load address; 0 before Linux 3.17.
    pub image_size: u64,
    /// Bit 0 big-endian, bits 2:1 page size, bit 3 may be anywhere in memory.
    pub flags: u64,
    /// The kernel runs big-endian (bit 0 of `flags`).
    pub big_endian: bool,
}

impl LinuxArm64 {
    /// Where the image goes, from the start of memory.
    ///
    /// Kernels before 3.17 give no size and go at 0x80000. Later ones give their offset; where
    /// that is too near the start of memory for the boot stub, which sits there, the image goes
    /// 2 MiB higher (all that the boot protocol allows).
    pub fn load_offset(&self) -> u64 {
        const STUB: u64 = 0x1000;
        const STEP: u64 = 0x20_0000;
        match self.image_size {
            0 => 0x8_0000,
            _ if self.text_offset < STUB => self.text_offset + STEP,
            _ => self.text_offset,
        }
    }
}

/// The header of a 32-bit Arm `zImage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinuxArm {
    /// Address the image was linked at (0: anywhere).
    pub start: u32,
    /// Address of its end.
    pub end: u32,
    /// The kernel runs big-endian.
    pub big_endian: bool,
}

/// The setup header of an x86 `bzImage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinuxX86 {
    /// Boot protocol, 0x020c for 2.12.
    pub protocol: u16,
    /// 512-byte sectors of real-mode code in front of the protected-mode kernel.
    pub setup_sectors: u8,
}

/// The processor a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm.
    Arm,
    /// MIPS.
    Mips {
        /// 64 bit.
        is_64: bool,
        /// Big-endian.
        big_endian: bool,
    },
    /// 32-bit x86.
    X86,
    /// 64-bit x86.
    X86_64,
    /// RISC-V.
    RiscV {
        /// 64 bit.
        is_64: bool,
    },
}

impl Image {
    /// The processor the file is for, where the file says so.
    pub fn architecture(&self) -> Option<Architecture> {
        match self {
            Image::LinuxArm64(_) => Some(Architecture::Aarch64),
            Image::LinuxArm(_) => Some(Architecture::Arm),
            Image::LinuxX86(_) => Some(Architecture::X86_64),
            Image::UImage(u) => u.architecture,
            Image::Elf(elf) => match elf.machine {
                3 => Some(Architecture::X86),
                8 => Some(Architecture::Mips { is_64: elf.is_64, big_endian: elf.big_endian }),
                40 => Some(Architecture::Arm),
                62 => Some(Architecture::X86_64),
                183 => Some(Architecture::Aarch64),
                243 => Some(Architecture::RiscV { is_64: elf.is_64 }),
                _ => None,
            },
            Image::DeviceTree | Image::Raw => None,
        }
    }
}

/// Finds out what the bytes are. Compressed files must have been expanded before (see
/// [`crate::load_kernel_file`]).
pub fn identify(bytes: &[u8]) -> Result<Image, Defect> {
    if bytes.starts_with(b"\x7fELF") {
        return ElfImage::parse(bytes).map(Image::Elf);
    }
    if be32(bytes, 0) == Some(uimage::MAGIC) {
        return UImage::parse(bytes).map(Image::UImage);
    }
    if be32(bytes, 0) == Some(crate::fdt::MAGIC) {
        return Ok(Image::DeviceTree);
    }
    Ok(linux_arm64(bytes)
        .map(Image::LinuxArm64)
        .or_else(|| linux_arm(bytes).map(Image::LinuxArm))
        .or_else(|| linux_x86(bytes).map(Image::LinuxX86))
        .unwrap_or(Image::Raw))
}

fn linux_arm64(bytes: &[u8]) -> Option<LinuxArm64> {
    if bytes.get(56..60)? != b"ARM\x64" {
        return None;
    }
    let flags = le64(bytes, 24)?;
    Some(LinuxArm64 { text_offset: le64(bytes, 8)?, image_size: le64(bytes, 16)?, flags, big_endian: flags & 1 != 0 })
}

fn linux_arm(bytes: &[u8]) -> Option<LinuxArm> {
    (le32(bytes, 0x24)? == 0x016f_2818).then_some(())?;
    Some(LinuxArm { start: le32(bytes, 0x28)?, end: le32(bytes, 0x2c)?, big_endian: le32(bytes, 0x30) == Some(0x0102_0304) })
}

fn linux_x86(bytes: &[u8]) -> Option<LinuxX86> {
    (bytes.get(0x202..0x206)? == b"HdrS" && bytes.get(0x1fe..0x200)? == [0x55, 0xaa]).then_some(())?;
    Some(LinuxX86 { protocol: array(bytes, 0x206).map(u16::from_le_bytes)?, setup_sectors: *bytes.get(0x1f1)? })
}
