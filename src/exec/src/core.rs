//! A core as every executor sees it: register words, what compiled code keeps beside them, the
//! software TLB, and the slow paths of memory access.

use crate::jump::JumpCache;
use crate::ops::{Extend, Mem, Order, Rmw};
use crate::system::System;
use crate::target::{Access, BusError, Target, Translation, WORDS};
use proteus_model::{AddressSpace, CoreId, CoreLines, Machine, Mapping, Width};
use proteus_ram::tlb::{HostPlace, PAGE_MASK, PAGE_SIZE, Tlb};
use std::sync::Arc;

/// What executors keep for themselves beside the register words. Compiled code reaches it by
/// offset from the core.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Run {
    /// Address of the instruction being interpreted, or of the one that called a helper.
    pub pc: u64,
    /// Address of the instruction after it.
    pub next_pc: u64,
    /// Where [`crate::Step::Jumped`] goes.
    pub target_pc: u64,
    /// Instructions that may still begin before the run loop looks; each block takes its length
    /// off on entry.
    pub budget: i64,
    /// Instructions of the current block that `budget` already counts but that have not begun,
    /// this one included; exact at exact helpers, device accesses and faults only.
    pub ahead: u64,
    /// Identifies translation mode and context together: what a virtual pc means.
    pub context: u64,
    /// Address of the jump cache's first entry, for compiled code.
    pub jumps: u64,
    /// Address of the executor's table of entry points for compiled code; 0 where none compiles.
    pub thunks: u64,
    /// Operands and results of the helpers that compiled code calls.
    pub scratch: [u64; 8],
    /// Host stack pointer at the entry of compiled code, to leave it from a slow path.
    pub host_stack: u64,
    /// Set by a compiled block's slow path that faulted: the exception is in `Core::pending`.
    pub faulted: u64,
    /// Non-zero where the instruction at `pc` is in a delay slot; exact where an exception is taken.
    pub slot: u64,
    /// The translation mode of the current block.
    pub mode: u16,
}

/// One core.
#[repr(C)]
pub struct Core<T: Target> {
    /// The register words; a target's tables give them names.
    pub regs: [u64; WORDS],
    /// What executors keep.
    pub run: Run,
    /// The software TLB.
    pub tlb: Tlb,
    /// Where the next block is, by virtual pc.
    pub jumps: JumpCache,
    /// The exception that the last [`crate::Step::Fault`] raised.
    pub pending: Option<T::Exception>,
    /// The core waits for an interrupt.
    pub halted: bool,
    /// The run loop must look at the state before the next block; [`Target::interrupt`] clears it.
    pub attention: bool,
    /// The slow path is making an unprivileged access: translation is for the lowest level.
    pub unprivileged_now: bool,
    /// The core gave up its turn (YIELD, WFE); the scheduler clears it.
    pub yielded: bool,
    /// The other cores' inboxes must be empty before the next block.
    pub wait_settled: bool,
    /// Every block must be decoded anew (breakpoint registers changed).
    pub forget_blocks: bool,
    /// What a debugger has set.
    pub debug: crate::debug::Debug,
    /// Who answers semihosting calls, where they are allowed.
    pub semihosting: Option<Arc<dyn crate::semihosting::Semihosting>>,
    /// The core is powered; a core that is off runs nothing until it is started.
    pub powered: bool,
    /// Instructions executed up to the last time `run.budget` was granted.
    pub retired: u64,
    /// What `run.budget` was granted as.
    pub granted: i64,
    /// Virtual time is made of executed instructions; the exact count matters.
    pub deterministic: Option<InstructionClock>,
    /// Ranges of guest physical memory (address, bytes) whose translations are to be dropped
    /// before the next block.
    pub stale: Vec<(u64, u64)>,
    /// What is fixed for this core: the model.
    pub target: T,
    /// Which core this is.
    pub id: CoreId,
    /// The machine it is part of.
    pub machine: Arc<Machine>,
    /// Its address space, as of the last look.
    pub space: Arc<AddressSpace>,
    /// Its interrupt lines and kick flag.
    pub lines: Arc<CoreLines>,
    /// The other cores.
    pub system: Arc<System>,
}

/// RAM or ROM behind an address: region, offset in it, and whether it is read-only.
type Memory = (Arc<proteus_ram::Region>, u64, bool);

/// How instructions become virtual time: `base` nanoseconds at instruction 0 of this core's turn.
#[derive(Clone, Copy, Debug)]
pub struct InstructionClock {
    /// Nanoseconds an instruction takes are 1 << shift.
    pub shift: u32,
    /// Virtual time when `retired` was `from`.
    pub base: u64,
    /// See `base`.
    pub from: u64,
}

impl<T: Target> Core<T> {
    /// A core in its reset state.
    pub fn new(id: CoreId, target: T, machine: Arc<Machine>, system: Arc<System>) -> Box<Core<T>> {
        let lines = machine.core_lines(id).cloned().unwrap_or_default();
        let space = machine.space();
        let mut core = Box::new(Core {
            regs: [0; WORDS],
            run: Run::default(),
            tlb: Tlb::new(),
            jumps: JumpCache::new(),
            pending: None,
            halted: false,
            attention: false,
            unprivileged_now: false,
            yielded: false,
            wait_settled: false,
            forget_blocks: false,
            debug: crate::debug::Debug::default(),
            semihosting: None,
            powered: false,
            retired: 0,
            granted: 0,
            deterministic: None,
            stale: Vec::new(),
            target,
            id,
            machine,
            space,
            lines,
            system,
        });
        core.run.jumps = core.jumps.address();
        T::reset(&mut core);
        core.resync();
        core
    }

    /// The register word at `slot`.
    #[inline(always)]
    pub fn word(&self, slot: crate::ops::Slot) -> u64 {
        self.regs[slot.0 as usize % WORDS]
    }

    /// The register word at `slot`, to write.
    #[inline(always)]
    pub fn word_mut(&mut self, slot: crate::ops::Slot) -> &mut u64 {
        &mut self.regs[slot.0 as usize % WORDS]
    }

    /// The program counter, current between blocks.
    pub fn pc(&self) -> u64 {
        self.word(T::LAYOUT.pc)
    }

    /// Whether the next instruction is in a delay slot.
    #[inline(always)]
    pub fn delay_pending(&self) -> bool {
        T::LAYOUT.delay.is_some_and(|d| self.word(d.pending) != 0)
    }

    /// Ends a delay slot; gives where control goes after it.
    #[inline(always)]
    pub(crate) fn end_delay(&mut self) -> u64 {
        let Some(d) = T::LAYOUT.delay else { return 0 };
        *self.word_mut(d.pending) = 0;
        self.word(d.target)
    }

    /// Brings mode and context up to date after a change of the state that they depend on.
    pub fn resync(&mut self) {
        let mode = T::mode(self);
        let id = self.tlb.select(T::context(self));
        self.run.mode = mode;
        self.run.context = (id as u64) << 16 | mode as u64;
    }

    /// Instructions that this core has executed.
    pub fn executed(&self) -> u64 {
        self.retired + (self.granted - self.run.budget) as u64 - self.run.ahead
    }

    /// Makes the machine's virtual clock exact for this instruction, in deterministic runs.
    #[inline]
    pub fn sync_time(&mut self) {
        if let Some(c) = self.deterministic {
            let ns = c.base + ((self.executed() - c.from) << c.shift);
            self.machine.clock().set(ns);
        }
    }

    /// Virtual time in nanoseconds, exact for this instruction.
    #[inline]
    pub fn now(&mut self) -> u64 {
        self.sync_time();
        self.machine.clock().now()
    }

    /// Whether a run ends at exactly the instruction that it was granted.
    #[inline(always)]
    pub(crate) fn exact(&self) -> bool {
        self.deterministic.is_some() || self.debug.stepping
    }

    /// Gives back what is left of the budget: the next block does not fit it.
    pub(crate) fn use_up_budget(&mut self) {
        self.stop_soon();
    }

    /// Makes the run loop look after the current block, without disturbing the count of executed
    /// instructions.
    pub fn stop_soon(&mut self) {
        if self.run.budget > 0 {
            self.granted -= self.run.budget;
            self.run.budget = 0;
        }
    }

    /// After something that may have set an alarm: in deterministic runs the alarm must find the
    /// core at its exact instruction, so no more are begun than there is time for.
    pub fn limit_to_alarm(&mut self) {
        let Some(c) = self.deterministic else { return };
        let Some(at) = self.machine.next_alarm() else { return };
        let now = c.base + ((self.executed() - c.from) << c.shift);
        let left = at.saturating_sub(now).div_ceil(1 << c.shift);
        // What is left of the current block, this instruction too, runs in any case.
        let after = i64::try_from(left).unwrap_or(i64::MAX).saturating_sub(self.run.ahead as i64).max(0);
        if self.run.budget > after {
            self.granted -= self.run.budget - after;
            self.run.budget = after;
        }
    }

    /// Raises `exception` from an executor's primitive.
    #[cold]
    pub fn raise(&mut self, exception: T::Exception) -> Fault {
        self.pending = Some(exception);
        Fault
    }

    /// After an access to a device, which may have changed what answers where (a flash that begins
    /// to show its status, a moved window): the next instruction already meets the new map.
    fn follow_map(&mut self) {
        if self.machine.space_generation() == self.space.generation() {
            return;
        }
        self.space = self.machine.space();
        self.tlb.flush(|_| true);
        self.forget_blocks = true;
        self.stop_soon();
    }

    /// The region and offset of guest physical `phys`, where RAM or ROM is.
    fn ram_at(&self, phys: u64) -> Option<Memory> {
        match self.space.find(phys)? {
            Mapping::Ram { region, offset, read_only, .. } => Some((region.clone(), offset, read_only)),
            _ => None,
        }
    }

    /// Does a device take the writes to the memory at guest physical `phys`?
    fn written_by_device(&self, phys: u64) -> bool {
        matches!(self.space.find(phys), Some(Mapping::Ram { writes_to: Some(_), .. }))
    }

    /// The guest physical address of the instruction at `pc`, entered in the TLB.
    pub fn fetch(&mut self, pc: u64) -> Result<u64, T::Exception> {
        if let Some(phys) = self.tlb.fetch(pc) {
            return Ok(phys);
        }
        let t = T::translate(self, pc, Access::Fetch, false);
        match &t {
            Ok(t) => tracing::trace!(target: "mmu", "CPU#{}: Fetch {pc:016x} -> {:016x}, page {:#x}", self.id.0, t.phys, t.size),
            Err(e) => tracing::trace!(target: "mmu", "CPU#{}: Fetch {pc:016x} -> {e:?}", self.id.0),
        }
        let t = t?;
        self.tlb.fill_fetch(pc, t.phys & PAGE_MASK, t.size);
        Ok(t.phys)
    }

    /// Translates, checks alignment, and enters RAM pages in the TLB.
    fn resolve(&mut self, address: u64, m: Mem, access: Access) -> Result<(Translation, Option<Memory>), T::Exception> {
        let t = T::translate(self, address, access, m.unprivileged);
        match &t {
            Ok(t) => tracing::trace!(target: "mmu", "CPU#{}: {access:?} {address:016x} -> {:016x}, page {:#x}", self.id.0, t.phys, t.size),
            Err(e) => tracing::trace!(target: "mmu", "CPU#{}: {access:?} {address:016x} -> {e:?}", self.id.0),
        }
        let t = t?;
        let watched = self.debug.watches_page(address);
        if watched && self.watched(address, m, access) {
            // Any exception: the debugger's stop comes before it.
            return Err(T::bus_error(self, address, access, BusError::External));
        }
        if t.device && !address.is_multiple_of(m.bytes()) {
            return Err(T::bus_error(self, address, access, BusError::Alignment));
        }
        let ram = self.ram_at(t.phys);
        if let Some((region, offset, read_only)) = &ram {
            let mut write = access == Access::Write && t.write && !read_only;
            if write {
                region.mark_dirty(*offset & PAGE_MASK, PAGE_SIZE);
                write = !region.is_code(*offset / PAGE_SIZE);
            }
            // Device memory keeps the slow path: its alignment rule is checked there.
            if !t.device && !watched {
                self.tlb.fill_data(address, region, *offset, t.read, write, t.size);
            }
        }
        Ok((t, ram))
    }

    fn check_alignment(&mut self, address: u64, m: Mem, access: Access) -> Result<(), T::Exception> {
        if m.align > 1 && !address.is_multiple_of(m.align as u64) {
            return Err(T::bus_error(self, address, access, BusError::Alignment));
        }
        Ok(())
    }

    /// Loads with all checks, outside the fast path. The value is zero-extended, in host order.
    #[cold]
    #[inline(never)]
    pub fn load_slow(&mut self, address: u64, m: Mem) -> Result<u64, T::Exception> {
        self.check_alignment(address, m, Access::Read)?;
        if m.unprivileged {
            return self.unprivileged(|core| core.load_slow(address, Mem { unprivileged: false, ..m }));
        }
        if (address & !PAGE_MASK) + m.bytes() > PAGE_SIZE {
            return self.load_across(address, m);
        }
        if self.tlb.refill(address, false)
            && let Some(value) = self.load_fast(address, m)
        {
            return Ok(value);
        }
        let (t, ram) = self.resolve(address, m, Access::Read)?;
        let value = match ram {
            Some((region, offset, _)) => HostPlace::new(&region, offset).and_then(|p| p.load(m.bytes())).ok_or(BusError::External),
            None => {
                self.sync_time();
                let value = self.machine.read(self.id, t.phys, width(m)).map_err(|_| BusError::External);
                self.follow_map();
                value
            }
        };
        value.map_err(|e| T::bus_error(self, address, Access::Read, e))
    }

    /// Stores with all checks, outside the fast path.
    #[cold]
    #[inline(never)]
    pub fn store_slow(&mut self, address: u64, m: Mem, value: u64) -> Result<(), T::Exception> {
        self.check_alignment(address, m, Access::Write)?;
        if m.unprivileged {
            return self.unprivileged(|core| core.store_slow(address, Mem { unprivileged: false, ..m }, value));
        }
        if (address & !PAGE_MASK) + m.bytes() > PAGE_SIZE {
            return self.store_across(address, m, value);
        }
        if self.tlb.refill(address, true) && self.store_fast(address, m, value) {
            return Ok(());
        }
        let (t, ram) = self.resolve(address, m, Access::Write)?;
        let done = match ram {
            // As on the real part, a write to a read-only memory has no effect, unless a device
            // stands behind it, as behind a flash that shows its contents.
            Some((_, _, true)) if !self.written_by_device(t.phys) => Ok(()),
            Some((region, offset, false)) => {
                if region.is_code(offset / PAGE_SIZE) {
                    self.code_written(t.phys, m.bytes());
                }
                HostPlace::new(&region, offset).and_then(|p| p.store(m.bytes(), value)).ok_or(BusError::External)
            }
            _ => {
                self.sync_time();
                let done = self.machine.write(self.id, t.phys, width(m), value).map_err(|_| BusError::External);
                self.follow_map();
                // The device may have written memory that has code, or raised our interrupt line.
                if self.system.has_mail(self.id) || self.lines.pins() != 0 {
                    self.stop_soon();
                } else {
                    self.limit_to_alarm();
                }
                done
            }
        };
        done.map_err(|e| T::bus_error(self, address, Access::Write, e))
    }

    /// Runs `f` with the unprivileged context's TLB slot selected.
    fn unprivileged<Out>(&mut self, f: impl FnOnce(&mut Self) -> Out) -> Out {
        self.tlb.select(T::unprivileged_context(self));
        self.unprivileged_now = true;
        let r = f(self);
        self.unprivileged_now = false;
        self.tlb.select(T::context(self));
        r
    }

    /// A load over a page boundary: both pages are translated before a byte is read.
    fn load_across(&mut self, address: u64, m: Mem) -> Result<u64, T::Exception> {
        let byte = Mem { size: 0, order: Order::Plain, align: 0, ..m };
        for a in [address, (address | !PAGE_MASK).wrapping_add(1)] {
            let t = T::translate(self, a, Access::Read, m.unprivileged)?;
            if t.device {
                return Err(T::bus_error(self, address, Access::Read, BusError::Alignment));
            }
        }
        let mut value = 0;
        for i in 0..m.bytes() {
            value |= self.load_slow(address.wrapping_add(i), byte)? << (8 * i);
        }
        Ok(value)
    }

    /// A store over a page boundary: both pages are translated before a byte is written.
    fn store_across(&mut self, address: u64, m: Mem, value: u64) -> Result<(), T::Exception> {
        let byte = Mem { size: 0, order: Order::Plain, align: 0, ..m };
        for a in [address, (address | !PAGE_MASK).wrapping_add(1)] {
            let t = T::translate(self, a, Access::Write, m.unprivileged)?;
            if t.device {
                return Err(T::bus_error(self, address, Access::Write, BusError::Alignment));
            }
        }
        for i in 0..m.bytes() {
            self.store_slow(address.wrapping_add(i), byte, value >> (8 * i))?;
        }
        Ok(())
    }

    /// Notes that `bytes` at `phys`, in a page with code, are being written.
    fn code_written(&mut self, phys: u64, bytes: u64) {
        self.stale.push((phys, bytes));
        // Compiled code is left before its next block; the interpreter does the same, so that a
        // turn ends at the same instruction whoever runs it.
        self.stop_soon();
        self.system.code_written(self.id, phys, bytes);
    }

    /// The host place of an aligned atomic access, with write permission checked; `None` where a
    /// device is.
    fn atomic_place(&mut self, address: u64, m: Mem) -> Result<Option<HostPlace>, T::Exception> {
        let m = Mem { align: m.align.max(m.bytes() as u8), ..m };
        self.check_alignment(address, m, Access::Write)?;
        let (t, ram) = self.resolve(address, m, Access::Write)?;
        let Some((region, offset, false)) = ram else { return Ok(None) };
        if region.is_code(offset / PAGE_SIZE) {
            self.code_written(t.phys, m.bytes());
        }
        Ok(HostPlace::new(&region, offset))
    }

    /// Atomic read-modify-write with all checks. On a device it is a read and a write.
    #[inline]
    pub fn rmw(&mut self, op: Rmw, address: u64, m: Mem, operand: u64) -> Result<u64, T::Exception> {
        if !m.unprivileged
            && !m.big
            && let Some(old) = self.tlb.rmw(op, address, m.bytes(), operand)
        {
            return Ok(old);
        }
        if m.big {
            return self.rmw_big(op, address, m, operand);
        }
        match self.atomic_place(address, m)?.and_then(|p| p.rmw(op, m.bytes(), operand)) {
            Some(old) => Ok(old),
            None => {
                let old = self.load_slow(address, m)?;
                self.store_slow(address, m, rmw_value(op, m, old, operand))?;
                Ok(old)
            }
        }
    }

    /// As [`Core::rmw`] on big-endian data: a loop around compare-and-swap.
    fn rmw_big(&mut self, op: Rmw, address: u64, m: Mem, operand: u64) -> Result<u64, T::Exception> {
        loop {
            let old = swap(m, self.load_slow(address, m)?);
            let new = rmw_value(op, m, old, operand);
            if self.compare_swap(address, m, old, new)? == old {
                return Ok(old);
            }
        }
    }

    /// Atomic compare-and-swap with all checks; gives the old value.
    #[inline]
    pub fn compare_swap(&mut self, address: u64, m: Mem, expected: u64, new: u64) -> Result<u64, T::Exception> {
        let (expected, new) = (swap(m, expected), swap(m, new));
        if !m.unprivileged
            && let Some(old) = self.tlb.compare_swap(address, m.bytes(), expected, new)
        {
            return Ok(swap(m, old));
        }
        let old = match self.atomic_place(address, m)?.and_then(|p| p.compare_swap(m.bytes(), expected, new)) {
            Some(old) => old,
            None => {
                let old = self.load_slow(address, m)?;
                if old == expected {
                    self.store_slow(address, m, new)?;
                }
                old
            }
        };
        Ok(swap(m, old))
    }

    /// Atomic compare-and-swap of 16 bytes, little-endian; gives the old value.
    pub fn compare_swap16(&mut self, address: u64, expected: u128, new: u128) -> Result<u128, T::Exception> {
        let m = Mem { align: 16, ..Mem::plain(3) };
        self.check_alignment(address, m, Access::Write)?;
        match self.atomic_place(address, m)?.and_then(|p| p.compare_swap16(expected, new)) {
            Some(old) => Ok(old),
            None => Err(T::bus_error(self, address, Access::Write, BusError::External)),
        }
    }

    /// A load that only asks the TLB's tables.
    #[inline(always)]
    fn load_fast(&self, address: u64, m: Mem) -> Option<u64> {
        match m.size {
            0 => self.tlb.load::<u8>(address).map(u64::from),
            1 => self.tlb.load::<u16>(address).map(u64::from),
            2 => self.tlb.load::<u32>(address).map(u64::from),
            _ => self.tlb.load::<u64>(address),
        }
    }

    /// A store that only asks the TLB's tables; false where they do not know.
    #[inline(always)]
    fn store_fast(&self, address: u64, m: Mem, value: u64) -> bool {
        match m.size {
            0 => self.tlb.store(address, value as u8),
            1 => self.tlb.store(address, value as u16),
            2 => self.tlb.store(address, value as u32),
            _ => self.tlb.store(address, value),
        }
    }

    /// Loads as the primitive says: byte order, sign.
    #[inline(always)]
    pub fn load(&mut self, address: u64, m: Mem) -> Result<u64, T::Exception> {
        let fast = if m.unprivileged || (m.align > 1 && !address.is_multiple_of(m.align as u64)) { None } else { self.load_fast(address, m) };
        let raw = match fast {
            Some(v) => v,
            None => self.load_slow(address, m)?,
        };
        Ok(extend(m, swap(m, raw)))
    }

    /// Stores as the primitive says.
    #[inline(always)]
    pub fn store(&mut self, address: u64, m: Mem, value: u64) -> Result<(), T::Exception> {
        if m.order == Order::Release {
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        }
        let value = swap(m, value);
        let fast = !(m.unprivileged || (m.align > 1 && !address.is_multiple_of(m.align as u64))) && self.store_fast(address, m, value);
        if !fast {
            self.store_slow(address, m, value)?;
        }
        if m.order == Order::Release {
            // A later load-acquire may not pass the release.
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        }
        Ok(())
    }

    /// Reads `bytes` at guest physical `phys` from RAM, for table walks; `None` outside RAM.
    #[inline]
    pub fn read_phys(&self, phys: u64, bytes: u64) -> Option<u64> {
        match self.space.find(phys)? {
            Mapping::Ram { region, offset, .. } => region.load(offset, bytes as u32).ok(),
            _ => None,
        }
    }

    /// Compare-and-swap of a 64-bit word in RAM, for hardware updates of tables; `None` where
    /// there is none to write.
    pub fn update_phys(&self, phys: u64, expected: u64, new: u64) -> Option<u64> {
        let (region, offset, read_only) = self.ram_at(phys)?;
        if read_only {
            return None;
        }
        region.mark_dirty(offset & PAGE_MASK, PAGE_SIZE);
        HostPlace::new(&region, offset)?.compare_swap(8, expected, new)
    }

    /// Drops TLB entries of this core: the contexts whose key, masked, equals `key`; one page or
    /// everything.
    pub fn flush_tlb(&mut self, f: crate::system::Flush) {
        match f.address {
            None => {
                self.tlb.flush(|k| k & f.mask == f.key);
            }
            Some(address) => {
                let mut a = address & PAGE_MASK;
                for _ in 0..f.pages.max(1) {
                    if self.tlb.flush_page(a, |k| k & f.mask == f.key) {
                        self.jumps.clear();
                    } else {
                        self.jumps.forget_page(a);
                    }
                    a = a.wrapping_add(PAGE_SIZE);
                }
            }
        }
        self.resync();
    }
}

/// Evidence that [`Core::pending`] holds an exception.
#[derive(Clone, Copy, Debug)]
pub struct Fault;

fn width(m: Mem) -> Width {
    match m.size {
        0 => Width::B1,
        1 => Width::B2,
        2 => Width::B4,
        _ => Width::B8,
    }
}

/// Cuts `v` to the access and puts it in the other byte order where the guest's data is
/// big-endian.
#[inline(always)]
pub(crate) fn swap(m: Mem, v: u64) -> u64 {
    if m.big { v.swap_bytes() >> (64 - 8 * m.bytes()) } else { v & (u64::MAX >> (64 - 8 * m.bytes())) }
}

/// Extends a loaded value as the access says.
#[inline(always)]
pub(crate) fn extend(m: Mem, v: u64) -> u64 {
    let shift = 64 - 8 * m.bytes() as u32;
    match m.extend {
        Extend::Zero => v,
        Extend::Sign64 => (((v << shift) as i64) >> shift) as u64,
        Extend::Sign32 => (((v << shift) as i64) >> shift) as u32 as u64,
    }
}

/// The value that a read-modify-write stores.
pub fn rmw_value(op: Rmw, m: Mem, old: u64, operand: u64) -> u64 {
    let sign = |v: u64| extend(Mem { extend: Extend::Sign64, ..m }, v) as i64;
    let cut = |v: u64| v & (u64::MAX >> (64 - 8 * m.bytes()));
    let (o, v) = (cut(old), cut(operand));
    cut(match op {
        Rmw::Swap => v,
        Rmw::Add => o.wrapping_add(v),
        Rmw::Clear => o & !v,
        Rmw::Xor => o ^ v,
        Rmw::Set => o | v,
        Rmw::SMax => sign(o).max(sign(v)) as u64,
        Rmw::SMin => sign(o).min(sign(v)) as u64,
        Rmw::UMax => o.max(v),
        Rmw::UMin => o.min(v),
    })
}
