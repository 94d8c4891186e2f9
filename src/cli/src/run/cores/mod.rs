//! Processors: `-cpu`, `-smp`, `-accel`, `-icount`. What is an architecture's own is in a file of
//! its own.

mod accelerator;
mod arm;
mod mips;
mod x86;

use std::sync::Arc;

use proteus_exec::sched::Icount;
use proteus_exec::semihosting::Semihosting;
use proteus_exec::system::System;
use proteus_exec::{Core, Cpu, Start, Target, Thresholds, Vcpu};
use proteus_machines::{Architecture, Board, BuiltBoard, Cores, Interrupts};
use proteus_model::{CoreId, Machine};
use proteus_translator::{Compiler, Options, Unavailable};

pub use accelerator::IRQCHIP;

use super::tier::Translator;
use crate::config::{Config, IcountShift};
use crate::error::{Problem, UsageError};

/// The names of the models that there are, of those that fit a board and a program's target where
/// these are given.
pub fn models(board: Option<&Board>, target: Option<Architecture>) -> impl Iterator<Item = &'static str> {
    let arm = target.is_none_or(|t| t == Architecture::Aarch64);
    // A 64-bit program runs 32-bit models too.
    let mips = move |wide: bool| target.is_none_or(|t| matches!(t, Architecture::Mips { is_64, .. } if is_64 || !wide));
    let all_arm = arm::models::MODELS.iter().filter(move |_| arm).map(|m| m.name);
    let all_mips = mips::models::MODELS.iter().filter(move |m| mips(m.bits64)).map(|m| m.name);
    let x86 = target.is_none_or(|t| t == Architecture::X86_64);
    let all_x86 = x86::models::MODELS.iter().filter(move |_| x86).map(|m| m.name);
    all_arm.chain(all_mips).chain(all_x86).filter(move |name| board.is_none_or(|b| b.cpu_models.contains(name)))
}

/// Whether guests of the architecture can run in KVM.
pub fn in_kvm(target: Architecture) -> bool {
    target == Architecture::X86_64
}

/// The features that a model can have, as `-cpu` names them, and whether it has them.
pub fn features(target: Architecture, model: &str) -> Vec<(String, bool)> {
    match target {
        Architecture::X86_64 => x86::features(model),
        Architecture::Aarch64 => arm::features().map(|(name, on)| (name.to_string(), on)).collect(),
        _ => Vec::new(),
    }
}

/// Interpretations of a block before it is offered to the translator.
const COMPILE_AFTER: u32 = 512;

/// The shift of `-icount auto`: 8 ns an instruction, near what a core of such a board does. QEMU
/// adjusts it to the host while the guest runs; here it is fixed, so that runs repeat.
const AUTO_SHIFT: u32 = 3;

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
    /// The host's processor, by KVM.
    Kvm,
}

/// The cores of a machine.
pub struct Processors {
    /// The cores.
    pub cores: Vec<Box<dyn Vcpu>>,
    /// For `info jit`.
    pub describe: Box<dyn Fn() -> String + Send + Sync>,
}

/// A processor model of one of the architectures.
#[derive(Clone, Copy)]
pub enum Model {
    /// Arm.
    Arm(&'static proteus_arm::models::Model),
    /// MIPS; whether it is big-endian, as the program's name says.
    Mips(&'static proteus_mips::models::Model, bool),
    /// x86, with the features that the user switched.
    X86(&'static proteus_x86::Model, proteus_x86::cpuid::Changes),
}

/// The processors as the command line asks for them.
pub struct Plan {
    /// The model.
    pub model: Model,
    /// How many.
    pub cores: usize,
    /// What executes them.
    pub executor: Executor,
    /// The host's KVM, where that is it, and whose the interrupt controllers are.
    kvm: Option<(proteus_kvm::Host, Interrupts)>,
    /// Time follows the count of instructions.
    pub icount: Option<Icount>,
}

impl Plan {
    /// Checks the command line against the board.
    pub fn new(config: &Config, board: &Board, architecture: Architecture) -> Result<Plan, UsageError> {
        let program = &config.program;
        let model = match architecture {
            Architecture::Mips { .. } => mips::model(config, board, architecture),
            Architecture::X86_64 => x86::model(config, board),
            _ => arm::model(config, board),
        };
        let model = model.map_err(|p| p.at(program, "-cpu"))?;
        let cores = smp(config, board).map_err(|p| p.at(program, "-smp"))?;
        let (executor, kvm) = accelerator::choose(config, architecture).map_err(|p| p.at(program, "-accel"))?;
        let icount = icount(config).map_err(|p| p.at(program, "-icount"))?;
        if icount.is_some() && executor == Executor::Kvm {
            let text = "with KVM the host's processor executes the instructions, and nobody counts them; leave it out";
            return Err(Problem::new(text).at(program, "-icount"));
        }
        Ok(Plan { model, cores, executor, kvm, icount })
    }

    /// Whose the interrupt controllers are, where a board leaves the choice.
    pub fn interrupts(&self) -> Interrupts {
        self.kvm.as_ref().map_or(Interrupts::Board, |(_, interrupts)| *interrupts)
    }

    /// What the board must know of the model.
    pub fn board_cpu(&self) -> proteus_machines::Cpu {
        match self.model {
            Model::Arm(m) => proteus_machines::Cpu { model: m.name.into(), architecture: Architecture::Aarch64, compatible: m.compatible.into(), pmu: true },
            Model::Mips(m, big_endian) => {
                let architecture = Architecture::Mips { is_64: m.bits64, big_endian };
                proteus_machines::Cpu { model: m.name.into(), architecture, compatible: m.compatible.into(), pmu: false }
            }
            Model::X86(m, _) => proteus_machines::Cpu { model: m.name.into(), architecture: Architecture::X86_64, compatible: String::new(), pmu: false },
        }
    }

    /// Makes the cores of a built machine; they are to be reset when its memory has been loaded.
    pub fn build(&self, program: &str, built: &BuiltBoard, semihosting: Option<Arc<dyn Semihosting>>) -> Result<Processors, UsageError> {
        Ok(match (self.model, &built.cores, &self.kvm) {
            (Model::Arm(model), Cores::Arm(cores), _) => arm::build(self, program, model, &built.machine, cores, semihosting),
            (Model::Mips(model, _), Cores::Mips(cores), _) => mips::build(self, program, model, &built.machine, cores, semihosting),
            (Model::X86(model, changes), Cores::X86(cores), Some((host, _))) => x86::build(host, program, (model, changes), &built.machine, cores)?,
            // A board has the processors that its configuration asked for.
            _ => return Err(Problem::new("the board has other processors than were asked for").at(program, "-cpu")),
        })
    }

    /// Makes cores of a target: one by `core` for each number, started by the machine as `start`
    /// says, with tiers of the compiler that `compiler` makes.
    fn processors<T: Target>(
        &self,
        program: &str,
        machine: &Arc<Machine>,
        semihosting: Option<Arc<dyn Semihosting>>,
        compiler: fn(Options) -> Result<Arc<Compiler<T>>, Unavailable>,
        core: impl Fn(usize) -> (T, Start<T>),
    ) -> Processors {
        let compile = match self.executor {
            Executor::Translator { compile_after: Some(n), .. } => n,
            _ => COMPILE_AFTER,
        };
        let translator = Translator::new(program, self.executor, self.icount.is_some(), compiler);
        let ids = || (0..self.cores).map(|n| CoreId(n as u16));
        let system = System::new(ids().filter_map(|id| machine.core_lines(id).cloned()));
        let cores = ids()
            .map(|id| {
                let (target, start) = core(id.0.into());
                let mut core = Core::new(id, target, machine.clone(), system.clone());
                core.semihosting = semihosting.clone();
                let mut cpu = Cpu::new(core, translator.tier(), Thresholds { compile });
                cpu.start = Some(start);
                Box::new(cpu) as Box<dyn Vcpu>
            })
            .collect();
        Processors { cores, describe: Box::new(move || translator.describe()) }
    }
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
