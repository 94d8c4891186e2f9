//! A device's view of the world while it is being entered.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Locked, Slot, World};
use crate::address_space::Mapping;
use crate::builder::Backend;
use crate::device::{Bus, Direct, Services, SystemRequest, WindowKind};
use crate::machine::{FRAME_ROOM, Machine, count};
use crate::port::BlockPort;
use crate::types::{BusFault, CoreId, Ns, Width, Window};

/// Reports of one kind that one device may log before only each doubling is logged.
const LOGGED: u64 = 16;

/// Does one piece of a DMA access: with what answers there, and which of the bytes they are.
type DmaPiece<'f, C> = dyn FnMut(&mut C, Mapping<'_>, Range<usize>) -> Result<(), BusFault> + 'f;

/// A device's view of the world while it is being entered.
pub(super) struct Cx<'a> {
    pub(super) machine: &'a Machine,
    pub(super) world: &'a mut World,
    pub(super) me: usize,
    pub(super) requester: Option<CoreId>,
}

impl Cx<'_> {
    fn slot(&mut self) -> &mut Slot {
        &mut self.world.slots[self.me]
    }

    fn bus(&mut self) -> Locked<'_> {
        Locked { machine: self.machine, world: self.world }
    }

    /// Should the n-th report of a device be logged? The first ones, then each power of two.
    fn logs(n: u64) -> bool {
        n <= LOGGED || n.is_power_of_two()
    }

    /// Calls `f` for each piece of `len` bytes at `phys` with what answers there.
    fn dma(&mut self, phys: u64, len: usize, f: &mut DmaPiece<'_, Self>) -> Result<(), BusFault> {
        let space = self.machine.space.load();
        let mut done = 0;
        while done < len {
            let at = phys.checked_add(done as u64).ok_or(BusFault::Unmapped)?;
            let mapping = space.find(at).ok_or(BusFault::Unmapped)?;
            let (Mapping::Ram { len_left, .. } | Mapping::Device { len_left, .. }) = mapping;
            let mut n = (len - done).min(usize::try_from(len_left).unwrap_or(usize::MAX));
            if !matches!(mapping, Mapping::Ram { read_only: false, .. }) {
                // One access to a device: the widest aligned one that fits.
                let fits = |w: &Width| w.bytes() as usize <= n && at.is_multiple_of(w.bytes().into());
                n = Width::ALL.into_iter().rev().find(fits).map_or(1, |w| w.bytes() as usize);
            }
            f(self, mapping, done..done + n)?;
            done += n;
        }
        Ok(())
    }
}

fn width_of(bytes: usize) -> Result<Width, BusFault> {
    Width::from_bytes(bytes as u64).ok_or(BusFault::BadWidth)
}

impl Services for Cx<'_> {
    fn now(&self) -> Ns {
        self.machine.clock.now()
    }

    fn requester(&self) -> Option<CoreId> {
        self.requester
    }

    fn set_pin(&mut self, pin: usize, level: bool) {
        let machine = self.machine;
        let Some(output) = self.slot().outputs.get_mut(pin) else { return };
        if *output == level {
            return;
        }
        *output = level;
        for sink in &machine.infos[self.me].sinks[pin] {
            self.world.drive(machine, *sink, level);
        }
    }

    fn input(&self, pin: usize) -> bool {
        self.world.slots[self.me].drivers.get(pin).is_some_and(|n| *n != 0)
    }

    fn alarm(&mut self, slot: usize, at: Option<Ns>) {
        let me = self.me as u32;
        // The end of time never comes.
        let at = at.filter(|at| *at != u64::MAX);
        let Some(alarm) = self.slot().alarms.get_mut(slot) else { return };
        let before = std::mem::replace(alarm, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.world.alarms.remove(&(before, me, slot as u32));
        }
        if let Some(at) = at {
            self.world.alarms.insert((at, me, slot as u32));
        }
        self.bus().publish_alarm();
    }

    fn dma_read(&mut self, phys: u64, to: &mut [u8]) -> Result<(), BusFault> {
        self.dma(phys, to.len(), &mut |cx, mapping, range| match mapping {
            Mapping::Ram { region, offset, .. } => region.read(offset, &mut to[range]).map_err(|_| BusFault::Unmapped),
            Mapping::Device { target, offset, .. } => {
                let value = cx.bus().device_read(target, offset, width_of(range.len())?, None)?;
                let n = range.len();
                to[range].copy_from_slice(&value.to_le_bytes()[..n]);
                Ok(())
            }
        })
    }

    fn dma_write(&mut self, phys: u64, from: &[u8]) -> Result<(), BusFault> {
        if let Some(sent) = self.machine.message(phys, from) {
            return sent;
        }
        self.dma(phys, from.len(), &mut |cx, mapping, range| {
            let (target, offset) = match mapping {
                Mapping::Ram { writes_to: Some((target, offset)), .. } => (target, offset),
                Mapping::Ram { read_only: true, .. } => return Err(BusFault::ReadOnly),
                Mapping::Ram { region, offset, .. } => {
                    return region.write(offset, &from[range]).map_err(|_| BusFault::Unmapped);
                }
                Mapping::Device { target, offset, .. } => (target, offset),
            };
            let mut bytes = [0; 8];
            let width = width_of(range.len())?;
            bytes[..range.len()].copy_from_slice(&from[range]);
            cx.bus().device_write(target, offset, width, u64::from_le_bytes(bytes), None)
        })
    }

    fn dma_load(&mut self, phys: u64, width: Width) -> Result<u64, BusFault> {
        let n = width.bytes() as usize;
        if !phys.is_multiple_of(n as u64) {
            return Err(BusFault::Unaligned);
        }
        let space = self.machine.space.load();
        if let Some(Mapping::Ram { region, offset, len_left, .. }) = space.find(phys)
            && len_left >= n as u64
            && let Ok(value) = region.load(offset, width.bytes())
        {
            std::sync::atomic::fence(Ordering::Acquire);
            return Ok(value);
        }
        let mut bytes = [0; 8];
        self.dma_read(phys, &mut bytes[..n])?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn dma_store(&mut self, phys: u64, width: Width, value: u64) -> Result<(), BusFault> {
        let n = width.bytes() as usize;
        if !phys.is_multiple_of(n as u64) {
            return Err(BusFault::Unaligned);
        }
        let space = self.machine.space.load();
        if let Some(Mapping::Ram { region, offset, len_left, read_only: false, .. }) = space.find(phys)
            && len_left >= n as u64
        {
            std::sync::atomic::fence(Ordering::Release);
            if region.store(offset, width.bytes(), value).is_ok() {
                return Ok(());
            }
        }
        self.dma_write(phys, &value.to_le_bytes()[..n])
    }

    fn send(&mut self, port: usize, bytes: &[u8]) -> usize {
        match self.machine.backend(self.me, port) {
            Some(Backend::Char(to)) => to.send(bytes).min(bytes.len()),
            _ => bytes.len(),
        }
    }

    fn send_frame(&mut self, port: usize, frame: &[u8]) -> bool {
        match self.machine.backend(self.me, port) {
            Some(Backend::Frame(to)) => {
                let (me, flow) = (self.me, &self.machine.flows[self.me][port]);
                to.send_frame(frame, &mut |answer| {
                    let room = flow.take(FRAME_ROOM, 1) == 1;
                    if room {
                        self.world.slots[me].backlog[port].frames.push_back(answer);
                        self.world.backlogged.insert(me);
                    }
                    room
                })
            }
            _ => false,
        }
    }

    fn block(&self, port: usize) -> Option<Arc<dyn BlockPort>> {
        match self.machine.backend(self.me, port) {
            Some(Backend::Block(image)) => Some(image.clone()),
            _ => None,
        }
    }

    fn is_bound(&self, port: usize) -> bool {
        self.machine.backend(self.me, port).is_some()
    }

    fn entropy(&mut self, to: &mut [u8]) {
        if let Some(host) = &self.machine.host_entropy {
            return host(to);
        }
        // SplitMix64: one word of state, passes the usual tests, and repeats with the seed. Guests
        // of a run that must repeat cannot have real entropy anyway.
        for chunk in to.chunks_mut(8) {
            self.world.entropy = self.world.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.world.entropy;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }

    fn system(&mut self, request: SystemRequest) {
        self.machine.request(request);
    }

    fn wall_clock(&self) -> u64 {
        self.machine.wall_base.load(Ordering::Relaxed).wrapping_add(self.now())
    }

    fn bus_read(&mut self, bus: Bus, at: u64, width: Width) -> Result<u64, BusFault> {
        let requester = self.requester;
        self.bus().bus_read(bus, at, width, requester)
    }

    fn bus_write(&mut self, bus: Bus, at: u64, width: Width, value: u64) -> Result<(), BusFault> {
        let requester = self.requester;
        self.bus().bus_write(bus, at, width, value, requester)
    }

    fn move_window(&mut self, w: Window, at: Option<u64>) -> Result<(), BusFault> {
        let decl = self.machine.infos[self.me].ty.windows.get(w.0).ok_or(BusFault::Unmapped)?;
        if matches!(decl.kind, WindowKind::Sysreg(_)) {
            return Err(BusFault::Denied);
        }
        self.world.move_window(self.machine, self.me, w.0, at)
    }

    fn set_direct(&mut self, w: Window, direct: Direct) {
        let region = self.machine.infos[self.me].backing.get(w.0).cloned().flatten();
        self.world.set_direct(self.machine, self.me, w.0, direct, region);
    }

    fn guest_error(&mut self, what: fmt::Arguments<'_>) {
        let slot = self.slot();
        slot.guest_errors += 1;
        let n = slot.guest_errors;
        count(&self.machine.counters.guest_errors);
        if Self::logs(n) {
            let name = &self.machine.infos[self.me].name;
            tracing::warn!(target: "guest_errors", "{name}: {what} (report {n})");
        }
    }

    fn unimplemented(&mut self, what: fmt::Arguments<'_>) {
        let slot = self.slot();
        slot.unimplemented += 1;
        let n = slot.unimplemented;
        count(&self.machine.counters.unimplemented);
        if Self::logs(n) {
            let name = &self.machine.infos[self.me].name;
            tracing::warn!(target: "unimp", "{name}: {what} (report {n})");
        }
    }
}
