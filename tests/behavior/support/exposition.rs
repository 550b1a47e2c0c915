//! Reads what `/metrics` says, strictly: what a scraper would stumble over fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::http::Client;

/// The series of one scrape.
pub struct Exposition {
    series: BTreeMap<String, f64>,
    /// The type of each family.
    pub types: BTreeMap<String, String>,
}

impl Exposition {
    /// Scrapes the admin listener at `address`.
    pub async fn scrape(address: SocketAddr) -> Self {
        let mut client = Client::connect(address).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let answer = client.response().await;
        assert_eq!(answer.status(), 200);
        let content_type = answer.head.field("content-type").unwrap();
        assert!(content_type.starts_with("application/openmetrics-text"), "{content_type}");
        Self::parse(&answer.text())
    }

    /// Scrapes until `series` has this value: what ends a connection is counted behind its answer.
    pub async fn until(address: SocketAddr, series: &str, value: f64) -> Self {
        let wait = async {
            loop {
                let page = Self::scrape(address).await;
                if page.has(series) && page.value(series) == value {
                    return page;
                }
                tokio::task::yield_now().await;
            }
        };
        let late = format!("{series} becomes {value} in time");
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect(&late)
    }

    /// The value of a series as it is written: `name` or `name{label="value",...}`.
    pub fn value(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.series))
    }

    /// Whether there is such a series.
    pub fn has(&self, series: &str) -> bool {
        self.series.contains_key(series)
    }

    /// The sum over all series of `name`.
    pub fn sum(&self, name: &str) -> f64 {
        let start = format!("{name}{{");
        self.series.iter().filter(|(key, _)| key.starts_with(&start)).map(|(_, value)| value).sum()
    }

    /// The series of `name` and their values, as text: for figures that people read.
    pub fn with(&self, name: &str) -> Vec<String> {
        let start = format!("{name}{{");
        let series = self.series.iter().filter(|(key, _)| key.starts_with(&start));
        series.map(|(key, value)| format!("{key} {value}")).collect()
    }

    fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the end is told");
        let mut types = BTreeMap::new();
        let mut helped = BTreeSet::new();
        let mut series = BTreeMap::new();
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                let (key, value) = line.rsplit_once(' ').unwrap();
                check_key(key, &types);
                let value: f64 = value.parse().unwrap();
                assert!(series.insert(key.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        Self { series, types }
    }
}

/// A series belongs to the family that was announced, and its labels are well formed.
fn check_key(key: &str, types: &BTreeMap<String, String>) {
    let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
    let is_histogram = |family: &&str| types.get(*family).is_some_and(|kind| kind == "histogram");
    let parts = ["_bucket", "_count", "_sum"].iter();
    let (family, kind) = match name.strip_suffix("_total") {
        Some(family) => (family, "counter"),
        None => match parts.filter_map(|part| name.strip_suffix(part)).find(is_histogram) {
            Some(family) => (family, "histogram"),
            None => (name, "gauge"),
        },
    };
    assert_eq!(types.get(family).map(String::as_str), Some(kind), "{key}");
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{key}"));
    for label in labels.split("\",").filter(|label| !label.is_empty()) {
        let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{key}"));
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{key}");
        assert!(!value.trim_end_matches('"').contains('"'), "{key}");
    }
}
