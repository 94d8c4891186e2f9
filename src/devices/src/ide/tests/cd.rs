//! CD drives.

use super::*;

fn disc(first: u64, sectors: u64) -> Vec<u8> {
    Image::pattern(first * 4, sectors * 4)
}

fn read10(lba: u32, count: u16) -> Vec<u8> {
    [&[0x28, 0][..], &lba.to_be_bytes(), &[0], &count.to_be_bytes()].concat()
}

#[test]
fn a_cd_drive_identifies_itself() {
    let pc = Pc::new([None, None, None, None], &[("drive0-media", "cdrom"), ("drive0-model", "ACME Reader 3000"), ("drive0-version", "2.5b")]);
    // A guest that takes it for a disk is told.
    for opcode in [0xec, 0x20] {
        assert_eq!(pc.run(command(opcode)), (FAILED, 4));
        assert_eq!([LBA_MID, LBA_HIGH].map(|at| pc.r(at)), [0x14, 0xeb]);
    }
    let id = pc.identify(0xa1, 0);
    assert_eq!((id[0], id[49] & 0x300, id[53], id[82], id[88]), (0x85c0, 0x300, 6, 0x4218, 0x3f));
    assert_eq!(pc.run(command(0xef).features(3).at(0, 0x22)), (READY, 0));
    assert_eq!(pc.identify(0xa1, 0)[63], 0x0407);
    let inquiry = pc.packet(&[0x12, 0, 0, 0, 36], 0xfffe).unwrap();
    assert_eq!(inquiry[..5], [5, 0x80, 0, 0x21, 31]);
    assert_eq!(&inquiry[8..], b"ACME    Reader 3000     2.5b");
    // Power modes are those of disks.
    assert_eq!((pc.run(command(0xe0)).0, pc.run(command(0xe5)).0, pc.r(SECTOR_COUNT)), (READY, READY, 0));
    assert_eq!((pc.run(command(0xca)), pc.unimplemented()), ((FAILED, 4), 1));
}

#[test]
fn sectors_are_read_under_every_limit() {
    let pc = Pc::cd(Some(500));
    for limit in [2, 3, 510, 2047, 2048, 2050, 8192, 0xfffe, 0xffff] {
        for (lba, count) in [(0, 1), (3, 2), (100, 18), (499, 1)] {
            assert!(pc.packet(&read10(lba, count), limit) == Ok(disc(lba.into(), count.into())), "{count} sectors at {lba}, limit {limit}");
        }
    }
    let read12 = |lba: u8, count: u8| [0xa8, 0, 0, 0, 0, lba, 0, 0, 0, count];
    let read_cd = |kind: u8, fields: u8, channels: u8| [0xbe, kind, 0, 0, 0, 7, 0, 0, 2, fields, channels];
    assert_eq!(pc.packet(&read12(9, 3), 4096), Ok(disc(9, 3)));
    assert_eq!(pc.packet(&read_cd(8, 0x10, 0), 4096), Ok(disc(7, 2)));
    for nothing in [read10(5, 0), read12(5, 0).to_vec(), read_cd(0, 0, 0).to_vec(), vec![0x2b, 0, 0, 0, 1, 0xf3]] {
        assert_eq!(pc.packet(&nothing, 0), Ok(vec![]), "{nothing:x?}");
    }
    assert_eq!((pc.errors(), pc.unimplemented()), (0, 0));
}

#[test]
fn sectors_and_replies_move_by_dma() {
    let pc = Pc::cd(Some(500));
    for (lba, count) in [(0u32, 1u16), (7, 200)] {
        let bytes = usize::from(count) * 2048;
        let pieces: Vec<(u64, u32)> = (0..bytes.div_ceil(65536)).map(|n| (BUFFERS + n as u64 * 65536, (bytes - n * 65536).min(65536) as u32)).collect();
        pc.table(&pieces);
        pc.send_packet(&read10(lba, count), 0, 1);
        assert!(!pc.irq());
        pc.go(true);
        assert_eq!((pc.irq(), pc.halt(), pc.packet_end()), (true, 4, Ok(())));
        assert!(pc.peek(BUFFERS, bytes) == disc(lba.into(), count.into()));
    }
    // A reply of odd length, and a table that is longer.
    pc.poke(BUFFERS, &[0; 32]);
    pc.table(&[(BUFFERS, 64)]);
    pc.send_packet(&[0x12, 0, 0, 0, 5], 0, 1);
    pc.go(true);
    assert_eq!((pc.halt(), pc.packet_end(), pc.peek(BUFFERS, 7)), (5, Ok(()), vec![5, 0x80, 0, 0x21, 31, 0, 0]));
    // The wrong direction.
    pc.send_packet(&read10(0, 1), 0, 1);
    pc.go(false);
    assert_eq!((pc.halt(), pc.packet_end()), (6, Err([0xb, 8, 0])));
    // A packet that fails needs no bus master.
    pc.send_packet(&read10(500, 1), 0, 1);
    assert_eq!(pc.packet_end(), Err([5, 0x21, 0]));
}

#[test]
fn failures_have_sense_data() {
    let pc = Pc::cd(Some(500));
    pc.image(0).spoil(80..81);
    let cases: &[(&[u8], [u8; 3])] = &[
        (&read10(500, 1), [5, 0x21, 0]),
        (&read10(499, 2), [5, 0x21, 0]),
        (&read10(u32::MAX, u16::MAX), [5, 0x21, 0]),
        (&[0xa8, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], [5, 0x21, 0]),
        (&[0x2b, 0, 0, 0, 1, 0xf4], [5, 0x21, 0]),
        (&read10(20, 1), [3, 0x11, 0]),
        (&read10(0, 40), [3, 0x11, 0]),
        (&[0x12, 1, 0, 0, 36], [5, 0x24, 0]),
        (&[0x03, 1, 0, 0, 18], [5, 0x24, 0]),
        (&[0x1a, 0, 0x05, 0, 255], [5, 0x24, 0]),
        (&[0x5a, 0, 0xea, 0, 0, 0, 0, 0, 255], [5, 0x39, 0]),
        (&[0x43, 0, 5, 0, 0, 0, 0, 0, 255], [5, 0x24, 0]),
        (&[0x43, 0, 0, 0, 0, 0, 2, 0, 255], [5, 0x24, 0]),
        (&[0x46, 3, 0, 0, 0, 0, 0, 0, 255], [5, 0x24, 0]),
        (&[0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8], [5, 0x24, 0]),
        (&[0x51, 1, 0, 0, 0, 0, 0, 0, 34], [5, 0x24, 0]),
        (&[0x52, 1, 0, 0, 0, 2, 0, 0, 36], [5, 0x24, 0]),
        (&[0x52, 3, 0, 0, 0, 1, 0, 0, 36], [5, 0x24, 0]),
        (&[0x52, 0, 0, 0, 1, 0xf4, 0, 0, 36], [5, 0x21, 0]),
        (&[0x1b, 0, 0, 0, 0x20], [5, 0x24, 0]),
        (&[0xbe, 4, 0, 0, 0, 0, 0, 0, 1, 0x10], [5, 0x64, 0]),
    ];
    for (packet, sense) in cases {
        assert_eq!(pc.packet(packet, 32768), Err(*sense), "{packet:x?}");
    }
    assert_eq!(pc.unimplemented(), 0);
    for (packet, sense) in [([0x42, 0, 0x40, 1, 0, 0, 0, 0, 16, 0, 0], [5, 0x20, 0]), ([0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0xf8, 0], [5, 0x24, 0])] {
        let before = pc.unimplemented();
        assert_eq!((pc.packet(&packet, 32768), pc.unimplemented()), (Err(sense), before + 1));
    }
    // No room for data at the data register.
    assert_eq!(pc.packet(&read10(0, 1), 0), Err([5, 0x24, 0]));
    // Sense data is of the last packet only.
    assert_eq!((pc.packet(&read10(500, 1), 2).is_err(), pc.packet(&[0; 6], 2)), (true, Ok(vec![])));
    assert_eq!(pc.packet(&[3, 0, 0, 0, 18], 64).unwrap()[2..3], [0]);
}

#[test]
fn a_reset_is_told_once() {
    let pc = Pc::cd(Some(500));
    for by_command in [false, true] {
        assert_eq!(pc.packet(&[0; 6], 2), Ok(vec![]));
        if by_command {
            pc.start(command(0x08));
        } else {
            pc.reset();
        }
        assert!(pc.packet(&[0x12, 0, 0, 0, 36], 64).is_ok(), "identity goes before");
        assert_eq!((pc.packet(&read10(0, 1), 2048), pc.packet(&read10(0, 1), 2048)), (Err([6, 0x29, 0]), Ok(disc(0, 1))));
    }
    // REQUEST SENSE tells of it too.
    pc.reset();
    let sense = pc.packet(&[3, 0, 0, 0, 18], 64).unwrap();
    assert_eq!(([sense[2], sense[12]], pc.packet(&[0; 6], 2)), ([6, 0x29], Ok(vec![])));
}

#[test]
fn the_disc_describes_itself() {
    let pc = Pc::cd(Some(5000));
    let msf = [0, 1, 8, 50];
    let cases: &[(&[u8], Vec<u8>)] = &[
        (&[0x25], vec![0, 0, 0x13, 0x87, 0, 0, 8, 0]),
        (&[0x43, 0, 0, 0, 0, 0, 0, 0, 255], vec![0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0x13, 0x88]),
        (&[0x43, 0, 0, 0, 0, 0, 0, 0, 4], vec![0, 18, 1, 1]),
        (&[0x43, 2, 0, 0, 0, 0, 0xaa, 0, 255], [&[0, 10, 1, 1, 0, 0x14, 0xaa, 0][..], &msf].concat()),
        (&[0x43, 2, 1, 0, 0, 0, 0, 0, 255], vec![0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0]),
        (&[0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0x40], vec![0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]),
        (&[0x1a, 0, 1, 0, 255], vec![11, 1, 0, 0, 1, 6, 0, 5, 0, 0, 0, 0]),
        (&[0x5a, 0, 0x41, 0, 0, 0, 0, 0, 255], vec![0, 14, 1, 0, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0]),
        (&[0x46, 2, 0, 3, 0, 0, 0, 0, 255], vec![0, 0, 0, 12, 0, 0, 0, 8, 0, 3, 3, 4, 0x29, 0, 0, 0]),
        (&[0x46, 2, 0, 0, 0, 0, 0, 0, 255], vec![0, 0, 0, 16, 0, 0, 0, 8, 0, 0, 3, 8, 0, 0x10, 0, 0, 0, 8, 1, 0]),
        (&[0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8], vec![0; 8]),
        (&[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8], vec![0, 6, 4, 0x10, 0, 2, 0, 0]),
        (&[0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8], vec![0, 2, 0x80, 0x10]),
        (&[0x52, 1, 0, 0, 0, 1, 0, 0, 8], vec![0, 34, 1, 1, 0, 4, 1, 0]),
        (&[0x52, 0, 0, 0, 0x13, 0x87, 0, 0, 28], [&[0, 34, 1, 1, 0, 4, 1][..], &[0; 17], &[0, 0, 0x13, 0x88]].concat()),
        (&[0x51, 0, 0, 0, 0, 0, 0, 0, 8], vec![0, 32, 0x0e, 1, 1, 1, 1, 0x20]),
    ];
    for (packet, want) in cases {
        assert_eq!(pc.packet(packet, 512).as_ref(), Ok(want), "{packet:x?}");
    }
    let full = pc.packet(&[0x43, 2, 2, 0, 0, 0, 0, 0, 255], 512).unwrap();
    assert_eq!((full.len(), full[1], &full[26..37]), (48, 46, &[1, 0x14, 0, 0xa2, 0, 0, 0, 0, 1, 8, 50][..]));
    let all = pc.packet(&[0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255], 512).unwrap();
    assert_eq!((all.len(), all[1], all[8], all[16], all[17]), (36, 34, 1, 0x2a, 18));
    // Longer than any compact disc.
    let dvd = Pc::cd(Some(2_000_000));
    assert_eq!(dvd.packet(&[0x46, 2, 0, 0, 0, 0, 0, 0, 20], 512).unwrap()[4..], [0, 0, 0, 0x10, 0, 0, 3, 8, 0, 0x10, 1, 0, 0, 8, 0, 0]);
}

#[test]
fn the_tray_opens_and_closes() {
    let pc = Pc::cd(Some(500));
    let event = |pc: &Pc| pc.packet(&[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8], 64).unwrap()[4..6].to_vec();
    let (eject, load, lock, unlock) = ([0x1b, 0, 0, 0, 2], [0x1b, 0, 0, 0, 3], [0x1e, 0, 0, 0, 1], [0x1e, 0, 0, 0, 0]);
    assert_eq!(pc.packet(&lock, 2), Ok(vec![]));
    assert_eq!(pc.packet(&[0x1a, 0, 0x2a, 0, 255], 64).unwrap()[10], 0x2b);
    assert_eq!(pc.packet(&eject, 2), Err([5, 0x53, 2]));
    assert_eq!((pc.packet(&unlock, 2), pc.packet(&eject, 2)), (Ok(vec![]), Ok(vec![])));
    for packet in [&read10(0, 1)[..], &[0; 6], &[0x25], &[0x43, 0, 0, 0, 0, 0, 0, 0, 9], &[0x51, 0, 0, 0, 0, 0, 0, 0, 9], &[0xbe, 4]] {
        assert_eq!(pc.packet(packet, 64), Err([2, 0x3a, 2]), "{packet:x?}");
    }
    assert_eq!((event(&pc), event(&pc)), (vec![3, 1], vec![0, 1]));
    assert_eq!(pc.packet(&[0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 2], 64), Ok(vec![0, 0x10]));
    assert_eq!(pc.packet(&[0x46, 1, 0, 0x10, 0, 0, 0, 0, 8], 64), Ok(vec![0, 0, 0, 4, 0, 0, 0, 0]), "no profile");
    assert_eq!((pc.packet(&load, 2), event(&pc)), (Ok(vec![]), vec![2, 2]));
    assert_eq!((pc.packet(&[0; 6], 2), pc.packet(&[0; 6], 2)), (Err([6, 0x28, 0]), Ok(vec![])));
    // An empty drive.
    let empty = Pc::cd(None);
    assert_eq!((empty.packet(&[0; 6], 2), event(&empty)), (Err([2, 0x3a, 1]), vec![0, 0]));
    assert_eq!((empty.packet(&eject, 2), empty.packet(&[0; 6], 2)), (Ok(vec![]), Err([2, 0x3a, 2])));
    assert_eq!(empty.packet(&[0x1a, 0, 1, 0, 2], 64), Ok(vec![11, 0x71]));
}
