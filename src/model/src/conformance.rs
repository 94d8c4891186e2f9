//! Checks that every device must pass.
