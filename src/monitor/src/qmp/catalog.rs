//! What clients look up before they start a machine: types, their properties, options, models.

use super::schema::Empty;
use super::types::*;
use super::{Error, Object};
use crate::Subject;

/// The name of a processor model's type.
pub fn cpu_type(s: &Subject, model: &str) -> String {
    let family = match s.target {
        "aarch64" => "arm",
        other => other,
    };
    format!("{model}-{family}-cpu")
}

/// The types, of one kind where that is asked for.
pub fn types(s: &Subject, asked: &ListTypes) -> Vec<ObjectTypeInfo> {
    let of = |parent: &str, name: String| ObjectTypeInfo { name, r#abstract: None, parent: Some(parent.into()) };
    let mut all = s.host.object_types();
    all.extend(s.host.machines().into_iter().map(|m| of("machine", format!("{}-machine", m.name))));
    all.extend(s.host.cpu_models().into_iter().map(|m| of("cpu", cpu_type(s, &m))));
    let wanted = |ty: &ObjectTypeInfo| match asked.implements.as_deref() {
        None | Some("object") => true,
        // A processor is a device.
        Some("device") => matches!(ty.parent.as_deref(), Some("device" | "cpu")),
        Some(kind) => ty.name == kind || ty.parent.as_deref() == Some(kind),
    };
    all.retain(wanted);
    all
}

fn missing(what: &str, name: &str) -> Error {
    Error { class: "DeviceNotFound", text: format!("{what} '{name}' not found") }
}

/// The properties of a device.
///
/// # Errors
/// There is no such device.
pub fn device_properties(s: &Subject, name: &str) -> Result<Vec<ObjectPropertyInfo>, Error> {
    s.host.device_properties(name).ok_or_else(|| missing("Device", name))
}

/// The properties of a device, a board or a processor; other types have none.
///
/// # Errors
/// There is no such type.
pub fn properties(s: &Subject, name: &str) -> Result<Vec<ObjectPropertyInfo>, Error> {
    if let Some(found) = s.host.device_properties(name) {
        return Ok(found);
    }
    if let Some(found) = name.strip_suffix("-machine").and_then(|board| s.host.board_properties(board)) {
        return Ok(found);
    }
    let model = s.host.cpu_models().into_iter().find(|m| cpu_type(s, m) == name);
    if let Some(features) = model.and_then(|m| s.host.cpu_features(&m)) {
        let property = |(name, on): (String, bool)| ObjectPropertyInfo { name, r#type: "bool".into(), description: None, default_value: Some(on.into()) };
        return Ok(features.into_iter().map(property).collect());
    }
    match s.host.object_types().iter().any(|ty| ty.name == name) {
        true => Ok(Vec::new()),
        false => Err(missing("Class", name)),
    }
}

/// The options, or the one of that name.
///
/// # Errors
/// There is none of that name.
pub fn options(s: &Subject, name: Option<&str>) -> Result<Vec<CommandLineOptionInfo>, Error> {
    let mut all = s.host.options();
    let Some(name) = name else { return Ok(all) };
    all.retain(|o| o.option == name);
    if all.is_empty() { Err(Error::generic(format!("invalid option name: {name}"))) } else { Ok(all) }
}

/// What is asked of a migration.
///
/// # Errors
/// Anything is: there is no migration yet.
pub fn set_capabilities(asked: &[MigrationCapabilityStatus]) -> Result<Empty, Error> {
    match asked.first() {
        None => Ok(Empty),
        Some(first) => Err(Error::generic(format!("there is no migration yet, and no capability '{}' of it", first.capability))),
    }
}

/// The interrupt controllers of boards with Arm processors.
pub fn gics(s: &Subject) -> Vec<GicCapability> {
    let arm = matches!(s.target, "aarch64" | "arm");
    [2, 3].into_iter().filter(|_| arm).map(|version| GicCapability { version, emulated: true, kernel: false }).collect()
}

/// The features of a model.
///
/// # Errors
/// There is no such model, or it cannot be told of in that way.
pub fn expand(s: &Subject, a: ExpandModel) -> Result<CpuModelExpansionInfo, Error> {
    if a.r#type != ExpansionType::Full {
        return Err(Error::generic("The requested expansion type is not supported"));
    }
    let name = a.model.name;
    let Some(features) = s.host.cpu_features(&name) else {
        return Err(Error::generic(format!("The CPU type '{name}' is not a recognized CPU type")));
    };
    let mut props: Object = features.into_iter().map(|(feature, on)| (feature, on.into())).collect();
    for (feature, value) in a.model.props.as_ref().and_then(Any::as_object).into_iter().flatten() {
        // What is set must be what is so anyway: no feature can be changed yet.
        match props.get(feature) {
            Some(has) if has == value => {}
            Some(_) => return Err(Error::generic(format!("'{feature}' cannot be changed"))),
            None => return Err(Error::generic(format!("Property '{}.{feature}' not found", cpu_type(s, &name)))),
        }
    }
    let props = Some(std::mem::take(&mut props).into());
    Ok(CpuModelExpansionInfo { model: CpuModelInfo { name, props } })
}
