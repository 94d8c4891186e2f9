//! Whole back ends, from the front end's handle to the host's side.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::fs::{Mode as FileMode, OFlags};
use rustix::termios::{LocalModes, tcgetattr};

use super::port::{Mode, Port, QUEUE};
use super::*;

const LONG: Duration = Duration::from_secs(20);

struct Recorder(Sender<CharEvent>);

impl Sink for Recorder {
    fn receive(&self, event: CharEvent) {
        let _ = self.0.send(event);
    }
}

fn recorder() -> (Arc<dyn Sink>, Receiver<CharEvent>) {
    let (tx, rx) = unbounded();
    (Arc::new(Recorder(tx)), rx)
}

fn next(events: &Receiver<CharEvent>) -> CharEvent {
    events.recv_timeout(LONG).expect("an event in time")
}

fn wait_for(events: &Receiver<CharEvent>, want: &CharEvent) {
    while next(events) != *want {}
}

/// Collects input until there are `n` bytes, granting `step` at a time.
fn read_input(chardev: &Chardev, events: &Receiver<CharEvent>, n: usize, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    chardev.set_can_receive(step);
    while all.len() < n {
        if let CharEvent::Input(bytes) = next(events) {
            assert!(bytes.len() <= step, "{} bytes where {step} were allowed", bytes.len());
            all.extend(bytes);
            chardev.set_can_receive(step);
        }
    }
    all
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i % 251) as u8).collect()
}

fn parse(text: &str) -> CharSpec {
    CharSpec::parse(text).expect(text)
}

fn open(text: &str) -> (Chardev, Receiver<CharEvent>) {
    let (sink, events) = recorder();
    (Chardev::open(&parse(text), sink).expect(text), events)
}

/// Waits until the handle has taken everything, as a device does that obeys the back-pressure.
fn write_all(chardev: &Chardev, events: &Receiver<CharEvent>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = chardev.write(rest);
        rest = &rest[n..];
        if !rest.is_empty() {
            wait_for(events, &CharEvent::Writable);
        }
    }
}

#[test]
fn file_takes_output_and_gives_input() {
    let dir = tempfile::tempdir().unwrap();
    let (out, log, input) = (dir.path().join("o,ut"), dir.path().join("log"), dir.path().join("in"));
    std::fs::write(&input, pattern(20_000)).unwrap();
    std::fs::write(&out, "old").unwrap();
    let text = format!("file,id=a,path={},input-path={},logfile={}", out.display().to_string().replace(',', ",,"), input.display(), log.display());
    let (chardev, events) = open(&text);
    write_all(&chardev, &events, &pattern(200_000));
    assert!(chardev.flush(LONG));
    assert_eq!(std::fs::read(&out).unwrap(), pattern(200_000));
    assert_eq!(std::fs::read(&log).unwrap(), pattern(200_000));
    assert_eq!(read_input(&chardev, &events, 20_000, 7), pattern(20_000));
    drop(chardev);
    let (chardev, _events) = open(&format!("{text},append=on,logappend=on"));
    chardev.write_blocking(b"more");
    assert!(chardev.flush(LONG));
    assert_eq!(std::fs::metadata(&out).unwrap().len(), 200_004);
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 200_004);
}

#[test]
fn output_on_the_way_survives_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let (chardev, _events) = open(&format!("file,id=a,path={}", out.display()));
    assert_eq!(chardev.write(b"last words"), 10);
    drop(chardev);
    assert_eq!(std::fs::read(&out).unwrap(), b"last words");
}

#[test]
fn a_full_disk_never_stalls() {
    let (chardev, _events) = open("file,id=a,path=/dev/full");
    chardev.write_blocking(&pattern(4 * QUEUE));
    assert!(chardev.flush(LONG));
}

#[test]
fn null_takes_everything_and_logs_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (chardev, events) = open(&format!("null,id=a,logfile={}", log.display()));
    write_all(&chardev, &events, &pattern(5 * QUEUE));
    assert!(chardev.flush(LONG));
    assert_eq!(std::fs::read(&log).unwrap(), pattern(5 * QUEUE));
}

#[test]
fn ring_keeps_the_newest() {
    let (chardev, _events) = open("ringbuf,id=a,size=16");
    assert_eq!(chardev.write(&pattern(100)), 100);
    assert_eq!(chardev.read_ring(4), pattern(100)[84..88]);
    assert_eq!(chardev.read_ring(100), pattern(100)[88..]);
    assert!(chardev.read_ring(1).is_empty());
    assert!(CharSpec::parse("ringbuf,id=a,size=0").is_err());
}

fn socket_pair(extra: &str) -> (Chardev, Receiver<CharEvent>, UnixStream, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (chardev, events) = open(&format!("socket,id=a,path={},server=on,wait=off{extra}", path.display()));
    let client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    wait_for(&events, &CharEvent::Opened);
    (chardev, events, client, dir)
}

#[test]
fn a_slow_reader_loses_nothing() {
    slow_reader(false);
    slow_reader(true);
}

fn slow_reader(directly: bool) {
    let (chardev, events, mut client, _dir) = socket_pair("");
    if directly {
        chardev.write_directly();
    }
    let data = pattern(3 << 20);
    // Until the first refusal nobody reads, so the refusal must come.
    let mut sent = 0;
    loop {
        let n = chardev.write(&data[sent..sent + 1000]);
        sent += n;
        if n < 1000 {
            break;
        }
    }
    let reader = std::thread::spawn(move || {
        let mut all = vec![0; 3 << 20];
        client.read_exact(&mut all).map(|()| all)
    });
    wait_for(&events, &CharEvent::Writable);
    write_all(&chardev, &events, &data[sent..]);
    assert!(chardev.flush(LONG));
    assert!(reader.join().unwrap().unwrap() == data);
}

#[test]
fn without_a_reader_the_newest_is_kept_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (chardev, events) = open(&format!("socket,id=a,path={},server=on,wait=off", path.display()));
    let data = pattern(1 << 20);
    assert_eq!(chardev.write(&data), data.len());
    assert!(chardev.flush(Duration::ZERO), "nobody is there to flush to");
    for _ in 0..2 {
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        let mut got = vec![0; QUEUE];
        client.read_exact(&mut got).unwrap();
        assert!(got == data[data.len() - QUEUE..]);
        assert_eq!(next(&events), CharEvent::Opened);
        drop(client);
        chardev.set_can_receive(1);
        assert_eq!(next(&events), CharEvent::Closed);
        assert_eq!(chardev.write(&data), data.len());
    }
    drop(chardev);
    assert!(!path.exists(), "the socket's file is removed");
}

#[test]
fn a_conversation_does_not_go_on_with_the_next_client() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (chardev, events) = open(&format!("socket,id=a,path={},server=on,wait=off", path.display()));
    chardev.forget_unread();
    chardev.write_directly();
    assert_eq!(chardev.write(b"to nobody"), 9);
    for _ in 0..2 {
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(next(&events), CharEvent::Opened);
        chardev.write(b"hello");
        let mut got = [0; 5];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        // More than the client's socket takes: what is left when it goes is nobody's.
        while chardev.write(&pattern(QUEUE)) > 0 || chardev.flush(Duration::from_millis(20)) {}
        drop(client);
        chardev.set_can_receive(1);
        wait_for(&events, &CharEvent::Closed);
        assert_eq!(chardev.write(b"to nobody"), 9);
        while events.try_recv().is_ok() {}
    }
}

#[test]
fn input_comes_before_the_end_that_follows_it() {
    let (chardev, events, mut client, _dir) = socket_pair("");
    client.write_all(&pattern(100_000)[..50_000]).unwrap();
    let second = std::thread::spawn(move || client.write_all(&pattern(100_000)[50_000..]));
    assert_eq!(read_input(&chardev, &events, 100_000, 16), pattern(100_000));
    second.join().unwrap().unwrap();
    assert_eq!(next(&events), CharEvent::Closed);
}

#[test]
fn a_stalled_back_end_does_not_stall_another() {
    let dir = tempfile::tempdir().unwrap();
    let all = Chardevs::new(|_| {}).unwrap();
    let path = dir.path().join("s");
    let (sink, events) = recorder();
    let stuck = all.open(&parse(&format!("socket,id=a,path={},server=on,wait=off", path.display())), sink).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    wait_for(&events, &CharEvent::Opened);
    // Refused for a moment is not yet stalled: the socket's own buffer must be full too.
    while stuck.write(&[0; 1000]) > 0 || stuck.flush(Duration::from_millis(20)) {}
    let out = dir.path().join("out");
    let other = all.open(&parse(&format!("file,id=b,path={}", out.display())), recorder().0).unwrap();
    other.write_blocking(&pattern(10 * QUEUE));
    assert!(other.flush(LONG));
    assert_eq!(std::fs::metadata(&out).unwrap().len(), 10 * QUEUE as u64);
    assert!(!stuck.flush(Duration::ZERO));
}

#[test]
fn server_waits_for_its_client() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let connect = {
        let path = path.clone();
        std::thread::spawn(move || {
            loop {
                match UnixStream::connect(&path) {
                    Ok(mut client) => {
                        let mut got = [0; 5];
                        client.read_exact(&mut got).unwrap();
                        return got;
                    }
                    Err(_) => std::thread::yield_now(),
                }
            }
        })
    };
    let (chardev, events) = open(&format!("socket,id=a,path={},server=on", path.display()));
    assert_eq!(next(&events), CharEvent::Opened);
    chardev.write(b"hello");
    assert_eq!(&connect.join().unwrap(), b"hello");
}

#[test]
fn client_reconnects() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let refused = CharSpec::parse(&format!("socket,id=a,path={}", path.display())).unwrap();
    let error = Chardev::open(&refused, recorder().0).unwrap_err().to_string();
    assert!(error.contains("cannot connect to unix:"), "{error}");
    let (chardev, events) = open(&format!("socket,id=a,path={},reconnect-ms=1", path.display()));
    chardev.set_can_receive(100);
    let listener = UnixListener::bind(&path).unwrap();
    for round in 0..2u8 {
        let (mut server, _) = listener.accept().unwrap();
        wait_for(&events, &CharEvent::Opened);
        server.write_all(&[round]).unwrap();
        assert_eq!(next(&events), CharEvent::Input(vec![round]));
        chardev.write(&[round]);
        let mut got = [9];
        server.read_exact(&mut got).unwrap();
        assert_eq!(got, [round]);
        drop(server);
        wait_for(&events, &CharEvent::Closed);
    }
}

#[test]
fn tcp_server_reports_its_port() {
    let all = Chardevs::new(|_| {}).unwrap();
    let (sink, events) = recorder();
    let chardev = all.open(&parse("socket,id=a,host=127.0.0.1,port=0,server=on,wait=off,nodelay=on"), sink).unwrap();
    let info = all.list().remove(0);
    let address = info.filename.strip_prefix("tcp:").and_then(|n| n.strip_suffix(",server=on")).unwrap().to_string();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    wait_for(&events, &CharEvent::Opened);
    client.write_all(b"ping").unwrap();
    assert_eq!(read_input(&chardev, &events, 4, 2), b"ping");
}

#[test]
fn inherited_descriptors() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let spec = parse(&format!("socket,id=a,fd={}", ours.as_raw_fd()));
    let (sink, events) = recorder();
    let chardev = match Chardev::open(&spec, sink) {
        Ok(chardev) => chardev,
        // Sandboxes without pidfd_getfd.
        Err(CharError::Host { error, .. }) if error.raw_os_error() == Some(38) => return,
        Err(e) => panic!("{e}"),
    };
    theirs.write_all(b"x").unwrap();
    assert_eq!(read_input(&chardev, &events, 1, 1), b"x");
    chardev.write(b"y");
    let mut got = [0];
    theirs.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"y");
    drop(chardev);
    assert_eq!(theirs.read(&mut got).unwrap(), 0, "the peer learns the end");
    let file = std::fs::File::open("/dev/null").unwrap();
    let spec = parse(&format!("socket,id=a,fd={}", file.as_raw_fd()));
    assert!(Chardev::open(&spec, recorder().0).unwrap_err().to_string().contains("is not a stream socket"));
}

fn open_slave(name: &str) -> std::fs::File {
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    rustix::fs::open(name, flags, FileMode::empty()).unwrap().into()
}

#[test]
fn pty_readers_come_and_go() {
    let all = Chardevs::new(|_| {}).unwrap();
    let (sink, events) = recorder();
    let chardev = all.open(&parse("pty,id=a"), sink).unwrap();
    let name = all.list()[0].filename.strip_prefix("pty:").unwrap().to_string();
    assert_eq!(chardev.write(&pattern(3 * QUEUE)), 3 * QUEUE, "no reader, no stall");
    let mut expect = pattern(3 * QUEUE).split_off(2 * QUEUE);
    for _ in 0..2 {
        let mut slave = open_slave(&name);
        assert_eq!(next(&events), CharEvent::Opened);
        let mut got = vec![0; expect.len()];
        slave.read_exact(&mut got).unwrap();
        assert!(got == expect);
        slave.write_all(b"in\r\x03").unwrap();
        assert_eq!(read_input(&chardev, &events, 4, 3), b"in\r\x03");
        drop(slave);
        assert_eq!(next(&events), CharEvent::Closed);
        expect = b"while away\n".to_vec();
        assert_eq!(chardev.write(&expect), expect.len());
    }
}

fn mkfifo(path: &std::path::Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, FileMode::RWXU, 0).unwrap();
}

#[test]
fn pipe_readers_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("p");
    let text = format!("pipe,id=a,path={}", base.display());
    assert!(Chardev::open(&parse(&text), recorder().0).unwrap_err().to_string().contains("mkfifo"));
    let (input, output) = (dir.path().join("p.in"), dir.path().join("p.out"));
    mkfifo(&input);
    mkfifo(&output);
    let (chardev, events) = open(&text);
    assert_eq!(chardev.write(&pattern(3 * QUEUE)), 3 * QUEUE);
    let mut reader = std::fs::File::open(&output).unwrap();
    let mut got = vec![0; QUEUE];
    reader.read_exact(&mut got).unwrap();
    assert!(got == pattern(3 * QUEUE)[2 * QUEUE..]);
    std::fs::write(&input, "to the guest").unwrap();
    assert_eq!(read_input(&chardev, &events, 12, 100), b"to the guest");
    drop(reader);
    wait_for(&events, &CharEvent::Closed);
    assert_eq!(chardev.write(&[1; 10]), 10);
}

/// A shared back end on a socket with two front ends.
struct Shared {
    all: Chardevs,
    client: UnixStream,
    fronts: Vec<(Chardev, Receiver<CharEvent>)>,
    control: Receiver<Control>,
    _dir: tempfile::TempDir,
}

fn shared() -> Shared {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (tx, control) = unbounded();
    let all = Chardevs::new(move |c| tx.send(c).unwrap_or_default()).unwrap();
    all.add(&parse(&format!("socket,id=m,path={},server=on,wait=off,mux=on", path.display()))).unwrap();
    let fronts: Vec<_> = (0..2)
        .map(|_| {
            let (sink, events) = recorder();
            let front = all.attach("m", sink).unwrap();
            front.set_can_receive(usize::MAX);
            (front, events)
        })
        .collect();
    let client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    for (_, events) in &fronts {
        wait_for(events, &CharEvent::Opened);
    }
    Shared { all, client, fronts, control, _dir: dir }
}

#[test]
fn shared_back_end_obeys_escapes() {
    let mut s = shared();
    let input = |i: usize, text: &[u8]| {
        let (front, events) = &s.fronts[i];
        let mut got = Vec::new();
        while got.len() < text.len() {
            match next(events) {
                CharEvent::Input(bytes) => got.extend(bytes),
                CharEvent::Focus(_) => {}
                other => panic!("{other:?}"),
            }
            front.set_can_receive(usize::MAX);
        }
        assert_eq!(got, text);
    };
    s.client.write_all(b"one\x01\x01").unwrap();
    input(0, b"one\x01");
    s.client.write_all(b"\x01ctwo\x01c\x01b").unwrap();
    input(1, b"two");
    wait_for(&s.fronts[0].1, &CharEvent::Break);
    s.fronts[1].0.take_focus();
    s.client.write_all(b"three\x01x").unwrap();
    input(1, b"three");
    assert_eq!(s.control.recv_timeout(LONG).unwrap(), Control::Quit);
    s.all.set_escape(0x14);
    s.client.write_all(b"\x01x\x14c!").unwrap();
    input(1, b"\x01x");
    input(0, b"!");
    assert!(s.control.is_empty());
}

#[test]
fn escapes_work_while_the_guest_takes_nothing() {
    let mut s = shared();
    s.fronts[0].0.set_can_receive(0);
    s.client.write_all(&[b'a'; 30_000]).unwrap();
    s.client.write_all(b"\x01x").unwrap();
    assert_eq!(s.control.recv_timeout(LONG).unwrap(), Control::Quit);
}

#[test]
fn output_of_all_front_ends_is_shown() {
    let mut s = shared();
    s.fronts[0].0.write_blocking(b"serial;");
    s.fronts[1].0.write_blocking(b"monitor;");
    let mut got = [0; 15];
    s.client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"serial;monitor;");
    // The echo of the byte says that the command before it has been done.
    s.client.write_all(b"\x01t.").unwrap();
    wait_for(&s.fronts[0].1, &CharEvent::Input(b".".to_vec()));
    s.fronts[0].0.write_blocking(b"line\n");
    let mut got = [0; 20];
    s.client.read_exact(&mut got).unwrap();
    assert!(got.starts_with(b"[00:00:") && got.ends_with(b"] line\n"), "{}", String::from_utf8_lossy(&got));
    // Stamps make more of a write than it was; the back-pressure must allow for that.
    let writer = s.fronts[0].0.clone();
    let (data, events) = (vec![b'\n'; 100_000], s.fronts[0].1.clone());
    let writer = std::thread::spawn(move || write_all(&writer, &events, &data));
    let mut got = vec![0; 1_600_000];
    s.client.read_exact(&mut got).unwrap();
    assert!(got.chunks(16).all(|line| line.starts_with(b"[00:") && line.ends_with(b"] \n")));
    writer.join().unwrap();
    s.client.write_all(b"\x01h").unwrap();
    let mut got = [0; 30];
    s.client.read_exact(&mut got).unwrap();
    assert!(got.starts_with(b"\r\nC-a h"), "{}", String::from_utf8_lossy(&got));
}

#[test]
fn names_are_looked_after() {
    let all = Chardevs::new(|_| {}).unwrap();
    all.add(&parse("null,id=a")).unwrap();
    assert!(matches!(all.add(&parse("null,id=a")), Err(CharError::Exists(_))));
    assert!(matches!(all.attach("b", recorder().0), Err(CharError::NotFound(_))));
    let front = all.attach("a", recorder().0).unwrap();
    assert!(matches!(all.attach("a", recorder().0), Err(CharError::InUse(_))));
    assert!(matches!(all.remove("a"), Err(CharError::InUse(_))));
    drop(front);
    assert!(all.attach("a", recorder().0).is_ok(), "free again");
    all.remove("a").unwrap();
    assert!(matches!(all.attach("a", recorder().0), Err(CharError::NotFound(_))));
    all.add(&parse("null,id=a")).unwrap();
    let SerialSpec::New { spec, .. } = SerialSpec::parse("null").unwrap() else { panic!() };
    assert_ne!(all.add(&spec).unwrap(), all.add(&spec).unwrap());
}

/// A pseudo-terminal in its usual modes: (the user's side, the process's side).
fn terminal() -> (std::fs::File, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, FileMode::empty()).unwrap();
    (master.into(), slave)
}

fn open_stdio(all: &Chardevs, slave: &OwnedFd, signal: bool) -> (Chardev, Receiver<CharEvent>) {
    let link = link::stdio(slave.as_fd(), slave.as_fd(), signal, &all.terminals()).unwrap();
    all.adopt(Arc::new(Port::new("t".into(), "stdio", Mode::Reader, true, QUEUE, None)), link, "stdio");
    let (sink, events) = recorder();
    (all.attach("t", sink).unwrap(), events)
}

#[test]
fn stdio_makes_the_terminal_raw_and_gives_it_back() {
    let (mut user, slave) = terminal();
    let cooked = tcgetattr(&slave).unwrap();
    let flags = rustix::fs::fcntl_getfl(&slave).unwrap();
    for signal in [false, true] {
        let all = Chardevs::new(|_| {}).unwrap();
        let (chardev, events) = open_stdio(&all, &slave, signal);
        let modes = tcgetattr(&slave).unwrap().local_modes;
        assert!(!modes.intersects(LocalModes::ICANON | LocalModes::ECHO));
        assert_eq!(modes.contains(LocalModes::ISIG), signal);
        assert_eq!(rustix::fs::fcntl_getfl(&slave).unwrap(), flags, "the shell's descriptor keeps its flags");
        user.write_all(b"ls\r").unwrap();
        assert_eq!(read_input(&chardev, &events, 3, 16), b"ls\r");
        chardev.write(b"out\n");
        let mut got = [0; 5];
        user.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"out\r\n", "newlines as the user's terminal wants them");
        all.terminals().restore();
        assert_eq!(tcgetattr(&slave).unwrap().local_modes, cooked.local_modes);
        all.terminals().reapply();
        assert_eq!(tcgetattr(&slave).unwrap().local_modes, modes);
        drop(chardev);
        drop(all);
        let now = tcgetattr(&slave).unwrap();
        assert_eq!((now.local_modes, now.input_modes), (cooked.local_modes, cooked.input_modes));
    }
}

#[test]
fn a_user_who_stops_the_output_loses_none_of_it() {
    let (mut user, slave) = terminal();
    let all = Chardevs::new(|_| {}).unwrap();
    let (chardev, events) = open_stdio(&all, &slave, true);
    let mut sent = 0;
    let data = vec![b'x'; 1 << 20];
    while chardev.write(&data[sent..sent + 100]) == 100 {
        sent += 100;
    }
    // The refused write may have taken a part.
    let reader = std::thread::spawn(move || {
        let mut n = 0;
        let mut buffer = [0; 4096];
        while !buffer[..n].ends_with(b"!") {
            n = user.read(&mut buffer).unwrap();
        }
        user
    });
    wait_for(&events, &CharEvent::Writable);
    write_all(&chardev, &events, b"!");
    assert!(chardev.flush(LONG));
    reader.join().unwrap();
}
