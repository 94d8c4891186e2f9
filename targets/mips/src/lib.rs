//! The MIPS target: MIPS32 and MIPS64, releases 1 and 2, in either byte order.
//!
//! The decoder is generated from the tables in `decode/`; what each instruction means is in
//! [`translate`], once, for every executor. Coprocessor 0's registers are rows in [`cp0`]. The
//! source is the MIPS Architecture For Programmers, volumes I to III, revision 2.62 (MD00082,
//! MD00084, MD00087, MD00089, MD00090, MD00091).
#![forbid(unsafe_code)]

/// The decoder, generated from `decode/`.
#[allow(missing_docs, non_camel_case_types, clippy::all)]
pub mod mips {
    include!(concat!(env!("OUT_DIR"), "/mips.rs"));
}
pub mod cp0;
pub mod debug;
pub mod exceptions;
pub mod fpu;
pub mod helpers;
pub mod mmu;
pub mod models;
pub mod semihosting;
pub mod state;
#[cfg(test)]
mod testing;
pub mod timer;
pub mod tlb;
pub mod translate;

use crate::exceptions::Exception;
use crate::mips::Feature;
use crate::state::Mode;
use proteus_exec::registers::Description;
use proteus_exec::scan::{Ends, Scan, Seen};
use proteus_exec::{Access, BusError, Core, Decoded, HelperFn, Layout, Step, Target, Translation};
use proteus_float::Env;

/// What the machine decides about its core.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The model.
    pub model: &'static models::Model,
    /// Data and instructions are big-endian.
    pub big: bool,
    /// CP0 Count's ticks a second.
    pub count_frequency: u64,
    /// Where a reset begins, sign-extended; the architecture has 0xffffffff_bfc00000.
    pub reset_address: u64,
}

/// The MIPS target: what is fixed for a core.
pub struct Mips {
    /// The model.
    pub model: &'static models::Model,
    /// Data and instructions are big-endian.
    pub big: bool,
    /// CP0 Count's ticks a second.
    pub count_frequency: u64,
    /// Where a reset begins.
    pub reset_address: u64,
    /// TLB entries that the guest cannot know to be gone; see [`tlb`].
    pub hidden: tlb::Hidden,
    features: u64,
}

impl Mips {
    /// A core of the machine's configuration.
    pub fn new(c: &Configuration) -> Mips {
        Mips {
            model: c.model,
            big: c.big,
            count_frequency: c.count_frequency,
            reset_address: c.reset_address,
            hidden: tlb::Hidden::default(),
            // Feature 0 is what every model has.
            features: c.model.features.iter().fold(1, |s, &f| s | 1 << f as u64),
        }
    }

    /// Whether the model has a feature.
    #[inline]
    pub fn has(&self, f: Feature) -> bool {
        self.features >> f as u64 & 1 != 0
    }
}

/// An instruction that does not exist, or must not be where it is.
fn reserved(core: &mut Core<Mips>, word: u32) -> Step {
    tracing::debug!(target: "unimp", pc = format_args!("{:#x}", core.run.pc), word = format_args!("{word:08x}"), "reserved instruction");
    let e = exceptions::reserved(core, word);
    core.raise(e);
    Step::Fault
}

/// A pc that is not a multiple of four.
fn misaligned(core: &mut Core<Mips>, _: u32) -> Step {
    let pc = core.run.pc;
    let e = exceptions::bus_error(core, pc, Access::Fetch, BusError::Alignment);
    core.raise(e);
    Step::Fault
}

impl Target for Mips {
    type Exception = Exception;
    const LAYOUT: Layout = state::LAYOUT;
    const HELPERS: &'static [HelperFn<Mips>] = helpers::FUNCTIONS;

    fn decode(core: &Core<Mips>, pc: u64, bytes: &[u8], mode: u16) -> Option<Decoded<Mips>> {
        let special = |word, interpret| {
            let seen = Seen { ends: Ends::State, exact: true, memory: false, helper: true };
            Some(Decoded { word, length: 4, interpret, seen, special: true })
        };
        if pc & 3 != 0 {
            return special(0, misaligned);
        }
        let raw = bytes.get(..4)?.try_into().ok()?;
        let word = if core.target.big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) };
        let Some(id) = mips::decode(word).filter(|&id| core.target.has(mips::FEATURES[id as usize])) else {
            return special(word, reserved);
        };
        let seen = mips::Table::<Scan>::FUNCTIONS[id as usize](&mut Scan::new(pc, 4, mode), word);
        // A branch in a delay slot is UNPREDICTABLE; here it does not exist.
        let branches = matches!(seen.ends, Ends::Jump(..) | Ends::Branch(_) | Ends::Indirect(_) | Ends::Delayed(_));
        if mode & Mode::SLOT != 0 && branches {
            return special(word, reserved);
        }
        if exceptions::watches_instruction(core, pc) {
            return Some(Decoded { word, length: 4, interpret: exceptions::watched_instruction, seen, special: true });
        }
        Some(Decoded { word, length: 4, interpret: mips::Table::<Core<Mips>>::FUNCTIONS[id as usize], seen, special: false })
    }

    fn bytes_of(core: &Core<Mips>, word: u32) -> [u8; 4] {
        if core.target.big { word.to_be_bytes() } else { word.to_le_bytes() }
    }

    fn sign_extended(core: &Core<Mips>, address: u64) -> Option<u64> {
        (core.target.model.bits64 && address >> 31 == 1).then_some(address as i32 as u64)
    }

    fn mode(core: &Core<Mips>) -> u16 {
        exceptions::mode(core)
    }
    fn context(core: &Core<Mips>) -> u64 {
        mmu::context(core)
    }
    fn unprivileged_context(core: &Core<Mips>) -> u64 {
        mmu::context(core)
    }
    fn translate(core: &mut Core<Mips>, address: u64, access: Access, _: bool) -> Result<Translation, Exception> {
        mmu::translate(core, address, access)
    }
    fn bus_error(core: &mut Core<Mips>, address: u64, access: Access, error: BusError) -> Exception {
        exceptions::bus_error(core, address, access, error)
    }
    fn take(core: &mut Core<Mips>, exception: Exception, pc: u64) {
        exceptions::take(core, exception, pc);
    }
    fn interrupt(core: &mut Core<Mips>) -> Option<Exception> {
        exceptions::interrupt(core)
    }
    fn wakes(core: &Core<Mips>) -> bool {
        exceptions::wakes(core)
    }
    fn fp_env(core: &Core<Mips>) -> Env {
        fpu::env(core)
    }
    fn fp_flags(core: &mut Core<Mips>, env: &Env, _: bool) {
        fpu::flags(core, env);
    }
    fn description(core: &Core<Mips>) -> Description {
        debug::description(core)
    }
    fn read_register(core: &mut Core<Mips>, number: usize) -> Option<u128> {
        debug::read(core, number)
    }
    fn write_register(core: &mut Core<Mips>, number: usize, value: u128) -> bool {
        debug::write(core, number, value)
    }
    fn facts(core: &mut Core<Mips>, what: proteus_exec::vcpu::Facts) -> Option<String> {
        (what == proteus_exec::vcpu::Facts::Tlb).then(|| tlb::describe(core))
    }
    fn reset(core: &mut Core<Mips>) {
        cp0::reset(core);
    }
    fn start(core: &mut Core<Mips>, entry: u64, argument: u64) {
        *core.word_mut(state::PC) = state::kept(core, entry);
        *core.word_mut(state::r(4)) = state::kept(core, argument);
    }
}
