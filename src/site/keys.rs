//! The keys of what is answered without a node.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::form::Form;
use crate::form::patterns::whole;
use crate::form::section::{Pass, Section, key};
use crate::yaml::{List, RawScalar};

/// The files of a directory.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Files {
    /// The directory; a relative path begins at the directory of the configuration file.
    ///
    /// `strip_prefix` and `add_prefix` of the route change the path before the file is looked for.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-needed" = true))]
    pub(crate) root: Option<String>,
    /// The file that is sent for a directory.
    #[schemars(extend("pattern" = whole(FILE_NAME)))]
    pub(crate) index: Option<String>,
    /// The file that is sent for paths at which there is no file: the page of an application with paths of its
    /// own.
    ///
    /// A path whose last segment has a dot gets it only if the client asks for `text/html`, as browsers do for
    /// pages: a script that is missing is an error.
    #[schemars(extend("pattern" = whole(FILE_PATH), "x-default" = "none"))]
    pub(crate) fallback: Option<String>,
    /// The `Cache-Control` of files that are no HTML: `public, max-age=31536000, immutable` if their names
    /// change with each release. HTML gets `no-cache` then.
    #[schemars(extend("pattern" = whole(FIELD_VALUE), "x-default" = "none"))]
    pub(crate) cache_control: Option<String>,
}

/// A redirect.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Redirect {
    /// Where the client goes: `https://www.example.com${target}`, or a path of the same host.
    ///
    /// The variables are those of `request_headers`. Only text, `${host}` and `${hostname}` may be the
    /// host of a URL: a client must not decide where others go.
    #[schemars(extend("pattern" = whole(&location()), "x-needed" = true))]
    pub(crate) to: Option<String>,
    /// The status: `307` keeps the method and is asked for each time; `308` is remembered by browsers;
    /// after `301`, `302` and `303` the method becomes GET.
    #[schemars(extend(
        "type" = ["integer", "string", "null"], "enum" = [301, 302, 303, 307, 308, "301", "302", "303", "307", "308", null],
        "x-type" = "`301`, `302`, `303`, `307` or `308`"
    ))]
    pub(crate) status: Option<RawScalar>,
}

/// A response.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Respond {
    /// The status.
    #[schemars(extend("x-accepts" = STATUS.accepts()))]
    pub(crate) status: Option<RawScalar>,
    /// The body, up to 64KiB; it has no variables.
    #[schemars(extend("x-default" = "empty"))]
    pub(crate) body: Option<String>,
    /// The type of the body.
    #[schemars(extend("pattern" = whole(FIELD_VALUE)))]
    pub(crate) content_type: Option<String>,
}

/// Which responses are compressed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Compress {
    /// The codings: `zstd`, `br`, `gzip`. If the client likes several equally well, the first one is taken.
    #[schemars(length(min = 1), extend("x-items" = { "enum": ["br", "gzip", "zstd"] }))]
    pub(crate) codings: List<String>,
    /// The least size of a response that says how long it is.
    #[schemars(extend("x-accepts" = MIN_SIZE.accepts()))]
    pub(crate) min_size: Option<RawScalar>,
    /// The media types; `text/*` is all of a kind but `text/event-stream`.
    #[schemars(length(min = 1), extend("x-items" = { "pattern": whole(MEDIA_TYPE) }))]
    pub(crate) types: List<String>,
}

/// Files by the status for which they are sent.
pub(crate) type ErrorPages = BTreeMap<String, Option<String>>;

impl Section<u64> for Compress {
    fn keys(&mut self, bytes_min: &mut u64, pass: &mut Pass<'_, '_>) {
        key!(pass, self.min_size => *bytes_min, MIN_SIZE);
    }
}

impl Section<StatusCode> for Respond {
    fn keys(&mut self, status: &mut StatusCode, pass: &mut Pass<'_, '_>) {
        key!(pass, self.status => *status, STATUS);
    }
}

const MIN_SIZE: Form<u64> = Form::size_or(&[], 1..=1 << 20, |size| size, |size| Some(*size));
const STATUS: Form<StatusCode, u32> = Form::number_or(
    &[],
    200..=599,
    |status| {
        let status = u16::try_from(status).ok().and_then(|it| StatusCode::from_u16(it).ok());
        status.unwrap_or(StatusCode::OK)
    },
    |status| Some(u32::from(status.as_u16())),
);

/// A name in a directory that is served.
pub(super) const FILE_NAME: &str = r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*";

/// Such names, one below the other.
pub(super) const FILE_PATH: &str =
    r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*(/[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*)*";

/// The value of a header field.
pub(super) const FIELD_VALUE: &str = "[!-~]([ -~]*[!-~])?";

/// A type, or all of a kind.
pub(super) const MEDIA_TYPE: &str = r"[!#$%&'+.^_`|~0-9A-Za-z-]+/([!#$%&'+.^_`|~0-9A-Za-z-]+|\*)";

/// A URL or a path with variables. What is not text in the host of a URL is the host of the request, and no
/// path begins with two slashes, which would name a host.
pub(super) fn location() -> String {
    let authority = r"(https?|\$\{scheme\})://([A-Za-z0-9._:\[\]-]|\$\{(host|hostname)\})+";
    let of_client = r"\$\{(path|target)\}";
    let rest = format!("(/|{URL_BYTE}|{VARIABLE})*");
    format!(
        "{authority}((/|{of_client}){rest})?|/(({URL_BYTE}|{VARIABLE}){rest})?|{of_client}{rest}"
    )
}

/// What a path and a query may have, but for slashes and what is encoded.
const URL_BYTE: &str = r"[!#%&'()*+,.0-9:;=?@A-Z_a-z|~\[\]-]";

/// A part of the request.
const VARIABLE: &str = r"\$\{(client_address|host|hostname|scheme|request_id|path|query|target|(header|cookie)\.[!#$%&'*+.^_`|~0-9A-Za-z-]+)\}";

/// The name of a page that says of which type it is.
pub(super) const PAGE: &str = r".*[^/]\.([hH][tT][mM][lL]?|[jJ][sS][oO][nN]|[tT][xX][tT])";

/// What the schema says of a page.
pub(crate) fn page_schema() -> serde_json::Value {
    serde_json::json!({ "type": "string", "pattern": whole(PAGE) })
}

/// The statuses of a page.
pub(crate) const STATUSES: &str = "[45][0-9][0-9]|[45]xx";
