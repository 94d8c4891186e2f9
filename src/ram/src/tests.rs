//! Tests of [`Region`].
use super::*;
use std::sync::{Arc, Mutex};

#[test]
fn bytes_and_words_agree_at_any_alignment() {
    let r = Region::new("t", 0x3000).unwrap();
    let pattern: Vec<u8> = (0..100).map(|i| i as u8 ^ 0x5a).collect();
    for at in 0xff0..0x1010 {
        r.write(at, &pattern).unwrap();
        let mut back = [0; 100];
        r.read(at, &mut back).unwrap();
        assert_eq!(back[..], pattern[..], "at {at:#x}");
        r.fill(at, 100, 0).unwrap();
    }
    r.store(0x10, 8, 0x0807_0605_0403_0201).unwrap();
    let mut back = [0; 3];
    r.read(0x11, &mut back).unwrap();
    assert_eq!(back, [2, 3, 4]);
    assert_eq!(r.load(0x12, 2).unwrap(), 0x0403);
    assert_eq!(r.load(0x14, 4).unwrap(), 0x0807_0605);
}

#[test]
fn accesses_outside_or_unaligned_are_refused() {
    let r = Region::new("t", 0x1001).unwrap();
    assert!(r.read(0x1000, &mut [0]).is_ok());
    for (at, n) in [(0x1001, 1), (0x1000, 2), (u64::MAX, 2), (u64::MAX - 1, 2)] {
        assert!(r.write(at, &vec![0; n]).is_err(), "{at:#x}+{n}");
        assert!(r.fill(at, n as u64, 0).is_err());
        assert!(r.discard(at, n as u64).is_err());
    }
    assert!(r.load(1, 2).is_err() && r.load(0, 3).is_err() && r.load(0x1000, 8).is_err());
    assert!(Region::new("none", 0).is_err() && Region::new("vast", 256 << 30).is_err());
}

#[test]
fn a_region_of_255_gib_is_committed_lazily() {
    let r = Region::new("t", 255 << 30).unwrap();
    r.store((255 << 30) - 8, 8, 7).unwrap();
    assert_eq!(r.load((255 << 30) - 8, 8).unwrap(), 7);
    assert!(r.is_dirty(r.pages() - 1) && !r.is_dirty(0));
}

#[test]
fn writes_to_code_pages_are_reported_after_the_bytes_are_there() {
    let r = Region::new("t", 0x100_0000).unwrap();
    let seen = Arc::new(Mutex::new(vec![]));
    let (log, weak) = (seen.clone(), Arc::downgrade(&r));
    r.on_code_write(move |page| {
        let r = weak.upgrade().unwrap();
        r.clear_code(page);
        log.lock().unwrap().push((page, r.load(page << 12, 1).unwrap()));
    });
    assert!(r.set_code(3) && !r.set_code(3) && r.set_code(0x80) && r.set_code(0x200));
    r.store(0x2ff8, 8, 1).unwrap();
    r.store(0x4000, 4, 1).unwrap();
    assert_eq!(*seen.lock().unwrap(), []);
    r.fill(0x2000, 0x10_0000, 9).unwrap();
    assert_eq!(*seen.lock().unwrap(), [(3, 9), (0x80, 9)]);
    r.compare_exchange(0x20_0000, 4, 5, 6).unwrap();
    assert!(r.is_code(0x200), "an exchange that failed wrote nothing");
    assert_eq!(r.compare_exchange(0x20_0000, 4, 0, 6).unwrap(), 0);
    assert_eq!(seen.lock().unwrap().last(), Some(&(0x200, 6)));
}

#[test]
fn discard_zeroes_exactly_its_range() {
    let r = Region::new("t", 0x5800).unwrap();
    for (from, len) in [(0x1000, 0x1000), (0xfff, 0x3002), (0x10, 0x20), (0x4800, 0x1000), (0, 0x5800)] {
        r.fill(0, 0x5800, 0xaa).unwrap();
        r.discard(from, len).unwrap();
        let mut all = vec![0; 0x5800];
        r.read(0, &mut all).unwrap();
        for (i, b) in all.iter().enumerate() {
            let inside = (from..from + len).contains(&(i as u64));
            assert_eq!(*b, if inside { 0 } else { 0xaa }, "{i:#x} after discard of {from:#x}+{len:#x}");
        }
    }
    assert!(r.take_dirty(5) && !r.take_dirty(5));
}
