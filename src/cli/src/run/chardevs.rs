//! Character back ends between the host and the machine's ports.
//!
//! A [`CharLink`] stands between a [`Chardev`] and a device's port. Output goes straight through;
//! what the back end does not take it is told, and hears when there is room. Input is asked of the
//! back end only while the machine has room for all that may come, so no byte is lost.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use proteus_host::chardev::{CharEvent, CharSpec, Chardev, Chardevs, Sink};
use proteus_model::{CharPort, PortSender};

use super::endings::{Command, Control};
use crate::config::{CharTarget, Config};
use crate::error::{Problem, UsageError};
use crate::keyval::KeyValues;

/// Bytes that a back end may deliver before it asks again.
const CREDIT: usize = 4096;

/// `HEAD,key=value...`, as the host's own parsers take it.
pub(super) fn option_text(head: &str, properties: &KeyValues) -> String {
    let double = |text: &str| text.replace(',', ",,");
    let mut out = double(head);
    for (key, value) in &properties.0 {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(&format!("{}={}", double(key), double(value)));
    }
    out
}

/// Between a back end and a port of the machine.
pub struct CharLink {
    me: Weak<CharLink>,
    chardev: OnceLock<Chardev>,
    port: OnceLock<PortSender>,
    /// The reader was there before the port was.
    opened: Mutex<bool>,
    /// Runs must repeat: the host's speed must not show.
    deterministic: bool,
}

impl CharLink {
    fn new(deterministic: bool) -> Arc<CharLink> {
        Arc::new_cyclic(|me| CharLink { me: me.clone(), chardev: OnceLock::new(), port: OnceLock::new(), opened: Mutex::new(false), deterministic })
    }

    /// Connects the machine's side; input begins.
    pub fn connect(&self, port: PortSender) {
        if *self.opened.lock() {
            port.open(true);
        }
        let _ = self.port.set(port);
        self.more();
    }

    fn more(&self) {
        if let Some(chardev) = self.chardev.get() {
            chardev.set_can_receive(CREDIT);
        }
    }

    /// Gives the machine input; where it has no room, a thread waits for it.
    fn input(&self, bytes: Vec<u8>) {
        let Some(port) = self.port.get() else { return };
        let taken = port.bytes(&bytes);
        if taken == bytes.len() && port.wait_room(Duration::ZERO) {
            return self.more();
        }
        let (port, me) = (port.clone(), self.me.clone());
        let wait = move || {
            let mut rest = &bytes[taken..];
            loop {
                // The machine or its owner is gone: nobody is left to read.
                let Some(link) = me.upgrade() else { return };
                if port.wait_room(Duration::from_millis(100)) {
                    let n = port.bytes(rest);
                    if n == 0 && !rest.is_empty() {
                        return;
                    }
                    rest = &rest[n..];
                    if rest.is_empty() {
                        return link.more();
                    }
                }
            }
        };
        if let Err(e) = std::thread::Builder::new().name("char input".into()).spawn(wait) {
            tracing::error!("no thread for console input: {e}");
        }
    }
}

impl CharPort for CharLink {
    fn send(&self, bytes: &[u8]) -> usize {
        let Some(chardev) = self.chardev.get() else { return bytes.len() };
        if self.deterministic {
            chardev.write_blocking(bytes);
            return bytes.len();
        }
        chardev.write(bytes)
    }
}

impl Sink for CharLink {
    fn receive(&self, event: CharEvent) {
        let port = self.port.get();
        match event {
            CharEvent::Input(bytes) => self.input(bytes),
            CharEvent::Writable => port.into_iter().for_each(PortSender::writable),
            CharEvent::Opened | CharEvent::Closed => {
                let open = event == CharEvent::Opened;
                *self.opened.lock() = open;
                port.into_iter().for_each(|p| p.open(open));
            }
            // No device models a break condition; the focus is the user's business.
            CharEvent::Break | CharEvent::Focus(_) => {}
        }
    }
}

/// kvm-unit-tests' `testdev`: the guest writes `Nq` to end with status `N << 1 | 1`.
struct TestDevice {
    control: Arc<dyn Fn(u32) + Send + Sync>,
    text: Mutex<String>,
}

impl CharPort for TestDevice {
    fn send(&self, bytes: &[u8]) -> usize {
        let mut text = self.text.lock();
        for &byte in bytes {
            match byte {
                b'q' => {
                    let code = std::mem::take(&mut *text).trim().parse().unwrap_or(0u32);
                    (self.control)(code << 1 | 1);
                }
                _ if text.len() < 16 => text.push(char::from(byte)),
                _ => text.clear(),
            }
        }
        bytes.len()
    }
}

/// What a port of the machine is bound to.
pub enum Binding {
    /// Nothing.
    None,
    /// A back end.
    Link(Arc<CharLink>),
    /// Something that only listens.
    Output(Arc<dyn CharPort>),
}

impl Binding {
    /// The back end as the machine sees it.
    pub fn port(&self) -> Option<Arc<dyn CharPort>> {
        match self {
            Binding::None => None,
            Binding::Link(link) => Some(link.clone()),
            Binding::Output(port) => Some(port.clone()),
        }
    }

    /// Connects the machine's side.
    pub fn connect(&self, port: Option<PortSender>) {
        if let (Binding::Link(link), Some(port)) = (self, port) {
            link.connect(port);
        }
    }
}

/// What is done with the status that a test device was given.
type OnExit = Box<dyn Fn(u32) + Send + Sync>;

/// All back ends of a run.
pub struct Consoles {
    /// The host's side.
    pub all: Chardevs,
    deterministic: bool,
    program: String,
    test_devices: Vec<String>,
    exit: Arc<OnceLock<OnExit>>,
}

impl Consoles {
    /// Opens every `-chardev`. Waits for the clients of sockets with `wait=on`.
    pub fn new(config: &Config, control: &Arc<Control>) -> Result<Consoles, UsageError> {
        let fail = |at: &str, e: &dyn std::fmt::Display| Problem::new(e.to_string()).at(&config.program, at);
        let asked = control.clone();
        let all = Chardevs::new(move |_| asked.send(Command::Quit)).map_err(|e| fail("consoles", &e))?;
        all.set_escape(config.escape);
        let mut consoles =
            Consoles { all, deterministic: config.icount.is_some(), program: config.program.clone(), test_devices: Vec::new(), exit: Arc::default() };
        for chardev in &config.chardevs {
            if chardev.backend == "testdev" {
                consoles.test_devices.push(chardev.id.clone());
                continue;
            }
            let spec = spec(chardev).map_err(|e| fail("-chardev", &e))?;
            consoles.all.add(&spec).map_err(|e| fail("-chardev", &e))?;
        }
        Ok(consoles)
    }

    /// Sets what a `testdev` calls to end the program.
    pub fn on_exit(&self, f: impl Fn(u32) + Send + Sync + 'static) {
        let _ = self.exit.set(Box::new(f));
    }

    fn fail(&self, at: &str, e: &dyn std::fmt::Display) -> UsageError {
        Problem::new(e.to_string()).at(&self.program, at)
    }

    /// The binding of a device's port to a `-chardev` by name.
    pub fn by_name(&self, at: &str, id: &str) -> Result<Binding, UsageError> {
        if self.test_devices.iter().any(|t| t == id) {
            let exit = self.exit.clone();
            let control = Arc::new(move |code| exit.get().into_iter().for_each(|f| f(code)));
            return Ok(Binding::Output(Arc::new(TestDevice { control, text: Mutex::default() })));
        }
        let link = CharLink::new(self.deterministic);
        let chardev = self.all.attach(id, link.clone()).map_err(|e| self.fail(at, &e))?;
        let _ = link.chardev.set(chardev);
        Ok(Binding::Link(link))
    }

    /// The binding of a port that `-serial` and its like describe, and the back end's name where
    /// the monitor shares it.
    pub fn target(&self, at: &str, target: &CharTarget) -> Result<(Binding, Option<String>), UsageError> {
        match target {
            CharTarget::None => Ok((Binding::None, None)),
            CharTarget::Ref(id) => Ok((self.by_name(at, id)?, None)),
            CharTarget::Own { chardev, .. } if chardev.backend == "null" && chardev.properties.0.is_empty() => Ok((Binding::None, None)),
            CharTarget::Own { chardev, with_monitor } => {
                self.add_own(at, chardev, *with_monitor)?;
                Ok((self.by_name(at, &chardev.id)?, with_monitor.then(|| chardev.id.clone())))
            }
        }
    }

    /// Opens a back end that has no `-chardev` of its own.
    pub fn add_own(&self, at: &str, chardev: &crate::config::Chardev, shared: bool) -> Result<(), UsageError> {
        let mut spec = spec(chardev).map_err(|e| self.fail(at, &e))?;
        if shared {
            spec.mux = true;
            // The monitor is one escape away, so Ctrl-C is left to the guest.
            if let proteus_host::chardev::CharKind::Stdio { signal } = &mut spec.kind {
                *signal = false;
            }
        }
        self.all.add(&spec).map(|_| ()).map_err(|e| self.fail(at, &e))
    }
}

fn spec(chardev: &crate::config::Chardev) -> Result<CharSpec, proteus_host::chardev::CharError> {
    let mut properties = chardev.properties.clone();
    properties.push("id", chardev.id.clone());
    CharSpec::parse(&option_text(&chardev.backend, &properties))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn options_survive_being_written_out() {
        let mut kv = KeyValues::default();
        kv.push("path", "a,b=c");
        kv.push("wait", "off");
        assert_eq!(option_text("socket", &kv), "socket,path=a,,b=c,wait=off");
        assert_eq!(option_text("", &kv), "path=a,,b=c,wait=off");
    }

    #[test]
    fn a_test_device_ends_with_the_status_it_was_given() {
        let status = Arc::new(AtomicU32::new(99));
        let seen = status.clone();
        let device = TestDevice { control: Arc::new(move |c| seen.store(c, Ordering::SeqCst)), text: Mutex::default() };
        assert_eq!(device.send(b"3"), 1);
        assert_eq!(status.load(Ordering::SeqCst), 99);
        device.send(b"q");
        assert_eq!(status.load(Ordering::SeqCst), 7);
        device.send(b"99999999999999999999999q");
        assert_eq!(status.load(Ordering::SeqCst) & 1, 1);
    }
}
