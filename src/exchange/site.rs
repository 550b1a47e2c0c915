//! What a route answers without a node: files, redirects and responses of the configuration.
//!
//! Runs for every request.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::BodyExt as _;

use super::access_log::LogEntry;
use super::body::ResponseBody;
use super::context::Response;
use super::error::ExchangeError;
use super::headers::X_REQUEST_ID;
use super::purpose::Purpose;
use super::response_fields::{ResponseFields, variables};
use super::target;
use crate::net::ClientInfo;
use crate::route::{Route, Target, UpstreamRoute};
use crate::site::{self, Files, Found};
use crate::snapshot::Snapshot;

/// A request that has found its route.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) route: &'a Route,
    pub(super) client: &'a ClientInfo,
    /// The host that it names.
    pub(super) host: &'a str,
    pub(super) purpose: Purpose,
    /// Whether it is a request of Engine.IO.
    pub(super) is_engineio: bool,
    /// Its method, target and fields, and whether it has a body: a body is not Sync.
    pub(super) head: (&'a Method, &'a Uri, &'a HeaderMap),
    pub(super) has_body: bool,
}

/// The response to a request, or the upstream that is to answer it.
///
/// # Errors
///
/// There is neither.
pub(super) async fn answer<'a>(
    asked: Asked<'a>,
    snapshot: &Snapshot,
    (entry, fields): (&LogEntry, Option<&ResponseFields>),
) -> Result<ControlFlow<Response, &'a Arc<UpstreamRoute>>, ExchangeError> {
    // A browser may only want to know whether a page may send a request.
    let (method, _, headers) = asked.head;
    let preflight = |it: &ResponseFields| it.preflight((method, headers), asked.has_body, entry);
    if let Some(preflight) = fields.and_then(preflight) {
        return Ok(ControlFlow::Break(preflight));
    }
    let (word, response) = match &asked.route.target {
        Target::Upstream(route) => return Ok(ControlFlow::Continue(route)),
        Target::Files(_, Some(route)) if !asked.may_be_file() => {
            return Ok(ControlFlow::Continue(route));
        }
        // Boxed: few routes have files.
        Target::Files(files, Some(route)) => match Box::pin(asked.find(files, snapshot)).await? {
            Some(response) => ("files", response),
            None => return Ok(ControlFlow::Continue(route)),
        },
        Target::Files(files, None) => {
            asked.check_for_files()?;
            ("files", Box::pin(asked.find_or_fall_back(files, snapshot)).await?)
        }
        Target::Redirect(redirect) => {
            let known = (entry.client(), asked.host, entry.request_id());
            let (_, uri, headers) = asked.head;
            let variables = variables(asked.route, (uri, headers), asked.client, known);
            let location = redirect.location(&variables).ok_or(ExchangeError::BadHost)?;
            ("redirect", redirect_to(location, redirect.status))
        }
        Target::Respond(respond) => {
            asked.check_for_response(respond.status)?;
            ("respond", respond.response().map(ResponseBody::whole))
        }
    };
    Ok(ControlFlow::Break(asked.completed(word, response, (entry, fields))))
}

impl Asked<'_> {
    /// `response` as it goes to the client. Logged as of `word`.
    fn completed(
        &self,
        word: &str,
        mut response: Response,
        (entry, fields): (&LogEntry, Option<&ResponseFields>),
    ) -> Response {
        response.headers_mut().insert(X_REQUEST_ID, entry.request_id().clone());
        entry.answered(word, response.status());
        self.route.counts.answers.of(entry.protocol()).count(response.status());
        if let Some(fields) = fields {
            fields.change(&mut response);
        }
        if self.purpose.is_upgrade() || self.has_body {
            // What follows on the connection may not be a request: frames that were sent ahead, or the rest of
            // a body that nobody reads.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Whether a file may be meant, and nothing that only a node has.
    pub(super) fn may_be_file(&self) -> bool {
        !self.is_engineio && !self.purpose.is_upgrade() && is_read(self.head.0)
    }

    /// Refuses what only a node can answer.
    pub(super) fn check_for_files(&self) -> Result<(), ExchangeError> {
        if self.is_engineio || self.purpose.is_upgrade() {
            return Err(ExchangeError::OnlyFiles);
        }
        match is_read(self.head.0) {
            true => Ok(()),
            false => Err(ExchangeError::MethodNotAllowed),
        }
    }

    /// Refuses an upgrade to a response of success: over HTTP/2, a 2xx opens a WebSocket (RFC 8441, section
    /// 5).
    pub(super) fn check_for_response(&self, status: StatusCode) -> Result<(), ExchangeError> {
        match self.purpose.is_upgrade() && status.is_success() {
            true => Err(ExchangeError::OnlyFiles),
            false => Ok(()),
        }
    }

    /// What is at the path.
    async fn find(
        &self,
        files: &Files,
        snapshot: &Snapshot,
    ) -> Result<Option<Response>, ExchangeError> {
        let (method, uri, headers) = self.head;
        let path = uri.path();
        if !self.has_one_spelling(snapshot) {
            return Ok(None);
        }
        let looked_for = match &self.route.rewrite {
            None => Cow::Borrowed(path),
            Some(rewrite) => {
                let mut written = String::new();
                rewrite.write_for_node(path, &mut written);
                Cow::Owned(written)
            }
        };
        match files.find(&looked_for, (method, headers)).await? {
            // The root, which a prefix alone means: links of its page are relative to a slash.
            Found::File(_) if looked_for.ends_with('/') && !path.ends_with('/') => {
                Ok(directory(uri.path_and_query()))
            }
            Found::File(_) if path.ends_with('/') && self.has_other_index(files, snapshot) => {
                Ok(index(files, uri))
            }
            Found::File(response) => Ok(Some(of_file(*response))),
            Found::Directory => Ok(directory(uri.path_and_query())),
            Found::Nothing => Ok(None),
        }
    }

    /// What is at the path, or the page for paths without a file.
    async fn find_or_fall_back(
        &self,
        files: &Files,
        snapshot: &Snapshot,
    ) -> Result<Response, ExchangeError> {
        if let Some(found) = self.find(files, snapshot).await? {
            return Ok(found);
        }
        let (method, uri, headers) = self.head;
        match files.fallback(uri.path(), (method, headers)).await? {
            Found::File(response) => Ok(of_file(*response)),
            Found::Directory | Found::Nothing => Err(ExchangeError::NoFile),
        }
    }

    /// Whether the path, decoded, has the same route: another one may say that nobody may read its files.
    fn has_one_spelling(&self, snapshot: &Snapshot) -> bool {
        let path = self.head.1.path();
        if !path.contains('%') {
            return true;
        }
        let Some(decoded) = site::decoded(path) else { return false };
        let found = snapshot.routes.find(target::host_name(self.host), &decoded);
        found.is_some_and(|route| std::ptr::eq(&**route, self.route))
    }

    /// Whether the index of the directory has a route of its own, whose rules a request for the directory
    /// must not avoid. One that leads to the directory has none.
    fn has_other_index(&self, files: &Files, snapshot: &Snapshot) -> bool {
        let path = files.index_of(self.head.1.path());
        let found = snapshot.routes.find(target::host_name(self.host), &path);
        found.is_some_and(|route| match route.target {
            Target::Redirect(_) => false,
            Target::Upstream(_) | Target::Files(..) | Target::Respond(_) => {
                !std::ptr::eq(&**route, self.route)
            }
        })
    }
}

fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

fn of_file(response: http::Response<site::FileBody>) -> Response {
    response.map(|body| ResponseBody::boxed(body.map_err(Into::into)))
}

/// The redirect to the path of a directory, which ends with a slash. `None` if the path could name a host.
fn directory(target: Option<&PathAndQuery>) -> Option<Response> {
    let target = target?;
    elsewhere(format!("{}/", target.path()), target.query(), StatusCode::PERMANENT_REDIRECT)
}

/// The redirect to the index of the directory at `uri` by its own name. `None` if the path could name a
/// host.
fn index(files: &Files, uri: &Uri) -> Option<Response> {
    elsewhere(files.index_of(uri.path()), uri.query(), StatusCode::TEMPORARY_REDIRECT)
}

fn elsewhere(path: String, query: Option<&str>, status: StatusCode) -> Option<Response> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("{path}{query}")).ok();
    Some(redirect_to(location.filter(|_| !path.starts_with("//"))?, status))
}

fn redirect_to(location: HeaderValue, status: StatusCode) -> Response {
    let mut response = Response::new(ResponseBody::whole(""));
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    response
}
