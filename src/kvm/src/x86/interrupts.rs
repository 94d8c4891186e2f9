//! Interrupts that are not the local APICs' own: messages, and those of the interrupt controller at
//! line IRQ.

use std::os::fd::AsRawFd;

use kvm_bindings::{
    KVM_CAP_SPLIT_IRQCHIP, KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_enable_cap, kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_msi,
    kvm_msi,
};
use kvm_ioctls::{VcpuFd, VmFd};

/// In a message's data: level-triggered (SDM vol. 3, 11.11.2).
const LEVEL: u32 = 1 << 15;
/// In a message's data: the level is high.
const ASSERT: u32 = 1 << 14;

/// Lets the kernel have the local APICs, and us the rest; so many inputs have our I/O APICs.
pub fn split(vm: &VmFd, pins: u64) -> Result<(), kvm_ioctls::Error> {
    let mut cap = kvm_enable_cap { cap: KVM_CAP_SPLIT_IRQCHIP, ..Default::default() };
    cap.args[0] = pins;
    vm.enable_cap(&cap)
}

/// The messages that the kernel must know beforehand: the ends of interrupts that are
/// level-triggered are told to us for those only that are routes of our I/O APICs' inputs.
pub struct Messages {
    routes: Vec<(u64, u32)>,
    most: usize,
    /// The route that gives way when there are too many.
    oldest: usize,
    /// A refusal has been logged.
    complained: bool,
}

impl Messages {
    /// None yet; there may be so many.
    pub fn new(most: usize) -> Messages {
        Messages { routes: Vec::new(), most, oldest: 0, complained: false }
    }

    /// Sends one.
    pub fn send(&mut self, vm: &VmFd, address: u64, data: u32) {
        if data & LEVEL != 0
            && let Err(e) = self.announce(vm, address, data)
        {
            self.complain("KVM_SET_GSI_ROUTING", e);
        }
        let msi = kvm_msi { address_lo: address as u32, address_hi: (address >> 32) as u32, data, ..Default::default() };
        if let Err(e) = vm.signal_msi(msi) {
            self.complain("KVM_SIGNAL_MSI", e);
        }
    }

    fn announce(&mut self, vm: &VmFd, address: u64, data: u32) -> Result<(), kvm_ioctls::Error> {
        // Whether the level is high is no part of the route.
        let route = (address, data & !ASSERT);
        if self.routes.contains(&route) {
            return Ok(());
        }
        if self.routes.len() < self.most {
            self.routes.push(route);
        } else {
            self.routes[self.oldest] = route;
            self.oldest = (self.oldest + 1) % self.most;
        }
        let entries: Vec<_> = self.routes.iter().enumerate().map(|(gsi, r)| entry(gsi as u32, *r)).collect();
        match KvmIrqRouting::from_entries(&entries) {
            Ok(table) => vm.set_gsi_routing(&table),
            Err(_) => Ok(()),
        }
    }

    fn complain(&mut self, what: &str, e: kvm_ioctls::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::error!("{what}: {e}; interrupts may be lost");
        }
    }
}

fn entry(gsi: u32, (address, data): (u64, u32)) -> kvm_irq_routing_entry {
    let msi = kvm_irq_routing_msi { address_lo: address as u32, address_hi: (address >> 32) as u32, data, ..Default::default() };
    kvm_irq_routing_entry { gsi, type_: KVM_IRQ_ROUTING_MSI, u: kvm_irq_routing_entry__bindgen_ty_1 { msi }, ..Default::default() }
}

/// KVM_INTERRUPT, which kvm-ioctls has not: the number of a vector.
const KVM_INTERRUPT: libc::c_ulong = 0x4004_ae86;

/// Gives the core the vector of an interrupt that has been acknowledged.
pub fn inject(core: &VcpuFd, vector: u32) -> Result<(), std::io::Error> {
    // SAFETY: the file is a core's, and the kernel reads the four bytes of `struct kvm_interrupt`.
    let result = unsafe { libc::ioctl(core.as_raw_fd(), KVM_INTERRUPT, &vector) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
