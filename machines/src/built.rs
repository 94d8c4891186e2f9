//! A machine that has been built: what runs it must know, and how its memory is filled.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use proteus_loader::fdt::{Chosen, FdtError, Tree};
use proteus_model::{DeviceId, HostEvent, HostEventKind, Machine, Mapping};

use crate::boot::Load;
use crate::config::{Interrupts, Seeds};
use crate::error::{BoardError, refuse};

/// Bytes behind the device tree that are counted as its own, so that firmware can edit it in place.
const TREE_ROOM: usize = 0x1_0000;

/// The instruction by which the operating system calls PSCI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduit {
    /// HVC.
    Hvc,
    /// SMC.
    Smc,
}

/// A port of a device that has a back end, which must be told where to post
/// ([`Machine::port`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name of the device on its board: "uart0", or the `id` of a plugged-in device.
    pub name: String,
    /// The device.
    pub device: DeviceId,
    /// Name of the port.
    pub port: String,
}

/// The cores of a machine, as far as the board decides what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cores {
    /// Arm cores.
    Arm(ArmCores),
    /// MIPS cores.
    Mips(MipsCores),
    /// x86 cores.
    X86(X86Cores),
}

/// x86 cores. The first starts at once; the others wait for a start-up interrupt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X86Cores {
    /// Identifier of each core's local APIC.
    pub apic_ids: Vec<u32>,
    /// Where the first core starts; `None`: at its reset vector.
    pub entry: Option<X86Entry>,
    /// The I/O port, out of software's reach, whose read acknowledges the interrupt at the first
    /// core's line IRQ and gives its vector.
    pub acknowledge_port: Option<u64>,
    /// The address of the EOI register of the I/O APIC, which takes the vector of a level-triggered
    /// interrupt that has ended.
    pub end_of_interrupt: Option<u64>,
    /// Whose the interrupt controllers beside the local APICs are, and the interval timer.
    pub interrupts: Interrupts,
}

/// The state in which a boot program would enter a kernel: flat segments, interrupts off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X86Entry {
    /// Address of the first instruction.
    pub pc: u64,
    /// General registers in the order in which instructions number them: RAX, RCX, RDX, RBX, RSP,
    /// RBP, RSI, RDI, R8 to R15.
    pub registers: [u64; 16],
    /// In 64-bit mode with these page tables (CR3); `None`: in 32-bit protected mode without
    /// paging.
    pub page_tables: Option<u64>,
    /// Selector in CS.
    pub code: u16,
    /// Selector in the other segment registers.
    pub data: u16,
    /// Address and limit of the descriptor table that has them, where there is one.
    pub gdt: Option<(u64, u16)>,
}

impl X86Entry {
    /// 32-bit protected mode at `pc`, with the selectors of the Linux boot protocol and all other
    /// registers zero.
    pub fn protected(pc: u64) -> X86Entry {
        X86Entry { pc, registers: [0; 16], page_tables: None, code: 0x10, data: 0x18, gdt: None }
    }
}

/// Arm cores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmCores {
    /// Affinity fields of each core's MPIDR_EL1.
    pub affinities: Vec<u64>,
    /// How each core starts.
    pub start: Vec<ArmStart>,
    /// PSCI, where the machine answers it.
    pub psci: Option<Conduit>,
    /// Version of the interrupt controller, 2 or 3.
    pub gic_version: u8,
    /// Have the cores EL2?
    pub has_el2: bool,
    /// Have the cores EL3?
    pub has_el3: bool,
    /// Frequency of the generic timer in Hz.
    pub timer_frequency: u64,
}

/// MIPS cores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MipsCores {
    /// Byte order.
    pub big_endian: bool,
    /// Frequency of CP0 Count in Hz.
    pub count_frequency: u64,
    /// How each core starts.
    pub start: Vec<MipsStart>,
}

/// How a MIPS core starts after a reset, in the state after a reset. A kernel finds its arguments
/// in registers, as the board's boot program puts them there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MipsStart {
    /// Virtual address of the first instruction, sign-extended from 32 bits if it is one of those.
    pub pc: u64,
}

/// How an Arm core starts after a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArmStart {
    /// Does it run at once? The others wait for PSCI CPU_ON.
    pub on: bool,
    /// Exception level. Below EL3 the state is Non-secure, if there are two.
    pub el: u8,
    /// Address of the first instruction.
    pub pc: u64,
    /// X0: address of the device tree, or 0. X1 to X3 are 0.
    pub x0: u64,
}

/// A machine built of a board.
pub struct BuiltBoard {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Ports with back ends.
    pub ports: Vec<HostPort>,
    /// The cores.
    pub cores: Cores,
    /// The device tree, where the board gives one to the guest.
    pub dtb: Option<Dtb>,
    pub(crate) loads: Vec<Load>,
    pub(crate) mirrors: Vec<Mirror>,
    /// Which of the loads is a random seed, in hexadecimal digits.
    pub(crate) seed_digits: Option<usize>,
    pub(crate) power_key: Option<(DeviceId, usize)>,
}

/// A device tree in the guest's memory.
pub struct Dtb {
    /// Its guest address.
    pub address: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    pub(crate) tree: Tree,
    /// There are seeds in it, which are drawn anew for each start.
    pub(crate) seeded: bool,
}

impl Dtb {
    /// The guest addresses that it occupies.
    pub fn range(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.bytes.len() as u64)
    }
}

/// Memory that shows what other memory holds when the machine starts, except for a few bytes.
pub(crate) struct Mirror {
    pub of: u64,
    pub at: u64,
    pub len: usize,
    /// Offset and contents of what differs.
    pub patch: (usize, [u8; 4]),
}

impl fmt::Debug for BuiltBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltBoard").field("machine", &self.machine.name()).field("ports", &self.ports).field("cores", &self.cores).finish_non_exhaustive()
    }
}

impl BuiltBoard {
    /// Puts kernel, initial RAM disk, device tree and firmware into the machine's memory: at the
    /// start, and after each reset of the system. Other memory stays as it is.
    pub fn load(&self) -> Result<(), BoardError> {
        for load in &self.loads {
            write(&self.machine, &load.name, load.address, load.data(), load.zero)?;
        }
        for mirror in &self.mirrors {
            let mut bytes = vec![0; mirror.len];
            self.machine.peek(mirror.of, &mut bytes).map_err(|e| refuse(format!("memory at {:#x}: {e}", mirror.of)))?;
            if let Some(place) = bytes.get_mut(mirror.patch.0..mirror.patch.0 + 4) {
                place.copy_from_slice(&mirror.patch.1);
            }
            write(&self.machine, "boot page", mirror.at, &bytes, 0)?;
        }
        match &self.dtb {
            Some(dtb) => write(&self.machine, "device tree", dtb.address, &dtb.bytes, 0),
            None => Ok(()),
        }
    }

    /// What [`BuiltBoard::load`] writes: name, guest physical address and bytes.
    pub fn loaded(&self) -> Vec<(String, u64, u64)> {
        let loads = self.loads.iter().map(|l| (l.name.clone(), l.address, l.data().len() as u64 + l.zero));
        let mirrors = self.mirrors.iter().map(|m| ("boot page".to_string(), m.at, m.len as u64));
        let tree = self.dtb.iter().map(|d| ("device tree".to_string(), d.address, d.bytes.len() as u64));
        loads.chain(mirrors).chain(tree).collect()
    }

    /// Whether [`BuiltBoard::system_powerdown`] does anything.
    pub fn has_power_button(&self) -> bool {
        self.power_key.is_some()
    }

    /// Draws the seeds that the guest is given anew for the next [`BuiltBoard::load`].
    pub fn reseed(&mut self, seeds: Seeds) -> Result<(), BoardError> {
        if let Some(dtb) = self.dtb.as_mut().filter(|d| d.seeded) {
            seed(&mut dtb.tree, seeds)?;
            dtb.bytes = flatten(&dtb.tree)?;
        }
        if let Some(load) = self.seed_digits.and_then(|n| self.loads.get_mut(n)) {
            *load = Load::whole(load.name.clone(), load.address, digits(seeds));
        }
        Ok(())
    }

    /// Presses the power button: the operating system is asked to shut down. False if the board
    /// has none.
    pub fn system_powerdown(&self) -> bool {
        let Some((device, pin)) = self.power_key else { return false };
        // The key lets go by itself; the second edge readies it for the next press.
        for level in [true, false] {
            self.machine.post(HostEvent { device, kind: HostEventKind::Pin { pin, level } });
        }
        true
    }
}

/// Puts the seeds into `/chosen`, and into the secure world's if there is one.
pub(crate) fn seed(tree: &mut Tree, seeds: Seeds) -> Result<(), FdtError> {
    if let Some(node) = tree.node_mut("/secure-chosen") {
        node.set_u64("kaslr-seed", seeds.kaslr).set("rng-seed", seeds.rng.as_slice());
    }
    tree.set_chosen(&Chosen { kaslr_seed: Some(seeds.kaslr), rng_seed: Some(seeds.rng.to_vec()), ..Chosen::default() })
}

/// A seed in hexadecimal digits, with a NUL.
pub(crate) fn digits(seeds: Seeds) -> Vec<u8> {
    let text: String = seeds.rng.iter().map(|b| format!("{b:02x}")).collect();
    [text.as_bytes(), &[0]].concat()
}

/// The bytes of a tree, with room to grow.
pub(crate) fn flatten(tree: &Tree) -> Result<Vec<u8>, FdtError> {
    let mut bytes = tree.to_bytes()?;
    let total = (bytes.len() + TREE_ROOM).next_multiple_of(0x1000);
    bytes.resize(total, 0);
    bytes[4..8].copy_from_slice(&u32::try_from(total).map_err(|_| FdtError::TooLarge)?.to_be_bytes());
    Ok(bytes)
}

/// Writes memory as a programmer does: read-only memory too.
fn write(machine: &Machine, name: &str, address: u64, bytes: &[u8], zero: u64) -> Result<(), BoardError> {
    let space = machine.space();
    let outside = |at: u64| refuse(format!("{name}: there is no memory at {at:#x}"));
    let mut at = address;
    let mut left = bytes;
    let mut zero = zero;
    while !left.is_empty() || zero > 0 {
        let Some(Mapping::Ram { region, offset, len_left, .. }) = space.find(at) else { return Err(outside(at)) };
        let n;
        if left.is_empty() {
            n = zero.min(len_left);
            region.fill(offset, n, 0).map_err(|_| outside(at))?;
            zero -= n;
        } else {
            n = len_left.min(left.len() as u64);
            let (now, later) = left.split_at(n as usize);
            region.write(offset, now).map_err(|_| outside(at))?;
            left = later;
        }
        at = at.wrapping_add(n);
    }
    Ok(())
}
