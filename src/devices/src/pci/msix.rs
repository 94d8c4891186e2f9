//! MSI-X of a PCI function ("PCI Local Bus Specification", revision 3.0, section 6.8.2): interrupts
//! that are messages, each with an address, data and a mask of its own.
//!
//! Table and pending bits share a window of their own: the table at its beginning, the pending bits
//! in its second half. What a function asks for is a pending bit, which its `settle` turns into a
//! message as soon as nothing masks it.

use proteus_model::{Services, State, Width};

/// Identifier of the capability.
pub(super) const CAPABILITY: u8 = 0x11;
/// In the upper byte of Message Control: MSI-X Enable, and Function Mask.
pub(super) const ENABLE: u8 = 1 << 7;
pub(super) const MASK: u8 = 1 << 6;
/// Most vectors of a function.
pub const MAX_VECTORS: u64 = 2048;

/// Bytes of an entry: Message Address, Upper Address, Message Data, Vector Control.
const ENTRY: u64 = 16;
const UPPER_ADDRESS: u64 = 4;
const DATA: u64 = 8;
const VECTOR_CONTROL: u64 = 12;
/// In Vector Control.
const MASK_BIT: u64 = 1;
/// The smallest window, which keeps the guest from mapping it together with other registers.
const SMALLEST: u64 = 0x1000;

/// Length of the window for so many vectors.
pub const fn window_len(vectors: u64) -> u64 {
    // Each half holds the larger of the two, the table.
    let len = (2 * ENTRY * vectors).next_power_of_two();
    if len < SMALLEST { SMALLEST } else { len }
}

/// An entry of the table, and its pending bit.
#[derive(Debug, Clone, Copy, State)]
struct Entry {
    address: u64,
    data: u32,
    #[state(reset = true)]
    masked: bool,
    pending: bool,
}

/// Table and pending bits; no entries where there is no MSI-X.
#[derive(Debug, Default, State)]
pub(super) struct Msix {
    table: Vec<Entry>,
    /// Whether any bit is pending.
    waiting: bool,
    /// Offset of the capability.
    #[state(skip)]
    pub capability: usize,
}

impl Msix {
    pub fn new(vectors: u16, capability: usize) -> Msix {
        let entry = Entry { address: 0, data: 0, masked: true, pending: false };
        Msix { table: vec![entry; vectors.into()], waiting: false, capability }
    }

    /// What the capability has behind its link, for so many vectors in base address register `bar`.
    pub fn capability(vectors: u16, bar: usize) -> [u8; 10] {
        let pending = (window_len(vectors.into()) / 2) as u32;
        let mut body = [0; 10];
        body[..2].copy_from_slice(&vectors.saturating_sub(1).to_le_bytes());
        body[2] = bar as u8;
        body[6..].copy_from_slice(&(pending | bar as u32).to_le_bytes());
        body
    }

    pub fn vectors(&self) -> u16 {
        self.table.len() as u16
    }

    /// Reads 32 bits of the window.
    pub fn read(&self, at: u64) -> u32 {
        let pending = window_len(self.table.len() as u64) / 2;
        if let Some(at) = at.checked_sub(pending) {
            let first = usize::try_from(8 * at).unwrap_or(usize::MAX);
            let bits = self.table.iter().skip(first).take(32).enumerate();
            return bits.map(|(n, entry)| u32::from(entry.pending) << n).sum();
        }
        let Some(entry) = self.table.get((at / ENTRY) as usize) else { return 0 };
        match at % ENTRY {
            0 => entry.address as u32,
            UPPER_ADDRESS => (entry.address >> 32) as u32,
            DATA => entry.data,
            _ => entry.masked.into(),
        }
    }

    /// Writes 32 bits of the window.
    pub fn write(&mut self, cx: &mut dyn Services, at: u64, value: u64) {
        let Some(entry) = self.table.get_mut((at / ENTRY) as usize) else {
            return cx.guest_error(format_args!("write of {value:#x} at {at:#x} of the window of MSI-X, where nothing can be written"));
        };
        match at % ENTRY {
            // Messages are 32 bits, aligned.
            0 => entry.address = entry.address & !Width::B4.mask() | value & !3,
            UPPER_ADDRESS => entry.address = entry.address & Width::B4.mask() | value << 32,
            DATA => entry.data = value as u32,
            VECTOR_CONTROL => entry.masked = value & MASK_BIT != 0,
            _ => {}
        }
    }

    /// Asks for a message.
    pub fn raise(&mut self, vector: u16) {
        if let Some(entry) = self.table.get_mut(usize::from(vector)) {
            entry.pending = true;
            self.waiting = true;
        }
    }

    /// Nothing is asked for any more.
    pub fn forget(&mut self) {
        self.table.iter_mut().for_each(|entry| entry.pending = false);
    }

    /// Sends what is pending and not masked.
    pub fn send(&mut self, cx: &mut dyn Services) {
        if !std::mem::take(&mut self.waiting) {
            return;
        }
        for (n, entry) in self.table.iter_mut().enumerate().filter(|(_, e)| e.pending) {
            if entry.masked {
                self.waiting = true;
                continue;
            }
            entry.pending = false;
            if let Err(e) = cx.dma_write(entry.address, &entry.data.to_le_bytes()) {
                cx.guest_error(format_args!("message of vector {n} to {:#x}: {e}", entry.address));
            }
        }
    }
}
