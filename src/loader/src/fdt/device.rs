//! Nodes that devices write themselves (`proteus_model::FdtNode`).

use std::collections::HashMap;

use proteus_model::FdtNode;

use super::{Node, Tree};

/// Phandles by the names that things have on the board. One for each tree.
#[derive(Clone, Debug, Default)]
pub struct Phandles {
    by_name: HashMap<String, u32>,
    /// The greatest that has been given.
    last: u32,
}

impl Phandles {
    /// None given yet, and none of those that the tree has will be.
    pub fn beside(tree: &Tree) -> Self {
        Phandles { by_name: HashMap::new(), last: tree.unused_phandle().saturating_sub(1) }
    }

    /// The phandle of a name: the same each time, and another for each name.
    pub fn of(&mut self, name: &str) -> u32 {
        if let Some(&phandle) = self.by_name.get(name) {
            return phandle;
        }
        // A tree that has used up all numbers is a user's mistake that must not stop the program.
        self.last = self.last.saturating_add(1);
        self.by_name.insert(name.into(), self.last);
        self.last
    }

    /// The phandle of a name that something has asked for: its node needs it as property.
    pub fn asked_for(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }
}

/// A node that a device writes, and the phandles it may refer to.
#[derive(Debug)]
pub struct DeviceNode<'a> {
    /// The node.
    pub node: &'a mut Node,
    /// The phandles of the tree.
    pub phandles: &'a mut Phandles,
}

impl FdtNode for DeviceNode<'_> {
    fn prop_u32s(&mut self, name: &str, cells: &[u32]) {
        self.node.set_cells(name, cells);
    }

    fn prop_str(&mut self, name: &str, value: &str) {
        self.node.set_str(name, value);
    }

    fn prop_strs(&mut self, name: &str, values: &[&str]) {
        self.node.set_strs(name, values);
    }

    fn prop_bytes(&mut self, name: &str, bytes: &[u8]) {
        self.node.set(name, bytes);
    }

    fn prop_empty(&mut self, name: &str) {
        self.node.set_flag(name);
    }

    fn child(&mut self, name: &str, build: &mut dyn FnMut(&mut dyn FdtNode)) {
        let node = self.node.add_child(Node::new(name));
        build(&mut DeviceNode { node, phandles: self.phandles });
    }

    fn phandle(&mut self, of: &str) -> u32 {
        self.phandles.of(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_writes_its_node() {
        let mut tree = Tree::new();
        tree.ensure_node("/intc").set_phandle(0x8001);
        let mut phandles = Phandles::beside(&tree);
        assert_eq!(phandles.asked_for("apb-pclk"), None);
        let node = tree.ensure_node("/pl011@9000000");
        let mut device = DeviceNode { node, phandles: &mut phandles };
        let clock = device.phandle("apb-pclk");
        device.prop_strs("compatible", &["arm,pl011", "arm,primecell"]);
        device.prop_u64s("reg", &[0x900_0000, 0x1000]);
        device.prop_u32s("clocks", &[clock, clock]);
        device.prop_empty("wakeup-source");
        device.child("port@0", &mut |port| {
            let other = port.phandle("other");
            assert_ne!(other, clock);
            port.prop_u32("remote", other);
            port.prop_bytes("raw", &[1]);
            port.prop_str("label", "x");
        });
        assert_eq!((clock, phandles.asked_for("apb-pclk")), (0x8002, Some(0x8002)));
        let node = tree.node("/pl011@9000000").unwrap();
        assert!(node.is_compatible("arm,primecell"));
        assert_eq!(node.get("reg").unwrap(), [0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]);
        assert_eq!(node.get_cells("clocks"), Some(vec![0x8002, 0x8002]));
        assert_eq!(node.child("port@0").unwrap().get_u32("remote"), Some(0x8003));
    }
}
