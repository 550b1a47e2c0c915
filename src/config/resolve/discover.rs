//! `discover:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::address;
use crate::config::file::upstream as keys;
use crate::upstream::NodeAddress;
use crate::upstream::settings::{Discover, Source};
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report, units};

/// The source of the nodes, from the map at `path`.
pub(super) fn resolve(
    path: &KeyPath,
    written: &keys::Discover,
    report: &mut Report<'_>,
) -> Option<Discover> {
    let every = report.read(
        &path.key("every"),
        written.every.as_ref().map(RawScalar::as_str),
        Discover::EVERY,
        |text| units::duration(text, &keys::EVERY),
    );
    let server = report.optional(
        &path.key("server"),
        written.server.as_ref().map(RawScalar::as_str),
        address::server,
    );
    let dns_help = "dns: chat.internal:3000";
    let dns = report.chosen(&path.key("dns"), written.dns.as_ref(), dns_help);
    let srv_help = "srv: _socketio._tcp.chat.internal";
    let srv = report.chosen(&path.key("srv"), written.srv.as_ref(), srv_help);
    let source = match (dns, srv) {
        (Some(dns), None) => report.optional(&path.key("dns"), Some(dns), addresses),
        (None, Some(srv)) => report.optional(&path.key("srv"), Some(srv), services),
        (Some(_), Some(_)) | (None, None) => {
            report.refuse(path, Diagnostic::new("must be one source").help(HELP));
            None
        }
    };
    Some(Discover { source: source?, every, server })
}

fn addresses(text: &str) -> Result<Source, Diagnostic> {
    let address: NodeAddress = address::node(text)?;
    match address.host.parse::<std::net::IpAddr>() {
        Ok(_) => {
            Err(Diagnostic::new("is already an address").help(format!("write nodes: [{text}]")))
        }
        Err(_not_an_ip_address) => Ok(Source::Addresses(address)),
    }
}

/// A name such as `_socketio._tcp.chat.example.com`.
fn services(text: &str) -> Result<Source, Diagnostic> {
    let is_label = |label: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(Source::Services(text.into()));
    }
    let diagnostic = Diagnostic::new("is not an SRV name");
    Err(diagnostic.help("write a name such as _socketio._tcp.chat.example.com, without a port"))
}

const HELP: &str = "write dns: chat.internal:3000, or srv: _socketio._tcp.chat.internal";
