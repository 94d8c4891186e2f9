//! Instructions in words, by Capstone, for the architectures of [`Description::architecture`].
//!
//! [`Description::architecture`]: proteus_exec::registers::Description::architecture

use capstone::prelude::*;
use capstone::{Capstone, Endian};

/// How an architecture's instructions are cut and shown.
struct Architecture {
    engine: Capstone,
    /// Bytes of an instruction where Capstone knows none.
    unit: usize,
    /// The bytes are shown as a number in the byte order, and not one by one.
    number: bool,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its address.
    pub address: u64,
    /// Its bytes, in hexadecimal digits.
    pub digits: String,
    /// Mnemonic and operands; `.long` or `.byte` where the bytes are none.
    pub text: String,
}

impl Architecture {
    fn find(name: &str, big: bool) -> Option<Architecture> {
        let endian = if big { Endian::Big } else { Endian::Little };
        let mips = |mode| Capstone::new().mips().mode(mode).endian(endian).build();
        let (engine, unit) = match name {
            "aarch64" => (Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build(), 4),
            name if name.starts_with("mips:isa64") => (mips(arch::mips::ArchMode::Mips64), 4),
            name if name.starts_with("mips") => (mips(arch::mips::ArchMode::Mips32), 4),
            "i386:x86-64" => (Capstone::new().x86().mode(arch::x86::ArchMode::Mode64).build(), 1),
            _ => return None,
        };
        Some(Architecture { engine: engine.ok()?, unit, number: unit > 1 })
    }

    fn digits(&self, bytes: &[u8], big: bool) -> String {
        let digits: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        match (self.number, big) {
            (false, _) => digits.join(" "),
            (true, true) => digits.concat(),
            (true, false) => digits.into_iter().rev().collect(),
        }
    }
}

/// Bytes of the longest instruction of an architecture.
pub fn longest(architecture: &str) -> usize {
    // SDM vol. 2, 2.3.11.
    if architecture.starts_with("i386") { 15 } else { 4 }
}

/// The instructions in `code`, which is at `address`, `most` of them at most. `None` where the
/// architecture is not known.
pub fn instructions(architecture: &str, big: bool, code: &[u8], address: u64, most: usize) -> Option<Vec<Instruction>> {
    let architecture = Architecture::find(architecture, big)?;
    let mut out: Vec<Instruction> = Vec::new();
    let mut at = 0;
    while at < code.len() && out.len() < most {
        let here = address.wrapping_add(at as u64);
        let found = architecture.engine.disasm_count(&code[at..], here, most - out.len()).ok();
        let before = out.len();
        for i in found.iter().flat_map(|f| f.iter()) {
            let text = format!("{} {}", i.mnemonic().unwrap_or("?"), i.op_str().unwrap_or_default());
            out.push(Instruction { address: i.address(), digits: architecture.digits(i.bytes(), big), text: text.trim_end().into() });
            at += i.bytes().len().max(1);
        }
        if out.len() == before {
            let bytes = &code[at..code.len().min(at + architecture.unit)];
            let digits = architecture.digits(bytes, big);
            at += bytes.len();
            let text = if architecture.number { format!(".long 0x{digits:0>8}") } else { format!(".byte 0x{digits}") };
            out.push(Instruction { address: here, digits, text });
        }
    }
    Some(out)
}

/// Instructions in lines: address, bytes, words.
pub fn lines(instructions: &[Instruction]) -> String {
    instructions.iter().map(|i| format!("0x{:08x}:  {}  {}\n", i.address, i.digits, i.text)).collect()
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
            assert_eq!(lines(&got), *want);
            assert_eq!(instructions(architecture, *big, code, 0x1000, 1).unwrap().len(), 1);
        }
        let x86 = instructions("i386:x86-64", false, &[0x31, 0xc0, 0x06, 0xc3], 0x1000, 9).unwrap();
        assert_eq!(lines(&x86), "0x00001000:  31 c0  xor eax, eax\n0x00001002:  06  .byte 0x06\n0x00001003:  c3  ret\n");
        assert_eq!(instructions("z80", false, &[0; 4], 0, 1), None);
    }
}
