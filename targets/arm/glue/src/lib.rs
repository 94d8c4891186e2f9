//! Instantiates the Arm semantics for the compiling tier, so that the target itself does not see
//! the code generator.
#![forbid(unsafe_code)]

use proteus_arm::{Arm, a64, state};
use proteus_exec::ops::Slot;
use proteus_translator::{Compiler, Emitter, Frontend, Options, Scout, Unavailable};
use std::sync::Arc;

/// A64 for the translator.
struct A64;

impl Frontend for A64 {
    fn status(&self) -> &'static [Slot] {
        &[state::FPSR, state::FP_FAST]
    }
    fn scout(&self, s: &mut Scout, word: u32) -> bool {
        let Some(id) = a64::decode(word) else { return false };
        a64::Table::<Scout>::FUNCTIONS[id as usize](s, word);
        true
    }
    fn emit(&self, e: &mut Emitter<'_>, word: u32) -> bool {
        let Some(id) = a64::decode(word) else { return false };
        a64::Table::<Emitter<'_>>::FUNCTIONS[id as usize](e, word);
        true
    }
}

/// The compiler of one machine's cores; [`Compiler::tier`] gives each core its tier.
pub fn compiler(options: Options) -> Result<Arc<Compiler<Arm>>, Unavailable> {
    Compiler::new(A64, options)
}
