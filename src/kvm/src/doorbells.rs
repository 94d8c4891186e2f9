//! Doorbells of the machine that the kernel takes (KVM_IOEVENTFD): the write ends in a file, and the
//! core goes on. A thread waits for the files, and lets the devices have what rang.
//!
//! A file is never read to zero: each ring makes it an edge for epoll, which is what is looked at.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Weak};

use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use parking_lot::Mutex;
use proteus_model::{Bus, Machine, PlacedDoorbell, Width};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

/// Most events taken at once.
const BURST: usize = 64;
/// What the outer set has for the end of the thread.
const STOP: u64 = 1;

/// What the thread looks at.
struct Files {
    /// The doorbells, as edges.
    bells: Mutex<Epoll>,
    /// Something in `bells`, or the end.
    any: Epoll,
    stop: EventFd,
}

impl Files {
    fn new() -> io::Result<Files> {
        let files = Files { bells: Mutex::new(Epoll::new()?), any: Epoll::new()?, stop: EventFd::new(libc::EFD_NONBLOCK)? };
        let bells = files.bells.lock().as_raw_fd();
        files.any.ctl(ControlOperation::Add, bells, EpollEvent::new(EventSet::IN, 0))?;
        files.any.ctl(ControlOperation::Add, files.stop.as_raw_fd(), EpollEvent::new(EventSet::IN, STOP))?;
        Ok(files)
    }

    /// Lets the devices have what rang. The lock is held until they have it, so that nothing is on its way
    /// afterwards that rang before.
    fn collect(&self, machine: &Machine) {
        let bells = self.bells.lock();
        let mut events = [EpollEvent::default(); BURST];
        while let Ok(n @ 1..) = bells.wait(0, &mut events) {
            for event in &events[..n] {
                machine.ring(proteus_model::DeviceId((event.data() >> 32) as u32), event.data() as u32 as usize);
            }
        }
    }

    /// The thread's loop.
    fn watch(&self, machine: &Weak<Machine>) {
        let mut events = [EpollEvent::default(); 2];
        loop {
            match self.any.wait(-1, &mut events) {
                Ok(n) if events[..n].iter().any(|e| e.data() == STOP) => return,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return tracing::error!("epoll_wait: {e}; notifications of devices are lost"),
            }
            let Some(machine) = machine.upgrade() else { return };
            self.collect(&machine);
        }
    }
}

/// The doorbells that the kernel takes.
pub struct Doorbells {
    files: Arc<Files>,
    /// Of the address map that they were made from.
    generation: u64,
    taken: Vec<(PlacedDoorbell, EventFd)>,
    /// A refusal has been logged.
    complained: bool,
}

impl Doorbells {
    /// None yet, and the thread.
    pub fn new(machine: &Arc<Machine>) -> io::Result<Doorbells> {
        let files = Arc::new(Files::new()?);
        let (watched, weak) = (files.clone(), Arc::downgrade(machine));
        std::thread::Builder::new().name("doorbells".into()).spawn(move || watched.watch(&weak))?;
        let collected = files.clone();
        machine.set_doorbell_collector(move |machine| collected.collect(machine));
        Ok(Doorbells { files, generation: 0, taken: Vec::new(), complained: false })
    }

    /// Takes those that are in the map now.
    pub fn follow(&mut self, vm: &VmFd, machine: &Machine) {
        let generation = machine.space_generation();
        if self.generation == generation {
            return;
        }
        self.generation = generation;
        let mut wanted = machine.doorbells();
        let (kept, gone) = std::mem::take(&mut self.taken).into_iter().partition(|(bell, _)| wanted.contains(bell));
        self.taken = kept;
        wanted.retain(|bell| !self.taken.iter().any(|(taken, _)| taken == bell));
        for (bell, file) in gone {
            if let Err(e) = register(vm, &bell, &file, false) {
                self.complain(e.into());
            }
            // What has rung goes with the file.
            self.files.collect(machine);
            drop(file);
        }
        for bell in wanted {
            if let Err(e) = self.take(vm, bell) {
                self.complain(e);
            }
        }
    }

    fn take(&mut self, vm: &VmFd, bell: PlacedDoorbell) -> io::Result<()> {
        let file = EventFd::new(libc::EFD_NONBLOCK)?;
        let data = u64::from(bell.device.0) << 32 | bell.number as u64;
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, data);
        self.files.bells.lock().ctl(ControlOperation::Add, file.as_raw_fd(), event)?;
        register(vm, &bell, &file, true)?;
        self.taken.push((bell, file));
        Ok(())
    }

    /// What is not taken comes out as other writes do.
    fn complain(&mut self, e: io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("KVM_IOEVENTFD: {e}; some notifications of devices stop the core that makes them");
        }
    }

    /// How many the kernel has taken.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.taken.len()
    }
}

impl Drop for Doorbells {
    fn drop(&mut self) {
        // The thread may be the one that drops the machine: nobody waits for it.
        let _ = self.files.stop.write(1);
    }
}

fn register(vm: &VmFd, placed: &PlacedDoorbell, file: &EventFd, on: bool) -> Result<(), kvm_ioctls::Error> {
    let at = if placed.bus == Bus::Pio { IoEventAddress::Pio(placed.at) } else { IoEventAddress::Mmio(placed.at) };
    let value = placed.bell.value;
    match (placed.bell.exact, placed.bell.width) {
        (false, _) => set(vm, file, &at, NoDatamatch, on),
        (true, Width::B1) => set(vm, file, &at, value as u8, on),
        (true, Width::B2) => set(vm, file, &at, value as u16, on),
        (true, Width::B4) => set(vm, file, &at, value as u32, on),
        (true, Width::B8) => set(vm, file, &at, value, on),
    }
}

fn set<T: Into<u64>>(vm: &VmFd, file: &EventFd, at: &IoEventAddress, value: T, on: bool) -> Result<(), kvm_ioctls::Error> {
    if on { vm.register_ioevent(file, at, value) } else { vm.unregister_ioevent(file, at, value) }
}
