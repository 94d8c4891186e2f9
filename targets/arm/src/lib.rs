//! The Arm target: AArch64 state of the Arm architecture, version 8.
//!
//! The decoder is generated from the tables in `decode/`; what each instruction means is in
//! [`translate`], once, for every executor. System registers are rows in [`sysregs`].
#![forbid(unsafe_code)]

/// The A64 decoder, generated from `decode/`.
#[allow(missing_docs, non_camel_case_types, clippy::all)]
pub mod a64 {
    include!(concat!(env!("OUT_DIR"), "/a64.rs"));
}
pub mod debug;
pub mod exceptions;
pub mod helpers;
pub mod maintenance;
pub mod mmu;
pub mod models;
pub mod psci;
pub mod semihosting;
pub mod state;
pub mod sysregs;
pub mod timer;
pub mod translate;

use crate::a64::Feature;
use crate::exceptions::Exception;
use crate::state::{Mode, el};
use proteus_exec::registers::Description;
use proteus_exec::scan::Scan;
use proteus_exec::{Access, BusError, Core, Decoded, HelperFn, Layout, Step, Target, Translation};
use proteus_float::{Env, Rounding};
use std::sync::Arc;

/// What must hold for a system register to exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conditions {
    el2: bool,
    el3: bool,
    either: bool,
    cortex: bool,
    feature: Option<Feature>,
}

impl Conditions {
    /// Nothing.
    pub const ALWAYS: Conditions = Conditions { el2: false, el3: false, either: false, cortex: false, feature: None };
    /// EL2 is implemented.
    pub const EL2: Conditions = Conditions { el2: true, ..Self::ALWAYS };
    /// EL3 is implemented.
    pub const EL3: Conditions = Conditions { el3: true, ..Self::ALWAYS };
    /// EL2 or EL3 is implemented.
    pub const EL2_OR_3: Conditions = Conditions { either: true, ..Self::ALWAYS };
    /// A Cortex-A model.
    pub const CORTEX: Conditions = Conditions { cortex: true, ..Self::ALWAYS };
    /// The model has a feature.
    pub const fn feature(f: Feature) -> Conditions {
        Conditions { feature: Some(f), ..Self::ALWAYS }
    }
    /// Whether nothing must hold.
    pub fn is_always(&self) -> bool {
        *self == Self::ALWAYS
    }
    /// Whether it holds for `core`.
    pub fn hold(&self, core: &Core<Arm>) -> bool {
        let t = &core.target;
        (!self.el2 || t.has_el2)
            && (!self.el3 || t.has_el3)
            && (!self.either || t.has_el2 || t.has_el3)
            && (!self.cortex || t.cortex)
            && self.feature.is_none_or(|f| t.has(f))
    }
}

/// What the machine decides about its cores.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The model.
    pub model: &'static models::Model,
    /// EL2 is implemented.
    pub has_el2: bool,
    /// EL3 is implemented.
    pub has_el3: bool,
    /// How firmware calls are answered by the emulator.
    pub conduit: Option<psci::Conduit>,
    /// Affinity fields of MPIDR_EL1, by core.
    pub affinities: Arc<[u64]>,
    /// CNTFRQ_EL0: ticks of the generic timer a second.
    pub frequency: u64,
    /// The GIC has a system register interface (GICv3).
    pub gic_sysregs: bool,
    /// Where a reset begins.
    pub reset_address: u64,
}

/// The Arm target: what is fixed for a core, and a little that is not architectural state.
pub struct Arm {
    /// The model's identification registers.
    pub id: models::Id,
    /// EL2 is implemented.
    pub has_el2: bool,
    /// EL3 is implemented.
    pub has_el3: bool,
    /// How firmware calls are answered by the emulator.
    pub conduit: Option<psci::Conduit>,
    /// Affinity fields of every core's MPIDR_EL1.
    pub affinities: Arc<[u64]>,
    /// Ticks of the generic timer a second.
    pub frequency: u64,
    /// Implementation defined registers of the Cortex-A are there.
    pub cortex: bool,
    gic_sysregs: bool,
    reset_address: u64,
    features: u64,
    /// Broadcast TLB maintenance has been asked for since the last DSB.
    pub tlbi_sent: bool,
    /// Executed instructions when the cycle counter was last settled.
    pub pm_base: u64,
}

impl Arm {
    /// A core of the machine's configuration.
    pub fn new(c: &Configuration) -> Arm {
        Arm {
            id: c.model.id,
            has_el2: c.has_el2,
            has_el3: c.has_el3,
            conduit: c.conduit,
            affinities: c.affinities.clone(),
            frequency: c.frequency,
            cortex: c.model.cortex,
            gic_sysregs: c.gic_sysregs,
            reset_address: c.reset_address,
            features: c.model.features.iter().fold(1, |s, &f| s | 1 << f as u64),
            tlbi_sent: false,
            pm_base: 0,
        }
    }

    /// Whether the model has a feature.
    #[inline]
    pub fn has(&self, f: Feature) -> bool {
        self.features >> f as u64 & 1 != 0
    }
}

/// Whether access to FP and SIMD registers traps at the present level.
pub fn fp_traps(core: &Core<Arm>) -> bool {
    fp_trap_level(core).is_some()
}

/// The level that access to FP and SIMD registers traps to, where it does.
pub fn fp_trap_level(core: &Core<Arm>) -> Option<u8> {
    let level = el(core);
    let fpen = core.word(sysregs::CPACR_EL1) >> 20 & 3;
    let el1 = match level {
        0 => fpen != 3,
        1 => fpen & 1 == 0,
        _ => false,
    };
    let el2 = core.target.has_el2 && level <= 2 && core.word(sysregs::CPTR_EL2) >> 10 & 1 != 0;
    let el3 = core.target.has_el3 && core.word(sysregs::CPTR_EL3) >> 10 & 1 != 0;
    match (el1, el2, el3) {
        (true, _, _) => Some(1),
        (_, true, _) => Some(2),
        (_, _, true) => Some(3),
        _ => None,
    }
}

/// Brings the word that allows the host's floating point up to date with FPCR and FPSR.
pub fn update_fp_fast(core: &mut Core<Arm>) {
    // Rounding to nearest, no flushing, no default NaN, no alternative half format.
    let default = core.word(state::FPCR) & 0x07c8_0000 == 0;
    let inexact = core.word(state::FPSR) & 1 << 4 != 0;
    *core.word_mut(state::FP_FAST) = (default && inexact) as u64;
}

/// In software step, one instruction at a time: the state machine's step is here.
fn step_one(core: &mut Core<Arm>, word: u32) -> Step {
    let step = match a64::decode(word).filter(|&id| core.target.has(a64::FEATURES[id as usize])) {
        Some(id) => a64::Table::<Core<Arm>>::FUNCTIONS[id as usize](core, word),
        None => undefined(core, word),
    };
    let exclusive = matches!(a64::decode(word), Some(a64::Id::LDXR | a64::Id::LDXP));
    let stepped = state::STEPPED | if exclusive { state::STEPPED_EXCLUSIVE } else { 0 };
    let pc = match step {
        Step::Fault => {
            // A call is complete when its exception is taken (D2.12.5): the next step follows it.
            if matches!(core.pending, Some(Exception::Sync { next: true, .. } | Exception::Answered)) {
                *core.word_mut(state::SS) = stepped;
                core.attention = true;
            }
            return Step::Fault;
        }
        Step::Jumped => core.run.target_pc,
        Step::Exit => core.pc(),
        Step::Next | Step::Resync => core.run.next_pc,
    };
    if step != Step::Exit {
        *core.word_mut(state::SS) = stepped;
    }
    *core.word_mut(state::PC) = pc;
    core.attention = true;
    Step::Exit
}

fn undefined(core: &mut Core<Arm>, word: u32) -> Step {
    tracing::debug!(target: "unimp", pc = format_args!("{:#x}", core.run.pc), word = format_args!("{word:08x}"), "undefined instruction");
    core.raise(Exception::UNDEFINED);
    Step::Fault
}

fn misaligned(core: &mut Core<Arm>, _: u32) -> Step {
    core.raise(exceptions::bus_error(core.run.pc, Access::Fetch, BusError::Alignment));
    Step::Fault
}

fn breakpoint(core: &mut Core<Arm>, _: u32) -> Step {
    core.raise(Exception::sync(exceptions::ec::BREAKPOINT, 0b10_0010));
    Step::Fault
}

fn illegal(core: &mut Core<Arm>, _: u32) -> Step {
    core.raise(Exception::sync(exceptions::ec::ILLEGAL, 0));
    Step::Fault
}

impl Target for Arm {
    type Exception = Exception;
    const LAYOUT: Layout = state::LAYOUT;
    const HELPERS: &'static [HelperFn<Arm>] = helpers::FUNCTIONS;

    fn decode(core: &Core<Arm>, pc: u64, bytes: &[u8], mode: u16) -> Option<Decoded<Arm>> {
        use proteus_exec::scan::{Ends, Seen};
        let aligned = pc & 3 == 0;
        let word = if aligned { u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) } else { 0 };
        let ends = Seen { ends: Ends::State, exact: true, memory: false, helper: true };
        let special = |interpret| Some(Decoded { word, length: 4, interpret, seen: ends, special: true });
        // A fetch that the TLB answers is not translated, so that the pc is checked here as well.
        if !aligned {
            return special(misaligned);
        }
        if sysregs::breakpoint_at(core, pc) {
            return special(breakpoint);
        }
        if Mode(mode).has(Mode::ILLEGAL) {
            return special(illegal);
        }
        if Mode(mode).has(Mode::STEP) {
            return special(step_one);
        }
        match a64::decode(word).filter(|&id| core.target.has(a64::FEATURES[id as usize])) {
            Some(id) => {
                let seen = a64::Table::<Scan>::FUNCTIONS[id as usize](&mut Scan::new(pc, 4, mode), word);
                Some(Decoded { word, length: 4, interpret: a64::Table::<Core<Arm>>::FUNCTIONS[id as usize], seen, special: false })
            }
            None => special(undefined),
        }
    }

    fn bytes_of(_: &Core<Arm>, word: u32) -> [u8; 4] {
        word.to_le_bytes()
    }

    fn mode(core: &Core<Arm>) -> u16 {
        let level = el(core);
        let sctlr = core.word(sysregs::sctlr(level.max(1)));
        let mut m = level as u16;
        let mut set = |c: bool, bit: u16| m |= if c { bit } else { 0 };
        set(fp_traps(core), Mode::FP_TRAPS);
        // With the MMU off data is Device memory, where unaligned accesses fault too.
        set(sctlr >> 1 & 1 != 0 || sctlr & 1 == 0, Mode::ALIGN);
        set(if level == 0 { sctlr >> 24 & 1 != 0 } else { sctlr >> 25 & 1 != 0 }, Mode::BIG);
        set(if level == 0 { sctlr >> 4 & 1 != 0 } else { sctlr >> 3 & 1 != 0 }, Mode::SP_ALIGN);
        set(core.word(state::UAO) & 1 != 0, Mode::UAO);
        set(sysregs::step_enabled(core), Mode::STEP);
        set(core.target.has_el2 && core.word(sysregs::HCR_EL2) & !(1 << 31) != 0, Mode::TRAPS);
        set(core.word(state::IL) & 1 != 0, Mode::ILLEGAL);
        m
    }

    fn context(core: &Core<Arm>) -> u64 {
        mmu::context(core)
    }
    fn unprivileged_context(core: &Core<Arm>) -> u64 {
        mmu::unprivileged_context(core)
    }
    fn translate(core: &mut Core<Arm>, address: u64, access: Access, unprivileged: bool) -> Result<Translation, Exception> {
        if access == Access::Fetch && address & 3 != 0 {
            return Err(exceptions::bus_error(address, access, BusError::Alignment));
        }
        mmu::translate(core, address, access, unprivileged)
    }
    fn bus_error(_: &mut Core<Arm>, address: u64, access: Access, error: BusError) -> Exception {
        exceptions::bus_error(address, access, error)
    }
    fn take(core: &mut Core<Arm>, exception: Exception, pc: u64) {
        exceptions::take(core, exception, pc);
    }
    fn interrupt(core: &mut Core<Arm>) -> Option<Exception> {
        exceptions::interrupt(core)
    }
    fn wakes(core: &Core<Arm>) -> bool {
        exceptions::wakes(core)
    }

    fn fp_env(core: &Core<Arm>) -> Env {
        let fpcr = core.word(state::FPCR);
        let mut env = Env::arm();
        env.rounding = match fpcr >> 22 & 3 {
            0 => Rounding::TiesEven,
            1 => Rounding::Up,
            2 => Rounding::Down,
            _ => Rounding::Zero,
        };
        env.flush_inputs = fpcr >> 24 & 1 != 0;
        env.flush_outputs = fpcr >> 24 & 1 != 0;
        env.flush16 = fpcr >> 19 & 1 != 0;
        env.default_nan = fpcr >> 25 & 1 != 0;
        env.alt_half = fpcr >> 26 & 1 != 0;
        env
    }
    fn fp_flags(core: &mut Core<Arm>, env: &Env, saturated: bool) {
        let new = env.flags.0 as u64 & 0x9f | (saturated as u64) << 27;
        if new & !core.word(state::FPSR) != 0 {
            *core.word_mut(state::FPSR) |= new;
            update_fp_fast(core);
        }
    }

    fn description(core: &Core<Arm>) -> Description {
        debug::description(core)
    }
    fn read_register(core: &mut Core<Arm>, number: usize) -> Option<u128> {
        debug::read(core, number)
    }
    fn write_register(core: &mut Core<Arm>, number: usize, value: u128) -> bool {
        debug::write(core, number, value)
    }
    fn facts(core: &mut Core<Arm>, what: proteus_exec::vcpu::Facts) -> Option<String> {
        debug::facts(core, what)
    }

    fn reset(core: &mut Core<Arm>) {
        let keep = core.target.affinities.get(core.id.0 as usize).copied().unwrap_or(0);
        core.regs.fill(0);
        let top = if core.target.has_el3 {
            3
        } else if core.target.has_el2 {
            2
        } else {
            1
        };
        *core.word_mut(state::EL) = top;
        *core.word_mut(state::SPSEL) = 1;
        *core.word_mut(state::DAIF) = 0x3c0;
        *core.word_mut(state::EXCL_ADDRESS) = state::NO_EXCLUSIVE;
        *core.word_mut(state::PC) = core.target.reset_address;
        let id = core.target.id;
        let mut pfr0 = id.pfr0;
        pfr0 |= (core.target.has_el2 as u64) << 8 | (core.target.has_el3 as u64) << 12 | (core.target.gic_sysregs as u64) << 24;
        let values: [((u32, u32), u64); 10] = [
            ((0, 0), id.midr),
            ((0, 6), id.revidr),
            ((4, 0), pfr0),
            ((4, 1), id.pfr1),
            ((5, 0), id.dfr0),
            ((6, 0), id.isar0),
            ((6, 1), id.isar1),
            ((7, 0), id.mmfr0),
            ((7, 1), id.mmfr1),
            ((7, 2), id.mmfr2),
        ];
        for ((crm, op2), v) in values {
            if let Some(slot) = sysregs::id_slot(translate::system_key(3, 0, 0, crm, op2)) {
                *core.word_mut(slot) = v;
            }
        }
        // Bit 31 is RES1.
        let cores = core.target.affinities.len() as u64;
        for (slot, v) in [
            (sysregs::MPIDR_EL1, 1 << 31 | keep),
            (sysregs::VMPIDR_EL2, 1 << 31 | keep),
            (sysregs::VPIDR_EL2, id.midr),
            (sysregs::CTR_EL0, id.ctr),
            (sysregs::DCZID_EL0, 4),
            (sysregs::CLIDR_EL1, id.clidr),
            (sysregs::SCTLR_EL1, id.sctlr),
            (sysregs::SCTLR_EL2, 0x30c5_0838),
            (sysregs::SCTLR_EL3, 0x00c5_0838),
            (sysregs::CNTFRQ_EL0, core.target.frequency),
            (sysregs::OSLSR_EL1, 0xa),
            (sysregs::RVBAR_EL1, core.target.reset_address),
            (sysregs::RVBAR_EL2, core.target.reset_address),
            (sysregs::RVBAR_EL3, core.target.reset_address),
            (sysregs::L2CTLR_EL1, (cores.min(4) - 1) << 24),
            (sysregs::MDCR_EL2, 0),
        ] {
            *core.word_mut(slot) = v;
        }
        core.halted = false;
        core.attention = true;
        core.target.tlbi_sent = false;
        core.target.pm_base = core.executed();
    }

    fn start(core: &mut Core<Arm>, entry: u64, argument: u64) {
        *core.word_mut(state::PC) = entry;
        *core.word_mut(state::x(0)) = argument;
    }
}

/// Puts a core at the entry of a kernel as the boot protocol has it: at EL2 where there is one,
/// at EL1 otherwise, with interrupts masked and the MMU off.
pub fn enter_kernel(core: &mut Core<Arm>, entry: u64, x0: u64) {
    if core.target.has_el3 {
        // What secure firmware would have set: non-secure, AArch64 below, HVC allowed.
        *core.word_mut(sysregs::SCR_EL3) = 1 | 1 << 8 | 1 << 10;
        let level = if core.target.has_el2 { 2 } else { 1 };
        exceptions::set_el(core, level, 1);
    }
    core.powered = true;
    <Arm as Target>::start(core, entry, x0);
    core.resync();
}
