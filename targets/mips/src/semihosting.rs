//! Semihosting: MIPS's Unified Hosting Interface (UHI, MD01069). A program asks by SDBBP with code
//! 1, the operation in t9, arguments in a0 to a3; the result comes in v0, the error number in v1.
//! Streams 0 to 2 are the standard ones, the others are files that were opened.
//!
//! Left out: the range of RAM (operation 12), which gives ENOSYS. An exception that the program
//! could not handle (15) and a failed start (23) end the run with status 1.

use crate::exceptions::{Exception, code, privilege};
use crate::{Mips, state};
use proteus_exec::Core;
use proteus_exec::ops::Mem;
use proteus_exec::semihosting::{GuestMemory, Open, Semihosting, Stat, Stream, Whence};

const EIO: u32 = 5;
const EFAULT: u32 = 14;
const EINVAL: u32 = 22;
/// As newlib, which the interface is made for, has it.
const ENOSYS: u32 = 88;

/// The longest name, text or transfer taken at once, in bytes.
const LONGEST: u64 = 1 << 20;

struct Memory<'a>(&'a mut Core<Mips>);

impl GuestMemory for Memory<'_> {
    fn read(&mut self, address: u64, to: &mut [u8]) -> bool {
        to.iter_mut().enumerate().all(|(i, b)| match self.0.load(state::kept(self.0, address.wrapping_add(i as u64)), Mem::plain(0)) {
            Ok(v) => {
                *b = v as u8;
                true
            }
            Err(_) => false,
        })
    }
    fn write(&mut self, address: u64, from: &[u8]) -> bool {
        from.iter().enumerate().all(|(i, &b)| self.0.store(state::kept(self.0, address.wrapping_add(i as u64)), Mem::plain(0), b.into()).is_ok())
    }
}

/// One call: its arguments and the guest's memory.
struct Call<'a> {
    memory: &'a mut dyn GuestMemory,
    host: &'a dyn Semihosting,
    op: u64,
    a: [u64; 4],
    big: bool,
}

impl Call<'_> {
    fn get(&mut self, at: u64, length: u64) -> Result<Vec<u8>, u32> {
        let mut bytes = vec![0; length.min(LONGEST) as usize];
        if self.memory.read(at, &mut bytes) { Ok(bytes) } else { Err(EFAULT) }
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), u32> {
        if self.memory.write(at, bytes) { Ok(()) } else { Err(EFAULT) }
    }

    /// The bytes up to a zero.
    fn string(&mut self, at: u64) -> Result<Vec<u8>, u32> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < LONGEST {
            match self.get(at.wrapping_add(bytes.len() as u64), 1)?[..] {
                [0] => return Ok(bytes),
                ref b => bytes.extend(b),
            }
        }
        Err(EINVAL)
    }

    fn text(&mut self, at: u64) -> Result<String, u32> {
        String::from_utf8(self.string(at)?).map_err(|_| EINVAL)
    }

    fn open(&mut self) -> Result<u64, u32> {
        let (name, flags) = (self.text(self.a[0])?, self.a[1]);
        match name.as_str() {
            "/dev/stdin" => return Ok(0),
            "/dev/stdout" => return Ok(1),
            "/dev/stderr" => return Ok(2),
            _ => {}
        }
        let (append, write) = (flags & 8 != 0, matches!(flags & 3, 1 | 2));
        let how = Open {
            read: matches!(flags & 3, 0 | 2),
            write,
            append,
            create: flags & 0x200 != 0 && write,
            truncate: flags & 0x400 != 0 && write && !append,
            exclusive: flags & 0x800 != 0,
        };
        self.host.open(&name, how).map(|n| n + 2)
    }

    fn read(&mut self, at: Option<u64>) -> Result<u64, u32> {
        let bytes = self.host.read(stream(self.a[0]), self.a[2].min(LONGEST) as usize, at)?;
        self.put(self.a[1], &bytes)?;
        Ok(bytes.len() as u64)
    }

    fn write(&mut self, at: Option<u64>) -> Result<u64, u32> {
        let bytes = self.get(self.a[1], self.a[2])?;
        self.host.write(stream(self.a[0]), &bytes, at).map(|n| n as u64)
    }

    /// The structure of fstat (MD01069, 2.3.8), 104 bytes.
    fn stat(&mut self, s: Stat) -> Result<(), u32> {
        let mut out = Vec::with_capacity(104);
        let mut field = |v: u64, bytes: usize| {
            let (le, be) = (v.to_le_bytes(), v.to_be_bytes());
            out.extend_from_slice(if self.big { &be[8 - bytes..] } else { &le[..bytes] });
        };
        // st_dev, st_ino, st_mode, st_nlink, st_uid, st_gid, st_rdev.
        for (v, bytes) in [(0, 2), (s.inode, 2), (s.mode.into(), 4), (s.links, 2), (0, 2), (0, 2), (0, 2)] {
            field(v, bytes);
        }
        // st_size, three times each with a spare word, st_blksize, st_blocks, two spare words.
        let [atime, mtime, ctime] = s.times.map(|t| t as u64);
        for v in [s.size, atime, 0, mtime, 0, ctime, 0, s.block_size, s.blocks, 0, 0] {
            field(v, 8);
        }
        self.put(self.a[1], &out)
    }

    fn argument(&self) -> Result<String, u32> {
        usize::try_from(self.a[0]).ok().and_then(|n| self.host.arguments().into_iter().nth(n)).ok_or(EINVAL)
    }

    /// Writes a text to the guest's standard error.
    fn log(&mut self, text: &[u8]) -> Result<u64, u32> {
        self.host.write(Stream::Error, text, None).map(|n| n as u64)
    }

    fn perform(&mut self) -> Result<u64, u32> {
        let a = self.a;
        match self.op {
            1 => {
                self.host.exit(a[0] as u32);
                Ok(0)
            }
            2 => self.open(),
            3 => self.host.close(stream(a[0])).map(|()| 0),
            4 => self.read(None),
            5 => self.write(None),
            6 => {
                let whence = match a[2] {
                    0 => Whence::Start,
                    1 => Whence::Current,
                    2 => Whence::End,
                    _ => return Err(EINVAL),
                };
                self.host.seek(stream(a[0]), a[1] as i64, whence)
            }
            7 => {
                let name = self.text(a[0])?;
                self.host.unlink(&name).map(|()| 0)
            }
            8 => {
                let s = self.host.stat(stream(a[0]))?;
                self.stat(s).map(|()| 0)
            }
            9 => Ok(self.host.arguments().len() as u64),
            10 => self.argument().map(|s| s.len() as u64),
            11 => {
                let mut text = self.argument()?.into_bytes();
                text.push(0);
                self.put(a[1], &text).map(|()| 0)
            }
            13 => {
                // One %d stands for the second argument.
                let text = String::from_utf8_lossy(&self.string(a[0])?).replacen("%d", &(a[1] as i32).to_string(), 1);
                self.log(text.as_bytes())
            }
            14 => {
                let (what, file) = (self.text(a[0])?, self.text(a[1])?);
                let text = format!("assertion '{what}': file '{file}', line {}\n", a[2] as i32);
                self.log(text.as_bytes())?;
                self.host.exit(1);
                Ok(0)
            }
            15 | 23 => {
                let what = if self.op == 15 { "an exception that the program did not handle" } else { "the program could not be started" };
                self.log(format!("{what}\n").as_bytes())?;
                self.host.exit(1);
                Ok(0)
            }
            19 => self.read(Some(a[3])),
            20 => self.write(Some(a[3])),
            22 => {
                let (name, new) = (self.text(a[0])?, self.text(a[1])?);
                self.host.link(&name, &new).map(|()| 0)
            }
            op => {
                tracing::debug!(target: "unimp", op, "UHI operation");
                Err(ENOSYS)
            }
        }
    }
}

/// What a file descriptor of the guest means.
fn stream(descriptor: u64) -> Stream {
    match descriptor {
        0 => Stream::Input,
        1 => Stream::Output,
        2 => Stream::Error,
        n => Stream::File(n.wrapping_sub(2)),
    }
}

/// SDBBP: there is no EJTAG (Config1.EP is clear), so it is reserved but for semihosting, which is
/// for kernel mode.
pub fn sdbbp(core: &mut Core<Mips>, number: u32) -> Result<u64, Exception> {
    let Some(host) = core.semihosting.clone().filter(|_| number == 1 && privilege(core) == 0) else {
        return Err(Exception::Plain(code::RI));
    };
    core.sync_time();
    let wide = |core: &Core<Mips>, n| state::sign_extended(core, core.word(state::r(n)));
    let (op, a) = (wide(core, 25), [4, 5, 6, 7].map(|n| wide(core, n)));
    // Sizes, places and descriptors are not negative; an offset is.
    let big = core.target.big;
    let result = Call { memory: &mut Memory(core), host: &*host, op, a, big }.perform();
    let (value, error) = match result {
        Ok(v) => (v, 0),
        Err(e) => (u64::MAX, if e == 0 { EIO } else { e }),
    };
    *core.word_mut(state::r(2)) = state::kept(core, value);
    *core.word_mut(state::r(3)) = error.into();
    core.attention = true;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{core, set, user};
    use std::sync::{Arc, Mutex};

    /// A host of one file that says what it was asked.
    #[derive(Default)]
    struct Host(Mutex<Vec<String>>);

    impl Host {
        fn say(&self, what: String) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Semihosting for Host {
        fn call(&self, _: &mut dyn GuestMemory, _: u8, _: u32, _: u64) -> u64 {
            unreachable!("the interface is another one")
        }
        fn exit(&self, status: u32) {
            self.say(format!("exit {status}"));
        }
        fn open(&self, name: &str, how: Open) -> Result<u64, u32> {
            self.say(format!("open {name} {how:?}"));
            if name == "none" { Err(2) } else { Ok(1) }
        }
        fn close(&self, stream: Stream) -> Result<(), u32> {
            self.say(format!("close {stream:?}"));
            Ok(())
        }
        fn read(&self, stream: Stream, most: usize, at: Option<u64>) -> Result<Vec<u8>, u32> {
            self.say(format!("read {stream:?} {most} {at:?}"));
            Ok(b"text"[..most.min(4)].to_vec())
        }
        fn write(&self, stream: Stream, bytes: &[u8], at: Option<u64>) -> Result<usize, u32> {
            self.say(format!("write {stream:?} {:?} {at:?}", String::from_utf8_lossy(bytes)));
            Ok(bytes.len())
        }
        fn seek(&self, stream: Stream, offset: i64, whence: Whence) -> Result<u64, u32> {
            self.say(format!("seek {stream:?} {offset} {whence:?}"));
            Ok(9)
        }
        fn stat(&self, _: Stream) -> Result<Stat, u32> {
            Ok(Stat { mode: 0o100_644, inode: 0x12345, links: 1, size: 77, times: [1, 2, 3], block_size: 4096, blocks: 8 })
        }
        fn unlink(&self, name: &str) -> Result<(), u32> {
            self.say(format!("unlink {name}"));
            Err(13)
        }
        fn link(&self, name: &str, new: &str) -> Result<(), u32> {
            self.say(format!("link {name} {new}"));
            Ok(())
        }
        fn arguments(&self) -> Vec<String> {
            vec!["program".into(), "one".into()]
        }
    }

    /// Where texts are, by the model's addresses.
    const TEXTS: [(u32, &str); 3] = [(0x8000_1000, "name"), (0x8000_1100, "none"), (0x8000_1200, "is %d, %d")];

    #[test]
    fn operations_reach_the_host_and_give_result_and_error() {
        let at = 0x8000_2000;
        let [name, none, format] = TEXTS.map(|t| t.0);
        let minus = u32::MAX;
        let file = "{ read: false, write: true, append: false, create: true, truncate: true, exclusive: false }";
        // Operation, arguments, result, error, what the host hears.
        type Row<'a> = (u32, [u32; 4], u32, u32, String);
        let rows: &[Row] = &[
            (2, [name, 0x601, 0o644, 0], 3, 0, format!("open name Open {file}")),
            (
                2,
                [none, 0, 0, 0],
                minus,
                2,
                String::from("open none Open { read: true, write: false, append: false, create: false, truncate: false, exclusive: false }"),
            ),
            (2, [0x7000_0000, 0, 0, 0], minus, EFAULT, String::new()),
            (3, [3, 0, 0, 0], 0, 0, "close File(1)".into()),
            (4, [0, at, 100, 0], 4, 0, "read Input 100 None".into()),
            (4, [3, 0x7000_0000, 2, 0], minus, EFAULT, "read File(1) 2 None".into()),
            (5, [1, name, 4, 0], 4, 0, "write Output \"name\" None".into()),
            (6, [3, minus, 2, 0], 9, 0, "seek File(1) -1 End".into()),
            (6, [3, 0, 3, 0], minus, EINVAL, String::new()),
            (7, [name, 0, 0, 0], minus, 13, "unlink name".into()),
            (9, [0; 4], 2, 0, String::new()),
            (10, [1, 0, 0, 0], 3, 0, String::new()),
            (10, [2, 0, 0, 0], minus, EINVAL, String::new()),
            (13, [format, minus, 0, 0], 9, 0, "write Error \"is -1, %d\" None".into()),
            (14, [name, none, 7, 0], 0, 0, "write Error \"assertion 'name': file 'none', line 7\\n\" None exit 1".into()),
            (12, [0; 4], minus, ENOSYS, String::new()),
            (19, [4, at, 3, 5], 3, 0, "read File(2) 3 Some(5)".into()),
            (20, [4, name, 2, 6], 2, 0, "write File(2) \"na\" Some(6)".into()),
            (22, [name, none, 0, 0], 0, 0, "link name none".into()),
            (1, [42, 0, 0, 0], 0, 0, "exit 42".into()),
        ];
        for model in ["24Kc", "5Kc"] {
            let mut c = core(model);
            let form = |c: &Core<Mips>, v: u32| state::kept(c, v as i32 as i64 as u64);
            for (address, text) in TEXTS {
                for (n, b) in text.bytes().enumerate() {
                    let to = form(&c, address + n as u32);
                    c.store(to, Mem::plain(0), b.into()).unwrap();
                }
            }
            assert_eq!(sdbbp(&mut c, 1), Err(Exception::Plain(code::RI)), "where nobody answers");
            let host = Arc::new(Host::default());
            c.semihosting = Some(host.clone());
            for (op, a, result, error, heard) in rows {
                *c.word_mut(state::r(25)) = (*op).into();
                for (n, &v) in a.iter().enumerate() {
                    *c.word_mut(state::r(4 + n as u32)) = form(&c, v);
                }
                assert_eq!(sdbbp(&mut c, 1), Ok(0));
                assert_eq!(c.word(state::r(2)), form(&c, *result), "{model} {op}");
                assert_eq!(c.word(state::r(3)), u64::from(*error), "{model} {op}");
                assert_eq!(std::mem::take(&mut *host.0.lock().unwrap()).join(" "), *heard, "{model} {op}");
            }
            assert_eq!(sdbbp(&mut c, 2), Err(Exception::Plain(code::RI)));
            set(&mut c, user(0));
            assert_eq!(sdbbp(&mut c, 1), Err(Exception::Plain(code::RI)));
        }
    }

    #[test]
    fn what_is_known_of_a_file_is_in_the_guests_order() {
        for big in [false, true] {
            let mut c = core("24Kc");
            c.target.big = big;
            c.semihosting = Some(Arc::new(Host::default()));
            for (r, v) in [(25, 8), (4, 3), (5, 0x8000_3000)] {
                *c.word_mut(state::r(r)) = v;
            }
            sdbbp(&mut c, 1).unwrap();
            for (offset, size, v) in [(2, 1, 0x2345), (4, 2, 0o100_644), (8, 1, 1), (16, 3, 77), (24, 3, 1), (40, 3, 2), (56, 3, 3), (72, 3, 4096), (80, 3, 8)]
            {
                assert_eq!(c.load(0x8000_3000 + offset, Mem { big, ..Mem::plain(size) }), Ok(v), "{offset}");
            }
        }
    }
}
