//! The machine model: devices, pins, clock, address spaces, state, inspection, registry types.
//!
//! A [`Device`] knows its own registers, pins, alarms and virtual time, and reaches the world only
//! through [`Services`]. A [`Machine`], made by a [`MachineBuilder`], knows devices and addresses.
//! Cores know an [`AddressSpace`] and their [`CoreLines`]. What comes from the host enters through
//! one queue ([`Machine::post`]), so that it can be recorded and replayed.
#![forbid(unsafe_code)]

// The derives name this crate by its outside name, inside it too.
extern crate self as proteus_model;

mod address_space;
mod builder;
mod bus;
mod clock;
pub mod conformance;
mod core_lines;
mod device;
mod fdt;
mod machine;
mod outside;
#[cfg(test)]
mod outside_tests;
mod port;
mod property;
#[cfg(test)]
mod reference;
mod register;
mod split;
mod state;
pub mod testing;
#[cfg(test)]
mod tests;
mod types;

pub use address_space::{AddressSpace, DeviceTarget, Mapping, SpaceBuilder, SpaceError};
pub use builder::{BuildError, MachineBuilder, Sink};
pub use clock::Clock;
pub use core_lines::{CoreLines, Line};
pub use device::{
    AccessRule, Bus, Count, Device, DeviceType, Direct, Event, Narrow, Picture, PinDecl, PortDecl, PortKind, Services, SystemRequest, WindowDecl, WindowKind,
    WindowSize,
};
pub use fdt::{FdtHook, FdtNode, InterruptCells, NodeBuilder, Placed};
pub use machine::{Counters, HostEvent, HostEventKind, Machine, MessageSink, PlacedWindow, PortSender};
pub use outside::{Doorbell, LineSink, PlacedDoorbell};
pub use port::{BlockPort, CharPort, EntropySource, FramePort, HostEntropy};
pub use property::{Default as PropertyDefault, PropError, PropertyDecl, PropertyKind, Props, Value};
pub use proteus_derive::{State, registers};
pub use proteus_ram as ram;
pub use register::{FieldInfo, RegAccess, RegisterInfo, check_register_read, check_register_write, field, find_register, with_field};
pub use state::{Bounded, Inspector, Leaf, Node, Reader, State, StateError, Writer};
pub use types::{BusFault, CoreId, DeviceId, Ns, Reset, Width, Window};
