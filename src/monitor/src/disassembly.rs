//! Instructions in words, by Capstone, for the architectures of [`Description::architecture`].
//!
//! [`Description::architecture`]: proteus_exec::registers::Description::architecture

use capstone::prelude::*;
use capstone::{Capstone, Endian};

/// Bytes of an instruction where Capstone knows none.
const UNKNOWN: usize = 4;

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its address.
    pub address: u64,
    /// Its bytes, in the order of memory.
    pub bytes: Vec<u8>,
    /// Mnemonic and operands; `.long` where the bytes are none.
    pub text: String,
}

fn engine(architecture: &str, big: bool) -> Option<Capstone> {
    let endian = if big { Endian::Big } else { Endian::Little };
    let mips = |mode| Capstone::new().mips().mode(mode).endian(endian).build().ok();
    match architecture {
        "aarch64" => Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build().ok(),
        name if name.starts_with("mips:isa64") => mips(arch::mips::ArchMode::Mips64),
        name if name.starts_with("mips") => mips(arch::mips::ArchMode::Mips32),
        _ => None,
    }
}

/// The instructions in `code`, which is at `address`, `most` of them at most. `None` where the
/// architecture is not known.
pub fn instructions(architecture: &str, big: bool, code: &[u8], address: u64, most: usize) -> Option<Vec<Instruction>> {
    let engine = engine(architecture, big)?;
    let mut out: Vec<Instruction> = Vec::new();
    let mut at = 0;
    while at < code.len() && out.len() < most {
        let here = address.wrapping_add(at as u64);
        let found = engine.disasm_count(&code[at..], here, most - out.len()).ok();
        let before = out.len();
        for i in found.iter().flat_map(|f| f.iter()) {
            let text = format!("{} {}", i.mnemonic().unwrap_or("?"), i.op_str().unwrap_or_default());
            out.push(Instruction { address: i.address(), bytes: i.bytes().to_vec(), text: text.trim_end().into() });
            at += i.bytes().len().max(1);
        }
        if out.len() == before {
            let bytes = code[at..code.len().min(at + UNKNOWN)].to_vec();
            let value = bytes.iter().enumerate().fold(0u32, |v, (n, b)| v | u32::from(*b) << (8 * if big { bytes.len() - 1 - n } else { n }));
            at += bytes.len();
            out.push(Instruction { address: here, bytes, text: format!(".long {value:#010x}") });
        }
    }
    Some(out)
}

/// Instructions in lines: address, bytes as a word, words.
pub fn lines(instructions: &[Instruction], big: bool) -> String {
    let word = |bytes: &[u8]| -> String {
        let digit = |b: &u8| format!("{b:02x}");
        if big { bytes.iter().map(digit).collect() } else { bytes.iter().rev().map(digit).collect() }
    };
    instructions.iter().map(|i| format!("0x{:08x}:  {}  {}\n", i.address, word(&i.bytes), i.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_architecture_and_byte_order_is_known() {
        let cases: &[(&str, bool, [u8; 8], &str)] = &[
            ("aarch64", false, [0x1f, 0x20, 0x03, 0xd5, 0xff, 0xff, 0xff, 0xff], "0x00001000:  d503201f  nop\n0x00001004:  ffffffff  .long 0xffffffff\n"),
            ("mips:isa32r2", true, [0, 0, 0, 0, 0x24, 2, 0, 1], "0x00001000:  00000000  nop\n0x00001004:  24020001  addiu $v0, $zero, 1\n"),
            ("mips:isa64r2", false, [0, 0, 0, 0, 1, 0, 2, 0x64], "0x00001000:  00000000  nop\n0x00001004:  64020001  daddiu $v0, $zero, 1\n"),
        ];
        for (architecture, big, code, want) in cases {
            let got = instructions(architecture, *big, code, 0x1000, 9).unwrap();
            assert_eq!(lines(&got, *big), *want);
            assert_eq!(instructions(architecture, *big, code, 0x1000, 1).unwrap().len(), 1);
        }
        assert_eq!(instructions("z80", false, &[0; 4], 0, 1), None);
    }
}
