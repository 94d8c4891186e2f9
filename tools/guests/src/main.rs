//! Fetches guests.
fn main() {}
