//! The virtio-mmio transport (virtio 1.2 §4.2.2, legacy interface §4.2.4).
//!
//! Each device type here is a slot with a device in it; `virtio-mmio` is an empty one, whose
//! DeviceID reads 0. Property `force-legacy` chooses version 1, the legacy interface, as QEMU does
//! unless told otherwise; `-global virtio-mmio.force-legacy=false` is the usual way to ask for
//! version 2. Left out: shared memory regions (there are none, and their length reads all ones)
//! and the reset of single queues (feature not offered).

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Doorbell, Event, FdtHook, PinDecl, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset,
    Services, State, Width, Window, WindowDecl, check_register_read, check_register_write, registers,
};

use super::{ALARMS, ByteOrder, Core, IOEVENTFD, Interfaces, QueueSetup, RESUME_ALARM, VirtioDevice};

registers! {
    /// Registers of a virtio-mmio slot. Those marked legacy exist in version 1 only, those marked
    /// modern in version 2 only.
    pub REGISTERS: u32;

    /// "virt", little-endian.
    0x000 MAGIC_VALUE ro = 0x7472_6976
    /// 1 for the legacy interface, else 2.
    0x004 VERSION ro
    /// Device type; 0 for an empty slot.
    0x008 DEVICE_ID ro
    0x00c VENDOR_ID ro
    0x010 DEVICE_FEATURES ro
    0x014 DEVICE_FEATURES_SEL wo
    0x020 DRIVER_FEATURES wo
    0x024 DRIVER_FEATURES_SEL wo
    /// Legacy: unit of QUEUE_PFN.
    0x028 GUEST_PAGE_SIZE wo
    0x030 QUEUE_SEL wo
    0x034 QUEUE_NUM_MAX ro
    0x038 QUEUE_NUM wo
    /// Legacy: alignment of the used ring.
    0x03c QUEUE_ALIGN wo
    /// Legacy: page of the queue; 0 takes it down.
    0x040 QUEUE_PFN rw
    /// Modern from here on, but for notification, interrupts and status.
    0x044 QUEUE_READY rw
    0x050 QUEUE_NOTIFY wo
    0x060 INTERRUPT_STATUS ro { 0 USED, 1 CONFIG }
    0x064 INTERRUPT_ACK wo
    0x070 STATUS rw
    0x080 QUEUE_DESC_LOW wo
    0x084 QUEUE_DESC_HIGH wo
    0x090 QUEUE_DRIVER_LOW wo
    0x094 QUEUE_DRIVER_HIGH wo
    0x0a0 QUEUE_DEVICE_LOW wo
    0x0a4 QUEUE_DEVICE_HIGH wo
    0x0ac SHM_SEL wo
    0x0b0 SHM_LEN_LOW ro = 0xffff_ffff
    0x0b4 SHM_LEN_HIGH ro = 0xffff_ffff
    0x0b8 SHM_BASE_LOW ro = 0xffff_ffff
    0x0bc SHM_BASE_HIGH ro = 0xffff_ffff
    0x0c0 QUEUE_RESET rw: unmodelled
    0x0fc CONFIG_GENERATION ro
}

/// Offset of the device's configuration space.
pub const CONFIG: u64 = 0x100;
/// Length of a slot's window.
pub const WINDOW_LEN: u64 = 0x200;
/// As QEMU's, which some guests look for.
const VENDOR: u32 = 0x554d_4551;
const IRQ: usize = 0;

/// Properties of every slot.
pub const PROPERTIES: &[PropertyDecl] = &[
    PropertyDecl { name: "force-legacy", kind: PropertyKind::Bool, default: PropertyDefault::Bool(true), doc: "Show the legacy interface (version 1)" },
    IOEVENTFD,
];

/// A slot with a device in it.
#[derive(State)]
pub struct Mmio<D: VirtioDevice> {
    core: Core<D>,
    device_features_sel: u32,
    driver_features_sel: u32,
    queue_sel: u32,
    guest_page_size: u32,
    queue_align: u32,
}

impl<D: VirtioDevice + 'static> Mmio<D> {
    /// A slot for `device`, with the common properties of its type.
    pub fn boxed(props: &Props, device: D) -> Box<dyn Device> {
        let interfaces = if props.bool("force-legacy") { Interfaces::Legacy } else { Interfaces::Modern };
        let core = Core::new(device, props, interfaces, ByteOrder::Little);
        Box::new(Mmio { core, device_features_sel: 0, driver_features_sel: 0, queue_sel: 0, guest_page_size: 0, queue_align: 0 })
    }
}

impl<D: VirtioDevice> Mmio<D> {
    /// The driver resets the device. The legacy page size is the transport's and stays: Linux sets
    /// it once, before the first reset.
    fn reset_device(&mut self) {
        let page_size = self.guest_page_size;
        self.reset_state();
        self.guest_page_size = page_size;
    }

    fn set_up(&mut self, cx: &mut dyn Services, at: u64, value: u32) {
        let step = match at {
            QUEUE_NUM => QueueSetup::Size(value),
            QUEUE_READY => QueueSetup::Ready(value != 0),
            QUEUE_DESC_LOW => QueueSetup::DescLow(value),
            QUEUE_DESC_HIGH => QueueSetup::DescHigh(value),
            QUEUE_DRIVER_LOW => QueueSetup::DriverLow(value),
            QUEUE_DRIVER_HIGH => QueueSetup::DriverHigh(value),
            QUEUE_DEVICE_LOW => QueueSetup::DeviceLow(value),
            QUEUE_DEVICE_HIGH => QueueSetup::DeviceHigh(value),
            QUEUE_PFN => QueueSetup::Legacy { base: u64::from(value) * u64::from(self.guest_page_size), align: self.queue_align.into() },
            _ => return check_register_write(cx, REGISTERS, at, value.into()),
        };
        self.core.set_up(cx, self.queue_sel as usize, step);
    }

    fn read_register(&mut self, cx: &mut dyn Services, at: u64) -> u32 {
        let queue = self.core.common.queues.get(self.queue_sel as usize);
        match at {
            MAGIC_VALUE => MAGIC_VALUE_RESET as u32,
            VERSION => 2 - u32::from(self.core.common.legacy),
            DEVICE_ID => D::TYPE.into(),
            VENDOR_ID => VENDOR,
            DEVICE_FEATURES => match self.device_features_sel {
                0 => self.core.offered(cx, self.core.common.legacy) as u32,
                1 => (self.core.offered(cx, self.core.common.legacy) >> 32) as u32,
                _ => 0,
            },
            QUEUE_NUM_MAX => queue.map_or(0, |q| q.max.into()),
            QUEUE_PFN if self.core.common.legacy => {
                queue.filter(|q| q.ready).map_or(0, |q| q.desc.checked_div(self.guest_page_size.into()).unwrap_or(0) as u32)
            }
            QUEUE_READY if !self.core.common.legacy => queue.is_some_and(|q| q.ready).into(),
            INTERRUPT_STATUS => self.core.common.isr.into(),
            STATUS => self.core.common.status.into(),
            SHM_LEN_LOW..=SHM_BASE_HIGH if !self.core.common.legacy => u32::MAX,
            CONFIG_GENERATION if !self.core.common.legacy => self.core.common.generation,
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        }
    }

    fn write_register(&mut self, cx: &mut dyn Services, at: u64, value: u64) {
        let (legacy, word) = (self.core.common.legacy, value as u32);
        match at {
            QUEUE_NOTIFY => self.core.notify(cx, value as usize),
            INTERRUPT_ACK => self.core.common.isr &= !(value as u8),
            STATUS if value as u8 == 0 => self.reset_device(),
            STATUS => self.core.write_status(cx, value as u8),
            DEVICE_FEATURES_SEL => self.device_features_sel = word,
            DRIVER_FEATURES => self.core.accept_features(cx, self.driver_features_sel, word),
            DRIVER_FEATURES_SEL => self.driver_features_sel = word,
            QUEUE_SEL => self.queue_sel = word,
            QUEUE_NUM => self.set_up(cx, at, word),
            GUEST_PAGE_SIZE | QUEUE_ALIGN if legacy => {
                if !word.is_power_of_two() {
                    return cx.guest_error(format_args!("page size or alignment {word:#x} is no power of two"));
                }
                *(if at == GUEST_PAGE_SIZE { &mut self.guest_page_size } else { &mut self.queue_align }) = word;
            }
            // As QEMU has it: taking one queue down resets the device.
            QUEUE_PFN if legacy && value == 0 => self.reset_device(),
            QUEUE_PFN if legacy => self.set_up(cx, at, word),
            QUEUE_READY | QUEUE_DESC_LOW..=QUEUE_DEVICE_HIGH if !legacy => self.set_up(cx, at, word),
            SHM_SEL if !legacy => {}
            _ => check_register_write(cx, REGISTERS, at, value),
        }
    }
}

impl<D: VirtioDevice> Device for Mmio<D> {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        if at < CONFIG {
            if size != Width::B4 {
                cx.guest_error(format_args!("read of {} bytes at {at:#x}: registers have four", size.bytes()));
                return Ok(0);
            }
            return Ok(self.read_register(cx, at).into());
        }
        Ok(self.core.read_config(cx, self.core.common.order(), at - CONFIG, size))
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        if at >= CONFIG {
            self.core.write_config(cx, at - CONFIG, size, value);
        } else if size == Width::B4 {
            self.write_register(cx, at, value);
        } else {
            cx.guest_error(format_args!("write of {} bytes at {at:#x}: registers have four", size.bytes()));
        }
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
        // One pin for all: who it was does not matter.
        self.core.common.raised.clear();
        cx.set_pin(IRQ, self.core.common.isr != 0);
        self.core.device.settle(cx);
        let now = self.core.common.resume.then(|| cx.now());
        cx.alarm(RESUME_ALARM, now);
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }

    fn doorbells(&self) -> Vec<Doorbell> {
        let bell = |n| Doorbell { window: Window(0), at: QUEUE_NOTIFY, width: Width::B4, value: n as u64, exact: true };
        self.core.common.doorbells().map(bell).collect()
    }

    fn ready(&self, port: usize) -> usize {
        self.core.device.ready(&self.core.common, port)
    }
}

const WINDOWS: &[WindowDecl] = &[WindowDecl::mmio("mmio", WINDOW_LEN, AccessRule::new(Width::B1, Width::B4))];
const OUTPUTS: &[PinDecl] = &[PinDecl::one("irq")];

/// What all types of device in a slot have in common.
pub const fn device_type(name: &'static str, description: &'static str, new: fn(&Props) -> Result<Box<dyn Device>, PropError>) -> DeviceType {
    DeviceType {
        windows: WINDOWS,
        outputs: OUTPUTS,
        alarms: ALARMS,
        registers: &[REGISTERS],
        user_creatable: true,
        fdt: Some(FdtHook {
            node: "virtio_mmio",
            build: |placed, node| {
                node.prop_str("compatible", "virtio,mmio");
                placed.reg(node);
                placed.interrupts(node);
                node.prop_empty("dma-coherent");
            },
        }),
        ..DeviceType::new(name, description, new)
    }
}

/// An empty slot.
#[derive(Debug, Default, State)]
struct Empty {
    #[state(skip)]
    legacy: bool,
}

impl Device for Empty {
    fn read(&mut self, _: &mut dyn Services, _: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        let value = match at {
            _ if size != Width::B4 => 0,
            MAGIC_VALUE => MAGIC_VALUE_RESET,
            VERSION => 2 - u64::from(self.legacy),
            VENDOR_ID => VENDOR.into(),
            _ => 0,
        };
        Ok(value)
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        cx.guest_error(format_args!("write of {value:#x} at {at:#x} of an empty slot"));
        Ok(())
    }
}

/// An empty slot.
pub static VIRTIO_MMIO: DeviceType = DeviceType {
    properties: PROPERTIES,
    user_creatable: false,
    ..device_type("virtio-mmio", "Virtio-mmio slot without a device", |props| Ok(Box::new(Empty { legacy: props.bool("force-legacy") })))
};
