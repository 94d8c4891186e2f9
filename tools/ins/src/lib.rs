//! Instruction tests: what the runners of every target's `tests/*.ins` share, and in [`fuzz`] what
//! those of random programs do.
//!
//! A line is `words "disassembly" before => after`:
//!
//! ```text
//! 91001420 "add x0, x1, #5"   x1=fffffffffffffffe => x0=3
//! ```
//!
//! Numbers are hexadecimal. Several words stand for a sequence, their texts divided by `;`. The
//! text is Capstone's, for the instruction at address 0; `~` before the quotes says that Capstone
//! does not know the word. `before` and `after` are `name=value` pairs; the names are the
//! target's. What is not named after `=>` must be as it was. `=> exception ...` says that one was
//! taken. A line of settings alone holds for the lines after it, until the next such line. `#`
//! starts a comment.
#![forbid(unsafe_code)]

pub mod fuzz;

use proteus_exec::{Core, Cpu, Target, Thresholds};
use proteus_translator::{Compiler, Options, Unavailable};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Bytes in a page of the emulator's books.
const PAGE: usize = 4096;

/// What runs the instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    /// Each instruction interpreted.
    Interpreter,
    /// Run once interpreted, which has every block compiled, and then again.
    Compiled,
}

/// `name=value` pairs in their order.
pub type Settings = Vec<(String, String)>;

/// One line of a file.
#[derive(Clone, Debug)]
pub struct Line {
    /// File and number.
    pub place: String,
    /// The instruction words.
    pub words: Vec<u32>,
    /// Their disassembly.
    pub text: String,
    /// Capstone knows the words.
    pub listed: bool,
    /// The settings that hold before, those of the file's head first.
    pub before: Settings,
    /// What is another afterwards.
    pub after: Settings,
    /// An exception was taken.
    pub exception: bool,
}

impl Line {
    /// The last value of a setting before.
    pub fn before(&self, name: &str) -> Option<&str> {
        last(&self.before, name)
    }
    /// The last value of a setting after.
    pub fn after(&self, name: &str) -> Option<&str> {
        last(&self.after, name)
    }
}

/// The last value of a setting.
pub fn last<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

/// Settings from their text.
fn settings(text: &str) -> Result<Settings, String> {
    text.split_whitespace().map(|s| s.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).ok_or_else(|| format!("`{s}` is not name=value"))).collect()
}

/// A hexadecimal number.
pub fn number(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|e| format!("{text}: {e}"))
}

/// Bytes of two digits each.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(format!("{text}: bytes have two digits"));
    }
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|e| format!("{text}: {e}"))).collect()
}

/// An address, with `+` relative to `base`.
pub fn address(text: &str, base: u64) -> Result<u64, String> {
    match text.strip_prefix('+') {
        Some(n) => Ok(base.wrapping_add(number(n)?)),
        None => number(text),
    }
}

/// A text in one form: single spaces, lower case.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A line, or the settings that hold from here on.
enum Parsed {
    Line(Line),
    Head(Settings),
}

/// A target's names for exceptions that many lines expect, each with the settings it stands for.
pub type Shorthands = &'static [(&'static str, &'static str)];

/// `None` for comments.
fn parse(place: String, text: &str, head: &Settings, shorthands: Shorthands) -> Result<Option<Parsed>, String> {
    let text = text.split(" # ").next().unwrap_or("").trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let Some((words, rest)) = text.split_once('"') else { return Ok(Some(Parsed::Head(settings(text)?))) };
    let (listing, rest) = rest.split_once('"').ok_or("the text does not end")?;
    let (words, listed) = match words.trim().strip_suffix('~') {
        Some(w) => (w, false),
        None => (words.trim(), true),
    };
    let words = words.split_whitespace().map(|w| u32::from_str_radix(w, 16).map_err(|e| format!("{w}: {e}"))).collect::<Result<Vec<u32>, String>>()?;
    let (before, after) = rest.split_once("=>").ok_or("there is no =>")?;
    let mut all = head.clone();
    all.extend(settings(before)?);
    let after = after.trim();
    let (first, more) = after.split_once(' ').unwrap_or((after, ""));
    let (exception, after) = match shorthands.iter().find(|(n, _)| *n == first) {
        Some((_, meaning)) => (true, format!("{meaning} {more}")),
        None if first == "exception" => (true, more.to_owned()),
        None => (false, after.to_owned()),
    };
    let after = settings(&after)?;
    Ok(Some(Parsed::Line(Line { place, words, text: listing.to_owned(), listed, before: all, after, exception })))
}

/// Every line of every file of a folder.
pub struct Suite {
    /// The lines.
    pub lines: Vec<Line>,
    /// What could not be read.
    pub errors: Vec<String>,
}

impl Suite {
    /// Reads a folder's files.
    pub fn read(folder: &Path, shorthands: Shorthands) -> Suite {
        let mut suite = Suite { lines: Vec::new(), errors: Vec::new() };
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).expect("the tests are there").flatten().map(|e| e.path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "ins"));
        files.sort();
        for f in files {
            let name = f.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let text = std::fs::read_to_string(&f).expect("a readable file");
            let mut head = Settings::new();
            for (n, l) in text.lines().enumerate() {
                let place = format!("{name}:{}", n + 1);
                match parse(place.clone(), l, &head, shorthands) {
                    Ok(Some(Parsed::Line(l))) => suite.lines.push(l),
                    Ok(Some(Parsed::Head(h))) => head = h,
                    Ok(None) => {}
                    Err(e) => suite.errors.push(format!("{place}: {e}")),
                }
            }
        }
        suite
    }

    /// Runs every line, on as many threads as there are processors: each has a worker, and `run`
    /// says what is wrong with a line. Gives the sum of what `count` counts in the workers.
    pub fn run<W>(&self, worker: impl Fn() -> W + Sync, run: impl Fn(&mut W, &Line) -> Result<(), String> + Sync, count: impl Fn(&W) -> u64 + Sync) -> u64 {
        let next = AtomicUsize::new(0);
        let total = AtomicU64::new(0);
        let found = Mutex::new(Vec::new());
        std::thread::scope(|s| {
            for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
                s.spawn(|| {
                    let mut w = worker();
                    while let Some((i, l)) = Some(next.fetch_add(1, SeqCst)).and_then(|i| Some((i, self.lines.get(i)?))) {
                        if let Err(e) = run(&mut w, l) {
                            let words: Vec<String> = l.words.iter().map(|w| format!("{w:08x}")).collect();
                            found.lock().expect("no thread panicked").push((i, format!("{}: {} {}: {e}", l.place, words.join(" "), l.text)));
                        }
                    }
                    total.fetch_add(count(&w), SeqCst);
                });
            }
        });
        let mut found = found.into_inner().expect("no thread panicked");
        found.sort();
        let errors: Vec<String> = self.errors.iter().cloned().chain(found.into_iter().map(|f| f.1)).collect();
        assert!(!self.lines.is_empty());
        assert!(errors.is_empty(), "{} of {} lines\n{}", errors.len(), self.lines.len(), errors.join("\n"));
        total.into_inner()
    }

    /// Checks that the lines' texts are what `text` gives for their words, `None` where it does
    /// not know one.
    pub fn check_texts(&self, text: impl Fn(&Line, u32) -> Option<String>) {
        let mut errors = self.errors.clone();
        for l in &self.lines {
            let listing: Vec<Option<String>> = l.words.iter().map(|&w| Some(plain(&text(l, w)?))).collect();
            if l.listed {
                let all = listing.iter().map(|t| t.as_deref().unwrap_or("?")).collect::<Vec<_>>().join("; ");
                if all != plain(&l.text) {
                    errors.push(format!("{}: \"{}\" is \"{all}\"", l.place, l.text));
                }
            } else if listing.iter().all(Option::is_some) {
                errors.push(format!("{}: Capstone knows it: \"{}\"", l.place, listing.into_iter().flatten().collect::<Vec<_>>().join("; ")));
            }
        }
        assert!(errors.is_empty(), "{} texts\n{}", errors.len(), errors.join("\n"));
    }
}

/// A processor, and the compiler behind it where there is one.
pub struct Processor<T: Target> {
    /// The processor.
    pub cpu: Cpu<T>,
    compiler: Option<Arc<Compiler<T>>>,
}

impl<T: Target> Processor<T> {
    /// A processor that runs `core` in `tier`; `compiler` is that of the target's glue.
    pub fn new(core: Box<Core<T>>, tier: Tier, compiler: impl Fn(Options) -> Result<Arc<Compiler<T>>, Unavailable>) -> Result<Processor<T>, String> {
        Ok(match tier {
            Tier::Interpreter => Processor { cpu: Cpu::new(core, None, Thresholds { compile: u32::MAX }), compiler: None },
            Tier::Compiled => {
                let compiler = compiler(Options { at_once: true, ..Options::default() }).map_err(|e| format!("no compiler: {e:?}"))?;
                Processor { cpu: Cpu::new(core, Some(compiler.tier()), Thresholds { compile: 1 }), compiler: Some(compiler) }
            }
        })
    }

    /// Regions that its compiler has made.
    pub fn regions(&self) -> u64 {
        self.compiler.as_ref().map_or(0, |c| c.statistics().regions + c.statistics().shared)
    }

    /// Makes ready for a second run of what has been compiled: translations go, and blocks of code
    /// that the first run changed. `changes` are ranges of RAM: guest physical address, bytes
    /// before and after.
    pub fn again(&mut self, changes: &[(u64, &[u8], &[u8])]) {
        let core = &mut *self.cpu.core;
        for (base, before, now) in changes {
            for (i, (b, n)) in before.chunks(PAGE).zip(now.chunks(PAGE)).enumerate() {
                if b != n {
                    core.stale.push((base + (i * PAGE) as u64, PAGE as u64));
                }
            }
        }
        core.tlb.flush(|_| true);
        core.jumps.clear();
    }
}
