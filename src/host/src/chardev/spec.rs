//! What the user asks for: `-chardev` options and the shorthand of `-serial`, `-monitor` and `-qmp`.

use std::path::PathBuf;
use std::time::Duration;

use super::CharError;
use crate::keyval::Pairs;
pub use crate::keyval::parse_keyval;

/// A character back end as the user described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharSpec {
    /// The name by which front ends refer to it.
    pub id: Option<String>,
    /// Several front ends may share it, with escape commands to choose between them.
    pub mux: bool,
    /// A file that receives a copy of all output.
    pub log: Option<LogSpec>,
    /// What kind of back end.
    pub kind: CharKind,
}

/// `logfile=` and `logappend=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    /// The file.
    pub path: PathBuf,
    /// Keep what the file already holds.
    pub append: bool,
}

/// The kinds of character back end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CharKind {
    /// Output vanishes, there is no input.
    Null,
    /// The process's standard input and output.
    Stdio {
        /// Ctrl-C and Ctrl-\ act on the emulator (on) or go to the guest (off).
        signal: bool,
    },
    /// Output to a file, input from another one.
    File {
        /// Where output goes.
        path: PathBuf,
        /// Keep what the file already holds.
        append: bool,
        /// Where input comes from.
        input: Option<PathBuf>,
    },
    /// A new pseudo-terminal.
    Pty {
        /// Where to put a symbolic link to the slave's device.
        link: Option<PathBuf>,
    },
    /// A stream socket.
    Socket(SocketSpec),
    /// `PATH.in` and `PATH.out`, or the one file `PATH`.
    Pipe {
        /// The name, without `.in` or `.out`.
        path: PathBuf,
    },
    /// The last `size` bytes of output, read through the handle.
    Ringbuf {
        /// How many bytes are kept: a power of two.
        size: usize,
    },
    /// A terminal device of the host, such as `/dev/ttyUSB0`.
    Tty {
        /// The device.
        path: PathBuf,
    },
}

impl CharKind {
    /// The name used on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            CharKind::Null => "null",
            CharKind::Stdio { .. } => "stdio",
            CharKind::File { .. } => "file",
            CharKind::Pty { .. } => "pty",
            CharKind::Socket(_) => "socket",
            CharKind::Pipe { .. } => "pipe",
            CharKind::Ringbuf { .. } => "ringbuf",
            CharKind::Tty { .. } => "serial",
        }
    }
}

/// A stream socket: who listens, where, and what happens when the peer goes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSpec {
    /// Where.
    pub address: SocketAddress,
    /// Listen (on) or connect (off).
    pub server: bool,
    /// A server waits for its first client before the machine starts.
    pub wait: bool,
    /// Send small writes at once (TCP only).
    pub nodelay: bool,
    /// A client tries again after this long when the connection is lost or refused.
    pub reconnect: Option<Duration>,
}

/// The address of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketAddress {
    /// A Unix socket.
    Unix {
        /// Its path (or its abstract name).
        path: String,
        /// The name is in Linux's abstract namespace.
        abstract_name: bool,
    },
    /// A TCP port.
    Tcp {
        /// Host name or address; empty: every address of a server, this host for a client.
        host: String,
        /// Port.
        port: u16,
        /// A server takes the first free port up to this one.
        to: Option<u16>,
        /// Only IPv4 (`Some(true)`), only IPv6 (`Some(false)`), or either.
        ipv4_only: Option<bool>,
    },
    /// A descriptor this process inherited.
    Fd(i32),
}

/// What the argument of `-serial`, `-parallel`, `-monitor` or `-qmp` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SerialSpec {
    /// `none`: no device at all.
    None,
    /// `chardev:ID`: a back end made by `-chardev`.
    Chardev(String),
    /// A back end of its own.
    New {
        /// The back end.
        spec: CharSpec,
        /// `mon:`: the monitor shares it.
        monitor: bool,
    },
}

fn bad(message: impl Into<String>) -> CharError {
    CharError::Spec(message.into())
}

const KINDS: &str = "file, null, pipe, pty, ringbuf, serial, socket, stdio";

impl CharSpec {
    /// A back end of the given kind with nothing else set.
    pub fn new(kind: CharKind) -> Self {
        CharSpec { id: None, mux: false, log: None, kind }
    }

    /// The argument of `-chardev`: `KIND,id=ID[,key=value...]`.
    pub fn parse(text: &str) -> Result<Self, CharError> {
        let mut pairs = parse_keyval(text);
        let at = pairs.iter().position(|(k, _)| k.is_empty() || k == "backend");
        let Some(at) = at else {
            return Err(bad(format!("-chardev {text}: no kind is given; kinds are {KINDS}")));
        };
        let (_, kind) = pairs.remove(at);
        let spec = Self::from_pairs(&kind, pairs)?;
        match &spec.id {
            Some(id) if well_formed(id) => Ok(spec),
            Some(id) => Err(bad(format!("-chardev {kind}: id '{id}': a letter is expected, then letters, digits, '-', '.', '_'"))),
            None => Err(bad(format!("-chardev {kind}: 'id=' is missing"))),
        }
    }

    fn from_pairs(kind: &str, pairs: Vec<(String, String)>) -> Result<Self, CharError> {
        let mut p = Pairs::new(format!("chardev {kind}"), pairs);
        let id = p.take("id");
        let mux = p.flag("mux", false)?;
        let append = p.flag_if_given("logappend")?;
        let log = p.take("logfile").map(|path| LogSpec { path: path.into(), append: append.unwrap_or(false) });
        if append.is_some() && log.is_none() {
            return Err(bad(format!("chardev {kind}: 'logappend' needs 'logfile='")));
        }
        let kind = match kind {
            "null" => CharKind::Null,
            "stdio" => CharKind::Stdio { signal: p.flag("signal", true)? },
            "file" => CharKind::File { path: p.required("path")?.into(), append: p.flag("append", false)?, input: p.take("input-path").map(PathBuf::from) },
            "pty" => CharKind::Pty { link: p.take("path").map(PathBuf::from) },
            "socket" => CharKind::Socket(socket(&mut p)?),
            "pipe" => CharKind::Pipe { path: p.required("path")?.into() },
            "ringbuf" | "memory" => CharKind::Ringbuf { size: ring_size(&mut p)? },
            "serial" | "tty" => CharKind::Tty { path: p.required("path")?.into() },
            other => return Err(unsupported(other)),
        };
        p.finish()?;
        Ok(CharSpec { id, mux, log, kind })
    }
}

fn well_formed(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_alphabetic()) && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// The message for a kind that QEMU has and Proteus has not, or that nobody has.
fn unsupported(kind: &str) -> CharError {
    let instead = match kind {
        "vc" | "dbus" => "there is no graphical console; use stdio, pty or socket",
        "udp" => "use a TCP or Unix socket",
        "telnet" | "tn3270" | "websocket" => "use tcp: and a raw client such as nc or socat",
        "msmouse" | "wctablet" | "braille" | "parallel" | "parport" | "testdev" | "spicevmc" | "spiceport" | "qemu-vdagent" | "hub" | "fdset" => {
            "use another kind"
        }
        _ => return bad(format!("unknown character back end '{kind}'; kinds are {KINDS}")),
    };
    CharError::Unsupported(format!("character back end '{kind}' is not supported by Proteus yet: {instead}"))
}

fn ring_size(p: &mut Pairs) -> Result<usize, CharError> {
    let Some(text) = p.take("size") else { return Ok(64 << 10) };
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        _ => (text.as_str(), 0),
    };
    let size = digits.parse::<usize>().ok().and_then(|n| n.checked_mul(1 << shift));
    match size {
        Some(size) if size.is_power_of_two() && size <= 1 << 30 => Ok(size),
        _ => Err(bad(format!("chardev ringbuf: 'size={text}': a power of two up to 1024M is expected"))),
    }
}

fn socket(p: &mut Pairs) -> Result<SocketSpec, CharError> {
    for (key, instead) in [("telnet", ": use a raw client such as nc or socat"), ("tn3270", ""), ("websocket", ""), ("tls-creds", ""), ("tls-authz", "")] {
        p.refuse(key, instead)?;
    }
    let server = p.flag("server", false)?;
    let wait = p.flag_if_given("wait")?;
    if wait.is_some() && !server {
        return Err(bad("chardev socket: 'wait' needs 'server=on'"));
    }
    // Bare `nodelay` has become `delay=off`.
    let delay = p.flag("delay", true)?;
    let nodelay = p.flag("nodelay", !delay)?;
    let seconds: Option<u64> = p.number("reconnect")?;
    let millis: Option<u64> = p.number("reconnect-ms")?;
    let reconnect = match (seconds, millis) {
        (Some(_), Some(_)) => return Err(bad("chardev socket: give 'reconnect' or 'reconnect-ms', not both")),
        (Some(s), None) => Some(Duration::from_secs(s)),
        (None, millis) => millis.map(Duration::from_millis),
    }
    .filter(|d| !d.is_zero());
    if server && reconnect.is_some() {
        return Err(bad("chardev socket: 'reconnect-ms' is for clients; a server always accepts the next one"));
    }
    Ok(SocketSpec { address: socket_address(p)?, server, wait: server && wait.unwrap_or(true), nodelay, reconnect })
}

fn socket_address(p: &mut Pairs) -> Result<SocketAddress, CharError> {
    let abstract_name = p.flag("abstract", false)?;
    // A name that is not tight is padded with zero bytes to the length of sun_path.
    let tight = p.flag("tight", true)?;
    let ipv4 = p.flag_if_given("ipv4")?;
    let ipv6 = p.flag_if_given("ipv6")?;
    let host = p.take("host");
    let port = p.take("port");
    let to = p.number("to")?;
    match (p.take("path"), p.number::<i32>("fd")?, &host, port) {
        (Some(path), None, None, None) if !path.is_empty() => {
            if abstract_name && !tight {
                return Err(CharError::Unsupported("chardev socket: 'tight=off' is not supported by Proteus yet".into()));
            }
            Ok(SocketAddress::Unix { path, abstract_name })
        }
        (None, Some(fd), None, None) if fd >= 0 => Ok(SocketAddress::Fd(fd)),
        (None, None, _, Some(port)) => Ok(SocketAddress::Tcp {
            host: host.unwrap_or_default(),
            port: port.parse().map_err(|_| bad(format!("chardev socket: 'port={port}': not a port number")))?,
            to,
            ipv4_only: match (ipv4, ipv6) {
                (Some(false), Some(false)) => return Err(bad("chardev socket: ipv4 and ipv6 cannot both be off")),
                (Some(true), None | Some(false)) | (None, Some(false)) => Some(true),
                (None | Some(false), Some(true)) | (Some(false), None) => Some(false),
                _ => None,
            },
        }),
        _ => Err(bad("chardev socket: one address is expected: 'path=' or 'host=,port=' or 'fd='")),
    }
}

impl SerialSpec {
    /// The argument of `-serial` and its like.
    pub fn parse(text: &str) -> Result<Self, CharError> {
        if let Some(id) = text.strip_prefix("chardev:") {
            return Ok(SerialSpec::Chardev(id.to_string()));
        }
        if text == "none" {
            return Ok(SerialSpec::None);
        }
        let (monitor, text) = match text.strip_prefix("mon:") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut spec = shorthand(text)?;
        if monitor {
            spec.mux = true;
            // The monitor is one escape away, so Ctrl-C is left to the guest.
            if let CharKind::Stdio { signal } = &mut spec.kind {
                *signal = false;
            }
        }
        Ok(SerialSpec::New { spec, monitor })
    }
}

fn shorthand(text: &str) -> Result<CharSpec, CharError> {
    let (head, rest) = match text.split_once(':') {
        Some((head, rest)) => (head, Some(rest)),
        None => (text.split(',').next().unwrap_or_default(), None),
    };
    if text.starts_with("/dev/") {
        return from_options("serial", "path", text);
    }
    match (head, rest) {
        ("null" | "stdio" | "pty", None) => {
            let mut pairs = parse_keyval(text);
            pairs.remove(0);
            CharSpec::from_pairs(head, pairs)
        }
        ("pty", Some(rest)) => from_options("pty", "path", rest),
        ("file" | "pipe", Some(rest)) => from_options(head, "path", rest),
        ("unix", Some(rest)) => from_options("socket", "path", rest),
        ("tcp", Some(rest)) => {
            let mut pairs = parse_keyval(rest);
            let address = match pairs.first() {
                Some((key, address)) if key.is_empty() => address.clone(),
                _ => return Err(bad(format!("{text}: tcp:[HOST]:PORT is expected"))),
            };
            let Some((host, port)) = address.rsplit_once(':') else {
                return Err(bad(format!("{text}: tcp:[HOST]:PORT is expected")));
            };
            let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
            pairs[0] = ("host".into(), host.into());
            pairs.push(("port".into(), port.into()));
            CharSpec::from_pairs("socket", pairs)
        }
        ("file" | "pipe" | "unix" | "tcp", None) => Err(bad(format!("{text}: '{head}:' and an address are expected"))),
        _ => Err(unsupported(head)),
    }
}

/// Options whose first value belongs to `implied`.
fn from_options(kind: &str, implied: &str, text: &str) -> Result<CharSpec, CharError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (i, (key, value)) in parse_keyval(text).into_iter().enumerate() {
        match (i, key.as_str()) {
            (0, "") => pairs.push((implied.into(), value)),
            // A path may hold an equals sign.
            (0, key) => pairs.push((implied.into(), format!("{key}={value}"))),
            _ => pairs.push((key, value)),
        }
    }
    CharSpec::from_pairs(kind, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(host: &str, port: u16) -> SocketAddress {
        SocketAddress::Tcp { host: host.into(), port, to: None, ipv4_only: None }
    }

    fn sock(address: SocketAddress, server: bool, wait: bool) -> CharKind {
        CharKind::Socket(SocketSpec { address, server, wait, nodelay: false, reconnect: None })
    }

    fn unix(path: &str) -> SocketAddress {
        SocketAddress::Unix { path: path.into(), abstract_name: false }
    }

    #[test]
    fn chardev_options() {
        let file = |path: &str, append, input: Option<&str>| CharKind::File { path: path.into(), append, input: input.map(Into::into) };
        for (text, kind) in [
            ("stdio,id=a", CharKind::Stdio { signal: true }),
            ("stdio,id=a,mux=on,signal=off", CharKind::Stdio { signal: false }),
            ("backend=null,id=a", CharKind::Null),
            ("id=a,backend=null", CharKind::Null),
            ("file,id=a,path=x,,y,append=on", file("x,y", true, None)),
            ("file,id=a,path=o,input-path=i", file("o", false, Some("i"))),
            ("pty,id=a", CharKind::Pty { link: None }),
            ("pipe,id=a,path=/tmp/p", CharKind::Pipe { path: "/tmp/p".into() }),
            ("ringbuf,id=a", CharKind::Ringbuf { size: 65536 }),
            ("ringbuf,id=a,size=4K", CharKind::Ringbuf { size: 4096 }),
            ("socket,id=a,path=s,server=on,wait=off", sock(unix("s"), true, false)),
            ("socket,id=a,path=s,server,nowait", sock(unix("s"), true, false)),
            ("socket,id=a,path=s,server", sock(unix("s"), true, true)),
            ("socket,id=a,host=h,port=9", sock(tcp("h", 9), false, false)),
            ("socket,id=a,port=9,telnet=off", sock(tcp("", 9), false, false)),
            ("socket,id=a,fd=3", sock(SocketAddress::Fd(3), false, false)),
        ] {
            assert_eq!(CharSpec::parse(text).map(|s| s.kind).map_err(|e| e.to_string()), Ok(kind), "{text}");
        }
        let spec = CharSpec::parse("socket,id=a,port=1,nodelay,reconnect-ms=250").unwrap();
        let CharKind::Socket(socket) = spec.kind else { panic!("{spec:?}") };
        assert!(socket.nodelay);
        assert_eq!(socket.reconnect, Some(Duration::from_millis(250)));
        let spec = CharSpec::parse("null,id=a,mux=on,logfile=l,logappend=on").unwrap();
        assert!(spec.mux);
        assert_eq!(spec.log, Some(LogSpec { path: "l".into(), append: true }));
    }

    #[test]
    fn errors_name_the_cause() {
        for (text, want) in [
            ("stdio,id=a,sginal=off", "unknown key 'sginal'; known keys are id, logappend, logfile, mux, signal"),
            ("stdio", "'id=' is missing"),
            ("stdio,id=1", "a letter is expected"),
            ("mux=on", "no kind is given"),
            ("vc,id=a", "'vc' is not supported"),
            ("udp,id=a,port=1", "'udp' is not supported"),
            ("wat,id=a", "unknown character back end 'wat'"),
            ("socket,id=a,port=1,telnet=on", "'telnet' is not supported"),
            ("socket,id=a", "one address is expected"),
            ("socket,id=a,path=p,port=1", "one address is expected"),
            ("socket,id=a,path=p,wait=off", "'wait' needs 'server=on'"),
            ("socket,id=a,path=p,server=on,reconnect-ms=5", "'reconnect-ms' is for clients"),
            ("socket,id=a,port=70000", "not a port number"),
            ("file,id=a", "'path=' is missing"),
            ("null,id=a,mux=perhaps", "'on' or 'off' is expected"),
            ("ringbuf,id=a,size=1000", "power of two"),
            ("null,id=a,logappend=on", "needs 'logfile='"),
        ] {
            let message = CharSpec::parse(text).expect_err(text).to_string();
            assert!(message.contains(want), "{text}: {message}");
        }
    }

    #[test]
    fn serial_shorthand() {
        let new = |kind| SerialSpec::New { spec: CharSpec::new(kind), monitor: false };
        for (text, want) in [
            ("none", SerialSpec::None),
            ("chardev:c0", SerialSpec::Chardev("c0".into())),
            ("null", new(CharKind::Null)),
            ("stdio", new(CharKind::Stdio { signal: true })),
            ("pty", new(CharKind::Pty { link: None })),
            ("file:/tmp/a=b", new(CharKind::File { path: "/tmp/a=b".into(), append: false, input: None })),
            ("unix:/s,server=on,wait=off", new(sock(unix("/s"), true, false))),
            ("tcp:h:1,server,nowait", new(sock(tcp("h", 1), true, false))),
            ("tcp::4444,server=on", new(sock(tcp("", 4444), true, true))),
            ("tcp:[::1]:5", new(sock(tcp("::1", 5), false, false))),
            ("pipe:/p", new(CharKind::Pipe { path: "/p".into() })),
            ("/dev/ttyS0", new(CharKind::Tty { path: "/dev/ttyS0".into() })),
        ] {
            assert_eq!(SerialSpec::parse(text).map_err(|e| e.to_string()), Ok(want), "{text}");
        }
        let mut spec = CharSpec::new(CharKind::Stdio { signal: false });
        spec.mux = true;
        assert_eq!(SerialSpec::parse("mon:stdio").unwrap(), SerialSpec::New { spec, monitor: true });
        for text in ["telnet::1,server", "udp::1", "vc", "vc:80Cx24C", "tcp:1", "file", "wat", ""] {
            assert!(SerialSpec::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = (CharSpec::parse(&text), SerialSpec::parse(&text));
        }

        #[test]
        fn likely_text_is_parsed_or_refused(
            words in prop::collection::vec(
                prop::sample::select(vec!["stdio", "socket", "tcp:", ":", ",", ",,", "=", "id", "no", "server", "size=",
                    "ringbuf", "K", "é", "path", "port=", "99999999999999999999", "mon:", "/dev/", "[", "]", "unix:"]),
                0..10)
        ) {
            let text = words.concat();
            let _ = (CharSpec::parse(&text), SerialSpec::parse(&text));
        }
    }
}
