//! Network back ends: what stands at the other end of a guest's Ethernet cable.
//!
//! [`UserNet`] is the user-mode network of `-netdev user`: a router, a DHCP server and a DNS
//! forwarder that live in this process and reach the world through ordinary sockets, without
//! any privilege. The other kinds QEMU knows are in [`KINDS`] and refused by name.

mod dhcp;
mod icmp;
mod ipv4;
mod link;
mod router;
mod spec;
mod tcp;
mod tftp;
mod udp;
mod user;

#[cfg(test)]
mod tests;

pub use spec::{Forward, NetUserSpec, Protocol, Resolver};
pub use user::UserNet;

/// Takes the frames that the network has for the guest: a network card.
pub trait FrameSink: Send + Sync {
    /// Hands one Ethernet frame (without FCS) to the guest. `false` means that the guest has no
    /// buffer now: the back end keeps the frame and tries again after
    /// [`NetBackend::guest_ready`].
    ///
    /// Called from the back end's thread, with none of its locks held.
    fn receive(&self, frame: &[u8]) -> bool;
}

/// The host's end of a guest's network card.
pub trait NetBackend: Send + Sync {
    /// The guest transmits one Ethernet frame. Never blocks; a frame that finds the queue full
    /// is lost, as on a wire. What the network answers by itself it gives to `answer` at once,
    /// which says whether the guest's card has room for it.
    fn send(&self, frame: &[u8], answer: &mut dyn FnMut(Vec<u8>) -> bool);

    /// The guest has receive buffers again after [`FrameSink::receive`] returned `false`.
    fn guest_ready(&self);
}

/// What is wrong with a `-netdev` option, or with the host it asks something of.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No kind of that name exists.
    #[error("-netdev: there is no network back end `{kind}`; `user` is implemented")]
    UnknownKind {
        /// The name given.
        kind: String,
    },
    /// The kind exists in QEMU and not here.
    #[error("-netdev {kind}: not implemented; use `-netdev user,id=...`")]
    UnsupportedKind {
        /// The name given.
        kind: String,
    },
    /// A `-netdev` without an identifier that `-device ...,netdev=` could name.
    #[error("-netdev {kind}: `id=` is missing; write `-netdev {kind},id=net0`")]
    MissingId {
        /// The kind of back end.
        kind: String,
    },
    /// An option of the `user` kind that is not implemented.
    #[error("-netdev user: `{option}=` is not implemented; leave it out")]
    UnsupportedOption {
        /// The option's name.
        option: String,
    },
    /// An option that the `user` kind does not have.
    #[error("-netdev user: there is no option `{option}`")]
    UnknownOption {
        /// The option's name.
        option: String,
    },
    /// An option with a value that cannot be used.
    #[error("-netdev user: {option}={value}: {why}")]
    Invalid {
        /// The option's name.
        option: String,
        /// The value given.
        value: String,
        /// What is wrong with it and what would be right.
        why: String,
    },
    /// The host refused the port of a `hostfwd=`.
    #[error(
        "-netdev user: hostfwd={rule}: cannot listen on {address}: {source}; \
         choose another port, or 0 for any free one"
    )]
    Forward {
        /// The rule as written.
        rule: String,
        /// The host address asked for.
        address: std::net::SocketAddrV4,
        /// The host's error.
        source: std::io::Error,
    },
    /// The host refused something every user-mode network needs.
    #[error("-netdev user: cannot {what}: {source}")]
    Host {
        /// What was asked of the host.
        what: &'static str,
        /// The host's error.
        source: std::io::Error,
    },
}

/// The kinds of `-netdev` by name, and whether each is implemented.
pub const KINDS: &[(&str, bool)] = &[
    ("user", true),
    ("tap", false),
    ("bridge", false),
    ("socket", false),
    ("stream", false),
    ("dgram", false),
    ("hubport", false),
    ("l2tpv3", false),
    ("vde", false),
    ("netmap", false),
    ("af-xdp", false),
    ("passt", false),
    ("vhost-user", false),
    ("vhost-vdpa", false),
    ("vmnet-host", false),
    ("vmnet-shared", false),
    ("vmnet-bridged", false),
];

/// A validated `-netdev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Netdev {
    /// `-netdev user,...`
    User(NetUserSpec),
}

impl Netdev {
    /// Reads the argument of `-netdev`: `kind,key=value,...`, where a comma inside a value is
    /// written twice.
    pub fn parse(text: &str) -> Result<Netdev, NetError> {
        let mut options = spec::split(text);
        let kind = match options.iter().position(|(key, _)| key == "type") {
            Some(at) => options.remove(at).1.unwrap_or_default(),
            None if options.first().is_some_and(|(_, value)| value.is_none()) => options.remove(0).0,
            None => String::new(),
        };
        Self::from_options(&kind, options)
    }

    /// The same from a kind and its options already taken apart, as from QMP or JSON.
    pub fn from_options(kind: &str, options: impl IntoIterator<Item = (String, Option<String>)>) -> Result<Netdev, NetError> {
        match KINDS.iter().find(|(name, _)| *name == kind) {
            None => Err(NetError::UnknownKind { kind: kind.into() }),
            Some((_, false)) => Err(NetError::UnsupportedKind { kind: kind.into() }),
            Some((_, true)) => {
                let spec = NetUserSpec::from_options(options)?;
                if spec.id.is_none() {
                    return Err(NetError::MissingId { kind: kind.into() });
                }
                Ok(Netdev::User(spec))
            }
        }
    }
}
