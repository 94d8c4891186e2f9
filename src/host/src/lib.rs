//! Back ends on the host: character devices, block images, networks.
//!
//! Only this crate touches the host's files, terminals, sockets and clock on behalf of a device.
//! What comes from the host reaches the machine through the traits that the machine implements
//! ([`chardev::Sink`]), so that it can be put into the machine's one queue of events.
#![forbid(unsafe_code)]

pub mod block;
pub mod chardev;
mod keyval;
pub mod net;
