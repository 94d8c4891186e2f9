//! Generates the decoder of A64 from `decode/`.

fn main() -> Result<(), decodetree::Error> {
    decodetree::target("a64")
}
