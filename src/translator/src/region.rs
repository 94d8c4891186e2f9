//! One region as one function: its blocks, the budget, the ways out.

use crate::emit::{C, Emitter, Features, Known, STATE, Shape, Signatures, V, offset, run};
use crate::scout::{Scout, Seen};
use crate::thunks::Site;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block, Function, InstBuilder, Signature, UserFuncName, Value, types};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig, TargetIsa};
use cranelift_codegen::{Context, control::ControlPlane};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use proteus_exec::jump::{self, JumpCache};
use proteus_exec::ops::*;
use proteus_exec::scan::Ends;
use proteus_exec::{Left, Source};
use std::collections::HashMap;
use std::sync::Arc;

/// Words kept in host registers around a loop at most: x86-64 has not many.
const MOST_VARIABLES: usize = 11;

/// A target's instructions, for this executor.
pub trait Frontend: Send + Sync + 'static {
    /// Words of the state, besides results, that floating point and vector operations change.
    fn status(&self) -> &'static [Slot];
    /// Scouts the instruction `word`; false where there is none such.
    fn scout(&self, s: &mut Scout, word: u32) -> bool;
    /// Emits the instruction `word`; false where there is none such.
    fn emit(&self, e: &mut Emitter<'_>, word: u32) -> bool;
}

/// Why a region was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// An instruction is not in the decoder's tables.
    #[error("no instruction {0:#010x} in the tables")]
    Instruction(u32),
    /// Cranelift gave up.
    #[error("Cranelift: {0}")]
    Cranelift(String),
    /// The code arena is full.
    #[error("code memory is full")]
    Full,
}

/// What all regions of a compiler have in common.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub shape: Shape,
    pub features: Features,
    /// A run ends at the instruction that its budget says.
    pub exact: bool,
}

/// What a compilation reuses from the one before.
pub(crate) struct Workshop {
    pub isa: Arc<dyn TargetIsa>,
    pub settings: Settings,
    pub context: Context,
    pub builder: FunctionBuilderContext,
}

/// One block of the region while it is compiled.
struct Part {
    seen: Seen,
    entry: Block,
    /// Edges from blocks of the region.
    edges: u32,
    /// Control comes to it from the entry. What follows a change of state does not: the run loop
    /// looks in between.
    live: bool,
    /// It has been emitted, or is being.
    done: bool,
    /// Control can come back to it within the region.
    looped: bool,
    /// Most instructions from its start to the next check of the budget; 0 where it makes none, since
    /// the block that it follows has made it.
    check: i64,
    /// What is known at its start, from its only predecessor.
    inherited: Option<Known>,
}

struct Region<'a, 'b> {
    e: Emitter<'a>,
    source: &'b Source,
    frontend: &'b dyn Frontend,
    parts: Vec<Part>,
    by_pc: HashMap<u64, usize>,
    exits: Vec<(u64, Block)>,
}

impl Workshop {
    /// Compiles a region to position-independent bytes.
    pub fn compile(&mut self, source: &Source, frontend: &dyn Frontend) -> Result<Vec<u8>, Refused> {
        let mut seen = Vec::with_capacity(source.blocks.len());
        for block in &source.blocks {
            let mut scout = Scout::new(source.entry.mode);
            let mut pc = block.pc;
            for i in &block.code {
                scout.at(pc, i.length);
                if !frontend.scout(&mut scout, i.word) {
                    return Err(Refused::Instruction(i.word));
                }
                pc = pc.wrapping_add(i.length as u64);
            }
            seen.push(scout.seen);
        }
        self.context.clear();
        let mut signature = Signature::new(CallConv::Tail);
        signature.params.push(AbiParam::new(types::I64));
        signature.returns.push(AbiParam::new(types::I64));
        self.context.func = Function::with_name_signature(UserFuncName::default(), signature);
        let b = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        Region::begin(b, &self.settings, source, frontend, seen).emit(self.isa.frontend_config())?;
        tracing::trace!(target: "op", pc = source.entry.pc, "OP:\n{}", self.context.func.display());
        let mut plane = ControlPlane::default();
        let compiled = self.context.compile(&*self.isa, &mut plane).map_err(|e| Refused::Cranelift(format!("{:?}", e.inner)))?;
        if !compiled.buffer.relocs().is_empty() {
            return Err(Refused::Cranelift("the code has relocations".into()));
        }
        Ok(compiled.code_buffer().to_vec())
    }
}

/// The blocks of the region that block `i` may go to, as addresses.
fn successors(seen: &Seen) -> impl Iterator<Item = u64> {
    let (a, b) = match seen.ends {
        Ends::No => (Some(seen.next), None),
        Ends::Jump(t, _) => (Some(t), None),
        Ends::Branch(t) => (Some(t), Some(seen.next)),
        Ends::Indirect(_) | Ends::State | Ends::Delayed(_) => (None, None),
    };
    a.into_iter().chain(b)
}

/// By block: the blocks that control can reach from it, as a set of bits.
fn reach(next: &[u64]) -> Vec<u64> {
    let mut reach = next.to_vec();
    loop {
        let before = reach.clone();
        for i in 0..reach.len() {
            let more = (0..reach.len()).filter(|&j| reach[i] >> j & 1 != 0).fold(0, |s, j| s | reach[j]);
            reach[i] |= more;
        }
        if reach == before {
            return reach;
        }
    }
}

/// Decides which blocks check the budget, and for how many instructions. With `exact` runs each does
/// for itself. Otherwise a block that is entered from one other only leaves it to that one, which
/// checks for the longest way through all that follow it so.
fn plan_checks(parts: &mut [Part], source: &Source, exact: bool, inside: impl Fn(u64) -> Option<usize>) {
    let mut longest = vec![0; parts.len()];
    // The one block that another is entered from stands before it.
    for i in (0..parts.len()).rev() {
        let follows = |j: &usize| *j > i && parts[*j].edges == 1;
        let rest = successors(&parts[i].seen).filter_map(&inside).filter(follows).map(|j| longest[j]).max();
        longest[i] = source.blocks[i].code.len() as i64 + rest.filter(|_| !exact).unwrap_or(0);
    }
    for i in 0..parts.len() {
        let follows = |j: usize| successors(&parts[j].seen).any(|pc| inside(pc) == Some(i));
        let checked = !exact && i != 0 && parts[i].edges == 1 && (0..i).any(|j| parts[j].live && follows(j));
        parts[i].check = if checked { 0 } else { longest[i] };
    }
}

impl<'a, 'b> Region<'a, 'b> {
    fn begin(mut b: FunctionBuilder<'a>, shop: &Settings, source: &'b Source, frontend: &'b dyn Frontend, seen: Vec<Seen>) -> Self {
        let &Settings { shape, features, exact } = shop;
        let start = b.create_block();
        b.append_block_params_for_function_params(start);
        b.switch_to_block(start);
        b.seal_block(start);
        let core = b.block_params(start)[0];
        let signatures = Signatures::new(&mut b);
        let mut by_pc: HashMap<u64, usize> = source.blocks.iter().enumerate().rev().map(|(i, s)| (s.pc, i)).collect();
        let inside = |pc: u64| by_pc.get(&pc).copied();
        let next: Vec<u64> = seen.iter().map(|s| successors(s).filter_map(inside).filter(|&j| j < 64).fold(0, |m, j| m | 1 << j)).collect();
        let reach = reach(&next);
        let mut parts: Vec<Part> = seen
            .into_iter()
            .enumerate()
            .map(|(i, seen)| Part {
                seen,
                entry: b.create_block(),
                edges: 0,
                live: i == 0 || i < 64 && reach[0] >> i & 1 != 0,
                done: false,
                looped: i < 64 && reach[i] >> i & 1 != 0,
                check: 0,
                inherited: None,
            })
            .collect();
        for i in (0..parts.len()).filter(|&i| parts[i].live).collect::<Vec<_>>() {
            let targets: Vec<usize> = successors(&parts[i].seen).filter_map(inside).collect();
            for j in targets {
                parts[j].edges += 1;
            }
        }
        by_pc.retain(|_, &mut i| parts[i].live);
        // The entry is entered from outside too.
        parts[0].edges += 1;
        plan_checks(&mut parts, source, exact, |pc| by_pc.get(&pc).copied());
        let mut e = Emitter {
            b,
            core,
            shape,
            signatures,
            known: Known::default(),
            variables: Vec::new(),
            budget: Variable::from_u32(0),
            narrow: Vec::new(),
            sums: Vec::new(),
            site: Site::default(),
            mode: source.entry.mode,
            flow: None,
            features,
        };
        e.budget = e.b.declare_var(types::I64);
        e.read_budget();
        Region { e, source, frontend, parts, by_pc, exits: Vec::new() }
    }

    /// Chooses the words that loops keep in host registers.
    fn choose_variables(&mut self) {
        let mut counts: Vec<(Slot, u32)> = Vec::new();
        for p in self.parts.iter().filter(|p| p.live && p.looped) {
            for &(slot, n) in &p.seen.reads {
                match counts.iter_mut().find(|c| c.0 == slot) {
                    Some(c) => c.1 += n,
                    None => counts.push((slot, n)),
                }
            }
        }
        let vector = |s: Slot| self.parts.iter().any(|p| p.seen.vectors.iter().any(|&v| v == s || v.at(1) == s));
        counts.retain(|c| !vector(c.0));
        counts.sort_by_key(|c| std::cmp::Reverse(c.1));
        for (slot, _) in counts.into_iter().take(MOST_VARIABLES) {
            let variable = self.e.b.declare_var(types::I64);
            let v = self.e.field(offset(slot));
            self.e.b.def_var(variable, v);
            self.e.variables.push((slot, variable));
        }
    }

    fn emit(mut self, config: TargetFrontendConfig) -> Result<(), Refused> {
        self.choose_variables();
        let first = self.parts[0].entry;
        self.e.b.ins().jump(first, &[]);
        let mut sealed = vec![0; self.parts.len()];
        sealed[0] = 1;
        for i in 0..self.parts.len() {
            if !self.parts[i].live {
                continue;
            }
            let entry = self.parts[i].entry;
            self.parts[i].done = true;
            if sealed[i] == self.parts[i].edges {
                self.e.b.seal_block(entry);
            }
            self.e.b.switch_to_block(entry);
            self.e.known = self.parts[i].inherited.take().unwrap_or_default();
            self.block(i)?;
            for j in successors(&self.parts[i].seen).filter_map(|pc| self.by_pc.get(&pc)) {
                sealed[*j] += 1;
            }
        }
        for (pc, block) in std::mem::take(&mut self.exits) {
            self.e.begin(block);
            self.exit(pc);
        }
        self.e.b.seal_all_blocks();
        self.e.b.finalize(config);
        Ok(())
    }

    fn block(&mut self, i: usize) -> Result<(), Refused> {
        let source = self.source;
        let block = &source.blocks[i];
        let n = block.code.len();
        self.charge(block.pc, n as i64, self.parts[i].check);
        let mut pc = block.pc;
        // Where control goes after the delay slot that is being emitted.
        let mut delayed: Option<Flow<V, C>> = None;
        for (k, instruction) in block.code.iter().enumerate() {
            self.e.site = Site { pc, length: instruction.length, ahead: (n - k) as u16, slot: delayed.is_some() };
            if !self.frontend.emit(&mut self.e, instruction.word) {
                return Err(Refused::Instruction(instruction.word));
            }
            pc = pc.wrapping_add(instruction.length as u64);
            match (self.e.flow.take(), delayed.take()) {
                (Some(Flow::Next) | None, None) => {}
                (Some(Flow::Delayed(branch)), None) => delayed = Some(self.delay(i, branch, pc.wrapping_add(instruction.length as u64))),
                (Some(Flow::Next) | None, Some(branch)) => {
                    self.end(branch, pc);
                    return Ok(());
                }
                (Some(Flow::Resync), Some(branch)) => {
                    self.resync_to(branch, pc);
                    return Ok(());
                }
                (Some(Flow::Exit), Some(_)) => {
                    self.end(Flow::Exit, pc);
                    return Ok(());
                }
                (Some(flow), None) => {
                    self.end(flow, pc);
                    return Ok(());
                }
                // The target lets no branch be in a delay slot.
                (Some(_), Some(_)) => return Err(Refused::Instruction(instruction.word)),
            }
        }
        if delayed.is_some() {
            return Err(Refused::Instruction(block.code.last().map_or(0, |i| i.word)));
        }
        self.end(Flow::Jump(pc, Transfer::Plain), pc);
        Ok(())
    }

    /// Takes the `n` instructions of a block at `pc` off the budget, or leaves where there are fewer than
    /// `check`.
    fn charge(&mut self, pc: u64, n: i64, check: i64) {
        let e = &mut self.e;
        let budget = e.b.use_var(e.budget);
        if check != 0 {
            let least = e.b.ins().iconst(types::I64, check);
            let over = e.b.ins().icmp(IntCC::SignedLessThan, budget, least);
            let cold = e.cold();
            let on = e.b.create_block();
            e.b.ins().brif(over, cold, &[], on, &[]);
            e.begin(cold);
            e.write_flags();
            self.leave(Left::Budget, Some(V::Const(pc)));
            self.e.begin(on);
        }
        let e = &mut self.e;
        let left = e.b.ins().iadd_imm_s(budget, -n);
        e.b.def_var(e.budget, left);
    }

    /// Returns to the run loop.
    fn leave(&mut self, why: Left, pc: Option<V>) {
        let e = &mut self.e;
        e.write_budget();
        if let Some(pc) = pc {
            let slot = e.shape.layout.pc;
            e.set_field(offset(slot), pc);
        }
        let why = e.b.ins().iconst(types::I64, why as i64);
        e.b.ins().return_(&[why]);
    }

    /// The Cranelift block that control to `pc` goes to.
    fn target(&mut self, pc: u64) -> Block {
        if let Some(&i) = self.by_pc.get(&pc) {
            let part = &mut self.parts[i];
            if part.edges == 1 && i != 0 && !part.done {
                part.inherited = Some(self.e.known.clone());
            }
            return part.entry;
        }
        if let Some(e) = self.exits.iter().find(|e| e.0 == pc) {
            return e.1;
        }
        let block = self.e.b.create_block();
        self.exits.push((pc, block));
        block
    }

    /// Whether the flags' words may stay behind on the way to `pc`.
    fn carries_flags(&self, pc: u64) -> bool {
        self.by_pc.get(&pc).is_some_and(|&i| i != 0 && self.parts[i].edges == 1 && !self.parts[i].done)
    }

    /// What comes of a branch of block `i` after its delay slot, behind which `after` is. A slot that is not to
    /// be executed is left out here, and given back to the budget.
    fn delay(&mut self, i: usize, branch: Delayed<V, C>, after: u64) -> Flow<V, C> {
        match branch {
            Delayed::Jump(t, k) => Flow::Jump(t, k),
            Delayed::Branch(c, t) => Flow::Branch(c, t),
            Delayed::Indirect(v, k) => Flow::Indirect(v, k),
            Delayed::Likely(c, t) => {
                let c = self.e.truth(c);
                let (on, over) = (self.e.b.create_block(), self.e.b.create_block());
                self.e.b.ins().brif(c, on, &[], over, &[]);
                self.e.begin(over);
                let left = self.e.b.use_var(self.e.budget);
                let left = self.e.b.ins().iadd_imm_s(left, 1);
                self.e.b.def_var(self.e.budget, left);
                let known = self.e.known.clone();
                if self.parts[i].seen.ends == Ends::State {
                    // With such a slot the block counts as one that goes nowhere in the region.
                    self.e.settle_flags();
                    self.exit(after);
                } else {
                    self.end(Flow::Jump(after, Transfer::Plain), after);
                }
                self.e.known = known;
                self.e.begin(on);
                Flow::Jump(t, Transfer::Plain)
            }
        }
    }

    /// Returns to the run loop, which goes on where `flow` leads.
    fn resync_to(&mut self, flow: Flow<V, C>, next: u64) {
        let to = match flow {
            Flow::Jump(t, _) => V::Const(t),
            Flow::Branch(c, t) => self.e.select(c, V::Const(t), V::Const(next)),
            Flow::Indirect(v, _) => v,
            Flow::Next | Flow::Delayed(_) | Flow::Resync | Flow::Exit => V::Const(next),
        };
        self.e.settle_flags();
        self.leave(Left::Resync, Some(to));
    }

    fn end(&mut self, flow: Flow<V, C>, next: u64) {
        match flow {
            // A delayed branch ends no block: its slot does.
            Flow::Next | Flow::Delayed(_) => {}
            Flow::Jump(t, _) => {
                if !self.carries_flags(t) {
                    self.e.settle_flags();
                }
                let block = self.target(t);
                self.e.b.ins().jump(block, &[]);
            }
            Flow::Branch(C::Const(c), t) => self.end(Flow::Jump(if c { t } else { next }, Transfer::Plain), next),
            Flow::Branch(c, t) => {
                if !self.carries_flags(t) || !self.carries_flags(next) {
                    self.e.settle_flags();
                }
                let (taken, on) = (self.target(t), self.target(next));
                let c = self.e.truth(c);
                self.e.b.ins().brif(c, taken, &[], on, &[]);
            }
            Flow::Indirect(v, _) => {
                self.e.settle_flags();
                self.exit_indirect(v);
            }
            Flow::Resync => {
                self.e.settle_flags();
                self.leave(Left::Resync, Some(V::Const(next)));
            }
            Flow::Exit => {
                self.e.settle_flags();
                self.leave(Left::Resync, None);
            }
        }
    }

    /// Goes to `pc` outside the region: through the jump cache to its code, or to the loop.
    fn exit(&mut self, pc: u64) {
        let at = JumpCache::index(pc) * size_of::<jump::Entry>();
        let e = &mut self.e;
        let jumps = e.field(run!(jumps));
        self.go(V::Const(pc), jumps, at as i32);
    }

    fn exit_indirect(&mut self, pc: V) {
        if let V::Const(k) = pc {
            return self.exit(k);
        }
        let e = &mut self.e;
        // JumpCache::index, times the bytes of an entry.
        const SHIFT: u32 = size_of::<jump::Entry>().trailing_zeros();
        const { assert!(size_of::<jump::Entry>() == 1 << SHIFT && SHIFT > jump::INSTRUCTION && jump::FOLD > SHIFT) };
        let place = e.bin_imm(Bin::Shl, W::W64, pc, (SHIFT - jump::INSTRUCTION).into());
        let further = e.bin_imm(Bin::Shr, W::W64, pc, (jump::FOLD - SHIFT).into());
        let at = e.bin(Bin::Xor, W::W64, place, further);
        let at = e.bin_imm(Bin::And, W::W64, at, (jump::ENTRIES as u64 - 1) << SHIFT);
        let jumps = V::Val(e.field(run!(jumps)));
        let entry = e.bin(Bin::Add, W::W64, jumps, at);
        let entry = e.val(entry);
        self.go(pc, entry, 0);
    }

    /// Writes the pc slot, and goes to the code of the jump cache's entry if it is for `pc` in
    /// this context.
    fn go(&mut self, pc: V, entry: Value, at: i32) {
        let e = &mut self.e;
        let slot = e.shape.layout.pc;
        e.set_field(offset(slot), pc);
        e.write_budget();
        let field = |e: &mut Emitter<'_>, o: usize| V::Val(e.b.ins().load(types::I64, STATE, entry, at + o as i32));
        let entry_pc = field(e, std::mem::offset_of!(jump::Entry, pc));
        let entry_context = field(e, std::mem::offset_of!(jump::Entry, context));
        let context = V::Val(e.field(run!(context)));
        let p = e.bin(Bin::Xor, W::W64, entry_pc, pc);
        let c = e.bin(Bin::Xor, W::W64, entry_context, context);
        let differs = e.bin(Bin::Or, W::W64, p, c);
        let differs = e.val(differs);
        let (hit, miss) = (e.b.create_block(), e.cold());
        e.b.ins().brif(differs, miss, &[], hit, &[]);
        e.begin(hit);
        let code = e.b.ins().load(types::I64, STATE, entry, at + std::mem::offset_of!(jump::Entry, code) as i32);
        e.b.ins().return_call_indirect(e.signatures.region, code, &[e.core]);
        e.begin(miss);
        let why = e.b.ins().iconst(types::I64, Left::Unlinked as i64);
        e.b.ins().return_(&[why]);
    }
}
