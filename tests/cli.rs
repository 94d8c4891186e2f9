//! The binaries as their users meet them: messages, statuses, help texts, and that no command line
//! and no file makes them panic.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proteus-system-aarch64"));
    command.args(args).stdin(Stdio::null()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Status 1, nothing on standard output, one or two lines on standard error that name the cause.
fn refused(args: &[&str], want: &str) {
    let out = run(args);
    let err = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{args:?}: {err}");
    assert!((1..=2).contains(&err.lines().count()), "{args:?}: {err}");
    assert!(err.starts_with("proteus-system-aarch64: ") && err.contains(want), "{args:?}: {err}");
    assert!(out.stdout.is_empty(), "{args:?}: {}", text(&out.stdout));
}

#[test]
fn what_cannot_be_obeyed_is_refused_by_name() {
    let virt = |more: &[&'static str]| [&["-M", "virt", "-display", "none", "-net", "none"], more].concat();
    for (args, want) in [
        (vec![], "No machine specified"),
        (vec!["-M", "nothing"], "unsupported machine type"),
        (vec!["-wat"], "unknown option -wat"),
        (virt(&["-M", "virt,wat=1"]), "wat"),
        (virt(&["-cpu", "pentium"]), "there is no model 'pentium'"),
        (virt(&["-cpu", "max,pauth=on"]), "pauth=on"),
        (virt(&["-cpu", "max,sve=on"]), "sve=on"),
        (virt(&["-cpu", "max,wat=on"]), "'wat'"),
        (virt(&["-smp", "4000"]), "processors"),
        (virt(&["-smp", "2,sockets=2"]), "sockets=2"),
        (virt(&["-m", "999999G"]), "memory"),
        (virt(&["-accel", "kvm"]), "-accel kvm -accel tcg"),
        (virt(&["-accel", "tcg,wat=1"]), "'wat'"),
        (virt(&["-accel", "tcg,tb-size=1"]), "tb-size"),
        (virt(&["-icount", "shift=1,align=on"]), "align=on"),
        (virt(&["-kernel", "/nonexistent"]), "/nonexistent"),
        (virt(&["-bios", "/nonexistent"]), "/nonexistent"),
        (virt(&["-device", "virtio-blk-pci"]), "-device virtio-blk-device"),
        (virt(&["-device", "virtio-blk-devise"]), "is it virtio-blk-device"),
        (virt(&["-device", "pl011"]), "part of boards"),
        (virt(&["-device", "virtio-blk-device,drive=d"]), "-drive with id=d"),
        (virt(&["-device", "virtio-net-device,netdev=n"]), "-netdev with id=n"),
        (virt(&["-device", "virtio-net-device,wat=n"]), "no property 'wat'"),
        (virt(&["-device", "virtconsole"]), "virtio-serial-device"),
        (virt(&["-device", "loader,file=/nonexistent"]), "/nonexistent"),
        (virt(&["-global", "wat.x=1"]), "-global wat.x"),
        (virt(&["-object", "iothread,id=i"]), "-object iothread"),
        (virt(&["-drive", "file=/nonexistent,format=raw"]), "/nonexistent"),
        (virt(&["-drive", "file=x,if=ide,format=qcow2"]), "qcow2"),
        (virt(&["-netdev", "tap,id=n"]), "tap"),
        (virt(&["-net", "user"]), "-net nic"),
        (virt(&["-chardev", "udp,id=c,port=1"]), "udp"),
        (virt(&["-serial", "file:/nonexistent/x"]), "/nonexistent/x"),
        (virt(&["-s"]), "-gdb"),
        (virt(&["-qmp", "unix:/tmp/x,server=on,wait=off"]), "-qmp"),
        (virt(&["-loadvm", "x"]), "-loadvm"),
        (virt(&["-incoming", "defer"]), "-incoming"),
        (virt(&["-daemonize"]), "-daemonize"),
        (virt(&["-vga", "std"]), "-vga std"),
        (virt(&["-display", "gtk"]), "-display gtk"),
        (virt(&["-d", "in_asm"]), "in_asm"),
        (virt(&["-boot", "n"]), "-boot"),
        (virt(&["-uuid", "12345678-1234-1234-1234-123456789abc"]), "-uuid"),
        (virt(&["-semihosting-config", "enable=on,target=gdb"]), "target=gdb"),
    ] {
        refused(&args, want);
    }
}

#[test]
fn help_has_what_programs_look_for() {
    for (args, want) in [
        (&["--version"][..], "QEMU emulator version 10."),
        (&["-machine", "?"], "ARM Virtual Machine"),
        (&["-machine", "virt,?"], "gic-version"),
        (&["-device", "?"], "name \"virtconsole\""),
        (&["-device", "help"], "name \"virtio-blk-device\""),
        (&["-device", "virtio-net-device,help"], "mac=<str>"),
        (&["-chardev", "?"], "testdev"),
        (&["-accel", "help"], "tcg"),
        (&["-cpu", "help"], "cortex-a53"),
        (&["-netdev", "help"], "user"),
        (&["-M", "virt", "-nic", "model=help"], "virtio-net-device"),
        (&["-d", "help"], "guest_errors"),
        (&["--help"], "-nographic"),
    ] {
        let out = run(args);
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", text(&out.stderr));
        assert!(text(&out.stdout).contains(want), "{args:?}: {}", text(&out.stdout));
        assert!(out.stderr.is_empty(), "{args:?}: {}", text(&out.stderr));
    }
}

/// A stream of numbers that look random and repeat.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.next() as usize % from.len()]
    }
}

fn files() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut noise = Noise(7);
    let mut image = vec![0u8; 4096];
    image[56..60].copy_from_slice(b"ARM\x64");
    let heads: [&[u8]; 9] =
        [b"\x7fELF\x02\x01\x01", b"\x1f\x8b\x08", b"\xd0\x0d\xfe\xed", b"MZ\0\0zimg", b"\x27\x05\x19\x56", b"QFI\xfb\0\0\0\x03", &image, b"", b"#!/bin/sh\n"];
    let mut all = Vec::new();
    for (n, head) in heads.iter().enumerate() {
        for length in [0, 1, 3, 64, 700] {
            let mut bytes = head.to_vec();
            bytes.extend((0..length).map(|_| noise.next() as u8));
            let path = dir.path().join(format!("f{n}-{length}"));
            std::fs::write(&path, bytes).expect("a file");
            all.push(path);
        }
    }
    (dir, all)
}

/// How many bad command lines are tried: 2,000, or as many as PROTEUS_BAD_LINES says.
fn lines() -> u64 {
    std::env::var("PROTEUS_BAD_LINES").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000)
}

/// In this process, for speed: parsing and building, not running.
#[test]
fn no_command_line_and_no_file_makes_it_panic() {
    use proteus_cli::options::{Request, parse};
    const OPTIONS: &[&str] = &[
        "-M",
        "-cpu",
        "-smp",
        "-m",
        "-accel",
        "-kernel",
        "-initrd",
        "-append",
        "-dtb",
        "-bios",
        "-device",
        "-global",
        "-object",
        "-fw_cfg",
        "-drive",
        "-blockdev",
        "-netdev",
        "-nic",
        "-net",
        "-icount",
        "-rtc",
        "-d",
        "-semihosting-config",
        "-name",
        "-seed",
        "-action",
        "-snapshot",
        "-no-reboot",
        "-nodefaults",
        "-boot",
    ];
    const WORDS: &[&str] = &[
        "virt",
        "max",
        "cortex-a57",
        "cortex-a53",
        "pauth-impdef=on",
        "sve=off",
        "1",
        "2",
        "8",
        "64",
        "0",
        "-1",
        "1G",
        "64M",
        "0x10",
        "18446744073709551615",
        "tcg",
        "kvm",
        "interpreter",
        "thread=single",
        "thread=multi",
        "tb-size=64",
        "virtio-blk-device",
        "virtio-net-device",
        "virtio-serial-device",
        "virtconsole",
        "virtserialport",
        "virtio-rng-device",
        "loader",
        "addr=0x40000000",
        "cpu-num=1",
        "data=1",
        "data-len=4",
        "drive=d0",
        "netdev=n0",
        "chardev=c0",
        "id=d0",
        "id=n0",
        "if=none",
        "if=virtio",
        "if=pflash",
        "if=ide",
        "format=raw",
        "readonly=on",
        "user",
        "tap",
        "restrict=on",
        "net=10.0.2.0/24",
        "shift=3",
        "auto",
        "sleep=off",
        "gic-version=2",
        "gic-version=3",
        "secure=on",
        "virtualization=on",
        "highmem=off",
        "on",
        "off",
        "mac=52:54:00:12:34:56",
        "file",
        "raw",
        "node-name=x",
        "null-co",
        "unimp",
        "int",
        "é",
        ",",
        "=",
        "",
        "{",
        "help=off",
        "nr=1",
        "serial=x",
        "bus=virtio-mmio-bus.0",
    ];
    let (_dir, files) = files();
    let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    let mut noise = Noise(1);
    let (mut refused, mut built) = (0u64, 0u64);
    for n in 0..lines() {
        let mut args: Vec<String> = ["-M", "virt", "-m", "64", "-display", "none", "-serial", "null", "-monitor", "none"].map(String::from).to_vec();
        for _ in 0..=noise.next() % 4 {
            args.push(noise.pick(OPTIONS).into());
            let mut value: Vec<String> = Vec::new();
            for _ in 0..=noise.next() % 3 {
                let file = &files[noise.next() as usize % files.len()];
                value.push(match noise.next() % 5 {
                    0 => file.clone(),
                    1 => format!("file={file}"),
                    _ => noise.pick(WORDS).to_string(),
                });
            }
            args.push(value.join(","));
        }
        let shown = format!("line {n}: {args:?}");
        let attempt = std::panic::catch_unwind(|| match parse("p", args.into_iter().map(Into::into)) {
            Err(e) => Some(e.to_string()),
            Ok(Request::Help { .. }) => None,
            Ok(Request::Run(config)) => proteus_cli::run::build::build(&config, None).err().map(|e| e.to_string()),
        });
        match attempt.unwrap_or_else(|_| panic!("{shown}")) {
            Some(message) => {
                refused += 1;
                assert!((1..=2).contains(&message.lines().count()), "{shown}: {message}");
                assert!(message.starts_with("p: "), "{shown}: {message}");
            }
            None => built += 1,
        }
    }
    assert!(refused > built && built > 0, "{refused} refused, {built} built");
}

/// A run that is asked to end does so at once, says so, and succeeds.
#[test]
fn a_signal_ends_a_run_within_a_tenth_of_a_second() {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_proteus-system-aarch64"))
        .args(["-M", "virt", "-m", "64", "-S", "-display", "none", "-serial", "null", "-monitor", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // The monitor's banner: the machine has been built.
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("the banner");
    assert!(line.contains("monitor"), "{line}");
    let asked = std::time::Instant::now();
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
    let end = child.wait_with_output().expect("it ends");
    let took = asked.elapsed();
    assert_eq!(end.status.code(), Some(0), "{}", text(&end.stderr));
    assert!(text(&end.stderr).contains("terminating on signal 15"), "{}", text(&end.stderr));
    // Generous: the host may be busy.
    assert!(took < std::time::Duration::from_millis(1000), "{took:?}");
}

/// The monitor answers, and `quit` ends the program with 0.
#[test]
fn the_monitor_quits() {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_proteus-system-aarch64"))
        .args(["-M", "virt", "-m", "64", "-S", "-display", "none", "-serial", "null", "-monitor", "stdio", "-name", "guest"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.as_mut().expect("a pipe").write_all(b"info status\ninfo name\ninfo mtree\nquit\n").expect("it reads");
    let end = child.wait_with_output().expect("it ends");
    let out = text(&end.stdout);
    assert_eq!(end.status.code(), Some(0), "{out} {}", text(&end.stderr));
    assert!(out.contains("VM status: paused") && out.contains("guest\r\n") && out.contains("uart0."), "{out}");
}
