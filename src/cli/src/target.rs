//! Which architecture: from the name the program was called by.

use std::path::Path;

use proteus_machines::Architecture;

/// A target, by the last part of QEMU's program names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetName {
    /// 64-bit Arm, which also runs AArch32.
    Aarch64,
    /// 32-bit Arm.
    Arm,
    /// MIPS, 32 bit, big-endian.
    Mips,
    /// MIPS, 32 bit, little-endian.
    Mipsel,
    /// MIPS, 64 bit, big-endian.
    Mips64,
    /// MIPS, 64 bit, little-endian.
    Mips64el,
    /// x86, 64 bit.
    X86_64,
}

impl TargetName {
    /// All targets.
    pub const ALL: [TargetName; 7] =
        [TargetName::Aarch64, TargetName::Arm, TargetName::Mips, TargetName::Mipsel, TargetName::Mips64, TargetName::Mips64el, TargetName::X86_64];

    /// The last part of the program's name, and what QMP's `query-target` says.
    pub fn name(self) -> &'static str {
        match self {
            TargetName::Aarch64 => "aarch64",
            TargetName::Arm => "arm",
            TargetName::Mips => "mips",
            TargetName::Mipsel => "mipsel",
            TargetName::Mips64 => "mips64",
            TargetName::Mips64el => "mips64el",
            TargetName::X86_64 => "x86_64",
        }
    }

    /// What the processors are, as boards have it. Arm's board has 64-bit processors under either
    /// name.
    pub fn architecture(self) -> Architecture {
        let mips = |is_64, big_endian| Architecture::Mips { is_64, big_endian };
        match self {
            TargetName::Aarch64 | TargetName::Arm => Architecture::Aarch64,
            TargetName::Mips => mips(false, true),
            TargetName::Mipsel => mips(false, false),
            TargetName::Mips64 => mips(true, true),
            TargetName::Mips64el => mips(true, false),
            TargetName::X86_64 => Architecture::X86_64,
        }
    }
}

/// The target of `proteus-system-aarch64`, `qemu-system-aarch64` and any other name that ends so,
/// with or without a directory in front. `None` for `proteus`, which finds the target from
/// `-machine`, the kernel or the firmware.
pub fn target_from_argv0(name: &str) -> Option<TargetName> {
    let file = Path::new(name).file_name()?.to_str()?;
    let (_, last) = file.rsplit_once('-')?;
    TargetName::ALL.into_iter().find(|target| target.name() == last)
}

/// The name for messages: without directory.
pub fn program_name(argv0: &str) -> &str {
    Path::new(argv0).file_name().and_then(|name| name.to_str()).unwrap_or("proteus")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_last_part_of_the_name() {
        for (name, expected) in [
            ("proteus-system-aarch64", Some(TargetName::Aarch64)),
            ("/usr/bin/qemu-system-aarch64", Some(TargetName::Aarch64)),
            ("./x-arm", Some(TargetName::Arm)),
            ("a-mips", Some(TargetName::Mips)),
            ("a-mipsel", Some(TargetName::Mipsel)),
            ("a-mips64", Some(TargetName::Mips64)),
            ("a-mips64el", Some(TargetName::Mips64el)),
            ("qemu-system-x86_64", Some(TargetName::X86_64)),
            ("proteus", None),
            ("aarch64", None),
            ("proteus-system-sparc", None),
            ("proteus-system-aarch64/", Some(TargetName::Aarch64)),
            ("", None),
            ("/", None),
        ] {
            assert_eq!(target_from_argv0(name), expected, "{name}");
        }
        assert_eq!(program_name("/usr/bin/qemu-system-arm"), "qemu-system-arm");
    }
}
