//! Processors: `-cpu`, `-smp`, `-accel`, `-icount`.

use std::sync::Arc;

use proteus_arm::{Arm, Configuration, models, psci, sysregs};
use proteus_exec::sched::Icount;
use proteus_exec::semihosting::Semihosting;
use proteus_exec::system::System;
use proteus_exec::{Core, Cpu, Target, Thresholds};
use proteus_machines::{Board, BuiltBoard, Conduit, CoreStart};
use proteus_model::CoreId;

use super::tier::Translator;
use crate::config::{AcceleratorKind, Config, IcountShift, TcgThread};
use crate::error::{Problem, UsageError, shorten};
use crate::keyval::boolean;

/// Interpretations of a block before it is offered to the translator.
const COMPILE_AFTER: u32 = 512;

/// Bytes of translated code that may be kept.
const CODE_SIZES: std::ops::RangeInclusive<u64> = 4 << 20..=1 << 30;

/// The shift of `-icount auto`: 8 ns an instruction, near what a core of such a board does. QEMU
/// adjusts it to the host while the guest runs; here it is fixed, so that runs repeat.
const AUTO_SHIFT: u32 = 3;

/// Processor features that no model has. Turning them off is what is the case anyway.
const ABSENT: &[&str] = &["pauth", "pauth-qarma3", "pauth-qarma5", "sve", "sme", "mte", "lpa2", "kvm-no-adjvtime", "kvm-steal-time"];

/// What executes the processors' instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The interpreter, and the translator for what is hot.
    Translator {
        /// `tb-size=`: bytes of translated code at most.
        code_size: Option<u64>,
        /// `compile-after=`: interpretations of a block before it is offered to the translator.
        compile_after: Option<u32>,
    },
    /// The interpreter alone.
    Interpreter,
}

/// The processors as the command line asks for them.
pub struct Plan {
    /// The model.
    pub model: &'static models::Model,
    /// How many.
    pub cores: usize,
    /// What executes them.
    pub executor: Executor,
    /// Time follows the count of instructions.
    pub icount: Option<Icount>,
}

impl Plan {
    /// Checks the command line against the board.
    pub fn new(config: &Config, board: &Board) -> Result<Plan, UsageError> {
        let program = &config.program;
        let model = model(config, board).map_err(|p| p.at(program, "-cpu"))?;
        let cores = smp(config, board).map_err(|p| p.at(program, "-smp"))?;
        let executor = executor(config).map_err(|p| p.at(program, "-accel"))?;
        let icount = icount(config).map_err(|p| p.at(program, "-icount"))?;
        Ok(Plan { model, cores, executor, icount })
    }

    /// What the board must know of the model.
    pub fn board_cpu(&self) -> proteus_machines::Cpu {
        proteus_machines::Cpu { model: self.model.name.into(), compatible: self.model.compatible.into(), pmu: true }
    }

    /// Makes the cores of a built machine, in their reset state.
    pub fn build(&self, built: &BuiltBoard, translator: &Translator, semihosting: Option<Arc<dyn Semihosting>>) -> Vec<Cpu<Arm>> {
        let machine = &built.machine;
        let compile = match self.executor {
            Executor::Translator { compile_after: Some(n), .. } => n,
            _ => COMPILE_AFTER,
        };
        let ids = || (0..self.cores).map(|n| CoreId(n as u16));
        let system = System::new(ids().filter_map(|id| machine.core_lines(id).cloned()));
        let configuration = Configuration {
            model: self.model,
            has_el2: built.has_el2,
            has_el3: built.has_el3,
            conduit: built.psci.map(|c| match c {
                Conduit::Hvc => psci::Conduit::Hvc,
                Conduit::Smc => psci::Conduit::Smc,
            }),
            affinities: built.cores.iter().map(|c| c.affinity).collect(),
            frequency: built.timer_frequency,
            gic_sysregs: built.gic_version >= 3,
            reset_address: built.start.first().map_or(0, |s| s.pc),
        };
        ids()
            .map(|id| {
                let mut core = Core::new(id, Arm::new(&configuration), machine.clone(), system.clone());
                core.semihosting = semihosting.clone();
                Cpu::new(core, translator.tier(), Thresholds { compile })
            })
            .collect()
    }
}

/// Puts every core where it starts after a reset of the machine.
pub fn reset(cpus: &mut [Cpu<Arm>], built: &BuiltBoard) {
    for (cpu, start) in cpus.iter_mut().zip(&built.start) {
        cpu.read_mail();
        let core = &mut *cpu.core;
        let _ = core.system.take_start(core.id);
        core.pending = None;
        core.yielded = false;
        core.wait_settled = false;
        Arm::reset(core);
        enter(core, start);
        core.system.set_on(core.id, start.on);
        cpu.forget();
    }
}

fn enter(core: &mut Core<Arm>, start: &CoreStart) {
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

fn model(config: &Config, board: &Board) -> Result<&'static models::Model, Problem> {
    let (name, features) = match &config.cpu {
        Some(cpu) => (cpu.model.as_str(), cpu.features.as_slice()),
        None => (board.default_cpu, &[][..]),
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
            ("aarch64" | "pmu", true) => {}
            ("aarch64" | "pmu", false) => return Err(format!("{feature}=off is not implemented").into()),
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
    Ok(model)
}

fn smp(config: &Config, board: &Board) -> Result<usize, Problem> {
    let smp = &config.smp;
    if smp.max_cpus != smp.cpus {
        return Err("maxcpus: processors cannot be added to a running machine yet; leave it out".into());
    }
    for (what, n) in [("sockets", smp.sockets), ("dies", smp.dies), ("clusters", smp.clusters), ("threads", smp.threads)] {
        if n > 1 {
            return Err(format!("{what}={n}: only an arrangement in cores is implemented; give -smp {}", smp.cpus).into());
        }
    }
    match smp.cpus as usize {
        n if n <= board.max_cpus => Ok(n),
        n => Err(format!("{n} processors are more than the {} that {} can have", board.max_cpus, board.name).into()),
    }
}

fn executor(config: &Config) -> Result<Executor, Problem> {
    let mut missing = Vec::new();
    for accel in &config.accelerators {
        let executor = match accel.kind {
            AcceleratorKind::Tcg => Executor::Translator { code_size: accel.code_size, compile_after: accel.compile_after },
            AcceleratorKind::Interpreter => Executor::Interpreter,
            other => {
                missing.push(other.name());
                continue;
            }
        };
        if let Some((key, _)) = accel.properties.0.first() {
            return Err(format!("{}: property '{}' is not implemented", accel.kind.name(), shorten(key)).into());
        }
        if accel.code_size.is_some_and(|n| !CODE_SIZES.contains(&n)) {
            let (least, most) = (CODE_SIZES.start() >> 20, CODE_SIZES.end() >> 20);
            return Err(format!("tb-size: the code buffer has from {least} to {most} MiB").into());
        }
        match (accel.thread, config.icount.is_some(), config.smp.cpus) {
            (Some(TcgThread::Multi), true, _) => return Err("thread=multi and -icount exclude each other; give one of them".into()),
            (Some(TcgThread::Single), false, 2..) => {
                return Err("thread=single: several processors take turns on one thread with -icount only; give that, or thread=multi".into());
            }
            _ => return Ok(executor),
        }
    }
    match missing.as_slice() {
        [] => Ok(Executor::Translator { code_size: None, compile_after: None }),
        names => Err(format!("{}: not implemented in Proteus yet; add tcg, as in -accel {} -accel tcg", names.join(", "), names[0]).into()),
    }
}

fn icount(config: &Config) -> Result<Option<Icount>, Problem> {
    let Some(icount) = &config.icount else { return Ok(None) };
    if icount.align {
        return Err("align=on is understood by QEMU, not yet implemented in Proteus".into());
    }
    let shift = match icount.shift {
        IcountShift::Fixed(n) => u32::from(n),
        IcountShift::Auto => AUTO_SHIFT,
    };
    Ok(Some(Icount { shift, sleep: icount.sleep }))
}
