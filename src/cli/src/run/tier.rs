//! The translator: one compiler a machine, a tier of it for each core.

use std::sync::Arc;

use proteus_arm::Arm;
use proteus_exec::Tier;
use proteus_translator::{Compiler, Options};

use super::cores::Executor;

/// What compiles a machine's hot code, where anything does.
#[derive(Clone)]
pub struct Translator(Option<Arc<Compiler<Arm>>>);

impl Translator {
    /// The translator, where `executor` is one and the host can have it.
    pub fn new(program: &str, executor: Executor) -> Translator {
        let Executor::Translator { code_size, .. } = executor else { return Translator(None) };
        let mut options = Options::default();
        options.code = code_size.and_then(|n| usize::try_from(n).ok()).unwrap_or(options.code);
        match proteus_arm_glue::compiler(options) {
            Ok(compiler) => Translator(Some(compiler)),
            Err(e) => {
                crate::error::say(format_args!("{program}: warning: {e}; processors are interpreted, which is slow"));
                Translator(None)
            }
        }
    }

    /// The tier of one more core.
    pub fn tier(&self) -> Option<Box<dyn Tier<Arm>>> {
        self.0.as_ref().map(Compiler::tier)
    }

    /// For `info jit`.
    pub fn describe(&self) -> String {
        let Some(compiler) = &self.0 else { return "no translator: processors are interpreted\n".into() };
        let s = compiler.statistics();
        format!(
            "interpreter, and translation of hot code\nregions compiled   {}\nguest instructions {}\ntime               {} ms\n",
            s.regions,
            s.instructions,
            s.nanoseconds / 1_000_000
        )
    }
}
