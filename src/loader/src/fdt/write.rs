//! Writing the flattened format.

use std::collections::HashMap;

use super::{MAGIC, Tree};
use crate::fdt::{MAX_DEPTH, Node};

/// A tree that the flattened format cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FdtError {
    /// More than 32-bit offsets can address.
    #[error("device tree is larger than 4 GiB")]
    TooLarge,
    /// More levels than readers accept.
    #[error("device tree is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Names end at their first NUL.
    #[error("device tree name {0:?} contains a NUL")]
    Name(String),
    /// An address or size does not fit in the cells that the tree gives it.
    #[error("{what} {value:#x} does not fit in {cells} cell(s) of the device tree's root node")]
    Cells {
        /// What does not fit.
        what: &'static str,
        /// Its value.
        value: u64,
        /// How many 32-bit cells there are for it.
        cells: u32,
    },
}

const HEADER_SIZE: usize = 40;

#[derive(Default)]
struct Writer<'a> {
    structure: Vec<u8>,
    strings: Vec<u8>,
    offsets: HashMap<&'a str, u32>,
}

impl Tree {
    /// The flattened tree.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FdtError> {
        let mut w = Writer::default();
        w.node(&self.root, 1)?;
        w.word(9);
        let mut reservations = Vec::new();
        for (address, size) in self.reservations.iter().chain([&(0, 0)]) {
            reservations.extend(address.to_be_bytes());
            reservations.extend(size.to_be_bytes());
        }
        let structure_at = HEADER_SIZE + reservations.len();
        let strings_at = structure_at + w.structure.len();
        let total = strings_at + w.strings.len();
        let header = [MAGIC as usize, total, structure_at, strings_at, HEADER_SIZE, 17, 16, self.boot_cpu as usize, w.strings.len(), w.structure.len()];
        let mut out = Vec::with_capacity(total);
        for field in header {
            out.extend(u32::try_from(field).map_err(|_| FdtError::TooLarge)?.to_be_bytes());
        }
        out.extend(reservations);
        out.append(&mut w.structure);
        out.append(&mut w.strings);
        Ok(out)
    }
}

impl<'a> Writer<'a> {
    fn word(&mut self, value: u32) {
        self.structure.extend(value.to_be_bytes());
    }

    fn pad(&mut self) {
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
    }

    fn node(&mut self, node: &'a Node, depth: usize) -> Result<(), FdtError> {
        if depth > MAX_DEPTH {
            return Err(FdtError::TooDeep);
        }
        self.word(1);
        if node.name.contains('\0') {
            return Err(FdtError::Name(node.name.clone()));
        }
        self.structure.extend(node.name.bytes().chain([0]));
        self.pad();
        for (name, value) in &node.properties {
            let offset = self.string(name)?;
            self.word(3);
            self.word(u32::try_from(value.len()).map_err(|_| FdtError::TooLarge)?);
            self.word(offset);
            self.structure.extend(value);
            self.pad();
        }
        node.children.iter().try_for_each(|child| self.node(child, depth + 1))?;
        self.word(2);
        Ok(())
    }

    fn string(&mut self, name: &'a str) -> Result<u32, FdtError> {
        if let Some(&offset) = self.offsets.get(name) {
            return Ok(offset);
        }
        if name.contains('\0') {
            return Err(FdtError::Name(name.into()));
        }
        let offset = u32::try_from(self.strings.len()).map_err(|_| FdtError::TooLarge)?;
        self.strings.extend(name.bytes().chain([0]));
        self.offsets.insert(name, offset);
        Ok(offset)
    }
}
