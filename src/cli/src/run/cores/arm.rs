//! Arm cores.

use std::sync::Arc;

pub use proteus_arm::models;
use proteus_arm::{Arm, Configuration, psci, sysregs};
use proteus_exec::semihosting::Semihosting;
use proteus_exec::{Core, Target};
use proteus_machines::{Architecture, ArmCores, ArmStart, Board, Conduit};
use proteus_model::Machine;

use super::{Model, Plan, Processors};
use crate::config::Config;
use crate::error::{Problem, shorten};
use crate::keyval::boolean;

/// Processor features that no model has. Turning them off is what is the case anyway.
const ABSENT: &[&str] = &["pauth", "pauth-qarma3", "pauth-qarma5", "sve", "sme", "mte", "lpa2", "kvm-no-adjvtime", "kvm-steal-time"];

/// Features that every model has: they cannot be turned off.
const PRESENT: &[&str] = &["aarch64", "pmu"];

/// The features that `-cpu` knows, and whether they are there.
pub fn features() -> impl Iterator<Item = (&'static str, bool)> {
    PRESENT.iter().map(|name| (*name, true)).chain(ABSENT.iter().map(|name| (*name, false)))
}

/// The model of `-cpu`.
pub fn model(config: &Config, board: &Board) -> Result<Model, Problem> {
    let (name, features) = match &config.cpu {
        Some(cpu) => (cpu.model.as_str(), cpu.features.as_slice()),
        None => ((board.default_cpu)(Architecture::Aarch64), &[][..]),
    };
    let known = || board.cpu_models.join(", ");
    if name == "host" {
        return Err("host is for KVM, which is not implemented yet; give -cpu max".into());
    }
    let model = models::find(name).filter(|m| board.cpu_models.contains(&m.name));
    let Some(model) = model else {
        let text = match models::find(name) {
            Some(_) => format!("{name} does not fit the board {}; it takes {}", board.name, known()),
            None => format!("there is no model '{}'; {} takes {}", shorten(name), board.name, known()),
        };
        return Err(text.into());
    };
    for (feature, value) in features {
        let on = boolean(feature, value)?;
        match (feature.as_str(), on) {
            (present, true) if PRESENT.contains(&present) => {}
            (present, false) if PRESENT.contains(&present) => return Err(format!("{feature}=off is not implemented").into()),
            // It only chooses how pointers are signed, where they are.
            ("pauth-impdef", true) if model.name == "max" => {
                let program = &config.program;
                crate::error::say(format_args!("{program}: warning: -cpu max,pauth-impdef=on: no effect, for pointer authentication is not implemented yet"));
            }
            ("pauth-impdef", false) => {}
            (absent, false) if ABSENT.contains(&absent) => {}
            (absent, true) if ABSENT.contains(&absent) || absent == "pauth-impdef" => {
                return Err(format!("{absent}=on: {} has no such feature in Proteus yet; leave it out", model.name).into());
            }
            (other, _) => return Err(format!("{} has no feature '{}' that can be changed", model.name, shorten(other)).into()),
        }
    }
    Ok(Model::Arm(model))
}

/// The cores of a built machine.
pub fn build(
    plan: &Plan,
    program: &str,
    model: &'static models::Model,
    machine: &Arc<Machine>,
    cores: &ArmCores,
    semihosting: Option<Arc<dyn Semihosting>>,
) -> Processors {
    let configuration = Configuration {
        model,
        has_el2: cores.has_el2,
        has_el3: cores.has_el3,
        conduit: cores.psci.map(|c| match c {
            Conduit::Hvc => psci::Conduit::Hvc,
            Conduit::Smc => psci::Conduit::Smc,
        }),
        affinities: cores.affinities.clone().into(),
        frequency: cores.timer_frequency,
        gic_sysregs: cores.gic_version >= 3,
        reset_address: cores.start.first().map_or(0, |s| s.pc),
    };
    plan.processors(program, machine, semihosting, proteus_arm_glue::compiler, |n| {
        let start = cores.start.get(n).copied();
        (Arm::new(&configuration), Box::new(move |core: &mut Core<Arm>| start.iter().for_each(|s| enter(core, s))))
    })
}

fn enter(core: &mut Core<Arm>, start: &ArmStart) {
    let level = u64::from(start.el.clamp(1, 3));
    if core.target.has_el3 && level < 3 {
        // What secure firmware would have set: non-secure, AArch64 below, HVC allowed.
        *core.word_mut(sysregs::SCR_EL3) = 1 | 1 << 8 | 1 << 10;
    }
    if core.target.has_el2 && level < 2 {
        // EL1 is in AArch64 state.
        *core.word_mut(sysregs::HCR_EL2) = 1 << 31;
    }
    proteus_arm::exceptions::set_el(core, level, 1);
    core.powered = start.on;
    Arm::start(core, start.pc, start.x0);
    core.resync();
}
