//! All of a core's state, as the kernel takes it out and in.

use kvm_bindings::{Msrs, Xsave, kvm_debugregs, kvm_lapic_state, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave};
use kvm_ioctls::VcpuFd;
use proteus_x86::msrs;

use super::Vm;
use crate::{Error, Report};

/// A core's extended state (x87, SSE, AVX and what is behind them), an XSAVE area.
pub enum Extended {
    Short(Box<kvm_xsave>),
    Long(Xsave),
}

/// All of a core's state.
pub struct Saved {
    regs: kvm_regs,
    sregs: kvm_sregs,
    extended: Extended,
    xcrs: kvm_xcrs,
    msrs: Vec<(u32, u64)>,
    lapic: kvm_lapic_state,
    events: kvm_vcpu_events,
    debug: kvm_debugregs,
    run: kvm_mp_state,
}

impl Saved {
    /// Takes it out. The core must not owe the kernel an answer.
    pub fn of(core: &VcpuFd, vm: &Vm) -> Result<Saved, Error> {
        Ok(Saved {
            // First: it makes the kernel take note of start-up interrupts.
            run: core.get_mp_state().map_err(Error::refused("KVM_GET_MP_STATE"))?,
            regs: core.get_regs().map_err(Error::refused("KVM_GET_REGS"))?,
            sregs: core.get_sregs().map_err(Error::refused("KVM_GET_SREGS"))?,
            extended: Extended::of(core, vm.xsave)?,
            xcrs: core.get_xcrs().map_err(Error::refused("KVM_GET_XCRS"))?,
            msrs: read_msrs(core, &vm.msrs)?,
            lapic: core.get_lapic().map_err(Error::refused("KVM_GET_LAPIC"))?,
            events: core.get_vcpu_events().map_err(Error::refused("KVM_GET_VCPU_EVENTS"))?,
            debug: core.get_debug_regs().map_err(Error::refused("KVM_GET_DEBUGREGS"))?,
        })
    }

    /// Puts it back.
    pub fn restore(&self, core: &VcpuFd, report: &Report) -> Result<(), Error> {
        core.set_regs(&self.regs).map_err(Error::refused("KVM_SET_REGS"))?;
        core.set_sregs(&self.sregs).map_err(Error::refused("KVM_SET_SREGS"))?;
        // A host without XSAVE gives none, and takes none.
        if self.xcrs.nr_xcrs > 0 {
            core.set_xcrs(&self.xcrs).map_err(Error::refused("KVM_SET_XCRS"))?;
        }
        self.extended.restore(core)?;
        write_msrs(core, &self.msrs, report)?;
        // After the registers that say where it is and how it counts.
        core.set_lapic(&self.lapic).map_err(Error::refused("KVM_SET_LAPIC"))?;
        let deadline = |m: &&(u32, u64)| m.0 == msrs::TSC_DEADLINE;
        write_msrs(core, &self.msrs.iter().filter(deadline).copied().collect::<Vec<_>>(), report)?;
        core.set_mp_state(self.run).map_err(Error::refused("KVM_SET_MP_STATE"))?;
        core.set_debug_regs(&self.debug).map_err(Error::refused("KVM_SET_DEBUGREGS"))?;
        core.set_vcpu_events(&self.events).map_err(Error::refused("KVM_SET_VCPU_EVENTS"))
    }
}

impl Extended {
    /// Takes it out; `bytes` is the size of the area on this host.
    pub fn of(core: &VcpuFd, bytes: usize) -> Result<Extended, Error> {
        let short = size_of::<kvm_xsave>();
        if bytes <= short {
            return Ok(Extended::Short(Box::new(core.get_xsave().map_err(Error::refused("KVM_GET_XSAVE"))?)));
        }
        let mut area = Xsave::new((bytes - short).div_ceil(4)).map_err(|_| Error::Lacks("a size of XSAVE areas that fits (KVM_CAP_XSAVE2)"))?;
        // SAFETY: the area has the size that KVM_CAP_XSAVE2 tells, which the caller has asked for.
        unsafe { core.get_xsave2(&mut area) }.map_err(Error::refused("KVM_GET_XSAVE2"))?;
        Ok(Extended::Long(area))
    }

    fn words(&self) -> &[u32] {
        match self {
            Extended::Short(area) => &area.region,
            Extended::Long(area) => &area.as_fam_struct_ref().xsave.region,
        }
    }

    /// The first 4 KiB of the area.
    pub fn bytes(&self) -> Vec<u8> {
        self.words().iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Replaces the first 4 KiB of the area.
    pub fn set_bytes(&mut self, bytes: &[u8]) {
        let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        match self {
            Extended::Short(area) => area.region.iter_mut().zip(words).for_each(|(to, from)| *to = from),
            // SAFETY: only the area itself is written, and the length behind it stays.
            Extended::Long(area) => unsafe { area.as_mut_fam_struct() }.xsave.region.iter_mut().zip(words).for_each(|(to, from)| *to = from),
        }
    }

    /// Puts it back.
    pub fn restore(&self, core: &VcpuFd) -> Result<(), Error> {
        // SAFETY: the areas came from `of`, with the size that this host has; no feature that makes
        // them larger is enabled between.
        let result = unsafe {
            match self {
                Extended::Short(area) => core.set_xsave(area),
                Extended::Long(area) => core.set_xsave2(area),
            }
        };
        result.map_err(Error::refused("KVM_SET_XSAVE"))
    }
}

fn list(entries: &[kvm_msr_entry]) -> Result<Msrs, Error> {
    Msrs::from_entries(entries).map_err(|_| Error::Lacks("room for its own model-specific registers"))
}

/// Reads those that can be read.
fn read_msrs(core: &VcpuFd, numbers: &[u32]) -> Result<Vec<(u32, u64)>, Error> {
    let mut out = Vec::with_capacity(numbers.len());
    let mut left = numbers;
    while !left.is_empty() {
        let part = &left[..left.len().min(kvm_bindings::KVM_MAX_MSR_ENTRIES)];
        let entries: Vec<_> = part.iter().map(|index| kvm_msr_entry { index: *index, ..Default::default() }).collect();
        let mut msrs = list(&entries)?;
        let done = core.get_msrs(&mut msrs).map_err(Error::refused("KVM_GET_MSRS"))?.min(part.len());
        out.extend(msrs.as_slice()[..done].iter().map(|m| (m.index, m.data)));
        // It stops at the first that it refuses.
        left = &left[if done < part.len() { done + 1 } else { done }..];
    }
    Ok(out)
}

/// Writes them; says which ones the kernel refuses.
fn write_msrs(core: &VcpuFd, values: &[(u32, u64)], report: &Report) -> Result<(), Error> {
    let mut left = values;
    while !left.is_empty() {
        let part = &left[..left.len().min(kvm_bindings::KVM_MAX_MSR_ENTRIES)];
        let entries: Vec<_> = part.iter().map(|(index, data)| kvm_msr_entry { index: *index, data: *data, ..Default::default() }).collect();
        let done = core.set_msrs(&list(&entries)?).map_err(Error::refused("KVM_SET_MSRS"))?.min(part.len());
        left = &left[done..];
        if let Some(((number, value), rest)) = left.split_first().filter(|_| done < part.len()) {
            report(&format!("warning: this host's KVM refuses {} = {value:#x}", msrs::name(*number)));
            left = rest;
        }
    }
    Ok(())
}
