//! Stream sockets: a server takes one client after the other, a client may try again.

use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::link::{Io, Link, Side, adopt};
use super::port::Mode;
use super::{CharError, SocketAddress, SocketSpec};

/// Where a client connects to.
enum Peer {
    Tcp(Vec<SocketAddr>),
    Unix(SocketAddrUnix),
    /// A descriptor has no address to go back to.
    None,
}

pub(super) struct Socket {
    name: String,
    spec: SocketSpec,
    listener: Option<Arc<OwnedFd>>,
    peer: Peer,
    /// Which of the peer's addresses is next.
    attempt: usize,
    connecting: Option<Arc<OwnedFd>>,
    io: Option<Io>,
    deadline: Option<Instant>,
    /// The file of a Unix socket that we made.
    made: Option<PathBuf>,
}

impl Socket {
    /// Also returns the address as the user may write it.
    pub(super) fn open(spec: &SocketSpec) -> Result<(Box<dyn Link>, String), CharError> {
        let mut socket = Socket {
            name: String::new(),
            spec: spec.clone(),
            listener: None,
            peer: Peer::None,
            attempt: 0,
            connecting: None,
            io: None,
            deadline: None,
            made: None,
        };
        socket.name = match &spec.address {
            SocketAddress::Unix { path, .. } => format!("unix:{path}"),
            SocketAddress::Tcp { host, port, .. } => format!("tcp:{host}:{port}"),
            SocketAddress::Fd(fd) => format!("fd:{fd}"),
        };
        if let SocketAddress::Fd(fd) = spec.address {
            socket.inherit(fd)?;
        } else if spec.server {
            socket.listen()?;
        } else {
            socket.connect_first()?;
        }
        if let Some(listener) = &socket.listener {
            let fail = |e: Errno| CharError::host(format!("listen on {}", socket.name), e);
            rustix::io::ioctl_fionbio(&**listener, true).map_err(fail)?;
            if spec.wait {
                tracing::warn!("waiting for a connection to {},server=on (wait=off to start without)", socket.name);
                while socket.io.is_none() {
                    if let Some(listener) = &socket.listener {
                        let mut fds = [rustix::event::PollFd::new(&**listener, PollFlags::IN)];
                        let _ = poll(&mut fds, None);
                    }
                    socket.establish();
                }
            }
        }
        let name = socket.name.clone() + if spec.server { ",server=on" } else { "" };
        Ok((Box::new(socket), name))
    }

    fn inherit(&mut self, number: i32) -> Result<(), CharError> {
        let fd = Arc::new(adopt(number)?);
        let wrong = |what: &str| CharError::Spec(format!("chardev socket: fd={number} is not {what}"));
        match sockopt::socket_type(&*fd) {
            Ok(SocketType::STREAM) => {}
            _ => return Err(wrong("a stream socket")),
        }
        match (self.spec.server, sockopt::socket_acceptconn(&*fd).unwrap_or(false)) {
            (true, true) => self.listener = Some(fd),
            (true, false) => return Err(wrong("a listening socket, as server=on asks for")),
            (false, true) => return Err(wrong("a connected socket; a listening one needs server=on")),
            (false, false) => self.connected(fd),
        }
        if self.spec.reconnect.is_some() {
            return Err(CharError::Spec("chardev socket: 'reconnect-ms' needs an address, not 'fd='".into()));
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<(), CharError> {
        let what = format!("listen on {}", self.name);
        let fd: OwnedFd = match &self.spec.address {
            SocketAddress::Unix { path, abstract_name: true } => {
                std::os::unix::net::SocketAddr::from_abstract_name(path).and_then(|a| UnixListener::bind_addr(&a)).map_err(|e| CharError::host(what, e))?.into()
            }
            SocketAddress::Unix { path, .. } => {
                // A socket left over from an earlier run would be in the way; nothing else is removed.
                if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
                    let _ = std::fs::remove_file(path);
                }
                let listener = UnixListener::bind(path).map_err(|e| CharError::host(what, e))?;
                self.made = Some(path.into());
                listener.into()
            }
            SocketAddress::Tcp { host, port, to, ipv4_only } => {
                let last = to.unwrap_or(*port).max(*port);
                let mut result = Err(std::io::Error::from(std::io::ErrorKind::AddrNotAvailable));
                for port in *port..=last {
                    result = resolve(host, port, *ipv4_only, true).and_then(|a| TcpListener::bind(&*a));
                    if result.is_ok() {
                        break;
                    }
                }
                let listener = result.map_err(|e| CharError::host(what, e))?;
                if let Ok(address) = listener.local_addr() {
                    self.name = format!("tcp:{address}");
                }
                listener.into()
            }
            SocketAddress::Fd(_) => return Ok(()),
        };
        self.listener = Some(Arc::new(fd));
        Ok(())
    }

    /// The first connection is made at once, so that a wrong address is an error of the command line
    /// unless the user asked for patience.
    fn connect_first(&mut self) -> Result<(), CharError> {
        let what = format!("connect to {}", self.name);
        let fail = |e: std::io::Error| CharError::host(what.clone(), e);
        let result: std::io::Result<OwnedFd> = match &self.spec.address {
            SocketAddress::Unix { path, abstract_name } => {
                if *abstract_name {
                    let address = SocketAddrUnix::new_abstract_name(path.as_bytes());
                    self.peer = Peer::Unix(address.map_err(|e| fail(e.into()))?);
                    std::os::unix::net::SocketAddr::from_abstract_name(path).and_then(|a| UnixStream::connect_addr(&a)).map(Into::into)
                } else {
                    self.peer = Peer::Unix(SocketAddrUnix::new(path.as_str()).map_err(|e| fail(e.into()))?);
                    UnixStream::connect(path).map(Into::into)
                }
            }
            SocketAddress::Tcp { host, port, ipv4_only, .. } => {
                let addresses = resolve(host, *port, *ipv4_only, false).map_err(fail)?;
                let result = TcpStream::connect(&*addresses).map(Into::into);
                self.peer = Peer::Tcp(addresses);
                result
            }
            SocketAddress::Fd(_) => return Ok(()),
        };
        match (result, self.spec.reconnect) {
            (Ok(fd), _) => self.connected(Arc::new(fd)),
            (Err(e), Some(after)) => {
                tracing::info!("{what}: {e}; trying again every {} ms", after.as_millis());
                self.deadline = Some(Instant::now() + after);
            }
            (Err(e), None) => return Err(fail(e)),
        }
        Ok(())
    }

    /// Begins another attempt without waiting for its outcome.
    fn connect_again(&mut self) {
        let begin = |family, connect: &dyn Fn(&OwnedFd) -> rustix::io::Result<()>| {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
            match connect(&fd) {
                Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
                Err(e) => Err(e),
            }
        };
        let result = match &self.peer {
            Peer::Tcp(addresses) if !addresses.is_empty() => {
                let address = addresses[self.attempt % addresses.len()];
                self.attempt = self.attempt.wrapping_add(1);
                let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                begin(family, &|fd| rustix::net::connect(fd, &address))
            }
            Peer::Unix(address) => begin(AddressFamily::UNIX, &|fd| rustix::net::connect(fd, address)),
            _ => return,
        };
        match result {
            Ok(fd) => self.connecting = Some(Arc::new(fd)),
            Err(_) => self.retry_later(),
        }
    }

    fn retry_later(&mut self) {
        self.deadline = self.spec.reconnect.map(|after| Instant::now() + after);
    }

    fn connected(&mut self, fd: Arc<OwnedFd>) {
        if self.spec.nodelay {
            // Unix sockets have no such option and need none.
            let _ = sockopt::set_tcp_nodelay(&*fd, true);
        }
        self.deadline = None;
        self.connecting = None;
        self.io = Some(Io::socket(fd));
    }
}

/// The addresses of a host, of one family if so asked; an empty name is any of this host's.
fn resolve(host: &str, port: u16, ipv4_only: Option<bool>, server: bool) -> std::io::Result<Vec<SocketAddr>> {
    let all: Vec<SocketAddr> = match (host, server) {
        // The IPv6 wildcard also takes IPv4 clients.
        ("", true) => [("::", port), ("0.0.0.0", port)].iter().flat_map(|a| a.to_socket_addrs()).flatten().collect(),
        ("", false) => ("localhost", port).to_socket_addrs()?.collect(),
        _ => (host, port).to_socket_addrs()?.collect(),
    };
    let fit: Vec<SocketAddr> = all.into_iter().filter(|a| ipv4_only.is_none_or(|v4| a.is_ipv4() == v4)).collect();
    if fit.is_empty() {
        return Err(std::io::Error::other("the host has no address of the family asked for"));
    }
    Ok(fit)
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(io) = &self.io {
            // The descriptor may be a duplicate: the peer learns the end from this.
            let _ = rustix::net::shutdown(&*io.fd, rustix::net::Shutdown::Both);
        }
        if let Some(path) = &self.made {
            // It may have been removed by hand.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Link for Socket {
    fn reader(&self) -> Option<&Io> {
        self.io.as_ref()
    }

    fn writer(&self) -> Option<&Io> {
        self.io.as_ref()
    }

    fn mode(&self) -> Mode {
        if self.io.is_some() { Mode::Reader } else { Mode::Ring }
    }

    fn watch(&self) -> Option<(Arc<OwnedFd>, PollFlags)> {
        match (&self.io, &self.connecting, &self.listener) {
            (Some(_), ..) => None,
            (None, Some(fd), _) => Some((fd.clone(), PollFlags::OUT)),
            (None, None, Some(fd)) => Some((fd.clone(), PollFlags::IN)),
            _ => None,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn establish(&mut self) {
        if let Some(fd) = self.connecting.take() {
            match sockopt::socket_error(&*fd) {
                Ok(Ok(())) => self.connected(fd),
                _ => self.retry_later(),
            }
        } else if let Some(listener) = &self.listener {
            // A client that has gone again before it was accepted is not worth a word.
            if let Ok(fd) = rustix::net::accept_with(&**listener, SocketFlags::CLOEXEC) {
                self.connected(Arc::new(fd));
            }
        } else if self.io.is_none() {
            self.deadline = None;
            self.connect_again();
        }
    }

    fn lost(&mut self, _: Side, error: Option<Errno>) -> bool {
        if let Some(e) = error {
            tracing::debug!("character back end {}: connection lost: {}", self.name, std::io::Error::from(e));
        }
        self.io = None;
        self.retry_later();
        false
    }
}
