//! The run loop of one translated core: blocks, the interpreter, the way into compiled code and
//! out of it, exceptions and interrupts between blocks.

use crate::block::{self, Block, Blocks, Key, Op};
use crate::core::Core;
use crate::debug::Watchpoint;
use crate::jump;
use crate::log;
use crate::region::{self, Compiled, Left, Requested, Source, Tier};
use crate::system::Message;
use crate::target::{Access, BusError, MODE_SLOT, Step, Target};
use crate::vcpu::Start;
use proteus_ram::tlb::{PAGE_MASK, PAGE_SIZE};
use std::sync::Arc;

/// Why a core stopped running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The instructions it was allowed are used up.
    Budget,
    /// It waits for an interrupt.
    Halted,
    /// It is powered off.
    Off,
    /// It was asked to look at something: its inbox, an interrupt line, the machine's requests.
    Kicked,
    /// A debugger's breakpoint or watchpoint: see [`crate::debug::Debug::hit`].
    Debug,
}

/// When blocks move up a tier.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Interpretations of a block before it is offered to the compiling tier.
    pub compile: u32,
}

/// A core with its blocks and its compiling tier.
pub struct Cpu<T: Target> {
    /// The core.
    pub core: Box<Core<T>>,
    blocks: Blocks<T>,
    tier: Option<Box<dyn Tier<T>>>,
    stub: u64,
    thresholds: Thresholds,
    /// Where the machine starts it.
    pub start: Option<Start<T>>,
    /// Blocks interpreted until finished code is asked for.
    poll: u32,
    /// Every block is logged, so none is compiled.
    logged: bool,
}

/// Blocks interpreted between two looks for finished code.
const POLL: u32 = 256;

/// How many times the interpretations that make a block hot it waits for code that has it in its
/// middle.
const PATIENCE: u32 = 1 << 12;

impl<T: Target> Cpu<T> {
    /// A core run by the interpreter, and by `tier` where one is given.
    pub fn new(core: Box<Core<T>>, tier: Option<Box<dyn Tier<T>>>, thresholds: Thresholds) -> Cpu<T> {
        let stub = tier.as_ref().map_or(0, |t| t.exit_stub());
        Cpu { core, blocks: Blocks::default(), tier, stub, thresholds, start: None, poll: POLL, logged: false }
    }

    /// Runs at most `budget` instructions; stops at exactly that many in deterministic runs, and
    /// at the end of the block otherwise.
    pub fn run(&mut self, budget: i64) -> Stop {
        if log::wanted() != self.logged {
            self.logged = !self.logged;
            self.forget();
        }
        // One that nobody was told of, for another core was first, is met again or is no longer there.
        self.core.debug.hit = None;
        let stop = self.run_inner(budget);
        let core = &mut *self.core;
        core.retired += (core.granted - core.run.budget) as u64;
        core.granted = 0;
        core.run.budget = 0;
        stop
    }

    fn run_inner(&mut self, budget: i64) -> Stop {
        self.core.granted = budget;
        self.core.run.budget = budget;
        self.core.run.ahead = 0;
        loop {
            self.read_mail();
            self.drop_stale();
            let core = &mut *self.core;
            if core.machine.space_generation() != core.space.generation() {
                core.space = core.machine.space();
                self.forget();
            }
            if self.core.wait_settled {
                self.core.wait_settled = false;
                self.wait_for_others();
            }
            if self.core.forget_blocks {
                self.forget();
            }
            let core = &mut *self.core;
            if !core.powered {
                match core.system.take_start(core.id) {
                    Some(s) => {
                        T::reset(core);
                        T::start(core, s.entry, s.argument);
                        core.powered = true;
                        core.halted = false;
                        core.tlb.flush(|_| true);
                        core.jumps.clear();
                        core.resync();
                    }
                    None => return Stop::Off,
                }
            }
            if core.halted {
                if !T::wakes(core) {
                    return Stop::Halted;
                }
                core.halted = false;
            }
            if !core.debug.interrupts_masked
                && let Some(e) = T::interrupt(core)
            {
                Self::take_between(core, e);
            }
            self.run_blocks();
            let core = &*self.core;
            if core.debug.hit.is_some() {
                return Stop::Debug;
            }
            if core.halted || !core.powered || core.wait_settled {
                continue;
            }
            // A turn of a deterministic run ends at its instruction, whenever the host kicks.
            if core.deterministic.is_none() && core.lines.kicked() {
                return Stop::Kicked;
            }
            if core.run.budget <= 0 {
                return Stop::Budget;
            }
        }
    }

    /// Reads the inbox; what it says is done before the next block.
    pub fn read_mail(&mut self) {
        while self.core.system.has_mail(self.core.id) {
            let mail = self.core.system.mail(self.core.id);
            for m in mail {
                match m {
                    Message::Flush(f) => self.core.flush_tlb(f),
                    Message::Code(phys, bytes) => self.core.stale.push((phys, bytes)),
                    Message::Protect(phys) => self.protect(phys),
                }
            }
            if self.core.system.mail_done(self.core.id) {
                return;
            }
        }
    }

    fn protect(&mut self, phys: u64) {
        let core = &mut *self.core;
        if let Some(proteus_model::Mapping::Ram { region, offset, .. }) = core.space.find(phys) {
            let region = region.clone();
            core.tlb.protect(&region, offset & PAGE_MASK);
        }
    }

    /// Drops the blocks that lie in written memory.
    fn drop_stale(&mut self) {
        while let Some((phys, bytes)) = self.core.stale.pop() {
            let mut at = phys;
            let end = phys.saturating_add(bytes);
            while at < end {
                let n = (PAGE_SIZE - (at & !PAGE_MASK)).min(end - at);
                let (gone, empty) = self.blocks.drop_range(at, n);
                for (pc, i) in gone {
                    self.core.jumps.forget_block(pc, i as u64);
                }
                if empty {
                    self.release_page(at & PAGE_MASK);
                }
                at += n;
            }
        }
    }

    /// Lets stores to the page take the fast path again, where no core has blocks in it.
    fn release_page(&mut self, phys: u64) {
        // Other cores may still have blocks there; with one core nobody has.
        if self.core.system.cores() == 1
            && let Some(proteus_model::Mapping::Ram { region, offset, .. }) = self.core.space.find(phys)
        {
            region.clear_code(offset / PAGE_SIZE);
        }
    }

    /// Runs blocks until the budget is used up or the state must be looked at.
    fn run_blocks(&mut self) {
        loop {
            let core = &mut *self.core;
            // Before the look-up: a fetch that faults is for after what the budget waits for.
            if core.run.budget <= 0 {
                return;
            }
            let pc = core.pc();
            let (index, code) = match core.jumps.find(pc, core.run.context) {
                Some(e) => (e.block as usize, e.code),
                None => match self.look_up(pc) {
                    Some(found) => found,
                    None => return,
                },
            };
            let again = if code != self.stub { self.run_compiled(code) } else { self.interpret(index) };
            if !again {
                return;
            }
            if !self.core.stale.is_empty() {
                self.drop_stale();
            }
        }
    }

    /// Finds or decodes the block at `pc` and enters it in the jump cache. `None` where an
    /// exception was taken instead.
    fn look_up(&mut self, pc: u64) -> Option<(usize, u64)> {
        let core = &mut *self.core;
        let phys = match core.fetch(pc) {
            Ok(p) => p,
            Err(e) => {
                core.run.budget -= 1;
                Self::take_between(core, e);
                return None;
            }
        };
        let key = Key { phys, pc, mode: core.run.mode };
        let index = match self.blocks.find(key) {
            Some(i) => i,
            None => self.translate(key)?,
        };
        let code = self.blocks.get(index).and_then(|b| b.compiled.as_ref()).map_or(self.stub, |c| c.entry);
        let core = &mut *self.core;
        core.jumps.insert(jump::Entry { pc, context: core.run.context, code, block: index as u64 });
        Some((index, code))
    }

    /// Decodes the block known by `key`. The page is marked as holding code, and every core's
    /// fast path for stores to it withheld, before its bytes are read.
    fn translate(&mut self, key: Key) -> Option<usize> {
        if self.blocks.full() {
            self.blocks.clear();
            self.core.jumps.clear();
        }
        let core = &mut *self.core;
        let place = match core.space.find(key.phys) {
            Some(proteus_model::Mapping::Ram { region, offset, .. }) => Some((region.clone(), offset)),
            _ => None,
        };
        if let Some((region, offset)) = place
            && region.set_code(offset / PAGE_SIZE)
        {
            core.tlb.protect(&region, offset & PAGE_MASK);
            core.system.protect(core.id, key.phys & PAGE_MASK);
            self.wait_for_others();
        }
        let core = &mut *self.core;
        match block::decode(core, key.pc, key.phys, key.mode) {
            Some(b) => {
                log::decoded(core, &b);
                Some(self.blocks.insert(b).0)
            }
            None => {
                let e = T::bus_error(core, key.pc, Access::Fetch, BusError::External);
                core.run.budget -= 1;
                Self::take_between(core, e);
                None
            }
        }
    }

    /// Waits until every other core has read its inbox; this one goes on reading its own.
    pub fn wait_for_others(&mut self) {
        while !self.core.system.settled(self.core.id) {
            self.read_mail();
            std::thread::yield_now();
        }
    }

    /// Interprets one block. False where the loop must look at the state.
    fn interpret(&mut self, index: usize) -> bool {
        let Some(block) = self.blocks.get_mut(index) else {
            self.core.jumps.clear();
            return true;
        };
        block.count = block.count.saturating_add(1);
        let heat = block.count - block.since;
        if heat >= self.thresholds.compile && heat.is_power_of_two() && self.tier.is_some() && !self.logged {
            self.offer(index);
        }
        let Some(block) = self.blocks.get(index) else { return true };
        let core = &mut *self.core;
        if self.logged {
            log::executed(core, block.key.pc, block.key.mode);
        }
        let n = block.ops.len();
        // The block is run with its last instruction, and that is in a delay slot.
        let mut slot = T::LAYOUT.delay.is_some() && block.slot;
        let mut ops = &block.ops[..];
        if core.run.budget < n as i64 {
            if !core.exact() || core.run.budget <= 0 {
                core.use_up_budget();
                return false;
            }
            ops = &ops[..core.run.budget as usize];
            slot = false;
        }
        let n = ops.len();
        core.run.budget -= n as i64;
        core.run.slot = 0;
        let mut pc = block.key.pc;
        let body = n - usize::from(slot);
        let mut step = Self::interpret_ops(core, &ops[..body], &mut pc, n);
        if slot && step == Step::Next {
            core.run.slot = 1;
            step = Self::interpret_ops(core, &ops[body..], &mut pc, 1);
            match step {
                Step::Next | Step::Resync => pc = core.end_delay(),
                Step::Exit | Step::Jumped => _ = core.end_delay(),
                Step::Fault => {}
            }
        }
        let left = core.run.ahead;
        core.run.ahead = 0;
        let mut again = Self::finish_block(core, step, pc, left);
        // The slot is still to come, or was a block of its own: the mode is another.
        if T::LAYOUT.delay.is_some() && (core.delay_pending() || core.run.mode & MODE_SLOT != 0) {
            core.resync();
            again &= !Self::looks(core);
        }
        self.poll -= 1;
        if self.poll == 0 {
            self.poll = POLL;
            self.install_finished();
        }
        again
    }

    /// Interprets instructions, the first of which is at `pc` and has `ahead - 1` of its block
    /// after it, up to one that does not go on to the next.
    #[inline(always)]
    fn interpret_ops(core: &mut Core<T>, ops: &[Op<T>], pc: &mut u64, ahead: usize) -> Step {
        for (i, op) in ops.iter().enumerate() {
            core.run.pc = *pc;
            core.run.ahead = (ahead - i) as u64;
            *pc = pc.wrapping_add(op.length as u64);
            core.run.next_pc = *pc;
            let step = (op.interpret)(core, op.word);
            if step != Step::Next {
                return step;
            }
        }
        Step::Next
    }

    /// What follows the last interpreted instruction of a block; `left` counts it and those after.
    #[inline(always)]
    fn finish_block(core: &mut Core<T>, step: Step, pc: u64, left: u64) -> bool {
        match step {
            Step::Next => {
                *core.word_mut(T::LAYOUT.pc) = pc;
                true
            }
            Step::Jumped => {
                // All but the last instruction of a block jump over a delay slot.
                core.run.budget += left as i64 - 1;
                let target = core.run.target_pc;
                *core.word_mut(T::LAYOUT.pc) = target;
                true
            }
            Step::Resync => {
                core.run.budget += left as i64 - 1;
                *core.word_mut(T::LAYOUT.pc) = pc;
                core.resync();
                !Self::looks(core)
            }
            Step::Exit => {
                core.run.budget += left as i64 - 1;
                core.resync();
                !Self::looks(core)
            }
            Step::Fault => {
                core.run.budget += left as i64;
                Self::take_pending(core);
                false
            }
        }
    }

    /// Whether the outer loop has something to look at after a change of state.
    #[inline(always)]
    fn looks(core: &mut Core<T>) -> bool {
        core.halted || !core.powered || core.attention || core.lines.pins() != 0
    }

    fn take_pending(core: &mut Core<T>) {
        if core.debug.hit.is_some() {
            return core.stop_at_hit();
        }
        if let Some(e) = core.pending.take() {
            let pc = core.run.pc;
            Self::take(core, e, pc);
        }
    }

    /// Takes an exception. It uses an instruction of the budget, so that a guest whose vectors
    /// fault in turn does not keep the run from ending.
    fn take(core: &mut Core<T>, exception: T::Exception, pc: u64) {
        T::take(core, exception, pc);
        core.run.budget -= 1;
        core.end_delay();
        core.resync();
    }

    /// Takes an exception between blocks, before the instruction at the pc.
    fn take_between(core: &mut Core<T>, exception: T::Exception) {
        core.run.slot = u64::from(core.delay_pending());
        let pc = core.pc();
        T::take(core, exception, pc);
        core.end_delay();
        core.resync();
    }

    /// Runs compiled code. False where the loop must look at the state.
    fn run_compiled(&mut self, code: u64) -> bool {
        let core = &mut *self.core;
        let Some(tier) = self.tier.as_mut() else { return true };
        match tier.enter(core, code) {
            Left::Unlinked => core.run.budget > 0,
            Left::Budget => {
                // What asks for more than was granted would never run.
                let begun = core.executed() != core.retired;
                if !core.exact() && begun || core.run.budget <= 0 {
                    core.use_up_budget();
                    return false;
                }
                // Few instructions are left, fewer than the block may need.
                let pc = core.pc();
                let Some(index) = self.block_at(pc) else { return false };
                self.interpret(index)
            }
            Left::Resync => {
                core.resync();
                !Self::looks(core)
            }
            Left::Fault => {
                Self::take_pending(core);
                false
            }
        }
    }

    /// The block at `pc`, whether it is compiled or not.
    fn block_at(&mut self, pc: u64) -> Option<usize> {
        self.look_up(pc).map(|f| f.0)
    }

    /// Offers the region at block `index` to the compiling tier. A block in the middle of a region that
    /// is on its way waits for that one: most blocks are never entered but from its beginning.
    fn offer(&mut self, index: usize) {
        let patience = self.thresholds.compile.saturating_mul(PATIENCE);
        let Some(block) = self.blocks.get(index) else { return };
        if block.awaited && block.count - block.since < patience {
            return;
        }
        let count = block.count;
        let Some(source) = region::form(&self.blocks, index) else { return };
        let Some(tier) = self.tier.as_mut() else { return };
        let asked = source.outline();
        match tier.request(source, count) {
            Requested::There(c) => self.arrived(Ok(c)),
            Requested::Coming => self.middle(&asked, |b| b.awaited = true),
            Requested::Refused => {}
        }
    }

    /// Does something to the blocks of a region but its first.
    fn middle(&mut self, region: &[Key], f: impl Fn(&mut Block<T>)) {
        for &key in region.iter().skip(1) {
            if let Some(block) = self.blocks.find(key).and_then(|i| self.blocks.get_mut(i)) {
                f(block);
            }
        }
    }

    /// Code has come that was asked for, or will not.
    fn arrived(&mut self, what: Result<Compiled, Arc<Source>>) {
        let source = what.as_ref().map_or_else(|s| s, |c| &c.source);
        self.middle(&source.outline(), |b| (b.since, b.awaited) = (b.count, false));
        if let Ok(c) = what {
            self.install(c);
        }
    }

    fn install_finished(&mut self) {
        let finished = self.tier.as_mut().map(|t| t.finished()).unwrap_or_default();
        finished.into_iter().for_each(|what| self.arrived(what));
    }

    /// Puts compiled code in place, where memory still holds what it was compiled from and no
    /// breakpoint has come into it meanwhile.
    fn install(&mut self, c: Compiled) {
        if self.core.debug.breakpoints().iter().any(|&pc| c.contains(pc)) {
            return;
        }
        if self.logged || !region::still_there(&self.core, &c.source) {
            return;
        }
        let Some(index) = self.blocks.find(c.source.entry) else { return };
        let (pc, entry) = (c.source.entry.pc, c.entry);
        if let Some(b) = self.blocks.get_mut(index) {
            b.compiled = Some(c);
        }
        let core = &mut *self.core;
        if core.jumps.find(pc, core.run.context).is_some_and(|e| e.block == index as u64) {
            core.jumps.insert(jump::Entry { pc, context: core.run.context, code: entry, block: index as u64 });
        } else {
            core.jumps.forget_block(pc, index as u64);
        }
    }

    /// Drops every block and translation: after a reset or a load of state.
    pub fn forget(&mut self) {
        for page in self.blocks.clear() {
            self.release_page(page << 12);
        }
        self.core.jumps.clear();
        self.core.tlb.flush(|_| true);
        self.core.stale.clear();
        self.core.forget_blocks = false;
        self.core.resync();
    }

    /// Sets the breakpoints (virtual addresses). What was decoded or compiled where one comes or
    /// goes is dropped.
    pub fn set_breakpoints(&mut self, addresses: &[u64]) {
        for pc in self.core.debug.set_breakpoints(addresses) {
            self.core.stale.extend(self.blocks.containing(pc));
        }
        self.drop_stale();
    }

    /// Sets the watchpoints.
    pub fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]) {
        if self.core.debug.set_watchpoints(watchpoints) {
            self.core.tlb.flush(|_| true);
            self.core.resync();
        }
    }

    /// Executes one instruction, with its delay slot if it has one; fewer where the core stops,
    /// waits or is off.
    pub fn step(&mut self) -> Stop {
        self.core.debug.stepping = true;
        let mut stop = self.run(1);
        if stop == Stop::Budget && self.core.delay_pending() {
            stop = self.run(1);
        }
        self.core.debug.stepping = false;
        stop
    }

    /// Blocks decoded and held.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }
}
