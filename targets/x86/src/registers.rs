//! The registers as a debugger sees them, in the features that GDB has for x86-64 (GDB manual,
//! G.5.7), and the control registers in one of our own.

use proteus_exec::registers::{Description, Feature, Register};

use crate::state::{Fpu, State, gpr, seg};

/// What a number of the description stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Gpr(usize),
    Rip,
    Flags,
    Selector(usize),
    St(usize),
    Fpu(usize),
    Xmm(usize),
    Mxcsr,
    Base(usize),
    Control(usize),
}

/// GDB's order of the general registers, by number.
const GENERAL: [(&str, usize); 16] = [
    ("rax", gpr::RAX),
    ("rbx", gpr::RBX),
    ("rcx", gpr::RCX),
    ("rdx", gpr::RDX),
    ("rsi", gpr::RSI),
    ("rdi", gpr::RDI),
    ("rbp", gpr::RBP),
    ("rsp", gpr::RSP),
    ("r8", 8),
    ("r9", 9),
    ("r10", 10),
    ("r11", 11),
    ("r12", 12),
    ("r13", 13),
    ("r14", 14),
    ("r15", 15),
];
const SELECTORS: [(&str, usize); 6] = [("cs", seg::CS), ("ss", seg::SS), ("ds", seg::DS), ("es", seg::ES), ("fs", seg::FS), ("gs", seg::GS)];
const FPU: [&str; 8] = ["fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"];
const CONTROL: [&str; 6] = ["cr0", "cr2", "cr3", "cr4", "cr8", "efer"];

/// GDB's number of RIP.
const RIP: usize = 16;
const RSP: usize = 7;

fn rows() -> Vec<(&'static str, Register, Place)> {
    const CORE: &str = "org.gnu.gdb.i386.core";
    let mut rows = Vec::new();
    for (name, n) in GENERAL {
        let ty = if matches!(n, gpr::RSP | gpr::RBP) { "data_ptr" } else { "int64" };
        rows.push((CORE, Register::new(name, 64, ty), Place::Gpr(n)));
    }
    rows.push((CORE, Register::new("rip", 64, "code_ptr"), Place::Rip));
    rows.push((CORE, Register::new("eflags", 32, "int"), Place::Flags));
    rows.extend(SELECTORS.map(|(name, n)| (CORE, Register::new(name, 32, "int32"), Place::Selector(n))));
    rows.extend((0..8).map(|n| (CORE, Register::new(format!("st{n}"), 80, "i387_ext"), Place::St(n))));
    rows.extend(FPU.iter().enumerate().map(|(n, name)| (CORE, Register::new(*name, 32, "int").group("float"), Place::Fpu(n))));
    const SSE: &str = "org.gnu.gdb.i386.sse";
    rows.extend((0..16).map(|n| (SSE, Register::new(format!("xmm{n}"), 128, "uint128").group("vector"), Place::Xmm(n))));
    rows.push((SSE, Register::new("mxcsr", 32, "int").group("vector"), Place::Mxcsr));
    const BASES: &str = "org.gnu.gdb.i386.segments";
    rows.extend([("fs_base", seg::FS), ("gs_base", seg::GS)].map(|(name, n)| (BASES, Register::new(name, 64, "int"), Place::Base(n))));
    const SYSTEM: &str = "org.proteus.x86.system";
    rows.extend(CONTROL.iter().enumerate().map(|(n, name)| (SYSTEM, Register::new(*name, 64, "uint64").group("system"), Place::Control(n))));
    rows
}

/// The registers of a core.
pub fn description() -> Description {
    let mut features: Vec<Feature> = Vec::new();
    for (name, register, _) in rows() {
        match features.last_mut() {
            Some(f) if f.name == name => f.registers.push(register),
            _ => features.push(Feature { name, types: "", registers: vec![register] }),
        }
    }
    let general = features.first().map_or(0, |f| f.registers.len());
    Description {
        architecture: "i386:x86-64",
        triple: "x86_64-unknown-unknown",
        big: false,
        pointer: 8,
        features,
        pc: RIP,
        sp: RSP,
        general,
        watch_before: false,
    }
}

/// The value of a register by its number in [`description`].
pub fn read(state: &State, number: usize) -> Option<u128> {
    let fpu = &state.fpu;
    Some(match rows().get(number)?.2 {
        Place::Gpr(n) => state.gpr[n].into(),
        Place::Rip => state.rip.into(),
        Place::Flags => u128::from(state.rflags as u32),
        Place::Selector(n) => state.segments[n].selector.into(),
        Place::St(n) => fpu.st[n],
        Place::Fpu(n) => fpu_word(fpu, n).into(),
        Place::Xmm(n) => fpu.xmm[n],
        Place::Mxcsr => fpu.mxcsr.into(),
        Place::Base(n) => state.segments[n].base.into(),
        Place::Control(n) => [state.cr0, state.cr2, state.cr3, state.cr4, state.cr8, state.efer].get(n).copied()?.into(),
    })
}

/// Sets a register; false where there is none, or it cannot be set: selectors, whose hidden parts
/// would not follow.
pub fn write(state: &mut State, number: usize, value: u128) -> bool {
    let Some((_, _, place)) = rows().get(number).cloned() else { return false };
    let word = value as u64;
    match place {
        Place::Gpr(n) => state.gpr[n] = word,
        Place::Rip => state.rip = word,
        Place::Flags => state.rflags = u64::from(word as u32),
        // GDB writes back all that it has read.
        Place::Selector(n) => return u64::from(state.segments[n].selector) == word,
        Place::St(n) => state.fpu.st[n] = value & (u128::MAX >> 48),
        Place::Fpu(n) => return set_fpu_word(&mut state.fpu, n, word),
        Place::Xmm(n) => state.fpu.xmm[n] = value,
        Place::Mxcsr => state.fpu.mxcsr = word as u32,
        Place::Base(n) => state.segments[n].base = word,
        Place::Control(n) => {
            let fields = [&mut state.cr0, &mut state.cr2, &mut state.cr3, &mut state.cr4, &mut state.cr8, &mut state.efer];
            if let Some(field) = fields.into_iter().nth(n) {
                *field = word;
            }
        }
    }
    true
}

/// The words of the FPU, as GDB has them. In 64-bit mode the pointers have no segments; GDB has
/// their upper halves there.
fn fpu_word(fpu: &Fpu, n: usize) -> u32 {
    match n {
        0 => fpu.control.into(),
        1 => fpu.status.into(),
        2 => full_tags(fpu),
        3 => (fpu.instruction >> 32) as u32,
        4 => fpu.instruction as u32,
        5 => (fpu.operand >> 32) as u32,
        6 => fpu.operand as u32,
        _ => fpu.opcode.into(),
    }
}

fn set_fpu_word(fpu: &mut Fpu, n: usize, word: u64) -> bool {
    let half = |old: u64, high: bool| if high { old & 0xffff_ffff | word << 32 } else { old >> 32 << 32 | word & 0xffff_ffff };
    match n {
        0 => fpu.control = word as u16,
        1 => fpu.status = word as u16,
        2 => fpu.tags = (0..8).filter(|i| word >> (2 * i) & 3 != 3).fold(0, |t, i| t | 1 << i),
        3 => fpu.instruction = half(fpu.instruction, true),
        4 => fpu.instruction = half(fpu.instruction, false),
        5 => fpu.operand = half(fpu.operand, true),
        6 => fpu.operand = half(fpu.operand, false),
        _ => fpu.opcode = word as u16,
    }
    true
}

/// The tag word of FSTENV from FXSAVE's (SDM vol. 1, 8.1.7): 0 valid, 1 zero, 2 special, 3 empty.
fn full_tags(fpu: &Fpu) -> u32 {
    let top = usize::from(fpu.status >> 11 & 7);
    (0..8).fold(0, |tags, n| {
        let tag = if fpu.tags & 1 << n == 0 {
            3
        } else {
            // Tags go with physical registers, ST0 is at the top of the stack.
            let value = fpu.st[(n + 8 - top) % 8];
            let (exponent, fraction) = (value >> 64 & 0x7fff, value as u64);
            match (exponent, fraction) {
                (0, 0) => 1,
                (0 | 0x7fff, _) => 2,
                (_, f) if f >> 63 == 0 => 2,
                _ => 0,
            }
        };
        tags | tag << (2 * n)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_register_gives_back_what_was_written() {
        let d = description();
        assert_eq!((d.register(d.pc).unwrap().name.as_str(), d.register(d.sp).unwrap().name.as_str()), ("rip", "rsp"));
        let mut state = State::default();
        for (n, register) in d.registers().enumerate() {
            let value = 0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00u128 & (u128::MAX >> (128 - register.bits.min(128)));
            let value = if matches!(register.name.as_str(), "fctrl" | "fstat" | "fop") { 0x1234 } else { value };
            if SELECTORS.iter().any(|(name, _)| *name == register.name) || register.name == "ftag" {
                continue;
            }
            assert!(write(&mut state, n, value), "{}", register.name);
            assert_eq!(read(&state, n), Some(value), "{}", register.name);
        }
        let n = d.registers().count();
        assert!(read(&state, n).is_none() && !write(&mut state, n, 0));
    }

    #[test]
    fn tags_tell_what_is_in_a_register() {
        let mut fpu = Fpu { tags: 0b1100_0001, status: 6 << 11, ..Fpu::default() };
        // The top is register 6: it is ST0, 7 is ST1, 0 is ST2.
        fpu.st[0] = 0x3fff_8000_0000_0000_0000;
        fpu.st[2] = 0x7fff_8000_0000_0000_0000;
        assert_eq!(full_tags(&fpu), 0b01_00_11_11_11_11_11_10);
        let mut other = Fpu::default();
        assert!(set_fpu_word(&mut other, 2, full_tags(&fpu).into()));
        assert_eq!(other.tags, fpu.tags);
    }
}
