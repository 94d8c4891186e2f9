//! The compiler of a machine: one background thread that all cores share, its queue, and the
//! register of what was compiled.

use crate::arena::{Arena, Code};
use crate::emit::{Features, Shape};
use crate::region::{Frontend, Refused, Settings, Workshop};
use crate::thunks::Thunks;
use cranelift_codegen::Context;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use parking_lot::{Condvar, Mutex};
use proteus_exec::block::Key;
use proteus_exec::{Compiled, Core, Left, Requested, Source, Target, Tier};
use proteus_ram::tlb::Tlb;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// How a machine compiles.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of code at most.
    pub code: usize,
    /// Compile at once when asked, on the thread of the core: for tests and reproducible runs.
    pub at_once: bool,
    /// Runs end at the very instruction that their budget says, as those must whose time is a count of
    /// instructions. Otherwise they may end some blocks earlier or later.
    pub exact: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { code: 128 << 20, at_once: false, exact: false }
    }
}

/// What a compiler has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Regions compiled.
    pub regions: u64,
    /// Guest instructions in them.
    pub instructions: u64,
    /// Nanoseconds that took.
    pub nanoseconds: u64,
    /// Bytes of code made.
    pub bytes: u64,
    /// Regions that could not be compiled.
    pub refused: u64,
    /// Requests that were met by code already there.
    pub shared: u64,
}

#[derive(Default)]
struct Counters {
    regions: AtomicU64,
    instructions: AtomicU64,
    nanoseconds: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    shared: AtomicU64,
}

/// Code, or the source that none could be made of.
type Finished = Result<Compiled, Arc<Source>>;

/// Where a core finds what was finished for it.
#[derive(Default)]
struct Inbox {
    any: AtomicBool,
    list: Mutex<Vec<Finished>>,
}

impl Inbox {
    fn put(&self, what: Finished) {
        self.list.lock().push(what);
        self.any.store(true, Ordering::Release);
    }
}

struct Job {
    source: Arc<Source>,
    count: u32,
    waiting: Vec<Arc<Inbox>>,
}

/// What was compiled, and its code as long as some core has it.
type Done = (Arc<Source>, Weak<Code>);

/// What is compiled or waits to be.
#[derive(Default)]
struct Desk {
    queue: Vec<Job>,
    done: HashMap<Key, Vec<Done>>,
    /// The region being compiled now, and who else wants it.
    current: Option<Job>,
    /// Entries in `done` when it was last swept.
    swept: usize,
    quit: bool,
}

impl Desk {
    fn find(&self, source: &Source) -> Option<Compiled> {
        self.done.get(&source.entry)?.iter().find_map(|(s, code)| {
            let code = code.upgrade().filter(|_| **s == *source)?;
            Some(Compiled { entry: code.address(), source: s.clone(), keep: code })
        })
    }

    /// Enters code, and drops what is left of code that is gone.
    fn enter(&mut self, source: &Arc<Source>, code: &Arc<Code>) {
        let list = self.done.entry(source.entry).or_default();
        list.retain(|e| e.1.strong_count() > 0);
        list.push((source.clone(), Arc::downgrade(code)));
        if self.done.len() > 2 * self.swept + 1024 {
            self.done.retain(|_, list| {
                list.retain(|e| e.1.strong_count() > 0);
                !list.is_empty()
            });
            self.swept = self.done.len();
        }
    }
}

struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
    arena: Arc<Arena>,
    counters: Counters,
    frontend: Box<dyn Frontend>,
}

/// The host's architecture, by its name for disassembly.
const HOST: &str = "i386:x86-64";

/// Nanoseconds that this thread has run.
fn processor_time() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

impl Shared {
    fn compile(&self, workshop: &mut Workshop, source: &Source) -> Option<Arc<Code>> {
        let begin = processor_time();
        let code = workshop.compile(source, &*self.frontend).and_then(|bytes| {
            let code = self.arena.add(&bytes).ok_or(Refused::Full)?;
            let (pc, bytes) = (source.entry.pc, &bytes[..]);
            tracing::trace!(target: "out_asm", pc, address = code.address(), architecture = HOST, big = false, bytes, "OUT:");
            Ok(code)
        });
        let c = &self.counters;
        match code {
            Ok(code) => {
                c.regions.fetch_add(1, Ordering::Relaxed);
                c.instructions.fetch_add(source.blocks.iter().map(|b| b.code.len() as u64).sum(), Ordering::Relaxed);
                c.nanoseconds.fetch_add(processor_time() - begin, Ordering::Relaxed);
                c.bytes.fetch_add(code.size() as u64, Ordering::Relaxed);
                Some(Arc::new(code))
            }
            Err(e) => {
                c.refused.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(target: "translator", pc = format_args!("{:#x}", source.entry.pc), "not compiled: {e}");
                None
            }
        }
    }

    /// The background thread.
    fn serve(&self, mut workshop: Workshop) {
        let mut desk = self.desk.lock();
        loop {
            if desk.quit {
                return;
            }
            // Counts change while regions wait: the highest is looked for anew each time.
            let Some(best) = (0..desk.queue.len()).max_by_key(|&i| desk.queue[i].count) else {
                self.work.wait(&mut desk);
                continue;
            };
            let job = desk.queue.swap_remove(best);
            let source = job.source.clone();
            desk.current = Some(job);
            drop(desk);
            let code = self.compile(&mut workshop, &source);
            desk = self.desk.lock();
            if let Some(code) = &code {
                desk.enter(&source, code);
            }
            let finished = match code {
                Some(code) => Ok(Compiled { entry: code.address(), source, keep: code }),
                None => Err(source),
            };
            for inbox in desk.current.take().into_iter().flat_map(|job| job.waiting) {
                inbox.put(finished.clone());
            }
        }
    }
}

/// The compiler that the cores of a machine share.
pub struct Compiler<T: Target> {
    shared: Arc<Shared>,
    thunks: Thunks,
    thread: Option<std::thread::JoinHandle<()>>,
    /// The workshop, where cores compile themselves.
    here: Option<Mutex<Workshop>>,
    target: PhantomData<fn() -> T>,
}

/// Why there is no compiler.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// No code can be made for this host.
    #[error("no code generator for this host: {0}")]
    Host(String),
    /// Memory or a thread could not be had.
    #[error("cannot set up the translator: {0}")]
    System(#[from] std::io::Error),
}

fn workshop<T: Target>(frontend: &dyn Frontend, exact: bool) -> Result<Workshop, Unavailable> {
    let host = |e: String| Unavailable::Host(e);
    let mut flags = settings::builder();
    let set = [
        ("opt_level", "none"),
        ("regalloc_algorithm", "backtracking"),
        ("enable_alias_analysis", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("preserve_frame_pointers", "true"),
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
        ("enable_heap_access_spectre_mitigation", "false"),
        ("enable_table_access_spectre_mitigation", "false"),
    ];
    for (name, value) in set {
        flags.set(name, value).map_err(|e| host(e.to_string()))?;
    }
    let isa = cranelift_native::builder().map_err(|e| host(e.into()))?.finish(settings::Flags::new(flags)).map_err(|e| host(e.to_string()))?;
    #[cfg(target_arch = "x86_64")]
    let features = Features { fma: std::arch::is_x86_feature_detected!("fma") };
    #[cfg(not(target_arch = "x86_64"))]
    let features = Features::default();
    let tlb = offset_of!(Core<T>, tlb);
    let shape = Shape { layout: T::LAYOUT, tlb_read: (tlb + Tlb::READ_OFFSET) as i32, tlb_write: (tlb + Tlb::WRITE_OFFSET) as i32, status: frontend.status() };
    Ok(Workshop { isa, settings: Settings { shape, features, exact }, context: Context::new(), builder: FunctionBuilderContext::new() })
}

impl<T: Target> Compiler<T> {
    /// A compiler of `frontend`'s instructions.
    #[cfg(target_arch = "x86_64")]
    pub fn new(frontend: impl Frontend, options: Options) -> Result<Arc<Compiler<T>>, Unavailable> {
        let workshop = workshop::<T>(&frontend, options.exact)?;
        let arena = Arena::new(options.code)?;
        let shared = Arc::new(Shared { desk: Mutex::default(), work: Condvar::new(), arena, counters: Counters::default(), frontend: Box::new(frontend) });
        let (mut thread, mut here) = (None, None);
        if options.at_once {
            here = Some(Mutex::new(workshop));
        } else {
            let served = shared.clone();
            thread = Some(std::thread::Builder::new().name("compiler".into()).spawn(move || served.serve(workshop))?);
        }
        Ok(Arc::new(Compiler { shared, thunks: Thunks::new::<T>(), thread, here, target: PhantomData }))
    }

    /// A compiler of `frontend`'s instructions.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn new(_: impl Frontend, _: Options) -> Result<Arc<Compiler<T>>, Unavailable> {
        Err(Unavailable::Host("compiled code is supported on x86-64 hosts only".into()))
    }

    /// The tier of one more core.
    pub fn tier(self: &Arc<Self>) -> Box<dyn Tier<T>> {
        Box::new(CraneliftTier { compiler: self.clone(), inbox: Arc::default() })
    }

    /// What has been done so far.
    pub fn statistics(&self) -> Statistics {
        let c = &self.shared.counters;
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        Statistics {
            regions: get(&c.regions),
            instructions: get(&c.instructions),
            nanoseconds: get(&c.nanoseconds),
            bytes: get(&c.bytes),
            refused: get(&c.refused),
            shared: get(&c.shared),
        }
    }

    /// Regions that wait for the background thread, the one it is at included.
    pub fn waiting(&self) -> usize {
        let desk = self.shared.desk.lock();
        desk.queue.len() + desk.current.is_some() as usize
    }

    fn request(&self, source: Source, count: u32, inbox: &Arc<Inbox>) -> Requested {
        let shared = &*self.shared;
        let mut desk = shared.desk.lock();
        if let Some(c) = desk.find(&source) {
            shared.counters.shared.fetch_add(1, Ordering::Relaxed);
            return Requested::There(c);
        }
        if let Some(here) = &self.here {
            drop(desk);
            let source = Arc::new(source);
            let Some(code) = shared.compile(&mut here.lock(), &source) else { return Requested::Refused };
            shared.desk.lock().enter(&source, &code);
            return Requested::There(Compiled { entry: code.address(), source, keep: code });
        }
        // With hardly any room left nothing is compiled until code has been dropped.
        if shared.arena.used() + (256 << 10) > shared.arena.size() {
            return Requested::Refused;
        }
        let wait = |job: &mut Job| {
            if !job.waiting.iter().any(|w| Arc::ptr_eq(w, inbox)) {
                job.waiting.push(inbox.clone());
            }
        };
        if let Some(job) = desk.current.as_mut().filter(|j| *j.source == source) {
            wait(job);
            return Requested::Coming;
        }
        match desk.queue.iter_mut().find(|j| j.source.entry == source.entry) {
            Some(job) => {
                // What it reaches may have grown since.
                job.source = Arc::new(source);
                job.count = job.count.max(count);
                wait(job);
            }
            None => desk.queue.push(Job { source: Arc::new(source), count, waiting: vec![inbox.clone()] }),
        }
        shared.work.notify_one();
        Requested::Coming
    }
}

impl<T: Target> Drop for Compiler<T> {
    fn drop(&mut self) {
        self.shared.desk.lock().quit = true;
        self.shared.work.notify_all();
        if let Some(t) = self.thread.take() {
            // It ends after the region it is at, some milliseconds at most.
            let _ = t.join();
        }
    }
}

/// The compiling tier of one core.
pub struct CraneliftTier<T: Target> {
    compiler: Arc<Compiler<T>>,
    inbox: Arc<Inbox>,
}

impl<T: Target> Tier<T> for CraneliftTier<T> {
    fn exit_stub(&self) -> u64 {
        self.compiler.thunks.exit()
    }

    fn request(&mut self, source: Source, count: u32) -> Requested {
        self.compiler.request(source, count, &self.inbox)
    }

    fn finished(&mut self) -> Vec<Finished> {
        if !self.inbox.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut list = self.inbox.list.lock();
        self.inbox.any.store(false, Ordering::Release);
        std::mem::take(&mut *list)
    }

    #[cfg(target_arch = "x86_64")]
    fn enter(&mut self, core: &mut Core<T>, entry: u64) -> Left {
        match self.compiler.thunks.enter(core, entry) {
            0 => Left::Unlinked,
            1 => Left::Budget,
            2 => Left::Resync,
            _ => Left::Fault,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn enter(&mut self, _: &mut Core<T>, _: u64) -> Left {
        Left::Unlinked
    }
}
