//! The options of `-netdev`.

use crate::net::{KINDS, NetUserSpec, Netdev};

/// Addresses of the network in the order of `net=`, prefix, `host=`, `dns=`, `dhcpstart=`.
fn addresses(spec: &NetUserSpec) -> String {
    format!("{}/{} {} {} {}", spec.network, spec.prefix, spec.host, spec.dns, spec.dhcp_start)
}

#[test]
fn networks_and_their_defaults() {
    for (options, expected) in [
        ("user,id=n", "10.0.2.0/24 10.0.2.2 10.0.2.3 10.0.2.15"),
        ("", "10.0.2.0/24 10.0.2.2 10.0.2.3 10.0.2.15"),
        ("net=192.168.7.0/24", "192.168.7.0/24 192.168.7.2 192.168.7.3 192.168.7.15"),
        ("net=192.168.7.9/255.255.255.0", "192.168.7.0/24 192.168.7.2 192.168.7.3 192.168.7.15"),
        ("net=10.0.0.0", "10.0.0.0/8 10.0.2.2 10.0.2.3 10.0.2.15"),
        ("net=172.16.0.0", "172.16.0.0/12 172.16.2.2 172.16.2.3 172.16.2.15"),
        ("net=10.9.0.0/16,host=10.9.0.1,dns=10.9.0.4,dhcpstart=10.9.1.1", "10.9.0.0/16 10.9.0.1 10.9.0.4 10.9.1.1"),
    ] {
        assert_eq!(addresses(&NetUserSpec::parse(options).unwrap()), expected, "{options}");
    }
}

#[test]
fn all_options_are_read() {
    let text = "user,id=net0,restrict=on,hostname=a,,b,domainname=d,dnssearch=x,dnssearch=y,\
                ipv4=on,ipv6=off,hostfwd=tcp::2222-:22,hostfwd=udp:127.0.0.1:0-10.0.2.20:53,\
                hostfwd=::80-:8080";
    let Netdev::User(spec) = Netdev::parse(text).unwrap();
    assert_eq!(spec.id.as_deref(), Some("net0"));
    assert!(spec.restrict);
    assert_eq!(spec.hostname.as_deref(), Some("a,b"));
    assert_eq!(spec.domain.as_deref(), Some("d"));
    assert_eq!(spec.search, ["x", "y"]);
    let rules: Vec<_> = spec.forwards.iter().map(ToString::to_string).collect();
    let expected = ["tcp:0.0.0.0:2222-10.0.2.15:22", "udp:127.0.0.1:0-10.0.2.20:53", "tcp:0.0.0.0:80-10.0.2.15:8080"];
    assert_eq!(rules, expected);
    assert_eq!(Netdev::parse("type=user,id=a").unwrap(), Netdev::parse("user,id=a").unwrap());
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (text, expected) in [
        ("tap,id=n", "-netdev tap: not implemented"),
        ("vhost-user,chardev=c", "-netdev vhost-user: not implemented"),
        ("carrier-pigeon,id=n", "no network back end `carrier-pigeon`"),
        ("user", "`id=` is missing"),
        ("user,id=n,tftp=/nowhere/at/all", "tftp=/nowhere/at/all: No such file"),
        ("user,id=n,tftp=/dev/null", "tftp=/dev/null: is no directory"),
        ("user,id=n,smb=/srv", "`smb=` is not implemented"),
        ("user,id=n,guestfwd=tcp:10.0.2.9:1-cmd:x", "`guestfwd=` is not implemented"),
        ("user,id=n,ipv6=on", "ipv6=on: IPv6 is not implemented"),
        ("user,id=n,ipv6-host=fec0::2", "`ipv6-host=` is not implemented"),
        ("user,id=n,ipv4=off", "ipv4=off: IPv6 is not implemented"),
        ("user,id=n,mtu=9000", "there is no option `mtu`"),
        ("user,id=n,restrict=maybe", "restrict=maybe: should be on or off"),
        ("user,id=n,net=10.0.2.0/30", "net=10.0.2.0/30: the prefix length should be 4 to 28"),
        ("user,id=n,net=10.0.2.0/255.0.255.0", "neither a prefix length nor a mask"),
        ("user,id=n,net=ten", "net=ten: is no IPv4 address"),
        ("user,id=n,host=1.2.3.4", "host=1.2.3.4: is not a host address of the network 10.0.2.0/24"),
        ("user,id=n,dns=10.0.2.255", "dns=10.0.2.255: is not a host address"),
        ("user,id=n,dns=10.0.2.2", "dns=10.0.2.2: is the same as host="),
        ("user,id=n,dhcpstart=10.0.2.3", "dhcpstart=10.0.2.3: is the same"),
        ("user,id=n,hostfwd=tcp:22", "hostfwd=tcp:22: should be tcp|udp:"),
        ("user,id=n,hostfwd=sctp::1-:2", "only tcp and udp can be forwarded"),
        ("user,id=n,hostfwd=tcp::99999-:2", "`99999` is no port number"),
        ("user,id=n,hostfwd=tcp::1-:0", "the guest's port cannot be 0"),
        ("user,id=n,hostfwd=tcp:localhost:1-:2", "`localhost` is no IPv4 address"),
        ("user,id=n,hostfwd=tcp::1-10.0.2.2:2", "10.0.2.2 cannot be the guest's address"),
    ] {
        let error = Netdev::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.starts_with("-netdev"), "{error}");
    }
    for (kind, implemented) in KINDS {
        let result = Netdev::parse(&format!("{kind},id=n"));
        assert_eq!(result.is_ok(), *implemented, "{kind}");
    }
}
