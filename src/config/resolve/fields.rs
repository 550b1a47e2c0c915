//! `request_headers:` and `response_headers:` of a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::HeaderName;

use super::access;
use crate::config::file::fields::{self as keys, Headers};
use crate::config::file::route::Route;
use crate::form;
use crate::route::{
    Changes, Cors, Direction, FieldAction, FieldRules, Template, check_value, field_name,
};
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report};

/// The fields that the route at `path` changes.
pub(super) fn resolve(
    path: &KeyPath,
    route: &Route,
    report: &mut Report<'_>,
) -> Option<Arc<Changes>> {
    let (at, written) = (path.key("request_headers"), route.request_headers.as_ref());
    let request = rules(&at, written, Direction::Request, report);
    let (at, written) = (path.key("response_headers"), route.response_headers.as_ref());
    let response = rules(&at, written, Direction::Response, report);
    let cors = route.cors.as_ref().and_then(|written| cors(&path.key("cors"), written, report));
    Changes::new(request, response, cors).map(Arc::new)
}

fn cors(path: &KeyPath, written: &keys::Cors, report: &mut Report<'_>) -> Option<Cors> {
    let at_origins = path.key("origins");
    if written.origins.is_none() {
        let diagnostic = Diagnostic::new("is missing");
        report.refuse(&at_origins, diagnostic.help("write origins: [https://app.example.com]"));
    }
    let field = |text: &str| form::header_name(text, "X-Total-Count");
    let cors = Cors {
        origins: access::origins(&at_origins, &written.origins, report)?,
        credentials: written.credentials.unwrap_or(false),
        methods: report.list(&path.key("methods"), &written.methods, Cors::method),
        headers: report.list(&path.key("headers"), &written.headers, field),
        expose_headers: report.list(&path.key("expose_headers"), &written.expose_headers, field),
        max_age: report.read(
            &path.key("max_age"),
            written.max_age.as_ref().map(RawScalar::as_str),
            Cors::MAX_AGE,
            |text| keys::MAX_AGE.parse(text),
        ),
    };
    if cors.credentials && cors.is_for_all() {
        let diagnostic = Diagnostic::new("lets every page act with the cookies of its visitors");
        report
            .refuse(&path.key("credentials"), diagnostic.help("name the origins, or write false"));
    }
    Some(cors)
}

/// The rules at `path`.
fn rules(
    path: &KeyPath,
    written: Option<&Headers>,
    direction: Direction,
    report: &mut Report<'_>,
) -> FieldRules {
    let Some(Headers { set, add, remove }) = written else { return FieldRules::default() };
    let set = values(&path.key("set"), set.as_ref(), (direction, FieldAction::Set), report);
    let add = values(&path.key("add"), add.as_ref(), (direction, FieldAction::Add), report);
    let remove = report
        .list(&path.key("remove"), remove, |text| field_name(text, direction, FieldAction::Remove));
    FieldRules::new(set, add, remove)
}

fn values(
    path: &KeyPath,
    written: Option<&BTreeMap<String, Option<RawScalar>>>,
    (direction, action): (Direction, FieldAction),
    report: &mut Report<'_>,
) -> Vec<(HeaderName, Template)> {
    let items = written.into_iter().flatten();
    let items = report.filled(
        items.map(|(name, value)| (path.key(name), value.as_ref().map(|value| (name, value)))),
    );
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    for (path, (name, value)) in items {
        let template = |name: HeaderName| {
            let template = Template::parse(value.as_str())?;
            if direction == Direction::Request {
                check_value(&name, &template)?;
            }
            Ok((name, template))
        };
        match field_name(name, direction, action) {
            Err(diagnostic) => report.refuse_key(&path, None, diagnostic),
            Ok(name) if !names.insert(name.as_str().to_owned()) => {
                let diagnostic = Diagnostic::new("is written twice");
                report.refuse_key(&path, None, diagnostic.help("take one of the two out"));
            }
            Ok(name) => {
                found.extend(report.optional(&path, Some(value.as_str()), |_| template(name)));
            }
        }
    }
    found
}
