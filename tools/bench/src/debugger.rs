//! What a debugger has to wait for: the cases that attach GDB, or a client of its protocol, to the booted guest.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use proteus_guests::console::{Console, ConsoleError};
use proteus_guests::packets;

use crate::cases::Case;
use crate::machine::Sample;

/// Every case. They are run where they are named, or by the name `gdb` all of them: one takes minutes.
pub const CASES: &[Case] = &[
    Case { name: "gdb-step", summary: "gdb-multiarch: single steps a second", command: None },
    Case { name: "gdb-condition", summary: "gdb-multiarch: a breakpoint is hit 100,000 times with a false condition: hits a second", command: None },
    Case { name: "gdb-read", summary: "gdb-multiarch: 64 MiB of memory are read: MiB a second", command: None },
    Case { name: "rsp-step", summary: "a client of GDB's protocol: single steps a second", command: None },
    Case { name: "rsp-read", summary: "a client of GDB's protocol: 64 MiB of memory are read: MiB a second", command: None },
];

/// Guest physical address of memory that there is.
const MEMORY: u64 = 0x4400_0000;
/// How much of it is read.
const MIB: u64 = 64;
/// Steps through GDB, and through the client.
const STEPS: [u64; 2] = [2_000, 20_000];
/// System calls of the program that the breakpoint stops: it reads a byte and writes it, so many times.
const BYTES: u64 = 50_000;
/// GDB's prompt: nothing else prints it.
const PROMPT: &str = "@ready@";

/// Whether any of the cases needs the debugger's socket.
pub fn wanted(cases: &[&Case]) -> bool {
    cases.iter().any(|case| is_one(case))
}

/// Whether a case is one of these.
pub fn is_one(case: &Case) -> bool {
    CASES.iter().any(|one| one.name == case.name)
}

/// The socket of an emulator's stub.
#[derive(Debug)]
pub struct Socket(PathBuf);

impl Socket {
    /// A name for it, which only this process uses.
    pub fn new() -> Socket {
        Socket(std::env::temp_dir().join(format!("proteus-bench-{}.gdb", std::process::id())))
    }

    /// The words of the command line that ask for it.
    pub fn words(&self) -> [String; 2] {
        ["-gdb".into(), format!("unix:{},server=on,wait=off", self.0.display())]
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The emulator may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

type Result<T> = std::result::Result<T, ConsoleError>;

fn wrong(what: impl std::fmt::Display) -> ConsoleError {
    ConsoleError { what: what.to_string(), transcript: String::new() }
}

/// Runs a case on a guest that stands at its prompt.
pub fn measure(case: &'static Case, guest: &mut Console, socket: &Socket, limit: Duration) -> Result<Sample> {
    let (value, unit, wall) = match case.name {
        "gdb-step" => busy(guest, limit, || {
            let mut gdb = Gdb::attach(socket, limit)?;
            let wall = gdb.timed(&format!("stepi {}", STEPS[0]))?;
            gdb.ask("detach")?;
            Ok((STEPS[0] as f64 / wall, "steps/s", wall))
        }),
        "rsp-step" => busy(guest, limit, || {
            let mut client = Stub::attach(socket, limit)?;
            let start = Instant::now();
            for _ in 0..STEPS[1] {
                client.ask("vCont;s:p1.1")?;
            }
            let wall = start.elapsed().as_secs_f64();
            client.ask("D;1")?;
            Ok((STEPS[1] as f64 / wall, "steps/s", wall))
        }),
        "gdb-condition" => condition(guest, socket, limit),
        "gdb-read" => {
            let mut gdb = Gdb::attach(socket, limit)?;
            gdb.ask("maint packet Qqemu.PhyMemMode:1")?;
            let wall = gdb.timed(&format!("dump binary memory /dev/null {MEMORY:#x} {:#x}", MEMORY + (MIB << 20)))?;
            gdb.ask("maint packet Qqemu.PhyMemMode:0")?;
            gdb.ask("detach")?;
            Ok((MIB as f64 / wall, "MiB/s", wall))
        }
        _ => read(socket, limit),
    }?;
    Ok(Sample { case: case.name, value, unit: unit.into(), wall, memory: guest.peak_memory().unwrap_or(0), check: String::new() })
}

type Figure = (f64, &'static str, f64);

/// Does something while the guest is at work.
fn busy(guest: &mut Console, limit: Duration, what: impl FnOnce() -> Result<Figure>) -> Result<Figure> {
    guest.shell("while :; do :; done & busy=$!", limit)?;
    let figure = what()?;
    guest.shell("kill $busy", limit)?;
    Ok(figure)
}

fn condition(guest: &mut Console, socket: &Socket, limit: Duration) -> Result<Figure> {
    let found = guest.shell("grep ' el0t_64_sync_handler$' /proc/kallsyms", limit)?.output;
    let address = found.split_whitespace().find_map(|word| u64::from_str_radix(word, 16).ok().filter(|n| *n > u64::from(u32::MAX)));
    let address = address.ok_or_else(|| wrong("gdb-condition: the kernel has no el0t_64_sync_handler: it is for arm64"))?;
    let mut gdb = Gdb::attach(socket, limit)?;
    gdb.ask(&format!("break *{address:#x} if $x0 == 1"))?;
    gdb.console.send("continue\n")?;
    gdb.console.expect("Continuing.", limit)?;
    let start = Instant::now();
    guest.shell(&format!("dd if=/dev/zero of=/dev/null bs=1 count={BYTES} 2>/dev/null"), limit)?;
    let wall = start.elapsed().as_secs_f64();
    // It may be busy with a hit, and is asked until it heeds.
    let pid = gdb.console.pid().to_string();
    let until = Instant::now() + limit;
    loop {
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        match gdb.console.expect(PROMPT, Duration::from_secs(2)) {
            Ok(found) if !found.before.lines().any(|line| line.trim() == "Quit") => break,
            Ok(_) => gdb.console.send("continue\n")?,
            Err(_) if Instant::now() < until => {}
            Err(error) => return Err(error),
        }
    }
    gdb.ask("delete")?;
    gdb.ask("detach")?;
    let hits = 2.0 * BYTES as f64;
    Ok((hits / wall, "hits/s", wall))
}

fn read(socket: &Socket, limit: Duration) -> Result<Figure> {
    let mut client = Stub::attach(socket, limit)?;
    if client.ask("Qqemu.PhyMemMode:1")? != "OK" {
        return Err(wrong("rsp-read: no physical memory mode"));
    }
    // An answer has two digits a byte.
    let piece = (client.packet / 2).saturating_sub(16).max(1);
    let start = Instant::now();
    let (mut at, end) = (MEMORY, MEMORY + (MIB << 20));
    while at < end {
        let n = piece.min(end - at);
        let answer = client.ask(&format!("m{at:x},{n:x}"))?;
        if answer.starts_with('E') || answer.is_empty() {
            return Err(wrong(format_args!("rsp-read: {answer:?} at {at:#x}")));
        }
        at += n;
    }
    let wall = start.elapsed().as_secs_f64();
    client.ask("Qqemu.PhyMemMode:0")?;
    client.ask("D;1")?;
    Ok((MIB as f64 / wall, "MiB/s", wall))
}

/// GDB, typed at.
struct Gdb {
    console: Console,
    limit: Duration,
}

impl Gdb {
    fn attach(Socket(path): &Socket, limit: Duration) -> Result<Gdb> {
        let mut command = Command::new("gdb-multiarch");
        command.args(["-nx", "-q"]);
        for set in ["prompt @ready@\\n", "pagination off", "confirm off", "width 0", "debuginfod enabled off", "osabi none"] {
            command.args(["-iex", &format!("set {set}")]);
        }
        let mut gdb = Gdb { console: Console::spawn(&mut command)?, limit };
        gdb.console.expect(PROMPT, limit)?;
        gdb.ask(&format!("target remote {}", path.display()))?;
        Ok(gdb)
    }

    fn ask(&mut self, command: &str) -> Result<()> {
        self.console.send(&format!("{command}\n"))?;
        self.console.expect(PROMPT, self.limit).map(|_| ())
    }

    /// Seconds that a command takes.
    fn timed(&mut self, command: &str) -> Result<f64> {
        let start = Instant::now();
        self.ask(command)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// A client of the protocol that knows packets only.
struct Stub {
    client: packets::Client,
    /// Bytes in a packet at most.
    packet: u64,
}

impl Stub {
    fn attach(Socket(path): &Socket, limit: Duration) -> Result<Stub> {
        let client = packets::Client::connect(path, limit).map_err(|e| wrong(format_args!("{}: {e}", path.display())))?;
        let mut stub = Stub { client, packet: 0 };
        // QEMU tells a new client that it has stopped the machine, unasked.
        let mut features = stub.ask("qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+")?;
        while features.starts_with('T') {
            features = stub.client.receive().map_err(wrong)?;
        }
        let size = features.split(';').find_map(|f| f.strip_prefix("PacketSize=")).and_then(|n| u64::from_str_radix(n, 16).ok());
        stub.packet = size.ok_or_else(|| wrong(format_args!("no PacketSize: {features}")))?;
        stub.client.start_no_ack_mode().map_err(wrong)?;
        stub.ask("?")?;
        Ok(stub)
    }

    /// The answer to a packet.
    fn ask(&mut self, body: &str) -> Result<String> {
        self.client.ask(body).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_asked_for_where_a_case_needs_it() {
        assert!(wanted(&[&CASES[0]]) && !wanted(&[&crate::cases::CASES[0]]));
        let words = Socket("/s".into()).words();
        assert_eq!(words, ["-gdb", "unix:/s,server=on,wait=off"]);
    }
}
