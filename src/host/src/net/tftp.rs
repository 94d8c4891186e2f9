//! The TFTP server of `tftp=` (RFC 1350, with the options `blksize` and `tsize` of RFC 2348 and
//! RFC 2349): it reads files below one directory, and writes none.

use super::ipv4::be16;
use super::link::Link;
use super::spec::NetUserSpec;
use std::fs::File;
use std::net::SocketAddrV4;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// The port of the server; data come from it, too.
pub(super) const PORT: u16 = 69;
/// How many transfers there can be at once.
const TRANSFERS: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(60);
const BLOCK: usize = 512;
/// The largest block that fits a frame.
const LARGEST_BLOCK: usize = 1428;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OPTIONS: u16 = 6;

/// Error codes.
const UNDEFINED: u16 = 0;
const NOT_FOUND: u16 = 1;
const VIOLATION: u16 = 2;
const ILLEGAL: u16 = 4;

struct Transfer {
    guest: SocketAddrV4,
    file: File,
    block_size: usize,
    /// Blocks acknowledged so far. The protocol's own number is this one's low half-word.
    acknowledged: u64,
    len: u64,
    last: Instant,
}

/// The transfers under way.
#[derive(Default)]
pub(super) struct Tftp {
    transfers: Vec<Transfer>,
}

impl Tftp {
    /// Takes a message to the TFTP port.
    pub(super) fn receive(&mut self, link: &mut Link, net: &NetUserSpec, guest: SocketAddrV4, message: &[u8]) {
        let reply = match be16(message, 0) {
            READ => self.read(net, guest, &message[2..], link.now),
            WRITE => Err((VIOLATION, "this server is read-only")),
            ACK if message.len() >= 4 => match self.acknowledge(guest, be16(message, 2), link.now) {
                Some(reply) => reply,
                None => return,
            },
            ERROR => return self.transfers.retain(|t| t.guest != guest),
            _ => Err((ILLEGAL, "unknown operation")),
        };
        let reply = reply.unwrap_or_else(|(code, text)| {
            self.transfers.retain(|t| t.guest != guest);
            let mut error = words(ERROR, code);
            error.extend_from_slice(text.as_bytes());
            error.push(0);
            error
        });
        link.send_udp((net.host, PORT), (*guest.ip(), guest.port()), &reply, None);
    }

    fn read(&mut self, net: &NetUserSpec, guest: SocketAddrV4, request: &[u8], now: Instant) -> Result<Vec<u8>, (u16, &'static str)> {
        let mut fields = request.split(|byte| *byte == 0).map(std::str::from_utf8);
        let mut field = || fields.next().and_then(Result::ok);
        let malformed = (ILLEGAL, "malformed request");
        let name = field().filter(|name| !name.is_empty()).ok_or(malformed)?;
        let mode = field().ok_or(malformed)?;
        if !mode.eq_ignore_ascii_case("octet") {
            return Err((ILLEGAL, "only mode octet is served"));
        }
        let root = net.tftp.as_deref().ok_or((VIOLATION, "no directory is served"))?;
        let path = below(root, name).ok_or((NOT_FOUND, "file not found"))?;
        // Asked first, since opening a FIFO would wait for its other end.
        let len = match path.metadata() {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            _ => return Err((NOT_FOUND, "not a regular file")),
        };
        let file = File::open(&path).map_err(|_| (NOT_FOUND, "file not found"))?;
        tracing::debug!("TFTP: {guest} reads {}", path.display());
        let mut transfer = Transfer { guest, file, block_size: BLOCK, acknowledged: 0, len, last: now };
        let mut accepted = Vec::new();
        while let (Some(option), Some(value)) = (field(), field()) {
            let value = match option.to_ascii_lowercase().as_str() {
                "blksize" => match value.parse::<usize>() {
                    Ok(size @ 8..) => {
                        transfer.block_size = size.min(LARGEST_BLOCK);
                        transfer.block_size.to_string()
                    }
                    _ => continue,
                },
                "tsize" => len.to_string(),
                _ => continue,
            };
            accepted.extend_from_slice(format!("{option}\0{value}\0").as_bytes());
        }
        // Others that came to a halt are forgotten with it.
        self.transfers.retain(|t| t.guest != guest && now.duration_since(t.last) < TIMEOUT);
        if self.transfers.len() == TRANSFERS {
            self.transfers.remove(0);
        }
        let first = if accepted.is_empty() { transfer.block() } else { Ok([OPTIONS.to_be_bytes().to_vec(), accepted].concat()) };
        self.transfers.push(transfer);
        first
    }

    /// The answer to an acknowledgment, if there is one.
    fn acknowledge(&mut self, guest: SocketAddrV4, block: u16, now: Instant) -> Option<Result<Vec<u8>, (u16, &'static str)>> {
        let at = self.transfers.iter().position(|t| t.guest == guest)?;
        let transfer = &mut self.transfers[at];
        transfer.last = now;
        if block == (transfer.acknowledged + 1) as u16 {
            transfer.acknowledged += 1;
            // The last block is the one that is not full.
            if transfer.acknowledged > transfer.len / transfer.block_size as u64 {
                self.transfers.remove(at);
                return None;
            }
        } else if block != transfer.acknowledged as u16 {
            return None;
        }
        Some(transfer.block())
    }
}

impl Transfer {
    /// The block behind the last one acknowledged.
    fn block(&self) -> Result<Vec<u8>, (u16, &'static str)> {
        let start = self.acknowledged * self.block_size as u64;
        // A file that has shrunk since fails; what it has grown by is not sent.
        let len = self.len.saturating_sub(start).min(self.block_size as u64) as usize;
        let mut message = words(DATA, (self.acknowledged + 1) as u16);
        message.resize(4 + len, 0);
        match self.file.read_exact_at(&mut message[4..], start) {
            Ok(()) => Ok(message),
            Err(_) => Err((UNDEFINED, "the file cannot be read")),
        }
    }
}

fn words(first: u16, second: u16) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes()].concat()
}

/// The path of a file below a directory, unless it leads out of it, by `..` or by a link.
fn below(root: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name.trim_start_matches('/'));
    if !name.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return None;
    }
    let root = root.canonicalize().ok()?;
    let path = root.join(name).canonicalize().ok()?;
    path.starts_with(&root).then_some(path)
}
