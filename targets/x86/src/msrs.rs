//! Model-specific registers by name (SDM vol. 4; APM vol. 2, appendix A; the paravirtual ones by
//! Documentation/virt/kvm/x86/msr.rst).

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msr {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
}

/// IA32_TIME_STAMP_COUNTER.
pub const TSC: u32 = 0x10;
/// IA32_TSC_DEADLINE.
pub const TSC_DEADLINE: u32 = 0x6e0;

/// The registers known by name.
#[rustfmt::skip]
pub static MSRS: &[Msr] = &[
    Msr { number: TSC, name: "IA32_TIME_STAMP_COUNTER" },
    Msr { number: 0x1b, name: "IA32_APIC_BASE" },
    Msr { number: 0x34, name: "MSR_SMI_COUNT" },
    Msr { number: 0x3a, name: "IA32_FEATURE_CONTROL" },
    Msr { number: 0x3b, name: "IA32_TSC_ADJUST" },
    Msr { number: 0x48, name: "IA32_SPEC_CTRL" },
    Msr { number: 0x8b, name: "IA32_BIOS_SIGN_ID" },
    Msr { number: 0x9e, name: "IA32_SMBASE" },
    Msr { number: 0xce, name: "MSR_PLATFORM_INFO" },
    Msr { number: 0xfe, name: "IA32_MTRRCAP" },
    Msr { number: 0x10a, name: "IA32_ARCH_CAPABILITIES" },
    Msr { number: 0x140, name: "MSR_MISC_FEATURES_ENABLES" },
    Msr { number: 0x174, name: "IA32_SYSENTER_CS" },
    Msr { number: 0x175, name: "IA32_SYSENTER_ESP" },
    Msr { number: 0x176, name: "IA32_SYSENTER_EIP" },
    Msr { number: 0x17a, name: "IA32_MCG_STATUS" },
    Msr { number: 0x17b, name: "IA32_MCG_CTL" },
    Msr { number: 0x1a0, name: "IA32_MISC_ENABLE" },
    Msr { number: 0x1d9, name: "IA32_DEBUGCTL" },
    Msr { number: 0x1db, name: "MSR_LASTBRANCH_FROM_IP" },
    Msr { number: 0x1dc, name: "MSR_LASTBRANCH_TO_IP" },
    Msr { number: 0x1dd, name: "MSR_LASTINT_FROM_IP" },
    Msr { number: 0x1de, name: "MSR_LASTINT_TO_IP" },
    Msr { number: 0x1fc, name: "MSR_POWER_CTL" },
    Msr { number: 0x277, name: "IA32_PAT" },
    Msr { number: 0x2ff, name: "IA32_MTRR_DEF_TYPE" },
    Msr { number: 0x345, name: "IA32_PERF_CAPABILITIES" },
    Msr { number: TSC_DEADLINE, name: "IA32_TSC_DEADLINE" },
    Msr { number: 0xda0, name: "IA32_XSS" },
    Msr { number: 0xc000_0080, name: "IA32_EFER" },
    Msr { number: 0xc000_0081, name: "IA32_STAR" },
    Msr { number: 0xc000_0082, name: "IA32_LSTAR" },
    Msr { number: 0xc000_0083, name: "IA32_CSTAR" },
    Msr { number: 0xc000_0084, name: "IA32_FMASK" },
    Msr { number: 0xc000_0100, name: "IA32_FS_BASE" },
    Msr { number: 0xc000_0101, name: "IA32_GS_BASE" },
    Msr { number: 0xc000_0102, name: "IA32_KERNEL_GS_BASE" },
    Msr { number: 0xc000_0103, name: "IA32_TSC_AUX" },
    Msr { number: 0xc001_0015, name: "HWCR" },
    Msr { number: 0xc001_0117, name: "VM_HSAVE_PA" },
    Msr { number: 0xc001_011f, name: "VIRT_SSBD" },
    Msr { number: 0x11, name: "MSR_KVM_WALL_CLOCK" },
    Msr { number: 0x12, name: "MSR_KVM_SYSTEM_TIME" },
    Msr { number: 0x4b56_4d00, name: "MSR_KVM_WALL_CLOCK_NEW" },
    Msr { number: 0x4b56_4d01, name: "MSR_KVM_SYSTEM_TIME_NEW" },
    Msr { number: 0x4b56_4d02, name: "MSR_KVM_ASYNC_PF_EN" },
    Msr { number: 0x4b56_4d03, name: "MSR_KVM_STEAL_TIME" },
    Msr { number: 0x4b56_4d04, name: "MSR_KVM_PV_EOI_EN" },
    Msr { number: 0x4b56_4d05, name: "MSR_KVM_POLL_CONTROL" },
    Msr { number: 0x4b56_4d06, name: "MSR_KVM_ASYNC_PF_INT" },
    Msr { number: 0x4b56_4d07, name: "MSR_KVM_ASYNC_PF_ACK" },
];

/// The name of a register, or its number.
pub fn name(number: u32) -> String {
    MSRS.iter().find(|m| m.number == number).map_or_else(|| format!("MSR {number:#x}"), |m| m.name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_register_is_there_once() {
        let numbers: BTreeSet<_> = MSRS.iter().map(|m| m.number).collect();
        let names: BTreeSet<_> = MSRS.iter().map(|m| m.name).collect();
        assert_eq!((numbers.len(), names.len()), (MSRS.len(), MSRS.len()));
        assert_eq!((name(0xc000_0082), name(0x1234)), ("IA32_LSTAR".into(), "MSR 0x1234".into()));
    }
}
