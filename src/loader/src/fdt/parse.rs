//! Reading the flattened format.

use super::{MAGIC, MAX_DEPTH, Node, Tree};
use crate::error::{Defect, array, be32, slice};

/// A name longer than this is refused. The specification allows 31 characters; labels of overlays
/// are longer. Without a limit a small file could ask for any amount of memory, because any number
/// of properties may share one long name.
const MAX_NAME: usize = 255;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

fn bad(what: impl Into<String>) -> Defect {
    Defect::malformed("device tree", what)
}

/// Reads a flattened device tree. Bytes after its own end are ignored.
pub fn parse(bytes: &[u8]) -> Result<Tree, Defect> {
    let header = slice(bytes, "device tree header", 0, 40)?;
    let word = |at| be32(header, at).unwrap_or_default();
    if word(0) != MAGIC {
        return Err(bad(format!("it starts with {:#010x}, not {MAGIC:#010x}", word(0))));
    }
    let (version, compatible) = (word(20), word(24));
    if version < 17 || compatible > 17 {
        return Err(Defect::Unsupported(format!("device tree of version {version} (readable as {compatible}); version 17 is implemented")));
    }
    let bytes = slice(bytes, "device tree", 0, word(4).into())?;
    let strings = slice(bytes, "strings block", word(12).into(), word(32).into())?;
    let structure = slice(bytes, "structure block", word(8).into(), word(36).into())?;
    Ok(Tree { root: nodes(structure, strings)?, reservations: reservations(bytes, word(16))?, boot_cpu: word(28) })
}

fn reservations(bytes: &[u8], offset: u32) -> Result<Vec<(u64, u64)>, Defect> {
    let mut list = Vec::new();
    let mut at = u64::from(offset);
    loop {
        let entry = slice(bytes, "memory reservation block", at, 16)?;
        let number = |at| array(entry, at).map(u64::from_be_bytes).unwrap_or_default();
        match (number(0), number(8)) {
            (0, 0) => return Ok(list),
            pair => list.push(pair),
        }
        at += 16;
    }
}

/// Walks the structure block, holding the nodes that are open on a stack of our own.
fn nodes(structure: &[u8], strings: &[u8]) -> Result<Node, Defect> {
    let mut at = 0;
    let mut open: Vec<Node> = Vec::new();
    loop {
        let token = be32(structure, at);
        at += 4;
        match token {
            Some(BEGIN_NODE) => {
                if open.len() == MAX_DEPTH {
                    return Err(bad(format!("nodes are nested more than {MAX_DEPTH} deep")));
                }
                let name = string(structure, at)?;
                at = (at + name.len() + 1).next_multiple_of(4);
                open.push(Node::new(name));
            }
            Some(PROP) => {
                let (Some(size), Some(name)) = (be32(structure, at), be32(structure, at + 4)) else {
                    return Err(bad("a property is cut off"));
                };
                at += 8;
                let name = string(strings, name as usize)?;
                let value = slice(structure, "property value", at as u64, size.into())?;
                at = (at + value.len()).next_multiple_of(4);
                let Some(node) = open.last_mut() else {
                    return Err(bad("a property stands outside any node"));
                };
                node.properties.push((name.into(), value.into()));
            }
            Some(END_NODE) => {
                let Some(node) = open.pop() else {
                    return Err(bad("a node ends that has not begun"));
                };
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => return Ok(node),
                }
            }
            Some(NOP) => {}
            Some(END) | None => return Err(bad("it ends inside a node")),
            Some(token) => return Err(bad(format!("unknown token {token:#x} at {:#x}", at - 4))),
        }
    }
}

fn string(block: &[u8], at: usize) -> Result<&str, Defect> {
    let rest = block.get(at..).ok_or_else(|| bad(format!("a name lies at {at:#x}, outside its block")))?;
    let end = rest.iter().take(MAX_NAME + 1).position(|&b| b == 0);
    let end = end.ok_or_else(|| bad(format!("the name at {at:#x} is cut off or longer than {MAX_NAME}")))?;
    match std::str::from_utf8(&rest[..end]) {
        Ok(name) => Ok(name),
        Err(_) => Err(bad(format!("the name at {at:#x} is not text"))),
    }
}
