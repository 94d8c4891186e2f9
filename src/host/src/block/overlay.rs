//! `snapshot=on`: writes go to a temporary file that nobody else can see and that ends with us.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use parking_lot::RwLock;
use rustix::fs::{FallocateFlags, fallocate};

use super::raw::write_zeroes_in_pieces;
use super::{BlockBackend, BlockError, Node, check};

/// What is copied as a whole from the image to the overlay.
const CLUSTER: u64 = 4096;

/// Clusters a part of the map stands for; parts come into being with the first write to them.
const PART: u64 = 4096;

/// Which clusters are in the overlay.
#[derive(Default)]
struct Map(HashMap<u64, Box<[u64; (PART / 64) as usize]>>);

impl Map {
    fn has(&self, cluster: u64) -> bool {
        let bit = cluster % PART;
        self.0.get(&(cluster / PART)).is_some_and(|part| part[(bit / 64) as usize] >> (bit % 64) & 1 != 0)
    }

    fn set(&mut self, cluster: u64) {
        let bit = cluster % PART;
        let part = self.0.entry(cluster / PART).or_insert_with(|| Box::new([0; (PART / 64) as usize]));
        part[(bit / 64) as usize] |= 1 << (bit % 64);
    }
}

/// An image under a layer of writes.
pub(super) struct Overlay {
    base: Node,
    file: File,
    /// Writers hold it throughout, so that nobody sees a cluster that is copied in part.
    map: RwLock<Map>,
}

impl Overlay {
    pub(super) fn new(base: Node) -> Result<Self, BlockError> {
        // Large temporary files belong where they survive nothing but need not fit into memory.
        let dir = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        let file = tempfile::tempfile_in(&dir).map_err(|error| BlockError::Host { what: "make a temporary file for snapshot=on in", path: dir, error })?;
        Ok(Overlay { base, file, map: RwLock::default() })
    }

    /// The longest part of a range, from its start on, that lies on one side.
    fn run(map: &Map, offset: u64, len: u64) -> (bool, u64) {
        let first = offset / CLUSTER;
        let ours = map.has(first);
        let mut end = (first + 1) * CLUSTER;
        while end < offset + len && map.has(end / CLUSTER) == ours {
            end += CLUSTER;
        }
        (ours, end.min(offset + len) - offset)
    }

    /// Copies the cluster of an offset that is written only in part.
    fn copy_up(&self, map: &mut Map, cluster: u64) -> io::Result<()> {
        if !map.has(cluster) {
            let start = cluster * CLUSTER;
            let mut bytes = [0; CLUSTER as usize];
            let n = (self.base.len() - start).min(CLUSTER) as usize;
            self.base.read_at(start, &mut bytes[..n])?;
            self.file.write_all_at(&bytes[..n], start)?;
            map.set(cluster);
        }
        Ok(())
    }

    /// Makes the clusters of a range ours after `write` has filled it.
    fn change(&self, offset: u64, len: u64, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        check(self.base.len(), offset, len)?;
        if len == 0 {
            return Ok(());
        }
        let end = offset + len;
        let mut map = self.map.write();
        if !offset.is_multiple_of(CLUSTER) {
            self.copy_up(&mut map, offset / CLUSTER)?;
        }
        if !end.is_multiple_of(CLUSTER) && end != self.base.len() {
            self.copy_up(&mut map, end / CLUSTER)?;
        }
        write()?;
        (offset / CLUSTER..end.div_ceil(CLUSTER)).for_each(|cluster| map.set(cluster));
        Ok(())
    }
}

impl BlockBackend for Overlay {
    fn len(&self) -> u64 {
        self.base.len()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        check(self.len(), offset, buffer.len() as u64)?;
        let map = self.map.read();
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (ours, n) = Self::run(&map, at, (buffer.len() - done) as u64);
            let to = &mut buffer[done..done + n as usize];
            if ours {
                self.file.read_exact_at(to, at)?
            } else {
                self.base.read_at(at, to)?
            }
            done += n as usize;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(offset, bytes.len() as u64, || self.file.write_all_at(bytes, offset))
    }

    /// What is to be forgotten need not reach a disk.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        check(self.len(), offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64, _: bool) -> io::Result<()> {
        self.change(offset, len, || match fallocate(&self.file, FallocateFlags::ZERO_RANGE, offset, len) {
            Ok(()) => Ok(()),
            // Whatever the reason, writing says better what is wrong.
            Err(_) => write_zeroes_in_pieces(offset, len, |at, zeroes| self.file.write_all_at(zeroes, at)),
        })
    }
}
