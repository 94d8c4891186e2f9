//! Networks between the host and the machine's frame ports.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use proteus_host::net::{FrameSink, Netdev, UserNet};
use proteus_model::{FramePort, PortSender};

use crate::config::{Config, Nic};
use crate::error::{Problem, UsageError};
use crate::keyval::KeyValues;

/// How soon a frame is offered again that the machine had no room for.
const RETRY: Duration = Duration::from_millis(1);

/// The network's way to the guest.
#[derive(Default)]
struct Inward {
    port: OnceLock<PortSender>,
    link: OnceLock<Weak<NetLink>>,
    retrying: Arc<AtomicBool>,
}

impl FrameSink for Inward {
    fn receive(&self, frame: &[u8]) -> bool {
        let Some(port) = self.port.get() else { return false };
        if port.frame(frame) {
            return true;
        }
        // Nothing tells when the machine's queue has emptied, so ask again.
        if !self.retrying.swap(true, Ordering::SeqCst) {
            let (link, retrying) = (self.link.get().cloned(), self.retrying.clone());
            let retry = move || {
                std::thread::sleep(RETRY);
                retrying.store(false, Ordering::SeqCst);
                if let Some(link) = link.and_then(|l| l.upgrade()) {
                    link.net.guest_ready();
                }
            };
            if std::thread::Builder::new().name("net retry".into()).spawn(retry).is_err() {
                self.retrying.store(false, Ordering::SeqCst);
            }
        }
        false
    }
}

/// Between a network and a port of the machine.
pub struct NetLink {
    net: UserNet,
    inward: Arc<Inward>,
}

impl NetLink {
    /// Connects the machine's side.
    pub fn connect(&self, port: PortSender) {
        let _ = self.inward.port.set(port);
        self.net.guest_ready();
    }
}

impl FramePort for NetLink {
    fn send_frame(&self, frame: &[u8], answer: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
        self.net.send(frame, answer);
        true
    }
}

/// A network interface that the board is to have.
pub struct NicRequest {
    /// Its network.
    pub link: Arc<NetLink>,
    /// `model=`, or the board's own choice.
    pub model: Option<String>,
    /// `mac=`.
    pub mac: Option<String>,
    /// `id=`.
    pub id: Option<String>,
}

/// The networks of a run.
pub struct Networks {
    program: String,
    named: BTreeMap<String, (Arc<NetLink>, Option<String>)>,
    /// Interfaces of `-nic` and `-net nic`.
    pub nics: Vec<NicRequest>,
}

fn start(kind: &str, id: &str, properties: &KeyValues) -> Result<Arc<NetLink>, String> {
    let options = properties.0.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).chain([("id".to_string(), Some(id.to_string()))]);
    let Netdev::User(spec) = Netdev::from_options(kind, options).map_err(|e| e.to_string())?;
    let inward = Arc::new(Inward::default());
    let net = UserNet::start(spec, inward.clone()).map_err(|e| e.to_string())?;
    for line in net.notices() {
        crate::error::say(format_args!("{line}"));
    }
    let link = Arc::new(NetLink { net, inward });
    let _ = link.inward.link.set(Arc::downgrade(&link));
    Ok(link)
}

impl Networks {
    /// Starts every network of the command line.
    pub fn start(config: &Config) -> Result<Networks, UsageError> {
        let program = config.program.clone();
        let fail = |at: &str, text: String| Problem(text).at(&program, at);
        let mut all = Networks { program: program.clone(), named: BTreeMap::new(), nics: Vec::new() };
        for netdev in &config.netdevs {
            let link = start(&netdev.kind, &netdev.id, &netdev.properties).map_err(|e| fail("-netdev", e))?;
            all.named.insert(netdev.id.clone(), (link, None));
        }
        let (mut interfaces, mut backends) = (Vec::new(), Vec::new());
        for (n, nic) in config.nics.iter().enumerate() {
            match nic {
                Nic::None => {}
                Nic::Both { kind, properties } => {
                    let mut properties = properties.clone();
                    let (model, mac, id) = (properties.take("model"), properties.take("mac"), properties.take("id"));
                    refuse_keys(&properties, &["netdev", "addr", "vectors"]).map_err(|e| fail("-nic", e))?;
                    let link = start(kind, id.as_deref().unwrap_or(&format!("nic{n}")), &properties).map_err(|e| fail("-nic", e))?;
                    all.nics.push(NicRequest { link, model, mac, id });
                }
                Nic::Interface(properties) => interfaces.push(properties.clone()),
                Nic::Backend { kind, properties } => backends.push((kind, properties)),
            }
        }
        // The legacy hub: one interface and one back end are two ends of a cable.
        if interfaces.len() > 1 || backends.len() > 1 {
            return Err(fail("-net", "a hub with more than one interface and one back end is not implemented; give -nic or -netdev and -device".into()));
        }
        match (interfaces.pop(), backends.pop()) {
            (None, None) => {}
            (Some(mut nic), Some((kind, properties))) => {
                let (model, mac, id) = (nic.take("model"), nic.take("macaddr"), nic.take("name"));
                nic.nothing_left(&["model", "macaddr", "name"]).map_err(|p| p.at(&program, "-net nic"))?;
                let mut properties = properties.clone();
                properties.take("name");
                let link = start(kind, "net0", &properties).map_err(|e| fail("-net", e))?;
                all.nics.push(NicRequest { link, model, mac, id });
            }
            (Some(_), None) => return Err(fail("-net nic", "has nothing at its other end; give -net user too".into())),
            (None, Some((kind, _))) => return Err(fail(&format!("-net {kind}"), "has no interface at its other end; give -net nic too".into())),
        }
        Ok(all)
    }

    /// The network that `-device ...,netdev=NAME` means. Each serves one device.
    pub fn take(&mut self, at: &str, name: &str, user: &str) -> Result<Arc<NetLink>, UsageError> {
        let fail = |text: String| Problem(text).at(&self.program, at);
        let Some((link, used)) = self.named.get_mut(name) else {
            return Err(fail(format!("there is no -netdev with id={name}")));
        };
        match used.replace(user.into()) {
            None => Ok(link.clone()),
            Some(other) => Err(fail(format!("netdev '{name}' is in use by {other}"))),
        }
    }

    /// Networks that nothing is connected to.
    pub fn unused(&self) -> Vec<&str> {
        self.named.iter().filter(|(_, (_, user))| user.is_none()).map(|(id, _)| id.as_str()).collect()
    }
}

fn refuse_keys(properties: &KeyValues, keys: &[&str]) -> Result<(), String> {
    match keys.iter().find(|key| properties.get(key).is_some()) {
        Some(key) => Err(format!("'{key}' is understood by QEMU, not yet implemented in Proteus")),
        None => Ok(()),
    }
}
