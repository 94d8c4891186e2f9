//! Kicks: what the machine is asked while the guest does not look up.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use proteus_guests::console::Console;

use crate::rig::*;

/// A pause takes no longer, whatever the guest does.
const SOON: Duration = Duration::from_millis(100);

/// A QMP client.
pub struct Client(BufReader<UnixStream>);

impl Client {
    pub fn connect(path: &std::path::Path) -> Client {
        let stream = UnixStream::connect(path).expect("it accepts");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut client = Client(BufReader::new(stream));
        assert!(client.line().contains("QMP"));
        client.ask("qmp_capabilities");
        client
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        line
    }

    /// The answer to a command without arguments.
    pub fn ask(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("{{\"execute\":\"{command}\"}}").as_bytes()).expect("it reads");
        loop {
            let line = self.line();
            if !line.contains("\"event\"") {
                return line;
            }
        }
    }

    /// A line of HMP.
    pub fn human(&mut self, command: &str) -> String {
        let text = format!("{{\"execute\":\"human-monitor-command\",\"arguments\":{{\"command-line\":\"{command}\"}}}}");
        self.0.get_mut().write_all(text.as_bytes()).expect("it reads");
        loop {
            let line = self.line();
            if !line.contains("\"event\"") {
                return line;
            }
        }
    }
}

/// The guest with a monitor.
pub fn monitored(words: &[&str]) -> (Console, Client, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("qmp");
    let qmp = format!("unix:{},server=on,wait=off", socket.display());
    let console = start(&[words, &["-qmp", &qmp]].concat());
    let client = Client::connect(&socket);
    (console, client, dir)
}

/// The guest is stopped and goes on, some times.
#[track_caller]
fn stops_soon(what: &str, client: &mut Client) {
    for _ in 0..5 {
        let before = Instant::now();
        let answer = client.ask("stop");
        let took = before.elapsed();
        assert!(took < SOON, "{what}: {took:?} {answer}");
        assert!(client.ask("query-status").contains("\"paused\""));
        client.ask("cont");
        assert!(client.ask("query-status").contains("\"running\""));
    }
}

/// In a spin in ring 0, in HLT with interrupts and without, while a second core waits for its
/// start-up interrupt.
#[test]
fn a_pause_takes_no_tenth_of_a_second() {
    if !has("pause", &[]) {
        return;
    }
    for (line, said) in [("spin", "spinning"), ("halt 1", "halting"), ("halt 0", "halting"), ("loop 100000000000", "")] {
        let (mut console, mut client, _dir) = monitored(&["-smp", "2"]);
        send(&mut console, line);
        expect(&mut console, said);
        stops_soon(line, &mut client);
        let before = Instant::now();
        client.ask("quit");
        assert_eq!(console.wait_exit(LIMIT).expect("an end").code(), Some(0));
        assert!(before.elapsed() < Duration::from_secs(2), "{line}");
    }
}

/// A core that waits for its start-up interrupt, or halts, takes no time of the host's.
#[test]
fn waiting_takes_no_time() {
    if !has("waiting", &[]) {
        return;
    }
    let (mut console, _client, _dir) = monitored(&["-smp", "2"]);
    send(&mut console, "halt 1");
    expect(&mut console, "halting");
    let ticks = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
    };
    let before = ticks(console.pid());
    std::thread::sleep(Duration::from_millis(500));
    let spent = ticks(console.pid()) - before;
    assert!(spent <= 10, "{spent} hundredths of a second in half a second");
}

/// The long sum comes out the same however often it was stopped, and its registers can be seen.
#[test]
fn a_guest_that_is_stopped_counts_on() {
    if !has("stops", &[]) {
        return;
    }
    let mut console = start(&[]);
    let parts = |text: &str| text.lines().filter(|l| l.starts_with("part")).map(|l| l.trim().to_string()).collect::<Vec<_>>();
    let want = parts(&ask(&mut console, "count 40"));
    assert_eq!(want.len(), 40);
    let (mut console, mut client, _dir) = monitored(&[]);
    send(&mut console, "count 40");
    for _ in 0..20 {
        client.ask("stop");
        let registers = client.human("info registers");
        assert!(registers.contains("RIP=") && registers.contains("64-bit mode"), "{registers}");
        client.ask("cont");
    }
    assert_eq!(parts(&expect(&mut console, PROMPT)), want);
}
