//! Arm PrimeCell real-time clock (PL031, DDI 0224).
//!
//! It runs from the start, as boards that keep it on a battery have it: it shows the wall clock
//! until the guest loads another time, and keeps that over a reset.

use proteus_model::{
    AccessRule, BusFault, Count, Device, DeviceType, Event, FdtHook, FdtNode, Ns, PinDecl, Placed, Reset, Services, State, Width, Window, WindowDecl,
    check_register_read, check_register_write, registers,
};

registers! {
    /// Registers of the PL031.
    REGISTERS: u32;

    /// Seconds.
    0x000 DR ro
    /// The interrupt comes when DR reaches this.
    0x004 MR rw
    /// Sets DR.
    0x008 LR rw
    0x00c CR rw = 1 { 0 RTCEN ro }
    0x010 IMSC rw { 0 RTCIMSC }
    0x014 RIS ro { 0 RTCRIS }
    0x018 MIS ro { 0 RTCMIS }
    0x01c ICR wo { 0 RTCICR }
    0xfe0 PERIPHID0 ro = 0x31
    0xfe4 PERIPHID1 ro = 0x10
    0xfe8 PERIPHID2 ro = 0x04
    0xfec PERIPHID3 ro = 0x00
    0xff0 CELLID0 ro = 0x0d
    0xff4 CELLID1 ro = 0xf0
    0xff8 CELLID2 ro = 0x05
    0xffc CELLID3 ro = 0xb1
}

const IDS: [u64; 8] = [PERIPHID0_RESET, PERIPHID1_RESET, PERIPHID2_RESET, PERIPHID3_RESET, CELLID0_RESET, CELLID1_RESET, CELLID2_RESET, CELLID3_RESET];

const SECOND: u64 = 1_000_000_000;
const IRQ: usize = 0;
const MATCH: usize = 0;

#[derive(State, Default)]
#[state(version = 1)]
struct Pl031 {
    /// What DR is ahead of the wall clock.
    #[state(keep)]
    offset: u32,
    mr: u32,
    lr: u32,
    imsc: bool,
    ris: bool,
    /// When DR reaches MR.
    deadline: Option<Ns>,
}

impl Pl031 {
    fn seconds(&self, cx: &dyn Services) -> u32 {
        ((cx.wall_clock() / SECOND) as u32).wrapping_add(self.offset)
    }

    /// Finds the time of the next match after MR or DR was set; a match now counts.
    fn compare(&mut self, cx: &dyn Services) {
        let ahead = self.mr.wrapping_sub(self.seconds(cx));
        self.ris |= ahead == 0;
        self.set_deadline(cx, ahead);
    }

    fn set_deadline(&mut self, cx: &dyn Services, ahead: u32) {
        // A match now will be the next one when the counter has wrapped.
        let ahead = if ahead == 0 { 1 << 32 } else { u64::from(ahead) };
        self.deadline = cx.now().checked_add(ahead * SECOND - cx.wall_clock() % SECOND);
    }
}

impl Device for Pl031 {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        Ok(match at {
            DR => self.seconds(cx).into(),
            MR => self.mr.into(),
            LR => self.lr.into(),
            CR => CR_RESET,
            IMSC => self.imsc.into(),
            RIS => self.ris.into(),
            MIS => (self.ris && self.imsc).into(),
            PERIPHID0..=CELLID3 => IDS[((at - PERIPHID0) / 4) as usize],
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        })
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        match at {
            MR => {
                self.mr = value as u32;
                self.compare(cx);
            }
            LR => {
                self.lr = value as u32;
                self.offset = self.lr.wrapping_sub((cx.wall_clock() / SECOND) as u32);
                self.compare(cx);
            }
            IMSC => self.imsc = value & IMSC_RTCIMSC != 0,
            ICR => self.ris &= value & ICR_RTCICR == 0,
            // Once started it cannot be stopped.
            CR => {}
            _ => check_register_write(cx, REGISTERS, at, value),
        }
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        if event == Event::Alarm(MATCH) {
            self.deadline = None;
            // The wall clock may have been set meanwhile: then this was not the time.
            self.compare(cx);
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(IRQ, self.ris && self.imsc);
        cx.alarm(MATCH, self.deadline);
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }
}

fn fdt(placed: &Placed<'_>, node: &mut dyn FdtNode) {
    node.prop_strs("compatible", &["arm,pl031", "arm,primecell"]);
    placed.reg(node);
    placed.interrupts(node);
    let clock = node.phandle("apb-pclk");
    node.prop_u32("clocks", clock);
    node.prop_str("clock-names", "apb_pclk");
}

/// The device type.
pub static PL031: DeviceType = DeviceType {
    windows: &[WindowDecl::mmio("regs", 0x1000, AccessRule::WORD)],
    outputs: &[PinDecl::one("irq")],
    alarms: Count::Fixed(1),
    registers: &[REGISTERS],
    fdt: Some(FdtHook { node: "pl031", build: fdt }),
    ..DeviceType::new("pl031", "Arm PrimeCell real-time clock (PL031)", |_| Ok(Box::new(Pl031::default())))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;
    use proteus_model::{HostEventKind, Reset};

    /// The wall clock stands at 1000.4 seconds.
    fn bench() -> Bench {
        let b = Bench::new(&PL031, &[]);
        b.deliver(HostEventKind::WallClock { base: 1_000_400_000_000 });
        b
    }

    #[test]
    fn it_shows_the_wall_clock_and_what_is_loaded() {
        let b = bench();
        assert_eq!((b.read32("regs", DR), b.read32("regs", CR)), (1000, 1));
        b.advance(600_000_000);
        assert_eq!(b.read32("regs", DR), 1001);
        b.write32("regs", LR, 0xffff_ffff);
        assert_eq!((b.read32("regs", DR), b.read32("regs", LR)), (0xffff_ffff, 0xffff_ffff));
        b.advance(SECOND);
        assert_eq!(b.read32("regs", DR), 0);
        b.machine.reset(Reset::Warm);
        assert_eq!(b.read32("regs", DR), 0);
    }

    #[test]
    fn the_interrupt_comes_at_the_matching_second() {
        let b = bench();
        b.write32("regs", IMSC, 1);
        b.write32("regs", MR, 1003);
        b.advance(2_599_999_999);
        assert!(!b.output("irq", 0));
        b.advance(1);
        assert!(b.output("irq", 0));
        assert_eq!((b.read32("regs", RIS), b.read32("regs", MIS)), (1, 1));
        b.write32("regs", IMSC, 0);
        assert!(!b.output("irq", 0));
        b.write32("regs", ICR, 1);
        assert_eq!(b.read32("regs", RIS), 0);
        b.write32("regs", MR, 1003);
        assert_eq!(b.read32("regs", RIS), 1, "a match at once");
    }
}
