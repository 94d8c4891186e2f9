//! Why a board cannot be built.

use proteus_loader::fdt::FdtError;
use proteus_loader::{Defect, LoadError};
use proteus_model::ram::RegionError;
use proteus_model::{BuildError, PropError};

/// Why a board cannot be built as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The board has no such property, or not this value.
    #[error("-machine {board},{property}: {message}")]
    Property {
        /// Name of the board.
        board: &'static str,
        /// `name` or `name=value` as given.
        property: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// What was asked for does not go together, or is not there.
    #[error("{0}")]
    Refused(String),
    /// The parts cannot be put together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A part refuses its properties.
    #[error(transparent)]
    Part(#[from] PropError),
    /// A kernel, firmware or device tree file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The user's device tree.
    #[error("-dtb: {0}")]
    DeviceTree(#[from] Defect),
    /// The device tree cannot be written.
    #[error(transparent)]
    Fdt(#[from] FdtError),
    /// The host has not that much memory to give.
    #[error("guest memory: {0}")]
    Memory(#[from] RegionError),
}

/// An error of one sentence.
pub(crate) fn refuse(message: impl Into<String>) -> BoardError {
    BoardError::Refused(message.into())
}
