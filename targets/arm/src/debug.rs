//! The registers as debuggers number them: GDB's standard features of AArch64 (GDB manual, G.5.1),
//! and the system registers, from their rows.

use crate::sysregs::{self, ROWS};
use crate::{Arm, exceptions, state};
use proteus_exec::registers::{Description, Feature, Register};
use proteus_exec::vcpu::Facts;
use proteus_exec::{Core, Ops};

const SP: usize = 31;
const PC: usize = 32;
const CPSR: usize = 33;
const V: usize = 34;
const FPSR: usize = V + 32;
const FPCR: usize = FPSR + 1;
const SYSTEM: usize = FPCR + 1;

const CORE_TYPES: &str = r#"<flags id="cpsr_flags" size="4"><field name="SP" start="0" end="0"/><field name="EL" start="2" end="3"/><field name="nRW" start="4" end="4"/><field name="F" start="6" end="6"/><field name="I" start="7" end="7"/><field name="A" start="8" end="8"/><field name="D" start="9" end="9"/><field name="IL" start="20" end="20"/><field name="SS" start="21" end="21"/><field name="PAN" start="22" end="22"/><field name="V" start="28" end="28"/><field name="C" start="29" end="29"/><field name="Z" start="30" end="30"/><field name="N" start="31" end="31"/></flags>"#;

const VECTOR_TYPES: &str = r#"<vector id="v2d" type="ieee_double" count="2"/><vector id="v2u" type="uint64" count="2"/><vector id="v4f" type="ieee_single" count="4"/><vector id="v4u" type="uint32" count="4"/><vector id="v8u" type="uint16" count="8"/><vector id="v16u" type="uint8" count="16"/><vector id="v1u" type="uint128" count="1"/><union id="vnd"><field name="f" type="v2d"/><field name="u" type="v2u"/></union><union id="vns"><field name="f" type="v4f"/><field name="u" type="v4u"/></union><union id="vnh"><field name="u" type="v8u"/></union><union id="vnb"><field name="u" type="v16u"/></union><union id="vnq"><field name="u" type="v1u"/></union><union id="aarch64v"><field name="d" type="vnd"/><field name="s" type="vns"/><field name="h" type="vnh"/><field name="b" type="vnb"/><field name="q" type="vnq"/></union>"#;

/// The rows that exist on this core and can be read.
fn rows(core: &Core<Arm>) -> impl Iterator<Item = &'static sysregs::Row> {
    ROWS.iter().filter(|r| r.read <= 3 && r.when.hold(core))
}

/// All registers.
pub fn description(core: &Core<Arm>) -> Description {
    let mut general: Vec<_> = (0..31).map(|n| Register::new(format!("x{n}"), 64, "int")).collect();
    general.push(Register::new("sp", 64, "data_ptr"));
    general.push(Register::new("pc", 64, "code_ptr"));
    general.push(Register::new("cpsr", 32, "cpsr_flags"));
    let mut fpu: Vec<_> = (0..32).map(|n| Register::new(format!("v{n}"), 128, "aarch64v")).collect();
    fpu.push(Register::new("fpsr", 32, "int").group("float"));
    fpu.push(Register::new("fpcr", 32, "int").group("float"));
    let system = rows(core).map(|r| Register::new(r.name, 64, "int").group("cp_regs")).collect();
    Description {
        architecture: "aarch64",
        triple: "aarch64-unknown-unknown",
        big: false,
        pointer: 8,
        features: vec![
            Feature { name: "org.gnu.gdb.aarch64.core", types: CORE_TYPES, registers: general },
            Feature { name: "org.gnu.gdb.aarch64.fpu", types: VECTOR_TYPES, registers: fpu },
            Feature { name: "org.proteus.aarch64.system", types: "", registers: system },
        ],
        pc: PC,
        sp: SP,
        general: SYSTEM,
        watch_before: true,
    }
}

/// What is told to people: PSTATE in words.
pub fn facts(core: &mut Core<Arm>, what: Facts) -> Option<String> {
    if what != Facts::Mode {
        return None;
    }
    let p = exceptions::pstate(core);
    let flags: String = "NZCV".chars().enumerate().map(|(n, c)| if p >> (31 - n) & 1 != 0 { c } else { '-' }).collect();
    let level = p >> 2 & 3;
    let stack = if level > 0 && p & 1 != 0 { 'h' } else { 't' };
    Some(format!("PSTATE={p:08x} {flags} EL{level}{stack}\n"))
}

/// The value of a register; `None` where it cannot be read now.
pub fn read(core: &mut Core<Arm>, number: usize) -> Option<u128> {
    let n = number as u32;
    Some(match number {
        0..SP => core.word(state::x(n)).into(),
        SP => core.word(state::SP).into(),
        PC => core.pc().into(),
        CPSR => exceptions::pstate(core).into(),
        V..FPSR => core.xget(state::v(n - V as u32)),
        FPSR => core.word(state::FPSR).into(),
        FPCR => core.word(state::FPCR).into(),
        _ => {
            let row = rows(core).nth(number - SYSTEM)?;
            sysregs::debug_read(core, row)?.into()
        }
    })
}

/// Sets a register; false where it cannot be set.
pub fn write(core: &mut Core<Arm>, number: usize, value: u128) -> bool {
    let n = number as u32;
    let word = value as u64;
    match number {
        0..SP => *core.word_mut(state::x(n)) = word,
        SP => *core.word_mut(state::SP) = word,
        PC => *core.word_mut(state::PC) = word,
        // The level stays: a debugger changes it by the registers that an exception return reads.
        CPSR => {
            core.set_nzcv(word >> 28 & 15);
            *core.word_mut(state::DAIF) = word & 0x3c0;
        }
        V..FPSR => core.xset(state::v(n - V as u32), value),
        FPSR => {
            *core.word_mut(state::FPSR) = word & 0x0800_009f;
            crate::update_fp_fast(core);
        }
        FPCR => {
            *core.word_mut(state::FPCR) = word & 0x07ff_9f00;
            crate::update_fp_fast(core);
        }
        _ => {
            let Some(row) = rows(core).nth(number - SYSTEM) else { return false };
            return sysregs::debug_write(core, row, word);
        }
    }
    true
}
