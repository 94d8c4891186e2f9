//! Interrupts that are not the local APICs' own: messages, and those of the interrupt controller at
//! line IRQ.

use std::os::fd::AsRawFd;

use kvm_bindings::{
    KVM_CAP_SPLIT_IRQCHIP, KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_enable_cap, kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_msi,
    kvm_msi,
};
use kvm_ioctls::{Cap, VcpuFd, VmFd};
use vmm_sys_util::eventfd::EventFd;

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

/// Messages that the kernel knows: as routes of its table.
///
/// Of level-triggered ones the ends are told to us for those only that are routes of our I/O APICs'
/// inputs. One that is sent often gets a file that sends it (KVM_IRQFD).
pub struct Messages {
    /// The routes of the kernel's own controllers.
    chips: Vec<kvm_irq_routing_entry>,
    /// Those of level-triggered ones, and when each was sent last.
    levels: Vec<(Route, u64)>,
    /// Our I/O APICs' inputs, and most of `levels`.
    pins: usize,
    /// How many level-triggered ones have been sent.
    sent: u64,
    /// Those sent lately, and how often.
    counted: Vec<(Route, u32)>,
    /// Those with a file.
    files: Vec<(Route, EventFd)>,
    /// Most files; 0 where the host has none.
    most_files: usize,
    /// A refusal has been logged.
    complained: bool,
}

/// A message: address and data.
type Route = (u64, u32);

/// How often a message is sent before it gets a file: a change of the table stops all cores for a
/// moment.
const OFTEN: u32 = 16;
/// Most messages that are counted, and most files.
const COUNTED: usize = 32;
const FILES: usize = 64;

impl Messages {
    /// None yet; our I/O APICs have so many inputs, unless the kernel has them.
    pub fn new(vm: &VmFd, pins: usize, kernel_has_chips: bool) -> Messages {
        let files = vm.check_extension(Cap::Irqfd) && vm.check_extension(Cap::IrqRouting);
        let mut messages = Messages {
            chips: if kernel_has_chips { super::chips::routes() } else { Vec::new() },
            levels: Vec::new(),
            pins,
            sent: 0,
            counted: Vec::new(),
            files: Vec::new(),
            most_files: if files { FILES } else { 0 },
            complained: false,
        };
        if kernel_has_chips && let Err(e) = messages.publish(vm) {
            messages.complain("KVM_SET_GSI_ROUTING", e);
        }
        messages
    }

    /// Sends one.
    pub fn send(&mut self, vm: &VmFd, address: u64, data: u32) {
        let route = (address, data);
        if let Some((_, file)) = self.files.iter().find(|(r, _)| *r == route)
            && file.write(1).is_ok()
        {
            return;
        }
        if data & LEVEL == 0 {
            self.count(vm, route);
        } else if self.chips.is_empty()
            && let Err(e) = self.announce(vm, address, data)
        {
            self.complain("KVM_SET_GSI_ROUTING", e);
        }
        let msi = kvm_msi { address_lo: address as u32, address_hi: (address >> 32) as u32, data, ..Default::default() };
        if let Err(e) = vm.signal_msi(msi) {
            self.complain("KVM_SIGNAL_MSI", e);
        }
    }

    /// Counts a message, which gets a file when it has been sent often.
    fn count(&mut self, vm: &VmFd, route: Route) {
        if self.files.len() >= self.most_files {
            return;
        }
        let Some(n) = self.counted.iter().position(|(r, _)| *r == route) else {
            // The one counted last gives way: those before it are likelier to be sent again.
            self.counted.truncate(COUNTED - 1);
            return self.counted.push((route, 1));
        };
        self.counted[n].1 += 1;
        if self.counted[n].1 >= OFTEN {
            self.counted.swap_remove(n);
            if let Err(e) = self.give_file(vm, route) {
                // The others would be refused too.
                self.most_files = 0;
                self.complain("KVM_IRQFD", e);
            }
        }
    }

    fn give_file(&mut self, vm: &VmFd, route: Route) -> Result<(), kvm_ioctls::Error> {
        let file = EventFd::new(libc::EFD_NONBLOCK).map_err(|e| kvm_ioctls::Error::new(e.raw_os_error().unwrap_or(libc::EMFILE)))?;
        let gsi = self.pins + self.files.len();
        self.files.push((route, file));
        let result = self.publish(vm).and_then(|()| match self.files.last() {
            Some((_, file)) => vm.register_irqfd(file, gsi as u32),
            None => Ok(()),
        });
        if result.is_err() {
            self.files.pop();
        }
        result
    }

    fn announce(&mut self, vm: &VmFd, address: u64, data: u32) -> Result<(), kvm_ioctls::Error> {
        // Whether the level is high is no part of the route.
        let route = (address, data & !ASSERT);
        self.sent += 1;
        if let Some((_, last)) = self.levels.iter_mut().find(|(r, _)| *r == route) {
            *last = self.sent;
            return Ok(());
        }
        let new = (route, self.sent);
        if self.levels.len() < self.pins {
            self.levels.push(new);
        } else if let Some(oldest) = self.levels.iter_mut().min_by_key(|(_, last)| *last) {
            // The guest has changed its routes, and this one is likeliest to be out of service.
            *oldest = new;
        }
        self.publish(vm)
    }

    /// Gives the kernel the table.
    fn publish(&self, vm: &VmFd) -> Result<(), kvm_ioctls::Error> {
        let levels = self.levels.iter().enumerate().map(|(gsi, (route, _))| entry(gsi as u32, *route));
        let files = self.files.iter().enumerate().map(|(n, (route, _))| entry((self.pins + n) as u32, *route));
        let entries: Vec<_> = self.chips.iter().copied().chain(levels).chain(files).collect();
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

    /// How many messages have a file.
    #[cfg(test)]
    pub fn files(&self) -> usize {
        self.files.len()
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
