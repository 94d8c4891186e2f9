//! What CPUID answers: of the model, what the host can give, and the topology (SDM vol. 2, CPUID;
//! APM vol. 3, appendix E).

use crate::features::{self, Bits, WORDS, word};
use crate::models::{Fixed, Model};

/// A register of CPUID's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// EAX.
    Eax,
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}

/// One answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// EAX of the question.
    pub function: u32,
    /// ECX of the question, where it matters.
    pub index: u32,
    /// It matters.
    pub indexed: bool,
    /// EAX to EDX.
    pub registers: [u32; 4],
}

/// How cores are arranged, and which one this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Cores in the one package, a thread each.
    pub cores: u32,
    /// The core's local APIC identifier.
    pub apic_id: u32,
}

impl Topology {
    /// Bits of an APIC identifier that number the cores of a package.
    fn core_bits(self) -> u32 {
        u32::BITS - self.cores.saturating_sub(1).leading_zeros()
    }
}

/// Features switched on and off by the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those switched on.
    pub on: Bits,
    /// Those switched off.
    pub off: Bits,
}

const HYPERVISOR: u32 = 1 << 31;
const OSXSAVE: u32 = 1 << 27;
const TSC_DEADLINE: u32 = 1 << 24;
const X2APIC: u32 = 1 << 21;
const HT: u32 = 1 << 28;
const CMP_LEGACY: u32 = 1 << 1;
const OSPKE: u32 = 1 << 4;
const APIC: u32 = 1 << 9;
/// Features of local APICs that KVM has in the kernel, whatever its list says.
const KERNEL_APIC: u32 = X2APIC | TSC_DEADLINE;
/// First leaf of the hypervisor.
const PARAVIRTUAL: std::ops::Range<u32> = 0x4000_0000..0x4000_0100;

fn at(leaves: &[Leaf], function: u32, index: u32) -> Option<[u32; 4]> {
    leaves.iter().find(|l| l.function == function && (!l.indexed || l.index == index)).map(|l| l.registers)
}

/// The feature words of answers.
pub fn bits(leaves: &[Leaf]) -> Bits {
    let mut out = [0; features::COUNT];
    for (out, w) in out.iter_mut().zip(&WORDS) {
        *out = at(leaves, w.leaf, w.subleaf.unwrap_or(0)).map_or(0, |r| r[w.register as usize]);
    }
    out
}

/// What the model wants and the host cannot give, and what of the user's wishes it cannot give.
pub fn missing(model: &Model, changes: &Changes, supported: &[Leaf]) -> Bits {
    let have = possible(supported);
    let mut out = [0; features::COUNT];
    for (n, out) in out.iter_mut().enumerate() {
        let wanted = model.fixed.as_ref().map_or(0, |f| f.features[n]) & !changes.off[n] | changes.on[n];
        *out = wanted & !have[n];
    }
    out
}

/// The feature words that can be given: those of KVM's list, and those of the APICs.
fn possible(supported: &[Leaf]) -> Bits {
    let mut have = bits(supported);
    have[word::F1_ECX] |= KERNEL_APIC | HYPERVISOR;
    have[word::F1_EDX] |= APIC | HT;
    have[word::F81_ECX] |= CMP_LEGACY;
    have
}

/// The answers of one core. `supported` is what the host can give: KVM_GET_SUPPORTED_CPUID.
pub fn leaves(model: &Model, changes: &Changes, supported: &[Leaf], topology: Topology) -> Vec<Leaf> {
    let have = possible(supported);
    let mut wanted = model.fixed.as_ref().map_or(have, |f| f.features);
    for n in 0..features::COUNT {
        wanted[n] = (wanted[n] | changes.on[n]) & !changes.off[n] & have[n];
    }
    wanted[word::F1_ECX] = (wanted[word::F1_ECX] | HYPERVISOR & !changes.off[word::F1_ECX]) & !OSXSAVE;
    wanted[word::F7_ECX] &= !OSPKE;
    if topology.cores > 1 {
        wanted[word::F1_EDX] |= HT;
    } else {
        wanted[word::F1_EDX] &= !HT;
    }
    let mut out: Vec<Leaf> = supported.iter().filter(|l| fits(model, l)).copied().collect();
    if let Some(fixed) = &model.fixed {
        identify(&mut out, fixed);
    }
    for (w, bits) in WORDS.iter().zip(wanted) {
        if let Some(l) = out.iter_mut().find(|l| l.function == w.leaf && l.index == w.subleaf.unwrap_or(0)) {
            l.registers[w.register as usize] = bits;
        }
    }
    arrange(&mut out, topology);
    out
}

/// Whether the model has a leaf of the host's.
fn fits(model: &Model, leaf: &Leaf) -> bool {
    let Some(fixed) = &model.fixed else { return true };
    match leaf.function {
        f if PARAVIRTUAL.contains(&f) => true,
        // Caches, monitor, power and performance: what a model has of them is not in its row.
        2 | 4..=6 | 0xa => false,
        f if f < 0x8000_0000 => f <= fixed.level,
        0x8000_0005 | 0x8000_0006 | 0x8000_001d | 0x8000_001e => fixed.extended >= leaf.function,
        f => f <= fixed.extended,
    }
}

/// Puts a model's own identity in.
fn identify(leaves: &mut Vec<Leaf>, fixed: &Fixed) {
    let words = |text: &str, n: usize| -> [u32; 4] {
        let byte = |at: usize| u32::from(text.as_bytes().get(at).copied().unwrap_or(0));
        std::array::from_fn(|w| (0..4).map(|b| byte(n + 4 * w + b) << (8 * b)).sum())
    };
    let [ebx, edx, ecx, _] = words(fixed.vendor, 0);
    // Families above 15 and models above 15 have an extended part.
    let family = fixed.family.min(15) << 8 | fixed.family.saturating_sub(15) << 20;
    let signature = fixed.stepping | (fixed.model & 15) << 4 | (fixed.model >> 4) << 16 | family;
    let old = |leaves: &[Leaf], function| at(leaves, function, 0).unwrap_or_default();
    let mut set = vec![(0, [fixed.level, ebx, ecx, edx]), (0x8000_0000, [fixed.extended, ebx, ecx, edx])];
    let one = old(leaves, 1);
    set.push((1, [signature, one[1], one[2], one[3]]));
    let extended = old(leaves, 0x8000_0001);
    set.push((0x8000_0001, [signature, 0, extended[2], extended[3]]));
    set.extend((0..3).map(|n| (0x8000_0002 + n, words(fixed.brand, 16 * n as usize))));
    for (function, registers) in set {
        match leaves.iter_mut().find(|l| l.function == function) {
            Some(l) => l.registers = registers,
            None => leaves.push(Leaf { function, registers, ..Leaf::default() }),
        }
    }
}

/// Tells of the cores of the package.
fn arrange(leaves: &mut Vec<Leaf>, topology: Topology) {
    let Topology { cores, apic_id } = topology;
    let bits = topology.core_bits();
    let count = cores.clamp(1, 255);
    leaves.retain(|l| l.function != 0xb && l.function != 0x1f);
    let level = at(leaves, 0, 0).map_or(0, |r| r[0]);
    if level >= 0xb {
        // SDM vol. 2, leaf 0BH: threads of a core, then cores of the package, then nothing.
        let rows = [[0, 1, 1 << 8, apic_id], [bits, cores, 1 | 2 << 8, apic_id], [0, 0, 2, apic_id]];
        leaves.extend(rows.iter().zip(0..).map(|(r, index)| Leaf { function: 0xb, index, indexed: true, registers: *r }));
    }
    for l in leaves.iter_mut() {
        let r = &mut l.registers;
        match l.function {
            0 => r[0] = r[0].min(0x1e),
            1 => r[1] = r[1] & 0xffff | count << 16 | apic_id << 24,
            // Intel's caches: those of the first two levels are a core's own.
            4 if r[0] & 0x1f != 0 => {
                let sharing = if r[0] >> 5 & 7 >= 3 { count - 1 } else { 0 };
                r[0] = r[0] & 0x3fff | sharing << 14 | ((1 << bits) - 1) << 26;
            }
            0x8000_0001 => r[2] = if cores > 1 { r[2] | CMP_LEGACY } else { r[2] & !CMP_LEGACY },
            0x8000_0008 => r[2] = bits << 12 | (count - 1),
            0x8000_001d if r[0] & 0x1f != 0 => {
                let sharing = if r[0] >> 5 & 7 >= 3 { count - 1 } else { 0 };
                r[0] = r[0] & 0x3fff | sharing << 14;
            }
            0x8000_001e => *r = [apic_id, apic_id & 0xff, 0, 0],
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    fn host() -> Vec<Leaf> {
        let leaf = |function, registers| Leaf { function, registers, ..Leaf::default() };
        vec![
            leaf(0, [0x1c, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
            leaf(1, [0x00a1_0f11, 0x0102_0800, 0x8120_2000, 0x078b_fbff]),
            Leaf { function: 7, indexed: true, registers: [1, 0x0180_0002, 0x104, 0], ..Leaf::default() },
            leaf(0x4000_0000, [0x4000_0001, 0, 0, 0]),
            leaf(0x8000_0000, [0x8000_0021, 0, 0, 0]),
            leaf(0x8000_0001, [0x00a1_0f11, 0, 0x0040_0393, 0x23d3_fbff]),
            leaf(0x8000_0008, [0x3030, 0, 0x7001, 0]),
        ]
    }

    #[test]
    fn a_named_model_is_itself_on_every_host() {
        let qemu64 = models::find("qemu64").unwrap();
        let l = leaves(qemu64, &Changes::default(), &host(), Topology { cores: 3, apic_id: 2 });
        let one = at(&l, 1, 0).unwrap();
        // Family 15, model 107 is 0x6b; three cores, this one is number 2.
        assert_eq!((one[0], one[1] >> 16), (0x0006_0fb1, 0x0203));
        assert_eq!(one[3] & HT, HT);
        // sse3 is not to be had here, and is not claimed.
        assert_eq!(one[2] & 1, 0);
        assert_eq!(features::names(&missing(qemu64, &Changes::default(), &host())), ["sse3"]);
        assert_eq!(at(&l, 0, 0).unwrap()[0], 0xd);
        assert_eq!(at(&l, 0xb, 1).unwrap(), [2, 3, 0x201, 2]);
        let brand: Vec<u8> = (0..3).flat_map(|n| at(&l, 0x8000_0002 + n, 0).unwrap()).flat_map(u32::to_le_bytes).collect();
        assert!(brand.starts_with(b"QEMU Virtual CPU version 2.5+\0"));
        assert_eq!(at(&l, 0x8000_0008, 0).unwrap()[2], 0x2002);
    }

    #[test]
    fn the_user_switches_features() {
        let host_model = models::find("host").unwrap();
        let mut changes = Changes::default();
        let (w, bit) = features::find("sse2").unwrap();
        changes.off[w] |= 1 << bit;
        let (w, bit) = features::find("avx2").unwrap();
        changes.on[w] |= 1 << bit;
        let l = leaves(host_model, &changes, &host(), Topology { cores: 1, apic_id: 0 });
        assert_eq!(bits(&l)[word::F1_EDX] & 1 << 26, 0);
        assert_eq!(bits(&l)[word::F1_EDX] & HT, 0);
        assert_ne!(bits(&l)[word::F1_ECX] & X2APIC, 0);
        assert_eq!(features::names(&missing(host_model, &changes, &host())), ["avx2"]);
        assert!(at(&l, 0x4000_0000, 0).is_some());
    }
}
