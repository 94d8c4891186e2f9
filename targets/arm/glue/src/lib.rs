//! Instantiates the Arm semantics for each executor
