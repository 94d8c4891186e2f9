//! The SMBus host controller of the south bridge PIIX4 (Intel 82371AB, order number 290562,
//! section 7.3), with serial EEPROMs of memory modules on its bus.
//!
//! A transaction is over when it has been started. Left out, and reported: block transactions and
//! being a slave itself.

use proteus_model::{Services, State, check_register_read, check_register_write, registers};

registers! {
    /// Registers of the host controller.
    pub REGISTERS: u8;

    0x0 SMBHSTSTS w1c { 0 BUSY ro, 1 INTER, 2 DEV_ERR, 3 BUS_ERR, 4 FAILED }
    0x1 SMBSLVSTS w1c { 0 BUSY ro, 2 SLV, 3 SHDW1, 4 SHDW2, 5 ALERT }
    0x2 SMBHSTCNT rw { 0 INTEREN, 1 KILL, 4:2 PROTOCOL, 6 START wo }
    0x3 SMBHSTCMD rw
    /// The slave's address in the upper bits.
    0x4 SMBHSTADD rw { 0 READ, 7:1 ADDRESS }
    0x5 SMBHSTDAT0 rw
    0x6 SMBHSTDAT1 rw
    0x7 SMBBLKDAT rw: unmodelled
    0x8 SMBSLVCNT rw { 0 SLVEN: unmodelled, 1 SHDW1EN: unmodelled, 2 SHDW2EN: unmodelled, 3 ALERTEN: unmodelled }
    0x9 SMBSHDWCMD ro
    0xa SMBSLVEVT[2] rw: unmodelled
    0xc SMBSLVDAT[2] ro
}

/// Bytes of the window.
pub const LEN: u64 = 16;
/// Bytes of an EEPROM.
const EEPROM_LEN: usize = 256;
/// The address of the first EEPROM.
const EEPROM: u8 = 0x50;

// Values of PROTOCOL.
const QUICK: u64 = 0;
const BYTE: u64 = 1;
const BYTE_DATA: u64 = 2;
const WORD_DATA: u64 = 3;
const BLOCK: u64 = 5;

/// The controller and the EEPROM on its bus.
#[derive(State, Default)]
pub struct SmBus {
    status: u8,
    control: u8,
    command: u8,
    address: u8,
    data: [u8; 2],
    /// Where the EEPROM reads without a command.
    pointer: u8,
    #[state(skip)]
    eeprom: Option<Vec<u8>>,
}

impl SmBus {
    /// A controller with this EEPROM at address 50h; what it does not fill reads as ones.
    pub fn new(eeprom: Option<Vec<u8>>) -> SmBus {
        SmBus { eeprom, ..SmBus::default() }
    }

    /// Does it ask for an interrupt?
    pub fn interrupts(&self) -> bool {
        u64::from(self.control) & SMBHSTCNT_INTEREN != 0 && self.status != 0
    }

    /// Reads a register.
    pub fn read(&self, cx: &mut dyn Services, at: u64) -> u8 {
        match at {
            SMBHSTSTS => self.status,
            SMBHSTCNT => self.control,
            SMBHSTCMD => self.command,
            SMBHSTADD => self.address,
            SMBHSTDAT0 => self.data[0],
            SMBHSTDAT1 => self.data[1],
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        }
    }

    /// Writes a register.
    pub fn write(&mut self, cx: &mut dyn Services, at: u64, value: u8) {
        check_register_write(cx, REGISTERS, at, value.into());
        match at {
            SMBHSTSTS => self.status &= !value,
            SMBHSTCMD => self.command = value,
            SMBHSTADD => self.address = value,
            SMBHSTDAT0 => self.data[0] = value,
            SMBHSTDAT1 => self.data[1] = value,
            SMBHSTCNT => {
                self.control = value & (SMBHSTCNT_INTEREN | SMBHSTCNT_KILL | SMBHSTCNT_PROTOCOL) as u8;
                if u64::from(value) & (SMBHSTCNT_START | SMBHSTCNT_KILL) == SMBHSTCNT_START {
                    self.start(cx);
                }
            }
            _ => {}
        }
    }

    /// Makes a transaction.
    fn start(&mut self, cx: &mut dyn Services) {
        let protocol = (u64::from(self.control) & SMBHSTCNT_PROTOCOL) >> SMBHSTCNT_PROTOCOL.trailing_zeros();
        if protocol == BLOCK {
            cx.unimplemented(format_args!("block transactions of the SMBus"));
        } else if protocol > WORD_DATA {
            cx.guest_error(format_args!("reserved protocol {protocol} of the SMBus"));
        }
        // A slave that is not there, or does not do this, gives no acknowledge.
        self.status |= if self.transfer(protocol).is_some() { SMBHSTSTS_INTER } else { SMBHSTSTS_DEV_ERR } as u8;
    }

    /// What the EEPROM does: it is read, but protected from writes.
    fn transfer(&mut self, protocol: u64) -> Option<()> {
        let bytes = self.eeprom.as_ref().filter(|_| self.address >> 1 == EEPROM)?;
        let byte = |at: u8| bytes.get(usize::from(at)).copied().unwrap_or(0xff);
        match (protocol, u64::from(self.address) & SMBHSTADD_READ != 0) {
            (QUICK, _) => {}
            (BYTE, true) => {
                self.data[0] = byte(self.pointer);
                self.pointer = self.pointer.wrapping_add(1);
            }
            (BYTE, false) => self.pointer = self.command,
            (BYTE_DATA, true) => {
                self.data[0] = byte(self.command);
                self.pointer = self.command.wrapping_add(1);
            }
            (WORD_DATA, true) => {
                self.data = [byte(self.command), byte(self.command.wrapping_add(1))];
                self.pointer = self.command.wrapping_add(2);
            }
            _ => return None,
        }
        Some(())
    }
}

/// The bytes of an EEPROM from hexadecimal digits; `None` if they are none, or too many.
pub fn parse_eeprom(digits: &str) -> Option<Vec<u8>> {
    let digit = |c: &u8| char::from(*c).to_digit(16).map(|d| d as u8);
    let fits = digits.len().is_multiple_of(2) && digits.len() / 2 <= EEPROM_LEN;
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.last()?)?);
    if fits { digits.as_bytes().chunks(2).map(byte).collect() } else { None }
}
