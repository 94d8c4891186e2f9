//! UART with FIFOs (National Semiconductor PC16550D, July 1990), as a part of a personal computer
//! and as one in memory.
//!
//! Left out: hardware flow control by CTS and the other modem inputs (they read as active), DMA
//! mode, breaks and errors on the line, and its format: bytes leave whole, as fast as the back end
//! takes them, whatever the baud rate; rate and format only set the receive timeout. OUT2 does not
//! gate the interrupt. Bytes from the line wait outside while RTS is low, as a sender with flow
//! control has them; while MCR was never written they come in, for programs that do not know of it.

use std::collections::VecDeque;

use proteus_model::{
    AccessRule, BusFault, Count, Device, DeviceType, Event, FdtHook, FdtNode, Ns, PinDecl, Placed, PortDecl, PortKind, PropError, PropertyDecl,
    PropertyDefault, PropertyKind, Props, Reset, Services, State, Width, Window, WindowDecl, WindowKind, WindowSize, check_register_write, registers,
};

registers! {
    /// Registers of the PC16550D, without those behind DLAB.
    REGISTERS: u8;

    /// Receiver buffer.
    0 RBR ro
    /// Transmitter holding.
    0 THR wo
    1 IER rw { 0 ERBFI, 1 ETBEI, 2 ELSI, 3 EDSSI }
    2 IIR ro = 0x01 { 0 NONE, 3:1 ID, 7:6 FIFOS }
    2 FCR wo { 0 ENABLE, 1 RCVR_RESET, 2 XMIT_RESET, 3 DMA_MODE: unmodelled, 7:6 TRIGGER }
    3 LCR rw { 1:0 WLS, 2 STB, 3 PEN, 4 EPS, 5 STICK, 6 BREAK, 7 DLAB }
    4 MCR rw { 0 DTR, 1 RTS, 2 OUT1, 3 OUT2, 4 LOOP }
    5 LSR ro = 0x60 { 0 DR, 1 OE, 2 PE, 3 FE, 4 BI, 5 THRE, 6 TEMT, 7 FIFO_ERROR }
    6 MSR ro { 0 DCTS, 1 DDSR, 2 TERI, 3 DDCD, 4 CTS, 5 DSR, 6 RI, 7 DCD }
    7 SCR rw
}

registers! {
    /// Registers in place of the first two while DLAB is set.
    DIVISOR: u8;

    0 DLL rw
    1 DLM rw
}

const FIFO: usize = 16;
/// Characters without which bytes in the receive FIFO raise the timeout interrupt.
const TIMEOUT_CHARACTERS: u64 = 4;
const PORT: usize = 0;
const TIMEOUT: usize = 0;
const IRQ: usize = 0;
/// Most bytes that a register may take, as a power of two.
const MAX_STRIDE: u64 = 12;

/// Causes in IIR, by falling priority: line status, data, timeout, transmitter, modem status.
const ID_LINE: u8 = 0x06;
const ID_DATA: u8 = 0x04;
const ID_TIMEOUT: u8 = 0x0c;
const ID_TRANSMIT: u8 = 0x02;
const ID_MODEM: u8 = 0x00;
const ID_NONE: u8 = 0x01;

/// The modem inputs as the line has them: CTS, DSR and DCD.
const CONNECTED: u8 = (MSR_CTS | MSR_DSR | MSR_DCD) as u8;
/// Bits of LSR that raise its interrupt.
const LINE_ERRORS: u8 = (LSR_OE | LSR_PE | LSR_FE | LSR_BI) as u8;

#[derive(State, Default)]
#[state(version = 1)]
struct Ns16550 {
    #[state(max = FIFO)]
    rx: VecDeque<u8>,
    #[state(max = FIFO)]
    tx: VecDeque<u8>,
    /// Divisor latch.
    divisor: u16,
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    /// MCR has been written since the reset.
    controlled: bool,
    /// Errors, as bits of LSR.
    errors: u8,
    /// Changes of modem inputs, as bits of MSR.
    deltas: u8,
    scr: u8,
    /// The transmitter has become empty since that was told.
    emptied: bool,
    /// The receive timeout has passed.
    timed_out: bool,
    /// When it passes.
    timeout: Option<Ns>,
    #[state(skip)]
    stride: u32,
    #[state(skip)]
    big_endian: bool,
    #[state(skip)]
    baudbase: u64,
}

impl Ns16550 {
    fn new(props: &Props, stride: u64) -> Result<Ns16550, PropError> {
        let baudbase = props.u64("baudbase");
        if !(1..=1 << 30).contains(&baudbase) {
            return Err(props.refuse(format!("baudbase={baudbase}: must be from 1 to {} baud", 1 << 30)));
        }
        if stride > MAX_STRIDE {
            return Err(props.refuse(format!("stride={stride}: must be at most {MAX_STRIDE}, a power of two")));
        }
        Ok(Ns16550 { stride: stride as u32, big_endian: props.bool("big-endian"), baudbase, ..Ns16550::default() })
    }

    fn has_fifos(&self) -> bool {
        u64::from(self.fcr) & FCR_ENABLE != 0
    }

    fn depth(&self) -> usize {
        if self.has_fifos() { FIFO } else { 1 }
    }

    fn trigger(&self) -> usize {
        if self.has_fifos() { [1, 4, 8, 14][usize::from(self.fcr >> 6)] } else { 1 }
    }

    fn loopback(&self) -> bool {
        u64::from(self.mcr) & MCR_LOOP != 0
    }

    fn dlab(&self) -> bool {
        u64::from(self.lcr) & LCR_DLAB != 0
    }

    /// Time of the receive timeout from now on; none without FIFOs.
    fn next_timeout(&self, cx: &dyn Services) -> Option<Ns> {
        if !self.has_fifos() || self.rx.is_empty() {
            return None;
        }
        let lcr = u64::from(self.lcr);
        let half_stops = match (lcr & LCR_STB != 0, lcr & LCR_WLS) {
            (false, _) => 2,
            (true, 0) => 3,
            (true, _) => 4,
        };
        let parity = u64::from(lcr & LCR_PEN != 0);
        let half_bits = 2 * (1 + 5 + (lcr & LCR_WLS) + parity) + half_stops;
        let ns = TIMEOUT_CHARACTERS * half_bits * u64::from(self.divisor.max(1)) * 1_000_000_000;
        Some(cx.now() + ns.div_ceil(2 * self.baudbase))
    }

    fn line_status(&self) -> u8 {
        let set = |on: bool, bit: u64| if on { bit as u8 } else { 0 };
        self.errors | set(!self.rx.is_empty(), LSR_DR) | set(self.tx.is_empty(), LSR_THRE | LSR_TEMT)
    }

    /// The modem inputs: in loopback RTS as CTS, DTR as DSR, OUT1 as RI and OUT2 as DCD.
    fn modem_inputs(&self) -> u8 {
        if !self.loopback() {
            return CONNECTED;
        }
        let wires = [(MCR_RTS, MSR_CTS), (MCR_DTR, MSR_DSR), (MCR_OUT1, MSR_RI), (MCR_OUT2, MSR_DCD)];
        wires.iter().map(|(output, input)| if u64::from(self.mcr) & output != 0 { *input as u8 } else { 0 }).sum()
    }

    /// The enabled cause of highest priority.
    fn cause(&self) -> u8 {
        let enabled = |bit: u64| u64::from(self.ier) & bit != 0;
        if enabled(IER_ELSI) && self.errors & LINE_ERRORS != 0 {
            ID_LINE
        } else if enabled(IER_ERBFI) && self.rx.len() >= self.trigger() {
            ID_DATA
        } else if enabled(IER_ERBFI) && self.timed_out {
            ID_TIMEOUT
        } else if enabled(IER_ETBEI) && self.emptied {
            ID_TRANSMIT
        } else if enabled(IER_EDSSI) && self.deltas != 0 {
            ID_MODEM
        } else {
            ID_NONE
        }
    }

    fn receive(&mut self, cx: &dyn Services, byte: u8) {
        if self.rx.len() >= self.depth() {
            self.errors |= LSR_OE as u8;
            // What is lost is the byte in the shift register, and without FIFOs the one before.
            if self.has_fifos() {
                return;
            }
            self.rx.clear();
        }
        self.rx.push_back(byte);
        self.timeout = self.next_timeout(cx);
    }

    /// Sends what the line takes.
    fn transmit(&mut self, cx: &mut dyn Services) {
        let before = self.tx.len();
        if self.loopback() {
            let mask = 0xff >> (3 - (u64::from(self.lcr) & LCR_WLS));
            while let Some(byte) = self.tx.pop_front() {
                self.receive(cx, byte & mask);
            }
        } else {
            while !self.tx.is_empty() {
                let (first, _) = self.tx.as_slices();
                let (offered, taken) = (first.len(), cx.send(PORT, first));
                self.tx.drain(..taken);
                if taken < offered {
                    break;
                }
            }
        }
        self.emptied |= before > 0 && self.tx.is_empty();
    }

    fn read_data(&mut self, cx: &dyn Services) -> u8 {
        let byte = self.rx.pop_front().unwrap_or(0);
        self.timed_out = false;
        self.timeout = self.next_timeout(cx);
        byte
    }

    fn write_data(&mut self, cx: &mut dyn Services, byte: u8) {
        self.emptied = false;
        if self.tx.len() >= self.depth() {
            cx.guest_error(format_args!("data written to a full transmitter is lost"));
            return;
        }
        self.tx.push_back(byte);
        self.transmit(cx);
    }

    fn read_cause(&mut self) -> u8 {
        let cause = self.cause();
        if cause == ID_TRANSMIT {
            self.emptied = false;
        }
        cause | if self.has_fifos() { IIR_FIFOS as u8 } else { 0 }
    }

    fn write_fifo_control(&mut self, value: u8) {
        let bits = u64::from(value);
        let toggles = bits & FCR_ENABLE != u64::from(self.fcr) & FCR_ENABLE;
        if toggles || bits & (FCR_ENABLE | FCR_RCVR_RESET) == FCR_ENABLE | FCR_RCVR_RESET {
            self.rx.clear();
            self.timed_out = false;
            self.timeout = None;
        }
        if toggles || bits & (FCR_ENABLE | FCR_XMIT_RESET) == FCR_ENABLE | FCR_XMIT_RESET {
            self.emptied |= !self.tx.is_empty();
            self.tx.clear();
        }
        // Without the first bit the others are not programmed.
        self.fcr = if bits & FCR_ENABLE != 0 { (bits & (FCR_ENABLE | FCR_DMA_MODE | FCR_TRIGGER)) as u8 } else { 0 };
    }

    fn write_interrupt_enable(&mut self, value: u8) {
        let value = value & 0xf;
        let enables = u64::from(value & !self.ier) & IER_ETBEI != 0;
        self.ier = value;
        if enables {
            self.emptied = self.tx.is_empty();
        }
    }

    fn write_modem_control(&mut self, cx: &mut dyn Services, value: u8) {
        let before = self.modem_inputs();
        self.mcr = value & 0x1f;
        self.controlled = true;
        let after = self.modem_inputs();
        let (changed, ri) = (before ^ after, MSR_RI as u8);
        // Of the ring indicator only the trailing edge counts.
        self.deltas |= (changed & !ri | before & !after & ri) >> 4;
        self.transmit(cx);
    }

    fn read_register(&mut self, cx: &dyn Services, at: u64) -> u8 {
        let [dll, dlm] = self.divisor.to_le_bytes();
        match at {
            DLL if self.dlab() => dll,
            DLM if self.dlab() => dlm,
            RBR => self.read_data(cx),
            IER => self.ier,
            IIR => self.read_cause(),
            LCR => self.lcr,
            MCR => self.mcr,
            LSR => {
                let status = self.line_status();
                self.errors = 0;
                status
            }
            MSR => std::mem::take(&mut self.deltas) | self.modem_inputs(),
            _ => self.scr,
        }
    }

    fn write_register(&mut self, cx: &mut dyn Services, at: u64, value: u8) {
        let [dll, dlm] = self.divisor.to_le_bytes();
        match at {
            DLL if self.dlab() => self.divisor = u16::from_le_bytes([value, dlm]),
            DLM if self.dlab() => self.divisor = u16::from_le_bytes([dll, value]),
            THR => self.write_data(cx, value),
            IER => self.write_interrupt_enable(value),
            FCR => {
                check_register_write(cx, REGISTERS, at, value.into());
                self.write_fifo_control(value);
            }
            LCR => {
                if u64::from(value & !self.lcr) & LCR_BREAK != 0 && !self.loopback() {
                    cx.unimplemented(format_args!("a break on the line"));
                }
                self.lcr = value;
            }
            MCR => self.write_modem_control(cx, value),
            SCR => self.scr = value,
            _ => check_register_write(cx, REGISTERS, at, value.into()),
        }
    }
}

impl Device for Ns16550 {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        let value = u64::from(self.read_register(cx, at >> self.stride & 7));
        Ok(if self.big_endian { value << (size.bits() - 8) } else { value })
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        let value = if self.big_endian { value >> (size.bits() - 8) } else { value };
        self.write_register(cx, at >> self.stride & 7, value as u8);
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        match event {
            Event::Alarm(TIMEOUT) => {
                self.timeout = None;
                self.timed_out = !self.rx.is_empty();
            }
            Event::HostInput(PORT, bytes) => bytes.iter().for_each(|byte| self.receive(cx, *byte)),
            Event::HostWritable(PORT) => self.transmit(cx),
            _ => {}
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(IRQ, self.cause() != ID_NONE);
        cx.alarm(TIMEOUT, self.timeout);
    }

    fn reset(&mut self, cx: &mut dyn Services, kind: Reset) {
        // What the guest has written goes out as far as the host takes it: last words matter.
        if kind != Reset::Load && !self.loopback() {
            self.transmit(cx);
        }
        self.reset_state();
    }

    fn ready(&self, _: usize) -> usize {
        let asks = !self.controlled || u64::from(self.mcr) & MCR_RTS != 0;
        if self.loopback() || !asks { 0 } else { self.depth().saturating_sub(self.rx.len()) }
    }
}

fn fdt(placed: &Placed<'_>, node: &mut dyn FdtNode) {
    node.prop_str("compatible", "ns16550a");
    placed.reg(node);
    placed.interrupts(node);
    node.prop_u32("reg-shift", placed.props.u64("stride") as u32);
    node.prop_u32("clock-frequency", (16 * placed.props.u64("baudbase")) as u32);
}

const CHARDEV: PropertyDecl =
    PropertyDecl { name: "chardev", kind: PropertyKind::Chardev, default: PropertyDefault::None, doc: "Character back end of the line" };
const BAUDBASE: PropertyDecl =
    PropertyDecl { name: "baudbase", kind: PropertyKind::U64, default: PropertyDefault::U64(115_200), doc: "Baud rate with a divisor of 1" };
const BIG_ENDIAN: PropertyDecl =
    PropertyDecl { name: "big-endian", kind: PropertyKind::Bool, default: PropertyDefault::Bool(false), doc: "Byte order of the processor" };
const STRIDE: PropertyDecl =
    PropertyDecl { name: "stride", kind: PropertyKind::U64, default: PropertyDefault::U64(0), doc: "Distance of the registers in bytes, as its logarithm" };

/// The device type with a window of ports.
pub static ISA_SERIAL: DeviceType = DeviceType {
    properties: &[CHARDEV, BAUDBASE],
    windows: &[WindowDecl::pio("regs", 8, AccessRule::BYTE)],
    outputs: &[PinDecl::one("irq")],
    ports: &[PortDecl { name: "chardev", kind: PortKind::Char }],
    alarms: Count::Fixed(1),
    registers: &[REGISTERS],
    ..DeviceType::new("isa-serial", "UART with FIFOs (PC16550D) at I/O ports", |props| Ok(Box::new(Ns16550::new(props, 0)?)))
};

/// The device type with a window in memory. Each register fills 2^stride bytes of it; an access of
/// any width reaches the register that it begins in, and has it in the lowest byte as the processor
/// sees it.
pub static SERIAL_MM: DeviceType = DeviceType {
    properties: &[CHARDEV, BAUDBASE, STRIDE, BIG_ENDIAN],
    windows: &[WindowDecl {
        name: "regs",
        size: WindowSize::From(|props| 8 << props.u64("stride").min(MAX_STRIDE)),
        kind: WindowKind::Mmio,
        access: AccessRule::ANY,
        priority: 0,
    }],
    registers: &[REGISTERS],
    example: &[("stride", "2")],
    fdt: Some(FdtHook { node: "serial", build: fdt }),
    ..DeviceType {
        name: "serial-mm",
        description: "UART with FIFOs (PC16550D) in memory",
        new: |props| Ok(Box::new(Ns16550::new(props, props.u64("stride"))?)),
        ..ISA_SERIAL
    }
};

#[cfg(test)]
#[path = "ns16550_tests.rs"]
mod tests;
