//! The pseudo-random stream of the guest program `net-xfer`, and a peer for it.
//!
//! The stream is xorshift64* from seed 1, least significant byte first; the check is FNV-1a over
//! single bytes with a 64-bit state.

use std::io::{self, Read, Write};

/// The bytes that `net-xfer` sends, and expects to receive.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Default for Stream {
    fn default() -> Self {
        Self { state: 1, word: [0; 8], used: 8 }
    }
}

impl Iterator for Stream {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.used == self.word.len() {
            self.state ^= self.state >> 12;
            self.state ^= self.state << 25;
            self.state ^= self.state >> 27;
            self.word = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
            self.used = 0;
        }
        self.used += 1;
        Some(self.word[self.used - 1])
    }
}

/// The check that `net-xfer` prints for these bytes.
pub fn check(bytes: impl IntoIterator<Item = u8>) -> u64 {
    mix(0xCBF2_9CE4_8422_2325, bytes)
}

fn mix(hash: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// What the peer of `net-xfer` does; the names are its modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends back what comes.
    Echo,
    /// Takes what the guest sends, and answers with the check.
    Send,
    /// Sends the guest this many bytes of the stream.
    Receive(u64),
}

/// Serves one connection of `net-xfer`; returns how many bytes went each way at most.
pub fn serve(connection: &mut (impl Read + Write), mode: Mode) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    match mode {
        Mode::Receive(bytes) => {
            let mut stream = Stream::default();
            while total < bytes {
                let count = buffer.len().min(usize::try_from(bytes - total).unwrap_or(usize::MAX));
                buffer.iter_mut().zip(&mut stream).take(count).for_each(|(to, from)| *to = from);
                connection.write_all(&buffer[..count])?;
                total += count as u64;
            }
            Ok(total)
        }
        Mode::Echo => loop {
            let count = connection.read(&mut buffer)?;
            if count == 0 {
                return Ok(total);
            }
            connection.write_all(&buffer[..count])?;
            total += count as u64;
        },
        Mode::Send => {
            let mut hash = check([]);
            loop {
                let count = connection.read(&mut buffer)?;
                if count == 0 {
                    connection.write_all(&hash.to_be_bytes())?;
                    return Ok(total);
                }
                hash = mix(hash, buffer[..count].iter().copied());
                total += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[derive(Default)]
    struct Peer {
        input: VecDeque<u8>,
        output: Vec<u8>,
    }

    impl Read for Peer {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.input.read(into)
        }
    }

    impl Write for Peer {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            self.output.write(from)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_stream_starts_as_the_guest_program_makes_it() {
        // xorshift64* from seed 1: 0x47E4CE4B896CDD1D, worked out by hand from its definition.
        let first: Vec<u8> = Stream::default().take(8).collect();
        assert_eq!(first, 0x47E4_CE4B_896C_DD1D_u64.to_le_bytes());
    }

    #[test]
    fn each_mode_answers_as_the_guest_program_expects() {
        let bytes: Vec<u8> = Stream::default().take(200_001).collect();
        let given = || Peer { input: bytes.iter().copied().collect(), output: Vec::new() };
        let mut peer = given();
        assert_eq!(serve(&mut peer, Mode::Echo).expect("served"), 200_001);
        assert_eq!(peer.output, bytes);
        let mut peer = given();
        assert_eq!(serve(&mut peer, Mode::Send).expect("served"), 200_001);
        assert_eq!(peer.output, check(bytes.iter().copied()).to_be_bytes());
        let mut peer = Peer::default();
        assert_eq!(serve(&mut peer, Mode::Receive(200_001)).expect("served"), 200_001);
        assert_eq!(peer.output, bytes);
    }
}
