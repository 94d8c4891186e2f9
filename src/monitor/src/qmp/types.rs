//! The types of the commands and events, named as QEMU's (QEMU QMP Reference Manual).

use serde_json::Value as Json;

qapi_enum! {
    /// What the machine does.
    RunStateName {
        /// A core met a breakpoint or watchpoint.
        Debug = "debug",
        /// The guest says that it has crashed.
        GuestPanicked = "guest-panicked",
        /// A core cannot go on, for a reason that is none of the guest's.
        InternalError = "internal-error",
        /// Somebody stopped it.
        Paused = "paused",
        /// It has not run yet.
        Prelaunch = "prelaunch",
        /// It runs.
        Running = "running",
        /// The guest has powered off, and the user wants the machine kept.
        Shutdown = "shutdown",
    }
    /// Why the machine ends or is reset.
    ShutdownCause {
        /// `quit`.
        HostQmpQuit = "host-qmp-quit",
        /// `system_reset`.
        HostQmpSystemReset = "host-qmp-system-reset",
        /// A signal to the process.
        HostSignal = "host-signal",
        /// The terminal's way to end.
        HostUi = "host-ui",
        /// The guest powered off.
        GuestShutdown = "guest-shutdown",
        /// The guest asked for a reset.
        GuestReset = "guest-reset",
        /// The guest crashed.
        GuestPanic = "guest-panic",
    }
    /// The type of an option's key.
    ParameterType {
        /// Text.
        String = "string",
        /// `on` or `off`.
        Boolean = "boolean",
        /// A number.
        Number = "number",
        /// A number with a unit.
        Size = "size",
    }
    /// How a processor model is told of.
    ExpansionType {
        /// By what never changes: no model here has such a description.
        Static = "static",
        /// With all that can be set.
        Full = "full",
    }
    /// What becomes of a machine whose guest says that it has crashed.
    PanicAction {
        /// It is stopped.
        Pause = "pause",
        /// It ends.
        Poweroff = "poweroff",
        /// It goes on.
        Run = "run",
    }
    /// Capabilities that a client may ask for: there are none yet.
    QmpCapability {
        /// Commands that overtake others. It is not offered.
        Oob = "oob",
    }
}

qapi_object! {
    /// A version in numbers.
    VersionTriple {
        /// The first number.
        major: u64,
        /// The second.
        minor: u64,
        /// The third.
        micro: u64,
    }
    /// Which QEMU this is like, and what it is.
    VersionInfo {
        /// The version whose behaviour this is.
        qemu: VersionTriple,
        /// The program.
        package: String,
    }
    /// Whether the machine runs.
    StatusInfo {
        /// It runs.
        running: bool,
        /// What it does.
        status: RunStateName,
    }
    /// The guest's name.
    NameInfo {
        /// Where it has one.
        name: Option<String>,
    }
    /// The arguments of `qmp_capabilities`.
    Capabilities {
        /// What to switch on.
        enable: Option<Vec<QmpCapability>>,
    }
    /// A command.
    CommandInfo {
        /// Its name.
        name: String,
    }
    /// An event.
    EventInfo {
        /// Its name.
        name: String,
    }
    /// What runs the guest's processors.
    KvmInfo {
        /// It is KVM.
        enabled: bool,
        /// The program knows KVM.
        present: bool,
    }
    /// The architecture.
    TargetInfo {
        /// QEMU's name of it.
        arch: String,
    }
    /// A core.
    CpuInfoFast {
        /// Its number.
        cpu_index: u64,
        /// Where `qom-list` finds it.
        qom_path: String,
        /// The host's id of its thread.
        thread_id: u64,
        /// The architecture.
        target: String,
    }
    /// A character back end.
    ChardevInfo {
        /// Its name.
        label: String,
        /// What it is connected to.
        filename: String,
        /// Somebody uses it.
        frontend_open: bool,
    }
    /// An image behind a drive.
    ImageInfo {
        /// Its file.
        filename: String,
        /// Its format.
        format: String,
        /// Bytes that the guest sees.
        virtual_size: u64,
    }
    /// A medium in a drive.
    BlockDeviceInfo {
        /// Its file.
        file: String,
        /// Its name among the nodes.
        node_name: Option<String>,
        /// It cannot be written.
        ro: bool,
        /// Its format.
        drv: String,
        /// It is encrypted.
        encrypted: bool,
        /// The image.
        image: ImageInfo,
    }
    /// A drive.
    BlockInfo {
        /// Its name.
        device: String,
        /// The device that has it.
        qdev: Option<String>,
        /// What kind of drive it is; QEMU does not tell either.
        r#type: String,
        /// The medium can be changed.
        removable: bool,
        /// The guest keeps the medium from being taken out.
        locked: bool,
        /// The medium, where there is one.
        inserted: Option<BlockDeviceInfo>,
    }
    /// A board.
    MachineInfo {
        /// Its name.
        name: String,
        /// Another name.
        alias: Option<String>,
        /// It is taken where none is given.
        is_default: Option<bool>,
        /// Cores at most.
        cpu_max: u64,
        /// Cores can be added to a running machine.
        hotpluggable_cpus: bool,
        /// It can be told of NUMA nodes.
        numa_mem_supported: bool,
        /// It is going to be removed.
        deprecated: bool,
        /// The processor model where none is given.
        default_cpu_type: Option<String>,
        /// The name of its memory.
        default_ram_id: Option<String>,
        /// It has ACPI tables.
        acpi: bool,
    }
    /// A processor model.
    CpuDefinitionInfo {
        /// Its name.
        name: String,
        /// Its type among the objects.
        typename: String,
        /// Its meaning does not change.
        r#static: bool,
        /// It is going to be removed.
        deprecated: bool,
    }
    /// A thread for devices.
    IoThreadInfo {
        /// Its name.
        id: String,
        /// The host's id.
        thread_id: u64,
    }
    /// How much memory the guest has.
    MemoryInfo {
        /// Bytes at the start.
        base_memory: u64,
        /// Bytes that were added since.
        plugged_memory: Option<u64>,
    }
    /// The UUID.
    UuidInfo {
        /// In the usual text form.
        uuid: String,
    }
    /// A property of an object.
    ObjectPropertyInfo {
        /// Its name.
        name: String,
        /// Its type; `child<TYPE>` for an object.
        r#type: String,
        /// What it is for.
        description: Option<String>,
        /// What it is where nothing is given.
        default_value: Option<Any>,
    }
    /// A type of objects.
    ObjectTypeInfo {
        /// Its name.
        name: String,
        /// There are none of the type itself.
        r#abstract: Option<bool>,
        /// What it is a kind of.
        parent: Option<String>,
    }
    /// The arguments of `qom-list-types`.
    ListTypes {
        /// Only kinds of this.
        implements: Option<String>,
        /// Types of which there are no objects, too.
        r#abstract: Option<bool>,
    }
    /// The arguments of `device-list-properties` and `qom-list-properties`.
    TypeName {
        /// The type.
        typename: String,
    }
    /// A key of an option.
    CommandLineParameterInfo {
        /// Its name.
        name: String,
        /// Its type.
        r#type: ParameterType,
        /// What it is for.
        help: Option<String>,
        /// What it is where nothing is given.
        default: Option<String>,
    }
    /// An option of the command line.
    CommandLineOptionInfo {
        /// Its name without dash.
        option: String,
        /// Its keys.
        parameters: Vec<CommandLineParameterInfo>,
    }
    /// The arguments of `query-command-line-options`.
    OptionName {
        /// Only this one.
        option: Option<String>,
    }
    /// Something that a migration may do.
    MigrationCapabilityStatus {
        /// Its name.
        capability: String,
        /// It is to be done.
        state: bool,
    }
    /// The arguments of `migrate-set-capabilities`.
    SetCapabilities {
        /// What is to be done and what not.
        capabilities: Vec<MigrationCapabilityStatus>,
    }
    /// A version of the Generic Interrupt Controller.
    GicCapability {
        /// Its number.
        version: u64,
        /// There is a model of it.
        emulated: bool,
        /// The host's kernel has one for its virtual machines.
        kernel: bool,
    }
    /// The arguments of `query-named-block-nodes`.
    ListNodes {
        /// Without what nodes are made of; nothing is told of that.
        flat: Option<bool>,
    }
    /// A processor model and what is set of it.
    CpuModelInfo {
        /// Its name.
        name: String,
        /// Features, by name.
        props: Option<Any>,
    }
    /// The arguments of `query-cpu-model-expansion`.
    ExpandModel {
        /// How.
        r#type: ExpansionType,
        /// Which.
        model: CpuModelInfo,
    }
    /// An answer of `query-cpu-model-expansion`.
    CpuModelExpansionInfo {
        /// The model.
        model: CpuModelInfo,
    }
    /// What `GUEST_PANICKED` tells.
    PanicInfo {
        /// What becomes of the machine.
        action: PanicAction,
    }
    /// The arguments of `qom-list`.
    QomList {
        /// Where the object is.
        path: String,
    }
    /// The arguments of `qom-get`.
    QomGet {
        /// Where the object is.
        path: String,
        /// Which of its properties.
        property: String,
    }
    /// The arguments of `memsave`.
    MemSave {
        /// The first virtual address.
        val: u64,
        /// Bytes.
        size: u64,
        /// Where to.
        filename: String,
        /// By which core's translation; that of the first one otherwise.
        cpu_index: Option<u64>,
    }
    /// The arguments of `pmemsave`.
    PmemSave {
        /// The first physical address.
        val: u64,
        /// Bytes.
        size: u64,
        /// Where to.
        filename: String,
    }
    /// The arguments of `screendump`.
    ScreenDump {
        /// Where to, as a portable pixmap.
        filename: String,
    }
    /// The arguments of `human-monitor-command`.
    HumanCommand {
        /// The line.
        command_line: String,
        /// The core that it is about; the first one otherwise.
        cpu_index: Option<u64>,
    }
    /// The data of SHUTDOWN and RESET.
    CauseInfo {
        /// The guest asked for it.
        guest: bool,
        /// Why.
        reason: ShutdownCause,
    }
}

/// A value of any type.
pub type Any = Json;
