//! A cable with up to two devices (ATA/ATAPI-6, T13/1410D, clauses 7 and 9.16): which of them
//! answers, and what is read where none does.

use proteus_model::{Services, State, registers};

use super::ata;
use super::drive::{DRQ, Drive};
use super::taskfile::DEVICE_DEV;

registers! {
    /// The command block.
    pub COMMAND_BLOCK: u8;

    /// Data, 16 bits wide (or two such accesses by one of 32 bits).
    0 DATA rw
    1 ERROR ro
    1 FEATURES wo
    /// Interrupt Reason of packet devices, when read.
    2 SECTOR_COUNT rw
    3 LBA_LOW rw
    /// Byte Count Low of packet devices.
    4 LBA_MID rw
    /// Byte Count High of packet devices.
    5 LBA_HIGH rw
    6 DEVICE rw
    /// Reading it acknowledges the interrupt.
    7 STATUS ro
    7 COMMAND wo
}

registers! {
    /// The control block.
    pub CONTROL_BLOCK: u8;

    0 ALTERNATE_STATUS ro
    0 DEVICE_CONTROL wo {
        /// Reads give the bytes written before last.
        7 HOB,
        /// Software reset.
        2 SRST,
        /// No interrupts.
        1 NIEN,
    }
}

/// What a cable without devices reads as: data lines are pulled up, but for line 7, which is
/// pulled down so that no device seems to be busy (clause 4.1 of the standard's cable).
const NOBODY: u8 = 0x7f;
const NOBODY_DATA: u16 = 0xff7f;

/// A cable.
#[derive(State)]
pub struct Channel {
    /// Devices 0 and 1.
    pub drives: [Drive; 2],
    /// Is device 1 selected?
    second: bool,
    /// Device Control as written.
    control: u8,
    /// The interrupt line.
    pub line: bool,
}

impl Channel {
    /// A cable with these devices.
    pub fn new(drives: [Drive; 2]) -> Channel {
        Channel { drives, second: false, control: 0, line: false }
    }

    /// Turns it on again.
    pub fn power_on(&mut self) {
        self.reset_state();
        self.drives.iter_mut().for_each(Drive::power_on);
    }

    /// The selected device, there or not.
    pub fn selected(&mut self) -> &mut Drive {
        let [first, second] = &mut self.drives;
        if self.second { second } else { first }
    }

    /// Who answers a read.
    fn answers(&self, cx: &dyn Services) -> Answer {
        let [first, second] = [0, 1].map(|n| self.drives[n].present(cx));
        match (self.second, first, second) {
            (false, true, _) | (true, _, true) => Answer::Selected,
            (true, true, false) => Answer::First,
            (_, false, _) => Answer::Nobody,
        }
    }

    /// Does the line ask for an interrupt now?
    pub fn asserted(&mut self, cx: &dyn Services) -> bool {
        let enabled = u64::from(self.control) & DEVICE_CONTROL_NIEN == 0;
        enabled && self.selected().irq && self.selected().present(cx)
    }

    /// A read of 16 bits of data.
    pub fn read_data(&mut self, cx: &mut dyn Services) -> u16 {
        match self.answers(cx) {
            Answer::Selected => self.selected().read_data(cx),
            Answer::First => 0,
            Answer::Nobody => NOBODY_DATA,
        }
    }

    /// A write of 16 bits of data.
    pub fn write_data(&mut self, cx: &mut dyn Services, word: u16) {
        if self.answers(cx) == Answer::Selected {
            self.selected().write_data(cx, word);
        }
    }

    /// A read of a byte of the command block, other than data.
    pub fn read(&mut self, cx: &mut dyn Services, at: u64) -> u8 {
        let hob = u64::from(self.control) & DEVICE_CONTROL_HOB != 0;
        let answer = self.answers(cx);
        let drive = match answer {
            Answer::Nobody => return NOBODY,
            Answer::Selected => self.selected(),
            // Alone, device 0 shows its registers for device 1 too, but says that it is not
            // there (clause 9.16.1). A packet device shows nothing, or its signature would make
            // a second one of it.
            Answer::First if at == STATUS || self.drives[0].settings.cdrom => return 0,
            Answer::First => &mut self.drives[0],
        };
        let task = &drive.task;
        match at {
            ERROR => drive.error,
            SECTOR_COUNT => task.count.read(hob),
            LBA_LOW => task.low.read(hob),
            LBA_MID => task.mid.read(hob),
            LBA_HIGH => task.high.read(hob),
            // The bits that are obsolete read as ones, as they were always written.
            DEVICE => task.device | 0xa0,
            STATUS => {
                drive.irq = false;
                drive.status
            }
            _ => 0,
        }
    }

    /// A read of Alternate Status.
    pub fn alternate_status(&mut self, cx: &dyn Services) -> u8 {
        match self.answers(cx) {
            Answer::Selected => self.selected().status,
            Answer::First => 0,
            Answer::Nobody => NOBODY,
        }
    }

    /// A write of a byte of the command block, other than data.
    pub fn write(&mut self, cx: &mut dyn Services, at: u64, value: u8) {
        self.control &= !(DEVICE_CONTROL_HOB as u8);
        let drive = self.selected();
        // A packet device is reset even while it is busy.
        let reset = at == COMMAND && value == ata::DEVICE_RESET && drive.settings.cdrom;
        if drive.busy() && drive.present(cx) && !reset {
            cx.guest_error(format_args!("write of {value:#04x} to register {at} of a busy device"));
            return;
        }
        if at == COMMAND {
            return self.command(cx, value);
        }
        // Both devices see it.
        for drive in self.drives.iter_mut().filter(|d| !d.busy()) {
            let task = &mut drive.task;
            match at {
                FEATURES => task.features.push(value),
                SECTOR_COUNT => task.count.push(value),
                LBA_LOW => task.low.push(value),
                LBA_MID => task.mid.push(value),
                LBA_HIGH => task.high.push(value),
                DEVICE => task.device = value,
                _ => {}
            }
        }
        if at == DEVICE {
            self.second = value & DEVICE_DEV != 0;
        }
    }

    fn command(&mut self, cx: &mut dyn Services, command: u8) {
        if command == ata::DIAGNOSTIC {
            // Both devices execute it, and the first one tells for both.
            self.second = false;
            for drive in &mut self.drives {
                drive.sign(true);
            }
            self.drives[0].irq = true;
            return;
        }
        let drive = self.selected();
        // Nobody is there to hear it.
        if !drive.present(cx) {
            return;
        }
        if drive.status & DRQ != 0 && command != ata::DEVICE_RESET {
            cx.guest_error(format_args!("command {command:#04x} in the middle of a transfer"));
        }
        drive.command(cx, command);
    }

    /// A write of Device Control.
    pub fn device_control(&mut self, value: u8) {
        let srst = |control: u8| u64::from(control) & DEVICE_CONTROL_SRST != 0;
        match (srst(self.control), srst(value)) {
            (false, true) => self.drives.iter_mut().for_each(Drive::begin_reset),
            (true, false) => {
                self.second = false;
                self.drives.iter_mut().for_each(Drive::end_reset);
            }
            _ => {}
        }
        self.control = value;
    }
}

/// Who answers a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The selected device.
    Selected,
    /// Device 0 for device 1, which is not there.
    First,
    /// No device.
    Nobody,
}
