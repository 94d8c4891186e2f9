//! Arm Generic Interrupt Controller, version 2 (IHI 0048B), as the GIC-400 (DDI 0471) has it:
//! distributor and CPU interfaces for up to eight cores, 32 priorities, two interrupt groups.
//!
//! Left out: the Security Extensions (all accesses are alike), bypass of the interface, the
//! virtual interface (GICH, GICV) and the message frames of GICv2m.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Event, FdtHook, FdtNode, PinDecl, Placed, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset,
    Services, State, Width, Window, WindowDecl, check_register_read, check_register_write,
};

use super::lines::{Bank, Bits, PRIORITY_BITS, Pending, Priorities, SPURIOUS, Shared};

/// Registers of the distributor.
#[allow(non_upper_case_globals, reason = "fields as the manual spells them")]
mod dist {
    proteus_model::registers! {
        /// Distributor of the GIC-400. Arrays of one and two bits are words of 32 and 16 interrupts.
        pub(super) REGISTERS: u32;

        0x000 CTLR rw { 0 EnableGrp0, 1 EnableGrp1 }
        0x004 TYPER ro { 4:0 ITLinesNumber, 7:5 CPUNumber, 10 SecurityExtn, 15:11 LSPI }
        0x008 IIDR ro = 0x0200143b
        0x080 IGROUPR[32] rw
        0x100 ISENABLER[32] rw
        0x180 ICENABLER[32] rw
        0x200 ISPENDR[32] rw
        0x280 ICPENDR[32] rw
        0x300 ISACTIVER[32] rw
        0x380 ICACTIVER[32] rw
        0x400 IPRIORITYR[255] rw
        0x800 ITARGETSR[255] rw
        0xc00 ICFGR[64] rw
        0xd00 PPISR ro: unmodelled
        0xd04 SPISR[15] ro: unmodelled
        0xf00 SGIR wo { 3:0 SGIINTID, 15 NSATT, 23:16 CPUTargetList, 25:24 TargetListFilter }
        0xf10 CPENDSGIR[4] rw
        0xf20 SPENDSGIR[4] rw
        0xfd0 PIDR4 ro = 0x04
        0xfd4 PIDR5 ro
        0xfd8 PIDR6 ro
        0xfdc PIDR7 ro
        0xfe0 PIDR0 ro = 0x90
        0xfe4 PIDR1 ro = 0xb4
        0xfe8 PIDR2 ro = 0x2b
        0xfec PIDR3 ro
        0xff0 CIDR0 ro = 0x0d
        0xff4 CIDR1 ro = 0xf0
        0xff8 CIDR2 ro = 0x05
        0xffc CIDR3 ro = 0xb1
    }
}

/// Registers of the CPU interface.
#[allow(non_upper_case_globals, reason = "fields as the manual spells them")]
mod cpu {
    proteus_model::registers! {
        /// CPU interface of the GIC-400.
        pub(super) REGISTERS: u32;

        0x000 CTLR rw {
            0 EnableGrp0, 1 EnableGrp1, 2 AckCtl, 3 FIQEn, 4 CBPR, 5 FIQBypDisGrp0,
            6 IRQBypDisGrp0, 7 FIQBypDisGrp1, 8 IRQBypDisGrp1, 9 EOImode
        }
        0x004 PMR rw { 7:0 Priority }
        0x008 BPR rw = 2 { 2:0 BinaryPoint }
        0x00c IAR ro = 1023 { 9:0 InterruptID, 12:10 CPUID }
        0x010 EOIR wo { 9:0 EOIINTID, 12:10 CPUID }
        0x014 RPR ro = 0xff { 7:0 Priority }
        0x018 HPPIR ro = 1023 { 9:0 PENDINTID, 12:10 CPUID }
        0x01c ABPR rw = 3 { 2:0 BinaryPoint }
        0x020 AIAR ro = 1023 { 9:0 InterruptID, 12:10 CPUID }
        0x024 AEOIR wo { 9:0 InterruptID, 12:10 CPUID }
        0x028 AHPPIR ro = 1023 { 9:0 PENDINTID, 12:10 CPUID }
        0x0d0 APR0 rw
        0x0e0 NSAPR0 rw
        0x0fc IIDR ro = 0x0202143b
        0x1000 DIR wo { 9:0 InterruptID, 12:10 CPUID }
    }
}

const DIST: Window = Window(0);
const MAX_CORES: u64 = 8;
/// A group 1 interrupt is pending, but this is the register of group 0.
const OTHER_GROUP: u32 = 1022;
const SGIS: u32 = 0xffff;

#[derive(State, Default)]
struct Core {
    /// SGIs, which are always enabled, and PPIs.
    #[state(reset = Bank { enabled: SGIS, edge: SGIS, ..Bank::default() })]
    bank: Bank,
    /// For each SGI, the cores that have sent it.
    sgi_sources: [u8; 16],
    ctlr: u16,
    priorities: Priorities,
}

impl Core {
    fn has(&self, bits: u64) -> bool {
        u64::from(self.ctlr) & bits != 0
    }

    fn enables(&self, group: usize) -> bool {
        self.ctlr >> group & 1 != 0
    }

    fn common(&self) -> bool {
        self.has(cpu::CTLR_CBPR)
    }

    fn set_sources(&mut self, sgi: usize, sources: u8) {
        self.sgi_sources[sgi] = sources;
        self.bank.latch = if sources != 0 { self.bank.latch | 1 << sgi } else { self.bank.latch & !(1 << sgi) };
    }

    /// The interrupt ID with the number of the core that sent it, for SGIs.
    fn with_source(&self, id: u32) -> u32 {
        match self.sgi_sources.get(id as usize) {
            Some(sources) if *sources != 0 => id | sources.trailing_zeros() << 10,
            _ => id,
        }
    }
}

#[derive(State)]
#[state(version = 1)]
struct GicV2 {
    ctlr: u8,
    cores: Vec<Core>,
    shared: Shared,
    /// Target cores of each shared interrupt.
    targets: Vec<u8>,
}

impl GicV2 {
    fn new(props: &Props) -> Result<GicV2, PropError> {
        let (cores, irqs) = (props.u64("cores"), props.u64("num-irq"));
        if !(1..=MAX_CORES).contains(&cores) {
            return Err(props.refuse(format!("cores={cores}: a GICv2 serves from 1 to {MAX_CORES} cores; use gic-version=3 for more")));
        }
        if !(64..=992).contains(&irqs) || irqs % 32 != 0 {
            return Err(props.refuse(format!("num-irq={irqs}: must be a multiple of 32 from 64 to 992")));
        }
        let mut gic = GicV2 {
            ctlr: 0,
            cores: (0..cores).map(|_| Core::default()).collect(),
            shared: Shared::new(irqs as usize / 32 - 1),
            targets: vec![0; irqs as usize - 32],
        };
        gic.reset_state();
        Ok(gic)
    }

    fn irqs(&self) -> usize {
        32 + self.targets.len()
    }

    /// The targets of a shared interrupt; with one core it is always that one.
    fn targets_of(&self, spi: usize) -> u8 {
        if self.cores.len() == 1 { 1 } else { self.targets.get(spi).copied().unwrap_or(0) }
    }

    fn bank(&self, core: usize, word: usize) -> Option<&Bank> {
        if word == 0 { Some(&self.cores[core].bank) } else { self.shared.banks.get(word - 1) }
    }

    fn change(&mut self, core: usize, word: usize, f: impl FnOnce(&mut Bank)) {
        match word {
            0 => f(&mut self.cores[core].bank),
            _ => self.shared.change(word - 1, f),
        }
    }

    /// The highest priority pending interrupt of a core.
    fn best(&self, core: usize) -> Option<Pending> {
        let groups = self.ctlr.into();
        let private = &self.cores[core].bank;
        let mut best = None;
        private.best_of(private.ready() & private.of_groups(groups), 0, &mut best);
        for (n, bank) in self.shared.ready() {
            let mut ready = bank.ready() & bank.of_groups(groups);
            let mut mine = 0;
            while ready != 0 {
                let bit = ready.trailing_zeros();
                ready &= ready - 1;
                mine |= u32::from(self.targets_of(32 * n + bit as usize) >> core & 1) << bit;
            }
            bank.best_of(mine, 32 * (n as u32 + 1), &mut best);
        }
        best
    }

    /// The highest priority pending interrupt, if the CPU interface signals it.
    fn signalled(&self, core: usize) -> Option<Pending> {
        let interface = &self.cores[core];
        self.best(core).filter(|p| interface.enables(p.group) && interface.priorities.sufficient(p, interface.common()))
    }

    /// Answers an acknowledge or a look at the pending interrupt through the plain register or
    /// the alias for group 1.
    fn visible(&self, core: usize, pending: Option<Pending>, alias: bool) -> Result<Pending, u32> {
        match pending {
            None => Err(SPURIOUS),
            Some(p) if alias && p.group == 0 => Err(SPURIOUS),
            Some(p) if !alias && p.group == 1 && !self.cores[core].has(cpu::CTLR_AckCtl) => Err(OTHER_GROUP),
            Some(p) => Ok(p),
        }
    }

    fn pending_id(&self, core: usize, alias: bool) -> u32 {
        self.visible(core, self.best(core), alias).map_or_else(|none| none, |p| self.cores[core].with_source(p.id))
    }

    fn acknowledge(&mut self, core: usize, alias: bool) -> u32 {
        let p = match self.visible(core, self.signalled(core), alias) {
            Ok(p) => p,
            Err(none) => return none,
        };
        let interface = &mut self.cores[core];
        let common = interface.common();
        interface.priorities.activate(&p, common);
        let id = interface.with_source(p.id);
        let bit = 1 << (p.id & 31);
        if p.id < 16 {
            let others = interface.sgi_sources[p.id as usize] & !(1 << (id >> 10));
            interface.set_sources(p.id as usize, others);
            interface.bank.active |= bit;
        } else {
            self.change(core, p.id as usize / 32, |bank| {
                bank.latch &= !bit;
                bank.active |= bit;
            });
        }
        id
    }

    fn end(&mut self, cx: &mut dyn Services, core: usize, value: u64, alias: bool) {
        let id = value as usize & 0x3ff;
        let Some(bank) = self.bank(core, id / 32) else {
            // Software may write back a spurious ID.
            if id < 1020 {
                cx.guest_error(format_args!("end of interrupt {id}, which does not exist"));
            }
            return;
        };
        let group = bank.group_of(id);
        if alias && group == 0 {
            cx.guest_error(format_args!("end of interrupt {id} of group 0 through AEOIR"));
            return;
        }
        let interface = &mut self.cores[core];
        interface.priorities.drop_priority(group);
        if !interface.has(cpu::CTLR_EOImode) {
            self.change(core, id / 32, |bank| bank.active &= !(1 << (id & 31)));
        }
    }

    fn deactivate(&mut self, cx: &mut dyn Services, core: usize, value: u64) {
        let id = value as usize & 0x3ff;
        if !self.cores[core].has(cpu::CTLR_EOImode) {
            cx.guest_error(format_args!("write to DIR while EOImode is 0"));
        } else {
            self.change(core, id / 32, |bank| bank.active &= !(1 << (id & 31)));
        }
    }

    fn send_sgi(&mut self, core: usize, value: u64) {
        let list = match value >> 24 & 3 {
            0 => (value >> 16) as u8,
            1 => !(1 << core),
            2 => 1 << core,
            _ => 0,
        };
        let sgi = value as usize & 15;
        for (_, target) in self.cores.iter_mut().enumerate().filter(|(n, _)| list >> n & 1 != 0) {
            target.set_sources(sgi, target.sgi_sources[sgi] | 1 << core);
        }
    }

    /// Reads one word of the distributor; no read has a side effect.
    fn read_dist(&self, cx: &mut dyn Services, core: usize, at: u64) -> u32 {
        if let Some((array, word)) = Bits::at(at) {
            return self.bank(core, word).map_or(0, |bank| bank.read_bits(array));
        }
        let bytes = |first: usize, f: &dyn Fn(usize) -> u8| u32::from_le_bytes([0, 1, 2, 3].map(|n| f(first + n)));
        match at {
            dist::CTLR => self.ctlr.into(),
            dist::TYPER => (self.irqs() / 32 - 1) as u32 | (self.cores.len() as u32 - 1) << 5,
            dist::IPRIORITYR..dist::ITARGETSR => {
                let first = (at - dist::IPRIORITYR) as usize;
                self.bank(core, first / 32).map_or(0, |bank| bytes(first, &|n| bank.priority[n & 31]))
            }
            dist::ITARGETSR..dist::ICFGR => bytes((at - dist::ITARGETSR) as usize, &|n| match n {
                _ if self.cores.len() == 1 || n >= self.irqs() => 0,
                0..32 => 1 << core,
                _ => self.targets_of(n - 32),
            }),
            dist::ICFGR..dist::PPISR => {
                let word = (at - dist::ICFGR) as usize / 4;
                // The lower bits of shared interrupts read as one: any one target core takes them.
                let one_of_n = if word < 2 { 0 } else { 0x5555_5555 };
                self.bank(core, word / 2).map_or(0, |bank| bank.config(word & 1 != 0) | one_of_n)
            }
            dist::CPENDSGIR..dist::PIDR4 if at < dist::SPENDSGIR + 16 => bytes((at & 15) as usize, &|n| self.cores[core].sgi_sources[n]),
            _ => match proteus_model::find_register(dist::REGISTERS, at) {
                Some((r, _)) if r.modelled => r.reset as u32,
                _ => {
                    check_register_read(cx, dist::REGISTERS, at);
                    0
                }
            },
        }
    }

    /// Writes a byte of an array that has one byte an interrupt; false elsewhere.
    fn write_dist_byte(&mut self, core: usize, at: u64, value: u8) -> bool {
        match at {
            dist::IPRIORITYR..dist::ITARGETSR => {
                let n = (at - dist::IPRIORITYR) as usize;
                self.change(core, n / 32, |bank| bank.priority[n & 31] = value & PRIORITY_BITS);
            }
            dist::ITARGETSR..dist::ICFGR => {
                let implemented = u8::MAX >> (8 - self.cores.len());
                let spi = ((at - dist::ITARGETSR) as usize).wrapping_sub(32);
                if let Some(targets) = self.targets.get_mut(spi) {
                    *targets = value & implemented;
                }
            }
            dist::CPENDSGIR..dist::SPENDSGIR => {
                let (sgi, interface) = ((at & 15) as usize, &mut self.cores[core]);
                interface.set_sources(sgi, interface.sgi_sources[sgi] & !value);
            }
            dist::SPENDSGIR..dist::PIDR4 if at < dist::SPENDSGIR + 16 => {
                let (sgi, senders) = ((at & 15) as usize, u8::MAX >> (8 - self.cores.len()));
                let interface = &mut self.cores[core];
                interface.set_sources(sgi, interface.sgi_sources[sgi] | value & senders);
            }
            _ => return false,
        }
        true
    }

    fn write_dist(&mut self, cx: &mut dyn Services, core: usize, at: u64, value: u32) {
        if let Some((array, word)) = Bits::at(at) {
            // SGIs are always enabled, and become pending by their sources.
            let fixed = word == 0 && !matches!(array, Bits::Group | Bits::SetActive | Bits::ClearActive);
            self.change(core, word, |bank| bank.write_bits(array, if fixed { value & !SGIS } else { value }));
            return;
        }
        match at {
            dist::CTLR => self.ctlr = value as u8 & 3,
            dist::ICFGR..dist::PPISR => {
                // SGIs are edges and PPIs levels, always.
                let word = (at - dist::ICFGR) as usize / 4;
                if word >= 2 {
                    self.change(core, word / 2, |bank| bank.set_config(word & 1 != 0, value));
                }
            }
            dist::SGIR => self.send_sgi(core, value.into()),
            _ => check_register_write(cx, dist::REGISTERS, at, value.into()),
        }
    }

    fn read_cpu(&mut self, cx: &mut dyn Services, core: usize, at: u64) -> u32 {
        let interface = &self.cores[core];
        let priorities = &interface.priorities;
        match at {
            cpu::CTLR => interface.ctlr.into(),
            cpu::PMR => priorities.pmr.into(),
            cpu::BPR => priorities.bpr[0].into(),
            cpu::ABPR => priorities.bpr[1].into(),
            cpu::IAR => self.acknowledge(core, false),
            cpu::AIAR => self.acknowledge(core, true),
            cpu::RPR => priorities.running().into(),
            cpu::HPPIR => self.pending_id(core, false),
            cpu::AHPPIR => self.pending_id(core, true),
            cpu::APR0 => priorities.apr[0],
            cpu::NSAPR0 => priorities.apr[1],
            cpu::IIDR => cpu::IIDR_RESET as u32,
            _ => {
                check_register_read(cx, cpu::REGISTERS, at);
                0
            }
        }
    }

    fn write_cpu(&mut self, cx: &mut dyn Services, core: usize, at: u64, value: u64) {
        let interface = &mut self.cores[core];
        match at {
            cpu::CTLR => interface.ctlr = value as u16 & 0x3ff,
            cpu::PMR => interface.priorities.pmr = value as u8 & PRIORITY_BITS,
            cpu::BPR => interface.priorities.set_bpr(0, value),
            cpu::ABPR => interface.priorities.set_bpr(1, value),
            cpu::EOIR => self.end(cx, core, value, false),
            cpu::AEOIR => self.end(cx, core, value, true),
            cpu::APR0 => interface.priorities.apr[0] = value as u32,
            cpu::NSAPR0 => interface.priorities.apr[1] = value as u32,
            cpu::DIR => self.deactivate(cx, core, value),
            _ => check_register_write(cx, cpu::REGISTERS, at, value),
        }
    }

    /// The core whose banked registers an access sees.
    fn core(&self, cx: &dyn Services) -> usize {
        cx.requester().map(|c| usize::from(c.0)).filter(|c| *c < self.cores.len()).unwrap_or(0)
    }
}

impl Device for GicV2 {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        let core = self.core(cx);
        Ok(match w {
            DIST => u64::from(self.read_dist(cx, core, at & !3)) >> (8 * (at & 3)),
            _ => self.read_cpu(cx, core, at).into(),
        })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        let core = self.core(cx);
        if w != DIST {
            self.write_cpu(cx, core, at, value);
            return Ok(());
        }
        let bytes = value.to_le_bytes();
        let mut lanes = (at..).zip(&bytes[..size.bytes() as usize]);
        if !lanes.all(|(at, byte)| self.write_dist_byte(core, at, *byte)) {
            if size == Width::B4 {
                self.write_dist(cx, core, at, value as u32);
            } else {
                cx.guest_error(format_args!("{} byte write to distributor offset {at:#x}, which takes words only", size.bytes()));
            }
        }
        Ok(())
    }

    fn event(&mut self, _: &mut dyn Services, event: Event<'_>) {
        let Event::Pin { pin, level } = event else { return };
        match pin.checked_sub(self.targets.len()) {
            None => self.shared.change(pin / 32, |bank| bank.input(pin & 31, level)),
            // SGIs have no lines.
            Some(private) if private & 31 >= 16 => {
                if let Some(core) = self.cores.get_mut(private / 32) {
                    core.bank.input(private & 31, level);
                }
            }
            Some(_) => {}
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        let cores = self.cores.len();
        for core in 0..cores {
            let signalled = self.signalled(core);
            let fast = signalled.is_some_and(|p| p.group == 0 && self.cores[core].has(cpu::CTLR_FIQEn));
            cx.set_pin(core, signalled.is_some() && !fast);
            cx.set_pin(cores + core, fast);
        }
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }
}

fn cores(props: &Props) -> usize {
    props.u64("cores") as usize
}

fn cells(props: &Props, name: &str, index: usize) -> Option<Vec<u32>> {
    const LEVEL_HIGH: u32 = 4;
    match name {
        "spi" => Some(vec![0, index as u32, LEVEL_HIGH]),
        "ppi" => Some(vec![1, (index as u32 & 31).checked_sub(16)?, ((1 << cores(props)) - 1) << 8 | LEVEL_HIGH]),
        _ => None,
    }
}

fn fdt(placed: &Placed<'_>, node: &mut dyn FdtNode) {
    node.prop_str("compatible", "arm,cortex-a15-gic");
    node.prop_empty("interrupt-controller");
    node.prop_u32("#interrupt-cells", 3);
    node.prop_u32("#address-cells", 2);
    node.prop_u32("#size-cells", 2);
    node.prop_empty("ranges");
    placed.reg(node);
}

/// The device type.
pub static ARM_GIC_V2: DeviceType = DeviceType {
    properties: &[
        PropertyDecl { name: "cores", kind: PropertyKind::U64, default: PropertyDefault::U64(1), doc: "Number of cores, up to 8" },
        PropertyDecl { name: "num-irq", kind: PropertyKind::U64, default: PropertyDefault::U64(288), doc: "Number of interrupts, with the 32 private ones" },
    ],
    windows: &[WindowDecl::mmio("dist", 0x1000, AccessRule::new(Width::B1, Width::B4)), WindowDecl::mmio("cpu", 0x2000, AccessRule::WORD)],
    outputs: &[PinDecl::from("irq", cores), PinDecl::from("fiq", cores)],
    inputs: &[PinDecl::from("spi", |props| (props.u64("num-irq") as usize).saturating_sub(32)), PinDecl::from("ppi", |props| 32 * cores(props))],
    registers: &[dist::REGISTERS, cpu::REGISTERS],
    example: &[("cores", "2"), ("num-irq", "96")],
    fdt: Some(FdtHook { node: "intc", build: fdt }),
    interrupt_cells: Some(cells),
    ..DeviceType::new("arm-gic-v2", "Arm Generic Interrupt Controller, version 2 (GIC-400)", |props| Ok(Box::new(GicV2::new(props)?)))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::testing::Bench;

    /// Two cores, all enabled as Linux does it: everything in group 0, signalled as IRQ.
    fn bench() -> Bench {
        let b = Bench::new(&ARM_GIC_V2, &[("cores", "2"), ("num-irq", "96")]);
        b.write32("dist", dist::CTLR, 1);
        for core in 0..2 {
            write_cpu(&b, core, cpu::PMR, 0xf0);
            write_cpu(&b, core, cpu::CTLR, 1);
        }
        b
    }

    fn read_cpu(b: &Bench, core: u16, at: u64) -> u32 {
        b.read_at(core, 1, at, Width::B4).unwrap() as u32
    }

    fn write_cpu(b: &Bench, core: u16, at: u64, value: u32) {
        b.write_at(core, 1, at, Width::B4, value.into()).unwrap();
    }

    /// Enables a shared interrupt with a priority and targets.
    fn route(b: &Bench, id: u64, priority: u64, targets: u64) {
        b.write("dist", dist::IPRIORITYR + id, Width::B1, priority).unwrap();
        b.write("dist", dist::ITARGETSR + id, Width::B1, targets).unwrap();
        b.write32("dist", dist::ISENABLER + id / 32 * 4, 1 << (id % 32));
    }

    #[test]
    fn identification_and_sizes() {
        let b = bench();
        assert_eq!(b.read32("dist", dist::TYPER), 1 << 5 | 2);
        assert_eq!(b.read32("dist", dist::PIDR2), 0x2b);
        assert_eq!(b.read32("dist", dist::ISENABLER), 0xffff);
        assert_eq!(b.read32("dist", dist::ICFGR), 0xaaaa_aaaa);
        assert_eq!(b.read_at(1, 0, dist::ITARGETSR, Width::B4), Ok(0x0202_0202));
        b.write32("dist", dist::IPRIORITYR + 40, 0xffff_ffff);
        assert_eq!(b.read32("dist", dist::IPRIORITYR + 40), 0xf8f8_f8f8);
        b.write32("dist", dist::ITARGETSR + 40, 0xffff_ffff);
        assert_eq!(b.read32("dist", dist::ITARGETSR + 40), 0x0303_0303);
        b.write32("dist", dist::ISENABLER + 12, !0);
        assert_eq!(b.read32("dist", dist::ISENABLER + 12), 0, "not implemented");
        let one = Bench::new(&ARM_GIC_V2, &[]);
        assert_eq!(one.read32("dist", dist::ITARGETSR + 32), 0);
    }

    #[test]
    fn a_level_interrupt_is_taken_and_ended() {
        let b = bench();
        route(&b, 33, 0xa0, 1);
        b.input("spi", 1, true);
        assert!(b.output("irq", 0) && !b.output("irq", 1) && !b.output("fiq", 0));
        assert_eq!(read_cpu(&b, 0, cpu::HPPIR), 33);
        assert_eq!(read_cpu(&b, 1, cpu::IAR), 1023);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 33);
        assert!(!b.output("irq", 0));
        assert_eq!((read_cpu(&b, 0, cpu::RPR), read_cpu(&b, 0, cpu::APR0)), (0xa0, 1 << 20));
        assert_eq!(b.read32("dist", dist::ISACTIVER + 4), 2);
        assert_eq!(b.read32("dist", dist::ISPENDR + 4), 2, "active and pending: the line is still high");
        write_cpu(&b, 0, cpu::EOIR, 33);
        assert!(b.output("irq", 0), "again, as the line is still high");
        b.input("spi", 1, false);
        assert!(!b.output("irq", 0));
        assert_eq!((read_cpu(&b, 0, cpu::IAR), read_cpu(&b, 0, cpu::RPR)), (1023, 0xff));
    }

    #[test]
    fn edges_are_remembered_and_may_come_while_active() {
        let b = bench();
        route(&b, 40, 0xa0, 1);
        b.write32("dist", dist::ICFGR + 8, 0xffff_ffff);
        assert_eq!(b.read32("dist", dist::ICFGR + 8), 0xffff_ffff);
        let pulse = || {
            b.input("spi", 8, true);
            b.input("spi", 8, false);
        };
        pulse();
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 40);
        assert_eq!(b.read32("dist", dist::ISPENDR + 4), 0);
        pulse();
        assert!(!b.output("irq", 0));
        write_cpu(&b, 0, cpu::EOIR, 40);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 40);
        write_cpu(&b, 0, cpu::EOIR, 40);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 1023);
    }

    #[test]
    fn a_higher_priority_preempts_and_priorities_nest() {
        let b = bench();
        for (id, priority) in [(32, 0xa0), (33, 0x50), (34, 0xa0), (35, 0xf0)] {
            route(&b, id, priority, 1);
        }
        b.input("spi", 2, true);
        b.input("spi", 0, true);
        b.input("spi", 3, true);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 32, "the lower of two equals");
        assert!(!b.output("irq", 0));
        b.input("spi", 1, true);
        assert!(b.output("irq", 0));
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 33);
        assert_eq!(read_cpu(&b, 0, cpu::RPR), 0x50);
        for id in 0..4 {
            b.input("spi", id, false);
        }
        b.input("spi", 2, true);
        write_cpu(&b, 0, cpu::EOIR, 33);
        assert_eq!(read_cpu(&b, 0, cpu::RPR), 0xa0);
        assert!(!b.output("irq", 0));
        write_cpu(&b, 0, cpu::EOIR, 32);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 34);
        write_cpu(&b, 0, cpu::EOIR, 34);
        b.input("spi", 2, false);
        b.input("spi", 3, true);
        assert!(!b.output("irq", 0), "0xf0 is not above the mask");
        assert_eq!(read_cpu(&b, 0, cpu::HPPIR), 35);
    }

    #[test]
    fn software_interrupts_keep_their_senders_apart() {
        let b = bench();
        // To the others, and to a list, from either core.
        b.write32("dist", dist::SGIR, 1 << 24 | 5);
        b.write_at(1, 0, dist::SGIR, Width::B4, 2 << 16 | 5).unwrap();
        assert!(b.output("irq", 1) && !b.output("irq", 0));
        assert_eq!(b.read_at(1, 0, dist::SPENDSGIR + 5, Width::B1), Ok(3));
        assert_eq!(read_cpu(&b, 1, cpu::IAR), 5);
        assert!(!b.output("irq", 1), "active and pending");
        write_cpu(&b, 1, cpu::EOIR, 5);
        assert_eq!(read_cpu(&b, 1, cpu::IAR), 5 | 1 << 10);
        write_cpu(&b, 1, cpu::EOIR, 5 | 1 << 10);
        assert_eq!(read_cpu(&b, 1, cpu::IAR), 1023);
        // To itself, and taken back.
        b.write32("dist", dist::SGIR, 2 << 24 | 9);
        assert!(b.output("irq", 0));
        b.write("dist", dist::CPENDSGIR + 9, Width::B1, 1).unwrap();
        assert!(!b.output("irq", 0));
    }

    #[test]
    fn private_lines_go_to_their_core() {
        let b = bench();
        b.write_at(1, 0, dist::ISENABLER, Width::B4, 1 << 27).unwrap();
        b.input("ppi", 32 + 27, true);
        b.input("ppi", 27, true);
        assert!(b.output("irq", 1) && !b.output("irq", 0));
        assert_eq!(read_cpu(&b, 1, cpu::IAR), 27);
    }

    #[test]
    fn priority_drop_and_deactivation_may_be_separate() {
        let b = bench();
        route(&b, 32, 0x80, 1);
        route(&b, 33, 0x80, 1);
        write_cpu(&b, 0, cpu::CTLR, 1 | cpu::CTLR_EOImode as u32);
        b.input("spi", 0, true);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 32);
        write_cpu(&b, 0, cpu::EOIR, 32);
        assert!(!b.output("irq", 0), "still active");
        b.input("spi", 1, true);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 33, "but it does not hold others back");
        write_cpu(&b, 0, cpu::DIR, 32);
        write_cpu(&b, 0, cpu::EOIR, 33);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 32);
    }

    #[test]
    fn groups_have_their_registers_and_lines() {
        let b = bench();
        b.write32("dist", dist::CTLR, 3);
        write_cpu(&b, 0, cpu::CTLR, 3 | cpu::CTLR_FIQEn as u32);
        route(&b, 32, 0x80, 1);
        route(&b, 33, 0x90, 1);
        b.write32("dist", dist::IGROUPR + 4, 1 << 1);
        b.input("spi", 1, true);
        assert!(b.output("irq", 0) && !b.output("fiq", 0));
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 1022);
        b.input("spi", 0, true);
        assert!(b.output("fiq", 0) && !b.output("irq", 0));
        assert_eq!(read_cpu(&b, 0, cpu::AIAR), 1023);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 32);
        b.input("spi", 0, false);
        write_cpu(&b, 0, cpu::EOIR, 32);
        assert_eq!(read_cpu(&b, 0, cpu::AHPPIR), 33);
        assert_eq!(read_cpu(&b, 0, cpu::AIAR), 33);
        assert_eq!((read_cpu(&b, 0, cpu::APR0), read_cpu(&b, 0, cpu::NSAPR0)), (0, 1 << 18));
        write_cpu(&b, 0, cpu::AEOIR, 33);
        write_cpu(&b, 0, cpu::CTLR, 3 | cpu::CTLR_AckCtl as u32);
        assert_eq!(read_cpu(&b, 0, cpu::IAR), 33, "acknowledged through the common register");
    }

    #[test]
    fn pending_bits_can_be_set_and_cleared_by_software() {
        let b = bench();
        route(&b, 50, 0x80, 1);
        b.write32("dist", dist::ISPENDR + 4, 1 << 18);
        assert!(b.output("irq", 0));
        b.write32("dist", dist::ICPENDR + 4, 1 << 18);
        assert!(!b.output("irq", 0));
        b.write32("dist", dist::ISPENDR + 4, 1 << 18);
        b.write32("dist", dist::ICENABLER + 4, 1 << 18);
        assert!(!b.output("irq", 0));
    }

    #[test]
    fn bad_properties_are_refused() {
        for (cores, irqs) in [("0", "288"), ("9", "288"), ("1", "100"), ("1", "32"), ("1", "1024")] {
            let props = Props::with(&ARM_GIC_V2, &[("cores", cores), ("num-irq", irqs)]).unwrap();
            assert!((ARM_GIC_V2.new)(&props).is_err(), "{cores} {irqs}");
        }
    }
}
