//! The binaries as their users meet them: messages, statuses, help texts, and that no command line
//! and no file makes them panic.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use proteus_cli::config::Config;
use proteus_cli::options::{Request, parse};

/// After this a program hangs: it is killed, and the test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits for a program's end and gives all that it wrote.
fn finish(mut child: Child, what: &dyn std::fmt::Debug) -> Output {
    let end = ended(&mut child, LIMIT);
    if !end {
        let _ = child.kill();
    }
    let out = child.wait_with_output().expect("its output");
    assert!(end, "{what:?} hangs: {}", text(&out.stderr));
    out
}

/// Whether it ends within the limit. What it writes must fit in its pipes.
fn ended(child: &mut Child, limit: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < limit {
        if child.try_wait().expect("a child").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

fn start(args: &[&str], stdin: Stdio) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proteus-system-aarch64"));
    command.args(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary runs")
}

fn run(args: &[&str]) -> Output {
    finish(start(args, Stdio::null()), &args)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill -{name}");
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
        (virt(&["-loadvm", "x"]), "-loadvm"),
        (virt(&["-incoming", "defer"]), "-incoming"),
        (virt(&["-daemonize"]), "-daemonize"),
        (virt(&["-vga", "std"]), "-vga std"),
        (virt(&["-display", "gtk"]), "-display gtk"),
        (virt(&["-d", "in_asm,op_opt"]), "op_opt"),
        (virt(&["-boot", "n"]), "-boot"),
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
        match attempt(args, &shown) {
            Some(_) => refused += 1,
            None => built += 1,
        }
    }
    assert!(refused > built && built > 0, "{refused} refused, {built} built");
}

/// Parses and builds, in this process. A message, if it is refused, is of one or two lines.
fn attempt(args: Vec<String>, shown: &str) -> Option<String> {
    let build = |config: &Config| proteus_cli::run::build::build(config, None).err().map(|e| e.to_string());
    let attempt = std::panic::catch_unwind(|| match parse("p", args.into_iter().map(Into::into)) {
        Err(e) => Some(e.to_string()),
        Ok(Request::Help { .. }) => None,
        Ok(Request::Run(config)) => build(&config),
    });
    let message = attempt.unwrap_or_else(|_| panic!("{shown}"));
    if let Some(message) = &message {
        assert!((1..=2).contains(&message.lines().count()) && message.starts_with("p: "), "{shown}: {message}");
    }
    message
}

/// An ELF file with one segment, whose code branches to itself.
fn elf() -> Vec<u8> {
    let mut b = b"\x7fELF\x02\x01\x01".to_vec();
    b.resize(16, 0);
    let word = |b: &mut Vec<u8>, value: u64, n: usize| b.extend(&value.to_le_bytes()[..n]);
    // Type, machine, version, entry, program headers, sections, flags, sizes and counts.
    for (value, n) in [(2, 2), (183, 2), (1, 4), (0x4010_0000, 8), (64, 8), (0, 8), (0, 4), (64, 2), (56, 2), (1, 2), (64, 2), (0, 2), (0, 2)] {
        word(&mut b, value, n);
    }
    // A segment to load: flags, offset, addresses, sizes, alignment.
    for (value, n) in [(1, 4), (7, 4), (120, 8), (0x4010_0000, 8), (0x4010_0000, 8), (4, 8), (4096, 8), (4096, 8)] {
        word(&mut b, value, n);
    }
    word(&mut b, 0x1400_0000, 4);
    b
}

/// What a file is given to.
fn line(option: &str, file: &Path, kernel: &Path) -> Vec<String> {
    let file = file.display().to_string();
    let mut args: Vec<String> = "-M virt -m 64 -display none -serial null -monitor none".split(' ').map(String::from).collect();
    match option {
        "-drive" => args.extend(["-drive".into(), format!("if=virtio,format=raw,file={file}")]),
        "-pflash" => args.extend(["-drive".into(), format!("if=pflash,format=raw,file={file}")]),
        "-device" => args.extend(["-device".into(), format!("loader,file={file},addr=0x41000000")]),
        _ => args.extend([option.into(), file]),
    }
    if option == "-initrd" || option == "-dtb" {
        args.extend(["-kernel".into(), kernel.display().to_string()]);
    }
    args
}

/// Files that are cut off, changed or not what they should be, wherever a file can be given.
#[test]
fn broken_files_are_refused_or_run() {
    let (dir, noises) = files();
    let (path, good) = (dir.path().join("broken"), dir.path().join("good"));
    std::fs::write(&good, elf()).expect("a file");
    let mut noise = Noise(3);
    let (mut cases, mut refused) = (0, 0);
    let mut judge = |option: &str, file: &Path, shown: &str| {
        cases += 1;
        refused += u64::from(attempt(line(option, file, &good), &format!("{option} {shown}")).is_some());
    };
    for option in ["-kernel", "-initrd", "-dtb", "-bios", "-drive", "-pflash", "-device"] {
        for file in &noises {
            judge(option, file, &file.display().to_string());
        }
    }
    // Every byte of the headers, and every length.
    for at in 0..elf().len() {
        for value in [0, 0xff, noise.next() as u8] {
            let mut bytes = elf();
            bytes[at] = value;
            std::fs::write(&path, bytes).expect("a file");
            judge("-kernel", &path, &format!("ELF, byte {at} is {value:#x}"));
        }
        std::fs::write(&path, &elf()[..at]).expect("a file");
        judge("-kernel", &path, &format!("ELF, {at} bytes of it"));
    }
    // A tree that the board made.
    let Ok(Request::Run(config)) = parse("p", line("-kernel", &good, &good).into_iter().map(Into::into)) else { panic!("a good line") };
    let tree = proteus_cli::run::build::build(&config, None).unwrap_or_else(|e| panic!("{e}")).built.dtb.map(|dtb| dtb.bytes).unwrap_or_default();
    for n in 0..400 {
        let mut bytes = tree.clone();
        // Half of the changes are to the header.
        let room = if n % 2 == 0 { 40 } else { bytes.len() };
        bytes[noise.next() as usize % room] ^= 1 << (n % 8);
        if n % 5 == 0 {
            bytes.truncate(noise.next() as usize % tree.len());
        }
        std::fs::write(&path, bytes).expect("a file");
        judge("-dtb", &path, &format!("tree {n}"));
    }
    // A real kernel and a real disk, shorter and shorter.
    for (name, option) in [("arm64/Image", "-kernel"), ("arm64/initrd.gz", "-kernel"), ("arm64/initrd.gz", "-initrd"), ("arm64/rootfs.ext4", "-drive")] {
        let Ok(whole) = proteus_guests::guest_file(name).inspect_err(|e| eprintln!("SKIPPED {name} cut off: {e}")) else { continue };
        std::fs::copy(whole, &path).expect("a copy");
        let file = std::fs::File::options().write(true).open(&path).expect("the copy");
        let mut length = file.metadata().expect("the copy").len();
        while length > 0 {
            length = length * 4 / 5 - length.min(noise.next() % 7).min(length * 4 / 5);
            file.set_len(length).expect("cut off");
            judge(option, &path, &format!("{name}, {length} bytes"));
        }
    }
    eprintln!("{cases} files, {refused} refused");
    assert!(cases > 1000 && refused > cases / 4 && refused < cases, "{cases} files, {refused} refused");
}

/// What was built of a broken file runs, until it is told to end.
#[test]
fn broken_kernels_run_until_they_are_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kernel");
    let mut noise = Noise(11);
    let image =
        proteus_guests::guest_file("arm64/Image").map(|p| std::fs::read(p).expect("the kernel")).inspect_err(|e| eprintln!("SKIPPED a cut off Image: {e}"));
    for n in 0..24u64 {
        let bytes: Vec<u8> = match (n % 3, &image) {
            // Words that branch nowhere far: the low half of the encodings.
            (0, _) => (0..4096).flat_map(|_| (noise.next() as u32).to_le_bytes()).collect(),
            (1, Ok(image)) => image[..image.len() / 25 * (n as usize + 1)].to_vec(),
            _ => {
                let mut bytes = elf();
                bytes.truncate(120);
                bytes[96..104].copy_from_slice(&1024u64.to_le_bytes());
                bytes.extend((0..1024).map(|_| noise.next() as u8));
                bytes
            }
        };
        std::fs::write(&path, bytes).expect("a file");
        let file = path.display().to_string();
        let accel = ["tcg", "interpreter"][n as usize / 3 % 2];
        let words = ["-M", "virt", "-m", "128", "-display", "none", "-serial", "null", "-monitor", "none", "-no-reboot", "-accel", accel, "-kernel", &file];
        let mut child = start(&words, Stdio::null());
        if !ended(&mut child, Duration::from_millis(150)) {
            signal(&child, "TERM");
        }
        let out = finish(child, &words);
        let err = text(&out.stderr);
        // A host may be so loaded that the signal came before the run had begun.
        let ended = matches!(out.status.code(), Some(0 | 1)) || out.status.signal() == Some(15);
        assert!(ended && err.lines().count() <= 2 && !err.contains("panicked"), "kernel {n}: {:?} {err}", out.status);
    }
}

/// A run that is asked to end does so at once, says so, and succeeds.
#[test]
fn a_signal_ends_a_run_within_a_tenth_of_a_second() {
    use std::io::{BufRead, BufReader};
    for name in ["TERM", "INT", "HUP"] {
        let words = ["-M", "virt", "-m", "64", "-S", "-display", "none", "-serial", "null", "-monitor", "stdio"];
        let mut child = start(&words, Stdio::piped());
        // The monitor's banner: the machine has been built.
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut line).expect("the banner");
        assert!(line.contains("monitor"), "{line}");
        let asked = Instant::now();
        signal(&child, name);
        let end = finish(child, &name);
        let took = asked.elapsed();
        assert_eq!(end.status.code(), Some(0), "{}", text(&end.stderr));
        assert!(text(&end.stderr).contains("terminating on signal "), "{}", text(&end.stderr));
        // Generous: the host may be busy.
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

/// The monitor answers, and `quit` ends the program with 0.
#[test]
fn the_monitor_quits() {
    use std::io::Write;
    let words = ["-M", "virt", "-m", "64", "-S", "-display", "none", "-serial", "null", "-monitor", "stdio", "-name", "guest"];
    let mut child = start(&words, Stdio::piped());
    child.stdin.as_mut().expect("a pipe").write_all(b"info status\ninfo name\ninfo mtree\nquit\n").expect("it reads");
    let end = finish(child, &words);
    let out = text(&end.stdout);
    assert_eq!(end.status.code(), Some(0), "{out} {}", text(&end.stderr));
    assert!(out.contains("VM status: paused") && out.contains("guest\r\n") && out.contains("uart0."), "{out}");
}
