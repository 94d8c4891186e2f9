//! From what the command line asks for to a machine that is ready to run.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use proteus_exec::Vcpu;
use proteus_exec::sched::Workers;
use proteus_host::chardev::Chardevs;
use proteus_loader::{load_kernel_file, read_file};
use proteus_machines::{Architecture, Board, BoardConfig, BuiltBoard, Firmware, Seeds};
use proteus_model::{Clock, EntropySource, SystemRequest};
use proteus_monitor::{Monitor, Rom, Subject};

use super::chardevs::{Binding, Consoles};
use super::cores::{Executor, IRQCHIP, Plan, Processors};
use super::devices::{self, Backends, Peer};
use super::endings::Control;
use super::monitor::{self, About};
use super::network::Networks;
use super::semihost::Host;
use super::storage::Storage;
use crate::config::*;
use crate::error::{Problem, UsageError, shorten};
use crate::target::TargetName;

/// The largest file taken for a device tree.
const LARGEST_TREE: u64 = 2 << 20;
/// The largest file taken for firmware: what the largest flash of any board holds.
const LARGEST_FIRMWARE: u64 = 256 << 20;
/// The date at the start of a run that must repeat: 2026-01-01.
const FIXED_DATE: i64 = 1_767_225_600;

/// A machine with everything that is connected to it.
pub struct Emulator {
    /// The machine and what is loaded into it.
    pub built: BuiltBoard,
    /// The cores.
    pub cpus: Vec<Box<dyn Vcpu>>,
    /// How the cores run.
    pub plan: Plan,
    /// The back ends; they live as long as the machine.
    pub chardevs: Arc<Chardevs>,
    /// Takes commands to the run loop.
    pub control: Arc<Control>,
    /// The networks nothing else keeps.
    pub networks: Networks,
    /// The threads of the cores.
    pub workers: Workers,
    /// The debugger's stub.
    pub debugger: Option<proteus_gdb::Stub>,
    /// The monitors.
    pub monitors: Vec<Monitor>,
    /// Lets the monitors begin.
    pub open_monitors: Option<Box<dyn FnOnce()>>,
}

/// The board of the command line.
pub fn board(config: &Config) -> Result<&'static Board, UsageError> {
    let program = &config.program;
    let Some(name) = &config.machine else {
        let text = "No machine specified, and there is no default\nUse -machine help to list supported machines";
        return Err(UsageError { program: program.clone(), message: text.into() });
    };
    proteus_machines::find(name).ok_or_else(|| UsageError {
        program: program.clone(),
        message: format!("-machine {}: unsupported machine type\nUse -machine help to list supported machines", shorten(&crate::error::clean(name))),
    })
}

/// What the processors are: as the program's name says, or else what the board has, and where that
/// leaves a choice as the kernel is.
fn architecture(config: &Config, target: Option<TargetName>, board: &Board) -> Result<Architecture, UsageError> {
    let wanted = target.map(TargetName::architecture);
    match (wanted, board.targets) {
        (Some(wanted), targets) if targets.contains(&wanted) => Ok(wanted),
        (Some(_), _) => {
            let text =
                format!("-machine {}: unsupported machine type\nUse -machine help to list supported machines; proteus takes those of every target", board.name);
            Err(UsageError { program: config.program.clone(), message: text })
        }
        (None, [only]) => Ok(*only),
        (None, targets) => {
            let kernel = config.kernel.as_ref().and_then(|path| load_kernel_file(path, LARGEST_FIRMWARE).ok()).and_then(|k| k.image.architecture());
            Ok(kernel.filter(|a| targets.contains(a)).or(targets.first().copied()).unwrap_or(Architecture::Aarch64))
        }
    }
}

/// Refuses what has been understood and leads nowhere yet.
fn refuse_missing(config: &Config, board: &Board) -> Result<(), UsageError> {
    let fail = |at: &str, text: &str| Err(Problem::new(text).at(&config.program, at));
    let missing = |at: &str| fail(at, "understood by QEMU, not yet implemented in Proteus");
    let paired: &[(bool, &str)] = &[
        (config.loadvm.is_some(), "-loadvm"),
        (config.incoming.is_some(), "-incoming"),
        (config.daemonize, "-daemonize"),
        (config.messages != Messages::default(), "-msg"),
        (config.memory.slots > 0 || config.memory.max_size.is_some(), "-m slots,maxmem"),
    ];
    if let Some((_, at)) = paired.iter().find(|(given, _)| *given) {
        return missing(at);
    }
    if config.boot != Boot::default() && !board.takes.contains(&"-boot") {
        return fail("-boot", &format!("the firmware of {} takes no boot order", board.name));
    }
    devices::check_objects(config)?;
    match config.vga.as_deref() {
        None => {}
        Some("none") => {}
        Some("std") if board.takes.contains(&"-vga") => {}
        Some(vga) if board.takes.contains(&"-vga") => return fail(&format!("-vga {}", shorten(vga)), "there are std and none"),
        Some(vga) => return fail(&format!("-vga {}", shorten(vga)), &format!("{} has no graphics card; give none", board.name)),
    }
    if let Some(display) = config.display.as_ref().filter(|d| d.kind != "none") {
        return fail(&format!("-display {}", shorten(&display.kind)), "there is no display yet; give none");
    }
    let silent = |t: &CharTarget| matches!(t, CharTarget::None) || matches!(t, CharTarget::Own { chardev, .. } if chardev.backend == "null");
    if !config.parallels.iter().all(silent) {
        return fail("-parallel", "no board has a parallel port yet; give none");
    }
    if config.actions.watchdog != WatchdogAction::Reset {
        return fail("-action watchdog", "no board has a watchdog yet");
    }
    if config.rtc.base == RtcBase::LocalTime {
        return fail("-rtc base=localtime", "understood by QEMU, not yet implemented in Proteus; give utc or a date");
    }
    if config.rtc.slew || (config.rtc.clock == RtcClock::Rt && config.icount.is_some()) {
        return fail("-rtc", "driftfix=slew, and clock=rt with -icount, are not implemented; virtual time moves the date");
    }
    Ok(())
}

/// The BIOS of the graphics card.
const GRAPHICS_BIOS: &str = "vgabios-stdvga.bin";
/// Where Debian's packages have firmware.
const FIRMWARE_DIRS: [&str; 2] = ["/usr/share/seabios", "/usr/share/qemu"];

/// The board's own firmware, which is not built in: from the directories of `-L`, or where packages
/// have it.
fn own_firmware(config: &Config, board: &Board, name: &str) -> Result<Firmware, UsageError> {
    let packaged = FIRMWARE_DIRS.iter().map(PathBuf::from);
    let path = config.data_dirs.iter().cloned().chain(packaged).map(|dir| dir.join(name)).find(|p| p.exists());
    let Some(path) = path else {
        let text = format!("{name} is not in {}; install Debian's package seabios, or give -L DIRECTORY or -bios FILE", FIRMWARE_DIRS.join(" or "));
        return Err(Problem(text).at(&config.program, &format!("-machine {}", board.name)));
    };
    let bytes = read_file(&path, LARGEST_FIRMWARE).map_err(|e| Problem(e.to_string()).at(&config.program, &format!("-machine {}", board.name)))?;
    Ok(Firmware { name: path.display().to_string(), bytes })
}

/// A file of the command line; a bare name is looked for in the directories of `-L` too.
fn find_firmware(config: &Config, path: &Path) -> PathBuf {
    let bare = path.components().count() == 1;
    let places = config.data_dirs.iter().map(|dir| dir.join(path)).find(|p| bare && !path.exists() && p.exists());
    places.unwrap_or_else(|| path.to_path_buf())
}

/// Reads the files and puts together what the board is built from.
fn board_config(config: &Config, board: &Board, plan: &Plan) -> Result<BoardConfig, UsageError> {
    let program = &config.program;
    let memory = config.memory.size.unwrap_or(board.default_memory);
    if memory > board.max_memory {
        let text = format!("{} has at most {} MiB of memory", board.name, board.max_memory >> 20);
        return Err(Problem(text).at(program, "-m"));
    }
    let mut b = BoardConfig::new(plan.board_cpu(), plan.cores, memory);
    b.interrupts = plan.interrupts();
    b.properties = config.machine_properties.0.clone();
    if plan.executor == Executor::Kvm {
        b.properties.retain(|(key, _)| key != IRQCHIP);
    }
    let fail = |at: &str, e: proteus_loader::LoadError| Problem(e.to_string()).at(program, at);
    if let Some(path) = &config.kernel {
        b.kernel = Some(load_kernel_file(path, memory).map_err(|e| fail("-kernel", e))?);
    }
    if let Some(path) = &config.initrd {
        b.initrd = Some(read_file(path, memory).map_err(|e| fail("-initrd", e))?);
    }
    if let Some(path) = &config.dtb {
        b.dtb = Some(read_file(path, LARGEST_TREE).map_err(|e| fail("-dtb", e))?);
    }
    if let Some(path) = config.firmware.as_ref().filter(|p| p.as_os_str() != "none") {
        let path = find_firmware(config, path);
        let bytes = read_file(&path, LARGEST_FIRMWARE).map_err(|e| fail("-bios", e))?;
        b.firmware = Some(Firmware { name: path.display().to_string(), bytes });
    }
    b.uuid = config.uuid;
    if let (None, Some(name)) = (&config.firmware, board.firmware) {
        b.firmware = Some(own_firmware(config, board, name)?);
    }
    b.graphics = board.takes.contains(&"-vga") && (config.vga.as_deref() == Some("std") || config.vga.is_none() && !config.nodefaults);
    if b.graphics {
        b.graphics_rom = Some(own_firmware(config, board, GRAPHICS_BIOS)?);
    }
    let given = config.boot.clone();
    b.boot = proteus_machines::Boot { order: given.order, once: given.once, menu: given.menu == Some(true), strict: given.strict == Some(true) };
    for item in &config.fw_cfg {
        let at = format!("-fw_cfg {}", shorten(&item.name));
        let contents = match &item.contents {
            FwCfgContents::Text(text) => text.clone().into_bytes(),
            FwCfgContents::File(path) => read_file(path, LARGEST_FIRMWARE).map_err(|e| fail(&at, e))?,
            FwCfgContents::Object(_) => return Err(Problem::new("gen_id: understood by QEMU, not yet implemented in Proteus").at(program, &at)),
        };
        b.fw_cfg.push((item.name.clone(), contents));
    }
    b.command_line = config.append.clone().filter(|a| !a.is_empty());
    let repeatable = plan.icount.is_some();
    b.clock = Arc::new(if repeatable { Clock::virtual_time() } else { Clock::host() });
    b.entropy = match (config.seed, repeatable) {
        (Some(seed), _) => EntropySource::Seeded(seed),
        (None, true) => EntropySource::Seeded(0),
        (None, false) => EntropySource::Host(Box::new(host_entropy)),
    };
    b.seeds = seeds(config.seed, repeatable);
    b.wall_clock = match (config.rtc.base, repeatable) {
        (RtcBase::At(seconds), _) => seconds.max(0) as u64 * 1_000_000_000,
        (_, true) => FIXED_DATE as u64 * 1_000_000_000,
        (_, false) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64),
    };
    Ok(b)
}

fn host_entropy(to: &mut [u8]) {
    let mut done = 0;
    while done < to.len() {
        match rustix::rand::getrandom(&mut to[done..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => done += n,
            Err(rustix::io::Errno::INTR) => {}
            // Linux has had the call since 3.17; without it there is no entropy to give.
            Err(_) => return,
        }
    }
}

/// Seeds of the device tree: the host's entropy, or made of `-seed` where runs must repeat.
pub fn seeds(seed: Option<u64>, repeatable: bool) -> Seeds {
    let mut bytes = [0; 40];
    match seed.or(repeatable.then_some(0)) {
        None => host_entropy(&mut bytes),
        Some(seed) => {
            let mut state = seed;
            for chunk in bytes.chunks_exact_mut(8) {
                // SplitMix64.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
            }
        }
    }
    let (kaslr, rng) = bytes.split_at(8);
    let mut out = Seeds { kaslr: kaslr.iter().fold(0, |n, b| n << 8 | u64::from(*b)), ..Seeds::default() };
    out.rng.copy_from_slice(rng);
    out
}

/// Builds everything. Nothing runs yet.
pub fn build(config: &Config, target: Option<TargetName>) -> Result<Emulator, UsageError> {
    let program = &config.program;
    let board = board(config)?;
    refuse_missing(config, board)?;
    let plan = Plan::new(config, board, architecture(config, target, board)?)?;
    let mut b = board_config(config, board, &plan)?;
    let mut storage = Storage::open(config, board)?;
    let mut networks = Networks::start(config)?;
    let control = Control::new();
    let consoles = Consoles::new(config, &control)?;
    // The first front end of a shared back end has the focus, so serial ports come first.
    let mut serials = Vec::new();
    let mut shared = Vec::new();
    for (n, target) in config.serials.iter().enumerate() {
        let (binding, monitor) = consoles.target(&format!("-serial ({n})"), target)?;
        b.serials.push(binding.port());
        serials.push(binding);
        shared.extend(monitor);
    }
    let plugged = devices::plug(config, board, &mut Backends { storage: &mut storage, networks: &mut networks, consoles: &consoles })?;
    b.devices = plugged.devices;
    b.loader = plugged.loader;
    b.pflash = std::mem::take(&mut storage.pflash);
    b.ide = std::mem::take(&mut storage.ide);
    let subject = Arc::new(OnceLock::new());
    let monitors = monitor::start(config, &consoles, &shared, &control, &subject)?;
    let debugger = super::gdb::start(config, &consoles, &control, &subject)?;
    let (memory, wall_clock) = (b.memory, b.wall_clock);
    let built = (board.build)(b).map_err(|e| Problem(e.to_string()).at(program, &format!("-machine {}", board.name)))?;

    let machine = &built.machine;
    let mut waiting = serials.iter().filter(|s| !matches!(s, Binding::None));
    for port in &built.ports {
        let sender = machine.port(port.device, &port.port);
        match plugged.peers.iter().find(|(name, p, _)| *name == port.name && *p == port.port) {
            Some((_, _, Peer::Char(binding))) => binding.connect(sender),
            Some((_, _, Peer::Net(link))) => sender.into_iter().for_each(|s| link.connect(s)),
            // Ports of the board itself are its serial ports, in their order.
            None if port.port == "chardev" => waiting.next().into_iter().for_each(|s| s.connect(sender.clone())),
            None => {}
        }
    }
    if waiting.next().is_some() {
        let n = built.ports.iter().filter(|p| p.port == "chardev" && !plugged.peers.iter().any(|(name, ..)| *name == p.name)).count();
        let text = format!("{} has {n} serial port(s); take the others from the command line, or give none", board.name);
        return Err(Problem(text).at(program, "-serial"));
    }
    for id in networks.unused() {
        crate::error::say(format_args!("{program}: warning: netdev {id} has no peer"));
    }
    let door = Arc::downgrade(machine);
    consoles.on_exit(move |code| {
        if let Some(machine) = door.upgrade() {
            machine.request(SystemRequest::Exit(code));
        }
    });
    let semihosting = Host::answering(config, &consoles, &built, memory, wall_clock, &control)?;
    let Processors { cores: mut cpus, describe } = plan.build(program, &built, semihosting)?;
    built.load().map_err(|e| Problem(e.to_string()).at(program, &format!("-machine {}", board.name)))?;
    cpus.iter_mut().for_each(|cpu| cpu.reset());
    let chardevs = Arc::new(consoles.all);
    // In turns, the run loop's thread executes them all.
    let turns = plan.icount.is_some();
    let workers = Workers::start(if turns { 0 } else { plan.cores }, thread_id)
        .map_err(|e| Problem(format!("cannot start the processors' threads: {e}")).at(program, "-smp"))?;
    control.set_threads(if turns { vec![thread_id(); plan.cores] } else { workers.ids() });
    let architecture = plan.board_cpu().architecture;
    let host = About {
        architecture,
        chardevs: Arc::downgrade(&chardevs),
        blocks: std::mem::take(&mut storage.list),
        nodes: std::mem::take(&mut storage.nodes),
        networks: network_lines(config),
        roms: built.loaded().into_iter().map(|(name, address, size)| Rom { name, address, size }).collect(),
        executor: describe,
        power_button: built.has_power_button(),
        kvm: plan.executor == Executor::Kvm,
    };
    let about = Subject {
        runner: control.clone(),
        machine: Arc::downgrade(machine),
        host: Box::new(host),
        target: target_name(architecture),
        name: config.name.guest.clone(),
        uuid: config.uuid.unwrap_or_default(),
        memory,
        peripherals: config.devices.iter().filter_map(|d| d.id.clone()).collect(),
    };
    let open_monitors = Box::new(move || drop(subject.set(about)));
    Ok(Emulator { built, cpus, plan, chardevs, control, networks, workers, debugger, monitors, open_monitors: Some(open_monitors) })
}

/// The host's id of this thread.
fn thread_id() -> u64 {
    rustix::thread::gettid().as_raw_nonzero().get() as u64
}

/// QEMU's name of an architecture.
fn target_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Aarch64 => "aarch64",
        Architecture::Arm => "arm",
        Architecture::X86 => "i386",
        Architecture::X86_64 => "x86_64",
        Architecture::RiscV { .. } => "riscv64",
        Architecture::Mips { is_64: false, big_endian: true } => "mips",
        Architecture::Mips { is_64: false, big_endian: false } => "mipsel",
        Architecture::Mips { is_64: true, big_endian: true } => "mips64",
        Architecture::Mips { is_64: true, big_endian: false } => "mips64el",
    }
}

/// The networks of the command line, for `info network`.
fn network_lines(config: &Config) -> String {
    let options = |p: &crate::keyval::KeyValues| p.0.iter().map(|(k, v)| format!(",{k}={v}")).collect::<String>();
    let mut out = String::new();
    for n in &config.netdevs {
        out.push_str(&format!("{}: type={}{}\n", n.id, n.kind, options(&n.properties)));
    }
    for nic in &config.nics {
        match nic {
            Nic::Both { kind, properties } | Nic::Backend { kind, properties } => out.push_str(&format!("nic: type={kind}{}\n", options(properties))),
            Nic::Interface(properties) => out.push_str(&format!("nic: type=nic{}\n", options(properties))),
            Nic::None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_repeat_when_they_must() {
        assert_eq!(seeds(Some(1), false), seeds(Some(1), true));
        assert_ne!(seeds(Some(1), true), seeds(Some(2), true));
        assert_eq!(seeds(None, true), seeds(Some(0), false));
        assert_ne!(seeds(None, false), seeds(None, false));
    }
}
