//! How a kernel is started on the Malta board: what is in memory, and what the boot program
//! (`firmware/malta-boot`) leaves in registers when it enters it.
//!
//! The protocol is that of YAMON, the board's monitor ("YAMON Reference Manual", MD00009): `$4` and
//! `$5` are argc and argv, `$6` points to names and values of the environment, `$7` is the size of
//! memory. All tables have pointers of 32 bits, for 64-bit kernels too. Where the protocol leaves a
//! choice the addresses are those that QEMU's board of this name uses.

use std::ops::Range;

use proteus_loader::{Architecture, Kernel, Placement};

use crate::boot::{self, Load, Memory};
use crate::built;
use crate::config::{Firmware, Seeds};
use crate::error::{BoardError, refuse};

/// The boot program, for each byte order.
const BIG: &[u8] = include_bytes!("../../firmware/malta-boot/malta-boot-be.bin");
const LITTLE: &[u8] = include_bytes!("../../firmware/malta-boot/malta-boot-le.bin");

/// The firmware that runs when the user gives nothing to start, as it is in a file for `-bios`.
const FIRMWARE_BIG: &[u8] = include_bytes!("../../firmware/mips/proteus-mips-be.bin");
const FIRMWARE_LITTLE: &[u8] = include_bytes!("../../firmware/mips/proteus-mips-le.bin");
/// Where in the boot program the board's revision is, and the words that it puts into registers.
pub(crate) const REVISION_AT: usize = 0x10;
const PARAMETERS_AT: usize = 0xf00;

/// Core board "CoreLV" and base board, revision 2 (MD00048, chapter 7: register REVISION).
pub(crate) const REVISION: u32 = 0x420;

/// First address of the segment that is not mapped and is cached.
const KSEG0: u64 = 0xffff_ffff_8000_0000;
/// Where the processor starts: the boot page, not cached.
pub(crate) const RESET_VECTOR: u64 = 0xffff_ffff_bfc0_0000;

/// Where the tables of arguments and environment are.
const ENVIRONMENT: u64 = 0x2000;
/// The stack grows down from a little below them.
const STACK: u64 = ENVIRONMENT - 64;
/// Pointers in the table, of 4 bytes each, and room that each string has at least.
const POINTERS: usize = 16;
const ENTRY: usize = 0x100;
/// The initial RAM disk ends at least so far below the end of memory, and begins at a multiple.
const INITRD_STEP: u64 = 0x1_0000;

/// Bytes of a flash image that are swapped in words on a little-endian board: its last two blocks
/// have the monitor's environment, which is bytes.
pub(crate) const SWAPPED: u64 = 0x3e_0000;

/// The word in the board's byte order.
pub(crate) fn word(value: u32, big_endian: bool) -> [u8; 4] {
    if big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
}

/// From an address of a kernel's segments to a physical one: KSEG0, KSEG1 (of 32 bits, extended
/// or not) and XKPHYS.
pub(crate) fn physical(address: u64) -> u64 {
    match (address >> 32, address >> 62) {
        (0 | 0xffff_ffff, _) if (0x8000_0000..0xc000_0000).contains(&(address as u32)) => address & 0x1fff_ffff,
        (0xffff_ffff, _) => address & 0xffff_ffff,
        (_, 0b10) => address & ((1 << 59) - 1),
        _ => address,
    }
}

/// The address as a register of 64 bits has it: those of 32 bits are sign-extended.
pub(crate) fn extended(address: u64) -> u64 {
    if address >> 32 == 0 { i64::from(address as u32 as i32) as u64 } else { address }
}

/// What the user gave to be started.
pub(crate) struct Given {
    pub kernel: Kernel,
    pub initrd: Option<Vec<u8>>,
    pub command_line: Option<String>,
    pub seeds: Seeds,
}

/// What is in memory.
pub(crate) struct Planned {
    pub loads: Vec<Load>,
    /// Which of them is the seed.
    pub seed: usize,
}

/// Places kernel, RAM disk, environment and boot program. `size` is all of the machine's memory,
/// of which `memory.ram` is what kernels find at 0.
pub(crate) fn plan(given: Given, architecture: Architecture, memory: &Memory, size: u64, boot_page: u64) -> Result<Planned, BoardError> {
    let Given { kernel, initrd, command_line, seeds } = given;
    let file = kernel.file.display().to_string();
    let big_endian = check_kernel(&kernel, architecture)?;
    let placement = Placement { ram: memory.ram.clone(), raw_offset: 0, translate: Some(physical) };
    let plan = kernel.plan(&placement)?;
    boot::check(&plan, &kernel.file, memory)?;
    let entry = extended(plan.entry);
    let Ok(entry) = i32::try_from(entry as i64) else {
        return Err(refuse(format!("{file}: its entry {entry:#x} is no address of 32 bits, which the boot protocol has; link it to KSEG0")));
    };
    let mut loads = Load::pieces("kernel", kernel.bytes, &plan);
    let mut arguments = String::new();
    if let Some(initrd) = initrd {
        let place = initrd_place(initrd.len() as u64, plan.occupied.end, &memory.ram)?;
        arguments = format!("rd_start={:#018x} rd_size={} ", KSEG0 + place.start, initrd.len());
        loads.push(Load::whole("initial RAM disk", place.start, initrd));
    }
    arguments += command_line.as_deref().unwrap_or_default();

    let low = memory.ram.end;
    let (environment, seed_at) =
        environment(&[&file, &arguments], &[("memsize", &low.to_string()), ("ememsize", &size.to_string()), ("modetty0", "38400n8r")], big_endian);
    loads.push(Load::whole("environment", ENVIRONMENT, environment));
    let seed = loads.len();
    loads.push(Load::whole("random seed", ENVIRONMENT + seed_at, built::digits(seeds)));

    let mut program = if big_endian { BIG } else { LITTLE }.to_vec();
    let table = (KSEG0 + ENVIRONMENT) as u32;
    // argv[0] and argv[1], then the environment.
    let parameters = [entry as u32, 2, table, table + 2 * 4, low as u32, (KSEG0 + STACK) as u32];
    let words = parameters.iter().enumerate().map(|(n, value)| (PARAMETERS_AT + 4 * n, *value)).chain([(REVISION_AT, REVISION)]);
    for (at, value) in words {
        program[at..at + 4].copy_from_slice(&word(value, big_endian));
    }
    loads.push(Load::whole("boot program", boot_page, program));
    Ok(Planned { loads, seed })
}

/// Can the processor run it? Gives the byte order.
fn check_kernel(kernel: &Kernel, architecture: Architecture) -> Result<bool, BoardError> {
    let file = kernel.file.display();
    let Architecture::Mips { is_64, big_endian } = architecture else {
        return Err(refuse("the malta board has a MIPS processor"));
    };
    let order = |big: bool| if big { "big-endian" } else { "little-endian" };
    match kernel.image.architecture() {
        Some(Architecture::Mips { big_endian: other, .. }) if other != big_endian => {
            let (is, not) = (order(big_endian), order(other));
            Err(refuse(format!("{file}: it is {not}, and this machine is {is}; start it with the program of its byte order")))
        }
        Some(Architecture::Mips { is_64: true, .. }) if !is_64 => {
            Err(refuse(format!("{file}: it is for a processor of 64 bits; give one with -cpu, or use the program for mips64")))
        }
        Some(Architecture::Mips { .. }) => Ok(big_endian),
        Some(other) => Err(refuse(format!("{file}: it is for {other:?}; this machine's processor runs MIPS code"))),
        None => Err(refuse(format!("{file}: it is no ELF file, which the malta board's kernels are"))),
    }
}

/// As high in memory as it can be, behind the kernel.
fn initrd_place(len: u64, kernel_end: u64, ram: &Range<u64>) -> Result<Range<u64>, BoardError> {
    let top = ram.end.saturating_sub(len.saturating_add(INITRD_STEP)) / INITRD_STEP * INITRD_STEP;
    let behind = if kernel_end <= ram.end { kernel_end.next_multiple_of(INITRD_STEP) } else { 0 };
    let start = top.max(behind);
    match start.checked_add(len) {
        Some(end) if end <= ram.end => Ok(start..end),
        _ => Err(refuse(format!("-initrd: {len} bytes at {start:#x} do not fit in memory, which ends at {:#x}; give the guest more with -m", ram.end))),
    }
}

/// The table of pointers with its strings, and where in it the value of the seed goes, which is
/// not there yet: it is the last.
fn environment(arguments: &[&str], variables: &[(&str, &str)], big_endian: bool) -> (Vec<u8>, u64) {
    let (mut table, mut strings) = (vec![], vec![0; POINTERS * 4]);
    let mut add = |text: &str| {
        table.extend(word((KSEG0 + ENVIRONMENT) as u32 + strings.len() as u32, big_endian));
        strings.extend(text.as_bytes());
        let len = (text.len() + 1).next_multiple_of(ENTRY) - text.len();
        strings.resize(strings.len() + len, 0);
    };
    arguments.iter().for_each(|a| add(a));
    variables.iter().for_each(|(name, value)| [name, value].into_iter().for_each(|text| add(text)));
    add("rngseed");
    let seed_at = strings.len() as u64;
    table.extend(word((KSEG0 + ENVIRONMENT + seed_at) as u32, big_endian));
    // A zero ends it, for there is room for more.
    strings[..table.len()].copy_from_slice(&table);
    (strings, seed_at)
}

/// The firmware for when the user gives nothing.
pub(crate) fn built_in(big_endian: bool) -> Firmware {
    Firmware { name: "built-in firmware".into(), bytes: if big_endian { FIRMWARE_BIG } else { FIRMWARE_LITTLE }.to_vec() }
}

/// What `-bios` gives, as it is in the flash memory.
pub(crate) fn firmware(firmware: Firmware, base: u64, len: u64, big_endian: bool) -> Result<Load, BoardError> {
    let Firmware { name, mut bytes } = firmware;
    if bytes.len() as u64 > len {
        return Err(refuse(format!("{name}: {} bytes of firmware are more than the flash holds ({len})", bytes.len())));
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    if !big_endian {
        bytes.chunks_exact_mut(4).take((SWAPPED / 4) as usize).for_each(<[u8]>::reverse);
    }
    Ok(Load::whole(name, base, bytes))
}
