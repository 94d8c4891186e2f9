//! derive(State) and registers!
