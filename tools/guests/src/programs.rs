//! Compiles the small programs of `firmware/guest` for a guest.

use std::path::Path;
use std::process::Command;

use crate::tools::{Error, Result, entries, make_dir, part_name, remove_dir, rename, run};

/// The cross compiler of an architecture.
pub(crate) struct CrossCompiler {
    /// Its program.
    pub(crate) program: &'static str,
    /// The Debian packages it needs.
    pub(crate) packages: &'static str,
    /// Flags for this architecture.
    pub(crate) flags: &'static [&'static str],
    /// Programs that are in the assembly of another architecture.
    pub(crate) leaves_out: &'static [&'static str],
}

/// Compiles every `*.c` of `sources` into a static program in `into`.
pub(crate) fn compile(compiler: &CrossCompiler, sources: &Path, into: &Path) -> Result<()> {
    let fresh = part_name(into);
    remove_dir(&fresh)?;
    make_dir(&fresh)?;
    for source in entries(sources)?.iter().filter(|path| path.extension().is_some_and(|e| e == "c")) {
        let name = source.file_stem().unwrap_or_default();
        if compiler.leaves_out.iter().any(|foreign| name == *foreign) {
            continue;
        }
        run(
            Command::new(compiler.program)
                .args(["-static", "-O2", "-std=gnu11", "-pthread", "-Wall", "-Wextra", "-Werror", "-s", "-Wl,--build-id=none"])
                .args(compiler.flags)
                .arg("-o")
                .arg(fresh.join(name))
                .arg(source),
            compiler.packages,
        )?;
    }
    if entries(&fresh)?.is_empty() {
        return Err(Error::Other(format!("no C programs in {}", sources.display())));
    }
    remove_dir(into)?;
    rename(&fresh, into)
}
