//! The monitors as programs meet them: sessions on sockets and on the terminal, clients that
//! misbehave, and the public clients `qemu.qmp` and labgrid (from PyPI, where Python and pip are
//! there).

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// After this something hangs.
const LIMIT: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_proteus-system-aarch64");

/// A machine with the built-in firmware, killed when it is dropped.
struct Guest {
    child: Child,
    dir: tempfile::TempDir,
}

impl Guest {
    /// Starts one; `@` in an argument stands for a directory of its own.
    fn start(args: &[&str]) -> Guest {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().to_str().unwrap().to_string();
        let args = args.iter().map(|a| a.replace('@', &place));
        let mut command = Command::new(PROGRAM);
        command.args(["-M", "virt", "-display", "none"]).args(args);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        Guest { child, dir }
    }

    fn connect(&self, name: &str) -> UnixStream {
        let path = self.dir.path().join(name);
        let started = Instant::now();
        loop {
            match UnixStream::connect(&path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(LIMIT)).unwrap();
                    return stream;
                }
                Err(e) => assert!(started.elapsed() < LIMIT, "{name}: {e}"),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A client that has begun its conversation.
    fn client(&self, name: &str) -> Client {
        let mut client = Client::new(self.connect(name));
        assert_eq!(client.read()["QMP"]["version"]["qemu"]["major"], 10);
        client.send(r#"{"execute":"qmp_capabilities"}"#);
        assert_eq!(client.read(), json!({"return": {}}));
        client
    }

    /// Waits for the end; gives the status.
    fn end(mut self) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("the program does not end");
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    from: BufReader<UnixStream>,
    /// Events that came while an answer was waited for.
    events: Vec<Value>,
}

impl Client {
    fn new(stream: UnixStream) -> Client {
        Client { from: BufReader::new(stream), events: Vec::new() }
    }

    fn send(&mut self, text: &str) {
        self.from.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next message; `Null` at the end of the conversation.
    fn read(&mut self) -> Value {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) => Value::Null,
            Ok(_) => serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")),
            Err(e) => panic!("no answer: {e}"),
        }
    }

    fn answer(&mut self) -> Value {
        loop {
            let message = self.read();
            match message.get("event") {
                Some(_) => self.events.push(message),
                None => return message,
            }
        }
    }

    /// What a command returns.
    fn ask(&mut self, command: &str, arguments: Value) -> Value {
        self.send(&json!({"execute": command, "arguments": arguments}).to_string());
        let answer = self.answer();
        answer.get("return").unwrap_or_else(|| panic!("{command}: {answer}")).clone()
    }

    fn status(&mut self) -> String {
        self.ask("query-status", json!({}))["status"].as_str().unwrap().into()
    }

    /// The names of all events up to the end of the conversation, and the data of the last.
    fn rest(mut self) -> (Vec<String>, Value) {
        loop {
            match self.read() {
                Value::Null => break,
                message => self.events.push(message),
            }
        }
        let names = self.events.iter().filter_map(|e| e["event"].as_str()).map(str::to_string).collect();
        (names, self.events.last().map_or(Value::Null, |e| e["data"].clone()))
    }
}

#[test]
fn a_machine_is_led_from_its_start_to_its_end() {
    let guest = Guest::start(&["-S", "-smp", "2", "-serial", "null", "-name", "guest", "-qmp", "unix:@/q,server=on,wait=off"]);
    let mut c = guest.client("q");
    assert_eq!(c.status(), "prelaunch");
    let cpus = c.ask("query-cpus-fast", json!({}));
    let threads: Vec<u64> = cpus.as_array().unwrap().iter().map(|c| c["thread-id"].as_u64().unwrap()).collect();
    assert_eq!(threads.len(), 2);
    for id in &threads {
        assert!(*id != u64::from(guest.child.id()) && Path::new(&format!("/proc/{}/task/{id}", guest.child.id())).exists(), "{threads:?}");
    }
    c.ask("cont", json!({}));
    assert_eq!(c.status(), "running");
    c.ask("stop", json!({}));
    assert_eq!(c.status(), "paused");
    // Two objects in one write, and ids.
    c.send(r#"{"execute":"query-name","id":1}{"execute":"no-such","id":2}"#);
    assert_eq!(c.answer(), json!({"return": {"name": "guest"}, "id": 1}));
    assert_eq!(c.answer()["error"]["class"], "CommandNotFound");
    assert_eq!(c.ask("query-cpus-fast", json!({})), cpus, "threads last from run to run");
    let file = guest.dir.path().join("memory");
    c.ask("pmemsave", json!({"val": 0x4000_0000, "size": 0x2000, "filename": file}));
    assert_eq!(std::fs::read(&file).unwrap()[..4], [0xd0, 0x0d, 0xfe, 0xed], "the device tree is at the start of memory");
    let registers = c.ask("human-monitor-command", json!({"command-line": "info registers"}));
    assert!(registers.as_str().unwrap().contains("PSTATE="), "{registers}");
    c.ask("system_reset", json!({}));
    c.ask("cont", json!({}));
    c.send(r#"{"execute":"quit"}"#);
    assert_eq!(c.answer(), json!({"return": {}}));
    let (events, last) = c.rest();
    assert_eq!(events, ["RESUME", "STOP", "RESET", "RESUME", "SHUTDOWN"]);
    assert_eq!(last, json!({"guest": false, "reason": "host-qmp-quit"}));
    assert_eq!(guest.end(), Some(0));
}

#[test]
fn the_guests_end_and_reset_are_told() {
    // Commands of the firmware.
    for (command, more, want) in [
        ("poweroff\r", "-name", json!({"guest": true, "reason": "guest-shutdown"})),
        ("reboot\r", "-no-reboot", json!({"guest": true, "reason": "guest-reset"})),
    ] {
        let name = if more == "-name" { vec!["-name", "x"] } else { vec![more] };
        let args = [&["-S", "-serial", "unix:@/s,server=on,wait=off", "-qmp", "unix:@/q,server=on,wait=off"][..], &name].concat();
        let guest = Guest::start(&args);
        let mut serial = guest.connect("s");
        let mut c = guest.client("q");
        c.ask("cont", json!({}));
        until(&mut serial, "proteus> ");
        serial.write_all(command.as_bytes()).unwrap();
        let (events, last) = c.rest();
        assert_eq!((events.last().map(String::as_str), last), (Some("SHUTDOWN"), want));
        assert_eq!(guest.end(), Some(0));
    }
}

/// Reads until `text` has come.
fn until(from: &mut impl Read, text: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(text.as_bytes()) {
        match from.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            other => panic!("{other:?} instead of {text:?} after {:?}", String::from_utf8_lossy(&seen)),
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn clients_that_misbehave_hold_up_nobody() {
    let qmp = ["-qmp", "unix:@/a,server=on,wait=off", "-qmp", "unix:@/b,server=on,wait=off", "-qmp", "unix:@/c,server=on,wait=off"];
    let guest = Guest::start(&[&["-serial", "unix:@/s,server=on,wait=off"][..], &qmp].concat());
    let mut serial = guest.connect("s");
    // One asks for much and reads nothing.
    let mut stalled = guest.connect("a");
    stalled.set_nonblocking(true).unwrap();
    let _ = stalled.write(br#"{"execute":"qmp_capabilities"}"#);
    let mut asked = 0;
    while asked < 4000 {
        match stalled.write(br#"{"execute":"query-qmp-schema"}"#) {
            Ok(_) => asked += 1,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) => panic!("{e}"),
        }
    }
    // One sends megabytes without a line's end, is told so once, and finds its way back.
    let mut noisy = guest.client("b");
    let noise = "x".repeat(1 << 16);
    (0..64).for_each(|_| noisy.send(&noise));
    noisy.send("\n");
    assert!(noisy.answer()["error"]["desc"].as_str().unwrap().starts_with("JSON parse error, a message has"));
    assert_eq!(noisy.status(), "running");
    noisy.send("garbage }\n{\"execute\"");
    assert!(noisy.answer()["error"]["desc"].as_str().unwrap().contains("'garbage'"));
    // It goes in the middle of a command; the next one is greeted.
    drop(noisy);
    assert_eq!(guest.client("b").status(), "running");
    let memory = std::fs::read_to_string(format!("/proc/{}/statm", guest.child.id())).unwrap();
    assert!(!memory.is_empty());
    // The guest and the third session know nothing of it.
    serial.write_all(b"\r").unwrap();
    until(&mut serial, "proteus> ");
    let mut c = guest.client("c");
    assert_eq!(c.status(), "running");
    c.ask("quit", json!({}));
    assert_eq!(guest.end(), Some(0));
}

#[test]
fn the_terminal_speaks_qmp_or_hmp() {
    let mut guest = Guest::start(&["-S", "-serial", "null", "-qmp-pretty", "stdio"]);
    let (mut to, mut from) = (guest.child.stdin.take().unwrap(), guest.child.stdout.take().unwrap());
    until(&mut from, "\"capabilities\": []\r\n    }\r\n}\r\n".replace("\r\n", "\n").lines().last().unwrap());
    to.write_all(b"{'execute':'qmp_capabilities'}{'execute':'quit'}").unwrap();
    let said = until(&mut from, "\"SHUTDOWN\"");
    assert!(said.contains("    \"return\": {}"), "{said}");
    assert_eq!(guest.end(), Some(0));

    let mut guest = Guest::start(&["-S", "-serial", "null", "-monitor", "stdio"]);
    let (mut to, mut from) = (guest.child.stdin.take().unwrap(), guest.child.stdout.take().unwrap());
    until(&mut from, "(qemu) ");
    to.write_all(b"info sta\t\r").unwrap();
    until(&mut from, "VM status: paused (prelaunch)\r\n(qemu) ");
    to.write_all(b"\x1b[A\x17jit\r").unwrap();
    until(&mut from, "interpreter");
    to.write_all(b"quit\r").unwrap();
    assert_eq!(guest.end(), Some(0));
}

#[test]
fn a_socket_that_waits_is_waited_for() {
    let guest = Guest::start(&["-serial", "null", "-chardev", "socket,id=m,path=@/q,server=on,wait=on", "-mon", "chardev=m,mode=control"]);
    let mut c = guest.client("q");
    assert_eq!(c.status(), "running");
    c.ask("quit", json!({}));
    assert_eq!(guest.end(), Some(0));
}

/// A Python that has a package of PyPI, installed once in Cargo's directory for tests; or why not.
fn python(package: &str) -> Result<PathBuf, String> {
    static VENV: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let run = |command: &mut Command| -> Result<(), String> {
        let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
        if out.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))) }
    };
    let venv = VENV.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-clients");
        if !dir.join("bin/pip").exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
        }
        Ok(dir.join("bin"))
    });
    let bin = venv.clone()?;
    let there = |name: &str| Command::new(bin.join("python")).args(["-c", &format!("import {name}")]).output().is_ok_and(|o| o.status.success());
    if !there(package) {
        run(Command::new(bin.join("pip")).args(["install", "--quiet", package]))?;
    }
    Ok(bin.join("python"))
}

/// Runs a script of a public client; skipped where the client cannot be had.
fn with_client(package: &str, script: &str, args: &[&Path]) {
    let python = match python(package) {
        Ok(python) => python,
        Err(why) => return eprintln!("skipped: {package} cannot be had: {why}"),
    };
    let out = Command::new("timeout").arg("60").arg(python).args(["-c", script]).args(args).output().unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}

const QEMU_QMP: &str = r#"
import asyncio, sys
from qemu.qmp import QMPClient, ExecuteError, EventListener

async def main(path, memory):
    qmp = QMPClient('test')
    events = EventListener()
    qmp.register_listener(events)
    await qmp.connect(path)
    for name in await qmp.execute('query-commands'):
        assert name['name'] in {e['name'] for e in await qmp.execute('query-qmp-schema')}, name
    assert (await qmp.execute('query-version'))['qemu']['major'] == 10
    assert (await qmp.execute('query-status')) == {'running': False, 'status': 'prelaunch'}
    assert (await qmp.execute('query-target')) == {'arch': 'aarch64'}
    assert (await qmp.execute('query-kvm')) == {'enabled': False, 'present': False}
    assert (await qmp.execute('query-iothreads')) == []
    assert (await qmp.execute('query-block')) == []
    assert (await qmp.execute('query-uuid'))['UUID'].count('-') == 4
    assert (await qmp.execute('query-name')) == {'name': 'guest'}
    assert (await qmp.execute('query-memory-size-summary')) == {'base-memory': 128 << 20}
    assert 'virt' in {m['name'] for m in await qmp.execute('query-machines')}
    assert 'cortex-a53' in {c['name'] for c in await qmp.execute('query-cpu-definitions')}
    assert {e['name'] for e in await qmp.execute('query-events')} == {'GUEST_PANICKED', 'POWERDOWN', 'RESET', 'RESUME', 'SHUTDOWN', 'STOP'}
    for command in ('query-migrate-capabilities', 'query-named-block-nodes', 'query-tpm-models', 'query-tpm-types'):
        assert (await qmp.execute(command)) == [], command
    assert [g['version'] for g in await qmp.execute('query-gic-capabilities')] == [2, 3]
    assert 'machine' in {o['option'] for o in await qmp.execute('query-command-line-options')}
    assert 'virt-machine' in {t['name'] for t in await qmp.execute('qom-list-types', {'implements': 'machine'})}
    for command in ('device-list-properties', 'qom-list-properties'):
        assert 'drive' in {p['name'] for p in await qmp.execute(command, {'typename': 'virtio-blk-device'})}
    model = await qmp.execute('query-cpu-model-expansion', {'type': 'full', 'model': {'name': 'max'}})
    assert model['model']['name'] == 'max' and model['model']['props']['pmu']
    await qmp.execute('migrate-set-capabilities', {'capabilities': []})
    assert 'serial0' in {c['label'] for c in await qmp.execute('query-chardev')}
    assert [c['cpu-index'] for c in await qmp.execute('query-cpus-fast')] == [0]
    assert 'uart0' in {c['name'] for c in await qmp.execute('qom-list', {'path': '/machine'})}
    assert (await qmp.execute('qom-get', {'path': '/machine/uart0', 'property': 'type'})) == 'pl011'
    for command in ('memsave', 'pmemsave'):
        await qmp.execute(command, {'val': 0x40000000, 'size': 4096, 'filename': memory})
        assert open(memory, 'rb').read(4) == b'\xd0\x0d\xfe\xed'
    text = await qmp.execute('human-monitor-command', {'command-line': 'info status'})
    assert text == 'VM status: paused (prelaunch)\r\n', text
    for command in ('inject-nmi', 'device_add'):
        try:
            await qmp.execute(command)
            assert False, command
        except ExecuteError as e:
            assert e.error_class in ('GenericError', 'CommandNotFound')
    for command in ('cont', 'stop', 'system_reset', 'cont', 'system_powerdown', 'quit'):
        await qmp.execute(command)
    seen = []
    async for event in events:
        seen.append(event['event'])
        if seen[-1] == 'SHUTDOWN':
            break
    assert seen == ['RESUME', 'STOP', 'RESET', 'RESUME', 'POWERDOWN', 'SHUTDOWN'], seen
    try:
        await qmp.disconnect()
    except EOFError:
        pass

asyncio.run(main(*sys.argv[1:]))
"#;

#[test]
fn the_public_client_drives_every_command() {
    let args = ["-S", "-serial", "null", "-chardev", "null,id=serial0", "-name", "guest", "-qmp", "unix:@/q,server=on,wait=off"];
    let guest = Guest::start(&args);
    drop(guest.connect("q"));
    with_client("qemu.qmp", QEMU_QMP, &[&guest.dir.path().join("q"), &guest.dir.path().join("memory")]);
}

/// What libvirt asks before a start and at it, of the tables of the program.
#[test]
fn what_there_is_to_choose_from_is_told_from_the_tables() {
    let uuid = "9a8b7c6d-0123-4567-89ab-cdef01234567";
    let words = ["-qmp", "unix:@/q,server=on,wait=off", "-monitor", "none", "-uuid", uuid, "-blockdev", "driver=null-co,node-name=disk0,size=1048576"];
    let guest = Guest::start(&words);
    let mut c = guest.client("q");
    assert_eq!(c.ask("query-uuid", json!({})), json!({"UUID": uuid}));
    let nodes = c.ask("query-named-block-nodes", json!({"flat": true}));
    assert_eq!((&nodes[0]["node-name"], &nodes[0]["drv"], &nodes[0]["image"]["virtual-size"]), (&json!("disk0"), &json!("null-co"), &json!(1_048_576)));
    let types = c.ask("qom-list-types", json!({}));
    let types: Vec<&str> = types.as_array().unwrap().iter().filter_map(|t| t["name"].as_str()).collect();
    for there in ["virtio-blk-device", "virt-machine", "cortex-a53-arm-cpu", "tcg-accel", "rng-random"] {
        assert!(types.contains(&there), "{there}: {types:?}");
    }
    for absent in ["virtio-blk-pci", "malta-machine", "kvm-accel", "nvdimm"] {
        assert!(!types.contains(&absent), "{absent}");
    }
    // Whatever is told of can be looked at.
    for name in &types {
        c.ask("qom-list-properties", json!({"typename": name}));
    }
    let drive = c.ask("device-list-properties", json!({"typename": "virtio-blk-device"}));
    assert!(drive.as_array().unwrap().iter().any(|p| p["name"] == "drive"), "{drive}");
    let virt = c.ask("qom-list-properties", json!({"typename": "virt-machine"}));
    assert!(virt.as_array().unwrap().iter().any(|p| p["name"] == "gic-version"), "{virt}");
    let smp = c.ask("query-command-line-options", json!({"option": "smp"}));
    assert!(smp[0]["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "cores"), "{smp}");
    let model = c.ask("query-cpu-model-expansion", json!({"type": "full", "model": {"name": "max"}}));
    assert_eq!((&model["model"]["props"]["pmu"], &model["model"]["props"]["sve"]), (&json!(true), &json!(false)));
    for (name, typename) in [("device-list-properties", "vfio-pci"), ("qom-list-properties", "none-machine")] {
        c.send(&json!({"execute": name, "arguments": {"typename": typename}}).to_string());
        assert_eq!(c.answer()["error"]["class"], "DeviceNotFound");
    }
    c.send(r#"{"execute":"quit"}"#);
    assert_eq!(guest.end(), Some(0));
}

const LABGRID: &str = r#"
import sys, yaml
from labgrid import Environment
config = {
    'targets': {'main': {'drivers': {'QEMUDriver': {
        'qemu_bin': 'qemu', 'machine': 'virt', 'cpu': 'cortex-a53', 'memory': '128M', 'nic': 'user'}}}},
    'tools': {'qemu': sys.argv[1]},
}
with open(sys.argv[2], 'w') as f:
    yaml.dump(config, f)
target = Environment(sys.argv[2]).get_target('main')
qemu = target.get_driver('QEMUDriver')
for _ in range(2):
    qemu.on()
    qemu.expect('proteus> ', timeout=30)
    qemu.sendline('help')
    qemu.expect('poweroff', timeout=30)
    assert qemu.monitor_command('query-status')['status'] == 'running'
    qemu.monitor_command('stop')
    assert qemu.monitor_command('query-status')['status'] == 'paused'
    qemu.off()
"#;

#[test]
fn labgrid_boots_talks_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    with_client("labgrid", LABGRID, &[Path::new(PROGRAM), &dir.path().join("env.yaml")]);
}
