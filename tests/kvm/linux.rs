//! Debian's kernel, where the host's KVM can run one.
