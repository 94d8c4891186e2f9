//! GDB on a core that KVM executes, by packets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use proteus_guests::console::Console;

use crate::rig::*;

/// A client of GDB's protocol.
struct Gdb {
    stream: UnixStream,
    rest: Vec<u8>,
}

impl Gdb {
    fn connect(path: &std::path::Path) -> Gdb {
        let stream = UnixStream::connect(path).expect("it accepts");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut gdb = Gdb { stream, rest: Vec::new() };
        assert_eq!(gdb.ask("QStartNoAckMode"), "OK");
        gdb.stream.write_all(b"+").expect("it reads");
        gdb.ask("qSupported:swbreak+;hwbreak+");
        gdb
    }

    fn send(&mut self, body: &str) {
        let sum = body.bytes().fold(0u8, |s, b| s.wrapping_add(b));
        self.stream.write_all(format!("${body}#{sum:02x}").as_bytes()).expect("it reads");
    }

    fn receive(&mut self) -> String {
        loop {
            if let Some(start) = self.rest.iter().position(|b| *b == b'$')
                && let Some(length) = self.rest[start..].iter().position(|b| *b == b'#')
                && self.rest.len() >= start + length + 3
            {
                let body = self.rest[start + 1..start + length].to_vec();
                self.rest.drain(..start + length + 3);
                return String::from_utf8_lossy(&body).into_owned();
            }
            let mut more = [0; 4096];
            let n = self.stream.read(&mut more).expect("an answer");
            assert!(n > 0, "it hung up");
            self.rest.extend_from_slice(&more[..n]);
        }
    }

    fn ask(&mut self, body: &str) -> String {
        self.send(body);
        self.receive()
    }

    /// A register of 64 bits by its number.
    fn register(&mut self, number: u32) -> u64 {
        let hex = self.ask(&format!("p{number:x}"));
        let digits = expand(&hex);
        u64::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("{hex}")).swap_bytes()
    }
}

/// Writes out what `X*n` shortens.
fn expand(body: &str) -> String {
    let mut out = String::new();
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match (c, out.chars().last()) {
            ('*', Some(last)) => out.extend(std::iter::repeat_n(last, chars.next().map_or(0, |n| n as usize - 29))),
            _ => out.push(c),
        }
    }
    out
}

/// Digits of text, and text of digits.
fn hex(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect()
}
fn text(hex: &str) -> String {
    let hex = expand(hex);
    let bytes = hex.as_bytes().chunks(2).filter_map(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// The socket's name in the test's directory.
const SOCKET: &str = "gdb";
/// GDB's number of RIP.
const RIP: u32 = 16;

fn debugged(words: &[&str]) -> (Console, Gdb, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join(SOCKET);
    let gdb = format!("unix:{},server=on,wait=off", socket.display());
    let console = start(&[words, &["-gdb", &gdb]].concat());
    let client = Gdb::connect(&socket);
    (console, client, dir)
}

#[test]
fn registers_and_memory() {
    if !has("registers", &[]) {
        return;
    }
    let (mut console, mut gdb, _dir) = debugged(&["-smp", "2"]);
    assert!(gdb.ask("?").starts_with('T'));
    let xml = gdb.ask("qXfer:features:read:target.xml:0,ffff");
    assert!(xml.contains("i386:x86-64"), "{xml}");
    let core = gdb.ask("qXfer:features:read:feature0.xml:0,ffff");
    assert!(core.contains("org.gnu.gdb.i386.core") && core.contains("\"rip\""), "{core}");
    let pc = gdb.register(RIP);
    assert!((0xf_0000..0x10_0000).contains(&pc), "{pc:#x}");
    // A register and a word of memory come back as they were written.
    assert_eq!(gdb.ask(&format!("P1={:016x}", 0x1122_3344_5566_7788u64.swap_bytes())), "OK");
    assert_eq!(gdb.register(1), 0x1122_3344_5566_7788);
    assert_eq!(gdb.ask("M700000,4:78563412"), "OK");
    assert_eq!(gdb.ask("m700000,4"), "78563412");
    gdb.send("vCont;c");
    drop(gdb);
    send(&mut console, "exit 4");
    let _ = console.wait_exit(LIMIT);
}

/// What needs nothing of the processor's own means for debugging.
#[test]
fn packets() {
    if !has("packets", &[]) {
        return;
    }
    let (mut console, mut gdb, dir) = debugged(&["-smp", "2"]);
    let says = |gdb: &mut Gdb, packet: &str, wanted: &str| {
        let answer = expand(&gdb.ask(packet));
        assert!(answer.contains(wanted), "{packet}: {answer}");
        answer
    };
    // Both cores, though the second waits for its start-up interrupt.
    let stop = says(&mut gdb, "?", "T");
    assert!(stop.contains("thread:01"), "{stop}");
    let threads = says(&mut gdb, "qXfer:threads:read::0,fff", "core=\"1\"");
    assert_eq!(threads.matches("<thread ").count(), 2, "{threads}");
    says(&mut gdb, "qXfer:memory-map:read::0,fff", "type=\"ram\"");
    says(&mut gdb, "qHostInfo", &hex("x86_64-unknown-unknown"));
    says(&mut gdb, "vCont?", "c;C;s;S;r");
    // All registers at once.
    let all = gdb.ask("g");
    assert_eq!(gdb.ask(&format!("G{}", expand(&all))), "OK");
    assert_eq!(gdb.ask("g"), all);
    // Memory in binary, memory that is not there, and memory by physical address.
    assert_eq!(gdb.ask("X700000,4:wxyz"), "OK");
    assert_eq!(gdb.ask("m700000,4"), hex("wxyz"));
    assert!(gdb.ask("m7fffffff0000,4").starts_with('E'));
    for (packet, answer) in
        [("Qqemu.PhyMemMode:1", "OK"), ("qqemu.PhyMemMode", "1"), ("m700000,4", &hex("wxyz")), ("Qqemu.PhyMemMode:0", "OK"), ("qqemu.sstep", "0x7")]
    {
        assert_eq!(gdb.ask(packet), answer, "{packet}");
    }
    // The monitor's output is in a packet before the last.
    gdb.send(&format!("qRcmd,{}", hex("info status")));
    let output = gdb.receive();
    assert!(output.starts_with('O') && text(&output[1..]).contains("VM status: paused"), "{output}");
    assert_eq!(gdb.receive(), "OK");
    // Interrupted in a spin of the guest's prompt, and in HLT.
    let mut interrupt = |gdb: &mut Gdb, line: Option<(&str, &str)>| {
        gdb.send("vCont;c");
        if let Some((line, said)) = line {
            send(&mut console, line);
            expect(&mut console, said);
        }
        gdb.stream.write_all(b"\x03").expect("it reads");
        assert!(gdb.receive().starts_with("T02"));
    };
    interrupt(&mut gdb, None);
    interrupt(&mut gdb, Some(("halt 1", "halting")));
    // Left alone it runs; who comes again finds it, and ends it.
    assert_eq!(gdb.ask("D"), "OK");
    drop(gdb);
    let mut gdb = Gdb::connect(&dir.path().join(SOCKET));
    assert!(gdb.ask("?").starts_with('T'));
    assert_eq!(gdb.ask("vKill;1"), "OK");
    let end = console.wait_exit(LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(end.code(), Some(0), "{}", console.transcript());
}

#[test]
fn single_steps() {
    if !has("single steps", &["single steps"]) {
        return;
    }
    let (console, mut gdb, _dir) = debugged(&[]);
    gdb.ask("?");
    let mut places = Vec::new();
    for _ in 0..50 {
        let stop = gdb.ask("vCont;s:p1.1");
        assert!(stop.starts_with("T05"), "{stop}");
        places.push(gdb.register(RIP));
    }
    places.dedup();
    assert!(places.len() > 3, "{places:x?}");
    gdb.ask("D");
    ends(console, 5);
}

#[test]
fn breakpoints() {
    if !has("breakpoints", &[]) {
        return;
    }
    let (console, mut gdb, _dir) = debugged(&[]);
    gdb.ask("?");
    // The guest polls the serial line: it comes where it was again.
    let here = gdb.register(RIP);
    if lacks("hardware breakpoints") && lacks("INT3 in ring 0") {
        // It is said, and not forgotten.
        assert_ne!(gdb.ask(&format!("Z1,{here:x},1")), "OK");
        gdb.ask("D");
        return ends(console, 6);
    }
    for kind in ["Z1", "Z0"] {
        assert_eq!(gdb.ask(&format!("{kind},{here:x},1")), "OK");
        for _ in 0..3 {
            let stop = gdb.ask("vCont;c");
            assert!(stop.starts_with("T05"), "{stop}");
            assert_eq!(gdb.register(RIP), here);
        }
        assert_eq!(gdb.ask(&format!("{},{here:x},1", kind.replace('Z', "z"))), "OK");
    }
    gdb.ask("D");
    ends(console, 6);
}

/// More breakpoints than there are debug registers are instructions in memory, which nobody sees.
/// A host that does not give those to debuggers has the fifth refused.
#[test]
fn breakpoints_beyond_the_registers() {
    if !has("breakpoints beyond the registers", &["single steps"]) || lacks("hardware breakpoints") && lacks("INT3 in ring 0") {
        return;
    }
    let (console, mut gdb, _dir) = debugged(&[]);
    gdb.ask("?");
    // A loop of NOPs, and a jump back; the guest's own place is put back at the end.
    let (here, code) = (gdb.register(RIP), 0x70_0000);
    assert_eq!(gdb.ask(&format!("M{code:x},a:9090909090909090ebf6")), "OK");
    let go_to = |gdb: &mut Gdb, at: u64| assert_eq!(gdb.ask(&format!("P{RIP:x}={:016x}", at.swap_bytes())), "OK");
    go_to(&mut gdb, code);
    let places: std::collections::BTreeSet<u64> = (code + 2..code + 8).collect();
    let memory: Vec<String> = places.iter().map(|at| gdb.ask(&format!("m{at:x},10"))).collect();
    let set = |gdb: &mut Gdb, packet: &str| places.iter().map(|at| gdb.ask(&format!("{packet},{at:x},1"))).collect::<Vec<_>>();
    let answers = set(&mut gdb, "Z0");
    assert_eq!(answers[..4], ["OK"; 4]);
    if lacks("INT3 in ring 0") {
        assert!(answers[4..].iter().all(|a| a != "OK"), "{answers:?}");
        // Each that goes makes room for another.
        let last = places.last().expect("six");
        assert_eq!(gdb.ask(&format!("z0,{:x},1", places.first().expect("six"))), "OK");
        assert_eq!(gdb.ask(&format!("Z0,{last:x},1")), "OK");
    } else {
        assert_eq!(answers[4..], ["OK"; 2]);
        let mut met = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let stop = gdb.ask("vCont;c");
            assert!(stop.starts_with("T05"), "{stop}");
            let at = gdb.register(RIP);
            assert!(places.contains(&at), "{at:x}");
            met.insert(at);
            if met.len() == 6 {
                break;
            }
            // As debuggers do, on from where it stands without breakpoints.
            assert_eq!(set(&mut gdb, "z0"), ["OK"; 6]);
            gdb.ask("vCont;s:p1.1");
            assert_eq!(set(&mut gdb, "Z0"), ["OK"; 6]);
        }
        assert_eq!(met, places);
    }
    let after: Vec<String> = places.iter().map(|at| gdb.ask(&format!("m{at:x},10"))).collect();
    assert_eq!(after, memory);
    set(&mut gdb, "z0");
    go_to(&mut gdb, here);
    gdb.ask("D");
    ends(console, 6);
}

#[test]
fn watchpoints() {
    if !has("watchpoints", &[]) {
        return;
    }
    let (mut console, mut gdb, _dir) = debugged(&[]);
    gdb.ask("?");
    if lacks("watchpoints") {
        // It is said, and not forgotten.
        assert_ne!(gdb.ask("Z2,700000,8"), "OK");
        gdb.ask("D");
        return ends(console, 7);
    }
    // Five times eight bytes need more registers than there are.
    assert_ne!(gdb.ask("Z2,700000,28"), "OK");
    assert_eq!(gdb.ask("Z2,700000,8"), "OK");
    gdb.send("vCont;c");
    send(&mut console, "write 1");
    let stop = gdb.receive();
    assert!(stop.contains("watch:700000"), "{stop}");
    assert_eq!(gdb.ask("z2,700000,8"), "OK");
    gdb.ask("D");
    expect(&mut console, PROMPT);
    ends(console, 7);
}
