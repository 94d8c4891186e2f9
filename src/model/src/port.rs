//! The back ends' side of a device's ports to the host.

use std::fmt;
use std::io;

/// The host's end of a character port. It must not block and must not call into the machine
/// except to post events.
pub trait CharPort: Send + Sync {
    /// Takes bytes from the guest; gives how many. After taking fewer than offered it posts
    /// [`HostEventKind::Writable`](crate::HostEventKind) when there is room again.
    fn send(&self, bytes: &[u8]) -> usize;
}

/// The host's end of a frame port, under the same rules as [`CharPort`].
pub trait FramePort: Send + Sync {
    /// Takes a frame from the guest; false if it was dropped. What the other end answers at once
    /// it gives to `answer`, which says whether there was room for it: the device gets it before
    /// the access that has sent the frame ends.
    fn send_frame(&self, frame: &[u8], answer: &mut dyn FnMut(Vec<u8>) -> bool) -> bool;
}

/// A block image. Calls return when the work is done.
#[expect(clippy::len_without_is_empty, reason = "an image may be empty, but nobody asks so")]
pub trait BlockPort: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;
    /// Are writes refused?
    fn read_only(&self) -> bool;
    /// Reads all of `to`; reading past the end is an error.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()>;
    /// Writes all of `from`; writing past the end is an error.
    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()>;
    /// Makes all writes so far durable.
    fn flush(&self) -> io::Result<()>;
    /// Tells that a range is not needed any more; what it reads as afterwards is up to the image.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes a range read as zeros.
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()>;
    /// A serial number or identifier to show to the guest.
    fn serial(&self) -> String {
        String::new()
    }
}

impl fmt::Debug for dyn BlockPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block image of {} bytes", self.len())
    }
}

/// Fills a slice with entropy of the host.
pub type HostEntropy = Box<dyn Fn(&mut [u8]) + Send + Sync>;

/// Where [`Services::entropy`](crate::Services::entropy) comes from.
pub enum EntropySource {
    /// A generator whose state is part of the machine's, for runs that must repeat.
    Seeded(u64),
    /// The host's.
    Host(HostEntropy),
}
