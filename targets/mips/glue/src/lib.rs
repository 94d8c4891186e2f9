//! Instantiates the MIPS semantics for the compiling tier, so that the target itself does not see
//! the code generator.
#![forbid(unsafe_code)]

use proteus_exec::ops::Slot;
use proteus_mips::{Mips, mips, state};
use proteus_translator::{Compiler, Emitter, Frontend, Options, Scout, Unavailable};
use std::sync::Arc;

/// MIPS for the translator.
struct Words;

impl Frontend for Words {
    fn status(&self) -> &'static [Slot] {
        &[state::FCSR]
    }
    fn scout(&self, s: &mut Scout, word: u32) -> bool {
        let Some(id) = mips::decode(word) else { return false };
        mips::Table::<Scout>::FUNCTIONS[id as usize](s, word);
        true
    }
    fn emit(&self, e: &mut Emitter<'_>, word: u32) -> bool {
        let Some(id) = mips::decode(word) else { return false };
        mips::Table::<Emitter<'_>>::FUNCTIONS[id as usize](e, word);
        true
    }
}

/// The compiler of one machine's cores; [`Compiler::tier`] gives each core its tier.
pub fn compiler(options: Options) -> Result<Arc<Compiler<Mips>>, Unavailable> {
    Compiler::new(Words, options)
}
