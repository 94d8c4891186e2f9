//! The way of an interrupt on an Arm board: timer and UART, through either interrupt controller,
//! to the cores' lines, driven as an operating system does it.

use std::sync::Arc;

use proteus_devices::REGISTRY;
use proteus_model::{CoreId, DeviceId, DeviceType, Line, Machine, MachineBuilder, Props, Width};

const DIST: u64 = 0x0800_0000;
const CPU: u64 = 0x0801_0000;
const REDIST: u64 = 0x080a_0000;
const UART: u64 = 0x0900_0000;

const CNTV_CTL: u32 = 0xdf19;
const CNTV_CVAL: u32 = 0xdf1a;
const ICC_PMR: u32 = 0xc230;
const ICC_IAR1: u32 = 0xc660;
const ICC_EOIR1: u32 = 0xc661;
const ICC_IGRPEN1: u32 = 0xc667;

fn ty(name: &str) -> &'static DeviceType {
    REGISTRY.iter().find(|ty| ty.name == name).unwrap()
}

fn board(gic: &str, windows: [(&str, u64); 2]) -> (Arc<Machine>, DeviceId) {
    let mut b = MachineBuilder::new("board", 2);
    let gic = b.device(ty(gic), "gic", Props::with(ty(gic), &[("cores", "2")]).unwrap()).unwrap();
    for (window, base) in windows {
        b.place(gic, window, base).unwrap();
    }
    let timer = b.device(ty("arm-generic-timer"), "timer", Props::with(ty("arm-generic-timer"), &[("cores", "2")]).unwrap()).unwrap();
    let uart = b.device(ty("pl011"), "uart", Props::new(ty("pl011"))).unwrap();
    b.place(uart, "regs", UART).unwrap();
    b.wire(uart, ("irq", 0), gic, ("spi", 1)).unwrap();
    for core in 0..2 {
        b.wire(timer, ("virt", core), gic, ("ppi", 32 * core + 27)).unwrap();
        b.wire_core(gic, ("irq", core), CoreId(core as u16), Line::IRQ).unwrap();
        b.wire_core(gic, ("fiq", core), CoreId(core as u16), Line::FIQ).unwrap();
    }
    (b.build().unwrap(), uart)
}

/// A machine with the operations an operating system has on either interrupt controller.
struct Guest {
    m: Arc<Machine>,
    v3: bool,
}

impl Guest {
    fn new(v3: bool) -> Guest {
        let (m, _) = if v3 { board("arm-gic-v3", [("dist", DIST), ("redist", REDIST)]) } else { board("arm-gic-v2", [("dist", DIST), ("cpu", CPU)]) };
        let g = Guest { m, v3 };
        g.store(0, DIST, if v3 { 0x13 } else { 1 });
        for core in 0..2 {
            if v3 {
                let frame = REDIST + 0x2_0000 * u64::from(core);
                g.store(core, frame + 0x14, 0);
                g.store(core, frame + 0x1_0080, 0xffff_ffff);
                g.store(core, frame + 0x1_0100, 1 << 27);
                g.sysreg(core, ICC_PMR, 0xf0);
                g.sysreg(core, ICC_IGRPEN1, 1);
            } else {
                g.store(core, DIST + 0x100, 1 << 27);
                g.store(core, CPU + 4, 0xf0);
                g.store(core, CPU, 1);
            }
        }
        // The UART, to the second core.
        g.store(0, DIST + 0x104, 2);
        if v3 {
            g.store(0, DIST + 0x84, 0xffff_ffff);
            g.store(0, DIST + 0x6000 + 8 * 33, 1);
        } else {
            g.store(0, DIST + 0x820, 0x0200);
        }
        g
    }

    fn store(&self, core: u16, at: u64, value: u64) {
        self.m.write(CoreId(core), at, Width::B4, value).unwrap();
    }

    fn sysreg(&self, core: u16, key: u32, value: u64) {
        self.m.sysreg_write(CoreId(core), key, value).unwrap().unwrap();
    }

    fn acknowledge(&self, core: u16) -> u64 {
        if self.v3 { self.m.sysreg_read(CoreId(core), ICC_IAR1).unwrap().unwrap() } else { self.m.read(CoreId(core), CPU + 0xc, Width::B4).unwrap() }
    }

    fn end(&self, core: u16, id: u64) {
        if self.v3 { self.sysreg(core, ICC_EOIR1, id) } else { self.store(core, CPU + 0x10, id) }
    }

    fn irq(&self, core: u16) -> bool {
        let lines = self.m.core_lines(CoreId(core)).unwrap();
        assert!(!lines.level(Line::FIQ));
        lines.level(Line::IRQ)
    }

    fn at(&self, now: u64) {
        self.m.clock().set(now);
        self.m.run_alarms(now);
    }
}

#[test]
fn a_timer_ticks_on_each_core() {
    for v3 in [false, true] {
        let g = Guest::new(v3);
        for core in 0..2 {
            g.sysreg(core, CNTV_CVAL, 100 + u64::from(core));
            g.sysreg(core, CNTV_CTL, 1);
        }
        assert_eq!(g.m.next_alarm(), Some(1600));
        for tick in 0..50 {
            for core in 0..2 {
                let count = 100 * (tick + 1) + u64::from(core);
                g.at(16 * count - 1);
                assert!(!g.irq(core), "tick {tick}");
                g.at(16 * count);
                assert!(g.irq(core), "tick {tick}");
                assert_eq!(g.acknowledge(core), 27);
                assert!(!g.irq(core));
                g.sysreg(core, CNTV_CVAL, count + 100);
                g.end(core, 27);
                assert!(!g.irq(core));
                assert_eq!(g.acknowledge(core), 1023);
            }
        }
    }
}

#[test]
fn a_uart_interrupts_the_core_it_is_routed_to() {
    for v3 in [false, true] {
        let g = Guest::new(v3);
        g.store(0, UART + 0x38, 1 << 5);
        g.store(0, UART, b'x'.into());
        assert!(g.irq(1) && !g.irq(0));
        assert_eq!(g.acknowledge(1), 33);
        g.store(1, UART + 0x44, 1 << 5);
        g.end(1, 33);
        assert!(!g.irq(1));
    }
}
