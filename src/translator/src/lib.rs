//! The Cranelift translator: regions, code arena, compile thread
