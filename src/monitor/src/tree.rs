//! The inspection tree as `qom-list` and `qom-get` see it: `/machine` is the machine, with its
//! devices and cores; `/machine/peripheral` has those to which the user gave an id.

use crate::Subject;
use crate::qmp::Error;
use crate::qmp::types::ObjectPropertyInfo;
use proteus_model::{Leaf, Node};
use serde_json::Value as Json;

/// The tree, with what the machine does not know of itself: the registers of the core that `path`
/// leads to, and which devices have ids.
fn tree(s: &Subject, path: &str) -> Option<Node> {
    let machine = s.machine.upgrade()?;
    let mut root = machine.inspect();
    root.name = "machine".into();
    for n in (0..s.cores()).filter(|n| path.split('/').nth(2) == Some(&format!("core{n}"))) {
        let registers = s.on_core(n, |cpu| {
            let names: Vec<_> = cpu.description().registers().map(|r| r.name.clone()).collect();
            names.into_iter().enumerate().filter_map(|(n, name)| Some((name, cpu.read_register(n)?))).collect::<Vec<_>>()
        });
        let Some(core) = root.children.iter_mut().find(|c| c.name == format!("core{n}")) else { continue };
        for (name, value) in registers.unwrap_or_default() {
            let value = u64::try_from(value).map_or_else(|_| Leaf::Str(format!("{value:#x}")), Leaf::U64);
            core.children.push(Node { name, value: Some(value), children: Vec::new() });
        }
    }
    let with_id = root.children.iter().filter(|c| s.peripherals.contains(&c.name)).cloned().collect();
    root.children.push(Node { name: "peripheral".into(), value: None, children: with_id });
    Some(Node { name: String::new(), value: None, children: vec![root] })
}

/// The type of an object: that of a device or board by its name.
fn type_name(s: &Subject, node: &Node) -> String {
    let own = node.children.iter().find(|c| c.name == "type").and_then(|c| c.value.as_ref());
    match (own, node.name.as_str()) {
        (Some(Leaf::Str(name)), _) => name.clone(),
        (_, "machine") => format!("{}-machine", s.machine.upgrade().map_or_else(String::new, |m| m.name().to_string())),
        _ => "container".into(),
    }
}

fn leaf_type(leaf: &Leaf) -> &'static str {
    match leaf {
        Leaf::U64(_) => "uint64",
        Leaf::I64(_) => "int64",
        Leaf::Bool(_) => "bool",
        Leaf::Str(_) => "string",
        Leaf::Bytes(..) => "bytes",
    }
}

/// A value; of a long one the first bytes, in hexadecimal digits.
fn value(leaf: &Leaf) -> Json {
    match leaf {
        Leaf::U64(n) => (*n).into(),
        Leaf::I64(n) => (*n).into(),
        Leaf::Bool(b) => (*b).into(),
        Leaf::Str(text) => text.clone().into(),
        Leaf::Bytes(bytes, n) => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            if *n > bytes.len() { format!("{hex}... ({n} bytes)") } else { hex }.into()
        }
    }
}

fn find<'a>(root: &'a Node, path: &str) -> Result<&'a Node, Error> {
    let names = path.split('/').filter(|name| !name.is_empty());
    let found = names.into_iter().try_fold(root, |node, name| node.children.iter().find(|c| c.name == name));
    found.filter(|_| path.starts_with('/')).ok_or_else(|| Error::no_device(path))
}

fn describe(s: &Subject, node: &Node) -> String {
    match &node.value {
        Some(leaf) => leaf_type(leaf).into(),
        None => format!("child<{}>", type_name(s, node)),
    }
}

/// What is at a place.
///
/// # Errors
/// There is no such place.
pub fn list(s: &Subject, path: &str) -> Result<Vec<ObjectPropertyInfo>, Error> {
    let root = tree(s, path).ok_or_else(|| Error::no_device(path))?;
    let node = find(&root, path)?;
    Ok(node.children.iter().map(|c| ObjectPropertyInfo { name: c.name.clone(), r#type: describe(s, c), description: None, default_value: None }).collect())
}

/// A value; for an object its place.
///
/// # Errors
/// There is no such place, or nothing of that name at it.
pub fn get(s: &Subject, path: &str, property: &str) -> Result<Json, Error> {
    let root = tree(s, path).ok_or_else(|| Error::no_device(path))?;
    let node = find(&root, path)?;
    let Some(found) = node.children.iter().find(|c| c.name == property) else {
        return Err(Error::generic(format!("Property '{}.{property}' not found", type_name(s, node))));
    };
    Ok(found.value.as_ref().map_or_else(|| format!("{}/{property}", path.trim_end_matches('/')).into(), value))
}

/// The objects below a place, for people.
pub fn text(s: &Subject, path: &str) -> Result<String, Error> {
    fn add(s: &Subject, node: &Node, depth: usize, out: &mut String) {
        out.push_str(&format!("{:indent$}/{} ({})\n", "", node.name, type_name(s, node), indent = 2 * depth));
        for child in node.children.iter().filter(|c| c.value.is_none()) {
            add(s, child, depth + 1, out);
        }
    }
    let root = tree(s, path).ok_or_else(|| Error::no_device(path))?;
    let mut out = String::new();
    add(s, find(&root, path)?, 0, &mut out);
    Ok(out)
}
