//! What there is to choose from, as the monitors tell it: the tables of devices, boards, models and
//! options in QMP's types.

use proteus_machines::{Architecture, BOARDS, Board, Choices};
use proteus_model::{PropertyDecl, PropertyDefault, PropertyKind};
use proteus_monitor::qmp::types::{CommandLineOptionInfo, CommandLineParameterInfo, ObjectPropertyInfo, ObjectTypeInfo, ParameterType};
use serde_json::Value as Json;

use super::cores;
use super::devices::{self, SERIAL_PORTS};
use crate::options::{GROUPS, Row};

/// The boards that have such processors.
pub fn boards(architecture: Architecture) -> impl Iterator<Item = &'static &'static Board> {
    BOARDS.iter().filter(move |b| b.targets.contains(&architecture))
}

/// The names of devices that some board with such processors takes, or has.
fn device_names(architecture: Architecture) -> impl Iterator<Item = &'static str> {
    // A virtio device has a name for each transport, and a board one transport.
    let fits = move |name: &str| match name.strip_prefix("virtio-").and_then(|n| n.rsplit_once('-')) {
        Some((_, transport)) if matches!(transport, "device" | "pci") => boards(architecture).any(|b| b.virtio == transport),
        _ => true,
    };
    let others = SERIAL_PORTS.iter().map(|(name, _)| *name).chain(["loader"]);
    devices::creatable().map(|t| t.name).filter(move |name| fits(name)).chain(others)
}

/// The types of devices, accelerators and objects.
pub fn object_types(architecture: Architecture) -> Vec<ObjectTypeInfo> {
    let of = |parent: &str| {
        let parent = parent.to_string();
        move |name: &str| ObjectTypeInfo { name: name.into(), r#abstract: None, parent: Some(parent.clone()) }
    };
    let mut all: Vec<_> = device_names(architecture).map(of("device")).collect();
    all.extend(["rng-builtin", "rng-random"].map(of("rng-backend")));
    all.push(of("accel")(if cores::in_kvm(architecture) { "kvm-accel" } else { "tcg-accel" }));
    all
}

fn property(name: &str, kind: &str, doc: &str, default: Option<Json>) -> ObjectPropertyInfo {
    ObjectPropertyInfo { name: name.into(), r#type: kind.into(), description: Some(doc.into()), default_value: default }
}

/// QEMU's name for a kind of property.
pub fn kind(kind: PropertyKind) -> &'static str {
    match kind {
        PropertyKind::Bool => "bool",
        PropertyKind::U64 => "uint64",
        PropertyKind::Size => "size",
        PropertyKind::Blobs | PropertyKind::String | PropertyKind::Chardev | PropertyKind::Drive | PropertyKind::Netdev | PropertyKind::Mac => "str",
    }
}

fn of_device(p: &PropertyDecl) -> ObjectPropertyInfo {
    let default = match p.default {
        PropertyDefault::Required | PropertyDefault::None | PropertyDefault::Mac(_) => None,
        PropertyDefault::Bool(on) => Some(on.into()),
        PropertyDefault::U64(n) => Some(n.into()),
        PropertyDefault::Str(text) => Some(text.into()),
    };
    property(p.name, kind(p.kind), p.doc, default)
}

/// The properties of a device, by the name of its type.
pub fn device_properties(architecture: Architecture, name: &str) -> Option<Vec<ObjectPropertyInfo>> {
    let name = device_names(architecture).find(|n| *n == name)?;
    Some(match devices::find(name) {
        Ok(ty) => ty.properties.iter().map(of_device).collect(),
        Err(_) if name == "loader" => devices::LOADER.iter().map(|(name, kind)| property(name, kind, "", None)).collect(),
        Err(_) => [("chardev", "str"), ("name", "str"), ("nr", "uint32")].iter().map(|(name, kind)| property(name, kind, "", None)).collect(),
    })
}

/// The properties of a board, by its name.
pub fn board_properties(architecture: Architecture, name: &str) -> Option<Vec<ObjectPropertyInfo>> {
    let board = boards(architecture).find(|b| b.name == name)?;
    let kind = |choices: &Choices| match choices {
        Choices::OnOff | Choices::Only(_) => "bool",
        Choices::Words(_) | Choices::Partly(..) => "str",
    };
    Some(board.properties.iter().map(|p| property(p.name, kind(&p.choices), p.doc, Some(p.default.into()))).collect())
}

/// The keys of an option's grammar: words before `=`.
fn parameters(grammar: &str) -> Vec<CommandLineParameterInfo> {
    let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let mut names: Vec<&str> = Vec::new();
    for (at, _) in grammar.match_indices('=') {
        let before = &grammar[..at];
        let start = before.rfind(|c: char| !is_key(c)).map_or(0, |n| n + 1);
        // An optional one, `[cpus=]N`, is a key too; a word in capitals is not.
        let name = &before[start..];
        let whole = start == 0 || matches!(before.as_bytes()[start - 1], b'[' | b',' | b'|');
        if whole && !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| CommandLineParameterInfo { name: name.into(), r#type: ParameterType::String, help: None, default: None }).collect()
}

/// The options of the command line that have keys. One that takes nothing but what is so anyway is
/// not told of.
pub fn options() -> Vec<CommandLineOptionInfo> {
    let rows = GROUPS.iter().flat_map(|(_, rows)| rows.iter()).filter(|row| !matches!(row.names[0], "sandbox" | "overcommit"));
    let info = |row: &Row| CommandLineOptionInfo { option: row.names[0].into(), parameters: row.value.map(parameters).unwrap_or_default() };
    rows.map(info).filter(|o| !o.parameters.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM: Architecture = Architecture::Aarch64;
    const MIPS: Architecture = Architecture::Mips { is_64: false, big_endian: false };

    #[test]
    fn types_are_those_that_a_board_of_the_program_takes() {
        let has = |architecture, name: &str| object_types(architecture).iter().any(|t| t.name == name);
        assert!(has(ARM, "virtio-blk-device") && !has(ARM, "virtio-blk-pci"));
        assert!(has(MIPS, "virtio-blk-pci") && !has(MIPS, "virtio-blk-device"));
        for ty in object_types(ARM).iter().filter(|t| t.parent.as_deref() == Some("device")) {
            assert!(device_properties(ARM, &ty.name).is_some(), "{}", ty.name);
        }
        assert_eq!(device_properties(ARM, "nvdimm"), None);
        let drive = device_properties(ARM, "virtio-blk-device").unwrap();
        assert!(drive.iter().any(|p| p.name == "drive" && p.r#type == "str"), "{drive:?}");
        assert!(board_properties(ARM, "virt").unwrap().iter().any(|p| p.name == "gic-version"));
        assert_eq!(board_properties(ARM, "malta"), None);
    }

    #[test]
    fn keys_are_read_from_the_grammar() {
        let names = |grammar| parameters(grammar).into_iter().map(|p| p.name).collect::<Vec<_>>();
        assert_eq!(names("[cpus=]N[,maxcpus=N][,cores=N]"), ["cpus", "maxcpus", "cores"]);
        assert_eq!(names("[name=]NAME,file=FILE|string=TEXT"), ["name", "file", "string"]);
        assert_eq!(names("FILE"), [""; 0]);
        assert_eq!(names("DRIVER[,KEY=VALUE]..."), [""; 0]);
        let all = options();
        assert!(all.iter().any(|o| o.option == "smp") && all.iter().all(|o| o.option != "sandbox"));
    }
}
