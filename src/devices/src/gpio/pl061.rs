//! Arm PrimeCell GPIO (PL061, DDI 0190): eight lines.
//!
//! Inputs that nobody drives are low. Left out: hardware control of lines (GPIOAFSEL).

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Event, FdtHook, FdtNode, PinDecl, Placed, Reset, Services, State, Width, Window, WindowDecl, check_register_read,
    check_register_write, registers,
};

registers! {
    /// Registers of the PL061.
    REGISTERS: u32;

    /// Lines, masked by bits 9 to 2 of the address.
    0x000 DATA[256] rw { 7:0 DATA }
    /// Set for outputs.
    0x400 DIR rw { 7:0 DIR }
    /// Set for levels.
    0x404 IS rw { 7:0 IS }
    /// Set for both edges.
    0x408 IBE rw { 7:0 IBE }
    /// Set for rising edges and high levels.
    0x40c IEV rw { 7:0 IEV }
    0x410 IE rw { 7:0 IE }
    0x414 RIS ro { 7:0 RIS }
    0x418 MIS ro { 7:0 MIS }
    0x41c IC wo { 7:0 IC }
    0x420 AFSEL rw { 7:0 AFSEL: unmodelled }
    0xfe0 PERIPHID0 ro = 0x61
    0xfe4 PERIPHID1 ro = 0x10
    0xfe8 PERIPHID2 ro = 0x04
    0xfec PERIPHID3 ro = 0x00
    0xff0 CELLID0 ro = 0x0d
    0xff4 CELLID1 ro = 0xf0
    0xff8 CELLID2 ro = 0x05
    0xffc CELLID3 ro = 0xb1
}

const IDS: [u64; 8] = [PERIPHID0_RESET, PERIPHID1_RESET, PERIPHID2_RESET, PERIPHID3_RESET, CELLID0_RESET, CELLID1_RESET, CELLID2_RESET, CELLID3_RESET];

const LINES: usize = 8;
const IRQ: usize = 0;
/// First of the output pins that are lines.
const OUT: usize = 1;

#[derive(State, Default)]
#[state(version = 1)]
struct Pl061 {
    /// What outputs drive.
    latch: u8,
    /// Levels of the input pins.
    inputs: u8,
    dir: u8,
    is: u8,
    ibe: u8,
    iev: u8,
    ie: u8,
    /// Edges seen.
    edges: u8,
    afsel: u8,
}

impl Pl061 {
    /// Levels of all lines.
    fn lines(&self) -> u8 {
        self.latch & self.dir | self.inputs & !self.dir
    }

    fn raw(&self) -> u8 {
        // A level line interrupts while it is as the event register has it.
        self.edges & !self.is | !(self.lines() ^ self.iev) & self.is
    }

    /// Does something that may change lines, and takes note of edges.
    fn with_edges(&mut self, f: impl FnOnce(&mut Pl061)) {
        let before = self.lines();
        f(self);
        let changed = before ^ self.lines();
        self.edges |= changed & !self.is & (self.ibe | !(self.lines() ^ self.iev));
    }
}

impl Device for Pl061 {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        Ok(match at {
            DATA..DIR => u64::from(self.lines()) & at >> 2,
            DIR => self.dir.into(),
            IS => self.is.into(),
            IBE => self.ibe.into(),
            IEV => self.iev.into(),
            IE => self.ie.into(),
            RIS => self.raw().into(),
            MIS => (self.raw() & self.ie).into(),
            AFSEL => self.afsel.into(),
            PERIPHID0..=CELLID3 => IDS[((at - PERIPHID0) / 4) as usize],
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        })
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        check_register_write(cx, REGISTERS, at, value);
        let byte = value as u8;
        match at {
            DATA..DIR => {
                // Only outputs take what is written.
                let mask = (at >> 2) as u8 & self.dir;
                self.with_edges(|s| s.latch = s.latch & !mask | byte & mask);
            }
            DIR => self.with_edges(|s| s.dir = byte),
            IS => self.is = byte,
            IBE => self.ibe = byte,
            IEV => self.iev = byte,
            IE => self.ie = byte,
            IC => self.edges &= !byte,
            AFSEL => self.afsel = byte,
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, _: &mut dyn Services, event: Event<'_>) {
        if let Event::Pin { pin, level } = event
            && pin < LINES
        {
            self.with_edges(|s| s.inputs = s.inputs & !(1 << pin) | u8::from(level) << pin);
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(IRQ, self.raw() & self.ie != 0);
        let driven = self.latch & self.dir;
        for line in 0..LINES {
            cx.set_pin(OUT + line, driven >> line & 1 != 0);
        }
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }
}

fn fdt(placed: &Placed<'_>, node: &mut dyn FdtNode) {
    node.prop_strs("compatible", &["arm,pl061", "arm,primecell"]);
    placed.reg(node);
    node.prop_empty("gpio-controller");
    node.prop_u32("#gpio-cells", 2);
    placed.interrupts(node);
    let clock = node.phandle("apb-pclk");
    node.prop_u32("clocks", clock);
    node.prop_str("clock-names", "apb_pclk");
}

/// The device type.
pub static PL061: DeviceType = DeviceType {
    windows: &[WindowDecl::mmio("regs", 0x1000, AccessRule::WORD)],
    outputs: &[PinDecl::one("irq"), PinDecl::many("out", LINES)],
    inputs: &[PinDecl::many("in", LINES)],
    registers: &[REGISTERS],
    fdt: Some(FdtHook { node: "pl061", build: fdt }),
    ..DeviceType::new("pl061", "Arm PrimeCell GPIO (PL061)", |_| Ok(Box::new(Pl061::default())))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    #[test]
    fn data_is_masked_by_the_address_and_outputs_drive_pins() {
        let b = Bench::new(&PL061, &[]);
        b.write32("regs", DIR, 0x0f);
        b.write32("regs", 0x3fc, 0xff);
        b.input("in", 7, true);
        b.input("in", 0, true);
        assert_eq!(b.read32("regs", 0x3fc), 0x8f);
        b.write32("regs", 0x02 << 2, 0);
        assert_eq!((b.read32("regs", 0x3fc), b.read32("regs", 0x03 << 2), b.read32("regs", 0)), (0x8d, 1, 0));
        let out: Vec<bool> = (0..8).map(|n| b.output("out", n)).collect();
        assert_eq!(out, [true, false, true, true, false, false, false, false]);
        b.write32("regs", DIR, 0);
        assert!(!b.output("out", 0));
    }

    #[test]
    fn edges_are_latched_and_levels_are_followed() {
        // IS, IBE, IEV; interrupt after a rise, after clearing, after the fall.
        let cases = [
            (0, 0, 8, [true, false, false]),
            (0, 0, 0, [false, false, true]),
            (0, 8, 0, [true, false, true]),
            (8, 0, 8, [true, true, false]),
            (8, 0, 0, [false, false, true]),
        ];
        for (is, ibe, iev, expected) in cases {
            let b = Bench::new(&PL061, &[]);
            for (at, value) in [(IS, is), (IBE, ibe), (IEV, iev), (IE, 8)] {
                b.write32("regs", at, value);
            }
            b.input("in", 3, true);
            let risen = b.output("irq", 0);
            b.write32("regs", IC, 0xff);
            let cleared = b.output("irq", 0);
            b.input("in", 3, false);
            assert_eq!([risen, cleared, b.output("irq", 0)], expected, "IS {is} IBE {ibe} IEV {iev}");
            assert_eq!(b.read32("regs", MIS) != 0, expected[2]);
        }
    }

    #[test]
    fn a_masked_line_only_shows_in_the_raw_status() {
        let b = Bench::new(&PL061, &[]);
        b.write32("regs", IEV, 1);
        b.input("in", 0, true);
        assert_eq!((b.read32("regs", RIS), b.read32("regs", MIS), b.output("irq", 0)), (1, 0, false));
        b.write32("regs", IE, 1);
        assert!(b.output("irq", 0));
    }
}
