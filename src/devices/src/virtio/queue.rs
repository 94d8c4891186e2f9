//! Split virtqueues (virtio 1.2 §2.7; legacy layout §2.7.2), the device's side.
//!
//! Left out: packed virtqueues (never offered) and in-order use.
//!
//! The rings belong to the guest, who may write anything there at any time. Every look at them is
//! bounded: a chain has at most [`MAX_SEGMENTS`] parts and 4 GiB, a ring holds at most as many
//! chains as it has places, and whatever breaks these rules is a [`RingError`].

use std::fmt;
use std::sync::atomic::{Ordering, fence};

use proteus_model::{BusFault, Services, State, Width};

use super::ByteOrder;

/// Most descriptors of one chain, as QEMU has it.
pub const MAX_SEGMENTS: usize = 1024;
/// Most bytes of one chain (§2.7.5).
const MAX_BYTES: u64 = 1 << 32;

const DESC_NEXT: u16 = 1;
const DESC_WRITE: u16 = 2;
const DESC_INDIRECT: u16 = 4;
const DESC_BYTES: u64 = 16;
/// The driver asks for no interrupts (`avail.flags`).
const AVAIL_NO_INTERRUPT: u16 = 1;

/// What a driver did wrong with its rings, and the number that was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingError {
    /// What is wrong.
    pub what: &'static str,
    /// The wrong address, index or length.
    pub value: u64,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", self.what, self.value)
    }
}

impl std::error::Error for RingError {}

const fn wrong(what: &'static str, value: u64) -> RingError {
    RingError { what, value }
}

fn at(what: &'static str, address: u64) -> impl Fn(BusFault) -> RingError {
    move |_| wrong(what, address)
}

/// The parts of a chain that one side writes, with a place in them that moves on.
#[derive(Debug, Default)]
pub struct Segments {
    list: Vec<(u64, u32)>,
    total: u64,
    done: u64,
    index: usize,
    within: u32,
}

impl Segments {
    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes from the present place to the end.
    pub fn left(&self) -> u64 {
        self.total - self.done
    }

    fn clear(&mut self) {
        self.list.clear();
        (self.total, self.done, self.index, self.within) = (0, 0, 0, 0);
    }

    fn push(&mut self, address: u64, len: u32) {
        self.list.push((address, len));
        self.total += u64::from(len);
    }

    /// Calls `f` for each piece of the next `len` bytes with its address and its place in them;
    /// gives how many bytes there were.
    fn each(&mut self, len: usize, f: &mut dyn FnMut(u64, std::ops::Range<usize>) -> Result<(), BusFault>) -> Result<usize, RingError> {
        let mut done = 0;
        while done < len
            && let Some((address, size)) = self.list.get(self.index).copied()
        {
            let n = (len - done).min((size - self.within) as usize);
            if n != 0 {
                let address = address.wrapping_add(self.within.into());
                f(address, done..done + n).map_err(at("bad buffer address", address))?;
            }
            done += n;
            self.done += n as u64;
            self.within += n as u32;
            if self.within == size {
                (self.index, self.within) = (self.index + 1, 0);
            }
        }
        Ok(done)
    }

    /// Copies the next bytes out of guest memory; gives how many there were.
    pub fn read(&mut self, cx: &mut dyn Services, to: &mut [u8]) -> Result<usize, RingError> {
        self.each(to.len(), &mut |address, range| cx.dma_read(address, &mut to[range]))
    }

    /// Copies bytes into guest memory; gives how many there was room for.
    pub fn write(&mut self, cx: &mut dyn Services, from: &[u8]) -> Result<usize, RingError> {
        self.each(from.len(), &mut |address, range| cx.dma_write(address, &from[range]))
    }

    /// Moves on without a transfer.
    pub fn skip(&mut self, mut bytes: u64) {
        while bytes != 0 && self.left() != 0 {
            let step = bytes.min(1 << 30);
            // Nothing is accessed, so nothing fails.
            let n = self.each(step as usize, &mut |_, _| Ok(())).unwrap_or(0);
            bytes -= n as u64;
        }
    }

    /// Back to the first byte.
    pub fn rewind(&mut self) {
        (self.done, self.index, self.within) = (0, 0, 0);
    }
}

/// A chain of descriptors taken from a ring: what the device may read, then what it may write.
#[derive(Debug, Default)]
pub struct Chain {
    head: u16,
    /// Written by the driver.
    pub readable: Segments,
    /// To be written by the device.
    pub writable: Segments,
}

/// One virtqueue.
#[derive(Debug, Default, State)]
pub struct Queue {
    /// Most entries; 0 for a queue that is not there.
    #[state(skip)]
    pub max: u16,
    /// Entries, a power of two.
    #[state(reset = self.max)]
    pub num: u16,
    /// Has the driver set it up?
    pub ready: bool,
    /// Address of the descriptor table.
    pub desc: u64,
    /// Address of the ring of chains made available.
    pub avail: u64,
    /// Address of the ring of chains used.
    pub used: u64,
    /// Order of the numbers in the rings; that of a guest which is not little-endian only in a
    /// legacy queue.
    order: ByteOrder,
    last_avail: u16,
    used_idx: u16,
    /// Used index at the last interrupt, if there was one.
    signalled: Option<u16>,
    #[state(skip)]
    spare: Vec<Chain>,
}

impl Queue {
    /// A queue of at most `max` entries.
    pub fn new(max: u16) -> Queue {
        Queue { max, num: max, ..Queue::default() }
    }

    /// Is this a size that the queue can have?
    pub fn fits(&self, num: u64) -> bool {
        num.is_power_of_two() && num <= u64::from(self.max)
    }

    /// Sets the addresses of a legacy queue, which is one piece (§2.7.2).
    pub fn set_legacy(&mut self, base: u64, align: u64) {
        let num = u64::from(self.num);
        self.desc = base;
        self.avail = base.wrapping_add(DESC_BYTES * num);
        let end = self.avail.wrapping_add(2 * (3 + num));
        // An alignment of 0 is none; the transport lets only powers of two through.
        let mask = align.max(1) - 1;
        self.used = end.wrapping_add(mask) & !mask;
    }

    /// Starts afresh at the beginning of the rings, whose numbers have this order.
    pub fn start(&mut self, order: ByteOrder) {
        self.order = order;
        (self.last_avail, self.used_idx, self.signalled) = (0, 0, None);
        self.ready = true;
    }

    fn slot(&self, index: u16) -> u64 {
        // A damaged snapshot may hold any number of entries.
        u64::from(index & self.num.wrapping_sub(1))
    }

    /// Loads a number from the available ring.
    fn load_avail(&self, cx: &mut dyn Services, offset: u64) -> Result<u16, RingError> {
        let address = self.avail.wrapping_add(offset);
        let value = cx.dma_load(address, Width::B2).map_err(at("bad address of the available ring", address))? as u16;
        Ok(self.order.number16(value.to_le_bytes()))
    }

    /// Stores a number in the used ring.
    fn store_used(&self, cx: &mut dyn Services, offset: u64, value: u16) -> Result<(), RingError> {
        let address = self.used.wrapping_add(offset);
        let value = u16::from_le_bytes(self.order.bytes16(value));
        cx.dma_store(address, Width::B2, value.into()).map_err(at("bad address of the used ring", address))
    }

    /// Chains that the driver has made available and the device has not taken.
    fn waiting(&self, cx: &mut dyn Services) -> Result<u16, RingError> {
        let idx = self.load_avail(cx, 2)?;
        let waiting = idx.wrapping_sub(self.last_avail);
        if waiting > self.num {
            return Err(wrong("available index runs away from the device's", idx.into()));
        }
        Ok(waiting)
    }

    /// Takes the next chain. With `event_idx`, an empty ring asks the driver to notify its next.
    pub fn pop(&mut self, cx: &mut dyn Services, indirect: bool, event_idx: bool) -> Result<Option<Chain>, RingError> {
        if !self.ready || self.num == 0 {
            return Ok(None);
        }
        if self.waiting(cx)? == 0 {
            if !event_idx {
                return Ok(None);
            }
            self.store_used(cx, 4 + 8 * u64::from(self.num), self.last_avail)?;
            // The driver writes its index and then reads the event; we must do the converse.
            fence(Ordering::SeqCst);
            if self.waiting(cx)? == 0 {
                return Ok(None);
            }
        }
        let head = self.load_avail(cx, 4 + 2 * self.slot(self.last_avail))?;
        let mut chain = self.spare.pop().unwrap_or_default();
        chain.head = head;
        chain.readable.clear();
        chain.writable.clear();
        self.walk(cx, indirect, &mut chain)?;
        self.last_avail = self.last_avail.wrapping_add(1);
        Ok(Some(chain))
    }

    fn walk(&self, cx: &mut dyn Services, indirect: bool, chain: &mut Chain) -> Result<(), RingError> {
        let (mut table, mut entries, mut index) = (self.desc, u64::from(self.num), u64::from(chain.head));
        let (mut inside, mut visited) = (false, 0);
        loop {
            if index >= entries {
                return Err(wrong("descriptor outside its table", index));
            }
            // A chain longer than its table is a loop.
            if visited == entries || chain.readable.list.len() + chain.writable.list.len() == MAX_SEGMENTS {
                return Err(wrong("endless chain of descriptors", chain.head.into()));
            }
            visited += 1;
            let address = table.wrapping_add(DESC_BYTES * index);
            let mut d = [0; DESC_BYTES as usize];
            cx.dma_read(address, &mut d).map_err(at("bad address of a descriptor", address))?;
            let buffer = self.order.number64([d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]);
            let len = self.order.number32([d[8], d[9], d[10], d[11]]);
            let (flags, next) = (self.order.number16([d[12], d[13]]), self.order.number16([d[14], d[15]]));
            if flags & DESC_INDIRECT != 0 {
                if inside || !indirect || flags & DESC_NEXT != 0 {
                    return Err(wrong("indirect descriptor where none may be", address));
                }
                if len == 0 || !u64::from(len).is_multiple_of(DESC_BYTES) {
                    return Err(wrong("bad length of an indirect table", len.into()));
                }
                (table, entries, index) = (buffer, u64::from(len) / DESC_BYTES, 0);
                (inside, visited) = (true, 0);
                continue;
            }
            if flags & DESC_WRITE != 0 {
                chain.writable.push(buffer, len);
            } else if chain.writable.list.is_empty() {
                chain.readable.push(buffer, len);
            } else {
                return Err(wrong("readable descriptor after a writable one", address));
            }
            if chain.readable.total + chain.writable.total > MAX_BYTES {
                return Err(wrong("chain longer than 4 GiB", chain.head.into()));
            }
            if flags & DESC_NEXT == 0 {
                return Ok(());
            }
            index = next.into();
        }
    }

    /// Puts back the chain taken last, as if it had not been taken.
    pub fn unpop(&mut self, chain: Chain) {
        self.last_avail = self.last_avail.wrapping_sub(1);
        self.keep(chain);
    }

    fn keep(&mut self, chain: Chain) {
        // Kept for its allocations.
        if self.spare.len() < 4 {
            self.spare.push(chain);
        }
    }

    /// Gives back chains of which so many bytes were written, all at once.
    pub fn push(&mut self, cx: &mut dyn Services, chains: impl IntoIterator<Item = (Chain, u32)>) -> Result<(), RingError> {
        for (chain, written) in chains {
            let address = self.used.wrapping_add(4 + 8 * self.slot(self.used_idx));
            let mut element = [0; 8];
            element[..4].copy_from_slice(&self.order.bytes32(chain.head.into()));
            element[4..].copy_from_slice(&self.order.bytes32(written));
            cx.dma_write(address, &element).map_err(at("bad address of the used ring", address))?;
            self.used_idx = self.used_idx.wrapping_add(1);
            self.keep(chain);
        }
        self.store_used(cx, 2, self.used_idx)
    }

    /// Does the driver want an interrupt for the chains given back since the last one?
    pub fn wants_interrupt(&mut self, cx: &mut dyn Services, event_idx: bool) -> Result<bool, RingError> {
        // The driver writes what it wants and then reads the used index; we did the converse.
        fence(Ordering::SeqCst);
        if !event_idx {
            return Ok(self.load_avail(cx, 0)? & AVAIL_NO_INTERRUPT == 0);
        }
        let event = self.load_avail(cx, 4 + 2 * u64::from(self.num))?;
        let new = self.used_idx;
        Ok(match self.signalled.replace(new) {
            Some(old) => new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old),
            None => true,
        })
    }
}
