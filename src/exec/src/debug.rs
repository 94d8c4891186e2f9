//! What a debugger asks of a core: breakpoints, watchpoints and single steps.
//!
//! None of it costs anything where it is not used. A breakpoint ends the block before it, and
//! the block that begins at it stops the core; a page with a watchpoint is not entered in the TLB,
//! so that its accesses take the slow path, which looks. Both are by virtual address, in whatever
//! address space, and whether the MMU is on or not.

use crate::core::Core;
use crate::ops::Mem;
use crate::target::{Access, Step, Target};
use proteus_model::Mapping;
use proteus_ram::tlb::{PAGE_MASK, PAGE_SIZE};
use std::ops::Range;
use std::sync::Arc;

/// A watched range of virtual addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watchpoint {
    /// The first byte.
    pub address: u64,
    /// Bytes, at least 1.
    pub length: u64,
    /// Reads stop the core.
    pub read: bool,
    /// Writes stop the core.
    pub write: bool,
}

impl Watchpoint {
    /// Whether any of `bytes` at `address` are watched.
    fn overlaps(&self, address: u64, bytes: u64) -> bool {
        let (last, watched_last) = (address.saturating_add(bytes - 1), self.address.saturating_add(self.length.max(1) - 1));
        address <= watched_last && self.address <= last
    }
}

/// Why a debugger stopped the core. The pc is that of the instruction, which has not been executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hit {
    /// It has a breakpoint.
    Breakpoint,
    /// It would access watched memory.
    Watchpoint {
        /// The watchpoint.
        watchpoint: Watchpoint,
        /// Address of the access.
        address: u64,
        /// It is a write.
        write: bool,
    },
}

/// A core that stands at a breakpoint, as the breakpoint's condition sees it.
pub trait Inspect {
    /// The value of a register by its number in the core's description.
    fn register(&mut self, number: usize) -> Option<u128>;
    /// Reads memory by virtual address, as far as there is any; gives the bytes read.
    fn memory(&mut self, address: u64, to: &mut [u8]) -> usize;
}

/// Whether a breakpoint stops the core.
pub type Condition = Arc<dyn Fn(&mut dyn Inspect) -> bool + Send + Sync>;

impl<T: Target> Inspect for Core<T> {
    fn register(&mut self, number: usize) -> Option<u128> {
        T::read_register(self, number)
    }
    fn memory(&mut self, address: u64, to: &mut [u8]) -> usize {
        by_page(address, to.len(), |at, range| {
            let phys = T::debug_translate(self, at)?;
            match self.space.find(phys)? {
                Mapping::Ram { region, offset, .. } => region.read(offset, &mut to[range]).ok(),
                Mapping::Device { .. } => None,
            }
        })
    }
}

/// Calls `f` for the pieces of `len` bytes at `address` that lie in one page each, until one fails;
/// gives the bytes done.
pub fn by_page(address: u64, len: usize, mut f: impl FnMut(u64, Range<usize>) -> Option<()>) -> usize {
    let mut done = 0;
    while done < len {
        let at = address.wrapping_add(done as u64);
        let n = (PAGE_SIZE - (at & !PAGE_MASK)).min((len - done) as u64) as usize;
        if f(at, done..done + n).is_none() {
            break;
        }
        done += n;
    }
    done
}

/// What a debugger has set on a core.
#[derive(Default)]
pub struct Debug {
    /// Virtual addresses, ascending.
    breakpoints: Vec<u64>,
    /// By address, ascending: those of the breakpoints that do not always stop.
    conditions: Vec<(u64, Condition)>,
    watchpoints: Vec<Watchpoint>,
    /// What stopped the core.
    pub hit: Option<Hit>,
    /// The budget is to be used to its last instruction.
    pub stepping: bool,
    /// Interrupts are not taken.
    pub interrupts_masked: bool,
}

impl Debug {
    /// Is there a breakpoint at `pc`?
    #[inline]
    pub fn breaks_at(&self, pc: u64) -> bool {
        !self.breakpoints.is_empty() && self.breakpoints.binary_search(&pc).is_ok()
    }

    /// The breakpoints, ascending.
    pub(crate) fn breakpoints(&self) -> &[u64] {
        &self.breakpoints
    }

    /// Is anything in the page of `address` watched?
    #[inline]
    pub(crate) fn watches_page(&self, address: u64) -> bool {
        self.watchpoints.iter().any(|w| w.overlaps(address & PAGE_MASK, PAGE_SIZE))
    }

    /// Sets the breakpoints; gives those that are new and those that are gone.
    pub(crate) fn set_breakpoints(&mut self, addresses: &[u64]) -> Vec<u64> {
        let mut new = addresses.to_vec();
        new.sort_unstable();
        new.dedup();
        let changed = |a: &[u64], b: &[u64]| a.iter().copied().filter(|p| b.binary_search(p).is_err()).collect::<Vec<_>>();
        let mut all = changed(&new, &self.breakpoints);
        all.extend(changed(&self.breakpoints, &new));
        self.breakpoints = new;
        all
    }

    /// Sets the conditions of breakpoints, by address.
    pub(crate) fn set_conditions(&mut self, mut conditions: Vec<(u64, Condition)>) {
        conditions.sort_by_key(|c| c.0);
        self.conditions = conditions;
    }

    fn condition(&self, pc: u64) -> Option<Condition> {
        self.conditions.binary_search_by_key(&pc, |c| c.0).ok().map(|n| self.conditions[n].1.clone())
    }

    /// Sets the watchpoints; whether that changed anything.
    pub(crate) fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]) -> bool {
        let changed = self.watchpoints != watchpoints;
        self.watchpoints = watchpoints.to_vec();
        changed
    }
}

/// The instruction `word` of a block at a breakpoint. Where the condition does not hold it is decoded
/// anew, for what it is now, and executed.
pub(crate) fn break_here<T: Target>(core: &mut Core<T>, word: u32) -> Step {
    let pc = core.run.pc;
    if let Some(condition) = core.debug.condition(pc)
        && !condition(core)
        && let Some(d) = T::decode(core, pc, &T::bytes_of(core, word), core.run.mode)
    {
        return (d.interpret)(core, d.word);
    }
    core.debug.hit = Some(Hit::Breakpoint);
    Step::Fault
}

impl<T: Target> Core<T> {
    /// Whether an access stops the core; notes it where it does.
    pub(crate) fn watched(&mut self, address: u64, m: Mem, access: Access) -> bool {
        let bytes = m.bytes().max(m.align.into());
        let write = access == Access::Write;
        let found = self.debug.watchpoints.iter().find(|w| (if write { w.write } else { w.read }) && w.overlaps(address, bytes)).copied();
        let Some(watchpoint) = found else { return false };
        self.debug.hit = Some(Hit::Watchpoint { watchpoint, address, write });
        true
    }

    /// After a hit: the pc is that of the instruction, or of the branch before it where that is
    /// to be done again.
    pub(crate) fn stop_at_hit(&mut self) {
        self.pending = None;
        let mut pc = self.run.pc;
        if self.run.slot != 0 && matches!(self.debug.hit, Some(Hit::Watchpoint { .. })) {
            // Instructions have one length where there are delay slots.
            pc = pc.wrapping_sub(self.run.next_pc.wrapping_sub(pc));
            self.end_delay();
        }
        *self.word_mut(T::LAYOUT.pc) = pc;
        self.resync();
    }
}
