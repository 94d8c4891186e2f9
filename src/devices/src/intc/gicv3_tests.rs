//! Tests of the GICv3.

use super::*;
use proteus_model::testing::Bench;

/// Two cores, awake, both groups on, everything in group 1: as Linux does it.
fn bench() -> Bench {
    let b = Bench::new(&ARM_GIC_V3, &[("cores", "2"), ("num-irq", "96")]);
    b.write32("dist", dist::CTLR, 0x13);
    for word in [4, 8] {
        b.write32("dist", dist::IGROUPR + word, !0);
    }
    for core in 0..2 {
        b.write32("redist", FRAMES * u64::from(core) + redist::WAKER, 0);
        b.write32("redist", FRAMES * u64::from(core) + redist::IGROUPR0, !0);
        write(&b, core, icc::PMR_EL1, 0xf0);
        write(&b, core, icc::IGRPEN1_EL1, 1);
        write(&b, core, icc::IGRPEN0_EL1, 1);
    }
    b
}

/// The window of a system register, and its place there.
fn place(register: u32) -> (usize, u64) {
    match register {
        icc::PMR_EL1 => (2, 0),
        icc::SRE_EL2 => (4, 0),
        icc::SRE_EL3 => (5, 0),
        _ => (3, u64::from(register - icc::BLOCK)),
    }
}

fn read(b: &Bench, core: u16, register: u32) -> u64 {
    let (window, at) = place(register);
    b.read_at(core, window, at, Width::B8).unwrap()
}

fn write(b: &Bench, core: u16, register: u32, value: u64) {
    let (window, at) = place(register);
    b.write_at(core, window, at, Width::B8, value).unwrap();
}

/// Enables a shared interrupt with a priority and a route.
fn route(b: &Bench, id: u64, priority: u64, router: u64) {
    b.write("dist", dist::IPRIORITYR + id, Width::B1, priority).unwrap();
    b.write("dist", dist::IROUTER + 8 * id, Width::B8, router).unwrap();
    b.write32("dist", dist::ISENABLER + id / 32 * 4, 1 << (id % 32));
}

#[test]
fn identification() {
    let b = bench();
    assert_eq!(b.read32("dist", dist::PIDR2) >> 4, 3);
    assert_eq!(b.read32("redist", redist::PIDR2) >> 4, 3);
    assert_eq!(b.read32("dist", dist::TYPER), 2 | 15 << 19 | 1 << 24);
    assert_eq!(b.read32("dist", dist::CTLR), 0x53);
    assert_eq!(b.read("redist", redist::TYPER, Width::B8), Ok(0));
    assert_eq!(b.read("redist", FRAMES + redist::TYPER, Width::B8), Ok(1 << 32 | 1 << 8 | 1 << 4));
    assert_eq!(read(&b, 0, icc::SRE_EL1), 7);
    assert_eq!(read(&b, 0, icc::CTLR_EL1) >> 8 & 7, 4);
    assert_eq!(b.read32("redist", redist::ICFGR0), 0xaaaa_aaaa);
    // AP0R1 is not there with five priority bits.
    assert_eq!(b.read_at(0, 3, 5, Width::B8), Err(BusFault::Undefined));
}

#[test]
fn clusters_have_sixteen_cores() {
    let b = Bench::new(&ARM_GIC_V3, &[("cores", "20")]);
    assert_eq!(b.read("redist", 19 * FRAMES + redist::TYPER, Width::B8), Ok(0x103 << 32 | 19 << 8 | 1 << 4));
}

#[test]
fn a_level_interrupt_is_taken_and_ended() {
    let b = bench();
    route(&b, 33, 0xa0, 0);
    b.input("spi", 1, true);
    assert!(b.output("irq", 0) && !b.output("irq", 1) && !b.output("fiq", 0));
    assert_eq!((read(&b, 0, icc::HPPIR1_EL1), read(&b, 0, icc::HPPIR0_EL1)), (33, 1023));
    assert_eq!((read(&b, 0, icc::IAR0_EL1), read(&b, 1, icc::IAR1_EL1)), (1023, 1023));
    assert_eq!(read(&b, 0, icc::IAR1_EL1), 33);
    assert!(!b.output("irq", 0));
    assert_eq!((read(&b, 0, icc::RPR_EL1), read(&b, 0, icc::AP1R0_EL1)), (0xa0, 1 << 20));
    write(&b, 0, icc::EOIR1_EL1, 33);
    assert!(b.output("irq", 0), "the line is still high");
    b.input("spi", 1, false);
    assert!(!b.output("irq", 0));
    assert_eq!((read(&b, 0, icc::IAR1_EL1), read(&b, 0, icc::RPR_EL1)), (1023, 0xff));
}

#[test]
fn edges_latch() {
    let b = bench();
    b.write32("dist", dist::ICFGR + 8, 0xaaaa_aaaa);
    route(&b, 40, 0xa0, 0);
    b.input("spi", 8, true);
    b.input("spi", 8, false);
    assert_eq!(read(&b, 0, icc::IAR1_EL1), 40);
    assert_eq!(b.read32("dist", dist::ISPENDR + 4), 0);
    assert_eq!(b.read32("dist", dist::ISACTIVER + 4), 1 << 8);
}

#[test]
fn routes_name_a_core_or_any() {
    let b = bench();
    let level = |b: &Bench| (b.output("irq", 0), b.output("irq", 1));
    route(&b, 33, 0xa0, 1);
    b.input("spi", 1, true);
    assert_eq!(level(&b), (false, true));
    // Aff0 16, Aff1 and Aff3 that no core has.
    for nobody in [16, 0x100, 1 << 32, 2] {
        route(&b, 33, 0xa0, nobody);
        assert_eq!(level(&b), (false, false), "{nobody:#x}");
        assert_eq!(b.read("dist", dist::IROUTER + 8 * 33, Width::B8), Ok(nobody));
    }
    route(&b, 33, 0xa0, IRM);
    assert_eq!(level(&b), (true, false));
    b.write32("redist", redist::WAKER, 2);
    assert_eq!((level(&b), b.read32("redist", redist::WAKER)), ((false, true), 6));
    // By halves.
    b.write32("dist", dist::IROUTER + 8 * 33, 1);
    assert_eq!(level(&b), (false, true));
    b.write32("dist", dist::IROUTER + 8 * 33 + 4, 1);
    assert_eq!(level(&b), (false, false));
}

#[test]
fn software_interrupts_reach_lists_and_all_others() {
    let b = bench();
    for core in 0..2 {
        b.write32("redist", FRAMES * core + redist::ISENABLER0, 0xffff);
    }
    write(&b, 0, icc::SGI1R_EL1, 5 << 24 | 2);
    assert!(b.output("irq", 1) && !b.output("irq", 0));
    assert_eq!(read(&b, 1, icc::IAR1_EL1), 5);
    write(&b, 1, icc::EOIR1_EL1, 5);
    write(&b, 0, icc::SGI1R_EL1, 5 << 24 | 1 << 16 | 3);
    assert!(!b.output("irq", 1) && !b.output("irq", 0), "Aff1 is 1");
    write(&b, 1, icc::SGI1R_EL1, 7 << 24 | 1 << 40);
    assert!(b.output("irq", 0) && !b.output("irq", 1));
    write(&b, 1, icc::SGI0R_EL1, 8 << 24 | 1);
    assert_eq!(b.read32("redist", redist::ISPENDR0), 1 << 7, "of the other group");
}

#[test]
fn group_0_is_fiq() {
    let b = bench();
    b.write32("redist", redist::IGROUPR0, !(1 << 30));
    b.write32("redist", redist::ISENABLER0, 1 << 30);
    b.input("ppi", 30, true);
    assert!(b.output("fiq", 0) && !b.output("irq", 0));
    assert_eq!(read(&b, 0, icc::IAR1_EL1), 1023);
    assert_eq!(read(&b, 0, icc::IAR0_EL1), 30);
    write(&b, 0, icc::EOIR1_EL1, 30);
    assert_eq!(read(&b, 0, icc::RPR_EL1), 0, "the end in the wrong group is ignored");
    write(&b, 0, icc::EOIR0_EL1, 30);
    assert_eq!(read(&b, 0, icc::RPR_EL1), 0xff);
    write(&b, 0, icc::IGRPEN0_EL1, 0);
    assert!(!b.output("fiq", 0));
}

#[test]
fn priorities_preempt_and_mask() {
    let b = bench();
    for (id, priority) in [(32, 0xa0), (33, 0x50), (34, 0xf0)] {
        route(&b, id, priority, 0);
    }
    b.input("spi", 2, true);
    assert!(!b.output("irq", 0), "0xf0 is not above the mask");
    b.input("spi", 0, true);
    assert_eq!(read(&b, 0, icc::IAR1_EL1), 32);
    b.input("spi", 1, true);
    assert_eq!(read(&b, 0, icc::IAR1_EL1), 33);
    assert_eq!(read(&b, 0, icc::AP1R0_EL1), 1 << 20 | 1 << 10);
    write(&b, 0, icc::PMR_EL1, 0xff);
    assert_eq!(read(&b, 0, icc::PMR_EL1), 0xf8);
    b.input("spi", 0, false);
    b.input("spi", 1, false);
    write(&b, 0, icc::EOIR1_EL1, 33);
    assert!(!b.output("irq", 0));
    write(&b, 0, icc::EOIR1_EL1, 32);
    assert_eq!(read(&b, 0, icc::IAR1_EL1), 34);
}

#[test]
fn priority_drop_and_deactivation_may_be_separate() {
    let b = bench();
    route(&b, 32, 0x80, 0);
    write(&b, 0, icc::CTLR_EL1, icc::EOIMODE.into());
    b.input("spi", 0, true);
    assert_eq!(read(&b, 0, icc::IAR1_EL1), 32);
    write(&b, 0, icc::EOIR1_EL1, 32);
    assert!(!b.output("irq", 0));
    assert_eq!(read(&b, 0, icc::RPR_EL1), 0xff);
    write(&b, 1, icc::CTLR_EL1, icc::EOIMODE.into());
    write(&b, 1, icc::DIR_EL1, 32);
    assert!(b.output("irq", 0), "any core may deactivate");
}

#[test]
fn a_common_binary_point_shows_as_one_more() {
    let b = bench();
    write(&b, 0, icc::BPR0_EL1, 0);
    write(&b, 0, icc::BPR1_EL1, 0);
    assert_eq!((read(&b, 0, icc::BPR0_EL1), read(&b, 0, icc::BPR1_EL1)), (2, 3));
    write(&b, 0, icc::CTLR_EL1, icc::CBPR.into());
    write(&b, 0, icc::BPR0_EL1, 5);
    write(&b, 0, icc::BPR1_EL1, 7);
    assert_eq!(read(&b, 0, icc::BPR1_EL1), 6);
    write(&b, 0, icc::CTLR_EL1, 0);
    assert_eq!(read(&b, 0, icc::BPR1_EL1), 3);
}

#[test]
fn a_sleeping_core_gets_nothing() {
    let b = bench();
    b.write32("redist", redist::ISENABLER0, 1 << 27);
    b.write32("redist", redist::WAKER, 2);
    b.input("ppi", 27, true);
    assert!(!b.output("irq", 0));
    b.write32("redist", redist::WAKER, 0);
    assert!(b.output("irq", 0));
    assert_eq!(b.read32("redist", redist::ISPENDR0), 1 << 27);
}

#[test]
fn private_registers_are_not_in_the_distributor() {
    let b = bench();
    b.write32("dist", dist::ISENABLER, !0);
    b.write32("dist", dist::IPRIORITYR, !0);
    b.write32("dist", dist::ICFGR + 4, !0);
    for at in [dist::ISENABLER, dist::IPRIORITYR, dist::ICFGR + 4, dist::IROUTER + 8] {
        assert_eq!(b.read32("dist", at), 0, "{at:#x}");
    }
    assert_eq!(b.read32("redist", redist::ISENABLER0), 0);
    b.write32("redist", FRAMES + redist::IPRIORITYR + 4, 0x1020_30ff);
    assert_eq!(b.read32("redist", FRAMES + redist::IPRIORITYR + 4), 0x1020_30f8);
    assert_eq!(b.read("redist", FRAMES + redist::IPRIORITYR + 7, Width::B1), Ok(0x10));
}
