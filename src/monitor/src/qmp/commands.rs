//! The commands: each declared once, with its types, and what `query-qmp-schema` tells of them.

use super::schema::{Empty, Qapi, Schema};
use super::types::*;
use super::{Error, catalog, events};
use crate::{Subject, VERSION, hmp, tree};
use proteus_exec::runner::{Pause, RunState};
use serde_json::{Value as Json, json};
use std::sync::OnceLock;

/// A command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    arguments: fn(&mut Schema) -> String,
    returns: fn(&mut Schema) -> String,
    /// Does it.
    pub run: fn(&Subject, Json) -> Result<Json, Error>,
}

macro_rules! commands {
    ($($name:literal $doc:literal: $arguments:ty => $returns:ty, $run:expr;)*) => {
        &[$(Command {
            name: $name,
            doc: $doc,
            arguments: <$arguments as Qapi>::schema,
            returns: <$returns as Qapi>::schema,
            run: |subject, given| {
                let run: fn(&Subject, $arguments) -> Result<$returns, Error> = $run;
                let answer = run(subject, <$arguments as Qapi>::from_json(given, "arguments")?)?;
                Ok(answer.to_json().unwrap_or(Json::Null))
            },
        },)*]
    };
}

/// All commands.
pub const COMMANDS: &[Command] = commands! {
    "cont" "lets the cores run": Empty => Empty, |s, _| go(s);
    "device-list-properties" "the properties of a device type": TypeName => Vec<ObjectPropertyInfo>, |s, a| catalog::device_properties(s, &a.typename);
    "human-monitor-command" "what a line of HMP answers": HumanCommand => String, human;
    "inject-nmi" "refused: no board has a non-maskable interrupt": Empty => Empty, |_, _| Err(Error::generic("no board of this program has a non-maskable interrupt"));
    "memsave" "writes memory by virtual address to a file": MemSave => Empty, memsave;
    "migrate-set-capabilities" "chooses what a migration does: there is none": SetCapabilities => Empty, |_, a| catalog::set_capabilities(&a.capabilities);
    "pmemsave" "writes memory by physical address to a file": PmemSave => Empty, |s, a| done(s.save_memory(None, a.val, a.size, &a.filename));
    "qmp_capabilities" "begins the conversation": Capabilities => Empty, |_, _| Err(Error::not_found("Capabilities negotiation is already complete, command ignored"));
    "qom-get" "a value in the inspection tree": QomGet => Any, |s, a| tree::get(s, &a.path, &a.property);
    "qom-list" "what is at a place of the inspection tree": QomList => Vec<ObjectPropertyInfo>, |s, a| tree::list(s, &a.path);
    "qom-list-properties" "the properties of a type": TypeName => Vec<ObjectPropertyInfo>, |s, a| catalog::properties(s, &a.typename);
    "qom-list-types" "the types of devices, boards, processors and back ends": ListTypes => Vec<ObjectTypeInfo>, |s, a| Ok(catalog::types(s, &a));
    "query-block" "the drives": Empty => Vec<BlockInfo>, |s, _| Ok(s.host.blocks());
    "query-chardev" "the character back ends": Empty => Vec<ChardevInfo>, |s, _| Ok(s.host.chardevs());
    "query-command-line-options" "the options that have keys": OptionName => Vec<CommandLineOptionInfo>, |s, a| catalog::options(s, a.option.as_deref());
    "query-commands" "the commands": Empty => Vec<CommandInfo>, |_, _| Ok(COMMANDS.iter().map(|c| CommandInfo { name: c.name.into() }).collect());
    "query-cpu-definitions" "the processor models": Empty => Vec<CpuDefinitionInfo>, |s, _| Ok(cpu_definitions(s));
    "query-cpu-model-expansion" "the features of a processor model": ExpandModel => CpuModelExpansionInfo, |s, a| catalog::expand(s, a);
    "query-cpus-fast" "the cores, with the ids of their threads": Empty => Vec<CpuInfoFast>, |s, _| Ok(cpus(s));
    "query-events" "the events": Empty => Vec<EventInfo>, |_, _| Ok(events::EVENTS.iter().map(|e| EventInfo { name: e.name.into() }).collect());
    "query-gic-capabilities" "the versions of the Generic Interrupt Controller": Empty => Vec<GicCapability>, |s, _| Ok(catalog::gics(s));
    "query-iothreads" "the threads for devices: there are none": Empty => Vec<IoThreadInfo>, |_, _| Ok(Vec::new());
    "query-kvm" "whether KVM runs the cores": Empty => KvmInfo, |s, _| Ok(s.host.kvm());
    "query-machines" "the boards": Empty => Vec<MachineInfo>, |s, _| Ok(s.host.machines());
    "query-memory-size-summary" "how much memory there is": Empty => MemoryInfo, |s, _| Ok(MemoryInfo { base_memory: s.memory, plugged_memory: None });
    "query-migrate-capabilities" "what a migration may do: there is none": Empty => Vec<MigrationCapabilityStatus>, |_, _| Ok(Vec::new());
    "query-name" "the guest's name": Empty => NameInfo, |s, _| Ok(NameInfo { name: s.name.clone() });
    "query-named-block-nodes" "the nodes of images": ListNodes => Vec<BlockDeviceInfo>, |s, _| Ok(s.host.nodes());
    "query-qmp-schema" "commands, events and their types": Empty => Vec<Any>, |_, _| Ok(schema().clone());
    "query-status" "whether the machine runs": Empty => StatusInfo, |s, _| Ok(status(s.runner.state()));
    "query-target" "the architecture": Empty => TargetInfo, |s, _| Ok(TargetInfo { arch: s.target.into() });
    "query-tpm-models" "the models of Trusted Platform Modules: there are none": Empty => Vec<String>, |_, _| Ok(Vec::new());
    "query-tpm-types" "the back ends of Trusted Platform Modules: there are none": Empty => Vec<String>, |_, _| Ok(Vec::new());
    "query-uuid" "the guest's UUID": Empty => UuidInfo, |s, _| Ok(UuidInfo { uuid: uuid(&s.uuid) });
    "query-version" "the version": Empty => VersionInfo, |_, _| Ok(version());
    "quit" "ends the program": Empty => Empty, |s, _| { s.runner.quit(); Ok(Empty) };
    "screendump" "writes what the display shows to a file": ScreenDump => Empty, |s, a| done(s.screen_dump(&a.filename));
    "stop" "stops the cores": Empty => Empty, |s, _| { s.runner.pause(); s.wait(); Ok(Empty) };
    "system_powerdown" "presses the power button": Empty => Empty, |s, _| power_down(s);
    "system_reset" "resets the machine": Empty => Empty, |s, _| { s.runner.reset(); Ok(Empty) };
};

fn done(result: Result<(), String>) -> Result<Empty, Error> {
    result.map(|()| Empty).map_err(Error::generic)
}

/// Whether a run in that state goes on only after a reset.
pub(crate) fn needs_reset(state: RunState) -> bool {
    matches!(state, RunState::Paused(Pause::Shutdown | Pause::Panic | Pause::InternalError))
}

fn go(s: &Subject) -> Result<Empty, Error> {
    if needs_reset(s.runner.state()) {
        return Err(Error::generic("Resetting the Virtual Machine is required"));
    }
    s.runner.resume();
    s.wait();
    Ok(Empty)
}

fn power_down(s: &Subject) -> Result<Empty, Error> {
    if !s.host.power_button() {
        return Err(Error::generic("this machine has no power button"));
    }
    s.runner.power_down();
    Ok(Empty)
}

fn human(s: &Subject, a: HumanCommand) -> Result<String, Error> {
    let mut hmp = hmp::Hmp::default();
    if let Some(core) = a.cpu_index {
        hmp.core = core_number(s, core)?;
    }
    Ok(hmp.answer(s, &a.command_line).replace('\n', "\r\n"))
}

fn core_number(s: &Subject, core: u64) -> Result<usize, Error> {
    let found = usize::try_from(core).ok().filter(|n| *n < s.cores());
    found.ok_or_else(|| Error::generic("Parameter 'cpu-index' expects a CPU number"))
}

fn memsave(s: &Subject, a: MemSave) -> Result<Empty, Error> {
    let core = core_number(s, a.cpu_index.unwrap_or(0))?;
    done(s.save_memory(Some(core), a.val, a.size, &a.filename))
}

/// The version that the greeting tells.
pub fn version() -> VersionInfo {
    let (major, minor, micro) = VERSION;
    let qemu = VersionTriple { major: major.into(), minor: minor.into(), micro: micro.into() };
    VersionInfo { qemu, package: Subject::package() }
}

/// A state of the run in QEMU's words.
pub fn status(state: RunState) -> StatusInfo {
    let status = match state {
        RunState::Running => RunStateName::Running,
        RunState::Prelaunch => RunStateName::Prelaunch,
        RunState::Paused(Pause::Asked) => RunStateName::Paused,
        RunState::Paused(Pause::Debug(..)) => RunStateName::Debug,
        RunState::Paused(Pause::Shutdown) => RunStateName::Shutdown,
        RunState::Paused(Pause::Panic) => RunStateName::GuestPanicked,
        RunState::Paused(Pause::InternalError) => RunStateName::InternalError,
    };
    StatusInfo { running: state == RunState::Running, status }
}

fn cpus(s: &Subject) -> Vec<CpuInfoFast> {
    let threads = s.runner.threads();
    let cores = 0..s.cores();
    cores
        .map(|n| CpuInfoFast {
            cpu_index: n as u64,
            qom_path: format!("/machine/core{n}"),
            thread_id: threads.get(n).copied().unwrap_or(0),
            target: s.target.into(),
        })
        .collect()
}

fn cpu_definitions(s: &Subject) -> Vec<CpuDefinitionInfo> {
    let models = s.host.cpu_models();
    models.into_iter().map(|name| CpuDefinitionInfo { typename: catalog::cpu_type(s, &name), name, r#static: false, deprecated: false }).collect()
}

fn uuid(bytes: &[u8; 16]) -> String {
    let hex = |part: &[u8]| part.iter().map(|b| format!("{b:02x}")).collect::<String>();
    [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(hex).join("-")
}

/// All that there is, as `query-qmp-schema` tells it.
pub fn schema() -> &'static Vec<Json> {
    static SCHEMA: OnceLock<Vec<Json>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut schema = Schema::default();
        let mut all = Vec::new();
        for c in COMMANDS {
            let (arguments, returns) = ((c.arguments)(&mut schema), (c.returns)(&mut schema));
            all.push(json!({"name": c.name, "meta-type": "command", "arg-type": arguments, "ret-type": returns, "allow-oob": false}));
        }
        for e in events::EVENTS {
            all.push(json!({"name": e.name, "meta-type": "event", "arg-type": (e.data)(&mut schema)}));
        }
        all.extend(schema.entries);
        all
    })
}
