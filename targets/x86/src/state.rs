//! The state of a core that programs see (SDM vol. 1, 3.4; vol. 3, 2.1).

/// Numbers of the general registers, as instructions encode them (SDM vol. 2, 2.1.5).
pub mod gpr {
    /// RAX.
    pub const RAX: usize = 0;
    /// RCX.
    pub const RCX: usize = 1;
    /// RDX.
    pub const RDX: usize = 2;
    /// RBX.
    pub const RBX: usize = 3;
    /// RSP.
    pub const RSP: usize = 4;
    /// RBP.
    pub const RBP: usize = 5;
    /// RSI.
    pub const RSI: usize = 6;
    /// RDI.
    pub const RDI: usize = 7;
}

/// Numbers of the segment registers, as instructions encode them.
pub mod seg {
    /// ES.
    pub const ES: usize = 0;
    /// CS.
    pub const CS: usize = 1;
    /// SS.
    pub const SS: usize = 2;
    /// DS.
    pub const DS: usize = 3;
    /// FS.
    pub const FS: usize = 4;
    /// GS.
    pub const GS: usize = 5;
}

/// CR0: protection enable.
pub const CR0_PE: u64 = 1;
/// CR0: extension type, always set.
pub const CR0_ET: u64 = 1 << 4;
/// CR0: paging.
pub const CR0_PG: u64 = 1 << 31;
/// CR4: page size extensions.
pub const CR4_PSE: u64 = 1 << 4;
/// CR4: physical address extension.
pub const CR4_PAE: u64 = 1 << 5;
/// CR4: five levels of page tables.
pub const CR4_LA57: u64 = 1 << 12;
/// EFER: long mode is enabled.
pub const EFER_LME: u64 = 1 << 8;
/// EFER: long mode is active.
pub const EFER_LMA: u64 = 1 << 10;
/// RFLAGS: always set.
pub const RFLAGS_FIXED: u64 = 1 << 1;
/// RFLAGS: trap after each instruction.
pub const RFLAGS_TF: u64 = 1 << 8;
/// RFLAGS: interrupts are taken.
pub const RFLAGS_IF: u64 = 1 << 9;

/// A segment register with its hidden part (SDM vol. 3, 3.4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The visible part.
    pub selector: u16,
    /// Linear address of the first byte.
    pub base: u64,
    /// Offset of the last byte.
    pub limit: u32,
    /// The descriptor's bits 8 to 15 and 20 to 23 in their places, counted from bit 8: type (3:0), S
    /// (4), DPL (6:5), P (7), AVL (12), L (13), D/B (14), G (15).
    pub attributes: u16,
    /// The register holds a null selector.
    pub unusable: bool,
}

impl Segment {
    /// A flat segment of 4 GiB: code or data that can be read, of privilege level 0. `long` makes
    /// it 64-bit code.
    pub fn flat(selector: u16, code: bool, long: bool) -> Segment {
        let size = if long { 1 << 13 } else { 1 << 14 };
        let kind = if code { 0xb } else { 0x3 };
        Segment { selector, base: 0, limit: 0xffff_ffff, attributes: kind | 1 << 4 | 1 << 7 | size | 1 << 15, unusable: false }
    }

    /// The segment's code is 64-bit, where long mode is active.
    pub fn long(&self) -> bool {
        self.attributes & 1 << 13 != 0
    }

    /// Operands and addresses have 32 bits by default.
    pub fn big(&self) -> bool {
        self.attributes & 1 << 14 != 0
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Linear address.
    pub base: u64,
    /// Offset of the last byte.
    pub limit: u16,
}

/// x87 and SSE (SDM vol. 1, chapters 8 and 10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fpu {
    /// ST0 to ST7, 80 bits each.
    pub st: [u128; 8],
    /// Control word.
    pub control: u16,
    /// Status word.
    pub status: u16,
    /// Abridged tag word, as FXSAVE has it: a set bit is a register in use.
    pub tags: u8,
    /// Last opcode.
    pub opcode: u16,
    /// Last instruction pointer.
    pub instruction: u64,
    /// Last operand pointer.
    pub operand: u64,
    /// XMM0 to XMM15.
    pub xmm: [u128; 16],
    /// MXCSR.
    pub mxcsr: u32,
}

/// The state of a core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// General registers, by [`gpr`].
    pub gpr: [u64; 16],
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// Segment registers, by [`seg`].
    pub segments: [Segment; 6],
    /// Task register.
    pub tr: Segment,
    /// LDTR.
    pub ldtr: Segment,
    /// GDTR.
    pub gdtr: Table,
    /// IDTR.
    pub idtr: Table,
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8.
    pub cr8: u64,
    /// IA32_EFER.
    pub efer: u64,
    /// IA32_APIC_BASE.
    pub apic_base: u64,
    /// Floating point and SSE.
    pub fpu: Fpu,
}

impl State {
    /// The linear address of the next instruction.
    pub fn pc(&self) -> u64 {
        let cs = &self.segments[seg::CS];
        if self.is_64() { self.rip } else { cs.base.wrapping_add(self.rip) & 0xffff_ffff }
    }

    /// It executes 64-bit code.
    pub fn is_64(&self) -> bool {
        self.efer & EFER_LMA != 0 && self.segments[seg::CS].long()
    }

    /// Its mode, in words for people.
    pub fn mode(&self) -> &'static str {
        let cs = &self.segments[seg::CS];
        match (self.cr0 & CR0_PE != 0, self.efer & EFER_LMA != 0) {
            (false, _) => "real mode",
            (true, true) if cs.long() => "64-bit mode",
            (true, true) => "compatibility mode",
            (true, false) if self.rflags & 1 << 17 != 0 => "virtual-8086 mode",
            (true, false) if cs.big() => "32-bit protected mode",
            (true, false) => "16-bit protected mode",
        }
    }
}
