//! Galileo GT-64120 system controller (datasheet MV-S100106, revision 1.4): what joins a MIPS
//! processor, memory and PCI on the Malta board.
//!
//! There are the processor's view of the internal registers, which the guest moves about, the
//! decoder of PCI I/O with the cycles it makes, configuration cycles, the interrupt acknowledge
//! cycle, the interrupt cause and mask registers, and the bridge's own configuration space.
//!
//! What differs from the datasheet: memory needs no set-up, so the SDRAM and device parameters are
//! kept and change nothing. PCI memory is identity mapped: the memory decoders are kept, and the
//! windows of the functions answer wherever they are placed; so are, in the other direction, the
//! bridge's base address registers. The I/O decoder covers 2 MiB and its first address is I/O
//! address 0 (on the chip it is that of the remap register, to which few programs give a value).
//! The chip is the only arbiter, and no data is ever lost.
//!
//! Left out, and reported when used: the second PCI bus, the four DMA channels, the timers, ECC
//! and parity, I2O, interrupts of the PCI bus (PCIINT), several GT-64120 on one bus, special cycles.

use proteus_model::{
    AccessRule, Bus, BusFault, Device, DeviceType, PinDecl, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset, Services, State, Width,
    Window, WindowDecl, check_register_read, check_register_write, find_register, registers,
};

use super::{Function, Header};

registers! {
    /// Internal registers. They are little-endian whatever the processor is.
    REGISTERS: u32;

    // Processor interface (tables 4 to 40).
    0x000 CPU rw { 8:0 CACHE_OPERATION, 9 CACHE_PRESENT, 10 RESERVED10, 11 WRITE_MODE, 12 ENDIANESS ro, 13 RESERVED13, 14 R5KL2, 15 EXTERNAL_HIT, 16 CPU_WRITE_RATE, 17 STOP_RETRY, 18 MULTI_GT, 19 SYSADC }
    0x008 SCS10LD rw { 14:0 LOW }
    0x010 SCS10HD rw = 0x007 { 6:0 HIGH }
    0x018 SCS32LD rw = 0x008 { 14:0 LOW }
    0x020 SCS32HD rw = 0x00f { 6:0 HIGH }
    0x028 CS20LD rw = 0x0e0 { 14:0 LOW }
    0x030 CS20HD rw = 0x070 { 6:0 HIGH }
    0x038 CS3BOOTLD rw = 0x0f8 { 14:0 LOW }
    0x040 CS3BOOTHD rw = 0x07f { 6:0 HIGH }
    /// First address of PCI I/O, in units of 2 MiB.
    0x048 PCI0IOLD rw = 0x080 { 14:0 LOW }
    /// Bits 27:21 of the last one.
    0x050 PCI0IOHD rw = 0x00f { 6:0 HIGH }
    0x058 PCI0M0LD rw = 0x090 { 14:0 LOW }
    0x060 PCI0M0HD rw = 0x01f { 6:0 HIGH }
    /// Where these registers are, in units of 2 MiB.
    0x068 ISD rw = 0x0a0 { 14:0 LOW }
    0x070 CPUERR_ADDRLO ro
    0x078 CPUERR_ADDRHI ro
    0x080 PCI0M1LD rw = 0x790 { 14:0 LOW }
    0x088 PCI0M1HD rw = 0x01f { 6:0 HIGH }
    0x090 PCI1IOLD rw = 0x100: unmodelled
    0x098 PCI1IOHD rw = 0x00f: unmodelled
    0x0a0 PCI1M0LD rw = 0x110: unmodelled
    0x0a8 PCI1M0HD rw = 0x01f: unmodelled
    0x0b0 PCI1M1LD rw = 0x120: unmodelled
    0x0b8 PCI1M1HD rw = 0x02f: unmodelled
    /// A read is over when all that was written to the bus before has arrived.
    0x0c0 PCI0SYNC ro
    0x0c8 PCI1SYNC ro: unmodelled
    0x0d0 SCS10AR rw { 10:0 REMAP }
    0x0d8 SCS32AR rw = 0x008 { 10:0 REMAP }
    0x0e0 CS20R rw = 0x0e0 { 10:0 REMAP }
    0x0e8 CS3BOOTR rw = 0x0f8 { 10:0 REMAP }
    0x0f0 PCI0IOREMAP rw = 0x080 { 10:0 REMAP }
    0x0f8 PCI0M0REMAP rw = 0x090 { 10:0 REMAP }
    0x100 PCI0M1REMAP rw = 0x790 { 10:0 REMAP }
    0x108 PCI1IOREMAP rw = 0x100: unmodelled
    0x110 PCI1M0REMAP rw = 0x110: unmodelled
    0x118 PCI1M1REMAP rw = 0x120: unmodelled
    0x120 MULTIGT ro = 0x003: unmodelled
    0x128 CPUERR_DATALO ro = 0xffff_ffff
    0x130 CPUERR_DATAHI ro = 0xffff_ffff
    0x138 CPUERR_PARITY ro = 0xff

    // Memory and devices (tables 41 to 90).
    0x400 SCS0LD rw { 7:0 LOW }
    0x404 SCS0HD rw = 0x07 { 7:0 HIGH }
    0x408 SCS1LD rw = 0x08 { 7:0 LOW }
    0x40c SCS1HD rw = 0x0f { 7:0 HIGH }
    0x410 SCS2LD rw = 0x10 { 7:0 LOW }
    0x414 SCS2HD rw = 0x17 { 7:0 HIGH }
    0x418 SCS3LD rw = 0x18 { 7:0 LOW }
    0x41c SCS3HD rw = 0x1f { 7:0 HIGH }
    0x420 CS0LD rw = 0xc0 { 7:0 LOW }
    0x424 CS0HD rw = 0xc7 { 7:0 HIGH }
    0x428 CS1LD rw = 0xc8 { 7:0 LOW }
    0x42c CS1HD rw = 0xcf { 7:0 HIGH }
    0x430 CS2LD rw = 0xd0 { 7:0 LOW }
    0x434 CS2HD rw = 0xdf { 7:0 HIGH }
    0x438 CS3LD rw = 0xf0 { 7:0 LOW }
    0x43c CS3HD rw = 0xfb { 7:0 HIGH }
    0x440 BOOTLD rw = 0xfc { 7:0 LOW }
    0x444 BOOTHD rw = 0xff { 7:0 HIGH }
    0x448 SDRAM_CFG rw = 0x200
    0x44c SDRAM_BANK[4] rw = 0x5
    0x45c DEV_BANK[4] rw = 0x386f_ffff
    0x46c DEV_BOOT rw = 0x146f_ffff
    0x470 ADERR ro = 0xffff_ffff
    0x474 SDRAM_OPMODE rw
    0x478 SDRAM_BM rw = 0x7
    0x47c SDRAM_ADDRDECODE rw = 0x2
    0x480 ECC[5] ro: unmodelled

    // DMA, timers (tables 91 to 129).
    0x800 DMA[20] rw: unmodelled
    0x850 TC[4] rw: unmodelled
    0x860 DMA_ARB rw: unmodelled
    0x864 TC_CONTROL rw: unmodelled
    0x870 DMA_NEXT[8] rw: unmodelled

    // PCI (tables 130 to 205).
    0xc00 PCI0_CMD rw { 0 MBYTESWAP, 3:1 SYNCMOD, 10 MWORDSWAP: unmodelled, 11 SWORDSWAP: unmodelled, 12 SSBWORDSWAP: unmodelled, 16 SBYTESWAP }
    0xc04 PCI0_TOR rw = 0x070f
    0xc08 PCI0_BS_SCS10 rw = 0x00ff_f000 { 31:12 SIZE }
    0xc0c PCI0_BS_SCS32 rw = 0x00ff_f000 { 31:12 SIZE }
    0xc10 PCI0_BS_CS20 rw = 0x01ff_f000 { 31:12 SIZE }
    0xc14 PCI0_BS_CS3BT rw = 0x00ff_f000 { 31:12 SIZE }
    0xc18 INTRCAUSE rw {
        0 INTSUM ro, 1 MEMOUT, 2 DMAOUT, 3 CPUOUT, 7:4 DMACOMP, 11:8 TEXP, 12 MASRDERR0, 13 SLVWRERR0, 14 MASWRERR0,
        15 SLVRDERR0, 16 ADDRERR0, 17 MEMERR, 18 MASABORT0, 19 TARABORT0, 20 RETRYCTR0, 25:21 CPUINT, 29:26 PCIINT ro,
        30 CPUINTSUM ro, 31 PCIINTSUM ro
    }
    0xc1c INTRMASK rw { 25:1 MASK }
    0xc24 PCI0_ICMASK rw: unmodelled
    0xc28 PCI0_SERR0MASK rw: unmodelled
    0xc30 PCI1_IACK ro: unmodelled
    0xc34 PCI0_IACK ro
    0xc3c PCI0_BARE rw = 0x0f { 8:0 DISABLE }
    0xc40 PCI0_PREFMBR rw = 0x40
    0xc48 PCI0_SCS10_BAR rw: unmodelled
    0xc4c PCI0_SCS32_BAR rw = 0x0100_0000: unmodelled
    0xc50 PCI0_CS20_BAR rw = 0x1c00_0000: unmodelled
    0xc54 PCI0_CS3BT_BAR rw = 0x1f00_0000: unmodelled
    0xc58 PCI0_SSCS10_BAR rw: unmodelled
    0xc5c PCI0_SSCS32_BAR rw = 0x0100_0000: unmodelled
    0xc64 PCI0_SCS3BT_BAR rw = 0x1f00_0000: unmodelled
    0xc70 CPU_CAUSE_SELECT ro
    0xc74 PCI0_CAUSE_SELECT ro: unmodelled
    0xc80 PCI1[6] rw: unmodelled
    0xc98 HINTRCAUSE ro
    0xc9c HINTRMASK rw: unmodelled
    0xca4 PCI0_HICMASK rw: unmodelled
    0xca8 PCI1_SERR1MASK rw: unmodelled
    0xcbc PCI1_BARS[12] rw: unmodelled
    0xcf0 PCI1_CFGADDR rw: unmodelled
    0xcf4 PCI1_CFGDATA rw: unmodelled
    0xcf8 PCI0_CFGADDR rw { 7:2 REGISTER, 10:8 FUNCTION, 15:11 DEVICE, 23:16 BUS, 31 CONFIGEN }
    /// The register that PCI0_CFGADDR names.
    0xcfc PCI0_CFGDATA rw
}

/// Registers that are kept and have no effect here: set to other values than those of reset they
/// would have one on the chip.
const KEPT: &[std::ops::RangeInclusive<u64>] =
    &[SCS10LD..=CS3BOOTHD, SCS10AR..=CS3BOOTR, SCS0LD..=BOOTHD, PCI0_BS_SCS10..=PCI0_BS_CS3BT, PCI0_BARE..=PCI0_BARE];

/// A decoder's low and remap registers: a write of the first sets the second.
const REMAPS: &[(u64, u64)] = &[
    (SCS10LD, SCS10AR),
    (SCS32LD, SCS32AR),
    (CS20LD, CS20R),
    (CS3BOOTLD, CS3BOOTR),
    (PCI0IOLD, PCI0IOREMAP),
    (PCI0M0LD, PCI0M0REMAP),
    (PCI0M1LD, PCI0M1REMAP),
];

const CONFIG: Window = Window(0);
const REGS: Window = Window(1);
const PCI_IO: Window = Window(2);
/// Length of the I/O decoder's window: its unit.
const IO_LEN: u64 = 2 << 20;
/// The unit of the decoders, as a power of two.
const UNIT: u32 = 21;
const WORDS: usize = 0x400;

const INT: usize = 0;

static HEADER: Header = Header { interrupt_pin: 1, ..Header::new(0x11ab, 0x4620, 0x10, 0x06_0000) };
/// Base address registers: contents after a reset, and the bits that can be written (those of the
/// sizes after a reset).
const BARS: [(u32, u32); 6] = [
    (0x0000_0008, 0xff00_0000),
    (0x0100_0008, 0xff00_0000),
    (0x1c00_0000, 0xfe00_0000),
    (0x1f00_0000, 0xff00_0000),
    (0x1400_0000, 0xffff_f000),
    (0x1400_0001, 0xffff_f000),
];
const BAR_0: usize = 0x10;
const STATUS: usize = 0x06;
/// In the status' upper byte: a cycle that nobody answered.
const MASTER_ABORT: u8 = 1 << 5;

#[derive(State)]
#[state(version = 1)]
struct Gt64120 {
    function: Function,
    /// By offset, in words.
    #[state(reset = self.initial)]
    regs: [u32; WORDS],
    /// Where the windows are, if the model has been told.
    #[state(keep)]
    told: bool,
    #[state(keep)]
    placed: [Option<u64>; 2],
    #[state(skip)]
    initial: [u32; WORDS],
    #[state(skip)]
    big_endian: bool,
    /// The port that acknowledges an interrupt.
    #[state(skip)]
    acknowledge: u64,
}

impl Gt64120 {
    fn new(props: &Props) -> Result<Gt64120, PropError> {
        let mut function = Function::new(&HEADER);
        // Medium DEVSEL, fast back-to-back; memory and I/O cycles may be turned on.
        function.preset(STATUS, 0x80);
        function.preset(STATUS + 1, 0x02);
        function.set_writable(0x04, 0x57);
        for (n, (contents, mask)) in BARS.into_iter().enumerate() {
            for byte in 0..4 {
                function.preset(BAR_0 + 4 * n + byte, contents.to_le_bytes()[byte]);
                function.set_writable(BAR_0 + 4 * n + byte, mask.to_le_bytes()[byte]);
            }
        }
        let big_endian = props.bool("big-endian");
        let mut initial = [0; WORDS];
        for register in REGISTERS {
            for n in 0..register.count {
                initial[((register.offset + n * register.stride) / 4) as usize] = register.reset as u32;
            }
        }
        // The pins that tell the chip of the processor's byte order at reset.
        if !big_endian {
            initial[(CPU / 4) as usize] = CPU_ENDIANESS as u32;
            initial[(PCI0_CMD / 4) as usize] = (PCI0_CMD_MBYTESWAP | PCI0_CMD_SBYTESWAP) as u32;
        }
        Ok(Gt64120 { function, regs: initial, told: false, placed: [None; 2], initial, big_endian, acknowledge: props.u64("acknowledge-port") })
    }

    fn reg(&self, at: u64) -> u64 {
        self.regs.get((at / 4) as usize).copied().unwrap_or(0).into()
    }

    fn set(&mut self, at: u64, value: u64) {
        if let Some(reg) = self.regs.get_mut((at / 4) as usize) {
            *reg = value as u32;
        }
    }

    /// What the decoders say where the internal registers and PCI I/O are.
    fn decoded(&self) -> [Option<u64>; 2] {
        let low = self.reg(PCI0IOLD);
        // The other bits of the last address are those of the first.
        let io = (low & PCI0IOHD_HIGH <= self.reg(PCI0IOHD)).then_some(low << UNIT);
        [Some(self.reg(ISD) << UNIT), io]
    }

    /// Causes with their summary bits.
    fn cause(&self) -> u64 {
        let cause = self.reg(INTRCAUSE);
        let masked = cause & self.reg(INTRMASK) & INTRMASK_MASK;
        let bit = |mask: u64, on: bool| if on { mask } else { 0 };
        cause | bit(INTRCAUSE_INTSUM, cause & INTRMASK_MASK != 0) | bit(INTRCAUSE_CPUINTSUM, masked != 0)
    }

    /// A cycle that nobody answers: all ones are read.
    fn master_abort(&mut self) -> u64 {
        self.set(INTRCAUSE, self.reg(INTRCAUSE) | INTRCAUSE_MASABORT0);
        self.function.set_byte(STATUS + 1, self.function.byte(STATUS + 1) | MASTER_ABORT);
        u64::MAX
    }

    /// Where a configuration cycle for a byte lane of the data register goes, and whether the
    /// bytes of its data are swapped. `None` for the bridge itself.
    fn target(&self, lane: u64, size: Width) -> Option<(u64, bool)> {
        let address = self.reg(PCI0_CFGADDR);
        let register = address & PCI0_CFGADDR_REGISTER;
        let device = address & (PCI0_CFGADDR_BUS | PCI0_CFGADDR_DEVICE | PCI0_CFGADDR_FUNCTION);
        if device == 0 {
            // The bridge's own registers are never swapped.
            return None;
        }
        let swap = self.reg(PCI0_CMD) & PCI0_CMD_MBYTESWAP == 0;
        let lane = if swap { 4u64.saturating_sub(lane + u64::from(size.bytes())) } else { lane };
        Some((device << 4 | register | lane, swap))
    }

    fn config_read(&mut self, cx: &mut dyn Services, lane: u64, size: Width) -> u64 {
        if self.reg(PCI0_CFGADDR) & PCI0_CFGADDR_CONFIGEN == 0 {
            cx.guest_error(format_args!("read of PCI0_CFGDATA without CONFIGEN"));
            return u64::MAX;
        }
        match self.target(lane, size) {
            None => self.function.read(self.reg(PCI0_CFGADDR) & PCI0_CFGADDR_REGISTER | lane, size),
            Some((at, swap)) => match cx.bus_read(Bus::PciConfig, at, size) {
                Ok(value) => swapped(value, size, swap),
                Err(_) => self.master_abort(),
            },
        }
    }

    fn config_write(&mut self, cx: &mut dyn Services, lane: u64, size: Width, value: u64) {
        if self.reg(PCI0_CFGADDR) & PCI0_CFGADDR_CONFIGEN == 0 {
            return cx.guest_error(format_args!("write of {value:#x} to PCI0_CFGDATA without CONFIGEN"));
        }
        match self.target(lane, size) {
            None => self.own_config_write(cx, self.reg(PCI0_CFGADDR) & PCI0_CFGADDR_REGISTER | lane, size, value),
            Some((at, swap)) => {
                if cx.bus_write(Bus::PciConfig, at, size, swapped(value, size, swap)).is_err() {
                    self.master_abort();
                }
            }
        }
    }

    /// A write to the bridge's own configuration space.
    fn own_config_write(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        self.function.write(cx, at, size, value);
        // Other masters find memory by the first four base address registers.
        let bar = (at as usize).wrapping_sub(BAR_0) / 4;
        if let Some((contents, mask)) = BARS[..4].get(bar) {
            let now = self.function.read((BAR_0 + 4 * bar) as u64, Width::B4) as u32;
            // All ones are how guests find out about the size.
            if now != *contents && now & mask != *mask {
                cx.unimplemented(format_args!("BAR {bar} of the bridge set to {now:#x}: memory stays where it is"));
            }
        }
    }

    fn read_register(&mut self, cx: &mut dyn Services, at: u64) -> u64 {
        match at {
            INTRCAUSE | CPU_CAUSE_SELECT => self.cause(),
            PCI0_IACK => cx.bus_read(Bus::Pio, self.acknowledge, Width::B1).unwrap_or_else(|_| self.master_abort() & 0xff),
            _ => {
                check_register_read(cx, REGISTERS, at);
                self.reg(at)
            }
        }
    }

    fn write_register(&mut self, cx: &mut dyn Services, at: u64, value: u64) {
        check_register_write(cx, REGISTERS, at, value);
        let Some((register, _)) = find_register(REGISTERS, at).filter(|(r, _)| r.modelled) else { return };
        if at == INTRCAUSE {
            // Writing a zero clears a cause.
            return self.set(at, self.reg(at) & value);
        }
        let new = register.write(self.reg(at), value);
        self.set(at, new);
        if let Some((_, remap)) = REMAPS.iter().find(|(low, _)| *low == at) {
            self.set(*remap, new & 0x7ff);
        }
        if KEPT.iter().any(|kept| kept.contains(&at)) && new != register.reset {
            cx.unimplemented(format_args!("{} set to {new:#x}, which has no effect", register.name));
        }
        match at {
            PCI0_CMD if (new & PCI0_CMD_MBYTESWAP != 0) == self.big_endian => {
                cx.unimplemented(format_args!("PCI0_CMD set to {new:#x}: bytes of I/O and memory cycles are not swapped, only those of configuration cycles"));
            }
            PCI0IOREMAP if ![0, self.reg(PCI0IOLD) & 0x7ff].contains(&new) => {
                cx.unimplemented(format_args!("PCI0IOREMAP set to {new:#x}: I/O addresses begin at 0"));
            }
            PCI0M0REMAP | PCI0M1REMAP if new != self.reg(if at == PCI0M0REMAP { PCI0M0LD } else { PCI0M1LD }) & 0x7ff => {
                cx.unimplemented(format_args!("{} set to {new:#x}: PCI memory is where it is for the processor", register.name));
            }
            _ => {}
        }
    }
}

/// The value with its bytes in the other order, if it is to be swapped.
fn swapped(value: u64, size: Width, swap: bool) -> u64 {
    if swap { value.swap_bytes() >> (64 - size.bits()) } else { value }
}

impl Device for Gt64120 {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        Ok(match w {
            CONFIG => self.function.read(at, size),
            PCI_IO => cx.bus_read(Bus::Pio, at, size).unwrap_or_else(|_| self.master_abort()),
            _ => match (at & !3, at & 3) {
                (PCI0_CFGDATA, lane) => self.config_read(cx, lane, size),
                (at, lane) => self.read_register(cx, at) >> (8 * lane),
            },
        })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match w {
            CONFIG => self.own_config_write(cx, at, size, value),
            PCI_IO => {
                if cx.bus_write(Bus::Pio, at, size, value).is_err() {
                    self.master_abort();
                }
            }
            _ => match (at & !3, at & 3) {
                (PCI0_CFGDATA, lane) => self.config_write(cx, lane, size, value),
                (at, 0) if size == Width::B4 => self.write_register(cx, at, value),
                (at, lane) => {
                    // The processor's byte strobes: the other lanes stay. Zeros clear causes.
                    let lanes = size.mask() << (8 * lane);
                    let others = if at == INTRCAUSE { !lanes } else { self.reg(at) & !lanes };
                    self.write_register(cx, at, (others | value << (8 * lane)) & Width::B4.mask());
                }
            },
        }
        Ok(())
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        self.function.settle(cx);
        cx.set_pin(INT, self.cause() & INTRCAUSE_CPUINTSUM != 0);
        let new = self.decoded();
        for (n, window) in [REGS, PCI_IO].into_iter().enumerate() {
            if self.told && self.placed[n] == new[n] {
                continue;
            }
            self.placed[n] = new[n];
            if cx.move_window(window, new[n]).is_err() {
                let at = new[n].unwrap_or_default();
                cx.guest_error(format_args!("a decoder that is set to {at:#x} lies over something else"));
            }
        }
        self.told = true;
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }
}

const fn property(name: &'static str, kind: PropertyKind, default: PropertyDefault, doc: &'static str) -> PropertyDecl {
    PropertyDecl { name, kind, default, doc }
}

/// The device type.
pub static GT64120: DeviceType = DeviceType {
    properties: &[
        property("big-endian", PropertyKind::Bool, PropertyDefault::Bool(false), "Byte order of the processor"),
        property("acknowledge-port", PropertyKind::U64, PropertyDefault::U64(0x1_0000_0000), "I/O address whose read acknowledges an interrupt"),
    ],
    windows: &[
        WindowDecl::pci_config(),
        WindowDecl::mmio("regs", 0x1000, AccessRule::new(Width::B1, Width::B4)),
        WindowDecl::mmio("pci-io", IO_LEN, AccessRule::new(Width::B1, Width::B4)),
    ],
    outputs: &[PinDecl::one("int")],
    registers: &[&[], REGISTERS, &[]],
    ..DeviceType::new("gt64120", "Galileo GT-64120 system controller", |props| Ok(Box::new(Gt64120::new(props)?)))
};

#[cfg(test)]
#[path = "gt64120_tests.rs"]
mod tests;
