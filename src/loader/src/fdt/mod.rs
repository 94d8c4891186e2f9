//! Flattened device trees: a small ordered tree, read from and written to the binary format of the
//! Devicetree Specification (version 17).
//!
//! The tree of a machine and the tree of a `-dtb` file are the same type, so that a user's tree
//! gets the same command line, memory and initial RAM disk as ours. The writer is our own because
//! a user's tree must come out with the names it came in with: `__symbols__` and others that
//! overlays need are refused by the crates that check names against the specification.

mod device;
mod edit;
mod parse;
#[cfg(test)]
mod tests;
mod write;

pub use device::{DeviceNode, Phandles};
pub use edit::Chosen;
pub use parse::parse;
pub use write::FdtError;

/// First word of a flattened device tree.
pub const MAGIC: u32 = 0xd00d_feed;
/// Deeper trees are refused: nobody has them, and reading them must not overflow the stack.
pub const MAX_DEPTH: usize = 64;

/// A device tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The root node, whose name is empty.
    pub root: Node,
    /// Memory the operating system must leave alone: address and size.
    pub reservations: Vec<(u64, u64)>,
    /// Physical id of the processor that boots.
    pub boot_cpu: u32,
}

/// A node: properties in order, then child nodes in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name with unit address: `pl011@9000000`.
    pub name: String,
    /// Names and raw values, in order.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Child nodes, in order.
    pub children: Vec<Node>,
}

impl Tree {
    /// A tree with an empty root.
    pub fn new() -> Self {
        Self::default()
    }

    /// The node at a path such as `/cpus/cpu@0`; `/` is the root. A component without a unit
    /// address also finds the first node with one.
    pub fn node(&self, path: &str) -> Option<&Node> {
        components(path).try_fold(&self.root, |node, name| node.child(name))
    }

    /// The same, to be changed.
    pub fn node_mut(&mut self, path: &str) -> Option<&mut Node> {
        components(path).try_fold(&mut self.root, |node, name| node.child_mut(name))
    }

    /// The node at a path, with those that are missing on the way made.
    pub fn ensure_node(&mut self, path: &str) -> &mut Node {
        components(path).fold(&mut self.root, |node, name| node.ensure_child(name))
    }

    /// A phandle that no node has yet. Give it to a node before asking for the next one.
    pub fn unused_phandle(&self) -> u32 {
        self.root.greatest_phandle().saturating_add(1)
    }

    /// The path of the first node for which `wanted` holds, depth first.
    pub fn find(&self, wanted: impl Fn(&Node) -> bool) -> Option<String> {
        fn walk(node: &Node, path: &str, wanted: &dyn Fn(&Node) -> bool) -> Option<String> {
            if wanted(node) {
                return Some(if path.is_empty() { "/".into() } else { path.into() });
            }
            node.children.iter().find_map(|c| walk(c, &format!("{path}/{}", c.name), wanted))
        }
        walk(&self.root, "", &wanted)
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

impl Node {
    /// An empty node.
    pub fn new(name: impl Into<String>) -> Self {
        Node { name: name.into(), ..Self::default() }
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || (!name.contains('@') && self.base_name() == name)
    }

    /// The name without the unit address.
    pub fn base_name(&self) -> &str {
        self.name.split('@').next().unwrap_or_default()
    }

    fn child_index(&self, name: &str) -> Option<usize> {
        let exact = self.children.iter().position(|c| c.name == name);
        exact.or_else(|| self.children.iter().position(|c| c.is_called(name)))
    }

    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.child_index(name).and_then(|i| self.children.get(i))
    }

    /// The child of that name, to be changed.
    pub fn child_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.child_index(name).and_then(|i| self.children.get_mut(i))
    }

    /// The child of that name, made when missing.
    pub fn ensure_child(&mut self, name: &str) -> &mut Node {
        let at = self.child_index(name).unwrap_or_else(|| {
            self.children.push(Node::new(name));
            self.children.len() - 1
        });
        &mut self.children[at]
    }

    /// Appends a child and gives it back to be filled.
    pub fn add_child(&mut self, child: Node) -> &mut Node {
        self.children.push(child);
        let last = self.children.len() - 1;
        &mut self.children[last]
    }

    /// The raw value of a property.
    pub fn get(&self, property: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(n, _)| n == property).map(|(_, v)| v.as_slice())
    }

    /// The value as one 32-bit cell.
    pub fn get_u32(&self, property: &str) -> Option<u32> {
        self.get(property)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The value as one 64-bit number (two cells).
    pub fn get_u64(&self, property: &str) -> Option<u64> {
        self.get(property)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// The value as 32-bit cells.
    pub fn get_cells(&self, property: &str) -> Option<Vec<u32>> {
        let (cells, rest) = self.get(property)?.as_chunks::<4>();
        rest.is_empty().then(|| cells.iter().map(|c| u32::from_be_bytes(*c)).collect())
    }

    /// The value as its first string.
    pub fn get_str(&self, property: &str) -> Option<&str> {
        let value = self.get(property)?;
        let end = value.iter().position(|&b| b == 0)?;
        std::str::from_utf8(value.get(..end)?).ok()
    }

    /// Whether `compatible` lists the name.
    pub fn is_compatible(&self, name: &str) -> bool {
        let list = self.get("compatible").unwrap_or_default();
        list.split(|&b| b == 0).any(|s| s == name.as_bytes())
    }

    /// The node's phandle.
    pub fn phandle(&self) -> Option<u32> {
        self.get_u32("phandle").or_else(|| self.get_u32("linux,phandle"))
    }

    fn greatest_phandle(&self) -> u32 {
        let below = self.children.iter().map(Node::greatest_phandle);
        below.chain(self.phandle()).max().unwrap_or(0)
    }

    /// Sets a property to raw bytes, in its place when it is there already.
    pub fn set(&mut self, property: &str, value: impl Into<Vec<u8>>) -> &mut Self {
        let value = value.into();
        match self.properties.iter_mut().find(|(n, _)| n == property) {
            Some((_, old)) => *old = value,
            None => self.properties.push((property.into(), value)),
        }
        self
    }

    /// Sets a property without a value, which says something by being there.
    pub fn set_flag(&mut self, property: &str) -> &mut Self {
        self.set(property, [])
    }

    /// Sets one 32-bit cell.
    pub fn set_u32(&mut self, property: &str, value: u32) -> &mut Self {
        self.set(property, value.to_be_bytes())
    }

    /// Sets one 64-bit number (two cells).
    pub fn set_u64(&mut self, property: &str, value: u64) -> &mut Self {
        self.set(property, value.to_be_bytes())
    }

    /// Sets 32-bit cells.
    pub fn set_cells(&mut self, property: &str, cells: &[u32]) -> &mut Self {
        self.set(property, cells.iter().flat_map(|c| c.to_be_bytes()).collect::<Vec<_>>())
    }

    /// Sets 64-bit numbers (two cells each): `reg` and `ranges` where both counts are two.
    pub fn set_cells64(&mut self, property: &str, cells: &[u64]) -> &mut Self {
        self.set(property, cells.iter().flat_map(|c| c.to_be_bytes()).collect::<Vec<_>>())
    }

    /// Sets a string.
    pub fn set_str(&mut self, property: &str, value: &str) -> &mut Self {
        self.set_strs(property, &[value])
    }

    /// Sets a list of strings.
    pub fn set_strs(&mut self, property: &str, values: &[&str]) -> &mut Self {
        let bytes = values.iter().flat_map(|s| s.bytes().chain([0])).collect::<Vec<_>>();
        self.set(property, bytes)
    }

    /// Makes the node one that others can point at.
    pub fn set_phandle(&mut self, phandle: u32) -> &mut Self {
        self.set_u32("phandle", phandle)
    }

    /// Takes a property out.
    pub fn remove(&mut self, property: &str) {
        self.properties.retain(|(n, _)| n != property);
    }
}
