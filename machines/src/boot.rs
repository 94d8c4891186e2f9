//! What is in memory when the machine starts, and where the cores begin: the arm64 boot protocol
//! (Documentation/arch/arm64/booting.rst), a firmware image, or programs that bring their own
//! addresses. Where the protocol leaves a choice the addresses are those of QEMU's boards.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use proteus_devices::fw_cfg::{Items, key};
use proteus_loader::{Kernel, LoadPlan, Placement, Protocol};

use crate::config::{Firmware, LoaderContents, LoaderItem, PlugIn};
use crate::error::{BoardError, refuse};

/// Where an image without header goes, from the start of memory: the text offset of old kernels.
const RAW_OFFSET: u64 = 0x8_0000;
/// The initial RAM disk begins at most so far into memory, and not before the middle.
const INITRD_OFFSET: u64 = 128 << 20;
/// The kernel maps the device tree by a block of this size.
const BLOCK: u64 = 2 << 20;
const PAGE: u64 = 0x1000;

/// Bytes that are in memory when the machine starts.
pub(crate) struct Load {
    pub name: String,
    pub address: u64,
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
    /// Zeros behind them.
    pub zero: u64,
}

impl Load {
    pub fn whole(name: impl Into<String>, address: u64, bytes: Vec<u8>) -> Load {
        let range = 0..bytes.len();
        Load { name: name.into(), address, bytes: Arc::new(bytes), range, zero: 0 }
    }

    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }

    fn addresses(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.range.len() as u64).saturating_add(self.zero)
    }

    /// The pieces of a planned image.
    pub fn pieces(name: &str, bytes: Vec<u8>, plan: &LoadPlan) -> Vec<Load> {
        let bytes = Arc::new(bytes);
        let load = |s: &proteus_loader::Segment| Load { name: name.into(), address: s.address, bytes: bytes.clone(), range: s.data.clone(), zero: s.zero };
        plan.segments.iter().map(load).collect()
    }
}

/// What the user gave to be started.
pub(crate) struct Given {
    pub kernel: Option<Kernel>,
    pub initrd: Option<Vec<u8>>,
    pub command_line: Option<String>,
    pub firmware: Option<Firmware>,
    pub loader: Vec<LoaderItem>,
    /// Of the configuration device.
    pub items: Items,
    /// Firmware in a flash image: nothing needs to be loaded.
    pub flash: bool,
}

/// The board's memory.
pub(crate) struct Memory {
    pub ram: Range<u64>,
    /// Where firmware is, and where the cores start.
    pub rom: Range<u64>,
    /// Other places that programs may be loaded to.
    pub others: Vec<Range<u64>>,
}

/// What goes where.
pub(crate) struct Boot {
    pub loads: Vec<Load>,
    pub entry: u64,
    /// Entered by the Linux boot protocol.
    pub linux: bool,
    /// The kernel is entered at once, so that X0 tells where the device tree is.
    pub kernel: bool,
    /// The kernel's command line.
    pub bootargs: Option<String>,
    /// What firmware finds in the configuration device.
    pub items: Items,
    pub initrd: Option<Range<u64>>,
    /// First instruction of single cores, by `-device loader`.
    pub entries: Vec<(usize, u64)>,
    ram: Range<u64>,
    /// Where the device tree may go: from, and up to where.
    tree: Range<u64>,
}

impl Boot {
    pub fn plan(given: Given, memory: &Memory, built_in: &'static [u8]) -> Result<Boot, BoardError> {
        let ram = memory.ram.clone();
        let mut boot = Boot {
            loads: vec![],
            entry: memory.rom.start,
            linux: false,
            kernel: false,
            bootargs: None,
            items: given.items,
            initrd: None,
            entries: vec![],
            tree: ram.clone(),
            ram,
        };
        (boot.loads, boot.entries) = loader_items(given.loader, memory, None)?;
        let has_firmware = given.flash || given.firmware.is_some();
        if given.flash && given.firmware.is_some() {
            return Err(refuse("-bios and a pflash image in unit 0 are both firmware; give one of them"));
        }
        match given.kernel {
            Some(kernel) if has_firmware => boot.kernel_for_firmware(kernel, given.initrd, given.command_line.as_deref()),
            Some(kernel) => boot.kernel(kernel, given.initrd, memory)?,
            None if given.initrd.is_some() => return Err(refuse("-initrd only makes sense with -kernel")),
            None if given.command_line.as_ref().is_some_and(|c| !c.is_empty()) => return Err(refuse("-append only makes sense with -kernel")),
            None => {}
        }
        if let Some(firmware) = given.firmware {
            boot.firmware(firmware.name, firmware.bytes, memory)?;
        } else if !has_firmware && !boot.kernel && !boot.entries.iter().any(|e| e.0 == 0) {
            // Where a program given by -device loader starts core 0 firmware has nothing to do.
            boot.firmware("built-in firmware".into(), built_in.to_vec(), memory)?;
        }
        boot.bootargs = given.command_line;
        check_overlap(&boot.loads)?;
        Ok(boot)
    }

    fn kernel(&mut self, kernel: Kernel, initrd: Option<Vec<u8>>, memory: &Memory) -> Result<(), BoardError> {
        use proteus_loader::Architecture::Aarch64;
        match kernel.image.architecture() {
            None | Some(Aarch64) => {}
            Some(other) => {
                return Err(refuse(format!("{}: it is for {other:?}; this machine's processor runs AArch64 code", kernel.file.display())));
            }
        }
        let ram = self.ram.clone();
        let plan = kernel.plan(&Placement { ram: ram.clone(), raw_offset: RAW_OFFSET, translate: None })?;
        check(&plan, &kernel.file, memory)?;
        self.linux = plan.protocol == Protocol::Linux;
        self.kernel = true;
        self.entry = plan.entry;
        // An ELF file may lie elsewhere than in RAM, or around its start.
        let kernel_end = if plan.occupied.end > ram.start && plan.occupied.end <= ram.end { plan.occupied.end } else { ram.start };
        let middle = ram.start + ((ram.end - ram.start) / 2).min(INITRD_OFFSET);
        let from = middle.max(kernel_end).next_multiple_of(PAGE);
        self.loads.extend(Load::pieces("kernel", kernel.bytes, &plan));
        let mut end = from;
        if let Some(initrd) = initrd {
            end = from.saturating_add(initrd.len() as u64);
            if end > ram.end {
                return Err(refuse(format!(
                    "-initrd: {} bytes at {from:#x} do not fit in memory, which ends at {:#x}; give the guest more with -m",
                    initrd.len(),
                    ram.end
                )));
            }
            self.initrd = Some(from..end);
            self.loads.push(Load::whole("initial RAM disk", from, initrd));
        }
        // Some kernels overwrite the rest of the page in which the RAM disk ends.
        self.tree = end.next_multiple_of(BLOCK)..ram.end;
        if !self.linux {
            let start = if plan.occupied.start >= ram.start && plan.occupied.start < ram.end { plan.occupied.start } else { ram.end };
            if start > ram.start {
                // Most of these look for it there; room() moves it behind if it does not fit.
                self.tree = ram.start..start.min(self.initrd.as_ref().map_or(start, |i| i.start));
            }
        }
        Ok(())
    }

    /// Leaves the kernel to the firmware, which fetches it from the configuration device.
    fn kernel_for_firmware(&mut self, kernel: Kernel, initrd: Option<Vec<u8>>, command_line: Option<&str>) {
        let size = |bytes: &[u8]| (bytes.len() as u32).to_le_bytes();
        self.items.item(key::KERNEL_SIZE, size(&kernel.bytes)).item(key::KERNEL_DATA, kernel.bytes);
        if let Some(initrd) = initrd {
            self.items.item(key::INITRD_SIZE, size(&initrd)).item(key::INITRD_DATA, initrd);
        }
        if let Some(line) = command_line {
            let line = [line.as_bytes(), &[0]].concat();
            self.items.item(key::CMDLINE_SIZE, size(&line)).item(key::CMDLINE_DATA, line);
        }
    }

    /// Finds the device tree's place.
    pub fn place_tree(&self, size: u64) -> Result<u64, BoardError> {
        let fits = |from: u64, to: u64| from.checked_add(size).is_some_and(|end| end <= to);
        if fits(self.tree.start, self.tree.end) {
            return Ok(self.tree.start);
        }
        let used = self.loads.iter().map(|l| l.addresses().end).filter(|end| *end <= self.ram.end).max();
        let behind = used.unwrap_or(self.ram.start).max(self.ram.start).next_multiple_of(BLOCK);
        if self.kernel && fits(behind, self.ram.end) {
            return Ok(behind);
        }
        let (from, to) = (self.tree.start, self.ram.end);
        Err(refuse(format!("the device tree ({size:#x} bytes) does not fit in memory between {from:#x} and {to:#x}; give the guest more with -m")))
    }

    fn firmware(&mut self, name: String, bytes: Vec<u8>, memory: &Memory) -> Result<(), BoardError> {
        let room = memory.rom.end - memory.rom.start;
        if bytes.len() as u64 > room {
            return Err(refuse(format!("{name}: {} bytes of firmware are more than the flash holds ({room})", bytes.len())));
        }
        self.loads.push(Load::whole(name, memory.rom.start, bytes));
        Ok(())
    }

    /// Nor is the device tree.
    pub fn check_tree(&self, tree: Range<u64>) -> Result<(), BoardError> {
        match self.loads.iter().find(|l| l.addresses().start < tree.end && tree.start < l.addresses().end) {
            Some(load) => Err(overlap(load, "device tree", tree)),
            None => Ok(()),
        }
    }
}

/// What `-device loader`s load, and which cores they start where.
type Loaded = (Vec<Load>, Vec<(usize, u64)>);

/// What `-device loader`s put into memory, and which cores they start where. `translate` is as in
/// [`Placement`].
pub(crate) fn loader_items(items: Vec<LoaderItem>, memory: &Memory, translate: Option<fn(u64) -> u64>) -> Result<Loaded, BoardError> {
    use proteus_loader::Image;
    let (mut loads, mut entries) = (vec![], vec![]);
    for item in items {
        let name = format!("-device loader ({})", item.name);
        let start = match item.contents {
            LoaderContents::Nothing => item.address.ok_or_else(|| refuse(format!("{name}: without file= or data= it needs addr= and cpu-num=")))?,
            LoaderContents::Bytes(bytes) => {
                let address = item.address.ok_or_else(|| refuse(format!("{name}: addr= must be given")))?;
                loads.push(Load::whole(name, address, bytes));
                address
            }
            LoaderContents::Image(image) if matches!(image.image, Image::LinuxArm64(_) | Image::Raw | Image::DeviceTree) => {
                let address = item.address.unwrap_or(0);
                loads.push(Load::whole(name, address, image.bytes));
                address
            }
            LoaderContents::Image(image) => {
                let plan = image.plan(&Placement { ram: memory.ram.clone(), raw_offset: 0, translate })?;
                check(&plan, &image.file, memory)?;
                loads.extend(Load::pieces(&name, image.bytes, &plan));
                plan.entry
            }
        };
        entries.extend(item.core.map(|core| (core, start)));
    }
    for load in &loads {
        let at = load.addresses();
        if !memory.all().any(|m| m.start <= at.start && at.end <= m.end) {
            return Err(refuse(format!("{} at {:#x}..{:#x} is outside the machine's memory", load.name, at.start, at.end)));
        }
    }
    Ok((loads, entries))
}

/// Nothing is loaded over something else.
pub(crate) fn check_overlap(loads: &[Load]) -> Result<(), BoardError> {
    let mut sorted: Vec<&Load> = loads.iter().filter(|l| !l.addresses().is_empty()).collect();
    sorted.sort_by_key(|l| l.address);
    match sorted.windows(2).find(|p| p[0].addresses().end > p[1].address) {
        Some(p) => Err(overlap(p[0], &p[1].name, p[1].addresses())),
        None => Ok(()),
    }
}

impl Memory {
    fn all(&self) -> impl Iterator<Item = &Range<u64>> {
        [&self.ram, &self.rom].into_iter().chain(&self.others)
    }
}

/// Refuses a plan that leaves the board's memory.
pub(crate) fn check(plan: &LoadPlan, file: &Path, memory: &Memory) -> Result<(), BoardError> {
    let all: Vec<Range<u64>> = memory.all().cloned().collect();
    Ok(plan.check_within(&all).map_err(|d| d.in_file(file))?)
}

fn overlap(load: &Load, name: &str, other: Range<u64>) -> BoardError {
    let at = load.addresses();
    refuse(format!("{} at {:#x}..{:#x} and {name} at {:#x}..{:#x} would overwrite each other", load.name, at.start, at.end, other.start, other.end))
}

/// The slot for a device: that of the bus it names, or the last free one, so that the first on
/// the command line is in the last slot, as command lines made for QEMU expect.
pub(crate) fn choose_slot(taken: &[bool], device: &PlugIn, board: &str) -> Result<usize, BoardError> {
    let error = |what: String| refuse(format!("-device {}: {what}", device.ty.name));
    if let Some(kind) = device.ty.name.strip_suffix("-pci") {
        return Err(error(format!("the {board} board has no PCI bus yet; give -device {kind}-device")));
    }
    if !(device.ty.name.starts_with("virtio-") && device.ty.name.ends_with("-device")) {
        return Err(error(format!("the {board} board has no bus that it could be plugged into; those that fit are called virtio-...-device")));
    }
    let Some(bus) = &device.bus else {
        let last = taken.iter().rposition(|taken| !taken);
        return last.ok_or_else(|| error(format!("all {} virtio slots are in use", taken.len())));
    };
    let n = bus.strip_prefix("virtio-mmio-bus.").and_then(|n| n.parse::<usize>().ok());
    match n.and_then(|n| Some((n, *taken.get(n)?))) {
        Some((n, false)) => Ok(n),
        Some(_) => Err(error(format!("bus '{bus}' has a device already"))),
        None => Err(error(format!("the {board} board has no bus '{bus}'; it has virtio-mmio-bus.0 to .{}", taken.len().saturating_sub(1)))),
    }
}
