//! A pair of programmable interrupt controllers (Intel 8259A, order number 231468) as personal
//! computers and their south bridges have them: the second chip's INT is input 2 of the first.
//!
//! The edge and level control registers are those of south bridges (Intel 82371AB, order number
//! 290562, section 4.2.4); an input is level-sensitive if its bit there or LTIM says so. The
//! processor's interrupt acknowledge cycle is a read of window "inta", which gives the vector; the
//! board places it where no guest's port access reaches.
//!
//! An input must stay high until it is acknowledged, in edge mode too. If it does not, the
//! acknowledge gives input 7 and sets no in-service bit.
//!
//! Left out: the CALL instruction that is the vector in MCS-80 mode (without uPM of ICW4), and
//! what buffered mode does to the SP/EN pin.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Event, PinDecl, Reset, Services, State, Width, Window, WindowDecl, check_register_read, check_register_write,
    registers,
};

registers! {
    /// Registers of either chip.
    REGISTERS: u8;

    /// IRR or ISR, as OCW3 has selected, or the answer to a poll.
    0 STATUS ro
    /// ICW1 (with bit 4), OCW2, or OCW3 (with bit 3).
    0 COMMAND wo
    /// The mask, OCW1; after ICW1 it takes ICW2, ICW3 and ICW4.
    1 MASK rw
}

registers! {
    /// Edge and level control registers.
    ELCR_REGISTERS: u8;

    /// A set bit makes an input of the first chip level-sensitive. Inputs 0 to 2 cannot be.
    0 ELCR1 rw { 7:3 ECL }
    /// The same for the second chip. Inputs 8 and 13 cannot be.
    1 ELCR2 rw { 7:6 ECL_HIGH, 4:1 ECL_LOW }
}

registers! {
    /// The interrupt acknowledge cycle.
    INTA_REGISTERS: u8;

    /// A read acknowledges the interrupt and gives its vector.
    0 INTA ro
}

/// Bits of COMMAND when [`ICW1`] is set.
mod icw1 {
    /// ICW4 follows.
    pub const IC4: u8 = 1;
    /// There is no cascade, and no ICW3.
    pub const SNGL: u8 = 1 << 1;
    /// All inputs are level-sensitive.
    pub const LTIM: u8 = 1 << 3;
}

/// Bits of ICW4.
mod icw4 {
    /// Vectors are those of 8086 mode.
    pub const UPM: u8 = 1;
    /// The acknowledge ends the interrupt.
    pub const AEOI: u8 = 1 << 1;
    /// A slave in service may interrupt again.
    pub const SFNM: u8 = 1 << 4;
}

/// Bits of COMMAND when it is OCW3.
mod ocw3 {
    /// Gives IRR (0) or ISR (1), if RR is set.
    pub const RIS: u8 = 1;
    pub const RR: u8 = 1 << 1;
    pub const POLL: u8 = 1 << 2;
    /// Special mask mode, if ESMM is set.
    pub const SMM: u8 = 1 << 5;
    pub const ESMM: u8 = 1 << 6;
}

/// In COMMAND: it is ICW1.
const ICW1: u8 = 1 << 4;
/// In COMMAND without [`ICW1`]: it is OCW3.
const OCW3: u8 = 1 << 3;
/// In the answer to a poll: something is requested.
const POLL_REQUEST: u8 = 1 << 7;
/// The input that a chip without a request answers with.
const DEFAULT: u8 = 7;

/// Input of the first chip, and identity of the second.
const CASCADE: u8 = 2;
const MASTER: usize = 0;
const SLAVE: usize = 1;
const CHIPS: usize = 2;

const ELCR_WINDOW: Window = Window(2);
const INTA_WINDOW: Window = Window(3);
/// Inputs that can be level-sensitive, of each chip.
const ELCR_MASK: [u8; CHIPS] = [ELCR1_ECL as u8, (ELCR2_ECL_HIGH | ELCR2_ECL_LOW) as u8];
const INTR: usize = 0;

/// What a chip takes the next write of its odd port for.
#[derive(State, Default, Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Stage {
    /// OCW1; it was never initialized, and requests nothing.
    #[default]
    PowerOn,
    Icw2,
    Icw3,
    Icw4,
    /// OCW1.
    Ready,
}

/// One 8259A.
#[derive(State, Default)]
struct Chip {
    /// Levels of the inputs.
    lines: u8,
    /// Inputs that have risen and were not acknowledged since.
    risen: u8,
    /// In service.
    isr: u8,
    imr: u8,
    elcr: u8,
    icw1: u8,
    /// The vector of input 0.
    base: u8,
    icw3: u8,
    icw4: u8,
    stage: Stage,
    /// The input with the lowest priority.
    #[state(reset = DEFAULT)]
    lowest: u8,
    /// Automatic ends of interrupts rotate.
    rotates: bool,
    special_mask: bool,
    /// STATUS is ISR.
    reads_isr: bool,
    /// The next read is a poll.
    polled: bool,
}

impl Chip {
    /// Inputs that request.
    fn irr(&self) -> u8 {
        let level = if self.icw1 & icw1::LTIM != 0 { 0xff } else { self.elcr };
        self.lines & (self.risen | level)
    }

    fn set_line(&mut self, line: u8, high: bool) {
        let bit = 1 << line;
        if high {
            self.risen |= bit & !self.lines;
            self.lines |= bit;
        } else {
            self.risen &= !bit;
            self.lines &= !bit;
        }
    }

    /// 0 for the highest priority.
    fn rank(&self, line: u8) -> u8 {
        line.wrapping_sub(self.lowest).wrapping_sub(1) & 7
    }

    /// The line of highest priority among `lines`.
    fn first(&self, lines: u8) -> Option<u8> {
        (0..8).filter(|line| lines >> line & 1 != 0).min_by_key(|line| self.rank(*line))
    }

    /// What is in service as far as it holds others back or can be ended without a name.
    fn serving(&self) -> Option<u8> {
        self.first(if self.special_mask { self.isr & !self.imr } else { self.isr })
    }

    /// Inputs with a chip behind them.
    fn slaves(&self) -> u8 {
        if self.icw1 & icw1::SNGL != 0 { 0 } else { self.icw3 }
    }

    /// The input for which INT is high.
    fn request(&self) -> Option<u8> {
        if self.stage != Stage::Ready {
            return None;
        }
        let line = self.first(self.irr() & !self.imr)?;
        let nested = self.icw4 & icw4::SFNM != 0 && self.slaves() >> line & 1 != 0;
        let passes = match self.serving() {
            None => true,
            Some(serving) => self.rank(line) < self.rank(serving) || nested && line == serving,
        };
        passes.then_some(line)
    }

    /// An acknowledge: gives the input, and whether it requested anything.
    fn acknowledge(&mut self) -> (u8, bool) {
        let Some(line) = self.request() else { return (DEFAULT, false) };
        self.risen &= !(1 << line);
        if self.icw4 & icw4::AEOI == 0 {
            self.isr |= 1 << line;
        } else if self.rotates {
            self.lowest = line;
        }
        (line, true)
    }

    fn initialize(&mut self, value: u8) {
        self.icw1 = value;
        self.risen = 0;
        self.imr = 0;
        // The datasheet does not say so, but all parts do, and drivers count on it.
        self.isr = 0;
        self.lowest = DEFAULT;
        self.icw3 = 0;
        self.special_mask = false;
        self.reads_isr = false;
        self.polled = false;
        if value & icw1::IC4 == 0 {
            self.icw4 = 0;
        }
        self.stage = Stage::Icw2;
    }

    /// OCW2: ends of interrupts, and rotation.
    fn end(&mut self, cx: &mut dyn Services, value: u8) {
        let level = value & 7;
        match value >> 5 {
            0b000 => self.rotates = false,
            0b100 => self.rotates = true,
            0b001 | 0b101 => {
                let Some(line) = self.serving() else { return };
                self.isr &= !(1 << line);
                if value >> 5 == 0b101 {
                    self.lowest = line;
                }
            }
            0b011 => self.isr &= !(1 << level),
            0b111 => {
                self.isr &= !(1 << level);
                self.lowest = level;
            }
            0b110 => self.lowest = level,
            _ => {
                if value != 0x40 {
                    cx.guest_error(format_args!("OCW2 {value:#x} does nothing"));
                }
            }
        }
    }

    fn write_command(&mut self, cx: &mut dyn Services, value: u8) {
        if value & ICW1 != 0 {
            self.initialize(value);
        } else if value & OCW3 != 0 {
            self.polled |= value & ocw3::POLL != 0;
            if value & ocw3::RR != 0 {
                self.reads_isr = value & ocw3::RIS != 0;
            }
            if value & ocw3::ESMM != 0 {
                self.special_mask = value & ocw3::SMM != 0;
            }
        } else {
            self.end(cx, value);
        }
    }

    /// Writes the odd port.
    fn write_mask(&mut self, cx: &mut dyn Services, value: u8) {
        match self.stage {
            Stage::PowerOn | Stage::Ready => self.imr = value,
            Stage::Icw2 => {
                self.base = value & 0xf8;
                let cascaded = self.icw1 & icw1::SNGL == 0;
                self.stage = if cascaded { Stage::Icw3 } else { self.after_icw3(cx) };
            }
            Stage::Icw3 => {
                self.icw3 = value;
                self.stage = self.after_icw3(cx);
            }
            Stage::Icw4 => {
                self.icw4 = value & 0x1f;
                self.check_mode(cx);
                self.stage = Stage::Ready;
            }
        }
    }

    fn after_icw3(&self, cx: &mut dyn Services) -> Stage {
        if self.icw1 & icw1::IC4 != 0 {
            return Stage::Icw4;
        }
        self.check_mode(cx);
        Stage::Ready
    }

    fn check_mode(&self, cx: &mut dyn Services) {
        if self.icw4 & icw4::UPM == 0 {
            cx.unimplemented(format_args!("vectors of MCS-80 mode"));
        }
    }
}

#[derive(State, Default)]
#[state(version = 1)]
struct I8259Pair {
    chips: [Chip; CHIPS],
}

impl I8259Pair {
    /// Carries the second chip's INT to the first.
    fn cascade(&mut self) {
        let [master, slave] = &mut self.chips;
        master.set_line(CASCADE, slave.request().is_some());
    }

    /// An acknowledge of one chip, during which its INT falls, so that a further request is a new
    /// edge.
    fn acknowledge(&mut self, chip: usize) -> (u8, bool) {
        let answer = self.chips[chip].acknowledge();
        if chip == SLAVE {
            self.chips[MASTER].set_line(CASCADE, false);
        }
        answer
    }

    /// The processor's acknowledge cycle.
    fn vector(&mut self, cx: &mut dyn Services) -> u8 {
        let (line, _) = self.acknowledge(MASTER);
        let master = &self.chips[MASTER];
        if master.slaves() >> line & 1 == 0 {
            return master.base | line;
        }
        let slave = &self.chips[SLAVE];
        let answers = slave.stage == Stage::Ready && slave.icw1 & icw1::SNGL == 0 && slave.icw3 & 7 == line;
        if line != CASCADE || !answers {
            cx.guest_error(format_args!("acknowledge of input {line}, where no chip answers to ICW3"));
            return 0xff;
        }
        let (line, _) = self.acknowledge(SLAVE);
        self.chips[SLAVE].base | line
    }

    fn read_port(&mut self, chip: usize, at: u64) -> u8 {
        if std::mem::take(&mut self.chips[chip].polled) {
            // Either port answers a poll.
            let (line, requested) = self.acknowledge(chip);
            return if requested { POLL_REQUEST | line } else { 0 };
        }
        let chip = &self.chips[chip];
        match at {
            MASK => chip.imr,
            _ if chip.reads_isr => chip.isr,
            _ => chip.irr(),
        }
    }
}

impl Device for I8259Pair {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        let value = match w {
            Window(chip @ (MASTER | SLAVE)) => self.read_port(chip, at),
            ELCR_WINDOW => self.chips[(at & 1) as usize].elcr,
            INTA_WINDOW => self.vector(cx),
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        };
        self.cascade();
        Ok(value.into())
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        let value = value as u8;
        match w {
            Window(chip @ (MASTER | SLAVE)) if at == COMMAND => self.chips[chip].write_command(cx, value),
            Window(chip @ (MASTER | SLAVE)) => self.chips[chip].write_mask(cx, value),
            ELCR_WINDOW => {
                let chip = (at & 1) as usize;
                if value & !ELCR_MASK[chip] != 0 {
                    cx.guest_error(format_args!("ELCR{} written as {value:#x}: some of these inputs are always edges", chip + 1));
                }
                self.chips[chip].elcr = value & ELCR_MASK[chip];
            }
            _ => check_register_write(cx, INTA_REGISTERS, at, value.into()),
        }
        self.cascade();
        Ok(())
    }

    fn event(&mut self, _: &mut dyn Services, event: Event<'_>) {
        // What is wired to the input of the cascade reaches nothing.
        if let Event::Pin { pin: pin @ 0..16, level } = event
            && pin != usize::from(CASCADE)
        {
            self.chips[pin / 8].set_line((pin % 8) as u8, level);
            self.cascade();
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(INTR, self.chips[MASTER].request().is_some());
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        // Inputs that are high will be told of afterwards.
        self.reset_state();
    }
}

/// The device type.
pub static I8259_PAIR: DeviceType = DeviceType {
    windows: &[
        WindowDecl::pio("master", 2, AccessRule::BYTE),
        WindowDecl::pio("slave", 2, AccessRule::BYTE),
        WindowDecl::pio("elcr", 2, AccessRule::BYTE),
        WindowDecl::pio("inta", 1, AccessRule::BYTE),
    ],
    outputs: &[PinDecl::one("intr")],
    inputs: &[PinDecl::many("irq", 16)],
    registers: &[REGISTERS, REGISTERS, ELCR_REGISTERS, INTA_REGISTERS],
    ..DeviceType::new("i8259-pair", "Two cascaded interrupt controllers (Intel 8259A)", |_| {
        let mut pair = I8259Pair::default();
        pair.reset_state();
        Ok(Box::new(pair))
    })
};

#[cfg(test)]
#[path = "i8259_tests.rs"]
mod tests;
