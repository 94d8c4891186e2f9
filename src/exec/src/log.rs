//! What a core logs of its blocks, where somebody wants to know: targets `in_asm` (a block as it is
//! decoded), `exec` (each block that is executed) and `cpu` (the registers before it).
//!
//! A core whose blocks are logged one by one is interpreted, so that none is left out.

use crate::block::Block;
use crate::core::Core;
use crate::registers;
use crate::target::Target;
use proteus_model::Mapping;
use tracing::Level;

/// Whether every executed block is to be logged.
#[inline]
pub(crate) fn wanted() -> bool {
    tracing::enabled!(target: "exec", Level::TRACE) || tracing::enabled!(target: "cpu", Level::TRACE)
}

/// A block has been decoded.
#[inline]
pub(crate) fn decoded<T: Target>(core: &Core<T>, block: &Block<T>) {
    if tracing::enabled!(target: "in_asm", Level::TRACE) {
        show_decoded(core, block);
    }
}

#[cold]
fn show_decoded<T: Target>(core: &Core<T>, block: &Block<T>) {
    let description = T::description(core);
    let mut bytes = vec![0; block.bytes as usize];
    if let Some(Mapping::Ram { region, offset, .. }) = core.space.find(block.key.phys)
        && region.read(offset, &mut bytes).is_ok()
    {
        tracing::trace!(target: "in_asm", pc = block.key.pc, architecture = description.architecture, big = description.big, bytes = &bytes[..], "IN:");
    }
}

/// A block is about to be executed.
#[cold]
pub(crate) fn executed<T: Target>(core: &mut Core<T>, pc: u64, mode: u16) {
    tracing::trace!(target: "exec", pc, "Trace {}: [{pc:016x}/{mode:04x}]", core.id.0);
    if tracing::enabled!(target: "cpu", Level::TRACE) {
        // The pc in the state is that of the last block's end until a block begins.
        let id = core.id.0;
        let description = T::description(core);
        let text = registers::dump(&description, |n| T::read_register(core, n));
        tracing::trace!(target: "cpu", pc, "CPU#{id}\n{}", text.trim_end());
    }
}
