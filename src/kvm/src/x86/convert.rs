//! A core's state between the kernel's structures and [`State`].

use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use proteus_x86::state::{Fpu, Segment, State, Table, seg};

fn segment(s: &kvm_segment) -> Segment {
    let bits = [(s.type_ & 15, 0), (s.s & 1, 4), (s.dpl & 3, 5), (s.present & 1, 7), (s.avl & 1, 12), (s.l & 1, 13), (s.db & 1, 14), (s.g & 1, 15)];
    let attributes = bits.iter().map(|(v, at)| u16::from(*v) << at).sum();
    Segment { selector: s.selector, base: s.base, limit: s.limit, attributes, unusable: s.unusable != 0 }
}

fn kernel_segment(s: &Segment) -> kvm_segment {
    let bits = |at: u32, n: u16| (s.attributes >> at & n) as u8;
    kvm_segment {
        base: s.base,
        limit: s.limit,
        selector: s.selector,
        type_: bits(0, 15),
        s: bits(4, 1),
        dpl: bits(5, 3),
        present: bits(7, 1),
        avl: bits(12, 1),
        l: bits(13, 1),
        db: bits(14, 1),
        g: bits(15, 1),
        unusable: s.unusable.into(),
        padding: 0,
    }
}

fn table(t: &kvm_dtable) -> Table {
    Table { base: t.base, limit: t.limit }
}

fn kernel_table(t: &Table) -> kvm_dtable {
    kvm_dtable { base: t.base, limit: t.limit, ..Default::default() }
}

/// The state from what KVM_GET_REGS and KVM_GET_SREGS give, and an XSAVE area.
pub fn state(r: &kvm_regs, s: &kvm_sregs, area: &[u8]) -> State {
    let mut segments = [Segment::default(); 6];
    for (n, from) in [(seg::ES, &s.es), (seg::CS, &s.cs), (seg::SS, &s.ss), (seg::DS, &s.ds), (seg::FS, &s.fs), (seg::GS, &s.gs)] {
        segments[n] = segment(from);
    }
    State {
        gpr: [r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15],
        rip: r.rip,
        rflags: r.rflags,
        segments,
        tr: segment(&s.tr),
        ldtr: segment(&s.ldt),
        gdtr: table(&s.gdt),
        idtr: table(&s.idt),
        cr0: s.cr0,
        cr2: s.cr2,
        cr3: s.cr3,
        cr4: s.cr4,
        cr8: s.cr8,
        efer: s.efer,
        apic_base: s.apic_base,
        fpu: fpu(area),
    }
}

/// For KVM_SET_REGS.
pub fn regs(state: &State) -> kvm_regs {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = state.gpr;
    kvm_regs { rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rip: state.rip, rflags: state.rflags }
}

/// For KVM_SET_SREGS; what is no part of the state is as in `old`.
pub fn sregs(state: &State, old: &kvm_sregs) -> kvm_sregs {
    let s = |n: usize| kernel_segment(&state.segments[n]);
    kvm_sregs {
        es: s(seg::ES),
        cs: s(seg::CS),
        ss: s(seg::SS),
        ds: s(seg::DS),
        fs: s(seg::FS),
        gs: s(seg::GS),
        tr: kernel_segment(&state.tr),
        ldt: kernel_segment(&state.ldtr),
        gdt: kernel_table(&state.gdtr),
        idt: kernel_table(&state.idtr),
        cr0: state.cr0,
        cr2: state.cr2,
        cr3: state.cr3,
        cr4: state.cr4,
        cr8: state.cr8,
        efer: state.efer,
        apic_base: state.apic_base,
        interrupt_bitmap: old.interrupt_bitmap,
    }
}

/// Where things are in the legacy region of an XSAVE area, and in the header behind it (Intel SDM
/// volume 1, 13.4.1 and 13.4.2; the form with 64-bit pointers).
mod area {
    pub const CONTROL: usize = 0;
    pub const STATUS: usize = 2;
    pub const TAGS: usize = 4;
    pub const OPCODE: usize = 6;
    pub const INSTRUCTION: usize = 8;
    pub const OPERAND: usize = 16;
    pub const MXCSR: usize = 24;
    pub const ST: usize = 32;
    pub const XMM: usize = 160;
    pub const XSTATE_BV: usize = 512;
}

fn get<const N: usize>(area: &[u8], at: usize) -> [u8; N] {
    area.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

/// x87 and SSE state in an XSAVE area.
pub fn fpu(area: &[u8]) -> Fpu {
    let halves = |at: usize| u16::from_le_bytes(get(area, at));
    Fpu {
        // The upper bytes of a register's place are reserved.
        st: std::array::from_fn(|n| u128::from_le_bytes(get(area, area::ST + 16 * n)) & (u128::MAX >> 48)),
        control: halves(area::CONTROL),
        status: halves(area::STATUS),
        tags: get::<1>(area, area::TAGS)[0],
        opcode: halves(area::OPCODE),
        instruction: u64::from_le_bytes(get(area, area::INSTRUCTION)),
        operand: u64::from_le_bytes(get(area, area::OPERAND)),
        xmm: std::array::from_fn(|n| u128::from_le_bytes(get(area, area::XMM + 16 * n))),
        mxcsr: u32::from_le_bytes(get(area, area::MXCSR)),
    }
}

/// Puts x87 and SSE state into an XSAVE area, and says in its header that they are there: what the
/// header does not name is as after a reset, whatever the area has.
pub fn set_fpu(area: &mut [u8], f: &Fpu) {
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = area.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(area::CONTROL, &f.control.to_le_bytes());
    put(area::STATUS, &f.status.to_le_bytes());
    put(area::TAGS, &[f.tags, 0]);
    put(area::OPCODE, &f.opcode.to_le_bytes());
    put(area::INSTRUCTION, &f.instruction.to_le_bytes());
    put(area::OPERAND, &f.operand.to_le_bytes());
    put(area::MXCSR, &f.mxcsr.to_le_bytes());
    for (n, st) in f.st.iter().enumerate() {
        put(area::ST + 16 * n, &st.to_le_bytes());
    }
    for (n, xmm) in f.xmm.iter().enumerate() {
        put(area::XMM + 16 * n, &xmm.to_le_bytes());
    }
    if let Some(present) = area.get_mut(area::XSTATE_BV) {
        *present |= 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_went() {
        let mut before = State { rip: 0xfff0, rflags: 0x202, cr0: 0x8000_0031, cr3: 0x1000, efer: 0x500, apic_base: 0xfee0_0900, ..State::default() };
        before.gpr = std::array::from_fn(|n| 0x1111 * n as u64);
        for (n, s) in before.segments.iter_mut().enumerate() {
            *s = Segment::flat(8 * n as u16, n == seg::CS, n == seg::CS);
        }
        before.tr = Segment { attributes: 0x8b, limit: 0x67, ..Segment::default() };
        before.gdtr = Table { base: 0x9000, limit: 0x37 };
        before.fpu.st[3] = 0x3fff_8000_0000_0000_0001;
        before.fpu.xmm[15] = u128::MAX - 5;
        before.fpu.mxcsr = 0x1f80;
        let mut area = [0; 576];
        set_fpu(&mut area, &before.fpu);
        assert_eq!(area[area::XSTATE_BV], 3);
        let after = state(&regs(&before), &sregs(&before, &kvm_sregs::default()), &area);
        assert_eq!(after, before);
    }
}
