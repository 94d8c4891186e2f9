//! The way into compiled code, out of it, and from it into Rust.
//!
//! Compiled code reaches these by number through a table whose address is in
//! [`proteus_exec::Run::thunks`]. Memory thunks keep every register, so that compiled code pays
//! nothing for a slow path that it does not take; a slow path or helper that faults does not
//! return but leaves compiled code altogether. The functions in Rust are `extern "C"`: a panic in
//! them ends the process and never unwinds through compiled frames.

use proteus_exec::fp::FpOp;
use proteus_exec::ops::{Bin, Extend, Fmt, Mem, Order, Rmw, W, XOp};
use proteus_exec::prim::lazy;
use proteus_exec::{Core, Run, Target, WORDS};
use std::mem::offset_of;

/// Offset of [`Core::run`]; the register words come first.
pub const RUN: usize = WORDS * 8;
/// Word of `scratch` that stands for memory after a slow access.
pub const BOUNCE: usize = 7;
/// Word of `scratch` with a helper's fourth argument.
pub const FOURTH: usize = 6;

/// Numbers of the table's entries.
pub mod number {
    /// Stub of the memory slow path.
    pub const MEMORY: usize = 0;
    /// Stub of the target's helpers.
    pub const HELPER: usize = 1;
    /// Exact floating point.
    pub const FP: usize = 2;
    /// Vector operations.
    pub const VECTOR: usize = 3;
    /// Integer primitives that have no host code.
    pub const BIN: usize = 4;
    /// N, Z, C and V of the flags in the state.
    pub const NZCV: usize = 5;
    /// The way in.
    pub const ENTER: usize = 6;
    /// The exit stub.
    pub const EXIT: usize = 7;
    /// The memory slow path in Rust.
    pub const MEMORY_RUST: usize = 8;
    /// The helpers in Rust.
    pub const HELPER_RUST: usize = 9;
    /// Entries.
    pub const COUNT: usize = 10;
}

/// What kind of access a memory descriptor names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A load.
    Load,
    /// A store.
    Store,
    /// An atomic read-modify-write.
    Rmw(Rmw),
    /// An atomic compare-and-swap.
    Cas,
}

const RMWS: [Rmw; 9] = [Rmw::Swap, Rmw::Add, Rmw::Clear, Rmw::Xor, Rmw::Set, Rmw::SMax, Rmw::SMin, Rmw::UMax, Rmw::UMin];

/// Where an instruction is: what the slow paths are told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Site {
    /// Its address.
    pub pc: u64,
    /// Its length in bytes.
    pub length: u8,
    /// Instructions of its block that have not begun, itself included.
    pub ahead: u16,
    /// It is in a delay slot.
    pub slot: bool,
}

impl Site {
    /// All but the address, for the upper half of a descriptor.
    pub fn bits(self) -> u64 {
        (self.ahead as u64) << 32 | (self.length as u64) << 48 | (self.slot as u64) << 56
    }
}

/// Packs an access in a word; [`unpack`] is its inverse.
pub fn pack(kind: Kind, m: Mem) -> u64 {
    let kind = match kind {
        Kind::Load => 0,
        Kind::Store => 1,
        Kind::Cas => 2,
        Kind::Rmw(op) => 3 + RMWS.iter().position(|&r| r == op).unwrap_or(0) as u64,
    };
    let extend = match m.extend {
        Extend::Zero => 0,
        Extend::Sign32 => 1,
        Extend::Sign64 => 2,
    };
    let order = match m.order {
        Order::Plain => 0,
        Order::Acquire => 1,
        Order::Release => 2,
    };
    kind | (m.size as u64) << 4 | extend << 6 | order << 8 | (m.unprivileged as u64) << 10 | (m.big as u64) << 11 | (m.align as u64) << 16
}

/// The access that [`pack`] packed.
pub fn unpack(d: u64) -> (Kind, Mem) {
    let kind = match d & 15 {
        0 => Kind::Load,
        1 => Kind::Store,
        2 => Kind::Cas,
        n => Kind::Rmw(RMWS[(n as usize - 3) % RMWS.len()]),
    };
    let extend = [Extend::Zero, Extend::Sign32, Extend::Sign64, Extend::Zero][(d >> 6 & 3) as usize];
    let order = [Order::Plain, Order::Acquire, Order::Release, Order::Plain][(d >> 8 & 3) as usize];
    let m = Mem { size: (d >> 4 & 3) as u8, extend, order, unprivileged: d >> 10 & 1 != 0, big: d >> 11 & 1 != 0, align: (d >> 16) as u8 };
    (kind, m)
}

/// Says where the core is, and afterwards that it is nowhere in particular.
fn at<T: Target, O>(core: &mut Core<T>, desc: u64, pc: u64, f: impl FnOnce(&mut Core<T>) -> Result<O, T::Exception>) -> Option<O> {
    core.run.pc = pc;
    core.run.next_pc = pc.wrapping_add(desc >> 48 & 0xff);
    core.run.ahead = desc >> 32 & 0xffff;
    core.run.slot = desc >> 56 & 1;
    match f(core) {
        Ok(v) => {
            core.run.ahead = 0;
            // Code was written: what was compiled from it must not run on.
            if !core.stale.is_empty() {
                core.stop_soon();
            }
            Some(v)
        }
        Err(e) => {
            core.pending = Some(e);
            core.run.budget += core.run.ahead as i64;
            core.run.ahead = 0;
            None
        }
    }
}

/// The slow path of memory access. Gives 1 where it faulted. What was loaded is left in the
/// bounce word as memory would hold it, since compiled code then makes its access there.
extern "C" fn memory<T: Target>(core: &mut Core<T>, address: u64, desc: u64, pc: u64, v: u64, new: u64) -> u64 {
    let (kind, m) = unpack(desc);
    let done = at(core, desc, pc, |core| match kind {
        Kind::Load => core.load_slow(address, m),
        Kind::Store => core.store_slow(address, m, v & (u64::MAX >> (64 - 8 * m.bytes()))).map(|()| 0),
        Kind::Rmw(op) => core.rmw(op, address, m, v),
        Kind::Cas => core.compare_swap(address, m, v, new),
    });
    match done {
        Some(v) => {
            core.run.scratch[BOUNCE] = v;
            0
        }
        None => 1,
    }
}

/// What a helper in Rust gives its stub.
#[repr(C)]
struct Outcome {
    value: u64,
    fault: u64,
}

extern "C" fn helper<T: Target>(core: &mut Core<T>, desc: u64, pc: u64, a: u64, b: u64, c: u64) -> Outcome {
    let args = [a, b, c, core.run.scratch[FOURTH]];
    let f = T::HELPERS.get((desc & 0xffff) as usize);
    match at(core, desc, pc, |core| f.map_or(Ok(0), |f| f(core, args))) {
        Some(value) => Outcome { value, fault: 0 },
        None => Outcome { value: 0, fault: 1 },
    }
}

/// An operation, format and immediate in a word.
pub fn pack_fp(op: FpOp, fmt: Fmt, imm: u32) -> u64 {
    let fmt = match fmt {
        Fmt::F16 => 0,
        Fmt::F32 => 1,
        Fmt::F64 => 2,
    };
    op as u64 | fmt << 8 | (imm as u64) << 32
}

extern "C" fn fp<T: Target>(core: &mut Core<T>, desc: u64, a: u64, b: u64, c: u64) -> u64 {
    let Some(&op) = FpOp::ALL.get((desc & 0xff) as usize) else { return 0 };
    let fmt = [Fmt::F16, Fmt::F32, Fmt::F64, Fmt::F64][(desc >> 8 & 3) as usize];
    let imm = (desc >> 32) as u32;
    match core.fp_fast(op, fmt, imm, [a, b, c]) {
        Some(r) => r,
        None => core.fp_exact(op, fmt, imm, a, b, c),
    }
}

/// An operation, lane size and immediate in a word.
pub fn pack_vector(op: XOp, esize: u8, imm: u32) -> u64 {
    op as u64 | (esize as u64) << 16 | (imm as u64) << 32
}

/// Operands in `scratch` words 0 to 5, the result in 0 and 1.
extern "C" fn vector<T: Target>(core: &mut Core<T>, desc: u64) {
    let Some(&op) = XOp::ALL.get((desc & 0xffff) as usize) else { return };
    let s = core.run.scratch;
    let x = |i: usize| s[i] as u128 | (s[i + 1] as u128) << 64;
    let r = core.vector(op, (desc >> 16) as u8, (desc >> 32) as u32, x(0), x(2), x(4));
    core.run.scratch[0] = r as u64;
    core.run.scratch[1] = (r >> 64) as u64;
}

const BINS: [Bin; 8] = [Bin::Crc32B, Bin::Crc32H, Bin::Crc32W, Bin::Crc32X, Bin::Crc32CB, Bin::Crc32CH, Bin::Crc32CW, Bin::Crc32CX];

/// The number of a primitive for [`number::BIN`].
pub fn bin_number(op: Bin) -> Option<u64> {
    BINS.iter().position(|&b| b == op).map(|n| n as u64)
}

extern "C" fn bin(op: u64, a: u64, b: u64) -> u64 {
    BINS[op as usize % BINS.len()].eval(W::W64, a, b)
}

extern "C" fn nzcv(code: u64, a: u64, b: u64) -> u64 {
    lazy::nzcv(code, a, b)
}

/// The entry points for cores of target `T`.
pub struct Thunks([u64; number::COUNT]);

impl Thunks {
    /// The table's address, for `run.thunks`.
    pub fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }

    /// Address of the exit stub.
    pub fn exit(&self) -> u64 {
        self.0[number::EXIT]
    }
}

#[cfg(target_arch = "x86_64")]
impl Thunks {
    /// The table.
    pub fn new<T: Target>() -> Thunks {
        const { assert!(offset_of!(Core<T>, regs) == 0 && offset_of!(Core<T>, run) == RUN) };
        let mut t = [0; number::COUNT];
        t[number::MEMORY] = host::memory as *const () as u64;
        t[number::HELPER] = host::helper as *const () as u64;
        t[number::FP] = fp::<T> as *const () as u64;
        t[number::VECTOR] = vector::<T> as *const () as u64;
        t[number::BIN] = bin as *const () as u64;
        t[number::NZCV] = nzcv as *const () as u64;
        t[number::ENTER] = host::enter as *const () as u64;
        t[number::EXIT] = host::exit as *const () as u64;
        t[number::MEMORY_RUST] = memory::<T> as *const () as u64;
        t[number::HELPER_RUST] = helper::<T> as *const () as u64;
        Thunks(t)
    }

    /// Runs compiled code at `entry` until it leaves; gives the reason's number.
    pub fn enter<T: Target>(&self, core: &mut Core<T>, entry: u64) -> u64 {
        core.run.thunks = self.address();
        let core: *mut Core<T> = core;
        // SAFETY: `entry` is compiled code that the caller keeps alive, or the exit stub; it takes
        // the core in the first argument, writes only to the core and to guest memory that the
        // core's TLB vouches for, and `host::enter` keeps the registers that its caller owns.
        unsafe { host::enter(core.cast(), entry) }
    }
}

#[cfg(target_arch = "x86_64")]
mod host {
    use super::*;
    use std::arch::naked_asm;

    const STACK: usize = RUN + offset_of!(Run, host_stack);
    const THUNKS: usize = RUN + offset_of!(Run, thunks);

    /// Core and code address to the reason's number.
    #[unsafe(naked)]
    pub unsafe extern "C" fn enter(core: *mut u8, entry: u64) -> u64 {
        naked_asm!(
            "push rbp", "push rbx", "push r12", "push r13", "push r14", "push r15", "sub rsp, 8",
            "mov [rdi + {stack}], rsp",
            "call rsi",
            "add rsp, 8", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
            "ret",
            stack = const STACK,
        )
    }

    /// What a jump to an uncompiled block goes to; the pc slot has been written.
    #[unsafe(naked)]
    pub extern "C" fn exit() {
        // Left::Unlinked.
        naked_asm!("xor eax, eax", "ret")
    }

    /// Leaves compiled code with Left::Fault, dropping its frames; the core is in rdi.
    #[unsafe(naked)]
    extern "C" fn leave() {
        naked_asm!(
            "mov rsp, [rdi + {stack}]",
            "mov eax, 3",
            "add rsp, 8", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
            "ret",
            stack = const STACK,
        )
    }

    /// Keeps every register around the slow path in Rust.
    #[unsafe(naked)]
    pub extern "C" fn memory() {
        naked_asm!(
            "push rdi", "push rax", "push rcx", "push rdx", "push rsi", "push r8", "push r9", "push r10", "push r11",
            "sub rsp, 256",
            "movups [rsp], xmm0", "movups [rsp + 16], xmm1", "movups [rsp + 32], xmm2", "movups [rsp + 48], xmm3",
            "movups [rsp + 64], xmm4", "movups [rsp + 80], xmm5", "movups [rsp + 96], xmm6", "movups [rsp + 112], xmm7",
            "movups [rsp + 128], xmm8", "movups [rsp + 144], xmm9", "movups [rsp + 160], xmm10", "movups [rsp + 176], xmm11",
            "movups [rsp + 192], xmm12", "movups [rsp + 208], xmm13", "movups [rsp + 224], xmm14", "movups [rsp + 240], xmm15",
            "mov rax, [rdi + {thunks}]",
            "call [rax + {rust}]",
            "test rax, rax",
            "jnz 2f",
            "movups xmm0, [rsp]", "movups xmm1, [rsp + 16]", "movups xmm2, [rsp + 32]", "movups xmm3, [rsp + 48]",
            "movups xmm4, [rsp + 64]", "movups xmm5, [rsp + 80]", "movups xmm6, [rsp + 96]", "movups xmm7, [rsp + 112]",
            "movups xmm8, [rsp + 128]", "movups xmm9, [rsp + 144]", "movups xmm10, [rsp + 160]", "movups xmm11, [rsp + 176]",
            "movups xmm12, [rsp + 192]", "movups xmm13, [rsp + 208]", "movups xmm14, [rsp + 224]", "movups xmm15, [rsp + 240]",
            "add rsp, 256",
            "pop r11", "pop r10", "pop r9", "pop r8", "pop rsi", "pop rdx", "pop rcx", "pop rax", "pop rdi",
            "ret",
            "2: mov rdi, [rsp + 320]",
            "jmp {leave}",
            thunks = const THUNKS,
            rust = const number::MEMORY_RUST * 8,
            leave = sym leave,
        )
    }

    /// Calls a helper; its result is in rax.
    #[unsafe(naked)]
    pub extern "C" fn helper() {
        naked_asm!(
            "push rdi",
            "mov rax, [rdi + {thunks}]",
            "call [rax + {rust}]",
            "pop rdi",
            "test rdx, rdx",
            "jnz {leave}",
            "ret",
            thunks = const THUNKS,
            rust = const number::HELPER_RUST * 8,
            leave = sym leave,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_unpack_to_what_was_packed() {
        for kind in [Kind::Load, Kind::Store, Kind::Cas, Kind::Rmw(Rmw::Swap), Kind::Rmw(Rmw::UMin)] {
            for size in 0..4 {
                for extend in [Extend::Zero, Extend::Sign32, Extend::Sign64] {
                    for order in [Order::Plain, Order::Acquire, Order::Release] {
                        let m = Mem { size, extend, order, unprivileged: size == 1, align: 1 << size, big: size == 2 };
                        assert_eq!(unpack(pack(kind, m)), (kind, m));
                    }
                }
            }
        }
    }
}
