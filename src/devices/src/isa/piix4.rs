//! PCI to ISA bridge: function 0 of the south bridges PIIX4 (Intel 82371AB, order number 290562) and
//! PIIX3 (Intel 82371SB, order number 290550), whose registers are those of its successor where it
//! has them.
//!
//! It routes the interrupt pins of the PCI bus to inputs of the interrupt controllers, and resets
//! machine or processor. The ISA devices of the chip are models of their own, placed beside it by
//! the board, which also decides what answers at which port: registers for that are storage, for
//! nothing of theirs can be seen on a bus where every device is on the board.
//!
//! Left out, and reported: distributed DMA, and locks of the clock's memory.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Event, PinDecl, RegAccess, Reset, Services, State, SystemRequest, Width, Window, WindowDecl,
    check_register_write, registers,
};

use crate::pci::{CONFIG, Function, Header};

registers! {
    /// Configuration space after its header, by bytes.
    CONFIG_BYTES: u8;

    /// ISA I/O recovery.
    0x4c IORT rw = 0x4d
    /// X-bus chip selects.
    0x4e XBCS0 rw = 0x03
    0x4f XBCS1 rw { 2:0 XBCS }
    /// Routes of PCI interrupts A to D. Numbers 0, 1, 2, 8 and 13 are reserved.
    0x60 PIRQRC[4] rw = 0x80 { 3:0 IRQ, 7 DISABLE }
    /// Serial interrupts, of which no device makes any.
    0x64 SERIRQC rw = 0x10
    /// Top of the memory that ISA masters reach.
    0x69 TOM rw = 0x02 { 7:4 TOM, 3 LOWER_BIOS, 2 HOLE, 1 A_B_SEGMENTS }
    0x6a MSTAT0 rw { 7 SEND_PM }
    0x6b MSTAT1 rw
    /// DMA of devices on the board.
    0x76 MBDMA[2] rw = 0x04 { 2:0 CHANNEL, 3 FAST: unmodelled, 7 ENABLE }
    0x80 APICBASE rw { 5:0 BASE, 6 MASK }
    /// Deterministic latency.
    0x82 DLC rw { 3:0 DLC }
    0x90 PDMACFG0 rw: unmodelled
    0x91 PDMACFG1 rw: unmodelled
    0x92 DDMABP[4] rw: unmodelled
    /// What the pins of the chip are.
    0xb0 GENCFG[4] rw
    0xcb RTCCFG rw = 0x21 { 0 ENABLE, 2 UPPER, 3 LOCK_LOWER: unmodelled, 4 LOCK_UPPER: unmodelled, 5 POSITIVE }
}

registers! {
    /// Port cf9h.
    RESET_CONTROL: u8;

    /// A rising RCPU resets: the machine, with SRST, or the processor.
    0 RC rw { 1 SRST, 2 RCPU }
}

registers! {
    /// Port 92h.
    PORT_92: u8;

    /// A rising INIT resets the processor.
    0 PORT92 rw { 0 INIT, 1 A20 }
}

static HEADER: Header = Header { multi_function: true, ..Header::new(0x8086, 0x7110, 1, 0x06_0100) };
static PIIX3_HEADER: Header = Header { multi_function: true, ..Header::new(0x8086, 0x7000, 0, 0x06_0100) };

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;

const CONFIG_WINDOW: Window = Window(0);
const RCR_WINDOW: Window = Window(1);
const PIRQS: usize = 4;
const IRQS: usize = 16;
/// Inputs of the interrupt controllers that PCI interrupts cannot have.
const RESERVED_IRQS: u16 = 0b111 | 1 << 8 | 1 << 13;
const A20_PIN: usize = IRQS;

#[derive(State)]
#[state(version = 1)]
struct Piix4Isa {
    function: Function,
    /// Levels of the inputs.
    pirq: [bool; PIRQS],
    rcr: u8,
    port92: u8,
}

impl Piix4Isa {
    fn new(header: &'static Header) -> Piix4Isa {
        let mut function = Function::new(header);
        // It is always there and always master; special cycles and SERR are storage.
        for (at, value, writable) in [(COMMAND, 0x07, 0x08), (COMMAND + 1, 0, 1), (STATUS, 0x80, 0), (STATUS + 1, 0x02, 0)] {
            function.preset(at, value);
            function.set_writable(at, writable);
        }
        for r in CONFIG_BYTES {
            for at in (r.offset..).take(r.count as usize) {
                function.preset(at as usize, r.reset as u8);
                function.set_writable(at as usize, r.mask(RegAccess::ReadWrite) as u8);
            }
        }
        Piix4Isa { function, pirq: [false; PIRQS], rcr: 0, port92: 0 }
    }

    /// The inputs of the interrupt controllers that PCI interrupts hold.
    fn routed(&self) -> u16 {
        let route = |n: usize| self.function.byte(PIRQRC as usize + n);
        let held = (0..PIRQS).filter(|n| self.pirq[*n] && u64::from(route(*n)) & PIRQRC_DISABLE == 0);
        held.fold(0, |irqs, n| irqs | 1 << (u64::from(route(n)) & PIRQRC_IRQ)) & !RESERVED_IRQS
    }

    fn write_config(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        for (byte, at) in value.to_le_bytes().into_iter().zip(at..).take(size.bytes() as usize) {
            // Zeros between registers are what a wide access has there.
            if (0x40..0x100).contains(&at) && byte != self.function.byte(at as usize) {
                check_register_write(cx, CONFIG_BYTES, at, byte.into());
            }
            if (PIRQRC..PIRQRC + PIRQRC_COUNT).contains(&at) && u64::from(byte) & PIRQRC_DISABLE == 0 && RESERVED_IRQS >> (byte & 15) & 1 != 0 {
                cx.guest_error(format_args!("PCI interrupt {} routed to reserved input {}", at - PIRQRC, byte & 15));
            }
        }
        self.function.write(cx, at, size, value);
    }

    fn write_reset_control(&mut self, cx: &mut dyn Services, value: u64) {
        let rises = value & !u64::from(self.rcr) & RC_RCPU != 0;
        self.rcr = (value & (RC_SRST | RC_RCPU)) as u8;
        // Of the processor alone too (RC_SRST is 0): what runs without it has nothing to do.
        if rises {
            cx.system(SystemRequest::Reset);
        }
    }
}

impl Device for Piix4Isa {
    fn read(&mut self, _: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        Ok(match w {
            CONFIG_WINDOW => self.function.read(at, size),
            RCR_WINDOW => self.rcr.into(),
            _ => self.port92.into(),
        })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match w {
            CONFIG_WINDOW => self.write_config(cx, at, size, value),
            RCR_WINDOW => self.write_reset_control(cx, value),
            _ => {
                if value & !u64::from(self.port92) & PORT92_INIT != 0 {
                    cx.system(SystemRequest::Reset);
                }
                self.port92 = (value & (PORT92_INIT | PORT92_A20)) as u8;
            }
        }
        Ok(())
    }

    fn event(&mut self, _: &mut dyn Services, event: Event<'_>) {
        if let Event::Pin { pin, level } = event
            && let Some(pirq) = self.pirq.get_mut(pin)
        {
            *pirq = level;
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        let routed = self.routed();
        for irq in 0..IRQS {
            cx.set_pin(irq, routed >> irq & 1 != 0);
        }
        cx.set_pin(A20_PIN, u64::from(self.port92) & PORT92_A20 != 0);
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }
}

/// The device type. Pin "a20" is high while the guest wants address line 20.
pub static PIIX4_ISA: DeviceType = DeviceType {
    windows: &[CONFIG, WindowDecl::pio("rcr", 1, AccessRule::BYTE), WindowDecl::pio("port92", 1, AccessRule::BYTE)],
    outputs: &[PinDecl::many("irq", IRQS), PinDecl::one("a20")],
    inputs: &[PinDecl::many("pirq", PIRQS)],
    registers: &[CONFIG_BYTES, RESET_CONTROL, PORT_92],
    ..DeviceType::new("piix4-isa", "PCI to ISA bridge of the south bridge PIIX4 (Intel 82371AB)", |_| Ok(Box::new(Piix4Isa::new(&HEADER))))
};

/// The device type of the PIIX3, with the same windows and pins.
pub static PIIX3_ISA: DeviceType = DeviceType {
    windows: PIIX4_ISA.windows,
    outputs: PIIX4_ISA.outputs,
    inputs: PIIX4_ISA.inputs,
    registers: PIIX4_ISA.registers,
    ..DeviceType::new("PIIX3", "PCI to ISA bridge of the south bridge PIIX3 (Intel 82371SB)", |_| Ok(Box::new(Piix4Isa::new(&PIIX3_HEADER))))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&PIIX4_ISA, &[])
    }

    fn config(b: &Bench, at: u64, width: Width) -> u64 {
        b.read("config", at, width).unwrap()
    }

    fn irqs(b: &Bench) -> Vec<usize> {
        (0..IRQS).filter(|n| b.output("irq", *n)).collect()
    }

    #[test]
    fn configuration_space_is_the_datasheets() {
        let b = bench();
        for (at, value) in [(0x00, 0x7110_8086), (0x04, 0x0280_0007), (0x08, 0x0601_0001), (0x0c, 0x0080_0000), (0x10, 0), (0x3c, 0)] {
            assert_eq!(config(&b, at, Width::B4), value, "{at:#x}");
        }
        for r in CONFIG_BYTES {
            for at in (r.offset..).take(r.count as usize) {
                assert_eq!(config(&b, at, Width::B1), r.reset, "{} at {at:#x}", r.name);
                b.write("config", at, Width::B1, 0xff).unwrap();
                let stored = r.mask(RegAccess::ReadWrite);
                assert_eq!(config(&b, at, Width::B1), r.reset & !stored | stored, "{} at {at:#x}", r.name);
            }
        }
        b.write("config", 0x04, Width::B4, 0xffff_ffff).unwrap();
        assert_eq!(config(&b, 0x04, Width::B4), 0x0280_010f);
        b.machine.reset(Reset::Warm);
        assert_eq!((config(&b, 0x60, Width::B4), config(&b, 0x04, Width::B2)), (0x8080_8080, 7));
    }

    #[test]
    fn piix3_has_its_own_identity() {
        let b = Bench::new(&PIIX3_ISA, &[]);
        assert_eq!((config(&b, 0, Width::B4), config(&b, 8, Width::B4)), (0x7000_8086, 0x0601_0000));
    }

    #[test]
    fn pci_interrupts_are_levels_at_the_inputs_they_are_routed_to() {
        let b = bench();
        (0..4).for_each(|n| b.input("pirq", n, true));
        assert_eq!(irqs(&b), []);
        b.write("config", PIRQRC, Width::B4, 0x800b_0b0a).unwrap();
        assert_eq!(irqs(&b), [10, 11]);
        b.input("pirq", 1, false);
        assert_eq!(irqs(&b), [10, 11], "another one holds it");
        b.input("pirq", 2, false);
        assert_eq!(irqs(&b), [10]);
        b.write("config", PIRQRC, Width::B1, 0x8a).unwrap();
        assert_eq!(irqs(&b), []);
        assert_eq!(b.machine.counters().guest_errors, 0);
        for (n, reserved) in [0u64, 1, 2, 8, 13].into_iter().enumerate() {
            b.write("config", PIRQRC, Width::B1, reserved).unwrap();
            assert_eq!((irqs(&b), b.machine.counters().guest_errors), (vec![], n as u64 + 1));
        }
    }

    #[test]
    fn a_rising_rcpu_resets_machine_or_processor() {
        // Values written in turn, and what is asked for.
        let cases: [(&[u64], Option<SystemRequest>); 5] = [
            (&[0x02, 0x06], Some(SystemRequest::Reset)),
            (&[0x06], Some(SystemRequest::Reset)),
            (&[0x0e], Some(SystemRequest::Reset)),
            (&[0x04], Some(SystemRequest::Reset)),
            (&[0x02, 0x00], None),
        ];
        for (values, request) in cases {
            let b = bench();
            values.iter().for_each(|value| b.write("rcr", 0, Width::B1, *value).unwrap());
            assert_eq!((b.machine.take_request(), b.machine.take_request()), (request, None), "{values:x?}");
            assert_eq!(b.read("rcr", 0, Width::B1), Ok(values[values.len() - 1] & 6));
        }
    }

    #[test]
    fn port_92_has_a20_and_init() {
        let b = bench();
        b.write("port92", 0, Width::B1, 0xff).unwrap();
        assert_eq!((b.read("port92", 0, Width::B1), b.output("a20", 0), b.machine.take_request()), (Ok(3), true, Some(SystemRequest::Reset)));
        b.write("port92", 0, Width::B1, 0).unwrap();
        assert!(!b.output("a20", 0));
    }

    #[test]
    fn what_is_not_modelled_is_reported() {
        let b = bench();
        for (at, width, value) in [(PDMACFG0, Width::B2, 0x0101), (RTCCFG, Width::B1, 0x29), (MBDMA, Width::B1, 0x0c)] {
            b.write("config", at, width, value).unwrap();
        }
        assert_eq!(b.machine.counters().unimplemented, 4);
        b.write("config", 0x44, Width::B4, 1).unwrap();
        assert_eq!(b.machine.counters().guest_errors, 1);
    }
}
