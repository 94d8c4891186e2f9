//! What the command line asked for: plain, validated data. Nothing here has been opened or built.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::keyval::KeyValues;

/// Everything that a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name the program was called by, for messages.
    pub program: String,
    /// `-machine`: the board, when given.
    pub machine: Option<String>,
    /// `-machine`: properties that are not options of their own (`gic-version`, `secure`, ...).
    pub machine_properties: KeyValues,
    /// `-cpu`.
    pub cpu: Option<Cpu>,
    /// `-smp`.
    pub smp: Smp,
    /// `-m`.
    pub memory: Memory,
    /// `-accel`, `-machine accel=`, `-enable-kvm`: to be tried in this order. Empty: the default.
    pub accelerators: Vec<Accelerator>,
    /// `-kernel`, `-machine kernel=`.
    pub kernel: Option<PathBuf>,
    /// `-initrd`, `-machine initrd=`.
    pub initrd: Option<PathBuf>,
    /// `-append`, `-machine append=`.
    pub append: Option<String>,
    /// `-dtb`, `-machine dtb=`.
    pub dtb: Option<PathBuf>,
    /// `-machine dumpdtb=`: write the device tree there and exit.
    pub dumpdtb: Option<PathBuf>,
    /// `-bios`, `-machine firmware=`.
    pub firmware: Option<PathBuf>,
    /// `-L`: where to look for firmware, in this order, before the built-in places.
    pub data_dirs: Vec<PathBuf>,
    /// `-boot`.
    pub boot: Boot,
    /// `-device`.
    pub devices: Vec<DeviceConfig>,
    /// `-global`.
    pub globals: Vec<Global>,
    /// `-object`.
    pub objects: Vec<ObjectConfig>,
    /// `-fw_cfg`.
    pub fw_cfg: Vec<FwCfg>,
    /// `-drive`, `-hda` and its like, `-cdrom`, `-pflash`, `-sd` and the positional argument.
    pub drives: Vec<Drive>,
    /// `-blockdev`.
    pub blockdevs: Vec<Blockdev>,
    /// `-snapshot`: writes to disk images are lost at exit.
    pub snapshot: bool,
    /// `-netdev`.
    pub netdevs: Vec<Netdev>,
    /// `-nic` and `-net`.
    pub nics: Vec<Nic>,
    /// The board's own network interface is to be connected to a user network: neither `-netdev`,
    /// `-nic`, `-net` nor `-nodefaults` was given.
    pub default_nic: bool,
    /// `-nodefaults`.
    pub nodefaults: bool,
    /// `-chardev`.
    pub chardevs: Vec<Chardev>,
    /// Serial ports in order: `-serial`, or the default (see [`crate::options::chardev`]).
    pub serials: Vec<CharTarget>,
    /// `-parallel`.
    pub parallels: Vec<CharTarget>,
    /// `-monitor`, `-mon`, `-qmp`, `-qmp-pretty` in order, or the default.
    pub monitors: Vec<Monitor>,
    /// `-display`.
    pub display: Option<Display>,
    /// `-vga`.
    pub vga: Option<String>,
    /// `-nographic`.
    pub nographic: bool,
    /// `-echr`: the character that starts a command to the console multiplexer.
    pub escape: u8,
    /// `-gdb`, `-s`: where to wait for the debugger.
    pub gdb: Option<CharTarget>,
    /// `-S`: do not start the processors.
    pub start_paused: bool,
    /// `-d`, `-D`, `-dfilter`.
    pub log: Log,
    /// `-icount`: time follows the count of instructions.
    pub icount: Option<Icount>,
    /// `-rtc`.
    pub rtc: Rtc,
    /// `-semihosting`, `-semihosting-config`.
    pub semihosting: Option<Semihosting>,
    /// `-loadvm`: name of the snapshot to start from.
    pub loadvm: Option<String>,
    /// `-incoming`: wait for a migration stream.
    pub incoming: Option<Incoming>,
    /// `-action`, `-no-reboot`, `-no-shutdown`, `-watchdog-action`.
    pub actions: Actions,
    /// `-pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `-daemonize`.
    pub daemonize: bool,
    /// `-name`.
    pub name: Name,
    /// `-uuid`.
    pub uuid: Option<[u8; 16]>,
    /// `-seed`: of the guest's random numbers.
    pub seed: Option<u64>,
    /// `-msg`.
    pub messages: Messages,
}

/// `-cpu`: a model and what to change about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// The model: `cortex-a53`, `max`, `host`.
    pub model: String,
    /// Features in order: `("pauth-impdef", "on")`. `+feat` is `on`, `-feat` is `off`.
    pub features: Vec<(String, String)>,
}

/// `-smp`: how many processors, and how they are arranged. Consistent: the product of the levels
/// is `max_cpus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smp {
    /// Processors at the start, 1 or more.
    pub cpus: u32,
    /// Processors that may be added up to; at least `cpus`.
    pub max_cpus: u32,
    /// Sockets.
    pub sockets: u32,
    /// Dies in a socket.
    pub dies: u32,
    /// Clusters in a die.
    pub clusters: u32,
    /// Cores in a cluster.
    pub cores: u32,
    /// Threads in a core.
    pub threads: u32,
}

/// `-m`: sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// RAM at the start; `None` is the board's default.
    pub size: Option<u64>,
    /// Slots for memory that is added later.
    pub slots: u64,
    /// What RAM may be added up to.
    pub max_size: Option<u64>,
}

/// One of the accelerators to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accelerator {
    /// Which.
    pub kind: AcceleratorKind,
    /// `thread=`: how the translator runs several cores.
    pub thread: Option<TcgThread>,
    /// `tb-size=`: bytes of translated code to keep.
    pub code_size: Option<u64>,
    /// `compile-after=`: interpretations of a block before it is offered to the translator. Not
    /// an option of QEMU's.
    pub compile_after: Option<u32>,
    /// Other properties.
    pub properties: KeyValues,
}

/// The accelerators of QEMU. Those that Proteus lacks may stand in a list of fallbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceleratorKind {
    /// The translator. (The name is QEMU's.)
    Tcg,
    /// Linux's KVM.
    Kvm,
    /// macOS.
    Hvf,
    /// Windows.
    Whpx,
    /// NetBSD.
    Nvmm,
    /// Xen.
    Xen,
    /// No processor at all.
    Qtest,
    /// The translator's interpreter alone. (QEMU has no such name.)
    Interpreter,
}

impl AcceleratorKind {
    /// All names.
    pub const NAMES: &'static [(&'static str, AcceleratorKind)] = &[
        ("tcg", AcceleratorKind::Tcg),
        ("kvm", AcceleratorKind::Kvm),
        ("hvf", AcceleratorKind::Hvf),
        ("whpx", AcceleratorKind::Whpx),
        ("nvmm", AcceleratorKind::Nvmm),
        ("xen", AcceleratorKind::Xen),
        ("qtest", AcceleratorKind::Qtest),
        ("interpreter", AcceleratorKind::Interpreter),
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| *name)
    }
}

/// `-accel tcg,thread=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcgThread {
    /// Cores take turns on one host thread.
    Single,
    /// A host thread for each core.
    Multi,
}

/// `-boot`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// Drive letters to boot from, in order.
    pub order: Option<String>,
    /// The same for the first boot only.
    pub once: Option<String>,
    /// Offer a boot menu.
    pub menu: Option<bool>,
    /// Boot from nothing else.
    pub strict: Option<bool>,
}

/// `-device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// The device type.
    pub driver: String,
    /// Its name among the devices.
    pub id: Option<String>,
    /// Its properties, without driver and id.
    pub properties: KeyValues,
}

/// `-global`: another default for a device property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// The device type.
    pub driver: String,
    /// The property.
    pub property: String,
    /// Its value.
    pub value: String,
}

/// `-object`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectConfig {
    /// The type: `memory-backend-ram`, `rng-random`.
    pub kind: String,
    /// Its name among the objects.
    pub id: String,
    /// Its properties, without type and id.
    pub properties: KeyValues,
}

/// `-fw_cfg`: a file that firmware finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FwCfg {
    /// Its name in the guest, at most 55 bytes.
    pub name: String,
    /// Its contents.
    pub contents: FwCfgContents,
}

/// Where the contents of a firmware file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FwCfgContents {
    /// `string=`, without a NUL at its end.
    Text(String),
    /// `file=`.
    File(PathBuf),
    /// `gen_id=`: an object that makes them.
    Object(String),
}

/// `-drive` and the options that abbreviate it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// The option it came from, for messages.
    pub option: String,
    /// Its name, by which a device refers to it.
    pub id: Option<String>,
    /// All keys but the id: `file`, `if`, `format`, `index`, `media`, `readonly`, ...
    pub properties: KeyValues,
}

/// `-blockdev`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blockdev {
    /// Protocol or format: `file`, `qcow2`.
    pub driver: String,
    /// Its name, by which a device or another node refers to it.
    pub node_name: Option<String>,
    /// Its options; those of a node inside it have its key in front (`file.filename`).
    pub properties: KeyValues,
}

/// `-netdev`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netdev {
    /// The back end: `user`, `tap`.
    pub kind: String,
    /// Its name, by which a device refers to it.
    pub id: String,
    /// Its options, without type and id.
    pub properties: KeyValues,
}

/// `-nic` and `-net`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nic {
    /// `-nic none`, `-net none`: no default network interface.
    None,
    /// `-nic KIND`: an interface and its back end in one.
    Both {
        /// The back end: `user`, `tap`.
        kind: String,
        /// Options of both: `model`, `mac`, and the back end's.
        properties: KeyValues,
    },
    /// `-net nic`: an interface on the legacy hub.
    Interface(KeyValues),
    /// `-net user` and its like: a back end on the legacy hub.
    Backend {
        /// The back end.
        kind: String,
        /// Its options.
        properties: KeyValues,
    },
}

/// `-chardev`, and the short forms that `-serial` and others take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chardev {
    /// The back end: `stdio`, `socket`, `file`, `pipe`, `pty`, `null`, `udp`, `serial`, ...
    pub backend: String,
    /// Its name; made up (`serial0`) for the short forms.
    pub id: String,
    /// Its options, without back end and id: `path`, `host`, `port`, `server`, `wait`, `mux`, ...
    pub properties: KeyValues,
}

/// Where a serial port, monitor or debugger connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CharTarget {
    /// `none`: there is no such port.
    None,
    /// `chardev:ID`: a `-chardev` (it is there).
    Ref(String),
    /// A back end of its own.
    Own {
        /// The back end.
        chardev: Chardev,
        /// `mon:`: the monitor is on the same back end, behind the multiplexer.
        with_monitor: bool,
    },
}

/// A monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Where it connects to.
    pub target: CharTarget,
    /// What it speaks.
    pub mode: MonitorMode,
    /// JSON with line breaks.
    pub pretty: bool,
}

/// What a monitor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorMode {
    /// Commands for people (HMP).
    Readline,
    /// JSON (QMP).
    Control,
}

/// `-display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    /// `none`, `gtk`, `sdl`, `curses`, ...
    pub kind: String,
    /// Its options.
    pub properties: KeyValues,
}

/// `-d`, `-D`, `-dfilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// What to log, without repetition.
    pub items: Vec<LogItem>,
    /// Where to; `None` is standard error.
    pub file: Option<PathBuf>,
    /// Guest addresses that translation and execution logs are limited to; empty is all.
    pub ranges: Vec<RangeInclusive<u64>>,
}

/// One item of `-d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "LOG_ITEMS has the words that the user sees")]
pub enum LogItem {
    OutAsm,
    InAsm,
    Op,
    OpOpt,
    OpInd,
    Int,
    Exec,
    Cpu,
    Fpu,
    Vpu,
    Mmu,
    Pcall,
    CpuReset,
    Unimp,
    GuestErrors,
    NoChain,
    Plugin,
    Strace,
    Tid,
    Page,
    InvalidMem,
}

/// `-icount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icount {
    /// Nanoseconds of virtual time for an instruction, as a power of two.
    pub shift: IcountShift,
    /// `align=on`: hold virtual time back to host time.
    pub align: bool,
    /// `sleep=off`: when all cores idle, virtual time jumps to the next alarm.
    pub sleep: bool,
}

/// `-icount shift=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcountShift {
    /// 2^N nanoseconds, N from 0 to 10.
    Fixed(u8),
    /// Found so that virtual time keeps up with host time.
    Auto,
}

/// `-rtc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtc {
    /// `base=`: the date at the start.
    pub base: RtcBase,
    /// `clock=`: what moves it on.
    pub clock: RtcClock,
    /// `driftfix=slew`.
    pub slew: bool,
}

/// `-rtc base=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcBase {
    /// The host's date in UTC.
    Utc,
    /// The host's date in its time zone.
    LocalTime,
    /// This date, in seconds since 1970.
    At(i64),
}

/// `-rtc clock=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcClock {
    /// The host's date.
    Host,
    /// The host's monotonic clock.
    Rt,
    /// The guest's virtual time.
    Vm,
}

/// `-semihosting-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semihosting {
    /// `target=`: who serves the calls.
    pub target: SemihostingTarget,
    /// `chardev=`: the console of the calls.
    pub chardev: Option<String>,
    /// `arg=`: the guest program's arguments.
    pub args: Vec<String>,
    /// `userspace=on`: unprivileged code may call too.
    pub userspace: bool,
}

/// `-semihosting-config target=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SemihostingTarget {
    /// The debugger when one is connected, else the emulator.
    Auto,
    /// The emulator.
    Native,
    /// The debugger.
    Gdb,
}

/// `-incoming`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Wait for the monitor to say from where.
    Defer,
    /// `tcp:HOST:PORT`, `unix:PATH`, `fd:N`, `exec:COMMAND`, `file:PATH`.
    Uri(String),
}

/// What to do when the guest resets, powers off, panics or lets its watchdog bark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// On reset.
    pub reboot: RebootAction,
    /// On power-off.
    pub shutdown: ShutdownAction,
    /// On panic.
    pub panic: PanicAction,
    /// When the watchdog expires.
    pub watchdog: WatchdogAction,
}

/// `-action reboot=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootAction {
    /// Reset the machine.
    Reset,
    /// Power off instead.
    Shutdown,
}

/// `-action shutdown=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownAction {
    /// End the program.
    Poweroff,
    /// Stop the processors and stay.
    Pause,
}

/// `-action panic=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanicAction {
    /// Stop the processors and stay.
    Pause,
    /// Power off.
    Shutdown,
    /// End the program with a status other than 0.
    ExitFailure,
    /// Nothing.
    None,
}

/// `-action watchdog=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogAction {
    /// Reset the machine.
    Reset,
    /// Ask the guest to power off.
    Shutdown,
    /// Power off at once.
    Poweroff,
    /// Stop the processors.
    Pause,
    /// Say so and go on.
    Debug,
    /// Nothing.
    None,
    /// Interrupt the guest, which cannot mask it.
    InjectNmi,
}

/// `-name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// The guest's name.
    pub guest: Option<String>,
    /// The process's name.
    pub process: Option<String>,
    /// Name the threads.
    pub debug_threads: bool,
}

/// `-msg`: what stands before each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// The time.
    pub timestamp: bool,
    /// The guest's name.
    pub guest_name: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            program: String::new(),
            machine: None,
            machine_properties: KeyValues::default(),
            cpu: None,
            smp: Smp { cpus: 1, max_cpus: 1, sockets: 1, dies: 1, clusters: 1, cores: 1, threads: 1 },
            memory: Memory::default(),
            accelerators: Vec::new(),
            kernel: None,
            initrd: None,
            append: None,
            dtb: None,
            dumpdtb: None,
            firmware: None,
            data_dirs: Vec::new(),
            boot: Boot::default(),
            devices: Vec::new(),
            globals: Vec::new(),
            objects: Vec::new(),
            fw_cfg: Vec::new(),
            drives: Vec::new(),
            blockdevs: Vec::new(),
            snapshot: false,
            netdevs: Vec::new(),
            nics: Vec::new(),
            default_nic: true,
            nodefaults: false,
            chardevs: Vec::new(),
            serials: Vec::new(),
            parallels: Vec::new(),
            monitors: Vec::new(),
            display: None,
            vga: None,
            nographic: false,
            escape: 1,
            gdb: None,
            start_paused: false,
            log: Log::default(),
            icount: None,
            rtc: Rtc { base: RtcBase::Utc, clock: RtcClock::Host, slew: false },
            semihosting: None,
            loadvm: None,
            incoming: None,
            actions: Actions { reboot: RebootAction::Reset, shutdown: ShutdownAction::Poweroff, panic: PanicAction::Shutdown, watchdog: WatchdogAction::Reset },
            pidfile: None,
            daemonize: false,
            name: Name::default(),
            uuid: None,
            seed: None,
            messages: Messages::default(),
        }
    }
}
