//! Kernels for x86 that are entered without firmware: from the loader's plan to memory and a core.

use proteus_loader::Kernel;
use proteus_loader::x86_direct::{self, CODE, DATA, Given};

use crate::boot::{self, Load, Memory};
use crate::built::X86Entry;
use crate::error::BoardError;

// Numbers of general registers.
const RAX: usize = 0;
const RBX: usize = 3;
const RSI: usize = 6;

/// What goes into memory, and how the first core starts; `None` for a kernel that no boot protocol
/// enters.
pub(crate) fn plan(kernel: &mut Kernel, given: &Given<'_>, memory: &Memory) -> Result<Option<(Vec<Load>, X86Entry)>, BoardError> {
    let Some(direct) = x86_direct::direct(kernel, given)? else { return Ok(None) };
    boot::check(&direct.plan, &kernel.file, memory)?;
    let mut loads = Load::pieces("kernel", std::mem::take(&mut kernel.bytes), &direct.plan);
    loads.extend(direct.pieces.into_iter().map(|p| Load::whole(p.name, p.address, p.bytes)));
    let s = direct.start;
    let mut registers = [0; 16];
    (registers[RAX], registers[RBX], registers[RSI]) = (s.rax, s.rbx, s.rsi);
    Ok(Some((loads, X86Entry { pc: s.pc, registers, page_tables: s.page_tables, code: CODE, data: DATA, gdt: Some(s.gdt) })))
}
