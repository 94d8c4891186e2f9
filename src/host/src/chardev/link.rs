//! The host's side of a back end: descriptors, and what to do when the other side comes or goes.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::termios;

use super::port::Mode;
use super::terminal::make_raw;
use super::{CharError, Terminals};

/// How often an absent reader that cannot be polled for is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How to use a descriptor without ever waiting for it.
#[derive(Debug, Clone, Copy)]
enum How {
    /// Its open file description is ours and does not block.
    NonBlocking,
    /// A socket: each call says that it must not block.
    Socket,
    /// Its open file description is shared with other processes, so its flags stay as they are; after
    /// poll has said so, this many bytes do not block.
    Blocking(usize),
}

/// A descriptor to read or write.
#[derive(Debug, Clone)]
pub(super) struct Io {
    pub(super) fd: Arc<OwnedFd>,
    how: How,
}

impl Io {
    pub(super) fn nonblocking(fd: OwnedFd) -> Result<Self, Errno> {
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        Ok(Io { fd: Arc::new(fd), how: How::NonBlocking })
    }

    pub(super) fn socket(fd: Arc<OwnedFd>) -> Self {
        Io { fd, how: How::Socket }
    }

    /// A standard stream. The shell shares its open file description, so it is opened anew where
    /// that is possible instead of being made non-blocking.
    pub(super) fn standard(stream: BorrowedFd<'_>, access: OFlags) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(stream)?;
        let fd = Arc::new(rustix::io::fcntl_dupfd_cloexec(stream, 3)?);
        let how = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Socket => How::Socket,
            FileType::Fifo => How::Blocking(4096),
            // The other character devices (/dev/null) never block.
            FileType::CharacterDevice if termios::isatty(stream) => How::Blocking(256),
            _ => return Ok(Io { fd, how: How::Blocking(usize::MAX) }),
        };
        // Opening the multiplexer of pseudo-terminals would make a new one.
        let multiplexer = termios::isatty(stream) && rustix::pty::ptsname(stream, Vec::new()).is_ok();
        if matches!(how, How::Blocking(_)) && !multiplexer {
            use std::os::fd::AsRawFd;
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            if let Ok(own) = rustix::fs::open(path, flags, FileMode::empty()) {
                return Ok(Io { fd: Arc::new(own), how: How::NonBlocking });
            }
        }
        Ok(Io { fd, how })
    }

    /// Reads what is there: `None` when nothing is, `Some(0)` at the end.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        let result = match self.how {
            How::Socket => rustix::net::recv(&*self.fd, buffer, RecvFlags::DONTWAIT).map(|(n, _)| n),
            _ => rustix::io::read(&*self.fd, buffer),
        };
        match result {
            Ok(n) => Ok(Some(n)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether writing does not wait, on any thread and without a poll before it.
    pub(super) fn never_waits(&self) -> bool {
        !matches!(self.how, How::Blocking(_))
    }

    /// Writes what fits now.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let result = match self.how {
            How::Socket => rustix::net::send(&*self.fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            How::Blocking(most) => rustix::io::write(&*self.fd, &bytes[..bytes.len().min(most)]),
            How::NonBlocking => rustix::io::write(&*self.fd, bytes),
        };
        match result {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            other => other,
        }
    }
}

/// Which direction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Write,
}

/// One kind of back end, used by the host thread alone.
pub(super) trait Link: Send {
    /// Where input comes from now.
    fn reader(&self) -> Option<&Io>;
    /// Where output goes now.
    fn writer(&self) -> Option<&Io>;
    /// What becomes of output now.
    fn mode(&self) -> Mode;
    /// A descriptor that shows that [`Link::establish`] has something to do.
    fn watch(&self) -> Option<(Arc<OwnedFd>, PollFlags)> {
        None
    }
    /// When [`Link::establish`] is due without the watched descriptor.
    fn deadline(&self) -> Option<Instant> {
        None
    }
    /// Looks for the other side.
    fn establish(&mut self) {}
    /// A hang-up alone, without an end of input, means that the reader has gone.
    fn hangup_is_loss(&self) -> bool {
        false
    }
    /// One direction has ended (`None`) or failed; whether the output in hand is to be thrown away.
    fn lost(&mut self, side: Side, error: Option<Errno>) -> bool;
}

/// Standard streams, files and terminals: they are there from the start and do not come back.
pub(super) struct Fixed {
    name: String,
    reader: Option<Io>,
    writer: Option<Io>,
    /// A full disk may have room again.
    keeps_trying: bool,
    warned: bool,
}

impl Link for Fixed {
    fn reader(&self) -> Option<&Io> {
        self.reader.as_ref()
    }

    fn writer(&self) -> Option<&Io> {
        self.writer.as_ref()
    }

    fn mode(&self) -> Mode {
        if self.writer.is_some() { Mode::Reader } else { Mode::Discard }
    }

    fn lost(&mut self, side: Side, error: Option<Errno>) -> bool {
        if let Some(e) = error
            && !std::mem::replace(&mut self.warned, true)
        {
            let what = if side == Side::Read { "input ends" } else { "output is lost" };
            tracing::warn!("character back end {}: {what}: {}", self.name, std::io::Error::from(e));
        }
        match side {
            Side::Read => {
                self.reader = None;
                false
            }
            Side::Write => {
                if !self.keeps_trying {
                    self.writer = None;
                }
                true
            }
        }
    }
}

pub(super) fn stdio(input: BorrowedFd<'_>, output: BorrowedFd<'_>, signal: bool, terminals: &Terminals) -> Result<Box<dyn Link>, CharError> {
    let fail = |e: Errno| CharError::host("use standard input and output", e);
    let reader = Io::standard(input, OFlags::RDONLY).map_err(fail)?;
    let writer = Io::standard(output, OFlags::WRONLY).map_err(fail)?;
    if termios::isatty(&*reader.fd) {
        terminals.enter(reader.fd.clone(), signal).map_err(|e| CharError::host("put the terminal into raw mode", e))?;
    }
    Ok(Box::new(Fixed { name: "stdio".into(), reader: Some(reader), writer: Some(writer), keeps_trying: false, warned: false }))
}

/// Opens a file for output, as `file` and `logfile=` do.
pub(super) fn create(path: &Path, append: bool) -> Result<File, CharError> {
    let mut options = OpenOptions::new();
    if append {
        options.append(true);
    } else {
        options.write(true).truncate(true);
    }
    options.create(true).custom_flags(OFlags::NONBLOCK.bits() as i32 | OFlags::NOCTTY.bits() as i32);
    options.open(path).map_err(|e| match e.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NXIO) => CharError::Spec(format!("{}: a FIFO that nobody reads; use the kind 'pipe' for it", path.display())),
        _ => CharError::host(format!("open {} for output", path.display()), e),
    })
}

pub(super) fn file(path: &Path, append: bool, input: Option<&Path>) -> Result<Box<dyn Link>, CharError> {
    let output = create(path, append)?;
    let regular = output.metadata().is_ok_and(|m| m.is_file());
    let writer = Io::nonblocking(output.into()).map_err(|e| CharError::host(format!("use {}", path.display()), e))?;
    let reader = match input {
        Some(input) => {
            let fd = OpenOptions::new()
                .read(true)
                .custom_flags(OFlags::NONBLOCK.bits() as i32 | OFlags::NOCTTY.bits() as i32)
                .open(input)
                .map_err(|e| CharError::host(format!("open {} for input", input.display()), e))?;
            Some(Io { fd: Arc::new(fd.into()), how: How::NonBlocking })
        }
        None => None,
    };
    let name = format!("file {}", path.display());
    Ok(Box::new(Fixed { name, reader, writer: Some(writer), keeps_trying: regular, warned: false }))
}

pub(super) fn tty(path: &Path) -> Result<Box<dyn Link>, CharError> {
    let fail = |e: Errno| CharError::host(format!("open {} as a terminal", path.display()), e);
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, FileMode::empty()).map_err(fail)?;
    let mut modes = termios::tcgetattr(&fd).map_err(fail)?;
    make_raw(&mut modes, false);
    modes.output_modes -= termios::OutputModes::OPOST;
    modes.set_speed(115_200).map_err(fail)?;
    termios::tcsetattr(&fd, termios::OptionalActions::Now, &modes).map_err(fail)?;
    let io = Io::nonblocking(fd).map_err(fail)?;
    let name = path.display().to_string();
    Ok(Box::new(Fixed { name, reader: Some(io.clone()), writer: Some(io), keeps_trying: false, warned: false }))
}

/// A pseudo-terminal: the reader comes and goes by opening and closing the slave.
pub(super) struct Pty {
    master: Io,
    connected: bool,
    deadline: Option<Instant>,
    link: Option<PathBuf>,
}

impl Pty {
    /// Also returns the name of the slave's device.
    pub(super) fn open(link: Option<&Path>) -> Result<(Box<dyn Link>, String), CharError> {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let fail = |e: Errno| CharError::host("make a pseudo-terminal", e);
        let fd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).map_err(fail)?;
        grantpt(&fd).map_err(fail)?;
        unlockpt(&fd).map_err(fail)?;
        let name = ptsname(&fd, Vec::new()).map_err(fail)?.to_string_lossy().into_owned();
        // Opened once so that its modes can be set; closing it leaves the hang-up by which an absent
        // reader is known.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&*name, flags, FileMode::empty()).map_err(fail)?;
        let mut modes = termios::tcgetattr(&slave).map_err(fail)?;
        modes.make_raw();
        termios::tcsetattr(&slave, termios::OptionalActions::Now, &modes).map_err(fail)?;
        drop(slave);
        if let Some(link) = link {
            std::os::unix::fs::symlink(&name, link).map_err(|e| CharError::host(format!("link {} to {name}", link.display()), e))?;
        }
        let pty = Pty { master: Io::nonblocking(fd).map_err(fail)?, connected: false, deadline: Some(Instant::now()), link: link.map(Into::into) };
        Ok((Box::new(pty), name))
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // It may have been removed by hand.
            let _ = std::fs::remove_file(link);
        }
    }
}

impl Link for Pty {
    fn reader(&self) -> Option<&Io> {
        self.connected.then_some(&self.master)
    }

    fn writer(&self) -> Option<&Io> {
        self.connected.then_some(&self.master)
    }

    fn mode(&self) -> Mode {
        if self.connected { Mode::Reader } else { Mode::Ring }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn establish(&mut self) {
        let mut fds = [PollFd::new(&*self.master.fd, PollFlags::OUT)];
        let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        self.connected = !fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR);
        self.deadline = (!self.connected).then(|| Instant::now() + LOOK_AGAIN);
    }

    fn hangup_is_loss(&self) -> bool {
        true
    }

    fn lost(&mut self, _: Side, _: Option<Errno>) -> bool {
        // EIO and hang-up both say that the slave is closed.
        self.connected = false;
        self.deadline = Some(Instant::now() + LOOK_AGAIN);
        false
    }
}

/// FIFOs: the reader comes and goes by opening and closing the one for output.
pub(super) struct Pipe {
    reader: Option<Io>,
    output: PathBuf,
    writer: Option<Io>,
    deadline: Option<Instant>,
}

impl Pipe {
    pub(super) fn open(path: &Path) -> Result<Box<dyn Link>, CharError> {
        let with = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (input, output) = (with(".in"), with(".out"));
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = |path: &Path| rustix::fs::open(path, flags, FileMode::empty()).map_err(|e| CharError::host(format!("open the pipe {}", path.display()), e));
        if input.exists() && output.exists() {
            // Open for writing too, so that input does not end when its last writer closes it.
            let reader = Io { fd: Arc::new(open(&input)?), how: How::NonBlocking };
            return Ok(Box::new(Pipe { reader: Some(reader), output, writer: None, deadline: Some(Instant::now()) }));
        }
        match std::fs::metadata(path) {
            // One FIFO carries one direction only: reading it too would give the guest its own output.
            Ok(m) if m.file_type().is_fifo() => Ok(Box::new(Pipe { reader: None, output: path.into(), writer: None, deadline: Some(Instant::now()) })),
            Ok(_) => {
                let io = Io { fd: Arc::new(open(path)?), how: How::NonBlocking };
                let name = format!("pipe {}", path.display());
                Ok(Box::new(Fixed { name, reader: Some(io.clone()), writer: Some(io), keeps_trying: false, warned: false }))
            }
            Err(e) => {
                let name = path.display();
                Err(CharError::host(format!("open the pipe {name} (make it with mkfifo {name}.in {name}.out)"), e))
            }
        }
    }
}

impl Link for Pipe {
    fn reader(&self) -> Option<&Io> {
        self.reader.as_ref()
    }

    fn writer(&self) -> Option<&Io> {
        self.writer.as_ref()
    }

    fn mode(&self) -> Mode {
        if self.writer.is_some() { Mode::Reader } else { Mode::Ring }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn establish(&mut self) {
        // Opening a FIFO for output without waiting fails as long as nobody reads it.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::open(&self.output, flags, FileMode::empty()) {
            Ok(fd) => {
                self.writer = Some(Io { fd: Arc::new(fd), how: How::NonBlocking });
                self.deadline = None;
            }
            Err(_) => self.deadline = Some(Instant::now() + LOOK_AGAIN),
        }
    }

    fn hangup_is_loss(&self) -> bool {
        true
    }

    fn lost(&mut self, side: Side, _: Option<Errno>) -> bool {
        match side {
            Side::Read => self.reader = None,
            Side::Write => {
                self.writer = None;
                self.deadline = Some(Instant::now() + LOOK_AGAIN);
            }
        }
        false
    }
}

/// A duplicate of a descriptor that this process inherited under a number.
///
/// A number cannot be turned into an owned descriptor safely, but the kernel duplicates any
/// descriptor of a process for those who may trace it, and a process may trace itself.
pub(super) fn adopt(number: i32) -> Result<OwnedFd, CharError> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|me| pidfd_getfd(me.as_fd(), number, PidfdGetfdFlags::empty()))
        .map_err(|e| CharError::host(format!("use the inherited descriptor fd={number}"), e))
}
