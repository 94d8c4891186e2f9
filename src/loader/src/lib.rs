//! Loaders: from the bytes of a kernel, firmware or device tree file to a plan of what goes where.
//!
//! Nothing here touches guest memory: [`Kernel::plan`] says which bytes go to which guest address
//! and the machine writes them. Every file is hostile: whatever is wrong with one is a
//! [`LoadError`] of one line that names the file and what was found.
#![forbid(unsafe_code)]

pub mod acpi;
pub mod compressed;
mod elf;
mod error;
pub mod fdt;
mod image;
mod kernel;
mod plan;
#[cfg(test)]
mod tests;
mod uimage;
pub mod x86;
pub mod x86_direct;

pub use elf::{ElfImage, ElfSegment};
pub use error::{Defect, LoadError};
pub use image::{Architecture, Image, LinuxArm, LinuxArm64, LinuxX86, identify};
pub use kernel::{Kernel, load_kernel_file, read_file};
pub use plan::{LoadPlan, Placement, Protocol, Segment};
pub use uimage::UImage;
