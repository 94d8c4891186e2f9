//! The command line of qemu-system-*, and what it builds
