//! The registers of a core as a debugger sees them: names, widths and groups, in the features that
//! GDB's target descriptions have (GDB manual, appendix G).

/// One register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// Name, as GDB's standard features spell it.
    pub name: String,
    /// Width in bits: a multiple of 8, 128 at most.
    pub bits: u32,
    /// GDB's type: a predefined one ("int", "uint64", "data_ptr", "code_ptr", "ieee_double") or one
    /// of the feature's own.
    pub ty: &'static str,
    /// GDB's register group, where it is not the type's.
    pub group: Option<&'static str>,
}

impl Register {
    /// A register of so many bits and a type.
    pub fn new(name: impl Into<String>, bits: u32, ty: &'static str) -> Register {
        Register { name: name.into(), bits, ty, group: None }
    }
    /// The register in a group.
    pub fn group(self, group: &'static str) -> Register {
        Register { group: Some(group), ..self }
    }
}

/// Registers that GDB knows together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feature {
    /// Name ("org.gnu.gdb.aarch64.core").
    pub name: &'static str,
    /// XML of the feature's own types.
    pub types: &'static str,
    /// Its registers.
    pub registers: Vec<Register>,
}

/// All registers of a core. They are numbered over all features, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// GDB's name of the architecture ("aarch64", "mips:isa32r2").
    pub architecture: &'static str,
    /// The target triple that LLDB asks for.
    pub triple: &'static str,
    /// Registers and memory are big-endian.
    pub big: bool,
    /// Bytes in a pointer.
    pub pointer: u32,
    /// The features; the first has the pc.
    pub features: Vec<Feature>,
    /// Number of the pc.
    pub pc: usize,
    /// Number of the stack pointer.
    pub sp: usize,
    /// Registers in the `g` packet: those of the first features that every stop wants.
    pub general: usize,
    /// A watchpoint is reported before the access is made.
    pub watch_before: bool,
}

impl Description {
    /// All registers by number.
    pub fn registers(&self) -> impl Iterator<Item = &Register> {
        self.features.iter().flat_map(|f| &f.registers)
    }

    /// The register of that number.
    pub fn register(&self, number: usize) -> Option<&Register> {
        self.registers().nth(number)
    }

    /// The bytes of a value as memory of the guest would hold it.
    pub fn bytes(&self, value: u128, bits: u32) -> Vec<u8> {
        let n = (bits as usize / 8).min(16);
        if self.big { value.to_be_bytes()[16 - n..].to_vec() } else { value.to_le_bytes()[..n].to_vec() }
    }

    /// The value of bytes as memory of the guest holds them; at most 16 are looked at.
    pub fn value(&self, bytes: &[u8]) -> u128 {
        let bytes = &bytes[..bytes.len().min(16)];
        let join = |v: u128, b: &u8| v << 8 | u128::from(*b);
        if self.big { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
    }
}

/// The general registers (those of the first feature) in lines, the pc first; `read` gives a value
/// by number. A name's number has two digits, as in `X07`.
pub fn dump(description: &Description, mut read: impl FnMut(usize) -> Option<u128>) -> String {
    let Some(general) = description.features.first() else { return String::new() };
    let name = |name: &str| {
        let name = name.to_uppercase();
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (word, number) = name.split_at(name.len() - digits);
        if digits == 1 { format!("{word}0{number}") } else { name }
    };
    let numbers = 0..general.registers.len();
    let order = numbers.clone().filter(|n| *n == description.pc).chain(numbers.filter(|n| *n != description.pc));
    let words = general.registers.iter().filter(|r| r.bits == 8 * description.pointer);
    let width = words.map(|r| name(&r.name).len()).max().unwrap_or(0);
    let in_line = if description.pointer == 8 { 3 } else { 4 };
    let mut out = String::new();
    for (place, n) in order.enumerate() {
        let register = &general.registers[n];
        let digits = register.bits as usize / 4;
        let value = read(n).map_or_else(|| "?".repeat(digits), |v| format!("{v:0digits$x}"));
        let end = if place % in_line == in_line - 1 { '\n' } else { ' ' };
        out.push_str(&format!("{:>width$}={value}{end}", name(&register.name)));
    }
    let line = out.trim_end().len();
    out.truncate(line);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_shown_in_lines_with_the_pc_first() {
        let registers = ["x0", "x10", "sp", "pc"].map(|n| Register::new(n, 64, "int")).into_iter().chain([Register::new("cpsr", 32, "int")]).collect();
        let feature = Feature { name: "core", types: "", registers };
        let d = Description { architecture: "", triple: "", big: false, pointer: 8, features: vec![feature], pc: 3, sp: 2, general: 5, watch_before: true };
        let text = dump(&d, |n| (n != 1).then_some(n as u128));
        assert_eq!(text, " PC=0000000000000003 X00=0000000000000000 X10=????????????????\n SP=0000000000000002 CPSR=00000004\n");
    }

    #[test]
    fn values_are_in_the_guests_byte_order() {
        let little = Description { architecture: "", triple: "", big: false, pointer: 8, features: Vec::new(), pc: 0, sp: 0, general: 0, watch_before: true };
        let big = Description { big: true, ..little.clone() };
        for (d, bytes) in [(little, [4, 3, 2, 1]), (big, [1, 2, 3, 4])] {
            assert_eq!(d.bytes(0x0102_0304, 32), bytes);
            assert_eq!(d.value(&bytes), 0x0102_0304);
            assert_eq!(d.bytes(u128::MAX, 128).len(), 16);
            assert_eq!(d.value(&[0xff; 20]), u128::MAX);
        }
    }
}
