//! What the loader of an operating system changes in a tree, ours or the user's.

use std::ops::Range;

use super::{FdtError, Node, Tree};

/// What goes into `/chosen`. What is `None` is left as the tree has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The kernel's command line.
    pub bootargs: Option<String>,
    /// Guest addresses of the initial RAM disk.
    pub initrd: Option<Range<u64>>,
    /// Seed of the kernel's address space randomisation.
    pub kaslr_seed: Option<u64>,
    /// Seed of the kernel's random number generator.
    pub rng_seed: Option<Vec<u8>>,
    /// The console: path or alias, with options after a colon.
    pub stdout_path: Option<String>,
}

impl Tree {
    /// Cells of an address and of a size below the root, by default as the specification says.
    fn root_cells(&self) -> (u32, u32) {
        let cells = |name, default| self.root.get_u32(name).unwrap_or(default);
        (cells("#address-cells", 2), cells("#size-cells", 1))
    }

    /// Fills in `/chosen`.
    pub fn set_chosen(&mut self, chosen: &Chosen) -> Result<(), FdtError> {
        let (address_cells, _) = self.root_cells();
        let node = self.ensure_node("/chosen");
        if let Some(bootargs) = &chosen.bootargs {
            node.set_str("bootargs", bootargs);
        }
        if let Some(initrd) = &chosen.initrd {
            for (name, address) in [("linux,initrd-start", initrd.start), ("linux,initrd-end", initrd.end)] {
                node.set(name, cells("initial RAM disk at", address, address_cells)?);
            }
        }
        if let Some(seed) = chosen.kaslr_seed {
            node.set_u64("kaslr-seed", seed);
        }
        if let Some(seed) = &chosen.rng_seed {
            node.set("rng-seed", seed.as_slice());
        }
        if let Some(path) = &chosen.stdout_path {
            node.set_str("stdout-path", path);
        }
        Ok(())
    }

    /// Replaces the tree's memory nodes by one for each of these ranges.
    pub fn set_memory(&mut self, ranges: &[Range<u64>]) -> Result<(), FdtError> {
        let (address_cells, size_cells) = self.root_cells();
        let mut nodes = Vec::new();
        for range in ranges {
            let mut reg = cells("memory at", range.start, address_cells)?;
            let size = range.end.saturating_sub(range.start);
            reg.extend(cells("memory size", size, size_cells)?);
            let mut node = Node::new(format!("memory@{:x}", range.start));
            node.set("reg", reg).set_str("device_type", "memory");
            nodes.push(node);
        }
        let is_memory = |n: &Node| n.base_name() == "memory" || n.get_str("device_type") == Some("memory");
        self.root.children.retain(|n| !is_memory(n));
        self.root.children.extend(nodes);
        Ok(())
    }
}

/// A number as that many big-endian 32-bit cells.
fn cells(what: &'static str, value: u64, cells: u32) -> Result<Vec<u8>, FdtError> {
    let bytes = value.to_be_bytes();
    match cells {
        1 if value <= u32::MAX.into() => Ok(bytes[4..].to_vec()),
        2 => Ok(bytes.to_vec()),
        _ => Err(FdtError::Cells { what, value, cells }),
    }
}
