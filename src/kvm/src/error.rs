//! Why KVM does not do what it is to do.

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// KVM cannot be used here.
    #[error("{0}")]
    Unavailable(String),
    /// The host's KVM lacks something that is needed.
    #[error("this host's KVM lacks {0}")]
    Lacks(&'static str),
    /// The kernel refused a call.
    #[error("{what}: {source}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

impl Error {
    /// For `map_err`: the kernel refused `what`.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn refused(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> Error {
        move |e| Error::Refused { what, source: std::io::Error::from_raw_os_error(e.errno()) }
    }
}
