//! The tables of A64 against Capstone.

#![forbid(unsafe_code)]

#[allow(dead_code, clippy::all)]
mod tables {
    include!(concat!(env!("OUT_DIR"), "/a64_tables.rs"));
}

use std::collections::BTreeMap;

use capstone::prelude::*;
use tables::{ALL, Adr, Atomic, COUNT, CondBranch, Crc, Feature, Id, LdstImm, LdstReg, LogicImm, NAMES, Pair, Sysreg, Tb};
use tables::{EXCLUSIONS, FEATURES, PATTERNS, decode, random};

/// Pseudo-random words, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// A third uniform, a third valid, a third valid but for one to three bits: unallocated
    /// words are thickest beside allocated ones, and uniform words seldom hit system instructions.
    fn words(&mut self) -> [u32; 3] {
        let valid = random(ALL[self.next() as usize % COUNT], self.next());
        let flips = (0..1 + self.next() % 3).fold(0, |f, _| f | 1 << (self.next() % 32));
        [self.next(), valid, valid ^ flips]
    }
}

/// The groups that a64.decode covers: not the reserved ones, SVE, SME, FP and Advanced SIMD data
/// processing, nor the structure loads and stores.
fn covered(word: u32) -> bool {
    matches!(word >> 25 & 15, 4 | 6 | 12 | 14 | 5 | 13 | 8..=11) && word & 0xbe00_0000 != 0x0c00_0000
}

/// Should-be-one and should-be-zero bits as they should be: Capstone refuses other values of
/// most, which the architecture lets an implementation ignore, as the tables do.
fn canonical(word: u32) -> u32 {
    let (rs, rt2, crm) = (0x1f << 16, 0x1f << 10, 0xf << 8);
    match decode(word) {
        Some(Id::STXR) => word | rt2,
        Some(Id::LDXR | Id::STLR | Id::LDAR | Id::STLLR | Id::LDLAR) => word | rs | rt2,
        Some(Id::LDXP | Id::LDAPR) => word | rs,
        Some(Id::CFINV | Id::XAFLAG | Id::AXFLAG) => word & !crm,
        _ => word,
    }
}

/// Registers whose coincidence is CONSTRAINED UNPREDICTABLE: Capstone refuses those words, the
/// tables leave them to the semantic functions. (LDTR, which writes nothing back, it refuses by
/// mistake.)
fn unpredictable(id: Id, word: u32) -> bool {
    let (rt, rn, rt2) = (word & 31, word >> 5 & 31, word >> 10 & 31);
    let name = NAMES[id as usize];
    let vector = name.contains("_v");
    let writes_back = name.ends_with("_post") || name.ends_with("_pre");
    let pair = name.starts_with("LDP") || name.starts_with("STP") || name.starts_with("LDNP") || id == Id::LDXP;
    let base = writes_back || name.starts_with("LDTR");
    (pair && name.starts_with("LD") && rt == rt2) || (base && !vector && rn != 31 && (rn == rt || pair && rn == rt2))
}

/// Extensions that the tables leave out (there as comments), by mnemonic; `*` is any end.
const LEFT_OUT: &str = "abs addg aut* bc.* blraa* blrab* braa* brab* cnt cpy* ctz eretaa eretab gmi irg ld64b ldg ldgm \
    ldraa ldrab pac* retaa retab set* smax smin smstart smstop st2g st64b* stg stgm stgp stz2g stzg stzgm subg subp \
    subps tcancel tcommit tstart ttest umax umin wfet wfit xpacd xpaci";

fn left_out(mnemonic: &str, word: u32) -> bool {
    let named = LEFT_OUT.split_whitespace().any(|l| match l.strip_suffix('*') {
        Some(stem) => mnemonic.starts_with(stem),
        None => mnemonic == l,
    });
    // Capstone names all of op0 = 0 as if it were registers; nXS barriers are of FEAT_XS.
    let no_register = matches!(mnemonic, "msr" | "mrs") && word >> 19 & 3 == 0;
    let nxs = mnemonic == "dsb" && word & 0xe0 == 0x20;
    named && !mnemonic.starts_with("setf") || no_register || nxs
}

/// The preferred disassemblies of a pattern that its name does not tell.
const ALIASES: &str = "ADD_i mov|ADDS_i cmn|SUBS_i cmp|ORR_i mov|ANDS_i tst|MOVN mov|MOVZ mov\
    |SBFM asr sbfiz sbfx sxtb sxth sxtw|BFM bfc bfi bfxil|UBFM lsl lsr ubfiz ubfx uxtb uxth|EXTR ror\
    |B_cond b.al b.eq b.ge b.gt b.hi b.hs b.le b.lo b.ls b.lt b.mi b.ne b.nv b.pl b.vc b.vs\
    |HINT autia1716 autiasp autiaz autib1716 autibsp autibz bti csdb dgh esb pacia1716 paciasp paciaz pacib1716 \
    pacibsp pacibz psb tsb xpaclri|DSB dfb pssbb ssbb|CFINV msr|SYS at dc ic tlbi\
    |ORR_r mov|ORN_r mvn|ANDS_r tst|ADDS_r cmn|SUB_r neg|SUBS_r cmp negs|ADDS_ext cmn|SUBS_ext cmp|SBC ngc|SBCS ngcs\
    |CSINC cinc cset|CSINV cinv csetm|CSNEG cneg|REV32 rev|REV64 rev|LSLV lsl|LSRV lsr|ASRV asr|RORV ror\
    |MADD mul|MSUB mneg|SMADDL smull|SMSUBL smnegl|UMADDL umull|UMSUBL umnegl";

/// Whether Capstone's mnemonic is one of the pattern's.
fn is_named(id: Id, mnemonic: &str) -> bool {
    let name = NAMES[id as usize];
    let stem = name.split('_').next().unwrap_or(name).to_lowercase();
    let aliased = ALIASES.split('|').filter_map(|l| l.split_once(' ')).any(|(n, a)| n == name && a.split(' ').any(|a| a == mnemonic));
    let sized = ["ld", "st", "cas", "swp", "crc32"].iter().any(|s| stem.starts_with(s));
    let atomic = FEATURES[id as usize] == Feature::Lse;
    let ordered = matches!(id, Id::STXR | Id::LDXR | Id::STXP | Id::LDXP);
    let sizes: &[&str] = if sized { &["", "b", "h", "w", "x"] } else { &[""] };
    let orders: &[&str] = if atomic { &["", "a", "l", "al"] } else { &[""] };
    let mut stems = vec![stem.clone()];
    if ordered {
        stems.push(stem.replace("stx", "stlx").replace("ldx", "ldax"));
    }
    if atomic {
        stems.push(stem.replacen("ld", "st", 1));
    }
    let ends = |s: &String| orders.iter().any(|o| sizes.iter().any(|z| mnemonic == format!("{s}{o}{z}")));
    aliased || stems.iter().any(ends)
}

#[test]
fn capstone_knows_the_same_instructions() {
    let cs = Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build().expect("Capstone has Arm64");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut faults: BTreeMap<(&str, String), (usize, u32)> = BTreeMap::new();
    let mut seen = [0u32; COUNT];
    for _ in 0..1_000_000 {
        for word in random.words().into_iter().filter(|&w| covered(w)).map(canonical) {
            let listing = cs.disasm_count(&word.to_le_bytes(), 0, 1).expect("Capstone runs");
            let theirs = listing.first().and_then(|i| i.mnemonic()).filter(|&m| m != "udf");
            let ours = decode(word);
            let right = match (ours, theirs) {
                (None, None) => true,
                (Some(id), None) => unpredictable(id, word),
                (None, Some(mnemonic)) => left_out(mnemonic, word),
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
    // Each pattern of the covered groups has been met often.
    let unseen: Vec<&str> = ALL.into_iter().filter(|&i| covered(PATTERNS[i as usize].1) && seen[i as usize] < 100).map(|i| NAMES[i as usize]).collect();
    assert!(unseen.is_empty(), "hardly met: {unseen:?}");
}

#[test]
fn the_tree_agrees_with_the_rows() {
    let matches = |id: Id, word: u32| {
        let (mask, value) = PATTERNS[id as usize];
        word & mask == value && EXCLUSIONS[id as usize].iter().all(|(m, v)| word & m != *v)
    };
    let mut random = Random(0x0123_4567_89ab_cdef);
    for _ in 0..300_000 {
        for word in random.words() {
            assert_eq!(decode(word), ALL.into_iter().find(|&i| matches(i, word)), "{word:#010x}");
        }
    }
}

#[test]
fn arguments_are_read_from_their_bits() {
    // adrp x3, #-0x1000; adr x0, #5; b.ne #-4; tbz x7, #35, #8
    assert_eq!(Adr::adrp(0xf0ff_ffe3), Adr { imm: -0x1000, rd: 3 });
    assert_eq!(Adr::adr(0x3000_0020), Adr { imm: 5, rd: 0 });
    assert_eq!(CondBranch::b_cond(0x54ff_ffe1), CondBranch { imm: -4, cond: 1 });
    assert_eq!(Tb::tbz(0xb618_0047), Tb { bit: 35, imm: 8, rt: 7 });
    // and x1, x2, #0x5555555555555555; crc32cx w1, w2, x3; mrs x5, tpidr_el0
    assert_eq!(LogicImm::and_i(0x9200_f041), LogicImm { sf: 1, n: 0, immr: 0, imms: 0x3c, rn: 2, rd: 1 });
    assert_eq!(Crc::crc32c(0x9ac3_5c41), Crc { size: 3, rm: 3, rn: 2, rd: 1 });
    assert_eq!(Sysreg::mrs(0xd53b_d045), Sysreg { op0: 3, op1: 3, crn: 13, crm: 0, op2: 2, rt: 5 });
    // stp x29, x30, [sp, #-16]!; ldr q3, [x1], #-1; ldrsw x2, [x3, w4, sxtw #2]
    assert_eq!(Pair::stp_pre(0xa9bf_7bfd), Pair { size: 3, imm: -2, rt2: 30, rn: 31, rt: 29 });
    assert_eq!(LdstImm::ldr_v_post(0x3cdf_f423), LdstImm { size: 4, imm: -1, rn: 1, rt: 3 });
    assert_eq!(decode(0xb8a4_d862), Some(Id::LDRS_r));
    assert_eq!(LdstReg::str_r(0xb824_d862), LdstReg { size: 2, rm: 4, option: 6, s: 1, rn: 3, rt: 2 });
    // caspal x4, x5, x6, x7, [sp]; ldaddlh w1, w2, [x3]
    assert_eq!(Atomic::casp(0x4864_ffe6), Atomic { size: 3, acquire: 1, release: 1, rs: 4, rn: 31, rt: 6 });
    assert_eq!(Atomic::ldadd(0x7861_0062), Atomic { size: 1, acquire: 0, release: 1, rs: 1, rn: 3, rt: 2 });
}
