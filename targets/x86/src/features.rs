//! Features by name, and where CPUID has them (SDM vol. 2, CPUID; APM vol. 3, appendix E). Names are
//! those that `-cpu` takes.

use crate::cpuid::Register;

/// A word of feature bits: where it is, and the name of each bit from 0 on ("" where the bit has
/// none).
pub struct Word {
    /// Leaf (EAX of CPUID).
    pub leaf: u32,
    /// Subleaf (ECX), where the leaf has any.
    pub subleaf: Option<u32>,
    /// The register of the answer.
    pub register: Register,
    /// Names of the bits.
    pub names: [&'static str; 32],
}

/// Places of the words in [`WORDS`].
pub mod word {
    /// Leaf 1, EDX.
    pub const F1_EDX: usize = 0;
    /// Leaf 1, ECX.
    pub const F1_ECX: usize = 1;
    /// Leaf 7, EBX.
    pub const F7_EBX: usize = 2;
    /// Leaf 7, ECX.
    pub const F7_ECX: usize = 3;
    /// Leaf 7, EDX.
    pub const F7_EDX: usize = 4;
    /// Leaf 0x80000001, EDX.
    pub const F81_EDX: usize = 5;
    /// Leaf 0x80000001, ECX.
    pub const F81_ECX: usize = 6;
    /// Leaf 0x80000008, EBX.
    pub const F88_EBX: usize = 7;
    /// Leaf 0xd, subleaf 1, EAX.
    pub const FD1_EAX: usize = 8;
}

/// Number of words.
pub const COUNT: usize = 9;

/// All words.
#[rustfmt::skip]
pub static WORDS: [Word; COUNT] = [
    Word { leaf: 1, subleaf: None, register: Register::Edx, names: [
        "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr", "pge", "mca", "cmov",
        "pat", "pse36", "pn", "clflush", "", "ds", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe"] },
    Word { leaf: 1, subleaf: None, register: Register::Ecx, names: [
        "sse3", "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx", "smx", "est", "tm2", "ssse3", "cid", "", "fma", "cx16", "xtpr", "pdcm",
        "", "pcid", "dca", "sse4.1", "sse4.2", "x2apic", "movbe", "popcnt", "tsc-deadline", "aes", "xsave", "osxsave", "avx", "f16c", "rdrand", "hypervisor"] },
    Word { leaf: 7, subleaf: Some(0), register: Register::Ebx, names: [
        "fsgsbase", "tsc-adjust", "sgx", "bmi1", "hle", "avx2", "fdp-excptn-only", "smep", "bmi2", "erms", "invpcid", "rtm", "", "zero-fcs-fds", "mpx", "",
        "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma", "", "clflushopt", "clwb", "intel-pt", "avx512pf", "avx512er", "avx512cd", "sha-ni", "avx512bw", "avx512vl"] },
    Word { leaf: 7, subleaf: Some(0), register: Register::Ecx, names: [
        "", "avx512vbmi", "umip", "pku", "ospke", "waitpkg", "avx512vbmi2", "", "gfni", "vaes", "vpclmulqdq", "avx512vnni", "avx512bitalg", "", "avx512-vpopcntdq", "",
        "la57", "", "", "", "", "", "rdpid", "", "bus-lock-detect", "cldemote", "", "movdiri", "movdir64b", "", "sgxlc", "pks"] },
    Word { leaf: 7, subleaf: Some(0), register: Register::Edx, names: [
        "", "", "avx512-4vnniw", "avx512-4fmaps", "fsrm", "", "", "", "avx512-vp2intersect", "", "md-clear", "", "", "", "serialize", "",
        "tsx-ldtrk", "", "", "arch-lbr", "", "", "amx-bf16", "avx512-fp16", "amx-tile", "amx-int8", "spec-ctrl", "stibp", "flush-l1d", "arch-capabilities", "core-capability", "ssbd"] },
    Word { leaf: 0x8000_0001, subleaf: None, register: Register::Edx, names: [
        "", "", "", "", "", "", "", "", "", "", "", "syscall", "", "", "", "",
        "", "", "", "mp", "nx", "", "mmxext", "", "", "fxsr-opt", "pdpe1gb", "rdtscp", "", "lm", "3dnowext", "3dnow"] },
    Word { leaf: 0x8000_0001, subleaf: None, register: Register::Ecx, names: [
        "lahf-lm", "cmp-legacy", "svm", "extapic", "cr8legacy", "abm", "sse4a", "misalignsse", "3dnowprefetch", "osvw", "ibs", "xop", "skinit", "wdt", "", "lwp",
        "fma4", "tce", "", "nodeid-msr", "", "tbm", "topoext", "perfctr-core", "perfctr-nb", "", "", "", "", "", "", ""] },
    Word { leaf: 0x8000_0008, subleaf: None, register: Register::Ebx, names: [
        "clzero", "", "xsaveerptr", "", "", "", "", "", "", "wbnoinvd", "", "", "ibpb", "", "ibrs", "amd-stibp",
        "", "stibp-always-on", "", "", "", "", "", "", "amd-ssbd", "virt-ssbd", "amd-no-ssb", "", "amd-psfd", "", "", ""] },
    Word { leaf: 0xd, subleaf: Some(1), register: Register::Eax, names: [
        "xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd", "", "", "", "", "", "", "", "", "", "", "",
        "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""] },
];

/// Bits of all words.
pub type Bits = [u32; COUNT];

/// Where a name is: word and bit. An underscore stands for a hyphen, and some have older names.
pub fn find(name: &str) -> Option<(usize, u32)> {
    let name = name.replace('_', "-");
    let name = match name.as_str() {
        "pni" => "sse3",
        "sse4-1" => "sse4.1",
        "sse4-2" => "sse4.2",
        "cmp" => "cmp-legacy",
        "xd" => "nx",
        "ffxsr" => "fxsr-opt",
        other => other,
    };
    let place = |w: &Word| w.names.iter().position(|n| *n == name);
    WORDS.iter().enumerate().find_map(|(n, w)| Some((n, place(w)? as u32))).filter(|_| !name.is_empty())
}

/// The names of all bits that are set, and the place of those that have none.
pub fn names(bits: &Bits) -> Vec<String> {
    let mut out = Vec::new();
    for (w, bits) in WORDS.iter().zip(bits) {
        for bit in (0..32).filter(|bit| bits & 1 << bit != 0) {
            let name = w.names[bit];
            out.push(if name.is_empty() { format!("CPUID {:#x} {:?} bit {bit}", w.leaf, w.register) } else { name.into() });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_are() {
        for (name, word, bit) in
            [("sse2", word::F1_EDX, 26), ("pni", word::F1_ECX, 0), ("sse4_2", word::F1_ECX, 20), ("nx", word::F81_EDX, 20), ("avx2", word::F7_EBX, 5)]
        {
            assert_eq!(find(name), Some((word, bit)), "{name}");
        }
        assert_eq!((find(""), find("warp")), (None, None));
        let mut bits = [0; COUNT];
        bits[word::F1_EDX] = 1 << 26 | 1 << 10;
        assert_eq!(names(&bits), ["CPUID 0x1 Edx bit 10", "sse2"]);
    }

    #[test]
    fn no_name_is_there_twice() {
        let mut all: Vec<_> = WORDS.iter().flat_map(|w| w.names).filter(|n| !n.is_empty()).collect();
        all.sort_unstable();
        let n = all.len();
        all.dedup();
        assert_eq!(all.len(), n);
    }
}
