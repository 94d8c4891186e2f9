//! What firmware of a personal computer is told: in the clock's memory, as SeaBIOS reads it there and
//! QEMU's board has it, and in the firmware configuration device.

use std::collections::BTreeMap;

use proteus_devices::fw_cfg::{Items, key};
use proteus_devices::virtio::blk::BOOT_INDEX;
use proteus_loader::{acpi, x86 as linux_x86};

use crate::config::{BoardConfig, PlugIn};
use crate::error::{BoardError, refuse};
use crate::pc::memory_map;
use crate::x86;

/// Port of the device that takes crashes.
pub(crate) const PVPANIC: u64 = 0x505;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Units of memory sizes in the clock's memory above 16 MiB.
const UNIT: u64 = 64 * KIB;
/// Disks that are larger need to be translated by logical blocks: 1024 cylinders, 16 heads.
const NO_TRANSLATION: u64 = 1024 * 16 * 63 * 512;
/// Largest number of boot devices that the clock's memory has room for.
const BOOT_DEVICES: usize = 3;
/// Memory that firmware may keep for itself at the end of what is below 4 GiB.
const FIRMWARES_OWN: u64 = 256 * KIB;
/// Without `-boot`: disk, floppy drive, CD drive.
const DEFAULT_ORDER: &str = "cad";

/// The number of a boot device: floppy drive, disk, CD drive, network.
fn boot_device(letter: char) -> Option<u8> {
    Some(match letter {
        'a' | 'b' => 1,
        'c' => 2,
        'd' => 3,
        'n' | 'o' | 'p' => 4,
        _ => return None,
    })
}

/// Checks `-boot order=` and `once=`.
fn check_order(name: &str, order: &str) -> Result<(), BoardError> {
    if let Some(letter) = order.chars().find(|c| boot_device(*c).is_none()) {
        return Err(refuse(format!("-boot {name}={order}: '{letter}' is no boot device; give letters of a, c, d and n")));
    }
    if order.len() > BOOT_DEVICES {
        return Err(refuse(format!("-boot {name}={order}: at most {BOOT_DEVICES} devices")));
    }
    Ok(())
}

/// The bytes of the clock's memory that say what to boot from. The signature of floppy disks is not
/// looked at.
fn boot_bytes(order: Option<&str>) -> [(usize, u8); 2] {
    let order: Vec<u8> = order.unwrap_or(DEFAULT_ORDER).chars().filter_map(boot_device).collect();
    let device = |n: usize| order.get(n).copied().unwrap_or(0);
    [(0x38, device(2) << 4 | 1), (0x3d, device(1) << 4 | device(0))]
}

/// Bytes of the clock's memory, as its properties have them.
fn contents(bytes: impl IntoIterator<Item = (usize, u8)>) -> String {
    bytes.into_iter().map(|(at, value)| format!("{at:x}={value:x}")).collect::<Vec<_>>().join(":")
}

/// What a reset of the machine puts into the clock's memory: the order after `-boot once=`.
pub(crate) fn cmos_after_reset(config: &BoardConfig) -> Option<String> {
    config.boot.once.is_some().then(|| contents(boot_bytes(config.boot.order.as_deref())))
}

/// The clock's memory, as property `contents` has it. `low` is how much memory is below 4 GiB.
pub(crate) fn cmos(config: &BoardConfig, low: u64) -> String {
    let extended = (low.saturating_sub(MIB) / KIB).min(0xffff) as u16;
    let above_16m = (low.saturating_sub(16 * MIB) / UNIT).min(0xffff) as u16;
    let high = (config.memory - low) / UNIT;
    let mut translation = 0u8;
    for (n, drive) in config.ide.iter().enumerate().take(4) {
        let large = drive.as_ref().and_then(|d| d.image.as_ref()).is_some_and(|image| image.len() > NO_TRANSLATION);
        translation |= u8::from(large) << (2 * n);
    }
    let [e0, e1] = extended.to_le_bytes();
    let [a0, a1] = above_16m.to_le_bytes();
    let [h0, h1, h2, ..] = high.to_le_bytes();
    let bytes = [
        // No floppy drives; a coprocessor and a mouse.
        (0x10, 0),
        (0x14, 0x06),
        (0x15, 0x80),
        (0x16, 0x02),
        (0x17, e0),
        (0x18, e1),
        (0x30, e0),
        (0x31, e1),
        (0x34, a0),
        (0x35, a1),
        (0x39, translation),
        (0x5b, h0),
        (0x5c, h1),
        (0x5d, h2),
        (0x5f, (config.cores - 1) as u8),
    ];
    let order = config.boot.once.as_ref().or(config.boot.order.as_ref());
    contents(bytes.into_iter().chain(boot_bytes(order.map(String::as_str))))
}

/// The option ROM that starts `-kernel`, in a file where SeaBIOS runs it, and its place in the order
/// of boot devices. The last byte of the ROM makes the sum of all 0.
const LINUX_ROM: &[u8] = include_bytes!("../../firmware/x86-boot/linuxboot.bin");
const LINUX_ROM_FILE: &str = "genroms/linuxboot.bin";
const LINUX_ROM_PATH: &str = "/rom@genroms/linuxboot.bin";
/// In the order of boot devices: nothing else is to be tried.
const HALT: &str = "HALT";

/// The order of boot devices in a file: paths as Open Firmware has them, of an option ROM for
/// `-kernel` and of the devices with `bootindex=` in their slots of the PCI bus.
fn boot_order(kernel: bool, strict: bool, devices: &[(usize, PlugIn)]) -> Result<Option<Vec<u8>>, BoardError> {
    let mut by_index = BTreeMap::new();
    for (slot, device) in devices {
        let Some(index) = device.props.get(BOOT_INDEX.name).is_some().then(|| device.props.u64(BOOT_INDEX.name)) else { continue };
        if by_index.insert(index, format!("/pci@i0cf8/scsi@{slot:x}/disk@0,0")).is_some() {
            return Err(refuse(format!("-device {}: another device has bootindex={index} already", device.ty.name)));
        }
    }
    let rom = kernel.then(|| LINUX_ROM_PATH.to_owned());
    let mut paths: Vec<String> = rom.into_iter().chain(by_index.into_values()).collect();
    if paths.is_empty() {
        return Ok(None);
    }
    paths.extend(strict.then(|| HALT.to_owned()));
    Ok(Some((paths.join("\n") + "\0").into_bytes()))
}

fn linux(items: &mut Items, config: &mut BoardConfig, low: u64) -> Result<(), BoardError> {
    let Some(kernel) = config.kernel.take() else { return Ok(()) };
    let initrd = config.initrd.take().unwrap_or_default();
    // Firmware keeps tables at the end of memory.
    let end = low.saturating_sub(FIRMWARES_OWN);
    let plan = linux_x86::real_mode(&kernel, config.command_line.as_deref().unwrap_or_default(), initrd.len() as u64, end)?;
    let image = kernel.bytes.get(plan.kernel).unwrap_or_default().to_vec();
    let parts = [
        (key::SETUP_ADDR, key::SETUP_SIZE, key::SETUP_DATA, linux_x86::SETUP_ADDRESS, plan.setup),
        (key::CMDLINE_ADDR, key::CMDLINE_SIZE, key::CMDLINE_DATA, linux_x86::CMDLINE_ADDRESS, plan.cmdline),
        (key::KERNEL_ADDR, key::KERNEL_SIZE, key::KERNEL_DATA, linux_x86::KERNEL_ADDRESS, image),
        (key::INITRD_ADDR, key::INITRD_SIZE, key::INITRD_DATA, plan.initrd_address, initrd),
    ];
    for (address, size, data, at, bytes) in parts {
        items.item(address, at.to_le_bytes()).item(size, (bytes.len() as u32).to_le_bytes()).item(data, bytes);
    }
    let mut rom = LINUX_ROM.to_vec();
    let sum = rom.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if let Some(last) = rom.last_mut() {
        *last = last.wrapping_sub(sum);
    }
    items.file(LINUX_ROM_FILE, rom);
    Ok(())
}

/// What is in the firmware configuration device. `devices` are those on the PCI bus, by slot.
pub(crate) fn items(config: &mut BoardConfig, low: u64, describe: fn(&BoardConfig) -> acpi::Files, devices: &[(usize, PlugIn)]) -> Result<Items, BoardError> {
    for (name, order) in [("order", &config.boot.order), ("once", &config.boot.once)] {
        order.as_deref().map_or(Ok(()), |order| check_order(name, order))?;
    }
    let order = boot_order(config.kernel.is_some(), config.boot.strict, devices)?;
    let mut items = x86::items(config, &memory_map(config.memory), Some(describe(config)));
    items.item(key::BOOT_MENU, u16::from(config.boot.menu).to_le_bytes());
    items.file("etc/pvpanic-port", (PVPANIC as u16).to_le_bytes());
    linux(&mut items, config, low)?;
    if let Some(order) = order {
        items.file("bootorder", order);
    }
    for (name, contents) in std::mem::take(&mut config.fw_cfg) {
        items.file(&name, contents);
    }
    Ok(items)
}
