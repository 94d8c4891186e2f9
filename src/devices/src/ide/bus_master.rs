//! The DMA engine of a channel: Intel 82371AB (PIIX4) datasheet, order 290562, section 4.2; it is
//! that of "Programming Interface for Bus Master IDE Controller", revision 1.0.
//!
//! Data moves as fast as it is asked for; timing is not modelled. A table that the guest changes
//! while it is used is read as the engine comes to it.

use proteus_model::{Services, State, registers};

use super::drive::Drive;

registers! {
    /// Both engines' registers, as BAR 4 has them.
    pub BUS_MASTER: u8;

    0x0 BMICOM[2; 8] rw {
        /// The device is read, memory is written.
        3 RWCON,
        /// Start.
        0 SSBM,
    }
    0x2 BMISTA[2; 8] rw {
        /// Devices 1 and 0 are able to do DMA, which software notes here.
        6 DMA1CAP,
        5 DMA0CAP,
        /// The device has interrupted.
        2 IDEINTS w1c,
        /// Memory could not be reached.
        1 ERROR w1c,
        /// The engine runs.
        0 BMIDEA ro,
    }
    /// Address of the table of descriptors.
    0x4 BMIDTP[2; 8] rw u32
}

/// Bytes from one engine's registers to the other's.
pub const STRIDE: u64 = BMICOM_STRIDE;

/// Bytes moved in one entry, before others get their turn.
const BYTES: usize = 1 << 20;
/// Descriptors read in one entry: as many as a table of 64 KiB has.
const DESCRIPTORS: usize = 8192;

/// An engine.
#[derive(State, Debug, Default)]
pub struct BusMaster {
    command: u8,
    /// Without BMIDEA.
    status: u8,
    active: bool,
    /// BMIDTP.
    table: u32,
    /// The descriptor that comes next.
    next: u32,
    /// Where the present one's memory is.
    address: u64,
    /// Bytes left in it.
    left: u32,
    /// Is it the last one?
    last: bool,
}

/// Why the engine stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nobody wants it to go on: the device or the table is through, or there was an error.
    Rest,
    /// It has done enough for one entry.
    Pause,
}

impl BusMaster {
    /// The device interrupts.
    pub fn interrupt(&mut self) {
        self.status |= BMISTA_IDEINTS as u8;
    }

    /// Reads a byte of the engine's registers.
    pub fn read(&self, at: u64) -> u8 {
        match at {
            BMICOM => self.command,
            BMISTA => self.status | if self.active { BMISTA_BMIDEA as u8 } else { 0 },
            BMIDTP.. => self.table.to_le_bytes().get((at - BMIDTP) as usize).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// Writes a byte of the engine's registers.
    pub fn write(&mut self, cx: &mut dyn Services, at: u64, value: u8) {
        let bits = u64::from(value);
        match at {
            BMICOM => {
                if self.active && bits & BMICOM_SSBM != 0 && (self.command ^ value) & BMICOM_RWCON as u8 != 0 {
                    cx.guest_error(format_args!("direction changed while the bus master runs"));
                }
                let starts = bits & BMICOM_SSBM != 0 && u64::from(self.command) & BMICOM_SSBM == 0;
                self.command = value & (BMICOM_SSBM | BMICOM_RWCON) as u8;
                if starts {
                    self.active = true;
                    (self.next, self.left, self.last) = (self.table, 0, false);
                } else if bits & BMICOM_SSBM == 0 {
                    self.active = false;
                }
            }
            BMISTA => {
                let stored = (BMISTA_DMA1CAP | BMISTA_DMA0CAP) as u8;
                let cleared = value & (BMISTA_IDEINTS | BMISTA_ERROR) as u8;
                self.status = (self.status & !stored | value & stored) & !cleared;
            }
            BMIDTP.. => {
                let mut bytes = self.table.to_le_bytes();
                if let Some(byte) = bytes.get_mut((at - BMIDTP) as usize) {
                    *byte = value;
                }
                self.table = u32::from_le_bytes(bytes) & !3;
            }
            _ => {}
        }
    }

    /// Moves data between memory and a device that waits for it.
    pub fn run(&mut self, cx: &mut dyn Services, drive: &mut Drive) -> Stop {
        let (mut bytes, mut descriptors) = (BYTES, DESCRIPTORS);
        while self.active {
            let Some(to_memory) = drive.dma() else { break };
            if to_memory != (u64::from(self.command) & BMICOM_RWCON != 0) {
                cx.guest_error(format_args!("the bus master's direction is not that of the device's command"));
                self.fail();
                drive.dma_refused();
                break;
            }
            if bytes == 0 || descriptors == 0 {
                return Stop::Pause;
            }
            if self.left == 0 {
                descriptors -= 1;
                self.describe(cx);
                continue;
            }
            let window = drive.window();
            let n = window.len().min(bytes).min(self.left as usize);
            let window = &mut window[..n];
            let done = if to_memory { cx.dma_write(self.address, window) } else { cx.dma_read(self.address, window) };
            if let Err(fault) = done {
                cx.guest_error(format_args!("bus master at {:#x}: {fault}", self.address));
                self.fail();
                break;
            }
            if n == 0 {
                // Only a saved state can claim that there is nothing to move.
                drive.dma_refused();
                break;
            }
            self.address += n as u64;
            self.left -= n as u32;
            bytes -= n;
            drive.moved(cx, n);
        }
        // The table ends with the data: the engine rests. It stays active if there is more table.
        if drive.dma().is_none() && self.left == 0 && self.last {
            self.active = false;
        }
        Stop::Rest
    }

    /// Reads the next descriptor, if there is one.
    fn describe(&mut self, cx: &mut dyn Services) {
        let mut entry = [0; 8];
        if self.last {
            // The device wants more than the table has.
            self.active = false;
        } else if let Err(fault) = cx.dma_read(self.next.into(), &mut entry) {
            cx.guest_error(format_args!("descriptor at {:#x}: {fault}", self.next));
            self.fail();
        } else {
            let [a, b, c, d, count0, count1, _, flags] = entry;
            self.address = u64::from(u32::from_le_bytes([a, b, c, d]) & !1);
            // No count means 64 KiB.
            self.left = match u16::from_le_bytes([count0, count1]) & !1 {
                0 => 0x1_0000,
                n => n.into(),
            };
            self.last = flags & 0x80 != 0;
            self.next = self.next.wrapping_add(8);
        }
    }

    /// Memory could not be reached.
    fn fail(&mut self) {
        self.status |= BMISTA_ERROR as u8;
        self.active = false;
    }
}
