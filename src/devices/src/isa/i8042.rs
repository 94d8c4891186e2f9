//! Keyboard controller (Intel 8042, with the firmware of the IBM PS/2; "IBM Personal System/2
//! Hardware Interface Technical Reference", keyboard controller), with a keyboard and a mouse.
//!
//! Keyboard and mouse answer their commands and send nothing by themselves: no input of the host
//! reaches them. What the keyboard sends is translated to scan code set 1 if that is on, answers too.
//! Left out: the test inputs, secure mode, and output port bits other than reset and A20.

use std::collections::VecDeque;

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, PinDecl, Reset, Services, State, SystemRequest, Width, Window, WindowDecl, check_register_write, registers,
};

registers! {
    /// Port 60h.
    DATA_PORT: u8;

    0 DATA rw
}

registers! {
    /// Port 64h: status when it is read, command when it is written.
    COMMAND_PORT: u8;

    0 STATUS rw = 0x1c { 0 OBF, 1 IBF, 2 SYS, 3 CMD, 4 UNLOCKED, 5 AUX, 6 TIMEOUT, 7 PARITY }
}

/// Bits of the command byte.
mod mode {
    pub const KEYBOARD_IRQ: u8 = 1;
    pub const MOUSE_IRQ: u8 = 1 << 1;
    pub const SYS: u8 = 1 << 2;
    pub const KEYBOARD_OFF: u8 = 1 << 4;
    pub const MOUSE_OFF: u8 = 1 << 5;
    pub const TRANSLATE: u8 = 1 << 6;
}

/// Commands of the controller.
mod command {
    pub const READ_MEMORY: u8 = 0x20;
    pub const READ_MEMORY_END: u8 = 0x3f;
    pub const WRITE_MEMORY: u8 = 0x60;
    pub const WRITE_MEMORY_END: u8 = 0x7f;
    pub const MOUSE_DISABLE: u8 = 0xa7;
    pub const MOUSE_ENABLE: u8 = 0xa8;
    pub const MOUSE_TEST: u8 = 0xa9;
    pub const SELF_TEST: u8 = 0xaa;
    pub const KEYBOARD_TEST: u8 = 0xab;
    pub const KEYBOARD_DISABLE: u8 = 0xad;
    pub const KEYBOARD_ENABLE: u8 = 0xae;
    pub const READ_OUTPUT: u8 = 0xd0;
    pub const WRITE_OUTPUT: u8 = 0xd1;
    pub const ANSWER_AS_KEYBOARD: u8 = 0xd2;
    pub const ANSWER_AS_MOUSE: u8 = 0xd3;
    pub const WRITE_MOUSE: u8 = 0xd4;
    pub const A20_OFF: u8 = 0xdd;
    pub const A20_ON: u8 = 0xdf;
    /// Pulses outputs that are 0 in its low bits; bit 0 is the reset.
    pub const PULSE: u8 = 0xf0;
}

/// Bits of the output port.
const OUT_RUN: u8 = 1;
const OUT_A20: u8 = 1 << 1;
const OUT_INITIAL: u8 = 0xcf;

/// Answers.
const ACK: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const PASSED: u8 = 0xaa;
const CONTROLLER_PASSED: u8 = 0x55;

/// Commands that keyboard and mouse share.
const RESET: u8 = 0xff;
const DEFAULTS: u8 = 0xf6;
const DISABLE: u8 = 0xf5;
const ENABLE: u8 = 0xf4;
const SET_RATE: u8 = 0xf3;
const IDENTIFY: u8 = 0xf2;

/// Answers that wait at most.
const ROOM: usize = 32;
const KEYBOARD_PIN: usize = 0;
const MOUSE_PIN: usize = 1;
const A20_PIN: usize = 2;

/// What keyboard and mouse have in common: they answer bytes, some of which take an argument.
#[derive(State, Default)]
struct Peer {
    #[state(max = ROOM)]
    answers: VecDeque<u8>,
    /// The command whose argument is awaited, or 0.
    pending: u8,
    enabled: bool,
    /// The keyboard's scan code set.
    set: u8,
    /// The mouse's settings, for its status.
    resolution: u8,
    rate: u8,
    scaled: bool,
    remote: bool,
}

impl Peer {
    fn answer(&mut self, bytes: &[u8]) {
        self.answers.extend(bytes.iter().take(ROOM - self.answers.len()));
    }

    fn defaults(&mut self) {
        (self.set, self.resolution, self.rate, self.scaled, self.remote, self.enabled) = (2, 2, 100, false, false, false);
    }

    /// A byte for the keyboard.
    fn keyboard(&mut self, byte: u8) {
        const LEDS: u8 = 0xed;
        const ECHO: u8 = 0xee;
        const SCAN_CODES: u8 = 0xf0;
        match std::mem::take(&mut self.pending) {
            SCAN_CODES if byte == 0 => return self.answer(&[ACK, self.set]),
            SCAN_CODES => {
                self.set = byte.clamp(1, 3);
                return self.answer(&[ACK]);
            }
            LEDS | SET_RATE => return self.answer(&[ACK]),
            _ => {}
        }
        self.answers.clear();
        match byte {
            RESET => {
                self.defaults();
                self.enabled = true;
                self.answer(&[ACK, PASSED]);
            }
            IDENTIFY => self.answer(&[ACK, 0xab, 0x83]),
            ECHO => self.answer(&[ECHO]),
            LEDS | SET_RATE | SCAN_CODES => {
                self.pending = byte;
                self.answer(&[ACK]);
            }
            ENABLE => {
                self.enabled = true;
                self.answer(&[ACK]);
            }
            DISABLE | DEFAULTS => {
                self.defaults();
                self.enabled = byte == DEFAULTS;
                self.answer(&[ACK]);
            }
            0xf7..=0xfd => self.answer(&[ACK]),
            _ => self.answer(&[RESEND]),
        }
    }

    /// A byte for the mouse.
    fn mouse(&mut self, byte: u8) {
        const SCALE_1: u8 = 0xe6;
        const SCALE_2: u8 = 0xe7;
        const RESOLUTION: u8 = 0xe8;
        const READ_STATUS: u8 = 0xe9;
        const STREAM: u8 = 0xea;
        const READ_DATA: u8 = 0xeb;
        const REMOTE: u8 = 0xf0;
        match std::mem::take(&mut self.pending) {
            RESOLUTION => {
                self.resolution = byte;
                return self.answer(&[ACK]);
            }
            SET_RATE => {
                self.rate = byte;
                return self.answer(&[ACK]);
            }
            _ => {}
        }
        self.answers.clear();
        match byte {
            RESET => {
                self.defaults();
                return self.answer(&[ACK, PASSED, 0]);
            }
            IDENTIFY => return self.answer(&[ACK, 0]),
            READ_STATUS => {
                let flags = u8::from(self.remote) << 6 | u8::from(self.enabled) << 5 | u8::from(self.scaled) << 4;
                return self.answer(&[ACK, flags, self.resolution, self.rate]);
            }
            READ_DATA => return self.answer(&[ACK, 8, 0, 0]),
            DEFAULTS => self.defaults(),
            ENABLE | DISABLE => self.enabled = byte == ENABLE,
            SCALE_1 | SCALE_2 => self.scaled = byte == SCALE_2,
            STREAM | REMOTE => self.remote = byte == REMOTE,
            RESOLUTION | SET_RATE => self.pending = byte,
            _ => return self.answer(&[RESEND]),
        }
        self.answer(&[ACK]);
    }
}

#[derive(State, Default)]
#[state(version = 1)]
struct I8042 {
    /// Byte 0 of the controller's memory is its mode.
    memory: [u8; 32],
    #[state(reset = OUT_INITIAL)]
    output: u8,
    /// The command whose argument is awaited, or 0.
    pending: u8,
    command_last: bool,
    /// Answers of the controller itself: the byte, and whether it is for the mouse's side.
    #[state(max = ROOM)]
    own: VecDeque<(u8, bool)>,
    keyboard: Peer,
    mouse: Peer,
    /// The byte in the output buffer, and whether it is the mouse's.
    full: Option<(u8, bool)>,
    last: u8,
}

impl I8042 {
    fn new() -> I8042 {
        let mut controller = I8042 { output: OUT_INITIAL, ..I8042::default() };
        controller.initial();
        controller
    }

    fn initial(&mut self) {
        self.memory[0] = mode::KEYBOARD_IRQ | mode::MOUSE_IRQ | mode::SYS;
        self.keyboard.defaults();
        self.keyboard.enabled = true;
        self.mouse.defaults();
    }

    fn mode(&self, bit: u8) -> bool {
        self.memory[0] & bit != 0
    }

    /// A byte of the keyboard as the guest has it: those of scan code set 2 that are in answers, if they
    /// are translated.
    fn translated(&self, byte: u8) -> u8 {
        match byte {
            _ if !self.mode(mode::TRANSLATE) => byte,
            1 => 0x43,
            2 | 0x83 => 0x41,
            3 => 0x3f,
            _ => byte,
        }
    }

    /// Puts the next byte into the output buffer.
    fn fill(&mut self) {
        if self.full.is_some() {
            return;
        }
        self.full = self.own.pop_front();
        if self.full.is_none() && !self.mode(mode::KEYBOARD_OFF) {
            self.full = self.keyboard.answers.pop_front().map(|byte| (self.translated(byte), false));
        }
        if self.full.is_none() && !self.mode(mode::MOUSE_OFF) {
            self.full = self.mouse.answers.pop_front().map(|byte| (byte, true));
        }
    }

    fn answer(&mut self, byte: u8, mouse: bool) {
        if self.own.len() < ROOM {
            self.own.push_back((byte, mouse));
        }
    }

    fn status(&self) -> u8 {
        let mut status = STATUS_UNLOCKED as u8 | self.memory[0] & mode::SYS;
        if self.command_last {
            status |= STATUS_CMD as u8;
        }
        match self.full {
            Some((_, true)) => status | (STATUS_OBF | STATUS_AUX) as u8,
            Some((_, false)) => status | STATUS_OBF as u8,
            None => status,
        }
    }

    fn command(&mut self, cx: &mut dyn Services, value: u8) {
        self.command_last = true;
        self.pending = 0;
        let set = |memory: &mut [u8; 32], bit: u8, on: bool| memory[0] = memory[0] & !bit | if on { bit } else { 0 };
        match value {
            command::READ_MEMORY..=command::READ_MEMORY_END => self.answer(self.memory[usize::from(value & 31)], false),
            command::MOUSE_DISABLE | command::MOUSE_ENABLE => set(&mut self.memory, mode::MOUSE_OFF, value == command::MOUSE_DISABLE),
            command::KEYBOARD_DISABLE | command::KEYBOARD_ENABLE => set(&mut self.memory, mode::KEYBOARD_OFF, value == command::KEYBOARD_DISABLE),
            command::MOUSE_TEST | command::KEYBOARD_TEST => self.answer(0, false),
            command::SELF_TEST => {
                self.memory[0] |= mode::SYS;
                self.answer(CONTROLLER_PASSED, false);
            }
            command::READ_OUTPUT => self.answer(self.output, false),
            command::A20_OFF => self.output &= !OUT_A20,
            command::A20_ON => self.output |= OUT_A20,
            command::WRITE_MEMORY..=command::WRITE_MEMORY_END
            | command::WRITE_OUTPUT
            | command::ANSWER_AS_KEYBOARD
            | command::ANSWER_AS_MOUSE
            | command::WRITE_MOUSE => self.pending = value,
            command::PULSE.. => {
                if value & OUT_RUN == 0 {
                    cx.system(SystemRequest::Reset);
                }
            }
            _ => cx.unimplemented(format_args!("command {value:#x}")),
        }
    }

    fn data(&mut self, cx: &mut dyn Services, value: u8) {
        self.command_last = false;
        match std::mem::take(&mut self.pending) {
            n @ command::WRITE_MEMORY..=command::WRITE_MEMORY_END => self.memory[usize::from(n & 31)] = value,
            command::WRITE_OUTPUT => {
                self.output = value;
                if value & OUT_RUN == 0 {
                    cx.system(SystemRequest::Reset);
                }
            }
            command::ANSWER_AS_KEYBOARD => self.answer(value, false),
            command::ANSWER_AS_MOUSE => self.answer(value, true),
            command::WRITE_MOUSE => self.mouse.mouse(value),
            _ => {
                // A byte for the keyboard turns its clock on.
                self.memory[0] &= !mode::KEYBOARD_OFF;
                self.keyboard.keyboard(value);
            }
        }
    }
}

impl Device for I8042 {
    fn read(&mut self, cx: &mut dyn Services, w: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        if w.0 == 1 {
            return Ok(self.status().into());
        }
        if let Some((byte, _)) = self.full.take() {
            self.last = byte;
            // A read ends the interrupt before the next byte causes another: interrupt controllers
            // that wait for edges must see both.
            cx.set_pin(KEYBOARD_PIN, false);
            cx.set_pin(MOUSE_PIN, false);
        }
        // With an empty buffer it is the last byte again.
        Ok(self.last.into())
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, _: u64, _: Width, value: u64) -> Result<(), BusFault> {
        match w.0 {
            1 => self.command(cx, value as u8),
            _ => self.data(cx, value as u8),
        }
        if self.mode(mode::TRANSLATE) && self.keyboard.set != 2 {
            check_register_write(cx, DATA_PORT, DATA, value);
            cx.unimplemented(format_args!("translation of scan code set {}", self.keyboard.set));
        }
        Ok(())
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        self.fill();
        let asserted = |mouse: bool| self.full.is_some_and(|(_, m)| m == mouse);
        cx.set_pin(KEYBOARD_PIN, asserted(false) && self.mode(mode::KEYBOARD_IRQ));
        cx.set_pin(MOUSE_PIN, asserted(true) && self.mode(mode::MOUSE_IRQ));
        cx.set_pin(A20_PIN, self.output & OUT_A20 != 0);
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
        self.initial();
    }
}

/// The device type. Pin "keyboard" is IRQ 1 and "mouse" IRQ 12; "a20" is high while the guest
/// wants address line 20.
pub static I8042: DeviceType = DeviceType {
    windows: &[WindowDecl::pio("data", 1, AccessRule::BYTE), WindowDecl::pio("command", 1, AccessRule::BYTE)],
    outputs: &[PinDecl::one("keyboard"), PinDecl::one("mouse"), PinDecl::one("a20")],
    registers: &[DATA_PORT, COMMAND_PORT],
    ..DeviceType::new("i8042", "Keyboard controller with keyboard and mouse (Intel 8042)", |_| Ok(Box::new(I8042::new())))
};

#[cfg(test)]
#[path = "i8042_tests.rs"]
mod tests;
