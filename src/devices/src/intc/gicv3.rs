//! Arm Generic Interrupt Controller, version 3 (IHI 0069): distributor, redistributors and the
//! system-register interface, with a single Security state (GICD_CTLR.DS is 1), affinity routing
//! always on, and 32 priorities.
//!
//! Left out: LPIs and the ITS, message-based SPIs, extended ranges, the second Security state
//! (ICC_ASGI1R_EL1, ICC_CTLR_EL3, ICC_IGRPEN1_EL3), the virtual interface (ICH, ICV), and
//! GICD_CTLR.E1NWF: an interrupt for any core goes to the first that is awake and takes one.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Event, FdtHook, FdtNode, PinDecl, Placed, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props,
    RegisterInfo, Reset, Services, State, Width, Window, WindowDecl, WindowKind, WindowSize, check_register_read, check_register_write,
};

use super::lines::{Bank, Bits, PRIORITY_BITS, Pending, Priorities, SPURIOUS, Shared};
use crate::sysreg::key;

/// Registers of the distributor.
#[allow(non_upper_case_globals, reason = "fields as the manual spells them")]
mod dist {
    proteus_model::registers! {
        /// Distributor. What belongs to the 32 private interrupts reads as zero.
        pub(super) REGISTERS: u32;

        0x0000 CTLR rw = 0x50 { 0 EnableGrp0, 1 EnableGrp1, 4 ARE ro, 6 DS ro, 7 E1NWF rsvd, 31 RWP ro }
        0x0004 TYPER ro { 4:0 ITLinesNumber, 7:5 CPUNumber, 10 SecurityExtn, 16 MBIS, 17 LPIS, 18 DVIS, 23:19 IDbits, 24 A3V, 25 No1N }
        0x0008 IIDR ro = 0x43b
        0x000c TYPER2 ro
        0x0010 STATUSR ro
        0x0080 IGROUPR[32] rw
        0x0100 ISENABLER[32] rw
        0x0180 ICENABLER[32] rw
        0x0200 ISPENDR[32] rw
        0x0280 ICPENDR[32] rw
        0x0300 ISACTIVER[32] rw
        0x0380 ICACTIVER[32] rw
        0x0400 IPRIORITYR[255] rw
        /// Reserved with affinity routing.
        0x0800 ITARGETSR[255] ro
        0x0c00 ICFGR[64] rw
        /// Reserved with a single Security state.
        0x0d00 IGRPMODR[32] ro
        /// Reserved with a single Security state.
        0x0e00 NSACR[64] ro
        0x6000 IROUTER[1020] rw u64
        0xffd0 PIDR4 ro = 0x44
        0xffd4 PIDR5 ro
        0xffd8 PIDR6 ro
        0xffdc PIDR7 ro
        0xffe0 PIDR0 ro = 0x92
        0xffe4 PIDR1 ro = 0xb4
        0xffe8 PIDR2 ro = 0x3b
        0xffec PIDR3 ro
        0xfff0 CIDR0 ro = 0x0d
        0xfff4 CIDR1 ro = 0xf0
        0xfff8 CIDR2 ro = 0x05
        0xfffc CIDR3 ro = 0xb1
    }
}

/// Registers of a redistributor.
#[allow(non_upper_case_globals, reason = "fields as the manual spells them")]
mod redist {
    proteus_model::registers! {
        /// Redistributor: the control frame, and at 0x10000 the frame of SGIs and PPIs.
        pub(super) REGISTERS: u32;

        0x0000 CTLR ro { 0 EnableLPIs, 3 RWP, 31 UWP }
        0x0004 IIDR ro = 0x43b
        0x0008 TYPER ro u64 { 0 PLPIS, 1 VLPIS, 3 DirectLPI, 4 Last, 23:8 ProcessorNumber, 63:32 Affinity }
        0x0010 STATUSR ro
        0x0014 WAKER rw = 6 { 1 ProcessorSleep, 2 ChildrenAsleep ro }
        /// Reserved without LPIs.
        0x0070 PROPBASER ro u64
        /// Reserved without LPIs.
        0x0078 PENDBASER ro u64
        0xffd0 PIDR4 ro = 0x44
        0xffd4 PIDR5 ro
        0xffd8 PIDR6 ro
        0xffdc PIDR7 ro
        0xffe0 PIDR0 ro = 0x93
        0xffe4 PIDR1 ro = 0xb4
        0xffe8 PIDR2 ro = 0x3b
        0xffec PIDR3 ro
        0xfff0 CIDR0 ro = 0x0d
        0xfff4 CIDR1 ro = 0xf0
        0xfff8 CIDR2 ro = 0x05
        0xfffc CIDR3 ro = 0xb1
        0x10080 IGROUPR0 rw
        0x10100 ISENABLER0 rw
        0x10180 ICENABLER0 rw
        0x10200 ISPENDR0 rw
        0x10280 ICPENDR0 rw
        0x10300 ISACTIVER0 rw
        0x10380 ICACTIVER0 rw
        0x10400 IPRIORITYR[8] rw
        0x10c00 ICFGR0 ro = 0xaaaaaaaa
        0x10c04 ICFGR1 rw
        /// Reserved with a single Security state.
        0x10d00 IGRPMODR0 ro
        /// Reserved with a single Security state.
        0x10e00 NSACR ro
    }
}

/// Keys of the CPU interface's system registers.
mod icc {
    use super::key;

    pub const PMR_EL1: u32 = key(3, 0, 4, 6, 0);
    /// First of the block that all others at EL1 are in.
    pub const BLOCK: u32 = key(3, 0, 12, 8, 0);
    pub const IAR0_EL1: u32 = key(3, 0, 12, 8, 0);
    pub const EOIR0_EL1: u32 = key(3, 0, 12, 8, 1);
    pub const HPPIR0_EL1: u32 = key(3, 0, 12, 8, 2);
    pub const BPR0_EL1: u32 = key(3, 0, 12, 8, 3);
    pub const AP0R0_EL1: u32 = key(3, 0, 12, 8, 4);
    pub const AP1R0_EL1: u32 = key(3, 0, 12, 9, 0);
    pub const DIR_EL1: u32 = key(3, 0, 12, 11, 1);
    pub const RPR_EL1: u32 = key(3, 0, 12, 11, 3);
    pub const SGI1R_EL1: u32 = key(3, 0, 12, 11, 5);
    pub const ASGI1R_EL1: u32 = key(3, 0, 12, 11, 6);
    pub const SGI0R_EL1: u32 = key(3, 0, 12, 11, 7);
    pub const IAR1_EL1: u32 = key(3, 0, 12, 12, 0);
    pub const EOIR1_EL1: u32 = key(3, 0, 12, 12, 1);
    pub const HPPIR1_EL1: u32 = key(3, 0, 12, 12, 2);
    pub const BPR1_EL1: u32 = key(3, 0, 12, 12, 3);
    pub const CTLR_EL1: u32 = key(3, 0, 12, 12, 4);
    pub const SRE_EL1: u32 = key(3, 0, 12, 12, 5);
    pub const IGRPEN0_EL1: u32 = key(3, 0, 12, 12, 6);
    pub const IGRPEN1_EL1: u32 = key(3, 0, 12, 12, 7);
    pub const SRE_EL2: u32 = key(3, 4, 12, 9, 5);
    pub const SRE_EL3: u32 = key(3, 6, 12, 12, 5);

    /// CTLR_EL1: both groups use BPR0.
    pub const CBPR: u8 = 1;
    /// CTLR_EL1: EOIR only drops the priority.
    pub const EOIMODE: u8 = 2;
    /// CTLR_EL1: five priority bits, 16-bit interrupt IDs, affinity level 3.
    pub const CTLR_FIXED: u64 = 4 << 8 | 1 << 15;
    /// System registers only, no bypass.
    pub const SRE: u64 = 7;
    /// SRE_EL2 and SRE_EL3: lower levels may use their SRE too.
    pub const SRE_ENABLE: u64 = 8;
}

const DIST: Window = Window(0);
const REDIST: Window = Window(1);
/// Most cores, so that a word has a bit for each.
const MAX_CORES: u64 = 128;
/// Size of a redistributor's two frames.
const FRAMES: u64 = 0x2_0000;
const SGI_FRAME: u64 = 0x1_0000;
/// Cores in a cluster: as many as the target list of an SGI names.
const CLUSTER: u64 = 16;
const SGIS: u32 = 0xffff;
/// First of the special interrupt IDs.
const SPECIAL: u64 = 1020;

/// IROUTER: the interrupt is for any one core.
const IRM: u64 = 1 << 31;
const IROUTER_BITS: u64 = 0xff_00ff_ffff | IRM;

/// Where a shared interrupt goes: a core's number, or one of these.
const NOWHERE: u16 = u16::MAX;
const ANYWHERE: u16 = u16::MAX - 1;

/// The affinity of a core, as in GICR_TYPER.
fn affinity(core: u64) -> u64 {
    ((core / CLUSTER) << 8) | (core % CLUSTER)
}

/// The four fields of an affinity (as IROUTER and SGI registers scatter them) as one value.
fn gathered(aff3: u64, aff2: u64, aff1: u64, aff0: u64) -> u64 {
    (aff3 & 0xff) << 24 | (aff2 & 0xff) << 16 | (aff1 & 0xff) << 8 | aff0 & 0xff
}

#[derive(State, Default)]
struct Core {
    /// SGIs and PPIs.
    #[state(reset = Bank { edge: SGIS, ..Bank::default() })]
    bank: Bank,
    /// GICR_WAKER.ProcessorSleep.
    #[state(reset = true)]
    asleep: bool,
    /// CBPR and EOImode.
    ctlr: u8,
    /// A bit for each group.
    groups: u8,
    priorities: Priorities,
}

impl Core {
    fn common(&self) -> bool {
        self.ctlr & icc::CBPR != 0
    }

    fn separate_deactivation(&self) -> bool {
        self.ctlr & icc::EOIMODE != 0
    }
}

#[derive(State)]
#[state(version = 1)]
struct GicV3 {
    /// The group enables.
    ctlr: u8,
    cores: Vec<Core>,
    shared: Shared,
    routers: Vec<u64>,
    /// What each of `routers` means.
    targets: Vec<u16>,
    /// Cores whose pins are to be derived anew; empty between entries.
    #[state(skip)]
    touched: u128,
}

impl GicV3 {
    fn new(props: &Props) -> Result<GicV3, PropError> {
        let (cores, irqs) = (props.u64("cores"), props.u64("num-irq"));
        if !(1..=MAX_CORES).contains(&cores) {
            return Err(props.refuse(format!("cores={cores}: this GICv3 serves from 1 to {MAX_CORES} cores")));
        }
        if !(64..=992).contains(&irqs) || irqs % 32 != 0 {
            return Err(props.refuse(format!("num-irq={irqs}: must be a multiple of 32 from 64 to 992")));
        }
        let mut gic = GicV3 {
            ctlr: 0,
            cores: (0..cores).map(|_| Core::default()).collect(),
            shared: Shared::new(irqs as usize / 32 - 1),
            routers: vec![0; irqs as usize - 32],
            targets: vec![0; irqs as usize - 32],
            touched: 0,
        };
        gic.reset_state();
        Ok(gic)
    }

    fn irqs(&self) -> usize {
        32 + self.routers.len()
    }

    fn touch_all(&mut self) {
        self.touched = u128::MAX >> (128 - self.cores.len());
    }

    /// Changes the bank of a core's private interrupts.
    fn change_private(&mut self, core: usize, f: impl FnOnce(&mut Bank)) {
        if let Some(c) = self.cores.get_mut(core) {
            f(&mut c.bank);
            self.touched |= 1 << core;
        }
    }

    /// Changes one interrupt as core `core` sees it.
    fn change(&mut self, core: usize, id: usize, f: impl FnOnce(&mut Bank, u32)) {
        let bit = 1 << (id & 31);
        if id < 32 {
            return self.change_private(core, |bank| f(bank, bit));
        }
        self.shared.change(id / 32 - 1, |bank| f(bank, bit));
        match self.targets.get(id - 32) {
            Some(&ANYWHERE) => self.touch_all(),
            Some(&target) if target != NOWHERE => self.touched |= 1 << target,
            _ => {}
        }
    }

    /// The core with this affinity.
    fn core_at(&self, aff: u64) -> Option<usize> {
        let core = (aff >> 8) * CLUSTER + (aff & 0xff);
        (aff & 0xff < CLUSTER && core < self.cores.len() as u64).then_some(core as usize)
    }

    fn set_router(&mut self, spi: usize, value: u64) {
        let Some(router) = self.routers.get_mut(spi) else { return };
        *router = value & IROUTER_BITS;
        let target = match value & IRM {
            0 => self.core_at(gathered(value >> 32, value >> 16, value >> 8, value)).map_or(NOWHERE, |core| core as u16),
            _ => ANYWHERE,
        };
        self.targets[spi] = target;
        self.touch_all();
    }

    /// The core that takes interrupts of a group that are for any core.
    fn volunteer(&self, group: usize) -> Option<usize> {
        self.cores.iter().position(|c| !c.asleep && c.groups >> group & 1 != 0)
    }

    /// The highest priority pending interrupt of a core, among the groups that it and the
    /// distributor enable.
    fn best(&self, core: usize) -> Option<Pending> {
        let interface = &self.cores[core];
        let groups = u32::from(self.ctlr & interface.groups);
        if interface.asleep || groups == 0 {
            return None;
        }
        let private = &interface.bank;
        let mut best = None;
        private.best_of(private.ready() & private.of_groups(groups), 0, &mut best);
        for (n, bank) in self.shared.ready() {
            let mut ready = bank.ready() & bank.of_groups(groups);
            let mut mine = 0;
            while ready != 0 {
                let bit = ready.trailing_zeros();
                ready &= ready - 1;
                let here = match self.targets.get(32 * n + bit as usize) {
                    Some(&ANYWHERE) => self.volunteer(bank.group_of(bit as usize)) == Some(core),
                    Some(&target) => usize::from(target) == core,
                    None => false,
                };
                mine |= u32::from(here) << bit;
            }
            bank.best_of(mine, 32 * (n as u32 + 1), &mut best);
        }
        best
    }

    /// The highest priority pending interrupt, if it is neither masked nor held back.
    fn signalled(&self, core: usize) -> Option<Pending> {
        let interface = &self.cores[core];
        self.best(core).filter(|p| interface.priorities.sufficient(p, interface.common()))
    }

    fn acknowledge(&mut self, core: usize, group: usize) -> u32 {
        let Some(p) = self.signalled(core).filter(|p| p.group == group) else { return SPURIOUS };
        let interface = &mut self.cores[core];
        let common = interface.common();
        interface.priorities.activate(&p, common);
        self.touched |= 1 << core;
        self.change(core, p.id as usize, |bank, bit| {
            bank.latch &= !bit;
            bank.active |= bit;
        });
        p.id
    }

    fn end(&mut self, cx: &mut dyn Services, core: usize, value: u64, group: usize) {
        let id = value & 0xff_ffff;
        if id >= SPECIAL {
            return;
        }
        let interface = &mut self.cores[core];
        if interface.priorities.highest_active() != Some(group) {
            cx.guest_error(format_args!("end of interrupt {id} in group {group}, which is not what runs"));
            return;
        }
        interface.priorities.drop_priority(group);
        let deactivate = !interface.separate_deactivation();
        self.touched |= 1 << core;
        if deactivate {
            self.change(core, id as usize, |bank, bit| bank.active &= !bit);
        }
    }

    /// ICC_SGI1R_EL1 and ICC_SGI0R_EL1. An SGI of another group at the target is not sent.
    fn send_sgi(&mut self, core: usize, value: u64, group: usize) {
        let id = (value >> 24 & 15) as usize;
        let cluster = gathered(value >> 48, value >> 32, value >> 16, 0);
        let range = (value >> 44 & 15) * 16;
        for n in 0..self.cores.len() {
            let aff = affinity(n as u64);
            let aff0 = (aff & 0xff).wrapping_sub(range);
            let named = aff & !0xff == cluster && aff0 < 16 && value >> aff0 & 1 != 0;
            let meant = if value >> 40 & 1 != 0 { n != core } else { named };
            if meant && self.cores[n].bank.group_of(id) == group {
                self.change_private(n, |bank| bank.latch |= 1 << id);
            }
        }
    }

    fn read_dist(&self, cx: &mut dyn Services, at: u64) -> u32 {
        if let Some((array, word)) = Bits::at(at) {
            return word.checked_sub(1).and_then(|n| self.shared.banks.get(n)).map_or(0, |bank| bank.read_bits(array));
        }
        match at {
            dist::CTLR => u32::from(self.ctlr) | (dist::CTLR_ARE | dist::CTLR_DS) as u32,
            dist::TYPER => (self.irqs() / 32 - 1) as u32 | 15 << 19 | dist::TYPER_A3V as u32,
            dist::IPRIORITYR..dist::ITARGETSR => {
                let n = (at - dist::IPRIORITYR) as usize;
                (n / 32).checked_sub(1).and_then(|word| self.shared.banks.get(word)).map_or(0, |bank| priorities(bank, n))
            }
            dist::ICFGR..dist::IGRPMODR => {
                let word = (at - dist::ICFGR) as usize / 4;
                (word / 2).checked_sub(1).and_then(|n| self.shared.banks.get(n)).map_or(0, |bank| bank.config(word & 1 != 0))
            }
            dist::IROUTER..dist::PIDR4 if at < dist::IROUTER + 8 * dist::IROUTER_COUNT => {
                let spi = ((at - dist::IROUTER) as usize / 8).checked_sub(32);
                spi.and_then(|spi| self.routers.get(spi)).map_or(0, |router| (router >> (8 * (at & 4))) as u32)
            }
            _ => read_fixed(cx, dist::REGISTERS, at),
        }
    }

    fn write_dist(&mut self, cx: &mut dyn Services, at: u64, value: u32) {
        if let Some((array, word)) = Bits::at(at) {
            if word != 0 {
                self.shared.change(word - 1, |bank| bank.write_bits(array, value));
                self.touch_all();
            }
            return;
        }
        match at {
            dist::CTLR => {
                self.ctlr = value as u8 & 3;
                self.touch_all();
            }
            dist::ICFGR..dist::IGRPMODR => {
                let word = (at - dist::ICFGR) as usize / 4;
                if word >= 2 {
                    self.shared.change(word / 2 - 1, |bank| bank.set_config(word & 1 != 0, value));
                    self.touch_all();
                }
            }
            dist::IROUTER..dist::PIDR4 if at < dist::IROUTER + 8 * dist::IROUTER_COUNT => {
                if let Some(spi) = ((at - dist::IROUTER) as usize / 8).checked_sub(32)
                    && let Some(router) = self.routers.get(spi)
                {
                    let shift = 8 * (at & 4);
                    let whole = router & !(0xffff_ffff << shift) | u64::from(value) << shift;
                    self.set_router(spi, whole);
                }
            }
            _ => check_register_write(cx, dist::REGISTERS, at, value.into()),
        }
    }

    fn read_redist(&self, cx: &mut dyn Services, core: usize, at: u64) -> u32 {
        let c = &self.cores[core];
        if let Some((array, word)) = at.checked_sub(SGI_FRAME).and_then(Bits::at) {
            return if word == 0 { c.bank.read_bits(array) } else { 0 };
        }
        match at {
            redist::TYPER => {
                let last = if core + 1 == self.cores.len() { redist::TYPER_Last as u32 } else { 0 };
                (core as u32) << 8 | last
            }
            // The affinity is the upper half.
            0x000c => affinity(core as u64) as u32,
            redist::WAKER => {
                if c.asleep {
                    redist::WAKER_RESET as u32
                } else {
                    0
                }
            }
            redist::IPRIORITYR..redist::ICFGR0 if at < redist::IPRIORITYR + 32 => priorities(&c.bank, (at - redist::IPRIORITYR) as usize),
            redist::ICFGR1 => c.bank.config(true),
            redist::PROPBASER..0x80 => 0,
            _ => read_fixed(cx, redist::REGISTERS, at),
        }
    }

    fn write_redist(&mut self, cx: &mut dyn Services, core: usize, at: u64, value: u32) {
        if let Some((array, word)) = at.checked_sub(SGI_FRAME).and_then(Bits::at) {
            if word == 0 {
                self.change_private(core, |bank| bank.write_bits(array, value));
            }
            return;
        }
        match at {
            redist::WAKER => {
                self.cores[core].asleep = u64::from(value) & redist::WAKER_ProcessorSleep != 0;
                self.touch_all();
            }
            redist::ICFGR1 => self.change_private(core, |bank| bank.set_config(true, value)),
            _ => check_register_write(cx, redist::REGISTERS, at, value.into()),
        }
    }

    /// Writes a priority byte; false elsewhere. Redistributors are seen by `core`.
    fn write_priority(&mut self, core: Option<usize>, at: u64, value: u8) -> bool {
        let value = value & PRIORITY_BITS;
        match core {
            Some(core) if (redist::IPRIORITYR..redist::IPRIORITYR + 32).contains(&at) => {
                self.change_private(core, |bank| bank.priority[(at & 31) as usize] = value);
            }
            None if (dist::IPRIORITYR..dist::ITARGETSR).contains(&at) => {
                let n = (at - dist::IPRIORITYR) as usize;
                if n >= 32 {
                    self.shared.change(n / 32 - 1, |bank| bank.priority[n & 31] = value);
                    self.touch_all();
                }
            }
            _ => return false,
        }
        true
    }

    /// A write to the distributor or, with a core, to its redistributor, by bytes or words.
    fn write_frame(&mut self, cx: &mut dyn Services, core: Option<usize>, at: u64, size: Width, value: u64) {
        let bytes = value.to_le_bytes();
        let mut lanes = (at..).zip(&bytes[..size.bytes() as usize]);
        if lanes.all(|(at, byte)| self.write_priority(core, at, *byte)) {
            return;
        }
        let words: &[u64] = match size {
            Width::B4 => &[0],
            Width::B8 => &[0, 4],
            _ => {
                cx.guest_error(format_args!("{} byte write to offset {at:#x}, which takes words only", size.bytes()));
                return;
            }
        };
        for n in words {
            let word = (value >> (8 * n)) as u32;
            match core {
                Some(core) => self.write_redist(cx, core, at + n, word),
                None => self.write_dist(cx, at + n, word),
            }
        }
    }

    fn read_frame(&self, cx: &mut dyn Services, core: Option<usize>, at: u64, size: Width) -> u64 {
        let mut word = |at| match core {
            Some(core) => u64::from(self.read_redist(cx, core, at)),
            None => u64::from(self.read_dist(cx, at)),
        };
        match size {
            Width::B8 => word(at) | word(at + 4) << 32,
            _ => word(at & !3) >> (8 * (at & 3)),
        }
    }

    fn read_icc(&mut self, core: usize, register: u32) -> Result<u64, BusFault> {
        let interface = &self.cores[core];
        let priorities = &interface.priorities;
        let pending = |group| self.best(core).filter(|p| p.group == group).map_or(SPURIOUS, |p| p.id);
        Ok(match register {
            icc::IAR0_EL1 => self.acknowledge(core, 0).into(),
            icc::IAR1_EL1 => self.acknowledge(core, 1).into(),
            icc::PMR_EL1 => priorities.pmr.into(),
            icc::HPPIR0_EL1 => pending(0).into(),
            icc::HPPIR1_EL1 => pending(1).into(),
            icc::BPR0_EL1 => priorities.bpr[0].into(),
            icc::BPR1_EL1 if interface.common() => (priorities.bpr[0] + 1).min(7).into(),
            icc::BPR1_EL1 => priorities.bpr[1].into(),
            icc::AP0R0_EL1 => priorities.apr[0].into(),
            icc::AP1R0_EL1 => priorities.apr[1].into(),
            icc::RPR_EL1 => priorities.running().into(),
            icc::CTLR_EL1 => u64::from(interface.ctlr) | icc::CTLR_FIXED,
            icc::SRE_EL1 => icc::SRE,
            icc::SRE_EL2 | icc::SRE_EL3 => icc::SRE | icc::SRE_ENABLE,
            icc::IGRPEN0_EL1 => u64::from(interface.groups & 1),
            icc::IGRPEN1_EL1 => u64::from(interface.groups >> 1),
            _ => return Err(BusFault::Undefined),
        })
    }

    fn write_icc(&mut self, cx: &mut dyn Services, core: usize, register: u32, value: u64) -> Result<(), BusFault> {
        let interface = &mut self.cores[core];
        let common = interface.common();
        self.touched |= 1 << core;
        match register {
            icc::EOIR0_EL1 => self.end(cx, core, value, 0),
            icc::EOIR1_EL1 => self.end(cx, core, value, 1),
            icc::PMR_EL1 => interface.priorities.pmr = value as u8 & PRIORITY_BITS,
            icc::DIR_EL1 if !interface.separate_deactivation() => cx.guest_error(format_args!("write to ICC_DIR_EL1 while EOImode is 0")),
            icc::DIR_EL1 if value & 0xff_ffff < SPECIAL => self.change(core, value as usize & 0x3ff, |bank, bit| bank.active &= !bit),
            icc::DIR_EL1 => {}
            icc::SGI1R_EL1 => self.send_sgi(core, value, 1),
            icc::SGI0R_EL1 => self.send_sgi(core, value, 0),
            icc::ASGI1R_EL1 => cx.guest_error(format_args!("ICC_ASGI1R_EL1: there is no other Security state")),
            icc::BPR0_EL1 => interface.priorities.set_bpr(0, value),
            icc::BPR1_EL1 if common => {}
            icc::BPR1_EL1 => interface.priorities.set_bpr(1, value),
            icc::AP0R0_EL1 => interface.priorities.apr[0] = value as u32,
            icc::AP1R0_EL1 => interface.priorities.apr[1] = value as u32,
            icc::CTLR_EL1 => interface.ctlr = value as u8 & (icc::CBPR | icc::EOIMODE),
            // Always on.
            icc::SRE_EL1 | icc::SRE_EL2 | icc::SRE_EL3 => {}
            icc::IGRPEN0_EL1 | icc::IGRPEN1_EL1 => {
                let bit = if register == icc::IGRPEN0_EL1 { 1 } else { 2 };
                interface.groups = if value & 1 != 0 { interface.groups | bit } else { interface.groups & !bit };
                // Another core may now take what is for any core.
                self.touch_all();
            }
            _ => return Err(BusFault::Undefined),
        }
        Ok(())
    }

    /// The core that makes an access to its CPU interface.
    fn requester(&self, cx: &dyn Services) -> Result<usize, BusFault> {
        cx.requester().map(|c| usize::from(c.0)).filter(|c| *c < self.cores.len()).ok_or(BusFault::Undefined)
    }
}

/// Four priorities from number `n` on.
fn priorities(bank: &Bank, n: usize) -> u32 {
    u32::from_le_bytes([0, 1, 2, 3].map(|i| bank.priority[(n + i) & 31]))
}

/// A register that is what the table says.
fn read_fixed(cx: &mut dyn Services, table: &'static [RegisterInfo], at: u64) -> u32 {
    match proteus_model::find_register(table, at) {
        Some((r, _)) => r.reset as u32,
        None => {
            check_register_read(cx, table, at);
            0
        }
    }
}

impl Device for GicV3 {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        match w {
            DIST => Ok(self.read_frame(cx, None, at, size)),
            REDIST => {
                let core = (at / FRAMES) as usize;
                if core >= self.cores.len() {
                    return Err(BusFault::Unmapped);
                }
                Ok(self.read_frame(cx, Some(core), at % FRAMES, size))
            }
            _ => self.read_icc(self.requester(cx)?, at as u32),
        }
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match w {
            DIST => {
                // An IROUTER written as a whole takes effect as a whole.
                let spi = (at.wrapping_sub(dist::IROUTER) / 8).wrapping_sub(32) as usize;
                if size == Width::B8 && spi < self.routers.len() {
                    self.set_router(spi, value);
                } else {
                    self.write_frame(cx, None, at, size, value);
                }
                Ok(())
            }
            REDIST => {
                let core = (at / FRAMES) as usize;
                if core >= self.cores.len() {
                    return Err(BusFault::Unmapped);
                }
                self.write_frame(cx, Some(core), at % FRAMES, size, value);
                Ok(())
            }
            _ => {
                let core = self.requester(cx)?;
                self.write_icc(cx, core, at as u32, value)
            }
        }
    }

    fn event(&mut self, _: &mut dyn Services, event: Event<'_>) {
        let Event::Pin { pin, level } = event else { return };
        match pin.checked_sub(self.routers.len()) {
            None => self.change(0, pin + 32, |bank, _| bank.input(pin & 31, level)),
            // SGIs have no lines.
            Some(private) if private & 31 >= 16 => self.change_private(private / 32, |bank| bank.input(private & 31, level)),
            Some(_) => {}
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        while self.touched != 0 {
            let core = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            let signalled = self.signalled(core);
            cx.set_pin(core, signalled.is_some_and(|p| p.group == 1));
            cx.set_pin(self.cores.len() + core, signalled.is_some_and(|p| p.group == 0));
        }
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
        self.touch_all();
    }
}

fn cores(props: &Props) -> usize {
    props.u64("cores") as usize
}

fn cells(_: &Props, name: &str, index: usize) -> Option<Vec<u32>> {
    const LEVEL_HIGH: u32 = 4;
    match name {
        "spi" => Some(vec![0, index as u32, LEVEL_HIGH]),
        "ppi" => Some(vec![1, (index as u32 & 31).checked_sub(16)?, LEVEL_HIGH]),
        _ => None,
    }
}

fn fdt(placed: &Placed<'_>, node: &mut dyn FdtNode) {
    node.prop_str("compatible", "arm,gic-v3");
    node.prop_empty("interrupt-controller");
    node.prop_u32("#interrupt-cells", 3);
    node.prop_u32("#address-cells", 2);
    node.prop_u32("#size-cells", 2);
    node.prop_empty("ranges");
    node.prop_u32("#redistributor-regions", 1);
    placed.reg(node);
}

/// The frames' access rule: words, priorities by bytes too, 64-bit registers whole.
const FRAME: AccessRule = AccessRule::new(Width::B1, Width::B8);

/// The device type.
pub static ARM_GIC_V3: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "cores", kind: PropertyKind::U64, default: PropertyDefault::U64(1), doc: "Number of cores, 16 to a cluster" },
        PropertyDecl { name: "num-irq", kind: PropertyKind::U64, default: PropertyDefault::U64(288), doc: "Number of interrupts, with the 32 private ones" },
    ],
    windows: &[
        WindowDecl::mmio("dist", 0x1_0000, FRAME),
        WindowDecl { name: "redist", size: WindowSize::From(|props| FRAMES * props.u64("cores")), kind: WindowKind::Mmio, access: FRAME, priority: 0 },
        WindowDecl::sysreg("icc-pmr", icc::PMR_EL1, 1),
        WindowDecl::sysreg("icc", icc::BLOCK, 0x28),
        WindowDecl::sysreg("icc-sre-el2", icc::SRE_EL2, 1),
        WindowDecl::sysreg("icc-sre-el3", icc::SRE_EL3, 1),
    ],
    outputs: &[PinDecl::from("irq", cores), PinDecl::from("fiq", cores)],
    inputs: &[PinDecl::from("spi", |props| (props.u64("num-irq") as usize).saturating_sub(32)), PinDecl::from("ppi", |props| 32 * cores(props))],
    registers: &[dist::REGISTERS, redist::REGISTERS],
    example: &[("cores", "2"), ("num-irq", "96")],
    fdt: Some(FdtHook { node: "intc", build: fdt }),
    interrupt_cells: Some(cells),
    ..DeviceType::new("arm-gic-v3", "Arm Generic Interrupt Controller, version 3", |props| Ok(Box::new(GicV3::new(props)?)))
};

#[cfg(test)]
#[path = "gicv3_tests.rs"]
mod tests;
