//! Blocks: runs of decoded instructions, ready for the interpreter, and the map that finds them.
//!
//! A block lies within one guest page, holds at most [`LONGEST`] instructions and is known by
//! (physical address, virtual address, mode). Each page lists its blocks, so that a store to a
//! page with code drops what it overlaps.

use crate::core::Core;
use crate::debug::break_here;
use crate::region::Compiled;
use crate::scan::Ends;
use crate::target::{Decoded, Interpret, MODE_SLOT, Target};
use proteus_model::Mapping;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Instructions in a block at most.
pub const LONGEST: usize = 64;

/// Bytes in an instruction at most, of any architecture.
const LONGEST_INSTRUCTION: usize = 16;

/// One pre-decoded instruction.
pub struct Op<T: Target> {
    /// Its function.
    pub interpret: Interpret<T>,
    /// Its word.
    pub word: u32,
    /// Its length in bytes.
    pub length: u8,
}

/// What a block is known by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Guest physical address of the first instruction.
    pub phys: u64,
    /// Its virtual address, which is a constant in the code.
    pub pc: u64,
    /// The translation mode.
    pub mode: u16,
}

/// One block.
pub struct Block<T: Target> {
    /// What it is known by.
    pub key: Key,
    /// Bytes of guest code.
    pub bytes: u64,
    /// The instructions; never empty.
    pub ops: Box<[Op<T>]>,
    /// How the last one ends it.
    pub ends: Ends,
    /// The last instruction is in a delay slot: control then goes where the branch before it said.
    pub slot: bool,
    /// It has an instruction that only the interpreter runs.
    pub special: bool,
    /// Times it was interpreted, saturating.
    pub count: u32,
    /// `count` when code was last installed that has it in its middle.
    pub since: u32,
    /// A region that has it in its middle is being compiled.
    pub awaited: bool,
    /// Compiled code that begins here.
    pub compiled: Option<Compiled>,
}

/// A fast hash for keys that are addresses.
#[derive(Default)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(*b as u64);
        }
    }
    fn write_u64(&mut self, v: u64) {
        self.0 = (self.0.rotate_left(5) ^ v).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.0 ^= self.0 >> 32;
    }
    fn write_u16(&mut self, v: u16) {
        self.write_u64(v as u64);
    }
}

/// A map keyed by addresses.
pub type AddressMap<K, V> = HashMap<K, V, BuildHasherDefault<AddressHasher>>;

/// The blocks of one core.
pub struct Blocks<T: Target> {
    slab: Vec<Option<Block<T>>>,
    free: Vec<usize>,
    map: AddressMap<Key, usize>,
    pages: AddressMap<u64, Vec<usize>>,
}

impl<T: Target> Default for Blocks<T> {
    fn default() -> Self {
        Blocks { slab: Vec::new(), free: Vec::new(), map: AddressMap::default(), pages: AddressMap::default() }
    }
}

/// Blocks kept before all are dropped and decoded anew: bounds what a guest can make us hold.
const MOST: usize = 400_000;

impl<T: Target> Blocks<T> {
    /// The block at `index`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&Block<T>> {
        self.slab.get(index)?.as_ref()
    }

    /// The block at `index`, to change.
    #[inline(always)]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Block<T>> {
        self.slab.get_mut(index)?.as_mut()
    }

    /// The index of the block known by `key`.
    pub fn find(&self, key: Key) -> Option<usize> {
        self.map.get(&key).copied()
    }

    /// Blocks there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Adds a block; true where its page had none before.
    pub fn insert(&mut self, block: Block<T>) -> (usize, bool) {
        let key = block.key;
        let index = match self.free.pop() {
            Some(i) => {
                self.slab[i] = Some(block);
                i
            }
            None => {
                self.slab.push(Some(block));
                self.slab.len() - 1
            }
        };
        self.map.insert(key, index);
        let list = self.pages.entry(key.phys >> 12).or_default();
        list.push(index);
        (index, list.len() == 1)
    }

    /// Whether so many blocks are held that all should go.
    pub fn full(&self) -> bool {
        self.map.len() >= MOST
    }

    /// Drops everything; gives the pages (physical page numbers) that had blocks.
    pub fn clear(&mut self) -> Vec<u64> {
        self.slab.clear();
        self.free.clear();
        self.map.clear();
        self.pages.drain().map(|(p, _)| p).collect()
    }

    /// The pieces of guest physical memory (address, bytes) that blocks with the virtual address
    /// `pc` in them, or in what was compiled of them, begin with.
    pub fn containing(&self, pc: u64) -> Vec<(u64, u64)> {
        let within = |start: u64, bytes: u64| pc.wrapping_sub(start) < bytes;
        let blocks = self.slab.iter().flatten();
        let found = blocks.filter(|b| {
            let compiled = b.compiled.as_ref().is_some_and(|c| c.contains(pc));
            within(b.key.pc, b.bytes) || compiled
        });
        found.map(|b| (b.key.phys, 1)).collect()
    }

    /// Drops the blocks that overlap `bytes` at `phys` (within one page), and compiled code that
    /// does. Gives the pcs and indices of the blocks whose jump cache entries must go, and
    /// whether the page has no block any more.
    pub fn drop_range(&mut self, phys: u64, bytes: u64) -> (Vec<(u64, usize)>, bool) {
        let Some(list) = self.pages.get_mut(&(phys >> 12)) else { return (Vec::new(), false) };
        let mut gone = Vec::new();
        let end = phys + bytes;
        list.retain(|&i| {
            let Some(b) = self.slab[i].as_mut() else { return false };
            if b.key.phys < end && phys < b.key.phys + b.bytes {
                gone.push((b.key.pc, i));
                self.map.remove(&b.key);
                self.slab[i] = None;
                self.free.push(i);
                return false;
            }
            if b.compiled.as_ref().is_some_and(|c| c.overlaps(b.key, phys, end)) {
                gone.push((b.key.pc, i));
                b.compiled = None;
                (b.count, b.since) = (0, 0);
            }
            true
        });
        let empty = list.is_empty();
        if empty {
            self.pages.remove(&(phys >> 12));
        }
        (gone, empty)
    }
}

/// Decodes the block at `pc`, whose first instruction is at `phys`. `None` where there is no RAM
/// or ROM to fetch from.
pub fn decode<T: Target>(core: &Core<T>, pc: u64, phys: u64, mode: u16) -> Option<Block<T>> {
    let mut code = [0; LONGEST * LONGEST_INSTRUCTION];
    let left = (4096 - (phys & 0xfff) as usize).min(code.len());
    let bytes = &mut code[..left];
    match core.space.find(phys)? {
        Mapping::Ram { region, offset, .. } => region.read(offset, bytes).ok()?,
        _ => return None,
    }
    let mut ops = Vec::with_capacity(16);
    let mut at = 0;
    let mut ends = Ends::No;
    // What begins in a delay slot is that instruction alone; where it leads is in the state.
    let lone_slot = mode & MODE_SLOT != 0;
    let mut special = lone_slot;
    let (mut branch, mut slot) = (None, false);
    while at < left && (ops.len() < LONGEST || branch.is_some()) {
        let here = pc.wrapping_add(at as u64);
        if core.debug.breaks_at(here) {
            if ops.is_empty() {
                let (word, length) = T::decode(core, here, &bytes[at..], mode).map_or((0, bytes[at..].len().min(4) as u8), |d| (d.word, d.length));
                ops.push(Op { interpret: break_here::<T>, word, length });
                at += length as usize;
                (ends, special, slot) = (Ends::State, true, lone_slot);
            }
            break;
        }
        slot = lone_slot || branch.is_some();
        let mode = if slot { mode | MODE_SLOT } else { mode };
        let Some(d): Option<Decoded<T>> = T::decode(core, here, &bytes[at..], mode) else { break };
        ops.push(Op { interpret: d.interpret, word: d.word, length: d.length });
        at += d.length as usize;
        special |= d.special;
        ends = d.seen.ends.after(branch);
        if let Ends::Delayed(b) = ends {
            branch = Some(b);
        } else if slot || ends != Ends::No {
            break;
        }
    }
    if lone_slot {
        ends = Ends::State;
    } else if matches!(ends, Ends::Delayed(_)) {
        // The slot is on the next page or has a breakpoint: it is a block of its own.
        (ends, slot, special) = (Ends::State, false, true);
    }
    if ops.is_empty() {
        return None;
    }
    Some(Block {
        key: Key { phys, pc, mode },
        bytes: at as u64,
        ops: ops.into_boxed_slice(),
        ends,
        slot,
        special,
        count: 0,
        since: 0,
        awaited: false,
        compiled: None,
    })
}
