//! The page for operators, embedded: plain files without a build step, and nothing from elsewhere.
//!
//! `vendor` has files of preact, htm and uPlot as npm installs them; a test compares them.
//!
//! Runs at start, at reload, or on a timer.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use xxhash_rust::xxh3::xxh3_128;

use super::answer::{Answer, refuse, whole};

/// The field of commands that the page sends.
pub(super) const OWN_FIELD: HeaderName = HeaderName::from_static("x-sockeye");

/// A file of the page.
#[derive(Debug)]
pub(super) struct PageFile {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    plain: OnceLock<Variant>,
    compressed: OnceLock<Variant>,
}

/// A file in one encoding.
#[derive(Debug)]
struct Variant {
    bytes: Bytes,
    tag: HeaderValue,
}

/// The file at `path`.
pub(super) fn find(path: &str) -> Option<&'static PageFile> {
    FILES.iter().find(|file| file.path == path)
}

impl PageFile {
    const fn new(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { path, content_type, bytes, plain: OnceLock::new(), compressed: OnceLock::new() }
    }

    /// The answer to a request for the file.
    pub(super) fn answer(&'static self, method: &Method, headers: &HeaderMap) -> Answer {
        if *method != Method::GET && *method != Method::HEAD {
            let sentence = format!("{} takes GET, HEAD", self.path);
            let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, sentence);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let is_compressed = takes_gzip(headers);
        let Variant { bytes, tag } = if is_compressed { self.compressed() } else { self.plain() };
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|tags| tags.split(','));
        let mut answer = match known.any(|known| known.trim().as_bytes() == tag.as_bytes()) {
            true => whole(StatusCode::NOT_MODIFIED, self.content_type, Bytes::new()),
            false => whole(StatusCode::OK, self.content_type, bytes.clone()),
        };
        let fields = answer.headers_mut();
        if is_compressed {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
        fields.insert(ETAG, tag.clone());
        // A new version of Sockeye has new files at the same paths.
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        fields.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        answer
    }

    fn plain(&self) -> &Variant {
        self.plain.get_or_init(|| Variant::new(Bytes::from_static(self.bytes)))
    }

    /// Compressed by the first request for it, which takes some milliseconds for all files together.
    fn compressed(&self) -> &Variant {
        self.compressed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            let written = encoder.write_all(self.bytes).and_then(|()| encoder.finish());
            Variant::new(written.expect("memory can be written to").into())
        })
    }
}

impl Variant {
    fn new(bytes: Bytes) -> Self {
        let tag = format!("\"{:032x}\"", xxh3_128(&bytes));
        let tag = HeaderValue::from_str(&tag).expect("digits in quotes are a value");
        Self { bytes, tag }
    }
}

/// Whether the client takes gzip. Browsers name it without a weight.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|codings| codings.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("gzip"))
}

/// Nothing but our own files, and no script or style within the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// All files of the page.
static FILES: [PageFile; FILES_COUNT] = [
    PageFile::new("/", "text/html; charset=utf-8", include_bytes!("index.html")),
    PageFile::new("/page/icon.svg", "image/svg+xml", include_bytes!("icon.svg")),
    PageFile::new("/page/style.css", STYLE, include_bytes!("style.css")),
    PageFile::new("/page/app.js", SCRIPT, include_bytes!("app.js")),
    PageFile::new("/page/api.js", SCRIPT, include_bytes!("api.js")),
    PageFile::new("/page/charts.js", SCRIPT, include_bytes!("charts.js")),
    PageFile::new("/page/format.js", SCRIPT, include_bytes!("format.js")),
    PageFile::new("/page/overview.js", SCRIPT, include_bytes!("overview.js")),
    PageFile::new("/page/parts.js", SCRIPT, include_bytes!("parts.js")),
    PageFile::new("/page/session.js", SCRIPT, include_bytes!("session.js")),
    PageFile::new("/page/sessions.js", SCRIPT, include_bytes!("sessions.js")),
    PageFile::new("/page/vendor/htm.mjs", SCRIPT, include_bytes!("vendor/htm.mjs")),
    PageFile::new("/page/vendor/preact.mjs", SCRIPT, include_bytes!("vendor/preact.mjs")),
    PageFile::new("/page/vendor/uPlot.js", SCRIPT, include_bytes!("vendor/uPlot.iife.min.js")),
    PageFile::new("/page/vendor/uPlot.css", STYLE, include_bytes!("vendor/uPlot.min.css")),
];

const FILES_COUNT: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_small_and_the_page_names_only_files_that_exist() {
        let all: usize = FILES.iter().map(|file| file.compressed().bytes.len()).sum();
        assert!(all < 60 << 10, "{all} bytes");
        for file in &FILES {
            assert_eq!(find(file.path).map(|found| found.bytes), Some(file.bytes));
        }
        let page = std::str::from_utf8(find("/").unwrap().bytes).unwrap();
        for part in page.split('"').filter(|part| part.starts_with('/')) {
            assert!(find(part).is_some(), "{part}");
        }
        assert!(!page.contains("<script>") && !page.contains("style="), "nothing within the page");
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let file = find("/page/style.css").unwrap();
        let mut headers = HeaderMap::new();
        let answer = file.answer(&Method::GET, &headers);
        assert_eq!(answer.status(), StatusCode::OK);
        let tag = answer.headers()[ETAG].clone();
        for (known, status) in [
            (tag.to_str().unwrap().to_owned(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", {}", tag.to_str().unwrap()), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(&known).unwrap());
            assert_eq!(file.answer(&Method::GET, &headers).status(), status, "{known}");
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
        let compressed = file.answer(&Method::GET, &headers);
        assert_eq!(compressed.headers()[CONTENT_ENCODING], "gzip");
        assert_ne!(compressed.headers()[ETAG], tag);
        let refused = file.answer(&Method::POST, &headers);
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
