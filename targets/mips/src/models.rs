//! Processor models: `-cpu` names, what each implements, and the values of its identification
//! registers. They never claim what is not implemented here, so these bits of the parts are clear:
//! Config1.EP (EJTAG), Config1.CA (MIPS16e), Config1.PC (performance counters), FIR.3D (MIPS-3D),
//! Config3.LPA (physical addresses of more than 36 bits), Status.RP and Status.RE.

use crate::mips::Feature;

/// One model.
#[derive(Debug)]
pub struct Model {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// `compatible` of the cpu node.
    pub compatible: &'static str,
    /// MIPS64: registers and addresses of 64 bits.
    pub bits64: bool,
    /// What it has beyond MIPS32 release 1 without floating point.
    pub features: &'static [Feature],
    /// PRId.
    pub prid: u32,
    /// Config (register 16, select 0) at reset, little-endian.
    pub config0: u32,
    /// Config1, with the size of the TLB and of the caches.
    pub config1: u32,
    /// Config2.
    pub config2: u32,
    /// Config3.
    pub config3: u32,
    /// FIR (FCR0); 0 without a floating-point unit.
    pub fir: u32,
    /// Bits of Status that software writes.
    pub status: u32,
    /// Entries of the joint TLB.
    pub tlb_entries: usize,
    /// Bits of a virtual address within a 64-bit segment; 31 on a 32-bit model.
    pub seg_bits: u32,
    /// Bits of a physical address.
    pub pa_bits: u32,
}

/// Config3.VInt: vectored interrupts.
pub const CONFIG3_VINT: u32 = 1 << 5;
/// Config3.ULRI: the register UserLocal.
pub const CONFIG3_ULRI: u32 = 1 << 13;
/// Config1.WR: watch registers.
pub const CONFIG1_WR: u32 = 1 << 3;

impl Model {
    /// Release 2 of the architecture (Config.AR).
    pub const fn release2(&self) -> bool {
        self.config0 >> 10 & 7 >= 1
    }
    /// There is a floating-point unit.
    pub const fn fpu(&self) -> bool {
        self.fir != 0
    }
    /// The floating-point registers can be 32 of 64 bits: Status.FR exists.
    pub const fn fpu64(&self) -> bool {
        self.fir != 0 && (self.bits64 || self.fir >> 22 & 1 != 0)
    }
    /// Supervisor mode exists.
    pub const fn supervisor(&self) -> bool {
        self.status & 1 << 3 != 0
    }
    /// The register UserLocal exists.
    pub const fn user_local(&self) -> bool {
        self.config3 & CONFIG3_ULRI != 0
    }
    /// Bytes in a line of the instruction cache, the one that SYNCI steps by.
    pub const fn line(&self) -> u64 {
        2 << (self.config1 >> 19 & 7)
    }
}

/// CU0, BEV, TS, SR, NMI, IM, UM, ERL, EXL, IE.
const STATUS: u32 = 0x1078_ff17;
/// Status of a model with supervisor mode.
const STATUS_SUPERVISOR: u32 = STATUS | 1 << 3;
/// Status.CU1.
const STATUS_CU1: u32 = 1 << 29;
/// Status.FR.
const STATUS_FR: u32 = 1 << 26;
/// Status of a 64-bit model: PX, KX, SX and UX too.
const STATUS64: u32 = STATUS_SUPERVISOR | 1 << 23 | 7 << 5;

const R1: &[Feature] = &[];
const R2: &[Feature] = &[Feature::R2];
const M64R1: &[Feature] = &[Feature::M64];
const M64R2: &[Feature] = &[Feature::M64, Feature::R2, Feature::M64r2];
const R2_FPU: &[Feature] = &[Feature::R2, Feature::Fpu64];
const M64R1_FPU: &[Feature] = &[Feature::M64, Feature::Fpu64];
const M64R1_PS: &[Feature] = &[Feature::M64, Feature::Fpu64, Feature::Ps];
const M64R2_FPU: &[Feature] = &[Feature::M64, Feature::R2, Feature::M64r2, Feature::Fpu64];
const M64R2_PS: &[Feature] = &[Feature::M64, Feature::R2, Feature::M64r2, Feature::Fpu64, Feature::Ps];

/// What every model has where it does not say otherwise.
const BASE: Model = Model {
    name: "",
    description: "",
    compatible: "",
    bits64: false,
    features: R1,
    prid: 0,
    // Config1 follows, MT standard TLB, K0 uncached.
    config0: 0x8000_0082,
    config1: 0,
    // Config3 follows; no second level of caches.
    config2: 0x8000_0000,
    config3: 0,
    fir: 0,
    status: STATUS,
    tlb_entries: 16,
    seg_bits: 31,
    pa_bits: 32,
};

/// What every 64-bit model has where it does not say otherwise: Config.AT is MIPS64.
const BASE64: Model = Model { bits64: true, features: M64R1, config0: BASE.config0 | 2 << 13, status: STATUS64, pa_bits: 36, seg_bits: 42, ..BASE };

/// Config.AR: release 2.
const AR2: u32 = 1 << 10;

/// Every model.
pub static MODELS: &[Model] = &[
    Model {
        name: "4Kc",
        description: "MIPS32 4Kc (MD00016)",
        compatible: "mips,mips4Kc",
        prid: 0x0001_8000,
        // 16 entries; instruction and data caches of 64 sets, 2 ways, lines of 16 bytes; WR.
        config1: 0x9e19_0c88,
        ..BASE
    },
    Model {
        name: "4KEc",
        description: "MIPS32 release 2 4KEc (MD00103)",
        compatible: "mips,mips4KEc",
        features: R2,
        prid: 0x0001_9000,
        config0: BASE.config0 | AR2,
        config1: 0x9e19_0c88,
        status: STATUS_SUPERVISOR,
        ..BASE
    },
    Model {
        name: "24Kc",
        description: "MIPS32 release 2 24Kc (MD00343)",
        compatible: "mips,mips24Kc",
        features: R2,
        prid: 0x0001_9300,
        config0: BASE.config0 | AR2,
        config1: 0x9e19_0c88,
        config3: CONFIG3_VINT | CONFIG3_ULRI,
        status: STATUS_SUPERVISOR,
        ..BASE
    },
    Model {
        name: "24Kf",
        description: "MIPS32 release 2 24Kf (MD00343)",
        compatible: "mips,mips24Kf",
        features: R2_FPU,
        prid: 0x0001_9300,
        config0: BASE.config0 | AR2,
        config1: 0x9e19_0c89,
        config3: CONFIG3_VINT | CONFIG3_ULRI,
        // F64, L, W, D, S.
        fir: 0x0073_9300,
        status: STATUS_SUPERVISOR | STATUS_CU1 | STATUS_FR,
        ..BASE
    },
    Model {
        name: "5Kc",
        description: "MIPS64 5Kc (MD00055)",
        compatible: "mips,mips5Kc",
        prid: 0x0001_8100,
        // 32 entries; instruction and data caches of 128 sets, 2 ways, lines of 32 bytes; WR.
        config1: 0xbe61_3088,
        tlb_entries: 32,
        ..BASE64
    },
    Model {
        name: "5Kf",
        description: "MIPS64 5Kf (MD00012)",
        compatible: "mips,mips5Kf",
        features: M64R1_FPU,
        prid: 0x0001_8100,
        config1: 0xbe61_3089,
        tlb_entries: 32,
        // D, S.
        fir: 0x0003_8100,
        status: STATUS64 | STATUS_CU1 | STATUS_FR,
        ..BASE64
    },
    Model {
        name: "5KEc",
        description: "MIPS64 release 2 5KEc",
        compatible: "mips,mips5KEc",
        features: M64R2,
        prid: 0x0001_8900,
        config0: BASE64.config0 | AR2,
        config1: 0xbe61_3088,
        tlb_entries: 32,
        ..BASE64
    },
    Model {
        name: "5KEf",
        description: "MIPS64 release 2 5KEf",
        compatible: "mips,mips5KEf",
        features: M64R2_FPU,
        prid: 0x0001_8900,
        config0: BASE64.config0 | AR2,
        config1: 0xbe61_3089,
        tlb_entries: 32,
        // F64, L, W, D, S.
        fir: 0x0073_8900,
        status: STATUS64 | STATUS_CU1 | STATUS_FR,
        ..BASE64
    },
    Model {
        name: "20Kc",
        description: "MIPS64 20Kc (MD00133)",
        compatible: "mips,mips20Kc",
        features: M64R1_PS,
        prid: 0x0001_82a0,
        // VI: the instruction cache is virtual.
        config0: BASE64.config0 | 1 << 3,
        // 48 entries; caches of 256 sets, 4 ways, lines of 32 bytes; WR.
        config1: 0xdea3_5189,
        tlb_entries: 48,
        seg_bits: 40,
        // PS, D, S.
        fir: 0x0007_8200,
        status: STATUS64 | STATUS_CU1 | STATUS_FR,
        ..BASE64
    },
    Model {
        name: "MIPS64R2-generic",
        description: "MIPS64 release 2, all that is implemented",
        compatible: "mips,mips64r2-generic",
        features: M64R2_PS,
        prid: 0x0001_0000,
        config0: BASE64.config0 | AR2,
        config1: 0xfea3_5189,
        config3: CONFIG3_VINT | CONFIG3_ULRI,
        tlb_entries: 64,
        // F64, L, W, PS, D, S.
        fir: 0x0077_0000,
        status: STATUS64 | STATUS_CU1 | STATUS_FR,
        ..BASE64
    },
];

/// Models that are known by name but not implemented.
pub static ABSENT: &[&str] = &[
    "4Km",
    "4KEcR1",
    "4KEmR1",
    "4KEm",
    "24KEc",
    "34Kf",
    "74Kf",
    "M14K",
    "M14Kc",
    "P5600",
    "mips32r6-generic",
    "I7200",
    "R4000",
    "VR5432",
    "I6400",
    "I6500",
    "Loongson-2E",
    "Loongson-2F",
    "Loongson-3A1000",
    "Loongson-3A4000",
    "mips64dspr2",
    "Octeon68XX",
];

/// The model called `name`.
pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|m| m.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The registers agree with each other, and claim nothing that is not there.
    #[test]
    fn registers_agree() {
        for m in MODELS {
            let n = m.name;
            assert_eq!((m.config1 >> 25 & 63) as usize + 1, m.tlb_entries, "{n}");
            assert!(m.tlb_entries <= crate::state::TLB_ENTRIES, "{n}");
            assert_eq!(m.config1 & 0b10110, 0, "{n}: PC, CA and EP");
            assert_eq!(m.config1 & 1 != 0, m.fir != 0, "{n}: FP");
            assert_eq!(m.config1 & 1 != 0, m.status & STATUS_CU1 != 0, "{n}: CU1");
            assert_eq!(m.fir >> 19 & 1, 0, "{n}: MIPS-3D");
            assert_eq!(m.config0 >> 13 & 3, if m.bits64 { 2 } else { 0 }, "{n}: AT");
            assert_eq!(m.config0 >> 7 & 7, 1, "{n}: MT");
            assert_eq!(m.release2(), m.features.contains(&Feature::R2), "{n}: AR");
            assert_eq!(m.bits64, m.features.contains(&Feature::M64), "{n}");
            assert!(m.release2() || m.config3 == 0, "{n}: release 2 options");
            assert_eq!(m.status & STATUS_FR != 0, m.fpu64(), "{n}: FR");
            assert_eq!(m.fpu64(), m.features.contains(&Feature::Fpu64), "{n}");
            assert_eq!(m.fir >> 18 & 1 != 0, m.features.contains(&Feature::Ps), "{n}: PS");
            assert!(!ABSENT.contains(&n), "{n}");
            assert!(std::ptr::eq(find(n).unwrap(), m), "{n}: named twice");
        }
    }
}
