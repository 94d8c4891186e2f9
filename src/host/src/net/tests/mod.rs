//! Tests of the user-mode network: smoltcp's stack as the guest on one side, servers on the
//! host's loopback on the other.

mod fuzz;
mod guest;
mod raw;
mod spec;
mod tcp;
mod tftp;
mod udp;
