//! How a core starts: at its reset vector, which needs nothing from here, or where a boot protocol
//! enters a kernel (Documentation/arch/x86/boot.rst; Xen's docs/misc/pvh.pandoc).

use crate::state::{CR0_ET, CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME, RFLAGS_FIXED, Segment, State, Table, seg};

/// A state that a core is put in after a reset. Segments are flat, interrupts are off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Address of the first instruction.
    pub pc: u64,
    /// General registers, by [`crate::state::gpr`].
    pub registers: [u64; 16],
    /// In 64-bit mode, with these page tables (CR3); otherwise in protected mode without paging.
    pub page_tables: Option<u64>,
    /// Selector of the code segment.
    pub code: u16,
    /// Selector of the other segments.
    pub data: u16,
    /// The descriptor table that has them, where there is one.
    pub gdt: Option<(u64, u16)>,
}

impl Entry {
    /// Changes the state after a reset into this.
    pub fn apply(&self, state: &mut State) {
        let long = self.page_tables.is_some();
        state.gpr = self.registers;
        state.rip = self.pc;
        state.rflags = RFLAGS_FIXED;
        for (n, segment) in state.segments.iter_mut().enumerate() {
            *segment = if n == seg::CS { Segment::flat(self.code, true, long) } else { Segment::flat(self.data, false, false) };
        }
        // A busy task segment; its selector is that of no descriptor in use.
        state.tr = Segment { selector: 0, base: 0, limit: 0x67, attributes: 0xb | 1 << 7, unusable: false };
        state.gdtr = self.gdt.map_or_else(Table::default, |(base, limit)| Table { base, limit });
        state.idtr = Table::default();
        state.cr0 = CR0_PE | CR0_ET;
        if let Some(tables) = self.page_tables {
            state.cr0 |= CR0_PG;
            state.cr3 = tables;
            state.cr4 |= CR4_PAE;
            state.efer |= EFER_LME | EFER_LMA;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_entered_in_the_mode_of_its_protocol() {
        let mut s = State::default();
        let mut entry = Entry { pc: 0x10_0000, code: 0x10, data: 0x18, ..Entry::default() };
        entry.registers[3] = 0x6000;
        entry.apply(&mut s);
        assert_eq!((s.mode(), s.pc(), s.gpr[3], s.cr0), ("32-bit protected mode", 0x10_0000, 0x6000, CR0_PE | CR0_ET));
        entry.page_tables = Some(0x9000);
        entry.apply(&mut s);
        assert_eq!((s.mode(), s.is_64(), s.cr3, s.segments[seg::DS].selector), ("64-bit mode", true, 0x9000, 0x18));
    }
}
