//! MIPS cores.

use std::sync::Arc;

use proteus_exec::semihosting::Semihosting;
use proteus_exec::{Core, Target};
use proteus_machines::{Architecture, Board, MipsCores, MipsStart};
pub use proteus_mips::models;
use proteus_mips::{Configuration, Mips};
use proteus_model::Machine;

use super::{Model, Plan, Processors};
use crate::config::Config;
use crate::error::{Problem, shorten};

/// Where the architecture's reset begins.
const RESET: u64 = 0xffff_ffff_bfc0_0000;

/// The model of `-cpu`, for a program of so many bits.
pub fn model(config: &Config, board: &Board, architecture: Architecture) -> Result<Model, Problem> {
    let (wide, big) = match architecture {
        Architecture::Mips { is_64, big_endian } => (is_64, big_endian),
        _ => (false, false),
    };
    let (name, features) = match &config.cpu {
        Some(cpu) => (cpu.model.as_str(), cpu.features.as_slice()),
        None => ((board.default_cpu)(architecture), &[][..]),
    };
    // A 64-bit program runs 32-bit models too.
    let fits = |m: &models::Model| board.cpu_models.contains(&m.name) && (wide || !m.bits64);
    let known = || models::MODELS.iter().filter(|m| fits(m)).map(|m| m.name).collect::<Vec<_>>().join(", ");
    if name == "host" {
        return Err("host is for KVM, which is not implemented for this architecture".into());
    }
    let Some(model) = models::find(name).filter(|m| fits(m)) else {
        let text = match models::find(name) {
            Some(m) if m.bits64 && !wide => format!("{name} is a 64-bit processor, which proteus-system-mips64 and -mips64el have; here there are {}", known()),
            Some(_) => format!("{name} does not fit the board {}; it takes {}", board.name, known()),
            None if models::ABSENT.contains(&name) => format!("{name} is known to QEMU, not yet implemented in Proteus; {} takes {}", board.name, known()),
            None => format!("there is no model '{}'; {} takes {}", shorten(name), board.name, known()),
        };
        return Err(text.into());
    };
    if let Some((feature, _)) = features.first() {
        return Err(format!("{} has no feature '{}' that can be changed", model.name, shorten(feature)).into());
    }
    Ok(Model::Mips(model, big))
}

/// The cores of a built machine.
pub fn build(
    plan: &Plan,
    program: &str,
    model: &'static models::Model,
    machine: &Arc<Machine>,
    cores: &MipsCores,
    semihosting: Option<Arc<dyn Semihosting>>,
) -> Processors {
    let configuration = Configuration { model, big: cores.big_endian, count_frequency: cores.count_frequency, reset_address: RESET };
    plan.processors(program, machine, semihosting, proteus_mips_glue::compiler, |n| {
        let start = cores.start.get(n).copied();
        (Mips::new(&configuration), Box::new(move |core: &mut Core<Mips>| start.iter().for_each(|s| enter(core, s))))
    })
}

fn enter(core: &mut Core<Mips>, start: &MipsStart) {
    core.powered = true;
    Mips::start(core, start.pc, 0);
    core.resync();
}
