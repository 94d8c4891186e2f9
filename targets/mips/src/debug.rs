//! The registers as debuggers number them: GDB's standard features of MIPS (GDB manual, G.5.9), and
//! the rest of coprocessor 0 in one of our own.
//!
//! GDB prints rows of registers that are as wide as its ABI's, and waits without end where another is
//! wider: so the wide ones of 64-bit models are not among them.

use crate::cp0::Row;
use crate::state::{self, Mode, cp0, kept};
use crate::{Mips, fpu};
use proteus_exec::registers::{Description, Feature, Register};
use proteus_exec::{Core, Target};

const LO: usize = 32;
const HI: usize = 33;
const PC: usize = 34;
const STATUS: usize = 35;
const BADVADDR: usize = 36;
const CAUSE: usize = 37;
const F: usize = 38;
const FCSR: usize = F + 32;
const FIR: usize = FCSR + 1;
const END: usize = FIR + 1;

/// The rows of coprocessor 0 that the standard features have not.
fn others(core: &Core<Mips>) -> impl Iterator<Item = &'static Row> {
    let wide = core.target.model.bits64;
    let standard = [12 * 8, 8 * 8, 13 * 8];
    crate::cp0::ROWS.iter().filter(move |row| !standard.contains(&row.key) && !(wide && row.wide))
}

/// All registers.
pub fn description(core: &Core<Mips>) -> Description {
    let wide = core.target.model.bits64;
    let bits = if wide { 64 } else { 32 };
    let mut cpu: Vec<_> = (0..32).map(|n| Register::new(format!("r{n}"), bits, "int")).collect();
    cpu.extend(["lo", "hi"].map(|name| Register::new(name, bits, "int")));
    // GDB's pointers have the width of its ABI, which need not be that of the register.
    cpu.push(Register::new("pc", bits, if wide { "int" } else { "code_ptr" }));
    let system = ["status", "badvaddr", "cause"].map(|name| Register::new(name, bits, "int"));
    let mut fpu: Vec<_> = (0..32).map(|n| Register::new(format!("f{n}"), 64, "ieee_double").group("float")).collect();
    fpu.extend(["fcsr", "fir"].map(|name| Register::new(name, bits, "int").group("float")));
    let others = others(core).map(|row| Register::new(row.name.to_lowercase(), 32, "int").group("system")).collect();
    let (architecture, triple) = match (wide, core.target.big) {
        (false, true) => ("mips:isa32r2", "mips-unknown-unknown"),
        (false, false) => ("mips:isa32r2", "mipsel-unknown-unknown"),
        (true, true) => ("mips:isa64r2", "mips64-unknown-unknown"),
        (true, false) => ("mips:isa64r2", "mips64el-unknown-unknown"),
    };
    Description {
        architecture,
        triple,
        big: core.target.big,
        pointer: bits / 8,
        features: vec![
            Feature { name: "org.gnu.gdb.mips.cpu", types: "", registers: cpu },
            Feature { name: "org.gnu.gdb.mips.cp0", types: "", registers: system.into() },
            Feature { name: "org.gnu.gdb.mips.fpu", types: "", registers: fpu },
            Feature { name: "org.proteus.mips.cp0", types: "", registers: others },
        ],
        pc: PC,
        sp: 29,
        general: END,
        watch_before: true,
    }
}

/// The value of a register; `None` where there is none.
pub fn read(core: &mut Core<Mips>, number: usize) -> Option<u128> {
    let n = number as u32;
    Some(u128::from(match number {
        0..LO => core.word(state::r(n)),
        LO => core.word(state::LO),
        HI => core.word(state::HI),
        PC => core.pc(),
        STATUS => core.word(cp0(12, 0)),
        BADVADDR => core.word(cp0(8, 0)),
        CAUSE => crate::cp0::read(core, 13 * 8).ok()?,
        F..FCSR => double(core, n - F as u32),
        FCSR => core.word(state::FCSR),
        FIR => core.target.model.fir.into(),
        _ => {
            let row = others(core).nth(number.checked_sub(END)?)?;
            crate::cp0::read(core, row.key).ok()? & 0xffff_ffff
        }
    }))
}

/// A floating-point register as 64 bits: with Status.FR clear the pair that begins at an even one,
/// and the word that an odd one is.
fn double(core: &Core<Mips>, n: u32) -> u64 {
    let word = |n| core.word(state::f(n));
    match (Mode(Mips::mode(core)).has(Mode::FR), n & 1) {
        (true, _) => word(n),
        (false, 0) => word(n) & 0xffff_ffff | word(n + 1) << 32,
        (false, _) => word(n) & 0xffff_ffff,
    }
}

/// Sets a register; false where it cannot be set.
pub fn write(core: &mut Core<Mips>, number: usize, value: u128) -> bool {
    let n = number as u32;
    let whole = value as u64;
    let value = kept(core, whole);
    match number {
        0 => return value == 0,
        1..LO => *core.word_mut(state::r(n)) = value,
        LO => *core.word_mut(state::LO) = value,
        HI => *core.word_mut(state::HI) = value,
        PC => *core.word_mut(state::PC) = value,
        STATUS => return crate::cp0::write(core, 12 * 8, value, false).is_ok(),
        BADVADDR => *core.word_mut(cp0(8, 0)) = value,
        CAUSE => return crate::cp0::write(core, 13 * 8, value, false).is_ok(),
        F..FCSR => {
            let n = n - F as u32;
            if Mode(Mips::mode(core)).has(Mode::FR) {
                *core.word_mut(state::f(n)) = whole;
            } else {
                *core.word_mut(state::f(n)) = whole & 0xffff_ffff;
                if n & 1 == 0 {
                    *core.word_mut(state::f(n + 1)) = whole >> 32;
                }
            }
        }
        FCSR => return fpu::control_write(core, 31, value).is_ok(),
        FIR => return false,
        _ => {
            let row = number.checked_sub(END).and_then(|n| others(core).nth(n));
            return row.is_some_and(|row| crate::cp0::write(core, row.key, value, false).is_ok());
        }
    }
    true
}
