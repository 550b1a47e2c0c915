//! `tracing:`
//!
//! Pure, but for the files of certificates. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::forward_auth::service_tls;
use crate::access::ServiceUrl;
use crate::config::file::node_tls::NodeTls;
use crate::config::file::tracing::{Otlp, Tracing};
use crate::config::named_files::NamedFiles;
use crate::telemetry::{Collector, Sample, Settings};
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report, TextOr, units};

/// Which traces are made, and where their spans go, at `path`.
pub(super) fn resolve(
    path: &KeyPath,
    written: Option<&Tracing>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Settings {
    let text = written.and_then(|written| written.sample.as_ref()).map(RawScalar::as_str);
    let sample = report.read(&path.key("sample"), text, None, |text| units::off_or(text, sample));
    let at_otlp = path.key("otlp");
    let otlp = written.and_then(|written| report.chosen(&at_otlp, written.otlp.as_ref(), EXAMPLE));
    let otlp = otlp.and_then(|written| collector(&at_otlp, written, files, report));
    Settings { sample, otlp: otlp.map(Arc::new) }
}

fn sample(text: &str) -> Result<Sample, Diagnostic> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let millionths = match whole {
        "0" | "1" if is_digits && fraction.len() <= 6 => {
            format!("{whole}{fraction:0<6}").parse().ok()
        }
        _ => None,
    };
    let millionths = millionths.filter(|millionths| *millionths <= Sample::ALL);
    millionths.map(Sample::of_millionths).ok_or_else(|| {
        Diagnostic::new("is not a share").help("write a number from 0 to 1, such as 0.01")
    })
}

fn collector(
    path: &KeyPath,
    written: &TextOr<Otlp>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Collector> {
    let (url, tls) = match written {
        TextOr::Text(text) => {
            let url = report.optional(path, Some(text), url)?;
            let tls = service_tls(path, &url, None, files, report);
            (url, tls)
        }
        TextOr::Map(written) => {
            let url = report.require(&path.key("url"), written.url.as_deref(), EXAMPLE, url)?;
            let own =
                written.ca.is_some().then(|| NodeTls { ca: written.ca.clone(), ..NodeTls::ON });
            let tls = service_tls(path, &url, own.as_ref(), files, report);
            (url, tls)
        }
    };
    // A text alone is judged by every build alike.
    if !cfg!(feature = "otlp") && files.reader().is_some() {
        let diagnostic = Diagnostic::new("needs a build with the feature `otlp`");
        report.refuse(path, diagnostic.help("build with `cargo build --release --features otlp`"));
    }
    let target = if &*url.target == "/" { TRACES } else { &url.target };
    Some(Collector {
        url: url.to_string().into(),
        host: url.address.host.clone(),
        port: url.address.port,
        authority: url.host.clone(),
        target: target.into(),
        tls,
    })
}

fn url(text: &str) -> Result<ServiceUrl, Diagnostic> {
    let help = || format!("write a URL such as {EXAMPLE}");
    ServiceUrl::parse(text).map_err(|fault| Diagnostic::new(fault.to_string()).help(help()))
}

const EXAMPLE: &str = "http://127.0.0.1:4318";

/// Where a collector takes spans.
const TRACES: &str = "/v1/traces";
