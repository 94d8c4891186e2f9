//! Device models, one file each.
//!
//! A device is added by its file and its line in [`REGISTRY`].
#![forbid(unsafe_code)]

use proteus_model::DeviceType;

pub mod display;
pub mod flash;
pub mod fw_cfg;
pub mod gpio;
pub mod ide;
pub mod intc;
pub mod isa;
pub mod misc;
pub mod net;
pub mod pci;
pub mod rtc;
mod sysreg;
pub mod timer;
pub mod uart;
pub mod virtio;

/// All device types, one a line. The conformance tests run over each.
#[rustfmt::skip]
pub static REGISTRY: &[&DeviceType] = &[
    &timer::arm_generic::ARM_GENERIC_TIMER,
    &timer::i8254::I8254,
    &uart::ns16550::ISA_SERIAL,
    &uart::ns16550::SERIAL_MM,
    &timer::mips_count::MIPS_CP0_TIMER,
    &uart::pl011::PL011,
    &virtio::blk::VIRTIO_BLK_DEVICE,
    &virtio::blk::VIRTIO_BLK_PCI,
    &virtio::mmio::VIRTIO_MMIO,
    &virtio::console::VIRTIO_SERIAL_DEVICE,
    &virtio::console::VIRTIO_SERIAL_PCI,
    &virtio::net::VIRTIO_NET_DEVICE,
    &virtio::net::VIRTIO_NET_PCI,
    &virtio::rng::VIRTIO_RNG_DEVICE,
    &virtio::rng::VIRTIO_RNG_PCI,
    &fw_cfg::io::FW_CFG_IO,
    &fw_cfg::mmio::FW_CFG_MMIO,
    &display::vga::VGA,
    &flash::cfi::CFI_PFLASH01,
    &ide::piix4::PIIX3_IDE,
    &ide::piix4::PIIX4_IDE,
    &intc::gicv2::ARM_GIC_V2,
    &intc::gicv3::ARM_GIC_V3,
    &intc::i8259::I8259_PAIR,
    &intc::ioapic::IOAPIC,
    &rtc::mc146818::MC146818RTC,
    &rtc::pl031::PL031,
    &gpio::pl061::PL061,
    &pci::gt64120::GT64120,
    &pci::i440fx::I440FX,
    &misc::acpi_ged::ACPI_GED,
    &misc::isa_debug_exit::ISA_DEBUG_EXIT,
    &misc::malta_fpga::MALTA_FPGA,
    &isa::i8042::I8042,
    &isa::debugcon::ISA_DEBUGCON,
    &isa::piix4::PIIX3_ISA,
    &isa::piix4::PIIX4_ISA,
    &isa::piix4_pm::PIIX4_PM,
    &net::pcnet::PCNET,
    &misc::pvpanic::PVPANIC,
    &misc::unimplemented::UNIMPLEMENTED_DEVICE,
];
