//! Loaders: ELF, Linux Image, raw, flattened device tree
