//! Network interfaces and what they connect to.

use super::{HelpRequest, Row, option, required, row};
use crate::config::{Netdev, Nic};
use crate::error::{Problem, shorten};
use crate::keyval::{HelpWanted, KeyValues, identifier};

pub(super) const ROWS: &[Row] = &[row::<NetdevOption>(), row::<NicOption>(), row::<Net>()];

/// The back ends of QEMU 10. Which of them there are is the network layer's to say.
const KINDS: &[&str] = &[
    "user",
    "tap",
    "bridge",
    "socket",
    "stream",
    "dgram",
    "l2tpv3",
    "vde",
    "vhost-user",
    "vhost-vdpa",
    "hubport",
    "af-xdp",
    "passt",
    "netmap",
    "vmnet-host",
    "vmnet-shared",
    "vmnet-bridged",
];

fn known_kind(kind: &str) -> Result<(), Problem> {
    if KINDS.contains(&kind) {
        return Ok(());
    }
    Err(format!("unknown network back end '{}'; see -netdev help", shorten(kind)).into())
}

option! {
    /// A network back end that a -device refers to ('-netdev help' lists them)
    NetdevOption: "netdev" => "KIND,id=ID[,KEY=VALUE]... | JSON", |draft, text| {
        let mut given = KeyValues::parse_or_json(text, Some("type"))?;
        if given.help_wanted("type") != HelpWanted::No {
            draft.wants(HelpRequest::Netdevs);
            return Ok(());
        }
        let kind = required(&mut given, "type", "-netdev user,id=net0")?;
        known_kind(&kind)?;
        let id = required(&mut given, "id", "-netdev user,id=net0")?;
        identifier(&id)?;
        draft.config.default_nic = false;
        draft.config.netdevs.push(Netdev { kind, id, properties: given });
    }
}

option! {
    /// A network interface and its back end in one, or none
    NicOption: "nic" => "KIND[,model=MODEL][,mac=ADDRESS][,KEY=VALUE]... | none", |draft, text| {
        let mut given = KeyValues::parse(text, Some("type"))?;
        if given.help_wanted("type") != HelpWanted::No {
            draft.wants(HelpRequest::Netdevs);
            return Ok(());
        }
        if given.help_wanted("model") == HelpWanted::List {
            draft.wants(HelpRequest::NicModels);
            return Ok(());
        }
        draft.config.default_nic = false;
        let kind = given.take("type").unwrap_or_else(|| "user".into());
        if kind == "none" {
            given.nothing_left(&["none"])?;
            draft.config.nics.push(Nic::None);
            return Ok(());
        }
        known_kind(&kind)?;
        mac(&given, "mac")?;
        draft.config.nics.push(Nic::Both { kind, properties: given });
    }
}

option! {
    /// The old form: an interface or a back end on a common hub, or none
    Net: "net" => "nic[,model=MODEL][,macaddr=ADDRESS] | KIND[,KEY=VALUE]... | none", |draft, text| {
        let mut given = KeyValues::parse(text, Some("type"))?;
        if given.help_wanted("type") != HelpWanted::No {
            draft.wants(HelpRequest::Netdevs);
            return Ok(());
        }
        let kind = required(&mut given, "type", "-net nic -net user")?;
        let nic = match kind.as_str() {
            "none" => {
                given.nothing_left(&["none"])?;
                Nic::None
            }
            "nic" if given.help_wanted("model") == HelpWanted::List => {
                draft.wants(HelpRequest::NicModels);
                return Ok(());
            }
            "nic" => {
                mac(&given, "macaddr")?;
                Nic::Interface(given)
            }
            _ => {
                known_kind(&kind)?;
                Nic::Backend { kind, properties: given }
            }
        };
        draft.config.default_nic = false;
        draft.config.nics.push(nic);
    }
}

/// Refuses a hardware address that is none.
fn mac(given: &KeyValues, key: &str) -> Result<(), Problem> {
    let Some(address) = given.get(key) else { return Ok(()) };
    let bytes: Vec<_> = address.split([':', '-']).collect();
    let good = |b: &&str| b.len() == 2 && b.bytes().all(|c| c.is_ascii_hexdigit());
    if bytes.len() == 6 && bytes.iter().all(good) {
        return Ok(());
    }
    let what = "is an address such as 52:54:00:12:34:56";
    Err(format!("'{key}' {what}, not '{}'", shorten(address)).into())
}
