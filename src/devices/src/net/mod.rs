//! Ethernet controllers that are no virtio devices.

pub mod pcnet;

/// Remainders of the Ethernet check sequence's polynomial for each byte, lowest bit first.
const REMAINDERS: [u32; 256] = {
    let (mut table, mut n) = ([0; 256], 0);
    while n < 256 {
        let (mut remainder, mut bit) = (n as u32, 0);
        while bit < 8 {
            remainder = if remainder & 1 != 0 { remainder >> 1 ^ 0xedb8_8320 } else { remainder >> 1 };
            bit += 1;
        }
        table[n] = remainder;
        n += 1;
    }
    table
};

/// The shift register of the check sequence after `bytes` (IEEE 802.3, 3.2.9), lowest bit first,
/// before it is complemented: what hash filters take their bits of.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, byte| crc >> 8 ^ REMAINDERS[usize::from(crc as u8 ^ byte)])
}

/// The check sequence of a frame, as it follows the frame.
fn fcs(frame: &[u8]) -> [u8; 4] {
    (!crc32(frame)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sequence_is_that_of_ethernet() {
        // The check value that catalogues of CRC-32 give.
        assert_eq!(fcs(b"123456789"), 0xcbf4_3926u32.to_le_bytes());
        assert_eq!(fcs(b""), [0; 4]);
    }
}
