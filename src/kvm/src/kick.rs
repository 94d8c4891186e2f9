//! Getting a core out of KVM_RUN from another thread.
//!
//! The kicker sets `immediate_exit` in the page that the kernel shares with the core, and sends the
//! thread that is in KVM_RUN, or about to be, a signal. A signal that comes before KVM_RUN is
//! nothing; then `immediate_exit` ends the call at once. The core clears `immediate_exit` and only
//! then looks whether it has been kicked, so one of the two sees the other.

use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Once};

use kvm_bindings::kvm_run;

/// What kicks a core: its own mapping of the shared page, so that it may outlive the core.
pub struct Kick {
    page: NonNull<u8>,
    /// The thread in KVM_RUN, or 0.
    thread: AtomicI32,
}

// SAFETY: the mapping belongs to this value until drop, and the one byte of it that is touched is
// touched atomically.
unsafe impl Send for Kick {}
// SAFETY: as for Send.
unsafe impl Sync for Kick {}

/// Bytes of the mapping: only its beginning is needed.
const MAPPED: usize = 4096;

/// The signal: it is nobody else's in this process, and does nothing but end system calls.
fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

extern "C" fn nothing(_: libc::c_int) {}

/// Takes the signal, once for the process.
fn take_signal() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the structure is zero except for the handler, which does nothing and so is safe
        // in a signal, and the flag that lets other calls than KVM_RUN go on.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal(), &action, std::ptr::null_mut());
        }
    });
}

impl Kick {
    /// A kick for the core of that file.
    pub fn new(core: RawFd) -> std::io::Result<Arc<Kick>> {
        take_signal();
        // SAFETY: a new mapping of a core's file, which begins with `kvm_run`; nothing else of ours
        // is at the address that the kernel chooses.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), MAPPED, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, core, 0) };
        match NonNull::new(page.cast::<u8>()) {
            Some(page) if page.as_ptr().cast() != libc::MAP_FAILED => Ok(Arc::new(Kick { page, thread: AtomicI32::new(0) })),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    fn immediate_exit(&self) -> &AtomicU8 {
        let at = std::mem::offset_of!(kvm_run, immediate_exit);
        // SAFETY: the byte is inside the mapping, which lives as long as `self`; the kernel reads
        // it, and all of ours access it atomically.
        unsafe { AtomicU8::from_ptr(self.page.as_ptr().add(at)) }
    }

    /// Gets the core out of KVM_RUN. Whoever calls it has said before what for.
    pub fn ring(&self) {
        self.immediate_exit().store(1, SeqCst);
        let thread = self.thread.load(SeqCst);
        if thread != 0 {
            // SAFETY: a system call without pointers; a thread that is gone is an error, which is
            // nothing to us.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal()) };
        }
    }

    /// Before KVM_RUN, on the thread that calls it. Kicks from now on end it; what came before is
    /// to be looked for afterwards.
    pub fn arm(&self) {
        // SAFETY: a system call without arguments.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) };
        self.thread.store(thread as i32, SeqCst);
        self.immediate_exit().store(0, SeqCst);
    }

    /// Lets KVM_RUN end at once.
    pub fn only_finish(&self) {
        self.immediate_exit().store(1, SeqCst);
    }

    /// After KVM_RUN.
    pub fn disarm(&self) {
        self.thread.store(0, SeqCst);
    }
}

impl Drop for Kick {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`, and no reference into it outlives `self`.
        unsafe { libc::munmap(self.page.as_ptr().cast(), MAPPED) };
    }
}
