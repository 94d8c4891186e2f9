//! Memory slots: what of the machine's address space the guest reaches without leaving KVM_RUN.
//!
//! A slot is a piece of the map that has memory behind it, as far as it is whole pages. What is
//! read-only, or has a device behind it that takes the writes, is a read-only slot: writes leave
//! KVM_RUN as those to devices do. The rest of the map has no slot.

use std::ops::Range;
use std::sync::Arc;

use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use proteus_model::{AddressSpace, Mapping};
use proteus_ram::{PAGE_SIZE, Region};

/// A slot.
#[derive(Clone)]
struct Slot {
    first: u64,
    len: u64,
    region: Arc<Region>,
    offset: u64,
    read_only: bool,
    logged: bool,
}

impl Slot {
    fn host(&self) -> u64 {
        self.region.host_address() as u64 + self.offset
    }

    fn is(&self, other: &Slot) -> bool {
        (self.first, self.len, self.host(), self.read_only) == (other.first, other.len, other.host(), other.read_only)
    }

    fn description(&self, number: usize, len: u64) -> kvm_userspace_memory_region {
        let flags = [(self.read_only, KVM_MEM_READONLY), (self.logged, KVM_MEM_LOG_DIRTY_PAGES)].iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum();
        kvm_userspace_memory_region { slot: number as u32, flags, guest_phys_addr: self.first, memory_size: len, userspace_addr: self.host() }
    }
}

/// The slots of a machine.
#[derive(Default)]
pub struct Slots {
    /// By number; `None` is free.
    slots: Vec<Option<Slot>>,
    /// Of the map that they were made from.
    generation: u64,
    logged: bool,
    read_only: bool,
    reserved: &'static [Range<u64>],
}

impl Slots {
    /// No slots yet; whether the host can make read-only ones. Where `reserved` is, which the kernel
    /// has for itself, are none: the guest may put a device's memory there.
    pub fn new(read_only: bool, reserved: &'static [Range<u64>]) -> Slots {
        Slots { read_only, reserved, ..Slots::default() }
    }

    /// Makes the slots those of the map.
    pub fn follow(&mut self, vm: &VmFd, space: &AddressSpace) -> Result<(), kvm_ioctls::Error> {
        if self.generation == space.generation() {
            return Ok(());
        }
        let mut wanted = pieces(space, self.logged);
        wanted.retain(|s| self.reserved.iter().all(|r| s.first + s.len <= r.start || r.end <= s.first));
        if !self.read_only {
            wanted.retain(|s| !s.read_only);
        }
        for number in 0..self.slots.len() {
            let Some(slot) = &self.slots[number] else { continue };
            match wanted.iter().position(|w| w.is(slot)) {
                Some(n) => drop(wanted.swap_remove(n)),
                None => {
                    set(vm, slot.description(number, 0))?;
                    self.slots[number] = None;
                }
            }
        }
        for slot in wanted {
            let number = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
            set(vm, slot.description(number, slot.len))?;
            if number == self.slots.len() {
                self.slots.push(None);
            }
            self.slots[number] = Some(slot);
        }
        self.generation = space.generation();
        Ok(())
    }

    /// Lets the kernel log which pages the guest writes, or no longer.
    pub fn log(&mut self, vm: &VmFd, on: bool) -> Result<(), kvm_ioctls::Error> {
        self.logged = on;
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot.as_mut().filter(|s| !s.read_only && s.logged != on) {
                slot.logged = on;
                set(vm, slot.description(number, slot.len))?;
            }
        }
        Ok(())
    }

    /// Marks what the guest has written since the last time in its memory's dirty bits.
    pub fn collect(&self, vm: &VmFd) -> Result<(), kvm_ioctls::Error> {
        for (number, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot.as_ref().filter(|s| s.logged) else { continue };
            let words = vm.get_dirty_log(number as u32, slot.len as usize)?;
            for (n, word) in words.into_iter().enumerate() {
                for bit in (0..64).filter(|bit| word & 1 << bit != 0) {
                    slot.region.mark_dirty(slot.offset + (n as u64 * 64 + bit) * PAGE_SIZE, PAGE_SIZE);
                }
            }
        }
        Ok(())
    }
}

/// The pieces of the map that can be slots.
fn pieces(space: &AddressSpace, logged: bool) -> Vec<Slot> {
    let mut out = Vec::new();
    for (first, last, region, offset) in space.ram() {
        let start = first.next_multiple_of(PAGE_SIZE);
        let end = last.saturating_add(1) & !(PAGE_SIZE - 1);
        let offset = offset + (start - first);
        if end <= start || !offset.is_multiple_of(PAGE_SIZE) {
            continue;
        }
        let read_only = matches!(space.find(start), Some(Mapping::Ram { read_only, writes_to, .. }) if read_only || writes_to.is_some());
        out.push(Slot { first: start, len: end - start, region: region.clone(), offset, read_only, logged: logged && !read_only });
    }
    out
}

fn set(vm: &VmFd, slot: kvm_userspace_memory_region) -> Result<(), kvm_ioctls::Error> {
    // SAFETY: the host addresses are those of a `Region`, which `Slots` keeps until the slot is gone
    // (or the machine with it), and `pieces` has taken from the map, whose pieces lie in their
    // regions. The guest's accesses are as concurrent as those of other cores, which is what regions
    // are made for.
    unsafe { vm.set_user_memory_region(slot) }
}
