//! What the kernel does of the machine's work: doorbells, messages by files, interrupt controllers.

use std::time::Instant;

use proteus_model::{AccessRule, BusFault, Device, DeviceId, DeviceType, Doorbell, Services, State, Window, WindowDecl};

use super::*;
use crate::Chips;

/// Where a bell is, and where it goes when asked.
const BELL: u32 = 0xd000_0000;
const MOVED: u32 = 0xd001_0000;
const PORT: u16 = 0x1230;

// Registers of the toy: any write here rings, this value here rings, and a write here moves it.
const ANY: u64 = 0;
const EXACT: u64 = 4;
const EXACT_VALUE: u32 = 7;
const MOVE: u64 = 8;

/// Counts writes to its registers by who made them, and what its port got.
#[derive(Debug, Default, State)]
struct Toy {
    by_core: u64,
    rung: u64,
    exact: u64,
    ports: u64,
}

impl Device for Toy {
    fn read(&mut self, _: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        Ok([self.by_core, self.rung, self.exact, self.ports][at as usize / 4 % 4])
    }
    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        if (w, at) == (Window(0), MOVE) {
            return cx.move_window(Window(0), Some(value));
        }
        match (cx.requester(), w, at) {
            (Some(_), ..) => self.by_core += 1,
            (None, Window(1), _) => self.ports += 1,
            (None, _, EXACT) if value == EXACT_VALUE.into() => self.exact += 1,
            (None, ..) => self.rung += 1,
        }
        Ok(())
    }
    fn doorbells(&self) -> Vec<Doorbell> {
        let bell = |w, at, width, value, exact| Doorbell { window: Window(w), at, width, value, exact };
        vec![bell(0, ANY, Width::B4, 0, false), bell(0, EXACT, Width::B4, EXACT_VALUE.into(), true), bell(1, 0, Width::B2, 3, true)]
    }
}

const WINDOWS: &[WindowDecl] = &[WindowDecl::mmio("regs", 0x1000, AccessRule::ANY), WindowDecl::pio("ports", 8, AccessRule::ANY)];
static TOY: DeviceType = DeviceType { windows: WINDOWS, ..DeviceType::new("toy", "Bells", |_| Ok(Box::<Toy>::default())) };

fn toy(test: &str, program: &[u8]) -> Option<Rig> {
    rig_with(test, program, Chips::Machine, |b| {
        let id = b.device(&TOY, "toy", proteus_model::Props::new(&TOY)).unwrap();
        b.place(id, "regs", BELL.into()).unwrap().place(id, "ports", PORT.into()).unwrap();
    })
}

/// What the toy has counted: writes by cores, rings of any write, of the exact one, of the port.
fn counts(machine: &Machine, at: u32) -> [u64; 4] {
    [0, 4, 8, 12].map(|n| machine.read(CoreId(0), u64::from(at) + n, Width::B4).unwrap())
}

/// MOV dword [at],value.
fn store(at: u32, value: u32) -> Vec<u8> {
    [&[0xc7, 0x05][..], &at.to_le_bytes(), &value.to_le_bytes()].concat()
}

/// ECX rounds of some code.
fn rounds(n: u32, code: &[u8]) -> Vec<u8> {
    // MOV ECX,n; code; DEC ECX; JNZ.
    let back = (code.len() as u8 + 3).wrapping_neg();
    [&[0xb9][..], &n.to_le_bytes(), code, &[0x49, 0x75, back]].concat()
}

fn wait(what: &str, is: impl Fn() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < LIMIT, "{what}: it never comes");
        thread::yield_now();
    }
}

/// No write that rings leaves the kernel, others do, wherever the window is.
#[test]
fn doorbells_are_taken_by_the_kernel() {
    // MOV DX,port; MOV AX,3; OUT DX,AX.
    let [low, high] = PORT.to_le_bytes();
    let port = [0x66, 0xba, low, high, 0x66, 0xb8, 3, 0, 0x66, 0xef];
    let ring = [store(BELL, 1), store(BELL + 4, EXACT_VALUE), store(BELL + 4, 8), port.to_vec()].concat();
    let moved = [store(BELL + MOVE as u32, MOVED), store(MOVED, 1), store(MOVED + 4, EXACT_VALUE), store(BELL, 1)].concat();
    let Some(mut rig) = toy("doorbells", &[rounds(100, &ring), moved].concat()) else { return };
    let Some(bells) = &rig.core.vm().doorbells else {
        eprintln!("SKIPPED doorbells: this host's KVM has no KVM_CAP_IOEVENTFD");
        return;
    };
    assert_eq!(bells.lock().count(), 3);
    // A change of the map kicks the core.
    rig.run(|m| m.window_base(DeviceId(0), 0) == Some(MOVED.into()));
    rig.finish();
    let machine = rig.machine.clone();
    // Those that ring in one go may be one.
    wait("the last rings", || counts(&machine, MOVED)[1..].iter().all(|n| *n > 0));
    let [by_core, rung, exact, ports] = counts(&machine, MOVED);
    assert_eq!(by_core, 100, "the value that does not ring");
    assert!(rung <= 101 && exact <= 101 && ports <= 100, "{rung} {exact} {ports}");
    assert_eq!(machine.windows().iter().filter(|w| w.name == "toy.regs").map(|w| w.base).collect::<Vec<_>>(), [u64::from(MOVED)]);
    assert_eq!(rig.core.vm().doorbells.as_ref().unwrap().lock().count(), 3);
}

/// What rang before a snapshot is in it.
#[test]
fn a_snapshot_has_what_rang() {
    let Some(mut rig) = toy("doorbells in a snapshot", &store(BELL, 1)) else { return };
    for _ in 0..200 {
        rig.machine.reset(proteus_model::Reset::Cold);
        rig.core.reset();
        rig.machine.write(CoreId(0), DONE, Width::B4, 0).unwrap();
        rig.finish();
        let before = rig.machine.save();
        assert_eq!(counts(&rig.machine, BELL)[1], 1);
        assert_eq!(rig.machine.save(), before);
    }
}

/// Devices stand still when the cores have stopped: what rang has reached them.
#[test]
fn nothing_that_rang_is_on_its_way_when_the_cores_have_stopped() {
    use proteus_exec::sched::{Bell, Workers, connect};
    let Some(Rig { machine, core, .. }) = toy("doorbells and stops", &store(BELL, 1)) else { return };
    let workers = Workers::start(1, || 0).unwrap();
    let mut cores: Vec<Box<dyn Vcpu>> = vec![Box::new(core)];
    for _ in 0..100 {
        let bell = Bell::new();
        connect(&machine, &bell);
        machine.reset(proteus_model::Reset::Cold);
        cores[0].reset();
        machine.write(CoreId(0), DONE, Width::B4, 0).unwrap();
        let (seen, ringer) = (machine.clone(), bell.clone());
        let stop = thread::spawn(move || {
            wait("the end", || seen.read(CoreId(0), DONE, Width::B4) == Ok(1));
            ringer.stop();
        });
        cores = workers.run(&machine, cores, &bell).0;
        stop.join().unwrap();
        assert_eq!(counts(&machine, BELL)[1], 1);
    }
}

/// A device that sends a message each time that it is written to.
#[derive(Debug, Default, State)]
struct Sender {
    sent: u64,
}

const MESSAGE: (u64, u32) = (0xfee0_0000, 0x45);

impl Device for Sender {
    fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        Ok(self.sent)
    }
    fn write(&mut self, cx: &mut dyn Services, _: Window, _: u64, _: Width, _: u64) -> Result<(), BusFault> {
        self.sent += 1;
        cx.dma_write(MESSAGE.0, &MESSAGE.1.to_le_bytes())
    }
}

static SENDER: DeviceType = DeviceType { windows: WINDOWS, ..DeviceType::new("sender", "Messages", |_| Ok(Box::<Sender>::default())) };

/// Where the program says that it waits, where the handler counts, and its interrupt's gate and code.
const READY: u32 = 0x5020;
const COUNT: u32 = 0x5010;
const IDT: u32 = 0x6000;
const HANDLER: u32 = 0x7000;

/// A program that takes the message's interrupt, and counts it; it waits in HLT or in a spin.
fn interrupted(halt: bool) -> Vec<u8> {
    let gate = IDT + 8 * MESSAGE.1;
    // LIDT [0x6800] and LGDT [0x6900], which have limit and base.
    let idt = [store(0x6800, IDT << 16 | 0x7ff), store(0x6804, IDT >> 16), vec![0x0f, 0x01, 0x1d, 0x00, 0x68, 0, 0]].concat();
    let gdt = [store(0x6a10, 0xffff), store(0x6a14, 0x00cf_9b00), store(0x6a18, 0xffff), store(0x6a1c, 0x00cf_9300)].concat();
    let gdtr = [store(0x6900, 0x6a00 << 16 | 0x1f), store(0x6904, 0), vec![0x0f, 0x01, 0x15, 0x00, 0x69, 0, 0]].concat();
    let gates = [store(gate, 0x10 << 16 | HANDLER), store(gate + 4, 0x8e00)].concat();
    // MOV ESP,0x9000; the APIC on.
    let start = [&[0xbc, 0, 0x90, 0, 0][..], &store(0xfee0_00f0, 0x1ff)].concat();
    let before = [idt, gdt, gdtr, gates, start].concat();
    let handler = |wait: u32| {
        // INC dword [COUNT]; MOV dword [EOI],0; ADD ESP,12; MOV EAX,wait; JMP EAX: no IRET, which some
        // hosts cannot emulate here.
        let end = [&[0x83, 0xc4, 12, 0xb8][..], &wait.to_le_bytes(), &[0xff, 0xe0]].concat();
        let code = [&[0xff, 0x05][..], &COUNT.to_le_bytes(), &store(0xfee0_00b0, 0), &end].concat();
        let words = code.chunks(4).map(|c| c.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)));
        words.enumerate().flat_map(|(n, word)| store(HANDLER + 4 * n as u32, word)).collect::<Vec<u8>>()
    };
    let wait = CODE as u32 + (before.len() + handler(0).len() + store(READY, 1).len()) as u32;
    // STI; HLT or NOP; JMP back.
    [before, handler(wait), store(READY, 1), vec![0xfb, if halt { 0xf4 } else { 0x90 }, 0xeb, 0xfc]].concat()
}

/// A message that is sent often goes by a file; each arrives, in HLT and in a spin.
#[test]
fn messages_by_files_arrive_in_halt_and_in_a_spin() {
    for halt in [true, false] {
        let Some(mut rig) = rig_with("irqfd", &interrupted(halt), Chips::Machine, |b| {
            let id = b.device(&SENDER, "sender", proteus_model::Props::new(&SENDER)).unwrap();
            b.place(id, "regs", BELL.into()).unwrap();
        }) else {
            return;
        };
        let vm = rig.core.vm().clone();
        if !vm.fd.check_extension(Cap::Irqfd) {
            eprintln!("SKIPPED irqfd: this host's KVM has no KVM_CAP_IRQFD");
            return;
        }
        let times = parking_lot::Mutex::new((vec![], vec![]));
        rig.run(|m| {
            let count = || m.read(CoreId(0), COUNT.into(), Width::B4).unwrap();
            wait("the program's beginning", || m.read(CoreId(0), READY.into(), Width::B4) == Ok(1));
            for n in 1..=200 {
                let file = vm.messages.lock().files() != 0;
                let before = Instant::now();
                m.write(CoreId(0), BELL.into(), Width::B4, 0).unwrap();
                let mut times = times.lock();
                if file {
                    times.1.push(before.elapsed())
                } else {
                    times.0.push(before.elapsed())
                }
                wait("the interrupt", || count() == n);
            }
            true
        });
        assert_eq!(vm.messages.lock().files(), 1);
        let (mut ioctl, mut file) = times.into_inner();
        ioctl.sort_unstable();
        file.sort_unstable();
        assert!(ioctl.len() < 20 && file.len() > 180);
        eprintln!("figure: message by KVM_SIGNAL_MSI {:?}, by a file {:?} (medians)", ioctl[ioctl.len() / 2], file[file.len() / 2]);
    }
}

/// The kernel's interrupt controllers take the machine's lines; they are saved, restored and reset.
#[test]
fn interrupt_controllers_of_the_kernel_are_saved_and_reset() {
    static LINE: DeviceType =
        DeviceType { windows: WINDOWS, outputs: &[proteus_model::PinDecl::one("irq")], ..DeviceType::new("line", "A line", |_| Ok(Box::<Level>::default())) };
    #[derive(Debug, Default, State)]
    struct Level {
        high: bool,
    }
    impl Device for Level {
        fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
            Ok(self.high.into())
        }
        fn write(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width, value: u64) -> Result<(), BusFault> {
            self.high = value != 0;
            Ok(())
        }
        fn settle(&mut self, cx: &mut dyn Services) {
            cx.set_pin(0, self.high);
        }
    }
    // The mask of the master PIC: MOV AL,0x5a; OUT 0x21,AL.
    let Some(mut rig) = rig_with("irqchip", &[0xb0, 0x5a, 0xe6, 0x21], Chips::Kernel, |b| {
        let id: DeviceId = b.device(&LINE, "line", proteus_model::Props::new(&LINE)).unwrap();
        b.place(id, "regs", BELL.into()).unwrap().wire_outside(id, ("irq", 0), 5).unwrap();
    }) else {
        return;
    };
    let vm = rig.core.vm().clone();
    let state = || vm.save_chips().unwrap().expect("the kernel has them");
    let (mask, requests) = (|| state().master().1, || state().master().0);
    assert_eq!(mask(), 0);
    rig.finish();
    assert_eq!((mask(), requests() & 0x20), (0x5a, 0));
    rig.machine.write(CoreId(0), BELL.into(), Width::B1, 1).unwrap();
    assert_eq!(requests() & 0x20, 0x20);
    let saved = state();
    // A core's reset leaves what is still high.
    rig.core.reset();
    assert_eq!((mask(), requests() & 0x20), (0, 0x20));
    rig.machine.reset(proteus_model::Reset::Cold);
    rig.core.reset();
    assert_eq!((mask(), requests() & 0x20), (0, 0));
    vm.restore_chips(&saved).unwrap();
    assert_eq!((mask(), requests() & 0x20), (0x5a, 0x20));
}
