//! The board, its processors, its memory, what it boots and what is plugged into it.

use super::topology::SMP_KEYS;
use super::{Draft, HelpRequest, Row, option, required, row, take_id};
use crate::config::*;
use crate::error::{Problem, shorten};
use crate::keyval::{HelpWanted, KeyValues, choice, identifier};

pub(super) const ROWS: &[Row] = &[
    row::<MachineOption>(),
    row::<CpuOption>(),
    row::<SmpOption>(),
    row::<MemoryOption>(),
    row::<Accel>(),
    row::<EnableKvm>(),
    row::<Kernel>(),
    row::<Initrd>(),
    row::<Append>(),
    row::<Dtb>(),
    row::<Bios>(),
    row::<DataDir>(),
    row::<BootOption>(),
    row::<Device>(),
    row::<GlobalOption>(),
    row::<Object>(),
    row::<FwCfgOption>(),
    row::<NoDefaults>(),
    row::<NoUserConfig>(),
];

option! {
    /// The board and its properties ('-machine help' lists boards, '-machine NAME,help' a board's properties)
    MachineOption: "machine" | "M" => "[type=]NAME[,PROPERTY=VALUE]...", |draft, text| {
        let mut given = KeyValues::parse(text, Some("type"))?;
        match given.help_wanted("type") {
            HelpWanted::List => draft.wants(HelpRequest::Machines),
            HelpWanted::Of(name) => draft.wants(HelpRequest::MachineProperties(name)),
            HelpWanted::No => {}
        }
        if let Some(name) = given.take("type") {
            if name.is_empty() {
                return Err("the board's name is empty; see -machine help".into());
            }
            draft.config.machine = Some(name);
        }
        let config = &mut draft.config;
        config.kernel = given.take("kernel").map(Into::into).or(config.kernel.take());
        config.initrd = given.take("initrd").map(Into::into).or(config.initrd.take());
        config.append = given.take("append").or(config.append.take());
        config.dtb = given.take("dtb").map(Into::into).or(config.dtb.take());
        config.dumpdtb = given.take("dumpdtb").map(Into::into).or(config.dumpdtb.take());
        config.firmware = given.take("firmware").map(Into::into).or(config.firmware.take());
        draft.machine_accel = given.take("accel").or(draft.machine_accel.take());
        draft.smp.0.append(&mut given.take_prefixed("smp.").0);
        draft.boot.0.append(&mut given.take_prefixed("boot.").0);
        for (key, value) in given.take_prefixed("memory.").0 {
            draft.memory.push(if key == "max-size" { "maxmem" } else { &key }, value);
        }
        for (key, value) in given.0 {
            draft.config.machine_properties.take(&key);
            draft.config.machine_properties.push(&key, value);
        }
    }
}

option! {
    /// Processor model and features ('-cpu help' lists models)
    CpuOption: "cpu" => "MODEL[,FEATURE=VALUE|,+FEATURE|,-FEATURE]...", |draft, text| {
        let mut parts = text.split(',');
        let model = parts.next().unwrap_or_default();
        if matches!(model, "help" | "?") {
            draft.wants(HelpRequest::Cpus);
        }
        if model.is_empty() || model.contains('=') {
            return Err("the first part is a processor model, as in '-cpu cortex-a57'; see -cpu help".into());
        }
        let mut features = Vec::new();
        for part in parts {
            let (name, value) = match (part.split_once('='), part.split_at_checked(1)) {
                (Some(pair), _) => pair,
                (None, Some(("+", name))) => (name, "on"),
                (None, Some(("-", name))) => (name, "off"),
                (None, _) => (part, "on"),
            };
            if name.is_empty() {
                return Err(format!("'{}' is not a feature; write NAME=on or NAME=off", shorten(part)).into());
            }
            features.push((name.to_string(), value.to_string()));
        }
        draft.config.cpu = Some(Cpu { model: model.into(), features });
    }
}

option! {
    /// Number of processors and their arrangement
    SmpOption: "smp" => "[cpus=]N[,maxcpus=N][,sockets=N][,dies=N][,clusters=N][,cores=N][,threads=N]", |draft, text| {
        let given = KeyValues::parse(text, Some("cpus"))?;
        let unknown = given.0.iter().filter(|(key, _)| !SMP_KEYS.contains(&key.as_str()));
        KeyValues(unknown.cloned().collect()).nothing_left(SMP_KEYS)?;
        draft.smp.0.extend(given.0);
        draft.smp_text = text.into();
    }
}

const MEMORY_KEYS: &[&str] = &["size", "slots", "maxmem"];

option! {
    /// Guest memory: mebibytes, or with a suffix K, M, G, T
    MemoryOption: "m" => "[size=]SIZE[,slots=N,maxmem=SIZE]", |draft, text| {
        let given = KeyValues::parse(text, Some("size"))?;
        let unknown = given.0.iter().filter(|(key, _)| !MEMORY_KEYS.contains(&key.as_str()));
        KeyValues(unknown.cloned().collect()).nothing_left(MEMORY_KEYS)?;
        draft.memory.0.extend(given.0);
    }
}

/// Reads one accelerator with its properties.
pub(super) fn accelerator(mut given: KeyValues) -> Result<Accelerator, Problem> {
    let name = required(&mut given, "accel", "-accel tcg")?;
    let kind = choice("accel", &name, AcceleratorKind::NAMES)?;
    let threads = [("single", TcgThread::Single), ("multi", TcgThread::Multi)];
    let thread = given.take_choice("thread", &threads)?;
    let code_size = given.take_size("tb-size", 1 << 20)?.filter(|&size| size != 0);
    let compile_after = match given.take_number("compile-after")? {
        None => None,
        Some(n) => Some(u32::try_from(n).ok().filter(|&n| n != 0).ok_or("compile-after: must be from 1 to 4294967295")?),
    };
    if kind != AcceleratorKind::Tcg && (thread.is_some() || code_size.is_some() || compile_after.is_some()) {
        return Err("'thread', 'tb-size' and 'compile-after' are properties of tcg only".into());
    }
    Ok(Accelerator { kind, thread, code_size, compile_after, properties: given })
}

option! {
    /// What runs the processors; given again, what to fall back to ('-accel help' lists them)
    Accel: "accel" => "[accel=]tcg|kvm[,thread=single|multi][,tb-size=MIB][,compile-after=N]", |draft, text| {
        let given = KeyValues::parse(text, Some("accel"))?;
        if given.help_wanted("accel") != HelpWanted::No {
            draft.wants(HelpRequest::Accelerators);
            return Ok(());
        }
        draft.config.accelerators.push(accelerator(given)?);
    }
}

option! {
    /// The same as '-accel kvm'
    EnableKvm: "enable-kvm", |draft| {
        draft.config.accelerators.push(accelerator(KeyValues::parse("kvm", Some("accel"))?)?);
    }
}

option! {
    /// Kernel: Linux Image (also gzip), ELF, uImage, or raw bytes
    Kernel: "kernel" => "FILE", |draft, text| { draft.config.kernel = Some(file(text)?.into()); }
}

option! {
    /// Initial RAM disk for the kernel
    Initrd: "initrd" => "FILE", |draft, text| { draft.config.initrd = Some(file(text)?.into()); }
}

option! {
    /// Command line for the kernel
    Append: "append" => "TEXT", |draft, text| { draft.config.append = Some(text.into()); }
}

option! {
    /// Device tree instead of the board's own
    Dtb: "dtb" => "FILE", |draft, text| { draft.config.dtb = Some(file(text)?.into()); }
}

option! {
    /// Firmware, as the board's manual places it
    Bios: "bios" => "FILE", |draft, text| { draft.config.firmware = Some(file(text)?.into()); }
}

option! {
    /// Directory to look for firmware in
    DataDir: "L" => "DIRECTORY", |draft, text| {
        if matches!(text, "help" | "?") {
            draft.wants(HelpRequest::DataDirs);
        } else {
            draft.config.data_dirs.push(file(text)?.into());
        }
    }
}

/// A file name that is one.
pub(super) fn file(name: &str) -> Result<&str, Problem> {
    if name.is_empty() { Err("the file name is empty".into()) } else { Ok(name) }
}

option! {
    /// What to boot from, by drive letters a to p
    BootOption: "boot" => "[order=]LETTERS[,once=LETTERS][,menu=on|off][,strict=on|off]", |draft, text| {
        draft.boot.0.extend(KeyValues::parse(text, Some("order"))?.0);
    }
}

option! {
    /// Add a device ('-device help' lists them, '-device DRIVER,help' a device's properties)
    Device: "device" => "DRIVER[,id=ID][,PROPERTY=VALUE]... | JSON", |draft, text| {
        let mut given = KeyValues::parse_or_json(text, Some("driver"))?;
        match given.help_wanted("driver") {
            HelpWanted::List => { draft.wants(HelpRequest::Devices); return Ok(()); }
            HelpWanted::Of(name) => { draft.wants(HelpRequest::DeviceProperties(name)); return Ok(()); }
            HelpWanted::No => {}
        }
        let driver = required(&mut given, "driver", "-device virtio-blk-device,drive=hd0")?;
        let id = take_id(&mut given)?;
        draft.config.devices.push(DeviceConfig { driver, id, properties: given });
    }
}

option! {
    /// Another default for a property of all devices of a type
    GlobalOption: "global" => "DRIVER.PROPERTY=VALUE | driver=DRIVER,property=PROPERTY,value=VALUE", |draft, text| {
        let short = text.split_once('=').and_then(|(left, value)| {
            let (driver, property) = left.split_once('.')?;
            (!left.contains(',')).then(|| Global {
                driver: driver.into(), property: property.into(), value: value.into(),
            })
        });
        let global = match short {
            Some(global) => global,
            None => {
                let example = "-global virtio-mmio.force-legacy=false";
                let mut given = KeyValues::parse(text, None)?;
                let global = Global {
                    driver: required(&mut given, "driver", example)?,
                    property: required(&mut given, "property", example)?,
                    value: required(&mut given, "value", example)?,
                };
                given.nothing_left(&["driver", "property", "value"])?;
                global
            }
        };
        if global.driver.is_empty() || global.property.is_empty() {
            return Err("driver and property have names, as in '-global virtio-mmio.force-legacy=false'".into());
        }
        draft.config.globals.push(global);
    }
}

option! {
    /// Add an object that devices refer to ('-object help' lists types)
    Object: "object" => "TYPE,id=ID[,PROPERTY=VALUE]... | JSON", |draft, text| {
        let mut given = KeyValues::parse_or_json(text, Some("qom-type"))?;
        match given.help_wanted("qom-type") {
            HelpWanted::List => { draft.wants(HelpRequest::Objects); return Ok(()); }
            HelpWanted::Of(name) => { draft.wants(HelpRequest::ObjectProperties(name)); return Ok(()); }
            HelpWanted::No => {}
        }
        let example = "-object memory-backend-ram,id=mem,size=1G";
        let kind = required(&mut given, "qom-type", example)?;
        let id = required(&mut given, "id", example)?;
        identifier(&id)?;
        draft.config.objects.push(ObjectConfig { kind, id, properties: given });
    }
}

option! {
    /// Add a file that firmware and the guest's drivers find by name
    FwCfgOption: "fw_cfg" => "[name=]NAME,file=FILE|string=TEXT|gen_id=OBJECT", |draft, text| {
        const LONGEST: usize = 55;
        let mut given = KeyValues::parse(text, Some("name"))?;
        let name = required(&mut given, "name", "-fw_cfg opt/org.example/x,string=y")?;
        if name.len() > LONGEST {
            return Err(format!("the name has {} bytes; {LONGEST} is the most", name.len()).into());
        }
        let contents = (given.take("file"), given.take("string"), given.take("gen_id"));
        given.nothing_left(&["name", "file", "string", "gen_id"])?;
        let contents = match contents {
            (Some(file), None, None) => FwCfgContents::File(file.into()),
            (None, Some(string), None) => FwCfgContents::Text(string),
            (None, None, Some(id)) => FwCfgContents::Object(id),
            _ => return Err("needs one of file=, string= and gen_id=".into()),
        };
        if draft.config.fw_cfg.iter().any(|f| f.name == name) {
            return Err("there is a file of that name already".into());
        }
        draft.config.fw_cfg.push(FwCfg { name, contents });
    }
}

option! {
    /// Without the serial port, monitor and network that a machine has by default
    NoDefaults: "nodefaults", |draft| {
        draft.config.nodefaults = true;
    }
}

option! {
    /// Read no configuration files (Proteus never reads any)
    NoUserConfig: "no-user-config", |_draft| {}
}

/// Settles `-boot` when the line has been read.
pub(super) fn boot(draft: &mut Draft) -> Result<(), Problem> {
    let mut given = std::mem::take(&mut draft.boot);
    let mut letters = |key: &str| -> Result<Option<String>, Problem> {
        let Some(order) = given.take(key) else { return Ok(None) };
        let repeated = order.char_indices().any(|(i, c)| order[..i].contains(c));
        if order.is_empty() || repeated || !order.chars().all(|c| ('a'..='p').contains(&c)) {
            return Err(format!("'{key}' is drive letters from a to p, none twice, not '{}'", shorten(&order)).into());
        }
        Ok(Some(order))
    };
    let (order, once) = (letters("order")?, letters("once")?);
    let (menu, strict) = (given.take_bool("menu")?, given.take_bool("strict")?);
    for key in ["splash", "splash-time", "reboot-timeout"] {
        if given.get(key).is_some() {
            return Err(format!("'{key}' is understood by QEMU, not yet implemented in Proteus").into());
        }
    }
    given.nothing_left(&["order", "once", "menu", "strict"])?;
    draft.config.boot = Boot { order, once, menu, strict };
    Ok(())
}

/// Settles `-m` when the line has been read.
pub(super) fn memory(draft: &mut Draft) -> Result<(), Problem> {
    // Boards place memory in whole pages, of 8 KiB at most.
    const PAGE: u64 = 8192;
    const MIB: u64 = 1 << 20;
    let mut given = std::mem::take(&mut draft.memory);
    let size = given.take_size("size", MIB)?.filter(|&size| size != 0);
    let size = size.map(|size| size.checked_next_multiple_of(PAGE).ok_or("the size is too large"));
    let size = size.transpose()?;
    let slots = given.take_number("slots")?.unwrap_or(0);
    let max_size = given.take_size("maxmem", 1)?;
    given.nothing_left(MEMORY_KEYS)?;
    if max_size.is_some_and(|max| max < size.unwrap_or(0)) {
        return Err("'maxmem' is less than the memory at the start; make it as large".into());
    }
    if (slots > 0) != max_size.is_some_and(|max| Some(max) != size) {
        return Err("'slots' and a larger 'maxmem' go together; give both or neither".into());
    }
    draft.config.memory = Memory { size, slots, max_size };
    Ok(())
}

/// Settles the list of accelerators when the line has been read.
pub(super) fn accelerators(draft: &mut Draft) -> Result<(), Problem> {
    let Some(list) = draft.machine_accel.take() else { return Ok(()) };
    if !draft.config.accelerators.is_empty() {
        return Err("'accel' and the options -accel and -enable-kvm exclude each other; give one of them".into());
    }
    for name in list.split(':') {
        let mut given = KeyValues::default();
        given.push("accel", name);
        draft.config.accelerators.push(accelerator(given)?);
    }
    Ok(())
}
