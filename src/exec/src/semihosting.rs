//! Semihosting: what a guest asks of the host by a reserved instruction. An interface says how
//! operations are numbered and where their arguments are; what they do is here and the same for
//! all. The one with blocks of parameters is shared by several architectures, so
//! [`Semihosting::call`] answers it whole.

/// Guest memory as a semihosting call sees it: virtual addresses of the calling context.
pub trait GuestMemory {
    /// Reads bytes; false where an address is not mapped.
    fn read(&mut self, address: u64, to: &mut [u8]) -> bool;
    /// Writes bytes; false where an address is not mapped.
    fn write(&mut self, address: u64, from: &[u8]) -> bool;
}

/// How a file is opened, as POSIX open has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Open {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// What is written goes to the end.
    pub append: bool,
    /// A file that is not there is made.
    pub create: bool,
    /// A file that is there is emptied.
    pub truncate: bool,
    /// A file that is there is an error.
    pub exclusive: bool,
}

/// What a call speaks of: a standard stream of the guest, or a file that it opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
    /// What [`Semihosting::open`] gave.
    File(u64),
}

/// Where a seek begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whence {
    /// At the beginning.
    Start,
    /// At the present place.
    Current,
    /// At the end.
    End,
}

/// What is known of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// Type and permissions, as POSIX st_mode.
    pub mode: u32,
    /// Number of the file in its file system.
    pub inode: u64,
    /// Links to it.
    pub links: u64,
    /// Bytes.
    pub size: u64,
    /// Times of the last access, modification and change, in seconds since 1970.
    pub times: [i64; 3],
    /// Bytes that are transferred at once with advantage.
    pub block_size: u64,
    /// Units of 512 bytes that it takes.
    pub blocks: u64,
}

/// Who answers. Errors are numbers of errno.
pub trait Semihosting: Send + Sync {
    /// Answers operation `op` of the interface with blocks of parameters, with parameter `parameter` (a value or the address of a block
    /// of `word`-byte words). The result goes to the return register.
    fn call(&self, memory: &mut dyn GuestMemory, word: u8, op: u32, parameter: u64) -> u64;

    /// Ends the run with this exit status.
    fn exit(&self, status: u32);
    /// Opens a file of the host; gives the number of [`Stream::File`], which is not 0.
    fn open(&self, name: &str, how: Open) -> Result<u64, u32>;
    /// Closes a stream.
    fn close(&self, stream: Stream) -> Result<(), u32>;
    /// Reads at most `most` bytes, from the present place or from `at`. None: the end.
    fn read(&self, stream: Stream, most: usize, at: Option<u64>) -> Result<Vec<u8>, u32>;
    /// Writes bytes, at the present place or at `at`; gives how many were written.
    fn write(&self, stream: Stream, bytes: &[u8], at: Option<u64>) -> Result<usize, u32>;
    /// Moves the present place; gives it from the beginning.
    fn seek(&self, stream: Stream, offset: i64, whence: Whence) -> Result<u64, u32>;
    /// What is known of a file.
    fn stat(&self, stream: Stream) -> Result<Stat, u32>;
    /// Removes a file.
    fn unlink(&self, name: &str) -> Result<(), u32>;
    /// Gives a file a second name.
    fn link(&self, name: &str, new: &str) -> Result<(), u32>;
    /// The program's arguments, the first its name.
    fn arguments(&self) -> Vec<String>;
}
