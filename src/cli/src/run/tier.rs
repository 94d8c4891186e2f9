//! The translator: one compiler a machine, a tier of it for each core.

use std::sync::Arc;

use proteus_exec::{Target, Tier};
use proteus_translator::{Compiler, Options, Unavailable};

use super::cores::Executor;

/// What compiles a machine's hot code, where anything does.
pub struct Translator<T: Target>(Option<Arc<Compiler<T>>>);

impl<T: Target> Translator<T> {
    /// The translator, where `executor` is one and the host can have it; `exact` where time is a count
    /// of instructions.
    pub fn new(program: &str, executor: Executor, exact: bool, compiler: fn(Options) -> Result<Arc<Compiler<T>>, Unavailable>) -> Translator<T> {
        let Executor::Translator { code_size, .. } = executor else { return Translator(None) };
        let mut options = Options { exact, ..Options::default() };
        options.code = code_size.and_then(|n| usize::try_from(n).ok()).unwrap_or(options.code);
        match compiler(options) {
            Ok(compiler) => Translator(Some(compiler)),
            Err(e) => {
                crate::error::say(format_args!("{program}: warning: {e}; processors are interpreted, which is slow"));
                Translator(None)
            }
        }
    }

    /// The tier of one more core.
    pub fn tier(&self) -> Option<Box<dyn Tier<T>>> {
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
