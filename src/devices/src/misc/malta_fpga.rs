//! Registers of the MIPS Malta board in its FPGA ("MIPS Malta User's Manual", MD00048, chapter 7
//! of revision 1.07): switches, displays, soft reset, and the bus to the memory module's EEPROM.
//!
//! Registers are 32 bits wide, 8 bytes apart, and in the processor's byte order. The eight
//! character display is in the device's state, and each change of it in the log. The UART on the
//! same bus is a device of its own, whose window lies over this one. Left out, and reported when
//! used: the NMI button, and the reset by a break condition on a serial line (BRKRES is kept).

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset, Services, State, SystemRequest, Width,
    Window, WindowDecl, check_register_read, check_register_write, registers,
};

registers! {
    /// Registers.
    REGISTERS: u32;

    0x00024 NMISTATUS ro: unmodelled
    0x00104 NMIACK wo: unmodelled
    /// Switch S2: all off.
    0x00200 SWITCH ro { 7:0 S2 }
    /// MFWR: the monitor flash can be written. BIGEND: the processor is big-endian.
    0x00208 STATUS ro = 0x10 { 1 BIGEND, 2 S53, 3 S54, 4 MFWR }
    0x00210 JMPRS ro { 1 EELOCK, 4:2 PCICLK }
    0x00408 LEDBAR rw { 7:0 BAR }
    /// Shows the value in hexadecimal.
    0x00410 ASCIIWORD wo
    0x00418 ASCIIPOS[8; 8] wo { 7:0 VALUE }
    /// 0x42 resets the board.
    0x00500 SOFTRES wo { 7:0 VALUE }
    0x00508 BRKRES rw = 0xa { 7:0 WIDTH }
    0x00a00 GPOUT rw { 7:0 OUTVAL }
    0x00a08 GPINP ro = 0x3 { 7:0 INPVAL }
    0x00b00 I2CINP ro { 0 SDA, 1 SCL }
    0x00b08 I2COE rw { 0 SDA, 1 SCL }
    0x00b10 I2COUT rw = 0x3 { 0 SDA, 1 SCL }
    /// Who drives the bus: the FPGA (1) or the south bridge.
    0x00b18 I2CSEL rw = 0x1 { 0 FPGA }
}

/// Written to SOFTRES it resets the board.
const GORESET: u64 = 0x42;
/// Length of the FPGA's part of the address map.
const LEN: u64 = 1 << 20;
/// Address of the memory module's EEPROM on its bus.
const EEPROM_ADDRESS: u8 = 0x50;
/// What the EEPROM holds.
const EEPROM_LEN: usize = 256;

/// What the EEPROM does with the clocks that come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, State)]
#[repr(u8)]
enum Phase {
    /// Waits for a start condition.
    #[default]
    Idle,
    /// Receives the address.
    Address,
    /// Receives the number of a byte.
    Pointer,
    /// Receives bytes to be kept, which it does not.
    Write,
    /// Sends.
    Read,
}

/// A two-wire EEPROM (Atmel 24C02), write-protected.
#[derive(State)]
struct Eeprom {
    phase: Phase,
    /// Clocks of the present byte: 8 for it, one to acknowledge.
    clocks: u8,
    shift: u8,
    pointer: u8,
    /// It holds the data line down.
    low: bool,
    /// The other end has acknowledged what was sent.
    acknowledged: bool,
    scl: bool,
    sda: bool,
    #[state(skip)]
    contents: [u8; EEPROM_LEN],
}

impl Eeprom {
    /// Levels of the wires, as the other end leaves them.
    fn wires(&mut self, scl: bool, sda: bool) {
        let (old_scl, old_sda) = (self.scl, self.sda);
        (self.scl, self.sda) = (scl, sda);
        match (old_scl, scl) {
            (true, true) if old_sda != sda => {
                (self.clocks, self.low) = (0, false);
                // Data going down while the clock is up is a start, going up a stop.
                self.phase = if sda { Phase::Idle } else { Phase::Address };
            }
            (false, true) => self.rising(sda),
            (true, false) => self.falling(),
            _ => {}
        }
    }

    fn rising(&mut self, sda: bool) {
        match (self.phase, self.clocks) {
            (Phase::Idle, _) => {}
            (Phase::Read, 8) => self.acknowledged = !sda,
            (Phase::Read, _) | (_, 8) => {}
            _ => self.shift = self.shift << 1 | u8::from(sda),
        }
        self.clocks = (self.clocks + 1).min(9);
    }

    fn falling(&mut self) {
        match (self.phase, self.clocks) {
            (Phase::Idle, _) => {}
            (Phase::Read, 9) if !self.acknowledged => (self.phase, self.low) = (Phase::Idle, false),
            (Phase::Read, 9) => self.next_byte(),
            (Phase::Read, 8) => self.low = false,
            (Phase::Read, n) => self.low = self.shift & 0x80 >> n == 0,
            // Another device's address.
            (Phase::Address, 8) if self.shift >> 1 != EEPROM_ADDRESS => self.phase = Phase::Idle,
            // Bytes to be kept are not acknowledged: the module is write-protected.
            (phase, 8) => self.low = phase != Phase::Write,
            (Phase::Address, 9) if self.shift & 1 != 0 => {
                self.phase = Phase::Read;
                self.next_byte();
            }
            (phase, 9) => {
                if phase == Phase::Pointer {
                    self.pointer = self.shift;
                }
                self.phase = if phase == Phase::Address { Phase::Pointer } else { Phase::Write };
                (self.clocks, self.low) = (0, false);
            }
            _ => {}
        }
    }

    fn next_byte(&mut self) {
        self.shift = self.contents.get(usize::from(self.pointer)).copied().unwrap_or(0xff);
        self.pointer = self.pointer.wrapping_add(1);
        self.clocks = 0;
        self.low = self.shift & 0x80 == 0;
    }
}

/// What a module of so many bytes of memory says of itself (JEDEC standard 21-C, section 4.1.2.5):
/// one bank of synchronous memory of the largest power of two that there is.
pub fn presence(memory: u64) -> [u8; EEPROM_LEN] {
    let bits = memory.clamp(8 << 20, 256 << 20).ilog2();
    // Four banks inside of words of 8 bytes take five bits of an address.
    let (rows, columns) = if bits - 5 > 21 { (13, bits - 5 - 13) } else { (12, bits - 5 - 12) };
    let mut spd = [0; EEPROM_LEN];
    spd[..20].copy_from_slice(&[128, 8, 4, rows as u8, columns as u8, 1, 64, 0, 1, 0x75, 0x54, 0, 0x82, 8, 0, 1, 0x8f, 4, 6, 1]);
    spd[20..32].copy_from_slice(&[1, 0, 0x0e, 0, 0, 0, 0, 0x14, 0x0f, 0x14, 0x2d, 1 << (bits - 22).min(7)]);
    spd[62] = 0x12;
    spd[63] = spd[..63].iter().fold(0, |sum: u8, b| sum.wrapping_add(*b));
    spd
}

#[derive(State)]
#[state(version = 1)]
struct MaltaFpga {
    ledbar: u8,
    #[state(reset = [b' '; 8])]
    display: [u8; 8],
    #[state(reset = BRKRES_RESET as u8)]
    brkres: u8,
    gpout: u8,
    i2coe: u8,
    #[state(reset = I2COUT_RESET as u8)]
    i2cout: u8,
    #[state(reset = I2CSEL_RESET as u8)]
    i2csel: u8,
    eeprom: Eeprom,
    #[state(skip)]
    big_endian: bool,
}

impl MaltaFpga {
    fn new(props: &Props) -> Result<MaltaFpga, PropError> {
        let eeprom = Eeprom {
            phase: Phase::Idle,
            clocks: 0,
            shift: 0,
            pointer: 0,
            low: false,
            acknowledged: false,
            scl: false,
            sda: false,
            contents: presence(props.u64("memory")),
        };
        let big_endian = props.bool("big-endian");
        let mut fpga = MaltaFpga { ledbar: 0, display: [0; 8], brkres: 0, gpout: 0, i2coe: 0, i2cout: 0, i2csel: 0, eeprom, big_endian };
        fpga.reset_state();
        Ok(fpga)
    }

    /// Levels that the FPGA leaves on the bus: what it drives, and a pull-up.
    fn driven(&self) -> u8 {
        if self.i2csel & I2CSEL_FPGA as u8 == 0 { 0b11 } else { self.i2cout | !self.i2coe }
    }

    fn bus_changed(&mut self) {
        let driven = u64::from(self.driven());
        let sda = driven & I2CINP_SDA != 0 && !self.eeprom.low;
        self.eeprom.wires(driven & I2CINP_SCL != 0, sda);
    }

    fn show(&mut self) {
        let text: String = self.display.iter().map(|c| if c.is_ascii_graphic() || *c == b' ' { char::from(*c) } else { '.' }).collect();
        tracing::debug!("display: '{text}'");
    }
}

impl Device for MaltaFpga {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        let value: u64 = match at {
            SWITCH => SWITCH_RESET,
            STATUS => STATUS_RESET | if self.big_endian { STATUS_BIGEND } else { 0 },
            JMPRS => JMPRS_RESET,
            LEDBAR => self.ledbar.into(),
            BRKRES => self.brkres.into(),
            GPOUT => self.gpout.into(),
            GPINP => GPINP_RESET,
            I2CINP => {
                let driven = u64::from(self.driven());
                driven & I2CINP_SCL | if self.eeprom.low { 0 } else { driven & I2CINP_SDA }
            }
            I2COE => self.i2coe.into(),
            I2COUT => self.i2cout.into(),
            I2CSEL => self.i2csel.into(),
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        };
        Ok(self.order(value))
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        let value = self.order(value);
        let byte = value as u8;
        match at {
            LEDBAR => self.ledbar = byte,
            ASCIIWORD => {
                for (n, c) in self.display.iter_mut().enumerate() {
                    *c = b"0123456789ABCDEF"[(value >> (28 - 4 * n)) as usize & 0xf];
                }
                self.show();
            }
            at if (ASCIIPOS..ASCIIPOS + ASCIIPOS_COUNT * ASCIIPOS_STRIDE).contains(&at) && (at - ASCIIPOS).is_multiple_of(ASCIIPOS_STRIDE) => {
                if let Some(c) = self.display.get_mut(((at - ASCIIPOS) / ASCIIPOS_STRIDE) as usize) {
                    *c = byte;
                }
                self.show();
            }
            SOFTRES if value & SOFTRES_VALUE == GORESET => cx.system(SystemRequest::Reset),
            SOFTRES => {}
            BRKRES => self.brkres = byte,
            GPOUT => self.gpout = byte,
            I2COE | I2COUT | I2CSEL => {
                let register = match at {
                    I2COE => &mut self.i2coe,
                    I2COUT => &mut self.i2cout,
                    _ => &mut self.i2csel,
                };
                *register = byte & 3;
                self.bus_changed();
            }
            _ => check_register_write(cx, REGISTERS, at, value),
        }
        Ok(())
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
        self.bus_changed();
    }
}

impl MaltaFpga {
    /// A register's value in the order of the bytes on the bus, and back.
    fn order(&self, value: u64) -> u64 {
        if self.big_endian { u64::from((value as u32).swap_bytes()) } else { value }
    }
}

/// The device type.
pub static MALTA_FPGA: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "big-endian", kind: PropertyKind::Bool, default: PropertyDefault::Bool(false), doc: "Byte order of the processor" },
        PropertyDecl { name: "memory", kind: PropertyKind::Size, default: PropertyDefault::U64(128 << 20), doc: "Size that the memory module tells of" },
    ],
    windows: &[WindowDecl { priority: -1, ..WindowDecl::mmio("regs", LEN, AccessRule::WORD) }],
    registers: &[REGISTERS],
    ..DeviceType::new("malta-fpga", "Registers of the MIPS Malta board", |props| Ok(Box::new(MaltaFpga::new(props)?)))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::conformance::check;
    use proteus_model::testing::Bench;

    fn bench(big_endian: &str) -> Bench {
        Bench::new(&MALTA_FPGA, &[("big-endian", big_endian)])
    }

    #[test]
    fn conforms() {
        check(&MALTA_FPGA).unwrap();
    }

    #[test]
    fn registers_are_in_the_order_of_the_processor() {
        let (little, big) = (bench("off"), bench("on"));
        for (at, value, of_big) in [(STATUS, 0x10, 0x12), (BRKRES, 0xa, 0xa), (GPINP, 3, 3), (I2COUT, 3, 3), (I2CSEL, 1, 1), (I2CINP, 3, 3), (SWITCH, 0, 0)] {
            assert_eq!((little.read32("regs", at), big.read32("regs", at).swap_bytes()), (value, of_big), "{at:#x}");
        }
        big.write32("regs", LEDBAR, 0x5a00_0000);
        assert_eq!(big.read("regs", LEDBAR + 3, Width::B1), Ok(0x5a));
        little.write32("regs", LEDBAR, 0x5a);
        assert_eq!(little.read("regs", LEDBAR, Width::B1), Ok(0x5a));
    }

    fn shown(b: &Bench) -> bool {
        // Names and values of all leaves of the state.
        format!("{:?}", b.machine.save()).contains(&format!("{:?}", b"PROTEUS!").trim_matches(['[', ']']).to_string())
    }

    #[test]
    fn the_display_shows_characters_and_words() {
        let b = bench("off");
        for (n, c) in b"PROTEUS!".iter().enumerate() {
            assert!(!shown(&b));
            b.write32("regs", ASCIIPOS + 8 * n as u64, (*c).into());
        }
        assert!(shown(&b));
        b.write32("regs", ASCIIWORD, 0x1234_abcd);
        assert!(!shown(&b));
        assert_eq!(b.machine.counters().guest_errors, 0);
    }

    #[test]
    fn the_soft_reset_needs_its_word() {
        let b = bench("on");
        b.write32("regs", SOFTRES, 0x4100_0000);
        b.write32("regs", SOFTRES, 0x0000_0042);
        assert_eq!(b.machine.take_request(), None);
        b.write32("regs", SOFTRES, 0x4200_0000);
        assert_eq!(b.machine.take_request(), Some(SystemRequest::Reset));
    }

    /// The other end of the bus, as firmware is.
    struct Master<'a>(&'a Bench);

    impl Master<'_> {
        /// Sets the clock, and the data line or lets go of it.
        fn set(&self, scl: u32, sda: u32) {
            self.0.write32("regs", I2COUT, scl << 1);
            // The clock is always driven, data only when it is low.
            self.0.write32("regs", I2COE, 0b10 | (sda ^ 1));
        }
        fn bit(&self, sda: u32) -> u32 {
            self.set(0, sda);
            self.set(1, sda);
            let read = self.0.read32("regs", I2CINP) & 1;
            self.set(0, sda);
            read
        }
        fn start(&self) {
            self.set(0, 1);
            self.set(1, 1);
            self.set(1, 0);
            self.set(0, 0);
        }
        fn stop(&self) {
            self.set(0, 0);
            self.set(1, 0);
            self.set(1, 1);
        }
        /// True if it was acknowledged.
        fn send(&self, byte: u8) -> bool {
            for n in (0..8).rev() {
                self.bit(u32::from(byte >> n) & 1);
            }
            self.bit(1) == 0
        }
        fn receive(&self, more: bool) -> u8 {
            let byte = (0..8).fold(0, |byte, _| byte << 1 | self.bit(1));
            self.bit(u32::from(!more));
            byte as u8
        }
    }

    #[test]
    fn the_memory_module_tells_of_its_size() {
        for (memory, rows, columns, density) in [("128M", 13, 9, 0x20), ("256M", 13, 10, 0x40), ("64M", 12, 9, 0x10), ("1G", 13, 10, 0x40)] {
            let b = Bench::new(&MALTA_FPGA, &[("memory", memory)]);
            let m = Master(&b);
            m.start();
            assert!(!m.send(0x52 << 1), "nobody has this address");
            m.stop();
            m.start();
            assert!(m.send(0x50 << 1) && m.send(2));
            m.start();
            assert!(m.send(0x50 << 1 | 1));
            let bytes: Vec<u8> = (0..30).map(|n| m.receive(n != 29)).collect();
            m.stop();
            assert_eq!((bytes[0], bytes[1], bytes[2], bytes[29]), (4, rows, columns, density), "{memory}");
            // On from where it stopped; and the check sum is right.
            m.start();
            assert!(m.send(0x50 << 1 | 1));
            assert_eq!(m.receive(false), 0);
            m.stop();
            let spd = presence(128 << 20);
            assert_eq!(spd[..63].iter().fold(0, |sum: u8, b| sum.wrapping_add(*b)), spd[63]);
            // It cannot be written.
            m.start();
            assert!(m.send(0x50 << 1) && m.send(0) && !m.send(7));
            m.stop();
            m.start();
            assert!(m.send(0x50 << 1) && m.send(0));
            m.start();
            assert!(m.send(0x50 << 1 | 1));
            assert_eq!(m.receive(false), 128);
            m.stop();
        }
    }
}
