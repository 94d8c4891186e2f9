//! Executing guests: the Ops trait, the interpreter, blocks, budgets, schedulers
