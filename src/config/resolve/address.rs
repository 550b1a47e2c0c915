//! Addresses as the operator writes them: of listeners, nodes and networks.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::upstream::{Endpoint, NodeAddress};
use crate::yaml::Diagnostic;

/// An address to listen on. `:80` is `0.0.0.0:80`; port 0 lets the system choose.
pub(super) fn bind(text: &str) -> Result<SocketAddr, Diagnostic> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix(':').and_then(port) {
        return Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    }
    Err(match text.parse() {
        Ok(address) => {
            Diagnostic::new("has no port").help(format!("write {}", at_port(address, 80)))
        }
        Err(_) if port(text).is_some() => {
            Diagnostic::new("is only a port").help(format!("write \":{text}\" or 0.0.0.0:{text}"))
        }
        Err(_) => Diagnostic::new("is not an IP address and a port")
            .help("write 0.0.0.0:80 for all addresses, \"[::]:80\" for IPv6 too"),
    })
}

/// The address of a server; port 0 is refused.
pub(super) fn server(text: &str) -> Result<SocketAddr, Diagnostic> {
    match bind(text)? {
        address if address.port() == 0 => {
            let help = format!("write the server's port: {}", SocketAddr::new(address.ip(), 53));
            Err(Diagnostic::new("has port 0").help(help))
        }
        address => Ok(address),
    }
}

/// A network, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, Diagnostic> {
    let network = text.parse::<IpNet>().map(|network| network.trunc());
    network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
        Diagnostic::new("is not a network")
            .help("write a network such as 10.0.0.0/8, or an address")
    })
}

/// Where a node listens: its address, or the path of its Unix socket.
pub(in crate::config) fn endpoint(text: &str) -> Result<Endpoint, Diagnostic> {
    match text.split_once(':') {
        Some(("unix", path)) => Endpoint::unix(path),
        Some((scheme, path)) if scheme.eq_ignore_ascii_case("unix") && port(path).is_none() => {
            let diagnostic = Diagnostic::new(format!("begins with `{scheme}:`"));
            Err(diagnostic.help(format!("write unix:{path}")))
        }
        Some(_) | None => node(text).map(Endpoint::Tcp),
    }
}

/// The address of a node.
pub(super) fn node(text: &str) -> Result<NodeAddress, Diagnostic> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(not_a_url(scheme, rest));
    }
    if text.starts_with("unix:") || text.starts_with("https+unix:") {
        let diagnostic = Diagnostic::new("is a Unix socket");
        return Err(diagnostic.help("write nodes: [unix:/run/app/1.sock], without TLS"));
    }
    if let Some((before, _)) = text.split_once('/') {
        return Err(
            Diagnostic::new("has a path").help(format!("write {before}; routes have paths"))
        );
    }
    if port(text).is_some() {
        return Err(Diagnostic::new("is only a port").help(format!("write 127.0.0.1:{text}")));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(Diagnostic::new("is an IPv6 address without brackets")
            .help("write the address in brackets and the port: \"[::1]:3000\""));
    }
    let Some((host, digits)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        return Err(Diagnostic::new("has no port").help(format!("write {text}:3000")));
    };
    match port(digits) {
        None => Err(Diagnostic::new("has no valid port").help("write a port of 1 to 65535")),
        Some(0) => {
            Err(Diagnostic::new("has port 0").help("write the port that the node listens on"))
        }
        Some(port) => Ok(NodeAddress { host: node_host(host)?, port }),
    }
}

/// Whether `name` is a host name or an IPv4 address, without a dot at its end.
pub(super) fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let is_dashed = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && label.bytes().all(is_word) && !is_dashed
    };
    // Resolvers read a name whose last label is a number as an IPv4 address.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_ip = last.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253
        && name.split('.').all(is_label)
        && (!is_ip || name.parse::<Ipv4Addr>().is_ok())
}

/// A host name, an IPv4 address, or an IPv6 address in brackets, which are removed.
pub(super) fn node_host(host: &str) -> Result<Box<str>, Diagnostic> {
    if let Some(inside) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address = inside.parse::<Ipv6Addr>();
        return address.map(|address| address.to_string().into()).map_err(|_| not_a_host());
    }
    if host.is_empty() {
        return Err(Diagnostic::new("has no host").help("write the node's host: 127.0.0.1:3000"));
    }
    // With a dot at the end, the resolver does not use the search list.
    if is_host_name(host.strip_suffix('.').unwrap_or(host)) {
        return Ok(host.to_ascii_lowercase().into());
    }
    Err(not_a_host())
}

fn not_a_host() -> Diagnostic {
    Diagnostic::new("has neither an IP address nor a host name")
        .help("write 10.0.0.1:3000, \"[::1]:3000\" or chat.example.com:3000")
}

fn not_a_url(scheme: &str, rest: &str) -> Diagnostic {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let has_port = authority.rsplit_once(':').is_some_and(|(_, digits)| port(digits).is_some());
    let address = match (has_port, scheme) {
        (true, _) => authority.to_owned(),
        (false, "https" | "wss") => format!("{authority}:443"),
        (false, _) => format!("{authority}:80"),
    };
    let help = match scheme {
        _ if scheme.contains("unix") => {
            let path = rest.trim_start_matches('/');
            format!("write unix:/{path}; there is no TLS to Unix sockets")
        }
        "https" | "wss" => format!("write {address}, and tls: on in the upstream"),
        _ => format!("write {address}"),
    };
    Diagnostic::new("is a URL, not an address").help(help)
}

fn at_port(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(_) => format!("{address}:{port}"),
        IpAddr::V6(_) => format!("\"[{address}]:{port}\""),
    }
}

/// Only digits: `u16::from_str` would accept a sign too.
fn port(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_address_is_an_ip_address_and_a_port() {
        let check = |text: &str, shown: &str| assert_eq!(bind(text).unwrap().to_string(), shown);
        check("0.0.0.0:80", "0.0.0.0:80");
        check(":80", "0.0.0.0:80");
        check("[::]:80", "[::]:80");
        check("127.0.0.1:0", "127.0.0.1:0");

        let refuse = |text: &str, what: &str| assert_eq!(bind(text).unwrap_err().what(), what);
        refuse("8080", "is only a port");
        refuse("0.0.0.0", "has no port");
        refuse("::", "has no port");
        for text in ["", ":", ":99999", ":+80", "localhost:80", "*:80", "http://0.0.0.0:80"] {
            refuse(text, "is not an IP address and a port");
        }
    }

    #[test]
    fn a_server_has_a_port() {
        assert_eq!(server("127.0.0.1:53").unwrap().to_string(), "127.0.0.1:53");
        let diagnostic = server("127.0.0.1:0").unwrap_err();
        let said = (diagnostic.what(), diagnostic.help_text());
        assert_eq!(said, ("has port 0", Some("write the server's port: 127.0.0.1:53")));
    }

    #[test]
    fn a_network_may_be_one_address() {
        let check = |text: &str, shown: &str| assert_eq!(network(text).unwrap().to_string(), shown);
        check("10.0.0.0/8", "10.0.0.0/8");
        check("10.1.2.3/8", "10.0.0.0/8");
        check("192.0.2.1", "192.0.2.1/32");
        check("::1", "::1/128");
        for text in ["", "10.0.0.0/33", "10.0.0", "private", "10.0.0.1:80"] {
            assert_eq!(network(text).unwrap_err().what(), "is not a network", "{text}");
        }
    }

    #[test]
    fn a_node_address_is_a_host_and_a_port() {
        let check = |text: &str, shown: &str| assert_eq!(node(text).unwrap().to_string(), shown);
        check("10.0.0.1:3000", "10.0.0.1:3000");
        check("[::1]:3000", "[::1]:3000");
        check("[0:0::1]:3000", "[::1]:3000");
        check("Chat_1.Example.com:3000", "chat_1.example.com:3000");
        check("chat.default.svc.cluster.local.:3000", "chat.default.svc.cluster.local.:3000");
        check("localhost:65535", "localhost:65535");
    }

    #[test]
    fn an_invalid_node_address_is_refused_with_a_hint() {
        let check = |text: &str, what: &str, help: &str| {
            let diagnostic = node(text).unwrap_err();
            assert_eq!((diagnostic.what(), diagnostic.help_text()), (what, Some(help)), "{text}");
        };
        let url = "is a URL, not an address";
        check("http://10.0.0.1:3000", url, "write 10.0.0.1:3000");
        check("http://u:p@10.0.0.1:3000/x?y", url, "write 10.0.0.1:3000");
        check("ws://10.0.0.1:3000/socket.io/", url, "write 10.0.0.1:3000");
        check("https://chat", url, "write chat:443, and tls: on in the upstream");
        check("https://[::1]:3443/", url, "write [::1]:3443, and tls: on in the upstream");
        check("wss://chat:3443", url, "write chat:3443, and tls: on in the upstream");
        check("10.0.0.1", "has no port", "write 10.0.0.1:3000");
        check("[::1]", "has no port", "write [::1]:3000");
        check("3000", "is only a port", "write 127.0.0.1:3000");
        check(":3000", "has no host", "write the node's host: 127.0.0.1:3000");
        check("a:0", "has port 0", "write the port that the node listens on");
        check("a:65536", "has no valid port", "write a port of 1 to 65535");
        check("a:+1", "has no valid port", "write a port of 1 to 65535");
        check("a:1/socket.io", "has a path", "write a:1; routes have paths");
        let brackets = "write the address in brackets and the port: \"[::1]:3000\"";
        check("::1:3000", "is an IPv6 address without brackets", brackets);
        for text in ["10.0.0.256:1", "10.0.1:1", "a b:1", "-a:1", "a..b:1", "[1]:1", "ü:1", ".:1"]
        {
            let what = "has neither an IP address nor a host name";
            assert_eq!(node(text).unwrap_err().what(), what, "{text}");
        }
    }
}
