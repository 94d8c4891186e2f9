//! Whether KVM can be used here, and if not, why and what to do.

use std::io::{Error, ErrorKind};
use std::path::Path;

/// The device.
pub const DEVICE: &str = "/dev/kvm";

/// Why the device cannot be opened, and what to do.
pub fn why(error: Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!("{DEVICE}: permission denied; join its group (usually: sudo usermod -aG kvm $USER, and log in again)"),
        ErrorKind::NotFound => absent(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), Path::new("/sys/module/kvm").exists()),
        _ if error.raw_os_error() == Some(libc::EBUSY) => format!("{DEVICE}: in use by another hypervisor (VirtualBox, VMware?); stop that"),
        _ => format!("{DEVICE}: {error}"),
    }
}

/// Why there is no device.
fn absent(cpuinfo: &str, module: bool) -> String {
    let flags: Vec<&str> = cpuinfo.lines().filter(|l| l.starts_with("flags") || l.starts_with("Features")).flat_map(str::split_whitespace).collect();
    let has = |flag: &str| flags.contains(&flag);
    let name = if has("svm") { "kvm_amd" } else { "kvm_intel" };
    match (has("vmx") || has("svm"), has("hypervisor"), module) {
        (true, _, false) => format!("{DEVICE} is not there: the kernel module is not loaded (sudo modprobe {name})"),
        (true, _, true) => format!(
            "{DEVICE} is not there though the module kvm is: {name} refuses, which is what happens where the firmware has switched virtualization off (see dmesg, and the firmware's setup: VT-x, AMD-V, SVM)"
        ),
        (false, true, _) => format!(
            "{DEVICE} is not there: this is a virtual machine, whose host does not offer nested virtualization (kvm_intel or kvm_amd with nested=1 there, or another type of instance)"
        ),
        (false, false, _) => {
            format!("{DEVICE} is not there: the processor has no virtualization, or its firmware has switched it off (VT-x, AMD-V, SVM in its setup)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_advice() {
        for (cpuinfo, module, advice) in [
            ("flags : fpu vmx sse", false, "modprobe kvm_intel"),
            ("flags : fpu svm sse", false, "modprobe kvm_amd"),
            ("flags : fpu svm sse", true, "firmware"),
            ("flags : fpu hypervisor", false, "nested"),
            ("flags : fpu", false, "no virtualization"),
        ] {
            assert!(absent(cpuinfo, module).contains(advice), "{cpuinfo} {module}");
        }
        assert!(why(Error::from_raw_os_error(libc::EACCES)).contains("usermod"));
        assert!(why(Error::from_raw_os_error(libc::EBUSY)).contains("another hypervisor"));
    }
}
