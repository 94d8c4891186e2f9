//! The host's terminals in raw mode, and their way back.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::termios::{ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// The terminals that were put into raw mode, so that every way out of the process can restore them.
///
/// A handle: clones are the same set. Give one to the thread that waits for signals.
#[derive(Clone, Default)]
pub struct Terminals(Arc<Mutex<Vec<Raw>>>);

struct Raw {
    fd: Arc<OwnedFd>,
    original: Termios,
    raw: Termios,
}

impl Terminals {
    /// Puts a terminal into raw mode, except that output keeps its newline translation as the user
    /// set it; with `signal`, Ctrl-C and its like still send signals.
    pub(super) fn enter(&self, fd: Arc<OwnedFd>, signal: bool) -> rustix::io::Result<()> {
        let original = tcgetattr(&*fd)?;
        let mut raw = original.clone();
        make_raw(&mut raw, signal);
        raw.output_modes |= OutputModes::OPOST;
        let mut all = self.0.lock();
        tcsetattr(&*fd, OptionalActions::Now, &raw)?;
        all.push(Raw { fd, original, raw });
        Ok(())
    }

    /// Gives the terminals back as they were found. Does no harm when done twice.
    pub fn restore(&self) {
        self.each(|t| &t.original);
    }

    /// Raw again: after the process was stopped and continues (SIGCONT).
    pub fn reapply(&self) {
        self.each(|t| &t.raw);
    }

    /// Has every panic restore the terminals before its message is printed.
    pub fn restore_on_panic(&self) {
        let weak = Arc::downgrade(&self.0);
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if let Some(all) = weak.upgrade() {
                Terminals(all).restore();
            }
            next(info);
        }));
    }

    fn each(&self, modes: impl Fn(&Raw) -> &Termios) {
        // A panic while the lock is held must not hang: better a raw terminal than a dead process.
        let Some(all) = self.0.try_lock_for(std::time::Duration::from_millis(100)) else { return };
        for terminal in all.iter() {
            // The terminal may have gone; there is nobody to tell.
            let _ = tcsetattr(&*terminal.fd, OptionalActions::Now, modes(terminal));
        }
    }
}

/// Eight bits, no echo, no lines, each byte as it comes.
pub(super) fn make_raw(t: &mut Termios, signal: bool) {
    t.input_modes -= InputModes::IGNBRK
        | InputModes::BRKINT
        | InputModes::PARMRK
        | InputModes::ISTRIP
        | InputModes::INLCR
        | InputModes::IGNCR
        | InputModes::ICRNL
        | InputModes::IXON;
    t.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN;
    if !signal {
        t.local_modes -= LocalModes::ISIG;
    }
    t.control_modes -= ControlModes::CSIZE | ControlModes::PARENB;
    t.control_modes |= ControlModes::CS8;
    t.special_codes[SpecialCodeIndex::VMIN] = 1;
    t.special_codes[SpecialCodeIndex::VTIME] = 0;
}
