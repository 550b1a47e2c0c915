//! `listeners:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{access, address, tls};
use crate::acme;
use crate::config::file::listener::{self as keys, Listener};
use crate::config::named_files::NamedFiles;
use crate::listener::head_guard::HeadLimits;
use crate::listener::settings::ProxyProtocol;
use crate::listener::{Http2, Settings};
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report, units};

/// The listeners, each with the path of its address; the default one if the file has none.
pub(super) fn resolve(
    path: &KeyPath,
    (written, acme): (Option<&[Option<Listener>]>, Option<&acme::Settings>),
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Vec<(KeyPath, Settings)> {
    let Some(written) = written else { return vec![(path.clone(), Settings::default())] };
    if written.is_empty() {
        let diagnostic = Diagnostic::new("has no listener");
        report.refuse(path, diagnostic.help("remove the key to listen on 0.0.0.0:8080"));
    }
    let items = written.iter().enumerate().map(|(i, item)| (path.index(i), item.as_ref()));
    let items = report.filled(items);
    let read = |(path, listener): (KeyPath, &Listener)| {
        Some((path.key("bind"), one(&path, (listener, acme), files, report)?))
    };
    items.into_iter().filter_map(read).collect()
}

fn one(
    path: &KeyPath,
    (listener, acme): (&Listener, Option<&acme::Settings>),
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Settings> {
    let header_timeout = listener.header_timeout.as_ref().map(RawScalar::as_str);
    let bind = listener.bind.as_ref().map(RawScalar::as_str);

    let head = head(path, listener, report);
    let (http2, http2_streams_max) = http2(path, listener, report);
    let trusted_proxies =
        access::networks(&path.key("trusted_proxies"), &listener.trusted_proxies, report);
    let header_timeout = report.read(
        &path.key("header_timeout"),
        header_timeout,
        Settings::HEADER_TIMEOUT,
        |text| units::duration(text, &keys::HEADER_TIMEOUT),
    );
    let (keep_alive_timeout, keep_alive_requests) = keep_alive(path, listener, report);
    let tls = listener.tls.as_ref();
    let tls = tls.and_then(|written| {
        let written = (written, acme, alpn(http2));
        tls::resolve(&path.key("tls"), written, files, report)
    });
    let redirect_http = redirect_http(&path.key("redirect_http"), listener, report);
    let proxy_protocol = report.read(
        &path.key("proxy_protocol"),
        listener.proxy_protocol.as_ref().map(RawScalar::as_str),
        ProxyProtocol::Off,
        |text| proxy_protocol(text, &trusted_proxies),
    );
    let max_connections = report.read(
        &path.key("max_connections"),
        listener.max_connections.as_ref().map(RawScalar::as_str),
        None,
        |text| keys::MAX_CONNECTIONS.parse(text),
    );
    let bind = report.require(&path.key("bind"), bind, "bind: 0.0.0.0:8080", address::bind)?;
    Some(Settings {
        bind,
        trusted_proxies: trusted_proxies.into(),
        proxy_protocol,
        tls,
        http2,
        http2_streams_max,
        redirect_http,
        max_connections,
        head,
        header_timeout,
        keep_alive_timeout,
        keep_alive_requests,
    })
}

fn keep_alive(
    path: &KeyPath,
    listener: &Listener,
    report: &mut Report<'_>,
) -> (Duration, NonZeroU32) {
    let timeout = report.read(
        &path.key("keep_alive_timeout"),
        listener.keep_alive_timeout.as_ref().map(RawScalar::as_str),
        Settings::KEEP_ALIVE_TIMEOUT,
        |text| units::duration(text, &keys::KEEP_ALIVE_TIMEOUT),
    );
    let requests = report.read(
        &path.key("keep_alive_requests"),
        listener.keep_alive_requests.as_ref().map(RawScalar::as_str),
        Settings::KEEP_ALIVE_REQUESTS,
        |text| keys::KEEP_ALIVE_REQUESTS.parse(text),
    );
    (timeout, requests)
}

fn http2(path: &KeyPath, listener: &Listener, report: &mut Report<'_>) -> (Http2, NonZeroU32) {
    let http2 = report.read(
        &path.key("http2"),
        listener.http2.as_ref().map(RawScalar::as_str),
        Http2::default(),
        |text| keys::HTTP2.parse(text),
    );
    let streams_max = report.read(
        &path.key("http2_streams_max"),
        listener.http2_streams_max.as_ref().map(RawScalar::as_str),
        Settings::HTTP2_STREAMS_MAX,
        |text| keys::HTTP2_STREAMS_MAX.parse(text),
    );
    (http2, streams_max)
}

/// The protocols that are offered by ALPN, best first (RFC 7301, RFC 9113, section 3.2).
fn alpn(http2: Http2) -> Vec<Vec<u8>> {
    let http1 = b"http/1.1".to_vec();
    match http2 {
        Http2::Off => vec![http1],
        Http2::On => vec![b"h2".to_vec(), http1],
    }
}

/// The port to redirect to.
fn redirect_http(path: &KeyPath, listener: &Listener, report: &mut Report<'_>) -> Option<u16> {
    let written = listener.redirect_http.as_ref().map(RawScalar::as_str);
    let redirect = report.read(path, written, None, |text| {
        units::off_or(text, |text| match text {
            "on" => Ok(HTTPS_PORT),
            text => units::number(text, &keys::PORT)
                .map(|port| u16::try_from(port).unwrap_or(HTTPS_PORT))
                .map_err(|diagnostic| diagnostic.or_write("on")),
        })
    });
    if redirect.is_some() && listener.tls.is_some() {
        let diagnostic = Diagnostic::new("is for plain HTTP, and this listener has `tls`");
        report.refuse(path, diagnostic.help("write it for the listener on port 80"));
    }
    redirect
}

/// RFC 9110, section 4.2.2.
const HTTPS_PORT: u16 = 443;

/// A header is worth nothing if nobody may send one.
fn proxy_protocol(
    word: &str,
    trusted_proxies: &[ipnet::IpNet],
) -> Result<ProxyProtocol, Diagnostic> {
    let chosen = keys::PROXY_PROTOCOL.parse(word)?;
    if chosen != ProxyProtocol::Off && trusted_proxies.is_empty() {
        let diagnostic = Diagnostic::new("needs trusted_proxies, and there are none");
        let help = "write trusted_proxies: [10.0.0.0/24] with the addresses of your balancers";
        return Err(diagnostic.help(help));
    }
    Ok(chosen)
}

fn head(path: &KeyPath, listener: &Listener, report: &mut Report<'_>) -> HeadLimits {
    let default = HeadLimits::default();
    HeadLimits {
        bytes_max: report.read(
            &path.key("head_max"),
            listener.head_max.as_ref().map(RawScalar::as_str),
            default.bytes_max,
            |text| units::size_in_memory(text, &keys::HEAD_MAX),
        ),
        fields_max: report.read(
            &path.key("head_fields_max"),
            listener.head_fields_max.as_ref().map(RawScalar::as_str),
            default.fields_max,
            |text| units::number(text, &keys::HEAD_FIELDS_MAX).map(|number| number as usize),
        ),
    }
}
