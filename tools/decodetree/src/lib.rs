//! Generates instruction decoders from tables
