//! `-netdev user,...`: its options, their defaults and what they may be.

use super::NetError;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// A transport protocol that can be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port of the host that leads to a port of the guest (`hostfwd=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where the host listens. Port 0 in a specification asks for any free one.
    pub host: SocketAddrV4,
    /// Where the guest listens.
    pub guest: SocketAddrV4,
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol}:{}-{}", self.host, self.guest)
    }
}

/// Who answers the guest's DNS queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolver {
    /// The first `nameserver` of the host's `/etc/resolv.conf`, read again as it changes.
    #[default]
    Host,
    /// This server.
    Fixed(SocketAddr),
    /// Nobody: queries are answered with SERVFAIL.
    None,
}

/// The options of `-netdev user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetUserSpec {
    /// `id=`: the name by which `-device ...,netdev=` finds it.
    pub id: Option<String>,
    /// `net=`: the network's address.
    pub network: Ipv4Addr,
    /// `net=`: the length of the network's prefix.
    pub prefix: u8,
    /// `host=`: the gateway, which is also the host's loopback address seen from the guest.
    pub host: Ipv4Addr,
    /// `dns=`: the DNS forwarder.
    pub dns: Ipv4Addr,
    /// `dhcpstart=`: the first of the sixteen addresses that DHCP gives out.
    pub dhcp_start: Ipv4Addr,
    /// `hostname=`: the guest's name in DHCP answers.
    pub hostname: Option<String>,
    /// `domainname=`: the guest's domain in DHCP answers.
    pub domain: Option<String>,
    /// `dnssearch=` (may be repeated): the domain search list in DHCP answers.
    pub search: Vec<String>,
    /// `restrict=on`: the guest reaches neither the host nor anything behind it.
    pub restrict: bool,
    /// `hostfwd=` (may be repeated).
    pub forwards: Vec<Forward>,
    /// `tftp=`: the directory whose files the gateway serves by TFTP.
    pub tftp: Option<PathBuf>,
    /// `bootfile=`: the file that DHCP answers tell the guest to boot.
    pub bootfile: Option<String>,
    /// `tftp-server-name=`: the name of the TFTP server in DHCP answers.
    pub tftp_server_name: Option<String>,
    /// Who answers DNS queries. Not an option of the command line.
    pub resolver: Resolver,
}

impl Default for NetUserSpec {
    fn default() -> Self {
        NetUserSpec {
            id: None,
            network: Ipv4Addr::new(10, 0, 2, 0),
            prefix: 24,
            host: Ipv4Addr::new(10, 0, 2, 2),
            dns: Ipv4Addr::new(10, 0, 2, 3),
            dhcp_start: Ipv4Addr::new(10, 0, 2, 15),
            hostname: None,
            domain: None,
            search: Vec::new(),
            restrict: false,
            forwards: Vec::new(),
            tftp: None,
            bootfile: None,
            tftp_server_name: None,
            resolver: Resolver::Host,
        }
    }
}

/// Options that QEMU's `user` network has and this one does not.
const UNSUPPORTED: &[&str] = &["smb", "smbserver", "guestfwd", "ipv6-prefix", "ipv6-prefixlen", "ipv6-host", "ipv6-dns"];

impl NetUserSpec {
    /// Reads `user,key=value,...` (the leading `user` may be missing), where a comma inside a
    /// value is written twice.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let mut options = split(text);
        if options.first().is_some_and(|(key, value)| key == "user" && value.is_none()) {
            options.remove(0);
        }
        Self::from_options(options)
    }

    /// Reads options that are already taken apart. An option without a value is a flag.
    pub fn from_options(options: impl IntoIterator<Item = (String, Option<String>)>) -> Result<Self, NetError> {
        let mut spec = NetUserSpec::default();
        let mut network = None;
        let (mut host, mut dns, mut dhcp_start) = (None, None, None);
        let mut forwards = Vec::new();
        for (key, value) in options {
            let flag = value.is_none();
            let value = value.unwrap_or_default();
            match key.as_str() {
                "id" => spec.id = Some(value),
                "net" => network = Some(parse_network(&value)?),
                "host" => host = Some(parse_address(&key, &value)?),
                "dns" => dns = Some(parse_address(&key, &value)?),
                "dhcpstart" => dhcp_start = Some(parse_address(&key, &value)?),
                "hostname" => spec.hostname = name(&key, value, 255)?,
                "domainname" => spec.domain = name(&key, value, 255)?,
                "dnssearch" => spec.search.extend(name(&key, value, 253)?),
                "restrict" => spec.restrict = flag || parse_switch(&key, &value)?,
                "tftp" => spec.tftp = Some(directory(&key, &value)?),
                // It must end with a zero in its field of 128 bytes.
                "bootfile" => spec.bootfile = name(&key, value, 127)?,
                "tftp-server-name" => spec.tftp_server_name = name(&key, value, 255)?,
                "hostfwd" => forwards.push(value),
                "ipv4" => {
                    if !flag && !parse_switch(&key, &value)? {
                        return Err(invalid(&key, &value, "IPv6 is not implemented, so nothing would be left; leave it out"));
                    }
                }
                "ipv6" => {
                    if flag || parse_switch(&key, &value)? {
                        return Err(invalid(&key, "on", "IPv6 is not implemented; use ipv6=off"));
                    }
                }
                name if UNSUPPORTED.contains(&name) => {
                    return Err(NetError::UnsupportedOption { option: key });
                }
                _ => return Err(NetError::UnknownOption { option: key }),
            }
        }
        if let Some((address, prefix)) = network {
            (spec.network, spec.prefix) = (address, prefix);
        }
        // As QEMU has it: the host part of 0.0.2.2, .3 and .15, whatever the network.
        let inside = |host: u32| Ipv4Addr::from(u32::from(spec.network) | (host & !mask(spec.prefix)));
        spec.host = host.unwrap_or(inside(0x0202));
        spec.dns = dns.unwrap_or(inside(0x0203));
        spec.dhcp_start = dhcp_start.unwrap_or(inside(0x020f));
        spec.check_addresses()?;
        for rule in &forwards {
            spec.forwards.push(spec.parse_forward(rule)?);
        }
        Ok(spec)
    }

    fn check_addresses(&self) -> Result<(), NetError> {
        for (option, address) in [("host", self.host), ("dns", self.dns), ("dhcpstart", self.dhcp_start)] {
            if !self.contains(address) || address == self.network || address == self.broadcast() {
                let why = format!("is not a host address of the network {}/{}", self.network, self.prefix);
                return Err(invalid(option, &address.to_string(), &why));
            }
        }
        if self.host == self.dns {
            return Err(invalid("dns", &self.dns.to_string(), "is the same as host="));
        }
        if self.dhcp_start == self.host || self.dhcp_start == self.dns {
            let why = "is the same as host= or dns=; choose another first address";
            return Err(invalid("dhcpstart", &self.dhcp_start.to_string(), why));
        }
        Ok(())
    }

    /// Reads `[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport`.
    pub fn parse_forward(&self, rule: &str) -> Result<Forward, NetError> {
        const FORM: &str = "should be tcp|udp:[hostaddr]:hostport-[guestaddr]:guestport";
        let bad = |why: &str| invalid("hostfwd", rule, why);
        let (protocol, rest) = rule.split_once(':').ok_or_else(|| bad(FORM))?;
        let protocol = match protocol {
            "tcp" | "" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(bad("only tcp and udp can be forwarded")),
        };
        let (host, guest) = rest.split_once('-').ok_or_else(|| bad(FORM))?;
        let endpoint = |text: &str, default: Ipv4Addr| -> Result<SocketAddrV4, NetError> {
            let (address, port) = text.rsplit_once(':').ok_or_else(|| bad(FORM))?;
            let address = if address.is_empty() { default } else { address.parse().map_err(|_| bad(&format!("`{address}` is no IPv4 address")))? };
            let port = port.parse().map_err(|_| bad(&format!("`{port}` is no port number")))?;
            Ok(SocketAddrV4::new(address, port))
        };
        let host = endpoint(host, Ipv4Addr::UNSPECIFIED)?;
        let guest = endpoint(guest, self.dhcp_start)?;
        if guest.port() == 0 {
            return Err(bad("the guest's port cannot be 0"));
        }
        if !self.contains(*guest.ip()) || *guest.ip() == self.host || *guest.ip() == self.dns {
            let why = format!("{} cannot be the guest's address in {}/{}", guest.ip(), self.network, self.prefix);
            return Err(bad(&why));
        }
        Ok(Forward { protocol, host, guest })
    }

    /// The network's mask.
    pub fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from(mask(self.prefix))
    }

    /// The network's broadcast address.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | !mask(self.prefix))
    }

    /// Whether an address lies in the network.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == u32::from(self.network)
    }
}

/// Takes `a,b=c,d=e,,f` apart: keys, and the values of those that have one.
pub(super) fn split(text: &str) -> Vec<(String, Option<String>)> {
    let mut options = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut item = String::new();
        loop {
            match rest.find(',') {
                Some(at) if rest[at + 1..].starts_with(',') => {
                    item.push_str(&rest[..=at]);
                    rest = &rest[at + 2..];
                }
                Some(at) => {
                    item.push_str(&rest[..at]);
                    rest = &rest[at + 1..];
                    break;
                }
                None => {
                    item.push_str(rest);
                    rest = "";
                    break;
                }
            }
        }
        options.push(match item.split_once('=') {
            Some((key, value)) => (key.to_string(), Some(value.to_string())),
            None => (item, None),
        });
    }
    options
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn invalid(option: &str, value: &str, why: &str) -> NetError {
    NetError::Invalid { option: option.into(), value: value.into(), why: why.into() }
}

fn parse_switch(option: &str, value: &str) -> Result<bool, NetError> {
    match value {
        "on" | "yes" | "true" | "y" => Ok(true),
        "off" | "no" | "false" | "n" => Ok(false),
        _ => Err(invalid(option, value, "should be on or off")),
    }
}

fn parse_address(option: &str, value: &str) -> Result<Ipv4Addr, NetError> {
    value.parse().map_err(|_| invalid(option, value, "is no IPv4 address"))
}

fn directory(option: &str, value: &str) -> Result<PathBuf, NetError> {
    match Path::new(value).metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(value.into()),
        Ok(_) => Err(invalid(option, value, "is no directory")),
        Err(error) => Err(invalid(option, value, &error.to_string())),
    }
}

/// A name that must fit a DHCP option; an empty one is none.
fn name(option: &str, value: String, longest: usize) -> Result<Option<String>, NetError> {
    if value.len() > longest {
        return Err(invalid(option, &value, &format!("is longer than {longest} bytes")));
    }
    if option == "dnssearch" && value.split('.').any(|label| label.len() > 63) {
        return Err(invalid(option, &value, "has a label longer than 63 bytes"));
    }
    Ok((!value.is_empty()).then_some(value))
}

/// Reads `address`, `address/prefix` or `address/mask`.
fn parse_network(value: &str) -> Result<(Ipv4Addr, u8), NetError> {
    let bad = |why: &str| invalid("net", value, why);
    let (address, prefix) = match value.split_once('/') {
        None => {
            let address = parse_address("net", value)?;
            (address, default_prefix(address))
        }
        Some((address, prefix)) => {
            let address: Ipv4Addr = address.parse().map_err(|_| bad("is no IPv4 address"))?;
            let prefix = match (prefix.parse::<u8>(), prefix.parse::<Ipv4Addr>()) {
                (Ok(prefix), _) => prefix,
                (_, Ok(mask)) if u32::from(mask).leading_ones() == 32 - u32::from(mask).trailing_zeros() => u32::from(mask).leading_ones() as u8,
                _ => return Err(bad("what follows `/` is neither a prefix length nor a mask")),
            };
            (address, prefix)
        }
    };
    if !(4..=28).contains(&prefix) {
        return Err(bad("the prefix length should be 4 to 28"));
    }
    Ok((Ipv4Addr::from(u32::from(address) & mask(prefix)), prefix))
}

/// The prefix of a network given without one: by its class, as QEMU does it.
fn default_prefix(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [0..=127, ..] => 8,
        [172, 16..=31, ..] => 12,
        [198, 18..=19, ..] => 15,
        [128..=191, ..] | [192, 168, ..] => 16,
        _ => 24,
    }
}
