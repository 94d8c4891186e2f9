//! Order of the bytes of numbers: little-endian since virtio 1.0, the guest's own before (§2.4.3,
//! §2.5.3, §2.7.3).

use proteus_model::State;

/// Order of the bytes of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, State)]
#[repr(u8)]
pub enum ByteOrder {
    /// Lowest byte first.
    #[default]
    Little,
    /// Highest byte first.
    Big,
}

macro_rules! orders {
    ($($number:ident $bytes:ident $int:ty: $width:literal;)*) => {$(
        #[doc = concat!("The number of ", $width, " bits that these bytes are.")]
        pub fn $number(self, bytes: [u8; $width / 8]) -> $int {
            match self {
                ByteOrder::Little => <$int>::from_le_bytes(bytes),
                ByteOrder::Big => <$int>::from_be_bytes(bytes),
            }
        }

        #[doc = concat!("The bytes of a number of ", $width, " bits.")]
        pub fn $bytes(self, number: $int) -> [u8; $width / 8] {
            match self {
                ByteOrder::Little => number.to_le_bytes(),
                ByteOrder::Big => number.to_be_bytes(),
            }
        }
    )*};
}

impl ByteOrder {
    orders! {
        number16 bytes16 u16: 16;
        number32 bytes32 u32: 32;
        number64 bytes64 u64: 64;
    }
}
