//! The Arm target: decoder tables, semantics, system registers, MMU, models
