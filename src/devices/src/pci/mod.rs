//! What PCI devices share ("PCI Local Bus Specification", revision 3.0).
//!
//! A PCI function is a device whose first window is its configuration space
//! ([`WindowDecl::pci_config`](proteus_model::WindowDecl::pci_config)), which the board places by
//! bus, device and function number. Its other windows are nowhere at first; the guest places them
//! by the function's base address registers, which are a [`Function`] in the device's state.
//! Memory addresses on the bus are physical addresses, and I/O addresses are I/O ports.

mod address;
mod function;
#[cfg(test)]
mod function_tests;
pub mod gt64120;
pub mod i440fx;
mod msix;
#[cfg(test)]
mod msix_tests;

pub use address::{ADDR, parse_address};
pub use function::{Bar, BarKind, CONFIG, Function, Header, INTX};
pub use msix::{MAX_VECTORS, window_len as msix_window_len};
