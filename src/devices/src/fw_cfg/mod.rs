//! QEMU's firmware configuration device, as its documentation (docs/specs/fw_cfg) describes it:
//! a store of items by number, and among them files by name. Transports: [`mmio`] and [`io`].
//!
//! Left out: items that the guest may write, and writes through the data register, which QEMU no
//! longer takes either.

pub mod io;
pub mod mmio;

use std::sync::Arc;

use proteus_model::{BusFault, PropError, Props, Services, State, Value, Width};

/// Item: "QEMU".
const SIGNATURE: u16 = 0x00;
/// Item: which interfaces there are.
const ID: u16 = 0x01;
/// Item: the directory of files.
const FILE_DIR: u16 = 0x19;
/// First item of a file; the directory says which file it is.
const FILE_FIRST: u16 = 0x20;
/// Most files.
const MAX_FILES: usize = 0x1000;
/// Longest name of a file, without its end.
const MAX_NAME: usize = 55;
/// Selector bit that once asked for writing.
const WRITE_CHANNEL: u16 = 0x4000;

/// What a read of the DMA address gives, first byte first.
const DMA_SIGNATURE: &[u8; 8] = b"QEMU CFG";
const DMA_ERROR: u32 = 1;
const DMA_READ: u32 = 2;
const DMA_SKIP: u32 = 4;
const DMA_SELECT: u32 = 8;
const DMA_WRITE: u32 = 16;

/// Well-known items besides files, for boards.
pub mod key {
    /// Bytes of memory, 8 bytes.
    pub const RAM_SIZE: u16 = 0x03;
    /// Number of cores, 2 bytes.
    pub const NB_CPUS: u16 = 0x05;
    /// The machine's UUID: 16 bytes, in the order of its text.
    pub const UUID: u16 = 0x02;
    /// Address of the kernel, 4 bytes.
    pub const KERNEL_ADDR: u16 = 0x07;
    /// Length of the kernel, 4 bytes.
    pub const KERNEL_SIZE: u16 = 0x08;
    /// Address of the initial RAM disk, 4 bytes.
    pub const INITRD_ADDR: u16 = 0x0a;
    /// Length of the initial RAM disk, 4 bytes.
    pub const INITRD_SIZE: u16 = 0x0b;
    /// Boot menu: 0 or 1, 2 bytes.
    pub const BOOT_MENU: u16 = 0x0e;
    /// Most cores that there may be, 2 bytes.
    pub const MAX_CPUS: u16 = 0x0f;
    /// Whether interrupt 0 is input 2 of the I/O APIC (x86), 4 bytes.
    pub const IRQ0_OVERRIDE: u16 = 0x8002;
    /// The kernel.
    pub const KERNEL_DATA: u16 = 0x11;
    /// The initial RAM disk.
    pub const INITRD_DATA: u16 = 0x12;
    /// Address of the command line, 4 bytes.
    pub const CMDLINE_ADDR: u16 = 0x13;
    /// Length of the command line with its end, 4 bytes.
    pub const CMDLINE_SIZE: u16 = 0x14;
    /// The command line and a zero.
    pub const CMDLINE_DATA: u16 = 0x15;
    /// Address of the kernel's set-up part (x86), 4 bytes.
    pub const SETUP_ADDR: u16 = 0x16;
    /// Length of the kernel's set-up part (x86), 4 bytes.
    pub const SETUP_SIZE: u16 = 0x17;
    /// The kernel's set-up part (x86).
    pub const SETUP_DATA: u16 = 0x18;
}

/// Items, for a board to fill and give as property `items`.
#[derive(Debug, Clone, Default)]
pub struct Items(Vec<(String, Vec<u8>)>);

impl Items {
    /// None.
    pub fn new() -> Items {
        Items::default()
    }

    /// Adds a file. A later one of the same name replaces it.
    pub fn file(&mut self, name: &str, contents: impl Into<Vec<u8>>) -> &mut Self {
        self.add(name.into(), contents.into())
    }

    /// Adds an item by number; numbers are little-endian inside.
    pub fn item(&mut self, key: u16, contents: impl Into<Vec<u8>>) -> &mut Self {
        self.add(format!("#{key:#x}"), contents.into())
    }

    fn add(&mut self, name: String, contents: Vec<u8>) -> &mut Self {
        self.0.retain(|(n, _)| *n != name);
        self.0.push((name, contents));
        self
    }

    /// The value of property `items`.
    pub fn value(self) -> Value {
        Value::Blobs(self.0.into())
    }
}

/// The store, and the guest's place in it.
#[derive(State)]
pub(crate) struct Store {
    selected: u16,
    offset: u32,
    dma_address: u64,
    /// By number, in order.
    #[state(skip)]
    items: Vec<(u16, Arc<[u8]>)>,
    #[state(skip)]
    dma: bool,
}

impl Store {
    /// The items of property `items`, and those that every store has.
    pub fn new(props: &Props) -> Result<Store, PropError> {
        let dma = props.bool("dma_enabled");
        let mut items: Vec<(u16, Arc<[u8]>)> = vec![(SIGNATURE, Arc::from(*b"QEMU")), (ID, (1 | u32::from(dma) << 1).to_le_bytes().into())];
        let mut files = vec![];
        for (name, contents) in props.blobs("items") {
            if u32::try_from(contents.len()).is_err() {
                return Err(props.refuse(format!("item '{name}' has {} bytes: less than 4 GiB can be given", contents.len())));
            }
            let Some(number) = name.strip_prefix('#') else {
                if name.is_empty() || name.len() > MAX_NAME {
                    return Err(props.refuse(format!("file name '{name}': give 1 to {MAX_NAME} bytes")));
                }
                files.push((name, contents));
                continue;
            };
            let key = number.strip_prefix("0x").and_then(|n| u16::from_str_radix(n, 16).ok());
            match key {
                Some(key) if !matches!(key, SIGNATURE | ID | FILE_DIR) && key & !WRITE_CHANNEL & 0x7fff < FILE_FIRST => {
                    items.push((key & !WRITE_CHANNEL, contents.as_slice().into()));
                }
                _ => return Err(props.refuse(format!("item '{name}' is none that a board may set"))),
            }
        }
        if files.len() > MAX_FILES {
            return Err(props.refuse(format!("{} files: at most {MAX_FILES} can be given", files.len())));
        }
        // Sorted, so that the numbers do not depend on who adds a file first.
        files.sort();
        let mut directory = (files.len() as u32).to_be_bytes().to_vec();
        for (key, (name, contents)) in (FILE_FIRST..).zip(files) {
            directory.extend((contents.len() as u32).to_be_bytes());
            directory.extend(key.to_be_bytes());
            directory.extend([0; 2]);
            let end = directory.len() + MAX_NAME + 1;
            directory.extend(name.as_bytes());
            directory.resize(end, 0);
            items.push((key, contents.as_slice().into()));
        }
        items.push((FILE_DIR, directory.into()));
        items.sort();
        Ok(Store { selected: 0, offset: 0, dma_address: 0, items, dma })
    }

    fn item(&self) -> Option<&Arc<[u8]>> {
        self.items.binary_search_by_key(&self.selected, |i| i.0).ok().map(|n| &self.items[n].1)
    }

    /// Selects an item, from its beginning.
    pub fn select(&mut self, key: u16) {
        (self.selected, self.offset) = (key & !WRITE_CHANNEL, 0);
    }

    /// The next bytes of the item, first byte lowest; zeros past its end.
    pub fn read(&mut self, size: Width) -> u64 {
        (0..size.bytes()).fold(0, |value, i| {
            let byte = self.item().and_then(|item| item.get(self.offset as usize)).copied();
            self.offset = self.offset.saturating_add(u32::from(byte.is_some()));
            value | u64::from(byte.unwrap_or(0)) << (8 * i)
        })
    }

    /// A read of the DMA address register.
    pub fn read_dma(&self, at: u64, size: Width) -> u64 {
        if !self.dma {
            return 0;
        }
        u64::from_le_bytes(*DMA_SIGNATURE) >> (8 * at) & size.mask()
    }

    /// A write to the DMA address register, which is big-endian; its lower half starts the
    /// transfer.
    pub fn write_dma(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        match (at, size) {
            _ if !self.dma => return cx.guest_error(format_args!("DMA, which is not offered")),
            (0, Width::B8) => self.dma_address = value.swap_bytes(),
            (0, Width::B4) => {
                self.dma_address = u64::from((value as u32).swap_bytes()) << 32;
                return;
            }
            (4, Width::B4) => self.dma_address |= u64::from((value as u32).swap_bytes()),
            _ => return cx.guest_error(format_args!("write of {} bytes at {at} of the DMA address", size.bytes())),
        }
        let address = std::mem::take(&mut self.dma_address);
        let mut access = [0; 16];
        if cx.dma_read(address, &mut access).is_err() {
            return cx.guest_error(format_args!("no DMA access structure can be read at {address:#x}"));
        }
        let [c0, c1, c2, c3, l0, l1, l2, l3, to @ ..] = access;
        let (control, len) = (u32::from_be_bytes([c0, c1, c2, c3]), u32::from_be_bytes([l0, l1, l2, l3]));
        let done = self.transfer(cx, control, len, u64::from_be_bytes(to));
        let result = if done.is_ok() { 0 } else { DMA_ERROR };
        // The guest polls this word: it must become visible after the data.
        let stored = cx.dma_store(address, Width::B4, u32::to_be(result).into()).or_else(|_| cx.dma_write(address, &result.to_be_bytes()));
        if done.is_err() || stored.is_err() {
            cx.guest_error(format_args!("DMA of {len} bytes, control {control:#x}, at {address:#x} failed"));
        }
    }

    fn transfer(&mut self, cx: &mut dyn Services, control: u32, len: u32, to: u64) -> Result<(), BusFault> {
        if control & DMA_SELECT != 0 {
            self.select((control >> 16) as u16);
        }
        let item = self.item().cloned().unwrap_or_default();
        let rest = item.get(self.offset as usize..).unwrap_or_default();
        let n = rest.len().min(len as usize);
        if control & DMA_READ != 0 {
            cx.dma_write(to, &rest[..n])?;
            // Past the end of an item are zeros.
            let zeros = [0; 4096];
            let mut done = n as u64;
            while done < len.into() {
                let piece = (u64::from(len) - done).min(zeros.len() as u64);
                cx.dma_write(to.wrapping_add(done), &zeros[..piece as usize])?;
                done += piece;
            }
        } else if control & DMA_WRITE != 0 {
            return Err(BusFault::ReadOnly);
        } else if control & DMA_SKIP == 0 {
            return Ok(());
        }
        self.offset = self.offset.saturating_add(n as u32);
        Ok(())
    }
}
