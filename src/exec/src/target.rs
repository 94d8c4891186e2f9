//! What a target (a guest architecture) tells the executors.

use crate::core::Core;
use crate::ops::Slot;
use crate::registers::Description;
use crate::scan::Seen;
use crate::vcpu::Facts;
use proteus_float::Env;

/// Words in a core's register state; a power of two, so that a slot needs no bounds check.
pub const WORDS: usize = 1024;

/// What the dispatcher learns from one interpreted instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Step {
    /// On to the next instruction.
    Next,
    /// Control goes to [`Core::target_pc`].
    Jumped,
    /// On to the next instruction after the run loop looked at the state again.
    Resync,
    /// A helper wrote the pc slot: look at the state again.
    Exit,
    /// An exception is in [`Core::pending`].
    Fault,
}

/// An instruction's function as the interpreter calls it: the core and the instruction word.
pub type Interpret<T> = fn(&mut Core<T>, u32) -> Step;

/// A helper: what is too rare or too wide for primitives (system registers, exclusives).
pub type HelperFn<T> = fn(&mut Core<T>, [u64; 4]) -> Result<u64, <T as Target>::Exception>;

/// Why memory is accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// A data read.
    Read,
    /// A data write (an atomic read-modify-write is one too).
    Write,
    /// An instruction fetch.
    Fetch,
}

/// A successful translation of a guest virtual address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// Guest physical address of the byte asked for.
    pub phys: u64,
    /// Reads are allowed.
    pub read: bool,
    /// Writes are allowed now (permission and, where the architecture has it, dirty state).
    pub write: bool,
    /// Bytes in the guest page or block that the translation came from.
    pub size: u64,
    /// The memory type is Device: unaligned accesses fault.
    pub device: bool,
}

/// Why an access to physical memory failed after translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BusError {
    /// Nothing answers there, or it refused: a synchronous external abort.
    External,
    /// The access is not aligned as it has to be.
    Alignment,
}

/// One decoded instruction.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<T: Target> {
    /// The instruction word, as its function expects it.
    pub word: u32,
    /// Bytes that the instruction takes.
    pub length: u8,
    /// Its function, for the interpreter.
    pub interpret: Interpret<T>,
    /// What the scanning executor saw.
    pub seen: Seen,
    /// Its function is not the one that its word decodes to (undefined for this model, a
    /// breakpoint, a step): only the interpreter runs it.
    pub special: bool,
}

/// The bit of the translation mode that says that the instruction, the first one of its block, is
/// in a delay slot. [`Target::mode`] sets it where [`DelaySlots::pending`] is not zero.
pub const MODE_SLOT: u16 = 1 << 15;

/// Where a target with delay slots keeps what is under way between a branch and its slot.
#[derive(Clone, Copy, Debug)]
pub struct DelaySlots {
    /// Non-zero while the next instruction is in a delay slot.
    pub pending: Slot,
    /// Where control goes after it.
    pub target: Slot,
}

/// When scalar floating point may take the host's arithmetic, which rounds to nearest and flushes
/// nothing, and what the guest is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostFloat {
    /// While the word is not zero: the guest's modes are the host's, NaNs are not made default ones,
    /// and the sticky inexact flag is set already, so that nothing is left to tell.
    Sticky(Slot),
    /// While the word `status` has none of the bits `not`: the guest's modes are the host's, and
    /// nothing traps. Each operation tells of itself: `status` gets the bits `inexact` from one
    /// whose result is.
    Exact {
        /// Control and status.
        status: Slot,
        /// What must be clear.
        not: u64,
        /// What an inexact result sets.
        inexact: u64,
    },
}

/// Where the state keeps what the generic primitives need.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Program counter; current only between blocks.
    pub pc: Slot,
    /// Operation the lazy condition flags are about; see [`crate::prim::lazy`].
    pub flag_op: Slot,
    /// Its first operand.
    pub flag_a: Slot,
    /// Its second operand.
    pub flag_b: Slot,
    /// When floating point may take the host's arithmetic.
    pub fp_fast: HostFloat,
    /// The words of delay slots, where the architecture has them.
    pub delay: Option<DelaySlots>,
}

/// A guest architecture. Everything is a function of the core's state; the value itself holds
/// what is fixed for a core (its model).
pub trait Target: Sized + Send + 'static {
    /// What an instruction can raise.
    type Exception: Send + Clone + std::fmt::Debug;

    /// Where the generic primitives find their state.
    const LAYOUT: Layout;
    /// The helpers, by [`crate::ops::Helper::index`].
    const HELPERS: &'static [HelperFn<Self>];

    /// Decodes the instruction at `pc`, in a delay slot where `mode` has [`MODE_SLOT`], from `bytes` (what is left of its page, at least two
    /// bytes). An undefined instruction decodes to one that raises the exception for it. `None`
    /// where the instruction runs on into the next page.
    fn decode(core: &Core<Self>, pc: u64, bytes: &[u8], mode: u16) -> Option<Decoded<Self>>;

    /// The bytes of the instruction `word` in memory, as [`Target::decode`] reads them.
    fn bytes_of(core: &Core<Self>, word: u32) -> [u8; 4];

    /// The translation mode: exactly the state that changes what instructions mean.
    fn mode(core: &Core<Self>) -> u16;
    /// The translation context: privilege and address space, as a key of the software TLB.
    fn context(core: &Core<Self>) -> u64;
    /// The context that unprivileged accesses use, where it differs.
    fn unprivileged_context(core: &Core<Self>) -> u64;

    /// Walks the guest's tables. `context` is one of the two above.
    fn translate(core: &mut Core<Self>, address: u64, access: Access, unprivileged: bool) -> Result<Translation, Self::Exception>;
    /// The guest physical address of a virtual one for a debugger: without side effects, and
    /// whatever the permissions are.
    fn debug_translate(core: &mut Core<Self>, address: u64) -> Option<u64> {
        let found = Self::translate(core, address, Access::Read, false).or_else(|_| Self::translate(core, address, Access::Fetch, false));
        found.ok().map(|t| t.phys)
    }
    /// The virtual address that a debugger with addresses of 32 bits means by `address`, where that is
    /// another one.
    fn sign_extended(_core: &Core<Self>, _address: u64) -> Option<u64> {
        None
    }
    /// The exception for a physical access that failed.
    fn bus_error(core: &mut Core<Self>, address: u64, access: Access, error: BusError) -> Self::Exception;

    /// Takes `exception`, raised by the instruction at `pc`: writes the state, the pc slot too.
    /// [`crate::Run::slot`] says whether that instruction is in a delay slot.
    fn take(core: &mut Core<Self>, exception: Self::Exception, pc: u64);
    /// The interrupt to take now, if any is pending and not masked.
    fn interrupt(core: &mut Core<Self>) -> Option<Self::Exception>;
    /// Whether something that ends a wait for interrupt is there.
    fn wakes(core: &Core<Self>) -> bool;

    /// The guest's floating-point modes, flags clear.
    fn fp_env(core: &Core<Self>) -> Env;
    /// Accumulates the flags of `env`, and vector saturation, in the guest's status register.
    fn fp_flags(core: &mut Core<Self>, env: &Env, saturated: bool);

    /// The registers, as debuggers see them.
    fn description(core: &Core<Self>) -> Description;
    /// The value of the register of that number of [`Target::description`]; `None` where there is
    /// none, or it cannot be read now.
    fn read_register(core: &mut Core<Self>, number: usize) -> Option<u128>;
    /// Sets a register; false where there is none, or it cannot be set.
    fn write_register(core: &mut Core<Self>, number: usize, value: u128) -> bool;

    /// What the architecture has to tell people of its state, in lines of text; `None` where it has
    /// nothing of the kind.
    fn facts(_core: &mut Core<Self>, _what: Facts) -> Option<String> {
        None
    }

    /// Puts the core into its reset state.
    fn reset(core: &mut Core<Self>);
    /// Starts a core that was off, as its firmware interface asks: entry point and one argument.
    fn start(core: &mut Core<Self>, entry: u64, argument: u64);
}
