//! ATA and ATAPI devices, and the controllers that they hang on.
//!
//! From the cable to the bus: [`taskfile`] has a device's registers, [`drive`] moves data between
//! them and the image, [`ata`] and [`atapi`] are the two command sets, [`channel`] joins the two
//! devices of a cable, [`bus_master`] is the DMA engine of a channel, and [`piix4`] the PCI
//! function around two channels.

mod ata;
mod atapi;
mod bus_master;
mod channel;
mod drive;
mod identify;
pub mod piix4;
mod taskfile;
#[cfg(test)]
mod tests;
