//! The lists that `help` prints, from the tables. Programs that run QEMU search them for words.

use std::fmt::Write;
use std::path::PathBuf;

use super::catalog;
use super::cores;
use proteus_machines::{Architecture, BOARDS, Choices};
use proteus_model::{DeviceType, PropertyDefault};

use super::devices;
use crate::options::HelpRequest;
use crate::options::debug::LOG_ITEMS;
use crate::target::TargetName;
use crate::{error, help};

/// What a request prints, or an error of one line. Where the program has a `target`, only what fits
/// that is listed.
pub fn text(program: &str, request: &HelpRequest, machine: Option<&str>, target: Option<TargetName>) -> Result<String, String> {
    let target = target.map(TargetName::architecture);
    Ok(match request {
        HelpRequest::Usage => help::usage(program),
        HelpRequest::Version => help::version(),
        HelpRequest::Machines => machines(target),
        HelpRequest::MachineProperties(name) => return machine_properties(name),
        HelpRequest::Cpus => cpus(machine, target),
        HelpRequest::Accelerators => "Accelerators supported in QEMU binary:\ntcg\n".into(),
        HelpRequest::Devices => device_list(),
        HelpRequest::DeviceProperties(name) => return device_properties(name),
        HelpRequest::Objects => list("List of user creatable objects:\n", &["rng-builtin", "rng-random"]),
        HelpRequest::ObjectProperties(name) => return Err(format!("-object {}: understood by QEMU, not yet implemented in Proteus", short(name))),
        HelpRequest::Chardevs => {
            list("Available chardev backend types:\n", &["file", "null", "pipe", "pty", "ringbuf", "serial", "socket", "stdio", "testdev"])
        }
        HelpRequest::Netdevs => {
            let kinds: Vec<_> = proteus_host::net::KINDS.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
            kinds.iter().fold("Available netdev backend types:\n".to_string(), |out, kind| out + kind + "\n")
        }
        HelpRequest::NicModels => {
            let nics = devices::creatable().filter(|t| t.ports.iter().any(|p| p.kind == proteus_model::PortKind::Frame));
            nics.fold("Supported NIC models:\n".to_string(), |out, t| out + t.name + "\n")
        }
        HelpRequest::BlockFormats => "Supported formats: file host_device null-co raw\n".into(),
        HelpRequest::Displays => "Available display backend types:\nnone\n".into(),
        HelpRequest::LogItems => log_items(),
        HelpRequest::DataDirs => {
            let found = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
            format!("{}\n", found.display())
        }
    })
}

fn short(text: &str) -> String {
    error::shorten(&error::clean(text))
}

fn list(heading: &str, names: &[&str]) -> String {
    names.iter().fold(heading.to_string(), |out, name| out + "  " + name + "\n")
}

fn machines(target: Option<Architecture>) -> String {
    let mut out = "Supported machines are:\n".to_string();
    for board in BOARDS.iter().filter(|b| target.is_none_or(|t| b.targets.contains(&t))) {
        let _ = writeln!(out, "{:<20} {}", board.name, board.description);
        for alias in board.aliases {
            let _ = writeln!(out, "{alias:<20} {} (alias of {})", board.description, board.name);
        }
    }
    out
}

fn machine_properties(name: &str) -> Result<String, String> {
    let Some(board) = proteus_machines::find(name) else {
        return Err(format!("-machine {}: unsupported machine type\nUse -machine help to list supported machines", short(name)));
    };
    let mut lines: Vec<(String, String)> = board
        .properties
        .iter()
        .map(|p| {
            let kind = match p.choices {
                Choices::OnOff | Choices::Only(_) => "bool".to_string(),
                Choices::Words(_) | Choices::Partly(..) => "string".to_string(),
            };
            let words = match p.choices {
                Choices::OnOff => String::new(),
                Choices::Only(on) => format!(": only {}", if on { "on" } else { "off" }),
                Choices::Words(words) | Choices::Partly(words, _) => format!(": {}", words.join(", ")),
            };
            (format!("{}=<{kind}>", p.name), format!("{}{words} (default: {})", p.doc, p.default))
        })
        .collect();
    // Those that have options of their own too.
    for (name, doc) in [
        ("accel=<string>", "Accelerator list"),
        ("append=<string>", "Linux kernel command line"),
        ("dtb=<string>", "Linux kernel device tree file"),
        ("dumpdtb=<string>", "Dump current dtb to a file and quit"),
        ("firmware=<string>", "Firmware image"),
        ("initrd=<string>", "Linux initial ramdisk file"),
        ("kernel=<string>", "Linux kernel image file"),
        ("smp=<SMPConfiguration>", "CPU topology"),
    ] {
        lines.push((name.into(), doc.into()));
    }
    lines.sort();
    let mut out = format!("{}-machine options:\n", board.name);
    for (left, doc) in lines {
        let _ = writeln!(out, "  {left:<22} - {doc}");
    }
    Ok(out)
}

fn cpus(machine: Option<&str>, target: Option<Architecture>) -> String {
    let board = machine.and_then(proteus_machines::find);
    let mut out = "Available CPUs:\n".to_string();
    for model in cores::models(board, target) {
        let _ = writeln!(out, "  {model}");
    }
    out
}

/// The groups of QEMU's list, by what a type's name or ports say.
fn group(ty: &DeviceType) -> &'static str {
    use proteus_model::PortKind::*;
    match ty.ports.first().map(|p| p.kind) {
        Some(Block) => "Storage",
        Some(Frame) => "Network",
        Some(Char) => "Input",
        None => "Misc",
    }
}

fn bus(ty: &DeviceType) -> &'static str {
    match ty.name {
        n if n.starts_with("virtio-") => ", bus virtio-bus",
        _ => "",
    }
}

fn device_list() -> String {
    let mut out = String::new();
    for heading in ["Storage", "Network", "Input", "Misc"] {
        let mut lines: Vec<_> =
            devices::creatable().filter(|t| group(t) == heading).map(|t| format!("name \"{}\"{}, desc \"{}\"\n", t.name, bus(t), t.description)).collect();
        if heading == "Input" {
            lines.extend(devices::SERIAL_PORTS.iter().map(|(name, doc)| format!("name \"{name}\", bus virtio-serial-bus, desc \"{doc}\"\n")));
        }
        if heading == "Misc" {
            lines.push("name \"loader\", desc \"Generic Loader\"\n".into());
        }
        lines.sort();
        if !lines.is_empty() {
            let _ = write!(out, "{}{heading} devices:\n{}", if out.is_empty() { "" } else { "\n" }, lines.concat());
        }
    }
    out
}

fn device_properties(name: &str) -> Result<String, String> {
    if name == "loader" {
        return Ok(devices::LOADER.iter().fold("loader options:\n".to_string(), |out, (name, kind)| out + &format!("  {name}=<{kind}>\n")));
    }
    if devices::SERIAL_PORTS.iter().any(|(port, _)| *port == name) {
        return Ok(list(&format!("{name} options:\n"), &["chardev=<str>", "name=<str>", "nr=<uint32>"]));
    }
    let ty = devices::find(name).map_err(|p| format!("-device {}: {}", short(name), p.0))?;
    let mut lines: Vec<_> = ty
        .properties
        .iter()
        .map(|p| {
            let kind = catalog::kind(p.kind);
            let default = match p.default {
                PropertyDefault::Required => " (must be given)".to_string(),
                PropertyDefault::None => String::new(),
                PropertyDefault::Bool(on) => format!(" (default: {on})"),
                PropertyDefault::U64(n) => format!(" (default: {n})"),
                PropertyDefault::Str(s) => format!(" (default: \"{s}\")"),
                PropertyDefault::Mac(_) => String::new(),
            };
            format!("{:<22} - {}{default}", format!("{}=<{kind}>", p.name), p.doc)
        })
        .collect();
    lines.sort();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    Ok(list(&format!("{name} options:\n"), &lines))
}

fn log_items() -> String {
    let mut out = "Log items (comma separated):\n".to_string();
    for (name, item, doc) in LOG_ITEMS {
        let log = crate::config::Log { items: vec![*item], ..Default::default() };
        let missing = if super::log::check(&log).is_ok() { "" } else { " (not yet implemented)" };
        let _ = writeln!(out, "{name:<15} {doc}{missing}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_their_words() {
        let get = |r: HelpRequest| text("p", &r, None, None).unwrap();
        assert!(get(HelpRequest::Machines).lines().any(|l| l.starts_with("virt ") && l.contains("ARM Virtual Machine")));
        assert!(get(HelpRequest::MachineProperties("virt".into())).contains("gic-version="));
        assert!(get(HelpRequest::Chardevs).contains("testdev"));
        assert!(get(HelpRequest::Accelerators).lines().any(|l| l == "tcg"));
        assert!(get(HelpRequest::Cpus).lines().any(|l| l == "  cortex-a57"));
        assert!(get(HelpRequest::Netdevs).lines().any(|l| l == "user"));
        assert!(get(HelpRequest::Devices).contains("name \"loader\""));
        assert!(text("p", &HelpRequest::DeviceProperties("virtio-blk".into()), None, None).unwrap_err().contains("there is no device"));
    }

    #[test]
    fn a_programs_lists_have_what_fits_its_target() {
        let get = |r: HelpRequest, target| text("p", &r, None, Some(target)).unwrap();
        for (target, board, there, absent) in [
            (TargetName::Aarch64, "virt", "cortex-a53", "24Kf"),
            (TargetName::Mipsel, "malta", "24Kf", "MIPS64R2-generic"),
            (TargetName::Mips64, "malta", "MIPS64R2-generic", "cortex-a53"),
        ] {
            let machines = get(HelpRequest::Machines, target);
            assert!(machines.contains(board) && machines.contains("virt") != machines.contains("malta"), "{machines}");
            let cpus = get(HelpRequest::Cpus, target);
            assert!(cpus.contains(there) && !cpus.contains(absent), "{cpus}");
        }
    }
}
