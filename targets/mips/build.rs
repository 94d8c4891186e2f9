//! Generates the decoders from `decode/`.

use std::path::Path;

/// Every table in `decode/` belongs to the one decoder of the 32-bit instruction words.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new("decode");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "decode") {
            tables.push(path);
        }
    }
    // The numbers of the instructions must not depend on the order of the directory.
    tables.sort();
    let builder = |name| tables.iter().fold(decodetree::Builder::new(name), decodetree::Builder::file);
    builder("mips").semantics("crate::translate").generate()?;
    // Without the functions, for the tests of the tables by themselves.
    builder("mips_tables").generate()?;
    Ok(())
}
