//! x86 cores.

use std::sync::Arc;

use proteus_kvm::{Chips, Configuration, Host};
use proteus_machines::{Board, Interrupts, X86Cores, X86Entry};
use proteus_model::Machine;
use proteus_x86::cpuid::{self, Changes};
pub use proteus_x86::models;
use proteus_x86::{Entry, features};

use super::{Model, Processors};
use crate::config::Config;
use crate::error::{Problem, UsageError, shorten};
use crate::keyval::boolean;
use proteus_machines::Architecture;

/// Properties of QEMU's models that are no features; what they are set to most is what is the case.
const PROPERTIES: &[(&str, bool)] = &[("migratable", true), ("host-cache-info", false), ("l3-cache", true), ("kvm", true), ("check", true), ("enforce", false)];

/// The model of `-cpu`, with the features that were switched.
pub fn model(config: &Config, board: &Board) -> Result<Model, Problem> {
    let (name, given) = match &config.cpu {
        Some(cpu) => (cpu.model.as_str(), cpu.features.as_slice()),
        None => ((board.default_cpu)(Architecture::X86_64), &[][..]),
    };
    let name = name.strip_suffix("-x86_64-cpu").unwrap_or(name);
    let Some(model) = models::find(name).filter(|m| board.cpu_models.contains(&m.name)) else {
        return Err(format!("there is no model '{}'; {} takes {}", shorten(name), board.name, board.cpu_models.join(", ")).into());
    };
    let mut changes = Changes::default();
    for (feature, value) in given {
        let on = boolean(feature, value)?;
        if let Some((name, only)) = PROPERTIES.iter().find(|(name, _)| name == feature) {
            if on != *only {
                return Err(format!("{name}={value} is understood by QEMU, not yet implemented in Proteus").into());
            }
            continue;
        }
        let Some((word, bit)) = features::find(feature) else {
            return Err(format!("there is no processor feature '{}'", shorten(feature)).into());
        };
        changes.on[word] &= !(1 << bit);
        changes.off[word] &= !(1 << bit);
        let bits = if on { &mut changes.on } else { &mut changes.off };
        bits[word] |= 1 << bit;
    }
    Ok(Model::X86(model, changes))
}

/// The features that a model can have and whether it has them: `host` and `max` have what the host
/// can give.
pub fn features(model: &str) -> Vec<(String, bool)> {
    let fixed = models::find(model).and_then(|m| m.fixed.as_ref()).map(|f| f.features);
    let has = fixed.or_else(|| Some(cpuid::bits(&Host::open().ok()?.supported().ok()?))).unwrap_or_default();
    let of = |(word, bits): (&features::Word, u32)| {
        let named = word.names.iter().enumerate().filter(|(_, name)| !name.is_empty());
        named.map(|(bit, name)| (name.to_string(), bits & 1 << bit != 0)).collect::<Vec<_>>()
    };
    features::WORDS.iter().zip(has).flat_map(of).collect()
}

/// The cores of a built machine.
pub fn build(host: &Host, program: &str, model: (&'static models::Model, Changes), machine: &Arc<Machine>, cores: &X86Cores) -> Result<Processors, UsageError> {
    let name = program.to_string();
    let configuration = Configuration {
        model: model.0,
        changes: model.1,
        apic_ids: cores.apic_ids.clone(),
        entry: cores.entry.as_ref().map(entry),
        acknowledge_port: cores.acknowledge_port,
        end_of_interrupt: cores.end_of_interrupt,
        chips: if cores.interrupts == Interrupts::Outside { Chips::Kernel } else { Chips::Machine },
        report: Arc::new(move |text| crate::error::say(format_args!("{name}: {text}"))),
    };
    let cores = proteus_kvm::build(host, machine, configuration).map_err(|e| Problem(e.to_string()).at(program, "-accel kvm"))?;
    Ok(Processors { cores, describe: Box::new(|| "no translator: KVM executes the processors\n".into()) })
}

fn entry(e: &X86Entry) -> Entry {
    Entry { pc: e.pc, registers: e.registers, page_tables: e.page_tables, code: e.code, data: e.data, gdt: e.gdt }
}
