use super::*;
use crate::session::{Inbox, Message};
use crate::testing::{Kept, Random, rounds, subject};
use proteus_exec::runner::{RunState, Runner};

fn answers(lines: &[&str]) -> String {
    let (subject, _) = subject();
    let mut hmp = Hmp::default();
    lines.iter().map(|line| hmp.answer(&subject, line)).collect()
}

#[test]
fn lines_are_answered() {
    let more = |name: &str| format!("Try \"help {name}\" for more information\n");
    let cases: &[(&[&str], String)] = &[
        (&["", "   "], String::new()),
        (&["info status"], "VM status: paused (prelaunch)\n".into()),
        (&["info name"], "guest\n".into()),
        (&["info chardev"], "con: filename=pty:/dev/pts/7\n".into()),
        (&["info cpus", "cpu 1", "info cpus"], "* CPU #0: thread_id=101\n  CPU #1: thread_id=102\n  CPU #0: thread_id=101\n* CPU #1: thread_id=102\n".into()),
        (&["cpu 9"], "invalid CPU index\n".into()),
        (&["info jit"], "interpreter\n".into()),
        (&["info network"], "net0: type=user\n".into()),
        (&["info roms"], "addr=0000000000001000 size=0x000020 mem=ram name=\"kernel\"\n".into()),
        (&["info mtree"], "address-space: memory\n  0000000000001000-0000000000010fff (prio 0, ram): ram\n".into()),
        (&["info irq"], "CPU #0: lines 0x0\nCPU #1: lines 0x0\ndevice reads 0, writes 0, alarms 0, host events 0\n".into()),
        (&["info tlb"], "info tlb: not there for this architecture; gva2gpa translates an address\n".into()),
        (&["info qom-tree"], "/machine (test-machine)\n  /core0 (container)\n  /core1 (container)\n  /peripheral (container)\n".into()),
        (&["cpu 1", "info registers"], "\nCPU#1\n PC=0000000000001004 X00=0000000000000001 X01=0000000000001234\n SP=0000000000002000\nMODE=1\n".into()),
        (&["p/d 1+2*3", "p 8", "p/x 8", "p 'a'", "print /c 65"], "7\n8\n0x8\n0x61\n'A'\n".into()),
        (&["p $pc", "p $X1+1"], "0x1004\n0x1235\n".into()),
        (&["p $foo"], format!("unknown register\n{}", more("print"))),
        (&["p (1"], format!("')' expected\n{}", more("print"))),
        (&["x"], format!("unexpected end of expression\n{}", more("x"))),
        (&["x/q 0"], format!("invalid char in format; there are x d u o c i s and sizes b h w g\n{}", more("x"))),
        (&["xp/10xb 0x1200"], "0000000000001200: 0x00 0x01 0x02 0x03 0x04 0x05 0x06 0x07\n0000000000001208: 0x08 0x09\n".into()),
        (&["x/2xw 0x80001200", "x/1 0x80001204"], "0000000080001200: 0x03020100 0x07060504\n0000000080001204: 0x07060504\n".into()),
        (&["xp/2c 0x1103"], "0000000000001103: 's' '\\x00'\n".into()),
        (&["xp/2s 0x1100"], "0x1100: \"it\\'s\"\n0x1105: \"so\\n\"\n".into()),
        (&["xp/2i 0x1000"], "0x00001000:  d503201f  nop\n0x00001004:  d503201f  nop\n".into()),
        (&["xp/3xb 0x10fff"], "0000000000010fff: 0x00\nCannot access memory at address 0x11000\n".into()),
        (&["x/xb 0"], "Cannot access memory at address 0x0\n".into()),
        (&["x/9999999xg 0"], "too much: 1048576 bytes are shown at most\n".into()),
        (&["x/99999999999999999999xg 0"], format!("the count is too large\n{}", more("x"))),
        (&["gva2gpa 0x80001234", "gva2gpa 0"], "gpa: 0x1234\nUnmapped\n".into()),
        (&["gpa2hva 0"], "gpa2hva: host addresses of guest memory are not given out; x and memsave read it\n".into()),
        (&["nmi"], "nmi: no board of this program has a non-maskable interrupt\n".into()),
        (&["log int", "log foo"], "unknown log item 'foo'\n".into()),
        (&["log"], format!("log: items are missing\n{}", more("log"))),
        (&["help stop", "help info tlb"], "stop|s -- stop the processors\ninfo tlb -- the entries of the core's TLB\n".into()),
        (&["stop 1"], format!("stop|s: extraneous characters at the end of line\n{}", more("stop"))),
        (&["savevm x\x1b", "info foo"], "unknown command: 'savevm'\nunknown command: 'info foo'\n".into()),
        (&["screendump"], format!("the name of a file is missing\n{}", more("screendump"))),
        (&["screendump /nonexistent/x"], "Error: There is no console to take a screendump from, or it shows nothing\n".into()),
        (&["memsave 0 1"], format!("the name of a file is missing\n{}", more("memsave"))),
        (&["pmemsave 0x1000 1 \"/nonexistent/a b\""], "Error: Could not open '/nonexistent/a b': No such file or directory\n".into()),
    ];
    for (lines, want) in cases {
        assert_eq!(answers(lines), *want, "{lines:?}");
    }
    assert_eq!(answers(&["xp/2dh 0x1280"]), "0000000000001280: -32384 -31870\n");
    assert_eq!(answers(&["xp/1ob 0x12ff", "xp/2ub 0x1209"]), "00000000000012ff: 0377\n0000000000001209:   9  10\n");
}

#[test]
fn every_command_has_help_and_does_what_it_says() {
    let (subject, run) = subject();
    let mut hmp = Hmp::default();
    let help = hmp.answer(&subject, "help");
    assert!(COMMANDS.iter().all(|row| help.contains(row.doc) && row.names.iter().all(|n| help.contains(n))));
    let info = hmp.answer(&subject, "info");
    assert!(INFO.iter().all(|row| info.contains(row.doc)));
    for line in ["c", "stop", "system_reset", "system_powerdown", "q"] {
        assert_eq!(hmp.answer(&subject, line), "", "{line}");
    }
    assert_eq!(*run.told.lock(), ["resume", "pause", "reset", "power down", "quit"]);
    assert_eq!(run.state(), RunState::Paused(proteus_exec::runner::Pause::Asked));
}

#[test]
fn words_are_completed_where_they_stand() {
    let (subject, _) = subject();
    let cases: &[(&str, &[&str])] =
        &[("q", &["quit", "q"]), ("info st", &["status"]), ("help sto", &["stop"]), ("log int,gu", &["guest_errors"]), ("x 1", &[]), ("info status ", &[])];
    for (head, want) in cases {
        assert_eq!(complete(&subject, head), *want, "{head}");
    }
}

#[test]
fn a_terminal_shows_what_is_typed_and_answered() {
    let (subject, _) = subject();
    let (inbox, wire) = (Inbox::default(), Kept::default());
    let messages = [
        Message::Opened,
        Message::Input(b"info sta\t\r".to_vec()),
        Message::Input(b"info history\r\nq".to_vec()),
        Message::Closed,
        Message::Opened,
        Message::End,
    ];
    messages.into_iter().for_each(|m| inbox.post(m));
    terminal::Terminal::new(&subject, &wire, false).run(&inbox);
    let banner = "QEMU 10.0.2 monitor - type 'help' for more information\r\n(qemu) ";
    let want = "info status \r\nVM status: paused (prelaunch)\r\n(qemu) info history\r\n0: 'info status '\r\n1: 'info history'\r\n(qemu) q";
    assert_eq!(wire.take(), format!("{banner}{want}{banner}"));
}

#[test]
fn garbage_neither_panics_nor_hangs() {
    let (subject, _) = subject();
    let mut hmp = Hmp::default();
    let mut random = Random(2);
    let words: Vec<&str> =
        COMMANDS.iter().chain(INFO).flat_map(|r| r.names.iter().copied()).filter(|n| !matches!(*n, "memsave" | "pmemsave" | "screendump")).collect();
    for _ in 0..rounds(10_000, 1_000_000) {
        let mut line = words[random.below(words.len())].to_string();
        for _ in 0..random.below(5) {
            match random.below(4) {
                0 => line.push_str(words[random.below(words.len())]),
                1 => line.push(char::from(random.below(128) as u8)),
                2 => line.push_str(["/", " ", "$", "(", "0x", "-", "\u{e9}", "/8xg ", "/i ", "0xffffffffffffffff "][random.below(10)]),
                _ => line.push_str(&random.below(usize::MAX).to_string()),
            }
        }
        hmp.answer(&subject, &line);
        complete(&subject, &line);
    }
}
