//! A machine around one device, for the device's own tests.
