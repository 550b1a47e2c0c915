//! Pages instead of plain error messages.
//!
//! They are read with the configuration, so that an error never waits for a disk.
//!
//! Pure. Runs for every request.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use xxhash_rust::xxh3::xxh3_64;

/// Pages by the status for which they are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorPages(BTreeMap<Statuses, Arc<Page>>);

/// One status, or all that begin with the same digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Statuses {
    /// One.
    One(u16),
    /// `4xx` or `5xx`.
    All(u16),
}

/// A page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    path: PathBuf,
    content_type: &'static str,
    body: Bytes,
}

impl ErrorPages {
    /// These pages.
    pub(crate) fn new(pages: impl IntoIterator<Item = (Statuses, Arc<Page>)>) -> Self {
        Self(pages.into_iter().collect())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These pages, and for other statuses those of `general`.
    pub(crate) fn over(&self, general: &Self) -> Self {
        let mut pages = general.0.clone();
        // A route's `5xx` is for all of them.
        for statuses in self.0.keys() {
            if let Statuses::All(class) = statuses {
                pages
                    .retain(|other, _| !matches!(other, Statuses::One(one) if one / 100 == *class));
            }
        }
        pages.extend(self.0.clone());
        Self(pages)
    }

    /// The page for `status`.
    pub(crate) fn page(&self, status: StatusCode) -> Option<&Page> {
        let status = status.as_u16();
        let one = self.0.get(&Statuses::One(status));
        one.or_else(|| self.0.get(&Statuses::All(status / 100))).map(|page| &**page)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Statuses, &Page)> {
        self.0.iter().map(|(statuses, page)| (*statuses, &**page))
    }
}

impl Page {
    /// The page in the file at `path`, which holds `body`. `None` if the name does not say of which type
    /// it is.
    pub(crate) fn new(path: PathBuf, body: Bytes) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        let known = TYPES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known));
        let (_, content_type) = known?;
        Some(Self { path, content_type, body })
    }

    /// The file that it is from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What tells it from another version of the same file.
    pub(crate) fn version(&self) -> String {
        format!("{} bytes, {:016x}", self.body.len(), xxh3_64(&self.body))
    }

    /// Its bytes.
    pub(crate) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// Their type.
    pub(crate) fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(self.content_type)
    }
}

/// The longest page, in bytes.
pub(crate) const PAGE_BYTES_MAX: usize = 256 * 1024;

const TYPES: [(&str, &str); 4] = [
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("json", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
];

impl FromStr for Statuses {
    type Err = ();

    /// Reads `404` or `5xx`; only errors have pages.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "4xx" => Ok(Self::All(4)),
            "5xx" => Ok(Self::All(5)),
            _ if text.len() == 3 => {
                let status = text.parse().ok().filter(|status| (400..=599).contains(status));
                status.map(Self::One).ok_or(())
            }
            _ => Err(()),
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::All(class) => write!(f, "{class}xx"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(names: &[&str]) -> ErrorPages {
        let page = |name: &&str| {
            let page =
                Page::new(PathBuf::from(format!("{name}.html")), Bytes::from(name.to_string()));
            (name.split('-').next().unwrap().parse().unwrap(), Arc::new(page.unwrap()))
        };
        ErrorPages::new(names.iter().map(page))
    }

    #[test]
    fn the_page_of_a_status_is_its_own_or_that_of_its_class() {
        let check = |pages: &ErrorPages, status: u16, expected: Option<&str>| {
            let page = pages.page(StatusCode::from_u16(status).unwrap());
            assert_eq!(page.map(|page| page.body()), expected.map(|it| Bytes::from(it.to_owned())));
        };
        let general = pages(&["404", "5xx", "502"]);
        check(&general, 404, Some("404"));
        check(&general, 403, None);
        check(&general, 502, Some("502"));
        check(&general, 504, Some("5xx"));
        let own = pages(&["5xx-own", "400"]).over(&general);
        check(&own, 404, Some("404"));
        check(&own, 400, Some("400"));
        check(&own, 502, Some("5xx-own"));
    }

    #[test]
    fn only_errors_have_pages() {
        for text in ["200", "4", "3xx", "600", "+40", "4XX", "", "404 "] {
            assert_eq!(text.parse::<Statuses>(), Err(()), "{text}");
        }
        assert_eq!("599".parse::<Statuses>().unwrap().to_string(), "599");
    }
}
