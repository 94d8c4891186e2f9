//! A client of GDB's remote protocol that knows packets only.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection to a stub.
pub struct Client {
    stream: UnixStream,
    rest: Vec<u8>,
    /// Packets are acknowledged.
    acknowledges: bool,
}

impl Client {
    /// Connects to a socket; nothing is waited for longer than `limit`.
    pub fn connect(socket: &Path, limit: Duration) -> io::Result<Client> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(limit))?;
        Ok(Client { stream, rest: Vec::new(), acknowledges: true })
    }

    /// Goes on without acknowledgments; the stub's answer.
    pub fn start_no_ack_mode(&mut self) -> io::Result<String> {
        let answer = self.ask("QStartNoAckMode")?;
        self.acknowledges &= answer != "OK";
        Ok(answer)
    }

    /// Sends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a packet.
    pub fn send(&mut self, body: &str) -> io::Result<()> {
        let sum = body.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte));
        self.bytes(format!("${body}#{sum:02x}").as_bytes())
    }

    /// The body of the next packet, with runs written out. The end of the connection is an error.
    pub fn receive(&mut self) -> io::Result<String> {
        loop {
            if let Some(start) = self.rest.iter().position(|byte| *byte == b'$')
                && let Some(length) = self.rest[start..].iter().position(|byte| *byte == b'#')
                && self.rest.len() >= start + length + 3
            {
                let body = expand(&self.rest[start + 1..start + length]);
                self.rest.drain(..start + length + 3);
                if self.acknowledges {
                    self.bytes(b"+")?;
                }
                return Ok(body);
            }
            let mut more = [0; 1 << 16];
            match self.stream.read(&mut more)? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stub hung up")),
                n => self.rest.extend_from_slice(&more[..n]),
            }
        }
    }

    /// The answer to a packet.
    pub fn ask(&mut self, body: &str) -> io::Result<String> {
        self.send(body)?;
        self.receive()
    }
}

/// Writes out what `X*n` shortens (GDB manual, "Overview" of the remote protocol).
fn expand(body: &[u8]) -> String {
    let mut out: Vec<u8> = Vec::with_capacity(body.len());
    let mut bytes = body.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, out.last().copied()) {
            (b'*', Some(last)) => {
                let n = bytes.next().map_or(0, |n| usize::from(n.saturating_sub(29)));
                out.extend(std::iter::repeat_n(last, n));
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Hexadecimal digits of text.
pub fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Text of hexadecimal digits.
pub fn text(hex: &str) -> String {
    let bytes = hex.as_bytes().chunks(2).filter_map(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_digits_are_written_out() {
        assert_eq!(expand(b"0* 1"), "00001");
        assert_eq!(expand(b"*a"), "*a");
    }

    #[test]
    fn packets_are_acknowledged_until_the_stub_wants_it_no_longer() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("stub");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let stub = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut take = |n: usize| {
                let mut bytes = vec![0; n];
                stream.read_exact(&mut bytes).map(|()| bytes)
            };
            let asked = take(b"$QStartNoAckMode#b0".len());
            stream.write_all(b"+$OK#9a").expect("it listens");
            let mut rest = vec![0; 1 + b"$?#3f".len()];
            stream.read_exact(&mut rest).expect("more");
            stream.write_all(b"$T05#b9").expect("it listens");
            (asked.expect("a packet"), rest)
        });
        let mut client = Client::connect(&path, Duration::from_secs(10)).expect("a stub");
        assert_eq!(client.start_no_ack_mode().expect("an answer"), "OK");
        assert_eq!(client.ask("?").expect("an answer"), "T05");
        assert_eq!(stub.join().expect("its end"), (b"$QStartNoAckMode#b0".to_vec(), b"+$?#3f".to_vec()));
        assert!(client.receive().is_err());
    }
}
