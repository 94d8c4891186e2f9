//! Random guests: nothing they do may panic, hang, or keep a reset from working.

use std::time::{Duration, Instant};

use proteus_model::conformance::Rng;

use super::*;

/// Commands and packets that lead somewhere, among random ones.
const OPCODES: &[u8] =
    &[0x20, 0x24, 0xc4, 0x29, 0xc8, 0x25, 0x30, 0x34, 0xc5, 0x39, 0xca, 0x35, 0x40, 0x42, 0x91, 0xc6, 0xec, 0xa0, 0xa1, 0xef, 0xe7, 0x08, 0x90];
const PACKETS: &[u8] = &[0x00, 0x03, 0x12, 0x1a, 0x5a, 0x1b, 0x1e, 0x25, 0x28, 0xa8, 0x43, 0x46, 0x4a, 0x51, 0x52, 0xbd, 0xbe];

fn pick(rng: &mut Rng, from: &[u8]) -> u8 {
    if rng.below(8) == 0 { rng.bits() as u8 } else { from[rng.below(from.len() as u64) as usize] }
}

fn step(pc: &mut Pc, rng: &mut Rng) {
    pc.channel = rng.below(2);
    let c = Command {
        opcode: pick(rng, OPCODES),
        features: rng.below(4) as u8,
        count: rng.bits() as u16 & 0x1f,
        lba: rng.below(1 << 10),
        device: rng.bits() as u8,
    };
    match rng.below(16) {
        0..3 => pc.start(c),
        3 => pc.start(Command { count: rng.bits() as u16, lba: rng.bits(), ..c }),
        4 => {
            pc.start(Command { opcode: 0xa0, lba: rng.bits(), ..c });
            let mut packet: [u8; 12] = std::array::from_fn(|_| if rng.below(3) == 0 { rng.bits() as u8 } else { 0 });
            packet[0] = pick(rng, PACKETS);
            for word in packet.chunks(2) {
                let word = u16::from_le_bytes([word[0], word[1]]);
                pc.machine.pio_write(CORE, pc.port(0), Width::B2, word.into()).unwrap();
            }
        }
        5 => {
            for _ in 0..rng.below(1200) {
                pc.data();
            }
        }
        6 => {
            for _ in 0..rng.below(1200) {
                pc.machine.pio_write(CORE, pc.port(0), Width::B4, rng.bits()).unwrap();
            }
        }
        7 => {
            let n = rng.below(20) + 1;
            let pieces: Vec<(u64, u32)> =
                (0..n).map(|_| (if rng.below(8) == 0 { rng.bits() } else { BUFFERS + rng.below(1 << 20) }, rng.bits() as u32)).collect();
            pc.table(&pieces);
            pc.go(rng.below(2) == 0);
        }
        8 => pc.bm_write(rng.below(8), rng.bits()),
        9 => pc.bm_write(BMICOM, [0, 1, 8, 9][rng.below(4) as usize]),
        10 => pc.control([0, 2, 4, 0x80, rng.bits() as u8][rng.below(5) as usize]),
        11 => {
            if let Some(at) = pc.machine.next_alarm() {
                pc.machine.clock().set(at.max(pc.machine.clock().now()));
                pc.machine.run_alarms(at);
            }
        }
        12 => {
            pc.w(rng.below(8), rng.bits() as u8);
        }
        13 => {
            pc.r(rng.below(8));
        }
        14 => {
            pc.alternate();
            pc.bm_read(rng.below(8));
        }
        _ => {
            let width = Width::ALL[rng.below(4) as usize];
            let port = pc.port(rng.below(8));
            let _ = pc.machine.pio_read(CORE, port, width);
            let _ = pc.machine.pio_write(CORE, port, width, rng.bits());
        }
    }
}

#[test]
fn random_guests_do_no_harm() {
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let mut pc = Pc::new(
            [Some(Image::new(1000)), Some(Image::new(4000)), Some(Image::new(1 << 17)), None],
            &[("drive1-media", "cdrom"), ("drive3-media", "cdrom"), ("drive0-write-cache", "off")],
        );
        pc.image(0).spoil(500..502);
        for n in 0..1500 {
            let before = Instant::now();
            step(&mut pc, &mut rng);
            assert!(before.elapsed() < Duration::from_secs(5), "seed {seed}, step {n} takes long");
        }
        // Whatever the state is, after a reset everything works.
        for channel in 0..2 {
            pc.channel = channel;
            pc.halt();
            pc.reset();
            pc.risen();
            assert_eq!(pc.identify(0xec, 0)[0], 0x0040, "seed {seed}");
            pc.start(command(0x20).at(3, 1));
            assert_eq!(pc.take(512, 512).0, pc.image(2 * channel as usize).contents(3, 1));
            pc.identify(0xa1, 0x10);
        }
    }
}

#[test]
fn damaged_states_do_no_harm() {
    let mut rng = Rng::new(99);
    let pc = Pc::new([Some(Image::new(1000)), None, None, Some(Image::new(4000))], &[("drive3-media", "cdrom")]);
    pc.table(&[(BUFFERS, 0)]);
    for c in [command(0x20).at(1, 20), command(0x34).at(1, 20), command(0x25).at(1, 300), command(0x42).at(1, 500), command(0xec)] {
        pc.start(c);
        let saved = pc.machine.save();
        for _ in 0..60 {
            let mut damaged = saved.clone();
            for _ in 0..=rng.below(4) {
                let at = rng.below(damaged.len() as u64) as usize;
                damaged[at] = rng.bits() as u8;
            }
            let mut other = Pc::new([Some(Image::new(1000)), None, None, Some(Image::new(4000))], &[("drive3-media", "cdrom")]);
            if other.machine.load(&damaged).is_ok() {
                for _ in 0..10 {
                    other.channel = 0;
                    for value in [0, 1 | rng.bits() & 8] {
                        let _ = other.machine.pio_write(CORE, BUS_MASTER, Width::B1, value);
                    }
                    let _ = other.machine.pio_read(CORE, 0x1f0, Width::B4);
                    let _ = other.machine.pio_write(CORE, 0x1f0, Width::B4, 1);
                    let at = other.machine.next_alarm().unwrap_or(0);
                    other.machine.run_alarms(at);
                }
            }
        }
        pc.reset();
    }
}
