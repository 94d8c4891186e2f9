//! A board's device tree, made from where its devices have been placed.

use proteus_loader::fdt::{DeviceNode, Node, Phandles, Tree};
use proteus_model::{DeviceId, Machine};

/// A device tree being made.
pub(crate) struct TreeMaker<'a> {
    pub tree: Tree,
    phandles: Phandles,
    machine: &'a Machine,
    /// Path of each device's node, by the device's name, for its phandle.
    nodes: Vec<(String, String)>,
}

impl<'a> TreeMaker<'a> {
    pub fn new(machine: &'a Machine) -> TreeMaker<'a> {
        let tree = Tree::new();
        let phandles = Phandles::beside(&tree);
        TreeMaker { tree, phandles, machine, nodes: Vec::new() }
    }

    /// The phandle of a device, or of a node named by [`TreeMaker::named`].
    pub fn phandle(&mut self, of: &str) -> u32 {
        self.phandles.of(of)
    }

    /// Adds a node of the board's own below the root.
    pub fn node(&mut self, name: &str) -> &mut Node {
        self.tree.root.add_child(Node::new(name))
    }

    /// Says that others refer to the node at `path` by a name.
    pub fn named(&mut self, name: &str, path: &str) {
        self.nodes.push((name.into(), path.into()));
    }

    /// Adds a device's own node below the root; gives it and its name. `None` if the device's
    /// type has no node.
    pub fn device(&mut self, device: DeviceId) -> Option<&mut Node> {
        let name = self.machine.devices().find(|d| d.0 == device)?.1.to_string();
        let mut made = None;
        let phandles = &mut self.phandles;
        self.machine.describe(device, &mut |node_name, build| {
            let mut node = Node::new(node_name);
            build(&mut DeviceNode { node: &mut node, phandles });
            made = Some(node);
        });
        let node = made?;
        self.nodes.push((name, format!("/{}", node.name)));
        Some(self.tree.root.add_child(node))
    }

    /// Path of a device's node.
    pub fn path(&self, name: &str) -> Option<&str> {
        self.nodes.iter().find(|n| n.0 == name).map(|n| n.1.as_str())
    }

    /// The tree, with a phandle in each node that another refers to.
    pub fn finish(mut self) -> Tree {
        for (name, path) in &self.nodes {
            if let (Some(phandle), Some(node)) = (self.phandles.asked_for(name), self.tree.node_mut(path)) {
                node.set_phandle(phandle);
            }
        }
        self.tree
    }
}
