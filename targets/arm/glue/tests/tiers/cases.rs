//! Cases made by hand.
