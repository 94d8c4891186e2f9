//! What `info` tells.

use super::{Arguments, Context, Outcome, Row, usage};
use crate::qmp::status;
use crate::{Subject, VERSION, tree};
use proteus_exec::registers;
use proteus_exec::vcpu::{Facts, Vcpu};
use proteus_model::WindowKind;

/// All that it tells.
pub const INFO: &[Row] = &[
    Row::new(&["block"], "", "the drives", block),
    Row::new(&["chardev"], "", "the character back ends", |cx, _| {
        for c in cx.subject.host.chardevs() {
            cx.line(format_args!("{}: filename={}", c.label, c.filename));
        }
        Ok(())
    }),
    Row::new(&["cpus"], "", "the cores and their threads", cpus),
    Row::new(&["history"], "", "the lines typed before", |cx, _| {
        for (n, line) in cx.hmp.history.clone().iter().enumerate() {
            cx.line(format_args!("{n}: '{line}'"));
        }
        Ok(())
    }),
    Row::new(&["irq"], "", "the interrupt lines of the cores", irq),
    Row::new(&["jit"], "", "how the processors are run", |cx, _| {
        cx.out.push_str(&cx.subject.host.executor());
        Ok(())
    }),
    Row::new(&["mem"], "", "what is mapped at which virtual addresses", |cx, _| facts(cx, Facts::Mappings, "mem")),
    Row::new(&["mtree"], "", "what is at which address", mtree),
    Row::new(&["name"], "", "the guest's name", |cx, _| {
        if let Some(name) = cx.subject.name.clone() {
            cx.line(name);
        }
        Ok(())
    }),
    Row::new(&["network"], "", "the networks", |cx, _| {
        cx.out.push_str(&cx.subject.host.networks());
        Ok(())
    }),
    Row::new(&["qom-tree"], "[PATH]", "the objects of the inspection tree", |cx, a| {
        let path = a.word().unwrap_or_else(|| "/machine".into());
        cx.out.push_str(&tree::text(cx.subject, &path).map_err(|e| e.text)?);
        Ok(())
    }),
    Row::new(&["qtree"], "", "the devices and their properties", qtree),
    Row::new(&["registers"], "[-a|N]", "the registers of the core, of all, or of core N", all_registers),
    Row::new(&["roms"], "", "what was loaded into memory at the start", |cx, _| {
        for r in cx.subject.host.roms() {
            cx.line(format_args!("addr={:016x} size={:#08x} mem=ram name=\"{}\"", r.address, r.size, r.name));
        }
        Ok(())
    }),
    Row::new(&["status"], "", "whether the processors run", |cx, _| {
        let status = status(cx.subject.runner.state());
        let more = match (status.running, status.status.name()) {
            (true, _) | (_, "paused") => String::new(),
            (false, name) => format!(" ({name})"),
        };
        cx.line(format_args!("VM status: {}{more}", if status.running { "running" } else { "paused" }));
        Ok(())
    }),
    Row::new(&["tlb"], "", "the entries of the core's TLB", |cx, _| facts(cx, Facts::Tlb, "tlb")),
    Row::new(&["version"], "", "the version", |cx, _| {
        let (major, minor, micro) = VERSION;
        cx.line(format_args!("{major}.{minor}.{micro} ({})", Subject::package()));
        Ok(())
    }),
];

fn block(cx: &mut Context<'_>, _: &mut Arguments<'_>) -> Outcome {
    for b in cx.subject.host.blocks() {
        match &b.inserted {
            Some(medium) => cx.line(format_args!("{}: {} ({}{})", b.device, medium.file, medium.drv, if medium.ro { ", read-only" } else { "" })),
            None => cx.line(format_args!("{}: [not inserted]", b.device)),
        }
        if let Some(device) = &b.qdev {
            cx.line(format_args!("    Attached to:      {device}"));
        }
    }
    Ok(())
}

fn cpus(cx: &mut Context<'_>, _: &mut Arguments<'_>) -> Outcome {
    let threads = cx.subject.runner.threads();
    for n in 0..cx.subject.cores() {
        let mark = if n == cx.hmp.core { '*' } else { ' ' };
        cx.line(format_args!("{mark} CPU #{n}: thread_id={}", threads.get(n).copied().unwrap_or(0)));
    }
    Ok(())
}

fn irq(cx: &mut Context<'_>, _: &mut Arguments<'_>) -> Outcome {
    let Some(machine) = cx.subject.machine.upgrade() else { return Ok(()) };
    for n in 0..machine.core_count() {
        let pins = machine.core_lines(proteus_model::CoreId(n as u16)).map_or(0, |l| l.pins());
        cx.line(format_args!("CPU #{n}: lines {pins:#x}"));
    }
    let c = machine.counters();
    cx.line(format_args!("device reads {}, writes {}, alarms {}, host events {}", c.reads, c.writes, c.alarms, c.events));
    Ok(())
}

fn facts(cx: &mut Context<'_>, what: Facts, name: &str) -> Outcome {
    match cx.subject.on_core(cx.hmp.core, move |cpu| cpu.facts(what)).flatten() {
        Some(text) => cx.out.push_str(&text),
        None => return Err(format!("info {name}: not there for this architecture; gva2gpa translates an address")),
    }
    Ok(())
}

fn mtree(cx: &mut Context<'_>, _: &mut Arguments<'_>) -> Outcome {
    let Some(machine) = cx.subject.machine.upgrade() else { return Ok(()) };
    let windows = machine.windows();
    for (title, kind) in [("memory", WindowKind::Mmio), ("I/O", WindowKind::Pio)] {
        let mut windows: Vec<_> = windows.iter().filter(|w| w.kind == kind).collect();
        if windows.is_empty() {
            continue;
        }
        windows.sort_by_key(|w| (w.base, -w.priority));
        cx.line(format_args!("address-space: {title}"));
        for w in windows {
            let what = if w.device.is_some() { "i/o" } else { "ram" };
            let last = w.base.saturating_add(w.size.saturating_sub(1));
            cx.line(format_args!("  {:016x}-{last:016x} (prio {}, {what}): {}", w.base, w.priority, w.name));
        }
    }
    Ok(())
}

fn qtree(cx: &mut Context<'_>, _: &mut Arguments<'_>) -> Outcome {
    let Some(machine) = cx.subject.machine.upgrade() else { return Ok(()) };
    cx.line("bus: main-system-bus\n  type System");
    for (_, name, ty, props) in machine.devices() {
        cx.line(format_args!("  dev: {}, id \"{name}\"", ty.name));
        for p in ty.properties {
            if let Some(value) = props.get(p.name) {
                cx.line(format_args!("    {} = {value:?}", p.name));
            }
        }
    }
    Ok(())
}

/// The registers of a core in lines.
fn registers_of(cpu: &mut dyn Vcpu) -> String {
    let description = cpu.description();
    let mut text = registers::dump(&description, |n| cpu.read_register(n));
    text.push_str(&cpu.facts(Facts::Mode).unwrap_or_default());
    text
}

fn all_registers(cx: &mut Context<'_>, a: &mut Arguments<'_>) -> Outcome {
    let cores = match a.word().as_deref() {
        None => cx.hmp.core..cx.hmp.core + 1,
        Some("-a") => 0..cx.subject.cores(),
        Some(n) => match n.parse::<usize>().ok().filter(|n| *n < cx.subject.cores()) {
            Some(n) => n..n + 1,
            None => return Err(usage("CPU#N: there is no such core")),
        },
    };
    for n in cores {
        if let Some(text) = cx.subject.on_core(n, registers_of) {
            cx.line(format_args!("\nCPU#{n}\n{}", text.trim_end()));
        }
    }
    Ok(())
}
