//! Processor models: `-cpu` names, what each implements, and the values of its identification
//! registers. They never claim what is not implemented here: AArch32 is absent from all.

use crate::a64::Feature;

/// A model's identification registers (Arm ARM D17.2), AArch64 state only.
#[derive(Clone, Copy, Debug)]
pub struct Id {
    /// MIDR_EL1.
    pub midr: u64,
    /// REVIDR_EL1.
    pub revidr: u64,
    /// ID_AA64PFR0_EL1 without EL2, EL3 and GIC, which the machine decides.
    pub pfr0: u64,
    /// ID_AA64PFR1_EL1.
    pub pfr1: u64,
    /// ID_AA64DFR0_EL1.
    pub dfr0: u64,
    /// ID_AA64ISAR0_EL1.
    pub isar0: u64,
    /// ID_AA64ISAR1_EL1.
    pub isar1: u64,
    /// ID_AA64MMFR0_EL1.
    pub mmfr0: u64,
    /// ID_AA64MMFR1_EL1.
    pub mmfr1: u64,
    /// ID_AA64MMFR2_EL1.
    pub mmfr2: u64,
    /// CTR_EL0.
    pub ctr: u64,
    /// CLIDR_EL1.
    pub clidr: u64,
    /// CCSIDR_EL1 by CSSELR_EL1: L1 data, L1 instruction, L2.
    pub ccsidr: [u64; 3],
    /// SCTLR_EL1 at reset.
    pub sctlr: u64,
}

/// One model.
#[derive(Debug)]
pub struct Model {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// `compatible` of the cpu node.
    pub compatible: &'static str,
    /// Its registers.
    pub id: Id,
    /// What it has beyond the base.
    pub features: &'static [Feature],
    /// Implementation defined registers of the Cortex-A5x and A7x are there.
    pub cortex: bool,
}

const V8: &[Feature] = &[Feature::Crc32, Feature::Aes, Feature::Pmull, Feature::Sha1, Feature::Sha256];

/// Debug v8.0, PMUv3, six breakpoints, four watchpoints, two context-aware.
const DFR0: u64 = 0x1030_5106;
/// AES with PMULL, SHA1, SHA256, CRC32.
const ISAR0: u64 = 0x0001_1120;

/// Every model.
pub static MODELS: &[Model] = &[
    Model {
        name: "cortex-a53",
        description: "ARM Cortex-A53 r0p4 (DDI 0500)",
        compatible: "arm,cortex-a53",
        id: Id {
            midr: 0x410f_d034,
            revidr: 0x100,
            pfr0: 0x11,
            pfr1: 0,
            dfr0: DFR0,
            isar0: ISAR0,
            isar1: 0,
            mmfr0: 0x1122,
            mmfr1: 0,
            mmfr2: 0,
            ctr: 0x8444_8004,
            clidr: 0x0a20_0023,
            ccsidr: [0x700f_e01a, 0x201f_e00a, 0x707f_e07a],
            sctlr: 0x00c5_0838,
        },
        features: V8,
        cortex: true,
    },
    Model {
        name: "cortex-a57",
        description: "ARM Cortex-A57 r1p0 (DDI 0488)",
        compatible: "arm,cortex-a57",
        id: Id {
            midr: 0x411f_d070,
            revidr: 0,
            pfr0: 0x11,
            pfr1: 0,
            dfr0: DFR0,
            isar0: ISAR0,
            isar1: 0,
            mmfr0: 0x1124,
            mmfr1: 0,
            mmfr2: 0,
            ctr: 0x8444_c004,
            clidr: 0x0a20_0023,
            ccsidr: [0x701f_e00a, 0x201f_e012, 0x70ff_e07a],
            sctlr: 0x00c5_0838,
        },
        features: V8,
        cortex: true,
    },
    Model {
        name: "cortex-a72",
        description: "ARM Cortex-A72 r0p3 (100095)",
        compatible: "arm,cortex-a72",
        id: Id {
            midr: 0x410f_d083,
            revidr: 0,
            pfr0: 0x11,
            pfr1: 0,
            dfr0: DFR0,
            isar0: ISAR0,
            isar1: 0,
            mmfr0: 0x1124,
            mmfr1: 0,
            mmfr2: 0,
            ctr: 0x8444_c004,
            clidr: 0x0a20_0023,
            ccsidr: [0x701f_e00a, 0x201f_e012, 0x707f_e07a],
            sctlr: 0x00c5_0838,
        },
        features: V8,
        cortex: true,
    },
    Model {
        name: "max",
        description: "everything that is implemented",
        compatible: "arm,armv8",
        id: Id {
            midr: 0x000f_0510,
            revidr: 0,
            // FP16 scalar and vector, DIT.
            pfr0: 0x11 | 1 << 16 | 1 << 20 | 1 << 48,
            // SSBS with its instruction.
            pfr1: 2 << 4,
            dfr0: DFR0,
            // SHA-512 beside SHA-256, atomics, RDM, SHA-3, dot product, FHM, flag manipulation 2.
            isar0: (ISAR0 & !(15 << 12)) | 2 << 12 | 2 << 20 | 1 << 28 | 1 << 32 | 1 << 44 | 1 << 48 | 2 << 52,
            // JSCVT, FCMA, LRCPC 2, FRINTTS, SB.
            isar1: 1 << 12 | 1 << 16 | 2 << 20 | 1 << 32 | 1 << 36,
            // 48-bit physical addresses, 16-bit ASIDs, mixed endian, all granules.
            mmfr0: 0x1125 | 1 << 20,
            // PAN.
            mmfr1: 1 << 20,
            // UAO.
            mmfr2: 1 << 4,
            ctr: 0x8444_c004,
            clidr: 0x0a20_0023,
            ccsidr: [0x701f_e00a, 0x201f_e012, 0x707f_e07a],
            sctlr: 0x00c5_0838,
        },
        features: &[
            Feature::Crc32,
            Feature::Aes,
            Feature::Pmull,
            Feature::Sha1,
            Feature::Sha256,
            Feature::Lse,
            Feature::Rdm,
            Feature::Dotprod,
            Feature::Fp16,
            Feature::Fhm,
            Feature::Fcma,
            Feature::Jscvt,
            Feature::Frintts,
            Feature::Sha512,
            Feature::Sha3,
            Feature::Lrcpc,
            Feature::Lrcpc2,
            Feature::Flagm,
            Feature::Flagm2,
            Feature::Pan,
            Feature::Uao,
            Feature::Dit,
            Feature::Ssbs,
            Feature::Sb,
        ],
        cortex: false,
    },
];

/// The model called `name`.
pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|m| m.name == name)
}
