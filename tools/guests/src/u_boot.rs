//! Makes firmware of Debian's U-Boot.

use crate::fetch::Build;
use crate::tools::{Error, Result, read, write};

/// Size of the Malta board's monitor flash in bytes.
const MALTA_FLASH: usize = 4 << 20;

/// U-Boot for the Malta board with a little-endian core: as a firmware file, and as the whole flash
/// with an erased environment.
///
/// The board's flash is wired for a big-endian core, and a little-endian one sees the bytes of each
/// 32-bit word turned round. U-Boot's build calls a file that allows for it `u-boot-swap.bin`, and
/// Debian ships the one that does not.
pub(crate) fn malta(build: &Build) -> Result<()> {
    let board = match build.architecture() {
        "mipsel" => "maltael",
        "mips64el" => "malta64el",
        other => return Err(Error::Other(format!("no U-Boot is known for a Malta board with a {other} core"))),
    };
    let path = build.package("u-boot-qemu").join("usr/lib/u-boot").join(board).join("u-boot.bin");
    let swapped = swap_words(&read(&path)?);
    if swapped.len() > MALTA_FLASH {
        return Err(Error::Other(format!("{} does not fit into {MALTA_FLASH} bytes of flash", path.display())));
    }
    write(&build.output("u-boot-swap.bin"), &swapped)?;
    let mut flash = swapped;
    flash.resize(MALTA_FLASH, 0xff);
    write(&build.output("u-boot-flash.img"), &flash)
}

/// Turns the bytes of each 32-bit word round; what lacks at the end is erased flash.
fn swap_words(bytes: &[u8]) -> Vec<u8> {
    let word = |four: &[u8]| (0..4).rev().map(|at| four.get(at).copied().unwrap_or(0xff)).collect::<Vec<u8>>();
    bytes.chunks(4).flat_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_swapped_and_the_last_one_is_filled_up() {
        assert_eq!(swap_words(&[1, 2, 3, 4, 5]), [4, 3, 2, 1, 0xff, 0xff, 0xff, 5]);
        assert_eq!(swap_words(&[]), []);
    }
}
