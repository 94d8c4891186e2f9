//! The user network: address, gateway, streams both ways, and a port of the host.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use proteus_guests::console::Console;
use proteus_guests::stream::{Mode, serve};

use crate::rig::*;

const MIB: u64 = 10;

/// Serves one connection of each mode in turn; the thread gives how many bytes each moved.
fn server(modes: Vec<Mode>) -> (u16, std::thread::JoinHandle<Vec<u64>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let thread = std::thread::spawn(move || {
        let one = |mode: Mode| serve(&mut listener.accept().expect("a connection").0, mode).expect("a whole stream");
        modes.into_iter().map(one).collect()
    });
    (port, thread)
}

/// Boots with a network card: address, gateway, and streams both ways.
fn streams(linux: &Linux, words: &[&str]) -> Console {
    let mut console = linux.boot(words, "");
    let lease = shell(&mut console, "udhcpc -i eth0 -n -q", ANSWER);
    assert!(lease.contains("eth0 has 10.0.2.15/"), "{lease}");
    let ping = shell(&mut console, "ping -c 3 10.0.2.2", ANSWER);
    assert!(ping.contains("3 packets received"), "{ping}");

    let (port, thread) = server(vec![Mode::Send, Mode::Receive(MIB << 20), Mode::Echo]);
    for mode in ["send", "receive", "echo"] {
        let out = shell(&mut console, &format!("net-xfer 10.0.2.2 {port} {MIB} {mode}"), BOOT);
        assert!(out.contains("proteus-result name=net-xfer") && out.contains("status=ok"), "{mode}: {out}");
        eprintln!("figure: {} {}: {mode}: {}", linux.on.name, words.join(" "), out.trim());
    }
    assert_eq!(thread.join().expect("the server"), [MIB << 20; 3]);
    console
}

/// The board's own card by default, the same by name, virtio on PCI; with each the driver that must have found it.
pub fn cards(on: &'static Architecture, cards: &[(&[&str], &str)]) {
    let Some(linux) = Linux::find("network", on) else { return };
    for (words, driver) in cards {
        let console = &mut streams(&linux, words);
        let found = shell(console, "readlink /sys/class/net/eth0/device/driver", ANSWER);
        assert!(found.trim_end().ends_with(driver), "{words:?}: {found}");
        power_off(console);
    }
}

#[test]
fn the_cards_of_mipsel() {
    cards(&MIPSEL, &[(&["-nic", "user,model=pcnet"], "pcnet32"), (&["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"], "virtio_net")]);
}

#[test]
fn the_cards_of_mips64el() {
    cards(&MIPS64EL, &[(&["-nic", "user"], "pcnet32"), (&["-nic", "user,model=virtio"], "virtio_net")]);
}

#[test]
fn entropy_comes_from_virtio_on_pci() {
    let Some(linux) = Linux::find("network", &MIPSEL) else { return };
    let console = &mut linux.boot(&["-device", "virtio-rng-pci"], "");
    assert!(shell(console, "cat /sys/class/misc/hw_random/rng_current", ANSWER).starts_with("virtio_rng"));
    shell(
        console,
        "dd if=/dev/hwrng of=/tmp/a bs=512 count=8; dd if=/dev/hwrng of=/tmp/b bs=512 count=8; [ $(wc -c </tmp/a) = 4096 ]; ! cmp -s /tmp/a /tmp/b",
        ANSWER,
    );
    power_off(console);
}

#[test]
fn address_ping_streams_and_a_forwarded_port() {
    let Some(linux) = Linux::find("network", &ARM64) else { return };
    let words = ["-netdev", "user,id=n,hostfwd=tcp:127.0.0.1:0-:7777", "-device", "virtio-net-device,netdev=n"];
    let console = &mut streams(&linux, &words);

    // The port that the host chose is on standard error.
    let text = console.transcript();
    let forwarded = text.split("forwarding tcp:127.0.0.1:").nth(1).and_then(|rest| rest.split('-').next()).and_then(|port| port.parse::<u16>().ok());
    let forwarded = forwarded.unwrap_or_else(|| panic!("no port named\n{text}"));
    shell(console, "(until [ -s /tmp/came ]; do (echo from the guest; sleep 2) | nc -l -p 7777 > /tmp/came; done) &", ANSWER);
    // Until nc listens the guest refuses: that ends the connection, not the forwarding.
    let mut answer = String::new();
    wait_until("an answer on the forwarded port", ANSWER, || {
        let Ok(mut connection) = TcpStream::connect(("127.0.0.1", forwarded)) else { return false };
        connection.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
        // The answer first: the guest's nc ends when this side does.
        let mut bytes = [0; 64];
        match connection.read(&mut bytes) {
            Ok(count @ 1..) => answer = String::from_utf8_lossy(&bytes[..count]).into_owned(),
            _ => return false,
        }
        connection.write_all(b"from the host\n").is_ok() && connection.shutdown(std::net::Shutdown::Write).is_ok()
    });
    assert_eq!(answer, "from the guest\n");
    let came = shell(console, "until [ -s /tmp/came ]; do usleep 20000; done; cat /tmp/came", ANSWER);
    // The shell may say after it that the background job has ended.
    assert_eq!(came.lines().next(), Some("from the host"));
    power_off(console);
}
