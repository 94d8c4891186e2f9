//! The reference device of this crate's tests: a little of everything a device can be, and the
//! pattern that the real ones follow.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ram::Region;
use crate::{
    AccessRule, Bus, BusFault, CoreId, Count, Device, DeviceType, Direct, Event, FdtHook, Inspector, PinDecl, PortDecl, PortKind, PropertyDecl,
    PropertyDefault, PropertyKind, Props, Reader, Services, State, StateError, SystemRequest, Width, Window, WindowDecl, Writer, registers,
};

registers! {
    /// Registers of the reference device.
    pub REGISTERS: u32;

    /// Data: a write sends a byte, a read takes one.
    0x00 DATA rw { 7:0 BYTE }
    0x04 STATUS ro = 0x1 { 0 TXE, 1 RXNE, 3 IN }
    0x08 CTRL rw { 0 RXIE, 1 TIE, 2 LOOPIE: unmodelled, 15:8 LEVEL }
    /// Timer, in microseconds from now.
    0x0c TIMER wo
    0x10 RIS w1c { 0 TIMER }
    /// Address that DMA writes the number of timer interrupts to.
    0x14 DMA rw
    0x18 COMMAND wo
    0x20 SCRATCH[4] rw
    0x30 BANKED rw
    0x34 TRIM rw: unmodelled
}

const REGS: Window = Window(0);
const KEYS: Window = Window(1);
const IRQ: usize = 0;
const ECHO: usize = 1;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, State)]
#[repr(u8)]
pub enum Mode {
    #[default]
    Idle,
    Armed = 7,
}

#[derive(State, Default)]
#[state(version = 3)]
pub struct Reference {
    #[state(max = DEPTH)]
    rx: VecDeque<u8>,
    ctrl: u32,
    ris: u32,
    dma: u32,
    scratch: [u32; 4],
    banked: Vec<u32>,
    mode: Mode,
    deadline: Option<u64>,
    #[state(reset = self.initial)]
    key: u64,
    /// Set by the last phase of a reset.
    started: bool,
    #[state(keep)]
    nonvolatile: u32,
    fires: u32,
    #[state(skip)]
    initial: u64,
}

const DEPTH: usize = 16;

impl Reference {
    fn new(props: &Props) -> Reference {
        Reference { banked: vec![0; 2], initial: props.u64("initial"), key: props.u64("initial"), ..Reference::default() }
    }
}

impl Device for Reference {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        let bank = cx.requester().map_or(0, |CoreId(n)| usize::from(n));
        Ok(match (w, at) {
            (KEYS, 0x1000) => self.key,
            (KEYS, _) => return Err(BusFault::Undefined),
            (REGS, DATA) => self.rx.pop_front().unwrap_or(0).into(),
            (REGS, STATUS) => 1 | u64::from(!self.rx.is_empty()) << 1 | u64::from(cx.input(0)) << 3,
            (REGS, CTRL) => self.ctrl.into(),
            (REGS, RIS) => self.ris.into(),
            (REGS, DMA) => self.dma.into(),
            (REGS, BANKED) => self.banked.get(bank).copied().unwrap_or(0).into(),
            (REGS, SCRATCH..BANKED) => self.scratch[((at - SCRATCH) / 4) as usize].into(),
            (REGS, TIMER | COMMAND) => return Err(BusFault::WriteOnly),
            _ => {
                cx.guest_error(format_args!("read at {at:#x}"));
                return Err(BusFault::Unmapped);
            }
        })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        if w == KEYS {
            if at != 0x1000 {
                return Err(BusFault::Undefined);
            }
            self.key = value;
            return Ok(());
        }
        crate::check_register_write(cx, REGISTERS, at, value);
        match at {
            DATA => {
                cx.send(0, &[value as u8]);
            }
            CTRL => self.ctrl = value as u32 & (CTRL_RXIE | CTRL_TIE | CTRL_LEVEL) as u32,
            TIMER => {
                self.deadline = Some(cx.now() + value * 1000);
                self.mode = Mode::Armed;
            }
            RIS => self.ris &= !(value as u32),
            DMA => self.dma = value as u32,
            COMMAND if value == 1 => cx.system(SystemRequest::PowerOff),
            COMMAND if value == 3 => self.nonvolatile += 1,
            COMMAND if value == 2 => cx.move_window(REGS, Some(0x2_0000_0000))?,
            COMMAND if value >= 0x1000 => cx.move_window(REGS, Some(value))?,
            BANKED => {
                if let Some(bank) = cx.requester().and_then(|CoreId(n)| self.banked.get_mut(usize::from(n))) {
                    *bank = value as u32;
                }
            }
            SCRATCH..BANKED => self.scratch[((at - SCRATCH) / 4) as usize] = value as u32,
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        match event {
            Event::Alarm(0) => {
                (self.deadline, self.mode) = (None, Mode::Idle);
                self.fires = self.fires.wrapping_add(1);
                self.ris |= 1;
                if self.dma != 0 && cx.dma_write(self.dma.into(), &self.fires.to_le_bytes()).is_err() {
                    self.ris |= 2;
                }
            }
            Event::HostInput(0, bytes) => self.rx.extend(bytes),
            Event::ResetExit => self.started = true,
            _ => {}
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        let level = (self.ctrl >> 8 & 0xff) as usize;
        let rx = self.rx.len() > level && u64::from(self.ctrl) & CTRL_RXIE != 0;
        cx.set_pin(IRQ, rx || self.ris != 0 && u64::from(self.ctrl) & CTRL_TIE != 0);
        let inverted = !cx.input(0);
        cx.set_pin(ECHO, inverted);
        cx.alarm(0, self.deadline);
    }

    fn ready(&self, _: usize) -> usize {
        DEPTH - self.rx.len()
    }
}

pub static REFERENCE: DeviceType = DeviceType {
    properties: &[PropertyDecl { name: "initial", kind: PropertyKind::U64, default: PropertyDefault::U64(0x55), doc: "Reset value of the key" }],
    windows: &[WindowDecl::mmio("regs", 0x1000, AccessRule::WORD), WindowDecl::sysreg("keys", 0x1000, 4)],
    outputs: &[PinDecl::one("irq"), PinDecl::one("echo")],
    inputs: &[PinDecl::many("in", 2)],
    ports: &[PortDecl { name: "chardev", kind: PortKind::Char }],
    alarms: Count::Fixed(1),
    registers: &[REGISTERS],
    fdt: Some(FdtHook {
        node: "reference",
        build: |placed, node| {
            node.prop_str("compatible", "proteus,reference");
            placed.reg(node);
            placed.interrupts(node);
        },
    }),
    interrupt_cells: Some(|_, name, index| Some(vec![name.len() as u32, index as u32, 4])),
    ..DeviceType::new("reference", "Reference device", |props| Ok(Box::new(Reference::new(props))))
};

/// A device that leaves something out of its state, depends on the outside, or panics: the checks
/// must find it.
pub struct Faulty {
    kind: u64,
    counter: u32,
    secret: u32,
}

impl State for Faulty {
    fn save(&self, w: &mut Writer) {
        w.begin(1, 1);
        w.u32(self.counter);
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        r.begin(1, 1)?;
        self.counter = r.u32()?;
        Ok(())
    }
    fn reset_state(&mut self) {
        self.counter = if self.kind == 3 { self.counter + 1 } else { 0 };
        self.secret = 0;
    }
    fn inspect(&self, _: &mut Inspector) {}
}

/// Differs between two runs in one process, as host time or an address would.
static OUTSIDE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

impl Device for Faulty {
    fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        Ok(match self.kind {
            1 => self.secret.into(),
            4 => OUTSIDE.fetch_add(1, std::sync::atomic::Ordering::Relaxed).into(),
            _ => 0,
        })
    }
    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        if event == Event::Alarm(0) {
            self.counter = self.counter.wrapping_add(1);
            cx.alarm(0, Some(cx.now()));
        }
    }
    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        if self.kind == 6 {
            cx.alarm(0, Some(cx.now()));
        }
        assert!(self.kind != 2 || at != 0x44, "a guest's offset");
        if self.kind != 5 {
            self.counter = self.counter.wrapping_add(1);
        }
        self.secret = value as u32;
        Ok(())
    }
}

macro_rules! faulty {
    ($name:ident, $kind:literal) => {
        pub static $name: DeviceType = DeviceType {
            windows: &[WindowDecl::mmio("regs", 0x100, AccessRule::WORD)],
            alarms: Count::Fixed(1),
            ..DeviceType::new("faulty", "Faulty device", |_| Ok(Box::new(Faulty { kind: $kind, counter: 0, secret: 0 })))
        };
    };
}
faulty!(FORGETS_STATE, 1);
faulty!(PANICS, 2);
faulty!(RESET_COUNTS, 3);
faulty!(NOT_REPEATABLE, 4);
faulty!(NEVER_CHANGES, 5);
faulty!(ALARMS_FOREVER, 6);

/// A PCI function whose memory window forwards: below 0x800 to I/O ports, above to configuration
/// space.
#[derive(State)]
pub struct Bridge {
    latch: u32,
}

impl Bridge {
    fn beyond(at: u64) -> (Bus, u64) {
        if at < 0x800 { (Bus::Pio, at) } else { (Bus::PciConfig, (at & 0x700) << 7 | at & 0xff) }
    }
}

impl Device for Bridge {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        let (bus, to) = Bridge::beyond(at);
        if w == Window(1) { cx.bus_read(bus, to, size) } else { Ok(u64::from(self.latch) >> (8 * (at & 3))) }
    }
    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        let (bus, to) = Bridge::beyond(at);
        if w == Window(1) {
            return cx.bus_write(bus, to, size, value);
        }
        self.latch = value as u32 | u32::from(cx.requester().map_or(0, |c| c.0)) << 24;
        Ok(())
    }
}

pub static BRIDGE: DeviceType = DeviceType {
    windows: &[
        WindowDecl::pci_config(),
        WindowDecl::mmio("forward", 0x1000, AccessRule::new(Width::B1, Width::B4)),
        WindowDecl::pio("ports", 4, AccessRule::new(Width::B1, Width::B4)),
    ],
    ..DeviceType::new("bridge", "Bridge", |_| Ok(Box::new(Bridge { latch: 0 })))
};

/// Memory that is read directly until a write to it, as flash in its read-array mode; as a frame
/// buffer it takes writes too.
#[derive(State)]
pub struct Flash {
    #[state(skip)]
    array: Arc<Region>,
    #[state(skip)]
    frame_buffer: bool,
    command: u8,
}

impl Device for Flash {
    fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        Ok(0x80)
    }
    fn write(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width, value: u64) -> Result<(), BusFault> {
        self.command = value as u8;
        Ok(())
    }
    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_direct(
            Window(0),
            match self.command {
                _ if self.frame_buffer => Direct::All,
                0 => Direct::Reads,
                _ => Direct::Off,
            },
        );
    }
    fn backing(&self, _: Window) -> Option<Arc<Region>> {
        Some(self.array.clone())
    }
}

pub static FLASH: DeviceType = DeviceType {
    windows: &[WindowDecl::mmio("array", 0x2000, AccessRule::new(Width::B1, Width::B4))],
    ..DeviceType::new("flash", "Flash", |props| {
        let array = Region::new("flash", 0x2000).map_err(|e| props.refuse(e.to_string()))?;
        Ok(Box::new(Flash { array, frame_buffer: false, command: 0 }))
    })
};

pub static FRAME_BUFFER: DeviceType = DeviceType {
    windows: FLASH.windows,
    ..DeviceType::new("frame-buffer", "Frame buffer", |props| {
        let array = Region::new("frame-buffer", 0x2000).map_err(|e| props.refuse(e.to_string()))?;
        Ok(Box::new(Flash { array, frame_buffer: true, command: 0 }))
    })
};
