//! The tables of MIPS32 and MIPS64 against Capstone.

#![forbid(unsafe_code)]

#[allow(dead_code, clippy::all)]
mod tables {
    include!(concat!(env!("OUT_DIR"), "/mips_tables.rs"));
}

use std::collections::BTreeMap;

use capstone::prelude::*;
use tables::{ALL, Branch, BranchZ, COUNT, Cop0, Field, Id, Jump, Ldst, NAMES, Rri, Rru, Shift};
use tables::{EXCLUSIONS, PATTERNS, decode, random};

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

/// What is not the floating-point unit's: COP1, COP1X, its loads and stores, MOVF and MOVT; nor
/// coprocessor 2's, whose words the tables do not tell apart.
fn covered(word: u32) -> bool {
    let (opcode, function) = (word >> 26, word & 63);
    !matches!(opcode, 0o21 | 0o22 | 0o23 | 0o61 | 0o62 | 0o65 | 0o66 | 0o71 | 0o72 | 0o75 | 0o76) && !(opcode == 0 && function == 1)
}

/// Words of our own whose hints and codes Capstone does not know, and instructions that it lacks.
fn unknown(id: Id, word: u32) -> bool {
    match id {
        Id::RDPGPR | Id::WRPGPR | Id::RDHWR => true,
        Id::JR | Id::JALR => !matches!(word >> 6 & 31, 0 | 16),
        Id::WAIT => word >> 6 & 0x7_ffff != 0,
        _ => false,
    }
}

/// What the tables leave out, by mnemonic: the DSP and MSA modules (these, and all with a dot in
/// their names), Cavium's extensions, release 6, and branches on coprocessor 0's condition.
const LEFT_OUT: &str = "addsc addwc append balign bitrev bposge32 extp extpdp extpdpv extpv extr extrv insv lbux lhx lwx ldx \
    modsub mthlip prepend rddsp shilo shilov wrdsp \
    baddu cins cins32 dmul dpop exts exts32 mtm0 mtm1 mtm2 mtp0 mtp1 mtp2 pop seq seqi sne snei v3mulu vmm0 vmulu \
    bc0f bc0fl bc0t bc0tl dlsa lsa jalx";

/// Instructions that the DSP module gives more accumulators: their number is where others have
/// zeros, as are the bits that Capstone does not look at in SYNC.
const WIDENED: &str = "madd maddu mfhi mflo msub msubu mthi mtlo mult multu sync";

fn left_out(mnemonic: &str, word: u32) -> bool {
    let among = |list: &str| list.split_whitespace().any(|m| m == mnemonic);
    mnemonic.contains('.') || among(LEFT_OUT) || among(WIDENED) && word & 0x03ff_f800 != 0
}

/// The preferred disassemblies of a pattern that its name does not tell.
const ALIASES: &str = "ADDU move|BEQ b beqz|BGEZAL bal|BNE bnez|DADDU move|JALR jalr.hb jr|JR jr.hb|NOR not|OR move\
    |SLL ehb nop pause ssnop|SUB neg|SUBU negu|DSUB dneg|DSUBU dnegu";

/// Whether Capstone's mnemonic is one of the pattern's.
fn is_named(id: Id, mnemonic: &str) -> bool {
    let name = NAMES[id as usize];
    let mut aliases = ALIASES.split('|').filter_map(|l| l.split_once(' '));
    name.to_lowercase() == mnemonic || aliases.any(|(n, a)| n == name && a.split(' ').any(|a| a == mnemonic))
}

#[test]
fn capstone_knows_the_same_instructions() {
    let cs = Capstone::new().mips().mode(arch::mips::ArchMode::Mips64).endian(capstone::Endian::Big).build().expect("Capstone has MIPS");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut faults: BTreeMap<(&str, String), (usize, u32)> = BTreeMap::new();
    let mut seen = [0u32; COUNT];
    for _ in 0..1_000_000 {
        for word in random.words().into_iter().filter(|&w| covered(w)) {
            let listing = cs.disasm_count(&word.to_be_bytes(), 0, 1).expect("Capstone runs");
            let theirs = listing.first().and_then(|i| i.mnemonic());
            let ours = decode(word);
            let right = match (ours, theirs) {
                (None, None) => true,
                (Some(id), None) => {
                    seen[id as usize] += 1;
                    unknown(id, word)
                }
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
    // addiu $v0, $a1, -2; ori $v0, $a1, 0xfffe; dsll32 $v0, $a1, 3; sll $v0, $a1, 31
    assert_eq!(Rri::addiu(0x24a2_fffe), Rri { rs: 5, rt: 2, imm: -2 });
    assert_eq!(Rru::ori(0x34a2_fffe), Rru { rs: 5, rt: 2, imm: 0xfffe });
    assert_eq!(Shift::dsll32(0x0005_10fc), Shift { rt: 5, rd: 2, sa: 35 });
    assert_eq!(Shift::sll(0x0005_17c0), Shift { rt: 5, rd: 2, sa: 31 });
    // bne $v0, $a1, . - 4; bgezal $v0, . + 12; j 0xffffffc
    assert_eq!(Branch::bne(0x1445_fffe), Branch { rs: 2, rt: 5, offset: -8 });
    assert_eq!(BranchZ::bgezal(0x0451_0002), BranchZ { rs: 2, offset: 8 });
    assert_eq!(Jump::j(0x0bff_ffff), Jump { index: 0x0fff_fffc });
    // ext $v0, $a1, 4, 8; dextm $v0, $a1, 4, 40; dinsu $v0, $a1, 36, 8; lwl $v0, -32768($a1)
    assert_eq!(Field::ext(0x7ca2_3900), Field { rs: 5, rt: 2, msb: 7, lsb: 4 });
    assert_eq!(Field::dextm(0x7ca2_3901), Field { rs: 5, rt: 2, msb: 39, lsb: 4 });
    assert_eq!(Field::dinsu(0x7ca2_5906), Field { rs: 5, rt: 2, msb: 43, lsb: 36 });
    assert_eq!(Ldst::lwl(0x88a2_8000), Ldst { base: 5, rt: 2, offset: -32768 });
    // mtc0 $v0, $16, 3
    assert_eq!(Cop0::mtc0(0x4082_8003), Cop0 { rt: 2, rd: 16, sel: 3 });
}
