//! The interrupt controllers of a PC and its interval timer, where the kernel has them.

use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_PIT_SPEAKER_DUMMY, kvm_irq_routing_entry,
    kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_irqchip, kvm_irqchip, kvm_pit_config, kvm_pit_state2,
};
use kvm_ioctls::VmFd;

use super::PINS;
use crate::Error;

const CHIPS: [u32; 3] = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC];
/// Interrupts of each PIC.
const PIC_INPUTS: u32 = 8;
/// Where the slave is at the master, and where the timer's interrupt 0 is at the I/O APIC.
const CASCADE: u32 = 2;

/// All state of the interrupt controllers and the timer.
pub struct SavedChips {
    chips: Vec<kvm_irqchip>,
    timer: kvm_pit_state2,
}

impl SavedChips {
    /// Takes it out.
    pub(super) fn of(vm: &VmFd) -> Result<SavedChips, Error> {
        let get = |chip_id: u32| {
            let mut chip = kvm_irqchip { chip_id, ..Default::default() };
            vm.get_irqchip(&mut chip).map(|()| chip).map_err(Error::refused("KVM_GET_IRQCHIP"))
        };
        let chips = CHIPS.into_iter().map(get).collect::<Result<_, _>>()?;
        Ok(SavedChips { chips, timer: vm.get_pit2().map_err(Error::refused("KVM_GET_PIT2"))? })
    }

    /// Requests and mask of the master PIC.
    #[cfg(test)]
    pub(super) fn master(&self) -> (u8, u8) {
        // SAFETY: the first one is a PIC, whose state is plain numbers.
        let pic = unsafe { self.chips[0].chip.pic };
        (pic.irr, pic.imr)
    }

    /// Puts it back.
    pub(super) fn restore(&self, vm: &VmFd) -> Result<(), Error> {
        self.chips.iter().try_for_each(|chip| vm.set_irqchip(chip)).map_err(Error::refused("KVM_SET_IRQCHIP"))?;
        vm.set_pit2(&self.timer).map_err(Error::refused("KVM_SET_PIT2"))
    }
}

/// Makes them, before the first core; gives their state after a reset.
pub(super) fn create(vm: &VmFd) -> Result<SavedChips, Error> {
    vm.create_irq_chip().map_err(Error::refused("KVM_CREATE_IRQCHIP"))?;
    let timer = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
    vm.create_pit2(timer).map_err(Error::refused("KVM_CREATE_PIT2"))?;
    SavedChips::of(vm)
}

/// The level of an interrupt of the ISA bus.
pub(super) fn set_line(vm: &VmFd, line: usize, level: bool) {
    if let Err(e) = vm.set_irq_line(line as u32, level) {
        tracing::error!("KVM_IRQ_LINE of interrupt {line}: {e}; interrupts may be lost");
    }
}

/// The ways of the interrupts: those of the ISA bus to a PIC, and all to the I/O APIC, the timer's to
/// its input 2 (PC with I/O APIC, Intel MultiProcessor Specification 1.4, appendix D.3).
pub(super) fn routes() -> Vec<kvm_irq_routing_entry> {
    let route = |gsi: u32, irqchip: u32, pin: u32| kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        u: kvm_irq_routing_entry__bindgen_ty_1 { irqchip: kvm_irq_routing_irqchip { irqchip, pin } },
        ..Default::default()
    };
    let pics = (0..2 * PIC_INPUTS).filter(|gsi| *gsi != CASCADE).map(|gsi| {
        let chip = if gsi < PIC_INPUTS { KVM_IRQCHIP_PIC_MASTER } else { KVM_IRQCHIP_PIC_SLAVE };
        route(gsi, chip, gsi % PIC_INPUTS)
    });
    let inputs = (0..PINS as u32).filter(|gsi| *gsi != CASCADE).map(|gsi| route(gsi, KVM_IRQCHIP_IOAPIC, if gsi == 0 { CASCADE } else { gsi }));
    pics.chain(inputs).collect()
}
