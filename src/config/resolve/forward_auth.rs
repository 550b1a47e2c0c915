//! `auth.forward:`
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use http::{HeaderName, header};

use super::auth::field;
use super::node_tls;
use crate::access::{ForwardSettings, ServiceUrl};
use crate::config::file::access::Forward;
use crate::config::file::node_tls::NodeTls;
use crate::config::named_files::NamedFiles;
use crate::form::section;
use crate::tls;
use crate::yaml::{Diagnostic, KeyPath, Report, TextOr};

/// The authorization service at `path`.
pub(super) fn resolve(
    path: &KeyPath,
    written: &TextOr<Forward>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<ForwardSettings> {
    let written = match written {
        TextOr::Text(text) => {
            let url = report.optional(path, Some(text), url)?;
            let tls = service_tls(path, &url, None, files, report);
            return Some(ForwardSettings::new(url, tls));
        }
        TextOr::Map(written) => written,
    };
    let url = report.require(&path.key("url"), written.url.as_deref(), EXAMPLE, url);
    let mut request_fields =
        report.list(&path.key("request_fields"), &written.request_fields, request_field);
    // They are sent in any case, once.
    request_fields.retain(|name| ![header::COOKIE, header::AUTHORIZATION].contains(name));
    let response_fields =
        report.list(&path.key("response_fields"), &written.response_fields, field);
    let refusal_fields = report.list(&path.key("refusal_fields"), &written.refusal_fields, field);
    let url = url?;
    let tls = service_tls(&path.key("tls"), &url, written.tls.as_ref(), files, report);
    let settings = ForwardSettings {
        request_fields,
        response_fields,
        refusal_fields,
        ..ForwardSettings::new(url, tls)
    };
    Some(section::read(path, Some(written), settings, report))
}

fn url(text: &str) -> Result<ServiceUrl, Diagnostic> {
    let help = || format!("write a URL such as {EXAMPLE}");
    ServiceUrl::parse(text).map_err(|fault| Diagnostic::new(fault.to_string()).help(help()))
}

/// TLS to the service: its URL decides whether, and `written` how.
pub(super) fn service_tls(
    path: &KeyPath,
    url: &ServiceUrl,
    written: Option<&NodeTls>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Arc<tls::NodeTls>> {
    if !url.is_https {
        if written.is_some() {
            let diagnostic = Diagnostic::new("is for a service of https, and `url` is of http");
            report.refuse(path, diagnostic.help("write url: https://…, or remove tls"));
        }
        return None;
    }
    node_tls::with_keys(path, written.unwrap_or(&NodeTls::ON), None, files, report)
}

/// The name of a client's field that the service gets.
fn request_field(text: &str) -> Result<HeaderName, Diagnostic> {
    let name = HeaderName::from_bytes(text.as_bytes());
    // What a page is, and the other places where clients of WebSockets put their tokens.
    match name {
        Ok(name) if [header::ORIGIN, header::SEC_WEBSOCKET_PROTOCOL].contains(&name) => Ok(name),
        Ok(_) | Err(_) => field(text),
    }
}

const EXAMPLE: &str = "http://127.0.0.1:9000/check";
