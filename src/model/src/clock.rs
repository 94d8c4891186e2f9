//! Virtual time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::types::Ns;

/// Set in [`Clock`]'s word while a host clock stands still.
const PAUSED: u64 = 1 << 63;

/// The machine's clock. Reading it takes no lock.
#[derive(Debug)]
pub struct Clock {
    /// `None`: virtual, set by the executor.
    origin: Option<Instant>,
    /// Virtual: the time. Host and running: what to subtract from the host's time since
    /// `origin`, modulo 2^63. Host and paused: the time, with `PAUSED`.
    word: AtomicU64,
}

impl Clock {
    /// A clock that follows the host's monotonic clock from zero, paused until
    /// [`Clock::resume`].
    pub fn host() -> Clock {
        Clock { origin: Some(Instant::now()), word: AtomicU64::new(PAUSED) }
    }

    /// A clock that the executor sets.
    pub fn virtual_time() -> Clock {
        Clock { origin: None, word: AtomicU64::new(0) }
    }

    /// Does the clock follow the executor and not the host?
    pub fn is_virtual(&self) -> bool {
        self.origin.is_none()
    }

    fn host_ns(origin: Instant) -> u64 {
        origin.elapsed().as_nanos() as u64 & !PAUSED
    }

    /// Virtual time in nanoseconds.
    #[inline]
    pub fn now(&self) -> Ns {
        let word = self.word.load(Ordering::Acquire);
        match self.origin {
            Some(origin) if word & PAUSED == 0 => Self::host_ns(origin).wrapping_sub(word) & !PAUSED,
            _ => word & !PAUSED,
        }
    }

    /// Sets the time (the executor of a virtual clock; a snapshot load for either).
    pub fn set(&self, now: Ns) {
        let now = now & !PAUSED;
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some(match self.origin {
                None => now,
                Some(_) if word & PAUSED != 0 => now | PAUSED,
                Some(origin) => Self::host_ns(origin).wrapping_sub(now) & !PAUSED,
            })
        });
    }

    /// Stops a host clock.
    pub fn pause(&self) {
        let Some(origin) = self.origin else { return };
        let _ =
            self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| (word & PAUSED == 0).then(|| Self::host_ns(origin).wrapping_sub(word) | PAUSED));
    }

    /// Lets a host clock go on from where it stood.
    pub fn resume(&self) {
        let Some(origin) = self.origin else { return };
        let _ = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| (word & PAUSED != 0).then(|| Self::host_ns(origin).wrapping_sub(word) & !PAUSED));
    }

    /// The host instant at which a running host clock will show `at`.
    pub fn instant(&self, at: Ns) -> Option<Instant> {
        let origin = self.origin?;
        let word = self.word.load(Ordering::Acquire);
        if word & PAUSED != 0 {
            return None;
        }
        // A time set past the host's leaves an offset that is negative modulo 2^63.
        let host = at.wrapping_add(word) & !PAUSED;
        origin.checked_add(std::time::Duration::from_nanos(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_host_clock_stands_still_and_goes_on_from_there() {
        let c = Clock::host();
        assert_eq!((c.now(), c.now()), (0, 0));
        c.set(1 << 40);
        c.resume();
        assert!(c.instant(1 << 41).is_some());
        let t = c.now();
        assert!((1 << 40..(1 << 40) + 60_000_000_000).contains(&t), "{t}");
        c.pause();
        let stopped = c.now();
        assert!(stopped >= t);
        assert_eq!(c.now(), stopped);
        assert!(c.instant(stopped).is_none());
    }

    #[test]
    fn a_virtual_clock_is_what_it_was_set_to() {
        let c = Clock::virtual_time();
        c.resume();
        c.set(123);
        c.pause();
        assert_eq!(c.now(), 123);
    }
}
