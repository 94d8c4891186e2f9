//! Debugger, logs and semihosting.

use std::ops::RangeInclusive;

use super::chardev::target;
use super::machine::file;
use super::{Draft, HelpRequest, Row, option, row};
use crate::config::*;
use crate::error::{Problem, shorten};
use crate::keyval::{KeyValues, identifier, number};

pub(super) const ROWS: &[Row] = &[
    row::<Gdb>(),
    row::<GdbDefault>(),
    row::<Pause>(),
    row::<LogItems>(),
    row::<LogFile>(),
    row::<LogRanges>(),
    row::<SemihostingOption>(),
    row::<SemihostingConfig>(),
];

option! {
    /// Wait for a debugger on a character device
    Gdb: "gdb" => "tcp::PORT|unix:PATH|stdio|chardev:ID|none", |draft, text| {
        let target = target(text, "gdb".into())?;
        draft.config.gdb = match target {
            CharTarget::None => None,
            CharTarget::Own { with_monitor: true, .. } => {
                return Err("'mon:' is for serial ports".into());
            }
            CharTarget::Own { mut chardev, with_monitor } => {
                // The debugger comes and goes, and the guest need not wait for it.
                if chardev.backend == "socket" {
                    for (key, value) in [("server", "on"), ("wait", "off"), ("nodelay", "on")] {
                        if chardev.properties.get(key).is_none() {
                            chardev.properties.push(key, value);
                        }
                    }
                }
                Some(CharTarget::Own { chardev, with_monitor })
            }
            reference => Some(reference),
        };
    }
}

option! {
    /// The same as '-gdb tcp::1234'
    GdbDefault: "s", |draft| { <Gdb as super::CommandOption>::apply(draft, "tcp::1234")?; }
}

option! {
    /// Do not start the processors; the debugger or the monitor does
    Pause: "S", |draft| { draft.config.start_paused = true; }
}

/// The items of `-d` and what they log.
pub const LOG_ITEMS: &[(&str, LogItem, &str)] = &[
    ("out_asm", LogItem::OutAsm, "show generated host assembly code for each translated block"),
    ("in_asm", LogItem::InAsm, "show guest assembly code for each translated block"),
    ("op", LogItem::Op, "show the intermediate code of each translated block"),
    ("op_opt", LogItem::OpOpt, "show the intermediate code after optimisation"),
    ("op_ind", LogItem::OpInd, "show the intermediate code before indirect lowering"),
    ("int", LogItem::Int, "show interrupts and exceptions in short format"),
    ("exec", LogItem::Exec, "show a line before each executed block"),
    ("cpu", LogItem::Cpu, "show registers before each executed block"),
    ("fpu", LogItem::Fpu, "include floating-point registers in 'cpu'"),
    ("vpu", LogItem::Vpu, "include vector registers in 'cpu'"),
    ("mmu", LogItem::Mmu, "log MMU activity"),
    ("pcall", LogItem::Pcall, "x86 only: show protected mode far calls, returns and exceptions"),
    ("cpu_reset", LogItem::CpuReset, "show registers before resets"),
    ("unimp", LogItem::Unimp, "log unimplemented functionality"),
    ("guest_errors", LogItem::GuestErrors, "log when the guest does something invalid"),
    ("invalid_mem", LogItem::InvalidMem, "log accesses to addresses where nothing is"),
    ("page", LogItem::Page, "dump pages at the start of user mode emulation"),
    ("nochain", LogItem::NoChain, "do not link blocks, so that 'exec' and 'cpu' show all of them"),
    ("plugin", LogItem::Plugin, "output from plugins"),
    ("strace", LogItem::Strace, "log system calls of user mode emulation"),
    ("tid", LogItem::Tid, "a log file for each thread; its name must contain '%d'"),
];

option! {
    /// What to log ('-d help' lists items)
    LogItems: "d" => "ITEM[,ITEM]...", |draft, text| {
        if matches!(text, "help" | "?") {
            draft.wants(HelpRequest::LogItems);
            return Ok(());
        }
        for name in text.split(',') {
            let found = LOG_ITEMS.iter().filter(|(n, ..)| *n == name || name == "all");
            let found: Vec<_> = found.map(|(_, item, _)| *item).collect();
            if name.starts_with("trace:") {
                return Err("trace events are understood by QEMU, not yet implemented in Proteus".into());
            }
            if found.is_empty() && name != "none" {
                return Err(format!("unknown log item '{}'; see -d help", shorten(name)).into());
            }
            for item in found {
                if !draft.config.log.items.contains(&item) {
                    draft.config.log.items.push(item);
                }
            }
        }
    }
}

option! {
    /// Where the log goes; standard error when not given
    LogFile: "D" => "FILE", |draft, text| { draft.config.log.file = Some(file(text)?.into()); }
}

option! {
    /// Log translation and execution at these guest addresses only
    LogRanges: "dfilter" => "START..END|START+SIZE|START-SIZE[,...]", |draft, text| {
        for part in text.split(',') {
            draft.config.log.ranges.push(range(part)?);
        }
    }
}

fn range(text: &str) -> Result<RangeInclusive<u64>, Problem> {
    let bad = || Problem(format!("'{}' is not a range such as 0x40000000..0x40000fff or 0x40000000+0x1000", shorten(text)));
    let at = text.find(['+', '-']).or_else(|| text.find("..")).ok_or_else(bad)?;
    let (start, rest) = text.split_at(at);
    let start = number("start", start)?;
    let (first, last) = if let Some(end) = rest.strip_prefix("..") {
        (start, number("end", end)?)
    } else {
        let size = number("size", &rest[1..])?.checked_sub(1).ok_or_else(bad)?;
        if rest.starts_with('+') { (start, start.checked_add(size).ok_or_else(bad)?) } else { (start.checked_sub(size).ok_or_else(bad)?, start) }
    };
    if first > last {
        return Err(bad());
    }
    Ok(first..=last)
}

option! {
    /// Serve the guest's semihosting calls
    SemihostingOption: "semihosting", |draft| { draft.semihosting_given = true; }
}

option! {
    /// Serve the guest's semihosting calls in this way
    SemihostingConfig: "semihosting-config" => "[enable=on|off][,target=native|gdb|auto][,chardev=ID][,userspace=on|off][,arg=TEXT]...", |draft, text| {
        let given = KeyValues::parse(text, Some("enable"))?;
        draft.semihosting_given = true;
        draft.semihosting.0.extend(given.0);
        // Checked here so that the message names this option.
        semihosting(draft.semihosting.clone())?;
    }
}

fn semihosting(mut given: KeyValues) -> Result<Option<Semihosting>, Problem> {
    let enable = given.take_bool("enable")?.unwrap_or(true);
    let targets = [("auto", SemihostingTarget::Auto), ("native", SemihostingTarget::Native), ("gdb", SemihostingTarget::Gdb)];
    let target = given.take_choice("target", &targets)?.unwrap_or(SemihostingTarget::Auto);
    let chardev = given.take("chardev");
    chardev.as_deref().map(identifier).transpose()?;
    let userspace = given.take_bool("userspace")?.unwrap_or(false);
    let args = given.take_all("arg");
    given.nothing_left(&["enable", "target", "chardev", "userspace", "arg"])?;
    Ok(enable.then_some(Semihosting { target, chardev, args, userspace }))
}

/// Settles semihosting when the line has been read.
pub(super) fn settle(draft: &mut Draft) -> Result<(), Problem> {
    if draft.semihosting_given {
        draft.config.semihosting = semihosting(std::mem::take(&mut draft.semihosting))?;
    }
    Ok(())
}
