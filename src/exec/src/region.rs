//! Regions: what is handed to a compiling tier, and what comes back.
//!
//! A region has one entry, a hot block, and takes in the blocks of the same guest page that the
//! entry reaches by direct branches and that have run themselves. It never leaves the page, so
//! that the check of the entry's translation covers all of it.

use crate::block::{Blocks, Key};
use crate::core::Core;
use crate::scan::Ends;
use crate::target::Target;
use std::any::Any;
use std::sync::Arc;

/// Blocks in a region at most.
const MOST_BLOCKS: usize = 24;
/// A block that ran less than one in so many times as the entry is left out.
const COLD: u32 = 8;
/// Instructions in a region at most.
const MOST_INSTRUCTIONS: usize = 400;

/// One instruction as a compiling tier gets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceInstruction {
    /// Its word.
    pub word: u32,
    /// Its length in bytes.
    pub length: u8,
}

/// One block of a region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceBlock {
    /// Virtual address of its first instruction.
    pub pc: u64,
    /// The instructions.
    pub code: Vec<SourceInstruction>,
}

/// A region to compile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// What the entry block is known by.
    pub entry: Key,
    /// The blocks, the entry first.
    pub blocks: Vec<SourceBlock>,
}

impl Source {
    /// What its blocks are known by.
    pub fn outline(&self) -> Vec<Key> {
        let key = |b: &SourceBlock| Key { phys: self.entry.phys & !0xfff | b.pc & 0xfff, pc: b.pc, mode: self.entry.mode };
        self.blocks.iter().map(key).collect()
    }
}

/// Compiled code of a region. Cloning shares it; it is freed with the last clone.
#[derive(Clone)]
pub struct Compiled {
    /// Host address of its entry.
    pub entry: u64,
    /// What it was compiled from.
    pub source: Arc<Source>,
    /// Keeps the code alive.
    pub keep: Arc<dyn Any + Send + Sync>,
}

impl Compiled {
    /// Whether the instruction at virtual `pc` went into it.
    pub fn contains(&self, pc: u64) -> bool {
        self.source.blocks.iter().any(|b| pc.wrapping_sub(b.pc) < b.code.iter().map(|i| i.length as u64).sum())
    }

    /// Whether any guest code that went into it lies in `[phys, end)`; `entry` is its block's key.
    pub fn overlaps(&self, entry: Key, phys: u64, end: u64) -> bool {
        self.source.blocks.iter().any(|b| {
            let start = b.pc.wrapping_sub(entry.pc).wrapping_add(entry.phys);
            let bytes: u64 = b.code.iter().map(|i| i.length as u64).sum();
            start < end && phys < start + bytes
        })
    }
}

/// Forms the region that begins at block `index`.
pub fn form<T: Target>(blocks: &Blocks<T>, index: usize) -> Option<Source> {
    let first = blocks.get(index)?;
    if first.special {
        return None;
    }
    let entry = first.key;
    let mut taken: Vec<(u64, usize)> = vec![(entry.pc, index)];
    let mut total = first.ops.len();
    let threshold = (first.count / COLD).max(1);
    let mut next = 0;
    while next < taken.len() && taken.len() < MOST_BLOCKS && total < MOST_INSTRUCTIONS {
        let b = blocks.get(taken[next].1)?;
        next += 1;
        let after = b.key.pc.wrapping_add(b.bytes);
        let targets = match b.ends {
            Ends::No => [Some(after), None],
            Ends::Jump(t, crate::ops::Transfer::Plain) => [Some(t), None],
            Ends::Branch(t) => [Some(t), Some(after)],
            Ends::State => [Some(after), None],
            _ => [None, None],
        };
        for pc in targets.into_iter().flatten() {
            if (pc ^ entry.pc) >> 12 != 0 || taken.iter().any(|t| t.0 == pc) || taken.len() >= MOST_BLOCKS {
                continue;
            }
            let key = Key { phys: entry.phys & !0xfff | pc & 0xfff, pc, mode: entry.mode };
            let Some(i) = blocks.find(key) else { continue };
            let Some(b) = blocks.get(i) else { continue };
            if b.special || b.count < threshold && b.compiled.is_none() {
                continue;
            }
            total += b.ops.len();
            taken.push((pc, i));
        }
    }
    let blocks = taken
        .iter()
        .filter_map(|&(pc, i)| {
            Some(SourceBlock { pc, code: blocks.get(i)?.ops.iter().map(|o| SourceInstruction { word: o.word, length: o.length }).collect() })
        })
        .collect();
    Some(Source { entry, blocks })
}

/// Whether guest memory still holds what `source` was formed from.
pub fn still_there<T: Target>(core: &Core<T>, source: &Source) -> bool {
    let page = source.entry.phys & !0xfff;
    let Some(proteus_model::Mapping::Ram { region, offset, .. }) = core.space.find(page) else { return false };
    let mut memory = [0; 4096];
    if region.read(offset, &mut memory).is_err() {
        return false;
    }
    source.blocks.iter().all(|b| {
        let mut at = (b.pc & 0xfff) as usize;
        b.code.iter().all(|i| {
            let n = i.length as usize;
            let same = memory.get(at..at + n) == Some(&T::bytes_of(core, i.word)[..n]);
            at += n;
            same
        })
    })
}

/// What comes of a request for code.
pub enum Requested {
    /// It is there already.
    There(Compiled),
    /// [`Tier::finished`] will tell.
    Coming,
    /// It cannot be had, or not now.
    Refused,
}

/// A tier above the interpreter. Shared by the cores of a machine through an `Arc` of its own.
pub trait Tier<T: Target>: Send {
    /// Address of the code that a jump to an uncompiled block goes to: it returns to the loop.
    fn exit_stub(&self) -> u64;
    /// Asks for code of `source`. `count` is how often its entry ran, for the queue.
    fn request(&mut self, source: Source, count: u32) -> Requested;
    /// What has come since the last call of requests: code, or the source that no code could be
    /// made of.
    fn finished(&mut self) -> Vec<Result<Compiled, Arc<Source>>>;
    /// Runs compiled code at `entry` until it returns to the loop.
    fn enter(&mut self, core: &mut Core<T>, entry: u64) -> Left;
}

/// Why compiled code returned to the loop. The pc slot is current, and so is the budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Left {
    /// It reached a block without compiled code.
    Unlinked = 0,
    /// The next block does not fit the budget.
    Budget = 1,
    /// The state must be looked at.
    Resync = 2,
    /// An exception is in [`Core::pending`], raised by the instruction at `run.pc`.
    Fault = 3,
}
