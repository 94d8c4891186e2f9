//! The wires that end at a core, and the way to get its attention.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// One of a core's input lines, by its bit in [`CoreLines::pins`]. What a line means is the
/// target's business; these are the common names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(pub u8);

impl Line {
    /// Interrupt request (Arm IRQ; x86 INTR; MIPS IP2 is line 2 of its own numbering).
    pub const IRQ: Line = Line(0);
    /// Fast interrupt request.
    pub const FIQ: Line = Line(1);
    /// Virtual IRQ.
    pub const VIRQ: Line = Line(2);
    /// Virtual FIQ.
    pub const VFIQ: Line = Line(3);
    /// System error.
    pub const SERROR: Line = Line(4);
    /// Non-maskable interrupt.
    pub const NMI: Line = Line(5);
    /// Reset.
    pub const RESET: Line = Line(6);

    /// The line's bit.
    pub const fn bit(self) -> u32 {
        1 << (self.0 & 31)
    }
}

/// A core's input lines, its kick, and its place to sleep. Shared between the core's thread, the
/// devices and the run loop.
#[derive(Debug, Default)]
pub struct CoreLines {
    pins: AtomicU32,
    kick: AtomicU32,
    asleep: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
    waker: OnceLock<Waker>,
}

/// What a kick does besides.
struct Waker(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

impl CoreLines {
    /// All lines low, no kick.
    pub fn new() -> CoreLines {
        CoreLines::default()
    }

    /// Levels of all lines, one bit each.
    #[inline]
    pub fn pins(&self) -> u32 {
        self.pins.load(Ordering::Acquire)
    }

    /// Level of one line.
    #[inline]
    pub fn level(&self, line: Line) -> bool {
        self.pins() & line.bit() != 0
    }

    /// Drives a line. A rising one kicks the core; a falling one needs no attention, as the core
    /// looks at the lines again before it takes an interrupt.
    pub fn set(&self, line: Line, level: bool) {
        let bit = line.bit();
        if !level {
            self.pins.fetch_and(!bit, Ordering::SeqCst);
        } else if self.pins.fetch_or(bit, Ordering::SeqCst) & bit == 0 {
            self.kick();
        }
    }

    /// Makes the core leave translated code at its next block, or wake up.
    pub fn kick(&self) {
        self.kick.store(1, Ordering::SeqCst);
        if let Some(waker) = self.waker.get() {
            waker.0();
        }
        if self.asleep.load(Ordering::SeqCst) {
            let _guard = self.lock.lock();
            self.wake.notify_all();
        }
    }

    /// Sets what a kick calls once it is pending, for a core that does not see the flag while it
    /// executes. Any thread may call it, with or without the device lock. False where there is one.
    pub fn set_waker(&self, f: impl Fn() + Send + Sync + 'static) -> bool {
        self.waker.set(Waker(Box::new(f))).is_ok()
    }

    /// Has the core been kicked since [`CoreLines::take_kick`]?
    #[inline]
    pub fn kicked(&self) -> bool {
        self.kick.load(Ordering::Relaxed) != 0
    }

    /// Clears the kick and tells whether there was one. To be followed by a look at whatever the
    /// kick may have been about.
    #[inline]
    pub fn take_kick(&self) -> bool {
        self.kicked() && self.kick.swap(0, Ordering::SeqCst) != 0
    }

    /// Address of the 32-bit kick word, for compiled code; valid as long as this value.
    pub fn kick_address(&self) -> usize {
        self.kick.as_ptr() as usize
    }

    /// Sleeps until kicked (at once if a kick is pending) or until the deadline. The kick is left
    /// pending. True if there was one.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut guard = self.lock.lock();
        self.asleep.store(true, Ordering::SeqCst);
        // The kick is read after `asleep` is set, and kick() writes and reads in the other order:
        // one of the two sees the other.
        let mut kicked = self.kick.load(Ordering::SeqCst) != 0;
        while !kicked {
            match deadline {
                None => self.wake.wait(&mut guard),
                Some(at) => {
                    if self.wake.wait_until(&mut guard, at).timed_out() {
                        kicked = self.kick.load(Ordering::SeqCst) != 0;
                        break;
                    }
                }
            }
            kicked = self.kick.load(Ordering::SeqCst) != 0;
        }
        self.asleep.store(false, Ordering::SeqCst);
        kicked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn rising_lines_kick_and_falling_ones_do_not() {
        let l = CoreLines::new();
        l.set(Line::IRQ, true);
        assert!(l.take_kick() && !l.take_kick());
        l.set(Line::IRQ, true);
        l.set(Line::FIQ, true);
        assert_eq!(l.pins(), 3);
        assert!(l.take_kick());
        l.set(Line::IRQ, false);
        assert!(!l.kicked() && l.level(Line::FIQ) && !l.level(Line::IRQ));
    }

    #[test]
    fn a_sleeper_is_woken_by_a_kick_and_by_its_deadline() {
        let l = Arc::new(CoreLines::new());
        assert!(!l.wait(Some(Instant::now())));
        for _ in 0..1000 {
            let other = l.clone();
            let t = std::thread::spawn(move || other.set(Line::IRQ, true));
            assert!(l.wait(None));
            t.join().unwrap();
            l.take_kick();
            l.set(Line::IRQ, false);
        }
    }
}
