//! The machine model: devices, pins, clock, address spaces, state, inspection, registry types
