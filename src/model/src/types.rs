//! Small types that every part of the model shares.

use std::fmt;

/// Virtual time in nanoseconds since the machine was made.
pub type Ns = u64;

/// Width of one bus access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One byte.
    B1,
    /// Two bytes.
    B2,
    /// Four bytes.
    B4,
    /// Eight bytes.
    B8,
}

impl Width {
    /// All widths, narrowest first.
    pub const ALL: [Width; 4] = [Width::B1, Width::B2, Width::B4, Width::B8];

    /// Width in bytes.
    #[inline]
    pub const fn bytes(self) -> u32 {
        1 << self as u32
    }

    /// Width in bits.
    #[inline]
    pub const fn bits(self) -> u32 {
        8 << self as u32
    }

    /// All ones in this width.
    #[inline]
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The width of so many bytes, if there is one.
    pub const fn from_bytes(bytes: u64) -> Option<Width> {
        match bytes {
            1 => Some(Width::B1),
            2 => Some(Width::B2),
            4 => Some(Width::B4),
            8 => Some(Width::B8),
            _ => None,
        }
    }
}

/// Why an access did not take place. The device or bus says what happened; the core decides what
/// it means to its guest (external abort, bus error, all ones).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BusFault {
    /// Nothing answers at this address.
    #[error("nothing answers at this address")]
    Unmapped,
    /// There is something, but not for this width.
    #[error("width not implemented here")]
    BadWidth,
    /// The access must be naturally aligned.
    #[error("unaligned access")]
    Unaligned,
    /// Write to memory or a register that refuses writes.
    #[error("read-only")]
    ReadOnly,
    /// Read of something that refuses reads.
    #[error("write-only")]
    WriteOnly,
    /// The system register is undefined in the present state: the core raises its
    /// undefined-instruction exception.
    #[error("undefined")]
    Undefined,
    /// The access is not permitted to this requester.
    #[error("denied")]
    Denied,
    /// DMA reached back to the device that started it.
    #[error("device is busy with an access of its own")]
    Busy,
    /// The device signals an error of its own (slave error).
    #[error("device error")]
    Device,
}

/// Number of a core (vCPU) in its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreId(pub u16);

/// Number of a device in its machine, in order of addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// One of a device's windows, by its place in [`DeviceType::windows`](crate::DeviceType).
/// A tuple struct with a public field, so that devices match on constants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window(pub usize);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {}", self.0)
    }
}

/// Kind of reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Power on.
    Cold,
    /// Reset line: what outlives a reset on the board stays (fields marked `keep` do anyway).
    Warm,
    /// Before a snapshot is loaded: nothing is drawn anew (seeds, identifiers).
    Load,
}
