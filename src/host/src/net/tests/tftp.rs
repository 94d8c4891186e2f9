//! Files by TFTP.

use super::guest::{ADDRESS, GATEWAY};
use super::raw::{Bench, ip, udp_segment};
use crate::net::NetUserSpec;
use crate::net::ipv4::{UDP, be16};
use std::path::PathBuf;

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("proteus-tftp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("served")).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bench(directory: &Directory) -> Bench {
    let tftp = Some(directory.0.join("served"));
    Bench::new(NetUserSpec { tftp, ..NetUserSpec::default() })
}

fn ask(bench: &Bench, message: &[u8]) -> Vec<u8> {
    bench.send(&ip(ADDRESS, GATEWAY, UDP, 0, &udp_segment(1234, 69, message)));
    let (src, _, segment) = bench.packet(UDP);
    assert_eq!((src, be16(&segment, 0), be16(&segment, 2)), (GATEWAY, 69, 1234));
    segment[8..].to_vec()
}

fn fetch(bench: &Bench, first: Vec<u8>, block_size: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut answer = first;
    for block in 1u16.. {
        assert_eq!(answer[..2], [0, 3], "{answer:?}");
        assert_eq!(be16(&answer, 2), block);
        file.extend_from_slice(&answer[4..]);
        if answer.len() < 4 + block_size {
            break;
        }
        let [high, low] = block.to_be_bytes();
        answer = ask(bench, &[0, 4, high, low]);
        // As after a loss: the same once more.
        assert_eq!(ask(bench, &[0, 4, high, low]), answer);
    }
    file
}

#[test]
fn files_come_whole_with_and_without_options() {
    let directory = Directory::new("whole");
    let bench = bench(&directory);
    for len in [0, 1, 511, 512, 513, 1428, 2856, 10_000] {
        let data: Vec<u8> = (0..len).map(|n| (n * 31 / 7) as u8).collect();
        std::fs::write(directory.0.join("served/file"), &data).unwrap();
        let first = ask(&bench, b"\0\x01/file\0octet\0");
        assert!(fetch(&bench, first, 512) == data, "{len}");
        let options = ask(&bench, b"\0\x01file\0OCTET\0blksize\x009000\0tsize\x000\0timeout\x005\0");
        assert_eq!(options, format!("\0\x06blksize\x001428\0tsize\0{len}\0").as_bytes());
        let first = ask(&bench, &[0, 4, 0, 0]);
        assert!(fetch(&bench, first, 1428) == data, "{len}");
    }
}

#[test]
fn nothing_outside_the_directory_is_served() {
    let directory = Directory::new("outside");
    let bench = bench(&directory);
    std::fs::write(directory.0.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", directory.0.join("served/link")).unwrap();
    for (request, code) in [
        (&b"\0\x01../secret\0octet\0"[..], 1),
        (b"\0\x01/../secret\0octet\0", 1),
        (b"\0\x01x/../../secret\0octet\0", 1),
        (b"\0\x01link\0octet\0", 1),
        (b"\0\x01.\0octet\0", 1),
        (b"\0\x01missing\0octet\0", 1),
        (b"\0\x01file\0netascii\0", 4),
        (b"\0\x01", 4),
        (b"\0\x02file\0octet\0", 2),
        (b"\0\x09", 4),
    ] {
        let answer = ask(&bench, request);
        assert_eq!(answer[..4], [0, 5, 0, code], "{request:?}");
    }
}
