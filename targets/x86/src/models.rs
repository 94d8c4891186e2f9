//! Processor models. What a named model has is in its row; `host` and `max` are what the host can
//! give. Family, model and stepping are those that QEMU 10.0 gives models of these names, where no
//! real processor decides it.

use crate::features::Bits;

/// A model.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// Name, as `-cpu` knows it.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// What it is; `None`: whatever the host can give.
    pub fixed: Option<Fixed>,
}

/// A model that is the same on every host.
#[derive(Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The 12 letters of leaf 0.
    pub vendor: &'static str,
    /// Family, with the extended one added.
    pub family: u32,
    /// Model, with the extended one above.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// Highest basic leaf.
    pub level: u32,
    /// Highest extended leaf.
    pub extended: u32,
    /// The brand string of leaves 0x80000002 to 0x80000004.
    pub brand: &'static str,
    /// Features, by the words of [`crate::features::WORDS`].
    pub features: Bits,
}

const INTEL: &str = "GenuineIntel";
const AMD: &str = "AuthenticAMD";

// Leaf 1, EDX: what every processor of 64 bits has: fpu, de, pse, tsc, msr, pae, mce, cx8, apic, sep,
// mtrr, pge, mca, cmov, pat, pse36, clflush, mmx, fxsr, sse, sse2.
const BASE_EDX: u32 = 0x078b_fbfd;
/// The same, without mtrr, mca, pse36 and clflush.
const SMALL_EDX: u32 = 0x0781_abfd;
// Leaf 1, ECX.
const SSE3: u32 = 1;
const CX16: u32 = 1 << 13;
const X2APIC: u32 = 1 << 21;
/// ssse3, sse4.1, sse4.2, popcnt.
const SSE4: u32 = 1 << 9 | 1 << 19 | 1 << 20 | 1 << 23;
/// pclmulqdq, fma, pcid, movbe, tsc-deadline, aes, xsave, avx, f16c, rdrand.
const HASWELL_ECX: u32 = 1 << 1 | 1 << 12 | 1 << 17 | 1 << 22 | 1 << 24 | 1 << 25 | 1 << 26 | 1 << 28 | 1 << 29 | 1 << 30;
/// pclmulqdq, fma, movbe, aes, xsave, avx, f16c, rdrand.
const EPYC_ECX: u32 = 1 << 1 | 1 << 12 | 1 << 22 | 1 << 25 | 1 << 26 | 1 << 28 | 1 << 29 | 1 << 30;
// Leaf 0x80000001.
const SYSCALL: u32 = 1 << 11;
const NX: u32 = 1 << 20;
const RDTSCP: u32 = 1 << 27;
const LM: u32 = 1 << 29;
/// mmxext, fxsr-opt, pdpe1gb.
const AMD_EDX: u32 = 1 << 22 | 1 << 25 | 1 << 26;
const LAHF_LM: u32 = 1;
const ABM: u32 = 1 << 5;
/// cr8legacy, abm, sse4a, misalignsse, 3dnowprefetch, osvw.
const AMD_ECX: u32 = 1 << 4 | ABM | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9;
/// fsgsbase, bmi1, avx2, smep, bmi2, erms, invpcid.
const HASWELL_7: u32 = 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10;
/// fsgsbase, bmi1, avx2, smep, bmi2, rdseed, adx, smap, clflushopt, sha-ni.
const EPYC_7: u32 = 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 23 | 1 << 29;
/// xsaveopt, xsavec, xgetbv1.
const XSAVE: u32 = 7;

const fn fixed(vendor: &'static str, [family, model, stepping]: [u32; 3], [level, extended]: [u32; 2], brand: &'static str, features: Bits) -> Option<Fixed> {
    Some(Fixed { vendor, family, model, stepping, level, extended, brand, features })
}

/// All models.
#[rustfmt::skip]
pub static MODELS: &[Model] = &[
    Model { name: "host", description: "What the host's processor has and KVM can give", fixed: None },
    Model { name: "max", description: "The same", fixed: None },
    Model { name: "qemu64", description: "64-bit processor that is no real one",
        fixed: fixed(AMD, [15, 107, 1], [0xd, 0x8000_000a], "QEMU Virtual CPU version 2.5+",
            [BASE_EDX, SSE3 | CX16 | X2APIC, 0, 0, 0, SYSCALL | NX | LM, LAHF_LM, 0, 0]) },
    Model { name: "qemu32", description: "32-bit processor that is no real one",
        fixed: fixed(INTEL, [6, 6, 3], [4, 0x8000_0004], "QEMU Virtual CPU version 2.5+",
            [SMALL_EDX, SSE3 | X2APIC, 0, 0, 0, 0, 0, 0, 0]) },
    Model { name: "kvm64", description: "What every host with KVM can give",
        fixed: fixed(INTEL, [15, 6, 1], [0xd, 0x8000_0008], "Common KVM processor",
            [BASE_EDX, SSE3 | CX16 | X2APIC, 0, 0, 0, SYSCALL | NX | LM, 0, 0, 0]) },
    Model { name: "Nehalem", description: "Intel Core i7 9xx (Nehalem Class Core i7)",
        fixed: fixed(INTEL, [6, 26, 3], [0xb, 0x8000_0008], "Intel Core i7 9xx (Nehalem Class Core i7)",
            [BASE_EDX | 1 << 1, SSE3 | CX16 | SSE4 | X2APIC, 0, 0, 0, SYSCALL | NX | LM, LAHF_LM, 0, 0]) },
    Model { name: "Haswell", description: "Intel Core Processor (Haswell, no TSX)",
        fixed: fixed(INTEL, [6, 60, 1], [0xd, 0x8000_0008], "Intel Core Processor (Haswell, no TSX)",
            [BASE_EDX | 1 << 1, SSE3 | CX16 | SSE4 | X2APIC | HASWELL_ECX, HASWELL_7, 0, 0, SYSCALL | NX | LM | RDTSCP, LAHF_LM | ABM, 0, XSAVE & 1]) },
    Model { name: "EPYC", description: "AMD EPYC Processor",
        fixed: fixed(AMD, [23, 1, 2], [0xd, 0x8000_001e], "AMD EPYC Processor",
            [BASE_EDX | 1 << 1, SSE3 | CX16 | SSE4 | X2APIC | EPYC_ECX, EPYC_7, 0, 0, SYSCALL | NX | LM | RDTSCP | AMD_EDX, LAHF_LM | AMD_ECX, 0, XSAVE]) },
];

/// The model of that name.
pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|m| m.name == name)
}
