//! `listeners:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::address;
use crate::config::file::{Listener, Written};
use crate::config::key_path::KeyPath;
use crate::config::problem::Fault;
use crate::config::report::Report;
use crate::config::units;
use crate::listener::Settings;

/// The listeners; the default one if the file names none.
pub(super) fn resolve(
    path: &KeyPath,
    written: Option<&[Option<Listener>]>,
    report: &mut Report<'_>,
) -> Vec<Settings> {
    let Some(written) = written else { return vec![Settings::default()] };
    if written.is_empty() {
        let fault = Fault::new("has no listener");
        report.refuse(path, fault.help("take the key out to listen on 0.0.0.0:8080"));
    }
    let items = written.iter().enumerate().map(|(i, item)| (path.index(i), item.as_ref()));
    let mut first_with = HashMap::new();
    let mut listeners = Vec::new();
    for (path, listener) in report.filled(items) {
        let Some(settings) = one(&path, listener, report) else { continue };
        // Port 0 is another port each time.
        let first = (settings.bind.port() != 0)
            .then(|| first_with.insert(settings.bind, path.clone()))
            .flatten();
        if let Some(first) = first {
            let first = report.locate(&first.key("bind"));
            let fault = Fault::new(format!("is the same as {first}"));
            report.refuse(&path.key("bind"), fault.help("take one of the two out"));
        }
        listeners.push(settings);
    }
    listeners
}

fn one(path: &KeyPath, listener: &Listener, report: &mut Report<'_>) -> Option<Settings> {
    let header_timeout = listener.header_timeout.as_ref().map(Written::as_str);
    let keep_alive_timeout = listener.keep_alive_timeout.as_ref().map(Written::as_str);
    let bind = listener.bind.as_ref().map(Written::as_str);

    let trusted_proxies = networks(&path.key("trusted_proxies"), listener, report);
    let header_timeout = report.read(
        &path.key("header_timeout"),
        header_timeout,
        Settings::HEADER_TIMEOUT,
        |text| units::duration(text, &HEADER_TIMEOUT),
    );
    let keep_alive_timeout = report.read(
        &path.key("keep_alive_timeout"),
        keep_alive_timeout,
        Settings::KEEP_ALIVE_TIMEOUT,
        |text| units::duration(text, &KEEP_ALIVE_TIMEOUT),
    );
    let bind = report.require(&path.key("bind"), bind, "bind: 0.0.0.0:8080", address::bind)?;
    Some(Settings { bind, trusted_proxies, header_timeout, keep_alive_timeout })
}

fn networks(path: &KeyPath, listener: &Listener, report: &mut Report<'_>) -> Arc<[ipnet::IpNet]> {
    let written = listener.trusted_proxies.iter().flatten().enumerate();
    let items = report.filled(written.map(|(i, item)| (path.index(i), item.as_ref())));
    let network = |(path, text): (KeyPath, &String)| {
        report.read(&path, Some(text), None, |text| address::network(text).map(Some))
    };
    items.into_iter().filter_map(network).collect()
}

const HEADER_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(5);
const KEEP_ALIVE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(1);
