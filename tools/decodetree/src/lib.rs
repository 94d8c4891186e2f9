//! Generates instruction decoders from tables.
//!
//! Used from a build script:
//!
//! ```no_run
//! # fn main() -> Result<(), decodetree::Error> {
//! decodetree::Builder::new("a64").file("decode/a64.decode").semantics("crate::translate").generate()?;
//! # Ok(())
//! # }
//! ```
//!
//! writes `$OUT_DIR/a64.rs`, to be included as
//! `#[allow(clippy::all)] pub mod a64 { include!(concat!(env!("OUT_DIR"), "/a64.rs")); }`.
//!
//! # The table
//!
//! One instruction a line, its bits from the most significant down; `#` starts a comment and a
//! backslash at the end of a line continues it.
//!
//! ```text
//! &addsub=AddSub  sf sh imm rn rd                                  # an argument set
//!
//! ADD_i   sf:1 0 0 100010 sh:1 imm:12 rn:5 rd:5   &addsub
//! B       000101 off:26                           %imm:s=off,00  &branch
//! CAS     size:2 0010001 a:1 1 rs:5 r:1 11111 rn:5 rt:5  &cas  ?lse
//! ```
//!
//! | token | meaning |
//! |---|---|
//! | `0110` | fixed bits |
//! | `..`, `xx` | bits that may have any value and that nobody reads |
//! | `name:5` | an unsigned field (`u32`) |
//! | `name:s9` | a signed field (`i64`) |
//! | `_name:2` | a field that only constraints and composites read |
//! | `%imm=hi,lo,00` | a composite argument: pieces from the most significant down, each a field or fixed bits; the fields used are not arguments themselves |
//! | `%imm:s=hi,lo` | the same, signed (`i64`) |
//! | `name=3` | an argument given as a constant |
//! | `!size=3` | the field must not have this value; a list: `!size=2,3` |
//! | `!n,imms=0b011111x` | the concatenation of the fields must not have this value; `x` is either bit |
//! | `&set` | the argument set that the instruction fills |
//! | `?lse` | the feature that the model must have |
//!
//! `&set name...` at the start of a line declares an argument set. It becomes a structure whose
//! name is the set's in camel case (`&add_sub` is `AddSub`), or the one after `=`. Sets are known
//! to all files of a decoder, in any order. A pattern fills exactly the fields of its set; a
//! pattern without fields needs no set, and its function takes no arguments.
//!
//! Lines between a line `{` and a line `}` may overlap: the first that matches wins. Any other
//! overlap is an error, as are unreachable patterns, wrong widths, fields that do not fit the set
//! and duplicate names: the word sets are intersected exactly, constraints included, and the
//! message shows a word on which two patterns collide. What no pattern matches is unallocated;
//! encodings that are known and left out stay in the table as comments.
//!
//! # The output
//!
//! - per set `pub struct AddSub { pub sf: u32, ... }` with one `AddSub::add_i(word)` per pattern;
//! - `enum Id`, `COUNT`, `ALL`, `NAMES`, `PATTERNS` (mask and value), `EXCLUSIONS` (the
//!   constraints as mask and value), `enum Feature`, `FEATURES`;
//! - `decode(word) -> Option<Id>`, a decision tree;
//! - `random(id, entropy)`, a word that decodes to `id`;
//! - with [`Builder::semantics`], `Table::<O>::FUNCTIONS`, one function per pattern which extracts
//!   the arguments and calls `semantics::add_i(o, &args)` (the pattern's name in lower case).

#![forbid(unsafe_code)]

mod cube;
mod emit;
mod parse;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with the tables, each message with the file and the line.
pub struct Error(Vec<String>);

impl Error {
    fn one(message: String) -> Self {
        Self(vec![message])
    }

    /// The messages, one for each fault found.
    pub fn messages(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// What the build script of a target does: makes the decoder `name` of every table in `decode/`, with
/// the functions of `crate::translate`, and `name_tables` without them, for the tests of the tables
/// by themselves.
pub fn target(name: &str) -> Result<(), Error> {
    let folder = Path::new("decode");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let unreadable = |e: std::io::Error| Error::one(format!("{}: cannot read the folder: {e}", folder.display()));
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e == "decode") {
            tables.push(path);
        }
    }
    // The numbers of the instructions must not depend on the order of the directory.
    tables.sort();
    let builder = |name: &str| tables.iter().fold(Builder::new(name), Builder::file);
    builder(name).semantics("crate::translate").generate()?;
    builder(&format!("{name}_tables")).generate()?;
    Ok(())
}

/// As `Display`: a build script's `main` prints its error with `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for Error {}

/// One decoder to generate, from one or several tables.
pub struct Builder {
    name: String,
    files: Vec<PathBuf>,
    texts: Vec<(String, String)>,
    semantics: Option<String>,
    import: String,
    width: u32,
}

impl Builder {
    /// A decoder that is written to `$OUT_DIR/name.rs`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), files: Vec::new(), texts: Vec::new(), semantics: None, import: "use proteus_exec::ops::Ops;".to_owned(), width: 32 }
    }

    /// Adds a table; all tables together make one decoder.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.files.push(path.as_ref().to_owned());
        self
    }

    /// Adds a table by its text; `name` stands for the file in messages.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.texts.push((name.to_owned(), text.to_owned()));
        self
    }

    /// The module of the semantic functions. Without it no `Table` is generated.
    #[must_use]
    pub fn semantics(mut self, module: &str) -> Self {
        self.semantics = Some(module.to_owned());
        self
    }

    /// The line that imports `Ops` and `R` for `Table`
    /// (otherwise `use proteus_exec::ops::Ops;`).
    #[must_use]
    pub fn import(mut self, line: &str) -> Self {
        self.import = line.to_owned();
        self
    }

    /// The width of an instruction word, 16 or 32 (the default).
    #[must_use]
    pub fn width(mut self, bits: u32) -> Self {
        self.width = bits;
        self
    }

    /// The generated text.
    pub fn source(&self) -> Result<String, Error> {
        if !matches!(self.width, 16 | 32) {
            return Err(Error::one(format!("decoder {}: the width must be 16 or 32, not {}", self.name, self.width)));
        }
        let mut texts = self.texts.clone();
        for path in &self.files {
            let text = std::fs::read_to_string(path).map_err(|e| Error::one(format!("{}: cannot read the table: {e}", path.display())))?;
            texts.push((path.display().to_string(), text));
        }
        let table = parse::parse(&texts, self.width).map_err(Error)?;
        let witnesses = cube::prove(&table).map_err(Error)?;
        let tree = tree::build(&table);
        Ok(emit::emit(&table, &witnesses, &tree, self.semantics.as_deref(), &self.import))
    }

    /// Writes `$OUT_DIR/name.rs`, tells Cargo of the tables read, and returns the path.
    pub fn generate(&self) -> Result<PathBuf, Error> {
        for path in &self.files {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        let out = std::env::var_os("OUT_DIR").ok_or_else(|| Error::one("OUT_DIR is not set: generate() is for build scripts".to_owned()))?;
        let path = Path::new(&out).join(format!("{}.rs", self.name));
        let text = self.source()?;
        std::fs::write(&path, text).map_err(|e| Error::one(format!("{}: cannot write: {e}", path.display())))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
