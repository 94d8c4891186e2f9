//! Semihosting: what a guest asks of the host by a reserved instruction. The architecture fetches
//! the operation number and the parameter block's address; what the operation does is here and
//! the same for all.

/// Guest memory as a semihosting call sees it: virtual addresses of the calling context.
pub trait GuestMemory {
    /// Reads bytes; false where an address is not mapped.
    fn read(&mut self, address: u64, to: &mut [u8]) -> bool;
    /// Writes bytes; false where an address is not mapped.
    fn write(&mut self, address: u64, from: &[u8]) -> bool;
}

/// Who answers.
pub trait Semihosting: Send + Sync {
    /// Answers operation `op` with parameter `parameter` (a value or the address of a block of
    /// `word`-byte words). The result goes to the return register.
    fn call(&self, memory: &mut dyn GuestMemory, word: u8, op: u32, parameter: u64) -> u64;
}
