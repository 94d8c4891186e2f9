//! The virtio-pci transport (virtio 1.2 §4.1; legacy interface §4.1.4.10).
//!
//! Each device type here is a function on a conventional PCI bus, as QEMU has it: transitional
//! unless properties `disable-legacy` or `disable-modern` say otherwise, with the legacy registers
//! in I/O ports (BAR 0), MSI-X in memory (BAR 1), and the registers of 1.0 and later in memory (BAR 4).
//! Interrupts are messages while the driver has enabled MSI-X, which is there unless `vectors` is 0,
//! else on the pin. Left out: shared memory regions; the reset of single queues and notification
//! data (features not offered).

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Doorbell, Event, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, RegisterInfo, Reset, Services,
    State, Width, Window, WindowDecl, WindowKind, WindowSize, check_register_read, check_register_write, find_register, registers,
};

use super::{ALARMS, ByteOrder, Core, IOEVENTFD, Interfaces, QueueSetup, RESUME_ALARM, Raised, VirtioDevice};
use crate::pci::{ADDR, Bar, BarKind, CONFIG, Function, Header, INTX, MAX_VECTORS, msix_window_len, parse_address};

registers! {
    /// Legacy registers, in I/O ports, always little-endian (§4.1.4.10).
    pub LEGACY_REGISTERS: u32;

    0x00 LEGACY_DEVICE_FEATURES ro
    0x04 LEGACY_DRIVER_FEATURES rw
    /// Address of the queue in units of 4096 bytes; 0 takes it down.
    0x08 LEGACY_QUEUE_PFN rw
    0x0c LEGACY_QUEUE_SIZE ro u16
    0x0e LEGACY_QUEUE_SELECT rw u16
    0x10 LEGACY_QUEUE_NOTIFY rw u16
    0x12 LEGACY_STATUS rw u8
    /// Reading acknowledges.
    0x13 LEGACY_ISR ro u8 { 0 QUEUE, 1 CONFIG }
    /// Vectors, while MSI-X is enabled; the device's configuration space is here while it is not.
    0x14 LEGACY_CONFIG_VECTOR rw u16
    0x16 LEGACY_QUEUE_VECTOR rw u16
}

/// Offset of the device's configuration space in the legacy registers while MSI-X is not enabled.
pub const LEGACY_CONFIG: u64 = 0x14;
/// The same while it is.
pub const LEGACY_CONFIG_MSIX: u64 = 0x18;

registers! {
    /// Registers in memory: the common configuration (§4.1.4.3) and the interrupt status.
    pub REGISTERS: u32;

    0x00 DEVICE_FEATURE_SELECT rw
    0x04 DEVICE_FEATURE ro
    0x08 DRIVER_FEATURE_SELECT rw
    0x0c DRIVER_FEATURE rw
    0x10 CONFIG_MSIX_VECTOR rw u16
    0x12 NUM_QUEUES ro u16
    0x14 DEVICE_STATUS rw u8
    0x15 CONFIG_GENERATION ro u8
    0x16 QUEUE_SELECT rw u16
    0x18 QUEUE_SIZE rw u16
    0x1a QUEUE_MSIX_VECTOR rw u16
    0x1c QUEUE_ENABLE rw u16
    0x1e QUEUE_NOTIFY_OFF ro u16
    0x20 QUEUE_DESC_LOW rw
    0x24 QUEUE_DESC_HIGH rw
    0x28 QUEUE_DRIVER_LOW rw
    0x2c QUEUE_DRIVER_HIGH rw
    0x30 QUEUE_DEVICE_LOW rw
    0x34 QUEUE_DEVICE_HIGH rw
    0x38 QUEUE_NOTIFY_DATA ro u16: unmodelled
    0x3a QUEUE_RESET rw u16: unmodelled
    /// Reading acknowledges.
    0x1000 ISR ro u8 { 0 QUEUE, 1 CONFIG }
}

/// Offset of the device's configuration space in the memory window.
pub const DEVICE_CONFIG: u64 = 0x2000;
/// Offset of the notification registers in the memory window.
pub const NOTIFY: u64 = 0x3000;
/// Distance between the notification registers of two queues.
pub const NOTIFY_MULTIPLIER: u32 = 4;
/// Length of each part of the memory window.
const PART: u64 = 0x1000;
/// Length of the memory window.
const MODERN_LEN: u64 = 0x4000;

const CONFIG_WINDOW: Window = Window(0);
const LEGACY_WINDOW: Window = Window(1);
const MODERN_WINDOW: Window = Window(2);
const MSIX_WINDOW: Window = Window(3);
const LEGACY_BAR: usize = 0;
const MSIX_BAR: usize = 1;
const MODERN_BAR: usize = 4;

/// Virtio's vendor, and its devices since 1.0 from this one on (§4.1.2).
const VENDOR: u16 = 0x1af4;
const FIRST_MODERN: u16 = 0x1040;
/// The card of a device without legacy interface, as QEMU has it.
const MODERN_SUBSYSTEM: u16 = 0x1100;
/// Unit of queue addresses and alignment of used rings in the legacy interface.
const LEGACY_PAGE: u64 = 4096;
/// In the vector registers: no message.
pub const NO_VECTOR: u16 = 0xffff;
/// Of property `vectors`: as many as the type of device wants.
const DEFAULT_VECTORS: u64 = u32::MAX as u64;
/// The vendor-specific capability, and what virtio's are of (§4.1.4).
const CAPABILITY: u8 = 9;
const COMMON_CFG: u8 = 1;
const NOTIFY_CFG: u8 = 2;
const ISR_CFG: u8 = 3;
const DEVICE_CFG: u8 = 4;
const PCI_CFG: u8 = 5;
/// Offset of `pci_cfg_data` in the capability by which registers are reached through
/// configuration space.
const ACCESS_DATA: usize = 16;

/// Properties of every function.
pub const PROPERTIES: &[PropertyDecl] = &[
    property("disable-legacy", PropertyKind::String, PropertyDefault::Str("auto"), "Leave out the legacy interface: on, off, or auto, which is off"),
    property("disable-modern", PropertyKind::Bool, PropertyDefault::Bool(false), "Leave out the interface of virtio 1.0 and later"),
    property(
        "vectors",
        PropertyKind::U64,
        PropertyDefault::U64(DEFAULT_VECTORS),
        "MSI-X vectors: up to 2048, 0 for interrupts by the pin only; 4294967295 for as many as the device wants, if the board takes messages",
    ),
    property(
        "guest-big-endian",
        PropertyKind::Bool,
        PropertyDefault::Bool(false),
        "Is the guest's, and so the legacy interface's, byte order big-endian? The board says",
    ),
    IOEVENTFD,
    ADDR,
];

const fn property(name: &'static str, kind: PropertyKind, default: PropertyDefault, doc: &'static str) -> PropertyDecl {
    PropertyDecl { name, kind, default, doc }
}

/// Number of a transitional device of this type (§4.1.2.1).
const fn transitional(ty: u16) -> u16 {
    match ty {
        1 => 0x1000,
        2 => 0x1001,
        3 => 0x1003,
        4 => 0x1005,
        _ => panic!("this type of device has no transitional number here"),
    }
}

/// A function with a virtio device in it.
#[derive(State)]
pub struct Pci<D: VirtioDevice> {
    function: Function,
    core: Core<D>,
    device_feature_select: u32,
    driver_feature_select: u32,
    queue_select: u16,
    /// Vectors of changes of the configuration and of each queue.
    config_vector: Option<u16>,
    queue_vectors: Vec<Option<u16>>,
    /// Where the capability is that reaches registers through configuration space.
    #[state(skip)]
    access: Option<usize>,
}

impl<D: VirtioDevice> Pci<D> {
    const LEGACY_LEN: u64 = (LEGACY_CONFIG_MSIX + D::CONFIG_LEN).next_power_of_two();
    const LEGACY: Bar = Bar { index: LEGACY_BAR, window: LEGACY_WINDOW, size: Self::LEGACY_LEN, kind: BarKind::Io };
    const MODERN: Bar = Bar { index: MODERN_BAR, window: MODERN_WINDOW, size: MODERN_LEN, kind: BarKind::Memory64Prefetch };
    const TRANSITIONAL_HEADER: Header = Header {
        subsystem_vendor: VENDOR,
        subsystem: D::TYPE,
        interrupt_pin: 1,
        bars: &[Self::LEGACY, Self::MODERN],
        ..Header::new(VENDOR, transitional(D::TYPE), 0, D::PCI_CLASS)
    };
    const BOTH_HEADER: &'static Header = &Self::TRANSITIONAL_HEADER;
    const LEGACY_HEADER: &'static Header = &Header { bars: &[Self::LEGACY], ..Self::TRANSITIONAL_HEADER };
    const MODERN_HEADER: &'static Header = &Header {
        subsystem_vendor: VENDOR,
        subsystem: MODERN_SUBSYSTEM,
        interrupt_pin: 1,
        bars: &[Self::MODERN],
        ..Header::new(VENDOR, FIRST_MODERN + D::TYPE, 1, D::PCI_CLASS)
    };
    const WINDOWS: &'static [WindowDecl] = &[
        CONFIG,
        WindowDecl {
            name: "legacy",
            size: WindowSize::Fixed(Self::LEGACY_LEN),
            kind: WindowKind::Pio,
            access: AccessRule::new(Width::B1, Width::B4),
            priority: 0,
        },
        WindowDecl::mmio("modern", MODERN_LEN, AccessRule::new(Width::B1, Width::B4)),
        WindowDecl { size: WindowSize::From(|props| msix_window_len(vectors::<D>(props).min(MAX_VECTORS))), ..WindowDecl::mmio("msix", 0, AccessRule::WORD) },
    ];

    /// What all types of device on a PCI bus have in common.
    pub const fn device_type(name: &'static str, description: &'static str, new: fn(&Props) -> Result<Box<dyn Device>, PropError>) -> DeviceType {
        DeviceType {
            windows: Self::WINDOWS,
            outputs: &[INTX],
            alarms: ALARMS,
            registers: &[&[], LEGACY_REGISTERS, REGISTERS],
            user_creatable: true,
            ..DeviceType::new(name, description, new)
        }
    }
}

/// MSI-X vectors that the properties ask for.
fn vectors<D: VirtioDevice>(props: &Props) -> u64 {
    match props.u64("vectors") {
        DEFAULT_VECTORS => D::vectors(props),
        n => n,
    }
}

impl<D: VirtioDevice + 'static> Pci<D> {
    /// A function for `device`, with the common properties of its type.
    pub fn boxed(props: &Props, device: D) -> Result<Box<dyn Device>, PropError> {
        let vectors = vectors::<D>(props);
        if vectors > MAX_VECTORS {
            return Err(props.refuse(format!("vectors={vectors}: give at most {MAX_VECTORS}, or 0 for interrupts by the pin")));
        }
        let legacy = match props.str("disable-legacy").unwrap_or("auto") {
            "on" => false,
            // A function on a PCI Express bus would have none.
            "off" | "auto" => true,
            other => return Err(props.refuse(format!("disable-legacy={other}: give on, off or auto"))),
        };
        parse_address(props)?;
        let (interfaces, header) = match (legacy, !props.bool("disable-modern")) {
            (true, true) => (Interfaces::Both, Self::BOTH_HEADER),
            (true, false) => (Interfaces::Legacy, Self::LEGACY_HEADER),
            (false, true) => (Interfaces::Modern, Self::MODERN_HEADER),
            (false, false) => return Err(props.refuse("disable-legacy and disable-modern leave no interface; give one of them only")),
        };
        let order = if props.bool("guest-big-endian") { ByteOrder::Big } else { ByteOrder::Little };
        let core = Core::new(device, props, interfaces, order);
        let mut function = Function::new(header);
        let access = (interfaces != Interfaces::Legacy).then(|| capabilities(&mut function));
        if vectors != 0 {
            function.add_msix(MSIX_BAR, MSIX_WINDOW, vectors as u16);
        }
        let queue_vectors = vec![None; core.common.queues.len()];
        Ok(Box::new(Pci { function, core, device_feature_select: 0, driver_feature_select: 0, queue_select: 0, config_vector: None, queue_vectors, access }))
    }
}

/// Adds the capabilities that tell a driver where registers are (§4.1.4); gives the offset of the
/// one that reaches them through configuration space.
fn capabilities(function: &mut Function) -> usize {
    let mut add = |kind: u8, offset: u64, last: &[u8], writable: &[u8]| {
        let len = if kind == PCI_CFG { 0 } else { PART as u32 };
        let bar = if kind == PCI_CFG { 0 } else { MODERN_BAR as u8 };
        let head = [16 + last.len() as u8, kind, bar, 0, 0, 0];
        let body = [&head[..], &(offset as u32).to_le_bytes(), &len.to_le_bytes(), last].concat();
        function.add_capability(CAPABILITY, &body, writable)
    };
    add(COMMON_CFG, 0, &[], &[]);
    add(ISR_CFG, ISR, &[], &[]);
    add(DEVICE_CFG, DEVICE_CONFIG, &[], &[]);
    add(NOTIFY_CFG, NOTIFY, &NOTIFY_MULTIPLIER.to_le_bytes(), &[]);
    // BAR, offset, length and data.
    let mut writable = [0xff; 18];
    writable[..2].fill(0);
    writable[3..6].fill(0);
    add(PCI_CFG, 0, &[0; 4], &writable)
}

/// Is an access of this width right for the register at `at`, if there is one?
fn width_fits(cx: &mut dyn Services, table: &'static [RegisterInfo], at: u64, size: Width) -> bool {
    let fits = find_register(table, at).is_none_or(|(r, _)| r.width == size);
    if !fits {
        cx.guest_error(format_args!("access of {} bytes at {at:#x}, where the register has another width", size.bytes()));
    }
    fits
}

impl<D: VirtioDevice> Pci<D> {
    /// The driver resets the device. Configuration space is the bus's and stays.
    fn reset_device(&mut self) {
        self.core.reset_state();
        (self.device_feature_select, self.driver_feature_select, self.queue_select) = (0, 0, 0);
        self.config_vector = None;
        self.queue_vectors.fill(None);
        self.function.forget_messages();
        self.core.common.isolated = !self.function.bus_master();
    }

    /// What follows from the bit that lets the function access memory.
    fn obey_bus_master(&mut self, cx: &mut dyn Services) {
        let before = std::mem::replace(&mut self.core.common.isolated, !self.function.bus_master());
        if before && self.core.common.active() {
            self.core.notify_all(cx);
        }
    }

    fn write_status(&mut self, cx: &mut dyn Services, value: u8, legacy: bool) {
        if value == 0 {
            return self.reset_device();
        }
        self.core.common.legacy = legacy;
        self.core.write_status(cx, value);
    }

    fn accept_features(&mut self, cx: &mut dyn Services, word: u32, value: u32, legacy: bool) {
        self.core.common.legacy = legacy;
        self.core.accept_features(cx, word, value);
    }

    fn notify(&mut self, cx: &mut dyn Services, queue: usize) {
        if self.core.common.isolated {
            cx.guest_error(format_args!("notification of queue {queue} while the function is no bus master"));
        }
        self.core.notify(cx, queue);
    }

    fn set_up(&mut self, cx: &mut dyn Services, step: QueueSetup, legacy: bool) {
        self.core.common.legacy = legacy;
        self.core.set_up(cx, self.queue_select.into(), step);
    }

    /// Entries of the selected queue: as many as there may be until the driver has chosen fewer, and
    /// none of a queue that is not there.
    fn queue_size(&self) -> u64 {
        self.core.common.queues.get(usize::from(self.queue_select)).filter(|q| q.max != 0).map_or(0, |q| q.num.into())
    }

    /// The vector of the selected queue, or of changes of the configuration.
    fn vector(&self, queue: bool) -> u64 {
        let chosen = if queue { self.queue_vectors.get(usize::from(self.queue_select)).copied().flatten() } else { self.config_vector };
        chosen.unwrap_or(NO_VECTOR).into()
    }

    /// The driver chooses a vector. One that is not there is none, which it sees when it reads it back
    /// (§4.1.5.1.2).
    fn set_vector(&mut self, cx: &mut dyn Services, queue: bool, value: u64) {
        let chosen = Some(value as u16).filter(|v| *v < self.function.msix_vectors());
        if chosen.is_none() && value != NO_VECTOR.into() {
            cx.guest_error(format_args!("MSI-X vector {value} of a function with {}", self.function.msix_vectors()));
        }
        if !queue {
            self.config_vector = chosen;
        } else if let Some(vector) = self.queue_vectors.get_mut(usize::from(self.queue_select)) {
            *vector = chosen;
        }
    }

    /// Asks for the messages of what this entry has raised.
    fn raise(&mut self) {
        for what in self.core.common.raised.drain(..) {
            let vector = match what {
                Raised::Config => self.config_vector,
                Raised::Queue(n) => self.queue_vectors.get(n).copied().flatten(),
            };
            if let Some(vector) = vector.filter(|_| self.function.msix_enabled()) {
                self.function.raise(vector);
            }
        }
    }

    /// Offset of the device's configuration space in the legacy registers.
    fn legacy_config(&self) -> u64 {
        if self.function.msix_enabled() { LEGACY_CONFIG_MSIX } else { LEGACY_CONFIG }
    }

    fn read_legacy(&mut self, cx: &mut dyn Services, at: u64, size: Width) -> u64 {
        let common = &self.core.common;
        if let Some(at) = at.checked_sub(self.legacy_config()) {
            return self.core.read_config(cx, common.legacy_order, at, size);
        }
        if !width_fits(cx, LEGACY_REGISTERS, at, size) {
            return 0;
        }
        match at {
            LEGACY_DEVICE_FEATURES => self.core.offered(cx, true),
            LEGACY_DRIVER_FEATURES => common.driver_features,
            LEGACY_QUEUE_PFN => common.queues.get(usize::from(self.queue_select)).filter(|q| q.ready).map_or(0, |q| q.desc / LEGACY_PAGE),
            LEGACY_QUEUE_SIZE => self.queue_size(),
            LEGACY_QUEUE_SELECT => self.queue_select.into(),
            LEGACY_QUEUE_NOTIFY => 0,
            LEGACY_STATUS => common.status.into(),
            LEGACY_ISR => std::mem::take(&mut self.core.common.isr).into(),
            LEGACY_CONFIG_VECTOR | LEGACY_QUEUE_VECTOR => self.vector(at == LEGACY_QUEUE_VECTOR),
            _ => {
                check_register_read(cx, LEGACY_REGISTERS, at);
                0
            }
        }
    }

    fn write_legacy(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        if let Some(at) = at.checked_sub(self.legacy_config()) {
            self.core.common.legacy = true;
            return self.core.write_config(cx, at, size, value);
        }
        if !width_fits(cx, LEGACY_REGISTERS, at, size) {
            return;
        }
        match at {
            LEGACY_DRIVER_FEATURES => self.accept_features(cx, 0, value as u32, true),
            // As QEMU has it: taking one queue down resets the device.
            LEGACY_QUEUE_PFN if value == 0 => self.reset_device(),
            LEGACY_QUEUE_PFN => self.set_up(cx, QueueSetup::Legacy { base: value * LEGACY_PAGE, align: LEGACY_PAGE }, true),
            LEGACY_QUEUE_SELECT => self.queue_select = value as u16,
            LEGACY_QUEUE_NOTIFY => self.notify(cx, value as usize),
            LEGACY_STATUS => self.write_status(cx, value as u8, true),
            LEGACY_CONFIG_VECTOR | LEGACY_QUEUE_VECTOR => self.set_vector(cx, at == LEGACY_QUEUE_VECTOR, value),
            _ => check_register_write(cx, LEGACY_REGISTERS, at, value),
        }
    }

    fn read_modern(&mut self, cx: &mut dyn Services, at: u64, size: Width) -> u64 {
        if (DEVICE_CONFIG..DEVICE_CONFIG + PART).contains(&at) {
            return self.core.read_config(cx, ByteOrder::Little, at - DEVICE_CONFIG, size);
        }
        if !width_fits(cx, REGISTERS, at, size) {
            return 0;
        }
        let queue = self.core.common.queues.get(usize::from(self.queue_select));
        let address = |high: bool, of: fn(&super::queue::Queue) -> u64| queue.map_or(0, |q| if high { of(q) >> 32 } else { of(q) });
        match at {
            DEVICE_FEATURE_SELECT => self.device_feature_select.into(),
            DEVICE_FEATURE => match self.device_feature_select {
                0 => self.core.offered(cx, false),
                1 => self.core.offered(cx, false) >> 32,
                _ => 0,
            },
            DRIVER_FEATURE_SELECT => self.driver_feature_select.into(),
            DRIVER_FEATURE => match self.driver_feature_select {
                0 => self.core.common.driver_features,
                1 => self.core.common.driver_features >> 32,
                _ => 0,
            },
            CONFIG_MSIX_VECTOR | QUEUE_MSIX_VECTOR => self.vector(at == QUEUE_MSIX_VECTOR),
            NUM_QUEUES => self.core.common.queues.len() as u64,
            DEVICE_STATUS => self.core.common.status.into(),
            CONFIG_GENERATION => self.core.common.generation.into(),
            QUEUE_SELECT => self.queue_select.into(),
            QUEUE_SIZE => self.queue_size(),
            QUEUE_ENABLE => queue.is_some_and(|q| q.ready).into(),
            QUEUE_NOTIFY_OFF => queue.map_or(0, |_| self.queue_select.into()),
            QUEUE_DESC_LOW => address(false, |q| q.desc),
            QUEUE_DESC_HIGH => address(true, |q| q.desc),
            QUEUE_DRIVER_LOW => address(false, |q| q.avail),
            QUEUE_DRIVER_HIGH => address(true, |q| q.avail),
            QUEUE_DEVICE_LOW => address(false, |q| q.used),
            QUEUE_DEVICE_HIGH => address(true, |q| q.used),
            ISR => std::mem::take(&mut self.core.common.isr).into(),
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        }
    }

    fn write_modern(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        let word = value as u32;
        match at {
            DEVICE_CONFIG..NOTIFY => {
                self.core.common.legacy = false;
                return self.core.write_config(cx, at - DEVICE_CONFIG, size, value);
            }
            // Which register it is says which queue it is.
            NOTIFY.. => return self.notify(cx, ((at - NOTIFY) / u64::from(NOTIFY_MULTIPLIER)) as usize),
            _ if !width_fits(cx, REGISTERS, at, size) => return,
            _ => {}
        }
        let step = match at {
            DEVICE_FEATURE_SELECT => return self.device_feature_select = word,
            DRIVER_FEATURE_SELECT => return self.driver_feature_select = word,
            DRIVER_FEATURE => return self.accept_features(cx, self.driver_feature_select, word, false),
            DEVICE_STATUS => return self.write_status(cx, value as u8, false),
            QUEUE_SELECT => return self.queue_select = value as u16,
            CONFIG_MSIX_VECTOR | QUEUE_MSIX_VECTOR => return self.set_vector(cx, at == QUEUE_MSIX_VECTOR, value),
            QUEUE_ENABLE if value != 1 => return cx.guest_error(format_args!("{value} written to QUEUE_ENABLE, where only 1 may be")),
            QUEUE_ENABLE => QueueSetup::Ready(true),
            QUEUE_SIZE => QueueSetup::Size(word),
            QUEUE_DESC_LOW => QueueSetup::DescLow(word),
            QUEUE_DESC_HIGH => QueueSetup::DescHigh(word),
            QUEUE_DRIVER_LOW => QueueSetup::DriverLow(word),
            QUEUE_DRIVER_HIGH => QueueSetup::DriverHigh(word),
            QUEUE_DEVICE_LOW => QueueSetup::DeviceLow(word),
            QUEUE_DEVICE_HIGH => QueueSetup::DeviceHigh(word),
            _ => return check_register_write(cx, REGISTERS, at, value),
        };
        self.set_up(cx, step, false);
    }

    /// Reads or (with a value) writes a register in one of the windows that BARs place.
    fn register(&mut self, cx: &mut dyn Services, window: Window, at: u64, size: Width, value: Option<u64>) -> u64 {
        match (window, value) {
            (LEGACY_WINDOW, None) => self.read_legacy(cx, at, size),
            (LEGACY_WINDOW, Some(value)) => {
                self.write_legacy(cx, at, size, value);
                0
            }
            (MSIX_WINDOW, None) => self.function.read_msix(at),
            (MSIX_WINDOW, Some(value)) => {
                self.function.write_msix(cx, at, value);
                0
            }
            (_, None) => self.read_modern(cx, at, size),
            (_, Some(value)) => {
                self.write_modern(cx, at, size, value);
                0
            }
        }
    }

    /// Whether an access of configuration space meets the data of the capability that reaches
    /// registers through it; gives the offset of the capability.
    fn reaches_through(&self, at: u64, size: Width) -> Option<usize> {
        let access = self.access?;
        let data = (access + ACCESS_DATA) as u64;
        (at < data + 4 && at + u64::from(size.bytes()) > data).then_some(access)
    }

    /// The access that the driver asks for through configuration space (§4.1.4.9).
    fn reach_through(&mut self, cx: &mut dyn Services, access: usize, write: bool) {
        let word = |f: &Function, at: usize| f.read((access + at) as u64, Width::B4);
        let (bar, at, len) = (usize::from(self.function.byte(access + 4)), word(&self.function, 8), word(&self.function, 12));
        let window = match (bar, self.core.common.interfaces) {
            (MODERN_BAR, _) => Some((MODERN_WINDOW, MODERN_LEN)),
            (LEGACY_BAR, Interfaces::Both) => Some((LEGACY_WINDOW, Self::LEGACY_LEN)),
            _ => None,
        };
        let width = Width::from_bytes(len).filter(|w| *w <= Width::B4 && at.is_multiple_of(len));
        let (Some((window, _)), Some(width)) = (window.filter(|(_, size)| at < *size), width) else {
            return cx.guest_error(format_args!("access of {len} bytes at {at:#x} in BAR {bar} through configuration space"));
        };
        let data = access + ACCESS_DATA;
        if write {
            let value = word(&self.function, ACCESS_DATA) & width.mask();
            self.register(cx, window, at, width, Some(value));
        } else {
            let value = self.register(cx, window, at, width, None) & width.mask();
            for (i, byte) in value.to_le_bytes().into_iter().enumerate().take(len as usize) {
                self.function.set_byte(data + i, byte);
            }
        }
    }
}

impl<D: VirtioDevice> Device for Pci<D> {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        if w != CONFIG_WINDOW {
            return Ok(self.register(cx, w, at, size, None));
        }
        if let Some(access) = self.reaches_through(at, size) {
            self.reach_through(cx, access, false);
        }
        Ok(self.function.read(at, size))
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        if w != CONFIG_WINDOW {
            self.register(cx, w, at, size, Some(value));
            return Ok(());
        }
        self.function.write(cx, at, size, value);
        if let Some(access) = self.reaches_through(at, size) {
            self.reach_through(cx, access, true);
        }
        self.obey_bus_master(cx);
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        if event == Event::Alarm(RESUME_ALARM) {
            return self.core.resume(cx);
        }
        let (device, mut io) = self.core.io(cx);
        device.event(&mut io, event);
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        self.raise();
        self.function.settle(cx);
        self.function.drive_intx(cx, 0, self.core.common.isr != 0);
        self.core.device.settle(cx);
        let now = self.core.common.resume.then(|| cx.now());
        cx.alarm(RESUME_ALARM, now);
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
        self.core.common.isolated = !self.function.bus_master();
    }

    fn doorbells(&self) -> Vec<Doorbell> {
        let (common, mut all) = (&self.core.common, vec![]);
        for n in common.doorbells() {
            let (value, width) = (n as u64, Width::B2);
            if common.interfaces != Interfaces::Legacy {
                all.push(Doorbell { window: MODERN_WINDOW, at: NOTIFY + value * u64::from(NOTIFY_MULTIPLIER), width, value, exact: false });
            }
            if common.interfaces != Interfaces::Modern {
                all.push(Doorbell { window: LEGACY_WINDOW, at: LEGACY_QUEUE_NOTIFY, width, value, exact: true });
            }
        }
        all
    }

    fn ready(&self, port: usize) -> usize {
        self.core.device.ready(&self.core.common, port)
    }
}

#[cfg(test)]
#[path = "pci_tests.rs"]
mod tests;
