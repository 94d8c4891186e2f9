//! The tables of A64 FP and Advanced SIMD against Capstone.
#![forbid(unsafe_code)]

#[allow(dead_code, clippy::all)]
mod tables {
    include!(concat!(env!("OUT_DIR"), "/a64_tables.rs"));
}

use capstone::prelude::*;
use std::collections::BTreeMap;
use tables::{ALL, COUNT, Id, NAMES, PATTERNS, decode, random};

/// The groups of a64-simd.decode.
fn covered(word: u32) -> bool {
    word & 0xbe00_0000 == 0x0c00_0000 || matches!(word >> 25 & 15, 7 | 15)
}

struct Random(u64);
impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

/// Extensions that the tables leave out, by mnemonic; `*` is any end.
const LEFT_OUT: &str = "bf* sm3* sm4* smmla ummla usmmla usdot sudot";

fn left_out(mnemonic: &str) -> bool {
    LEFT_OUT.split_whitespace().any(|l| match l.strip_suffix('*') {
        Some(stem) => mnemonic.starts_with(stem),
        None => mnemonic == l,
    })
}

/// Preferred disassemblies that a pattern's name does not tell.
const ALIASES: &str = "ORR_v mov|NOT_v mvn|UMOV_w mov|INS_w mov|INS_v mov|DUP_s mov|SSHLL_n sxtl|USHLL_n uxtl";

fn is_named(id: Id, mnemonic: &str) -> bool {
    let name = NAMES[id as usize];
    let stem = name.split('_').next().unwrap_or(name).to_lowercase();
    let stem = if name.ends_with("_rep") { format!("{stem}r") } else { stem };
    let upper = mnemonic.strip_suffix('2').unwrap_or(mnemonic);
    let aliased = ALIASES.split('|').filter_map(|l| l.split_once(' ')).any(|(n, a)| n == name && (a == mnemonic || a == upper));
    stem == mnemonic || stem == upper || aliased
}

#[test]
fn capstone_knows_the_same_instructions() {
    let cs = Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build().expect("Capstone has Arm64");
    let ours_all: Vec<Id> = ALL.into_iter().filter(|&i| covered(PATTERNS[i as usize].1)).collect();
    let mut r = Random(0x9e37_79b9_7f4a_7c15);
    let mut faults: BTreeMap<(&str, String), (usize, u32)> = BTreeMap::new();
    let mut seen = [0u32; COUNT];
    for _ in 0..700_000 {
        let valid = random(ours_all[r.next() as usize % ours_all.len()], r.next());
        let flips = (0..1 + r.next() % 3).fold(0, |f, _| f | 1 << (r.next() % 32));
        let uniform = r.next() & !(15 << 25) | [7, 15, 6][r.next() as usize % 3] << 25;
        for word in [valid, valid ^ flips, uniform].into_iter().filter(|&w| covered(w)) {
            let listing = cs.disasm_count(&word.to_le_bytes(), 0, 1).expect("Capstone runs");
            let theirs = listing.first().and_then(|i| i.mnemonic());
            let ours = decode(word);
            let right = match (ours, theirs) {
                (None, None) => true,
                (Some(_), None) => false,
                (None, Some(mnemonic)) => left_out(mnemonic),
                (Some(id), Some(mnemonic)) => {
                    seen[id as usize] += 1;
                    is_named(id, mnemonic)
                }
            };
            if !right {
                let key = (ours.map_or("nothing", |i| NAMES[i as usize]), theirs.unwrap_or("nothing").to_owned());
                faults.entry(key).or_insert((0, word)).0 += 1;
            }
        }
    }
    let faults: Vec<String> = faults.into_iter().map(|((ours, theirs), (n, word))| format!("{word:08x}: {ours}, Capstone says {theirs} ({n} words)")).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let unseen: Vec<&str> = ours_all.into_iter().filter(|&i| seen[i as usize] < 100).map(|i| NAMES[i as usize]).collect();
    assert!(unseen.is_empty(), "hardly met: {unseen:?}");
}
