//! Figures: printed, not asserted.
