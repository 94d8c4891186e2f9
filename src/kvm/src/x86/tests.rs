//! Cores by themselves: small programs in protected mode. A host without KVM skips them.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proteus_exec::Vcpu;
use proteus_exec::cpu::Stop;
use proteus_model::ram::Region;
use proteus_model::{CoreId, Machine, MachineBuilder, Width};
use proteus_x86::{Entry, models};

use super::*;

#[path = "outside_tests.rs"]
mod outside;

const LIMIT: Duration = Duration::from_secs(30);
const SIZE: u64 = 4 << 20;
const CODE: u64 = 0x1000;
/// Where programs say that they are done.
const DONE: u64 = 0x5000;

/// STI, before what goes on for ever: Bochs 2.7 as the host takes no interrupt while its guest takes none.
const STI: u8 = 0xfb;

/// MOV dword [DONE],1; CLI; HLT.
const END: [u8; 12] = [0xc7, 0x05, 0x00, 0x50, 0x00, 0x00, 1, 0, 0, 0, 0xfa, 0xf4];

struct Rig {
    machine: Arc<Machine>,
    ram: Arc<Region>,
    core: Core,
}

/// A machine with this program; `None` where the host has no KVM.
fn rig(test: &str, program: &[u8]) -> Option<Rig> {
    rig_with(test, program, Chips::Machine, |_| {})
}

/// The same with more in it.
fn rig_with(test: &str, program: &[u8], chips: Chips, more: impl FnOnce(&mut MachineBuilder)) -> Option<Rig> {
    let host = Host::open().inspect_err(|e| eprintln!("SKIPPED {test}: {e}")).ok()?;
    let mut b = MachineBuilder::new("test", 1);
    let (ram, rom) = (Region::new("ram", SIZE).unwrap(), Region::new("rom", 0x2000).unwrap());
    rom.fill(0, 0x2000, 0x77).unwrap();
    b.ram(0, &ram).rom(0x0f00_0000, &rom).messages(0xfee0_0000..0xfef0_0000);
    more(&mut b);
    let machine = b.build().unwrap();
    machine.poke(CODE, &[program, &END].concat()).unwrap();
    let configuration = Configuration {
        model: models::find("host").unwrap(),
        changes: Default::default(),
        apic_ids: vec![0],
        entry: Some(Entry { pc: CODE, code: 0x10, data: 0x18, ..Entry::default() }),
        acknowledge_port: None,
        end_of_interrupt: None,
        chips,
        report: Arc::new(|text| eprintln!("{text}")),
    };
    let mut core = cores(&host, &machine, configuration).unwrap().pop().unwrap();
    core.reset();
    Some(Rig { machine, ram, core })
}

impl Rig {
    fn done(&self) -> bool {
        self.machine.read(CoreId(0), DONE, Width::B4) == Ok(1)
    }

    /// Runs until it is done, or until `until` says so; the core then stands still.
    fn run(&mut self, until: impl Fn(&Machine) -> bool + Send) -> Stop {
        let (machine, lines) = (self.machine.clone(), self.core.lines().clone());
        thread::scope(|scope| {
            scope.spawn(move || {
                let started = Instant::now();
                while !until(&machine) {
                    assert!(started.elapsed() < LIMIT, "it never comes there");
                    thread::yield_now();
                }
                lines.kick();
            });
            let stop = self.core.run(0);
            self.core.lines().take_kick();
            stop
        })
    }

    fn finish(&mut self) {
        self.run(|m| m.read(CoreId(0), DONE, Width::B4) == Ok(1));
        assert!(self.done());
    }

    fn memory(&self) -> Vec<u8> {
        let mut bytes = vec![0; SIZE as usize];
        self.ram.read(0, &mut bytes).unwrap();
        bytes
    }
}

/// How many passes of a calculation are left after the present one; while it is 0, it goes on for ever.
const LEFT: u64 = 0x5010;

/// A calculation that leaves each value in memory: passes of ECX rounds of EAX = EAX * 0x41c64e6d + 12345.
fn counting(rounds: u32) -> Vec<u8> {
    let mut code = vec![STI, 0xbb, 0x00, 0x00, 0x10, 0x00, 0xb9]; // MOV EBX,0x100000; MOV ECX,rounds
    code.extend(rounds.to_le_bytes());
    code.extend([0x69, 0xc0, 0x6d, 0x4e, 0xc6, 0x41]); // IMUL EAX,EAX,0x41c64e6d
    code.extend([0x05, 0x39, 0x30, 0x00, 0x00]); // ADD EAX,12345
    code.extend([0x89, 0x03, 0x83, 0xc3, 0x04]); // MOV [EBX],EAX; ADD EBX,4
    code.extend([0x49, 0x75, 0xed]); // DEC ECX; JNZ back to IMUL
    code.extend([0x83, 0x3d, 0x10, 0x50, 0x00, 0x00, 0x00, 0x74, 0xd9]); // CMP dword [LEFT],0; JE to the start
    code.extend([0xff, 0x0d, 0x10, 0x50, 0x00, 0x00, 0x75, 0xd1]); // DEC dword [LEFT]; JNZ to the start
    code
}

#[test]
fn a_core_saved_in_the_middle_goes_on_to_the_same_end() {
    const ROUNDS: u32 = 20_000;
    let Some(mut rig) = rig("save and restore", &counting(ROUNDS)) else { return };
    // Some way in.
    rig.run(|m| m.read(CoreId(0), 0x10_0000 + 4 * 2000, Width::B4) != Ok(0));
    assert!(!rig.done());
    rig.machine.poke(LEFT, &2u32.to_le_bytes()).unwrap();
    let (saved, memory, clock) = (rig.core.save().unwrap(), rig.memory(), rig.core.vm().clock().unwrap());
    let pc = rig.core.pc();
    rig.finish();
    let (want, registers) = (rig.memory(), (0..8).map(|n| rig.core.read_register(n)).collect::<Vec<_>>());
    // Another program in between, then back.
    rig.core.reset();
    rig.ram.write(0, &memory).unwrap();
    rig.core.restore(&saved).unwrap();
    rig.core.vm().set_clock(clock).unwrap();
    assert_eq!(rig.core.pc(), pc);
    assert!((clock..clock + 10_000_000_000).contains(&rig.core.vm().clock().unwrap()));
    rig.finish();
    assert!(rig.memory() == want, "memory differs");
    assert_eq!((0..8).map(|n| rig.core.read_register(n)).collect::<Vec<_>>(), registers);
}

#[test]
fn registers_go_in_and_out() {
    let Some(mut rig) = rig("registers", &[0x01, 0xd8, 0x89, 0xc1]) else { return }; // ADD EAX,EBX; MOV ECX,EAX
    let number = |name: &str| proteus_x86::registers::description().registers().position(|r| r.name == name).unwrap();
    assert!(rig.core.write_register(number("rax"), 40) && rig.core.write_register(number("rbx"), 2));
    assert!(rig.core.write_register(number("xmm3"), 77 << 64 | 5));
    rig.finish();
    assert_eq!(rig.core.read_register(number("rcx")), Some(42));
    assert_eq!(rig.core.read_register(number("xmm3")), Some(77 << 64 | 5));
    assert_eq!(rig.core.facts(proteus_exec::vcpu::Facts::Mode).as_deref(), Some("32-bit protected mode\n"));
}

#[test]
fn pages_that_the_guest_writes_are_logged() {
    // MOV [0x10000],EAX; MOV [0x12345],EAX; MOV EAX,[0x20000].
    let program = [0xa3, 0, 0, 1, 0, 0xa3, 0x45, 0x23, 1, 0, 0xa1, 0, 0, 2, 0];
    let Some(mut rig) = rig("dirty log", &program) else { return };
    let dirty = |rig: &Rig| (0..rig.ram.pages()).filter(|page| rig.ram.take_dirty(*page)).collect::<Vec<_>>();
    rig.core.vm().log_writes(true).unwrap();
    rig.core.vm().collect_writes().unwrap();
    dirty(&rig);
    rig.finish();
    rig.core.vm().collect_writes().unwrap();
    // Where the kernel maps what is read for writing too, it counts as written.
    let read = [CODE >> 12, 0x20];
    assert_eq!(dirty(&rig).into_iter().filter(|page| !read.contains(page)).collect::<Vec<_>>(), [DONE >> 12, 0x10, 0x12]);
    rig.core.vm().collect_writes().unwrap();
    assert_eq!(dirty(&rig), []);
    // Without the log nothing is known.
    rig.core.vm().log_writes(false).unwrap();
    rig.machine.write(CoreId(0), DONE, Width::B4, 0).unwrap();
    dirty(&rig);
    rig.core.reset();
    rig.finish();
    rig.core.vm().collect_writes().unwrap();
    assert_eq!(dirty(&rig), []);
}

/// Breakpoint instructions go when the last core is done with them; what the guest has written
/// over one stays.
#[test]
fn breakpoint_instructions_leave_memory_as_it_was() {
    let Some(rig) = rig("breakpoint instructions", &[]) else { return };
    use planted::{Planted, Whose};
    let (machine, planted, before) = (&rig.machine, Planted::default(), rig.memory());
    let byte = |at: u64| rig.machine.read(CoreId(0), at, Width::B1).unwrap();
    assert!(planted.put(machine, CODE) && planted.put(machine, CODE) && planted.put(machine, 0x0f00_0000));
    assert!(!planted.put(machine, 0xf000_0000), "there is no memory");
    assert_eq!([byte(CODE), byte(0x0f00_0000)], [0xcc; 2]);
    assert_eq!(planted.whose(machine, CODE), Whose::Planted);
    planted.take(machine, CODE);
    assert_eq!(byte(CODE), 0xcc);
    planted.take(machine, CODE);
    planted.take(machine, 0x0f00_0000);
    assert!(rig.memory() == before && byte(0x0f00_0000) == 0x77);
    planted.put(machine, CODE);
    rig.ram.write(CODE, &[0x90]).unwrap();
    planted.take(machine, CODE);
    assert_eq!((byte(CODE), planted.whose(machine, CODE)), (0x90, Whose::Gone));
    rig.ram.write(CODE, &[0xcc]).unwrap();
    assert_eq!(planted.whose(machine, CODE), Whose::Guest);
}

#[test]
fn read_only_memory_is_read_and_not_written() {
    // MOV EAX,[0xf000000]; MOV [0x6000],EAX; MOV [0xf000004],ESP.
    let program = [0xa1, 0, 0, 0, 0x0f, 0xa3, 0, 0x60, 0, 0, 0x89, 0x25, 4, 0, 0, 0x0f];
    let Some(mut rig) = rig("read-only memory", &program) else { return };
    rig.finish();
    assert_eq!(rig.machine.read(CoreId(0), 0x6000, Width::B4), Ok(0x7777_7777));
    assert_eq!(rig.machine.read(CoreId(0), 0x0f00_0004, Width::B4), Ok(0x7777_7777));
}

/// As a guest may put the memory of a graphics card there.
#[test]
fn no_memory_hides_the_local_apic() {
    // MOV EAX,[0xfee00020], its ID; MOV [0x20000],EAX.
    let program = [0xa1, 0x20, 0x00, 0xe0, 0xfe, 0xa3, 0, 0, 2, 0];
    let ram = Region::new("elsewhere", 0x3000).unwrap();
    ram.fill(0, 0x3000, 0x77).unwrap();
    let Some(mut rig) = rig_with("the local APIC", &program, Chips::Machine, |b| {
        b.ram(0xfedf_f000, &ram);
    }) else {
        return;
    };
    rig.finish();
    assert_eq!(rig.machine.read(CoreId(0), 0x2_0000, Width::B4), Ok(0));
}

/// A kick that comes before the core runs, or just as it begins, is not lost.
#[test]
fn no_kick_is_lost() {
    let Some(mut rig) = rig("kicks", &[STI, 0xeb, 0xfe]) else { return }; // JMP to itself
    rig.core.lines().kick();
    assert_eq!(rig.core.run(0), Stop::Kicked);
    rig.core.lines().take_kick();
    let mut took: Vec<Duration> = (0..200u32)
        .map(|n| {
            let lines = rig.core.lines().clone();
            let kicker = thread::spawn(move || {
                // Sooner and later than the core needs to begin.
                (0..n * 50).for_each(|_| std::hint::spin_loop());
                let at = Instant::now();
                lines.kick();
                at
            });
            // One that was lost would never come back.
            assert_eq!(rig.core.run(0), Stop::Kicked);
            let end = Instant::now();
            let at = kicker.join().unwrap();
            rig.core.lines().take_kick();
            end.saturating_duration_since(at)
        })
        .collect();
    took.sort_unstable();
    eprintln!("figure: kick: median {:?}, longest {:?}", took[took.len() / 2], took[took.len() - 1]);
    assert!(took[took.len() / 2] < Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_core_after_a_triple_fault_waits_for_a_reset() {
    let Some(mut rig) = rig("triple fault", &[0x0f, 0x0b]) else { return }; // UD2, without exceptions' table
    assert_eq!(rig.core.run(0), Stop::Off);
    assert_eq!(rig.machine.take_request(), Some(proteus_model::SystemRequest::Reset));
    assert_eq!(rig.core.run(0), Stop::Off);
    rig.machine.poke(CODE, &END).unwrap();
    rig.core.reset();
    rig.finish();
}
