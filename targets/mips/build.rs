//! Generates the decoder of MIPS from `decode/`.

fn main() -> Result<(), decodetree::Error> {
    decodetree::target("mips")
}
