//! How a device describes itself in the device tree, without knowing who writes the tree.

use std::fmt;

use crate::property::Props;

/// A node of a device tree being written.
pub trait FdtNode {
    /// A property of 32-bit cells.
    fn prop_u32s(&mut self, name: &str, cells: &[u32]);
    /// A property of one string.
    fn prop_str(&mut self, name: &str, value: &str);
    /// A property of several strings.
    fn prop_strs(&mut self, name: &str, values: &[&str]);
    /// A property of bytes.
    fn prop_bytes(&mut self, name: &str, bytes: &[u8]);
    /// A property without a value.
    fn prop_empty(&mut self, name: &str);
    /// A node inside this one.
    fn child(&mut self, name: &str, build: &mut dyn FnMut(&mut dyn FdtNode));
    /// The phandle of a thing by the name it has on the board: a device, or what the board
    /// itself defines ("apb-pclk"). The same name always gives the same phandle.
    fn phandle(&mut self, of: &str) -> u32;

    /// A property of one cell.
    fn prop_u32(&mut self, name: &str, cell: u32) {
        self.prop_u32s(name, &[cell]);
    }
    /// A property of 64-bit values, two cells each.
    fn prop_u64s(&mut self, name: &str, values: &[u64]) {
        let cells: Vec<u32> = values.iter().flat_map(|v| [(v >> 32) as u32, *v as u32]).collect();
        self.prop_u32s(name, &cells);
    }
}

/// Writes what is in a node.
pub type NodeBuilder<'a> = dyn FnMut(&mut dyn FdtNode) + 'a;

/// Where a device has been placed and how it is wired: what its node is made from.
pub struct Placed<'a> {
    /// Name of the device on its board.
    pub name: &'a str,
    /// Its properties.
    pub props: &'a Props,
    /// Its placed memory windows, in order of declaration: name, address, size.
    pub windows: &'a [(&'static str, u64, u64)],
    /// Its wired outputs that end at an interrupt controller: output pin name, index, name of the
    /// controller, specifier.
    pub interrupts: &'a [(&'static str, usize, String, Vec<u32>)],
}

impl Placed<'_> {
    /// Writes `reg` with every memory window (two address and two size cells).
    pub fn reg(&self, node: &mut dyn FdtNode) {
        let values: Vec<u64> = self.windows.iter().flat_map(|w| [w.1, w.2]).collect();
        node.prop_u64s("reg", &values);
    }

    /// Writes `interrupts` with every wired output in order of declaration.
    pub fn interrupts(&self, node: &mut dyn FdtNode) {
        let cells: Vec<u32> = self.interrupts.iter().flat_map(|i| i.3.iter().copied()).collect();
        if !cells.is_empty() {
            node.prop_u32s("interrupts", &cells);
        }
    }

    /// Address of a window.
    pub fn address(&self, window: &str) -> Option<u64> {
        self.windows.iter().find(|w| w.0 == window).map(|w| w.1)
    }
}

/// A device type's node: the node's name without the address, and what is in it.
#[derive(Clone, Copy)]
pub struct FdtHook {
    /// Generic name ("pl011", "rtc"); the unit address of the first window is appended.
    pub node: &'static str,
    /// Writes the properties.
    pub build: fn(&Placed<'_>, &mut dyn FdtNode),
}

impl fmt::Debug for FdtHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdtHook").field("node", &self.node).finish_non_exhaustive()
    }
}

/// The interrupt specifier (cells of `interrupts`) for input pin `name[index]` of a controller.
pub type InterruptCells = fn(props: &Props, name: &str, index: usize) -> Option<Vec<u32>>;
