//! Arm PrimeCell UART (PL011, DDI 0183, revision r1p5 with FIFOs of 32 bytes).
//!
//! Left out: IrDA, DMA, hardware flow control and modem inputs (all read as inactive), and breaks
//! on the line. Bytes leave as fast as the back end takes them, whatever the baud rate; the rate
//! only sets the receive timeout. As in other emulators, an UART that was never enabled works too:
//! early consoles count on it.

use std::collections::VecDeque;

use proteus_model::{
    AccessRule, BusFault, Count, Device, DeviceType, Event, FdtHook, FdtNode, Ns, PinDecl, Placed, PortDecl, PortKind, PropertyDecl, PropertyDefault,
    PropertyKind, Reset, Services, State, Width, Window, WindowDecl, check_register_read, check_register_write, registers,
};

registers! {
    /// Registers of the PL011.
    REGISTERS: u32;

    0x000 DR rw { 7:0 DATA, 8 FE ro, 9 PE ro, 10 BE ro, 11 OE ro }
    /// Receive status; a write clears it.
    0x004 RSR rw { 0 FE, 1 PE, 2 BE, 3 OE, 7:4 EC wo }
    0x018 FR ro = 0x90 { 0 CTS, 1 DSR, 2 DCD, 3 BUSY, 4 RXFE, 5 TXFF, 6 RXFF, 7 TXFE, 8 RI }
    0x020 ILPR rw: unmodelled { 7:0 ILPDVSR }
    0x024 IBRD rw { 15:0 DIVINT }
    0x028 FBRD rw { 5:0 DIVFRAC }
    0x02c LCR_H rw { 0 BRK, 1 PEN, 2 EPS, 3 STP2, 4 FEN, 6:5 WLEN, 7 SPS }
    0x030 CR rw = 0x300 {
        0 UARTEN, 1 SIREN: unmodelled, 2 SIRLP: unmodelled, 7 LBE, 8 TXE, 9 RXE,
        10 DTR, 11 RTS, 12 OUT1, 13 OUT2, 14 RTSEN: unmodelled, 15 CTSEN: unmodelled
    }
    0x034 IFLS rw = 0x12 { 2:0 TXIFLSEL, 5:3 RXIFLSEL }
    0x038 IMSC rw { 0 RIMIM, 1 CTSMIM, 2 DCDMIM, 3 DSRMIM, 4 RXIM, 5 TXIM, 6 RTIM, 7 FEIM, 8 PEIM, 9 BEIM, 10 OEIM }
    0x03c RIS ro { 0 RIRMIS, 1 CTSRMIS, 2 DCDRMIS, 3 DSRRMIS, 4 RXRIS, 5 TXRIS, 6 RTRIS, 7 FERIS, 8 PERIS, 9 BERIS, 10 OERIS }
    0x040 MIS ro { 10:0 MIS }
    0x044 ICR wo { 10:0 IC }
    0x048 DMACR rw { 0 RXDMAE: unmodelled, 1 TXDMAE: unmodelled, 2 DMAONERR: unmodelled }
    0xfe0 PERIPHID0 ro = 0x11
    0xfe4 PERIPHID1 ro = 0x10
    0xfe8 PERIPHID2 ro = 0x34
    0xfec PERIPHID3 ro = 0x00
    0xff0 CELLID0 ro = 0x0d
    0xff4 CELLID1 ro = 0xf0
    0xff8 CELLID2 ro = 0x05
    0xffc CELLID3 ro = 0xb1
}

const IDS: [u64; 8] = [PERIPHID0_RESET, PERIPHID1_RESET, PERIPHID2_RESET, PERIPHID3_RESET, CELLID0_RESET, CELLID1_RESET, CELLID2_RESET, CELLID3_RESET];

const FIFO: usize = 32;
/// UARTCLK: the fixed clock of 24 MHz that boards name in their device tree.
const UARTCLK: u64 = 24_000_000;
/// The receive timeout in bit times.
const TIMEOUT_BITS: u64 = 32;
const PORT: usize = 0;
const TIMEOUT: usize = 0;
const IRQ: usize = 0;

// Interrupts, as 16 bits like the state.
const MODEM: u16 = (RIS_RIRMIS | RIS_CTSRMIS | RIS_DCDRMIS | RIS_DSRRMIS) as u16;
const RX: u16 = RIS_RXRIS as u16;
const TX: u16 = RIS_TXRIS as u16;
const RT: u16 = RIS_RTRIS as u16;
const OE: u16 = RIS_OERIS as u16;
/// From the error bits of [`DR`] to those of [`RIS`].
const ERROR_SHIFT: u32 = DR_FE.trailing_zeros() - RIS_FERIS.trailing_zeros();

#[derive(State, Default)]
#[state(version = 1)]
struct Pl011 {
    /// Data and error bits, as read from DR.
    #[state(max = FIFO)]
    rx: VecDeque<u16>,
    #[state(max = FIFO)]
    tx: VecDeque<u8>,
    /// Errors of the byte read last, and overrun.
    rsr: u8,
    ris: u16,
    imsc: u16,
    ibrd: u16,
    fbrd: u8,
    lcr_h: u8,
    #[state(reset = CR_RESET as u16)]
    cr: u16,
    #[state(reset = IFLS_RESET as u8)]
    ifls: u8,
    dmacr: u8,
    /// When the receive timeout interrupt comes.
    timeout: Option<Ns>,
}

impl Pl011 {
    fn depth(&self) -> usize {
        if u64::from(self.lcr_h) & LCR_H_FEN != 0 { FIFO } else { 1 }
    }

    /// The level that a select field of IFLS stands for; without FIFOs it is one byte.
    fn trigger(&self, select: u8) -> usize {
        if self.depth() == 1 {
            return 1;
        }
        match select & 7 {
            0 => FIFO / 8,
            1 => FIFO / 4,
            2 => FIFO / 2,
            3 => FIFO * 3 / 4,
            // Above 4 is reserved.
            _ => FIFO * 7 / 8,
        }
    }

    fn rx_trigger(&self) -> usize {
        self.trigger(self.ifls >> 3)
    }

    /// The transmit interrupt comes at this level or below it.
    fn tx_trigger(&self) -> usize {
        if self.depth() == 1 { 0 } else { self.trigger(self.ifls) }
    }

    fn loopback(&self) -> bool {
        u64::from(self.cr) & CR_LBE != 0
    }

    fn receives(&self) -> bool {
        u64::from(self.cr) & CR_RXE != 0
    }

    fn timeout_ns(&self) -> Ns {
        // In 64ths of a clock divided by 16. A divisor that was never set counts as 115200 baud.
        let divisor = u64::from(self.ibrd) << 6 | u64::from(self.fbrd);
        let divisor = if self.ibrd == 0 { 833 } else { divisor };
        (TIMEOUT_BITS * divisor * 16 * 1_000_000_000).div_ceil(64 * UARTCLK)
    }

    fn flags(&self) -> u64 {
        let mut fr = 0;
        if self.loopback() {
            // Outputs come back as inputs: OUT2 as RI, OUT1 as DCD, RTS as CTS, DTR as DSR.
            let cr = u64::from(self.cr);
            for (output, input) in [(CR_RTS, FR_CTS), (CR_DTR, FR_DSR), (CR_OUT1, FR_DCD), (CR_OUT2, FR_RI)] {
                fr |= if cr & output != 0 { input } else { 0 };
            }
        }
        let set = |on: bool, flag| if on { flag } else { 0 };
        fr | set(!self.tx.is_empty(), FR_BUSY)
            | set(self.rx.is_empty(), FR_RXFE)
            | set(self.tx.len() >= self.depth(), FR_TXFF)
            | set(self.rx.len() >= self.depth(), FR_RXFF)
            | set(self.tx.is_empty(), FR_TXFE)
    }

    /// The modem inputs as bits of [`FR`] in the order of RIS: RI, CTS, DCD, DSR.
    fn modem(&self) -> u16 {
        let fr = self.flags();
        [FR_RI, FR_CTS, FR_DCD, FR_DSR].iter().enumerate().map(|(n, bit)| u16::from(fr & bit != 0) << n).sum()
    }

    /// Something arrives on the line.
    fn receive(&mut self, now: Ns, entry: u16) {
        if self.rx.len() >= self.depth() {
            self.rsr |= RSR_OE as u8;
            self.ris |= OE;
            return;
        }
        self.rx.push_back(entry);
        self.ris |= (entry & (DR_FE | DR_PE | DR_BE) as u16) >> ERROR_SHIFT;
        if self.rx.len() >= self.rx_trigger() {
            self.ris |= RX;
        }
        self.timeout = Some(now + self.timeout_ns());
    }

    /// Sends what the line takes. The transmit interrupt comes when bytes leave and the level is
    /// then at the trigger or below.
    fn transmit(&mut self, cx: &mut dyn Services) {
        let before = self.tx.len();
        if self.loopback() {
            while let Some(byte) = self.tx.pop_front() {
                if self.receives() {
                    self.receive(cx.now(), byte.into());
                }
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
        if self.tx.len() < before && self.tx.len() <= self.tx_trigger() {
            self.ris |= TX;
        }
    }

    fn write_data(&mut self, cx: &mut dyn Services, byte: u8) {
        if u64::from(self.cr) & (CR_UARTEN | CR_TXE) != CR_UARTEN | CR_TXE {
            cx.guest_error(format_args!("data written while the transmitter is disabled"));
        }
        if self.tx.len() >= self.depth() {
            cx.guest_error(format_args!("data written to a full transmit FIFO is lost"));
            return;
        }
        self.tx.push_back(byte);
        if self.tx.len() > self.tx_trigger() {
            self.ris &= !TX;
        }
        self.transmit(cx);
    }

    fn read_data(&mut self) -> u64 {
        let Some(entry) = self.rx.pop_front() else { return 0 };
        self.rsr = self.rsr & RSR_OE as u8 | (entry >> 8) as u8;
        if self.rx.len() < self.rx_trigger() {
            self.ris &= !RX;
        }
        if self.rx.is_empty() {
            self.ris &= !RT;
            self.timeout = None;
        }
        // Overrun is no property of a byte: it stands until RSR is written.
        let overrun = if u64::from(self.rsr) & RSR_OE != 0 { DR_OE } else { 0 };
        u64::from(entry) | overrun
    }

    fn write_line_control(&mut self, cx: &mut dyn Services, value: u8) {
        let begins = u64::from(value & !self.lcr_h) & LCR_H_BRK != 0;
        self.lcr_h = value;
        if begins && self.loopback() && self.receives() {
            self.receive(cx.now(), DR_BE as u16);
        } else if begins && !self.loopback() {
            cx.unimplemented(format_args!("a break on the line"));
        }
    }

    fn write_control(&mut self, cx: &mut dyn Services, value: u16) {
        let before = self.modem();
        self.cr = value;
        self.ris |= (self.modem() ^ before) & MODEM;
        self.transmit(cx);
    }
}

impl Device for Pl011 {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        Ok(match at {
            DR => self.read_data(),
            RSR => self.rsr.into(),
            FR => self.flags(),
            IBRD => self.ibrd.into(),
            FBRD => self.fbrd.into(),
            LCR_H => self.lcr_h.into(),
            CR => self.cr.into(),
            IFLS => self.ifls.into(),
            IMSC => self.imsc.into(),
            RIS => self.ris.into(),
            MIS => (self.ris & self.imsc).into(),
            DMACR => self.dmacr.into(),
            PERIPHID0..=CELLID3 => IDS[((at - PERIPHID0) / 4) as usize],
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        })
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        check_register_write(cx, REGISTERS, at, value);
        match at {
            DR => self.write_data(cx, value as u8),
            RSR => self.rsr = 0,
            IBRD => self.ibrd = value as u16,
            FBRD => self.fbrd = (value & FBRD_DIVFRAC) as u8,
            LCR_H => self.write_line_control(cx, value as u8),
            CR => self.write_control(cx, value as u16 & 0xff87),
            IFLS => self.ifls = value as u8 & 0x3f,
            IMSC => self.imsc = value as u16 & 0x7ff,
            ICR => self.ris &= !(value as u16),
            DMACR => self.dmacr = value as u8 & 7,
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        match event {
            Event::Alarm(TIMEOUT) => {
                self.timeout = None;
                if !self.rx.is_empty() {
                    self.ris |= RT;
                }
            }
            Event::HostInput(PORT, bytes) => {
                let now = cx.now();
                bytes.iter().for_each(|byte| self.receive(now, (*byte).into()));
            }
            Event::HostWritable(PORT) => self.transmit(cx),
            _ => {}
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(IRQ, self.ris & self.imsc != 0);
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
        // While a driver sets the UART up, or has it in loopback, bytes wait outside.
        if self.loopback() || !self.receives() { 0 } else { self.depth().saturating_sub(self.rx.len()) }
    }
}

fn fdt(placed: &Placed<'_>, node: &mut dyn FdtNode) {
    node.prop_strs("compatible", &["arm,pl011", "arm,primecell"]);
    placed.reg(node);
    placed.interrupts(node);
    let clock = node.phandle("apb-pclk");
    node.prop_u32s("clocks", &[clock, clock]);
    node.prop_strs("clock-names", &["uartclk", "apb_pclk"]);
}

/// The device type.
pub static PL011: DeviceType = DeviceType {
    properties: &[PropertyDecl { name: "chardev", kind: PropertyKind::Chardev, default: PropertyDefault::None, doc: "Character back end of the line" }],
    windows: &[WindowDecl::mmio("regs", 0x1000, AccessRule::WORD)],
    outputs: &[PinDecl::one("irq")],
    ports: &[PortDecl { name: "chardev", kind: PortKind::Char }],
    alarms: Count::Fixed(1),
    registers: &[REGISTERS],
    fdt: Some(FdtHook { node: "pl011", build: fdt }),
    ..DeviceType::new("pl011", "Arm PrimeCell UART (PL011)", |_| {
        let mut uart = Pl011::default();
        uart.reset_state();
        Ok(Box::new(uart))
    })
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    /// Enabled, with FIFOs, at 115200 baud.
    fn bench() -> Bench {
        let b = Bench::new(&PL011, &[]);
        for (at, value) in [(IBRD, 13), (FBRD, 1), (LCR_H, 0x70), (CR, 0x301)] {
            b.write32("regs", at, value);
        }
        b
    }

    fn read(b: &Bench, at: u64) -> u64 {
        b.read32("regs", at).into()
    }

    #[test]
    fn reset_values_are_the_datasheets() {
        let b = Bench::new(&PL011, &[]);
        for r in REGISTERS.iter().filter(|r| r.modelled) {
            assert_eq!(read(&b, r.offset), r.reset, "{}", r.name);
        }
    }

    #[test]
    fn bytes_go_out_at_once_even_if_never_enabled() {
        let b = Bench::new(&PL011, &[]);
        for byte in *b"hello" {
            assert_eq!(read(&b, FR) & FR_TXFF, 0);
            b.write32("regs", DR, byte.into());
        }
        assert_eq!(b.sent("chardev"), b"hello");
    }

    #[test]
    fn a_slow_host_fills_the_fifo_and_loses_nothing() {
        let b = bench();
        b.write32("regs", IMSC, TX.into());
        b.set_room("chardev", Some(3));
        let mut written = 0;
        while read(&b, FR) & FR_TXFF == 0 {
            b.write32("regs", DR, written);
            written += 1;
        }
        assert_eq!((written, read(&b, FR) & (FR_BUSY | FR_TXFE)), (3 + 32, FR_BUSY));
        assert!(!b.output("irq", 0), "the level is above the trigger");
        b.set_room("chardev", Some(15));
        assert!(!b.output("irq", 0), "17 are left");
        b.set_room("chardev", Some(1));
        assert!(b.output("irq", 0));
        b.set_room("chardev", None);
        assert_eq!(b.sent("chardev"), (0..35).collect::<Vec<u8>>());
        b.write32("regs", ICR, TX.into());
        assert!(!b.output("irq", 0));
        assert_eq!(read(&b, FR), FR_TXFE | FR_RXFE);
    }

    #[test]
    fn the_transmit_interrupt_stands_while_a_driver_feeds_half_a_fifo_at_a_time() {
        let b = bench();
        b.write32("regs", IMSC, TX.into());
        for _ in 0..5 {
            (0..16).for_each(|n| b.write32("regs", DR, n));
            assert!(b.output("irq", 0));
        }
    }

    #[test]
    fn the_receive_interrupt_follows_the_trigger_level() {
        // IFLS field and the bytes that raise the interrupt.
        for (select, level) in [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28)] {
            let b = bench();
            b.write32("regs", IFLS, select << 3);
            b.write32("regs", IMSC, RX.into());
            b.bytes("chardev", &vec![b'x'; level - 1]);
            assert!(!b.output("irq", 0));
            b.bytes("chardev", b"y");
            assert!(b.output("irq", 0), "{select}");
            assert_eq!(read(&b, DR), b'x'.into());
            assert!(!b.output("irq", 0), "{select}");
        }
    }

    #[test]
    fn a_few_bytes_raise_the_timeout_after_32_bit_times() {
        let b = bench();
        b.write32("regs", IMSC, u32::from(RT | RX));
        b.bytes("chardev", b"ab");
        // 32 bits at 24 MHz / (16 * (13 + 1/64)).
        b.advance(277_666);
        assert!(!b.output("irq", 0));
        b.advance(1);
        assert!(b.output("irq", 0));
        assert_eq!(read(&b, MIS), RT.into());
        assert_eq!(read(&b, DR), b'a'.into());
        assert!(b.output("irq", 0), "until the FIFO is empty");
        assert_eq!(read(&b, DR), b'b'.into());
        assert!(!b.output("irq", 0));
        assert_eq!(b.machine.next_alarm(), None);
    }

    #[test]
    fn input_waits_outside_while_there_is_no_room() {
        let b = Bench::new(&PL011, &[]);
        b.bytes("chardev", b"typed ahead");
        let mut got = vec![];
        while read(&b, FR) & FR_RXFE == 0 {
            assert_ne!(read(&b, FR) & FR_RXFF, 0);
            got.push(read(&b, DR) as u8);
        }
        assert_eq!(got, b"typed ahead");
    }

    #[test]
    fn a_disabled_receiver_takes_nothing_and_loses_no_input() {
        let b = bench();
        b.write32("regs", CR, 0x181);
        b.write32("regs", DR, 0x55);
        assert_eq!(read(&b, FR) & (FR_RXFE | FR_TXFE), FR_RXFE | FR_TXFE, "gone, as loopback has no receiver");
        assert_eq!(read(&b, RIS), TX.into());
        b.write32("regs", CR, 0);
        b.bytes("chardev", b"early");
        assert_ne!(read(&b, FR) & FR_RXFE, 0);
        b.write32("regs", CR, 0x301);
        assert_eq!(read(&b, DR), b'e'.into());
    }

    #[test]
    fn loopback_returns_bytes_breaks_and_modem_lines_and_overruns() {
        let b = bench();
        b.write32("regs", CR, 0x381);
        assert_eq!(read(&b, RIS), 0);
        for n in 0..33 {
            b.write32("regs", DR, n);
        }
        assert_eq!(b.sent("chardev"), b"");
        assert_ne!(read(&b, RIS) & RIS_OERIS, 0);
        assert_eq!(read(&b, RSR), RSR_OE);
        b.write32("regs", RSR, 0);
        for n in 0..32 {
            assert_eq!(read(&b, DR), n);
        }
        b.write32("regs", LCR_H, 0x71);
        assert_eq!(read(&b, DR), DR_BE);
        assert_eq!(read(&b, RSR), RSR_BE);
        b.write32("regs", CR, 0x381 | (CR_RTS | CR_OUT1) as u32);
        assert_eq!(read(&b, FR) & (FR_CTS | FR_DSR | FR_DCD | FR_RI), FR_CTS | FR_DCD);
        assert_eq!(read(&b, RIS) & u64::from(MODEM), RIS_CTSRMIS | RIS_DCDRMIS);
    }

    #[test]
    fn what_is_not_modelled_is_reported() {
        let b = bench();
        let before = b.machine.counters();
        b.write32("regs", DMACR, 1);
        b.write32("regs", LCR_H, 0x71);
        b.write32("regs", 0x100, 1);
        let after = b.machine.counters();
        assert_eq!((after.unimplemented - before.unimplemented, after.guest_errors - before.guest_errors), (2, 1));
    }
}
