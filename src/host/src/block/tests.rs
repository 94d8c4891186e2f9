//! Images on the host's files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn image(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("image");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn drive(path: &Path, keys: &str) -> Result<Arc<dyn BlockBackend>, BlockError> {
    let spec = DriveSpec::parse(&format!("file={},{keys}", path.display()))?;
    open(&spec.image.unwrap())
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i % 253) as u8 + 1).collect()
}

fn read(node: &dyn BlockBackend, offset: u64, n: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; n];
    node.read_at(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_odd_length_is_rounded_up_with_zeroes() {
    let files = Files::new();
    let path = files.image(&pattern(1000));
    let node = drive(&path, "format=raw").unwrap();
    assert_eq!(node.len(), 1024);
    let mut expect = pattern(1000);
    expect.resize(1024, 0);
    assert_eq!(read(&*node, 0, 1024), expect);
    node.write_at(1010, b"tail").unwrap();
    assert_eq!(read(&*node, 1008, 8), b"\0\0tail\0\0");
    node.flush().unwrap();
    for (offset, n) in [(1024, 1), (1020, 5), (u64::MAX, 2), (u64::MAX - 1, 1)] {
        assert!(node.read_at(offset, &mut vec![0; n]).is_err());
        assert!(node.write_at(offset, &vec![0; n]).is_err());
        assert!(node.discard(offset, n as u64).is_err());
        assert!(node.write_zeroes(offset, n as u64, true).is_err());
    }
}

#[test]
fn a_truncated_file_reads_as_zeroes() {
    let files = Files::new();
    let path = files.image(&pattern(4096));
    let node = drive(&path, "format=raw").unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(600).unwrap();
    let mut expect = pattern(600);
    expect.resize(4096, 0);
    assert_eq!(read(&*node, 0, 4096), expect);
}

#[test]
fn read_only_refuses_writes() {
    let files = Files::new();
    let path = files.image(&pattern(1024));
    for keys in ["format=raw,readonly=on", "format=raw,read-only=on", "format=raw,media=cdrom"] {
        let node = drive(&path, keys).unwrap();
        assert!(node.read_only());
        assert!(node.write_at(0, &[1]).is_err());
        assert!(node.write_zeroes(0, 1, false).is_err());
        assert!(node.discard(0, 512).is_err());
        node.flush().unwrap();
    }
    assert_eq!(std::fs::read(&path).unwrap(), pattern(1024));
}

#[test]
fn every_cache_mode_carries_the_bytes() {
    let files = Files::new();
    for mode in ["writeback", "writethrough", "none", "directsync", "unsafe"] {
        let path = files.image(&pattern(64 << 10));
        let node = match drive(&path, &format!("format=raw,cache={mode}")) {
            Err(BlockError::Spec(m)) if m.contains("no direct access") => continue,
            other => other.unwrap(),
        };
        assert_eq!(node.write_cache(), !matches!(mode, "writethrough" | "directsync"));
        let mut model = pattern(64 << 10);
        for (offset, n) in [(0, 512), (511, 2), (4095, 4098), (700, 1), (8192, 4096), (65_535, 1), (1, 65_535)] {
            let bytes: Vec<u8> = (0..n).map(|i| (i * 7 + offset) as u8).collect();
            node.write_at(offset as u64, &bytes).unwrap();
            model[offset..offset + n].copy_from_slice(&bytes);
            assert!(read(&*node, 0, 64 << 10) == model, "{mode} {offset} {n}");
            assert_eq!(read(&*node, offset as u64, n), bytes);
        }
        node.flush().unwrap();
        assert!(std::fs::read(&path).unwrap() == model);
    }
}

#[test]
fn a_second_writer_is_refused() {
    let files = Files::new();
    let path = files.image(&[0; 1024]);
    let writer = drive(&path, "format=raw").unwrap();
    for keys in ["format=raw", "format=raw,readonly=on", "format=raw,snapshot=on"] {
        let error = drive(&path, keys).unwrap_err().to_string();
        assert!(error.contains("is in use"), "{error}");
    }
    assert!(drive(&path, "format=raw,file.locking=off").is_ok());
    drop(writer);
    let readers = [drive(&path, "format=raw,readonly=on"), drive(&path, "format=raw,snapshot=on")];
    assert!(readers.iter().all(Result::is_ok), "readers share");
    assert!(matches!(drive(&path, "format=raw"), Err(BlockError::Locked { shared: true, .. })));
    drop(readers);
    drive(&path, "format=raw").unwrap();
}

#[test]
fn formats_are_told_apart_and_guarded() {
    let files = Files::new();
    let mut qcow2 = vec![0; 1024];
    qcow2[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    let path = files.image(&qcow2);
    let error = drive(&path, "if=none").unwrap_err().to_string();
    assert!(error.contains("qcow2") && error.contains("qemu-img convert"), "{error}");
    assert_eq!(read(&*drive(&path, "format=raw").unwrap(), 0, 4), b"QFI\xfb");
    let path = files.image(&[0; 1024]);
    let guessed = drive(&path, "if=none").unwrap();
    guessed.write_at(0, b"boot").unwrap();
    guessed.write_at(3, &[0xfb]).unwrap();
    let error = guessed.write_at(0, b"QFI").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    guessed.write_at(512, b"QFI\xfb").unwrap();
    drop(guessed);
    drive(&path, "format=raw").unwrap().write_at(0, b"QFI\xfb").unwrap();
}

#[test]
fn discard_frees_only_when_asked() {
    use std::os::unix::fs::MetadataExt;
    let files = Files::new();
    let blocks = |path: &Path| std::fs::metadata(path).unwrap().blocks();
    for (keys, frees) in [("discard=unmap", true), ("discard=ignore", false), ("if=none", false)] {
        let path = files.image(&pattern(1 << 20));
        let node = drive(&path, &format!("format=raw,{keys}")).unwrap();
        node.flush().unwrap();
        let before = blocks(&path);
        node.discard(0, 1 << 19).unwrap();
        node.flush().unwrap();
        assert_eq!(blocks(&path) < before, frees, "{keys}");
        assert_eq!(read(&*node, 1 << 19, 100), pattern(1 << 20)[1 << 19..][..100]);
        node.write_zeroes(100, 1 << 20 >> 1, true).unwrap();
        assert_eq!(read(&*node, 100, 1 << 19), vec![0; 1 << 19]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 20);
    }
    let path = files.image(&pattern(1 << 20));
    let node = drive(&path, "format=raw,discard=unmap,detect-zeroes=unmap").unwrap();
    node.flush().unwrap();
    let before = blocks(&path);
    node.write_at(0, &vec![0; 1 << 19]).unwrap();
    node.flush().unwrap();
    assert!(blocks(&path) < before);
    assert_eq!(read(&*node, 0, 1 << 19), vec![0; 1 << 19]);
}

#[test]
fn nodes_by_name() {
    let files = Files::new();
    let path = files.image(&pattern(8192));
    let graph = BlockGraph::default();
    let add = |text: &str| graph.add(&BlockSpec::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")));
    add(&format!("driver=file,node-name=f,filename={}", path.display())).unwrap();
    let part = add(r#"{"driver":"raw","node-name":"r","file":"f","offset":512,"size":1024}"#).unwrap();
    assert_eq!(part.len(), 1024);
    part.write_at(0, b"here").unwrap();
    assert!(part.write_at(1021, b"here").is_err(), "the part ends there");
    assert_eq!(read(&*graph.get("f").unwrap(), 512, 4), b"here");
    let zero = add("driver=null-co,node-name=z,size=1M").unwrap();
    zero.write_at(0, b"gone").unwrap();
    assert_eq!(read(&*zero, 0, 4), [0; 4]);
    let ro = add("driver=raw,node-name=ro,file=f,read-only=on").unwrap();
    assert!(ro.write_at(0, b"x").is_err());
    assert_eq!(graph.names(), ["f", "r", "ro", "z"]);
    for (text, want) in [
        ("driver=null-co,node-name=z", "'z' exists already"),
        ("driver=raw,node-name=a,file=nobody", "called 'nobody'"),
        ("driver=raw,node-name=a,file=f,offset=1M", "beyond the 8192 bytes"),
        ("driver=raw,node-name=a,file=f,size=100", "not a multiple of 512"),
        ("driver=raw,node-name=a,file=ro", "its file is read-only"),
        ("driver=file,node-name=a,filename=/nonexistent", "cannot open the image '/nonexistent'"),
        ("driver=file,node-name=a,filename=/dev/null", "neither a file nor a block device"),
        ("driver=file,node-name=a,filename=/", "cannot open the image"),
    ] {
        let error = add(text).expect_err(text).to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
    assert!(graph.get("a").is_err());
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64, Vec<u8>),
    Zero(u64, u64),
    Read(u64, usize),
}

const SPACE: u64 = 40_960 - 512;

fn step() -> impl Strategy<Value = Step> {
    let at = 0..SPACE;
    prop_oneof![
        (at.clone(), prop::collection::vec(any::<u8>(), 0..9000)).prop_map(|(a, b)| Step::Write(a, b)),
        (at.clone(), 0u64..20_000).prop_map(|(a, n)| Step::Zero(a, n)),
        (at, 0usize..20_000).prop_map(|(a, n)| Step::Read(a, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_snapshot_reads_as_written_and_leaves_the_image(steps in prop::collection::vec(step(), 1..20)) {
        let files = Files::new();
        let original = pattern(SPACE as usize);
        let path = files.image(&original);
        let node = drive(&path, "format=raw,snapshot=on").unwrap();
        prop_assert!(!node.read_only());
        let mut model = original.clone();
        for step in steps {
            match step {
                Step::Write(at, bytes) => {
                    let fits = at + bytes.len() as u64 <= SPACE;
                    prop_assert_eq!(node.write_at(at, &bytes).is_ok(), fits);
                    if fits {
                        model[at as usize..at as usize + bytes.len()].copy_from_slice(&bytes);
                    }
                }
                Step::Zero(at, n) => {
                    let n = n.min(SPACE - at);
                    node.write_zeroes(at, n, false).unwrap();
                    model[at as usize..(at + n) as usize].fill(0);
                }
                Step::Read(at, n) => {
                    let n = n.min((SPACE - at) as usize);
                    prop_assert!(read(&*node, at, n) == model[at as usize..at as usize + n]);
                }
            }
        }
        prop_assert!(read(&*node, 0, SPACE as usize) == model);
        drop(node);
        prop_assert!(std::fs::read(&path).unwrap() == original);
    }
}

#[test]
fn threads_share_a_snapshot() {
    let files = Files::new();
    let path = files.image(&vec![0; 1 << 20]);
    let node = drive(&path, "format=raw,snapshot=on").unwrap();
    // Neighbours in one cluster: a lost update would show.
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let node = &node;
            scope.spawn(move || {
                for i in 0..512u64 {
                    node.write_at((i * 4 + thread) * 512, &[thread as u8 + 1; 512]).unwrap();
                }
            });
        }
    });
    let all = read(&*node, 0, 1 << 20);
    let mut counts: HashMap<u8, usize> = HashMap::new();
    all.iter().for_each(|b| *counts.entry(*b).or_default() += 1);
    assert_eq!(counts, HashMap::from([(1, 1 << 18), (2, 1 << 18), (3, 1 << 18), (4, 1 << 18)]));
}
