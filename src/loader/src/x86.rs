//! Linux for x86: `bzImage` (The Linux/x86 Boot Protocol, Documentation/arch/x86/boot.rst).
//!
//! Nothing is put into memory here: firmware does that with what it is given.

use std::ops::Range;

use crate::error::{Defect, LoadError, le32, le64};
use crate::image::Image;
use crate::kernel::Kernel;

/// Offsets in the set-up header, from the start of the file.
mod header {
    pub const TYPE_OF_LOADER: usize = 0x210;
    pub const LOADFLAGS: usize = 0x211;
    pub const RAMDISK_IMAGE: usize = 0x218;
    pub const RAMDISK_SIZE: usize = 0x21c;
    pub const HEAP_END_PTR: usize = 0x224;
    pub const CMD_LINE_PTR: usize = 0x228;
    pub const INITRD_ADDR_MAX: usize = 0x22c;
    pub const CMDLINE_SIZE: usize = 0x238;
    pub const PREF_ADDRESS: usize = 0x258;
    pub const INIT_SIZE: usize = 0x260;
}

const LOADED_HIGH: u8 = 1;
const CAN_USE_HEAP: u8 = 1 << 7;
/// A boot loader without a number of its own.
const UNDEFINED_LOADER: u8 = 0xff;
const SECTOR: usize = 512;
/// Sectors of set-up code where the header has 0.
const DEFAULT_SECTORS: usize = 4;
/// The first protocol with a pointer to the command line.
const OLDEST: u16 = 0x0202;
/// The highest address of an initial RAM disk before protocol 2.03 gave it.
const OLD_INITRD_MAX: u32 = 0x37ff_ffff;
/// The longest command line before protocol 2.06 gave its length.
const OLD_CMDLINE: usize = 255;
const PAGE: u64 = 0x1000;

/// Where a BIOS loader puts the parts: the set-up code with its heap and stack, and the command line.
pub const SETUP_ADDRESS: u32 = 0x1_0000;
/// See [`SETUP_ADDRESS`].
pub const CMDLINE_ADDRESS: u32 = 0x2_0000;
/// Where the kernel proper goes.
pub const KERNEL_ADDRESS: u32 = 0x10_0000;
/// The end of the set-up code's heap, from its start.
const HEAP_END: u16 = 0xe000;
/// Most of the set-up code.
const SETUP_MAX: usize = 0x8000;

/// A kernel for a loader that runs on a BIOS and enters it in real mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealMode {
    /// The set-up code with its header filled in, for [`SETUP_ADDRESS`].
    pub setup: Vec<u8>,
    /// The rest of the file, for [`KERNEL_ADDRESS`].
    pub kernel: Range<usize>,
    /// The command line with its end, for [`CMDLINE_ADDRESS`].
    pub cmdline: Vec<u8>,
    /// Where the initial RAM disk goes.
    pub initrd_address: u32,
}

/// Prepares a `bzImage` for a loader on a BIOS. Memory from 1 MiB to `ram_end` is free for kernel
/// and initial RAM disk, which has `initrd` bytes.
pub fn real_mode(kernel: &Kernel, cmdline: &str, initrd: u64, ram_end: u64) -> Result<RealMode, LoadError> {
    plan(kernel, cmdline, initrd, ram_end).map_err(|d| d.in_file(&kernel.file))
}

/// Where a kernel that is loaded at `load` unpacks itself: at its preferred address, if that is higher.
pub(crate) fn unpacked_at(bytes: &[u8], protocol: u16, load: u64) -> u64 {
    if protocol >= 0x20a { load.max(le64(bytes, header::PREF_ADDRESS).unwrap_or(0)) } else { load }
}

fn plan(kernel: &Kernel, cmdline: &str, initrd: u64, ram_end: u64) -> Result<RealMode, Defect> {
    let Image::LinuxX86(x86) = &kernel.image else {
        return Err(Defect::Unsupported("the firmware of this board starts a Linux bzImage only".into()));
    };
    let bytes = &kernel.bytes;
    let sectors = match x86.setup_sectors {
        0 => DEFAULT_SECTORS,
        n => n.into(),
    };
    let setup_len = (sectors + 1) * SECTOR;
    let truncated = || Defect::Truncated { what: "set-up code", end: setup_len as u64, size: bytes.len() as u64 };
    let mut setup = bytes.get(..setup_len).ok_or_else(truncated)?.to_vec();
    if setup_len > SETUP_MAX {
        return Err(Defect::malformed("bzImage", format!("{sectors} sectors of set-up code, of which there may be {}", SETUP_MAX / SECTOR - 1)));
    }
    if x86.protocol < OLDEST || bytes.get(header::LOADFLAGS).is_none_or(|f| f & LOADED_HIGH == 0) {
        return Err(Defect::Unsupported(format!("a zImage, or boot protocol {:#x}: 2.02 with a bzImage is the oldest that can be started", x86.protocol)));
    }
    let longest = if x86.protocol >= 0x206 { le32(bytes, header::CMDLINE_SIZE).unwrap_or(0) as usize } else { OLD_CMDLINE };
    if cmdline.len() > longest {
        return Err(Defect::Unsupported(format!("its command line can have {longest} bytes, and -append has {}", cmdline.len())));
    }
    let len = (bytes.len() - setup_len) as u64;
    let needs = if x86.protocol >= 0x20a { u64::from(le32(bytes, header::INIT_SIZE).unwrap_or(0)).max(len) } else { len };
    let kernel_end = unpacked_at(bytes, x86.protocol, KERNEL_ADDRESS.into()).saturating_add(needs);
    let no_room = |what, start, end| Defect::DoesNotFit { what, start, end, ram_start: KERNEL_ADDRESS.into(), ram_end };
    if kernel_end > ram_end {
        return Err(no_room("kernel", KERNEL_ADDRESS.into(), kernel_end));
    }
    let most = if x86.protocol >= 0x203 { le32(bytes, header::INITRD_ADDR_MAX).unwrap_or(OLD_INITRD_MAX) } else { OLD_INITRD_MAX };
    let end = ram_end.min(u64::from(most) + 1);
    let initrd_address = end.saturating_sub(initrd) & !(PAGE - 1);
    if initrd > 0 && initrd_address < kernel_end {
        return Err(no_room("initial RAM disk", initrd_address, initrd_address.saturating_add(initrd)));
    }
    let initrd_address = if initrd > 0 { initrd_address as u32 } else { 0 };
    fill_in(&mut setup, initrd_address, initrd as u32);
    let cmdline = [cmdline.as_bytes(), &[0]].concat();
    Ok(RealMode { setup, kernel: setup_len..bytes.len(), cmdline, initrd_address })
}

/// Fills in what a loader has to.
fn fill_in(setup: &mut [u8], initrd_address: u32, initrd: u32) {
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = setup.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    put(header::TYPE_OF_LOADER, &[UNDEFINED_LOADER]);
    put(header::RAMDISK_IMAGE, &initrd_address.to_le_bytes());
    put(header::RAMDISK_SIZE, &initrd.to_le_bytes());
    // Counted from 512 bytes behind the start.
    put(header::HEAP_END_PTR, &(HEAP_END - 0x200).to_le_bytes());
    put(header::CMD_LINE_PTR, &CMDLINE_ADDRESS.to_le_bytes());
    if let Some(flags) = setup.get_mut(header::LOADFLAGS) {
        *flags |= CAN_USE_HEAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const VERSION: usize = 0x206;
    /// The end of the header.
    const END: usize = 0x268;

    /// A bzImage of protocol 2.12 with one sector of set-up code and 1000 bytes behind it.
    fn image(change: impl FnOnce(&mut Vec<u8>)) -> Kernel {
        let mut bytes = vec![0x90; 2 * SECTOR + 1000];
        bytes[0x1f1..END].fill(0);
        bytes[0x1f1] = 1;
        bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[VERSION..VERSION + 2].copy_from_slice(&0x20cu16.to_le_bytes());
        bytes[header::LOADFLAGS] = LOADED_HIGH;
        bytes[header::INITRD_ADDR_MAX..header::INITRD_ADDR_MAX + 4].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
        bytes[header::CMDLINE_SIZE..header::CMDLINE_SIZE + 4].copy_from_slice(&2047u32.to_le_bytes());
        bytes[header::INIT_SIZE..header::INIT_SIZE + 4].copy_from_slice(&0x10_0000u32.to_le_bytes());
        change(&mut bytes);
        Kernel::from_bytes(Path::new("bzImage"), bytes, 1 << 30).unwrap()
    }

    #[test]
    fn the_header_is_filled_in() {
        let k = image(|_| {});
        let plan = real_mode(&k, "console=ttyS0", 0x1234, 64 << 20).unwrap();
        assert_eq!((plan.setup.len(), plan.kernel.clone(), plan.cmdline.as_slice()), (1024, 1024..2024, &b"console=ttyS0\0"[..]));
        assert_eq!(plan.initrd_address, 0x03ff_e000);
        let word = |at| le32(&plan.setup, at).unwrap();
        assert_eq!((word(header::RAMDISK_IMAGE), word(header::RAMDISK_SIZE), word(header::CMD_LINE_PTR)), (0x03ff_e000, 0x1234, 0x2_0000));
        assert_eq!((plan.setup[header::TYPE_OF_LOADER], plan.setup[header::LOADFLAGS], word(header::HEAP_END_PTR) & 0xffff), (0xff, 0x81, 0xde00));
        // Nothing else has changed.
        assert_eq!(plan.setup[END..], k.bytes[END..1024]);
        assert_eq!(real_mode(&k, "", 0x1000, 4 << 30).unwrap().initrd_address, 0x7fff_f000);
    }

    #[test]
    fn what_cannot_be_started_is_refused() {
        let cases: [(&str, Kernel, &str, u64, u64); 6] = [
            ("zImage", image(|b| b[header::LOADFLAGS] = 0), "", 0, 64 << 20),
            ("protocol 0x201", image(|b| b[VERSION] = 1), "", 0, 64 << 20),
            ("set-up code", image(|b| b[0x1f1] = 200), "", 0, 64 << 20),
            ("2047 bytes", image(|_| {}), &"x".repeat(2048), 0, 64 << 20),
            ("kernel at", image(|_| {}), "", 0, 0x18_0000),
            ("initial RAM disk", image(|_| {}), "", 63 << 20, 64 << 20),
        ];
        for (want, kernel, cmdline, initrd, ram) in cases {
            let text = real_mode(&kernel, cmdline, initrd, ram).unwrap_err().to_string();
            assert!(text.contains(want), "{want}: {text}");
        }
        let raw = Kernel::from_bytes(Path::new("raw"), vec![1, 2, 3], 100).unwrap();
        assert!(real_mode(&raw, "", 0, 64 << 20).unwrap_err().to_string().contains("bzImage only"));
    }
}
