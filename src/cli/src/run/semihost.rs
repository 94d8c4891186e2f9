//! What a bare-metal guest asks of the host: Arm semihosting 2.0, and the services that other
//! architectures' interfaces are made of.
//!
//! Files are the host's, opened with the rights of this process. The console (`:tt`) is the
//! back end of `-semihosting-config chardev=`. Without one it is the standard streams, as the mode
//! it is opened with says, and single characters and strings go to standard error. Times are the
//! machine's.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use proteus_exec::semihosting::{self, GuestMemory, Open, Semihosting, Stat, Whence};
use proteus_host::chardev::{CharEvent, Chardev, Sink};
use proteus_machines::BuiltBoard;
use proteus_model::{Machine, SystemRequest};

use super::chardevs::Consoles;
use super::endings::Control;
use crate::config::{Config, SemihostingTarget};
use crate::error::{Problem, UsageError};

/// The longest name or transfer taken at once.
const LONGEST: usize = 1 << 20;
/// Handles that may be open.
const HANDLES: usize = 1024;
/// Input that may wait.
const CREDIT: usize = 4096;
/// How soon a wait for input sees that the run is to end.
const PATIENCE: Duration = Duration::from_millis(20);

/// ADP_Stopped_ApplicationExit: the one reason for an end that is a success.
const APPLICATION_EXIT: u64 = 0x2_0026;

/// `SH_EXT_EXIT_EXTENDED` and `SH_EXT_STDOUT_STDERR`, after the magic number.
const FEATURES: [u8; 5] = [b'S', b'H', b'F', b'B', 3];

const EBADF: u32 = 9;
const EINVAL: u32 = 22;
const EMFILE: u32 = 24;
const EFAULT: u32 = 14;
const ENOSYS: u32 = 38;
const EIO: u32 = 5;
const ESPIPE: u32 = 29;

/// S_IFCHR and permissions for all: a console.
const CHARACTER_DEVICE: u32 = 0o020_666;

/// Which standard stream the console is, where it has no back end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Input,
    Output,
    Error,
}

/// What a handle is.
enum Handle {
    Console(Stream),
    File(File),
    /// `:semihosting-features`, and where it is read.
    Features(usize),
}

#[derive(Default)]
struct State {
    handles: Vec<Option<Handle>>,
    errno: u32,
}

/// Input of the console.
#[derive(Default)]
struct Typed {
    bytes: Mutex<std::collections::VecDeque<u8>>,
    some: Condvar,
}

impl Sink for Typed {
    fn receive(&self, event: CharEvent) {
        if let CharEvent::Input(input) = event {
            self.bytes.lock().extend(input);
            self.some.notify_all();
        }
    }
}

/// Answers semihosting calls.
pub struct Host {
    machine: Weak<Machine>,
    control: Arc<Control>,
    command_line: String,
    /// The words of the command line, where it was given in words.
    arguments: Vec<String>,
    heap: (u64, u64),
    /// Wall-clock time at virtual time zero.
    wall_base: u64,
    console: OnceLock<Chardev>,
    typed: Arc<Typed>,
    state: Mutex<State>,
}

type Outcome = Result<u64, u32>;

fn errno(e: &std::io::Error) -> u32 {
    e.raw_os_error().map_or(EIO, |n| n as u32)
}

/// Opens a file of the host.
fn file(name: &str, how: Open) -> Result<File, u32> {
    let mut options = OpenOptions::new();
    options.read(how.read).write(how.write).append(how.append).truncate(how.truncate);
    if how.exclusive {
        options.create_new(how.create);
    } else {
        options.create(how.create);
    }
    options.open(name).map_err(|e| errno(&e))
}

impl Host {
    /// The answerer that the command line asks for, if it does.
    pub fn answering(
        config: &Config,
        consoles: &Consoles,
        built: &BuiltBoard,
        memory: u64,
        wall_base: u64,
        control: &Arc<Control>,
    ) -> Result<Option<Arc<dyn Semihosting>>, UsageError> {
        let Some(given) = &config.semihosting else { return Ok(None) };
        let fail = |text: &str| Problem::new(text).at(&config.program, "-semihosting-config");
        if given.target == SemihostingTarget::Gdb {
            return Err(fail("target=gdb: there is no debugger connection yet; give native or auto"));
        }
        if given.userspace {
            return Err(fail("userspace=on is understood by QEMU, not yet implemented in Proteus"));
        }
        let arguments = match given.args.as_slice() {
            [] => {
                let kernel = config.kernel.as_ref().map(|k| k.display().to_string()).unwrap_or_default();
                [kernel, config.append.clone().unwrap_or_default()].into()
            }
            args => args.to_vec(),
        };
        let command_line = if given.args.is_empty() { arguments.join(" ").trim().to_string() } else { arguments.join(" ") };
        let typed = Arc::new(Typed::default());
        let console = OnceLock::new();
        if let Some(id) = &given.chardev {
            let chardev = consoles.all.attach(id, typed.clone()).map_err(|e| fail(&e.to_string()))?;
            chardev.set_can_receive(CREDIT);
            let _ = console.set(chardev);
        }
        let ram = built.machine.windows().into_iter().filter(|w| w.device.is_none() && w.size == memory).map(|w| w.base).next().unwrap_or(0);
        let host = Host {
            machine: Arc::downgrade(&built.machine),
            control: control.clone(),
            command_line,
            arguments,
            heap: heap(ram, memory, built),
            wall_base,
            console,
            typed,
            state: Mutex::new(State::default()),
        };
        Ok(Some(Arc::new(host)))
    }

    fn write_console(&self, stream: Stream, bytes: &[u8]) {
        let host: &mut dyn Write = match (self.console.get(), stream) {
            (Some(chardev), _) => return chardev.write_blocking(bytes),
            (None, Stream::Output) => &mut std::io::stdout(),
            (None, _) => &mut std::io::stderr(),
        };
        // There is nobody to tell that the stream is closed.
        let _ = host.write_all(bytes).and_then(|()| host.flush());
    }

    /// Waits for at least one byte, and takes up to `most`. None: the input is at its end.
    fn read_console(&self, most: usize) -> Vec<u8> {
        let Some(chardev) = self.console.get() else { return self.read_standard(most) };
        let mut bytes = self.typed.bytes.lock();
        while bytes.is_empty() && !self.control.ending() {
            self.typed.some.wait_for(&mut bytes, PATIENCE);
        }
        let n = most.min(bytes.len());
        let out = bytes.drain(..n).collect();
        if bytes.is_empty() {
            chardev.set_can_receive(CREDIT);
        }
        out
    }

    fn read_standard(&self, most: usize) -> Vec<u8> {
        let stdin = rustix::stdio::stdin();
        let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
        while !self.control.ending() {
            let mut fds = [rustix::event::PollFd::new(&stdin, rustix::event::PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&limit)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(_) => break,
            }
            let mut bytes = vec![0; most.min(CREDIT)];
            match rustix::io::read(stdin, &mut bytes[..]) {
                // Another reader of the same stream, as -serial stdio is, was there first.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                got => {
                    bytes.truncate(got.unwrap_or(0));
                    return bytes;
                }
            }
        }
        Vec::new()
    }

    /// Whether somebody sits at the console.
    fn interactive(&self, stream: Stream) -> bool {
        match (self.console.get(), stream) {
            (Some(_), _) => true,
            (None, Stream::Input) => std::io::stdin().is_terminal(),
            (None, Stream::Output) => std::io::stdout().is_terminal(),
            (None, Stream::Error) => std::io::stderr().is_terminal(),
        }
    }

    /// Arm's SYS_OPEN.
    fn open_arm(&self, name: &str, mode: u64) -> Outcome {
        let handle = match (name, mode) {
            (_, 12..) => return Err(EINVAL),
            (":tt", 0..4) => Handle::Console(Stream::Input),
            (":tt", 4..8) => Handle::Console(Stream::Output),
            (":tt", _) => Handle::Console(Stream::Error),
            (":semihosting-features", 0 | 1) => Handle::Features(0),
            (":semihosting-features", _) => return Err(13),
            _ => {
                // fopen's modes: r, r+, w, w+, a, a+, each plain and binary.
                let none = Open::default();
                let how = match mode >> 1 {
                    0 => Open { read: true, ..none },
                    1 => Open { read: true, write: true, ..none },
                    2 => Open { write: true, create: true, truncate: true, ..none },
                    3 => Open { read: true, write: true, create: true, truncate: true, ..none },
                    4 => Open { append: true, create: true, ..none },
                    _ => Open { read: true, append: true, create: true, ..none },
                };
                Handle::File(file(name, how)?)
            }
        };
        self.keep(handle)
    }

    /// A number for a handle.
    fn keep(&self, handle: Handle) -> Outcome {
        let mut state = self.state.lock();
        let free = state.handles.iter().position(Option::is_none).unwrap_or(state.handles.len());
        if free >= HANDLES {
            return Err(EMFILE);
        }
        if free == state.handles.len() {
            state.handles.push(None);
        }
        state.handles[free] = Some(handle);
        // Handles are not zero.
        Ok(free as u64 + 1)
    }

    fn close_handle(&self, handle: u64) -> Outcome {
        self.with(handle, |_| Ok(()))?;
        self.state.lock().handles[handle as usize - 1] = None;
        Ok(0)
    }

    fn with<T>(&self, handle: u64, f: impl FnOnce(&mut Handle) -> Result<T, u32>) -> Result<T, u32> {
        let mut state = self.state.lock();
        let slot = usize::try_from(handle.wrapping_sub(1)).ok().and_then(|n| state.handles.get_mut(n));
        f(slot.and_then(Option::as_mut).ok_or(EBADF)?)
    }

    /// How many bytes were not written.
    fn write_handle(&self, handle: u64, bytes: &[u8]) -> Outcome {
        let console = self.with(handle, |h| match h {
            Handle::Console(Stream::Input) | Handle::Features(_) => Err(EBADF),
            Handle::Console(stream) => Ok(Some(*stream)),
            Handle::File(file) => file.write_all(bytes).map(|()| None).map_err(|e| errno(&e)),
        })?;
        if let Some(stream) = console {
            self.write_console(stream, bytes);
        }
        Ok(0)
    }

    fn read_handle(&self, handle: u64, most: usize) -> Result<Vec<u8>, u32> {
        let got = self.with(handle, |h| match h {
            Handle::Console(_) => Ok(None),
            Handle::Features(at) => {
                let rest = &FEATURES[(*at).min(FEATURES.len())..];
                let got = rest[..most.min(rest.len())].to_vec();
                *at += got.len();
                Ok(Some(got))
            }
            Handle::File(file) => {
                let mut got = Vec::new();
                file.take(most as u64).read_to_end(&mut got).map_err(|e| errno(&e))?;
                Ok(Some(got))
            }
        })?;
        Ok(got.unwrap_or_else(|| self.read_console(most)))
    }

    fn now(&self) -> u64 {
        self.machine.upgrade().map_or(0, |m| m.clock().now())
    }

    fn perform(&self, m: &mut Call<'_>) -> Outcome {
        match m.op {
            0x01 => {
                let (name, mode, length) = (m.argument(0)?, m.argument(1)?, m.argument(2)?);
                let name = m.text(name, length)?;
                self.open_arm(&name, mode)
            }
            0x02 => {
                let handle = m.argument(0)?;
                self.close_handle(handle)
            }
            0x03 => {
                let byte = m.bytes(m.parameter, 1)?;
                self.write_console(Stream::Error, &byte);
                Ok(0)
            }
            0x04 => {
                let text = m.string(m.parameter)?;
                self.write_console(Stream::Error, &text);
                Ok(0)
            }
            0x05 => {
                let (handle, from, mut left) = (m.argument(0)?, m.argument(1)?, m.argument(2)?);
                let mut at = from;
                while left > 0 {
                    let n = left.min(LONGEST as u64);
                    let Ok(bytes) = m.bytes(at, n) else { return Ok(left) };
                    if let Err(e) = self.write_handle(handle, &bytes) {
                        self.state.lock().errno = e;
                        return Ok(left);
                    }
                    at = at.wrapping_add(n);
                    left -= n;
                }
                Ok(0)
            }
            0x06 => {
                let (handle, to, length) = (m.argument(0)?, m.argument(1)?, m.argument(2)?);
                let got = self.read_handle(handle, length.min(LONGEST as u64) as usize)?;
                m.put(to, &got)?;
                Ok(length - got.len() as u64)
            }
            0x07 => Ok(self.read_console(1).first().map_or(u64::MAX, |b| u64::from(*b))),
            // Negative in the width of the guest's words.
            0x08 => Ok(u64::from(m.argument(0)? >> (8 * u64::from(m.word) - 1) & 1 != 0)),
            0x09 => {
                let stream = self.with(m.argument(0)?, |h| Ok(if let Handle::Console(stream) = h { Some(*stream) } else { None }))?;
                Ok(u64::from(stream.is_some_and(|s| self.interactive(s))))
            }
            0x0a => {
                let (handle, to) = (m.argument(0)?, m.argument(1)?);
                self.with(handle, |h| match h {
                    Handle::Console(_) => Err(ESPIPE),
                    Handle::Features(at) => {
                        *at = usize::try_from(to).unwrap_or(usize::MAX);
                        Ok(0)
                    }
                    Handle::File(file) => file.seek(SeekFrom::Start(to)).map(|_| 0).map_err(|e| errno(&e)),
                })
            }
            0x0c => self.with(m.argument(0)?, |h| match h {
                Handle::Console(_) => Ok(0),
                Handle::Features(_) => Ok(FEATURES.len() as u64),
                Handle::File(file) => file.metadata().map(|m| m.len()).map_err(|e| errno(&e)),
            }),
            0x0d => {
                let (to, id, length) = (m.argument(0)?, m.argument(1)?, m.argument(2)?);
                let name = format!("{}/proteus-{:x}{:02x}\0", std::env::temp_dir().display(), std::process::id(), id & 0xff);
                if name.len() as u64 > length {
                    return Err(EINVAL);
                }
                m.put(to, name.as_bytes())?;
                Ok(0)
            }
            0x0e => {
                let (name, length) = (m.argument(0)?, m.argument(1)?);
                let name = m.text(name, length)?;
                self.unlink(&name).map(|()| 0)
            }
            0x0f => {
                let (from, from_length, to, to_length) = (m.argument(0)?, m.argument(1)?, m.argument(2)?, m.argument(3)?);
                let (from, to) = (m.text(from, from_length)?, m.text(to, to_length)?);
                std::fs::rename(from, to).map(|()| 0).map_err(|e| errno(&e))
            }
            0x10 => Ok(self.now() / 10_000_000),
            0x11 => Ok(self.wall_base.saturating_add(self.now()) / 1_000_000_000),
            // SYS_SYSTEM: a guest does not run the host's programs.
            0x12 => Err(ENOSYS),
            0x13 => Ok(u64::from(self.state.lock().errno)),
            0x15 => {
                let (to, room) = (m.argument(0)?, m.argument(1)?);
                let line = format!("{}\0", self.command_line);
                if line.len() as u64 > room {
                    return Err(EINVAL);
                }
                m.put(to, line.as_bytes())?;
                m.set_argument(1, line.len() as u64 - 1)?;
                Ok(0)
            }
            0x16 => {
                let to = m.argument(0)?;
                let (base, limit) = self.heap;
                // Heap upwards, stack downwards in the same room.
                for (n, value) in [base, limit, limit, base].into_iter().enumerate() {
                    m.put_word(to.wrapping_add(n as u64 * u64::from(m.word)), value)?;
                }
                Ok(0)
            }
            0x18 => {
                // A 64-bit caller gives a block with a status, a 32-bit one the reason itself.
                let (reason, status) = if m.word == 8 { (m.argument(0)?, m.argument(1)?) } else { (m.parameter, 0) };
                self.exit(if reason == APPLICATION_EXIT { status as u32 } else { 1 });
                Ok(0)
            }
            0x20 => {
                let (reason, status) = (m.argument(0)?, m.argument(1)?);
                self.exit(if reason == APPLICATION_EXIT { status as u32 } else { 1 });
                Ok(0)
            }
            0x30 => {
                let ticks = self.now();
                m.put(m.parameter, &ticks.to_le_bytes())?;
                Ok(0)
            }
            0x31 => Ok(1_000_000_000),
            op => {
                tracing::debug!(target: "unimp", "semihosting operation {op:#x}");
                Err(ENOSYS)
            }
        }
    }
}

/// The largest room in RAM that nothing is loaded to, as far as the cores' start and the device
/// tree tell: heap and stack of a program that asks.
fn heap(ram: u64, memory: u64, built: &BuiltBoard) -> (u64, u64) {
    let end = ram.saturating_add(memory);
    let tree = built.dtb.as_ref().map_or(0..0, |dtb| dtb.range());
    let middle = ram + memory / 2;
    if tree.contains(&middle) { (tree.end, end) } else { (middle, if tree.start > middle { tree.start } else { end }) }
}

/// One call: its parameter block and the guest's memory.
struct Call<'a> {
    memory: &'a mut dyn GuestMemory,
    word: u8,
    op: u32,
    parameter: u64,
}

impl Call<'_> {
    fn argument(&mut self, n: u64) -> Outcome {
        let mut bytes = [0; 8];
        let word = usize::from(self.word.clamp(1, 8));
        let at = self.parameter.wrapping_add(n * word as u64);
        if !self.memory.read(at, &mut bytes[..word]) {
            return Err(EFAULT);
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn set_argument(&mut self, n: u64, value: u64) -> Result<(), u32> {
        self.put_word(self.parameter.wrapping_add(n * u64::from(self.word)), value)
    }

    fn put_word(&mut self, at: u64, value: u64) -> Result<(), u32> {
        let word = usize::from(self.word.clamp(1, 8));
        self.put(at, &value.to_le_bytes()[..word])
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), u32> {
        if self.memory.write(at, bytes) { Ok(()) } else { Err(EFAULT) }
    }

    fn bytes(&mut self, at: u64, length: u64) -> Result<Vec<u8>, u32> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(LONGEST)];
        if bytes.len() as u64 != length || !self.memory.read(at, &mut bytes) {
            return Err(EFAULT);
        }
        Ok(bytes)
    }

    fn text(&mut self, at: u64, length: u64) -> Result<String, u32> {
        let text = String::from_utf8(self.bytes(at, length)?).map_err(|_| EINVAL)?;
        if text.contains('\0') { Err(EINVAL) } else { Ok(text) }
    }

    /// Bytes up to a zero.
    fn string(&mut self, at: u64) -> Result<Vec<u8>, u32> {
        let mut out = Vec::new();
        while out.len() < LONGEST {
            let mut byte = [0];
            if !self.memory.read(at.wrapping_add(out.len() as u64), &mut byte) {
                return Err(EFAULT);
            }
            if byte == [0] {
                break;
            }
            out.push(byte[0]);
        }
        Ok(out)
    }
}

impl Semihosting for Host {
    fn call(&self, memory: &mut dyn GuestMemory, word: u8, op: u32, parameter: u64) -> u64 {
        match self.perform(&mut Call { memory, word, op, parameter }) {
            Ok(result) => result,
            Err(e) => {
                self.state.lock().errno = e;
                u64::MAX
            }
        }
    }

    fn exit(&self, code: u32) {
        if let Some(machine) = self.machine.upgrade() {
            machine.request(SystemRequest::Exit(code));
        }
    }

    fn open(&self, name: &str, how: Open) -> Result<u64, u32> {
        self.keep(Handle::File(file(name, how)?))
    }

    fn close(&self, stream: semihosting::Stream) -> Result<(), u32> {
        match stream {
            semihosting::Stream::File(handle) => self.close_handle(handle).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn read(&self, stream: semihosting::Stream, most: usize, at: Option<u64>) -> Result<Vec<u8>, u32> {
        let most = most.min(LONGEST);
        match (stream, at) {
            (semihosting::Stream::Input, None) => Ok(self.read_console(most)),
            (semihosting::Stream::File(handle), None) => self.read_handle(handle, most),
            (semihosting::Stream::File(handle), Some(at)) => self.with(handle, |h| match h {
                Handle::File(file) => {
                    let mut bytes = vec![0; most];
                    let got = file.read_at(&mut bytes, at).map_err(|e| errno(&e))?;
                    bytes.truncate(got);
                    Ok(bytes)
                }
                _ => Err(ESPIPE),
            }),
            (semihosting::Stream::Input, Some(_)) => Err(ESPIPE),
            _ => Err(EBADF),
        }
    }

    fn write(&self, stream: semihosting::Stream, bytes: &[u8], at: Option<u64>) -> Result<usize, u32> {
        match (stream, at) {
            (semihosting::Stream::Output, None) => self.write_console(Stream::Output, bytes),
            (semihosting::Stream::Error, None) => self.write_console(Stream::Error, bytes),
            (semihosting::Stream::File(handle), None) => self.write_handle(handle, bytes).map(|_| ())?,
            (semihosting::Stream::File(handle), Some(at)) => self.with(handle, |h| match h {
                Handle::File(file) => file.write_all_at(bytes, at).map_err(|e| errno(&e)),
                _ => Err(ESPIPE),
            })?,
            (semihosting::Stream::Input, _) => return Err(EBADF),
            _ => return Err(ESPIPE),
        }
        Ok(bytes.len())
    }

    fn seek(&self, stream: semihosting::Stream, offset: i64, whence: Whence) -> Result<u64, u32> {
        let to = match whence {
            Whence::Start => SeekFrom::Start(u64::try_from(offset).map_err(|_| EINVAL)?),
            Whence::Current => SeekFrom::Current(offset),
            Whence::End => SeekFrom::End(offset),
        };
        let semihosting::Stream::File(handle) = stream else { return Err(ESPIPE) };
        self.with(handle, |h| match h {
            Handle::File(file) => file.seek(to).map_err(|e| errno(&e)),
            _ => Err(ESPIPE),
        })
    }

    fn stat(&self, stream: semihosting::Stream) -> Result<Stat, u32> {
        let console = Stat { mode: CHARACTER_DEVICE, links: 1, block_size: 1, ..Stat::default() };
        let semihosting::Stream::File(handle) = stream else { return Ok(console) };
        self.with(handle, |h| match h {
            Handle::File(file) => {
                let m = file.metadata().map_err(|e| errno(&e))?;
                Ok(Stat {
                    mode: m.mode(),
                    inode: m.ino(),
                    links: m.nlink(),
                    size: m.len(),
                    times: [m.atime(), m.mtime(), m.ctime()],
                    block_size: m.blksize(),
                    blocks: m.blocks(),
                })
            }
            _ => Ok(console),
        })
    }

    fn unlink(&self, name: &str) -> Result<(), u32> {
        std::fs::remove_file(name).map_err(|e| errno(&e))
    }

    fn link(&self, name: &str, new: &str) -> Result<(), u32> {
        std::fs::hard_link(name, new).map_err(|e| errno(&e))
    }

    fn arguments(&self) -> Vec<String> {
        self.arguments.clone()
    }
}
