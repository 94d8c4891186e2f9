//! Disks, channels, bus masters.

use proteus_model::conformance::check;
use proteus_model::{BusFault, Reset};

use super::*;

fn ports(ty: &str) -> [u8; 4] {
    match ty {
        "disk" => [1, 1, 0, 0],
        _ => [1, 1, 0x14, 0xeb],
    }
}

fn signature(pc: &Pc) -> [u8; 4] {
    [SECTOR_COUNT, LBA_LOW, LBA_MID, LBA_HIGH].map(|at| pc.r(at))
}

fn text(words: &[u16]) -> String {
    words.iter().flat_map(|w| w.to_be_bytes()).map(char::from).collect()
}

#[test]
fn conforms() {
    check(&PIIX4_IDE).unwrap();
}

#[test]
fn the_function_is_what_it_is() {
    let pc = Pc::disk(2048);
    assert_eq!((pc.read_config(0, Width::B4), pc.read_config(8, Width::B4)), (0x7111_8086, 0x0101_8001));
    assert_eq!((pc.read_config(6, Width::B2), pc.read_config(0x3d, Width::B1), pc.read_config(0x0e, Width::B1)), (0x0280, 0, 0));
    pc.config(0x40, Width::B4, 0xffff_ffff);
    pc.config(0x44, Width::B4, 0xffff_ffff);
    pc.config(0x48, Width::B4, 0xffff_ffff);
    assert_eq!([0x40, 0x44, 0x48].map(|at| pc.read_config(at, Width::B4)), [0xf3ff_f3ff, 0xff, 0x3333_000f]);
}

#[test]
fn ports_answer_where_they_are_enabled() {
    let pc = Pc::disk(2048);
    let both = |pc: &Pc| [0x1f7, 0x3f6, 0x177, 0x376].map(|port| pc.machine.pio_read(CORE, port, Width::B1));
    let gone = Err(BusFault::Unmapped);
    assert_eq!(both(&pc), [Ok(0x50), Ok(0x50), Ok(0x7f), Ok(0x7f)]);
    pc.config(0x40, Width::B4, 0x8000);
    assert_eq!(both(&pc), [Ok(0x50), Ok(0x50), gone, gone]);
    pc.config(0x40, Width::B4, 0x8000_0000);
    assert_eq!(both(&pc), [gone, gone, Ok(0x7f), Ok(0x7f)]);
    pc.config(0x04, Width::B2, 4);
    assert_eq!(both(&pc), [gone; 4]);
    pc.enable();
    pc.machine.reset(Reset::Warm);
    assert_eq!(both(&pc), [gone; 4]);
}

#[test]
fn a_disk_identifies_itself() {
    let pc =
        Pc::new([None, Some(Image::new(300_000_000)), None, None], &[("drive1-serial", "S1"), ("drive1-model", "A disk of tests"), ("drive1-version", "7")]);
    let id = pc.identify(0xec, 0x10);
    assert_eq!((text(&id[10..20]).trim_end(), text(&id[23..27]).trim_end(), text(&id[27..47]).trim_end()), ("S1", "7", "A disk of tests"));
    let wide = |at: usize| u64::from(id[at]) | u64::from(id[at + 1]) << 16;
    assert_eq!((id[0], id[1], id[3], id[6], id[54], id[55], id[56]), (0x0040, 16383, 16, 63, 16383, 16, 63));
    assert_eq!((wide(57), wide(60), wide(100), wide(102)), (16383 * 16 * 63, 0x0fff_ffff, 300_000_000, 0));
    assert_eq!((id[47], id[49] & 0x300, id[53], id[59], id[63], id[88]), (0x8010, 0x300, 7, 0, 7, 0x3f));
    assert_eq!((id[82], id[83], id[84], id[85], id[86], id[87]), (0x4068, 0x7400, 0x4000, 0x4068, 0x3400, 0x4000));
    // What commands set, it tells.
    for c in [command(0xc6).at(0, 8), command(0xef).features(3).at(0, 0x42), command(0xef).features(0x82), command(0xef).features(0x55)] {
        assert_eq!(pc.run(c.device(0x10)), (READY, 0), "{c:x?}");
    }
    assert_eq!(pc.run(command(0x91).device(0x13).at(0, 32)), (READY, 0));
    let id = pc.identify(0xec, 0x10);
    assert_eq!((id[59], id[63], id[88], id[85], id[54], id[55], id[56]), (0x108, 7, 0x043f, 0x4008, 65535, 4, 32));
    // The image's number where none was given, or one by its place.
    let empty = Pc::new([None, None, None, None], &[("drive1-media", "cdrom")]);
    assert_eq!(text(&empty.identify(0xa1, 0x10)[10..20]).trim_end(), "PT00002");
    assert_eq!(text(&Pc::disk(1).identify(0xec, 0)[10..20]).trim_end(), "the image's");
}

/// Commands that write and read, whether they are of 48 bits, and sectors of a block (0: DMA).
const COMMANDS: &[(u8, u8, bool, usize)] = &[
    (0x30, 0x20, false, 1),
    (0x31, 0x21, false, 1),
    (0x34, 0x24, true, 1),
    (0xc5, 0xc4, false, 4),
    (0x39, 0x29, true, 4),
    (0xca, 0xc8, false, 0),
    (0xcb, 0xc9, false, 0),
    (0x35, 0x25, true, 0),
];

#[test]
fn every_command_moves_what_it_names() {
    const SECTORS: u64 = 1 << 33;
    let pc = Pc::disk(SECTORS);
    pc.run(command(0xc6).at(0, 4));
    for &(write, read, ext, block) in COMMANDS {
        let places: &[(u64, u16)] =
            if ext { &[(0, 1), (SECTORS - 300, 300), (0x1_2345_6789, 9), (7, 0x100)] } else { &[(0, 1), (0x0fff_fff0, 16), (0x0123_4567, 9), (70, 0)] };
        for &(lba, count) in places {
            let sectors = if count == 0 { 256 } else { u64::from(count) };
            // The upper half of a 28-bit address is in the device register.
            let c = |opcode| if ext { command(opcode).at(lba, count) } else { command(opcode).at(lba & 0xff_ffff, count).device(0xe0 | (lba >> 24) as u8) };
            let blocks = if block == 0 { 1 } else { sectors.div_ceil(block as u64) as usize };
            let bytes = Image::pattern(lba ^ 0xdead_0000, sectors);
            pc.risen();
            pc.start(c(write));
            if block == 0 {
                pc.poke(BUFFERS + 2, &bytes);
                pc.table(&[(BUFFERS + 2, 512), (BUFFERS + 514, 0), (BUFFERS + 514 + 65536, 0), (BUFFERS + 514 + 131_072, 0)]);
                pc.go(false);
                assert_eq!((pc.irq(), pc.halt()), (true, 5), "the table is longer than the data");
            } else {
                assert!(!pc.irq(), "the first block is asked for without an interrupt");
                assert_eq!(pc.bring(&bytes, block * 512), blocks, "{write:#x} {lba:#x} {count}");
            }
            assert_eq!((pc.r(STATUS), pc.r(ERROR), pc.r(LBA_LOW)), (READY, 0, (lba + sectors - 1) as u8), "{write:#x} {lba:#x}");
            assert_eq!(pc.image(0).contents(lba, sectors), bytes);
            pc.risen();
            pc.start(c(read));
            if block == 0 {
                // Pieces that cut sectors, and end with the data.
                let rest = (sectors * 512) as u32 - 100;
                let mut pieces: Vec<(u64, u32)> = vec![(BUFFERS + 4, 100)];
                pieces.extend((0..rest.div_ceil(65536)).map(|n| (BUFFERS + 104 + u64::from(n) * 65536, (rest - n * 65536).min(65536))));
                pc.poke(BUFFERS, &vec![0; bytes.len() + 8]);
                pc.table(&pieces);
                pc.go(true);
                assert_eq!((pc.irq(), pc.halt()), (true, 4), "the table ends with the data");
                assert_eq!(pc.peek(BUFFERS + 4, bytes.len()), bytes);
                assert_eq!(pc.peek(BUFFERS + 4 + bytes.len() as u64, 2), [0, 0]);
            } else {
                assert_eq!(pc.take(block * 512, bytes.len()), (bytes, blocks), "{read:#x} {lba:#x} {count}");
            }
            assert_eq!((pc.r(STATUS), pc.r(ERROR)), (READY, 0));
        }
    }
    assert_eq!((pc.errors(), pc.unimplemented()), (0, 0));
}

#[test]
fn cylinders_heads_and_sectors_reach_the_same_places() {
    let pc = Pc::disk(100_000);
    for (heads, sectors, cylinder, head, sector) in [(16u8, 63u8, 3u64, 5, 7), (4, 32, 500, 3, 32)] {
        assert_eq!(pc.run(command(0x91).device(0xa0 | (heads - 1)).at(0, u16::from(sectors))).0, READY);
        let lba = (cylinder * u64::from(heads) + u64::from(head)) * u64::from(sectors) + sector - 1;
        pc.start(command(0x20).device(0xa0 | head).at(cylinder << 8 | sector, 1));
        assert_eq!(pc.take(512, 512).0, Image::pattern(lba, 1));
        for bad in [command(0x20).device(0xa0 | head).at(cylinder << 8, 1), command(0x20).device(0xa0 | head).at(cylinder << 8 | (u64::from(sectors) + 1), 1)] {
            assert_eq!(pc.run(bad), (FAILED, 0x10), "{bad:x?}");
        }
    }
    assert_eq!(pc.run(command(0x20).device(0xa4).at(1, 1)), (FAILED, 0x10), "no such head");
}

#[test]
fn a_whole_32_mib_command_leaves_others_their_turn() {
    let pc = Pc::disk(1 << 17);
    let table: Vec<(u64, u32)> = (0..512).map(|n| (BUFFERS + n * 65536, 0)).collect();
    pc.table(&table);
    pc.start(command(0x25).at(5, 0));
    pc.go(true);
    assert_eq!((pc.alternate() & BSY, pc.irq(), pc.bm_read(BMISTA) & 7), (BSY, false, 1));
    let (device, memory) = (pc.machine.save(), pc.peek(RAM, RAM_LEN as usize));
    assert!(pc.wait() > 20);
    assert_eq!((pc.irq(), pc.halt(), pc.r(STATUS)), (true, 4, READY));
    assert!(pc.peek(BUFFERS, 32 << 20) == Image::pattern(5, 65536));
    // Saved in the middle, it goes on elsewhere.
    let other = Pc::disk(1 << 17);
    other.poke(RAM, &memory);
    other.machine.load(&device).unwrap();
    other.wait();
    assert_eq!((other.irq(), other.halt(), other.r(STATUS)), (true, 4, READY));
    assert!(other.peek(BUFFERS, 32 << 20) == Image::pattern(5, 65536));
    // So does a verification.
    pc.start(command(0x42).at(5, 0));
    assert!(pc.wait() > 20);
    assert_eq!((pc.irq(), pc.r(STATUS)), (true, READY));
    // Or it is stopped.
    for opcode in [0x25, 0x42] {
        pc.start(command(opcode).at(5, 0));
        pc.go(true);
        pc.reset();
        assert_eq!((pc.wait(), pc.irq(), pc.r(STATUS)), (0, false, READY));
    }
}

#[test]
fn descriptors_of_two_bytes_take_their_turns_too() {
    let pc = Pc::disk(1 << 10);
    // They never end: the whole of memory is such a table, as 0x00020002 is an address too.
    pc.poke(RAM, &[2, 0, 0, 0x40, 2, 0, 0, 0].repeat((RAM_LEN / 8) as usize));
    pc.bm_write(BMIDTP, BUFFERS);
    pc.start(command(0x35).at(0, 512));
    pc.go(false);
    assert!(pc.wait() > 10);
    assert_eq!((pc.irq(), pc.halt(), pc.r(STATUS)), (true, 5, READY));
}

#[test]
fn the_bus_master_stops_as_its_specification_says() {
    let pc = Pc::disk(2048);
    let read = command(0xc8).at(3, 4);
    // Before the device has a command nothing moves.
    pc.table(&[(BUFFERS, 2048)]);
    pc.go(true);
    assert_eq!(pc.bm_read(BMISTA) & 7, 1);
    pc.start(read);
    assert_eq!((pc.irq(), pc.halt(), pc.r(STATUS)), (true, 4, READY));
    // A table that is too short: neither active nor interrupt. With another one it goes on.
    pc.table(&[(BUFFERS, 700)]);
    pc.start(read);
    pc.go(true);
    assert_eq!((pc.irq(), pc.halt(), pc.alternate()), (false, 0, READY | BSY));
    pc.table(&[(BUFFERS + 700, 2048 - 700)]);
    pc.go(true);
    assert_eq!((pc.irq(), pc.halt(), pc.r(STATUS)), (true, 4, READY));
    assert_eq!(pc.peek(BUFFERS, 2048), Image::pattern(3, 4));
    // Memory that is not there, for data and for the table.
    for (table, at) in [(TABLE, 0x2000_0000), (0x2000_0000, BUFFERS), (TABLE, RAM + RAM_LEN - 512)] {
        pc.table(&[(at, 2048)]);
        pc.bm_write(BMIDTP, table);
        pc.start(read);
        pc.go(true);
        assert_eq!((pc.irq(), pc.halt(), pc.alternate()), (false, 2, READY | BSY));
        pc.reset();
    }
    // The wrong direction.
    pc.table(&[(BUFFERS, 2048)]);
    pc.start(read);
    pc.go(false);
    assert_eq!((pc.irq(), pc.halt(), pc.r(STATUS), pc.r(ERROR)), (true, 6, FAILED, 0x84));
    // Without the right to access memory it waits.
    pc.config(4, Width::B2, 1);
    pc.start(read);
    pc.go(true);
    assert!(!pc.irq());
    pc.config(4, Width::B2, 5);
    assert_eq!((pc.irq(), pc.halt(), pc.r(STATUS)), (true, 4, READY));
    // Writing ones clears, and software keeps its notes.
    pc.bm_write(BMISTA, 0x62);
    assert_eq!(pc.bm_read(BMISTA), 0x64);
    pc.bm_write(BMISTA, 0x04);
    assert_eq!((pc.bm_read(BMISTA), pc.bm_read(BMIDTP)), (0, TABLE as u32));
    let all = pc.machine.pio_write(CORE, BUS_MASTER + 4, Width::B4, 0xffff_ffff).and_then(|()| pc.machine.pio_read(CORE, BUS_MASTER + 4, Width::B4));
    assert_eq!(all, Ok(0xffff_fffc));
}

#[test]
fn failures_are_reported_with_their_place() {
    let pc = Pc::new([Some(Image::new(1000)), Some(Image::new(1000).read_only()), None, Some(Image::new(1000))], &[("drive3-read-only", "on")]);
    let second = |opcode| command(opcode).device(0xf0);
    let cases = [
        // What disks have not.
        (command(0x00), 0x04, None),
        (command(0x08), 0x04, None),
        (command(0xa0), 0x04, None),
        (command(0xa1), 0x04, None),
        // Multiple before it is set, and by what it cannot be set to.
        (command(0xc4).at(0, 1), 0x04, None),
        (command(0xc6).at(0, 3), 0x04, None),
        (command(0xc6).at(0, 32), 0x04, None),
        (command(0x91), 0x04, None),
        (command(0xef).features(3).at(0, 0x46), 0x04, None),
        (command(0xef).features(3).at(0, 0x0d), 0x04, None),
        // Beyond the end.
        (command(0x20).at(999, 2), 0x10, Some(1000)),
        (command(0x20).at(1000, 1), 0x10, Some(1000)),
        (command(0x20).at(0xff_ffff, 1), 0x10, Some(0xff_ffff)),
        (command(0x24).at(0xffff_ffff_ffff, 0), 0x10, Some(0xffff_ffff_ffff)),
        (command(0x25).at(1, 0), 0x10, Some(1000)),
        (command(0x30).at(1000, 1), 0x10, Some(1000)),
        (command(0xca).at(1000, 1), 0x10, Some(1000)),
        (command(0x40).at(999, 2), 0x10, Some(1000)),
        (command(0x70).at(1000, 1), 0x10, Some(1000)),
        // Read-only.
        (second(0x30).at(0, 1), 0x44, None),
        (second(0x35).at(0, 1), 0x44, None),
    ];
    for (c, error, place) in cases {
        assert_eq!(pc.run(c), (FAILED, error), "{c:x?}");
        if let Some(place) = place {
            let shown = [LBA_LOW, LBA_MID, LBA_HIGH].map(|at| u64::from(pc.r(at)));
            assert_eq!(shown[0] | shown[1] << 8 | shown[2] << 16, place & 0xff_ffff, "{c:x?}");
        }
    }
    assert_eq!(pc.unimplemented(), 0);
    // What is not modelled says so.
    for (n, c) in [command(0xb0), command(0xf5), command(0x06), command(0xf9), command(0xef).features(0x42)].into_iter().enumerate() {
        assert_eq!((pc.run(c), pc.unimplemented()), ((FAILED, 0x04), n as u64 + 1), "{c:x?}");
    }
    let other = Pc { channel: 1, machine: pc.machine.clone(), ram: pc.ram.clone(), device: pc.device, images: vec![] };
    assert_eq!(other.run(second(0x30).at(0, 1)), (FAILED, 0x44), "read-only by property");
}

#[test]
fn an_image_that_fails_is_no_hole_in_the_protocol() {
    let pc = Pc::disk(1000);
    pc.image(0).spoil(12..13);
    pc.start(command(0x20).at(10, 4));
    assert_eq!(pc.take(512, 2048).0, Image::pattern(10, 2), "what comes before is read");
    assert_eq!((pc.r(STATUS), pc.r(ERROR), pc.r(LBA_LOW)), (FAILED, 0x40, 12));
    assert_eq!((pc.run(command(0x40).at(0, 256)), pc.r(LBA_LOW)), ((FAILED, 0x40), 0));
    pc.table(&[(BUFFERS, 0)]);
    pc.start(command(0xc8).at(10, 4));
    assert_eq!((pc.irq(), pc.r(STATUS), pc.r(ERROR)), (true, FAILED, 0x40), "before the bus master starts");
    pc.risen();
    pc.start(command(0x30).at(11, 3));
    assert_eq!(pc.bring(&[7; 1024], 512), 2);
    assert_eq!((pc.r(STATUS), pc.r(ERROR), pc.r(LBA_LOW)), (FAILED, 0x04, 12));
    assert_eq!(pc.image(0).contents(11, 2)[508..516], [vec![7; 4], Image::pattern(12, 1)[..4].to_vec()].concat());
}

#[test]
fn writes_are_durable_when_they_must_be() {
    let flushes = |pc: &Pc| pc.image(0).flushes.load(Ordering::Relaxed);
    let write = |pc: &Pc| {
        pc.start(command(0x30).at(0, 2));
        pc.bring(&[1; 1024], 512);
        pc.r(STATUS)
    };
    let pc = Pc::disk(100);
    assert_eq!((write(&pc), flushes(&pc)), (READY, 0));
    for (n, c) in [command(0xe7), command(0xea), command(0xe0), command(0xef).features(0x82)].into_iter().enumerate() {
        assert_eq!((pc.run(c).0, flushes(&pc)), (READY, n + 1));
    }
    assert_eq!((write(&pc), flushes(&pc)), (READY, 5));
    pc.run(command(0xef).features(2));
    assert_eq!((write(&pc), flushes(&pc)), (READY, 5));
    let pc = Pc::new([Some(Image { no_flush: true, ..Image::new(100) }), None, None, None], &[("drive0-write-cache", "off")]);
    assert_eq!((write(&pc), pc.r(ERROR), flushes(&pc)), (FAILED, 4, 1));
    assert_eq!(pc.run(command(0xe7)), (FAILED, 4));
}

#[test]
fn who_is_not_there_answers_as_the_cable_does() {
    // Nobody at all; the second alone; the first alone.
    let pc = Pc::disk(100);
    for (n, c) in [(0x55, 1), (0xaa, 0)] {
        let empty = Pc { channel: 1, machine: pc.machine.clone(), ram: pc.ram.clone(), device: pc.device, images: vec![] };
        empty.w(DEVICE, c << 4);
        empty.w(LBA_LOW, n);
        assert_eq!((empty.r(LBA_LOW), empty.r(STATUS), empty.alternate(), empty.data()), (0x7f, 0x7f, 0x7f, 0xff7f));
    }
    pc.w(DEVICE, 0xb0);
    pc.w(LBA_LOW, 0x55);
    assert_eq!((pc.r(LBA_LOW), pc.r(STATUS), pc.alternate(), pc.data()), (0x55, 0, 0, 0));
    pc.start(command(0xec).device(0xb0));
    assert_eq!((pc.irq(), pc.r(STATUS)), (false, 0), "nobody hears it");
    let pc = Pc::new([None, Some(Image::new(100)), None, None], &[]);
    assert_eq!(pc.r(STATUS), 0x7f);
    pc.w(DEVICE, 0x10);
    assert_eq!((pc.r(STATUS), signature(&pc)), (READY, ports("disk")));
    let pc = Pc::cd(Some(10));
    pc.w(DEVICE, 0x10);
    assert_eq!((signature(&pc), pc.r(STATUS)), ([0; 4], 0), "no second CD drive");
}

#[test]
fn resets_and_diagnostics_leave_signatures() {
    let pc = Pc::new([Some(Image::new(100)), None, Some(Image::new(100)), None], &[("drive1-media", "cdrom")]);
    let look = |pc: &Pc| {
        let first = (pc.r(DEVICE), signature(pc), pc.r(STATUS), pc.r(ERROR));
        pc.w(DEVICE, 0x10);
        (first, (pc.r(DEVICE), signature(pc), pc.r(STATUS), pc.r(ERROR)))
    };
    let want = ((0xa0, ports("disk"), READY, 1), (0xb0, ports("cd"), 0, 1));
    assert_eq!(look(&pc), want, "power-on");
    for c in [command(0x20).at(5, 200), command(0x30).at(5, 2), command(0xc8).at(5, 1), command(0xec).device(0x10), command(0xa0).device(0x10)] {
        pc.start(c);
        pc.reset();
        assert!(!pc.irq());
        assert_eq!(look(&pc), want, "reset after {c:x?}");
    }
    pc.start(command(0x90).device(0xb0));
    assert!(pc.irq());
    assert_eq!(look(&pc), want, "diagnostics");
    // A packet device by itself, even in the middle of something; the other one stays as it is.
    pc.start(command(0xa1).device(0x10));
    pc.start(command(0x08).device(0x10));
    assert_eq!((pc.r(DEVICE), signature(&pc), pc.r(STATUS), pc.irq()), (0xb0, ports("cd"), 0, false));
    // Settings last unless they are to be undone.
    for (feature, want) in [(0x66, 0x104), (0xcc, 0)] {
        assert_eq!(pc.run(command(0xc6).at(0, 4)).0, READY);
        assert_eq!(pc.run(command(0xef).features(feature)).0, READY);
        pc.reset();
        assert_eq!(pc.identify(0xec, 0)[59], want, "{feature:#x}");
    }
}

#[test]
fn interrupts_can_be_masked_and_are_acknowledged() {
    let pc = Pc::new([Some(Image::new(100)), Some(Image::new(100)), None, None], &[]);
    pc.control(2);
    pc.start(command(0x10));
    assert_eq!((pc.irq(), pc.bm_read(BMISTA)), (false, 0));
    pc.control(0);
    assert_eq!((pc.irq(), pc.bm_read(BMISTA), pc.alternate(), pc.irq()), (true, 4, READY, true));
    // The bus master notes that the line rises, not that it is high.
    pc.bm_write(BMISTA, 4);
    assert_eq!((pc.alternate(), pc.irq(), pc.bm_read(BMISTA)), (READY, true, 0));
    // The selected device alone has the line.
    pc.w(DEVICE, 0x10);
    assert!(!pc.irq());
    pc.w(DEVICE, 0);
    assert!(pc.irq());
    pc.r(STATUS);
    assert!(!pc.irq());
    // A command that follows one that was not acknowledged is heard.
    pc.start(command(0x10));
    assert!(pc.risen() && pc.irq());
    pc.start(command(0x10));
    assert!(pc.risen() && pc.irq());
    pc.w(LBA_LOW, 0);
    assert!(!pc.risen() && pc.irq(), "a parameter is no news");
}

#[test]
fn the_upper_bytes_are_behind_the_lower_ones() {
    let pc = Pc::disk(1 << 40);
    assert_eq!(pc.run(command(0x27)).0, READY);
    let low = [LBA_LOW, LBA_MID, LBA_HIGH].map(|at| pc.r(at));
    pc.control(0x80);
    let high = [LBA_LOW, LBA_MID, LBA_HIGH].map(|at| pc.r(at));
    assert_eq!((low, high), ([0xff; 3], [0xff, 0xff, 0]));
    pc.w(LBA_LOW, 3);
    assert_eq!(pc.r(LBA_LOW), 3, "a write ends it");
    assert_eq!((pc.run(command(0xf8)).0, pc.r(DEVICE), pc.r(LBA_LOW)), (READY, 0xef, 0xff));
    let pc = Pc::disk(0x12345);
    assert_eq!((pc.run(command(0xf8)).0, pc.r(DEVICE), pc.r(LBA_LOW), pc.r(LBA_HIGH)), (READY, 0xe0, 0x44, 1));
}

#[test]
fn power_modes_follow_commands_and_time() {
    let pc = Pc::disk(100);
    let mode = |pc: &Pc| {
        assert_eq!(pc.run(command(0xe5)).0, READY);
        pc.r(SECTOR_COUNT)
    };
    assert_eq!(mode(&pc), 0xff);
    for (opcode, want) in [(0xe0, 0), (0xe1, 0x80), (0xe2, 0), (0xe3, 0x80), (0x94, 0), (0x95, 0x80), (0x96, 0), (0x97, 0x80)] {
        assert_eq!((pc.run(command(opcode)).0, mode(&pc)), (READY, want), "{opcode:#x}");
    }
    pc.run(command(0xe3).at(0, 2));
    let clock = pc.machine.clock();
    clock.set(clock.now() + 9_999_999_999);
    assert_eq!(mode(&pc), 0x80);
    clock.set(clock.now() + 1);
    assert_eq!(mode(&pc), 0, "ten seconds");
    pc.run(command(0x40).at(0, 1));
    assert_eq!(mode(&pc), 0xff);
    pc.run(command(0xe6));
    pc.start(command(0x10));
    assert!(!pc.irq(), "it sleeps");
    pc.reset();
    assert_eq!(mode(&pc), 0);
}

#[test]
fn data_out_of_turn_is_the_guests_error() {
    let pc = Pc::disk(100);
    assert_eq!((pc.data(), pc.errors()), (0, 1));
    pc.machine.pio_write(CORE, 0x1f0, Width::B2, 7).unwrap();
    assert_eq!(pc.errors(), 2);
    pc.start(command(0x20).at(1, 2));
    // 32 bits are two words, also where a block ends.
    let pattern = Image::pattern(1, 2);
    assert_eq!(pc.data(), u16::from_le_bytes([pattern[0], pattern[1]]));
    for n in 0..255 {
        let at = 2 + 4 * n;
        let want = u32::from_le_bytes(pattern[at..at + 4].try_into().unwrap());
        assert_eq!(pc.machine.pio_read(CORE, 0x1f0, Width::B4), Ok(want.into()), "at {at}");
    }
    assert_eq!((pc.alternate(), pc.data(), pc.alternate()), (WANTS, u16::from_le_bytes([pattern[1022], pattern[1023]]), READY));
    assert_eq!(pc.errors(), 2);
}

#[test]
fn bad_properties_are_refused() {
    for (name, value) in [("drive0-media", "tape"), ("drive3-media", "")] {
        let props = Props::with(&PIIX4_IDE, &[(name, value)]).unwrap();
        assert!((PIIX4_IDE.new)(&props).is_err(), "{name}={value}");
    }
}
