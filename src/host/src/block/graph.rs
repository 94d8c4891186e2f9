//! Nodes by name, and how a description becomes one.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::overlay::Overlay;
use super::raw::{Image, Null, Part};
use super::spec::{BlockSpec, Child, Source};
use super::{BlockBackend, BlockError, Node, SECTOR};

/// Opens an image that refers to no other node by name.
pub fn open(spec: &BlockSpec) -> Result<Arc<dyn BlockBackend>, BlockError> {
    BlockGraph::default().build(spec)
}

/// The block nodes that have names (`-blockdev`, `-drive id=`).
#[derive(Default)]
pub struct BlockGraph {
    nodes: Mutex<BTreeMap<String, Node>>,
}

impl BlockGraph {
    /// Opens a node, and the nodes described inside it, and keeps those that have a name.
    pub fn add(&self, spec: &BlockSpec) -> Result<Arc<dyn BlockBackend>, BlockError> {
        self.build(spec)
    }

    /// Keeps a node under a name: a drive's `id=`.
    pub fn insert(&self, name: &str, node: Arc<dyn BlockBackend>) -> Result<(), BlockError> {
        let mut nodes = self.nodes.lock();
        if nodes.contains_key(name) {
            return Err(BlockError::Exists(name.into()));
        }
        nodes.insert(name.into(), node);
        Ok(())
    }

    /// The node of this name.
    pub fn get(&self, node_name: &str) -> Result<Arc<dyn BlockBackend>, BlockError> {
        self.nodes.lock().get(node_name).cloned().ok_or_else(|| BlockError::NotFound(node_name.into()))
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.nodes.lock().keys().cloned().collect()
    }

    fn build(&self, spec: &BlockSpec) -> Result<Node, BlockError> {
        if let Some(name) = spec.node_name.as_deref().filter(|name| self.nodes.lock().contains_key(*name)) {
            return Err(BlockError::Exists(name.into()));
        }
        let node: Node = match &spec.source {
            Source::File { path, device, locking } => Arc::new(Image::open(path, *device, *locking, spec.options)?),
            Source::Null { size } => Arc::new(Null { len: size.next_multiple_of(SECTOR), read_only: spec.options.read_only }),
            Source::Raw { file, offset, size } => {
                let node = match file {
                    Child::Inline(below) => self.build(below)?,
                    Child::Name(name) => self.get(name)?,
                };
                let rest = node.len().checked_sub(*offset);
                let len = match (rest, size) {
                    (Some(rest), None) => rest,
                    (Some(rest), Some(size)) if *size <= rest => *size,
                    _ => {
                        return Err(BlockError::Spec(format!("-blockdev raw: 'offset' and 'size' are beyond the {} bytes of its file", node.len())));
                    }
                };
                if !len.is_multiple_of(SECTOR) {
                    return Err(BlockError::Spec(format!("-blockdev raw: its size {len} is not a multiple of {SECTOR}")));
                }
                if node.read_only() && !spec.options.read_only && !spec.options.auto_read_only {
                    return Err(BlockError::Spec("-blockdev raw: its file is read-only; give read-only=on or auto-read-only=on".into()));
                }
                Arc::new(Part { node, offset: *offset, len, read_only: spec.options.read_only })
            }
            Source::Probe(below) => match &below.source {
                Source::File { path, device, locking } => {
                    let image = Image::open(path, *device, *locking, below.options)?;
                    image.guess_format()?;
                    Arc::new(image)
                }
                _ => self.build(below)?,
            },
            Source::Snapshot(below) => Arc::new(Overlay::new(self.build(below)?)?),
        };
        if let Some(name) = &spec.node_name {
            self.insert(name, node.clone())?;
        }
        Ok(node)
    }
}
