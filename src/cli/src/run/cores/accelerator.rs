//! `-accel`: the first of the list that can run the guest.

use proteus_kvm::Host;
use proteus_machines::{Architecture, Interrupts};

use super::Executor;
use crate::config::{Accelerator, AcceleratorKind, Config, TcgThread};
use crate::error::{Problem, shorten};

/// Bytes of translated code that may be kept.
const CODE_SIZES: std::ops::RangeInclusive<u64> = 4 << 20..=1 << 30;

/// What executes the guest, and the host's KVM where that is it.
type Choice = (Executor, Option<(Host, Interrupts)>);

/// The first accelerator of the list that is there and can execute the architecture; where none was
/// asked for, what can.
pub fn choose(config: &Config, architecture: Architecture) -> Result<Choice, Problem> {
    let x86 = architecture == Architecture::X86_64;
    if config.accelerators.is_empty() {
        if x86 {
            let interrupts = kernel_irqchip(config, &[])?;
            let host = open(interrupts).map_err(|e| format!("x86-64 guests need KVM, for they are not translated yet; {e}"))?;
            return Ok((Executor::Kvm, Some((host, interrupts))));
        }
        return Ok((Executor::Translator { code_size: None, compile_after: None }, None));
    }
    let mut reasons = Vec::new();
    for accel in &config.accelerators {
        let name = accel.kind.name();
        let reason = match accel.kind {
            AcceleratorKind::Tcg | AcceleratorKind::Interpreter if x86 => format!("{name}: x86-64 guests need KVM, for they are not translated yet"),
            AcceleratorKind::Tcg | AcceleratorKind::Interpreter => return Ok((translated(config, accel)?, None)),
            AcceleratorKind::Kvm if x86 => {
                let interrupts = kernel_irqchip(config, &accel.properties.0)?;
                match open(interrupts) {
                    Ok(host) => return Ok((Executor::Kvm, Some((host, interrupts)))),
                    Err(e) => format!("{name}: {e}"),
                }
            }
            AcceleratorKind::Kvm => format!("{name}: only guests of the host's own architecture run in KVM, and of these x86-64 only yet"),
            _ => format!("{name}: not implemented in Proteus yet"),
        };
        reasons.push(reason);
    }
    let first = config.accelerators.first().map_or("kvm", |a| a.kind.name());
    let hint = if x86 { String::new() } else { format!("; add tcg, as in -accel {first} -accel tcg") };
    Err(format!("{}{hint}", reasons.join("; ")).into())
}

/// The interpreter, with the translator or without.
fn translated(config: &Config, accel: &Accelerator) -> Result<Executor, Problem> {
    let executor = match accel.kind {
        AcceleratorKind::Tcg => Executor::Translator { code_size: accel.code_size, compile_after: accel.compile_after },
        _ => Executor::Interpreter,
    };
    if let Some((key, _)) = accel.properties.0.first() {
        return Err(format!("{}: property '{}' is not implemented", accel.kind.name(), shorten(key)).into());
    }
    if accel.code_size.is_some_and(|n| !CODE_SIZES.contains(&n)) {
        let (least, most) = (CODE_SIZES.start() >> 20, CODE_SIZES.end() >> 20);
        return Err(format!("tb-size: the code buffer has from {least} to {most} MiB").into());
    }
    match (accel.thread, config.icount.is_some(), config.smp.cpus) {
        (Some(TcgThread::Multi), true, _) => Err("thread=multi and -icount exclude each other; give one of them".into()),
        (Some(TcgThread::Single), false, 2..) => {
            Err("thread=single: several processors take turns on one thread with -icount only; give that, or thread=multi".into())
        }
        _ => Ok(executor),
    }
}

/// KVM, where it has what is asked of it.
fn open(interrupts: Interrupts) -> Result<Host, proteus_kvm::Error> {
    let host = Host::open()?;
    if interrupts == Interrupts::Outside {
        host.has_chips()?;
    }
    Ok(host)
}

/// The kernel has the local APICs; whether it has the other interrupt controllers too.
fn kernel_irqchip(config: &Config, properties: &[(String, String)]) -> Result<Interrupts, Problem> {
    if let Some((key, _)) = properties.iter().find(|(key, _)| key != IRQCHIP) {
        return Err(format!("kvm: property '{}' is not implemented", shorten(key)).into());
    }
    let given = properties.iter().chain(&config.machine_properties.0).filter(|(key, _)| key == IRQCHIP);
    match given.map(|(_, value)| value.as_str()).next_back() {
        None | Some("split") => Ok(Interrupts::Board),
        Some("on") => Ok(Interrupts::Outside),
        Some("off") => Err(format!("{IRQCHIP}=off is not implemented; give split or on").into()),
        Some(value) => Err(format!("{IRQCHIP} is on, off or split, not '{}'", shorten(value)).into()),
    }
}

/// A property of `-accel kvm`, and of `-machine`.
pub const IRQCHIP: &str = "kernel-irqchip";
